#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The relay between sites that nobody can reach: two behind NATs with the same LAN addresses (IPv4), two without (IPv6).
#
#   a 192.168.1.2 --- nata 203.0.113.11 --+-- 203.0.113.1 hub 2001:db8::1
#   b 192.168.1.2 --- natb 203.0.113.12 --+-- c6 2001:db8::c, d6 2001:db8::d, evil 203.0.113.66
#                                      internet
# Sites 1 to 4 are a, b, c6, d6; 5 is evil, once it is enrolled. HOOK says where the relay is: tc, xdp.
# kernel: yes
source "$(dirname "$0")/lib.sh"
LOADER=$B/sortie-relay-load
TOOL=$B/tests/tools/relay_tool
DIR=$T/bpf/relay
PORT=51820
HOOK=${HOOK:-tc}

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

# For the background only: $! is the command itself, so that it can be killed.
start() {
	local name=$1
	shift
	exec nsenter -t "${PIDS[$name]}" -n -m -- "$@"
}
ping_from() { on "$1" ping -c1 -W1 "$2"; }
endpoint_of() { on hub wg show wg0 endpoints | sed -n "s|^$(key "$1")\t||p"; }
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
load() { on hub "$LOADER" --hook "$HOOK" --interface eth0 --bpffs "$DIR" --port $PORT "$@"; }
if [[ $HOOK == xdp ]]; then
	on internet "$B/tests/tools/xdp_pass" hub
	# XDP takes what comes as from a wire: with its checksum
	for h in a b c6 d6; do on $h ethtool -K eth0 tx off >/dev/null; done
fi
if ! load >"$T/load" 2>&1; then
	cat "$T/load" >&2
	fail "the relay loads" "$(tail -n1 "$T/load")"
	finish
fi
pass "the relay loads"
adopts() { load "$@" 2>&1 | grep adopted; }
check "a second load adopts the pins" adopts
check "it says where it is attached" test "$("$TOOL" "$DIR" attachment)" = "$HOOK"
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
at_hook() { # all data at XDP, but for what the kernel has to find the way for; or none
	on a ping -c20 -i0.02 -W1 10.99.0.2 && on c6 ping -c20 -i0.02 -W1 10.99.0.4 || return 1
	if [[ $HOOK == xdp ]]; then (($(counter xdp_packets) >= 70)); else (($(counter xdp_packets) == 0)); fi
}
check "and forwards where it is attached" at_hook
check_not "a and c6 are no pair" on a ping -c1 -W1 10.99.0.3

# --- sites of different families
on a wg set wg0 peer "$(key c6)" endpoint 203.0.113.1:$PORT allowed-ips 10.99.0.3/32
on c6 wg set wg0 peer "$(key a)" endpoint "[2001:db8::1]:$PORT" allowed-ips 10.99.0.1/32
"$TOOL" "$DIR" pair 1 3 600
at_xdp=$(counter xdp_packets)
check "a reaches c6: IPv4 to IPv6" wait_for 15 ping_from a 10.99.0.3
check "c6 reaches a: IPv6 to IPv4" ping_from c6 10.99.0.1
check "full-size packets between the families" on a ping -c20 -i0.02 -W1 -s 1252 10.99.0.3
[[ $HOOK == tc ]] || check "converted at XDP" test "$(counter xdp_packets)" -ge $((at_xdp + 30))
check "nothing was refused" test "$(counter family_refused)" -eq 0

# --- the second port
on b wg set wg0 peer "$(key hub)" endpoint 203.0.113.1:443
on b wg set wg0 peer "$(key a)" endpoint 203.0.113.1:443
on c6 wg set wg0 peer "$(key hub)" endpoint "[2001:db8::1]:443"
on c6 wg set wg0 peer "$(key a)" endpoint "[2001:db8::1]:443"
on c6 wg set wg0 peer "$(key d6)" endpoint "[2001:db8::1]:443"
anew() { # HOST HUB-ENDPOINT: no session with the hub is left
	on "$1" wg set wg0 peer "$(key hub)" remove
	on "$1" wg set wg0 peer "$(key hub)" endpoint "$2" allowed-ips 10.99.0.254/32 persistent-keepalive 1
}
anew b 203.0.113.1:443
anew c6 "[2001:db8::1]:443"
check "b reaches the hub by port 443, IPv4" wait_for 10 ping_from b 10.99.0.254
check "c6 reaches the hub by port 443, IPv6" wait_for 10 ping_from c6 10.99.0.254
followed() { update_endpoints && ping_from a 10.99.0.2; }
check "a at one port reaches b at the other" wait_for 10 followed
check "b reaches a" ping_from b 10.99.0.1
check "by both families" wait_for 10 ping_from c6 10.99.0.1
dials() { on "$1" wg show wg0 endpoints | grep -c ":$2\$"; }
check "b still dials port 443 alone" test "$(dials b 443) $(dials b $PORT)" = "2 0"
check "c6 too" test "$(dials c6 443) $(dials c6 $PORT)" = "3 0"
load --alt-port 0 2>/dev/null
check_not "no second port, no answer there" on b ping -c1 -W1 10.99.0.254
load 2>/dev/null
check "and it is back" wait_for 10 ping_from b 10.99.0.254

# --- strangers
# Sends to the hub from evil: each argument is a payload in hex. Succeeds where anything comes back.
evil_sends() {
	on evil python3 - "$@" <<-'PYTHON'
		import socket, sys
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.bind(("203.0.113.66", 4000))
		s.connect(("203.0.113.1", 51820))
		s.settimeout(0.5)
		for text in sys.argv[1:]:
		    s.send(bytes.fromhex(text))
		try:
		    s.recv(2048)
		except socket.timeout:
		    sys.exit(1)
	PYTHON
}
# The payload of a data packet from a's NAT to b, as it arrives at the hub: the last forwarded one of a running ping.
capture_data() {
	start a ping -i0.1 -W1 10.99.0.2 >/dev/null &
	on hub timeout $((5 * TEST_SCALE)) python3 - <<-'PYTHON'
		import socket, struct
		s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
		while True:
		    frame, where = s.recvfrom(4096)
		    # outgoing (4), IPv4 to b's NAT: what the relay sends on still carries the index a wrote
		    if where[2] == 4 and frame[30:34] == socket.inet_aton("203.0.113.12") and frame[42] == 4 and len(frame) > 42 + 64:
		        print(frame[42:].hex())
		        break
	PYTHON
	kill $!
	wait $! 2>/dev/null
}
# One more than before may be WireGuard's own keepalive; the strangers send two.
forwarded() { "$TOOL" "$DIR" traffic 1 2 | cut -d' ' -f1; }

garbage=(00 "$(printf '01%.0s' {1..148})" "04000000$(printf '00%.0s' {1..8})" "$(printf '04%.0s' {1..64})"
	"01000000$(printf '5a%.0s' {1..144})" "$(printf 'ff%.0s' {1..1400})")
check_not "the hub's port answers nothing to garbage" evil_sends "${garbage[@]}"
check "malformed messages are counted" test "$(counter malformed)" -ge 4
data=$(capture_data)
check "a data packet was captured" test "${#data}" -ge 64
before=$(forwarded)
strangers=$(counter unknown_endpoint)
check_not "a's index from an unknown endpoint draws nothing" evil_sends "$data" "$data"
check "and is counted" test "$(counter unknown_endpoint)" -ge $((strangers + 2))
check "and forwards nothing" test "$(forwarded)" -le $((before + 1))
wg genkey | wg pubkey >"$T/keys/evil.pub"
"$TOOL" "$DIR" site 5 "$(key evil)" 600
check_not "an endpoint that another site has is not taken over" "$TOOL" "$DIR" endpoint 5 "$(endpoint_of a)"
check "an enrolled site has its own endpoint" "$TOOL" "$DIR" endpoint 5 203.0.113.66:4000
indexes=$(counter unknown_index)
check_not "a's index from another site draws nothing" evil_sends "$data" "$data"
check "and is counted too" test "$(counter unknown_index)" -ge $((indexes + 2))
check "and forwards nothing either" test "$(forwarded)" -le $((before + 1))
"$TOOL" "$DIR" remove 5

# --- a site moves: its socket, and with it the port at its NAT
old=$(endpoint_of b)
moved() { update_endpoints && [[ $(endpoint_of b) != "$old" ]] && ping_from a 10.99.0.2; }
on b wg set wg0 listen-port 0
on b wg set wg0 peer "$(key hub)" remove
on b wg set wg0 peer "$(key hub)" endpoint 203.0.113.1:443 allowed-ips 10.99.0.254/32 persistent-keepalive 1
before=$(counter initiations)
check "a site that moved is followed once it has shaken hands" wait_for 10 moved
check "and its sessions go on without a handshake" test "$(counter initiations)" -eq "$before"

# --- the writer of the maps dies
(while :; do update_endpoints; sleep 0.2; done) &
writer=$!
start a ping -i0.1 -c30 -W1 10.99.0.2 >"$T/ping" &
pinging=$!
wait_for 5 grep -q 'icmp_seq=10 ' "$T/ping"
{ kill -9 $writer && wait $writer; } 2>/dev/null
wait $pinging
check "the death of the maps' writer interrupts nothing" grep -q ' 0% packet loss' "$T/ping"
start a ping -i0.02 -c60 -W1 10.99.0.2 >"$T/ping" &
pinging=$!
wait_for 5 grep -q 'icmp_seq=10 ' "$T/ping"
check "a reload adopts what stands" adopts
check "and once more" adopts
wait $pinging
check "and no packet is missed meanwhile" grep -q ' 0% packet loss' "$T/ping"

# --- revocation
received_by() { on "$1" sed -n 's/^ *wg0: *[0-9]* *\([0-9]*\) .*/\1/p' /proc/net/dev; }
not_carried() { echo $(($(counter pair_refused) + $(counter unknown_index))); } # the pair's sessions go with it
not_carried_before=$(not_carried)
refused() { [[ $(not_carried) -gt $not_carried_before ]]; }
start a ping -i0.02 -W1 10.99.0.2 >"$T/ping" 2>&1 &
pinging=$!
wait_for 5 grep -q 'icmp_seq=20 ' "$T/ping"
"$TOOL" "$DIR" unpair 1 2
check "a removed pair is refused" wait_for 5 refused
# whatever passed the relay before the first refusal has passed the sites meanwhile, too
cut=$(grep -c 'bytes from' "$T/ping")
cut_b=$(received_by b)
on a ping -c10 -i0.05 -W1 10.99.0.2 >/dev/null
# one answer may have been between the site and ping's output when the map changed
check "a removed pair is cut at the next packet" test "$(grep -c 'bytes from' "$T/ping")" -le $((cut + 1))
check "b receives nothing more" test "$(received_by b)" -le $((cut_b + 1))
kill $pinging
wait $pinging 2>/dev/null
check "management is not cut" sites_reach_hub
"$TOOL" "$DIR" pair 1 2 600
again a b 203.0.113.1:$PORT 10.99.0.2/32
check "a pair that is set again works after a handshake" wait_for 15 ping_from a 10.99.0.2
"$TOOL" "$DIR" pair 1 2 1
expired() { on a ping -c1 -W1 10.99.0.2 >/dev/null || [[ $(counter expired) -gt 0 ]]; }
check "a pair expires by itself" wait_for 10 expired
"$TOOL" "$DIR" remove 4
check_not "a removed site is cut" on c6 ping -c2 -i0.2 -W1 10.99.0.4

# --- unloading
check "unloads" on hub "$LOADER" --unload --bpffs "$DIR"
check_not "no filter stays" on hub sh -c '{ tc filter show dev eth0 ingress; tc filter show dev eth0 egress; } | grep .'
check_not "no XDP program stays" on hub sh -c 'ip link show eth0 | grep xdp'
check_not "no pins stay" test -e "$DIR"
check "management goes on without the relay, IPv4" ping_from a 10.99.0.254
check "and IPv6" ping_from d6 10.99.0.254
check_not "but not by its second port" ping_from b 10.99.0.254
finish
