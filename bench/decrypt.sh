#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Row relay-vs-decrypt: what a packet of 1400 bytes costs the hub's processor in the relay, against a hub that decrypts and
# encrypts it again with wireguard-go. The relay's figure is bench/relay.sh's (everything on the core between a packet that comes
# and one that is gone, receiving and dropping included); the other is the run time of the hub's wireguard-go alone, by the
# packets that it sent on: what the kernel does for it on another's account is left out, in its favour.
here=$(dirname "$0")
if [[ -z ${SORTIE_TEST_INSIDE:-} ]]; then
	for hook in xdp tc; do
		out=$(HOOKS=$hook bash "$here/relay.sh" 2>&1)
		RELAY_NS=$(sed -n 's/.*1400 B: relay \([0-9]*\) ns a packet.*/\1/p' <<<"$out" | tail -n 1)
		[[ -z $RELAY_NS ]] || break
		printf '%s\n' "$out" | tail -n 3
	done
	[[ -n $RELAY_NS ]] || exit 1
	export RELAY_NS RELAY_HOOK=$hook
fi
source "$here/../tests/net/lib.sh"
set -e
program=$B/bench/stream
[[ $program -nt $ROOT/bench/stream.c ]] || make -s -C "$ROOT" "B=$B" "$program"

for h in hub a b; do
	host "$h"
	(umask 077 && wg genkey >"$T/$h.key")
done
wire hub to-a a eth0
wire hub to-b b eth0
addr hub to-a 198.18.1.1/24
addr hub to-b 198.18.2.1/24
addr a eth0 198.18.1.2/24
addr b eth0 198.18.2.2/24
public() { wg pubkey <"$T/$1.key"; }
up() { # HOST CORE ADDRESS
	on "$1" env LOG_LEVEL=error WG_PROCESS_FOREGROUND=1 taskset -c "$2" wireguard-go -f wg0 >/dev/null 2>&1 &
	wait_for 10 on "$1" test -S /run/wireguard/wg0.sock
	on "$1" wg set wg0 private-key "$T/$1.key" listen-port 51820
	addr "$1" wg0 "$3"
	on "$1" ip link set wg0 mtu 1400 up
}
up hub 0 10.78.0.1/24
up a 1 10.78.0.2/24
up b 1 10.78.0.3/24
on hub sysctl -qw net.ipv4.ip_forward=1
on hub wg set wg0 peer "$(public a)" allowed-ips 10.78.0.2/32 endpoint 198.18.1.2:51820 peer "$(public b)" allowed-ips 10.78.0.3/32 endpoint 198.18.2.2:51820
on a wg set wg0 peer "$(public hub)" allowed-ips 10.78.0.0/24 endpoint 198.18.1.1:51820
on b wg set wg0 peer "$(public hub)" allowed-ips 10.78.0.0/24 endpoint 198.18.2.1:51820
wait_for 10 on a ping -c1 -W1 10.78.0.3
"$ROOT/bench/decrypt.py" "$program" "${PIDS[a]}" "${PIDS[b]}" 10.78.0.3 "${PIDS[hub]}" "$RELAY_NS" "$RELAY_HOOK"
finish
