# SPDX-License-Identifier: GPL-3.0-or-later
"""A governed archive for the mount tests: every kind of caller, and mail under every kind of rule.

alice's archive is what all of them try; bob's lies beside it. Callers are accounts that every
Debian has. Rights in alice's archive, of users who may do everything where nothing else is said:

  alice     owner: read, write, delete       member   the same, as a member of the Unix group "man"
  reader    read                             auditor  reads everything, changes nothing
  writer    read, write                      late     auditor from before alice's archive was made
  deleter   read, delete                     admin    administrator without archive access
  bob       an archive user without rights   access   administrator with archive access
  stranger  no archive user
  no_archive, no_export, no_delete, no_login: read, write, delete, but not the right to do it at all
  own_read, own_write: owners of archives in which they may read; read and write
"""
import json
import os

from harness import ACCOUNTS, Site, files_below, run_as, write_mail

ACCOUNTS.update({"alice": "daemon", "bob": "bin", "reader": "sys", "writer": "games",
                 "deleter": "lp", "member": "man", "admin": "mail", "access": "uucp",
                 "auditor": "news", "stranger": "nobody", "late": "sync", "own_read": "proxy",
                 "own_write": "www-data", "no_archive": "backup", "no_export": "list",
                 "no_delete": "irc", "no_login": "_apt"})
LACKING = {"no_archive": "archive", "no_export": "export", "no_delete": "delete",
           "no_login": "login"}
USERS = ("alice", "bob", "reader", "writer", "deleter", "member", "auditor", "own_read",
         "own_write") + tuple(LACKING)
CALLERS = USERS + ("late", "admin", "access", "stranger", "root")
MAY = ("login", "change-password", "archive", "export", "delete")
PASSWORD = "Correct-horse-9"
HELD = (65, 10)
KEPT = frozenset(range(20, 40))  # by policy: every number of two digits that begins with 2 or 3
OLD = frozenset(range(71, 76))   # in the write-protected store


class GovernedSite(Site):
    """Site.make with all callers and their rights. init's user is admin."""

    def govern(self, *argv, person="root", check=True, **options):
        """A command on the archive; rows of its JSON lines."""
        done = self.emlfs(*argv, "-a", self.archive, "--json", person=person, check=check,
                          **options)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def make(self):
        """All but the rules; it is mounted then. Made once, and copied."""
        super().make()
        self.write_secret()
        self.mount()

    def make_new(self):
        self.write_secret()
        self.emlfs("init", self.archive, "--user", "admin", "--unix-account", ACCOUNTS["admin"])
        self.mount()  # commands are quick then
        self.govern("user", "add", "access", "--unix-account", ACCOUNTS["access"], "--admin")
        self.govern("user", "add", "late", "--unix-account", ACCOUNTS["late"])
        self.govern("compliance", "auditor", "add", "late")
        for user in USERS:
            self.govern("user", "add", user, "--unix-account", ACCOUNTS[user])
            may = [right for right in MAY if right != LACKING.get(user)]
            own = {"own_read": "read", "own_write": "read,write"}.get(user, "all")
            self.govern("privilege", "set", user, "--may", ",".join(may), "--own", own)
        self.load_mail()
        for caller, grants in [("reader", "read"), ("writer", "read,write"),
                               ("deleter", "read,delete")] + [(user, "all") for user in LACKING]:
            self.govern("privilege", "grant", "alice", "--user", caller, "--grants", grants)
        self.govern("privilege", "grant", "alice", "--group", "man", "--grants", "all")
        self.govern("compliance", "auditor", "add", "auditor")
        self.archive_access()
        self.umount()

    def write_secret(self):
        secret = os.path.join(self.top, "password")
        with open(secret, "w", encoding="ascii") as out:
            out.write(PASSWORD + "\n")
        os.chmod(secret, 0o644)

    def archive_access(self):
        secret = os.path.join(self.top, "password")
        self.govern("user", "password", "access", "--password-file", secret)
        self.govern("privilege", "access", "on", "--password-file", secret, "--reason",
                    "a test of what it opens", person="access")

    def load_mail(self):
        """alice: Old 71-75 in a store of their own, Inbox 1-60, Projects 61-70; others: Inbox."""
        def load(user, folder, numbers):
            source = os.path.join(self.source, f"{user} {folder}")
            write_mail(os.path.join(source, folder), numbers)
            self.load(user, os.path.join(source, folder))
        load("alice", "Old", sorted(OLD))
        self.govern("store", "create", "second")
        load("alice", "Inbox", range(1, 61))
        load("alice", "Projects", range(61, 71))
        load("bob", "Inbox", range(100, 106))
        for user in ("own_read", "own_write"):
            load(user, "Inbox", range(200, 206))

    def rule_mail(self):
        """Policies, a hold, and the old store protected."""
        self.govern("policy", "add", "twenties", "--period", "6y", "--query", "subject:2?")
        self.govern("policy", "add", "thirties", "--period", "6y", "--query", "subject:3?")
        held = [os.path.basename(self.all_paths("alice", "alice")[number]) for number in HELD]
        self.govern("hold", "place", "lawsuit", "-m", held[0], "-m", held[1], "--reason", "a test")
        self.govern("store", "set-state", "1", "write-protected")

    def all_paths(self, user, person):
        """number → path in user's archive as person sees it, by the subject in the name."""
        paths = {}
        for path in run_as(person, files_below, self.path(user)):
            name = os.path.basename(path)
            if "/Searches/" not in path and "Message number " in name:
                paths[int(name.split("Message number ")[1].split(" ")[0])] = path
        return paths

    def ledger(self, *filters):
        """The records that pass the filters, oldest first."""
        return self.govern("audit", *filters)


__all__ = ["ACCOUNTS", "CALLERS", "GovernedSite", "HELD", "KEPT", "LACKING", "OLD", "PASSWORD",
           "USERS"]
