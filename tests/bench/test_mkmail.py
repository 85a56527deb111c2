#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""mkmail: equal bytes from equal seeds in every layout, and mail that a parser accepts."""

import email
import email.policy
import hashlib
import mailbox
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop())
COUNT = 400


def make(out, *more, seed=7, count=COUNT):
    """Generate mail and return its directory."""
    subprocess.run([PROGRAM, "--count", str(count), "--seed", str(seed), "--out", out, *more],
                   check=True, stdout=subprocess.DEVNULL)
    return out


def messages(top):
    """Bytes of every file, ordered by relative path."""
    paths = sorted(os.path.join(base, name) for base, _, names in os.walk(top) for name in names)
    found = []
    for path in paths:
        with open(path, "rb") as file:
            found.append(file.read())
    return found


def digests(raw):
    """A set that does not depend on names or order."""
    return sorted(hashlib.sha256(one).hexdigest() for one in raw)


class MkmailTest(unittest.TestCase):
    """Every test generates its own mail below a new directory."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.top = holder.name

    def out(self, name):
        """A path for generated mail."""
        return os.path.join(self.top, name)

    def test_same_seed_same_bytes(self):
        first, second = make(self.out("a")), make(self.out("b"))
        self.assertEqual(messages(first), messages(second))
        self.assertNotEqual(digests(messages(first)),
                            digests(messages(make(self.out("c"), seed=8))))

    def test_layouts_hold_the_same_messages(self):
        tree = digests(messages(make(self.out("tree"))))
        self.assertEqual(len(tree), COUNT)
        for layout in ("flat", "maildir"):
            made = make(self.out(layout), "--layout", layout)
            self.assertEqual(digests(messages(made)), tree, layout)
        self.assertEqual(len(os.listdir(self.out("flat"))), COUNT)

    def test_maildir_folders_are_modified_utf7(self):
        names = os.listdir(make(self.out("m"), "--layout", "maildir"))
        self.assertIn(".Stra&AN8-e &- Gr&APYA3w-e", names)
        self.assertTrue({"cur", "new", "tmp"} <= set(names))

    def test_mbox_counts_and_quoting(self):
        total = 0
        for base, _, names in os.walk(make(self.out("mbox"), "--layout", "mbox")):
            for name in names:
                box = mailbox.mbox(os.path.join(base, name))
                total += len(box)
                box.close()
        self.assertEqual(total, COUNT)

    def test_parses_without_defects(self):
        made = make(self.out("t"), "--attachments", "30")
        kinds = set()
        for raw in messages(made):
            message = email.message_from_bytes(raw, policy=email.policy.default)
            for part in message.walk():
                self.assertEqual(part.defects, [])
                kinds.add(part.get_content_type())
            self.assertTrue(message["Message-ID"] and message["Date"].datetime)
        self.assertTrue({"text/plain", "text/html", "multipart/alternative", "multipart/mixed",
                         "application/pdf", "image/png"} <= kinds)

    def test_conversations_and_attachments(self):
        raw = messages(make(self.out("r"), "--attachments", "50"))
        self.assertGreater(sum(b"\nIn-Reply-To: " in one for one in raw), COUNT // 3)
        self.assertGreater(sum(b"\r\n" in one for one in raw), COUNT // 5)
        files = [part.get_payload(decode=True) for one in raw
                 for part in email.message_from_bytes(one).walk() if part.get_filename()]
        self.assertGreater(len(files), COUNT // 2)
        self.assertGreater(len(files) - len(set(files)), len(files) // 6)
        single = messages(make(self.out("s"), "--no-threads-of-conversation"))
        self.assertFalse(any(b"\nIn-Reply-To: " in one for one in single))

    def test_limits(self):
        made = messages(make(self.out("l"), "--attachments", "100", "--max-attachment", "2000"))
        for one in made:
            for part in email.message_from_bytes(one).walk():
                if part.get_filename():
                    self.assertLessEqual(len(part.get_payload(decode=True)), 2100)
        for bad in (["--count", "0"], ["--count", "x"], ["--layout", "zip"], ["--folders", "0"],
                    ["--attachments", "101"], ["extra"]):
            done = subprocess.run([PROGRAM, "--count", "1", "--seed", "1", "--out",
                                   self.out("bad"), *bad], stderr=subprocess.DEVNULL, check=False)
            self.assertEqual(done.returncode, 2, bad)


if __name__ == "__main__":
    unittest.main()
