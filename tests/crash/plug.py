#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power cuts: an ext4 on a loop device goes down under a writer; nothing acknowledged may be lost.

Each cycle: a fresh image (commit=300, so that the kernel does not come to the rescue), a writer
whose acknowledgements go to a file elsewhere, a random wait, all threads stopped, the file system
shut down (what was not flushed is gone), remount, open, verify, compare. The same loop with fsync
switched off by libeatmydata must lose mail, or this test proves nothing.
"""
import concurrent.futures
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import crashlib
from crashlib import Failure, must, run, said

CYCLES = int(os.environ.get("EMLFS_PLUG_CYCLES", "600" if crashlib.LONG else "60"))
CONTROL_CYCLES = 5
IMAGE_BYTES = 96 << 20
MESSAGES = 100000  # more than any cycle archives
PACE_US = 300
STORE_MESSAGES = 150


def mount(image, at):
    os.makedirs(at, exist_ok=True)
    must("mount", "-t", "ext4", "-o", "loop,commit=300", image, at)


def umount(at):
    for _ in range(50):
        if run("umount", at).returncode == 0:
            return
        time.sleep(0.05)
    raise Failure(f"cannot unmount {at}")


def make_template(home):
    """An image with an empty archive, cleanly unmounted; skips where that cannot be done."""
    image, at = os.path.join(home, "template"), os.path.join(home, "at")
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    must("mkfs.ext4", "-q", "-F", "-J", "size=8", "-E", "lazy_itable_init=0", image)
    os.makedirs(at)
    tried = run("mount", "-t", "ext4", "-o", "loop,commit=300", image, at)
    if tried.returncode != 0:
        shutil.rmtree(home)
        crashlib.skip("no ext4 on a loop device here: " + said(tried))
    crashlib.init(os.path.join(at, "archive"), STORE_MESSAGES)
    umount(at)
    return image


def stopped(pid):
    """True when every thread is stopped: an fsync in flight would else succeed after the cut."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8", errors="replace") as file:
            if file.read().rsplit(")", 1)[1].split()[0] not in "TtZX":
                return False
    return True


def stop(process):
    process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while not stopped(process.pid):
        if time.monotonic() > deadline:
            raise Failure("the writer does not stop")
        time.sleep(0.001)


def wait_for_acknowledgement(process, ack):
    deadline = time.monotonic() + 20
    while not os.path.exists(ack) or os.path.getsize(ack) == 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failure("the writer acknowledged nothing: "
                          + (process.stderr.read().decode("utf-8", "replace")
                             if process.poll() is not None else "time is up"))
        time.sleep(0.002)


def cut(at, ack, wait, prefix):
    """Write until the power goes. Returns when the disk below at is dead and the writer too."""
    command = [*prefix, crashlib.TOOL, "write", os.path.join(at, "archive"), ack, "0",
               str(MESSAGES), str(PACE_US)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as process:
        try:
            wait_for_acknowledgement(process, ack)
            time.sleep(wait)
            if process.poll() is not None:
                raise Failure("the writer ended before the cut: "
                              + process.stderr.read().decode("utf-8", "replace"))
            stop(process)
            must("xfs_io", "-x", "-c", "shutdown", at)
        finally:
            process.kill()
            process.wait()


def check(archive, ack):
    acks = crashlib.acknowledged(ack)
    crashlib.check_acknowledged(acks, crashlib.dump(archive))
    crashlib.verify(archive)
    return len(acks)


def cycle(home, template, number, wait, prefix=()):
    """Returns how many messages had been acknowledged; Failure when one is lost."""
    name = os.path.join(home, f"cycle-{number}")
    image, at, ack = name + ".image", name + ".at", name + ".ack"
    must("cp", "--sparse=always", template, image)
    mount(image, at)
    try:
        cut(at, ack, wait, prefix)
    finally:
        umount(at)
    mount(image, at)
    try:
        return check(os.path.join(at, "archive"), ack)
    finally:
        umount(at)
        os.unlink(image)


def run_cycles(home, template):
    seed = int(os.environ.get("EMLFS_SEED", str(int(time.time()))))
    print(f"seed {seed}")
    rng = random.Random(seed)
    waits = [rng.uniform(0, 0.5) for _ in range(CYCLES)]
    failures, acks = [], []

    def one(item):
        number, wait = item
        try:
            acks.append(cycle(home, template, number, wait))
        except (Failure, OSError, subprocess.TimeoutExpired) as failure:
            failures.append(number)
            print(f"FAILED cycle {number}, {wait * 1000:.0f} ms: {failure}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(one, enumerate(waits)))
    print(f"{CYCLES} power cuts, {sum(acks)} messages acknowledged, {len(failures)} failed")
    return not failures


def run_control(home, template):
    """The same cuts without fsync: at least one must lose mail."""
    lost = 0
    for number in range(CONTROL_CYCLES):
        try:
            cycle(home, template, f"control-{number}", 0.2, ("eatmydata",))
        except Failure as failure:
            lost += 1
            print(f"control {number} lost mail, as it must: {str(failure)[:100]}")
    print(f"control: {lost} of {CONTROL_CYCLES} cycles lost mail")
    return lost > 0


def main():
    if os.getuid() != 0:
        crashlib.skip("power cuts need root")
    crashlib.need(crashlib.TOOL, crashlib.EMLFS, "mkfs.ext4", "xfs_io", "eatmydata", "mount")
    home = crashlib.work_dir("plug")
    try:
        template = make_template(home)
        good = run_cycles(home, template)
        good = run_control(home, template) and good
    except Failure as failure:
        print("FAILED:", failure)
        good = False
    finally:
        for name in os.listdir(home) if os.path.isdir(home) else ():
            if os.path.ismount(os.path.join(home, name)):
                run("umount", "-l", os.path.join(home, name))
        shutil.rmtree(home, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
