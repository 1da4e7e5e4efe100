#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Component test of sallyport-frontend: the real program, its sandbox enforcing, with OpenSSH's client on one
side and frontend_harness on the other (in place of supervisor, authd, auditd and backend).

Needs root (the program gives up its privileges itself)."""
import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lab")]

import lablib  # noqa: E402
import sanitizers  # noqa: E402

BUILD = os.environ.get("SALLYPORT_BUILD") or lablib.find_build(None)
MIB = 1024 * 1024


class Harness:
    """One fork server and its neighbours, for all tests of this file."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="frontend-")
        for name in ("host", "operator", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)], check=True)
        with open(self.path("askpass"), "w") as f:
            f.write("#!/bin/sh\necho asked >>\"$ASKED\"\necho \"${TESTCODE-123456}\"\n")
        os.chmod(self.path("askpass"), 0o755)
        self.log_file = open(self.path("log"), "w+")
        with open(self.path("operator.pub")) as f:
            key = f.read().split()[1]
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "frontend_harness"), os.path.join(BUILD, "sallyport-frontend"), self.path("host"), key],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log_file, text=True)
        words = self.process.stdout.readline().split()
        if len(words) != 4:
            raise RuntimeError("the harness did not start: " + self.log())
        self.port, self.server = int(words[1]), int(words[3])
        with open(self.path("host.pub")) as f, open(self.path("known_hosts"), "w") as k:
            k.write(f"gw {f.read()}")
        for who in ("operator", "stranger"):
            with open(self.path(f"config-{who}"), "w") as f:
                f.write(f"Host *\n HostName 127.0.0.1\n HostKeyAlias gw\n Port {self.port}\n"
                        f" StrictHostKeyChecking yes\n UserKnownHostsFile {self.path('known_hosts')}\n"
                        f" IdentityFile {self.path(who)}\n IdentitiesOnly yes\n")

    def path(self, name):
        return os.path.join(self.dir, name)

    def log(self, since=0):
        with open(self.path("log")) as f:
            return f.read()[since:]

    def mark(self):
        return len(self.log())

    def env(self, code="123456"):
        return dict(os.environ, SSH_ASKPASS=self.path("askpass"), SSH_ASKPASS_REQUIRE="force", TESTCODE=code,
                    ASKED=self.path("asked"), SSH_AUTH_SOCK="")

    def command(self, user, *args, options=(), key="operator"):
        return ["ssh", "-F", self.path("config-" + key), "-l", user, *options, "h", *args]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.log_file.close()
        said = sanitizers.report(self.path("log"))
        shutil.rmtree(self.dir, ignore_errors=True)
        if said:
            raise AssertionError(said)


def setUpModule():
    global H
    H = Harness()


def tearDownModule():
    H.stop()


class Case(unittest.TestCase):
    def setUp(self):
        self.since = H.mark()

    def tearDown(self):
        self.assertNotIn("DISPUTED", H.log(self.since))
        self.assertNotIn("LINK ERROR", H.log(self.since))
        self.assertNotIn("seccomp-denied", H.log(self.since))
        self.assertNotRegex(H.log(self.since), r"ended conn=\d+ status=[1-9]")

    def ssh(self, user, *args, options=(), data=b"", code="123456", timeout=60, key="operator"):
        return subprocess.run(H.command(user, *args, options=options, key=key), input=data, env=H.env(code),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)

    def probe(self, mode, key="operator"):
        r = subprocess.run([os.path.join(BUILD, "frontend_probe"), str(H.port), H.path(key), mode],
                           stdout=subprocess.PIPE, timeout=30, text=True)
        return r.stdout.split()

    def wait_log(self, pattern, seconds=15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, H.log(self.since)):
                return
            time.sleep(0.05)
        self.fail(f"no {pattern!r} in the log: {H.log(self.since)}")


class Login(Case):
    def test_key_then_code(self):
        r = self.ssh("alice", "echo in; echo out >&2; exit 3")
        self.assertEqual((r.stdout, r.stderr.splitlines()[-1], r.returncode), (b"in\n", b"out", 3))

    def test_remembered_asks_no_code(self):
        r = self.ssh("remembered", "true", code="000000")
        self.assertEqual(r.returncode, 0)
        self.assertNotIn("harness: code", H.log(self.since))

    def test_wrong_codes_are_counted_and_end(self):
        r = self.ssh("alice", "true", code="000000")
        self.assertEqual(r.returncode, 255)
        self.assertIn(b"not right", r.stderr)
        self.assertIn("harness: code 3", H.log(self.since))
        self.assertNotIn("harness: code 4", H.log(self.since))

    def test_too_long_answer_counts_as_wrong(self):
        r = self.ssh("alice", "true", code="1" * 500)
        self.assertEqual(r.returncode, 255)
        self.assertIn("harness: code 3", H.log(self.since))

    def test_stranger(self):
        r = self.ssh("alice", "true", key="stranger")
        self.assertEqual(r.returncode, 255)
        self.assertIn(b"Permission denied (publickey)", r.stderr)
        self.assertNotIn("harness: code", H.log(self.since))

    def test_code_alone(self):
        r = self.ssh("alice", "true", options=["-o", "PubkeyAuthentication=no"])
        self.assertEqual(r.returncode, 255)
        self.assertIn(b"Permission denied (publickey)", r.stderr)
        self.assertNotIn("harness: code", H.log(self.since))

    def test_user_name_is_bound(self):
        self.assertEqual(self.probe("two-users"), ["partial", "ended"])
        self.wait_log("the user name changed")

    def test_code_before_key(self):
        self.assertEqual(self.probe("code-first"), ["denied"])
        self.assertEqual(self.probe("probe-then-code"), ["success", "denied"])
        self.assertNotIn("harness: code", H.log(self.since))

    def test_none_and_password(self):
        self.assertEqual(self.probe("none"), ["denied", "denied"])

    def test_codes_on_one_request(self):
        self.assertEqual(self.probe("codes")[:4], ["partial", "info", "info", "denied"])
        self.assertNotIn("harness: code 4", H.log(self.since))

    def test_channel_before_login(self):
        self.assertEqual(self.probe("early-channel"), ["ended"])

    def test_unknown_key_signs(self):
        self.assertEqual(self.probe("two-users", key="stranger")[:1], ["denied"])

    def test_algorithms(self):
        for option in ("KexAlgorithms=diffie-hellman-group-exchange-sha256", "Ciphers=chacha20-poly1305@openssh.com",
                       "Ciphers=aes128-cbc", "MACs=hmac-sha1"):
            extra = ["-o", "Ciphers=aes128-ctr"] if option.startswith("MACs") else []
            r = self.ssh("alice", "true", options=["-o", option, *extra])
            self.assertEqual(r.returncode, 255, option)
            # libssh closes at once; its own list does not always arrive before
            self.assertRegex(r.stderr, rb"no matching|Connection (closed|reset)")

    def test_garbage_and_silence_before_login(self):
        for first in (b"GET / HTTP/1.0\r\n\r\n", b"SSH-2.0-x\r\n" + os.urandom(4000), b"", b"A" * 300):
            with socket.create_connection(("127.0.0.1", H.port)) as s:
                s.sendall(first)
                s.shutdown(socket.SHUT_WR)
                s.settimeout(10)
                try:
                    while s.recv(4096):
                        pass
                except ConnectionResetError:
                    pass


class Bytes(Case):
    def setUp(self):
        super().setUp()
        self.blob = os.urandom(MIB) * 24

    def digest(self):
        return hashlib.sha256(self.blob).hexdigest().encode()

    def test_up(self):
        r = self.ssh("alice", "sha256sum", data=self.blob)
        self.assertEqual(r.stdout.split()[0], self.digest())
        self.wait_log(rf'"bytes":{len(self.blob)},.*"final":true.* agreed')

    def test_down(self):
        with open(H.path("blob"), "wb") as f:
            f.write(self.blob)
        os.chmod(H.path("blob"), 0o644)
        r = self.ssh("alice", f"cat {H.path('blob')}")
        self.assertEqual(hashlib.sha256(r.stdout).hexdigest().encode(), self.digest())

    def test_both_ways_with_rekeying(self):
        r = self.ssh("alice", "cat", options=["-o", "RekeyLimit=1M"], data=self.blob)
        self.assertEqual((r.stdout == self.blob, r.returncode), (True, 0))

    def test_each_cipher(self):
        for cipher in ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes128-ctr"):
            r = self.ssh("alice", "cat", options=["-o", "Ciphers=" + cipher], data=self.blob[:MIB])
            self.assertEqual(r.stdout, self.blob[:MIB], cipher)

    def test_stderr_apart(self):
        r = self.ssh("alice", "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2")
        self.assertEqual((len(r.stdout), r.stderr.count(b"\0"), r.returncode), (3000000, 2000000, 0))

    def test_command_that_reads_nothing(self):
        r = self.ssh("alice", "exit 5", data=self.blob)
        self.assertEqual(r.returncode, 5)

    def test_slow_reader_is_bounded(self):
        p = subprocess.Popen(H.command("alice", "sleep 4; sha256sum"), env=H.env(), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
        feeder = subprocess.Popen([sys.executable, "-c", "import sys\nfor i in range(100): sys.stdout.buffer.write(b'x'*1048576)"],
                                  stdout=p.stdin)
        p.stdin.close()
        time.sleep(3)
        sanitizers.assert_memory_below(self, private_kib(youngest_child(H.server)), 6 * 1024)
        out = p.stdout.read()
        p.stdout.close()
        self.assertEqual((p.wait(), feeder.wait()), (0, 0))
        self.assertEqual(out.split()[0], hashlib.sha256(b"x" * 100 * MIB).hexdigest().encode())

    def test_client_that_does_not_read_is_bounded(self):
        p = subprocess.Popen(H.command("alice", "head -c 60000000 /dev/zero"), env=H.env(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE)
        time.sleep(2)
        sanitizers.assert_memory_below(self, private_kib(youngest_child(H.server)), 6 * 1024)
        self.assertEqual(len(p.stdout.read()), 60000000)
        p.stdout.close()
        self.assertEqual(p.wait(), 0)


class Channels(Case):
    def test_half_close(self):
        r = self.ssh("alice", "cat >/dev/null; echo after the end of input")
        self.assertEqual(r.stdout, b"after the end of input\n")
        r = self.ssh("alice", "exec >&-; cat >&2", data=b"still read")
        self.assertEqual((r.stderr[-10:], r.returncode), (b"still read", 0))

    def test_exit_signal(self):
        r = self.ssh("alice", "kill -TERM $$")
        self.assertEqual(r.returncode, 255)

    def test_terminal_and_size(self):
        import fcntl, pty, struct, termios
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(H.env())
            os.execvp("ssh", H.command("alice", "stty size; read x; stty size", options=["-tt"]))
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        seen, resized = b"", False
        while True:
            try:
                chunk = os.read(fd, 4096)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
            if re.search(rb"\d+ \d+\r\n", seen) and not resized:
                resized = True
                fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 132, 0, 0))
                os.kill(pid, signal.SIGWINCH)
                time.sleep(0.5)
                os.write(fd, b"\r")
        os.waitpid(pid, 0)
        os.close(fd)
        self.assertIn(b"44 132", seen)

    def test_control_master(self):
        path = H.path("cm")
        options = ["-o", f"ControlPath={path}"]
        master = subprocess.Popen(H.command("alice", options=[*options, "-MN"]), env=H.env(), stdin=subprocess.DEVNULL)
        try:
            for _ in range(200):
                if os.path.exists(path):
                    break
                time.sleep(0.05)
            for i in range(25):
                r = self.ssh("alice", f"cat; exit {i}", options=options, data=b"n" * i)
                self.assertEqual((r.stdout, r.returncode), (b"n" * i, i))
            many = [subprocess.Popen(H.command("alice", "cat", options=options), env=H.env(), stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE) for _ in range(10)]
            time.sleep(1)
            self.ssh("alice", "true", options=options)  # OpenSSH falls back to a connection of its own
            self.wait_log("refused kind=7 a session")
            for i, p in enumerate(many):
                self.assertEqual(p.communicate(b"%d" % i * 300000)[0], b"%d" % i * 300000)
            r = self.ssh("alice", "echo again", options=options)
            self.assertEqual(r.stdout, b"again\n")
        finally:
            master.kill()  # OpenSSH 9.2 may miss a SIGTERM that comes just before it polls
            master.wait()

    def test_one_start(self):
        self.assertEqual(self.probe("second-start"), ["open", "started", "refused", "refused", "refused"])
        self.wait_log("refused kind=6 a second start on one channel")

    def test_signal(self):
        self.assertEqual(self.probe("signal"), ["caught", "4"])
        self.wait_log("harness: signal INT")

    def test_environment(self):
        r = self.ssh("alice", "true", options=["-o", "SetEnv=LC_X=y LD_PRELOAD=z"])
        self.assertEqual(r.returncode, 0)
        self.assertIn("env LC_X=y", H.log(self.since))
        self.assertIn("env LD_PRELOAD=z", H.log(self.since))  # the backend judges

    def test_late_target(self):
        r = self.ssh("slow", "cat", data=b"x" * 500000)
        self.assertEqual((len(r.stdout), r.returncode), (500000, 0))

    def test_operator_leaves(self):
        p = subprocess.Popen(H.command("alice", "echo on; sleep 60"), env=H.env(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE)
        p.stdout.readline()
        p.kill()
        p.wait()
        p.stdout.close()
        self.wait_log("harness: bye the operator's client disconnected")


def recorded_form(stream):
    """Of the operator's SFTP: docs/FORMAT.md, "The recorded form of SFTP"."""
    form, at = b"", 0
    while at < len(stream):
        length, kind = struct.unpack_from(">IB", stream, at)
        packet = stream[at:at + 4 + length]
        at += len(packet)
        if kind == 6:
            head = 13 + struct.unpack_from(">I", packet, 9)[0] + 12
            size, = struct.unpack_from(">I", packet, head - 4)
            packet = packet[:head] + hashlib.sha256(packet[head:head + size]).digest() + packet[head + size:]
        form += packet
    return form


class Sftp(Case):
    """What is attested of SFTP is its recorded form; what is passed on is what came. The harness' subsystem is cat."""

    INIT = struct.pack(">IBI", 5, 1, 3)

    def write(self, handle, data, more=b""):
        body = struct.pack(">BII", 6, 7, len(handle)) + handle + struct.pack(">QI", 9, len(data)) + data + more
        return struct.pack(">I", len(body)) + body

    def attested(self, data, form):
        r = self.ssh("alice", "sftp", options=["-s"], data=data)
        self.assertEqual((r.stdout == data, r.returncode), (True, 0), r.stderr)
        self.wait_log(r'attestation .*"final":true')
        said = re.findall(r'attestation {"channel":0,"bytes":(\d+),"sha256":"(\w+)","final":true.*"points":\[(.*)',
                          H.log(self.since))
        self.assertEqual([x[:2] for x in said], [(str(len(form)), hashlib.sha256(form).hexdigest())])
        counts = [int(n) for n in re.findall(r'"bytes":(\d+)', said[0][2])]
        self.assertEqual(counts, sorted(set(counts)), "no two points are at one count")

    def test_requests_word_for_word(self):
        stat = struct.pack(">IBII", 11, 17, 1, 2) + b"/x"
        data = self.INIT + stat + self.write(b"h", b"abc") + self.write(b"", b"", b"more") + stat
        self.attested(data, recorded_form(data))

    def test_upload(self):
        data = self.INIT + b"".join(self.write(b"hand", os.urandom(n)) for n in [261120] * 40 + [32768] * 100 + [1] * 99)
        self.attested(data, recorded_form(data))

    def test_what_is_not_sftp(self):
        data = self.INIT + b"\0\0\0\0" + self.write(b"h", b"x" * 100000)
        self.attested(data, data)

    def test_other_input_is_as_it_came(self):
        data = self.INIT + self.write(b"h", b"abc")
        self.assertEqual(self.ssh("alice", "cat", data=data).stdout, data)
        self.wait_log(r'attestation {"channel":0,"bytes":%d,.*"final":true.* agreed' % len(data))


class Refusals(Case):
    def told(self, r, text, status):
        self.assertEqual((r.stderr.splitlines()[-1:], r.returncode), ([b"sallyport: " + text], status))

    def test_decision(self):
        self.told(self.ssh("refused", "true"), b"There is no target named hv9.", 77)
        self.told(self.ssh("refused"), b"There is no target named hv9.", 77)
        self.told(self.ssh("refused", "sftp", options=["-s"]), b"There is no target named hv9.", 77)

    def test_target_down(self):
        self.told(self.ssh("end-early", "true"), b"hv1 cannot be reached: Connection refused.", 69)

    def test_command_refused(self):
        self.told(self.ssh("alice", "!refuse"), b"denied by ops/exec", 77)
        self.told(self.ssh("alice", "netconf", options=["-s"]), b"denied by ops/exec", 77)

    def test_end_of_a_running_session(self):
        self.told(self.ssh("alice", "!end"), b"Your login is locked.", 77)

    def test_backend_dies(self):
        self.told(self.ssh("alice", "!die"), b"The session's backend ended unexpectedly.", 75)

    def test_backend_breaks_the_protocol(self):
        self.told(self.ssh("alice", "!garbage"), b"The session's backend ended unexpectedly.", 75)

    def test_no_channel_to_tell(self):
        start = time.monotonic()
        r = self.ssh("refused", options=["-N"], timeout=30)
        self.assertEqual(r.returncode, 255)
        self.assertIn(b"There is no target named hv9.", r.stderr)
        self.assertLess(time.monotonic() - start, 14)

    def test_forwards(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        p = subprocess.Popen(H.command("alice", "echo on; cat", options=["-L", f"{port}:10.9.8.7:80"]), env=H.env(),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdout.readline()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            self.assertEqual(s.recv(10), b"")
        err = p.communicate(timeout=20)[1]
        self.assertIn(b"open failed: administratively prohibited", err)
        self.assertIn("forward to 10.9.8.7 port 80", H.log(self.since))
        r = self.ssh("alice", "echo on", options=["-R", "8099:127.0.0.1:80"])
        self.assertIn(b"remote port forwarding failed", r.stderr)
        self.assertEqual(r.stdout, b"on\n")
        self.assertIn("refused kind=2 tcpip-forward", H.log(self.since))
        r = self.ssh("alice", options=["-W", "10.9.8.7:22"])
        self.assertEqual(r.returncode, 255)

    def test_streamlocal(self):
        r = self.ssh("alice", "echo on", options=["-R", "/tmp/never.sock:127.0.0.1:80"])
        self.assertEqual(r.stdout, b"on\n")

    def test_agent_and_x11(self):
        agent = subprocess.run(["ssh-agent", "-s"], stdout=subprocess.PIPE, text=True, check=True).stdout
        sock, pid = re.search(r"SSH_AUTH_SOCK=([^;]+)", agent)[1], int(re.search(r"SSH_AGENT_PID=(\d+)", agent)[1])
        try:
            env = dict(H.env(), SSH_AUTH_SOCK=sock, DISPLAY=":77")
            r = subprocess.run(H.command("alice", "echo $SSH_AUTH_SOCK $DISPLAY", options=["-A", "-Y"]), env={**env, "SSH_AUTH_SOCK": sock},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
        finally:
            os.kill(pid, signal.SIGTERM)
        self.assertEqual(r.returncode, 0)
        self.wait_log("refused kind=4 auth-agent-req@openssh.com")
        if b"No xauth" not in r.stderr:
            self.wait_log("refused kind=3 x11-req")


class Gateway(Case):
    def test_command(self):
        r = self.ssh("gateway", "whoami", data=b"line 1\nline 2\n")
        self.assertEqual((r.stdout, r.returncode), (b"whoami\nline 1\nline 2\n", 3))

    def test_shell_is_help(self):
        r = self.ssh("gateway")
        self.assertEqual((r.stdout, r.returncode), (b"help\n", 0))

    def test_big_input(self):
        r = self.ssh("gateway", "copy", data=b"x" * 400000)
        self.assertEqual((len(r.stdout), r.returncode), (400005, 3))

    def test_subsystem(self):
        r = self.ssh("gateway", "sftp", options=["-s"])
        self.assertEqual(r.returncode, 77)


def youngest_child(server):
    with open(f"/proc/{server}/task/{server}/children") as f:
        return int(f.read().split()[-1])


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_"))


class Memory(Case):
    def idle(self, command):
        p = subprocess.Popen(H.command("alice", command), env=H.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        p.stdout.readline()
        time.sleep(3.5)
        kib = private_kib(youngest_child(H.server))
        p.communicate()
        return kib

    def test_idle(self):
        sanitizers.assert_memory_below(self, self.idle("echo on; cat"), 420)

    def test_idle_after_bulk(self):
        # libssh keeps its output buffer of 128 KiB
        kib = self.idle("echo on; head -c 20000000 /dev/zero >&2; cat")
        sanitizers.assert_memory_below(self, kib, 700)


if __name__ == "__main__":
    unittest.main()
