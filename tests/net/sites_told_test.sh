#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A revoked identity that is connected hears that it was, by its own tombstone, over IPv4 and over IPv6; one that is away does
# not. The hub has no peer of either when `sortie identity revoke` has returned.
#
#     hub 192.0.2.1, 2001:db8::1 ---- internet ---- stay, four, away 192.0.2.21 to .23;  six 2001:db8::24
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"

internet_up
direct_site stay 192.0.2.21/24
direct_site four 192.0.2.22/24
direct_site away 192.0.2.23/24
direct_site six 2001:db8::24/64
control_init --endpoint "[$HUB6]:$HUB_PORT" >/dev/null
control_run || exit 1
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: everybody, from: env=prod, to: env=prod, allow: [icmp]}
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
ready() { at "$1" status --check ready; }
for h in stay four away six; do
	agent_run "$h" || exit 1
	check "$h enrolled" enroll "site-a/$h" env=prod
done
for h in stay four away six; do check "$h is ready" wait_for 30 ready "$h"; done
hub_peers() { on hub wg show sortie0 allowed-ips; }
of() { at "$1" status --json | python3 -c "import json, sys; print(json.load(sys.stdin)['$2'])"; }
told() { [[ $(of "$1" revoked) == True ]]; }
exits() { # CODE COMMAND...
	local rc=0
	"${@:2}" || rc=$?
	[[ $rc -eq $1 ]] || { echo "exit $rc, not $1"; return 1; }
}
waits() { sortie identity show "site-a/$1" --json | grep -q '"connected": *true'; } # its poll is with the control plane

for h in four six; do
	address=$(overlay "$h" 6)
	check "$h: the hub has a peer of it" grep -qF "$address" <(hub_peers)
	wait_for 10 waits "$h"
	sleep 1 # between two polls nobody listens
	check "$h: revoked" sortie identity revoke "site-a/$h"
	check_not "$h: with the answer the hub has none" grep -qF "$address" <(hub_peers)
	check "$h: it knows" wait_for 5 told "$h"
	check "$h: status begins with it" eval "at $h status | head -1 | grep -q '^site-a/$h, revoked, '"
	check "$h: and says what to do" eval "at $h status | grep -q 'warning: this identity was revoked: .sortie leave., then enrol again'"
	check "$h: status --check ready: exit 4" exits 4 at "$h" status --check ready
	check "$h: nobody is its peer" wait_for 5 eval "[[ -z \$(at $h status --json | grep -F site-a/stay) ]]"
	check "$h: the tombstone is kept" test "$(wc -l <"$T/$h/tombstones.jsonl")" -ge 1
done
kill "${AGENTS[four]}"
wait "${AGENTS[four]}"
agent_run four
check "four: it knows after a restart" told four
check "four: and is not ready" exits 4 at four status --check ready
check "four: leaves" at four leave
check "four: and enrols anew" enroll site-a/four env=prod
check "four: is ready again" wait_for 30 ready four

# Away while it was revoked: the hub has no peer of it any more, so there is nobody to tell.
kill "${AGENTS[away]}"
wait "${AGENTS[away]}"
check "away: revoked" sortie identity revoke site-a/away
agent_run away
silent() { [[ $(of away hub_answers) == False ]]; }
check "away: the hub is silent" wait_for 20 silent
check_not "away: it was told nothing" told away
check "away: status --check ready: exit 5" exits 5 at away status --check ready
check "away: doctor asks whether it was revoked" eval "at away doctor | grep -q 'was this identity not revoked?'"
sites_end
finish
