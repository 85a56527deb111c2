# SPDX-License-Identifier: GPL-3.0-or-later
"""A file manager, the trash and litter, counted in requests: the mount writes each to a log.

The file manager is PCManFM on a display of its own (Xvfb). Names that desktops look for are answered
once for all; making them is refused wherever it is tried, and for what macOS has to write there is
a place that forgets it.
"""
import errno
import os
import signal
import subprocess
import tempfile
import time

from harness import (MountTest, become, command, errno_as, main, run_as, uid_of, wait_until,
                     write_mail)

COUNT = 1000
LITTER = ["Thumbs.db", "THUMBS.DB", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini",
          "autorun.inf", "autorun", ".autorun", "autorun.sh", "$RECYCLE.BIN", "RECYCLER",
          "System Volume Information", ".Trash", ".Trash-1", ".Trash-1000", ".Trashes",
          ".Spotlight-V100", ".fseventsd", ".TemporaryItems", ".apdisk", ".VolumeIcon.icns",
          ".DocumentRevisions-V100", ".metadata_never_index", ".AppleDouble", ".localized",
          ".hidden", ".directory", ".sh_thumbnails", ".xdg-volume-info", ".nomedia",
          ".trackerignore", "lost+found", ".~lock.letter.odt#", "~$letter.docx"]
DISCARDED = [".DS_Store", "._letter.eml"]


def make(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


class Desktop(MountTest):
    OPTIONS = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            site = cls.site
            write_mail(os.path.join(site.top, "many", "Many"), range(2000, 2000 + COUNT))
            site.load("alice", os.path.join(site.top, "many"))
            site.emlfs("privilege", "set", "-a", site.archive, "alice", "--may", "all",
                       "--own", "all")
            site.emlfs("policy", "add", "-a", site.archive, "kept", "--period", "6y", "--query",
                       "subject:2007")
            site.mount_logged()
            cls.log, cls.requests_since = site.request_log, staticmethod(site.requests_since)
            cls.many = site.path("alice", "many", "Many")
            run_as("alice", os.mkdir, site.path("alice", "Searches", "subject=2011"))
            cls.home = os.path.join(site.top, "home")
            os.makedirs(os.path.join(cls.home, "run"), mode=0o700)
            for path in (cls.home, os.path.join(cls.home, "run")):
                os.chown(path, uid_of("alice"), -1)
        except BaseException:
            cls.tearDownClass()
            raise

    def environment(self, **more):
        """Without gvfs, which is its own test, and which not every desktop has."""
        return {"PATH": os.environ["PATH"], "HOME": self.home, "LC_ALL": "C.UTF-8",
                "XDG_RUNTIME_DIR": os.path.join(self.home, "run"), "NO_AT_BRIDGE": "1",
                "GIO_USE_VFS": "local", "GIO_USE_VOLUME_MONITOR": "unix", **more}

    def written(self):
        return os.path.getsize(self.log)

    def settled(self, quiet_sec=2.0, most_sec=60):
        """Wait until nothing was asked for a while."""
        end, last, since = time.monotonic() + most_sec, self.written(), time.monotonic()
        while time.monotonic() < end and time.monotonic() - since < quiet_sec:
            time.sleep(0.1)
            if self.written() != last:
                last, since = self.written(), time.monotonic()

    def message(self, number):
        names = run_as("alice", os.listdir, self.many)
        return os.path.join(self.many, next(n for n in names if f"number {number} [" in n))

    def gio(self, *argv):
        self.needs("gio", "dbus-run-session")
        return command("dbus-run-session", "--", "gio", *argv, person="alice",
                       env=self.environment(), timeout=60)

    # ---- a file manager

    def display(self):
        """A screen of its own: its name, and the file that holds its picture."""
        folder = tempfile.mkdtemp(dir=self.site.top)
        reader, writer = os.pipe()
        server = subprocess.Popen(["Xvfb", "-displayfd", str(writer), "-screen", "0",
                                   "1024x768x24", "-nolisten", "tcp", "-ac", "-fbdir", folder],
                                  pass_fds=[writer], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(writer)
        self.addCleanup(server.wait, 20)
        self.addCleanup(server.terminate)
        with os.fdopen(reader, "rb") as stream:
            number = stream.readline().decode().strip()
        self.assertTrue(number, "Xvfb did not start")
        return ":" + number, os.path.join(folder, "Xvfb_screen0")

    def start(self, display, *argv):
        out = open(os.path.join(self.site.top, "file-manager"), "wb")
        self.addCleanup(out.close)
        session = subprocess.Popen(["dbus-run-session", "--", *argv], cwd="/", stdout=out,
                                   stderr=out, stdin=subprocess.DEVNULL,
                                   env=self.environment(DISPLAY=display),
                                   preexec_fn=lambda: (os.setsid(), become("alice")))

        def end():
            os.killpg(session.pid, signal.SIGTERM)  # of the session that was begun here
            session.wait(timeout=20)
        self.addCleanup(end)
        return session

    def colours(self, screen):
        with open(screen, "rb") as stream:
            data = stream.read()[-1024 * 768 * 4:]
        return len({data[at:at + 4] for at in range(0, len(data), 4)})

    def test_entering_a_folder_opens_no_message(self):
        self.needs("Xvfb", "pcmanfm", "dbus-run-session")
        display, screen = self.display()
        before = self.written()
        session = self.start(display, "pcmanfm", "--no-desktop", self.many)
        self.assertTrue(wait_until(
            lambda: self.requests_since(before).get("READDIRPLUS", 0) >= COUNT // 200, 30))
        self.assertTrue(wait_until(lambda: self.colours(screen) > 16, 30), "nothing was drawn")
        self.settled()
        self.assertIsNone(session.poll())
        asked = self.requests_since(before)
        print(f"PCManFM, {COUNT} messages: {asked}")
        for kind in ("OPEN", "READ", "CREATE", "MKDIR", "SETXATTR", "UNLINK", "MKNOD"):
            self.assertNotIn(kind, asked)
        for kind in ("LOOKUP", "GETATTR", "GETXATTR", "LISTXATTR"):
            self.assertLess(asked.get(kind, 0), 60, asked)
        thumbnails = os.path.join(self.home, ".cache", "thumbnails")
        self.assertEqual([names for _, _, names in os.walk(thumbnails) if names], [])
        run_as("alice", lambda path: open(path, "rb").close(), self.message(2001))
        self.assertEqual(self.requests_since(before).get("OPEN"), 1)

    # ---- the trash

    def test_trash_is_refused(self):
        for number in (2003, 2007):
            path, names = self.message(number), run_as("alice", os.listdir, self.many)
            before = self.written()
            done = self.gio("trash", path)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("Unable to find or create trash directory", done.stderr)
            self.assertFalse({"UNLINK", "RENAME", "RENAME2", "OPEN"} &
                             set(self.requests_since(before)))
            self.assertEqual(run_as("alice", os.listdir, self.many), names)
        self.assertFalse(os.path.exists(os.path.join(self.home, ".local", "share", "Trash",
                                                     "files", os.path.basename(path))))

    def test_trash_directories_are_refused(self):
        for place in (self.site.mnt, self.site.path("alice"), self.many):
            for name in (".Trash", f".Trash-{uid_of('alice')}"):
                self.assert_errno("alice", errno.EACCES, os.mkdir, os.path.join(place, name))

    def test_remove(self):
        """For good, as file managers offer when there is no trash: what is kept says why not."""
        kept, free = self.message(2007), self.message(2008)
        done = self.gio("remove", kept)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Operation not permitted", done.stderr)
        self.assertEqual(errno_as("alice", os.stat, kept), 0)
        done = self.gio("remove", free)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(wait_until(lambda: errno_as("alice", os.stat, free) == errno.ENOENT))

    def test_kind_of_file(self):
        """By its name: nothing is opened to find out."""
        before = self.written()
        done = self.gio("info", self.message(2009))
        self.assertIn("standard::content-type: message/rfc822", done.stdout)
        self.assertIn("standard::fast-content-type: message/rfc822", done.stdout)
        self.assertNotIn("OPEN", self.requests_since(before))

    # ---- litter

    def places(self):
        """Every kind of directory: (path, is it mail's)."""
        at = self.site.path
        return [(self.site.mnt, False), (at("alice"), True), (at("alice", "many"), True),
                (self.many, True), (at("alice", "Searches"), False),
                (at("alice", "Searches", "subject=2011"), False), (at("Holds"), False),
                (at(".emlfs"), False)]

    def test_absent_names_are_remembered(self):
        """The second look for a name asks nothing."""
        def look(folder, names):
            fd, after = os.open(folder, os.O_PATH | os.O_DIRECTORY), []
            for name in names:
                for _ in range(2):
                    after.append(os.path.getsize(self.log))
                    try:
                        os.stat(name, dir_fd=fd)
                        raise AssertionError(name)
                    except FileNotFoundError:
                        pass
            os.close(fd)
            return after + [os.path.getsize(self.log)]
        os.chmod(self.log, 0o644)
        for folder, _ in self.places():
            sizes = run_as("alice", look, folder, LITTER + DISCARDED)
            with open(self.log, "rb") as stream:
                text = stream.read()
            for at, name in enumerate(LITTER + DISCARDED):
                first, second, end = sizes[2 * at:2 * at + 3]
                self.assertEqual(text[first:second].count(b"opcode: LOOKUP"), 1, (folder, name))
                self.assertNotIn(b"opcode: LOOKUP", text[second:end], (folder, name))

    def test_making_them_is_refused(self):
        def attempts(folder):
            """What is not refused with EACCES: (name, call, errno)."""
            other = []
            for name in LITTER:
                path = os.path.join(folder, name)
                for call, argv in ((make, [path]), (os.mkdir, [path]), (os.mkfifo, [path]),
                                   (os.symlink, ["/etc/passwd", path])):
                    try:
                        call(*argv)
                        other.append((name, call.__name__, 0))
                    except OSError as error:
                        if error.errno != errno.EACCES:
                            other.append((name, call.__name__, error.errno))
            return other
        for folder, _ in self.places():
            self.assertEqual(run_as("alice", attempts, folder), [], folder)

    def test_renaming_to_them_is_refused(self):
        def attempts(folder):
            os.mkdir(folder)
            codes = set()
            for name in LITTER:
                try:
                    os.rename(folder, os.path.join(os.path.dirname(folder), name))
                    codes.add(0)
                except OSError as error:
                    codes.add(error.errno)
            os.rmdir(folder)
            return codes
        self.assertEqual(run_as("alice", attempts, self.site.path("alice", "many", "Some folder")),
                         {errno.EACCES})

    def test_what_is_taken_and_thrown_away(self):
        """Copying from macOS fails where these cannot be written."""
        def write(path):
            with open(path, "wb") as out:
                out.write(b"\x00\x05\x16\x07" * 1000)
        names = run_as("alice", os.listdir, self.many)
        for name in DISCARDED:
            path = os.path.join(self.many, name)
            run_as("alice", write, path)
            self.assertTrue(wait_until(lambda: errno_as("alice", os.stat, path) == errno.ENOENT))
        self.assertEqual(sorted(run_as("alice", os.listdir, self.many)), sorted(names))
        for folder, mails in self.places():
            if not mails:
                self.assert_errno("alice", (errno.EACCES, errno.EROFS, errno.EPERM), make,
                                  os.path.join(folder, DISCARDED[0]))


if __name__ == "__main__":
    main()
