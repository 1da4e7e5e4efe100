# SPDX-License-Identifier: Apache-2.0
"""Sources that misbehave are slowed, then blocked, and come back; others, and operators, do not pay for it. Each test
has addresses of its own (127.0.0.x), so that none has another's failures."""
import contextlib
import json
import os
import socket
import ssl
import subprocess
import time

import paramiko

import harness
import lablib
import raw_ssh

PROXY = "127.0.0.9"
SLOW, BLOCK = 4, 8
CONFIG = f"proxy: {{from: [{PROXY}]}}\ndeadlines: {{handshake: 8s, login: 12s}}\n"
setUpModule, tearDownModule = harness.lab_for_module(
    globals(), config=CONFIG, extra_operators=1,
    penalty=f"{{slow-after: {SLOW}, block-after: {BLOCK}, within: 30m, delay: 6s, block: 20s, block-max: 40s}}")


class PenaltyTest(harness.SessionTest):
    def penalties(self):
        return json.loads(self.admin("source", "list", "--json").stdout)

    def source(self, prefix):
        """What the list has of a source; None: nothing."""
        found = [s for s in self.penalties()["sources"] if s["source"] == prefix]
        return found[0] if found else None

    def dial(self, source, data=b""):
        s = raw_ssh.dial(self.lab, source)
        self.addCleanup(s.close)
        with contextlib.suppress(OSError):
            s.sendall(data)
        return s

    @staticmethod
    def end(s):
        """What came before the end; an exception: nothing ended."""
        s.settimeout(harness.TIMEOUT)
        data = b""
        with contextlib.suppress(OSError):
            s.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while piece := s.recv(4096):
                data += piece
        return data

    def misbehave(self, source, count, data=b"this is no TLS\r\n"):
        """So many failures, at once; returns when they are counted (the list has them, or the block)."""
        sockets = [self.dial(source, data) for _ in range(count)]
        for s in sockets:
            self.end(s)

    def blocked(self, source, prefix=None):
        return harness.wait_until(f"{source} is blocked", lambda: (
            s := self.source(prefix or source + "/32")) and s["state"] == "blocked" and s)

    def hello(self, s):
        with raw_ssh.tls_context(self.lab).wrap_socket(s, server_hostname=lablib.GATEWAY) as t:
            return t.version()

    def gets_in(self, source):
        """TLS and the CONNECT line; False: closed without a byte."""
        s = self.dial(source)
        try:
            with raw_ssh.tls_context(self.lab).wrap_socket(s, server_hostname=lablib.GATEWAY) as t:
                t.sendall(b"CONNECT hv1:22 HTTP/1.1\r\n\r\n")
                return t.recv(12) == b"HTTP/1.1 200"
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError, EOFError):
            return False


class Blocks(PenaltyTest):
    def test_blocked_for_a_time(self):
        bad, good = "127.0.0.21", "127.0.0.22"
        self.misbehave(bad, SLOW - 1)
        self.misbehave(bad, BLOCK - SLOW + 1)
        entry = self.blocked(bad)
        self.assertEqual(entry["reason"], "tls")
        # Closed without a byte, whatever it sends.
        self.assertEqual(self.end(self.dial(bad)), b"")
        self.assertFalse(self.gets_in(bad))
        # Others come in: to TLS, and with a login.
        self.assertTrue(self.gets_in(good))
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        alarm = self.record("alarm", event="source-blocked", source=bad + "/32")
        self.assertEqual((alarm.json["reason"], alarm.json["blocks"], alarm.json["block_s"]), ("tls", 1, 20))
        self.assertGreaterEqual(alarm.json["failures"], BLOCK)
        said = json.loads(self.admin("status", "--json").stdout)["supervisor"]["penalties"]
        self.assertGreaterEqual(said["blocked"], 1)
        self.assertGreaterEqual(said["refused"], 2)
        self.assertIn(bad + "/32", self.admin("status").stdout)
        self.assertIn(bad + "/32", self.admin("source", "list").stdout)
        # It is over by itself, and the second time is longer.
        over = self.record("access", event="source-unblocked", source=bad + "/32")
        self.assertEqual(over.json["why"], "time")
        self.assertGreaterEqual(over.json["refused"], 2)
        self.assertTrue(self.gets_in(bad))
        self.misbehave(bad, BLOCK)
        alarm = self.record("alarm", event="source-blocked", blocks=2, source=bad + "/32")
        self.assertEqual(alarm.json["block_s"], 40)

    def test_lifted_by_an_administrator(self):
        bad = "127.0.0.23"
        for _ in range(2):  # the second block would have been the longer
            self.misbehave(bad, BLOCK)
            self.blocked(bad)
            self.assertIn("it is unblocked", self.admin("source", "unblock", bad).stdout)
            self.assertTrue(self.gets_in(bad))
        act = self.record("admin-act", event="source-unblock", source=bad)
        over = self.record("access", event="source-unblocked", source=bad + "/32")
        self.assertEqual(over.json["why"], "admin")
        self.assertLess(act.index, over.index)
        self.assertIn("was not blocked", self.admin("source", "unblock", bad).stdout)
        done = self.admin("source", "unblock", "somewhere", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expected an address", done.stderr)

    def test_wrong_passwords(self):
        """Of each operator, from one address: it is blocked, and nobody else pays for it."""
        bad = "127.0.0.25"
        subprocess.run([os.path.join(self.lab.build, "sallyport"), "user", "password", "op1", "-c", self.lab.conf],
                       input="Korrekt-Pferd-Batterie\n", stdout=subprocess.DEVNULL, text=True, check=True)
        guessing = [raw_ssh.Raw(self.lab, source=bad).service() for _ in range(3)]
        for r, name in zip(guessing, ("op1", "alice", "nobody")):
            self.addCleanup(r.close)
            r.ask_prompt(user=name + "+root")
            for _ in range(3):
                self.assertEqual(r.number(), raw_ssh.PROMPT)
                r.respond("Falsches-Pferd")
        entry = self.blocked(bad)
        self.assertEqual(entry["reason"], "first-factor")
        self.assertFalse(self.gets_in(bad))
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        users = {u["operator"]: u for u in json.loads(self.admin("user", "list", "--json").stdout)}
        self.assertEqual([(users[n]["failures"], users[n]["locked"]) for n in ("op1", "alice")], [(0, None)] * 2)
        self.assertLess(len([r for r in self.records() if bad in r.text()]), 4)

    def test_it_fills_no_trail(self):
        bad = "127.0.0.24"
        self.misbehave(bad, BLOCK)
        self.blocked(bad)
        for _ in range(200):
            with contextlib.suppress(OSError):
                raw_ssh.dial(self.lab, bad).close()
        self.assertLess(len([r for r in self.records() if bad in r.text()]), 4)


class Slowed(PenaltyTest):
    def waiting(self):
        return json.loads(self.admin("status", "--json").stdout)["supervisor"]["connections"]["waiting"]

    def test_parked_before_anything_is_read(self):
        slow = "127.0.0.31"
        self.misbehave(slow, SLOW)
        harness.wait_until("slowed", lambda: (s := self.source(slow + "/32")) and s["state"] == "slowed")
        waiting = self.waiting()
        parked = [self.dial(slow) for _ in range(4)]
        harness.wait_until("four are parked", lambda: self.waiting() == waiting + 4)
        # There is no room for more of this source: closed. Another one is not concerned.
        self.assertEqual(self.end(self.dial(slow)), b"")
        self.assertTrue(self.gets_in("127.0.0.32"))
        # The parked ones are served afterwards.
        for s in parked:
            self.assertEqual(self.hello(s), "TLSv1.3")
        self.assertIsNone(self.source("127.0.0.32/32"))


class Causes(PenaltyTest):
    def test_requests(self):
        for source, data in (("127.0.0.41", b"GET / HTTP/1.1\r\n\r\n"), ("127.0.0.42", b"CONNECT hv1 HTTP/1.1\r\n\r\n")):
            for _ in range(SLOW):
                s = raw_ssh.tls(self.lab, source=source)
                s.sendall(data)
                s.recv(2000)
                s.close()
            entry = harness.wait_until("slowed", lambda source=source: self.source(source + "/32"))
            self.assertEqual((entry["reason"], entry["state"]), ("request", "slowed"))

    def test_deadlines(self):
        """Idle before TLS; and from the CONNECT line to the login's deadline, without a word of SSH's login."""
        tunnels = [raw_ssh.tunnel(self.lab, source="127.0.0.45") for _ in range(SLOW)]
        idle = [self.dial("127.0.0.43") for _ in range(SLOW)]
        for source, reason in (("127.0.0.43", "handshake-deadline"), ("127.0.0.45", "login-deadline")):
            entry = harness.wait_until("slowed", lambda source=source: self.source(source + "/32"))
            self.assertEqual(entry["reason"], reason)
        for s in idle:
            self.assertEqual(self.end(s), b"")
        for t in tunnels:
            t.close()

    def test_a_monitor_is_no_enemy(self):
        """Connections that are closed before a byte weigh a quarter."""
        for _ in range(2 * SLOW):
            self.dial("127.0.0.44").close()
        time.sleep(0.5)
        self.assertIsNone(self.source("127.0.0.44/32"))

    def stranger(self, source, user="root"):
        """A key that nobody has, offered and signed with."""
        raw = raw_ssh.Raw(self.lab, source=source)
        raw.service()
        m = paramiko.Ed25519Key.from_private_key_file(self.stranger_key())
        raw.key = lambda operator: m
        raw.sign("stranger", user)
        self.assertEqual(raw.number(), raw_ssh.FAILURE)
        raw.close()

    def stranger_key(self):
        path = self.lab.path("stranger")
        if not os.path.exists(path):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path

    def test_unknown_keys_touch_the_source_alone(self):
        """A stranger tries every operator's name from one address: no operator is locked (threat 56)."""
        source = "127.0.0.46"
        for i in range(BLOCK):
            if self.source(source + "/32"):
                break  # slowed: a wait of seconds each from now on
            self.stranger(source, ("alice+root@hv1", "root", "bob")[i % 3])
        entry = harness.wait_until("slowed", lambda: self.source(source + "/32"))
        self.assertEqual(entry["reason"], "first-factor")
        users = json.loads(self.admin("user", "list", "--json").stdout)
        self.assertEqual([u["operator"] for u in users if u["locked"] and u["operator"] != "dave"], [])
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)

    def test_probes_and_codes_are_no_failures_of_the_source(self):
        source = "127.0.0.47"
        for _ in range(SLOW):
            # An agent's other keys are asked about first, then the right one is used, and no code given.
            raw = raw_ssh.Raw(self.lab, source=source)
            raw.service()
            right = raw.key("op1")
            raw.key = lambda operator: paramiko.Ed25519Key.from_private_key_file(self.stranger_key())
            for _ in range(3):
                raw.probe("stranger")
                self.assertEqual(raw.number(), raw_ssh.FAILURE)
            raw.key = lambda operator, right=right: right
            raw.sign("op1")
            self.assertEqual(raw.number(), raw_ssh.FAILURE)  # partial success: a code is asked for
            raw.ask_prompt()
            self.assertEqual(raw.number(), raw_ssh.PROMPT)
            raw.respond("000000")
            raw.number()
            raw.close()
        time.sleep(0.5)
        self.assertIsNone(self.source(source + "/32"))
        users = json.loads(self.admin("user", "list", "--json").stdout)
        (op1,) = [u for u in users if u["operator"] == "op1"]
        self.assertEqual(op1["failures"], SLOW)
        self.admin("user", "unlock", "op1")


class Proxied(PenaltyTest):
    """By way of a load balancer: it names whom it connects for, and that one is penalised."""

    def named(self, address, data=b"no TLS\r\n"):
        return self.dial(PROXY, f"PROXY TCP4 {address} 127.0.0.1 5 443\r\n".encode() + data)

    def test_the_named_one_pays(self):
        for s in [self.named("192.0.2.50") for _ in range(BLOCK)]:
            self.end(s)
        entry = self.blocked("192.0.2.50")
        self.assertEqual(entry["reason"], "tls")
        self.assertEqual(self.end(self.named("192.0.2.50")), b"")
        self.assertEqual(self.end(self.named("192.0.2.50", b"")), b"")
        self.assertIsNone(self.source(PROXY + "/32"))
        s = self.named("192.0.2.51", b"")
        with raw_ssh.tls_context(self.lab).wrap_socket(s, server_hostname=lablib.GATEWAY) as t:
            t.sendall(b"CONNECT hv1:22 HTTP/1.1\r\n\r\n")
            self.assertEqual(t.recv(12), b"HTTP/1.1 200")
        self.record("alarm", event="source-blocked", source="192.0.2.50/32")

    def test_ipv6(self):
        def v6(address, data=b"no TLS\r\n"):
            return self.dial(PROXY, f"PROXY TCP6 {address} ::1 5 443\r\n".encode() + data)
        for s in [v6(f"2001:db8:5:1::{i:x}") for i in range(1, BLOCK + 1)]:
            self.end(s)
        self.blocked("2001:db8:5:1::", "2001:db8:5:1::/64")
        self.assertEqual(self.end(v6("2001:db8:5:1:ffff::1")), b"")
        self.assertEqual(self.hello(v6("2001:db8:5:2::1", b"")), "TLSv1.3")

    def test_slowed(self):
        for s in [self.named("192.0.2.60") for _ in range(SLOW)]:
            self.end(s)
        harness.wait_until("slowed", lambda: self.source("192.0.2.60/32"))
        parked = [self.named("192.0.2.60", b"") for _ in range(4)]
        harness.wait_until("four are parked", lambda: json.loads(
            self.admin("status", "--json").stdout)["supervisor"]["connections"]["waiting"] >= 4)
        self.assertEqual(self.end(self.named("192.0.2.60", b"")), b"")
        self.assertEqual(self.hello(parked[0]), "TLSv1.3")
