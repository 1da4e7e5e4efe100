#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
"""A second verifier of a trail, from docs/FORMAT.md alone and with nothing but Python's standard library: it shares no
line with the recorder or with `sallyport audit verify`, so that what both say is what the format says.

    tests/verify_independent.py [--log-key KEY] [--anchor KEY] [--known FILE] [--witness KEY] [--tiles] [--json] DIRECTORY

KEY is a verifier key or a file with one. Exit status: 0 verified, 1 tampered, 2 could not be checked. Signed notes
are read by verify_notes.py beside it."""
import argparse
import hashlib
import json
import os
import re
import stat
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from verify_notes import COSIGNER_KEY, NOTE_KEY, Note, NoNote, NotSigned, VerifierKey, bytes_of, decimal  # noqa: E402

HEADER = struct.Struct(">4sBBHQQQ16sQIIIIQ32s32s32s")
PAYLOAD_MAX = 1 << 20
EPOCH_RECORDS_MAX = 1 << 20
NOTE_MAX = 1 << 16
SEGMENT, START, END, KEY, SEAL, RECOVERY, PRUNE, SHUTDOWN = 1, 2, 3, 18, 22, 23, 25, 27
GATEWAY = bytes(16)


class Tampered(Exception):
    def __init__(self, kind, file, offset, record, text):
        super().__init__(text)
        self.kind, self.file, self.offset, self.record = kind, file, offset, record


class NotChecked(Exception):
    """Nothing can be said, because of what the caller gave."""


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def read_json(payload):
    """A JSON object without members of the same name; else None."""
    def once(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError("twice")
        return dict(pairs)
    try:
        said = json.loads(payload or b"", object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def is_number(value):
    return type(value) is int and value >= 0


class Tree:
    """The roots of the full subtrees that the leaves so far decompose into, largest first."""

    def __init__(self):
        self.size, self.roots = 0, []

    def add(self, leaf):
        self.roots.append(leaf)
        self.size += 1
        n = self.size
        while n % 2 == 0:
            right, left = self.roots.pop(), self.roots.pop()
            self.roots.append(sha(b"\x01", left, right))
            n //= 2

    def root(self):
        if not self.roots:
            return sha()
        out = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            out = sha(b"\x01", left, out)
        return out


class Course:
    """The recorder's starts and ends."""

    def __init__(self):
        self.run = "born"

    @staticmethod
    def opens(kind, session, payload):
        said = read_json(payload) if kind == KEY and session == GATEWAY else None
        return said is not None and said.get("event") in ("begin", "opened")

    def take(self, kind, session, payload):
        """What is missing before this record, or None."""
        opens = self.opens(kind, session, payload)
        if kind in (SEGMENT, RECOVERY):
            self.run = "recovered" if kind == RECOVERY else self.run
            return None
        if self.run == "shutdown" and kind != SEAL:
            return "neither a seal nor a recovery follows the shutdown"
        if self.run in ("born", "ended") and not opens and kind != SEAL:
            return "the log goes on, and no recorder opened it"
        if self.run == "going" and opens:
            return "a recorder opened the log after an end without shutdown and recovery"
        if kind == SEAL:
            self.run = "ended" if self.run == "shutdown" else self.run
        elif kind == SHUTDOWN:
            self.run = "shutdown"
        elif opens:
            self.run = "going"
        return None


class Session:
    """What a segment record says of it."""

    def __init__(self):
        self.sequence, self.leaf, self.started, self.ended = 0, bytes(32), False, False

    def take(self, kind, leaf):
        self.sequence, self.leaf = self.sequence + 1, leaf
        self.started, self.ended = self.started or kind == START, self.ended or kind == END

    def is_as(self, said):
        return (said["sequence"], said["leaf"], said["started"], said["ended"]) == \
            (self.sequence, self.leaf.hex(), self.started, self.ended)


class Checkpoint:
    def __init__(self, where, data, log_key):
        self.where, self.note = where, Note(data)
        text = self.note.verify(log_key)
        if text[0] != log_key.name:
            raise NotSigned("not a checkpoint of this log")
        if len(text) != 3:
            raise NoNote("a checkpoint has three lines")
        self.size, self.root = decimal(text[1]), bytes_of(text[2], 32)


class Trail:
    def __init__(self, directory, log_key, anchor_key):
        self.directory, self.log, self.anchor = directory, log_key, anchor_key
        self.records, self.sealed_to, self.signed_to, self.unfinished = 0, 0, 0, 0
        self.tree, self.course, self.sessions, self.leaves, self.headers = Tree(), Course(), {}, None, None
        self.epoch, self.epoch_first, self.epoch_start, self.closed = 0, 0, [0, 0], False
        self.checkpoints, self.known_to = [], 0
        self.dropped, self.orders = {}, {}  # payloads that are not there, and those that orders destroyed, by segment

    # --- what is signed

    def file(self, name, limit=NOTE_MAX):
        try:
            with open(os.path.join(self.directory, name), "rb") as f:
                data = f.read(limit + 1)
        except FileNotFoundError:
            raise Tampered("missing", name, 0, 0, f"{name} is not there") from None
        if len(data) > limit:
            raise Tampered("edited", name, 0, 0, f"{name} is too long")
        return data

    def read_anchor(self):
        data = self.file("anchor.note")
        if self.anchor:
            Note(data).verify(self.anchor)
        text = data.decode("utf-8", "replace").split("\n")
        if text[0] != "sallyport-anchor-v1" or len(text) < 6:
            raise NoNote("not an anchor's note")
        log, self.epoch_key = VerifierKey(text[2]), VerifierKey(text[3])
        if self.log and self.log != log:
            raise NotSigned("the anchor certified another log key")
        self.log, self.origin = log, text[1]
        self.leaf = sha(f"spa1-genesis\n{self.origin}\n{log.text}\n{self.epoch_key.text}".encode())
        if log.name != self.origin or self.epoch_key.name != self.origin + "/epoch/0" or text[4] != self.leaf.hex():
            raise NotSigned("another origin or genesis leaf than its own keys give")

    def read_checkpoint(self):
        self.checkpoints.append(Checkpoint("checkpoint", self.file("checkpoint"), self.log))
        self.signed_to = self.checkpoints[0].size

    def read_known(self, files, witnesses):
        """Checkpoints known elsewhere: what the caller gives has to be right, or nothing is checked."""
        try:
            for path in files:
                with open(path, "rb") as f:
                    self.checkpoints.append(Checkpoint(path, f.read(NOTE_MAX), self.log))
            path = os.path.join(self.directory, "checkpoint.witnessed")
            if witnesses and os.path.exists(path):
                witnessed = Checkpoint("checkpoint.witnessed", self.file("checkpoint.witnessed"), self.log)
                if any(witnessed.note.is_cosigned(w) for w in witnesses):
                    self.checkpoints.append(witnessed)
        except (NoNote, NotSigned) as e:
            raise NotChecked(f"{path}: {e}") from None

    def check_roots(self, bad):
        for c in self.checkpoints:
            if c.size == self.tree.size:
                if c.root != self.tree.root():
                    bad("edited", f"{c.where} has another root than the records")
                if c.where != "checkpoint":
                    self.known_to = max(self.known_to, c.size)

    # --- the walk over all records

    def verify(self, known=(), witnesses=()):
        for name, read in (("anchor.note", self.read_anchor), ("checkpoint", self.read_checkpoint)):
            try:
                read()
            except (NoNote, NotSigned) as e:
                raise Tampered("edited" if isinstance(e, NoNote) else "not signed", name, 0, 0, f"{name}: {e}") from None
        self.read_known(known, witnesses)
        names = self.segments()
        at, end = "0" * 16 + ".spa", 0
        for i, name in enumerate(names):
            if int(name[:16], 16) != self.records:
                raise Tampered("missing", at, end, self.records, f"the segment from record {self.records} on is not there")
            at, end = name, self.segment(name, last=i + 1 == len(names))
        if not names:
            raise Tampered("missing", at, 0, 0, "there is no segment")
        for c in sorted(self.checkpoints, key=lambda c: c.where != "checkpoint"):
            if self.records < c.size:
                raise Tampered("cut", at, end, self.records, f"{c.where} has {c.size} records, {self.records} are there")
        for first, dropped in sorted(self.dropped.items()):
            if dropped > self.orders.get(first, 0):
                raise Tampered("missing", f"{first:016x}.spp", 0, first, f"{dropped} payloads are not there, orders "
                               f"account for {self.orders.get(first, 0)}")

    def segments(self):
        """Their names; where one is there in both forms, the pruned one counts."""
        try:
            found = [n for n in os.listdir(self.directory) if re.fullmatch(r"[0-9a-f]{16}\.sp[ap]", n)]
        except OSError as e:
            raise NotChecked(str(e)) from None
        return [max(n for n in found if n[:16] == first) for first in sorted({n[:16] for n in found})]

    def segment(self, name, last):
        """Where its whole records end."""
        path, pruned = os.path.join(self.directory, name), name.endswith(".spp")
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise NotChecked(f"{name} is not a file")
        size = os.path.getsize(path)
        with open(path, "rb") as f:
            if pruned and f.read(4) != b"SPP1":
                raise Tampered("edited", name, 0, self.records, "not a pruned segment")
            at = start = f.tell()
            while at < size:
                kept, header = f.read(1) if pruned else b"\x01", f.read(HEADER.size)
                whole, payload, length = len(header) == HEADER.size, None, 0
                if whole:
                    fields = HEADER.unpack(header)
                    self.form(fields, kept, name, at)
                    if kept == b"\x01":
                        length = fields[10]
                        payload = f.read(length)
                        whole = len(payload) == length
                if not whole:
                    if not last:
                        raise Tampered("cut", name, at, self.records, f"{name} ends within record {self.records}")
                    self.unfinished = size - at
                    break
                self.record(name, at, header, fields, payload, first=at == start)
                at += pruned + HEADER.size + length
        return at

    def form(self, fields, kept, name, at):
        magic, _, flags, header_length, _, _, _, _, _, _, length, _, _, reserved = fields[:14]
        for wrong, text in ((magic != b"SPA1", "no record begins here"), (header_length != 176, "header length"),
                            (reserved != 0, "reserved bytes"), (flags & ~1, "unknown flags"),
                            (length > PAYLOAD_MAX, "payload length"),
                            (kept not in (b"\x00", b"\x01"), "neither kept nor destroyed")):
            if wrong:
                raise Tampered("edited", name, at, self.records, f"record {self.records}: {text}")

    def record(self, name, at, header, fields, payload, first):
        (_, kind, flags, _, index, real, boot, session, sequence, _, _, epoch, _, _, previous, payload_hash,
         session_previous) = fields
        before = self.sessions.setdefault(session, Session())

        def bad(fault, text):
            raise Tampered(fault, name, at, self.records, f"record {self.records}: {text}")

        if self.records == 0:
            self.check_roots(bad)
        if index != self.records:
            bad("edited" if previous == self.leaf else "missing" if index > self.records else "reordered",
                f"has the index {index}")
        if payload is None and not (flags & 1 or kind == KEY and session != GATEWAY):
            bad("edited", "a payload that must not be destroyed is not there")
        if payload is not None and sha(payload) != payload_hash:
            bad("edited", "another payload than its header says")
        if previous != self.leaf:
            bad("edited", "does not follow the record before")
        if (kind == SEGMENT) != first:
            bad("edited", "a segment record stands first in each segment, and nowhere else")
        if kind == SEGMENT and not self.is_segment_record(read_json(payload)):
            bad("edited", "the segment record is not what the records before it give")
        if sequence != before.sequence or session_previous != before.leaf:
            bad("edited", "does not follow its session's record before")
        if self.closed:
            bad("edited", "a record behind the log's last seal")
        if epoch != self.epoch:
            bad("unsealed" if epoch > self.epoch else "edited", f"is of epoch {epoch}, in epoch {self.epoch}")
        if kind != SEAL and self.records - self.epoch_first >= EPOCH_RECORDS_MAX - 1:
            bad("unsealed", "the epoch has more records than one may have")
        missing = self.course.take(kind, session, payload)
        if missing:
            bad("missing", missing)
        if self.records == 0:
            self.epoch_start = [real, boot]
        if kind == SEAL:
            self.seal(payload, real, boot, session, bad)
        self.leaf = sha(b"\0", header)
        before.take(kind, self.leaf)
        self.tree.add(self.leaf)
        self.check_roots(bad)
        self.prune(kind, first, payload, bad)
        self.records += 1
        if kind == SEAL:
            self.sealed_to = self.records
        if self.leaves is not None:
            self.leaves.append(self.leaf)
            self.headers.append(header)

    def is_segment_record(self, said):
        """Sessions that are over may be left out; the others have to be what they are."""
        try:
            listed = {s["id"]: s for s in said["sessions"]}
            return (said["origin"], said["first"], said["epoch"], said["epoch_key"], said["run"], said["merkle"]) == \
                (self.origin, self.records, self.epoch, self.epoch_key.text, self.course.run,
                 [r.hex() for r in self.tree.roots]) and \
                [said["epoch_first"], said["epoch_real_ns"], said["epoch_boot_ns"]] == [self.epoch_first, *self.epoch_start] \
                and len(listed) == len(said["sessions"]) and \
                all(self.sessions[bytes.fromhex(i)].is_as(s) and isinstance(s["judged"], bool) and
                    all(is_number(s[n]) for n in ("start_ns", "bytes_in", "bytes_out")) for i, s in listed.items())
        except (ValueError, KeyError, TypeError):
            return False

    def prune(self, kind, first, payload, bad):
        if first:
            self.segment_first = self.records
        if payload is None:
            self.dropped[self.segment_first] = self.dropped.get(self.segment_first, 0) + 1
        if kind != PRUNE:
            return
        try:
            for s in json.loads(payload)["segments"]:
                if not (is_number(s["first"]) and is_number(s["records"])):
                    raise ValueError("no number")
                self.orders[s["first"]] = self.orders.get(s["first"], 0) + s["records"]
        except (ValueError, KeyError, TypeError):
            bad("edited", "a prune record that does not say which segments")

    def seal(self, payload, real, boot, session, bad):
        try:
            if session != GATEWAY:
                raise NoNote("not of the gateway's session")
            note = Note(payload)
            text = note.verify(self.epoch_key)
            if len(text) not in (9, 10) or text[0] != "sallyport-seal-v1" or len(note.signatures) != 1:
                raise NoNote("not in the form of a seal")
            if text[1] != self.origin or decimal(text[2]) != self.epoch:
                raise NoNote("of another epoch")
            if decimal(text[3]) != self.epoch_first or decimal(text[4]) != self.records:
                raise NoNote("over other records")
            if bytes_of(text[5], 32) != self.tree.root():
                raise NoNote("another root than the records")
            start, end = ([decimal(n) for n in line.split(" ")] for line in text[6:8])
            if start != self.epoch_start or end != [real, boot]:
                raise NoNote("other times")
            after = VerifierKey(text[8])
            if after.name != f"{self.origin}/epoch/{self.epoch + 1}":
                raise NoNote("the next key has another name")
            if len(text) == 10:
                if not text[9].startswith("next-log "):
                    raise NoNote("a line too many")
                VerifierKey(text[9][9:])
                self.closed = True
        except (NoNote, NotSigned) as e:
            bad("edited" if isinstance(e, NoNote) else "not signed", f"seal of epoch {self.epoch}: {e}")
        self.epoch, self.epoch_key, self.epoch_first, self.epoch_start = self.epoch + 1, after, self.records + 1, end

    # --- tiles: derived, and compared with what the records give

    def tiles(self):
        hashes, level = self.leaves[:self.signed_to], 0
        while hashes:
            self.level(level, hashes)
            full = [hashes[i:i + 256] for i in range(0, len(hashes) // 256 * 256, 256)]
            hashes, level = [self.subtree(tile) for tile in full], level + 1
        for n in range(0, self.signed_to, 256):
            entries = self.headers[n:min(n + 256, self.signed_to)]
            self.tile("entries", n // 256, len(entries), b"".join(struct.pack(">H", 176) + h for h in entries))

    @staticmethod
    def subtree(tile):
        while len(tile) > 1:
            tile = [sha(b"\x01", tile[i], tile[i + 1]) for i in range(0, len(tile), 2)]
        return tile[0]

    def level(self, level, hashes):
        for n in range(0, len(hashes), 256):
            tile = hashes[n:n + 256]
            self.tile(str(level), n // 256, len(tile), b"".join(tile))

    def tile(self, level, n, width, want):
        groups = [f"{n % 1000:03d}"]
        while n >= 1000:
            n //= 1000
            groups.insert(0, f"x{n % 1000:03d}")
        name = f"tile/{level}/" + "/".join(groups)
        path = name if width == 256 else f"{name}.p/{width}"
        if width < 256 and not os.path.exists(os.path.join(self.directory, path)):
            path = name  # the full one may stand for it
        data = self.file(path)
        if data[:len(want)] != want or (path != name and len(data) != len(want)):
            raise Tampered("edited", path, 0, 0, f"{path} is not what the records give")


def given_key(text, kind=NOTE_KEY):
    if text and os.path.exists(text):
        with open(text, encoding="utf-8") as f:
            text = f.read().rstrip("\n")
    try:
        return VerifierKey(text, kind) if text else None
    except NoNote as e:
        raise NotChecked(f"{text}: {e}") from None


def main():
    parser = argparse.ArgumentParser(prog="verify_independent.py")
    parser.add_argument("--log-key")
    parser.add_argument("--anchor")
    parser.add_argument("--known", action="append", default=[], help="a checkpoint that was kept elsewhere")
    parser.add_argument("--witness", action="append", default=[], help="whose cosignature counts as that")
    parser.add_argument("--tiles", action="store_true", help="also the tiles and entry bundles")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("directory")
    a = parser.parse_args()
    said, status = {}, 0
    trail = None
    try:
        trail = Trail(a.directory, given_key(a.log_key), given_key(a.anchor))
        if a.tiles:
            trail.leaves, trail.headers = [], []
        trail.verify(a.known, [given_key(w, COSIGNER_KEY) for w in a.witness])
        if a.tiles:
            trail.tiles()
        said["verdict"] = "verified"
    except Tampered as e:
        status = 1
        said.update(verdict="tampered", fault=e.kind, file=e.file, offset=e.offset, record=e.record, text=str(e))
    except (NotChecked, OSError) as e:
        status = 2
        said.update(verdict="not-checked", text=str(e))
    if trail:
        said.update(verified_to=trail.records, signed_to=min(trail.signed_to, trail.records), sealed_to=trail.sealed_to,
                    known_elsewhere_to=trail.known_to, dropped_payloads=sum(trail.dropped.values()),
                    unfinished_bytes=trail.unfinished, shut_down=trail.course.run == "ended")
    if a.json:
        print(json.dumps(said, indent=2))
    else:
        print(" ".join(f"{k}={v}" for k, v in said.items()))
    return status


if __name__ == "__main__":
    sys.exit(main())
