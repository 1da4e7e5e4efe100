# SPDX-License-Identifier: Apache-2.0
"""Break-glass: on a full trail disk named operators get in with a code given now, recorded from a reserve."""
import os
import subprocess

import faults
import harness
import lablib
import test_disk

FAULTS = None
MIB = 1 << 20


def setUpModule():
    up, _ = harness.lab_for_module(
        globals(), extra_operators=7, trail_size="96M",  # a code each, so that none waits for its next one
        config="disk: {soft: 24MiB, hard: 12MiB, slow: 2s}\nbreak-glass: {operators: [alice, nobody-here, op1, op2, op3, op4, op5, op6], reserve: 8MiB}\n")
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


class Glass(test_disk.DiskTest):
    def setUp(self):
        FAULTS.clear()
        super().setUp()
        self.reserve = self.lab.path("state", "trail", "glass.reserve")
        harness.wait_until("the reserve", lambda: "is ready" in self.admin("status").stdout)
        self.assertGreaterEqual(os.stat(self.reserve).st_blocks * 512, 18 * MIB, "it is sparse")

    def fill(self):
        self.ballast(0)
        self.alarm("disk-hard")
        harness.wait_until("the gate", lambda: "no new session" in self.admin("status").stdout)

    def admitted(self):
        """Somebody who is not named gets in again."""
        return harness.wait_until("a session again", lambda: self.ssh("op7", "hv1", "true").returncode == 0)

    def refused(self, operator):
        ran = self.lab.path("ran-on-a-full-disk")
        done = self.ssh(operator, "hv1", "touch " + ran, fresh=True)
        self.shows(done, "No session can start: the disk of the audit trail is", 75)
        self.assertFalse(os.path.exists(ran))

    def use_up(self, child):
        self.assertEqual(child.wait(harness.TIMEOUT), 74)
        self.assertIn("break-glass reserve is used up", child.stderr.read().decode())
        self.alarm("glass-spent")

    def test_named_operators_get_in_with_a_code_and_others_do_not(self):
        self.fill()
        self.refused("op7")
        # What is remembered does not count: a code is asked for, and the text says why.
        done = self.ssh("alice", "hv1", "true", env=self.answering("000000"))
        self.shows(done, "A remembered login does not count for that", 255)
        self.assertEqual(self.records("session-start"), [])
        self.record("authentication", reason="break-glass")
        done = self.ssh("op1", "hv1", "echo in", fresh=True)
        self.assertEqual(done.stdout, b"in\n", done.stderr)
        self.shows(done, "BREAK-GLASS: the trail's disk is full", 0)
        self.assertTrue(self.record("decision", break_glass=True).json["allowed"])
        self.assertEqual(self.record("alarm", event="break-glass").json["operator"], "op1")
        self.assertIs(self.record("session-start").json["break_glass"], True)
        # A device with a remembered login is asked, and gets in with what it answers.
        done = self.ssh("alice", "hv1", "echo again")
        self.assertEqual(done.stdout, b"again\n", done.stderr)
        self.assertEqual(self.ssh("alice", "gateway", "whoami").returncode, 0)
        self.refused("bob")
        self.without_ballast()
        self.admitted()
        self.assertEqual(len(self.records("alarm", event="break-glass")), 2)
        self.assertNotIn("break_glass", self.record("session-start").json)
        self.admin("audit", "verify")

    def test_the_reserve_records_them_alone_and_is_made_again(self):
        ordinary = self.live("alice", "hv2")
        self.fill()
        quiet = self.live("op2", "hv1", fresh=True)
        filler = self.start_ssh("op3", "hv2", "cat /dev/zero", fresh=True, stdout=subprocess.DEVNULL)
        self.record("alarm", alarm="disk-exhausted")  # its code is the next one
        self.assertEqual(ordinary.wait(harness.TIMEOUT), 74)
        self.alarm("glass-in-use")
        self.assertFalse(os.path.exists(self.reserve))
        self.use_up(filler)
        self.assertEqual(quiet.wait(harness.TIMEOUT), 74)
        stored = sum(len(r.payload) + 176 for r in self.records(session=self.records("session-start")[-1].session))
        self.assertGreater(stored, 7 * MIB)  # the other sessions and the gateway take from its 8 too
        self.assertIn("is spent", self.admin("status").stdout)
        self.refused("op4")
        self.refused("op7")
        ends = harness.wait_until("three ends", lambda: self.records("session-end", reason="trail-full")[2:]
                                  and self.records("session-end"))
        self.assertEqual(len({r.session for r in ends}), 3)
        self.admin("audit", "verify")
        self.without_ballast()
        self.alarm("glass-refilled")
        self.admitted()
        self.assertIn("is ready", self.admin("status").stdout)
        self.finished_session()
        self.admin("audit", "verify")

    def test_a_session_goes_on_in_the_reserve(self):
        self.fill()
        child = self.start_ssh("op5", "hv1", "head -c 9000000 /dev/zero | tr '\\0' x; echo; cat", fresh=True)
        self.assertEqual(len(child.stdout.readline()), 9000001)
        self.alarm("glass-in-use")
        self.echoes(child, b"recorded from the reserve")
        self.without_ballast()
        self.alarm("glass-refilled")
        self.echoes(child, b"and from the disk again")
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.admin("audit", "verify")

    def test_a_disk_that_fails_lets_nobody_in(self):
        self.fill()
        child = self.live("op6", "hv1", fresh=True)
        FAULTS.set("write", error="EIO", count=1000000)
        child.stdin.write(b"never recorded\n")
        child.stdin.flush()
        self.assertEqual(child.wait(harness.TIMEOUT), 74)
        done = self.ssh("alice", "hv1", "true", fresh=True)
        self.assertNotIn(done.returncode, (0, None))
        self.assertEqual(len(self.records("session-start")), 1)
        FAULTS.clear()
        self.without_ballast()
        self.lab.stop()
        self.lab.start()
        self.admitted()
        self.admin("audit", "verify")

    def test_a_name_that_is_no_operator_s_is_a_warning(self):
        done = subprocess.run([os.path.join(self.lab.build, "sallyportd"), "-c", self.lab.conf, "--check"], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("break-glass names nobody-here, who is no operator", done.stderr)
        self.assertNotIn("names alice", done.stderr)
