#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# What holds a host where there is no agent: from before its network is up until the agent has applied policy, and after
# somebody has flushed the ruleset. The prober never gets an answer that policy does not allow.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
probe=$ROOT/tests/tools/probe.py

internet_up
direct_site web 192.0.2.21/24 2001:db8::21/64
direct_site db 192.0.2.22/24 2001:db8::22/64
direct_site outside 192.0.2.31/24 2001:db8::31/64
control_init >/dev/null
control_run || exit 1
for h in web db; do agent_run $h || exit 1; done
check "web enrolled" enroll site-a/web role=web
check "db enrolled" enroll site-b/db role=db
cat >"$T/policy.yaml" <<YAML
version: 1
rules: [{name: r, from: role=web, to: role=db, allow: [tcp/5432]}]
hosts: [{on: role=web, mode: overlay}, {on: role=db, mode: enforce, egress: locked}]
egress: [{name: packages, on: role=db, to: [192.0.2.31/32, "2001:db8::31/128"], allow: [tcp/80]}]
underlay: [{name: bastion, on: role=db, from: [192.0.2.99/32, "2001:db8::99/128"], allow: [tcp/2222]}]
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
on db "$probe" serve db tcp/22 tcp/2222 tcp/5432 >/dev/null 2>&1 &
on outside "$probe" serve outside tcp/80 >/dev/null 2>&1 &
on web "$probe" serve web tcp/8000 >/dev/null 2>&1 &
V4=$(overlay db 4) V6=$(overlay db 6) W4=$(overlay web 4) W6=$(overlay web 6)
works() { reaches web "$V4" tcp/5432 && reaches web "$V6" tcp/5432; }
check "web reaches the database" wait_for 20 works
guard() { on db "$B/sortie-guard" --state "$T/db" --socket "$T/db.sock" "$@"; }
told() {
	local line
	for line in "locked 1" "egress-locked 1" "underlay 192.0.2.99/32 6 2222 2222" "egress 2001:db8::31/128 6 80 80"; do
		grep -qx "$line" "$T/db/guard.txt" || { echo "not: $line"; return 1; }
	done
}
check "the agent leaves both locks and their exceptions behind" wait_for 10 told
check "others cannot read what" test "$(stat -c %a "$T/db/guard.txt")" = 600
handles() { on db nft -a list table inet sortie 2>/dev/null | grep -oE '(table|chain|set) .*# handle [0-9]+'; }
was=$(handles)
check "a table that stands is left alone" guard
check "and is the same" test "$(handles)" = "$was"

# ---- power off: neither agent nor table nor interface; power on: the listener is there first ----

chmod 711 "$T"
cp "$B/sortie-guard" "$T/guard" # a build folder may be closed to others
chmod 755 "$T/guard"
stop_agent() { kill -"${1:-TERM}" "${AGENTS[db]}"; wait "${AGENTS[db]}" 2>/dev/null; }
stop_agent
on db ip link del sortie0
on db nft flush ruleset
on db sysctl -qw net.netfilter.nf_conntrack_tcp_loose=1
on db ip route flush proto 83
on db ip -6 route flush proto 83
refused "sortie-guard --nonsense: exit 2" 2 "nonsense" "$B/sortie-guard" --nonsense
refused "sortie-guard without privileges: exit 1" 1 "CAP_NET_ADMIN is missing" on db setpriv --bounding-set=-all --inh-caps=-all --reuid 4711 --clear-groups "$T/guard" --state "$T/none"
check "a host that is not enrolled: nothing to hold" on db "$B/sortie-guard" --state "$T/none"
check_not "and nothing is made" on db nft list table inet sortie
on db nft 'table inet sortie { comment "sortie layout 1"; chain in { type filter hook input priority -5; policy accept; }; }'
was=$(handles)
check "a table of an older layout is the upgraded agent's to replace" guard
check "and is the same" test "$(handles)" = "$was"
on db nft delete table inet sortie
check "without the guard everybody gets in, or this test would prove nothing" reaches outside 192.0.2.22 tcp/22
check "and the host gets out to everybody" eval 'reaches db 192.0.2.21 tcp/8000 && reaches db 2001:db8::21 tcp/8000'
check "the guard loads what the agent left" guard

# From here on somebody knocks all the time, at the closed port and the overlay addresses, until policy has been applied.
for h in outside web; do
	on $h ip route replace "$V4" via 192.0.2.22
	on $h ip -6 route replace "$V6" via 2001:db8::22
done
cat >"$T/knock.py" <<'PY'
import os, selectors, socket, sys, time
stop, targets = sys.argv[1], sys.argv[2:]
opened, tries = [], 0
while not os.path.exists(stop):
    selector, sockets = selectors.DefaultSelector(), []
    for to in targets:
        s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
        s.setblocking(False)
        s.connect_ex((to, 22))
        sockets.append((s, to))
        tries += 1
    time.sleep(0.05)
    for s, to in sockets:
        try:
            s.getpeername()
            opened.append(to)
        except OSError:
            pass
        s.close()
print(tries, *sorted(set(opened)))
PY
on outside python3 "$T/knock.py" "$T/stop" 192.0.2.22 2001:db8::22 "$V4" "$V6" >"$T/knocked" &
KNOCKER=$!
on db ip addr add "$V4/32" dev eth0 # as if the interface were up already
on db ip -6 addr add "$V6/128" dev eth0 nodad
check_not "guard: the closed port, IPv4" reaches outside 192.0.2.22 tcp/22
check_not "guard: the closed port, IPv6" reaches outside 2001:db8::22 tcp/22
check_not "guard: the overlay address from the LAN, IPv4" reaches outside "$V4" tcp/5432
check_not "guard: the overlay address from the LAN, IPv6" reaches outside "$V6" tcp/5432
check "guard: an exception of policy, IPv4" reaches internet 192.0.2.22 tcp/2222
check "guard: an exception of policy, IPv6" reaches internet 2001:db8::22 tcp/2222
check_not "guard: for nobody else" reaches outside 192.0.2.22 tcp/2222
check "guard: the host itself gets out to what policy lists, IPv4" reaches db 192.0.2.31 tcp/80
check "guard: the host itself gets out to what policy lists, IPv6" reaches db 2001:db8::31 tcp/80
check_not "guard: and not to anything else, IPv4" reaches db 192.0.2.21 tcp/8000
check_not "guard: and not to anything else, IPv6" reaches db 2001:db8::21 tcp/8000
leaves() { # ADDRESS: by the default route
	on db ip route replace default via 192.0.2.31
	on db ip -6 route replace default via 2001:db8::31
	on outside tcpdump -i eth0 -nn -c1 "host $1" >"$T/leaves" 2>&1 &
	local dump=$!
	wait_for 10 grep -q "listening" "$T/leaves"
	reaches db "$1" tcp/5432
	kill $dump 2>/dev/null
	wait $dump 2>/dev/null
	grep -q "^1 packet captured" "$T/leaves"
}
check_not "guard: nothing to the overlay leaves in the clear, IPv4" leaves "$W4"
check_not "guard: nothing to the overlay leaves in the clear, IPv6" leaves "$W6"
on db ip addr del "$V4/32" dev eth0
on db ip -6 addr del "$V6/128" dev eth0
on db ip route del default
on db ip -6 route del default

was=$(handles)
agent_run db || fail "the agent starts"
for h in outside web; do
	on $h ip route del "$V4" via 192.0.2.22 2>/dev/null
	on $h ip -6 route del "$V6" via 2001:db8::22 2>/dev/null
done
check "the agent takes over: web reaches the database" wait_for 20 works
check "it has adopted the table, not made it anew" test "$(handles)" = "$was"
check_not "the closed port stays closed" reaches outside 192.0.2.22 tcp/22
touch "$T/stop"
wait "$KNOCKER"
read -r tries answers <"$T/knocked"
check "of $tries knocks from the guard's start on, none was answered" test "$tries" -gt 100 -a -z "$answers"

# ---- the ruleset is flushed ----

nsenter -t "${PIDS[db]}" -n -m -- "$B/sortie-guard" --watch --state "$T/db" --socket "$T/db.sock" 2>"$T/watch.log" &
WATCH=$!
up() { on db ip link show sortie0 | grep -q "[<,]UP[,>]"; }
down() { ! up; }
now() { date +%s%N; }
took() { echo $((($(now) - $1) / 1000000)); }
back() { [[ -n $(handles) ]] && works; }

start=$(now)
on db nft flush ruleset
if [[ -n $(handles) ]]; then pass "alive: nobody else can remove the table"; else
	check "alive: the agent repairs a flushed ruleset" wait_for 10 back
	echo "# after $(took "$start") ms"
fi
sleep 1.5
check "alive: the guard leaves that to the agent" eval 'up && [[ ! -s $T/watch.log ]]'

stop_agent KILL
sleep 2.5
check "dead: a table that stands is enough" eval 'up && works && [[ ! -s $T/watch.log ]]'
alone() { on db "$B/sortied" "$@" --state "$T/db" --socket "$T/db.sock" --hosts "$T/db.hosts"; }
check "dead: an ownerless table that is as it should be needs no step: sortied --plan" alone --plan
check "dead: sortied --doctor says so as well" eval 'alone --doctor | grep -q "^ok *kernel "'
start=$(now)
on db nft flush ruleset
check "dead: without the table the interface goes down" wait_for 5 down
ms=$(took "$start")
check "dead: after $ms ms, at most $((1500 * ${TEST_SCALE%.*}))" test "$ms" -le $((1500 * ${TEST_SCALE%.*}))
on db ip link set sortie0 up
check "dead: and again, if somebody raises it" wait_for 5 down
sleep 1.5
check "dead: said once" test "$(grep -c "is down until sortied is back" "$T/watch.log")" = 1
check "dead: and that the underlay is open, and what closes it" grep -q "the underlay is open until then, or until sortie-guard is run without --watch" "$T/watch.log"
check "dead: it is" eval 'reaches outside 192.0.2.22 tcp/22 && reaches outside 2001:db8::22 tcp/22'
check "dead: sortie-guard closes it" guard
check_not "dead: closed, IPv4" reaches outside 192.0.2.22 tcp/22
check_not "dead: closed, IPv6" reaches outside 2001:db8::22 tcp/22
check "dead: the interface stays down" down
agent_run db || fail "the agent starts"
check "back: the agent makes everything work again" wait_for 20 works
check "back: the guard says so, once" wait_for 5 eval '[[ $(grep -c "stands again" "$T/watch.log") == 1 ]]'

# An emptied table is no table, and an agent that hangs is none.
kill -STOP "${AGENTS[db]}"
on db nft flush table inet sortie
if on db nft list chain inet sortie base_prerouting | grep -q goto; then
	pass "hangs: nobody else can empty the table"
else
	check "hangs: without rules the interface goes down" wait_for 8 down
fi
kill -CONT "${AGENTS[db]}"
check "hangs: it wakes up and everything works again" wait_for 20 works

check "leaves" at db leave
sleep 1.2
check "left: nothing is left" nothing_left db
check "left: the guard has nothing to do" test "$(wc -l <"$T/watch.log")" -le 4
kill "$WATCH"
wait "$WATCH" 2>/dev/null
sites_end
finish
