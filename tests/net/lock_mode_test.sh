#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Modes and `egress: locked` as they come to a host, by signed policy, by `sortie mode` and by `sortied --mode`: what each
# lets through and what it does not, in the overlay and the underlay, IPv4 and IPv6; and what people are told about it.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/expect.sh"

internet_up
direct_site web 192.0.2.21/24 2001:db8::21/64
direct_site db 192.0.2.22/24 2001:db8::22/64
control_init >/dev/null
control_run 2>/dev/null || exit 1
on db "$PROBE" serve db tcp/22 tcp/2222 tcp/5432 >/dev/null 2>&1 &
on internet "$PROBE" serve internet tcp/80 tcp/81 >/dev/null 2>&1 &
for h in web db; do agent_run $h || exit 1; done
check "web enrolled" enroll site-a/web role=web
check "db enrolled" enroll site-b/db role=db
policy() { # MODE: db's; web only watches, so that db alone decides
	cat >"$T/policy.yaml" <<-YAML
		version: 1
		hosts: [{on: role=web, mode: observe}, {on: role=db, mode: $1, egress: locked}]
		rules: [{name: r, from: role=web, to: role=db, allow: [tcp/5432]}]
		underlay: [{name: bastion, on: role=db, from: [192.0.2.99/32, "2001:db8::99/128"], allow: [tcp/2222]}]
		egress: [{name: packages, on: role=db, to: [192.0.2.99/32, "2001:db8::99/128"], allow: [tcp/80]}]
	YAML
	sortie policy apply "$T/policy.yaml" >/dev/null
}
check "policy applied: observe" policy observe
V4=$(overlay db 4) V6=$(overlay db 6)
mode_is() { # MODE: in force
	at db status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); sys.exit(s["mode"] != sys.argv[1] or s["enforce_pending"] or not s["peers"])' "$1"
}
round() { # WHEN UNALLOWED UNSERVED UNLISTED: of the overlay, into the host, out of the host
	expect web "$1" <<-CASES
		open+db $V4 $V6 tcp/5432 a peer to what policy allows
		$2 $V4 $V6 tcp/22 a peer to what it does not
	CASES
	expect internet "$1" <<-CASES
		open+db 192.0.2.22 2001:db8::22 tcp/2222 from outside to a served port
		$3 192.0.2.22 2001:db8::22 tcp/22 from outside to another
	CASES
	expect db "$1" <<-CASES
		open+internet 192.0.2.99 2001:db8::99 tcp/80 out to a listed destination
		$4 192.0.2.99 2001:db8::99 tcp/81 out to another
	CASES
}
OBSERVE="open+db open+db open+internet" OVERLAY="closed open+db open+internet" ENFORCE="closed closed refused"
first() { at db status | head -n 1 | grep -qE -e "$1" || { at db status; return 1; }; }
again() { # ARGS...: the agent, started anew
	kill "${AGENTS[db]}"
	wait "${AGENTS[db]}" 2>/dev/null
	agent_run db "$@" || fail "the agent starts again"
}

# ---- what policy says is the least
# shellcheck disable=SC2086 # three words
{
check "observe: in force" wait_for 20 mode_is observe
round observe $OBSERVE
check "observe: status warns" eval 'at db status | grep -q "^warning: mode observe: nothing is dropped"'
check "observe: doctor warns" eval 'at db doctor | grep -qE "^warn +underlay +mode observe: nothing is dropped"'
check "observe: what would have been dropped is on record" eval 'at db flows | grep -q "would-deny.*tcp/22 " && at db flows | grep -q "would-deny.*tcp/81 "'

# ---- the host tightens, and takes that back
check "mode overlay" at db mode overlay
check "overlay: in force" mode_is overlay
round overlay $OVERLAY
check "mode enforce" at db mode enforce
check "enforce: in force" wait_for 20 mode_is enforce
round enforce $ENFORCE
check "enforce: the last deny is told by where it went to" wait_for 5 first ", last deny [0-9]+s ago: out (192.0.2.99:81|\[2001:db8::99\]:81) tcp/81$"
check "enforce: the hub is reached all the same" wait_for 10 at db status --check ready
again
check "enforce: over a restart" mode_is enforce
round "enforce, restarted" $ENFORCE
check "taken back: mode overlay" at db mode overlay
round "overlay again" $OVERLAY

# ---- a lock that nobody confirms goes back to what the host had, not to what policy has
check "mode enforce --confirm" at db mode enforce --confirm "$((5 * TEST_SCALE))s" # as long as the probes take
expect internet "unconfirmed" <<<"closed 192.0.2.22 2001:db8::22 tcp/22 from outside to a port that is not served"
expect db "unconfirmed" <<<"refused 192.0.2.99 2001:db8::99 tcp/81 out to what is not listed"
check "undone: overlay again" wait_for 15 mode_is overlay
round "undone" $OVERLAY

# ---- sortied --mode
check "mode enforce" at db mode enforce
again --mode enforce
check "--mode enforce: in force" wait_for 20 mode_is enforce
refused "--mode enforce: mode overlay names what holds it: exit 3" 3 "started with --mode enforce.*sortied.env" at db mode overlay
check "policy applied: enforce" policy enforce
again
refused "policy enforces: mode overlay names what holds it: exit 3" 3 "policy says enforce here.*change the policy" at db mode overlay
check "policy enforces: in force" wait_for 20 mode_is enforce
round "policy enforces" $ENFORCE
}
sites_end
finish
