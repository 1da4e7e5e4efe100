# SPDX-License-Identifier: Apache-2.0
"""The first door, attacked with SSH that no honest client speaks: what comes before, between and instead of the two
factors; names; codes; channels. Each test is a class of attack that has bitten somebody."""
import json
import os
import signal
import struct
import subprocess
import threading

import paramiko

import harness
import raw_ssh
from raw_ssh import FAILURE, PROMPT, SUCCESS, Ended, Raw

setUpModule, tearDownModule = harness.lab_for_module(globals(), extra_operators=6)


class Threats(harness.SessionTest):
    def setUp(self):
        harness.wait_until("no session is left", lambda: not self.servers_and_children("sallyport-backend")[1])
        super().setUp()
        self.connections_before = self.target_connections()

    def target_connections(self):
        with open(self.lab.path("hv1", "log"), encoding="utf-8", errors="replace") as f:
            return f.read().count("Connection from ")

    def raw(self, target="hv1:22", **how):
        r = Raw(self.lab, target, **how)
        self.addCleanup(r.close)
        return r

    def nothing_happened(self):
        """No session, and not so much as a connection to the target."""
        self.assertEqual(self.records("session-start"), [])
        self.assertEqual(self.records("decision"), [])
        self.assertEqual(self.target_connections(), self.connections_before)

    def failures(self, operator):
        users = json.loads(self.admin("user", "list", "--json").stdout)
        users = users["users"] if isinstance(users, dict) else users
        return next(u for u in users if u["operator"] == operator)


class BeforeLogin(Threats):
    def test_a_client_that_declares_itself_logged_in(self):
        for early in (False, True):
            r = self.raw()
            if not early:
                r.service()
            try:
                r.send(52)
                r.send(90, "session", 0, 1 << 20, 1 << 15)
            except Ended:
                pass
            self.assertTrue(r.ends(), "a channel was not refused by a disconnect")
        self.nothing_happened()

    def test_messages_of_the_connection_protocol(self):
        for fields in ((90, "session", 0, 1 << 20, 1 << 15), (98, 0, "exec", True, "id"), (94, 0, "data"),
                       (80, "tcpip-forward", True, "127.0.0.1", 0),
                       (90, "direct-tcpip", 0, 1 << 20, 1 << 15, "127.0.0.1", 22, "127.0.0.1", 1)):
            for first_factor in (False, True):
                with self.subTest(message=fields[0], first_factor=first_factor):
                    r = self.raw()
                    r.service()
                    if first_factor:
                        r.sign("alice")
                        self.assertEqual(r.number(), FAILURE)  # partial success: a code is wanted
                    try:
                        r.send(*fields)
                        if fields[0] in (94, 98):  # libssh drops them: there is no such channel
                            self.assertNotIn(r.number(1), (SUCCESS, PROMPT))
                            continue
                    except Ended:
                        continue
                    self.assertTrue(r.ends())
        self.nothing_happened()

    def test_a_key_that_was_only_shown_is_no_factor(self):
        code = self.code("op1")
        r = self.raw().service()
        r.probe("op1")
        self.assertEqual(r.number(), PROMPT)  # SSH_MSG_USERAUTH_PK_OK
        r.ask_prompt()
        self.assertEqual(r.number(), FAILURE)
        try:
            r.respond(code)
            self.assertNotIn(r.number(2), (SUCCESS, PROMPT))
        except Ended:
            pass
        self.nothing_happened()

    def test_the_key_is_the_one_that_signed(self):
        r = self.raw("gateway:22", device="alice").service()
        r.probe("bob", user="x")
        self.assertEqual(r.number(), PROMPT)
        r.sign("alice", user="x")
        self.assertEqual(r.number(), SUCCESS)
        r.channels()
        self.assertIn("alice", self.whoami(r))
        r = self.raw().service()
        r.sign("alice", shown="bob")  # her signature over a request that names his key
        try:
            self.assertIsNone(r.number(2), "a wrong signature was answered")
        except Ended:
            pass

    @staticmethod
    def whoami(r):
        channel = r.t.open_session(timeout=harness.TIMEOUT)
        channel.exec_command("whoami")
        return channel.makefile().read().decode()

    def test_the_user_name_is_bound(self):
        r = self.raw().service()
        r.sign("alice", user="root")
        self.assertEqual(r.number(), FAILURE)
        try:
            r.ask_prompt(user="admin")
        except Ended:
            pass
        self.assertTrue(r.ends())
        self.nothing_happened()

    def test_factors_of_two_operators_make_no_login(self):
        r = self.raw().service()
        r.sign("op1")
        self.assertEqual(r.number(), FAILURE)
        r.sign("bob")
        self.assertEqual(r.number(), FAILURE)
        r.ask_prompt()
        self.assertEqual(r.number(), PROMPT)
        r.respond(self.code("bob"))
        self.assertNotEqual(r.number(), SUCCESS)
        self.nothing_happened()
        self.assertEqual(self.record("authentication", "wrong-code").json["operator"], "op1")
        self.assertEqual(self.failures("bob")["failures"], 0)

    def test_none_password_hostbased_and_gssapi(self):
        for method, *fields in (("none",), ("password", False, "x"), ("hostbased", "ssh-ed25519", "", "h", "u", ""),
                                ("gssapi-with-mic", 1 << 31), ("gssapi-with-mic", 1, "\x06\x09xxxxxxxxx")):
            r = self.raw().service()
            try:
                r.send(50, "root", "ssh-connection", method, *fields)
                self.assertNotIn(r.number(2), (SUCCESS, PROMPT), method)
            except Ended:
                pass
        self.nothing_happened()

    def test_algorithms_that_are_offered(self):
        s = raw_ssh.tunnel(self.lab)
        self.addCleanup(s.close)
        kex, keys, *rest = raw_ssh.server_kexinit(s)
        ciphers, macs, compression = set(rest[0] + rest[1]), set(rest[2] + rest[3]), set(rest[4] + rest[5])
        self.assertLessEqual(ciphers, {"aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes128-ctr"})
        self.assertEqual([m for m in macs if "sha1" in m or "md5" in m], [])
        self.assertEqual(compression, {"none"})
        self.assertEqual(keys, ["ssh-ed25519"])
        self.assertEqual([k for k in kex if "sha1" in k or "group" in k], [])
        self.assertIn("kex-strict-s-v00@openssh.com", kex)

    def test_only_compression_is_no_common_algorithm(self):
        with self.assertRaises((paramiko.SSHException, EOFError, OSError)):
            self.raw(compression=("zlib", "zlib@openssh.com"))

    def test_impossible_lengths(self):
        for length in (0xFFFFFFFF, 0x7FFFFFFF, 1 << 20, 0, 1):
            with self.subTest(length=length):
                s = raw_ssh.tunnel(self.lab)
                raw_ssh.server_kexinit(s)
                s.sendall(struct.pack(">IB", length, 4) + bytes(64))
                self.assertLess(len(raw_ssh.read_all(s)), 1000)
                s.close()
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        self.assertEqual(self.records("alarm"), [])

    def test_a_flood_before_the_login_ends(self):
        for number in (192, 2):
            r = self.raw().service()
            with self.assertRaises(Ended):
                for _ in range(40000):
                    r.send(number, "x" * 100)
                    if not r.t.is_active():
                        raise Ended
        self.assertEqual(self.records("alarm"), [])


class Codes(Threats):
    def test_many_answers_to_one_prompt(self):
        r = self.raw().service()
        r.sign("op2")
        r.number()
        r.ask_prompt()
        self.assertEqual(r.number(), PROMPT)
        with self.assertRaises(Ended):
            for i in range(100):
                r.respond(f"{i:06}")
                self.assertNotEqual(r.number(0), SUCCESS)
            if r.ends():
                raise Ended
        # Each that was looked at was counted; the third ends the connection.
        self.assertIn(self.failures("op2")["failures"], (1, 2, 3))
        self.nothing_happened()
        self.admin("user", "unlock", "op2")

    def test_several_answers_in_one_response(self):
        r = self.raw().service()
        r.sign("op2")
        r.number()
        r.ask_prompt()
        self.assertEqual(r.number(), PROMPT)
        try:
            r.respond("000000", self.code("op2"), "111111")
        except Ended:
            pass
        self.assertTrue(r.ends())
        self.nothing_happened()

    def test_guesses_are_counted_across_connections_and_a_restart(self):
        def guess():
            r = self.raw()
            return r.login("op3", code="000000"), r.close()
        guess(), guess()
        self.kill_authd()
        self.assertEqual(self.failures("op3")["failures"], 2)
        guess(), guess(), guess()
        self.assertIn("wrong codes", self.failures("op3")["locked"])
        # Both factors right: now the lock is told, and no session begins.
        r = self.raw()
        self.assertEqual(r.login("op3", code=self.code("op3")), SUCCESS)
        status, said = r.run()
        self.assertEqual(status, 77)
        self.assertIn("locked until", said)
        self.assertEqual(self.records("session-start"), [])
        self.admin("user", "unlock", "op3")

    def kill_authd(self):
        (pid,) = self.gateway_processes()["sallyport-authd"]
        os.kill(pid, signal.SIGKILL)
        harness.wait_until("another authd", lambda: self.gateway_processes().get("sallyport-authd", [pid]) != [pid])
        harness.wait_until("it answers", lambda: self.admin("user", "list", check=False).returncode == 0)

    def test_one_code_is_one_login(self):
        """In parallel, and again after the one who took it was killed."""
        waiting = [self.raw() for _ in range(5)]
        for r in waiting:
            r.service()
            r.sign("op4")
            self.assertEqual(r.number(), FAILURE)
            r.ask_prompt()
            self.assertEqual(r.number(), PROMPT)
        code, answers = self.code("op4"), []
        threads = [threading.Thread(target=lambda r=r: (r.respond(code), answers.append(r.number()))) for r in waiting]
        for t in threads:
            t.start()
        for t in threads:
            t.join(harness.TIMEOUT)
        self.assertEqual((answers.count(SUCCESS), len(answers)), (1, 5))
        self.kill_authd()
        r = harness.wait_until("logins", lambda: self.try_raw())
        self.assertNotEqual(r.login("op4", code=code), SUCCESS)
        self.record("authentication", "code-used")

    def try_raw(self):
        try:
            return self.raw()
        except (OSError, EOFError, Ended, paramiko.SSHException):
            return None

    def test_texts_tell_nobody_apart(self):
        """With a wrong code, an operator in order, a locked one and one without role see the same."""
        said = {}
        for operator in ("op5", "dave", "carol"):
            done = self.ssh(operator, "hv1", "true", fresh=True, env=self.answering("000000"),
                            options=("-o", "NumberOfPasswordPrompts=3"))
            # The last line is OpenSSH's, about how the connection ended.
            said.setdefault((done.returncode, done.stdout, *done.stderr.splitlines()[:-1]), []).append(operator)
        self.assertEqual(len(said), 1, said)

    def test_strangers_lock_nobody_out_and_write_little(self):
        key = paramiko.Ed25519Key.from_private_key_file(self.stranger())
        for i in range(30):
            r = self.raw()
            r.key = lambda _operator: key
            r.service()
            r.sign("stranger", user=("alice", "root", "dave", "bob")[i % 4])
            try:
                self.assertEqual(r.number(), FAILURE)
                r.ask_prompt("alice" if i % 4 == 0 else ("root", "dave", "bob")[i % 4 - 1])
                self.assertEqual(r.number(), FAILURE)
            except Ended:
                pass
            r.close()
        for name in ("alice", "bob", "carol", "erin"):
            self.assertEqual((self.failures(name)["failures"], self.failures(name)["locked"]), (0, None))
        self.assertLessEqual(len([r for r in self.records() if r.type != "seal"]), 6, "a stranger fills the trail")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)

    def stranger(self):
        path = self.lab.path("stranger")
        if not os.path.exists(path):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path


class Names(Threats):
    def test_connect_takes_plain_names_alone(self):
        for target in ("$(id):22", "hv1\n:22", "hv1\0:22", "x" * 65536 + ":22", "../../x:22", "[::1]:22", "hv1:022",
                       "hv1", ":22", "hv1:65536", "h\u00e9:22", "a@hv1:22", "hv1:22\r\nContent-Length: 5"):
            with self.subTest(target=target[:30]):
                with self.assertRaises((Ended, OSError)) as caught:
                    raw_ssh.tunnel(self.lab, target)
                self.assertNotIn("200", str(caught.exception))
        self.nothing_happened()

    def test_users_and_targets_that_are_none(self):
        """After both factors; alice could reach hv1 and hv2 as root."""
        for user, target in (("root@HV1", None), ("root@hv1.", None), ("root@hv1@hv2", None), ("root%hv1", None),
                             ("@hv1", None), ("root@", None), ("root@127.0.0.1", None), ("root@hv\u0661", None),
                             ("../../x", "hv1:22"), ("$(id)", "hv1:22"), ("root\n", "hv1:22"), ("root\0", "hv1:22"),
                             ("Root", "hv1:22"), ("root", "HV1:22"), ("root", "hv1.:22"), ("root", "hv1:2222"),
                             ("-oProxyCommand=id", "hv1:22"), ("root@hv2", "hv1:22"), ('x\n{"ok":1}', "hv1:22")):
            with self.subTest(user=user, target=target):
                r = self.raw(target, device="alice")
                try:
                    if r.login("alice", user, seconds=2) != SUCCESS:
                        continue
                    status, said = r.run()
                except Ended:
                    continue
                self.assertEqual(status, 77, said)
                self.assertTrue(said.startswith("sallyport: ") and said.isprintable() or said.endswith("\r\n"), said)
        self.assertEqual(self.records("session-start"), [])
        self.assertNotIn('\n{"ok":1}', self.log())
        for record in self.records():
            if record.type != "seal":  # a signed note
                json.loads(record.payload)
            self.assertNotIn(b'\n{"ok":1}', record.payload)

    def test_a_very_long_user_name(self):
        r = self.raw(device="alice").service()
        try:
            r.sign("alice", user="x" * 30000)
        except Ended:
            pass
        self.assertTrue(r.ends())


class AfterLogin(Threats):
    def logged_in(self):
        r = self.raw(device="alice")
        self.assertEqual(r.login("alice"), SUCCESS)
        return r.channels()

    def test_channels_are_ten(self):
        t = self.logged_in()
        channels = [t.open_session(timeout=harness.TIMEOUT) for _ in range(10)]
        with self.assertRaises(paramiko.ChannelException):
            t.open_session(timeout=harness.TIMEOUT)
        channels[0].exec_command("echo still")
        self.assertEqual(channels[0].makefile().read(), b"still\n")

    def test_a_login_is_not_made_a_second_time(self):
        """Authentication after the login changes nobody's identity."""
        r = self.raw("gateway:22", device="alice")
        self.assertEqual(r.login("alice", "x"), SUCCESS)
        r.channels()
        try:
            r.sign("bob", user="x")
            r.ask_prompt("x")
            self.assertIn("alice", BeforeLogin.whoami(r))
        except (Ended, EOFError, OSError, paramiko.SSHException):
            pass  # libssh hangs up over it
        self.assertEqual(self.records("authentication", operator="bob"), [])

    def test_two_starts_on_one_channel(self):
        channel = self.logged_in().open_session(timeout=harness.TIMEOUT)
        channel.exec_command("sleep 2")
        with self.assertRaises(paramiko.SSHException):
            channel.exec_command("id")

    def test_a_kind_of_channel_that_nobody_knows(self):
        t = self.logged_in()
        for kind, more in (("direct-tcpip", {"dest_addr": ("127.0.0.1", 22), "src_addr": ("127.0.0.1", 1)}),
                           ("x11", {"src_addr": ("127.0.0.1", 1)}), ("tun@openssh.com", {}), ("direct-streamlocal@openssh.com", {})):
            with self.assertRaises(paramiko.SSHException):
                t.open_channel(kind, timeout=harness.TIMEOUT, **more)
        t.open_session(timeout=harness.TIMEOUT).exec_command("true")
