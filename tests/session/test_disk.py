# SPDX-License-Identifier: Apache-2.0
"""The trail's disk fills up: marks, exhaustion and the way back without a restart; nobody fills it for all."""
import contextlib
import os
import subprocess

import harness

setUpModule, tearDownModule = harness.lab_for_module(
    globals(), trail_size="96M", config="disk: {soft: 24MiB, hard: 12MiB, share: 40MiB, slow: 2s}\n")

MIB = 1 << 20


class DiskTest(harness.SessionTest):
    def setUp(self):
        super().setUp()
        self.size("96M")
        self.ballast_path = self.lab.path("state", "trail", "ballast")
        self.addCleanup(self.size, "96M")
        self.addCleanup(self.without_ballast)

    def size(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.lab.path("state", "trail")], check=True)

    def free(self):
        st = os.statvfs(self.lab.path("state", "trail"))
        return st.f_bavail * st.f_frsize

    def ballast(self, leave):
        """Somebody else fills the file system until so much is left."""
        with open(self.ballast_path, "ab") as f:
            while (size := self.free() - leave) > 0:
                with contextlib.suppress(OSError):  # the recorder was quicker
                    os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, size)

    def without_ballast(self):
        if os.path.exists(self.ballast_path):
            os.unlink(self.ballast_path)

    def recorder(self):
        return self.servers_and_children("sallyport-auditd")[0]

    def echoes(self, child, line):
        child.stdin.write(line + b"\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), line + b"\n")

    def admitted(self):
        return harness.wait_until("a session again", lambda: self.ssh("alice", "hv1", "true").returncode == 0)

    def alarm(self, token):
        return self.record("alarm", alarm=token)


class Marks(DiskTest):
    def test_soft_mark_is_an_alarm_and_hard_mark_no_new_session(self):
        child = self.live()
        self.ballast(18 * MIB)
        self.alarm("disk-soft")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        self.assertIn("below-soft-mark", self.admin("status").stdout)
        self.ballast(8 * MIB)
        self.alarm("disk-hard")
        ran = self.lab.path("ran-at-hard-mark")
        done = harness.wait_until("a refusal", lambda: [d for d in [self.ssh("alice", "hv1", "touch " + ran)]
                                                        if d.returncode != 0])[0]
        self.shows(done, "No session can start: the disk of the audit trail is nearly full", 75)
        refused = self.record("decision", allowed=False)
        self.assertIn("nearly full", refused.text())
        self.assertIn("no new session starts", self.admin("status").stdout)
        self.assertEqual(self.ssh("alice", "gateway", "whoami").returncode, 0)
        self.echoes(child, b"this one goes on")
        self.without_ballast()
        self.alarm("disk-recovered")
        self.admitted()
        self.echoes(child, b"and on")
        self.assertEqual(len(self.records("alarm", alarm="disk-soft")), 1)
        self.assertNotIn("no new session", self.admin("status").stdout)
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)


class Exhausted(DiskTest):
    def test_sessions_end_from_the_reserve_and_all_goes_on_when_there_is_room(self):
        recorder = self.recorder()
        path = self.lab.path("captured")
        live = self.live()
        typing = self.start_ssh("alice", "hv2", f"cat > {path}")
        harness.wait_until("the command runs", lambda: os.path.exists(path))
        self.ballast(0)
        try:
            for i in range(200000):
                typing.stdin.write(b"%07d %s\n" % (i, b"x" * 1000))
        except BrokenPipeError:
            pass
        for child in (live, typing):
            self.assertEqual(child.wait(harness.TIMEOUT), 74)
            self.assertIn("the trail cannot be written: No space left on its disk; nothing more was forwarded",
                          child.stderr.read().decode())
        self.alarm("disk-exhausted")
        ends = harness.wait_until("two ends", lambda: [
            r for r in self.records("session-end", reason="trail-full")][1:] and self.records("session-end"))
        self.assertEqual(len({r.session for r in ends}), 2)
        with open(path, "rb") as f:
            arrived = f.read()
        session = [r.session for r in self.records("session-start")][-1]
        self.assertTrue(self.bytes_of("input", session).startswith(arrived))
        self.assertGreater(len(arrived), 0)
        ran = self.lab.path("ran-when-full")
        # authd may hear of it after the trail.
        harness.wait_until("a full disk", lambda: b"No session can start: the disk of the audit trail is full" in
                           self.ssh("alice", "hv1", "touch " + ran).stderr)
        self.assertFalse(os.path.exists(ran))
        self.assertIn("disk of the audit trail is full", self.record("decision", allowed=False).text())
        self.assertIn("exhausted", self.admin("status").stdout)
        self.admin("audit", "verify")
        # Its restart on a full disk works from the reserve too.
        self.lab.stop()
        self.lab.start()
        recorder = self.recorder()
        self.shows(self.ssh("alice", "hv1", "true"), "No session can start", 75)
        self.without_ballast()
        self.admitted()
        self.alarm("disk-recovered")
        self.assertEqual(self.recorder(), recorder, "it was restarted")
        self.finished_session()
        self.admin("audit", "verify")

    def test_killed_on_a_full_disk_it_comes_back_from_the_reserve(self):
        live = self.live()
        self.ballast(0)
        os.kill(self.recorder()[0], 9)
        self.assertEqual(live.wait(harness.TIMEOUT), 74)
        harness.wait_until("the recorder", lambda: self.records("recovery"))
        self.record("session-end", reason="recorder-died")
        self.without_ballast()
        self.admitted()
        self.finished_session()
        self.admin("audit", "verify")


class FairShares(DiskTest):
    def restart(self):
        """The recorder has forgotten what operators used."""
        self.lab.stop()
        self.size("192M")
        self.addCleanup(self.lab.start)
        self.addCleanup(self.lab.stop)
        self.lab.start()

    def test_one_operator_fills_his_share_and_the_others_go_on(self):
        self.restart()
        filler = self.start_ssh("alice", "hv1", "cat /dev/zero", stdout=subprocess.DEVNULL)
        alarm = self.alarm("operator-share")
        while filler.poll() is None:
            done = self.ssh("bob", "hv1", "virsh -c test:///default list")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(filler.wait(harness.TIMEOUT), 74)
        self.assertRegex(filler.stderr.read().decode(), "the sessions of alice filled their share")
        end, = self.records("session-end", reason="share")
        # He was slowed for seconds, and meanwhile nobody else: another one came and went.
        self.assertGreater(end.boot_ns - alarm.boot_ns, 8 * 10**9)
        others = {r.session for r in self.records("session-start", operator="bob") if r.index > alarm.index}
        self.assertTrue([r for r in self.records("session-end") if r.session in others and r.index < end.index])
        # The next one of this operator is over the share as well; the others are not.
        again = self.ssh("alice", "hv1", "true")
        self.assertNotEqual(again.returncode, 0)
        self.assertEqual(self.ssh("bob", "hv1", "virsh -c test:///default list").returncode, 0)
        self.admin("audit", "verify")

    def test_a_session_ends_at_its_role_s_limit(self):
        self.restart()
        path = self.lab.path("conf", "roles.d", "lab-admin.yaml")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        self.lab.write_conf("roles.d/lab-admin.yaml", text + "session: {max-bytes: 2MiB}\n")
        self.addCleanup(self.reload)
        self.addCleanup(self.lab.write_conf, "roles.d/lab-admin.yaml", text)
        self.reload()
        other = self.live()
        filler = self.start_ssh("alice", "hv2", "cat /dev/zero", stdout=subprocess.DEVNULL)
        self.alarm("session-limit")
        self.echoes(other, b"not this one")
        self.assertEqual(filler.wait(harness.TIMEOUT), 74)
        self.assertRegex(filler.stderr.read().decode(), r"this session reached its limit of 2 MiB")
        self.echoes(other, b"not this one either")
        end = self.record("session-end", reason="max-bytes")
        stored = sum(len(r.payload) + 176 for r in self.records(session=end.session))
        self.assertLess(stored, 4 * MIB)
        other.stdin.close()
        self.assertEqual(other.wait(harness.TIMEOUT), 0)
