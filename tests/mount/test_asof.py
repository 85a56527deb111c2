# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive as it stood, mounted beside the live one: listing, reading, what was deleted, refusals.
"""
import datetime
import errno
import os
import signal
import stat
import time

from harness import (MountTest, command, files_below, main, mounts_at, run_as, sha_of, snapshot, wait_until,
                     write_mail)

AUDITOR = "sys"


def moment():
    """Now, as exact as the archive's clock, and nothing else happens at it."""
    time.sleep(1.2)  # longer than a commit may be behind its messages
    ns = time.time_ns()
    time.sleep(0.01)
    sec = datetime.datetime.fromtimestamp(ns // 10**9, datetime.timezone.utc)
    return sec.strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % 10**9:09d}Z"


def listing(top):
    """What is the same of a file or folder in a mount of another time: not whose it is today."""
    return {path: (st[0], stat.S_IFMT(st[1])) + st[4:]
            for path, st in snapshot(top).items()
            if path.split("/")[0] not in ("Searches", ".query") and path != "."}


def read_all(top):
    return {os.path.relpath(path, top): sha_of(path) for path in files_below(top)
            if "/Searches/" not in path}


def open_read(path):
    with open(path, "rb") as stream:
        return stream.read()


def change(call, *paths):
    call(*paths)


class Past(MountTest):
    OPTIONS = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        site = cls.site
        cls.mnt = os.path.join(site.top, "past")
        os.mkdir(cls.mnt)
        try:
            site.mount("rw")
            cls.rule("privilege", "set", "bob", "--may", "all", "--own", "all")
            cls.history()
        except BaseException:
            cls.clean()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.clean()

    @classmethod
    def clean(cls):
        for _ in range(4):
            if mounts_at(cls.mnt):
                command("umount", "-l", cls.mnt)
        cls.site.clean()

    @classmethod
    def rule(cls, *argv):
        return cls.site.emlfs(*argv[:2], "-a", cls.site.archive, *argv[2:])

    @classmethod
    def history(cls):
        """then: what was listed and read, and everything that came behind it."""
        site = cls.site
        cls.made = time.time_ns()
        cls.inbox = site.path("bob", "bob", "Inbox")
        cls.first, cls.second, cls.third = run_as("bob", files_below, cls.inbox)[:3]
        cls.listed = {who: run_as(who, listing, site.path(who)) for who in ("alice", "bob")}
        cls.read = {who: run_as(who, read_all, site.path(who)) for who in ("alice", "bob")}
        cls.then = moment()
        run_as("bob", os.unlink, cls.first)
        later = site.path("bob", "bob", "Later")
        run_as("bob", os.mkdir, later)
        run_as("bob", os.rename, cls.second, os.path.join(later, os.path.basename(cls.second)))
        run_as("bob", os.rename, cls.inbox, site.path("bob", "bob", "Old inbox"))
        cls.inbox = site.path("bob", "bob", "Old inbox")
        cls.rule("user", "add", "carol", "--unix-account", "games")
        write_mail(os.path.join(site.source, "more"), range(300, 305))
        site.load("alice", os.path.join(site.source, "more"))

    def mount(self, options, check=True):
        done = self.site.emlfs("mount", self.site.archive, self.mnt, "-o", options, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
            self.addCleanup(self.umount)
        return done

    def umount(self):
        if mounts_at(self.mnt):
            self.site.umount(point=self.mnt)
        self.assertTrue(wait_until(lambda: not mounts_at(self.mnt)))

    def live_is_well(self):
        """alice administers."""
        self.assertEqual(sorted(run_as("alice", os.listdir, self.site.mnt)), ["Holds", "alice"])

    def at(self, path):
        """The same path in the mount of the past, under the names it had."""
        path = os.path.relpath(path, self.site.mnt)
        return os.path.join(self.mnt, path.replace("Old inbox", "Inbox"))

    def test_listing_and_reading(self):
        self.mount(f"asof={self.then}")
        self.assertIn("ro", mounts_at(self.mnt)[-1][2])
        for who in ("alice", "bob"):
            top = os.path.join(self.mnt, who)
            listed = run_as(who, listing, top)
            self.assertEqual(listed, self.listed[who])
        self.assertEqual(run_as("alice", read_all, os.path.join(self.mnt, "alice")),
                         self.read["alice"])
        self.assertEqual(run_as("alice", os.listdir, self.mnt), ["alice"])
        self.assertEqual(sorted(run_as("alice", os.listdir, os.path.join(self.mnt, ".emlfs"))),
                         ["by-id", "status.json"])
        for name in ("Searches", ".query", ".query/subject:number"):
            self.assert_errno("alice", errno.ENOENT, os.stat, os.path.join(self.mnt, "alice", name))
        for name in ("Holds", "carol", ".emlfs/audit", ".emlfs/due", ".emlfs/explain",
                     ".emlfs/checkpoint"):
            self.assert_errno("alice", errno.ENOENT, os.stat, os.path.join(self.mnt, name))

    def test_deleted_and_moved(self):
        self.mount(f"asof={self.then}")
        want = self.read["bob"]
        top = os.path.join(self.mnt, "bob")
        self.assert_errno("bob", 0, os.stat, self.at(self.first))
        self.assert_errno("bob", errno.EIDRM, open_read, self.at(self.first))
        for path in (self.second, self.third):
            self.assertEqual(run_as("bob", sha_of, self.at(path)),
                             want[os.path.relpath(self.at(path), top)])
        third = os.path.join(self.inbox, os.path.basename(self.third))
        run_as("bob", os.unlink, third)  # while the past is mounted, and its content was read
        self.assert_errno("bob", errno.EIDRM, open_read, self.at(self.third))
        self.assert_errno("bob", 0, os.stat, self.at(self.third))

    def test_rights_are_todays(self):
        self.mount(f"asof={self.then}")
        path = self.at(self.second)
        for who in ("alice", "stranger", "root"):
            self.assert_errno(who, (errno.EACCES, errno.ENOENT), open_read, path)
        self.assert_errno("bob", errno.EROFS, change, os.unlink, path)
        self.assert_errno("bob", errno.EROFS, change, os.mkdir, os.path.join(self.mnt, "bob", "x"))
        self.assert_errno("bob", errno.EROFS, change, os.rename, path, path + "x")
        mode = run_as("bob", os.stat, path).st_mode
        self.assertEqual(mode & 0o222, 0)

    def test_live_goes_on(self):
        self.mount(f"asof={self.then}")
        before = run_as("alice", listing, os.path.join(self.mnt, "alice"))
        write_mail(os.path.join(self.site.source, "again"), range(310, 315))
        self.site.load("alice", os.path.join(self.site.source, "again"))
        found = [p for p in run_as("alice", files_below, self.site.path("alice"))
                 if "number 312 [" in p]
        self.assertTrue(found)
        self.assertEqual(run_as("alice", listing, os.path.join(self.mnt, "alice")), before)
        rows = self.site.emlfs("audit", "-a", self.site.archive, "--kind", "mounted").stdout
        self.assertIn(self.then[:19], rows)

    def test_parts(self):
        self.mount(f"asof={self.then},archive_user=bob")
        self.assertEqual(run_as("bob", listing, self.mnt), self.listed["bob"])
        self.assert_errno("bob", errno.EIDRM, open_read,
                          os.path.join(self.mnt, "bob", "Inbox", os.path.basename(self.first)))
        self.umount()
        self.mount(f"asof={self.then},folder=bob/bob/Inbox")  # has another name now
        self.assertEqual(len(run_as("bob", os.listdir, self.mnt)), 23)
        self.umount()
        done = self.mount(f"asof={self.then},archive_user=carol", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("carol", done.stderr)

    def test_auditor(self):
        """One of today sees what was, too."""
        self.rule("user", "add", "eve", "--unix-account", AUDITOR)
        self.site.emlfs("compliance", "auditor", "add", "-a", self.site.archive, "eve")
        self.mount(f"asof={self.then},auditor=eve")
        self.assertEqual(sorted(run_as(AUDITOR, os.listdir, self.mnt)), ["alice", "bob"])
        self.assertEqual(run_as(AUDITOR, listing, os.path.join(self.mnt, "bob")),
                         self.listed["bob"])
        self.assertEqual(run_as(AUDITOR, read_all, os.path.join(self.mnt, "alice")),
                         self.read["alice"])
        self.assert_errno("alice", (errno.EACCES, errno.ENOENT), os.listdir,
                          os.path.join(self.mnt, "alice"))

    def test_errors(self):
        year = datetime.date.today().year
        for date, text in ((f"{year + 1}-01-01", "not come"), ("2001-01-01", "made later"),
                           ("yesterday", "a date is"), ("", "a date is")):
            done = self.mount(f"asof={date}", check=False)
            self.assertEqual(done.returncode, 1, date)
            self.assertIn(f"asof={date}", done.stderr)
            self.assertIn(text, done.stderr)
            self.assertFalse(mounts_at(self.mnt))
        self.live_is_well()

    def test_scratch(self):
        scratch = os.path.join(self.site.archive, "asof")
        self.assertTrue(wait_until(lambda: not os.path.exists(scratch), 30))
        self.mount(f"asof={self.then}")
        self.assertEqual(os.listdir(scratch), ["1"])
        os.kill(self.site.pid(), signal.SIGKILL)
        for mnt in (self.mnt, self.site.mnt):
            command("umount", "-l", mnt)
        self.assertTrue(os.path.exists(scratch))
        self.site.mount("rw")
        self.assertFalse(os.path.exists(scratch))
        self.mount(f"asof={self.then}")
        self.umount()
        self.assertTrue(wait_until(lambda: not os.path.exists(scratch), 30))
        self.live_is_well()


if __name__ == "__main__":
    main()
