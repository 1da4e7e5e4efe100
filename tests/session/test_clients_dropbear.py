# SPDX-License-Identifier: Apache-2.0
"""dropbear's client through the gateway, and dropbear's server behind it."""
import os

import clients
import dropbear
import harness

_up, tearDownModule = harness.lab_for_module(globals())


def setUpModule():
    _up()
    try:
        dropbear.add(globals()["lab"], "hv3")
    except BaseException:
        tearDownModule()
        raise


class Dbclient(clients.ClientTest):
    def setUp(self):
        super().setUp()
        self.run_printed("dropbear")

    def words(self, fresh=False):
        return ("dbclient", "-i", os.path.join(self.device(fresh), "dropbear.key"), "-J", self.connect("hv1:22", fresh),
                "root@hv1")

    def test_commands(self):
        self.commands(*self.words(), data=os.urandom(200000))

    def test_a_code_is_asked_for(self):
        self.run_printed("dropbear", fresh=True)
        status, seen = self.at_terminal(*self.words(fresh=True), "echo $LAB_HYPERVISOR; exit 3")
        self.assertEqual(status, 3, seen)
        self.assertIn(b"\nhv1\n", seen)
        self.account("echo $LAB_HYPERVISOR; exit 3", status=3, factors="key,totp")

    def test_what_is_printed_runs(self):
        """All of it, and a second time."""
        for _ in range(2):
            done = self.run_client("bash", self.printed("dropbear"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(b"Linux", done.stdout)
        with open(os.path.join(self.home, ".ssh", "known_hosts"), encoding="utf-8") as f:
            self.assertEqual(len(f.readlines()), 1)

    def test_the_function_that_is_printed(self):
        with open(self.printed("dropbear"), encoding="utf-8") as f:
            function = "via() {" + f.read().split("via() {")[1]
        done = self.run_client("bash", "-c", function + "via root hv1 'echo \"$LAB_HYPERVISOR\"; exit 4'")
        self.assertEqual((done.returncode, done.stdout), (4, b"hv1\n"), done.stderr)

    def test_scp_with_dbclient(self):
        """OpenSSH's scp takes any program for ssh; dbclient knows the options that scp -O gives it."""
        script = os.path.join(self.home, "via-dbclient")
        with open(script, "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\nfor last; do :; done\nexec dbclient -i {self.device()}/dropbear.key -J "'
                    f'{self.connect("hv1:22")}" root@hv1 "$last"\n')
        os.chmod(script, 0o755)
        for path, digest in self.files().items():
            done = self.run_client("scp", "-q", "-O", "-S", script, path, f"root@hv1:{self.there}/x")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(clients.sha256(os.path.join(self.there, "x")), digest)


class DropbearServer(clients.ClientTest):
    def words(self, program, *options):
        return (program, "-F", os.path.join(self.device(), "ssh_config"), *options)

    def test_streams_and_status(self):
        data = os.urandom(300000)
        done = self.run_client(*self.words("ssh"), "hv3", "cat; echo err >&2; exit 5", stdin=data)
        self.assertEqual((done.returncode, done.stdout == data, done.stderr), (5, True, b"err\n"))
        self.account("cat; echo err >&2; exit 5", status=5, sent=data, received=data, target="hv3")

    def test_a_signal_that_ends_the_command(self):
        done = self.run_client(*self.words("ssh"), "hv3", "kill -TERM $$")
        self.assertEqual(done.returncode, 255)
        self.record("exec", "TERM")

    def test_a_terminal(self):
        done = self.run_client(*self.words("ssh", "-tt"), "hv3", "test -t 0 && echo a terminal; exit 6")
        self.assertEqual((done.returncode, done.stdout), (6, b"a terminal\r\n"), done.stderr)

    def test_scp(self):
        for path, digest in self.files().items():
            done = self.run_client(*self.words("scp", "-q", "-O"), path, f"hv3:{self.there}/x")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(clients.sha256(os.path.join(self.there, "x")), digest)

    def test_rekeying(self):
        data = os.urandom(6 << 20)
        done = self.run_client(*self.words("ssh", "-o", "RekeyLimit=1M"), "hv3", "cat", stdin=data)
        self.assertEqual((done.returncode, done.stdout == data), (0, True))
        self.account("cat", sent=data, received=data, target="hv3")
