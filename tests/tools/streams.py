#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams of every kind between hosts, and what arrived of each, when last.

  streams.py serve OUT PORT                    the answering side: TCP and UDP at PORT, and echo requests as they arrive
  streams.py run OUT PORT ASKER>ANSWERER=ADDRESS...   the asking side: upload, download, udp, ping to every address
  streams.py running ASKER>ANSWERER... : OUT...        0 where all streams of these pairs run now, both families
  streams.py timed FILE COMMAND...            runs it, writes CLOCK_REALTIME ns before and after
  streams.py report BEFORE AFTER REVOKED ASKER>ANSWERER... : OUT...   TAP lines: no stream has a byte after AFTER;
                                             REVOKED, a host, gets a second to decrypt what had reached its socket

OUT is a JSON object {label: [ns of the last byte, bytes]}, rewritten every 50 ms (in a VM 500). A label is "KIND ASKER>ANSWERER
FAMILY, END": the end is where the bytes arrived. Times are the kernel's own receive stamps, of CLOCK_REALTIME: a
Python thread on a busy machine reads what came long ago.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

SLOW = 10 if os.environ.get("SORTIE_VM") else 1  # an emulated processor does a packet in a tenth of the pace, Python slower
PAUSE = 0.005 * SLOW
CHUNK = b"x" * 800
ICMP = {socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0), socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129)}
notes = {}


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


def note(label, n, at):
    entry = notes.setdefault(label, [0, 0])
    entry[0] = at
    entry[1] += n


SO_TIMESTAMPING = 37
STAMPS = 1 << 3 | 1 << 4  # SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE


def receive_stamped(s):
    """Bytes, sender, when the kernel got (the last of) them."""
    data, ancillary, _, peer = s.recvmsg(65536, 256)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPING:
            seconds, ns = struct.unpack("qq", content[:16])
            return data, peer, seconds * 10**9 + ns
    return data, peer, now_ns()


def stamp(s):
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, STAMPS)
    return s


def write_notes(path):
    written = None
    while True:
        text = json.dumps(notes.copy())
        if text != written:
            with open(path + ".new", "w") as f:
                f.write(text)
            os.rename(path + ".new", path)
            written = text
        time.sleep(0.05 * SLOW)


def spawn(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


def receive(s, label):
    while True:
        data, _, at = receive_stamped(s)
        if not data:
            return
        note(label, len(data), at)


def flood(s):
    while True:
        s.sendall(CHUNK)
        time.sleep(PAUSE)


def guarded(function, *args):
    """An error is how a cut stream may end; what had arrived is noted."""
    try:
        function(*args)
    except OSError:
        pass


# ---- the answering side


def serve_connection(s):
    first, _, at = receive_stamped(s)
    line, rest = first.split(b"\n", 1)
    label = line.decode()
    if label.startswith("download"):
        flood(s)
    note(label + ", answerer", len(rest), at)
    receive(s, label + ", answerer")


def serve_tcp(listener):
    while True:
        s, _ = listener.accept()
        spawn(guarded, serve_connection, stamp(s))


def serve_udp(s):
    while True:
        data, peer, at = receive_stamped(s)
        note(data.split(b"\n", 1)[0].decode() + ", answerer", len(data), at)
        guarded(s.sendto, data, peer)


def echo_payload(family, data, want):
    """The payload of an echo packet of the wanted type; None for anything else."""
    if family == socket.AF_INET:
        data = data[(data[0] & 15) * 4:]
    return data[8:] if data[:1] == bytes([want]) else None


def serve_icmp(family):
    protocol, request, _ = ICMP[family]
    s = stamp(socket.socket(family, socket.SOCK_RAW, protocol))
    while True:
        data, _, at = receive_stamped(s)
        payload = echo_payload(family, data, request)
        if payload and payload.startswith(b"ping "):
            note(payload.split(b"\n", 1)[0].decode() + ", answerer", len(payload), at)


def serve(port):
    for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for kind, run in ((socket.SOCK_STREAM, serve_tcp), (socket.SOCK_DGRAM, serve_udp)):
            s = stamp(socket.socket(family, kind))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((any_address, port))
            if kind == socket.SOCK_STREAM:
                s.listen(64)
            spawn(run, s)
        spawn(serve_icmp, family)


# ---- the asking side


def connected(address, port, kind=socket.SOCK_STREAM):
    s = stamp(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind))
    while True:
        try:
            s.connect((address, port))
            return s
        except OSError:
            time.sleep(0.2)


def upload(address, port, label):
    s = connected(address, port)
    s.sendall(label.encode() + b"\n")
    flood(s)


def download(address, port, label):
    s = connected(address, port)
    s.sendall(label.encode() + b"\n")
    receive(s, label + ", asker")


def send_for_ever(s, packet):
    while True:
        guarded(s.send, packet)
        time.sleep(PAUSE)


def udp(address, port, label):
    s = connected(address, port, socket.SOCK_DGRAM)
    spawn(send_for_ever, s, label.encode() + b"\n" + CHUNK)
    while True:
        guarded(receive, s, label + ", asker")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ping_receive(s, family, label):
    data, _, at = receive_stamped(s)
    payload = echo_payload(family, data, ICMP[family][2])
    if payload and payload.startswith(label.encode() + b"\n"):
        note(label + ", asker", len(payload), at)


def ping(address, _, label):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    protocol, request, _ = ICMP[family]
    s = stamp(socket.socket(family, socket.SOCK_RAW, protocol))
    s.connect((address, 0))
    payload = label.encode() + b"\n"
    payload += b"." * (64 - len(payload))
    ident = threading.get_native_id() & 0xFFFF
    packet = struct.pack("!BBHHH", request, 0, 0, ident, 1) + payload
    if family == socket.AF_INET:
        packet = struct.pack("!BBHHH", request, 0, checksum(packet), ident, 1) + payload
    spawn(send_for_ever, s, packet)
    while True:
        guarded(ping_receive, s, family, label)


def run(port, targets):
    for text in targets:
        names, address = text.split("=", 1)
        for kind in (upload, download, udp, ping):
            label = f"{kind.__name__} {names} {'IPv6' if ':' in address else 'IPv4'}"
            spawn(guarded, kind, address, port, label)


# ---- the judgement


def gather(paths):
    merged = {}
    for path in paths:
        with open(path) as f:
            merged.update(json.load(f))
    return merged


def arrived_at(label):
    """The host where the bytes of a label arrive."""
    names, end = label.split(" ")[1], label.rsplit(" ", 1)[1]
    asker, answerer = names.split(">")
    return asker if end == "asker" else answerer


def report(before, after, revoked, wanted, paths):
    """Every wanted stream had bytes, and none of them after the command returned."""
    merged = gather(paths)
    latest, bad = 0, 0
    for label in wanted:
        last, total = merged.get(label, [0, 0])
        at_revoked = arrived_at(label) == revoked
        if not at_revoked:
            latest = max(latest, last)
        good = total and last <= after + (10**9 if at_revoked else 0)
        bad += not good
        late = (last - after) / 1e6
        print(f"{'ok' if good else 'not ok'} {label}: {total} bytes, the last {abs(late):.1f} ms {'after' if late > 0 else 'before'} the end")
    print(f"# the last byte at a host that stays {(latest - before) / 1e6:.0f} ms after the command began; it took {(after - before) / 1e6:.0f} ms")
    return 1 if bad else 0


ENDS = {"upload": ("answerer",), "download": ("asker",), "udp": ("asker", "answerer"), "ping": ("asker", "answerer")}


def labels(pairs):
    return [f"{kind} {pair} {family}, {end}" for pair in pairs for kind in ENDS for family in ("IPv4", "IPv6") for end in ENDS[kind]]


def running(pairs, paths):
    """0 where every stream has bytes that are less than 300 ms old, in a VM 3 s."""
    now = now_ns()
    merged = gather(paths)
    slow = [label for label in labels(pairs) if label not in merged or now - merged[label][0] > 3e8 * SLOW]
    for label in slow:
        print("does not run:", label)
    return 1 if slow else 0


def timed(path, command):
    before = now_ns()
    code = subprocess.run(command).returncode
    after = now_ns()
    with open(path, "w") as f:
        f.write(f"{before} {after}\n")
    return code


def main():
    command, args = sys.argv[1], sys.argv[2:]
    if command == "timed":
        return timed(args[0], args[1:])
    if command == "report":
        cut = args.index(":")
        return report(int(args[0]), int(args[1]), args[2], labels(args[3:cut]), args[cut + 1:])
    if command == "running":  # PAIR... : FILE...
        cut = args.index(":")
        return running(args[:cut], args[cut + 1:])
    if command == "serve":
        serve(int(args[1]))
    elif command == "run":
        run(int(args[1]), args[2:])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    write_notes(args[0])
    return 0


sys.exit(main())
