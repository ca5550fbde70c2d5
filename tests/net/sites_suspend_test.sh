#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernel: yes
# The machine is suspended and resumed. The kernel's WireGuard forgets its sessions as soon as that begins, at the sites and at
# the hub, which all are on this machine; then every process stands still for five seconds. No device is touched (pm_test),
# because a virtual machine would lose its disk. Clocks that jump are in sites_recovery_clock_test.sh.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"
if [[ -z ${SORTIE_VM:-} ]]; then
	skip "suspend and resume" "this would be the machine itself: in a virtual machine only"
	finish
fi
if ! echo freezer >/sys/power/pm_test 2>/dev/null; then
	skip "suspend and resume" "no /sys/power/pm_test in this kernel"
	finish
fi

two_sites
watch site4 web "${V4[db]}"
watch site6 web "${V6[db]}"
watch hub4 web "$HUB_OVER4"
watch hub6 web "$HUB_OVER6"
handshakes() { on web wg show sortie0 latest-handshakes | sort; }
handshakes >"$T/before"
suspended() { # what a file system has under way cannot be frozen: again
	local begin=$SECONDS
	echo freeze >/sys/power/state && ((SECONDS - begin >= 4))
}
check "the machine is suspended and resumed" wait_for 20 suspended
SINCE=$(now)
newer() { ! join "$T/before" <(handshakes) | awk '$3 <= $2' | grep -q .; }
check "the web server's sessions are others than before" wait_for 15 newer
watched
outage "suspended" 5000 "$SINCE"
check "web is ready" wait_for 10 at web status --check ready
check "db is ready" wait_for 10 at db status --check ready
check_not "what policy forbids stays so" on db ping -c1 -W1 "${V4[web]}"
check_not "IPv6 too" on db ping -c1 -W1 "${V6[web]}"
sites_end
finish
