# SPDX-License-Identifier: Apache-2.0
"""Channels at their edges: keepalives both ways, ten at once, half-closed ones, empty data, floods of stderr, packets
of 64 KiB, windows of a few bytes, signals."""
import hashlib
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import paramiko

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import harness  # noqa: E402
import raw_ssh  # noqa: E402
import sanitizers  # noqa: E402

_up, tearDownModule = harness.lab_for_module(globals())


def setUpModule():
    """The hypervisors ask every second whether somebody is there, and take two missing answers for an end."""
    _up()
    lab = globals()["lab"]
    lab.stop_sshd("hv2")
    with open(lab.path("hv2", "sshd_config"), "a", encoding="utf-8") as f:
        f.write("ClientAliveInterval 1\nClientAliveCountMax 2\n")
    lab.start_sshd("hv2")


# An idle minute, at one question a second, with SALLYPORT_TEST_LONG=60.
IDLE_SECONDS = int(os.environ.get("SALLYPORT_TEST_LONG", "6"))
OPENSSH_ALIVE = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")
DATA, EXTENDED_DATA, EOF, CLOSE, REQUEST = 94, 95, 96, 97, 98


class ChannelsTest(harness.SessionTest):
    @classmethod
    def setUpClass(cls):
        cls.data = os.urandom(10_000_000)
        cls.big = os.path.join(sys.modules[cls.__module__].lab.dir, "big")
        with open(cls.big, "wb") as f:
            f.write(cls.data)

    def master(self, host="hv1", *options):
        control = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "m")
        child = self.start_ssh("alice", host, "-N", options=("-M", "-S", control, *options))
        harness.wait_until("the master's socket", lambda: os.path.exists(control))
        return child, ("-S", control)

    def raw(self, host="hv1:22"):
        r = raw_ssh.Raw(self.lab, host, device="alice")
        self.addCleanup(r.close)
        self.assertEqual(r.login("alice"), raw_ssh.SUCCESS)
        r.channels()
        return r

    @staticmethod
    def open(r, window, packet):
        """A session whose window and largest packet are these; paramiko itself asks for no less than 32 KiB."""
        t = r.t
        number = t._next_channel()
        channel = paramiko.Channel(number)
        t._channels.put(number, channel)
        t.channel_events[number] = opened = threading.Event()
        t.channels_seen[number] = True
        channel._set_transport(t)
        channel._set_window(window, packet)
        r.send(90, "session", number, window, packet)
        if not opened.wait(20) or channel.remote_chanid is None:
            raise AssertionError("the channel did not open")
        channel.settimeout(harness.TIMEOUT)
        return channel

    @staticmethod
    def all_of(channel):
        said = bytearray()
        while piece := channel.recv(1 << 20):
            said += piece
        return bytes(said)


class Keepalives(ChannelsTest):
    def test_an_idle_session_stays(self):
        """Both sides ask; nobody types."""
        child = self.live(host="hv2", options=OPENSSH_ALIVE)
        session = self.record("session-start").session
        before = len(self.records(session=session))
        time.sleep(IDLE_SECONDS)
        self.assertIsNone(child.poll(), "it was ended")
        said = [r for r in self.records(session=session)[before:] if r.type != "attestation"]
        self.assertEqual(said, [], "questions are no records")
        child.stdin.write(b"still here\n")
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), b"still here\n")
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)

    def test_without_a_channel(self):
        master, control = self.master("hv2", *OPENSSH_ALIVE)
        self.assertEqual(self.ssh("alice", "hv2", "echo one", options=control).stdout, b"one\n")
        time.sleep(min(IDLE_SECONDS, 5))
        self.assertIsNone(master.poll(), "it was ended")
        self.assertEqual(self.ssh("alice", "hv2", "echo two", options=control).stdout, b"two\n")
        self.assertEqual(len(self.records("session-start")), 1)
        self.assertEqual([r for r in self.records("request") if "keepalive" in r.text()], [])

    def test_a_stopped_reader_is_asked_in_vain(self):
        """Questions pass a full channel: the client answers the gateway's side, whatever its output does."""
        child = self.start_ssh("alice", "hv2", f"cat {self.big} {self.big} {self.big}", options=OPENSSH_ALIVE)
        time.sleep(min(IDLE_SECONDS, 5))
        self.assertIsNone(child.poll(), "it was ended")
        self.assertEqual(hashlib.sha256(child.stdout.read()).digest(), hashlib.sha256(self.data * 3).digest())
        self.assertEqual(child.wait(harness.TIMEOUT), 0)


class Ten(ChannelsTest):
    def test_ten_at_the_same_time_and_an_eleventh(self):
        _, control = self.master()
        children = [self.start_ssh("alice", "hv1", f"cat; exit {i}", options=control) for i in range(10)]
        for child in children:
            child.stdin.write(b"go\n")
            child.stdin.flush()
            self.assertEqual(child.stdout.readline(), b"go\n")
        done = self.ssh("alice", "hv1", "echo eleventh", options=(*control, "-o", "ProxyCommand=false"))
        self.assertIn("refused", done.stderr.decode().lower())
        self.assertEqual(done.stdout, b"")
        refused = [r for r in self.records("request") if "ten channels at once" in r.text()]
        self.assertEqual(len(refused), 1)
        said, threads = {}, []

        def move(i, child):
            mine = self.data[i * 100_000:i * 100_000 + 3_000_000 + i]
            said[i] = (mine, *child.communicate(mine, timeout=harness.TIMEOUT))
        for i, child in enumerate(children):
            threads.append(threading.Thread(target=move, args=(i, child)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        for i, child in enumerate(children):
            mine, out, _ = said[i]
            self.assertEqual((hashlib.sha256(out).digest(), child.returncode), (hashlib.sha256(mine).digest(), i))
        self.assertEqual(self.ssh("alice", "hv1", "echo again", options=control).stdout, b"again\n")
        self.assertEqual(len(self.records("session-start")), 1)
        session = self.record("session-start").session
        for channel in {r.channel for r in self.records("input", session=session)}:
            of = [b"".join(r.payload for r in self.records(kind, session=session) if r.channel == channel)
                  for kind in ("input", "output")]
            self.assertEqual(hashlib.sha256(of[0]).digest(), hashlib.sha256(of[1]).digest())


class Ends(ChannelsTest):
    def test_output_after_the_end_of_input(self):
        done = self.ssh("alice", "hv1", f"cat | sha256sum; cat {self.big}; exit 4", stdin=self.data)
        first, _, rest = done.stdout.partition(b"\n")
        self.assertEqual(first.split()[0].decode(), hashlib.sha256(self.data).hexdigest())
        self.assertEqual((rest == self.data, done.returncode), (True, 4))

    def test_half_closed_by_a_raw_client(self):
        r = self.raw()
        channel = self.open(r, 1 << 20, 32768)
        channel.exec_command(f"cat; cat {self.big}; exit 5")
        channel.sendall(b"x" * 100_000)
        channel.shutdown_write()
        self.assertEqual(hashlib.sha256(self.all_of(channel)).digest(), hashlib.sha256(b"x" * 100_000 + self.data).digest())
        self.assertEqual(channel.recv_exit_status(), 5)

    def test_a_client_that_closes(self):
        """End of file and close at once, as paramiko does it: what was sent before arrives, and the place is free, though
        the command would go on."""
        r = self.raw()
        path = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "got")
        for i in range(12):
            channel = self.open(r, 1 << 20, 32768)
            channel.exec_command(f"cat >{path}.{i}; sleep 20")
            channel.sendall(b"x" * 500_000)
            channel.close()
            harness.wait_until(f"close {i}", lambda n=i + 1: [x.json["by"] for x in self.records("exec", event="close")] ==
                               ["operator"] * n)
            harness.wait_until("all of it", lambda p=f"{path}.{i}": os.path.getsize(p) == 500_000)

    def test_empty_data(self):
        r = self.raw()
        channel = self.open(r, 1 << 20, 32768)
        channel.exec_command("cat; exit 6")
        for piece in (b"", b"a", b"", b"", b"b", b""):
            r.send(DATA, channel.remote_chanid, piece)
            r.send(EXTENDED_DATA, channel.remote_chanid, 1, b"")
        channel.shutdown_write()
        self.assertEqual(self.all_of(channel), b"ab")
        self.assertEqual(channel.recv_exit_status(), 6)
        self.assertEqual(b"".join(x.payload for x in self.records("input")), b"ab")
        self.assertNotIn(0, [len(x.payload) for x in self.records("input")])

    def test_commands_without_a_byte(self):
        for command, status in (("true", 0), ("exec >&- 2>&-; exit 3", 3), ("cat >/dev/null; exit 4", 4)):
            done = self.ssh("alice", "hv1", command)
            self.assertEqual((done.stdout, done.stderr, done.returncode), (b"", b"", status))

    def test_exit_signals(self):
        for name, number in (("TERM", 15), ("KILL", 9), ("SEGV", 11), ("USR1", 10)):
            done = self.ssh("alice", "hv1", f"ulimit -c 0; kill -{number} $$")
            self.assertEqual(done.returncode, 255, done.stderr)
            self.assertEqual(self.record("exec", event="exit").json["signal"], name)

    def test_signals_by_a_raw_client(self):
        r = self.raw()
        channel = self.open(r, 1 << 20, 32768)
        channel.exec_command("echo ready; cat; exit 7")
        self.assertEqual(channel.recv(100), b"ready\n")
        for name in ("USR1", "INT", "RTMIN+1", "", "A" * 200):
            r.send(REQUEST, channel.remote_chanid, "signal", False, name)
        self.record("exec", event="signal", signal="INT")
        harness.wait_until("the refusals", lambda: sum(x.json["what"] == "signal" for x in self.records("request")) >= 1)
        channel.shutdown_write()
        self.assertEqual(channel.recv_exit_status(), 7)
        self.assertEqual([x.json["signal"] for x in self.records("exec", event="signal")], ["USR1", "INT"])


class Sizes(ChannelsTest):
    def test_a_flood_of_stderr(self):
        """100 MB, for a reader of stdout who takes stderr later."""
        child = self.start_ssh("alice", "hv1", f"for i in 0 1 2 3 4 5 6 7 8 9; do cat {self.big} >&2; done; echo out; exit 2")
        digest, taken = hashlib.sha256(), 0
        while block := child.stderr.read(1 << 20):
            digest.update(block)
            taken += len(block)
            if taken == 30 << 20:
                for pid in self.servers_and_children("sallyport-backend")[1] + self.servers_and_children("sallyport-frontend")[1]:
                    memory = int(harness.proc_status(pid)["RssAnon"].split()[0])
                    sanitizers.assert_memory_below(self, memory, 8 * 1024)
        self.assertEqual((taken, digest.digest()), (100_000_000, hashlib.sha256(self.data * 10).digest()))
        self.assertEqual((child.stdout.read(), child.wait(harness.TIMEOUT)), (b"out\n", 2))
        self.assertEqual(sum(len(x.payload) for x in self.records("stderr")), 100_000_000)

    def test_packets_of_64_kib(self):
        r = self.raw()
        channel = self.open(r, 4 << 20, 1 << 16)
        channel.exec_command("cat; exit 8")
        sent, said = 0, bytearray()
        size = 3_000_000

        def reader():
            said.extend(self.all_of(channel))
        thread = threading.Thread(target=reader)
        thread.start()
        while sent < size:
            # the first window is of 32,000 bytes
            piece = self.data[sent:min(sent + (65536 if sent else 20000), size)]
            harness.wait_until("room", lambda: channel.out_window_size >= len(piece), harness.TIMEOUT)
            with channel.lock:
                channel.out_window_size -= len(piece)
            r.send(DATA, channel.remote_chanid, piece)
            sent += len(piece)
        channel.shutdown_write()
        thread.join(harness.TIMEOUT)
        self.assertEqual(hashlib.sha256(said).digest(), hashlib.sha256(self.data[:size]).digest())
        self.assertEqual(channel.recv_exit_status(), 8)

    def test_windows_of_a_few_bytes(self):
        for window, packet, size in ((7, 32768, 700), (1, 32768, 60), (1000, 100, 20000), (64, 64, 2000)):
            with self.subTest(window=window, packet=packet):
                channel = self.open(self.raw(), window, packet)
                channel.exec_command(f"head -c {size} {self.big}; exit 9")
                self.assertEqual(self.all_of(channel), self.data[:size])
                self.assertEqual(channel.recv_exit_status(), 9)

    def test_a_window_that_opens_late(self):
        """Nothing may be sent at first; the exit status waits behind the data."""
        r = self.raw()
        channel = self.open(r, 0, 32768)
        channel.exec_command("echo late; exit 10")
        time.sleep(1)
        self.assertFalse(channel.recv_ready())
        r.send(93, channel.remote_chanid, 100)
        self.assertEqual(self.all_of(channel), b"late\n")
        self.assertEqual(channel.recv_exit_status(), 10)


if __name__ == "__main__":
    unittest.main()
