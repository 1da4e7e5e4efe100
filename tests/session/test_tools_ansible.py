# SPDX-License-Identifier: Apache-2.0
"""Ansible through the gateway, with the configuration that `sallyport setup --for ansible` prints: twenty targets, twenty
forks, one code typed once."""
import collections
import glob
import os
import re
import subprocess

import harness
import tools

TARGETS = 20

setUpModule, tearDownModule = harness.lab_for_module(globals(), sshd=tools.SSHD, targets=TARGETS)

PLAY = """- hosts: all
  gather_facts: false
  tasks:
    - copy: {src: payload, dest: "{{ site }}/payload", mode: "0640"}
    - template: {src: words.j2, dest: "{{ site }}/words"}
    - shell: "printf '%s\\\\n' {{ inventory_hostname }} | tee '{{ site }}/who; I'; echo said >&2; exit 3"
      register: it
      failed_when: it.rc != 3 or it.stdout != inventory_hostname or it.stderr != "said"
"""


class Ansible(tools.ToolTest):
    def setUp(self):
        super().setUp()
        self.write("payload", os.urandom(100_000))
        self.write("words.j2", "I am {{ inventory_hostname }}, ä中\n")
        self.write("play.yml", PLAY)
        self.configure(self.lab.path("as", "alice"))
        self.environment.update(
            ANSIBLE_CONFIG=self.path("ansible.cfg"), ANSIBLE_HOME=self.path("home"), ANSIBLE_LOCAL_TEMP=self.path("tmp"),
            ANSIBLE_TIMEOUT=str(harness.TIMEOUT), ANSIBLE_FORKS=str(TARGETS), ANSIBLE_INVENTORY=self.path("hosts"), ANSIBLE_NOCOLOR="1",
            ANSIBLE_SSH_CONTROL_PATH_DIR=self.lab.path("cp"))

    def configure(self, device):
        self.write("ansible.cfg", self.admin("setup", "--for", "ansible", "--dir", device).stdout)

    def sites(self, count):
        """An inventory of so many hosts; each with folders of its own, as all are this machine."""
        names = self.lab.hypervisors[:count]
        for name in names:
            os.makedirs(self.path("site", name))
        self.write("hosts", "[all:vars]\nansible_python_interpreter=/usr/bin/python3\n[all]\n" + "".join(
            f"{n} site={self.path('site', n)} ansible_remote_tmp={self.path('remote', n)}\n" for n in names))
        return names

    def log_in(self):
        """On a new device: `sallyport setup`, then `sallyport login` with a code typed once."""
        device = self.path("device")
        self.admin("setup", self.lab.path("state", "public", "gateway.setup"), "--dir", device, "--hosts", "hv*",
                   "--user", "root", "--identity", self.lab.path("as", "alice", "id_ed25519"))
        self.configure(device)
        done = subprocess.run([os.path.join(self.lab.build, "sallyport"), "login", "--dir", device], text=True,
                              env=self.lab.operator_env("alice"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=harness.TIMEOUT, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def run_it(self, *words, **more):
        """Ends the masters that Ansible leaves behind, so that each session has its end."""
        try:
            return self.tool(*words, tap=False, **more)
        finally:
            for master in glob.glob(self.lab.path("cp", "*")):
                subprocess.run(["ssh", "-S", master, "-O", "exit", "x"], stderr=subprocess.DEVNULL, check=False)

    def arrived(self, names, said):
        recap = re.findall(r"^(hv\d+) +: ok=3 +changed=3 +unreachable=0 +failed=0", said.decode(), re.M)
        self.assertEqual(sorted(recap), sorted(names), said)
        for name in names:
            self.assertEqual(tools.digest(self.path("site", name, "payload")), tools.digest(self.path("payload")))
            self.assertEqual(os.stat(self.path("site", name, "payload")).st_mode & 0o777, 0o640)
            self.assertEqual(tools.read(self.path("site", name, "words")).decode(), f"I am {name}, ä中\n")
            self.assertEqual(tools.read(self.path("site", name, "who; I")).decode(), name + "\n")

    def account_of(self, name, session):
        """Word for word what the host's sshd was asked for, all on one connection."""
        told, sftp = self.accounts(session), self.sftp_channels(session)
        self.assertEqual(sorted([(a.command, a.status) for a in told] + [("internal-sftp", status) for status in sftp]),
                         self.asked(name))
        end = self.records("session-end", session=session)[-1].json
        if not sftp:
            self.assertEqual((end["bytes_in"], end["bytes_out"]),
                             (sum(len(a.sent) for a in told), sum(len(a.out) + len(a.err) for a in told)))
            self.verdict(session, end["bytes_in"])
        verdict = self.records("verdict", session=session)[-1].json
        self.assertEqual(verdict["verdict"], "agreed", verdict)
        return told

    def test_twenty_targets_and_one_code(self):
        names = self.sites(TARGETS)
        self.log_in()
        done = self.run_it("ansible-playbook", "play.yml", timeout=600)
        self.arrived(names, done.stdout)
        self.sessions(TARGETS)
        starts = self.records("session-start")
        self.assertEqual(sorted(r.json["target"] for r in starts), sorted(names))
        logins = [r.json for r in self.records("authentication", event="login")]
        self.assertEqual(collections.Counter((r["result"], r["factors"], r["asked_for"] == "gateway:22") for r in logins),
                         {("logged-in", "key,totp", True): 1, ("logged-in", "key,remembered", False): TARGETS}, logins)
        for start in starts:
            told = self.account_of(start.json["target"], start.session)
            # Pipelining: a module is the command's standard input; no terminal.
            self.assertTrue(any(len(a.sent) > 50_000 for a in told))
            self.assertFalse(any(a.pty for a in told))
            # What is copied goes by SFTP.
            closed = [r.json for r in self.records("file", session=start.session, event="closed")]
            payload = [r for r in closed if r["path"].endswith("/source") and r["written"]["bytes"] == 100_000]
            self.assertEqual([r["written"]["ranges"] for r in payload],
                             [[{"from": 0, "to": 100_000, "sha256": tools.digest(self.path("payload"))}]], closed)
        self.assertEqual(self.records("alarm"), [])

    def test_without_pipelining(self):
        names = self.sites(2)
        done = self.run_it("ansible-playbook", "play.yml", env={"ANSIBLE_PIPELINING": "0", "ANSIBLE_SSH_TRANSFER_METHOD": "piped"},
                           timeout=240)
        self.arrived(names, done.stdout)
        self.sessions(len(names))
        payload = tools.read(self.path("payload"))
        for start in self.records("session-start"):
            told = self.account_of(start.json["target"], start.session)
            self.assertTrue(any(a.pty for a in told))  # each module runs in a terminal
            self.assertTrue(any(a.command.startswith("dd of=") or " dd of=" in a.command for a in told))
            self.assertTrue(any(a.sent == payload for a in told))  # what was copied went through dd's stdin

    def test_a_task_that_fails(self):
        self.sites(2)
        done = self.run_it("ansible", "all", "-m", "shell", "-a", "echo no; exit 5", status=2)
        self.assertEqual(done.stdout.count(b"| FAILED | rc=5 >>"), 2, done.stdout)
        self.sessions(2)
        for start in self.records("session-start"):
            self.account_of(start.json["target"], start.session)
