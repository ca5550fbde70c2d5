#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives bench/revoke.sh: revokes one sender of the pool after the other in the middle of a stream.

One run at a time revokes; around it the other senders leave and enrol anew, so the machine is never idle. A stream is
watched for WATCH_S after its revocation while the next runs go on, and its sender keeps trying all that time.
"""
import json
import os
import queue
import random
import subprocess
import sys
import threading
import time

from bed import Agent, Bed, Failed, percentile, row, wait_for

WATCH_S = 2.0
STREAM_MIN = 50  # packets that must have arrived before a run revokes
PACKET = 900
STILL_FLOWS_NS = 20_000_000  # a stream that was silent for longer says nothing about its revocation
SHAPES = [(kind, way, family) for family in ("ipv6", "ipv4") for kind in ("tcp", "udp") for way in ("up", "down")]
RECEIVER = "bench/receiver"
POLICY = """version: 1
rules:
  - {name: senders reach the receiver, from: role=sender, to: role=receiver, allow: [tcp/9000, udp/9000]}
"""


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Traffic:
    """traffic.py inside a host; one question at a time."""

    def __init__(self, bed, host):
        program = os.path.join(os.path.dirname(__file__), "traffic.py")
        self.lock = threading.Lock()
        self.process = subprocess.Popen(bed.enter(host) + [sys.executable, program], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __call__(self, do, **command):
        with self.lock:
            self.process.stdin.write(json.dumps({"do": do, **command}) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())


class Sender:
    def __init__(self, bench, host):
        self.bench, self.host = bench, host
        self.traffic = Traffic(bench.bed, host)
        self.agent = Agent(bench.bed, host)
        self.generation = 0

    def renew(self):
        if self.generation:
            self.agent.leave()
        self.generation += 1
        self.name = f"pool/{self.host}-{self.generation}"
        self.agent.enroll(self.name, "role=sender")
        # A handshake that comes before the other end knows the peer is repeated only after 5 s.
        wait_for(30, self.both_know, f"{self.name} and the receiver hold each other")
        for family in ("ipv6", "ipv4"):
            wait_for(30, lambda: self.traffic("ask", to=self.bench.address[family])["answers"],
                     f"{self.name} reaches the receiver over {family}", pause=0.02)

    def both_know(self):
        own, other = self.bench.applied(self.name), self.bench.applied(RECEIVER)
        return 0 < own <= other

    def work(self):
        """A thread of its own: renews whenever a run has used this sender up."""
        try:
            while not self.bench.over.is_set():
                self.used = threading.Event()
                self.renew()
                self.bench.ready.put(self)
                while not self.used.wait(1):
                    if self.bench.over.is_set():
                        return
        except Exception as e:  # the driver must hear of it, whatever it is
            if not self.bench.over.is_set():
                self.bench.ready.put(e)


class Bench:
    def __init__(self, bed, senders, runs):
        self.bed, self.runs = bed, runs
        self.ready, self.over = queue.Queue(), threading.Event()
        self.late, self.calls, self.hub_ms, self.lock = [], [], [], threading.Lock()
        self.receiver_traffic = Traffic(bed, "receiver")
        self.receiver_traffic("serve")
        self.receiver = Agent(bed, "receiver")
        self.receiver.enroll(RECEIVER, "role=receiver")
        bed.policy(POLICY)
        status = self.receiver.status()
        self.address = {f: status[f] for f in ("ipv6", "ipv4")}
        self.backend = status["backend"]
        for host in senders:
            threading.Thread(target=Sender(self, host).work, daemon=True).start()

    def applied(self, name):
        """The revision that this identity's kernel is known to hold."""
        return self.bed.admin("GET", f"/v1/admin/identity?who={name}")[0]["identity"]["applied"]

    def one_run(self, number):
        sender = self.ready.get(timeout=120)
        if isinstance(sender, Exception):
            raise sender
        kind, way, family = SHAPES[number % len(SHAPES)]
        far = self.receiver_traffic if way == "up" else sender.traffic
        sender.traffic("start", kind=kind, way=way, to=self.address[family], run=number)
        wait_for(10, lambda: far("seen", run=number)["bytes"] >= STREAM_MIN * PACKET,
                 f"run {number}: {kind} {way} over {family} streams", pause=0.01)
        time.sleep(random.uniform(0, 0.05))
        wait_for(10, lambda: now_ns() - far("seen", run=number)["last"] < STILL_FLOWS_NS,
                 f"run {number}: {kind} {way} over {family} still flows", pause=0.001)
        asked = now_ns()
        revoked, answered = self.bed.admin("POST", "/v1/admin/identity/revoke",
                                     {"who": sender.name, "wait": False, "timeout_ms": 0})
        watch = threading.Thread(target=self.watch, args=(number, sender, far, asked, answered))
        self.hub_ms.append(revoked["hub_ms"])
        watch.start()
        return watch

    def watch(self, number, sender, far, asked, answered):
        time.sleep(WATCH_S)
        last = far("seen", run=number)
        for end in (sender.traffic, self.receiver_traffic):
            end("stop", run=number)
        late_ms = max(0.0, (last["last"] - answered) / 1e6)
        with self.lock:
            self.late.append((late_ms, SHAPES[number % len(SHAPES)]))
            self.calls.append((answered - asked) / 1e6)
        sender.used.set()

    def run(self):
        watches = []
        for number in range(self.runs):
            watches.append(self.one_run(number))
        for watch in watches:
            watch.join()
        self.over.set()


def report(bench, seconds):
    late = [ms for ms, _ in bench.late]
    after = [(ms, shape) for ms, shape in bench.late if ms > 0]
    p50, p99 = percentile(late, 50), percentile(late, 99)
    print(f"{len(late)} revocations in {seconds:.0f} s with {bench.backend} WireGuard, hub at tc: last byte after the"
          f" answer p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {max(late):.2f} ms; {len(after)} runs had a byte after it")
    print(f"the call itself: p50 {percentile(bench.calls, 50):.1f} ms, p99 {percentile(bench.calls, 99):.1f} ms,"
          f" max {max(bench.calls):.1f} ms; of that from request to cut p50 {percentile(bench.hub_ms, 50)} ms,"
          f" p99 {percentile(bench.hub_ms, 99)} ms, the rest is waiting for the loop")
    for shape in SHAPES:
        mine = [ms for ms, s in bench.late if s == shape]
        if mine:
            print(f"{shape[0]} {shape[1]} {shape[2]}: {len(mine)} runs, {sum(ms > 0 for ms in mine)} with a byte after"
                  f" the answer, max {max(mine):.2f} ms")
    row("revoke-p99-ms", round(p99, 3), "ms", "API answer without --wait to the last byte at the receiver", "< 200",
        len(late))
    return 0 if p99 < 200 else 1


def main():
    bed = Bed(sys.argv[1])
    runs = int(os.environ.get("BENCH_RUNS", "500"))
    started = time.monotonic()
    try:
        bench = Bench(bed, [h for h in bed.hosts if h.startswith("sender")], runs)
        bench.run()
    except (Failed, queue.Empty) as e:
        print(f"revoke: {e or 'no sender came back within 120 s'}", file=sys.stderr)
        return 1
    return report(bench, time.monotonic() - started)


code = main()
sys.stdout.flush()
os._exit(code)  # agents and streams end with the script's namespaces
