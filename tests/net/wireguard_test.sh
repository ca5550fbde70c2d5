#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two hosts ping each other through WireGuard, IPv4 and IPv6 inside, over IPv4 and IPv6 outside, with each backend
# that there is; then what must not work.
# kernel: yes
source "$(dirname "$0")/lib.sh"

W=$B/tests/tools/wg_tool
host a
host b
wire a eth0 b eth0
addr a eth0 192.0.2.1/24 2001:db8::1/64
addr b eth0 192.0.2.2/24 2001:db8::2/64
A=$("$W" genkey "$T/a.key")
BKEY=$("$W" genkey "$T/b.key")
OTHER=$("$W" genkey "$T/other.key")

backend() { on "$1" "$W" create wgt0 "$2"; }
ping4() { on a ping -c1 -W1 -n 10.7.0.2; }
ping6() { on a ping -c1 -W1 -n fd07::2; }
# what a failing command says on stderr, its first word
says() { local want=$1; shift; [[ $("$@" 2>&1 >/dev/null) == "$want"* ]]; }
facts() { on a "$W" get wgt0; }
has() { facts | grep -qxF -- "$1"; }
has_not() { ! facts | grep -qxF -- "$1"; }
gone() { ! on "$1" ip link show wgt0; }

set_up() { # BACKEND
	local h
	for h in a b; do
		[[ $(backend $h "$1") == "$1" ]] || return 1
		on $h "$W" set wgt0 private-key "$T/$h.key" listen-port 51820 || return 1
		on $h ip link set wgt0 up
	done
	addr a wgt0 10.7.0.1/24 fd07::1/64
	addr b wgt0 10.7.0.2/24 fd07::2/64
}

peers() { # ENDPOINT-OF-A ENDPOINT-OF-B
	on a "$W" set wgt0 peer "$BKEY" endpoint "$2" keepalive 0 allowed 10.7.0.2/32 allowed fd07::2/128 &&
		on b "$W" set wgt0 peer "$A" endpoint "$1" keepalive 0 allowed 10.7.0.1/32 allowed fd07::1/128
}

remove_peers() {
	on a "$W" set wgt0 remove "$BKEY" && on b "$W" set wgt0 remove "$A"
}

many_allowed() { # as much as several messages hold
	local i list=()
	for ((i = 0; i < 1500; i++)); do list+=(allowed "10.8.$((i / 250)).$((i % 250))/32"); done
	on a "$W" set wgt0 peer "$OTHER" "${list[@]}"
}

count_many() { [[ $(facts | grep -c '^allowed 10\.8\.') == "$1" ]]; }

run() { # BACKEND
	local k=$1
	check "$k: interfaces on both hosts" set_up "$k"
	check "$k: name taken is EEXIST" says EEXIST on a "$W" create wgt0 "$k"
	check "$k: name taken by another kind is EEXIST" says EEXIST on a "$W" create eth0 "$k"
	check_not "$k: ping before there are peers" ping4

	check "$k: peers over IPv4" peers 192.0.2.1:51820 192.0.2.2:51820
	check "$k: ping IPv4 over IPv4" wait_for 10 ping4
	check "$k: ping IPv6 over IPv4" wait_for 10 ping6
	check "$k: handshake and bytes are read back" wait_for 5 eval 'has "handshake yes" && has "rx yes"'
	check "$k: public key is read back" has "public-key $A"
	check "$k: allowed IPs are read back" eval 'has "allowed 10.7.0.2/32" && has "allowed fd07::2/128"'

	check "$k: peers move to IPv6" peers "[2001:db8::1]:51820" "[2001:db8::2]:51820"
	check "$k: endpoint is read back" has "endpoint [2001:db8::2]:51820"
	check "$k: ping IPv4 over IPv6" wait_for 10 ping4
	check "$k: ping IPv6 over IPv6" wait_for 10 ping6

	check "$k: same peer again is no change" eval \
		'[[ $(on a "$W" sync wgt0 peer "$BKEY" endpoint "[2001:db8::2]:51820" allowed 10.7.0.2/32 allowed fd07::2/128) == "changes 0" ]]'
	check "$k: an allowed IP is taken away" eval \
		'[[ $(on a "$W" sync wgt0 peer "$BKEY" endpoint "[2001:db8::2]:51820" allowed 10.7.0.2/32) == "changes 1" ]]'
	check_not "$k: ping IPv6 without its allowed IP" ping6
	check "$k: ping IPv4 still" ping4

	check "$k: a peer larger than a message" many_allowed
	check "$k: all of its allowed IPs are read back" count_many 1500
	check "$k: setting a peer leaves the others alone" has "peer $BKEY"
	check "$k: and is replaced by less" on a "$W" set wgt0 peer "$OTHER" allowed 10.8.0.1/32
	check "$k: what was replaced is gone" count_many 1
	check "$k: an allowed IP moves to another peer" on a "$W" set wgt0 peer "$OTHER" allowed 10.7.0.2/32
	check_not "$k: ping to an address that moved" ping4

	check "$k: peers again" peers 192.0.2.1:51820 192.0.2.2:51820
	check "$k: ping again" wait_for 10 ping4
	check "$k: removing the peers" remove_peers
	check_not "$k: IPv4 after the removal" ping4
	check_not "$k: IPv6 after the removal" ping6
	check "$k: removing again is success" remove_peers
	check "$k: the removed peer is not listed" has_not "peer $BKEY"
	check "$k: a port in use is EADDRINUSE" port_in_use

	check "$k: destroy" eval 'on a "$W" destroy wgt0 && on b "$W" destroy wgt0'
	check "$k: interfaces are gone" eval 'gone a && gone b'
	check "$k: destroying again is success" on a "$W" destroy wgt0
	check "$k: get of what is gone is ENODEV" says ENODEV on a "$W" get wgt0
	check "$k: set of what is gone is ENODEV" says ENODEV on a "$W" set wgt0 remove "$OTHER"
}

# A second interface wants the first one's port.
port_in_use() {
	on a "$W" create wgt1 "$k" && on a ip link set wgt1 up &&
		says EADDRINUSE on a "$W" set wgt1 private-key "$T/other.key" listen-port 51820
	local rc=$?
	on a "$W" destroy wgt1 && return $rc
}

check "missing interface is ENODEV" says ENODEV on a "$W" get wgt0
check "another kind of link is ENODEV" says ENODEV on a "$W" get eth0
check "another kind of link is not destroyed" says ENODEV on a "$W" destroy eth0
check "a name of 16 characters is EINVAL" says EINVAL on a "$W" create sixteen-letters-
check "a name with a slash is EINVAL" says EINVAL on a "$W" create ../wgt0

if on a "$W" create wgt0 kernel >/dev/null 2>&1; then
	on a "$W" destroy wgt0
	run kernel
else
	check "no kernel WireGuard is EOPNOTSUPP" says EOPNOTSUPP on a "$W" create wgt0 kernel
	skip "kernel backend" "this kernel has no WireGuard"
fi

if on a "$W" create wgt0 userspace >/dev/null 2>&1; then
	check "userspace: no key in the process's arguments or environment" eval \
		'pid=$(pgrep -x wireguard-go) && tr "\0" "\n" </proc/$pid/cmdline | grep -c . | grep -qx 3 &&
		 ! grep -qF "$(cat "$T/a.key")" /proc/$pid/environ'
	check "userspace: a session of its own" eval \
		'[[ $(cut -d" " -f6 "/proc/$(pgrep -x wireguard-go)/stat") != $(cut -d" " -f6 /proc/$$/stat) ]]'
	on a "$W" destroy wgt0
	run userspace
	check "userspace: no process is left" wait_for 5 sh -c '! pgrep -x wireguard-go'
else
	skip "userspace backend" "no wireguard-go or no /dev/net/tun"
fi
finish
