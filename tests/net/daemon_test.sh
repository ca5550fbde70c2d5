#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The agent by itself, without a control plane: starts unenrolled, refuses what it must before a packet, survives kill -9
# in the middle of an enrolment, and leaves nothing behind.
source "$(dirname "$0")/lib.sh"
export SORTIE_TEST_TRAP_CALLS=1 # a system call of sortie-net that is not on its list ends it
AGENT=

host a
host h
wire a eth0 h eth0
addr a eth0 192.0.2.2/24 2001:db8::2/64
addr h eth0 192.0.2.1/24 2001:db8::1/64

# nsenter becomes the program: $! is the agent itself.
COMMAND=(nsenter -t "${PIDS[a]}" -n -m -- "$B/sortied" --state "$T/a" --socket "$T/a.sock" --hosts "$T/run/hosts" --join-interface sjoin0)
agent() { "${COMMAND[@]}" "$@"; }
start() { # NAME
	"${COMMAND[@]}" >>"$T/a.log" 2>&1 &
	AGENT=$!
	check "$1" wait_for 10 status
}
stop() { # SIGNAL
	kill "-$1" "$AGENT"
	wait "$AGENT" 2>/dev/null
}
cli() { on a "$B/sortie" --socket "$T/a.sock" "$@"; }
status() { cli status --json; }
token() { "$B/tests/tools/join_token" "$@" >"$T/token" && chmod 600 "$T/token"; }
enroll() { cli enroll --token "file:$T/token"; }
exits() { # CODE TEXT COMMAND...: one line that says TEXT, and the exit code
	local code=$1 text=$2 out rc
	shift 2
	out=$("$@" 2>&1)
	rc=$?
	[[ $rc -eq $code && $(wc -l <<<"$out") -eq 1 && $out == *"$text"* ]] || { echo "exit $rc: $out"; return 1; }
}
clean() { # no interface, route, table or state but the lock
	! on a ip link show sjoin0 && ! on a ip link show sortie0 && [[ $(ls "$T/a") == lock ]] &&
		! on a nft list table inet sortie && [[ -z $(on a ip route show proto 83; on a ip -6 route show proto 83) ]]
}

start "unenrolled agent starts"
check "status says that it is not enrolled" test "$(cli status | head -1)" = "not enrolled: \`sortie enroll --token file:PATH\`"
check "state folder is closed to others" test "$(stat -c %a "$T/a")" = 700
check "socket is closed to others" test "$(stat -c %a "$T/a.sock")" = 660
check "only CAP_NET_ADMIN is left" grep -qx $'CapPrm:\t0000000000001000' "/proc/$AGENT/status"
check "and cannot come back" grep -qx $'CapBnd:\t0000000000001000' "/proc/$AGENT/status"
NET=$(pgrep -P "$AGENT" -x sortie-net)
check "sortie-net has no capability" grep -qx $'CapPrm:\t0000000000000000' "/proc/$NET/status"
check "sortie-net is another user" test "$(awk '/^Uid/ {print $2}' "/proc/$NET/status")" != 0
check "sortie-net's system calls are filtered" grep -qx $'Seccomp:\t2' "/proc/$NET/status"
check "no core dumps" grep -qE '^Max core file size +0 +0' "/proc/$AGENT/limits"

# ---- who may ask and who may change: root; members of the socket's group ask only; nobody else comes near
chmod 711 "$T"
cp "$B/sortie" "$T/cli" # a build folder may be closed to others
chmod 755 "$T/cli"
as() { # GROUP WORDS...: as nobody in particular
	local group=$1
	shift
	on a setpriv --reuid 4711 --regid "$group" --clear-groups "$T/cli" --socket "$T/a.sock" "$@"
}
check "socket: a stranger: one line, and who may" exits 1 "no permission for the agent's socket $T/a.sock: run it as root" as 4711 status
stop TERM
COMMAND+=(--group nogroup)
start "with --group"
check "--group: the socket is that group's" test "$(stat -c %a:%G "$T/a.sock")" = 660:nogroup
check "--group: a member asks" as nogroup status
check "--group: and for flows" as nogroup flows
# The CLI signs with operators' keys: no core file, and nothing of it for others of the same user.
nsenter -t "${PIDS[a]}" -n -m -- setpriv --reuid 4711 --regid nogroup --clear-groups "$T/cli" --socket "$T/a.sock" flows --follow >/dev/null 2>&1 &
FOLLOWER=$!
wait_for 10 grep -q '^cli$' "/proc/$FOLLOWER/comm"
no_cores() { grep -qE '^Max core file size +0 +0' "/proc/$FOLLOWER/limits"; }
check "the CLI leaves no core file" wait_for 5 no_cores
if [[ -z ${SAN:-} ]]; then # the leak check has to look into its own process
	check "and its memory is nobody's to read" wait_for 5 test "$(stat -c %u "/proc/$FOLLOWER/mem")" = 0
fi
kill "$FOLLOWER"
for c in "doctor" "up" "down" "mode enforce" "confirm" "leave" "leave --force"; do
	# shellcheck disable=SC2086 # words
	check "--group: a member may not: $c" exits 1 "only root may do this" as nogroup $c
done
check "--group: a stranger is told of the group" exits 1 "as a member of group nogroup" as 4711 status
check "--group: one that does not exist" exits 1 'there is no group "nosuchgroup"' agent --state "$T/b" --socket "$T/b.sock" --group nosuchgroup
token && install -m 600 -o 4711 "$T/token" "$T/theirs"
check "--group: a member may not: enroll" exits 1 "only root may do this" as nogroup enroll --token "file:$T/theirs"

check "a second agent on the folder is refused" exits 1 "in use by another sortied" agent --socket "$T/b.sock"
check "a second agent on the socket is refused" exits 1 "in use by another sortied" agent --state "$T/b"
check "an unknown option is a usage error" bash -c "'$B/sortied' --nonsense; [[ \$? -eq 2 ]]"
check "a wrong mode is a usage error" exits 2 "is not enforce|overlay" agent --mode observe
check "without privileges: one line" exits 1 "CAP_NET_ADMIN is missing" setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all --bounding-set=-all "$B/sortied" --state "$T/nobody"

echo "sortie1_aaaaaaaa" >"$T/token" && chmod 600 "$T/token"
check "mistyped token" exits 4 "checksum" enroll
token --left -5
check "expired token" exits 4 "expired" enroll
token --ipv4 192.0.0.0/16
check "address range of an interface" exits 1 "192.0.2.0/24 of interface eth0" enroll
on a ip route add 10.99.0.0/16 via 192.0.2.1
token --ipv4 10.99.128.0/17
check "address range of a route" exits 1 "10.99.0.0/16 of interface eth0" enroll
token --endpoint nowhere.invalid:51820
check "endpoint that does not resolve" exits 5 "resolves" enroll
on a ip link add sortie0 type bridge
token
check "interface name taken" exits 1 "sortie0" enroll
check "the other's interface stands" on a ip link show sortie0
on a ip link del sortie0
check "refusals leave nothing" clean

token
enroll >"$T/enroll.out" 2>&1 &
ENROLL=$!
check "an enrolment brings up its interface" wait_for 10 bash -c "nsenter -t ${PIDS[a]} -n ip -6 addr show sjoin0 | grep -q ':ffff:'"
cp "$T/a/enroll-request.json" "$T/request" && cp "$T/a/identity.key" "$T/k3"
check "keys and request were on disk before" test -s "$T/request" -a "$(stat -c %a "$T/a/identity.key")" = 600
check "the table stood before the interface was up" on a nft list table inet sortie
check "a second token is refused meanwhile" bash -c "'$B/tests/tools/join_token' >'$T/token2'; chmod 600 '$T/token2'; ! '$B/sortie' --socket '$T/a.sock' enroll --token 'file:$T/token2'"
stop KILL
wait $ENROLL
start "after kill -9 it goes on"
check "with the same request" cmp "$T/a/enroll-request.json" "$T/request"
check "and the same key" cmp "$T/a/identity.key" "$T/k3"
check "and its interface" wait_for 10 on a ip link show sjoin0
check "leave gives up" cli leave
check "leave leaves nothing" clean
: >"$T/a/sync.json"
stop TERM
echo "root 1 policy" >"$T/a/floor.txt"
check "a damaged floor is not ignored" exits 1 "floor.txt" agent
rm "$T/a/floor.txt"
start "starts again"
NET=$(pgrep -P "$AGENT" -x sortie-net)
kill -TERM "$AGENT"
wait "$AGENT"
check "TERM ends it with exit code 0" test $? -eq 0
check_not "its child ends with it" kill -0 "$NET"
grep -q "not on the list" "$T/a.log" && { fail "sortie-net used a system call off its list"; sed 's/^/# /' "$T/a.log"; }
finish
