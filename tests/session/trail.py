# SPDX-License-Identifier: Apache-2.0
"""Reads a trail's segment files as docs/FORMAT.md describes them, on purpose without the project's own
code: what the tests find in the trail is what a stranger would."""
import glob
import hashlib
import json
import os
import re
import struct

HEADER = struct.Struct(">4sBBHQQQ16sQIIIIQ32s32s32s")
RECORD_DEF = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "audit", "record.def")


def record_types():
    with open(RECORD_DEF, encoding="utf-8") as f:
        return {int(n): token for n, token in re.findall(r'^RECORD\((\d+), \w+, "([a-z-]+)"', f.read(), re.M)}


TYPES = record_types()


class Record:
    def __init__(self, fields, payload):
        (_, number, self.flags, _, self.index, self.real_ns, self.boot_ns, session, self.sequence, self.channel, _,
         self.epoch, _, _, self.previous, self.payload_hash, self.session_previous) = fields
        self.type = TYPES.get(number, str(number))
        self.session = session.hex()
        self.payload = payload

    @property
    def json(self):
        return json.loads(self.payload)

    def text(self):
        return self.payload.decode("utf-8", "backslashreplace")

    def __repr__(self):
        return f"<{self.index} {self.type} session={self.session[:8]} {self.text()[:300]}>"


def read(directory):
    """Every record, with the chain checked on the way: a broken one is an AssertionError."""
    records, previous = [], None
    for path in sorted(glob.glob(os.path.join(directory, "*.spa"))):
        with open(path, "rb") as f:
            data = f.read()
        at = 0
        while at + HEADER.size <= len(data) and data[at:at + 4] == b"SPA1":
            header = data[at:at + HEADER.size]
            fields = HEADER.unpack(header)
            length = fields[10]
            payload = data[at + HEADER.size:at + HEADER.size + length]
            if len(payload) < length:
                break  # being written just now
            record = Record(fields, payload)
            if record.index != len(records):
                raise AssertionError(f"record {len(records)} has the index {record.index}")
            if previous is not None and record.previous != previous:
                raise AssertionError(f"the chain is broken before record {record.index}")
            if hashlib.sha256(payload).digest() != record.payload_hash:
                if at + HEADER.size + length == len(data) or not data[at + HEADER.size + length:].strip(b"\0"):
                    break  # its payload is on the way
                raise AssertionError(f"record {record.index} has another payload than its header says")
            previous = hashlib.sha256(b"\0" + header).digest()
            records.append(record)
            at += HEADER.size + length
    return records
