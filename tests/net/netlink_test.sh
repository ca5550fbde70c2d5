#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the kernel tells about running inbound connections and about logged packets, IPv4 and IPv6.
# kernel: yes
source "$(dirname "$0")/lib.sh"

N=$B/tests/tools/nl_tool
host a
host b
wire a eth0 b eth0
addr a eth0 192.0.2.1/24 2001:db8::1/64
addr b eth0 192.0.2.2/24 2001:db8::2/64

background() { # HOST ARGUMENTS... of nl_tool; returns when it says ready
	local h=$1 log
	shift
	log=$(mktemp "$T/log.XXXXXX")
	on "$h" "$N" "$@" >"$log" 2>&1 &
	LOG=$log
	wait_for 5 grep -q ready "$log"
}
flows() { on a "$N" flows "${1:-100}"; }
lists() { flows | grep -qE -- "$1"; }
lists_not() { ! flows | grep -qE -- "$1"; }

background a listen 7000
background b listen 7001
check "no flows on a quiet host" eval 'out=$(flows) && [[ -z $out ]]'
background b connect 192.0.2.1 7000
background b connect 2001:db8::1 7000
background a connect 192.0.2.2 7001
background a connect 2001:db8::2 7001
background a connect 192.0.2.1 7000
background a connect ::1 7000
check "sockets: inbound IPv4" lists '^6 192\.0\.2\.2:[0-9]+ 192\.0\.2\.1:7000 socket$'
check "sockets: inbound IPv6" lists '^6 \[2001:db8::2\]:[0-9]+ \[2001:db8::1\]:7000 socket$'
check "sockets: neither outbound nor own ones" eval '[[ $(flows | wc -l) == 2 ]]'
check "the limit holds" eval '[[ $(flows 1 | wc -l) == 1 && -z $(flows 0) ]]'

# conntrack begins to see what happens from here on
if on a nft -f - <<-'R' 2>/dev/null; then
	table inet t {
		chain c { type filter hook prerouting priority 0; ct state new counter; }
		chain o { type filter hook output priority 0; ct state new counter; }
	}
R
	background b connect 192.0.2.1 7000
	background b connect 2001:db8::1 7000
	background a connect 192.0.2.2 7001
	check "conntrack: inbound IPv4" lists '^6 192\.0\.2\.2:[0-9]+ 192\.0\.2\.1:7000 conntrack$'
	check "conntrack: inbound IPv6" lists '^6 \[2001:db8::2\]:[0-9]+ \[2001:db8::1\]:7000 conntrack$'
	check "older ones by their sockets still" lists ' socket$'
	check "each connection once, outbound none" eval '[[ $(flows | wc -l) == 4 ]]'
	check_not "a connection that nobody takes" on b "$N" connect 192.0.2.1 7777
	check "is not listed" lists_not ':7777 '
	on b ping -c1 -W2 -n 192.0.2.1 >/dev/null
	check "conntrack: a ping, ports 0" lists '^1 192\.0\.2\.2:0 192\.0\.2\.1:0 conntrack$'
else
	skip "conntrack" "no nft or no conntrack here"
fi

if on a nft -f - <<-'R' 2>/dev/null; then
	table inet l {
		chain c {
			type filter hook input priority 0
			tcp dport 8000 meta mark set 77 log prefix "in deny" group 5 drop
			icmpv6 type echo-request log prefix "echo" group 5
		}
	}
R
	background a nflog 5 4 10
	on b timeout 0.3 "$N" connect 192.0.2.1 8000
	on b timeout 0.3 "$N" connect 2001:db8::1 8000
	on b ping -c2 -i0.2 -W2 -n 2001:db8::1 >/dev/null
	check "nflog: all packets come" wait_for 5 eval '[[ $(grep -c lost "$LOG") -ge 4 ]]'
	check "nflog: IPv4" grep -qE '^\[in deny\] mark 77 in eth0 out  6 192\.0\.2\.2 [0-9]+ 192\.0\.2\.1 8000 lost 0$' "$LOG"
	check "nflog: IPv6" grep -qE '^\[in deny\] mark 77 in eth0 out  6 2001:db8::2 [0-9]+ 2001:db8::1 8000 lost 0$' "$LOG"
	check "nflog: ICMP type and code" grep -qE '^\[echo\] mark 0 in eth0 out  58 2001:db8::2 0 2001:db8::1 32768 lost 0$' "$LOG"
	check_not "nflog: nothing was lost" grep -q 'lost [1-9]' "$LOG"
	background a nflog 6 1 20
	check "nflog: a group that is taken is EPERM" eval '[[ $(on a "$N" nflog 6 1 1 2>&1) == EPERM ]]'
else
	skip "nflog" "no nft or no log group here"
fi
finish
