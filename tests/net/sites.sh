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

internet_up() { # the bridge between all, and the hub
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
}

direct_site() { # HOST ADDRESS...: a host on the internet's own wire
	local h=$1
	shift
	host "$h"
	wire "$h" eth0 internet "$h"
	on internet ip link set "$h" master br0
	addr "$h" eth0 "$@"
}

sites_up() {
	internet_up
	nat_site nata 192.0.2.11 web worker lana
	nat_site natb 192.0.2.12 db cache lanb
	direct_site monitor 192.0.2.31/24 2001:db8::31/64
}

sortie() { "$B/sortie" --control "$T/control.sock" "$@"; }
at() { # HOST ARGS...: the CLI against a workload's agent
	local h=$1
	shift
	"$B/sortie" --control "$T/control.sock" --socket "$T/$h.sock" "$@"
}

# ENDPOINT=HOST:PORT and CONTROL_STATE=DIR where they are not the usual ones
control_init() { # [ARGS...]
	"$B/sortie-control" init --state "${CONTROL_STATE:-$T/control}" --network demo --endpoint "${ENDPOINT:-$HUB4:$HUB_PORT}" "$@"
}
control_start() { # [ARGS...]: started so that CONTROL_PID is the program itself, also to signals
	nsenter -t "${PIDS[hub]}" -n -m -- "$B/sortie-control" run --state "${CONTROL_STATE:-$T/control}" --socket "$T/control.sock" --bpffs "$T/bpf" "$@" >>"$T/control.log" 2>&1 &
	CONTROL_PID=$!
	wait_for 15 sortie identity list
}
control_run() {
	on hub "$B/sortie-relay-load" --interface eth0 --bpffs "$T/bpf" --port $HUB_PORT && control_start "$@"
}

declare -A AGENTS=() # process ids of sortied itself, by host
agent_start() { # HOST [ARGS...]: does not wait
	local h=$1
	shift
	nsenter -t "${PIDS[$h]}" -n -m -- "$B/sortied" --state "$T/$h" --socket "$T/$h.sock" --hosts "$T/$h.hosts" "$@" >>"$T/$h.log" 2>&1 &
	AGENTS[$h]=$!
}
agent_run() { # HOST [ARGS...]
	agent_start "$@"
	wait_for 15 at "$1" status
}

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

reaches() { # HOST ADDRESS PORT: 0 where a `probe.py serve` answers there
	echo "[{\"id\":\"x\",\"to\":\"$2\",\"port\":\"$3\"}]" | on "$1" "$ROOT/tests/tools/probe.py" ask -t "$((2 * TEST_SCALE))" | grep -q '"open'
}

ends_well() { # WHO PID: a TAP line: told to end, it ends with 0
	local rc
	kill -CONT "$2"
	kill -TERM "$2"
	wait "$2"
	rc=$?
	if [[ $rc -eq 0 ]]; then pass "$1 ends well when told to"; else fail "$1 ends well when told to" "exit $rc"; fi
}
no_complaints() { # of the sanitizers, where the programs are built with them
	! grep -E "ERROR: AddressSanitizer|LeakSanitizer|runtime error" "$T"/*.log
}
sites_end() { # the last checks of an end-to-end test
	local h
	for h in "${!AGENTS[@]}"; do
		ends_well "sortied of $h" "${AGENTS[$h]}"
	done
	[[ -z ${CONTROL_PID:-} ]] || ends_well sortie-control "$CONTROL_PID"
	check "no complaint of a sanitizer in any log" no_complaints
}

one_line() { # FILE RC WANTED_RC PATTERN: a refusal: the exit code, one line, what it says
	[[ $2 -eq $3 ]] || { echo "exit $2, not $3"; cat "$1"; return 1; }
	[[ $(wc -l <"$1") -eq 1 ]] || { echo "not one line:"; cat "$1"; return 1; }
	grep -qE -e "$4" "$1" || { echo "says something else than \"$4\":"; cat "$1"; return 1; }
}
refused() { # NAME WANTED_RC PATTERN COMMAND...: a TAP line
	local name=$1 code=$2 pattern=$3 rc
	shift 3
	"$@" >"$T/refused.out" 2>&1
	rc=$?
	check "$name" one_line "$T/refused.out" "$rc" "$code" "$pattern"
}
remains() { # HOST: what of an agent is on its host, but for the process
	local h=$1
	on "$h" ip -o link show | awk -F': ' '$2 !~ /^(lo|eth0)/ {print "interface " $2}'
	on "$h" nft list tables
	on "$h" ip -6 route show proto 140
	on "$h" ls /run/wireguard | sed 's/^/socket /'
	find "$T/$h" -type f ! -name lock | sed 's/^/state /'
	[[ ! -s $T/$h.hosts ]] || echo "hosts file"
}
nothing_left() { # HOST
	local what
	what=$(remains "$1")
	[[ -z $what ]] || { echo "$what"; return 1; }
}
