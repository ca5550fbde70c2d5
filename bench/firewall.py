#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives bench/firewall.sh: our tables in two hosts come and go between short runs of bench/stream.c.

  firewall.py path|packet|tunnel RULES PROGRAM PID_A PID_B ON OFF ADDRESS4 ADDRESS6
  firewall.py part NAME PROGRAM PID_A PID_B ON OFF ADDRESS4

ON and OFF are lines of shell: what makes the tables in both hosts, and what takes them away.
"""
import os
import statistics
import subprocess
import sys

from pairs import at_least, difference, interval, quad, row, text

QUADS = int(os.environ.get("BENCH_QUADS", "60"))
RUN_MS = os.environ.get("BENCH_MS", "250")
PACKETS, SIZE = "30016", "46"
PACKET_QUADS = 30
GOAL = float(os.environ.get("GOAL", "0.95"))  # 0: a report
BACKEND, LAST, ROWS, WHERE, WITHOUT = (os.environ[name] for name in ("BACKEND", "LAST", "ROWS", "WHERE", "WITHOUT"))


class Bed:
    def __init__(self, program, a, b, on, off, *addresses):
        self.program, self.hosts, self.addresses = program, (a, b), addresses
        self.commands = {True: on, False: off}
        self.on = False
        self.rates = {True: [], False: []}

    def switch(self, on):
        """Both tables."""
        if on == self.on:
            return
        subprocess.run(["bash", "-ec", self.commands[on]], check=True)
        self.on = on

    def run(self, *args):
        done = subprocess.run([self.program, *args], stdout=subprocess.PIPE, text=True, check=True, timeout=30)
        return [float(word) for word in done.stdout.split()]

    def throughput(self, on, address):
        self.switch(on)
        rate = self.run("tcp", *self.hosts, "0", LAST, address, RUN_MS)[0]
        self.rates[on].append(rate * 8 / 1e6)
        return rate

    def packet_ns(self, on, address):
        self.switch(on)
        ns, arrived = self.run("udp", *self.hosts, "0", "0", address, PACKETS, SIZE)
        if arrived < 0.99 * float(PACKETS):
            raise SystemExit(f"firewall: only {arrived:.0f} of {PACKETS} packets arrived")
        return ns


def path(bed, rules):
    ratios, null = [], []
    for i in range(QUADS):
        address = bed.addresses[i % 2]
        ratios.append(quad(lambda on: bed.throughput(on, address), False, True))
        if i % 4 < 2:  # both families
            null.append(quad(lambda _: bed.throughput(i % 8 < 4, address), False, True))
    bed.switch(False)
    bounds, beside = interval(ratios), interval(null)
    verdict = at_least(bounds, GOAL, beside) if GOAL else "a report"
    print(f"{rules} rule{'s' * (rules != '1')}: {text(bounds)} of the path without, null run {text(beside)}, {len(ratios)} quads of 4 x {RUN_MS} ms, {len(null)} null: {verdict}; "
          f"Mbit/s with {statistics.median(bed.rates[True]):.0f}, without {statistics.median(bed.rates[False]):.0f}")
    row(f"{ROWS}-{rules}", round(bounds[0], 4), "x", f"{BACKEND} with {WITHOUT}{WHERE}; 95 % {bounds[1]:.3f} to {bounds[2]:.3f}, "
        f"null {beside[1]:.3f} to {beside[2]:.3f}: {verdict}", f">= {GOAL}" if GOAL else None, QUADS)
    return 1 if verdict == "fails" else 0


def packet_costs(bed, address):
    return [quad(lambda on: bed.packet_ns(on, address), False, True, difference) for _ in range(PACKET_QUADS)]


def packet(bed, rules, way="out of one host and into another", name="ns"):
    for address, family in zip(bed.addresses, ("IPv4", "IPv6")):
        costs = packet_costs(bed, address)
        null = [quad(lambda _: bed.packet_ns(False, address), False, True, difference) for _ in range(PACKET_QUADS)]
        bounds, beside = interval(costs), interval(null)
        print(f"{family}, {way}, {rules} rules: {text(bounds, 0)} ns a packet for both tables; null run {text(beside, 0)} ns")
        row(f"{ROWS}-{name}" + ("-ipv6" if family == "IPv6" else ""), round(bounds[0]), "ns", f"{way}, {rules} rules, against {WITHOUT}{WHERE}; 95 % "
            f"{bounds[1]:.0f} to {bounds[2]:.0f}, null {beside[1]:.0f} to {beside[2]:.0f}", None, PACKET_QUADS)
    return 0


def tunnel(bed, rules):
    return packet(bed, rules, f"through {BACKEND}, inside and outside", "path-ns")


def part(bed, name):
    print(f"{name}: {text(interval(packet_costs(bed, bed.addresses[0])), 0)} ns a packet", flush=True)
    bed.switch(False)
    return 0


kind, what, *others = sys.argv[1:]
sys.exit({"path": path, "packet": packet, "tunnel": tunnel, "part": part}[kind](Bed(*others), what))
