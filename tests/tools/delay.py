#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A long way: what comes to UDP LISTEN goes on to TO after a while, and its answers go back as late.

usage: delay.py MS[,MS...] LISTEN-ADDRESS PORT TO-ADDRESS PORT

USR1: the next of the delays, for what comes from then on. Each sender has a socket of its own, as behind a NAT. Not every kernel has netem.
"""
import heapq
import itertools
import select
import signal
import socket
import sys
import time

CLIENTS_MAX = 64


def main():
    delays = itertools.cycle(int(ms) / 1000 for ms in sys.argv[1].split(","))
    delay = next(delays)

    def change(*_):
        nonlocal delay
        delay = next(delays)

    signal.signal(signal.SIGUSR1, change)
    listen, to = (sys.argv[2], int(sys.argv[3])), (sys.argv[4], int(sys.argv[5]))
    family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
    front = socket.socket(family, socket.SOCK_DGRAM)
    front.bind(listen)
    clients, senders, queue, count = {}, {front: None}, [], 0
    while True:
        wait = max(0, queue[0][0] - time.monotonic()) if queue else None
        for ready in select.select(list(senders), [], [], wait)[0]:
            data, source = ready.recvfrom(65536)
            if ready is front:
                if source not in clients and len(clients) < CLIENTS_MAX:
                    clients[source] = socket.socket(family, socket.SOCK_DGRAM)
                    clients[source].connect(to)
                    senders[clients[source]] = source
                way = (clients.get(source), None)
            else:
                way = (front, senders[ready])
            if way[0]:
                count += 1  # equal times stay in order
                heapq.heappush(queue, (time.monotonic() + delay, count, data, way))
        while queue and queue[0][0] <= time.monotonic():
            _, _, data, (out, target) = heapq.heappop(queue)
            try:
                out.sendto(data, target) if target else out.send(data)
            except OSError:
                pass  # as lost as on any way


main()
