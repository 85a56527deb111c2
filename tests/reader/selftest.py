#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The independent reader and emlfs see the same archive; the reader notices damage and wrong keys."""
import glob
import hashlib
import os
import shutil
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
import crashlib  # noqa: E402
from crashlib import Failure, must, run, said  # noqa: E402

try:
    import cryptography  # noqa: F401
    import zstandard  # noqa: F401
except ImportError as error:
    crashlib.skip(str(error))

READER = os.path.join(HERE, "read_archive.py")
LEDGER_READER = os.path.join(HERE, "read_ledger.py")
SAMPLE = os.path.join(HERE, "..", "golden", "sample")


def reader(*arguments):
    return run(sys.executable, READER, *arguments)


def listed(archive, *options):
    return must(sys.executable, READER, "list", archive, *options).splitlines()


def add_dead_packs(archive):
    """What writers leave that died before their first record: no byte, or a header alone."""
    packs = os.path.join(max(glob.glob(os.path.join(archive, "stores", "*"))), "packs")
    number = int(max(os.listdir(packs))[:8]) + 1
    store = int(os.path.basename(os.path.dirname(packs))[:5])
    head = struct.pack("<8sHHII12x32s", b"EMLFSPAK", 1, 0, store, number, os.urandom(32))
    for number, data in ((number, head), (number + 1, b"")):
        with open(os.path.join(packs, f"{number:08d}.pack"), "wb") as file:
            file.write(data)


def make(home):
    """Stores and dead packs, shared parts, mail that moved between folders, renamed folders."""
    archive, source = os.path.join(home, "archive"), os.path.join(home, "source")
    recovery = crashlib.init(archive, 60)
    must(crashlib.TOOL, "write", archive, os.path.join(home, "ack"), 0, 150)
    shutil.copytree(SAMPLE, source)
    load = (crashlib.EMLFS, "import", "-a", archive, "--user", "crash", source)
    must(*load)
    os.rename(os.path.join(source, "letters", "crlf.eml"), os.path.join(source, "odd", "crlf.eml"))
    add_dead_packs(archive)
    must(*load)
    must(crashlib.TOOL, "acts", archive)
    return archive, recovery


def check_listing(archive):
    wanted = []
    for line in crashlib.dump(archive):
        field = line.split("\t")
        if field[0] == "entry":
            user, _, path = field[9][1:].partition("/")
            wanted.append("\t".join((field[1], field[3], user, path, field[10])))
    found = [line.split("\t", 1)[1] for line in listed(archive)]
    if sorted(wanted) != sorted(found):
        raise Failure(f"listings differ: {sorted(set(wanted) ^ set(found))[:6]}")
    print(f"{len(found)} entries agree")


def check_extract(home, archive):
    target = os.path.join(home, "out")
    must(sys.executable, READER, "extract", archive, target)
    for line in listed(archive):
        _, digest, size, user, path, name = line.split("\t")
        with open(os.path.join(target, user, path, name), "rb") as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != digest or len(data) != int(size):
            raise Failure(f"{name} was not extracted as it was archived")


def check_recovery_key(home, archive, recovery):
    key = os.path.join(home, "recovery")
    with open(key, "w", encoding="ascii") as file:
        file.write(recovery.upper() + "\n")
    os.rename(os.path.join(archive, "keys", "machine.key"), os.path.join(home, "machine.key"))
    if reader("list", archive).returncode == 0:
        raise Failure("read without a key")
    if not listed(archive, "--recovery-key", key):
        raise Failure("nothing was read with the recovery key")
    shutil.move(os.path.join(home, "machine.key"), os.path.join(archive, "keys", "machine.key"))


def check_ledger(home, archive):
    """The reader agrees with the ledger and the packs, and notices what one lacks of the other."""
    print(must(sys.executable, LEDGER_READER, "against", archive).strip())
    older = os.path.join(home, "older")
    shutil.copytree(archive, older)
    must(crashlib.TOOL, "write", archive, os.path.join(home, "ack"), 9000, 3)
    must(sys.executable, LEDGER_READER, "against", archive)
    shutil.rmtree(os.path.join(older, "stores"))
    shutil.copytree(os.path.join(archive, "stores"), os.path.join(older, "stores"))
    result = run(sys.executable, LEDGER_READER, "against", older)
    if result.returncode != 1 or b"has no record" not in result.stderr:
        raise Failure(f"packs that the ledger does not know: {said(result)}")
    tile = os.path.join(older, "ledger", "tiles", "0")
    with open(tile, "r+b") as file:
        file.write(b"x")
    if run(sys.executable, LEDGER_READER, "check", older).returncode != 1:
        raise Failure("a tile was altered and nobody noticed")


def check_damage(archive):
    pack = max(glob.glob(os.path.join(archive, "stores", "*", "packs", "*.pack")),
               key=os.path.getsize)
    with open(pack, "r+b") as file:
        file.seek(os.path.getsize(pack) // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    result = reader("digest", archive)
    if result.returncode != 1 or b"Traceback" in result.stderr:
        raise Failure(f"damage: {said(result)}")


def main():
    crashlib.need(crashlib.TOOL, crashlib.EMLFS)
    home = crashlib.work_dir("reader")
    try:
        archive, recovery = make(home)
        check_listing(archive)
        check_extract(home, archive)
        check_recovery_key(home, archive, recovery)
        if len(must(sys.executable, READER, "digest", archive).strip()) != 64:
            raise Failure("no digest")
        check_ledger(home, archive)
        check_damage(archive)
    except Failure as failure:
        print("FAILED:", failure)
        return 1
    finally:
        shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
