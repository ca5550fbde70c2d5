#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The relay between sites that nobody can reach: two behind NATs with the same LAN addresses (IPv4), two without (IPv6).
#
#   a 192.168.1.2 --- nata 203.0.113.11 --+-- 203.0.113.1 hub 2001:db8::1
#   b 192.168.1.2 --- natb 203.0.113.12 --+-- c6 2001:db8::c, d6 2001:db8::d, evil 203.0.113.66
#                                      internet
# Sites 1 to 4 are a, b, c6, d6; 5 is evil, once it is enrolled.
# kernel: yes
source "$(dirname "$0")/lib.sh"
LOADER=$B/sortie-relay-load
TOOL=$B/tests/tools/relay_tool
DIR=$T/bpf/relay
PORT=51820

mkdir -p "$T/bpf" "$T/keys"
mount -t bpf bpf "$T/bpf" || { skip "relay between sites" "no bpf filesystem"; finish; }

wireguard_up() { # HOST ADDRESS...: kernel WireGuard where there is one
	local name=$1
	shift
	if ! on "$name" ip link add wg0 type wireguard 2>/dev/null; then
		on "$name" env WG_PROCESS_FOREGROUND=1 LOG_LEVEL=error wireguard-go -f wg0 </dev/null >/dev/null 2>&1 &
		wait_for 10 on "$name" test -S /run/wireguard/wg0.sock
	fi
	(umask 077 && wg genkey >"$T/keys/$name")
	wg pubkey <"$T/keys/$name" >"$T/keys/$name.pub"
	on "$name" wg set wg0 private-key "$T/keys/$name"
	addr "$name" wg0 "$@"
	on "$name" ip link set wg0 mtu 1280 up
}

key() { cat "$T/keys/$1.pub"; }

nat() { # NAME WAN-ADDRESS: lets replies in and nothing else
	host "$1"
	wire "$1" wan internet "$1"
	addr "$1" wan "$2/24"
	on "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	on "$1" nft -f - <<-NFT
		table ip nat {
			chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade random; }
		}
		table inet filter {
			chain forward {
				type filter hook forward priority filter; policy drop;
				ct state established,related accept
				iifname "lan" oifname "wan" accept
			}
			chain input { type filter hook input priority filter; policy drop; ct state established,related accept; }
		}
	NFT
}

site_behind() { # NAME NAT
	host "$1"
	wire "$1" eth0 "$2" lan
	addr "$1" eth0 192.168.1.2/24
	addr "$2" lan 192.168.1.1/24
	on "$1" ip route add default via 192.168.1.1
}

site_peers() { # NAME HUB-ENDPOINT OTHER OTHER-ADDRESS
	on "$1" wg set wg0 peer "$(key hub)" endpoint "$2" allowed-ips 10.99.0.254/32 persistent-keepalive 1 \
		peer "$(key "$3")" endpoint "$2" allowed-ips "$4"
	on "$1" ip route replace 10.99.0.0/24 dev wg0
}

# --- the bed
host internet
on internet ip link add br0 type bridge
on internet ip link set br0 up
host hub
wire hub eth0 internet hub
addr hub eth0 203.0.113.1/24 2001:db8::1/64
nat nata 203.0.113.11
nat natb 203.0.113.12
site_behind a nata
site_behind b natb
for h in c6 d6 evil; do
	host $h
	wire $h eth0 internet $h
done
addr c6 eth0 2001:db8::c/64
addr d6 eth0 2001:db8::d/64
addr evil eth0 203.0.113.66/24 2001:db8::66/64
for port in hub nata natb c6 d6 evil; do on internet ip link set $port master br0; done

wireguard_up hub 10.99.0.254/24
wireguard_up a 10.99.0.1/32
wireguard_up b 10.99.0.2/32
wireguard_up c6 10.99.0.3/32
wireguard_up d6 10.99.0.4/32
on hub wg set wg0 listen-port $PORT \
	peer "$(key a)" allowed-ips 10.99.0.1/32 peer "$(key b)" allowed-ips 10.99.0.2/32 \
	peer "$(key c6)" allowed-ips 10.99.0.3/32 peer "$(key d6)" allowed-ips 10.99.0.4/32
site_peers a 203.0.113.1:$PORT b 10.99.0.2/32
site_peers b 203.0.113.1:$PORT a 10.99.0.1/32
site_peers c6 "[2001:db8::1]:$PORT" d6 10.99.0.4/32
site_peers d6 "[2001:db8::1]:$PORT" c6 10.99.0.3/32

ping_from() { on "$1" ping -c1 -W1 "$2"; }
counter() { "$TOOL" "$DIR" counters | sed -n "s/^$1 //p"; }
sites_reach_hub() { for h in a b c6 d6; do ping_from $h 10.99.0.254 || return 1; done; }

# What the control plane does: endpoints from the hub's WireGuard, once a peer's handshake has advanced.
declare -A SITE=([$(key a)]=1 [$(key b)]=2 [$(key c6)]=3 [$(key d6)]=4) SEEN=()
update_endpoints() {
	local peer at handshake rest
	while read -r peer _ at _ handshake rest; do
		[[ -n ${SITE[$peer]:-} && $handshake -gt ${SEEN[$peer]:-0} ]] || continue
		"$TOOL" "$DIR" endpoint "${SITE[$peer]}" "$at" && SEEN[$peer]=$handshake
	done < <(on hub wg show wg0 dump | tail -n +2)
	((${#SEEN[@]} == 4))
}

# --- control: management works, sites do not meet
check "management sessions through both NATs and over IPv6" wait_for 20 sites_reach_hub
check_not "without the relay a does not reach b" on a ping -c3 -i0.3 -W1 10.99.0.2
check_not "without the relay c6 does not reach d6" on c6 ping -c3 -i0.3 -W1 10.99.0.4

# --- loading
load() { on hub "$LOADER" --interface eth0 --bpffs "$DIR" --port $PORT; }
if ! load >"$T/load" 2>&1; then
	cat "$T/load" >&2
	fail "the relay loads" "$(tail -n1 "$T/load")"
	finish
fi
pass "the relay loads"
check "a second load adopts the pins" on hub sh -c "'$LOADER' --interface eth0 --bpffs '$DIR' --port $PORT 2>&1 | grep adopted"
check "and leaves one filter" test "$(on hub tc filter show dev eth0 ingress | grep -c 'direct-action')" -eq 1
check_not "loaded, but no pair is allowed: a does not reach b" on a ping -c2 -i0.3 -W1 10.99.0.2

"$TOOL" "$DIR" hub "$(key hub)" $PORT
for h in a b c6 d6; do "$TOOL" "$DIR" site "${SITE[$(key $h)]}" "$(key $h)" 600; done
check "endpoints are learnt from confirmed handshakes" wait_for 10 update_endpoints
"$TOOL" "$DIR" pair 1 2 600
"$TOOL" "$DIR" pair 3 4 600

# --- end to end
again() { # HOST OTHER HUB-ENDPOINT ADDRESS: what the agent does for a fresh handshake at once
	on "$1" wg set wg0 peer "$(key "$2")" remove
	on "$1" wg set wg0 peer "$(key "$2")" endpoint "$3" allowed-ips "$4"
}
again a b 203.0.113.1:$PORT 10.99.0.2/32
again c6 d6 "[2001:db8::1]:$PORT" 10.99.0.4/32
check "a reaches b, both behind NAT, IPv4" wait_for 15 ping_from a 10.99.0.2
check "c6 reaches d6, IPv6" wait_for 15 ping_from c6 10.99.0.4
check "full-size packets, IPv4" on a ping -c3 -i0.2 -W1 -s 1252 10.99.0.2
check "full-size packets, IPv6" on c6 ping -c3 -i0.2 -W1 -s 1252 10.99.0.4
check "b reaches a by the same session" ping_from b 10.99.0.1
check "management goes on beside it" sites_reach_hub
check "the relay has counted them" test "$(counter forwarded_packets)" -gt 10
check_not "a and c6 are no pair" on a ping -c1 -W1 10.99.0.3
finish
