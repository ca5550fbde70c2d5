#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The underlay lock and those whom it would cut: pending and its reasons, a lock that is undone unless somebody who logged
# in after it confirms it, over a killed agent too; what never comes back is what policy took away meanwhile.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
probe=$ROOT/tests/tools/probe.py

internet_up
direct_site web 192.0.2.21/24 2001:db8::21/64
direct_site db 192.0.2.22/24 2001:db8::22/64
control_init >/dev/null
control_run || exit 1
on db "$probe" serve db tcp/22 tcp/5432 >/dev/null 2>&1 &
wait_for 10 eval '[[ $(on db ss -Hltn "sport = 22") ]]'

# A login as PAM makes one: the kernel numbers its processes. The first stays, so that there is an older one.
login() { # HOST COMMAND...
	local h=$1
	shift
	# shellcheck disable=SC2016 # expanded inside
	nsenter -t "${PIDS[$h]}" -n -m -- bash -c 'echo 0 >/proc/self/loginuid && exec "$@"' - "$@"
}
if ! login db true 2>/dev/null; then
	skip "confirming" "this kernel has no audit sessions"
	finish
fi
cli() { echo "$B/sortie" --socket "$T/$1.sock"; }
mkfifo "$T/old"
login db bash -c 'while read -r line; do eval "$line" >"'"$T"'/old.out" 2>&1; echo $? >"'"$T"'/old.rc"; done' <"$T/old" &
exec 7>"$T/old"
in_old_login() { # COMMAND: its exit code
	rm -f "$T/old.rc"
	echo "$1" >&7
	wait_for 30 test -s "$T/old.rc"
	return "$(cat "$T/old.rc")"
}

# Two connections from outside run before there is an agent, one over IPv4 and one over IPv6.
connection() { # FAMILY
	local to=192.0.2.22
	[[ $1 == 4 ]] || to=2001:db8::22
	rm -f "$T/inbound$1"
	nsenter -t "${PIDS[internet]}" -n "$probe" stream recv $to 22 $((120 * ${TEST_SCALE%.*})) "$T/inbound$1" >/dev/null 2>&1 &
	INBOUND[$1]=$!
	wait_for 10 test -s "$T/inbound$1"
}
declare -A INBOUND=()
connection 4 && connection 6 || fail "inbound connections"
bytes() { cut -d" " -f2 "$T/inbound$1"; }
moves() { local was; was=$(bytes "$1"); wait_for 4 eval "((\$(bytes $1) > $was))"; }
stands() { local was; was=$(bytes "$1"); sleep 0.7; [[ $(bytes "$1") -eq $was ]]; }

for h in web db; do agent_run $h || exit 1; done
check "web enrolled" enroll site-a/web role=web
check "db enrolled" enroll site-b/db role=db
policy() { # PORTS
	printf '%s\n' "version: 1" "rules:" "  - {name: r, from: role=web, to: role=db, allow: [$1]}" >"$T/policy.yaml"
	sortie policy apply "$T/policy.yaml" >/dev/null
}
check "policy applied" policy "tcp/5432, tcp/22"
field() { at db status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["'"$1"'"])'; }
pending() { [[ $(field enforce_pending) == True ]]; }
locked() { [[ $(field enforce_pending) == False ]]; }
knocks() { reaches internet 192.0.2.22 tcp/22 && reaches internet 2001:db8::22 tcp/22; }
shut() { ! reaches internet 192.0.2.22 tcp/22 && ! reaches internet 2001:db8::22 tcp/22; }
warns() { at db status | grep -q "warning: .*$1"; }

check "pending: both connections are named, IPv4" wait_for 10 eval 'at db status | grep -q "^  pending tcp 192.0.2.99:[0-9]* -> 192.0.2.22:22"'
check "pending: both connections are named, IPv6" eval 'at db status | grep -q "^  pending tcp \[2001:db8::99\]:[0-9]* -> \[2001:db8::22\]:22"'
refused "pending: the host is not ready: exit 1" 1 "not ready: enforce is pending" at db status --check ready
check "pending: mode enforce alone changes nothing" eval 'at db mode enforce | grep -q pending'
check "pending: the connections go on" eval 'moves 4 && moves 6'
refused "confirm: nothing waits: exit 1" 1 "nothing waits" at db confirm
refused "mode overlay: policy says more: exit 3" 3 "only tighten" at db mode overlay
refused "mode observe: exit 2" 2 "neither" at db mode observe
refused "mode enforce --confirm 2h: exit 2" 2 "5s to 1h" at db mode enforce --confirm 2h
refused "mode enforce --confirm 2s: exit 2" 2 "5s to 1h" at db mode enforce --confirm 2s

wait_time=$((10 * ${TEST_SCALE%.*}))
lock() { in_old_login "$(cli db) mode enforce --confirm ${1:-$wait_time}s"; } # [SECONDS]
check "lock: asked for with a confirmation" lock 300
check "lock: it says what to do" grep -q "run .sortie confirm." "$T/old.out"
check "lock: both connections are cut" wait_for 5 eval 'stands 4 && stands 6'
check "lock: nobody comes in" shut
loose() { [[ $(on db cat /proc/sys/net/netfilter/nf_conntrack_tcp_loose) == "$1" ]]; }
check "lock: conntrack picks up nothing" loose 0
check "lock: it is none for the next boot" grep -qx "locked 0" "$T/db/guard.txt"
check "lock: status says that it waits" warns "undone in [0-9]* s unless"
in_old_login "$(cli db) confirm"
check "lock: the login that locked cannot confirm: exit 1" one_line "$T/old.out" "$(cat "$T/old.rc")" 1 "older than the lock"
in_old_login "setsid -w script -qec '$(cli db) confirm' /dev/null"
check "lock: nor by a new terminal and session of processes" grep -q "older than the lock" "$T/old.out"
refused "lock: nor may a service: exit 1" 1 "older than the lock, or none" at db confirm
check "lock: a rule is taken away meanwhile" policy tcp/5432
check "lock: asked for once more, its time begins anew" lock 5
check "undone: the connections come back" wait_for 30 eval 'moves 4 && moves 6'
check "undone: others come in" wait_for 5 knocks
check "undone: conntrack may pick up again" loose 1
check "undone: status says why" warns "nobody confirmed it"
overlay_db=$(overlay db 6)
check "undone: what policy allows works" wait_for 15 reaches web "$overlay_db" tcp/5432
check_not "undone: what policy took away meanwhile stays away" reaches web "$overlay_db" tcp/22
kill "${INBOUND[@]}"
wait "${INBOUND[@]}" 2>/dev/null
on db conntrack -D -p tcp --dport 22 >/dev/null 2>&1
on db ip link set sortie0 txqueuelen 321 # an event: it looks again, at once and not in ten seconds
check "undone: it is not locked again unasked, though nothing would be cut" eval 'sleep 1.5; pending && knocks'
check "undone: and status names nothing that would be" eval '! at db status | grep -q "^  pending"'

connection 4
check "killed: locked with a confirmation" lock
kill -9 "${AGENTS[db]}"
wait "${AGENTS[db]}" 2>/dev/null
agent_run db || fail "the agent starts again"
check "killed: the new agent goes on waiting" warns "undone in"
check "killed: the lock stands" stands 4
check "killed: it is undone at its time" wait_for 30 eval 'pending && moves 4'

check "confirm: locked" lock
check "confirm: by a login that began after it" login db $(cli db) confirm
refused "confirm: only once: exit 1" 1 "nothing waits" login db $(cli db) confirm
sleep "$wait_time"
check "confirm: locked beyond the time" eval 'locked && stands 4 && shut'
kill -9 "${AGENTS[db]}"
wait "${AGENTS[db]}" 2>/dev/null
agent_run db || fail "the agent starts again"
check "confirm: and for the next boot" grep -qx "locked 1" "$T/db/guard.txt"
check "confirm: and over a restart" eval 'locked && shut'
check "a lock that stands needs no confirmation" eval '[[ $(at db mode enforce --confirm 60s | tail -n 1) == "mode enforce" ]]'
kill "${INBOUND[@]}" 2>/dev/null
check "leaves" eval 'loose 0 && at db leave'
check "left: conntrack is as it was" loose 1
exec 7>&-
sites_end
finish
