#!/usr/bin/python3 -I
# SPDX-License-Identifier: Apache-2.0
"""A second verifier of a trail, from docs/FORMAT.md alone and with nothing but Python's standard library: it shares no
line with the recorder or with `sallyport audit verify`, so that what both say is what the format says.

    tests/verify_independent.py [--log-key KEY] [--anchor KEY] [--tiles] [--json] DIRECTORY

KEY is a verifier key or a file with one. Exit status: 0 verified, 1 tampered, 2 could not be checked."""
import argparse
import base64
import hashlib
import json
import os
import re
import struct
import sys

HEADER = struct.Struct(">4sBBHQQQ16sQIIIIQ32s32s32s")
PAYLOAD_MAX = 1 << 20
EPOCH_RECORDS_MAX = 1 << 20
SEGMENT, KEY, SEAL, RECOVERY, SHUTDOWN = 1, 18, 22, 23, 27
GATEWAY = bytes(16)


class Tampered(Exception):
    def __init__(self, kind, file, offset, record, text):
        super().__init__(text)
        self.kind, self.file, self.offset, self.record = kind, file, offset, record


class NotChecked(Exception):
    pass


class NoNote(Exception):
    """A text that is not what it should be, or a signature that is not right."""


# --- Ed25519, RFC 8032, section 6 ---------------------------------------------------------------------------------

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT % P
    if (x * x - x2) % P:
        return None
    return P - x if x & 1 != sign else x


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, a):
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = add(out, a)
        a, n = add(a, a), n >> 1
    return out


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover_x(BASE_Y, 0), BASE_Y, 1, recover_x(BASE_Y, 0) * BASE_Y % P)


def signature_is_good(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = times(s, BASE), add(r, times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- signed notes -------------------------------------------------------------------------------------------------

def plain64(text, length):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if len(data) != length or base64.b64encode(data).decode() != text:
        raise NoNote(f"not the Base64 of {length} bytes")
    return data


def key_id(name, public):
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


class VerifierKey:
    def __init__(self, text):
        parts = re.fullmatch(r"([!-*,-~]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})", text)
        if not parts:
            raise NoNote("no verifier key")
        self.text, self.name = text, parts[1]
        data = plain64(parts[3], 33)
        self.public = data[1:]
        if data[0] != 1 or key_id(self.name, self.public).hex() != parts[2]:
            raise NoNote("a verifier key whose ID is not its own")

    def __eq__(self, other):
        return self.text == other.text


def open_note(data, key, alone=False):
    """The text that the key signed; alone: and nobody else."""
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NoNote("not UTF-8") from None
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f]", note) or not note.endswith("\n"):
        raise NoNote("control characters, or no newline at the end")
    text, gap, lines = note.rpartition("\n\n")
    if not gap:
        raise NoNote("no signature")
    text += "\n"
    good = False
    for line in lines[:-1].split("\n"):
        parts = re.fullmatch("\u2014 ([^ ]+) ([A-Za-z0-9+/]+=*)", line)
        if not parts:
            raise NoNote("a line that is no signature")
        if parts[1] != key.name:
            continue
        blob = base64.b64decode(parts[2] + "=" * (-len(parts[2]) % 4))
        if blob[:4] != key_id(key.name, key.public):
            continue
        if not signature_is_good(key.public, text.encode(), plain64(parts[2], 68)[4:]):
            raise NoNote("the signature is not right")
        good = True
    if alone and lines.count("\n") != 1:
        raise NoNote("another signature")
    if not good:
        raise NoNote(f"not signed by {key.name}")
    return text.split("\n")[:-1]


def decimal(text):
    if not re.fullmatch(r"0|[1-9][0-9]{0,19}", text):
        raise NoNote(f"{text!r} is no number")
    return int(text)


# --- hashes -------------------------------------------------------------------------------------------------------

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


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


# --- the log ------------------------------------------------------------------------------------------------------

class Trail:
    def __init__(self, directory, log_key, anchor_key):
        self.directory, self.log, self.anchor = directory, log_key, anchor_key
        self.records, self.sealed_to, self.signed_to, self.unfinished = 0, 0, 0, 0
        self.tree, self.sessions, self.leaves, self.headers = Tree(), {}, None, None
        self.epoch, self.epoch_first, self.closed, self.run = 0, 0, False, "born"
        self.epoch_start, self.after_seal = None, False
        self.checkpoint_root = None

    def file(self, name, limit=1 << 16):
        try:
            with open(os.path.join(self.directory, name), "rb") as f:
                data = f.read(limit + 1)
        except FileNotFoundError:
            raise Tampered("missing", name, 0, 0, f"{name} is not there") from None
        if len(data) > limit:
            raise Tampered("edited", name, 0, 0, f"{name} is too long")
        return data

    def read_anchor(self):
        name, data = "anchor.note", self.file("anchor.note")
        try:
            text = data.decode("utf-8").split("\n\n")[0].split("\n") if not self.anchor else open_note(data, self.anchor)
            if len(text) != 5 or text[0] != "sallyport-anchor-v1":
                raise NoNote("not an anchor's note")
            log, self.epoch_key = VerifierKey(text[2]), VerifierKey(text[3])
            self.origin = text[1]
            if self.log and self.log != log:
                raise NoNote("the anchor certified another log key")
            if self.anchor and self.anchor.name != self.origin + "/anchor":
                raise NoNote("the anchor is of another log")
            self.log = log
            if log.name != self.origin or self.epoch_key.name != self.origin + "/epoch/0":
                raise NoNote("keys with other names")
            self.leaf = sha(f"spa1-genesis\n{self.origin}\n{log.text}\n{self.epoch_key.text}".encode())
            if text[4] != self.leaf.hex():
                raise NoNote("another genesis leaf than its own keys give")
        except (NoNote, UnicodeDecodeError) as e:
            raise Tampered("not signed", name, 0, 0, f"{name}: {e}") from None

    def read_checkpoint(self):
        name, data = "checkpoint", self.file("checkpoint")
        try:
            text = open_note(data, self.log)
            if len(text) != 3 or text[0] != self.origin:
                raise NoNote("not a checkpoint of this log")
            self.signed_to, self.checkpoint_root = decimal(text[1]), plain64(text[2], 32)
        except NoNote as e:
            raise Tampered("not signed", name, 0, 0, f"{name}: {e}") from None
        if self.signed_to == 0 and self.checkpoint_root != sha():
            raise Tampered("not signed", name, 0, 0, "the root of nothing is another one")

    def segments(self):
        found = sorted(n for n in os.listdir(self.directory) if re.fullmatch(r"[0-9a-f]{16}\.sp[ap]", n))
        if not found:
            raise NotChecked("there is no segment")
        return found

    def verify(self):
        self.read_anchor()
        self.read_checkpoint()
        names = self.segments()
        for i, name in enumerate(names):
            first = int(name[:16], 16)
            if first != self.records:
                raise Tampered("missing" if first > self.records else "reordered", name, 0, self.records,
                               f"{name} is the next segment, where one from record {self.records} should be")
            self.segment(name, last=i + 1 == len(names))
        if self.records < self.signed_to:
            raise Tampered("cut", names[-1], os.path.getsize(os.path.join(self.directory, names[-1])) - self.unfinished,
                           self.records, f"the checkpoint covers {self.signed_to} records, {self.records} are there")

    def segment(self, name, last):
        at, pruned = 0, name.endswith(".spp")
        size = os.path.getsize(os.path.join(self.directory, name))
        with open(os.path.join(self.directory, name), "rb") as f:
            if pruned:
                at = 4
                if f.read(4) != b"SPP1":
                    raise Tampered("edited", name, 0, self.records, "not a pruned segment")
            while at < size:
                kept = f.read(1) if pruned else b"\x01"
                header = f.read(HEADER.size)
                fields = HEADER.unpack(header) if len(header) == HEADER.size else None
                if fields:
                    self.form(fields, name, at)
                length = fields[10] if fields and kept == b"\x01" else 0
                payload = f.read(length)
                if not fields or len(payload) < length:
                    if not last:
                        raise Tampered("cut", name, at, self.records, f"{name} ends within record {self.records}")
                    self.unfinished = size - at
                    return
                if kept not in (b"\x00", b"\x01"):
                    raise Tampered("edited", name, at, self.records, "neither kept nor destroyed")
                self.record(name, at, header, fields, payload if kept == b"\x01" else None, first=at <= 4)
                at += pruned + HEADER.size + length

    def form(self, fields, name, at):
        magic, _, flags, header_length, _, _, _, _, _, _, length, _, _, reserved = fields[:14]
        for wrong, text in ((magic != b"SPA1", "no record begins here"), (header_length != 176, "header length"),
                            (reserved != 0, "reserved bytes"), (flags & ~1, "unknown flags"),
                            (length > PAYLOAD_MAX, "payload length")):
            if wrong:
                raise Tampered("edited", name, at, self.records, f"record {self.records}: {text}")

    def record(self, name, at, header, fields, payload, first):
        (_, kind, _, _, index, real, boot, session, sequence, _, _, epoch, _, _, previous, payload_hash,
         session_previous) = fields

        def bad(what, text):
            raise Tampered(what, name, at, self.records, f"record {self.records}: {text}")

        if index != self.records:
            bad("edited" if previous == self.leaf else "missing" if index > self.records else "reordered",
                f"has the index {index}")
        if payload is not None and sha(payload) != payload_hash:
            bad("edited", "another payload than its header says")
        if previous != self.leaf:
            bad("edited", "does not follow the record before")
        if (kind == SEGMENT) != first:
            bad("edited", "a segment record stands first in each segment, and nowhere else")
        if epoch != self.epoch:
            bad("unsealed" if epoch > self.epoch else "edited", f"is of epoch {epoch}, in epoch {self.epoch}")
        if self.records == 0:
            self.epoch_start = [real, boot]
        count, leaf_before = self.sessions.get(session, (0, bytes(32)))
        if sequence != count:
            bad("edited", f"is its session's {sequence}, not {count}")
        if session_previous != leaf_before:
            bad("edited", "does not follow its session's record before")
        if self.closed:
            bad("edited", "the log was closed before it")
        self.course(kind, session, payload, bad)
        if kind == SEGMENT:
            self.segment_record(payload, bad)
        if kind == SEAL:
            self.seal(payload, real, boot, session, bad)
        self.leaf = sha(b"\0", header)
        self.sessions[session] = (count + 1, self.leaf)
        self.tree.add(self.leaf)
        self.records += 1
        if self.leaves is not None:
            self.leaves.append(self.leaf)
            self.headers.append(header)
        if self.records == self.signed_to and self.tree.root() != self.checkpoint_root:
            raise Tampered("edited", name, at, self.records - 1, "the checkpoint has another root than the records")
        if kind == SEAL:
            self.sealed_to = self.records

    def course(self, kind, session, payload, bad):
        """The recorder's starts and ends: self.run is what FORMAT.md calls "run"."""
        opens = False
        if kind == KEY and session == GATEWAY:
            try:
                opens = json.loads(payload).get("event") in ("opened", "begin")
            except (ValueError, AttributeError):
                pass
        if kind == RECOVERY:
            self.run = "recovered"
        elif kind == SEGMENT:
            pass
        elif self.run == "shutdown" and kind != SEAL:
            bad("missing", "only a seal or a recovery follows a shutdown")
        elif self.run in ("born", "ended") and kind != SEAL and not opens:
            bad("missing", "the log goes on, and no recorder opened it")
        elif self.run == "going" and opens:
            bad("missing", "a recorder opened the log, which neither ended nor was recovered")
        elif kind == SHUTDOWN:
            self.run = "shutdown"
        elif kind == SEAL:
            self.run = "ended" if self.run == "shutdown" else self.run
        elif opens:
            self.run = "going"

    def segment_record(self, payload, bad):
        try:
            said = json.loads(payload)
            if said["origin"] != self.origin or said["first"] != self.records or said["epoch"] != self.epoch:
                bad("edited", "the segment record is of another place")
            if said["merkle"] != [r.hex() for r in self.tree.roots]:
                bad("edited", "the segment record has other subtrees")
        except (ValueError, KeyError, TypeError):
            bad("edited", "the segment record is not as it should be")

    def seal(self, payload, real, boot, session, bad):
        if session != GATEWAY:
            bad("edited", "a seal that is not of the gateway's session")
        try:
            text = open_note(payload or b"", self.epoch_key, alone=True)
        except NoNote as e:
            bad("not signed", f"seal of epoch {self.epoch}: {e}")
        try:
            if len(text) not in (9, 10) or text[0] != "sallyport-seal-v1":
                raise NoNote("not a seal")
            after = VerifierKey(text[8])
            start = [decimal(n) for n in text[6].split(" ")]
            end = [decimal(n) for n in text[7].split(" ")]
            if text[1] != self.origin or decimal(text[2]) != self.epoch:
                raise NoNote("of another epoch")
            if decimal(text[3]) != self.epoch_first or decimal(text[4]) != self.records:
                raise NoNote("over other records")
            if plain64(text[5], 32) != self.tree.root():
                raise NoNote("another root than the records")
            if end != [real, boot] or start != self.epoch_start:
                raise NoNote("other times")
            if after.name != f"{self.origin}/epoch/{self.epoch + 1}":
                raise NoNote("the next key has another name")
            if len(text) == 10:
                if not text[9].startswith("next-log "):
                    raise NoNote("a line too many")
                VerifierKey(text[9][9:])
                self.closed = True
            if self.records - self.epoch_first >= EPOCH_RECORDS_MAX:
                raise NoNote("an epoch that is too long")
        except NoNote as e:
            bad("edited", f"seal of epoch {self.epoch}: {e}")
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


def given_key(text):
    if text and os.path.exists(text):
        with open(text, encoding="utf-8") as f:
            text = f.read().rstrip("\n")
    try:
        return VerifierKey(text) if text else None
    except NoNote as e:
        raise NotChecked(f"{text}: {e}") from None


def main():
    parser = argparse.ArgumentParser(prog="verify_independent.py")
    parser.add_argument("--log-key")
    parser.add_argument("--anchor")
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
        trail.verify()
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
                    unfinished_bytes=trail.unfinished, shut_down=trail.run == "ended")
    if a.json:
        print(json.dumps(said, indent=2))
    else:
        print(" ".join(f"{k}={v}" for k, v in said.items()))
    return status


if __name__ == "__main__":
    sys.exit(main())
