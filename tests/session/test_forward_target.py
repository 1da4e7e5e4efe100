# SPDX-License-Identifier: Apache-2.0
"""Forwarded ports and a target that is an enemy: what it makes of an open, when, and what becomes of the operator."""
import contextlib
import os
import threading
import time
import unittest

import paramiko

import harness
from forwarding import OPENED, REFUSED, ForwardTest, prepare
from hostile_target import HostileTarget

WINDOW_ADJUST, DATA, EOF, CLOSE = 93, 94, 96, 97

lab_up, tearDownModule = harness.lab_for_module(globals(), extra_operators=3, config="deadlines: {connect: 5s}\n")


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

    def never(self, target, operator="op3"):
        class Silent:
            def __bool__(self):
                target.over.wait()
                return False
        target.start_answer = Silent()
        return self.start_ssh(operator, "hv2", options=("-W", f"localhost:{self.server.port}"))

    def test_it_never_answers(self):
        with self.target() as target:
            self.assertNotEqual(self.never(target).wait(harness.TIMEOUT), 0)
            self.ended(("idle",))
        self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
        with self.target() as target:
            child = self.never(target, "op1")  # who may be idle
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


class Closes(TargetTest):
    """Ends of file and closes in every order."""

    def client(self):
        r = self.raw(target="hv2:22")
        t = r.t
        t._handler_table = {n: f for n, f in t._handler_table.items() if n not in (OPENED, REFUSED)}
        t._handler_table.update({n: f for n, f in type(t)._handler_table.items() if n in (OPENED, REFUSED)})
        return r

    def forward(self, r):
        c = r.t.open_channel("direct-tcpip", ("localhost", self.server.port), ("127.0.0.1", 1), timeout=harness.TIMEOUT)
        c.settimeout(5)
        return c

    def test_what_came_before_a_close_arrives(self):
        """As sshd does it: who sends, and closes without waiting for an answer, is heard to the end."""
        data, go, got, over = os.urandom(1850 << 10), threading.Event(), [], threading.Event()

        def serve(c):
            go.wait(harness.TIMEOUT)
            while piece := c.channel.recv(65536):  # a target that takes a piece at a time
                got.append(piece)
                c.send(bytes([WINDOW_ADJUST]), c.channel.remote_chanid, len(piece))
                time.sleep(0.005)
            over.set()
        with self.target(serve, confirm=(32768, 32768)):
            r = self.client()
            c = self.forward(r)
            c.sendall(data)
            c.close()
            time.sleep(0.5)  # that the gateway has the close before the target takes anything
            go.set()
            self.assertTrue(over.wait(harness.TIMEOUT))
            self.assertEqual(b"".join(got) == data, True, f"{sum(map(len, got))} of {len(data)}")
            r.close()
        session = self.finished_session()
        self.assertEqual(self.joined("input", session, 0) == data, True)
        self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")

    def test_a_close_that_is_not_answered(self):
        """Both ends of file have passed, the operator closes, the target does not: his place is free again."""
        def serve(c):
            c.data(b"x")
            c.eof()
        with self.target(serve) as target:
            r = self.client()
            for _ in range(12):
                c = self.forward(r)
                self.assertEqual((c.recv(1), c.recv(1)), (b"x", b""))
                c.shutdown_write()
                c.close()
            harness.wait_until("the target heard all", lambda: len([
                c for c in target.transports[-1].server_accepts if c.eof_received]) == 12)
            r.close()
        self.assertEqual(self.record("verdict", session=self.finished_session()).json["verdict"], "agreed")

    def test_every_order(self):
        """What each side says, after one another; the other one hears it, nothing hangs, and the next one comes about."""
        moves = {"e": lambda c: c.eof(), "c": lambda c: c.close(), "d": lambda c: c.data(b"down")}
        for order in ("ec", "c", "dec", "dc", "ced", "edc", "de", "cc", "eec", "d"):
            go = threading.Semaphore(0)  # paramiko forgets a channel that is closed before open_channel has returned

            def serve(c, order=order, go=go):
                go.acquire(timeout=harness.TIMEOUT)
                for m in order:
                    moves[m](c)
            with self.subTest(target=order), self.target(serve):
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
                r = self.client()
                for mine in ("", "u", "ue", "e", "ec", "uc"):
                    c = self.forward(r)
                    go.release()
                    for m in mine:
                        with contextlib.suppress(OSError):
                            {"u": lambda c: c.sendall(b"up"), "e": lambda c: c.shutdown_write(), "c": lambda c: c.close()}[m](c)
                    if "e" in order or "c" in order:
                        said = b""
                        while piece := c.recv(100):
                            said += piece
                        if "c" not in mine:
                            self.assertEqual(said, b"down" if order[0] == "d" else b"")
                    c.close()
                r.close()
                verdict = self.record("verdict", session=self.finished_session()).json
                self.assertEqual((verdict["verdict"], verdict["starts"]["agreed"]), ("agreed", 6), verdict)


    def test_all_of_it_in_one_piece(self):
        """Confirmed, sent and closed before the gateway looks once: a server that says a line and closes."""
        def message(number, confirmation, *rest):
            return bytes([number]) + confirmation[1:5] + b"".join(rest)

        def whole(c):
            return [c, message(DATA, c, (5).to_bytes(4, "big"), b"daily"), message(EOF, c), message(CLOSE, c)]
        for name, opened, said in (("a line", whole, b"daily"), ("nothing", lambda c: [whole(c)[0], *whole(c)[2:]], b""),
                                   ("a close alone", lambda c: [whole(c)[0], whole(c)[3]], b"")):
            with self.subTest(name), self.target(opened=opened):
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
                done = self.ssh("op1", "hv2", options=("-W", f"localhost:{self.server.port}"))
                self.assertEqual((done.stdout, done.returncode), (said, 0), done.stderr)
                session = self.finished_session()
                self.assertEqual(self.joined("forward-data", session, 0), said)
                self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")


class Late(TargetTest):
    """Opens that the target does not answer in time: deadlines.connect."""

    def setUp(self):
        super().setUp()
        self.hold, self.kept = True, []

    def opened(self, confirmation):
        if not self.hold:
            return [confirmation]
        self.kept.append(confirmation)
        return []

    def client(self):
        """A client of ten places, whose messages of channels are kept too."""
        r = self.raw(target="hv2:22")
        take = r.answers.take
        r.t._handler_table.update({n: lambda _, m, n=n: take(n)(r.answers, m) for n in (DATA, EOF, CLOSE)})
        r.t._handler_table[WINDOW_ADJUST] = lambda *_: None
        return r

    @staticmethod
    def say(target, *messages):
        for data in messages:
            m = paramiko.Message()
            m.add_bytes(data)
            target.transports[-1]._send_message(m)

    def closed(self, event="close"):
        return [(r.channel, r.json["by"]) for r in self.records("forward-close") if r.json["event"] == event]

    def test_their_places_are_free_again(self):
        with self.target(lambda c: self.hold or c.data(b"here"), opened=self.opened) as target:
            r = self.client()
            for i in range(10):
                self.open(r, i, "localhost", self.server.port)
            self.assertEqual([r.number(harness.TIMEOUT) for _ in range(10)], [REFUSED] * 10)
            harness.wait_until("ten", lambda: len(self.kept) == 10)
            harness.wait_until("the records", lambda: sorted(self.closed()) == [(i, "timeout") for i in range(10)])
            # The next one is answered, and what comes late then is none of its own.
            self.hold = False
            self.open(r, 10, "localhost", self.server.port)
            number, m = r.answer()
            self.assertEqual((number, m.get_int()), (OPENED, 10))
            theirs = m.get_int()
            self.assertEqual(r.answer()[0], DATA)

            def to(confirmation, number, *rest):
                return bytes([number]) + confirmation[1:5] + b"".join(rest)
            refused, gone, spoke, twice, *others = self.kept
            string = b"\0\0\0\5early"
            self.say(target, to(refused, 92, b"\0\0\0\2", string, bytes(4)), gone, to(gone, EOF), to(gone, CLOSE),
                     to(spoke, DATA, string), spoke, to(spoke, DATA, string), twice, twice, *others)
            late = {int.from_bytes(c[1:5], "big") for c in self.kept if c is not refused}
            # paramiko drops a channel when the other side closed it; `gone` was told so by us.
            channels = target.transports[-1]._channels
            ids = {int.from_bytes(c[5:9], "big") for c in self.kept if c not in (refused, gone)}
            harness.wait_until("they are closed", lambda: not [i for i in ids if channels.get(i)])
            self.assertEqual(len(late), 9)
            harness.wait_until("the records", lambda: len(self.closed("answered-late")) == 9)
            self.assertEqual({by for _, by in self.closed("answered-late")}, {"target"})
            # It stands, gets nothing of theirs, and new ones come about.
            r.send(DATA, theirs, "ping")
            target.serve = lambda c: c.data(b"and here")
            self.open(r, 11, "localhost", self.server.port)
            self.assertEqual([r.number() for _ in range(2)], [OPENED, DATA])
            self.assertTrue(r.answers.queue.empty())
            r.close()
        session = self.finished_session()
        verdict = self.record("verdict", session=session).json
        self.assertEqual((verdict["verdict"], verdict["starts"]["agreed"]), ("agreed", 12), verdict)
        self.assertEqual(self.joined("input", session, 10), b"ping")
        self.assertEqual(b"".join(x.payload for x in self.records("forward-data", session=session)), b"hereand here")

    def test_ten_are_cut_at_once(self):
        """Five run and five wait for the target when the role loses them, while the client talks, ends and closes; then it
        gets them back."""
        def gather(r, wanted):
            got, deadline = [], time.time() + harness.TIMEOUT
            while any(sum(n == w for n, _ in got) < k for w, k in wanted.items()) and time.time() < deadline:
                number, m = r.answer(harness.TIMEOUT)
                got.append((number, m.get_int()))
            return got
        path = self.lab.path("conf", "roles.d", "forwards.yaml")
        with open(path, encoding="utf-8") as f:
            before = f.read()
        self.addCleanup(self.reload)
        self.addCleanup(self.lab.write_conf, "roles.d/forwards.yaml", before)
        with self.target(lambda c: self.hold or c.data(b"here"), opened=self.opened) as target:
            r, theirs = self.client(), []
            self.hold = False
            for i in range(5):
                self.open(r, i, "localhost", self.server.port)
                number, m = r.answer()
                self.assertEqual((number, m.get_int()), (OPENED, i))
                theirs.append(m.get_int())
                self.assertEqual(r.number(), DATA)
            self.hold = True
            for i in range(5, 10):
                self.open(r, i, "localhost", self.server.port)
            harness.wait_until("five", lambda: len(self.kept) == 5)
            session = self.record("session-start", target="hv2").session
            self.lab.write_conf("roles.d/forwards.yaml", before.split("allow:", 1)[0] + "allow: {exec: true}\n")
            self.lab.kill(self.lab.gateway_pid(), 1)
            r.send(DATA, theirs[0], "too late, or not")
            r.send(EOF, theirs[1])
            r.send(CLOSE, theirs[2])
            got = gather(r, {REFUSED: 5, CLOSE: 5})
            self.assertEqual(sorted(c for n, c in got if n == REFUSED), list(range(5, 10)))
            self.assertEqual(sorted(c for n, c in got if n == CLOSE), list(range(5)))
            for i in (0, 1, 3, 4):
                r.send(CLOSE, theirs[i])
            by = dict(harness.wait_until("the records", lambda: len(self.closed()) == 10 and self.closed()))
            self.assertEqual([by[i] for i in (0, 1, 3, 4, 5, 6, 7, 8, 9)], ["policy"] * 9)
            self.assertIn(by[2], ("policy", "operator"))
            self.lab.write_conf("roles.d/forwards.yaml", before)
            self.reload()
            self.hold = False
            self.say(target, *self.kept)
            harness.wait_until("late answers", lambda: len(self.closed("answered-late")) == 5)
            for i in range(10, 20):
                self.open(r, i, "localhost", self.server.port)
                # What the five of before may still say to the newest channel is none of this.
                self.assertIn((OPENED, i), gather(r, {OPENED: 1}))
            r.close()
        verdict = self.record("verdict", session=session).json
        self.assertEqual((verdict["verdict"], verdict["starts"]["agreed"]), ("agreed", 20), verdict)

    def test_the_operator_is_told(self):
        with self.target(opened=self.opened):
            done = self.ssh("op1", "hv2", options=("-W", f"localhost:{self.server.port}"))
        self.assertIn(f":11: hv2 did not say within 5 s whether it reaches localhost:{self.server.port}".encode(), done.stderr)

    def test_a_session_channel(self):
        """The same of a second session on one connection; the first goes on."""
        with self.target(lambda c: c.data(b"here"), opened=self.opened) as target:
            self.hold = False
            r = self.raw(target="hv2:22")
            t = r.t
            for n in (OPENED, REFUSED):
                t._handler_table[n] = type(t)._handler_table[n]
            first = t.open_session(timeout=harness.TIMEOUT)
            first.settimeout(harness.TIMEOUT)
            first.exec_command("one")
            self.assertEqual(first.recv(4), b"here")
            self.hold = True
            second = t.open_session(timeout=harness.TIMEOUT)
            second.settimeout(harness.TIMEOUT)
            second.exec_command("two")
            self.assertIn("hv2 did not open another session within 5 s", second.makefile_stderr().read().decode())
            self.assertEqual(second.recv_exit_status(), 69)
            self.hold = False
            self.say(target, *self.kept)
            third = t.open_session(timeout=harness.TIMEOUT)
            third.settimeout(harness.TIMEOUT)
            third.exec_command("three")
            self.assertEqual(third.recv(4), b"here")
            r.close()
        self.assertEqual(self.record("verdict", session=self.finished_session()).json["verdict"], "agreed")
