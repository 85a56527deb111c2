# SPDX-License-Identifier: GPL-3.0-or-later
"""The search bench: indexing and queries, beside notmuch and mu on the same mail in the same run.

See README.md for what every case does.
"""

import argparse
import contextlib
import json
import os
import pwd
import random
import re
import shutil
import signal
import subprocess
import sys

import bench as benches
import peers
import report as reporting

CASES = ("index", "import", "query", "process")
COMMON = (100, 2000)  # messages that hold a word of "and", "folder" and "date"
# Class of queries: milliseconds that the median query may take, in the process.
GOALS = {"rare": 2, "field": 2, "and": 2, "prefix": 2, "folder": 2, "date": 2, "phrase": 20,
         "infix": 50, "leading": 100}


def maildir_of(source, out):
    """The files below source as Maildirs of the same names, for notmuch and mu."""
    number = 0
    for directory, _, files in sorted(os.walk(source)):
        target = os.path.join(out, os.path.relpath(directory, source))
        for name in ("cur", "new", "tmp") if files else ():
            os.makedirs(os.path.join(target, name), exist_ok=True)
        for file in sorted(files):
            number += 1
            shutil.copyfile(os.path.join(directory, file), f"{target}/cur/{number}.mail:2,S")
    return out


def bytes_below(directory):
    """Bytes allocated on disk."""
    return sum(os.lstat(os.path.join(base, file)).st_blocks * 512
               for base, _, files in os.walk(directory) for file in files)


class Notmuch:
    """A notmuch database of its own."""

    name = "notmuch"

    def __init__(self, work, mail):
        self.database = os.path.join(work, "notmuch")
        self.config = os.path.join(work, "notmuch.config")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(f"[database]\npath={self.database}\nmail_root={mail}\n[new]\ntags=new\n")
        self.environment = dict(benches.ENVIRONMENT, NOTMUCH_CONFIG=self.config)

    def fresh(self):
        """Forget everything."""
        shutil.rmtree(self.database, ignore_errors=True)
        os.mkdir(self.database)

    def index(self):
        """The command that indexes all mail."""
        return ["notmuch", "new", "--quiet"]

    def search(self, question):
        """The command for a question, None when it cannot be asked."""
        text = {"word": "{word}", "field": "subject:{word}", "and": "{word} and {other}",
                "prefix": "{word}*", "phrase": '"{word} {other}"', "date": "{word} date:{month}",
                "folder": '{word} folder:"{folder}"'}.get(question["form"])
        return text and ["notmuch", "search", text.format(**question)]


class Mu:
    """A mu database of its own."""

    name = "mu"

    def __init__(self, work, mail):
        self.database = os.path.join(work, "mu")
        self.mail = mail
        self.environment = benches.ENVIRONMENT

    def fresh(self):
        """Forget everything."""
        shutil.rmtree(self.database, ignore_errors=True)
        subprocess.run(["mu", "init", "--quiet", f"--muhome={self.database}",
                        f"--maildir={self.mail}"], check=True, stdout=subprocess.DEVNULL,
                       env=self.environment)

    def index(self):
        """The command that indexes all mail."""
        return ["mu", "index", "--quiet", f"--muhome={self.database}"]

    def search(self, question):
        """The command for a question, None when it cannot be asked."""
        text = {"word": "{word}", "field": "subject:{word}", "and": "{word} and {other}",
                "prefix": "{word}*", "phrase": '"{word} {other}"',
                "date": "{word} date:{month}-01..{month}-28",
                "folder": '{word} maildir:"/{folder}"'}.get(question["form"])
        return text and ["mu", "find", f"--muhome={self.database}", text.format(**question)]


def emlfs_query(question):
    """The question in emlfs-query(7)'s language."""
    return {"word": "{word}", "field": "subject:{word}", "and": "{word} {other}",
            "prefix": "{word}*", "phrase": '"{word} {other}"', "date": "{word} date:{month}",
            "folder": '{word} folder:"{folder}"', "infix": "{word}",
            "leading": "*{word}"}[question["form"]].format(**question)


class Words:
    """Words, neighbours, folders and months of some of the messages of the source."""

    def __init__(self, source, seed):
        self.random = random.Random(seed)
        self.source = source
        paths = [os.path.join(base, file) for base, _, files in sorted(os.walk(source))
                 for file in sorted(files)]
        self.messages = []
        for path in self.random.sample(paths, min(len(paths), 2000)):
            with open(path, encoding="utf-8", errors="replace") as file:
                head, _, body = file.read(100000).replace("\r", "").partition("\n\n")
            if "multipart" not in head and "base64" not in head and "quoted" not in head:
                self._add(path, head, body)
        self.random.shuffle(self.messages)

    def _add(self, path, head, body):
        lines = [re.findall(r"(?:(?<=\s)|^)[a-z]{4,12}(?= |$)", line)
                 for line in body.split("\n") if re.fullmatch(r"[A-Za-z ]{20,}", line)]
        words = sorted({word for line in lines for word in line if len(word) > 5})
        pairs = [match.groups() for line in body.split("\n") if re.fullmatch(r"[A-Za-z ]{20,}", line)
                 for match in re.finditer(r"\b([a-z]{2,}) ([a-z]{2,})\b", line)]
        subject = re.search(r"^Subject: .*?\b([a-z]{5,})\b", head, re.MULTILINE)
        if words and pairs:
            self.messages.append({"words": words, "pairs": pairs,
                                  "subject": subject and subject.group(1),
                                  "folder": os.path.relpath(os.path.dirname(path), self.source)})

    def candidates(self):
        """Distinct words, in an order that the seed gives."""
        words = sorted({word for message in self.messages for word in message["words"]})
        self.random.shuffle(words)
        return words


class SearchBench(benches.Bench):
    """The cases."""

    def __init__(self, options, work, report):
        super().__init__(options, work, report)
        self.indexbench = self.mailcopies = ""
        self.peers = []

    def find_tools(self):
        """CMake has built them."""
        super().find_tools()
        for name in ("indexbench", "mailcopies"):
            path = os.path.join(self.options.tools, name)
            if not os.access(path, os.X_OK):
                raise peers.Failure(f"{path} is not there: --tools names where CMake built it")
            setattr(self, name, path)

    def prepare_peers(self):
        """notmuch and mu, where they are installed."""
        wanted = [kind for kind in (Notmuch, Mu) if self.options.peers]
        found = [kind for kind in wanted if shutil.which(kind.name)]
        for kind in wanted:
            if kind not in found:
                self.report.note(f"{kind.name} is not installed: left out")
        if found:
            mail = maildir_of(self.options.source, self.place("maildir"))
            self.peers = [kind(self.work, mail) for kind in found]

    def import_into(self, archive, *sources, index=True):
        """Import; timed()'s dict."""
        os.sync()
        return self.timed([self.options.emlfs, "import", "-q", "-a", archive, "--user",
                           self.options.user, *([] if index else ["--no-index"]), *sources])

    def timed_peer(self, peer, command):
        """Like timed, in the peer's environment, with what it complains about ignored."""
        done = subprocess.run(["/usr/bin/time", "-f", "%e %U %S", *command], check=False,
                              env=peer.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise peers.Failure(f"{command}: exit {done.returncode}: {done.stderr[-500:]!r}")
        wall, user, system = (float(word) for word in done.stderr.split()[-3:])
        return {"s": wall, "client_s": user + system, "server_s": 0.0, "elsewhere_s": 0.0}

    # ---- indexing

    def bench_index(self):
        """Text at hand into an index; all of `index rebuild`; the peers' whole indexing."""
        archive = self.archive_make("archive.index")
        self.import_into(archive, self.options.source, index=False)
        for repeat in range(self.options.repeats):
            self.report.note(f"index {repeat + 1}")
            self.index_once(archive, repeat)
        status = self.index_status(archive)
        self.report.add("index", "bytes / text", "emlfs", [status["bytes"] / status["text"]], "x")
        self.report.figure("index: bytes / bytes of text", status["bytes"] / status["text"], 0.5)
        for peer in self.peers:
            self.report.add("index", "bytes / text", peer.name,
                            [bytes_below(peer.database) / status["text"]], "x")
            goal = {"notmuch": 10, "mu": 5}[peer.name]
            mine = self.report.median("index", "rate", "text at hand")
            self.report.figure(f"index: text at hand / {peer.name}",
                               mine / self.report.median("index", "rate", peer.name), goal,
                               at_least=True, unit="x")
        shutil.rmtree(archive)

    def index_once(self, archive, repeat):
        """Each way once; what comes first changes nothing, all is in the page cache."""
        out = self.place(f"index.{repeat}")
        fed = json.loads(self.run([self.indexbench, "feed", archive, self.options.emlfs, out])[1])
        shutil.rmtree(out)
        if fed["messages"] != self.messages:
            self.report.note(f"{self.messages - fed['messages']} files were there twice")
        self.rate("text at hand", fed["s"], fed["messages"])
        run = self.timed([self.options.emlfs, "index", "rebuild", "-q", "-a", archive])
        self.rate("rebuild", run["s"], fed["messages"], processor_s=run["client_s"])
        for peer in self.peers:
            peer.fresh()
            run = self.timed_peer(peer, peer.index())
            self.rate(peer.name, run["s"], self.messages, processor_s=run["client_s"])

    def rate(self, target, seconds, messages, **more):
        """A run more of a target of index/rate."""
        before = self.report.records.get(("index", "rate", target), {"runs": []})["runs"]
        self.report.add("index", "rate", target, before + [round(messages / seconds, 1)], "msgs/s",
                        **more)

    def index_status(self, archive):
        """Sums over the stores."""
        rows = [json.loads(line) for line in
                self.emlfs("index", "status", "--json", "-a", archive)[1].splitlines()]
        return {"bytes": sum(row["bytes"] for row in rows),
                "text": sum(row["bytes_of_text"] for row in rows),
                "waiting": sum(row["waiting"] for row in rows)}

    def bench_import(self):
        """The rate of archiving with indexing, until all of it is indexed, and without."""
        runs = {True: [], False: []}
        for repeat in range(max(3, self.options.repeats)):
            self.report.note(f"import {repeat + 1}")
            for index, made in runs.items():
                archive = self.archive_make("archive.import")
                made.append(self.import_into(archive, self.options.source, index=index))
                waiting = self.index_status(archive)["waiting"]
                if index and waiting:
                    raise peers.Failure(f"{waiting} messages were not indexed")
        for index, name in ((True, "indexing"), (False, "not indexing")):
            self.record("import", "import", name, runs[index])
            self.report.add("import", "rate", name,
                            [round(self.messages / run["s"], 1) for run in runs[index]], "msgs/s")
        self.report.ratio("import: rate, indexing / not indexing", "import", "rate",
                          "not indexing", 0.5, at_least=True, target="indexing")
        shutil.rmtree(archive)

    # ---- queries

    def big_archive(self):
        """The source and its copies, indexed."""
        archive = self.place("archive.big")
        if os.path.isdir(archive):
            return archive
        sources = [self.options.source]
        copies = self.place("copies")
        if self.options.copies > 1:
            self.report.note("writing copies with other words")
            os.mkdir(copies)
            self.run([self.mailcopies, self.options.source, copies, str(self.options.copies - 1)])
            sources.append(copies)
        self.archive_make("archive.big")
        self.report.note("importing and indexing them")
        for source in sources:
            self.import_into(archive, source)
        shutil.rmtree(copies, ignore_errors=True)
        return archive

    def ask(self, archive, queries, repeats):
        """[{query, n, first_ms, p50_ms, max_ms}] as indexbench measures them."""
        done = subprocess.run([self.indexbench, "ask", archive, self.options.user, str(repeats)],
                              input="".join(query + "\n" for query in queries).encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise peers.Failure(f"indexbench ask: {done.stderr.decode(errors='replace')}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def choose(self, archive):
        """{class: [question]}, from words of the source and how many messages have them."""
        words = Words(self.options.source, self.options.seed)
        candidates = words.candidates()[:3000]
        counts = {answer["query"]: answer["n"] for answer in self.ask(archive, candidates, 1)}
        rare = [word for word in candidates if 1 <= counts[word] <= 20]
        common = {word for word in candidates if COMMON[0] <= counts[word] <= COMMON[1]}
        made = {name: [] for name in GOALS}
        for message in words.messages:
            mine = [word for word in message["words"] if word in common]
            for name, question in self.of_message(words, message, mine):
                made[name].append(question)
        made["rare"] = [{"form": "word", "word": word} for word in rare]
        made["leading"] = [{"form": "leading", "word": word[-5:]} for word in candidates]
        made["prefix"] = [{"form": "prefix", "word": word[:5]} for word in candidates]
        made["infix"] = [{"form": "infix", "word": word[:3] + "?" + word[4:]}
                         for word in candidates]
        return {name: questions[:self.options.queries] for name, questions in made.items()}

    def of_message(self, words, message, mine):
        """Questions that this message answers."""
        word, other = words.random.choice(message["pairs"])
        yield "phrase", {"form": "phrase", "word": word, "other": other}
        if message["subject"]:
            yield "field", {"form": "field", "word": message["subject"]}
        if len(mine) >= 2:
            yield "and", {"form": "and", "word": mine[0], "other": mine[1]}
        if mine:
            yield "folder", {"form": "folder", "word": mine[0], "folder": message["folder"]}
            month = f"{words.random.randrange(1998, 2004)}-{words.random.randrange(1, 13):02}"
            yield "date", {"form": "date", "word": mine[0], "month": month}

    def bench_query(self):
        """Latencies in the process, over the source and its copies, all results taken."""
        archive = self.big_archive()
        for name, questions in self.choose(archive).items():
            if not questions:
                self.report.note(f"{name}: no such query was found in the mail")
                continue
            answers = self.ask(archive, [emlfs_query(question) for question in questions],
                               self.options.times)
            slowest = max(answers, key=lambda answer: answer["p50_ms"])
            found = sorted(answer["n"] for answer in answers)
            runs = [answer["p50_ms"] / 1000 for answer in answers]
            self.report.add("query", name, "emlfs", [round(run, 7) for run in runs],
                            found_median=found[len(found) // 2], found_max=found[-1],
                            slowest=slowest)
            self.report.add("query", name, "p95", [reporting.quantile(runs, 0.95)])
            self.report.add("query", name, "first",
                            [round(answer["first_ms"] / 1000, 7) for answer in answers])
            self.report.figure(f"query: {name}, p50", self.report.median("query", name, "emlfs"),
                               GOALS[name] / 1000, unit="s")

    def bench_process(self):
        """Whole programs: emlfs search with and without a mount, notmuch search, mu find."""
        archive = self.archive_make("archive.process")
        self.import_into(archive, self.options.source)
        for peer in self.peers:
            if not os.path.isdir(peer.database):
                peer.fresh()
                self.timed_peer(peer, peer.index())
        chosen = {name: questions[:self.options.processes]
                  for name, questions in self.choose(archive).items()}
        self.processes("emlfs", archive, chosen)
        mount = self.mount(archive, "mnt.search")
        mount.start()
        self.processes("emlfs mounted", archive, chosen)
        mount.stop()
        for name in GOALS:
            for target in ("emlfs", "emlfs mounted"):
                self.report.ratio(f"process: {name}, {target} / notmuch", "process", name,
                                  "notmuch", 1, target=target)
        shutil.rmtree(archive)

    def processes(self, target, archive, chosen):
        """emlfs, and the first time the peers."""
        for name, questions in chosen.items():
            runs = [self.timed([self.options.emlfs, "search", "-q", "-a", archive, "--user",
                                self.options.user, "--", emlfs_query(question)])["s"]
                    for question in questions]
            if runs:
                self.report.add("process", name, target, [round(run, 5) for run in runs])
            for peer in self.peers if target == "emlfs" else ():
                commands = [peer.search(question) for question in questions]
                runs = [self.seconds_of(peer, command) for command in commands if command]
                if runs:
                    self.report.add("process", name, peer.name, [round(run, 5) for run in runs])

    def seconds_of(self, peer, command):
        """Of a search; mu ends with an error when nothing is found."""
        with open(os.devnull, "wb") as null:
            begin = benches.time.monotonic()
            subprocess.run(command, env=peer.environment, stdin=subprocess.DEVNULL, stdout=null,
                           stderr=null, check=False)
            return benches.time.monotonic() - begin


def parse():
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="tests/bench/run-search",
        description="Measure search beside notmuch and mu (run as root).")
    parser.add_argument("source", nargs="?", help="mail, one message a file (default: generated)")
    parser.add_argument("--only", default=",".join(CASES), metavar="LIST", help="of %(default)s")
    parser.add_argument("--dir", default="/var/tmp", help="work below this directory (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="JSON lines go here (default: stdout)")
    parser.add_argument("--repeats", type=int, default=1, help="of indexing (%(default)s)")
    parser.add_argument("--copies", type=int, default=10,
                        help="of the source, for query (%(default)s)")
    parser.add_argument("--queries", type=int, default=200, help="of each kind (%(default)s)")
    parser.add_argument("--times", type=int, default=5, help="each query (%(default)s)")
    parser.add_argument("--processes", type=int, default=20,
                        help="queries of each kind for process (%(default)s)")
    parser.add_argument("--count", type=int, default=20000, help="generated messages (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tools", metavar="DIR", help="where CMake built the bench's programs "
                                                       "(tests/ beside EMLFS_BIN)")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--check", action="store_true", help="a missed figure is exit code 1")
    parser.add_argument("--keep", action="store_true", help="leave the work directory")
    parser.add_argument("--smoke", action="store_true",
                        help="everything once on little mail: that it works, not how fast")
    options = parser.parse_args()
    options.emlfs = os.environ.get("EMLFS_BIN") or shutil.which("emlfs") or ""
    options.tools = options.tools or os.path.join(os.path.dirname(options.emlfs), "tests")
    options.user = pwd.getpwuid(os.getuid()).pw_name
    options.plain_name, options.ext4_image, options.mount_options = "ext4", 0, ""
    options.given = bool(options.source)
    options.only = options.only.split(",")
    if options.smoke:
        options.peers, options.copies, options.count = False, 2, 300
        options.queries, options.processes = 5, 2
    unknown = [name for name in options.only if name not in CASES]
    if unknown:
        parser.error(f"no case named {unknown[0]}")
    return options


def main():
    """Run what was asked for."""
    options = parse()
    reason = benches.skip_reason(options)
    if reason:
        sys.stderr.write(f"bench: {reason}\n")
        return 77
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, benches.interrupt)
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(open(options.json, "w", encoding="utf-8")) \
            if options.json else sys.stdout
        report = reporting.Report(stream, sys.stderr)
        made = SearchBench(options, stack.enter_context(benches.work_directory(options)), report)
        stack.enter_context(made.mounted)
        made.find_tools()
        made.prepare_source()
        made.prepare_peers()
        made.header()
        try:
            for name in CASES:
                if name in options.only:
                    getattr(made, "bench_" + name)()
        finally:
            report.table()
        return 1 if options.check and report.missed() else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except peers.Failure as failure:
        sys.stderr.write(f"bench: {failure}\n")
        sys.exit(2)
