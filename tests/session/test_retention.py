# SPDX-License-Identifier: Apache-2.0
"""Holds, orders of two custodians, pruned segments: with real ssh-keygen, on a gateway."""
import glob
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import harness  # noqa: E402
import lablib  # noqa: E402

setUpModule, tearDownModule = harness.lab_for_module(globals())


class Retention(harness.SessionTest):
    @classmethod
    def setUpClass(cls):
        lab = sys.modules[cls.__module__].lab
        cls.keys = tempfile.mkdtemp(dir=lab.dir)
        lines = []
        for name in ("ann", "bob", "eve"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(cls.keys, name)], check=True)
            with open(os.path.join(cls.keys, name + ".pub"), encoding="ascii") as f:
                lines.append(f"{name} {f.read().strip()}\n")
        with open(os.path.join(lab.conf, "custodians"), "w", encoding="ascii") as f:
            f.writelines(lines[:2])
        os.chmod(os.path.join(lab.conf, "custodians"), 0o644)

    def order(self, *words, verb="prune"):
        path = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "order")
        self.admin("audit", verb, "--prepare", path, "--reason", f"the time is over: {os.path.basename(os.path.dirname(path))}", *words)
        return path

    def signature(self, order, name, space="sallyport-retention"):
        subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", os.path.join(self.keys, name), "-n", space, order], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path = f"{order}.{name}.sig"
        shutil.move(order + ".sig", path)
        return path

    def carry_out(self, order, *signers, check=True, verb="prune"):
        words = [w for name in signers for w in ("--signature", self.signature(order, name))]
        return self.admin("audit", verb, order, *words, check=check)

    def refused(self, order, *signers, says):
        done = self.carry_out(order, *signers, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(says, done.stderr)

    def session(self, text):
        self.assertEqual(self.ssh("alice", "hv1", "cat", stdin=text).stdout, text)
        session = self.finished_session()
        harness.wait_until("its verdict", lambda: self.records("verdict", session=session))
        return session

    def verified(self, status=0):
        done = self.admin("audit", "verify", check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def shown(self, session):
        return self.admin("audit", "show", session, "-i", self.lab.path("state", "keys", "reviewer.identity")).stdout

    def played(self, session):
        return self.admin("audit", "play", session, "-i", self.lab.path("state", "keys", "reviewer.identity"), check=False)

    def by_order(self):
        """What is said of the newest order."""
        record = self.records("prune")[-1]
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.real_ns // 10**9))
        return f"pruned on {when} by order {record.json['order'][:16]} (signed by ann, bob)"

    def tomorrow(self):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))

    def test_1_what_is_refused(self):
        self.session(b"kept, because nothing here is carried out\n")
        order = self.order("--before", self.tomorrow())
        done = self.admin("audit", "prune", order, "--signature", self.signature(order, "ann"), check=False)
        self.assertIn("two signatures", done.stderr)
        self.refused(order, "ann", "ann", says="two persons")
        self.refused(order, "ann", "eve", says="no custodian")
        other = self.order("--before", "2020-01-01")
        first = self.signature(other, "ann")
        done = self.admin("audit", "prune", order, "--signature", first, "--signature", self.signature(order, "bob"),
                          check=False)
        self.assertIn("not one of this text", done.stderr)
        wrong = self.signature(order, "ann", space="file")
        done = self.admin("audit", "prune", order, "--signature", wrong, "--signature", self.signature(order, "bob"), check=False)
        self.assertIn("was not made for", done.stderr)
        with open(order, encoding="ascii") as f:
            text = f.read()
        with open(order, "w", encoding="ascii") as f:
            f.write(text.replace("\nroot ", "\nroot 00", 1).replace("00", "", 0))
        self.refused(order, "ann", "bob", says="no order")
        root = text[text.index("\nroot ") + 6:][:64]
        with open(order, "w", encoding="ascii") as f:
            f.write(text.replace(root, "ab" * 32))
        self.refused(order, "ann", "bob", says="not of this log")
        self.refused(other, "ann", "bob", says="nothing that this order destroys")
        self.assertEqual(glob.glob(self.lab.path("state", "trail", "*.spp")), [])
        self.verified()

    def test_2_one_session_s_keys(self):
        one, other = self.session(b"the first one's words\n"), self.session(b"the second one's words\n")
        order = self.order("--session", one)
        self.carry_out(order, "ann", "bob")
        self.assertEqual(len(glob.glob(self.lab.path("state", "trail", "*.spp"))), 1)
        self.assertIn("destroyed by pruning", self.verified())
        self.assertNotIn("first one's words", self.shown(one))
        self.assertIn("[" + self.by_order(), self.shown(one))
        self.assertIn("[its key was " + self.by_order(), self.shown(one))
        played = self.played(one)
        self.assertEqual(played.returncode, 1)
        self.assertIn("its key was " + self.by_order(), played.stderr)
        self.assertIn("second one's words", self.shown(other))
        self.refused(order, "ann", "bob", says="carried out already")
        self.assertEqual(self.session(b"and it goes on\n") is not None, True)

    def test_3_a_held_session_survives(self):
        held, other = self.session(b"words that are held\n"), self.session(b"words that are not\n")
        self.admin("audit", "hold", held, "--reason", "an inquiry")
        self.record("hold", "an inquiry")
        self.refused(self.order("--session", held), "ann", "bob", says="held")
        self.carry_out(self.order("--before", self.tomorrow()), "ann", "bob")
        self.verified()
        self.assertIn("words that are held", self.shown(held))
        self.assertNotIn("words that are not", self.shown(other))
        self.assertIn(self.by_order(), self.shown(other))
        self.assertNotIn("pruned on", self.shown(held))
        self.assertIn("records of this recording were " + self.by_order(), self.played(other).stderr)
        listed = {line.split()[0]: line for line in self.admin("audit", "list").stdout.splitlines()}
        self.assertIn("pruned", listed[other[:12]])
        self.assertNotIn("pruned", listed[held[:12]])
        self.carry_out(self.order("--session", held, verb="release"), "ann", "bob", verb="release")
        self.carry_out(self.order("--before", self.tomorrow()), "ann", "bob")
        self.assertNotIn("words that are held", self.shown(held))
        self.verified()

    def test_4_killed_while_it_prunes(self):
        for delay in (0, 0.002, 0.005, 0.01, 0.03):
            with self.subTest(delay=delay):
                session = self.session(b"words of %f\n" % delay * 50)
                order = self.order("--before", self.tomorrow())
                signatures = [self.signature(order, n) for n in ("ann", "bob")]
                child = subprocess.Popen([os.path.join(self.lab.build, "sallyport"), "audit", "prune", order, "--signature",
                                          signatures[0], "--signature", signatures[1]], env=self.lab.operator_env("admin"),
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.02 + delay)
                for pid in self.gateway_processes().get("sallyport-auditd", []):
                    lablib.Lab.kill(pid, signal.SIGKILL)
                child.kill()
                child.wait()
                harness.wait_until("sessions again", lambda: self.ssh("alice", "hv1", "true").returncode == 0)
                harness.wait_until("no order under way",
                                   lambda: not os.path.exists(self.lab.path("state", "trail", "prune.pending")))
                self.verified()
                if self.records("prune"):
                    self.assertIn(self.by_order(), self.shown(session))
                names = [os.path.basename(p)[:16] for p in glob.glob(self.lab.path("state", "trail", "*.sp[ap]"))]
                self.assertEqual(len(names), len(set(names)), "a segment is there twice")
                self.first_record = len(harness.trail.read(self.lab.path("state", "trail")))

    def test_5_one_more_payload_is_missing(self):
        session = self.session(b"words that one takes away by hand\n")
        self.admin("audit", "hold", session, "--reason", "keep")
        self.carry_out(self.order("--session", self.session(b"x")), "ann", "bob")
        self.verified()
        copy = tempfile.mkdtemp(dir=self.lab.dir)
        harness.copy_trail(self.lab.path("state", "trail"), os.path.join(copy, "trail"))
        path = max(glob.glob(os.path.join(copy, "trail", "*.spp")))
        with open(path, "rb") as f:
            data = f.read()
        out, at, dropped = [data[:4]], 4, False
        while at < len(data):
            kept, header = data[at], data[at + 1:at + 177]
            length = struct.unpack(">I", header[60:64])[0] if kept else 0
            if kept and header[5] & 1 and not dropped:
                out.append(b"\0" + header)
                dropped = True
            else:
                out.append(data[at:at + 177 + length])
            at += 177 + length
        self.assertTrue(dropped)
        with open(path, "wb") as f:
            f.write(b"".join(out))
        done = self.admin("audit", "verify", "--trail", os.path.join(copy, "trail"), check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("missing", done.stdout)


if __name__ == "__main__":
    unittest.main()
