#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention once more, written from the design alone and with Python's calendar.

reference.py compares the C code (through retention_tool, EMLFS_RETENTION_TOOL) with it:
10,000 random policy sets, each with messages, and random changes of policies, where the reference
tries every combination of queries on many dates while the C code must decide by reasoning. 1,000
random sets are put in force in a real archive with an index, too (archive_tool).
"""
import datetime
import errno
import os
import random
import subprocess
import sys
import unittest

ENABLED, AUTO = 1, 2
ARCHIVED, RECEIVED, SENT, YEAR_END = 1, 2, 3, 4
DAYS, MONTHS, YEARS = 1, 2, 3
GOVERNANCE, COMPLIANCE = 1, 2
ALWAYS, NEVER = -2**63, 2**63 - 1
EPOCH = datetime.datetime(1970, 1, 1)


def moment(sec):
    return EPOCH + datetime.timedelta(seconds=sec)


def seconds(time):
    return (time - EPOCH) // datetime.timedelta(seconds=1)


def add(sec, unit, count):
    if unit == DAYS:
        return sec + count * 86400
    start = moment(sec)
    years, month = divmod(start.month - 1 + count * (12 if unit == YEARS else 1), 12)
    try:
        return seconds(start.replace(year=start.year + years, month=month + 1))
    except ValueError:  # no such day: the month is over when the next one begins
        years, month = divmod(12 * years + month + 1, 12)
        return seconds(datetime.datetime(start.year + years, month + 1, 1))


class Policy:
    def __init__(self, flags, start, unit, count, query):
        self.flags, self.start, self.unit, self.count, self.query = flags, start, unit, count, query

    def matches(self, mask):
        return bool(self.flags & ENABLED) and (self.query < 0 or mask >> self.query & 1)

    def end(self, message):
        return add(message.start(self.start), self.unit, self.count)

    def line(self):
        return f"{self.flags} {self.start} {self.unit} {self.count} {self.query}"


class Message:
    def __init__(self, archived, floor, received, sent):
        self.archived, self.floor, self.received, self.sent = archived, floor, received, sent

    def start(self, rule):
        claim = {ARCHIVED: None, SENT: self.sent}.get(rule, self.received)
        if claim is None:
            claim = self.archived
        claim = min(max(claim, self.floor), self.archived)
        if rule == YEAR_END:
            return seconds(datetime.datetime(moment(claim).year + 1, 1, 1))
        return claim

    def line(self):
        claims = " ".join(f"{int(c is not None)} {c or 0}" for c in (self.received, self.sent))
        return f"{self.archived} {self.floor} {claims}"


def verdict(policies, message, mask):
    """(earliest, latest, index that fixed the first, index that fixed the second)"""
    hits = [i for i, policy in enumerate(policies) if policy.matches(mask)]
    none = len(policies)
    if not hits:
        return ALWAYS, NEVER, none, none
    first = hits[0]
    earliest = policies[first].end(message)
    autos = [i for i in hits if policies[i].flags & AUTO]
    if not autos:
        return earliest, NEVER, first, none
    return earliest, max(earliest, policies[autos[0]].end(message)), first, autos[0]


def set_line(policies):
    return " ".join([str(len(policies))] + [policy.line() for policy in policies])


def ask(lines):
    tool = os.environ["EMLFS_RETENTION_TOOL"]
    out = subprocess.run([tool], input="\n".join(lines) + "\n", capture_output=True, text=True,
                         check=True)
    answers = [tuple(map(int, line.split())) for line in out.stdout.splitlines()]
    assert len(answers) == len(lines), (len(answers), len(lines))
    return answers


# ---- random things, drawn to the edges

EDGES = [(2024, 2, 29), (2023, 2, 28), (2024, 1, 31), (2024, 3, 31), (2023, 12, 31), (2024, 1, 1),
         (2000, 2, 29), (1999, 12, 31), (2024, 8, 31), (2024, 10, 30), (2096, 2, 29), (2100, 2, 28)]


def random_moment(rng):
    if rng.random() < 0.5:
        day = datetime.datetime(*rng.choice(EDGES))
    else:
        day = datetime.datetime(1985, 1, 1) + datetime.timedelta(days=rng.randrange(45000))
    return seconds(day) + rng.choice([0, 0, 1, 43200, 86399, rng.randrange(86400)])


def random_claim(rng, archived):
    kind = rng.randrange(6)
    if kind == 0:
        return None
    if kind == 1:
        return rng.choice([-2**61, 2**61, -62135596800, 0, 1, -1])
    if kind == 2:
        return archived + rng.choice([-86400, -1, 0, 1, 86400])
    return random_moment(rng)


def random_message(rng):
    archived = random_moment(rng)
    floor = rng.choice([archived, archived, random_moment(rng), archived - 86400 * 3000])
    return Message(archived, floor, random_claim(rng, archived), random_claim(rng, archived))


LONGEST = {DAYS: 365242, MONTHS: 12000, YEARS: 1000}


def random_policy(rng, queries):
    unit = rng.choice([DAYS, MONTHS, YEARS, YEARS])
    most = LONGEST[unit]
    usual = {DAYS: 4000, MONTHS: 130, YEARS: 12}[unit]
    count = most if rng.random() < 0.02 else rng.randint(1, usual)
    flags = rng.choice([ENABLED] * 5 + [0]) | rng.choice([0, AUTO])
    return Policy(flags, rng.choice([ARCHIVED, RECEIVED, SENT, YEAR_END]), unit, count,
                  rng.randrange(-1, queries))


def random_set(rng, most, queries):
    return [random_policy(rng, queries) for _ in range(rng.randint(0, most))]


# ---- changes

def changed(rng, policies, queries):
    """A set near to policies: what an administrator does in a minute."""
    out = [Policy(p.flags, p.start, p.unit, p.count, p.query) for p in policies]
    for _ in range(rng.randint(1, 2)):
        kind = rng.randrange(7)
        if kind == 0 or not out:
            out.insert(rng.randint(0, len(out)), random_policy(rng, queries))
            continue
        policy = rng.choice(out)
        if kind == 1:
            count = policy.count + rng.choice([-1, 1, 1, 12, 30])
            policy.count = min(max(1, count), LONGEST[policy.unit])
        elif kind == 2:
            policy.flags ^= rng.choice([ENABLED, AUTO])
        elif kind == 3:
            out.remove(policy)
        elif kind == 4:
            rng.shuffle(out)
        elif kind == 5:
            policy.query = rng.randrange(-1, queries)
        else:
            policy.start = rng.choice([ARCHIVED, RECEIVED, SENT, YEAR_END])
    return out


def probe_messages():
    """Dates that tell start rules apart, on the days where months and years differ."""
    archived = [seconds(datetime.datetime(*edge)) + of_day for edge in EDGES[:6]
                for of_day in (0, 86399)]
    early = -62135596800
    for at in archived:
        yield Message(at, early, at, at)
        yield Message(at, early, at - 86400 * 20000, at)
        yield Message(at, early, at, at - 86400 * 20000)


def counterexample(old, new, queries, probes):
    for mask in range(1 << queries):
        for message in probes:
            early, late, _, _ = verdict(old, message, mask)
            new_early, new_late, _, _ = verdict(new, message, mask)
            if early != ALWAYS and (new_early < early or new_late < late):
                return mask, message
    return None


def easy(policies):
    """Where reasoning and trying must agree: no automatic deletion, no days beside months."""
    return not any(p.flags & AUTO or p.unit == DAYS for p in policies)


# ---- a real archive

FIRST = -62135596800  # 0001-01-01


class Filed:
    """A message in a real archive: claims count only where its dates were vouched for."""

    def __init__(self, rng, archived):
        self.vouched = rng.random() < 0.7
        self.claims = random_claim(rng, archived), random_claim(rng, archived)
        self.mask = rng.randrange(32)
        self.message = Message(archived, FIRST if self.vouched else archived, *self.claims)

    def line(self):
        claims = " ".join(f"{int(c is not None)} {c or 0}" for c in self.claims)
        return f"{self.message.archived} {int(self.vouched)} {claims} {self.mask}"


def ask_archive(filed, sets):
    """For each (until, policies): the verdicts, and the numbers of what is due."""
    lines = [str(len(filed))] + [mail.line() for mail in filed]
    lines += [f"{until} {set_line(policies)}" for until, policies in sets]
    out = subprocess.run([os.environ["EMLFS_ARCHIVE_TOOL"]], input="\n".join(lines) + "\n",
                         capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(out) == len(sets) * (len(filed) + 1), (len(out), len(sets))
    for at in range(0, len(out), len(filed) + 1):
        verdicts = [tuple(map(int, line.split())) for line in out[at:at + len(filed)]]
        yield verdicts, list(map(int, out[at + len(filed)].split()[1:]))


class Archive(unittest.TestCase):
    def test_random_sets(self):
        """1,000 sets, each put in force beside the last one, over all messages."""
        rng = random.Random(99)
        filed = [Filed(rng, at) for at in sorted(random_moment(rng) for _ in range(40))]
        sets = [(random_moment(rng), random_set(rng, 6, 5)) for _ in range(1000)]
        covered = automatic = due_n = 0
        for (until, policies), (verdicts, due) in zip(sets, ask_archive(filed, sets), strict=True):
            wanted = [verdict(policies, mail.message, mail.mask) for mail in filed]
            self.assertEqual(verdicts, wanted, set_line(policies))
            self.assertEqual(due, [i for i, answer in enumerate(wanted) if answer[1] < until],
                             set_line(policies))
            covered += sum(answer[0] != ALWAYS for answer in wanted)
            automatic += sum(answer[1] != NEVER for answer in wanted)
            due_n += len(due)
        self.assertGreater(covered, 20000)
        self.assertGreater(automatic, 10000)
        self.assertGreater(due_n, 1000)


class Retention(unittest.TestCase):
    def test_worked_examples(self):
        message = Message(seconds(datetime.datetime(2026, 3, 1)), 0, None, None)
        keep = {y: Policy(ENABLED, ARCHIVED, YEARS, y, -1) for y in (6, 10)}
        auto = {y: Policy(ENABLED | AUTO, ARCHIVED, YEARS, y, -1) for y in (6, 10)}
        end = {y: add(message.archived, YEARS, y) for y in (6, 10)}
        for policies, wanted in (
                ([keep[6]], (end[6], NEVER)),
                ([auto[10]], (end[10], end[10])),
                ([keep[6], keep[10]], (end[6], NEVER)),
                ([keep[6], auto[10]], (end[6], end[10])),
                ([keep[10], auto[6]], (end[10], end[10]))):
            self.assertEqual(verdict(policies, message, 0)[:2], wanted)
            self.assertEqual(ask([f"M {set_line(policies)} {message.line()} 0"])[0][:2], wanted)

    def test_random_sets(self):
        rng = random.Random(2026)
        cases = []
        for _ in range(10000):
            policies = random_set(rng, 8, 5)
            cases += [(policies, random_message(rng), rng.randrange(32)) for _ in range(4)]
        answers = ask([f"M {set_line(p)} {m.line()} {mask}" for p, m, mask in cases])
        covered = automatic = 0
        for (policies, message, mask), answer in zip(cases, answers):
            wanted = verdict(policies, message, mask)
            self.assertEqual(answer, wanted, (set_line(policies), message.line(), mask))
            covered += wanted[0] != ALWAYS
            automatic += wanted[1] != NEVER
        self.assertGreater(covered, len(cases) // 2)
        self.assertGreater(automatic, len(cases) // 4)

    def test_forged_dates_shorten_nothing(self):
        rng = random.Random(7)
        cases = []
        for _ in range(2000):
            policies = [random_policy(rng, 0)]
            policies[0].flags |= ENABLED
            honest = Message(random_moment(rng), 0, None, None)
            honest.floor = honest.archived
            forged = Message(honest.archived, honest.floor, random_claim(rng, honest.archived),
                             random_claim(rng, honest.archived))
            cases.append((policies, honest, forged))
        lines = [f"M {set_line(p)} {m.line()} 0" for p, *both in cases for m in both]
        answers = ask(lines)
        for honest, forged in zip(answers[::2], answers[1::2]):
            self.assertGreaterEqual(forged[0], honest[0])

    def test_changes(self):
        rng = random.Random(11)
        probes = list(probe_messages())
        cases = []
        for _ in range(2500):
            old = random_set(rng, 4, 2)
            if rng.random() < 0.5:
                for policy in old:
                    policy.flags &= ~AUTO
                    policy.unit, policy.count = YEARS, 1 + policy.count % 12
            cases.append((old, changed(rng, old, 2)))
        lines = [f"C {mode} {mode} {set_line(a)} {set_line(b)}" for a, b in cases
                 for mode in (GOVERNANCE, COMPLIANCE)]
        answers = ask(lines)
        tightened = cautious = exact = 0
        for (old, new), free, strict in zip(cases, answers[::2], answers[1::2]):
            shown = f"{set_line(old)} -> {set_line(new)}"
            self.assertEqual(free[0], 0, shown)
            self.assertEqual(free[1], strict[1], shown)
            self.assertEqual(strict[0], errno.EPERM if strict[1] else 0, shown)
            found = counterexample(old, new, 2, probes)
            if found:
                self.assertEqual(strict[1], 1, f"{shown} mask {found[0]} {found[1].line()}")
            elif easy(old + new):
                self.assertEqual(strict[1], 0, shown)
                exact += 1
            tightened += not strict[1]
            cautious += bool(strict[1]) and not found
        print(f"changes: {len(cases)}, tighten {tightened}, refused without an example {cautious}",
              file=sys.stderr)
        self.assertGreater(tightened, len(cases) // 10)
        self.assertGreater(exact, 100)
        self.assertLess(cautious, len(cases) // 10)

    def test_days_beside_months(self):
        """Every second that matters of the 400 years decides which of two periods is longer."""
        instants = [day * 86400 + of_day for day in range(146097) for of_day in (0, 86399)]
        cases = []
        for start, months in ((ARCHIVED, 1), (ARCHIVED, 13), (YEAR_END, 12)):
            lengths = []
            for at in instants:
                begin = Message(at, at, at, None).start(start)
                lengths.append(add(begin, MONTHS, months) - at)
            low, high = min(lengths), max(lengths)
            for days in range(low // 86400 - 1, high // 86400 + 3):
                in_days = Policy(ENABLED, ARCHIVED, DAYS, days, -1)
                in_months = Policy(ENABLED, start, MONTHS, months, -1)
                cases.append((in_months, in_days, days * 86400 < high))
                in_days = Policy(ENABLED, RECEIVED if start == YEAR_END else start, DAYS, days, -1)
                cases.append((in_days, in_months, low < days * 86400))
        answers = ask([f"C 1 1 {set_line([a])} {set_line([b])}" for a, b, _ in cases])
        for (old, new, loosens), answer in zip(cases, answers):
            self.assertEqual(answer, (0, int(loosens)), f"{old.line()} -> {new.line()}")
        self.assertEqual({loosens for _, _, loosens in cases}, {False, True})

    def test_modes(self):
        one = [Policy(ENABLED, ARCHIVED, YEARS, 6, -1)]
        lines = [f"C {a} {b} {set_line(one)} {set_line(one)}" for a, b in
                 ((GOVERNANCE, COMPLIANCE), (COMPLIANCE, GOVERNANCE), (COMPLIANCE, COMPLIANCE))]
        self.assertEqual([r for r, _ in ask(lines)], [0, errno.EPERM, 0])


if __name__ == "__main__":
    unittest.main()
