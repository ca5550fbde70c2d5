#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random changes through one handle, at times with somebody else's hands in the table: what it holds for true, what the
# kernel holds, and what a new handle would do must agree after each. SEED picks the first seed of a run.
# kernel: yes
source "$(dirname "$0")/lib.sh"
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
ROUNDS=${ROUNDS:-${SORTIE_VM:+2}} # an emulated processor does a change in a tenth of a second
for ((i = 0; i < ${ROUNDS:-8}; i++)); do
	check "seed $((SEED + i)): 60 changes" unshare -n "$B/tests/tools/fw_random" $((SEED + i)) 60
done
check "seed 600716605: a removed range lies in one that stands" unshare -n "$B/tests/tools/fw_random" 600716605 40
check "the steps leave rules and elements behind" unshare -n bash -c '
	"$0" 1 5 && nft list table inet sortie >"$1" && grep -q "elements = " "$1" && grep -q "@in4" "$1"' "$B/tests/tools/fw_random" "$T/table"
finish
