#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives bench/decrypt.sh: run time of the hub's wireguard-go for each packet that it decrypts, encrypts and sends on.

  decrypt.py PROGRAM PID_A PID_B ADDRESS_B PID_HUB RELAY_NS HOOK
"""
import glob
import os
import pathlib
import subprocess
import sys

from pairs import interval, row, text

SAMPLES = 9
PACKETS, SIZE = "20032", "1312"  # 1400 bytes as the relay sees them: IP, UDP, WireGuard's 32, inner IP and UDP
GOAL = 1 / 50

program, a, b, address, hub, relay_ns, hook = sys.argv[1:]


def hub_process():
    namespace = os.stat(f"/proc/{hub}/ns/net").st_ino
    for comm in glob.glob("/proc/[0-9]*/comm"):
        pid = comm.split("/")[2]
        try:
            if pathlib.Path(comm).read_text().strip() == "wireguard-go" and os.stat(f"/proc/{pid}/ns/net").st_ino == namespace:
                return pid
        except OSError:
            continue
    raise SystemExit("decrypt: the hub has no wireguard-go")


def run_time_ns(pid):
    return sum(int(pathlib.Path(path).read_text().split()[0]) for path in glob.glob(f"/proc/{pid}/task/*/schedstat"))


def sent():
    done = subprocess.run(["nsenter", "-t", hub, "-n", "cat", "/proc/net/dev"], stdout=subprocess.PIPE, text=True, check=True)
    return int([line for line in done.stdout.splitlines() if line.strip().startswith("wg0:")][0].split()[10])


def sample(pid):
    time_before, sent_before = run_time_ns(pid), sent()
    subprocess.run([program, "udp", a, b, "1", "1", address, PACKETS, SIZE], stdout=subprocess.DEVNULL, check=True, timeout=60)
    packets = sent() - sent_before
    if packets < 1000:
        raise SystemExit(f"decrypt: only {packets} packets went through the hub")
    return (run_time_ns(pid) - time_before) / packets


process = hub_process()
sample(process)
costs = [sample(process) for _ in range(SAMPLES)]
decrypting = interval(costs)
value = float(relay_ns) / decrypting[0]
print(f"a packet of 1400 B at the hub: relay ({hook}) {relay_ns} ns, wireguard-go {text(decrypting, 0)} ns: 1/{1 / value:.0f}")
row("relay-vs-decrypt", round(value, 4), "ratio", f"hub that decrypts with wireguard-go: {decrypting[0] / 1000:.1f} us a packet; relay ({hook}) "
    f"{relay_ns} ns", f"<= {GOAL}", SAMPLES)
sys.exit(0 if value <= GOAL else 1)
