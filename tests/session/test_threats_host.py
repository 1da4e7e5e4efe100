# SPDX-License-Identifier: Apache-2.0
"""The gateway as a set of processes and files, attacked: TLS, crowds, crashes, secrets where they do not belong,
the control socket, policy sets that are bombs or swapped while they are read."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import paramiko
from cryptography.hazmat.primitives import serialization

import harness
import raw_ssh
import sanitizers

lab_up, tearDownModule = harness.lab_for_module(globals(), extra_operators=1)


def setUpModule():
    """The limits as they are shipped: a lab's own take whatever comes from 127.0.0.1."""
    lab_up()
    lab.stop()
    with open(lab.path("conf", "sallyport.yaml"), encoding="utf-8") as f:
        text = f.read()
    lab.write_conf("sallyport.yaml", text.replace("per-source: 500", "per-source: 64"))
    lab.start()


PROGRAMS = ("sallyport-listener", "sallyport-frontend", "sallyport-backend", "sallyport-authd", "sallyport-auditd")


class Tls(harness.SessionTest):
    def refused(self, context):
        try:
            s = raw_ssh.tls(self.lab, context=context)
            s.sendall(b"CONNECT hv1:22 HTTP/1.1\r\n\r\n")
            answer = s.recv(100)  # TLS 1.3: a client's certificate is judged after its side is done
            s.close()
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            return
        self.assertEqual(answer, b"")

    def test_a_device_certificate_is_no_authority(self):
        """A certificate that alice's device signed for somebody, with hers beside it."""
        home, d = self.lab.path("as", "alice"), self.lab.path("nested")
        os.makedirs(d, exist_ok=True)

        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=d, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "csr",
                "-subj", "/CN=bob")
        with open(os.path.join(d, "ext"), "w", encoding="ascii") as f:
            f.write("extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n")
        openssl("x509", "-req", "-in", "csr", "-CA", home + "/device.pem", "-CAkey", home + "/device.key", "-extfile", "ext",
                "-set_serial", "1", "-days", "1", "-out", "leaf.pem")
        with open(os.path.join(d, "chain.pem"), "wb") as chain:
            for path in (os.path.join(d, "leaf.pem"), home + "/device.pem"):
                with open(path, "rb") as f:
                    chain.write(f.read())
        context = raw_ssh.tls_context(self.lab)
        context.load_cert_chain(os.path.join(d, "chain.pem"), os.path.join(d, "key"))
        self.refused(context)
        self.assertEqual(self.records("authentication"), [])

    def test_the_gateway_s_own_certificate_is_no_operator_s(self):
        context = raw_ssh.tls_context(self.lab)
        keys = self.lab.path("state", "keys")
        context.load_cert_chain(os.path.join(keys, "tls.pem"), os.path.join(keys, "tls.key"))
        self.refused(context)

    def test_only_tls_1_3_without_tickets(self):
        old = raw_ssh.tls_context(self.lab)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        self.refused(old)
        s = raw_ssh.tls(self.lab)
        self.assertEqual(s.version(), "TLSv1.3")
        s.sendall(b"CONNECT hv1:22 HTTP/1.1\r\n\r\n")
        s.recv(100)
        self.assertFalse(s.session and s.session.has_ticket)  # nothing to resume, so nothing to send early
        s.close()


class Crowds(harness.SessionTest):
    SOURCE = "127.0.0.77"

    def test_idle_and_slow_strangers(self):
        """More connections than one source may have; some send a byte a second. Others still log in, and the
        strangers are gone when the handshake's time is over."""
        sockets = [raw_ssh.dial(self.lab, self.SOURCE) for _ in range(80)]
        self.addCleanup(lambda: [s.close() for s in sockets])
        began = time.monotonic()
        live = harness.wait_until("no more than 64 of them", lambda: len(
            found := [s for s in sockets if self.open_still(s)]) <= 64 and found)
        self.assertEqual(len(live), 64)
        done = self.ssh("alice", "hv1", "echo in")
        self.assertEqual((done.returncode, done.stdout), (0, b"in\n"), done.stderr)
        said = json.loads(self.admin("status", "--json").stdout)
        self.assertLessEqual(said["supervisor"]["connections"]["now"], 64 + 2)
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(400)
        for i in range(harness.TIMEOUT):
            live = [s for s in live if self.open_still(s)]
            if not live:
                break
            for s in live[::2]:
                try:
                    s.send(hello[i:i + 1])
                except OSError:
                    pass
            time.sleep(1)
        self.assertEqual(live, [])
        self.assertGreater(time.monotonic(), began + 8, "they were not slow enough for this test")
        self.assertLess(len([r for r in self.records() if self.SOURCE in r.text()]), 4)
        harness.wait_until("they are forgotten", lambda: json.loads(
            self.admin("status", "--json").stdout)["supervisor"]["connections"]["now"] == 0)

    @staticmethod
    def open_still(s):
        s.setblocking(False)
        try:
            return s.recv(100) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def test_a_stranger_fills_no_trail_and_leaves_no_descriptor(self):
        # From here on the numbers are steady.
        self.ssh("alice", "hv1", "true")
        harness.wait_until("the programs alone", lambda: not any(
            self.servers_and_children(p)[1] for p in ("sallyport-frontend", "sallyport-backend")))
        time.sleep(1)
        pids = [p for pids in self.gateway_processes().values() for p in pids]
        before = {p: raw_ssh.descriptors_of(p) for p in pids if os.path.exists(f"/proc/{p}")}
        for i in range(100):
            s = raw_ssh.tls(self.lab, source=self.SOURCE)
            s.sendall((b"GET / HTTP/1.1\r\n\r\n", b"CONNECT hv1:22 HTTP/1.1\r\n\r\n", b"\x00\xff")[i % 3])
            s.close()
        for _ in range(3):
            self.ssh("alice", "hv1", "true")
        self.assertLess(len([r for r in self.records() if self.SOURCE in r.text()]), 8)

        def steady():
            now = {p: raw_ssh.descriptors_of(p) for p in pids if os.path.exists(f"/proc/{p}")}
            return all(now[p] <= before[p] for p in now)
        harness.wait_until("as many descriptors as before", steady)


class Crashes(harness.SessionTest):
    SOURCE = "127.0.0.78"

    def test_a_crash_leaves_no_core_and_falls_on_its_source(self):
        # AddressSanitizer answers SIGSEGV itself, with a report and a status.
        for name in ("SIGILL" if sanitizers.SANITIZED else "SIGSEGV", "SIGABRT"):
            servers, _ = self.servers_and_children("sallyport-frontend")
            r = harness.wait_until("the penalty's end", self.connect)
            os.kill(self.session_process("sallyport-frontend"), getattr(signal, name))
            alarm = self.record("alarm", event="process-crashed", signal=getattr(signal, name))
            self.assertEqual((alarm.json["address"], alarm.json["program"]), (self.SOURCE, "sallyport-frontend"))
            r.close()
            self.assertIsNone(self.connect(), "the source of a crash is refused for a while")
            self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
            self.assertNotEqual(self.servers_and_children("sallyport-frontend")[0], servers, "the same address layout")
        left = [os.path.join(d, n) for d in ("empty", "auth", "trail") for n in os.listdir(self.lab.path("state", d))
                if "core" in n]
        self.assertEqual(left, [])

    def connect(self):
        try:
            return raw_ssh.Raw(self.lab, source=self.SOURCE)
        except (OSError, EOFError, raw_ssh.Ended, paramiko.SSHException):
            return None


class Secrets(harness.SessionTest):
    def readable(self, pid):
        """The process's memory, as nobody but root in no sandbox can read it."""
        found = []
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                if " r" in line and "[v" not in line:
                    low, high = (int(x, 16) for x in line.split()[0].split("-"))
                    if high - low > 1 << 33:  # no program may have so much: AddressSanitizer's shadow
                        continue
                    try:
                        memory.seek(low)
                        found.append(memory.read(high - low))
                    except OSError:
                        pass
        return b"".join(found)

    @staticmethod
    def scalar(path):
        with open(path, "rb") as f:
            key = serialization.load_pem_private_key(f.read(), None)
        numbers = getattr(key, "private_numbers", None)
        if numbers is None:  # Ed25519
            return [key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
                                      serialization.NoEncryption())]
        value = numbers().private_value
        return [value.to_bytes(32, "big"), value.to_bytes(32, "little")]

    def test_each_key_is_in_one_program(self):
        self.live()
        for program in ("sallyport-frontend", "sallyport-backend"):
            self.session_process(program)  # no others, which would end under the search
        keys = self.lab.path("state", "keys")
        with open(os.path.join(keys, "store.key"), "rb") as f:
            store = [f.read(32)]
        owners = {"tls.key": "sallyport-listener", "operator-ca.key": "sallyport-authd", "log.key": "sallyport-auditd",
                  "gateway-ca.key": None}
        wanted = [(self.scalar(os.path.join(keys, name)), name, owner) for name, owner in owners.items()]
        wanted.append((store, "store.key", None))  # authd's own is in pages that it locks; OpenSSL may keep a schedule
        for program, pids in self.gateway_processes().items():
            for pid in pids:
                memory = self.readable(pid)
                self.assertGreater(len(memory), 1 << 20)
                for forms, name, owner in wanted:
                    here = any(form in memory for form in forms)
                    if program == owner:
                        self.assertTrue(here, f"{name} was not found where it has to be: the search is no good")
                    elif not (name == "store.key" and program == "sallyport-authd"):
                        self.assertFalse(here, f"{name} in {program}")

    def test_no_secret_in_arguments_environment_log_or_status(self):
        home = self.lab.path("as", "op1")
        with open(os.path.join(home, "totp"), encoding="ascii") as f:
            totp = f.read().strip()
        code = self.code("op1")
        self.assertEqual(self.ssh("op1", "hv1", "true", fresh=True, env=self.answering(code)).returncode, 0)
        seen = set()
        for pids in self.gateway_processes().values():
            for pid in pids:
                if pid == self.lab.gateway_pid():
                    continue
                try:
                    environment, arguments = raw_ssh.environment_of(pid), raw_ssh.arguments_of(pid)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # that of the login above, which is over
                if not arguments:
                    continue  # not waited for yet
                seen.add(pid)
                self.assertRegex(environment.decode(), r"^(SALLYPORT_LOG=\w+\0)?$")
                self.assertRegex(arguments.decode(), r"^\S+\0--uid\0\d+\0--gid\0\d+\0--root\0\S+\0$")
        self.assertGreaterEqual(len(seen), 5)
        with open(self.lab.logfile, encoding="utf-8", errors="replace") as f:
            log = f.read()
        self.assertNotIn(totp, log)
        self.assertNotIn(totp, "".join(r.text() for r in harness.trail.read(self.lab.path("state", "trail"))))
        for record in self.records("authentication"):
            self.assertNotIn(code, re.sub(r'"(step|port|connection)":\d+', "", record.text()))
        with open(self.lab.path("state", "auth", "store.db"), "rb") as f:
            self.assertNotIn(totp.encode(), f.read())

    def test_recordings_are_read_by_one_uid(self):
        uids = {int(harness.proc_status(p[0])["Uid"].split()[0]) for n, p in self.gateway_processes().items()
                if n not in ("sallyportd", "sallyport-auditd")}
        for uid in uids | {65534}:
            done = subprocess.run(["setpriv", "--reuid", str(uid), "--clear-groups", "sh", "-c",
                                   f"cat {self.lab.path('state', 'trail')}/*; ls {self.lab.path('state', 'trail')} "
                                   f"{self.lab.path('state', 'keys')}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  check=False)
            self.assertEqual(done.stdout, b"")
            self.assertNotEqual(done.returncode, 0)

    def test_libraries_of_each_program(self):
        always = {"libc.so.6", "libseccomp.so.2", "libcap-ng.so.0", "libcrypto.so.3", "ld-linux-x86-64.so.2", "libm.so.6"}
        if sanitizers.SANITIZED:
            always |= {"libasan.so.8", "libubsan.so.1"}
        more = {
            "sallyportd": {"libevent_core-2.1.so.7", "libyaml-0.so.2"},
            "sallyport-listener": {"libevent_core-2.1.so.7", "libssl.so.3"},
            "sallyport-frontend": {"libssh.so.4"},
            "sallyport-backend": {"libssh.so.4"},
            "sallyport-authd": {"libevent_core-2.1.so.7", "libsqlite3.so.0", "libjansson.so.4", "liboath.so.0",
                                "libyaml-0.so.2", "libcrypt.so.1"},
            "sallyport-auditd": {"libevent_core-2.1.so.7", "libjansson.so.4"},
            "sallyport-courier": {"libevent_core-2.1.so.7", "libssl.so.3"},
            "sallyport-firewall": {"libnftables.so.1"},
            "sallyport-witness": {"libevent_core-2.1.so.7"},
            "sallyport-reader": set(),
        }
        for program, extra in more.items():
            said = subprocess.run(["readelf", "-d", os.path.join(self.lab.build, program)], stdout=subprocess.PIPE,
                                  text=True, check=True).stdout
            needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", said))
            self.assertEqual(needed - always - extra, set(), program)


class ControlSocket(harness.SessionTest):
    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(harness.TIMEOUT)
        s.connect(self.lab.path("run", "control"))
        self.addCleanup(s.close)
        return s

    def test_other_users_learn_nothing(self):
        done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", "/usr/bin/python3", "-c",
                               "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
                               "s.sendall(b'{\"verb\":\"user-list\"}\\n'); print(s.recv(1000).decode())",
                               self.lab.path("run", "control")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=harness.TIMEOUT, check=False)
        self.assertNotIn("alice", done.stdout)
        self.assertNotIn('"ok":true', done.stdout)

    def test_a_line_without_end_and_many_connections(self):
        s = self.connect()
        with self.assertRaises(OSError):
            for _ in range(100):
                s.sendall(b"x" * 65536)
                time.sleep(0.01)
        crowd = [self.connect() for _ in range(40)]
        busy = 0
        for c in crowd:
            try:
                c.sendall(b'{"verb":"nonsense"}\n')
                busy += b"too many" in c.recv(1000)
            except OSError:
                busy += 1
        self.assertGreaterEqual(busy, 8)
        for c in crowd:
            c.close()
        self.assertEqual(harness.wait_until("status", lambda: self.admin("status", check=False).returncode == 0), True)
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)


class Files(harness.SessionTest):
    def role(self, text):
        path = self.lab.path("conf", "roles.d", "bomb.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        return path

    def test_bombs_are_refused(self):
        aliases = "a: &a [x, x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n"
                                                for i in range(20))
        for name, text in (("aliases", aliases), ("nesting", "[" * 100000), ("maps", "{a: " * 100000),
                           ("length", "x" * (70 << 20)), ("keys", "".join(f"k{i}: 1\n" for i in range(200000)))):
            with self.subTest(bomb=name):
                path = self.role(text)
                self.assertIn("bomb.yaml", self.reload())
                self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
                os.unlink(path)

    def test_a_file_that_is_swapped_while_it_is_read(self):
        """A role that allows carol everything, owned by somebody else, and a link to it, take turns with a right one."""
        wide = ("role: bomb\nmembers: [carol]\ntargets: {env: lab}\naccounts: [root]\nallow: {shell: true, exec: true}\n")
        right = wide.replace("carol", "alice")
        path, other, stop = self.role(right), self.lab.path("other.yaml"), threading.Event()
        with open(other, "w", encoding="utf-8") as f:
            f.write(wide)
        os.chown(other, 65534, 65534)

        def swap():
            n = 0
            while not stop.is_set():
                n += 1
                if n % 3 == 0:
                    with open(path + ".new", "w", encoding="utf-8") as f:
                        f.write(right)
                elif n % 3 == 1:
                    os.symlink(other, path + ".new")
                else:
                    shutil.copy(other, path + ".new")
                    os.chown(path + ".new", 65534, 65534)
                os.rename(path + ".new", path)
        thread = threading.Thread(target=swap)
        thread.start()
        try:
            for _ in range(30):
                self.reload()
        finally:
            stop.set()
            thread.join()
        self.shows(self.ssh("carol", "hv1", "true"), "role", 77)
        os.unlink(path)
        self.reload()

    def test_keys_that_others_chose(self):
        """A gateway whose key is a link, or may be written by others, does not start."""
        d = self.lab.path("second")
        tool = os.path.join(self.lab.build, "sallyport")
        listen = f"127.0.0.1:{self.lab.ports[-1] + 1}"
        subprocess.run([tool, "init", "-c", d + "/conf", "--state", d + "/state", "--runtime", d + "/run", "--gateway",
                        "second.lab.test", "--listen", listen, "--reach", listen, "--admin", "0", "--users", "300000"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        key = d + "/state/keys/tls.key"
        for name, change in (("symbolic link", lambda: (os.rename(key, d + "/elsewhere"), os.symlink(d + "/elsewhere", key))),
                             ("nobody else", lambda: os.chmod(key, 0o622)),
                             ("nobody else", lambda: (os.chmod(key, 0o600), os.chown(key, 65534, 65534)))):
            change()
            done = subprocess.run([os.path.join(self.lab.build, "sallyportd"), "-c", d + "/conf", "--libexec",
                                   self.lab.build], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=harness.TIMEOUT, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(name, done.stderr)
            if os.path.islink(key):
                os.unlink(key)
                os.rename(d + "/elsewhere", key)

    def test_an_operator_who_is_taken_out_loses_the_session(self):
        before = {}
        for name in ("operators.yaml", "roles.d/lab-admin.yaml"):
            with open(self.lab.path("conf", name), encoding="utf-8") as f:
                before[name] = f.read()
        child = self.live("op1")
        try:
            self.lab.write_conf("operators.yaml", re.sub(r"(?m)^  op1:.*\n(?:    .*\n)*", "", before["operators.yaml"]))
            self.lab.write_conf("roles.d/lab-admin.yaml", before["roles.d/lab-admin.yaml"].replace(", op1", ""))
            self.assertIn("policy-loaded", self.reload())
            child.stdin.close()
            child.stdin = None
            _, err = child.communicate(timeout=harness.TIMEOUT)
            self.assertIn(b"not in the policy any more", err)
            self.record("session-end", "no-operator")
        finally:
            for name, text in before.items():
                self.lab.write_conf(name, text)
            self.reload()
