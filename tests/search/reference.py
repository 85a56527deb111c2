#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain matcher for the query language, written from emlfs-query(7) and from nothing else.

    reference.py QUERY [--path]     show how a query is understood

It exists to disagree with the C code: slow where that makes it plain, standard library only.
fold(), tokens() and parse() are the rules; Collection answers queries over documents.
"""
import bisect
import datetime
import itertools
import re
import sys
import unicodedata
import zoneinfo

FIELDS = {"subject": "subject", "from": "from", "to": "to", "cc": "cc", "bcc": "bcc",
          "bcontent": "body", "attachment": "attachment", "acontent": "content"}
OTHER_FIELDS = ("folder", "date", "archived", "size", "has", "priority", "store")
TOKEN_CHARS = 64
PATTERN_BYTES = 256
MAX_BYTES, MAX_TERMS, MAX_TOKENS = 1024, 64, 64
LARGEST = 2 ** 63 - 1

# ---------------------------------------------------------------- text

REMOVED = dict.fromkeys(
    [*range(0x300, 0x370), 0xAD, 0x34F, 0x61C, 0x180E, *range(0x200B, 0x2010),
     *range(0x2060, 0x2065), *range(0xFE00, 0xFE10), 0xFEFF])


def fold(text):
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text).translate(REMOVED))


CJK = [(0x1100, 0x11FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3031, 0x3035),
       (0x3040, 0x312F), (0x3131, 0x318F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
       (0x4E00, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)]


class Kinds(dict):
    """Character -> " " separator, "w" word character, "c" CJK; worked out once for each."""

    def __missing__(self, char):
        kind = " "
        if unicodedata.category(char)[0] in "LNM":
            kind = "c" if any(low <= ord(char) <= high for low, high in CJK) else "w"
        self[char] = kind
        return kind


KINDS = Kinds()
ASCII_WORD = re.compile("[0-9a-z]+")
WORD_RUN, CJK_RUN = re.compile("w+"), re.compile("w+|c+")


def tokens(text):
    """The tokens of a piece of mail, in order: the place in the list is the position."""
    folded = fold(text)
    if folded.isascii():
        return [word[:TOKEN_CHARS] for word in ASCII_WORD.findall(folded)]
    found = []
    for run in CJK_RUN.finditer("".join(map(KINDS.__getitem__, folded))):
        begin, end = run.span()
        if run.group()[0] == "w":
            found.append(folded[begin:min(end, begin + TOKEN_CHARS)])
        else:
            found.extend(folded[i:min(i + 2, end)] for i in range(begin, end))
    return found


# ---------------------------------------------------------------- queries

class Mistake(Exception):
    """args: byte offset, words"""


class Term:
    def __init__(self, kind, exclude):
        self.kind, self.exclude = kind, exclude
        self.fields = None     # words: None is any
        self.phrase = []       # words: (text, is a pattern)
        self.first = self.last = None
        self.value = ""

    def key(self):
        """What makes two terms equal."""
        return (self.kind, self.exclude, self.fields, tuple(self.phrase), self.first, self.last,
                self.value if self.kind in ("folder", "store") else "")


BLANKS = " \t\u3000"
SUBSTITUTES = {0xF020 + i: c for i, c in enumerate('"*:<>?\\| .')}
SUBSTITUTES.update({0xF000 + ord(c): c for c in '*:<>?\\|'})
SUBSTITUTES.update({0xF000 + i: chr(i) for i in range(1, 0x20)})
SUBSTITUTES[ord("%")] = "*"


class Parser:
    def __init__(self, raw, path):
        self.path = path
        if len(raw) > MAX_BYTES:
            raise Mistake(MAX_BYTES, "too long")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            text = raw[:error.start].decode("utf-8")
            self.scan(text)
            raise Mistake(error.start, "not UTF-8") from None
        self.text = self.scan(text)
        self.pos = 0

    def scan(self, text):
        """Replace what the path form replaces, note where each character stands."""
        self.offsets, at, out = [], 0, []
        for char in text:
            self.offsets.append(at)
            meant = SUBSTITUTES.get(ord(char), char) if self.path else char
            if unicodedata.category(meant) == "Cc" and meant != "\t":
                raise Mistake(at, "control character")
            out.append(meant)
            at += len(char.encode())
        self.offsets.append(at)
        return "".join(out)

    def wrong(self, pos, words):
        return Mistake(self.offsets[pos], words)

    def at_end(self, pos):
        return pos >= len(self.text) or self.text[pos] in BLANKS

    def terms(self):
        found = []
        while True:
            while self.pos < len(self.text) and self.text[self.pos] in BLANKS:
                self.pos += 1
            if self.pos == len(self.text):
                break
            if len(found) == MAX_TERMS:
                raise self.wrong(self.pos, "too many terms")
            found.append(self.term())
        if not found:
            raise Mistake(0, "empty")
        return found

    def term(self):
        exclude = self.text[self.pos] == "-"
        self.pos += exclude
        field = self.field()
        if self.at_end(self.pos):
            raise self.wrong(self.pos, "nothing there")
        begin, end, quoted = self.value()
        term = Term("words" if field is None or field in FIELDS else field, exclude)
        term.value = self.text[begin:end]
        if term.kind == "words":
            term.fields = FIELDS.get(field)
            Words(self, begin, end, quoted).into(term)
        else:
            getattr(self, "read_" + {"archived": "date"}.get(field, field))(term, begin)
        return term

    def field(self):
        match = re.compile("([A-Za-z]+)([:=])").match(self.text, self.pos)
        if not match:
            return None
        name = match.group(1).lower()
        if name in FIELDS or name in OTHER_FIELDS:
            if match.group(2) == ":" or self.path:
                self.pos = match.end()
                return name
        elif match.group(2) == ":":
            raise self.wrong(self.pos, f"unknown field {name}")
        return None

    def value(self):
        quote = self.text[self.pos]
        if quote == '"' or (quote == "'" and self.path):
            return self.quoted(quote)
        begin = self.pos
        while not self.at_end(self.pos):
            if self.text[self.pos] == '"':
                raise self.wrong(self.pos, "quote inside")
            self.pos += 1
        return begin, self.pos, False

    def quoted(self, quote):
        begin = self.pos + 1
        for end in range(begin, len(self.text)):
            char = self.text[end]
            if char == '"' and quote == "'":
                raise self.wrong(end, "double quote inside")
            if char == quote and self.at_end(end + 1):
                self.pos = end + 1
                return begin, end, True
            if char == '"':
                raise self.wrong(end + 1, "text behind a quote")
        raise self.wrong(self.pos, "not closed")

    # ---- values that are not words

    DAY_NAMES = ("today", "yesterday", "thisweek", "lastweek", "thismonth", "lastmonth",
                 "thisyear", "lastyear")

    def read_date(self, term, begin):
        first, dots, last = term.value.partition("..")
        if not dots:
            term.first = term.last = self.day(first, begin)
            return
        if not first and not last:
            raise self.wrong(begin, "no date")
        term.first = self.day(first, begin) if first else None
        term.last = self.day(last, begin + len(first) + 2) if last else None
        if isinstance(term.first, tuple) and isinstance(term.last, tuple) and \
                days_of(term.first, None)[0] >= days_of(term.last, None)[1]:
            raise self.wrong(begin, "backwards")

    def day(self, text, pos):
        if text.isascii() and text.lower() in self.DAY_NAMES:
            return text.lower()
        match = re.fullmatch("([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?", text)
        if not match:
            raise self.wrong(pos, "not a date")
        day = tuple(int(part) for part in match.groups() if part)
        try:
            datetime.date(*(day + (1, 1))[:3])
        except ValueError:
            raise self.wrong(pos, "no such date") from None
        if day[0] < 1900:
            raise self.wrong(pos, "too early")
        return day

    SIZE = re.compile("([0-9]+)([KMG]?)B?", re.I | re.A)

    def read_size(self, term, begin):
        def number(at):
            match = self.SIZE.match(term.value, at)
            if not match:
                raise self.wrong(begin + at, "no number")
            size = int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2].lower()]
            if size > LARGEST:
                raise self.wrong(begin + at, "too large")
            return size, match.end()

        text = term.value
        compared = re.match("[<>]=?", text)
        if compared:
            size, end = number(compared.end())
            term.first = {">": size + 1, ">=": size}.get(compared[0])
            term.last = {"<": size - 1, "<=": size}.get(compared[0])
        else:
            end = 0
            if not text.startswith(".."):
                term.first, end = number(0)
            if text.startswith("..", end):
                end += 2
                if end < len(text) or end == 2:
                    term.last, end = number(end)
            else:
                term.last = term.first
        if term.last is not None and term.last < (term.first or 0):
            raise self.wrong(begin, "backwards")
        if end != len(text):
            raise self.wrong(begin + end, "more than a size")
        # No limit at an end is the same as the widest limit.
        term.first = term.first or 0
        term.last = 2 ** 64 - 1 if term.last is None else term.last

    def choice(self, term, begin, *words):
        term.value = next((word for word in words
                           if term.value.isascii() and word == term.value.lower()), None)
        if term.value is None:
            raise self.wrong(begin, f"one of {words}")
        term.first = term.value

    def read_has(self, term, begin):
        self.choice(term, begin, "attachment")

    def read_priority(self, term, begin):
        self.choice(term, begin, "high", "normal", "low")

    def read_folder(self, term, begin):
        if not re.search(r"[^/\\]", term.value):
            raise self.wrong(begin, "no folder")

    def read_store(self, term, begin):
        wild = re.search("[*?]", term.value)
        if wild or not term.value:
            raise self.wrong(begin + (wild.start() if wild else 0), "no store")


class Words:
    """The value of a words term, as tokens."""

    def __init__(self, parser, begin, end, quoted):
        self.parser, self.begin = parser, begin
        # Pairs (character, place); the wildcards are the characters "*" and "?" with a place,
        # everything folded has none.
        self.chars = []
        parts = [parser.text[begin:end]] if quoted else \
            re.split("([*?])", parser.text[begin:end])
        at = begin
        for i, part in enumerate(parts):
            if i % 2:
                self.chars.append((part, at))
            else:
                self.chars.extend((char, None) for char in fold(part))
            at += len(part)

    @staticmethod
    def kind(pair):
        return "*" if pair[1] is not None else KINDS[pair[0]]

    def runs(self, chars):
        """[(kind, pairs)], maximal runs of one kind."""
        found = []
        for pair in chars:
            if found and found[-1][0] == self.kind(pair):
                found[-1][1].append(pair)
            else:
                found.append((self.kind(pair), [pair]))
        return found

    def without_useless(self):
        """A wildcard beside CJK: "*" goes, "?" is a mistake."""
        runs, out = self.runs(self.chars), []
        for i, (kind, pairs) in enumerate(runs):
            beside = (i > 0 and runs[i - 1][0] == "c") or \
                (i + 1 < len(runs) and runs[i + 1][0] == "c")
            if kind == "*" and beside:
                for char, at in pairs:
                    if char == "?":
                        raise self.parser.wrong(at, "? beside CJK")
            else:
                out.extend(pairs)
        return out

    def pieces(self):
        """Stretches between separators, without those of wildcards alone."""
        runs, pieces = self.runs(self.without_useless()), [[]]
        for run in runs:
            if run[0] == " ":
                pieces.append([])
            else:
                pieces[-1].append(run)
        pieces = [piece for piece in pieces if piece]
        wild = [all(kind == "*" for kind, _ in piece) for piece in pieces]
        if all(wild):
            raise self.parser.wrong(self.begin, "wildcards alone" if wild else "no word")
        first, last = wild.index(False), len(wild) - wild[::-1].index(False)
        for i in range(first, last):
            if wild[i]:
                raise self.parser.wrong(pieces[i][0][1][0][1], "wildcard alone in the middle")
        return pieces[first:last]

    def into(self, term):
        runs = []  # (is CJK, pairs)
        for piece in self.pieces():
            for i, (kind, pairs) in enumerate(piece):
                if i > 0 and kind != "c" and not runs[-1][0]:
                    runs[-1][1].extend(pairs)
                else:
                    runs.append((kind == "c", list(pairs)))
        for i, (cjk, pairs) in enumerate(runs):
            word = "".join(char for char, _ in pairs)
            if cjk:
                term.phrase.extend((word[j:j + 2], False) for j in range(len(word) - 1))
                if len(word) == 1 or i + 1 < len(runs):
                    term.phrase.append((word[-1] + "*", True))
            elif any(at is not None for _, at in pairs):
                # Wildcards in a row say the same in any order.
                tidy = re.sub("[*?]+", lambda m: "?" * m[0].count("?") + "*" * ("*" in m[0]), word)
                if len(tidy.encode()) > PATTERN_BYTES:
                    raise self.parser.wrong(self.begin, "pattern too long")
                term.phrase.append((tidy, True))
            else:
                term.phrase.append((word[:TOKEN_CHARS], False))
            if len(term.phrase) > MAX_TOKENS:
                raise self.parser.wrong(self.begin, "phrase too long")


def parse(raw, path=False):
    """The terms of a query (bytes), or Mistake."""
    return Parser(raw, path).terms()


# ---------------------------------------------------------------- time

def days_of(day, today):
    """[first day, first day after) as ordinals."""
    if isinstance(day, tuple):
        first = datetime.date(*(day + (1, 1))[:3]).toordinal()
        if len(day) == 3:
            return first, first + 1
        year, month = (day + (12,))[:2]
        last_month = datetime.date(year, month, 1).toordinal()
        length = 31 if month == 12 else \
            datetime.date(year, month + 1, 1).toordinal() - last_month
        return first, last_month + length
    if day in ("today", "yesterday"):
        first = today.toordinal() - (day == "yesterday")
        return first, first + 1
    if day.endswith("week"):
        first = today.toordinal() - today.weekday() - (7 if day == "lastweek" else 0)
        return first, first + 7
    if day.endswith("month"):
        month = today.year * 12 + today.month - 1 - (day == "lastmonth")
        return days_of((month // 12, month % 12 + 1), today)
    return days_of((today.year - (day == "lastyear"),), today)


def seconds_of(ordinal, zone):
    if ordinal > datetime.date.max.toordinal():
        return 2 ** 62
    day = datetime.date.fromordinal(ordinal)
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def seconds_span(term, now, zone_name):
    """[from, to) in seconds."""
    zone = zoneinfo.ZoneInfo(zone_name)
    today = datetime.datetime.fromtimestamp(now, zone).date()
    low = -2 ** 62 if term.first is None else seconds_of(days_of(term.first, today)[0], zone)
    high = 2 ** 62 if term.last is None else seconds_of(days_of(term.last, today)[1], zone)
    return low, high


# ---------------------------------------------------------------- matching

def pattern(text):
    """A regular expression for a pattern with * and ?."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in text), re.S)


def folder_components(path):
    return [fold(part) for part in re.split(r"[/\\]", path) if part]


def in_folder(wanted, path):
    """Is path (of a folder in the user archive) the wanted one, or below it?"""
    names = [pattern(part) for part in folder_components(wanted)]
    parts = folder_components(path)
    starts = [0] if wanted[0] in "/\\" else range(len(parts))
    return any(start + len(names) <= len(parts) and
               all(name.fullmatch(part) for name, part in zip(names, parts[start:]))
               for start in starts)


class Collection:
    """Documents: dictionaries with id, pieces [[field, text]...], priority, attachment, size,
    mtime, archived_ns, folders [path...], store, store_no. Tokens are worked out once, and which
    documents hold a token is noted, so that a query looks only at those."""

    def __init__(self, documents, now, zone):
        self.documents = {document["id"]: document for document in documents}
        self.now, self.zone = now, zone
        self.pieces = {}    # id -> [(field, tokens)]
        self.holders = {}   # token -> set of ids
        for document in self.documents.values():
            pieces = document.get("tokens") or \
                [(field, tokens(text)) for field, text in document["pieces"]]
            self.pieces[document["id"]] = pieces
            for token in {token for _, words in pieces for token in words}:
                self.holders.setdefault(token, set()).add(document["id"])
        self.vocabulary = sorted(self.holders)
        self.joined = "\n".join(self.vocabulary)  # and where in it each of them starts
        self.starts = [0, *itertools.accumulate(len(token) + 1 for token in self.vocabulary)]
        self.all = set(self.documents)
        self.folders = {}   # path -> set of ids
        for document in self.documents.values():
            for path in document["folders"]:
                self.folders.setdefault(path, set()).add(document["id"])
        self.patterns = {}

    def matching(self, text, is_pattern):
        """The tokens that a query's token stands for."""
        if not is_pattern:
            return {text} if text in self.holders else set()
        if text not in self.patterns:
            compiled = pattern(text)
            self.patterns[text] = {token for token in self.candidates(text)
                                   if compiled.fullmatch(token)}
        return self.patterns[text]

    def candidates(self, text):
        """The tokens that begin as a pattern does, or hold its longest stretch without wildcards."""
        begin, longest = re.match("[^*?]*", text).group(), max(re.split("[*?]", text), key=len)
        if begin or not longest:
            low = bisect.bisect_left(self.vocabulary, begin)
            high = bisect.bisect_right(self.vocabulary, begin + chr(sys.maxunicode))
            yield from self.vocabulary[low:high]
            return
        at = self.joined.find(longest)
        while at >= 0:
            number = bisect.bisect_right(self.starts, at) - 1
            yield self.vocabulary[number]
            at = self.joined.find(longest, self.starts[number + 1])

    def words(self, term, among):
        wanted = [self.matching(*item) for item in term.phrase]
        candidates = among
        for accepted in wanted:
            holding = set().union(*(self.holders[token] for token in accepted))
            candidates = candidates & holding
        if len(wanted) == 1 and term.fields is None:
            return candidates
        return {number for number in candidates
                if any(self.phrase_in(wanted, piece) for field, piece in self.pieces[number]
                       if term.fields is None or field == term.fields)}

    @staticmethod
    def phrase_in(wanted, piece):
        first, rest = wanted[0], wanted[1:]
        for accepted in wanted:
            if accepted.isdisjoint(piece):
                return False
        if not rest:
            return True
        for i in range(len(piece) - len(rest)):
            if piece[i] in first and all(piece[i + 1 + j] in accepted
                                         for j, accepted in enumerate(rest)):
                return True
        return False

    def term(self, term, among):
        """Ids of those documents for which the term, without its exclusion, holds."""
        if term.kind == "words":
            return self.words(term, among)
        if term.kind == "folder":
            return among & set().union(*(ids for path, ids in self.folders.items()
                                         if in_folder(term.value, path)))
        test = getattr(self, "is_" + term.kind)(term)
        return {number for number in among if test(self.documents[number])}

    def is_date(self, term):
        low, high = seconds_span(term, self.now, self.zone)
        return lambda document: low <= document["mtime"] < high

    def is_archived(self, term):
        low, high = seconds_span(term, self.now, self.zone)
        return lambda document: low * 10 ** 9 <= document["archived_ns"] < high * 10 ** 9

    @staticmethod
    def is_size(term):
        return lambda document: term.first <= document["size"] <= term.last

    @staticmethod
    def is_has(term):
        return lambda document: document["attachment"]

    @staticmethod
    def is_priority(term):
        return lambda document: document["priority"] == term.value

    @staticmethod
    def is_store(term):
        number = int(term.value) if re.fullmatch("[0-9]+", term.value) else 0
        return lambda document: term.value == document["store"] or number == document["store_no"]

    def search(self, terms):
        """Ids, newest first."""
        found = set(self.all)
        for term in terms:
            holds = self.term(term, found)
            found = found - holds if term.exclude else holds
        return sorted(found, reverse=True)


def main():
    path = "--path" in sys.argv
    query = next(word for word in sys.argv[1:] if word != "--path")
    try:
        for term in parse(query.encode("utf-8", "surrogateescape"), path):
            print(term.key())
    except Mistake as mistake:
        print(f"byte {mistake.args[0]}: {mistake.args[1]}")
        sys.exit(1)


if __name__ == "__main__":
    main()
