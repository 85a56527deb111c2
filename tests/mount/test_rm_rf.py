# SPDX-License-Identifier: GPL-3.0-or-later
"""rm -rf of the mount, as every kind of user: exactly what that user may delete goes, and nothing else."""
import os
import unittest

from governed import CALLERS, GovernedSite
from harness import command, main, run_as

KEPT = set(range(21, 41)) | {65}  # by policy: subject "Message number 2x", 3x; and by a hold: 65
DELETERS = ("alice", "member")    # read, write and delete; a deleter cannot remove folders


class RmRf(unittest.TestCase):
    def setUp(self):
        self.site = GovernedSite()
        try:
            self.site.make()
            for number in sorted(KEPT - {65}):
                path = f"number {number}"
                self.site.govern("policy", "add", f"keep {number}", "--period", "6y", "--query",
                                 f'subject:"message {path}"')
            self.site.govern("index", "rebuild")
            held = os.path.basename(self.mounted_path(65))
            self.site.govern("hold", "place", "lawsuit", "--message", held, "--reason", "a test")
        except BaseException:
            self.site.clean()
            raise

    def tearDown(self):
        self.site.clean()

    def mounted_path(self, number):
        self.site.mount()
        try:
            return self.site.all_paths("alice", "alice")[number]
        finally:
            self.site.umount()

    def numbers(self, user):
        return set(self.site.all_paths(user, "auditor"))

    def remove(self, person, *paths):
        return command("rm", "-rf", *paths, person=person)

    def records(self, kind):
        return [row for row in self.site.ledger("--kind", kind) if row.get("outcome", "done") == "done"]

    def test_each(self):
        self.site.mount()
        all_alice, all_bob = self.numbers("alice"), self.numbers("bob")
        self.assertEqual(all_alice, set(range(1, 71)))
        for person in CALLERS:
            if person in DELETERS or person in ("deleter", "bob"):
                continue
            with self.subTest(person=person):
                self.remove(person, *[self.site.path(name) for name in ("alice", "bob", "Holds")])
                self.assertEqual(self.numbers("alice"), all_alice)
                self.assertEqual(self.numbers("bob"), all_bob)
        self.assertEqual(self.records("message-deleted"), [])
        self.bob_removes_his_own()
        self.deleter_takes_messages()
        self.owner_takes_the_rest()
        self.site.emlfs("umount", self.site.mnt)
        done = self.site.emlfs("verify", "-a", self.site.archive, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def bob_removes_his_own(self):
        self.remove("bob", self.site.path("bob"), self.site.path("alice"))
        self.assertEqual(self.numbers("bob"), set())
        self.assertEqual(self.numbers("alice"), set(range(1, 71)))

    def deleter_takes_messages(self):
        """A deleter has no right to write: folders stay, messages that are not kept go."""
        self.remove("deleter", self.site.path("alice", "Projects"))
        self.assertEqual(self.numbers("alice"), set(range(1, 61)) | {65})
        self.assertTrue(run_as("alice", os.path.isdir, self.site.path("alice", "Projects")))

    def owner_takes_the_rest(self):
        searches = self.site.path("alice", "Searches", "message")
        run_as("alice", os.mkdir, searches)
        before = self.numbers("alice")
        done = self.remove("alice", searches)
        self.assertEqual(self.numbers("alice"), before)
        done = self.remove("alice", self.site.path("alice"))
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.numbers("alice"), KEPT)
        deleted = self.records("message-deleted")
        self.assertEqual(len(deleted), 6 + 9 + (60 - 20))
        self.assertFalse(run_as("alice", os.path.exists, self.site.path("alice", "Empty")))
        self.remove("access", self.site.path("Holds", "lawsuit"))
        self.assertEqual(self.numbers("alice"), KEPT)


if __name__ == "__main__":
    main()
