# SPDX-License-Identifier: GPL-2.0-or-later
# Test hosts in namespaces. `source tests/net/lib.sh` is the first line of a test: it runs the script again inside
# network, mount, PID namespaces of its own, with a private /run, so that nothing here can touch the machine's network
# and everything dies with the script, also when it is interrupted.
#
#   host NAME               a host: network + mount namespace of its own, private /run, lo up
#   on NAME COMMAND...      runs it there (foreground; add & yourself)
#   wire A IFA B IFB        a veth pair between two hosts, both ends up
#   addr HOST IF ADDRESS... adds addresses (IPv6 without duplicate detection)
#   wait_for SECONDS COMMAND...   polls until it succeeds; SECONDS x TEST_SCALE; the last attempt is heard
#   check NAME COMMAND...   TAP line: ok where the command succeeds
#   check_not NAME COMMAND...     ok where it fails
#   pass NAME / fail NAME [WHY] / skip NAME WHY
#   finish                  the last line of a test
#   $T                      a private folder, removed at the end;  $PIDS[NAME] a host's holder process
#   $ROOT, $B               the source tree, the build folder (absolute)

if [[ -z ${SORTIE_TEST_INSIDE:-} ]]; then
	if [[ $(id -u) -ne 0 ]]; then
		echo "ok $(basename "$0") # SKIP needs root for namespaces"
		exit 77
	fi
	export SORTIE_TEST_INSIDE=1
	unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private bash "$0" "$@" &
	# unshare itself does not listen to INT and TERM; with it ends the whole PID namespace.
	trap 'kill -KILL $! 2>/dev/null; exit 130' INT TERM
	wait $!
	exit
fi
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
B=${B:-build}
[[ $B == /* ]] || B=$ROOT/$B
TEST_SCALE=${TEST_SCALE:-1}
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/wireguard /run/netns
T=$(mktemp -d /run/test.XXXXXX)
ip link set lo up
declare -A PIDS=()
FAILED=0
FINISHED=

on_exit() {
	local rc=$?
	if [[ -z $FINISHED ]]; then
		echo "not ok $(basename "$0") ended early (exit $rc)"
		exit 1
	fi
}
trap on_exit EXIT
trap 'exit 130' INT TERM

host() {
	local name=$1 ready=$T/.ready.$1
	# shellcheck disable=SC2016 # expanded inside
	unshare --net --mount --propagation private bash -c '
		mount -t tmpfs -o mode=0755 tmpfs /run/wireguard
		ip link set lo up
		for f in all default; do echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad; done
		: >"$1"; exec sleep infinity' - "$ready" </dev/null >/dev/null 2>&1 &
	PIDS[$name]=$!
	while [[ ! -e $ready ]]; do
		kill -0 "${PIDS[$name]}" || { echo "not ok host $name could not be made"; exit 1; }
		sleep 0.01
	done
}

on() {
	local name=$1
	shift
	nsenter -t "${PIDS[$name]}" -n -m -- "$@"
}

wire() {
	ip link add "$2" netns "${PIDS[$1]}" type veth peer name "$4" netns "${PIDS[$3]}"
	on "$1" ip link set "$2" up
	on "$3" ip link set "$4" up
}

addr() {
	local name=$1 interface=$2 a
	shift 2
	for a in "$@"; do
		if [[ $a == *:* ]]; then
			on "$name" ip addr add "$a" dev "$interface" nodad
		else
			on "$name" ip addr add "$a" dev "$interface"
		fi
	done
}

wait_for() {
	local deadline=$((SECONDS + $1 * TEST_SCALE))
	shift
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= deadline)); then
			"$@" # once more, for what it says, and because an attempt may have taken all the time
			return
		fi
		sleep 0.05
	done
}

pass() { echo "ok $1"; }
fail() {
	echo "not ok $1${2:+: $2}"
	FAILED=$((FAILED + 1))
}
skip() { echo "ok $1 # SKIP $2"; }
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then pass "$name"; else
		fail "$name"
		printf '%s\n' "$out" | tail -n 15 | sed 's/^/# /'
	fi
}
check_not() {
	local name=$1
	shift
	if ! "$@" >"$T/.said" 2>&1; then pass "$name"; else
		fail "$name"
		tail -n 15 "$T/.said" | sed 's/^/# /'
	fi
}
finish() {
	FINISHED=1
	((FAILED == 0)) || exit 1
	exit 0
}
