#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A listener that was taken over, in the place of sallyport-listener: it answers the supervisor's start, and for each
connection does what the file $HOSTILE_LISTENER beside its link says, by the name of the act."""
import os
import socket
import struct
import sys

START, STARTED, ACCEPT, READY, FAILED, PROXIED = 1, 2, 3, 4, 7, 9
link = socket.socket(fileno=3)


def act(name, conn):
    named = struct.pack(">QB", conn, 4) + bytes([192, 0, 2, 77]) + bytes(12) + struct.pack(">H", 5)
    ready = struct.pack(">QHBI", conn, 0, 0, 0)
    return {
        "name": [(PROXIED, named)],
        "name-twice": [(PROXIED, named), (PROXIED, named)],
        "name-mapped": [(PROXIED, struct.pack(">QB", conn, 6) + bytes(10) + b"\xff\xff\xc0\0\x02\x07\0\x05")],
        "name-family": [(PROXIED, struct.pack(">QB", conn, 7) + bytes(16) + b"\0\x05")],
        "name-rest": [(PROXIED, struct.pack(">QB", conn, 4) + bytes([192, 0, 2, 77]) + bytes(11) + b"\x01\0\x05")],
        "ready-unnamed": [(READY, ready)],
        "check": [(FAILED, struct.pack(">QBH", conn, 7, 0))],
    }[name]


while packet := link.recv(65536):
    number = struct.unpack(">H", packet[:2])[0]
    if number == START:
        link.send(struct.pack(">H", STARTED))
    elif number == ACCEPT:
        conn = struct.unpack(">Q", packet[2:10])[0]
        with open(os.path.join(os.path.dirname(sys.argv[0]), "act"), encoding="ascii") as f:
            for kind, fields in act(f.read(), conn):
                link.send(struct.pack(">H", kind) + fields)
