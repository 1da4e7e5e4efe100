# SPDX-License-Identifier: Apache-2.0
"""What reviewers see of files that were moved by SFTP: what is told is what happened, with sizes and hashes of sha256sum;
kept contents come out identical; nothing of it is a terminal's noise; who may not read keystrokes is told what that means."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())

ROLE = """role: kept-files
members: [frank]
targets: {{env: lab}}
accounts: [root]
factors: [key, totp]
remember: 1h
allow:
  sftp: {{read: ["/root", "{dir}/files/shared/**"], write: ["{dir}/files/shared/**"]}}
session: {{keep: content, keep-max: 1MiB}}
"""
SIZES = {"zero": 0, "one": 1, "small": 100_001, "large": 3 << 20}


def sha256(path):
    done = subprocess.run(["sha256sum", "-b", "--", path], stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.removeprefix("\\").split(" ")[0]


class FilesTest(harness.SessionTest):
    @classmethod
    def setUpClass(cls):
        lab = globals()["lab"]
        lab.write_conf("roles.d/kept.yaml", ROLE.format(dir=lab.dir))
        lab.stop()
        lab.start()

    def setUp(self):
        super().setUp()
        self.home = tempfile.mkdtemp(prefix="home-", dir=self.lab.dir)
        self.there = tempfile.mkdtemp(prefix="there-", dir=self.lab.path("files", "shared"))
        self.addCleanup(shutil.rmtree, self.home)
        self.addCleanup(shutil.rmtree, self.there)
        for name, size in SIZES.items():
            with open(os.path.join(self.home, name), "wb") as f:
                f.write(os.urandom(size))

    def local(self, name):
        return os.path.join(self.home, name)

    def remote(self, name):
        return os.path.join(self.there, name)

    def sftp(self, *lines, operator="frank", status=0):
        """The session that did this."""
        done = subprocess.run(["sftp", "-F", self.lab.path("as", operator, "ssh_config"), "-b", "-", "hv1"],
                              input="\n".join(lines) + "\n", env=self.lab.operator_env(operator), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.TIMEOUT, check=False,
                              start_new_session=True)
        self.assertEqual(done.returncode, status, done.stderr)
        return self.finished_session()

    @property
    def identity(self):
        return self.lab.path("state", "keys", "reviewer.identity")

    def audit(self, verb, *words, check=True, identity=None):
        return self.admin("audit", verb, "--identity", identity or self.identity, *words, check=check)

    def files(self, *words):
        done = self.audit("files", "--json", *words)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def named(self, operations, op, path):
        found = [o for o in operations if o["op"] == op and o.get("path") == path]
        self.assertEqual(len(found), 1, (op, path, operations))
        return found[0]


class What(FilesTest):
    def moved(self):
        lines = [f'put "{self.local(name)}" "{self.remote(name)}"' for name in SIZES]
        lines += [f'mkdir "{self.remote("folder")}"', f'rename "{self.remote("one")}" "{self.remote("folder/one more")}"',
                  f'get "{self.remote("large")}" "{self.local("back")}"', '-get /etc/passwd "%s"' % self.local("stolen"),
                  '-put "%s" /etc/sallyport-denied' % self.local("small"),
                  f'-get "{self.remote("nothing")}" "{self.local("nothing")}"', f'rm "{self.remote("zero")}"',
                  f'ls "{self.remote("folder")}"']
        session = self.sftp(*lines)
        self.assertFalse(os.path.exists(self.local("stolen")))
        self.assertFalse(os.path.exists("/etc/sallyport-denied"))
        return session

    def test_what_is_told_is_what_happened(self):
        session = self.moved()
        operations, said = self.files(session)
        self.assertRegex(said, r"file operations agree with the requests as recorded")
        for name, size in SIZES.items():
            put = [o for o in operations if o["op"] == "open" and o["path"] == self.remote(name) and "write" in o["flags"]]
            self.assertEqual(len(put), 1, name)
            self.assertEqual((put[0]["outcome"], put[0]["written"]["bytes"], put[0]["written"]["sha256"]),
                             ("ok", size, sha256(self.local(name))), name)
            self.assertEqual((put[0]["operator"], put[0]["target"], put[0]["session"]), ("frank", "hv1", session))
            self.assertEqual((put[0]["close_status"], put[0]["closed_by"]), ("ok", "operator"))
        got = [o for o in operations if o["op"] == "open" and o["path"] == self.remote("large") and o["flags"] == ["read"]]
        self.assertEqual([(o["read"]["bytes"], o["read"]["sha256"]) for o in got],
                         [(SIZES["large"], sha256(self.local("large")))])
        self.assertEqual(sha256(self.local("back")), sha256(self.local("large")))
        self.assertEqual(self.named(operations, "mkdir", self.remote("folder"))["outcome"], "ok")
        rename = [o for o in operations if "rename" in o["op"]]
        self.assertEqual([(o["path"], o["to"], o["outcome"]) for o in rename],
                         [(self.remote("one"), self.remote("folder/one more"), "ok")])
        self.assertEqual(self.named(operations, "remove", self.remote("zero"))["outcome"], "ok")
        refused = [o for o in operations if o["outcome"] == "refused"]
        self.assertEqual({(o["path"], o["why"]) for o in refused}, {("/etc/passwd", "path"),
                                                                     ("/etc/sallyport-denied", "path")})
        self.assertEqual({o["op"] for o in refused if o["path"] == "/etc/sallyport-denied"} & {"open"}, {"open"})
        self.assertIn("no-such-file", {o["outcome"] for o in operations if o.get("path") == self.remote("nothing")})
        self.assertEqual(self.named(operations, "opendir", self.remote("folder"))["entries"], 3)  # . and .. too
        self.assertEqual([o["n"] for o in operations], list(range(len(operations))))
        # through the gateway the same
        recorded = self.audit("files", "--json", "--recorded", session).stdout
        self.assertEqual([json.loads(line) for line in recorded.splitlines()], operations)

    def test_lines_and_filters(self):
        session = self.moved()
        text = self.audit("files", session).stdout
        self.assertRegex(text, re.escape(f'open "{self.remote("small")}" [') + r"[a-z,]+ mode=\d+\]: ok, written 100001 B, sha256 "
                         + sha256(self.local("small")))
        self.assertIn('"/etc/passwd": REFUSED (path)', text)
        for words, count in ((["--path", "*/one more"], 1), (["--path", "zero"], None), (["--op", "mkdir"], 1),
                             (["--operator", "alice"], 0), (["--target", "hv2"], 0), (["--until", "2020-01-01"], 0)):
            found, _ = self.files(*words, session)
            if count is None:
                self.assertTrue(found and all(o["path"] == self.remote("zero") for o in found))
            else:
                self.assertEqual(len(found), count, words)
        refused, _ = self.files("--refused", session)
        self.assertTrue(refused and all(o["outcome"] == "refused" for o in refused))
        self.assertIn(session, {o["session"] for o in self.files("--since", "10m", "--op", "mkdir")[0]})

    def test_kept_contents_come_out_identical(self):
        session = self.moved()
        out = os.path.join(self.home, "out")
        done = self.audit("files", "--extract", out, session)
        names = os.listdir(out)
        there = {n.split("-", 2)[2]: os.path.join(out, n) for n in names if not n.endswith("-large")}
        self.assertEqual(set(there), {"one", "small"})
        for name, path in there.items():
            self.assertEqual(sha256(path), sha256(self.local(name)))
            self.assertRegex(done.stderr, rf"{re.escape(os.path.basename(path))}  {SIZES[name]} B written, complete")
        large = [os.path.join(out, n) for n in names if n.endswith("-large")]
        self.assertEqual(len(large), 2)  # put and got
        for path in large:
            with open(path, "rb") as f, open(self.local("large"), "rb") as whole:
                self.assertEqual(f.read(), whole.read(1 << 20))
            self.assertRegex(done.stderr, rf"{os.path.basename(path)}  1048576 B \w+, NOT COMPLETE: 3145728 B were moved")
        again = self.audit("files", "--extract", out, session, check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("nothing is overwritten", again.stderr)

    def test_what_other_verbs_say(self):
        session = self.moved()
        shown = self.audit("show", "--keystrokes", session).stdout
        self.assertRegex(shown, r"input +ch 0  \d+ requests? \(.*\d+ write.*\), \d+ B, recorded form")
        self.assertRegex(shown, r"output +ch 0  \d+ answers? \(.*\d+ data.*\), \d+ B, recorded form")
        self.assertRegex(shown, r"file-content +ch 0  n=\d+  written at 0  1 B ")
        counts = [json.loads(line) for line in self.audit("show", "--json", "--type", "input", session).stdout.splitlines()]
        self.assertEqual(sum(c["sftp"].get("init", 0) for c in counts), 1)
        opens, _ = self.files("--op", "open", session)
        self.assertEqual(sum(c["sftp"].get("open", 0) for c in counts), len(opens))
        self.assertRegex(self.audit("commands", session).stdout, r"service +sftp")
        text = self.audit("export", "--format", "text", "--keystrokes", session).stdout
        self.assertIn(f'open "{self.remote("small")}"', text)
        self.assertIn('"/etc/passwd"', text)
        self.assertNotIn("\\x00\\x00", text)
        cast = self.audit("export", "--keystrokes", session).stdout
        self.assertNotRegex(cast, r"\\u0000")
        played = self.audit("play", session)
        self.assertEqual(played.stdout, "")
        self.assertIn("channel 0 moved files", played.stderr)
        listed = [json.loads(line) for line in self.admin("audit", "list", "--class", "sftp", "--json").stdout.splitlines()]
        self.assertEqual([s["class"] for s in listed if s["session"] == session], [["sftp"]])
        database = os.path.join(self.home, "index.db")
        self.audit("index", "--database", database, "--keystrokes")
        found = json.loads(self.admin("audit", "search", "--database", database, "--json", "--session", session[:12],
                                      "passwd").stdout)
        self.assertEqual({m["kind"] for m in found}, {"file"})

    def test_without_the_keystrokes(self):
        """Operations are there for every reviewer, and only who may read requests can compare them."""
        operator = os.path.join(self.home, "rita.identity")
        subprocess.run(["age-keygen", "-o", operator], check=True, stderr=subprocess.DEVNULL)
        with open(operator, encoding="ascii") as f:
            public = re.search(r"age1\w+", f.read())[0]
        path = self.lab.path("conf", "reviewers.yaml")
        with open(path, encoding="utf-8") as f:
            before = f.read()
        self.addCleanup(lambda: (self.lab.write_conf("reviewers.yaml", before), self.reload()))
        self.lab.write_conf("reviewers.yaml", before.rstrip("\n") +
                            f"\n  - {{name: rita, recipient: {public}, keystrokes: false}}\n")
        self.reload()
        session = self.sftp(f'put "{self.local("one")}" "{self.remote("one")}"')
        done = self.audit("files", session, identity=operator)
        self.assertIn(sha256(self.local("one")), done.stdout)
        self.assertIn("not compared with the requests as recorded", done.stderr)
        self.assertEqual(self.audit("files", "--check", session, identity=operator, check=False).returncode, 1)
        self.assertEqual(self.audit("files", "--check", session).returncode, 0)
        stranger = os.path.join(self.home, "stranger.identity")
        subprocess.run(["age-keygen", "-o", stranger], check=True, stderr=subprocess.DEVNULL)
        done = self.audit("files", session, identity=stranger)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\d+ records of file operations are not shown: they stayed sealed")

    def test_a_bundle_has_the_table(self):
        session = self.sftp(f'put "{self.local("one")}" "{self.remote("one")}"')
        last = max(r.index for r in self.records(session=session))

        def covered():
            with open(self.lab.path("state", "trail", "checkpoint"), encoding="utf-8") as f:
                return int(f.read().split("\n")[1]) > last
        harness.wait_until("a checkpoint over the session", covered)
        out = os.path.join(self.home, "bundle")
        self.audit("export", "--format", "bundle", "--with-recording", "--output", out, session)
        with open(os.path.join(out, "recording", "files.txt"), encoding="utf-8") as f:
            self.assertIn(hashlib.sha256(open(self.local("one"), "rb").read()).hexdigest(), f.read())
        self.admin("audit", "verify", "--bundle", out)


if __name__ == "__main__":
    unittest.main()
