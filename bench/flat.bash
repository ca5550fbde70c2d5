# SPDX-License-Identifier: GPL-2.0-or-later
# A flat bed for benchmarks, on top of tests/net/lib.sh and sites.sh: hub and workloads on one bridge, no NAT; the control
# plane's and the agents' state on a real disk (BENCH_DISK), because they sync it before they act.
#
#   flat_up HOST...        bridge, hub and these hosts
#   flat_control           the relay at tc and the control plane on the hub
#   flat_json              {"hosts": {NAME: PID}, ...}: what bench/bed.py needs to know
#   $STATE                 the folder on the disk, removed at the end
STATE=$(mktemp -d "${BENCH_DISK:-/var/tmp}/bench.XXXXXX")
flat_exit() {
	local rc=$? p
	# Agents that still write would put files back. In this PID namespace, whose first process we are, all are ours.
	disown -a # the shell need not report them
	for p in /proc/[1-9]*; do
		[[ $$ -ne 1 || ${p#/proc/} -eq 1 ]] || kill -KILL "${p#/proc/}" 2>/dev/null
	done
	rm -rf "$STATE" || { sleep 0.5; rm -rf "$STATE"; }
	(exit "$rc")
	on_exit
}
trap flat_exit EXIT

flat_up() {
	local h i=0
	mkdir -p "$T/bpf"
	mount -t bpf bpf "$T/bpf"
	host internet
	on internet ip link add br0 type bridge
	on internet ip link set br0 up
	for h in hub "$@"; do
		i=$((i + 1))
		host "$h"
		wire "$h" eth0 internet "$h"
		on internet ip link set "$h" master br0
		addr "$h" eth0 "192.0.2.$i/24" "2001:db8::$i/64"
	done
}

flat_control() {
	"$B/sortie-control" init --state "$STATE/control" --network bench --endpoint "$HUB4:$HUB_PORT" >/dev/null
	on hub "$B/sortie-relay-load" --interface eth0 --bpffs "$T/bpf" --port "$HUB_PORT" 2>/dev/null
	on hub "$B/sortie-control" run --state "$STATE/control" --socket "$T/control.sock" --bpffs "$T/bpf" >"$T/control.log" 2>&1 &
	wait_for 15 sortie identity list
}

flat_json() {
	local h comma=
	printf '{"build": "%s", "run": "%s", "state": "%s", "hosts": {' "$B" "$T" "$STATE"
	for h in "${!PIDS[@]}"; do
		printf '%s"%s": %d' "$comma" "$h" "${PIDS[$h]}"
		comma=', '
	done
	printf '}}\n'
}
