# SPDX-License-Identifier: Apache-2.0
"""virsh at the operator's side speaks to a real libvirtd on the hypervisor, its test driver: libvirt's own protocol in
both directions through one command, as with qemu+ssh://."""
import contextlib
import os
import subprocess
import threading
import unittest

import harness
import lablib
import tools

setUpModule, tearDownModule = harness.lab_for_module(globals(), sshd=tools.SSHD)

# libvirtd's folders are the lab's, in a mount namespace in which hv1's sshd is too; the machine's own are not touched. No
# driver is loaded but the one that is in the library.
NAMESPACE = r"""set -e
for d in run etc var/lib var/cache var/log; do
    mkdir -p "$LIBVIRT/$d" "/$d/libvirt"
    mount --bind "$LIBVIRT/$d" "/$d/libvirt"
done
exec "$@"
"""
CONFIG = 'unix_sock_rw_perms = "0700"\nauth_unix_ro = "none"\nauth_unix_rw = "none"\nlog_outputs = "1:stderr"\n'
# What virsh 9.0 asks for when the URI has no more than host, account and name.
COMMAND = ("sh -c 'which virt-ssh-helper 1>/dev/null 2>&1; if test $? = 0; then     virt-ssh-helper 'test:///default'; else"
           "    if 'nc' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then ARG=-q0;else ARG=;fi;"
           "'nc' $ARG -U /var/run/libvirt/libvirt-sock; fi'")

ROLE = """role: lab-libvirt
description: libvirt's protocol to one driver, whole
members: [bob]
targets: {name: hv1}
accounts: [root]
factors: [key, totp]
remember: 1h
allow: {shell: false, exec: true}
programs: {sh: /bin/sh}
commands:
  - allow: "sh -c 'virt-ssh-helper test:///default'"
"""


class Libvirt(tools.ToolTest):
    @classmethod
    def setUpClass(cls):
        lab = globals()["lab"]
        own = lab.path("libvirt")
        os.makedirs(own + "/no-drivers")
        with open(own + "/libvirtd.conf", "w", encoding="ascii") as f:
            f.write(CONFIG)
        cls.new_folders = [d for d in ("/run/libvirt", "/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt",
                                       "/var/log/libvirt") if not os.path.exists(d)]
        environment = {**os.environ, "LIBVIRT": own, "LIBVIRT_DRIVER_DIR": own + "/no-drivers"}
        with open(own + "/log", "wb") as log:
            daemon = subprocess.Popen(["unshare", "--mount", "sh", "-c", NAMESPACE, "sh", "/usr/sbin/libvirtd",
                                       "--config", own + "/libvirtd.conf", "--pid-file", own + "/pid"], env=environment,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        lab.record(daemon.pid, "libvirtd")
        harness.wait_until("libvirtd's socket", lambda: os.path.exists(own + "/run/libvirt-sock"))
        lab.stop_sshd("hv1")
        with open(lab.path("hv1", "log"), "ab") as log:
            sshd = subprocess.Popen(["nsenter", f"--target={daemon.pid}", "--mount", "/usr/sbin/sshd", "-D", "-e", "-f",
                                     lab.path("hv1", "sshd_config")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    start_new_session=True)
        lab.record(sshd.pid, "hv1")
        lab.wait_for_port(lab.port_of("hv1"), sshd, lab.path("hv1", "log"))

    @classmethod
    def tearDownClass(cls):
        globals()["lab"].end_processes(lambda name: name in ("libvirtd", "hv1"))
        for folder in cls.new_folders:
            with contextlib.suppress(OSError):  # another's by now
                os.rmdir(folder)

    def virsh(self, *words, uri="test+ssh://root@hv1/default", **more):
        return self.tool("virsh", "-q", "-c", uri, *words, **more)

    def test_what_virsh_says_is_what_libvirtd_says(self):
        here = subprocess.run(["virsh", "-q", "-c", "test:///default", "dumpxml", "test"], stdout=subprocess.PIPE, check=True)
        self.assertEqual(self.virsh("dumpxml", "test").stdout, here.stdout)
        self.assertEqual(self.virsh("list", "--name").stdout, b"test\n")
        self.assertIn(b"failed to get domain 'nobody'", self.virsh("start", "nobody", status=1).stderr)
        calls = self.calls()
        self.assertEqual([c.command for c in calls], [COMMAND] * 3)
        for call in calls:  # the protocol: length, program 0x20008086, version 1, whoever begins
            self.assertEqual((call.sent[4:12], call.out[4:12]), (bytes.fromhex("2000808600000001"),) * 2)
        self.account_is_true(calls)

    def test_many_calls_on_one_connection(self):
        words = "".join(f"dominfo test; suspend test; resume test; dumpxml test; domstate test; echo {i};" for i in range(40))
        done = self.virsh(words)
        self.assertEqual(done.stdout.count(b"</domain>"), 40)
        self.assertTrue(done.stdout.endswith(b"running\n39"), done.stdout[-100:])
        self.account_is_true()

    def test_an_event_that_libvirtd_sends_by_itself(self):
        told = []
        waiting = threading.Thread(target=lambda: told.append(self.virsh("event", "--event", "lifecycle", "--timeout", "120")))
        waiting.start()
        # The domain is in this state as long as a connection is there.
        harness.wait_until("the first connection", lambda: self.calls() and self.calls()[0].out)
        while waiting.is_alive():
            self.virsh("suspend", "test", status=None)
            self.virsh("resume", "test", status=None)
        self.assertIn(b"event 'lifecycle' for domain 'test': Suspended", told[0].stdout)
        self.account_is_true()

    def test_a_role_that_permits_this_driver_alone(self):
        self.lab.write_conf("roles.d/lab-libvirt.yaml", ROLE)
        self.assertIn("policy-loaded", self.reload())
        self.assertEqual(self.virsh("list", "--name", uri="test+ssh://root@hv1/default?proxy=native", operator="bob").stdout,
                         b"test\n")
        call, = self.calls()
        session, = self.sessions(1)
        self.assertEqual(self.accounts(session)[0].command, call.command)
        # virsh ends its ssh by a signal: how the helper ends then is a race between end of input and broken pipe
        (words, status), = self.asked("hv1")
        self.assertEqual(words, "/bin/sh -c 'virt-ssh-helper test:///default'")
        self.assertIn(status, (0, 1))
        for uri in ("test+ssh://root@hv1/default", "qemu+ssh://root@hv1/system?proxy=native"):
            self.assertIn(b"is not among the commands that your roles allow",
                          self.virsh("list", uri=uri, operator="bob", status=1).stderr)
        self.assertEqual(len(self.asked("hv1")), 1)


if __name__ == "__main__":
    unittest.main()
