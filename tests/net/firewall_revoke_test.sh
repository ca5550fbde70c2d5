#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# What is taken away stops at once, whatever runs over it: uploads and downloads by TCP, UDP streams and echo, opened by
# either side, IPv4 and IPv6, whether conntrack picks up connections in the middle or not. By the removal of a rule, of a
# peer, and by the kernel alone when a lease runs out. A renewed lease is not felt.
# kernel: yes
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/firewall_bed.sh"

host me
host peer
FW_PID=${PIDS[me]}
overlay_wire me peer
overlay_addr me $ME4 $ME6
overlay_addr peer $GOOD4 $GOOD6
on me ip route add $OVERLAY4 dev sortie0
on me ip -6 route add $OVERLAY6 dev sortie0
on peer ip route add $OVERLAY4 dev sortie0
on peer ip -6 route add $OVERLAY6 dev sortie0

BOTH='{"version": 1, "rules": [
 {"name": "in", "from": "site/good", "to": "site/me", "allow": ["tcp/5000-5009", "udp/5000-5009", "icmp"]},
 {"name": "out", "from": "site/me", "to": "site/good", "allow": ["tcp/5000-5009", "udp/5000-5009", "icmp"]}]}'
NONE='{"version": 1}'
echo "$BOTH" >"$T/both.yaml"
echo "$NONE" >"$T/none.yaml"
inventory me good >"$T/with.json"
inventory me >"$T/without.json"

# NAME,PROTOCOL,WHO,A,B,PORT,WAY for every way, both families
FLOWS=()
for v in 4 6; do
	[[ $v == 4 ]] && ends=$ME4,$GOOD4 || ends=$ME6,$GOOD6
	port=5000
	for protocol in tcp udp; do
		for who in a b; do
			for way in up down; do
				FLOWS+=("$protocol$v-$([[ $who == a ]] && echo out || echo in)-$way,$protocol,$who,$ends,$port,$way")
				port=$((port + 1))
			done
		done
	done
	FLOWS+=("echo$v-out,ping,a,$ends,0,up" "echo$v-in,ping,b,$ends,0,up")
done

apply() { # POLICY INVENTORY ARGS...
	local policy=$1 inventory=$2
	shift 2
	fw_apply --policy "$T/$policy.yaml" --inventory "$T/$inventory.json" --mode enforce --underlay-locked "$@"
}
export -f apply

# The flows run over COMMAND; every line is one flow of the name's family of cases.
each_is() { # WHAT cut|whole COMMAND...
	local what=$1 wanted=$2 line
	shift 2
	"$B/tests/tools/fw_flows" "${PIDS[me]}" "${PIDS[peer]}" --watch sortie0 "${FLOWS[@]}" -- "$@" >"$T/flows" 2>"$T/errors"
	local rc=$?
	check "$what: the flows ran, the command succeeded" test $rc -eq 0 -a "$(grep -c . "$T/flows")" -eq ${#FLOWS[@]}
	[[ $rc -eq 0 ]] || sed 's/^/# /' "$T/flows" "$T/errors"
	while read -r name _ before _ _ _ after _ wire _ lost; do
		line="$what: $name"
		if [[ $wanted == cut ]]; then
			if ((before >= 20 && after == 0 && wire == 0)); then pass "$line"; else fail "$line" "after $after, on the wire $wire"; fi
		elif ((before >= 20 && after > 0 && lost == 0)); then pass "$line"; else fail "$line" "after $after, lost $lost"; fi
	done <"$T/flows"
}

for loose in 1 0; do
	for change in "tuples none with" "peer both without"; do
		read -r what policy inventory <<<"$change"
		apply both with
		on me sysctl -qw net.netfilter.nf_conntrack_tcp_loose=$loose
		each_is "$what removed, tcp_loose $loose" cut bash -c "apply $policy $inventory"
	done
done
apply both with
# An emulated machine takes seconds to start a program: leases and waits grow with it.
each_is "lease ran out, nobody there" cut bash -c "apply both with --lease $((2 * TEST_SCALE)); sleep $((2 * TEST_SCALE)).2"
apply both with
each_is "lease renewed three times" whole bash -c "for i in 1 2 3 4; do apply both with --lease $((3 * TEST_SCALE)) || exit 1; sleep $TEST_SCALE.2; done"
finish
