#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The C code against reference.py, which was written apart from it.

    differential.py --language    tokens and parsing alone, of generated text and queries
    differential.py               and the index: every query's results over real mail
            [--queries N] [--messages N] [--seed N] [--keep DIR]

Mail: that of EMLFS_CORPORA, where it is; the repository's samples and generated mail otherwise.
With sanitizers (EMLFS_SLOW) a quarter of the queries, over a quarter of the mail, unless the mode
is long: what they look for is in the code, not in the answers.
"""
import argparse
import concurrent.futures
import json
import os
import random
import shutil
import subprocess
import sys
import time
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "crash"), HERE]
import crashlib  # noqa: E402
import reference  # noqa: E402

DUMPTEXT = os.environ.get("EMLFS_DUMPTEXT", os.path.join(crashlib.BUILD, "tests", "dumptext"))
RUNQUERIES = os.environ.get("EMLFS_RUNQUERIES", os.path.join(crashlib.BUILD, "tests", "runqueries"))
MKMAIL = os.environ.get("EMLFS_MKMAIL", os.path.join(crashlib.BUILD, "tests", "mkmail"))
ZONE = "Europe/Berlin"
USERS = ("anna", "bert")
SHOWN = 20


class Differences:
    def __init__(self):
        self.count = 0

    def found(self, text):
        self.count += 1
        if self.count <= SHOWN:
            print("DIFFERENT:", text)


def ask(arguments, lines):
    """The answers, a line each."""
    result = subprocess.run([RUNQUERIES, *arguments], input=b"".join(line + b"\n" for line in lines),
                            capture_output=True, timeout=900, check=False)
    sys.stderr.write(result.stderr.decode("utf-8", "replace"))
    if result.returncode != 0:
        raise crashlib.Failure(f"runqueries {arguments[0]}: exit {result.returncode}")
    answers = result.stdout.split(b"\n")[:-1]
    if len(answers) != len(lines):
        raise crashlib.Failure(f"runqueries {arguments[0]}: {len(answers)} of {len(lines)} answers")
    return answers


# ---------------------------------------------------------------- language

# What is only assigned in a later Unicode than this Python's is left out of generated text.
ASSIGNED = [chr(c) for c in range(0x20, 0x110000)
            if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) not in ("Cn", "Cc")]
LETTERS = [c for c in ASSIGNED if unicodedata.category(c)[0] in "LNM"]
MARKS = [c for c in ASSIGNED if unicodedata.combining(c)]
PLAIN = "abcXYZ 019.,-_@\t'"
COMMON = "äöüßéèçñøłżőİıЖйЁёΣςάᾳ漢字東京かがカﾞガ한글각ᄒ\u1161\u11abﬁⅧ２Ａ\u0301\u0308\u00ad\u200d\u0345"


def random_text(rng):
    sets = rng.choice([(PLAIN, COMMON), (PLAIN, LETTERS), (COMMON, MARKS), (ASSIGNED, PLAIN),
                       (LETTERS, MARKS, COMMON)])
    return "".join(rng.choice(rng.choice(sets)) for _ in range(rng.randrange(1, 60)))


def check_tokens(rng, count, differences):
    texts = ASSIGNED + [a + b for a in "aé漢" for b in MARKS]
    texts += [random_text(rng) for _ in range(count)]
    for text, line in zip(texts, ask(["tokens"], [text.encode() for text in texts])):
        mine, theirs = " ".join(reference.tokens(text)), line.decode()
        if mine != theirs:
            differences.found(f"tokens of {text!a}: C {theirs!a}, reference {mine!a}")
    return len(texts)


BITS = ["subject", "from:", "to:", "cc=", "subject=", "bcontent:", "x:", "date:", "date=", "size:",
        "archived:", "has:", "has:attachment", "priority:", "high", "folder:", "store:", "-", '"',
        "'", " ", " ", "\u3000", "*", "?", "%", ":", "=", "..", ".", "/", "\\", ">", "<", "5M",
        "1k", "2025", "2025-0", "-02", "-30", "today", "lastweek", "a", "foo", "Bär", "漢", "字漢",
        "é", "\u0301", "ﷺ", "ｶﾞ", "\uf020", "\uf021", "\uf022", "\uf025", "\uf026", "\uf028",
        "\uf03a", "\uf001", "x" * 70, "漢" * 40, "\n", "\x00", "\x7f", "９", "＊", "İ", "1" * 19]
FRAMES = ["{}", "{}", "subject:{}", "-{}", '"{}"', "date:{}", "size:{}", "date:{}..{}", "'{}'",
          "size:>{}", "folder:{}", "{}*", "*{}", "{} {}", "{}.*.{}"]
FIELD_BITS = {field: 1 << bit for bit, field in enumerate(
    ["subject", "from", "to", "cc", "bcc", "body", "attachment", "content"], 1)}
PRIORITIES = ["normal", "high", "low"]


def random_query(rng):
    frame = rng.choice(FRAMES)
    text = frame.format(*("".join(rng.choices(BITS, k=rng.randrange(1, 7))) for _ in range(2)))
    raw = text.encode().replace(b"\n", b"\x0b")
    if rng.random() < 0.02:
        at = rng.randrange(len(raw) + 1)
        raw = raw[:at] + rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xe2\x82"]) + raw[at:]
    return raw * rng.choice([1] * 40 + [3, 30])


def term_json(term):
    """As runqueries writes it."""
    found = {"kind": term.kind, "exclude": term.exclude}
    if term.kind == "words":
        found["fields"] = FIELD_BITS.get(term.fields, sum(FIELD_BITS.values()))
        found["phrase"] = [list(token) for token in term.phrase]
    if term.kind in ("date", "archived", "size"):
        for name, end in (("first", term.first), ("last", term.last)):
            found[name] = list(end) if isinstance(end, tuple) else end
    if term.kind == "priority":
        found["number"] = PRIORITIES.index(term.value)
    if term.kind in ("folder", "store"):
        found["value"] = term.value
    return found


def reference_parse(raw, form):
    try:
        return [term_json(term) for term in reference.parse(raw, form == b"f")]
    except reference.Mistake as mistake:
        return {"at": mistake.args[0]}


def c_parse(line):
    found = json.loads(line)
    if isinstance(found, dict):
        return {"at": found["at"]}
    for term in found:
        if term["kind"] not in ("folder", "store"):
            del term["value"]
    return found


def check_parsing(rng, count, differences):
    queries = [(form, random_query(rng)) for _ in range(count) for form in (b"p", b"f")]
    understood = 0
    for (form, raw), line in zip(queries, ask(["parse"], [f + raw for f, raw in queries])):
        mine, theirs = reference_parse(raw, form), c_parse(line)
        understood += isinstance(mine, list)
        if mine != theirs:
            differences.found(f"{form.decode()} {raw!r}: C {theirs}, reference {mine}")
    if understood < count // 20:
        raise crashlib.Failure(f"only {understood} of the generated queries are queries")
    return len(queries), understood


def manual_examples():
    """The queries of emlfs-query(7): (form, bytes)."""
    kind, inside = None, False
    with open(os.path.join(HERE, "..", "..", "tools", "doc", "emlfs-query.7"),
              encoding="utf-8") as page:
        for line in page:
            if line.startswith('.\\" examples: '):
                kind = line.split()[-1]
            elif line in (".EX\n", ".EE\n"):
                inside = line == ".EX\n"
            elif inside and not line.startswith("."):
                query = line.split("\t")[0]
                for escape, meant in (("\\-", "-"), ("\\(aq", "'"), ("\\&", ""), ("\\e", "\\")):
                    query = query.replace(escape, meant)
                yield b"f" if kind == "path" else b"p", query.encode(), kind == "mistakes"


def check_manual(differences):
    examples = list(manual_examples())
    for (form, raw, mistake), line in zip(examples,
                                          ask(["parse"], [f + raw for f, raw, _ in examples])):
        mine, theirs = reference_parse(raw, form), c_parse(line)
        if mine != theirs or isinstance(mine, dict) != mistake:
            differences.found(f"manual {raw!r}: C {theirs}, reference {mine}")
    return len(examples)


# ---------------------------------------------------------------- mail

def copy_some(source, target, every):
    """Every so many of the files below source."""
    taken = 0
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            taken += 1
            path = os.path.join(folder, name)
            if taken % every == 0 and os.path.isfile(path):
                to = os.path.join(target, os.path.relpath(folder, source))
                os.makedirs(to, exist_ok=True)
                shutil.copyfile(path, os.path.join(to, name))


def prepare_sources(home, messages):
    """[(user, folder, path)]"""
    corpora = os.environ.get("EMLFS_CORPORA", "")
    sample = os.path.join(HERE, "..", "golden", "sample")
    sources = [("anna", "Sample", sample), ("bert", "Sample", sample)]
    mail, bench = (os.path.join(corpora, name) for name in ("mail", "bench"))
    if not corpora or not os.path.isdir(bench):
        made = os.path.join(home, "generated")
        crashlib.must(MKMAIL, "--count", "1500", "--seed", "3", "--out", made)
        return sources + [("anna", "Generated", made)]
    files = sum(len(names) for _, _, names in os.walk(bench))
    some = os.path.join(home, "bench")
    copy_some(bench, some, max(1, files // messages))
    half = os.path.join(home, "shared")
    copy_some(some, half, 5)
    return sources + [("anna", "Mail", mail), ("anna", "Bench", some), ("bert", "Old/Shared", half)]


def make_archive(home, messages):
    archive = os.path.join(home, "archive")
    crashlib.must(crashlib.EMLFS, "init", archive, "--user", USERS[0], "--unix-account", "root",
                  "--timezone", ZONE)
    crashlib.must(crashlib.EMLFS, "user", "add", "-a", archive, USERS[1], "--unix-account",
                  "nobody")
    for user, folder, path in prepare_sources(home, messages):
        result = crashlib.run(crashlib.EMLFS, "import", "-a", archive, "--user", user, "--folder",
                              folder, path)
        if result.returncode not in (0, 3):
            raise crashlib.Failure(f"import of {path}: {crashlib.said(result)}")
    return archive


def load_documents(archive, user, differences):
    """The user's documents; the tokens of every piece are compared on the way."""
    stores = {int(name.split("-")[0]): name for name in os.listdir(os.path.join(archive, "stores"))
              if name[:1].isdigit()}
    documents, count = [], 0
    with subprocess.Popen([DUMPTEXT, archive, user, crashlib.EMLFS],
                          stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            document = json.loads(line)
            document["store"] = stores.get(document["store_no"], "")
            document["tokens"] = []
            for field, text, theirs in document["pieces"]:
                mine = reference.tokens(text)
                document["tokens"].append((field, mine))
                count += len(mine)
                if " ".join(mine) != theirs:
                    differences.found(f"tokens in {document['id']}, {field}: {text[:200]!a}")
            # What is kept of the text is what phrases are taken from.
            document["pieces"] = [(field, text[:4000]) for field, text, _ in document["pieces"]]
            documents.append(document)
    if process.returncode != 0:
        raise crashlib.Failure(f"dumptext: exit {process.returncode}")
    return documents, count


# ---------------------------------------------------------------- queries

class Generator:
    """Queries of every form, made of what the documents hold."""

    FIELD_OF = {kept: name for name, kept in reference.FIELDS.items()}

    def __init__(self, rng, documents, collection):
        self.rng, self.documents = rng, documents
        self.by_count = sorted(collection.vocabulary, key=lambda t: len(collection.holders[t]))
        self.common, self.rare = self.by_count[-300:], self.by_count[:len(self.by_count) // 2]
        self.foreign = [t for t in self.by_count if not t.isascii()]
        self.cjk = [t for t in self.foreign if reference.KINDS[t[0]] == "c"]
        self.folders = sorted(collection.folders)
        self.full = [d for d in documents if d["pieces"]]
        self.forms = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("a_")]

    def piece(self):
        return self.rng.choice(self.rng.choice(self.full)["pieces"])

    def word(self, longer_than=0):
        """Rare, common, any, accented or CJK."""
        rng = self.rng
        for _ in range(50):
            pool = rng.choice([self.common, self.rare, self.by_count,
                               self.foreign or self.by_count])
            word = rng.choice(pool)
            if len(word) > longer_than and len(word) < 60:
                return word
        return "message"

    def ascii_word(self, longer_than=2):
        for _ in range(50):
            word = self.word(longer_than)
            if not any(reference.KINDS[c] == "c" for c in word):
                return word
        return "message"

    def a_word(self):
        return self.rng.choice([str.lower, str.upper, str.title])(self.word())

    def a_rare_word(self):
        return self.rng.choice(self.rare)

    def a_words(self):
        words = reference.tokens(self.piece()[1])
        return " ".join(self.rng.sample(words, min(len(words), self.rng.randrange(2, 5)))) or "x"

    def a_nonsense(self):
        return "".join(self.rng.choices("qxzjkw", k=8))

    def a_prefix(self):
        word = self.ascii_word()
        return word[:self.rng.randrange(1, len(word))] + "*"

    def a_suffix(self):
        word = self.ascii_word()
        return "*" + word[self.rng.randrange(1, len(word)):]

    def a_middle(self):
        word = self.ascii_word()
        return "*" + word[1:self.rng.randrange(2, len(word) + 1)] + "*"

    def a_question(self):
        word = self.ascii_word()
        at = self.rng.randrange(len(word))
        return word[:at] + "?" + word[at + 1:]

    def a_star_within(self):
        word = self.ascii_word()
        at = self.rng.randrange(1, len(word) - 1)
        return word[:at] + "*" + word[self.rng.randrange(at, len(word)):]

    def some_text(self, most=6):
        """A stretch of a piece, as it stands there, but for quotes and control characters."""
        for _ in range(50):
            field, text = self.piece()
            words = text.split()
            if not words:
                continue
            at = self.rng.randrange(len(words))
            text = " ".join(words[at:at + self.rng.randrange(1, most)])[:150]
            text = "".join(" " if c == '"' or unicodedata.category(c) == "Cc" else c for c in text)
            if reference.tokens(text) and len(reference.tokens(text)) < 40:
                return field, text
        return "body", "message"

    def a_phrase(self):
        return f'"{self.some_text()[1]}"'

    def a_broken_phrase(self):
        words = reference.tokens(self.some_text(8)[1])
        self.rng.shuffle(words)
        return f'"{" ".join(words[:3])}"'

    def a_bare_stretch(self):
        text = self.some_text(2)[1].replace("*", "").replace("?", "").strip()
        return text if text and ":" not in text and not text.startswith("-") else "e-mail"

    def a_glob_phrase(self):
        a, b = self.ascii_word(), self.ascii_word()
        words = reference.tokens(self.some_text(4)[1])
        if len(words) > 1 and not any(reference.KINDS[w[0]] == "c" for w in words[:2]):
            a, b = words[:2]
        return self.rng.choice([f"{a}.{b[:2]}*", f"*{a[-2:]}.{b}", f"{a[:1]}*-{b}", f"{a}_{b}*"])

    def a_field(self):
        field, text = self.some_text()
        if self.rng.random() < 0.2:
            field = self.rng.choice(list(self.FIELD_OF))
        return f'{self.FIELD_OF[field]}:"{text}"'

    def a_field_word(self):
        name = self.rng.choice(list(reference.FIELDS))
        return f"{name}:{self.rng.choice([self.word, self.a_prefix, self.a_suffix])()}"

    def a_cjk(self):
        rng = self.rng
        if self.cjk and rng.random() < 0.5:
            word = rng.choice(self.cjk)
            return rng.choice([word[0], word, word + "*", f'"{word[-1]} {rng.choice(self.cjk)}"'])
        holding = [t for d in rng.sample(self.full, min(200, len(self.full))) for _, t in
                   d["pieces"] if not t.isascii() and any(reference.KINDS[c] == "c" for c in t)]
        if not holding:
            return "東京"
        text = rng.choice(holding)
        at = rng.choice([i for i, c in enumerate(text) if reference.KINDS[c] == "c"])
        text = "".join(c for c in text[max(0, at - rng.randrange(3)):at + rng.randrange(1, 7)]
                       if c != '"' and unicodedata.category(c) != "Cc")
        return f'"{text}"'

    def a_accent(self):
        word = self.rng.choice(self.foreign or self.by_count)
        return self.rng.choice([word, unicodedata.normalize("NFD", word), word.upper()])

    def day(self):
        moment = time.gmtime(self.rng.choice(self.documents)["mtime"] + self.rng.randrange(-9, 9)
                             * 86400)
        return time.strftime(self.rng.choice(["%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%d"]), moment)

    def a_date(self):
        rng = self.rng
        names = reference.Parser.DAY_NAMES
        a, b = sorted([self.day(), self.day()])
        return "date:" + rng.choice([a, f"{a}..{b}", f"{a}..", f"..{b}", rng.choice(names),
                                     f"{rng.choice(names)}..{rng.choice(names)}"])

    def a_archived(self):
        moment = self.rng.choice(self.documents)["archived_ns"] // 10 ** 9
        day = time.strftime("%Y-%m-%d", time.gmtime(moment + self.rng.randrange(-2, 3) * 86400))
        return "archived:" + self.rng.choice([day, day[:7], f"..{day}", f"{day}..", "lastyear.."])

    def a_size(self):
        rng = self.rng
        size = rng.choice(self.documents)["size"]
        low, high = sorted([size, rng.choice(self.documents)["size"]])
        return "size:" + rng.choice([f"{size}", f">{size}", f"<{size + 1}", f">={size}",
                                     f"<={size}", f"{low}..{high}", f"{low}..", f"..{high}",
                                     f">{size // 1024}K", "<=1M", "2k..3KB"])

    def a_has(self):
        return "has:attachment"

    def a_priority(self):
        return "priority:" + self.rng.choice(["high", "normal", "low"])

    def a_folder(self):
        rng = self.rng
        path = rng.choice(self.folders) or "nowhere"
        parts = path.split("/")
        part = rng.choice(parts)
        value = rng.choice([path, "/" + path, "\\" + path.replace("/", "\\"), "/" + parts[0], part,
                            part.upper(), part[:2] + "*", "?" + part[1:], "/".join(parts[-2:]),
                            "/" + part, "nowhere"])
        return f'folder:"{value}"' if " " in value or rng.random() < 0.3 else f"folder:{value}"

    def a_store(self):
        document = self.rng.choice(self.documents)
        return "store:" + self.rng.choice([str(document["store_no"]), document["store"], "7",
                                           "00001"])

    def query(self, number):
        """Each form in turn, alone, excluded, or with others."""
        rng = self.rng
        terms = [self.forms[number % len(self.forms)]()]
        while rng.random() < 0.45 and len(terms) < 5:
            terms.append(rng.choice(self.forms)())
        terms = ["-" + term if rng.random() < 0.15 else term for term in terms]
        rng.shuffle(terms)
        return " ".join(terms)


def as_path(query):
    return query.replace("*", "%").replace(":", "=", 1) if ":" in query else query.replace("*", "%")


def check_results(options, archive, user, differences):
    rng = random.Random(options.seed)
    documents, count = load_documents(archive, user, differences)
    if not documents:
        raise crashlib.Failure(f"{user} has no mail")
    # Names of days mean something when it is a day of the mail.
    moments = sorted(document["mtime"] for document in documents)
    now = moments[len(moments) * 2 // 3] + 3 * 86400
    collection = reference.Collection(documents, now, ZONE)
    generator = Generator(rng, documents, collection)
    wanted = options.queries if user == USERS[0] else options.queries // 10
    queries = []
    while len(queries) < wanted:
        text = generator.query(len(queries))
        form = b"p" if rng.random() < 0.8 or "'" in text else b"f"
        raw = (text if form == b"p" else as_path(text)).encode()
        queries.append((form, raw))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, ["search", archive, user, crashlib.EMLFS, str(now)],
                            [form + raw for form, raw in queries])
        wanted_answers = [reference_search(collection, form, raw) for form, raw in queries]
        answers = asked.result()
    hits = mistakes = 0
    for (_, raw), mine, line in zip(queries, wanted_answers, answers):
        mistakes += isinstance(mine, dict)
        theirs = json.loads(line) if line.startswith(b"{") else [int(n) for n in line.split()]
        if isinstance(theirs, dict):
            theirs = {"at": theirs["at"]}
        hits += bool(mine) and isinstance(mine, list)
        if mine != theirs:
            differences.found(f"{user}: {raw.decode()!a}: " + difference(mine, theirs))
    if mistakes > wanted // 10 or hits < wanted // 3:
        raise crashlib.Failure(f"{wanted} queries: {mistakes} mistakes, {hits} find something")
    print(f"{user}: {len(documents)} messages, {count} tokens, {len(collection.vocabulary)} words; "
          f"{wanted} queries, {hits} found something, {mistakes} mistakes")


def reference_search(collection, form, raw):
    try:
        return collection.search(reference.parse(raw, form == b"f"))
    except reference.Mistake as mistake:
        return {"at": mistake.args[0]}


def difference(mine, theirs):
    if isinstance(mine, dict) or isinstance(theirs, dict):
        return f"C {str(theirs)[:100]}, reference {str(mine)[:100]}"
    missing, more = sorted({*mine} - {*theirs}), sorted({*theirs} - {*mine})
    order = "" if missing or more else "; the order differs"
    return f"{len(mine)} wanted; missing {missing[:5]}, too many {more[:5]}{order}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--language", action="store_true")
    part = 4 if os.environ.get("EMLFS_SLOW") and not crashlib.LONG else 1
    parser.add_argument("--queries", type=int, default=2400 // part)
    parser.add_argument("--messages", type=int, default=6000 // part)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--keep")
    options = parser.parse_args()
    crashlib.need(RUNQUERIES)
    crashlib.SECONDS = 600
    differences, rng = Differences(), random.Random(options.seed)
    home = options.keep or crashlib.work_dir("search")
    os.makedirs(home, exist_ok=True)
    try:
        if options.language:
            texts = check_tokens(rng, 40000, differences)
            queries, understood = check_parsing(rng, 30000, differences)
            examples = check_manual(differences)
            print(f"{texts} texts, {queries} queries ({understood} understood), {examples} examples")
        else:
            crashlib.need(crashlib.EMLFS, DUMPTEXT, MKMAIL)
            archive = os.path.join(home, "archive")
            if not os.path.isdir(archive):
                archive = make_archive(home, options.messages)
            for user in USERS:
                check_results(options, archive, user, differences)
    except crashlib.Failure as failure:
        differences.found(str(failure))
    finally:
        if not options.keep:
            shutil.rmtree(home, ignore_errors=True)
    print(f"{differences.count} differences")
    sys.exit(1 if differences.count else 0)


if __name__ == "__main__":
    main()
