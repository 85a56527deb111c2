# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sees what, before and after somebody else warmed the kernel's caches."""
import ctypes
import errno
import json
import mmap
import os
import re
import stat

from harness import MountTest, errno_as, main, run_as, sha_of, uid_of

REFUSED = (errno.ENOENT, errno.EACCES)
BELOW = (errno.EACCES, errno.ENOENT)


def read_some(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def map_some(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as view:
            return view[:100]
    finally:
        os.close(fd)


def path_open(path):
    os.close(os.open(path, os.O_PATH))


def may_access(path):
    if not os.access(path, os.F_OK):
        raise OSError(errno.EACCES, "access")


def getxattr(path):
    os.getxattr(path, "user.emlfs.id")


METADATA = (os.stat, os.lstat, path_open, may_access, os.statvfs)
CONTENT = (read_some, map_some, os.listdir, os.readlink, getxattr, os.chdir)


def warm(top):
    """Everything the owner can do, so that every cache is filled."""
    for folder, names, files in os.walk(top):
        for name in names + files:
            os.stat(os.path.join(folder, name))
        for name in files:
            sha_of(os.path.join(folder, name))


class Access(MountTest):
    OPTIONS = None

    def tearDown(self):
        self.site.umount()

    def targets(self):
        files = self.owner_files()
        folders = sorted({os.path.dirname(path) for path in files})
        return folders, [files[0], files[-1]]

    def names_without_mounting(self):
        """Paths are learned in one mount and tried in the next, where nothing is cached."""
        self.site.mount()
        targets = self.targets()
        self.site.umount()
        return targets

    def check_strangers(self, folders, files):
        top = self.site.path("alice")
        for person in ("bob", "stranger"):
            self.assertNotIn("alice", run_as(person, os.listdir, self.site.mnt))
            for path in [top] + folders + files:
                for function in METADATA + CONTENT:
                    self.assert_errno(person, REFUSED, function, path)
            self.assert_errno(person, errno.ENOENT, os.stat, top)

    def check_root(self, folders, files, metadata_too):
        top = self.site.path("alice")
        self.assertEqual(errno_as("root", os.stat, top), 0)
        self.assertEqual(errno_as("root", os.statvfs, top), 0)
        self.assert_errno("root", errno.EACCES, os.listdir, top)
        for path in folders + files:
            if path == top:
                continue
            for function in (METADATA if metadata_too else ()) + (read_some, map_some):
                self.assert_errno("root", BELOW + (errno.EISDIR,), function, path)
        for path in folders:
            self.assert_errno("root", BELOW, os.listdir, path)

    def test_cold(self):
        folders, files = self.names_without_mounting()
        self.site.mount("ro,private_names")
        self.check_strangers(folders, files)
        self.check_root(folders, files, metadata_too=True)

    def test_warm(self):
        self.site.mount("ro,private_names")
        folders, files = self.targets()
        for _ in range(2):
            run_as("alice", warm, self.site.path("alice"))
            self.check_strangers(folders, files)
            run_as("alice", warm, self.site.path("alice"))
            self.check_root(folders, files, metadata_too=False)

    def test_warm_strict_root(self):
        self.site.mount("ro,private_names,strict_root")
        folders, files = self.targets()
        run_as("alice", warm, self.site.path("alice"))
        self.check_root(folders, files, metadata_too=True)
        run_as("alice", warm, self.site.path("alice"))
        self.check_strangers(folders, files)

    def test_public_names(self):
        """The name and attributes of a user archive may be seen; nothing else is."""
        self.site.mount()
        folders, files = self.targets()
        run_as("alice", warm, self.site.path("alice"))
        for person in ("bob", "stranger"):
            self.assertNotIn("alice", run_as(person, os.listdir, self.site.mnt))
            self.assertEqual(errno_as(person, os.stat, self.site.path("alice")), 0)
            self.assert_errno(person, errno.EACCES, os.listdir, self.site.path("alice"))
            for path in set(folders) - {self.site.path("alice")} | set(files):
                for function in METADATA + CONTENT:
                    self.assert_errno(person, REFUSED, function, path)
        self.check_root(folders, files, metadata_too=False)

    def test_owner_reads_every_byte(self):
        self.site.mount()
        for user in ("alice", "bob"):
            files = self.owner_files(user)
            digests = run_as(user, lambda paths: sorted(map(sha_of, paths)), files)
            self.assertEqual(digests, self.site.expected(user))
            listed = run_as(user, os.listdir, self.site.mnt)
            self.assertEqual(sorted(listed), ["Holds", user] if user == "alice" else [user])

    def test_owner_after_refusals(self):
        self.site.mount()
        before = self.owner_files()
        for _ in range(20):
            errno_as("bob", os.stat, self.site.path("alice"))
            errno_as("root", os.listdir, self.site.path("alice"))
            self.assertEqual(self.owner_files(), before)


class Attributes(MountTest):
    def test_root_directory(self):
        st = os.stat(self.site.mnt)
        self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (0, 0, 0o555))
        self.assertEqual(os.listdir(self.site.mnt), ["Holds"])

    def test_modes_and_owner(self):
        for path in self.owner_files():
            st = run_as("alice", os.lstat, path)
            self.assertTrue(stat.S_ISREG(st.st_mode))
            self.assertEqual(stat.S_IMODE(st.st_mode), 0o400)
            self.assertEqual(st.st_uid, uid_of("alice"))
            self.assertEqual(st.st_gid, 0)
            self.assertEqual(st.st_blocks, (st.st_size + 511) // 512)
            self.assertGreaterEqual(st.st_nlink, 1)
            self.assertEqual(st.st_atime_ns, st.st_mtime_ns)
            folder = run_as("alice", os.lstat, os.path.dirname(path))
            self.assertEqual(stat.S_IMODE(folder.st_mode), 0o700)
            self.assertEqual(folder.st_uid, uid_of("alice"))

    def test_readdir_inode_is_stat_inode(self):
        def compare(folder):
            with os.scandir(folder) as entries:
                return [(e.inode(), os.lstat(e.path).st_ino) for e in entries]
        for folder in {os.path.dirname(path) for path in self.owner_files()}:
            for left, right in run_as("alice", compare, folder):
                self.assertEqual(left, right)

    def test_same_message_same_inode_in_both_archives(self):
        def inodes(paths):
            return {sha_of(path): os.stat(path).st_ino for path in paths}
        mine = run_as("alice", inodes, self.owner_files("alice"))
        theirs = run_as("bob", inodes, self.owner_files("bob"))
        shared = set(mine) & set(theirs)
        self.assertEqual(len(shared), 3)
        self.assertTrue(all(mine[digest] == theirs[digest] for digest in shared))

    def test_statfs(self):
        st = os.statvfs(self.site.mnt)
        self.assertGreater(st.f_files, 0)
        self.assertGreater(st.f_blocks, 0)
        self.assertEqual(st.f_namemax, 255)
        self.assertFalse(st.f_flag & os.ST_RDONLY)
        for flag in (os.ST_NOSUID, os.ST_NODEV, os.ST_NOEXEC):
            self.assertTrue(st.f_flag & flag)

    def test_seek_and_partial_listing(self):
        """A directory read by hand in small steps, with positions taken back, shows each once."""
        folder = os.path.dirname(self.owner_files()[0])

        def telldir_all(path):
            libc = ctypes.CDLL(None, use_errno=True)

            class Dirent(ctypes.Structure):
                _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64),
                            ("len", ctypes.c_ushort), ("type", ctypes.c_ubyte),
                            ("name", ctypes.c_char * 256)]
            libc.opendir.restype = ctypes.c_void_p
            libc.readdir.restype = ctypes.POINTER(Dirent)
            libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
            libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
            handle = libc.opendir(path.encode())
            names, step = [], 0
            while True:
                entry = libc.readdir(handle)
                if not entry:
                    break
                names.append(entry.contents.name)
                step += 1
                if step % 3 == 0:
                    libc.seekdir(handle, entry.contents.off)
            libc.closedir(handle)
            return names
        names = run_as("alice", telldir_all, folder)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual({n.decode() for n in names} - {".", ".."},
                         set(run_as("alice", os.listdir, folder)))

    def test_access_call(self):
        path = self.owner_files()[0]

        def modes():
            return [os.access(path, mode) for mode in (os.F_OK, os.R_OK, os.W_OK, os.X_OK)]
        self.assertEqual(run_as("alice", modes), [True, True, False, False])

    def test_xattr_is_not_supported(self):
        path = self.owner_files()[0]
        self.assert_errno("alice", errno.EOPNOTSUPP, os.getxattr, path, "user.emlfs.id")
        self.assert_errno("alice", errno.EOPNOTSUPP, os.listxattr, path)


class Control(MountTest):
    def test_hidden_and_there(self):
        for person in ("root", "alice", "stranger"):
            self.assertNotIn(".emlfs", run_as(person, os.listdir, self.site.mnt))
            self.assertEqual(sorted(run_as(person, os.listdir, self.site.path(".emlfs"))),
                             ["audit", "by-id", "checkpoint", "due", "explain", "status.json"])
            self.assertEqual(run_as(person, os.listdir, self.site.path(".emlfs", "by-id")), [])

    def test_status(self):
        def status():
            with open(self.site.path(".emlfs", "status.json")) as stream:
                return json.load(stream)
        for person in ("root", "alice", "stranger"):
            found = run_as(person, status)
            self.assertEqual(found["mountpoint"], self.site.mnt)
            self.assertIs(found["read_only"], False)

    def test_by_id(self):
        path = self.owner_files()[5]
        short = re.search(r"\[([0-9a-v-]+)\]\.eml$", path).group(1)
        other = self.site.path(".emlfs", "by-id", short + ".eml")
        run_as("alice", os.listdir, os.path.dirname(path))
        self.assertEqual(run_as("alice", sha_of, other), run_as("alice", sha_of, path))
        self.assertEqual(run_as("alice", os.stat, other).st_ino,
                         run_as("alice", os.stat, path).st_ino)
        for person in ("bob", "stranger", "root"):
            self.assert_errno(person, errno.ENOENT, os.stat, other)
            self.assert_errno(person, errno.ENOENT, read_some, other)
        for name in ("zzzzzz.eml", short, short + ".EML", "0" + short + ".eml", ".eml", "x.eml"):
            self.assert_errno("alice", errno.ENOENT, os.stat,
                              self.site.path(".emlfs", "by-id", name))

    def test_shared_message_by_id(self):
        """bob has three of alice's messages: by-id shows each of them the entry of their own."""
        def ids(paths):
            return {sha_of(p): re.search(r"\[([0-9a-v-]+)\]\.eml$", p).group(1) for p in paths}
        mine = run_as("alice", ids, self.owner_files("alice"))
        theirs = run_as("bob", ids, self.owner_files("bob"))
        short = next(theirs[d] for d in theirs if d in mine)
        path = self.site.path(".emlfs", "by-id", short + ".eml")
        for person in ("alice", "bob", "alice"):
            self.assertEqual(run_as(person, os.stat, path).st_uid, uid_of(person))
            run_as(person, read_some, path)

    def test_litter(self):
        names = ["Thumbs.db", "desktop.ini", ".Trash", ".Trash-1000", ".hidden", "autorun.inf",
                 ".directory", "$RECYCLE.BIN", "lost+found", ".~lock.x#", "~$x"]
        for folder in (self.site.path("alice"), os.path.dirname(self.owner_files()[0])):
            for name in names:
                for _ in range(2):
                    self.assert_errno("alice", errno.ENOENT, os.stat, os.path.join(folder, name))
        for name in names:
            self.assert_errno("stranger", errno.ENOENT, os.stat, self.site.path(name))

    def test_absent_and_long_names(self):
        folder = os.path.dirname(self.owner_files()[0])
        for name in ("nothing", "nothing.eml", "x [000001].eml", "y" * 255):
            self.assert_errno("alice", errno.ENOENT, os.stat, os.path.join(folder, name))
        self.assert_errno("alice", errno.ENAMETOOLONG, os.stat, os.path.join(folder, "y" * 256))


if __name__ == "__main__":
    main()
