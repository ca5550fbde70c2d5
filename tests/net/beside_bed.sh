# SPDX-License-Identifier: GPL-2.0-or-later
# A small network for the tests beside other software, on top of lib.sh, sites.sh and foreign_bed.sh:
#
#     web 192.0.2.21 ---- internet 192.0.2.99 ---- db 192.0.2.31 (here the other software runs)
#                              hub 192.0.2.1
#
# Policy: web reaches db at tcp/5432 and echo; db reaches web at tcp/7000. Everything else is denied.
#
#   beside_up                 hub, web, db enrolled, servers on both; in mode overlay
#   beside_policy MODE [EXTRA_LINES]   rules as above, db in that mode, more YAML behind it
#   allowed / denied          what policy says, IPv4 and IPv6, in both directions
#   findings [HOST]           "path what | line" as status says it, one a line
#   line_for WHAT             the line that status prints for it
export SORTIE_TEST_PLAIN_TABLE=1 # others change the table here: see lock_owner_test.sh for one that they cannot
PROBE=$ROOT/tests/tools/probe.py
declare -A V4=() V6=()

beside_policy() { # MODE [YAML]
	cat >"$T/policy.yaml" <<-YAML
		version: 1
		rules:
		  - {name: in, from: role=web, to: role=db, allow: [tcp/5432, icmp${IN_MORE:+, $IN_MORE}]}
		  - {name: out, from: role=db, to: role=web, allow: [tcp/7000]}
		hosts:
		  - {on: role=db, mode: $1, containers: ${CONTAINERS:-false}}
		  - {on: role=web, mode: overlay}
		${2:-}
	YAML
	sortie policy apply "$T/policy.yaml" >"$T/policy.out" && wait_for 20 in_mode "$1"
}
in_mode() {
	[[ $(at db status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); print(s["mode"], s["enforce_pending"], s["policy_version"])') == "$1 False $(policy_version)" ]]
}
policy_version() { sortie policy show --json 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["version"])'; }

beside_up() {
	internet_up
	direct_site web 192.0.2.21/24 2001:db8::21/64
	direct_site db 192.0.2.31/24 2001:db8::31/64
	control_init >/dev/null
	control_run || exit 1
	agent_run web && agent_run db && enroll site/web role=web && enroll site/db role=db || exit 1
	on db "$PROBE" serve db tcp/5432 tcp/22 tcp/9999 tcp/8000 >/dev/null 2>&1 &
	on web "$PROBE" serve web tcp/7000 tcp/7001 >/dev/null 2>&1 &
	beside_policy overlay || exit 1
	local h
	for h in web db; do V4[$h]=$(overlay "$h" 4) V6[$h]=$(overlay "$h" 6); done
	check "before: what policy allows works" wait_for 20 allowed
	# From here on web is hostile: only db's rules stand between it and db. Where the agent owned the table it is ownerless now.
	kill -KILL "${AGENTS[web]}"
	wait "${AGENTS[web]}" 2>/dev/null
	unset "AGENTS[web]"
	wait_for 5 on web nft delete table inet sortie
	check "before: what it does not is denied" denied
}

ask() { # HOST ADDRESS/PORT...: an outcome a line, all asked at once
	local host=$1
	shift
	printf '%s\n' "$@" | sed 's|\(.*\)/\(tcp/[0-9]*\)|{"id":"&","to":"\1","port":"\2"}|' | paste -sd, | sed 's/.*/[&]/' |
		on "$host" "$PROBE" ask -t "$TEST_SCALE" | tr ',' '\n'
}
all_are() { # OUTCOME HOST ADDRESS/PORT...
	local outcome=$1 got
	shift
	for _ in 1 2 3; do # an answer, also a refusal, may be late on a busy machine
		got=$(ask "$@")
		[[ $(grep -c "\"$outcome" <<<"$got") -ne $(($# - 1)) ]] || return 0
		[[ $outcome != silent && $got == *silent* ]] || break
	done
	echo "$got"
	return 1
}
none_open() { # HOST ADDRESS/PORT...
	local got
	got=$(ask "$@")
	[[ $got == *\"* && $got != *open* ]] || { echo "$got"; return 1; }
}
allowed() {
	all_are open web "${V4[db]}/tcp/5432" "${V6[db]}/tcp/5432" && all_are open db "${V4[web]}/tcp/7000" "${V6[web]}/tcp/7000"
}
# At db: web has no rules of its own any more (beside_up). Out of db it is refused before it leaves.
denied() {
	all_are silent web "${V4[db]}/tcp/22" "${V6[db]}/tcp/22" "${V4[db]}/tcp/9999" "${V6[db]}/tcp/9999" &&
		all_are refused db "${V4[web]}/tcp/7001" "${V6[web]}/tcp/7001"
}
database_shut() { none_open web "${V4[db]}/tcp/5432" "${V6[db]}/tcp/5432"; }
# from another host of the underlay, both families
underlay_reaches() { all_are open internet "192.0.2.31/$1" "2001:db8::31/$1"; }
underlay_refuses() { none_open internet "192.0.2.31/$1" "2001:db8::31/$1"; }

findings() { # of db, the certain ones
	at db status --json | python3 -c '
import json, sys
for f in json.load(sys.stdin)["foreign"]:
    if f["certain"]:
        print(f["software"], f["where"], "|", f["what"], "|", f.get("allow", ""))'
}
says() { # PATTERN: a finding is like that
	findings | grep -E -e "$1" || { findings; return 1; }
}
says_nothing() { [[ -z $(findings) ]] || { findings; return 1; }; }
line_for() { # PATTERN
	findings | grep -E -m 1 -e "$1" | sed 's/.*| //'
}
obey() { # PATTERN: runs the very line that status prints for it, as root of db would
	local line
	line=$(line_for "$1")
	[[ -n $line ]] || { findings; return 1; }
	echo "$line"
	on db sh -c "$line"
}
table_stands() { on db nft list table inet sortie | grep -q base_prerouting; }
repaired() { at db status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["counters"]["repaired"])'; }
