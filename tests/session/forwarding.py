# SPDX-License-Identifier: Apache-2.0
"""What the tests of forwarded ports share: roles, a server to be reached, a client that says what it is told to."""
import contextlib
import socket
import threading

import harness
import lablib
import raw_ssh

OPEN, OPENED, REFUSED = 90, 91, 92

ROLE = """role: forwards
members: [op1, op2]
targets: {{env: lab}}
accounts: [root]
remember: 1h
allow: {{exec: true, forward: ["localhost:{port}", "127.0.0.1:{closed}", "[::1]:{closed}"]}}
"""

# op3: nobody is idle for long.
SHORT = """role: short
members: [op3]
targets: {{env: lab}}
accounts: [root]
remember: 1h
session: {{idle: 1s}}
allow: {{exec: true, forward: ["localhost:{port}"]}}
"""


class Server:
    """Sends back what comes, with each byte's bits turned over."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = self.received = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def turned(data):
        return bytes(b ^ 0xff for b in data)

    def serve(self, connection):
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65536):
                self.received += len(data)
                connection.sendall(self.turned(data))
            connection.sendall(b"END")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class ForwardTest(harness.SessionTest):
    server = closed = None  # by setUpModule

    def through(self, words, data, options=(), operator="op1"):
        """Sends data by ssh -W and reads to the end: (exit status, what came, stderr)."""
        done = self.ssh(operator, "hv1", options=("-W", words, *options), stdin=data)
        return done

    def joined(self, kind, session, channel):
        return b"".join(r.payload for r in self.records(kind, session=session) if r.channel == channel)

    def raw(self, operator="op1", target="hv1:22"):
        r = raw_ssh.Raw(self.lab, target, device=operator)
        self.addCleanup(r.close)
        self.assertEqual(self.ssh(operator, "hv1", "true").returncode, 0)  # remembers the device
        self.assertEqual(r.login(operator), raw_ssh.SUCCESS)
        r.channels()
        take = r.answers.take
        r.t._handler_table = {**r.t._handler_table, **{n: lambda _, m, n=n: take(n)(r.answers, m) for n in (OPENED, REFUSED)}}
        return r

    @staticmethod
    def open(r, number, host, port, origin="127.0.0.1", origin_port=1):
        r.send(OPEN, "direct-tcpip", number, 1 << 20, 1 << 15, host, port, origin, origin_port)


def prepare(lab):
    """For setUpModule, when the lab is up: the roles, the targets' keys for them, the server. Returns what ends it."""
    ForwardTest.server = Server()
    ForwardTest.closed = lablib.free_port()
    role = lab.path("conf", "roles.d", "lab-admin.yaml")
    with open(role, encoding="utf-8") as f:
        text = f.read().replace(", op1", "").replace(", op2", "").replace(", op3", "")
    lab.write_conf("roles.d/lab-admin.yaml", text)
    lab.write_conf("roles.d/forwards.yaml", ROLE.format(port=ForwardTest.server.port, closed=ForwardTest.closed))
    lab.write_conf("roles.d/short.yaml", SHORT.format(port=ForwardTest.server.port))
    lab.kill(lab.gateway_pid(), 1)
    for name in lab.hypervisors:
        path = lab.path(name, "authorized_keys")
        harness.wait_until("the new roles", lambda n=name: "port-forwarding" in lab.tool("target", "key", n, "root", "-c", lab.conf))
        with open(path, "w", encoding="utf-8") as f:
            f.write(lab.tool("target", "key", name, "root", "-c", lab.conf))
    return ForwardTest.server.close
