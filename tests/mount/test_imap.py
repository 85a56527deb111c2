# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive over IMAP: a stock Dovecot with the shipped configuration over layout=maildir."""
import calendar
import errno
import hashlib
import imaplib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
import unittest

from harness import (command, errno_as, message, run_as, skip_unless_possible, snapshot, wait_until)
from imap_server import PASSWORDS, PEOPLE, ImapSite, run_alone, skip_unless_dovecot

UMLAUTS = "Größe & co"
UMLAUTS_UTF7 = "Gr&APYA3w-e &- co"
DATE = "Sun, 01 Mar 2026 %02d:13:07 +0000"
SEEN = "\\Seen"


def crlf(data):
    return re.sub(rb"\r?\n", b"\r\n", data)


def sha(data):
    return hashlib.sha256(crlf(data)).hexdigest()


def mail(number, ends=b"\r\n"):
    data = message(number, 600 + 37 * number, DATE % (number % 24))
    return data.replace(b"\r\n", ends)


def put(folder, numbers, ends=b"\r\n"):
    """The mail, as files; each number's SHA-256 as IMAP shows it."""
    os.makedirs(folder, exist_ok=True)
    found = {}
    for number in numbers:
        data = mail(number, ends)
        with open(os.path.join(folder, f"m{number}.eml"), "wb") as out:
            out.write(data)
        found[number] = sha(data)
    return found


def quoted(name):
    return '"' + name + '"'


class ImapTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = site = ImapSite()
        try:
            cls.fill(site)
            site.mount_tree()
            site.mount("layout=maildir")
            site.emlfs("search", "save", "-a", site.archive, "--user", "anna", "Number 7",
                       'subject:"number 7"', person="anna")
            site.configure()
            site.serve()
        except BaseException:
            site.clean()
            raise

    @classmethod
    def fill(cls, site):
        site.users()
        anna = os.path.join(site.source, "anna")
        cls.mail = {
            "INBOX": put(os.path.join(anna, "Inbox"), range(1, 41)),
            "INBOX/Below": put(os.path.join(anna, "Inbox", "Below"), range(41, 46), b"\n"),
            "Projects/" + UMLAUTS_UTF7: put(os.path.join(anna, "Projects", UMLAUTS), range(46, 51)),
            "Projects/_cur": put(os.path.join(anna, "Projects", "cur"), [51]),
            "Projects": put(os.path.join(anna, "Projects"), [52, 1]),
            "Unfiled": put(anna, [53]),
        }
        put(os.path.join(site.source, "carl"), [60, 61])
        put(os.path.join(site.source, "bert", "INBOX"), [70])
        put(os.path.join(site.source, "dora"), [80])
        put(os.path.join(site.source, "emil"), [81])
        for name in PEOPLE:
            cls.load(name, os.path.join(site.source, name))

    @classmethod
    def load(cls, user, source, folder="/"):
        cls.site.emlfs("import", "-a", cls.site.archive, "--user", user, "--folder", folder, source)

    @classmethod
    def tearDownClass(cls):
        cls.site.clean()

    def setUp(self):
        self.clients = []

    def tearDown(self):
        for client in self.clients:
            try:
                client.logout()
            except (imaplib.IMAP4.error, OSError):
                pass
        self.assertEqual(self.site.log(), "", "Dovecot complained")

    def login(self, user="anna", password=None):
        client = self.site.login(user, password)
        self.clients.append(client)
        return client

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def refused(self, answer):
        self.assertEqual(answer[0], "NO", answer)
        return answer[1][0].decode()

    def select(self, client, name):
        return int(self.ok(client.select(quoted(name)))[0])

    def names(self, client):
        """name -> flags of LIST."""
        found = {}
        for row in self.ok(client.list()):
            match = re.match(rb'\(([^)]*)\) "/" "?([^"]*)"?$', row)
            found[match[2].decode()] = match[1].decode().split()
        return found

    def path(self, *parts):
        return os.path.join(self.site.mnt, *parts)

    def archived(self):
        """Everything that anna has, as the archive tells it."""
        rows = self.site.emlfs("search", "-a", self.site.archive, "--user", "anna", "--json",
                               "size:>1", person="anna").stdout.splitlines()
        return (sorted(json.loads(row)["id"] for row in rows),
                run_as("anna", snapshot, self.path("anna")))

    # ---- what clients see

    def test_mailboxes(self):
        listed = self.names(self.login())
        for name, mails in self.mail.items():
            self.assertIn(name, listed)
            self.assertNotIn("\\Noselect", listed[name])
            client = self.login()
            self.assertEqual(self.select(client, name), len(mails), name)
        self.assertIn("Searches/Number 7", listed)
        self.assertEqual(len(listed), len(self.mail) + 2)
        # What lies directly in an archive is INBOX where there is no folder of that name.
        self.assertEqual(set(self.names(self.login("carl"))) - {"Searches"}, {"INBOX"})
        self.assertEqual(self.select(self.login("carl"), "INBOX"), 2)

    def test_bodies(self):
        for name, mails in self.mail.items():
            client = self.login()
            count = self.select(client, name)
            rows = self.ok(client.fetch(f"1:{count}", "(RFC822.SIZE INTERNALDATE BODY.PEEK[])"))
            found = {}
            for head, body in (row for row in rows if isinstance(row, tuple)):
                number = int(re.search(rb"Message number (\d+)", body)[1])
                found[number] = hashlib.sha256(body).hexdigest()
                self.assertEqual(int(re.search(rb"RFC822.SIZE (\d+)", head)[1]), len(body))
                date = time.mktime(imaplib.Internaldate2tuple(head))
                self.assertEqual(date, calendar.timegm((2026, 3, 1, number % 24, 13, 7)))
            self.assertEqual(found, mails, name)

    def test_search(self):
        client = self.login()
        self.select(client, "INBOX")
        findme = re.search(rb"findme-\w+", mail(9))[0].decode()
        for number, words in ((7, ("SUBJECT", '"number 7"')), (9, ("BODY", findme))):
            found = self.ok(client.search(None, *words))[0].decode()
            body = self.ok(client.fetch(found, "(BODY.PEEK[])"))[0][1]
            self.assertEqual(hashlib.sha256(body).hexdigest(), self.mail["INBOX"][number])
        self.assertEqual(self.select(client, "Searches/Number 7"), 1)
        body = self.ok(client.fetch("1", "(BODY.PEEK[])"))[0][1]
        self.assertEqual(hashlib.sha256(body).hexdigest(), self.mail["INBOX"][7])

    def test_curl(self):
        url = f"imap://127.0.0.1:{self.site.port}/INBOX;MAILINDEX=3"
        done = command("curl", "-s", "-u", "anna:" + PASSWORDS["anna"], url)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"Subject: Message number \d+\n")

    def test_mbsync(self):
        local = os.path.join(self.site.top, "mirror")
        os.mkdir(local)
        config = os.path.join(self.site.top, "mbsyncrc")
        with open(config, "w") as out:
            out.write(f"""IMAPStore far
Host 127.0.0.1
Port {self.site.port}
User anna
Pass "{PASSWORDS['anna']}"
SSLType None
AuthMechs PLAIN LOGIN

MaildirStore near
Path {local}/
Inbox {local}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Expunge None
Sync Pull
SyncState *
""")
        for _ in range(2):
            done = command("mbsync", "-c", config, "-a")
            self.assertEqual(done.returncode, 0, done.stderr)
        found = []
        for folder, _, files in os.walk(local):
            if os.path.basename(folder) in ("cur", "new"):
                for name in files:
                    with open(os.path.join(folder, name), "rb") as stream:
                        # its own mark, by which it finds a copy again
                        found.append(sha(re.sub(rb"X-TUID: .*\r?\n", b"", stream.read())))
        wanted = [digest for mails in self.mail.values() for digest in mails.values()]
        wanted.append(self.mail["INBOX"][7])  # in Searches
        self.assertEqual(sorted(found), sorted(wanted))

    # ---- marks are private, nothing else changes

    def test_seen_is_private(self):
        client = self.login()
        self.select(client, "INBOX")
        client.store("1:40", "-FLAGS.SILENT", SEEN)
        client.store("5", "+FLAGS.SILENT", SEEN)
        again = self.login()
        self.select(again, "INBOX")
        self.assertEqual(self.ok(again.search(None, "SEEN")), [b"5"])
        names = run_as("anna", os.listdir, self.path("anna", "INBOX", "cur"))
        self.assertTrue(all(name.endswith(":2,S") for name in names), names)
        client.store("1:40", "+FLAGS.SILENT", SEEN)

    def test_everything_is_new_at_first(self):
        client = self.login("bert")
        self.select(client, "INBOX")
        self.assertEqual(self.ok(client.search(None, "UNSEEN")), [b"1"])
        done = command("doveadm", "-c", self.site.config, "flags", "add", "-u", "bert", SEEN,
                       "mailbox", "*", "all")
        self.assertEqual(done.returncode, 0, done.stderr)
        client.noop()
        self.assertEqual(self.ok(client.search(None, "UNSEEN")), [b""])
        self.ok(client.subscribe("INBOX"))
        self.assertIn(b"INBOX", self.ok(client.lsub())[0])

    def test_grants(self):
        grant = ("-a", self.site.archive, "anna", "--user", "bert")
        self.site.emlfs("privilege", "grant", *grant, "--grants", "read")
        try:
            self.assertEqual(run_as("bert", os.listdir, self.site.mnt), ["anna", "bert"])
            cur = self.path("anna", "INBOX", "cur")
            self.assertTrue(wait_until(lambda: errno_as("bert", os.listdir, cur) == 0))
            self.assertEqual(len(run_as("bert", os.listdir, cur)), len(self.mail["INBOX"]))
            self.assertEqual(errno_as("bert", os.mkdir, self.path("anna", "x")), errno.EACCES)
            self.assertIn(errno_as("carl", os.listdir, cur), (errno.ENOENT, errno.EACCES))
            self.assertEqual(self.select(self.login(), "INBOX"), len(self.mail["INBOX"]))
        finally:
            self.site.emlfs("privilege", "revoke", *grant)
        self.assertTrue(wait_until(lambda: errno_as("bert", os.listdir, cur) != 0))

    def test_changes_are_refused(self):
        before = self.archived()
        client = self.login()
        self.select(client, "INBOX")
        client.store("1:3", "+FLAGS", "\\Deleted")
        client.expunge()
        self.assertEqual(self.select(client, "INBOX"), len(self.mail["INBOX"]))
        self.assertEqual(self.ok(client.search(None, "DELETED")), [b""])
        for answer in (client.copy("1", "Projects"), client.create("New"),
                       client.create("Projects/New"), client.rename("Projects", "Other"),
                       client.delete("Projects"), client.delete(quoted("Searches/Number 7")),
                       client.delete("INBOX/Below"), client.rename("INBOX/Below", "Below"),
                       client.setacl("Projects", "bert", "lr"),
                       client.append("INBOX", None, None, mail(99)),
                       client.append("Projects", SEEN, None, mail(99))):
            self.assertIn("NOPERM", self.refused(answer), answer)
        self.refused(client._simple_command("MOVE", "1", "Projects"))
        self.assertEqual(self.archived(), before)
        done = self.site.emlfs("verify", "-a", self.site.archive)
        self.assertEqual(done.returncode, 0)

    def test_file_system_refuses(self):
        cur = self.path("anna", "INBOX", "cur")
        name = os.path.join(cur, run_as("anna", os.listdir, cur)[0])

        def attempts():
            yield os.unlink, name
            yield os.rename, name, name + "T"
            yield os.mkdir, self.path("anna", "New")
            yield os.rmdir, self.path("anna", "INBOX", "tmp")
            yield os.rmdir, self.path("anna", "Projects")
            yield os.rename, self.path("anna", "Projects"), self.path("anna", "Other")
            yield os.mkdir, self.path("anna", "Searches", "subject:x")
            yield open, os.path.join(self.path("anna", "INBOX", "tmp"), "x"), "w"
            yield open, name, "r+"
            yield os.truncate, name, 0
            yield os.chmod, name, 0o600
            yield os.utime, cur, (1, 1)
            yield os.link, name, name + "x"

        before = self.archived()
        for person in ("anna", "root"):
            for call, *args in attempts():
                self.assertIn(errno_as(person, call, *args), (errno.EROFS, errno.EACCES),
                              (person, call.__name__, args))
        self.assertEqual(self.archived(), before)

    def test_directories(self):
        for folder in ("INBOX", "Projects", "Projects/_cur", "Unfiled"):
            for part in ("", "cur", "new", "tmp"):
                st = run_as("anna", os.stat, self.path("anna", folder, part))
                self.assertEqual(stat.S_IMODE(st.st_mode), 0o500)
                self.assertEqual(st.st_uid, PEOPLE["anna"])
            self.assertGreater(st.st_atime, st.st_ctime + 36 * 3600)
        for missing in ("Inbox", "cur", "_INBOX", "Projects/Unfiled", "INBOX/cur/cur"):
            self.assertEqual(errno_as("anna", os.stat, self.path("anna", missing)), errno.ENOENT)

    # ---- who

    def test_others_see_nothing(self):
        client = self.login("bert")
        self.assertEqual(set(self.names(client)), {"INBOX", "Searches"})
        self.assertEqual(self.select(client, "INBOX"), 1)
        for name in ("../anna/INBOX", "anna/INBOX", "~anna/INBOX", "/anna/INBOX"):
            self.assertEqual(client.select(quoted(name))[0], "NO", name)
        self.assertEqual(errno_as("bert", os.listdir, self.path("anna")), errno.EACCES)
        self.assertEqual(errno_as("bert", os.listdir, self.path("anna", "INBOX", "cur")),
                         errno.EACCES)
        self.assertEqual(run_as("bert", os.listdir, self.site.mnt), ["bert"])

    def audit(self, *words):
        return self.site.emlfs("audit", "-a", self.site.archive, "--json", *words).stdout

    def test_passwords(self):
        with self.assertRaises(imaplib.IMAP4.error):
            self.login("carl", "wrong-Password 1")
        self.assertIn('"carl"', self.audit("--failed"))
        self.login("carl")
        with self.assertRaises(imaplib.IMAP4.error):
            self.login("nobody", "wrong-Password 1")
        for _ in range(5):
            with self.assertRaises(imaplib.IMAP4.error):
                self.login("emil", "wrong-Password 1")
        with self.assertRaises(imaplib.IMAP4.error):  # closed for a minute
            self.login("emil")
        failed = [row for row in self.audit("--failed").splitlines() if '"emil"' in row]
        self.assertEqual(len(failed), 5, failed)

    def test_user_lookup(self):
        doveadm = ["doveadm", "-c", self.site.config, "user"]
        done = command(*doveadm, "anna")
        self.assertIn(str(PEOPLE["anna"]), done.stdout, done.stderr)
        self.assertNotEqual(command(*doveadm, "nobody-here").returncode, 0)
        look = ("login", "-a", self.site.archive, "--lookup", "anna")
        self.assertNotEqual(self.site.emlfs(*look, person="bert", check=False).returncode, 0)
        self.assertIn("right", self.site.emlfs(*look, person="dovecot").stdout)

    def helper(self, given, *argv, person="dovecot"):
        reader, writer = os.pipe()
        os.write(writer, given)
        os.close(writer)
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" 3<&0 0</dev/null', "sh", self.site.helper, *argv],
            stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            user=person, check=False)
        os.close(reader)
        return done

    def test_checkpassword(self):
        right = b"anna\0" + PASSWORDS["anna"].encode() + b"\0\0"
        run = ("-a", self.site.archive, "/bin/sh", "-c", "echo $USER $HOME $userdb_uid $EXTRA")
        done = self.helper(right, *run)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("anna /"))
        self.assertIn(f" {PEOPLE['anna']} userdb_uid userdb_gid", done.stdout)
        self.assertEqual(self.helper(b"anna\0wrong\0\0", *run).returncode, 1)
        self.assertEqual(self.helper(b"anna\0\xff\xfe\0\0", *run).returncode, 1)
        self.assertEqual(self.helper(b"anna\0\0\0", *run).returncode, 1)
        for broken in (b"", b"anna", b"\0\0\0", b"anna\0" + 600 * b"x"):
            self.assertEqual(self.helper(broken, *run).returncode, 2, broken)
        self.assertEqual(self.helper(right, "-a", self.site.archive).returncode, 2)
        self.assertEqual(self.helper(right, "-a", "/nowhere", "/bin/true").returncode, 111)

    def test_checkpassword_busy(self):
        """A mount process without a connection to spare has not said that a password is wrong."""
        right = b"anna\0" + PASSWORDS["anna"].encode() + b"\0\0"
        held = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(64)]
        try:
            for one in held:
                one.connect(os.path.join(self.site.archive, "control"))
            done = self.helper(right, "-a", self.site.archive, "/bin/true")
            self.assertEqual(done.returncode, 111, done.stderr)
        finally:
            for one in held:
                one.close()
        self.assertTrue(wait_until(lambda: self.helper(
            right, "-a", self.site.archive, "/bin/true").returncode == 0))

    def test_system_accounts_are_refused(self):
        self.site.emlfs("user", "set", "-a", self.site.archive, "carl", "--unix-account", "daemon")
        try:
            given = b"carl\0" + PASSWORDS["carl"].encode() + b"\0\0"
            done = self.helper(given, "-a", self.site.archive, "/bin/true")
            self.assertEqual(done.returncode, 1)
            self.assertIn("no Unix account", done.stderr)
        finally:
            self.site.emlfs("user", "set", "-a", self.site.archive, "carl", "--unix-account",
                            "carl")

    # ---- beside the tree

    def test_same_messages(self):
        def inodes(folder):
            return {os.stat(os.path.join(folder, name)).st_ino for name in os.listdir(folder)
                    if os.path.isfile(os.path.join(folder, name))}
        for shown, real in (("INBOX", "Inbox"), ("Projects/_cur", "Projects/cur"),
                            ("Unfiled", "")):
            self.assertEqual(run_as("anna", inodes, self.path("anna", shown, "cur")),
                             run_as("anna", inodes, os.path.join(self.site.tree, "anna", real)))

    def test_changes_through_the_tree(self):
        top = os.path.join(self.site.tree, "dora")
        put(os.path.join(self.site.source, "moved"), [300, 301])
        self.load("dora", os.path.join(self.site.source, "moved"))
        client, other = self.login("dora"), self.login("dora")
        count = self.select(client, "INBOX")
        name = next(n for n in run_as("dora", os.listdir, top) if "number 300" in n)
        run_as("dora", os.mkdir, os.path.join(top, "Moved"))
        run_as("dora", os.rename, os.path.join(top, name), os.path.join(top, "Moved", name))
        gone_ones = []

        def expunged():
            client.noop()
            gone_ones.extend(one for one in client.response("EXPUNGE")[1] if one)
            return gone_ones
        self.assertTrue(wait_until(expunged))
        self.assertEqual(len(gone_ones), 1)
        self.assertEqual(self.select(client, "INBOX"), count - 1)
        self.assertTrue(wait_until(lambda: "Moved" in self.names(other)))
        self.assertEqual(self.select(other, "Moved"), 1)
        run_as("dora", os.rename, os.path.join(top, "Moved"), os.path.join(top, "Again"))
        self.assertTrue(wait_until(lambda: "Again" in self.names(client), 20))
        self.assertEqual(self.select(client, "Again"), 1)
        self.assertTrue(wait_until(
            lambda: errno_as("dora", os.stat, self.path("dora", "Moved")) != 0, 20))

    # ---- new mail

    def test_new_mail(self):
        client, search = self.login("dora"), self.login("dora")
        self.site.emlfs("search", "save", "-a", self.site.archive, "--user", "dora", "Later",
                        "subject:number", person="dora")
        count = self.select(client, "INBOX")
        wanted = self.select(search, "Searches/Later") + 2

        def shows(connection, number):
            connection.noop()
            return connection.response("EXISTS")[1][-1] == str(number).encode()
        for number in (200, 201):
            put(os.path.join(self.site.source, "more"), [number])
            self.load("dora", os.path.join(self.site.source, "more"))
            count += 1
            self.assertTrue(wait_until(lambda n=count: shows(client, n)))
        self.assertTrue(wait_until(lambda: shows(search, wanted), 15))
        body = self.ok(client.fetch(str(count), "(BODY.PEEK[])"))[0][1]
        self.assertEqual(body, mail(201))
        uids = self.ok(client.uid("SEARCH", "ALL"))
        again = self.login("dora")
        self.select(again, "INBOX")
        self.assertEqual(self.ok(again.uid("SEARCH", "ALL")), uids)


if __name__ == "__main__":
    skip_unless_possible()
    skip_unless_dovecot()
    HOME = run_alone()
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        unittest.main(verbosity=2)
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
        sys.stdout.flush()
