#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# README's commands as they stand, with their default paths: the hub's blocks on a host "hub", the workload's on a host
# "web". What a reader types must work.
source "$(dirname "$0")/lib.sh"
export PATH=$B:$PATH
host internet
on internet ip link add br0 type bridge
on internet ip link set br0 up
i=1
for h in hub web dbhost; do
	host $h
	wire $h eth0 internet $h
	on internet ip link set $h master br0
	addr $h eth0 192.0.2.$i/24
	# Its own /var/lib, /run/sortie, bpffs and names; /run itself is shared with the other hosts of this test.
	mkdir -p "$T/$h"
	{ cat /etc/hosts; echo "192.0.2.1 hub.example.com"; } >"$T/$h/hosts"
	on $h bash -c "mount -t tmpfs tmpfs /var/lib && mount -t bpf bpf /sys/fs/bpf && mkdir -p /run/sortie && mount -t tmpfs tmpfs /run/sortie &&
		mount --bind '$T/$h/hosts' /etc/hosts"
	i=$((i + 1))
done

block() { # N: the N-th code block after "## By hand"
	awk -v n="$1" '/^## By hand/ {on = 1} on && /^```/ {inside = !inside; if (inside) count++; next} on && inside && count == n' "$ROOT/README.md"
}
# Daemons go to the background, everything else must succeed before the next line.
run_block() { # HOST N [SED]
	local line
	while IFS= read -r line; do
		[[ -n $line ]] || continue
		line=$(sed "${3:-}" <<<"$line")
		case $line in
		"sortie-control run"* | sortied*)
			nsenter -t "${PIDS[$1]}" -n -m --wd="$T" -- bash -c "exec $line" >"$T/$1.${line%% *}.log" 2>&1 &
			check "$1: ${line%%  *} runs" wait_for 15 answers "$1" "$line"
			;;
		*) check "$1: ${line%%  *}" nsenter -t "${PIDS[$1]}" -n -m --wd="$T" -- bash -c "$line" ;;
		esac
	done < <(block "$2")
}
answers() { # HOST LINE
	case $2 in sortied*) on "$1" test -S /run/sortie/sortied.sock ;; *) on "$1" sortie identity list ;; esac
}

check "README has three blocks under \"By hand\"" test -n "$(block 3)" -a -z "$(block 4)"
run_block hub 1
run_block web 2
# A second workload for the policy's other side, by the same lines.
check "a token for the database" nsenter -t "${PIDS[hub]}" -n -m --wd="$T" -- sortie token create --name site-b/db --labels role=db,env=prod --out db.token
run_block dbhost 2 's/web\.token/db.token/'
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: web reads the database, from: "role=web,env=prod", to: "role=db", allow: [tcp/5432]}
YAML
run_block hub 3
check "the lines of the last paragraph: flows" on dbhost timeout 5 sortie flows --denied
check "leave" on dbhost sortie leave
check_not "nothing of the interface is left" on dbhost ip link show sortie0
check_not "nor of the table" on dbhost nft list table inet sortie
finish
