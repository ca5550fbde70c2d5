#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams inside a host for bench/revoke.py: sends, and notes when the last byte came (CLOCK_MONOTONIC, ns).

Commands as JSON lines on stdin, one answer line each:
  {"do": "serve"}                                        TCP and UDP, IPv4 and IPv6, on PORT, until the end
  {"do": "start", "kind": "tcp"|"udp", "way": "up"|"down", "to": ADDRESS, "run": N}
  {"do": "seen", "run": N}                               {"first", "last", "bytes"} of what arrived here for run N
  {"do": "stop", "run": N}                               no more is sent for it
  {"do": "ask", "to": ADDRESS}                           {"answers": bool}: one UDP question, half a second

up: from the host that starts it to the one that serves; down: the other way, over the same connection or ports. About 1000 packets a second,
each a read of its own, so that the last byte is known to a millisecond.
"""
import json
import os
import socket
import sys
import threading
import time

PORT = 9000
PAUSE = 0.001
CHUNK = 900

seen = {}  # run -> [first, last, bytes]
stopped = set()


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def head(run):
    return b"%08d" % run


def note(run, length):
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    entry = seen.setdefault(run, [now, now, 0])
    entry[1] = now
    entry[2] += length


def flood(run, send):
    """What cannot be sent now is tried again: a full queue or an unreachable peer must not end the attempt to get through."""
    data = head(run) + b"x" * (CHUNK - 8)
    while run not in stopped:
        try:
            send(data)
        except (BlockingIOError, socket.timeout):
            pass
        except ConnectionError:
            return
        except OSError:
            pass
        time.sleep(PAUSE)


def drain_tcp(run, connection):
    connection.settimeout(0.2)
    while run not in stopped:
        try:
            data = connection.recv(65536)
        except socket.timeout:
            continue
        except OSError:
            return
        if not data:
            return
        note(run, len(data))


def send_some(connection):
    def send(data):
        connection.settimeout(0.2)
        connection.send(data)

    return send


def serve_connection(connection):
    with connection:
        connection.settimeout(10)
        try:
            first = connection.recv(12, socket.MSG_WAITALL)
        except OSError:
            return
        way, run = first[:4], int(first[4:12])
        if way == b"UP__":
            drain_tcp(run, connection)
        else:
            flood(run, send_some(connection))


def serve_tcp(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_connection, args=(connection,), daemon=True).start()


def serve_udp(udp):
    asked = set()
    while True:
        data, peer = udp.recvfrom(2048)
        if data[:4] == b"ASK_":
            try:
                udp.sendto(b"YES_", peer)
            except OSError:
                pass
        elif data[:4] == b"DOWN":
            run = int(data[4:12])
            if run not in asked:
                asked.add(run)
                threading.Thread(target=flood, args=(run, lambda d, p=peer: udp.sendto(d, p)), daemon=True).start()
        elif data[:8].isdigit():
            note(int(data[:8]), len(data))


def serve():
    for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for kind, run in ((socket.SOCK_STREAM, serve_tcp), (socket.SOCK_DGRAM, serve_udp)):
            s = socket.socket(family, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((any_address, PORT))
            if kind == socket.SOCK_STREAM:
                s.listen(64)
            threading.Thread(target=run, args=(s,), daemon=True).start()


def start_tcp(way, to, run):
    with socket.socket(family_of(to), socket.SOCK_STREAM) as s:
        s.settimeout(5)
        s.connect((to, PORT))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall((b"UP__" if way == "up" else b"DOWN") + head(run))
        if way == "up":
            flood(run, send_some(s))
        else:
            drain_tcp(run, s)


def start_udp(way, to, run):
    with socket.socket(family_of(to), socket.SOCK_DGRAM) as s:
        s.connect((to, PORT))
        if way == "up":
            flood(run, s.send)
            return
        s.settimeout(0.1)
        while run not in stopped:
            try:
                if run not in seen:
                    s.send(b"DOWN" + head(run))
                note(run, len(s.recv(2048)))
            except OSError:
                pass


def start(kind, way, to, run):
    try:
        (start_tcp if kind == "tcp" else start_udp)(way, to, run)
    except OSError as e:
        print(f"run {run}: {e}", file=sys.stderr)


def ask(to):
    with socket.socket(family_of(to), socket.SOCK_DGRAM) as s:
        s.settimeout(0.5)
        try:
            s.connect((to, PORT))
            s.send(b"ASK_")
            return s.recv(100) == b"YES_"
        except OSError:
            return False


def obey(command):
    run = command.get("run")
    if command["do"] == "serve":
        serve()
    elif command["do"] == "start":
        args = (command["kind"], command["way"], command["to"], run)
        threading.Thread(target=start, args=args, daemon=True).start()
    elif command["do"] == "seen":
        first, last, length = seen.get(run, (0, 0, 0))
        return {"first": first, "last": last, "bytes": length}
    elif command["do"] == "stop":
        stopped.add(run)
    elif command["do"] == "ask":
        return {"answers": ask(command["to"])}
    return {}


try:
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line))), flush=True)
except BrokenPipeError:  # the driver is done
    os._exit(0)
