# SPDX-License-Identifier: Apache-2.0
"""What the tests of other clients than plain ssh share: an operator's home for the client's own files, a terminal that
types codes, and the comparison of the trail's account with what happened."""
import hashlib
import os
import pty
import select
import signal
import subprocess
import tempfile
import time

import harness

# Sizes around those at which clients, SSH and SFTP cut: nothing, a byte, a packet and one more, several windows.
SIZES = (0, 1, 32768, 32769, 3 << 20)


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Files:
    """The file records of one SFTP channel, joined."""

    def __init__(self, said):
        self.requests = [s for s in said if s["event"] == "request"]
        self.refused = [s for s in said if s["event"] == "refused"]
        self.closed = [s for s in said if s["event"] == "closed"]
        self.results = {r["n"]: r["status"] for s in said if s["event"] == "results" for r in s["results"]}

    def changes(self):
        """What was asked for and changes something, in order: (operation, path, to, status)."""
        return [(r["op"], r["path"], r.get("to"), self.results.get(r["n"])) for r in self.requests if r["op"] in CHANGES]


CHANGES = {"mkdir", "rmdir", "remove", "rename", "posix-rename@openssh.com", "symlink", "hardlink@openssh.com", "setstat",
           "lsetstat@openssh.com"}


class ClientTest(harness.SessionTest):
    """self.home is the operator's home directory for the test, self.there a folder at the hypervisor."""

    def setUp(self):
        super().setUp()
        self.home = tempfile.mkdtemp(prefix="home ", dir=self.lab.dir)
        self.there = tempfile.mkdtemp(prefix="there-", dir=self.lab.dir)

    def files(self):
        """Local files of SIZES, with their SHA-256."""
        made = {}
        for size in SIZES:
            path = os.path.join(self.home, f"file-{size}")
            with open(path, "wb") as f:
                f.write(os.urandom(size))
            made[path] = sha256(path)
        return made

    def device(self, fresh=False, operator="alice"):
        return self.lab.path("as", operator, *(["fresh"] if fresh else []))

    def connect(self, target, fresh=False):
        """The command that carries a connection; also with a space in the words' way."""
        return f"{self.lab.build}/sallyport connect --dir {self.device(fresh)} {target}"

    def environment(self, operator="alice"):
        env = self.lab.operator_env(operator)
        env["HOME"] = self.home
        return env

    def run_client(self, *words, stdin=b"", env=None, timeout=harness.TIMEOUT, cwd=None):
        return subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              env={**self.environment(), **(env or {})}, timeout=timeout, cwd=cwd or self.home,
                              start_new_session=True)

    def printed(self, client, *options, fresh=False, operator="alice"):
        """What `sallyport setup --for CLIENT` prints, in a file."""
        done = self.admin("setup", "--for", client, "--dir", self.device(fresh, operator), *options)
        path = os.path.join(self.home, f"printed-{client}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(done.stdout)
        return path

    def run_printed(self, client, fresh=False):
        """Runs it as a script, up to the examples."""
        with open(self.printed(client, fresh=fresh), encoding="utf-8") as f:
            script = f.read().split("# Then:\n")[0]
        done = self.run_client("bash", "-c", script)
        self.assertEqual(done.returncode, 0, done.stderr)

    def at_terminal(self, *words, operator="alice", seconds=harness.TIMEOUT):
        """Runs a client in a terminal where its question for a code is answered: (exit status,
        all that was seen)."""
        pid, terminal = pty.fork()
        if pid == 0:
            try:
                os.chdir(self.home)
                os.execvpe(words[0], words, self.environment(operator))
            finally:
                os._exit(127)
        seen, asked, deadline = b"", 0, time.time() + seconds
        try:
            while time.time() < deadline:
                if not select.select([terminal], [], [], 0.2)[0]:
                    continue
                try:
                    data = os.read(terminal, 4096)
                except OSError:  # it has closed the terminal, and ends
                    break
                seen += data
                if seen.count(b"Code:") > asked:
                    asked += 1
                    os.write(terminal, self.code(operator).encode() + b"\r")
            else:
                os.kill(pid, signal.SIGKILL)
                self.fail(f"no end within {seconds} s: {seen!r}")
        finally:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])  # before its terminal hangs up
            os.close(terminal)
        self.assertEqual(asked, 1, seen)
        return status, seen.replace(b"\r", b"")

    # --- the trail's account

    def account(self, command=None, status=0, sent=None, received=None, target="hv1", operator="alice",
                factors="key,remembered", reason=None):
        """The last session as the trail has it against what happened: who, where, which command, its status, its
        bytes; attested. Returns its id."""
        session = self.finished_session()
        start = self.record("session-start", session=session).json
        self.assertEqual((start["operator"], start["target"], start["account"], start["factors"]),
                         (operator, target, "root", factors))
        said = [r.json for r in self.records("exec", session=session)]
        if command is not None:
            self.assertEqual([s["command"] for s in said if s["event"] == "start"], [command])
            if status is not None:
                self.assertEqual([s["status"] for s in said if s["event"] == "exit"], [status])
        end = self.record("session-end", session=session).json
        if sent is not None:
            self.assertEqual((end["bytes_in"], end["forwarded"]), (len(sent), len(sent)))
            self.assertEqual(self.bytes_of("input", session), sent)
        if received is not None:
            self.assertEqual(self.bytes_of("output", session), received)
            self.assertEqual(end["bytes_out"], len(received) + len(self.bytes_of("stderr", session)))
        if reason:
            self.assertEqual(end["reason"], reason)
        self.assertEqual(self.record("verdict", session=session).json["verdict"], "agreed")
        return session

    def subsystem(self, target="hv1", operator="alice", factors="key,remembered", channels=1):
        """The last session, in which SFTP was spoken and nothing else done. Returns its Files."""
        session = self.account(target=target, operator=operator, factors=factors)
        self.assertEqual([r.json["subsystem"] for r in self.records("subsystem", session=session)], ["sftp"] * channels)
        return Files([r.json for r in self.records("file", session=session)])

    def moved(self, files, path, read=None, written=None):
        """The trail has the last opening of path, closed, with the SHA-256 of the whole local file `read` or
        `written`."""
        closed = files.closed[-1] if path is None else [c for c in files.closed if c["path"] == path][-1]
        for local, way in ((read, "read"), (written, "written")):
            if local is None:
                continue
            size = os.path.getsize(local)
            said = closed.get(way, {"bytes": 0, "ranges": []})
            self.assertEqual(said["bytes"], size, closed)
            if size:
                self.assertEqual(said["ranges"], [{"from": 0, "to": size, "sha256": sha256(local)}], closed)

    def commands(self, *words, data, **how):
        """A client that runs commands as ssh does, the words before the command: the same four for each. Every
        stream is exact, and the trail has it."""
        for command, sent, status, out, err in (
                ("echo $LAB_HYPERVISOR", b"", 0, b"hv1\n", b""),
                ("echo out; echo err >&2; exit 3", b"", 3, b"out\n", b"err\n"),
                ("cat", data, 0, data, b""),
                ("sha256sum", data, 0, hashlib.sha256(data).hexdigest().encode() + b"  -\n", b"")):
            with self.subTest(command=command):
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))
                done = self.run_client(*words, command, stdin=sent, **how)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertEqual(done.stdout == out, True, done.stdout[:200])
                self.assertEqual(done.stderr, err)
                session = self.account(command, status, received=out)
                if sent:  # some clients hold an unread standard input back
                    self.assertEqual(self.bytes_of("input", session) == sent, True)
