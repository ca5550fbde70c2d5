#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# A doctor's visit harms nobody: both sites are behind NATs that give each destination another port, so that a detour to the hub's
# second port shows the hub another host. From site to site nothing is lost; what the host asks the hub itself waits for the
# detours, a seventh of a second each. IPv4 and IPv6.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"
two_sites
check "web is ready" wait_for 20 at web status --check ready
check "db is ready" wait_for 20 at db status --check ready
watch site4 web "${V4[db]}"
watch site6 web "${V6[db]}"
watch hub4 db "$HUB_OVER4"
watch hub6 db "$HUB_OVER6"
visit() { # HOST
	at "$1" doctor >"$T/doctor" 2>&1 || { cat "$T/doctor"; return 1; }
	grep -qE "^ok +hub +$HUB4:$HUB_PORT answers by UDP.*in use" "$T/doctor" && ! grep -vE "^ok |^warn +wireguard " "$T/doctor"
}
for i in 1 2 3; do check "visit $i to db: all is well" visit db; done
grep "hub " "$T/doctor" | sed 's/^/# /'
check "a visit to web: all is well" visit web
kill -KILL "${AGENTS[db]}"
wait "${AGENTS[db]}" 2>/dev/null
check "a visit without an agent" eval 'on db "$B/sortied" --doctor --state "$T/db" --socket "$T/db.sock" >"$T/doctor" 2>&1'
grep "hub " "$T/doctor" | sed 's/^/# /'
agent_run db
check "the agent is back" wait_for 20 at db status --check ready
sleep 2 # what a visit leaves behind may show later
watched
WATCHES_OVER=(site4 site6)
unharmed "five visits"
WATCHES_OVER=(hub4 hub6)
outage "five visits" 400
sites_end
finish
