#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a closed host must still hear and what looks like it: neighbour discovery, MLD, DHCP, ICMP errors; and what a
# connection's state must not do: outlive the closing of the underlay, or speak for a peer whose lease has lapsed.
# kernel: yes
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/firewall_bed.sh"

RAW=$ROOT/tests/tools/fw_raw.py
LAN4=192.168.7 LAN6=fd00:7
for h in me peers lan; do host $h; done
FW_PID=${PIDS[me]}
overlay_wire me peers
overlay_addr me $ME4 $ME6
overlay_addr peers $GOOD4 $GOOD6
on me ip route add $OVERLAY4 dev sortie0
on me ip -6 route add $OVERLAY6 dev sortie0
on peers ip route add $OVERLAY4 dev sortie0
on peers ip -6 route add $OVERLAY6 dev sortie0
wire me eth0 lan eth0
addr me eth0 $LAN4.2/24 $LAN6::2/64 $LAN6::22/64 # the last one is asked for by this test alone
addr lan eth0 $LAN4.9/24 $LAN6::9/64
on me "$ROOT/tests/tools/probe.py" serve me udp/68 udp/546 udp/9000 >"$T/serving" &

nsenter -t "${PIDS[me]}" -n python3 -c 'import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
	s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.1.2.3") + socket.inet_aton("'$LAN4.2'"))
	time.sleep(3600)' >/dev/null 2>&1 & # a listener, for routers to ask about
cat >"$T/policy.yaml" <<JSON
{"version": 1, "rules": [{"name": "out", "from": "site/me", "to": "site/good", "allow": ["udp/7000"]}],
 "underlay": [{"name": "served", "on": "role=me", "from": ["$LAN4.0/24", "$LAN6::/64"], "allow": ["tcp/443", "icmp"]}]}
JSON
echo '{"version": 1}' >"$T/none.yaml"
inventory me good >"$T/inventory.json"
apply() { # POLICY ARGS...
	fw_apply --policy "$T/$1.yaml" --inventory "$T/inventory.json" --underlay-locked "${@:2}"
}
export -f apply
raw() { on lan "$RAW" "$@"; }
underlay_denied() { fw_apply --counters | sed -n 's/^underlay //p'; }
# On a busy machine an answer may be late; what must not be answered is tried once.
heard() { wait_for 5 raw "$@"; }
counted() { # COMMAND...: fails, and the packet was counted as denied
	local before
	before=$(underlay_denied)
	! "$@" && [[ $(underlay_denied) -gt $before ]]
}
link_local() { on "$1" ip -6 -o addr show dev eth0 scope link | sed -n 's|.*inet6 \([^/]*\)/.*|\1|p'; }
wait_for 15 grep -q serving "$T/serving"
LL_ME=$(link_local me)
LL_LAN=$(link_local lan)

# ---- a flow that runs when the underlay is closed ----

both() { # NAME WHO PORT WAY
	echo "$1-4,tcp,$2,$LAN4.2,$LAN4.9,$3,$4" "$1-6,tcp,$2,$LAN6::2,$LAN6::9,$3,$4"
}
# shellcheck disable=SC2207 # words are wanted
RUNNING=($(both unasked-down b 22 down) $(both unasked-up b 23 up) $(both served-down b 443 down) $(both asked-down a 80 down)
	$(both asked-up a 81 up))
flows() { # COMMAND
	"$B/tests/tools/fw_flows" "${PIDS[me]}" "${PIDS[lan]}" --watch eth0 "${RUNNING[@]}" -- bash -c "$1" >"$T/flows" 2>"$T/errors"
	check "$1: the flows ran" test $? -eq 0 -a "$(grep -c . "$T/flows")" -eq ${#RUNNING[@]}
	sed 's/^/# /' "$T/errors"
}
judge() { # WHEN PATTERN cut|whole
	local name after wire
	while read -r name _ _ _ _ _ after _ wire _; do
		# shellcheck disable=SC2053 # a pattern
		[[ $name == $2 ]] || continue
		if [[ $3 == cut ]]; then
			if ((after == 0 && wire == 0)); then pass "$1: $name is cut"; else fail "$1: $name is cut" "after $after, on the wire $wire"; fi
		elif ((after > 0)); then pass "$1: $name goes on"; else fail "$1: $name goes on"; fi
	done <"$T/flows"
}
apply policy --mode overlay
on me sysctl -qw net.netfilter.nf_conntrack_tcp_loose=1
flows "apply policy --mode observe"
judge "observe comes on" "*" whole
flows "apply policy --mode enforce"
judge "enforce comes on" "unasked*" cut
judge "enforce comes on" "served*" whole
judge "enforce comes on" "asked*" whole
check "enforce forbids conntrack to pick up flows" test "$(on me cat /proc/sys/net/netfilter/nf_conntrack_tcp_loose)" = 0

# ---- what a closed host must hear ----

resolved() { on me ip neigh flush dev eth0; on lan ip neigh flush dev eth0; on lan ping -c1 -W2 -n "$1"; }
check "IPv4 enforce: neighbours find each other" resolved $LAN4.2
check "IPv6 enforce: neighbours find each other" resolved $LAN6::2
check "IPv6 enforce: a solicitation with hop limit 255 is answered" heard solicit "$LL_LAN" $LAN6::22 255 eth0
check "IPv6 enforce: an MLD query is answered" heard listeners eth0 "$LL_ME"
check "IPv4 enforce: an IGMP query is answered" heard members eth0 $LAN4.2
check "IPv4 enforce: DHCP's answer arrives" heard udp $LAN4.9 67 $LAN4.2 68 eth0
check "IPv4 enforce: from another port it does not" counted raw udp $LAN4.9 66 $LAN4.2 68 eth0
check "IPv6 enforce: DHCP's answer arrives" heard udp "$LL_LAN" 547 "$LL_ME" 546 eth0
check "IPv6 enforce: from another port it does not" counted raw udp "$LL_LAN" 548 "$LL_ME" 546 eth0
check "IPv6 enforce: from an address of another scope it does not" counted raw udp $LAN6::9 547 $LAN6::2 546 eth0
check "IPv4 enforce: another port is denied" counted raw udp $LAN4.9 7777 $LAN4.2 9000 eth0
check "IPv6 enforce: another port is denied" counted raw udp $LAN6::9 7777 $LAN6::2 9000 eth0
apply policy --mode overlay
check "IPv4 overlay: that port answers" heard udp $LAN4.9 7777 $LAN4.2 9000 eth0
check "IPv6 overlay: that port answers" heard udp $LAN6::9 7777 $LAN6::2 9000 eth0

# ---- ICMP errors ----

related() { "$RAW" related "${PIDS[me]}" "${PIDS[peers]}" "$@"; }
for mode in enforce overlay; do
	for v in 4 6; do
		[[ $v == 4 ]] && ends="$ME4 $GOOD4" || ends="$ME6 $GOOD6"
		apply policy --mode $mode
		# shellcheck disable=SC2086 # two words
		check "IPv$v $mode: an error about a flow arrives" wait_for 5 related $ends 7000
		# shellcheck disable=SC2086
		check_not "IPv$v $mode: not when the lease has lapsed" related $ends 7000 bash -c "apply policy --mode $mode --lease 0"
		apply policy --mode $mode
		# shellcheck disable=SC2086
		check_not "IPv$v $mode: not when the rule is gone" related $ends 7000 bash -c "apply none --mode $mode"
	done
done
finish
