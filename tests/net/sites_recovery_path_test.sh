#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# What happens on the way: a NAT forgets its mappings, a site gets another public address, a link flaps (FLAP_SECONDS, 8 by
# default; 600 for the long run), legs are narrow. How long sites were cut off, IPv4 and IPv6.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

internet_up
nat_site nata 192.0.2.11 web
nat_site natb 192.0.2.12 db
direct_site monitor 192.0.2.31/24 2001:db8::31/64
control_init >/dev/null
control_run 2>/dev/null || exit 1
for name in site-a/web site-b/db site-c/monitor; do
	h=${name#*/}
	agent_run "$h" || exit 1
	check "$h enrolled" enroll "$name" "role=$h"
done
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules: [{name: everybody asks the database, from: "role in (web, monitor)", to: role=db, allow: [icmp]}]
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
overlay_addresses web db monitor
for h in web monitor; do check "$h reaches the database" wait_for 20 reaches $h "${V6[db]}" icmp; done
watch_all() { # FROM
	watch site4 "$1" "${V4[db]}"
	watch site6 "$1" "${V6[db]}"
}

# ---- NAT: in front of the one that asks, then of the one that is asked; the new mapping has another port. Nobody speaks with
# the hub but the agents themselves, every 2 s; afterwards the management sessions work.
for nat in nata natb; do
	h=web
	[[ $nat == nata ]] || h=db
	before=$(on hub wg show sortie0 endpoints | sort)
	watch_all web
	since=$(now)
	on $nat conntrack -D -p udp >/dev/null 2>&1
	sleep 5.5
	watch hub6 $h "$HUB_OVER6"
	watched
	outage "NAT rebind in front of $h" 5000 "$since"
	check_not "NAT rebind in front of $h: the hub sees another port" test "$before" = "$(on hub wg show sortie0 endpoints | sort)"
done

# ---- another public address; nothing else speaks with the hub, or that would tell it
watch_all monitor
since=$(now)
on monitor ip addr add 192.0.2.41/24 dev eth0
on monitor ip addr del 192.0.2.31/24 dev eth0
on monitor ip addr add 192.0.2.41/24 dev eth0 2>/dev/null # it went with the first where that was the primary one
sleep 4
watched
outage "public address changed" 5000 "$since"
check "public address changed: the agent has seen it" grep -q 'from another address: 192.0.2.41' "$T/monitor.log"
check "public address changed: it speaks with the hub" status_is monitor 's["hub_answers"] and s["control_answers"]'

# ---- a link that flaps; afterwards there is no more of anything
footprint() { # HOST: descriptors, routes, rules, addresses, peers, kB of the agent's private memory
	local pid=${AGENTS[$1]}
	on "$1" bash -c "ls /proc/$pid/fd | wc -l; (ip -4 route show table all; ip -6 route show table all proto 140; ip rule; ip -6 rule) | wc -l; nft list ruleset | wc -l; ip addr | grep -c inet; wg show sortie0 peers | wc -l" | tr '\n' ' '
}
memory() { awk '/^Private/ {kb += $2} END {print kb}' "/proc/${AGENTS[monitor]}/smaps_rollup"; }
flaps() { # SECONDS
	local end=$((SECONDS + $1)) n=0
	while ((SECONDS < end)); do
		on monitor ip link set eth0 down
		sleep 0.$((RANDOM % 4))
		on monitor ip link set eth0 up
		on monitor ip addr add 2001:db8::31/64 dev eth0 nodad 2>/dev/null
		sleep 0.$((RANDOM % 8))
		n=$((n + 1))
	done
	echo "# link flaps: $n in $1 s"
}
monitor_ready() { reaches monitor "${V6[db]}" icmp && reaches monitor "${V4[db]}" icmp && status_is monitor 's["hub_answers"] and s["control_answers"]'; }
settled() { monitor_ready && [[ $(footprint monitor) == "$was" ]]; }
flaps 2 # what is allocated once is allocated now
check "link flaps: a few are over" wait_for 10 monitor_ready
was=$(footprint monitor) before=$(memory)
watch site4 monitor "${V4[db]}"
flaps "${FLAP_SECONDS:-8}"
since=$(now)
sleep 5
watched
outage "link flaps, after the last one" 5000 "$since"
check "link flaps: descriptors, routes, rules, addresses, peers are as before ($was)" wait_for 15 settled
after=$(memory)
echo "# link flaps: private memory $before kB before, $after kB after"
if [[ $B == */san ]]; then
	skip "link flaps: memory did not grow" "the sanitizer keeps what was freed"
else
	check "link flaps: memory did not grow" test "$after" -le $((before + 200))
fi

# ---- narrow legs: full-size packets of the overlay, MTU 1280, in one piece and both ways
full_size() { on "$1" ping -q -n -c 3 -i 0.1 -M do -s "$2" -W 2 "$3"; }
for mtu in 1460 1400; do
	for end in "nata eth0" "internet nata"; do
		read -r h interface <<<"$end"
		on "$h" ip link set "$interface" mtu $mtu
	done
	check "leg of $mtu: a full-size packet over IPv4" full_size web 1252 "${V4[db]}"
	check "leg of $mtu: over IPv6" full_size web 1232 "${V6[db]}"
	check_not "leg of $mtu: nothing larger is sent" full_size web 1253 "${V4[db]}"
done
sites_end
finish
