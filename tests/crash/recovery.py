#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every LevelDB directory is removed; `emlfs recover` gives back the same listing and metadata."""
import glob
import os
import shutil
import sys

import crashlib
from crashlib import Failure, must

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "sample")


def make(home):
    archive, ack = os.path.join(home, "archive"), os.path.join(home, "ack")
    crashlib.init(archive, 150)
    must(crashlib.TOOL, "write", archive, ack, 0, 400)
    must(crashlib.TOOL, "events", archive)
    must(crashlib.TOOL, "write", archive, ack, 390, 30)
    must(crashlib.EMLFS, "import", "-a", archive, "--user", "crash", SAMPLE)
    return archive


def databases(archive):
    found = glob.glob(os.path.join(archive, "stores", "*", "catalog"))
    return found + [os.path.join(archive, "master")]


def same(before, after, what):
    if before == after:
        return
    different = sorted(set(before) ^ set(after))
    raise Failure(f"{what}: {len(different)} lines differ: {different[:6]}")


def recover_all(home, archive):
    before = crashlib.dump(archive)
    if len(databases(archive)) < 3:
        raise Failure(f"expected several stores: {databases(archive)}")
    for directory in databases(archive):
        shutil.rmtree(directory)
    must(crashlib.EMLFS, "recover", "-a", archive)
    same(before, crashlib.dump(archive), "recovered")
    crashlib.verify(archive)
    must(crashlib.EMLFS, "recover", "-a", archive)
    same(before, crashlib.dump(archive), "recovered twice")
    crashlib.verify(archive)
    must(crashlib.TOOL, "write", archive, os.path.join(home, "ack"), 0, 420)
    same(before, crashlib.dump(archive), "import repeated after recovery")
    must(crashlib.TOOL, "write", archive, os.path.join(home, "ack"), 5000, 10)
    crashlib.verify(archive)
    print(f"{sum(line.startswith('entry') for line in before)} entries, "
          f"{len(databases(archive))} databases rebuilt")


def recover_each(archive):
    """Any one database lost, the others kept."""
    before = crashlib.dump(archive)
    for directory in databases(archive):
        shutil.rmtree(directory)
        must(crashlib.EMLFS, "recover", "-a", archive)
        same(before, crashlib.dump(archive), f"without {os.path.relpath(directory, archive)}")
    crashlib.verify(archive)


def main():
    crashlib.need(crashlib.TOOL, crashlib.EMLFS)
    home = crashlib.work_dir("recovery")
    try:
        archive = make(home)
        recover_all(home, archive)
        recover_each(archive)
    except Failure as failure:
        print("FAILED:", failure)
        return 1
    finally:
        shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
