# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are known elsewhere: a real rsyslogd over TLS, real witnesses, hostile ones, and what
happens when nobody takes them."""
import base64
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness
import lablib
import sanitizers

setUpModule, tearDownModule = harness.lab_for_module(globals())

RSYSLOG = """module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1"
       StreamDriver.AuthMode="{mode}")
global(defaultNetstreamDriverCAFile="{dir}/ca.pem" defaultNetstreamDriverCertFile="{dir}/server.pem"
       defaultNetstreamDriverKeyFile="{dir}/server.key" workDirectory="{dir}")
input(type="imtcp" address="127.0.0.1" port="{port}")
action(type="omfile" file="{dir}/{file}" template="RSYSLOG_SyslogProtocol23Format" flushOnTXEnd="on")
action(type="omfile" file="{dir}/plain" template="RSYSLOG_FileFormat" flushOnTXEnd="on")
"""


class Elsewhere(harness.SessionTest):
    def setUp(self):
        self.dir = self.lab.path("elsewhere")
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        os.chmod(self.dir, 0o755)
        self.config = self.lab.path("conf", "sallyport.yaml")
        with open(self.config, encoding="utf-8") as f:
            self.plain = f.read()
        super().setUp()

    def tearDown(self):
        super().tearDown()
        self.configure("")

    def configure(self, text):
        """Restarts the gateway with this added."""
        self.lab.stop()
        self.lab.write_conf("sallyport.yaml", self.plain + text)
        self.lab.start()

    def start(self, words, name, **more):
        log = open(os.path.join(self.dir, name + ".log"), "ab")  # pylint: disable=consider-using-with
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **more)
        log.close()
        self.addCleanup(self.end_child, child)
        return child

    def read(self, name):
        try:
            with open(os.path.join(self.dir, name), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def status(self, kind=None):
        rows = json.loads(self.admin("status", "--json").stdout)["supervisor"].get("elsewhere", [])
        return [r for r in rows if kind is None or r["kind"] == kind]

    # --- syslog

    def certificates(self, name="log.lab.test"):
        def run(*words):
            subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.dir)
        run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=test CA")
        for who, subject in (("server", name), ("client", "gateway.lab.test")):
            run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", who + ".key", "-out", who + ".csr", "-subj", "/CN=" + subject)
            with open(os.path.join(self.dir, "ext"), "w", encoding="ascii") as f:
                f.write(f"subjectAltName=DNS:{subject}\n")
            run("x509", "-req", "-in", who + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-out", who + ".pem", "-extfile", "ext")

    def rsyslogd(self, port, file="messages", mode="anon"):
        with open(os.path.join(self.dir, "rsyslog.conf"), "w", encoding="ascii") as f:
            f.write(RSYSLOG.format(dir=self.dir, port=port, file=file, mode=mode))
        child = self.start(["rsyslogd", "-n", "-f", os.path.join(self.dir, "rsyslog.conf"), "-i",
                            os.path.join(self.dir, "rsyslogd.pid")], "rsyslogd")
        harness.wait_until("rsyslogd listens", lambda: not lablib.port_is_free(port) or child.poll() is not None)
        self.assertIsNone(child.poll(), self.read("rsyslogd.log"))
        return child

    def syslog_config(self, port, name="log.lab.test", client=False):
        own = f", certificate: {self.dir}/client.pem, key: {self.dir}/client.key" if client else ""
        return f"syslog: {{address: \"127.0.0.1:{port}\", name: {name}, ca: {self.dir}/ca.pem{own}}}\n"

    def test_checkpoints_reach_rsyslogd_over_tls(self):
        self.certificates()
        port = lablib.free_port()
        server = self.rsyslogd(port, mode="x509/certvalid")
        self.configure(self.syslog_config(port, client=True) + "elsewhere: {alarm-after: 3s}\n")
        line = harness.wait_until("a checkpoint in the log file", lambda: re.search(
            r"^<109>1 \S+ gateway\.lab\.test sallyport - checkpoint \[checkpoint@32473 [^\n]*\] ?checkpoint [^\n]*\n",
            self.read("messages"), re.M)).group(0)
        self.rebuilt(line)
        # a server that drops structured data has it in the text
        harness.wait_until("the plain file", lambda: "root=" in self.read("plain"))
        self.rebuilt(self.read("plain").splitlines()[0])
        row = harness.wait_until("the destination in status", lambda: [r for r in self.status("syslog") if r["size"] > 0])[0]
        self.assertNotIn("error", row)
        self.assertIn("log.lab.test", self.admin("status").stdout)
        server.send_signal(signal.SIGTERM)
        server.wait()
        alarm = self.record("alarm", "has not taken a checkpoint")
        self.assertEqual(alarm.json["alarm"], "checkpoint-not-taken")
        self.assertIn("error", self.status("syslog")[0])
        self.rsyslogd(port, "again", mode="x509/certvalid")
        harness.wait_until("checkpoints again", lambda: "checkpoint@32473" in self.read("again"))
        harness.wait_until("no error any more", lambda: "error" not in self.status("syslog")[0])

    def rebuilt(self, line):
        """The note out of one line; its signature is the log's (checked with openssl)."""
        part = {k: v for k, v in re.findall(r'(\w+)="([^"]*)"', line)}
        text = f"{part['origin']}\n{part['size']}\n{part['root']}\n"
        with open(self.lab.path("state", "public", "log.pub"), encoding="ascii") as f:
            key = base64.b64decode(f.read().strip().split("+", 2)[2])[1:]
        with open(os.path.join(self.dir, "pub.der"), "wb") as f:
            f.write(bytes.fromhex("302a300506032b6570032100") + key)
        with open(os.path.join(self.dir, "text"), "w", encoding="ascii") as f:
            f.write(text)
        with open(os.path.join(self.dir, "sig"), "wb") as f:
            f.write(base64.b64decode(part["signature"])[4:])
        subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "pub.der", "-in",
                        "text", "-sigfile", "sig"], check=True, cwd=self.dir, stdout=subprocess.DEVNULL)

    def test_a_server_with_another_name_gets_nothing(self):
        self.certificates("other.lab.test")
        port = lablib.free_port()
        self.rsyslogd(port)
        self.configure(self.syslog_config(port))
        row = harness.wait_until("an error", lambda: [r for r in self.status("syslog") if r.get("error")])[0]
        self.assertIn("certificate", row["error"])
        self.assertNotIn("checkpoint", self.read("messages"))
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)

    # --- witnesses

    def witness(self, name, port=None):
        """A real one; returns (configuration, process, its directory, port)."""
        state = os.path.join(self.dir, name)
        program = os.path.join(self.lab.build, "sallyport-witness")
        uid = lablib.FIRST_UID + self.lab.slot * lablib.UIDS + 12
        if not os.path.exists(state):
            os.makedirs(state)
            os.chown(state, uid, uid)
            made = subprocess.run([program, "--init", "--name", f"{name}.lab.test/w", "--state", state], user=uid, group=uid,
                                  stdout=subprocess.PIPE, text=True, check=True)
            self.vkeys = {**getattr(self, "vkeys", {}), name: made.stdout.strip()}
        port = port or lablib.free_port()
        with open(self.lab.path("state", "public", "log.pub"), encoding="ascii") as f:
            log = f.read().strip()
        child = self.start([program, "--state", state, "--listen", f"127.0.0.1:{port}", "--log", log], name, user=uid, group=uid,
                           extra_groups=[])
        harness.wait_until("the witness listens", lambda: not lablib.port_is_free(port) or child.poll() is not None)
        self.assertIsNone(child.poll(), self.read(name + ".log"))
        return self.entry(name, port), child, state, port

    def entry(self, name, port):
        return f"{{key: \"{self.vkeys[name]}\", address: \"127.0.0.1:{port}\"}}"

    def witnessed(self):
        try:
            with open(self.lab.path("state", "trail", "checkpoint.witnessed"), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def confined(self, pid):
        status = harness.proc_status(pid)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", sanitizers.SECCOMP))
        self.assertNotIn("0", status["Uid"].split())
        self.assertEqual(status.get("Groups", "").strip(), "")
        for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[which], 16), 0, which)
        with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
            self.assertEqual(next(line for line in f if line.startswith("Max core file size")).split()[4], "0")
        return status["Uid"].split()[0]

    def test_courier_and_witness_are_confined(self):
        entry, witness, _, _ = self.witness("w1")
        self.configure(f"witnesses: [{entry}]\n")
        harness.wait_until("a cosignature", self.witnessed)
        processes = self.gateway_processes()
        courier = processes["sallyport-courier"]
        self.assertEqual(len(courier), 1)
        uids = {self.confined(courier[0]), self.confined(witness.pid)}
        for program, pids in processes.items():
            if program != "sallyport-courier":
                uids |= {harness.proc_status(pids[0])["Uid"].split()[0]}
        self.assertEqual(len(uids), len(processes) + 1)  # each has one of its own
        self.assertEqual(os.readlink(f"/proc/{courier[0]}/root"), self.lab.path("state", "empty"))
        for fd in os.listdir(f"/proc/{courier[0]}/fd"):
            if int(fd) > 2:
                self.assertRegex(os.readlink(f"/proc/{courier[0]}/fd/{fd}"), r"^(socket:|anon_inode:|pipe:)")
        has_landlock = ctypes.CDLL(None).syscall(444, None, 0, 1) > 0 and not sanitizers.SANITIZED
        self.assertIn(f'confined landlock={"yes" if has_landlock else "no"}', self.read("w1.log"))

    def test_two_witnesses_cosign_and_one_is_killed(self):
        first, child, state, port = self.witness("w1")
        second = self.witness("w2")[0]
        self.configure(f"witnesses: [{first}, {second}]\nelsewhere: {{alarm-after: 4s}}\n")
        note = harness.wait_until("both cosignatures", lambda: "— w1.lab.test/w " in (n := self.witnessed()) and
                                  "— w2.lab.test/w " in n and n)
        size = int(note.splitlines()[1])
        self.assertEqual(len(self.status("witness")), 2)
        child.kill()
        child.wait()
        kept = {f: open(os.path.join(state, f), "rb").read() for f in os.listdir(state) if len(f) == 64}
        self.assertEqual(len(kept), 1)
        alarm = self.record("alarm", "w1.lab.test")
        self.assertEqual(alarm.json["alarm"], "checkpoint-not-taken")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        child = self.witness("w1", port)[1]
        harness.wait_until("the first one again, with more", lambda: (n := self.witnessed()) and "— w1.lab.test/w " in n and
                           int(n.splitlines()[1]) > size)
        self.assertNotIn("seccomp-denied", self.read("w1.log"))
        self.assertEqual(self.records("alarm", alarm="other-history"), [])

    def test_the_shutdown_is_known_elsewhere(self):
        """The last checkpoint of an orderly end is cosigned and delivered before the courier ends."""
        self.certificates()
        port = lablib.free_port()
        self.rsyslogd(port)
        entry, _, state, _ = self.witness("w1")
        self.configure(f"witnesses: [{entry}]\n" + self.syslog_config(port))
        harness.wait_until("a cosignature", self.witnessed)
        harness.wait_until("a checkpoint in the log file", lambda: "checkpoint@32473" in self.read("messages"))
        self.lab.stop()
        with open(self.lab.path("state", "trail", "checkpoint"), encoding="utf-8") as f:
            last = f.read()
        witnessed = self.witnessed()
        self.assertTrue(witnessed.startswith(last), (last, witnessed))
        self.assertIn("— w1.lab.test/w ", witnessed[len(last):])
        kept = [self.read(os.path.join(state, f)) for f in os.listdir(state) if len(f) == 64]
        self.assertEqual([k.splitlines()[1] for k in kept], [last.splitlines()[1]])
        harness.wait_until("the last one in the log file", lambda: f'size="{last.splitlines()[1]}"' in self.read("messages"))
        self.lab.start()
        self.assertEqual(self.records("alarm", event="program-died"), [])
        self.admin("audit", "verify")

    def test_nobody_there_delays_the_end_and_does_not_prevent_it(self):
        entry, child, _, _ = self.witness("w1")
        self.configure(f"witnesses: [{entry}]\n")
        harness.wait_until("a cosignature", self.witnessed)
        child.send_signal(signal.SIGSTOP)  # it accepts, and never answers
        self.addCleanup(child.send_signal, signal.SIGCONT)
        before = len(self.records("shutdown"))
        self.lab.stop()
        self.assertEqual(len(self.records("shutdown")), before + 1, "it had to be killed")
        self.lab.start()
        self.assertEqual(self.records("alarm", event="program-died"), [])
        self.assertEqual(self.records("recovery"), [])

    def test_a_proof_says_who_cosigned_it(self):
        first, second = self.witness("w1")[0], self.witness("w2")[0]
        self.witness("w3")  # a stranger to this gateway
        self.configure(f"witnesses: [{first}, {second}]\n")
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        size = self.record("session-end").index + 1
        harness.wait_until("both cosignatures", lambda: "— w1.lab.test/w " in (n := self.witnessed()) and
                           "— w2.lab.test/w " in n and int(n.splitlines()[1]) >= size)
        proof = os.path.join(self.dir, "proof")
        self.admin("audit", "prove", "--output", proof, str(size - 1))

        def check(*witnesses, **more):
            words = [w for name in witnesses for w in ("--witness", self.vkeys[name])]
            return self.admin("audit", "prove", "--check", proof, *words, *more.get("words", ()), check=False)
        done = check("w1", "w2")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for name in ("w1", "w2"):
            self.assertIn(f"the witness {name}.lab.test/w cosigned that at 20", done.stdout)
        self.assertNotIn("was not checked", done.stdout)
        said = json.loads(check("w1", words=["--json"]).stdout)
        self.assertEqual([w["witness"] for w in said["cosigned_by"]], ["w1.lab.test/w"])
        self.assertEqual(said["not_checked"], ["w2.lab.test/w"])
        self.assertIn("says it is by w1.lab.test/w was not checked", check().stdout)
        done = check("w1", "w3")
        self.assertEqual(done.returncode, 1)
        self.assertIn("NOT PROVED: the witness w3.lab.test/w", done.stdout)
        with open(proof, encoding="utf-8") as f:
            text = f.read()
        start = text.index("— w1.lab.test/w ") + len("— w1.lab.test/w ") + 30
        with open(proof, "w", encoding="utf-8") as f:
            f.write(text[:start] + ("A" if text[start] != "A" else "B") + text[start + 1:])
        self.assertEqual(check("w1").returncode, 1)
        self.assertEqual(check("w2").returncode, 0)
        self.assertEqual(self.admin("audit", "prove", "--witness", self.vkeys["w1"], "last", check=False).returncode, 2)

    def test_a_restored_copy_is_noticed(self):
        entry = self.witness("w1")[0]
        self.configure(f"witnesses: [{entry}]\n")
        harness.wait_until("a cosignature", self.witnessed)
        self.lab.stop()
        trail, aside, newer = (self.lab.path("state", n) for n in ("trail", "trail.aside", "trail.newer"))
        # Of the state all that belongs to the trail, or the recorder would not even start.
        mark, mark_aside, mark_newer = (self.lab.path("state", n) for n in ("trail.mark", "mark.aside", "mark.newer"))
        subprocess.run(["cp", "-a", trail, aside], check=True)
        subprocess.run(["cp", "-a", mark, mark_aside], check=True)
        self.lab.start()
        size = int(self.witnessed().splitlines()[1])
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        harness.wait_until("a larger one", lambda: int(self.witnessed().splitlines()[1]) > size + 20)
        self.lab.stop()
        os.rename(trail, newer)
        os.rename(aside, trail)
        os.rename(mark, mark_newer)
        os.rename(mark_aside, mark)
        try:
            self.lab.start()
            done = harness.wait_until("a refusal", lambda: (d := self.ssh("alice", "hv1", "true")).returncode == 75 and d)
            self.shows(done, "audit new-log")
            self.assertIn(b"w1.lab.test/w", done.stderr)
            with open(self.lab.logfile, encoding="utf-8", errors="replace") as f:
                self.assertIn("other-history", f.read())
        finally:
            self.lab.stop()
            shutil.rmtree(trail)
            os.rename(newer, trail)
            os.rename(mark_newer, mark)
            self.lab.start()

    def test_hostile_witnesses_harm_nothing(self):
        with open(self.lab.path("state", "public", "log.pub"), encoding="ascii") as f:
            origin = f.read().split("+")[0]
        wrong = "— w.lab.test/w " + base64.b64encode(b"\0" * 76).decode() + "\n"
        answers = [
            b"garbage\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(wrong.encode()), wrong.encode()),
            b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 200000,
            b"HTTP/1.1 409 Conflict\r\nContent-Length: 20\r\n\r\n9999999999999999999\n",
            None,  # silence
        ]
        listeners, entries = [], []
        for i, answer in enumerate(answers):
            listener = socket.create_server(("127.0.0.1", 0))
            listeners.append(listener)
            self.addCleanup(listener.close)
            threading.Thread(target=self.serve, args=(listener, answer), daemon=True).start()
            name = f"h{i}"
            state = os.path.join(self.dir, name)
            made = subprocess.run([os.path.join(self.lab.build, "sallyport-witness"), "--init", "--name", f"{name}.lab.test/w",
                                   "--state", state], stdout=subprocess.PIPE, text=True, check=True)
            self.vkeys = {**getattr(self, "vkeys", {}), name: made.stdout.strip()}
            entries.append(self.entry(name, listener.getsockname()[1]))
        good = self.witness("good")[0]
        self.assertTrue(origin)
        self.configure(f"witnesses: [{', '.join(entries)}, {good}]\nelsewhere: {{stop-after: 30s}}\n")
        harness.wait_until("the good one's cosignature", lambda: "— good.lab.test/w " in self.witnessed())
        harness.wait_until("errors of all others", lambda: len([r for r in self.status("witness") if r.get("error")]) == 5)
        self.assertNotIn("h1.lab.test", self.witnessed())
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        self.assertEqual(self.records("alarm", alarm="other-history"), [])
        self.record("alarm", alarm="witness-refuses")
        self.assertEqual([r for r in self.records("alarm") if r.json.get("program") == "sallyport-courier"], [])

    def test_after_a_new_log_the_witness_is_asked_about_that(self):
        asked = []
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    s, _ = listener.accept()
                    asked.append(s.recv(65536).split(b"\r\n")[0])
                    s.sendall(b"HTTP/1.1 409 Conflict\r\nContent-Length: 8\r\nConnection: close\r\n\r\n9999999\n"
                              if asked[-1].startswith(b"POST") else b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                    s.close()
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        self.witness("n1")
        self.configure(f"witnesses: [{self.entry('n1', listener.getsockname()[1])}]\n")
        self.lab.stop()
        self.admin("audit", "new-log", "--reason", "for the test")
        asked.clear()
        self.lab.start()
        with open(self.lab.path("state", "public", "log.pub"), encoding="ascii") as f:
            origin = f.read().split("+")[0]
        self.assertTrue(origin.endswith("/sallyport/1"), origin)
        path = hashlib.sha256(origin.encode()).hexdigest().encode()
        harness.wait_until("the question", lambda: [a for a in asked if a.startswith(b"GET /")])
        self.assertIn(path, [a for a in asked if a.startswith(b"GET /")][0])

    def serve(self, listener, answer):
        held = []
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            try:
                s.settimeout(harness.TIMEOUT)
                s.recv(65536)
                if answer is None:
                    held.append(s)
                else:
                    s.sendall(answer)
                    s.close()
            except OSError:
                pass

    def test_the_courier_is_killed_and_comes_back(self):
        entry = self.witness("w1")[0]
        self.configure(f"witnesses: [{entry}]\n")
        harness.wait_until("a cosignature", self.witnessed)
        # for the readers' group, as the checkpoint is
        self.assertEqual(os.stat(self.lab.path("state", "trail", "checkpoint.witnessed")).st_mode & 0o777, 0o640)
        child = self.live()
        size = int(self.witnessed().splitlines()[1])
        pid = self.gateway_processes()["sallyport-courier"][0]
        os.kill(pid, signal.SIGKILL)
        self.record("alarm", "sallyport-courier")
        harness.wait_until("a new courier", lambda: self.gateway_processes().get("sallyport-courier", [pid]) != [pid])
        harness.wait_until("more cosigned", lambda: int(self.witnessed().splitlines()[1]) > size)
        child.stdin.write(b"still here\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), b"still here\n")

    def test_no_new_session_while_nobody_knows_the_checkpoints(self):
        entry, child, _, port = self.witness("w1")
        self.configure(f"witnesses: [{entry}]\nelsewhere: {{alarm-after: 1s, stop-after: 3s}}\n")
        harness.wait_until("a cosignature", self.witnessed)
        live = self.live()
        child.kill()
        child.wait()
        done = harness.wait_until("a refusal", lambda: (d := self.ssh("alice", "hv1", "true")).returncode == 75 and d)
        self.shows(done, "not been known elsewhere")
        self.record("alarm", alarm="checkpoints-known-nowhere")
        live.stdin.write(b"goes on\n")
        live.stdin.flush()
        self.assertEqual(live.stdout.readline(), b"goes on\n")
        self.witness("w1", port)
        harness.wait_until("sessions again", lambda: self.ssh("alice", "hv1", "true").returncode == 0)

    # --- the witness alone

    def ask(self, port, data):
        with socket.create_connection(("127.0.0.1", port), timeout=harness.TIMEOUT) as s:
            s.sendall(data)
            said = b""
            while chunk := s.recv(65536):
                said += chunk
            return said

    def test_slow_and_wrong_clients_of_the_witness(self):
        _, child, _, port = self.witness("w1")
        slow = []
        for _ in range(300):  # more than it has places for
            s = socket.create_connection(("127.0.0.1", port))
            s.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Le")
            slow.append(s)
        started = time.time()
        said = self.ask(port, b"POST /add-checkpoint HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\nold")
        self.assertIn(b"HTTP/1.1 400 ", said)
        self.assertLess(time.time() - started, 5)
        for request, status in ((b"GET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
                                (b"PUT /add-checkpoint HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", b"405"),
                                (b"GET /" + b"0" * 64 + b"/checkpoint HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
                                (b"\r\n\r\n", b"400"), (b"A" * 9000, b"413"),
                                (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 80000\r\n\r\n", b"413")):
            self.assertIn(b"HTTP/1.1 " + status, self.ask(port, request)[:20], request[:40])
        for s in slow:
            s.close()
        self.assertIsNone(child.poll(), self.read("w1.log"))
        self.assertNotIn("seccomp-denied", self.read("w1.log"))


if __name__ == "__main__":
    unittest.main()
