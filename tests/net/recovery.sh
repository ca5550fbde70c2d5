# SPDX-License-Identifier: GPL-2.0-or-later
# What the recovery tests share, on top of lib.sh and sites.sh: echoes all the time, and how long they went unanswered.
#
#   watch NAME HOST ADDRESS          50 echoes a second until watched; NAME as in "site4", "site6", "hub4", "hub6"
#   watched                       ends all of them
#   outage TITLE BOUND_MS [SINCE] a TAP line and a figure for each watch: "# TITLE NAME: x ms / lost n". x is the longest time
#                                 without an answer, or, with SINCE (from `now`), from there to the answer after the last loss
#   unharmed TITLE                a TAP line and a figure for each watch: nothing was lost
#   two_sites                     web and db, each behind a NAT, enrolled, web may ask db; fills V4, V6 (overlay addresses by
#                                 host), HUB_OVER4 and HUB_OVER6
declare -A WATCHES=() V4=() V6=()

two_sites() {
	local h
	internet_up
	nat_site nata 192.0.2.11 web
	nat_site natb 192.0.2.12 db
	control_init >/dev/null
	control_run 2>/dev/null || exit 1
	for h in web db; do agent_run "$h" || exit 1; done
	check "web enrolled" enroll site-a/web role=web
	check "db enrolled" enroll site-b/db role=db
	cat >"$T/policy.yaml" <<-'YAML'
		version: 1
		rules: [{name: web asks the database, from: role=web, to: role=db, allow: [icmp, tcp/5432]}]
	YAML
	check "policy applied" sortie policy apply "$T/policy.yaml"
	overlay_addresses web db
}
overlay_addresses() { # HOST...
	local h
	for h in "$@"; do V4[$h]=$(overlay "$h" 4) V6[$h]=$(overlay "$h" 6); done
	read -r HUB_OVER4 HUB_OVER6 < <(on hub ip -o addr show dev sortie0 scope global |
		awk '{sub("/.*", "", $4); a[$3] = $4} END {print a["inet"], a["inet6"]}')
}

# a fourth argument "later": without waiting for an answer
watch() {
	: >"$T/watch.$1"
	nsenter -t "${PIDS[$2]}" -n "$ROOT/tests/tools/echoes.py" run "$T/watch.$1" "$3" 2>"$T/watch.$1.errors" &
	WATCHES[$1]=$!
	[[ ${4:-} == later ]] || wait_for 20 test -s "$T/watch.$1" || fail "the watch of $1 begins" "$(<"$T/watch.$1.errors")"
}

watched() {
	local name
	mapfile -t WATCHES_OVER < <(printf '%s\n' "${!WATCHES[@]}" | sort)
	kill -INT "${WATCHES[@]}"
	wait "${WATCHES[@]}" 2>/dev/null
	WATCHES=()
}

outage() {
	local name ms lost
	for name in "${WATCHES_OVER[@]}"; do
		read -r ms lost < <("$ROOT/tests/tools/echoes.py" silence "$T/watch.$name" "${@:3}")
		echo "# $1 $name: $ms ms / lost $lost"
		check "$1: $name is back within $2 ms" test "$ms" -le $(($2 * TEST_SCALE))
	done
}

unharmed() {
	local name ms lost
	for name in "${WATCHES_OVER[@]}"; do
		read -r ms lost < <("$ROOT/tests/tools/echoes.py" silence "$T/watch.$name")
		echo "# $1 $name: $ms ms / lost $lost"
		check "$1: $name lost nothing" test "$lost" -eq 0
	done
}

now() { date +%s.%N; }
status_is() { # HOST EXPRESSION: of python, over the status object s
	at "$1" status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); sys.exit(not eval(sys.argv[1]))' "$2"
}
