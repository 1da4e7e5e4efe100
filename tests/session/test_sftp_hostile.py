# SPDX-License-Identifier: Apache-2.0
"""Operators with a few folders who want more, or want it unseen: flags and numbers that no client sends, links that
change where they lead when their folder is moved, requests in the moment of the end."""
import os
import random
import struct
import threading
import time

import harness
import raw_sftp
from raw_sftp import packet, u32, u64
import test_sftp
from test_sftp import SftpTest

setUpModule, tearDownModule = harness.lab_for_module(globals(), extra_operators=1)

HUGE = 1 << 63
COUNT = 2000  # requests of a session


class Flags(SftpTest):
    """frank reads logs/** and shared/**, and writes drop/** and shared/**."""

    def test_what_opens_for_reading_needs_to_be_read(self):
        """A target takes an open that does not say "write" as one for reading, whatever else it says."""
        self.write("drop/in", b"may not be read")
        sftp = self.raw("frank")
        for flags in (0, raw_sftp.APPEND, raw_sftp.CREAT, raw_sftp.APPEND | raw_sftp.CREAT, raw_sftp.CREAT | raw_sftp.EXCL, raw_sftp.EXCL,
                      raw_sftp.TRUNC):
            self.denied(sftp.open(self.path("drop/in"), flags))
        self.assertEqual(self.content("drop/in"), b"may not be read")
        h = sftp.open(self.path("drop/in"), raw_sftp.W | raw_sftp.APPEND | raw_sftp.CREAT).string
        self.denied(sftp.ask(raw_sftp.READ, h, (u64(0),), 100))
        self.agreed(sftp)

    def test_flags_that_nobody_knows(self):
        sftp = self.raw()
        self.denied(sftp.open(self.path("logs/syslog"), raw_sftp.R | 64), raw_sftp.FAILURE)
        self.denied(sftp.open(self.path("logs/syslog"), raw_sftp.R | 1 << 31), raw_sftp.FAILURE)
        session = self.agreed(sftp)
        self.assertEqual([r["why"] for r in self.events("refused", session)], ["form"] * 2)

    def test_attributes_that_nobody_knows(self):
        """Pairs of words would be passed on without a word in the record."""
        sftp = self.raw()
        extended = (u32(1 << 31 | 4) + u32(0o644) + u32(1) + raw_sftp.string("acl@example.com") + raw_sftp.string("everybody"),)
        self.denied(sftp.ask(raw_sftp.SETSTAT, self.path("logs/syslog"), extended), raw_sftp.FAILURE)
        self.denied(sftp.ask(raw_sftp.MKDIR, self.path("drop/d"), extended), raw_sftp.FAILURE)
        self.denied(sftp.ask(raw_sftp.OPEN, self.path("drop/f"), raw_sftp.W | raw_sftp.CREAT, extended), raw_sftp.FAILURE)
        self.assertEqual(os.listdir(self.path("drop")), [])
        h = sftp.open(self.path("drop/g"), raw_sftp.W | raw_sftp.CREAT).string
        self.denied(sftp.ask(raw_sftp.FSETSTAT, h, extended), raw_sftp.FAILURE)
        self.agreed(sftp)

    def test_numbers_that_no_file_has(self):
        """Beyond 2^63 - 1 a record's numbers would be none that readers take: nothing may be hidden so."""
        self.write("drop/f", b"0123456789")
        sftp = self.raw()
        size = (u32(1) + u64(HUGE),)
        self.denied(sftp.ask(raw_sftp.OPEN, self.path("logs/syslog"), raw_sftp.R, size), raw_sftp.FAILURE)
        self.denied(sftp.ask(raw_sftp.SETSTAT, self.path("drop/f"), size), raw_sftp.FAILURE)
        h = sftp.open(self.path("drop/f"), raw_sftp.R | raw_sftp.W).string
        g = sftp.open(self.path("drop/f"), raw_sftp.R | raw_sftp.W).string
        self.denied(sftp.ask(raw_sftp.FSETSTAT, h, size), raw_sftp.FAILURE)
        for at in (HUGE, HUGE - 1, (1 << 64) - 1):
            self.denied(sftp.ask(raw_sftp.WRITE, h, (u64(at),), "xyz"), raw_sftp.FAILURE)
            self.denied(sftp.ask(raw_sftp.READ, h, (u64(at),), 3), raw_sftp.FAILURE)
            self.denied(sftp.extended("copy-data", h, (u64(at),), (u64(10),), g, (u64(0),)), raw_sftp.FAILURE)
            self.denied(sftp.extended("copy-data", h, (u64(0),), (u64(10),), g, (u64(at),)), raw_sftp.FAILURE)
        self.denied(sftp.extended("copy-data", h, (u64(0),), (u64((1 << 64) - 1),), g, (u64(0),)), raw_sftp.FAILURE)
        self.assertEqual(sftp.ask(raw_sftp.WRITE, h, (u64(0),), "abc").status, raw_sftp.OK)
        session = self.agreed(sftp)
        shown = self.admin("audit", "files", "--identity", self.lab.path("state", "keys", "reviewer.identity"), session).stdout
        self.assertIn("written 3 B, sha256", shown)

    def test_copies_between_what_is_open(self):
        self.write("drop/in", b"may not be read")
        sftp = self.raw("frank")
        secret = sftp.open(self.path("drop/in"), raw_sftp.W).string
        mine = sftp.open(self.path("shared/out"), raw_sftp.W | raw_sftp.R | raw_sftp.CREAT).string
        log = sftp.open(self.path("logs/syslog")).string
        self.denied(sftp.extended("copy-data", secret, (u64(0),), (u64(0),), mine, (u64(0),)))
        self.denied(sftp.extended("copy-data", mine, (u64(0),), (u64(0),), log, (u64(0),)))
        self.assertEqual(sftp.extended("copy-data", log, (u64(0),), (u64(8),), mine, (u64(0),)).status, raw_sftp.OK)
        self.assertEqual(self.content("shared/out"), b"the log\n")
        self.agreed(sftp)


class Links(SftpTest):
    def test_a_link_does_not_lead_elsewhere_when_its_folder_is_moved(self):
        os.makedirs(self.path("shared/a/b"))
        os.makedirs(self.path("shared/secret"))
        self.write("shared/secret/key", b"his own")
        sftp = self.raw("frank")
        # From shared/a/b all of these lead into shared; from shared/b, they would lead to its neighbours.
        for text in ("../../secret/key", "../../secret", "../b/../../secret", self.path("shared/a/../secret"), "..", "x/..", "../x"):
            a = sftp.ask(raw_sftp.SYMLINK, text, self.path("shared/a/b/l"))
            self.denied(a)
            self.assertIn("..", a.text)
        for text in ("x", "x/y..z", "...", self.path("shared/secret/key")):
            a = sftp.ask(raw_sftp.SYMLINK, text, self.path("shared/a/b/l"))
            self.assertEqual(a.status, raw_sftp.NO_SUCH_FILE if text == "x/y..z" else raw_sftp.OK, text)
            sftp.ask(raw_sftp.REMOVE, self.path("shared/a/b/l"))
        self.assertEqual(sftp.ask(raw_sftp.RENAME, self.path("shared/a/b"), self.path("shared/b")).status, raw_sftp.OK)
        self.agreed(sftp)

    def test_who_may_everything_may_make_any_link(self):
        sftp = self.raw()
        self.assertEqual(sftp.ask(raw_sftp.SYMLINK, "../secret/key", self.path("drop/l")).status, raw_sftp.OK)
        self.agreed(sftp)


class Ends(SftpTest):
    def test_what_came_behind_the_end_of_a_channel_disputes_nothing(self):
        """The gateway closes the channel at the first malformed packet, with more under way."""
        for name, more in (("little", 1), ("much", 3000)):
            with self.subTest(name):
                sftp = self.raw()
                try:
                    sftp.send(packet(raw_sftp.OPEN) + packet(raw_sftp.STAT, 1, "/" + "x" * 300) * more)
                except BrokenPipeError:
                    pass
                with self.assertRaises(raw_sftp.Gone):
                    while True:
                        sftp.read()
                sftp.child.wait(harness.TIMEOUT)
                session = self.finished_session()
                self.assertEqual(self.records("verdict", session=session)[-1].json["verdict"], "agreed")

    def test_what_was_sent_right_before_the_end_is_done_or_not_and_said_so(self):
        for operator in ("alice", "frank"):
            for wait in (0, 0.02, 0.2):
                with self.subTest(operator=operator, wait=wait):
                    for f in os.listdir(self.path("drop")):
                        os.rmdir(self.path("drop/" + f))
                    sftp = self.raw(operator)
                    sftp.send(b"".join(packet(raw_sftp.MKDIR, i, self.path(f"drop/{operator}-{wait}-{i}"), 0) for i in range(200)))
                    time.sleep(wait)
                    sftp.child.kill()
                    session = self.finished_session()
                    requests = {e["path"] for e in self.events("request", session)}
                    # The target may still be at work for the session before.
                    made = {self.path("drop/" + f) for f in os.listdir(self.path("drop")) if f.startswith(f"{operator}-{wait}-")}
                    self.assertLessEqual(made, requests)
                    self.assertEqual(self.records("verdict", session=session)[-1].json["verdict"], "agreed")


class Paths(SftpTest):
    """Targets whose answers to the gateway's own questions are none; frank's role has patterns."""
    served = test_sftp.Target.served

    @classmethod
    def setUpClass(cls):
        globals()["lab"].stop_sshd("hv2")

    def name(self, path, count=1):
        return lambda i, _: packet(raw_sftp.NAME, i, count, *[path, path, 0] * min(count, 20))

    def test_answers_to_realpath_that_are_no_path(self):
        for what, answer in (("empty", self.name("")), ("relative", self.name("etc/passwd")), ("two", self.name("/a", 2)),
                             ("none", self.name("/a", 0)), ("many", self.name("/a", 0xffffffff)), ("a NUL", self.name("/a\0b")),
                             ("too long", self.name("/" + "x" * 5000)), ("huge", self.name("/x" * 125000)),
                             ("a handle", lambda i, _: packet(raw_sftp.HANDLE, i, "h")),
                             ("ok", lambda i, _: packet(raw_sftp.STATUS, i, 0, "", "")),
                             ("another id", lambda i, _: packet(raw_sftp.NAME, i + 1, 1, "/", "/", 0))):
            with self.subTest(what):
                with self.served(answer):
                    sftp = self.raw("frank", "hv2")
                    with self.assertRaises(raw_sftp.Gone):
                        sftp.open(self.path("logs/x"))
                    sftp.child.wait(harness.TIMEOUT)
                session = self.finished_session()
                self.assertEqual(self.records("session-end", session=session)[-1].json["reason"], "target-violation")

    def test_what_realpath_says_is_judged_and_passed_on(self):
        seen = []

        def opened(i, body):
            seen.append(body)
            return packet(raw_sftp.HANDLE, i, b"\0" * 256)
        folder = self.path("logs")
        with self.served(self.name("/etc/shadow"), self.name(folder + "/../secret/key"), self.name("//" + folder + "//.//y/"), opened):
            sftp = self.raw("frank", "hv2")
            self.denied(sftp.open(self.path("logs/x")))
            self.denied(sftp.open(self.path("logs/x")))
            self.assertEqual(sftp.open(self.path("logs/x")).kind, raw_sftp.HANDLE)
            self.assertIn(raw_sftp.string(folder + "/y"), seen[0])
            sftp.child.kill()
        session = self.finished_session()
        self.assertEqual(self.events("request", session)[0]["path"], folder + "/y")

    def test_an_error_instead_of_a_path_is_the_answer(self):
        with self.served(lambda i, _: packet(raw_sftp.STATUS, i, 0xfffffffe, "\x1b[2J" + "x" * 200000, "")):
            sftp = self.raw("frank", "hv2")
            a = sftp.open(self.path("logs/x"))
            self.assertEqual(a.status, 0xfffffffe)
            sftp.child.kill()
        session = self.finished_session()
        self.assertEqual(self.events("results", session)[0]["results"], [{"n": 0, "status": "status-4294967294"}])

    def test_handles_and_answers_that_lie(self):
        handle = lambda i, _: packet(raw_sftp.HANDLE, i, "h")
        opens = (packet(raw_sftp.OPEN, 1, "/a", raw_sftp.R, 0), packet(raw_sftp.OPEN, 2, "/b", raw_sftp.R, 0))
        both = lambda i, _: packet(raw_sftp.STATUS, i, 4, "", "") + packet(raw_sftp.HANDLE, i, "h")
        for what, answers, requests in (
                ("one handle for two files", (handle, handle), opens),
                ("an error, then a handle", (both,), opens[:1]),
                ("a version bomb", (lambda i, _: packet(raw_sftp.VERSION, 3, *["x" * 10, "y"] * 10000),), opens[:1]),
                ("the end of a write", (handle, lambda i, _: packet(raw_sftp.STATUS, i, 1, "", "")),
                 (packet(raw_sftp.OPEN, 1, "/a", raw_sftp.W, 0), packet(raw_sftp.WRITE, 2, "h", (u64(0),), "x"))),
                ("names of a file", (handle, lambda i, _: packet(raw_sftp.NAME, i, 1, "a", "a", 0)),
                 (opens[0], packet(raw_sftp.READ, 2, "h", (u64(0),), 10)))):
            with self.subTest(what):
                with self.served(*answers):
                    sftp = self.raw("alice", "hv2")
                    for r in requests:
                        sftp.send(r)
                        try:
                            sftp.read()
                        except (raw_sftp.Gone, TimeoutError):
                            break
                    with self.assertRaises(raw_sftp.Gone):
                        sftp.read()
                    sftp.child.wait(harness.TIMEOUT)
                session = self.finished_session()
                self.assertEqual(self.records("session-end", session=session)[-1].json["reason"], "target-violation")

    def test_a_folder_is_not_read_as_a_file(self):
        """A target that answers gets nothing across that no closed record would tell."""
        with self.served(lambda i, _: packet(raw_sftp.HANDLE, i, "h"), lambda i, _: packet(raw_sftp.HANDLE, i, "g")):
            sftp = self.raw("alice", "hv2")
            self.assertEqual(sftp.ask(raw_sftp.OPENDIR, "/").kind, raw_sftp.HANDLE)
            self.denied(sftp.ask(raw_sftp.READ, "h", (u64(0),), 100), raw_sftp.FAILURE)
            self.assertEqual(sftp.open("/f").kind, raw_sftp.HANDLE)
            self.denied(sftp.ask(raw_sftp.READDIR, "g"), raw_sftp.FAILURE)
            sftp.child.kill()
        self.finished_session()


class Chaos(SftpTest):
    """Sessions at once that ask for anything, as fast as they can, in folders where each moves what the others have just made.
    What is outside stays unread and as it is, and each operation is recorded as it was asked for."""
    NAMES = ("a", "b", "c", "a/b", "a/b/c", "b/a", "c/l", "l", "a/l", "a/b/l", ".", "..", "../secret/key", "l/key", "a/l/key")
    TOPS = ("drop", "shared", "logs", "secret", "shared/a", "drop/b")

    def packet(self, choose, n):
        def path():
            name = choose.choice(self.TOPS) + "/" + choose.choice(self.NAMES)
            return choose.choice((self.path(name), self.path(name), self.path(name) + "/", name, "//" + self.path(name), "\xff", ""))

        def text():
            return choose.choice((path(), choose.choice(self.NAMES), "../" * choose.randrange(5) + choose.choice(self.TOPS) + "/key"))

        def attrs():
            return (choose.choice((u32(0), u32(4) + u32(0o755), u32(1) + u64(choose.choice((0, 10, HUGE))),
                                   u32(8) + u32(1) + u32(2), u32(1 << 31) + u32(0))),)
        handle = struct.pack(">I", choose.randrange(6))  # as OpenSSH counts them
        at = (u64(choose.choice((0, 3, 1 << 40, HUGE))),)
        return packet(*choose.choice((
            (raw_sftp.OPEN, n, path(), choose.randrange(66), attrs()), (raw_sftp.OPEN, n, path(), choose.randrange(8), attrs()),
            (raw_sftp.CLOSE, n, handle), (raw_sftp.READ, n, handle, at, 100), (raw_sftp.WRITE, n, handle, at, "x" * 10),
            (raw_sftp.LSTAT, n, path()), (raw_sftp.FSTAT, n, handle), (raw_sftp.SETSTAT, n, path(), attrs()),
            (raw_sftp.FSETSTAT, n, handle, attrs()), (raw_sftp.OPENDIR, n, path()), (raw_sftp.READDIR, n, handle),
            (raw_sftp.REMOVE, n, path()), (raw_sftp.MKDIR, n, path(), attrs()), (raw_sftp.RMDIR, n, path()),
            (raw_sftp.REALPATH, n, path()), (raw_sftp.STAT, n, path()), (raw_sftp.RENAME, n, path(), path()),
            (raw_sftp.READLINK, n, path()), (raw_sftp.SYMLINK, n, text(), path()), (raw_sftp.SYMLINK, n, text(), path()),
            (raw_sftp.EXTENDED, n, "posix-rename@openssh.com", path(), path()),
            (raw_sftp.EXTENDED, n, "posix-rename@openssh.com", path(), path()),
            (raw_sftp.EXTENDED, n, "hardlink@openssh.com", path(), path()),
            (raw_sftp.EXTENDED, n, "lsetstat@openssh.com", path(), attrs()),
            (raw_sftp.EXTENDED, n, "copy-data", handle, at, (u64(5),), struct.pack(">I", choose.randrange(6)), at),
            (raw_sftp.EXTENDED, n, "expand-path@openssh.com", choose.choice(("~", "~/", "~root", path()))))))

    def client(self, sftp, seed, count, got):
        choose = random.Random(seed)
        for n in range(0, count, 25):
            sftp.send(b"".join(self.packet(choose, i) for i in range(n, n + 25)))
            for _ in range(25):
                got.append(sftp.read())

    def outside(self):
        """drop/** and shared/** are these folders themselves, too: they may be moved and removed."""
        found = {}
        for top in ("secret", "logs", "."):
            names = sorted(set(os.listdir(self.path(top))) - {"drop", "shared"})
            found[top] = [(n, os.lstat(self.path(f"{top}/{n}")).st_mode, os.lstat(self.path(f"{top}/{n}")).st_nlink) for n in names
                          if top != "."] or names
        return found, self.content("secret/key"), self.content("logs/syslog"), os.stat(self.path("secret/key")).st_mtime

    def test_nothing_outside_is_read_or_changed_and_all_is_recorded(self):
        secret = b"the word that nobody may see"
        self.write("secret/key", secret)
        before = self.outside()
        sessions, got = [self.raw("frank") for _ in range(3)], [[] for _ in range(3)]
        threads = [threading.Thread(target=self.client, args=(s, i, COUNT, g)) for i, (s, g) in enumerate(zip(sessions, got))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        self.assertEqual([len(g) for g in got], [COUNT] * 3)
        for s in sessions:
            s.end()
        self.assertEqual(self.outside(), before)
        self.assertFalse(any(secret in p for g in got for p in g))
        done = {p[0] for g in got for p in g}
        self.assertLessEqual({raw_sftp.STATUS, raw_sftp.HANDLE, raw_sftp.NAME, raw_sftp.ATTRS}, done)
        harness.wait_until("three verdicts", lambda: len(self.records("verdict")) == 3)
        self.assertEqual([v.json["verdict"] for v in self.records("verdict")], ["agreed"] * 3)
        shown = self.admin("audit", "files", "--check", "--identity", self.lab.path("state", "keys", "reviewer.identity"),
                           *{v.session for v in self.records("verdict")})
        self.assertIn("agree with the requests as recorded", shown.stderr)
