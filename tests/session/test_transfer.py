# SPDX-License-Identifier: Apache-2.0
"""Much data, both ways, with rekeying and slow readers: byte-exact, and memory stays bounded."""
import hashlib
import os
import subprocess
import time

import harness
import sanitizers

setUpModule, tearDownModule = harness.lab_for_module(globals())

MIB = 1 << 20
BIG = 64 * MIB


class Transfer(harness.SessionTest):
    @classmethod
    def setUpClass(cls):
        cls.big = os.path.join(globals()["lab"].dir, "big")
        block = os.urandom(MIB)
        with open(cls.big, "wb") as f:
            for i in range(BIG // MIB):
                f.write(i.to_bytes(4, "big") + block[4:])
        with open(cls.big, "rb") as f:
            cls.digest = hashlib.file_digest(f, "sha256").hexdigest()

    def upload(self, options=()):
        with open(self.big, "rb") as f:
            done = self.ssh("alice", "hv1", "sha256sum", stdin=f, options=options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.split()[0].decode(), self.digest)

    def download(self, options=()):
        done = self.ssh("alice", "hv1", f"cat {self.big}", options=options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), self.digest)

    def test_upload(self):
        self.upload()

    def test_download(self):
        self.download()

    def test_upload_to_a_file(self):
        path = self.lab.path("x")
        with open(self.big, "rb") as f:
            self.assertEqual(self.ssh("alice", "hv1", f"cat > {path}", stdin=f).returncode, 0)
        with open(path, "rb") as f:
            self.assertEqual(hashlib.file_digest(f, "sha256").hexdigest(), self.digest)

    def test_rekeying_on_the_way_up(self):
        self.upload(("-o", "RekeyLimit=1M"))

    def test_rekeying_on_the_way_down(self):
        self.download(("-o", "RekeyLimit=1M"))

    def test_both_directions_at_once(self):
        with open(self.big, "rb") as f:
            done = self.ssh("alice", "hv1", "cat", stdin=f, options=("-o", "RekeyLimit=4M"))
        self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), self.digest)

    def memory_is_bounded(self):
        for program in ("sallyport-frontend", "sallyport-backend"):
            for pid in self.servers_and_children(program)[1]:
                sanitizers.assert_memory_below(self, harness.rss_anon(pid), 8 * 1024, program)

    def test_300_megabytes_for_a_reader_who_pauses(self):
        child = self.start_ssh("alice", "hv1", "head -c 300000000 /dev/zero")
        taken = 0
        for _ in range(5):
            time.sleep(1)
            self.memory_is_bounded()
            taken += sum(len(child.stdout.read(MIB)) for _ in range(40))
        while block := child.stdout.read(MIB):
            taken += len(block)
        self.assertEqual(taken, 300000000)
        self.assertEqual(child.wait(harness.TIMEOUT), 0)

    def test_a_slow_reader_costs_bounded_memory(self):
        child = self.start_ssh("alice", "hv1", f"cat {self.big} {self.big}")
        time.sleep(3)
        self.memory_is_bounded()
        digest = hashlib.sha256()
        while block := child.stdout.read(MIB):
            digest.update(block)
        with open(self.big, "rb") as f:
            data = f.read()
        self.assertEqual(digest.hexdigest(), hashlib.sha256(data + data).hexdigest())

    def test_a_target_that_does_not_read(self):
        with open(self.big, "rb") as f:
            child = self.start_ssh("alice", "hv1", "sleep 3; sha256sum", stdin=f, stdout=subprocess.PIPE)
            time.sleep(2)
            self.memory_is_bounded()
            self.assertEqual(child.stdout.read().split()[0].decode(), self.digest)
