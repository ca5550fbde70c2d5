#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Sequential enrolments a second at the handler, SQLite with synchronous=FULL on a real disk (BENCH_DISK, a folder, default
# /var/tmp): 5 runs, the median counts. The reference is the disk itself: fsynced 4 KiB writes a second in the same folder.
set -eu
B=${B:-build}
DISK=${BENCH_DISK:-/var/tmp}
N=${ENROLMENTS:-300}
runs=() floors=()
for _ in 1 2 3 4 5; do
	read -r ms answered stored < <("$B/tests/tools/enroll_bench" "$DISK" "$N")
	if [[ $answered -ne $N || $stored -ne $N ]]; then
		echo "enroll: $answered answered, $stored stored of $N" >&2
		exit 1
	fi
	runs+=($((N * 1000 / (ms > 0 ? ms : 1))))
	floors+=("$(python3 - "$DISK" <<'PY'
import os, sys, tempfile, time
with tempfile.NamedTemporaryFile(dir=sys.argv[1]) as f:
    start = time.monotonic()
    for i in range(200):
        os.pwrite(f.fileno(), b"x" * 4096, i * 4096)
        os.fsync(f.fileno())
    print(int(200 / (time.monotonic() - start)))
PY
)")
done
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
value=$(median "${runs[@]}")
echo "enrolments/s in 5 runs of $N: ${runs[*]}; fsyncs/s: ${floors[*]}; filesystem: $(stat -f -c %T "$DISK")"
printf '{"name": "enrol-per-s", "value": %d, "unit": "1/s", "reference": "fsynced writes/s on the same disk: %d", "goal": ">= 100", "samples": %d}\n' \
	"$value" "$(median "${floors[@]}")" $((5 * N))
