# SPDX-License-Identifier: GPL-3.0-or-later
"""Every system call that would change mail is refused, with a known errno, and changes nothing."""
import errno
import json
import os
import stat
import subprocess

from harness import MountTest, main, run_as, sha_of, snapshot


def open_with(path, flags):
    os.close(os.open(path, flags, 0o600))


def mutations(folder, path):
    """(name, call) of every change to path, or to a new name in folder."""
    new = os.path.join(folder, "new.eml")
    inside = os.path.dirname(path)
    return [
        ("open write", lambda: open_with(path, os.O_WRONLY)),
        ("open read-write", lambda: open_with(path, os.O_RDWR)),
        ("open append", lambda: open_with(path, os.O_WRONLY | os.O_APPEND)),
        ("open truncate", lambda: open_with(path, os.O_WRONLY | os.O_TRUNC)),
        ("create", lambda: open_with(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
        ("create litter", lambda: open_with(os.path.join(folder, "Thumbs.db"),
                                            os.O_CREAT | os.O_WRONLY)),
        ("truncate", lambda: os.truncate(path, 0)),
        ("unlink", lambda: os.unlink(path)),
        ("rmdir", lambda: os.rmdir(inside)),
        ("mkdir", lambda: os.mkdir(os.path.join(folder, "newdir"))),
        ("rename", lambda: os.rename(path, path + ".x")),
        ("rename folder", lambda: os.rename(inside, inside + "-x")),
        ("link", lambda: os.link(path, new)),
        ("symlink", lambda: os.symlink("/etc/passwd", new)),
        ("mknod", lambda: os.mknod(new, stat.S_IFREG | 0o600)),
        ("mkfifo", lambda: os.mkfifo(new)),
        ("chmod", lambda: os.chmod(path, 0o640)),
        ("chmod same", lambda: os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))),
        ("chmod folder", lambda: os.chmod(inside, 0o770)),
        ("chown", lambda: os.chown(path, os.getuid(), os.getgid())),
        ("utimens", lambda: os.utime(path, (1, 1))),
        ("utimens now", lambda: os.utime(path)),
        ("setxattr", lambda: os.setxattr(path, "user.test", b"x")),
        ("removexattr", lambda: os.removexattr(path, "user.test")),
    ]


class ReadOnly(MountTest):
    """-o ro: the kernel refuses everything."""

    OPTIONS = "ro"

    def test_it_says_so(self):
        self.assertTrue(os.statvfs(self.site.mnt).f_flag & os.ST_RDONLY)
        with open(self.site.path(".emlfs", "status.json")) as stream:
            self.assertIs(json.load(stream)["read_only"], True)

    def setUp(self):
        self.file = self.owner_files()[0]
        self.top = self.site.path("alice")

    def check(self, person, wanted, path):
        for name, call in mutations(self.top, path):
            with self.subTest(person=person, call=name):
                self.assert_errno(person, wanted, call)

    def test_owner(self):
        before = run_as("alice", snapshot, self.top)
        self.check("alice", errno.EROFS, self.file)
        self.assertEqual(run_as("alice", snapshot, self.top), before)

    def test_owner_unlinkat_many(self):
        files = self.owner_files()

        def remove_all():
            return [subprocess.run(["rm", "-rf", self.top], stderr=subprocess.DEVNULL).returncode]
        self.assertEqual(run_as("alice", remove_all), [1])
        self.assertEqual(self.owner_files(), files)

    def test_others_do_not_even_learn_that(self):
        refused = (errno.EROFS, errno.EACCES, errno.ENOENT, errno.EPERM)
        for person in ("bob", "stranger", "root"):
            self.check(person, refused, self.file)

    def test_root_directory(self):
        for person in ("root", "alice", "stranger"):
            for call in (lambda: os.mkdir(self.site.path("new")),
                         lambda: open_with(self.site.path("new"), os.O_CREAT | os.O_WRONLY),
                         lambda: os.mkdir(self.site.path(".Trash-0"))):
                self.assert_errno(person, errno.EROFS, call)


class Writable(MountTest):
    """Mounted for writing, the modes and the mount process are what refuses: exactly so."""

    # What is not EPERM: files show 0400, for their owner may not delete here, and the kernel looks
    # at modes first.
    ANSWERS = {"open write": errno.EACCES, "open read-write": errno.EACCES,
               "open append": errno.EACCES, "open truncate": errno.EACCES,
               "truncate": errno.EACCES, "setxattr": errno.EACCES, "removexattr": errno.EACCES,
               "create litter": errno.EACCES, "unlink": errno.EACCES, "rmdir": errno.ENOTEMPTY,
               "chmod same": 0}
    # What the owner may: test_governed.py, test_writing.py.
    ALLOWED = ("mkdir", "rename folder", "create")

    def setUp(self):
        self.file = self.owner_files()[0]
        self.top = self.site.path("alice")

    def test_owner_changes_nothing(self):
        digest = run_as("alice", sha_of, self.file)
        before = run_as("alice", snapshot, self.top)
        for folder in (self.top, os.path.dirname(self.file)):
            for name, call in mutations(folder, self.file):
                if name in self.ALLOWED:
                    continue
                with self.subTest(call=name, folder=folder):
                    self.assert_errno("alice", self.ANSWERS.get(name, errno.EPERM), call)
        self.assertEqual(run_as("alice", snapshot, self.top), before)
        self.assertEqual(run_as("alice", sha_of, self.file), digest)

    def test_nothing_can_be_removed(self):
        files = self.owner_files()

        def remove_all():
            return subprocess.run(["rm", "-rf", self.top], stderr=subprocess.DEVNULL).returncode
        self.assertEqual(run_as("alice", remove_all), 1)
        self.assertEqual(self.owner_files(), files)

    def test_others_do_not_even_learn_that(self):
        refused = (errno.EACCES, errno.ENOENT, errno.EPERM)
        for person in ("bob", "stranger"):
            for name, call in mutations(self.top, self.file):
                with self.subTest(person=person, call=name):
                    self.assert_errno(person, refused, call)

    def test_root_changes_nothing(self):
        before = run_as("alice", snapshot, self.top)
        for name, call in mutations(self.top, self.file):
            with self.subTest(call=name):
                self.assert_errno("root", (errno.EROFS, errno.EACCES, errno.ENOENT, errno.EPERM),
                                  call)
        self.assertEqual(run_as("alice", snapshot, self.top), before)

    def test_root_directory(self):
        """It is root's and 0555, and nobody makes anything there; .emlfs is a view."""
        calls = (lambda: os.mkdir(self.site.path("new")),
                 lambda: open_with(self.site.path("new"), os.O_CREAT | os.O_WRONLY),
                 lambda: os.mkdir(self.site.path(".Trash-0")),
                 lambda: os.symlink("a", self.site.path("x")),
                 lambda: os.mknod(self.site.path("x"), stat.S_IFIFO | 0o600),
                 lambda: os.mkdir(self.site.path(".emlfs", "x")))
        for call in calls:
            self.assert_errno("root", errno.EROFS if call is calls[-1] else errno.EACCES, call)
            for person in ("alice", "stranger"):
                self.assert_errno(person, errno.EACCES, call)


if __name__ == "__main__":
    main()
