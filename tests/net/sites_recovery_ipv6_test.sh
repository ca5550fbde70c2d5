#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# What happens on the way where the underlay has IPv6 only: two sites behind NATs for IPv6 whose mappings go, and a site on the
# wire that asks and is asked gets another address. How long sites were cut off, both families inside. (IPv4 outside:
# sites_recovery_path_test.sh.)
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

internet_up
nat_site nata 192.0.2.11 web
nat_site natb 192.0.2.12 db
direct_site monitor 2001:db8::31/64
for site in "nata web 11" "natb db 12"; do
	read -r nat h n <<<"$site"
	addr "$nat" eth0 "2001:db8::$n/64"
	on "$nat" sysctl -qw net.ipv6.conf.all.forwarding=1
	on "$h" ip -6 route add default via fd00:1::1
	on "$nat" ip -4 addr flush dev eth0
done
on hub ip -4 addr flush dev eth0
on internet ip -4 addr flush dev br0
ENDPOINT="[$HUB6]:$HUB_PORT"
control_init >/dev/null
control_run 2>/dev/null || exit 1
for name in site-a/web site-b/db site-c/monitor; do
	h=${name#*/}
	agent_run "$h" || exit 1
	check "$h enrolled" enroll "$name" "role=$h"
done
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: the database is asked, from: "role in (web, monitor)", to: role=db, allow: [icmp]}
  - {name: the monitor is asked, from: role=web, to: role=monitor, allow: [icmp]}
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
overlay_addresses web db monitor
for pair in "web db" "web monitor" "monitor db"; do
	read -r a b <<<"$pair"
	check "$a reaches $b" wait_for 20 reaches "$a" "${V6[$b]}" icmp
done
watch_pair() { # FROM TO
	watch "$1-$2-4" "$1" "${V4[$2]}"
	watch "$1-$2-6" "$1" "${V6[$2]}"
}
denied() { # NAME
	local pair a b
	for pair in "db web" "monitor web" "db monitor"; do
		read -r a b <<<"$pair"
		check_not "$1: $a does not reach $b, IPv4" reaches "$a" "${V4[$b]}" icmp
		check_not "$1: nor IPv6" reaches "$a" "${V6[$b]}" icmp
	done
}
outside() { on hub wg show sortie0 endpoints | awk -v key="$(on "$1" wg show sortie0 public-key)" '$1 == key {print $2}'; }

# ---- NAT: in front of the one that asks, then of the one that is asked; the new mapping has another port
for site in "nata web 11" "natb db 12"; do
	read -r nat h n <<<"$site"
	before=$(outside "$h")
	check "$h stands behind its NAT's IPv6 address" test "${before%]:*}" = "[2001:db8::$n"
	watch_pair web db
	since=$(now)
	on "$nat" conntrack -D -f ipv6 -p udp >/dev/null 2>&1 || fail "the NAT in front of $h had a mapping"
	sleep $((5 * TEST_SCALE))
	watch hub4 "$h" "$HUB_OVER4"
	watch hub6 "$h" "$HUB_OVER6"
	watched
	outage "NAT rebind in front of $h" 5000 "$since"
	after=$(outside "$h")
	check "NAT rebind in front of $h: the hub sees another port of it" test "${after%]:*}" = "[2001:db8::$n" -a "$after" != "$before"
done
denied "NAT rebind"

# ---- another public address; the former one is gone. Here as well nobody but the agent speaks with the hub until later.
watch_pair monitor db
watch_pair web monitor
since=$(now)
addr monitor eth0 2001:db8::41/64
on monitor ip addr del 2001:db8::31/64 dev eth0
sleep $((4 * TEST_SCALE))
watch hub4 monitor "$HUB_OVER4"
watch hub6 monitor "$HUB_OVER6"
watched
outage "public address changed" 5000 "$since"
check "public address changed: the agent has noticed" grep -qF "from another address: 2001:db8::41" "$T/monitor.log"
check "public address changed: the hub sees it" eval '[[ $(outside monitor) == "[2001:db8::41]:"* ]]'
denied "public address changed"
sites_end
finish
