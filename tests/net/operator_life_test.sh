#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What an operator does with a host: down and up, over restarts; names in its hosts file; leave, also where only half of
# the agent's data is left. Probed from outside each time, allowed and denied, IPv4 and IPv6.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
export SORTIE_TEST_PLAIN_TABLE=1 # others change the table here: see lock_owner_test.sh for one that they cannot
probe=$ROOT/tests/tools/probe.py

internet_up
nat_site nata 192.0.2.11 web
direct_site db 192.0.2.31/24 2001:db8::31/64
control_init >/dev/null
control_run || exit 1
agent_run web || exit 1
BLOCK=(--hosts-block "$T/db.etc-hosts")
printf '127.0.0.1 localhost\n# the end' >"$T/db.etc-hosts"
cp "$T/db.etc-hosts" "$T/db.etc-hosts.was"
agent_run db "${BLOCK[@]}" || exit 1
status() { at "$1" status --json | python3 -c "import json,sys; s=json.load(sys.stdin); sys.exit(not ($2))"; }
closed() { # HOST ADDRESS=PORT...: none of them answers
	local h=$1 list="" a
	shift
	for a in "$@"; do list+="${list:+,}{\"id\":\"$a\",\"to\":\"${a%=*}\",\"port\":\"${a##*=}\"}"; done
	! on "$h" "$probe" ask -t "$((2 * TEST_SCALE))" <<<"[$list]" | tee "$T/probed" | grep -q '"open' && grep -q silent "$T/probed"
}
nudge() { on db ip link set sortie0 txqueuelen $((RANDOM % 900 + 100)); } # an event: the agent looks again
first() { at "$1" status | head -n 1 | grep -qE -e "$2" || { at "$1" status; return 1; }; }
code() { # WANTED COMMAND...
	local wanted=$1 rc
	shift
	"$@" >"$T/code.out" 2>&1
	rc=$?
	[[ $rc -eq $wanted ]] || { echo "exit $rc"; cat "$T/code.out"; return 1; }
}

check "status: not enrolled: says what to do" first db "^not enrolled: .sortie enroll --token file:PATH.$"
refused "down: not enrolled: exit 4" 4 "not enrolled" at db down
refused "up: not enrolled: exit 4" 4 "not enrolled" at db up
refused "mode: not enrolled: exit 4, what to do" 4 "not enrolled: .sortie enroll --token" at db mode enforce
refused "confirm: not enrolled: exit 4" 4 "not enrolled" at db confirm
refused "can: not enrolled: exit 4, what to do" 4 "not enrolled: .sortie enroll --token" at db can site-a/web tcp/22
refused "status --check ready: not enrolled: exit 4, says so" 4 "not ready: .*not enrolled" at db status --check ready
refused "leave: no agent: what to do where none can start" 1 "start sortied, or .sortied --leave" "$B/sortie" --socket "$T/none.sock" leave
refused "can: an address: says where the underlay is asked for" 2 "not site/workload .*policy plan" at db can 192.0.2.1 tcp/80
refused "a word too many: usage, without a blank at its end" 2 "usage: sortie confirm$" at db confirm now
check "leave: not enrolled: there is nothing" at db leave
check "web enrolled" enroll site-a/web role=web
check "db enrolled" enroll site-b/db role=db
cat >"$T/policy.yaml" <<'YAML'
version: 1
hosts:
  - {on: role=db, mode: enforce}
rules:
  - {name: web reads the database, from: role=web, to: role=db, allow: [tcp/5432]}
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
on db "$probe" serve db tcp/5432 tcp/22 >/dev/null 2>&1 &
DB4=$(overlay db 4) DB6=$(overlay db 6)
works() { reaches web "$DB4" tcp/5432 && reaches web "$DB6" tcp/5432; }
check "web reads the database" wait_for 20 works

# ---- status
check "status: first line: who, mode, backend, hub, policy, lease" wait_for 10 first db '^site-b/db, enforce, (userspace|kernel), hub [0-9.]+ ms, policy 1, lease ends in [0-9]+h$'
check_not "db does not answer on tcp/22" reaches web "$DB4" tcp/22
check "status: and the last deny" wait_for 5 first web ", last deny [0-9]+s ago: out site-b/db tcp/22$"
check "status --check live: exit 0, silent" eval '[[ -z $(at db status --check live 2>&1) ]]'
check "status --check ready: exit 0, silent" eval '[[ -z $(at db status --check ready 2>&1) ]] && at db status --check ready'
refused "status --check live: no agent: exit 1" 1 "no agent answers" "$B/sortie" --socket "$T/none.sock" status --check live
refused "a socket whose path is too long: exit 2" 2 "too long" "$B/sortie" --socket "/run/$(printf 'x%.0s' {1..200})" status
refused "help of what no command is: exit 2" 2 "policy needs one of: check, plan" "$B/sortie" help policy
refused "a token that is a folder" 1 "not a regular file" at db enroll --token "file:$T"
refused "status --check: something else: exit 2" 2 "live or ready" at db status --check healthy
kill -STOP "${AGENTS[web]}"
check "status --check live: an agent that hangs: exit 1" code 1 timeout 20 "$B/sortie" --socket "$T/web.sock" status --check live
kill -CONT "${AGENTS[web]}"

# ---- down
table() { on db nft list table inet sortie | sed -E 's/expires [0-9a-z]+|packets [0-9]+ bytes [0-9]+|timeout [0-9a-z]+//g'; }
check "down" at db down
is_down() { [[ $(on db ip -o link show sortie0) != *,UP* ]]; }
check "down: the interface is down" is_down
check "down: the table stands" on db nft list table inet sortie
check "down: web reads nothing" closed web "$DB4=tcp/5432" "$DB6=tcp/5432"
check "down: the underlay stays shut" closed internet 192.0.2.31=tcp/22 2001:db8::31=tcp/22 192.0.2.31=tcp/5432 2001:db8::31=tcp/5432
shut() { ! on db ip route get "$(overlay web 4)" && ! on db ip route get "$(overlay web 6)"; }
check "down: nothing for the overlay leaves by another way" shut
check "down: status says so first" first db "^down, site-b/db, enforce, .*hub not asked"
refused "down: it is not ready, and not called unreachable: exit 1" 1 "not ready: down, .sortie up" at db status --check ready
check "down: it is alive" at db status --check live
check "down: doctor says so" eval 'at db doctor | grep -qE "^fail +interface .*sortie down.*sortie up"'
check "down: status knows when the control plane last answered" eval 'at db status | grep -qE "^control +not asked, last [0-9]+s ago; "'
check "down twice is down" at db down
on db ip link set sortie0 up
check "down: who raises it by hand is undone" wait_for 15 is_down
kill -9 "${AGENTS[db]}"
wait "${AGENTS[db]}" 2>/dev/null
agent_run db "${BLOCK[@]}" || fail "the agent starts again"
check "down: a restarted agent keeps it down" is_down
check "down: and says so" first db "^down, "
check "down: it has heard nothing yet, which is not never" eval 'at db status | grep -qE "^control +not asked; revision"'
check "down: and web still reads nothing" closed web "$DB4=tcp/5432" "$DB6=tcp/5432"
on db ip link del sortie0 # as after a reboot
on db nft delete table inet sortie
made_down() { on db ip link show sortie0 && is_down && on db nft list table inet sortie; }
check "down: what is made anew is down, with its table" wait_for 15 made_down
repaired=$(at db status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["counters"]["repaired"])')
check "up" at db up
check "up: web reads the database again" wait_for 20 works
check_not "up: and nothing else" reaches web "$DB6" tcp/22
check "up: that was no repair" test "$(at db status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["counters"]["repaired"])')" = "$repaired"
check "up: it is ready" wait_for 20 at db status --check ready
kill "${AGENTS[db]}"
wait "${AGENTS[db]}"
agent_run db "${BLOCK[@]}" || fail "the agent starts again"
check "up: a restarted agent keeps it up" wait_for 10 works

# ---- names
named() { grep -q "^$DB4 db.site-b.demo.internal$" "$T/db.etc-hosts" && grep -q "^$(overlay web 6) web.site-a.demo.internal$" "$T/db.etc-hosts"; }
check "hosts block: both names are in it" wait_for 5 named
check "hosts block: what was there stays in front" cmp -n "$(stat -c %s "$T/db.etc-hosts.was")" "$T/db.etc-hosts" "$T/db.etc-hosts.was"
check "hosts block: web, which was not asked to, wrote none" eval '! grep -q sortied /etc/hosts'
echo "192.0.2.9 mine" >>"$T/db.etc-hosts"
sed -i "/web.site-a/d" "$T/db.etc-hosts"
nudge
check "hosts block: is put right" wait_for 15 named
check "hosts block: lines behind it stay" grep -qx "192.0.2.9 mine" "$T/db.etc-hosts"
cp "$T/db.etc-hosts" "$T/db.etc-hosts.good"
sed -i "/^# end sortied/d" "$T/db.etc-hosts"
nudge
check "hosts block: a mark without the other: status names it" wait_for 15 eval 'at db status | grep -q "warning: names in .*db.etc-hosts: line .*no end"'
check "hosts block: and nothing else suffers" works
cp "$T/db.etc-hosts.good" "$T/db.etc-hosts"
nudge
check "hosts block: mended" wait_for 15 eval '! at db status | grep -q "warning: names in"'

# ---- leave
check "leave" at db leave
check "leave: nothing is left" nothing_left db
check "leave: the hosts file has no block, and the rest" diff "$T/db.etc-hosts" <(cat "$T/db.etc-hosts.was"; echo; echo "192.0.2.9 mine")
check "leave twice" at db leave
sortie identity revoke site-b/db >/dev/null # the name is free again
again() { # NAME: db under another identity of the same name
	enroll site-b/db role=db >/dev/null && DB4=$(overlay db 4) DB6=$(overlay db 6) && wait_for 20 works || fail "$1: enrolled again"
}
stop() { kill -9 "${AGENTS[db]}" && wait "${AGENTS[db]}" 2>/dev/null; }
alone() { on db "$B/sortied" --leave --state "$T/db" --hosts "$T/db.hosts" "${BLOCK[@]}"; }

again "a lost answer"
stop
rm "$T/db/enroll-answer.json"
agent_run db "${BLOCK[@]}" || fail "an agent that lost its answer starts"
check "half of the data: status says what is left" eval 'at db status | grep -q "earlier membership is left: .sortie leave"'
check "half of the data: the host stays shut" closed internet 192.0.2.31=tcp/22 2001:db8::31=tcp/22
sortie token create --name site-b/db2 --out "$T/db2.token" >/dev/null
refused "half of the data: enrolling is refused" 1 "sortie0" at db enroll --token "file:$T/db2.token"
check "half of the data: leave" at db leave
check "half of the data: nothing is left" nothing_left db
sortie identity revoke site-b/db >/dev/null

again "a damaged file"
stop
echo damaged >"$T/db/floor.txt"
refused "damaged data: the agent does not start" 1 "floor.txt" timeout 20 nsenter -t "${PIDS[db]}" -n -m -- "$B/sortied" --state "$T/db" --socket "$T/db.sock"
check "damaged data: sortied --leave" alone
check "damaged data: nothing is left" nothing_left db
check "sortied --leave twice: says that there was nothing" eval 'alone 2>&1 | grep -q "was not enrolled; nothing"'
agent_run db "${BLOCK[@]}" || fail "the agent starts"
sortie identity revoke site-b/db >/dev/null

again "a lost folder"
refused "sortied --leave: beside an agent" 1 "in use by another sortied" alone
stop
rm -r "$T/db"
agent_run db "${BLOCK[@]}" || fail "an agent without its folder starts"
refused "no data: leave touches nothing that it does not know" 1 "table inet sortie and interface sortie0, but .*--force" at db leave
check "no data: the table stands" on db nft list table inet sortie
check "no data: leave --force" at db leave --force
check "no data: nothing is left" nothing_left db
on db ip link add sortie0 type bridge
refused "another's interface: leave --force does not touch it" 1 "no WireGuard interface" at db leave --force
check "another's interface: it stands" on db ip link show sortie0
on db ip link del sortie0

sites_end
finish
