# SPDX-License-Identifier: Apache-2.0
"""Stands as `ssh` before a tool in tests: tap.py DIR CONFIG WORD... runs ssh -F CONFIG WORD..., passes its stdin,
stdout and stderr on, and leaves in DIR what the tool asked for and every byte that went each way, as the tool's side saw
them: NAME.json, NAME.in, NAME.out, NAME.err. It knows nothing of the gateway, so that the trail can be compared with it."""
import json
import os
import subprocess
import sys
import threading
import time

WITH_VALUE = "BbcDEeFIiJLlmOopQRSWw"  # ssh's options that take one


def what_was_asked(words):
    """(host, command) of ssh's words; ssh joins the command's with spaces."""
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        at += 2 if len(words[at]) == 2 and words[at][1] in WITH_VALUE else 1
    at += at < len(words) and words[at] == "--"
    return words[at].rpartition("@")[2], " ".join(words[at + 1:])


def pump(source, sink, kept):
    with open(kept, "wb", buffering=0) as copy:
        while data := os.read(source, 65536):
            copy.write(data)
            try:
                while data:
                    data = data[os.write(sink, data):]
            except BrokenPipeError:
                break  # nobody reads there any more
    if sink > 2:
        os.close(sink)  # stdout's end is ours, so that what was said on stderr is there before it


def say(name, **what):
    with open(name + ".new", "w", encoding="utf-8", errors="surrogateescape") as f:
        json.dump(what, f)
    os.rename(name + ".new", name + ".json")


def main():
    directory, config, words = sys.argv[1], sys.argv[2], sys.argv[3:]
    name = os.path.join(directory, f"{time.time_ns()}-{os.getpid()}")
    host, command = what_was_asked(words)
    for number in range(3):
        os.set_blocking(number, True)  # rsync's are not
    say(name, host=host, command=command, status=None)
    child = subprocess.Popen(["/usr/bin/ssh", "-F", config, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    pumps = [threading.Thread(target=pump, args=a, daemon=True) for a in (
        (0, os.dup(child.stdin.fileno()), name + ".in"), (child.stdout.fileno(), 1, name + ".out"),
        (child.stderr.fileno(), 2, name + ".err"))]
    child.stdin.close()
    for thread in pumps:
        thread.start()
    status = child.wait()
    for thread in pumps[1:]:
        thread.join()
    say(name, host=host, command=command, status=status)
    os._exit(status)  # the tool may keep our stdin open


main()
