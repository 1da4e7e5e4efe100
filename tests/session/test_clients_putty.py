# SPDX-License-Identifier: Apache-2.0
"""PuTTY's plink, pscp and psftp, set up as `sallyport setup --for putty` prints it."""
import os

import clients
import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())


class PuTTY(clients.ClientTest):
    def setUp(self):
        super().setUp()
        self.run_printed("putty")

    def test_commands(self):
        self.commands("plink", "-batch", "-load", "sallyport", "root@hv1", data=os.urandom(200000))

    def test_a_code_is_asked_for(self):
        self.run_printed("putty", fresh=True)
        status, seen = self.at_terminal("plink", "-no-antispoof", "-load", "sallyport", "root@hv1",
                                        "echo $LAB_HYPERVISOR; exit 3")
        self.assertEqual(status, 3, seen)
        self.assertIn(b"\nhv1\n", seen)
        self.account("echo $LAB_HYPERVISOR; exit 3", status=3, factors="key,totp")

    def test_pscp_by_a_command(self):
        for path, digest in self.files().items():
            there = os.path.join(self.there, os.path.basename(path))
            done = self.run_client("pscp", "-batch", "-q", "-scp", "-load", "sallyport", path, f"root@hv1:{there}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(clients.sha256(there), digest)
            done = self.run_client("pscp", "-batch", "-q", "-scp", "-load", "sallyport", f"root@hv1:{there}", "back")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(clients.sha256(os.path.join(self.home, "back")), digest)
        self.account(f"scp -f {there}")

    def test_another_host_key_is_refused(self):
        path = os.path.join(self.home, ".putty", "sessions", "sallyport")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("SSHManualHostKeys=SHA256:", "SSHManualHostKeys=SHA256:0"))
        done = self.run_client("plink", "-batch", "-load", "sallyport", "root@hv1", "true")
        self.assertEqual(done.returncode, 1)
        self.assertFalse(self.records("session-start"))
