# SPDX-License-Identifier: Apache-2.0
"""The gateway's own table of nftables, in a network namespace, seen from a neighbour with addresses in and out of
the allow-list."""
import contextlib
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

import harness
import lablib
import namespaces
import sanitizers

OURS = ("10.77.0.1/24", "2001:db8:77::1/64", "2001:db8:78::1/64")
ALLOWED, OTHER_ALLOWED, OUTSIDE = "10.77.0.9", "10.77.0.10", "10.77.0.20"
ALLOWED6, OUTSIDE6 = "2001:db8:77::9", "2001:db8:78::9"
# Not in the allow-list either: a load balancer is admitted as what it is. Who misbehaves: allowed, and not used otherwise.
BALANCER, BAD = "10.77.0.21", "10.77.0.11"
BALANCER6, BAD6 = "2001:db8:77::21", "2001:db8:77::11"
BLOCK_AFTER = 100
GATE, GATE6, GATE6_OUTSIDE = "10.77.0.1", "2001:db8:77::1", "2001:db8:78::1"
# Under `close`: one port that is, and one that `also` opens.
CLOSED_PORT, SSH_PORT = 19998, 19999

PROBE = """
import socket, ssl, sys
source, host, port, tls = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "tls"
head = sys.argv[5].encode() + b"\\r\\n" if len(sys.argv) > 5 else b""
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
s.settimeout(1.5)  # a SYN that was lost is sent again after a second
s.bind((source, 0))
try:
    s.connect((host, port))
except TimeoutError:
    print("nothing")
    sys.exit()
except ConnectionRefusedError:
    print("refused")
    sys.exit()
s.settimeout(240)
s.sendall(head)
if tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with context.wrap_socket(s) as t:
            print(t.version())
    except OSError as e:
        print("closed", e)
else:
    print(s.recv(5).decode())
"""

# So many connections that are no TLS; each ends before the next begins. Those that get nothing are not waited for.
MISBEHAVE = """
import socket, sys
for _ in range(int(sys.argv[4])):
    s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
    s.settimeout(2)
    s.bind((sys.argv[1], 0))
    try:
        s.connect((sys.argv[2], int(sys.argv[3])))
        s.settimeout(240)
        s.sendall(sys.argv[5].encode() + b"this is no TLS\\r\\n")
        while s.recv(1000):
            pass
    except TimeoutError:
        break
    except OSError:
        pass
    s.close()
"""

world = {}


def edit(lab, text):
    """Listens everywhere, for some."""
    port = lab.ports[0]
    text = re.sub(r"^listen: .*$", f'listen: ["0.0.0.0:{port}", "[::]:{port}"]', text, flags=re.M)
    return re.sub(r"^from: .*$", 'from: [127.0.0.0/8, 10.77.0.8/30, 10.77.0.8/29, "2001:db8:77::/64"]', text,
                  flags=re.M) + f'firewall: {{enabled: true}}\nproxy: {{from: [{BALANCER}, "{BALANCER6}"]}}\n'


def programs_with_orders():
    """The built programs, with firewall_orders.c in sallyportd's place."""
    build, place = lablib.find_build(), tempfile.mkdtemp(prefix="sallyport-firewall-programs-")
    os.chmod(place, 0o755)
    for name in os.listdir(build):
        if name.startswith("sallyport"):
            os.symlink(os.path.join(build, name), os.path.join(place, name))
    os.unlink(os.path.join(place, "sallyportd"))
    os.symlink(os.path.join(build, "firewall_orders"), os.path.join(place, "sallyportd"))
    return place


def setUpModule():
    world["programs"] = programs_with_orders()
    world["up"], world["down"] = harness.lab_for_module(globals(), targets=1, edit=edit, build=world["programs"],
                                                          penalty=f"{{slow-after: 0, block-after: {BLOCK_AFTER}, block: 30m}}")
    world["before"] = namespaces.enter_fresh()
    world["neighbour"] = namespaces.Neighbour(OURS, [f"{a}/24" for a in (ALLOWED, OTHER_ALLOWED, OUTSIDE, BALANCER, BAD)] +
                                              [f"{a}/64" for a in (ALLOWED6, OUTSIDE6, BALANCER6, BAD6)])
    try:
        world["up"]()
    except BaseException:
        world["neighbour"].end()
        raise


def tearDownModule():
    try:
        world["down"]()
    finally:
        shutil.rmtree(world["programs"])
        world["neighbour"].end()
        namespaces.leave(world["before"])


def nft(*words):
    return json.loads(subprocess.run(["nft", "-j", *words], check=True, stdout=subprocess.PIPE, text=True).stdout)["nftables"]


class Firewall(harness.SessionTest):
    def setUp(self):
        super().setUp()
        self.port = self.lab.ports[0]

    def probe(self, source, host=GATE, port=None, tls=True, head=()):
        done = world["neighbour"].run("/usr/bin/python3", "-I", "-c", PROBE, source, host, str(port or self.port),
                                      "tls" if tls else "plain", *head, stdout=subprocess.PIPE, text=True, timeout=harness.TIMEOUT)
        return done.stdout.strip()

    @staticmethod
    def counters():
        return {o["counter"]["name"]: o["counter"]["packets"] for o in nft("list", "counters", "table", "inet", "sallyport")
                if "counter" in o}

    def counted(self, name, action, expected):
        """What action() gives is what is expected, and the counter says so too."""
        before = self.counters()
        self.assertEqual(action(), expected)
        after = self.counters()
        self.assertGreater(after[name], before[name], name)
        return {n: after[n] - before[n] for n in after}

    @staticmethod
    def blocked(family=4):
        """Who is in the kernel's set, with the time that the block had."""
        return {e["elem"]["val"]: e["elem"]["timeout"] for o in nft("list", "set", "inet", "sallyport", f"blocked{family}")
                for e in o.get("set", {}).get("elem", [])}

    def order(self, *lines):
        path = self.lab.path("conf", "orders")
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
        os.rename(path + ".new", path)
        harness.wait_until("orders taken", lambda: not os.path.exists(path))

    def firewall(self):
        return self.gateway_processes().get("sallyport-firewall", [])

    def status(self):
        return json.loads(self.admin("status", "--json").stdout)["supervisor"]

    def renewed(self, before):
        """Another firewall is in force; returns its process."""
        def look():
            now = self.firewall()
            return now and now != before and self.status()["firewall"]["table"] == "in-force" and any(
                p["program"] == "sallyport-firewall" and p["state"] == "running" for p in self.status()["processes"])
        harness.wait_until("a new firewall", look)
        return self.firewall()[0]


    def words_from_outside(self, *command):
        """ssh by alice, as a neighbour who reaches the gateway's address on the wire."""
        near, far = self.lab.path("as", "alice"), self.lab.path("as", "alice-outside")
        if not os.path.exists(far):
            shutil.copytree(near, far)
            with open(os.path.join(far, "gateway.conf"), encoding="utf-8") as f:
                text = f.read()
            self.assertIn("127.0.0.1", text)
            with open(os.path.join(far, "gateway.conf"), "w", encoding="utf-8") as f:
                f.write(text.replace("127.0.0.1", GATE))
        proxy = f"ProxyCommand={self.lab.build}/sallyport connect --dir {far} %h:%p"
        return world["neighbour"].words(*self.ssh_words("alice", "hv1", *command, options=("-o", proxy)))


class Ports(Firewall):
    def test_who_is_in_the_list_reaches_the_port(self):
        grown = self.counted("admitted", lambda: self.probe(ALLOWED), "TLSv1.3")
        self.assertEqual((grown["refused"], grown["blocked"]), (0, 0))
        self.counted("admitted", lambda: self.probe(ALLOWED6, GATE6), "TLSv1.3")

    def test_who_is_not_gets_nothing(self):
        grown = self.counted("refused", lambda: self.probe(OUTSIDE), "nothing")
        self.assertEqual(grown["admitted"], 0)
        self.counted("refused", lambda: self.probe(OUTSIDE6, GATE6_OUTSIDE), "nothing")

    def test_operators_log_in_by_loopback_and_from_the_neighbour(self):
        done = self.ssh("alice", "hv1", "echo", "in")
        self.assertEqual(done.stdout, b"in\n", done.stderr)
        done = subprocess.run(self.words_from_outside("echo", "from outside"), env=self.lab.operator_env("alice"),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.TIMEOUT,
                              check=False)
        self.assertEqual(done.stdout, b"from outside\n", done.stderr)

    def test_other_ports_are_untouched_without_close(self):
        with namespaces.Service(CLOSED_PORT):
            self.assertEqual(self.probe(OUTSIDE, port=CLOSED_PORT, tls=False), "hello")

    def test_status_shows_it(self):
        self.assertEqual(self.probe(ALLOWED), "TLSv1.3")
        self.assertEqual(self.probe(OUTSIDE), "nothing")
        wall = harness.wait_until("counters", lambda: (w := self.status()["firewall"]) and w["refused"] and w["admitted"]
                                  and w)
        self.assertEqual((wall["table"], wall["close"]), ("in-force", False))
        self.assertIn("the table inet sallyport is in force", self.admin("status").stdout)
        self.assertIn("sallyport-firewall", self.admin("status").stdout)

    def test_confined_with_one_capability(self):
        pid, = self.firewall()
        status = harness.proc_status(pid)
        uids = {harness.proc_status(p[0])["Uid"].split()[0] for name, p in self.gateway_processes().items()
                if name != "sallyport-firewall"}
        self.assertEqual(len(set(status["Uid"].split())), 1)
        self.assertNotIn(status["Uid"].split()[0], uids)
        self.assertEqual(status.get("Groups", "").strip(), "")
        for which, bits in (("CapInh", 0), ("CapPrm", 1 << 12), ("CapEff", 1 << 12), ("CapAmb", 0), ("CapBnd", 0)):
            self.assertEqual(int(status[which], 16), bits, which)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", sanitizers.SECCOMP))
        self.assertEqual(os.readlink(f"/proc/{pid}/root"), self.lab.path("state", "empty"))
        with open("/proc/net/netlink", encoding="ascii") as f:
            netfilter = {line.split()[9] for line in f if line.split()[1] == "12"}
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if int(fd) > 3:
                self.assertIn(target.removeprefix("socket:[").removesuffix("]"), netfilter)


class Sources(Firewall):
    def tearDown(self):
        self.order(f"unblock {ALLOWED} 32", f"unblock {OTHER_ALLOWED} 32", "unblock 2001:db8:77:: 64")
        harness.wait_until("nobody blocked", lambda: not self.blocked() and not self.blocked(6))
        super().tearDown()

    def test_a_blocked_source_begins_no_connection_until_it_is_unblocked(self):
        self.order(f"block {ALLOWED} 32 600")
        harness.wait_until("blocked", lambda: self.blocked() == {ALLOWED: 600})
        self.counted("blocked", lambda: self.probe(ALLOWED), "nothing")
        self.assertEqual(self.probe(OTHER_ALLOWED), "TLSv1.3")
        self.assertEqual(self.status()["firewall"]["sources_blocked"], 1)
        self.order(f"unblock {ALLOWED} 32")
        harness.wait_until("unblocked", lambda: not self.blocked())
        self.assertEqual(self.probe(ALLOWED), "TLSv1.3")

    def test_a_network_of_ipv6(self):
        self.order("block 2001:db8:77:: 64 600")
        harness.wait_until("blocked", lambda: self.blocked(6))
        self.counted("blocked", lambda: self.probe(ALLOWED6, GATE6), "nothing")
        self.assertEqual(self.probe(ALLOWED), "TLSv1.3")

    def test_its_end(self):
        self.order(f"block {ALLOWED} 32 600")
        harness.wait_until("blocked", lambda: self.blocked() == {ALLOWED: 600})
        self.order(f"block {ALLOWED} 32 2")  # a new time, though it is there
        harness.wait_until("its end", lambda: self.probe(ALLOWED) == "TLSv1.3")
        harness.wait_until("forgotten here too", lambda: self.status()["firewall"]["sources_blocked"] == 0)

    def test_a_session_goes_on_when_its_source_is_blocked(self):
        child = subprocess.Popen(self.words_from_outside("cat"), env=self.lab.operator_env("alice"),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end_child, child)

        def echo(line):
            child.stdin.write(line)
            child.stdin.flush()
            self.assertEqual(child.stdout.readline(), line)
        echo(b"before\n")
        sources = [f"{a} 32" for a in (ALLOWED, OTHER_ALLOWED, OUTSIDE)]
        self.order(*(f"block {s} 600" for s in sources))
        harness.wait_until("blocked", lambda: len(self.blocked()) == 3)
        echo(b"after\n")
        self.order(*(f"unblock {s}" for s in sources))

    def test_many_at_once(self):
        many = {f"198.51.{100 + i // 250}.{i % 250}": 900 for i in range(500)}
        self.order(*(f"block {a} 32 {s}" for a, s in many.items()))
        harness.wait_until("all are blocked", lambda: self.blocked() == many)
        self.order(*(f"unblock {a} 32" for a in many))

    def test_killed_it_comes_back_and_knows_them(self):
        self.order(f"block {ALLOWED} 32 600", f"block {OTHER_ALLOWED} 32 600", "block 2001:db8:77:: 64 600")
        harness.wait_until("blocked", lambda: len(self.blocked()) == 2 and self.blocked(6))
        self.order(f"unblock {OTHER_ALLOWED} 32")
        harness.wait_until("unblocked", lambda: len(self.blocked()) == 1)
        pid, = self.firewall()
        # Stopped: no new one comes, and the kernel keeps the rules without it.
        os.kill(pid, signal.SIGSTOP)
        self.assertEqual(self.probe(ALLOWED), "nothing")
        self.assertEqual(self.probe(OUTSIDE), "nothing")
        self.order("block 198.51.100.7 32 600")  # it does not hear that: the next one will
        os.kill(pid, signal.SIGKILL)
        self.renewed([pid])
        self.assertEqual(sorted(self.blocked()), [ALLOWED, "198.51.100.7"])
        self.assertLessEqual(self.blocked()[ALLOWED], 600)
        self.assertEqual(len(self.blocked(6)), 1)
        self.counted("blocked", lambda: self.probe(ALLOWED), "nothing")
        self.assertEqual(self.probe(OTHER_ALLOWED), "TLSv1.3")
        self.record("alarm", "sallyport-firewall", event="program-died")
        self.record("access", event="firewall-table")
        self.order("unblock 198.51.100.7 32")

    def test_a_table_that_is_deleted_or_changed_is_made_anew(self):
        self.order(f"block {ALLOWED} 32 600")
        harness.wait_until("blocked", lambda: self.blocked())
        for words in (("flush", "ruleset"), ("flush", "chain", "inet", "sallyport", "gateway"),
                      ("add", "element", "inet", "sallyport", "allow4", "{ 10.77.0.20 }")):
            before = self.firewall()
            subprocess.run(["nft", *words], check=True)
            self.renewed(before)
            self.assertEqual(list(self.blocked()), [ALLOWED])
            self.assertEqual(self.probe(OUTSIDE), "nothing")
            self.assertEqual(self.probe(ALLOWED), "nothing")
            self.record("alarm", "inet sallyport", event="firewall-failed")

    def test_others_tables_are_none_of_ours(self):
        before = self.firewall()
        for i in range(20):
            subprocess.run(["nft", "add", "table", "inet", f"other{i}"], check=True)
        self.order(f"block {ALLOWED} 32 600")
        harness.wait_until("blocked", lambda: self.blocked())
        for i in range(20):
            subprocess.run(["nft", "delete", "table", "inet", f"other{i}"], check=True)
        self.assertEqual(self.firewall(), before)


class Penalties(Firewall):
    """Whom the gateway blocks for failures the kernel blocks too, for as long."""

    def misbehave(self, source, host=GATE, count=BLOCK_AFTER + 20, head=""):
        world["neighbour"].run("/usr/bin/python3", "-I", "-c", MISBEHAVE, source, host, str(self.port), str(count), head)

    def sources(self):
        return {s["source"]: s["state"] for s in json.loads(self.admin("source", "list", "--json").stdout)["sources"]}

    def test_blocked_for_failures_until_an_administrator_lifts_it(self):
        self.misbehave(BAD)
        harness.wait_until("blocked", lambda: BAD in self.blocked())
        self.assertEqual(self.sources()[BAD + "/32"], "blocked")
        self.counted("blocked", lambda: self.probe(BAD), "nothing")
        before = self.firewall()
        os.kill(before[0], signal.SIGKILL)
        self.renewed(before)
        self.assertIn(BAD, self.blocked())
        self.assertIn("it is unblocked", self.admin("source", "unblock", BAD).stdout)
        harness.wait_until("lifted in the kernel", lambda: BAD not in self.blocked())
        self.assertEqual(self.probe(BAD), "TLSv1.3")

    def test_what_the_kernel_alone_remembers_is_lifted_too(self):
        """The gateway's table of failures is finite and forgets; a block in the kernel ends later."""
        for source, bits, family, host in ((BAD, 32, 4, GATE), (BAD6, 64, 6, GATE6)):
            self.order(f"block {source.replace('::11', '::')} {bits} 1800")
            harness.wait_until("blocked", lambda f=family: self.blocked(f))
            self.assertEqual(self.probe(source, host), "nothing")
            self.assertIn("it is unblocked", self.admin("source", "unblock", source).stdout)
            harness.wait_until("lifted in the kernel", lambda f=family: not self.blocked(f))
            self.assertEqual(self.probe(source, host), "TLSv1.3")
            self.assertIn("was not blocked", self.admin("source", "unblock", source).stdout)

    def test_a_load_balancer_is_admitted_and_never_blocked(self):
        named = f"PROXY TCP4 {BAD} 10.77.0.1 40000 {self.port}"
        self.misbehave(BALANCER)  # no header
        self.misbehave(BALANCER, head=named + "\r\n")  # what it brings is not TLS: who it names pays, here and not there
        self.assertEqual(self.sources(), {BAD + "/32": "blocked"})
        self.order(f"block {BALANCER} 32 600", "block 2001:db8:77:: 64 600")  # were it ever asked for
        harness.wait_until("blocked", lambda: BALANCER in self.blocked() and self.blocked(6))
        self.assertNotIn(BAD, self.blocked())
        other = named.replace(BAD, OTHER_ALLOWED)
        self.counted("admitted", lambda: self.probe(BALANCER, head=[other]), "TLSv1.3")
        self.counted("admitted", lambda: self.probe(BALANCER6, GATE6, head=[other]), "TLSv1.3")
        self.assertEqual(self.probe(BAD6, GATE6), "nothing")
        self.assertNotEqual(self.probe(BALANCER, head=[named]), "TLSv1.3")
        for source in (BAD, BALANCER, BAD6):
            self.admin("source", "unblock", source)
        harness.wait_until("nobody blocked", lambda: not self.blocked() and not self.blocked(6))
        self.assertEqual(self.probe(BALANCER, head=[named]), "TLSv1.3")


class Restarts(Firewall):
    """With another configuration; the last test is that the plain one is there again."""

    def configured(self, text):
        path = self.lab.path("conf", "sallyport.yaml")
        with open(path, encoding="utf-8") as f:
            plain = f.read()

        def back():
            self.lab.stop()
            self.lab.write_conf("sallyport.yaml", plain)
            self.lab.start()
        self.addCleanup(back)
        self.lab.stop()
        self.lab.write_conf("sallyport.yaml", plain.replace("firewall: {enabled: true}\n", text))
        self.lab.start()

    def test_everything_is_closed_but_what_is_named(self):
        self.configured("firewall: {enabled: true, close: true, also: [{port: %d, from: [%s, \"2001:db8:77::/64\"]}, "
                        "{port: %d, protocol: udp, from: [%s]}]}\n" % (SSH_PORT, ALLOWED, SSH_PORT, OUTSIDE))
        subprocess.run(["ip", "neigh", "flush", "dev", "gate"], check=True)
        with namespaces.Service(CLOSED_PORT), namespaces.Service(SSH_PORT):
            grown = self.counted("closed", lambda: self.probe(ALLOWED, port=CLOSED_PORT, tls=False), "nothing")
            self.assertEqual(grown["admitted"], 0)
            self.counted("closed", lambda: self.probe(ALLOWED6, GATE6, port=CLOSED_PORT, tls=False), "nothing")
            self.assertEqual(self.probe(ALLOWED, port=SSH_PORT, tls=False), "hello")
            self.assertEqual(self.probe(ALLOWED6, GATE6, port=SSH_PORT, tls=False), "hello")
            self.counted("closed", lambda: self.probe(OUTSIDE, port=SSH_PORT, tls=False), "nothing")
            for address in ("127.0.0.1", "::1"):  # loopback is open
                with socket.create_connection((address, CLOSED_PORT), harness.TIMEOUT) as s:
                    self.assertEqual(s.recv(5), b"hello")
        self.assertEqual(self.probe(ALLOWED), "TLSv1.3")
        self.assertEqual(self.probe(ALLOWED6, GATE6), "TLSv1.3")
        self.assertEqual(self.probe(OUTSIDE), "nothing")
        done = self.ssh("alice", "hv1", "echo", "in")
        self.assertEqual(done.stdout, b"in\n", done.stderr)
        # What goes out gets its answers.
        with namespaces.Service(CLOSED_PORT, *world["neighbour"].words()):
            for address in (ALLOWED, OUTSIDE6):
                with socket.create_connection((address, CLOSED_PORT), harness.TIMEOUT) as s:
                    self.assertEqual(s.recv(5), b"hello")
        self.assertEqual(self.status()["firewall"]["close"], True)

    def test_the_table_stays_when_the_gateway_ends(self):
        self.lab.stop()
        try:
            self.counted("refused", lambda: self.probe(OUTSIDE), "nothing")
            self.assertEqual(self.probe(ALLOWED), "refused")
        finally:
            self.lab.start()
        self.assertEqual(self.probe(ALLOWED), "TLSv1.3")

    def test_without_the_right_the_gateway_does_not_start(self):
        self.does_not_start("net_admin", "setpriv", "--bounding-set", "-net_admin")

    def test_when_the_kernel_refuses_the_gateway_does_not_start(self):
        self.lab.stop()
        subprocess.run(["nft", "delete", "table", "inet", "sallyport"], check=True)
        owner = subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:  # a table that another process owns may nobody else touch
            owner.stdin.write(b"add table inet sallyport { flags owner; }\n")
            owner.stdin.flush()
            harness.wait_until("the table", lambda: any("table" in o for o in nft("list", "tables")))
            self.does_not_start("sallyportd: the firewall: nftables: .*not permitted")
        finally:
            owner.stdin.close()
            owner.wait()

    def does_not_start(self, said, *before):
        self.lab.stop()
        try:
            done = subprocess.run([*before, os.path.join(self.lab.build, "sallyportd"), "-c", self.lab.conf, "--libexec",
                                   self.lab.build], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=harness.TIMEOUT, check=False)
        except subprocess.TimeoutExpired as e:
            self.fail(f"it did not end: {e.output}")
        finally:
            self.addCleanup(self.lab.start)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, said)

    def test_mistakes_are_found_by_check(self):
        path = self.lab.path("conf", "sallyport.yaml")
        with open(path, encoding="utf-8") as f:
            plain = f.read()
        self.addCleanup(self.lab.write_conf, "sallyport.yaml", plain)
        for section, said in (("{enabled: maybe}", "maybe"), ("{close: true}", "firewall.enabled"),
                              ("{enabled: true, close: true, also: [{port: 22}]}", "from")):
            self.lab.write_conf("sallyport.yaml", plain.replace("{enabled: true}", section))
            done = subprocess.run([os.path.join(self.lab.build, "sallyportd"), "-c", self.lab.conf, "--check"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stdout, r"sallyport.yaml:\d+:\d+: .*" + re.escape(said))


LISTEN, ALLOW, PROXY, ALSO, BLOCK, UNBLOCK, FLUSH, START = range(1, 9)
APPLIED, STARTED, FAILED, STATE = 9, 10, 11, 12


def address(text):
    """Family and the 16 bytes."""
    packed = ipaddress.ip_address(text).packed
    return struct.pack("!B16s", 4 if len(packed) == 4 else 6, packed)


def listen(port, text="0.0.0.0"):
    return struct.pack("!H", LISTEN) + address(text) + struct.pack("!H", port)


def prefix(number, text, bits, more=b""):
    return struct.pack("!H", number) + address(text) + struct.pack("!B", bits) + more


def block(text, bits, seconds):
    return prefix(BLOCK, text, bits, struct.pack("!I", seconds))


GO = struct.pack("!HB", START, 0)


class Link(harness.SessionTest):
    """The program alone, in the neighbour's namespace; the test is its supervisor."""

    def begin(self):
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(ours.close)
        ours.settimeout(harness.TIMEOUT)
        self.program = subprocess.Popen(
            world["neighbour"].words(os.path.join(self.lab.build, "sallyport-firewall"), "--uid", "209999", "--gid",
                                     "209999", "--root", self.lab.path("state", "empty")),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.dup2(its.fileno(), 3), close_fds=False)
        its.close()
        return ours

    def table(self):
        return world["neighbour"].run("nft", "list", "tables", stdout=subprocess.PIPE, text=True).stdout

    @staticmethod
    def hear(link):
        """The next message that is no news of counters."""
        while (said := link.recv(1000))[:2] == struct.pack("!H", STATE):
            continue
        return struct.unpack("!H", said[:2])[0], said[2:]

    def test_hostile_messages(self):
        four = address("10.0.0.0")
        rows = {
            "no port": [GO],
            "port 0": [listen(0)],
            "a family": [struct.pack("!HB16sH", LISTEN, 5, b"", 443)],
            "bits": [prefix(ALLOW, "10.0.0.0", 33)],
            "bits of 6": [prefix(PROXY, "2001:db8::", 129)],
            "host bits": [prefix(ALLOW, "10.0.0.1", 8)],
            "host bits of 6": [prefix(ALLOW, "2001:db8::1", 64)],
            "more than four bytes": [struct.pack("!H", ALLOW) + four[:-1] + b"\x01" + b"\x20"],
            "a network to block": [block("10.0.0.0", 24, 60)],
            "all to block": [block("0.0.0.0", 0, 60)],
            "one of a network": [block("2001:db8::1", 128, 60)],
            "no time": [block("10.0.0.1", 32, 0)],
            "for ever": [block("10.0.0.1", 32, 0xFFFFFFFF)],
            "protocol": [struct.pack("!HBH", ALSO, 2, 22) + address("10.0.0.0") + b"\x08"],
            "too early": [prefix(UNBLOCK, "10.0.0.1", 32)],
            "too short": [listen(443)[:-1]],
            "too long": [listen(443) + b"x"],
            "not a message": [b"\x00\x3f"],
            "its own word": [struct.pack("!H", STARTED)],
            "too many ports": [listen(p) for p in range(1, 18)],
            "too many prefixes": [prefix(ALLOW, f"10.{i // 256}.{i % 256}.0", 24) for i in range(257)],
        }
        for name, frames in rows.items():
            with self.subTest(name):
                link = self.begin()
                for frame in frames:
                    with contextlib.suppress(BrokenPipeError):
                        link.send(frame)
                self.assertEqual(self.hear(link)[0], FAILED)
                self.assertEqual(self.program.wait(harness.TIMEOUT), 1)
                self.assertNotIn("sallyport", self.table())

    def test_hostile_messages_to_one_that_runs(self):
        for name, frame in {"start": GO, "listen": listen(444), "allow": prefix(ALLOW, "10.0.0.0", 8),
                            "block": block("10.0.0.0", 31, 60), "unblock": prefix(UNBLOCK, "::", 0)}.items():
            with self.subTest(name):
                link = self.begin()
                self.addCleanup(world["neighbour"].run, "nft", "flush", "ruleset")
                link.send(listen(443))
                link.send(GO)
                self.assertEqual(self.hear(link)[0], STARTED)
                link.send(frame)
                self.assertEqual(self.hear(link)[0], FAILED)
                self.assertEqual(self.program.wait(harness.TIMEOUT), 1)
                self.assertIn("sallyport", self.table())

    def test_a_proxy_is_never_blocked_and_flush_lifts_all(self):
        us = OURS[0].split("/", 1)[0]
        self.addCleanup(world["neighbour"].run, "nft", "flush", "ruleset")

        def reached():
            try:
                with socket.create_connection((ALLOWED, CLOSED_PORT), 1.5) as s:
                    return s.recv(5)
            except TimeoutError:
                return None
        with namespaces.Service(CLOSED_PORT, *world["neighbour"].words()):
            for proxies, expected in ((True, b"hello"), (False, None)):
                link = self.begin()
                link.send(listen(CLOSED_PORT, ALLOWED))
                link.send(prefix(ALLOW, "0.0.0.0", 0))
                if proxies:
                    link.send(prefix(PROXY, us, 32))
                link.send(block(us, 32, 600))
                link.send(GO)
                self.assertEqual(self.hear(link)[0], STARTED)
                self.assertEqual(reached(), expected)
                if not proxies:
                    link.send(struct.pack("!H", FLUSH))
                    self.assertEqual(self.hear(link), (APPLIED, struct.pack("!I", 1)))
                    self.assertEqual(reached(), b"hello")
                link.close()  # an orderly end
                self.assertEqual(self.program.wait(harness.TIMEOUT), 0)
                self.assertIn("sallyport", self.table())
