# SPDX-License-Identifier: Apache-2.0
"""Signed notes for tests/verify_independent.py: Ed25519 (RFC 8032), verifier keys and notes (C2SP signed-note),
cosignatures (C2SP tlog-cosignature), from those texts and docs/FORMAT.md alone, with Python's standard library."""
import base64
import binascii
import hashlib
import re

NOTE_KEY, COSIGNER_KEY = 1, 4  # C2SP's types of Ed25519 signatures


class NoNote(Exception):
    """A text that has not the form it should have."""


class NotSigned(Exception):
    """A text without the right signature, or with other keys or names in it."""


# --- Ed25519, RFC 8032, sections 5.1 and 6: points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x * y = T/Z -------------

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


def hash_to_number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % Q


def signature_is_good(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q:
        return False
    left, right = times(s, BASE), add(r, times(hash_to_number(signature[:32], public, message), a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- texts --------------------------------------------------------------------------------------------------------

def from_base64(text):
    """RFC 4648, section 4, with padding, in its canonical form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoNote("not Base64") from None
    if base64.b64encode(data).decode() != text:
        raise NoNote("not canonical Base64")
    return data


def bytes_of(text, length):
    data = from_base64(text)
    if len(data) != length:
        raise NoNote(f"not the Base64 of {length} bytes")
    return data


def decimal(text):
    if not re.fullmatch(r"0|[1-9][0-9]{0,19}", text) or int(text) >= 1 << 64:
        raise NoNote(f"{text!r} is no number")
    return int(text)


# --- keys and notes -----------------------------------------------------------------------------------------------

def key_id(name, kind, public):
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


class VerifierKey:
    """NAME "+" ID "+" BASE64(kind ‖ public key[32])"""

    def __init__(self, text, kind=NOTE_KEY):
        parts = re.fullmatch(r"([!-*,-~]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})", text)
        if not parts:
            raise NoNote("no verifier key")
        self.text, self.name = text, parts[1]
        data = bytes_of(parts[3], 33)
        self.public, self.id = data[1:], key_id(self.name, kind, data[1:])
        if data[0] != kind or self.id.hex() != parts[2]:
            raise NoNote("a verifier key whose ID is not its own")

    def __eq__(self, other):
        return self.text == other.text


class Note:
    """TEXT ‖ "\n" ‖ signature lines; nothing is verified yet. `text` ends in its last newline."""

    def __init__(self, data):
        note = data.decode("utf-8", "surrogateescape")  # what is signed is bytes
        if re.search(r"[\x00-\x09\x0b-\x1f]", note) or not note.endswith("\n"):
            raise NoNote("control characters, or no newline at the end")
        text, gap, signatures = note.rpartition("\n\n")
        if not gap:
            raise NoNote("no empty line before the signatures")
        self.text, self.signatures = text + "\n", signatures.split("\n")[:-1]

    def by(self, key, length):
        """What lines with the key's name and ID have behind the ID. Other keys' lines are passed over."""
        for line in self.signatures:
            if not line.startswith("\u2014 "):
                raise NoNote("a line that is no signature")
            name, _, encoded = line[2:].partition(" ")
            try:
                blob = bytes_of(encoded, 4 + length)
            except NoNote:
                continue
            if (name, blob[:4]) == (key.name, key.id):
                yield blob[4:]

    def verify(self, key):
        """The lines of the text. The first line with the key's name and ID decides."""
        for signature in self.by(key, 64):
            if signature_is_good(key.public, self.text.encode("utf-8", "surrogateescape"), signature):
                return self.text[:-1].split("\n")
            raise NotSigned("the signature is not right")
        raise NotSigned(f"there is no signature of {key.name}")

    def is_cosigned(self, witness):
        """By a witness, whose key is of the kind COSIGNER_KEY: a timestamp (u64), and a signature over it and the text."""
        for cosignature in self.by(witness, 72):
            said = f"cosignature/v1\ntime {int.from_bytes(cosignature[:8], 'big')}\n{self.text}"
            return signature_is_good(witness.public, said.encode("utf-8", "surrogateescape"), cosignature[8:])
        return False
