# SPDX-License-Identifier: Apache-2.0
"""The trail against what the two ends have: what reached the hypervisor stands in it as input, what reached the
operator as output, whoever is killed and whenever the disk is full."""
import contextlib
import os
import random
import signal
import subprocess
import threading
import time

import harness
import lablib
import trail

setUpModule, tearDownModule = harness.lab_for_module(globals(), trail_size="1G", config="disk: {share: 900MiB}\n")


class Load:
    """An upload and a download side by side, by one operator; what came out at their other ends."""
    def __init__(self, test, name):
        self.test, self.path = test, test.lab.path(name)
        self.received, self.stop = bytearray(), threading.Event()
        self.up = test.start_ssh("alice", "hv1", f"cat > {self.path}")
        self.down = test.start_ssh("alice", "hv1", "i=0; while :; do i=$((i+1)); echo line $i of the download; done")
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.feed, self.read)]
        for t in self.threads:
            t.start()

    def feed(self):
        n = 0
        with contextlib.suppress(OSError, ValueError):
            while not self.stop.is_set():
                self.up.stdin.write(b"".join(b"%d of the upload\n" % i for i in range(n, n + 500)))
                self.up.stdin.flush()
                n += 500
                time.sleep(0.005)

    def read(self):
        with contextlib.suppress(OSError, ValueError):
            while block := os.read(self.down.stdout.fileno(), 65536):
                self.received += block

    def flows(self):
        return len(self.received) > 50000 and os.path.exists(self.path) and os.path.getsize(self.path) > 20000

    def end(self, kill=False):
        self.stop.set()
        for child in (self.up, self.down):
            if kill:
                child.kill()
            child.wait(harness.TIMEOUT)
        for t in self.threads:
            t.join(10)

    def compare(self):
        """Session ids; everything that arrived is in the trail, in its order."""
        records = self.test.records()
        starts = {r.json["command"]: r.session for r in records if r.type == "exec" and r.json["event"] == "start"}
        up = next(s for c, s in starts.items() if self.path in c)
        down = next(s for c, s in starts.items() if "download" in c)
        recorded = {s: b"".join(r.payload for r in records if r.session == s and r.type in ("input", "output"))
                    for s in (up, down)}
        with open(self.path, "rb") as f:
            arrived = f.read()
        self.test.assertTrue(recorded[up].startswith(arrived),
                             f"{len(arrived)} bytes arrived at the target, {len(recorded[up])} are recorded")
        self.test.assertTrue(recorded[down].startswith(self.received),
                             f"{len(self.received)} bytes reached the operator, {len(recorded[down])} are recorded")
        return up, down


class TrailTest(harness.SessionTest):
    def works_again(self):
        harness.wait_until("sessions again", lambda: self.ssh("alice", "hv1", "true").returncode == 0)

    def loaded(self, name):
        load = Load(self, name)
        harness.wait_until("both ways flow", load.flows)
        time.sleep(random.uniform(0.2, 0.8))
        return load

    def each_has_one_end(self, *sessions):
        for s in sessions:
            harness.wait_until("an end record", lambda s=s: self.records("session-end", session=s))
            of = self.records(session=s)
            kinds = [r.type for r in of if r.type not in ("attestation", "verdict")]
            self.assertEqual(kinds.count("session-end"), 1)
            self.assertEqual([r.type for r in of if r.type in ("session-start", "input", "output", "exec")][0], "session-start")
            self.assertEqual([k for k in kinds if k not in ("alarm", "decision")][-1], "session-end")

    def verified(self):
        done = self.admin("audit", "verify", check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Killed(TrailTest):
    def killed(self, name, victims, times):
        for i in range(times):
            self.works_again()
            self.first_record = len(trail.read(self.lab.path("state", "trail")))
            load = self.loaded(f"{name}{i}")
            for pid in victims():
                lablib.Lab.kill(pid, signal.SIGKILL)
            load.end(kill=name == "authd")  # whose death sessions outlive
            self.works_again()
            self.each_has_one_end(*load.compare())
        self.verified()

    def test_auditd(self):
        self.killed("auditd", lambda: self.servers_and_children("sallyport-auditd")[0], 4)

    def test_authd(self):
        self.killed("authd", lambda: self.servers_and_children("sallyport-authd")[0], 2)

    def test_backends(self):
        self.killed("backend", lambda: self.servers_and_children("sallyport-backend")[1], 1)

    def test_frontends(self):
        self.killed("frontend", lambda: self.servers_and_children("sallyport-frontend")[1], 1)

    def test_the_supervisor(self):
        load = self.loaded("supervisor")
        lablib.Lab.kill(self.lab.gateway_pid(), signal.SIGKILL)
        load.end()
        harness.wait_until("nothing is left", lambda: not any(
            lablib.alive(p, t) for p, t, n in self.lab.recorded() if n == "sallyportd"))
        self.lab.start()
        self.works_again()
        self.each_has_one_end(*load.compare())
        self.verified()

    def test_everything_at_once(self):
        load = self.loaded("all")
        pids = [self.lab.gateway_pid(), *lablib.descendants(self.lab.gateway_pid())]
        for pid in pids:
            lablib.Lab.kill(pid, signal.SIGKILL)
        load.end()
        harness.wait_until("nothing is left", lambda: not any(
            lablib.alive(p, t) for p, t, n in self.lab.recorded() if n == "sallyportd"))
        self.lab.start()
        self.works_again()
        self.each_has_one_end(*load.compare())
        self.verified()


class WhenFull(TrailTest):
    def test_the_disk_fills_up_in_mid_session(self):
        self.works_again()
        self.first_record = len(trail.read(self.lab.path("state", "trail")))
        load = self.loaded("full")
        directory = self.lab.path("state", "trail")
        ballast = os.path.join(directory, "ballast")
        with open(ballast, "wb") as f:
            while (st := os.statvfs(directory)).f_bavail:
                with contextlib.suppress(OSError):  # the recorder was quicker
                    os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, st.f_bavail * st.f_frsize)
        try:
            load.up.wait(harness.TIMEOUT)
            load.down.wait(harness.TIMEOUT)
            load.end()
            for child in (load.up, load.down):
                self.assertEqual(child.returncode, 74)
                self.assertRegex(child.stderr.read().decode(), "(cannot write the trail|trail cannot be written).*No space left")
            up, down = load.compare()
            done = self.ssh("alice", "hv1", "touch " + self.lab.path("ran"))
            # authd may not have heard of the last step yet.
            self.assertRegex(done.stderr.decode(), "No session can start: the disk of the audit trail is (nearly )?full")
            self.assertEqual(done.returncode, 75)
            self.assertFalse(os.path.exists(self.lab.path("ran")))
            # Killed on the full disk, the recorder comes back from its reserve, and leaves nothing that piles up.
            lablib.Lab.kill(self.servers_and_children("sallyport-auditd")[0][0], signal.SIGKILL)
            self.record("recovery")
            self.assertNotEqual(self.ssh("alice", "hv1", "true").returncode, 0)
            torn = [n for n in os.listdir(directory) if n.startswith("torn-")]
            self.assertLessEqual(len(torn), 2, torn)
        finally:
            os.unlink(ballast)
        self.works_again()
        load.compare()
        self.each_has_one_end(up, down)
        self.verified()


class TwoWriters(TrailTest):
    def test_a_second_recorder_is_refused(self):
        before = len(trail.read(self.lab.path("state", "trail")))
        done = subprocess.run(["flock", "-n", self.lab.path("state", "trail", "lock"), "true"], check=False)
        self.assertNotEqual(done.returncode, 0, "the trail is not locked")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        self.assertGreater(len(trail.read(self.lab.path("state", "trail"))), before)
