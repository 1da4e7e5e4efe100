# SPDX-License-Identifier: Apache-2.0
"""What an operator does all day, byte for byte, and what the trail has of it."""
import os
import pty
import re
import select
import struct
import subprocess
import tempfile
import termios
import fcntl
import time

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())


class Commands(harness.SessionTest):
    def test_true(self):
        done = self.ssh("alice", "hv1", "true")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        start = self.record("session-start")
        self.assertEqual(start.json["operator"], "alice")
        self.assertEqual(start.json["target"], "hv1")
        self.assertEqual(start.json["account"], "root")
        self.record("session-end")

    def test_it_is_the_hypervisor_that_was_asked_for(self):
        for host in ("hv1", "hv2"):
            done = self.ssh("alice", host, "echo $LAB_HYPERVISOR")
            self.assertEqual(done.stdout.decode().strip(), host)

    def test_exit_statuses(self):
        for status in (0, 1, 3, 77, 255):
            done = self.ssh("alice", "hv1", f"uname -a; exit {status}")
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(b"Linux", done.stdout)
        self.record("exec", '"exit"')

    def test_stderr_is_apart(self):
        done = self.ssh("alice", "hv1", "echo out; echo err >&2; echo out2")
        self.assertEqual((done.stdout, done.stderr), (b"out\nout2\n", b"err\n"))
        session = self.finished_session()
        self.assertEqual(self.bytes_of("output", session), b"out\nout2\n")
        self.assertEqual(self.bytes_of("stderr", session), b"err\n")

    def test_a_signal_that_ends_the_command_is_told(self):
        done = self.ssh("alice", "hv1", "kill -TERM $$")
        self.assertEqual(done.returncode, 255)  # OpenSSH's own answer to exit-signal
        self.record("exec", "TERM")

    def test_a_shell_without_terminal(self):
        done = self.ssh("alice", "hv1", stdin=b"echo one; echo two >&2; exit 5\n", options=("-T",))
        self.assertEqual((done.returncode, done.stdout), (5, b"one\n"))
        session = self.finished_session()
        self.assertEqual(self.bytes_of("input", session), b"echo one; echo two >&2; exit 5\n")

    def test_binary_bytes_come_back_as_they_were(self):
        data = bytes(range(256)) * 300
        done = self.ssh("alice", "hv1", "cat", stdin=data)
        self.assertEqual(done.stdout, data)
        session = self.finished_session()
        self.assertEqual(self.bytes_of("input", session), data)
        self.assertEqual(self.bytes_of("output", session), data)

    def test_environment_is_language_alone(self):
        done = self.ssh("alice", "hv1", "echo $LC_TEST-$LD_TEST-$FOO", env={"LC_TEST": "ko", "LD_TEST": "x", "FOO": "y"},
                        options=("-o", "SendEnv=LC_TEST LD_TEST FOO"))
        self.assertEqual(done.stdout.strip(), b"ko--")

    def test_virsh(self):
        done = self.ssh("alice", "hv1", "virsh -c test:///default list")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"test", done.stdout)


class Directions(harness.SessionTest):
    def test_end_of_input_leaves_output_open(self):
        child = self.start_ssh("alice", "hv1", "cat >/dev/null; sleep 1; echo after")
        child.stdin.write(b"x" * 1000)
        child.stdin.close()
        self.assertEqual(child.stdout.read(), b"after\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.record("exec", '"eof"')

    def test_end_of_output_leaves_input_open(self):
        with tempfile.NamedTemporaryFile() as f:
            child = self.start_ssh("alice", "hv1", f"exec >&- 2>&-; sleep 0.5; cat > {f.name}; echo lost")
            self.assertEqual(child.stdout.read(), b"")
            child.stdin.write(b"still here\n")
            child.stdin.close()
            child.wait(harness.TIMEOUT)
            harness.wait_until("the file", lambda: os.path.getsize(f.name) > 0)
            self.assertEqual(f.read(), b"still here\n")

    def test_the_operator_goes_away(self):
        child = self.live()
        child.kill()
        end = self.record("session-end")
        self.assertIn("reason", end.json)
        harness.wait_until("no process is left",
                           lambda: not self.servers_and_children("sallyport-backend")[1])


class SeveralChannels(harness.SessionTest):
    def test_control_master(self):
        path = self.lab.path("cm-%C")
        options = ("-o", f"ControlPath={path}")
        master = self.start_ssh("alice", "hv1", options=(*options, "-M", "-N"))
        harness.wait_until("the master", lambda: subprocess.run(
            self.ssh_words("alice", "hv1", options=(*options, "-O", "check")), stderr=subprocess.DEVNULL,
            check=False).returncode == 0)
        children = [self.start_ssh("alice", "hv1", f"cat; echo {i} >&2; exit {i}", options=options) for i in range(1, 6)]
        for i, child in enumerate(children, 1):
            child.stdin.write(b"%d" % i * 100000)
        for i, child in enumerate(children, 1):
            out, err = child.communicate(timeout=harness.TIMEOUT)
            self.assertEqual((out == b"%d" % i * 100000, err.splitlines()[0], child.returncode), (True, b"%d" % i, i))
        self.assertEqual(len(self.records("session-start")), 1)
        self.assertEqual(len({r.channel for r in self.records("output")}), 5)
        master.terminate()
        master.wait(harness.TIMEOUT)
        self.record("session-end")


    def test_exit_status_of_many_short_commands(self):
        options = ("-o", f"ControlPath={self.lab.path('cm-%C')}")
        master = self.start_ssh("alice", "hv1", options=(*options, "-M", "-N"))
        harness.wait_until("the master", lambda: subprocess.run(
            self.ssh_words("alice", "hv1", options=(*options, "-O", "check")), stderr=subprocess.DEVNULL,
            check=False).returncode == 0)
        for i in range(20):
            self.assertEqual(self.ssh("alice", "hv1", f"exit {i}", options=options).returncode, i)
        self.assertEqual(self.ssh("alice", "hv1", "exec >&- 2>&-; sleep 1; exit 6", options=options).returncode, 6)
        master.terminate()
        master.wait(harness.TIMEOUT)


class Terminal(harness.SessionTest):
    def open_terminal(self, *command, rows=24, columns=80):
        controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        child = subprocess.Popen(self.ssh_words("alice", "hv1", *command, options=("-tt",)),
                                 env={**self.lab.operator_env("alice"), "TERM": "xterm-256color"}, stdin=terminal,
                                 stdout=terminal, stderr=terminal, preexec_fn=own_terminal)
        os.close(terminal)
        self.addCleanup(os.close, controller)
        self.addCleanup(self.end_child, child)
        return child, controller

    def read_until(self, controller, pattern):
        data, deadline = getattr(self, "unread", b""), time.monotonic() + harness.TIMEOUT
        while not (found := re.search(pattern, data)):
            if not select.select([controller], [], [], max(0, deadline - time.monotonic()))[0]:
                self.fail(f"not seen: {pattern!r} in {data!r}")
            try:
                data += os.read(controller, 4096)
            except OSError:
                self.fail(f"the terminal closed; not seen: {pattern!r} in {data!r}")
        self.unread = data[found.end():]

    def test_window_size_is_followed(self):
        child, controller = self.open_terminal("stty size; read x; stty size; echo $TERM", rows=33, columns=101)
        self.read_until(controller, rb"33 101")
        fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        self.record("resize", "132")
        os.write(controller, b"\r")
        self.read_until(controller, rb"50 132")
        self.read_until(controller, rb"xterm-256color")
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.record("resize", "xterm-256color")

    def test_interrupt_by_the_keyboard(self):
        child, controller = self.open_terminal("trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done")
        self.read_until(controller, rb"ready")
        os.write(controller, b"\x03")
        self.read_until(controller, rb"caught")
        self.assertEqual(child.wait(harness.TIMEOUT), 9)

    def test_an_interactive_shell(self):
        child, controller = self.open_terminal()
        self.read_until(controller, rb"[#$] ")
        os.write(controller, b"echo $((6*7)); exit 4\r")
        self.read_until(controller, rb"[\r\n]42")
        self.assertEqual(child.wait(harness.TIMEOUT), 4)
        session = self.finished_session()
        self.assertIn(b"echo $((6*7)); exit 4\r", self.bytes_of("input", session))
        self.assertIn(b"42", self.bytes_of("output", session))


class Attestation(harness.SessionTest):
    def test_the_frontend_attests_what_it_received(self):
        data = b"attest me\n" * 5000
        self.ssh("alice", "hv1", "cat >/dev/null", stdin=data)
        session = self.finished_session()
        verdict = self.record("verdict", session=session).json
        self.assertEqual((verdict["verdict"], verdict["agreed"]), ("agreed", len(data)))
