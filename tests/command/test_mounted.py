#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of test_govern.py and test_ledger.py while the archive is mounted: every command then
travels over the control socket, and each account calls from its own process.

Needs root and /dev/fuse. What only makes sense unmounted is left out: recover is refused here.
"""
import os
import shutil
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_govern  # noqa: E402
import test_ledger  # noqa: E402


class Mounted:
    def setUp(self):
        super().setUp()
        self.mnt = os.path.join(self.home, "mnt")
        os.mkdir(self.mnt)
        done = test_govern.run("mount", self.archive, self.mnt, "-o", "rw")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.umount)

    def umount(self):
        done = test_govern.run("umount", self.mnt)
        end = time.monotonic() + 60
        while os.path.ismount(self.mnt) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(done.returncode, 0, done.stderr)
        # The mount process gives the archive back, and everything in it is in order.
        done = test_govern.run("verify", "-a", self.archive)
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}")

    def own(self, account):
        """The files stay root's: it is the mount process that opens them."""

    def emlfs(self, words, *argv, **options):
        if words != "recover":
            return super().emlfs(words, *argv, **options)
        done = super().emlfs(words, *argv, **{**options, "code": 2})
        self.assertIn("unmount", done.stderr)
        return done


class Users(Mounted, test_govern.Users):
    test_password_leaves_nothing = None  # reads the archive's files, one of them a socket


class Privileges(Mounted, test_govern.Privileges):
    pass


class Compliance(Mounted, test_govern.Compliance):
    pass


class Policies(Mounted, test_govern.Policies):
    pass


class Holds(Mounted, test_govern.Holds):
    pass


class Stores(Mounted, test_govern.Stores):
    pass


class Messages(Mounted, test_ledger.Messages):
    pass


class Proofs(Mounted, test_ledger.Proofs):
    test_the_independent_reader = None  # reads the archive's files
    test_after_many_records = None  # long, and the same by either way


class Export(Mounted, test_ledger.Export):
    pass


class Jobs(Mounted, test_ledger.Jobs):
    pass


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("needs root and /dev/fuse")
        sys.exit(77)
    if not shutil.which(test_govern.EMLFS):
        print(f"{test_govern.EMLFS} is no program")
        sys.exit(77)
    unittest.main(verbosity=2)
