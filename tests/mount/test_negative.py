# SPDX-License-Identifier: GPL-3.0-or-later
"""One system call, one caller, one object, one exact errno; cold, and with warmed caches.

Nothing here changes the archive: every cell is a call that must fail, or one that changes nothing.
The tables are in negative_expected.py.
"""
import ctypes
import errno
import os
import unittest

import negative_expected as expected
from governed import GovernedSite
from harness import main, run_as

LETTERS = {"-": 0, "A": errno.EACCES, "N": errno.ENOENT, "P": errno.EPERM, "R": errno.EROFS,
           "D": errno.ENOTDIR, "I": errno.EISDIR, "E": errno.EEXIST, "T": errno.ENOTEMPTY,
           "V": errno.EINVAL}
EXCHANGE = 2
LIBC = ctypes.CDLL(None, use_errno=True)


def open_with(flags):
    return lambda path, other: os.close(os.open(path, flags, 0o640))


def chmod_same(path, other):
    os.chmod(path, os.stat(path).st_mode & 0o7777)


def chown_same(path, other):
    st = os.stat(path)
    os.chown(path, st.st_uid, st.st_gid)


def times_same(path, other):
    st = os.stat(path)
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def beside(path, name):
    return os.path.join(os.path.dirname(path), name)


def exchange(path, other):
    if LIBC.renameat2(-100, path.encode(), -100, other.encode(), EXCHANGE):
        raise OSError(ctypes.get_errno(), "renameat2")


# Each with the path of the object, and that of another thing of its kind.
CALLS = {
    "open w": open_with(os.O_WRONLY),
    "open trunc": open_with(os.O_RDWR | os.O_TRUNC),
    "open excl": open_with(os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "truncate": lambda path, other: os.truncate(path, 0),
    "unlink": lambda path, other: os.unlink(path),
    "rmdir": lambda path, other: os.rmdir(path),
    "mkdir": lambda path, other: os.mkdir(path),
    "symlink": lambda path, other: os.symlink("x", path),
    "mknod": lambda path, other: os.mkfifo(path),
    "chmod": lambda path, other: os.chmod(path, 0o757),
    "chown": lambda path, other: os.chown(path, 12345, 12345),
    "utimens": lambda path, other: os.utime(path, ns=(1, 1)),
    "chmod same": chmod_same,
    "chown same": chown_same,
    "utimens same": times_same,
    "setxattr": lambda path, other: os.setxattr(path, "user.test", b"x"),
    "link": lambda path, other: os.link(path, beside(path, "hard link")),
    "link over": lambda path, other: os.link(other, path),
    "rename": lambda path, other: os.rename(path, path + ".new"),
    "rename over": lambda path, other: os.rename(path, other),
    "move over": lambda path, other: os.rename(other, path),
    "exchange": exchange,
}


def try_all(who, rows, moved_to):
    """In a process of that caller: what came out otherwise than the rows say."""
    wrong = []
    calls = CALLS | {"move": lambda path, other: os.rename(
        path, os.path.join(moved_to, os.path.basename(path)))}
    for what, path, other, call, letter in rows:
        got = 0
        try:
            calls[call](path, other)
        except OSError as error:
            got = error.errno
        if got != LETTERS[letter]:
            name = next((a for a, code in LETTERS.items() if code == got),
                        errno.errorcode.get(got, got))
            wrong.append(f"{what}: {call} as {who}: {name}, not {letter}")
    return wrong


def warm(top):
    """All that somebody does in a day, so that names, attributes, listings and pages are cached."""
    for folder, names, files in os.walk(top):
        for name in names + files:
            os.stat(os.path.join(folder, name))
        for name in files:
            try:
                with open(os.path.join(folder, name), "rb") as stream:
                    stream.read()
            except PermissionError:
                pass  # the audit is not for everybody


class Negative(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.site = GovernedSite()
        try:
            cls.site.make()
            cls.site.rule_mail()
            cls.make_objects()
            cls.site.umount()
        except BaseException:
            cls.site.clean()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.site.clean()

    @classmethod
    def make_objects(cls):
        """Every object: its name here, table, columns, path, and another thing of its kind."""
        site, at = cls.site, cls.site.path
        for name in ("alice/Empty", "alice/Other", "alice/Searches/subject:number",
                     "alice/Searches/subject:message"):
            run_as("alice", os.mkdir, at(name))
        paths = site.all_paths("alice", "alice")
        kept, held, free, old = paths[25], paths[10], paths[5], paths[71]
        inbox, empty = os.path.dirname(free), at("alice/Empty")
        search, query = at("alice/Searches/subject:number"), at("alice/.query/subject:number")
        hold = at("Holds/lawsuit")
        cls.moved_to = empty

        def inside(folder, path):
            return os.path.join(folder, os.path.basename(path))
        mail = [
            ("kept", "KEPT", kept, paths[26]), ("held", "HELD", held, paths[26]),
            ("free", "FREE", free, paths[26]), ("protected", "PROTECTED", old, paths[72]),
            ("shown by a search", "SHOWN", inside(search, kept), inside(search, paths[26])),
            ("shown by a query", "SHOWN", inside(query, kept), inside(query, paths[26])),
            ("full folder", "FULL", inbox, at("alice/Projects")),
            ("empty folder", "EMPTY", empty, at("alice/Projects")),
            ("top folder", "TOP", at("alice"), at("bob")), ("root", "ROOT", site.mnt, at("alice")),
            ("Searches", "SEARCHES", at("alice/Searches"), empty),
            (".query", "SEARCHES", at("alice/.query"), empty),
            ("a search", "SEARCH", search, at("alice/Searches/subject:message")),
            ("a query", "QUERY", query, empty),
            ("missing", "MISSING", os.path.join(inbox, "new.eml"), kept),
            ("missing in top", "MISSING_IN_TOP", at("alice/new"), empty),
            ("no name in top", "NO_NAME_IN_TOP", at("alice/what?"), empty),
            ("missing in root", "MISSING_IN_ROOT", at("new"), empty),
            ("missing in Searches", "MISSING_IN_SEARCHES", at("alice/Searches/new"), empty),
            ("no query in Searches", "NO_QUERY_IN_SEARCHES", at("alice/Searches/date:x"), empty),
            ("no query", "NO_QUERY", at("alice/.query/date:x"), empty),
            ("missing in a search", "MISSING_IN_VIEW", os.path.join(search, "new.eml"), kept),
            ("missing in a query", "MISSING_IN_VIEW", os.path.join(query, "new.eml"), kept),
            ("litter", "LITTER", os.path.join(inbox, "Thumbs.db"), kept),
            ("litter in top", "LITTER_IN_TOP", at("alice/.Trash-1"), empty),
            ("litter in root", "LITTER_IN_ROOT", at(".Trash-1"), empty),
            ("litter in Searches", "LITTER", at("alice/Searches/desktop.ini"), empty),
            ("litter in a search", "LITTER", os.path.join(search, "desktop.ini"), kept),
        ]
        offices = [
            ("Holds", "HOLDS", at("Holds")), ("a hold", "HOLD", hold),
            ("shown by a hold", "IN_HOLD", inside(hold, held)),
            ("missing in a hold", "MISSING_IN_HOLD", os.path.join(hold, "new.eml")),
            (".emlfs", "CONTROL", at(".emlfs")), ("status.json", "TEXT", at(".emlfs/status.json")),
            ("audit", "TEXT", at(".emlfs/audit")), ("due", "CONTROL", at(".emlfs/due")),
            ("missing in .emlfs", "MISSING_IN_CONTROL", at(".emlfs/new")),
        ]
        cls.objects = [(what, table, expected.MAIL, path, other)
                       for what, table, path, other in mail]
        cls.objects += [(what, table, expected.OFFICES, path, path)
                        for what, table, path in offices]

    def rows(self):
        """caller → what to try and what must come of it."""
        rows = {}
        for what, table, columns, path, other in self.objects:
            for calls, letters in flat(getattr(expected, table)).items():
                for people, letter in zip(columns, letters, strict=True):
                    for who in people if letter != "*" else ():
                        rows.setdefault(who, []).append((what, path, other, calls, letter))
        return rows

    def try_each(self, before):
        wrong = []
        for who, rows in self.rows().items():
            before(who)
            wrong += run_as(who, try_all, who, rows, self.moved_to)
        return wrong

    def check(self, before):
        wrong = self.try_each(before)
        self.assertEqual(len(wrong), 0, "\n" + "\n".join(wrong))

    def test_cold(self):
        """Each caller is the first who uses the mount."""
        def mount_anew(who):
            self.site.umount(check=False)
            self.site.mount()
        try:
            self.check(mount_anew)
        finally:
            self.site.umount()

    def test_warmed_by_others(self):
        def warm_again(who):
            for other in ("alice", "auditor"):
                if other != who:
                    run_as(other, warm, self.site.mnt)
        self.site.mount()
        try:
            self.check(warm_again)
            whole = self.site.all_paths("alice", "auditor")
            self.assertEqual(len(whole), 75)
        finally:
            self.site.umount()


def flat(table):
    """call → letters; a later row of a table that is built on another one says it again."""
    return {call: letters for calls, letters in table.items() for call in calls.split("|")}


if __name__ == "__main__":
    main()
