#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any changed byte of an archive is reported: drives flip.c, and the command line for a few."""
import os
import random
import shutil
import subprocess
import sys

import crashlib
from crashlib import Failure, must, run, said

FLIP = os.environ.get("EMLFS_FLIP", os.path.join(crashlib.BUILD, "tests", "flip"))
SAMPLES = int(os.environ.get("EMLFS_FLIP_SAMPLES", "50000" if crashlib.LONG else "2000"))
MESSAGES = 36
ARCHIVE_BYTES = 300 << 10


def size_of(archive):
    return sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(archive) for name in names)


def make(home):
    archive = os.path.join(home, "archive")
    crashlib.init(archive, 25)
    must(crashlib.TOOL, "write", archive, os.path.join(home, "ack"), 0, MESSAGES)
    must(crashlib.TOOL, "acts", archive)
    crashlib.verify(archive)
    size = size_of(archive)
    if size > ARCHIVE_BYTES:
        raise Failure(f"the archive has {size} bytes, more than {ARCHIVE_BYTES}")
    return archive


def flip_by_library(home, archive):
    seed = os.environ.get("EMLFS_SEED", "7")
    shards = os.cpu_count() or 1
    processes = [subprocess.Popen(
        [FLIP, archive, os.path.join(home, f"work{n}"), str(SAMPLES), seed, str(n), str(shards)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for n in range(shards)]
    good = True
    for process in processes:
        out, _ = process.communicate()
        print(out.strip())
        good = good and process.returncode == 0
    if not good:
        raise Failure(f"damage went unnoticed (seed {seed})")


def flip_by_command(home, archive):
    """`emlfs verify` itself ends with a non-zero code, and with 0 on the undamaged copy."""
    rng = random.Random(3)
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(archive)
                   for name in names if os.path.getsize(os.path.join(folder, name)))
    for path in files:
        copy = os.path.join(home, "copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(archive, copy)
        target = os.path.join(copy, os.path.relpath(path, archive))
        offset = rng.randrange(os.path.getsize(target))
        with open(target, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 0x10]))
        result = run(crashlib.EMLFS, "verify", "-a", copy)
        if result.returncode <= 0:
            raise Failure(f"{os.path.relpath(path, archive)} at {offset}: {said(result)}")
    crashlib.verify(archive)
    print(f"{len(files)} files damaged, `emlfs verify` reported each")


def main():
    crashlib.need(crashlib.TOOL, crashlib.EMLFS, FLIP)
    home = crashlib.work_dir("flip")
    try:
        archive = make(home)
        flip_by_library(home, archive)
        flip_by_command(home, archive)
    except Failure as failure:
        print("FAILED:", failure)
        return 1
    finally:
        shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
