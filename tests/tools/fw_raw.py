#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Single packets that ordinary sockets do not send, and what comes of them.

  fw_raw.py udp SOURCE SPORT DEST DPORT IFNAME       a datagram from a fixed port; 0 where it is answered
  fw_raw.py solicit SOURCE TARGET HOPLIMIT IFNAME    a neighbour solicitation; 0 where an advertisement comes
  fw_raw.py listeners IFNAME                         an MLD general query; 0 where a report comes
  fw_raw.py related PID_A PID_B A B PORT COMMAND...  A's UDP socket (namespace of PID_A) sends to B (of PID_B); after COMMAND
                                                     B sends a port unreachable about it; 0 where A's socket hears of it
"""
import ctypes
import os
import socket
import struct
import subprocess
import sys
import time

WAIT = 0.4 + 0.1 * float(os.environ.get("TEST_SCALE", "1"))
IPV6_HOPOPTS = 54
ROUTER_ALERT = b"\0\0" + b"\x05\x02\0\0" + b"\x01\0"


def ones_sum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def answered(s):
    s.settimeout(WAIT)
    try:
        s.recv(2000)
    except OSError:
        return 1
    return 0


def udp(source, sport, dest, dport, ifname):
    v6 = ":" in source
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        scope = (0, socket.if_nametoindex(ifname)) if v6 else ()
        s.bind((source, int(sport), *scope))
        s.sendto(b"question", (dest, int(dport), *scope))
        return answered(s)


def icmp6_heard(ifname, kinds, about=b""):
    """A packet socket, and a function that waits for one of these ICMPv6 types from somebody else, with these bytes in it."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
    s.bind((ifname, 0x86DD))

    def heard():
        until = time.monotonic() + WAIT * 2
        while time.monotonic() < until:
            s.settimeout(max(0.01, until - time.monotonic()))
            try:
                data, where = s.recvfrom(2000)
            except OSError:
                return 1
            at = 40 + (8 if data[6] == 0 else 0)
            if where[2] != socket.PACKET_OUTGOING and data[6] in (0, 58) and data[at] in kinds and about in data[at:]:
                return 0
        return 1
    return heard


def solicit(source, target, hop_limit, ifname):
    heard = icmp6_heard(ifname, (136,), socket.inet_pton(socket.AF_INET6, target))
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, int(hop_limit))
        s.bind((source, 0, 0, socket.if_nametoindex(ifname)))
        wanted = socket.inet_pton(socket.AF_INET6, target)
        group = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + wanted[13:])
        mac = bytes.fromhex(open(f"/sys/class/net/{ifname}/address").read().strip().replace(":", "")) \
            if os.path.exists(f"/sys/class/net/{ifname}/address") else b"\2\0\0\0\0\x09"
        s.sendto(struct.pack("!BBHI", 135, 0, 0, 0) + wanted + b"\1\1" + mac, (group, 0, 0, socket.if_nametoindex(ifname)))
        return heard()


def listeners(ifname):
    heard = icmp6_heard(ifname, (131, 143))
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, b"\x3a" + ROUTER_ALERT[1:])
        query = struct.pack("!BBHHH", 130, 0, 0, 100, 0) + bytes(16) + struct.pack("!BBH", 2, 1, 0)
        s.sendto(query, ("ff02::1", 0, 0, socket.if_nametoindex(ifname)))
        return heard()


def enter(pid):
    with open(f"/proc/{pid}/ns/net") as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")


def related(pid_a, pid_b, a, b, port, *command):
    family = socket.AF_INET6 if ":" in a else socket.AF_INET
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter(pid_a)
    asking = socket.socket(family, socket.SOCK_DGRAM)
    asking.bind((a, 0))
    asking.connect((b, int(port)))
    enter(pid_b)
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP)
    raw.bind((b, 0))
    listening = socket.socket(family, socket.SOCK_DGRAM)  # or B's kernel would complain by itself, too early
    listening.bind((b, int(port)))
    ctypes.CDLL(None).setns(own, 0x40000000)
    asking.send(b"question")
    sport = asking.getsockname()[1]
    body = struct.pack("!HHHH", sport, int(port), 16, 0) + b"question"
    if family == socket.AF_INET6:
        quoted = struct.pack("!IHBB", 6 << 28, len(body), 17, 64) + socket.inet_pton(family, a) + socket.inet_pton(family, b) + body
        packet = struct.pack("!BBHI", 1, 4, 0, 0) + quoted
    else:
        quoted = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0) + socket.inet_aton(a) + socket.inet_aton(b)
        quoted = quoted[:10] + struct.pack("!H", ones_sum(quoted)) + quoted[12:] + body
        packet = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
        packet = packet[:2] + struct.pack("!H", ones_sum(packet)) + packet[4:]
    if command and subprocess.run(command).returncode:
        return 2
    raw.sendto(packet, (a, 0))
    asking.settimeout(WAIT)
    try:
        asking.recv(100)
    except ConnectionRefusedError:
        return 0
    except OSError:
        pass
    return 1


if __name__ == "__main__":
    commands = {"udp": udp, "solicit": solicit, "listeners": listeners, "related": related}
    sys.exit(commands[sys.argv[1]](*sys.argv[2:]))
