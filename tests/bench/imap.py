#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive over IMAP, beside the same Dovecot over a plain Maildir on disk, in the same run.

    EMLFS_BIN=build/emlfs tests/bench/imap.py --tools build/tests [--select 100000] [--sync 10000]

Writes one JSON line for each figure and a table. The Maildir holds the same messages under names as
Dovecot's own delivery makes them (sizes included), so that it is as fast as it can be.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
if os.environ.get("EMLFS_BIN"):
    os.environ["EMLFS_BIN"] = os.path.abspath(os.environ["EMLFS_BIN"])
sys.path.insert(0, os.path.join(HERE, "..", "mount"))
import harness  # noqa: E402
from imap_server import PASSWORDS, PEOPLE, ImapSite, run_alone, skip_unless_dovecot  # noqa: E402

OWNER = "anna"
PLAIN = "maildir on disk"
OURS = "archive"


def generate(tool, count, where, *more):
    subprocess.run([tool, "--count", str(count), "--seed", "7", "--layout", "flat", "--out", where,
                    *more], check=True, stdout=subprocess.DEVNULL)
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(where)
                  for name in names)


def plain_maildir(paths, where):
    """The same messages, with both sizes in their names."""
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(where, part))
    for number, path in enumerate(paths):
        with open(path, "rb") as stream:
            data = stream.read()
        ends = len(data) + len(re.findall(rb"(?<!\r)\n", data))
        name = f"{1700000000 + number}.M{number}P1.host,S={len(data)},W={ends}:2,S"
        with open(os.path.join(where, "cur", name), "wb") as out:
            out.write(data)
    for folder, _, names in os.walk(where):
        for name in [""] + names:
            os.chown(os.path.join(folder, name), PEOPLE[OWNER], PEOPLE[OWNER])


class Bench:
    def __init__(self, site, out):
        self.site, self.out, self.rows = site, out, []
        self.count = self.fetched = 0

    def tell(self, case, who, seconds, count):
        self.rows.append((case, who, seconds, count))
        self.out.write(json.dumps({"case": case, "of": who, "seconds": round(seconds, 4),
                                   "messages": count}) + "\n")
        self.out.flush()

    def forget(self):
        """Nothing is known to Dovecot, and nothing cached by the kernel."""
        for folder in os.listdir(os.path.join(self.site.state, OWNER)):
            shutil.rmtree(os.path.join(self.site.state, OWNER, folder))
        os.sync()
        try:
            with open("/proc/sys/vm/drop_caches", "w") as stream:
                stream.write("3")
        except OSError:
            print("the kernel's caches cannot be dropped: cold is what Dovecot does not know")

    def timed(self, case, who, call, *args):
        begin = time.monotonic()
        answer = call(*args)
        self.tell(case, who, time.monotonic() - begin, self.count)
        return answer

    def mailbox(self, who, name):
        """What a client does that opens a mailbox for the first time, and again."""
        self.forget()
        client = self.site.login(OWNER)
        self.count = 0
        begin = time.monotonic()
        self.count = int(client.select(name)[1][0])
        self.tell("SELECT, cold", who, time.monotonic() - begin, self.count)
        self.timed("FETCH FLAGS", who, client.fetch, "1:*", "(FLAGS)")
        client.logout()
        client = self.site.login(OWNER)
        self.timed("SELECT, again", who, client.select, name)
        self.count = min(self.count, self.fetched)
        some = f"1:{self.count}"
        self.timed("SIZE, DATE", who, client.fetch, some, "(RFC822.SIZE INTERNALDATE)")
        self.timed("SIZE, DATE, again", who, client.fetch, some, "(RFC822.SIZE INTERNALDATE)")
        self.timed("ENVELOPE", who, client.fetch, some, "(ENVELOPE)")
        client.logout()

    def mbsync(self, who, name):
        self.forget()
        local = os.path.join(self.site.top, "mirror")
        shutil.rmtree(local, ignore_errors=True)
        os.mkdir(local)
        config = os.path.join(self.site.top, "mbsyncrc")
        with open(config, "w") as out:
            out.write(f"FSync no\n\nIMAPStore far\nHost 127.0.0.1\nPort {self.site.port}\nUser {OWNER}\n"
                      f"Pass \"{PASSWORDS[OWNER]}\"\nSSLType None\nAuthMechs PLAIN LOGIN\n\n"
                      f"MaildirStore near\nPath {local}/\nInbox {local}/INBOX\n"
                      f"SubFolders Verbatim\n\nChannel all\nFar :far:{name}\nNear :near:mail\n"
                      f"Create Near\nSync Pull\nSyncState {local}/state-\n")
        for case in ("mbsync, first", "mbsync, again"):
            self.timed(case, who, lambda: subprocess.run(["mbsync", "-q", "-c", config, "-a"],
                                                         check=True))
        found = sum(len(names) for folder, _, names in os.walk(os.path.join(local, "mail"))
                    if os.path.basename(folder) in ("cur", "new"))
        if found != self.count:
            raise SystemExit(f"mbsync got {found} of {self.count} messages from: {who}")

    def table(self):
        print(f"{'case':26}{'messages':>10}{OURS + ', s':>14}{PLAIN + ', s':>20}{'ratio':>8}")
        for case, who, seconds, count in self.rows:
            if who == OURS:
                peer = next(row[2] for row in self.rows
                            if row[0] == case and row[1] == PLAIN and row[3] == count)
                print(f"{case:26}{count:>10}{seconds:>14.3f}{peer:>20.3f}{seconds / peer:>8.2f}")


def run(options, site):
    bench = Bench(site, options.out)
    mkmail = os.path.join(options.tools, "mkmail")
    site.users()
    parts = {"Sync": generate(mkmail, options.sync, os.path.join(site.source, "Sync")),
             "Select": generate(mkmail, options.select, os.path.join(site.source, "Select"),
                                "--brief")}
    plain = os.path.join(site.top, "plain", OWNER)
    for name, paths in parts.items():
        plain_maildir(paths, os.path.join(plain, name))
        site.emlfs("import", "-a", site.archive, "--user", OWNER, "--folder", name, "--no-index",
                   os.path.join(site.source, name), timeout=3600)
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(plain, "INBOX", part))
    for folder in (plain, os.path.join(plain, "INBOX")):
        os.chown(folder, PEOPLE[OWNER], PEOPLE[OWNER])
    site.mount("layout=maildir,no_searches")
    folder = {name: harness.run_as(OWNER, folder_of, site.mnt, name) for name in parts}
    bench.fetched = options.fetch
    for who in (OURS, PLAIN):
        state = os.path.join(site.state, "%n")
        site.configure("" if who == OURS else
                       f"mail_location = maildir:{site.top}/plain/%n:LAYOUT=fs:UTF-8:INBOX="
                       f"{site.top}/plain/%n/INBOX:INDEX={state}/index:CONTROL={state}/control")
        site.serve()
        name = folder if who == OURS else {part: part for part in parts}
        bench.mailbox(who, name["Select"])
        bench.count = options.sync
        bench.mbsync(who, name["Sync"])
        if site.log():
            raise SystemExit(site.log())
        site.stop()
        os.unlink(os.path.join(site.top, "dovecot.log"))
    bench.table()


def folder_of(mnt, name):
    """The mailbox that holds the mail of this part: the import made folders as the source had."""
    top = os.path.join(mnt, OWNER)
    for folder, _, names in os.walk(os.path.join(top, name)):
        if names:
            return os.path.relpath(os.path.dirname(folder), top)
    raise SystemExit(f"{name}: no mail")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", required=True, help="where CMake built mkmail")
    parser.add_argument("--select", type=int, default=100000, help="messages of the large mailbox")
    parser.add_argument("--sync", type=int, default=10000, help="messages that mbsync gets")
    parser.add_argument("--fetch", type=int, default=2000, help="of how many of them to ask more")
    parser.add_argument("--out", type=argparse.FileType("w"), default=os.devnull,
                        help="JSON lines go here")
    options = parser.parse_args()
    harness.skip_unless_possible()
    skip_unless_dovecot()
    home = run_alone()
    site = ImapSite()
    try:
        run(options, site)
    finally:
        site.clean()
        shutil.rmtree(home, ignore_errors=True)


main()
