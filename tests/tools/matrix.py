#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every (from, to, port) of some workloads, probed over IPv4 and IPv6 and compared with what should hold.

  matrix.py EXPECT.json < WORLD.json

EXPECT: [["site-a/web", "site-b/db", "tcp/5432"], ...], written by hand, not derived from the policy that is tested.
WORLD: {"probe": path of probe.py, "ports": [...], "workloads": {name: {"enter": [command...], "ipv4": .., "ipv6": ..}}}
Prints a from x to matrix, TAP lines for what is wrong, and one line a class of probes. Exit 1 if anything differs.
"""
import concurrent.futures
import json
import subprocess
import sys


def probe_from(world, name, timeout):
    me = world["workloads"][name]
    probes = [{"id": f"{to}|{port}|{family}", "to": other[family], "port": port}
              for to, other in world["workloads"].items() if to != name
              for port in world["ports"] for family in ("ipv4", "ipv6")]
    done = subprocess.run(me["enter"] + [world["probe"], "ask", "-t", str(timeout)], input=json.dumps(probes),
                          stdout=subprocess.PIPE, text=True, check=True)
    return {tuple([name] + key.split("|")): outcome for key, outcome in json.loads(done.stdout).items()}


def main():
    expected = {tuple(e) for e in json.load(open(sys.argv[1]))}
    world = json.load(sys.stdin)
    names = list(world["workloads"])
    results = {}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for part in pool.map(lambda n: probe_from(world, n, 3), names):
            results.update(part)
    wrong = []
    counts = {"open as allowed": 0, "closed as nothing allows it": 0}
    for (source, to, port, family), outcome in sorted(results.items()):
        want_open = (source, to, port) in expected
        good_open = outcome == ("open echo" if port == "icmp" else f"open {to}")
        if want_open and good_open:
            counts["open as allowed"] += 1
        elif not want_open and outcome in ("silent", "refused"):
            counts["closed as nothing allows it"] += 1
        else:
            wrong.append(f"{source} -> {to} {port} {family}: {outcome}, expected {'open' if want_open else 'closed'}")
    width = max(map(len, names))
    print("# " + "from \\ to".ljust(width) + "".join(f" {n.split('/')[1]:>18}" for n in names))
    for source in names:
        cells = []
        for to in names:
            opened = [p for p in world["ports"]
                      if source != to and all(results[source, to, p, f].startswith("open") for f in ("ipv4", "ipv6"))]
            cells.append("-" if source == to else ",".join(opened) or ".")
        print("# " + source.ljust(width) + "".join(f" {c:>18}" for c in cells))
    for line in wrong:
        print(f"not ok {line}")
    for text, n in counts.items():
        print(f"ok {n} probes {text} (IPv4 and IPv6)" if n else f"not ok no probe was {text}")
    return 1 if wrong or not all(counts.values()) else 0


sys.exit(main())
