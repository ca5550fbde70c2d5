#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rows relay-tc-64, -1400, relay-xdp-64, -1400: the relay against the kernel's IP forwarding; see bench/relay.c.
source "$(dirname "$0")/../tests/net/lib.sh"
set -e
DIR=$T/bpf/relay
TOOL=$B/tests/tools/relay_tool

program=$B/bench/relay
mkdir -p "$B/bench" "$T/bpf"
[[ $program -nt $ROOT/bench/relay.c ]] || "${CC:-gcc}" -std=gnu17 -O2 -D_GNU_SOURCE -Wall -Wextra -I"$ROOT" \
	-o "$program" "$ROOT/bench/relay.c" -lbpf
mount -t bpf bpf "$T/bpf"

host far
host hub
host sink
wire far r0 hub r0
wire far f0 hub f0
wire hub out sink out
addr hub r0 198.18.0.1/24
addr hub f0 198.18.1.1/24
addr hub out 198.18.2.1/24
addr sink out 198.18.2.2/24
# Nobody answers for the sink behind XDP_DROP; and 198.18.0.2 sends by f0 too.
mac=$(on sink ip -o link show out | sed -n 's|.*link/ether \([0-9a-f:]*\).*|\1|p')
on hub ip neigh replace 198.18.2.2 lladdr "$mac" dev out nud permanent
for f in all r0 f0 out; do on hub sh -c "echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; echo 1 >/proc/sys/net/ipv4/conf/$f/forwarding"; done
# frames without NAPI on the way out would not reach the sink's program
on sink ethtool -K out gro on >/dev/null

for hook in ${HOOKS:-tc xdp}; do
	on hub "$B/sortie-relay-load" --hook $hook --interface r0 --interface out --bpffs "$DIR" --port 51820
	for site in 1 2; do "$TOOL" "$DIR" site $site "$(head -c32 /dev/urandom | base64)" 3600; done
	"$TOOL" "$DIR" endpoint 1 198.18.0.2:10001
	"$TOOL" "$DIR" endpoint 2 198.18.2.2:10002
	"$TOOL" "$DIR" pair 1 2 3600
	"$program" $hook "${PIDS[hub]}" "${PIDS[sink]}" "$DIR"
	on hub ip link set r0 xdp off 2>/dev/null || true # what the measurement put there; the relay's own is a link
	on hub ip link set out xdp off 2>/dev/null || true
	on hub "$B/sortie-relay-load" --unload --bpffs "$DIR" 2>/dev/null
done
finish
