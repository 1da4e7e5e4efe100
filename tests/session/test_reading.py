# SPDX-License-Identifier: Apache-2.0
"""Reading recordings through the gateway: a reviewer without any other right, and his reader process."""
import json
import os
import shutil
import subprocess
import tempfile

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())


class Reading(harness.SessionTest):
    def setUp(self):
        super().setUp()
        self.uid = self.lab.reviewer_uid()

    def reviewer_words(self, *words):
        # Not from the build: who is no administrator may not be able to reach that.
        if not hasattr(type(self), "program"):
            directory = tempfile.mkdtemp(prefix="sallyport-")
            os.chmod(directory, 0o755)
            type(self).program = shutil.copy(os.path.join(self.lab.build, "sallyport"), directory)
            type(self).addClassCleanup(shutil.rmtree, directory)
        return [self.program, *words]

    def as_uid(self, uid, *words, env=None):
        return subprocess.run(self.reviewer_words(*words), user=uid, group=uid, extra_groups=[], cwd="/",
                              env={"SALLYPORT_CONF": self.lab.conf, **(env or {})}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=harness.TIMEOUT,
                              check=False)

    def ask(self, request, uid=0):
        """The reply to a request on the control socket, and the descriptor that came with it."""
        program = ("import json, os, socket, sys\n"
                   "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode() + b'\\n')\n"
                   "data, fds, _, _ = socket.recv_fds(s, 65536, 4)\n"
                   "n = 0\n"
                   "for fd in fds:\n"
                   "    r = socket.socket(fileno=fd); r.settimeout(20)\n"
                   "    while True:\n"
                   "        head = r.recv(5, socket.MSG_WAITALL)\n"
                   "        if len(head) < 5: break\n"
                   "        size = int.from_bytes(head[:4], 'big') - 1\n"
                   "        body = r.recv(size, socket.MSG_WAITALL) if size else b''\n"
                   "        n += 1\n"
                   "        if head[4:] == b'E': break\n"
                   "print(json.dumps([json.loads(data), n]))\n")
        done = subprocess.run(["/usr/bin/python3", "-I", "-c", program, self.lab.path("run", "control"),
                               json.dumps(request)], user=uid, group=uid, extra_groups=[], cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=harness.TIMEOUT,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_a_reviewer_lists_and_shows_and_each_is_recorded_first(self):
        self.ssh("alice", "hv1", "echo for the reviewer")
        session = self.finished_session()
        done = self.as_uid(self.uid, "audit", "list", "--json", "--reason", "ticket 17")
        self.assertEqual(done.returncode, 0, done.stderr)
        listed = {s["session"]: s for s in map(json.loads, done.stdout.splitlines())}
        self.assertEqual(listed[session]["operator"], "alice")
        self.assertTrue(listed[session]["ended"])
        act = self.record("reader-act", "list", what="clear")
        self.assertEqual((act.json["uid"], act.json["admin"], act.json["reason"]), (self.uid, False, "ticket 17"))
        done = self.as_uid(self.uid, "audit", "show", "--json", session[:12])
        self.assertEqual(done.returncode, 0, done.stderr)
        shown = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual({r["session"] for r in shown}, {session})
        self.assertEqual([r["sequence"] for r in shown], list(range(len(shown))))
        there = [r for r in self.records() if r.session == session]
        self.assertEqual([r["index"] for r in shown], [r.index for r in there])
        act = self.record("reader-act", "show", what="session")
        self.assertEqual(act.json["session"], session[:12])

    def test_the_same_from_the_directory_and_through_the_gateway(self):
        self.ssh("alice", "hv1", "echo twice")
        session = self.finished_session()
        direct = self.admin("audit", "show", "--json", session).stdout
        self.assertEqual(self.admin("audit", "show", "--recorded", "--json", session).stdout, direct)
        self.assertEqual(self.admin("audit", "show", "--recorded", "--json", "last").stdout, direct)
        self.assertEqual(self.as_uid(self.uid, "audit", "show", "--json", session).stdout, direct)

    def test_the_act_is_durable_before_a_byte_is_read(self):
        before = len(self.records("reader-act"))
        reply, frames = self.ask({"verb": "read", "what": "everything", "for": "test"})
        self.assertTrue(reply["ok"])
        self.assertGreater(frames, 5)
        self.assertEqual(len(self.records("reader-act")), before + 1)
        # What the reader sent has the record of its own start.
        act = self.record("reader-act", what="everything")
        shown = self.admin("audit", "show", "--recorded", "--type", "reader-act", "--json", "gateway").stdout
        self.assertIn(act.index, [json.loads(line)["index"] for line in shown.splitlines()])

    def test_who_is_neither_is_refused_and_that_is_recorded(self):
        done = self.as_uid(65534, "audit", "list")
        self.assertEqual(done.returncode, 1)
        self.assertIn("not in `admins` or `readers`", done.stderr)
        self.assertNotIn("alice", done.stdout)
        refused = self.record("reader-act", "refused", event="refused")
        self.assertEqual(refused.json["uid"], 65534)

    def test_a_gateway_that_was_started_with_a_narrow_umask_is_reached(self):
        self.lab.stop()
        shutil.rmtree(self.lab.path("run"))
        before = os.umask(0o077)
        try:
            self.lab.start()
        finally:
            os.umask(before)
        self.assertEqual(self.as_uid(self.uid, "audit", "list").returncode, 0)
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)

    def test_a_reviewer_may_do_nothing_else(self):
        for words in (["user", "list"], ["status"], ["user", "lock", "alice", "--reason", "x"]):
            done = self.as_uid(self.uid, *words)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn("only in `readers`", done.stderr)

    def test_wrong_requests(self):
        for request, text in (({"verb": "read"}, "what is to be read"),
                              ({"verb": "read", "what": "session", "session": "../../keys"}, "at least 4 digits"),
                              ({"verb": "read", "what": "session", "session": "zz" * 16}, "at least 4 digits"),
                              ({"verb": "read", "what": "clear", "reason": "x" * 501}, "too long")):
            reply, _ = self.ask(request)
            self.assertFalse(reply["ok"])
            self.assertIn(text, reply["error"])

    def test_a_session_that_is_not_there(self):
        for words in (["--recorded"], []):
            done = self.admin("audit", "show", *words, "0123456789ab", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no session begins with 0123456789ab", done.stderr)

    def test_a_reader_ends_with_its_reviewer(self):
        self.live()
        child = subprocess.Popen(self.reviewer_words("audit", "show", "--follow", "last"), user=self.uid, group=self.uid,
                                 extra_groups=[], cwd="/", env={"SALLYPORT_CONF": self.lab.conf},
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_child, child)
        self.assertTrue(child.stdout.readline())
        harness.wait_until("one reader alone", lambda: len(self.gateway_processes()["sallyport-reader"]) == 1)
        child.kill()
        harness.wait_until("the reader's end", lambda: "sallyport-reader" not in self.gateway_processes())

    def test_not_too_many_at_once(self):
        harness.wait_until("no reader", lambda: "sallyport-reader" not in self.gateway_processes())
        self.live()
        for _ in range(8):
            child = subprocess.Popen(self.reviewer_words("audit", "show", "--follow", "last"), user=self.uid,
                                     group=self.uid, extra_groups=[], cwd="/", env={"SALLYPORT_CONF": self.lab.conf},
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            self.addCleanup(self.end_child, child)
            self.assertTrue(child.stdout.readline())
        done = self.as_uid(self.uid, "audit", "list")
        self.assertEqual(done.returncode, 1)
        self.assertIn("too many reviewers", done.stderr)

    def test_following_a_session_to_its_end(self):
        child = self.live()
        reviewer = subprocess.Popen(self.reviewer_words("audit", "show", "--follow", "--json", "last"), user=self.uid,
                                    group=self.uid, extra_groups=[], cwd="/", env={"SALLYPORT_CONF": self.lab.conf},
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_child, reviewer)
        self.assertTrue(reviewer.stdout.readline())
        child.stdin.write(b"more of it\n")
        child.stdin.close()
        said = [json.loads(line)["type"] for line in reviewer.stdout]
        self.assertIn("session-end", said)
        self.assertEqual(reviewer.wait(harness.TIMEOUT), 0)
