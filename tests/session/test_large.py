# SPDX-License-Identifier: Apache-2.0
"""A large session is played, exported, bundled, indexed and searched in memory that does not grow with it: each under
a limit of its address space. SALLYPORT_LARGE_MB=1000 for a gigabyte (tests/bench/large)."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import harness  # noqa: F401 (the path)
import lablib
import sanitizers

MEGABYTES = int(os.environ.get("SALLYPORT_LARGE_MB", "128"))
LIMIT = 128 << 20  # libraries take 50 MiB of addresses; the largest buffer, of one record's text, 24


class Large(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.build = lablib.find_build()
        cls.dir = tempfile.mkdtemp(prefix="sallyport-large-", dir=os.environ.get("SALLYPORT_TEST_DIR"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.identity = os.path.join(cls.dir, "identity")
        subprocess.run(["age-keygen", "-o", cls.identity], check=True, stderr=subprocess.DEVNULL)
        recipient = subprocess.run(["age-keygen", "-y", cls.identity], check=True, stdout=subprocess.PIPE,
                                   text=True).stdout.strip()
        cls.state = os.path.join(cls.dir, "state")
        cls.session = subprocess.run([os.path.join(cls.build, "bench_session"), cls.state, str(MEGABYTES), recipient],
                                     check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def audit(self, *words, stdout=subprocess.PIPE):
        began = time.monotonic()
        bound = [] if sanitizers.SANITIZED else ["prlimit", f"--as={LIMIT}"]
        done = subprocess.run([*bound, os.path.join(self.build, "sallyport"), "audit", *words], stdout=stdout, stderr=subprocess.PIPE, check=False, text=True,
                              env={**os.environ, "XDG_DATA_HOME": self.dir, "SALLYPORT_IDENTITY": self.identity})
        self.assertEqual(done.returncode, 0, done.stderr)
        if "SALLYPORT_LARGE_MB" in os.environ:
            print(f"    audit {words[0]}: {time.monotonic() - began:.1f} s for {MEGABYTES} MB", flush=True)
        return done.stdout

    def read(self, verb, *words):
        return self.audit(verb, "--state", self.state, *words)

    def end_of(self, path):
        with open(path, "rb") as f:
            f.seek(max(0, os.path.getsize(path) - 500))
            return f.read().decode()

    def test_export(self):
        for form in ("asciicast", "asciicast3", "text", "jsonl"):
            path = os.path.join(self.dir, "out")
            self.read("export", "-f", form, "-o", path, "--force", self.session)
            self.assertGreater(os.path.getsize(path), MEGABYTES * 700000)
            self.assertIn("the very last line" if form != "jsonl" else "client-closed", self.end_of(path))
            os.remove(path)

    def test_bundle(self):
        path = os.path.join(self.dir, "bundle")
        self.read("export", "-f", "bundle", "-o", path, self.session)
        said = json.loads(self.audit("verify", "--bundle", path, "--json"))
        self.assertEqual(said["verdict"], "verified")
        shutil.rmtree(path)

    def test_play(self):
        with open(os.path.join(self.dir, "played"), "wb") as f:
            self.audit("play", "--state", self.state, self.session, stdout=f)
        self.assertIn("the very last line", self.end_of(f.name))
        os.remove(f.name)

    def test_index_and_search(self):
        self.read("index")
        found = json.loads(self.audit("search", "--json", "the very last line"))
        self.assertEqual([m["session"] for m in found], [self.session])
        self.assertEqual(len(json.loads(self.audit("search", "--json", "--limit", "7", "alpha"))), 7)
        self.assertEqual(len(json.loads(self.audit("search", "--json", "0000500000"))), 1)


if __name__ == "__main__":
    unittest.main()
