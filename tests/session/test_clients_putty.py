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

    def test_pscp(self):
        made = self.files()
        done = self.run_client("pscp", "-batch", "-q", "-sftp", "-p", "-load", "sallyport", *made,
                               f"root@hv1:{self.there}/")
        self.assertEqual(done.returncode, 0, done.stderr)
        files = self.subsystem()
        back = os.path.join(self.home, "back")
        os.mkdir(back)
        done = self.run_client("pscp", "-batch", "-q", "-load", "sallyport", f"root@hv1:{self.there}/file-*", back)
        self.assertEqual(done.returncode, 0, done.stderr)
        read = self.subsystem()
        for path, digest in made.items():
            name = os.path.basename(path)
            self.assertEqual(clients.sha256(os.path.join(self.there, name)), digest)
            self.assertEqual(clients.sha256(os.path.join(back, name)), digest)
            self.moved(files, f"{self.there}/{name}", written=path)
            self.moved(read, f"{self.there}/{name}", read=path)

    def test_psftp(self):
        local = os.path.join(self.home, "file-3145728")
        digest, there = self.files()[local], self.there
        os.makedirs(os.path.join(self.home, "top", "in"))
        with open(os.path.join(self.home, "top", "in", "x"), "w", encoding="utf-8") as f:
            f.write("in it\n")
        lines = (f"cd {there}", "put file-3145728 x", "mkdir d", "mv x d/y", "chmod 600 d/y", "get d/y back", "put -r top",
                 "ls d", "mkdir e", "rmdir e", "get -r top top-back", "del top/in/x", "pwd")
        done = self.run_client("psftp", "-batch", "-be", "-b", "/dev/stdin", "-load", "sallyport", "root@hv1",
                               stdin="\n".join(lines).encode() + b"\n")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(clients.sha256(f"{there}/d/y"), digest)
        self.assertEqual(os.stat(f"{there}/d/y").st_mode & 0o777, 0o600)
        self.assertEqual(clients.sha256(os.path.join(self.home, "back")), digest)
        with open(os.path.join(self.home, "top-back", "in", "x"), encoding="utf-8") as f:
            self.assertEqual(f.read(), "in it\n")
        files = self.subsystem()
        self.moved(files, f"{there}/d/y", read=local)
        self.moved(files, f"{there}/x", written=local)
        self.assertEqual([c for c in files.changes() if c[0] in ("mkdir", "rename", "rmdir", "remove")],
                         [("mkdir", f"{there}/d", None, "ok"), ("rename", f"{there}/x", f"{there}/d/y", "ok"),
                          ("mkdir", f"{there}/top", None, "ok"), ("mkdir", f"{there}/top/in", None, "ok"),
                          ("mkdir", f"{there}/e", None, "ok"), ("rmdir", f"{there}/e", None, "ok"),
                          ("remove", f"{there}/top/in/x", None, "ok")])

    def test_what_is_printed_runs(self):
        """All of it, the examples too."""
        done = self.run_client("bash", self.printed("putty"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"Linux", done.stdout)
        self.assertEqual(clients.sha256(os.path.join(self.home, "os-release")), clients.sha256("/etc/os-release"))

    def test_another_host_key_is_refused(self):
        path = os.path.join(self.home, ".putty", "sessions", "sallyport")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("SSHManualHostKeys=SHA256:", "SSHManualHostKeys=SHA256:0"))
        done = self.run_client("plink", "-batch", "-load", "sallyport", "root@hv1", "true")
        self.assertEqual(done.returncode, 1)
        self.assertFalse(self.records("session-start"))
