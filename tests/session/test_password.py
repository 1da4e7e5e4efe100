# SPDX-License-Identifier: Apache-2.0
"""Logins with a password as first factor, by real ssh: what opens, what is refused, what nobody can tell apart, and
that the password is nowhere afterwards."""
import json
import os
import pty
import re
import resource
import signal
import subprocess
import termios

import harness
import raw_ssh
import sanitizers
import test_threats_host
from raw_ssh import FAILURE, PROMPT, SUCCESS, Ended, Raw

RIGHT, OTHER, WRONG = "Korrekt-Pferd-Batterie", "Anderes-Pferd-Batterie", "Falsches-Pferd-Batterie"
ROLES = {
    "by-password": "role: by-password\nmembers: [op1, op3, op4, op7, op8, op10]\ntargets: {env: lab, name: hv2}\naccounts: [root]\n"
                   "factors: [password, totp]\nremember: 1h\nallow: {exec: true}\n",
    "by-both": "role: by-both\nmembers: [op2, op9]\ntargets: {env: lab, name: hv2}\naccounts: [daemon]\n"
               "factors: [key, password, totp]\nallow: {exec: true}\n",
}

up, tearDownModule = harness.lab_for_module(globals(), extra_operators=10)


def setUpModule():
    up()
    lab = globals()["lab"]
    for name, text in ROLES.items():
        lab.write_conf(f"roles.d/{name}.yaml", text)
    # op1 to op4 have nothing but these roles, so that a login tells which one let it in.
    admin = os.path.join(lab.dir, "conf/roles.d/lab-admin.yaml")
    with open(admin, encoding="utf-8") as f:
        text = re.sub(r"\bop([1347]|8|10)(, |(?=\]))", "", f.read())
    lab.write_conf("roles.d/lab-admin.yaml", text)
    lab.tool("target", "key", "hv2", "daemon", "-c", lab.conf)
    lab.tool("policy", "load", "-c", lab.conf)
    for name in ("op1", "op2", "op3", "op7", "op8", "op10", "dave"):
        set_password(lab, name, RIGHT)


def set_password(lab, name, password, *options):
    return subprocess.run([os.path.join(lab.build, "sallyport"), "user", "password", name, "-c", lab.conf, *options],
                          input=password + "\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True,
                          timeout=harness.TIMEOUT).stdout


class Passwords(harness.SessionTest):
    NO_KEY = ("-o", "PubkeyAuthentication=no", "-o", "IdentityFile=none")

    def by_password(self, operator, host, *command, answers=None, options=(), fresh=True, **more):
        """ssh OPERATOR+root@HOST without a key."""
        answers = answers or (RIGHT, self.code(operator))
        return self.ssh(operator, host, *command, fresh=fresh, env=self.answering(*answers),
                        options=(*self.NO_KEY, "-o", f"User={more.pop('user', operator + '+root')}", *options), **more)

    def user(self, operator):
        users = json.loads(self.admin("user", "list", "--json").stdout)
        return next(u for u in users if u["operator"] == operator)


class Opens(Passwords):
    def test_a_password_and_a_code(self):
        done = self.by_password("op1", "hv2", "echo in; id -un")
        self.assertEqual((done.returncode, done.stdout), (0, b"in\nroot\n"), done.stderr)
        login = self.record("authentication", "logged-in").json
        self.assertEqual((login["operator"], login["key"], login["factors"]), ("op1", None, "password,totp"))
        self.assertEqual(self.record("decision", event="decision").json["factors"], "password,totp")
        start = self.record("session-start").json
        self.assertEqual((start["operator"], start["account"], start["factors"]), ("op1", "root", "password,totp"))

    def test_the_user_name_carries_all_of_it(self):
        """Plain SSH in TLS: operator+account@target."""
        r = Raw(self.lab, None)
        self.addCleanup(r.close)
        r.service()
        r.ask_prompt(user="op7+root@hv2")
        self.assertEqual(r.number(), PROMPT)
        r.respond(RIGHT)
        self.assertEqual(r.number(), PROMPT)
        r.respond(self.code("op7"))
        self.assertEqual(r.number(), SUCCESS)
        self.assertEqual(self.record("decision", event="decision").json["account"], "root")

    def test_a_key_and_a_password(self):
        """The key first, then the password: for a role that wants both, and not without the name."""
        done = self.ssh("op9", "hv2", "id -un", fresh=True, options=("-o", "User=daemon"))
        self.shows(done, "needs the factors key, password, totp", 77)
        self.shows(done, "op9+daemon")
        done = self.by_password("op2", "hv2", "id -un", user="op2+daemon")
        self.shows(done, "needs the factors key, password, totp", 77)
        r = Raw(self.lab, "hv2:22")
        self.addCleanup(r.close)
        r.service()
        r.sign("op2", user="op2+daemon")
        self.assertEqual(r.number(), FAILURE)  # partial success
        r.ask_prompt(user="op2+daemon")
        self.assertEqual(r.number(), PROMPT)
        r.respond(RIGHT)
        self.assertEqual(r.number(), PROMPT)
        r.respond(self.code("op2"))
        self.assertEqual(r.number(), SUCCESS)
        self.assertTrue(self.record("decision", factors="key,password,totp").json["allowed"])

    def test_a_role_that_wants_a_key(self):
        """lab-admin has factors: [key, totp]; op5 is in it."""
        set_password(self.lab, "op5", RIGHT)
        done = self.by_password("op5", "hv1", "true")
        self.shows(done, "needs the factors key, totp", 77)
        self.record("decision", "factors")
        self.assertEqual(self.records("session-start"), [])
        set_password(self.lab, "op5", "", "--remove")

    def test_remembered_beside_a_password(self):
        device = self.lab.path("as", "op3")
        done = self.login(device, "--operator", "op3", answers=(RIGHT, self.code("op3")))
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.by_password("op3", "hv2", "echo in", answers=(RIGHT, "000000"), fresh=False)
        self.assertEqual((done.returncode, done.stdout), (0, b"in\n"), done.stderr)
        self.record("authentication", factors="password,remembered")
        whoami = subprocess.run([os.path.join(self.lab.build, "sallyport"), "whoami", "--operator", "op3", "--dir", device],
                                env={**self.lab.operator_env("op3"), **self.answering(RIGHT, "000000")}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                                timeout=harness.TIMEOUT)
        self.assertRegex(whoami.stdout, r"logged in +(key,)?password,remembered", whoami.stderr)
        # A certificate that was issued beside both is none beside a password alone, and ends with the password.
        said = set_password(self.lab, "op3", OTHER)
        self.assertRegex(said, r"remembered logins ended: [1-9]")
        set_password(self.lab, "op3", RIGHT)

    def login(self, device, *words, answers):
        with open(os.path.join(device, "ssh_config"), encoding="utf-8") as f:
            text = f.read()
        # Without the key, as on a device that has none.
        with open(os.path.join(device, "ssh_config"), "w", encoding="utf-8") as f:
            f.write(text + "    PubkeyAuthentication no\n")
        self.addCleanup(lambda: self.put_back(device, text))
        return subprocess.run([os.path.join(self.lab.build, "sallyport"), "login", *words, "--dir", device],
                              env={**self.lab.operator_env("op3"), **self.answering(*answers)}, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              timeout=harness.TIMEOUT)

    @staticmethod
    def put_back(device, text):
        with open(os.path.join(device, "ssh_config"), "w", encoding="utf-8") as f:
            f.write(text)


class Refused(Passwords):
    def said(self, user, password, tries=3):
        """All that a client sees of so many wrong passwords, and of how it ends."""
        r = Raw(self.lab, "hv2:22")
        self.addCleanup(r.close)
        r.service()
        seen = []
        try:
            r.ask_prompt(user=user)
            for _ in range(tries):
                number, m = r.answer()
                seen.append((number, m.asbytes()))
                if number != PROMPT:
                    break
                r.respond(password)
            number, m = r.answer()
            seen.append((number, m.asbytes()))
        except Ended as e:
            seen.append(("ended", str(e)))
        return seen

    def test_nobody_is_told_apart(self):
        """In order, locked, without password, not an operator: the same bytes come back, after the same work."""
        before = self.hashes()
        users = ("op1+root", "dave+root", "op6+root", "nobody+root", "root+root")
        answers = {user: self.said(user, WRONG) for user in users}
        for user in users[1:]:
            self.assertEqual(answers[user], answers[users[0]], user)
        self.assertEqual(answers[users[0]][0][0], PROMPT)
        self.assertEqual(self.hashes() - before, 3 * len(users))
        self.assertEqual(self.records("session-start"), [])
        self.assertEqual([self.user(n)["failures"] for n in ("op1", "dave", "op6")], [0, 0, 0])
        reasons = {r.json.get("reason") for r in self.records("authentication")}
        self.assertLessEqual(reasons, {"wrong-password", "no-password", "unknown-operator"})

    def hashes(self):
        return json.loads(self.admin("status", "--json").stdout)["passwords"]["checked"]

    def test_what_ssh_shows(self):
        done = self.by_password("op1", "hv2", "true", answers=(WRONG,))
        self.assertEqual(done.returncode, 255)
        self.shows(done, "That password is not right.")

    def test_a_right_password_and_wrong_codes_lock(self):
        set_password(self.lab, "op4", RIGHT)
        for _ in range(2):
            done = self.by_password("op4", "hv2", "true", answers=(RIGHT, "000000"))
            self.shows(done, "That code is not right", 255)
        self.assertIsNotNone(self.user("op4")["locked_until"])
        done = self.by_password("op4", "hv2", "true")
        self.shows(done, "locked until", 77)
        self.admin("user", "unlock", "op4")
        done = self.by_password("op4", "hv2", "true")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_user_names(self):
        """Those of no operator's form are not asked for a password, whatever comes."""
        for user in ("a+b+c", "+root", "+root@hv1", "a+b+c@hv2", "Op1+root", "op 1+root", "op1\u200b+root", "\u043ep1+root",
                     "op1\uff0broot", "root", "-oX+root", "../op1+root", "x" * 65 + "+root", "op1\n+root"):
            with self.subTest(user=user):
                r = Raw(self.lab, "hv2:22")
                self.addCleanup(r.close)
                r.service()
                r.ask_prompt(user=user)
                number, m = r.answer()
                self.assertEqual(number, FAILURE)
                self.assertEqual(m.get_text(), "publickey")
        r = Raw(self.lab, "hv2:22")
        self.addCleanup(r.close)
        r.service()
        r.ask_prompt(user="x" * 300 + "+root")
        self.assertTrue(r.ends())

    def test_the_name_is_the_key_s(self):
        """Another operator's key is no factor of the one who is named, and neither is a code without a password."""
        r = Raw(self.lab, "hv2:22")
        self.addCleanup(r.close)
        r.service()
        r.sign("op6", user="op1+root")
        self.assertEqual(r.number(), FAILURE)
        r.ask_prompt(user="op1+root")
        self.assertEqual(r.number(), PROMPT)
        r.respond(self.code("op6"))
        self.assertEqual(r.number(), PROMPT)  # again: a password is wanted
        self.assertEqual(self.records("session-start"), [])

    def test_long_and_strange_answers(self):
        for answer in ("", "x" * 511, "x" * 512, "x" * 4096, RIGHT + " ", " " + RIGHT, RIGHT.lower(), "\xff\xfe", "\n"):
            with self.subTest(answer=answer[:20]):
                self.assertEqual(self.said("op1+root", answer, tries=1)[1][0], PROMPT)

    def test_two_answers_and_an_answer_nobody_asked_for(self):
        r = Raw(self.lab, "hv2:22")
        self.addCleanup(r.close)
        r.service()
        r.ask_prompt(user="op1+root")
        self.assertEqual(r.number(), PROMPT)
        r.send(61, 2, RIGHT, RIGHT)
        self.assertTrue(r.ends())
        self.assertEqual(self.records("authentication", result="logged-in"), [])


class Memory(Passwords):
    readable, scalar = test_threats_host.Secrets.readable, staticmethod(test_threats_host.Secrets.scalar)

    def test_what_the_hasher_has(self):
        """The child is a copy of authd: of its keys, of passwords and of hashes nothing is there, before or after."""
        r = Raw(self.lab, "hv2:22")
        self.addCleanup(r.close)
        r.service()
        r.ask_prompt(user="op1+root")
        for password in (WRONG, OTHER, RIGHT):
            self.assertEqual(r.number(), PROMPT)
            r.respond(password)
        self.assertEqual(r.number(), PROMPT)  # for the code
        (authd,), children = self.servers_and_children("sallyport-authd")
        with open(os.path.join(self.lab.path("state", "keys"), "store.key"), "rb") as f:
            store = f.read(32)
        ca = self.scalar(os.path.join(self.lab.path("state", "keys"), "operator-ca.key"))
        self.assertTrue(any(form in self.readable(authd) for form in ca), "the search is no good")
        (hasher,) = children
        self.assertEqual(harness.proc_status(hasher)["Name"], "authd-hasher")
        memory = self.readable(hasher)
        self.assertIn(b"$y$j9T$", memory, "the search is no good")
        for secret in (store, *ca, RIGHT.encode(), OTHER.encode(), WRONG.encode()):
            self.assertNotIn(secret, memory)
        whole = re.findall(rb"\$y\$j9T\$[./0-9A-Za-z]{22}\$[./0-9A-Za-z]{43}", memory)
        self.assertEqual({h for h in whole if h.strip(b"$yj9T.")}, set(), "a hash")
        memory = self.readable(authd)
        for password in (RIGHT, OTHER, WRONG):
            self.assertNotIn(password.encode(), memory)

    def test_the_hasher_is_confined(self):
        self.by_password("op1", "hv2", "true", answers=(WRONG,))
        (hasher,) = self.servers_and_children("sallyport-authd")[1]
        status = harness.proc_status(hasher)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", sanitizers.SECCOMP))
        self.assertEqual(int(status["CapEff"], 16), 0)
        found = sorted(int(fd) for fd in os.listdir(f"/proc/{hasher}/fd"))
        self.assertEqual((found[:3], len(found)), ([0, 1, 2], 4), "the log and the link")
        self.assertRegex(os.readlink(f"/proc/{hasher}/fd/{found[3]}"), "^socket:")
        if not sanitizers.SANITIZED:
            with open(f"/proc/{hasher}/limits", encoding="ascii") as f:
                limits = f.read()
            self.assertRegex(limits, r"Max processes +0 ")
            self.assertRegex(limits, r"Max core file size +0 ")
            self.assertEqual(os.stat(f"/proc/{hasher}/environ").st_uid, 0, "it is dumpable")


class Administration(Passwords):
    def test_a_change_ends_what_the_old_one_opened(self):
        child = self.live("op10", "hv2", env=self.answering(RIGHT, self.code("op10")), fresh=True,
                          options=(*self.NO_KEY, "-o", "User=op10+root"))
        said = set_password(self.lab, "op10", OTHER)
        self.assertIn("sessions ended: 1", said)
        self.assertIn(b"an administrator changed your password", child.stderr.read())
        self.record("admin-act", event="user-password-set", operator="op10")
        done = self.by_password("op10", "hv2", "true", answers=(RIGHT,))
        self.assertEqual(done.returncode, 255)
        set_password(self.lab, "op10", RIGHT)

    def test_what_is_refused(self):
        for text, says in (("short", "expected 8 to 511"), ("x" * 512, "expected 8 to 511"), ("", "expected 8 to 511"),
                           ("abcdefgh\0ij", "byte that is zero")):
            done = subprocess.run([os.path.join(self.lab.build, "sallyport"), "user", "password", "op1", "-c", self.lab.conf],
                                  input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                                  timeout=harness.TIMEOUT)
            self.assertEqual(done.returncode, 1, text)
            self.assertIn(says, done.stderr)
        self.assertEqual(self.records("admin-act"), [])
        done = self.admin("user", "password", "op6", "--remove", check=False)
        self.assertIn("op6 has no password", done.stderr)
        done = self.admin("user", "password", "nobody", "--remove", check=False)
        self.assertIn('no operator named "nobody"', done.stderr)

    def type(self, *lines):
        """`sallyport user password op6` on a terminal: (exit status, what was on the screen)."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(os.path.join(self.lab.build, "sallyport"), ["sallyport", "user", "password", "op6", "-c", self.lab.conf])
        seen = b""
        try:
            for line in (*lines, None):
                while line is None or not seen.endswith((b"op6: ", b"again: ")):
                    seen += os.read(terminal, 1024)
                os.write(terminal, line.encode() + b"\n")
                seen += os.read(terminal, 1)
        except OSError:
            pass  # its end
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()

    def test_on_a_terminal(self):
        status, seen = self.type(OTHER, WRONG)
        self.assertEqual(status, 1, seen)
        self.assertIn("not the same; nothing is changed", seen)
        self.assertFalse(self.user("op6")["password"])
        status, seen = self.type("short")
        self.assertEqual((status, seen.count("again")), (1, 0), seen)
        status, seen = self.type(OTHER, OTHER)
        self.assertEqual(status, 0, seen)
        self.assertIn("op6: the password is set", seen)
        self.assertNotIn("Pferd", seen)
        self.assertTrue(self.user("op6")["password"])
        self.admin("user", "password", "op6", "--remove")

    def test_a_question_that_is_interrupted(self):
        """The terminal is left as it was, with its echo; nothing is left to be dumped, and nothing is changed."""
        for key, number in ((b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)):
            pid, terminal, _ = self.tool_on_a_terminal()
            os.write(terminal, b"Anderes" + key)
            status = self.end_of(pid)
            self.assertEqual((os.WIFSIGNALED(status), os.WTERMSIG(status)), (True, number))
            self.assertFalse(os.WCOREDUMP(status))
            self.assertTrue(termios.tcgetattr(terminal)[3] & termios.ECHO, "the terminal has no echo")
            os.close(terminal)
        # Stopped, where nothing can go on with it: it is asked again.
        pid, terminal, seen = self.tool_on_a_terminal()
        self.assertFalse(termios.tcgetattr(terminal)[3] & termios.ECHO)
        os.write(terminal, b"Anderes\x1a")
        while seen.count(b"op6: ") < 2:
            seen += os.read(terminal, 1024)
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(os.WTERMSIG(self.end_of(pid)), signal.SIGTERM)
        self.assertTrue(termios.tcgetattr(terminal)[3] & termios.ECHO)
        os.close(terminal)
        self.assertFalse(self.user("op6")["password"])

    def tool_on_a_terminal(self):
        """At its first question: (pid, terminal, what was on the screen)."""
        pid, terminal = pty.fork()
        if pid == 0:
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
            os.execv(os.path.join(self.lab.build, "sallyport"), ["sallyport", "user", "password", "op6", "-c", self.lab.conf])
        seen = b""
        while not seen.endswith(b"op6: "):
            seen += os.read(terminal, 1024)
        return pid, terminal, seen

    @staticmethod
    def end_of(pid):
        found = []

        def ended():
            found[:] = os.waitpid(pid, os.WNOHANG)
            return found[0]
        harness.wait_until("the tool's end", ended)
        return found[1]

    def test_zz_the_password_is_nowhere(self):
        """Last: on the disk of the gateway, in its log, in the trail, in what ssh was shown; and no hash in the clear."""
        self.assertEqual(self.by_password("op8", "hv2", "true").returncode, 0)
        self.finished_session()
        # The lab's own askpass files are the operators' keyboards, not the gateway's.
        places = [self.lab.state, self.lab.conf, self.lab.path("run"), self.lab.logfile]
        for secret in (RIGHT, OTHER, WRONG, "$y$j9T$"):
            found = subprocess.run(["grep", "-r", "-l", "-a", "-F", "-D", "skip", "--", secret, *places],
                                   stdout=subprocess.PIPE, text=True, check=False)
            self.assertEqual(found.stdout, "", secret)
