#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Component test of sallyport-listener and `sallyport connect`: the real programs, the listener's sandbox
enforcing. This file plays the supervisor (accepts, passes descriptors) and the frontend (an echo or a
sink on the byte stream). Needs root. Programs: $SALLYPORT_BUILD, default: the newest build."""
import array
import hashlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lab")]

import lablib  # noqa: E402
import sanitizers  # noqa: E402

BUILD = os.environ.get("SALLYPORT_BUILD") or lablib.find_build(None)
MIB = 1024 * 1024
START, STARTED, ACCEPT, READY, STREAM, DROP, FAILED, CLOSED, PROXIED, ADMITTED = range(1, 11)
STAGE_TLS, STAGE_REQUEST, STAGE_DEADLINE, STAGE_WAITING, STAGE_SILENT, STAGE_PROXY, STAGE_CHECK = range(1, 8)


def text(s):
    return struct.pack(">H", len(s)) + s.encode()


def openssl(*words, cwd=None):
    subprocess.run(["openssl", *words], check=True, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_ca(d, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem", cwd=d)


def make_leaf(d, name, ca, extensions, dates=()):
    with open(os.path.join(d, f"{name}.ext"), "w") as f:
        f.write(extensions)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
            "-out", f"{name}.csr", cwd=d)
    if dates:
        for file in ("index.txt", "index.txt.attr"):
            open(os.path.join(d, file), "w").close()
        with open(os.path.join(d, "ca.cnf"), "w") as f:
            f.write("[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n"
                    "rand_serial=yes\nunique_subject=no\n[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-config", "ca.cnf", "-cert", f"{ca}.pem", "-keyfile", f"{ca}.key", "-in", f"{name}.csr",
                "-out", f"{name}.pem", "-startdate", dates[0], "-enddate", dates[1], "-notext", "-extfile",
                f"{name}.ext", cwd=d)
    else:
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-days", "20", "-extfile",
                f"{name}.ext", "-out", f"{name}.pem", cwd=d)


class Supervisor:
    """The listener's other end. Messages are kept per connection."""

    def __init__(self, handshake_ms=120000):
        self.dir = d = tempfile.mkdtemp(prefix="listener-")
        os.chmod(d, 0o755)
        make_ca(d, "gateway-ca")
        make_ca(d, "operator-ca")
        make_ca(d, "other-ca")
        make_leaf(d, "tls", "gateway-ca", "subjectAltName=DNS:gw.example,IP:127.0.0.1\n")
        client = "extendedKeyUsage=clientAuth\nbasicConstraints=critical,CA:FALSE\n"
        make_leaf(d, "alice", "operator-ca", client)
        make_leaf(d, "stranger", "other-ca", client)
        make_leaf(d, "server-only", "operator-ca", "extendedKeyUsage=serverAuth\n")
        make_leaf(d, "expired", "operator-ca", client, ("20200101000000Z", "20200102000000Z"))
        make_leaf(d, "future", "operator-ca", client, ("20900101000000Z", "20900102000000Z"))
        os.mkdir(self.path("empty"), 0o755)
        self.log_file = open(self.path("log"), "w+")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for s in (ours, theirs):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", 'exec "$0" --uid 64011 --gid 64011 --root "$1" 3<&%d' % theirs.fileno(),
             os.path.join(BUILD, "sallyport-listener"), self.path("empty")],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log_file,
            env={"SALLYPORT_LOG": "debug"})
        theirs.close()
        self.link = ours
        keys = [os.open(self.path(n), os.O_RDONLY) for n in ("tls.key", "tls.pem", "operator-ca.pem")]
        self.send(START, struct.pack(">II", handshake_ms, 64), keys)
        for fd in keys:
            os.close(fd)
        self.link.settimeout(lablib.TIMEOUT)
        number, _ = self.receive()
        if number != STARTED:
            raise RuntimeError(f"the listener said {number}")
        self.link.settimeout(None)
        self.port_socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.port_socket.getsockname()[1]
        self.events = {}
        self.changed = threading.Condition()
        self.streams = {}
        self.serve = echo
        self.proxy = False  # whether those who connect are proxies
        self.admit = True   # whether those whom they name come in
        self.last = 0
        threading.Thread(target=self.accept_loop, daemon=True).start()
        threading.Thread(target=self.link_loop, daemon=True).start()

    def path(self, name):
        return os.path.join(self.dir, name)

    def send(self, number, fields, fds=()):
        socket.send_fds(self.link, [struct.pack(">H", number) + fields], list(fds))

    def receive(self):
        packet = self.link.recv(65536)
        if not packet:
            raise EOFError
        return struct.unpack(">H", packet[:2])[0], packet[2:]

    def accept_loop(self):
        while True:
            s, (address, port) = self.port_socket.accept()
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.setblocking(False)
            self.last += 1
            self.send(ACCEPT, struct.pack(">Q", self.last) + text(address) + struct.pack(">HB", port, self.proxy),
                      [s.fileno()])
            s.close()

    def link_loop(self):
        while True:
            try:
                number, fields = self.receive()
            except (EOFError, OSError):
                return
            conn = struct.unpack(">Q", fields[:8])[0]
            with self.changed:
                self.events[conn, number] = fields[8:]
                self.changed.notify_all()
            if number == PROXIED and self.admit:
                self.send(ADMITTED, struct.pack(">Q", conn))
            if number == READY and self.serve:
                ours, theirs = socket.socketpair()
                self.send(STREAM, struct.pack(">Q", conn), [theirs.fileno()])
                theirs.close()
                threading.Thread(target=self.serve, args=(ours,), daemon=True).start()

    def event(self, conn, number, timeout=lablib.TIMEOUT):
        with self.changed:
            self.changed.wait_for(lambda: (conn, number) in self.events, timeout)
            return self.events.get((conn, number))

    def context(self, certificate=None):
        c = ssl.create_default_context(cafile=self.path("gateway-ca.pem"))
        if certificate:
            c.load_cert_chain(self.path(certificate + ".pem"), self.path(certificate + ".key"))
        return c

    def tls(self, certificate=None):
        raw = socket.create_connection(("127.0.0.1", self.port))
        raw.settimeout(lablib.TIMEOUT)
        return self.context(certificate).wrap_socket(raw, server_hostname="gw.example", suppress_ragged_eofs=False)

    def tool(self, target="hv1:22", name="gw.example", ca="gateway-ca.pem", extra=()):
        return [os.path.join(BUILD, "sallyport"), "connect", "--gateway", f"127.0.0.1:{self.port}", "--ca", self.path(ca),
                "--name", name, *extra, target]

    def stop(self):
        self.link.shutdown(socket.SHUT_RDWR)
        status = self.process.wait(lablib.TIMEOUT)
        self.log_file.close()
        said = sanitizers.report(self.path("log"))
        shutil.rmtree(self.dir, ignore_errors=True)
        if said:
            raise AssertionError(said)
        return status


def echo(s):
    while data := s.recv(65536):
        s.sendall(data)
    s.close()


def upper_after_end(s):
    """Answers only when the other side has ended: EOF in one direction leaves the other open."""
    data = b""
    while more := s.recv(65536):
        data += more
    s.sendall(data.upper())
    s.close()


def greet_and_close(s):
    s.sendall(b"SSH-2.0-gw\r\n" + b"x" * 100000)
    s.close()


def setUpModule():
    global S, IMPATIENT
    S = Supervisor()
    IMPATIENT = Supervisor(handshake_ms=5000)  # for deadlines alone: on a busy machine a handshake may take so long


def tearDownModule():
    S.stop()
    IMPATIENT.stop()


def read_all(t):
    data = b""
    while more := t.recv(65536):
        data += more
    return data


class Requests(unittest.TestCase):
    def setUp(self):
        S.serve = echo

    def ask(self, request, certificate=None):
        t = S.tls(certificate)
        t.sendall(request)
        return t, S.last

    def test_connect_and_bytes_after_the_blank_line(self):
        t, conn = self.ask(b"CONNECT hv1:22 HTTP/1.1\r\nHost: hv1:22\r\n\r\nSSH-2.0-early\r\n")
        ready = S.event(conn, READY)
        self.assertEqual(ready, text("hv1:22") + b"\0" + struct.pack(">I", 0))
        want = b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-early\r\n"
        got = b""
        while len(got) < len(want):
            got += t.recv(4096)
        self.assertEqual(got, want)
        t.unwrap()  # sends close_notify, and the echo's end comes back as close_notify
        self.assertEqual(S.event(conn, CLOSED), struct.pack(">QQ", 15, 15))

    def test_request_in_small_pieces(self):
        t, conn = self.ask(b"")
        for byte in b"CONNECT a.b-c:65535 HTTP/1.1\r\n\r\nrest":
            t.sendall(bytes([byte]))
        self.assertEqual(S.event(conn, READY)[:13], text("a.b-c:65535"))
        self.assertEqual(t.recv(100), b"HTTP/1.1 200 OK\r\n\r\n")
        t.close()

    def test_plain_ssh(self):
        t, conn = self.ask(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.assertEqual(S.event(conn, READY)[:2], text(""))
        self.assertEqual(t.recv(100), b"SSH-2.0-OpenSSH_9.2\r\n")
        t.close()

    def test_refusals(self):
        for request, status in ((b"GET / HTTP/1.1\r\n\r\n", b"405"), (b"CONNECT hv1 HTTP/1.1\r\n\r\n", b"400"),
                                (b"SSH-1.5-x\r\n", b"400"), (b"CONNECT hv1:22 HTTP/1.1\n\n", b"400"),
                                (b"CONNECT hv1:22 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"400"),
                                (b"CONNECT hv1:22 HTTP/1.1\r\nA: " + b"x" * 5000, b"431")):
            with self.subTest(request=request[:30]):
                t, conn = self.ask(request)
                answer = read_all(t)
                self.assertTrue(answer.startswith(b"HTTP/1.1 " + status + b" "), answer)
                t.close()
                self.assertEqual(S.event(conn, FAILED)[0], STAGE_REQUEST)

    def test_nothing_before_the_deadline(self):
        t = IMPATIENT.tls()
        t.sendall(b"CONNECT hv1:22 HTT")
        self.assertEqual(IMPATIENT.event(IMPATIENT.last, FAILED)[0], STAGE_DEADLINE)
        t.close()

    def test_tcp_without_tls(self):
        raw = socket.create_connection(("127.0.0.1", S.port))
        raw.sendall(b"SSH-2.0-OpenSSH\r\n")
        raw.settimeout(lablib.TIMEOUT)
        self.assertLess(len(raw.recv(4096)), 10)  # an alert, at most
        self.assertEqual(S.event(S.last, FAILED)[0], STAGE_TLS)

    def test_old_tls_is_refused(self):
        c = S.context()
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        with self.assertRaises(ssl.SSLError):
            c.wrap_socket(socket.create_connection(("127.0.0.1", S.port)), server_hostname="gw.example")

    def test_gateway_drop(self):
        S.serve = lambda s: time.sleep(lablib.TIMEOUT)
        t, conn = self.ask(b"SSH-2.0-x\r\n")
        self.assertIsNotNone(S.event(conn, READY))
        S.send(DROP, struct.pack(">Q", conn))
        self.assertIsNotNone(S.event(conn, CLOSED))
        t.close()


V2 = bytes.fromhex("0d0a0d0a000d0a515549540a")
V4 = bytes([192, 0, 2, 7, 192, 0, 2, 8]) + struct.pack(">HH", 56324, 443)
NAMED_V4 = b"\x04" + bytes([192, 0, 2, 7]) + bytes(12) + struct.pack(">H", 56324)
NAMED_V6 = b"\x06" + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + struct.pack(">H", 5)
HEADERS = (
    (b"PROXY TCP4 192.0.2.7 192.0.2.8 56324 443\r\n", NAMED_V4),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 5 443\r\n", NAMED_V6),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 56324 443\r\n", NAMED_V4),
    (V2 + b"\x21\x11\0\x0c" + V4, NAMED_V4),
    (V2 + b"\x21\x11\x02\x08" + V4 + b"\x04\x01\xf9" + bytes(505), NAMED_V4),
)


class Proxy(unittest.TestCase):
    """The PROXY header before TLS."""

    def setUp(self):
        S.serve, S.proxy, S.admit = echo, True, True
        self.addCleanup(setattr, S, "proxy", False)

    def dial(self, data=b""):
        before = S.last
        raw = socket.create_connection(("127.0.0.1", S.port))
        wait_until(lambda: S.last > before)
        raw.settimeout(lablib.TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.sendall(data)
        self.addCleanup(raw.close)
        return raw

    def failed(self, stage, containing=b""):
        failed = S.event(S.last, FAILED)
        self.assertIsNotNone(failed)
        self.assertEqual(failed[0], stage, failed)
        self.assertIn(containing, failed)
        self.assertIsNone(S.event(S.last, PROXIED, 0))

    def use(self, raw):
        """TLS and an echo over it."""
        t = S.context("alice").wrap_socket(raw, server_hostname="gw.example")
        t.sendall(b"CONNECT hv1:22 HTTP/1.1\r\n\r\nSSH-2.0-x")
        got = b""
        while len(got) < 28:
            got += t.recv(100)
        self.assertEqual(got, b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x")
        t.close()

    def test_each_form(self):
        for header, named in HEADERS:
            with self.subTest(header=header[:20]):
                raw = self.dial(header)
                self.assertEqual(S.event(S.last, PROXIED), named)
                self.use(raw)

    def test_byte_by_byte(self):
        for header, named in HEADERS[:4]:
            with self.subTest(header=header[:20]):
                raw = self.dial()
                for byte in header:
                    raw.sendall(bytes([byte]))
                    time.sleep(0.001)
                self.use(raw)
                self.assertEqual(S.event(S.last, PROXIED), named)

    def test_tls_in_the_same_segment_is_not_lost(self):
        """The hello is sent along with the header, in one piece, and in pieces cut anywhere around its end."""
        context = S.context("alice")
        for cut in (None, 10, 41, 42, 43, 60, 107, 300):
            with self.subTest(cut=cut):
                into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
                tls = context.wrap_bio(into, out, server_hostname="gw.example")
                with self.assertRaises(ssl.SSLWantReadError):
                    tls.do_handshake()
                data = HEADERS[0][0] + out.read()
                raw = self.dial(data[:cut])
                if cut:
                    time.sleep(0.05)
                    raw.sendall(data[cut:])
                while True:
                    into.write(raw.recv(65536))
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        raw.sendall(out.read())
                raw.sendall(out.read())
                tls.write(b"SSH-2.0-x\r\n")
                raw.sendall(out.read())
                self.assertEqual(S.event(S.last, READY)[2], 1)

    def test_nothing_is_said_before_it_is_admitted(self):
        S.admit = False
        for header, _ in HEADERS[:1]:
            raw = self.dial(header + b"\x16\x03\x01 no hello")
            self.assertIsNotNone(S.event(S.last, PROXIED))
            raw.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                raw.recv(1)
            S.send(DROP, struct.pack(">Q", S.last))
            raw.settimeout(lablib.TIMEOUT)
            try:
                self.assertEqual(raw.recv(1), b"")
            except ConnectionResetError:
                pass
            self.assertEqual(S.event(S.last, FAILED)[0], STAGE_WAITING)

    def test_health_checks(self):
        for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ::1 ::2 1 2\r\n", V2 + b"\x20\0\0\0",
                       V2 + b"\x20\x11\0\x0c" + V4, V2 + b"\x21\0\0\0"):
            with self.subTest(header=header[:20]):
                raw = self.dial(header)
                self.assertEqual(raw.recv(1), b"")
                self.failed(STAGE_CHECK)
        self.dial().close()
        self.failed(STAGE_CHECK)

    def test_refused(self):
        for data, why in ((b"\x16\x03\x01\x02\0\x01\0\x01\xfc", b"no PROXY header"),
                          (b"SSH-2.0-x\r\n", b"no PROXY header"),
                          (b"PROXY TCP4 192.0.2.7 192.0.2.8 56324 443\n", b"bare LF"),
                          (b"PROXY TCP4 192.0.2.07 192.0.2.8 56324 443\r\n", b"an address"),
                          (b"PROXY UNKNOWN " + b"x" * 200, b"107"),
                          (V2 + b"\x21\x11\x02\x09" + bytes(600), b"536"),
                          (V2 + b"\x21\x31\0\xd8" + bytes(216), b"not TCP"),
                          (V2 + b"\x21\x11\0\x13" + V4 + b"\x03\0\x04abcd", b"checksum")):
            with self.subTest(why=why):
                raw = self.dial(data)
                try:
                    self.assertEqual(raw.recv(1), b"")
                except ConnectionResetError:
                    pass
                self.failed(STAGE_PROXY, why)

    def test_ended_within(self):
        raw = self.dial(b"PROXY TCP4 192.0.2.7")
        raw.shutdown(socket.SHUT_WR)
        self.assertEqual(raw.recv(1), b"")
        self.failed(STAGE_PROXY, b"within")

    def test_slow(self):
        self.addCleanup(setattr, IMPATIENT, "proxy", False)
        IMPATIENT.proxy = True
        with socket.create_connection(("127.0.0.1", IMPATIENT.port)) as raw:
            wait_until(lambda: IMPATIENT.last)
            slow = IMPATIENT.last
            raw.sendall(b"PROXY TCP4 192.0.2.7")
            failed = IMPATIENT.event(slow, FAILED)
        self.assertEqual(failed[0], STAGE_DEADLINE, failed)
        self.assertIn(b"PROXY", failed)
        with socket.create_connection(("127.0.0.1", IMPATIENT.port)) as raw:  # others are served
            raw.sendall(HEADERS[0][0])
            wait_until(lambda: IMPATIENT.last > slow)
            self.assertEqual(IMPATIENT.event(IMPATIENT.last, PROXIED), NAMED_V4)

    def test_twice_or_inside_tls(self):
        raw = self.dial(HEADERS[0][0] + HEADERS[0][0])
        raw.recv(100)
        raw.close()
        self.assertIsNotNone(S.event(S.last, PROXIED))
        self.assertEqual(S.event(S.last, FAILED)[0], STAGE_TLS)
        raw = self.dial(HEADERS[0][0])
        t = S.context().wrap_socket(raw, server_hostname="gw.example")
        t.sendall(HEADERS[0][0])
        self.assertIn(b"405", t.recv(100))
        t.close()
        self.assertEqual(S.event(S.last, FAILED)[0], STAGE_REQUEST)

    def test_of_nobody_s_proxy(self):
        S.proxy = False
        for header, _ in HEADERS:
            raw = self.dial(header)
            raw.recv(100)
            raw.close()
            self.assertEqual(S.event(S.last, FAILED)[0], STAGE_TLS)
            self.assertIsNone(S.event(S.last, PROXIED, 0))

    def test_silence(self):
        S.proxy = False
        self.dial().close()
        self.failed(STAGE_SILENT)


def wait_until(condition):
    deadline = time.monotonic() + lablib.TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come")
        time.sleep(0.002)


class Certificates(unittest.TestCase):
    def setUp(self):
        S.serve = echo

    def test_valid_and_expired(self):
        for name, kind in (("alice", 1), ("expired", 2)):
            with self.subTest(name=name):
                t = S.tls(name)
                t.sendall(b"SSH-2.0-x\r\n")
                ready = S.event(S.last, READY)
                der = ssl.PEM_cert_to_DER_cert(open(S.path(name + ".pem")).read())
                self.assertEqual(ready, text("") + bytes([kind]) + struct.pack(">I", len(der)) + der)
                t.close()

    def test_others_are_refused(self):
        for name in ("stranger", "server-only", "future"):
            with self.subTest(name=name), self.assertRaises((ssl.SSLError, ConnectionError)) as caught:
                t = S.tls(name)
                t.sendall(b"SSH-2.0-x\r\n")
                t.recv(10)
            self.assertIn("ALERT", str(caught.exception))
            failed = S.event(S.last, FAILED)
            self.assertEqual(failed[0], STAGE_TLS)
            self.assertIn(b"client certificate", failed)


class Pump(unittest.TestCase):
    def test_large_echo_is_exact(self):
        S.serve = echo
        data = os.urandom(24 * MIB)
        r = subprocess.run(S.tool(), input=data, stdout=subprocess.PIPE, timeout=lablib.TIMEOUT, check=True)
        self.assertEqual(hashlib.sha256(r.stdout).digest(), hashlib.sha256(data).digest())

    def test_end_of_one_direction_leaves_the_other(self):
        S.serve = upper_after_end
        r = subprocess.run(S.tool(), input=b"abc" * MIB, stdout=subprocess.PIPE, timeout=lablib.TIMEOUT, check=True)
        self.assertEqual(r.stdout, b"ABC" * MIB)

    def test_last_words_arrive(self):
        S.serve = greet_and_close
        for _ in range(20):
            r = subprocess.run(S.tool(), input=b"", stdout=subprocess.PIPE, timeout=lablib.TIMEOUT, check=True)
            self.assertEqual(len(r.stdout), 100012)

    def test_slow_reader_stops_the_sender(self):
        written = array.array("q", [0])

        def flood(s):
            s.settimeout(None)
            block = bytes(65536)
            try:
                for _ in range(4096):
                    s.sendall(block)
                    written[0] += len(block)
            except OSError:
                pass
            s.close()
        S.serve = flood
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        raw.connect(("127.0.0.1", S.port))
        t = S.context().wrap_socket(raw, server_hostname="gw.example")
        t.sendall(b"SSH-2.0-x\r\n")
        before = -1
        while written[0] != before or not before:  # at the latest it has sent all that it has
            before = written[0]
            time.sleep(1)
        self.assertLess(before, 16 * MIB)
        t.close()

    def test_client_that_vanishes(self):
        S.serve = echo
        t = S.tls()
        t.sendall(b"SSH-2.0-x\r\n")
        conn = S.last
        self.assertEqual(t.recv(100), b"SSH-2.0-x\r\n")
        t.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.socket(fileno=t.detach()).close()  # a reset
        self.assertIsNotNone(S.event(conn, CLOSED))


class Tool(unittest.TestCase):
    def setUp(self):
        S.serve = echo

    def fails(self, words):
        r = subprocess.run(words, input=b"", capture_output=True, timeout=lablib.TIMEOUT, check=False)
        self.assertEqual((r.returncode, r.stdout), (255, b""), r.stderr)
        return r.stderr.decode()

    def test_other_ca(self):
        words = self.fails(S.tool(ca="other-ca.pem"))
        self.assertIn("the gateway's certificate is not trusted: ", words)
        self.assertIn("expected one of the CA in " + S.path("other-ca.pem"), words)

    def test_other_name(self):
        self.assertIn('it is for "gw.example"; expected "gw2.example"', self.fails(S.tool(name="gw2.example")))

    def test_address_as_name(self):
        subprocess.run(S.tool(name="127.0.0.1"), input=b"", stdout=subprocess.DEVNULL, timeout=lablib.TIMEOUT, check=True)

    def test_bad_target(self):
        self.assertIn("expected NAME:PORT", self.fails(S.tool(target="a b:22")))

    def test_nobody_listens(self):
        words = [w.replace(str(S.port), str(lablib.free_port())) for w in S.tool()]
        self.assertIn("Connection refused", self.fails(words))

    def test_closed_without_a_byte(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            words = [w.replace(str(S.port), str(s.getsockname()[1])) for w in S.tool()]
            threading.Thread(target=lambda: s.accept()[0].close(), daemon=True).start()
            self.assertIn("closed the connection", self.fails(words))

    def device(self, certificate):
        d = tempfile.mkdtemp(dir=S.dir)
        with open(os.path.join(d, "gateway.conf"), "w") as f:
            f.write(f"host=127.0.0.1\nport={S.port}\nname=gw.example\n")
        shutil.copy(S.path("gateway-ca.pem"), os.path.join(d, "ca.pem"))
        for kind in ("key", "pem"):
            shutil.copy(S.path(f"{certificate}.{kind}"), os.path.join(d, f"device.{kind}"))
        return [os.path.join(BUILD, "sallyport"), "connect", "--dir", d, "hv1:22"]

    def test_device_directory(self):
        words = self.device("alice")
        r = subprocess.run(words, input=b"hello", stdout=subprocess.PIPE, timeout=lablib.TIMEOUT, check=True)
        self.assertEqual(r.stdout, b"hello")
        self.assertEqual(S.event(S.last, READY)[8], 1)
        words.insert(2, "--no-certificate")
        subprocess.run(words, input=b"hello", stdout=subprocess.PIPE, timeout=lablib.TIMEOUT, check=True)
        self.assertEqual(S.event(S.last, READY)[8], 0)

    def test_device_certificate_refused(self):
        self.assertIn("the gateway refused this device's certificate", self.fails(self.device("stranger")))


class Sandbox(unittest.TestCase):
    def test_confined(self):
        status = open(f"/proc/{S.process.pid}/status").read()
        self.assertIn("Seccomp:\t" + sanitizers.SECCOMP, status)
        self.assertIn("NoNewPrivs:\t1", status)
        self.assertIn("CapEff:\t0000000000000000", status)
        self.assertNotIn("seccomp-denied", open(S.path("log")).read())

    def test_ends_with_the_supervisor(self):
        other = Supervisor()
        self.assertEqual(other.stop(), 0)


if __name__ == "__main__":
    unittest.main()
