# SPDX-License-Identifier: Apache-2.0
"""OpenSSH's programs and curl's libssh2, from Debian's packages, and what the trail has of them."""
import os

import clients
import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())


class OpenSSH(clients.ClientTest):
    def words(self, program, *options):
        return (program, "-F", os.path.join(self.device(), "ssh_config"), *options)

    def test_commands(self):
        self.commands(*self.words("ssh"), "hv1", data=os.urandom(200000))

    def test_scp_by_a_command(self):
        made = self.files()
        done = self.run_client(*self.words("scp", "-O", "-q"), *made, f"hv1:{self.there}")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        session = self.account(f"scp -d -t {self.there}")
        self.assertIn(b"C0644 %d file-3145728\n" % (3 << 20), self.bytes_of("input", session))
        for path, digest in made.items():
            self.assertEqual(clients.sha256(os.path.join(self.there, os.path.basename(path))), digest)
        back = os.path.join(self.home, "back")
        os.mkdir(back)
        done = self.run_client(*self.words("scp", "-O", "-q", "-r"), f"hv1:{self.there}", back)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.account(f"scp -r -f {self.there}")
        for path, digest in made.items():
            self.assertEqual(clients.sha256(os.path.join(back, os.path.basename(self.there), os.path.basename(path))),
                             digest)

    def test_scp_says_what_is_not_there(self):
        done = self.run_client(*self.words("scp", "-O"), "hv1:/not/there", self.home)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"scp: /not/there: No such file or directory", done.stderr)
        self.account("scp -f /not/there", status=1)


class Curl(clients.ClientTest):
    """curl speaks to the gateway itself: it is an HTTPS proxy that knows CONNECT."""

    def curl(self, *words):
        return self.run_client("curl", "-sS", "-m", "240", "-K", self.printed("curl"), *words)

    def test_scp(self):
        for path, digest in self.files().items():
            there = os.path.join(self.there, os.path.basename(path))
            done = self.curl("-T", path, f"scp://hv1{there}")
            if os.path.getsize(path):  # curl makes no file of nothing by scp
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertEqual(clients.sha256(there), digest)
                done = self.curl(f"scp://hv1{there}")
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                with open(path, "rb") as f:
                    self.assertEqual(f.read() == done.stdout, True)
        # curl hangs up once it has as many bytes as scp announced, mostly before the command's exit status.
        self.account(f"scp -pf '{there}'", status=None)

    def test_without_a_remembered_login(self):
        done = self.run_client("curl", "-sS", "-m", "240", "-K", self.printed("curl"), "--proxy-cert", "", "--proxy-key",
                               "", "scp://hv1/etc/os-release")
        self.assertEqual(done.returncode, 67)  # login denied
        self.assertFalse(self.records("session-start"))
