# SPDX-License-Identifier: Apache-2.0
"""Command rules from a role's file to the target: what a pattern allows is sent as the words that it matched, what a
deny names is refused in words, through wrappers too, and the trail says by which rule."""
import os

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())

HEAD = "members: [bob]\ntargets: {env: lab}\naccounts: [root]\nremember: 8h\n"

ALLOWS = """allow: {exec: true}
programs: {virsh: /usr/bin/virsh, echo: /bin/echo, seq: /usr/bin/seq}
commands:
  - allow: "virsh -c test:///default list|domuuid|domstate **"
  - allow: "virsh 'list; domstate test'"
  - allow: "echo <name> *"
  - allow: "seq <int:1-9>"
"""
GUARD = """allow: {}
commands:
  - deny: "virsh domstate"
  - deny: "seq <int:7-7>"
"""
OPEN = """allow: {exec: true}
commands:
  - deny: "virsh domstate"
"""
SHELL = "allow: {shell: true}\n"


class CommandRules(harness.SessionTest):
    def tearDown(self):
        for name in ("one", "two", "three"):
            path = self.lab.path("conf", "roles.d", name + ".yaml")
            if os.path.exists(path):
                os.unlink(path)
        self.reload()
        super().tearDown()

    def roles(self, **texts):
        for name, text in texts.items():
            self.lab.write_conf(f"roles.d/{name}.yaml", f"role: {name}\n{HEAD}{text}")
        self.assertIn("policy-loaded", self.reload())

    def runs(self, command, output, rule, forwarded):
        done = self.ssh("bob", "hv1", command)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(output, done.stdout)
        exec_ = [r.json for r in self.records("exec") if r.json.get("command") == command]
        self.assertEqual([(r.get("rule"), r.get("forwarded")) for r in exec_], [(rule, forwarded)])
        if rule:
            self.record("decision", allowed=True, what="exec", rule=rule)

    def refused(self, command, text, **decision):
        done = self.ssh("bob", "hv1", command)
        self.assertEqual((done.returncode, done.stdout), (77, b""), done.stderr)
        self.shows(done, text, 77)
        self.record("decision", allowed=False, what="exec", why="rules", **decision)

    def test_what_is_allowed_is_sent_anew(self):
        self.roles(one=ALLOWS)
        self.runs("virsh   -c 'test:///default'  \"domuuid\" test", b"6695eb01", "one/commands[0]",
                  "/usr/bin/virsh -c test:///default domuuid test")
        self.runs("echo a 'b; id $(id) `id` \"'", b"a b; id $(id) `id` \"\n", "one/commands[2]",
                  "/bin/echo a 'b; id $(id) `id` \"'")
        self.runs("/usr/bin/seq 2", b"1\n2\n", "one/commands[3]", "/usr/bin/seq 2")
        for command in ("seq 10", "seq -- 2", "echo a -n", "echo a b; id", "sudo seq 2", "virsh -c test:///default start x"):
            with self.subTest(command=command):
                done = self.ssh("bob", "hv1", command)
                self.assertEqual((done.returncode, done.stdout), (77, b""), done.stderr)
        self.shows(self.ssh("bob", "hv1", "echo a -n"), "* and ** take no word that begins with -", 77)

    def test_a_deny_of_another_role_covers_it(self):
        self.roles(one=ALLOWS, two=GUARD)
        self.runs("virsh -c test:///default domuuid test", b"6695eb01", "one/commands[0]",
                  "/usr/bin/virsh -c test:///default domuuid test")
        said = "denied by two/commands[0]; ask your policy administrators"
        self.refused("virsh -c test:///default domstate test", said, rule="two/commands[0]")
        self.refused("virsh 'list; domstate test'", said, rule="two/commands[0]")
        self.refused("seq 7", "denied by two/commands[1]", rule="two/commands[1]")

    def test_denies_alone(self):
        self.roles(one=OPEN)
        self.runs("echo  a   'b c'", b"a b c\n", None, "echo a 'b c'")
        self.refused("sudo -u root sh -c 'id; virsh domstate test'", "denied by one/commands[0]; ask",
                     rule="one/commands[0]")
        self.refused("sh -c 'virsh dom$x test'", "denied by one/commands[0], which cannot see what this command would run: "
                     "sh: an expansion in it", rule="one/commands[0]")
        done = self.ssh("bob", "hv1", "echo a; id")
        self.shows(done, "your roles allow single commands only", 77)

    def test_a_shell_does_not_go_with_a_deny(self):
        self.roles(one=SHELL, two=GUARD, three=ALLOWS)
        done = self.ssh("bob", "hv1", options=("-T",), stdin=b"id\n")
        self.shows(done, "there is no shell on hv1 as root: two/commands[0] denies commands", 77)
        self.assertEqual(done.stdout, b"")
        self.record("decision", allowed=False, what="shell", why="rules", rule="two/commands[0]")
        self.assertIn("no shell, because two/commands[0] denies commands", self.record("session-start").json["path"])
        self.assertEqual(self.ssh("bob", "hv1", "seq 1").stdout, b"1\n")

    def test_a_class_of_a_pack(self):
        self.roles(one="""allow: {exec: true}
commands:
  - deny: class:snapshot
""")
        self.runs("virsh -c test:///default snapshot-list test", b"Name", None, "virsh -c test:///default snapshot-list test")
        for command in ("virsh -c test:///default snapshot-create test", "sudo virsh 'list; snapshot-create test'",
                        "sh -c 'id; virsh snapshot-create test'"):
            with self.subTest(command=command):
                self.refused(command, "denied by one/commands[0] (class snapshot); ask your policy administrators",
                             rule="one/commands[0]", **{"class": "snapshot"})

    def test_refusals_say_whom_to_ask(self):
        self.addCleanup(os.unlink, self.lab.path("conf", "site.yaml"))
        self.lab.write_conf("site.yaml", "contact: group:policy-admins\n")
        self.roles(one=ALLOWS, two=GUARD)
        ask = "; ask group:policy-admins"
        self.refused("virsh -c test:///default domstate test", "denied by two/commands[0]" + ask, rule="two/commands[0]")
        self.refused("seq 10", "; ...)" + ask)
        self.shows(self.ssh("bob", "hv1", options=("-T",), stdin=b"id\n"),
                   "(single commands are permitted): denied by lab-viewer/allow" + ask + " for a role with `shell: true`", 77)
        self.shows(self.ssh("bob", "hv1", "sftp", options=("-s",)),
                   "does not permit SFTP on hv1 as root: denied by lab-viewer/allow" + ask, 77)
