# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules say is what the mount shows and does: modes, refusals, deletion, moves, holds.

bob is an ordinary user who may do everything in his own archive, alice administers, and the auditor
is bound to an account of its own.
"""
import errno
import os
import re
import stat
import subprocess
import time

from harness import (MountTest, command, errno_as, files_below, main, run_as, sha_of, uid_of,
                     wait_until)

AUDITOR = "sys"  # an account of every Debian


def open_with(path, flags):
    os.close(os.open(path, flags, 0o600))


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def read_text(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def id_of(path):
    return re.search(r"\[([0-9a-v-]+)\]\.eml$", path).group(1)


class Governed(MountTest):
    OPTIONS = None
    MOUNT = "rw"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            site = cls.site
            site.mount(cls.MOUNT)
            cls.rule("user", "add", "eve", "--unix-account", AUDITOR)
            cls.rule("privilege", "set", "bob", "--may", "all", "--own", "all")
            cls.inbox = site.path("bob", "bob", "Inbox")
        except BaseException:
            cls.site.clean()
            raise

    @classmethod
    def rule(cls, *argv):
        """A command of an administrator, while it is mounted."""
        first = 3 if argv[0] == "compliance" and argv[1] in ("auditor", "audit") else 2
        return cls.site.emlfs(*argv[:first], "-a", cls.site.archive, *argv[first:])

    def mine(self, number):
        """The path of bob's message with that number."""
        ending = f"number {number} ["
        found = [p for p in run_as("bob", files_below, self.inbox) if ending in p]
        self.assertEqual(len(found), 1, number)
        return found[0]

    def shows(self, path, deletable):
        """Only the owner's bits: the others say who else may, which is not in question here."""
        wanted = 0o600 if deletable else 0o400
        self.assertTrue(wait_until(lambda: run_as("bob", mode_of, path) & 0o700 == wanted),
                        f"{path}: {oct(run_as('bob', mode_of, path))}")

    def gone(self, path, person="bob"):
        """Not found, not listed, not even by its id."""
        self.assertTrue(wait_until(lambda: errno_as(person, os.stat, path) == errno.ENOENT), path)
        self.assertEqual(errno_as(person, open_with, path, os.O_RDONLY), errno.ENOENT)
        # names are told to the kernel before listings
        name, folder = os.path.basename(path), os.path.dirname(path)
        self.assertTrue(wait_until(lambda: name not in run_as(person, os.listdir, folder)), path)


class Rules(Governed):

    def test_owner_and_modes(self):
        path = self.mine(100)
        for name in (path, self.inbox, self.site.path("bob")):
            self.assertEqual(run_as("bob", os.stat, name).st_uid, uid_of("bob"))
        self.shows(path, True)
        self.assertEqual(run_as("bob", mode_of, self.inbox) & 0o707, 0o700)

    def test_retention(self):
        path = self.mine(101)
        self.shows(path, True)
        self.rule("policy", "add", "six years", "--period", "6y", "--query", "subject:101")
        self.shows(path, False)
        self.shows(self.mine(102), True)
        self.assert_errno("bob", errno.EPERM, os.unlink, path)
        text = run_as("bob", read_text, self.site.path(".emlfs", "explain", id_of(path)))
        self.assertIn("six years", text)
        self.assert_errno("stranger", errno.ENOENT, read_text,
                          self.site.path(".emlfs", "explain", id_of(path)))
        other = os.path.join(os.path.dirname(self.inbox), "Kept elsewhere")
        run_as("bob", os.mkdir, other)
        there = os.path.join(other, os.path.basename(path))
        run_as("bob", os.rename, path, there)  # retention does not keep it from being moved
        self.assert_errno("bob", errno.EPERM, os.unlink, there)
        self.rule("policy", "remove", "six years", "--reason", "test")
        self.shows(there, True)
        run_as("bob", os.unlink, there)
        self.gone(there)
        run_as("bob", os.rmdir, other)

    def test_delete(self):
        path = self.mine(2)  # alice has it, too
        by_id = self.site.path(".emlfs", "by-id", id_of(path) + ".eml")
        run_as("bob", sha_of, by_id)
        run_as("bob", os.unlink, path)
        self.gone(path)
        self.assert_errno("bob", errno.ENOENT, os.stat, by_id)
        hers = [p for p in self.owner_files("alice") if "number 2 [" in p]
        self.assertEqual(len(run_as("alice", sha_of, hers[0])), 64)
        text = read_text(self.site.path(".emlfs", "audit"))
        self.assertIn("message-deleted", text)
        self.assertIn(f"message={id_of(path)}", text)

    def test_move(self):
        path, folder = self.mine(103), os.path.join(os.path.dirname(self.inbox), "Moved")
        digest = run_as("bob", sha_of, path)
        run_as("bob", os.mkdir, folder)
        there = os.path.join(folder, os.path.basename(path))
        self.assert_errno("bob", errno.EPERM, os.rename, path, path + "x")
        self.assert_errno("bob", errno.EEXIST, os.rename, path, self.mine(104))
        run_as("bob", os.rename, path, there)
        self.gone(path)
        self.assertEqual(run_as("bob", sha_of, there), digest)
        self.assert_errno("bob", errno.EROFS, os.rename, there,
                          self.site.path("bob", "Searches", os.path.basename(path)))
        self.assert_errno("bob", errno.ENOTEMPTY, os.rmdir, folder)
        again = folder + " again"
        run_as("bob", os.rename, folder, again)
        self.assertEqual(run_as("bob", sha_of, os.path.join(again, os.path.basename(path))), digest)
        self.assert_errno("bob", errno.EEXIST, os.rename, again, self.inbox)
        self.assert_errno("bob", errno.EINVAL, os.rename, again, folder + "?")
        self.assert_errno("bob", errno.EACCES, os.rename, self.site.path("bob"),
                          self.site.path("rob"))
        run_as("bob", os.rename, os.path.join(again, os.path.basename(path)), path)
        run_as("bob", os.rmdir, again)
        self.gone(again)

    def test_move_into_a_full_archive(self):
        path = self.mine(107)
        there = self.site.path("alice", "alice", "Inbox", os.path.basename(path))
        self.rule("privilege", "grant", "alice", "--user", "bob", "--grants", "read,write")
        self.addCleanup(self.rule, "privilege", "revoke", "alice", "--user", "bob")
        self.rule("user", "set", "alice", "--quota", "1K")
        self.assert_errno("bob", errno.EDQUOT, os.rename, path, there)
        done = self.site.emlfs("message", "move", "-a", self.site.archive, id_of(path),
                               "--to-user", "alice", "--folder", "alice/Inbox", person="bob",
                               check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("quota", done.stdout + done.stderr)
        self.assertEqual(errno_as("bob", os.stat, path), 0)
        self.rule("user", "set", "alice", "--quota", "none")
        run_as("bob", os.rename, path, there)
        self.gone(path)
        self.assertTrue(wait_until(lambda: errno_as("bob", os.stat, there) == 0))

    def test_mv_copies_nothing(self):
        """mv(1) falls back to copying on EXDEV only."""
        path = self.mine(105)
        done = command("mv", path, self.site.path("alice", "alice", "Inbox"), person="bob")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(errno_as("bob", os.stat, path), 0)

    def test_folders(self):
        top = self.site.path("bob")
        new = os.path.join(top, "New")
        run_as("bob", os.mkdir, new)
        self.assertEqual(run_as("bob", os.listdir, new), [])
        self.assert_errno("bob", errno.EEXIST, os.mkdir, new)
        self.assert_errno("bob", errno.EEXIST, os.mkdir, os.path.join(top, "Searches"))
        self.assert_errno("bob", errno.EINVAL, os.mkdir, os.path.join(top, "what?"))
        self.assert_errno("bob", errno.EACCES, os.mkdir, os.path.join(top, ".Trash-1000"))
        self.assert_errno("bob", errno.EROFS, os.rmdir, os.path.join(top, "Searches"))
        self.assert_errno("bob", errno.EACCES, os.rmdir, top)
        self.assert_errno("bob", errno.ENOTEMPTY, os.rmdir, self.inbox)
        run_as("bob", os.rmdir, new)
        self.gone(new)
        for person in ("root", "alice", "bob"):
            self.assert_errno(person, errno.EACCES, os.mkdir, self.site.path("another"))

    def test_content_never_changes(self):
        path = self.mine(106)
        new = os.path.join(self.inbox, "new.eml")
        before = run_as("bob", sha_of, path)
        for call in ((open_with, path, os.O_WRONLY), (open_with, path, os.O_RDWR | os.O_APPEND),
                     (os.truncate, path, 0), (os.mknod, new), (os.symlink, "x", new), (os.link, path, new),
                     (os.chmod, path, 0o777), (os.utime, path), (os.utime, path, (1, 1)),
                     (os.setxattr, path, "user.x", b"1"), (os.removexattr, path, "user.x")):
            self.assert_errno("bob", errno.EPERM, *call)
        self.assert_errno("bob", errno.EACCES, open_with, os.path.join(self.inbox, "Thumbs.db"),
                          os.O_CREAT | os.O_WRONLY)
        run_as("bob", os.chmod, path, run_as("bob", mode_of, path))
        run_as("bob", os.chown, path, uid_of("bob"), -1)
        st = run_as("bob", os.stat, path)
        run_as("bob", lambda: os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns)))
        self.assertEqual(run_as("bob", sha_of, path), before)

    def test_views_lose_no_mail(self):
        search = self.site.path("bob", "Searches", "subject:number")
        files = run_as("bob", files_below, self.inbox)
        run_as("bob", os.mkdir, search)
        found = [os.path.join(search, name) for name in run_as("bob", os.listdir, search)]
        self.assertTrue(found)
        self.assert_errno("bob", errno.EROFS, os.unlink, found[0])
        self.assert_errno("bob", errno.EROFS, os.rename, found[0], found[0] + "x")
        self.assert_errno("bob", errno.EROFS, os.mkdir, os.path.join(search, "x"))

        def remove_all():
            return subprocess.run(["rm", "-rf", search], stderr=subprocess.DEVNULL).returncode
        run_as("bob", remove_all)
        self.assertEqual(run_as("bob", files_below, self.inbox), files)
        run_as("bob", os.rmdir, search)
        self.assertEqual(run_as("bob", files_below, self.inbox), files)

    def test_strangers(self):
        top = self.site.path("bob")
        for person in ("stranger", "alice", "root"):
            self.assertEqual(errno_as(person, os.stat, top), 0)
            self.assert_errno(person, errno.EACCES, os.listdir, top)
        for person in ("stranger", "alice"):
            self.assert_errno(person, (errno.EACCES, errno.ENOENT), os.stat, self.inbox)
        self.assertNotIn("bob", run_as("stranger", os.listdir, self.site.mnt))
        self.assertNotIn("Holds", run_as("stranger", os.listdir, self.site.mnt))
        self.assert_errno("stranger", errno.ENOENT, os.stat, self.site.path("Holds"))
        self.assert_errno("stranger", errno.EACCES, read_text, self.site.path(".emlfs", "audit"))
        audit = read_text(self.site.path(".emlfs", "audit"))
        self.assertIn("access-denied", audit)
        self.assertNotIn("Message number", audit)

    def test_grants_show_at_once(self):
        path = self.mine(107)
        self.assert_errno("alice", errno.EACCES, sha_of, path)
        self.rule("privilege", "grant", "bob", "--user", "alice")
        self.assertTrue(wait_until(lambda: errno_as("alice", sha_of, path) == 0))
        self.assertIn("bob", run_as("alice", os.listdir, self.site.mnt))
        self.assert_errno("alice", errno.EACCES, os.unlink, path)
        self.assert_errno("stranger", (errno.EACCES, errno.ENOENT), sha_of, path)
        self.rule("privilege", "revoke", "bob", "--user", "alice")
        self.assertTrue(wait_until(lambda: errno_as("alice", sha_of, path) in
                                   (errno.EACCES, errno.ENOENT)))
        self.assert_errno("alice", (errno.EACCES, errno.ENOENT), os.listdir, self.inbox)

    def test_rights_show_at_once(self):
        path = self.mine(108)
        self.rule("privilege", "set", "bob", "--own", "read,write")
        self.shows(path, False)
        self.assert_errno("bob", errno.EACCES, os.unlink, path)
        self.rule("privilege", "set", "bob", "--own", "read")
        self.assertTrue(wait_until(
            lambda: errno_as("bob", os.mkdir, os.path.join(self.inbox, "x")) == errno.EACCES))
        self.rule("privilege", "set", "bob", "--own", "all")
        self.shows(path, True)

    def test_checkpoint(self):
        self.assertTrue(run_as("stranger", read_text, self.site.path(".emlfs", "checkpoint")))

    def test_due(self):
        due = self.site.path(".emlfs", "due")
        self.rule("policy", "add", "short", "--period", "2d", "--query", "subject:109",
                  "--auto-delete")
        self.assert_errno("bob", errno.EACCES, os.listdir, due)
        days = os.listdir(due)
        self.assertEqual(len(days), 1, days)
        self.assertRegex(days[0], r"^\d{4}-\d\d-\d\d\.txt$")
        # An office opens no mail: root and alice learn whose it is and its id, an auditor reads.
        for person in ("root", "alice"):
            text = run_as(person, read_text, os.path.join(due, days[0]))
            self.assertNotIn("number 109", text)
            self.assertIn("\tbob/[%s]\tshort\n" % id_of(self.mine(109)), text)
            self.assertEqual(text.count("\n"), 1)
        self.rule("compliance", "auditor", "add", "eve")
        text = run_as(AUDITOR, read_text, os.path.join(due, days[0]))
        self.assertIn("number 109 [", text)
        self.assertEqual(text.count("\n"), 1)
        self.rule("compliance", "auditor", "remove", "eve")
        self.assert_errno("root", errno.EROFS, os.unlink, os.path.join(due, days[0]))
        self.rule("policy", "remove", "short", "--reason", "test")
        self.assertEqual(os.listdir(due), [])


class Holds(Governed):

    def test_hold(self):
        path = self.mine(110)
        self.rule("compliance", "auditor", "add", "eve")
        self.rule("hold", "place", "Case 7", "-m", id_of(path), "--reason", "test")
        held = self.site.path("Holds", "Case 7")
        self.shows(path, False)
        self.assert_errno("bob", errno.EPERM, os.unlink, path)
        self.assert_errno("bob", errno.EPERM, os.rename, path,
                          os.path.join(os.path.dirname(self.inbox), os.path.basename(path)))
        self.assert_errno("bob", errno.EPERM, os.rename, self.inbox, self.inbox + "-x")
        self.assert_errno("bob", errno.ENOENT, os.stat, held)
        self.assertEqual(run_as("alice", os.listdir, self.site.path("Holds")), ["Case 7"])
        self.assert_errno("alice", errno.EACCES, os.listdir, held)
        self.assertEqual(run_as(AUDITOR, os.listdir, held), [os.path.basename(path)])
        shown = os.path.join(held, os.path.basename(path))
        self.assertEqual(run_as(AUDITOR, sha_of, shown), run_as("bob", sha_of, path))
        self.assertEqual(run_as(AUDITOR, os.stat, shown).st_ino, run_as("bob", os.stat, path).st_ino)
        for call in (os.unlink, os.rmdir):
            self.assert_errno(AUDITOR, (errno.EROFS, errno.ENOTDIR, errno.EACCES), call, shown)
        self.assert_errno("root", errno.EROFS, os.rmdir, held)

        def remove_all():
            return subprocess.run(["rm", "-rf", self.site.path("Holds")],
                                  stderr=subprocess.DEVNULL).returncode
        self.assertEqual(remove_all(), 1)
        run_as(AUDITOR, remove_all)
        self.assertEqual(run_as(AUDITOR, os.listdir, held), [os.path.basename(path)])
        self.rule("hold", "release", "Case 7", "--reason", "test")
        self.assertTrue(wait_until(lambda: errno_as(AUDITOR, os.stat, held) == errno.ENOENT))
        self.shows(path, True)
        run_as("bob", os.unlink, path)
        self.gone(path)


class Stores(Governed):

    def test_1_states_show_at_once(self):
        path = self.mine(111)
        self.shows(path, True)
        self.rule("store", "create", "second")
        self.rule("store", "set-state", "1", "write-protected")
        self.shows(path, False)
        self.assert_errno("bob", errno.EROFS, os.unlink, path)
        self.assert_errno("bob", errno.EROFS, os.rename, path,
                          os.path.join(os.path.dirname(self.inbox), os.path.basename(path)))
        self.rule("store", "set-state", "1", "disabled")
        self.gone(path)
        self.assertEqual(run_as("bob", os.listdir, self.inbox), [])
        self.rule("store", "set-state", "1", "normal")
        self.assertTrue(wait_until(lambda: errno_as("bob", os.stat, path) == 0))
        self.shows(path, True)
        self.assertIn(os.path.basename(path), run_as("bob", os.listdir, self.inbox))

    def says_read_only(self):
        return bool(os.statvfs(self.site.mnt).f_flag & os.ST_RDONLY)

    def test_2_all_protected(self):
        """The mount is read-only as long as all stores are, and says so itself."""
        folder = os.path.join(self.inbox, "x")
        search = self.site.path("bob", "Searches", "y")
        last = "second" if "second" in self.rule("store", "list").stdout else "1"
        self.assertFalse(self.says_read_only())
        for _ in range(2):
            self.rule("store", "set-state", "1", "write-protected")
            self.rule("store", "set-state", last, "write-protected")
            self.assertTrue(wait_until(lambda: run_as("bob", mode_of, self.inbox) & 0o222 == 0))
            self.assertTrue(wait_until(self.says_read_only))
            self.assertIn("\"read_only\":true", read_text(self.site.path(
                ".emlfs", "status.json")).replace(" ", ""))
            self.assert_errno("bob", errno.EROFS, os.mkdir, folder)
            self.assert_errno("bob", errno.EROFS, os.mkdir, search)
            self.assert_errno("bob", errno.EROFS, os.unlink, self.mine(112))
            self.rule("store", "set-state", last, "current")
            self.assertTrue(wait_until(lambda: not self.says_read_only()))
            self.assertTrue(wait_until(lambda: errno_as("bob", os.mkdir, folder) == 0))
            run_as("bob", os.rmdir, folder)

    def test_3_protected_before_it_is_mounted(self):
        for store in {"1", "second"} if "second" in self.rule("store", "list").stdout else {"1"}:
            self.rule("store", "set-state", store, "write-protected")
        self.site.umount()
        self.site.mount(self.MOUNT)
        self.assertTrue(wait_until(self.says_read_only))

    def test_4_read_only_by_hand_stays(self):
        """Nobody's ro is taken back when the stores become writable again."""
        self.assertTrue(wait_until(self.says_read_only))
        self.site.mount("remount,ro")
        last = "second" if "second" in self.rule("store", "list").stdout else "1"
        self.rule("store", "set-state", last, "current")
        self.assertTrue(wait_until(lambda: run_as("bob", mode_of, self.inbox) & 0o222 != 0))
        time.sleep(1)
        self.assertTrue(self.says_read_only())
        self.site.mount("remount,rw")
        self.assertFalse(self.says_read_only())


class Attributes(Governed):
    MOUNT = "rw,acl,xattr,atime=retention"

    def test_xattr(self):
        path = self.mine(112)
        names = run_as("bob", os.listxattr, path)
        self.assertIn("user.emlfs.sha256", names)
        self.assertNotIn("user.emlfs.hold", names)
        get = lambda name: run_as("bob", os.getxattr, path, "user.emlfs." + name).decode()
        self.assertEqual(get("id"), id_of(path))
        self.assertEqual(get("sha256"), run_as("bob", sha_of, path))
        self.assertRegex(get("archived"), r"^20\d\d-")
        self.assertTrue(get("store"))
        self.assert_errno("bob", errno.ENODATA, os.getxattr, path, "user.emlfs.hold")
        self.assert_errno("bob", errno.ENODATA, os.getxattr, path, "user.other")
        self.assert_errno("bob", errno.EPERM, os.setxattr, path, "user.emlfs.id", b"x")
        self.assert_errno("stranger", (errno.EACCES, errno.ENOENT), os.getxattr, path,
                          "user.emlfs.id")

    def test_retention_dates(self):
        path = self.mine(113)
        self.assertEqual(run_as("bob", os.stat, path).st_atime, 0)
        self.rule("policy", "add", "one year", "--period", "1y", "--query", "subject:113")
        self.shows(path, False)
        until = run_as("bob", os.getxattr, path, "user.emlfs.retain-until").decode()
        self.assertEqual(run_as("bob", os.getxattr, path, "user.emlfs.policy"), b"one year")
        st = run_as("bob", os.stat, path)
        self.assertGreater(st.st_atime, st.st_ctime + 360 * 86400)
        self.assertRegex(until, r"^20\d\d-")

    def test_query_of_a_search(self):
        search = self.site.path("bob", "Searches", "subject:114")
        run_as("bob", os.mkdir, search)
        self.assertEqual(run_as("bob", os.getxattr, search, "user.emlfs.query"), b"subject:114")
        run_as("bob", os.setxattr, search, "user.emlfs.query", b"subject:115")
        self.assertTrue(wait_until(lambda: [n for n in run_as("bob", os.listdir, search)
                                            if "number 115 [" in n]))
        self.assert_errno("bob", errno.EINVAL, os.setxattr, search, "user.emlfs.query", b"(")
        run_as("bob", os.rmdir, search)

    def test_access_list(self):
        self.rule("privilege", "grant", "bob", "--user", "alice", "--grants", "read,write")
        names = lambda: run_as("bob", os.listxattr, self.inbox)
        self.assertTrue(wait_until(lambda: "system.posix_acl_access" in names()))
        # that list comes from the mount process; the mode that the kernel goes by follows
        self.assertTrue(wait_until(lambda: errno_as("alice", os.listdir, self.inbox) == 0))
        self.assert_errno("stranger", (errno.EACCES, errno.ENOENT), os.listdir, self.inbox)
        self.rule("privilege", "revoke", "bob", "--user", "alice")


if __name__ == "__main__":
    main()
