#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Changes are differences: ten tuples of a thousand come and go twenty times under traffic, no allowed packet is lost and no
# denied one gets through, nothing of anybody else is touched, the table never goes. The same again is no change; what
# somebody else did to the table is found and put right; bad input changes nothing.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/firewall_bed.sh"

host me
host peer
FW_PID=${PIDS[me]}
overlay_wire me peer
overlay_addr me $ME4 $ME6
overlay_addr peer $GOOD4 $GOOD6
for h in me peer; do
	on $h ip route add $OVERLAY4 dev sortie0
	on $h ip -6 route add $OVERLAY6 dev sortie0
done
policy() { # PORTS-MORE
	python3 - "$1" <<-'PY'
		import json, sys
		ports = [f"udp/{5000 + i}" for i in range(490)] + ["icmp"] + [f"udp/{20000 + i}" for i in range(int(sys.argv[1]))]
		print(json.dumps({"version": 1, "rules": [{"name": f"{a} {b} {i}", "from": f"site/{a}", "to": f"site/{b}", "allow": ports[i:i + 50]}
		      for a, b in (("me", "good"), ("good", "me")) for i in range(0, len(ports), 50)]}))
	PY
}
policy 0 >"$T/less.yaml"
policy 10 >"$T/more.yaml"
inventory me good >"$T/inventory.json"
apply() { # POLICY ARGS...
	fw_apply --policy "$T/$1.yaml" --inventory "$T/inventory.json" --mode enforce --underlay-locked "${@:2}"
}
swaps() { local i; for i in 1 2 3 4 5 6 7 8 9 10; do apply more && apply less || return 1; done; }
export -f apply swaps

on me nft -f - <<'NFT'
table inet others {
	comment "not ours"
	set blocked { type ipv4_addr . inet_service; flags timeout; elements = { 192.0.2.1 . 22, 192.0.2.2 . 25 }; }
	map ways { type inet_service : verdict; elements = { 23 : drop }; }
	chain input { type filter hook input priority 0; policy accept; tcp dport vmap @ways; ip saddr . tcp dport @blocked drop; }
}
table ip sortie { chain forward { type filter hook forward priority 0; policy accept; ip saddr 192.0.2.0/24 drop; }; }
NFT
others() { on me nft -s list table inet others && on me nft -s list table ip sortie; }
# what stands, without what only time and packets change
ours() { on me nft -s list table inet sortie | sed -E 's/ expires [0-9a-z]+//g'; }
apply less || fail "the first policy is applied"
others >"$T/others.before"
ours >"$T/ours.less"
check "a thousand tuples stand" test "$(on me nft -j list set inet sortie in4 | grep -o '"elem": {' | wc -l)" -ge 490

# ---- under traffic ----

FLOWS=()
for v in 4 6; do
	[[ $v == 4 ]] && ends=$ME4,$GOOD4 || ends=$ME6,$GOOD6
	for who in a b; do
		for way in up down; do FLOWS+=("allowed$v-$who-$way,udp,$who,$ends,$((5000 + ${#FLOWS[@]})),$way"); done
		FLOWS+=("allowed$v-$who-echo,ping,$who,$ends,0,up" "denied$v-$who,udp,$who,$ends,$((30000 + ${#FLOWS[@]})),up,denied")
	done
done
on me stdbuf -oL nft monitor >"$T/monitor" 2>&1 &
MONITOR=$!
wait_for 5 test -d "/proc/$MONITOR"
"$B/tests/tools/fw_flows" "${PIDS[me]}" "${PIDS[peer]}" --watch sortie0 --burst 4 "${FLOWS[@]}" -- bash -c swaps >"$T/flows" 2>"$T/errors"
check "twenty swaps succeed under traffic" test $? -eq 0 -a "$(grep -c . "$T/flows")" -eq ${#FLOWS[@]}
sed 's/^/# /' "$T/errors"
while read -r name _ before _ during _ after _ wire _ lost; do
	if [[ $name == denied* ]]; then
		if ((before + during + after + wire == 0)); then pass "$name: nothing got through"; else fail "$name: nothing got through" "$during messages, $wire packets"; fi
	elif ((lost == 0 && during >= 100)); then pass "$name: none of $((before + during + after)) was lost"; else fail "$name: nothing is lost" "$lost of $during"; fi
done <"$T/flows"
wait_for 5 grep -q "delete element inet sortie out6" "$T/monitor"
kill $MONITOR
check "the monitor saw elements come" grep -q "add element inet sortie in4" "$T/monitor"
check "the monitor saw no table, chain or set go" bash -c '! grep -E "delete (table|chain|set)|flush" "$0"' "$T/monitor"
check "the monitor saw no chain or set come" bash -c '! grep -E "add (table|chain|set)" "$0"' "$T/monitor"
others >"$T/others.after"
check "tables of others are as they were, to the byte" cmp "$T/others.before" "$T/others.after"
ours >"$T/ours.again"
check "after the swaps the same stands as before" cmp "$T/ours.less" "$T/ours.again"

# ---- the same again; somebody else's hands ----

# The leases of one peer are asked for anew each time: as soon as they differ by more than the slack they are refreshed.
plans() { # POLICY ADDED
	apply "$1" --plan >"$T/plan"
	cat "$T/plan"
	[[ $(sed '/^refreshed [02]$/d' "$T/plan") == $'create 0\nadded '"$2"$'\nremoved 0\nchains 0' ]]
}
check "the same again is no change, also for a new process" plans less 0
check "ten tuples, two directions, two families are planned" plans more 40
check "a plan changes nothing" plans less 0
check "verify agrees" apply less --verify
# NAME COMMAND: what the command does to the table is seen and put right
repaired() {
	on me bash -c "$2" || fail "$1" "could not be done"
	check_not "$1: verify sees it" apply less --verify
	check "$1: put right" apply less
	check "$1: as before" bash -c 'cmp "$0" <(echo "$1")' "$T/ours.less" "$(ours)"
}
repaired "a missing element" "nft delete element inet sortie in4 '{ $GOOD4 . udp . 5007 }'"
repaired "an element too many" "nft add element inet sortie in6 '{ $GOOD6 . tcp . 22 }'"
repaired "a rule too many" "nft insert rule inet sortie from_peer accept"
repaired "a flushed chain" "nft flush chain inet sortie from_overlay"
repaired "a table that is gone" "nft delete table inet sortie"
repaired "an empty ruleset" "nft flush ruleset"

# A range that grows over the one that goes: the kernel, asked for the old one, answers with the new one.
range() { echo "{version: 1, rules: [{name: wide, from: site/good, to: site/me, allow: [tcp/$1]}]}" >"$T/range.yaml"; }
for ports in 1000-1500 900-1600 1000-1500 1200-1800; do
	range $ports
	check "a wide range becomes $ports" apply range
	for v in 4 6; do
		check "and stands alone, IPv$v" test "$(on me nft list set inet sortie in_range$v | grep -o "tcp \. [0-9-]*")" = "tcp . $ports"
	done
done
apply less || fail "back to the first policy"

# ---- a table of an older layout, and of one that nobody knows ----

# Sets and chains of the same names with other content; it lets pass what is allowed, and what is not.
other_layout() { # COMMENT
	on me nft -f - <<-NFT
		table inet sortie
		delete table inet sortie
		table inet sortie {
			comment "$1"
			set in4 { type ipv4_addr; elements = { 192.0.2.7 }; }
			chain from_peer { accept; }
			chain base_prerouting { type filter hook prerouting priority -10; policy accept; jump from_peer; }
		}
	NFT
}
other_layout "sortie layout 1"
check_not "an older layout: verify sees it" apply less --verify
takes_over() { sleep 0.5 && apply less && sleep 0.5; }
export -f takes_over
"$B/tests/tools/fw_flows" "${PIDS[me]}" "${PIDS[peer]}" --watch sortie0 --burst 4 "${FLOWS[@]:0:3}" "${FLOWS[@]:8:3}" -- bash -c takes_over >"$T/flows" 2>"$T/errors"
check "an older layout is replaced under traffic" test $? -eq 0 -a "$(grep -c . "$T/flows")" -eq 6
sed 's/^/# /' "$T/errors"
while read -r name _ before _ during _ after _ wire _ lost; do
	if ((lost == 0 && during >= 50)); then pass "$name: none of $((before + during + after)) was lost"; else fail "$name: nothing is lost" "$lost of $during"; fi
done <"$T/flows"
check "an older layout: nothing of it is left" bash -c 'cmp "$0" <(echo "$1")' "$T/ours.less" "$(ours)"
for comment in "sortie layout 99" "a table of mine"; do
	other_layout "$comment"
	ours >"$T/theirs"
	check_not "\"$comment\" is refused" apply less
	apply less 2>"$T/said"
	check "in one line that says what to do" grep -q "it is not of this layout.*remove it, or stop what made it" "$T/said"
	check "and stays as it is" bash -c 'cmp "$0" <(echo "$1")' "$T/theirs" "$(ours)"
done
on me nft delete table inet sortie
apply less || fail "back to the first policy"

# ---- nft can read it ----

check "nft lists the ruleset" on me nft list ruleset
# nft 1.0.6 lists the port of a flow in a concatenation but does not take it; else its own listing loads again.
on me nft -n list table inet sortie | sed -e 's/ct protocol \. ct original proto-dst/meta l4proto . th dport/' >"$T/listing"
# For an interval's sake nft 1.0.6 swaps the bytes of that one-byte protocol ("byteorder hton(reg, 2, 1)"), which the kernel's
# 6.12.117 refuses, of anybody. Our own rules swap nothing. There the listing says the protocol by the header's field.
printf '%s\n' 'table inet nfts {' 'set s { type ipv4_addr . inet_proto . inet_service; flags interval; }' \
	'chain c { ip saddr . meta l4proto . th dport @s accept; }' '}' >"$T/nfts"
if unshare -n nft -c -f "$T/nfts" 2>"$T/said"; then pass "nft's own protocol in an interval's key loads"; else
	skip "nft's own protocol in an interval's key loads" "the kernel refuses what nft makes of a rule of its own: $(head -n 1 "$T/said" | sed 's/.*: //')"
	sed -i -E 's/ip ([sd]addr) \. meta l4proto/ip \1 . ip protocol/; s/ip6 ([sd]addr) \. meta l4proto/ip6 \1 . ip6 nexthdr/' "$T/listing"
fi
check "what it lists loads again" unshare -n nft -c -f "$T/listing"

# ---- bad input ----

refused() { # NAME COMMAND...
	local name=$1
	shift
	check_not "$name is refused" "$@"
	"$@" 2>"$T/said" >/dev/null
	check "$name: in one line" test "$(wc -l <"$T/said")" -eq 1
	sed 's/^/# /' "$T/said"
	check "$name: nothing changed" bash -c 'cmp "$0" <(echo "$1")' "$T/ours.less" "$(ours)"
}
python3 - >"$T/ranges.yaml" <<'PY'
import json
ranges = [f"{p}/{i * 80 + 1}-{i * 80 + 70}" for p in ("tcp", "udp") for i in range(400)]
print(json.dumps({"version": 1, "rules": [{"name": f"r{i}", "from": "site/good", "to": "site/me", "allow": ranges[i:i + 50]}
      for i in range(0, len(ranges), 50)]}))
PY
refused "a name too long for an interface" apply less --ifname sortie0123456789
refused "more wide ranges than 6.1 can bear" apply ranges
refused "a policy that is none" bash -c 'echo "rules: [" >"$T/none.yaml"; apply none'
check "remove takes the table" fw_apply --remove
check_not "and only that" on me nft list table inet sortie
check "remove again is success" fw_apply --remove
finish
