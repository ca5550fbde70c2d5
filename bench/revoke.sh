#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Row revoke-p99-ms: from the API's answer (without --wait) to the last byte at the receiver, p99 of BENCH_RUNS (500) runs.
# One receiver, a pool of senders behind the hub's relay, each with its own agent and WireGuard; uploads and downloads, TCP
# and UDP, IPv4 and IPv6 in turn. All clocks are the machine's CLOCK_MONOTONIC. See bench/revoke.py.
source "$(dirname "$0")/../tests/net/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/bench/flat.bash"
set -e
mapfile -t SENDERS < <(seq -f 'sender%g' 1 "${BENCH_SENDERS:-8}")
flat_up receiver "${SENDERS[@]}"
flat_control
"$ROOT/bench/revoke.py" "$(flat_json)" || { tail -n 5 "$T"/*.log >&2; exit 1; }
finish
