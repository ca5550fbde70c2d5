# SPDX-License-Identifier: GPL-2.0-or-later
# A table of what may be reached, on top of lib.sh: a TAP line for each line and family, all asked at once.
#
#   expect HOST WHEN [SETPRIV ARGS...] < lines of OUTCOME TO4 TO6 PORT WHAT
#                             OUTCOME as probe.py says it, with + for a blank ("open+db"); `closed` is refused or silent
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
	# What should be open may be late on a busy machine and is asked again; what should not, is asked once.
	for attempt in 1 2 3; do
		answers=$(echo "[${asked[*]}]" | on "$h" "$@" "$PROBE" ask -t "$ASK_SECONDS")
		asked=()
		for ((i = 0; i < ${#want[@]}; i++)); do
			grep -q "\"c$i\":" <<<"$answers" || continue
			got[i]=$(sed -n "s/.*\"c$i\": \"\([^\"]*\)\".*/\1/p" <<<"$answers")
			[[ ${want[i]} != open* || ${got[i]} != silent ]] || asked+=("${asked[*]:+,}${asking[i]}")
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
