#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rows own-firewall-1, own-firewall-1000, own-site-to-site-nebula: the rows of bench/firewall.sh and bench/sites.sh once more, with
# the wireguard-go and the Nebula that this machine has. On Debian 12 that is wireguard-go of 2022, which knows no batches.
cd "$(dirname "$0")" || exit
export OWN=1
ROWS=own-firewall PACKET='' bash firewall.sh
firewall=$?
ROW=own-site-to-site-nebula bash sites.sh
exit $((firewall | $?))
