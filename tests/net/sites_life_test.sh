#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a network lives through: killed and restarted agents and control planes under traffic, a hub whose interface is
# made anew, a host that leaves; and what it says of itself meanwhile.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
export SORTIE_TEST_PLAIN_TABLE=1 # others change the table here: see lock_owner_test.sh for one that they cannot
probe=$ROOT/tests/tools/probe.py

internet_up
nat_site nata 192.0.2.11 web
nat_site natb 192.0.2.12 db cache
direct_site monitor 192.0.2.31/24 2001:db8::31/64
control_init >/dev/null
control_run || exit 1
for h in web db cache; do agent_run "$h" || exit 1; done

refused "status --check live: no agent: exit 1" 1 "no agent|does not answer|answers at" "$B/sortie" --socket "$T/none.sock" status --check live
check "status --check live: an agent that is not enrolled is alive" at web status --check live
ready_code() { at "$1" status --check ready; [[ $? -eq $2 ]]; }
check "status --check ready: it is not ready: exit 4" ready_code web 4
check "web enrolled" enroll site-a/web role=web
check "db enrolled" enroll site-b/db role=db
check "cache enrolled" enroll site-b/cache role=cache
check "status --check ready: an enrolled agent becomes ready" wait_for 15 at web status --check ready
for h in db cache; do on "$h" "$probe" serve "$h" tcp/5432 tcp/22 tcp/80 >/dev/null 2>&1 & done
declare -A V4=() V6=()
for h in web db cache; do V4[$h]=$(overlay "$h" 4) V6[$h]=$(overlay "$h" 6); done
policy() { # PORT...: of the database, for web
	cat >"$T/policy.yaml" <<-YAML
		version: 1
		rules:
		  - {name: web reads the database, from: role=web, to: role=db, allow: [$1]}
		  - {name: and the cache, from: role=web, to: role=cache, allow: [icmp]}
	YAML
	sortie policy apply "$T/policy.yaml"
}
check "policy applied" policy "tcp/5432, icmp"
works() { reaches web "${V4[db]}" tcp/5432 && reaches web "${V6[db]}" tcp/5432; }
check "web reads the database" wait_for 20 works

# ---- names
names() { # HOST WANTED_LINES
	diff <(grep -v '^#' "$T/$1.hosts" | awk '{print $1, $2}' | sort) <(printf '%s\n' "${@:2}" | sort)
}
check "the names of the host and its peers, and of nobody else, are in the hosts file" names db \
	"${V6[db]} db.site-b.demo.internal" "${V4[db]} db.site-b.demo.internal" "${V6[web]} web.site-a.demo.internal" "${V4[web]} web.site-a.demo.internal"

# ---- traffic that nothing may interrupt
declare -A PINGS=()
pings_begin() {
	local family
	for family in 4 6; do
		local -n table=V$family
		nsenter -t "${PIDS[web]}" -n ping "-$family" -i 0.02 -w 300 "${table[db]}" >"$T/ping.$family" 2>&1 &
		PINGS[$family]=$!
	done
	wait_for 10 grep -q "icmp_seq=20 " "$T/ping.4" && wait_for 10 grep -q "icmp_seq=20 " "$T/ping.6"
}
all_arrived() { # FAMILY: of what was sent before the last answer nothing is missing; after it, ping did not wait for more
	local sent
	sent=$(sed -n 's/^\([0-9]*\) packets transmitted.*/\1/p' "$T/ping.$1")
	sed -n 's/.*bytes from.*icmp_seq=\([0-9]*\) .*/\1/p' "$T/ping.$1" | sort -nu | awk -v sent="$sent" '
		$1 > last + 1 {missing = missing " " last + 1 "-" $1 - 1}
		{last = $1}
		END {printf "%d sent, the last answer is to %d, missing:%s\n", sent, last, missing; exit !(sent > 50 && !missing && sent - last <= 25)}'
}
pings_end() { # NAME
	local family
	for family in 4 6; do
		wait_for 10 grep -q "icmp_seq=60 " "$T/ping.$family" # what happened may have been quick
		kill -INT "${PINGS[$family]}"
		wait "${PINGS[$family]}"
		check "$1: IPv$family: no packet was lost" all_arrived "$family"
	done
}
handles() { on "$1" nft -a list table inet sortie | grep -oE '(table|chain|set) .*# handle [0-9]+'; }
fresh() { # HOST: its control plane has answered since
	at "$1" status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); sys.exit(not (s["control_answers"] and s["hub_answers"]))'
}

pings_begin || fail "pings run"
was=$(handles db)
interface=$(on db ip -o link show sortie0 | cut -d: -f1)
kill -9 "${AGENTS[db]}"
wait "${AGENTS[db]}" 2>/dev/null
no_child() { ! on db grep -lsz "^sortie-net" /proc/[0-9]*/cmdline | while read -r f; do [[ $(readlink "${f%cmdline}ns/net") == $(on db readlink /proc/self/ns/net) ]] && echo x; done | grep -q x; }
check "killed agent: sortie-net ends with it" wait_for 5 no_child
sleep 1 # for some time there is no agent at all
check "killed agent: what it allowed still works" works
check_not "killed agent: what it denied is still denied" reaches web "${V4[db]}" tcp/22
agent_run db || fail "killed agent: starts again"
check "killed agent: it asks the control plane again" wait_for 15 fresh db
pings_end "killed agent"
check "killed agent: table, chains and sets were adopted, not made anew" test "$(handles db)" = "$was"
check "killed agent: the interface too" test "$(on db ip -o link show sortie0 | cut -d: -f1)" = "$interface"
check "killed agent: nothing was repaired" test "$(at db status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["counters"]["repaired"])')" = 0

# ---- the control plane
pings_begin || fail "pings run"
kill -9 "$CONTROL_PID"
wait "$CONTROL_PID" 2>/dev/null
refused "no control plane: the CLI says so: exit 5" 5 "no control plane answers" sortie identity list
check "no control plane: what is allowed works" works
control_start || fail "the control plane starts again"
started=$SECONDS
check "restarted control plane: a new policy" policy "tcp/5432, tcp/80, icmp"
check "restarted control plane: agents take it" wait_for 20 reaches web "${V6[db]}" tcp/80
echo "# in force $((SECONDS - started)) s after the control plane's start"
pings_end "restarted control plane"

# ---- the hub's interface
boot_id() { sortie status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["boot_id"])'; }
boot=$(boot_id)
pings_begin || fail "pings run"
before=$(date +%s%N)
on hub ip link del sortie0
hub_back() { on hub ip link show sortie0 && [[ $(boot_id) != "$boot" ]]; }
check "the hub's interface is made anew, with a new boot id" wait_for 15 hub_back
policy "tcp/5432, tcp/22, icmp" >/dev/null
check "a policy of after that is in force" wait_for 15 reaches web "${V6[db]}" tcp/22
took=$((($(date +%s%N) - before) / 1000000))
check "the new hub: sites talk again, and with it, after $took ms, at most $((15 * TEST_SCALE)) s" test $took -le $((15000 * TEST_SCALE))
check "the new hub: IPv4 too" wait_for 5 works
check "the new hub: every agent hears it" wait_for 15 fresh cache
heard() { grep -q "the hub was started anew" "$T/web.log" && grep -q "the hub was started anew" "$T/db.log"; }
check "the new hub: both sides begin new sessions" wait_for 5 heard
sleep 3 # theirs come within 2 s, not in the same moment
kill -INT "${PINGS[@]}"
wait "${PINGS[@]}" 2>/dev/null
silence() { # FAMILY: the longest time without an answer, of 50 pings a second
	sed -n 's/.*icmp_seq=\([0-9]*\) .*/\1/p' "$T/ping.$1" | awk 'NR > 1 && $1 - last > most {most = $1 - last} {last = $1} END {print most * 20}'
}
for family in 4 6; do
	longest=$(silence $family)
	check "the new hub: IPv$family: sites did not hear each other for $longest ms, at most 5 s" test "$longest" -le $((5000 * TEST_SCALE))
done
check "the new hub: everything works at once" works

# ---- flows
at web flows --denied --follow >"$T/flows.out" 2>&1 &
FOLLOW=$!
check_not "web may not ask the database's port 80 any more" reaches web "${V4[db]}" tcp/80
check "flows --denied --follow shows it as it happens, with the identity" wait_for 5 grep -qE "denied +out +overlay +site-b/db .*tcp/80" "$T/flows.out"
kill "$FOLLOW"
# A workload that obeys no agent: its packets come, and are recorded where they are dropped.
kill -STOP "${AGENTS[web]}"
on web nft delete table inet sortie
check_not "a workload without rules of its own gets nowhere either" reaches web "${V6[db]}" tcp/80
check "the database's flows name who tried" wait_for 5 eval 'at db flows --denied | grep -qE "denied +in +overlay +site-a/web .*tcp/80"'
# It wakes up to a new policy, too: what that changes in a table that is gone is no change, but a repair.
check "meanwhile policy changes" policy "tcp/5432, tcp/22, tcp/81, icmp"
kill -CONT "${AGENTS[web]}"
repaired() { at web status --json | python3 -c 'import json,sys; sys.exit(not json.load(sys.stdin)["counters"]["repaired"])' && on web nft list table inet sortie; }
check "the agent puts the table back and says that it had to" wait_for 20 repaired
check "and what is allowed works" wait_for 10 works

# ---- enforce pending
on monitor "$probe" serve monitor tcp/2222 >/dev/null 2>&1 &
wait_for 10 eval '[[ $(on monitor ss -Hltn "sport = 2222") ]]'
nsenter -t "${PIDS[internet]}" -n "$probe" stream recv 192.0.2.31 2222 $((60 * ${TEST_SCALE%.*})) "$T/inbound" >/dev/null 2>&1 &
INBOUND=$!
check "an inbound connection runs before there is an agent" wait_for 10 test -s "$T/inbound"
agent_run monitor || exit 1
check "monitor enrolled" enroll site-c/monitor role=monitor
pending() { at monitor status | grep -q "^  pending tcp 192.0.2.99:[0-9]* -> 192.0.2.31:2222"; }
check "enforce is pending, and names the connection" wait_for 10 pending
check "the first line says so" eval 'at monitor status | head -n 1 | grep -q "enforce (pending)"'
at monitor status --json >"$T/inbound.was"
count=$(cut -d" " -f2 "$T/inbound")
moves() { [[ $(cut -d" " -f2 "$T/inbound") -gt $count ]]; }
check "the connection goes on" wait_for 5 moves
check "others may still come in" reaches internet 192.0.2.31 tcp/2222
kill "$INBOUND"
wait "$INBOUND" 2>/dev/null
on monitor conntrack -D -p tcp --dport 2222 >/dev/null 2>&1 # its TIME_WAIT need not be waited for
locked() { at monitor status --json | python3 -c 'import json,sys; sys.exit(json.load(sys.stdin)["enforce_pending"])'; }
check "the lock is taken once it has ended" wait_for 60 locked
check_not "from then on nobody comes in" reaches internet 192.0.2.31 tcp/2222

# ---- leaving
check "cache leaves" at cache leave
check "nothing is left on it" nothing_left cache
check "it is not enrolled" ready_code cache 4
check "others go on" works
sites_end
finish
