#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The probes can tell open from refused from silent, IPv4 and IPv6: a matrix made with them means something. An ICMP error
# that arrives while connect() still owns the socket counts only at the first retransmission, after 1 s: hence 2.5 s.
source "$(dirname "$0")/lib.sh"
probe=$ROOT/tests/tools/probe.py
host a
host b
wire a eth0 b eth0
addr a eth0 192.0.2.1/24 2001:db8::1/64
addr b eth0 192.0.2.2/24 2001:db8::2/64
on b "$probe" serve bee tcp/80 udp/53 tcp/81 >/dev/null &
wait_for 5 on a "$probe" scan 192.0.2.2 80 80
on b nft -f - <<'NFT'
table inet t { chain input { type filter hook input priority 0; tcp dport 82 drop; udp dport 54 drop; tcp dport 83 reject with icmpx admin-prohibited; }; }
NFT
ask() { # TO PORT
	echo "[{\"id\":\"x\",\"to\":\"$1\",\"port\":\"$2\"}]" | on a "$probe" ask -t 2.5 | sed 's/.*"x": "\(.*\)".*/\1/'
}
for to in 192.0.2.2 2001:db8::2; do
	while read -r port outcome; do
		check "$to $port is $outcome" wait_for 3 test "$(ask $to "$port")" = "$outcome"
	done <<-'CASES'
		tcp/80 open bee
		udp/53 open bee
		icmp open echo
		tcp/82 silent
		udp/54 silent
		tcp/83 refused
		tcp/84 refused
		udp/55 refused
	CASES
done
check "scan finds what listens" test "$(on a "$probe" scan 192.0.2.2 1 1000)" = "[80, 81]"
check "silent: a dropped port" on a "$probe" silent 192.0.2.2 54
check_not "silent: a port that answers" on a "$probe" silent 192.0.2.2 53
on a "$probe" stream recv 2001:db8::2 80 1 "$T/down"
on a "$probe" stream send 192.0.2.2 80 1 "$T/up"
check "a download notes its last byte" grep -q '^[0-9]* [0-9]*$' "$T/down"
check "an upload notes its last byte" wait_for 3 grep -q '^[0-9]* [0-9]*$' "$T/up"
finish
