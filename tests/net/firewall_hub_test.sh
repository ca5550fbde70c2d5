#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The hub's rules: its overlay interface serves the API to identities, enrolment to ffff::/64 and echo to both; nothing is
# forwarded from, to or between spokes; a local process is not an identity. First without our table, where all of it is open.
#
#     good --+                          lan
#            +-- sortie0 (bridge)  hub --+ eth0
#     bad ---+
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/firewall_bed.sh"

PROBE=$ROOT/tests/tools/probe.py
NEW6=fd12:3456:789a:ffff::5
for h in hub good bad lan; do host $h; done
FW_PID=${PIDS[hub]}
on hub ip link add sortie0 type bridge
on hub ip link set sortie0 address 02:00:00:00:00:01 up
addr hub sortie0 $HUB4/32 $HUB6/128
spoke() { # HOST NUMBER ADDRESS4 ADDRESS6...
	local h=$1 n=$2 a
	shift 2
	wire "$h" sortie0 hub "port$n"
	on "$h" ip link set sortie0 down address "02:00:00:00:01:0$n"
	on "$h" ip link set sortie0 up
	on hub ip link set "port$n" master sortie0
	overlay_addr "$h" "$@"
	# The open hub tells that bad is on the same wire, as no tunnel can; good would go past its rules from then on.
	on "$h" sysctl -qw net.ipv6.conf.sortie0.accept_redirects=0
	on "$h" ip neigh add $HUB4 lladdr 02:00:00:00:00:01 dev sortie0 nud permanent
	on "$h" ip neigh add $HUB6 lladdr 02:00:00:00:00:01 dev sortie0 nud permanent
	on "$h" ip route add $HUB4 dev sortie0
	on "$h" ip -6 route add $HUB6 dev sortie0
	on "$h" ip route add default via $HUB4 dev sortie0
	on "$h" ip -6 route add default via $HUB6 dev sortie0 src "$2"
	for a in "$@"; do on hub ip neigh add "$a" lladdr "02:00:00:00:01:0$n" dev sortie0 nud permanent; done
}
spoke good 1 $GOOD4 $GOOD6 $NEW6
spoke bad 2 $BAD4 $BAD6
on hub ip route add $OVERLAY4 dev sortie0
on hub ip -6 route add $OVERLAY6 dev sortie0
wire hub eth0 lan eth0
addr hub eth0 192.168.7.2/24 fd00:7::2/64
addr lan eth0 192.168.7.9/24 fd00:7::9/64
on lan ip route add default via 192.168.7.2
on lan ip -6 route add default via fd00:7::2
on hub sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0 \
	net.ipv4.conf.sortie0.send_redirects=0 net.ipv4.conf.all.rp_filter=0
serve() { # HOST PORT...
	on "$1" "$PROBE" serve "$@" >"$T/serving.$1" &
	wait_for 15 grep -q serving "$T/serving.$1"
}
serve hub tcp/4280 tcp/4281 tcp/22 udp/53
serve bad tcp/5432 udp/53
serve lan tcp/80

asked() { # HOST TO PORT: the outcome
	echo "[{\"id\": \"x\", \"to\": \"$2\", \"port\": \"$3\"}]" | on "$1" "$PROBE" ask -t 1 | sed 's/.*"x": "\(.*\)".*/\1/'
}
is() { # WANTED HOST TO PORT; open may be late on a busy machine, the rest is asked once
	local wanted=$1 got
	shift
	if [[ $wanted != closed ]]; then
		for _ in 1 2 3; do
			got=$(asked "$@")
			[[ $got != "$wanted" ]] || return 0
		done
	else
		got=$(asked "$@")
		[[ $got != refused && $got != silent ]] || return 0
	fi
	echo "it is '$got'"
	return 1
}
source_is() { on good ip -6 route replace $HUB6 dev sortie0 src "$1"; }

declare -a LINES_AFTER=()
while read -r before after from to4 to6 port what; do
	for to in $to4 $to6; do check "no table: $what, $to $port is $before" is "${before/+/ }" "$from" "$to" "$port"; done
	LINES_AFTER+=("$after $from $to4 $to6 $port $what")
done <<CASES
open+bad closed good $BAD4 $BAD6 tcp/5432 from spoke to spoke
open+echo closed good $BAD4 $BAD6 icmp from spoke to spoke
open+lan closed good 192.168.7.9 fd00:7::9 tcp/80 from a spoke to the hub's network
open+hub closed good 192.168.7.2 fd00:7::2 tcp/22 from a spoke to the hub's other address
open+bad closed lan $BAD4 $BAD6 tcp/5432 from the hub's network to a spoke
open+hub closed lan $HUB4 $HUB6 tcp/4280 from the hub's network to the API
open+hub open+hub good $HUB4 $HUB6 tcp/4280 from a spoke to the API
open+hub closed good $HUB4 $HUB6 tcp/4281 from a spoke to enrolment
open+hub closed good $HUB4 $HUB6 tcp/22 from a spoke to another port
open+hub closed good $HUB4 $HUB6 udp/53 from a spoke to another port (UDP)
open+echo open+echo good $HUB4 $HUB6 icmp from a spoke to the hub (echo)
open+hub closed hub $HUB4 $HUB6 tcp/4280 from a local process to the API
open+hub closed hub $HUB4 $HUB6 tcp/4281 from a local process to enrolment
open+bad closed hub $BAD4 $BAD6 tcp/5432 from the hub to a spoke
open+echo open+echo hub $BAD4 $BAD6 icmp from the hub to a spoke (echo)
open+lan open+lan hub 192.168.7.9 fd00:7::9 tcp/80 from the hub to its network
CASES
check "the hub's rules are written" fw_apply --role hub
for line in "${LINES_AFTER[@]}"; do
	read -r after from to4 to6 port what <<<"$line"
	for to in $to4 $to6; do check "hub: $what, $to $port is $after" is "${after/+/ }" "$from" "$to" "$port"; done
done
source_is $NEW6
check "hub: from ffff::/64 enrolment is open" is "open hub" good $HUB6 tcp/4281
check "hub: from ffff::/64 echo is open" is "open echo" good $HUB6 icmp
check "hub: from ffff::/64 the API is closed" is closed good $HUB6 tcp/4280
source_is $GOOD6
fw_apply --counters >"$T/counters"
check "hub: what was denied was counted" awk '$1 ~ /^(in|out|spoofed)$/ && $2 == 0 { exit 1 }' "$T/counters"
check "hub: adopted by a new process without a change" test "$(fw_apply --role hub --plan)" = $'create 0\nadded 0\nremoved 0\nrefreshed 0\nchains 0'
finish
