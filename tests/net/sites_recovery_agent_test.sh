#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# What happens to one host: its agent is killed, its WireGuard is killed or deleted, its rules are flushed. How long it was
# cut off or open, IPv4 and IPv6, and that nothing goes the wrong way meanwhile.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
export SORTIE_TEST_PLAIN_TABLE=1 # others change the table here: see lock_owner_test.sh for one that they cannot
source "$ROOT/tests/net/recovery.sh"
trickle=$ROOT/tests/tools/trickle.py
DENIED=9999

two_sites
check "web reaches the database" wait_for 20 reaches web "${V6[db]}" icmp
watch_all() {
	watch site4 web "${V4[db]}"
	watch site6 web "${V6[db]}"
	watch hub6 "$1" "$HUB_OVER6"
}
wireguard_of() { # HOST: its userspace WireGuard's process
	local p ns
	ns=$(readlink "/proc/${PIDS[$1]}/ns/net")
	for p in $(pgrep -x wireguard-go); do
		[[ $(readlink "/proc/$p/ns/net") != "$ns" ]] || echo "$p"
	done
}

# wireguard-go's own queues lose every fourth packet of a fast stream.
holds_a_burst() { # HOST: both sockets' buffers, and the queue in front of the TUN device
	on "$1" ss -ulnm
	[[ $(on "$1" ss -ulnm | grep -c 'rb8388608') == 2 && $(on "$1" ip -o link show sortie0) == *"qlen 4000"* ]]
}

# ---- what must not come, and what must not be seen in the clear, all the time
on db "$trickle" recv $DENIED "$T/arrived" &
for h in web db; do
	on "$h" tcpdump -i eth0 -n -U -w "$T/clear.$h" "host ${V4[web]} or host ${V4[db]} or host ${V6[web]} or host ${V6[db]}" 2>"$T/tcpdump.$h" &
	check "the wire of $h is watched" wait_for 10 grep -q "listening on" "$T/tcpdump.$h"
done
# A workload whose own rules hold nothing back: its agent stands still and its table is gone.
let_loose() {
	kill -STOP "${AGENTS[web]}"
	on web nft delete table inet sortie
	on web "$trickle" send $DENIED "${V4[db]}" "${V6[db]}" &
	LOOSE=$!
}
arrivals() { # "N MS": what came of it, and from the first to the last
	awk 'NR == 1 {first = $1} {last = $1} END {printf "%d %d\n", NR, (last - first) / 1000000}' "$T/arrived"
}
nothing_arrived() { [[ ! -s $T/arrived ]]; }

# ---- the agent
let_loose
kill -CONT "${AGENTS[web]}" # it puts its table back in a moment; by then the other end is what is tested
watch_all db
sleep 0.5
kill -9 "${AGENTS[db]}"
wait "${AGENTS[db]}" 2>/dev/null
sleep 1
agent_run db || fail "the agent starts again"
check "agent killed: it asks the control plane again" wait_for 15 status_is db 's["control_answers"] and s["hub_answers"]'
watched
unharmed "agent killed"
check "agent killed: nothing was let in that was denied" nothing_arrived

# ---- WireGuard: the process of a host, the interface of a host; the one that asks, the one that is asked
for h in web db; do
	pid=$(wireguard_of $h)
	if [[ -n $pid ]]; then
		[[ $h != web ]] || check "wireguard-go of web holds a burst" holds_a_burst web
		watch_all $h
		since=$(now)
		kill -9 "$pid"
		sleep 4
		watched
		outage "wireguard-go of $h killed" 3000 "$since"
		check "wireguard-go of $h killed: there is a new one" test -n "$(wireguard_of $h)"
		check "wireguard-go of $h killed: the new one holds a burst" holds_a_burst $h
	else
		skip "wireguard-go of $h killed" "the kernel's WireGuard is in use"
	fi
	watch_all $h
	since=$(now)
	on $h ip link del sortie0
	sleep 4
	watched
	outage "interface of $h deleted" 3000 "$since"
	check "interface of $h deleted: status says that it was repaired" status_is $h 's["counters"]["repaired"] > 0'
done
check "nothing was let in that was denied" nothing_arrived

# ---- rules
kill "$LOOSE"
let_loose
sleep 0.5
check "before the rules are flushed nothing is let in" nothing_arrived
repaired=$(at db status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["counters"]["repaired"])')
on db nft flush ruleset
check "rules flushed: status counts it" wait_for 10 status_is db "s['counters']['repaired'] > $repaired"
check "rules flushed: status says it" eval 'at db status | grep -q "something else changed the kernel.s state"'
sleep 0.5
count=$(wc -l <"$T/arrived")
sleep 1
check "rules flushed: shut again" test "$(wc -l <"$T/arrived")" -eq "$count"
read -r n ms < <(arrivals)
echo "# rules flushed: open for $ms ms, $n datagrams"
check "rules flushed: open for at most 300 ms" test "$ms" -le $((300 * TEST_SCALE))
kill "$LOOSE"
kill -CONT "${AGENTS[web]}"
check "rules flushed: what is allowed works" wait_for 10 reaches web "${V6[db]}" icmp

for h in web db; do
	check "nothing of the overlay was on the wire of $h" test -z "$(tcpdump -nr "$T/clear.$h" 2>/dev/null)"
done
sites_end
finish
