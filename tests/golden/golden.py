#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden cases: what is imported from tests/golden/sample, and archives that must stay readable.

    golden.py                 check sample against sample.expected, and each format-v* folder
    golden.py --update        write sample.expected anew (look at the difference before keeping it)
    golden.py --make VERSION  make format-vVERSION (once for each format; never made anew)
"""
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
import crashlib  # noqa: E402
from crashlib import Failure, must  # noqa: E402

SAMPLE = os.path.join(HERE, "sample")
EXPECTED = os.path.join(HERE, "sample.expected")
READER = os.path.join(HERE, "..", "reader", "read_archive.py")
# Maildir and file times become dates where a message has none: the same everywhere.
FILE_TIME = 1772000000


def import_sample(home):
    source, archive = os.path.join(home, "sample"), os.path.join(home, "archive")
    shutil.copytree(SAMPLE, source)
    for folder, _, names in os.walk(source):
        for name in names:
            os.utime(os.path.join(folder, name), (FILE_TIME, FILE_TIME))
    must(crashlib.EMLFS, "init", archive, "--user", "anna", "--unix-account", "root",
         "--timezone", "Europe/Berlin")
    must(crashlib.EMLFS, "import", "-a", archive, "--user", "anna", source)
    return archive


def lines_of(archive):
    return ["\t".join(row) + "\n" for row in crashlib.logical(crashlib.dump(archive))]


def check_sample(home, update):
    archive = import_sample(home)
    crashlib.verify(archive)
    found = lines_of(archive)
    if update:
        with open(EXPECTED, "w", encoding="utf-8") as file:
            file.writelines(found)
    with open(EXPECTED, encoding="utf-8") as file:
        wanted = file.readlines()
    if found != wanted:
        raise Failure("the sample is archived otherwise:\n" + "".join(
            f"{'+' if line in found else '-'} {line}" for line in sorted({*found} ^ {*wanted})))
    before = crashlib.dump(archive)
    must(crashlib.EMLFS, "import", "-a", archive, "--user", "anna", os.path.join(home, "sample"))
    if crashlib.dump(archive) != before:
        raise Failure("a second import of the sample changed the archive")
    print(f"sample: {len(found)} lines")


def reader_list(archive):
    return must(sys.executable, READER, "list", archive).splitlines(keepends=True)


def check_format(home, folder):
    """An archive of an earlier day: verified, listed by emlfs and by the reader, rebuilt."""
    archive = os.path.join(home, os.path.basename(folder))
    shutil.copytree(os.path.join(folder, "archive"), archive)
    with open(os.path.join(folder, "dump"), encoding="utf-8") as file:
        wanted = file.read().splitlines()
    with open(os.path.join(folder, "list"), encoding="utf-8") as file:
        if reader_list(archive) != file.readlines():
            raise Failure(f"{folder}: the reader lists it otherwise")
    crashlib.verify(archive)
    if crashlib.dump(archive) != wanted:
        raise Failure(f"{folder}: emlfs lists it otherwise")
    must(crashlib.EMLFS, "recover", "-a", archive)
    if crashlib.dump(archive) != wanted:
        raise Failure(f"{folder}: it is another one after recovery")
    print(f"{os.path.basename(folder)}: {len(wanted)} lines")


def make_format(home, version):
    folder = os.path.join(HERE, f"format-v{version}")
    os.mkdir(folder)
    archive = import_sample(home)
    crashlib.verify(archive)
    with open(os.path.join(folder, "dump"), "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in crashlib.dump(archive))
    with open(os.path.join(folder, "list"), "w", encoding="utf-8") as file:
        file.writelines(reader_list(archive))
    shutil.copytree(archive, os.path.join(folder, "archive"))


def main():
    crashlib.need(crashlib.TOOL, crashlib.EMLFS)
    home = crashlib.work_dir("golden")
    try:
        if "--make" in sys.argv:
            make_format(home, sys.argv[-1])
            return 0
        check_sample(home, "--update" in sys.argv)
        for name in sorted(os.listdir(HERE)):
            if name.startswith("format-v"):
                check_format(home, os.path.join(HERE, name))
    except Failure as failure:
        print("FAILED:", failure)
        return 1
    finally:
        shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
