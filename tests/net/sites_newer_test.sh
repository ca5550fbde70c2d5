#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The smallest whole once more, with the wireguard-go of Debian 13 and Ubuntu 24.04: it gives the relay and the firewall batches of
# packets (GSO, GRO), where Debian 12's gives them one by one.
source "$(dirname "$0")/newer.sh"
newer wireguard-go
if [[ $(command -v wireguard-go) != "$VM_DIR"/* ]]; then
	echo "ok sites with another wireguard-go # SKIP only this machine's own is to be had"
	exit 77
fi
exec bash "$(dirname "$0")/sites_kernel_test.sh"
