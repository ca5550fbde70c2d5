#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Bad input and bad hosts, end to end: each is one clear line and a documented exit code, leaves nothing half made, and
# what worked before goes on working.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/timeshim.sh"
probe=$ROOT/tests/tools/probe.py

# The control plane's disk is small, so that it can be filled.
mkdir -m 0700 "$T/disk"
mount -t tmpfs -o size=6m,mode=0700 tmpfs "$T/disk"
CONTROL_STATE=$T/disk/control
internet_up
nat_site nata 192.0.2.11 web
nat_site natb 192.0.2.12 db
direct_site x 192.0.2.50/24 2001:db8::50/64

init_refused() { # NAME PATTERN ARGS...
	refused "init: $1" 2 "^sortie-control: init: .*$2.*: see sortie-control --help$" "$B/sortie-control" init --state "$CONTROL_STATE" "${@:3}"
}
init_refused "an endpoint without a port" "endpoint \"nonsense\" is not HOST:PORT" --network demo --endpoint nonsense
init_refused "an IPv6 endpoint without brackets" "is not HOST:PORT" --network demo --endpoint 2001:db8::1:51820
init_refused "a name that is none" "network's name is not valid" --network De_mo --endpoint 192.0.2.1:51820
init_refused "an MTU too small for IPv6" "MTU must be 1280 to" --network demo --endpoint 192.0.2.1:51820 --mtu 1279
init_refused "an MTU too large" "MTU must be 1280 to" --network demo --endpoint 192.0.2.1:51820 --mtu 70000
init_refused "an IPv4 range too small" "/8 to /28" --network demo --endpoint 192.0.2.1:51820 --ipv4 10.0.0.0/30
refused "init: an IPv4 range that is none" 2 "init: --ipv4 takes an IPv4 range.* not \"10.300.0.0/16\": see sortie-control --help" "$B/sortie-control" init --state "$CONTROL_STATE" --network demo --endpoint 192.0.2.1:51820 --ipv4 10.300.0.0/16
refused "init: an option that is none" 2 "init: no option --nonsense" "$B/sortie-control" init --nonsense
refused "init: no network named" 2 "init needs --network NAME and --endpoint" "$B/sortie-control" init
refused "init: a range that others use everywhere" 1 "100.64.0.0/10" "$B/sortie-control" init --state "$CONTROL_STATE" --network demo --endpoint 192.0.2.1:51820 --ipv4 100.64.0.0/16
refused "run: a backend that is none" 2 "run: --backend takes auto, kernel or userspace, not \"wg\"" "$B/sortie-control" run --backend wg
refused "run: an interface that is none" 2 "run: --interface takes a name that an interface can have" "$B/sortie-control" run --interface a/b
refused "neither init nor run" 2 "there is no \"serve\"" "$B/sortie-control" serve
check "init: neither has made anything" test -z "$(ls -A "$T/disk")"
control_init --ipv4 10.50.0.0/16 >/dev/null
refused "init: a state folder that is in use" 1 "exist|not empty|already" "$B/sortie-control" init --state "$CONTROL_STATE" --network other --endpoint "$HUB4:$HUB_PORT"
control_run || exit 1
for h in web db x; do agent_run "$h" || fail "agent of $h runs"; done
check "web enrolled" enroll site-a/web role=web
check "db enrolled" enroll site-b/db role=db
on db "$probe" serve db tcp/5432 tcp/22 >/dev/null 2>&1 &
DB4=$(overlay db 4) DB6=$(overlay db 6)

# ---- policies
cat >"$T/good.yaml" <<'YAML'
version: 1
rules:
  - {name: web reads the database, from: role=web, to: role=db, allow: [tcp/5432]}
YAML
check "a good policy is applied" sortie policy apply "$T/good.yaml"
works() { reaches web "$DB4" tcp/5432 && reaches web "$DB6" tcp/5432; }
check "web reads the database" wait_for 20 works
version() { sortie policy history --json; }
GOOD=$(version)
check "it is in force" grep -q '"version"' <<<"$GOOD"
policy() { # NAME RC PATTERN < FILE: refused by check and apply alike
	cat >"$T/bad.yaml"
	refused "policy check: $1" "$2" "$3" sortie policy check "$T/bad.yaml"
	refused "policy apply: $1" "$2" "$3" sortie policy apply "$T/bad.yaml"
	check "policy: $1: the old one stays" test "$(version)" = "$GOOD"
}
rule() { printf 'version: 1\nrules:\n  - {name: r, from: role=web, to: role=db, allow: [%s]}\n' "$1"; }
policy "unknown service" 1 "bad.yaml:3:[0-9]+: .*postgres" < <(rule postgres)
policy "bad port" 1 "bad.yaml:3:[0-9]+: .*70000" < <(rule tcp/70000)
policy "backward range" 1 "bad.yaml:3:[0-9]+: " < <(rule tcp/20-10)
policy "unknown protocol" 1 "bad.yaml:3:[0-9]+: " < <(rule sctp/5)
policy "tab" 1 "bad.yaml:2:1: .*tab" < <(printf 'version: 1\n\trules: []\n')
policy "key twice" 1 "bad.yaml:3:1: .*version" < <(printf 'version: 1\nrules: []\nversion: 1\n')
policy "two rules of one name" 1 "bad.yaml:4:[0-9]+: " < <(rule tcp/1 && echo '  - {name: R, from: role=web, to: role=db, allow: [tcp/2]}')
policy "unknown key" 1 "bad.yaml:2:1: .*rulez" < <(printf 'version: 1\nrulez: []\n')
policy "anchors that multiply" 1 "bad.yaml:2:[0-9]+: " < <(printf 'version: 1\nservices: {a: &a [tcp/1], b: [*a, *a]}\n')
policy "not YAML" 1 "bad.yaml:[0-9]+:[0-9]+: " < <(printf 'version: 1\nrules: [}\n')
policy "no version" 1 "bad.yaml:.*version" < <(echo 'rules: []')
policy "empty" 1 "bad.yaml:.*version" </dev/null
policy "a million elements" 1 "bad.yaml.*(bytes|nodes)" < <(python3 -c 'print("version: 1\nservices: {a: [" + "tcp/1," * 10**6 + "]}")')
policy "a million elements in few bytes" 1 "bad.yaml:.*(nodes|large|many)" < <(python3 -c 'print("version: 1\nservices: {a: [" + "1," * 500000 + "]}")')
policy "a thousand levels" 1 "bad.yaml:.*(levels|deep)" < <(python3 -c 'print("version: 1\nrules: " + "[" * 1000 + "]" * 1000)')
refused "policy check: a file that is missing" 1 "cannot read .*none.yaml: No such file" sortie policy check "$T/none.yaml"
refused "policy check: no file named" 2 "usage: sortie policy check FILE" sortie policy check
{ cat "$T/good.yaml"; printf 'tests:\n  - {from: site-a/web, to: site-b/db, allow: [tcp/22]}\n'; } >"$T/tests.yaml"
tests_fail() { # COMMAND: exit 7, the test is named
	local rc
	sortie policy "$1" "$T/tests.yaml" >"$T/tests.out" 2>&1
	rc=$?
	[[ $rc -eq 7 ]] && grep -q "tcp/22" "$T/tests.out" && return 0
	echo "exit $rc"
	cat "$T/tests.out"
	return 1
}
check "policy check: a test that fails: exit 7" tests_fail check
check "policy apply: a test that fails: exit 7" tests_fail apply
check "policy: a test that fails: the old one stays" test "$(version)" = "$GOOD"
check "all that while web reads the database" works
check_not "and nothing else" reaches web "$DB4" tcp/22

# ---- hosts
nothing_half_made() { check "$1: nothing is left" nothing_left x; }
token() { (umask 077 && "$B/tests/tools/join_token" "$@" >"$T/made.token"); }
token --endpoint "hub.sortie.invalid:$HUB_PORT"
refused "an endpoint that does not resolve: exit 5" 5 "no endpoint of the token resolves .*\(endpoint-unresolved\)$" at x enroll --token "file:$T/made.token"
nothing_half_made "an endpoint that does not resolve"

refused "two agents with one state folder" 1 "another sortied|in use" timeout 10 nsenter -t "${PIDS[web]}" -n -m "$B/sortied" --state "$T/web" --socket "$T/second.sock" --hosts "$T/second.hosts"
refused "two agents with one socket" 1 "in use by another sortied" timeout 10 nsenter -t "${PIDS[web]}" -n -m "$B/sortied" --state "$T/second" --socket "$T/web.sock" --hosts "$T/second.hosts"
refused "two control planes with one state folder" 1 "another sortie-control" timeout 10 nsenter -t "${PIDS[hub]}" -n -m "$B/sortie-control" run --state "$CONTROL_STATE" --socket "$T/second.sock"
check "the first agent of each goes on" works

# The folder of the test is root's alone: nobody gets one of his own, and may run the programs.
mkdir -m 0755 /run/nobody
mount --bind "$B" /run/nobody
as_nobody() { nsenter -t "${PIDS[x]}" -n setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all --bounding-set=-all "$@"; }
install -d -o nobody -m 0700 /run/of-nobody
refused "sortied without privileges" 1 "CAP_NET_ADMIN is missing" as_nobody /run/nobody/sortied --state /run/of-nobody/state --socket /run/of-nobody/sock --hosts /run/of-nobody/hosts
check "it has made nothing" test -z "$(ls -A /run/of-nobody)"
refused "sortie-control run without privileges" 1 "cannot use the state folder .*Permission denied" as_nobody /run/nobody/sortie-control run --state "$CONTROL_STATE"
refused "sortie status without privileges" 1 "[Pp]ermission|may not" as_nobody /run/nobody/sortie --socket "$T/x.sock" status
refused "sortie-relay-load without privileges" 1 "." as_nobody /run/nobody/sortie-relay-load --interface eth0 --bpffs "$T/bpf" --port $HUB_PORT

sortie token create --name site-x/x --out "$T/x.token" >/dev/null
for name in sortie0 sortie-join; do
	on x ip link add $name type bridge
	was=$(on x ip -o link show $name)
	refused "the name $name is taken" 1 "$name.*\(interface-taken\)$" at x enroll --token "file:$T/x.token"
	check "the link $name of somebody else is as it was" test "$(on x ip -o link show $name)" = "$was"
	on x ip link del $name
	nothing_half_made "the name $name is taken"
done

collides() { # NAME COMMAND...: makes the collision; refused before a packet
	local name=$1
	shift
	"$@"
	on x tcpdump -i any -l -n -U -w "$T/x.pcap" udp 2>/dev/null &
	local capture=$!
	wait_for 10 test -s "$T/x.pcap"
	refused "range: $name" 1 "10.50.0.0/16 overlaps .*\(range-taken\)$" at x enroll --token "file:$T/x.token"
	kill "$(pgrep -P $capture tcpdump || echo $capture)"
	wait $capture
	check "range: $name: no packet was sent" test "$(tcpdump -nr "$T/x.pcap" 2>/dev/null | wc -l)" -eq 0
	rm -f "$T/x.pcap"
	nothing_half_made "range: $name"
}
collides "a route of a LAN" on x ip route add 10.50.3.0/24 via 192.0.2.99
on x ip route del 10.50.3.0/24
collides "an address" on x ip addr add 10.50.9.9/32 dev lo
on x ip addr del 10.50.9.9/32 dev lo
collides "a route to all of 10/8" on x ip route add 10.0.0.0/8 via 192.0.2.99
on x ip route del 10.0.0.0/8

# ---- clocks
if timeshim_made; then
	with_clock() { # HOST SECONDS: its agent runs anew with another wall clock
		ends_well "$1's agent" "${AGENTS[$1]}" >/dev/null
		shift_clocks "$1" "$2"
		shifted_agent_start "$1"
		wait_for 15 at "$1" status
	}
	with_clock x -900000000
	refused "a clock far behind: enrolment is refused" 1 "clock is far off.*\(clock-off\)$" at x enroll --token "file:$T/x.token"
	nothing_half_made "a clock far behind"
	with_clock x 900000000
	refused "a clock far ahead: the token has expired" 4 "the token expired .*\(token-expired\)$" at x enroll --token "file:$T/x.token"
	nothing_half_made "a clock far ahead"
	with_clock x 0
	expired() { ! reaches web "$DB6" tcp/5432 && at web status | grep -q "^warning: the clock is far off"; }
	with_clock web -900000000
	check "an enrolled host whose clock is far behind reaches nobody, and says so" wait_for 15 expired
	with_clock web 900000000
	ended() { ! reaches web "$DB6" tcp/5432 && at web status | grep -q "^warning: .*expired"; }
	check "an enrolled host whose clock is far ahead reaches nobody, and says so" wait_for 15 ended
	with_clock web 0
	check "with the right clock it reaches what it did" wait_for 20 works
else
	skip "clocks" "no C compiler: $(head -n 1 "$T/cc.out")"
fi

# ---- full disks
fill() { on "$1" dd if=/dev/zero of="$2/fill" bs=512 2>/dev/null; on "$1" sh -c "while echo >>'$2/fill.2'; do :; done" 2>/dev/null; }
empty() { on "$1" rm -f "$2/fill" "$2/fill.2"; }
ends_well "x's agent" "${AGENTS[x]}"
on x mount -t tmpfs -o size=128k,mode=0700 tmpfs "$T/x"
agent_run x || fail "the agent of x runs on its small disk"
fill x "$T/x"
refused "enrolment with a full disk" 1 "\(storage-full\)$" at x enroll --token "file:$T/x.token"
check "full disk: no interface, no table" test -z "$(on x ip -o link | grep sortie; on x nft list tables)"
empty x "$T/x"
check "with room on the disk the same token works" at x enroll --token "file:$T/x.token"
fill x "$T/x"
cat >"$T/more.yaml" <<'YAML'
version: 1
rules:
  - {name: web reads the database, from: role=web, to: role=db, allow: [tcp/5432]}
  - {name: web sees x, from: role=web, to: site-x/x, allow: [icmp]}
YAML
check "a policy for everybody is applied" sortie policy apply "$T/more.yaml"
says_full() { at x status | grep -qi "^warning: .*\(no space\|disk\|full\)"; }
check "an agent that cannot store it says so" wait_for 20 says_full
check "and goes on without it" at x status --check live
X6=$(overlay x 6)
check_not "what is not on its disk is not in its kernel" reaches web "$X6" icmp
empty x "$T/x"
check "with room it takes the policy" wait_for 40 reaches web "$X6" icmp

fill hub "$T/disk"
until_full() { # until the database needs a new page
	local i
	for ((i = 0; i < 300; i++)); do
		sortie token create --name "site-y/y$i" >/dev/null 2>"$T/full.out" || return 0
	done
	return 1
}
check "the control plane's disk is full" until_full
refused "control plane: a full disk: exit 1" 1 "\(storage-full\)$" sortie token create --name site-z/z
check "control plane: reads go on" sortie identity list
check "control plane: what works goes on working" works
before=$(version)
refused "control plane: a policy does not fit" 1 "\(storage-full\)$" bash -c '"$@" 2>&1 | tail -n 1; exit "${PIPESTATUS[0]}"' - "$B/sortie" --control "$T/control.sock" policy apply "$T/good.yaml"
check "control plane: nothing half applied" test "$(version)" = "$before"
empty hub "$T/disk"
check "control plane: with room it goes on" sortie token create --name site-z/z
check "control plane: a policy too" sortie policy apply "$T/good.yaml"
gone() { ! reaches web "$X6" icmp; }
check "control plane: and agents follow" wait_for 20 gone
check "web still reads the database" works

# What closes needs no room on a disk.
check "web sees x again" sortie policy apply "$T/more.yaml"
check "it does" wait_for 20 reaches web "$X6" icmp
WEB6=$(overlay web 6)
knows_web() { on x nft get element inet sortie live6 "{ $WEB6 }"; }
check "x holds a lease of web" knows_web
fill x "$T/x"
check "web is revoked while the disk of x is full" eval 'sortie identity revoke --wait --timeout 10s site-a/web; true'
check_not "web does not see x any more" reaches web "$X6" icmp
forgets_web() { ! knows_web; }
check "x holds no lease of web, full disk or not" wait_for 10 forgets_web
empty x "$T/x"
sites_end
finish
