# SPDX-License-Identifier: GPL-3.0-or-later
"""What the crash tests share: the programs under test, acknowledgements, listings."""
import os
import shutil
import subprocess
import sys
import tempfile

BUILD = os.environ.get("EMLFS_BUILD", "build")
EMLFS = os.environ.get("EMLFS", os.path.join(BUILD, "emlfs"))
TOOL = os.environ.get("EMLFS_CRASH_TOOL", os.path.join(BUILD, "tests", "crash_tool"))
SHIM = os.environ.get("EMLFS_NTH_SHIM", os.path.join(BUILD, "tests", "libnth_shim.so"))
LONG = os.environ.get("EMLFS_TEST_MODE") == "long"
SECONDS = 120  # no step takes longer, unless it hangs


class Failure(Exception):
    """What a test found."""


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def need(*programs):
    for program in programs:
        if not os.access(program, os.X_OK) and not shutil.which(program):
            skip(f"{program} is not here")


def work_dir(name):
    """A scratch folder in memory where that is possible: these tests are bound by fsync."""
    parent = None
    if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK):
        space = os.statvfs("/dev/shm")
        if space.f_bavail * space.f_frsize > 512 << 20:
            parent = "/dev/shm"
    return os.path.realpath(tempfile.mkdtemp(prefix=f"emlfs-{name}-", dir=parent))


def run(*command, env=None, stdin=subprocess.DEVNULL):
    return subprocess.run([str(c) for c in command], env={**os.environ, **(env or {})},
                          stdin=stdin, capture_output=True, timeout=SECONDS, check=False)


def said(result):
    text = result.stderr.decode("utf-8", "replace") + result.stdout.decode("utf-8", "replace")
    return f"exit {result.returncode}: {text[-1500:].strip()}"


def must(*command, env=None):
    result = run(*command, env=env)
    if result.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: {said(result)}")
    return result.stdout.decode("utf-8", "surrogateescape")


def init(archive, store_messages=1000000):
    return must(TOOL, "init", archive, store_messages).strip()


def verify(archive):
    must(EMLFS, "verify", "-a", archive)


def dump(archive):
    """Listing lines; reading every message back is part of it."""
    return must(TOOL, "dump", archive).splitlines()


def contents(lines):
    """SHA-256 of every message that an entry names."""
    return {line.split("\t")[1] for line in lines if line.startswith("entry\t")}


def logical(lines):
    """What must be the same however the archive came to hold it: no ids, no times of archiving."""
    out = []
    for line in lines:
        field = line.split("\t")
        if field[0] == "entry":
            sha, _, size, mtime, _, nlink, flags, facts, path, name = field[1:11]
            out.append(("entry", path, sha, size, mtime, nlink, flags, facts,
                        name.rsplit(" [", 1)[0]))
        elif field[0] == "folder":
            out.append(("folder", field[7], field[6]))
        elif field[0] == "user":
            out.append(("user", field[3], *field[5:]))
    return sorted(out)


def acknowledged(path):
    """SHA-256 of each message that was reported durable, by number. A torn last line is none."""
    acks = {}
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("a ") and line.endswith("\n"):
                    _, number, sha = line.split()
                    acks[int(number)] = sha
    except FileNotFoundError:
        pass
    return acks


def check_acknowledged(acks, lines):
    lost = set(acks.values()) - contents(lines)
    if lost:
        numbers = sorted(n for n, sha in acks.items() if sha in lost)
        raise Failure(f"{len(lost)} of {len(acks)} acknowledged messages are lost: {numbers[:10]}")
