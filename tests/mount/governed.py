# SPDX-License-Identifier: GPL-3.0-or-later
"""A governed archive for the mount tests: every kind of caller, and mail under every kind of rule.

alice's archive is what all of them try; bob's lies beside it. Callers are accounts that every Debian
has. Rights in alice's archive:

  alice     owner: read, write, delete       member   the same, as a member of the Unix group "man"
  reader    read                             auditor  reads everything, changes nothing
  writer    read, write                      admin    administrator without archive access
  deleter   read, delete                     access   administrator with archive access
  bob       an archive user without rights   stranger no archive user
"""
import json
import os

from harness import ACCOUNTS, Site, command, message, write_mail

ACCOUNTS.update({"alice": "daemon", "bob": "bin", "reader": "sys", "writer": "games",
                 "deleter": "lp", "member": "man", "admin": "mail", "access": "uucp",
                 "auditor": "news", "stranger": "nobody"})
USERS = ("alice", "bob", "reader", "writer", "deleter", "member", "auditor")
ADMINS = ("admin", "access")
CALLERS = USERS + ADMINS + ("stranger", "root")
PASSWORD = "Correct-horse-9"


class GovernedSite(Site):
    """Site.make with all callers and their rights. init's user is admin."""

    def govern(self, *argv, person="root", check=True, **options):
        """A command on the archive; rows of its JSON lines."""
        done = self.emlfs(*argv, "-a", self.archive, "--json", person=person, check=check, **options)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def make(self):
        self.emlfs("init", self.archive, "--user", "admin", "--unix-account", ACCOUNTS["admin"])
        self.govern("user", "add", "access", "--unix-account", ACCOUNTS["access"], "--admin")
        for user in USERS:
            self.govern("user", "add", user, "--unix-account", ACCOUNTS[user])
            self.govern("privilege", "set", user, "--may",
                        "login,change-password,archive,export,delete", "--own", "all")
        self.load_mail()
        for caller, grants in (("reader", "read"), ("writer", "read,write"),
                               ("deleter", "read,delete")):
            self.govern("privilege", "grant", "alice", "--user", caller, "--grants", grants)
        self.govern("privilege", "grant", "alice", "--group", "man", "--grants", "all")
        self.govern("compliance", "auditor", "add", "auditor")
        self.archive_access()

    def archive_access(self):
        secret = os.path.join(self.top, "password")
        with open(secret, "w", encoding="ascii") as out:
            out.write(PASSWORD + "\n")
        os.chmod(secret, 0o644)
        self.govern("user", "password", "access", "--password-file", secret)
        self.govern("privilege", "access", "on", "--password-file", secret, "--reason",
                    "a test of what it opens", person="access")

    def load_mail(self):
        """alice: Inbox 1-60 and Projects 61-70, an empty folder Empty; bob: Inbox 100-105."""
        write_mail(os.path.join(self.source, "alice", "Inbox"), range(1, 61))
        write_mail(os.path.join(self.source, "alice", "Projects"), range(61, 71))
        os.makedirs(os.path.join(self.source, "alice", "Empty"))
        write_mail(os.path.join(self.source, "bob", "Inbox"), range(100, 106))
        for name in ("alice", "bob"):
            self.load(name, os.path.join(self.source, name))

    def message_path(self, number, user="alice", person=None):
        """Where message number lies in user's archive, as somebody who may read it sees it."""
        found = self.all_paths(user, person or user)
        return found[number]

    def all_paths(self, user, person):
        """number → path, by the subject in the name."""
        from harness import files_below, run_as
        paths = {}
        for path in run_as(person, files_below, self.path(user)):
            if "/Searches/" in path:
                continue
            name = os.path.basename(path)
            if "Message number " in name:
                paths[int(name.split("Message number ")[1].split(" ")[0])] = path
        return paths

    def ledger(self, *filters):
        """All records that pass the filters, oldest first."""
        return self.govern("audit", *filters, "--limit", "0")


__all__ = ["ACCOUNTS", "ADMINS", "CALLERS", "GovernedSite", "PASSWORD", "USERS", "command",
           "message"]
