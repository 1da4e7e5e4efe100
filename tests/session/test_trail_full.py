# SPDX-License-Identifier: Apache-2.0
"""The trail cannot be written: a running session stops with the reason, and no new one starts."""
import os
import subprocess

import harness
import trail

# Room for the first segment and some sessions, not for what the test sends.
setUpModule, tearDownModule = harness.lab_for_module(globals(), trail_size="24M", config="disk: {share: 100%}\n")


class TrailFull(harness.SessionTest):
    def test_a_running_session_stops_and_no_new_one_starts(self):
        done = self.ssh("alice", "hv1", "cat /dev/zero")
        said = done.stderr.decode("utf-8", "replace")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(said, r"(?i)trail|recorder|record")
        done = self.ssh("alice", "hv1", "touch " + self.lab.path("ran"))
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(self.lab.path("ran")), "a command ran that could not be recorded")
        self.assertRegex(done.stderr.decode("utf-8", "replace"), r"(?i)trail|recorder|record|closed")
        # With room again and a restart the trail goes on, whole, and has an end for every session.
        subprocess.run(["mount", "-o", "remount,size=256M", self.lab.path("state", "trail")], check=True)
        self.lab.stop()
        self.lab.start()
        self.assertEqual(self.ssh("alice", "hv1", "true").returncode, 0)
        self.record("session-end", "client-closed")
        records = trail.read(self.lab.path("state", "trail"))
        started = {r.session for r in records if r.type == "session-start"}
        ended = [r.session for r in records if r.type == "session-end"]
        self.assertEqual(started, set(ended))
        self.assertEqual(len(started), len(ended))
        self.admin("audit", "verify")
