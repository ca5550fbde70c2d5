#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernel: yes
# The smallest whole: two sites behind NAT, one hub. Allowed, denied, revoked, IPv4 and IPv6, on the kernel's WireGuard
# where it has one. Few steps: a virtual machine is 10 to 30 times slower.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
probe=$ROOT/tests/tools/probe.py

internet_up
nat_site nata 192.0.2.11 web
nat_site natb 192.0.2.12 db
control_init >/dev/null
control_run || exit 1
declare -A V4=() V6=()
for name in site-a/web site-b/db; do
	h=${name#*/}
	agent_run "$h" || exit 1
	check "$name enrolled" enroll "$name" "role=$h"
	V4[$h]=$(overlay "$h" 4) V6[$h]=$(overlay "$h" 6)
	on "$h" "$probe" serve "$h" tcp/5432 tcp/22 >/dev/null 2>&1 &
done
backend=userspace
if on web ip link add probing type wireguard 2>/dev/null; then
	backend=kernel
	on web ip link del probing
fi
check "WireGuard is $backend" eval "at web status --json | grep -q '\"backend\": \"$backend\"'"
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: web reads the database, from: role=web, to: role=db, allow: [tcp/5432, icmp]}
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
asked() { # FROM OUTCOMES: of tcp/5432, tcp/22, icmp to the other one over IPv4 and IPv6, in one start of the prober
	local to=db list=
	[[ $1 == web ]] || to=web
	for port in tcp/5432 tcp/22 icmp; do
		list+="${list:+,}{\"id\":\"4 $port\",\"to\":\"${V4[$to]}\",\"port\":\"$port\"},{\"id\":\"6 $port\",\"to\":\"${V6[$to]}\",\"port\":\"$port\"}"
	done
	echo "[$list]" | on "$1" "$probe" ask -t "$((2 + TEST_SCALE / 2))" |
		python3 -c 'import json,sys; print(" ".join(sorted(k for k, v in json.load(sys.stdin).items() if v.startswith("open"))))' >"$T/open"
	[[ $(<"$T/open") == "$2" ]] || { echo "open: $(<"$T/open")"; return 1; }
}
ALLOWED="4 icmp 4 tcp/5432 6 icmp 6 tcp/5432"
check "web reaches db where the rule says so, and nowhere else" wait_for 20 asked web "$ALLOWED"
check "db reaches web nowhere" asked db ""
on web "$probe" stream send "${V6[db]}" 5432 $((60 * ${TEST_SCALE%.*})) "$T/upload" >/dev/null 2>&1 &
check "an upload runs" wait_for 10 test -s "$T/upload"
check "revoked, and the database's agent has acknowledged" eval 'sortie identity revoke --wait site-a/web | grep -q "^1 of 1 agents"'
total=
all_read() { local was=$total; total=$(cut -d" " -f2 "$T/upload") && sleep 1 && [[ $was == "$total" ]]; }
check "a slow receiver has read what came before" wait_for 10 all_read
total=$(cut -d" " -f2 "$T/upload")
check "the revoked reaches nobody" asked web ""
check "nothing more of the upload has come" test "$(cut -d" " -f2 "$T/upload")" = "$total"
sites_end
finish
