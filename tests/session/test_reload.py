# SPDX-License-Identifier: Apache-2.0
"""Configuration and policy: bad files keep the old set in force and are named; locks end live sessions."""
import json
import os
import subprocess
import time

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals(), extra_operators=2)

BAD_ROLE = """role: broken
memebers: [alice]
targets: {env: lab}
accounts: [root]
allow: {shell: true}
"""


class Reload(harness.SessionTest):
    def tearDown(self):
        for name in ("broken.yaml", "extra.yaml"):
            path = self.lab.path("conf", "roles.d", name)
            if os.path.exists(path):
                os.unlink(path)
        self.reload()
        super().tearDown()

    def test_a_bad_role_file_keeps_the_old_set(self):
        child = self.live()
        self.lab.write_conf("roles.d/broken.yaml", BAD_ROLE)
        said = self.reload()
        self.assertIn("roles.d/broken.yaml:2:1", said)
        self.assertIn("memebers", said)
        self.assertIn("members", said)
        self.record("policy-loaded", "broken.yaml")
        child.stdin.write(b"still\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), b"still\n")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)

    def test_other_mistakes_are_named_with_their_place(self):
        for text, expected in (("role: broken\nmembers: alice\n", "broken.yaml:2:"),
                               (BAD_ROLE.replace("memebers", "members").replace("true", "perhaps"), "broken.yaml:5:16"),
                               ("role: broken\n  x: [\n", "broken.yaml:"),
                               ("role: a\nrole: b\n", "broken.yaml:2:1")):
            with self.subTest(text=text):
                self.lab.write_conf("roles.d/broken.yaml", text)
                said = self.reload()
                self.assertIn(expected, said)
                self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)

    def test_a_file_that_others_can_write_is_refused(self):
        self.lab.write_conf("roles.d/extra.yaml", BAD_ROLE.replace("memebers", "members"))
        os.chmod(self.lab.path("conf", "roles.d", "extra.yaml"), 0o666)
        self.assertIn("extra.yaml", self.reload())
        self.record("alarm", "extra.yaml")

    def test_a_symlink_is_refused(self):
        self.lab.write_conf("aside", BAD_ROLE.replace("memebers", "members"))
        os.symlink("../aside", self.lab.path("conf", "roles.d", "extra.yaml"))
        self.assertIn("extra.yaml", self.reload())

    def test_a_good_set_comes_into_force(self):
        self.assertEqual(self.ssh("carol", "hv1", "true", fresh=True).returncode, 77)
        self.lab.write_conf("roles.d/extra.yaml", "role: extra\nmembers: [carol]\ntargets: {env: lab}\naccounts: [root]\n"
                            "factors: [key, totp]\nallow: {shell: false, exec: true}\n")
        self.reload()
        self.record("policy-loaded", '"event":"loaded"')
        self.assertEqual(self.ssh("carol", "hv1", "true", fresh=True).returncode, 0)


    def test_a_set_that_fails_its_own_tests_keeps_the_old_one(self):
        os.makedirs(self.lab.path("conf", "roles.d", "tests"), exist_ok=True)
        path = self.lab.path("conf", "roles.d", "tests", "broken.yaml")
        self.addCleanup(self.reload)
        self.addCleanup(os.unlink, path)
        self.lab.write_conf("roles.d/tests/broken.yaml",
                            "- {as: alice, on: hv1, account: root, from: 127.0.0.1, run: id, expect: allow}\n"
                            "- {as: carol, on: hv1, account: root, run: id, expect: allow}\n")
        said = self.reload()
        self.assertIn("roles.d/tests/broken.yaml:2:3: the test fails (carol as root on hv1: run id)", said)
        self.assertIn("found deny because no-role", said)
        self.record("policy-loaded", "the test fails")
        self.lab.write_conf("roles.d/tests/broken.yaml",
                            "- {as: alice, on: hv1, account: root, from: 127.0.0.1, run: id, expect: allow}\n"
                            "- {as: carol, on: hv1, account: root, run: id, expect: deny, because: no-role}\n")
        self.reload()
        self.record("policy-loaded", '"event":"loaded"')

    def test_the_tool_loads_a_set_and_says_what_came_of_it(self):
        self.lab.write_conf("roles.d/broken.yaml", BAD_ROLE)
        done = self.admin("policy", "check", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("roles.d/broken.yaml:2:1: error: unknown key \"memebers\"", done.stdout)
        done = self.admin("policy", "load", check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("roles.d/broken.yaml:2:1", done.stdout + done.stderr)
        self.record("policy-loaded", "broken.yaml")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        self.lab.write_conf("roles.d/broken.yaml", BAD_ROLE.replace("memebers", "members"))
        self.assertEqual(self.admin("policy", "check").returncode, 0)
        loaded = json.loads(self.admin("policy", "load", "--json").stdout)
        self.assertTrue(loaded["loaded"])
        record = self.record("policy-loaded", '"event":"loaded"')
        self.assertIn(loaded["hash"], json.dumps(record.json))

    def test_hours_and_whom_to_ask(self):
        # Of the site, for all roles: first a day that is two days ahead in every zone, then all days.
        day = time.gmtime(time.time() + 3 * 86400).tm_wday
        site = "contact: group:policy-admins\nwhen: [\"%s 00:00-24:00 Asia/Seoul\"]\n"
        self.addCleanup(self.reload)
        self.addCleanup(os.unlink, self.lab.path("conf", "site.yaml"))
        self.lab.write_conf("site.yaml", site % ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day])
        self.reload()
        self.shows(self.ssh("alice", "hv1", "true"), "/when; ask group:policy-admins", 77)
        self.record("decision", '"because":"[a-z0-9_.-]+/when"')
        self.lab.write_conf("site.yaml", site % "Mon-Sun")
        self.reload()
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)


class Start(harness.SessionTest):
    """The daemon refuses to start with a file that is not right, and says where."""

    def start_with(self, name, text):
        directory = self.lab.path("conf-bad")
        subprocess.run(["rm", "-rf", directory], check=True)
        subprocess.run(["cp", "-a", self.lab.conf, directory], check=True)
        with open(os.path.join(directory, name), "a" if name == "sallyport.yaml" else "w", encoding="utf-8") as f:
            f.write(text)
        return subprocess.run([os.path.join(self.lab.build, "sallyportd"), "-c", directory, "--libexec", self.lab.build,
                               "--check"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=harness.TIMEOUT, check=False)

    def test_configuration(self):
        lines = sum(1 for _ in open(self.lab.path("conf", "sallyport.yaml"), encoding="utf-8"))
        for text, expected in (("lissten: []\n", f"sallyport.yaml:{lines + 1}:1"),
                               ("deadlines: {login: soon}\n", f"sallyport.yaml:{lines + 1}:20")):
            done = self.start_with("sallyport.yaml", text)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(expected, done.stdout)

    def test_role(self):
        done = self.start_with("roles.d/broken.yaml", BAD_ROLE)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("roles.d/broken.yaml:2:1", done.stdout)

    def test_operators(self):
        done = self.start_with("operators.yaml", "operators:\n  alice:\n    keys: [\"ssh-ed25519 AAAA\"]\n")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("operators.yaml:3:", done.stdout)

    def test_right_files_pass(self):
        done = self.start_with("roles.d/fine.yaml", BAD_ROLE.replace("memebers", "members"))
        self.assertEqual(done.returncode, 0, done.stdout)


class Locks(harness.SessionTest):
    def test_a_lock_ends_live_sessions(self):
        child = self.live("op1")
        other = self.live("op2")
        self.admin("user", "lock", "op1", "--reason", "left the company")
        child.stdin.close()
        child.stdin = None
        _, err = child.communicate(timeout=harness.TIMEOUT)
        self.assertNotEqual(child.returncode, 0)
        self.assertIn(b"lock", err)
        self.record("admin-act", "left the company")
        self.record("session-end", "lock")
        other.stdin.write(b"me not\n")
        other.stdin.flush()
        self.assertEqual(other.stdout.readline(), b"me not\n")
        self.shows(self.ssh("op1", "hv1", "true", fresh=True), "locked", 77)
        self.admin("user", "unlock", "op1")
        self.assertEqual(self.ssh("op1", "hv1", "true", fresh=True).returncode, 0)

    def test_a_lock_while_the_operator_is_typing(self):
        for _ in range(2):  # the second login needs a code: a lock ends the remembered ones
            child = self.live("op2", command="head -n 1; cat >/dev/null")
            lock = subprocess.Popen([os.path.join(self.lab.build, "sallyport"), "user", "lock", "op2", "--reason", "now"],
                                    env=self.lab.operator_env("admin"), stdout=subprocess.DEVNULL)
            try:
                while child.poll() is None:
                    child.stdin.write(b"and so on\n")
                    child.stdin.flush()
            except BrokenPipeError:
                pass
            self.assertEqual(lock.wait(), 0)
            self.assertIn(b"lock", child.stderr.read())
            self.record("session-end", '"reason":"locked"')
            self.admin("user", "unlock", "op2")
        self.assertEqual(self.records("alarm"), [])
