# SPDX-License-Identifier: Apache-2.0
"""The trail's disk fails, is full, or is slow. In every case: what reached the hypervisor is in the trail."""
import os
import threading
import time

import faults
import harness
import lablib
import trail

FAULTS = None


def setUpModule():
    up, _ = harness.lab_for_module(globals(), config="disk: {soft: 64MiB, hard: 32MiB, slow: 2s}\n")
    real = lablib.Lab.make

    def make(self, *words):
        global FAULTS
        FAULTS = faults.Faults(self.dir, self.build)
        self.libexec = FAULTS.libexec
        real(self, *words)
    lablib.Lab.make = make
    try:
        up()
    finally:
        lablib.Lab.make = real


def tearDownModule():
    harness.lab_for_module(globals())[1]()


class Typist(threading.Thread):
    """Sends numbered lines, each a record of its own since it waits for its echo, until nobody takes them any more."""

    def __init__(self, child, lines=400, pause=0.004):
        super().__init__(daemon=True)
        self.child, self.lines, self.pause = child, lines, pause
        self.sent = 0

    def run(self):
        try:
            for i in range(self.lines):
                self.child.stdin.write(b"line %06d of what was typed\n" % i)
                self.child.stdin.flush()
                if not self.child.stdout.readline():
                    return
                self.sent += 1
                time.sleep(self.pause)
            self.child.stdin.close()
        except (BrokenPipeError, ValueError, OSError):
            pass


class FaultTest(harness.SessionTest):
    number = 0

    def setUp(self):
        FAULTS.clear()
        super().setUp()

    def captured(self):
        FaultTest.number += 1
        return self.lab.path(f"captured-{FaultTest.number}")

    def typed_under(self, *arm, **session):
        """One session that types while the fault comes. Returns (ssh, the file on the hypervisor)."""
        path = self.captured()
        child = self.start_ssh("alice", "hv1", f"tee {path}")
        harness.wait_until("the command runs", lambda: os.path.exists(path))
        FAULTS.set(*arm, **session)
        typist = Typist(child)
        typist.start()
        child.wait(harness.TIMEOUT)
        typist.join(harness.TIMEOUT)
        self.said = child.stderr.read().decode("utf-8", "replace")
        return child, path

    def restarted(self):
        FAULTS.clear()
        self.lab.stop()
        self.lab.start()

    def everything_recorded(self, path):
        """What the hypervisor's file has is the beginning of the session's input records."""
        with open(path, "rb") as f:
            arrived = f.read()
        sessions = [r.session for r in self.records("session-start")]
        recorded = self.bytes_of("input", sessions[-1])
        self.assertTrue(recorded.startswith(arrived), f"{len(arrived)} arrived, {len(recorded)} are recorded")
        return arrived, recorded

    def whole(self):
        self.admin("audit", "verify")
        records = trail.read(self.lab.path("state", "trail"))
        started = [r.session for r in records if r.type == "session-start"]
        ended = [r.session for r in records if r.type == "session-end"]
        self.assertEqual(sorted(started), sorted(ended))

    def stops(self, *arm, text, **fault):
        child, path = self.typed_under(*arm, **fault)
        self.assertEqual(child.returncode, 74, self.said)
        self.assertRegex(self.said, text)
        done = self.ssh("bob", "hv1", "virsh -c test:///default list")
        self.assertNotEqual(done.returncode, 0, "a session ran without a recorder")
        self.restarted()
        arrived, _ = self.everything_recorded(path)
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        self.finished_session()
        self.whole()
        return arrived


class FailingWrites(FaultTest):
    def test_enospc_at_the_nth_write(self):
        for n in (1, 2, 7, 40, 111):
            with self.subTest(n=n):
                arrived = self.stops("segment", nth=n, error="ENOSPC", text="No space left")
                if n >= 40:
                    self.assertGreater(len(arrived), 0)

    def test_eio_at_the_nth_write(self):
        for n in (1, 3, 29, 90):
            with self.subTest(n=n):
                self.stops("segment", nth=n, error="EIO", text="Input/output error")

    def test_a_short_write_and_then_an_error(self):
        FAULTS.clear()
        for most in (1, 175, 177):
            with self.subTest(most=most):
                self.stops("segment", nth=20, count=2, most=most, error="EIO", text="Input/output error")

    def test_short_writes_alone_lose_nothing(self):
        child, path = self.typed_under("write", nth=1, count=1 << 40, most=97)
        self.assertEqual(child.returncode, 0, self.said)
        FAULTS.clear()
        self.finished_session()
        arrived, recorded = self.everything_recorded(path)
        self.assertEqual(arrived, recorded)
        self.assertEqual(len(arrived.splitlines()), 400)
        self.whole()


class FailingSynchronisation(FaultTest):
    def test_eio_at_the_nth_fdatasync(self):
        for n in (1, 2, 33):
            with self.subTest(n=n):
                self.stops("fdatasync", nth=n, error="EIO", text="fdatasync|Input/output error")

    def test_it_is_not_tried_again(self):
        child, _ = self.typed_under("fdatasync", nth=5, error="EIO")
        self.assertEqual(child.returncode, 74)
        time.sleep(0.5)
        seen, writes = FAULTS.seen("fdatasync"), FAULTS.seen("write")
        self.ssh("alice", "hv1", "true")
        time.sleep(11)  # a checkpoint would be due
        self.assertEqual((FAULTS.seen("fdatasync"), FAULTS.seen("write")), (seen, writes))
        self.restarted()
        self.whole()

    def test_a_slow_disk_delays_and_loses_nothing(self):
        other = self.live("alice")
        child, path = self.typed_under("fdatasync", nth=10, count=1, delay_ms=4000)
        self.assertEqual(child.returncode, 0, self.said)
        other.stdin.write(b"still there\n")
        other.stdin.flush()
        self.assertEqual(other.stdout.readline(), b"still there\n")
        self.record("alarm", alarm="slow-disk")
        other.stdin.close()
        other.wait(harness.TIMEOUT)
        with open(path, "rb") as f:
            self.assertEqual(len(f.read().splitlines()), 400)
        self.whole()


class FailingCheckpoints(FaultTest):
    def checkpoint(self):
        with open(self.lab.path("state", "trail", "checkpoint"), encoding="utf-8") as f:
            return int(f.read().splitlines()[1])

    def test_without_room_for_it_the_session_goes_on(self):
        child = self.live()
        FAULTS.set("rename", nth=1, count=1, error="ENOSPC")
        before = self.checkpoint()
        harness.wait_until("a checkpoint without room", lambda: "checkpoint-without-room" in self.log())
        child.stdin.write(b"still there\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), b"still there\n")
        harness.wait_until("the next checkpoint", lambda: self.checkpoint() > before)
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.finished_session()
        self.whole()

    def test_another_error_of_it_is_final(self):
        child = self.live()
        FAULTS.set("rename", nth=1, count=1, error="EIO")
        self.assertEqual(child.wait(harness.TIMEOUT), 74)
        self.assertIn("Input/output error", child.stderr.read().decode())
        self.restarted()
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        self.finished_session()
        self.whole()


class WithoutPreallocation(FaultTest):
    def test_a_file_system_that_cannot_allocate_ahead(self):
        self.lab.stop()
        FAULTS.set("fallocate", nth=1, count=1 << 40, error="EOPNOTSUPP")
        self.lab.start()
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        self.finished_session()
        self.assertEqual(self.log().count("no-preallocation"), 1)
        self.restarted()
        self.whole()
