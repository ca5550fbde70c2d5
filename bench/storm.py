#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A thousand sites in one process, for bench/storm.sh: each has its own address and port on the underlay, its WireGuard
session with the hub (tests/tools/wgmessage.py) and what an agent does with it: an echo to the hub every 2 s, due within 1 s,
repeated at once, after two misses a new handshake; when the hub answers again, a signed sync call over TCP, whose answer
is taken and followed by the next one, which the hub keeps. TCP is the kernel's: a tun device carries every site's packets.

  storm.py CROWDFILE HUB_ADDRESS PORT TUN FILE      FILE is rewritten every 0.1 s: sites that are back with the hub's newest boot
                                                    id by it, and when each came back (s since 1970)
"""
import base64
import collections
import fcntl
import heapq
import json
import os
import random
import resource
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/tools"))
from cryptography.exceptions import InvalidTag  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: E402
from wgmessage import Initiator  # noqa: E402

PERIOD, DUE = 2.0, 1.0
TYPE = "application/vnd.sortie.call.v1+json"
API_PORT = 7140
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
crowd_file, hub, port, tun_name, out = sys.argv[1:6]
with open(crowd_file) as file:
    _, hub_key, template, *lines = file.read().splitlines()
hub_key = base64.b64decode(hub_key)
hub6 = socket.inet_pton(socket.AF_INET6, ":".join(lines[0].split()[2].split(":")[:3]) + "::1")
poller, timers = select.epoll(), []
sites, by_fd, by_address = [], {}, {}
tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", tun_name.encode(), 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI


def later(seconds, call, *args):
    heapq.heappush(timers, (time.monotonic() + seconds, id(call) + len(timers), call, args))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class Site:
    def __init__(self, number, line):
        private, seed, address = line.split()
        self.private, self.text = base64.b64decode(private), address
        self.sign = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
        self.keyid = self.sign.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        self.address = socket.inet_pton(socket.AF_INET6, address)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind((f"198.18.{number // 250}.{number % 250 + 1}", 40000))
        self.sock.connect((hub, int(port)))
        self.session, self.trying, self.cookie = None, None, None
        self.sequence = self.misses = 0
        self.waiting = self.answers = False
        self.tcp, self.inbox = None, b""
        self.revision, self.boot_id, self.back_at, self.met_at = 0, "", 0.0, 0.0
        later(random.random() * PERIOD, self.tick, 0)

    # ---- WireGuard

    def handshake(self):
        cookie = self.trying.cookie if self.trying else self.cookie
        self.cookie = cookie
        self.trying = Initiator(self.private, hub_key)
        self.trying.cookie = cookie
        self.send(self.trying.initiation())

    def send(self, message):
        try:
            self.sock.send(message)
        except OSError:
            pass

    def on_message(self, message):
        if message[0] == 2 and self.trying:
            try:
                self.send(self.trying.response(message))
            except (ValueError, InvalidTag):
                return
            self.session, self.trying = self.trying, None
            self.ask()
        elif message[0] == 3 and self.trying:
            self.trying.take_cookie(message)
        elif message[0] == 4 and self.session:
            try:
                packet = self.session.packet(message)
            except (ValueError, InvalidTag):
                return
            if packet[:1]:
                self.on_packet(packet[:40 + struct.unpack("!H", packet[4:6])[0]])

    def on_packet(self, packet):
        if packet[6] == 58 and packet[40] == 129:
            if struct.unpack("!H", packet[46:48])[0] == self.sequence:
                self.on_echo()
        elif packet[6] == 6:
            os.write(tun, packet)

    # ---- what an agent does

    def ask(self):
        self.sequence = self.sequence + 1 & 0xFFFF
        body = struct.pack("!BBHHH", 128, 0, 0, 0x5357, self.sequence) + bytes(8)
        pseudo = self.address + hub6 + struct.pack("!II", len(body), 58)
        body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
        if self.session:
            self.send(self.session.data(struct.pack("!IHBB", 0x60000000, len(body), 58, 64) + self.address + hub6 + body))
        self.waiting = True

    def tick(self, sequence):
        if self.waiting and sequence == self.sequence:  # a miss; other echoes have their own timers
            self.misses += 1
            if self.misses >= 2:
                self.misses, self.answers, self.session = 0, False, None
                self.handshake()
        elif sequence != self.sequence:
            return
        self.ask()
        later(DUE, self.tick, self.sequence)

    def on_echo(self):
        if not self.waiting:
            return
        self.waiting, self.misses = False, 0
        if not self.answers:
            self.answers, self.met_at = True, time.time()
            self.call()
        self.sequence = self.sequence + 1 & 0xFFFF  # the timer of this echo is over
        later(PERIOD + random.random() / 10 - DUE, self.tick_again, self.sequence)

    def tick_again(self, sequence):
        if sequence == self.sequence:
            self.ask()
            later(DUE, self.tick, self.sequence)

    # ---- the API

    def call(self):
        self.hang_up()
        self.tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.tcp.bind((self.text, 0))
        self.tcp.connect_ex((socket.inet_ntop(socket.AF_INET6, hub6), API_PORT))
        self.inbox = b""
        by_fd[self.tcp.fileno()] = self.on_tcp
        poller.register(self.tcp, select.EPOLLOUT)

    def hang_up(self):
        if self.tcp:
            by_fd.pop(self.tcp.fileno(), None)
            self.tcp.close()
            self.tcp = None

    def post(self):
        payload = json.dumps({"revision": self.revision, "applied": self.revision, "boot_id": self.boot_id}, separators=(",", ":"))
        call = template.replace("1234567890", str(int(time.time()))).replace("0" * 32, os.urandom(16).hex())
        call = call.replace('"PAYLOAD"', json.dumps(payload)).encode()
        pae = b"DSSEv1 %d %s %d " % (len(TYPE), TYPE.encode(), len(call)) + call
        body = json.dumps({"payloadType": TYPE, "payload": base64.b64encode(call).decode(), "signatures": [
            {"keyid": self.keyid, "sig": base64.b64encode(self.sign.sign(pae)).decode()}]}, separators=(",", ":")).encode()
        return (f"POST /v1/sync HTTP/1.1\r\nHost: hub\r\nContent-Type: {TYPE}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body

    def on_tcp(self, events):
        try:
            if events & select.EPOLLOUT:
                self.tcp.send(self.post())
                poller.modify(self.tcp, select.EPOLLIN)
                return
            data = self.tcp.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.hang_up()
            if self.answers:
                later(0.25 + random.random() / 4, self.call)
            return
        self.inbox += data
        head, found, body = self.inbox.partition(b"\r\n\r\n")
        length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
        if found and len(body) >= length:
            self.inbox = b""
            self.on_answer(head, body)

    def on_answer(self, head, body):
        if b" 200 " not in head.split(b"\r\n")[0]:
            problems[body[:200]] += 1
            later(1, self.call)
            return
        answer = json.loads(body)
        if answer["boot_id"] != self.boot_id:
            self.back_at = time.time()
        self.revision, self.boot_id = answer["revision"], answer["boot_id"]
        try:
            self.tcp.send(self.post())  # is kept
        except OSError:
            pass


def note():
    ids = collections.Counter(s.boot_id for s in sites)
    with open(out + ".new", "w") as file:
        json.dump({"boot_ids": ids, "answers": sum(s.answers for s in sites), "cpu": time.process_time(), "problems": len(problems),
                   "problem": next(iter(problems), b"").decode(errors="replace"),
                   "met": [s.met_at for s in sites], "back": {s.text: [s.boot_id, s.back_at] for s in sites}}, file)
    os.rename(out + ".new", out)
    later(0.1, note)


def on_tun(_):
    for _ in range(64):
        try:
            packet = os.read(tun, 2048)
        except BlockingIOError:
            return
        site = by_address.get(packet[8:24])
        if site and site.session:
            site.send(site.session.data(packet))


def on_site(site):
    def on_readable(_):
        for _ in range(8):
            try:
                message = site.sock.recv(2048)
            except OSError:
                return
            site.on_message(message)
    return on_readable


problems = collections.Counter()
poller.register(tun, select.EPOLLIN)
by_fd[tun] = on_tun
for number, line in enumerate(lines):
    site = Site(number, line)
    sites.append(site)
    by_address[site.address] = site
    by_fd[site.sock.fileno()] = on_site(site)
    poller.register(site.sock, select.EPOLLIN)
    site.waiting, site.misses = True, 1  # the first tick is a second miss: it begins a handshake
later(0, note)
while True:
    wait = timers[0][0] - time.monotonic() if timers else 1
    for fd, events in poller.poll(max(0, wait), 256):
        if fd in by_fd:
            by_fd[fd](events)
    while timers and timers[0][0] <= time.monotonic():
        _, _, call, args = heapq.heappop(timers)
        call(*args)
