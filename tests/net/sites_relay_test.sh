#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the control plane says of its relay is so: other software takes its filter or its XDP off, its interface vanishes, the
# maps are another version's, or there are none. Each is a sentence in `status` with what to do, what is done heals it, and sites
# reach each other exactly when it says so. IPv4 and IPv6.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

two_sites
both() { reaches web "${V4[db]}" icmp && reaches web "${V6[db]}" icmp; }
neither() { ! reaches web "${V4[db]}" icmp && ! reaches web "${V6[db]}" icmp; }
relay() { sortie status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["relay"])'; }
warns() { sortie status | grep -E "^warning: .*relay" | grep -E "$1"; }
silent() { ! sortie status | grep -E "^warning: .*relay"; }
is() { [[ $(relay) == "$1" ]]; }
loads_aloud() { on hub "$B/sortie-relay-load" --interface eth0 --bpffs "$T/bpf" --port $HUB_PORT "$@"; }
loads() { loads_aloud "$@" 2>/dev/null; }
whole() { is "$1" && silent && both; }
check "the relay is at tc, nothing is wrong, sites reach each other" wait_for 20 whole tc
check_not "and not where policy has no rule, IPv4" reaches db "${V4[web]}" icmp
check_not "nor IPv6" reaches db "${V6[web]}" icmp

# ---- taken off
for point in ingress egress; do
	on hub tc filter del dev eth0 $point
	check "$point filter taken off: status says so, and what to do" warns "off eth0 .tc $point.*sortie-relay-load"
	check "$point filter taken off: there is no relay" is none
	check "$point filter taken off: it is logged" wait_for 10 grep -qE "relay: .*tc $point" "$T/control.log"
	[[ $point == egress ]] || check "$point filter taken off: sites do not reach each other" neither
	check "$point filter taken off: loaded again" loads
	check "$point filter taken off: all is well" wait_for 20 whole tc
done
on hub tc qdisc del dev eth0 clsact
check "clsact removed: status says so" warns "off eth0 .tc ingress"
check "clsact removed: loaded again" loads
check "clsact removed: all is well" wait_for 20 whole tc
check "loaded at XDP" loads --hook xdp
check "status says XDP" is xdp
check "XDP is taken off" bpftool link detach pinned "$T/bpf/link-$(on hub ip -o link show eth0 | cut -d: -f1)"
check "XDP taken off: status says so" warns "XDP program off eth0.*sortie-relay-load"
check "XDP taken off: tc decides everything" is tc
check "back at tc" loads
check "XDP taken off: all is well" wait_for 20 whole tc

# ---- the interface: another name is nothing, gone is gone
on hub sh -c 'ip link set eth0 down && ip link set eth0 name wan0 && ip link set wan0 up'
addr hub wan0 $HUB6/64
check "interface renamed: it is the same relay" wait_for 20 whole tc
on hub ip link del wan0
check "interface gone: status says so, and what to do" warns "interface .*gone.*sortie-relay-load"
check "interface gone: there is no relay" is none
wire hub eth0 internet hub
on internet ip link set hub master br0
addr hub eth0 $HUB4/24 $HUB6/64
check "interface gone: it is back, the relay is not" warns "interface .*gone"
check "interface gone: loaded again" loads
check "interface gone: all is well" wait_for 30 whole tc

# ---- a site that has all the pairs that it can have: 1,000 are put beside what policy says
tool() { on hub "$B/tests/tools/relay_tool" "$T/bpf" "$@"; }
fill_site() {
	local i
	for ((i = 3; i < 1003; i++)); do tool pair 1 $i 3600 || return 1; done
}
echo '{"version": 1, "rules": []}' >"$T/none.yaml"
check "policy has no rule" sortie policy apply "$T/none.yaml"
check "policy has no rule: closed" wait_for 20 neither
check "site 1 has 1,000 pairs" fill_site
check "policy pairs it with one more" sortie policy apply "$T/policy.yaml"
full="policy pairs site-[ab]/(web|db) with more than 1000 identities, .* relay serves: 1 of them and it do not reach each other; narrow"
check "the 1,001st: status names it, and what to do" wait_for 20 warns "$full"
check "the 1,001st: the log names it" grep -q "policy pairs .* with more than 1000 identities" "$T/control.log"
check "the 1,001st: the relay stands" is tc
check "the 1,001st: is not reached" neither
check "the control plane ends" ends_well sortie-control "$CONTROL_PID"
control_start || fail "the control plane starts beside 1,000 pairs that nobody wants"
check "with room: all is well" wait_for 40 whole tc

# ---- maps of another version: the old program goes on with them
set_version() { # NUMBER: the first word of the layout
	local bytes
	bytes=$(bpftool -j map lookup pinned "$T/bpf/layout" key 0 0 0 0 | python3 -c 'import json,sys; print(*json.load(sys.stdin)["value"][1:])')
	# shellcheck disable=SC2086 # bytes
	bpftool map update pinned "$T/bpf/layout" key 0 0 0 0 value "$1" $bytes
}
ends_well sortie-control "$CONTROL_PID"
check "another version's maps" set_version 2
control_start || fail "the control plane starts beside another version's maps"
check "another version's maps: status says so, and what to do" warns "another version.*--unload"
check "another version's maps: what it was told last goes on" wait_for 10 both
refused "another version's maps: the loader refuses" 1 "layout 2, .*run --unload first" loads_aloud
check "unloaded" on hub "$B/sortie-relay-load" --unload --bpffs "$T/bpf"
check "no maps: status says so, and what to do" wait_for 5 warns "no relay.*sortie-relay-load"
check "no maps: sites do not reach each other" neither
check "loaded" loads
check "all is well" wait_for 30 whole tc
sites_end
finish
