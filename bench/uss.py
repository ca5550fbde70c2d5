#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives bench/uss.sh: two agents side by side, each with PEERS peers.

Ours: PEERS identities are enrolled by tests/tools/control_agent, which leaves them in the control plane; the measured agent
then holds PEERS WireGuard peers, their statements and tuples. Nebula's: a lighthouse and PEERS nodes without a TUN device
in one namespace, and a measured node with one that has a tunnel to every one of them.
"""
import glob
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

from bed import Agent, Bed, Failed, row, wait_for

PEERS = int(os.environ.get("BENCH_PEERS", "100"))
READINGS = 5
READING_PAUSE_S = 2.0
GOAL = 1 / 3
MEASURED = "bench/measured"
POLICY = """version: 1
rules:
  - {{name: peers reach the service, from: role=peer, to: role=measured, allow: [tcp/443, tcp/5432, udp/53, icmp{extra}]}}
  - {{name: the service reaches its peers, from: role=measured, to: role=peer, allow: [tcp/443, icmp]}}
"""


# ---- memory ----


def uss_kib(pid):
    total = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.split(":")[0] in ("Private_Clean", "Private_Dirty"):
            total += int(line.split()[1])
    return total


def own_copies(programs, folder, libraries=False):
    """Copies of programs, with libraries of those too: files that no other process maps."""
    os.makedirs(f"{folder}/lib")
    os.chmod(folder, 0o755)  # sortie-net is another user
    for program in programs:
        shutil.copy(program, f"{folder}/lib" if ".so" in program else folder)
        listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True)
        for line in listed.stdout.splitlines() if libraries else []:
            path = line.split("=>")[-1].split()[0]
            if "=>" in line and path.startswith("/") and not os.path.exists(f"{folder}/lib/{os.path.basename(path)}"):
                shutil.copy(path, f"{folder}/lib")
    return folder


def pids_named(name, host_pid):
    """Processes of this name in the network namespace of host_pid."""
    namespace = os.stat(f"/proc/{host_pid}/ns/net").st_ino
    found = []
    for comm in glob.glob("/proc/[0-9]*/comm"):
        try:
            pid = int(comm.split("/")[2])
            if pathlib.Path(comm).read_text().strip() == name and os.stat(f"/proc/{pid}/ns/net").st_ino == namespace:
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def readings(pids):
    """{pid: [KiB, ...]}: READINGS readings of every process, taken in turn."""
    taken = {pid: [] for pid in pids}
    for _ in range(READINGS):
        time.sleep(READING_PAUSE_S)
        for pid in pids:
            taken[pid].append(uss_kib(pid))
    return taken


# ---- ours ----


def enrol_peers(bed, host, names):
    """One throw-away agent after the other on this host: enrols, comes as the identity, sends its IPv4 statement."""
    for name in names:
        token = bed.token(name, "role=peer")
        done = subprocess.run(bed.enter(host) + [f"{bed.build}/tests/tools/control_agent", token, "bench0", "enroll",
                                                 "join", "sync"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode or "enroll 200" not in done.stdout or "sync 200" not in done.stdout:
            raise Failed(f"enrol {name}: {done.stdout.strip()}")


def enrol_all(bed):
    names = [f"peers/p{i}" for i in range(PEERS)]
    problems = []

    def run(host, mine):
        try:
            enrol_peers(bed, host, mine)
        except (Failed, OSError) as e:
            problems.append(e)

    threads = [threading.Thread(target=run, args=(f"crowd{i + 1}", names[i::2])) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if problems:
        raise problems[0]


def applied(bed):
    return bed.admin("GET", f"/v1/admin/identity?who={MEASURED}")[0]["identity"]["applied"]


def revision(bed):
    return bed.admin("GET", "/v1/admin/status")[0]["revision"]


def apply_and_time(bed, extra):
    """ms from the end of `policy apply` until the measured agent has acknowledged the revision, and of the command."""
    start = time.monotonic()
    bed.policy(POLICY.format(extra=extra))
    answered = time.monotonic()
    wanted = revision(bed)
    wait_for(30, lambda: applied(bed) >= wanted, "the agent holds the policy", pause=0.002)
    return (time.monotonic() - answered) * 1000, (answered - start) * 1000


def ours_up(bed):
    """{host: [sortied, sortie-net]}: one agent whose libraries other programs use too, one that has them alone."""
    enrol_all(bed)
    programs = [f"{bed.build}/{p}" for p in ("sortied", "sortie-net")]
    modules = glob.glob("/usr/lib/*/libnss_systemd.so.2")  # looking up a user may load it
    agents = {"measured": Agent(bed, "measured", folder=own_copies(programs, "/run/own"))}
    agents["measured"].enroll(MEASURED, "role=measured")
    Agent(bed, "crowd1")  # uses the same libraries, as something on most hosts does
    wait_for(30, lambda: applied(bed) > 0, "the measured agent's first view")
    first, command = apply_and_time(bed, "")
    changes = [apply_and_time(bed, f", tcp/{8000 + i}")[0] for i in range(READINGS)]
    print(f"policy apply to verified at the agent, {PEERS} peers: {first:.0f} ms for all at once (the command: {command:.0f}"
          f" ms), {statistics.median(changes):.0f} ms for one more port (median of {READINGS}, max {max(changes):.0f} ms)")
    agents["alone"] = Agent(bed, "alone", folder=own_copies(programs + modules, "/run/own-alone", libraries=True))
    agents["alone"].enroll("bench/alone", "role=measured")
    for host, agent in agents.items():
        wait_for(30, lambda: holds_peers(agent), f"{host}: {PEERS} admitted peers")
    return {host: [agent.process.pid, *pids_named("sortie-net", bed.hosts[host])] for host, agent in agents.items()}


def holds_peers(agent):
    peers = agent.status()["peers"]
    return sum(1 for p in peers if p["lease_not_after"] > 0 and p["ipv4"]) == PEERS


# ---- Nebula ----

NODE = """pki: {{ca: {folder}/ca.crt, cert: {folder}/{name}.crt, key: {folder}/{name}.key}}
static_host_map: {{"10.200.0.1": ["{lighthouse}:4242"]}}
lighthouse: {{am_lighthouse: {is_lighthouse}, interval: 60, hosts: [{hosts}]}}
listen: {{host: 0.0.0.0, port: {port}}}
tun: {{disabled: {no_tun}, dev: nebula1, mtu: 1280}}
logging: {{level: warning, format: text}}
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound:
    - {{port: any, proto: icmp, host: any}}
    - {{port: 443, proto: tcp, group: peer}}
    - {{port: 5432, proto: tcp, group: peer}}
    - {{port: 53, proto: udp, group: peer}}
"""


def nebula_address(i):
    return f"10.200.{1 + i // 200}.{1 + i % 200}"


def nebula_cert(folder, *args):
    subprocess.run(["nebula-cert", *args], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def nebula_start(bed, host, folder, name, port, lighthouse, program="nebula"):
    is_lighthouse = name == "lighthouse"
    config = NODE.format(folder=folder, name=name, port=port, lighthouse=lighthouse, is_lighthouse=str(is_lighthouse).lower(),
                         hosts="" if is_lighthouse else '"10.200.0.1"', no_tun=str(name != "measured").lower())
    path = f"{folder}/{name}.yml"
    pathlib.Path(path).write_text(config)
    with open(f"{bed.run}/nebula-{'measured' if name == 'measured' else 'others'}.log", "a") as log:
        return subprocess.Popen(bed.enter(host) + [program, "-config", path], stdin=subprocess.DEVNULL, stdout=log,
                                stderr=log)


def underlay(bed, host):
    out = subprocess.run(bed.enter(host) + ["ip", "-4", "-o", "addr", "show", "eth0"], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    return out.split()[3].split("/")[0]


def nebula_ping(bed, address):
    return subprocess.run(bed.enter("nebula") + ["ping", "-c1", "-W2", address], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def nebula_up(bed):
    folder = f"{bed.run}/nebula"
    os.mkdir(folder)
    nebula_cert(folder, "ca", "-name", "bench")
    members = [("lighthouse", "10.200.0.1"), ("measured", "10.200.0.2")]
    members += [(f"p{i}", nebula_address(i)) for i in range(PEERS)]
    for name, address in members:
        nebula_cert(folder, "sign", "-name", name, "-ip", f"{address}/16", "-groups", "measured" if name == "measured" else "peer")
    lighthouse = underlay(bed, "nebcrowd")
    nebula_start(bed, "nebcrowd", folder, "lighthouse", 4242, lighthouse)
    for i in range(PEERS):
        nebula_start(bed, "nebcrowd", folder, f"p{i}", 4300 + i, lighthouse)
    own = own_copies([shutil.which("nebula")], "/run/own-nebula")
    measured = nebula_start(bed, "nebula", folder, "measured", 4242, lighthouse, program=f"{own}/nebula")
    for i in range(PEERS):
        wait_for(30, lambda: nebula_ping(bed, nebula_address(i)), f"Nebula's tunnel to peer {i}")
    return measured.pid


# ---- the comparison ----


def report(ours, data_plane, taken):
    def kib(pids):
        return statistics.median(sum(values) for values in zip(*(taken[pid] for pid in pids)))

    daemon, net = ours["measured"]
    agent, alone, nebula = kib(ours["measured"]), kib(ours["alone"]), kib(ours["nebula"])
    print(f"USS with {PEERS} peers, medians of {READINGS} readings: sortied {kib([daemon])} KiB + sortie-net {kib([net])} KiB ="
          f" {agent} KiB; Nebula with {PEERS} tunnels {nebula} KiB; each program's own pages are counted, libraries of the"
          f" system are not where something else uses them")
    print(f"where nothing else on the host uses these libraries: {alone} KiB, ratio {alone / nebula:.2f}")
    if data_plane:
        print(f"not counted: wireguard-go {kib(data_plane)} KiB, which stands in for the WireGuard that this kernel lacks;"
              f" with it the ratio would be {(agent + kib(data_plane)) / nebula:.2f}")
    row("agent-uss", round(agent / nebula, 3), "ratio", f"Nebula with {PEERS} tunnels {nebula} KiB; ours {agent} KiB",
        "<= 0.333", READINGS)
    return 0 if agent / nebula <= GOAL else 1


def main():
    bed = Bed(sys.argv[1])
    try:
        ours = ours_up(bed)
        ours["nebula"] = [nebula_up(bed)]
        if [len(pids) for pids in ours.values()] != [2, 2, 1]:
            raise Failed(f"processes are missing: {ours}")
        data_plane = pids_named("wireguard-go", bed.hosts["measured"])
        taken = readings(sum(ours.values(), data_plane))
    except (Failed, subprocess.CalledProcessError) as e:
        print(f"uss: {e}", file=sys.stderr)
        return 1
    return report(ours, data_plane, taken)


code = main()
sys.stdout.flush()
os._exit(code)  # agents end with the script's namespaces
