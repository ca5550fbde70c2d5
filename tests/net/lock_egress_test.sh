#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `egress: locked`: out of the host only to the hub and to what policy lists, refused at once where not; what is asked of
# the host is still answered, and the network goes on to work. Containers are no way round it.
#
#     lan 192.168.7.9, listed .53, hub 192.0.2.1  --(wire)--  eth0 me br0  --  box, box2
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/firewall_bed.sh"
source "$(dirname "$0")/expect.sh"

RAW=$ROOT/tests/tools/fw_raw.py
LAN4=192.168.7 LAN6=fd00:7
declare -A ME=([4]=$LAN4.2 [6]=$LAN6::2) ANY=([4]=$LAN4.9 [6]=$LAN6::9) LISTED=([4]=$LAN4.53 [6]=$LAN6::53)
declare -A VIRTUAL=([4]=198.18.0.1 [6]=fd00:18::1)
declare -A HUB=([4]=192.0.2.1 [6]=2001:db8::1)
for h in me peers wire lan listed hub box box2; do host $h; done
FW_PID=${PIDS[me]}
overlay_wire me peers
overlay_addr me $ME4 $ME6
on wire ip link add br0 type bridge
on wire ip link set br0 up
for h in me lan listed hub; do
	wire $h eth0 wire $h
	on wire ip link set $h master br0
done
addr me eth0 ${ME[4]}/24 ${ME[6]}/64
addr lan eth0 ${ANY[4]}/24 ${ANY[6]}/64
addr listed eth0 ${LISTED[4]}/24 ${LISTED[6]}/64
addr hub eth0 ${HUB[4]}/32 ${HUB[6]}/128
on me ip route add ${HUB[4]} dev eth0
on me ip -6 route add ${HUB[6]} dev eth0
on hub ip route add $LAN4.0/24 dev eth0
on hub ip -6 route add $LAN6::/64 dev eth0
on me ip link add br0 type bridge
on me ip link set br0 up
for h in box box2; do
	wire me "veth-$h" "$h" eth0
	on me ip link set "veth-$h" master br0
done
addr me br0 172.17.0.1/16 fd00:17::1/64
addr box eth0 172.17.0.2/16 fd00:17::2/64
addr box2 eth0 172.17.0.3/16 fd00:17::3/64
for h in box box2; do
	on $h ip route add default via 172.17.0.1
	on $h ip -6 route add default via fd00:17::1
done
on me sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
on me nft -f - <<NFT
table inet docker {
	chain pre {
		type nat hook prerouting priority -100;
		fib daddr type local tcp dport 8081 jump published
		ip daddr 198.18.0.1 tcp dport 80 dnat ip to ${ANY[4]}
		ip6 daddr fd00:18::1 tcp dport 80 dnat ip6 to ${ANY[6]}
	}
	chain published { meta l4proto tcp dnat ip to 172.17.0.2:80; meta l4proto tcp dnat ip6 to [fd00:17::2]:80; }
	chain post { type nat hook postrouting priority 100; iifname "br0" oifname != "br0" masquerade; }
}
NFT
serve() { # HOST PORT...
	on "$1" "$PROBE" serve "$1" "${@:2}" >"$T/serving.$1" &
	wait_for 15 grep -q serving "$T/serving.$1"
}
serve me tcp/443 tcp/22
serve lan tcp/80 udp/53 udp/67 udp/547
serve listed tcp/80 udp/53
serve hub udp/51820 udp/53
serve box tcp/80
serve box2 tcp/80

policy() { # EGRESS-ENTRIES
	cat <<-JSON
		{"version": 1, "hosts": [{"on": "role=me", "egress": "locked"}], "egress": [$1],
		 "underlay": [{"name": "served", "on": "role=me", "from": ["$LAN4.0/24", "$LAN6::/64"], "allow": ["tcp/443", "tcp/8081"]}]}
	JSON
}
policy "{\"name\": \"listed\", \"on\": \"any\", \"any\": true, \"to\": [\"${LISTED[4]}/32\", \"${LISTED[6]}/128\"], \"allow\": [\"udp/53\", \"udp/5300\", \"tcp/80\", \"icmp\"]}" >"$T/listed.yaml"
policy "" >"$T/none.yaml"
inventory me >"$T/inventory.json"
apply() { fw_apply --policy "$T/$1.yaml" --inventory "$T/inventory.json" --mode "$2" "${@:3}" || fail "apply $*"; }
counter() { fw_apply --counters | sed -n "s/^$1 //p"; }

out() { # WHEN OTHERS CONTAINER-OTHERS
	local v
	for v in 4 6; do
		asked "IPv$v $1: to a listed destination, UDP" me "open listed" "${LISTED[$v]}" udp/53
		asked "IPv$v $1: to a listed destination, TCP" me "open listed" "${LISTED[$v]}" tcp/80
		asked "IPv$v $1: to a listed destination, echo" me "open echo" "${LISTED[$v]}" icmp
		asked "IPv$v $1: to another, TCP" me "${2/X/lan}" "${ANY[$v]}" tcp/80
		asked "IPv$v $1: to another, UDP" me "${2/X/lan}" "${ANY[$v]}" udp/53
		asked "IPv$v $1: to another, echo" me "${2/X/echo}" "${ANY[$v]}" icmp
		asked "IPv$v $1: a container to a listed destination" box "open listed" "${LISTED[$v]}" tcp/80
		asked "IPv$v $1: a container to another" box "${3/X/lan}" "${ANY[$v]}" tcp/80
		asked "IPv$v $1: a container to another, by an address that somebody translates" box "${3/X/lan}" "${VIRTUAL[$v]}" tcp/80
		asked "IPv$v $1: somebody to a served port" lan "open me" "${ME[$v]}" tcp/443
		asked "IPv$v $1: somebody to a container's published port" lan "open box" "${ME[$v]}" tcp/8081
	done
	asked "IPv4 $1: a container to its neighbour" box2 "open box" 172.17.0.2 tcp/80
	asked "IPv6 $1: a container to its neighbour" box2 "open box" fd00:17::2 tcp/80
	asked "IPv4 $1: the host to a container" me "${2/X/box2}" 172.17.0.3 tcp/80
	asked "IPv4 $1: loopback" me "open me" 127.0.0.1 tcp/22
	asked "IPv6 $1: loopback" me "open me" ::1 tcp/22
}
apply listed enforce
out "pending" "open X" "open X"
check "pending: what would be refused was counted" test "$(counter would)" -gt 0
apply listed observe
asked "IPv4 observe: to another" me "open lan" "${ANY[4]}" tcp/80
asked "IPv6 observe: to another" me "open lan" "${ANY[6]}" tcp/80
apply listed overlay
asked "IPv4 overlay: to another" me "open lan" "${ANY[4]}" tcp/80
apply listed enforce --underlay-locked
before=$(counter underlay)
out "locked" refused closed
check "locked: what was refused was counted" test "$(counter underlay)" -gt "$before"

# ---- what no policy can take away ----

link_local() { on "$1" ip -6 -o addr show dev eth0 scope link | sed -n 's|.*inet6 \([^/]*\)/.*|\1|p'; }
LL_ME=$(link_local me)
LL_LAN=$(link_local lan)
raw() { on me "$RAW" udp "$@"; }
nd() { on me ip neigh flush dev eth0; on me ip -6 neigh flush dev eth0; on lan ip -6 neigh flush dev eth0; asks lan "open me" "${ME[6]}" tcp/443; }
nsenter -t "${PIDS[me]}" -n python3 -c 'import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
	s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.1.2.3") + socket.inet_aton("'${ME[4]}'"))
	time.sleep(3600)' >/dev/null 2>&1 & # a listener, for routers to ask about
cornerstones() { # WHEN
	local v
	for v in 4 6; do
		check "IPv$v $1: the hub is reached" wait_for 5 raw "${ME[$v]}" 40404 "${HUB[$v]}" 51820 eth0
		check_not "IPv$v $1: the hub's host at another port is not" raw "${ME[$v]}" 40404 "${HUB[$v]}" 53 eth0
	done
	check "IPv4 $1: DHCP" wait_for 5 raw "${ME[4]}" 68 "${ANY[4]}" 67 eth0
	check_not "IPv4 $1: not from another port" raw "${ME[4]}" 69 "${ANY[4]}" 67 eth0
	check "IPv6 $1: DHCP" wait_for 5 raw "$LL_ME" 546 "$LL_LAN" 547 eth0
	check_not "IPv6 $1: not from another port" raw "$LL_ME" 545 "$LL_LAN" 547 eth0
	check "IPv6 $1: neighbours are found" wait_for 5 nd
	check "IPv6 $1: an MLD query is answered" wait_for 5 on lan "$RAW" listeners eth0 "$LL_ME"
	check "IPv4 $1: an IGMP query is answered" wait_for 5 on lan "$RAW" members eth0 "${ME[4]}"
}
cornerstones "with entries"
for v in 4 6; do
	check "IPv$v with entries: an answer that comes too late is told so" \
		wait_for 5 "$RAW" late "${PIDS[me]}" "${PIDS[listed]}" "${ME[$v]}" "${LISTED[$v]}" 5300
done

# ---- a destination that is withdrawn ----

declare -A STREAMS=()
for v in 4 6; do
	for way in up:send down:recv; do
		on me "$PROBE" stream "${way#*:}" "${LISTED[$v]}" 80 $((60 * ${TEST_SCALE%.*})) "$T/stream.${way%:*}-$v" 2>/dev/null &
		STREAMS[${way%:*}-$v]=$!
	done
done
for s in "${!STREAMS[@]}"; do check "$s: a connection to a listed destination runs" wait_for 10 test -s "$T/stream.$s"; done
apply none enforce --underlay-locked
stand_still "it is cut when policy lists it no more" "${!STREAMS[@]}"
for v in 4 6; do
	asked "IPv$v withdrawn: refused" me refused "${LISTED[$v]}" tcp/80
	asked "IPv$v withdrawn: a container, too" box closed "${LISTED[$v]}" tcp/80
	asked "IPv$v withdrawn: somebody to a served port" lan "open me" "${ME[$v]}" tcp/443
done
cornerstones "without entries"
finish
