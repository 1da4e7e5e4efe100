# SPDX-License-Identifier: Apache-2.0
"""Logs for test_two_verifiers.py that the recorder would never write, though all their links and signatures are right:
SCENARIOS are functions that give a log, or (log, indexes of records whose payloads are not kept, what is done to the
directory then, more words for the verifiers, with DIRECTORY for it). Both verifiers have to say the same about each; EXPECTED says what, for
those where it matters most."""
import base64
import os

import forge
from forge import CONTENT, END, GATEWAY, INPUT, KEY, KEYSTROKES, ONE, OTHER, OUTPUT, PRUNE, RECOVERY, SEAL, SEGMENT, SHUTDOWN, START


def begun():
    log = forge.Log()
    log.begin()
    log.shutdown()
    log.begin("opened")
    return log


def ordinary():
    log = begun()
    log.session()
    log.roll()
    log.session(OTHER)
    log.shutdown()
    return log


def wrong(**fields):
    """A log in which one record's header says something else; what it breaks is not made good."""
    log = begun()
    log.session(end=False)
    log.add(OUTPUT, b"x" * 20, ONE, **{"flags": 1, "data_key": CONTENT, **fields})
    log.add(END, {"reason": "x"}, ONE)
    log.shutdown()
    return log


def sealing(kind, flags, data_key, session=ONE):
    log = begun()
    log.session(end=False)
    log.add(kind, b"{" + b"x" * 20, session, flags=flags, data_key=data_key)
    log.shutdown()
    return log


def seal(session=GATEWAY, **how):
    log = begun()
    log.session()
    log.seal(session=session, **how)
    log.shutdown()
    return log


def line(number, text):
    def change(lines):
        lines[number] = text
        return lines
    return change


def segment(**said):
    log = begun()
    log.session(end=False)
    log.roll(**said)
    log.add(END, {}, ONE)
    log.shutdown()
    return log


def course(*steps):
    """After an orderly start and one session."""
    log = begun()
    log.session()
    for step in steps:
        step(log)
    return log


def stop(log):
    log.run = "shutdown"
    log.add(SHUTDOWN, {"reason": "shutdown"})


def a_seal(log):
    log.seal()


def last_seal(log):
    log.seal(next_log=forge.Key("forge.test/sallyport/1/anchor").text)


def opened(log):
    log.begin("opened")


def begin(log):
    log.begin("begin")


def roll(log):
    log.roll()


def recover(log):
    log.recover()


def more(log):
    log.add(END, {}, OTHER)


def pruned(dropped, says=lambda log, n: log.prune(0, n, 30 * n), segments=1):
    """One payload or more are gone; records from 4 on: opened, start, keys, three outputs, end."""
    log = begun()
    log.session()
    log.roll()
    log.session(OTHER)
    said = says(log, len(dropped))
    log.shutdown()
    return log, dropped if segments == 1 else dropped + [said]


SCENARIOS = {
    "ordinary": ordinary,
    # Headers.
    "magic": lambda: wrong(magic=b"SPA2"), "header length": lambda: wrong(header=175), "flag": lambda: wrong(flags=3),
    "reserved": lambda: wrong(reserved=1), "epoch later": lambda: wrong(epoch=2), "epoch earlier": lambda: wrong(epoch=0),
    "sequence": lambda: wrong(sequence=9), "session's previous": lambda: wrong(session_previous=b"x" * 32),
    "payload hash": lambda: wrong(hash=b"x" * 32), "index over": lambda: wrong(index=99), "index below": lambda: wrong(index=1),
    "previous": lambda: wrong(previous=b"x" * 32), "previous, index over": lambda: wrong(previous=b"x" * 32, index=99),
    "previous, index below": lambda: wrong(previous=b"x" * 32, index=1), "time": lambda: wrong(real=1),
    "boot time": lambda: wrong(boot=1), "channel": lambda: wrong(channel=1 << 31),
    # Which types are sealed.
    "output in the clear": lambda: sealing(OUTPUT, 0, 0), "output by key 2": lambda: sealing(OUTPUT, 1, KEYSTROKES),
    "output by key 7": lambda: sealing(OUTPUT, 1, 7), "flag without key": lambda: sealing(OUTPUT, 1, 0),
    "key without flag": lambda: sealing(OUTPUT, 0, CONTENT), "a sealed alarm": lambda: sealing(26, 1, CONTENT),
    "a sealed key record": lambda: sealing(KEY, 1, CONTENT), "input by key 1": lambda: sealing(INPUT, 1, CONTENT),
    "unknown type": lambda: sealing(99, 0, 0), "type 0": lambda: sealing(0, 0, 0),
    "sealed output of the gateway": lambda: sealing(OUTPUT, 1, CONTENT, GATEWAY),
    # Seals.
    "seal": seal, "seal of a session": lambda: seal(session=ONE), "seal with flag": lambda: seal(flags=1, data_key=1),
    "seal by the log key": lambda: seal(signer=forge.Key("forge.test/sallyport/0")),
    "seal by the next key": lambda: seal(signer=forge.Key("forge.test/sallyport/0/epoch/2")),
    "seal, version": lambda: seal(change=line(0, "sallyport-seal-v2")),
    "seal, origin": lambda: seal(change=line(1, "forge.test/sallyport/1")),
    "seal, epoch": lambda: seal(change=line(2, "2")), "seal, zeroes": lambda: seal(change=line(2, "01")),
    "seal, first": lambda: seal(change=line(3, "3")), "seal, size": lambda: seal(change=line(4, "9")),
    "seal, root": lambda: seal(change=line(5, "A" * 43 + "=")), "seal, start": lambda: seal(change=line(6, "1 1")),
    "seal, end": lambda: seal(change=line(7, "1 1")), "seal, next key": lambda: seal(change=line(8, "x")),
    "seal, next key's name": lambda: seal(change=line(8, forge.Key("forge.test/sallyport/0/epoch/9").text)),
    "seal, a line more": lambda: seal(change=lambda l: l + ["more"]),
    "seal, next-log without key": lambda: seal(change=lambda l: l + ["next-log x"]),
    "seal, next-log and more": lambda: seal(change=lambda l: l + ["next-log " + forge.Key("a/1/anchor").text, "more"]),
    "seal, two signatures": lambda: seal(lie=lambda n: n + forge.Key("a").line(bytes(64)).encode()),
    "seal, other epoch in its header": lambda: seal(epoch=2),
    # Segment records.
    "segment, origin": lambda: segment(origin="x"), "segment, first": lambda: segment(first=3),
    "segment, epoch": lambda: segment(epoch=0), "segment, epoch key": lambda: segment(epoch_key=forge.Key("x").text),
    "segment, epoch first": lambda: segment(epoch_first=1), "segment, epoch real": lambda: segment(epoch_real_ns=1),
    "segment, epoch boot": lambda: segment(epoch_boot_ns=1), "segment, run": lambda: segment(run="ended"),
    "segment, no run": lambda: segment(run=None), "segment, tree": lambda: segment(merkle=["00" * 32]),
    "segment, no sessions": lambda: segment(sessions=[]), "segment, sessions missing": lambda: segment(sessions=None),
    "segment, member more": lambda: segment(more=1), "segment of a session": lambda: course(lambda l: l.segments.update({l.count: []}),
                                                                                            lambda l: l.add(SEGMENT, {}, ONE)),
    "segment, sealed": lambda: course(lambda l: l.segments.update({l.count: []}), lambda l: l.add(SEGMENT, {}, flags=1, data_key=1)),
    "segment, none": lambda: course(lambda l: l.segments.update({l.count: []}), more),
    "segment in the middle": lambda: course(lambda l: l.add(SEGMENT, {})),
    # The recorder's course.
    "no shutdown": lambda: course(more), "shutdown without seal": lambda: course(stop),
    "shutdown, segment, seal": lambda: course(stop, roll, a_seal), "shutdown, more": lambda: course(stop, more),
    "shutdown, shutdown": lambda: course(stop, stop), "shutdown, opened": lambda: course(stop, opened),
    "shutdown, recovery, opened": lambda: course(stop, recover, opened, more),
    "shutdown, recovery, seal, opened": lambda: course(stop, recover, a_seal, opened),
    "seal, more": lambda: course(stop, a_seal, more), "seal, segment, opened": lambda: course(stop, a_seal, roll, opened, more),
    "seal, recovery, opened": lambda: course(stop, a_seal, recover, opened), "seal, seal": lambda: course(stop, a_seal, a_seal),
    "seal, shutdown": lambda: course(stop, a_seal, stop), "going, opened": lambda: course(opened),
    "going, begin": lambda: course(begin), "going, recovery, opened": lambda: course(recover, opened, more),
    "going, recovery, segment, opened": lambda: course(recover, roll, opened, more),
    "recovery, more": lambda: course(recover, more), "recovery, recovery": lambda: course(recover, recover, opened),
    "recovery, shutdown": lambda: course(recover, stop, a_seal), "recovery, begin": lambda: course(recover, begin),
    "recovery of a session": lambda: course(lambda l: l.add(RECOVERY, {}, ONE), opened),
    "shutdown of a session": lambda: course(lambda l: l.add(SHUTDOWN, {}, ONE), more),
    "ended, begin": lambda: course(stop, a_seal, begin),
    "next log": lambda: course(stop, last_seal), "next log, more": lambda: course(stop, last_seal, more),
    "next log, opened": lambda: course(stop, last_seal, opened), "next log, recovery": lambda: course(stop, last_seal, recover),
    "next log, no shutdown": lambda: course(last_seal), "next log, segment": lambda: course(stop, last_seal, roll),
    "next log after recovery": lambda: course(recover, stop, last_seal),
    # Pruned segments.
    "pruned": lambda: pruned([7, 8]), "pruned, all of it": lambda: pruned([6, 7, 8, 9]),
    "pruned, one more": lambda: pruned([7, 8, 9], lambda l, n: l.prune(0, 2, 90)),
    "pruned, one less": lambda: pruned([7, 8], lambda l, n: l.prune(0, 3, 90)),
    "pruned, nobody says so": lambda: pruned([7, 8], lambda l, n: 0),
    "pruned, another segment is said": lambda: pruned([7, 8], lambda l, n: l.prune(11, n, 60)),
    "pruned, bytes": lambda: pruned([7, 8], lambda l, n: l.prune(0, n, 1)),
    "pruned, in two orders": lambda: pruned([7, 8], lambda l, n: (l.prune(0, 1, 31), l.prune(0, 1, 31))[1]),
    "pruned, said by a session": lambda: pruned([7, 8], lambda l, n: l.add(PRUNE, {"segments": [{"first": 0, "records": n}]}, ONE)),
    "pruned, no list": lambda: pruned([7, 8], lambda l, n: l.add(PRUNE, {"act": "prune-before"})),
    "pruned, no JSON": lambda: pruned([7, 8], lambda l, n: l.add(PRUNE, b"x")),
    "pruned, bad number": lambda: pruned([7, 8], lambda l, n: l.add(PRUNE, {"segments": [{"first": 0, "records": -1}]})),
    "pruned, no bytes": lambda: pruned([7, 8], lambda l, n: l.add(PRUNE, {"segments": [{"first": 0, "records": 2}]})),
    "pruned, release": lambda: pruned([7, 8], lambda l, n: l.prune(0, n, 90, act="release-session")),
    "pruned, a start": lambda: pruned([5]), "pruned, the gateway's key": lambda: pruned([4]), "pruned, an end": lambda: pruned([10]),
    "pruned, the segment record": lambda: pruned([0]), "pruned, a seal": lambda: pruned([3]),
    "pruned, the prune record": lambda: pruned([7], segments=2),
}


# --- files, notes, checkpoints: what is done to a good log's directory --------------------------------------------------

FIRST, SECOND = f"{0:016x}.spa", f"{11:016x}.spa"
PRUNED = f"{0:016x}.spp"
NOTHING = base64.b64encode(forge.sha(b"")).decode()


def put(name, change):
    """The file's bytes (none, where it is not there) are replaced by what `change` makes of them; None: it is removed."""
    def act(directory):
        path = os.path.join(directory, name)
        data = b""
        if os.path.exists(path):
            with open(path, "rb") as f:
                data = f.read()
            os.unlink(path)
        data = change(data)
        if data is not None:
            forge.Log.put(directory, name, data)
    return act


def rename(old, new):
    return lambda directory: os.rename(os.path.join(directory, old), os.path.join(directory, new))


def removed(*names):
    def act(directory):
        for name in names:
            os.unlink(os.path.join(directory, name))
    return act


def file(name, change, log=ordinary):
    return lambda: (log(), (), put(name, change))


def flipped(at):
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1:] if at != -1 else data[:-1] + bytes([data[-1] ^ 1])


def checkpoint(text=None, note=lambda log, note: note):
    """A checkpoint with another text (size and root go into it), or another note."""
    def make():
        log = ordinary()
        if text:
            log.notes["checkpoint"] = log.log.note(text.format(o=log.origin, r=base64.b64encode(log.root()).decode()))
        log.notes["checkpoint"] = note(log, log.notes.get("checkpoint") or log.checkpoint())
        return log
    return make


def signed_too(signature=bytes(64), name="other", kind=1):
    return checkpoint(note=lambda log, note: note + forge.Key(name or log.origin, kind).line(signature).encode())


def anchor(change):
    def make():
        log = ordinary()
        log.notes["anchor.note"] = change(log, log.notes["anchor.note"])
        return log
    return make


def anchored(number, text):
    """A note that the anchor signed, with another line in it."""
    def change(log, note):
        lines = note.decode().split("\n\n")[0].split("\n")
        lines[number] = text
        return log.anchor.note("\n".join(lines) + "\n")
    return anchor(change)


def session(number=1, **said):
    """Another state of a session in a segment record."""
    def make():
        log = begun()
        log.session(end=False)
        listed = [{"id": i.hex(), **{k: v.hex() if k == "leaf" else v for k, v in s.items()}} for i, s in log.sessions.items()]
        listed[number].update(said)
        log.roll(sessions=listed)
        log.shutdown()
        return log
    return make


def unsigned_tail(change):
    """Records behind the checkpoint."""
    def make():
        log = ordinary()
        log.checkpoint()
        log.begin("opened")
        log.add(END, {"reason": "x" * 40}, OTHER)
        return log, (), put(SECOND, change)
    return make


def of_pruned(name, change):
    return lambda: pruned([7, 8]) + (put(name, change),)


def only_pruned(change=lambda data: data):
    log = begun()
    log.session()
    log.prune(0, 2, 60)
    log.shutdown()
    return log, [7, 8], put(PRUNED, change)


def cut_off_and_pruned():
    log, dropped = pruned([7, 8, 9], lambda l, n: l.prune(0, 2, 90))
    log.notes["checkpoint"] = log.log.note(f"{log.origin}\n25\n{NOTHING}\n")
    return log, dropped


WITNESS, STRANGER = forge.Key("w.test/w", forge.notes.COSIGNER_KEY), forge.Key("v.test/w", forge.notes.COSIGNER_KEY)


def witnessed(size=None, change=lambda note: note, by=WITNESS, signer=None, trusted=(WITNESS,)):
    def make():
        log = ordinary()
        note = log.checkpoint() if size is None else (signer or log.log).note(f"{log.origin}\n{size}\n{NOTHING}\n")
        log.notes["checkpoint.witnessed"] = change(by.cosigned(note, 1_700_000_000))
        return log, (), lambda directory: None, [w for t in trusted for w in ("--witness", t.text)]
    return make


def known(size=None, change=lambda note: note, signer=None):
    def make():
        log = ordinary()
        note = log.checkpoint() if size is None else (signer or log.log).note(f"{log.origin}\n{size}\n{NOTHING}\n")
        return log, (), put("kept", lambda _: change(note)), ["--known", "DIRECTORY/kept"]
    return make


SCENARIOS |= {
    "checkpoint of nothing": checkpoint("{o}\n0\n" + NOTHING + "\n"), "checkpoint of 0, other root": checkpoint("{o}\n0\n{r}\n"),
    **{f"checkpoint of {n}": checkpoint("{o}\n" + n + "\n{r}\n") for n in
       ("1", "10", "11", "12", "19", "20", "21", "020", "-1", "+20", " 20", "20 ", "", "x", str(2**63), str(2**64 - 1), str(2**64))},
    "checkpoint of another": checkpoint("x\n20\n{r}\n"), "checkpoint, four lines": checkpoint("{o}\n20\n{r}\nmore\n"),
    "checkpoint, two lines": checkpoint("{o}\n20\n"), "checkpoint, an empty line": checkpoint("{o}\n20\n{r}\n\n"),
    "checkpoint, short root": checkpoint("{o}\n20\nAAAA\n"), "checkpoint, root's last bits": checkpoint("{o}\n20\n" + "A" * 42 + "B=\n"),
    "checkpoint, signed too": signed_too(), "checkpoint, signed too, short": signed_too(b""),
    "checkpoint, own name, other key": signed_too(name=None, kind=4), "checkpoint, own key, bad": signed_too(name=None),
    "checkpoint, own key, short": signed_too(bytes(3), name=None),
    "checkpoint, bad one first": checkpoint(note=lambda l, n: n.replace(b"\n\n", b"\n\n" + l.log.line(bytes(64)).encode())),
    "checkpoint, other's first": checkpoint(note=lambda l, n: n.replace(b"\n\n", b"\n\n" + STRANGER.line(bytes(9)).encode())),
    "checkpoint, no signature first": checkpoint(note=lambda l, n: n.replace(b"\n\n", b"\n\nx\n")),
    "checkpoint, no signature behind": checkpoint(note=lambda l, n: n + b"x\n"),
    "checkpoint, empty line behind": checkpoint(note=lambda l, n: n + b"\n"),
    "checkpoint, other's alone": checkpoint(note=lambda l, n: STRANGER.note(n.decode().split("\n\n")[0] + "\n")),
    "checkpoint, no last newline": checkpoint(note=lambda l, n: n[:-1]), "checkpoint, empty": checkpoint(note=lambda l, n: b""),
    "checkpoint, tab": checkpoint(note=lambda l, n: n.replace(b"\n2", b"\n\t2")),
    "checkpoint, DEL": checkpoint(note=lambda l, n: l.log.note(f"{l.origin}\n20\x7f\n{NOTHING}\n")),
    "checkpoint, no UTF-8": checkpoint(note=lambda l, n: n.replace(b"\n\n", b"\xff\n\n")),
    "checkpoint, text alone": checkpoint(note=lambda l, n: n.split(b"\n\n")[0] + b"\n"),
    "checkpoint, nothing behind": checkpoint(note=lambda l, n: n.split(b"\n\n")[0] + b"\n\n"),
    "checkpoint, a long one": checkpoint(note=lambda l, n: n + STRANGER.line(bytes(60000)).encode()),
    "checkpoint, 600 signatures": checkpoint(note=lambda l, n: n + STRANGER.line(bytes(64)).encode() * 600),
    "no checkpoint": lambda: (ordinary(), (), removed("checkpoint")), "no anchor": lambda: (ordinary(), (), removed("anchor.note")),
    "anchor by another": anchor(lambda l, n: STRANGER.note(n.decode().split("\n\n")[0] + "\n")),
    "anchor signed too": anchor(lambda l, n: n + STRANGER.line(bytes(64)).encode()),
    "anchor, version": anchored(0, "sallyport-anchor-v2"), "anchor, origin": anchored(1, "x"),
    "anchor, log key": anchored(2, forge.Key("x").text), "anchor, no log key": anchored(2, "x"),
    "anchor, epoch key": anchored(3, forge.Key("x").text), "anchor, no epoch key": anchored(3, "x"),
    "anchor, genesis": anchored(4, "00" * 32), "anchor, a line more": anchored(4, "00" * 32 + "\nmore"),
    "last segment gone": lambda: (ordinary(), (), removed(SECOND)), "first segment gone": lambda: (ordinary(), (), removed(FIRST)),
    "no segment": lambda: (ordinary(), (), removed(FIRST, SECOND)),
    "segment renamed, later": lambda: (ordinary(), (), rename(SECOND, f"{12:016x}.spa")),
    "segment renamed, earlier": lambda: (ordinary(), (), rename(SECOND, f"{9:016x}.spa")),
    "first segment renamed": lambda: (ordinary(), (), rename(FIRST, f"{3:016x}.spa")),
    "an empty one behind": file(f"{20:016x}.spa", lambda d: b""), "an empty one elsewhere": file(f"{25:016x}.spa", lambda d: b""),
    "an upper-case name": file("000000000000000B.spa", lambda d: b"x"), "a short name": file("b.spa", lambda d: b"x"),
    "first segment ends early": file(FIRST, lambda d: d[:-5]), "first segment has more": file(FIRST, lambda d: d + b"x"),
    "first segment is empty": file(FIRST, lambda d: b""), "second segment is empty": file(SECOND, lambda d: b""),
    **{f"tail: {len(t)} bytes of {t[:1]!r}": file(SECOND, lambda d, t=t: d + t) for t in
       (b"x" * 10, b"x" * 175, b"x" * 176, b"x" * 200, bytes(10), bytes(400), b"SPA")},
    "tail: a record twice": file(SECOND, lambda d: d + forge.split(d)[-1]),
    **{f"behind the checkpoint: less {n}": unsigned_tail(lambda d, n=n: d[:-n]) for n in (1, 40, 52, 60, 200, 228, 229, 300)},
    "behind the checkpoint: payload": unsigned_tail(flipped(-1)), "behind the checkpoint: header": unsigned_tail(flipped(-100)),
    "behind the checkpoint: zeroes": unsigned_tail(lambda d: d[:-30] + bytes(30)),
    "behind the checkpoint: header cut": unsigned_tail(lambda d: d[:-120] + b"\xff" * 100),
    **{f"session in a segment record: {k}": session(**{k: v}) for k, v in
       {"sequence": 9, "leaf": "00" * 32, "started": False, "ended": True, "judged": True, "start_ns": 5, "bytes_in": 5,
        "bytes_out": -1, "id": "77" * 16}.items()},
    "session in a segment record: twice": session(id="00" * 16), "session in a segment record: no id": session(id="x"),
    "session in a segment record: the gateway": session(0, sequence=1),
    "pruned, cut off too": cut_off_and_pruned, "pruned, .spa there too": of_pruned(FIRST, lambda d: b"junk" * 90),
    "pruned, magic": of_pruned(PRUNED, lambda d: b"SPP2" + d[4:]), "pruned, empty": of_pruned(PRUNED, lambda d: b""),
    "pruned, magic alone": of_pruned(PRUNED, lambda d: d[:4]), "pruned, half a magic": of_pruned(PRUNED, lambda d: d[:2]),
    "pruned, not kept": of_pruned(PRUNED, lambda d: d[:4] + b"\0" + d[5:]), "pruned, kept 2": of_pruned(PRUNED, lambda d: d[:4] + b"\2" + d[5:]),
    "pruned, cut": of_pruned(PRUNED, lambda d: d[:2500]), "pruned, more": of_pruned(PRUNED, lambda d: d + b"x"),
    "pruned, a header": of_pruned(PRUNED, flipped(2600)), "pruned, last one": lambda: pruned([7, 8]) + (removed(SECOND),),
    "pruned alone": only_pruned, "pruned alone, cut": lambda: only_pruned(lambda d: d[:-5]),
    "pruned alone, a tail": lambda: only_pruned(lambda d: d + b"\1" + b"x" * 40),
    "witnessed": witnessed(), "witnessed, not trusted": witnessed(trusted=()), "witnessed, by another": witnessed(by=STRANGER),
    "witnessed, two trusted": witnessed(trusted=(STRANGER, WITNESS)), "witnessed, of more": witnessed(25),
    "witnessed, of more, not trusted": witnessed(25, trusted=()), "witnessed, other root": witnessed(15),
    "witnessed, other root, not trusted": witnessed(15, trusted=()), "witnessed, not by the log": witnessed(15, signer=STRANGER),
    "witnessed, bad cosignature": witnessed(25, lambda n: n[:-8] + b"AAAAAA=\n"), "witnessed, broken": witnessed(25, lambda n: n[:-3]),
    "witnessed, short cosignature": witnessed(25, lambda n: n.split(b"\n\n")[0] + b"\n\n" + n.split(b"\n\n")[1].split(b"\n")[0] +
                                              b"\n" + WITNESS.line(bytes(64)).encode()),
    "known": known(), "known, of more": known(25), "known, other root": known(15), "known, not by the log": known(15, signer=STRANGER),
    "known, junk": known(15, lambda n: b"junk"), "known, none": known(15, lambda n: None), "known, of 0": known(0),
}

EXPECTED = {
    "ordinary": "verified", "pruned": "verified", "pruned, one more": "missing", "pruned, nobody says so": "missing",
    "pruned, a start": "edited", "going, opened": "missing", "shutdown, opened": "missing", "next log": "verified",
    "next log, more": "edited", "seal by the log key": "not signed", "seal, two signatures": "edited", "epoch later": "unsealed",
    "checkpoint of 21": "cut", "checkpoint of 19": "edited", "last segment gone": "cut", "first segment gone": "missing",
    "segment, origin": "edited", "segment, tree": "edited", "witnessed, of more": "cut", "known, of more": "cut",
    "known, other root": "edited", "known, junk": "not checked", "pruned, magic": "edited", "previous, index below": "reordered",
    "going, recovery, opened": "verified", "checkpoint, other's alone": "not signed", "anchor by another": "not signed",
}
