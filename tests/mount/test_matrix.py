# SPDX-License-Identifier: GPL-3.0-or-later
"""Every right, every caller, every call: the exact errno, and the record in the ledger.

One row is a call on alice's archive, one column a caller (governed.py says what each may). A cell
is the letter of the errno, and behind it what the ledger must hold of it afterwards: "+" a record
of the deed, "!" one of the refusal, "~" nothing about the deed, and at most one record in a minute
that a stranger looked for something. Nothing behind the letter: no record at all, because looking
is no deed, or because the kernel refused before the file system was asked. Written by hand from the
rules, never from the code. All activities are recorded here.

  -  0    A EACCES   N ENOENT   P EPERM   R EROFS
"""
import errno
import os
import unittest

from governed import HELD, KEPT, GovernedSite
from harness import errno_as, main, run_as, uid_of

LETTERS = {"-": 0, "A": errno.EACCES, "N": errno.ENOENT, "P": errno.EPERM, "R": errno.EROFS}
WHO = ("alice", "member", "no_archive", "no_export", "no_delete", "writer", "deleter", "reader",
       "access", "auditor", "late", "bob", "no_login", "stranger", "admin", "root")
#    alice     no_archive    no_delete  deleter   access   late  no_login   admin
#         member     no_export    writer    reader   auditor   bob   stranger   root
TABLE = {
    "list":
        "-    -    -    -    -    -    -    -    -    -    N~   N~   N~   N~   N~   A~",
    "list the archive":
        "-    -    -    -    -    -    -    -    -    -    A!   A!   A!   A!   A!   A!",
    "stat the archive":
        "-    -    -    -    -    -    -    -    -    -    -    -    -    -    -    -",
    "stat":
        "-    -    -    -    -    -    -    -    -    -    N~   N~   N~   N~   N~   A~",
    "open":
        "-+   -+   -+   -+   -+   -+   -+   -+   -+   -+   N~   N~   N~   N~   N~   A~",
    "read":
        "-+   -+   -+   -+   -+   -+   -+   -+   -+   -+   N~   N~   N~   N~   N~   A~",
    "write":  # shown as 0644 to the owner's class only
        "P!   A    A    A    A    A    A    A    A    A    N~   N~   N~   N~   N~   A~",
    "create":  # what is empty is not archived: no deed yet
        "-    -    A!   -    -    -    A!   A!   A!   A!   N~   N~   N~   N~   N~   A~",
    "rename":
        "-+   -+   -+   -+   -+   -+   A!   A!   A!   A!   N~   N~   N~   N~   N~   A~",
    "rename a folder":
        "-+   -+   -+   -+   -+   -+   A!   A!   A!   A!   N~   N~   N~   N~   N~   A~",
    "mkdir":
        "-+   -+   -+   -+   -+   -+   A!   A!   A!   A!   A!   A!   A!   A!   A!   A~",
    "rmdir":
        "-+   -+   -+   -+   -+   -+   A!   A!   A!   A!   N~   N~   N~   N~   N~   A~",
    "unlink":
        "-+   -+   -+   -+   A!   A!   -+   A!   A!   A!   N~   N~   N~   N~   N~   A~",
    "unlink kept":
        "P!   P!   P!   P!   A!   A!   P!   A!   A!   A!   N~   N~   N~   N~   N~   A~",
    "unlink held":
        "P!   P!   P!   P!   A!   A!   P!   A!   A!   A!   N~   N~   N~   N~   N~   A~",
    "rename held":
        "P!   P!   P!   P!   P!   P!   A!   A!   A!   A!   N~   N~   N~   N~   N~   A~",
    "unlink protected":
        "R!   R!   R!   R!   R!   R!   R!   R!   R!   R!   N~   N~   N~   N~   N~   A~",
    "setattr":  # to others the kernel says that the file is not theirs
        "P!   P    P    P    P    P    P    P    P    P    N~   N~   N~   N~   N~   A~",
    "save a search":
        "-+   -+   -+   -+   -+   -+   A!   A!   A!   A!   N~   N~   N~   N~   N~   A~",
    "search":
        "-+   -+   -+   -+   -+   -+   -+   -+   -+   -+   N~   N~   N~   N~   N~   A~",
    "search by command":
        "-+   -+   -+   -+   -+   -+   -+   -+   -+   -+   A!   A!   A!   A!   A!   A!",
    "export":
        "-+   -+   -+   A!   -+   -+   -+   -+   -+   A!   N!   N!   N!   N!   N!   A!",
    "command":
        "-    -    -    -    -    -    -    -    -    -    N!   N!   N!   N!   N!   A!",
    "command on the ledger":
        "A!   A!   A!   A!   A!   A!   A!   A!   -    -    -    A!   A!   A!   -    -",
    "command of administrators":
        "A!   A!   A!   A!   A!   A!   A!   A!   -+   A!   A!   A!   A!   A!   -+   -+",
}
# The same in the caller's own archive, by what they may there.
OWNERS = ("own_read", "own_write")
OWN = {
    "list":             "-    -",
    "list the archive": "-    -",
    "stat":             "-    -",
    "open":             "-+   -+",
    "read":             "-+   -+",
    "write":            "A    A",
    "create":           "A    -",  # of one who may not write the folder says so
    "rename":           "A    -+",
    "rename a folder":  "A    -+",
    "mkdir":            "A    -+",
    "rmdir":            "A    -+",
    "unlink":           "A    A!",
    "setattr":          "P!   P!",
    "save a search":    "-+   -+",  # searches are no mail
    "search":           "-+   -+",
    "search by command": "-+   -+",
    "export":           "-+   -+",
    "command":          "-    -",
}
DEEDS = {"open": "message-read", "read": "message-read", "rename": "message-moved",
         "rename a folder": "folder-renamed", "mkdir": "folder-made", "rmdir": "folder-deleted",
         "unlink": "message-deleted", "search": "search", "search by command": "search",
         "export": "message-exported", "save a search": "setting-changed",
         "command of administrators": "policy-changed"}
# What the ledger calls what was refused.
TRIED = {"list the archive": "list", "rename a folder": "rename", "rename held": "rename",
         "unlink kept": "unlink", "unlink held": "unlink", "unlink protected": "unlink",
         "save a search": "mkdir", "search by command": "command", "export": "command",
         "command on the ledger": "command", "command of administrators": "command"}

TEXTS = {"no such message that you may see": errno.ENOENT,
         "right to do this is missing": errno.EACCES,
         "is closed to you": errno.EACCES, "is not open to you": errno.EACCES,
         "of the archive may": errno.EACCES}


def read_all(path):
    with open(path, "rb") as stream:
        return len(stream.read())


def open_with(path, flags):
    os.close(os.open(path, flags, 0o640))


class Matrix(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.site = GovernedSite()
        try:
            cls.site.make()
            cls.site.rule_mail()
            cls.site.govern("compliance", "audit", "set", "all")
            cls.last = cls.records()[-1]["record"]
        except BaseException:
            cls.site.clean()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.site.clean()

    @classmethod
    def records(cls):
        """The newest records."""
        return cls.site.ledger("--limit", "400")

    # ---- the calls; of what is used up, each caller has one

    def at(self, *parts):
        return self.site.path(self.owner, *parts)

    def own_folder(self, who):
        return self.at(f"Folder of {who}")

    def do_list(self, who):
        return errno_as(who, os.listdir, self.at("Inbox"))

    def do_list_the_archive(self, who):
        return errno_as(who, os.listdir, self.at())

    def do_stat_the_archive(self, who):
        return errno_as(who, os.stat, self.at())

    def do_stat(self, who):
        return errno_as(who, os.stat, self.fixed)

    def do_open(self, who):
        return errno_as(who, open_with, self.fixed, os.O_RDONLY)

    def do_read(self, who):
        return errno_as(who, read_all, self.fixed)

    def do_write(self, who):
        return errno_as(who, open_with, self.fixed, os.O_WRONLY)

    def do_create(self, who):
        return errno_as(who, open_with, self.at("Inbox", "new.eml"),
                        os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def do_rename(self, who):
        path = self.moved.pop()
        return errno_as(who, os.rename, path, self.at("Other", os.path.basename(path)))

    def do_rename_a_folder(self, who):
        return errno_as(who, os.rename, self.own_folder(who), self.own_folder(who) + " again")

    def do_mkdir(self, who):
        return errno_as(who, os.mkdir, self.at(f"made by {who}"))

    def do_rmdir(self, who):
        return errno_as(who, os.rmdir, self.own_folder(who + " to remove"))

    def do_unlink(self, who):
        return errno_as(who, os.unlink, self.deleted.pop())

    def do_unlink_kept(self, who):
        return errno_as(who, os.unlink, self.paths[25])

    def do_unlink_held(self, who):
        return errno_as(who, os.unlink, self.paths[10])

    def do_rename_held(self, who):
        return errno_as(who, os.rename, self.paths[10],
                        self.at("Other", os.path.basename(self.paths[10])))

    def do_unlink_protected(self, who):
        return errno_as(who, os.unlink, self.paths[71])

    def do_setattr(self, who):
        return errno_as(who, os.chmod, self.fixed, 0o777)

    def do_save_a_search(self, who):
        return errno_as(who, os.mkdir, self.at("Searches", f"subject:{who}"))

    def do_search(self, who):
        return errno_as(who, os.listdir, self.at(".query", "subject:number"))

    def do_search_by_command(self, who):
        return self.run_emlfs(who, "search", "subject:number", "--user", self.owner, "--count")

    def do_export(self, who):
        out = os.path.join(self.site.top, f"export-{self.owner}-{who}")
        os.mkdir(out)
        os.chmod(out, 0o777)
        return self.run_emlfs(who, "export", os.path.basename(self.fixed), "--user", self.owner,
                              "--to", out)

    def do_command(self, who):
        return self.run_emlfs(who, "message", "explain", os.path.basename(self.fixed))

    def do_command_on_the_ledger(self, who):
        return self.run_emlfs(who, "audit", "--limit", "1")

    def do_command_of_administrators(self, who):
        self.years += 1
        return self.run_emlfs(who, "policy", "set", "twenties", "--period", f"{self.years}y")

    def run_emlfs(self, who, *argv):
        """The errno that the error text stands for; 0 when it went well."""
        done = self.site.emlfs(*argv, "-a", self.site.archive, "--json", person=who, check=False)
        if done.returncode == 0:
            return 0
        for words, code in TEXTS.items():
            if words in done.stderr:
                return code
        return done.stderr

    # ---- the ledger

    def check_records(self, call, marks):
        """The records since the last row are what the marks say for each caller, and no others."""
        rows = [row for row in self.records() if row["record"] > self.last]
        self.last = max([self.last] + [row["record"] for row in rows])
        wrong = []
        for who, mark in marks.items():
            found = [(row["kind"], row["name"]) if row["outcome"] != "done" else (row["kind"],)
                     for row in rows if row["uid"] == uid_of(who)]
            if mark == "~":
                found = [record for record in found if record != ("access-denied", "stat")]
            wanted = {"+": [(DEEDS.get(call),)],
                      "!": [("access-denied", TRIED.get(call, call))]}.get(mark, [])
            if found != wanted:
                wrong.append(f"{call} as {who}: recorded {found}, not {wanted}")
        known = {uid_of(who) for who in marks}
        return wrong + [f"{call}: {row}" for row in rows if row["uid"] not in known]

    def cell(self, call, who, letter):
        got = getattr(self, "do_" + call.replace(" ", "_"))(who)
        wanted = LETTERS[letter]
        if got == wanted:
            return []
        return [f"{call} as {who}: {errno.errorcode.get(got, got)}, not "
                f"{errno.errorcode.get(wanted, wanted)}"]

    def walk(self, table, people, owner_of):
        wrong = []
        for call, row in table.items():
            marks = {}
            for who, letter in zip(people, row.split(), strict=True):
                self.turn_to(owner_of(who))
                wrong += self.cell(call, who, letter[0])
                marks[who] = letter[1:]
            wrong += self.check_records(call, marks)
        self.assertEqual(len(wrong), 0, "\n" + "\n".join(wrong))

    # ---- the tables

    def turn_to(self, owner):
        """The archive in question, and what of it is used up."""
        self.owner = owner
        self.__dict__.update(self.archives[owner])

    def prepare(self, owner, callers, free):
        """Folders for each caller; messages to move and to delete."""
        paths = self.site.all_paths(owner, "auditor")
        free = [paths[number] for number in free]
        n = len(callers)
        self.archives[owner] = {"paths": paths, "fixed": free[0], "moved": free[1:1 + n],
                                "deleted": free[1 + n:1 + 2 * n]}
        self.site.govern("privilege", "set", owner, "--own", "all")
        run_as(owner, make_folders, self.site.path(owner), callers)

    def begin(self):
        self.archives = {}
        self.years = 6

    def test_1_alice(self):
        self.begin()
        free = [n for n in range(1, 71) if n not in KEPT and n not in HELD]
        self.prepare("alice", WHO, free)
        self.last = self.records()[-1]["record"]
        self.walk(TABLE, WHO, lambda who: "alice")

    def test_2_own(self):
        self.begin()
        for owner, own in (("own_read", "read"), ("own_write", "read,write")):
            self.prepare(owner, [owner], range(200, 206))
            self.site.govern("privilege", "set", owner, "--own", own)
        self.last = self.records()[-1]["record"]
        self.walk(OWN, OWNERS, lambda who: who)


def make_folders(top, callers):
    os.mkdir(os.path.join(top, "Other"))
    for who in callers:
        os.mkdir(os.path.join(top, f"Folder of {who}"))
        os.mkdir(os.path.join(top, f"Folder of {who} to remove"))


if __name__ == "__main__":
    main()
