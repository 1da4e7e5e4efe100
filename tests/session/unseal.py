# SPDX-License-Identifier: Apache-2.0
"""Opens sealed payloads as docs/FORMAT.md describes them, on purpose without the project's own code and without
age(1): a second reader, by the specifications (age v1, AES-256-GCM) alone."""
import base64
import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def raw64(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


class Identity:
    """An X25519 identity from a file like age-keygen's."""

    def __init__(self, path):
        with open(path, encoding="ascii") as f:
            line = next(line.strip() for line in f if line.startswith("AGE-SECRET-KEY-1"))
        number = 0
        for letter in line.lower()[len("age-secret-key-1"):-6]:
            number = number << 5 | BECH32.index(letter)
        self.secret = X25519PrivateKey.from_private_bytes((number >> 4).to_bytes(32, "big"))
        self.public = self.secret.public_key().public_bytes(serialization.Encoding.Raw,
                                                            serialization.PublicFormat.Raw)

    def decrypt(self, data):
        """The content of an age file of one chunk; None: it is not for this identity."""
        mark = data.index(b"\n--- ") + 4
        end = data.index(b"\n", mark)
        lines = data[:mark - 4].decode("ascii").split("\n")
        if lines[0] != "age-encryption.org/v1":
            raise AssertionError("not an age file")
        for stanza, body in zip(lines[1:], lines[2:]):
            words = stanza.split(" ")
            if words[:2] != ["->", "X25519"]:
                continue
            share = raw64(words[2])
            shared = self.secret.exchange(X25519PublicKey.from_public_bytes(share))
            wrap = hkdf(shared, share + self.public, b"age-encryption.org/v1/X25519")
            try:
                file_key = ChaCha20Poly1305(wrap).decrypt(bytes(12), raw64(body), None)
            except Exception:  # somebody else's
                continue
            mac = hmac.new(hkdf(file_key, b"", b"header"), data[:mark], hashlib.sha256).digest()
            if mac != raw64(data[mark + 1:end].decode("ascii")):
                raise AssertionError("the age file's header is not right")
            nonce, chunk = data[end + 1:end + 17], data[end + 17:]
            return ChaCha20Poly1305(hkdf(file_key, nonce, b"payload")).decrypt(bytes(11) + b"\1", chunk, None)
        return None


class Sealed(Exception):
    """A payload that cannot be opened with what is there."""


class Opener:
    """The keys of sessions, from their key records, for whoever has this identity."""

    def __init__(self, identity):
        self.identity = identity
        self.wrapped, self.keys = {}, {}

    def note(self, session, payload):
        said = json.loads(payload)
        if said.get("event") == "session-keys":
            if said["cipher"] != "AES-256-GCM":
                raise AssertionError("another cipher")
            for key in said["keys"]:
                self.wrapped[session, key["number"]] = key

    def key(self, session, number):
        if (session, number) not in self.keys:
            key = self.wrapped.get((session, number))
            if key is None:
                raise Sealed(f"no key record for key {number} of session {session.hex()}")
            secret = self.identity.decrypt(base64.b64decode(key["age"], validate=True))
            if secret is None:
                raise Sealed(f"key {number} of session {session.hex()} is not for this identity")

            def derive(label):
                return hmac.new(secret, label + session + struct.pack(">I", number), hashlib.sha256).digest()
            if derive(b"spa1-commitment\n").hex() != key["commitment"]:
                raise AssertionError("the key is not the one that the key record commits to")
            self.keys[session, number] = derive(b"spa1-seal\n")
        return self.keys[session, number]

    def open(self, header, stored):
        session, sequence = header[32:48], header[48:56]
        number, = struct.unpack(">I", header[68:72])
        return AESGCM(self.key(session, number)).decrypt(bytes(4) + sequence, stored, header[:80])
