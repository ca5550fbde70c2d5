#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Row reconnect-1000-s: a hub with 1,000 sites reboots (interface, relay maps, control plane gone for 3 s) and comes back; from
# the start of its programs until every site has its management session (an echo answered in a new one).
# Row reconnect-1000-call-s: until every site also has an answered sync call with the new boot id; p99 is a remark.
# Row control-1000-rss: the control plane's memory (private, of sortie-control and sortie-sign) with 1,000 agents that wait.
#
# The sites are one process (bench/storm.py) with real handshakes, echoes, calls: 1,000 addresses on the underlay, ten to a
# policy group. It and the hub share the machine's cores, so its own processor time is part of the figure, and a remark.
# What sites do among each other then (their sessions anew, within 2 s by design) is not in it. SITES=N.
source "$(dirname "$0")/../tests/net/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/bench/flat.bash"
set -e
SITES=${SITES:-1000}
python3 -c 'import cryptography' 2>/dev/null || { echo "python3-cryptography is missing" >&2; exit 1; }
[[ -x $B/tests/tools/crowd ]] || make -s -C "$ROOT" "B=$B" "$B/tests/tools/crowd"
flat_up crowd
"$B/tests/tools/crowd" "$STATE" "$SITES" >"$T/crowd"
CONTROL_STATE=$(head -n 1 "$T/crowd")
on hub ip route add 198.18.0.0/16 via 192.0.2.2 # one neighbour: the machine's table holds 1,024 by default
on crowd ip tuntap add storm mode tun
on crowd ip link set storm mtu 1280 up
NETWORK6=$(sed -n '4s/.* \([^:]*:[^:]*:[^:]*\):.*/\1/p' "$T/crowd")
on crowd ip -6 route add "$NETWORK6::1" dev storm
tail -n +4 "$T/crowd" | awk '{print "addr add " $3 "/128 dev storm nodad"}' >"$T/overlay"
seq 0 $((SITES - 1)) | awk '{printf "addr add 198.18.%d.%d/32 dev eth0\n", $1 / 250, $1 % 250 + 1}' >"$T/underlay"
for f in overlay underlay; do on crowd ip -batch "$T/$f"; done
control_run 2>/dev/null
{
	echo "version: 1"
	echo "rules:"
	seq 0 $(((SITES - 1) / 10)) | awk '{printf "  - {name: group %d, from: group=g%d, to: group=g%d, allow: [tcp/443]}\n", $1, $1, $1}'
} >"$T/policy.yaml"
sortie policy apply "$T/policy.yaml" >/dev/null
nsenter -t "${PIDS[crowd]}" -n -m -- "$ROOT/bench/storm.py" "$T/crowd" $HUB4 $HUB_PORT storm "$T/storm" &
STORM=$!
cat >"$T/there.py" <<'PY'
"""0 where every site has the boot id that the control plane names, in SECONDS; then prints how long after SINCE the last came."""
import json, sys, time
path, boot_id, since, limit = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
until = time.monotonic() + limit
while True:
    try:
        state = json.load(open(path))
    except OSError:
        state = None
    if state and state["answers"] == len(state["met"]) == state["boot_ids"].get(boot_id):
        break
    if time.monotonic() > until:
        sys.exit(f"not there: {state['answers'] if state else 0} answer, {state['boot_ids'] if state else {}}, {state['problem'] if state else ''}")
    time.sleep(0.1)
back = sorted(at - since for _, at in state["back"].values())
met = sorted(at - since for at in state["met"])
share = lambda a, p: a[min(len(a) - 1, int(len(a) * p))]
print(json.dumps({"max": back[-1], "p50": share(back, .5), "p99": share(back, .99), "met_p50": share(met, .5), "met_max": met[-1], "cpu": state["cpu"]}))
PY
boot_id() { sortie status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["boot_id"])'; }
# A thousand leases are signed and synced to disk first, which takes a minute on a slow one.
python3 "$T/there.py" "$T/storm" "$(boot_id)" 0 180 >"$T/first" || exit 1
sleep 8 # confirmed endpoints are in the file, and all polls are kept
memory() { for p in $(pgrep -x 'sortie-control|sortie-sign'); do awk '/^Private/ {kb += $2} END {print kb + 0}' "/proc/$p/smaps_rollup"; done | awk '{kb += $1} END {print kb}'; }
resident() { for p in $(pgrep -x 'sortie-control|sortie-sign'); do awk '/^VmRSS/ {print $2}' "/proc/$p/status"; done | awk '{kb += $1} END {print kb}'; }
private=$(memory) rss=$(resident)
kill -9 "$CONTROL_PID"
wait "$CONTROL_PID" 2>/dev/null || true
on hub ip link del sortie0
on hub nft flush ruleset
on hub "$B/sortie-relay-load" --unload --bpffs "$T/bpf"
sleep 3
cpu_before=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["cpu"])' "$T/storm")
since=$(date +%s.%N)
control_run 2>/dev/null
python3 "$T/there.py" "$T/storm" "$(boot_id)" "$since" 60 >"$T/second" || exit 1
kill "$STORM"
wait "$STORM" 2>/dev/null || true
python3 - "$T/second" "$SITES" "$cpu_before" "$private" "$rss" <<'PY'
import json, sys
s = json.load(open(sys.argv[1]))
sites, before, private, rss = int(sys.argv[2]), *map(float, sys.argv[3:])
print(f"sessions: half after {s['met_p50']:.2f} s, all after {s['met_max']:.2f} s; synced: half after {s['p50']:.2f} s, p99 {s['p99']:.2f} s, all {s['max']:.2f} s;"
      f" of that {s['cpu'] - before:.1f} s processor time of the sites' process")
print(json.dumps({"name": f"reconnect-{sites}-s", "value": round(s["met_max"], 2), "unit": "s", "reference": "from the start of the hub's programs to the last site's session", "goal": "<= 5", "samples": sites}))
print(json.dumps({"name": f"reconnect-{sites}-call-s", "value": round(s["max"], 2), "unit": "s", "reference": "from there to the last site's answered call", "goal": None, "samples": sites}))
print(f"control plane with {sites} agents that wait: {private / 1024:.1f} MiB private, {rss / 1024:.1f} MiB resident")
print(json.dumps({"name": f"control-{sites}-rss", "value": round(private / 1024, 1), "unit": "MiB", "reference": "private memory of sortie-control and sortie-sign", "goal": None, "samples": 1}))
PY
finish
