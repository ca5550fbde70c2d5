#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A test (and the demo, which is made of the same parts) that is interrupted leaves no process, no mount and no folder.
source "$(dirname "$0")/lib.sh"
cat >"$T/long.sh" <<SCRIPT
source "$ROOT/tests/net/lib.sh"
host x
on x ip link add v0 type veth peer name v1
on x sleep 54321 &
sleep 54321
SCRIPT
for signal in INT TERM; do
	# Its own process group, with SIGINT as a terminal's child has it.
	python3 -c 'import os, signal, sys
os.setsid(); signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp("env", ["env", "-u", "SORTIE_TEST_INSIDE", "bash", sys.argv[1]])' "$T/long.sh" &
	child=$!
	check "$signal: it runs, here and in its host" wait_for 10 sh -c "test \$(pgrep -fc 'sleep 5432[1]') -ge 2"
	kill -$signal $child
	wait $child
	check "$signal: it ends with 130" test $? -eq 130
	check "$signal: nothing of it runs on" wait_for 5 sh -c "! pgrep -f 'sleep 5432[1]'"
	check "$signal: no folder is left" test "$(find /run -maxdepth 1 -name 'test.*' | wc -l)" -eq 1
done
finish
