# SPDX-License-Identifier: GPL-2.0-or-later
# An agent whose clocks a test moves, on top of lib.sh and sites.sh: tests/tools/preload/timeshim.c, compiled where it is used.
#
#   timeshim_made                       fails where there is no compiler; what it said is in $T/cc.out
#   shift_clocks HOST WALL [BOOTTIME]   seconds; from now on, also while its agent runs
#   shifted_agent_start HOST            as agent_start, with the clocks that shift_clocks says

timeshim_made() { "${CC:-gcc}" -shared -fPIC -o "$T/timeshim.so" "$ROOT/tests/tools/preload/timeshim.c" 2>"$T/cc.out"; }
shift_clocks() { # in place: the agent has it mapped
	[[ -e $T/shifts.$1 ]] || head -c 16 /dev/zero >"$T/shifts.$1"
	python3 -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("qq", *map(int, sys.argv[2:])))' "$T/shifts.$1" "$2" "${3:-0}"
}
shifted_agent_start() {
	export LD_PRELOAD=$T/timeshim.so TIME_SHIFTS=$T/shifts.$1
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 agent_start "$1"
	unset LD_PRELOAD TIME_SHIFTS
}
