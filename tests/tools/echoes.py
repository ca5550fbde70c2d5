#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Echo requests all the time, and how long they went unanswered.

  echoes.py run OUT ADDRESS [SIZE]    50 a second until SIGINT; OUT gets a line each: when sent, when answered ("-": never)
  echoes.py silence OUT [SINCE]       "MS LOST": the longest time in which all that was sent was lost; with SINCE (seconds
                                      since 1970) from there to the first answer after the last loss; without it,
                                      what was sent before the first answer does not count

A packet that cannot be sent counts as lost. Answers to what the last second sent are waited for at the end for up to two.
"""
import os
import select
import signal
import socket
import struct
import sys
import time

PERIOD = 0.02


def run(out, address, size=32):
    v6 = ":" in address
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
    ask, reply, ident = (128, 129, os.getpid() & 0xFFFF) if v6 else (8, 0, os.getpid() & 0xFFFF)
    if v6:  # type 1 of the filter: let only replies pass
        sock.setsockopt(socket.IPPROTO_ICMPV6, 1, b"".join(struct.pack("I", 0xFFFFFFFF if w != reply // 32 else 0xFFFFFFFF & ~(1 << reply % 32)) for w in range(8)))
    sent, answered, going = [], {}, [True]
    signal.signal(signal.SIGINT, lambda *_: going.clear())

    def checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        total = (total >> 16) + (total & 0xFFFF)
        return ~(total + (total >> 16)) & 0xFFFF

    def take(timeout):  # false: nothing came
        if not select.select([sock], [], [], max(0, timeout))[0]:
            return False
        try:
            data = sock.recv(2048)
        except OSError:
            return True
        data = data if v6 else data[(data[0] & 15) * 4:]
        kind, _, _, got, number = struct.unpack("!BBHHH", data[:8])
        full = struct.unpack("!I", data[8:12])[0] if len(data) >= 12 else 0
        if kind == reply and got == ident and full not in answered and full & 0xFFFF == number:
            answered[full] = time.time()
        return True

    open(out, "w").close()
    begin = time.monotonic()
    while going:
        number = len(sent)
        body = struct.pack("!I", number) + bytes(size - 12)
        head = struct.pack("!BBHHH", ask, 0, 0, ident, number & 0xFFFF)
        if not v6:
            head = struct.pack("!BBHHH", ask, 0, checksum(head + body), ident, number & 0xFFFF)
        sent.append(time.time())
        try:
            sock.sendto(head + body, (address, 0))
        except OSError:
            pass
        while take(0):  # also where we are late: answers that nobody reads would count as lost
            pass
        while going and (left := begin + len(sent) * PERIOD - time.monotonic()) > 0:
            take(left)
        if answered and os.path.getsize(out) == 0:  # whoever started us waits for this
            with open(out, "w") as file:
                file.write("answered\n")
    until = time.monotonic() + 2
    recent = range(max(0, len(sent) - round(1 / PERIOD)), len(sent))
    while any(number not in answered for number in recent) and time.monotonic() < until:
        take(until - time.monotonic())
    with open(out, "w") as file:
        for number, at in enumerate(sent):
            file.write(f"{at:.6f} {answered.get(number, '-')}\n")


def silence(out, since=0.0):
    rows = [line.split() for line in open(out)]
    if not since:  # from the first answer on: conntrack drops one of two packets that both would begin a flow
        first = min((float(r[-1]) for r in rows if r[-1] != "-"), default=float("inf"))
        rows = [r for r in rows if float(r[0]) >= first]
    lost = [float(r[0]) for r in rows if r[-1] == "-"]
    if not rows or rows[-1][-1] == "-" and len(lost) > 25:  # never there, or did not come back
        return 999999, len(lost)
    longest = last = ended = 0.0
    silent_from = None
    for at, answer in ((float(r[0]), r[-1]) for r in rows):
        if answer == "-":
            silent_from = silent_from or at
            last = at
        elif silent_from:
            longest = max(longest, float(answer) - silent_from)
            ended = float(answer)
            silent_from = None
    if since:
        longest = max(0.0, ended - since) if last > since else 0.0
    return round(longest * 1000), len(lost)


if sys.argv[1] == "run":
    run(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
else:
    print(*silence(sys.argv[2], *map(float, sys.argv[3:])))
