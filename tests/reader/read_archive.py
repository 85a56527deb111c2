#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""An independent reader of emlfs archives, written from store/FORMAT.md without a line of emlfs.

    read_archive.py list ARCHIVE       one line per entry: id, sha256, size, user, path, name
    read_archive.py extract ARCHIVE DIR    every entry as DIR/PATH/NAME
    read_archive.py digest ARCHIVE     SHA-256 over all entries, sorted

Only packs and keys are read, never LevelDB. The machine key is used; --recovery-key FILE takes the
printed key instead. Needs python3-cryptography and python3-zstandard. Damage ends it with exit 1;
so does a pack with bytes behind its valid records (a torn tail, or damage: only the catalogue can
tell), but then after everything that is readable was read.
"""
import argparse
import hashlib
import hmac
import os
import re
import struct
import sys
from binascii import b2a_base64

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DICT, BLOB, BLOCK, EVENTS, MASTER, OPEN, SEAL = range(1, 8)
MACHINE_SLOT, RECOVERY_SLOT = 1, 2
FILED, UNFILED, MOVED, DELETED = 1, 2, 3, 4
FOLDER_MOVED, FOLDER_REMOVED = 1, 2
DETACHED = 5
TEXT, BASE64, BLOB_RAW, BLOB_BASE64 = range(4)
PLAIN_MAX = 16 << 20
PACK_HEAD, RECORD_HEAD, TAG = 64, 24, 16
PACK_NAME = re.compile(r"[0-9]{8}\.pack")
STORE_NAME = re.compile(r"[0-9]{5}-.*")
DIGITS32 = "0123456789abcdefghijklmnopqrstuv"
RECOVERY_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


class Damage(Exception):
    """The archive is not what FORMAT.md says."""


def demand(condition, text):
    if not condition:
        raise Damage(text)


def sha256(data):
    return hashlib.sha256(data).digest()


def hkdf(key, salt, info):
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)


class Cursor:
    def __init__(self, data):
        self.data = data
        self.pos = 0

    def left(self):
        return len(self.data) - self.pos

    def take(self, count):
        demand(count <= self.left(), "a record ends too early")
        self.pos += count
        return self.data[self.pos - count:self.pos]

    def u8(self):
        return self.take(1)[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                demand(value < 1 << 64, "a number is too large")
                return value

    def svarint(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def bytes(self):
        return self.take(self.varint())

    def text(self):
        return self.bytes().decode("utf-8")


# ---- keys

def machine_key(archive):
    with open(os.path.join(archive, "keys", "machine.key"), encoding="ascii") as file:
        text = file.read()
    demand(re.fullmatch(r"[0-9a-f]{64}\n", text), "keys/machine.key is no key")
    return bytes.fromhex(text)


def recovery_key(text):
    """52 characters of 5 bits, most significant first, then 4 check characters."""
    text = re.sub(r"[-\s]", "", text).lower().translate(str.maketrans("oil", "011"))
    demand(len(text) == 56 and set(text) <= set(RECOVERY_DIGITS), "not a recovery key")
    bits = 0
    for char in text[:52]:
        bits = bits << 5 | RECOVERY_DIGITS.index(char)
    key = (bits >> 4).to_bytes(32, "big")
    check = "".join(RECOVERY_DIGITS[byte & 31] for byte in sha256(key)[:4])
    demand(check == text[52:], "the recovery key has a typing error")
    return key


def master_key(archive, kind, secret):
    with open(os.path.join(archive, "keys", "slots"), "rb") as file:
        data = file.read()
    magic, version, count = struct.unpack_from("<8sHH", data)
    demand(magic == b"EMLFSKEY" and version == 1, "keys/slots is of another format")
    demand(len(data) == 12 + 77 * count + 32, "keys/slots has an impossible length")
    for number in range(count):
        slot = data[12 + 77 * number:][:77]
        if slot[0] != kind:
            continue
        info = b"emlfs slot machine" if kind == MACHINE_SLOT else b"emlfs slot recovery"
        try:
            gcm = AESGCM(hkdf(secret, slot[1:17], info))
            master = gcm.decrypt(slot[17:29], slot[29:], slot[:1])
        except InvalidTag:
            continue
        check = hkdf(master, b"", b"emlfs check")
        mac = hmac.digest(check, data[:-32], "sha256")
        demand(hmac.compare_digest(mac, data[-32:]), "keys/slots was altered")
        return master
    raise Damage("no key slot opens with this key")


# ---- packs

class Pack:
    """One pack file: yields (type, plain content) of its valid records."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.data = file.read()
        self.head = self.data[:PACK_HEAD]
        self.number = int(os.path.basename(path)[:8])
        self.empty = len(self.head) < PACK_HEAD or not any(self.head)
        self.sealed = False
        if self.empty:  # it died before its first record, and the next OPEN record says so
            self.end, self.count, self.chain = 0, 0, bytes(32)
            return
        magic, version, flags, self.store_no, number, reserved, self.id = struct.unpack(
            "<8sHHII12s32s", self.head)
        demand(magic == b"EMLFSPAK" and version == 1, f"{path}: not a pack of this format")
        demand(flags == 0 and not any(reserved), f"{path}: reserved bytes are set")
        demand(number == self.number, f"{path}: misnamed")

    def records(self, store_key):
        """Yields (type, dictionary id, zstd?, content, plain length); ends at a torn tail."""
        if self.empty:
            return
        gcm = AESGCM(hkdf(store_key, self.id, b"emlfs pack"))
        self.chain = sha256(b"emlfs chain" + self.head)
        self.end, self.count = PACK_HEAD, 0
        while not self.sealed:
            head = self.data[self.end:self.end + RECORD_HEAD]
            if len(head) < RECORD_HEAD:
                return
            magic, kind, flags, number, plain_len, stored_len, dict_id, attempt = struct.unpack(
                "<2sBBIIIII", head)
            body = self.data[self.end + RECORD_HEAD:][:stored_len + TAG]
            shape = 0 < stored_len < plain_len if flags & 1 else stored_len == plain_len
            if (magic != b"eR" or number != self.count or len(body) != stored_len + TAG
                    or flags > 1 or plain_len > PLAIN_MAX or not shape
                    or (kind == OPEN) != (number == 0)):
                return
            nonce = struct.pack("<II4x", number, attempt)
            try:
                content = gcm.decrypt(nonce, body, self.head + head)
            except InvalidTag:
                return
            if kind == SEAL:
                count, chain = struct.unpack("<I32s", content)
                if (count, chain) != (self.count, self.chain):
                    return
                self.sealed = True
            self.chain = sha256(self.chain + body[-TAG:])
            self.count += 1
            self.end += RECORD_HEAD + len(body)
            yield kind, dict_id, flags & 1, content, plain_len


class Store:
    def __init__(self, path, master):
        folder = os.path.join(path, "packs")
        names = sorted(name for name in os.listdir(folder) if PACK_NAME.fullmatch(name))
        self.packs = [Pack(os.path.join(folder, name)) for name in names]
        self.no = int(os.path.basename(path).partition("-")[0])
        demand(all(pack.empty or pack.store_no == self.no for pack in self.packs),
               f"{path}: foreign pack")
        salt = struct.pack("<H", self.no)
        self.pack_key = hkdf(master, salt, b"emlfs store packs")
        self.content_key = hkdf(master, salt, b"emlfs store content")
        self.dictionaries = {}
        self.warnings = []
        self.blobs = {}

    def plain(self, dict_id, compressed, content, plain_len):
        if not compressed:
            return content
        dictionary = None
        if dict_id:
            demand(dict_id in self.dictionaries, "a dictionary is missing")
            dictionary = self.dictionaries[dict_id]
        plain = zstandard.ZstdDecompressor(dict_data=dictionary).decompress(
            content, max_output_size=plain_len)
        demand(len(plain) == plain_len, "a record has another length than it says")
        return plain

    def records(self):
        """Yields (type, plain content) in order; the chain from pack to pack is checked."""
        previous = bytes(48)
        for pack in self.packs:
            for kind, dict_id, compressed, content, plain_len in pack.records(self.pack_key):
                plain = self.plain(dict_id, compressed, content, plain_len)
                if kind == OPEN:
                    demand(plain == previous, f"{pack.path}: the pack before it ended otherwise")
                elif kind == DICT:
                    number = struct.unpack("<I", sha256(plain)[:4])[0] or 1
                    self.dictionaries[number] = zstandard.ZstdCompressionDict(plain)
                elif kind == BLOB:
                    self.blobs[hmac.digest(self.content_key, sha256(plain), "sha256")[:16]] = plain
                elif kind != SEAL:
                    yield kind, plain
            left = len(pack.data) - pack.end
            if left and not pack.empty:
                self.warnings.append(f"{pack.path}: {left} bytes at {pack.end} are no record")
            if pack.count:  # one that died before its first record is passed over
                previous = struct.pack("<IIQ", pack.number, pack.count, pack.end) + pack.chain


# ---- messages

def encode_base64(plain, line, line_end, open_end):
    step = line // 4 * 3
    lines = [b2a_base64(plain[at:at + step], newline=False) for at in range(0, len(plain), step)]
    return line_end.join(lines) + (b"" if open_end else line_end)


def rebuild(recipe, text, blobs):
    """The exact bytes of a message from its recipe and its share of the block's text."""
    if not recipe:
        return text
    cursor, source, out = Cursor(recipe), Cursor(text), []
    while cursor.left():
        head = cursor.u8()
        kind = head & 3
        length = cursor.varint()
        line = cursor.varint() * 4 if kind in (BASE64, BLOB_BASE64) else 0
        if kind in (BLOB_RAW, BLOB_BASE64):
            name = cursor.take(16)
            demand(name in blobs, f"blob {name.hex()} is missing")
            plain = blobs[name]
            demand(len(plain) == length, f"blob {name.hex()} has another length")
        else:
            plain = source.take(length)
        if line:
            plain = encode_base64(plain, line, b"\r\n" if head & 4 else b"\n", head & 8)
        out.append(plain)
    demand(source.left() == 0, "text is left over")
    return b"".join(out)


def id_text(message_id):
    def base32(number):
        digits = ""
        while number:
            digits = DIGITS32[number & 31] + digits
            number >>= 5
        return digits
    store_no, number = message_id >> 40, message_id & 0xffffffff
    text = base32(number).rjust(6, "0")
    return text if store_no == 1 else f"{text}-{base32(store_no)}"


def take_entry(cursor):
    user, folder = cursor.varint(), cursor.varint()
    cursor.varint()  # source
    cursor.varint()  # flags
    cursor.svarint()  # date
    return user, folder, cursor.text()


class Message:
    def __init__(self, store, digest, size):
        self.store, self.digest, self.size = store, digest, size
        self.recipe = self.text = b""

    def content(self):
        data = rebuild(self.recipe, self.text, self.store.blobs)
        demand(len(data) == self.size and sha256(data) == self.digest,
               f"message {self.digest.hex()} does not come out as it went in")
        return data


class Archive:
    def __init__(self, path, recovery=None):
        if recovery is None:
            master = master_key(path, MACHINE_SLOT, machine_key(path))
        else:
            master = master_key(path, RECOVERY_SLOT, recovery_key(recovery))
        self.warnings = []
        self.folders = {}   # id -> (user, parent, name)
        self.messages = {}  # id -> Message
        self.entries = {}   # (id, user, folder) -> name
        root = os.path.join(path, "stores")
        stores = [Store(os.path.join(root, name), master) for name in sorted(os.listdir(root))
                  if STORE_NAME.fullmatch(name)]
        demand(stores, "there is no store")
        self.numbers = {store.no for store in stores}
        self.states = {}    # number -> state, as its row says
        for store in sorted(stores, key=lambda store: store.no):
            for kind, plain in store.records():
                self.apply(store, kind, Cursor(plain))
            self.warnings += store.warnings

    def apply(self, store, kind, cursor):
        if kind == BLOCK:
            self.apply_block(store, cursor)
        elif kind == EVENTS:
            self.apply_events(store, cursor)
        elif kind == MASTER:
            self.apply_master(cursor)
        else:
            raise Damage(f"record of unknown type {kind}")

    def apply_block(self, store, cursor):
        meta = Cursor(cursor.bytes())
        demand(meta.u8() == 1, "a block of another version")
        first, count, _ = meta.varint(), meta.varint(), meta.varint()
        digests = [meta.take(32) for _ in range(count)]
        for number, digest in enumerate(digests, first):
            size, text_len = meta.varint(), meta.varint()
            meta.svarint()  # time of archiving
            message = Message(store, digest, size)
            message.recipe = meta.bytes()
            meta.bytes()  # facts
            message.text = cursor.take(text_len)
            message_id = store.no << 40 | number
            self.messages[message_id] = message
            for _ in range(meta.varint()):
                user, folder, stem = take_entry(meta)
                self.file(message_id, user, folder, stem)
        demand(meta.left() == 0 and cursor.left() == 0, "bytes are left over in a block")

    def absent_before(self, store):
        """Numbers of stores that are not there, below store's: detached, or lost."""
        return set(range(1, store.no)) - self.numbers

    def apply_events(self, store, cursor):
        version = cursor.u8()
        demand(version in (1, 2), "events of another version")
        cursor.varint()   # first change number
        cursor.svarint()  # time
        for _ in range(cursor.varint()):
            kind, message_id, source = cursor.varint(), cursor.varint(), cursor.varint()
            cursor.varint()   # size
            cursor.svarint()  # time of archiving
            user, folder, stem = take_entry(cursor)
            demand(FILED <= kind <= (MOVED if version == 1 else DELETED), "an unknown event")
            if kind == DELETED:
                cursor.varint()  # uid + 1 of who did it
                cursor.varint()  # archive user
                cursor.varint()  # retention policy
            if message_id >> 40 in self.absent_before(store):
                continue
            if kind in (FILED, MOVED):
                self.file(message_id, user, folder, stem)
            if kind in (UNFILED, DELETED):
                self.entries.pop((message_id, user, folder), None)
            elif kind == MOVED:
                self.entries.pop((message_id, user, source), None)
        demand(cursor.left() == 0, "bytes are left over in events")

    def file(self, message_id, user, folder, stem):
        # Filing it where it is already changes nothing: the first name stays.
        self.entries.setdefault((message_id, user, folder), f"{stem} [{id_text(message_id)}].eml")

    def apply_master(self, cursor):
        demand(cursor.u8() == 1, "master rows of another version")
        cursor.svarint()  # time
        while cursor.left():
            kind, key, value = cursor.u8(), cursor.bytes(), cursor.bytes()
            if kind == ord("F"):
                self.apply_folder(struct.unpack(">I", key)[0], value)
            elif kind == ord("T"):
                row = Cursor(value)
                demand(row.varint() == 1, "a store row of another version")
                self.states[struct.unpack(">H", key)[0]] = row.varint()

    def apply_folder(self, number, value):
        if not value:
            self.folders.pop(number, None)
            return
        row = Cursor(value)
        version = row.varint()
        demand(version in (1, 2), "a folder row of another version")
        flags = row.varint() if version == 2 else 0
        demand((version == 2) == (flags != 0) and flags <= FOLDER_MOVED | FOLDER_REMOVED,
               f"folder {number} has unknown flags")
        user, parent = row.varint(), row.varint()
        demand(version == 2 or parent < number, f"folder {number} lies in a later one")
        row.svarint()  # time it was made
        name = row.text()
        self.folders.pop(number, None)
        if not flags & FOLDER_REMOVED:
            self.folders[number] = user, parent, name

    def path(self, folder):
        names = []
        while folder:
            demand(folder in self.folders and len(names) < 1000, f"folder {folder} is missing")
            _, folder, name = self.folders[folder]
            names.insert(0, name)
        return "/".join(names)

    def listing(self):
        """(id, sha256, size, user archive, path below it, name) of each entry, sorted."""
        rows = []
        for (message_id, _, folder), name in self.entries.items():
            demand(message_id in self.messages, f"message {message_id} is missing")
            message = self.messages[message_id]
            user, _, path = self.path(folder).partition("/")
            rows.append((message_id, message.digest.hex(), message.size, user, path, name))
        return sorted(rows, key=lambda row: (*row[3:], row[0]))

    def check(self):
        """Folders are a tree, no store is missing but detached ones, all messages come out."""
        for folder, (user, parent, _) in self.folders.items():
            self.path(folder)
            demand(not parent or self.folders[parent][0] == user,
                   f"folder {folder} lies in another user's")
        for number in set(range(1, max(self.numbers) + 1)) - self.numbers:
            demand(self.states.get(number) == DETACHED, f"store {number} is missing")
        for message in self.messages.values():
            message.content()


def run_list(archive, _):
    archive.check()
    for row in archive.listing():
        print(id_text(row[0]), *row[1:], sep="\t")


def run_extract(archive, target):
    for message_id, _, _, user, path, name in archive.listing():
        folder = os.path.join(target, user, path)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(archive.messages[message_id].content())


def run_digest(archive, _):
    archive.check()
    digest = hashlib.sha256()
    for row in archive.listing():
        digest.update(("\t".join((id_text(row[0]), *map(str, row[1:]))) + "\n").encode())
    print(digest.hexdigest())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verb", choices=("list", "extract", "digest"))
    parser.add_argument("archive")
    parser.add_argument("target", nargs="?")
    parser.add_argument("--recovery-key", metavar="FILE")
    arguments = parser.parse_args()
    if (arguments.verb == "extract") != bool(arguments.target):
        parser.error("extract, and only it, takes a directory")
    recovery = None
    if arguments.recovery_key:
        with open(arguments.recovery_key, encoding="ascii") as file:
            recovery = file.read()
    try:
        archive = Archive(arguments.archive, recovery)
        {"list": run_list, "extract": run_extract, "digest": run_digest}[arguments.verb](
            archive, arguments.target)
    except (Damage, zstandard.ZstdError, OSError, UnicodeDecodeError, struct.error) as error:
        print(f"read_archive: {error}", file=sys.stderr)
        return 1
    for warning in archive.warnings:
        print(f"read_archive: {warning}", file=sys.stderr)
    return 1 if archive.warnings else 0


if __name__ == "__main__":
    sys.exit(main())
