# SPDX-License-Identifier: GPL-2.0-or-later
# What the recovery tests share, on top of lib.sh and sites.sh: probes all the time, and how long they went unanswered.
#
#   watch NAME HOST ADDRESS       50 echoes a second until watched; NAME of "site4", "site6", "hub4", "hub6"
#   watched                       ends all of them
#   outage TITLE BOUND_MS [SINCE] a TAP line and a figure for each watch: "# TITLE NAME: x ms / lost n". Without SINCE x is the
#                                 longest time without an answer; with it (seconds as `date +%s.%N`) from there to the end of the
#                                 last silence in which something was lost
#   unharmed TITLE                a TAP line and a figure for each watch: nothing was lost
WATCH_MS=20
declare -A WATCHES=()

watch() {
	nsenter -t "${PIDS[$2]}" -n ping -D -n -i 0.02 -w 600 "$3" >"$T/watch.$1" 2>&1 &
	WATCHES[$1]=$!
	wait_for 20 grep -q "icmp_seq=.* time=" "$T/watch.$1" || fail "the watch of $1 begins"
}

watched() {
	local name
	for name in "${!WATCHES[@]}"; do
		kill -INT "${WATCHES[$name]}"
		wait "${WATCHES[$name]}"
	done 2>/dev/null
	WATCHES_OVER=("${!WATCHES[@]}")
	WATCHES=()
}

silence() { # NAME [SINCE]: "MS LOST"
	awk -v since="${2:-0}" -v period=$WATCH_MS '
		/icmp_seq=.* time=/ {
			at = substr($1, 2) + 0
			match($0, /icmp_seq=[0-9]+/)
			seq = substr($0, RSTART + 9, RLENGTH - 9) + 0
			if (seq <= last) next # a duplicate, or one that was overtaken
			if (last) {
				lost += seq - last - 1
				gap = (at - was) * 1000
				if (gap > longest) longest = gap
				if (seq > last + 1 && at > since) ended = at
			}
			last = seq; was = at
		}
		/packets transmitted/ {sent = $1 + 0}
		END {
			if (!last) {print "999999 999999"; exit}
			if (sent > last + 1) {lost += sent - last; longest = 999999; ended = since + 999} # never came back
			if (since) longest = ended > since ? (ended - since) * 1000 : 0
			else longest -= period
			printf "%d %d\n", longest < 0 ? 0 : longest, lost
		}' "$T/watch.$1"
}

outage() {
	local name ms lost
	for name in "${WATCHES_OVER[@]}"; do
		read -r ms lost < <(silence "$name" "${3:-}")
		echo "# $1 $name: $ms ms / lost $lost"
		check "$1: $name is back within $2 ms" test "$ms" -le $(($2 * TEST_SCALE))
	done
}

unharmed() {
	local name ms lost
	for name in "${WATCHES_OVER[@]}"; do
		read -r ms lost < <(silence "$name")
		echo "# $1 $name: $ms ms / lost $lost"
		check "$1: $name lost nothing" test "$lost" -eq 0
	done
}

now() { date +%s.%N; }
status_is() { # HOST EXPRESSION: of python, over the status object s
	at "$1" status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); sys.exit(not eval(sys.argv[1]))' "$2"
}
