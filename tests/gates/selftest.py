#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each gate finds what it forbids, and nothing in code that keeps the rules."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gates  # noqa: E402

HEAD = "/* SPDX-License-Identifier: GPL-3.0-or-later */\n"
FORMAT = "BasedOnStyle: LLVM\nIndentWidth: 4\nColumnLimit: 100\nBreakBeforeBraces: Linux\n"
GOOD_C = HEAD + """#include <stdio.h>

#include "emlfs/pack.h"

/* if (a && b) system("x"); */
static const char *const text = "strcpy(a, b); if (x) { case";

int emlfs_pack_one(int a, int b, int c, int d, int e)
{
    char name[8];
    snprintf(name, sizeof(name), "%d", a);
    return a + b + c + d + e + (text[0] == '{');
}
"""
GOOD_H = HEAD + """#ifndef X
#define X

/* What it does. */
int emlfs_pack_one(int a);
int emlfs_pack_two(int a); /* -EIO */

struct emlfs_pack_ops {
    int (*run)(void *arg);
};

#endif
"""


def body(count, line="    a++;\n"):
    return "int emlfs_x(int a)\n{\n" + line * count + "    return a;\n}\n"


class Gates(unittest.TestCase):
    def findings(self, gate, files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {".clang-format": FORMAT, **files}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return gates.run(root, [gate]).findings

    def bad(self, gate, path, text, expected, count=1):
        found = self.findings(gate, {path: text})
        self.assertEqual(len(found), count, found)
        self.assertIn(expected, found[0])
        self.assertTrue(found[0].startswith(path + ":"), found)

    def test_good_code_passes_every_gate(self):
        files = {"store/pack/a.c": GOOD_C, "include/emlfs/pack.h": GOOD_H,
                 "tests/golden/sample/a.eml": "Subject: x\n\n"}
        for gate in gates.GATES:
            self.assertEqual(self.findings(gate, files), [], gate)

    def test_long_function(self):
        self.bad("functions", "fs/a.c", HEAD + body(97), "lines 101", 1)
        self.assertEqual(self.findings("functions", {"fs/a.c": HEAD + body(96)}), [])

    def test_parameters(self):
        wide = ("int f(int a, int b, int c, int d, int (*e)(int, int), int g%s)\n"
                "{\n    return 0;\n}\n")
        self.bad("functions", "fs/a.c", HEAD + wide % "", "parameters 6")
        self.bad("functions", "fs/a.c", HEAD + wide % ", struct emlfs_err *err", "parameters 6")
        fuse = wide.replace("int a", "fuse_req_t a") % ""
        self.assertEqual(self.findings("functions", {"fs/a.c": HEAD + fuse}), [])
        narrow = wide.replace("int a, ", "") % ", struct emlfs_err *err"
        self.assertEqual(self.findings("functions", {"fs/a.c": HEAD + narrow}), [])

    def test_parameters_of_prototypes(self):
        self.bad("functions", "include/emlfs/pack.h",
                 HEAD + "/* x */\nint f(int a, int b, int c, int d, int e, int g);\n",
                 "parameters 6")

    def test_complexity(self):
        line = "    if (a && a > 1)\n        a++;\n"
        self.bad("functions", "fs/a.c", HEAD + body(13, line), "complexity 27")
        self.assertEqual(self.findings("functions", {"fs/a.c": HEAD + body(12, line)}), [])
        switch = "    switch (a) {\n" + "".join(f"    case {n}:\n" for n in range(30)) + "    }\n"
        self.bad("functions", "fs/a.c", HEAD + body(1, switch), "complexity 31")

    def test_sizes(self):
        self.bad("sizes", "fs/a.c", HEAD + "\n" * 1000, "1001 lines")
        self.bad("sizes", "include/emlfs/pack.h", HEAD + "\n" * 250, "251 lines")

    def test_includes(self):
        for path, name in (("store/pack/a.c", "catalog"), ("importers/a.c", "archive"),
                           ("store/archive/a.c", "view"), ("fs/a.c", "pack"),
                           ("include/emlfs/base/a.h", "pack"), ("tools/a.c", "catalog"),
                           ("include/emlfs/catalog.h", "archive")):
            self.bad("includes", path, HEAD + f'#include "emlfs/{name}.h"\n', "may not include")
        self.bad("includes", "fs/a.c", HEAD + '#include "../store/pack/pack_file.h"\n', "private")
        self.bad("includes", "store/other/a.c", HEAD, "no module")

    def test_libraries(self):
        for path, name in (("store/archive/a.c", "leveldb/c.h"),
                           ("store/pack/a.c", "openssl/evp.h"),
                           ("importers/mbox.c", "gmime/gmime.h"),
                           ("store/view/a.c", "fuse3/fuse.h"),
                           ("store/view/b.c", "fuse_lowlevel.h"), ("fs/a.c", "seccomp.h"),
                           ("store/archive/a.c", "zstd.h"), ("fs/a.c", "utf8proc.h")):
            self.bad("libraries", path, HEAD + f"#include <{name}>\n", "not included here")
        two = {f"store/catalog/{n}.c": HEAD + "#include <leveldb/c.h>\n" for n in "ab"}
        self.assertEqual(len(self.findings("libraries", two)), 1)

    def test_banned(self):
        for name in ("system", "strcpy", "sprintf", "strtok", "atoi", "rand", "gets", "alloca"):
            self.bad("banned", "fs/a.c", HEAD + body(1, f"    {name}(a);\n"), name)
        self.bad("banned", "store/pack/a.c", HEAD + body(1, "    printf(a);\n"), "printf")
        self.bad("banned", "importers/a.c", HEAD + body(1, "    exit(1);\n"), "exit")
        self.assertEqual(self.findings("banned", {"fs/a.c": HEAD + body(1, "    _exit(1);\n")}), [])

    def test_callers(self):
        issue = HEAD + body(1, "    emlfs_verdict_issue(a);\n")
        for path in ("store/archive/a.c", "store/policy/a.c", "fs/a.c", "tools/a.c"):
            self.bad("callers", path, issue, "emlfs_verdict_issue")
        self.assertEqual(self.findings("callers", {"store/policy/govern.c": issue}), [])

    def test_comments(self):
        bare = HEAD + "#ifndef X\n#define X\n\n/* one */\nint f(int a);\nint g(int a);\n\n"
        self.assertEqual(self.findings("comments", {"include/emlfs/pack.h": bare + "#endif\n"}), [])
        self.bad("comments", "include/emlfs/pack.h", bare + "int h(int a);\n#endif\n", "h has no")

    def test_spdx(self):
        self.bad("spdx", "fs/a.c", "int a;\n", "first line")
        self.bad("spdx", "tests/a.py", "#!/usr/bin/env python3\nimport os\n", "first line")

    def test_listing(self):
        self.bad("listing", "notes.txt", "x\n", "top level")

    def test_format(self):
        self.bad("format", "fs/a.c", HEAD + "int  f(void){return 0;}\n", "clang-format")

    def test_corpora(self):
        self.bad("corpora", "store/pack/a.eml", "Subject: x\n", "mail outside")
        self.bad("corpora", "tests/golden/big.bin", "x" * (gates.COMMITTED_FILE_BYTES + 1), "limit")
        self.bad("corpora", "tests/corpora/a.txt", "x", "folder named corpora")

    def test_corpora_by_content(self):
        with tempfile.TemporaryDirectory() as corpora:
            with open(os.path.join(corpora, "1"), "w", encoding="utf-8") as file:
                file.write("Subject: y\n" * 50)
            old = os.environ.get("EMLFS_CORPORA")
            os.environ["EMLFS_CORPORA"] = corpora
            try:
                self.bad("corpora", "tests/golden/a.eml", "Subject: y\n" * 50, "same bytes")
            finally:
                os.environ.pop("EMLFS_CORPORA")
                if old is not None:
                    os.environ["EMLFS_CORPORA"] = old


if __name__ == "__main__":
    unittest.main()
