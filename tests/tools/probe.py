#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Probes for demo and tests: servers that say who they are, clients that ask, streams that note their last byte.

  probe.py serve NAME tcp/5432 udp/53 ...    answers NAME on every address, IPv4 and IPv6, until it is ended
  probe.py ask [-t SECONDS] < JSON           [{"id", "to", "port": "tcp/5432" | "udp/53" | "icmp"}, ...] -> {"id": outcome}
  probe.py stream send|recv ADDRESS PORT SECONDS   a TCP stream to or from a `serve`d stream port
  probe.py scan ADDRESS LOW HIGH             TCP ports that accept, as a JSON list
  probe.py silent ADDRESS PORT               sends garbage over UDP; 0 if nothing at all comes back in 2 s

An outcome is "open NAME", "refused" (reset, unreachable, prohibited: at once) or "silent" (nothing before the timeout).
The payload carries MARKER, so that a capture can be searched for plaintext.
"""
import errno
import json
import os
import selectors
import socket
import struct
import sys
import threading
import time

MARKER = b"SORTIE-PLAINTEXT-MARKER"
CHUNK = MARKER + b"x" * 900
PAUSE = 0.05 if "SORTIE_VM" in os.environ else 0.001  # between two of them: a dozen streams leave an emulated processor time


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve_tcp(name, listener):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve_connection, args=(name, connection), daemon=True).start()


def serve_connection(name, connection):
    """First line decides: ASK answers the name, SEND floods, RECV notes the time of the last byte in a file."""
    with connection:
        try:
            connection.settimeout(30)
            line = connection.recv(200).split(b"\n")[0]  # what follows may have come with it
            if line.startswith(b"SEND"):
                seconds = float(line.split()[1])
                until = time.monotonic() + seconds
                connection.settimeout(max(30, seconds))  # it may be cut meanwhile, and come back
                while time.monotonic() < until:
                    connection.sendall(CHUNK)
                    time.sleep(PAUSE)
            elif line.startswith(b"RECV"):
                _, seconds, path = line.split()
                note_stream(connection, float(seconds), path.decode())
            else:
                connection.sendall(name.encode() + b" " + MARKER)
        except OSError:
            pass


def note_stream(connection, seconds, path):
    until = time.monotonic() + seconds
    last, total = 0, 0
    connection.settimeout(0.2)
    while time.monotonic() < until:
        try:
            data = connection.recv(65536)
        except socket.timeout:
            continue
        except OSError:
            break
        if not data:
            break
        last, total = time.clock_gettime_ns(time.CLOCK_MONOTONIC), total + len(data)
        with open(path + ".new", "w") as f:
            f.write(f"{last} {total}\n")
        os.rename(path + ".new", path)


def serve_udp(name, udp):
    while True:
        data, peer = udp.recvfrom(2048)
        try:
            udp.sendto(name.encode() + b" " + data[:64], peer)
        except OSError:
            pass


def serve(name, ports):
    for text in ports:
        protocol, port = text.split("/")
        for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            s = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((any_address, int(port)))
            if protocol == "tcp":
                s.listen(64)
                threading.Thread(target=serve_tcp, args=(name, s), daemon=True).start()
            else:
                threading.Thread(target=serve_udp, args=(name, s), daemon=True).start()
    print("serving", flush=True)
    threading.Event().wait()


REFUSED = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.ECONNRESET}


def ask_tcp(to, port, timeout):
    with socket.socket(family_of(to), socket.SOCK_STREAM) as s:
        s.settimeout(timeout)
        s.connect((to, port))
        s.sendall(b"ASK " + MARKER)
        return s.recv(200)


def ask_udp(to, port, timeout):
    with socket.socket(family_of(to), socket.SOCK_DGRAM) as s:
        s.settimeout(timeout / 3)
        s.connect((to, port))
        for attempt in range(3):  # the first may be lost while a handshake runs
            s.send(b"ASK " + MARKER)
            try:
                return s.recv(200)
            except socket.timeout:
                if attempt == 2:
                    raise
    return b""


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def quotes_us(quoted, v6, ident):
    """Is the error about our echo? Errors about other probes to the same address arrive on the same raw socket."""
    at = 40 if v6 else (quoted[0] & 15) * 4 if quoted else 0
    protocol = quoted[6:7] if v6 else quoted[9:10]
    return protocol == bytes([58 if v6 else 1]) and quoted[at + 4:at + 6] == struct.pack("!H", ident)


def ask_icmp(to, timeout):
    v6 = ":" in to
    ident = threading.get_native_id() & 0xFFFF
    payload = MARKER + b"."
    if v6:
        s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        packet = struct.pack("!BBHHH", 128, 0, 0, ident, 1) + payload
    else:
        s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        packet = struct.pack("!BBHHH", 8, 0, 0, ident, 1) + payload
        packet = struct.pack("!BBHHH", 8, 0, checksum(packet), ident, 1) + payload
    with s:
        s.connect((to, 0))
        until = time.monotonic() + timeout
        sent = 0.0
        while time.monotonic() < until:
            if time.monotonic() - sent > timeout / 3:
                s.send(packet)
                sent = time.monotonic()
            s.settimeout(max(0.01, min(timeout / 3, until - time.monotonic())))
            try:
                data = s.recv(2000)
            except socket.timeout:
                continue
            if not v6:
                data = data[(data[0] & 15) * 4:]
            kind, code, _, got, _ = struct.unpack("!BBHHH", data[:8])
            if kind == (129 if v6 else 0) and got == ident:
                return b"echo"
            if kind == (1 if v6 else 3) and quotes_us(data[8:], v6, ident):
                raise OSError(errno.EHOSTUNREACH, "unreachable")
    raise socket.timeout()


def ask_one(probe, timeout):
    try:
        if probe["port"] == "icmp":
            return "open " + ask_icmp(probe["to"], timeout).decode()
        protocol, port = probe["port"].split("/")
        answer = (ask_tcp if protocol == "tcp" else ask_udp)(probe["to"], int(port), timeout)
        return "open " + answer.split(b" ")[0].decode() if answer else "refused"
    except socket.timeout:
        return "silent"
    except OSError as e:
        return "refused" if e.errno in REFUSED else f"error {e}"


def ask(timeout):
    probes = json.load(sys.stdin)
    outcomes = {}
    gate = threading.Semaphore(64)

    def run(probe):
        with gate:
            outcomes[probe["id"]] = ask_one(probe, timeout)

    threads = [threading.Thread(target=run, args=(p,)) for p in probes]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    json.dump(outcomes, sys.stdout)


def stream(kind, address, port, seconds, path):
    with socket.socket(family_of(address), socket.SOCK_STREAM) as s:
        s.settimeout(10)
        s.connect((address, port))
        if kind == "recv":
            s.sendall(b"SEND %s\n" % seconds.encode())
            note_stream(s, float(seconds), path)
            return
        s.sendall(b"RECV %s %s\n" % (seconds.encode(), path.encode()))
        until = time.monotonic() + float(seconds)
        try:
            while time.monotonic() < until:
                s.sendall(CHUNK)
                time.sleep(PAUSE)
        except OSError:
            pass


def scan(address, low, high):
    found = []
    ports = iter(range(low, high + 1))
    selector = selectors.DefaultSelector()
    open_count = 0
    done = False
    while not done or open_count:
        while not done and open_count < 256:
            port = next(ports, None)
            if port is None:
                done = True
                break
            s = socket.socket(family_of(address), socket.SOCK_STREAM)
            s.setblocking(False)
            if s.connect_ex((address, port)) == 0:
                found.append(port)
                s.close()
                continue
            selector.register(s, selectors.EVENT_WRITE, (port, time.monotonic()))
            open_count += 1
        for key, _ in selector.select(0.05):
            if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(key.data[0])
            selector.unregister(key.fileobj)
            key.fileobj.close()
            open_count -= 1
        for key in [k for k in selector.get_map().values() if time.monotonic() - k.data[1] > 1]:
            selector.unregister(key.fileobj)
            key.fileobj.close()
            open_count -= 1
    json.dump(sorted(found), sys.stdout)


def silent(address, port):
    """Garbage, and packets shaped like the four WireGuard messages, under nobody's key."""
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.connect((address, port))
        for kind, length in ((1, 148), (2, 92), (3, 64), (4, 32), (9, 100)):
            s.send(struct.pack("<I", kind) + os.urandom(length - 4))
        try:
            s.recv(2000)
        except socket.timeout:
            return 0
        except OSError as e:
            print(e)
    return 1


def main():
    command, args = sys.argv[1], sys.argv[2:]
    if command == "serve":
        serve(args[0], args[1:])
    elif command == "ask":
        ask(float(args[1]) if args[:1] == ["-t"] else 1.5)
    elif command == "stream":
        stream(args[0], args[1], int(args[2]), args[3], args[4])
    elif command == "scan":
        scan(args[0], int(args[1]), int(args[2]))
    elif command == "silent":
        return silent(args[0], int(args[1]))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
