#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, rights, policies, holds and stores from the command line, nothing mounted.

EMLFS_BIN (or EMLFS) names the program. Parts that need further accounts are left out without root.
"""
import json
import os
import pty
import pwd
import select
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, "..", "golden", "sample")
EMLFS = os.environ.get("EMLFS_BIN") or os.environ.get("EMLFS") or "emlfs"
# Accounts that every Debian has: a user, an auditor, and one that no archive user is bound to.
BOB, OTTO, STRANGER = "bin", "sys", "daemon"
PASSWORD = "Correct-Horse-7"
OTHER_PASSWORD = "Another-Horse-8"
ROOT = os.geteuid() == 0


def become(account):
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def run(*argv, account=None, stdin=""):
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    env.pop("EMLFS_ARCHIVE", None)
    return subprocess.run([EMLFS, *map(str, argv)], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, encoding="utf-8", timeout=300,
                          cwd="/", env=env, start_new_session=True,
                          preexec_fn=(lambda: become(account)) if account else None)


class GovernTest(unittest.TestCase):
    """Each test has an archive of its own: anna administers it and owns the sample."""

    @classmethod
    def setUpClass(cls):
        cls.template = tempfile.mkdtemp(prefix="emlfs-govern-")
        cls.addClassCleanup(shutil.rmtree, cls.template)
        archive = os.path.join(cls.template, "archive")
        own = pwd.getpwuid(os.geteuid()).pw_name
        done = run("init", archive, "--user", "anna", "--unix-account", own, "--timezone", "UTC",
                   "--json")
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.recovery_key = json.loads(done.stdout)["recovery_key"]
        done = run("import", "-a", archive, "--user", "anna", SAMPLE)
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="emlfs-govern-")
        self.addCleanup(shutil.rmtree, self.home)
        os.chmod(self.home, 0o755)
        self.archive = os.path.join(self.home, "archive")
        shutil.copytree(os.path.join(self.template, "archive"), self.archive, symlinks=True)

    def own(self, account):
        entry = pwd.getpwnam(account)
        for folder, folders, names in os.walk(self.archive):
            for name in [".", *folders, *names]:
                os.chown(os.path.join(folder, name), entry.pw_uid, entry.pw_gid)

    def emlfs(self, words, *argv, code=0, account=None, stdin=""):
        """As another account: the archive's files are made theirs, since nothing is mounted."""
        if account:
            self.own(account)
        done = run(*words.split(), "-a", self.archive, *argv, account=account, stdin=stdin)
        self.assertEqual(done.returncode, code, f"{words} {argv}\n{done.stdout}\n{done.stderr}")
        return done

    def rows(self, words, *argv, **options):
        done = self.emlfs(words, "--json", *argv, **options)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def row(self, words, *argv, **options):
        row, = self.rows(words, *argv, **options)
        return row

    def message(self):
        found = self.rows("search", "subject:quarterly")
        return found[0]["path"]


class Users(GovernTest):
    def test_set(self):
        self.emlfs("user add", "bob", "--unix-account", BOB, "--full-name", "Bob Smith",
                   "--address", "bob@example.org")
        row = self.row("user show", "bob")
        self.assertEqual((row["full_name"], row["addresses"]), ("Bob Smith", ["bob@example.org"]))
        self.emlfs("user set", "bob", "--address", "b@example.org", "--address", "c@example.org")
        self.assertEqual(self.row("user show", "bob")["addresses"],
                         ["b@example.org", "c@example.org"])
        self.emlfs("user set", "bob", "--address", "", "--admin")
        row = self.row("user show", "bob")
        self.assertEqual((row["addresses"], row["admin"]), ([], True))
        self.emlfs("user set", "bob", "--no-admin")
        self.emlfs("user set", "bob", code=1)
        self.emlfs("user set", "nobody-here", "--admin", code=2)
        self.emlfs("user set", "anna", "--no-admin", code=2)  # the last one
        self.emlfs("recover")
        self.assertEqual(self.row("user show", "bob")["full_name"], "Bob Smith")

    def test_password(self):
        self.emlfs("user add", "bob", "--unix-account", BOB)
        self.emlfs("user password", "bob", "--password", PASSWORD, code=1)
        self.emlfs("user password", "bob", code=1)  # no terminal to ask on
        self.emlfs("user password", "bob", "--password-file", "-", code=1, stdin="short\n")
        self.emlfs("user password", "bob", "--password-file", "-", stdin=PASSWORD + "\n")
        self.assertTrue(self.row("privilege list", "--user", "bob")["password"])
        path = os.path.join(self.home, "password")
        with open(path, "wb") as file:
            file.write(b"Caf\xe9-Horse-77\n")
        done = self.emlfs("user password", "bob", "--password-file", path, code=1)
        self.assertIn("UTF-8", done.stderr)
        self.emlfs("user password", "bob", "--clear")
        self.assertFalse(self.row("privilege list", "--user", "bob")["password"])

    def test_password_leaves_nothing(self):
        self.emlfs("user password", "anna", "--password-file", "-", stdin=PASSWORD + "\n")
        for folder, _, names in os.walk(self.archive):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(PASSWORD.encode(), file.read(), name)

    @unittest.skipUnless(ROOT, "needs another account")
    def test_own_password(self):
        self.emlfs("user add", "bob", "--unix-account", BOB)
        both = ("--old-password-file", "-", "--password-file", "-")
        self.emlfs("user password", *both, account=BOB, stdin="\n" + PASSWORD + "\n")
        self.emlfs("user password", *both, account=BOB, code=2,
                   stdin="Wrong-Horse-77\n" + OTHER_PASSWORD + "\n")
        self.emlfs("user password", *both, account=BOB,
                   stdin=PASSWORD + "\n" + OTHER_PASSWORD + "\n")
        self.emlfs("user password", "anna", "--password-file", "-", account=BOB, code=2,
                   stdin=OTHER_PASSWORD + "\n")
        self.emlfs("privilege set", "bob", "--may", "login", account="root")
        self.emlfs("user password", *both, account=BOB, code=2,
                   stdin=OTHER_PASSWORD + "\n" + PASSWORD + "\n")

    def piece(self, terminal):
        ready, _, _ = select.select([terminal], [], [], 60)
        self.assertTrue(ready, "nothing comes from the terminal")
        return os.read(terminal, 1024)

    def ask(self, *answers):
        """user password on a terminal: the exit code, and all that the terminal showed."""
        child, terminal = pty.fork()
        if child == 0:
            os.execv(shutil.which(EMLFS) or EMLFS,
                     [EMLFS, "user", "password", "-a", self.archive, "anna"])
        shown = b""
        for answer in answers:
            while not shown.endswith(b": "):
                shown += self.piece(terminal)
            shown += b"|"
            os.write(terminal, answer.encode())
        try:
            while piece := self.piece(terminal):
                shown += piece
        except OSError:
            pass  # the other end is closed
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()

    def test_terminal(self):
        code, shown = self.ask(PASSWORD + "\n", PASSWORD + "\n")
        self.assertEqual(code, 0, shown)
        self.assertNotIn(PASSWORD, shown)
        self.assertEqual(shown.count(":"), 2)
        code, shown = self.ask(PASSWORD + "\n", OTHER_PASSWORD + "\n")
        self.assertEqual(code, 1, shown)
        self.assertIn("not the same", shown)
        code, shown = self.ask("abc\x15X\x7f" + PASSWORD + "\n", PASSWORD + "\n")
        self.assertEqual(code, 0, shown)
        code, shown = self.ask("abc\x03")
        self.assertEqual(code, 130, shown)


class Privileges(GovernTest):
    @unittest.skipUnless(ROOT, "needs another account")
    def test_grants(self):
        self.emlfs("user add", "bob", "--unix-account", BOB)
        self.emlfs("folder list", "--user", "anna", account=BOB, code=2)
        path = self.message()
        self.emlfs("message get", path, account=BOB, code=2)
        self.emlfs("privilege grant", "anna", "--user", "bob", account="root")
        self.emlfs("folder list", "--user", "anna", account=BOB)
        self.emlfs("message get", path, account=BOB)
        self.assertEqual(self.row("privilege list", account=BOB)["archives"], ["anna: read"])
        self.assertEqual(len(self.rows("search", "--user", "anna", "subject:quarterly",
                                       account=BOB)), 1)
        source = os.path.join(self.home, "sample")
        shutil.copytree(SAMPLE, source)
        self.emlfs("import", "--user", "anna", source, account=BOB, code=2)
        self.emlfs("privilege revoke", "anna", "--user", "bob", account="root")
        self.emlfs("message get", path, account=BOB, code=2)
        self.emlfs("privilege grant", "anna", "--group", BOB, "--grants", "read,write",
                   account="root")
        self.emlfs("message get", path, account=BOB)
        groups = [row for row in self.rows("privilege list", account="root") if "group" in row]
        self.assertEqual([(row["group"], row["archives"]) for row in groups],
                         [(BOB, ["anna: read,write"])])

    def test_forms(self):
        self.emlfs("privilege set", "anna", code=1)
        self.emlfs("privilege set", "anna", "--may", "fly", code=1)
        self.emlfs("privilege set", "anna", "--may", "none", code=2)  # the last administrator
        self.emlfs("privilege grant", "anna", code=1)
        self.emlfs("privilege grant", "anna", "--user", "nobody-here", code=2)
        self.emlfs("privilege set", "anna", "--may", "all", "--own", "read,delete")
        row = self.row("privilege list", "--user", "anna")
        self.assertEqual((len(row["may"]), row["own"]), (6, ["read", "delete"]))

    @unittest.skipUnless(ROOT, "needs another account")
    def test_archive_access(self):
        self.emlfs("user add", "bob", "--unix-account", BOB, "--admin")
        path = self.message()
        self.emlfs("policy list", account=BOB)
        self.emlfs("message get", path, account=BOB, code=2)
        # nor do they open the archive to themselves
        self.emlfs("privilege grant", "anna", "--user", "bob", account=BOB, code=2)
        self.emlfs("privilege grant", "anna", "--group", BOB, account=BOB, code=2)
        self.emlfs("user set", "anna", "--unix-account", BOB, account=BOB, code=2)
        self.emlfs("user set", "bob", "--unix-account", "root", account="root", code=2)
        self.emlfs("message get", path, account=BOB, code=2)
        self.emlfs("user password", "bob", "--password-file", "-", account=BOB,
                   stdin=PASSWORD + "\n")
        on = ("on", "--password-file", "-")
        self.emlfs("privilege access", *on, account=BOB, code=1, stdin=PASSWORD + "\n")
        self.emlfs("privilege access", *on, "--reason", "lost mail", account=BOB, code=2,
                   stdin="Wrong-Horse-77\n")
        self.emlfs("privilege access", *on, "--reason", "lost mail", account=BOB,
                   stdin=PASSWORD + "\n")
        self.emlfs("message get", path, account=BOB)
        self.assertEqual(self.row("compliance show", account=BOB)["archive_access"], ["bob"])
        self.emlfs("privilege access", "off", account=BOB)
        self.emlfs("message get", path, account=BOB, code=2)


class Compliance(GovernTest):
    def test_mode(self):
        self.emlfs("policy add", "All", "--period", "6y")
        self.emlfs("compliance mode", "compliance", code=1)  # no reason
        self.emlfs("compliance mode", "compliance", "--reason", "law")
        self.assertEqual(self.row("compliance show")["mode"], "compliance")
        self.emlfs("compliance mode", "governance", "--reason", "r", code=2)
        self.emlfs("policy set", "All", "--period", "5y", "--reason", "r", code=2)
        self.emlfs("policy remove", "All", "--reason", "r", code=2)
        self.emlfs("policy set", "All", "--period", "7y")
        self.emlfs("recover")
        self.assertEqual(self.row("compliance show")["mode"], "compliance")

    @unittest.skipUnless(ROOT, "needs other accounts")
    def test_auditor(self):
        self.emlfs("user add", "otto", "--unix-account", OTTO)
        path = self.message()
        self.emlfs("compliance show", account=OTTO, code=2)
        self.emlfs("compliance auditor add", "anna", account="root", code=2)
        self.emlfs("compliance auditor add", "otto", "--reason", "yearly", account="root")
        self.assertEqual(self.row("compliance auditor list", account=OTTO)["name"], "otto")
        self.emlfs("message get", path, account=OTTO)
        self.emlfs("policy add", "X", "--period", "1y", account=OTTO, code=2)
        self.emlfs("search save", "--user", "anna", "X", "word", account=OTTO, code=2)
        self.emlfs("compliance auditor remove", "otto", account="root")
        self.emlfs("message get", path, account=OTTO, code=2)

    def test_audit(self):
        self.emlfs("compliance audit set", "read,search")
        recorded = {row["activity"] for row in self.rows("compliance audit show")
                    if row["recorded"]}
        self.assertEqual(recorded, {"read", "search"})
        self.emlfs("compliance audit set", "all")
        self.emlfs("compliance audit set", "breathing", code=1)
        self.assertEqual(len(self.row("compliance show")["audited"]), 5)

    @unittest.skipUnless(ROOT, "needs another account")
    def test_strangers(self):
        for words in ("policy list", "hold list", "store list", "compliance show",
                      "compliance audit show", "compliance auditor list"):
            done = self.emlfs(words, account=STRANGER, code=2)
            self.assertIn("only administrators and auditors", done.stderr)
        done = self.emlfs("hold place", "X", "--all", account=STRANGER, code=2)
        self.assertIn("only an administrator", done.stderr)
        self.assertEqual(self.emlfs("privilege list", account=STRANGER).stdout, "")


class Policies(GovernTest):
    def names(self):
        return [row["name"] for row in self.rows("policy list")]

    def test_life(self):
        row = self.row("policy add", "Tax", "--period", "10y", "--query", "subject:invoice",
                       "--start", "year-end", "--auto-delete")
        self.assertEqual((row["period"], row["start"], row["auto_delete"], row["enabled"]),
                         ("10y", "year-end", True, True))
        self.emlfs("policy add", "All", "--period", "90d", "--disable")
        self.emlfs("policy add", "Tax", "--period", "1y", code=2)
        for argv in (["X"], ["X", "--period", "1w"], ["X", "--period", "1001y"],
                     ["X", "--period", "1y", "--query", "subject:\"open"],
                     ["X", "--period", "1y", "--query", "-subject:x"],
                     ["X", "--period", "1y", "--start", "later"],
                     ["X", "--period", "1y", "--enable", "--disable"]):
            self.emlfs("policy add", *argv, code=1)
        self.emlfs("policy set", "Tax", "--period", "9y", code=1)  # looser, and no reason
        self.emlfs("policy set", "Tax", "--period", "9y", "--reason", "the law changed")
        self.emlfs("policy set", "Tax", "--rename", "Taxes", "--period", "10y")
        self.assertEqual(self.names(), ["Taxes", "All"])
        self.emlfs("policy move", "All", "1", "--reason", "order")
        self.assertEqual(self.names(), ["All", "Taxes"])
        self.emlfs("policy move", "All", "3", code=1)
        self.emlfs("recover")
        self.assertEqual(self.names(), ["All", "Taxes"])
        self.emlfs("policy remove", "Taxes", "--reason", "not needed")
        self.emlfs("policy remove", "Taxes", "--reason", "again", code=2)
        self.assertEqual(self.names(), ["All"])


class Holds(GovernTest):
    def test_life(self):
        path = self.message()
        self.emlfs("hold place", "Case", code=1)
        self.emlfs("hold place", "Case", "--all", "--query", "x", code=1)
        self.emlfs("hold place", "Case", "--message", "000vvv", code=2)
        row = self.row("hold place", "Case", "--message", path, "--reason", "a suit")
        self.assertEqual((row["scope"], row["placed_by"], row["reason"]),
                         ("messages", "anna", "a suit"))
        self.emlfs("hold place", "Case", "--all", code=2)
        other = self.rows("search", "subject:koln")[0]["path"]
        self.emlfs("hold add", "Case", other, path)
        self.emlfs("hold add", "Case", "000vvv", code=2)
        self.emlfs("hold place", "Words", "--query", "from:bob")
        self.emlfs("hold add", "Words", other, code=1)
        self.emlfs("hold place", "Bad", "--query", "subject:\"open", code=1)
        self.emlfs("hold place", "Everything", "--all")
        self.assertTrue(self.row("compliance show")["all_held"])
        self.emlfs("hold release", "Everything", code=1)  # no reason
        self.emlfs("hold release", "Everything", "--reason", "over")
        self.emlfs("hold release", "Everything", "--reason", "over", code=2)
        self.emlfs("recover")
        self.assertEqual([row["name"] for row in self.rows("hold list")], ["Case", "Words"])
        released = [row for row in self.rows("hold list", "--released") if "released" in row]
        self.assertEqual([row["release_reason"] for row in released], ["over"])


class Stores(GovernTest):
    def states(self):
        return {row["name"]: row["state"] for row in self.rows("store list")}

    def test_life(self):
        first, = self.states()
        path = self.message()
        self.emlfs("store set-state", first, "disabled", code=1)  # it is the current one
        self.emlfs("store create", "Next")
        self.assertEqual(self.states(), {first: "normal", "Next": "current"})
        self.emlfs("store create", "next", code=2)
        self.emlfs("store rename", first, "Old")
        self.emlfs("store set-state", "Old", "write-protected", "--reason", "closed")
        self.emlfs("message get", path)
        self.emlfs("store set-state", "Old", "disabled")
        self.emlfs("message get", path, code=2)
        self.assertEqual(self.rows("search", "subject:quarterly"), [])
        self.emlfs("store set-state", "Old", "normal")
        self.emlfs("message get", path)
        self.assertEqual(len(self.rows("search", "subject:quarterly")), 1)
        self.emlfs("store set-state", "Old", "open", code=1)
        self.emlfs("store set-state", "Nothing", "normal", code=2)

    def test_lock(self):
        first, = self.states()
        self.emlfs("store create", "Next")
        self.emlfs("store set-state", first, "locked", "--reason", "court")
        self.emlfs("store set-state", first, "normal", code=2)
        key = ("--recovery-key-file", "-")
        self.emlfs("store unlock", first, code=1)  # no terminal to ask on
        self.emlfs("store unlock", first, *key, code=2, stdin="not the key\n")
        self.emlfs("store unlock", first, *key, stdin="  " + self.recovery_key + "\n")
        self.assertEqual(self.states()[first], "normal")

    def test_detach(self):
        first, = self.states()
        path = self.message()
        self.emlfs("store create", "Next")
        self.emlfs("store detach", "Next", code=1)
        directory = self.row("store detach", first)["directory"]
        self.emlfs("message get", path, code=2)
        place = os.path.join(self.archive, "stores", directory)
        away = os.path.join(self.home, "away")
        os.rename(place, away)
        self.assertEqual(self.states()[first], "detached")
        self.emlfs("store attach", first, code=2)
        os.rename(away, place)
        self.assertEqual(self.row("store attach", first)["state"], "write-protected")
        self.emlfs("message get", path)


if __name__ == "__main__":
    if not os.access(shutil.which(EMLFS) or EMLFS, os.X_OK):
        print(f"{EMLFS} is no program")
        sys.exit(77)
    unittest.main(verbosity=2)
