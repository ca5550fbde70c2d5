#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Beside firewalld, Debian's own daemon with a message bus of its own: what it drops is named with the line that allows it, that
# line works, and its start, reload and stop leave our table alone.
[[ -n ${SORTIE_TEST_INSIDE:-} ]] || "$(dirname "$0")/../../packaging/unpack-foreign" "$(dirname "$0")/../../build/foreign" 2>/dev/null
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/foreign_bed.sh"
source "$ROOT/tests/net/beside_bed.sh"
foreign_need firewalld firewall-cmd dbus-daemon
mkdir -p /run/dbus
beside_up
on db dbus-daemon --system --fork

nsenter -t "${PIDS[db]}" -n -m -- firewalld --nofork --nopid >"$T/firewalld.log" 2>&1 &
FIREWALLD=$!
check "firewalld starts" wait_for 60 on db firewall-cmd --state
check "status names firewalld and what it drops" wait_for 5 says 'firewalld inet firewalld filter_INPUT \| tcp/5432 from the overlay, which policy allows \| firewall-cmd --zone=trusted --add-interface=sortie0'
check "it is true: the database cannot be reached" database_shut
check "the line that it prints, run" obey 5432
check "is true as well: the database can be reached, IPv4 and IPv6" wait_for 5 allowed
check "and there is nothing to say" says_nothing
check "what policy denies is denied" denied
check "firewalld's ssh works in the underlay" underlay_reaches tcp/22
check "and nothing else does" underlay_refuses tcp/9999
check "mode enforce, ssh served by policy" beside_policy enforce \
	'underlay: [{name: ssh, on: role=db, from: [192.0.2.0/24, "2001:db8::/64"], allow: [tcp/22]}]'
check "enforce: overlay as before" wait_for 10 allowed
check "enforce: what policy and firewalld both allow works" wait_for 5 underlay_reaches tcp/22
before=$(repaired)
check "what is allowed for good" on db firewall-cmd --permanent --zone=trusted --add-interface=sortie0
# As `systemctl reload` does it: firewall-cmd gives an answer 25 s, an emulated processor needs more.
table_handle() { on db nft -a list table inet firewalld | head -n 1; }
reloaded() { [[ $(table_handle) != "$handle" ]] && ! on db nft list table inet firewalld_policy_drop && on db firewall-cmd --state; }
handle=$(table_handle)
firewalld_reload() { kill -HUP "$FIREWALLD" && wait_for 20 reloaded; }
check "firewalld reloads" firewalld_reload
check "our table stands, flows and denies are as before" eval 'table_stands && allowed && denied'
firewalld_stop() { kill -TERM "$FIREWALLD" && wait_for 20 eval '! on db nft list table inet firewalld'; }
check "firewalld stops" firewalld_stop
check "our table stands, flows and denies are as before" eval 'table_stands && allowed && denied && underlay_refuses tcp/9999'
check "nothing of ours had to be repaired" test "$(repaired)" -eq "$before"
sites_end
finish
