# SPDX-License-Identifier: Apache-2.0
"""Hypervisors that are down, have another key than the pinned one, or go away in mid-session."""
import os
import subprocess

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())


class Targets(harness.SessionTest):
    def test_target_down(self):
        self.lab.stop_sshd("hv2")
        try:
            done = self.ssh("alice", "hv2", "true")
        finally:
            self.lab.start_sshd("hv2")
        self.shows(done, "hv2", 69)
        self.shows(done, "Connection refused")
        self.record("decision", "refused|down|connect")
        self.assertEqual(self.ssh("alice", "hv2", "true").returncode, 0)

    def test_host_key_changed(self):
        key = self.lab.path("hv2", "host_key")
        for name in (key, key + ".pub"):
            os.rename(name, name + ".right")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self.lab.stop_sshd("hv2")
        self.lab.start_sshd("hv2")
        try:
            done = self.ssh("alice", "hv2", "true")
        finally:
            for name in (key, key + ".pub"):
                os.rename(name + ".right", name)
            self.lab.stop_sshd("hv2")
            self.lab.start_sshd("hv2")
        self.shows(done, "key", 69)
        self.record("alarm", "key")
        self.assertEqual(self.bytes_of("output", self.finished_session()), b"")

    def test_the_gateway_s_key_is_not_let_in(self):
        path = self.lab.path("hv2", "authorized_keys")
        os.rename(path, path + ".right")
        try:
            done = self.ssh("alice", "hv2", "true")
        finally:
            os.rename(path + ".right", path)
        self.shows(done, "hv2", 69)
        self.record("session-end", "login|auth|denied")

    def test_the_target_dies_in_mid_session(self):
        child = self.live(host="hv2")
        self.lab.stop_sshd("hv2")
        try:
            child.stdin.close()
            child.stdin = None
            out, err = child.communicate(timeout=harness.TIMEOUT)
        finally:
            self.lab.start_sshd("hv2")
        self.assertNotEqual(child.returncode, 0)
        self.assertIn(b"hv2", err)
        self.record("session-end", "target|closed|lost")
