#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rows firewall-1, firewall-1000: TCP through WireGuard between two hosts, one on each core, with our table (mode enforce,
# underlay closed; 1 and 1,000 rules) against the same path with the table dormant: conntrack, which a dormant table's rules keep
# at work, looks at both, as it does on every host where Docker, ufw or another stateful firewall runs. BARE=1: against no table
# and no conntrack. WireGuard is the kernel's where it has one, else wireguard-go. A B B A quads of four short runs, IPv4 and
# IPv6 in turn; among them half as many quads in which nothing is switched. The row holds where the interval's lower end
# reaches the goal and the null run's interval lies within 0.98 to 1.02; else it is undecided, or fails where the interval lies
# below the goal by more than the null run's error. BENCH_QUADS (60), BENCH_MS (250) a run; RULES picks rows.
#
# Row firewall-ns: what both tables on a packet's way (out of one host, into the other) cost it, over a plain wire, all on one
# core, 1,000 rules: no wireguard-go, whose noise is greater. Row firewall-path-ns, where the kernel has WireGuard: the same
# through it, so for a packet inside and one outside. PACKET= leaves these out. PARTS=1 only says where the ns go, in IPv4:
# remarks, no rows.
#
# wireguard-go is Debian 13's where it can be had (tests/net/newer.sh; OWN=1: this machine's own). It sends batches, which a veth
# pair carries as they are; WIRE=1: one by one, as on a wire, and merged where they arrive, as NICs do.
#
# ROWS (firewall) is what the rows' names begin with, WHERE is said of each: bench/uml/firewall.sh runs all this elsewhere.
source "$(dirname "$0")/../tests/net/newer.sh"
newer wireguard-go
source "$(dirname "$0")/../tests/net/lib.sh"
source "$ROOT/tests/net/firewall_bed.sh"
set -e
program=$B/bench/stream
[[ $program -nt $ROOT/bench/stream.c ]] || make -s -C "$ROOT" "B=$B" "$program"
[[ -x $B/tests/tools/fw_apply ]] || make -s -C "$ROOT" "B=$B" "$B/tests/tools/fw_apply"

inventory me good >"$T/inventory.json"
for n in 1 1000; do
	{
		printf 'version: 1\nrules:\n'
		for ((i = 1; i < n; i++)); do printf '  - {name: r%d, from: role=me, to: role=good, allow: [tcp/%d]}\n' "$i" $((20000 + i)); done
		printf '  - {name: measured, from: role=me, to: role=good, allow: [tcp/9000, udp/9000]}\n'
	} >"$T/$n.yaml"
done

host a
host b
wire a eth0 b eth0
addr a eth0 192.0.2.1/24
addr b eth0 192.0.2.2/24
[[ -z ${WIRE:-} ]] || for h in a b; do on $h ethtool -K eth0 tx-udp-segmentation off gro on >/dev/null; done
LAST=$(($(nproc) - 1)) # where there is one core only, both ends share it
declare -A CORE=([a]=0 [b]=$LAST) OWN4=([a]=$ME4 [b]=$GOOD4) OWN6=([a]=$ME6 [b]=$GOOD6) UNDERLAY=([a]=192.0.2.1 [b]=192.0.2.2)
BACKEND="wireguard-go $(wireguard-go --version | sed -n '1s/.* v//p')"
! ip link add wgprobe type wireguard 2>/dev/null || BACKEND="kernel WireGuard"
ROWS=${ROWS:-firewall} WHERE=${WHERE:-} WITHOUT=
export BACKEND LAST ROWS WHERE WITHOUT
for h in a b; do (umask 077 && wg genkey >"$T/$h.key"); done
for h in a b; do
	o=$([[ $h == a ]] && echo b || echo a)
	on "$h" ip link add sortie0 type wireguard 2>/dev/null || on "$h" taskset -c "${CORE[$h]}" wireguard-go sortie0 >/dev/null 2>&1
	on "$h" wg set sortie0 private-key "$T/$h.key" listen-port 51820 peer "$(wg pubkey <"$T/$o.key")" \
		allowed-ips "${OWN4[$o]}/32,${OWN6[$o]}/128" endpoint "${UNDERLAY[$o]}:51820"
	on "$h" ip link set sortie0 mtu 1280 up
	overlay_addr "$h" "${OWN4[$h]}" "${OWN6[$h]}"
	on "$h" ip route add "$OVERLAY4" dev sortie0
	on "$h" ip -6 route add "$OVERLAY6" dev sortie0
done
# for firewall-ns: the same two names on a plain wire
host c
host d
overlay_wire c d
overlay_addr c "$ME4" "$ME6"
overlay_addr d "$GOOD4" "$GOOD6"
for h in c d; do on "$h" ip route add "$OVERLAY4" dev sortie0 && on "$h" ip -6 route add "$OVERLAY6" dev sortie0; done

# HOST RULES: the command that puts our table there, as the agent of that host would have it
filter() {
	local self=site/me
	[[ $1 == a || $1 == c ]] || self=site/good
	echo "nsenter -t ${PIDS[$1]} -n -m -- $B/tests/tools/fw_apply --self $self --ifname sortie0 --overlay4 $OVERLAY4 --overlay6 $OVERLAY6" \
		"--hub4 $HUB4 --hub6 $HUB6 --hub 192.0.2.1:51820 --hub 192.0.2.2:51820 --listen-port 51820 --mode enforce --underlay-locked" \
		"--policy $T/$2.yaml --inventory $T/inventory.json"
}
# HOST HOST NFT: the commands that say this to both
both() {
	local h
	for h in "$1" "$2"; do echo "nsenter -t ${PIDS[$h]} -n -- nft '$3';"; done
}
# KIND WHAT HOST HOST ON OFF ADDRESS...: one measurement, with all that ON does in both hosts and without
measure() {
	local kind=$1 what=$2 one=$3 other=$4
	shift 4
	"$ROOT/bench/firewall.py" "$kind" "$what" "$program" "${PIDS[$one]}" "${PIDS[$other]}" "$@"
}
# KIND RULES HOST HOST ADDRESS...: our table there, and not. NAME is what the measurement is called, if not by its rules
ours() {
	local kind=$1 rules=$2 one=$3 other=$4 on off failed=0
	shift 4
	on=$(filter "$one" "$rules"; filter "$other" "$rules")
	off=$(both "$one" "$other" 'delete table inet sortie')
	WITHOUT="no table and no conntrack"
	if [[ -z ${BARE:-} ]]; then
		bash -ec "$on"
		on=$(both "$one" "$other" 'add table inet sortie { }')
		off=$(both "$one" "$other" 'add table inet sortie { flags dormant; }')
		bash -ec "$off"
		WITHOUT="the table dormant"
	fi
	measure "$kind" "${NAME:-$rules}" "$one" "$other" "$on" "$off" "$@" || failed=1
	[[ -n ${BARE:-} ]] || bash -ec "$(both "$one" "$other" 'delete table inet sortie')"
	return $failed
}
# NAME RULES: what another table costs a packet on the plain wire
part() { measure part "$1" c d "$(both c d "table inet part { $2 }")" "$(both c d 'delete table inet part')" "$GOOD4"; }
# IN OUT: two base chains
both_ways() { echo "chain in { type filter hook prerouting priority -150; $1; }; chain out { type filter hook output priority -150; $2; };"; }
if [[ -n ${PARTS:-} ]]; then
	part "as many base chains as ours, empty" 'chain raw { type filter hook prerouting priority -310; };
		chain pre { type filter hook prerouting priority -150; }; chain in { type filter hook input priority -5; };
		chain out { type filter hook output priority -150; }; chain post { type filter hook postrouting priority -150; };'
	part "two base chains that ask for the kind of address" "$(both_ways 'fib daddr type != local drop' 'fib daddr type multicast drop')"
	part "two base chains with a tuple, counted, and a lease" "set tuple { type ipv4_addr . inet_proto . inet_service; counter; elements = {
		$ME4 . udp . 9000, $GOOD4 . udp . 9000 }; }; set live { type ipv4_addr; timeout 1h; elements = { $ME4, $GOOD4 }; };
		$(both_ways 'ip saddr . meta l4proto . th dport @tuple ip saddr @live accept' 'ip daddr . meta l4proto . th dport @tuple ip daddr @live accept')"
	part "conntrack, asked in two base chains" "$(both_ways 'ct state invalid drop' 'ct state invalid drop')"
	NAME="our table, 1,000 rules" BARE=1 ours part 1000 c d "$GOOD4"
	NAME="our table where conntrack is asked without it" BARE='' ours part 1000 c d "$GOOD4"
	finish
fi
for rules in ${RULES:-1 1000}; do ours path "$rules" a b "$GOOD4" "$GOOD6" || FAILED=1; done
[[ -n ${PACKET-1} ]] || finish
ours packet 1000 c d "$GOOD4" "$GOOD6"
[[ $BACKEND != kernel* ]] || ours tunnel 1000 a b "$GOOD4" "$GOOD6"
finish
