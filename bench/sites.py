#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives bench/sites.sh: short TCP runs through our relay and through Nebula's, in turn.

  sites.py PROGRAM OUR_A OUR_B OUR_ADDRESS NEBULA_A NEBULA_B NEBULA_ADDRESS HUB
"""
import os
import statistics
import subprocess
import sys

from pairs import at_least, interval, quad, row, text

QUADS = int(os.environ.get("BENCH_QUADS", "30"))
RUN_MS = os.environ.get("BENCH_MS", "400")
GOAL = float(os.environ.get("GOAL", "1.0"))  # 0: a report
ROW = os.environ.get("ROW", "site-to-site-nebula")
WITH = os.environ["WITH"]

program, our_a, our_b, our_address, nebula_a, nebula_b, nebula_address, hub = sys.argv[1:]
seen = {"ours": [], "nebula": []}


def received_at_hub():
    done = subprocess.run(["nsenter", "-t", hub, "-n", "ip", "-s", "link", "show", "eth0"], stdout=subprocess.PIPE, text=True,
                          check=True)
    lines = done.stdout.splitlines()
    return int(lines[[i for i, line in enumerate(lines) if "RX:" in line][0] + 1].split()[0])


def throughput(who):
    a, b, address = (our_a, our_b, our_address) if who == "ours" else (nebula_a, nebula_b, nebula_address)
    before = received_at_hub()
    done = subprocess.run([program, "tcp", a, b, "0", "1", address, RUN_MS], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=30)
    rate = float(done.stdout)
    if received_at_hub() - before < rate * float(RUN_MS) / 1000:
        raise SystemExit(f"sites: {who}: the traffic did not go through the hub")
    seen[who].append(rate)
    return rate


ratios = [quad(throughput, "nebula", "ours") for _ in range(QUADS)]
bounds = interval(ratios)
verdict = at_least(bounds, GOAL) if GOAL else "a report"
rates = {who: statistics.median(values) * 8 / 1e6 for who, values in seen.items()}
print(f"site to site: ours {rates['ours']:.0f} Mbit/s ({WITH}), Nebula {rates['nebula']:.0f} Mbit/s; ratio {text(bounds, 2)}, "
      f"{QUADS} quads of 4 x {RUN_MS} ms: {verdict}")
row(ROW, round(bounds[0], 3), "x", f"Nebula through its relay, same NATs and hub: {rates['nebula']:.0f} Mbit/s; ours with {WITH}; 95 % "
    f"{bounds[1]:.2f} to {bounds[2]:.2f}: {verdict}", f">= {GOAL}" if GOAL else None, QUADS)
sys.exit(1 if verdict == "fails" else 0)
