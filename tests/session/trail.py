# SPDX-License-Identifier: Apache-2.0
"""Reads a trail's segment files as docs/FORMAT.md describes them, on purpose without the project's own
code: what the tests find in the trail is what a stranger would. Sealed payloads are opened with the first reviewer's
identity, where a lab left it beside the trail."""
import base64
import glob
import hashlib
import json
import os
import re
import struct

import unseal

HEADER = struct.Struct(">4sBBHQQQ16sQIIIIQ32s32s32s")
RECORD_DEF = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "audit", "record.def")


def record_types():
    with open(RECORD_DEF, encoding="utf-8") as f:
        return {int(n): token for n, token in re.findall(r'^RECORD\((\d+), \w+, "([a-z-]+)"', f.read(), re.M)}


TYPES = record_types()


class Record:
    def __init__(self, fields, header, stored, opener):
        (_, number, self.flags, _, self.index, self.real_ns, self.boot_ns, session, self.sequence, self.channel, _,
         self.epoch, self.data_key, _, self.previous, self.payload_hash, self.session_previous) = fields
        self.type = TYPES.get(number, str(number))
        self.session = session.hex()
        self.header, self.stored, self.opener, self.opened = header, stored, opener, None

    @property
    def payload(self):
        if not self.flags & 1:
            return self.stored
        if self.opened is None:
            if self.opener is None:
                raise unseal.Sealed(f"record {self.index} is sealed, and no identity is here")
            self.opened = self.opener.open(self.header, self.stored)
        return self.opened

    @property
    def json(self):
        return json.loads(self.payload)

    def text(self):
        try:
            return self.payload.decode("utf-8", "backslashreplace")
        except unseal.Sealed as e:
            return f"({e})"

    def __repr__(self):
        return f"<{self.index} {self.type} session={self.session[:8]} {self.text()[:300]}>"


class Epochs:
    """The Merkle tree's compact range, and the epochs: each record under its own, one seal for each, which says what it
    must. Signatures are left to others."""
    def __init__(self):
        self.roots, self.epoch, self.first, self.start = [], 0, 0, None  # roots: (size, hash)

    def take(self, record, leaf):
        if record.index == 0:
            self.start = (record.real_ns, record.boot_ns)
        if record.epoch != self.epoch:
            raise AssertionError(f"record {record.index} is of epoch {record.epoch}, not {self.epoch}")
        if record.type == "seal":
            self.check(record)
            self.epoch, self.first, self.start = self.epoch + 1, record.index + 1, (record.real_ns, record.boot_ns)
        size = 1
        while self.roots and self.roots[-1][0] == size:
            leaf, size = hashlib.sha256(b"\1" + self.roots.pop()[1] + leaf).digest(), size * 2
        self.roots.append((size, leaf))

    def root(self):
        root = self.roots[-1][1]
        for _, left in reversed(self.roots[:-1]):
            root = hashlib.sha256(b"\1" + left + root).digest()
        return base64.b64encode(root).decode()

    def check(self, record):
        lines = record.payload.decode().split("\n")
        origin = lines[1]
        want = ["sallyport-seal-v1", origin, str(self.epoch), str(self.first), str(record.index), self.root(),
                "%d %d" % self.start, "%d %d" % (record.real_ns, record.boot_ns)]
        if lines[:8] != want or not lines[8].startswith(f"{origin}/epoch/{self.epoch + 1}+"):
            raise AssertionError(f"the seal of epoch {self.epoch} is {lines[:9]}, not {want}")
        signature = lines[-2].split(" ")
        if lines[-1] or lines[-3] or signature[:2] != ["\u2014", f"{origin}/epoch/{self.epoch}"]:
            raise AssertionError(f"the seal of epoch {self.epoch} is signed by {signature}")



def opener_of(directory, identity=None):
    """What opens the sealed records of a trail: None without an identity."""
    path = identity or os.path.join(directory, "..", "keys", "reviewer.identity")
    return unseal.Opener(unseal.Identity(path)) if os.path.exists(path) else None


def segments(directory):
    """Each segment once: while one is replaced both its files are there."""
    found = {}
    for path in glob.glob(os.path.join(directory, "*.sp[ap]")):
        found[os.path.basename(path)[:16]] = max(path, found.get(os.path.basename(path)[:16], ""))
    return [found[name] for name in sorted(found)]


def read_pruned(data, records, epochs, opener):
    """The last record's leaf."""
    at, leaf = 4, None
    while at < len(data):
        header = data[at + 1:at + 1 + HEADER.size]
        fields = HEADER.unpack(header)
        length = fields[10] if data[at] else 0
        payload = data[at + 1 + HEADER.size:at + 1 + HEADER.size + length]
        record = Record(fields, header, payload, opener)
        leaf = hashlib.sha256(b"\0" + header).digest()
        epochs.take(record, leaf)
        if record.type == "key" and opener and data[at]:
            opener.note(header[32:48], payload)
        records.append(record)
        at += 1 + HEADER.size + length
    return leaf


def read(directory, identity=None):
    """Every record, with the chain checked on the way: a broken one is an AssertionError."""
    while True:
        paths = segments(directory)
        try:
            return read_segments(paths, opener_of(directory, identity))
        except FileNotFoundError:
            if segments(directory) == paths:  # else one was pruned just now
                raise


def read_segments(paths, opener):
    records, previous, epochs = [], None, Epochs()
    for path in paths:
        with open(path, "rb") as f:
            data = f.read()
        if data[:4] == b"SPP1":
            previous = read_pruned(data, records, epochs, opener)
            continue
        at = 0
        while at + HEADER.size <= len(data) and data[at:at + 4] == b"SPA1":
            header = data[at:at + HEADER.size]
            fields = HEADER.unpack(header)
            length = fields[10]
            payload = data[at + HEADER.size:at + HEADER.size + length]
            if len(payload) < length:
                break  # being written just now
            record = Record(fields, header, payload, opener)
            if record.index != len(records):
                raise AssertionError(f"record {len(records)} has the index {record.index}")
            if previous is not None and record.previous != previous:
                raise AssertionError(f"the chain is broken before record {record.index}")
            if hashlib.sha256(payload).digest() != record.payload_hash:
                if at + HEADER.size + length == len(data) or not data[at + HEADER.size + length:].strip(b"\0"):
                    break  # its payload is on the way
                raise AssertionError(f"record {record.index} has another payload than its header says")
            previous = hashlib.sha256(b"\0" + header).digest()
            epochs.take(record, previous)
            if record.type == "key" and opener:
                opener.note(header[32:48], payload)
            records.append(record)
            at += HEADER.size + length
    return records
