# SPDX-License-Identifier: Apache-2.0
"""Network namespaces for a session test: its own process, with all that it starts, moves to a fresh one with a
loopback interface alone; others, each a process that waits there for our end, are joined to it by a pair of veth."""
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)


def enter_fresh():
    """Returns what leave() takes."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    ip("link", "set", "lo", "up")
    return before


def leave(before):
    if libc.setns(before, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(before)


class Neighbour:
    """A namespace with one interface, to ours. addresses are with their prefix lengths."""

    def __init__(self, ours, theirs):
        self.waiter = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo there; exec cat >/dev/null"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.waiter.stdout.readline()
        pid = str(self.waiter.pid)
        ip("link", "add", "gate", "type", "veth", "peer", "name", "peer", "netns", pid)
        for address in ours:
            ip("address", "add", address, "dev", "gate", *(["nodad"] if ":" in address else []))
        ip("link", "set", "gate", "up")
        self.run("ip", "link", "set", "lo", "up")
        for address in theirs:
            self.run("ip", "address", "add", address, "dev", "peer", *(["nodad"] if ":" in address else []))
        self.run("ip", "link", "set", "peer", "up")

    def words(self, *words):
        return ["nsenter", f"--net=/proc/{self.waiter.pid}/ns/net", *words]

    def run(self, *words, **more):
        return subprocess.run(self.words(*words), check=True, stdin=subprocess.DEVNULL, **more)

    def end(self):
        self.waiter.stdin.close()
        self.waiter.wait()
        self.waiter.stdout.close()


class Service:
    """Says hello on a port, here or as the words before it say."""

    def __init__(self, port, *before):
        self.port, self.before = port, before

    def __enter__(self):
        code = ("import socket\nw = socket.create_server(('::', %d), family=socket.AF_INET6, dualstack_ipv6=True)\n"
                "print('there', flush=True)\nwhile True:\n c, _ = w.accept()\n c.sendall(b'hello')\n c.close()\n" % self.port)
        self.child = subprocess.Popen([*self.before, "/usr/bin/python3", "-I", "-c", code], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE)
        self.child.stdout.readline()

    def __exit__(self, *_):
        self.child.kill()
        self.child.stdout.close()
        self.child.wait()
