# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench: what emlfs costs, each figure beside its peers, measured in the same run.

See README.md for what every case does and which figures are to be reached.
"""

import argparse
import contextlib
import json
import os
import platform
import pwd
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import peers
import report as reporting

HERE = os.path.dirname(os.path.abspath(__file__))
BENCHES = ("import", "size", "list", "stat", "read", "random", "memory", "big", "million")
DEFAULT = "import,size,list,stat,read,random,memory,big"
ENVIRONMENT = dict(os.environ, LC_ALL="C.UTF-8", TZ="UTC", TIME_STYLE="long-iso")


class Bench:
    """One run: options, places, tools, results."""

    def __init__(self, options, work, report):
        self.options = options
        self.work = work
        self.report = report
        self.reader = ""
        self.generator = ""
        self.bare = ""
        self.messages = 0
        self.bytes = 0
        self.archive = ""
        self.borg = ""
        self.mounted = contextlib.ExitStack()

    def place(self, *names):
        """A path below the work directory."""
        return os.path.join(self.work, *names)

    # ---- running commands

    def run(self, command, env=None, cwd=None):
        """Run to the end, fail on any error; returns seconds and what it printed."""
        begin = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=env or ENVIRONMENT, cwd=cwd, check=False)
        seconds = time.monotonic() - begin
        if done.returncode != 0:
            raise peers.Failure(f"{' '.join(command[:4])} ...: exit {done.returncode}: "
                                f"{done.stderr.decode(errors='replace')[-2000:]}")
        return seconds, done.stdout.decode(errors="replace")

    def timed(self, command, server=None):
        """Like run, output to /dev/null; returns a dict of seconds, processor seconds, noise."""
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy, served = peers.processor_ticks()[0], server.processor_s() if server else 0.0
        begin = time.monotonic()
        with open(os.devnull, "wb") as null, tempfile.TemporaryFile() as errors:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=null, stderr=errors,
                                    env=ENVIRONMENT, check=False).returncode
            seconds = time.monotonic() - begin
            errors.seek(0)
            text = errors.read().decode(errors="replace")
        if status != 0 or text:
            raise peers.Failure(f"{command}: exit {status}: {text[-2000:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        client = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
        server_s = server.processor_s() - served if server else 0.0
        total = (peers.processor_ticks()[0] - busy) / peers.TICK
        return {"s": seconds, "client_s": client, "server_s": server_s,
                "elsewhere_s": max(0.0, total - client - server_s)}

    def record(self, bench, case, target, runs, **more):
        """Runs as timed() gives them: the record holds seconds and the means of the rest."""
        means = {key: round(sum(run[key] for run in runs) / len(runs), 4)
                 for key in ("client_s", "server_s", "elsewhere_s")}
        return self.report.add(bench, case, target, [round(run["s"], 5) for run in runs], **means,
                               **more)

    # ---- tools and mail

    def find_tools(self):
        """mkmail and benchread: built by CMake (--tools), or compiled here."""
        for name in ("mkmail", "benchread"):
            built = os.path.join(self.options.tools or "/nonexistent", name)
            if not os.access(built, os.X_OK):
                built = self.place(name)
                sources = [os.path.join(HERE, entry) for entry in sorted(os.listdir(HERE))
                           if entry.startswith(name) and entry.endswith(".c")]
                self.run(["cc", "-std=gnu17", "-O2", "-D_GNU_SOURCE", "-o", built] + sources)
            if name == "mkmail":
                self.generator = built
            else:
                self.reader = built
        self.find_bare()

    def find_bare(self):
        """barefuse holds emlfs's own request loop: built by CMake, beside the program or --tools."""
        for place in (self.options.tools, os.path.join(os.path.dirname(self.options.emlfs), "tests")):
            built = os.path.join(place or "/nonexistent", "barefuse")
            if os.access(built, os.X_OK):
                self.bare = built
                return
        self.report.note("no barefuse: what FUSE costs by itself is not measured")

    def generate(self, out, count, *more):
        """Generated mail, from the seed of this run."""
        self.run([self.generator, "--count", str(count), "--seed", str(self.options.seed), "--out",
                  out, *more])
        return out

    def prepare_source(self):
        """The mail that is archived: the directory given, or generated."""
        if not self.options.source:
            self.options.source = self.generate(self.place("mail"), self.options.count)
        self.run([self.reader, "cat", self.options.source])
        found = json.loads(self.run([self.reader, "cat", self.options.source])[1])
        self.messages, self.bytes = found["files"], found["bytes"]

    # ---- emlfs

    def emlfs(self, *arguments):
        """Run the emlfs program."""
        return self.run([self.options.emlfs, *arguments])

    def archive_make(self, name):
        """A new archive whose first user is whoever runs the bench."""
        path = self.place(name)
        shutil.rmtree(path, ignore_errors=True)
        self.emlfs("init", path)
        return path

    def archive_fill(self, archive, source):
        """Import source; returns timed()'s dict. The index is made behind it (see run-search)."""
        os.sync()
        run = self.timed([self.options.emlfs, "import", "-q", "--no-index", "-a", archive, "--user",
                          self.options.user, source])
        self.emlfs("search", "-q", "-a", archive, "--user", self.options.user, "--count", "index")
        return run

    def main_archive(self):
        """The archive of the source, imported when no bench has done it yet."""
        if not self.archive:
            self.archive = self.archive_make("archive")
            self.archive_fill(self.archive, self.options.source)
        return self.archive

    def mount(self, archive, name):
        """A target for the user archive in archive; ended with the bench."""
        target = peers.emlfs_mount(self.options.emlfs, archive, self.place(name),
                                   self.options.user, self.options.mount_options)
        self.mounted.callback(target.stop)
        return target

    def export(self, target, name):
        """The plain tree: the same files under the same names, copied out of the mount."""
        tree = self.place(name)
        if os.path.isdir(tree):
            return tree
        target.start()
        self.report.note(f"exporting {target.path}")
        self.run(["cp", "-a", target.path, tree])
        target.stop()
        os.sync()
        return tree

    def targets(self):
        """emlfs, ext4, bare FUSE and the FUSE peers over the same files."""
        emlfs = self.mount(self.main_archive(), "mnt.emlfs")
        tree = self.export(emlfs, "plain")
        plain = peers.Target(self.options.plain_name, tree)
        made = [emlfs, plain]
        if self.bare:
            made.append(peers.bare_mount(self.bare, tree, self.place("mnt.bare")))
        if self.options.peers:
            made.append(peers.bindfs_mount(tree, self.place("mnt.bindfs")))
            image = self.place("plain.squashfs")
            made.append(peers.squash_mount(tree, image, self.place("mnt.squash")))
        for target in made[2:]:
            if target:
                self.mounted.callback(target.stop)
        return [target for target in made if target]

    # ---- benches

    def cases(self, bench, targets, cases, warm=True):
        """Each case on each target in turn, repeats outermost: A B A B. Warm follows cold."""
        results = {}
        for repeat in range(self.options.repeats):
            for case, command in cases.items():
                for target in targets:
                    self.report.note(f"{bench} {case} {target.name} {repeat + 1}")
                    target.fresh()
                    self.load_program(command)
                    for state in ("cold", "warm") if warm else ("cold",):
                        run = self.timed(command(target.path), target)
                        run.update(target.memory())
                        results.setdefault((f"{case} {state}", target.name), []).append(run)
                        shutil.rmtree(self.place("out"), ignore_errors=True)
                    target.stop()
        for (case, name), runs in results.items():
            memory = {"server_peak_bytes": max(run["VmHWM"] for run in runs)} \
                if "VmHWM" in runs[0] else {}
            self.record(bench, case, name, runs, **memory)

    def load_program(self, command):
        """Bring the reading program itself back into memory: not it is measured cold."""
        os.makedirs(self.place("empty"), exist_ok=True)
        self.timed(command(self.place("empty")))
        shutil.rmtree(self.place("out"), ignore_errors=True)

    def ratios(self, bench, goals):
        """Figures against the plain tree: {case: goal}."""
        for case, goal in goals.items():
            self.report.ratio(f"{bench}: {case} / {self.options.plain_name}", bench, case,
                              self.options.plain_name, goal)

    def bench_import(self):
        """Rate of archiving, durable, facts included; beside borg and restic."""
        runs = {"emlfs": [], "borg": [], "restic": []}
        for repeat in range(self.options.repeats):
            self.report.note(f"import {repeat + 1}")
            self.run([self.reader, "cat", self.options.source])
            self.archive = self.archive_make("archive")
            runs["emlfs"].append(self.archive_fill(self.archive, self.options.source))
            runs["borg"] += self.borg_create()
            runs["restic"] += self.restic_backup()
        for name, made in runs.items():
            if made:
                self.record("import", "import", name, made)
                self.report.add("import", "rate", name,
                                [round(self.messages / run["s"], 1) for run in made], "msgs/s")
        self.report.ratio("import: rate / borg", "import", "rate", "borg", 1.5, at_least=True)
        self.report.figure("import: rate", self.report.median("import", "rate", "emlfs"), 2000,
                           at_least=True, unit="msgs/s")

    def borg_create(self):
        """[timed] of borg create, encrypted, into a new repository; [] without borg."""
        program = shutil.which("borg") if self.options.peers else None
        if not program:
            return []
        shutil.rmtree(self.place("borg"), ignore_errors=True)
        ENVIRONMENT.update(BORG_BASE_DIR=self.place("borg.base"), BORG_PASSPHRASE="bench",
                           BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes")
        self.borg = self.place("borg")
        self.run([program, "init", "--encryption=repokey", self.borg])
        os.sync()
        return [self.timed([program, "create", "--compression", "zstd,3", self.borg + "::bench",
                            self.options.source])]

    def restic_backup(self):
        """[timed] of restic backup into a new repository; [] without restic."""
        program = shutil.which("restic") if self.options.peers else None
        if not program:
            return []
        shutil.rmtree(self.place("restic"), ignore_errors=True)
        ENVIRONMENT.update(RESTIC_PASSWORD="bench", RESTIC_REPOSITORY=self.place("restic"),
                           RESTIC_CACHE_DIR=self.place("restic.cache"))
        self.run([program, "init"])
        os.sync()
        return [self.timed([program, "-q", "backup", self.options.source])]

    def bench_size(self):
        """Bytes on disk, catalogue included; the full-text index, which has no peer here, apart."""
        script = 'tar cf - -C "$1" . | zstd -q -3 | wc -c'
        packed = int(self.run(["bash", "-o", "pipefail", "-c", script, "-", self.options.source])[1])
        allocated, apparent = peers.disk_bytes(self.main_archive())
        parts = {name: peers.disk_bytes(os.path.join(top, name))
                 for top, names, _ in os.walk(self.archive) for name in names
                 if name in ("catalog", "packs", "master", "ledger", "index")}
        index = parts.pop("index", (0, 0))
        allocated, apparent = allocated - index[0], apparent - index[1]
        parts = {name: sizes[0] for name, sizes in parts.items()}
        self.report.add("size", "index", "emlfs", [index[0]], "bytes")
        self.report.add("size", "on disk", "emlfs", [allocated], "bytes", apparent=apparent,
                        raw=self.bytes, parts=parts)
        self.report.add("size", "on disk", "tar|zstd -3", [packed], "bytes")
        if not self.borg:
            self.borg_create()
        for name in ("borg", "restic"):
            if os.path.isdir(self.place(name)):
                self.report.add("size", "on disk", name, [peers.disk_bytes(self.place(name))[0]],
                                "bytes")
        self.report.add("size", "raw", "emlfs", [self.bytes], "bytes")
        self.report.ratio("size: / tar|zstd -3", "size", "on disk", "tar|zstd -3", 0.90)
        self.report.ratio("size: / borg", "size", "on disk", "borg", 0.78)

    def bench_list(self):
        """find and ls -lR over everything."""
        self.cases("list", self.targets(), {
            "find": lambda path: ["find", path],
            "ls -lR": lambda path: ["ls", "-lR", path],
        })
        self.ratios("list", {"find cold": 1.0, "ls -lR cold": 1.0, "find warm": 1.3,
                             "ls -lR warm": 1.3})

    def bench_stat(self):
        """lstat of everything in directory order, by a small C program."""
        self.cases("stat", self.targets(), {
            "readdir": lambda path: [self.reader, "list", path],
            "lstat": lambda path: [self.reader, "stat", path],
        })

    def bench_read(self):
        """Everything read: by a lean C program, grep, sha256sum, tar, cp -r, rsync -a."""
        out = self.place("out")
        pipe = ["bash", "-o", "pipefail", "-c", 'tar cf - -C "$1" . | cat >/dev/null', "-"]
        targets = self.targets()
        self.cases("read", targets, {
            "cat": lambda path: [self.reader, "cat", path],
            "grep -r": lambda path: ["bash", "-c", 'grep -rlaF "$1" "$2"; test $? -le 1', "-",
                                     "words that no message holds", path],
            "sha256sum": lambda path: ["find", path, "-type", "f", "-exec", "sha256sum", "{}", "+"],
        })
        self.cases("read", targets, {
            "tar": lambda path: pipe + [path],
            "cp -r": lambda path: ["cp", "-r", path, out],
            "rsync -a": lambda path: ["rsync", "-a", path + "/", out],
        }, warm=False)
        self.ratios("read", {"cat cold": 0.7, "cat warm": 1.5, "grep -r warm": 1.5,
                             "sha256sum warm": 1.5, "tar cold": 1.0, "cp -r cold": 1.0,
                             "rsync -a cold": 1.0})

    def bench_random(self):
        """Latency of open, read, close of random messages, nothing cached."""
        targets = self.targets()
        names = [os.path.relpath(os.path.join(top, name), targets[1].path)
                 for top, _, files in os.walk(targets[1].path) for name in files]
        names.sort()
        random.Random(self.options.seed).shuffle(names)
        share = min(self.options.random_reads, len(names))
        results = {}
        for repeat in range(self.options.repeats):
            chosen = names[repeat * share % len(names):][:share]
            for target in targets:
                for state in ("cold", "process cold"):
                    if state == "cold" or target.name == "emlfs":
                        self.random_reads(target, chosen, state, results)
        for (state, name), values in results.items():
            for share in (0.50, 0.95, 0.99):
                self.report.add("random", f"p{share * 100:.0f} {state}", name,
                                [reporting.quantile(values, share)], reads=len(values))
        self.ratios("random", {"p50 cold": 1.5})
        self.report.figure("random: p50, catalogue cache cold, whole mount",
                           self.report.median("random", "p50 process cold", "emlfs"), 0.0005,
                           unit="s")

    def random_reads(self, target, names, state, results):
        """One pass over names; the seconds of each go to results."""
        self.report.note(f"random {state} {target.name}")
        with open(self.place("names"), "wb") as file:
            for name in names:
                file.write(os.fsencode(os.path.join(target.path, name)) + b"\0")
        target.fresh(keep_page_cache=state != "cold")
        self.run([self.reader, "random", os.devnull])
        _, text = self.run([self.reader, "random", self.place("names")])
        results.setdefault((state, target.name), []).extend(
            int(line) / 1e9 for line in text.split())
        target.stop()

    def bench_memory(self):
        """The mount process after listing and reading everything."""
        emlfs = self.targets()[0]
        cases = {"mounted": None, "ls -lR": ["ls", "-lR", emlfs.path],
                 "cat": [self.reader, "cat", emlfs.path]}
        for case, command in cases.items():
            emlfs.fresh()
            if command:
                self.timed(command, emlfs)
            memory = emlfs.memory()
            self.report.add("memory", f"peak, {case}", "emlfs", [memory["VmHWM"]], "bytes",
                            rss=memory["VmRSS"], anonymous=memory["RssAnon"])
            emlfs.stop()
        self.report.figure("memory: peak after reading everything",
                           self.report.median("memory", "peak, cat", "emlfs"), 150e6, unit="bytes")

    def filled(self, name, count, *more):
        """An archive of generated mail under name; the mail itself is removed again."""
        archive = self.archive_make(name)
        source = self.generate(self.place(name + ".mail"), count, "--brief", "--attachments", "0",
                               "--layout", "mbox", *more)
        self.report.note(f"importing {count} messages")
        run = self.archive_fill(archive, source)
        self.report.add(name, "mbox import", "emlfs", [round(count / run["s"], 1)], "msgs/s")
        shutil.rmtree(source)
        return archive

    def bench_big(self):
        """One folder with 100,000 messages."""
        emlfs = self.mount(self.filled("big", self.options.big_count, "--folders", "1"),
                           "mnt.big")
        plain = peers.Target(self.options.plain_name, self.export(emlfs, "big.plain"))
        self.cases("big", [emlfs, plain], {
            "list": lambda path: [self.reader, "list", path],
            "find": lambda path: ["find", path],
            "ls -l": lambda path: ["ls", "-lR", path],
        })
        self.report.figure("big: list cold", self.report.median("big", "list cold", "emlfs"), 0.6,
                           unit="s")
        self.report.figure("big: find cold", self.report.median("big", "find cold", "emlfs"), 0.6,
                           unit="s")
        self.report.figure("big: ls -l cold", self.report.median("big", "ls -l cold", "emlfs"), 1.2,
                           unit="s")
        shutil.rmtree(plain.path)

    def bench_million(self):
        """A million messages: start of the mount, memory whatever is listed or read."""
        archive = self.filled("million", self.options.million_count, "--folders", "40")
        allocated, _ = peers.disk_bytes(archive)
        self.report.add("million", "on disk", "emlfs", [allocated], "bytes")
        emlfs = self.mount(archive, "mnt.million")
        starts = []
        for _ in range(self.options.repeats):
            emlfs.stop()
            peers.drop_caches()
            emlfs.start()
            starts.append(round(emlfs.start_s, 4))
        self.report.add("million", "mount", "emlfs", starts)
        for case, command in (("find", ["find", emlfs.path]), ("ls -lR", ["ls", "-lR", emlfs.path]),
                              ("cat", [self.reader, "cat", emlfs.path])):
            run = self.timed(command, emlfs)
            self.record("million", case, "emlfs", [run])
            self.report.add("million", f"peak, {case}", "emlfs", [emlfs.memory()["VmHWM"]], "bytes",
                            rss=emlfs.memory()["VmRSS"], anonymous=emlfs.memory()["RssAnon"])
        emlfs.stop()
        self.report.figure("million: mount", self.report.median("million", "mount", "emlfs"), 1.0,
                           unit="s")
        self.report.figure("million: peak memory",
                           self.report.median("million", "peak, cat", "emlfs"), 150e6, unit="bytes")

    def header(self):
        """What was measured where."""
        kind = subprocess.run(["stat", "-f", "-c", "%T", self.work], stdout=subprocess.PIPE,
                              check=True).stdout.decode().strip()
        if "ext" not in kind and not self.options.ext4_image:
            self.options.plain_name = kind
            self.report.note(f"{self.work} is {kind}: consider --ext4-image")
        self.report.emit(header={
            "messages": self.messages, "bytes": self.bytes, "seed": self.options.seed,
            "generated": not self.options.given, "repeats": self.options.repeats,
            "file_system": kind, "processors": os.cpu_count(), "kernel": platform.release(),
            "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            "load": os.getloadavg()[0],
            "emlfs": self.run([self.options.emlfs, "--version"])[1].strip()})


def parse():
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="tests/bench/run", description="Measure emlfs beside its peers (run as root).")
    parser.add_argument("source", nargs="?", help="mail to archive, one message a file "
                                                  "(default: generated)")
    parser.add_argument("--only", default=DEFAULT, metavar="LIST",
                        help=f"of {','.join(BENCHES)} (default: all but million)")
    parser.add_argument("--dir", default="/var/tmp", help="work below this directory (%(default)s)")
    parser.add_argument("--ext4-image", type=int, metavar="GB",
                        help="work on a new ext4 in a loop image of this size below --dir")
    parser.add_argument("--json", metavar="FILE", help="JSON lines go here (default: stdout)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--count", type=int, default=20000, help="generated messages (%(default)s)")
    parser.add_argument("--big-count", type=int, default=100000)
    parser.add_argument("--million-count", type=int, default=1000000)
    parser.add_argument("--random-reads", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--user", default=pwd.getpwuid(os.getuid()).pw_name,
                        help="archive user (default: the account that runs this)")
    parser.add_argument("--mount-options", default="", help="-o of emlfs mount")
    parser.add_argument("--tools", metavar="DIR", help="where CMake built mkmail and benchread")
    parser.add_argument("--no-peers", dest="peers", action="store_false",
                        help="leave out borg, restic, bindfs and squashfuse")
    parser.add_argument("--check", action="store_true", help="exit 1 when a figure is missed")
    parser.add_argument("--smoke", action="store_true",
                        help="everything once on little mail: that it works, not how fast")
    parser.add_argument("--keep", action="store_true", help="leave the work directory")
    options = parser.parse_args()
    options.emlfs = os.environ.get("EMLFS_BIN") or shutil.which("emlfs") or ""
    options.plain_name = "ext4"
    options.given = bool(options.source)
    if options.smoke:
        options.peers, options.repeats = False, 1
        options.only = ",".join(BENCHES) if options.only == DEFAULT else options.only
        options.count, options.big_count, options.million_count = 300, 500, 600
        options.random_reads = 50
    options.only = options.only.split(",")
    unknown = [name for name in options.only if name not in BENCHES]
    if unknown:
        parser.error(f"no bench named {unknown[0]}")
    return options


def skip_reason(options):
    """Why the bench cannot run here, or None."""
    if os.geteuid() != 0:
        return "needs root: it drops caches and mounts"
    if not os.path.exists("/dev/fuse"):
        return "needs /dev/fuse"
    if not os.access(options.emlfs, os.X_OK):
        return "EMLFS_BIN names no program"
    return None


@contextlib.contextmanager
def work_directory(options):
    """A new directory, on an ext4 of its own when asked; removed at the end."""
    work = tempfile.mkdtemp(prefix="emlfs-bench.", dir=options.dir)
    inner = work
    try:
        if options.ext4_image:
            image, inner = os.path.join(work, "image"), os.path.join(work, "ext4")
            with open(image, "wb") as file:
                file.truncate(options.ext4_image << 30)
            subprocess.run(["mkfs.ext4", "-q", image], check=True)
            os.mkdir(inner)
            subprocess.run(["mount", "-o", "loop", image, inner], check=True)
        yield inner
    finally:
        if inner != work and os.path.ismount(inner) and not options.keep:
            subprocess.run(["umount", inner], check=False)
        if options.keep:
            sys.stderr.write(f"# kept: {work}\n")
        elif not os.path.ismount(inner):
            shutil.rmtree(work, ignore_errors=True)


def interrupt(number, _frame):
    """SIGTERM and SIGHUP end the bench as Ctrl-C does: with clean-up."""
    raise SystemExit(128 + number)


def main():
    """Run what was asked for."""
    options = parse()
    reason = skip_reason(options)
    if reason:
        sys.stderr.write(f"bench: {reason}\n")
        return 77
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(open(options.json, "w", encoding="utf-8")) \
            if options.json else sys.stdout
        report = reporting.Report(stream, sys.stderr)
        bench = Bench(options, stack.enter_context(work_directory(options)), report)
        stack.enter_context(bench.mounted)
        bench.find_tools()
        bench.prepare_source()
        bench.header()
        try:
            for name in BENCHES:
                if name in options.only:
                    getattr(bench, "bench_" + name)()
        finally:
            report.table()
        return 1 if options.check and report.missed() else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except peers.Failure as failure:
        sys.stderr.write(f"bench: {failure}\n")
        sys.exit(2)
