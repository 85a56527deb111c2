# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts of a part of an archive: a user, a folder, a store, and what an auditor gets. A scope
takes away and grants nothing; what is outside does not exist."""
import errno
import hashlib
import json
import os
import shutil
import subprocess

from harness import (ACCOUNTS, EMLFS, MountTest, command, errno_as, files_below, main, message,
                     mounts_at, run_as, sha_of, uid_of, umount8, wait_until,
                     write_mail)

ACCOUNTS["carol"] = "sync"


class Scopes(MountTest):
    OPTIONS = "rw"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.part = os.path.join(cls.site.top, "part")
            os.mkdir(cls.part)
            cls.govern("privilege", "set", "bob", "--may", "all", "--own", "all")
            cls.govern("user", "add", "--unix-account", ACCOUNTS["carol"], "carol")
            cls.govern("compliance", "auditor", "add", "carol")
            cls.govern("store", "create", "Second")
            write_mail(os.path.join(cls.site.top, "later", "Inbox"), range(500, 504))
            cls.site.load("alice", os.path.join(cls.site.top, "later"))
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def govern(cls, *argv, **more):
        words = argv[0].split() + list(argv[1:])
        return cls.site.emlfs(*words, "-a", cls.site.archive, **more)

    def tearDown(self):
        for _ in range(4):
            if not mounts_at(self.part):
                break
            subprocess.run(["umount", "-l", self.part], stderr=subprocess.DEVNULL)
        wait_until(lambda: not mounts_at(self.part))

    def show(self, options, check=True, **more):
        return self.site.emlfs("mount", self.site.archive, self.part, "-o", options, check=check,
                               **more)

    def at(self, *names):
        return os.path.join(self.part, *names)

    def hide(self):
        self.site.umount(point=self.part)

    def shas(self, person, top):
        return run_as(person, lambda: sorted(map(sha_of, files_below(top))))

    def names(self, person, top):
        return run_as(person, lambda: sorted(os.path.relpath(p, top) for p in files_below(top)))

    def test_user(self):
        for spelling in ("user", "archive_user"):
            self.show(f"{spelling}=alice,no_searches")
            self.assertEqual(self.names("alice", self.part),
                             self.names("alice", self.site.path("alice")))
            self.assertEqual(self.shas("alice", self.part),
                             self.shas("alice", self.site.path("alice")))
            for name in (".emlfs", "Holds", "bob"):
                self.assertEqual(errno_as("alice", os.stat, self.at(name)), errno.ENOENT, name)
            self.assertEqual(errno_as("bob", os.listdir, self.part), errno.EACCES)
            self.assertEqual(errno_as("root", os.listdir, self.part), errno.EACCES)
            self.assertEqual(errno_as("root", os.stat, self.part), 0)
            st = run_as("alice", os.stat, self.part)
            same = run_as("alice", os.stat, self.site.path("alice"))
            self.assertEqual((st.st_uid, st.st_mode, st.st_ino),
                             (same.st_uid, same.st_mode, same.st_ino))
            self.hide()

    def test_user_searches(self):
        self.show("user=alice")
        self.assertEqual(run_as("alice", os.listdir, self.at("Searches")), [])
        found = run_as("alice", os.listdir, self.at(".query", "subject=500"))
        self.assertEqual(len(found), 1)
        path = self.at(".query", "subject=500", found[0])
        self.assertEqual(run_as("alice", sha_of, path),
                         run_as("alice", sha_of, self.site.path("alice", ".query", "subject=500",
                                                                found[0])))
        run_as("alice", os.mkdir, self.at("Searches", "from=s500"))
        self.assertEqual(len(run_as("alice", os.listdir, self.at("Searches", "from=s500"))), 1)
        self.assertIn("from=s500", run_as("alice", os.listdir,
                                          self.site.path("alice", "Searches")))
        run_as("alice", os.rmdir, self.at("Searches", "from=s500"))

    def test_changes_in_a_user_scope(self):
        """Written through one mount, seen through the other, also directly at the root."""
        self.show("user=bob")
        run_as("bob", os.listdir, self.part)
        run_as("bob", os.mkdir, self.at("New"))
        self.assertTrue(wait_until(
            lambda: errno_as("bob", os.stat, self.site.path("bob", "New")) == 0, 5))
        run_as("bob", os.rename, self.at("New"), self.at("Newer"))
        self.assertEqual(errno_as("bob", os.stat, self.at("Newer")), 0)
        run_as("bob", os.rmdir, self.site.path("bob", "Newer"))
        self.assertTrue(wait_until(
            lambda: "Newer" not in run_as("bob", os.listdir, self.part), 5))
        before = run_as("bob", os.listdir, self.part)
        run_as("bob", os.mkdir, self.site.path("bob", "Other"))
        self.assertTrue(wait_until(
            lambda: sorted(run_as("bob", os.listdir, self.part)) == sorted(before + ["Other"]), 5))
        run_as("bob", os.rmdir, self.at("Other"))
        top = os.path.join(self.site.top, "bobs")
        write_mail(os.path.join(top, "Fresh"), [700])
        self.site.load("bob", top)
        self.assertTrue(wait_until(lambda: any("700" in name
                                               for name in self.names("bob", self.part)), 5))
        name = next(name for name in self.names("bob", self.part) if "700" in name)
        run_as("bob", os.unlink, self.at(name))
        self.assertTrue(wait_until(
            lambda: name not in self.names("bob", self.site.path("bob")), 5))

    def test_copying_in(self):
        """Into the root of a scope, which has another node, and below it."""
        whole = self.site.path("bob")
        for number, options, place in ((710, "user=bob", ""), (711, "user=bob", "bob/Inbox"),
                                       (712, "folder=bob/bob/Inbox", "")):
            self.show(options)
            source = os.path.join(self.site.top, "copied.eml")
            with open(source, "wb") as out:
                out.write(message(number))
            os.chmod(source, 0o644)
            target = self.at(place, f"copied {number}.eml")
            part = self.at(place, f"{number}.part")
            run_as("bob", shutil.copyfile, source, part)
            self.assertIn(f"{number}.part", run_as("bob", os.listdir, self.at(place)))
            self.assertEqual(run_as("bob", sha_of, part), sha_of(source))
            run_as("bob", os.rename, part, target)
            self.assertTrue(wait_until(lambda: sha_of(source) in self.shas("bob", whole)))
            self.assertTrue(wait_until(lambda: sha_of(source) in self.shas("bob", self.part)))
            self.assertEqual(run_as("bob", sha_of, target), sha_of(source))  # in grace
            for person in ("alice", "stranger"):
                self.assertIn(errno_as(person, shutil.copyfile, source, self.at(place, "x.eml")),
                              (errno.EACCES, errno.ENOENT))
            run_as("bob", os.unlink, target)
            self.assertTrue(wait_until(lambda: sha_of(source) not in self.shas("bob", whole)))
            self.hide()

    def inner(self, *names):
        """A folder of alice, wherever the import put it."""
        for folder, _, _ in os.walk(self.site.path("alice")):
            if folder.split("/")[-len(names):] == list(names):
                return os.path.relpath(folder, self.site.path("alice"))
        raise AssertionError(names)

    def test_folder(self):
        path = run_as("alice", self.inner, "Projects")
        for options in (f"user=alice,folder={path}", f"folder=alice/{path}",
                        f"folder=/alice/{path}/"):
            self.show(options)
            self.assertEqual(self.names("alice", self.part),
                             self.names("alice", self.site.path("alice", path)))
            for name in (".emlfs", "Holds", "Searches", ".query", "Inbox", "alice"):
                self.assertEqual(errno_as("alice", os.stat, self.at(name)), errno.ENOENT, name)
            self.assertEqual(errno_as("bob", os.listdir, self.part), errno.EACCES)
            self.assertEqual(errno_as("root", os.stat, self.part), 0)
            self.hide()

    def test_written_at_the_root(self):
        """A file that is put directly into the root comes into the folder that is the root."""
        path = run_as("alice", self.inner, "Projects")
        for number, options, folder in ((710, "user=alice", ""), (711, f"folder=alice/{path}",
                                                                  path)):
            self.show(options)
            there = self.site.path("alice", folder) if folder else self.site.path("alice")
            data = message(number)
            run_as("alice", self.write, self.at("one.part"), data)
            self.assertIn("one.part", run_as("alice", os.listdir, self.part))
            self.assertNotIn("one.part", run_as("bob", self.names_or_none, self.part))
            self.assertIn("one.part", run_as("alice", os.listdir, there))
            run_as("alice", os.rename, self.at("one.part"), self.at("one.eml"))
            sha = hashlib.sha256(data).hexdigest()
            self.assertTrue(wait_until(lambda: sha in self.shas("alice", self.part), 5), options)
            self.assertIn(sha, self.shas("alice", there))
            run_as("alice", os.stat, self.at("one.eml"))
            self.hide()

    @staticmethod
    def write(path, data):
        with open(path, "wb") as out:
            out.write(data)

    @staticmethod
    def names_or_none(path):
        try:
            return os.listdir(path)
        except PermissionError:
            return []

    def test_store(self):
        new = sorted(sha_of(path) for path in files_below(os.path.join(self.site.top, "later")))
        folder = os.listdir(os.path.join(self.site.archive, "stores"))
        for options, user in (("store=Second", "alice"), ("store=2,ro", "alice"),
                              (f"store={sorted(folder)[-1]}", "alice")):
            self.show(options)
            self.assertEqual(self.shas(user, self.at(user)), new, options)
            self.assertEqual(self.shas("bob", self.at("bob")), [])
            outside = self.names(user, self.site.path(user))
            inside = set(self.names(user, self.at(user)))
            for name in [name for name in outside if name not in inside][:5]:
                self.assertEqual(errno_as(user, os.stat, self.at(user, name)), errno.ENOENT)
            for name in (".emlfs", "Holds", "alice/Searches", "alice/.query"):
                self.assertEqual(errno_as(user, os.stat, self.at(name)), errno.ENOENT, name)
            self.hide()
        self.show("user=alice,store=Second")
        self.assertEqual(self.shas("alice", self.part), new)

    def test_refused(self):
        for options, code in (("user=nobody-here", 32), ("folder=alice/None", 32), ("user=/", 32),
                              ("store=None", 32), ("auditor=alice", 32), ("auditor=bob", 32),
                              ("auditor=none", 32), ("account=daemon", 1), ("user=", 1),
                              ("auditor=carol,account=no-such-account", 32),
                              ("user=" + "x" * 300, 1)):
            done = self.show(options, check=False)
            self.assertEqual(done.returncode, code, (options, done.stderr))
            self.assertEqual(mounts_at(self.part), [])

    @staticmethod
    def tells(path, text):
        with open(path) as stream:
            return text in stream.read()

    def reads(self):
        done = self.govern("audit", "--kind", "message-read", "--limit", "10000", "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def check_auditor(self, person, account):
        expected = sorted(self.shas("alice", self.site.path("alice")))
        before = len(self.reads())
        got = run_as(person, lambda: sorted(
            sha_of(path) for path in files_below(self.at("alice"))
            if "/Searches/" not in path))
        self.assertEqual(got, expected)
        rows = self.reads()[before:]
        self.assertEqual(len(rows), len(expected))
        self.assertEqual({(row["who"], row["uid"]) for row in rows}, {("carol", uid_of(person))})
        self.assertFalse(any(row.get("as_administrator") for row in rows))
        st = run_as(person, os.stat, self.at("alice"))
        self.assertEqual((st.st_uid, st.st_mode & 0o7777), (account, 0o500))
        self.assertEqual(sorted(set(run_as(person, os.listdir, self.part))),
                         ["Holds", "alice", "bob", "carol"])
        self.assertEqual(errno_as(person, os.mkdir, self.at("alice", "x")), errno.EROFS)

    def test_auditor(self):
        self.show("auditor=carol")
        self.assertIn("ro", mounts_at(self.part)[0][2])
        self.check_auditor("carol", uid_of("carol"))
        for person in ("alice", "bob", "stranger"):
            self.assertEqual(errno_as(person, os.listdir, self.part), errno.EACCES)
            self.assertEqual(errno_as(person, os.stat, self.at("alice")), errno.EACCES)
        self.assertTrue(run_as("carol", self.tells, self.at(".emlfs", "audit"), "auditor=carol"))

    def test_auditor_for_an_account(self):
        self.show("auditor=carol,account=games")
        self.check_auditor("games", uid_of("games"))
        self.check_auditor("root", uid_of("games"))
        self.assertEqual(errno_as("carol", os.listdir, self.part), errno.EACCES)

    def test_auditor_of_a_part(self):
        self.show("auditor=carol,user=bob")
        self.assertEqual(self.shas("carol", self.part), self.shas("bob", self.site.path("bob")))
        for name in (".emlfs", "Holds", "alice"):
            self.assertEqual(errno_as("carol", os.stat, self.at(name)), errno.ENOENT, name)

    def test_fstab_spelling(self):
        """mount(8) and user=: the other spelling always arrives."""
        table = os.path.join(self.site.top, "fstab")
        for options in ("archive_user=alice,ro", "archive_user=alice,user,noauto"):
            with open(table, "w") as out:
                out.write(f"{shutil.which(EMLFS)}#{self.site.archive} {self.part} fuse {options} "
                          "0 0\n")
            done = command("mount", "-T", table, self.part)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.names("alice", self.part),
                             self.names("alice", self.site.path("alice")))
            self.assertTrue(umount8(self.part))
            self.assertTrue(wait_until(lambda: not mounts_at(self.part)))


if __name__ == "__main__":
    main()
