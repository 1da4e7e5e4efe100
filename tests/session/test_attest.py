# SPDX-License-Identifier: Apache-2.0
"""Recorded input and starts against what the operator's side attested: agreed in every way that a session may end,
disputed when the backend records what was not sent or not started."""
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import harness  # noqa: E402

setUpModule, tearDownModule = harness.lab_for_module(globals())


class AttestTest(harness.SessionTest):
    def verdict(self, session):
        """The session's verdict, which is its last record."""
        def last():
            of = self.records(session=session)
            return of[-1] if of and of[-1].type == "verdict" and self.records("session-end", session=session) else None
        return harness.wait_until(f"the verdict of {session}", last).json

    def agreed(self, recorded=None, session=None, starts=None):
        """starts: recorded, and as many attested and agreed; a pair: attested, too."""
        verdict = self.verdict(session or self.finished_session())
        self.assertEqual(verdict["verdict"], "agreed", verdict)
        self.assertEqual(verdict["recorded"], verdict["agreed"])
        if recorded is not None:
            self.assertEqual(verdict["recorded"], recorded, verdict)
        if starts is not None:
            self.assertEqual(verdict.get("starts"), {"recorded": starts, "attested": starts, "agreed": starts}, verdict)
        self.assertEqual(self.records("alarm"), [])
        return verdict


class Agreed(AttestTest):
    def test_an_interactive_session_that_exits(self):
        said = b"echo $((6*7)); exit\r"
        done = self.ssh("alice", "hv1", options=("-tt",), stdin=said)
        self.assertIn(b"42", done.stdout)
        self.agreed()

    def test_keystrokes_one_by_one(self):
        child = self.live()
        for c in range(200):
            child.stdin.write(b"%c" % (97 + c % 26))
            child.stdin.flush()
            time.sleep(0.002)
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.agreed(14 + 200)

    def test_no_input_at_all(self):
        with open(os.devnull, "rb") as null:
            self.assertEqual(self.ssh("alice", "hv1", "true", stdin=null).returncode, 0)
        self.agreed(0)

    def test_a_command_that_reads_only_the_beginning(self):
        for size in (100, 5_000_000):
            with self.subTest(size=size):
                self.ssh("alice", "hv1", "head -c 10", stdin=b"x" * size)
                self.agreed()

    def test_a_command_that_ends_while_more_is_typed(self):
        child = self.start_ssh("alice", "hv1", "read x; echo got; exit 3")
        with contextlib.suppress(BrokenPipeError):
            for _ in range(3000):
                child.stdin.write(b"line\n")
                child.stdin.flush()
        child.wait(harness.TIMEOUT)
        self.agreed()

    def test_a_big_upload(self):
        size = 50_000_000
        with tempfile.TemporaryFile() as f:
            f.write(os.urandom(1_000_000) * 50)
            f.seek(0)
            self.assertEqual(self.ssh("alice", "hv1", "cat >/dev/null", stdin=f).returncode, 0)
        self.agreed(size)

    def test_an_upload_in_odd_pieces(self):
        child = self.start_ssh("alice", "hv1", "cat >/dev/null")
        sent = 0
        for i in range(600):
            piece = bytes([i & 255]) * (1 + i * 7919 % 40000)
            child.stdin.write(piece)
            child.stdin.flush()
            sent += len(piece)
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.agreed(sent)

    def test_many_channels_of_one_connection(self):
        control = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "m")
        master = self.start_ssh("alice", "hv1", "-N", options=("-M", "-S", control))
        harness.wait_until("the master's socket", lambda: os.path.exists(control))
        first = self.start_ssh("alice", "hv1", "cat", options=("-S", control))
        first.stdin.write(b"before\n")
        first.stdin.flush()
        first.stdout.readline()
        for i in range(60):
            done = self.ssh("alice", "hv1", "cat", options=("-S", control), stdin=b"%d" % i * 10)
            self.assertEqual(done.stdout, b"%d" % i * 10)
        first.stdin.write(b"after\n")
        first.stdin.close()
        self.assertEqual(first.wait(harness.TIMEOUT), 0)
        subprocess.run(self.ssh_words("alice", "hv1", options=("-S", control, "-O", "exit")), check=True, timeout=harness.TIMEOUT,
                       env=self.lab.operator_env("alice"), stderr=subprocess.DEVNULL)
        master.wait(harness.TIMEOUT)
        verdict = self.agreed(13 + sum(len(b"%d" % i * 10) for i in range(60)))
        self.assertIn("others", verdict)

    def uploading(self):
        """A session in the middle of an upload."""
        before = len(self.records("session-start"))
        child = self.start_ssh("alice", "hv1", "cat >/dev/null", stdin=subprocess.PIPE)
        os.set_blocking(child.stdin.fileno(), False)

        def flows():
            with contextlib.suppress(BlockingIOError):
                for _ in range(10):
                    os.write(child.stdin.fileno(), b"y" * 100000)
            return [s for s in self.records("session-start")[before:] if self.records("input", session=s.session)]
        harness.wait_until("the upload", flows)
        return child

    def test_the_operator_kills_ssh_in_an_upload(self):
        for number in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(number):
                child = self.uploading()
                child.send_signal(number)
                child.wait(harness.TIMEOUT)
                self.agreed()

    def test_the_target_dies_in_an_upload(self):
        child = self.start_ssh("alice", "hv1", "head -c 300000 >/dev/null; kill -9 $PPID; sleep 5", stdin=subprocess.PIPE)
        os.set_blocking(child.stdin.fileno(), False)
        deadline = time.time() + 20
        with contextlib.suppress(BrokenPipeError):
            while child.poll() is None and time.time() < deadline:
                with contextlib.suppress(BlockingIOError):
                    os.write(child.stdin.fileno(), b"y" * 100000)
        child.wait(harness.TIMEOUT)
        self.agreed()

    def test_the_connection_is_lost_in_an_upload(self):
        child = self.uploading()
        for pid in self.gateway_processes().get("sallyport-listener", []):
            os.kill(pid, signal.SIGKILL)
        child.wait(harness.TIMEOUT)
        verdict = self.verdict(self.finished_session())
        self.assertEqual(verdict["verdict"], "agreed", verdict)
        harness.wait_until("sessions again", lambda: self.ssh("alice", "hv1", "true").returncode == 0)


class Starts(AttestTest):
    """What was started, in every way that ends well."""
    def test_a_command_and_its_terminal(self):
        for options in ((), ("-tt",)):
            with self.subTest(options=options):
                self.assertEqual(self.ssh("alice", "hv1", "true", options=options).returncode, 0)
                self.agreed(starts=1)

    def test_a_shell(self):
        self.ssh("alice", "hv1", stdin=b"exit\n")
        self.agreed(5, starts=1)

    def test_bytes_that_are_no_text(self):
        done = self.ssh("alice", "hv1", b"printf %s \xff\xc3\xa9\x01'\"' | wc -c".decode("utf-8", "surrogateescape"))
        self.assertEqual(done.returncode, 0, done)
        self.agreed(starts=1)

    def test_long_commands(self):
        # The last one has no record that could hold it, so it is refused with its beginning and its digest.
        for size, status in ((4096, 0), (4097, 0), (50000, 0), (65500, 77)):
            with self.subTest(size=size):
                command = "true " + "x" * (size - 5)
                self.assertEqual(self.ssh("alice", "hv1", command).returncode, status)
                self.agreed(starts=1)

    def test_what_the_role_refuses(self):
        virsh = "virsh -c test:///default list"
        for options, command in (((), ("id",)), ((), ()), (("-tt",), ()), (("-tt",), ("id",)), (("-s",), ("nothing",)),
                                 ((), ("rm -rf " + "x" * 6000,)), (("-tt",), (virsh,)), ((), ("echo \udcff",))):
            with self.subTest(options=options, command=command):
                done = self.ssh("bob", "hv1", *command, options=options)
                self.assertEqual(done.returncode, 0 if command == (virsh,) else 77, done)
                self.agreed(starts=1)

    def test_a_locale_twice(self):
        """A variable that comes twice stands in the record once."""
        done = self.ssh("alice", "hv1", "true", options=("-o", "SendEnv=LANG LC_ALL", "-o", "SetEnv=LANG=C LC_ALL=C"),
                        env={"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"})
        self.assertEqual(done.returncode, 0, done)
        self.agreed(starts=1)

    def test_sftp(self):
        """The subsystem's name, and its requests as they are recorded, WRITE with a digest for its data."""
        source = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "source")
        with open(source, "wb") as f:
            f.write(os.urandom(3_000_000))
        words = self.ssh_words("alice", "hv1")
        target, options = words[-1], words[1:-1]
        for _ in range(2):
            done = subprocess.run(["sftp", "-q", *options, "-b", "-", target], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  input=f"put {source} {source}.new\nls {source}*\nget {source}.new {source}.back\nrm {source}.new\n".encode(),
                                  env=self.lab.operator_env("alice"), timeout=harness.TIMEOUT, check=False)
            self.assertEqual(done.returncode, 0, done)
            verdict = self.agreed(starts=1)
            self.assertGreater(verdict["recorded"], 1000)
            self.assertLess(verdict["recorded"], 100_000)

    def test_killed_before_the_answer(self):
        for delay in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6):
            with self.subTest(delay=delay):
                before = len(self.records("session-start"))
                child = self.start_ssh("alice", "hv1", "sleep 30")
                time.sleep(delay)
                child.kill()
                child.wait(harness.TIMEOUT)
                time.sleep(0.5)
                if len(self.records("session-start")) > before:
                    self.agreed()

    def test_many_channels_at_once(self):
        control = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "m")
        master = self.start_ssh("bob", "hv1", "-N", options=("-M", "-S", control))
        harness.wait_until("the master's socket", lambda: os.path.exists(control))
        children = []
        for i in range(40):
            children.append(self.start_ssh("bob", "hv1", "id", options=("-S", control)))
            if len(children) == 6:
                for child in children:
                    child.communicate(timeout=harness.TIMEOUT)
                children = []
        for child in children:
            child.communicate(timeout=harness.TIMEOUT)
        subprocess.run(self.ssh_words("bob", "hv1", options=("-S", control, "-O", "exit")), check=True, timeout=harness.TIMEOUT,
                       env=self.lab.operator_env("bob"), stderr=subprocess.DEVNULL)
        master.wait(harness.TIMEOUT)
        self.assertEqual(self.agreed()["starts"]["agreed"], 40)


class Unattested(AttestTest):
    def test_the_frontend_dies(self):
        child = self.live()
        os.kill(self.session_process("sallyport-frontend"), signal.SIGKILL)
        child.wait(harness.TIMEOUT)
        verdict = self.verdict(self.finished_session())
        self.assertEqual((verdict["verdict"], verdict["recorded"], verdict["unattested"], verdict["reason"]),
                         ("unattested", 14, 14, "no-final-attestation"), verdict)


class Disputed(AttestTest):
    """With a backend that is an enemy's: hostile_backend.c."""
    @classmethod
    def setUpClass(cls):
        cls.with_hostile_backend()

    def test_disputed(self):
        for said, recorded in ((b"change", b"invent"), (b"add", b"addrm -rf /\n"), (b"channel", b"channelrm -rf /\n")):
            with self.subTest(said):
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
                self.assertEqual(self.ssh("alice", "hv1", "cat", stdin=said).stdout, said)
                session = self.finished_session()
                verdict = self.verdict(session)
                self.assertEqual((verdict["verdict"], verdict["recorded"]), ("disputed", len(recorded)), verdict)
                self.assertEqual(len(self.records("alarm", session=session)), 1)
                self.assertEqual(self.records("alarm", session=session)[0].json["alarm"], "disputed-input")
                self.assertEqual(len(self.records("verdict", session=session)), 2)
                self.assertIn("disputed-input", self.log())
                self.assertIn(session[:12], self.admin("audit", "list", "--disputed").stdout)
                self.assertIn("DISPUTED", self.admin("audit", "list").stdout)
                self.assertIn("disputed", self.admin("audit", "show", session).stdout)
                done = self.admin("audit", "verify")
                self.assertIn("DISPUTED", done.stdout)
                self.assertIn(session[:12], done.stdout)

    def test_disputed_starts(self):
        for command, why, channel, recorded in (("echo another", "differs", 0, 1), ("echo hidden", "not-recorded", 0, 0),
                                                ("echo before", "not-attested", 1000, 2),
                                                ("echo twice", "not-attested", 0, 2), ("echo screen", "differs", 0, 1)):
            with self.subTest(command):
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
                self.assertEqual(self.ssh("alice", "hv1", command).returncode, 0)
                session = self.finished_session()
                verdict = self.verdict(session)
                self.assertEqual(verdict["verdict"], "disputed", verdict)
                self.assertEqual(verdict["starts"]["disputed"], [{"channel": channel, "why": why}], verdict)
                self.assertEqual((verdict["starts"]["recorded"], verdict["starts"]["attested"]), (recorded, 1), verdict)
                self.assertEqual([a.json["alarm"] for a in self.records("alarm", session=session)], ["disputed-start"])
                self.assertIn("disputed-start", self.log())
                self.assertIn(session[:12], self.admin("audit", "list", "--disputed").stdout)
                self.assertIn("starts and attestations DIFFER", self.admin("audit", "show", session).stdout)
                self.assertIn(session[:12], self.admin("audit", "verify").stdout)

    def test_honest_input_of_the_same_backend(self):
        self.assertEqual(self.ssh("alice", "hv1", "cat", stdin=b"nothing odd").stdout, b"nothing odd")
        self.agreed(11)
        self.assertNotIn(self.finished_session()[:12], self.admin("audit", "list", "--disputed").stdout)


if __name__ == "__main__":
    unittest.main()
