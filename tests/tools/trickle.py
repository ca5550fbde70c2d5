#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A thousand datagrams a second at a port that should be shut: how long was it open?

  trickle.py recv PORT OUT          UDP, IPv4 and IPv6: the kernel's receive stamp (ns, CLOCK_REALTIME) of each, a line
  trickle.py send PORT ADDRESS...   to each address in turn, one a millisecond, until ended
"""
import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35


def recv(port, out):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.bind(("::", port))
    with open(out, "w", buffering=1) as file:
        while True:
            _, ancillary, _, _ = sock.recvmsg(100, 100)
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            file.write(f"{seconds * 10**9 + nanoseconds}\n")


def send(port, addresses):
    socks = [(socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_DGRAM), a) for a in addresses]
    while True:
        for sock, address in socks:
            try:
                sock.sendto(b"trickle", (address, port))
            except OSError:
                pass
            time.sleep(0.001)


if sys.argv[1] == "recv":
    recv(int(sys.argv[2]), sys.argv[3])
else:
    send(int(sys.argv[2]), sys.argv[3:])
