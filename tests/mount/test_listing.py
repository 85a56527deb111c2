# SPDX-License-Identifier: GPL-3.0-or-later
"""Listings that are read in small steps while mail comes and moves: nothing twice, lost, or made
up; and who may begin one."""
import ctypes
import errno
import os
import random
import re
import struct
import threading

from harness import MountTest, main, run_as, wait_until, write_mail

LIBC = ctypes.CDLL(None, use_errno=True)
FIRST = 1500
MOVED = 200
ADDED = 300


class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("len", ctypes.c_ushort),
                ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]


LIBC.opendir.restype = ctypes.c_void_p
LIBC.readdir.restype = ctypes.POINTER(Dirent)
LIBC.telldir.restype = ctypes.c_long
for call in (LIBC.readdir, LIBC.closedir, LIBC.rewinddir, LIBC.telldir):
    call.argtypes = [ctypes.c_void_p]
LIBC.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


def getdents(fd, size):
    """Names of one call; empty at the end."""
    buffer = ctypes.create_string_buffer(size)
    done = LIBC.getdents64(fd, buffer, ctypes.c_size_t(size))
    if done < 0:
        raise OSError(ctypes.get_errno(), "getdents64")
    names, at = [], 0
    while at < done:
        length = struct.unpack_from("=H", buffer.raw, at + 16)[0]
        names.append(buffer.raw[at + 19:at + length].split(b"\0")[0].decode())
        at += length
    return names


def rest_of(fd, size):
    names = []
    while True:
        more = getdents(fd, size)
        if not more:
            return names
        names += more


def read_names(handle, most=None):
    names = []
    while most is None or len(names) < most:
        entry = LIBC.readdir(handle)
        if not entry:
            break
        names.append(entry.contents.name.decode())
    return names


class Pause:
    """A place in a child's work where the parent does something."""

    def __init__(self, work):
        self.reached, self.done = os.pipe(), os.pipe()
        self.errors = []
        self.thread = threading.Thread(target=self.run, args=(work,))
        self.thread.start()

    def run(self, work):
        if os.read(self.reached[0], 1):
            try:
                work()
            except BaseException as error:
                self.errors.append(error)
        os.write(self.done[1], b"x")

    def here(self):
        os.write(self.reached[1], b"x")
        os.read(self.done[0], 1)

    def end(self):
        os.write(self.reached[1], b"x")  # a child that failed before it came here
        self.thread.join()
        for fd in self.reached + self.done:
            os.close(fd)
        if self.errors:
            raise self.errors[0]


def id_of(name):
    return re.search(r"\[([0-9a-v-]+)\]\.eml$", name).group(1)


class Listing(MountTest):
    """A folder "Big" of alice's; each test changes it by an import of the same source."""

    def setUp(self):
        self.source = os.path.join(self.site.top, "changing")
        if not os.path.exists(self.source):
            write_mail(os.path.join(self.source, "Big"), range(10000, 10000 + FIRST))
            write_mail(os.path.join(self.source, "Other"), [9999])
            self.site.load("alice", self.source)
        self.big = next(folder for folder, _, _ in run_as(
            "alice", lambda: list(os.walk(self.site.path("alice"))))
            if os.path.basename(folder) == "Big")
        self.other = os.path.join(os.path.dirname(self.big), "Other")
        self.before = self.listed(self.big)
        self.other_before = self.listed(self.other)

    def listed(self, folder):
        return set(run_as("alice", os.listdir, folder))

    def change(self):
        """New mail into Big, and some of its messages, near and far, moved to Other."""
        folder = os.path.join(self.source, "Big")
        names = sorted(os.listdir(folder))
        for name in random.Random(5).sample(names, MOVED):
            os.rename(os.path.join(folder, name), os.path.join(self.source, "Other", name))
        first = 20000 + 1000 * len(names)
        write_mail(folder, range(first, first + ADDED))
        self.site.load("alice", self.source)

    def changed(self):
        """(stayed, all that were ever there), once the listing of today shows the change."""
        size = len(self.before) - MOVED + ADDED
        self.assertTrue(wait_until(lambda: len(self.listed(self.big)) == size))
        after = self.listed(self.big)
        self.assertEqual(len(self.before - after), MOVED)
        gone_to = {id_of(name) for name in self.listed(self.other) - self.other_before}
        self.assertEqual({id_of(name) for name in self.before - after}, gone_to)
        return self.before & after, self.before | after

    def check(self, names, stayed, ever):
        names = [name for name in names if name not in (".", "..")]
        self.assertEqual(len(names), len(set(names)))
        self.assertLessEqual(stayed, set(names))
        self.assertLessEqual(set(names), ever)

    def with_change(self, function, *args):
        pause = Pause(self.change)
        try:
            return run_as("alice", function, pause, self.big, *args)
        finally:
            pause.end()

    def test_change_in_the_middle(self):
        """Read a part, let everything change, read the rest; buffers of one entry and of many."""
        def listing(pause, folder, size, calls):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            names = [name for _ in range(calls) for name in getdents(fd, size)]
            pause.here()
            names += rest_of(fd, size)
            os.lseek(fd, 0, os.SEEK_SET)
            again = rest_of(fd, size)
            os.close(fd)
            return names, again
        for size, calls in ((400, 1), (400, 60), (1000, 40), (4096, 7), (32768, 1), (65536, 2)):
            with self.subTest(size=size, calls=calls):
                names, again = self.with_change(listing, size, calls)
                stayed, ever = self.changed()
                self.assertTrue(self.before - stayed and ever - self.before)
                self.check(names, stayed, ever)
                self.check(again, stayed, ever)
            self.before, self.other_before = self.listed(self.big), self.listed(self.other)

    def test_many_slow_listings(self):
        """Listing after listing, from before the import until after it."""
        done = os.path.join(self.site.top, "done")
        if os.path.exists(done):
            os.unlink(done)
        changing = threading.Thread(target=lambda: (self.change(), open(done, "w").close()))

        def listings(folder):
            found = []
            while True:
                last = os.path.exists(done)
                for size in (500, 2000, 9000):
                    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                    found.append(rest_of(fd, size))
                    os.close(fd)
                if last or len(found) > 3000:
                    return found
        changing.start()
        found = run_as("alice", listings, self.big)
        changing.join()
        self.assertTrue(os.path.exists(done))
        stayed, ever = self.changed()
        self.assertEqual(set(found[0]) - {".", ".."}, self.before)
        for names in found:
            self.check(names, stayed, ever)

    def test_positions(self):
        """telldir's positions lead back to the same names after everything changed; rewinddir
        shows what there is."""
        def listing(pause, folder):
            handle = LIBC.opendir(folder.encode())
            places, sought = [], []
            while True:
                place, names = LIBC.telldir(handle), read_names(handle, 1)
                if not names:
                    break
                places.append((place, names[0]))
            pause.here()
            for place, name in random.Random(1).sample(places, 40) + [places[0], places[-1]]:
                LIBC.seekdir(handle, place)
                sought.append((name, read_names(handle)))
            LIBC.rewinddir(handle)
            again = read_names(handle)
            LIBC.closedir(handle)
            return [name for _, name in places], sought, again
        order, sought, again = self.with_change(listing)
        stayed, ever = self.changed()
        self.check(order, self.before, self.before)
        self.check(again, stayed, ever)
        for name, following in sought:
            if name in stayed:
                self.assertEqual(following[0], name)
            behind = set(order[order.index(name):])
            self.check(following, stayed & behind, ever)
            self.assertFalse(set(following) & (set(order) - behind))

    def test_new_listing_on_an_old_handle(self):
        """A handle that was read before the change: from its beginning it shows all of it."""
        def listing(pause, folder, wanted):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            rest_of(fd, 4096)
            pause.here()

            def complete():
                os.lseek(fd, 0, os.SEEK_SET)
                return len(rest_of(fd, 4096)) == wanted
            return wait_until(complete)
        wanted = len(self.before) - MOVED + ADDED + 2
        self.assertTrue(self.with_change(listing, wanted))
        self.changed()

    def test_released_while_read(self):
        """Handles closed after one call, when the next answer is still being built."""
        def open_and_close(folder):
            for step in range(600):
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                os.lseek(fd, 0, os.SEEK_SET)
                getdents(fd, 400 + step * 50)
                os.close(fd)
        run_as("alice", open_and_close, self.big)
        self.assertEqual(self.listed(self.big), self.before)


class Permission(MountTest):
    """Whoever listed before, each opendir is decided for its caller, now."""

    OPTIONS = None
    ACCOUNT = "games"

    def test_each_opendir(self):
        site, refused = self.site, (errno.ENOENT, errno.EACCES)
        site.emlfs("user", "add", "-a", site.archive, "--unix-account", self.ACCOUNT, "dave")
        top = os.path.join(site.top, "dave")
        write_mail(os.path.join(top, "Inbox"), range(300, 700))
        site.load("dave", top)
        site.mount()
        pause = Pause(lambda: site.emlfs("user", "remove", "-a", site.archive, "dave"))
        folder = next(folder for folder, _, names in run_as(
            self.ACCOUNT, lambda: list(os.walk(site.path("dave")))) if names)

        def listing():
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            names = getdents(fd, 600)
            others = [errno_as_fd(fd)]
            pause.here()
            for _ in range(3):
                others.append(errno_as_fd(fd))
            names += rest_of(fd, 600)
            return names, others

        def errno_as_fd(fd):
            """Of a new opendir of the same directory, as the same account."""
            try:
                os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY))
                return 0
            except OSError as error:
                return error.errno
        for person in ("alice", "stranger", "root"):
            self.assert_errno(person, refused, os.listdir, folder)
        try:
            names, others = run_as(self.ACCOUNT, listing)
        finally:
            pause.end()
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(others[0], 0)
        for got in others[1:]:
            self.assertIn(got, refused)
        for person in (self.ACCOUNT, "alice", "root"):
            self.assert_errno(person, refused, os.listdir, folder)


if __name__ == "__main__":
    main()
