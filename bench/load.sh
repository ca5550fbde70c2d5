#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Rows load-1k, load-10k, load-100k: our code against `nft -f` of the same ruleset, both from fork to exit, each in a fresh
# network namespace, in turn; the median of the ratios of pairs. Row delta-100k: a change of ten elements in 100,000 with
# the handle that loaded them, read back, against that load; in one process. SAMPLES multiplies the numbers of pairs.
#
# The text for nft is the listing of what our code has loaded, without what a person would not write: counters of elements
# that are zero, times that are left. One expression of ours cannot be written in its language (the port of a flow, ct
# original proto-dst, in a concatenation): there it gets the port of the packet, which costs the same.
source "$(dirname "$0")/../tests/net/lib.sh"
set -e
TOOL=$B/tests/tools/fw_load
[[ -x $TOOL ]] || make -s -C "$ROOT" "${TOOL#"$ROOT"/}"

text() { # N
	unshare -n bash -c '"$0" apply "$1" && nft -n list table inet sortie' "$TOOL" "$1" | sed -E \
		-e 's/(6|17|58|1) \. ct original proto-dst/th dport/' -e 's/ct protocol \. ct original proto-dst/meta l4proto . th dport/' \
		-e 's/ counter packets 0 bytes 0//g' -e 's/ expires [0-9a-z]+//g' >"$T/$1.nft"
	unshare -n nft -f "$T/$1.nft"
}

row() { # NAME GOAL UNIT REFERENCE < lines of two times, of which the second by the first is the value
	python3 -c '
import json, statistics, sys
name, goal, unit, reference = sys.argv[1:]
pairs = [[float(v) for v in line.split()] for line in sys.stdin]
ratio = statistics.median(p[1] / p[0] for p in pairs)
first, second = (statistics.median(p[i] for p in pairs) / 1e6 for i in (0, 1))
print(f"{name}: medians {first:.2f} ms and {second:.3f} ms, of pairs", *(f"{p[1] / p[0]:.4g}" for p in pairs))
if len(pairs[0]) == 4:
    print(f"{name}: by processor time {statistics.median(p[3] / p[2] for p in pairs):.3g} x")
print(json.dumps({"name": name, "value": round(ratio, 5), "unit": unit, "reference": reference, "goal": goal, "samples": len(pairs)}))
' "$@"
}

for size in "1000 33 2.5 1k" "10000 33 2.5 10k" "100000 5 1.7 100k"; do
	read -r n pairs goal name <<<"$size"
	text "$n"
	"$TOOL" pairs "$n" "$T/$n.nft" $((pairs * ${SAMPLES:-1})) |
		row "load-$name" ">= $goal" "x" "nft -f of the same ruleset, $n tuples"
done
"$TOOL" delta 100000 $((5 * ${SAMPLES:-1})) |
	row delta-100k "<= 0.01" "x" "the full load of 100,000 tuples, same process"
finish
