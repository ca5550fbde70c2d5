#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rows firewall-kernel-1, -1000, -ns, -path-ns: bench/firewall.sh on the kernel's WireGuard, in User Mode Linux (bench/uml/kernel,
# `make bench-uml`). One processor does it all there, sender, receiver and both ends of the tunnel, and WireGuard's ciphers
# are those in C: the ratio is that of a slow machine. What the table costs a packet in ns is the figure to compare.
set -eu
cd "$(dirname "$0")/../.."
B=$(realpath -m "${B:-build}")
make -s "B=$B" "$B/tests/tools/fw_apply" "$B/bench/stream"
mkdir -p "$B/uml"
script=$B/uml/firewall-bench
{
	printf 'export B=%q ROWS=firewall-kernel WHERE=%q TEST_SCALE=10 OWN=1 PYTHONDONTWRITEBYTECODE=1\n' \
		"$B" ', one processor for both hosts, ciphers in C (User Mode Linux)'
	for name in BENCH_QUADS BENCH_MS RULES PACKET PARTS BARE; do
		[[ -z ${!name+set} ]] || printf 'export %s=%q\n' "$name" "${!name}"
	done
	printf 'exec bash %q\n' "$PWD/bench/firewall.sh"
} >"$script"
exec bench/uml/boot "$script"
