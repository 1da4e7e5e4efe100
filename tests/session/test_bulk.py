# SPDX-License-Identifier: Apache-2.0
"""Bulk that is passed on and not kept: what arrives is byte-exact, each digest in the trail is that of the bytes it
stands for, and what is no bulk is kept as ever."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import harness  # noqa: E402

setUpModule, tearDownModule = harness.lab_for_module(globals())

MIB = 1 << 20
SIZE = 20_000_000

ROLE = """role: {name}
members: [{members}]
targets: {{env: lab}}
accounts: [root]
factors: [key, totp]
remember: 1h
"""
DIGEST = "allow: {shell: true, exec: true}\nsession: {bulk: digest, bulk-after: 1MiB}\n"
COMMANDS = """allow: {{exec: true}}
programs: {{sha256sum: {sha256sum}, cat: {cat}}}
commands:
  - {{allow: "sha256sum -", stdin: digest}}
  - allow: "cat -"
  - {{allow: "cat -u", stdin: digest}}
"""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class BulkTest(harness.SessionTest):
    @classmethod
    def setUpClass(cls):
        lab = sys.modules[cls.__module__].lab
        for name in os.listdir(lab.path("conf", "roles.d")):
            os.unlink(lab.path("conf", "roles.d", name))
        lab.write_conf("roles.d/bulk.yaml", ROLE.format(name="bulk", members="alice") + DIGEST)
        lab.write_conf("roles.d/full.yaml", ROLE.format(name="full", members="alice").replace("lab}", "lab, name: hv2}") +
                       "allow: {exec: true}\n")
        lab.write_conf("roles.d/restore.yaml", ROLE.format(name="restore", members="bob") + COMMANDS.format(
            sha256sum=shutil.which("sha256sum"), cat=shutil.which("cat")))
        lab.stop()
        lab.start()
        cls.data = os.urandom(SIZE)
        cls.big = os.path.join(lab.dir, "big")
        with open(cls.big, "wb") as f:
            f.write(cls.data)

    def digests(self, kind, session, data, first=0):
        """Every digest of the session's one channel of bulk against the data: how much of it they stand for."""
        end, at = first, first
        for r in self.records(kind, session=session):
            said = r.json
            self.assertEqual(said["stream"], kind.split("-")[0])
            self.assertEqual((said["from"] - first) % MIB, 0)
            self.assertGreater(said["bytes"], 0)
            self.assertLessEqual(said["bytes"], MIB)
            self.assertIn(said["from"], (at, at + MIB))
            if said["from"] > at:
                self.assertEqual(end, said["from"], "a block was not finished")
            at = said["from"]
            self.assertGreater(at + said["bytes"], end, "a record that says nothing more")
            end = at + said["bytes"]
            self.assertEqual(said["sha256"], sha256(data[at:end]))
            if kind == "input-digest":
                self.assertEqual(said["total"], sha256(data[:end]))
        return end - first

    def exec_close(self, session):
        return self.records("exec", session=session, event="close")[-1].json

    def trail_bytes(self, session):
        return sum(len(r.stored) + 176 for r in self.records(session=session))


class Output(BulkTest):
    def test_stdout_behind_the_limit(self):
        done = self.ssh("alice", "hv1", f"cat {self.big}; echo done >&2; exit 3")
        self.assertEqual((done.returncode, done.stderr), (3, b"done\n"))
        self.assertEqual(sha256(done.stdout), sha256(self.data), "what arrived is not what was sent")
        session = self.finished_session()
        self.assertEqual(self.bytes_of("output", session), self.data[:MIB])
        self.assertEqual(self.digests("output-digest", session, self.data, MIB), SIZE - MIB)
        self.assertEqual(self.bytes_of("stderr", session), b"done\n")
        close = self.exec_close(session)
        self.assertEqual((close["kept_out"], close["digest_out"]), (MIB, SIZE - MIB))
        self.assertEqual(close["bytes_out"], SIZE + 5)
        start = self.records("session-start", session=session)[0].json
        self.assertEqual((start["bulk"], start["bulk_after"]), ("digest", MIB))
        count = len(self.records("output-digest", session=session))
        self.assertLess(count, 16 * SIZE // MIB, "a few records a block")
        self.assertLess(self.trail_bytes(session), MIB + 400 * count + 32768)

    def test_stdout_that_stays_below_the_limit(self):
        for size in (0, 1, MIB - 1, MIB):
            self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
            done = self.ssh("alice", "hv1", f"head -c {size} {self.big}")
            self.assertEqual(done.stdout, self.data[:size])
            session = self.finished_session()
            self.assertEqual(self.bytes_of("output", session), self.data[:size])
            self.assertEqual(self.records("output-digest", session=session), [])
            self.assertNotIn("kept_out", self.exec_close(session))

    def test_one_byte_behind_the_limit(self):
        size = MIB + 1
        self.assertEqual(self.ssh("alice", "hv1", f"head -c {size} {self.big}").stdout, self.data[:size])
        session = self.finished_session()
        self.assertEqual(self.bytes_of("output", session), self.data[:MIB])
        self.assertEqual(self.digests("output-digest", session, self.data, MIB), 1)

    def test_answers_come_at_once(self):
        """A stream that pauses is not held back until a block is full."""
        child = self.start_ssh("alice", "hv1", f"head -c {MIB} {self.big}; cat")
        self.assertEqual(child.stdout.read(MIB), self.data[:MIB])
        said = b""
        for i in range(50):
            line = b"question %d\n" % i
            child.stdin.write(line)
            child.stdin.flush()
            self.assertEqual(child.stdout.readline(), line)
            said += line
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        session = self.finished_session()
        self.assertEqual(self.digests("output-digest", session, self.data[:MIB] + said, MIB), len(said))
        self.assertEqual(self.bytes_of("input", session), said, "stdin is kept")

    def test_stderr_between(self):
        """stderr is kept, however much and wherever it comes."""
        done = self.ssh("alice", "hv1", f"for i in 0 1 2 3; do tail -c +$((i * 3000000 + 1)) {self.big} | head -c 3000000;"
                        f" head -c 300000 {self.big} >&2; done")
        self.assertEqual(done.stdout, self.data[:12000000])
        self.assertEqual(done.stderr, self.data[:300000] * 4)
        session = self.finished_session()
        self.assertEqual(self.bytes_of("stderr", session), done.stderr)
        self.assertEqual(self.bytes_of("output", session), self.data[:MIB])
        self.assertEqual(self.digests("output-digest", session, self.data, MIB), 12000000 - MIB)

    def test_terminals_and_shells_are_kept(self):
        size = 3 * MIB
        done = self.ssh("alice", "hv1", f"stty raw; head -c {size} {self.big}", options=("-tt",))
        session = self.finished_session()
        self.assertEqual(self.bytes_of("output", session), done.stdout)
        self.assertGreaterEqual(len(done.stdout), size)
        self.assertEqual(self.records("output-digest", session=session), [])
        self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
        done = self.ssh("alice", "hv1", stdin=b"head -c %d %s\n" % (size, self.big.encode()))
        session = self.finished_session()
        self.assertEqual(done.stdout, self.data[:size])
        self.assertEqual(self.bytes_of("output", session), self.data[:size])
        self.assertEqual(self.records("output-digest", session=session), [])

    def test_a_role_that_says_full(self):
        done = self.ssh("alice", "hv2", f"head -c {2 * MIB} {self.big}")
        self.assertEqual(done.stdout, self.data[:2 * MIB], done.stderr[:500])
        session = self.finished_session()
        self.assertEqual(self.bytes_of("output", session), self.data[:2 * MIB])
        self.assertEqual(self.records("output-digest", session=session), [])

    def test_several_channels(self):
        control = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "m")
        master = self.start_ssh("alice", "hv1", "-N", options=("-M", "-S", control))
        harness.wait_until("the master's socket", lambda: os.path.exists(control))
        children = [self.start_ssh("alice", "hv1", f"tail -c +{i * MIB + 1} {self.big} | head -c {5 * MIB + i}",
                                   options=("-S", control)) for i in range(4)]
        for i, child in enumerate(children):
            self.assertEqual(child.communicate(timeout=harness.TIMEOUT)[0], self.data[i * MIB:6 * MIB + i * MIB + i][:5 * MIB + i])
        master.terminate()
        master.wait(harness.TIMEOUT)
        session = self.finished_session()
        every = self.records("output-digest", session=session)
        starts = {r.channel: r.json["command"] for r in self.records("exec", session=session, event="start")}
        for channel, command in starts.items():
            i = (int(command.split("+")[1].split()[0]) - 1) // MIB
            of = [r.json for r in every if r.channel == channel]
            self.assertEqual(of[-1]["from"] + of[-1]["bytes"], 5 * MIB + i)
            for said in of:
                at = i * MIB + said["from"]
                self.assertEqual(said["sha256"], sha256(self.data[at:at + said["bytes"]]))

    def test_the_operator_goes_away(self):
        child = self.start_ssh("alice", "hv1", f"cat {self.big}; sleep 60")
        taken = child.stdout.read(6 * MIB)
        child.kill()
        child.wait(harness.TIMEOUT)
        self.assertEqual(taken, self.data[:6 * MIB])
        session = self.finished_session()
        self.assertGreaterEqual(self.digests("output-digest", session, self.data, MIB), 5 * MIB)


class Input(BulkTest):
    def test_stdin_by_rule(self):
        done = self.ssh("bob", "hv1", "sha256sum -", stdin=self.data)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(done.stdout.split()[0].decode(), sha256(self.data))
        session = self.finished_session()
        self.assertEqual(self.bytes_of("input", session), b"")
        self.assertEqual(self.digests("input-digest", session, self.data), SIZE)
        start = self.records("exec", session=session, event="start")[0].json
        self.assertEqual(start["stdin"], "digest")
        self.assertEqual(self.exec_close(session)["digest_in"], SIZE)
        verdict = self.records("verdict", session=session)[-1].json
        self.assertEqual((verdict["verdict"], verdict["recorded"], verdict["agreed"]), ("agreed", SIZE, SIZE), verdict)
        self.assertLess(len(self.records("input-digest", session=session)), 16 * SIZE // MIB)

    def test_lines_one_by_one(self):
        child = self.start_ssh("bob", "hv1", "cat -u")
        said = b""
        for i in range(40):
            line = b"line %d\n" % i
            child.stdin.write(line)
            child.stdin.flush()
            self.assertEqual(child.stdout.readline(), line)
            said += line
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        session = self.finished_session()
        self.assertEqual(self.digests("input-digest", session, said), len(said))
        self.assertEqual(self.bytes_of("output", session), said)
        self.assertEqual(self.records("verdict", session=session)[-1].json["verdict"], "agreed")

    def test_other_rules_keep_it(self):
        self.assertEqual(self.ssh("bob", "hv1", "cat -", stdin=b"kept\n").stdout, b"kept\n")
        session = self.finished_session()
        self.assertEqual(self.bytes_of("input", session), b"kept\n")
        self.assertEqual(self.records("input-digest", session=session), [])
        self.assertNotIn("stdin", self.records("exec", session=session, event="start")[0].json)

    def test_no_input(self):
        done = self.ssh("bob", "hv1", "sha256sum -")
        self.assertEqual(done.stdout.split()[0].decode(), sha256(b""))
        session = self.finished_session()
        self.assertEqual(self.records("input-digest", session=session), [])
        self.assertEqual(self.records("verdict", session=session)[-1].json["verdict"], "agreed")

    def test_an_upload_that_is_cut_off(self):
        child = self.start_ssh("bob", "hv1", "sha256sum -")
        child.stdin.write(self.data[:6 * MIB])
        child.stdin.flush()
        child.kill()
        child.wait(harness.TIMEOUT)
        session = self.finished_session()
        covered = self.digests("input-digest", session, self.data)
        verdict = self.records("verdict", session=session)[-1].json
        self.assertEqual((verdict["verdict"], verdict["recorded"]), ("agreed", covered), verdict)


class Readers(BulkTest):
    SAID = "[18.1 MiB of output not kept; SHA-256 per MiB]"

    def audit(self, verb, *words):
        return self.admin("audit", verb, "--identity", self.lab.path("state", "keys", "reviewer.identity"), *words).stdout

    def test_they_say_what_is_not_there(self):
        done = self.ssh("alice", "hv1", f"cat {self.big}; echo the end >&2")
        self.assertEqual(len(done.stdout), SIZE)
        session = self.finished_session()
        shown = self.audit("show", session)
        self.assertIn(self.SAID, shown)
        self.assertNotIn("output-digest", shown)
        self.assertIn("output-digest", self.audit("show", "--full", session))
        self.assertIn("output-digest", self.audit("show", "--type", "output-digest", session))
        self.assertIn('"output-digest"', self.audit("show", "--json", session))
        self.assertIn(self.SAID, self.audit("play", session))
        for how in ("text", "asciicast", "asciicast3"):
            with self.subTest(how):
                self.assertEqual(self.audit("export", "--format", how, session).count(self.SAID), 1)
        of = [json.loads(line) for line in self.audit("export", "--format", "jsonl", session).splitlines()]
        self.assertEqual(sum(o["type"] == "output-digest" for o in of), len(self.records("output-digest", session=session)))
        index = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "index")
        self.audit("index", "--database", index)
        self.assertIn("18.1 MiB of output not ", self.admin("audit", "search", "--database", index, "kept").stdout)
        self.assertEqual(self.admin("audit", "verify").returncode, 0)

    def test_a_session_that_was_cut_off(self):
        child = self.start_ssh("alice", "hv1", f"cat {self.big}; sleep 60")
        self.assertEqual(len(child.stdout.read(SIZE)), SIZE)
        session = self.record("session-start").session
        for pid in self.servers_and_children("sallyport-backend")[1]:
            os.kill(pid, signal.SIGKILL)
        child.wait(harness.TIMEOUT)
        harness.wait_until("the penalty is over", lambda: self.ssh("alice", "hv1", "true").returncode == 0)
        self.assertIn(self.SAID, self.audit("show", session))
        self.assertIn(self.SAID, self.audit("export", "--format", "text", session))
        self.assertIn(self.SAID, self.audit("play", session))

    def test_input(self):
        self.assertEqual(self.ssh("bob", "hv1", "sha256sum -", stdin=self.data).returncode, 0)
        session = self.finished_session()
        said = self.SAID.replace("18.1", "19.1").replace("output", "input")
        self.assertIn(said, self.audit("show", session))
        self.assertIn(said, self.audit("export", "--format", "text", "--keystrokes", session))


class Lies(BulkTest):
    """With a backend that is an enemy's: hostile_backend.c."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.with_hostile_backend()

    def test_a_digest_of_other_bytes_and_input_beside_a_digest(self):
        for said in (b"change", b"add more"):
            with self.subTest(said):
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
                self.assertEqual(self.ssh("bob", "hv1", "cat -u", stdin=said).stdout, said)
                session = self.finished_session()
                self.assertEqual(self.records("verdict", session=session)[-1].json["verdict"], "disputed")
                self.assertEqual(self.records("alarm", session=session)[0].json["alarm"], "disputed-input")

    def test_the_truth_of_the_same_backend(self):
        self.assertEqual(self.ssh("bob", "hv1", "cat -u", stdin=b"nothing odd").stdout, b"nothing odd")
        self.assertEqual(self.records("verdict", session=self.finished_session())[-1].json["verdict"], "agreed")


if __name__ == "__main__":
    unittest.main()
