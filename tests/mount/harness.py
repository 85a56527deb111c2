# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mount tests share: an archive with generated mail, a real mount, several users.

The archive users alice and bob are bound to accounts that every Debian has, so that nothing has to
be added to the machine. EMLFS_BIN (or EMLFS) names the program. Exit code 77: cannot run here.
"""
import atexit
import errno
import fcntl
import hashlib
import os
import pickle
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ACCOUNTS = {"alice": "daemon", "bob": "bin", "stranger": "nobody"}
EMLFS = os.environ.get("EMLFS_BIN") or os.environ.get("EMLFS") or "emlfs"
SLOW = 3 if os.environ.get("EMLFS_SLOW") else 1
templates = os.environ.get("EMLFS_TEMPLATES")


def skip_unless_possible():
    """Leave with 77 where a mount cannot be made."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("needs root and /dev/fuse")
        sys.exit(77)
    if not shutil.which(EMLFS):
        print("no emlfs program: set EMLFS_BIN")
        sys.exit(77)


def uid_of(person):
    return pwd.getpwnam(ACCOUNTS.get(person, person)).pw_uid


def become(person):
    entry = pwd.getpwnam(ACCOUNTS.get(person, person))
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def run_as(person, function, *args):
    """Call function as person; its value, or its OSError raised here."""
    if threading.active_count() > 1:  # they would all become person
        answer = answer_of_child(person, function, *args)
    else:
        answer = answer_in_here(person, function, *args)
    if answer[0] == "oserror":
        raise OSError(answer[1], answer[2])
    if answer[0] == "error":
        raise AssertionError(answer[1])
    return answer[1]


def answer_of(function, *args):
    """The value, or the error without what hangs on it."""
    try:
        return "value", function(*args)
    except OSError as error:
        return "oserror", error.errno, str(error)
    except BaseException as error:  # the parent must hear of it
        return "error", repr(error)


def answer_in_here(person, function, *args):
    """For a moment this process is person: a process of its own costs a hundred times as much.
    Only the saved ids stay root's, which the kernel looks at for nothing but the way back."""
    entry = pwd.getpwnam(ACCOUNTS.get(person, person))
    groups, folder = os.getgroups(), os.getcwd()
    open_before = open_files()
    os.chdir("/")
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, 0)
    os.setresuid(entry.pw_uid, entry.pw_uid, 0)
    try:
        answer = answer_of(function, *args)
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)
        os.chdir(folder)
    for fd in open_files() - open_before:
        os.close(fd)  # as the end of a process of its own would
    return answer


def open_files():
    """Numbers of this process's open files, without that of looking for them."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
            found.add(int(name))
        except OSError:
            pass
    return found


def answer_of_child(person, function, *args):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            os.chdir("/")
            become(person)
            answer = answer_of(function, *args)
        except OSError as error:
            answer = ("error", repr(error))
        with os.fdopen(writer, "wb") as out:
            pickle.dump(answer, out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = pickle.load(stream)
    os.waitpid(pid, 0)
    return answer


def errno_as(person, function, *args):
    """0 when function succeeds as person, its errno otherwise."""
    try:
        run_as(person, function, *args)
        return 0
    except OSError as error:
        return error.errno


def command(*argv, person="root", timeout=300, cwd="/", **options):
    """Run a program as person; the completed process with text output."""
    return subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=timeout, cwd=cwd, errors="replace",
                          preexec_fn=lambda: person != "root" and become(person), **options)


def message(number, body_bytes=600, date="Sun, 01 Mar 2026 09:13:07 +0000"):
    """One small message; the same number gives the same bytes."""
    seed = hashlib.sha256(b"mail %d" % number).hexdigest()
    lines = [f"From: Sender {number} <s{number}@example.org>", "To: Reader <r@example.net>",
             f"Subject: Message number {number}", f"Date: {date}",
             f"Message-ID: <{seed}@example.org>", "", f"Body of {number}: findme-{seed[:8]}"]
    text = "\r\n".join(lines) + "\r\n"
    while len(text) < body_bytes:
        seed = hashlib.sha256(seed.encode()).hexdigest()
        text += seed + "\r\n"
    return text.encode()


def write_mail(folder, numbers, body_bytes=600):
    os.makedirs(folder, exist_ok=True)
    for number in numbers:
        with open(os.path.join(folder, f"m{number}.eml"), "wb") as out:
            out.write(message(number, body_bytes))


def sha_of(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def files_below(top):
    """Sorted paths of all regular files; directories that refuse to be listed are an error."""
    def refuse(error):
        raise error
    found = []
    for folder, _, names in os.walk(top, onerror=refuse):
        found += [os.path.join(folder, name) for name in names]
    return sorted(found)


def dirs_below(top):
    return sorted(folder for folder, _, _ in os.walk(top))


def snapshot(top):
    """relative path → what has to be the same after every mount."""
    result = {}
    for folder, names, files in os.walk(top):
        for name in names + files + ["."]:
            path = os.path.normpath(os.path.join(folder, name))
            st = os.lstat(path)
            result[os.path.relpath(path, top)] = (st.st_ino, st.st_mode, st.st_uid, st.st_gid,
                                                  st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    return result


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def umount8(point):
    """By umount(8); something else on the machine may just be looking there."""
    return wait_until(lambda: command("umount", point).returncode == 0)


def gone(pid):
    """The process has ended (its parent may not have taken notice yet)."""
    try:
        with open(f"/proc/{pid}/stat") as stat_file:
            return stat_file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def mounts_at(path):
    """Rows of the mount table for path: (type, source, options)."""
    rows = []
    with open("/proc/self/mountinfo") as table:
        for line in table:
            left, right = line.rstrip("\n").split(" - ", 1)
            fields, tail = left.split(" "), right.split(" ")
            if fields[4].replace("\\040", " ") == path:
                rows.append((tail[0], tail[1], set(fields[5].split(","))))
    return rows


def template(name, make):
    """A folder that make(folder) filled, once for this program: by whichever test asks first, where
    tests/run has set EMLFS_TEMPLATES, else by each test program. To be copied, not changed."""
    global templates
    if not templates:
        templates = tempfile.mkdtemp(prefix="emlfs-templates-")
        atexit.register(shutil.rmtree, templates, ignore_errors=True)
    program = os.stat(shutil.which(EMLFS))
    folder = os.path.join(templates, f"{name}-{program.st_size}-{program.st_mtime_ns}")
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            making = folder + ".new"
            shutil.rmtree(making, ignore_errors=True)
            os.mkdir(making)
            make(making)
            os.rename(making, folder)
    return folder


class Site:
    """An archive, its mount point, and a place for sources, below one temporary directory."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="emlfs-mount-")
        os.chmod(self.top, 0o755)
        self.archive = os.path.join(self.top, "archive")
        self.mnt = os.path.join(self.top, "mnt")
        self.source = os.path.join(self.top, "source")
        self.request_log = os.path.join(self.top, "requests")
        self.process = None
        os.mkdir(self.mnt)
        os.mkdir(self.source)

    def emlfs(self, *argv, check=True, **options):
        done = command(EMLFS, *argv, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"emlfs {argv}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def make(self):
        """The archive with alice and bob, and some mail of each; made once, and copied."""
        made = template(type(self).__name__, self.make_in)
        for name in ("archive", "source"):
            shutil.copytree(os.path.join(made, name), getattr(self, name), symlinks=True,
                            ignore=shutil.ignore_patterns("control"), dirs_exist_ok=True)

    def make_in(self, folder):
        """As make, below folder."""
        places = self.archive, self.source
        self.archive, self.source = (os.path.join(folder, name) for name in ("archive", "source"))
        try:
            self.make_new()
        finally:
            self.archive, self.source = places

    def make_new(self):
        self.emlfs("init", self.archive, "--user", "alice", "--unix-account", ACCOUNTS["alice"])
        self.emlfs("user", "add", "-a", self.archive, "--unix-account", ACCOUNTS["bob"], "bob")
        write_mail(os.path.join(self.source, "alice", "Inbox"), range(1, 41))
        write_mail(os.path.join(self.source, "alice", "Projects", "2026"), range(41, 51), 20000)
        write_mail(os.path.join(self.source, "alice", "Projects"), [60], 3 << 20)
        write_mail(os.path.join(self.source, "bob", "Inbox"), range(100, 120))
        write_mail(os.path.join(self.source, "bob", "Inbox"), range(1, 4))
        for name in ("alice", "bob"):
            self.load(name, os.path.join(self.source, name))

    def load(self, user, source):
        return self.emlfs("import", "-a", self.archive, "--user", user, source)

    def expected(self, user):
        """Sorted SHA-256 of everything that was loaded for user."""
        return sorted(sha_of(path) for path in files_below(os.path.join(self.source, user)))

    def mount(self, options="rw", check=True, **more):
        return self.emlfs("mount", self.archive, self.mnt, "-o", options, check=check, **more)

    def mount_logged(self):
        """In the foreground; each request of the kernel is written to self.request_log."""
        with open(self.request_log, "wb") as out:
            self.process = subprocess.Popen([EMLFS, "mount", self.archive, self.mnt, "-f", "-o",
                                             "rw,debug"], stderr=out)
        if not wait_until(lambda: mounts_at(self.mnt), 30):
            raise AssertionError("it is not mounted")

    def requests_since(self, before):
        """kind → how many, behind that many bytes of the log."""
        with open(self.request_log, "rb") as stream:
            stream.seek(before)
            kinds = re.findall(rb"opcode: ([A-Z_0-9]+)", stream.read())
        return {kind.decode(): kinds.count(kind) for kind in set(kinds)}

    def umount(self, check=True, point=None):
        """check: until it succeeds; something else on the machine may just be looking there."""
        point = point or self.mnt
        done = self.emlfs("umount", point, check=False)
        end = time.monotonic() + 10 * SLOW
        while check and "is in use" in done.stderr and time.monotonic() < end:
            time.sleep(0.05)
            done = self.emlfs("umount", point, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"umount {point}: {done.returncode}\n{done.stderr}")
        if done.returncode == 0:
            wait_until(lambda: not mounts_at(point))
        return done

    def wait_closed(self):
        """An unmount does not wait for the mount process, which closes the archive behind it."""
        def closed():
            with open(os.path.join(self.archive, "lock")) as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                except BlockingIOError:
                    return False
        if not wait_until(closed, 30):
            raise AssertionError(f"{self.archive} is still open")

    def path(self, *parts):
        return os.path.join(self.mnt, *parts)

    def pid(self):
        """The mount process, by its own word."""
        import json
        with open(self.path(".emlfs", "status.json")) as stream:
            return json.load(stream)["pid"]

    def clean(self):
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=60)
        for _ in range(4):
            if not mounts_at(self.mnt):
                break
            subprocess.run(["umount", "-l", self.mnt], stderr=subprocess.DEVNULL, check=False)
        time.sleep(0.2)
        shutil.rmtree(self.top, ignore_errors=True)


class MountTest(unittest.TestCase):
    """A test class over one Site; OPTIONS None: the tests mount by themselves."""

    OPTIONS = "rw"

    @classmethod
    def setUpClass(cls):
        cls.site = Site()
        try:
            cls.place(cls.site)
            cls.site.make()
            if cls.OPTIONS is not None:
                cls.site.mount(cls.OPTIONS)
        except BaseException:
            cls.site.clean()
            raise

    @classmethod
    def place(cls, site):
        """Where the archive is to be, if not beside its mount point."""

    @classmethod
    def tearDownClass(cls):
        cls.site.clean()

    def needs(self, *programs):
        for program in programs:
            if not shutil.which(program):
                self.skipTest(program + " is not installed")

    def owner_files(self, user="alice"):
        return run_as(user, files_below, self.site.path(user))

    def assert_errno(self, person, wanted, function, *args):
        got = errno_as(person, function, *args)
        wanted = wanted if isinstance(wanted, (set, tuple)) else {wanted}
        self.assertIn(got, wanted, f"{person} {function.__name__} {args}: got "
                      f"{errno.errorcode.get(got, got)}")


def main():
    skip_unless_possible()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    unittest.main(verbosity=2)


__all__ = [name for name in dir() if not name.startswith("_")]
assert stat  # used by the tests that import *
