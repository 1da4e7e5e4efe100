# SPDX-License-Identifier: Apache-2.0
"""Each refusal of a login or a session: what the operator is told, and what the trail has."""
import os
import re
import socket
import subprocess
import time

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals(), extra_operators=4)

ONE_TRY = ("-o", "NumberOfPasswordPrompts=1")


class Codes(harness.SessionTest):
    def test_a_code_is_asked_for_and_taken(self):
        done = self.ssh("op1", "hv1", "echo in", fresh=True)
        self.assertEqual((done.returncode, done.stdout), (0, b"in\n"), done.stderr)
        self.record("authentication", "totp")

    def test_wrong_code(self):
        done = self.ssh("op2", "hv1", "true", fresh=True, env=self.answering("000000"))
        self.assertEqual(done.returncode, 255)
        self.shows(done, "That code is not right")
        self.record("authentication", "wrong|not-right|code")
        self.assertEqual(self.records("session-start"), [])

    def test_a_code_works_once(self):
        code = self.code("op3")
        self.assertEqual(self.ssh("op3", "hv1", "true", fresh=True, env=self.answering(code)).returncode, 0)
        done = self.ssh("op3", "hv1", "true", fresh=True, env=self.answering(code))
        self.assertEqual(done.returncode, 255)
        self.shows(done, "That code was used already")
        self.record("authentication", "used|replay|reuse")

    def test_wrong_codes_lock(self):
        for _ in range(3):
            self.ssh("op4", "hv1", "true", fresh=True, env=self.answering("000000"), options=ONE_TRY)
            self.ssh("op4", "hv1", "true", fresh=True, env=self.answering("111111"), options=ONE_TRY)
        done = self.ssh("op4", "hv1", "true", fresh=True)
        self.shows(done, "locked until", 77)
        self.record("decision", "lock")
        self.admin("user", "unlock", "op4")
        self.record("admin-act", "unlock")
        self.assertEqual(self.ssh("op4", "hv1", "true", fresh=True).returncode, 0)


class Policy(harness.SessionTest):
    def refused(self, operator, host, *command, text, record, status=77, **more):
        done = self.ssh(operator, host, *command, **more)
        self.shows(done, text, status)
        self.record("decision", record)
        self.assertEqual(self.records("output"), [])
        return done

    def test_locked_by_an_administrator(self):
        self.refused("dave", "hv1", "true", text="locked", record="lock", fresh=True)

    def test_no_role(self):
        self.refused("carol", "hv1", "true", text="role", record="no-role", fresh=True)

    def test_address_not_allowed(self):
        self.refused("erin", "hv1", "true", text="does not permit logins to hv1 from 127.0.0.1", record="address")

    def test_unknown_target(self):
        self.refused("alice", "hv9", "true", text="There is no target named hv9", record="unknown-target")

    def test_account_not_permitted(self):
        self.refused("alice", "nobody@hv1", "true", text="nobody", record="account")

    def test_shell_not_permitted(self):
        done = self.ssh("bob", "hv1", options=("-T",), stdin=b"id\n")
        self.assertNotEqual(done.returncode, 0)
        self.shows(done, "shell")
        self.record("decision", "shell")
        self.assertNotIn(b"uid=", done.stdout)

    def test_command_not_permitted(self):
        for command in ("id", "virsh -c test:///default list --all", "virsh -c test:///default list; id",
                        "sh -c 'virsh -c test:///default list'", "/usr/bin/virsh -c test:///default list | cat"):
            with self.subTest(command=command):
                done = self.ssh("bob", "hv1", command)
                self.assertEqual(done.returncode, 77, done.stderr)
                self.assertEqual(done.stdout, b"")
                self.record("decision", '"allowed":\\s*false|denied|deny')

    def test_commands_that_are_permitted(self):
        for command, expected in (("virsh -c test:///default list", b"running"),
                                  ("virsh -c test:///default dominfo test", b"UUID")):
            done = self.ssh("bob", "hv1", command)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(expected, done.stdout)

    def test_a_target_of_no_role(self):
        self.refused("bob", "hv2", "virsh -c test:///default list", text="hv2", record="no-role")


class FirstFactor(harness.SessionTest):
    def test_a_stranger_s_key(self):
        key = self.lab.path("stranger")
        if not os.path.exists(key):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        config = self.lab.path("as", "alice", "fresh_ssh_config")
        with open(self.lab.path("as", "alice", "fresh", "ssh_config"), encoding="utf-8") as f:
            text = re.sub(r'IdentityFile ".*"', f'IdentityFile "{key}"', f.read())
        config = self.lab.path("stranger_config")
        with open(config, "w", encoding="utf-8") as f:
            f.write(text)
        done = subprocess.run(["ssh", "-F", config, "hv1", "true"], env=self.lab.operator_env("alice"),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.TIMEOUT, check=False)
        self.assertEqual(done.returncode, 255)
        self.shows(done, "Permission denied")
        self.assertEqual(self.records("session-start"), [])

    def test_a_code_alone_is_no_login(self):
        done = self.ssh("alice", "hv1", "true", fresh=True, options=("-o", "PubkeyAuthentication=no"))
        self.assertEqual(done.returncode, 255)
        self.shows(done, "Permission denied")


class Devices(harness.SessionTest):
    def with_device(self, operator, of):
        """The operator's configuration, presenting another device's certificate."""
        directory = self.lab.path(f"device-{operator}-{of}")
        os.makedirs(directory, exist_ok=True)
        for name in ("gateway.conf", "ca.pem", "known_hosts"):
            self.copy(self.lab.path("as", operator, name), os.path.join(directory, name))
        for name in ("device.key", "device.pem"):
            self.copy(self.lab.path("as", of, name), os.path.join(directory, name))
        with open(self.lab.path("as", operator, "ssh_config"), encoding="utf-8") as f:
            text = f.read().replace(self.lab.path("as", operator) + '" %h', directory + '" %h')
        with open(os.path.join(directory, "ssh_config"), "w", encoding="utf-8") as f:
            f.write(text)
        return os.path.join(directory, "ssh_config")

    @staticmethod
    def copy(a, b):
        with open(a, "rb") as src, open(os.open(b, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as dst:
            dst.write(src.read())

    def test_certificate_of_another_operator(self):
        config = self.with_device("op1", "alice")
        done = subprocess.run(["ssh", "-F", config, "hv1", "true"], env=self.lab.operator_env("op1"),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.TIMEOUT, check=False)
        self.shows(done, "belongs to another operator", 77)
        self.record("alarm", "certificate|operator")
        self.assertEqual(self.records("session-start"), [])

    def test_forgotten_login(self):
        self.assertEqual(self.ssh("op2", "hv1", "true", env=self.answering("000000")).returncode, 0)
        self.admin("user", "forget", "op2")
        self.record("admin-act", "forget")
        done = self.ssh("op2", "hv1", "true", env=self.answering("000000"))
        self.assertEqual(done.returncode, 255)

    def test_an_expired_certificate_counts_as_none(self):
        self.lab.write_conf("roles.d/short.yaml", "role: short\nmembers: [carol]\ntargets: {env: lab}\naccounts: [root]\n"
                            "remember: 4s\nallow: {shell: false, exec: true}\n")
        self.reload()
        self.remember("carol")
        time.sleep(5)
        done = self.ssh("carol", "hv1", "true", env=self.answering("000000"))
        self.assertEqual(done.returncode, 255)
        self.shows(done, "Your remembered login ended at")
        self.record("authentication", "expired")
        self.assertEqual(self.records("session-start"), [])
        os.unlink(self.lab.path("conf", "roles.d", "short.yaml"))
        self.reload()


class Forwarding(harness.SessionTest):
    """Refused: OpenSSH behaves as with any server that refuses, the operator is told what to do instead, and the trail
    has it."""

    def told_once(self, done, text):
        self.assertEqual(done.stderr.count(text.encode()), 1, done.stderr)
        self.assertNotIn(b"version", done.stderr)

    def test_local_forward(self):
        done = self.ssh("alice", "hv1", options=("-W", "127.0.0.1:22"))
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.record("forward-open", "127.0.0.1:22").json["allowed"], False)

    def test_remote_forward(self):
        done = self.ssh("alice", "hv1", "true", options=("-R", "127.0.0.1:0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"))
        self.assertEqual(done.returncode, 255)
        self.shows(done, "remote port forwarding failed")
        said = self.record("forward-open", "tcpip-forward|remote|listen").json
        self.assertEqual((said["what"], said["allowed"]), ("remote-port-forward", False))
        self.assertIn("from your side, with ssh -L", said["text"])
        self.record("decision", what="remote-port-forward", why="kind")
        # Two of them beside a command, which goes on: its stderr says it once.
        done = self.ssh("alice", "hv1", "echo on", options=("-R", "127.0.0.1:0:127.0.0.1:22", "-R", "127.0.0.1:0:127.0.0.1:23"))
        self.assertEqual((done.returncode, done.stdout), (0, b"on\n"), done.stderr)
        self.told_once(done, "sallyport: ssh -R is refused: no target may open connections to its operators")

    def test_agent_forwarding(self):
        agent = subprocess.run(["ssh-agent", "-s"], stdout=subprocess.PIPE, text=True, check=True).stdout
        pid, sock = re.search(r"SSH_AGENT_PID=(\d+)", agent)[1], re.search(r"SSH_AUTH_SOCK=([^;]+)", agent)[1]
        self.addCleanup(os.kill, int(pid), 15)
        done = self.ssh("alice", "hv1", "echo [$SSH_AUTH_SOCK]", options=("-A",), env={"SSH_AUTH_SOCK": sock})
        self.assertEqual((done.returncode, done.stdout), (0, b"[]\n"), done.stderr)
        self.told_once(done, "sallyport: your agent is not forwarded (ssh -A): the target could use your keys; connect to "
                             "the next host through the gateway, and say ForwardAgent no")
        self.record("decision", what="agent-forward", why="kind")

    def test_x11_forwarding(self):
        done = self.ssh("alice", "hv1", "echo [$DISPLAY]", env={"DISPLAY": ":99"},
                        options=("-X", "-o", "XAuthLocation=/bin/true", "-o", "ForwardX11Trusted=yes"))
        self.assertEqual((done.returncode, done.stdout), (0, b"[]\n"), done.stderr)
        self.told_once(done, "sallyport: X11 is not forwarded (ssh -X)")
        self.record("decision", what="x11", why="kind")

    def test_other_channels_and_subsystems(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        child = self.live(options=("-L", f"127.0.0.1:{port}:/run/docker.sock"))
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=harness.TIMEOUT) as s:
                self.assertEqual(s.recv(10), b"")
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.assertEqual(child.stderr.read().count(b"sallyport: channels of this kind are refused: the gateway carries"), 1)
        self.record("decision", what="channel", why="kind")
        done = self.ssh("alice", "hv1", "netconf", options=("-s",))
        self.shows(done, "the subsystem netconf is refused: the gateway carries sftp and no other one; run its program as a "
                         "command", 77)
        self.record("decision", what="subsystem", why="kind")

    def test_sftp(self):
        done = subprocess.run(["sftp", "-F", self.lab.path("as", "bob", "ssh_config"), "-b", "/dev/null", "hv1"],
                              env=self.lab.operator_env("bob"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=harness.TIMEOUT, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.record("decision", "sftp|subsystem")


class Gateway(harness.SessionTest):
    def test_certificate_of_the_gateway_not_trusted(self):
        directory = self.lab.path("as", "op3")
        other = self.lab.path("other-ca")
        os.makedirs(other, exist_ok=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", os.path.join(other, "key"), "-out", os.path.join(other, "ca.pem"), "-subj",
                        "/CN=somebody else"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(os.path.join(directory, "ca.pem"), "rb") as f:
            right = f.read()
        Devices.copy(os.path.join(other, "ca.pem"), os.path.join(directory, "ca.pem"))
        try:
            done = self.ssh("op3", "hv1", "true")
        finally:
            with open(os.path.join(directory, "ca.pem"), "wb") as f:
                f.write(right)
        self.assertEqual(done.returncode, 255)
        self.assertRegex(done.stderr.decode(), r"(?i)certificate")
        self.assertEqual(self.records("session-start"), [])
        # The gateway sees a handshake that a client broke off; such are summed up per source and minute, and at its end.
        self.lab.stop()
        try:
            self.assertEqual(self.record("access", "tls").json["source"], "127.0.0.1")
        finally:
            self.lab.start()

    def test_whoami_and_hosts(self):
        done = self.ssh("alice", "gateway", "whoami")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"alice", done.stdout)
        self.assertRegex(done.stdout, rb"(?m)^roles +lab-admin$")
        done = self.ssh("carol", "gateway", "whoami")
        self.assertRegex(done.stdout, rb"(?m)^roles +none")
        done = self.ssh("alice", "gateway", "hosts")
        self.assertIn(b"hv1", done.stdout)
        self.assertIn(b"hv2", done.stdout)
