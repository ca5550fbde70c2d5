#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# A hub of four endpoints, IPv4 and IPv6, ports 51820 and 443, of which some are dead for some: web's network has IPv4 only
# and lets nothing out but UDP/443; db has both families and loses one, then the other. How long an agent takes to find
# the endpoint that works, that it knows it again after a restart, and that it stays with it while the hub is away or
# packets are lost.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

internet_up
nat_site nata 192.0.2.11 web
direct_site db 192.0.2.22/24 2001:db8::22/64
on nata nft -f - <<'NFT'
table inet strict {
	chain forward { type filter hook forward priority -1; oifname "eth0" udp dport != 443 drop; }
}
NFT
control_init --endpoint "[$HUB6]:$HUB_PORT" >/dev/null
control_run 2>/dev/null || exit 1
for h in web db; do agent_run "$h" || exit 1; done
in_use() { at "$1" status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["hub"])'; }
answers_at() { [[ $(in_use "$1") == "$2" ]] && status_is "$1" 's["hub_answers"]'; }
ms_since() { awk -v a="$1" -v b="$(now)" 'BEGIN {printf "%d", (b - a) * 1000}'; }
took() { # NAME MS SINCE: a figure and a TAP line
	local ms
	ms=$(ms_since "$3")
	echo "# $1: $ms ms"
	check "$1: within $2 ms" test "$ms" -le $(($2 * TEST_SCALE))
}

# ---- enrolment: one dead endpoint and one of a family that web does not have come before the one that works
since=$(now)
check "web enrolled" enroll site-a/web role=web
check "web speaks with port 443" wait_for 30 answers_at web $HUB4:443
took "enrolled where only UDP/443 gets out" 8000 "$since"
check "db enrolled" enroll site-b/db role=db
cat >"$T/policy.yaml" <<-'YAML'
	version: 1
	rules: [{name: web asks the database, from: role=web, to: role=db, allow: [icmp]}]
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
overlay_addresses web db
check "web reaches the database" wait_for 20 reaches web "${V6[db]}" icmp
denied() { check_not "$1: the database does not reach web, IPv4" reaches db "${V4[web]}" icmp; check_not "$1: nor IPv6" reaches db "${V6[web]}" icmp; }
denied "enrolled"
watch_all() {
	watch site4 web "${V4[db]}"
	watch site6 web "${V6[db]}"
	watch hub6 "$1" "$HUB_OVER6"
}

# ---- a restart of the agent where the first endpoint of the list is dead
watch_all web
sleep 0.5
kill -9 "${AGENTS[web]}"
wait "${AGENTS[web]}" 2>/dev/null
sleep 0.5
agent_run web || fail "the agent starts again"
sleep 3
check "agent restarted: it has not left port 443" answers_at web $HUB4:443
watched
unharmed "agent restarted"

# ---- a reboot: nothing is left of web but its disk
kill -9 "${AGENTS[web]}"
wait "${AGENTS[web]}" 2>/dev/null
on web ip link del sortie0
on web nft flush ruleset
agent_start web
since=$(now)
check "web rebooted: it speaks with port 443" wait_for 30 answers_at web $HUB4:443
took "web rebooted" 3000 "$since"

# ---- one family is lost, then the other
blocked() { # FAMILY: db's packets to the hub by this family end here
	on db nft "flush chain inet blocked out; add rule inet blocked out ip$1 daddr $2 drop"
}
on db nft -f - <<'NFT'
table inet blocked { chain out { type filter hook output priority 0; }; }
NFT
check "db speaks IPv4" answers_at db $HUB4:$HUB_PORT
for leg in " $HUB4 [$HUB6]:$HUB_PORT" "6 $HUB6 $HUB4:$HUB_PORT"; do
	IFS=' ' read -r family address next <<<"${leg/# /4 }"
	name="db loses IPv$family"
	watch_all db
	since=$(now)
	blocked "${family/4/}" "$address"
	check "$name: it speaks with $next" wait_for 40 answers_at db "$next"
	sleep 1.5
	watched
	outage "$name" 8000 "$since"
	denied "$name"
done
on db nft delete table inet blocked

# ---- packets are lost: no reason to go elsewhere
on db nft -f - <<'NFT'
table inet lossy {
	chain out { type filter hook output priority 0; udp dport { 443, 51820 } numgen random mod 100 < 10 drop; }
	chain in { type filter hook input priority 0; udp sport { 443, 51820 } numgen random mod 100 < 10 drop; }
}
NFT
before=$(in_use db)
sleep $((12 * TEST_SCALE))
check "a tenth of packets lost, both ways: db stays where it is" answers_at db "$before"
on db nft delete table inet lossy

# ---- the hub is away for longer than a round through all endpoints takes
watch_all web
kill -9 "$CONTROL_PID"
wait "$CONTROL_PID" 2>/dev/null
on hub ip link del sortie0
on hub nft flush ruleset
sleep 14
since=$(now)
control_start || fail "the hub comes back"
sleep 6
watched
outage "hub away for 14 s" 5000 "$since"
few_lost() { # WATCH: what is said from site to site stays where it is while the hub is looked for elsewhere
	read -r _ lost < <("$ROOT/tests/tools/echoes.py" silence "$T/watch.$1")
	((lost <= 25))
}
for name in site4 site6; do check "hub away: $name went on" few_lost $name; done
check "hub away: web is back at port 443" answers_at web $HUB4:443
check "hub away: db is back" status_is db 's["hub_answers"]'
denied "hub away"
sites_end
finish
