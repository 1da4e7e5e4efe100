# SPDX-License-Identifier: Apache-2.0
"""An SSH client that says what it is told to, for the tests of threats: TLS and CONNECT by hand, SSH packets by
paramiko's transport, which is made to send any message in any order."""
import logging
import os
import queue
import select
import socket
import ssl
import struct
import threading
import time

import paramiko

import lablib

logging.getLogger("paramiko").setLevel(logging.CRITICAL)

FAILURE, SUCCESS, PROMPT = 51, 52, 60  # SSH_MSG_USERAUTH_*; 60 is also SSH_MSG_USERAUTH_PK_OK
SERVICE_ACCEPT = 6


class Ended(Exception):
    """The gateway closed the connection."""


def tls_context(lab, device=None, ca=None):
    context = ssl.create_default_context(cafile=ca or lab.path("state", "public", "ca.pem"))
    if device:
        context.load_cert_chain(lab.path("as", device, "device.pem"), lab.path("as", device, "device.key"))
    return context


def dial(lab, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", lab.ports[0]), timeout=lablib.TIMEOUT, source_address=(source, 0))


def tls(lab, source="127.0.0.1", context=None, device=None):
    return (context or tls_context(lab, device)).wrap_socket(dial(lab, source), server_hostname=lablib.GATEWAY)


def read_all(s):
    """What comes until the end; a reset is an end."""
    data, s_timeout = b"", s.gettimeout()
    s.settimeout(lablib.TIMEOUT)
    try:
        while piece := s.recv(65536):
            data += piece
    except (ConnectionResetError, ssl.SSLError, BrokenPipeError):
        pass
    except TimeoutError:
        raise AssertionError(f"still open after {lablib.TIMEOUT} s; it said {data!r}") from None
    s.settimeout(s_timeout)
    return data


def tunnel(lab, target="hv1:22", **how):
    """A connection in which SSH comes next. target None: plain SSH in TLS."""
    s = tls(lab, **how)
    if target is not None:
        s.sendall(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            piece = s.recv(1)
            if not piece:
                raise Ended(answer)
            answer += piece
        if b" 200 " not in answer:
            raise Ended(answer)
    return s


def read_exactly(s, count):
    data = b""
    while len(data) < count:
        piece = s.recv(count - len(data))
        if not piece:
            raise Ended(data)
        data += piece
    return data


def server_kexinit(s):
    """Exchanges versions; returns the ten lists of names of the server's SSH_MSG_KEXINIT."""
    s.sendall(b"SSH-2.0-raw\r\n")
    while read_exactly(s, 1) != b"\n":
        pass
    length, padding = struct.unpack(">IB", read_exactly(s, 5))
    payload = read_exactly(s, length - 1)[:-padding]
    lists, at = [], 17
    for _ in range(10):
        size = struct.unpack_from(">I", payload, at)[0]
        lists.append(payload[at + 4:at + 4 + size].decode().split(","))
        at += 4 + size
    return lists


def pump(outer, inner):
    """Bytes between TLS and a plain socket, in one thread: paramiko reads and writes in two, which the ssl module does
    not bear. Ends with either side."""
    with outer, inner:
        while True:
            readable = [outer] if outer.pending() else select.select([outer, inner], [], [])[0]
            try:
                if outer in readable:
                    outer.setblocking(False)
                    try:
                        piece = outer.recv(65536)
                    except ssl.SSLWantReadError:
                        piece = None
                    outer.settimeout(lablib.TIMEOUT)
                    if piece == b"":
                        return
                    if piece:
                        inner.sendall(piece)
                if inner in readable:
                    piece = inner.recv(65536)
                    if not piece:
                        return
                    outer.sendall(piece)
            except OSError:
                return


class _Answers:
    """In the place of paramiko's own authentication: every answer is put aside for the test."""
    def __init__(self):
        self.queue = queue.Queue()
        self._handler_table = {n: self.take(n) for n in (SERVICE_ACCEPT, FAILURE, SUCCESS, 53, PROMPT)}

    @staticmethod
    def take(number):
        return lambda self, m: self.queue.put((number, m))

    def is_authenticated(self):
        return False

    def abort(self):
        pass


class Raw:
    def __init__(self, lab, target="hv1:22", compression=None, **how):
        self.lab = lab
        self.socket, other_end = socket.socketpair()
        self.pump = threading.Thread(target=pump, args=(tunnel(lab, target, **how), other_end), daemon=True)
        self.pump.start()
        self.t = paramiko.Transport(self.socket)
        if compression:
            self.t._preferred_compression = compression
        try:
            self.t.start_client(timeout=lablib.TIMEOUT)
        except BaseException:
            self.close()
            raise
        self.answers = self.t.auth_handler = _Answers()

    def close(self):
        """The threads go first: a descriptor's number may be another connection's at once."""
        self.t.close()
        self.t.join(10)
        self.socket.close()
        self.pump.join(10)

    # --- messages

    def send(self, number, *fields):
        m = paramiko.Message()
        m.add_byte(bytes([number]))
        for field in fields:
            if isinstance(field, bool):
                m.add_boolean(field)
            elif isinstance(field, int):
                m.add_int(field)
            else:
                m.add_string(field)
        try:
            self.t._send_message(m)
        except (OSError, EOFError, ssl.SSLError) as e:
            raise Ended(str(e)) from None

    def answer(self, seconds=lablib.TIMEOUT):
        """The next answer's number and message; Ended when the gateway hangs up, None when nothing comes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                return self.answers.queue.get(timeout=0.05)
            except queue.Empty:
                if not self.t.is_active() and self.answers.queue.empty():
                    raise Ended from None
        return None

    def number(self, seconds=lablib.TIMEOUT):
        got = self.answer(seconds)
        return got and got[0]

    def ends(self):
        """Whether the gateway hangs up."""
        deadline = time.monotonic() + lablib.TIMEOUT
        while time.monotonic() < deadline:
            if not self.t.is_active():
                return True
            time.sleep(0.05)
        return False

    # --- a login, step by step

    def key(self, operator):
        return paramiko.Ed25519Key.from_private_key_file(self.lab.path("as", operator, "id_ed25519"))

    def service(self):
        self.send(5, "ssh-userauth")
        assert self.number() == SERVICE_ACCEPT
        return self

    def probe(self, operator, user="root"):
        self.send(50, user, "ssh-connection", "publickey", False, "ssh-ed25519", self.key(operator).asbytes())

    def sign(self, operator, user="root", shown=None):
        """A signed request; shown: whose public key it names instead."""
        public = self.key(shown or operator).asbytes()
        m = paramiko.Message()
        m.add_string(self.t.session_id)
        for part in (bytes([50]),):
            m.add_byte(part)
        for part in (user, "ssh-connection", "publickey"):
            m.add_string(part)
        m.add_boolean(True)
        m.add_string("ssh-ed25519")
        m.add_string(public)
        signature = self.key(operator).sign_ssh_data(m.asbytes(), "ssh-ed25519")
        self.send(50, user, "ssh-connection", "publickey", True, "ssh-ed25519", public, signature.asbytes())

    def ask_prompt(self, user="root"):
        self.send(50, user, "ssh-connection", "keyboard-interactive", "", "")

    def respond(self, *answers):
        self.send(61, len(answers), *answers)

    def login(self, operator, user="root", code=None, seconds=lablib.TIMEOUT):
        """Both factors; without a code the device's certificate is the second. Returns the last answer's number."""
        self.service()
        self.sign(operator, user)
        number = self.number(seconds)
        if number == FAILURE and code is not None:
            self.ask_prompt(user)
            if self.number() == PROMPT:
                self.respond(code)
                number = self.number()
        return number

    def channels(self):
        """After a login: paramiko's own channels."""
        self.t.auth_handler.is_authenticated = lambda: True
        self.t.active = True
        return self.t

    def run(self, command="true"):
        """After a login: (exit status, stderr) of a command."""
        channel = self.channels().open_session(timeout=lablib.TIMEOUT)
        channel.settimeout(lablib.TIMEOUT)
        channel.exec_command(command)
        said = b""
        while piece := channel.recv_stderr(4096):
            said += piece
        return channel.recv_exit_status(), said.decode("utf-8", "replace")


def environment_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as f:
        return f.read()


def arguments_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read()


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
