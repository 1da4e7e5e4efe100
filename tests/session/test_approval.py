# SPDX-License-Identifier: Apache-2.0
"""Two persons for a change of the policy: signed with real keys by the real ssh-keygen, loaded by a real gateway. What is
not signed by an author and another approver of the set in force leaves that set as it is, over restarts too."""
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess

import faults
import harness
import lablib

FAULTS = TRAIL_FAULTS = None  # of authd, of auditd
KEYS = {"alice": ("ed25519",), "bob": ("ecdsa",), "carol": ("rsa", "-b", "3072"), "mallory": ("ed25519",)}
ROLE = "role: extra\ndescription: {}\nmembers: [carol]\ntargets: {{env: lab}}\naccounts: [root]\nallow: {{shell: false, exec: true}}\n"


def setUpModule():
    up, _ = harness.lab_for_module(globals())
    real = lablib.Lab.make

    def make(self, *words):
        global FAULTS, TRAIL_FAULTS
        os.makedirs(self.path("faults-of-auditd"))
        TRAIL_FAULTS = faults.Faults(self.path("faults-of-auditd"), self.build)
        os.symlink(os.path.join(self.build, "tests"), os.path.join(TRAIL_FAULTS.libexec, "tests"))
        FAULTS = faults.Faults(self.dir, TRAIL_FAULTS.libexec, "sallyport-authd")
        self.libexec = FAULTS.libexec
        real(self, *words)
    lablib.Lab.make = make
    try:
        up()
    finally:
        lablib.Lab.make = real
    os.mkdir(globals()["lab"].path("keys"))
    for name, kind in KEYS.items():
        subprocess.run(["ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", name, "-f", globals()["lab"].path("keys", name)], check=True)


def tearDownModule():
    harness.lab_for_module(globals())[1]()


class ApprovalTest(harness.SessionTest):
    """The set in force is kept aside, and put back after each test."""
    approvers, people = 1, ("alice", "bob", "carol")

    def setUp(self):
        super().setUp()
        FAULTS.clear()
        TRAIL_FAULTS.clear()
        os.umask(0o022)

    def key(self, name):
        return self.lab.path("keys", name)

    def write_approvers(self, people=None, needed=None):
        lines = [f"approvers: {needed or self.approvers}", "people:"]
        for name in people or self.people:
            with open(self.key(name) + ".pub", encoding="ascii") as f:
                lines.append(f'  {name}: {{keys: ["{f.read().strip()}"]}}')
        self.lab.write_conf("approvers.yaml", "\n".join(lines) + "\n")

    def change(self, text):
        self.lab.write_conf("roles.d/extra.yaml", ROLE.format(text))

    def manifest(self, *words):
        return self.admin("policy", "manifest", *words)

    def sign(self, name, *words, check=True):
        return self.admin("policy", "sign", *words, "--key", self.key(name), "--yes", check=check)

    def signed(self, author="alice", *approvers):
        self.manifest()
        self.sign(author, "--author")
        for name in approvers or ("bob",):
            self.sign(name, "--approve")

    def by_hand(self, key, name_space, file):
        """ssh-keygen itself, where the tool would refuse."""
        signature = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", self.key(key), "-n", name_space],
                                   stdin=open(self.lab.path("conf", "manifest"), "rb"), stdout=subprocess.PIPE, check=True).stdout
        os.makedirs(self.lab.path("conf", "approvals"), exist_ok=True)
        with open(self.lab.path("conf", file), "wb") as f:
            f.write(signature)

    def refused(self, expected):
        said = self.reload()
        self.assertIn("policy-refused", said)
        self.assertIn(expected, said.replace('\\"', '"'))

    def accepted(self):
        said = self.reload()
        self.assertIn("policy-loaded", said)
        self.keep()

    def keep(self):
        shutil.rmtree(self.lab.path("kept"), ignore_errors=True)
        shutil.copytree(self.lab.conf, self.lab.path("kept"))

    def put_back(self, kept="kept"):
        shutil.rmtree(self.lab.conf)
        shutil.copytree(self.lab.path(kept), self.lab.conf)

    def in_force(self):
        return json.loads(self.admin("policy", "verify", "--json").stdout)

    def begin(self):
        """Approvers come into force, once for a class."""
        self.write_approvers()
        self.signed()
        self.accepted()

    def start_refused(self):
        """The gateway does not start; what it said."""
        with self.assertRaises(lablib.LabError):
            self.lab.start()
        return self.log()


class Approval(ApprovalTest):
    begun = False

    def setUp(self):
        super().setUp()
        if not Approval.begun:
            self.change("at the beginning")
            self.begin()
            Approval.begun = True
            self.assertIn("alice and 1 others signed", self.record("alarm", "approvers-begin").json["text"])
            self.assertEqual(self.record("policy-loaded").json["approval"]["kind"], "begin")

    def tearDown(self):
        if not self.lab.gateway_pid():
            self.put_back()
            self.lab.start()
        self.put_back()
        self.assertIn("policy-loaded", self.reload())
        super().tearDown()

    def test_a_change_of_nobody_is_refused_and_the_set_in_force_stays(self):
        self.change("on my own")
        self.refused("roles.d/extra.yaml: was changed since the manifest was made")
        self.record("alarm", "policy-not-approved")
        self.record("policy-loaded", '"event":"refused"')
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)

    def test_nobody_becomes_a_reviewer_alone(self):
        identity = subprocess.run(["age-keygen"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
        recipient = next(w for w in identity.split() if w.startswith("age1"))
        with open(self.lab.path("conf", "reviewers.yaml"), "a", encoding="utf-8") as f:
            f.write(f"  - {{name: another, recipient: {recipient}}}\n")
        self.refused("reviewers.yaml: was changed since")
        self.assertEqual(self.records("key", event="reviewers"), [])
        self.signed()
        self.accepted()
        self.record("key", "another", event="reviewers")

    def test_a_new_file_and_a_missing_one_are_refused(self):
        self.lab.write_conf("roles.d/z.yaml", ROLE.format("more").replace("role: extra", "role: z"))
        self.refused("roles.d/z.yaml: is in the policy set, and the manifest does not list it")
        os.unlink(self.lab.path("conf", "roles.d", "z.yaml"))
        os.unlink(self.lab.path("conf", "roles.d", "extra.yaml"))
        self.refused("roles.d/extra.yaml: is listed in the manifest, and not in the policy set")

    def test_a_change_of_two_comes_into_force(self):
        serial = self.in_force()["serial"]
        with open(self.lab.path("conf", "manifest"), "rb") as f:
            before = hashlib.sha256(f.read()).hexdigest()
        self.change("of two")
        self.signed("bob", "carol")
        done = json.loads(self.admin("policy", "verify", "--json").stdout)
        self.assertEqual((done["approved"], done["author"]["name"], done["kind"]), (True, "bob", "change"))
        self.accepted()
        with open(self.lab.path("conf", "manifest"), "rb") as f:
            text = f.read()
        said = self.record("policy-loaded", '"event":"loaded"').json["approval"]
        fingerprint = subprocess.run(["ssh-keygen", "-lf", self.key("bob") + ".pub"], stdout=subprocess.PIPE, text=True,
                                     check=True).stdout.split()[1]
        self.assertEqual((said["serial"], said["author"], said["author_key"]), (serial + 1, "bob", fingerprint))
        self.assertEqual([a["name"] for a in said["approved_by"]], ["carol"])
        self.assertEqual(said["manifest"], hashlib.sha256(text).hexdigest())
        self.assertIn(f"previous {before}\n".encode(), text)
        self.assertEqual(self.ssh("carol", "hv1", "true", fresh=True).returncode, 0)
        # The list of files is what sha256sum checks.
        done = subprocess.run(["sha256sum", "--check", "--strict"], input=text.split(b"\n", 3)[3], cwd=self.lab.conf,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_set_that_was_in_force_does_not_come_back(self):
        shutil.rmtree(self.lab.path("old"), ignore_errors=True)
        shutil.copytree(self.lab.conf, self.lab.path("old"))
        for text in ("one", "two"):
            self.change(text)
            self.signed()
            self.accepted()
        self.put_back("old")
        self.refused("the last one's: this set was in force before")
        # With the next serial it is made for another set than the one in force.
        serial = self.in_force_serial()
        self.manifest("--serial", str(serial + 1), "--previous", "ab" * 32)
        self.sign("alice", "--author")
        self.sign("bob", "--approve")
        self.refused("this set was made for another one")

    def in_force_serial(self):
        """Of the control socket, whatever the directory has."""
        done = self.admin("policy", "manifest", "--json", self.copy())
        return json.loads(done.stdout)["serial"] - 1

    def copy(self):
        shutil.rmtree(self.lab.path("copy"), ignore_errors=True)
        return shutil.copytree(self.lab.conf, self.lab.path("copy"))

    def test_edited_after_signing(self):
        self.change("as signed")
        self.signed()
        self.change("as edited")
        self.refused("roles.d/extra.yaml: was changed since the manifest was made")
        self.change("as signed")
        with open(self.lab.path("conf", "manifest"), "r+", encoding="ascii") as f:
            text = f.read()
            digit = text.index("  approvers.yaml") - 1
            f.seek(0)
            f.write(text[:digit] + ("0" if text[digit] != "0" else "1") + text[digit + 1:])
        self.refused("approvers.yaml: was changed")

    def test_nobody_approves_himself(self):
        self.change("of one")
        self.manifest()
        self.sign("alice", "--author")
        self.refused("found 0 approvals, expected at least 1 of others than alice")
        own = self.sign("alice", "--approve", check=False)
        self.assertEqual((own.returncode, "nobody approves his own change" in own.stderr), (1, True), own.stderr)
        lost = self.admin("policy", "sign", "--approve", "--key", self.lab.path("no-key"), "--yes", check=False)
        self.assertEqual(lost.returncode, 2, lost.stderr)
        self.by_hand("alice", "sallyport-approve", "approvals/alice.sig")
        self.refused("alice is the author, and nobody approves his own change")
        os.rename(self.lab.path("conf", "approvals", "alice.sig"), self.lab.path("conf", "approvals", "bob.sig"))
        self.refused("found the signature of alice, expected it in approvals/alice.sig")

    def test_signatures_that_do_not_count(self):
        self.change("of strangers")
        self.manifest()
        self.by_hand("mallory", "sallyport-author", "manifest.author.sig")
        self.by_hand("bob", "sallyport-approve", "approvals/bob.sig")
        self.refused("manifest.author.sig: found a signature by a key of nobody's")
        self.sign("alice", "--author")
        self.by_hand("bob", "sallyport-author", "approvals/bob.sig")
        self.refused("approvals/bob.sig: the signature was not made for sallyport-approve")
        self.by_hand("mallory", "sallyport-approve", "approvals/bob.sig")
        self.refused("approvals/bob.sig: found a signature by a key of nobody's")
        self.sign("bob", "--approve")
        with open(self.lab.path("conf", "manifest.author.sig"), "r+b") as f:
            f.truncate(100)
        self.refused("manifest.author.sig: this is no SSH signature")

    def test_a_key_in_an_agent_signs(self):
        self.change("by an agent")
        self.manifest()
        agent = self.lab.path("agent")
        child = subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL)
        self.addCleanup(lambda: (child.terminate(), child.wait()))
        harness.wait_until("the agent", lambda: os.path.exists(agent))
        env = {**self.lab.operator_env("admin"), "SSH_AUTH_SOCK": agent}
        subprocess.run(["ssh-add", "-q", self.key("alice")], env=env, check=True)
        shutil.copy(self.key("alice") + ".pub", self.lab.path("only.pub"))
        subprocess.run([os.path.join(self.lab.build, "sallyport"), "policy", "sign", "--author", "--yes", "--key",
                        self.lab.path("only.pub")], env=env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        self.sign("carol", "--approve")
        self.accepted()

    def test_removing_the_approvers_wants_approvals(self):
        os.unlink(self.lab.path("conf", "approvers.yaml"))
        self.refused("approvers.yaml: is listed in the manifest, and not in the policy set")
        for name in ("manifest", "manifest.author.sig", "approvals/bob.sig", "approvals/carol.sig"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.lab.path("conf", name))
        self.refused("manifest: not in the policy set. Approvers are in force")

    def test_the_approvers_in_force_approve_new_ones(self):
        self.write_approvers(("alice", "mallory"))
        self.manifest()
        self.sign("alice", "--author")
        self.sign("mallory", "--approve")
        self.refused("approvals/mallory.sig: found a signature by a key of nobody's")
        os.unlink(self.lab.path("conf", "approvals", "mallory.sig"))
        self.sign("bob", "--approve", "--as", "bob")
        self.accepted()
        self.change("by the new ones")
        self.manifest()
        self.sign("mallory", "--author")
        self.sign("alice", "--approve")
        self.accepted()
        self.write_approvers()
        self.manifest()
        self.sign("alice", "--author")
        self.assertIn("is nobody's in approvers.yaml", self.sign("mallory", "--approve", check=False).stderr)
        self.sign("mallory", "--approve", "--approvers", self.lab.path("kept", "approvers.yaml"))
        self.accepted()

    def test_two_approvals(self):
        self.write_approvers(needed=2)
        self.signed()
        self.accepted()
        self.write_approvers()
        self.signed()
        self.refused("found 1 approval, expected at least 2 of others than alice")
        self.by_hand("bob", "sallyport-approve", "approvals/bob2.sig")
        self.refused("approvals/bob2.sig: found the signature of bob, expected it in approvals/bob.sig")
        os.unlink(self.lab.path("conf", "approvals", "bob2.sig"))
        self.sign("carol", "--approve")
        self.accepted()

    def test_restarts(self):
        serial = self.in_force()["serial"]
        self.lab.stop()
        self.lab.start()
        self.assertEqual(self.in_force()["serial"], serial)
        self.assertEqual(self.record("policy-loaded").json["approval"]["kind"], "same")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        # Nothing else starts: an edited role, an edited configuration, no manifest.
        for name in ("roles.d/extra.yaml", "sallyport.yaml"):
            self.lab.stop()
            with open(self.lab.path("conf", name), "a", encoding="utf-8") as f:
                f.write("# root was here\n")
            before = len(self.records("alarm", event="policy-not-approved"))
            self.assertIn(f"not approved: {name}: was changed since", self.start_refused())
            self.assertGreater(len(self.records("alarm", event="policy-not-approved")), before)
            self.put_back()
            self.lab.start()
        # A signed change comes into force by a restart as it does by a reload; the configuration only so.
        with open(self.lab.path("conf", "sallyport.yaml"), "a", encoding="utf-8") as f:
            f.write("# we were here\n")
        self.signed()
        self.refused("sallyport.yaml: was changed since")
        self.lab.stop()
        self.lab.start()
        self.keep()
        self.assertEqual(self.in_force()["serial"], serial + 1)
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)

    def test_verify_offline(self):
        self.change("to look at")
        old = shutil.copy(self.lab.path("conf", "manifest"), self.lab.path("old-manifest"))
        approvers = self.lab.path("kept", "approvers.yaml")
        self.manifest("--previous", old)
        self.sign("alice", "--author", "--previous", old)
        here = self.copy()

        def verify(*words):
            return self.admin("policy", "verify", here, "--approvers", approvers, *words, check=False)
        self.assertIn("found 0 approvals", verify("--previous", old).stderr)
        self.assertEqual(verify("--previous", old).returncode, 1)
        shown = self.sign("bob", "--approve", "--previous", old).stderr
        self.assertIn("changed  roles.d/extra.yaml", shown)
        here = self.copy()
        self.assertEqual(verify("--previous", old).returncode, 0)
        self.assertIn("Not checked", verify().stdout)
        self.assertIn("made for another one", verify("--previous", "ab" * 32).stderr)
        self.assertEqual(verify("--previous", "none").returncode, 2)
        self.assertEqual(json.loads(verify("--json", "--previous", old).stdout)["approved_by"][0]["name"], "bob")

    def test_entries_are_printed_and_not_written(self):
        before = open(self.lab.path("conf", "operators.yaml"), encoding="utf-8").read()
        done = self.admin("user", "add", "newcomer", "--key", self.key("mallory") + ".pub")
        self.assertIn("newcomer:\n", done.stdout)
        self.assertIn("operators.yaml", done.stdout)
        self.assertIn("nothing was written", done.stdout)
        self.assertEqual(open(self.lab.path("conf", "operators.yaml"), encoding="utf-8").read(), before)
        before = open(self.lab.path("conf", "targets.yaml"), encoding="utf-8").read()
        print_of = subprocess.run(["ssh-keygen", "-lf", self.lab.path("hv1", "host_key.pub")], stdout=subprocess.PIPE,
                                  text=True, check=True).stdout.split()[1]
        done = self.admin("target", "add", "hv9", f"127.0.0.1:{self.lab.port_of('hv1')}", "--fingerprint", print_of)
        self.assertIn("hv9:\n", done.stdout)
        self.assertIn("nothing was written", done.stdout)
        self.assertEqual(open(self.lab.path("conf", "targets.yaml"), encoding="utf-8").read(), before)


class Crashes(ApprovalTest):
    """authd ends between the record and the store, and between the store and the set."""

    def setUp(self):
        super().setUp()
        if not self.in_force()["serial"]:
            self.change("at the beginning")
            self.begin()
        self.keep()

    def tearDown(self):
        FAULTS.clear()
        TRAIL_FAULTS.clear()
        self.put_back()
        self.assertIn("policy-loaded", self.reload())
        super().tearDown()

    def kill_authd(self):
        old, = self.gateway_processes()["sallyport-authd"]
        lablib.Lab.kill(old, 9)

        def anew():
            new = self.gateway_processes().get("sallyport-authd", [])
            return new and new != [old]
        harness.wait_until("authd is there again", anew)

    def test_after_the_record(self):
        """The record of the new set is written, and authd never hears that it is durable."""
        serial = self.in_force()["serial"]
        self.change("that is recorded")
        self.signed()
        TRAIL_FAULTS.set("fdatasync", count=1000, delay_ms=120000)
        lablib.Lab.kill(self.lab.gateway_pid(), 1)
        self.record("policy-loaded", event="loaded")
        self.kill_authd()
        TRAIL_FAULTS.clear()
        self.works_with(serial + 1)
        # It was no more than recorded: so it was approved again, and is in the trail twice.
        said = [r.json["approval"] for r in self.records("policy-loaded", event="loaded")]
        self.assertEqual([(a["kind"], a["serial"]) for a in said],
                         [("change", serial + 1), ("same", serial), ("change", serial + 1)])

    def test_a_store_that_fails(self):
        serial = self.in_force()["serial"]
        self.change("that cannot be stored")
        self.signed()
        FAULTS.set("fdatasync", count=1000, error="EIO")
        self.refused("the approval cannot be stored")
        self.record("policy-loaded", event="refused")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)  # the old set stays
        # What SQLite could not make durable may be there or not after a crash: both are consistent.
        self.kill_authd()
        FAULTS.clear()
        harness.wait_until("sessions", lambda: self.ssh("alice", "hv1", "true").returncode == 0)
        self.accepted()
        self.works_with(serial + 1)

    def works_with(self, serial):
        harness.wait_until("the new set", lambda: self.records("policy-loaded", event="loaded") and
                           self.admin("policy", "verify", "--json", check=False).returncode == 0 and
                           self.in_force()["kind"] == "same")
        harness.wait_until("sessions", lambda: self.ssh("alice", "hv1", "true").returncode == 0)
        self.assertEqual(self.in_force()["serial"], serial)
        self.keep()

    def test_after_the_store(self):
        serial = self.in_force()["serial"]
        self.change("that is stored")
        self.signed()
        FAULTS.set("fdatasync", delay_ms=120000)
        lablib.Lab.kill(self.lab.gateway_pid(), 1)
        harness.wait_until("the store is being written", lambda: FAULTS.seen("fdatasync") >= 1)
        self.kill_authd()
        FAULTS.clear()
        self.works_with(serial + 1)


class Lost(ApprovalTest):
    """All keys are lost: root takes the approvers out of the store, and that is an alarm."""

    def test_root_begins_anew(self):
        if not self.in_force()["serial"]:
            self.begin()
        self.change("that is not the first one")
        self.signed()
        self.accepted()
        self.change("by nobody")
        self.lab.stop()
        self.assertIn("not approved", self.start_refused())
        store = sqlite3.connect(self.lab.path("state", "auth", "store.db"))
        store.execute("DELETE FROM approval")
        store.commit()
        store.close()
        # What was made for the history before is no beginning.
        self.put_back()
        self.assertIn("no approvers are in force on this gateway", self.start_refused())
        self.manifest("--previous", "none")
        self.sign("alice", "--author")
        self.sign("bob", "--approve")
        self.lab.start()
        self.record("alarm", "approvers-begin")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)


class End(ApprovalTest):
    def test_from_the_end_to_a_new_beginning(self):
        if not self.in_force()["serial"]:
            self.begin()
        serial = self.in_force()["serial"]
        os.unlink(self.lab.path("conf", "approvers.yaml"))
        self.manifest()
        self.sign("alice", "--author", "--as", "alice")
        self.sign("bob", "--approve", "--as", "bob")
        self.accepted()
        self.record("alarm", "approvers-end")
        # From now on root changes what root likes, and a stale manifest is said to be one.
        self.change("by root alone")
        self.assertIn("the manifest was not looked at", self.reload())
        self.assertIn("Added to", self.admin("user", "add", "newcomer", "--key", self.key("mallory") + ".pub").stdout)
        # The serial goes on.
        self.write_approvers()
        self.manifest("--serial", str(serial), "--previous", "none")
        self.sign("alice", "--author")
        self.sign("bob", "--approve")
        self.refused("found serial")
        self.signed()
        self.accepted()
        self.assertGreater(self.in_force()["serial"], serial + 1)
