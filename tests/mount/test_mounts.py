# SPDX-License-Identifier: GPL-3.0-or-later
"""Several mounts of one archive: one process serves them all, whoever mounts them and in what
order they end."""
import errno
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from harness import (EMLFS, SLOW, MountTest, become, command, errno_as, files_below, gone, main,
                     message, mounts_at, run_as, sha_of, uid_of, umount8, wait_until,
                     write_mail)


class Several(MountTest):
    OPTIONS = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.site.emlfs("privilege", "set", "-a", cls.site.archive, "bob", "--may", "all",
                       "--own", "all")

    def setUp(self):
        self.points = [os.path.join(self.site.top, f"mnt{n}") for n in range(4)]
        for point in self.points:
            os.makedirs(point, exist_ok=True)

    def tearDown(self):
        for point in [self.site.mnt, *self.points]:
            for _ in range(4):
                if not mounts_at(point):
                    break
                subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)
        wait_until(lambda: self.processes() == [])

    def processes(self):
        """Processes that have the archive's lock or serve one of the mounts."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as stream:
                    words = stream.read().split(b"\0")
            except OSError:
                continue
            if self.site.archive.encode() in words and not gone(int(pid)):
                found.append(int(pid))
        return found

    def mount_at(self, n, options="rw", check=True, **more):
        return self.site.emlfs("mount", self.site.archive, self.points[n], "-o", options,
                               check=check, **more)

    def umount_at(self, n):
        self.site.umount(point=self.points[n])

    def pid_at(self, n):
        with open(os.path.join(self.points[n], ".emlfs", "status.json")) as stream:
            return json.load(stream)["pid"]

    def names_at(self, n, user="alice"):
        top = os.path.join(self.points[n], user)
        return [os.path.relpath(path, top) for path in run_as(user, files_below, top)]

    def status(self):
        done = self.site.emlfs("status", "-a", self.site.archive, "--json")
        return json.loads(done.stdout.splitlines()[0]).get("mounts")

    def records(self, kind):
        done = self.site.emlfs("audit", "-a", self.site.archive, "--kind", kind, "--json",
                               "--limit", "10000")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_one_process_serves_all(self):
        for n in range(3):
            self.mount_at(n)
        self.assertEqual(len({self.pid_at(n) for n in range(3)}), 1)
        self.assertTrue(wait_until(lambda: len(self.processes()) == 1))
        for n in range(3):
            self.assertEqual(len(self.names_at(n)), 51)
        self.assertEqual(sorted(row["mountpoint"] for row in self.status()),
                         sorted(self.points[:3]))

    def test_umount_in_each_order(self):
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)):
            for n in range(3):
                self.mount_at(n)
            pid = self.pid_at(0)
            for at, n in enumerate(order):
                self.umount_at(n)
                self.assertEqual(mounts_at(self.points[n]), [])
                for left in order[at + 1:]:
                    self.assertEqual(len(self.names_at(left)), 51)
                self.assertTrue(wait_until(
                    lambda at=at: len(self.status() or []) == 2 - at), order)
            self.assertTrue(wait_until(lambda: gone(pid)))
            self.assertIsNone(self.status())

    def test_first_again_while_second_stays(self):
        self.mount_at(0)
        self.mount_at(1)
        pid = self.pid_at(1)
        for _ in range(5):
            self.umount_at(0)
            self.mount_at(0)
            self.assertEqual(self.pid_at(0), pid)
            self.umount_at(1)
            self.mount_at(1)
            self.assertEqual(self.pid_at(1), pid)

    def test_new_mail_everywhere(self):
        for n in range(3):
            self.mount_at(n)
        before = [self.names_at(n) for n in range(3)]
        self.assertEqual(before[0], before[1])
        top = os.path.join(self.site.top, "more")
        write_mail(os.path.join(top, "Inbox"), range(9000, 9005))
        self.site.load("bob", top)
        for n in range(3):
            self.assertTrue(wait_until(lambda n=n: len(self.names_at(n, "bob")) == 28, 5))
        gone_one = next(name for name in self.names_at(1, "bob") if "9000" in name)
        paths = [os.path.join(self.points[n], "bob", gone_one) for n in range(3)]
        for path in paths:
            self.assertEqual(errno_as("bob", os.stat, path), 0)
        run_as("bob", os.unlink, paths[1])
        for n in range(3):
            self.assertTrue(wait_until(
                lambda n=n: errno_as("bob", os.stat, paths[n]) == errno.ENOENT, 5), n)
            self.assertTrue(wait_until(lambda n=n: gone_one not in self.names_at(n, "bob"), 5))
        for name in self.names_at(0, "bob"):
            if "900" in name:
                run_as("bob", os.unlink, os.path.join(self.points[0], "bob", name))
        self.assertTrue(wait_until(lambda: len(self.names_at(2, "bob")) == 23, 5))

    def test_options_are_each_mount_s_own(self):
        """A read-only or private mount beside another makes neither what the other is."""
        for first, second in ((0, 1), (1, 0)):
            options = ("rw", "ro,private_names")
            self.mount_at(first, options[first])
            self.mount_at(second, options[second])
            folder = [os.path.join(self.points[n], "alice", "Fresh") for n in range(2)]
            self.assertEqual(errno_as("alice", os.mkdir, folder[1]), errno.EROFS)
            run_as("alice", os.mkdir, folder[0])
            self.assertTrue(wait_until(
                lambda f=folder: errno_as("alice", os.stat, f[1]) == 0, 5))
            run_as("alice", os.rmdir, folder[0])
            self.assertEqual(errno_as("stranger", os.listdir, os.path.join(self.points[0],
                                                                           "alice")), errno.EACCES)
            self.assertEqual(errno_as("stranger", os.stat, os.path.join(self.points[1], "alice")),
                             errno.ENOENT)
            self.assertEqual(errno_as("stranger", os.stat, os.path.join(self.points[0], "alice")),
                             0)
            rows = {row["mountpoint"]: row for row in self.status()}
            self.assertFalse(rows[self.points[0]]["read_only"])
            self.assertTrue(rows[self.points[1]]["read_only"])
            self.umount_at(0)
            self.umount_at(1)
            self.assertTrue(wait_until(lambda: self.processes() == []))

    def test_only_read_only_mounts_change_nothing(self):
        self.mount_at(0, "ro")
        self.mount_at(1, "ro")
        self.assertTrue(all(row["read_only"] for row in self.status()))
        save = ("search", "save", "-a", self.site.archive, "--user", "alice", "Seven", "subject:7")
        self.assertNotEqual(self.site.emlfs(*save, check=False, person="alice").returncode, 0)
        self.mount_at(2, "rw")
        self.site.emlfs(*save, person="alice")
        self.site.emlfs(*save[:1], "remove", *save[2:-1], person="alice")

    def test_same_place_twice(self):
        self.mount_at(0)
        self.mount_at(1)
        for n in range(2):
            began = time.monotonic()
            done = self.mount_at(n, check=False)
            self.assertEqual(done.returncode, 32)
            self.assertIn("already mounted", done.stderr)
            self.assertLess(time.monotonic() - began, 10 * SLOW)
            self.assertEqual(len(mounts_at(self.points[n])), 1)

    def test_what_is_refused_leaves_nothing(self):
        self.mount_at(0)
        for options, code in (("colour=blue", 1), ("ro=1", 1)):
            self.assertEqual(self.mount_at(1, options, check=False).returncode, code)
        done = self.site.emlfs("mount", self.site.archive, os.path.join(self.site.top, "none"),
                               check=False)
        self.assertEqual(done.returncode, 32)
        self.assertEqual(mounts_at(self.points[1]), [])
        self.assertEqual(len(self.status()), 1)

    def test_killed_server(self):
        """All mounts are dead then; the next mount serves anew, and clears what it stands on."""
        self.mount_at(0)
        self.mount_at(1)
        pid = self.pid_at(0)
        os.kill(pid, signal.SIGKILL)
        for n in range(2):
            self.assertTrue(wait_until(
                lambda n=n: errno_as("root", os.statvfs, self.points[n]) == errno.ENOTCONN))
        self.mount_at(1)
        self.assertNotEqual(self.pid_at(1), pid)
        self.assertEqual(len(self.names_at(1)), 51)
        self.mount_at(0)
        self.assertEqual(self.pid_at(0), self.pid_at(1))
        self.assertEqual([len(mounts_at(self.points[n])) for n in range(2)], [1, 1])
        self.assertEqual(len(self.names_at(0)), 51)

    def test_signal_ends_all(self):
        for n in range(3):
            self.mount_at(n)
        pid = self.pid_at(0)
        os.kill(pid, signal.SIGTERM)
        self.assertTrue(wait_until(lambda: gone(pid)))
        for n in range(3):
            self.assertEqual(mounts_at(self.points[n]), [])

    def test_busy_mount_keeps_only_itself(self):
        self.mount_at(0)
        self.mount_at(1)
        with open(os.path.join(self.points[0], ".emlfs", "status.json")):
            done = self.site.emlfs("umount", self.points[0], check=False)
            self.assertEqual(done.returncode, 32)
            self.umount_at(1)
            self.assertTrue(wait_until(lambda: len(self.status()) == 1))
        self.umount_at(0)

    def foreground(self, n, options="rw"):
        process = subprocess.Popen([EMLFS, "mount", self.site.archive, self.points[n], "-f", "-o",
                                    options], stderr=subprocess.PIPE, text=True)
        self.assertTrue(wait_until(lambda: mounts_at(self.points[n])))
        self.addCleanup(process.stderr.close)
        return process

    def test_taken_away_while_written_into(self):
        """What was safe is archived by the process that serves on; the rest is as after a crash."""
        self.mount_at(0)
        process = self.foreground(1)
        self.assertTrue(wait_until(lambda: len(self.status()) == 2))
        sent = {name: message(number) for number, name in ((820, "synced"), (821, "never"))}
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            become("bob")
            for name, data in sent.items():
                fd = os.open(os.path.join(self.points[1], "bob", name + ".eml"),
                             os.O_WRONLY | os.O_CREAT, 0o600)
                os.write(fd, data)
                if name == "synced":
                    os.fsync(fd)
                    os.write(fd, b"half of a line")
            os.write(writer, b"x")
            signal.pause()
        os.close(writer)
        self.assertEqual(os.read(reader, 1), b"x")
        os.close(reader)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20 * SLOW)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

        top = os.path.join(self.points[0], "bob")

        def shas():
            return run_as("bob", lambda: [sha_of(os.path.join(top, name))
                                          for name in os.listdir(top)
                                          if os.path.isfile(os.path.join(top, name))])
        wanted = hashlib.sha256(sent["synced"]).hexdigest()
        self.assertTrue(wait_until(lambda: shas() == [wanted]), shas())
        spool = os.path.join(self.site.archive, "spool")
        self.assertTrue(wait_until(lambda: os.listdir(spool) == []), os.listdir(spool))
        for name in run_as("bob", os.listdir, top):
            if os.path.isfile(os.path.join(top, name)):
                run_as("bob", os.unlink, os.path.join(top, name))
        self.assertEqual(shas(), [])

    def test_foreground_helper(self):
        self.mount_at(0)
        pid = self.pid_at(0)
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            process = self.foreground(1)
            self.assertTrue(wait_until(lambda: len(self.status()) == 2))
            self.assertEqual(self.pid_at(1), pid)
            process.send_signal(signo)
            process.wait(timeout=20 * SLOW)
            if signo != signal.SIGKILL:
                self.assertEqual(process.returncode, 0)
            self.assertTrue(wait_until(lambda: not mounts_at(self.points[1])), signo)
            self.assertTrue(wait_until(lambda: len(self.status()) == 1))
        process = self.foreground(1)
        self.assertTrue(wait_until(lambda: len(self.status()) == 2))
        self.umount_at(1)
        self.assertEqual(process.wait(timeout=20 * SLOW), 0)
        process = self.foreground(1)
        self.assertTrue(wait_until(lambda: len(self.status()) == 2))
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(process.wait(timeout=20 * SLOW), 0)

    def test_foreground_server_serves_on(self):
        """The first one's own mount may end before others that it serves."""
        process = self.foreground(0)
        self.mount_at(1)
        self.umount_at(0)
        self.assertEqual(len(self.names_at(1)), 51)
        self.assertIsNone(process.poll())
        self.umount_at(1)
        self.assertEqual(process.wait(timeout=20 * SLOW), 0)

    def test_started_together(self):
        """One takes the archive, the others join it; again and again, with mounts that just end."""
        for round_no in range(8):
            count = 2 if round_no % 2 else 4
            done = [None] * count
            threads = [threading.Thread(target=lambda n=n: done.__setitem__(
                n, self.mount_at(n, check=False))) for n in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for n in range(count):
                self.assertEqual(done[n].returncode, 0, (round_no, done[n].stderr))
                self.assertEqual(len(self.names_at(n)), 51)
            self.assertEqual(len({self.pid_at(n) for n in range(count)}), 1)
            for n in range(count):
                self.umount_at(n)

    def test_same_place_at_the_same_time(self):
        for _ in range(4):
            done = []
            threads = [threading.Thread(target=lambda: done.append(self.mount_at(0, check=False)))
                       for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(mounts_at(self.points[0])), 1, [d.stderr for d in done])
            self.assertEqual(sorted(d.returncode for d in done), [0, 32, 32],
                             [d.stderr for d in done])
            self.umount_at(0)

    def test_join_while_the_last_ends(self):
        for _ in range(10):
            self.mount_at(0)
            self.umount_at(0)
            self.mount_at(1)
            self.assertEqual(len(self.names_at(1)), 51)
            self.umount_at(1)

    def test_ledger(self):
        self.mount_at(0, "rw,acl")
        self.mount_at(1, "ro,no_searches")
        self.umount_at(0)
        self.umount_at(1)
        self.assertTrue(wait_until(lambda: self.processes() == []))
        for kind in ("mounted", "unmounted"):
            rows = {row["name"]: row["detail"] for row in self.records(kind)
                    if row["name"] in self.points[:2]}
            self.assertEqual(rows, {self.points[0]: "rw,acl", self.points[1]: "ro,no_searches"})

    def test_umount_by_an_administrator(self):
        """alice administers the archive: the mount process unmounts for her, what she names."""
        self.mount_at(0)
        self.mount_at(1)
        done = self.site.emlfs("umount", self.points[1], check=False, person="bob")
        self.assertEqual(done.returncode, 32)
        self.assertEqual(len(mounts_at(self.points[1])), 1)
        self.assertTrue(wait_until(lambda: self.site.emlfs(
            "umount", self.points[1], check=False, person="alice").returncode == 0))
        self.assertEqual(mounts_at(self.points[1]), [])
        self.assertEqual(len(self.names_at(0)), 51)

    def test_another_version(self):
        """The request says which program it is of; one of another version is told so."""
        self.mount_at(0)
        with socket.socket(socket.AF_UNIX) as ask:
            ask.connect(os.path.join(self.site.archive, "control"))
            request = json.dumps({"protocol": 1, "command": "mount",
                                  "args": {"version": "0.0.0-other", "options": "rw",
                                           "source": self.site.archive,
                                           "mountpoint": self.points[1]}}).encode()
            ask.sendall(struct.pack("<IB", len(request), 1) + request)
            size, kind = struct.unpack("<IB", ask.recv(5, socket.MSG_WAITALL))
            answer = json.loads(ask.recv(size, socket.MSG_WAITALL))
        self.assertEqual((kind, answer["errno"]), (23, errno.EPROTONOSUPPORT), answer)
        self.assertIn("0.0.0-other", answer["text"])

    def test_hanging_and_lying_helpers(self):
        """A helper that goes away, or hands over what is no mount, does no harm."""
        self.mount_at(0)
        for fds in ((), (0,), (0, 1, 2, 0)):
            with socket.socket(socket.AF_UNIX) as ask:
                ask.connect(os.path.join(self.site.archive, "control"))
                version = self.site.emlfs("--version").stdout.split()[-1]
                request = json.dumps({"protocol": 1, "command": "mount",
                                      "args": {"version": version, "options": "rw",
                                               "source": self.site.archive,
                                               "mountpoint": self.points[1]}}).encode()
                ask.sendall(struct.pack("<IB", len(request), 1) + request)
                size, kind = struct.unpack("<IB", ask.recv(5, socket.MSG_WAITALL))
                self.assertEqual((size, kind), (0, 17))
                if fds:
                    with open("/dev/null") as null:
                        socket.send_fds(ask, [b"x"], [null.fileno()] * len(fds))
                        size, kind = struct.unpack("<IB", ask.recv(5, socket.MSG_WAITALL))
                        answer = json.loads(ask.recv(size, socket.MSG_WAITALL))
                        self.assertEqual(kind, 23)
                        self.assertNotEqual(answer["errno"], 0)
            self.assertTrue(wait_until(lambda: len(self.status()) == 1))
            self.mount_at(1)
            self.umount_at(1)
        self.assertEqual(len(self.names_at(0)), 51)

    def test_who_may_hand_over(self):
        """A FUSE connection names its callers: not even an administrator hands one over."""
        self.mount_at(0)
        for person in ("alice", "bob", "stranger"):
            kind, answer = run_as(person, self.ask, "mount", self.points[1])
            self.assertEqual((kind, answer["errno"]), (23, errno.EACCES), person)
        self.assertEqual(len(self.status()), 1)

    def test_what_lies_above_stays(self):
        """An administrator ends a mount of the archive, and nothing that root put above it."""
        self.mount_at(0)
        self.mount_at(1)
        command("mount", "-t", "tmpfs", "none", self.points[1])
        kind, answer = run_as("alice", self.ask, "umount", self.points[1])
        self.assertEqual((kind, answer["errno"]), (23, errno.EBUSY), answer)
        self.assertEqual(len(mounts_at(self.points[1])), 2)
        command("umount", self.points[1])
        kind, answer = run_as("alice", self.ask, "umount", self.points[1])
        self.assertEqual((kind, answer["errno"]), (23, 0), answer)
        self.assertEqual(mounts_at(self.points[1]), [])

    def ask(self, what, point):
        """The answer to a request about point: type of the frame, and what it says."""
        with socket.socket(socket.AF_UNIX) as ask:
            ask.connect(os.path.join(self.site.archive, "control"))
            version = self.site.emlfs("--version").stdout.split()[-1]
            request = json.dumps({"protocol": 1, "command": what,
                                  "args": {"version": version, "options": "rw",
                                           "source": self.site.archive,
                                           "mountpoint": point}}).encode()
            ask.sendall(struct.pack("<IB", len(request), 1) + request)
            size, kind = struct.unpack("<IB", ask.recv(5, socket.MSG_WAITALL))
            return kind, json.loads(ask.recv(size, socket.MSG_WAITALL)) if size else None

    def test_strangers_mount_nothing(self):
        self.mount_at(0)
        point = os.path.join(self.site.top, "stranger")
        os.makedirs(point, exist_ok=True)
        os.chown(point, uid_of("stranger"), -1)
        done = self.site.emlfs("mount", self.site.archive, point, check=False, person="stranger")
        self.assertIn(done.returncode, (1, 32))
        self.assertEqual(mounts_at(point), [])
        self.assertEqual(len(self.status()), 1)

    def test_fstab_lines(self):
        """Two lines of one table, the second served by the process of the first."""
        table = os.path.join(self.site.top, "fstab")
        program = shutil.which(EMLFS)
        with open(table, "w") as out:
            for n, options in ((0, "rw,nofail"), (1, "ro,no_searches,nofail")):
                out.write(f"{program}#{self.site.archive} {self.points[n]} fuse {options} 0 0\n")
        for n in range(2):
            done = command("mount", "-T", table, self.points[n])
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.pid_at(0), self.pid_at(1))
        self.assertIn("ro", mounts_at(self.points[1])[0][2])
        for n in range(2):
            self.assertTrue(umount8(self.points[n]))

    def test_drop_privileges(self):
        """Mounted by mount.fuse3: further mounts come as /dev/fd/N, or from root."""
        account, moved = "games", os.path.join(self.site.top, "moved")
        self.site.wait_closed()
        shutil.copytree(self.site.archive, moved, ignore=shutil.ignore_patterns("control"))
        for folder, names, files in os.walk(moved):
            for name in names + files + ["."]:
                shutil.chown(os.path.join(folder, name), account)
        table = os.path.join(self.site.top, "fstab")
        with open(table, "w") as out:
            for n in range(2):
                out.write(f"{shutil.which(EMLFS)}#{moved} {self.points[n]} fuse setuid={account},"
                          "drop_privileges,allow_other,default_permissions,nosuid,nodev,noexec,"
                          f"subtype=emlfs,fsname={moved} 0 0\n")
        for n in range(2):
            done = command("mount", "-T", table, self.points[n])
            self.assertEqual(done.returncode, 0, done.stderr)
        pid = self.pid_at(0)
        self.assertEqual(self.pid_at(1), pid)
        self.site.emlfs("mount", moved, self.points[2], "-o", "rw")
        self.assertEqual(self.pid_at(2), pid)
        for n in range(3):
            self.assertEqual(len(self.names_at(n)), 51)
        with open(f"/proc/{pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        self.assertEqual(int(fields["CapEff"].strip(), 16), 0)
        for n in (0, 2, 1):
            self.assertTrue(umount8(self.points[n]))
        self.assertTrue(wait_until(lambda: gone(pid)))


if __name__ == "__main__":
    main()
