#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The ways round a firewall of this kind, each tried: first without our table, where every one of them is open (or this
# test would prove nothing), then in all modes. What is dropped is counted, too.
#
#     good, bad, stranger, the hub       lan 192.168.7.9
#        (addresses of `peers`)               | eth0
#                  | sortie0                  |
#                  +---------- me ------------+
#                              | br0
#                              box 172.17.0.2: a container, masqueraded; its port 80 published as 8080 and 8081
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/firewall_bed.sh"
source "$(dirname "$0")/expect.sh"

RAW=$ROOT/tests/tools/fw_raw.py
LAN4=192.168.7 LAN6=fd00:7
for h in me peers lan box; do host $h; done
FW_PID=${PIDS[me]}
overlay_wire me peers
overlay_addr me $ME4 $ME6
overlay_addr peers $HUB4 $HUB6 $GOOD4 $GOOD6 $BAD4 $BAD6 $STRANGER4 $STRANGER6
wire me eth0 lan eth0
addr me eth0 $LAN4.2/24 $LAN6::2/64
addr lan eth0 $LAN4.9/24 $LAN6::9/64
addr lan lo $GOOD4/32 $GOOD6/128
on me ip link add br0 type bridge
wire me veth0 box eth0
on me ip link set veth0 master br0
on me ip link set br0 up
addr me br0 172.17.0.1/16 fd00:17::1/64
addr box eth0 172.17.0.2/16 fd00:17::2/64
on box ip route add default via 172.17.0.1
on box ip -6 route add default via fd00:17::1
on lan ip route add $ME4 via $LAN4.2
on lan ip -6 route add $ME6 via $LAN6::2
on me sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.netfilter.nf_conntrack_tcp_loose=1 \
	net.ipv4.conf.all.rp_filter=0
on me nft -f - <<NFT
table inet docker {
	chain pre { type nat hook prerouting priority -100; fib daddr type local tcp dport { 8080, 8081 } jump published; }
	chain published { meta l4proto tcp dnat ip to 172.17.0.2:80; meta l4proto tcp dnat ip6 to [fd00:17::2]:80; }
	chain post { type nat hook postrouting priority 100; iifname "br0" oifname != "br0" masquerade; }
	chain out {
		type nat hook output priority -100;
		ip daddr 198.18.0.1 dnat ip to $GOOD4
		ip6 daddr fd00:18::1 dnat ip6 to $GOOD6
	}
}
NFT
routes_up() {
	on me ip link set sortie0 up
	on me ip route replace $OVERLAY4 dev sortie0
	on me ip -6 route replace $OVERLAY6 dev sortie0
	on me ip route replace default via $LAN4.9
	on me ip -6 route replace default via $LAN6::9
}
routes_up
serve() { # HOST NAME PORT...
	on "$1" "$PROBE" serve "${@:2}" >"$T/serving.$1" &
	wait_for 15 grep -q serving "$T/serving.$1"
}
serve me me tcp/5432 tcp/22 tcp/443 udp/5353 udp/68 udp/546
serve peers peer tcp/5432 udp/5353 tcp/4280 tcp/22
serve lan lan tcp/5432 tcp/80
serve box box tcp/80

# The address that `peers` speaks from.
as() {
	local v4=${1}4 v6=${1}6
	on peers ip route replace $ME4/32 dev sortie0 src "${!v4}"
	on peers ip -6 route replace $ME6/128 dev sortie0 src "${!v6}"
}

counter() { fw_apply --counters | sed -n "s/^$1 //p"; }
# The counters that must have grown since they were last looked at.
declare -A LAST=()
remember() { local c; for c in in out underlay spoofed would; do LAST[$c]=$(counter $c); done; }
grew() { # WHEN COUNTER...
	local when=$1 c
	shift
	for c in "$@"; do check "$when: \"$c\" was counted" test "$(counter "$c")" -gt "${LAST[$c]}"; done
}

policy() { # CONTAINERS
	cat <<-JSON
		{"version": 1, "hosts": [{"on": "role=me", "containers": $1}],
		 "rules": [{"name": "in", "from": "site/good", "to": "site/me", "allow": ["tcp/5432", "tcp/8080", "udp/5353", "icmp"]},
		  {"name": "out", "from": "site/me", "to": "site/good", "allow": ["tcp/5432", "udp/5353", "icmp"]}],
		 "underlay": [{"name": "served", "on": "role=me", "from": ["$LAN4.0/24", "$LAN6::/64"], "allow": ["tcp/443", "tcp/8081"]}]}
	JSON
}
policy false >"$T/alone.yaml"
policy true >"$T/containers.yaml"
inventory me good bad >"$T/inventory.json"
apply() { # POLICY MODE ARGS...
	fw_apply --policy "$T/$1.yaml" --inventory "$T/inventory.json" --mode "$2" --underlay-locked "${@:3}"
}
export -f apply

# ---- one round: what each mode makes of each hole ----
# outcomes: of what bad may not; of the underlay's closed port; of what the host may not ask; of containers
round() { # WHEN UNPAIRED UNRIGHT UNSERVED ASKED-OUT CONTAINER-OUT PUBLISHED LAN-PUBLISHED SPOOF
	local when=$1 stranger=$2 bad=$3 underlay=$4 out=$5 box=$6 published=$7 lan_published=$8 spoof=$9
	as GOOD
	expect peers "$when" <<-CASES
		open+me $ME4 $ME6 tcp/5432 a peer with a right
		open+me $ME4 $ME6 udp/5353 a peer with a right (UDP)
		open+echo $ME4 $ME6 icmp a peer with a right (echo)
		$bad $ME4 $ME6 tcp/22 a peer at another port
	CASES
	expect me "$when" <<-CASES
		open+peer $GOOD4 $GOOD6 tcp/5432 the host to a peer
		open+peer $GOOD4 $GOOD6 udp/5353 the host to a peer (UDP)
		open+echo $GOOD4 $GOOD6 icmp the host to a peer (echo)
		$out $BAD4 $BAD6 tcp/5432 the host to a peer without a right
		${stranger/me/peer} $STRANGER4 $STRANGER6 tcp/5432 the host to an unknown overlay address
		open+lan $LAN4.9 $LAN6::9 tcp/80 the host to its neighbour
		open+peer $HUB4 $HUB6 tcp/4280 root to the hub's API
	CASES
	as BAD
	expect peers "$when" <<-CASES
		$bad $ME4 $ME6 tcp/5432 a peer without a right
		$published $ME4 $ME6 tcp/8080 a peer without a right to a container's published port
	CASES
	as STRANGER
	expect peers "$when" <<-CASES
		$stranger $ME4 $ME6 tcp/5432 an unknown overlay address
		${stranger/me/echo} $ME4 $ME6 icmp an unknown overlay address (echo)
	CASES
	expect lan "$when" <<-CASES
		$spoof $ME4 $ME6 tcp/5432 a neighbour to the overlay address
		$underlay $LAN4.2 $LAN6::2 tcp/22 a neighbour to a port that is not served
		open+me $LAN4.2 $LAN6::2 tcp/443 a neighbour to a served port
		$lan_published $LAN4.2 $LAN6::2 tcp/8080 a neighbour to a published port that is not served
		open+box $LAN4.2 $LAN6::2 tcp/8081 a neighbour to a published port that is served
	CASES
	expect box "$when" <<-CASES
		$box $GOOD4 $GOOD6 tcp/5432 a container to the host's peer
		open+lan $LAN4.9 $LAN6::9 tcp/80 a container to the neighbour
	CASES
	as GOOD
}
on lan nft -f - <<NFT
table inet wire {
	counter overlay { }
	chain seen {
		type filter hook prerouting priority -300;
		ip daddr $OVERLAY4 tcp dport 5432 counter name overlay
		ip6 daddr $OVERLAY6 tcp dport 5432 counter name overlay
	}
}
NFT
in_the_clear() { on lan nft list counter inet wire overlay | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
plaintext() { # WHEN HOST-OUT CONTAINER-OUT
	local seen
	seen=$(in_the_clear)
	on me ip link set sortie0 down
	expect me "$1" <<<"$2 $GOOD4 $GOOD6 tcp/5432 the host to a peer while sortie0 is down"
	expect box "$1" <<<"$3 $GOOD4 $GOOD6 tcp/5432 a container to a peer while sortie0 is down"
	expect me "$1" <<<"$3 198.18.0.1 fd00:18::1 tcp/5432 the host to what somebody translates to a peer while sortie0 is down"
	if [[ $3 == closed ]]; then check "$1: the wire saw nothing of it" test "$(in_the_clear)" -eq "$seen"; else
		check "$1: the wire saw it" test "$(in_the_clear)" -gt "$seen"
	fi
	routes_up
}

# An address on the interface again: IPv6 loses them with the link.
overlay_again() { on me ip -6 addr replace $ME6/128 dev sortie0 nodad; }
round "no table" open+me open+me open+me open+peer open+peer open+box open+box open+me
plaintext "no table" open+lan open+lan
overlay_again

apply alone enforce || fail "apply enforce"
remember
round enforce closed closed closed refused closed closed closed closed
grew enforce in out underlay spoofed
plaintext enforce refused closed
overlay_again
expect me "enforce" setpriv --reuid 4711 --clear-groups <<<"refused $HUB4 $HUB6 tcp/4280 another user to the hub's API"

apply alone overlay || fail "apply overlay"
remember
round overlay closed closed open+me refused closed closed open+box closed
grew overlay in out spoofed
plaintext overlay refused closed
overlay_again

apply alone observe || fail "apply observe"
remember
round observe closed open+me open+me open+peer closed closed open+box closed
grew observe in out spoofed would
plaintext observe refused closed
overlay_again

apply containers enforce || fail "apply containers"
as GOOD
expect peers "containers" <<<"open+box $ME4 $ME6 tcp/8080 a peer with a right to a container's published port"
expect box "containers" <<-CASES
	open+peer $GOOD4 $GOOD6 tcp/5432 a container to the host's peer
	closed $BAD4 $BAD6 tcp/5432 a container to a peer without a right
CASES
as BAD
expect peers "containers" <<<"closed $ME4 $ME6 tcp/8080 a peer without a right to a container's published port"
as GOOD
finish
