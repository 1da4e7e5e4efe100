# SPDX-License-Identifier: Apache-2.0
"""`sallyport audit play` in a real terminal (a pty): keys, moments, a live session, hostile recordings, long ones."""
import fcntl
import os
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import termios
import time

import harness
import sanitizers

setUpModule, tearDownModule = harness.lab_for_module(globals())


class Terminal:
    """A program in a pty of its own."""
    def __init__(self, words, env, rows=24, columns=80, **more):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.slave, self.before = slave, termios.tcgetattr(slave)
        self.child = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **more)
        self.seen = b""

    def read(self, seconds):
        """What is drawn within this time, or until it ends."""
        until = time.time() + seconds
        while (left := until - time.time()) > 0:
            if not select.select([self.master], [], [], min(left, 0.05))[0]:
                if self.child.poll() is not None:
                    break
                continue
            self.seen += os.read(self.master, 65536)
        return self.seen

    def until(self, pattern):
        deadline = time.monotonic() + harness.TIMEOUT
        while not re.search(pattern, self.seen):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {harness.TIMEOUT} s: {pattern!r} in {self.seen[-2000:]!r}")
            self.read(0.1)
        return self.seen

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        deadline = time.monotonic() + harness.TIMEOUT
        while self.child.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        self.read(0.1)
        return self.child.poll()

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.master)
        os.close(self.slave)


class Play(harness.SessionTest):
    tickings = {}
    SLOWLY = ("--speed", "0.125")  # eight seconds a tick: keys come before the next one on any machine

    def setUp(self):
        super().setUp()
        self.identity = ("--identity", self.lab.path("state", "keys", "reviewer.identity"))

    def words(self, *words):
        return [os.path.join(self.lab.build, "sallyport"), "audit", "play", *words]

    def age_asks(self, words, answers):
        """age(1), or what runs it, in a terminal, where it is told its passphrase. Returns (status, what was shown)."""
        terminal = Terminal(words, self.lab.operator_env("admin"))
        try:
            for question, answer in answers:
                terminal.until(question)
                # It turns the echo off after it asked.
                harness.wait_until("no echo", lambda: not termios.tcgetattr(terminal.slave)[3] & termios.ECHO)
                terminal.type(answer + b"\r")
            return terminal.end(), terminal.seen
        finally:
            terminal.close()

    def test_an_identity_with_a_passphrase(self):
        self.assertEqual(self.ssh("alice", "hv1", "cat", stdin=b"only with the passphrase\n").returncode, 0)
        session = self.finished_session()
        protected, word = self.lab.path("protected.age"), b"correct horse battery"
        status, said = self.age_asks(["age", "-p", "-o", protected, self.identity[1]],
                                     ((rb"Enter passphrase[^\n]*: ", word), (rb"Confirm passphrase[^\n]*: ", word)))
        self.assertEqual(status, 0, said)
        words = self.words("--identity", protected, "--speed", "max", session)
        status, said = self.age_asks(words, ((rb"passphrase[^\n]*: ", word),))
        self.assertEqual(status, 0, said)
        self.assertIn(b"only with the passphrase", said)
        self.assertNotIn(word, said, "the passphrase is echoed")
        status, said = self.age_asks(words, ((rb"passphrase[^\n]*: ", b"another"),))
        self.assertEqual(status, 1, said)
        self.assertNotIn(b"only with the passphrase", said)
        self.assertIn(b"incorrect passphrase", said)

    def play(self, *words, check=True):
        return self.admin("audit", "play", *self.identity, *words, check=check)

    def terminal(self, *words, **more):
        terminal = Terminal(self.words(*self.identity, *words), self.lab.operator_env("admin"), **more)
        self.addCleanup(terminal.close)
        return terminal

    def recorded(self, command, **more):
        self.ssh("alice", "hv1", command, **more)
        return self.finished_session()

    def ticking(self, ticks=3):
        """A session that printed tick0, tick1 ... with a second between. It is played, and stays as it is: one for all."""
        if ticks not in self.tickings:
            self.tickings[ticks] = self.recorded("; sleep 1; ".join(f"echo tick{i}" for i in range(ticks)))
        return self.tickings[ticks]

    def test_without_an_identity(self):
        session = self.recorded("echo nobody sees this")
        done = self.admin("audit", "play", session, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--identity FILE", done.stderr)
        self.assertNotIn("nobody sees this", done.stdout)

    def test_plain_stream_from_a_moment(self):
        session = self.ticking()
        self.assertEqual(self.play(session).stdout.split(), ["tick0", "tick1", "tick2"])
        said = self.play("--from", "1.5s", session).stdout.split()
        self.assertEqual(said[-1], "tick2")
        self.assertNotIn("tick0", said)
        self.first_record = 0
        last = self.records("output", session=session)[-1]
        self.assertEqual(self.play("--at", str(last.index), session).stdout.split(), ["tick2"])
        self.assertIn("shorter", self.play("--from", "1h", session, check=False).stderr)
        self.assertEqual(self.play("--from", "later", session, check=False).returncode, 2)

    def test_timing_and_speed(self):
        session = self.ticking()

        def took(*words):
            began = time.monotonic()
            terminal = self.terminal(*words, session)
            self.assertEqual(terminal.end(), 0)
            self.assertIn(b"tick2", terminal.seen)
            return time.monotonic() - began
        # Two seconds passed between the first and the last. A busy machine makes it longer, and nothing makes it shorter.
        self.assertGreater(took(), 1.5)
        harness.wait_until("pauses that are cut short", lambda: took("--idle-limit", "0.2s") < 1.8)

    def test_keys(self):
        session = self.ticking(4)
        terminal = self.terminal(*self.SLOWLY, session)
        terminal.until(rb"tick0")
        terminal.type(b" ")
        terminal.until(rb"paused")
        seen = terminal.read(2)
        self.assertNotIn(b"tick2", seen)
        terminal.type(b".")
        terminal.until(rb"tick[12]")
        self.assertNotIn(b"tick3", terminal.read(1.5))
        terminal.type(b"\x1b[D")  # back to the beginning
        terminal.seen = b""
        terminal.type(b"++++")
        terminal.until(rb"x2")
        terminal.type(b"\x1b[C")  # to the end
        terminal.until(rb"tick2")
        terminal.type(b"q")
        self.assertEqual(terminal.end(), 0)

    def test_the_terminal_is_as_it_was(self):
        session = self.ticking(4)
        for way in ("q", signal.SIGINT, signal.SIGTERM, "end", signal.SIGHUP):
            with self.subTest(way=way):
                terminal = self.terminal(*self.SLOWLY, session)
                terminal.until(rb"tick0")
                self.assertFalse(termios.tcgetattr(terminal.slave)[3] & termios.ECHO)
                if way == "q":
                    terminal.type(b"q")
                elif way == "end":
                    terminal.type(b"\x1b[C")
                else:
                    terminal.child.send_signal(way)
                self.assertEqual(terminal.end(), 0)
                self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)

    def test_a_window_that_changes(self):
        session = self.ticking()
        terminal = self.terminal(*self.SLOWLY, session)
        terminal.until(rb"tick0")
        terminal.type(b" ")
        terminal.until(rb"\x1b\[24;1H")
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        terminal.child.send_signal(signal.SIGWINCH)
        terminal.until(rb"\x1b\[40;1H")
        terminal.type(b"q")
        self.assertEqual(terminal.end(), 0)

    def test_keystrokes_on_request(self):
        session = self.recorded("cat", stdin=b"typed by alice\n")
        self.assertNotIn("<keys", self.play(session).stdout)
        self.assertIn('<keys "typed by alice\\x0a">', self.play("--keystrokes", session).stdout)

    def test_following(self):
        child = self.live()
        reviewer = subprocess.Popen(self.words(*self.identity, "--follow", "last"), env=self.lab.operator_env("admin"),
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(self.end_child, reviewer)
        self.assertEqual(reviewer.stdout.readline(), b"are you there\n")
        child.stdin.write(b"and now\n")
        child.stdin.flush()
        self.assertEqual(reviewer.stdout.readline(), b"and now\n")
        child.stdin.close()
        self.assertEqual(reviewer.wait(harness.TIMEOUT), 0)

    def test_a_hostile_recording(self):
        session = self.recorded(r"printf 'safe\033]0;title\007\033]52;c;aGk=\007\033[6n\033[?1000h\033P+q544e\033\\ text\n'")
        terminal = self.terminal("--speed", "max", session)
        self.assertEqual(terminal.end(), 0)
        for bad in (b"\x1b]", b"\x1bP", b"\x1b[6n", b"1000h", b"title", b"aGk="):
            self.assertNotIn(bad, terminal.seen)
        self.assertIn(b"safe text", terminal.seen)
        self.assertIn(b"left out", terminal.seen)

    def test_the_same_through_the_gateway(self):
        session = self.ticking()
        direct = self.play(session).stdout
        self.assertEqual(self.play("--recorded", session).stdout, direct)
        self.assertEqual(self.play("--recorded", "--from", "1.5s", session).stdout,
                         self.play("--from", "1.5s", session).stdout)
        self.assertEqual(self.record("reader-act", what="session").json["for"], "play")

    def test_a_long_recording_in_bounded_memory(self):
        size = 210 << 20
        self.ssh("alice", "hv1", f"head -c {size} /dev/zero | tr '\\0' x", stdout=subprocess.DEVNULL, timeout=300)
        session = self.finished_session()

        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (160 << 20, 160 << 20))
        for more in ((), ("--recorded",)):
            with subprocess.Popen(self.words(*self.identity, "--speed", "max", *more, session),
                                  preexec_fn=None if sanitizers.SANITIZED else limit,
                                  env=self.lab.operator_env("admin"), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE) as child:
                got = sum(len(block) for block in iter(lambda: child.stdout.read(1 << 20), b""))
            self.assertEqual((child.returncode, got), (0, size))
