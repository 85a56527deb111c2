# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount behind a real Samba server with the shipped shares, driven by smbclient and by a client
that sends what Explorer sends.

bob may do everything in his archive, carol may read it, alice administers. Windows looks at the
answers to opening, marking and writing, not at the one to closing: what is refused has to be
refused there.
"""
import errno
import os
import re
import subprocess
import tempfile
import time
import unicodedata

import smb
from harness import (MountTest, errno_as, files_below, main, message, run_as, sha_of, wait_until,
                     write_mail)
from smb import Explorer, Refused, Smbd

LONG = os.environ.get("EMLFS_TEST_MODE") == "long"
NOTHING = "STATUS_OBJECT_NAME_NOT_FOUND"
DENIED = "STATUS_ACCESS_DENIED"
SUBJECTS = ["Gr\u00f6\u00dfe & \u00c4rger", "Gro\u0308\u00dfe decomposed", "a:b?c*d<e>f|g\"h\\i/j",
            "trailing dots...", "trailing blanks   ", "CON", "\U0001f600 emoji", "x" * 300,
            "\u20ac" * 150, "\u65e5\u672c\u8a9e\u306e\u4ef6\u540d", "\u202egnal rtl", "~$lock",
            "100% 'quoted' #1 & more", "[brackets] {braces} ^caret", "CASE", "case",
            "\u0130stanbul ISTANBUL", "\uf022 private", "control\x07bell", ".hidden", "name.eml"]
FOLDERS = ["CON", "aux.txt", "Gro\u0308\u00dfe", "a:b", "dots...", " blanks ", "\u65e5\u672c",
           "COM1", "nul", "~tilde", "Thumbs.db", "Sub"]


def odd_message(number, subject):
    return message(number).replace(f"Subject: Message number {number}".encode(),
                                   b"Subject: " + subject.encode())


def joined(*parts):
    return "\\".join(parts)


class Shared(MountTest):
    """A site with everything, and Samba over it."""

    OPTIONS = None
    MOUNT = "rw"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            site = cls.site
            site.emlfs("user", "add", "-a", site.archive, "--unix-account", "games", "carol")
            for user in ("alice", "bob", "carol"):
                site.emlfs("privilege", "set", "-a", site.archive, user, "--may", "all",
                           "--own", "all")
            site.emlfs("privilege", "grant", "-a", site.archive, "bob", "--user", "carol",
                       "--grants", "read")
            cls.prepare()
            cls.smbd = Smbd(site)
            cls.mount_it()
            cls.smbd.start()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def prepare(cls):
        """More mail, before it is mounted."""

    @classmethod
    def mount_it(cls):
        cls.site.mount(cls.MOUNT)

    @classmethod
    def tearDownClass(cls):
        if getattr(cls, "smbd", None):
            cls.smbd.stop()
        cls.site.clean()

    def explorer(self, person, share="mail"):
        explorer = Explorer(self.smbd, person, share)
        self.addCleanup(explorer.close)
        return explorer

    @classmethod
    def rule(cls, *argv):
        return cls.site.emlfs(*argv[:2], "-a", cls.site.archive, *argv[2:])

    def inbox(self, person="bob"):
        return joined(person, person, "Inbox")

    def numbered(self, explorer, folder, number):
        """The path and the row of the message with that number."""
        found = [row for name, row in explorer.list(folder).items()
                 if f"number {number} [" in name]
        self.assertEqual(len(found), 1, number)
        return joined(folder, found[0].name), found[0]

    def refused(self, status, function, *args, **options):
        with self.assertRaises(Refused) as caught:
            function(*args, **options)
        self.assertEqual(caught.exception.status, status)

    def recorded(self, kind, text):
        """The records of that kind that hold text."""
        done = self.site.emlfs("audit", "-a", self.site.archive)
        return [line for line in done.stdout.splitlines()
                if re.search(rf"\b{kind}\b", line) and text in line]


class Shares(Shared):

    def test_shipped_configuration(self):
        done = self.smbd.run("testparm", "-s")
        self.assertNotRegex(done.stderr, "(?i)unknown parameter|ignoring|deprecated|error")
        self.assertIn("[mymail]", done.stdout)

    def test_windows_keeps_no_copies(self):
        no_caching = 0x30
        for share in ("mail", "mymail"):
            self.assertEqual(self.explorer("bob", share).share_flags() & no_caching, no_caching)

    def test_security_is_not_changed(self):
        """Programs that copy access lists are told that it was done; nothing is."""
        bob = self.explorer("bob")
        path, _ = self.numbered(bob, self.inbox(), 109)
        local = self.site.path(*path.split("\\"))
        before = run_as("bob", os.stat, local)
        handle = bob.open(path, 0x00100000 | 0x00040000 | 0x80)
        owner_only = bytes.fromhex("0100048000000000000000000000000014000000"
                                   "02001c000100000000001400ff011f00010100000000000300000000")
        bob.set_security(handle, owner_only)
        bob.shut(handle)
        self.assertEqual(run_as("bob", os.stat, local), before)

    def test_reads_byte_exact(self):
        for share, top in (("mail", "bob\\"), ("mymail", "")):
            explorer = self.explorer("bob", share)
            folder = top + "bob\\Inbox"
            digests = []
            for name, row in explorer.list(folder).items():
                data = explorer.read(joined(folder, name))
                self.assertEqual(len(data), row.size)
                digests.append(smb.digest(data))
            self.assertEqual(sorted(digests), self.site.expected("bob"))

    def test_smbclient(self):
        """A whole archive fetched by another client."""
        target = os.path.join(self.site.top, "fetched")
        os.mkdir(target)
        text = self.smbd.smbclient("alice", "mail",
                                   f"lcd {target}; recurse; prompt; mask \"\"; cd alice; mget alice")
        self.assertNotIn("NT_STATUS", text)
        self.assertEqual(sorted(map(sha_of, files_below(target))), self.site.expected("alice"))

    def test_others_are_refused(self):
        bob, mine = self.explorer("bob"), self.explorer("bob", "mymail")
        path, _ = self.numbered(self.explorer("alice"), self.inbox("alice"), 20)
        self.refused(DENIED, bob.list, "alice")
        self.refused(DENIED, bob.list, self.inbox("alice"))
        self.refused(DENIED, bob.open, path)
        self.assertEqual(bob.copy_in(joined("alice", "x.eml"), message(1)), ("probe", DENIED))
        self.refused("STATUS_OBJECT_PATH_SYNTAX_BAD", mine.list, "..\\alice")
        self.assertNotIn("alice", bob.list(""))
        self.assertIn("bob", bob.list(""))

    def test_reader_changes_nothing(self):
        """carol has bob's archive to read: opening to delete or to write fails."""
        carol = self.explorer("carol")
        path, row = self.numbered(carol, self.inbox(), 102)
        self.assertEqual(len(carol.read(path)), row.size)
        self.assertEqual(carol.delete(path)[0], DENIED)
        self.refused(DENIED, carol.open, path, smb.WRITE)
        self.refused(DENIED, carol.open, joined(self.inbox(), "new"), smb.READ, smb.CREATE,
                     smb.FOLDER)
        self.assertEqual(carol.copy_in(joined(self.inbox(), "x.eml"), message(1)),
                         ("create", DENIED))

    def test_searches(self):
        """Queries written as Windows can, and saved searches."""
        bob = self.explorer("bob")
        found = bob.list(joined("bob", ".query", "subject='number 105'"))
        self.assertEqual(len(found), 1)
        bob.shut(bob.open(joined("bob", "Searches", "subject=107"), smb.READ, smb.CREATE,
                          smb.FOLDER))
        self.assertEqual(len(bob.list(joined("bob", "Searches", "subject=107"))), 1)
        path = joined("bob", "Searches", "subject=107",
                      list(bob.list(joined("bob", "Searches", "subject=107")))[0])
        # refused too late for Windows: the same message may be deleted in its folder
        self.assertEqual(bob.delete(path), ("ok", "ok", "STATUS_MEDIA_WRITE_PROTECTED"))
        bob.read(path)
        # a directory that lists something is not removed by way of SMB
        self.assertEqual(bob.delete(joined("bob", "Searches", "subject=107"), smb.FOLDER),
                         ("ok", "STATUS_DIRECTORY_NOT_EMPTY", "ok"))
        bob.rename(joined("bob", "Searches", "subject=107"), joined("bob", "Searches", "Seven"),
                   smb.FOLDER)
        self.assertEqual(len(bob.list(joined("bob", "Searches", "Seven"))), 1)

    def test_folders_and_moves(self):
        bob = self.explorer("bob")
        path, row = self.numbered(bob, self.inbox(), 108)
        folder = joined("bob", "bob", "New folder")
        bob.shut(bob.open(folder, smb.READ, smb.CREATE, smb.FOLDER))
        bob.rename(folder, joined("bob", "bob", "Cases"), smb.FOLDER)
        folder = joined("bob", "bob", "Cases")
        bob.rename(path, joined(folder, row.name))
        self.assertEqual(list(bob.list(folder)), [row.name])
        self.refused(DENIED, bob.rename, joined(folder, row.name), joined(folder, "other.eml"))
        self.assertEqual(bob.delete(folder, smb.FOLDER),
                         ("ok", "STATUS_DIRECTORY_NOT_EMPTY", "ok"))
        bob.rename(joined(folder, row.name), path)
        self.assertEqual(bob.delete(folder, smb.FOLDER), ("ok", "ok", "ok"))

    def test_litter_is_refused(self):
        bob = self.explorer("bob")
        for name, statuses in (("Thumbs.db", {NOTHING, DENIED}), ("desktop.ini", {NOTHING, DENIED}),
                               ("autorun.inf", {NOTHING, DENIED}), ("~$letter.docx", {DENIED})):
            for disposition in (smb.CREATE, smb.OVERWRITE_IF):
                self.assertIn(bob.status(bob.open, joined(self.inbox(), name), smb.WRITE,
                                         disposition), statuses, name)
        self.assertEqual(bob.status(bob.open, joined(self.inbox(), "x.eml:Zone.Identifier"),
                                    smb.WRITE, smb.OVERWRITE_IF), "STATUS_OBJECT_NAME_INVALID")


class Deleting(Shared):

    def test_protected(self):
        self.rule("policy", "add", "kept", "--period", "6y", "--query", "subject:101")
        bob = self.explorer("bob")
        self.assertTrue(wait_until(lambda: self.numbered(bob, self.inbox(), 101)[1].attributes
                                   & smb.READONLY))
        path, row = self.numbered(bob, self.inbox(), 101)
        self.assertEqual(bob.delete(path), ("ok", "STATUS_CANNOT_DELETE", "ok"))
        # what Explorer does when its user insists: take the attribute away first
        handle = bob.open(path, smb.WRITE_ATTRIBUTES)
        self.refused(DENIED, bob.set, handle, smb.BASIC, smb.basic_info(smb.NORMAL))
        bob.shut(handle)
        self.assertEqual(bob.delete(path), ("ok", "STATUS_CANNOT_DELETE", "ok"))
        text = self.smbd.smbclient("bob", "mail", f'del "{path}"')
        self.assertRegex(text, "NT_STATUS_(CANNOT_DELETE|ACCESS_DENIED)")
        self.assertEqual(smb.digest(bob.read(path)), smb.digest(message(101)))
        self.assertFalse(self.numbered(bob, self.inbox(), 102)[1].attributes & smb.READONLY)

    def test_held(self):
        """A hold looks no different from a retention policy."""
        bob = self.explorer("bob")
        path, _ = self.numbered(bob, self.inbox(), 103)
        self.rule("hold", "place", "case", "--query", "subject:103", "--reason", "a test")
        self.assertTrue(wait_until(lambda: self.numbered(bob, self.inbox(), 103)[1].attributes
                                   & smb.READONLY))
        self.assertEqual(bob.delete(path), ("ok", "STATUS_CANNOT_DELETE", "ok"))
        self.refused(DENIED, bob.rename, path, joined("bob", "bob", path.rsplit("\\", 1)[1]))

    def test_deletable(self):
        bob = self.explorer("bob")
        path, row = self.numbered(bob, self.inbox(), 104)
        self.assertFalse(row.attributes & smb.READONLY)
        self.assertEqual(bob.delete(path), ("ok", "ok", "ok"))
        self.refused(NOTHING, bob.open, path)
        self.assertNotIn(row.name, bob.list(self.inbox()))
        self.assertEqual(errno_as("bob", os.stat, self.site.path(*path.split("\\"))), errno.ENOENT)
        short = re.search(r"\[([0-9a-v-]+)\]\.eml$", row.name).group(1)
        record = self.recorded("message-deleted", short)
        self.assertEqual(len(record), 1)
        self.assertRegex(record[0], r"message-deleted +bob +mount ")

    def test_posix_disposition_falls_back(self):
        """The information class that Windows tries first is not there; it then takes the other."""
        bob = self.explorer("bob")
        path, _ = self.numbered(bob, self.inbox(), 105)
        handle = bob.open(path, smb.DELETE)
        self.refused("STATUS_INVALID_INFO_CLASS", bob.set, handle, smb.DISPOSITION_EX,
                     b"\x03\0\0\0")
        bob.shut(handle)
        self.numbered(bob, self.inbox(), 105)

    def test_write_protected(self):
        """Messages of a protected store, then all stores."""
        bob = self.explorer("bob")
        self.rule("store", "create", "second")
        self.rule("store", "set-state", "1", "write-protected")
        self.assertTrue(wait_until(lambda: self.numbered(bob, self.inbox(), 110)[1].attributes
                                   & smb.READONLY))
        path, row = self.numbered(bob, self.inbox(), 110)
        self.assertEqual(bob.delete(path), ("ok", "STATUS_CANNOT_DELETE", "ok"))
        self.refused("STATUS_MEDIA_WRITE_PROTECTED", bob.rename, path,
                     joined("bob", "bob", row.name))
        self.rule("store", "set-state", "second", "write-protected")
        self.assertTrue(wait_until(lambda: os.statvfs(self.site.mnt).f_flag & os.ST_RDONLY))
        self.assertEqual(smb.digest(bob.read(path)), smb.digest(message(110)))
        self.assertIn(bob.delete(path)[0], (DENIED, "STATUS_MEDIA_WRITE_PROTECTED"))
        self.assertIn(bob.copy_in(joined(self.inbox(), "x.eml"), message(1)),
                      (("create", "STATUS_MEDIA_WRITE_PROTECTED"), ("create", DENIED)))
        self.rule("store", "set-state", "second", "current")
        self.rule("store", "set-state", "1", "normal")
        self.assertTrue(wait_until(lambda: not self.numbered(bob, self.inbox(), 110)[1].attributes
                                   & smb.READONLY))

    def test_folder_that_may_not_be_changed(self):
        self.rule("privilege", "set", "bob", "--own", "read")
        bob = self.explorer("bob")
        try:
            self.assertTrue(wait_until(
                lambda: run_as("bob", os.stat, self.site.path("bob", "bob", "Inbox")).st_mode
                & 0o200 == 0))
            path, _ = self.numbered(bob, self.inbox(), 106)
            self.assertEqual(bob.delete(path)[0], DENIED)
            self.assertEqual(bob.copy_in(joined(self.inbox(), "x.eml"), message(1)),
                             ("create", DENIED))
        finally:
            self.rule("privilege", "set", "bob", "--own", "all")


class CopyingIn(Shared):

    def folder(self, name):
        """A folder of bob's own for one test."""
        path = joined("bob", "bob", name)
        bob = self.explorer("bob")
        bob.shut(bob.open(path, smb.READ, smb.CREATE, smb.FOLDER))
        return bob, path

    def local(self, path):
        return self.site.path(*path.split("\\"))

    def archived(self, path, count=1):
        """The digests of what is in the folder, once that many messages are archived there."""
        def names():
            return [name for name in run_as("bob", os.listdir, self.local(path))
                    if re.search(r" \[[0-9a-v-]+\]\.eml$", name)]
        self.assertTrue(wait_until(lambda: len(names()) >= count), names())
        self.assertEqual(len(names()), count)
        return sorted(run_as("bob", lambda found: [sha_of(os.path.join(self.local(path), name))
                                                   for name in found], names()))

    def test_mail(self):
        bob, folder = self.folder("Copied")
        mails = [message(5000), message(5001, 300000), message(5002, 65536)]
        for number, mail in enumerate(mails):
            self.assertEqual(bob.copy_in(joined(folder, f"letter {number}.eml"), mail),
                             ("done", "ok"))
        self.assertEqual(self.archived(folder, 3), sorted(map(smb.digest, mails)))
        for name, row in bob.list(folder).items():
            self.assertEqual(len(bob.read(joined(folder, name))), row.size)
        self.assertTrue(wait_until(lambda: len(self.archivings()) >= 3), self.archivings())

    def archivings(self):
        done = self.site.emlfs("audit", "-a", self.site.archive, "--user", "bob")
        return [line for line in done.stdout.splitlines()
                if re.search(r"\barchived +bob +mount ", line)]

    def test_what_is_no_mail(self):
        bob, folder = self.folder("Refused")
        before = len(self.archivings())
        for name, head in (("picture.png", b"\x89PNG\r\n\x1a\n"), ("text.docx", b"PK\x03\x04"),
                           ("outlook.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
                           ("named.eml", b"%PDF-1.7\n")):
            self.assertEqual(bob.copy_in(joined(folder, name), head + os.urandom(200000)),
                             ("write", "STATUS_NOT_SUPPORTED"), name)
            self.refused(NOTHING, bob.open, joined(folder, name))
        self.assertEqual(bob.list(folder), {})
        self.assertEqual(len(self.archivings()), before)
        source = os.path.join(self.site.top, "picture.png")
        with open(source, "wb") as out:
            out.write(b"\x89PNG\r\n\x1a\n" + bytes(5000))
        text = self.smbd.smbclient("bob", "mail", f'cd "{folder}"; put {source} picture.png')
        self.assertIn("NT_STATUS_NOT_SUPPORTED", text)
        self.assertEqual(bob.list(folder), {})

    def test_smbclient(self):
        bob, folder = self.folder("Put")
        source = os.path.join(self.site.top, "letter.eml")
        with open(source, "wb") as out:
            out.write(message(5010, 100000))
        text = self.smbd.smbclient("bob", "mail", f'cd "{folder}"; put {source} letter.eml')
        self.assertNotIn("NT_STATUS", text)
        self.assertEqual(self.archived(folder), [smb.digest(message(5010, 100000))])

    def test_blocks_in_any_order(self):
        bob, folder = self.folder("Order")
        mail = message(5020, 200000)
        handle = bob.open(joined(folder, "x.eml"), smb.WRITE, smb.CREATE)
        bob.set(handle, smb.END_OF_FILE, len(mail).to_bytes(8, "little"))
        for offset in reversed(range(0, len(mail), 65536)):
            bob.write(handle, mail[offset:offset + 65536], offset)
        bob.shut(handle)
        self.assertEqual(self.archived(folder), [smb.digest(mail)])

    def test_mailbox(self):
        """An mbox becomes its messages."""
        bob, folder = self.folder("Box")
        box = b"".join(b"From x@example.org Sun Mar  1 09:13:07 2026\n" +
                       message(number).replace(b"\r\n", b"\n") + b"\n"
                       for number in (5030, 5031, 5032))
        self.assertEqual(bob.copy_in(joined(folder, "box.mbox"), box), ("done", "ok"))
        self.archived(folder, 3)

    def test_again(self):
        """The same mail once more into the same folder: no second copy."""
        bob, folder = self.folder("Again")
        for name in ("one.eml", "two.eml"):
            self.assertEqual(bob.copy_in(joined(folder, name), message(5040)), ("done", "ok"))
        self.archived(folder)
        time.sleep(1)
        self.archived(folder)

    def test_archived_mail_is_not_overwritten(self):
        bob = self.explorer("bob")
        path, _ = self.numbered(bob, self.inbox(), 112)
        for disposition in (smb.OPEN, smb.OVERWRITE_IF):
            self.refused(DENIED, bob.open, path, smb.WRITE, disposition)
        self.assertEqual(smb.digest(bob.read(path)), smb.digest(message(112)))


class Full(Shared):
    """The archive is on a disk that has no room."""

    @classmethod
    def setUpClass(cls):
        cls.disk = tempfile.mkdtemp(prefix="emlfs-disk-")
        cls.addClassCleanup(os.rmdir, cls.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=755", "none", cls.disk],
                       check=True)
        cls.addClassCleanup(subprocess.run, ["umount", "-l", cls.disk], check=False)
        super().setUpClass()

    @classmethod
    def place(cls, site):
        site.archive = os.path.join(cls.disk, "archive")

    def test_copying_in(self):
        bob, mail = self.explorer("bob"), message(5100, 6 << 20)
        ballast = os.path.join(self.disk, "ballast")
        room = os.statvfs(self.disk).f_bavail * os.statvfs(self.disk).f_frsize
        with open(ballast, "wb") as out:
            out.write(bytes(room - (2 << 20)))
        step, status = bob.copy_in(joined(self.inbox(), "large.eml"), mail)
        self.assertIn(step, ("size", "write"))
        self.assertEqual(status, "STATUS_DISK_FULL")
        self.refused(NOTHING, bob.open, joined(self.inbox(), "large.eml"))
        os.unlink(ballast)
        path, _ = self.numbered(bob, self.inbox(), 113)
        self.assertEqual(smb.digest(bob.read(path)), smb.digest(message(113)))
        self.assertEqual(bob.copy_in(joined(self.inbox(), "large.eml"), mail), ("done", "ok"))


class Names(Shared):

    @classmethod
    def prepare(cls):
        source, number = os.path.join(cls.site.top, "odd"), 3000
        for folder in FOLDERS:
            top = os.path.join(source, "Odd", folder)
            os.makedirs(top)
            for subject in SUBJECTS if folder == "Sub" else SUBJECTS[:2]:
                number += 1
                with open(os.path.join(top, f"{number}.eml"), "wb") as out:
                    out.write(odd_message(number, subject))
        cls.count = number - 3000
        cls.digests = sorted(map(sha_of, files_below(source)))
        cls.site.load("bob", source)

    def below(self, explorer, folder):
        """folder and all below it: (path, row)."""
        for name, row in explorer.list(folder).items():
            yield joined(folder, name), row
            if row.attributes & 0x10:
                yield from self.below(explorer, joined(folder, name))

    def test_every_name(self):
        bob = self.explorer("bob")
        local = run_as("bob", lambda: [os.path.join(folder, name) for folder, dirs, names in
                                       os.walk(self.site.path("bob")) for name in dirs + names])
        listed = dict(self.below(bob, "bob"))
        self.assertEqual(sorted(path.replace("\\", "/") for path in listed),
                         sorted(os.path.relpath(path, self.site.mnt) for path in local))
        digests = []
        for path, row in listed.items():
            self.assertEqual(row.short, "", path)
            self.assertEqual(unicodedata.normalize("NFC", path), path)
            self.assertNotRegex(row.name, r'[\x00-\x1f:*?"<>|/\\]|[. ]$|^ ')
            if row.attributes & 0x10:
                bob.shut(bob.open(path, options=smb.FOLDER))
            elif path.startswith(joined("bob", "odd")):
                digests.append(smb.digest(bob.read(path)))
        self.assertEqual(sorted(digests), self.digests)

    def test_unique_ignoring_case(self):
        bob, seen = self.explorer("bob"), {}
        for path, _ in self.below(bob, "bob"):
            folded = unicodedata.normalize("NFC", path.casefold())
            self.assertNotIn(folded, seen)
            seen[folded] = path
        self.assertGreater(len(seen), self.count)

    def test_other_spellings_do_not_open(self):
        bob = self.explorer("bob")
        files = [path for path, row in self.below(bob, joined("bob", "odd"))
                 if not row.attributes & 0x10]
        tried = 0
        for path in files:
            folder, name = path.rsplit("\\", 1)
            for other in {name.swapcase(), unicodedata.normalize("NFD", name)} - {name}:
                self.refused(NOTHING, bob.open, joined(folder, other))
                tried += 1
        self.assertGreaterEqual(tried, len(files))

    def test_smbclient_lists_them_all(self):
        text = self.smbd.smbclient("bob", "mail", "recurse; cd bob; ls")
        self.assertNotIn("NT_STATUS", text)
        self.assertGreaterEqual(len(re.findall(r"\]\.eml +[NR]", text)), self.count)


class Requests(Shared):
    """What Samba asks of the mount for a listing: nothing for each file."""

    COUNT = 100000 if LONG else 3000

    @classmethod
    def prepare(cls):
        write_mail(os.path.join(cls.site.top, "large", "Large"), range(10000, 10000 + cls.COUNT))
        cls.site.load("bob", os.path.join(cls.site.top, "large"))

    @classmethod
    def mount_it(cls):
        cls.site.mount_logged()

    def requests_of(self, function):
        """kind → how many, and what function returned."""
        before = os.path.getsize(self.site.request_log)
        value = function()
        return self.site.requests_since(before), value

    def test_listing(self):
        bob, folder = self.explorer("bob"), joined("bob", "large", "Large")
        for _ in range(2):
            began = time.monotonic()
            counts, rows = self.requests_of(lambda: bob.list(folder))
            seconds = time.monotonic() - began
            self.assertEqual(len(rows), self.COUNT)
            print(f"{self.COUNT} names by SMB2 in {seconds:.2f} s, debug log on: {counts}")
            for kind in ("GETXATTR", "LISTXATTR", "OPEN", "READ"):
                self.assertLessEqual(counts.get(kind, 0), 1, counts)
            for kind in ("LOOKUP", "GETATTR", "OPENDIR", "STATFS", "ACCESS"):
                self.assertLessEqual(counts.get(kind, 0), self.COUNT // 100, counts)
        began = time.monotonic()
        text = self.smbd.smbclient("bob", "mail", f'cd "{folder}"; ls')
        print(f"smbclient ls: {time.monotonic() - began:.2f} s")
        self.assertEqual(len(re.findall(r"\]\.eml +[NR]", text)), self.COUNT)

    def test_missing_name_costs_no_listing(self):
        bob = self.explorer("bob")
        folder = joined("bob", "large", "Large")
        bob.list(folder)
        counts, _ = self.requests_of(lambda: self.refused(NOTHING, bob.open,
                                                          joined(folder, "missing.eml")))
        self.assertLessEqual(counts.get("LOOKUP", 0), 2, counts)
        for kind in ("OPENDIR", "READDIRPLUS", "READDIR"):
            self.assertNotIn(kind, counts)


if __name__ == "__main__":
    smb.skip_unless_possible()
    main()
