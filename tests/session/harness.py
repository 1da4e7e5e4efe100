# SPDX-License-Identifier: Apache-2.0
"""What the session tests share. Each module has a lab of its own:

    setUpModule, tearDownModule = harness.lab_for_module(globals())
    class Thing(harness.SessionTest): ...          # self.lab, self.ssh(...), self.records(...)

Everything is told by two witnesses: what the operator sees, and what the trail says."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lab")]

import lablib  # noqa: E402
import sanitizers  # noqa: E402
import trail  # noqa: E402

TIMEOUT = lablib.TIMEOUT


def lab_for_module(namespace, **options):
    """Returns setUpModule and tearDownModule; the lab is namespace["lab"]."""
    def up():
        base = os.environ.get("SALLYPORT_TEST_DIR", tempfile.gettempdir())
        name = namespace["__name__"].removeprefix("test_").replace("__", "")
        lab = lablib.Lab(tempfile.mkdtemp(prefix=f"sallyport-{name}-", dir=base))
        namespace["lab"] = lab
        try:
            lab.up(**options)
        except BaseException:
            down()  # unittest does not call tearDownModule then
            raise

    def down():
        lab = namespace["lab"]
        keep = os.environ.get("SALLYPORT_TEST_KEEP_LOGS")
        if keep and os.path.exists(lab.logfile):
            os.makedirs(keep, exist_ok=True)
            shutil.copy(lab.logfile, os.path.join(keep, namespace["__name__"] + ".log"))
        lab.end_processes()
        said = sanitizers.report(lab.logfile)
        lab.down()
        if said:
            raise AssertionError(said)

    return up, down


def wait_until(what, condition):
    """Polls; the last value of condition() when it is true, else an AssertionError that says what."""
    deadline = time.monotonic() + TIMEOUT
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {TIMEOUT} s: {what}")
        time.sleep(0.05)
    return value


# What a trail's segments looked like when it was read last, and the records: reading all of a long one again for each
# question takes most of a test's time.
last_read = {}


def read_trail(directory):
    now = time.time_ns()
    looks = []
    for path in trail.segments(directory):
        with contextlib.suppress(FileNotFoundError):  # pruned just now
            st = os.stat(path)
            looks.append((path, st.st_ino, st.st_size, st.st_mtime_ns))
    # The clock of a file's times is coarse: what was written a moment ago says nothing yet.
    settled = all(now - look[3] > 100_000_000 for look in looks)
    if not settled or last_read.get(directory, (None,))[0] != looks:
        last_read[directory] = (looks if settled else None, trail.read(directory))
    return last_read[directory][1]


class SessionTest(unittest.TestCase):
    maxDiff = 2000

    @property
    def lab(self):
        return sys.modules[type(self).__module__].lab

    def setUp(self):
        self.first_record = len(trail.read(self.lab.path("state", "trail")))
        with open(self.lab.logfile, "rb") as f:
            self.first_log_byte = f.seek(0, os.SEEK_END)

    def tearDown(self):
        # Whatever a test does: no program may hit its sandbox.
        self.assertNotIn("seccomp-denied", self.log(), "a sandbox denied a system call")

    # --- the operator's side

    def ssh_words(self, operator, host, *command, options=(), fresh=False):
        config = self.lab.path("as", operator, "fresh_ssh_config" if fresh else "ssh_config")
        return ["ssh", "-F", config, *options, host, *command]

    def ssh(self, operator, host, *command, options=(), fresh=False, env=None, stdin=b"", timeout=TIMEOUT, **more):
        """Runs ssh to its end; stdout and stderr are bytes. stdin: bytes, or a file object."""
        how = {"stdin": stdin} if hasattr(stdin, "fileno") else {"input": stdin}
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how, **more}
        return subprocess.run(self.ssh_words(operator, host, *command, options=options, fresh=fresh),
                              env={**self.lab.operator_env(operator), **(env or {})}, timeout=timeout, check=False,
                              start_new_session=True, **more)

    def start_ssh(self, operator, host, *command, options=(), fresh=False, env=None, **more):
        """Starts ssh with pipes; it is ended with the test at the latest."""
        more = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        child = subprocess.Popen(self.ssh_words(operator, host, *command, options=options, fresh=fresh),
                                 env={**self.lab.operator_env(operator), **(env or {})}, start_new_session=True, **more)
        self.addCleanup(self.end_child, child)
        return child

    @staticmethod
    def end_child(child):
        if child.poll() is None:
            child.kill()
        for pipe in (child.stdin, child.stdout, child.stderr):
            try:
                if pipe:
                    pipe.close()
            except BrokenPipeError:
                pass  # what was still to be written to it
        child.wait()

    def live(self, operator="alice", host="hv1", command="cat", **more):
        """A session that runs `cat` and has echoed a line, so that it is there with all its processes."""
        child = self.start_ssh(operator, host, command, **more)
        child.stdin.write(b"are you there\n")
        child.stdin.flush()
        line = child.stdout.readline()
        if line != b"are you there\n":
            self.fail(f"no session: {line!r} {child.stderr.read() if child.poll() is not None else ''!r}")
        return child

    def answering(self, *answers):
        """Environment in which ssh is given these answers, one a prompt; the last one again and again."""
        directory = tempfile.mkdtemp(dir=self.lab.dir)
        script = os.path.join(directory, "askpass")
        for i, answer in enumerate(answers):
            with open(os.path.join(directory, str(i)), "w", encoding="ascii") as f:
                f.write(answer + "\n")
        with open(script, "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\ncd {directory}\nfor i in $(seq 0 {len(answers) - 2}); do\n"
                    f"  [ -e $i ] && cat $i && mv $i $i.done && exit\ndone\ncat {len(answers) - 1}\n")
        os.chmod(script, 0o755)
        return {"SSH_ASKPASS": script}

    def remember(self, operator):
        """`sallyport login` on the operator's device, by the roles of now."""
        done = subprocess.run([os.path.join(self.lab.build, "sallyport"), "login", "--dir", self.lab.path("as", operator)],
                              env=self.lab.operator_env(operator), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def code(self, operator):
        """A code that the operator could type now, which counts as used for later logins of the lab."""
        return subprocess.run([self.lab.path("askpass")], env=self.lab.operator_env(operator), text=True,
                              stdout=subprocess.PIPE, check=True).stdout.strip()

    def shows(self, done, text, status=None):
        """The operator saw text on stderr (and got the exit status)."""
        said = done.stderr.decode("utf-8", "replace")
        self.assertIn(text, said)
        if status is not None:
            self.assertEqual(done.returncode, status, said)

    # --- the gateway's side

    @classmethod
    def with_hostile_backend(cls):
        """For setUpClass: the lab's gateway runs hostile_backend.c in the backend's place until the class ends."""
        lab = sys.modules[cls.__module__].lab
        honest, programs = lab.build, tempfile.mkdtemp(dir=lab.dir)
        os.chmod(programs, 0o755)
        for name in os.listdir(honest):
            if name.startswith("sallyport"):
                os.symlink(os.path.join(honest, name), os.path.join(programs, name))
        os.unlink(os.path.join(programs, "sallyport-backend"))
        os.symlink(os.path.join(honest, "hostile_backend"), os.path.join(programs, "sallyport-backend"))

        def run(build):
            lab.build = build
            lab.stop()
            lab.start()
        run(programs)
        cls.addClassCleanup(run, honest)

    def admin(self, *words, check=True):
        done = subprocess.run([os.path.join(self.lab.build, "sallyport"), *words], env=self.lab.operator_env("admin"),
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              timeout=TIMEOUT, check=False)
        if check:
            self.assertEqual(done.returncode, 0, f"sallyport {' '.join(words)}: {done.stderr}")
        return done

    def log(self):
        with open(self.lab.logfile, "rb") as f:
            f.seek(self.first_log_byte)
            return f.read().decode("utf-8", "replace")

    def records(self, kind=None, session=None, **fields):
        """The records since the test began, of one type, whose JSON has these members."""
        found = []
        for r in read_trail(self.lab.path("state", "trail"))[self.first_record:]:
            if (kind and r.type != kind) or (session and r.session != session):
                continue
            if fields:
                payload = r.json
                if any(payload.get(k) != v for k, v in fields.items()):
                    continue
            found.append(r)
        return found

    def record(self, kind, containing="", **fields):
        """Waits for a record of this type whose payload contains the text (any case), and returns its last one."""
        def look():
            return [r for r in self.records(kind, **fields) if re.search(containing, r.text(), re.I)]
        try:
            return wait_until(f"a record {kind} with {containing or fields}", look)[-1]
        except AssertionError as e:
            raise AssertionError(f"{e}; there were {self.records()[-12:]}") from None

    def finished_session(self):
        """The id of the session that was begun last in this test, once it has its last record, the verdict after its
        end. (The end of a session of the test before may come late.)"""
        session = self.record("session-start").session
        wait_until(f"the end of session {session}", lambda: self.records("session-end", session=session) and
                   self.records("verdict", session=session))
        return session

    def bytes_of(self, kind, session):
        return b"".join(r.payload for r in self.records(kind, session=session))

    def reload(self):
        return self.reload_of(self.lab)

    @staticmethod
    def reload_of(lab):
        """SIGHUP, and the log's answer."""
        with open(lab.logfile, "rb") as f:
            before = f.seek(0, os.SEEK_END)
        lab.kill(lab.gateway_pid(), 1)

        def answer():
            with open(lab.logfile, "rb") as f:
                f.seek(before)
                text = f.read().decode("utf-8", "replace")
            # authd's line comes first; after the supervisor's nothing of this load is still to come.
            return text if re.search(r"sallyportd policy-(loaded|refused).*\n", text) else None
        return wait_until("an answer to SIGHUP in the log", answer)

    def gateway_processes(self):
        """Program name to pids, of the gateway's processes."""
        found = {}
        for pid in [self.lab.gateway_pid(), *lablib.descendants(self.lab.gateway_pid())]:
            try:
                name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            except OSError:
                continue
            found.setdefault(name, []).append(pid)
        return found

    def session_process(self, program):
        """The one process of this program that serves a session: those of sessions before may take a moment to end."""
        def one():
            children = self.servers_and_children(program)[1]
            return children if len(children) == 1 else None
        return wait_until(f"one session of {program}", one)[0]

    def servers_and_children(self, program):
        """(the program that the supervisor started, its forked children)"""
        pids = self.gateway_processes().get(program, [])
        supervisor = self.lab.gateway_pid()
        servers = [p for p in pids if parent(p) == supervisor]
        return servers, [p for p in pids if parent(p) in servers]


def parent(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return None


def rss_anon(pid):
    """KiB; 0 of a process that has just ended."""
    with contextlib.suppress(OSError, KeyError):
        return int(proc_status(pid)["RssAnon"].split()[0])
    return 0


def copy_trail(source, target, **more):
    """Of a trail that is being written: a file that was replaced meanwhile is no error, the copy begins anew."""
    def copied():
        with contextlib.suppress(shutil.Error, FileNotFoundError):
            shutil.rmtree(target, ignore_errors=True)
            return shutil.copytree(source, target, **more)
    wait_until(f"a copy of {source}", copied)


def proc_status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
