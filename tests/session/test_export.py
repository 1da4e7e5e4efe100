# SPDX-License-Identifier: Apache-2.0
"""A session for other programs and for third parties: asciinema plays it, its bundle is checked by its own README
with sha256sum and openssl, the reviewer's index finds it."""
import glob
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
import unittest

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())

PTY = ["-tt"]


class ExportTest(harness.SessionTest):
    @property
    def identity(self):
        return self.lab.path("state", "keys", "reviewer.identity")

    def recorded(self, command, options=(), stdin=b"", operator="alice"):
        self.ssh(operator, "hv1", command, options=options, stdin=stdin)
        return self.finished_session()

    def covered(self, session):
        """Waits until a checkpoint covers the session."""
        last = max(r.index for r in self.records(session=session))

        def size():
            with open(self.lab.path("state", "trail", "checkpoint"), encoding="utf-8") as f:
                return int(f.read().split("\n")[1]) > last
        harness.wait_until("a checkpoint over the session", size)

    def export(self, session, *words, check=True, identity=True):
        return self.admin("audit", "export", *(["--identity", self.identity] if identity else []), *words, session,
                          check=check)

    def out(self, name):
        path = self.lab.path(name)
        self.addCleanup(lambda: shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.remove(path))
        return path


class Formats(ExportTest):
    @classmethod
    def script(cls):
        return r"""printf 'h\303'; sleep 0.2; printf '\251llo \377 w\303\266rld\r\n'; printf '\033]0;title\007'; exit 3"""

    def test_asciicast(self):
        session = self.recorded(self.script(), PTY)
        path = self.out("v2.cast")
        self.export(session, "--format", "asciicast", "--output", path)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        self.assertEqual(lines[0]["version"], 2)
        self.assertGreater(lines[0]["width"], 0)
        self.assertIn("alice", lines[0]["title"])
        events = lines[1:]
        self.assertEqual([e for e in events if e[1] == "i"], [])
        self.assertEqual([e[0] for e in events], sorted(e[0] for e in events))
        text = "".join(e[2] for e in events if e[1] == "o")
        self.assertIn("h\u00e9llo \ufffd w\u00f6rld", text)
        self.assertNotIn("title", text)
        for verb in ("cat", "play -s 50"):  # it wants a terminal of its own
            played = subprocess.run(["script", "-qec", f"asciinema {verb} {path}", "/dev/null"], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, check=False, timeout=harness.TIMEOUT,
                                    env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": self.lab.dir})
            self.assertEqual(played.returncode, 0, played.stdout)
            self.assertIn("h\u00e9llo \ufffd w\u00f6rld", played.stdout.decode())
        raw = self.export(session, "--raw").stdout
        self.assertIn("]0;title", raw)

    def test_asciicast3(self):
        session = self.recorded(self.script(), PTY)
        lines = [json.loads(line) for line in self.export(session, "-f", "asciicast3", "--idle-limit", "1.5").stdout.splitlines()]
        self.assertEqual(lines[0]["version"], 3)
        self.assertEqual(set(lines[0]["term"]) - {"type"}, {"cols", "rows"})
        self.assertEqual(lines[0]["idle_time_limit"], 1.5)
        self.assertTrue(all(len(e) == 3 and e[0] >= 0 and e[1] in "oirmx" for e in lines[1:]))
        self.assertEqual(lines[-1][1:], ["x", "3"])
        second = [json.loads(line) for line in self.export(session).stdout.splitlines()]
        of = [e for e in lines[1:] if e[1] == "o"]
        self.assertAlmostEqual(sum(e[0] for e in lines[1:lines.index(of[-1]) + 1]),
                               [e for e in second[1:] if e[1] == "o"][-1][0], places=5)

    def test_keystrokes_only_when_asked_for(self):
        session = self.recorded("read word; echo got it", PTY, b"hunter2\n")
        for form in ("asciicast", "asciicast3", "text", "jsonl"):
            without = self.export(session, "-f", form).stdout
            typed = self.export(session, "-f", form, "--keystrokes").stdout
            self.assertEqual(typed.count("hunter2"), without.count("hunter2") + 1, form)

    def test_text_and_json_lines(self):
        session = self.recorded("printf 'one\\ntwo\\n'; printf 'three\\n' >&2; exit 4")
        text = self.export(session, "-f", "text").stdout
        self.assertRegex(text, r"(?m)^00:00:\d\d\.\d{3} \| one$")
        self.assertRegex(text, r"(?m)\| two$")
        self.assertRegex(text, r"(?m)\| three$")
        self.assertIn("# exit status 4", text)
        objects = [json.loads(line) for line in self.export(session, "-f", "jsonl").stdout.splitlines()]
        there = [r for r in self.records(session=session) if r.type != "input"]
        self.assertEqual([o["index"] for o in objects], [r.index for r in there])
        self.assertEqual([o["payload_hash"] for o in objects], [r.payload_hash.hex() for r in there])
        self.assertIn("one\ntwo\n", "".join(o.get("text", "") for o in objects if o["type"] == "output"))

    def test_nothing_without_the_identity(self):
        session = self.recorded("echo sesame; exit 0")
        for form in ("asciicast", "text", "jsonl"):
            done = self.export(session, "-f", form, identity=False)
            self.assertNotIn("sesame", done.stdout)
            self.assertIn("stayed sealed", done.stderr)

    def test_files_are_not_overwritten(self):
        session = self.recorded("echo once")
        path = self.out("twice.cast")
        self.export(session, "-o", path)
        done = self.export(session, "-o", path, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--force", done.stderr)
        self.export(session, "-o", path, "--force")
        self.assertEqual(glob.glob(path + ".*"), [])
        self.assertIn("once", self.export(session, "-o", "-").stdout)


class Bundle(ExportTest):
    def bundle(self, *words):
        if not hasattr(type(self), "session"):
            type(self).session = self.recorded("echo evidence; exit 0")
            self.covered(self.session)
        path = self.out("bundle")
        self.export(self.session, "--format", "bundle", "--output", path, *words)
        return path

    def by_readme(self, path):
        """What a third party does: the blocks of README.md, one after the other."""
        with open(os.path.join(path, "README.md"), encoding="utf-8") as f:
            blocks = re.findall(r"^```sh\n(.*?)^```$", f.read(), re.M | re.S)
        self.assertGreater(len(blocks), 4)
        return subprocess.run(["env", "-i", "PATH=/usr/bin:/bin", "bash", "-c", "".join(blocks)], cwd=path, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")

    def by_tool(self, path, *words):
        return self.admin("audit", "verify", "--bundle", path, *words, check=False)

    def test_good(self):
        path = self.bundle()
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o700)
        with open(os.path.join(path, "gateway.spa"), "rb") as f:
            self.assertIn(b"SPA1\x16", f.read(), "the seal of the epoch is not there")
        names = {os.path.join(d, n) for d, _, files in os.walk(path) for n in files}
        self.assertTrue(all(os.stat(n).st_mode & 0o777 == 0o600 for n in names))
        done = self.by_readme(path)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(f"VERIFIED: session {self.session}", done.stdout)
        done = self.by_tool(path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"verified: session {self.session}", done.stdout)
        public = self.lab.path("state", "public")
        done = self.by_tool(path, "--log-key", f"{public}/log.pub", "--anchor", f"{public}/anchor.pub", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["verdict"]), (0, "verified"), done.stdout)
        done = self.by_tool(path, "--log-key", f"{public}/anchor.pub")
        self.assertEqual(done.returncode, 1)
        for name in names:  # nothing of the session is readable in it
            with open(name, "rb") as f:
                self.assertNotIn(b"evidence\r\n", f.read().replace(b"README", b""))

    def test_every_file_altered(self):
        path = self.bundle()
        names = sorted(os.path.join(d, n) for d, _, files in os.walk(path) for n in files)
        for name in names:
            with open(name, "rb") as f:
                good = f.read()
            for what, bad in (("flipped", good[:len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1:]
                               if good else b"x"), ("missing", None)):
                with self.subTest(f"{os.path.relpath(name, path)} {what}"):
                    os.remove(name)
                    if bad is not None:
                        with open(name, "wb") as f:
                            f.write(bad)
                    if what == "flipped" or not name.endswith("README.md"):
                        done = self.by_readme(path)
                        self.assertNotEqual(done.returncode, 0, done.stdout)
                        self.assertNotIn("VERIFIED", done.stdout)
                    done = self.by_tool(path)
                    self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            with open(name, "wb") as f:
                f.write(good)
        self.assertEqual(self.by_tool(path).returncode, 0)

    def forge(self, path, name, change):
        """Alters a file and makes SHA256SUMS fit again."""
        with open(os.path.join(path, name), "rb") as f:
            good = f.read()
        with open(os.path.join(path, name), "wb") as f:
            f.write(change(good))
        sums = [line.split("  ")[1] for line in open(os.path.join(path, "SHA256SUMS"), encoding="utf-8").read().splitlines()]
        with open(os.path.join(path, "SHA256SUMS"), "w", encoding="utf-8") as f:
            f.write(subprocess.run(["sha256sum", *sums], cwd=path, stdout=subprocess.PIPE, text=True, check=True).stdout)

    def test_forged_with_sums_that_fit(self):
        at = {"payload": 176 + 5, "time": 20, "sequence": 55, "link": 150, "session": 40}
        for what, offset in at.items():
            with self.subTest(what):
                path = self.bundle("--force") if os.path.exists(self.lab.path("bundle")) else self.bundle()
                self.forge(path, "records.spa", lambda b, o=offset: b[:o] + bytes([b[o] ^ 1]) + b[o + 1:])
                self.assertNotEqual(self.by_readme(path).returncode, 0)
                done = self.by_tool(path)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn("records.spa", done.stdout)
        for name, change in (("checkpoint", lambda b: b.replace(b"\n", b"\n1", 1)),
                             ("session.txt", lambda b: b.replace(b"alice", b"carol"))):
            with self.subTest(name):
                path = self.bundle("--force")
                self.forge(path, name, change)
                self.assertEqual(self.by_tool(path).returncode, 1)
                if name != "session.txt":
                    self.assertNotEqual(self.by_readme(path).returncode, 0)

    def test_every_file_forged(self):
        path = self.bundle()
        names = sorted(os.path.relpath(os.path.join(d, n), path) for d, _, files in os.walk(path) for n in files)
        for name in names:
            if name in ("README.md", "SHA256SUMS"):
                continue
            with self.subTest(name):
                self.forge(path, name, lambda b: b[:len(b) // 2] + bytes([b[len(b) // 2] ^ 1]) + b[len(b) // 2 + 1:])
                done = self.by_tool(path)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                if name != "session.txt":  # for reading only, and there the tool alone makes it anew
                    self.assertNotEqual(self.by_readme(path).returncode, 0)
            path = self.bundle("--force")

    def test_files_of_an_enemy(self):
        path = self.bundle()
        sums = os.path.join(path, "SHA256SUMS")
        with open(sums, encoding="utf-8") as f:
            good = f.read()
        with open(sums, "w", encoding="utf-8") as f:
            f.write("0" * 64 + "  \x1b]0;title\x07\n" + good)
        done = self.by_tool(path)
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        with open(sums, "w", encoding="utf-8") as f:
            f.write(good)
        for name in ("session.txt", "checkpoint", "records.spa"):
            os.rename(os.path.join(path, name), os.path.join(path, "kept"))
            os.mkfifo(os.path.join(path, name))  # nobody writes there
            self.assertEqual(self.by_tool(path).returncode, 1)
            os.replace(os.path.join(path, "kept"), os.path.join(path, name))
        self.assertEqual(self.by_tool(path).returncode, 0)

    def test_a_proof_with_another_header(self):
        path = self.bundle()
        for name in sorted(os.listdir(os.path.join(path, "proofs"))):
            def other(b):
                at = b.index(b"extra ") + 6
                return b[:at + 20] + (b"B" if b[at + 20:at + 21] == b"A" else b"A") + b[at + 21:]
            self.forge(path, os.path.join("proofs", name), other)
            self.assertEqual(self.by_tool(path).returncode, 1)
            path = self.bundle("--force")

    def test_records_of_others_are_not_the_gateways(self):
        path = self.bundle()
        with open(os.path.join(path, "records.spa"), "rb") as f:
            records = f.read()
        last = at = 0
        while at < len(records):
            last, at = at, at + 176 + int.from_bytes(records[at + 60:at + 64], "big")
        self.forge(path, "gateway.spa", lambda b: records[last:])  # a record that has its proof
        self.assertEqual(self.by_tool(path).returncode, 1)

    def test_the_verdict_is_missed(self):
        path = self.bundle()
        said = json.loads(self.by_tool(path, "--json").stdout)
        self.assertTrue(said["ended"] and said["judged"])
        self.assertFalse(said["disputed"])
        with open(os.path.join(path, "records.spa"), "rb") as f:
            records = f.read()
        at, ends = 0, []
        while at < len(records):
            ends.append(at)
            at += 176 + int.from_bytes(records[at + 60:at + 64], "big")
        index = int.from_bytes(records[ends[-2] + 8:ends[-2] + 16], "big")
        self.assertEqual(records[ends[-1] + 4], 30)  # the verdict; before it the end
        proof = self.admin("audit", "prove", str(index)).stdout
        checkpoint = proof.split("\n\n", 1)[1]
        # Everything of the checkpoint that this proof has, and no record of the gateway.
        for name in os.listdir(os.path.join(path, "proofs")):
            os.remove(os.path.join(path, "proofs", name))
        name = f"proofs/{index:016x}.tlog-proof"
        for file, text in ((name, proof.encode()), ("checkpoint", checkpoint.encode()), ("gateway.spa", b""),
                           ("records.spa", records[:ends[-1]])):
            with open(os.path.join(path, file), "wb") as f:
                f.write(text)
        with open(os.path.join(path, "SHA256SUMS"), encoding="utf-8") as f:
            names = [line.split("  ")[1] for line in f.read().splitlines() if "proofs/" not in line]
        with open(os.path.join(path, "SHA256SUMS"), "w", encoding="utf-8") as f:
            f.write(subprocess.run(["sha256sum", *names, name], cwd=path, stdout=subprocess.PIPE, text=True,
                                   check=True).stdout)
        self.forge(path, "session.txt", lambda b: self.without_verdict(b.decode(), records, ends).encode())
        done = self.by_tool(path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("the verdict about its input", done.stdout)

    @staticmethod
    def without_verdict(text, records, ends):
        """session.txt of all records but the last."""
        at = ends[-2]
        ns = int.from_bytes(records[at + 16:at + 24], "big")
        day = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9))
        text = re.sub(r"verdict +\w+\n", "", text)
        text = re.sub(r"(ended +).*", rf"\g<1>{day}.{ns % 10**9:09d}Z", text)
        text = re.sub(r"(records +)\d+", rf"\g<1>{len(ends) - 1}", text)
        return re.sub(r"to \d+,", f"to {int.from_bytes(records[at + 8:at + 16], 'big')},", text)

    def test_a_record_left_out(self):
        path = self.bundle()

        def without_the_last(b):
            at = last = 0
            while at < len(b):
                last, at = at, at + 176 + int.from_bytes(b[at + 60:at + 64], "big")
            return b[:last]
        self.forge(path, "records.spa", without_the_last)
        self.assertNotEqual(self.by_readme(path).returncode, 0)
        self.assertEqual(self.by_tool(path).returncode, 1)

    def test_recording_and_tar(self):
        path = self.bundle("--with-recording")
        with open(os.path.join(path, "recording", "session.cast"), encoding="utf-8") as f:
            self.assertIn("evidence", f.read())
        self.assertEqual(self.by_readme(path).returncode, 0)
        self.assertEqual(self.by_tool(path).returncode, 0)
        tar = self.out("case.tar")
        self.export(self.session, "--format", "bundle", "--output", tar)
        with tarfile.open(tar) as f:
            f.extractall(self.out("unpacked"))
        inside = self.lab.path("unpacked", "case")
        self.assertEqual(self.by_tool(inside).returncode, 0)
        self.assertEqual(self.by_readme(inside).returncode, 0)


class Search(ExportTest):
    def audit(self, *words, check=True):
        self.lab_env = {**self.lab.operator_env("admin"), "XDG_DATA_HOME": self.lab.path("data")}
        done = subprocess.run([os.path.join(self.lab.build, "sallyport"), "audit", *words], env=self.lab_env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def setUp(self):
        super().setUp()
        self.addCleanup(shutil.rmtree, self.lab.path("data"), True)

    def found(self, *words):
        return json.loads(self.audit("search", "--json", *words).stdout)

    def test_index_and_search(self):
        session = self.recorded("echo the quick brown fox", PTY)
        first = self.audit("index", "--identity", self.identity)
        self.assertRegex(first.stdout, r"^\d+ records indexed")
        base = glob.glob(self.lab.path("data", "sallyport", "index-*.db"))
        self.assertEqual(len(base), 1)
        self.assertEqual(os.stat(base[0]).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.lab.path("data", "sallyport")).st_mode & 0o777, 0o700)
        hits = [h for h in self.found("quick", "brown") if h["session"] == session]
        self.assertEqual({h["kind"] for h in hits}, {"output", "command"})
        self.assertEqual({h["operator"] for h in hits}, {"alice"})
        said = self.audit("search", "quick", "bro*").stdout
        self.assertIn("[quick]", said)
        self.assertIn(f"sallyport audit play {session[:12]} --from", said)
        self.assertEqual(self.found("nowhere-to-be-found"), [])
        self.assertEqual(self.found("--operator", "nobody", "quick"), [])
        self.assertEqual(self.found("--until", "2001-01-01", "quick"), [])
        self.assertNotEqual(self.found("--since", "1h", "quick"), [])
        # It goes on where it stopped.
        later = self.recorded("printf 'jumps over\\033]0;quick\\007 the lazy dog\\n'")
        again = self.audit("index", "--identity", self.identity)
        self.assertLess(int(again.stdout.split()[0]), int(first.stdout.split()[0]) + 100)
        self.assertEqual({h["session"] for h in self.found("lazy", "dog")}, {later})
        self.assertIn("0 records", self.audit("index", "--identity", self.identity, "-q").stdout[:20] + " 0 records")

    def test_without_the_identity_nothing_is_found(self):
        self.recorded("echo wombat")
        self.audit("index", check=False)
        self.assertEqual(self.found("wombat"), [])

    def test_keystrokes_only_when_asked_for(self):
        self.recorded("read -s word; echo thanks", PTY, b"xyzzyplugh\n")
        self.audit("index", "--identity", self.identity)
        typed = [h for h in self.found("xyzzyplugh") if h["kind"] == "input"]
        self.assertEqual(typed, [])
        done = self.audit("index", "--identity", self.identity, "--keystrokes", check=False)
        self.assertIn("--rebuild", done.stderr)
        self.audit("index", "--identity", self.identity, "--keystrokes", "--rebuild")
        self.assertEqual([h["kind"] for h in self.found("xyzzyplugh") if h["kind"] == "input"], ["input"])

    def test_another_log_is_noticed(self):
        copy = self.out("copy")
        harness.copy_trail(self.lab.path("state", "trail"), copy)
        self.recorded("echo more")
        self.audit("index", "--identity", self.identity)
        done = self.audit("index", "--identity", self.identity, "--trail", copy, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("shorter", done.stderr)

    def test_commands(self):
        session = self.recorded("echo one two; exit 7")
        said = self.audit("commands", "--identity", self.identity, session).stdout
        self.assertRegex(said, rf"{session[:12]} .* alice: .*@hv1 +command +echo one two; exit 7")
        self.assertRegex(said, r"ended +7")
        said = self.audit("commands", "--identity", self.identity, "--since", "1h", "--operator", "alice", "--json").stdout
        self.assertIn("echo one two; exit 7", [json.loads(line)["details"].get("command") for line in said.splitlines()])


if __name__ == "__main__":
    unittest.main()
