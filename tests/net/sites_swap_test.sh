#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# Two sites get each other's public address and port, over IPv4 (web, db) and IPv6 (w6, d6): behind NATs of one port each, their
# lines are exchanged while a third site asks all four. How long they were cut off, and that nobody gets what is another's.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

declare -A BEHIND=([web]=nata [db]=natb [w6]=natc [d6]=natd) OUTSIDE=(
	[nata]=192.0.2.11 [natb]=192.0.2.12 [natc]=2001:db8::13 [natd]=2001:db8::14)
SITES="web db w6 d6"
internet_up
for h in $SITES; do
	nat=${BEHIND[$h]} outside=${OUTSIDE[${BEHIND[$h]}]}
	nat_site "$nat" "192.0.2.1${outside: -1}" "$h"
	# What nobody asked for would be a connection of the NAT's own, and so take the one port from whoever is behind it.
	on "$nat" nft 'add chain inet nat in { type filter hook input priority 0; }; add rule inet nat in iifname eth0 meta l4proto udp drop'
	if [[ $outside == *:* ]]; then
		on "$nat" ip -4 addr flush dev eth0
		addr "$nat" eth0 "$outside/64"
		on "$nat" sysctl -qw net.ipv6.conf.all.forwarding=1
		on "$h" ip route del default
		on "$h" ip -6 route add default via fd00:1::1
	fi
done
direct_site monitor 192.0.2.31/24
control_init --endpoint "[$HUB6]:$HUB_PORT" >/dev/null
control_run 2>/dev/null || exit 1
for h in $SITES monitor; do agent_run "$h" || exit 1; done
for h in $SITES; do check "$h enrolled" enroll "site-$h/$h" role=asked; done
check "monitor enrolled" enroll site-m/monitor role=monitor
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules: [{name: the monitor asks all, from: role=monitor, to: role=asked, allow: [icmp]}]
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
overlay_addresses $SITES monitor
for h in $SITES; do check "monitor reaches $h" wait_for 20 reaches monitor "${V6[$h]}" icmp; done

at_hub() { on hub wg show sortie0 endpoints | awk -v key="$(on "$1" wg show sortie0 public-key)" '$1 == key {print $2}'; }
endpoint_of() { if [[ $1 == *:* ]]; then echo "[$1]:40000"; else echo "$1:40000"; fi; }
moved() { # HOST ENDPOINT
	[[ $(at_hub "$1") == "$2" ]] || { echo "the hub sees $1 at $(at_hub "$1"), not $2"; return 1; }
}
one_port() { # NAT
	local to="ip to ${OUTSIDE[$1]}:40000"
	[[ $to != *::* ]] || to="ip6 to [${OUTSIDE[$1]}]:40000"
	on "$1" nft "flush chain inet nat post; add rule inet nat post oifname eth0 meta l4proto udp snat $to"
	forget "$1"
}
forget() { # NAT: all its mappings
	on "$1" conntrack -F 2>/dev/null
	on "$1" conntrack -F -f ipv6 2>/dev/null
}
exchange() { # HOST HOST: their lines
	local a=$1 b=$2 of_a=${BEHIND[$1]} of_b=${BEHIND[$2]} h
	on "$of_a" ip link set "$a" netns "${PIDS[$of_b]}"
	on "$of_b" ip link set "$b" netns "${PIDS[$of_a]}"
	BEHIND[$a]=$of_b BEHIND[$b]=$of_a
	for h in "$a" "$b"; do
		on "${BEHIND[$h]}" ip link set "$h" master br0 up
		on "${BEHIND[$h]}" ip neigh flush dev br0
		forget "${BEHIND[$h]}"
		on "$h" ip neigh flush dev eth0
	done
}
listen() { # NAME HOST INTERFACE FILTER
	on "$2" tcpdump -i "$3" -Q in --immediate-mode -U -w "$T/$1.$2.pcap" "$4" >/dev/null 2>"$T/tcpdump.$1.$2" &
	wait_for 10 grep -q "listening on" "$T/tcpdump.$1.$2" || fail "$2 is listened to"
}
count() { tcpdump -nr "$T/$1.$2.pcap" 2>/dev/null | wc -l; }
# From now on, since an enrolment takes a port of its own meanwhile.
for h in $SITES; do one_port "${BEHIND[$h]}"; done
for h in $SITES; do check "$h comes from port 40000" wait_for 10 moved $h "$(endpoint_of "${OUTSIDE[${BEHIND[$h]}]}")"; done
for h in $SITES; do check "monitor reaches $h there" wait_for 20 reaches monitor "${V6[$h]}" icmp; done
denied() { # NAME
	local pair a b
	for pair in "web db" "db web" "w6 d6" "d6 w6" "web monitor" "d6 monitor"; do
		read -r a b <<<"$pair"
		check_not "$1: $a does not reach $b, IPv4" reaches "$a" "${V4[$b]}" icmp
		check_not "$1: nor IPv6" reaches "$a" "${V6[$b]}" icmp
	done
}

declare -A BEFORE=()
for h in $SITES; do
	BEFORE[$h]=$(at_hub $h)
	listen inside $h sortie0 "not dst host ${V4[$h]} and not dst host ${V6[$h]}"
	watch "$h-4" monitor "${V4[$h]}"
	watch "$h-6" monitor "${V6[$h]}"
done
since=$(now)
exchange web db
exchange w6 d6
sleep $((5 * TEST_SCALE))
watched
bound=5000
[[ -z ${SORTIE_VM:-} ]] || bound=10000 # five agents on one emulated processor
outage "endpoints exchanged" $bound "$since"
for pair in "web db" "db web" "w6 d6" "d6 w6"; do
	read -r a b <<<"$pair"
	check "$a is where $b was, ${BEFORE[$b]}" moved "$a" "${BEFORE[$b]}"
	check "$a decrypted nothing of another's" test "$(count inside "$a")" -eq 0
done

# ---- what is for one of two arrives there, and not where it was before
for h in $SITES; do listen wire $h eth0 "udp port $HUB_PORT or udp port 443"; done
for h in db d6; do
	on monitor ping -q -c 50 -i 0.01 "${V4[$h]}" >/dev/null
	on monitor ping -q -c 50 -i 0.01 "${V6[$h]}" >/dev/null
done
for pair in "db web" "d6 w6"; do
	read -r a b <<<"$pair"
	check "what is for $a gets there" wait_for 3 eval '[[ $(count wire $a) -ge 95 ]]'
	echo "# 100 echoes for $a: $(count wire "$a") packets at $a, $(count wire "$b") at $b"
	check "and not to $b" test "$(count wire "$b")" -lt 30
done
denied "endpoints exchanged"
sites_end
finish
