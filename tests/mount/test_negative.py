# SPDX-License-Identifier: GPL-3.0-or-later
"""One system call, one caller, one object, one exact errno; cold, and after somebody warmed the caches.

Nothing here changes the archive: every cell is a call that must fail, or one that changes nothing.
The tables are written by hand from the rules of the file system, never from the code. A cell is the
letter of its errno:

  -  0    A EACCES   N ENOENT   P EPERM   R EROFS   D ENOTDIR   I EISDIR
  E EEXIST  T ENOTEMPTY  V EINVAL  X ENODATA  S EOPNOTSUPP

The kernel decides first: it refuses by the mode bits that the mount shows (A), by ownership for
chmod and utimensat (P), and by type (D, I) before the file system is asked.
"""
import errno
import os
import unittest

from governed import GovernedSite
from harness import errno_as, main, run_as

LETTERS = {"-": 0, "A": errno.EACCES, "N": errno.ENOENT, "P": errno.EPERM, "R": errno.EROFS,
           "D": errno.ENOTDIR, "I": errno.EISDIR, "E": errno.EEXIST, "T": errno.ENOTEMPTY,
           "V": errno.EINVAL, "X": errno.ENODATA, "S": errno.EOPNOTSUPP}
WHO = ("alice", "reader", "writer", "deleter", "member", "bob", "stranger", "admin", "access",
       "auditor", "root")


def open_with(flags):
    def call(path):
        os.close(os.open(path, flags, 0o640))
    call.__name__ = f"open {flags:o}"
    return call


def create_in(path):
    os.close(os.open(os.path.join(path, "new.eml"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))


def litter_in(path):
    os.close(os.open(os.path.join(path, "Thumbs.db"), os.O_WRONLY | os.O_CREAT, 0o640))


def mkdir_litter(path):
    os.mkdir(os.path.join(path, ".Trash-1"))


def mkdir_over(path):
    os.mkdir(path)


def chmod_other(path):
    os.chmod(path, 0o777)


def chmod_same(path):
    os.chmod(path, os.stat(path).st_mode & 0o7777)


def chown_other(path):
    os.chown(path, 12345, 12345)


def times_other(path):
    os.utime(path, ns=(1, 1))


def times_same(path):
    st = os.stat(path)
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def link_to(path):
    os.link(path, os.path.join(os.path.dirname(path), "hard link"))


def symlink_in(path):
    os.symlink("x", os.path.join(path, "link"))


def fifo_in(path):
    os.mkfifo(os.path.join(path, "fifo"))


def rename_in_place(path):
    os.rename(path, path + ".new")


def rename_over(path):
    """Onto another message of the folder."""
    folder = os.path.dirname(path)
    other = [name for name in sorted(os.listdir(folder)) if name != os.path.basename(path)
             and not os.path.isdir(os.path.join(folder, name))][0]
    os.rename(path, os.path.join(folder, other))


def set_xattr(path):
    os.setxattr(path, "user.test", b"x")


def get_xattr(path):
    os.getxattr(path, "user.emlfs.id")


# A message nobody may delete now (a policy keeps it), seen by a path through its folder.
KEPT = {
    #                        alice reader writer deleter member bob stranger admin access auditor root
    "open w":               "A     A      A      A       A      N   N        N     A      A       A",
    "open rw trunc":        "A     A      A      A       A      N   N        N     A      A       A",
    "truncate":             "A     A      A      A       A      N   N        N     A      A       A",
    "unlink":               "P     A      A      P       P      N   N        N     A      A       A",
    "rmdir":                "D     D      D      D       D      N   N        N     D      D       A",
    "chmod other":          "P     P      P      P       P      N   N        N     P      P       A",
    "chmod same":           "-     P      P      P       P      N   N        N     P      P       A",
    "chown other":          "P     P      P      P       P      N   N        N     P      P       A",
    "times other":          "P     P      P      P       P      N   N        N     P      P       A",
    "times same":           "-     P      P      P       P      N   N        N     P      P       A",
    "link":                 "P     P      P      P       P      N   N        N     P      P       A",
    "rename in place":      "P     A      P      A       P      N   N        N     A      A       A",
    "rename over":          "E     A      E      A       E      N   N        N     A      A       A",
    "set xattr":            "A     A      A      A       A      N   N        N     A      A       A",
    "mkdir over":           "E     E      E      E       E      N   N        N     E      E       A",
}
# A folder with messages in it.
FOLDER = {
    #                        alice reader writer deleter member bob stranger admin access auditor root
    "open w":               "I     I      I      I       I      N   N        N     I      I       A",
    "rmdir":                "T     A      T      A       T      N   N        N     A      A       A",
    "unlink":               "I     I      I      I       I      N   N        N     I      I       A",
    "create in":            "P     A      P      A       P      N   N        N     A      A       A",
    "litter in":            "A     A      A      A       A      N   N        N     A      A       A",
    "mkdir litter":         "A     A      A      A       A      N   N        N     A      A       A",
    "symlink in":           "P     A      P      A       P      N   N        N     A      A       A",
    "fifo in":              "P     A      P      A       P      N   N        N     A      A       A",
    "chmod other":          "P     P      P      P       P      N   N        N     P      P       A",
    "chmod same":           "-     P      P      P       P      N   N        N     P      P       A",
    "times other":          "P     P      P      P       P      N   N        N     P      P       A",
    "mkdir over":           "E     E      E      E       E      N   N        N     E      E       A",
}
CALLS = {
    "open w": open_with(os.O_WRONLY), "open rw trunc": open_with(os.O_RDWR | os.O_TRUNC),
    "truncate": lambda path: os.truncate(path, 0), "unlink": os.unlink, "rmdir": os.rmdir,
    "chmod other": chmod_other, "chmod same": chmod_same, "chown other": chown_other,
    "times other": times_other, "times same": times_same, "link": link_to,
    "rename in place": rename_in_place, "rename over": rename_over, "set xattr": set_xattr,
    "get xattr": get_xattr, "mkdir over": mkdir_over, "create in": create_in,
    "litter in": litter_in, "mkdir litter": mkdir_litter, "symlink in": symlink_in,
    "fifo in": fifo_in,
}


def warm(top):
    """All that its owner does in a day, so that names, attributes, listings and pages are cached."""
    for folder, names, files in os.walk(top):
        for name in names + files:
            os.stat(os.path.join(folder, name))
        for name in files:
            with open(os.path.join(folder, name), "rb") as stream:
                stream.read()


def cells(table):
    for call, letters in table.items():
        yield from ((call, who, letter) for who, letter in zip(WHO, letters.split(), strict=True))


class Negative(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = GovernedSite()
        try:
            cls.site.make()
            cls.site.govern("policy", "add", "six years", "--period", "6y")
            cls.site.mount()
            cls.paths = cls.site.all_paths("alice", "alice")
            cls.site.umount()
        except BaseException:
            cls.site.clean()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.site.clean()

    def check(self, table, path):
        wrong = []
        for call, who, letter in cells(table):
            got = errno_as(who, CALLS[call], path)
            if got != LETTERS[letter]:
                wrong.append(f"{call} as {who}: {errno.errorcode.get(got, got)}, not "
                             f"{errno.errorcode.get(LETTERS[letter], LETTERS[letter])}")
        self.assertEqual(wrong, [])

    def check_all(self):
        for table, path in ((KEPT, self.paths[5]), (FOLDER, self.site.path("alice", "Inbox"))):
            with self.subTest(path=path):
                self.check(table, path)

    def test_cold(self):
        self.site.mount()
        try:
            self.check_all()
        finally:
            self.site.umount()

    def test_warmed_by_others(self):
        self.site.mount()
        try:
            for who in ("alice", "reader", "auditor"):
                run_as(who, warm, self.site.path("alice"))
            self.check_all()
            run_as("alice", warm, self.site.path("alice"))
            self.check_all()
        finally:
            self.site.umount()


if __name__ == "__main__":
    main()
