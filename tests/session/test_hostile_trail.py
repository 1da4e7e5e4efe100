# SPDX-License-Identifier: Apache-2.0
"""The reading tools on trails that an enemy wrote: a reviewer looks at them as root. Needs no gateway."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lab")]

import lablib  # noqa: E402
import trail  # noqa: E402

SEGMENT, START, END, OUTPUT, EXEC, ALARM = 1, 2, 3, 7, 10, 26
ESCAPES = {
    "clipboard": b"\x1b]52;c;ZXZpbA==\x07",
    "title": b"\x1b]0;owned\x1b\\",
    "title that asks back": b"\x1b[21t",
    "DECRQSS": b"\x1bP$q\"p\x1b\\",
    "device attributes": b"\x1b[c\x1b[>c\x1b[6n",
    "C1 in UTF-8": b"\xc2\x9d52;c;ZXZpbA==\xc2\x9c\xc2\x9b6n\xc2\x90$q\"p\xc2\x9c",
    "C1 bytes": b"\x9d52;c;ZXZpbA==\x9c\x9b6n\x90$q\"p\x9c",
    "malformed UTF-8": b"\xc2\x1b]0;x\x07\xe2\x9b\xf0\x9f\x1b[6n\xc0\x9b\xed\xa0\x80\xf8\x88\x80\x80\x80\xff",
    "printer": b"\x1b[5i",
    "keys": b"\x1b[?1000h\x1b[>4;2m\x1b[?2004h\x1b=",
}


class HostileTrail(unittest.TestCase):
    def setUp(self):
        self.tool = os.path.join(lablib.find_build(os.environ.get("SALLYPORT_BUILD")), "sallyport")
        self.dir = tempfile.mkdtemp(prefix="sallyport-hostile-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.records = []

    def add(self, kind, payload, session=b"\xaa" * 16, length=None, **fields):
        """A record that the reader takes; links and hashes are wrong, which `verify` alone looks at."""
        f = {"magic": b"SPA1", "flags": 0, "header": 176, "index": len(self.records), **fields}
        self.records.append(struct.pack(
            ">4sBBHQQQ16sQIIIIQ32s32s32s", f["magic"], kind, f["flags"], f["header"], f["index"], 1700000000 * 10**9, 1,
            session, 0, 0, len(payload) if length is None else length, 0, 0, 0, bytes(32), bytes(32), bytes(32)) + payload)

    def write(self, name="0000000000000000.spa"):
        with open(os.path.join(self.dir, name), "wb") as f:
            f.write(b"".join(self.records))

    def audit(self, verb, *words, terminal=False, timeout=20):
        command = [self.tool, "audit", verb, "--trail", self.dir, *words]
        keys = None
        if terminal:
            command = ["script", "-qec", " ".join(command), "/dev/null"]
            # Nobody types: at its input's end script would type ^D, which ends a replay.
            keys, typist = os.pipe()
            self.addCleanup(os.close, typist)
        done = subprocess.run(command, stdin=subprocess.DEVNULL if keys is None else keys, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}, timeout=timeout, check=False)
        if keys is not None:
            os.close(keys)
        self.assertIn(done.returncode, (0, 1, 2), done.stderr)
        self.assertNotIn(b"Sanitizer", done.stderr)
        return done

    def session(self, *payloads):
        self.add(SEGMENT, b"{}", bytes(16))
        self.add(START, b'{"operator":"alice","target":"hv1","account":"root","source":"::1"}')
        for kind, payload in payloads:
            self.add(kind, payload)
        self.add(END, b'{"reason":"client-closed"}')
        self.write()

    def clean(self, output, what):
        text = output.decode("utf-8", "surrogateescape")
        bad = [c for c in text if (ord(c) < 0x20 and c not in "\n\t\r") or 0x7f <= ord(c) < 0xa0 or 0xdc80 <= ord(c) < 0xdd00]
        self.assertFalse(bad, f"{what}: {bad[:5]!r} in {output[-400:]!r}")

    def test_nothing_of_a_record_reaches_the_terminal_as_a_control(self):
        for name, raw in ESCAPES.items():
            unicode = "".join(f"\\u{c:04x}" for c in raw)
            plain = raw.decode("utf-8", "ignore").encode().replace(b"\x1b", b"").replace(b"\x07", b"").replace(b'"', b"")
            json = (f'{{"event":"start","kind":"exec","command":"{unicode}","{unicode}":"{unicode}",'
                    f'"env":{{"{unicode}":["{unicode}"]}}}}').encode()
            self.records = []
            self.session((EXEC, json), (EXEC, b'{"event":"start","command":"' + plain + b'","' + plain + b'":1}'),
                         (EXEC, b"{" + raw + b"}"), (OUTPUT, raw), (ALARM, raw), (99, raw),
                         (EXEC, b'{"event":"exit","signal":"' + unicode.encode() + b'"}'))
            with self.subTest(name):
                for words in (("list",), ("list", "--json"), ("show", "aaaa"), ("show", "--full", "aaaa"),
                              ("show", "--json", "aaaa"), ("play", "aaaa"), ("verify", "-q"), ("verify", "-q", "--json")):
                    done = self.audit(*words)
                    self.clean(done.stdout, words)
                    self.clean(done.stderr, words)

    def test_names_of_members_of_a_start_are_escaped(self):
        self.add(SEGMENT, b"{}", bytes(16))
        self.add(START, b'{"operator":"\\u001b]0;x\\u0007","\\u001b[6n":"\\u009b6n","reason":"\\u009d"}')
        self.add(END, b'{"reason":"\\u001b[6n","\\u001b]52;c;x\\u0007":{"\\u001b":1}}')
        self.write()
        for words in (("list",), ("list", "--json"), ("show", "aaaa"), ("show", "--json", "aaaa")):
            self.clean(self.audit(*words).stdout, words)

    def test_play_lets_drawing_through_alone(self):
        for name, raw in ESCAPES.items():
            for cut in range(len(raw) + 1):  # also split over records
                self.records = []
                self.session((OUTPUT, b"\x1b[31mA" + raw[:cut]), (OUTPUT, raw[cut:] + b"\x1b[0mB"))
                if cut in (0, 1, 2, len(raw) // 2, len(raw)):
                    out = self.audit("play", "aaaa", terminal=True).stdout
                    body = out.rpartition(b"\x1b[!p")[0]  # the last reset is the end
                    with self.subTest(name, cut=cut):
                        self.assertIn(b"\x1b[31mA", body)
                        for bad in (b"\x1b]", b"\x1bP", b"\x9d", b"\x9b", b"\x90", b"6n", b"[c", b"[>c", b"21t", b"5i", b"1000h",
                                    b"ZXZp", b"owned"):
                            # \x9b may stand inside a character of several bytes
                            if bad in (b"\x9d", b"\x9b", b"\x90"):
                                bad = b"\xc2" + bad
                            if name == "C1 bytes" and bad in (b"6n", b"ZXZp"):
                                continue  # single bytes are no controls in UTF-8: the rest is text
                            self.assertNotIn(bad, body)

    def test_play_shows_what_comes_after_a_string_s_8_bit_end(self):
        self.session((OUTPUT, b"a\x1b]0;x\xc2\x9cVISIBLE\n"))
        self.assertIn(b"VISIBLE", self.audit("play", "aaaa").stdout)

    def test_impossible_headers(self):
        for fields in ({"magic": b"XXXX"}, {"header": 175}, {"flags": 0xff}, {"length": 0xffffffff}, {"length": 1 << 20},
                       {"length": (1 << 20) + 1}, {"index": 1 << 63}):
            self.records = []
            self.add(SEGMENT, b"{}", bytes(16))
            self.add(OUTPUT, b"x" * 10, **fields)
            self.write()
            for words in (("verify", "-q"), ("list",), ("show", "aaaa"), ("show", "gateway"), ("play", "aaaa")):
                with self.subTest(fields=fields, words=words):
                    self.audit(*words)

    def test_odd_json(self):
        deep = b'{"a":' + b"[" * 300000 + b"]" * 300000 + b"}"
        for payload in (deep, b"{}", b"", b"[]", b'{"command":1,"event":[]}', b'{"event":"start","command":"' + b"x" * 900000 + b'"}',
                        b'{"columns":1e999}', b'{"columns":99999999999999999999999}', b'{"a":1,"a":2}', b"\xff\xfe{}"):
            self.records = []
            self.add(SEGMENT, b"{}", bytes(16))
            for kind in (START, EXEC, 5, 9, END):
                self.add(kind, payload)
            self.write()
            for words in (("list",), ("list", "--json"), ("show", "aaaa"), ("show", "--json", "aaaa"), ("play", "aaaa")):
                with self.subTest(payload=payload[:40], words=words):
                    self.audit(*words)

    def test_files_that_are_none(self):
        def fifo(path):
            os.mkfifo(path)
        for make in (fifo, os.mkdir, lambda p: os.symlink("/dev/zero", p), lambda p: open(p, "wb").close()):
            for name in ("0000000000000000.spa", "checkpoint", "anchor.note", "0000000000000002.spa"):
                self.records = []
                self.session()
                path = os.path.join(self.dir, name)
                if os.path.lexists(path):
                    os.unlink(path)
                make(path)
                for words in (("verify", "-q"), ("list",), ("show", "gateway")):
                    with self.subTest(name=name, words=words):
                        self.audit(*words)
                shutil.rmtree(self.dir)
                os.mkdir(self.dir)

    def test_the_reader_of_these_tests_agrees_on_the_header(self):
        self.assertEqual(trail.HEADER.size, 176)


if __name__ == "__main__":
    unittest.main()
