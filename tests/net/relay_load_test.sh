#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sortie-relay-load beside other filters and XDP programs: attach, replace, move, unload, and bad input in one clear line
# each.
# kernel: yes
source "$(dirname "$0")/lib.sh"
LOADER=$B/sortie-relay-load
DIR=$T/bpf/relay
mkdir -p "$T/bpf"
mount -t bpf bpf "$T/bpf" || { skip "loading the relay" "no bpf filesystem"; finish; }
host hub
host peer
wire hub eth0 peer eth0
wire hub eth1 peer eth1
addr hub eth0 192.0.2.1/24 2001:db8::1/64
addr peer eth0 192.0.2.2/24 2001:db8::2/64

load() { on hub "$LOADER" --bpffs "$DIR" --port 51820 "$@"; }
ours() { on hub tc filter show dev "$1" ingress | grep -c relay_tc; }
refused() { # NAME STATUS WORD COMMAND...: fails with that status, and its last line has the word
	local name=$1 status=$2 word=$3 rc=0
	shift 3
	"$@" >"$T/out" 2>&1 || rc=$?
	check "$name" test $rc -eq "$status"
	check "$name: says why" grep -q -e "$word" "$T/out"
	check "$name: in one line" test "$(wc -l <"$T/out")" -eq 1
}

on hub tc qdisc add dev eth0 clsact
# One in front that lets everything go on (-1), one behind it that lets everything in (0).
on hub tc filter add dev eth0 ingress protocol all prio 1 bpf da bytecode '1,6 0 0 4294967295'
on hub tc filter add dev eth0 ingress protocol all prio 60000 bpf da bytecode '1,6 0 0 0'
others() { on hub tc filter show dev eth0 ingress | grep -c 'bytecode'; }
if ! load --interface eth0 >"$T/load" 2>&1; then
	fail "attaches beside other filters" "$(tail -n1 "$T/load")"
	finish
fi
pass "attaches beside other filters"
check "the relay is there once" test "$(ours eth0)" -eq 1
for _ in 1 2 3; do load --interface eth0 2>/dev/null; done
check "and once only after three more loads" test "$(ours eth0)" -eq 1
check "other traffic passes, IPv4" wait_for 5 on peer ping -c1 -W1 192.0.2.1
check "other traffic passes, IPv6" wait_for 5 on peer ping -c1 -W1 2001:db8::1
on hub tc filter replace dev eth0 ingress protocol all prio 60000 handle 1 bpf da bytecode '1,6 0 0 2'
check_not "what passes still meets the filter behind, which drops now" on peer ping -c1 -W1 192.0.2.1
check "two interfaces" load --interface eth0 --interface eth1
check "are both attached" test "$(ours eth0)$(ours eth1)" = 11
check "moves to another interface" load --interface eth1
check "and leaves the first" test "$(ours eth0)$(ours eth1)" = 01

refused "an interface that is not there" 1 "nosuch0" load --interface nosuch0
refused "an interface that is not Ethernet" 1 "not Ethernet" load --interface lo
check "a refused load changes nothing" test "$(ours eth1)" -eq 1
refused "a folder that is on no bpf filesystem" 1 "bpf filesystem" on hub "$LOADER" --interface eth0 --port 51820 --bpffs "$T/plain"
check_not "and it is not made" test -e "$T/plain"
mkdir "$T/plain"
check_not "a plain folder is refused too" on hub "$LOADER" --interface eth0 --port 51820 --bpffs "$T/plain"
check "and stays" test -d "$T/plain"
refused "no privileges" 1 "Permission denied\|not permitted" on hub setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$LOADER" --interface eth0 --port 51820 --bpffs "$T/bpf/other"

# --- the command line: what, where, what to do
wrong() { # WORDS ARGS...: with these words in one line, and nothing done
	refused "$1" 2 "^sortie-relay-load: $1: see sortie-relay-load --help$" on hub "$LOADER" "${@:2}"
}
ok="--interface eth0 --bpffs $DIR --port 51820"
# shellcheck disable=SC2086 # words
{
	wrong "--interface is missing" --bpffs "$DIR" --port 51820
	wrong "--bpffs is missing" --interface eth0 --port 51820
	wrong "--bpffs is missing" --unload
	wrong "--port is missing" --interface eth0 --bpffs "$DIR"
	wrong '--port takes a number from 1 to 65535, not "0"' $ok --port 0
	wrong '--port takes a number from 1 to 65535, not "51820x"' $ok --port 51820x
	wrong '--alt-port takes a number from 0 to 65535, not "65536"' $ok --alt-port 65536
	wrong '--owner takes a user id, not "root"' $ok --owner root
	wrong '--hook takes auto, xdp, generic or tc, not "best"' $ok --hook best
	wrong '--interface takes a name, and at most 4 of them, not "eth5"' $ok --interface eth2 --interface eth3 --interface eth4 --interface eth5
	wrong 'no option --nonsense, or its value is missing' $ok --nonsense
	wrong 'no option --hook, or its value is missing' $ok --hook
	wrong '"eth1" is no option' $ok eth1
}
check "what was wrong has changed nothing" test "$(ours eth0)$(ours eth1)" = 01

# --- XDP
TOOL=$B/tests/tools/relay_tool
says() { # WORD OPTIONS...: loads, and what it says has the word
	local word=$1
	shift
	load "$@" >"$T/out" 2>&1
	grep -q -e "$word" "$T/out" || { cat "$T/out"; return 1; }
}
xdp_of() { on hub ip -d link show "$1" | sed -n 's/.*prog\/xdp\(generic\)\? id \([0-9]*\).*/\2/p'; }
attachment() { "$TOOL" "$DIR" attachment; }
to_and_fro() { # TIMES
	local i
	for ((i = 0; i < $1; i++)); do
		says "eth0: xdp-generic" --interface eth0 --hook generic && says "eth0: xdp$" --interface eth0 --hook xdp || return 1
	done
}
check "no XDP on a veth by itself, and why" says "eth1: tc (eth1 is a veth" --interface eth1
check "which is what the pins say" test "$(attachment)" = tc
check "XDP where it is asked for" says "eth1: xdp$" --interface eth1 --hook xdp
check "the pins say so" test "$(attachment)" = xdp
check "behind it is tc" test "$(ours eth1)" -eq 1
id=$(xdp_of eth1)
check "the program is there" test -n "$id"
check_not "nobody takes it off" on hub ip link set eth1 xdp off
check_not "nobody puts another in its place" on hub "$B/tests/tools/xdp_pass" eth1
check "a second load" load --interface eth1 --hook xdp
check "has put in its own program" test -n "$(xdp_of eth1)" -a "$(xdp_of eth1)" != "$id"
check "another interface" says "eth0: xdp$" --interface eth0 --hook xdp
check "an interface that is not named any more is left" test -z "$(xdp_of eth1)" -a "$(ours eth1)" -eq 0
check "back to tc" says "eth0: tc$" --interface eth0 --hook tc
check "without XDP" test -z "$(xdp_of eth0)"
check "generic, where it is asked for" says "eth0: xdp-generic" --interface eth0 --hook generic
check "the pins say generic" test "$(attachment)" = xdp-generic
check "from generic to the driver" says "eth0: xdp$" --interface eth0 --hook xdp
check "renamed, it is the same interface" on hub sh -c 'ip link set eth0 down && ip link set eth0 name wan0 && ip link set wan0 up'
check "and its link is adopted" says "wan0: xdp$" --interface wan0 --hook xdp
on hub sh -c 'ip link set wan0 down && ip link set wan0 name eth0 && ip link set eth0 up'
load --interface eth1 --hook tc 2>/dev/null

on hub "$B/tests/tools/xdp_pass" eth1
foreign=$(xdp_of eth1)
refused "another XDP program is there" 1 "another XDP program is attached to eth1" load --interface eth1 --hook xdp
check "and stays" test "$(xdp_of eth1)" = "$foreign"
check "tc stands as before" test "$(ours eth1)" -eq 1
if on hub ip tuntap add tap0 mode tap 2>/dev/null; then # a driver that does XDP, without a machine
	check "XDP where the driver is known to do it" says "tap0: xdp$" --interface tap0
	check "each interface has its own hook" says "eth1: tc" --interface tap0 --interface eth1
	check "mixed, say the pins" test "$(attachment)" = mixed
	load --interface eth1 2>/dev/null
	on hub "$B/tests/tools/xdp_pass" tap0
	check "tc beside another's XDP program, and why" says "tap0: tc (another XDP program is attached to tap0" --interface tap0
	check "which stays" test -n "$(xdp_of tap0)"
else
	skip "XDP where the driver is known to do it" "no tap device"
fi
on hub ip link add plain0 type bridge
on hub ip link set plain0 up
check "tc where the driver has no XDP, and why" says "plain0: tc (the driver of plain0 takes no XDP program" --interface plain0
refused "XDP where the driver has none" 1 "takes no XDP program" load --interface plain0 --hook xdp
check "generic there" says "plain0: xdp-generic" --interface plain0 --hook generic
refused "from generic to the driver, which has none" 1 "takes no XDP program" load --interface plain0 --hook xdp
check "generic stays" test -n "$(xdp_of plain0)"
check "the pins say so" test "$(attachment)" = xdp-generic
check "back and forth between generic and the driver" to_and_fro $((20 / TEST_SCALE + 1))
on hub ip link set eth1 xdp off
on peer ip link set eth1 mtu 9000
refused "XDP with frames too large" 1 "with its MTU" load --interface eth1 --hook xdp
on peer ip link set eth1 mtu 1500
on hub ip link add again0 type veth peer name again1
load --interface again0 --hook xdp 2>/dev/null
on hub ip link del again0
on hub ip link add again0 type veth peer name again1
check "an interface of the same name that is another" says "again0: xdp" --interface again0 --hook xdp
on hub ip link del again0
check "loads where one has vanished" says "eth1: xdp" --interface eth1 --hook xdp

check "the interface vanishes" on hub ip link del eth1
check "unloads all the same" on hub "$LOADER" --unload --bpffs "$DIR"
check "unloading twice is fine" on hub "$LOADER" --unload --bpffs "$DIR"
check_not "no pins stay" test -e "$DIR"
load --interface eth0 --hook xdp 2>/dev/null
rm "$DIR/layout"
check "what an interrupted load left is replaced, its link too" says "eth0: tc" --interface eth0
check "so no XDP program stays" test -z "$(xdp_of eth0)"
on hub "$LOADER" --unload --bpffs "$DIR" 2>/dev/null
check "the mount point itself will do for the pins" on hub "$LOADER" --interface eth0 --bpffs "$T/bpf" --port 51820
check "and stays when they go" on hub "$LOADER" --unload --bpffs "$T/bpf"
check "the other filters stay" test "$(others)" -eq 2
finish
