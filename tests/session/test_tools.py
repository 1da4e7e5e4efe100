# SPDX-License-Identifier: Apache-2.0
"""rsync, git and tar through the gateway: what arrives is what was sent, and the trail says word for word and byte by
byte what crossed."""
import os
import shutil

import harness
import tools

setUpModule, tearDownModule = harness.lab_for_module(globals(), sshd=tools.SSHD)

BIG = 20_000_000
NAMES = (b"plain", b"two words", b"new\nline", b"-rf", b"*", b"a'b\"c", b"back\\slash", b"\xff\xfe not utf-8", "\u00e4\u4e2d".encode(),
         b"$(touch owned)", b"`id`;|&", b".hidden", b"x" * 255, b"tab\there", b" ", b"%s%n", b"~root", b"#")


def make_tree(top):
    """Odd names, links that lead nowhere and in circles, holes, nothing, much."""
    top = os.fsencode(top)
    os.makedirs(top + b"/deep" + b"/er" * 40)
    os.mkdir(top + b"/empty directory")
    for i, name in enumerate(NAMES):
        with open(os.path.join(top, name), "wb") as f:
            f.write(b"%d\0\r\n" % i * i)
        os.chmod(os.path.join(top, name), 0o400 + i)
        os.utime(os.path.join(top, name), (1_000_000_000 + i, 1_000_000_000 + i))
    open(top + b"/nothing", "wb").close()
    for name, to in ((b"to plain", b"plain"), (b"nowhere", b"/no/such/file"), (b"circle", b"circle"), (b"up", b".."),
                     (b"odd \xff", b"new\nline"), (b"to a directory", b"deep/er")):
        os.symlink(to, os.path.join(top, name))
    with open(top + b"/holes", "wb") as f:
        f.truncate(3_000_000)
        f.seek(1_500_000)
        f.write(b"in the middle")
    with open(top + b"/big", "wb") as f:
        f.write(os.urandom(BIG))


class Rsync(tools.ToolTest):
    def there_and_back(self, *arguments):
        made, there, back = self.path("made"), self.path("there"), self.path("back")
        make_tree(made)
        self.tool("rsync", "-aS", *arguments, made + "/", f"hv1:{there}/")
        self.assertEqual(tools.tree(there), tools.tree(made))
        self.assertLess(os.stat(there + "/holes").st_blocks * 512, 1_000_000)
        self.tool("rsync", "-aS", *arguments, f"hv1:{there}/", back + "/")
        self.assertEqual(tools.tree(back), tools.tree(made))
        return made, there, back

    def test_there_and_back_and_then_what_changed(self):
        made, there, back = self.there_and_back()
        with open(made + "/big", "r+b") as f:
            f.seek(BIG // 2)
            f.write(b"one change")
        os.unlink(made + "/two words")
        self.write("made/new", b"new\n")
        self.tool("rsync", "-aS", "--delete", made + "/", f"hv1:{there}/")
        self.assertEqual(tools.tree(there), tools.tree(made))
        self.tool("rsync", "-aS", "--delete", f"hv1:{there}/", back + "/")
        self.assertEqual(tools.tree(back), tools.tree(made))
        calls = self.calls()
        self.assertEqual([c.command.split()[:2] for c in calls], [["rsync", "--server"]] * 4)
        moved = [len(c.sent) + len(c.out) for c in calls]
        self.assertTrue(min(moved[:2]) > BIG and max(moved[2:]) < BIG / 20, moved)
        self.account_is_true(calls)

    def test_what_is_not_there(self):
        done = self.tool("rsync", "-a", "hv1:/no/such/folder", self.path("x"), status=23)
        self.assertIn(b"No such file or directory", done.stderr)
        self.account_is_true()
        self.assertEqual(self.calls()[0].status, 23)


class Git(tools.ToolTest):
    def setUp(self):
        super().setUp()
        self.environment.update(GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="Alice", GIT_AUTHOR_EMAIL="alice@lab",
                                GIT_COMMITTER_NAME="Alice", GIT_COMMITTER_EMAIL="alice@lab")
        self.git("init", "-q", "-b", "main", "seed", at=".")
        for i in range(20):
            self.commit("seed", f"file {i}", f"line {i}\n" * i)
        self.commit("seed", "image", os.urandom(2_000_000))
        self.git("clone", "-q", "--bare", "seed", "it's.git", at=".")

    def git(self, *words, at="seed", **more):
        return self.tool("git", *words, cwd=self.path(at), **more).stdout.decode().strip()

    def commit(self, at, name, data):
        self.write(f"{at}/{name}", data)
        self.git("add", ".", at=at)
        self.git("commit", "-q", "-m", f"{name} is there", at=at)
        return self.git("rev-parse", "HEAD", at=at)

    def test_clone_push_fetch(self):
        there = self.path("it's.git")
        self.git("clone", "-q", f"root@hv1:{there}", "mine", at=".")
        self.git("fsck", "--strict", at="mine")
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", at="mine"), self.git("rev-parse", "HEAD^{tree}"))
        self.assertEqual(tools.digest(self.path("mine/image")), tools.digest(self.path("seed/image")))
        pushed = self.commit("mine", "from me", os.urandom(500_000))
        self.git("push", "-q", "origin", "main", at="mine")
        self.git("fsck", "--strict", at="it's.git")
        self.assertEqual(self.git("rev-parse", "main", at="it's.git"), pushed)
        self.git("pull", "-q", there, "main")
        fetched = self.commit("seed", "from another", b"\0" * 100_000)
        self.git("push", "-q", there, "main")
        self.git("fetch", "-q", at="mine")
        self.assertEqual(self.git("rev-parse", "origin/main", at="mine"), fetched)
        quoted = "'" + there.replace("'", "'\\''") + "'"
        self.assertEqual([c.command for c in self.calls()],
                         [f"git-upload-pack {quoted}", f"git-receive-pack {quoted}", f"git-upload-pack {quoted}"])
        self.account_is_true()

    def test_a_push_that_is_refused_and_a_clone_of_nothing(self):
        there = self.path("it's.git")
        self.git("clone", "-q", f"hv1:{there}", "mine", at=".")
        hook = self.write("it's.git/hooks/pre-receive", "#!/bin/sh\necho 'not today' >&2\nexit 1\n")
        os.chmod(hook, 0o755)
        before = self.commit("mine", "x", "x")
        done = self.tool("git", "push", "origin", "main", cwd=self.path("mine"), status=1)
        self.assertIn(b"remote: not today", done.stderr)
        self.assertNotEqual(self.git("rev-parse", "main", at="it's.git"), before)
        self.tool("git", "clone", "hv1:/no/such.git", "none", status=128)
        self.assertEqual([c.status for c in self.calls()], [0, 0, 128])
        self.account_is_true()


class Printed(tools.ToolTest):
    """What `sallyport setup --for` says works as it stands, without anything in ~/.ssh."""

    def printed(self, client):
        return self.admin("setup", "--for", client, "--dir", self.lab.path("as", "alice")).stdout

    def test_rsync(self):
        self.tool("sh", "-ec", self.printed("rsync"), tap=None)
        self.assertEqual(tools.digest(self.path("os-release")), tools.digest("/etc/os-release"))
        self.assertEqual(len(self.sessions(1)), 1)

    def test_git(self):
        self.tool("git", "init", "-q", "-b", "main", "--bare", "repository.git", tap=None)
        script = self.printed("git").replace("/srv/repository.git", self.path("repository.git"))
        self.tool("sh", "-ec", script + f"git clone -q hv1:{self.path('repository.git')} clone", tap=None)
        self.assertEqual(self.tool("git", "-C", "clone", "remote", "get-url", "origin", tap=None).stdout.decode().strip(),
                         f"hv1:{self.path('repository.git')}")
        self.assertEqual([self.accounts(i)[0].command for i in self.sessions(2)],
                         [f"git-upload-pack '{self.path('repository.git')}'"] * 2)


class Tar(tools.ToolTest):
    def test_pipes_both_ways(self):
        made, there, back = self.path("made"), self.path("there"), self.path("back")
        make_tree(made)
        for directory in (there, back):
            os.mkdir(directory)
        self.tool("sh", "-c", f"tar -C {made} -Scf - . | ssh hv1 tar -C {there} -xpf -")
        self.assertEqual(tools.tree(there), tools.tree(made))
        self.tool("bash", "-c", f"set -o pipefail; ssh hv1 tar -C {there} -Scf - . | tar -C {back} -xpf -")
        self.assertEqual(tools.tree(back), tools.tree(made))
        self.account_is_true()

    def test_all_three_streams_are_binary(self):
        data = bytes(range(256)) * 8000 + os.urandom(1_000_003)
        done = self.tool("ssh", "hv1", "tee /dev/stderr; exit 42", data=data, status=42)
        self.assertTrue(done.stdout == data and done.stderr == data)
        self.account_is_true()

    def test_a_tar_that_ends_early(self):
        self.write("made/a", os.urandom(3_000_000))
        self.tool("bash", "-c", f"tar -C {self.path('made')} -cf - . | ssh hv1 'tar -C /no/such/folder -xf -'", status=2)
        call, = self.calls()
        self.assertIn(b"No such file or directory", call.err)
        session, = self.sessions(1)
        told, = self.accounts(session)
        self.assertEqual((told.command, told.status, told.out, told.err), (call.command, 2, b"", call.err))
        self.verdict(session, len(told.sent))  # how much of it was still sent is a matter of moments
        self.assertTrue(call.sent.startswith(told.sent))
        self.assertEqual(self.asked("hv1"), [(call.command, 2)])


ROLE = """role: lab-tools
description: A few tools, with these words and no others
members: [bob]
targets: {{name: hv2}}
accounts: [root]
factors: [key, totp]
remember: 1h
allow: {{shell: false, exec: true}}
programs: {{rsync: /usr/bin/rsync, git-upload-pack: /usr/bin/git-upload-pack}}
commands:
  - allow: "{rsync}"
  - allow: "git-upload-pack '{git}'"
"""


class ExactWords(tools.ToolTest):
    """A role that names argv; what it does not name word for word is refused before the target hears of it."""

    def setUp(self):
        super().setUp()
        self.write("shown/a", b"a\n" * 1000)
        self.write("hidden/b", b"b")
        self.tool("git", "init", "-q", "--bare", "a repository.git")
        # What rsync asks for is in the trail, of somebody who may: so an administrator would find the rule.
        self.tool("rsync", "-a", f"hv1:{self.path('shown')}/", self.path("as alice"))
        self.rsync = self.accounts(self.sessions(1)[0])[0].command
        shutil.rmtree(self.tapped)
        os.mkdir(self.tapped)
        self.lab.write_conf("roles.d/lab-tools.yaml", ROLE.format(rsync=self.rsync, git=self.path("a repository.git")))
        self.assertIn("policy-loaded", self.reload())
        self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))

    def refused(self, *words):
        done = self.tool(*words, operator="bob", status=None)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"sallyport: ", done.stderr)
        call, session = self.calls()[-1], self.finished_session()
        self.assertIn(call.status, (77, None))  # rsync kills its ssh
        denied, = self.records("decision", session=session, what="exec")
        self.assertEqual((denied.json["allowed"], denied.json["why"]), (False, "rules"))
        request, = self.records("request", session=session, what="exec")
        self.assertEqual(request.json["detail"], call.command)

    def test_what_is_named_runs(self):
        self.tool("rsync", "-a", f"hv2:{self.path('shown')}/", self.path("mine"), operator="bob")
        self.assertEqual(tools.tree(self.path("mine")), tools.tree(self.path("shown")))
        self.tool("git", "clone", "-q", f"hv2:{self.path('a repository.git')}", "mine too", operator="bob")
        calls = self.calls()
        for session, call in zip(self.sessions(2), calls):
            told, = self.accounts(session)
            self.assertEqual((told.command, told.status, told.sent), (call.command, 0, call.sent))
            self.verdict(session, len(call.sent))
        # The target gets the words anew, each quoted, and the program by its path.
        self.assertEqual(self.asked("hv2"), sorted(
            [(self.rsync.replace("rsync ", "/usr/bin/rsync ", 1), 0),
             (f"/usr/bin/git-upload-pack '{self.path('a repository.git')}'", 0)]))

    def test_what_is_not_named_is_refused(self):
        mine = self.path("mine")
        self.refused("rsync", "-a", f"hv2:{self.path('hidden')}/", mine)
        self.refused("rsync", "-a", f"hv2:{self.path('shown')}/../hidden/", mine)
        self.refused("rsync", "-az", f"hv2:{self.path('shown')}/", mine)
        self.refused("rsync", "-a", self.path("shown") + "/", f"hv2:{self.path('hidden')}/")
        self.refused("git", "clone", "-q", f"hv2:{self.path('hidden')}", "mine too")
        self.refused("git", "clone", "-q", f"hv2:{self.path('a repository.git')};id", "mine too")
        self.refused("ssh", "hv2", self.rsync + "; id")
        self.refused("ssh", "hv2", self.rsync.replace("rsync", "/tmp/rsync", 1))
        self.assertEqual(self.asked("hv2"), [])
        self.assertFalse(os.path.exists(mine) and os.listdir(mine))
        for session in self.sessions(8):
            self.assertEqual(self.accounts(session), [])
