#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A handshake as a host makes it whose clock is ahead: with its key, from its WireGuard's port, which must be free.

  ahead.py KEYFILE PORT HUB_ADDRESS HUB_PORT SECONDS PEER...   PEER: a public key (base64); one session with each, confirmed
"""
import base64
import socket
import sys
import time

from wgmessage import Initiator

keyfile, port, hub, hub_port, seconds = sys.argv[1:6]
with open(keyfile) as file:
    private = base64.b64decode(file.read().split()[0])
sock = socket.socket(socket.AF_INET6 if ":" in hub else socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", int(port)))
sock.settimeout(1)
for peer in sys.argv[6:]:
    for attempt in range(5):
        session = Initiator(private, base64.b64decode(peer))
        sock.sendto(session.initiation(time.time() + float(seconds) + attempt), (hub, int(hub_port)))
        try:
            until = time.monotonic() + 1
            while time.monotonic() < until:
                try:
                    keepalive = session.response(sock.recv(2048))
                    break
                except ValueError:
                    continue
            else:
                raise TimeoutError
        except TimeoutError:
            continue
        sock.sendto(keepalive, (hub, int(hub_port)))
        print("a session with", peer)
        break
    else:
        sys.exit(f"no answer from {peer}")
