#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rows relay-tc-64, -1400, relay-xdp-64, -1400: the relay against the kernel's IP forwarding; see bench/relay.c.
source "$(dirname "$0")/../tests/net/lib.sh"
set -e -o pipefail
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
	"$program" $hook "${PIDS[hub]}" "${PIDS[sink]}" "$DIR" | tee "$T/$hook.out"
	on hub ip link set r0 xdp off 2>/dev/null || true # what the measurement put there; the relay's own is a link
	on hub ip link set out xdp off 2>/dev/null || true
	on hub "$B/sortie-relay-load" --unload --bpffs "$DIR" 2>/dev/null
done
[[ -e $T/tc.out ]] || finish

# ---- relay-vs-decrypt: processor time of the hub for each packet. One that decrypts and encrypts again (wireguard-go),
# 1200 bytes at a fixed rate, against all that the relay at tc takes for one, receiving and sink included.
# shellcheck disable=SC2086 # a list of words
wireguard_up() { # HOST ADDRESS [PORT]
	on "$1" env WG_PROCESS_FOREGROUND=1 LOG_LEVEL=error wireguard-go -f wg0 </dev/null >/dev/null 2>&1 &
	WG_PID=$!
	wait_for 10 on "$1" test -S /run/wireguard/wg0.sock
	(umask 077 && wg genkey >"$T/$1.key")
	on "$1" wg set wg0 private-key "$T/$1.key" ${3:+listen-port $3}
	addr "$1" wg0 "$2"
	on "$1" ip link set wg0 mtu 1280 up
}
key() { wg pubkey <"$T/$1.key"; }
site() { # NAME N
	host "$1"
	wire "$1" eth0 hub "$1"
	addr "$1" eth0 "198.19.$2.2/24"
	addr hub "$1" "198.19.$2.1/24"
	wireguard_up "$1" "10.99.0.$2/24"
}
wireguard_up hub 10.99.0.254/24 51821
hub_pid=$(on hub pgrep -P $WG_PID -x wireguard-go || echo $WG_PID)
site west 1
site east 2
for s in "west 1" "east 2"; do
	read -r h n <<<"$s"
	on hub wg set wg0 peer "$(key $h)" allowed-ips "10.99.0.$n/32"
	on $h wg set wg0 peer "$(key hub)" endpoint "198.19.$n.1:51821" allowed-ips 10.99.0.0/24 persistent-keepalive 1
done
on hub sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
wait_for 10 on west ping -c1 -W1 10.99.0.2
nsenter -t "${PIDS[east]}" -n iperf3 -s -1 >/dev/null 2>&1 &
wait_for 5 sh -c "nsenter -t ${PIDS[east]} -n ss -ltn | grep -q :5201"
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{print int(($14 + $15) * 1000 / hz)}' "/proc/$hub_pid/stat"; }
sent() { on hub awk '$1 == "wg0:" { print $11 }' /proc/net/dev; }
ms=$(cpu_ms) packets=$(sent)
on west iperf3 -c 10.99.0.2 -u -b 40M -l 1200 -t 4 >/dev/null 2>&1
ms=$(($(cpu_ms) - ms)) packets=$(($(sent) - packets))
((packets > 10000)) || { echo "relay bench: only $packets packets through the decrypting hub" >&2; exit 1; }
python3 - "$ms" "$packets" "$(sed -n 's/^tc, 1400 B: relay \([0-9]*\) ns.*/\1/p' "$T/tc.out")" <<'PYTHON'
import json, sys
ms, packets, relay = (float(a) for a in sys.argv[1:])
decrypt = ms * 1e6 / packets
print(json.dumps({"name": "relay-vs-decrypt", "value": round(relay / decrypt, 5), "unit": "x", "reference":
	f"hub that decrypts (wireguard-go): {decrypt / 1000:.1f} us a packet; relay at tc: {relay:.0f} ns", "goal": "<= 0.02", "samples": int(packets)}))
PYTHON
finish
