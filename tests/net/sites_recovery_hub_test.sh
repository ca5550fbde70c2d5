#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# The hub's bad days: its control plane is killed, the relay's maps are lost, the whole host reboots and comes back with
# nothing but its disk. Each with the time that sites and management sessions were without, IPv4 and IPv6.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

two_sites
watch_all() {
	watch site4 web "${V4[db]}"
	watch site6 web "${V6[db]}"
	watch hub4 web "$HUB_OVER4"
	watch hub6 db "$HUB_OVER6"
}
check "web reaches the database" wait_for 20 reaches web "${V6[db]}" icmp

# ---- the control plane alone
watch_all
sleep 1
kill -9 "$CONTROL_PID"
wait "$CONTROL_PID" 2>/dev/null
sleep 2
check "control plane killed: an agent's status says what became of its call" \
	eval 'at web status | grep -E "^warning: the control plane does not answer: (the connection ended before the answer|Connection refused)$"'
control_start || fail "the control plane starts again"
check "control plane killed: agents find it again" wait_for 15 status_is web 's["control_answers"]'
sleep 1
watched
unharmed "control plane killed"

# ---- the relay's maps: the program is loaded anew, beside a control plane that goes on
watch_all
sleep 1
relay_lost() {
	on hub "$B/sortie-relay-load" --unload --bpffs "$T/bpf" 2>/dev/null
}
since=$(now)
relay_lost
on hub "$B/sortie-relay-load" --interface eth0 --bpffs "$T/bpf" --port $HUB_PORT 2>/dev/null || fail "the relay is loaded anew"
sleep 6
watched
outage "relay maps lost" 5000 "$since"

# ---- a reboot: 3 s of nothing, then what the units start
watch_all
sleep 1
kill -9 "$CONTROL_PID"
wait "$CONTROL_PID" 2>/dev/null
on hub ip link del sortie0
on hub nft flush ruleset
relay_lost
sleep 3
since=$(now)
control_run 2>/dev/null || fail "the hub comes back"
sleep 6
watched
outage "hub rebooted" 5000 "$since"

# ---- a site whose agent is dead notices nothing for two minutes: the hub calls it where it was
kill -9 "${AGENTS[db]}"
wait "${AGENTS[db]}" 2>/dev/null
unset "AGENTS[db]"
DB_KEY=$(on db wg show sortie0 public-key)
since=$SECONDS
on hub ip link del sortie0
wait_for 5 on hub wg show sortie0 latest-handshakes
spoken() { [[ $(on hub wg show sortie0 latest-handshakes | awk -v key="$DB_KEY" '$1 == key {print $2}') -gt 0 ]]; }
check "a new hub calls a site whose agent is dead" wait_for 15 spoken
echo "# a new hub and a dead agent: $((SECONDS - since)) s"
sites_end
finish
