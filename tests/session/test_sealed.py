# SPDX-License-Identifier: Apache-2.0
"""Recordings are sealed: what was typed or seen is nowhere below the gateway's directories but for the reviewers, each of
whom reads what is his; and Debian's age opens the keys."""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import struct
import subprocess

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import harness
import trail
import unseal

setUpModule, tearDownModule = harness.lab_for_module(globals())


def spellings(marker):
    """A text as it may stand in a file: plain, in hexadecimal, and in base64 at each of its three places."""
    raw = marker.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw)
        yield whole[(8 * before + 5) // 6:len(raw) * 8 // 6]


def files_below(*roots):
    for root in roots:
        for directory, _, names in os.walk(root):
            for path in (os.path.join(directory, name) for name in names):
                if os.path.isfile(path):
                    yield path


class Sealed(harness.SessionTest):
    def identity(self, name):
        """A new identity of age-keygen's: the file, and its recipient."""
        path = self.lab.path(name + ".identity")
        if not os.path.exists(path):
            subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
        done = subprocess.run(["age-keygen", "-y", path], check=True, capture_output=True, text=True)
        return path, done.stdout.strip()

    def write_reviewers(self, text):
        with open(self.lab.path("conf", "reviewers.yaml"), "w", encoding="utf-8") as f:
            f.write(text)

    def reviewers(self, text):
        """Puts a list into force."""
        before = len(self.records("key", event="reviewers"))
        self.write_reviewers(text)
        os.kill(self.lab.gateway_pid(), signal.SIGHUP)
        harness.wait_until("the new list", lambda: len(self.records("key", event="reviewers")) > before)

    def first(self):
        with open(self.lab.path("state", "keys", "reviewer.identity"), encoding="ascii") as f:
            return re.search(r"age1\w+", f.read())[0]

    def test_nothing_typed_or_seen_is_in_the_clear(self):
        markers = {name: f"Mk{name}Qz7Xw9Lp3Vn5" for name in ("typed", "seen", "exec", "stdin", "env", "refused",
                                                              "subsystem", "forward")}
        # What is typed is not what is seen: the shell puts it together.
        child = self.start_ssh("alice", "hv1", options=("-tt",), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        half = len(markers["seen"]) // 2
        child.stdin.write(f": {markers['typed']}; echo {markers['seen'][:half]}''{markers['seen'][half:]}\nexit\n".encode())
        child.stdin.flush()
        screen = child.communicate(timeout=harness.TIMEOUT)[0]
        self.assertIn(markers["seen"].encode(), screen)
        self.ssh("alice", "hv1", "echo", markers["exec"], options=("-o", "SetEnv=LC_MARK=" + markers["env"]))
        self.assertEqual(self.ssh("alice", "hv1", "cat", stdin=markers["stdin"].encode()).stdout,
                         markers["stdin"].encode())
        self.assertEqual(self.ssh("bob", "hv1", "virsh", markers["refused"]).returncode, 77)
        self.ssh("alice", "hv1", markers["subsystem"], options=("-s",))
        self.ssh("alice", "hv1", "true", options=("-W", markers["forward"] + ":22"))
        self.records_of_all_sessions_ended()
        opened = b"\n".join(r.payload for r in self.records() if r.flags & 1)
        for name, marker in markers.items():
            self.assertIn(marker.encode(), opened, f"the {name} marker was not recorded at all")
        for path in files_below(self.lab.path("state"), self.lab.path("conf"), self.lab.path("run")):
            self.search(path, markers)
        self.search(self.lab.logfile, markers)

    def records_of_all_sessions_ended(self):
        harness.wait_until("the sessions' ends", lambda: len(self.records("session-start")) ==
                           len(self.records("session-end")))

    def search(self, path, markers):
        data = b""
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as f:  # replaced since it was listed
            data = f.read()
        for name, marker in markers.items():
            for spelling in spellings(marker):
                self.assertNotIn(spelling, data, f"the {name} marker stands in {path}")

    def test_the_program_age_opens_the_keys(self):
        """By the key record, age(1), and arithmetic that is written in docs/FORMAT.md."""
        self.ssh("alice", "hv1", "echo by hand", stdin=b"")
        session = self.finished_session()
        records = self.records(session=session)
        key = next(k for k in next(r for r in records if r.type == "key").json["keys"] if k["number"] == 1)
        secret = subprocess.run(["age", "--decrypt", "-i", self.lab.path("state", "keys", "reviewer.identity")],
                                input=base64.b64decode(key["age"]), check=True, capture_output=True).stdout
        self.assertEqual(len(secret), 32)
        tail = bytes.fromhex(session) + struct.pack(">I", 1)
        self.assertEqual(hmac.new(secret, b"spa1-commitment\n" + tail, hashlib.sha256).hexdigest(), key["commitment"])
        aes = AESGCM(hmac.new(secret, b"spa1-seal\n" + tail, hashlib.sha256).digest())
        output = next(r for r in records if r.type == "output")
        self.assertEqual(output.data_key, 1)
        self.assertEqual(aes.decrypt(bytes(4) + output.header[48:56], output.stored, output.header[:80]), b"by hand\n")

    def test_what_is_sealed_under_which_key(self):
        self.ssh("alice", "hv1", "cat", stdin=b"some input")
        session = self.finished_session()
        harness.wait_until("the verdict", lambda: self.records("verdict", session=session))
        numbers = {(r.type, r.data_key, r.flags) for r in self.records(session=session)}
        for kind, number in (("input", 2), ("attestation", 2), ("output", 1), ("exec", 1), ("session-start", 0),
                             ("session-end", 0), ("decision", 0), ("key", 0), ("verdict", 0)):
            self.assertEqual({n for n in numbers if n[0] == kind}, {(kind, number, 1 if number else 0)})
        start = [r.json for r in self.records("decision", session=session) if r.json.get("what") == "exec"]
        self.assertEqual(start, [{"allowed": True, "what": "exec", "pty": False}])

    def test_a_refusal_names_its_request(self):
        self.ssh("bob", "hv1", "virsh", "destroy", "everything")
        session = self.finished_session()
        decision = next(r for r in self.records("decision", session=session) if r.json.get("what") == "exec")
        self.assertEqual(decision.json, {"allowed": False, "what": "exec", "why": "rules", "request": 1})
        request = self.records("request", session=session)[0]
        self.assertIn("virsh destroy everything", request.json["detail"])
        self.assertIn("not among the commands", request.json["text"])
        self.assertEqual(request.channel, decision.channel)

    def test_a_reviewer_without_keystrokes(self):
        path, recipient = self.identity("replay")
        self.reviewers("reviewers:\n"
                       f"  - {{name: first, recipient: {self.first()}}}\n"
                       f"  - {{name: replay, recipient: {recipient}, keystrokes: false}}\n")
        self.ssh("alice", "hv1", "tr a-z A-Z", stdin=b"hidden words")
        session = self.finished_session()
        shown = self.admin("audit", "show", "--identity", path, session).stdout
        self.assertIn("HIDDEN WORDS", shown)
        self.assertNotIn("hidden words", shown)
        self.assertIn("keystrokes are not for this identity", shown)
        self.assertIn("HIDDEN WORDS", self.admin("audit", "play", "--identity", path, session).stdout)
        theirs = trail.read(self.lab.path("state", "trail"), path)
        record = next(r for r in theirs if r.session == session and r.type == "input")
        with self.assertRaises(unseal.Sealed):
            record.payload
        self.assertEqual(self.admin("audit", "show", "--identity", self.identity("nobody")[0], session)
                         .stdout.count("not for this identity") > 3, True)

    def test_a_new_list_is_for_new_sessions(self):
        path, recipient = self.identity("second")
        self.ssh("alice", "hv1", "echo before")
        before = self.finished_session()
        self.reviewers(f"reviewers:\n  - {{name: first, recipient: {self.first()}}}\n"
                       f"  - {{name: second, recipient: {recipient}}}\n")
        said = self.records("key", event="reviewers")[-1].json["reviewers"]
        self.assertEqual([(r["name"], r["keystrokes"]) for r in said], [("first", True), ("second", True)])
        self.first_record = len(trail.read(self.lab.path("state", "trail")))
        self.ssh("alice", "hv1", "echo after")
        after = self.finished_session()
        self.assertIn("after", self.admin("audit", "play", "--identity", path, after).stdout)
        done = self.admin("audit", "play", "--identity", path, before, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not for this identity", done.stderr)

    def test_a_list_with_mistakes_changes_nothing(self):
        good = f"reviewers:\n  - {{name: first, recipient: {self.first()}}}\n"
        self.addCleanup(self.write_reviewers, good)
        for text, expected in (("reviewers: []\n", r"reviewers.yaml:1:12: found no reviewer"),
                               ("reviewers:\n  - {name: x, recipient: age1abc}\n", r"reviewers.yaml:2:26: not an X25519"),
                               (good + "    keystroke: true\n", r"reviewers.yaml:\d+:\d+:"),
                               ("reviewers:\n  - {name: x, recipient: AGE-SECRET-KEY-1AAA}\n", "secret identity")):
            with self.subTest(text=text):
                self.write_reviewers(text)
                done = subprocess.run([os.path.join(self.lab.build, "sallyportd"), "-c", self.lab.path("conf"), "--check"],
                                      capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr, expected)
        os.kill(self.lab.gateway_pid(), signal.SIGHUP)
        self.record("alarm", event="policy-unreadable")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.lab.path("run", "control"))
            s.settimeout(harness.TIMEOUT)
            s.sendall(b'{"verb":"policy-load"}\n')
            self.assertRegex(s.recv(10000).decode(), r"reviewers.yaml:\d+:\d+: .*secret identity")
        self.assertEqual(self.records("policy-loaded"), [])  # nothing of the rest either
        self.assertEqual(self.ssh("alice", "hv1", "echo still").stdout, b"still\n")
        self.assertIn("still", self.admin("audit", "play", "--identity", self.lab.path("state", "keys",
                                                                                        "reviewer.identity"),
                                          self.finished_session()).stdout)

    def test_check_warns_of_a_single_reviewer(self):
        self.write_reviewers(f"reviewers:\n  - {{name: first, recipient: {self.first()}}}\n")
        done = subprocess.run([os.path.join(self.lab.build, "sallyportd"), "-c", self.lab.path("conf"), "--check"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("there is one reviewer", done.stderr)

    def test_the_example_is_right(self):
        example = os.path.join(harness.lablib.REPO, "conf", "example", "reviewers.yaml")
        with open(example, encoding="utf-8") as f:
            self.addCleanup(self.write_reviewers, f"reviewers:\n  - {{name: first, recipient: {self.first()}}}\n")
            self.write_reviewers(f.read())
        done = self.admin("audit", "reviewers", "--json")
        self.assertEqual([(r["name"], r["keystrokes"]) for r in json.loads(done.stdout)],
                         [("carol", True), ("dan", True), ("erin", False)])
        self.assertEqual(self.admin("audit", "reviewers").stderr, "")
