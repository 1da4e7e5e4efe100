# SPDX-License-Identifier: Apache-2.0
"""Connections to a host and port behind the target (ssh -L, -W, -D): by the role, recorded before anything is sent,
byte-exact, attested; refused ones leave the session as it is."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import paramiko

import harness
from forwarding import OPENED, REFUSED, ForwardTest, Server, prepare
from hostile_target import CHANNEL_REQUEST, HostileTarget

lab_up, tearDownModule = harness.lab_for_module(globals(), extra_operators=3)


def setUpModule():
    lab_up()
    unittest.addModuleCleanup(prepare(lab))


class Forward(ForwardTest):
    def test_bytes_both_ways(self):
        data = os.urandom(3 << 20)
        done = self.through(f"localhost:{self.server.port}", data)
        self.assertEqual(done.stdout == Server.turned(data) + b"END", True, done.stderr)
        session = self.finished_session()
        opened = self.record("forward-open", session=session).json
        self.assertEqual((opened["allowed"], opened["detail"], opened["rule"]),
                         (True, f"localhost:{self.server.port}", "forwards/forward[0]"))
        self.assertEqual(self.joined("input", session, 0) == data, True)
        self.assertEqual(self.joined("forward-data", session, 0) == done.stdout, True)
        self.assertEqual(self.records("output", session=session), [])
        said = [r.json for r in self.records("forward-close", session=session)]
        self.assertEqual([s["event"] for s in said], ["eof", "eof", "close"])
        self.assertEqual((said[-1]["bytes_in"], said[-1]["bytes_out"]), (len(data), len(data) + 3))
        verdict = self.record("verdict", session=session).json
        self.assertEqual((verdict["verdict"], verdict["starts"]["agreed"]), ("agreed", 1))
        self.assertTrue(self.record("session-start", session=session).json["forward"])
        self.assertEqual(self.records("decision", session=session, what="forward")[-1].json["allowed"], True)

    def test_the_record_comes_first(self):
        """No connection is made before forward-open is in the trail, and no byte passes before its input record."""
        before = self.server.connections
        self.through(f"LOCALHOST:{self.server.port}", b"x")
        session = self.finished_session()
        self.assertEqual(self.server.connections, before + 1)
        kinds = [r.type for r in self.records(session=session) if r.channel == 0 and r.type in
                 ("forward-open", "input", "forward-data")]
        self.assertEqual(kinds[:3], ["forward-open", "input", "forward-data"])

    def recorder(self, number):
        for pid in self.gateway_processes()["sallyport-auditd"]:
            os.kill(pid, number)

    def test_nothing_is_asked_for_or_passes_while_the_recorder_hangs(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            local = s.getsockname()[1]
        child = self.live("op1", options=("-L", f"127.0.0.1:{local}:localhost:{self.server.port}"))
        connections, received = self.server.connections, self.server.received
        self.addCleanup(self.recorder, signal.SIGCONT)
        with socket.create_connection(("127.0.0.1", local), timeout=harness.TIMEOUT) as first:
            first.sendall(b"a")
            self.assertEqual(first.recv(1), Server.turned(b"a"))
            self.recorder(signal.SIGSTOP)
            first.sendall(b"b")
            with socket.create_connection(("127.0.0.1", local), timeout=harness.TIMEOUT) as second:
                second.sendall(b"c")
                time.sleep(0.7)
                self.assertEqual((self.server.connections, self.server.received), (connections + 1, received + 1))
                self.recorder(signal.SIGCONT)
                self.assertEqual(second.recv(1), Server.turned(b"c"))
            self.assertEqual(first.recv(1), Server.turned(b"b"))
            # And when it dies: what is not recorded by then never goes out.
            self.recorder(signal.SIGSTOP)
            first.sendall(b"d")
            with socket.create_connection(("127.0.0.1", local), timeout=harness.TIMEOUT) as third:
                third.sendall(b"e")
                time.sleep(0.3)
                self.recorder(signal.SIGKILL)
                self.assertNotEqual(child.wait(harness.TIMEOUT), 0)
        self.assertEqual((self.server.connections, self.server.received), (connections + 2, received + 3))
        harness.wait_until("sessions", lambda: self.ssh("op1", "hv1", "true").returncode == 0)

    def test_a_port_that_is_closed(self):
        for host, rule in (("127.0.0.1", 1), ("[::ffff:127.0.0.1]", 1), ("[0:0::1]", 2)):
            done = self.through(f"{host}:{self.closed}", b"")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(f":11: hv1 could not connect to {host}:{self.closed}".encode(), done.stderr)
            session = self.finished_session()
            self.assertEqual(self.record("forward-open", session=session).json["rule"], f"forwards/forward[{rule}]")
            self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")

    def test_what_the_role_leaves_out(self):
        before = self.server.connections
        port = self.server.port
        for words in (f"127.0.0.1:{port}", "localhost:22", f"localhost.:{port}", f"localhost.localdomain:{port}",
                      f"2130706433:{port}", f"0x7f000001:{port}", f"127.1:{port}", f"[::1]:{port}",
                      f"[::ffff:127.0.0.1]:{port}", f"127.0.0.1:{self.closed + 1}", f"127.0.0.2:{self.closed}"):
            with self.subTest(words=words):
                done = self.through(words, b"")
                self.assertNotEqual(done.returncode, 0)
                session = self.finished_session()
                said = self.record("forward-open", session=session).json
                self.assertEqual((said["allowed"], said["detail"]), (False, words))
                self.assertEqual(self.record("decision", session=session, what="forward").json["why"], "rules")
                self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")
        self.assertEqual(self.server.connections, before)

    def test_beside_a_command_that_goes_on(self):
        """-L of a running session; a refused one is told on its stderr, and everything goes on."""
        with socket.create_server(("127.0.0.1", 0)) as s:
            first = s.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as s:
            second = s.getsockname()[1]
        child = self.live("op1", options=("-L", f"127.0.0.1:{first}:localhost:{self.server.port}",
                                          "-L", f"127.0.0.1:{second}:localhost:22"))
        for n in range(3):
            with socket.create_connection(("127.0.0.1", first), timeout=harness.TIMEOUT) as s:
                s.sendall(b"hello %d" % n)
                self.assertEqual(s.recv(100), Server.turned(b"hello %d" % n))
        with socket.create_connection(("127.0.0.1", second), timeout=harness.TIMEOUT) as s:
            self.assertEqual(s.recv(100), b"")
        child.stdin.write(b"still here\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), b"still here\n")
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.assertIn(b"sallyport: your role does not permit forwarding to localhost:22 by hv1", child.stderr.read())
        session = self.finished_session()
        self.assertEqual([r.json["allowed"] for r in self.records("forward-open", session=session)], [True] * 3 + [False])
        self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")

    def test_a_role_without_forwards(self):
        done = self.through(f"localhost:{self.server.port}", b"", operator="alice")
        self.assertNotEqual(done.returncode, 0)
        session = self.finished_session()
        self.assertEqual(self.record("decision", session=session, what="forward").json["why"], "role")

    def test_why_it_was_refused(self):
        """SSH's own refusal comes without words (libssh), so: `ssh -W` is disconnected with them, as it would end
        anyway; `ssh -v` shows them; a session beside it has them on its stderr (above)."""
        port = self.server.port
        for operator, words, why in (
                ("op1", "localhost:22", "your role does not permit forwarding to localhost:22 by hv1, only to other hosts and ports; ask"),
                ("alice", f"localhost:{port}", f"your role does not permit forwarding to localhost:{port} by hv1"),
                ("op1", f"127.0.0.1:{self.closed}", f"hv1 could not connect to 127.0.0.1:{self.closed}")):
            with self.subTest(operator=operator, words=words):
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
                done = self.ssh(operator, "hv1", options=("-W", words))
                self.assertEqual(done.returncode, 255)
                self.assertRegex(done.stderr.decode(), r"Received disconnect from \S+ port \d+:11: " + re.escape(why))
                verdict = self.record("verdict", session=self.finished_session()).json
                self.assertEqual((verdict["verdict"], verdict["starts"]["agreed"]), ("agreed", 1), verdict)
        # No session at all: a lock, and the gateway itself.
        self.assertIn(b":11: Your login is locked", self.ssh("dave", "hv1", options=("-W", "localhost:1"), fresh=True).stderr)
        self.assertIn(b":11: The gateway itself forwards no ports.", self.ssh("op1", "gateway", options=("-W", "localhost:1")).stderr)

    def test_why_it_was_refused_without_a_session(self):
        """The connection stays: its other forwards are wanted."""
        locals_ = []
        for _ in range(2):
            with socket.create_server(("127.0.0.1", 0)) as s:
                locals_.append(s.getsockname()[1])
        child = self.start_ssh("op1", "hv1", options=("-v", "-N", "-L", f"127.0.0.1:{locals_[0]}:localhost:22", "-L",
                                                      f"127.0.0.1:{locals_[1]}:localhost:{self.server.port}"))
        said = b""
        while b"Entering interactive session" not in said:
            said = child.stderr.readline()
            self.assertTrue(said)
        with socket.create_connection(("127.0.0.1", locals_[0]), timeout=harness.TIMEOUT) as s:
            self.assertEqual(s.recv(1), b"")
        with socket.create_connection(("127.0.0.1", locals_[1]), timeout=harness.TIMEOUT) as s:
            s.sendall(b"a")
            self.assertEqual(s.recv(1), Server.turned(b"a"))
        child.terminate()
        said = child.stderr.read().decode()
        self.assertIn("Remote: your role does not permit forwarding to localhost:22 by hv1", said)
        self.assertIn("open failed: administratively prohibited", said)

    def test_a_lock_ends_it(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        child = self.start_ssh("op2", "hv1", options=("-N", "-L", f"127.0.0.1:{port}:localhost:{self.server.port}"))
        with socket.socket() as s:
            s.settimeout(harness.TIMEOUT)
            harness.wait_until("ssh listens", lambda: s.connect_ex(("127.0.0.1", port)) == 0)
            s.sendall(b"a")
            self.assertEqual(s.recv(1), Server.turned(b"a"))
            self.admin("user", "lock", "op2", "--reason", "a test")
            self.assertEqual(s.recv(1), b"")
        child.wait(harness.TIMEOUT)
        self.admin("user", "unlock", "op2")
        session = self.finished_session()
        self.assertEqual(self.record("session-end", session=session).json["reason"], "locked")
        self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")

    def test_a_target_that_says_what_belongs_to_no_forward(self):
        """Exit status, stderr, requests: none of it reaches the operator, the bytes do."""
        def serve(c):
            c.exit_status(3)
            c.stderr(b"not for you")
            c.data(b"one")
            c.send(CHANNEL_REQUEST, c.channel.remote_chanid, b"exit-signal", False, b"KILL", False, b"", b"")
            c.data(b"two")
            c.eof()
            c.close()
        self.lab.stop_sshd("hv2")
        with HostileTarget(self.lab.port_of("hv2"), self.lab.path("hv2", "host_key"), serve) as target:
            done = self.ssh("op1", "hv2", options=("-W", f"localhost:{self.server.port}"))
            self.assertEqual((done.returncode, done.stdout), (0, b"onetwo"), done.stderr)
            self.assertNotIn(b"not for you", done.stderr)
            target.start_answer = False
            self.assertNotEqual(self.ssh("op1", "hv2", options=("-W", f"localhost:{self.server.port}")).returncode, 0)
        self.lab.start_sshd("hv2")
        session = self.record("session-start", target="hv2").session
        harness.wait_until("its end", lambda: self.records("verdict", session=session))
        self.assertEqual([r.json["verdict"] for r in self.records("verdict")], ["agreed"] * 2)
        self.assertEqual(self.records("exec"), [])
        self.assertEqual(b"".join(r.payload for r in self.records("forward-data")), b"onetwo")

    @staticmethod
    def answer(s):
        try:
            return s.recv(10)
        except ConnectionResetError:  # ssh closed it with bytes unread
            return b""

    def test_more_than_ten_at_once(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        child = self.live("op1", options=("-L", f"127.0.0.1:{port}:localhost:{self.server.port}"))
        with contextlib.ExitStack() as stack:
            open_ones = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=harness.TIMEOUT))
                         for _ in range(12)]
            for i, s in enumerate(open_ones):
                with contextlib.suppress(OSError):
                    s.sendall(b"%d" % i)
            answers = [self.answer(s) for s in open_ones]
        self.assertEqual(sum(1 for a in answers if a), 9)  # the session's own channel is the tenth
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.assertEqual(child.stderr.read().count(b"sallyport: a connection has ten channels at once; close some"), 1)
        session = self.finished_session()
        self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")
        self.record("decision", session=session, what="channel", why="limit")

    def test_views(self):
        """What went through is told and counted, and is nobody's terminal: not typed, not shown, not searched."""
        sent, answer = b"\x1b]0;typed by nobody\x07\r\n", b"\x1b[2Jon no screen\r\n"
        with socket.create_server(("127.0.0.1", 0)) as s:
            local = s.getsockname()[1]
        child = self.live("op1", options=("-L", f"127.0.0.1:{local}:localhost:{self.server.port}"))
        with socket.create_connection(("127.0.0.1", local), timeout=harness.TIMEOUT) as s:
            s.sendall(sent + Server.turned(answer))
            s.shutdown(socket.SHUT_WR)
            came = b""
            while piece := s.recv(1000):
                came += piece
        self.assertEqual(came, Server.turned(sent) + answer + b"END")
        child.stdin.write(b"at the prompt\n")
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        session = self.finished_session()
        self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")
        to, opened = f"localhost:{self.server.port}", ("--identity", self.lab.path("state", "keys", "reviewer.identity"))

        def audit(*words):
            return self.admin("audit", *words).stdout
        self.assertIn(session[:8], audit("list", "--class", "forward"))
        shown = audit("show", session, *opened, "--keystrokes")
        self.assertIn(to, shown)
        for text in (shown, audit("play", session, *opened, "--keystrokes"),
                     audit("export", session, *opened, "--keystrokes", "--format", "text"),
                     audit("export", session, *opened, "--keystrokes")):
            self.assertNotIn("\x1b", text)
            self.assertNotIn("\x07", text)
            self.assertIn("at the prompt", text)
            if text is not shown:
                self.assertNotIn("typed by nobody", text)
                self.assertNotIn("on no screen", text)
        self.assertIn(f"forward to {to}: permitted", audit("export", session, *opened, "--format", "text"))
        rows = [json.loads(line) for line in audit("export", session, *opened, "--keystrokes", "--format", "jsonl").splitlines()]
        self.assertEqual([r["type"] for r in rows if r.get("channel") == 1 and r["type"] in ("input", "forward-data")][:2],
                         ["input", "forward-data"])
        listed, = [j for line in audit("list", "--json").splitlines() if (j := json.loads(line))["session"] == session]
        self.assertEqual(set(listed["class"]), {"exec", "forward"})
        typed = len(b"at the prompt\n") + len(b"are you there\n")
        self.assertEqual((listed["bytes_in"], listed["bytes_out"]), (typed + len(came) - 3, typed + len(came)))
        database = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "index")
        audit("index", "--database", database, "--keystrokes", *opened)
        found = {words: json.loads(self.admin("audit", "search", "--database", database, "--json", words, check=False).stdout)
                 for words in ("nobody", "screen", "prompt", str(self.server.port))}
        self.assertEqual({w: len(f) > 0 for w, f in found.items()},
                         {"nobody": False, "screen": False, "prompt": True, str(self.server.port): True})
        self.assertEqual(self.admin("audit", "verify").returncode, 0)
        bundle = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "bundle")
        self.lab.stop()  # the last checkpoint covers it
        self.addCleanup(self.lab.start)
        audit("export", session, *opened, "--trail", self.lab.path("state", "trail"), "--format", "bundle", "--output", bundle)
        with open(os.path.join(bundle, "session.txt"), encoding="utf-8") as f:
            self.assertRegex(f.read(), f"(?m)^bytes +{typed + len(came) - 3} in, {typed + len(came)} out$")

    def test_a_second_verifier(self):
        """Written from docs/FORMAT.md alone."""
        self.through(f"localhost:{self.server.port}", os.urandom(100000))
        self.finished_session()
        top = os.path.dirname(os.path.dirname(harness.HERE))
        state = self.lab.path("state")
        done = subprocess.run([os.path.join(top, "tests", "verify_independent.py"), "--log-key",
                               os.path.join(state, "public", "log.pub"), "--anchor", os.path.join(state, "public", "anchor.pub"),
                               os.path.join(state, "trail")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)


class HostileClient(ForwardTest):
    def test_what_no_client_asks_for(self):
        r = self.raw()
        rows = [(b"", 1), (b"a" * 255, 1), (b"a" * 256, 1), (b"a" * 32000, 1), (b"local\nhost", 22), (b"\x1b[2J\x07\x9b", 22),
                (b"\xff\xfe\xc3", 22), ("\u202egnp.exe".encode(), 22), (b"localhost ", self.server.port), (b"localhost%lo", self.server.port),
                (b"[localhost]", self.server.port), (b"a:b:c", 22), (b":", 22), (b"*", self.server.port),
                (b"localhost", 0), (b"localhost", 65536), (b"localhost", 0xffffffff)]
        before = self.server.connections
        for i, (host, port) in enumerate(rows):
            with self.subTest(host=host[:20], port=port):
                self.open(r, 1000 + i, host, port)
                self.assertEqual(r.number(), REFUSED)
        self.assertEqual(self.server.connections, before)
        # Of a host only what is before a NUL is read, judged, recorded and asked for, and of a port 16 bits; an
        # originator is but told.
        for i, (host, more, origin) in enumerate(((b"localhost\0.example", 0, "127.0.0.1"), (b"localhost", 0x10000, "127.0.0.1"),
                                                  (b"localhost", 0, b"o" * 30000), (b"localhost", 0, b""),
                                                  (b"localhost", 0, b"\x1b]0;x\x07\xff\n"))):
            self.open(r, 2000 + i, host, more + self.server.port, origin, 0xffffffff)
            self.assertEqual(r.number(), OPENED)
        r.close()
        session = self.finished_session()
        self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")
        opened = [o.json for o in self.records("forward-open", session=session)]
        self.assertEqual([o["detail"] for o in opened if o["allowed"]], [f"localhost:{self.server.port}"] * 5)
        for words in (("show", session), ("export", session, "--format", "text")):
            text = self.admin("audit", *words, "--identity", self.lab.path("state", "keys", "reviewer.identity")).stdout
            self.assertEqual([c for c in text if c != "\n" and not c.isprintable()], [], words)
        self.assertNotIn("seccomp", self.log())

    def test_notices_are_escaped(self):
        r = self.raw()
        t = r.t
        del t._handler_table[OPENED], t._handler_table[REFUSED]
        t._handler_table.update({n: f for n, f in type(t)._handler_table.items() if n in (OPENED, REFUSED)})
        channel = t.open_session(timeout=harness.TIMEOUT)
        channel.settimeout(harness.TIMEOUT)
        channel.exec_command("cat")
        for host in ("x\x1b[2J\ny", "\u202ereverse"):
            with self.assertRaises(paramiko.ChannelException):
                t.open_channel("direct-tcpip", (host, 22), ("127.0.0.1", 1), timeout=harness.TIMEOUT)
        channel.shutdown_write()
        said = b""
        while piece := channel.recv_stderr(4096):
            said += piece
        self.assertIn(b"does not permit forwarding to x\\x1b[2J\\x0ay:22", said)
        self.assertNotIn(b"\x1b", said)
        self.assertEqual(said.count(b"sallyport: "), 2, said)

    def test_gone_while_ten_are_opening(self):
        """And they do not come about behind his back: what was asked for is recorded, and its end too."""
        for leave in (lambda r: r.send(1, 11, "bye", ""), lambda r: r.t.sock.close()):
            self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
            r = self.raw()
            self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
            for i in range(12):
                self.open(r, i, "localhost", self.server.port)
            self.record("forward-open")  # else he may be gone before there is a session
            leave(r)
            harness.wait_until("nobody is left", lambda: not self.servers_and_children("sallyport-backend")[1])
            session = harness.wait_until("its end", lambda: self.records("verdict"))[-1]
            self.assertEqual(session.json["verdict"], "agreed", session.json)


class Forged(ForwardTest):
    """With a backend that is an enemy's: hostile_backend.c."""
    @classmethod
    def setUpClass(cls):
        cls.with_hostile_backend()

    def test_disputed(self):
        for host, why in (("LOCALHOST", "differs"), ("LocalHost", "not-recorded")):
            with self.subTest(host=host):
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
                self.through(f"{host}:{self.server.port}", b"x")
                verdict = self.record("verdict", session=self.finished_session()).json
                self.assertEqual(verdict["verdict"], "disputed", verdict)
                alarm = self.record("alarm", alarm="disputed-start").json
                self.assertEqual((verdict["starts"]["disputed"], alarm["alarm"]),
                                 ([{"channel": 0, "why": why}], "disputed-start"))
        self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
        self.through(f"localhost:{self.server.port}", b"x")
        self.assertEqual(self.record("verdict", session=self.finished_session()).json["verdict"], "agreed")
