#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# sortie-relay-load beside other filters: attach, replace, move, unload, and bad input in one clear line each.
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
	check "$name: in one line" test "$status" -eq 2 -o "$(wc -l <"$T/out")" -eq 1
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
refused "no interface" 2 usage load
refused "a port of 0" 2 usage on hub "$LOADER" --interface eth0 --bpffs "$DIR" --port 0
refused "a port that is no number" 2 usage on hub "$LOADER" --interface eth0 --bpffs "$DIR" --port 51820x
refused "an owner that is no number" 2 usage load --interface eth0 --owner root
refused "something left over" 2 usage load --interface eth0 eth1

check "the interface vanishes" on hub ip link del eth1
check "unloads all the same" on hub "$LOADER" --unload --bpffs "$DIR"
check "unloading twice is fine" on hub "$LOADER" --unload --bpffs "$DIR"
check_not "no pins stay" test -e "$DIR"
check "the mount point itself will do for the pins" on hub "$LOADER" --interface eth0 --bpffs "$T/bpf" --port 51820
check "and stays when they go" on hub "$LOADER" --unload --bpffs "$T/bpf"
check "the other filters stay" test "$(others)" -eq 2
finish
