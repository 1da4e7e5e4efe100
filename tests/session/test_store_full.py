# SPDX-License-Identifier: Apache-2.0
"""The disk of authd's state store is full: wrong codes are still counted, right ones still work once."""
import os

import harness

ONE_TRY = ("-o", "NumberOfPasswordPrompts=1")

setUpModule, tearDownModule = harness.lab_for_module(globals(), extra_operators=3)


class StoreFull(harness.SessionTest):
    def ballast(self, path):
        st = os.statvfs(os.path.dirname(path))
        with open(path, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, st.f_bavail * st.f_frsize)

    def test_codes_count_on_a_full_disk(self):
        self.lab.stop()
        self.lab.trail_on_tmpfs("16M", name="auth")
        self.lab.start()
        reserve = self.lab.path("state", "auth", "store.db.reserve")
        path = self.lab.path("state", "auth", "ballast")
        self.assertEqual(os.stat(reserve).st_blocks * 512, 4 << 20)
        self.ballast(path)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        # Enough for what the log of writes has room for already, and then for the reserve.
        for i in range(40):
            done = self.ssh("op1", "hv1", "true", fresh=True, env=self.answering("000000"), options=ONE_TRY)
            self.assertEqual(done.returncode, 255)
            self.assertNotIn(b"cannot check codes", done.stderr)
            if i > 6 and "store-full" in self.log():
                break
        self.assertIn("store-full", self.log())
        self.assertEqual(os.stat(reserve).st_blocks, 0)
        code = self.code("op2")
        self.assertEqual(self.ssh("op2", "hv1", "true", fresh=True, env=self.answering(code)).returncode, 0)
        done = self.ssh("op2", "hv1", "true", fresh=True, env=self.answering(code))
        self.shows(done, "That code was used already")
        self.shows(self.ssh("op1", "hv1", "true", fresh=True), "locked until", 77)
        # authd comes up again on the full disk, and remembers.
        self.lab.stop()
        self.lab.start()
        self.shows(self.ssh("op1", "hv1", "true", fresh=True), "locked until", 77)
        os.unlink(path)

        def refilled():
            self.ssh("op3", "hv1", "true", fresh=True, env=self.answering("000000"), options=ONE_TRY)
            return os.stat(reserve).st_blocks * 512 == 4 << 20
        harness.wait_until("the reserve has its blocks again", refilled)
