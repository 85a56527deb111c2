#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""House rules as a test (DESIGN chapters 2 and 10): gates.py [ROOT] [--only NAME]...

Prints "path:line: gate: what is wrong" for each finding and ends with 1 when there is one.
Only the standard library and clang-format are used. Limits are written once, below.
"""
import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys

FUNCTION_LINES = 100
FUNCTION_PARAMETERS = 5  # the error object that comes last is not counted
FUNCTION_COMPLEXITY = 25
SOURCE_LINES = 1000
HEADER_LINES = 250
COMMITTED_FILE_BYTES = 1 << 20
MAIL_TOTAL_BYTES = 2 << 20

TOP_LEVEL = {
    ".ci", ".clang-format", ".gitattributes", ".gitignore", "CMakeLists.txt", "LICENSE",
    "README.md", "fs", "importers", "include", "store", "tests", "tools",
}

# Module folder -> modules whose contract headers it may include, itself apart. Vocabulary (base/,
# message.h, name.h) is everybody's.
VOCABULARY = {"base", "message", "name", "doctext"}
MAY_INCLUDE = {
    "store/base": set(),
    "store/pack": set(),
    "store/catalog": set(),
    "store/archive": {"pack", "catalog", "ledger"},
    "store/index": {"archive", "catalog"},
    # importer.h has the flags of entries, among them the one that vouches for dates.
    "store/policy": {"archive", "catalog", "index", "importer"},
    "store/ledger": set(),
    # importer.h: what the flags of an entry mean, which the names in a maildir show.
    "store/view": {"archive", "index", "policy", "ledger", "importer"},
    "store/command": {"archive", "index", "view", "policy", "ledger", "importer"},
    "importers": set(),
    # It opens the archive, and hands what the socket brings to a sink.
    "fs": {"archive", "index", "view", "policy", "command", "importer"},
    "tools": {"command", "mount", "importer"},
}
# The contract headers that a folder itself owns, and further headers of a module's contract.
OWN_HEADER = {"importers": "importer", "fs": "mount"}
PART_OF = {"cli": "command", "text": "command", "wire": "command", "ingest": "archive",
           "verify": "archive", "feed": "archive", "query": "index", "saved": "index",
           "extract": "importer", "access": "policy", "compliance": "policy", "govern": "policy",
           "rules": "policy", "rules_change": "policy", "change": "archive", "stores": "archive",
           "hold": "policy", "retention": "policy", "rights": "policy", "ledger_record": "ledger",
           "proof": "ledger", "spool": "archive", "view_scope": "view", "drop": "command", "asof": "archive"}

# Library -> (include pattern, files that may, how many files at most).
LIBRARIES = {
    "leveldb": (r"leveldb/", r"store/catalog/[^/]+\.c", 1),
    "openssl": (r"openssl/", r"store/base/[^/]+\.c", 3),
    "zstd": (r"(zstd|zdict)(_errors)?\.h", r"store/pack/[^/]+\.[ch]|store/archive/chunk\.c", 3),
    "utf8proc": (r"utf8proc\.h", r"store/(base|index)/[^/]+\.c", 4),
    "gmime": (r"(gmime|glib)[/.]", r"importers/facts[^/]*\.c", 2),
    "seccomp": (r"seccomp\.h", r"importers/[^/]+\.c", 1),
    "libxml2": (r"libxml/", r"importers/text_[^/]*\.c", 2),
    "libarchive": (r"archive(_entry)?\.h", r"importers/text_zip\.c", 1),
    "poppler": (r"poppler\.h", r"importers/text_pdf\.c", 1),
    "libfuse": (r"(fuse3/)?fuse(_\w+)?\.h", r"fs/[^/]+\.[ch]", 20),
    "json-c": (r"json-c/|json\.h",
               r"include/emlfs/(command|text|wire)\.h|(store/(command|archive)|fs|tools)/[^/]+\.[ch]",
               20),
}

# Functions that only some files may call.
CALLERS = {"emlfs_verdict_issue": r"store/(base/verdict|policy/govern)\.c"}

BANNED = ("system popen strcpy strcat sprintf vsprintf gets alloca strtok rand srand atoi atol "
          "atoll atof tmpnam mktemp").split()
# Library code never prints, exits or aborts.
BANNED_IN_LIBRARY = "printf vprintf puts putchar perror exit abort".split()
LIBRARY_FOLDERS = ("store/", "importers/")

SPDX = "SPDX-License-Identifier: GPL-3.0-or-later"
SPDX_FILES = re.compile(r"(\.(c|h|py|sh|cmake|in)|CMakeLists\.txt|^tests/run(-\w+)?|^\.ci/\w+|"
                        r"^tools/[\w-]+)$")
MAIL_NAMES = re.compile(r"(\.(eml|mbox|msg|pst|ost|oft|olm|msf|emlx|mbx)|/(cur|new)/[^/]+)$", re.I)
MAIL_FOLDERS = ("tests/golden/", "tests/fuzz/corpus/")


class Source:
    """C text with comments, literals and directives blanked out, at unchanged offsets."""

    TOKEN = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)

    def __init__(self, text):
        self.text = text
        self.comments = []  # (first line, last line)
        without = self.TOKEN.sub(self._blank, text)
        self.directives = without
        self.code = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda m: self._spaces(m.group()), without,
                           flags=re.M)

    @staticmethod
    def _spaces(piece):
        return re.sub(r"[^\n]", " ", piece)

    def _blank(self, match):
        piece = match.group()
        if piece.startswith("/"):
            first = self.line(match.start())
            self.comments.append((first, first + piece.count("\n")))
            return self._spaces(piece)
        if len(piece) < 2 or self.text[:match.start()].rstrip(" ").endswith("#include"):
            return piece
        return '"' + self._spaces(piece[1:-1]) + '"'

    def line(self, offset):
        return self.text.count("\n", 0, offset) + 1


class Function:
    def __init__(self, name, parameters, first_line, last_line, body):
        self.name = name
        self.parameters = parameters
        self.first_line = first_line
        self.lines = last_line - first_line + 1
        tokens = re.findall(r"\b(?:if|for|while|case)\b|&&|\|\||\?", body)
        self.complexity = 1 + len(tokens)


def matching(code, start):
    """Offset behind the bracket that closes the one at start."""
    pairs = {"(": ")", "{": "}"}
    opening, closing = code[start], pairs[code[start]]
    depth = 0
    for offset in range(start, len(code)):
        if code[offset] == opening:
            depth += 1
        elif code[offset] == closing:
            depth -= 1
            if depth == 0:
                return offset + 1
    return len(code)


def count_parameters(text):
    text = re.sub(r",\s*struct emlfs_err \*\w+\s*$", "", text)
    if text.lstrip().startswith("fuse_req_t "):
        return 0  # libfuse decides how many
    if text.strip() in ("", "void"):
        return 0
    depth = commas = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        commas += char == "," and depth == 0
    return commas + 1


def head_signature(head):
    """(name, parameter text) of a function head, or None."""
    head = re.sub(r"__attribute__\s*\(\(.*?\)\)\)?", "", head, flags=re.S)
    start = re.search(r"(\w+)\s*\(", head)
    if not start or "=" in head[:start.start()]:
        return None
    end = matching(head, start.end() - 1)
    return start.group(1), head[start.end():end - 1]


def top_level(source):
    """Yields (head, head offset, body or None, end offset) for each top-level declaration."""
    code = source.code
    begin = offset = 0
    while offset < len(code):
        char = code[offset]
        if char == "(":
            offset = matching(code, offset)
            continue
        if char == "{":
            end = matching(code, offset)
            yield code[begin:offset], begin, code[offset:end], end
            begin = offset = end
            continue
        if char == ";":
            yield code[begin:offset], begin, None, offset + 1
            begin = offset + 1
        offset += 1


def first_line(source, head, offset):
    return source.line(offset + len(head) - len(head.lstrip()))


def functions(source):
    for head, offset, body, end in top_level(source):
        signature = head_signature(head) if body is not None else None
        if signature and signature[0] not in ("struct", "union", "enum"):
            yield Function(signature[0], count_parameters(signature[1]),
                           first_line(source, head, offset), source.line(end - 1), body)


def prototypes(source):
    for head, offset, body, end in top_level(source):
        if body is not None or head.strip().startswith(("typedef", "extern const", "static")):
            continue
        signature = head_signature(head)
        if signature and not signature[0].startswith("_"):
            yield signature[0], signature[1], first_line(source, head, offset), source.line(end)


class Tree:
    """The committed files (or, without git, all that are not ignored) and what was found."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        self.paths = sorted(self._list())
        self.findings = []
        self.notes = []
        self._sources = {}

    def _list(self):
        command = ["git", "-c", "safe.directory=*", "-C", self.root, "ls-files", "-z", "--cached",
                   "--others", "--exclude-standard"]
        if os.path.exists(os.path.join(self.root, ".git")) and shutil.which("git"):
            out = subprocess.run(command, capture_output=True, check=False)
            if out.returncode == 0:
                names = out.stdout.decode("utf-8", "surrogateescape").split("\0")
                return {n for n in names if n and os.path.lexists(os.path.join(self.root, n))}
        found = set()
        for folder, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders
                          if f not in (".git", "__pycache__") and not f.startswith("build")]
            found.update(os.path.relpath(os.path.join(folder, n), self.root) for n in names)
        return found

    def c_files(self, *prefixes):
        for path in self.paths:
            if path.endswith((".c", ".h")) and (not prefixes or path.startswith(prefixes)):
                yield path

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def source(self, path):
        if path not in self._sources:
            self._sources[path] = Source(self.read(path))
        return self._sources[path]

    def found(self, path, line, gate, text):
        self.findings.append(f"{path}:{line}: {gate}: {text}")


def gate_functions(tree):
    for path in tree.c_files():
        for function in functions(tree.source(path)):
            for what, value, limit in (("lines", function.lines, FUNCTION_LINES),
                                       ("parameters", function.parameters, FUNCTION_PARAMETERS),
                                       ("complexity", function.complexity, FUNCTION_COMPLEXITY)):
                if value > limit:
                    tree.found(path, function.first_line, "functions",
                               f"{function.name} has {what} {value}, limit {limit}")
    for path in tree.c_files("include/"):
        for name, parameters, line, _ in prototypes(tree.source(path)):
            if count_parameters(parameters) > FUNCTION_PARAMETERS and "..." not in parameters:
                public_excess(tree, path, line, name, parameters)


def public_excess(tree, path, line, name, parameters):
    tree.found(path, line, "functions",
               f"{name} has parameters {count_parameters(parameters)}, limit {FUNCTION_PARAMETERS}")


def gate_sizes(tree):
    for path in tree.c_files():
        limit = SOURCE_LINES if path.endswith(".c") else HEADER_LINES
        lines = tree.source(path).text.count("\n")
        if lines > limit:
            tree.found(path, limit, "sizes", f"{lines} lines, limit {limit}")


def module_of(path):
    """Folder in MAY_INCLUDE that path belongs to; contract headers belong to their module."""
    if path.startswith("include/emlfs/base/"):
        return "store/base"
    if path.startswith("include/emlfs/"):
        name = PART_OF.get(os.path.basename(path)[:-2], os.path.basename(path)[:-2])
        if name in VOCABULARY:
            return "store/base"
        owners = {header: folder for folder, header in OWN_HEADER.items()}
        return owners.get(name, "store/" + name)
    folder = os.path.dirname(path)
    return folder if folder in MAY_INCLUDE else None


def includes(source):
    pattern = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)
    for match in pattern.finditer(source.directives):
        yield match.group(1), match.group(2), source.line(match.start())


def gate_includes(tree):
    for path in tree.c_files("include/", "store/", "importers/", "fs/", "tools/"):
        module = module_of(path)
        if module is None:
            tree.found(path, 1, "includes", "this folder is no module of the house")
            continue
        allowed = MAY_INCLUDE.get(module, set()) | VOCABULARY
        allowed.add(OWN_HEADER.get(module, os.path.basename(module)))
        for quote, name, line in includes(tree.source(path)):
            if name.startswith("emlfs/"):
                wanted = name.split("/")[1]
                wanted = wanted[:-2] if wanted.endswith(".h") else wanted
                wanted = PART_OF.get(wanted, wanted)
                if wanted not in allowed:
                    tree.found(path, line, "includes", f"{module} may not include {name}")
            elif quote == '"' and "/" in name:
                tree.found(path, line, "includes", f"private header of another folder: {name}")


def gate_libraries(tree):
    users = {library: [] for library in LIBRARIES}
    for path in tree.c_files("include/", "store/", "importers/", "fs/", "tools/"):
        for _, name, line in includes(tree.source(path)):
            for library, (pattern, files, _) in LIBRARIES.items():
                if not re.match(pattern, name):
                    continue
                if path not in users[library]:
                    users[library].append(path)
                if not re.fullmatch(files, path):
                    tree.found(path, line, "libraries", f"{library} is not included here")
    for library, (_, _, most) in LIBRARIES.items():
        if len(users[library]) > most:
            tree.found(users[library][-1], 1, "libraries",
                       f"{library} is included by {len(users[library])} files, limit {most}: "
                       + ", ".join(users[library]))


def gate_banned(tree):
    for path in tree.c_files():
        banned = list(BANNED)
        if path.startswith(LIBRARY_FOLDERS):
            banned += BANNED_IN_LIBRARY
        source = tree.source(path)
        for match in re.finditer(r"(?<![\w.>])(%s)\s*\(" % "|".join(banned), source.code):
            tree.found(path, source.line(match.start()), "banned", match.group(1))


def gate_callers(tree):
    for path in tree.c_files("store/", "importers/", "fs/", "tools/"):
        source = tree.source(path)
        for name, files in CALLERS.items():
            for match in re.finditer(rf"\b{name}\b", source.code):
                if not re.fullmatch(files, path):
                    tree.found(path, source.line(match.start()), "callers",
                               f"{name} is not for this file")


def documented(lines, commented, first):
    """A comment stands in the paragraph above line first, or is the whole paragraph before."""
    line = first - 1
    while line >= 1 and lines[line - 1].strip():
        if line in commented:
            return True
        line -= 1
    line -= 1
    return line >= 1 and line in commented


def gate_comments(tree):
    for path in tree.c_files("include/"):
        source = tree.source(path)
        lines = source.text.split("\n")
        commented = {n for first, last in source.comments for n in range(first, last + 1)}
        commented.discard(1)
        for name, _, first, last in prototypes(source):
            if not documented(lines, commented, first) and last not in commented:
                tree.found(path, first, "comments", f"{name} has no contract comment")


def gate_spdx(tree):
    for path in tree.paths:
        if not SPDX_FILES.search(path) or MAIL_NAMES.search(path):
            continue
        lines = tree.read(path).split("\n", 2)
        line = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        if SPDX not in line:
            tree.found(path, 1, "spdx", f"first line is not {SPDX}")


def gate_listing(tree):
    for name in sorted({path.split("/")[0] for path in tree.paths} - TOP_LEVEL):
        tree.found(name, 1, "listing", "not a name of the top level (DESIGN 2)")


def gate_format(tree):
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    files = list(tree.c_files())
    if not tool:
        tree.notes.append("format: skipped, no clang-format-14 here")
        return
    if not files:
        return
    out = subprocess.run([tool, "--dry-run", "-Werror", "--ferror-limit=1", *files], cwd=tree.root,
                         capture_output=True, text=True, check=False)
    for match in re.finditer(r"^(\S+?):(\d+):\d+: error: (.*)", out.stderr, re.M):
        tree.found(match.group(1), match.group(2), "format", match.group(3))
    if out.returncode and not any(" format: " in f for f in tree.findings):
        tree.found(".clang-format", 1, "format", out.stderr.strip()[:200])


def corpus_sizes(folder):
    sizes = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path):
                sizes.setdefault(os.path.getsize(path), []).append(path)
    return sizes


def file_digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).digest()


def gate_corpora(tree):
    """No real mail is committed: not by name, by bulk or by content."""
    sizes = corpus_sizes(os.environ.get("EMLFS_CORPORA") or os.devnull)
    total = 0
    for path in tree.paths:
        full = os.path.join(tree.root, path)
        size = os.lstat(full).st_size
        if size > COMMITTED_FILE_BYTES:
            tree.found(path, 1, "corpora", f"{size} bytes, limit {COMMITTED_FILE_BYTES}")
        if "corpora" in path.split("/")[:-1]:
            tree.found(path, 1, "corpora", "a folder named corpora is not committed")
        if MAIL_NAMES.search(path):
            total += size
            if not path.startswith(MAIL_FOLDERS):
                tree.found(path, 1, "corpora", "mail outside " + ", ".join(MAIL_FOLDERS))
        if size > 200 and any(file_digest(p) == file_digest(full) for p in sizes.get(size, [])):
            tree.found(path, 1, "corpora", "the same bytes as a file of the corpora")
    if total > MAIL_TOTAL_BYTES:
        tree.found("tests", 1, "corpora", f"{total} bytes of mail, limit {MAIL_TOTAL_BYTES}")


GATES = {name[5:]: gate for name, gate in sorted(globals().items()) if name.startswith("gate_")}


def run(root, only=()):
    tree = Tree(root)
    for name, gate in GATES.items():
        if not only or name in only:
            gate(tree)
    return tree


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", default=os.path.join(here, "..", ".."))
    parser.add_argument("--only", action="append", default=[], choices=sorted(GATES))
    arguments = parser.parse_args()
    tree = run(arguments.root, arguments.only)
    for line in tree.findings + tree.notes:
        print(line)
    print(f"{len(tree.findings)} findings in {len(tree.paths)} files")
    return 1 if tree.findings else 0


if __name__ == "__main__":
    sys.exit(main())
