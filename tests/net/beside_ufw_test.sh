#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Beside ufw, Debian's own program: what it drops is named with the line that allows it, that line works, and ufw's start,
# reload and stop leave our table alone. On the hub's host too.
[[ -n ${SORTIE_TEST_INSIDE:-} ]] || "$(dirname "$0")/../../packaging/unpack-foreign" "$(dirname "$0")/../../build/foreign" 2>/dev/null
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/foreign_bed.sh"
source "$ROOT/tests/net/beside_bed.sh"
foreign_need ufw iptables
beside_up
for h in db hub; do foreign_private "$h" /etc/ufw /etc/default; done

check "nothing to say where nobody else filters" says_nothing
check "ufw is enabled, ssh allowed" on db sh -c 'ufw allow 22/tcp && ufw --force enable'
check "status names ufw and what it drops" wait_for 5 says 'ufw ip filter INPUT \| tcp/5432 from the overlay, which policy allows \| ufw allow in on sortie0'
for_people() { at db status | grep -F "blocked     tcp/5432 from the overlay, which policy allows, by ufw (ip filter INPUT); to allow it: ufw allow in on sortie0"; }
check "in the text for people as well" for_people
doctor_says() { at db doctor >"$T/doctor"; [[ $? -eq 6 ]] && grep -F "ufw (ip filter INPUT) drops tcp/5432 from the overlay" "$T/doctor" && grep -F '`ufw allow in on sortie0`' "$T/doctor"; }
check "doctor says so too" doctor_says
check "it is true: the database cannot be reached" database_shut
check "the line that it prints, run" obey 5432
check "is true as well: the database can be reached, IPv4 and IPv6" wait_for 5 allowed
check "and there is nothing to say" says_nothing
check "what policy denies is denied, ufw's ssh rule or not" denied
check "what ufw allows in the underlay works" underlay_reaches tcp/22
check "and nothing else does" underlay_refuses tcp/9999

check "mode enforce" beside_policy enforce
check "enforce: policy does not serve ssh, ufw's rule does not help" underlay_refuses tcp/22
check "enforce: overlay as before" wait_for 10 allowed
check "enforce, ssh served by policy" beside_policy enforce \
	'underlay: [{name: ssh, on: role=db, from: [192.0.2.0/24, "2001:db8::/64"], allow: [tcp/22]}]'
check "what policy and ufw both allow works" wait_for 5 underlay_reaches tcp/22
before=$(repaired)
check "ufw reload" on db ufw reload
check "our table stands, flows and denies are as before" eval 'table_stands && allowed && denied'
check "ufw is disabled" on db ufw disable
check "our table stands, flows and denies are as before" eval 'table_stands && allowed && denied && underlay_refuses tcp/9999'
check "nothing of ours had to be repaired" test "$(repaired)" -eq "$before"

# ---- the hub
hub_status() { "$B/sortie" --control "$T/control.sock" status --json; }
hub_line() { hub_status | python3 -c '
import json, sys
print(*[w.split("to allow it: ")[1] for w in json.load(sys.stdin)["warnings"] if "to allow it: " in w and sys.argv[1] in w], sep="\n")' "$1"; }
check "the hub's host has nothing to say" test -z "$(hub_line ufw)"
check "ufw on the hub's host" on hub ufw --force enable
check "the control plane names the port that is shut" test "$(hub_line 'sites send')" = "ufw allow $HUB_PORT/udp"
check "and the API" test "$(hub_line 'agents')" = "ufw allow in on sortie0"
finish_hub() {
	on hub sh -c "$(hub_line 'sites send')" && on hub sh -c "$(hub_line agents)"
}
check "both lines, run" finish_hub
check "then it has nothing to say" test -z "$(hub_line ufw)"
newcomer() {
	direct_site late 192.0.2.41/24 2001:db8::41/64
	agent_run late && enroll site/late role=late
}
check "a host that comes now enrols through it" newcomer
sites_end
finish
