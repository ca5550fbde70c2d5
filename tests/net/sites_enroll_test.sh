#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Enrolment inside the tunnel, by hosts that compete, lose the answer, crash, or come with a bad token: one token makes
# one identity, every refusal is one clear line with the documented exit code, and leaves nothing behind.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
TOKENS=${TOKENS:-50}
LANES=${LANES:-8} # a race mostly waits for handshakes, which two hosts with one key take from each other
ENROLL_PORT=7141

internet_up
nat_site nata 192.0.2.11 web
for ((i = 1; i <= LANES; i++)); do
	direct_site "left$i" "192.0.2.$((100 + i))/24" "2001:db8::1:$i/64"
	direct_site "right$i" "192.0.2.$((200 + i))/24" "2001:db8::2:$i/64"
done
control_init >/dev/null
control_run || exit 1
for ((i = 1; i <= LANES; i++)); do
	agent_run "left$i" && agent_run "right$i" || fail "agents of lane $i run"
done
agent_run web || fail "agent of web runs"
check "the host that stays is enrolled" enroll site-a/web role=web
HUB_OVERLAY=$(on hub ip -6 -o addr show dev sortie0 | awk '{sub("/.*", "", $4); print $4; exit}')
alive() { on web ping -6 -c 1 -W 2 "$HUB_OVERLAY"; }
check "it reaches the hub" wait_for 10 alive
REVISION=$(at web status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); print(s["id"], s["ipv6"])')

# ---- a token whose hub does not know it: runs beside everything else, since the agent tries for long
direct_site stranger 192.0.2.50/24 2001:db8::50/64
agent_run stranger || fail "agent of stranger runs"
(umask 077 && "$B/tests/tools/join_token" --endpoint "$HUB4:$HUB_PORT" >"$T/stranger.token")
{
	at stranger enroll --token "file:$T/stranger.token" >"$T/stranger.out" 2>&1
	echo $? >"$T/stranger.rc"
} &
STRANGER=$!

# ---- one token, two hosts at the same time
race() { # LANE: every LANES-th token, presented by both hosts of the lane at once; one line a token
	local lane=$1 i side rc other
	for ((i = lane; i <= TOKENS; i += LANES)); do
		local -A pid=()
		for side in left right; do
			at "$side$lane" enroll --token "file:$T/race.$i" >"$T/race.$i.$side" 2>&1 &
			pid[$side]=$!
		done
		wait "${pid[left]}"
		rc=$?
		wait "${pid[right]}"
		other=$?
		for side in left right; do
			grep -q "^enrolled as site-r/race-$i in demo" "$T/race.$i.$side" && at "$side$lane" leave >/dev/null 2>&1
		done
		echo "$i $rc $other"
	done
}
sortie token create --name site-r/race --labels role=race --count "$TOKENS" --out "$T/race.tokens" >/dev/null
i=0
while read -r line; do i=$((i + 1)); (umask 077 && echo "$line" >"$T/race.$i"); done <"$T/race.tokens"
started=$SECONDS
RACES=()
for ((i = 1; i <= LANES; i++)); do
	race "$i" >"$T/lane.$i" &
	RACES+=($!)
done
wait "${RACES[@]}"
echo "# $TOKENS tokens, each presented by two hosts at once, $LANES pairs of hosts: $((SECONDS - started)) s"
check "every token: one host is enrolled (0), the other is refused (4)" test "$(cat "$T"/lane.* | awk '($2 == 0 && $3 == 4) || ($2 == 4 && $3 == 0)' | wc -l)" -eq "$TOKENS"
losers=$(grep -lE 'another host has used the token for site-r/race-[0-9]+.*\(token-used\)$' "$T"/race.*.left "$T"/race.*.right)
check "every loser's line says that another host has used the token" test "$(wc -l <<<"$losers")" -eq "$TOKENS"
# shellcheck disable=SC2086 # a list of files
check "it is one line" test "$(cat $losers | wc -l)" -eq "$TOKENS"
identities() { # living identities called race, and different ids and addresses among them
	sortie identity list --json | python3 -c '
import json, sys
rows = [i for i in json.load(sys.stdin)["identities"] if i["name"].startswith("site-r/race")]
print(len(rows), len({i["id"] for i in rows}), len({i["name"] for i in rows}), len({i["ipv6"] for i in rows}))'
}
check "the control plane has exactly one identity a token" test "$(identities)" = "$TOKENS $TOKENS $TOKENS $TOKENS"
for ((i = 1; i <= LANES; i++)); do
	check "nothing is left on the two hosts of lane $i" wait_for 5 eval "nothing_left left$i && nothing_left right$i"
done

# ---- the answer is lost
id_at_control() { sortie identity list --json | python3 -c 'import json,sys; [print(i["id"]) for i in json.load(sys.stdin)["identities"] if i["name"] == sys.argv[1]]' "$1"; }
id_at_host() { at "$1" status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])'; }
# Connections are answered, what the enrolment port says in them gets lost.
lose_answers() {
	on hub nft -f - <<-NFT
		table inet lose {
			counter opened {}
			counter lost {}
			chain out { type filter hook output priority 50;
				oifname "sortie0" tcp sport $ENROLL_PORT tcp flags & (syn|ack) == syn|ack counter name opened
				oifname "sortie0" tcp sport $ENROLL_PORT ip6 length > 100 counter name lost drop
			}
		}
	NFT
}
counted() { on hub nft -j list counter inet lose "$1" | python3 -c 'import json,sys; sys.exit(json.load(sys.stdin)["nftables"][1]["counter"]["packets"] < int(sys.argv[1]))' "$2"; }
sortie token create --name site-l/lost --out "$T/lost.token" >/dev/null
lose_answers
at left1 enroll --token "file:$T/lost.token" >"$T/lost.out" 2>&1 &
ASKER=$!
check "the answer gets lost" wait_for 15 counted lost 1
FIRST=$(id_at_control site-l/lost)
check "the control plane has made the identity" test -n "$FIRST"
check "the agent asks again on a new connection" wait_for 20 counted opened 2
on hub nft delete table inet lose
wait $ASKER
check "it is enrolled after all" test $? -eq 0
check "as the identity that had been made" test "$(id_at_host left1)" = "$FIRST"
check "there is one" test "$(id_at_control site-l/lost)" = "$FIRST"

# ---- the agent dies between the deed and the answer
sortie token create --name site-l/crash --out "$T/crash.token" >/dev/null
lose_answers
at right1 enroll --token "file:$T/crash.token" >"$T/crash.out" 2>&1 &
ASKER=$!
check "crash: the answer gets lost" wait_for 15 counted lost 1
FIRST=$(id_at_control site-l/crash)
check "crash: status says that it is enrolling" eval 'at right1 status | head -n 1 | grep -q "^enrolling: "'
refused "crash: status --check ready: not yet, exit 4" 4 "not ready: this host is not enrolled yet" at right1 status --check ready
kill -9 "${AGENTS[right1]}"
wait $ASKER
check "crash: whoever asked is told that the agent is gone" test $? -ne 0
on hub nft delete table inet lose
agent_run right1 || fail "crash: the agent starts again"
enrolled() { at "$1" status --json | grep -q '"enrolled": *true'; }
check "crash: the agent goes on by itself and is enrolled" wait_for 20 enrolled right1
check "crash: as the identity that had been made" test "$(id_at_host right1)" = "$FIRST"
check_not "crash: the temporary interface is gone" on right1 ip link show sortie-join
check_not "crash: the token is gone from the disk" test -e "$T/right1/token"

# ---- bad tokens
check "left1 leaves" at left1 leave
check "left1: nothing is left" nothing_left left1
tables() { on left1 sh -c 'ip -o link; ip -6 -o addr; ip -6 route; nft list ruleset; ls -lR --time-style=full-iso "$0"' "$T/left1" | sed 's/valid_lft.*//'; }
BEFORE=$(tables)
unchanged() { diff <(tables) - <<<"$BEFORE"; }
bad_token() { # NAME RC PATTERN FILE
	refused "$1: one clear line, exit $2" "$2" "$3" at left1 enroll --token "file:$4"
	check "$1: nothing has changed on the host" unchanged
}
bad_token "a used token" 4 "another host has used the token for site-l/lost.*\(token-used\)$" "$T/lost.token"
sortie token create --name site-l/short --not-after 3s --out "$T/short.token" >/dev/null
expired() { sortie token list | grep -q 'expired .*site-l/short'; }
check "a token's time ends" wait_for 15 expired
bad_token "an expired token" 4 "the token expired .*\(token-expired\)$" "$T/short.token"
sortie token create --name site-l/undone --out "$T/undone.token" >/dev/null
check "a token is revoked" sortie token revoke site-l/undone
bad_token "a revoked token" 4 "the token for site-l/undone was revoked.*\(token-revoked\)$" "$T/undone.token"
sortie token create --name site-l/typo --out "$T/typo.token" >/dev/null
python3 - "$T/typo.token" <<'PY'
import sys
text = open(sys.argv[1]).read()
at = len(text) // 2
open(sys.argv[1], "w").write(text[:at] + ("b" if text[at] != "b" else "c") + text[at + 1:])
PY
bad_token "a mistyped token" 4 "the token is not valid: .*\(token-invalid\)$" "$T/typo.token"
head -c 40 "$T/undone.token" >"$T/cut.token" && chmod 600 "$T/cut.token"
bad_token "half a token" 4 "the token is not valid: .*\(token-invalid\)$" "$T/cut.token"
: >"$T/empty.token" && chmod 600 "$T/empty.token"
bad_token "an empty token" 4 "the token is not valid: .*\(token-invalid\)$" "$T/empty.token"
bad_token "a token file that is missing" 1 "cannot read the token from .*: No such file" "$T/no.token"
sortie token create --name site-l/open --out "$T/open.token" >/dev/null
chmod 644 "$T/open.token"
bad_token "a token file that others can read" 1 "others can read .*chmod 600" "$T/open.token"
chmod 600 "$T/open.token"
refused "a host that is enrolled is not enrolled again, exit 1" 1 "this host is enrolled as site-a/web: .sortie leave. first.*\(already-enrolled\)$" at web enroll --token "file:$T/open.token"
check "the token that was kept back still works" at left1 enroll --token "file:$T/open.token"

# ---- what worked before goes on working
check "the host that stays still reaches the hub" alive
check "it is who it was" test "$(at web status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); print(s["id"], s["ipv6"])')" = "$REVISION"
wait $STRANGER
check "a token of another network: one clear line, exit 5" one_line "$T/stranger.out" "$(cat "$T/stranger.rc")" 5 "the hub does not answer; .*\(unreachable\)$"
check "the stranger gives up" at stranger leave
check "a token of another network leaves nothing" nothing_left stranger
sites_end
finish
