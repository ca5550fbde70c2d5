# SPDX-License-Identifier: GPL-2.0-or-later
# A table of what may be reached, on top of lib.sh: a TAP line for each line and family, all asked at once.
#
#   expect HOST WHEN [SETPRIV ARGS...] < lines of OUTCOME TO4 TO6 PORT WHAT
#                             OUTCOME as probe.py says it, with + for a blank ("open+db"); `closed` is refused or silent
#   asked NAME HOST OUTCOME ADDRESS PORT
#                             one TAP line, the outcome with its blank
#   stand_still WHAT NAME...  streams whose totals are in $T/stream.NAME were cut
#
# An answer, also a refusal, may be late on a busy machine: then it is asked for again. What should be silent is asked once.
PROBE=$ROOT/tests/tools/probe.py
ASK_SECONDS=${TEST_SCALE%.*}

expect() { # HOST WHEN [SETPRIV ARGS...]
	local h=$1 when=$2 outcome to port what v answers attempt i=0 want=() got=() asked=() asking=()
	shift 2
	while read -r outcome v4 v6 port what; do
		for v in 4 6; do
			[[ $v == 4 ]] && to=$v4 || to=$v6
			asking[i]="{\"id\": \"c$i\", \"to\": \"$to\", \"port\": \"$port\"}"
			asked+=("${asked[*]:+,}${asking[i]}")
			want[i]="${outcome//+/ }|IPv$v $when: $what"
			i=$((i + 1))
		done
	done
	for ((i = 0; i < ${#want[@]}; i++)); do got[i]=; done
	for attempt in 1 2 3; do
		answers=$(echo "[${asked[*]}]" | on "$h" "$@" "$PROBE" ask -t "$ASK_SECONDS")
		asked=()
		for ((i = 0; i < ${#want[@]}; i++)); do
			grep -q "\"c$i\":" <<<"$answers" || continue
			got[i]=$(sed -n "s/.*\"c$i\": \"\([^\"]*\)\".*/\1/p" <<<"$answers")
			[[ ${want[i]} != open* && ${want[i]} != refused* || ${got[i]} != silent ]] || asked+=("${asked[*]:+,}${asking[i]}")
		done
		[[ ${#asked[@]} -gt 0 ]] || break
	done
	for ((i = 0; i < ${#want[@]}; i++)); do
		outcome=${want[i]%%|*}
		if [[ ${got[i]} == "$outcome" || ($outcome == closed && (${got[i]} == refused || ${got[i]} == silent)) ]]; then
			pass "${want[i]#*|} is $outcome"
		else
			fail "${want[i]#*|} is $outcome" "it is '${got[i]}'"
		fi
	done
}

asks() { # HOST OUTCOME ADDRESS PORT
	local got attempt
	for attempt in 1 2 3; do
		got=$(echo "[{\"id\": \"x\", \"to\": \"$3\", \"port\": \"$4\"}]" | on "$1" "$PROBE" ask -t "$ASK_SECONDS")
		got=$(sed -n 's/.*"x": "\([^"]*\)".*/\1/p' <<<"$got")
		[[ $got == silent && ($2 == open* || $2 == refused) ]] || break
	done
	[[ $got == "$2" || ($2 == closed && ($got == silent || $got == refused)) ]] || { echo "it is '$got'"; return 1; }
}
asked() { # NAME HOST OUTCOME ADDRESS PORT
	if [[ $3 == open* ]]; then check "$1" wait_for 5 asks "${@:2}"; else check "$1" asks "${@:2}"; fi
}

total() { cut -d' ' -f2 "$T/stream.$1" 2>/dev/null || echo 0; } # NAME: what `probe.py stream` has noted
stand_still() { # WHAT NAME...: a TAP line each: nothing more arrives, retransmissions included
	local what=$1 name attempt moved
	local -A before
	shift
	for attempt in 1 2 3 4; do # what was on its way may still be counted
		for name in "$@"; do before[$name]=$(total "$name"); done
		sleep 1.5
		moved=
		for name in "$@"; do [[ $(total "$name") == "${before[$name]}" ]] || moved+=" $name "; done
		[[ -n $moved ]] || break
	done
	for name in "$@"; do check "${name//-/ }: $what" test "${moved/ $name /}" = "$moved"; done
}
