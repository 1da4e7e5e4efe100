# SPDX-License-Identifier: Apache-2.0
"""`sallyport policy`: each verb as people and CI run it, on a set in a git repository; load at a gateway that runs."""
import json
import os
import shutil
import subprocess
import tempfile

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN5DFjQgTKttNilRUj1cT3zNREuCY+3BLLSkDZ6rrWfG"
FILES = {
    "operators.yaml": f'operators:\n  alice: {{keys: ["{KEY} alice@laptop"], groups: [kvm-ops]}}\n  bob: {{groups: [kvm-ops]}}\n',
    "targets.yaml": "targets:\n  hv1: {address: 10.20.0.11, labels: {env: prod}}\n  hv2: {address: 10.20.0.12, labels: {env: lab}}\n",
    "roles.d/kvm.yaml": "role: kvm\nmembers: [group:kvm-ops]\ntargets: {env: prod}\naccounts: [root]\nfrom: [10.20.0.0/16]\n"
                        'when: ["Mon-Fri 08:00-20:00 Asia/Seoul"]\nallow: {exec: true}\nprograms: {virsh: /usr/bin/virsh}\n'
                        'commands:\n  - allow: "virsh list|start **"\n  - deny: "virsh undefine **"\n',
    "roles.d/tests/kvm.yaml": '- {as: alice, on: hv1, account: root, from: 10.20.1.4, at: "2026-03-02 10:00 Asia/Seoul", '
                              'run: "virsh list", expect: allow, because: "kvm/commands[0]"}\n',
}
WORKING = ("--from", "10.20.1.4", "--at", "2026-03-02 10:00 Asia/Seoul")


class Set(harness.SessionTest):
    """A set that belongs to whoever checks it out, in a git repository."""

    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="sallyport-policy-")
        self.addCleanup(shutil.rmtree, self.dir)
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def change(self, name, before, after):
        self.assertIn(before, FILES[name])
        self.write(name, FILES[name].replace(before, after))

    def policy(self, *words, status=0, cwd=None, **more):
        done = subprocess.run([os.path.join(self.lab.build, "sallyport"), "policy", *words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=harness.TIMEOUT,
                              cwd=cwd or self.dir, check=False, **more)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def git(self, *words):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words], cwd=self.dir, check=True,
                       stdin=subprocess.DEVNULL, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})

    def committed(self):
        self.git("init", "-q", ".")
        self.git("add", "-A")
        self.git("commit", "-qm", "one")


class Words(Set):
    def test_help_and_mistakes(self):
        overview = self.policy("--help").stdout
        for verb in ("check", "test", "explain", "who-can", "diff", "fmt", "load"):
            self.assertIn(f"\n  {verb} ", overview)
            text = self.policy(verb, "--help").stdout
            self.assertTrue(text.startswith(f"usage: sallyport policy {verb} "), text)
            self.assertRegex(text, r"\nExamples?:\n")
            self.assertIn("--json", text)
            self.assertIn("did you mean \"--json\"", self.policy(verb, "--jsno", status=2).stderr)
            self.assertIn("no option --frobnicate", self.policy(verb, "--frobnicate", status=2).stderr)
        for verb in ("manifest", "sign", "verify"):
            self.assertIn("did you mean \"--json\"", self.policy(verb, "--jsno", status=2).stderr)
        for verb in ("check", "diff", "fmt", "test"):  # that ask no gateway
            self.assertIn("no option -c", self.policy(verb, "-c", self.dir, ".", status=2).stderr)
        self.assertIn('did you mean "explain"', self.policy("explian", status=2).stderr)
        self.policy(status=2)
        for words in (("check", ".", "."), ("explain", "--as", "alice"), ("who-can",), ("diff", "."), ("fmt",), ("load", "x"),
                      ("who-can", "--on", "hv1", "--ability", "shel"), ("who-can", "--on", "hv1", "--from", "10.0.0"),
                      ("explain", "--as", "alice", "--on", "hv1", "--shell", "--run", "x"),
                      ("explain", "--as", "alice", "--on", "hv1", "--factors", "key,sms"),
                      ("explain", "--as", "alice", "--on", "hv1", "--remembered", "3"), ("fmt", "--check", "--write", "x")):
            self.policy(*words, status=2)


class Statuses(Set):
    """1 is an answer, 2 is none: nobody takes a set that cannot be read for one that differs."""

    ASKED = (("check",), ("test",), ("diff", "."), ("who-can", "--on", "hv1"), ("verify", "--previous", "none"),
             ("explain", "--as", "alice", "--on", "hv1"), ("manifest", "--previous", "none", "--serial", "1"))

    def test_what_is_not_there_or_cannot_be_read(self):
        self.committed()
        for words in self.ASKED:
            self.assertRegex(self.both(self.policy(*words, "gone", status=2)), "gone.*(No such file|neither a directory nor a revision)")
        self.policy("diff", "gone", ".", status=2)
        self.policy("diff", "HEAD", "HEAD:gone", status=2)
        self.policy("fmt", "gone.yaml", status=2)
        self.policy("fmt", "--check", "gone.yaml", "site.yaml", status=2)
        self.policy("classify", "--packs", "gone", "--", "ls", status=2)
        self.policy("sign", "--author", "--key", "gone", ".", status=2)
        self.policy("load", "--config", self.dir, status=2)
        self.policy("verify", "--config", self.dir, ".", status=2)  # no gateway says what is in force
        os.remove(os.path.join(self.dir, "operators.yaml"))
        for words in self.ASKED:
            self.assertIn("operators.yaml", self.both(self.policy(*words, ".", status=2)))

    def test_a_set_with_a_mistake_is_a_finding_of_check_and_verify_alone(self):
        self.committed()
        self.change("roles.d/kvm.yaml", "members", "memebers")
        self.write("sallyport.yaml", "")
        for words in self.ASKED:
            found = self.policy(*words, ".", status=1 if words[0] in ("check", "verify") else 2)
            self.assertIn("memebers", self.both(found))
        self.assertEqual(self.policy("diff", "--json", "HEAD", ".", status=2).stdout, "")

    def test_an_answer_that_cannot_be_written_is_none(self):
        self.committed()
        for words in (("check", "."), ("diff", "HEAD", "."), ("diff", "--json", "HEAD", "."), ("fmt", "roles.d/kvm.yaml"),
                      ("who-can", "--on", "hv1", ".")):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([os.path.join(self.lab.build, "sallyport"), "policy", *words], stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=harness.TIMEOUT, cwd=self.dir, check=False)
            self.assertEqual((done.returncode, "No space left" in done.stderr), (2, True), (words, done.stderr))

    @staticmethod
    def both(done):
        return done.stdout + done.stderr


class Check(Set):
    def test_fine(self):
        self.assertIn("2 operators, 2 targets, 1 roles, 1 tests", self.policy("check", ".").stdout)

    def test_needs_no_root_and_no_owner(self):
        # Not from the build, which others may not be able to reach.
        program = shutil.copy(os.path.join(self.lab.build, "sallyport"), tempfile.mkdtemp(prefix="sallyport-"))
        self.addCleanup(shutil.rmtree, os.path.dirname(program))
        for path in (os.path.dirname(program), self.dir):
            os.chmod(path, 0o777)
        os.chown(os.path.join(self.dir, "targets.yaml"), 4711, 4711)
        os.chmod(os.path.join(self.dir, "operators.yaml"), 0o666)
        done = subprocess.run([program, "policy", "check", self.dir], user=65534, group=65534, extra_groups=[], cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_configuration_directory_is_read_as_the_gateway_does(self):
        os.chmod(os.path.join(self.dir, "operators.yaml"), 0o666)
        self.policy("check", ".")
        done = self.policy("check", status=1, env={**os.environ, "SALLYPORT_CONF": self.dir})
        self.assertIn("operators.yaml: error: found mode 0666", done.stdout)

    def test_all_mistakes(self):
        self.change("roles.d/kvm.yaml", "group:kvm-ops", "group:kvm-osp")
        self.write("roles.d/a.yaml", "role: a\nmemebers: [alice]\n")
        self.write("roles.d/b.yaml", "role: b\nmembers: [alcie]\n")
        found = self.policy("check", ".", status=1).stdout
        self.assertIn('roles.d/a.yaml:2:1: error: unknown key "memebers" (did you mean "members"?)', found)
        self.assertIn('roles.d/b.yaml:2:11: error: unknown operator "alcie" (did you mean "alice"?)', found)
        self.assertIn("roles.d/kvm.yaml:2:11: warning: no operator is in the group kvm-osp", found)
        listed = json.loads(self.policy("check", "--json", ".", status=1).stdout)
        self.assertEqual([(f["file"], f["line"], f["severity"]) for f in listed if "a.yaml" in f["file"]],
                         [("roles.d/a.yaml", 2, "error")])
        # Elsewhere, names are what the caller's shell would open.
        other = self.policy("check", self.dir, status=1, cwd="/").stdout
        self.assertIn(os.path.join(self.dir, "roles.d/a.yaml") + ":2:1: error: ", other)

    def test_warnings_are_findings_with_strict_alone(self):
        self.policy("check", "--strict", ".", status=1)  # bob has no key
        self.assertIn("warning: bob has no public key", self.policy("check", ".").stdout)

    def test_tests_that_fail(self):
        self.change("roles.d/tests/kvm.yaml", "expect: allow", "expect: deny")
        self.assertRegex(self.policy("check", ".", status=1).stdout, r"roles.d/tests/kvm.yaml:1:3: error: the test fails: .*alice")
        self.policy("check", "--no-tests", ".")
        self.assertIn("1 tests, 1 failed", self.policy("test", ".", status=1).stdout)
        self.assertEqual(json.loads(self.policy("test", "--json", ".", status=1).stdout)["failed"], 1)
        self.change("roles.d/tests/kvm.yaml", "expect", "expects")
        self.assertIn("roles.d/tests/kvm.yaml:1:", self.policy("check", ".", status=1).stdout)


class Ask(Set):
    def test_explain(self):
        ask = ("explain", "--as", "alice", "--on", "hv1", *WORKING)
        self.assertIn("allowed because kvm/commands[0]\nruns: /usr/bin/virsh start web1",
                      self.policy(*ask, "--run", "virsh start web1", ".").stdout)
        self.assertIn("denied because kvm/commands[1]", self.policy(*ask, "--run", "virsh undefine web1", ".", status=1).stdout)
        self.policy(*ask, "--shell", ".", status=1)
        told = json.loads(self.policy("explain", "--as", "alice", "--on", "hv1", "--from", "192.0.2.1", "--at",
                                      "2026-03-01 03:00 UTC", "--json", ".", status=1).stdout)
        keys = {k["key"]: k for k in told["roles"][0]["keys"]}
        self.assertFalse(told["allowed"])
        self.assertFalse(keys["from"]["fits"] or keys["when"]["fits"])
        self.assertTrue(keys["targets"]["fits"])
        self.assertEqual((keys["from"]["file"], keys["from"]["line"]), ("roles.d/kvm.yaml", 5))
        # A zone that no file names.
        self.policy("explain", "--as", "alice", "--on", "hv1", "--from", "10.20.1.4", "--at", "2026-03-02 02:00 Europe/Berlin", ".")
        self.assertIn('did you mean the operator "alice"', self.policy("explain", "--as", "alcie", "--on", "hv1", ".", status=2).stderr)

    def test_who_can(self):
        listed = json.loads(self.policy("who-can", "--on", "hv1", "--json", ".").stdout)
        self.assertEqual([(g["account"], g["abilities"], g["operators"], g["roles"]) for g in listed],
                         [("root", ["exec"], ["alice", "bob"], ["kvm"])])
        self.policy("who-can", "--on", "hv1", "--account", "root", "--ability", "exec", *WORKING, ".")
        self.policy("who-can", "--on", "hv1", "--run", "virsh list", ".")
        for words in (("--run", "virsh undefine x"), ("--ability", "shell"), ("--account", "admin"), ("--from", "192.0.2.1"),
                      ("--at", "2026-03-01 10:00 Asia/Seoul")):
            self.assertEqual(self.policy("who-can", "--on", "hv1", *words, ".", status=1).stdout, "nobody\n")
        self.assertEqual(self.policy("who-can", "--on", "hv2", ".", status=1).stdout, "nobody\n")
        self.assertIn('did you mean "hv1"', self.policy("who-can", "--on", "hv11", ".", status=2).stderr)


class Changes(Set):
    def test_diff_of_revisions(self):
        self.committed()
        self.assertEqual(self.policy("diff", "HEAD", ".").stdout, "no difference\n")
        self.change("roles.d/kvm.yaml", "env: prod", "env: [prod, lab]")
        said = self.policy("diff", "HEAD", ".", status=1).stdout
        self.assertIn("exec: newly allowed", said)
        self.assertIn("2 operators: alice, bob\n    on 1 target: hv2\n    as root", said)
        self.git("commit", "-qam", "two")
        told = json.loads(self.policy("diff", "--json", "HEAD~1", "HEAD", status=1).stdout)
        self.assertTrue(told["exact"])
        self.assertEqual(told["changes"][0]["parts"],
                         [{"operators": ["alice", "bob"], "accounts": ["root"], "targets": ["hv2"]}])
        self.assertEqual(told["changes"][0]["changed"][0]["kind"], "newly allowed")
        self.policy("diff", "HEAD~1:", ".", status=1)
        self.assertIn("neither a directory nor a revision", self.policy("diff", "HEAD~7", ".", status=2).stderr)

    def test_equal_lines_are_one(self):
        self.committed()
        many = "".join(f"  op{i}: {{groups: [kvm-ops]}}\n" for i in range(10000))
        self.write("operators.yaml", FILES["operators.yaml"] + many)
        self.git("commit", "-qam", "many")
        self.change("roles.d/kvm.yaml", "exec: true", "exec: true, sftp: true")
        said = self.policy("diff", "HEAD", ".", status=1).stdout
        self.assertLess(len(said.splitlines()), 12, said)
        self.assertIn("sftp: newly allowed", said)
        self.assertIn("10002 operators: alice, bob, op0, op1, op10", said)
        self.assertIn("op9999", self.policy("diff", "--all", "HEAD", ".", status=1).stdout)
        told = json.loads(self.policy("diff", "--json", "HEAD", ".", status=1).stdout)
        self.assertEqual(len(told["changes"][0]["parts"][0]["operators"]), 10002)

    def test_too_much_for_every_combination(self):
        self.write("operators.yaml", "operators:\n" + "".join(f"  op{i}: {{}}\n" for i in range(80)))
        os.unlink(os.path.join(self.dir, "roles.d/tests/kvm.yaml"))
        os.unlink(os.path.join(self.dir, "roles.d/kvm.yaml"))
        for r in range(40):  # everybody holds twelve or so of them, and nobody the same
            members = ", ".join(f"op{i}" for i in range(80) if (i * 31 + r * (i % 7 + 3) * 17) % 101 < 30)
            self.write(f"roles.d/r{r}.yaml", f"role: r{r}\nmembers: [{members}]\ntargets: {{env: prod}}\naccounts: [root]\n"
                       f"when: [\"Mon-Fri {r % 12:02}:00-{12 + r % 7}:{r:02} UTC\"]\nallow: {{sftp: {{read: [/r{r}]}}}}\n")
        self.committed()
        self.write("site.yaml", "from: [" + ", ".join(f"10.{i}.0.0/16" for i in range(40)) + "]\n")
        self.assertTrue(self.policy("diff", "HEAD", ".", status=1).stdout.startswith("More differs than can be compared quickly: roles are"))
        self.assertIs(json.loads(self.policy("diff", "--json", "HEAD", ".", status=1).stdout)["exact"], False)

    def test_a_new_key_is_told(self):
        self.committed()
        self.change("operators.yaml", 'keys: ["', 'from: [10.0.0.0/8], keys: ["')
        said = self.policy("diff", "HEAD", ".", status=1).stdout
        self.assertIn("operator's addresses: alice\n      - anywhere\n      + 10.0.0.0/8", said)

    def test_fmt(self):
        self.write("a.yaml", "a:   1 # x\nb: [ c ]\n")
        self.write("b.yaml", "a: 1\n")
        self.write("c.yaml", "? a\n  b\n: c\n")
        self.assertEqual(self.policy("fmt", "a.yaml").stdout, "a: 1  # x\nb: [c]\n")
        self.assertEqual(self.policy("fmt", "--check", "a.yaml", "b.yaml", status=1).stdout, "a.yaml\n")
        self.policy("fmt", "--write", "a.yaml", "b.yaml")
        self.policy("fmt", "--check", "a.yaml", "b.yaml")
        with open(os.path.join(self.dir, "a.yaml"), encoding="utf-8") as f:
            self.assertEqual(f.read(), "a: 1  # x\nb: [c]\n")
        self.assertIn("c.yaml:1:3: found a key over several lines", self.policy("fmt", "--write", "c.yaml", status=2).stderr)
        self.assertEqual(json.loads(self.policy("fmt", "--json", "b.yaml").stdout), [{"file": "b.yaml", "changed": False}])


class Hostile(Set):
    """Repositories and working copies of whoever proposes a change."""

    def index(self, mode, oid, path):
        self.git("update-index", "--add", "--cacheinfo", f"{mode},{oid},{path}")

    def object(self, *words, text=None):
        return subprocess.run(["git", *words], cwd=self.dir, input=text, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def test_a_directory_does_not_stand_for_a_revision(self):
        self.committed()
        self.git("branch", "origin/main")
        self.change("roles.d/kvm.yaml", "env: prod", "env: [prod, lab]")
        self.policy("diff", "origin/main", ".", status=1)
        head = self.object("rev-parse", "HEAD")
        for name in ("origin/main", "origin/main:", head, "HEAD:roles.d"):
            shutil.copytree(self.dir, os.path.join(self.dir, name), ignore=lambda d, names: [n for n in names if n in (".git", "origin")])
            self.assertIn("found a directory and a revision of that name", self.policy("diff", name, ".", status=2).stderr)
            self.assertEqual(self.policy("diff", "./" + name, ".").stdout, "no difference\n")
            shutil.rmtree(os.path.join(self.dir, name))
        shutil.copytree(self.dir, os.path.join(self.dir, "other"), ignore=shutil.ignore_patterns(".git", "origin"))
        self.policy("diff", "other", ".")
        self.policy("diff", "other", "other", env={**os.environ, "PATH": "/nowhere"})  # without git

    def test_folders_that_are_something_else(self):
        self.committed()
        head = self.object("rev-parse", "HEAD")
        link = self.object("hash-object", "-w", "--stdin", text="/etc")
        for mode, oid in (("160000", head), ("120000", link), ("100644", link)):
            self.git("rm", "-rq", "--cached", "roles.d")
            self.index(mode, oid, "roles.d")
            self.git("commit", "-qm", "odd")
            self.assertIn("roles.d: found something else, expected a directory", self.policy("diff", "HEAD", ".", status=2).stderr)
            self.git("reset", "-q", head)
        for mode, oid, path, found in (("160000", head, "roles.d/x.yaml", "roles.d/x.yaml: found something else, expected a regular"),
                                       ("120000", link, "site.yaml", "site.yaml: found something else, expected a regular"),
                                       ("100644", link, "roles.d/x.yaml/y.yaml", "roles.d/x.yaml: found a directory, expected a regular"),
                                       ("100644", link, "site.yaml/roles.d/y", "site.yaml: found a directory, expected a regular"),
                                       ("100644", link, "roles.d/\x1b[31m.yaml", "roles.d/\\x1b[31m.yaml: found a file name with")):
            self.index(mode, oid, path)
            self.git("commit", "-qm", "odd")
            self.assertIn(found, self.policy("diff", "HEAD", ".", status=2).stderr)
            self.git("reset", "-q", head)

    def test_names_that_cannot_be_shown(self):
        for name in (b"roles.d/\xff.yaml", b"roles.d/a\nb.yaml", b"roles.d/\x1b]0;x\a.yaml", "roles.d/\u202elmay.yaml".encode()):
            path = os.path.join(self.dir.encode(), name)
            with open(path, "w", encoding="utf-8") as f:
                f.write("role: x\n")
            told = self.policy("check", ".", status=1).stdout
            self.assertRegex(told, r"\A[!-~ ]*: error: found a file name with characters that cannot be shown[!-~ ]*\n\Z")
            self.assertEqual(len(json.loads(self.policy("check", "--json", ".", status=1).stdout)), 1)
            os.unlink(path)
            shown = subprocess.run([os.path.join(self.lab.build, "sallyport"), "policy", "fmt", "--json", path], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, timeout=harness.TIMEOUT, check=False)
            self.assertEqual((shown.returncode, len(json.loads(shown.stdout))), (2, 1))

    def test_revisions_that_are_none(self):
        self.committed()
        for name in ("^HEAD", "HEAD..HEAD", "HEAD:targets.yaml", ":targets.yaml", "", ":", "HEAD:../x", "HEAD\nHEAD", "HEAD --all"):
            self.policy("diff", name, ".", status=2)
        self.policy("diff", "--", "--show-toplevel", ".", status=2)
        self.policy("diff", "--", "-x", "--git-dir", status=2)

    def test_no_program_of_its_configuration_runs(self):
        self.committed()
        ran = os.path.join(self.dir, "ran")
        touch = f"touch {ran}; false"
        for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "core.askPass", "diff.x.textconv", "filter.x.smudge", "filter.x.clean"):
            self.git("config", key, touch)
        for key in ("alias.rev-parse", "alias.ls-tree", "alias.cat-file", "credential.helper"):
            self.git("config", key, "!" + touch)
        self.git("config", "core.hooksPath", self.dir)
        self.write(".git/info/attributes", "* diff=x filter=x\n")
        self.policy("diff", "HEAD", ".")
        # What is missing is not fetched: that is the configuration's program, too.
        self.git("config", "core.repositoryformatversion", "1")
        self.git("config", "extensions.partialClone", "origin")
        self.git("config", "remote.origin.promisor", "true")
        self.git("config", "protocol.allow", "always")
        missing = self.object("rev-parse", "HEAD:targets.yaml")
        os.unlink(os.path.join(self.dir, ".git", "objects", missing[:2], missing[2:]))
        for url in ("ssh://x.invalid/y", f"ext::sh -c {touch.replace(' ', '% ')}"):
            self.git("config", "remote.origin.url", url)
            self.assertIn("targets.yaml: git cannot give it", self.policy("diff", "HEAD", ".", status=2).stderr)
        self.assertFalse(os.path.exists(ran))

    def test_somebody_elses_repository(self):
        self.committed()
        for where, names, files in os.walk(self.dir):
            for name in [where, *(os.path.join(where, n) for n in names + files)]:
                os.chown(name, 4711, 4711)
        told = self.policy("diff", "HEAD", ".", status=2, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})
        self.assertIn("dubious ownership", told.stderr)

    def test_fmt_writes_files_alone(self):
        self.write("a.yaml", "a:   1\n")
        os.symlink("a.yaml", os.path.join(self.dir, "link.yaml"))
        self.assertIn("link.yaml: found a symbolic link", self.policy("fmt", "--write", "link.yaml", status=2).stderr)
        self.policy("fmt", "--write", "roles.d", status=2)
        self.assertTrue(os.path.islink(os.path.join(self.dir, "link.yaml")))


class Load(harness.SessionTest):
    def test_load(self):
        done = self.admin("policy", "load", "--json")
        loaded = json.loads(done.stdout)
        self.assertTrue(loaded["loaded"])
        self.assertRegex(loaded["hash"], "^[0-9a-f]{64}$")
        self.assertEqual(json.loads(self.admin("status", "--json").stdout)["policy"], loaded["hash"])
        self.live()
        said = self.admin("policy", "load").stdout
        self.assertIn(loaded["hash"], said)
        self.assertRegex(said, r"\nof [1-9]\d* sessions 0 were ended, 0 narrowed\n")

    def test_a_refused_set(self):
        before = json.loads(self.admin("status", "--json").stdout)["policy"]
        self.lab.write_conf("roles.d/broken.yaml", "role: broken\nmemebers: [alice]\n")
        self.addCleanup(self.admin, "policy", "load")
        self.addCleanup(os.unlink, self.lab.path("conf", "roles.d", "broken.yaml"))
        done = self.admin("policy", "load", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('roles.d/broken.yaml:2:1: unknown key "memebers" (did you mean "members"?)', done.stderr)
        self.assertIn("still the one from before", done.stderr)
        refused = json.loads(self.admin("policy", "load", "--json", check=False).stdout)
        self.assertFalse(refused["loaded"])
        self.assertEqual(json.loads(self.admin("status", "--json").stdout)["policy"], before)

    def test_no_gateway(self):
        empty = tempfile.mkdtemp(prefix="sallyport-")
        self.addCleanup(shutil.rmtree, empty)
        self.assertEqual(self.admin("policy", "load", "-c", empty, check=False).returncode, 2)
