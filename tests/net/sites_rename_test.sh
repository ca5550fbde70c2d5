#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Somebody gives an agent's interface another name, up or down: the agent gives it its own back, what policy denies passes at no
# moment, and an agent that starts later, which cannot know, says what it found and what to do. IPv4 and IPv6.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

two_sites
on db "$ROOT/tests/tools/probe.py" serve db tcp/5432 tcp/22 >/dev/null 2>&1 &
works() { reaches web "${V4[db]}" tcp/5432 && reaches web "${V6[db]}" tcp/5432; }
rename() { # HOST NAME [up]: the kernel of Debian 12 renames only what is down
	on "$1" sh -c "ip link set sortie0 down && ip link set sortie0 name $2"
	[[ ${3:-} != up ]] || on "$1" ip link set "$2" up
}
index() { on "$1" ip -o link show sortie0 | cut -d: -f1; }
has_link() { on "$1" ip link show "$2" >/dev/null 2>&1; }
back() { has_link "$1" sortie0 && ! has_link "$1" x0 && works; }
check "web reaches db" wait_for 20 works
BACKEND=$(at db status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["backend"])')
on db tcpdump -i any -l -n tcp >"$T/seen" 2>/dev/null &
SNIFF=$!
denied() { # both families at once; with "silent" the allowed port as well
	local ports='[{"id":"4","to":"'${V4[db]}'","port":"tcp/22"},{"id":"6","to":"'${V6[db]}'","port":"tcp/22"}'
	[[ ${1:-} != silent ]] || ports+=',{"id":"5","to":"'${V6[db]}'","port":"tcp/5432"}'
	! on web "$ROOT/tests/tools/probe.py" ask -t 1 <<<"$ports]" | grep '"open'
}

for how in "" up; do
	for h in db web; do
		was=$(index $h)
		rename $h x0 $how
		check "$h's interface renamed ${how:-down}: denied is denied" denied
		check "$h's interface renamed ${how:-down}: it has its name back and all is well" wait_for 20 back $h
		check "$h's interface renamed ${how:-down}: it is the same" test "$(index $h)" = "$was"
		check "$h's interface renamed ${how:-down}: it is logged" grep -q "repaired (rename x0 back to sortie0)" "$T/$h.log"
		check "$h's interface renamed ${how:-down}: status counts it and has nothing to complain of" \
			status_is $h "s['counters']['repaired'] > 0 and not any('kernel does not hold' in w for w in s['warnings'])"
	done
done

# ---- an agent that starts later
kill -KILL "${AGENTS[db]}"
{ wait "${AGENTS[db]}"; } 2>/dev/null
rename db x0 up
check "renamed while no agent runs: nothing passes" denied silent
if [[ $BACKEND == userspace ]]; then
	refused "an agent that starts later says why it does not, and what to do" 1 "a wireguard-go of that name runs .* remove that \(.ip link del NAME.\)" \
		timeout 10 nsenter -t "${PIDS[db]}" -n -m "$B/sortied" --state "$T/db" --socket "$T/db.sock" --hosts "$T/db.hosts"
else
	agent_run db || fail "an agent that starts later makes another interface"
fi
check "an agent that starts later: denied is denied" denied
on db ip link del x0
[[ $BACKEND == kernel ]] || agent_run db || fail "the agent of db runs"
check "what was renamed is removed: all is well" wait_for 40 back db
kill "$(pgrep -P $SNIFF tcpdump || echo $SNIFF)"
wait $SNIFF 2>/dev/null
answered() { grep -E "\.$1 > .* Flags \[S\.\]" "$T/seen"; }
check "what db answers is seen" answered 5432
check_not "at no time has it answered on the port that policy denies" answered 22
sites_end
finish
