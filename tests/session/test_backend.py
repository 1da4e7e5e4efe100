# SPDX-License-Identifier: Apache-2.0
"""sallyport-backend alone: the real program, sandboxed, with a real sshd and a real agent; the processes around
it are played by backend_harness.c. Needs root (the program changes its uid)."""
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lab")]

import lablib  # noqa: E402


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*words, **more):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, **more).stdout


class Backend(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        build = os.environ.get("SALLYPORT_BUILD") or lablib.find_build(None)
        cls.program = os.path.join(build, "sallyport-backend")
        cls.harness = os.path.join(build, "backend_harness")
        cls.dir = tempfile.mkdtemp(prefix="sallyport-backend-")
        cls.stack.callback(shutil.rmtree, cls.dir, ignore_errors=True)
        for name, kind in (("host", "ed25519"), ("host_rsa", "rsa"), ("other", "ed25519"), ("other_kind", "ecdsa"), ("user", "ed25519"),
                           ("stranger", "ed25519")):
            run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", cls.path(name))
        os.makedirs("/run/sshd", exist_ok=True)
        shutil.copy(cls.path("user.pub"), cls.path("authorized_keys"))
        cls.port = cls.start_sshd("log")
        cls.rekeying_port = cls.start_sshd("rekey_log", "RekeyLimit 1M\n")
        cls.agent = cls.start_agent("user")
        cls.strange_agent = cls.start_agent("stranger")

    @classmethod
    def start_sshd(cls, log, more=""):
        port = free_port()
        with open(cls.path(log + ".config"), "w", encoding="utf-8") as f:
            f.write(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {cls.path('host')}\nHostKey {cls.path('host_rsa')}\n"
                    f"AuthorizedKeysFile {cls.path('authorized_keys')}\nStrictModes no\nUsePAM no\n"
                    "PermitRootLogin yes\nPasswordAuthentication no\nAcceptEnv LANG LC_*\nMaxSessions 20\n"
                    f"SetEnv HOME={cls.dir}\n"
                    f"PidFile none\nSubsystem sftp internal-sftp\n{more}")
        cls.start("/usr/sbin/sshd", "-D", "-E", cls.path(log), "-f", cls.path(log + ".config"))
        cls.wait_for_port(port)
        return port

    @classmethod
    def path(cls, name):
        return os.path.join(cls.dir, name)

    @classmethod
    def start(cls, *words):
        p = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.stack.callback(p.wait)
        cls.stack.callback(p.terminate)

    @classmethod
    def start_agent(cls, key):
        path = cls.path(key + ".agent")
        cls.start("ssh-agent", "-D", "-a", path)
        deadline = time.time() + 10
        while not os.path.exists(path) and time.time() < deadline:
            time.sleep(0.05)
        run("ssh-add", "-q", cls.path(key), env={"SSH_AUTH_SOCK": path, "PATH": os.environ["PATH"]})
        return path

    @staticmethod
    def wait_for_port(port):
        deadline = time.time() + 10
        while time.time() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            time.sleep(0.05)
        raise AssertionError("sshd does not listen")

    def key(self, name):
        with open(self.path(name + ".pub"), encoding="utf-8") as f:
            return f.read().split()[1]

    def scenario(self, name, *arguments, keys=("host",), agent=None, port=None):
        done = subprocess.run([self.harness, self.program, str(port or self.port), ",".join(self.key(k) for k in keys),
                               agent or self.agent, name, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace", timeout=120, check=False)
        if os.environ.get("SALLYPORT_TEST_VERBOSE"):
            print(done.stdout, done.stderr)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("seccomp-denied", done.stderr)
        return done.stdout

    def check(self, name):
        self.scenario(name)

    @contextlib.contextmanager
    def listener(self, serve):
        with socket.create_server(("127.0.0.1", 0)) as s:
            threading.Thread(target=lambda: serve(s.accept()[0]), daemon=True).start()
            yield s.getsockname()[1]

    def test_host_key_is_another(self):
        text = self.scenario("host-key", keys=("other",))
        self.assertIn("found SHA256:", text)
        self.assertIn("pinned SHA256:", text)

    def test_host_key_of_another_kind(self):
        self.assertRegex(self.scenario("host-key-kind", keys=("other_kind",)),
                         r"(found no|without a host) key of (that|a pinned) type")

    def test_keys_are_exchanged_anew_in_a_transfer(self):
        self.scenario("download", port=self.rekeying_port)
        self.scenario("upload", port=self.rekeying_port)

    def test_host_key_one_of_several(self):
        self.scenario("exec", keys=("other", "host"))

    def test_host_key_rsa(self):
        self.scenario("exec", keys=("host_rsa",))

    def test_key_refused_by_target(self):
        self.scenario("login-refused", agent=self.strange_agent)

    def odd_agent(self, serve):
        """The path of an agent; serve gets each connection."""
        path = os.path.join(tempfile.mkdtemp(dir=self.dir), "agent")
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.bind(path)
        s.listen()
        threading.Thread(target=lambda: serve(s.accept()[0]), daemon=True).start()
        return path

    def test_agent_goes_away(self):
        self.scenario("agent", agent=self.odd_agent(lambda c: c.close()))

    def test_agent_hangs(self):
        self.scenario("agent", agent=self.odd_agent(lambda c: time.sleep(60)))

    def test_target_speaks_no_ssh(self):
        def serve(c):
            c.sendall(b"220 mail.example.org ESMTP\r\n" * 200)
            c.close()
        with self.listener(serve) as port:
            self.scenario("not-ssh", "hv1 did not speak SSH", port=port)

    def test_target_says_nothing(self):
        with self.listener(lambda c: time.sleep(30)) as port:
            self.scenario("not-ssh", "hv1 did not answer in time", port=port)

    def test_target_closes_at_once(self):
        with self.listener(lambda c: c.close()) as port:
            self.scenario("not-ssh", "hv1 did not speak SSH", port=port)

    def test_leaving_lets_input_arrive(self):
        out = self.path("arrived")
        self.scenario("bye-drains", out)
        # The shell on the target may be slower than our end.
        deadline = time.time() + 10
        while time.time() < deadline and not (os.path.exists(out) and os.path.getsize(out) == 200):
            time.sleep(0.05)
        with open(out, "rb") as f:
            self.assertEqual(f.read(), b"0123456789" * 20)

    def test_signal_reaches_the_target(self):
        self.scenario("signal")
        with open(self.path("log"), encoding="utf-8", errors="replace") as f:
            self.assertIn("session signalling requires privilege separation", f.read())

    def test_violations_end_the_session(self):
        for what in ("output credit", "input beyond the credit", "second start", "terminal after the start",
                     "variable after the start", "second end of input", "input after its end", "input after the close",
                     "channel out of turn", "channel that never was", "refusal of no kind", "message of the backend's",
                     "no message at all", "10,000 opens"):
            with self.subTest(what):
                self.scenario("violation", what)

    def test_idle_limit(self):
        self.scenario("idle", '"reason":"idle"')

    def test_idle_limit_of_a_terminal_that_only_shows(self):
        self.scenario("idle-terminal", '"reason":"idle"')

    def test_a_start_that_is_no_longer_permitted_does_not_begin(self):
        self.scenario("narrow-start", self.path("began"))

    def test_max_limit(self):
        self.scenario("max", '"reason":"max"')


for scenario in ("exec", "stdin", "half-closed", "exit-signal", "pty", "channels", "download", "download-lag",
                 "upload", "upload-lag", "slow-reader", "memory", "latency", "durable", "rules", "refusals", "many-refusals", "grant-end", "authd-dies", "authd-away", "authd-away-at-first", "trail-stops", "trail-dies", "frontend-dies", "target-dies",
                 "narrow", "narrow-sync", "narrow-more", "narrow-junk"):
    setattr(Backend, "test_" + scenario.replace("-", "_"), lambda self, name=scenario: self.check(name))


if __name__ == "__main__":
    unittest.main()
