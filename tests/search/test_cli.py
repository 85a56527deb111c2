#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""emlfs search and emlfs index with the real program, nothing mounted, on the golden sample.

EMLFS_BIN (or EMLFS) names the program. Parts that need a second account are left out without root.
"""
import glob
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, "..", "golden", "sample")
EMLFS = os.environ.get("EMLFS_BIN") or os.environ.get("EMLFS") or "emlfs"
FILE_TIME = 1772000000  # the date of a message without one
MESSAGES = 17
# The archive of the second user is this account's; every Debian has it.
OTHER = "bin"

NUMBERS = {"Quarterly numbers", "Numbers attached", "Fwd: Numbers attached"}
LIST = {"First on the list", "Re: First on the list"}


def become(account):
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def run(*argv, account=None):
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    env.pop("EMLFS_ARCHIVE", None)
    return subprocess.run([EMLFS, *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, encoding="utf-8", timeout=300, cwd="/", env=env,
                          preexec_fn=(lambda: become(account)) if account else None)


class SearchTest(unittest.TestCase):
    """Each test has an archive of its own with the sample in it."""

    @classmethod
    def setUpClass(cls):
        cls.template = tempfile.mkdtemp(prefix="emlfs-search-")
        cls.addClassCleanup(shutil.rmtree, cls.template)
        source = os.path.join(cls.template, "sample")
        shutil.copytree(SAMPLE, source)
        for folder, _, names in os.walk(source):
            for name in names:
                os.utime(os.path.join(folder, name), (FILE_TIME, FILE_TIME))
        cls.source = source
        archive = os.path.join(cls.template, "archive")
        own = pwd.getpwuid(os.geteuid()).pw_name
        for argv in (["init", archive, "--user", "anna", "--unix-account", own, "--timezone",
                      "Europe/Berlin"],
                     ["import", "-a", archive, "--user", "anna", source]):
            done = run(*argv)
            if done.returncode != 0:
                raise AssertionError(f"{argv}: {done.stderr}")

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="emlfs-search-")
        self.addCleanup(shutil.rmtree, self.home)
        os.chmod(self.home, 0o755)
        self.archive = os.path.join(self.home, "archive")
        shutil.copytree(os.path.join(self.template, "archive"), self.archive, symlinks=True)

    def emlfs(self, *argv, code=0, account=None):
        words = argv[0].split()
        done = run(*words, "-a", self.archive, *argv[1:], account=account)
        self.assertEqual(done.returncode, code, f"{argv}\n{done.stdout}\n{done.stderr}")
        return done

    def rows(self, *argv, **options):
        done = self.emlfs("search", "--json", *argv, **options)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def subjects(self, *argv, **options):
        return [row["subject"] for row in self.rows(*argv, **options)]

    def count(self, *argv, **options):
        done = self.emlfs("search", "--count", *argv, **options)
        return int(done.stdout)

    def remove_index(self):
        found = glob.glob(os.path.join(self.archive, "stores", "*", "index"))
        self.assertTrue(found)
        for path in found:
            shutil.rmtree(path)


class Queries(SearchTest):
    def test_words_and_fields(self):
        self.assertEqual(set(self.subjects("subject:numbers")), NUMBERS)
        self.assertEqual(self.count("subject:numbers"), 3)
        self.assertEqual(set(self.subjects('subject:"first on the list"')), LIST)
        self.assertEqual(self.count("subject:\"first on the list\""), 3)
        self.assertEqual(self.subjects("subject:koln"), ["Grüße aus Köln"])
        self.assertEqual(self.subjects("subject:GRÜSSE"), ["Grüße aus Köln"])
        self.assertEqual(self.subjects("subject:会議"), ["会議の資料について（再送）"])
        self.assertEqual(self.subjects("from:hanako@sample.example"), ["会議の資料について（再送）"])
        self.assertEqual(set(self.subjects("subject:num*")), NUMBERS)
        self.assertEqual(self.subjects("subject:nothinglikethis"), [])

    def test_several_words_are_joined(self):
        self.assertEqual(self.subjects("subject:numbers", "subject:quarterly"),
                         ["Quarterly numbers"])
        self.assertEqual(self.subjects("subject:numbers -subject:attached"), ["Quarterly numbers"])
        self.assertEqual(set(self.subjects("--", "subject:numbers", "-subject:quarterly")),
                         NUMBERS - {"Quarterly numbers"})
        self.assertEqual(self.count("--", "-subject:numbers"), MESSAGES - 3)

    def test_filters(self):
        self.assertEqual(self.count("folder:letters"), 9)
        self.assertEqual(self.count("folder:/sample/maildir"), 3)
        self.assertEqual(self.subjects("folder:projekte/größe"), self.subjects("folder:GRÖSSE"))
        self.assertEqual(self.count("folder:nowhere"), 0)
        self.assertEqual(self.count("date:2026-03-10"), 3)
        self.assertEqual(self.count("date:..2026-03-09"), MESSAGES - 3)
        self.assertEqual(self.count("archived:today"), self.count("size:>0"))
        self.assertEqual(set(self.subjects("has:attachment subject:numbers")),
                         NUMBERS - {"Quarterly numbers"})
        self.assertEqual(self.count("store:1"), MESSAGES)
        self.assertEqual(self.count("store:2"), 0)

    def test_a_word_that_is_a_command(self):
        self.assertEqual(set(self.subjects("--", "list", "subject:first")), LIST)
        done = run("search", "--", "list", "-a", self.archive)
        self.assertEqual(done.returncode, 1)  # behind -- nothing is an option
        done = run("search", "--json", "-a", self.archive, "list subject:first")
        self.assertEqual({json.loads(line)["subject"] for line in done.stdout.splitlines()}, LIST)


class Output(SearchTest):
    def test_rows(self):
        row, = self.rows("subject:quarterly")
        self.assertEqual(row["subject"], "Quarterly numbers")
        self.assertEqual(row["correspondent"], "Anna Example <anna@sample.example>")
        self.assertEqual(row["date"], "2026-03-02T08:13:00Z")
        self.assertEqual(row["size"], 234)
        self.assertTrue(row["path"].startswith("anna/sample/letters/2026-03-02 0913 Anna Example"))
        self.assertTrue(row["path"].endswith(f"[{row['id']}].eml"))
        shown = self.emlfs("message show", row["id"]).stdout
        self.assertIn(row["path"], shown)

    def test_columns(self):
        lines = self.emlfs("search", "subject:numbers").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["path", "date", "correspondent", "subject"])
        self.assertEqual(len(lines), 4)
        self.assertEqual(self.emlfs("search", "nothinglikethis").stdout, "")

    def test_count(self):
        self.assertEqual(self.emlfs("search", "--count", "subject:numbers").stdout, "3\n")
        self.assertEqual(self.rows("--count", "subject:numbers"), [{"count": 3}])
        self.assertEqual(self.rows("--count", "nothinglikethis"), [{"count": 0}])

    def test_newest_first_and_limit(self):
        ids = [row["id"] for row in self.rows("size:>0")]
        self.assertEqual(len(ids), MESSAGES)
        self.assertEqual(ids, sorted(ids, reverse=True))
        self.assertEqual([row["id"] for row in self.rows("--limit", 5, "size:>0")], ids[:5])
        self.assertEqual([row["id"] for row in self.rows("--limit", 0, "size:>0")], ids)
        self.assertEqual([row["id"] for row in self.rows("--limit", 99, "size:>0")], ids)

    def test_sort(self):
        every = self.rows("size:>0")
        for order, key, reverse in (("date", lambda r: r["date"], True),
                                    ("subject", lambda r: r["subject"].casefold(), False),
                                    ("from", lambda r: r["correspondent"].casefold(), False)):
            found = self.rows("--sort", order, "size:>0")
            keys = [key(row) for row in found]
            self.assertEqual(keys, sorted(keys, reverse=reverse), order)
            self.assertEqual(sorted(map(str, found)), sorted(map(str, every)), order)
            self.assertEqual(self.rows("--sort", order, "--limit", 4, "size:>0"), found[:4])
        self.emlfs("search", "--sort", "size", "size:>0", code=1)
        self.emlfs("search", "--sort", "date", "--limit", 100001, "size:>0", code=1)


class Mistakes(SearchTest):
    def check(self, query, at):
        done = self.emlfs("search", query, code=1)
        self.assertEqual(done.stdout, "")
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 3, done.stderr)
        self.assertEqual(lines[0], "emlfs: " + query)
        self.assertEqual(lines[1], "emlfs: " + " " * at + "^")
        self.assertTrue(len(lines[2]) > len("emlfs: "))
        return lines[2]

    def test_caret(self):
        self.check('subject:"open', 8)
        self.assertIn("nofield", self.check("word nofield:x", 5))
        self.check('会議 "open', 5)  # wide characters take two columns

    def test_every_kind_exits_alike(self):
        for query in ("", "   ", "subject:", "-", "date:2026-13", "size:x", "has:x", "priority:x",
                      'a"b', "***", "x" * 2000):
            done = self.emlfs("search", query, code=1)
            self.assertEqual(done.stdout, "", query)
            self.assertTrue(done.stderr.startswith("emlfs: "), query)
        self.emlfs("search", code=1)
        self.emlfs("search save", "bad", '"open', code=1)
        self.assertEqual(self.emlfs("search list").stdout, "")


class Saved(SearchTest):
    def saved(self, **options):
        done = self.emlfs("search list", "--json", **options)
        return {row["name"]: row["query"] for row in map(json.loads, done.stdout.splitlines())}

    def test_life(self):
        self.emlfs("search save", "Numbers", "subject:numbers", "-subject:fwd", code=1)
        self.emlfs("search save", "--", "Numbers", "subject:numbers", "-subject:fwd")
        self.emlfs("search save", "Last month", "date:lastmonth")
        wanted = {"Numbers": "subject:numbers -subject:fwd", "Last month": "date:lastmonth"}
        self.assertEqual(self.saved(), wanted)
        self.assertIn("date:lastmonth", self.emlfs("search list").stdout)
        self.emlfs("search save", "numbers", "word", code=2)  # is there, ignoring case
        self.emlfs("search save", "--replace", "Last month", "date:thismonth")
        self.emlfs("search rename", "Numbers", "Figures")
        self.emlfs("search rename", "Numbers", "x", code=2)
        self.emlfs("search rename", "Figures", "LAST MONTH", code=2)
        self.emlfs("search rename", "Figures", "a/b", code=1)
        wanted = {"Figures": "subject:numbers -subject:fwd", "Last month": "date:thismonth"}
        self.assertEqual(self.saved(), wanted)
        self.emlfs("recover")
        self.assertEqual(self.saved(), wanted)
        self.emlfs("search remove", "Figures")
        self.emlfs("search remove", "Figures", code=2)
        del wanted["Figures"]
        self.assertEqual(self.saved(), wanted)
        self.assertEqual(self.count("size:>0"), MESSAGES)  # no mail was touched
        self.emlfs("verify")


class Index(SearchTest):
    def status(self):
        done = self.emlfs("index status", "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_import_indexes(self):
        store, = self.status()
        self.assertEqual((store["indexed"], store["waiting"]), (MESSAGES, 0))
        self.assertTrue(store["bytes"] > 0 and store["bytes_of_text"] > 0)
        self.assertEqual(len(store["kinds"]), 7)

    def test_removed_index(self):
        queries = (["subject:numbers"], ["size:>0"], ["folder:letters"], ["date:2026-03-10"],
                   ['"first on the list"'], ["*umbers"], ["--", "-example"])
        before = [self.rows(*query) for query in queries]
        self.remove_index()
        self.assertEqual(self.count("--no-wait", "size:>0"), 0)
        self.assertEqual([self.rows(*query) for query in queries], before)

    def test_rebuild(self):
        before = self.rows("size:>0"), self.status()
        self.emlfs("index rebuild")
        self.assertEqual((self.rows("size:>0"), self.status()[0]["indexed"]),
                         (before[0], before[1][0]["indexed"]))
        self.emlfs("index rebuild", "--store", 1)
        self.assertEqual(self.rows("size:>0"), before[0])
        self.emlfs("index rebuild", "--store", 9, code=2)
        self.emlfs("index rebuild", "--store", 99999, code=2)

    def test_kinds(self):
        self.emlfs("index set", "--kinds", "text,pdf")
        self.assertEqual(self.status()[0]["kinds"], ["text", "pdf"])
        for wrong in ("", "text,", "word", "text,,pdf"):
            self.emlfs("index set", "--kinds", wrong, code=1)
        self.emlfs("index set", "--kinds", "none")
        self.assertEqual(self.status()[0]["kinds"], [])
        self.emlfs("index set", "--kinds", "all")
        self.assertEqual(len(self.status()[0]["kinds"]), 7)

    def test_new_mail(self):
        path = os.path.join(self.home, "late.eml")
        with open(path, "w", encoding="utf-8") as out:
            out.write("From: late@example.org\nSubject: Late arrival\n\nwombat\n")
        self.assertEqual(self.count("wombat"), 0)
        self.emlfs("import", "--user", "anna", path)
        self.assertEqual(self.subjects("wombat"), ["Late arrival"])
        self.assertEqual(self.subjects("--limit", 1, "size:>0"), ["Late arrival"])


    def state(self, *without):
        """Every file of the archive: its inode, size and time of change."""
        found = {}
        for folder, _, names in os.walk(self.archive):
            for name in names:
                path = os.path.join(folder, name)
                where = os.path.relpath(path, self.archive)
                if where.split(os.sep)[0] not in without:
                    info = os.lstat(path)
                    found[where] = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        return found

    def test_reading_changes_nothing(self):
        identity = json.loads(self.emlfs("search", "--json", "--limit", 1,
                                         "subject:first").stdout)["id"]
        before = self.state("ledger", "lock")
        ledger = self.state()["ledger/mark"]
        for argv in (["search", "size:>0"], ["search list"], ["index status"], ["status"],
                     ["user list"], ["user show", "anna"], ["folder list"], ["message show", identity],
                     ["message get", identity], ["policy list"], ["hold list"], ["store list"],
                     ["privilege list"], ["compliance show"], ["compliance auditor list"],
                     ["compliance audit show"]):
            self.emlfs(*argv)
            self.assertEqual(self.state("ledger", "lock"), before, argv)
        # This account administers the archive, so what it looked for was recorded.
        self.assertNotEqual(self.state()["ledger/mark"], ledger)
        self.emlfs("import", "--user", "anna", self.source)
        self.assertNotEqual(self.state("ledger", "lock"), before)
        self.emlfs("verify")


class Interrupted(SearchTest):
    def test_import(self):
        """Ctrl-C while mail comes in and is indexed: what was archived is found afterwards."""
        path = os.path.join(self.home, "many.mbox")
        with open(path, "w", encoding="utf-8") as out:
            for n in range(8000):
                out.write(f"From a@example.org Mon Mar  2 09:13:00 2026\nFrom: a@example.org\n"
                          f"Subject: Many {n}\nMessage-ID: <{n}@example.org>\n\n"
                          f"wombat w{n % 100}\n\n")
        argv = [EMLFS, "import", "-a", self.archive, "--user", "anna", "--json", path]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              cwd="/") as importer:
            time.sleep(0.5)
            importer.send_signal(signal.SIGINT)
            out, complaints = importer.communicate(timeout=120)
        self.assertIn(importer.returncode, (0, 130), complaints)
        archived = json.loads(out)["archived"]
        self.assertEqual(self.count("subject:many"), archived)
        self.emlfs("verify")
        self.emlfs("import", "--user", "anna", path)
        self.assertEqual(self.count("wombat"), 8000)
        self.assertEqual(self.count("w42"), 80)


@unittest.skipIf(os.geteuid() != 0, "needs root for a second account")
class Users(SearchTest):
    def own(self, account):
        """Nothing is mounted: who opens the archive must own its files."""
        entry = pwd.getpwnam(account)
        for folder, _, names in os.walk(self.archive):
            for path in [folder] + [os.path.join(folder, name) for name in names]:
                os.chown(path, entry.pw_uid, entry.pw_gid)

    def setUp(self):
        super().setUp()
        path = os.path.join(self.home, "bob.eml")
        with open(path, "w", encoding="utf-8") as out:
            out.write("From: b@example.org\nSubject: Bob's numbers\n\nwombat\n")
        self.emlfs("user add", "bob", "--unix-account", OTHER)
        self.emlfs("import", "--user", "bob", path)
        # one message is in both archives
        self.emlfs("import", "--user", "bob", os.path.join(self.source, "letters", "plain.eml"))

    def test_each_sees_their_own(self):
        self.assertEqual(self.count("wombat"), 0)
        self.assertEqual(set(self.subjects("subject:numbers")), NUMBERS)
        self.emlfs("search", "--user", "bob", "wombat", code=2)  # root is no reader
        self.emlfs("search save", "Mine", "wombat")
        self.own(OTHER)
        self.assertEqual(self.subjects("wombat", account=OTHER), ["Bob's numbers"])
        self.assertEqual(set(self.subjects("subject:numbers", account=OTHER)),
                         {"Bob's numbers", "Quarterly numbers"})
        row, = self.rows("subject:quarterly", account=OTHER)
        self.assertTrue(row["path"].startswith("bob/"))
        self.assertEqual(self.count("size:>0", account=OTHER), 2)
        self.assertEqual(self.count("--user", "bob", "size:>0", account=OTHER), 2)
        done = self.emlfs("search", "--user", "anna", "size:>0", code=2, account=OTHER)
        self.assertEqual(done.stdout, "")
        self.assertEqual(self.emlfs("search list", account=OTHER).stdout, "")
        self.emlfs("search list", "--user", "anna", code=2, account=OTHER)
        self.emlfs("search remove", "--user", "anna", "Mine", code=2, account=OTHER)
        self.emlfs("search save", "Mine", "quarterly", account=OTHER)
        self.emlfs("index rebuild", code=2, account=OTHER)
        self.emlfs("index set", "--kinds", "none", code=2, account=OTHER)

    def test_account_without_archive(self):
        self.own("daemon")
        self.emlfs("search", "wombat", code=2, account="daemon")


if __name__ == "__main__":
    if not shutil.which(EMLFS):
        print("no emlfs program: set EMLFS_BIN")
        sys.exit(77)
    unittest.main()
