#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The rows of bench/firewall.sh and bench/sites.sh under other conditions, as reports without a goal:
#   own-*    with the wireguard-go and the Nebula that this machine has. On Debian 12 that is wireguard-go of 2022: no batches
#   wire-*   with packets one by one between hosts
cd "$(dirname "$0")" || exit
failed=0
both() { # PREFIX NAME=VALUE...
	env "${@:2}" GOAL=0 "ROWS=$1-firewall" PACKET= bash firewall.sh || failed=1
	env "${@:2}" GOAL=0 "ROW=$1-site-to-site-nebula" bash sites.sh || failed=1
}
both own OWN=1
both wire WIRE=1
exit $failed
