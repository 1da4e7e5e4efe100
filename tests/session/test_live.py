# SPDX-License-Identifier: Apache-2.0
"""The policy in force holds for sessions that run: what a reload takes away ends or becomes less at once, the operator
is told, and the trail says under which policy what went on."""
import contextlib
import datetime
import json
import os
import re
import select
import signal
import socket
import tempfile
import time

import harness
import lablib
import raw_sftp
import trail
from raw_sftp import u64

up, tearDownModule = harness.lab_for_module(globals(), extra_operators=2)


def setUpModule():
    """op1 has nothing but what each test gives him; his device is remembered."""
    up()
    lab = globals()["lab"]
    with open(lab.path("conf", "roles.d", "lab-admin.yaml"), encoding="utf-8") as f:
        lab.write_conf("roles.d/lab-admin.yaml", re.sub(r"\bop1(, )?", "", f.read()))


HEAD = "role: extra\nmembers: [op1]\ntargets: {env: lab, name: hv1}\naccounts: [root]\nremember: 8h\n"
ALL = "allow: {shell: true, exec: true, sftp: true}\n"


class LiveTest(harness.SessionTest):
    def setUp(self):
        self.role(ALL)
        super().setUp()

    def tearDown(self):
        path = self.lab.path("conf", "roles.d", "extra.yaml")
        if os.path.exists(path):
            os.unlink(path)
        self.reload()
        super().tearDown()

    def role(self, text, head=HEAD):
        """What the set says of op1 from now on; the log's answer."""
        self.lab.write_conf("roles.d/extra.yaml", head + text)
        said = self.reload()
        self.assertIn("policy-loaded", said)
        return said

    def no_role(self):
        os.unlink(self.lab.path("conf", "roles.d", "extra.yaml"))
        self.assertIn("policy-loaded", self.reload())

    def policy(self):
        return self.record("policy-loaded", event="loaded").json["policy"]

    def ended(self, child, text, status=77):
        self.assertEqual(child.wait(harness.TIMEOUT), status)
        self.assertRegex(child.stderr.read().decode("utf-8", "replace"), text)

    @staticmethod
    def said(child, text, seconds=15):
        """What came on stderr until this text did."""
        have, until = b"", time.time() + seconds
        while not re.search(text, have.decode("utf-8", "replace")):
            if not select.select([child.stderr], [], [], max(0, until - time.time()))[0]:
                raise AssertionError(f"not told: {text}; {have!r}")
            more = child.stderr.read1(65536)
            if not more:
                raise AssertionError(f"closed without {text}; {have!r}")
            have += more
        return have.decode("utf-8", "replace")

    def echoes(self, child, line=b"still\n"):
        child.stdin.write(line)
        child.stdin.flush()
        self.assertEqual(child.stdout.readline(), line)

    def master(self, operator="op1"):
        """A connection that others share; their options."""
        options = ("-S", os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "m"))
        child = self.start_ssh(operator, "hv1", options=(*options, "-M", "-N"))
        harness.wait_until("the master's socket", lambda: os.path.exists(options[1]))
        return child, options

    def verified(self):
        self.admin("audit", "verify")

    def load(self):
        """What `policy load` is answered."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.lab.path("run", "control"))
            s.settimeout(harness.TIMEOUT)
            s.sendall(b'{"verb":"policy-load"}\n')
            with s.makefile("rb") as f:
                return json.loads(f.readline())


class Ended(LiveTest):
    def test_a_role_that_is_gone_ends_what_it_gave(self):
        child, other = self.live("op1"), self.live("alice")
        session = self.record("session-start", operator="op1").session
        self.no_role()
        self.ended(child, "Your access to hv1 ended: .*ask your policy administrators")
        again = self.record("decision", event="decision-again", operator="op1").json
        self.assertEqual((again["allowed"], again["cause"], again["reason"], again["policy"]),
                         (False, "policy", "no-role", self.policy()))
        self.assertEqual(again["session"], session)
        end = self.record("session-end", session=session)
        self.assertEqual(end.json["reason"], "no-role")
        order = [r.index for r in (self.record("policy-loaded", event="loaded"),
                                   self.record("decision", event="decision-again", operator="op1"), end)]
        self.assertEqual(order, sorted(order))
        self.echoes(other)
        self.assertEqual(self.records("decision", event="decision-again", operator="alice"), [])
        self.assertEqual(self.records("grant"), [])

    def test_a_target_that_is_gone_ends_its_sessions(self):
        child = self.live("op1")
        path = self.lab.path("conf", "targets.yaml")
        with open(path, encoding="utf-8") as f:
            before = f.read()
        self.addCleanup(self.lab.write_conf, "targets.yaml", before)
        role = self.lab.path("conf", "roles.d")
        self.lab.write_conf("targets.yaml", re.sub(r"(?m)^  hv1:", "  hv1-elsewhere:", before))
        roles = {name: open(os.path.join(role, name), encoding="utf-8").read() for name in os.listdir(role)
                 if name.endswith(".yaml")}
        for name, text in roles.items():
            self.lab.write_conf(f"roles.d/{name}", text.replace("name: hv1", "name: hv1-elsewhere"))
            self.addCleanup(self.lab.write_conf, f"roles.d/{name}", text)
        self.assertIn("policy-loaded", self.reload())
        self.ended(child, "Your access to hv1 ended: There is no target named hv1")

    def test_addresses(self):
        child = self.live("op1")
        self.role("from: [192.0.2.0/24]\n" + ALL)
        self.ended(child, "Your access to hv1 ended: .*from 127.0.0.1")
        self.record("session-end", reason="address")

    def test_a_bad_file_changes_nothing(self):
        child = self.live("op1")
        self.lab.write_conf("roles.d/extra.yaml", HEAD + "allow: {shell: perhaps}\n")
        self.assertIn("policy-refused", self.reload())
        self.echoes(child)
        self.assertEqual(self.records("decision", event="decision-again"), [])
        self.assertEqual(self.records("grant"), [])

    def test_in_the_middle_of_a_stream_that_nobody_reads(self):
        child = self.start_ssh("op1", "hv1", "cat /dev/zero")
        child.stdout.read(1 << 20)
        session = self.record("session-start", operator="op1").session
        time.sleep(0.5)  # until every buffer on the way is full
        self.no_role()
        self.record("session-end", session=session, reason="no-role")
        child.stdout.read()  # what was on its way when nobody read
        self.ended(child, "Your access to hv1 ended")

    def test_twenty_at_one_reload(self):
        children = [self.live("op1") for _ in range(20)]
        said = self.load()  # as it is: nothing changes
        self.assertEqual((said["sessions"], said["ended"], said["narrowed"]), (20, 0, 0))
        for child in children:
            self.echoes(child)
        os.unlink(self.lab.path("conf", "roles.d", "extra.yaml"))
        said = self.load()
        self.assertEqual((said["ok"], said["sessions"], said["ended"], said["narrowed"]), (True, 20, 20, 0))
        self.assertEqual(said["hash"], self.policy())
        self.assertIsInstance(said["warnings"], list)
        for child in children:
            self.ended(child, "Your access to hv1 ended")
        self.assertEqual(len(self.records("decision", event="decision-again", allowed=False)), 20)
        harness.wait_until("20 ends", lambda: len(self.records("session-end", reason="no-role")) == 20)
        self.verified()

    def test_forgotten_devices(self):
        child = self.live("op2")
        self.admin("user", "forget", "op2")
        self.ended(child, "an administrator ended your remembered logins")
        self.record("session-end", reason="forgotten")
        self.assertEqual(self.ssh("op2", "hv1", "true", fresh=True).returncode, 0)


class Narrowed(LiveTest):
    def test_a_shell_is_closed_and_file_transfer_goes_on(self):
        _, control = self.master()
        shell = self.start_ssh("op1", "hv1", options=(*control, "-tt"))
        shell.stdin.write(b"echo th''ere\n")
        shell.stdin.flush()
        while b"there" not in (line := shell.stdout.readline()):
            self.assertTrue(line, "no shell")
        sftp = raw_sftp.RawSftp(self.start_ssh("op1", "hv1", "sftp", options=(*control, "-s")))
        self.assertEqual(sftp.ask(raw_sftp.STAT, "/").kind, raw_sftp.ATTRS)
        session = self.record("session-start", operator="op1").session
        self.role("allow: {sftp: true}\n")
        self.assertEqual(shell.wait(harness.TIMEOUT), 77)
        self.assertIn(b"no longer permits this shell", shell.stderr.read())
        told = self.said(sftp.child, "your access to hv1 changed")
        for words in ("no shell any more", "no commands any more", "no terminal any more"):
            self.assertIn(words, told)
        self.assertEqual(sftp.ask(raw_sftp.STAT, "/").kind, raw_sftp.ATTRS)
        self.shows(self.ssh("op1", "hv1", "true", options=control), "does not permit commands", 77)
        grant = self.record("grant", session=session).json
        self.assertEqual((grant["event"], grant["abilities"], grant["policy"]), ("narrowed", ["sftp"], self.policy()))
        again = self.record("decision", event="decision-again").json
        self.assertEqual((again["allowed"], again["session"]), (True, session))
        closed = [r.json for r in self.records("exec", session=session) if r.json["event"] == "close"]
        self.assertEqual(closed[0]["by"], "policy")
        # and all that is given back is what it had
        self.role("allow: {sftp: true, exec: true}\n")
        self.said(sftp.child, "commands again")
        self.assertEqual(self.ssh("op1", "hv1", "echo back", options=control).stdout, b"back\n")
        sftp.end()
        shown = self.admin("audit", "show", session)
        self.assertRegex(shown.stdout, r"grant .*narrowed")
        self.verified()

    def test_more_than_at_the_beginning_is_for_who_connects_anew(self):
        self.role("allow: {exec: true}\n")
        _, control = self.master()
        self.role(ALL)
        self.shows(self.ssh("op1", "hv1", options=(*control, "-T")), "does not permit a shell", 77)
        self.assertEqual(self.records("grant"), [])

    def test_command_rules(self):
        _, control = self.master()
        runs = self.start_ssh("op1", "hv1", "/bin/cat", options=control)
        self.echoes(runs)
        stops = self.start_ssh("op1", "hv1", "cat -u", options=control)
        self.echoes(stops)
        self.role("allow: {exec: true}\ncommands:\n  - allow: /bin/cat\n")
        self.ended(stops, "no longer permits this command")
        self.echoes(runs)
        self.said(runs, "other command rules")
        self.assertEqual(self.ssh("op1", "hv1", "/bin/cat", options=control, stdin=b"x").stdout, b"x")
        refused = self.ssh("op1", "hv1", "echo no", options=control)
        self.assertEqual(refused.returncode, 77)
        # both sets must permit: this one is permitted by the newer one alone
        self.role("allow: {exec: true}\ncommands:\n  - allow: /bin/echo yes\n")
        self.ended(runs, "no longer permits this command")
        self.assertEqual(self.ssh("op1", "hv1", "/bin/echo yes", options=control).stdout, b"yes\n")

    def test_a_deny_of_a_new_role_takes_the_shell(self):
        self.role("allow: {shell: true, exec: true}\n")
        _, control = self.master()
        for name, text in (("site.yaml", "contact: group:policy-admins\n"),
                           ("roles.d/guard.yaml", HEAD.replace("extra", "guard").replace("remember: 8h\n", "") +
                            "allow: {}\ncommands:\n  - deny: rm\n")):
            self.addCleanup(os.unlink, self.lab.path("conf", name))
            self.lab.write_conf(name, text)
        said = self.load()  # two in a row, of which the second has nothing to say
        self.assertEqual((said["ended"], said["narrowed"]), (0, 1))
        self.assertEqual(self.load()["narrowed"], 0)
        self.shows(self.ssh("op1", "hv1", options=(*control, "-T")),
                   "there is no shell on hv1 as root: guard/commands[0] denies commands, and nothing would hold a shell "
                   "to it; ask group:policy-admins", 77)
        self.shows(self.ssh("op1", "hv1", "sudo rm x", options=control), "denied by guard/commands[0]; ask group:policy-admins", 77)
        self.assertEqual(self.ssh("op1", "hv1", "echo yes", options=control).stdout, b"yes\n")
        # a guard without `remember` leaves that to the roles that permit
        self.assertEqual(self.ssh("op1", "hv1", "echo again").stdout, b"again\n")

    def test_rules_of_the_beginning_stay(self):
        self.role("allow: {exec: true}\ncommands:\n  - allow: /bin/echo yes\n")
        _, control = self.master()
        self.role("allow: {exec: true}\ncommands:\n  - allow: /bin/echo yes\n  - allow: /bin/echo new\n")
        self.assertEqual(self.ssh("op1", "hv1", "/bin/echo yes", options=control).stdout, b"yes\n")
        self.assertEqual(self.ssh("op1", "hv1", "/bin/echo new", options=control).returncode, 77)
        self.role("allow: {exec: true}\n")
        self.assertEqual(self.ssh("op1", "hv1", "/bin/echo new", options=control).returncode, 77)

    def test_files(self):
        drop, shared = self.lab.path("files", "drop"), self.lab.path("files", "shared")
        self.role(f"allow: {{sftp: {{read: [\"{drop}/**\", \"{shared}/**\"], write: [\"{drop}/**\", \"{shared}/**\"]}}}}\n")
        sftp = raw_sftp.RawSftp(self.start_ssh("op1", "hv1", "sftp", options=("-s",)))
        flags = raw_sftp.R | raw_sftp.W | raw_sftp.CREAT | raw_sftp.TRUNC
        stays, goes = sftp.open(f"{drop}/stays", flags).string, sftp.open(f"{shared}/goes", flags).string
        for handle in (stays, goes):
            self.assertEqual(sftp.ask(raw_sftp.WRITE, handle, (u64(0),), b"before").status, raw_sftp.OK)
        self.role(f"allow: {{sftp: {{read: [\"{drop}/**\"], write: [\"{drop}/**\"]}}}}\n")
        self.said(sftp.child, "other file rules")
        self.assertEqual(sftp.ask(raw_sftp.WRITE, stays, (u64(6),), b" after").status, raw_sftp.OK)
        for answer in (sftp.ask(raw_sftp.WRITE, goes, (u64(6),), b" after"), sftp.ask(raw_sftp.READ, goes, (u64(0),), 100),
                       sftp.ask(raw_sftp.FSTAT, goes), sftp.ask(raw_sftp.FSETSTAT, goes, 0), sftp.open(f"{shared}/goes"),
                       sftp.ask(raw_sftp.REMOVE, f"{shared}/goes")):
            self.assertEqual(answer.status, raw_sftp.PERMISSION_DENIED, answer)
        self.assertEqual(sftp.ask(raw_sftp.CLOSE, goes).status, raw_sftp.OK)
        # read alone: what is open for both can still be read
        self.role(f"allow: {{sftp: {{read: [\"{drop}/**\"]}}}}\n")
        self.said(sftp.child, "other file rules")
        self.assertEqual(sftp.ask(raw_sftp.READ, stays, (u64(0),), 100).string, b"before after")
        self.assertEqual(sftp.ask(raw_sftp.WRITE, stays, (u64(0),), b"no").status, raw_sftp.PERMISSION_DENIED)
        self.no_role()
        self.said(sftp.child, "Your access to hv1 ended")
        with open(f"{shared}/goes", "rb") as f:
            self.assertEqual(f.read(), b"before")
        session = self.finished_session()
        self.assertEqual(self.records("verdict", session=session)[-1].json["verdict"], "agreed")

    def test_forwards(self):
        servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        for server in servers:
            self.addCleanup(server.close)
        stays, goes = (f"localhost:{s.getsockname()[1]}" for s in servers)
        self.role(f"allow: {{forward: [\"{stays}\", \"{goes}\"]}}\n")
        with open(self.lab.path("hv1", "authorized_keys"), "w", encoding="utf-8") as f:
            f.write(self.admin("target", "key", "hv1", "root").stdout)
        _, control = self.master()

        def through(words, server):
            child = self.start_ssh("op1", "hv1", options=(*control, "-W", words))
            server.settimeout(harness.TIMEOUT)
            connection = server.accept()[0]
            self.addCleanup(connection.close)
            connection.settimeout(harness.TIMEOUT)
            child.stdin.write(b"hello")
            child.stdin.flush()
            self.assertEqual(connection.recv(5), b"hello")
            return child, connection
        (one, kept), (two, cut) = through(stays, servers[0]), through(goes, servers[1])
        session = self.record("session-start", operator="op1").session
        self.role(f"allow: {{forward: [\"{stays}\"]}}\n")
        self.assertEqual(cut.recv(1), b"", "it was closed")
        two.wait(harness.TIMEOUT)
        closed = [r.json for r in self.records("forward-close", session=session) if r.json["event"] == "close"]
        self.assertEqual([c["by"] for c in closed], ["policy"])
        one.stdin.write(b" again")
        one.stdin.flush()
        self.assertEqual(kept.recv(6), b" again")
        again = self.ssh("op1", "hv1", options=(*control, "-W", goes))
        self.assertNotEqual(again.returncode, 0)
        self.record("forward-open", allowed=False)
        self.assertEqual(self.record("decision", event="decision-again").json["text"], "other forward rules")
        self.role("allow: {exec: true}\n")
        self.assertEqual(kept.recv(1), b"")
        self.record("session-end", session=session, reason="no-ability")

    def test_idle(self):
        child = self.live("op1")
        self.role("session: {idle: 1s}\n" + ALL)
        self.said(child, "at most 1 s idle")
        self.ended(child, "nothing was typed or transferred for 1 second", 75)

    def test_the_longest_time_counts_from_the_beginning(self):
        child = self.live("op1")
        time.sleep(1.1)
        self.role("session: {max: 1s}\n" + ALL)
        self.ended(child, "your role permits 1 second", 75)

    def test_what_the_trail_may_be_filled_with(self):
        child = self.start_ssh("op1", "hv1", "head -c 3000000 /dev/zero; sleep 60")
        child.stdout.read(3000000)
        self.role("session: {max-bytes: 1MiB}\n" + ALL)
        self.said(child, "at most 1 MiB recorded")
        child.stdin.write(b"one more\n")
        child.stdin.flush()
        self.record("alarm", "reached its limit of 1 MiB")


class Windows(LiveTest):
    def test_the_end_of_a_window(self):
        """Told at once, since it is near; and where it is near enough to be waited for, it comes."""
        now = datetime.datetime.now(datetime.timezone.utc)
        near = 50 <= now.second < 55
        end = now + datetime.timedelta(minutes=1 if near else 2)
        self.role(f"when: [\"Mon-Sun 00:00-{end:%H:%M} UTC\", \"Mon-Sun 23:00-00:05 UTC\"]\n" + ALL)
        child = self.live("op1")
        if now.hour in (22, 23, 0):
            return  # the windows meet
        self.said(child, f"your access to hv1 ends at .*T{end:%H:%M}:00Z, in . minutes?: .*extra/when")
        if near:
            self.ended(child, "Your access to hv1 ended: .*extra/when")
            self.record("session-end", reason="when")
        else:
            self.role("when: [\"Mon-Sun 00:00-00:01 UTC\"]\n" + ALL)
            self.ended(child, "Your access to hv1 ended: .*extra/when")


class Beginning(LiveTest):
    """Between the decision and the grant the set changes: the target takes its time to accept."""
    def begun(self):
        """A session that is decided, and waits for the target; accept() lets it go on."""
        self.lab.stop_sshd("hv1")
        full = socket.socket()
        self.addCleanup(full.close)
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind(("127.0.0.1", self.lab.port_of("hv1")))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for f in fillers:
            self.addCleanup(f.close)
            f.setblocking(False)
            f.connect_ex(full.getsockname())
        child = self.start_ssh("op1", "hv1", "echo told")
        self.record("decision", allowed=True, operator="op1", target="hv1")

        def accept():
            for f in (*fillers, full):
                f.close()
            self.lab.start_sshd("hv1")
        return child, accept

    def test_no_longer_permitted(self):
        child, accept = self.begun()
        self.no_role()
        accept()
        self.assertEqual(child.wait(harness.TIMEOUT), 77)
        self.assertIn(b"Your access to hv1 ended", child.stderr.read())
        self.assertEqual(self.records("session-start", operator="op1"), [])

    def test_less_is_permitted(self):
        child, accept = self.begun()
        self.role("allow: {sftp: true}\n")
        accept()
        self.assertEqual(child.wait(harness.TIMEOUT), 77)
        self.assertEqual((child.stdout.read(), self.records("exec")), (b"", []))
        order = [self.record(kind, session=self.finished_session()).index for kind in ("session-start", "grant", "session-end")]
        self.assertEqual(order, sorted(order))


class Storm(LiveTest):
    def swap(self, there):
        """The role comes or goes, all at once, and SIGHUP; nobody waits for the answer."""
        path = self.lab.path("conf", "roles.d", "extra.yaml")
        if there:
            self.lab.write_conf("roles.d/extra.yaml", HEAD + ALL)
        elif os.path.exists(path):
            os.unlink(path)
        lablib.Lab.kill(self.lab.gateway_pid(), 1)

    def quiet(self):
        """The set in force is the one that is on the disk: it answers so, and no other load is under way."""
        def same():
            with contextlib.suppress(OSError, KeyError, ValueError):  # authd may be gone just now
                first = self.load()
                return "generation" in first and self.load()["generation"] == first["generation"] + 1
        harness.wait_until("the last set", same, 30)

    def storm(self, killed):
        """Whatever begins while sets are swapped: in the end nobody has what the last one does not give."""
        self.role(ALL)
        children = [self.live("op1")]  # on a busy machine no other may get so far
        for n in range(50):
            self.swap(n % 2 == 0)
            if n % 4 == 1:
                children.append(self.start_ssh("op1", "hv1", "cat"))
            if n in killed:
                for pid in self.gateway_processes().get("sallyport-authd", []):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.03)
        self.swap(False)
        self.quiet()
        for child in children:
            self.assertNotEqual(child.wait(harness.TIMEOUT), 0)
        self.assertNotEqual(self.ssh("op1", "hv1", "true").returncode, 0)
        last = [r for r in self.records("policy-loaded") if r.json["event"] == "loaded"][-1]
        starts = self.records("session-start", operator="op1")
        self.assertTrue(starts)
        for start in starts:
            end = self.record("session-end", session=start.session)
            self.assertEqual(self.record("verdict", session=start.session).json["verdict"], "agreed")
            if start.index > last.index:
                self.assertEqual(end.json["bytes_in"], 0)
        self.assertNotIn("seccomp", self.log())
        # And it goes on.
        self.role(ALL)
        self.echoes(self.live("op1"))
        self.verified()

    def test_fifty_reloads(self):
        self.storm(())

    def test_fifty_reloads_and_authd_dies(self):
        self.storm((10, 30))


class Inherited(LiveTest):
    """Sessions from before authd's start are narrowed, told, and open channels as the others do."""

    def restart_authd(self):
        servers, _ = self.servers_and_children("sallyport-authd")
        lablib.Lab.kill(servers[0], 9)
        harness.wait_until("authd again", lambda: self.ssh("alice", "hv1", "true").returncode == 0, 60)

    def test_after_authd_died(self):
        _, options = self.master()
        child, stays = self.live("op1", options=options), self.live("alice")
        self.restart_authd()
        self.echoes(child)

        def new_channel():
            done = self.ssh("op1", "hv1", "echo new", options=options)
            self.assertIn(done.returncode, (0, 75), done.stderr)  # 75: authd is not back
            return done.stdout == b"new\n"
        harness.wait_until("a new channel", new_channel)
        self.role("allow: {exec: true, sftp: true}\n")
        self.said(child, "sallyport: your access to hv1 changed: no shell any more")
        self.echoes(child)
        self.shows(self.ssh("op1", "hv1", options=(*options, "-T")), "does not permit a shell", 77)
        # And once more, with what it has now.
        self.restart_authd()
        self.echoes(child)
        self.role(ALL)
        self.said(child, "shell again")
        self.no_role()
        self.ended(child, "Your access to hv1 ended: .*ask your policy administrators")
        session = self.record("session-start", operator="op1").session
        self.assertEqual(self.record("session-end", session=session).json["reason"], "no-role")
        self.assertEqual([r.json.get("text", "")[:40] for r in self.records("grant", session=session)],
                         ["your access to hv1 changed: no shell any", "", "your access to hv1 changed: shell again"])
        self.echoes(stays)
        self.assertEqual(self.records("decision", event="decision-again", operator="alice"), [])
        self.verified()

    def test_less_than_at_its_beginning_when_authd_died(self):
        child = self.live("op1")
        self.role("allow: {exec: true, sftp: true}\n")
        self.said(child, "no shell any more")
        self.restart_authd()
        self.reload()
        self.echoes(child)
        self.no_role()
        self.ended(child, "Your access to hv1 ended: .*ask your policy administrators")
        self.assertEqual(trail.read(self.lab.path("state", "trail"))[0].type, "segment")

    def test_it_ended_while_there_was_no_authd(self):
        """Its successor is not told of it, or finds it closed."""
        child = self.live("op1")
        servers, _ = self.servers_and_children("sallyport-authd")
        lablib.Lab.kill(servers[0], 9)
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        harness.wait_until("authd again", lambda: self.ssh("alice", "hv1", "true").returncode == 0, 60)
        harness.wait_until("it is gone", lambda: "op1" not in self.admin("status", "--sessions").stdout)
