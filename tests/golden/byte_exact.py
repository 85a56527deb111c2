#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real mail goes in and comes out unchanged: byte_exact.py mail|bench. Of a large corpus it takes
every fourth file, with EMLFS_TEST_MODE=long all.

Every file of the corpus must be archived or named in the report. What is read through the mount,
what the independent reader finds in the packs and what the sources hold must have the same SHA-256.
Counts must add up, and a second import must archive nothing.
"""
import hashlib
import json
import os
import re
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "crash"), os.path.join(HERE, "..", "reader")]
import crashlib  # noqa: E402
from crashlib import Failure, must, run, said  # noqa: E402

try:
    import read_archive
except ImportError as error:
    crashlib.skip(str(error))

crashlib.SECONDS = 900
READER = os.path.join(HERE, "..", "reader", "read_archive.py")
USER = "corpus"
LARGE = 10000


def digest(data):
    return hashlib.sha256(data).hexdigest()


def files_below(root):
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def thinned(source, at):
    """Every fourth file of a large source, or the source."""
    paths = list(files_below(source))
    if os.environ.get("EMLFS_TEST_MODE") == "long" or len(paths) < LARGE:
        return source
    for path in paths[::4]:
        to = os.path.join(at, os.path.relpath(path, source))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copyfile(path, to)
    return at


def import_all(archive, source, report):
    """Totals of the import; 3 is its code when messages were refused."""
    result = run(crashlib.EMLFS, "import", "--json", "-a", archive, "--user", USER, "--report",
                 report, source)
    if result.returncode not in (0, 3):
        raise Failure(f"import: {said(result)}")
    totals = json.loads(result.stdout.decode().strip().splitlines()[-1])
    if totals["read"] != totals["archived"] + totals["already_there"] + totals["rejected"]:
        raise Failure(f"the counts do not add up: {totals}")
    return totals


def named(report):
    """Source files that the report names: their messages were refused or they are no mail."""
    found = set()
    with open(report, encoding="utf-8") as file:
        for line in file:
            position = json.loads(line).get("position")
            if position:
                found.add(position)
                head, _, tail = position.rpartition(":")
                if tail.isdigit():
                    found.add(head)
    return found


def whole_messages(data):
    """What may be archived of a file that is one message: all, or all behind its "From " line."""
    yield data
    if data.startswith(b"From "):
        yield re.split(rb"\r\n|\r|\n", data, maxsplit=1)[-1]


def looks_like_mail(data):
    return re.match(rb"(From [^\r\n]*[\r\n]+)?[A-Za-z][A-Za-z0-9-]*:[ \t]", data) is not None \
        and re.search(rb"(?mi)^(from|subject|date|received|message-id):", data) is not None


def check_sources(source, archived, report):
    """Every file came out, is named in the report or is no mail. Returns the digests that did."""
    refused, single, several, missing, other = named(report), set(), 0, 0, 0
    for path in files_below(source):
        data = read(path)
        found = {digest(part) for part in whole_messages(data)} & archived
        if found:
            single |= found
        elif path in refused or os.path.relpath(path, source) in refused:
            missing += 1
        elif b"From " in data[:8192] and b"\nFrom " in data:
            several += 1
        elif looks_like_mail(data):
            raise Failure(f"{path} is neither archived nor in the report")
        else:
            other += 1  # what a mail program keeps beside the mail
    print(f"{len(single)} files came out as they are, {several} mboxes, {missing} in the report, "
          f"{other} no mail")
    return single


def unquoted(data):
    return re.sub(rb"(?m)^>+From ", b"From ", data)


def check_slices(source, archive, single):
    """What is no file of its own is a run of bytes of an mbox, From quoting apart."""
    heap = b"\0\0".join(unquoted(data) for data in map(read, files_below(source))
                        if b"From " in data[:8192])
    slices = 0
    for message in read_archive.Archive(archive).messages.values():
        if message.digest.hex() in single:
            continue
        slices += 1
        if unquoted(message.content()) not in heap:
            raise Failure(f"message {message.digest.hex()} stands in no source")
    print(f"{slices} messages are runs of bytes of an mbox")


def through_mount(archive, at):
    """{path below the mount: SHA-256}, read file by file."""
    os.makedirs(at, exist_ok=True)
    must(crashlib.EMLFS, "mount", archive, at)
    try:
        return {os.path.relpath(path, at): digest(read(path)) for path in files_below(at)}
    finally:
        for _ in range(20):
            if run(crashlib.EMLFS, "umount", at).returncode == 0:
                break
            time.sleep(0.2)


def through_reader(archive):
    out = must(sys.executable, READER, "list", archive)
    rows = (line.split("\t") for line in out.splitlines())
    return {os.path.join(user, path, name): sha for _, sha, _, user, path, name in rows}


def check(home, source):
    archive, report = os.path.join(home, "archive"), os.path.join(home, "report")
    must(crashlib.EMLFS, "init", archive, "--user", USER, "--unix-account", "root")
    started = time.monotonic()
    totals = import_all(archive, source, report)
    print(f"import {time.monotonic() - started:.1f} s: {totals}")
    again = import_all(archive, source, os.path.join(home, "report-again"))
    if again["archived"] or again["rejected"] != totals["rejected"]:
        raise Failure(f"the second import is not the same: {again}")
    found = through_reader(archive)
    if len(found) < totals["archived"]:
        raise Failure(f"{totals['archived']} archived, {len(found)} in the listing")
    check_slices(source, archive, check_sources(source, set(found.values()), report))
    if os.path.exists("/dev/fuse") and os.getuid() == 0:
        mounted = through_mount(archive, os.path.join(home, "mount"))
        if mounted != found:
            different = sorted(set(mounted.items()) ^ set(found.items()))
            raise Failure(f"mount and packs differ in {len(different)}: {different[:4]}")
        print(f"{len(mounted)} files read through the mount")
    else:
        print("without /dev/fuse and root: not read through the mount")
    crashlib.verify(archive)


def main():
    corpora = os.environ.get("EMLFS_CORPORA", "")
    source = os.path.join(corpora, sys.argv[1])
    if not corpora or not os.path.isdir(source):
        crashlib.skip(f"no corpus {sys.argv[1]} (EMLFS_CORPORA)")
    crashlib.need(crashlib.EMLFS)
    home = crashlib.work_dir("exact")
    try:
        check(home, thinned(source, os.path.join(home, "part")))
    except Failure as failure:
        print("FAILED:", failure)
        return 1
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
