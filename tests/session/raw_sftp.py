# SPDX-License-Identifier: Apache-2.0
"""SFTP packets by hand, over `ssh -s HOST sftp`: what no well-behaved client would send."""
import select
import struct
import time

import lablib

(INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH,
 STAT, RENAME, READLINK, SYMLINK) = range(1, 21)
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, _, _, UNSUPPORTED = range(9)
R, W, APPEND, CREAT, TRUNC, EXCL = 1, 2, 4, 8, 16, 32


def string(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack(">I", len(s)) + s


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def packet(kind, *fields):
    """int as uint32, str and bytes as a string, (bytes,) as they are."""
    body = bytes([kind])
    for f in fields:
        body += u32(f) if isinstance(f, int) else f[0] if isinstance(f, tuple) else string(f)
    return u32(len(body)) + body


class Gone(Exception):
    """The other side closed."""


class Answer:
    def __init__(self, body):
        self.kind, self.rest = body[0], body[5:]
        self.id = struct.unpack(">I", body[1:5])[0]
        self.status = struct.unpack(">I", body[5:9])[0] if self.kind == STATUS else None
        self.text = self.strings(9, body)[0].decode() if self.kind == STATUS else ""

    @staticmethod
    def strings(at, body):
        n = struct.unpack(">I", body[at:at + 4])[0]
        return [body[at + 4:at + 4 + n]]

    @property
    def string(self):
        """A handle, or data."""
        return self.strings(0, self.rest)[0]

    @property
    def name(self):
        return self.strings(4, self.rest)[0].decode()

    def __repr__(self):
        return f"<{self.kind} id={self.id} status={self.status} {self.text}>"


class RawSftp:
    def __init__(self, child, begin=True):
        self.child, self.have, self.next_id = child, b"", 0
        if begin:
            self.send(packet(INIT, 3))
            self.version = self.read()

    def send(self, data):
        self.child.stdin.write(data)
        self.child.stdin.flush()

    def read(self, seconds=lablib.TIMEOUT):
        """The next packet's bytes, without the length."""
        until = time.monotonic() + seconds
        while len(self.have) < 4 or len(self.have) < 4 + struct.unpack(">I", self.have[:4])[0]:
            if not select.select([self.child.stdout], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError("no answer")
            more = self.child.stdout.read1(1 << 20)
            if not more:
                raise Gone
            self.have += more
        n = 4 + struct.unpack(">I", self.have[:4])[0]
        body, self.have = self.have[4:n], self.have[n:]
        return body

    def answer(self):
        return Answer(self.read())

    def ask(self, kind, *fields):
        self.next_id += 1
        self.send(packet(kind, self.next_id, *fields))
        a = self.answer()
        if a.id != self.next_id:
            raise AssertionError(f"an answer to {a.id}, not to {self.next_id}")
        return a

    def extended(self, name, *fields):
        return self.ask(EXTENDED, name, *fields)

    def open(self, path, flags=R):
        return self.ask(OPEN, path, flags, 0)

    def end(self):
        self.child.stdin.close()
        return self.child.wait(lablib.TIMEOUT)
