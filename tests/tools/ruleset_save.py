#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stores what the kernel answers when somebody reads all of nf_tables: tables, chains, sets, elements, rules.

  ruleset_save.py FILE     netlink messages one behind the other, as tests/unit/firewall_foreign_test.c reads them
"""
import socket
import struct
import sys

NETLINK_NETFILTER, NLM_F_REQUEST, NLM_F_DUMP, NLMSG_DONE, SUBSYS = 12, 1, 0x300, 3, 10
GETTABLE, GETCHAIN, GETRULE, GETSET, NEWSET, GETSETELEM = 1, 4, 7, 10, 9, 13
TABLE, NAME = 1, 2


def attribute(kind, value):
    return struct.pack("=HH", len(value) + 4, kind) + value + b"\0" * (-len(value) % 4)


def messages(data):
    at = 0
    while at < len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        yield kind, data[at:at + length] + b"\0" * (-length % 4)
        at += (length + 3) & ~3


def dump(s, kind, family=0, attributes=b""):
    body = struct.pack("=BBH", family, 0, 0) + attributes
    s.send(struct.pack("=IHHII", 16 + len(body), SUBSYS << 8 | kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
    found = []
    while True:
        for kind, message in messages(s.recv(1 << 20)):
            if kind == NLMSG_DONE:
                return found
            if kind == 2:
                raise SystemExit(f"error {struct.unpack_from('=i', message, 16)[0]}")
            found.append(message)


def attributes(message):
    at, found = 20, {}
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        found[kind & 0x3FFF] = message[at + 4:at + length]
        at += max(4, (length + 3) & ~3)
    return found


with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as s:
    sets = dump(s, GETSET)
    elements = []
    for message in sets:
        known = attributes(message)
        elements += dump(s, GETSETELEM, message[16], attribute(TABLE, known[TABLE]) + attribute(NAME, known[NAME]))
    stored = dump(s, GETTABLE) + dump(s, GETCHAIN) + sets + elements + dump(s, GETRULE)
with open(sys.argv[1], "wb") as f:
    f.write(b"".join(stored))
