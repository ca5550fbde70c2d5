# SPDX-License-Identifier: GPL-2.0-or-later
# The world of demo and end-to-end tests, on top of lib.sh: three sites, a hub, an internet.
#
#     site-a: web, worker      site-b: db, cache          site-c: monitor
#       192.168.1.2, .3          192.168.1.2, .3            192.0.2.31
#       lana 192.168.1.9         lanb 192.168.1.9            2001:db8::31
#            |                        |                         |
#       nata (masquerade random) natb (masquerade random)       |
#       192.0.2.11               192.0.2.12                     |
#            +------------- internet (bridge) ------------------+
#                           192.0.2.99, 2001:db8::99
#                                  |
#                           hub 192.0.2.1, 2001:db8::1
#
# Both NATed sites have the same LAN addresses, IPv4 and IPv6 (fd00:1::2, ::3; LAN only).

WORKLOADS="site-a/web site-a/worker site-b/db site-b/cache site-c/monitor"
HUB4=192.0.2.1
HUB6=2001:db8::1
HUB_PORT=51820

nat_site() { # NAT OUTSIDE HOST...
	local nat=$1 outside=$2 i=2 h
	shift 2
	host "$nat"
	wire "$nat" eth0 internet "$nat"
	on internet ip link set "$nat" master br0
	addr "$nat" eth0 "$outside/24"
	on "$nat" ip link add br0 type bridge
	on "$nat" ip link set br0 up
	addr "$nat" br0 192.168.1.1/24 fd00:1::1/64
	on "$nat" sysctl -qw net.ipv4.ip_forward=1
	on "$nat" nft -f - <<-'NFT'
		table inet nat {
			chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname "br0" accept; }
			chain post { type nat hook postrouting priority 100; oifname "eth0" masquerade random; }
		}
	NFT
	for h in "$@"; do
		host "$h"
		wire "$h" eth0 "$nat" "$h"
		on "$nat" ip link set "$h" master br0
		if [[ $h == lan* ]]; then addr "$h" eth0 192.168.1.9/24 fd00:1::9/64; else addr "$h" eth0 "192.168.1.$i/24" "fd00:1::$i/64"; fi
		on "$h" ip route add default via 192.168.1.1
		i=$((i + 1))
	done
}

sites_up() {
	mkdir -p "$T/bpf"
	mount -t bpf bpf "$T/bpf"
	host internet
	on internet ip link add br0 type bridge
	on internet ip link set br0 up
	addr internet br0 192.0.2.99/24 2001:db8::99/64
	host hub
	wire hub eth0 internet hub
	on internet ip link set hub master br0
	addr hub eth0 $HUB4/24 $HUB6/64
	nat_site nata 192.0.2.11 web worker lana
	nat_site natb 192.0.2.12 db cache lanb
	host monitor
	wire monitor eth0 internet monitor
	on internet ip link set monitor master br0
	addr monitor eth0 192.0.2.31/24 2001:db8::31/64
}

sortie() { "$B/sortie" --control "$T/control.sock" "$@"; }
at() { # HOST ARGS...: the CLI against a workload's agent
	local h=$1
	shift
	"$B/sortie" --control "$T/control.sock" --socket "$T/$h.sock" "$@"
}

control_init() {
	"$B/sortie-control" init --state "$T/control" --network demo --endpoint "$HUB4:$HUB_PORT" "$@"
}
control_run() {
	on hub "$B/sortie-relay-load" --interface eth0 --bpffs "$T/bpf" --port $HUB_PORT
	on hub "$B/sortie-control" run --state "$T/control" --socket "$T/control.sock" --bpffs "$T/bpf" >"$T/control.log" 2>&1 &
	CONTROL_PID=$!
	wait_for 15 sortie identity list
}

agent_run() { # HOST [ARGS...]
	local h=$1
	shift
	on "$h" "$B/sortied" --state "$T/$h" --socket "$T/$h.sock" --hosts "$T/$h.hosts" "$@" >"$T/$h.log" 2>&1 &
	AGENTS[$h]=$!
	wait_for 10 test -S "$T/$h.sock"
}
declare -A AGENTS=()

enroll() { # NAME LABELS: agent of host NAME's last part
	local h=${1#*/}
	sortie token create --name "$1" --labels "$2" --out "$T/$h.token" >/dev/null &&
		at "$h" enroll --token "file:$T/$h.token"
}

overlay() { # HOST FAMILY: the overlay address of a workload
	at "$1" status --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
print(status["ipv6" if sys.argv[1] == "6" else "ipv4"])' "$2"
}
