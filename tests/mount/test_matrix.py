# SPDX-License-Identifier: GPL-3.0-or-later
"""Every caller, every call: the exact errno, and the record in the ledger.

One row is a call on alice's archive, one column a caller (governed.py says what each may). A cell is the
letter of the errno and, where the ledger must say something, a "+" (a record of the deed) or a "!" (a
record of the refusal). "." after a letter: the kernel refuses before the file system is asked, so that
there is nothing to record. Written by hand from the rules, never from the code.
"""
import errno
import os
import unittest

from governed import GovernedSite
from harness import command, errno_as, main, run_as

LETTERS = {"-": 0, "A": errno.EACCES, "N": errno.ENOENT, "P": errno.EPERM}
WHO = ("alice", "reader", "writer", "deleter", "member", "bob", "stranger", "admin", "access",
       "auditor", "root")
#            alice reader writer deleter member bob stranger admin access auditor root
TABLE = {
    "list":    "-   -   -   -   -   N   N   N   -   -   A!",
    "stat":    "-   -   -   -   -   N   N   N   -   -   A",
    "open":    "-+  -+  -+  -+  -+  N   N   N   -+  -+  A",
    "create":  "P!  A!  P!  A!  P!  N   N   N   A!  A!  A",
    "rename":  "-+  A!  -+  A!  -+  N   N   N   A!  A!  A",
    "mkdir":   "-+  A!  -+  A!  -+  N   N   N   A!  A!  A",
    "rmdir":   "-+  A!  -+  A!  -+  N   N   N   A!  A!  A",
    "unlink":  "-+  A!  A!  -+  -+  N   N   N   A!  A!  A",
    "setattr": "P!  P.  P.  P.  P.  N   N   N   P.  P.  A",
    "write":   "P!  A.  A.  A.  P!  N   N   N   A.  A.  A",
    "search":  "-+  -+  -+  -+  -+  N   N   N   -+  -+  A",
    "export":  "-+  -+  -+  -+  -+  N!  N!  N!  -+  A!  A!",
    "command": "-   -   -   -   -   N!  N!  N!  -   -   A!",
}
DEEDS = {"open": "message-read", "rename": "message-moved", "mkdir": "folder-made",
         "rmdir": "folder-deleted", "unlink": "message-deleted", "search": "search",
         "export": "message-exported"}


class Matrix(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = GovernedSite()
        try:
            cls.site.make()
            cls.site.govern("compliance", "audit", "set", "all")
            cls.site.mount()
            cls.numbers = iter(range(1, 61))
        except BaseException:
            cls.site.clean()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.site.clean()

    # ---- the calls, each on an object of its own

    def inbox_message(self):
        return self.site.all_paths("alice", "alice")[next(self.numbers)]

    def folder(self):
        path = self.site.path("alice", f"Folder {next(self.numbers)}")
        run_as("alice", os.mkdir, path)
        return path

    def do_list(self, who):
        return errno_as(who, os.listdir, self.site.path("alice", "Inbox"))

    def do_stat(self, who):
        return errno_as(who, os.stat, self.fixed)

    def do_open(self, who):
        return errno_as(who, read_all, self.fixed)

    def do_create(self, who):
        return errno_as(who, create, self.site.path("alice", "Inbox", "new.eml"))

    def do_rename(self, who):
        path = self.inbox_message()
        code = errno_as(who, os.rename, path,
                        self.site.path("alice", "Projects", os.path.basename(path)))
        return code

    def do_mkdir(self, who):
        return errno_as(who, os.mkdir, self.site.path("alice", f"made by {who}"))

    def do_rmdir(self, who):
        return errno_as(who, os.rmdir, self.folder())

    def do_unlink(self, who):
        return errno_as(who, os.unlink, self.inbox_message())

    def do_setattr(self, who):
        return errno_as(who, os.chmod, self.fixed, 0o777)

    def do_write(self, who):
        return errno_as(who, open_to_write, self.fixed)

    def do_search(self, who):
        return errno_as(who, os.listdir, self.site.path("alice", ".query", "subject:number"))

    def do_export(self, who):
        out = os.path.join(self.site.top, f"export-{who}")
        os.mkdir(out)
        os.chmod(out, 0o777)
        return self.run_emlfs(who, "export", os.path.basename(self.fixed), "--user", "alice", "--to",
                              out)

    def do_command(self, who):
        return self.run_emlfs(who, "message", "show", os.path.basename(self.fixed))

    def run_emlfs(self, who, *argv):
        """errno that the error text names; 0 when it went well."""
        done = self.site.emlfs(*argv, "-a", self.site.archive, person=who, check=False)
        if done.returncode == 0:
            return 0
        text = done.stdout + done.stderr
        return errno.EACCES if ("may" in text or "right" in text or "denied" in text) else errno.ENOENT

    # ---- the ledger

    def count(self):
        rows = self.site.ledger()
        return rows[-1]["record"] if rows else -1

    def check_record(self, call, who, mark, before):
        rows = [row for row in self.site.ledger("--after", str(before))
                if row["kind"] not in ("search",) or call == "search"]
        mine = [row for row in rows if row.get("user", "") == (who if who not in ("stranger", "root")
                                                              else "") or row.get("uid") == 0]
        if mark == "+":
            self.assertIn(DEEDS[call], [row["kind"] for row in mine], f"{call} {who}: {rows}")
        elif mark == "!":
            self.assertIn("access-denied", [row["kind"] for row in mine], f"{call} {who}: {rows}")

    def test_matrix(self):
        self.fixed = self.site.all_paths("alice", "alice")[61]
        for call, row in TABLE.items():
            for who, cell in zip(WHO, row.split(), strict=True):
                with self.subTest(call=call, who=who):
                    before = self.count()
                    got = getattr(self, "do_" + call)(who)
                    wanted = LETTERS[cell[0]]
                    self.assertEqual(errno.errorcode.get(got, got),
                                     errno.errorcode.get(wanted, wanted))
                    self.check_record(call, who, cell[1:], before)


def read_all(path):
    with open(path, "rb") as stream:
        return len(stream.read())


def create(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))


def open_to_write(path):
    os.close(os.open(path, os.O_WRONLY))


if __name__ == "__main__":
    main()
assert command
