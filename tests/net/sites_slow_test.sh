#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A long way to the hub: an answer takes 1.5 s, longer than an echo or a handshake is waited for at first (full queues of
# mobile networks, satellites behind them). web has IPv4 only, db IPv6 only.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

FAR4=192.0.2.77 FAR6=2001:db8::77
internet_up
direct_site far $FAR4/24 $FAR6/64
direct_site web 192.0.2.11/24
direct_site db 2001:db8::22/64
ways=()
for way in "$FAR4 $HUB_PORT $HUB4" "$FAR6 $HUB_PORT $HUB6"; do
	# shellcheck disable=SC2086 # words
	nsenter -t "${PIDS[far]}" -n -- "$ROOT/tests/tools/delay.py" 750,50 $way $HUB_PORT &
	ways+=($!)
done
ENDPOINT=$FAR4:$HUB_PORT control_init --endpoint "[$FAR6]:$HUB_PORT" >/dev/null
control_run 2>/dev/null || exit 1
for h in web db; do agent_run "$h" || exit 1; done
check "web enrolled" enroll site-a/web role=web
check "db enrolled" enroll site-b/db role=db
cat >"$T/policy.yaml" <<-'YAML'
	version: 1
	rules: [{name: web asks the database, from: role=web, to: role=db, allow: [icmp]}]
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
for h in web db; do check "$h: the hub answers" wait_for 60 status_is $h 's["hub_answers"] and s["control_answers"]'; done
overlay_addresses web db
restarts() { grep -c 'starting its session anew' "$T/$1.log"; }
unmoved() { # WHEN
	local h
	for h in web db; do
		check "$1: $h: the hub answers" status_is $h 's["hub_answers"]'
		check "$1: $h: no session was begun anew" test "$(restarts $h)" = "${before[$h]}"
	done
}
declare -A before
for h in web db; do before[$h]=$(restarts $h); done
far_ping() { on "$1" ping -q -n -c 3 -W 6 "$2"; }
for h in 4 6; do
	declare -n address=V$h
	check "web reaches the database over IPv$h" wait_for 30 far_ping web "${address[db]}"
	check_not "the database does not reach web over IPv$h" on db ping -q -n -c 1 -W 5 "${address[web]}"
done
unmoved "long way"

# ---- the way becomes short, and long again: by then an answer is due within a second
quick() { status_is "$1" 's["hub_round_trip_us"] < 500000'; }
long() { status_is "$1" 's["hub_round_trip_us"] > 1000000'; }
kill -USR1 "${ways[@]}"
for h in web db; do check "short way: $h sees it" wait_for 20 quick $h; done
sleep 3
kill -USR1 "${ways[@]}"
for h in web db; do check "long again: $h sees it" wait_for 20 long $h; done
sleep 5
unmoved "long again"
sites_end
finish
