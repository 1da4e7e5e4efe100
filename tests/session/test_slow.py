# SPDX-License-Identifier: Apache-2.0
"""Somebody who stops taking: an operator in the middle of a download, a target in the middle of an upload. What waits
costs little memory, in all processes together, and every byte arrives when it goes on. Short stops; with
SALLYPORT_TEST_LONG=60 they last so many seconds, and a whole GB moves."""
import hashlib
import os
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import harness  # noqa: E402
import sanitizers  # noqa: E402

setUpModule, tearDownModule = harness.lab_for_module(globals())

MIB = 1 << 20
LONG = int(os.environ.get("SALLYPORT_TEST_LONG", "0"))
STOP = LONG or 3
BLOCK = 16 * MIB
BLOCKS = 64 if LONG else 4
LIMIT_KIB = 8 * 1024

ROLE = """role: {name}
members: [alice]
targets: {{env: lab, name: {target}}}
accounts: [root]
factors: [key, totp]
remember: 1h
allow: {{shell: true, exec: true}}
"""


class Slow(harness.SessionTest):
    @classmethod
    def setUpClass(cls):
        lab = sys.modules[cls.__module__].lab
        os.unlink(lab.path("conf", "roles.d", "lab-admin.yaml"))
        lab.write_conf("roles.d/full.yaml", ROLE.format(name="full", target="hv1"))
        lab.write_conf("roles.d/bulk.yaml", ROLE.format(name="bulk", target="hv2") +
                       "session: {bulk: digest, bulk-after: 1MiB}\n")
        lab.stop()
        lab.start()
        cls.block = os.urandom(BLOCK)
        cls.big = os.path.join(lab.dir, "big")
        with open(cls.big, "wb") as f:
            f.write(cls.block)

    def memory(self):
        """KiB that all the gateway's processes hold, each page once. Not what they map from files: such a page
        counts as more of ours when a stranger that had mapped it too has ended."""
        total = 0
        for pids in self.gateway_processes().values():
            for pid in pids:
                try:
                    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                        total += sum(int(line.split()[1]) for line in f
                                     if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
                except OSError:
                    pass  # it has ended
        return total

    def watched(self, before):
        """While nothing moves: the largest growth."""
        until, most = time.monotonic() + STOP, 0
        while time.monotonic() < until:
            most = max(most, self.memory() - before)
            time.sleep(0.25)
        print(f"note {self.id()}: grew by {most} KiB in {STOP} s", flush=True)
        sanitizers.assert_memory_below(self, most, LIMIT_KIB, "what was added")

    def download(self, host, stream=">&1"):
        command = f"echo ready; read x; i=0; while [ $i -lt {BLOCKS} ]; do cat {self.big} {stream}; i=$((i + 1)); done"
        child = self.start_ssh("alice", host, command, stderr=subprocess.DEVNULL if stream == ">&1" else subprocess.STDOUT)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        return child

    def test_an_operator_who_stops_reading(self):
        self.live()  # what the programs need once
        for host, stream in (("hv1", ">&1"), ("hv1", ">&2"), ("hv2", ">&1")):
            with self.subTest(host=host, stream=stream):
                child = self.download(host, stream)
                before = self.memory()
                child.stdin.write(b"go\n")
                child.stdin.close()
                digest, taken = hashlib.sha256(), 0
                while block := child.stdout.read(MIB):
                    digest.update(block)
                    taken += len(block)
                    if taken == 4 * MIB:
                        self.watched(before)
                expected = hashlib.sha256()
                for _ in range(BLOCKS):
                    expected.update(self.block)
                self.assertEqual((taken, digest.digest()), (BLOCKS * BLOCK, expected.digest()))
                self.assertEqual(child.wait(harness.TIMEOUT), 0)

    def test_a_target_that_stops_reading(self):
        self.live()
        child = self.start_ssh("alice", "hv1", f"echo ready; head -c {4 * MIB} | sha256sum; echo stopped; sleep {STOP + 1}; sha256sum")

        self.assertEqual(child.stdout.readline(), b"ready\n")
        before = self.memory()

        def write():
            for _ in range(BLOCKS):
                child.stdin.write(self.block)
            child.stdin.close()
        writer = threading.Thread(target=write)
        writer.start()
        first = child.stdout.readline().split()[0].decode()
        self.assertEqual(child.stdout.readline(), b"stopped\n")
        self.watched(before)
        rest = child.stdout.readline().split()[0].decode()
        writer.join()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.assertEqual(first, hashlib.sha256(self.block[:4 * MIB]).hexdigest())
        whole, session = hashlib.sha256(), self.finished_session()
        expected = hashlib.sha256(self.block[4 * MIB:])
        for i in range(BLOCKS):
            whole.update(self.block)
            if i:
                expected.update(self.block)
        self.assertEqual(rest, expected.hexdigest())
        recorded = hashlib.sha256()
        for r in self.records("input", session=session):
            recorded.update(r.payload)
        self.assertEqual(recorded.digest(), whole.digest())
        self.assertEqual(self.records("verdict", session=session)[-1].json["verdict"], "agreed")

    def test_an_operator_who_stops_on_ten_channels(self):
        """Each channel has its own bound; this is what the most that one connection may hold costs."""
        control = self.lab.path("slow-master")
        master = self.start_ssh("alice", "hv1", "-N", options=("-M", "-S", control))
        harness.wait_until("the master's socket", lambda: os.path.exists(control))
        before = self.memory()
        children = [self.start_ssh("alice", "hv1", f"cat {self.big} {self.big}", options=("-S", control)) for _ in range(10)]
        time.sleep(STOP)
        grown = self.memory() - before
        print(f"note {self.id()}: ten channels: grew by {grown} KiB", flush=True)
        sanitizers.assert_memory_below(self, grown, 10 * LIMIT_KIB, "ten channels")
        said = [None] * 10

        def read(i):
            said[i] = hashlib.sha256(children[i].stdout.read()).digest()
        threads = [threading.Thread(target=read, args=(i,)) for i in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(said), {hashlib.sha256(self.block * 2).digest()})
        master.terminate()
        master.wait(harness.TIMEOUT)


if __name__ == "__main__":
    unittest.main()
