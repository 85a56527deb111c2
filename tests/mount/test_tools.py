# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy, search and backup programs run over the mount without an error line."""
import os
import shutil

from harness import MountTest, command, files_below, main, run_as, sha_of, uid_of, write_mail


class Tools(MountTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # one message of a later commit: borg never trusts the newest file time that it saw
        late = os.path.join(cls.site.source, "alice", "Inbox")
        write_mail(late, [70])
        cls.site.load("alice", os.path.join(cls.site.source, "alice"))
        cls.count = len(cls.site.expected("alice"))

    def setUp(self):
        self.out = os.path.join(self.site.top, "out", self.id().rsplit(".", 1)[1])
        os.makedirs(self.out)
        os.chown(self.out, uid_of("alice"), -1)
        self.top = self.site.path("alice")

    def tool(self, *argv, code=0, **options):
        if not shutil.which(argv[0]):
            self.skipTest(argv[0] + " is not installed")
        env = {"PATH": os.environ["PATH"], "HOME": self.out, "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8",
               "XDG_CACHE_HOME": self.out + "/cache", **options.pop("env", {})}
        done = command(*argv, person="alice", env=env, **options)
        self.assertEqual(done.returncode, code, f"{argv}\n{done.stdout[-2000:]}{done.stderr}")
        return done

    def digests(self, top):
        return sorted(map(sha_of, files_below(top)))

    def check_copy(self, top):
        self.assertEqual(self.digests(top), self.site.expected("alice"))

    def test_cp(self):
        done = self.tool("cp", "-a", self.top, self.out + "/copy")
        self.assertEqual(done.stderr, "")
        self.check_copy(self.out + "/copy")
        times = run_as("alice", lambda: {os.path.relpath(p, self.top): os.stat(p).st_mtime_ns
                                         for p in files_below(self.top)})
        for name, mtime in times.items():
            self.assertEqual(os.stat(os.path.join(self.out, "copy", name)).st_mtime_ns, mtime)

    def test_rsync_twice(self):
        argv = ["rsync", "-aHAX", "--stats", self.top + "/", self.out + "/copy/"]
        done = self.tool(*argv)
        self.assertEqual(done.stderr, "")
        self.check_copy(self.out + "/copy")
        done = self.tool(*argv)
        self.assertEqual(done.stderr, "")
        self.assertIn("Number of regular files transferred: 0\n", done.stdout)
        done = self.tool("rsync", "-aHAXn", "--itemize-changes", self.top + "/",
                         self.out + "/copy/")
        self.assertNotIn(">f", done.stdout)

    def test_tar(self):
        self.tool("tar", "--xattrs", "--acls", "-C", self.site.mnt, "-cf", "/dev/null", "alice")
        done = self.tool("tar", "-C", self.site.mnt, "-cf", self.out + "/mail.tar", "alice")
        self.assertEqual(done.stderr, "")
        os.mkdir(self.out + "/x")
        self.assertEqual(command("tar", "-C", self.out + "/x", "-xf",
                                 self.out + "/mail.tar").returncode, 0)
        self.check_copy(self.out + "/x")
        done = self.tool("tar", "-C", self.site.mnt, "-df", self.out + "/mail.tar")
        self.assertEqual(done.stdout + done.stderr, "")

    def test_find(self):
        done = self.tool("find", self.top, "-type", "f", "-name", "*.eml", "-size", "+0")
        self.assertEqual(done.stderr, "")
        self.assertEqual(len(done.stdout.splitlines()), len(self.site.expected("alice")))
        self.assertEqual(self.tool("find", self.site.mnt, "-ls").stderr, "")
        self.assertEqual(self.tool("ls", "-laR", self.site.mnt).stderr, "")

    def test_grep(self):
        done = self.tool("grep", "-rlE", "findme-[0-9a-f]{8}", self.top)
        self.assertEqual(done.stderr, "")
        self.assertEqual(len(done.stdout.splitlines()), len(self.site.expected("alice")))

    def test_du_and_df(self):
        done = self.tool("du", "-sb", self.top)
        self.assertEqual(done.stderr, "")
        self.assertEqual(self.tool("df", "-i", self.site.mnt).stderr, "")

    def test_restic_twice(self):
        env = {"RESTIC_PASSWORD": "test", "RESTIC_REPOSITORY": self.out + "/repo"}
        self.tool("restic", "init", env=env)
        self.tool("restic", "backup", self.top, env=env)
        self.remount()
        done = self.tool("restic", "backup", "-v", self.top, env=env)
        self.assertRegex(done.stdout, rf"Files:\s+0 new,\s+0 changed,\s+{self.count} unmodified")
        self.tool("restic", "restore", "latest", "--target", self.out + "/x", env=env)
        self.check_copy(self.out + "/x")

    def test_borg_twice(self):
        env = {"BORG_REPO": self.out + "/repo", "BORG_BASE_DIR": self.out,
               "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
        self.tool("borg", "init", "-e", "none", env=env)
        done = self.tool("borg", "create", "::one", self.top, env=env)
        self.assertEqual(done.stderr, "")
        self.remount()
        done = self.tool("borg", "create", "--list", "::two", self.top, env=env)
        states = [line[0] for line in done.stderr.splitlines() if line.endswith(".eml")]
        self.assertEqual(len(states), self.count)
        self.assertGreaterEqual(states.count("U"), self.count - 1)

    def remount(self):
        self.site.umount()
        self.site.mount()


if __name__ == "__main__":
    main()
