# SPDX-License-Identifier: Apache-2.0
"""A real HAProxy in front of the gateway, with send-proxy and send-proxy-v2: who is let in, by which address, and what
the trail has of it. The load balancer's own address is 127.0.0.9 (and ::1); it looks every 200 ms whether the
gateway is there."""
import json
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import tempfile

import harness
import lablib
import raw_ssh

PROXY = "127.0.0.9"
FROM = 'from: [127.0.0.0/8, "2001:db8::/32", 192.0.2.0/24]'  # nobody asks whether the proxies are in it
CONFIG = f"""proxy: {{from: [{PROXY}, "::1"]}}
deadlines: {{handshake: 8s}}
"""
# name: where it binds, more lines, the server's address and options
LISTENS = {
    "v1": ("127.0.0.1", "", f"127.0.0.1:{{gateway}} source {PROXY} send-proxy check inter 200ms check-send-proxy"),
    "v2": ("127.0.0.1", "", f"127.0.0.1:{{gateway}} source {PROXY} send-proxy-v2 proxy-v2-options crc32c,unique-id "
                            "check inter 200ms check-send-proxy"),
    # To the gateway by IPv6, for a client that has an IPv6 address.
    "six": ("[::1]", "tcp-request connection set-src str(2001:db8::7)", "[::1]:{gateway} send-proxy"),
    "six2": ("[::1]", "tcp-request connection set-src str(2001:db8::7)", "[::1]:{gateway} send-proxy-v2"),
    "remote": ("127.0.0.1", "tcp-request connection set-src str(192.0.2.7)", f"127.0.0.1:{{gateway}} source {PROXY} send-proxy"),
    "outside": ("127.0.0.1", "tcp-request connection set-src str(198.51.100.7)",
                f"127.0.0.1:{{gateway}} source {PROXY} send-proxy-v2"),
    "bare": ("127.0.0.1", "", f"127.0.0.1:{{gateway}} source {PROXY}"),  # it forgot send-proxy
    # Clients with addresses of their own: these connect to the two first.
    "as2-v1": ("127.0.0.1", "", "127.0.0.1:{v1} source 127.0.0.2"),
    "as3-v2": ("127.0.0.1", "", "127.0.0.1:{v2} source 127.0.0.3"),
}
ports = {}
lab_up, lab_down = harness.lab_for_module(globals(), config=CONFIG)


def setUpModule():
    lab_up()
    try:
        # IPv6 as well; the configuration that the lab made has its own `from`.
        lab.stop()
        with open(lab.path("conf", "sallyport.yaml"), encoding="utf-8") as f:
            text = f.read()
        text = re.sub(r'(?m)^listen: .*$', f'listen: ["127.0.0.1:{lab.ports[0]}", "[::1]:{lab.ports[0]}"]', text)
        lab.write_conf("sallyport.yaml", re.sub(r"(?m)^from: .*$", FROM, text))
        lab.start()
        start_haproxy()
    except BaseException:
        lab_down()
        raise


def tearDownModule():
    lab_down()


def start_haproxy():
    free = (p for p in range(lab.ports[-1] + 1, lab.ports[-1] + 40) if lablib.port_is_free(p))
    ports.update({name: next(free) for name in LISTENS}, gateway=lab.ports[0])
    lines = ["global", f"  stats socket {lab.path('haproxy.sock')} mode 600 level admin", "defaults", "  mode tcp",
             "  timeout connect 60s", "  timeout client 120s", "  timeout server 120s", "  timeout check 20s"]
    for name, (address, more, server) in LISTENS.items():
        lines += [f"listen {name}", f"  bind {address}:{ports[name]}", f"  {more}", f"  server gateway {server.format(**ports)}"]
    with open(lab.path("haproxy.cfg"), "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")
    with open(lab.path("haproxy.log"), "ab") as log:
        child = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", lab.path("haproxy.cfg")], stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log, start_new_session=True)
    lab.record(child.pid, "haproxy")
    lab.wait_for_port(ports["as2-v1"], child, lab.path("haproxy.log"))


class ProxyTest(harness.SessionTest):
    gateway_works = True

    def setUp(self):
        super().setUp()
        if self.gateway_works:  # it may have been restarted, of which the load balancer has to hear
            harness.wait_until("the servers are up", lambda: {self.states()[n] for n in ("v1", "v2")} == {"UP"})

    def through(self, listen, operator):
        """The operator's device, for the gateway at this port of the load balancer."""
        home, directory = self.lab.path("as", operator), tempfile.mkdtemp(dir=self.lab.dir)
        for name in ("gateway.conf", "ca.pem", "known_hosts", "device.key", "device.pem", "ssh_config"):
            shutil.copy(os.path.join(home, name), directory)
        path = os.path.join(directory, "gateway.conf")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        address = LISTENS[listen][0].strip("[]")
        text = re.sub(r"(?m)^port=.*$", f"port={ports[listen]}", re.sub(r"(?m)^host=.*$", f"host={address}", text))
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        path = os.path.join(directory, "ssh_config")
        with open(path, encoding="utf-8") as f:
            text = f.read().replace(home + '" %h', directory + '" %h')
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def ssh_through(self, listen, operator, *words):
        return subprocess.run(["ssh", "-F", self.through(listen, operator), *words], env=self.lab.operator_env(operator),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=harness.TIMEOUT, check=False)

    def status(self):
        return json.loads(self.admin("status", "--json").stdout)["supervisor"]

    @staticmethod
    def closed(s):
        """What came before the end."""
        s.settimeout(harness.TIMEOUT)
        data = b""
        try:
            while piece := s.recv(4096):
                data += piece
        except ConnectionResetError:
            pass
        return data

    def dial(self, source, data=b""):
        s = raw_ssh.dial(self.lab, source)
        self.addCleanup(s.close)
        s.sendall(data)
        return s

    # --- the load balancer

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.lab.path("haproxy.sock"))
            s.sendall(command.encode() + b"\n")
            return self.closed(s).decode()

    def states(self):
        rows = [line.split(",") for line in self.ask("show stat").splitlines() if line and not line.startswith("#")]
        return {r[0]: r[17] for r in rows if r[1] == "gateway"}


class Sessions(ProxyTest):
    def test_both_versions_and_families(self):
        for listen, source, proxy in (("as2-v1", "127.0.0.2", PROXY), ("as3-v2", "127.0.0.3", PROXY),
                                      ("six", "2001:db8::7", "::1"), ("six2", "2001:db8::7", "::1")):
            with self.subTest(listen=listen):
                done = self.ssh_through(listen, "alice", "hv1", "echo in")
                self.assertEqual((done.returncode, done.stdout), (0, b"in\n"), done.stderr)
                both = {"source": source, "proxy": proxy}
                session = self.finished_session()
                for kind in ("authentication", "decision", "session-start"):
                    self.assertNotEqual(self.records(kind, **both), [], kind)
                    self.assertGreater(self.records(kind, **both)[-1].json["port"], 0)
                listed = [json.loads(line) for line in self.admin("audit", "list", "--json").stdout.splitlines()]
                (entry,) = [s for s in listed if s["session"] == session]
                self.assertEqual({k: entry[k] for k in both}, both)
                self.assertIn(source, self.admin("audit", "show", session).stdout)

    def test_no_proxy_is_told_of_a_direct_connection(self):
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        session = self.finished_session()
        (start,) = self.records("session-start", session=session)
        self.assertNotIn("proxy", start.json)
        self.assertEqual(start.json["source"], "127.0.0.1")

    def test_status_shows_the_operator_s_address(self):
        child = subprocess.Popen(["ssh", "-F", self.through("as2-v1", "alice"), "hv1", "cat"],
                                 env=self.lab.operator_env("alice"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end_child, child)
        child.stdin.write(b"x\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), b"x\n")
        harness.wait_until("this session alone", lambda: [s["source"] for s in json.loads(
            self.admin("status", "--sessions", "--json").stdout)["sessions"]] == ["127.0.0.2"])
        child.stdin.close()
        child.wait(harness.TIMEOUT)

    def test_roles_judge_the_operator_s_address(self):
        done = self.ssh_through("remote", "erin", "hv1", "echo in")
        self.assertEqual((done.returncode, done.stdout), (0, b"in\n"), done.stderr)
        self.record("decision", allowed=True, source="192.0.2.7", proxy=PROXY)
        done = self.ssh_through("as2-v1", "erin", "hv1", "true")
        self.shows(done, "does not permit logins to hv1 from 127.0.0.2", 77)
        self.record("decision", "address", allowed=False, source="127.0.0.2", proxy=PROXY)

    def test_the_global_list_judges_it_too(self):
        with socket.create_connection(("127.0.0.1", ports["outside"])) as s:
            s.sendall(b"\x16\x03\x01")
            self.assertEqual(self.closed(s), b"")
        done = self.ssh_through("outside", "alice", "hv1", "true")
        self.assertEqual(done.returncode, 255)
        self.assertEqual(self.records("authentication"), [])


class Refused(ProxyTest):
    def test_a_header_of_somebody_else(self):
        for header in (b"PROXY TCP4 192.0.2.7 127.0.0.1 5 443\r\n",
                       bytes.fromhex("0d0a0d0a000d0a515549540a2111000cc00002077f000001000501bb")):
            s = self.dial("127.0.0.3", header)
            said = self.closed(s)
            self.assertLessEqual(len(said), 7, said)  # a TLS alert at most
        s = raw_ssh.tls(self.lab, source="127.0.0.3")  # inside TLS it is no request
        s.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 5 443\r\n\r\n")
        self.assertIn(b"405", s.recv(100))
        s.close()

    def test_the_proxy_without_a_header(self):
        with self.assertRaises((ssl.SSLError, ConnectionResetError, EOFError)):
            raw_ssh.tls(self.lab, source=PROXY)
        done = self.ssh_through("bare", "alice", "hv1", "true")
        self.assertEqual(done.returncode, 255)
        self.assertEqual(self.records("authentication"), [])

    def test_malformed_long_slow(self):
        slow = self.dial(PROXY, b"PROXY TCP4 192.0.2.7")
        for data in (b"PROXY TCP4 192.0.2.7 127.0.0.1 5 443\n", b"PROXY UNKNOWN " + b"x" * 500,
                     b"PROXY TCP4 127.0.0.01 127.0.0.1 5 443\r\n",
                     bytes.fromhex("0d0a0d0a000d0a515549540a2111ffff") + bytes(1000)):
            self.assertEqual(self.closed(self.dial(PROXY, data)), b"", data)
        done = self.ssh_through("as2-v1", "alice", "hv1", "true")  # no penalty on the proxy, whatever it sends
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.closed(slow), b"")

    def test_the_proxy_s_own_connections(self):
        before = self.status()["penalties"]["proxy_checks"]
        for data in (b"PROXY UNKNOWN\r\n", bytes.fromhex("0d0a0d0a000d0a515549540a20000000"),
                     f"PROXY TCP4 {PROXY} 127.0.0.1 5 443\r\n".encode()):
            self.assertEqual(self.closed(self.dial(PROXY, data)), b"", data)
        self.assertGreaterEqual(self.status()["penalties"]["proxy_checks"], before + 3)

    def test_whatever_it_sends_it_is_served(self):
        for _ in range(30):
            self.dial(PROXY, b"no header").close()
        self.assertEqual(self.ssh_through("as3-v2", "alice", "hv1", "true").returncode, 0)


class HealthChecks(ProxyTest):
    def test_up_and_quiet(self):
        before = self.status()
        # A dozen of checks each; what they leave is looked at when the gateway has ended and written its sums.
        harness.wait_until("checks", lambda: self.status()["penalties"]["proxy_checks"] >=
                           before["penalties"]["proxy_checks"] + 25)
        harness.wait_until("that they are up", lambda: {self.states()[n] for n in ("v1", "v2")} == {"UP"})
        said = self.log()
        self.lab.stop()
        try:
            told = [r for r in self.records() if f'"source":"{PROXY}"' in r.text()]
            self.assertEqual(told, [], "health checks are in the trail")
            self.assertNotIn(PROXY, "\n".join(line for line in said.splitlines() if " debug " not in line))
        finally:
            self.lab.start()


class HostileListener(ProxyTest):
    """What a listener says of a connection that is no proxy's, or says in another way, ends it."""
    gateway_works = False

    @classmethod
    def setUpClass(cls):
        lab = globals()["lab"]
        cls.programs = tempfile.mkdtemp(dir=lab.dir)
        os.chmod(cls.programs, 0o755)
        for name in os.listdir(lab.build):
            if name.startswith("sallyport"):
                os.symlink(os.path.join(lab.build, name), os.path.join(cls.programs, name))
        path = os.path.join(cls.programs, "sallyport-listener")
        os.unlink(path)
        shutil.copy(os.path.join(harness.HERE, "hostile_listener.py"), path)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        cls.act("check")
        lab.stop()
        lab.libexec = cls.programs
        lab.start()

        def back():
            lab.stop()
            lab.libexec = None
            lab.start()
        cls.addClassCleanup(back)

    @classmethod
    def act(cls, name):
        with open(os.path.join(cls.programs, "act"), "w", encoding="ascii") as f:
            f.write(name)

    def test_breaches(self):
        for act, source, text in (("name", "127.0.0.4", "no proxy"), ("check", "127.0.0.4", "no PROXY header was due"),
                                  ("name-twice", PROXY, "named before"), ("name-mapped", PROXY, "badly named"),
                                  ("name-family", PROXY, "badly named"), ("name-rest", PROXY, "badly named"),
                                  ("ready-unnamed", PROXY, "not admitted")):
            with self.subTest(act=act):
                self.act(act)
                before = len(self.records("alarm", event="program-violation"))

                def broken():
                    # The health checks of the load balancer may be first; to them the same happens.
                    try:
                        self.dial(source).close()
                    except OSError:
                        pass
                    return self.records("alarm", event="program-violation")[before:]
                alarm = harness.wait_until("an alarm", broken)[-1]
                self.assertEqual(alarm.json["program"], "sallyport-listener")
                self.assertIn(text, alarm.json["error"])
