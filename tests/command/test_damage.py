#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed byte in an archive with deletions, holds, policies and moves is found by verify.

tests/crash/flip.py changes every byte, or thousands, of an archive of mail; this is the one that
was governed, with a byte of every file. EMLFS_SEED chooses them.
"""
import os
import random
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_govern  # noqa: E402

EACH = int(os.environ.get("EMLFS_DAMAGE_EACH", "1"))  # bytes of a file


class Damage(test_govern.GovernTest):
    def govern(self):
        """Every kind of change that a ledger knows of a message or a rule."""
        found = {row["subject"]: row["path"] for row in self.rows("search", "example")}
        paths = list(found.values())
        self.assertGreater(len(paths), 4)
        self.emlfs("privilege set", "anna", "--may", "all", "--own", "all")
        self.emlfs("message delete", paths[0], "--reason", "by wish")
        self.emlfs("message delete", paths[1], "--reason", "by wish")
        self.emlfs("policy add", "Letters", "--period", "6y", "--query", "subject:quarterly")
        self.emlfs("policy add", "Rest", "--period", "10y", "--auto-delete", "--reason", "r")
        self.emlfs("policy set", "Rest", "--period", "11y")
        self.emlfs("hold place", "Case", "--message", paths[2], "--reason", "a suit")
        self.emlfs("hold place", "Words", "--query", "from:bob")
        self.emlfs("hold release", "Words", "--reason", "over")
        self.emlfs("message delete", paths[3], code=1)
        self.emlfs("store create", "Next")
        self.emlfs("checkpoint")
        self.emlfs("verify")

    def files(self):
        found = []
        for folder, folders, names in os.walk(self.archive):
            if "index" in folders:
                folders.remove("index")  # made from the rest, and made again when it is damaged
            found += [os.path.join(folder, name) for name in names]
        return sorted(path for path in found if os.path.getsize(path))

    def changed(self, path, offset, bit):
        """What verify says of a copy in which that bit is another."""
        copy = os.path.join(self.home, "copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.archive, copy)
        with open(os.path.join(copy, os.path.relpath(path, self.archive)), "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ bit]))
        return test_govern.run("verify", "-a", copy)

    def test_every_file(self):
        self.govern()
        rng = random.Random(int(os.environ.get("EMLFS_SEED", "11")))
        unnoticed, parts = [], set()
        for path in self.files():
            name = os.path.relpath(path, self.archive)
            size = os.path.getsize(path)
            parts.add(name.split(os.sep)[0])
            for offset in [rng.randrange(size) for _ in range(EACH)]:
                done = self.changed(path, offset, 1 << rng.randrange(8))
                if done.returncode not in (1, 2) or not done.stderr:
                    unnoticed.append(f"{name} at {offset} of {size}: {done.returncode}")
        self.assertEqual(unnoticed, [])
        self.assertLessEqual({"keys", "ledger", "master", "stores"}, parts)
        self.emlfs("verify")


if __name__ == "__main__":
    unittest.main(verbosity=2)
