# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: emlfs mounts and their peers, each a tree of the same files under a path.

Every process started here is ended here, by its pid; every directory made here is removed by close().
"""

import os
import shutil
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
BARE = "bare FUSE"


def drop_caches():
    """Write everything back, then drop page, dentry and inode caches. Root only."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


def processor_ticks():
    """(busy, total) clock ticks of the machine since it started."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


class Failure(Exception):
    """Something the bench needs did not work."""


class Target:
    """A tree at self.path. The plain case: files of the file system below."""

    def __init__(self, name, path):
        self.name = name
        self.path = path
        self.pid = 0
        self.start_s = 0.0

    def start(self):
        """Make the tree reachable at self.path."""

    def stop(self):
        """Undo start()."""

    def fresh(self, keep_page_cache=False):
        """Restart with nothing in the process's own caches, nor (by default) in the kernel's."""
        self.stop()
        self.start()
        if not keep_page_cache:
            drop_caches()

    def processor_s(self):
        """Seconds of processor time the server has used; 0 where there is no server."""
        if not self.pid:
            return 0.0
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        """{"VmHWM": bytes, "VmRSS": bytes, "RssAnon": bytes} of the server."""
        if not self.pid:
            return {}
        found = {}
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key in ("VmHWM", "VmRSS", "RssAnon"):
                    found[key] = int(value.split()[0]) * 1024
        return found


class Mount(Target):
    """A FUSE file system whose server runs in the foreground as our child."""

    def __init__(self, name, mountpoint, command, below=""):
        super().__init__(name, os.path.join(mountpoint, below) if below else mountpoint)
        self.mountpoint = mountpoint
        self.command = command
        self.server = None
        self.log = mountpoint + ".log"

    def start(self):
        os.makedirs(self.mountpoint, exist_ok=True)
        with open(self.log, "ab") as log:
            begin = time.monotonic()
            self.server = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=log)
        self.pid = self.server.pid
        while not self._mounted():
            if self.server.poll() is not None or time.monotonic() - begin > 120:
                self.stop()
                raise Failure(f"{self.name}: no mount; see the end of its log:\n{self.log_tail()}")
            time.sleep(0.001)
        os.stat(self.path)
        self.start_s = time.monotonic() - begin

    def _mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            return any(line.split()[4] == self.mountpoint for line in file)

    def stop(self):
        if not self.server:
            return
        for _ in range(100):
            if not self._mounted():
                break
            if subprocess.run(["umount", self.mountpoint], stderr=subprocess.DEVNULL,
                              check=False).returncode != 0:
                time.sleep(0.05)
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
            subprocess.run(["umount", "-l", self.mountpoint], stderr=subprocess.DEVNULL, check=False)
        self.server = None
        self.pid = 0

    def log_tail(self):
        """The last lines the server printed."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-10:])
        except OSError:
            return ""


def emlfs_mount(binary, archive, mountpoint, user, options=""):
    """The user archive of user in a mounted archive."""
    command = [binary, "mount", archive, mountpoint, "-f"]
    if options:
        command += ["-o", options]
    return Mount("emlfs", mountpoint, command, below=user)


def bare_mount(program, tree, mountpoint):
    """The plain tree in the memory of a server that does nothing else: what FUSE itself costs."""
    return Mount(BARE, mountpoint, [program, tree, mountpoint])


def bindfs_mount(tree, mountpoint):
    """bindfs over the plain tree, or None where it is not installed."""
    program = shutil.which("bindfs")
    return program and Mount("bindfs", mountpoint, [program, "-f", "-o", "ro", tree, mountpoint])


def squash_mount(tree, image, mountpoint):
    """squashfuse over an image of the plain tree, or None where it is not installed."""
    program = shutil.which("squashfuse_ll") or shutil.which("squashfuse")
    maker = shutil.which("mksquashfs")
    if not program or not maker:
        return None
    subprocess.run([maker, tree, image, "-comp", "zstd", "-Xcompression-level", "3", "-noappend",
                    "-no-progress", "-quiet"], check=True, stdout=subprocess.DEVNULL)
    return Mount("squashfuse", mountpoint, [program, "-f", image, mountpoint])


def disk_bytes(path):
    """(allocated, apparent) bytes of everything below path; hard links once."""
    seen, allocated, apparent = set(), 0, 0
    for top, _, names in os.walk(path):
        for name in [""] + names:
            info = os.lstat(os.path.join(top, name) if name else top)
            if info.st_ino not in seen:
                seen.add(info.st_ino)
                allocated += info.st_blocks * 512
                apparent += info.st_size
    return allocated, apparent
