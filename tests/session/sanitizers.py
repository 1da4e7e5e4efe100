# SPDX-License-Identifier: Apache-2.0
"""What the tests cannot expect of a build with AddressSanitizer (./check --sanitize): it has no seccomp, its
programs may be traced by their own leak checker, it keeps freed memory back and pads what is in use, so that
a bound on memory says nothing there, and it reserves more addresses than a bound on them would leave."""
import contextlib
import os
import re

import lablib

with open(os.path.join(os.environ.get("SALLYPORT_BUILD") or lablib.find_build(None), "sallyportd"), "rb") as program:
    SANITIZED = b"__asan_init" in program.read()

# Of /proc/PID/status.
SECCOMP = "0" if SANITIZED else "2"


def assert_memory_below(test, kib, bound, what="memory"):
    if SANITIZED:
        print(f"note {test.id()}: {kib} KiB not held to {bound}: AddressSanitizer keeps freed memory back", flush=True)
    else:
        test.assertLess(kib, bound, f"{what}, KiB")


def report(logfile):
    """The first that a sanitizer had to say in a log; None: nothing."""
    with contextlib.suppress(FileNotFoundError), open(logfile, encoding="utf-8", errors="replace") as f:
        found = re.search(r"^.*(?:ERROR: \w*Sanitizer|runtime error:|LeakSanitizer has).*(?:\n.*){0,30}", f.read(), re.M)
        return found and found[0]
