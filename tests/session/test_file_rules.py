# SPDX-License-Identifier: Apache-2.0
"""What a role says of files and of what is recorded, from its file to the session: the largest grant arrives
whole, one byte more is refused in words, and the trail says what was granted."""
import os

import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())

HEAD = "role: extra\nmembers: [carol]\ntargets: {env: lab}\naccounts: [root]\nremember: 8h\n"
FILES_MAX = 65536


def patterns(total, role="extra"):
    """Patterns that fill a grant with so many bytes, each with its name (policy/files.c)."""
    found = []
    while total:
        name = 9 + len(f"{role}/sftp.read[{len(found)}]")
        length = min(1000, total - name)
        if 0 < total - name - length < 60:
            length -= 100
        found.append(f"/{len(found):0{length - 1}d}")
        total -= name + length
    return found


class FileRules(harness.SessionTest):
    def tearDown(self):
        for name in ("extra.yaml", "more.yaml"):
            path = self.lab.path("conf", "roles.d", name)
            if os.path.exists(path):
                os.unlink(path)
        self.reload()
        super().tearDown()

    remembered = False

    def role(self, text, name="extra"):
        self.lab.write_conf(f"roles.d/{name}.yaml", HEAD.replace("extra", name) + text)
        self.assertIn("policy-loaded", self.reload())
        if not self.remembered:
            self.remember("carol")
            FileRules.remembered = True

    def test_the_largest_grant_arrives(self):
        commands = [f"/bin/echo {i:04000d}" for i in range(31)] + ["/bin/echo in"]
        self.role(f"allow: {{exec: true, sftp: {{read: {patterns(FILES_MAX)}}}}}\ncommands:\n" +
                  "".join(f'  - allow: "{c}"\n' for c in commands))
        done = self.ssh("carol", "hv1", "/bin/echo in")
        self.assertEqual((done.returncode, done.stdout), (0, b"in\n"), done.stderr)
        self.assertIs(self.record("session-start").json["sftp"], True)

    def test_one_byte_more_is_refused(self):
        self.role(f"allow: {{exec: true, sftp: {{read: {patterns(FILES_MAX - 40)}}}}}\n")
        # 9 bytes, the name, the pattern: 41
        self.role(f"allow: {{sftp: {{write: [/{'x' * (41 - 9 - len('more/sftp.write[0]') - 1)}]}}}}\n", "more")
        done = self.ssh("carol", "hv1", "true")
        self.shows(done, "Your roles on hv1 have more rules together than one session can carry; "
                   "ask your policy administrators", 77)
        self.record("decision", allowed=False, reason="rules")
        self.assertEqual(self.records("session-start"), [])

    def test_a_role_that_is_too_large_alone_is_a_mistake(self):
        self.lab.write_conf("roles.d/extra.yaml", HEAD + f"allow: {{sftp: {{read: {patterns(FILES_MAX) + ['/x']}}}}}\n")
        self.assertIn("more than 65536 bytes of file rules", self.reload())

    def test_a_role_that_permits_nothing_refuses_in_words(self):
        self.role("allow: {sftp: {read: []}}\n")
        self.shows(self.ssh("carol", "hv1", "true"),
                   "Your role extra matches root on hv1, but permits nothing there", 77)
        self.record("decision", allowed=False, reason="no-ability")

    def test_what_is_recorded_stands_in_decision_and_start(self):
        self.role("allow: {exec: true, sftp: true}\n"
                  "session: {bulk: digest, bulk-after: 1MiB, keep: content, keep-max: 4KiB}\n")
        self.assertEqual(self.ssh("carol", "hv1", "true").returncode, 0)
        said = {"sftp": True, "bulk": "digest", "bulk_after": 1 << 20, "keep_max": 4096}
        self.record("decision", allowed=True, operator="carol", **said)
        self.record("session-start", **said)
        # A session of other roles says nothing of it.
        self.assertEqual(self.ssh("alice", "hv2", "true").returncode, 0)
        start = self.record("session-start", operator="alice").json
        self.assertEqual([k for k in said if k != "sftp" and k in start], [])
