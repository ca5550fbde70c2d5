#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What an operator asks a host: doctor finds each of the faults that are made here, names it and says what to do.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
export SORTIE_TEST_PLAIN_TABLE=1 # others change the table here: see lock_owner_test.sh for one that they cannot

# db's way to the hub, where routers can be made narrow, and the hub's names, as its own host has them:
#	db 198.51.100.2, 2001:db8:1::2 --- router --- internet
internet_up
nat_site nata 192.0.2.11 web
host router
wire router eth0 internet router
on internet ip link set router master br0
addr router eth0 192.0.2.20/24 2001:db8::20/64
host db
wire router eth1 db eth0
addr router eth1 198.51.100.1/24 2001:db8:1::1/64
addr db eth0 198.51.100.2/24 2001:db8:1::2/64
on router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
on db ip route add default via 198.51.100.1
on db ip route add default via 2001:db8:1::1
on hub ip route add 198.51.100.0/24 via 192.0.2.20
on hub ip route add 2001:db8:1::/64 via 2001:db8::20

names() { # HOST LINE...: its own /etc/hosts, and no name server
	local h=$1
	shift
	printf '%s\n' "$@" >"$T/$h.etc-hosts"
	if [[ ! -e $T/$h.resolv ]]; then
		: >"$T/$h.resolv"
		on "$h" mount --bind "$T/$h.resolv" /etc/resolv.conf
		on "$h" mount --bind "$T/$h.etc-hosts" /etc/hosts
	fi
}
names web "$HUB4 hub.test" "$HUB6 hub.test"
names db "$HUB4 hub.test" "$HUB6 hub.test"
ENDPOINT=hub.test:$HUB_PORT control_init >/dev/null
control_run || exit 1
agent_run web || exit 1
agent_run db || exit 1

report() { # HOST [ARGS...]: in $T/doctor, its exit code in RC
	local h=$1
	shift
	at "$h" doctor "$@" >"$T/doctor" 2>&1
	RC=$?
}
told() { # [NAME]: what it said of a check, and all that is not well
	echo "exit $RC"
	grep -E "^[a-z]+ +${1:-none} " "$T/doctor"
	grep -vE "^ok |^[a-z]+ +${1:-none} " "$T/doctor"
}
says() { # LEVEL NAME PATTERN: such a line
	grep -qE -e "^$1 +$2 +.*$3" "$T/doctor" || { told "$2"; return 1; }
}
says_not() { # NAME PATTERN: no such line
	! grep -E -e "^[a-z]+ +$1 +.*$2" "$T/doctor" || { told "$1"; return 1; }
}
ends() { # RC
	[[ $RC -eq $1 ]] || { told; return 1; }
}
finds() { # NAME HOST LEVEL CHECK PATTERN: a TAP line; a failure's exit code is 6
	report "$2"
	check "doctor: $1" says "$3" "$4" "$5"
	[[ $3 != fail ]] || check "doctor: $1: exit 6" ends 6
}
# Of what the agent is told, and does not measure itself, it may not have been told yet.
learnt() { # HOST LEVEL CHECK PATTERN
	report "$1"
	says "${@:2}"
}
learns() { # NAME HOST LEVEL CHECK PATTERN
	wait_for 10 learnt "${@:2}" >/dev/null
	check "doctor: $1" says "${@:3}"
	[[ $3 != fail ]] || check "doctor: $1: exit 6" ends 6
}

# ---- before enrolment
finds "a host that is not enrolled" web fail state "not enrolled: .*sortie enroll --token"
check "doctor: the kernel takes the rules, also where none stand" says ok nftables "the kernel takes"
check "doctor: and trying left nothing" test -z "$(on web nft list tables)"
on web ip link add sortie0 type bridge
finds "the interface's name is taken, perhaps by a hub" web fail interface "sortie0 exists already.*another --interface .a hub on this host needs"
on web ip link del sortie0
refused "doctor: no agent: one line, and what to do instead" 1 "no agent answers at .*sortied --doctor" "$B/sortie" --socket "$T/none.sock" doctor

check "web enrolled" enroll site-a/web role=web
check "db enrolled" enroll site-b/db role=db
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: web reads the database, from: role=web, to: role=db, allow: [tcp/5432]}
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
ready() { at web status --check ready && at db status --check ready; }
check "both are ready" wait_for 20 ready

# ---- all is well
all_well() {
	report db
	[[ $RC -eq 0 ]] && ! grep -vE "^ok |^warn +wireguard " "$T/doctor" || { told; return 1; }
}
check "doctor: a healthy host: exit 0, no line but ok" wait_for 10 all_well
sed 's/^/# /' "$T/doctor"
for what in "names hub.test:$HUB_PORT resolves to 2 addresses" "hub $HUB4:$HUB_PORT answers by UDP in [0-9.]* ms" \
	"hub \[$HUB6\]:$HUB_PORT answers by UDP in" "hub $HUB4:443 answers by UDP in" "hub \[$HUB6\]:443 answers by UDP in" "handshake [0-9]+ s ago" "mtu packets of 1280 bytes arrive by IPv4 and IPv6" \
	"clock not before" "ranges nobody else" "interface sortie0 is up .*UDP port [0-9]+" "kernel holds what it should" \
	"control it answers" "admission the lease holds until" "admission policy 1 holds until" "conntrack flows are tracked" \
	"records nflog" "others " "disk MiB are free" "underlay enforce: closed"; do
	check "doctor: ok: $what" says ok "${what%% *}" "${what#* }"
done
json() { at db doctor --json | python3 -c '
import json, sys
report = json.load(sys.stdin)
assert report["schema"] == "sortie.doctor/1"
assert {c["level"] for c in report["checks"]} <= {"ok", "warn"}
assert all(c["found"] and ("todo" in c) == (c["level"] != "ok") for c in report["checks"])'; }
check "doctor --json: schema, and what is to be done where something is" json
report web
check "doctor: no IPv6 here is no finding" says ok hub "\[$HUB6\]:$HUB_PORT is not used: this host has no IPv6 route"
together() { # several ask at once: all get a report
	local i pids=()
	for i in 1 2 3 4; do
		at db doctor >"$T/doctor.$i" 2>&1 &
		pids+=($!)
	done
	for i in 1 2 3 4; do
		wait "${pids[i - 1]}" && grep -q "^ok *hub" "$T/doctor.$i" || { grep -v "^ok " "$T/doctor.$i"; return 1; }
	done
}
check "doctor: four that ask at once get an answer" together

# ---- one fault after the other
names web
finds "a name that does not resolve" web fail names "hub.test:$HUB_PORT does not resolve: .*DNS"
check "doctor: and the endpoint in use still answers" says ok hub "$HUB4:$HUB_PORT answers.*in use"
names web "$HUB4 hub.test" "$HUB6 hub.test"

on router nft add table inet block
on router nft "add chain inet block forward { type filter hook forward priority 0; }"
on router nft add rule inet block forward ip protocol udp udp dport $HUB_PORT drop
finds "UDP by IPv4 is dropped on the way" db warn hub "$HUB4:$HUB_PORT: no answer by UDP.*firewalls between"
check "doctor: IPv6 goes on" says ok hub "\[$HUB6\]:$HUB_PORT answers.*in use"
check "doctor: that is no failure" ends 0
still() { # START: the hub answers, at an endpoint that begins so
	at db status --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
print("answers:", status["hub_answers"], "at", status["hub"])
sys.exit(not (status["hub_answers"] and status["hub"].startswith(sys.argv[1])))' "$1"
}
check "doctor: the detour is undone and went unnoticed" still "[$HUB6]"
check_not "doctor: nothing was started anew" grep "starting its session anew" "$T/db.log"
# Each answer of the control plane comes by the endpoint in use and is put into the kernel: neither may end a detour.
news() { while [[ ! -e $T/enough ]]; do sortie policy apply "$T/policy.yaml"; done; }
news >/dev/null 2>&1 &
NEWS=$!
finds "UDP by IPv4 is dropped on the way, while news arrive" db warn hub "$HUB4:$HUB_PORT: no answer by UDP.*firewalls between"
check "doctor: and IPv6 goes on" says ok hub "\[$HUB6\]:$HUB_PORT answers.*in use"
: >"$T/enough"
wait $NEWS
on router nft flush chain inet block forward
on router nft add rule inet block forward udp dport $HUB_PORT reject
finds "UDP is refused on the way" db fail hub "\[$HUB6\]:$HUB_PORT: (nothing listens|a router answers).*in use"
on router nft flush chain inet block forward
check "the hub answers again" wait_for 20 still ""

# what fits: 1280 + 60 (IPv4), 1280 + 80 (IPv6)
on router ip link set eth0 mtu 1339
finds "a leg that is narrow by a byte, IPv4" db fail mtu "$HUB4:$HUB_PORT only 1339 bytes fit .198.51.100.1 says so.*needs 1340"
check "doctor: and IPv6" says fail mtu "\[$HUB6\]:$HUB_PORT only 1339 bytes fit .2001:db8:1::1 says so.*needs 1360"
on router ip link set eth0 mtu 1340
finds "IPv4 fits, IPv6 does not" db fail mtu "\[$HUB6\]:$HUB_PORT only 1340"
check "doctor: nothing is said of IPv4" says_not mtu "$HUB4"
on router ip link set eth0 mtu 1500
on db ip link set eth0 mtu 1300
finds "this host's own interface is too narrow" db fail mtu "$HUB4:$HUB_PORT only 1300 bytes fit .this host says so"
on db ip link set eth0 mtu 1500
on router nft add rule inet block forward ip length 1301-1399 drop
on router nft add rule inet block forward ip6 length 1301-1399 drop
finds "a hole that swallows large packets without a word" db fail mtu "small packets reach the hub, packets of 1280 bytes do not"
on router nft delete table inet block
check "the mended path has no finding" wait_for 20 all_well

on web ip link add other0 type bridge
OVERLAY4=$(at web status --json | python3 -c 'import json,sys; print(".".join(json.load(sys.stdin)["ipv4"].split(".")[:2]))')
on web ip addr add "$OVERLAY4.77.1/24" dev other0
finds "somebody else uses the overlay's range" web fail ranges "$OVERLAY4.77.0/24 of interface other0"
on web ip link del other0

kill -STOP "$CONTROL_PID"
at web doctor >/dev/null # the poll that runs has 25 s: the hub itself answers meanwhile
report web
check "doctor: a control plane that hangs is not the hub" says ok hub "$HUB4:$HUB_PORT answers"
kill -CONT "$CONTROL_PID"
on web nft delete table inet sortie
finds "the table is gone" web "(fail|warn)" kernel "(differs|something else changed)"
learns "it is put back, and that is remembered" web warn kernel "something else changed it [0-9]+ time"

on db nft -f - <<-'NFT'
	table inet other {
		chain input { type filter hook input priority 0; policy accept; iifname "sortie0" tcp dport 5432 drop; }
	}
NFT
finds "another firewall drops what policy allows" db fail others "inet other input. drops tcp/5432 from the overlay"
on db nft delete table inet other
check "doctor: it is gone" eval 'report db; says ok others ""'

check "web is suspended" sortie identity suspend site-a/web
learns "this identity is suspended" web fail control "suspended"
check "web is admitted again" sortie identity resume site-a/web

# ---- without an agent
alone() { # HOST [ARGS...]
	local h=$1
	shift
	on "$h" "$B/sortied" --doctor --state "$T/$h" --socket "$T/$h.sock" "$@" >"$T/doctor" 2>"$T/doctor.err"
	RC=$?
}
alone db
check "sortied --doctor: beside an agent: says to ask it" says warn agent "an agent answers.*sortie doctor"
kill "${AGENTS[db]}"
wait "${AGENTS[db]}"
alone db
check "sortied --doctor: no agent answers" says warn agent "no agent answers"
check "sortied --doctor: it resolves names" says ok names "hub.test"
check "sortied --doctor: it asks the hub through what stands" says ok hub "$HUB4:$HUB_PORT answers"
check "sortied --doctor: by both families" says ok hub "\[$HUB6\]:$HUB_PORT answers"
check "sortied --doctor: it compares the kernel" says ok kernel "holds what"
check "sortied --doctor: exit 0" ends 0
silent() { [[ ! -s $T/doctor.err ]] || { cat "$T/doctor.err"; return 1; }; }
check "sortied --doctor: nothing on stderr" silent
plan() { on db "$B/sortied" --plan --state "$T/db" --socket "$T/db.sock" --hosts "$T/db.hosts"; }
nothing_planned() { plan >"$T/plan" 2>&1; local rc=$?; [[ $rc -eq 0 && ! -s $T/plan ]] || { echo "exit $rc"; cat "$T/plan"; return 1; }; }
planned() { plan >"$T/plan" 2>&1; local rc=$?; [[ $rc -eq 6 ]] && grep -qxE -e "$1" "$T/plan" || { echo "exit $rc"; cat "$T/plan"; return 1; }; }
check "sortied --plan: what stands is what should: no line, exit 0" nothing_planned
on db nft add element inet sortie in4 '{ 192.0.2.200 . tcp . 22 }'
check "sortied --plan: an element too many: exit 6" planned "firewall change elements \+0 -1 leases 0 chains 0"
check "sortied --plan: it changes nothing" eval 'on db nft list set inet sortie in4 | grep -q 192.0.2.200'
alone db
check "sortied --doctor: it differs, and what to do" says warn kernel "differs .*start sortied"
on db nft delete element inet sortie in4 '{ 192.0.2.200 . tcp . 22 }'
cp "$T/db/floor.txt" "$T/floor"
echo damaged >"$T/db/floor.txt"
alone db
check "sortied --doctor: a damaged file: named, and what to do" says fail state "floor.txt.*restore the file"
check "sortied --doctor: exit 6" ends 6
check "sortied --doctor: nothing is said about what cannot be known" says_not interface ""
cp "$T/floor" "$T/db/floor.txt"
chmod 755 "$T/db"
alone db
check "sortied --doctor: a state folder that is open to others" says fail state "chmod 700"
chmod 700 "$T/db"
on db ip link set sortie0 down
check "sortied --plan: an interface that is down: exit 6" planned "up sortie0"
on db ip link del sortie0
alone db --backend kernel
check "sortied --doctor: no interface" says fail interface "does not exist: start sortied"
check "sortied --doctor: it makes none" test -z "$(on db ip -o link show | grep sortie0)"
refuse_unprivileged() {
	on db setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all --bounding-set=-all "$B/sortied" --doctor --state "$T/nowhere" >"$T/doctor" 2>&1
	[[ $? -eq 6 ]] && says fail privileges "CAP_NET_ADMIN is missing.*run it as root"
}
check "sortied --doctor: without privileges it says so" refuse_unprivileged
agent_run db
check "the agent starts again" wait_for 20 at db status --check ready

sites_end
finish
