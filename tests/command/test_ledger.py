#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting under the rules, and what the ledger tells and proves, with the real program.

EMLFS_BIN (or EMLFS) names the program; openssl(1) and tests/reader/read_ledger.py check what it
gives out. Nothing is mounted; parts that need a second account are left out without root.
"""
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from test_govern import BOB, GovernTest, ROOT, SAMPLE, run  # noqa: E402

MANY = 10000
READER = os.path.join(HERE, "..", "reader", "read_ledger.py")

AUTHORITY = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:true
[tsa]
extendedKeyUsage = critical,timeStamping
[tsa_config]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


def tool(*argv, cwd="/"):
    return subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, cwd=cwd, check=False)


class LedgerTest(GovernTest):
    def path(self, *names):
        return os.path.join(self.home, *names)

    def letter(self):
        """A file of the sample that was archived exactly as it is."""
        return sorted(glob.glob(os.path.join(SAMPLE, "letters", "*.eml")))[0]

    def output(self, words, *argv, name, **options):
        self.emlfs(words, *argv, "-o", self.path(name), **options)
        return self.path(name)

    def reader(self, *argv, code=0):
        done = tool(sys.executable, READER, *argv)
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def proof(self, name, *argv):
        return self.output("prove", *argv, name=name)

    def verified(self, *argv, code=0):
        done = run("verify-proof", "--json", *argv)
        self.assertEqual(done.returncode, code, f"{argv}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout else None


class Messages(LedgerTest):
    def once(self):
        """The path of a message that is filed in one folder only."""
        return self.rows("search", "subject:köln")[0]["path"]

    def test_delete(self):
        path = self.once()
        identity = self.rows("search", "subject:köln")[0]["id"]
        self.emlfs("privilege set", "anna", "--may", "all", "--own", "all")
        row, missing = self.rows("message delete", path, "0000vv", "--reason", "by wish", code=1)
        self.assertEqual((row["result"], missing["result"]), ("deleted", "refused"))
        self.assertEqual(missing["errno"], "ENOENT")
        self.assertEqual(self.rows("search", "subject:köln"), [])
        tombstone, = self.rows("audit", "--message", identity, "--kind", "message-deleted")
        self.assertEqual(tombstone["message"], identity)
        self.assertEqual(len(tombstone["digest"]), 64)
        reason, = self.rows("audit", "--message", identity, "--kind", "command-run")
        self.assertEqual(reason["detail"], "by wish")
        self.assertLess(reason["record"], tombstone["record"])

    def test_a_policy_keeps_it(self):
        path = self.once()
        self.emlfs("privilege set", "anna", "--may", "all", "--own", "all")
        self.emlfs("policy add", "Letters", "--period", "6y")
        row, = self.rows("message delete", path, code=1)
        self.assertEqual((row["result"], row["errno"]), ("refused", "EPERM"))
        why = self.row("message explain", path)
        self.assertFalse(why["may_delete"])
        self.assertEqual(why["errno"], "EPERM")
        self.assertEqual(why["earliest_policy"], "Letters")
        self.assertEqual(why["latest"], "never")
        self.assertIn("Letters", " ".join(why["explanation"]))
        text = self.emlfs("message explain", path).stdout
        self.assertIn("Letters", text)
        denied, = self.rows("audit", "--failed", "--kind", "access-denied")
        self.assertEqual(denied["outcome"], "EPERM")
        self.assertEqual(len(self.rows("search", "subject:köln")), 1)

    def test_a_hold_keeps_it(self):
        path = self.once()
        self.emlfs("privilege set", "anna", "--may", "all", "--own", "all")
        self.emlfs("hold place", "Case 7", "--query", "subject:köln", "--reason", "court")
        why = self.row("message explain", path)
        self.assertTrue(why["held"])
        self.assertEqual(why["holds"], ["Case 7"])
        for words in (["message delete", path], ["message move", path, "--folder", "/"]):
            row, = self.rows(*words, code=1)
            self.assertEqual(row["errno"], "EPERM")

    def test_move(self):
        path = self.once()
        base = os.path.basename(path)
        top = path.split("/")[1]
        row, = self.rows("message move", path, "--folder", f"/{top}")
        self.assertEqual(row["result"], "moved")
        self.assertEqual(self.rows("search", "subject:köln")[0]["path"], f"anna/{top}/{base}")
        moved, = self.rows("audit", "--kind", "message-moved")
        self.assertIn(f" -> anna/{top}", moved["object"])
        self.emlfs("message move", base, "--folder", "no/such", code=2)

    def test_move_onto_itself(self):
        """Where it is already, nothing is moved, and no filing goes."""
        path = self.once()
        os.mkdir(self.path("more"))
        raw = subprocess.run([os.environ.get("EMLFS_BIN") or os.environ.get("EMLFS") or "emlfs",
                              "message", "get", "-a", self.archive, path],
                             stdout=subprocess.PIPE, timeout=120, check=True).stdout
        with open(self.path("more", "again.eml"), "wb") as file:
            file.write(raw)
        self.emlfs("import", "--user", "anna", self.path("more"))
        before = self.rows("folder list", "--user", "anna")
        self.assertIn(("anna/more", 1), [(row["path"], row["messages"]) for row in before])
        row, = self.rows("message move", path, "--folder", "/more", code=1)
        self.assertEqual((row["result"], row["errno"]), ("refused", "EEXIST"))
        self.assertEqual(self.rows("folder list", "--user", "anna"), before)

    def test_which_entry(self):
        """A message that is filed twice is not changed by its id alone."""
        found = self.rows("search", "subject:quarterly")[0]
        row, = self.rows("message delete", found["id"], code=1)
        self.assertEqual(row["errno"], "EINVAL")
        row, = self.rows("message delete", f"/mnt/anna/Searches/x/{found['id']}.eml", code=1)
        self.assertEqual(row["errno"], "EROFS")
        row, = self.rows("message delete", f"elsewhere/{found['id']}.eml", code=1)
        self.assertEqual(row["errno"], "ENOENT")
        row, = self.rows("message delete", "nonsense", code=1)
        self.assertEqual(row["errno"], "EINVAL")
        why = self.row("message explain", f"/mnt/mail/{found['path']}")
        self.assertEqual(why["path"], found["path"])
        self.emlfs("message explain", "0000vv", code=2)


class Audit(LedgerTest):
    def test_filters(self):
        everything = self.rows("audit")
        numbers = [row["record"] for row in everything]
        self.assertEqual(numbers, sorted(numbers))
        archived = self.rows("audit", "--kind", "message-archived")
        self.assertGreaterEqual(len(archived), 16)
        self.assertEqual({row["kind"] for row in archived}, {"message-archived"})
        self.assertTrue(all(" in anna/" in row["object"] for row in archived))
        self.assertEqual(self.rows("audit", "--kind", "message-archived", "--limit", "3"),
                         archived[-3:])
        self.assertEqual(self.rows("audit", "--from", "2100-01-01"), [])
        self.assertEqual(self.rows("audit", "--to", "2000-01-01"), [])
        self.assertEqual(len(self.rows("audit", "--from", "2000-01-01", "--to", "2100-01-01")),
                         len(self.rows("audit")))
        one = archived[0]["message"]
        self.assertEqual({row["message"] for row in self.rows("audit", "--message", one)}, {one})
        self.assertTrue(self.rows("audit", "--user", "anna"))
        for wrong in (["--kind", "nonsense"], ["--from", "yesterday"], ["--message", "x"],
                      ["--limit", "1000001"]):
            self.emlfs("audit", *wrong, code=1)
        self.emlfs("audit", "--user", "nobody-here", code=2)

    def test_lines(self):
        text = self.emlfs("audit").stdout.splitlines()
        self.assertEqual(text[0].split()[:5], ["record", "time", "kind", "who", "source"])
        kinds = run("audit", "kinds").stdout
        for kind in ("message-archived", "hold-made", "job-run"):
            self.assertIn(kind, kinds)

    @unittest.skipUnless(ROOT, "needs further accounts")
    def test_only_offices(self):
        self.emlfs("user add", "bob", "--unix-account", BOB)
        self.emlfs("audit", account=BOB, code=2)
        self.emlfs("checkpoint", account=BOB, code=2)
        self.emlfs("prove", "--record", "1", account=BOB, code=2)
        self.emlfs("prove", self.letter(), account=BOB, code=2)
        self.assertIn("PUBLIC KEY", self.emlfs("checkpoint key", account=BOB).stdout)


class Proofs(LedgerTest):
    def changed_copy(self, letter):
        changed = self.path("changed.eml")
        shutil.copy(letter, changed)
        with open(changed, "r+b") as file:
            byte = file.read(1)
            file.seek(0)
            file.write(bytes([byte[0] ^ 1]))
        return changed

    def test_a_message(self):
        letter = self.letter()
        proof = self.proof("letter.proof", letter)
        key = self.output("checkpoint key", name="archive.pem")
        row = self.verified(proof, letter, "--key", key)
        self.assertEqual(row["result"], "proven")
        with open(letter, "rb") as file:
            self.assertEqual(row["sha256"], hashlib.sha256(file.read()).hexdigest())
        self.assertNotIn("not_proven", row)
        self.assertIn(str(row["record"]), self.reader("proof", proof, key))
        # By the key that lies beside it, with a word of warning.
        self.assertIn("--key", " ".join(self.verified(proof, letter)["not_proven"]))
        os.unlink(proof + ".pem")
        self.assertEqual(self.verified(proof, letter, code=1)["signature"], "not checked")
        # Never over a file that is there.
        self.emlfs("prove", letter, "-o", proof, code=2)

    def test_what_was_changed(self):
        letter = self.letter()
        proof = self.proof("letter.proof", letter)
        key = self.output("checkpoint key", name="archive.pem")
        changed = self.changed_copy(letter)
        row = self.verified(proof, changed, "--key", key, code=1)
        self.assertEqual(row["result"], "NOT proven")
        self.assertIn("NOT the message", " ".join(row["not_proven"]))
        done = self.emlfs("prove", changed, code=2)
        self.assertIn("no record", done.stderr)
        with open(proof, encoding="ascii", errors="surrogateescape") as file:
            lines = file.read().split("\n")
        for i, line in enumerate(lines):
            if not line.startswith(("hash ", "record ")):
                continue
            last = "B" if line[10] != "B" else "C"
            broken = self.path(f"broken-{i}")
            with open(broken, "w", encoding="ascii", errors="surrogateescape") as file:
                file.write("\n".join([*lines[:i], line[:10] + last + line[11:], *lines[i + 1:]]))
            done = run("verify-proof", broken, letter, "--key", key)
            self.assertIn(done.returncode, (1, 2), line)
            self.reader("proof", broken, key, code=1)
        done = run("verify-proof", letter)
        self.assertEqual(done.returncode, 2)
        self.assertIn(run("verify-proof", proof, "--key", letter).returncode, (1, 2))

    def test_another_archive(self):
        proof = self.proof("letter.proof", self.letter())
        other = self.path("other")
        self.assertEqual(run("init", other, "--user", "x", "--unix-account", "bin").returncode, 0)
        done = run("checkpoint", "key", "-a", other, "-o", self.path("other.pem"))
        self.assertEqual(done.returncode, 0, done.stderr)
        row = self.verified(proof, self.letter(), "--key", self.path("other.pem"), code=1)
        self.assertEqual(row["result"], "NOT proven")

    def test_after_many_records(self):
        """A proof stays good, a new one is for the same record, and the log only grew."""
        letter = self.letter()
        first = self.proof("first.proof", letter)
        key = self.output("checkpoint key", name="archive.pem")
        kept = self.output("checkpoint", name="kept")
        size = int(self.rows("checkpoint list")[-1]["records"])
        many = self.path("many.mbox")
        with open(many, "wb") as file:
            for i in range(MANY):
                file.write(b"From a@b.example Sun Mar  1 09:13:07 2026\nFrom: a@b.example\n"
                           b"Subject: number %d\n\n%d\n\n" % (i, i))
        self.emlfs("import", "--user", "anna", "--no-index", many)
        second = self.proof("second.proof", letter)
        old = self.verified(first, letter, "--key", key)
        new = self.verified(second, letter, "--key", key)
        self.assertEqual(old["record"], new["record"])
        self.assertGreaterEqual(new["records"], old["records"] + MANY)
        changed = self.changed_copy(letter)
        for proof in (first, second):
            row = self.verified(proof, changed, "--key", key, code=1)
            self.assertEqual(row["result"], "NOT proven")
        grown = self.proof("grown.proof", "--consistency", str(size))
        row = self.verified(grown, kept, "--key", key)
        self.assertEqual((row["type"], row["result"]), ("consistency", "proven"))
        self.reader("proof", grown, key)
        later = self.output("checkpoint", name="later")
        self.assertEqual(self.verified(grown, later, "--key", key, code=1)["result"], "NOT proven")
        self.emlfs("prove", "--consistency", "100000000", code=2)
        self.emlfs("prove", "--record", "100000000", code=2)
        self.emlfs("prove", letter, "--record", "1", code=1)
        self.emlfs("prove", code=1)
        message = self.verified(self.proof("m.proof", "--message", new["message"]), "--key", key)
        self.assertEqual(message["sha256"], new["sha256"])

    def test_the_independent_reader(self):
        self.emlfs("checkpoint")
        listed = self.rows("checkpoint list")
        totals = self.row("verify")
        self.assertEqual((totals["checkpoints"], totals["errors"]), (len(listed), 0))
        self.assertEqual(totals["ledger_records"], listed[-1]["records"])
        # Verifying was recorded, and closing made a checkpoint of that.
        self.assertRegex(self.reader("check", self.archive),
                         rf"^{totals['ledger_records'] + 1} records, {len(listed) + 1} checkpoints")

    def test_time_stamps(self):
        self.emlfs("checkpoint")
        stamped = self.rows("checkpoint list")[-1]["number"]
        with open(self.path("ts.cnf"), "w", encoding="ascii") as file:
            file.write(AUTHORITY)
        with open(self.path("serial"), "w", encoding="ascii") as file:
            file.write("01\n")
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config",
               "ts.cnf"]
        query = self.output("checkpoint timestamp-query", name="query.tsq")
        for argv in (
                ["req", "-new", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj",
                 "/CN=Test root", "-days", "30", "-extensions", "ca"],
                ["req", "-new", *new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj",
                 "/CN=Test TSA"],
                ["x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-CAcreateserial", "-days", "30", "-extfile", "ts.cnf", "-extensions", "tsa",
                 "-out", "tsa.pem"],
                ["ts", "-reply", "-config", "ts.cnf", "-section", "tsa_config", "-queryfile",
                 query, "-out", "reply.tsr"]):
            done = tool("openssl", *argv, cwd=self.home)
            self.assertEqual(done.returncode, 0, done.stdout)
        reply, authority = self.path("reply.tsr"), self.path("ca.pem")
        self.emlfs("checkpoint timestamp-add", self.letter(), "--ca", authority, code=2)
        self.emlfs("checkpoint timestamp-add", reply, "--ca", self.path("tsa.csr"), code=2)
        self.emlfs("checkpoint timestamp-add", reply, "--ca", authority)
        self.emlfs("checkpoint timestamp-add", reply, "--ca", authority, code=2)
        # Closing an archive that was changed makes checkpoints, too; the last was stamped.
        rows = [row for row in self.rows("checkpoint list") if "timestamp" in row]
        self.assertEqual([row["number"] for row in rows], [stamped])
        self.assertRegex(rows[0]["timestamp"], r"^\d{4}-")
        self.assertEqual(len(self.rows("audit", "--kind", "checkpoint-timestamped")), 1)
        note = self.output("checkpoint", "--number", str(stamped), name="note")
        done = tool("openssl", "ts", "-verify", "-data", note, "-in", reply, "-CAfile", authority)
        self.assertEqual(done.returncode, 0, done.stdout)


class Missing(LedgerTest):
    def test_removed(self):
        """Whoever removes the ledger does not get rid of it."""
        self.emlfs("policy list")
        ledger = os.path.join(self.archive, "ledger")
        os.rename(ledger, self.path("kept"))
        for words in ("verify", "user list", "audit"):
            done = run(*words.split(), "-a", self.archive)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn("ledger is missing", done.stdout + done.stderr, words)
            self.assertFalse(os.path.exists(ledger))
        run("recover", "-a", self.archive)
        done = run("verify", "-a", self.archive)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(ledger))
        os.rename(self.path("kept"), ledger)
        done = run("verify", "-a", self.archive)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Export(LedgerTest):
    def test_signed(self):
        to = self.path("out")
        row = self.row("export", "--query", "subject:numbers", "--to", to, "--sign")
        self.assertEqual((row["exported"], row["refused"]), (3, 0))
        files = sorted(glob.glob(os.path.join(glob.escape(to), "*.eml")))
        self.assertEqual(len(files), 3)
        for file in files:
            check = ["openssl", "dgst", "-sha256", "-verify", "publickey.pem", "-signature",
                     file + ".sig", file]
            self.assertEqual(tool(*check, cwd=to).returncode, 0)
            identity = os.path.basename(file).rsplit("[", 1)[1].split("]")[0]
            got = subprocess.run([*self.command("message get"), identity], check=True,
                                 stdout=subprocess.PIPE).stdout
            with open(file, "rb") as exported:
                self.assertEqual(exported.read(), got)
            with open(file, "ab") as exported:
                exported.write(b"x")
            self.assertNotEqual(tool(*check, cwd=to).returncode, 0)
        self.assertEqual(len(self.rows("audit", "--kind", "message-exported")), 3)

    def command(self, words):
        return [os.environ.get("EMLFS_BIN") or os.environ.get("EMLFS") or "emlfs", *words.split(),
                "-a", self.archive]

    def test_never_over_a_file(self):
        to = self.path("out")
        identity = self.rows("search", "subject:quarterly")[0]["id"]
        self.emlfs("export", identity, "--to", to)
        name, = os.listdir(to)
        with open(os.path.join(to, name), "wb") as file:
            file.write(b"mine")
        row, = self.rows("export", identity, "--to", to, "--sign", code=1)
        self.assertEqual((row["exported"], row["refused"]), (0, 1))
        with open(os.path.join(to, name), "rb") as file:
            self.assertEqual(file.read(), b"mine")
        self.assertFalse(os.path.exists(os.path.join(to, name + ".sig")))
        row, = self.rows("export", "0000vv", "--to", self.path("none"), code=1)
        self.assertEqual(os.listdir(self.path("none")), [])
        self.emlfs("export", "--to", to, code=1)
        self.emlfs("export", identity, "--query", "x", "--to", to, code=1)

    def test_another_key(self):
        to = self.path("out")
        os.mkdir(to)
        with open(os.path.join(to, "publickey.pem"), "wb") as file:
            file.write(b"another")
        identity = self.rows("search", "subject:quarterly")[0]["id"]
        self.emlfs("export", identity, "--to", to, "--sign", code=1)
        self.assertEqual(os.listdir(to), ["publickey.pem"])


class Jobs(LedgerTest):
    def test_nothing_due(self):
        self.assertEqual(self.rows("job run", "retention", "--dry-run"), [])
        self.assertEqual(self.rows("audit", "--kind", "job-run"), [])
        self.emlfs("job run", "retention")
        ran, = self.rows("audit", "--kind", "job-run")
        self.assertIn("deleted 0", ran["detail"])
        listed = self.row("job list")
        self.assertEqual((listed["job"], listed["at"]), ("retention", "03:30"))
        self.assertIn("last_run", listed)
        self.emlfs("job run", "nonsense", code=1)
        self.emlfs("job run", "retention", "--until", "2100-01-01", code=1)

    def test_what_would_go(self):
        self.emlfs("policy add", "Week", "--period", "7d", "--auto-delete")
        self.emlfs("hold place", "Case 7", "--query", "subject:köln", "--reason", "court")
        self.assertEqual(self.rows("job run", "retention", "--dry-run"), [])
        rows = self.rows("job run", "retention", "--dry-run", "--until", "2100-01-01")
        results = [row["result"] for row in rows]
        self.assertEqual(results.count("held"), 1)
        self.assertEqual(results.count("would be deleted"), len(rows) - 1)
        self.assertEqual({row["policy"] for row in rows}, {"Week"})
        self.emlfs("job run", "retention")
        self.assertEqual(len(self.rows("search", "subject:numbers")), 3)

    def test_clock(self):
        row = self.row("clock")
        self.assertTrue(row["agree"])
        self.assertLess(abs(row["apart_seconds"]), 300)


if __name__ == "__main__":
    unittest.main()
