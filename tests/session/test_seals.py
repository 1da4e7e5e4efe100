# SPDX-License-Identifier: Apache-2.0
"""Epochs on a running gateway: seals without a gap, also through deaths of the recorder; a restored older copy is
refused; a new log follows the old one; what `verify` says of all that."""
import json
import os
import shutil
import signal

import harness
import lablib
import trail

setUpModule, tearDownModule = harness.lab_for_module(globals())


class SealsTest(harness.SessionTest):
    def verify(self, *words):
        done = self.admin("audit", "verify", "--json", *words, check=False)
        return done.returncode, json.loads(done.stdout)

    def seals(self):
        return [r for r in trail.read(self.lab.path("state", "trail")) if r.type == "seal"]

    def works(self):
        harness.wait_until("sessions", lambda: self.ssh("alice", "hv1", "true").returncode == 0)


class Seals(SealsTest):
    def test_1_idle_epochs_end(self):
        before = len(self.seals())
        harness.wait_until("a seal while nothing happens", lambda: len(self.seals()) > before)
        seals = self.seals()
        self.assertEqual([s.epoch for s in seals], list(range(len(seals))))
        harness.wait_until("a checkpoint over it", lambda: self.verify()[1]["signed_to"] > seals[-1].index)
        status, said = self.verify("--anchor", self.lab.path("state", "public", "anchor.pub"))
        self.assertEqual((status, said["verdict"], said["anchored"]), (0, "verified", True))
        self.assertGreater(said["sealed_to"], seals[-1].index)

    def test_2_recorder_killed_in_a_loop(self):
        for _ in range(5):
            self.works()
            lablib.Lab.kill(self.servers_and_children("sallyport-auditd")[0][0], signal.SIGKILL)
        self.works()
        status, said = self.verify()
        self.assertEqual(status, 0, said)
        seals = self.seals()  # trail.read looks at indexes, epochs and what each seal says
        self.assertEqual([s.epoch for s in seals], list(range(len(seals))))

    def test_3_a_kept_checkpoint_and_a_copy(self):
        self.works()
        kept, copy = self.lab.path("kept.checkpoint"), self.lab.path("copy")
        shutil.copy(self.lab.path("state", "trail", "checkpoint"), kept)
        harness.copy_trail(self.lab.path("state", "trail"), copy, ignore=shutil.ignore_patterns("lock", "epoch.keys"))
        words = ("--trail", copy, "--log-key", self.lab.path("state", "public", "log.pub"),
                 "--anchor", self.lab.path("state", "public", "anchor.pub"), "--known", kept)
        status, said = self.verify(*words)
        self.assertEqual(status, 0, said)
        self.assertEqual(said["known_elsewhere_to"], int(open(kept, encoding="utf-8").read().split("\n")[1]))
        # A byte in the middle of it.
        path = os.path.join(copy, "0000000000000000.spa")
        with open(path, "r+b") as f:
            f.seek(2000)
            byte = f.read(1)
            f.seek(2000)
            f.write(bytes([byte[0] ^ 1]))
        status, said = self.verify(*words)
        self.assertEqual((status, said["verdict"], said["fault"], said["file"]),
                         (1, "tampered", "edited", "0000000000000000.spa"))
        self.assertEqual(self.verify("--trail", self.lab.path("nowhere"))[0], 2)


class Restored(SealsTest):
    def test_an_older_copy_is_refused_until_new_log(self):
        state, old = self.lab.path("state", "trail"), self.lab.path("old-trail")
        self.works()
        self.assertNotEqual(self.admin("audit", "new-log", "--reason", "x", check=False).returncode, 0, "it runs")
        self.lab.stop()
        shutil.copytree(state, old)
        before = len(trail.read(old))
        self.lab.start()
        self.works()
        self.lab.stop()
        after = len(trail.read(state))
        stat = os.stat(state)
        shutil.rmtree(state)
        shutil.copytree(old, state)
        for path in (state, *(os.path.join(d, n) for d, ds, ns in os.walk(state) for n in ds + ns)):
            os.chown(path, stat.st_uid, stat.st_gid)
        with self.assertRaises(BaseException):
            self.lab.start()
        said = open(self.lab.logfile, encoding="utf-8", errors="replace").read()
        self.assertIn(f"the log has {before} records, but a checkpoint of {after} is known", said)
        self.assertIn("audit new-log --reason", said)
        done = self.admin("audit", "new-log", "--reason", "a backup was put back")
        self.assertIn("could not be closed", done.stdout)
        anchor = next(w for w in done.stdout.split() if "/sallyport/1/anchor+" in w)
        self.lab.start()
        self.first_record = 0
        self.works()
        born = next(r for r in trail.read(state) if r.type == "key")
        self.assertEqual((born.json["reason"], born.json["previous"]["size"], born.json["previous"]["closed"]),
                         ("a backup was put back", before, False))
        status, said = self.verify("--anchor", anchor)
        self.assertEqual((status, said["anchored"]), (0, True), said)
        self.assertEqual(self.verify("--trail", self.lab.path("state", "trail.0"))[0], 0)
        # And once more, in order: the old one is closed, and names the new one's anchor.
        self.lab.stop()
        done = self.admin("audit", "new-log", "--reason", "for the test")
        anchor = next(w for w in done.stdout.split() if "/sallyport/2/anchor+" in w)
        status, said = self.verify("--trail", self.lab.path("state", "trail.1"))
        self.assertEqual((status, said["next_log"], said["sealed_to"]), (0, anchor, said["verified_to"]))
        self.lab.start()
        self.works()
        self.assertEqual(self.verify()[0], 0)
