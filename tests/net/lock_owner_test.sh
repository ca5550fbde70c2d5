#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Tables with an owner (kernel 6.9): while the agent runs nobody else can change the table, flush included; it outlives
# its owner, is anybody's then, and the next one takes it over as it stands. On older kernels the table is a plain one.
# kernel: yes
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/firewall_bed.sh"

for h in me peers; do host $h; done
FW_PID=${PIDS[me]}
overlay_wire me peers
inventory me good >"$T/inventory.json"
for port in 80 81; do
	echo "{\"version\": 1, \"rules\": [{\"name\": \"r\", \"from\": \"site/good\", \"to\": \"site/me\", \"allow\": [\"tcp/$port\"]}]}" >"$T/$port.yaml"
done
apply() { # PORT ARGS...
	fw_apply --policy "$T/$1.yaml" --inventory "$T/inventory.json" "${@:2}"
}
hold() { # PORT: an owner, $HOLDER
	: >"$T/holding"
	# shellcheck disable=SC2016 # expanded inside
	bash -c 'exec nsenter -t "$FW_PID" -n -m -- "$B/tests/tools/fw_apply" --self site/me --ifname sortie0 --overlay4 "$OVERLAY4" \
		--overlay6 "$OVERLAY6" --hub4 "$HUB4" --hub6 "$HUB6" --hub 192.0.2.1:51820 --hub "[2001:db8::1]:51820" \
		--listen-port 40404 --policy "$1" --inventory "$2" --hold' - "$T/$1.yaml" "$T/inventory.json" >"$T/holding" 2>&1 &
	HOLDER=$!
	wait_for 10 test -s "$T/holding"
	check "$2" grep -qx holding "$T/holding"
}
release() { kill "-$1" "$HOLDER"; wait "$HOLDER" 2>/dev/null; }
stands() { on me nft list table inet sortie >/dev/null 2>&1; }
handles() { on me nft -a list table inet sortie | grep -oE '(table|chain|set) .*# handle [0-9]+'; }
export FW_PID

hold 80 "the table is made, tried and verified"
was=$(handles)
on me nft flush ruleset
if ! stands; then
	pass "this kernel knows no owners: a plain table, which a flush removes"
	release KILL
	hold 80 "made again"
	release KILL
	check "a plain table outlives its maker" stands
	hold 81 "and is adopted"
	release TERM
	check "removed" fw_apply --remove
	finish
fi
pass "a flush of the ruleset leaves the table alone"
check_not "nobody else deletes it" on me nft delete table inet sortie
check_not "nobody else adds to it" on me nft add element inet sortie in4 "{ $GOOD4 . tcp . 22 }"
check_not "nobody else empties a chain" on me nft flush chain inet sortie from_peer
refused=$(apply 81 2>&1)
check "not even one of our own: it says why" grep -q "EPERM" <<<"$refused"
check "nothing of it was changed" test "$(handles)" = "$was"
release KILL
check "killed owner: the table stands" stands
check "killed owner: as it was" apply 80 --verify
hold 81 "the next owner takes it over"
check "it is the same table" test "$(handles)" = "$was"
check "and holds what the next owner wants" apply 81 --verify
check_not "it is protected again" on me nft delete table inet sortie
release TERM
check "without an owner anybody can change it" apply 80
check "who has no use for owners finds it as it should be" apply 80 --verify
check "and it stays what it is" test "$(handles)" = "$was"
check "without an owner it can be removed" fw_apply --remove
check_not "it is gone" stands

# A table that began without an owner goes on without.
check "a plain table" apply 80
hold 81 "is adopted"
check "and stays plain" on me nft add element inet sortie in4 "{ $GOOD4 . tcp . 22 }"
release TERM
finish
