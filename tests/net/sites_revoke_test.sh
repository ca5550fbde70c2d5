#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# Revocation in the middle of everything: upload, download, UDP stream and ping, started by either side, IPv4 and IPv6,
# with nf_conntrack_tcp_loose 0 and 1; by a revoked host whose agent takes no notice; with a peer whose agent hangs.
# Not one byte arrives at a host that stays after `sortie identity revoke --wait` has returned, and not one packet at the
# wire of the revoked one. (What had reached its socket before, a busy user-space WireGuard there may decrypt later.)
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
streams=$ROOT/tests/tools/streams.py
PORT=7000

sites_up
control_init >/dev/null
control_run || exit 1
declare -A V4=() V6=()
for name in $WORKLOADS; do
	h=${name#*/}
	agent_run "$h" || fail "agent of $h runs"
	enroll "$name" env=prod >/dev/null || fail "$name enrolls"
	V4[$h]=$(overlay "$h" 4) V6[$h]=$(overlay "$h" 6)
	on "$h" "$streams" serve "$T/$h.served" $PORT >/dev/null 2>&1 &
done
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: everybody, from: env=prod, to: env=prod, allow: [tcp/7000, udp/7000, icmp]}
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"

declare -a RUNS=()
ask_streams() { # ROUND ASKER ANSWERER: in the background; RUNS gets the process
	nsenter -t "${PIDS[$2]}" -n -m -- "$streams" run "$T/$2.$1.asked" $PORT "$2>$3=${V4[$3]}" "$2>$3=${V6[$3]}" >/dev/null 2>&1 &
	RUNS+=($!)
}
all_run() { # ROUND A B: in both directions
	"$streams" running "$2>$3" "$3>$2" : "$T/$2.$1.asked" "$T/$3.$1.asked" "$T/$2.served" "$T/$3.served"
}
loose() { # HOST: what connection tracking makes of a flow that it did not see begin
	on "$1" cat /proc/sys/net/netfilter/nf_conntrack_tcp_loose
}
set_loose() {
	on "$1" sysctl -qw net.netfilter.nf_conntrack_tcp_loose="$2"
}
revoke() { # OUT ARGS...: when it began and ended goes to a file, by the clock that the streams use
	"$streams" timed "$T/times" "$B/sortie" --control "$T/control.sock" identity revoke --wait "${@:2}" >"$1" 2>&1
}
settled() { # ROUND REVOKED OTHER [MS]: nothing arrives after the command ended, or MS after it began
	local files=("$T/$2.$1.asked" "$T/$3.$1.asked" "$T/$2.served" "$T/$3.served") before after
	read -r before after <"$T/times"
	[[ -z ${4:-} ]] || after=$((before + $4 * 1000000))
	sleep 2 # what must not come has this long to come
	"$streams" report "$before" "$after" "$2" "$2>$3" "$3>$2" : "${files[@]}" >"$T/report"
	sed -E "s/^(ok|not ok) /\1 $1: /" "$T/report"
	FAILED=$((FAILED + $(grep -c '^not ok' "$T/report")))
	kill "$CAPTURE"
	wait "$CAPTURE" 2>/dev/null
	check "$1: the wire of $2 carried the streams, and nothing from the hub after that" on_wire "$1" "$after"
}
on_wire() { # ROUND AFTER: by the capture's stamps, of the same clock
	tcpdump -tt --nano -nr "$T/$1.pcap" 2>/dev/null | awk -v after="$2" '
		{split($1, t, "."); if (t[1] t[2] > after "") {late++; printf "%.1f ms late: %s\n", (t[1] t[2] - after) / 1e6, $0} else early++}
		END {printf "%d before, %d after\n", early, late; exit !(early > 100 && !late)}'
}
took_less() { # MS
	local before after
	read -r before after <"$T/times"
	((after - before < $1 * 1000000)) || { echo "$(((after - before) / 1000000)) ms"; return 1; }
}
# The one-time peers that the hub could still send to: those through which hosts enrolled.
reachable_onetime() { on hub wg show sortie0 dump | awk '$4 ~ /:ffff:/ && $3 != "(none)"' | wc -l; }
begin_round() { # ROUND REVOKED OTHER
	ask_streams "$1" "$2" "$3"
	ask_streams "$1" "$3" "$2"
	# From the hub's port, all but cookies (64 bytes), which any initiation gets.
	nsenter -t "${PIDS[$2]}" -n tcpdump -i eth0 -n -U -s 96 --nano -w "$T/$1.pcap" "udp src port $HUB_PORT and greater 120" >/dev/null 2>&1 &
	CAPTURE=$!
	check "$1: 16 streams between $2 and $3 run" wait_for 20 all_run "$1" "$2" "$3"
}
end_round() {
	kill "${RUNS[@]}" 2>/dev/null
	wait "${RUNS[@]}" 2>/dev/null
	RUNS=()
}

ask_streams control monitor db
STAYING=${RUNS[0]}
RUNS=()

check "enforce set nf_conntrack_tcp_loose to 0" test "$(loose web)$(loose db)" = 00
begin_round loose-0 web db
onetime=$(reachable_onetime)
check "loose-0: revoked" revoke "$T/revoke.out" site-a/web
check "loose-0: nor does the hub send to the one-time peer that it enrolled with" test "$(reachable_onetime)" -eq $((onetime - 1))
check "loose-0: every agent has acknowledged" grep -q "^4 of 4 agents" "$T/revoke.out"
settled loose-0 web db
end_round

set_loose worker 1
set_loose db 1
begin_round loose-1 worker db
set_loose worker 1 # an agent that looked in between has put it back
set_loose db 1
check "loose-1: revoked" revoke "$T/revoke.out" site-a/worker
settled loose-1 worker db
end_round

# The revoked host's own agent hears nothing: its kernel keeps peers, rules and leases.
begin_round hostile cache monitor
kill -STOP "${AGENTS[cache]}"
check "hostile: revoked while its agent stands still" revoke "$T/revoke.out" site-b/cache
check "hostile: the others have acknowledged" grep -q "^2 of 2 agents" "$T/revoke.out"
settled hostile cache monitor
check "hostile: the host itself was told nothing" on cache nft list set inet sortie live4
check_not "hostile: it reaches nobody" reaches cache "${V4[db]}" icmp
end_round
kill -CONT "${AGENTS[cache]}"

check "streams of others never stopped" "$streams" running "monitor>db" : "$T/monitor.control.asked" "$T/db.served"
kill "$STAYING"
wait "$STAYING" 2>/dev/null

# A peer's agent hangs: the hub cuts at once, the answer is bounded and names who is missing.
begin_round hanging monitor db
kill -STOP "${AGENTS[db]}"
check_not "hanging: --wait says by its exit code that somebody is missing" revoke "$T/revoke.out" --timeout 2s site-c/monitor
check "hanging: and names him" grep -q "^outstanding: site-b/db (connected, has not acknowledged)" "$T/revoke.out"
check "hanging: in about the time that was given" took_less $((2000 + 1500 * TEST_SCALE))
settled hanging monitor db $((1000 * TEST_SCALE)) # the hub's own cut does not wait for him
kill -CONT "${AGENTS[db]}"
cut_off() { at db status --json | python3 -c 'import json,sys; sys.exit(bool(json.load(sys.stdin)["peers"]))'; }
check "hanging: the agent that goes on cuts off too" wait_for 20 cut_off
end_round

sites_end
finish
