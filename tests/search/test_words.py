#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words as readers expect them: addresses by their parts, German, Japanese, Chinese and Korean mail.

The second half reads the corpora (EMLFS_CORPORA) with Python's own mail parser: every message in
which that finds a word must be found by emlfs search, too.
"""
import email
import email.policy
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unicodedata
import unittest

EMLFS = os.environ.get("EMLFS_BIN") or os.environ.get("EMLFS") or "emlfs"
CORPORA = os.path.join(os.environ.get("EMLFS_CORPORA", "/nonexistent"), "mail")
MIXED = """From: first.last@example.com
To: Hans-Jürgen Müller <hj@example.net>
Subject: =?UTF-8?B?5Lya6K2w44Gu6LOH5paZ44Gr44Gk44GE44Gm?=
Content-Type: text/plain; charset=utf-8

Die Straße zum Größenmaß, naïve Übermütigkeit.
我们在北京开会，测试邮件。안녕하세요 한국어 메일입니다.
ｶﾀｶﾅと日本語のﾃｽﾄ。
"""
FOUND = ["first", "last", "example", "com", "first.last", "first.last@example.com",
         "last@example.com", "example.com", "from:first.last", "*rst.last", "fi?st", "*ample.com",
         "Müller", "muller", "MÜLLER", "hans-jürgen", "straße", "STRASSE", "größenmaß",
         "grossenmass", "gro*", "naive", "übermütigkeit", "会議", "資料", "会議の資料", "会",
         "北京", "开会", "测试邮件", "北京 开会", "안녕하세요", "한국어", "메일", "カタカナ", "ﾃｽﾄ",
         "テスト", "日本語", '"日本語の"', '"first last example com"']
NOT_FOUND = ["irst", "firs", "last.first", "example.first", "京北", "議会", "mull", "コタ", "本日",
             '"last first"', "subject:first", "-first"]
# At least one message of the corpora holds each, by Python's parser.
CORPUS_WORDS = ["grüße", "für", "メール", "テスト", "日本", "中国", "한국", "spam"]


def run(*argv):
    done = subprocess.run([EMLFS, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=300, cwd="/")
    # 3: some files of the corpora are not mail, and were named.
    if done.returncode not in (0, 3):
        raise AssertionError(f"{argv}: {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout


class Words(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="emlfs-words-")
        self.addCleanup(shutil.rmtree, self.home)
        self.archive = os.path.join(self.home, "archive")
        run("init", self.archive, "--user", "anna", "--unix-account", "root")

    def fill(self, source):
        run("import", "-q", "-a", self.archive, "--user", "anna", source)

    def ids(self, query):
        out = run("search", "-a", self.archive, "--user", "anna", "--json", "--", query)
        return [json.loads(line)["id"] for line in out.splitlines()]

    def test_address_and_scripts(self):
        path = os.path.join(self.home, "mixed.eml")
        with open(path, "w", encoding="utf-8") as out:
            out.write(MIXED)
        self.fill(path)
        for query in FOUND:
            self.assertEqual(len(self.ids(query)), 1, query)
        for query in NOT_FOUND:
            self.assertEqual(len(self.ids(query)), 0, query)

    @unittest.skipUnless(os.path.isdir(CORPORA), "the mail corpora are not here")
    def test_corpora(self):
        texts = dict(corpus_texts())
        self.fill(CORPORA)
        for word in CORPUS_WORDS:
            expected = {digest for digest, text in texts.items() if has_word(text, word)}
            self.assertTrue(expected, f"no message holds {word}")
            found = {hashlib.sha256(run("message", "get", "-a", self.archive, msg)).hexdigest()
                     for msg in self.ids(word)} if len(expected) < 60 else None
            if found is None:
                self.assertGreaterEqual(len(self.ids(word)), len(expected), word)
            else:
                self.assertFalse(expected - found, word)


def fold(text):
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", "".join(c for c in text if not 0x300 <= ord(c) <= 0x36f))


def has_word(text, word):
    """Whole words in scripts that have blanks, anywhere in the others."""
    word = fold(word)
    at = text.find(word)
    while at >= 0:
        around = text[at - 1:at] + text[at + len(word):at + len(word) + 1]
        if not word.isascii() or not any(unicodedata.category(c)[0] in "LNM" for c in around):
            return True
        at = text.find(word, at + 1)
    return False


def corpus_texts():
    """(SHA-256, folded subject and plain text) of files that Python reads without a complaint."""
    for folder, _, names in os.walk(CORPORA):
        for name in names:
            path = os.path.join(folder, name)
            if not name.endswith(".eml") or os.path.getsize(path) > 200000:
                continue
            with open(path, "rb") as source:
                raw = source.read()
            if raw.startswith(b"From "):  # what is archived begins behind such a line
                raw = raw.partition(b"\n")[2]
            try:
                message = email.message_from_bytes(raw, policy=email.policy.default)
                body = message.get_body(("plain",))
                text = f"{message['subject'] or ''}\n{body.get_content() if body else ''}"
                if message.defects or (body and body.defects):
                    continue
                text.encode("utf-8")
            except (LookupError, ValueError, KeyError, AttributeError, TypeError, IndexError):
                continue
            yield hashlib.sha256(raw).hexdigest(), fold(text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
