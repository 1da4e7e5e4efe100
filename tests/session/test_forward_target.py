# SPDX-License-Identifier: Apache-2.0
"""Forwarded ports and a target that is an enemy: what it makes of an open, when, and what becomes of the operator."""
import os
import threading
import unittest

import harness
from forwarding import ForwardTest, prepare
from hostile_target import HostileTarget

lab_up, tearDownModule = harness.lab_for_module(globals(), extra_operators=3)


def setUpModule():
    lab_up()
    unittest.addModuleCleanup(prepare(lab))


class TargetTest(ForwardTest):
    @classmethod
    def setUpClass(cls):
        lab.stop_sshd("hv2")
        cls.addClassCleanup(lab.start_sshd, "hv2")

    def target(self, serve=lambda c: None, **more):
        return HostileTarget(self.lab.port_of("hv2"), self.lab.path("hv2", "host_key"), serve, **more)


class HostileTargets(TargetTest):
    """What the target makes of an open; nothing hangs, what was recorded is what was asked for, and it goes on."""
    def ended(self, reasons):
        harness.wait_until("nobody is left", lambda: not self.servers_and_children("sallyport-backend")[1])
        start = self.record("session-start", target="hv2")
        verdict = self.record("verdict", session=start.session).json
        self.assertEqual((verdict["verdict"], verdict["starts"]["agreed"]), ("agreed", 1), verdict)
        self.assertIn(self.record("session-end", session=start.session).json["reason"], reasons)
        self.assertNotIn("seccomp", self.log())
        return start.session

    def never(self, target):
        class Silent:
            def __bool__(self):
                target.over.wait()
                return False
        target.start_answer = Silent()
        return self.start_ssh("op3", "hv2", options=("-W", f"localhost:{self.server.port}"))

    def test_it_never_answers(self):
        with self.target() as target:
            self.assertNotEqual(self.never(target).wait(harness.TIMEOUT), 0)
            self.ended(("idle",))
        self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
        with self.target() as target:
            child = self.never(target)
            self.record("forward-open")
            child.kill()
            self.ended(("client-closed",))

    def test_it_answers_when_it_is_no_longer_permitted(self):
        path = self.lab.path("conf", "roles.d", "forwards.yaml")
        with open(path, encoding="utf-8") as f:
            before = f.read()
        late = threading.Event()
        with self.target(lambda c: c.data(b"too late"), opened=lambda c: late.wait(harness.TIMEOUT) and [c]):
            child = self.start_ssh("op1", "hv2", options=("-W", f"localhost:{self.server.port}"))
            self.record("forward-open", allowed=True)
            self.addCleanup(self.reload)
            self.addCleanup(self.lab.write_conf, "roles.d/forwards.yaml", before)
            self.lab.write_conf("roles.d/forwards.yaml", before.split("allow:", 1)[0] + "allow: {exec: true}\n")
            self.reload()
            self.record("grant")
            out, said = child.communicate(timeout=harness.TIMEOUT)  # he does not wait for the target
            late.set()
            self.assertEqual((out, child.returncode != 0), (b"", True), said)
            session = self.ended(("client-closed",))
        self.assertEqual(self.records("forward-data", session=session), [])

    def test_other_answers(self):
        def message(number, confirmation, *rest):
            return bytes([number]) + confirmation[1:5] + b"".join(rest)

        def string(text):
            return len(text).to_bytes(4, "big") + text
        data, eof, close = (lambda c: message(94, c, string(b"early"))), (lambda c: message(96, c)), (lambda c: message(97, c))
        failure = (lambda c: message(92, c, b"\0\0\0\2", string(b"\x1b[2J" * 1000), string(b"")))
        for name, opened in (("twice", lambda c: [c, c]), ("data first", lambda c: [data(c), c]),
                             ("data and no answer", lambda c: [data(c)]), ("closed first", lambda c: [close(c), c]),
                             ("closed and no answer", lambda c: [eof(c), close(c)]), ("and refused", lambda c: [c, failure(c)]),
                             ("refused and confirmed", lambda c: [failure(c), c]), ("refused", lambda c: [failure(c)]),
                             ("window of 0", lambda c: [c[:9] + bytes(4) + c[13:]]), ("packets of 0", lambda c: [c[:13] + bytes(4)]),
                             ("eof and data", lambda c: [c, eof(c), data(c)])):
            with self.subTest(name), self.target(opened=opened):
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
                done = self.ssh("op3", "hv2", options=("-W", f"localhost:{self.server.port}"), stdin=b"x" * 1000)
                self.assertNotIn(b"\x1b", done.stderr)
                session = self.ended(("idle", "client-closed", "target-closed"))
                # What came before an answer, and was shown, is recorded too.
                self.assertEqual(self.joined("forward-data", session, 0)[:len(done.stdout)], done.stdout)
