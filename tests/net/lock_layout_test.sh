#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A host whose underlay is closed still has to live on its network: routers and their advertisements, path MTU in both
# families and directions, loopback, bridges with and without br_netfilter, connections that are older than the firewall.
# And it must not hear more than that.
#
#     far 198.51.100.9  --(mtu 1300)--  router 192.168.7.1  --+-- me 192.168.7.2 (locked) --- br0: box, box2 (containers)
#                                                             `-- lan 192.168.7.9
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/firewall_bed.sh"
source "$(dirname "$0")/expect.sh"

RAW=$ROOT/tests/tools/fw_raw.py
LAN4=192.168.7 LAN6=fd00:7
FAR4=198.51.100.9 FAR6=2001:db8:f::9
declare -A ME=([4]=$LAN4.2 [6]=$LAN6::2) FAR=([4]=$FAR4 [6]=$FAR6) LAN=([4]=$LAN4.9 [6]=$LAN6::9)
for h in me router far lan box box2; do host $h; done
FW_PID=${PIDS[me]}
host peers # nobody in the overlay is asked here
overlay_wire me peers
overlay_addr me $ME4 $ME6

wire router eth1 far eth0
on router ip link add lan0 type bridge
on router ip link set lan0 up
for h in me lan; do
	wire $h eth0 router "$h"
	on router ip link set "$h" master lan0
done
addr router lan0 $LAN4.1/24 $LAN6::1/64
addr router eth1 198.51.100.1/24 2001:db8:f::1/64
addr me eth0 ${ME[4]}/24 ${ME[6]}/64
addr lan eth0 ${LAN[4]}/24 ${LAN[6]}/64
addr far eth0 $FAR4/24 $FAR6/64
on router ip link set eth1 mtu 1300
on far ip link set eth0 mtu 1300
on router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
for h in me lan; do
	on $h ip route add default via $LAN4.1
	on $h ip -6 route add default via $LAN6::1
done
on far ip route add default via 198.51.100.1
on far ip -6 route add default via 2001:db8:f::1

on me ip link add br0 type bridge
on me ip link set br0 up
for h in box box2; do
	wire me "veth-$h" "$h" eth0
	on me ip link set "veth-$h" master br0
done
addr me br0 172.17.0.1/16 fd00:17::1/64
addr box eth0 172.17.0.2/16 fd00:17::2/64
addr box2 eth0 172.17.0.3/16 fd00:17::3/64
on box ip route add default via 172.17.0.1
on box ip -6 route add default via fd00:17::1

serve() { # HOST PORT...
	on "$1" "$PROBE" serve "$1" "${@:2}" >"$T/serving.$1" &
	wait_for 15 grep -q serving "$T/serving.$1"
}
serve me tcp/22 tcp/443 udp/5353
serve far tcp/80 udp/123
serve lan tcp/80
serve box tcp/80
serve box2 tcp/80 udp/53

cat >"$T/policy.yaml" <<JSON
{"version": 1, "underlay": [{"name": "served", "on": "role=me", "from": ["$LAN4.0/24", "$LAN6::/64", "198.51.100.0/24", "2001:db8:f::/64"], "allow": ["tcp/443"]}]}
JSON
inventory me >"$T/inventory.json"
apply() { fw_apply --policy "$T/policy.yaml" --inventory "$T/inventory.json" "$@"; }

# ---- connections that are older than the firewall: conntrack has not seen them begin ----
# WAY is who sends: `down` is from me in those that others opened, towards me in those that me opened.

declare -A STREAMS=()
stream() { # NAME HOST send|recv ADDRESS PORT
	nsenter -t "${PIDS[$2]}" -n -m -- "$PROBE" stream "$3" "$4" "$5" $((60 * ${TEST_SCALE%.*})) "$T/stream.$1" 2>/dev/null &
	STREAMS[$1]=$!
}
moves() { # NAME
	local before
	before=$(total "$1")
	wait_for 4 eval "((\$(total $1) > $before))"
}
for v in 4 6; do
	stream out-up-$v me send "${LAN[$v]}" 80
	stream out-down-$v me recv "${LAN[$v]}" 80
	stream served-up-$v lan send "${ME[$v]}" 443
	stream served-down-$v lan recv "${ME[$v]}" 443
	stream unserved-up-$v lan send "${ME[$v]}" 22
	stream unserved-down-$v lan recv "${ME[$v]}" 22
done
for s in "${!STREAMS[@]}"; do wait_for 10 test -s "$T/stream.$s" || fail "stream $s runs"; done
lock() { # as the agent does it: connections that begin meanwhile are seen by one of the two looks
	on me "$B/tests/tools/nl_tool" adopt && apply --mode enforce --underlay-locked && on me "$B/tests/tools/nl_tool" adopt
}
check "conntrack learns of the older connections, and has them all before the table comes" eval '[[ $(lock | tr "\n" " ") == "12 0 " ]]'
for v in 4 6; do
	for way in up down; do
		check "IPv$v $way: an older connection that this host opened goes on" moves "out-$way-$v"
		check "IPv$v $way: an older one that policy serves goes on" moves "served-$way-$v"
	done
done
stand_still "an older connection that nothing serves is cut" unserved-{up,down}-{4,6}
on me conntrack -F 2>/dev/null
on me nft -f - <<'NFT'
table inet witness {
	counter leaving { }
	chain last { type filter hook postrouting priority 300; oifname "eth0" tcp sport 443 tcp flags & rst == 0 counter name leaving; }
}
NFT
for v in 4 6; do
	for way in up down; do check "IPv$v $way: what policy serves goes on without conntrack" moves "served-$way-$v"; done
done
echo '{"version": 1}' >"$T/nothing.yaml"
fw_apply --policy "$T/nothing.yaml" --inventory "$T/inventory.json" --mode enforce --underlay-locked || fail "withdraw"
stand_still "cut when policy serves it no more, conntrack or not" served-{up,down}-{4,6}
leaving() { on me nft list counter inet witness leaving | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
said=$(leaving)
sleep 2 # a sender repeats what nobody acknowledges
check "and nothing of it leaves this host any more, repetitions neither" test "$(leaving)" -eq "$said" -a "$said" -gt 0
apply --mode enforce --underlay-locked || fail "apply again"
for v in 4 6; do
	stream again-up-$v lan send "${ME[$v]}" 443
	stream again-down-$v lan recv "${ME[$v]}" 443
done
for s in again-{up,down}-{4,6}; do check "${s//-/ }: a served connection runs" wait_for 10 test -s "$T/stream.$s"; done
fw_apply --policy "$T/nothing.yaml" --inventory "$T/inventory.json" --mode enforce --underlay-locked || fail "withdraw"
stand_still "cut when policy serves it no more" again-{up,down}-{4,6}
apply --mode enforce --underlay-locked || fail "apply again"
kill "${STREAMS[@]}" 2>/dev/null
wait "${STREAMS[@]}" 2>/dev/null

# ---- the router ----

advertise() { # HOP-LIMIT PREFIX
	on router "$RAW" advertise lan0 "$1" "$2"
}
on me sysctl -qw net.ipv6.conf.eth0.accept_ra=2
slaac() { on me ip -6 addr show dev eth0 | grep -q "inet6 $1:"; }
check "IPv6: a router's advertisement makes an address" wait_for 5 eval 'advertise 255 fd00:aa:: && slaac fd00:aa'
denied() { fw_apply --counters | sed -n 's/^underlay //p'; }
before=$(denied)
advertise 254 fd00:bb::
check "IPv6: one that was routed is denied" wait_for 3 eval "((\$(denied) > $before))"
check_not "IPv6: and makes none" slaac fd00:bb
on me sysctl -qw net.ipv6.conf.eth0.accept_ra=0 # nobody has a way back to that address
on me ip -6 addr flush dev eth0 to fd00:aa::/64

# ---- path MTU: the router's complaint about a packet of ours, in both directions of opening ----

learnt() { on me ip route get "$1" | grep -q "mtu 1300"; }
for v in 4 6; do
	on me ip route flush cache
	on me ip -6 route flush cache
	check "IPv$v: a large datagram to the far side teaches the path's MTU" \
		wait_for 5 eval "on me '$RAW' large ${FAR[$v]} 123; learnt ${FAR[$v]}"
	on me ip route flush cache
	on me ip -6 route flush cache
	check "IPv$v: the hub's complaint about WireGuard's packets does, too" \
		wait_for 5 eval "on me '$RAW' large ${FAR[$v]} 51820 40404; learnt ${FAR[$v]}"
	on me ip route flush cache
	on me ip -6 route flush cache
	stream "mtu-$v" far recv "${ME[$v]}" 443
	check "IPv$v: somebody's download from a served port comes through" wait_for 5 eval "((\$(total mtu-$v) > 20000))"
	kill "${STREAMS[mtu-$v]}" 2>/dev/null
	check "IPv$v: a complaint about a flow that does not exist changes nothing" eval \
		"on router '$RAW' too-big ${FAR[$v]} ${ME[$v]} 600 lan0; ! on me ip route get ${FAR[$v]} | grep -q 'mtu 600'"
done

# ---- loopback ----

for to in 127.0.0.1 ::1 "${ME[4]}" "${ME[6]}" $ME4 $ME6; do
	asked "loopback: the host to itself at $to" me "open me" "$to" tcp/22
done

# ---- the neighbour ----

for v in 4 6; do
	asked "IPv$v: a neighbour to a port that is not served" lan closed "${ME[$v]}" tcp/22
	asked "IPv$v: a neighbour to one that is served" lan "open me" "${ME[$v]}" tcp/443
	asked "IPv$v: a neighbour's ping" lan closed "${ME[$v]}" icmp
	asked "IPv$v: this host to the far side" me "open far" "${FAR[$v]}" tcp/80
done

# ---- bridges, without and with br_netfilter ----

bridged() { # WHEN
	local to
	for to in 172.17.0.3 fd00:17::3; do
		asked "$1: a container to its neighbour at $to" box "open box2" $to tcp/80
		asked "$1: the same over UDP" box "open box2" $to udp/53
		asked "$1: the host to a container at $to" me "open box2" $to tcp/80
	done
	asked "$1: a container to the host's closed port, IPv4" box closed 172.17.0.1 tcp/22
	asked "$1: a container to the host's closed port, IPv6" box closed fd00:17::1 tcp/22
	asked "$1: a container to the host's closed port at another address" box closed "${ME[4]}" tcp/22
	asked "$1: a container to the host's overlay address, IPv4" box closed $ME4 tcp/22
	asked "$1: a container to the host's overlay address, IPv6" box closed $ME6 tcp/22
}
bridged "bridge"
[[ -z ${SORTIE_VM:-} ]] || modprobe br_netfilter # elsewhere it would change the machine's own bridges
if on me test -e /proc/sys/net/bridge/bridge-nf-call-iptables; then
	on me sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1
	bridged "br_netfilter"
	# between two ports of a bridge, with an overlay address: never
	addr box2 eth0 $GOOD4/32 $GOOD6/128
	on box ip route add $GOOD4 dev eth0
	on box ip -6 route add $GOOD6 dev eth0
	asked "br_netfilter: overlay addresses do not cross a bridge, IPv4" box closed $GOOD4 tcp/80
	asked "br_netfilter: overlay addresses do not cross a bridge, IPv6" box closed $GOOD6 tcp/80
else
	skip "br_netfilter" "this kernel has none"
fi
finish
