# SPDX-License-Identifier: Apache-2.0
"""`sallyport audit verify` and tests/verify_independent.py, which was written from docs/FORMAT.md alone, say the same
about good, cut, flipped and reordered logs."""
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import harness
import lablib

TOP = os.path.dirname(os.path.dirname(harness.HERE))
# Every so many bytes one is flipped; SALLYPORT_EVERY=1 for all.
EVERY = int(os.environ.get("SALLYPORT_EVERY", "61"))


def independent():
    spec = importlib.util.spec_from_file_location("verify_independent", os.path.join(TOP, "tests", "verify_independent.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TwoVerifiers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.other = independent()
        cls.build = lablib.find_build()
        cls.dir = tempfile.mkdtemp(prefix="sallyport-verifiers-", dir=os.environ.get("SALLYPORT_TEST_DIR"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        identity = os.path.join(cls.dir, "identity")
        subprocess.run(["age-keygen", "-o", identity], check=True, stderr=subprocess.DEVNULL)
        recipient = subprocess.run(["age-keygen", "-y", identity], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        cls.state = os.path.join(cls.dir, "state")
        subprocess.run([os.path.join(cls.build, "bench_session"), cls.state, "0", recipient], check=True,
                       stdout=subprocess.DEVNULL)
        cls.trail = os.path.join(cls.state, "trail")
        cls.segment = os.path.join(cls.trail, "0" * 16 + ".spa")
        with open(cls.segment, "rb") as f:
            cls.good = f.read().rstrip(b"\0")

    def tool(self):
        done = subprocess.run([os.path.join(self.build, "sallyport"), "audit", "verify", "--state", self.state, "--json"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    def second(self):
        public = os.path.join(self.state, "public")
        t = self.other.Trail(self.trail, self.other.given_key(f"{public}/log.pub"), self.other.given_key(f"{public}/anchor.pub"))
        try:
            t.verify()
            return 0, {"verified_to": t.records, "signed_to": t.signed_to}
        except self.other.Tampered as e:
            return 1, {"fault": e.kind, "file": e.file, "offset": e.offset, "record": e.record, "text": str(e)}
        except self.other.NotChecked as e:
            return 2, {"text": str(e)}

    def agree(self, what, expected=None):
        one, other = self.tool(), self.second()
        self.assertEqual(one[0], other[0], f"{what}: {one[1]} and {other[1]}")
        if expected is not None:
            self.assertEqual(one[0], expected, f"{what}: {one[1]}")
        names = ("verified_to", "signed_to") if one[0] == 0 else ("file", "record", "offset", "fault") if one[0] == 1 else ()
        for name in names:
            self.assertEqual(one[1][name], other[1][name], f"{what}: {name}; {one[1]} and {other[1]}")

    def put(self, data, path=None):
        with open(path or self.segment, "wb") as f:
            f.write(data)

    def records(self):
        out, at = [], 0
        while at < len(self.good):
            end = at + 176 + int.from_bytes(self.good[at + 60:at + 64], "big")
            out.append(self.good[at:end])
            at = end
        return out

    def tearDown(self):
        self.put(self.good)

    def test_good(self):
        self.agree("good", 0)
        done = subprocess.run([os.path.join(TOP, "tests", "verify_independent.py"), "--tiles", self.trail],
                              stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_cut(self):
        for at in range(0, len(self.good), EVERY):
            with self.subTest(at):
                self.put(self.good[:at])
                self.agree(f"cut at {at}", 1)

    def test_flipped(self):
        for at in range(0, len(self.good), EVERY):
            with self.subTest(at):
                self.put(self.good[:at] + bytes([self.good[at] ^ 0x10]) + self.good[at + 1:])
                self.agree(f"byte {at} flipped", 1)

    def test_each_field_of_a_header(self):
        start = len(b"".join(self.records()[:5]))
        for at in list(range(start, start + 80, 3)) + [start + 80, start + 112, start + 144]:
            with self.subTest(at - start):
                self.put(self.good[:at] + bytes([self.good[at] ^ 1]) + self.good[at + 1:])
                self.agree(f"header byte {at - start} flipped", 1)

    def test_reordered_missing_twice(self):
        records = self.records()
        for i in range(1, len(records) - 1):
            for what, changed in (("swapped", records[:i] + [records[i + 1], records[i]] + records[i + 2:]),
                                  ("missing", records[:i] + records[i + 1:]),
                                  ("twice", records[:i] + [records[i]] + records[i:])):
                with self.subTest(f"{i} {what}"):
                    self.put(b"".join(changed))
                    self.agree(f"record {i} {what}", 1)

    def test_notes(self):
        for name in ("checkpoint", "anchor.note"):
            path = os.path.join(self.trail, name)
            with open(path, "rb") as f:
                good = f.read()
            for at in range(0, len(good), 7):
                with self.subTest(f"{name} {at}"):
                    self.put(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:], path)
                    one, other = self.tool(), self.second()
                    self.assertEqual((one[0], other[0]), (1, 1), f"{name} {at}: {one[1]} and {other[1]}")
            self.put(good, path)


if __name__ == "__main__":
    unittest.main()
