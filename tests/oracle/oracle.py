#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Random policies x random packets: the kernel's verdict against evaluate.py's. 0 differences, or the seed that shows one.

  oracle.py --policies 50 --packets 20000 [--seed N] [--first N]     (as root, inside a namespace of the test)

Each policy gets a fresh network namespace, fw_apply with a local policy and inventory, and its packets one at a time.
"""
import argparse
import ipaddress
import json
import multiprocessing
import os
import random
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from evaluate import ICMP, ICMP6, SCTP, TCP, UDP, Host, Packet, World  # noqa: E402

IP = ipaddress.ip_address
ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("B", os.path.join(ROOT, "build"))
KINDS = ["sortie", "eth", "docker", "local", "local-other-uid", "local-via-eth"]
BITS = {"local": 1, "sortie": 2, "eth": 4, "docker": 8}
OVERLAY6, OVERLAY4 = ipaddress.ip_network("fd12:3456:789a::/48"), ipaddress.ip_network("10.77.0.0/16")
HUB6, HUB4 = IP("fd12:3456:789a::1"), IP("10.77.0.1")
HUB_ENDPOINTS = {(IP("192.0.2.1"), 51820), (IP("2001:db8::1"), 51820)}
ETH4, ETH6 = IP("192.168.1.2"), IP("fd00:1::2")
BRIDGE4, BRIDGE6 = IP("172.17.0.1"), IP("fd00:17::1")
CONTAINER4, CONTAINER6 = IP("172.17.0.2"), IP("fd00:17::2")
NEIGHBOURS = [IP(a) for a in ("192.168.1.9", "203.0.113.7", "198.51.100.3", "fd00:1::9", "2001:db8:5::7")]
LISTEN_PORT = 40404
DNAT_PORT = 8080
PORTS = [22, 53, 80, 443, 5432, 6379, 8079, 8080, 8081, 1000, 1500, 2000, 2001, 65535]
LABELS = {"role": ["web", "db", "cache"], "env": ["prod", "dev"], "team": ["a", "b"]}


# ---- random worlds ----

def random_selector(r, members, groups):
    kind = r.random()
    if kind < 0.12:
        return r.choice(members)["name"]
    if kind < 0.2:
        return "nobody=here"
    if kind < 0.4 and groups:
        return r.choice(list(groups))
    return random_terms(r)


def random_terms(r):
    terms = []
    for key in r.sample(list(LABELS), r.randint(1, 2)):
        value = r.choice(LABELS[key])
        terms.append(r.choice([f"{key}={value}", f"{key}={value}", f"{key}!={value}", f"{key} in ({','.join(LABELS[key][:2])})",
                               f"{key} notin ({value})"]))
    return ",".join(terms)


def random_port(r):
    kind = r.random()
    if kind < 0.15:
        return "icmp"
    protocol = r.choice(["tcp", "udp"])
    if kind < 0.3:
        low = r.choice([1000, 1500, 5000])
        return f"{protocol}/{low}-{low + r.choice([1, 2, 10, 500])}"
    return f"{protocol}/{r.choice(PORTS)}"


def random_world(r):
    members = []
    for i in range(r.randint(2, 12)):
        labels = {k: r.choice(v) for k, v in LABELS.items() if r.random() < 0.8}
        members.append({"name": f"site-{i % 3}/w{i}", "labels": labels,
                        "ipv6": str(OVERLAY6[(0x10 + i) << 64 | r.getrandbits(60)]), "ipv4": str(OVERLAY4[10 + i])})
    groups = {f"group{i}": random_terms(r) for i in range(r.randint(0, 2))}
    services = {"mixed": ["tcp/80", "udp/53", "icmp"]}
    rules = []
    for i in range(r.choice([0, 1, 3, 8, 20, 50])):
        rule = {"name": f"rule {i}", "from": random_selector(r, members, groups), "to": random_selector(r, members, groups),
                "allow": [r.choice(["mixed", random_port(r), random_port(r)]) for _ in range(r.randint(1, 3))]}
        rule["allow"] = sorted(set(rule["allow"]))
        if r.random() < 0.05:
            rule["from"], rule["any"] = "any", True
        rules.append(rule)
    mode = r.choice(["enforce", "enforce", "overlay"])
    containers = r.random() < 0.4
    underlay = [{"name": f"underlay {i}", "on": random_terms(r), "from": [r.choice(["192.168.1.0/24", "203.0.113.0/24", "fd00:1::/64",
                "0.0.0.0/0", "::/0"])], "allow": [random_port(r)]} for i in range(r.randint(0, 3))]
    egress = [{"name": f"egress {i}", "on": random_terms(r), "to": [r.choice(["192.168.1.0/24", "203.0.113.0/24", "fd00:1::/64",
              "0.0.0.0/0", "::/0"])], "allow": [random_port(r)]} for i in range(r.randint(0, 3))]
    for entry in underlay + egress:
        if entry.get("from", entry.get("to"))[0].endswith("/0"):  # a wildcard has to be said twice
            entry["any"] = True
    policy = {"version": 1, "services": services, "groups": groups, "rules": rules, "underlay": underlay,
              "egress": egress, "hosts": [{"on": "any", "any": True, "mode": mode, "containers": containers,
                                           "egress": r.choice(["open", "locked"])}]}
    for key in ("groups", "rules", "underlay", "egress"):
        if not policy[key]:
            del policy[key]
    loose = mode != "enforce" and r.random() < 0.5
    world = World(policy, members, r.choice(members), mode, loose, containers, HUB_ENDPOINTS, LISTEN_PORT)
    own = {a.version: a for a in world.own}
    host = Host(world, [OVERLAY4, OVERLAY6], {HUB4, HUB6}, world.own | {ETH4, ETH6, BRIDGE4, BRIDGE6},
                {CONTAINER4, CONTAINER6}, DNAT_PORT, {4: CONTAINER4, 6: CONTAINER6})
    return world, host, own


# ---- random packets ----

class Packets:
    def __init__(self, r, world, own):
        self.r, self.world, self.own = r, world, own
        self.others = [a for a in world.by_address if a not in world.own]
        self.next_port = 20000

    def source_port(self):
        self.next_port += 1
        return 1024 + self.next_port % 60000

    def some_port(self):
        return self.r.choice(PORTS) if self.r.random() < 0.9 else self.r.randint(1, 65535)

    def question(self, kind, src, dst, **fixed):
        protocol = self.r.choices([TCP, UDP, ICMP, SCTP], [45, 30, 20, 5])[0]
        if protocol == ICMP:
            return Packet(kind, src, dst, ICMP if src.version == 4 else ICMP6, sport=self.source_port(),
                          icmp=self.r.choices(["request", "reply"], [4, 1])[0], **fixed)
        flags = self.r.choices(["S", "SA", "A"], [6, 1, 2])[0] if protocol == TCP else ""
        p = Packet(kind, src, dst, protocol, self.source_port(), self.some_port(), flags, **fixed)
        if protocol == UDP and self.r.random() < 0.15:
            p.extra = "fragments" if src.version == 4 or self.r.random() < 0.5 else "ext"
        if p.protocol == UDP and p.extra == "" and src.version == 6 and self.r.random() < 0.1:
            p.extra = "ext"
        return p

    def peer_address(self, version):
        pool = [a for a in self.others if a.version == version]
        stranger = OVERLAY4[200] if version == 4 else OVERLAY6[0xabcd << 64 | 7]
        return self.r.choices([self.r.choice(pool) if pool else stranger, HUB4 if version == 4 else HUB6, stranger], [80, 10, 10])[0]

    def neighbour(self, version):
        return self.r.choice([a for a in NEIGHBOURS if a.version == version])

    def make(self):
        r = self.r
        version = r.choice([4, 6])
        eth, container = (ETH4, CONTAINER4) if version == 4 else (ETH6, CONTAINER6)
        me = self.own[version]
        kind = r.random()
        if kind < 0.30:
            return self.talk(self.question("sortie", self.peer_address(version), me))
        if kind < 0.58:
            p = self.question(r.choice(["local", "local", "local", "local-other-uid"]), me, self.peer_address(version))
            if p.dst in (HUB4, HUB6) and p.protocol == TCP and r.random() < 0.6:
                p.dport = r.choice([4280, 4281, 4282])
            return self.talk(p)
        if kind < 0.62:
            return self.talk(self.question("sortie", self.peer_address(version), r.choice([eth, container, self.neighbour(version)])))
        if kind < 0.70:
            return self.talk(self.spoof(version, eth, me))
        if kind < 0.74:
            return self.talk(self.question("local-via-eth", eth, self.peer_address(version)))
        if kind < 0.78:
            return [self.question("docker", container, r.choice([self.peer_address(version), self.neighbour(version)]))]
        if kind < 0.90:
            return self.talk(self.question("eth", self.neighbour(version), eth))
        if kind < 0.96:
            return self.talk(self.question("local", eth, self.neighbour(version)))
        return [self.special(version, eth)]

    def spoof(self, version, eth, me):
        r = self.r
        src, dst = r.choice([(self.peer_address(version), eth), (self.peer_address(version), me), (self.neighbour(version), me)])
        return self.question(r.choice(["eth", "docker"]), src, dst)

    def special(self, version, eth):
        """What a closed host must still hear, and its look-alikes."""
        r = self.r
        choice = r.randrange(4)
        if choice == 0:
            src, port = r.choice(sorted(HUB_ENDPOINTS, key=str))
            if r.random() < 0.5:
                port += 1
            dst = ETH4 if src.version == 4 else ETH6
            return Packet("eth", src, dst, UDP, port, LISTEN_PORT)
        if choice == 1:
            return Packet("eth", self.neighbour(version), eth, UDP, self.source_port(), LISTEN_PORT)
        if choice == 2:
            return Packet("eth", IP("fd00:1::9"), ETH6, ICMP6, icmp=r.choice(["135", "136", "137"]), hop_limit=r.choice([255, 254]))
        if version == 4:
            return Packet("eth", self.neighbour(4), ETH4, UDP, r.choice([67, 66]), 68)
        return Packet("eth", r.choice([IP("fe80::9"), IP("fd00:1::9")]), ETH6, UDP, r.choice([547, 548]), 546)

    def talk(self, question):
        """The question, often with an answer, further packets, an ICMP error, or an answer from somebody else."""
        r, p = self.r, question
        script = [p]
        if p.kind == "local-via-eth" or r.random() < 0.35 or (p.protocol == TCP and p.flags != "S"):
            return script
        back = self.other_side(p)
        if back is None:
            return script
        if p.protocol in (ICMP, ICMP6):
            answer = Packet(back, p.dst, p.src, p.protocol, p.sport, icmp="reply")
        elif p.protocol == TCP:
            answer = Packet(back, p.dst, p.src, TCP, p.dport, p.sport, "SA", sequence=(5000, 1001))
        else:
            answer = Packet(back, p.dst, p.src, p.protocol, p.dport, p.sport)
        kind = r.random()
        if kind < 0.12 and answer.kind in ("sortie", "eth"):
            pool = self.others if answer.kind == "sortie" else NEIGHBOURS
            answer.src = r.choice([a for a in pool if a.version == p.src.version] or [answer.src])
            return script + [answer]
        if kind < 0.25 and answer.kind in ("sortie", "eth"):
            return script + [Packet(answer.kind, p.dst, p.src, ICMP if p.src.version == 4 else ICMP6, icmp="unreachable", quoted=p)]
        script.append(answer)
        if p.protocol == TCP:
            script.append(Packet(p.kind, p.src, p.dst, TCP, p.sport, p.dport, "A", sequence=(1001, 5001)))
            script.append(Packet(answer.kind, p.dst, p.src, TCP, p.dport, p.sport, "A", sequence=(5001, 1001)))
        elif p.protocol == UDP:
            script.append(Packet(p.kind, p.src, p.dst, UDP, p.sport, p.dport))
        return script

    def other_side(self, p):
        if p.kind in ("sortie", "eth"):
            if p.protocol == TCP and p.dport == DNAT_PORT and p.dst in (set(self.own.values()) | {ETH4, ETH6}):
                return None  # the container's answers are scripted by container_answer()
            return "local" if p.dst in (set(self.own.values()) | {ETH4, ETH6}) else None
        return {"local": "sortie" if p.dst in OVERLAY4 or p.dst in OVERLAY6 else "eth", "local-other-uid": "sortie"}.get(p.kind)


def container_answer(p):
    """The published container answers a SYN that reached it."""
    address = CONTAINER4 if p.src.version == 4 else CONTAINER6
    return Packet("docker", address, p.src, TCP, 80, p.sport, "SA", sequence=(5000, 1001), note="container answers")


# ---- bytes ----

def ones_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def transport(p):
    payload = b"p" * 64

    def with_sum(head, at, body):
        data = head + body
        if p.src.version == 4:
            base = p.src.packed + p.dst.packed + struct.pack("!BBH", 0, p.protocol, len(data))
        else:
            base = p.src.packed + p.dst.packed + struct.pack("!IHBB", len(data), 0, 0, p.protocol)
        value = ones_sum(base + data)
        return data[:at] + struct.pack("!H", value or 0xFFFF) + data[at + 2:]

    if p.protocol == TCP:
        bits = {"S": 2, "SA": 18, "A": 16}[p.flags]
        head = struct.pack("!HHIIBBHHH", p.sport, p.dport, p.sequence[0], p.sequence[1], 5 << 4, bits, 65000, 0, 0)
        return with_sum(head, 16, b"")
    if p.protocol == UDP:
        return with_sum(struct.pack("!HHHH", p.sport, p.dport, 8 + len(payload), 0), 6, payload)
    if p.protocol == SCTP:
        head = struct.pack("!HHII", p.sport, p.dport, 0, 0)
        chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 7, 65000, 1, 1, 1)
        return head[:8] + struct.pack("<I", crc32c(head + chunk)) + chunk
    if p.icmp in ("request", "reply"):
        kind = {("request", 4): 8, ("reply", 4): 0, ("request", 6): 128, ("reply", 6): 129}[p.icmp, p.src.version]
        body = struct.pack("!BBHHH", kind, 0, 0, p.sport, 1) + payload
    elif p.icmp == "unreachable":
        kind, code = (3, 1) if p.src.version == 4 else (1, 3)
        quoted = wire(dataclass_copy(p.quoted))[0]
        body = struct.pack("!BBHI", kind, code, 0, 0) + quoted[:80]
    else:
        body = struct.pack("!BBHI", int(p.icmp), 0, 0, 0) + p.dst.packed + (p.src.packed if p.icmp == "137" else b"")
    if p.src.version == 4:
        return body[:2] + struct.pack("!H", ones_sum(body)) + body[4:]
    return with_sum(body, 2, b"")


def dataclass_copy(p):
    return Packet(p.kind, p.src, p.dst, p.protocol, p.sport, p.dport, p.flags, p.icmp, p.quoted, p.hop_limit, "", p.sequence)


CRC_TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ 0x82F63B78 * (n & 1)
    CRC_TABLE.append(n)


def crc32c(data):
    value = 0xFFFFFFFF
    for b in data:
        value = CRC_TABLE[(value ^ b) & 255] ^ value >> 8
    return value ^ 0xFFFFFFFF


IDENT = [1]


def ipv4(p, body, offset=0, more=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), IDENT[0] & 0xFFFF, more << 13 | offset // 8, p.hop_limit,
                       p.protocol, 0, p.src.packed, p.dst.packed)
    return head[:10] + struct.pack("!H", ones_sum(head)) + head[12:] + body


def ipv6(p, body, next_header):
    return struct.pack("!IHBB16s16s", 6 << 28, len(body), next_header, p.hop_limit, p.src.packed, p.dst.packed) + body


def wire(p):
    """The packet, or its fragments."""
    body = transport(p)
    IDENT[0] += 1
    if p.src.version == 4:
        if p.extra == "fragments":
            return [ipv4(p, body[:16], 0, 1), ipv4(p, body[16:], 16, 0)]
        return [ipv4(p, body)]
    if p.extra == "fragments":
        return [ipv6(p, struct.pack("!BBHI", p.protocol, 0, 0 | 1, IDENT[0]) + body[:16], 44),
                ipv6(p, struct.pack("!BBHI", p.protocol, 0, 16, IDENT[0]) + body[16:], 44)]
    if p.extra == "ext":
        return [ipv6(p, struct.pack("!BBHI", p.protocol, 0, 0x0104, 0) + body, 60)]
    return [ipv6(p, body, p.protocol)]


# ---- a run ----

SETUP = """
set -e
ip link set lo up
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.accept_local=1 \
  net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0 net.ipv4.icmp_ratelimit=0 \
  net.ipv6.conf.all.accept_ra=0
for d in sortie0 eth0 docker0; do ip tuntap add dev $d mode tun; ip link set $d up; sysctl -qw net.ipv4.conf.$d.rp_filter=0; done
ip addr add {ETH4}/24 dev eth0; ip addr add {ETH6}/64 dev eth0 nodad
ip addr add {BRIDGE4}/16 dev docker0; ip addr add {BRIDGE6}/64 dev docker0 nodad
ip addr add {own4}/32 dev sortie0; ip addr add {own6}/128 dev sortie0 nodad
ip route add {OVERLAY4} dev sortie0; ip route add {OVERLAY6} dev sortie0
ip route add default dev eth0; ip -6 route add default dev eth0
nft -f - <<'NFT'
table inet others {{
  chain out {{ type filter hook output priority -400; meta mark != 0x5041 drop; }}
  chain pre {{ type nat hook prerouting priority -100; iifname != "docker0" fib daddr type local tcp dport {DNAT_PORT} dnat ip to {CONTAINER4}:80;
    iifname != "docker0" fib daddr type local tcp dport {DNAT_PORT} dnat ip6 to [{CONTAINER6}]:80; }}
  chain post {{ type nat hook postrouting priority 100; iifname "docker0" oifname != "docker0" masquerade; }}
}}
NFT
{apply}
sysctl -qw net.netfilter.nf_conntrack_tcp_loose={loose}
exec {inject} records results
"""


def run_one(job):
    """A softirq that the kernel put off shows as a packet that came out nowhere, about once in a million. A true difference
    is there again, at the same packet, when the same seed runs once more."""
    seed, n, differences, outcomes = run_seed(job)
    if not differences:
        return seed, n, differences, outcomes
    if not outcomes:  # it could not run: nothing was compared yet
        return run_seed(job)
    _, _, again, _ = run_seed(job)
    at = {d.split(":")[0] for d in again}
    return seed, n, [d for d in differences if d.split(":")[0] in at], outcomes


def run_seed(job):
    seed, n_packets, keep = job
    r = random.Random(seed)
    world, host, own = random_world(r)
    packets = Packets(r, world, own)
    sequence = []
    while len(sequence) < n_packets:
        for p in packets.make():
            sequence.append(p)
            if p.protocol == TCP and p.flags == "S" and p.dport == DNAT_PORT and p.kind in ("sortie", "eth") and r.random() < 0.7 \
                    and p.dst in host.local:
                sequence.append(container_answer(p))
    with tempfile.TemporaryDirectory(prefix="oracle.", dir="/run") as folder:
        with open(f"{folder}/records", "wb") as f:
            for p in sequence:
                for data in wire(p):
                    f.write(struct.pack("=BBH", KINDS.index(p.kind), 0, len(data)) + data)
        json.dump(world.policy, open(f"{folder}/policy.yaml", "w"), indent=1)
        json.dump([dict(m, k3hex=f"{i + 1:064x}") for i, m in enumerate(world.members)], open(f"{folder}/inventory.json", "w"))
        apply = (f"{BUILD}/tests/tools/fw_apply --self {world.me['name']} --policy policy.yaml --inventory inventory.json --ifname sortie0 "
                 f"--overlay6 {OVERLAY6} --overlay4 {OVERLAY4} --hub6 {HUB6} --hub4 {HUB4} --hub 192.0.2.1:51820 --hub [2001:db8::1]:51820 "
                 f"--listen-port {LISTEN_PORT} --mode {world.mode} --underlay-locked --container-if docker0")
        script = SETUP.format(own4=own[4], own6=own[6], loose=int(world.loose), apply=apply,
                              inject=f"{BUILD}/tests/tools/oracle_inject", **{k: v for k, v in globals().items() if k.isupper()})
        done = subprocess.run(["unshare", "--net", "bash", "-c", script], cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            return seed, len(sequence), [f"seed {seed}: could not run: {done.stdout.strip()}"], {}
        results = open(f"{folder}/results", "rb").read()
    return (seed, *compare(seed, host, sequence, results, keep))


def compare(seed, host, sequence, results, keep):
    differences, at, outcomes = [], 0, {}
    for i, p in enumerate(sequence):
        n = 2 if p.extra == "fragments" else 1
        seen = 0
        for b in results[at:at + n]:
            seen |= b
        at += n
        expected = host.judge(p)
        if expected is None:
            outcomes["not compared"] = outcomes.get("not compared", 0) + 1
            continue
        bits = sum(BITS[e] for e in expected)
        name = "+".join(sorted(expected)) or "dropped"
        outcomes[f"{p.kind} {name}"] = outcomes.get(f"{p.kind} {name}", 0) + 1
        if bits != seen:
            got = "+".join(k for k, b in BITS.items() if seen & b) or "dropped"
            differences.append(f"seed {seed} packet {i}: {p.kind} {p.src} -> {p.dst} protocol {p.protocol} {p.sport}->{p.dport} "
                               f"{p.flags}{p.icmp}{p.extra} mode {host.world.mode} containers {host.world.containers} loose "
                               f"{host.world.loose} me {host.world.me['name']}: kernel {got}, expected {name}")
            if len(differences) >= keep:
                break
    return len(sequence), differences, outcomes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--policies", type=int, default=50)
    parser.add_argument("--packets", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--keep", type=int, default=3, help="differences shown a policy")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    print(f"# seeds {args.seed}..{args.seed + args.policies - 1}", flush=True)
    total, bad, outcomes = 0, 0, {}
    with multiprocessing.Pool(args.jobs) as pool:
        jobs = [(args.seed + i, args.packets, args.keep) for i in range(args.policies)]
        for seed, n, differences, counted in pool.imap_unordered(run_one, jobs):
            total += n
            bad += bool(differences)
            for k, v in counted.items():
                outcomes[k] = outcomes.get(k, 0) + v
            for d in differences:
                print(f"# {d}", flush=True)
    for k, v in sorted(outcomes.items()):
        print(f"# {v:9} {k}")
    verdict = "ok" if not bad else "not ok"
    print(f"{verdict} oracle: {args.policies} policies, {total} packets, {bad} policies differ (seeds from {args.seed})")
    # A run that saw only one kind of outcome proves nothing.
    kinds = ("sortie local", "sortie dropped", "local sortie", "local eth", "local dropped", "eth local", "eth dropped", "docker eth",
             "docker dropped")
    for k in kinds:
        print(f"ok oracle saw {k}" if outcomes.get(k) else f"not ok oracle never saw {k}")
    return 1 if bad or not all(outcomes.get(k) for k in kinds) else 0


if __name__ == "__main__":
    sys.exit(main())
