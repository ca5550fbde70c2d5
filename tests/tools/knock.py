#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Knocks at a host 100 times a second until it is ended: TCP, UDP and echo, IPv4 and IPv6 in turn.

  knock.py PORT ADDRESS...     prints at the end how many packets were sent, e.g. "3570 IPv4, 3571 IPv6 in 71.4 s"

It does not look for answers: a capture beside it sees all of them, also those that a socket would not.
"""
import itertools
import signal
import socket
import struct
import sys
import time

RATE = 100


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(address, number):
    if ":" in address:
        knock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        packet = struct.pack("!BBHHH", 128, 0, 0, 0x4B4B, number & 0xFFFF)  # the kernel adds the checksum
    else:
        knock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        packet = struct.pack("!BBHHH", 8, 0, 0, 0x4B4B, number & 0xFFFF)
        packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
    with knock:
        knock.sendto(packet, (address, 0))


def udp(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as knock:
        knock.sendto(b"knock", (address, port))


def tcp(address, port):
    """One SYN from a port of its own; closed at the next turn, before it is sent again."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    knock = socket.socket(family, socket.SOCK_STREAM)
    knock.setblocking(False)
    knock.connect_ex((address, port))
    return knock


def main():
    port, addresses = int(sys.argv[1]), sys.argv[2:]
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    sent, open_ones = {"IPv4": 0, "IPv6": 0}, []
    started = time.monotonic()
    for turn, (kind, address) in enumerate(itertools.cycle(itertools.product(("tcp", "udp", "echo"), addresses))):
        if ended:
            break
        try:
            if kind == "tcp":
                open_ones.append(tcp(address, port))
            elif kind == "udp":
                udp(address, port)
            else:
                echo(address, turn)
            sent["IPv6" if ":" in address else "IPv4"] += 1
        except OSError:
            pass  # nobody there: the host is down, or its neighbour entry failed
        if len(open_ones) > 20:
            open_ones.pop(0).close()
        time.sleep(max(0, started + (turn + 1) / RATE - time.monotonic()))
    print(f"{sent['IPv4']} IPv4, {sent['IPv6']} IPv6 in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
