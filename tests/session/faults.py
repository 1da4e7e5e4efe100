# SPDX-License-Identifier: Apache-2.0
"""Disks that fail: the recorder runs with tests/fault/faults.c before the C library, through a wrapper in a
--libexec directory of the lab's own (the supervisor starts programs with an empty environment). What fails when is
written into a file that both have mapped."""
import errno
import mmap
import os
import struct

RULE = struct.Struct("=QQQIIII")
OPERATIONS = ("write", "fdatasync", "fsync", "rename", "fallocate", "ftruncate", "segment")


class Faults:
    def __init__(self, directory, build, program="sallyport-auditd"):
        self.libexec = os.path.join(directory, "libexec")
        os.makedirs(self.libexec)
        path = os.path.join(directory, "faults")
        with open(path, "wb") as f:
            f.write(bytes(RULE.size * len(OPERATIONS)))
        for name in os.listdir(build):
            if name.startswith("sallyport-") and name != program and not os.path.isdir(os.path.join(build, name)):
                os.symlink(os.path.join(build, name), os.path.join(self.libexec, name))
        wrapper = os.path.join(self.libexec, program)
        with open(wrapper, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\nexport SALLYPORT_FAULTS={path} LD_PRELOAD={build}/tests/fault/faults.so\n"
                    f"export ASAN_OPTIONS=verify_asan_link_order=0\nexec {build}/{program} \"$@\"\n")
        os.chmod(wrapper, 0o755)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), RULE.size * len(OPERATIONS))

    def set(self, operation, nth=1, count=1, error=0, delay_ms=0, most=0):
        """From the nth call on counted from now, `count` of them: an errno, a delay, a write of `most` bytes."""
        at = OPERATIONS.index(operation) * RULE.size
        self.map[at:at + RULE.size] = RULE.pack(0, 0, 0, 0, 0, 0, 0)
        error = getattr(errno, error) if isinstance(error, str) else error
        self.map[at + 16:at + RULE.size] = struct.pack("=QIIII", count, error, delay_ms, most, 0)
        self.map[at:at + 16] = struct.pack("=QQ", 0, nth)

    def clear(self):
        self.map[:] = bytes(len(self.map))

    def seen(self, operation):
        at = OPERATIONS.index(operation) * RULE.size
        return struct.unpack_from("=Q", self.map, at)[0]
