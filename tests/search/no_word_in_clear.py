#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""No word of the mail stands in clear below the archive: neither as it is nor reversed, as the index
keeps words, too.

Mail: the repository's sample and generated mail, and that of EMLFS_CORPORA where it is. Words that
few messages hold are looked for in every file with grep. Programs: EMLFS_BIN (or EMLFS),
EMLFS_DUMPTEXT, EMLFS_MKMAIL.
"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, "..", "golden", "sample")
EMLFS = os.environ.get("EMLFS_BIN") or os.environ.get("EMLFS") or "emlfs"
DUMPTEXT = os.environ.get("EMLFS_DUMPTEXT", "dumptext")
MKMAIL = os.environ.get("EMLFS_MKMAIL", "mkmail")
WORDS = 1000
RARE = 3  # messages that hold it, at most
WORD_BYTES = range(8, 41)  # shorter ones may be met in ciphertext by chance


def run(*argv, codes=(0,)):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=900, cwd="/")
    if done.returncode not in codes:
        raise AssertionError(f"{argv}: {done.returncode} {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout


def archive_make(path):
    run(EMLFS, "init", path, "--user", "anna", "--unix-account", "root")


def sources(home):
    made = os.path.join(home, "generated")
    run(MKMAIL, "--count", "1500", "--seed", "5", "--out", made)
    found = [SAMPLE, made]
    corpora = os.environ.get("EMLFS_CORPORA", "")
    for name in ("mail", "corpora"):
        path = os.path.join(corpora, name)
        if corpora and os.path.isdir(path):
            found.append(path)
            break
    return found


def rare_words(archive):
    """Words of at most RARE messages, in no particular order."""
    holders = {}
    with subprocess.Popen([DUMPTEXT, archive, "anna", EMLFS], stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            words = set()
            for _, _, tokens in json.loads(line)["pieces"]:
                words.update(word for word in tokens.split()
                             if len(word.encode()) in WORD_BYTES and not word.isdigit())
            for word in words:
                holders[word] = holders.get(word, 0) + 1
    if process.returncode != 0:
        raise AssertionError(f"dumptext: exit {process.returncode}")
    rare = sorted(word for word, count in holders.items() if count <= RARE)
    random.Random(1).shuffle(rare)
    return rare


class Grep:
    """Any of the words, in the case of ASCII letters that it likes, in any file."""

    def __init__(self, home, words):
        self.words = os.path.join(home, "words")
        with open(self.words, "wb") as out:
            out.writelines(word.encode() + b"\n" for word in words)

    def _grep(self, option, folder):
        env = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(["grep", "-raiF", option, "-f", self.words, folder], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=900)
        if done.returncode not in (0, 1) or done.stderr:
            raise AssertionError(f"grep: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout

    def files(self, folder):
        return [os.fsdecode(line) for line in self._grep("-l", folder).splitlines()]

    def words_in(self, folder):
        lines = self._grep("-oh", folder).splitlines()
        return {line.decode("utf-8", "replace").lower() for line in lines}


class Clear(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="emlfs-clear-")
        self.addCleanup(shutil.rmtree, self.home)
        self.archive = os.path.join(self.home, "archive")
        archive_make(self.archive)

    def words(self):
        """Some that are not in the files of every archive: names of settings, of LevelDB's tables."""
        empty = os.path.join(self.home, "empty")
        archive_make(empty)
        rare = rare_words(self.archive)
        both = [turned for word in rare for turned in (word, word[::-1])]
        clear = Grep(self.home, both).words_in(empty)
        words = [word for word in rare if word not in clear and word[::-1] not in clear][:WORDS]
        self.assertEqual(len(words), WORDS)
        return words

    def test_no_word_in_clear(self):
        mail = sources(self.home)
        for source in mail:
            # 3: some files of the corpora are not mail, and were named.
            run(EMLFS, "import", "-q", "-a", self.archive, "--user", "anna", source, codes=(0, 3))
        words = self.words()
        # They are in the index: each is found.
        for word in words[:20]:
            found = run(EMLFS, "search", "-a", self.archive, "--user", "anna", "--count", "--",
                        f'"{word}"')
            self.assertGreater(int(found), 0, word)
        reversed_bytes = [word[::-1] for word in words]
        grep = Grep(self.home, words + reversed_bytes)
        self.assertEqual(grep.files(self.archive), [])
        # This could have failed: in the mail itself most are found, and a file with one is, too.
        in_mail = set().union(*(grep.words_in(source) for source in mail))
        self.assertGreater(len(in_mail & set(words)), WORDS // 4)
        stores = os.path.join(self.archive, "stores")
        index = os.path.join(stores, sorted(os.listdir(stores))[0], "index")
        self.assertTrue(any(name.endswith(".seg") for name in os.listdir(index)))
        for number, word in enumerate((words[0], words[-1][::-1])):
            planted = os.path.join(index, f"planted{number}")
            with open(planted, "wb") as out:
                out.write(os.urandom(3000) + b"\0" + word.encode() + b"\0" + os.urandom(3000))
            self.assertEqual(grep.files(self.archive), [planted])
            os.unlink(planted)


if __name__ == "__main__":
    if not all(shutil.which(program) for program in (EMLFS, DUMPTEXT, MKMAIL, "grep")):
        print("needs emlfs, dumptext, mkmail and grep")
        sys.exit(77)
    unittest.main()
