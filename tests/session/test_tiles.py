# SPDX-License-Identifier: Apache-2.0
"""The trail's directory as a C2SP tlog-tiles log: an independent reader, standard library alone, walks from the
checkpoint over every tile and entry bundle that it calls for, and recomputes all of it."""
import base64
import hashlib
import json
import os
import signal

import harness
import trail

setUpModule, tearDownModule = harness.lab_for_module(globals())


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def mth(leaves):
    """RFC 6962 2.1, as it stands there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node(mth(leaves[:k]), mth(leaves[k:]))


def tile_path(level, n, width):
    parts = [f"{n % 1000:03}"]
    while n >= 1000:
        n //= 1000
        parts.insert(0, f"x{n % 1000:03}")
    return os.path.join("tile", str(level), *parts) + (f".p/{width}" if width < 256 else "")


def checkpoint(directory):
    with open(os.path.join(directory, "checkpoint"), encoding="utf-8") as f:
        origin, size, root, empty, *signatures = f.read().split("\n")
    assert empty == "" and signatures[0].startswith(f"\N{EM DASH} {origin} ") and signatures[-1] == ""
    return origin, int(size), base64.b64decode(root, validate=True)


def fetch(directory, level, n, width):
    """The partial one, or the full one in its place, as a client does; the length has to be right."""
    unit = 178 if level == "entries" else 32
    for w in (width, 256):
        path = os.path.join(directory, tile_path(level, n, w))
        if os.path.exists(path):
            with open(path, "rb") as f:
                data = f.read()
            assert len(data) == w * unit, f"{path} has {len(data)} bytes"
            return data[:width * unit]
    raise AssertionError(f"{tile_path(level, n, width)} is not there")


def widths(size, level):
    hashes = size // 256**level
    return [256] * (hashes // 256) + ([hashes % 256] if hashes % 256 else [])


def walk(directory):
    """Everything that the checkpoint calls for; its size, and the entries."""
    _, size, root = checkpoint(directory)
    entries, leaves = [], []
    for n, width in enumerate(widths(size, 0)):
        bundle, tile = fetch(directory, "entries", n, width), fetch(directory, 0, n, width)
        for i in range(width):
            entry = bundle[178 * i:178 * (i + 1)]
            assert entry[:2] == b"\0\xb0"
            entries.append(entry[2:])
            leaves.append(hashlib.sha256(b"\0" + entry[2:]).digest())
        assert tile == b"".join(leaves[256 * n:]), f"tile {n} of level 0"
    hashes = leaves
    for level in range(1, 8):
        hashes = [mth(hashes[i:i + 256]) for i in range(0, len(hashes) - 255, 256)]
        tiles = b"".join(fetch(directory, level, n, w) for n, w in enumerate(widths(size, level)))
        assert tiles == b"".join(hashes), f"level {level}"
    assert mth(leaves) == root, "the root"
    return size, entries


def inclusion_root(index, size, leaf, hashes):
    """RFC 9162 2.1.3.2"""
    fn, sn, r = index, size - 1, leaf
    for h in hashes:
        assert sn > 0
        if fn & 1 or fn == sn:
            r = node(h, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, h)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return r


class TilesTest(harness.SessionTest):
    @property
    def trail_dir(self):
        return self.lab.path("state", "trail")

    def checkpoint_of(self, size):
        """Waits for a checkpoint that covers so many records."""
        harness.wait_until(f"a checkpoint of {size}", lambda: checkpoint(self.trail_dir)[1] >= size)

    def some_records(self, lines=150):
        child = self.live("alice", "hv1")
        for i in range(lines):
            child.stdin.write(b"line %d\n" % i)
            child.stdin.flush()
            self.assertEqual(child.stdout.readline(), b"line %d\n" % i)
        child.stdin.close()
        child.wait(harness.TIMEOUT)
        return self.finished_session()

    def walk(self):
        """Of one checkpoint: partial tiles of one before go when there is another."""
        while True:
            before = checkpoint(self.trail_dir)
            try:
                return walk(self.trail_dir)
            except (AssertionError, FileNotFoundError):
                if checkpoint(self.trail_dir) == before:
                    raise

    def compare(self):
        size, entries = self.walk()
        records = trail.read(self.trail_dir)
        self.assertLessEqual(size, len(records))
        for i in range(min(size, len(records) - 1)):
            self.assertEqual(hashlib.sha256(b"\0" + entries[i]).digest(), records[i + 1].previous, f"entry {i}")
        return size

    def test_the_whole_log_is_what_the_tiles_say(self):
        self.some_records()
        self.checkpoint_of(len(trail.read(self.trail_dir)))
        size = self.compare()
        self.assertGreater(size, 256)
        self.assertTrue(os.path.exists(os.path.join(self.trail_dir, tile_path(0, 0, 256))))
        self.assertFalse(os.path.exists(os.path.join(self.trail_dir, "tile", "0", "000.p")), "partial ones go")

    def test_lost_and_altered_tiles_are_made_anew(self):
        self.some_records()
        self.checkpoint_of(len(trail.read(self.trail_dir)))
        for path in (tile_path(0, 0, 256), tile_path("entries", 0, 256)):
            with open(os.path.join(self.trail_dir, path), "r+b") as f:
                f.seek(1000)
                byte = f.read(1)
                f.seek(1000)
                f.write(bytes([byte[0] ^ 1]))
        with self.assertRaises(AssertionError):
            walk(self.trail_dir)
        before = checkpoint(self.trail_dir)[1]
        self.lab.kill(self.gateway_processes()["sallyport-auditd"][0], signal.SIGKILL)
        self.checkpoint_of(before + 1)
        self.compare()

    def test_a_proof_for_others(self):
        session = self.some_records(3)
        self.checkpoint_of(len(trail.read(self.trail_dir)))
        text = self.admin("audit", "prove", session[:12]).stdout
        head, note = text.split("\n\n", 1)
        title, extra, index, *hashes = head.split("\n")
        header = base64.b64decode(extra.removeprefix("extra "), validate=True)
        origin, size, root = note.split("\n")[:3]
        self.assertEqual(title, "c2sp.org/tlog-proof@v1")
        self.assertEqual(len(header), 176)
        self.assertEqual(header[32:48].hex(), session)
        number = int(index.removeprefix("index "))
        self.assertEqual(number, [r.index for r in self.records(session=session)][-1])
        self.assertEqual(inclusion_root(number, int(size), hashlib.sha256(b"\0" + header).digest(),
                                        [base64.b64decode(h, validate=True) for h in hashes]),
                         base64.b64decode(root))
        self.assertEqual(origin, checkpoint(self.trail_dir)[0])

        # checked by the tool, away from the gateway's directories
        proof, key = self.lab.path("session.tlog-proof"), self.lab.path("state", "public", "log.pub")
        self.admin("audit", "prove", "--output", proof, session[:12])
        said = self.admin("audit", "prove", "--check", proof, "--log-key", key).stdout
        self.assertIn(f"proved: record {number} (", said)
        self.assertEqual(json.loads(self.admin("audit", "prove", "--check", proof, "--json").stdout)["session"], session)
        with open(proof, encoding="utf-8") as f:
            text = f.read()
        for wrong in (text.replace(index, f"index {number - 1}"), text.replace(hashes[0], hashes[1]),
                      text.replace(f"\n{size}\n", f"\n{int(size) + 1}\n"), text.replace("tlog-proof@v1", "tlog-proof@v2")):
            self.assertNotEqual(wrong, text)
            with open(proof, "w", encoding="utf-8") as f:
                f.write(wrong)
            done = self.admin("audit", "prove", "--check", proof, "--log-key", key, check=False)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertIn("NOT PROVED", done.stdout)

    def test_an_older_checkpoint_goes_on(self):
        kept = self.lab.path("kept.checkpoint")
        with open(os.path.join(self.trail_dir, "checkpoint"), "rb") as f, open(kept, "wb") as to:
            to.write(f.read())
        size = checkpoint(self.trail_dir)[1]
        self.some_records(3)
        self.checkpoint_of(size + 1)
        said = self.admin("audit", "prove", "--consistency", kept).stdout
        self.assertTrue(said.startswith(f"consistency {size} "), said)
        again = json.loads(self.admin("audit", "prove", "--json", "--consistency", str(size)).stdout)
        self.assertEqual(again["from_root"], said.split("\n")[1].removeprefix("root "))
        done = self.admin("audit", "prove", "--consistency", "99999999", check=False)
        self.assertEqual(done.returncode, 2)

    def test_what_cannot_be_proved_is_said(self):
        for words, status, text in ((("99999999999",), 2, "not under the checkpoint"), (("abc",), 2, "named by"),
                                    (("ffffffffffff",), 2, "no session"), ((), 2, "which record"),
                                    (("--check", "/nowhere"), 2, "could not be checked")):
            done = self.admin("audit", "prove", *words, check=False)
            self.assertEqual(done.returncode, status, f"{words} {done.stderr}")
            self.assertIn(text, done.stderr)
