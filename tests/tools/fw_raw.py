#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Single packets that ordinary sockets do not send, and what comes of them.

  fw_raw.py udp SOURCE SPORT DEST DPORT IFNAME       a datagram from a fixed port; 0 where it is answered
  fw_raw.py solicit SOURCE TARGET HOPLIMIT IFNAME    a neighbour solicitation; 0 where an advertisement comes
  fw_raw.py listeners IFNAME SOURCE                  an MLD general query; 0 where a report comes from there
  fw_raw.py members IFNAME SOURCE                    an IGMP general query; 0 where a report comes from there
  fw_raw.py late PID_A PID_B A B PORT                A's UDP socket asks B and is closed; 0 where B's answer meets an ICMP error
  fw_raw.py related PID_A PID_B A B PORT COMMAND...  A's UDP socket (namespace of PID_A) sends to B (of PID_B); after COMMAND
                                                     B sends a port unreachable about it; 0 where A's socket hears of it
  fw_raw.py redirected PID_A PID_B A B PORT          the same, but B sends a redirect about that datagram; 0 always
  fw_raw.py advertise IFNAME HOPLIMIT PREFIX         a router advertisement with an autonomous /64
  fw_raw.py large DEST DPORT [SPORT]                 two datagrams of 1400 bytes that must not be fragmented
  fw_raw.py too-big A B MTU IFNAME                   to B: A's UDP answer to B, which B never asked for, was too big for MTU
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


def icmp6_heard(ifname, kinds, about=b"", source=b""):
    """A function that waits for one of these ICMPv6 types from somebody else, or that one, with these bytes in it."""
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
            if where[2] != socket.PACKET_OUTGOING and data[6] in (0, 58) and data[at] in kinds \
                    and about in data[at:] and source in (b"", data[8:24]):
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


def listeners(ifname, source):
    heard = icmp6_heard(ifname, (131, 143), source=socket.inet_pton(socket.AF_INET6, source))
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, b"\x3a" + ROUTER_ALERT[1:])
        query = struct.pack("!BBHHH", 130, 0, 0, 100, 0) + bytes(16) + struct.pack("!BBH", 2, 1, 0)
        s.sendto(query, ("ff02::1", 0, 0, socket.if_nametoindex(ifname)))
        return heard()


def members(ifname, source):
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    heard.bind((ifname, 0x0800))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        s.setsockopt(socket.IPPROTO_IP, 4, b"\x94\x04\0\0")  # IP_OPTIONS: router alert
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, ifname.encode())
        s.sendto(with_sum(struct.pack("!BBHI", 0x11, 2, 0, 0)), ("224.0.0.1", 0))
    until = time.monotonic() + WAIT * 2
    while time.monotonic() < until:
        heard.settimeout(max(0.01, until - time.monotonic()))
        try:
            data = heard.recv(2000)
        except OSError:
            return 1
        if data[12:16] == socket.inet_aton(source) and data[9] == 2 and data[(data[0] & 15) * 4] in (0x16, 0x22):
            return 0
    return 1


def enter(pid):
    with open(f"/proc/{pid}/ns/net") as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")


def quoted_udp(a, b, sport, dport):
    """A datagram from a to b as an ICMP error quotes it."""
    body = struct.pack("!HHHH", sport, dport, 16, 0) + b"question"
    if ":" in a:
        return struct.pack("!IHBB", 6 << 28, len(body), 17, 64) + socket.inet_pton(socket.AF_INET6, a) + \
            socket.inet_pton(socket.AF_INET6, b) + body
    quoted = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0) + socket.inet_aton(a) + socket.inet_aton(b)
    return quoted[:10] + struct.pack("!H", ones_sum(quoted)) + quoted[12:] + body


def asked(pid_a, pid_b, a, b, port):
    """A's socket, which has sent to B; B's raw socket and one that hears the datagram; the datagram as B would quote it."""
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
    return asking, raw, listening, quoted_udp(a, b, asking.getsockname()[1], int(port))


def with_sum(packet):
    return packet[:2] + struct.pack("!H", ones_sum(packet)) + packet[4:]


def late(pid_a, pid_b, a, b, port):
    asking, _raw, listening, _quoted = asked(pid_a, pid_b, a, b, port)
    listening.settimeout(WAIT)
    try:
        _, where = listening.recvfrom(100)
        listening.connect(where)
        asking.close()
        listening.send(b"answer")
        listening.recv(100)
    except ConnectionRefusedError:
        return 0
    except OSError:
        pass
    return 1


def related(pid_a, pid_b, a, b, port, *command):
    asking, raw, _listening, quoted = asked(pid_a, pid_b, a, b, port)
    if ":" in a:
        packet = struct.pack("!BBHI", 1, 4, 0, 0) + quoted
    else:
        packet = with_sum(struct.pack("!BBHI", 3, 3, 0, 0) + quoted)
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


def redirected(pid_a, pid_b, a, b, port):
    _asking, raw, _listening, quoted = asked(pid_a, pid_b, a, b, port)
    if ":" in a:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
        target = socket.inet_pton(socket.AF_INET6, b)
        packet = struct.pack("!BBHI", 137, 0, 0, 0) + target + target + quoted
    else:
        packet = with_sum(struct.pack("!BBH", 5, 1, 0) + socket.inet_aton(b) + quoted)
    raw.sendto(packet, (a, 0))
    return 0


def advertise(ifname, hop_limit, prefix):
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 1000, 1000, 0) + socket.inet_pton(socket.AF_INET6, prefix)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, int(hop_limit))
        s.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0) + option, ("ff02::1", 0, 0, socket.if_nametoindex(ifname)))
    return 0


def large(dest, dport, sport=0):
    v6 = ":" in dest
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, 23 if v6 else 10, 2)  # MTU_DISCOVER: DO
        s.bind(("", int(sport)))
        s.connect((dest, int(dport)))
        for _ in range(2):
            try:
                s.send(b"x" * 1400)
            except OSError:  # it has been learnt
                pass
            time.sleep(0.1)
    return 0


def too_big(a, b, mtu, ifname):
    v6 = ":" in a
    quoted = quoted_udp(b, a, 4000, 4001)
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW,
                       socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP) as s:
        packet = struct.pack("!BBHI", 2, 0, 0, int(mtu)) + quoted if v6 else struct.pack("!BBHHH", 3, 4, 0, 0, int(mtu)) + quoted
        if not v6:
            packet = packet[:2] + struct.pack("!H", ones_sum(packet)) + packet[4:]
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, ifname.encode())
        s.sendto(packet, (b, 0))
    time.sleep(0.2)
    return 0


if __name__ == "__main__":
    commands = {"udp": udp, "solicit": solicit, "listeners": listeners, "members": members, "late": late, "related": related, "redirected": redirected,
                "advertise": advertise, "large": large, "too-big": too_big}
    sys.exit(commands[sys.argv[1]](*sys.argv[2:]))
