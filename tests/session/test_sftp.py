# SPDX-License-Identifier: Apache-2.0
"""SFTP through the gateway: what is moved, what is recorded of it, and what a role with patterns keeps closed."""
import hashlib
import os
import shutil
import subprocess
import time

import harness
import raw_sftp
import sanitizers
from hostile_target import HostileTarget
from raw_sftp import Gone, RawSftp, packet, u32, u64

setUpModule, tearDownModule = harness.lab_for_module(globals(), extra_operators=1)

KEEP = """role: keep
members: [op1]
targets: {env: lab}
accounts: [root]
factors: [key, totp]
remember: 1h
session: {keep: content, keep-max: 100KiB}
allow: {sftp: true}
"""
MEMORY_KIB = 24 * 1024


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class SftpTest(harness.SessionTest):
    def setUp(self):
        super().setUp()
        self.files = self.lab.path("files")
        for folder in ("logs", "drop", "shared", "secret"):
            shutil.rmtree(os.path.join(self.files, folder), ignore_errors=True)
            os.makedirs(os.path.join(self.files, folder))
        self.write("logs/syslog", b"the log\n" * 100)
        self.write("secret/key", b"nobody's")

    def path(self, name):
        return os.path.join(self.files, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def content(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def raw(self, operator="alice", host="hv1", begin=True):
        child = self.start_ssh(operator, host, "sftp", options=("-s",))
        return RawSftp(child, begin)

    def sftp(self, operator, *lines, host="hv1", options=()):
        return subprocess.run(["sftp", "-q", "-F", self.lab.path("as", operator, "ssh_config"), *options, "-b", "-", host],
                              input="\n".join(lines) + "\n", text=True, env=self.lab.operator_env(operator),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.TIMEOUT, check=False)

    def events(self, event, session=None, **fields):
        session = session or self.record("session-start").session
        return [r.json for r in self.records("file", session=session)
                if r.json["event"] == event and all(r.json.get(k) == v for k, v in fields.items())]

    def agreed(self, sftp):
        """The session ended, and what the operator's side attests is what was recorded."""
        sftp.end()
        session = self.finished_session()
        self.assertEqual(self.records("verdict", session=session)[-1].json["verdict"], "agreed")
        return session

    def denied(self, answer, status=raw_sftp.PERMISSION_DENIED):
        self.assertEqual((answer.kind, answer.status), (raw_sftp.STATUS, status), answer)


class Moving(SftpTest):
    def test_sizes_there_and_back(self):
        sizes = (0, 1, 32767, 32768, 32769, 261120, 1000003, 20 << 20)
        lines = []
        for n in sizes:
            self.write(f"shared/{n}", os.urandom(n))
            lines += [f"get {self.path(f'shared/{n}')} {self.path(f'secret/{n}')}",
                      f"put {self.path(f'secret/{n}')} {self.path(f'drop/{n}')}"]
        done = self.sftp("alice", *lines)
        self.assertEqual(done.returncode, 0, done.stderr)
        session = self.finished_session()
        closed = {(c["path"], "written" in c): c for c in self.events("closed", session)}
        for n in sizes:
            data = self.content(f"shared/{n}")
            self.assertEqual(self.content(f"drop/{n}"), data)
            for path, way in ((f"shared/{n}", "read"), (f"drop/{n}", "written")):
                moved = closed[self.path(path), way == "written"][way]
                self.assertEqual(moved["bytes"], n)
                self.assertEqual(moved["ranges"], [{"from": 0, "to": n, "sha256": sha256(data)}] if n else [])
        self.assertEqual(self.records("verdict", session=session)[-1].json["verdict"], "agreed")
        # Nothing of what was in the files is in the trail.
        self.assertLess(len(self.bytes_of("input", session)) + len(self.bytes_of("output", session)), 500000)
        results = {r["n"]: r["status"] for e in self.events("results", session) for r in e["results"]}
        self.assertEqual({r["n"] for r in self.events("request", session)}, set(results))
        self.assertEqual([d.json["what"] for d in self.records("decision", session=session) if d.json["allowed"]][-1], "sftp")

    def test_folders_and_names(self):
        done = self.sftp("alice", f"mkdir {self.path('drop/d')}", f"rename {self.path('logs/syslog')} {self.path('drop/d/a')}",
                         f"ln -s a {self.path('drop/d/l')}", f"ln {self.path('drop/d/a')} {self.path('drop/d/h')}",
                         f"chmod 600 {self.path('drop/d/a')}", f"ls -l {self.path('drop/d')}", f"rm {self.path('drop/d/l')}",
                         f"cd {self.path('drop/../drop')}", "pwd", f"df {self.path('drop')}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"Remote working directory: {self.path('drop')}", done.stdout)
        self.assertEqual(sorted(os.listdir(self.path("drop/d"))), ["a", "h"])
        session = self.finished_session()
        ops = [e["op"] for e in self.events("request", session)]
        for op in ("mkdir", "posix-rename@openssh.com", "symlink", "hardlink@openssh.com", "setstat", "opendir", "remove",
                   "statvfs@openssh.com"):
            self.assertIn(op, ops)
        rename = self.events("request", session, op="posix-rename@openssh.com")[0]
        self.assertEqual((rename["path"], rename["to"]), (self.path("logs/syslog"), self.path("drop/d/a")))
        link = self.events("request", session, op="symlink")[0]
        self.assertEqual((link["path"], link["to"]), (self.path("drop/d/l"), "a"))
        self.assertEqual(self.events("closed", session, path=self.path("drop/d"))[0]["entries"], 5)

    def test_scp_and_a_name_that_is_no_text(self):
        name = os.fsencode(self.path("drop/")) + b"\xff\n\x1b[2J"
        with open(name, "wb") as f:
            f.write(b"x" * 1000)
        sftp = self.raw()
        a = sftp.open(name)
        self.assertEqual(a.kind, raw_sftp.HANDLE)
        done = subprocess.run(["scp", "-q", "-F", self.lab.path("as", "alice", "ssh_config"), self.path("logs/syslog"),
                               f"hv1:{self.path('drop/copy')}"], env=self.lab.operator_env("alice"), check=False,
                              stderr=subprocess.PIPE, timeout=harness.TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.content("drop/copy"), self.content("logs/syslog"))
        sftp.end()

    def test_parts_of_a_file_are_runs(self):
        data = os.urandom(300000)
        self.write("shared/f", data)
        sftp = self.raw()
        h = sftp.open(self.path("shared/f")).string
        for at, n in ((0, 1000), (1000, 1000), (200000, 5), (200005, 1000), (2000, 1)):
            self.assertEqual(sftp.ask(raw_sftp.READ, h, (u64(at),), n).string, data[at:at + n])
        sftp.ask(raw_sftp.CLOSE, h)
        h = sftp.open(self.path("shared/f")).string
        for i in range(70):
            sftp.ask(raw_sftp.READ, h, (u64(i * 10),), 5)
        session = self.agreed(sftp)
        first, second = self.events("closed", session)
        self.assertEqual([(r["from"], r["to"], r["sha256"]) for r in first["read"]["ranges"]],
                         [(a, b, sha256(data[a:b])) for a, b in ((0, 2000), (200000, 201005), (2000, 2001))])
        self.assertEqual((first["by"], second["by"]), ("operator", "end"))
        self.assertEqual((len(second["read"]["ranges"]), second["read"]["more"], second["read"]["bytes"]), (64, 6, 350))

    def test_a_thousand_requests_ahead(self):
        data = os.urandom(1000 * 1000)
        self.write("shared/f", data)
        sftp = self.raw()
        h = sftp.open(self.path("shared/f")).string
        sftp.send(b"".join(packet(raw_sftp.READ, 5000 + i, h, (u64(i * 1000),), 1000) for i in range(1000)))
        got = {}
        for _ in range(1000):
            a = sftp.answer()
            got[a.id] = a.string
        self.assertEqual(b"".join(got[5000 + i] for i in range(1000)), data)
        self.agreed(sftp)

    def test_answers_that_are_never_read(self):
        """3,000 reads of 250,000 bytes: the gateway holds back, and the rest of the session works."""
        self.write("shared/f", os.urandom(260000))
        sftp = self.raw()
        h = sftp.open(self.path("shared/f")).string
        os.set_blocking(sftp.child.stdin.fileno(), False)
        todo = b"".join(packet(raw_sftp.READ, i, h, (u64(0),), 250000) for i in range(3000))
        most = 0
        for _ in range(50):
            try:
                n = os.write(sftp.child.stdin.fileno(), todo)
                todo = todo[n:]
            except BlockingIOError:
                pass
            for program in ("sallyport-frontend", "sallyport-backend"):
                for pid in self.servers_and_children(program)[1]:
                    most = max(most, harness.rss_anon(pid))
            time.sleep(0.1)
        sanitizers.assert_memory_below(self, most, MEMORY_KIB)
        sftp.child.kill()
        self.finished_session()

    def test_contents_are_kept_where_a_role_says_so(self):
        role = self.lab.path("conf", "roles.d", "lab-admin.yaml")
        with open(role, encoding="utf-8") as f:
            self.lab.write_conf("roles.d/lab-admin.yaml", f.read().replace(", op1", ""))
        self.lab.write_conf("roles.d/keep.yaml", KEEP)
        self.assertIn("policy-loaded", self.reload())
        small, large = os.urandom(70001), os.urandom(300000)
        self.write("shared/small", small)
        self.write("shared/large", large)
        done = self.sftp("op1", f"get {self.path('shared/small')} {self.path('secret/x')}",
                         f"put {self.path('shared/large')} {self.path('drop/large')}")
        self.assertEqual(done.returncode, 0, done.stderr)
        session = self.finished_session()
        read, written = self.events("closed", session)
        self.assertEqual((read["read"]["kept"], written["written"]["kept"]), (70001, 102400))
        for closed, direction, expected in ((read, 1, small), (written, 2, large[:102400])):
            pieces = [r.payload for r in self.records("file-content", session=session) if r.payload[8] == direction]
            kept = bytearray(len(expected))
            for p in pieces:
                self.assertEqual(int.from_bytes(p[:8], "big"), closed["n"])
                at = int.from_bytes(p[9:17], "big")
                kept[at:at + len(p) - 17] = p[17:]
            self.assertEqual(bytes(kept), expected)


class Patterns(SftpTest):
    """frank reads logs/** and shared/**, and writes drop/** and shared/**."""

    def test_what_his_role_has_and_what_not(self):
        sftp = self.raw("frank")
        self.assertEqual(sftp.open(self.path("logs/syslog")).kind, raw_sftp.HANDLE)
        for path in (self.path("secret/key"), self.path("logs/../secret/key"), "/etc/shadow", "a/../../etc/shadow",
                     self.path("logs") + "/" + "../" * 20 + "etc/shadow", self.path("logsx"), "/"):
            a = sftp.open(path)
            self.denied(a)
            self.assertIn("does not permit to read", a.text)
        self.denied(sftp.open(self.path("logs/syslog"), raw_sftp.R | raw_sftp.W))
        self.denied(sftp.open(self.path("logs/new"), raw_sftp.CREAT))
        self.denied(sftp.open(self.path("logs/syslog"), raw_sftp.R | raw_sftp.TRUNC))
        self.assertEqual(sftp.open(self.path("drop/new"), raw_sftp.W | raw_sftp.CREAT).kind, raw_sftp.HANDLE)
        self.denied(sftp.open(self.path("drop/new")))  # what may be written may not be read
        self.denied(sftp.ask(raw_sftp.REMOVE, self.path("logs/syslog")))
        self.denied(sftp.ask(raw_sftp.MKDIR, self.path("new"), 0))
        self.denied(sftp.ask(raw_sftp.OPENDIR, "/"))
        self.denied(sftp.ask(raw_sftp.STAT, "/etc/passwd"))
        self.assertEqual(sftp.ask(raw_sftp.STAT, self.files).kind, raw_sftp.ATTRS)  # on the way to what he has
        self.denied(sftp.ask(raw_sftp.SETSTAT, self.path("logs/syslog"), 4, 0o777))
        self.denied(sftp.extended("statvfs@openssh.com", "/etc"))
        self.assertEqual(sftp.ask(raw_sftp.REALPATH, "").name, "/root")  # where SFTP begins
        self.denied(sftp.ask(raw_sftp.REALPATH, "/root/.ssh"))
        self.denied(sftp.ask(raw_sftp.STAT, "/root"))
        self.denied(sftp.extended("expand-path@openssh.com", "~daemon"))
        session = self.agreed(sftp)
        refused = self.events("refused", session)
        self.assertEqual(len([d for d in self.records("decision", session=session) if d.json["what"] == "file"]), len(refused))
        self.assertTrue(all(r["why"] == "path" for r in refused))
        asked = [r for r in refused if r.get("asked") == "a/../../etc/shadow"]
        self.assertEqual(asked[0]["path"], "/etc/shadow")
        self.assertEqual(self.events("request", session)[0]["rule"], "lab-files/sftp.read[0]")

    def test_symlinks(self):
        os.symlink(self.path("secret"), self.path("logs/out"))
        os.symlink(self.path("secret/key"), self.path("shared/key"))
        os.symlink("nowhere", self.path("shared/dangling"))
        os.symlink(self.path("secret/new"), self.path("drop/make"))
        sftp = self.raw("frank")
        self.denied(sftp.open(self.path("logs/out/key")))
        self.denied(sftp.open(self.path("shared/key")))
        self.denied(sftp.open(self.path("shared/key"), raw_sftp.W))
        self.denied(sftp.open(self.path("drop/make"), raw_sftp.W | raw_sftp.CREAT))
        self.denied(sftp.ask(raw_sftp.OPENDIR, self.path("logs/out")))
        self.denied(sftp.ask(raw_sftp.STAT, self.path("shared/key")))
        self.assertEqual(sftp.ask(raw_sftp.LSTAT, self.path("shared/key")).kind, raw_sftp.ATTRS)
        self.assertEqual(sftp.ask(raw_sftp.READLINK, self.path("shared/key")).name, self.path("secret/key"))
        self.denied(sftp.ask(raw_sftp.REMOVE, self.path("shared/../logs/out/key")))
        self.denied(sftp.ask(raw_sftp.REMOVE, self.path("logs/out/../../secret/key")))
        # A symlink in SFTP has its text first.
        self.denied(sftp.ask(raw_sftp.SYMLINK, "/etc/shadow", self.path("shared/l")))
        self.denied(sftp.ask(raw_sftp.SYMLINK, "../secret/key", self.path("shared/l")))
        self.denied(sftp.ask(raw_sftp.SYMLINK, "../logs/syslog", self.path("shared/l")))  # not to be written
        self.denied(sftp.ask(raw_sftp.SYMLINK, "../drop/x", self.path("shared/l")))  # not to be read
        self.denied(sftp.ask(raw_sftp.SYMLINK, "x", self.path("logs/l")))
        self.assertEqual(sftp.ask(raw_sftp.SYMLINK, "f", self.path("shared/l")).status, raw_sftp.OK)
        self.assertEqual(os.readlink(self.path("shared/l")), "f")
        self.denied(sftp.open(self.path("shared/none/../none/f")), raw_sftp.NO_SUCH_FILE)
        self.assertFalse(os.path.exists(self.path("secret/new")))
        self.assertEqual(self.content("secret/key"), b"nobody's")
        self.agreed(sftp)

    def test_renames_and_links_give_nothing(self):
        self.write("drop/in", b"may not be read")
        self.write("shared/s", b"both")
        sftp = self.raw("frank")
        names = ((raw_sftp.RENAME,), (raw_sftp.EXTENDED, "posix-rename@openssh.com"),
                 (raw_sftp.EXTENDED, "hardlink@openssh.com"))
        for name in names:
            for old, new in (("drop/in", "shared/out"), ("secret/key", "shared/out"), ("shared/s", "secret/s"),
                             ("logs/syslog", "shared/out"), ("shared/s", "logs/s"), ("drop/in", "logs/../shared/out")):
                self.denied(sftp.ask(*name, self.path(old), self.path(new)))
        self.assertEqual(sftp.ask(raw_sftp.RENAME, self.path("shared/s"), self.path("drop/s")).status, raw_sftp.OK)
        self.assertEqual(os.listdir(self.path("shared")), [])
        session = self.agreed(sftp)
        self.assertEqual(len(self.events("refused", session)), 18)

    def test_a_handle_gives_only_what_its_path_has(self):
        sftp = self.raw("frank")
        h = sftp.open(self.path("logs/syslog")).string
        self.denied(sftp.ask(raw_sftp.FSETSTAT, h, 4, 0o777))
        self.denied(sftp.ask(raw_sftp.WRITE, h, (u64(0),), "x"))
        self.assertEqual(sftp.ask(raw_sftp.FSTAT, h).kind, raw_sftp.ATTRS)
        self.assertEqual(sftp.ask(raw_sftp.READ, h, (u64(0),), 8).string, b"the log\n")
        self.agreed(sftp)

    def test_real_clients_are_told(self):
        done = self.sftp("frank", f"get {self.path('secret/key')} /dev/null")
        self.assertNotEqual(done.returncode, 0)
        # once, although the client asks twice (lstat, stat)
        self.assertEqual(done.stderr.count(f"sallyport: your role does not permit to look at {self.path('secret/key')} on hv1"), 1, done.stderr)
        done = self.sftp("frank", f"put {self.path('logs/syslog')} {self.path('secret/new')}")
        self.assertIn("Permission denied", done.stderr)
        self.assertIn(f"sallyport: your role does not permit to write {self.path('secret/new')} on hv1", done.stderr)
        done = self.sftp("frank", *(f"-get {self.path(f'secret/{i}')} /dev/null" for i in range(20)), "pwd")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("sallyport: your role"), 16, done.stderr)
        self.assertEqual(done.stderr.count("sallyport: further refusals"), 1, done.stderr)
        done = self.sftp("frank", f"get {self.path('logs/syslog')} {self.path('secret/copy')}",
                         f"put {self.path('logs/syslog')} {self.path('drop/copy')}", f"ls {self.path('logs')}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.content("drop/copy"), self.content("logs/syslog"))


class Gate(SftpTest):
    def test_every_way_to_a_file_has_the_same_gate(self):
        """Operators by what their roles have, and the ways in which a file could be moved."""
        ways = {"shell": lambda o: self.ssh(o, "hv1", stdin=b"true\n"),
                "exec": lambda o: self.ssh(o, "hv1", "cat " + self.path("logs/syslog")),
                "sftp": lambda o: self.sftp(o, f"get {self.path('logs/syslog')} {self.path('secret/' + o)}"),
                "scp": lambda o: self.scp(o), "scp -O": lambda o: self.scp(o, "-O")}
        files = {"sftp", "scp"}
        # Who has no role at all would be asked for a code each time: her role is for elsewhere.
        self.lab.write_conf("roles.d/elsewhere.yaml", "role: elsewhere\nmembers: [carol]\ntargets: {name: hv2}\n"
                            "accounts: [nobody]\nremember: 1h\nallow: {exec: true}\n")
        self.reload()
        self.addCleanup(self.reload)
        self.addCleanup(os.unlink, self.lab.path("conf", "roles.d", "elsewhere.yaml"))
        self.remember("carol")
        for operator, has in (("alice", set(ways)), ("bob", set()), ("carol", set()), ("dave", set()), ("erin", set()),
                              ("frank", files)):
            # A lock is told after the factors, whatever is asked for then: dave has two of the ways.
            for name, way in list(ways.items())[:2 if operator == "dave" else None]:
                with self.subTest(operator=operator, way=name):
                    done = way(operator)
                    self.assertEqual(done.returncode == 0, name in has, done.stderr)

    def scp(self, operator, *options):
        words = ["scp", "-q", *options, "-F", self.lab.path("as", operator, "ssh_config"),
                 f"hv1:{self.path('logs/syslog')}", self.path("secret/" + operator)]
        return subprocess.run(words, env=self.lab.operator_env(operator), check=False, timeout=harness.TIMEOUT,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Hostile(SftpTest):
    """Clients that do not keep to the protocol."""

    def closed(self, sftp, why):
        with self.assertRaises(Gone):
            while True:
                sftp.read()
        sftp.child.wait(harness.TIMEOUT)
        session = self.finished_session()
        self.assertEqual(self.events("refused", session)[-1]["why"], why)
        return session

    def test_malformed(self):
        for name, bad in {"short": packet(raw_sftp.OPEN), "a string too long": u32(9) + b"\x03" + u32(1) + u32(1 << 31),
                          "left over": packet(raw_sftp.STAT, 1, "/", (b"x",)), "empty": u32(0),
                          "over-long": u32(256 * 1024 + 1) + bytes(100), "endless": b"\xff" * 4}.items():
            with self.subTest(name):
                sftp = self.raw()
                sftp.send(bad)
                self.closed(sftp, "form")

    def test_beginnings(self):
        for name, bad, why in (("no INIT", packet(raw_sftp.STAT, 1, "/"), "version"),
                               ("two of them", packet(raw_sftp.INIT, 3) * 2, "version"),
                               ("version 2", packet(raw_sftp.INIT, 2), "version")):
            with self.subTest(name):
                sftp = self.raw(begin=False)
                sftp.send(bad)
                self.closed(sftp, why)

    def test_what_is_not_known(self):
        sftp = self.raw()
        self.assertNotIn(b"vendor", sftp.version)
        self.denied(sftp.extended("no-such@example.com", "x"), raw_sftp.UNSUPPORTED)
        self.denied(sftp.ask(99, "x"), raw_sftp.UNSUPPORTED)
        self.denied(sftp.ask(raw_sftp.READ, "no handle", (u64(0),), 10), raw_sftp.FAILURE)
        self.denied(sftp.ask(raw_sftp.CLOSE, b"\0\0\0\0"), raw_sftp.FAILURE)
        self.denied(sftp.open(""), raw_sftp.FAILURE)
        self.denied(sftp.open("/a\0b"), raw_sftp.FAILURE)
        self.denied(sftp.open("/" + "x" * 5000), raw_sftp.FAILURE)
        h = sftp.open(self.path("logs/syslog")).string
        sftp.ask(raw_sftp.CLOSE, h)
        self.denied(sftp.ask(raw_sftp.READ, h, (u64(0),), 10), raw_sftp.FAILURE)
        self.assertEqual(sftp.ask(raw_sftp.REALPATH, ".").name, "/root")
        session = self.agreed(sftp)
        self.assertEqual([r["why"] for r in self.events("refused", session)],
                         ["extension", "form", "handle", "handle", "form", "form", "form", "handle"])

    def test_the_same_id_twice(self):
        sftp = self.raw()
        sftp.send(packet(raw_sftp.STAT, 7, "/") + packet(raw_sftp.REALPATH, 7, "/"))
        self.assertEqual([(sftp.answer().id) for _ in range(2)], [7, 7])
        self.agreed(sftp)

    def test_too_many_open_files(self):
        sftp = self.raw()
        for _ in range(256):
            self.assertEqual(sftp.open(self.path("logs/syslog")).kind, raw_sftp.HANDLE)
        a = sftp.open(self.path("logs/syslog"))
        self.denied(a, raw_sftp.FAILURE)
        self.assertIn("too many open files", a.text)
        self.assertEqual(len(self.events("closed", self.agreed(sftp), by="end")), 256)

    def test_a_packet_byte_by_byte(self):
        sftp = self.raw()
        for b in packet(raw_sftp.STAT, 9, "/"):
            sftp.send(bytes([b]))
        self.assertEqual(sftp.answer().id, 9)
        self.agreed(sftp)


class Target(SftpTest):
    """Hypervisors that do not keep to the protocol."""

    @classmethod
    def setUpClass(cls):
        globals()["lab"].stop_sshd("hv2")

    def served(self, *answers):
        """answers: for each request behind the first REALPATH, given its packet, bytes to send."""
        def serve(c):
            have = b""

            def request():
                nonlocal have
                while len(have) < 4 or len(have) < 4 + int.from_bytes(have[:4], "big"):
                    more = c.channel.recv(65536)
                    if not more:
                        raise EOFError
                    have += more
                n = 4 + int.from_bytes(have[:4], "big")
                body, have = have[4:n], have[n:]
                return body
            request()
            c.data(packet(raw_sftp.VERSION, 3, "vendor@example.com", "1", "posix-rename@openssh.com", "1"))
            body = request()
            c.data(packet(raw_sftp.NAME, int.from_bytes(body[1:5], "big"), 1, "/root", "/root", 0))
            for answer in answers:
                body = request()
                data = answer(int.from_bytes(body[1:5], "big"), body)
                for i in range(0, len(data), 30000):
                    c.data(data[i:i + 30000])
            c.target.over.wait()
        return HostileTarget(self.lab.port_of("hv2"), self.lab.path("hv2", "host_key"), serve)

    def violation(self, *answers):
        with self.served(*answers):
            sftp = self.raw(host="hv2")
            self.assertNotIn(b"vendor", sftp.version)
            with self.assertRaises(Gone):
                if len(answers) == 2:
                    h = sftp.open("/f").string
                    sftp.ask(raw_sftp.READ, h, (u64(0),), 100)
                else:
                    sftp.open("/f")
            sftp.child.wait(harness.TIMEOUT)
            self.assertIn(b"hv2 broke the SFTP protocol", sftp.child.stderr.read())
        session = self.finished_session()
        self.assertEqual(self.records("session-end", session=session)[-1].json["reason"], "target-violation")
        self.assertEqual(self.records("alarm", session=session)[-1].json["alarm"], "target-violation")

    def test_answers_that_answer_nothing(self):
        handle = lambda i, _: packet(raw_sftp.HANDLE, i, "h")
        for name, *answers in (
                ("another id", lambda i, _: packet(raw_sftp.HANDLE, i + 1, "h")),
                ("a huge id", lambda i, _: packet(raw_sftp.HANDLE, i + 1024, "h")),
                ("data for an open", lambda i, _: packet(raw_sftp.DATA, i, "x")),
                ("ok for an open", lambda i, _: packet(raw_sftp.STATUS, i, 0, "", "")),
                ("another version", lambda i, _: packet(raw_sftp.VERSION, 3)),
                ("a request", lambda i, _: packet(raw_sftp.STAT, i, "/")),
                ("no handle", lambda i, _: packet(raw_sftp.HANDLE, i, "")),
                ("a handle too long", lambda i, _: packet(raw_sftp.HANDLE, i, b"h" * 257)),
                ("nothing", lambda i, _: u32(0)),
                ("too much", lambda i, _: u32(300000)),
                ("more than was asked for", handle, lambda i, _: packet(raw_sftp.DATA, i, b"x" * 101)),
                ("names", handle, lambda i, _: packet(raw_sftp.NAME, i, 0xffffffff, "a", "a", 0))):
            with self.subTest(name):
                self.violation(*answers)

    def test_an_answer_twice(self):
        with self.served(lambda i, _: packet(raw_sftp.HANDLE, i, "h") * 2):
            sftp = self.raw(host="hv2")
            self.assertEqual(sftp.next_id, 0)
            with self.assertRaises(Gone):
                sftp.open("/f")
                sftp.read()
            sftp.child.wait(harness.TIMEOUT)
        session = self.finished_session()
        self.assertEqual(self.records("session-end", session=session)[-1].json["reason"], "target-violation")

    def test_a_large_answer_in_small_pieces(self):
        data = os.urandom(250000)

        def small(i, _):
            return packet(raw_sftp.DATA, i, data)
        with self.served(lambda i, _: packet(raw_sftp.HANDLE, i, "h"), small):
            sftp = self.raw(host="hv2")
            h = sftp.open("/f").string
            self.assertEqual(sftp.ask(raw_sftp.READ, h, (u64(0),), 250000).string, data)
            sftp.child.kill()
        self.finished_session()

    def test_a_target_that_never_answers(self):
        with self.served():
            sftp = self.raw(host="hv2")
            os.set_blocking(sftp.child.stdin.fileno(), False)
            flood = b"".join(packet(raw_sftp.STAT, i, "/" + "x" * 1000) for i in range(5000))
            until = time.time() + 8
            while time.time() < until and flood:
                try:
                    flood = flood[os.write(sftp.child.stdin.fileno(), flood):]
                except BlockingIOError:
                    time.sleep(0.1)
            most = max(harness.rss_anon(pid)
                       for program in ("sallyport-frontend", "sallyport-backend")
                       for pid in self.servers_and_children(program)[1])
            sanitizers.assert_memory_below(self, most, MEMORY_KIB)
            sftp.child.kill()
        self.finished_session()
        self.assertLessEqual(len(self.records("file")), 1100)
