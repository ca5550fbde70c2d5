#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What looks like the network's own words and is not: neighbour discovery that was routed, redirects of a neighbour and of a
# peer. A closed host stops them, an open one leaves the underlay's to the kernel. firewall_state_test.sh has what must be heard.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/firewall_bed.sh"

RAW=$ROOT/tests/tools/fw_raw.py
LAN4=192.168.7 LAN6=fd00:7
for h in me peers lan; do host $h; done
FW_PID=${PIDS[me]}
overlay_wire me peers
overlay_addr me $ME4 $ME6
overlay_addr peers $GOOD4 $GOOD6
for h in me peers; do
	on $h ip route add $OVERLAY4 dev sortie0
	on $h ip -6 route add $OVERLAY6 dev sortie0
done
wire me eth0 lan eth0
addr me eth0 $LAN4.2/24 $LAN6::2/64 $LAN6::22/64
addr lan eth0 $LAN4.9/24 $LAN6::9/64
cat >"$T/policy.yaml" <<'JSON'
{"version": 1, "rules": [{"name": "out", "from": "site/me", "to": "site/good", "allow": ["udp/7000"]}]}
JSON
inventory me good >"$T/inventory.json"
apply() { # ARGS...
	fw_apply --policy "$T/policy.yaml" --inventory "$T/inventory.json" --underlay-locked "$@" || fail "apply $*"
}
raw() { on lan "$RAW" "$@"; }
LL_LAN=$(on lan ip -6 -o addr show dev eth0 scope link | sed -n 's|.*inet6 \([^/]*\)/.*|\1|p')

# What must not be heard and what a busy kernel would ignore by itself look alike from outside; a table of somebody else's, in
# front of ours and behind it, sees the difference.
on me nft -f - <<'NFT'
table inet witness {
	counter came { }
	counter passed { }
	chain before {
		type filter hook prerouting priority -160;
		ip6 hoplimit 254 icmpv6 type { nd-neighbor-solicit, nd-router-advert } counter name came
		icmp type redirect counter name came
		icmpv6 type nd-redirect counter name came
	}
	chain behind {
		type filter hook input priority 0;
		ip6 hoplimit 254 icmpv6 type { nd-neighbor-solicit, nd-router-advert } counter name passed
		icmp type redirect counter name passed
		icmpv6 type nd-redirect counter name passed
	}
}
NFT
witness() { on me nft list counter inet witness "$1" | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
meets() { # stopped|passed COMMAND...: the packet that it sends
	local what=$1 came passed
	shift
	came=$(witness came) passed=$(witness passed)
	"$@" >/dev/null
	wait_for 5 eval "((\$(witness came) > $came))" || { echo "it did not arrive"; return 1; }
	sleep 0.1
	if [[ $what == stopped ]]; then (($(witness passed) == passed)); else (($(witness passed) > passed)); fi
}

apply --mode enforce
check "IPv6 enforce: a solicitation with hop limit 254 is stopped" meets stopped raw solicit "$LL_LAN" $LAN6::22 254 eth0
check "IPv6 enforce: a router's advertisement with hop limit 254 is stopped" meets stopped raw advertise eth0 254 fd00:bb::
redirect() { # LAN|PEER FAMILY: of a neighbour, of a peer, about a datagram that this host has sent there
	local ends
	case $1$2 in LAN4) ends="$LAN4.2 $LAN4.9" ;; LAN6) ends="$LAN6::2 $LAN6::9" ;; PEER4) ends="$ME4 $GOOD4" ;; PEER6) ends="$ME6 $GOOD6" ;; esac
	# shellcheck disable=SC2086 # two words
	"$RAW" redirected "${PIDS[me]}" "${PIDS[$([[ $1 == LAN ]] && echo lan || echo peers)]}" $ends 7000
}
for v in 4 6; do
	check "IPv$v enforce: a neighbour's redirect is stopped" meets stopped redirect LAN $v
	check "IPv$v enforce: a peer's redirect is stopped" meets stopped redirect PEER $v
done

apply --mode overlay
check "IPv6 overlay: a solicitation with hop limit 254 is not ours to stop" meets passed raw solicit "$LL_LAN" $LAN6::22 254 eth0
for v in 4 6; do
	check "IPv$v overlay: nor is a neighbour's redirect" meets passed redirect LAN $v
	check "IPv$v overlay: a peer's redirect is stopped" meets stopped redirect PEER $v
done
finish
