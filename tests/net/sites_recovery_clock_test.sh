#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# Clocks: a year ahead and back, a year behind and back, a host that slept. And what a clock that was ahead leaves behind: a hub
# and a peer that have seen a handshake of next year and refuse all others until then.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"
source "$ROOT/tests/net/timeshim.sh"
YEAR=31536000

if ! timeshim_made; then
	skip "clocks" "no compiler for what moves them"
	finish
fi
if ! python3 -c 'import cryptography' 2>/dev/null; then
	skip "clocks" "no python3-cryptography"
	finish
fi

internet_up
direct_site web 192.0.2.21/24 2001:db8::21/64
direct_site db 192.0.2.22/24 2001:db8::22/64
direct_site late 192.0.2.23/24 2001:db8::23/64
direct_site lost 192.0.2.24/24 2001:db8::24/64
control_init >/dev/null
control_run 2>/dev/null || exit 1
shift_clocks web 0
shifted_agent_start web
wait_for 15 at web status
for h in db late lost; do agent_run $h || exit 1; done
for h in web db late lost; do check "$h enrolled" enroll "site-$h/$h" "role=$h"; done
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules: [{name: everybody asks the database, from: "role in (web, late, lost)", to: role=db, allow: [icmp]}]
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
DB4=$(overlay db 4) DB6=$(overlay db 6)
HUB_OVER6=$(on hub ip -o addr show dev sortie0 scope global | awk '$3 == "inet6" {sub("/.*", "", $4); print $4}')
for h in web late lost; do check "$h reaches the database" wait_for 20 reaches $h "$DB6" icmp; done

# ---- handshakes of next year: late's with the database, lost's with the hub; seen by nobody but those two
public_key() { on "$1" wg show sortie0 public-key; }
ahead() { # HOST PEER_KEY
	local port p ns
	port=$(on "$1" wg show sortie0 listen-port)
	kill -STOP "${AGENTS[$1]}"
	ns=$(readlink "/proc/${PIDS[$1]}/ns/net")
	for p in $(pgrep -x wireguard-go); do
		[[ $(readlink "/proc/$p/ns/net") != "$ns" ]] || kill -9 "$p"
	done
	on "$1" ip link del sortie0 2>/dev/null
	# Its own firewall lets only WireGuard's own answers in, which these are.
	on "$1" "$ROOT/tests/tools/ahead.py" "$T/$1/wireguard.key" "$port" $HUB4 $HUB_PORT $YEAR "$2" || echo failed
	kill -CONT "${AGENTS[$1]}"
}
check "late spoke with the database next year" eval '[[ $(ahead late "$(public_key db)") == "a session with"* ]]'
check "lost spoke with the hub next year" eval '[[ $(ahead lost "$(on hub wg show sortie0 public-key)") == "a session with"* ]]'
since=$(now)
nsenter -t "${PIDS[late]}" -n "$ROOT/tests/tools/echoes.py" run "$T/watch.late" "$DB6" & # it has something to say
LATE=$!
check_not "the database refuses late" reaches late "$DB6" icmp

# ---- meanwhile: web's clock, and back. Whoever cannot know the time admits nobody.
declare -A NAMES=([$YEAR]="a year ahead" [-$YEAR]="a year behind")
for wall in $YEAR -$YEAR; do
	name=${NAMES[$wall]}
	shift_clocks web "$wall"
	check "clock $name: it reaches nobody" wait_for 10 eval '! reaches web "$DB6" icmp'
	check "clock $name: status says why" eval 'at web status | grep -qE "^warning: (the clock|the admission of this host has expired)"'
	watch site4 web "$DB4" later
	watch site6 web "$DB6" later
	since_clock=$(now)
	shift_clocks web 0
	sleep 4
	watched
	outage "clock $name and back" 5000 "$since_clock"
done

# ---- web slept for an hour. (The others did not, so the control plane, by whose clock it is an hour ahead, refuses its calls.)
left() { on web nft -j list set inet sortie live6 | python3 -c 'import json, sys; print(min(e["elem"]["expires"] for x in json.load(sys.stdin)["nftables"] if "set" in x for e in x["set"]["elem"]))'; }
before=$(left)
watch site4 web "$DB4"
watch site6 web "$DB6"
watch hub6 web "$HUB_OVER6"
shift_clocks web 3600 3600
slept() { (($(left) < before - 3500)); }
check "slept: what is left of leases is computed anew ($before s before)" wait_for 10 slept
check "slept: the hub answers" wait_for 10 status_is web 's["hub_answers"]'
sleep 1
watched
outage "slept for an hour" 3000
shift_clocks web 0 0

# ---- those who were refused
check "the hub forgets the year to come: lost is back" wait_for 60 status_is lost 's["hub_answers"] and s["control_answers"]'
echo "# handshake of next year at the hub: healed after $(awk -v a="$since" -v b="$(now)" 'BEGIN {printf "%d", b - a}') s (at most)"
check "the database forgets too: late is back" wait_for 60 reaches late "$DB6" icmp
kill -INT $LATE
wait $LATE 2>/dev/null
read -r ms lost < <("$ROOT/tests/tools/echoes.py" silence "$T/watch.late" "$since")
echo "# handshake of next year at a peer: $ms ms / lost $lost"
check "it was asked to" grep -q "site-late/late asks for a new session" "$T/db.log"
sites_end
finish
