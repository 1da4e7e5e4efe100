# SPDX-License-Identifier: Apache-2.0
"""`sallyport audit verify` and tests/verify_independent.py, which was written from docs/FORMAT.md alone, say the same
about good, cut, flipped, reordered and re-linked logs of the recorder, and about logs that it would never write
(forged_logs.py)."""
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import forge
import forged_logs
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


class Verifiers(unittest.TestCase):
    """Two of them over the log in `trail`, with the keys `log_key` and `anchor`."""
    @classmethod
    def setUpClass(cls):
        cls.other = independent()
        cls.build = lablib.find_build()
        cls.dir = tempfile.mkdtemp(prefix="sallyport-verifiers-", dir=os.environ.get("SALLYPORT_TEST_DIR"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)

    @classmethod
    def recorded(cls, *words):
        """A log by the recorder's own code."""
        identity, cls.state = os.path.join(cls.dir, "identity"), os.path.join(cls.dir, "state")
        subprocess.run(["age-keygen", "-o", identity], check=True, stderr=subprocess.DEVNULL)
        recipient = subprocess.run(["age-keygen", "-y", identity], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        subprocess.run([os.path.join(cls.build, "bench_session"), cls.state, "0", recipient, *words], check=True,
                       stdout=subprocess.DEVNULL)
        cls.trail = os.path.join(cls.state, "trail")
        cls.log_key, cls.anchor = (os.path.join(cls.state, "public", name) for name in ("log.pub", "anchor.pub"))

    def tool(self, *words):
        done = subprocess.run([os.path.join(self.build, "sallyport"), "audit", "verify", "--trail", self.trail, "--log-key",
                               self.log_key, "--anchor", self.anchor, "--json", *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        self.assertNotIn("Sanitizer", done.stderr)
        return done.returncode, json.loads(done.stdout) if done.stdout else {"text": done.stderr}

    def second(self, *words):
        o, given = self.other, {"--known": [], "--witness": []}
        for name, value in zip(words[::2], words[1::2]):
            given[name].append(value)
        t = None
        try:
            t = o.Trail(self.trail, o.given_key(self.log_key), o.given_key(self.anchor))
            t.verify(given["--known"], [o.given_key(w, o.COSIGNER_KEY) for w in given["--witness"]])
            status, said = 0, {}
        except o.Tampered as e:
            status, said = 1, {"fault": e.kind, "file": e.file, "offset": e.offset, "record": e.record, "text": str(e)}
        except (o.NotChecked, OSError) as e:
            return 2, {"text": str(e)}
        return status, {**said, "verified_to": t.records, "signed_to": min(t.signed_to, t.records), "sealed_to": t.sealed_to,
                        "known_elsewhere_to": t.known_to, "unfinished_bytes": t.unfinished,
                        "dropped_payloads": sum(t.dropped.values()), "shut_down": t.course.run == "ended"}

    def agree(self, what, expected=None, words=()):
        """Both say the same about the log as it is now. -> `verified`, `not checked`, or the fault's kind"""
        one, other = self.tool(*words), self.second(*words)
        both = f"{what}: {one[1]} and {other[1]}"
        self.assertEqual(one[0], other[0], both)
        if expected is not None:
            self.assertEqual(one[0], expected, both)
        names = (("file", "record", "offset", "fault"), ("verified_to", "signed_to", "sealed_to", "known_elsewhere_to",
                                                         "unfinished_bytes", "dropped_payloads", "shut_down"))
        for name in names[0] if one[0] == 1 else names[1] if one[0] == 0 else ():
            self.assertEqual(one[1][name], other[1][name], f"{name}; {both}")
        return ("verified", one[1].get("fault"), "not checked")[one[0]]


class Forged(Verifiers):
    """Links, roots and signatures are right where nothing else is said."""
    def test_all(self):
        self.trail = os.path.join(self.dir, "trail")
        for name, make in forged_logs.SCENARIOS.items():
            with self.subTest(name):
                made = make()
                made = made if isinstance(made, tuple) else (made,)
                log, pruned, change, words = made + ((), lambda directory: None, ())[len(made) - 1:]
                if "checkpoint" not in log.notes:
                    log.checkpoint()
                self.log_key, self.anchor = log.log.text, log.anchor.text
                log.write(self.trail, pruned)
                change(self.trail)
                said = self.agree(name, words=[w.replace("DIRECTORY", self.trail) for w in words])
                self.assertEqual(said, forged_logs.EXPECTED.get(name, said))


class TwoVerifiers(Verifiers):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.recorded()
        cls.segment = os.path.join(cls.trail, "0" * 16 + ".spa")
        with open(cls.segment, "rb") as f:
            cls.good = f.read()

    def put(self, data, path=None):
        with open(path or self.segment, "wb") as f:
            f.write(data)

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
        start = len(b"".join(forge.split(self.good)[:5]))
        for at in list(range(start, start + 80, 3)) + [start + 80, start + 112, start + 144]:
            with self.subTest(at - start):
                self.put(self.good[:at] + bytes([self.good[at] ^ 1]) + self.good[at + 1:])
                self.agree(f"header byte {at - start} flipped", 1)

    def test_reordered_missing_twice(self):
        records = forge.split(self.good)
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

    def test_relinked(self):
        """Whoever may write the files can make every index and link anew, but no signature."""
        records = forge.split(self.good)
        seals = [i for i, r in enumerate(records) if r[4] == forge.SEAL]
        for what, changed in [(f"without record {i}", records[:i] + records[i + 1:]) for i in range(1, len(records))] + \
                [(f"{i} and the next swapped", records[:i] + [records[i + 1], records[i]] + records[i + 2:])
                 for i in range(1, len(records) - 1)] + [("without seals", [r for i, r in enumerate(records) if i not in seals])]:
            with self.subTest(what):
                self.put(b"".join(forge.relink(changed)))
                self.agree(what, 1)

    def test_a_checkpoint_of_less(self):
        """Cut in the middle of a seal; and with the old checkpoint, or that of another log."""
        path = os.path.join(self.trail, "checkpoint")
        with open(path, "rb") as f:
            good = f.read()
        self.addCleanup(self.put, good, path)
        seal = len(self.good) - len(forge.split(self.good)[-1])
        for at in (seal, seal + 90, seal + 176, seal + 300, len(self.good) - 1):
            self.put(self.good[:at])
            self.assertEqual(self.agree(f"cut in the seal at {at}", 1), "cut")
        log = forged_logs.ordinary()
        self.put(log.checkpoint(), path)
        self.put(self.good)
        self.assertEqual(self.agree("another log's checkpoint", 1), "not signed")


class Rotated(Verifiers):
    """Several segments, a recorder that died, and tiles."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.recorded("3000")
        cls.names = sorted(n for n in os.listdir(cls.trail) if n.endswith(".spa"))
        cls.good = {n: open(os.path.join(cls.trail, n), "rb").read() for n in cls.names}

    def tearDown(self):
        for name, data in self.good.items():
            forge.Log.put(self.trail, name, data)

    def test_good(self):
        self.assertGreater(len(self.names), 4)
        self.assertEqual(self.agree("good", 0), "verified")

    def test_each_segment(self):
        for name in self.names:
            path, data = os.path.join(self.trail, name), self.good[name]
            for what, change in (("gone", None), ("cut", data[:-7]), ("one record less", data[:-len(forge.split(data)[-1])]),
                                 ("empty", b""), ("more", data + b"SPA1"), ("twice", data + data),
                                 ("first record gone", data[len(forge.split(data)[0]):])):
                with self.subTest(f"{name} {what}"):
                    forge.Log.put(self.trail, name, data)
                    os.unlink(path)
                    if change is not None:
                        forge.Log.put(self.trail, name, change)
                    self.agree(f"{name} {what}", None if what == "more" else 1)
                    forge.Log.put(self.trail, name, data)

    def test_put_in_one_anothers_place(self):
        for one, other in zip(self.names, self.names[1:]):
            with self.subTest(one):
                forge.Log.put(self.trail, one, self.good[other])
                forge.Log.put(self.trail, other, self.good[one])
                self.agree(f"{one} and {other} swapped", 1)
                forge.Log.put(self.trail, one, self.good[one])
                forge.Log.put(self.trail, other, self.good[other])

    def test_tiles(self):
        """Derived: they are not verified with the log, and the second verifier tells what is not right in them."""
        words = [os.path.join(TOP, "tests", "verify_independent.py"), "--tiles", self.trail]
        self.assertEqual(subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode, 0)
        size = sum(len(forge.split(d)) for d in self.good.values())
        for kind in ("0", "entries"):
            path = os.path.join(self.trail, "tile", kind, "000.p", str(size))
            with open(path, "rb") as f:
                data = f.read()
            for changed in (data[:-1], data + b"x", data[:40] + bytes([data[40] ^ 1]) + data[41:]):
                forge.Log.put(os.path.dirname(path), str(size), changed)
                self.assertEqual(subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode, 1)
            forge.Log.put(os.path.dirname(path), str(size), data)


if __name__ == "__main__":
    unittest.main()
