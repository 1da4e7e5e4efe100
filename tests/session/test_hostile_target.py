# SPDX-License-Identifier: Apache-2.0
"""Hypervisors that do not keep to the protocol: nothing of them reaches the operator past the record, no session
hangs, no process grows, and the next session works."""
import contextlib
import os
import socket
import threading
import time

import harness
import sanitizers
from hostile_target import HostileTarget

setUpModule, tearDownModule = harness.lab_for_module(globals(), extra_operators=3)

# What a session of either process may take; sandbox.def's bound of the address space is far above.
MEMORY_KIB = 24 * 1024
LIMITS = """role: limits
members: [op1]
targets: {env: lab, name: hv2}
accounts: [root]
factors: [key, totp]
remember: 1h
session: {idle: 1s}
allow: {shell: true, exec: true}
"""


class Hostile(harness.SessionTest):
    @classmethod
    def setUpClass(cls):
        lab = globals()["lab"]
        lab.stop_sshd("hv2")
        role = lab.path("conf", "roles.d", "lab-admin.yaml")
        with open(role, encoding="utf-8") as f:
            text = f.read().replace(", op1", "").replace(", op3", "")
        lab.write_conf("roles.d/lab-admin.yaml", text)
        lab.write_conf("roles.d/limits.yaml", LIMITS)
        lab.write_conf("roles.d/longest.yaml", LIMITS.replace("limits", "longest").replace("op1", "op3").replace("idle: 1s", "max: 4s"))
        cls.reload_of(lab)

    def target(self, serve, **more):
        return HostileTarget(self.lab.port_of("hv2"), self.lab.path("hv2", "host_key"), serve, **more)

    def session_records(self, kind):
        start = self.record("session-start", target="hv2")
        return self.records(kind, session=start.session)

    def told(self, done, expected):
        """Output and exit status are the recorded ones."""
        session = self.record("session-start", target="hv2").session
        harness.wait_until("the session's end record", lambda: self.records("session-end", session=session))
        self.assertEqual(done.stdout, expected)
        self.assertEqual(self.bytes_of("output", session), expected)
        return session

    def memory(self, seconds):
        """The most that a frontend or backend took meanwhile, KiB; no longer than they are there."""
        most, until = 0, time.time() + seconds
        while time.time() < until:
            pids = [p for n in ("sallyport-frontend", "sallyport-backend") for p in self.servers_and_children(n)[1]]
            if most and not pids:
                break
            for pid in pids:
                most = max(most, harness.rss_anon(pid))
            time.sleep(0.1)
        return most

    def works(self):
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)

    # --- messages

    def test_exit_status_and_data_at_every_wrong_place(self):
        def serve(c):
            c.exit_status(3)
            c.exit_status(4)
            c.data(b"one ")
            c.exit_status(5)
            c.data(b"two")
            c.eof()
            c.data(b" after the end")
            c.stderr(b" after the end")
            c.exit_status(6)
            c.close()
            c.data(b" after the close")
            c.exit_status(0)
            c.target.over.wait(2)
        with self.target(serve):
            done = self.ssh("alice", "hv2", "x")
        session = self.told(done, b"one two")
        exits = [r.json["status"] for r in self.records("exec", session=session) if r.json["event"] == "exit"]
        self.assertEqual(exits, [3])
        self.assertEqual(done.returncode, 3, "the operator got another status than the trail")
        self.assertNotIn(b"after", done.stderr)

    def test_a_whole_command_in_one_piece(self):
        """The answer to the start, output, status and close come before the gateway looks once: all of it counts."""
        def serve(c):
            target.held.wait(harness.TIMEOUT)
            with c.at_once():
                c.data(b"quick\n")
                c.stderr(b"err\n")
                c.exit_status(3)
                c.eof()
                c.close()
        for _ in range(3):
            with self.target(serve, hold_start=True) as target:
                done = self.ssh("alice", "hv2", "quick")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (3, b"quick\n", b"err\n"))
            self.told(done, b"quick\n")
        self.assertEqual([r.json["status"] for r in self.session_records("exec") if r.json["event"] == "exit"], [3])

    def test_a_close_before_the_answer_to_the_start(self):
        def serve(c):
            target.held.wait(harness.TIMEOUT)
            c.data(b"lost")
            c.exit_status(0)
            c.close()
        with self.target(serve, hold_start=True) as target:
            done = self.ssh("alice", "hv2", "true")
        self.assertEqual((done.returncode, done.stdout), (69, b""))
        self.assertIn(b"hv2 closed the channel", done.stderr)

    def test_exit_status_flood(self):
        def serve(c):
            for i in range(200000):
                c.exit_status(i % 200)
            c.data(b"done")
            c.eof()
            c.close()
        with self.target(serve):
            done = self.ssh("alice", "hv2", "x", timeout=harness.TIMEOUT)
        self.told(done, b"done")
        self.assertEqual(done.returncode, 0)
        self.assertLess(len(self.records("exec")), 10)

    def test_channels_and_forwards_opened_by_the_target(self):
        def serve(c):
            c.open_channel(b"x11", b"127.0.0.1", 6000)
            c.open_channel(b"forwarded-tcpip", b"127.0.0.1", 22, b"127.0.0.1", 4000)
            c.open_channel(b"auth-agent@openssh.com")
            c.open_channel(b"session")
            c.open_channel(b"direct-tcpip", b"127.0.0.1", 22, b"127.0.0.1", 4000)
            c.global_request(b"tcpip-forward", True, b"", 2222)
            c.global_request(b"hostkeys-00@openssh.com", False, b"x")
            answers = [c.target.seen.get(timeout=harness.TIMEOUT) for _ in range(6)]
            c.data(repr(sorted(answers)).encode())
            c.exit_status(0)
            c.eof()
            c.close()
        with self.target(serve):
            done = self.ssh("alice", "hv2", "x", options=("-A", "-X"))
        self.told(done, b"[82, 92, 92, 92, 92, 92]")
        self.assertGreaterEqual(len(self.session_records("alarm")), 5)

    def test_a_flood_of_opens_and_requests_whose_answers_are_not_read(self):
        def serve(c):
            # Nothing is read any more: what the gateway answers has to stay with it.
            c.transport.packetizer.read_message = lambda: c.target.over.wait() and None
            while not c.target.over.is_set():
                c.open_channel(b"x11", b"127.0.0.1", 6000)
                c.global_request(b"tcpip-forward", True, b"", 2222)
        with self.target(serve):
            child = self.start_ssh("alice", "hv2", "x")
            most = self.memory(20)
            sanitizers.assert_memory_below(self, most, MEMORY_KIB)
            child.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(self.session_records("session-end")[-1].json["reason"], "target-stalled")
        self.assertLessEqual(len(self.session_records("alarm")), 12)
        self.works()

    def test_output_beyond_the_window(self):
        def serve(c):
            block = b"x" * 30000
            while not c.target.over.is_set():
                c.stderr(block)
                c.data(block)
        with self.target(serve):
            child = self.start_ssh("alice", "hv2", "x")
            sanitizers.assert_memory_below(self, self.memory(8), MEMORY_KIB)
            child.kill()
        harness.wait_until("its end", lambda: self.session_records("session-end"))
        self.works()

    def test_windows_and_packets_of_impossible_sizes(self):
        for window, packet in ((0xffffffff, 0), (0xffffffff, 9), (0xffffffff, 10), (0xffffffff, 11),
                               (0xffffffff, 0xffffffff), (0, 32768), (1, 1)):
            def serve(c):
                c.target.over.wait()
            with self.subTest(window=window, packet=packet), self.target(serve, confirm=(window, packet)):
                child = self.start_ssh("op1", "hv2", "x")
                child.stdin.write(b"y" * 50000)
                child.stdin.flush()
                child.wait(harness.TIMEOUT)  # the limit of idleness at the latest
                self.assertNotEqual(child.returncode, 0)
                harness.wait_until("nobody is left", lambda: not self.servers_and_children("sallyport-backend")[1])
            harness.wait_until("sessions", lambda: self.ssh("alice", "hv1", "true").returncode == 0)

    def test_a_storm_of_key_exchanges(self):
        def serve(c):
            for _ in range(20):
                c.transport.renegotiate_keys()
                c.data(b".")
            c.exit_status(0)
            c.eof()
            c.close()
        with self.target(serve):
            done = self.ssh("alice", "hv2", "x", timeout=harness.TIMEOUT)
        self.told(done, b"." * 20)

    # --- ends

    def test_the_target_goes_away_in_the_middle(self):
        def serve(c):
            for _ in range(100):
                c.data(b"z" * 10000)
            c.transport.sock.close()
        with self.target(serve):
            done = self.ssh("alice", "hv2", "x")
        self.shows(done, "closed the connection")
        # All of it, or nothing where the gateway had the answer to the start and the end at once; the trail says which.
        session = self.record("session-start", target="hv2").session
        end = self.record("session-end", session=session).json
        self.assertEqual(self.bytes_of("output", session)[:end["delivered"]], done.stdout)
        self.assertEqual((end["bytes_out"], end["reason"]), (len(self.bytes_of("output", session)), "target-closed"))

    def test_a_start_that_is_refused_is_in_the_trail(self):
        with self.target(lambda c: None, start_answer=False):
            done = self.ssh("alice", "hv2", "x")
        self.shows(done, "refused to start", 69)
        self.assertTrue([r for r in self.session_records("exec") if r.json["event"] == "close"], self.records("exec"))

    def end_of(self, serve, reason, text, operator="op1", **more):
        with self.target(serve, **more):
            child = self.start_ssh(operator, "hv2", "x")
            child.stdin.write(b"input that nobody reads")
            child.stdin.flush()
            _, said = child.communicate(timeout=harness.TIMEOUT)
        self.assertNotEqual(child.returncode, 0)
        self.assertIn(text, said.decode("utf-8", "replace"))
        end = harness.wait_until("its end", lambda: self.session_records("session-end"))[-1].json
        self.assertEqual(end["reason"], reason)

    def test_a_target_that_is_silent_meets_the_idle_limit(self):
        self.end_of(lambda c: c.target.over.wait(), "idle", "nothing was typed or transferred for 1 second")

    def test_a_target_that_never_answers_the_start_meets_the_idle_limit(self):
        def never(target):
            class Silent:
                def __bool__(self):
                    target.over.wait()
                    return False
            return Silent()
        with self.target(lambda c: None) as target:
            target.start_answer = never(target)
            child = self.start_ssh("op1", "hv2", "x")
            child.wait(harness.TIMEOUT)
        end = harness.wait_until("its end", lambda: self.session_records("session-end"))[-1].json
        self.assertEqual(end["reason"], "idle")

    def test_a_target_that_talks_for_ever_meets_the_max_limit(self):
        def serve(c):
            while not c.target.over.is_set():
                c.data(b".")
                time.sleep(0.2)
        self.end_of(serve, "max", "your role permits 4 seconds", "op3")

    def test_a_lock_ends_a_session_whose_buffers_are_full_both_ways(self):
        """Neither the client nor the target reads."""
        def serve(c):
            c.transport.packetizer.read_message = lambda: c.target.over.wait() and None
            with contextlib.suppress(OSError):
                while not c.target.over.is_set():
                    c.data(b"w" * 30000)
        with self.target(serve):
            reading, writing = os.pipe()
            self.addCleanup(os.close, reading)
            child = self.start_ssh("op2", "hv2", "x", stdin=reading)
            feeder = threading.Thread(target=self.feed, args=(writing,), daemon=True)
            feeder.start()
            time.sleep(4)
            self.assertTrue(self.servers_and_children("sallyport-backend")[1])
            self.admin("user", "lock", "op2", "--reason", "test")
            harness.wait_until("its backend is gone", lambda: not self.servers_and_children("sallyport-backend")[1])
            # The frontend tells a client that does not listen for 10 s.
            harness.wait_until("nobody is left", lambda: not self.servers_and_children("sallyport-frontend")[1])
            child.kill()
            feeder.join(5)
        end = harness.wait_until("its end", lambda: self.session_records("session-end"))[-1].json
        self.assertIn("lock", end["reason"])

    @staticmethod
    def feed(pipe):
        with contextlib.suppress(BrokenPipeError), os.fdopen(pipe, "wb") as f:
            for _ in range(400):
                f.write(b"v" * 65536)

    # --- servers that are none

    def test_garbage(self):
        banner = b"SSH-2.0-OpenSSH_9.2\r\n"
        servers = {
            "noise": lambda s: s.sendall(os.urandom(200000)),
            "an endless banner": lambda s: [s.sendall(b"SSH-2.0-" + b"x" * 1000) for _ in range(1000)],
            "a packet of 4 GiB": lambda s: s.sendall(banner + b"\xff\xff\xff\xff" + b"\x14" * 100000),
            "noise behind the banner": lambda s: s.sendall(banner + os.urandom(200000)),
            "zeroes": lambda s: s.sendall(banner + bytes(200000)),
            "another version": lambda s: s.sendall(b"SSH-1.5-old\r\n" + bytes(1000)),
            "a byte a second": lambda s: [s.sendall(b"S") or time.sleep(1) for _ in range(20)],
        }
        for name, act in servers.items():
            with self.subTest(name), socket.create_server(("127.0.0.1", self.lab.port_of("hv2"))) as listener:
                def serve(act=act, listener=listener):
                    with contextlib.suppress(OSError):
                        s, _ = listener.accept()
                        with s, contextlib.suppress(OSError):
                            act(s)
                            s.settimeout(harness.TIMEOUT)
                            while s.recv(4096):
                                pass
                threading.Thread(target=serve, daemon=True).start()
                done = self.ssh("alice", "hv2", "x")
                self.shows(done, "hv2", 69)
        self.works()
