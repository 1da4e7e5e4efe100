# SPDX-License-Identifier: Apache-2.0
"""`sallyport setup --for`: each client is in the help, the page and the completion, and what is printed has this
device's paths and nothing left to fill in. The tests of the clients run it."""
import ast
import os
import re
import subprocess

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())

REPO = harness.lablib.REPO


class SetupFor(harness.SessionTest):
    def names(self):
        return [line.split()[0] for line in self.admin("setup", "--for", "list").stdout.splitlines()]

    def printed(self, name, *options):
        return self.admin("setup", "--for", name, "--dir", self.lab.path("as", "alice"), *options).stdout

    def test_the_list(self):
        self.assertEqual(self.names(), "openssh putty dropbear paramiko asyncssh curl sshfs rsync git ansible libvirt".split())

    def test_every_client_has_its_section(self):
        with open(os.path.join(REPO, "docs", "CLIENTS.md"), encoding="utf-8") as f:
            page = f.read()
        sections = {title: body for title, body in re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", page, re.M | re.S)}
        for name in self.names():
            self.assertIn(f"[{name}](#{name})", page)
            self.assertGreater(len(sections.get(name, "").strip()), 100, f"docs/CLIENTS.md says too little of {name}")

    def test_the_completion(self):
        script = '. "$1"; COMP_WORDS=(sallyport setup --for ""); COMP_CWORD=3; _sallyport; echo "${COMPREPLY[@]}"'
        said = subprocess.run(["bash", "-c", script, "bash", os.path.join(REPO, "conf", "sallyport.bash")], text=True,
                              stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(said.split(), ["list", *self.names()])

    def test_nothing_is_left_to_fill_in(self):
        for name in self.names():
            said = self.printed(name)
            self.assertTrue(said.startswith("# "), said)
            self.assertIsNone(re.search(r"\{[A-Z]+\}", said), said)
            if name != "libvirt":
                self.assertIn(self.lab.path("as", "alice"), said)

    def test_scripts_and_programs_are_well_formed(self):
        for name in ("openssh", "putty", "dropbear", "sshfs", "rsync", "git", "libvirt"):
            subprocess.run(["bash", "-n"], input=self.printed(name), text=True, check=True)
        for name in ("paramiko", "asyncssh"):
            ast.parse(self.printed(name))

    def test_target_account_and_identity(self):
        said = self.printed("openssh", "--target", "db7.example", "--user", "admin")
        self.assertIn(" admin@db7.example ", said)
        said = self.printed("curl", "--identity", "/home/al ice/.ssh/id")
        self.assertIn('key = "/home/al ice/.ssh/id"\npubkey = "/home/al ice/.ssh/id.pub"\n', said)

    def test_what_cannot_be_quoted_is_refused(self):
        for option, value in (("--target", "x;id"), ("--target", "-x"), ("--user", "$(id)"), ("--user", "-l"),
                              ("--identity", "/tmp/'x")):
            done = self.admin("setup", "--for", "openssh", "--dir", self.lab.path("as", "alice"), f"{option}={value}",
                              check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(done.stdout, "")

    def test_a_damaged_device_directory(self):
        device = os.path.join(self.lab.dir, "damaged")
        os.mkdir(device)
        for name, text in (("gateway.conf", "host=h\nport=1\nname=`id`\n"), ("gateway.conf", "host=h;id\nport=1\nname=n\n"),
                           ("known_hosts", "n ssh-ed25519 '$(id)'\n"), ("known_hosts", "other ssh-ed25519 AAAA\n")):
            for file, good in (("gateway.conf", "host=h\nport=1\nname=n\n"), ("known_hosts", "n ssh-ed25519 AAAA\n"),
                               ("ssh_config", "")):
                with open(os.path.join(device, file), "w", encoding="utf-8") as f:
                    f.write(text if file == name else good)
            done = self.admin("setup", "--for", "dropbear", "--dir", device, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""), text)
            self.assertIn("sallyport setup", done.stderr)

    def test_wrong_usage(self):
        for words, text in ((("--for", "putti"), 'did you mean "putty"?'), (("--for", "zzzzzzzz"), "--for list"),
                            (("--for", "putty", "--hosts", "x"), "--for goes with"), (("--for", "putty", "file"), "--for goes with"),
                            (("--target", "x", "file"), "--target goes with --for")):
            done = self.admin("setup", *words, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(text, done.stderr)
