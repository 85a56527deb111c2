#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Nth call that changes the archive fails, or kills the process there.

After each fault, without the shim: the archive opens, every acknowledged message is there with its
bytes, verify is clean; repeating the import gives exactly what an undisturbed run gives; verify is
clean again. The fault must have struck. Sampled; complete with EMLFS_TEST_MODE=long.
"""
import concurrent.futures
import os
import random
import shutil
import struct
import sys
import time

import crashlib
from crashlib import Failure, run, said

COUNT = 100
STORE_MESSAGES = 40  # so that a store is closed and the next begun under fire
MODES = ("eio", "kill", "enospc", "short", "emfile")
BUDGET_SECONDS = float(os.environ.get("EMLFS_NTH_SECONDS", "75"))
SIGKILL = 9
SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "sample")


class Bench:
    def __init__(self):
        self.dir = crashlib.work_dir("nth")
        self.fresh = os.path.join(self.dir, "fresh")
        self.whole = os.path.join(self.dir, "whole")
        self.broken = os.path.join(self.dir, "broken")
        self.reference = None
        self.imported = None
        self.deleted = set()

    def prepare(self):
        crashlib.init(self.fresh, STORE_MESSAGES)
        shutil.copytree(self.fresh, self.whole)
        crashlib.must(crashlib.TOOL, "write", self.whole, self.whole + ".ack", 0, COUNT)
        crashlib.verify(self.whole)
        self.reference = crashlib.logical(crashlib.dump(self.whole))
        if sum(1 for row in self.reference if row[0] == "entry") < COUNT * 9 // 10:
            raise Failure("the undisturbed run archived too little")

        both = os.path.join(self.dir, "both")
        shutil.copytree(self.whole, both)
        crashlib.must(*self.import_command(both))
        self.imported = crashlib.logical(crashlib.dump(both))
        acted = os.path.join(self.dir, "acted")
        shutil.copytree(self.whole, acted)
        crashlib.must(crashlib.TOOL, "acts", acted)
        self.deleted = (crashlib.contents(crashlib.dump(self.whole))
                        - crashlib.contents(crashlib.dump(acted)))
        if not self.deleted:
            raise Failure("the acts delete nothing")

    @staticmethod
    def import_command(archive):
        return crashlib.EMLFS, "import", "-a", archive, "--user", "crash", SAMPLE

    def faulted(self, home, mode, number, *command):
        """Run command with the fault; returns (result, calls counted, where it struck)."""
        state = os.path.join(home, "state")
        with open(state, "wb") as file:
            file.write(bytes(8192))
        result = run(*command, env={
            "LD_PRELOAD": crashlib.SHIM, "EMLFS_NTH_DIR": os.path.join(home, "archive"),
            "EMLFS_NTH_STATE": state, "EMLFS_NTH_MODE": mode, "EMLFS_NTH_N": str(number)})
        with open(state, "rb") as file:
            data = file.read()
        count, fired = struct.unpack_from("=QQ", data)
        where = data[16:].split(b"\0", 1)[0].decode("utf-8", "replace")
        return result, count, where.replace(home, "") if fired else None

    def home(self, name, template):
        home = os.path.join(self.dir, name)
        os.mkdir(home)
        if template:
            shutil.copytree(template, os.path.join(home, "archive"))
        return home

    def write(self, home, mode, number):
        return self.faulted(home, mode, number, crashlib.TOOL, "write",
                            os.path.join(home, "archive"), os.path.join(home, "ack"), 0, COUNT)

    def events(self, home, mode, number):
        return self.faulted(home, mode, number, crashlib.TOOL, "acts",
                            os.path.join(home, "archive"))

    def command(self, home, mode, number):
        return self.faulted(home, mode, number,
                            *self.import_command(os.path.join(home, "archive")))

    def init(self, home, mode, number):
        return self.faulted(home, mode, number, crashlib.TOOL, "init",
                            os.path.join(home, "archive"), STORE_MESSAGES)


def check_struck(where, count):
    if not where:
        raise Failure(f"the fault never struck ({count} calls this time)")


def check_code(result, mode, where, allowed=(0, 1)):
    if result.returncode not in ((-SIGKILL,) if mode == "kill" else allowed):
        raise Failure(f"at {where}: {said(result)}")


def check_exit(result, mode, acks, where):
    """The faulted run ended in an orderly way, or by the kill, and told the truth."""
    check_code(result, mode, where)
    if result.returncode == 0 and len(acks) != COUNT:
        raise Failure(f"exit 0 with {len(acks)} of {COUNT} acknowledged")
    if result.returncode == 1 and not result.stderr and len(acks) == COUNT:
        raise Failure(f"failed without a word at {where}")


def check_after(bench, home, acks):
    archive, ack = os.path.join(home, "archive"), os.path.join(home, "ack")
    crashlib.check_acknowledged(acks, crashlib.dump(archive))
    crashlib.verify(archive)
    crashlib.must(crashlib.TOOL, "write", archive, ack, 0, COUNT)
    lines = crashlib.dump(archive)
    if crashlib.logical(lines) != bench.reference:
        different = set(crashlib.logical(lines)) ^ set(bench.reference)
        raise Failure(f"repeating differs from the undisturbed run: {sorted(different)[:4]}")
    crashlib.verify(archive)


def case_write(bench, template, mode, number):
    """One fault while archiving; template is a fresh or a crashed archive."""
    home = bench.home(f"{os.path.basename(template)}-{mode}-{number}", template)
    before = crashlib.acknowledged(template + ".ack")
    where = None
    for back in range(0, 40, 8):
        shutil.rmtree(home)
        home = bench.home(os.path.basename(home), template)
        result, count, where = bench.write(home, mode, max(1, number - back))
        if where:
            break
    check_struck(where, count)
    acks = crashlib.acknowledged(os.path.join(home, "ack"))
    check_exit(result, mode, acks, where)
    try:
        check_after(bench, home, {**before, **acks})
    except Failure as failure:
        raise Failure(f"at {where}: {failure}") from None
    shutil.rmtree(home)
    return where


def case_init(bench, _, mode, number):
    """One fault while an archive is made: it is whole, or it can be made after clearing up."""
    home = bench.home(f"init-{mode}-{number}", None)
    archive = os.path.join(home, "archive")
    result, count, where = bench.init(home, mode, number)
    check_struck(where, count)
    check_code(result, mode, where)
    if result.returncode != 0:
        shutil.rmtree(archive, ignore_errors=True)
        crashlib.init(archive, STORE_MESSAGES)
    try:
        check_after(bench, home, {})
    except Failure as failure:
        raise Failure(f"at {where}: {failure}") from None
    shutil.rmtree(home)
    return where


def case_events(bench, template, mode, number):
    """One fault while users, folders, stores and entries change: consistent afterwards, and no mail
    is harmed but what is deleted."""
    home = bench.home(f"events-{mode}-{number}", template)
    result, count, where = bench.events(home, mode, number)
    check_struck(where, count)
    check_code(result, mode, where)
    archive = os.path.join(home, "archive")
    try:
        # Any command finishes what a crash left of adding or renaming a user; the dump does not.
        crashlib.must(crashlib.EMLFS, "user", "list", "-a", archive)
        lines = crashlib.dump(archive)
        acks = crashlib.acknowledged(template + ".ack")
        crashlib.check_acknowledged({number: sha for number, sha in acks.items()
                                     if sha not in bench.deleted}, lines)
        crashlib.verify(archive)
        if crashlib.dump(archive) != lines:
            raise Failure("the listing changed by being verified")
    except Failure as failure:
        raise Failure(f"at {where}: {failure}") from None
    shutil.rmtree(home)
    return where


def case_command(bench, template, mode, number):
    """One fault under `emlfs import`, with its workers: exit code 0 means that all is archived."""
    # How an import groups its commits depends on the machine's load: the last calls may be missing.
    for back in (0, 8, 64):
        home = bench.home(f"command-{mode}-{number}-{back}", template)
        result, count, where = bench.command(home, mode, max(1, number - back))
        if where:
            break
        shutil.rmtree(home)
    archive = os.path.join(home, "archive")
    check_struck(where, count)
    check_code(result, mode, where, (0, 2, 3))
    try:
        lines = crashlib.dump(archive)
        crashlib.check_acknowledged(crashlib.acknowledged(template + ".ack"), lines)
        if result.returncode == 0 and crashlib.logical(lines) != bench.imported:
            raise Failure(f"exit 0, and mail is missing: {said(result)}")
        crashlib.verify(archive)
        crashlib.must(*bench.import_command(archive))
        if crashlib.logical(crashlib.dump(archive)) != bench.imported:
            raise Failure("repeating differs from the undisturbed run")
        crashlib.verify(archive)
    except Failure as failure:
        raise Failure(f"at {where}: {failure}") from None
    shutil.rmtree(home)
    return where


def make_broken(bench):
    """An archive whose writer was killed two thirds through: opening it has work to do."""
    home = bench.home("count-kill", bench.fresh)
    _, count, _ = bench.write(home, "kill", 0)
    shutil.rmtree(home)
    home = bench.home("breaking", bench.fresh)
    bench.write(home, "kill", count * 2 // 3)
    os.rename(os.path.join(home, "archive"), bench.broken)
    os.rename(os.path.join(home, "ack"), bench.broken + ".ack")


def scenarios(bench):
    """(name, function, template, mode, number of calls it can hit)."""
    kinds = (("write", case_write, bench.fresh, bench.write),
             ("again", case_write, bench.broken, bench.write),
             ("events", case_events, bench.whole, bench.events),
             ("command", case_command, bench.whole, bench.command),
             ("init", case_init, None, bench.init))
    for mode in MODES:
        for name, case, template, action in kinds:
            home = bench.home(f"count-{name}-{mode}", template)
            _, count, _ = action(home, mode, 0)
            shutil.rmtree(home)
            if count == 0:
                raise Failure(f"{name} makes no call that {mode} can hit")
            yield name, case, template, mode, count


def plan(bench):
    """All cases, shuffled: stopping early leaves an even sample."""
    seed = int(os.environ.get("EMLFS_SEED", "1"))
    print(f"seed {seed}")
    cases = []
    for name, case, template, mode, count in scenarios(bench):
        print(f"{name} {mode}: {count} calls")
        cases += [(name, case, template, mode, number) for number in range(1, count + 1)]
    random.Random(seed).shuffle(cases)
    # One of each scenario and mode comes first, so that no sample misses one.
    first = {}
    for item in cases:
        first.setdefault((item[0], item[3]), item)
    chosen = list(first.values())
    return chosen + [item for item in cases if item not in chosen]


def run_cases(bench, cases):
    deadline = None if crashlib.LONG else time.monotonic() + BUDGET_SECONDS
    failures, done = [], {}

    def one(item):
        name, case, template, mode, number = item
        if deadline and time.monotonic() > deadline:
            return
        label = f"{name} {mode} {number}"
        try:
            case(bench, template, mode, number)
        except (Failure, OSError) as failure:
            failures.append(label)
            print(f"FAILED {label}: {failure}", flush=True)
        done[name, mode] = done.get((name, mode), 0) + 1

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, cases))
    for (name, mode), count in sorted(done.items()):
        print(f"{name} {mode}: {count} cases")
    print(f"{sum(done.values())} of {len(cases)} cases run, {len(failures)} failed")
    return not failures and len(done) == len({(item[0], item[3]) for item in cases})


def main():
    crashlib.need(crashlib.TOOL, crashlib.EMLFS)
    bench = Bench()
    try:
        bench.prepare()
        make_broken(bench)
        good = run_cases(bench, plan(bench))
        if good or not os.environ.get("EMLFS_KEEP"):
            shutil.rmtree(bench.dir)
    except Failure as failure:
        print("FAILED:", failure)
        good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
