# SPDX-License-Identifier: Apache-2.0
"""Writes logs as docs/FORMAT.md describes them, with keys of its own: also such as the recorder would never write,
with every link, root and signature right."""
import base64
import hashlib
import json
import os
import struct
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [os.path.dirname(HERE)]

import verify_notes as notes  # noqa: E402

HEADER = struct.Struct(">4sBBHQQQ16sQIIIIQ32s32s32s")
SEGMENT, START, END, INPUT, OUTPUT, KEY, SEAL, RECOVERY, PRUNE, SHUTDOWN = 1, 2, 3, 6, 7, 18, 22, 23, 25, 27
GATEWAY, ONE, OTHER = bytes(16), b"\x01" * 16, b"\x02" * 16
CONTENT, KEYSTROKES = 1, 2


class Key:
    """An Ed25519 key that its name gives."""

    def __init__(self, name, kind=notes.NOTE_KEY):
        seed = hashlib.sha512(hashlib.sha256(name.encode()).digest()).digest()
        number = bytearray(seed[:32])
        number[0] &= 248
        number[31] = number[31] & 127 | 64
        self.number, self.prefix, self.name = int.from_bytes(number, "little"), seed[32:], name
        self.public = self.packed(notes.times(self.number, notes.BASE))
        self.id = notes.key_id(name, kind, self.public)
        self.text = f"{name}+{self.id.hex()}+{base64.b64encode(bytes([kind]) + self.public).decode()}"

    @staticmethod
    def packed(point):
        inverse = pow(point[2], notes.P - 2, notes.P)
        x, y = point[0] * inverse % notes.P, point[1] * inverse % notes.P
        return (y | (x & 1) << 255).to_bytes(32, "little")

    def sign(self, message):
        r = notes.hash_to_number(self.prefix, message)
        packed = self.packed(notes.times(r, notes.BASE))
        s = (r + notes.hash_to_number(packed, self.public, message) * self.number) % notes.Q
        return packed + s.to_bytes(32, "little")

    def line(self, signature):
        return f"\u2014 {self.name} {base64.b64encode(self.id + signature).decode()}\n"

    def note(self, text):
        return f"{text}\n{self.line(self.sign(text.encode()))}".encode()

    def cosigned(self, note, time):
        text = note.decode().rpartition("\n\n")[0] + "\n"
        signature = self.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
        return note + self.line(time.to_bytes(8, "big") + signature).encode()


def sha(data):
    return hashlib.sha256(data).digest()


def split(segment):
    """The records of a segment's bytes."""
    out, at = [], 0
    while at < len(segment):
        end = at + 176 + int.from_bytes(segment[at + 60:at + 64], "big")
        out.append(segment[at:end])
        at = end
    return out


def relink(records, previous=None):
    """The records with every index, number in its session and link made anew, as anybody can: no key is needed."""
    out, sessions, leaf = [], {}, previous or records[0][80:112]
    for index, record in enumerate(records):
        fields = list(HEADER.unpack(record[:176]))
        fields[4], fields[14] = index, leaf
        fields[8], fields[16] = sessions.get(fields[7], (0, bytes(32)))
        fields[15] = sha(record[176:])
        header = HEADER.pack(*fields)
        leaf = sha(b"\0" + header)
        sessions[fields[7]] = (fields[8] + 1, leaf)
        out.append(header + record[176:])
    return out


class Log:
    def __init__(self, origin="forge.test/sallyport/0"):
        self.origin = origin
        self.log, self.anchor, self.epoch_key = Key(origin), Key(origin + "/anchor"), Key(origin + "/epoch/0")
        self.genesis = sha(f"spa1-genesis\n{origin}\n{self.log.text}\n{self.epoch_key.text}".encode())
        self.leaf, self.roots, self.sessions, self.segments, self.headers = self.genesis, [], {}, {}, []
        self.epoch, self.epoch_first, self.epoch_start, self.count, self.run = 0, 0, (0, 0), 0, "born"
        self.notes = {"anchor.note": self.anchor.note(
            f"sallyport-anchor-v1\n{origin}\n{self.log.text}\n{self.epoch_key.text}\n{self.genesis.hex()}\n")}
        self.roll()

    def times(self):
        return 1_700_000_000_000_000_000 + self.count * 1_000_000, 1_000_000_000 + self.count * 1_000_000

    def root(self):
        out = self.roots[-1][1] if self.roots else sha(b"")
        for _, left in reversed(self.roots[:-1]):
            out = sha(b"\1" + left + out)
        return out

    def add(self, kind, payload=b"", session=GATEWAY, **other):
        """A record; `other` are header fields that are not what they should be."""
        if isinstance(payload, dict):
            payload = json.dumps(payload).encode()
        s = self.sessions.setdefault(session, {"sequence": 0, "leaf": bytes(32), "started": False, "ended": False,
                                               "judged": False, "start_ns": 0, "bytes_in": 0, "bytes_out": 0})
        real, boot = self.times()
        f = {"magic": b"SPA1", "flags": 0, "header": 176, "index": self.count, "real": real, "boot": boot,
             "sequence": s["sequence"], "channel": 0, "epoch": self.epoch, "data_key": 0, "reserved": 0,
             "previous": self.leaf, "hash": sha(payload), "session_previous": s["leaf"], **other}
        header = HEADER.pack(f["magic"], kind, f["flags"], f["header"], f["index"], f["real"], f["boot"], session,
                             f["sequence"], f["channel"], len(payload), f["epoch"], f["data_key"], f["reserved"],
                             f["previous"], f["hash"], f["session_previous"])
        if self.count == 0:
            self.epoch_start = (f["real"], f["boot"])
        self.leaf = sha(b"\0" + header)
        s["sequence"], s["leaf"] = s["sequence"] + 1, self.leaf
        if kind == START:
            s.update(started=True, start_ns=f["real"])
        s["ended"], s["judged"] = s["ended"] or kind == END, s["judged"] or kind == 30
        size, leaf = 1, self.leaf
        while self.roots and self.roots[-1][0] == size:
            leaf, size = sha(b"\1" + self.roots.pop()[1] + leaf), size * 2
        self.roots.append((size, leaf))
        self.segments[max(self.segments)].append(header + payload)
        self.headers.append(header)
        self.count += 1
        return self.count - 1

    def roll(self, **other):
        self.segments[self.count] = []
        began = self.epoch_start if self.count else (0, 0)
        said = {"origin": self.origin, "first": self.count, "epoch": self.epoch, "epoch_key": self.epoch_key.text,
                "epoch_first": self.epoch_first, "epoch_real_ns": began[0], "epoch_boot_ns": began[1], "run": self.run,
                "merkle": [h.hex() for _, h in self.roots],
                "sessions": [{"id": i.hex(), **{k: v.hex() if k == "leaf" else v for k, v in s.items()}}
                             for i, s in self.sessions.items()], **other}
        return self.add(SEGMENT, {k: v for k, v in said.items() if v is not None})

    def begin(self, event="begin", **more):
        self.run = "going"
        return self.add(KEY, {"event": event, "log_key": self.log.text, "epoch": self.epoch, "epoch_key": self.epoch_key.text,
                              **more})

    def recover(self):
        self.run = "recovered"
        return self.add(RECOVERY, {"size": self.count, "checkpoint": 0, "torn_bytes": 0})

    def seal(self, next_log=None, signer=None, change=lambda lines: lines, lie=lambda note: note, **other):
        real, boot = self.times()
        after = Key(f"{self.origin}/epoch/{self.epoch + 1}")
        lines = ["sallyport-seal-v1", self.origin, str(self.epoch), str(self.epoch_first), str(self.count),
                 base64.b64encode(self.root()).decode(), "%d %d" % self.epoch_start, f"{real} {boot}", after.text]
        if next_log:
            lines.append("next-log " + next_log)
        note = (signer or self.epoch_key).note("".join(line + "\n" for line in change(lines)))
        index = self.add(SEAL, lie(note), **other)
        self.epoch, self.epoch_key, self.epoch_first, self.epoch_start = self.epoch + 1, after, self.count, (real, boot)
        if self.run == "shutdown":
            self.run = "ended"
        return index

    def shutdown(self, seal=True, **more):
        self.run = "shutdown"
        self.add(SHUTDOWN, {"reason": "shutdown", "records": self.count})
        if seal:
            self.seal(**more)

    def session(self, session=ONE, words=3, end=True):
        self.add(START, {"operator": "alice", "target": "hv1", "account": "root", "source": "::1"}, session)
        self.add(KEY, {"event": "session-keys", "cipher": "AES-256-GCM", "keys": []}, session)
        for n in range(words):
            self.add(OUTPUT, b"sealed words and a tag of 16 b" + bytes([n]), session, flags=1, data_key=CONTENT)
        if end:
            self.add(END, {"reason": "client-closed"}, session)

    def checkpoint(self):
        note = self.log.note(f"{self.origin}\n{self.count}\n{base64.b64encode(self.root()).decode()}\n")
        self.notes["checkpoint"] = note
        return note

    def prune(self, first, records, bytes_, act="prune-before"):
        return self.add(PRUNE, {"order": sha(str(self.count).encode()).hex(), "act": act, "before_ns": 1,
                                "signers": ["ann", "bob"], "reason": "it is time", "records": records, "bytes": bytes_,
                                "segments": [{"first": first, "records": records, "bytes": bytes_}]})

    def write(self, directory, pruned=()):
        """pruned: indexes of records whose payloads are not kept; their segments become .spp."""
        os.makedirs(directory, exist_ok=True)
        for name in os.listdir(directory):
            if name != "tile":
                os.unlink(os.path.join(directory, name))
        for first, records in self.segments.items():
            indexes = range(first, first + len(records))
            if set(indexes) & set(pruned):
                data = b"SPP1" + b"".join(b"\0" + r[:176] if i in pruned else b"\1" + r for i, r in zip(indexes, records))
                self.put(directory, f"{first:016x}.spp", data)
            else:
                self.put(directory, f"{first:016x}.spa", b"".join(records))
        for name, note in self.notes.items():
            self.put(directory, name, note)

    @staticmethod
    def put(directory, name, data):
        with open(os.path.join(directory, name), "wb") as f:
            f.write(data)
