# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounting and unmounting, in every way that mount(8) and people do it."""
import errno
import json
import os
import shutil
import signal
import subprocess
import time

from harness import (EMLFS, SLOW, MountTest, become, command, errno_as, files_below, gone, main,
                     mounts_at, run_as, sha_of, snapshot, uid_of, umount8, wait_until, write_mail)


class Lifecycle(MountTest):
    OPTIONS = None

    def tearDown(self):
        for _ in range(4):
            if not mounts_at(self.site.mnt):
                break
            subprocess.run(["umount", "-l", self.site.mnt], stderr=subprocess.DEVNULL)
        wait_until(lambda: not mounts_at(self.site.mnt))

    def flags(self):
        rows = mounts_at(self.site.mnt)
        self.assertEqual(len(rows), 1)
        self.assertEqual(rows[0][:2], ("fuse.emlfs", self.site.archive))
        return rows[0][2]

    def test_stable_over_remounting(self):
        self.site.mount()
        before = run_as("alice", snapshot, self.site.path("alice"))
        root = os.stat(self.site.mnt)
        for _ in range(2):
            self.site.umount()
            self.site.mount()
            self.assertEqual(run_as("alice", snapshot, self.site.path("alice")), before)
            again = os.stat(self.site.mnt)
            self.assertEqual((root.st_ino, root.st_mtime_ns, root.st_ctime_ns),
                             (again.st_ino, again.st_mtime_ns, again.st_ctime_ns))

    def test_flags_are_forced(self):
        for options, shown in (("ro", "ro"), ("rw", "rw"), ("rw,dev,suid,exec", "rw"),
                               ("defaults", "rw"), ("", "rw"), ("rw,ro", "ro"), ("ro,rw", "rw")):
            self.site.mount(options)
            self.assertLessEqual({shown, "nosuid", "nodev", "noexec"}, self.flags(), options)
            self.site.umount()

    def test_ignored_options(self):
        self.site.mount("rw,relatime,norelatime,strictatime,nostrictatime,nodiratime,diratime,"
                        "lazytime,nolazytime,iversion,noiversion,nosymfollow,symfollow,nonempty,"
                        "_rnetdev,_netdev,nofail,noauto,x-systemd.requires=x,allow_other,"
                        "default_permissions,sync,dirsync,noatime,atime,noprefetch,"
                        "fsname=something,subtype=emlfs")
        self.flags()

    def test_owner_options_are_warned_of(self):
        done = self.site.mount("uid=1,gid=2,umask=022")
        self.assertEqual(done.stderr.count("no effect"), 1)
        self.assertEqual(run_as("alice", os.stat, self.site.path("alice")).st_uid, uid_of("alice"))

    def test_refused_options(self):
        for option in ("colour=blue", "xattr=1", "acl=1", "atime=later", "setuid=daemon",
                       "drop_privileges", "ro=1", "uid"):
            done = self.site.mount("ro," + option, check=False)
            self.assertEqual(done.returncode, 1, option)
            self.assertIn(option.split("=")[0], done.stderr)
            self.assertEqual(mounts_at(self.site.mnt), [])

    def test_what_cannot_be_mounted(self):
        cases = [(os.path.join(self.site.top, "no-archive"), self.site.mnt),
                 (self.site.source, self.site.mnt),
                 (self.site.archive, os.path.join(self.site.top, "no-dir")),
                 (self.site.archive, "/etc/passwd"),
                 (self.site.archive, self.site.archive),
                 (self.site.archive, self.site.top)]
        for archive, point in cases:
            done = self.site.emlfs("mount", archive, point, "-o", "ro", check=False)
            self.assertEqual(done.returncode, 32, (archive, point, done.stderr))
            self.assertTrue(done.stderr.startswith("emlfs: "), done.stderr)

    def test_what_is_found_late_is_heard(self):
        """Behind the mount(2): the process has let go of the terminal, and the caller hears it."""
        done = self.site.mount("archive_user=nobody-here", check=False, timeout=60)
        self.assertEqual(done.returncode, 32, done.stderr)
        self.assertIn("nobody-here", done.stderr)
        self.assertEqual(mounts_at(self.site.mnt), [])

    def test_standard_streams_are_closed(self):
        """None of them becomes a file of the archive, or what the caller waits for."""
        script = '"$0" mount "$1" "$2" 0<&- 1>&- 2>&-'
        done = command("sh", "-c", script, EMLFS, self.site.archive, self.site.mnt, timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(len(self.owner_files()), 51)
        pid = self.site.pid()
        for number in range(3):
            self.assertEqual(os.readlink(f"/proc/{pid}/fd/{number}"), "/dev/null")
        self.site.umount()
        done = command("sh", "-c", '"$0" verify -a "$1" 1>&- 2>&-', EMLFS, self.site.archive)
        self.assertNotEqual(done.returncode, 0)  # what it found cannot be told

    def test_second_mount_is_refused(self):
        self.site.mount()
        began = time.monotonic()
        done = self.site.mount(check=False)
        self.assertEqual(done.returncode, 32)
        self.assertIn("already mounted", done.stderr)
        self.assertLess(time.monotonic() - began, 5 * SLOW)
        self.assertEqual(len(mounts_at(self.site.mnt)), 1)

    def test_fstab_form(self):
        self.site.emlfs(self.site.archive, self.site.mnt, "-o", "rw,dev,suid")
        self.assertEqual(len(self.owner_files()), 51)

    def test_foreground(self):
        process = subprocess.Popen([EMLFS, "mount", self.site.archive, self.site.mnt, "-f", "-o",
                                    "ro"], stderr=subprocess.PIPE, text=True)
        self.assertTrue(wait_until(lambda: mounts_at(self.site.mnt)))
        self.assertEqual(self.site.pid(), process.pid)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=20 * SLOW), 0)
        self.assertEqual(mounts_at(self.site.mnt), [])
        process.stderr.close()

    def test_debug(self):
        """Every request is on standard error, without names and mail; only in the foreground."""
        done = self.site.mount("rw,debug", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("debug needs -f", done.stderr)
        self.assertEqual(mounts_at(self.site.mnt), [])
        self.site.mount_logged()
        paths = self.owner_files()
        count = len(run_as("alice", lambda: [sha_of(path) for path in paths]))
        self.site.process.send_signal(signal.SIGINT)
        self.assertEqual(self.site.process.wait(timeout=20 * SLOW), 0)
        with open(self.site.request_log, "rb") as stream:
            text = stream.read()
        for kind in (b"READDIRPLUS", b"GETATTR", b"RELEASE"):
            self.assertIn(b"opcode: " + kind, text)
        self.assertEqual(text.count(b"opcode: OPEN "), count)
        self.assertEqual(count, 51)
        for private in (b"findme", b"Message", b"alice", b".eml", b"Inbox"):
            self.assertNotIn(private, text)

    def test_signals_end_it(self):
        for signo in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            self.site.mount()
            pid = self.site.pid()
            self.owner_files()
            os.kill(pid, signo)
            self.assertTrue(wait_until(lambda: gone(pid)))
            self.assertEqual(mounts_at(self.site.mnt), [])

    def test_signal_while_read(self):
        """Ends while somebody reads in a loop; the reader gets an error and is not left hanging."""
        self.site.mount()
        pid = self.site.pid()
        reader = subprocess.Popen(["sh", "-c", f"while tar cf - {self.site.mnt}/alice | cat; do "
                                   f"[ -e {self.site.mnt}/.emlfs ] || exit; done"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  preexec_fn=lambda: os.setuid(uid_of("alice")))
        time.sleep(0.5)
        os.kill(pid, signal.SIGTERM)
        self.assertTrue(wait_until(lambda: gone(pid)))
        reader.wait(timeout=20 * SLOW)

    def test_not_dumpable(self):
        self.site.mount()
        pid = self.site.pid()
        self.assertEqual(os.stat(f"/proc/{pid}/environ").st_uid, 0)
        with open(f"/proc/{pid}/limits") as limits:
            core = next(line for line in limits if line.startswith("Max core file size"))
        self.assertEqual(core.split()[4:6], ["0", "0"])
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        self.assertEqual(os.readlink(f"/proc/{pid}/fd/2"), "/dev/null")

    def test_dead_mount_is_cleared(self):
        self.site.mount()
        pid = self.site.pid()
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: errno_as("root", os.statvfs, self.site.mnt)
                                   == errno.ENOTCONN))
        self.site.mount()
        self.flags()
        self.assertNotEqual(self.site.pid(), pid)
        self.assertEqual(len(self.owner_files()), 51)

    def test_dead_mount_is_unmounted(self):
        self.site.mount()
        pid = self.site.pid()
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: gone(pid)))
        self.site.umount()
        self.assertEqual(mounts_at(self.site.mnt), [])

    def test_umount_busy_and_absent(self):
        done = self.site.umount(check=False)
        self.assertEqual(done.returncode, 32)
        self.site.mount()
        holder = os.open(self.site.mnt, os.O_RDONLY)
        done = self.site.umount(check=False)
        self.assertEqual(done.returncode, 32)
        self.assertIn("smbcontrol", done.stderr)
        os.close(holder)
        self.site.umount()

    def test_mount_waits_for_the_lock(self):
        """A mount straight after an unmount succeeds although the old process may still close."""
        for _ in range(5):
            self.site.mount()
            self.assertTrue(umount8(self.site.mnt))
        self.site.mount()
        self.flags()

    def test_remount(self):
        def remount(options, shown):
            self.site.emlfs("mount", self.site.archive, self.site.mnt, "-o", "remount" + options)
            self.assertLessEqual({shown, "nosuid", "nodev", "noexec"}, self.flags())
            self.assertEqual(bool(os.statvfs(self.site.mnt).f_flag & os.ST_RDONLY), shown == "ro")
            with open(self.site.path(".emlfs", "status.json")) as stream:
                self.assertIs(json.load(stream)["read_only"], shown == "ro")
        self.site.mount()
        remount("", "rw")
        remount(",ro", "ro")
        self.assert_errno("alice", errno.EROFS, os.mkdir, self.site.path("alice", "Searches", "x"))
        remount(",nodev", "ro")
        remount(",rw,user_id=0,group_id=0,max_read=1048576", "rw")
        run_as("alice", os.mkdir, self.site.path("alice", "Searches", "x"))
        run_as("alice", os.rmdir, self.site.path("alice", "Searches", "x"))
        self.site.umount()
        done = self.site.emlfs("mount", self.site.archive, self.site.mnt, "-o", "remount,ro",
                               check=False)
        self.assertEqual(done.returncode, 32)

    def test_ordinary_user_hears_why(self):
        with open("/etc/fuse.conf") as conf:
            if any(line.strip() == "user_allow_other" for line in conf):
                self.skipTest("user_allow_other is set here")
        done = self.site.mount(check=False, person="alice")
        self.assertEqual(done.returncode, 1)
        self.assertIn("user_allow_other", done.stderr)


class ThroughMount8(MountTest):
    """fstab lines through the real mount(8), from a table of our own."""

    OPTIONS = None

    def setUp(self):
        self.table = os.path.join(self.site.top, "fstab")

    def tearDown(self):
        subprocess.run(["umount", "-l", self.site.mnt], stderr=subprocess.DEVNULL)
        wait_until(lambda: not mounts_at(self.site.mnt))

    def mount8(self, options, *argv, archive=None):
        """mount.fuse3 finds programs in the system's folders only: PROGRAM#SOURCE names ours."""
        program = shutil.which(EMLFS)
        with open(self.table, "w") as out:
            out.write(f"{program}#{archive or self.site.archive} {self.site.mnt} fuse {options} "
                      "0 0\n")
        return command("mount", "-T", self.table, *argv, self.site.mnt)

    def test_line(self):
        done = self.mount8("allow_other,default_permissions,nofail,_netdev,"
                           "x-systemd.requires-mounts-for=/var/lib,noauto")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = mounts_at(self.site.mnt)
        self.assertEqual(rows[0][0], "fuse.emlfs")
        self.assertLessEqual({"rw", "nosuid", "nodev", "noexec"}, rows[0][2])
        self.assertEqual(len(self.owner_files()), 51)
        done = self.mount8("ro", "-o", "remount,ro")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(umount8(self.site.mnt))

    def test_refused_option_is_named(self):
        done = self.mount8("ro,colour=blue")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("colour=blue", done.stderr)

    def test_setuid_drop_privileges(self):
        account = "games"
        moved = os.path.join(self.site.top, "moved")
        self.site.wait_closed()
        shutil.copytree(self.site.archive, moved, ignore=shutil.ignore_patterns("control"))
        for folder, names, files in os.walk(moved):
            for name in names + files + ["."]:
                shutil.chown(os.path.join(folder, name), account)
        done = self.mount8(f"setuid={account},drop_privileges,allow_other,default_permissions,"
                           f"ro,nosuid,nodev,noexec,subtype=emlfs,fsname={moved}", archive=moved)
        self.assertEqual(done.returncode, 0, done.stderr)
        pid = self.site.pid()
        with open(f"/proc/{pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        self.assertEqual(int(fields["CapEff"].strip(), 16), 0)
        self.assertEqual(fields["NoNewPrivs"].strip(), "1")
        self.assertEqual(fields["Uid"].split()[1], str(uid_of(account)))
        self.assertEqual(len(self.owner_files()), 51)
        self.assertEqual(errno_as("bob", os.listdir, self.site.path("alice")), errno.EACCES)
        self.assertTrue(umount8(self.site.mnt))
        self.assertTrue(wait_until(lambda: gone(pid)))


class Live(MountTest):
    """Mail that arrives while mounted, through the same commands."""

    def load_more(self, numbers, user="alice", folder="Inbox"):
        top = os.path.join(self.site.top, f"more-{numbers[0]}")
        write_mail(os.path.join(top, folder), numbers)
        shutil.copytree(top, os.path.join(self.site.source, user), dirs_exist_ok=True)
        self.site.load(user, top)

    def check_all(self, user="alice"):
        files = run_as(user, files_below, self.site.path(user))
        digests = run_as(user, lambda paths: sorted(map(sha_of, paths)), files)
        return sorted(digests) == self.site.expected(user)

    def inodes(self):
        return {path: os.stat(path).st_ino for path in files_below(self.site.path("alice"))}

    def test_new_mail_appears(self):
        for round_no in range(4):
            before = run_as("alice", self.inodes)
            first = 1000 + 10 * round_no
            self.load_more(range(first, first + 10))
            self.assertTrue(wait_until(self.check_all, 5))
            after = run_as("alice", self.inodes)
            self.assertEqual(len(after), len(before) + 10)
            self.assertLessEqual(before.items(), after.items())

    def test_new_folder_appears(self):
        folders = run_as("alice", lambda: sorted(
            d for d, _, _ in os.walk(self.site.path("alice"))))
        self.load_more(range(2000, 2003), folder="A new folder/below")
        self.assertTrue(wait_until(self.check_all, 5))
        self.assertGreater(len(run_as("alice", lambda: [
            d for d, _, _ in os.walk(self.site.path("alice"))])), len(folders))

    def test_new_user_appears(self):
        self.site.emlfs("user", "add", "-a", self.site.archive, "--unix-account", "nobody", "carol")

        def seen():
            return os.listdir(self.site.mnt) == ["carol"]
        self.assertTrue(wait_until(lambda: run_as("stranger", seen), 5))
        self.assertNotIn("carol", run_as("alice", os.listdir, self.site.mnt))

    def test_renamed_user(self):
        """The old name of a user archive goes from the kernel's cache, too."""
        old, new = self.site.path("bob"), os.path.join(self.site.mnt, "robert")

        for before, after in (("bob", "robert"), ("robert", "bob")) * 3:
            path, there = (old, new) if before == "bob" else (new, old)
            run_as("bob", os.listdir, path)
            inbox = os.path.join(path, "bob", "Inbox")
            self.assertEqual(errno_as("bob", os.stat, inbox), 0)
            looking = subprocess.Popen(  # so that it is known at every moment of the change
                ["sh", "-c", 'while :; do test -d "$1"; done', "sh", inbox],
                preexec_fn=lambda: become("bob"))
            self.site.emlfs("user", "rename", "-a", self.site.archive, before, after)
            time.sleep(0.2)
            looking.kill()
            looking.wait()
            self.assertTrue(wait_until(
                lambda p=inbox: errno_as("bob", os.stat, p) == errno.ENOENT, 5), before)
            self.assertEqual(errno_as("bob", os.stat, path), errno.ENOENT)
            self.assertEqual(run_as("bob", os.listdir, self.site.mnt), [after])
            self.assertEqual(errno_as("bob", os.stat, os.path.join(there, "bob", "Inbox")), 0)

    def test_listing_while_importing(self):
        """Names that are there stay, once each, in a listing that new mail interrupts."""
        before = set(self.owner_files())
        top = os.path.join(self.site.top, "flood")
        write_mail(os.path.join(top, "Inbox"), range(5000, 5400))
        shutil.copytree(top, os.path.join(self.site.source, "alice"), dirs_exist_ok=True)
        load = subprocess.Popen([EMLFS, "import", "-a", self.site.archive, "--user", "alice", top],
                                stdout=subprocess.DEVNULL)
        while load.poll() is None:
            found = self.owner_files()
            self.assertEqual(len(found), len(set(found)))
            self.assertLessEqual(before, set(found))
        self.assertEqual(load.returncode, 0)
        self.assertTrue(wait_until(self.check_all, 5))

    def test_status_over_the_socket(self):
        done = self.site.emlfs("status", "-a", self.site.archive, "--json")
        self.assertIn(self.site.mnt, done.stdout.replace("\\/", "/"))
        json.loads(done.stdout.splitlines()[0])


class Damage(MountTest):
    """Altered packs: a message is right or it is EIO; and the others are still there."""

    OPTIONS = None

    def read_all(self):
        good, bad = [], 0
        for path in files_below(self.site.path("alice")):
            try:
                good.append(sha_of(path))
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                bad += 1
        return good, bad

    def test_flipped_bytes(self):
        packs = [path for path in files_below(self.site.archive) if path.endswith(".pack")]
        self.assertTrue(packs)
        expected = self.site.expected("alice")
        pack = max(packs, key=os.path.getsize)
        size, damaged = os.path.getsize(pack), 0
        for part in range(1, 8):
            with open(pack, "r+b") as stream:
                stream.seek(size * part // 8)
                before = stream.read(1)
                stream.seek(size * part // 8)
                stream.write(bytes([before[0] ^ 0x10]))
            done = self.site.mount(check=False)
            if done.returncode == 0:
                good, bad = run_as("alice", self.read_all)
                again = run_as("alice", self.read_all)
                self.site.umount()
                self.site.wait_closed()
                self.assertEqual((good, bad), again)
                self.assertTrue(set(good) <= set(expected))
                damaged += bad
            else:
                self.assertEqual(done.returncode, 32)
                damaged += 1
            with open(pack, "r+b") as stream:
                stream.seek(size * part // 8)
                stream.write(before)
        self.assertGreater(damaged, 0)
        self.site.mount()
        self.assertEqual(sorted(run_as("alice", self.read_all)[0]), expected)
        self.site.umount()


if __name__ == "__main__":
    main()
