# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing mail into the mount with the tools that people use: what is archived, and what is said.

Each tool writes one mail, which must then be there once, to the byte, and one file that is no mail,
which must be refused in its hearing, and leave nothing.
"""
import errno
import hashlib
import json
import mmap
import os
import shutil
import signal
import tarfile
import time
import unittest

from harness import (MountTest, become, command, errno_as, gone, main, message, run_as, sha_of, uid_of,
                     wait_until)

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


def sha(data):
    return hashlib.sha256(data).hexdigest()


def listing(folder):
    return sorted(os.listdir(folder))


def shas_in(folder):
    """All that is archived in folder: name → sha256."""
    return {name: sha_of(os.path.join(folder, name)) for name in os.listdir(folder)
            if os.path.isfile(os.path.join(folder, name))}


def copy_with_python(source, to):
    shutil.copy2(source, to)


def write_at_once(path, data):
    with open(path, "wb") as out:
        out.write(data)


def lines_of(script):
    return ["sh", "-c", script, "sh"]


# name → what runs, with the source for S and the target for T
TOOLS = {
    "cp": ["cp", "S", "T"],
    "cp -p": ["cp", "-p", "S", "T"],
    "cp -a": ["cp", "-a", "S", "T"],
    "mv": ["mv", "S", "T"],
    "rsync -a": ["rsync", "-a", "S", "T"],
    "rsync -aXA": ["rsync", "-aXA", "S", "T"],
    "rsync --inplace": ["rsync", "-a", "--inplace", "S", "T"],
    "install": ["install", "-m", "640", "S", "T"],
    "dd": ["dd", "if=S", "of=T", "status=none"],
    "dd conv=fsync": ["dd", "if=S", "of=T", "bs=100", "conv=fsync", "status=none"],
    "cat >": lines_of('cat "$1" > "$2"') + ["S", "T"],
    "two programs >": lines_of('{ head -c 40 "$1"; tail -c +41 "$1"; } > "$2"') + ["S", "T"],
    "tee": lines_of('tee "$2" < "$1" > /dev/null') + ["S", "T"],
    "gzip -d >": lines_of('gzip -c "$1" | gzip -d > "$2"') + ["S", "T"],
    "gio copy": ["gio", "copy", "S", "T"],
    "gio move": ["gio", "move", "S", "T"],
    "gio save": lines_of('gio save "$2" < "$1"') + ["S", "T"],
    "vim": ["vim", "-u", "NONE", "-b", "-es", "-c", "saveas! T | qa!", "S"],
    "curl": ["curl", "-s", "-o", "T", "file://S"],
}


class Tools(MountTest):
    """One user, every tool."""

    def setUp(self):
        self.folder = self.site.path("alice", "alice", "Inbox")
        self.work = os.path.join(self.site.top, "work")
        shutil.rmtree(self.work, ignore_errors=True)
        os.mkdir(self.work)
        os.chown(self.work, uid_of("alice"), -1)

    def source(self, name, data):
        path = os.path.join(self.work, name)
        with open(path, "wb") as out:
            out.write(data)
        os.chown(path, uid_of("alice"), -1)
        return path

    def archived(self, data):
        """The names under which data is archived, once it is."""
        def names():
            return [name for name, digest in run_as("alice", shas_in, self.folder).items()
                    if digest == sha(data) and "[" in name]
        wait_until(names)
        return names()

    def run_tool(self, argv, source, target):
        argv = [a.replace("S", source) if a in ("S", "file://S", "if=S") else
                a.replace("T", target) if a in ("T", "of=T") or "saveas" in a else a for a in argv]
        return command(*argv, person="alice", env={"PATH": os.environ["PATH"], "HOME": self.work})

    def test_mail(self):
        for number, (tool, argv) in enumerate(TOOLS.items(), 3000):
            with self.subTest(tool=tool):
                self.needs(argv[0])
                data = message(number, 600 if number % 2 else 200000)
                name = f"given {number}.eml"
                source = self.source(f"source{number}", data)
                done = self.run_tool(argv, source, os.path.join(self.folder, name))
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                names = self.archived(data)
                self.assertEqual(len(names), 1)
                self.assertTrue(names[0].startswith(f"given {number} ["), names)
                self.assertEqual(os.path.exists(source), not argv[0] == "mv" and "move" not in argv)

    def test_no_mail(self):
        for number, (tool, argv) in enumerate(TOOLS.items()):
            with self.subTest(tool=tool):
                self.needs(argv[0])
                before = run_as("alice", listing, self.folder)
                source = self.source(f"picture{number}", PICTURE)
                target = os.path.join(self.folder, f"picture {number}.eml")
                done = self.run_tool(argv, source, target)
                self.assertNotEqual(done.returncode, 0, done.stderr)
                self.assertTrue(wait_until(
                    lambda: run_as("alice", listing, self.folder) == before),
                    run_as("alice", listing, self.folder))
                self.assertTrue(os.path.exists(source))  # mv keeps it
                self.assertEqual(errno_as("alice", os.stat, target), errno.ENOENT)

    def test_tar(self):
        data = message(3100)
        archive = os.path.join(self.work, "a.tar")
        self.source("from tar.eml", data)
        with tarfile.open(archive, "w") as tar:
            tar.add(os.path.join(self.work, "from tar.eml"), "from tar.eml")
        os.chmod(archive, 0o644)
        done = command("tar", "xf", archive, "-C", self.folder, person="alice")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(self.archived(data)), 1)

    def test_python(self):
        data = message(3101)
        run_as("alice", copy_with_python, self.source("p.eml", data),
               os.path.join(self.folder, "p.eml"))
        self.assertEqual(len(self.archived(data)), 1)
        self.assertEqual(errno_as("alice", copy_with_python, self.source("q.eml", PICTURE),
                                  os.path.join(self.folder, "q.eml")), errno.EOPNOTSUPP)

    def test_sort_and_sed(self):
        data = b"From: s@example.org\nSubject: sorted\nTo: t@example.org\n"
        done = command("sort", "-o", os.path.join(self.folder, "sorted"),
                       self.source("unsorted", data), person="alice")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(self.archived(data)), 1)

    def test_names_do_not_decide(self):
        for number, name in enumerate(("letter", "mail.txt", "picture.png"), 3110):
            data = message(number)
            run_as("alice", write_at_once, os.path.join(self.folder, name), data)
            self.assertEqual(len(self.archived(data)), 1)

    def test_mbox(self):
        mails = [message(n).replace(b"\r\n", b"\n") for n in (3120, 3121, 3122)]
        text = b"".join(b"From s@example.org Sun Mar  1 09:13:07 2026\n" + mail + b"\n"
                        for mail in mails)
        path = os.path.join(self.folder, "inbox.mbox")
        run_as("alice", write_at_once, path, text)
        for mail in mails:
            self.assertEqual(len(self.archived(mail)), 1)
        self.assertEqual(run_as("alice", sha_of, path), sha(text))
        self.assertEqual(errno_as("alice", os.unlink, path), errno.EPERM)

    def test_grace(self):
        data = message(3130)
        path = os.path.join(self.folder, "grace.eml")
        run_as("alice", write_at_once, path, data)
        self.assertEqual(len(self.archived(data)), 1)
        self.assertNotIn("grace.eml", run_as("alice", listing, self.folder))
        self.assertEqual(run_as("alice", sha_of, path), sha(data))
        run_as("alice", os.chmod, path, 0o600)
        run_as("alice", os.utime, path, (1, 1))
        run_as("alice", os.setxattr, path, "user.x", b"y")
        run_as("alice", os.chown, path, uid_of("alice"), -1)
        run_as("alice", os.rename, path, path + ".new")
        self.assertEqual(run_as("alice", sha_of, path + ".new"), sha(data))
        self.assertEqual(errno_as("alice", write_at_once, path + ".new", data), errno.EPERM)
        self.assertEqual(errno_as("alice", os.truncate, path + ".new", 0), errno.EPERM)
        # The same as for the message: its owner has no right to delete.
        self.assertEqual(errno_as("alice", os.unlink, path + ".new"), errno.EACCES)
        self.assertEqual(len(self.archived(data)), 1)

    def test_again_is_no_second_copy(self):
        data = message(3131)
        for name in ("one.eml", "two.eml"):
            run_as("alice", write_at_once, os.path.join(self.folder, name), data)
            self.assertEqual(len(self.archived(data)), 1)

    def test_empty_and_litter(self):
        path = os.path.join(self.folder, "empty.eml")
        run_as("alice", write_at_once, path, b"")
        self.assertIn("empty.eml", run_as("alice", listing, self.folder))
        run_as("alice", os.unlink, path)
        self.assertNotIn("empty.eml", run_as("alice", listing, self.folder))
        for name in (".DS_Store", "._mail.eml"):
            run_as("alice", write_at_once, os.path.join(self.folder, name), PICTURE)
            self.assertNotIn(name, run_as("alice", listing, self.folder))
        self.assertEqual(errno_as("alice", write_at_once,
                                  os.path.join(self.folder, "Thumbs.db"), b"x"), errno.EACCES)

    def test_rename_into_place(self):
        data, other = message(3140), message(3141)
        temp = os.path.join(self.folder, "x.part")
        run_as("alice", write_at_once, temp, data)
        time.sleep(0.3)
        self.assertIn("x.part", run_as("alice", listing, self.folder))
        archived = os.path.join(self.folder, run_as("alice", listing, self.folder)[0])
        self.assertEqual(errno_as("alice", os.rename, temp, archived), errno.EEXIST)
        run_as("alice", os.rename, temp, os.path.join(self.folder, "x.eml"))
        self.assertEqual(len(self.archived(data)), 1)
        self.assertEqual(errno_as("alice", write_at_once, archived, other),
                         errno.EACCES)

    def test_between_folders(self):
        data = message(3142)
        temp = os.path.join(self.folder, "y.part")
        there = os.path.join(self.site.path("alice", "alice", "Projects"), "y.eml")
        run_as("alice", write_at_once, temp, data)
        run_as("alice", os.rename, temp, there)
        self.folder = os.path.dirname(there)
        self.assertEqual(len(self.archived(data)), 1)
        # In grace, the message moves.
        data = message(3143)
        run_as("alice", write_at_once, os.path.join(self.folder, "z.eml"), data)
        self.assertEqual(len(self.archived(data)), 1)
        run_as("alice", os.rename, os.path.join(self.folder, "z.eml"),
               self.site.path("alice", "alice", "Inbox", "z.eml"))
        self.assertEqual(self.archived_now(data), 0)
        self.folder = self.site.path("alice", "alice", "Inbox")
        self.assertEqual(len(self.archived(data)), 1)

    def archived_now(self, data):
        return list(run_as("alice", shas_in, self.folder).values()).count(sha(data))

    def test_open_modes(self):
        data = message(3150, 5000)

        def piecewise(path):
            write_at_once(path + ".tmp", data[:100])
            with open(path + ".tmp", "wb") as out:  # truncates
                out.write(data[:1000])
            with open(path + ".tmp", "ab") as out:
                out.write(data[1000:2000])
            with open(path + ".tmp", "r+b") as out:
                assert out.read(1000) == data[:1000]
                out.seek(2000)
                out.write(data[2000:])
                out.flush()
                assert os.fstat(out.fileno()).st_size == len(data)
            os.rename(path + ".tmp", path)
        run_as("alice", piecewise, os.path.join(self.folder, "pieces.eml"))
        self.assertEqual(len(self.archived(data)), 1)

    def test_mapped(self):
        data = message(3151, 9000)

        def mapped(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, data[:10])
            os.ftruncate(fd, len(data))
            with mmap.mmap(fd, len(data)) as view:
                view[:] = data
                view.flush()
            os.pwrite(fd, data[-1:], len(data) - 1)
            os.close(fd)
        run_as("alice", mapped, os.path.join(self.folder, "mapped.eml"))
        self.assertEqual(len(self.archived(data)), 1)

    def test_what_is_not_there(self):
        """Programs that try these go on without."""
        path = os.path.join(self.folder, "f.eml")

        def tries(target):
            fd = os.open(target, os.O_RDWR | os.O_CREAT, 0o600)
            to = os.open(target + ".copy", os.O_RDWR | os.O_CREAT, 0o600)
            os.write(fd, message(3152))
            try:
                os.posix_fallocate(fd, 0, 10)
                assert os.copy_file_range(fd, to, 1 << 20, 0, 0) == len(message(3152))
            except OSError as error:
                assert error.errno == errno.EOPNOTSUPP, error
            os.lseek(fd, 0, os.SEEK_HOLE)
            os.close(fd)
            os.close(to)
        run_as("alice", tries, path)
        self.assertEqual(len(self.archived(message(3152))), 1)


class Users(MountTest):
    """Others, quotas, and the death of the mount process."""

    OPTIONS = None

    def setUp(self):
        self.site.mount()
        self.folder = self.site.path("alice", "alice", "Inbox")

    def tearDown(self):
        self.site.umount()

    def archived(self, data):
        def count():
            return list(run_as("alice", shas_in, self.folder).values()).count(sha(data))
        wait_until(count)
        return count()

    def test_others_see_nothing(self):
        path = os.path.join(self.folder, "mine.part")
        self.site.emlfs("privilege", "grant", "-a", self.site.archive, "alice", "--user", "bob",
                        "--grants", "read,write")
        run_as("alice", write_at_once, path, message(3200))
        self.assertIn("mine.part", run_as("alice", listing, self.folder))
        for person in ("bob", "stranger"):
            self.assertIn(errno_as(person, os.stat, path), (errno.ENOENT, errno.EACCES))
            self.assertIn(errno_as(person, sha_of, path), (errno.ENOENT, errno.EACCES))
        self.assertNotIn("mine.part", run_as("bob", listing, self.folder))
        self.assertIn("mine.part", run_as("alice", listing, self.folder))
        # One who may write has a file of this name, too.
        run_as("bob", write_at_once, path, message(3201))
        self.assertEqual(run_as("alice", sha_of, path), sha(message(3200)))
        self.assertEqual(run_as("bob", sha_of, path), sha(message(3201)))
        for person in ("alice", "bob"):
            run_as(person, os.rename, path, os.path.join(self.folder, "mail.eml"))
        for number in (3200, 3201):
            self.assertEqual(self.archived(message(number)), 1)
        self.site.emlfs("privilege", "revoke", "-a", self.site.archive, "alice",
                        "--user", "bob")

    def test_folder_that_is_written_into_stays(self):
        """Whoever removes a folder does not remove what another was told is safe."""
        folder = os.path.join(self.folder, "Emptied")
        run_as("alice", os.mkdir, folder)
        self.site.emlfs("privilege", "grant", "-a", self.site.archive, "alice", "--user", "bob",
                        "--grants", "read,write,delete")
        run_as("bob", write_at_once, os.path.join(folder, "mail.part"), message(3202))
        self.assertEqual(run_as("alice", listing, folder), [])
        self.assertEqual(errno_as("alice", os.rmdir, folder), errno.ENOTEMPTY)
        run_as("bob", os.unlink, os.path.join(folder, "mail.part"))
        run_as("alice", os.rmdir, folder)
        self.site.emlfs("privilege", "revoke", "-a", self.site.archive, "alice",
                        "--user", "bob")

    def test_strangers_write_nothing(self):
        for person in ("bob", "stranger", "root"):
            got = errno_as(person, write_at_once, os.path.join(self.folder, "x.eml"), message(1))
            self.assertIn(got, (errno.ENOENT, errno.EACCES))

    def test_killed(self):
        """What a program was told is durable is archived by the next mount, for who wrote it."""
        def write_and_wait(path, data, more):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(fd, data)
            os.fsync(fd)
            os.write(fd, more)
        numbers = range(3210, 3216)
        synced = message(3220)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            become("alice")
            for number in numbers:
                write_at_once(os.path.join(self.folder, f"k{number}.eml"), message(number))
            write_and_wait(os.path.join(self.folder, "synced.eml"), synced, b"half of a line")
            fd = os.open(os.path.join(self.folder, "never.eml"), os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(fd, message(3221))
            os.write(writer, b"x")
            signal.pause()
        os.close(writer)
        mount_pid = self.site.pid()
        os.read(reader, 1)
        os.kill(mount_pid, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: gone(mount_pid)))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        self.site.mount()
        for number in numbers:
            self.assertEqual(self.archived(message(number)), 1)
        self.assertEqual(self.archived(synced), 1)
        never = [sha(message(3221)), sha(synced + b"half of a line")]
        found = run_as("alice", shas_in, self.folder)
        self.assertFalse(set(never) & set(found.values()))
        # Archived it is before the name that was given stops standing for it.
        self.assertTrue(wait_until(
            lambda: all("[" in name for name in run_as("alice", shas_in, self.folder)), 90))
        spool = os.path.join(self.site.archive, "spool")
        self.assertTrue(wait_until(lambda: not os.listdir(spool)), os.listdir(spool))

    def test_quota(self):
        data = message(3240)
        self.site.emlfs("user", "set", "-a", self.site.archive, "--quota", "1K", "alice")
        before = run_as("alice", listing, self.folder)
        source = os.path.join(self.site.top, "over.eml")
        write_at_once(source, data)
        for argv in (["cp"], ["rsync", "-a"]):
            done = command(*argv, source, os.path.join(self.folder, "over.eml"), person="alice")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("quota", done.stderr)
        self.assertTrue(wait_until(lambda: run_as("alice", listing, self.folder) == before))
        self.site.emlfs("user", "set", "-a", self.site.archive, "--quota", "none", "alice")
        run_as("alice", write_at_once, os.path.join(self.folder, "over.eml"), data)
        self.assertEqual(self.archived(data), 1)

    def test_quota_of_several(self):
        """Each would fit alone: who closes second hears it, and what was taken is archived."""
        texts = [message(3241), message(3242)]
        shown = self.site.emlfs("user", "show", "-a", self.site.archive, "alice", "--json")
        used = json.loads(shown.stdout.splitlines()[0])["used"]
        self.site.emlfs("user", "set", "-a", self.site.archive, "--quota",
                        str(used + len(texts[0]) + len(texts[1]) // 2), "alice")

        def write_both(folder):
            files = [os.open(os.path.join(folder, f"several {n}.eml"),
                             os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600) for n in range(2)]
            for file, text in zip(files, texts):
                os.write(file, text)
            codes = []
            for file in files:
                try:
                    os.close(file)
                    codes.append(0)
                except OSError as error:
                    codes.append(error.errno)
            return codes

        try:
            self.assertEqual(run_as("alice", write_both, self.folder), [0, errno.EDQUOT])
            self.assertTrue(wait_until(lambda: self.archived(texts[0]) == 1))
            self.assertEqual(self.archived(texts[1]), 0)
        finally:
            self.site.emlfs("user", "set", "-a", self.site.archive, "--quota", "none", "alice")

    def test_unmounted_at_once(self):
        data = message(3230)
        run_as("alice", write_at_once, os.path.join(self.folder, "last.eml"), data)
        self.site.umount()
        self.site.mount()
        self.assertEqual(self.archived(data), 1)


if __name__ == "__main__":
    main()
