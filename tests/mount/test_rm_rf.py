# SPDX-License-Identifier: GPL-3.0-or-later
"""rm -rf of the mount, as every kind of user: what that user may delete goes, nothing else."""
import os
import unittest

from governed import CALLERS, HELD, KEPT, OLD, GovernedSite
from harness import command, main, run_as

ALL = frozenset(range(1, 76))
FIXED = KEPT | set(HELD) | OLD
PEOPLE = ("alice", "bob", "own_read", "own_write")
# Who removes something, in this order; everybody else nothing at all.
DELETERS = ("bob", "own_read", "own_write", "deleter", "writer", "no_delete", "member",
            "no_archive", "no_export", "alice")


class RmRf(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.site = GovernedSite()
        try:
            cls.site.make()
            cls.site.rule_mail()
            run_as("alice", make_more, cls.site.path("alice"))
        except BaseException:
            cls.site.clean()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.site.clean()

    def mail(self):
        """user → the numbers of their messages, as the auditor sees them."""
        return {user: frozenset(self.site.all_paths(user, "auditor")) for user in PEOPLE}

    def folders(self, user="alice"):
        """Those in the top folder, without Searches; and the searches."""
        top = self.site.path(user)

        def names():
            return (sorted(set(os.listdir(top)) - {"Searches"}),
                    sorted(os.listdir(os.path.join(top, "Searches"))))
        return run_as("auditor", names)

    def remove(self, person, *paths):
        """rm -rf of the paths; an rm that is told nothing of a path goes on with the next."""
        return command("rm", "-rf", *paths, person=person)

    def deleted(self):
        return self.site.ledger("--kind", "message-deleted")

    def test_1_views_lose_nothing(self):
        """Below a search, a query or a hold nothing is deleted, whoever asks."""
        before = self.mail()
        search = self.site.path("alice", "Searches", "subject:number")
        for person in CALLERS:
            for path in (search, self.site.path("alice", ".query", "subject:number"),
                         self.site.path("Holds", "lawsuit"), self.site.path("Holds"),
                         self.site.path(".emlfs")):
                self.remove(person, path)
        self.assertEqual(self.mail(), before)
        self.assertEqual(before["alice"], ALL)
        self.assertEqual(self.deleted(), [])
        self.assertEqual([row["name"] for row in self.site.govern("hold", "list")], ["lawsuit"])
        self.assertEqual(sorted(run_as("auditor", os.listdir, self.site.path("Holds", "lawsuit"))),
                         sorted(os.path.basename(self.site.all_paths("alice", "auditor")[number])
                                for number in HELD))

    def test_2_a_search_goes_without_its_mail(self):
        """rm stops at the mail in it; rmdir takes the search alone."""
        search = self.site.path("alice", "Searches", "subject:number")
        before = self.mail()
        self.assertNotEqual(self.remove("alice", search).returncode, 0)
        run_as("alice", os.rmdir, search)
        self.assertEqual(self.folders()[1], ["subject:nothing"])
        self.assertEqual(self.mail(), before)

    def test_3_who_may_not_delete(self):
        before, folders = self.mail(), self.folders()
        for person in CALLERS:
            if person not in DELETERS:
                with self.subTest(person=person):
                    self.remove(person, self.site.mnt)
                    self.remove(person, *[self.site.path(user) for user in PEOPLE])
                    self.assertEqual(self.mail(), before)
                    self.assertEqual(self.folders(), folders)
        self.assertEqual(self.deleted(), [])

    def removes(self, person, mail, folders):
        """rm -rf of everything takes these messages of alice's, and leaves these folders."""
        before, count = self.mail(), len(self.deleted())
        self.assertNotEqual(self.remove(person, self.site.mnt).returncode, 0)
        self.remove(person, *[self.site.path(user) for user in PEOPLE])
        after = self.mail()
        self.assertEqual(before["alice"] - after["alice"], mail, person)
        self.assertEqual(self.folders()[0], folders, person)
        gone = sum(len(before[user] - after[user]) for user in PEOPLE)
        self.assertEqual(len(self.deleted()) - count, gone)
        return {user: before[user] - after[user] for user in PEOPLE if user != "alice"}

    def test_4_who_may(self):
        everything = ["Empty", "Inbox", "Old", "Projects"]
        nothing = {"bob": frozenset(), "own_read": frozenset(), "own_write": frozenset()}
        bobs = frozenset(range(100, 106))
        self.assertEqual(self.removes("bob", frozenset(), everything), nothing | {"bob": bobs})
        self.assertEqual(self.removes("own_read", frozenset(), everything), nothing)
        self.assertEqual(self.removes("own_write", frozenset(), everything), nothing)
        # One who may write but not delete removes what is empty.
        self.assertEqual(self.removes("writer", frozenset(), ["Inbox", "Old", "Projects"]), nothing)
        self.assertEqual(self.removes("no_delete", frozenset(), ["Inbox", "Old", "Projects"]),
                         nothing)
        # One who may delete but not write leaves the folders.
        run_as("alice", os.mkdir, self.site.path("alice", "Empty"))
        self.assertEqual(self.removes("deleter", ALL - FIXED, everything), nothing)
        # Those with every right find only what nobody may delete, and what is empty.
        for person in ("no_archive", "no_export", "member", "alice"):
            self.assertEqual(self.removes(person, frozenset(), ["Inbox", "Old", "Projects"]),
                             nothing)
        self.assertEqual(self.mail()["alice"], FIXED)

    def test_5_what_is_left_is_whole(self):
        self.site.umount()
        done = self.site.emlfs("verify", "-a", self.site.archive, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def make_more(top):
    os.mkdir(os.path.join(top, "Empty"))
    for query in ("subject:number", "subject:nothing"):
        os.mkdir(os.path.join(top, "Searches", query))


if __name__ == "__main__":
    main()
