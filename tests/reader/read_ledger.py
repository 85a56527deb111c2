#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""An independent reader of the ledger, written from store/FORMAT.md 20 without a line of emlfs.

    read_ledger.py check ARCHIVE              read and check everything, then print the counts
    read_ledger.py list ARCHIVE               the same, and one line per record
    read_ledger.py against ARCHIVE            check, and hold it against the packs: every message has
                                              its record, with the same digest, every further entry
                                              and every folder has one
    read_ledger.py proof PROOF PUBLICKEY.PEM  check a proof: no archive, no secret

--ledger DIR --master HEX reads a ledger alone, with the master key given. Needs
python3-cryptography. Ends with 1 and a line that says why when something is not as it should be.
"""
import argparse
import base64
import hmac
import os
import re
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from read_archive import (Archive, Cursor, Damage, MACHINE_SLOT, demand, hkdf, machine_key,  # noqa: E402
                          master_key, sha256)

SEGMENT_RECORDS = 65536
LEVELS = 5
TIMESTAMPED = 93
MADE, ARCHIVED, FILED, MOVED, DELETED, FOLDER_MADE = 1, 10, 11, 12, 13, 20
SOURCES = ("inside", "mount", "socket", "job", "command", "service")


def leaf_hash(record):
    return sha256(b"\0" + record)


def node_hash(left, right):
    return sha256(b"\1" + left + right)


class Tree:
    """A stack of complete subtrees: (height, hash), the largest first."""

    def __init__(self):
        self.size = 0
        self.stack = []

    def push(self, leaf):
        """The hashes this leaf completes: [(height, hash)]."""
        done = [(0, leaf)]
        while self.stack and self.stack[-1][0] == done[-1][0]:
            height, left = self.stack.pop()
            done.append((height + 1, node_hash(left, done[-1][1])))
        self.stack.append(done[-1])
        self.size += 1
        return done

    def root(self):
        if not self.stack:
            return sha256(b"")
        root = self.stack[-1][1]
        for _, left in reversed(self.stack[:-1]):
            root = node_hash(left, root)
        return root


# ---- texts

class Checkpoint:
    LINES = re.compile(
        r"([A-Za-z0-9._/-]{1,100})\n(0|[1-9][0-9]*)\n([A-Za-z0-9+/]{43}=)\n"
        r"number ([1-9][0-9]*)\ntime (0|[1-9][0-9]*)\nprevious ([A-Za-z0-9+/]{43}=)\n"
        r"\n\u2014 ([A-Za-z0-9._/-]+) ([A-Za-z0-9+/=]+)\n")

    def __init__(self, text):
        match = self.LINES.fullmatch(text.decode("utf-8"))
        demand(match, "not a checkpoint")
        self.text = text
        self.origin, size, root, number, _, previous, name, signature = match.groups()
        demand(name == self.origin, "a checkpoint signed under another name")
        self.size, self.number = int(size), int(number)
        self.root, self.previous = decode64(root), decode64(previous)
        self.signature = decode64(signature)

    def verify(self, public):
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        key_id = sha256(self.origin.encode() + b"\n\1" + raw)[:4]
        demand(self.signature[:4] == key_id, "a checkpoint signed with another key")
        body = self.text[:self.text.index(b"\n\n") + 1]
        try:
            public.verify(self.signature[4:], body)
        except InvalidSignature as error:
            raise Damage(f"checkpoint {self.number}: the signature is wrong") from error


def decode64(text):
    data = base64.b64decode(text, validate=True)
    demand(base64.b64encode(data).decode() == text, "base64 with bits left over")
    return data


def inclusion_root(index, size, leaf, path):
    """RFC 9162 2.1.3.2"""
    demand(index < size, "no such record in this tree")
    node, last, root = index, size - 1, leaf
    for sibling in path:
        demand(last > 0, "the path is too long")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    demand(last == 0, "the path is too short")
    return root


def consistency_roots(older, newer, older_root, path):
    """RFC 9162 2.1.4.2: the roots that the path leads to."""
    demand(0 < older <= newer, "impossible sizes")
    if older == newer:
        demand(not path, "a path where none is due")
        return older_root, older_root
    path = list(path)
    if older & (older - 1) == 0:
        path.insert(0, older_root)
    demand(path, "no path")
    node, last = older - 1, newer - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        demand(last > 0, "the path is too long")
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        node, last = node >> 1, last >> 1
    demand(last == 0, "the path is too short")
    return first, second


def field(lines, name):
    demand(lines and lines[0].startswith(name + " "), f"no line {name}")
    return lines.pop(0)[len(name) + 1:]


def check_proof(text, pem):
    public = serialization.load_pem_public_key(pem)
    head, _, note = text.partition(b"\n\n")
    checkpoint = Checkpoint(note)
    checkpoint.verify(public)
    lines = head.decode("ascii").split("\n")
    title = lines.pop(0)
    if title == "emlfs inclusion proof 1":
        index, record = int(field(lines, "index")), decode64(field(lines, "record"))
        path = [decode64(line[5:]) for line in lines if line.startswith("hash ")]
        demand(len(path) == len(lines), "a line that is no hash")
        root = inclusion_root(index, checkpoint.size, leaf_hash(record), path)
        demand(root == checkpoint.root, "the record is not in the checkpoint's tree")
        demand(Record(record).sequence == index, "the record has another number")
        return Record(record).line()
    demand(title == "emlfs consistency proof 1", "no proof")
    older, older_root = int(field(lines, "older")), decode64(field(lines, "root"))
    path = [decode64(line[5:]) for line in lines if line.startswith("hash ")]
    demand(len(path) == len(lines), "a line that is no hash")
    roots = consistency_roots(older, checkpoint.size, older_root, path)
    demand(roots == (older_root, checkpoint.root), "the older tree is not the beginning of the newer")
    return f"{older} {base64.b64encode(older_root).decode()}"


# ---- records

class Record:
    def __init__(self, data):
        cursor = Cursor(data)
        cursor.take(16)  # salt
        demand(cursor.u8() == 1, "a record of another version")
        self.sequence, self.time = cursor.varint(), cursor.svarint()
        (self.kind, self.source, self.flags, self.outcome, self.user, self.owner, uid, self.message,
         self.folder, self.folder_to, self.object, has_digest) = (cursor.varint() for _ in range(12))
        self.uid = uid - 1
        demand(self.source < len(SOURCES) and has_digest < 2 and self.flags < 2 and self.kind,
               "a record with an impossible field")
        self.digest = cursor.take(32) if has_digest else b""
        self.name, self.detail, self.data = cursor.text(), cursor.text(), cursor.bytes()
        demand(cursor.left() == 0, "bytes are left over in a record")

    def line(self):
        return "\t".join(map(str, (
            self.sequence, self.time, self.kind, SOURCES[self.source], self.outcome, self.user,
            self.owner, self.uid, self.message, self.folder, self.folder_to, self.object,
            self.digest.hex(), self.name, self.detail, self.data.hex())))


class Ledger:
    def __init__(self, path, master):
        self.path = path
        self.records_key = hkdf(master, b"", b"emlfs ledger records")
        self.mark_key = hkdf(master, b"", b"emlfs ledger mark")
        self.keys_key = hkdf(master, b"", b"emlfs ledger keys")
        self.tree = Tree()
        self.levels = [bytearray() for _ in range(LEVELS)]
        self.stamps = {}

    def read(self, name):
        with open(os.path.join(self.path, name), "rb") as file:
            return file.read()

    def check_keys(self):
        data = self.read("keys")
        cursor = Cursor(data)
        demand(cursor.take(8) == b"EMLFSLKY" and cursor.take(2) == b"\1\0", "keys: another format")
        publics = []
        for kind in (ed25519.Ed25519PrivateKey, None):
            pem = cursor.bytes()
            aad = data[:cursor.pos]
            nonce = cursor.take(12)
            secret = AESGCM(self.keys_key).decrypt(nonce, cursor.bytes(), aad)
            private = (kind.from_private_bytes(secret) if kind
                       else serialization.load_der_private_key(secret, None))
            demand(kind or isinstance(private.curve, ec.SECP256R1), "keys: another curve")
            publics.append(private.public_key())
            demand(pem == publics[-1].public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
                "keys: a public key that is not the secret's")
        demand(cursor.left() == 0, "keys: bytes are left over")
        return publics[0]

    def check_mark(self):
        """(size, tiles, segment bytes, checkpoints bytes, root) of the newer slot."""
        data = self.read("mark")
        demand(len(data) == 1024, "mark: wrong length")
        slots = []
        for number in range(2):
            slot = data[512 * number:512 * (number + 1)]
            magic, version, zero, *rest = struct.unpack("<8sH6s5Q32s32s", slot[:120])
            demand(magic == b"EMLFSLMK" and version == 1 and not any(zero + slot[120:]),
                   "mark: another format")
            mac = hmac.digest(self.mark_key, slot[:88], "sha256")
            demand(mac == rest[-1] and rest[0] % 2 == number, "mark: altered")
            slots.append(rest)
        return max(slots)[1:6]

    def frames(self, number):
        data = self.read(f"records/{number:08d}.log")
        head = data[:64]
        magic, version, flags, name, zero, ident = struct.unpack("<8sHHI16s32s", head)
        demand(magic == b"EMLFSLOG" and (version, flags, name) == (1, 0, number) and not any(zero),
               f"records/{number:08d}.log: its header is wrong")
        gcm = AESGCM(hkdf(self.records_key, ident, b"emlfs ledger segment"))
        pos = 64
        while pos < len(data):
            header = data[pos:pos + 32]
            demand(len(header) == 32, "a frame is cut")
            magic, count, length, first, nonce, zero = struct.unpack("<2sHIQ12sI", header)
            demand(magic == b"eL" and 0 < count <= 4096 and length <= 1 << 20 and zero == 0,
                   "no frame")
            body = gcm.decrypt(nonce, data[pos + 32:pos + 48 + length], head + header)
            demand(len(body) == length, "a frame is cut")
            yield first, count, body
            pos += 48 + length
        self.last_bytes = pos

    def records(self):
        """Every record in order; the tree and its levels grow with them."""
        names = sorted(os.listdir(os.path.join(self.path, "records")))
        demand(names == [f"{n + 1:08d}.log" for n in range(len(names))], "segments are missing")
        self.last_bytes = 0
        for number in range(1, len(names) + 1):
            demand(self.tree.size == (number - 1) * SEGMENT_RECORDS, "records are missing")
            for first, count, body in self.frames(number):
                demand(first == self.tree.size, "records are missing")
                cursor = Cursor(body)
                root = cursor.take(32)
                for _ in range(count):
                    data = cursor.bytes()
                    record = Record(data)
                    demand(record.sequence == self.tree.size, "a record has another number")
                    for height, value in self.tree.push(leaf_hash(data)):
                        if height % 8 == 0:
                            self.levels[height // 8] += value
                    yield record
                demand(cursor.left() == 0, "bytes are left over in a frame")
                demand(root == self.tree.root(), "the root in a frame is another")

    def checkpoints(self, public):
        data, previous = self.read("checkpoints"), bytes(32)
        while data:
            end = data.find(b"\n", data.find(b"\n\n") + 2) + 1
            demand(end > 0, "the last checkpoint is cut")
            checkpoint = Checkpoint(data[:end])
            checkpoint.verify(public)
            demand(checkpoint.previous == previous, "a checkpoint does not follow the one before")
            previous = sha256(data[:end])
            data = data[end:]
            yield checkpoint

    def check(self, each=lambda record: None):
        public = self.check_keys()
        size, tiles, segment_bytes, notes_bytes, root = self.check_mark()
        notes = list(self.checkpoints(public))
        demand([note.number for note in notes] == list(range(1, len(notes) + 1)), "checkpoints")
        demand(len(self.read("checkpoints")) >= notes_bytes, "checkpoints are missing")
        wanted = {note.size: note.root for note in notes}
        wanted[size] = root
        at_zero = wanted.pop(0, sha256(b""))
        demand(at_zero == sha256(b""), "the root of nothing is wrong")
        for record in self.records():
            each(record)
            if self.tree.size in wanted:
                # records() has pushed this leaf already
                demand(wanted.pop(self.tree.size) == self.tree.root(),
                       f"the signed root of {self.tree.size} records is another")
            if record.kind == TIMESTAMPED and not record.outcome:
                stamp = self.read(f"timestamps/{record.object:08d}.tsr")
                demand(sha256(stamp) == record.digest, "a time stamp was altered")
        demand(not wanted, "records are missing")
        demand(not segment_bytes or (segment_bytes == self.last_bytes and size == self.tree.size),
               "the ledger was closed in order and ends otherwise now")
        for level, data in enumerate(self.levels):
            demand(self.read(f"tiles/{level}") == bytes(data), f"tiles/{level} is not what it was")
        return self.tree.size, len(notes)


class Against:
    """What records say is archived and filed, to be compared with what packs hold."""

    def __init__(self):
        self.begin = 0
        self.messages = {}
        self.entries = set()
        self.folders = set()

    def add(self, record):
        if record.outcome:
            return
        if record.kind == MADE:
            demand(record.sequence == 0, "a ledger begins twice")
            self.begin = record.message
        elif record.kind == ARCHIVED:
            demand(record.message not in self.messages,
                   f"message {record.message} is archived a second time")
            self.messages[record.message] = record.digest
        elif record.kind == FOLDER_MADE:
            self.folders.add(record.folder)
        if record.kind in (ARCHIVED, FILED):
            self.entries.add((record.message, record.owner, record.folder))
        elif record.kind in (MOVED, DELETED):
            self.entries.discard((record.message, record.owner, record.folder))
            if record.kind == MOVED:
                self.entries.add((record.message, record.owner, record.folder_to))

    def compare(self, archive):
        held = {number: message.digest for number, message in archive.messages.items()
                if number > self.begin}
        for number in sorted(held.keys() | self.messages.keys()):
            demand(number in self.messages, f"message {number} has no record")
            demand(number in held, f"message {number} is recorded and not in the packs")
            demand(held[number] == self.messages[number], f"message {number}: another digest")
        entries = {key for key in archive.entries if key[0] > self.begin}
        recorded = {key for key in self.entries if key[0] > self.begin}
        demand(entries == recorded, f"entries differ: {sorted(entries ^ recorded)[:4]}")
        if not self.begin:
            demand(set(archive.folders) <= self.folders, "a folder has no record")


def run(arguments):
    if arguments.verb == "proof":
        with open(arguments.path, "rb") as proof, open(arguments.key, "rb") as key:
            print(check_proof(proof.read(), key.read()))
        return
    if arguments.ledger:
        ledger = Ledger(arguments.ledger, bytes.fromhex(arguments.master))
    else:
        master = master_key(arguments.path, MACHINE_SLOT, machine_key(arguments.path))
        ledger = Ledger(os.path.join(arguments.path, "ledger"), master)
    lines = []
    against = Against()

    def each(record):
        against.add(record)
        if arguments.verb == "list":
            lines.append(record.line())

    size, notes = ledger.check(each)
    if arguments.verb == "against":
        against.compare(Archive(arguments.path))
    if lines:
        print("\n".join(lines))
    print(f"{size} records, {notes} checkpoints, root {base64.b64encode(ledger.tree.root()).decode()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verb", choices=("check", "list", "against", "proof"))
    parser.add_argument("path", nargs="?")
    parser.add_argument("key", nargs="?")
    parser.add_argument("--ledger", metavar="DIR")
    parser.add_argument("--master", metavar="HEX")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except (Damage, InvalidTag, OSError, ValueError, struct.error) as error:
        print(f"read_ledger: {error or 'a frame or key does not open'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
