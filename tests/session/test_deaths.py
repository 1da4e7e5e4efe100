# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each process: what architecture.md says happens, no accepted record is lost, no session goes on
unrecorded."""
import signal

import harness
import lablib
import trail

setUpModule, tearDownModule = harness.lab_for_module(globals(), extra_operators=1)


class Deaths(harness.SessionTest):
    def setUp(self):
        # What the test before broke may still be under way back.
        harness.wait_until("the gateway works", lambda: self.ssh("alice", "hv1", "true").returncode == 0)
        super().setUp()

    def tearDown(self):
        if not self.lab.gateway_pid():
            self.lab.start()
        super().tearDown()

    def kill(self, pid):
        lablib.Lab.kill(pid, signal.SIGKILL)

    def only(self, program):
        servers, _ = self.servers_and_children(program)
        self.assertTrue(servers, f"{program} does not run")
        return servers

    def says(self, child, text):
        """The session ends, and the operator is told; what was typed and accepted stands in the trail."""
        child.wait(harness.TIMEOUT)  # its input stays open: the end is not the operator's
        self.assertNotEqual(child.returncode, 0)
        if text:
            self.assertRegex(child.stderr.read().decode("utf-8", "replace"), text)

    def accepted_input_is_there(self):
        session = self.record("session-start").session
        self.assertEqual(self.bytes_of("input", session), b"are you there\n")
        self.assertEqual(self.bytes_of("output", session), b"are you there\n")
        return session

    def works_again(self):
        harness.wait_until("sessions again", lambda: self.ssh("alice", "hv1", "true").returncode == 0)

    def test_frontend(self):
        child = self.live()
        self.kill(self.session_process("sallyport-frontend"))
        self.says(child, None)
        session = self.accepted_input_is_there()
        self.record("session-end", session=session)
        self.record("alarm", "frontend")
        harness.wait_until("its backend is gone", lambda: not self.servers_and_children("sallyport-backend")[1])
        harness.wait_until("the penalty is over", lambda: self.ssh("alice", "hv1", "true").returncode == 0)

    def test_backend(self):
        child = self.live()
        self.kill(self.session_process("sallyport-backend"))
        self.says(child, None)
        session = self.accepted_input_is_there()
        end = [r for r in self.records("session-end", session=session)] or [self.record("session-end", session=session)]
        self.assertEqual(len(end), 1)
        self.record("alarm", "backend")
        self.works_again()

    def test_frontend_server(self):
        child = self.live()
        self.kill(self.only("sallyport-frontend")[0])
        self.says(child, None)
        self.record("session-end")
        self.works_again()

    def test_backend_server(self):
        child = self.live()
        self.kill(self.only("sallyport-backend")[0])
        self.says(child, None)
        self.record("session-end")
        self.works_again()

    def test_listener(self):
        child = self.live()
        for pid in self.only("sallyport-listener"):
            self.kill(pid)
        self.says(child, None)
        self.record("session-end")
        self.works_again()

    def test_authd_leaves_live_sessions(self):
        child = self.live()
        self.kill(self.only("sallyport-authd")[0])
        for line in (b"one\n", b"two\n"):
            child.stdin.write(line)
            child.stdin.flush()
            self.assertEqual(child.stdout.readline(), line)
        self.works_again()
        child.stdin.write(b"three\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), b"three\n")
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)

    def test_a_session_from_before_authd_s_death_can_still_be_ended_by_a_lock(self):
        child = self.live("op1")
        self.kill(self.only("sallyport-authd")[0])
        self.works_again()
        self.admin("user", "lock", "op1", "--reason", "test")
        self.says(child, "")
        self.record("session-end", "")
        self.admin("user", "unlock", "op1")

    def test_auditd_ends_sessions_with_the_reason(self):
        child = self.live()
        self.kill(self.only("sallyport-auditd")[0])
        self.says(child, "recorder stopped")
        session = self.accepted_input_is_there()
        self.works_again()
        self.record("recovery")
        self.record("session-end", session=session)
        trail.read(self.lab.path("state", "trail"))

    def test_supervisor(self):
        child = self.live()
        self.kill(self.lab.gateway_pid())
        self.says(child, None)
        harness.wait_until("nothing is left", lambda: not any(
            lablib.alive(p, t) for p, t, n in self.lab.recorded() if n == "sallyportd"))
        self.lab.start()
        session = self.accepted_input_is_there()
        # auditd may outlive it by the moment that an orderly end takes.
        harness.wait_until("how the log ended", lambda: self.records("shutdown") or self.records("recovery"))
        self.record("session-end", session=session)
        self.works_again()


class KilledUnderLoad(harness.SessionTest):
    def test_the_trail_still_holds_together(self):
        for _ in range(3):
            child = self.start_ssh("alice", "hv1", "cat /dev/urandom | head -c 30000000 | base64")
            child.stdout.read(1 << 20)
            lablib.Lab.kill(self.servers_and_children("sallyport-auditd")[0][0], signal.SIGKILL)
            child.communicate(timeout=harness.TIMEOUT)
            harness.wait_until("sessions again", lambda: self.ssh("alice", "hv1", "true").returncode == 0)
        trail.read(self.lab.path("state", "trail"))
        done = self.admin("audit", "verify", check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
