# SPDX-License-Identifier: GPL-3.0-or-later
"""What installing writes into updatedb's configuration, on copies in the forms it is found in."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ.get("EMLFS_SOURCE") or os.path.join(os.path.dirname(__file__), "..", "..")
SCRIPT = os.path.join(SOURCE, "tools", "prunefs.cmake")
REST = """PRUNE_BIND_MOUNTS="yes"
# PRUNEFS="commented out"
# PRUNENAMES=".git .bzr .hg .svn"
PRUNEPATHS="/tmp /var/spool /media"
"""
# (name, before, after adding)
CASES = [
    ("plocate", REST + 'PRUNEFS="NFS afs autofs fuse.sshfs"\n',
     REST + 'PRUNEFS="NFS afs autofs fuse.sshfs fuse.emlfs"\n'),
    ("mlocate", 'PRUNEFS = "9p afs" # network\n' + REST,
     'PRUNEFS = "9p afs fuse.emlfs" # network\n' + REST),
    ("between", REST + '\tPRUNEFS="a b"\n' + REST, REST + '\tPRUNEFS="a b fuse.emlfs"\n' + REST),
    ("several lines", 'PRUNEFS="a b\n    c d\n"\n' + REST,
     'PRUNEFS="a b\n    c d fuse.emlfs\n"\n' + REST),
    ("continued lines", 'export PRUNEFS="a b \\\n  c d"\n' + REST,
     'export PRUNEFS="a b \\\n  c d fuse.emlfs"\n' + REST),
    ("empty value", 'PRUNEFS=""\n', 'PRUNEFS="fuse.emlfs"\n'),
    ("names that look like it", 'PRUNEFS="fuse.emlfs2 xfuse.emlfs fuse-emlfs"\n',
     'PRUNEFS="fuse.emlfs2 xfuse.emlfs fuse-emlfs fuse.emlfs"\n'),
    ("odd characters", 'PRUNENAMES=".a;b [c] ${d} \\e @f@"\nPRUNEFS="a;b [c] \\d"\n',
     'PRUNENAMES=".a;b [c] ${d} \\e @f@"\nPRUNEFS="a;b [c] \\d fuse.emlfs"\n'),
    ("no value", REST, REST + 'PRUNEFS="fuse.emlfs"\n'),
    ("no line end", 'PRUNEPATHS="/tmp"', 'PRUNEPATHS="/tmp"\nPRUNEFS="fuse.emlfs"\n'),
    ("empty file", "", 'PRUNEFS="fuse.emlfs"\n'),
    ("there already", 'PRUNEFS="fuse.emlfs a"\n', 'PRUNEFS="fuse.emlfs a"\n'),
    ("there on a line of its own", 'PRUNEFS="a\nfuse.emlfs\nb"\n', 'PRUNEFS="a\nfuse.emlfs\nb"\n'),
    ("not in quotes", "PRUNEFS=a\n", "PRUNEFS=a\n"),
]


class Updatedb(unittest.TestCase):

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="emlfs-updatedb-")
        self.addCleanup(shutil.rmtree, self.top)
        self.conf = os.path.join(self.top, "updatedb.conf")

    def run_script(self, action):
        done = subprocess.run(["cmake", f"-DACTION={action}", f"-DCONF={self.conf}", "-P", SCRIPT],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def write(self, text):
        with open(self.conf, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(self.conf, 0o640)

    def read(self):
        self.assertEqual(os.stat(self.conf).st_mode & 0o777, 0o640)
        with open(self.conf, encoding="utf-8") as stream:
            return stream.read()

    def test_add(self):
        for name, before, after in CASES:
            with self.subTest(name):
                self.write(before)
                self.run_script("add")
                self.assertEqual(self.read(), after)
                self.assertEqual(self.run_script("add").count("changed"), 0)
                self.assertEqual(self.read(), after)

    def test_remove(self):
        for name, before, after in CASES:
            if name in ("no value", "no line end", "empty file", "there already",
                        "there on a line of its own"):
                continue
            with self.subTest(name):
                self.write(after)
                self.run_script("remove")
                self.assertEqual(self.read(), before)
                self.run_script("remove")
                self.assertEqual(self.read(), before)
        self.write('PRUNEFS="fuse.emlfs a"\n')
        self.run_script("remove")
        self.assertEqual(self.read(), 'PRUNEFS="a"\n')

    def test_not_in_quotes_is_told(self):
        self.write("PRUNEFS=a\n")
        self.assertIn("by hand", self.run_script("add"))

    def test_without_updatedb(self):
        self.assertIn("not installed", self.run_script("add"))
        self.assertFalse(os.path.exists(self.conf))


if __name__ == "__main__":
    if not shutil.which("cmake"):
        print("cmake is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
