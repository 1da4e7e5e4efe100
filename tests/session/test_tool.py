# SPDX-License-Identifier: Apache-2.0
"""The command-line tool: help, mistakes, lists, enrolment, and the trail's readers."""
import json
import os
import re
import shutil
import subprocess
import tempfile

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals(), extra_operators=2)


class Tool(harness.SessionTest):
    def test_help_for_each_verb(self):
        for verb in ("init", "setup", "connect", "login", "whoami", "user", "target", "status", "audit"):
            done = self.admin(verb, "--help")
            self.assertIn("usage: sallyport " + verb, done.stdout)
        self.assertIn("usage: sallyport", self.admin("--help").stdout)
        self.assertRegex(self.admin("--version").stdout, r"^sallyport \d")

    def test_a_mistyped_verb(self):
        done = self.admin("statsu", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn('did you mean "status"?', done.stderr)
        done = self.admin("user", "lsit", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn('did you mean "list"?', done.stderr)

    def test_init_overwrites_nothing(self):
        done = self.admin("init", "-c", self.lab.conf, "--state", self.lab.state, "--gateway", "x.test", "--users",
                          "300000", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is there already", done.stderr)

    def test_lists(self):
        users = {u["operator"]: u for u in json.loads(self.admin("user", "list", "--json").stdout)}
        self.assertLessEqual({"alice", "bob", "carol", "dave", "erin"}, set(users))
        self.assertTrue(users["alice"]["enrolled"])
        self.assertTrue(users["dave"]["locked"])
        targets = json.loads(self.admin("target", "list", "--json").stdout)
        self.assertEqual(len(targets), 2)
        self.assertIn("alice", self.admin("user", "list").stdout)
        self.assertIn("hv1", self.admin("target", "list").stdout)

    def test_status(self):
        json.loads(self.admin("status", "--json").stdout)
        overview = self.admin("status").stdout
        self.assertIn("operators can log in", overview)
        self.assertRegex(overview, r"(?m)^sallyport-auditd +\d+ +running ")
        self.assertEqual(self.admin("status", "--sessions").stdout, "no session runs\n")
        self.live()
        self.assertIn("alice", self.admin("status", "--sessions").stdout)

    def test_who_is_no_admin_is_refused(self):
        # Not from the build: who is no administrator may not be able to reach that.
        program = shutil.copy(os.path.join(self.lab.build, "sallyport"), tempfile.mkdtemp(prefix="sallyport-"))
        self.addCleanup(shutil.rmtree, os.path.dirname(program))
        os.chmod(os.path.dirname(program), 0o755)
        done = subprocess.run([program, "user", "list"], user=65534, group=65534, extra_groups=[],
                              env={"SALLYPORT_CONF": self.lab.conf}, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, cwd="/", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not in `admins`", done.stderr)
        self.assertNotIn("alice", done.stdout)

    def test_unknown_operator(self):
        done = self.admin("user", "lock", "nobody9", "--reason", "x", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nobody9", done.stderr)

    def test_adding_keeps_the_file_and_a_bad_entry_is_taken_back(self):
        key = self.lab.path("new-key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        path = self.lab.path("conf", "operators.yaml")
        with open(path, encoding="utf-8") as f:
            before = f.read()
        self.admin("user", "add", "newcomer", "--key", key + ".pub", "--name", "New Comer")
        self.record("admin-act", "newcomer")
        with open(path, encoding="utf-8") as f:
            after = f.read()
        self.assertTrue(after.startswith(before.rstrip("\n")))
        done = self.admin("user", "add", "twin", "--key", key + ".pub", check=False)
        self.assertEqual(done.returncode, 1)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(f.read(), after)

    def test_target_add_wants_the_right_fingerprint(self):
        port = self.lab.port_of("hv1")
        done = self.admin("target", "add", "hv9", f"127.0.0.1:{port}", "--fingerprint", "SHA256:wrong", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing was added", done.stderr)
        done = self.admin("target", "add", "hv9", f"127.0.0.1:{port}", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("SHA256:", done.stdout)


class Enrolment(harness.SessionTest):
    def login(self, name, directory, env=None, *more):
        return subprocess.run([os.path.join(self.lab.build, "sallyport"), "login", "--dir", directory, *more],
                              env={**self.lab.operator_env(name), **(env or {})}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=harness.TIMEOUT,
                              check=False)

    def test_login_renews_with_a_code(self):
        done = self.login("op1", self.lab.path("as", "op1"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("remembered until", done.stdout)

    def test_a_wrong_token_enrols_nobody(self):
        done = self.login("op1", self.lab.path("as", "op1", "fresh"), self.answering("spe-aaaa-bbbb-cccc-dddd"))
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("otpauth", done.stdout)

    def test_a_token_works_once(self):
        token = re.search(r"spe-\S+", self.admin("user", "enroll", "op2").stdout)[0]
        self.record("admin-act", "enrol")
        with open(self.lab.path("as", "op2", "token"), "w", encoding="ascii") as f:
            f.write(token)
        os.unlink(self.lab.path("as", "op2", "totp"))
        child = subprocess.Popen([os.path.join(self.lab.build, "sallyport"), "login", "--dir",
                                  self.lab.path("as", "op2")], env=self.lab.operator_env("op2"),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for line in child.stdout:
            if found := re.search(r"secret=([A-Z2-7]+)", line):
                with open(self.lab.path("as", "op2", "totp"), "w", encoding="ascii") as f:
                    f.write(found[1])
        self.assertEqual(child.wait(), 0)
        child.stdout.close()
        done = self.login("op2", self.lab.path("as", "op2", "fresh"), self.answering(token))
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("otpauth", done.stdout)

    def test_forget(self):
        done = self.login("bob", self.lab.path("as", "bob"), None, "--forget")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(os.path.exists(self.lab.path("as", "bob", "device.pem")))


class Reading(harness.SessionTest):
    def test_verify_list_show_play(self):
        self.ssh("alice", "hv1", "echo for the record")
        session = self.finished_session()
        done = self.admin("audit", "verify", "--anchor", self.lab.path("state", "public", "anchor.pub"))
        self.assertIn("verified", done.stdout)
        self.assertIn(session[:8], self.admin("audit", "list").stdout)
        identity = ("--identity", self.lab.path("state", "keys", "reviewer.identity"))
        shown = self.admin("audit", "show", session)
        self.assertNotIn("echo for the record", shown.stdout)
        self.assertIn("--identity", shown.stderr)
        self.assertIn("echo for the record", self.admin("audit", "show", *identity, session).stdout)
        self.assertIn("for the record", self.admin("audit", "play", *identity, session).stdout)
