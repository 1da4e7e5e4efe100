# SPDX-License-Identifier: Apache-2.0
"""A hypervisor that does not keep to the protocol: python3-paramiko below, and messages of its own above it.

    with HostileTarget(port, host_key_file, serve) as target: ...

serve(connection) runs in a thread for each channel that the gateway opened and started something on;
what it finds out goes to target.seen."""
import contextlib
import logging
import queue
import socket
import threading

import paramiko
from paramiko.common import cMSG_CHANNEL_DATA, cMSG_CHANNEL_EXTENDED_DATA, cMSG_CHANNEL_OPEN, cMSG_GLOBAL_REQUEST

import lablib

logging.getLogger("paramiko").setLevel(logging.CRITICAL)
CHANNEL_EOF, CHANNEL_CLOSE, CHANNEL_REQUEST, OPEN_CONFIRMATION = b"\x60", b"\x61", b"\x62", b"\x5b"
CHANNEL_SUCCESS, CHANNEL_FAILURE = b"\x63", b"\x64"


@contextlib.contextmanager
def in_one_piece(packetizer):
    """What is sent meanwhile goes out at once."""
    out, write_all = bytearray(), packetizer.write_all
    packetizer.write_all = out.extend
    try:
        yield
    finally:
        del packetizer.write_all
        write_all(bytes(out))


class Connection(paramiko.ServerInterface):
    def __init__(self, target, transport):
        self.target, self.transport = target, transport
        self.channel, self.command = None, None
        self.answered = threading.Event()  # the answer to the start went out, or was kept

    # --- what the gateway asks

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username):
        return "publickey"

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_UNKNOWN_CHANNEL_TYPE

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        self.command = destination
        threading.Thread(target=self.accept_forward, args=(chanid,), daemon=True).start()
        return paramiko.OPEN_SUCCEEDED if self.target.start_answer else paramiko.OPEN_FAILED_CONNECT_FAILED

    def accept_forward(self, chanid):
        """When it was answered. Not by accept(), which gives whatever channel is the oldest to whoever asks first."""
        while not (channel := next((c for c in self.transport.server_accepts if c.chanid == chanid), None)):
            if self.target.over.wait(0.01):
                return
        self.channel = channel
        self.answered.set()
        self.serve()

    def check_channel_pty_request(self, *args):
        return True

    def check_channel_env_request(self, *args):
        return False

    def start(self, channel, command):
        self.channel, self.command = channel, command
        self.transport.start_due = self.answered = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()
        return self.target.start_answer

    def check_channel_exec_request(self, channel, command):
        return self.start(channel, command)

    def check_channel_shell_request(self, channel):
        return self.start(channel, b"")

    def check_channel_subsystem_request(self, channel, name):
        return self.start(channel, name)

    def serve(self):
        # The answer to the start goes out first.
        self.answered.wait(lablib.TIMEOUT)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.target.serve(self)

    # --- what no honest server says

    def send(self, kind, *fields):
        """A message as it is: int as uint32, bytes as a string, bool, and (bytes,) as they are."""
        m = paramiko.Message()
        m.add_byte(kind)
        for f in fields:
            if isinstance(f, bool):
                m.add_boolean(f)
            elif isinstance(f, int):
                m.add_int(f)
            elif isinstance(f, tuple):
                m.add_bytes(f[0])
            else:
                m.add_string(f)
        self.transport._send_message(m)

    def data(self, text):
        self.send(cMSG_CHANNEL_DATA, self.channel.remote_chanid, text)

    def stderr(self, text):
        self.send(cMSG_CHANNEL_EXTENDED_DATA, self.channel.remote_chanid, 1, text)

    def exit_status(self, status):
        self.send(CHANNEL_REQUEST, self.channel.remote_chanid, b"exit-status", False, status)

    def eof(self):
        self.send(CHANNEL_EOF, self.channel.remote_chanid)

    def close(self):
        self.send(CHANNEL_CLOSE, self.channel.remote_chanid)

    @contextlib.contextmanager
    def at_once(self):
        """What is sent meanwhile goes out in one piece; with the answer to the start, if the target holds it back."""
        with in_one_piece(self.transport.packetizer):
            if self.target.hold_start:
                self.send(CHANNEL_SUCCESS, self.channel.remote_chanid)
            yield

    def open_channel(self, kind, *fields):
        self.send(cMSG_CHANNEL_OPEN, kind, 7, 1 << 20, 1 << 15, *fields)

    def global_request(self, kind, want_reply, *fields):
        self.send(cMSG_GLOBAL_REQUEST, kind, want_reply, *fields)


class Transport(paramiko.Transport):
    """Ours says how large its window and packets are, and keeps what the gateway answers."""
    start_due = None  # an event for the next answer to a request of a channel

    def __init__(self, sock, target):
        super().__init__(sock)
        self.target = target
        self._handler_table = dict(self._handler_table)
        for number in (81, 82, 91, 92):  # answers to global requests and channel opens
            self._handler_table[number] = lambda _self, m, n=number: target.seen.put(n)

    def _send_message(self, m):
        data = m.asbytes()
        if self.target.confirm and data[:1] == OPEN_CONFIRMATION:
            window, packet = self.target.confirm
            m = paramiko.Message()
            m.add_bytes(data[:9] + window.to_bytes(4, "big") + packet.to_bytes(4, "big"))
        if self.target.opened and data[:1] == OPEN_CONFIRMATION:
            with in_one_piece(self.packetizer):
                for said in self.target.opened(data):
                    m = paramiko.Message()
                    m.add_bytes(said)
                    super()._send_message(m)
            return
        due = self.start_due if data[:1] in (CHANNEL_SUCCESS, CHANNEL_FAILURE) else None
        if self.target.hold_start and data[:1] == CHANNEL_SUCCESS and not self.target.held.is_set():
            self.target.held.set()
        else:
            super()._send_message(m)
        if due:
            self.start_due = None
            due.set()


class HostileTarget:
    def __init__(self, port, host_key, serve, start_answer=True, confirm=None, hold_start=False, opened=None):
        self.opened = opened  # the messages to send in place of an open's confirmation, in one piece
        self.serve, self.start_answer, self.confirm, self.hold_start = serve, start_answer, confirm, hold_start
        self.held = threading.Event()  # the answer to the start was due, and kept
        self.seen, self.over = queue.Queue(), threading.Event()
        self.key = paramiko.Ed25519Key.from_private_key_file(host_key)
        self.transports = []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            transport = Transport(connection, self)
            transport.add_server_key(self.key)
            self.transports.append(transport)
            with contextlib.suppress(EOFError, paramiko.SSHException):
                transport.start_server(server=Connection(self, transport), event=threading.Event())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # closing alone would leave it to the thread in accept
        self.listener.close()
        for t in self.transports:
            t.close()
