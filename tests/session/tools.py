# SPDX-License-Identifier: Apache-2.0
"""For tests of tools that operators use over ssh. What the trail says is compared with two that know nothing of the
gateway: at the operator's side tap.py, which the tool takes for ssh, at the hypervisor asked.sh, its ForceCommand.

A tree of files is compared as a whole, `tree`: names, kinds, modes, times, sizes, SHA-256, where links lead."""
import collections
import glob
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile

import harness

SSHD = f"ForceCommand /bin/sh {harness.HERE}/asked.sh {{dir}}/asked\n"

Call = collections.namedtuple("Call", "host command status sent out err")
Account = collections.namedtuple("Account", "command status sent out err pty")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def read(path):
    with open(path, "rb") as f:
        return f.read()


def tree(top):
    found = {}
    for directory, names, files in os.walk(os.fsencode(top)):
        for name in [b"."] + [n for n in names if os.path.islink(os.path.join(directory, n))] + files:
            path = os.path.normpath(os.path.join(directory, name))
            st = os.lstat(path)
            what = os.readlink(path) if os.path.islink(path) else None if name == b"." else (st.st_size, digest(path))
            found[os.path.relpath(path, os.fsencode(top))] = (st.st_mode, int(st.st_mtime), what)
    return found


class ToolTest(harness.SessionTest):
    def setUp(self):
        super().setUp()
        for old in glob.glob(self.lab.path("*", "asked")):
            shutil.rmtree(old)
        self.dir = tempfile.mkdtemp(prefix="tool-", dir=self.lab.dir)
        self.tapped = self.path("tapped")
        os.mkdir(self.tapped)
        self.environment = {"HOME": self.dir, "LC_ALL": "C.UTF-8"}

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, data):
        path = os.path.join(os.fsencode(self.dir), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return os.fsdecode(path)

    def ssh_for(self, operator, tap=True):
        """A directory whose `ssh` is the operator's, for PATH: as if ~/.ssh/config had what `sallyport setup` says."""
        directory = self.path("bin-" + operator)
        config = self.lab.path("as", operator, "ssh_config")
        start = ["/usr/bin/python3", "-I", "-S", os.path.join(harness.HERE, "tap.py"), self.tapped, config]
        path = self.write(f"{directory}/ssh", "#!/bin/sh\nexec " + shlex.join(
            start if tap else ["/usr/bin/ssh", "-F", config]) + ' "$@"\n')
        os.chmod(path, 0o755)
        return directory

    def tool(self, *words, operator="alice", status=0, tap=True, env=None, data=None, timeout=harness.TIMEOUT, **more):
        """Runs a tool that finds `ssh` in PATH, to its end; stdout and stderr are bytes. data: its stdin.
        tap: whether that ssh notes what crosses; None: it is the machine's own ssh."""
        environment = {**self.lab.operator_env(operator), **self.environment, **(env or {})}
        if tap is not None:
            environment["PATH"] = self.ssh_for(operator, tap) + ":" + environment["PATH"]
        child = subprocess.Popen(words, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL if data is None else subprocess.PIPE, **{"cwd": self.dir, **more})
        try:
            done = subprocess.CompletedProcess(words, 0, *child.communicate(data, timeout))
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)  # the tool's own children, too
            child.communicate()
            raise
        done.returncode = child.returncode
        if status is not None:
            self.assertEqual(done.returncode, status, f"{shlex.join(words)}: {done.stdout!r} {done.stderr!r}")
        return done

    # --- what the two witnesses say

    def calls(self):
        """What the tools asked their ssh for, in order of its starts; of one that is just starting nothing yet."""
        found = []
        for path in sorted(glob.glob(os.path.join(self.tapped, "*.json"))):
            if not all(os.path.exists(f"{path[:-5]}.{kind}") for kind in ("in", "out", "err")):
                continue
            with open(path, encoding="utf-8", errors="surrogateescape") as f:
                call = json.load(f)
            kept = []
            for kind in ("in", "out", "err"):
                kept.append(read(f"{path[:-5]}.{kind}"))
            found.append(Call(call["host"], call["command"], call["status"], *kept))
        return found

    def asked(self, host):
        """(command, status) as the hypervisor's sshd got them, sorted."""
        found = []
        for path in glob.glob(self.lab.path(host, "asked", "*.command")):
            status = path[:-len("command")] + "status"
            harness.wait_until(f"the end of {path}", lambda: os.path.exists(status) and read(status))
            found.append((os.fsdecode(read(path)), int(read(status))))
        return sorted(found)

    # --- what the trail says

    def sessions(self, count, host=None):
        """The ids of the sessions that began in this test (to one target), in order, once each has its verdict."""
        which = {"target": host} if host else {}
        def ended():
            ids = [r.session for r in self.records("session-start", **which)]
            verdicts = {r.session for r in self.records("verdict")}
            return ids if len(ids) >= count and verdicts.issuperset(ids) else None
        ids = harness.wait_until(f"{count} sessions and their verdicts", ended)
        self.assertEqual(len(ids), count)
        return ids

    def accounts(self, session):
        """What the trail says of each channel of a session that ran something."""
        channels = {}
        for r in self.records(session=session):
            channels.setdefault(r.channel, []).append(r)
        found = []
        for records in channels.values():
            events = [r.json for r in records if r.type == "exec"]
            start = [e for e in events if e["event"] == "start"]
            if not start:
                continue
            self.assertEqual(len(start), 1, events)
            ends = [e for e in events if e["event"] == "exit"]
            self.assertLessEqual(len(ends), 1, events)

            def joined(kind):
                return b"".join(r.payload for r in records if r.type == kind)
            command = bytes.fromhex(start[0]["command.raw"]) if "command.raw" in start[0] else start[0]["command"].encode()
            found.append(Account(os.fsdecode(command), ends[0]["status"] if ends else None, joined("input"), joined("output"),
                                 joined("stderr"), start[0]["pty"]))
        return found

    def sftp_channels(self, session):
        """How each SFTP session on its channels ended, as the trail says: exit statuses."""
        channels = {r.channel for r in self.records("subsystem", session=session) if r.json["subsystem"] == "sftp"}
        return [r.json["status"] for r in self.records("exec", session=session, event="exit") if r.channel in channels]

    def verdict(self, session, sent):
        """The frontend's attestations agree with the recorded input, of so many bytes."""
        verdict = self.records("verdict", session=session)[-1].json
        self.assertEqual((verdict["verdict"], verdict["recorded"], verdict["agreed"]), ("agreed", sent, sent), verdict)

    def account_is_true(self, calls=None):
        """Every call of the test was one session of one command, and the trail says of it what happened, byte by byte.
        Returns the ids of the sessions."""
        calls = self.calls() if calls is None else calls
        ids = self.sessions(len(calls))
        told = []
        for session, call in zip(ids, calls):
            account, = self.accounts(session)
            told.append(account)
            self.assertEqual(account.command, call.command)
            if call.status is None:
                self.is_true_of_the_killed(account, call)
                continue
            self.assertEqual(account.status, call.status, call.command)
            for kind in ("sent", "out", "err"):
                recorded, crossed = getattr(account, kind), getattr(call, kind)
                self.assertEqual(len(recorded), len(crossed), f"{kind} of {call.command}")
                self.assertTrue(recorded == crossed, f"{kind} of {call.command} differs")
            end = self.records("session-end", session=session)[-1].json
            came = len(call.out) + len(call.err)
            self.assertEqual([end[k] for k in ("bytes_in", "forwarded", "bytes_out", "delivered")],
                             [len(call.sent), len(call.sent), came, came], end)
            self.verdict(session, len(call.sent))
        for host in {call.host for call in calls}:
            asked = [(a.command, a.status) for a, c in zip(told, calls) if c.host == host]
            if all(status is not None for _, status in asked):
                self.assertEqual(self.asked(host), sorted(asked))
            else:  # a session that went away before its command had ended
                self.assertEqual([c for c, _ in self.asked(host)], sorted(c for c, _ in asked))
        self.assertEqual(self.records("alarm"), [])
        return ids

    def is_true_of_the_killed(self, account, call):
        """virsh and rsync kill their ssh when they have seen enough: what was under way then is on one side alone."""
        for kind in ("sent", "out", "err"):
            recorded, crossed = getattr(account, kind), getattr(call, kind)
            common = min(len(recorded), len(crossed))
            self.assertTrue(recorded[:common] == crossed[:common], f"{kind} of {call.command} differs")
