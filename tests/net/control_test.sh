#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The control plane between a hub and two hosts: init, listeners that the underlay never sees, enrolment and calls good and
# hostile (tests/tools/control_agent), revocation, restarts, a lost interface, a damaged database.
#
#     hub 192.0.2.1, 2001:db8::1 ---- switch ---- one 192.0.2.2, 2001:db8::2;  two 192.0.2.3, 2001:db8::3
source "$(dirname "$0")/lib.sh"

mkdir "$T/small" # for later: hosts see only what is mounted before they are made
mount -t tmpfs -o size=3m tmpfs "$T/small"
{ cat /etc/passwd; echo "sortie-sign:x:64999:64999::/:/bin/false"; } >"$T/passwd" # a host that has the signer's user
mount --bind "$T/passwd" /etc/passwd
host switch
on switch ip link add br0 type bridge
on switch ip link set br0 up
i=1
for h in hub one two; do
	host $h
	wire $h eth0 switch $h
	on switch ip link set $h master br0
	addr $h eth0 192.0.2.$i/24 2001:db8::$i/64
	i=$((i + 1))
done
STATE=$T/state SOCKET=$T/control.sock
control() { "$B/sortie-control" "$@"; }
sortie() { "$B/sortie" --control "$SOCKET" "$@"; }
key() { sortie "$@" --key "file:$STATE/keys/policy"; }
agent() { on "$1" "$B/tests/tools/control_agent" "$T/$2.token" wg0 "${@:3}"; }
status() { sortie status --json | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }
admin() { curl -s --max-time 5 --unix-socket "$SOCKET" "http://control/v1/admin/$1"; }
RUN_PID=
run() {
	(ulimit -Sn 1024 && exec nsenter -t "${PIDS[hub]}" -n -m -- "$B/sortie-control" run --state "$STATE" --socket "$SOCKET") >>"$T/control.log" 2>&1 &
	RUN_PID=$! # whose place nsenter and the program take
	check "$1" wait_for 15 sortie identity list
}
stop() {
	kill "$1" "$RUN_PID"
	wait "$RUN_PID"
}
has() { # NAME TEXT PATTERN
	if [[ $2 =~ $3 ]]; then pass "$1"; else
		fail "$1" "no \"$3\""
		sed 's/^/# /' <<<"$2"
	fi
}

# ---- init ----
check_not "init: endpoint without a port" control init --state "$STATE" --network net --endpoint 192.0.2.1
check_not "init: a name that is none" control init --state "$STATE" --network No_Net --endpoint 192.0.2.1:51820
check_not "init: a range that is none" control init --state "$STATE" --network net --endpoint 192.0.2.1:51820 --ipv4 10.0.0.0
ip link add br9 type bridge
ip link set br9 up
ip addr add 10.9.0.1/16 dev br9
has "init: a range that a local route overlaps" "$(control init --state "$STATE" --network net --endpoint 192.0.2.1:51820 --ipv4 10.9.128.0/17 2>&1)" "overlaps this host's route 10.9.0.0/16"
mkdir "$T/volume" && mount -t tmpfs tmpfs "$T/volume"
has "init: a mount point" "$(control init --state "$T/volume" --network net --endpoint 192.0.2.1:51820 2>&1)" "is a mount point: name a folder inside it"
check "init: inside a mount point" control init --state "$T/volume/state" --network net --endpoint 192.0.2.1:51820
check "init: nothing beside it" test "$(find "$T" -maxdepth 1 -name 'volume*' | wc -l)" -eq 1
ln -s "$T/volume/state" "$T/link"
has "run: a symbolic link" "$(control run --state "$T/link" --socket "$SOCKET" 2>&1)" "is a symbolic link: name the folder itself"
check_not "init: nothing half made" test -e "$STATE"
check "init" control init --state "$STATE" --network net --endpoint 192.0.2.1:51820
check_not "init: nothing of it for others" sh -c "find '$STATE' -perm /077 | grep -q ."
before=$(sha256sum "$STATE"/keys/*)
has "init: never overwrites" "$(control init --state "$STATE" --network net --endpoint 192.0.2.1:51820 2>&1)" "not empty"
check "init: keys as they were" test "$before" = "$(sha256sum "$STATE"/keys/*)"

# ---- run ----
run "run"
has "run: one process a state folder" "$(on hub "$B/sortie-control" run --state "$STATE" --socket "$T/other.sock" 2>&1)" "another sortie-control runs"
check "room for a thousand agents that wait, whatever the service began with" awk '/^Max open files/ {exit $4 < 20000 && $4 < $5}' "/proc/$RUN_PID/limits"
check "admin socket is 0600" test "$(stat -c %a "$SOCKET")" = 600
check_not "admin socket: nobody but root" setpriv --reuid 65534 --clear-groups curl -sf --unix-socket "$SOCKET" http://control/v1/admin/status
has "status says that the root key is online" "$(sortie status)" "root key is online"
cat >"$T/holds_key" <<'PY'
import re, sys
pid = sys.argv[1]
seed = bytes.fromhex(open(sys.argv[2]).read().split()[1])
found = False
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
    for line in maps:
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
        size = int(m[2], 16) - int(m[1], 16) if m else 0
        if m and "[v" not in line and size < 1 << 28:  # larger ones are a sanitizer's own
            mem.seek(int(m[1], 16))
            found |= seed in mem.read(size)
sys.exit(0 if found else 1)
PY
check_not "the control plane's process does not hold K2" python3 "$T/holds_key" "$RUN_PID" "$STATE/keys/control"
SIGNER=$(pgrep -P "$RUN_PID" -x sortie-sign)
check "its signer's process does" python3 "$T/holds_key" "$SIGNER" "$STATE/keys/control"
check "the signer has its own uid and no capability" sh -c "grep -q '^Uid:.64999.64999.64999.64999' /proc/$SIGNER/status && grep -q '^CapEff:.0*\$' /proc/$SIGNER/status"
check "the control plane keeps CAP_NET_ADMIN and nothing else, for ever" sh -c "grep -q '^CapEff:.0*1000\$' /proc/$RUN_PID/status && grep -q '^CapBnd:.0*1000\$' /proc/$RUN_PID/status && grep -q '^NoNewPrivs:.1' /proc/$RUN_PID/status"
check "and a filter of system calls" grep -q '^Seccomp:.2' "/proc/$RUN_PID/status"
check "the signer has one socket and stderr, nothing else" test "$(ls "/proc/$SIGNER/fd" | xargs)" = "2 3"

# ---- the underlay ----
hub6=$(on hub ip -6 -o addr show dev sortie0 scope global | awk '{sub("/.*", "", $4); print $4}')
hub4=$(on hub ip -4 -o addr show dev sortie0 | awk '{sub("/.*", "", $4); print $4}')
check_not "no TCP listener but on the tunnel" sh -c "nsenter -t ${PIDS[hub]} -n ss -ltnH | grep -v '%sortie0:'"
on one ip -6 route add "$hub6/128" via 2001:db8::1
on one ip route add "$hub4/32" via 192.0.2.1
for to in 192.0.2.1 '[2001:db8::1]' "[$hub6]" "$hub4"; do
	for port in 7140 7141 80 443; do
		check_not "silent on the underlay: $to port $port" on one curl -s --max-time 1 "http://$to:$port/v1/version"
	done
done
on one ip -6 route del "$hub6/128"
on one ip route del "$hub4/32"
check "the WireGuard port does not answer strangers" on one python3 - <<'PY'
import os, socket, sys
for family, to in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(0.5)
    for packet in (b"\1\0\0\0" + os.urandom(144), b"\4\0\0\0" + os.urandom(60), os.urandom(100)):
        s.sendto(packet, (to, 51820))
    try:
        s.recv(2000)
        sys.exit(1)
    except socket.timeout:
        pass
PY
for to in "[$hub6]:7140" "[$hub6]:7141" "$hub4:7140"; do
	check_not "a local process is no peer: $to" on hub curl -sf --max-time 2 --interface sortie0 "http://$to/v1/version"
done

# ---- enrolment and calls ----
for name in one two; do
	check "token for s/$name" key token create --name "s/$name" --labels "role=$name" --out "$T/$name.token"
done
check_not "a token that a stranger signed" sh -c "'$B/sortie' --control '$SOCKET' token create --name s/x --key file:$STATE/keys/root --out '$T/x.token'"
out=$(agent one one enroll enroll other api-port 2>&1)
has "enrolled" "$out" $'^enroll 200\n'
has "a lost answer is repeated" "$out" $'^enroll 200\nenroll 200\n'
has "another host with the same token: 409" "$out" $'enroll 409 token-used\n'
check_not "no call from a one-time address" grep -q "version 200" <<<"$out"
out=$(agent one one enroll 2>&1)
has "a second use later: 409" "$out" "enroll 409 token-used"
out=$(agent two two enroll join sync replay forge late big enrol-port version hubkey onetime onetime onetime onetime onetime onetime sync 2>&1)
has "first call: lease and IPv4 in it" "$out" "sync 200 revision=[0-9]+ policy=no rules=0 identities=0 tombstones=0 lease=yes ipv4=yes"
has "a call made twice" "$out" $'sync 403 replayed\n'
has "a call signed by a stranger" "$out" $'sync 403 bad-signature\n'
has "a call of an hour ago" "$out" $'sync 403 clock-off\n'
has "a body over the limit" "$out" $'sync 413|error'
has "version" "$out" "version 200"
has "a WireGuard key that is the hub's" "$out" $'version 200\nsync 403 bad-signature\n'
has "a WireGuard key that is a token's: it would be a second peer of that key" "$out" $'sync 409 conflict\nsync 409'
has "new WireGuard keys without end" "$out" $'sync 409 conflict\nsync 429 too-many\nsync 200'
check_not "an identity does not enrol" grep -q "enroll 200" <<<"${out#*enroll 200}"
check_not "no token's seed is anywhere at the control plane" grep -rqF "$(cut -c 40-72 "$T/one.token")" "$STATE" "$T/control.log"
audit=$(admin audit)
for action in token-created enrolled token-second-use lease-signed ipv4-signed; do has "audit: $action" "$audit" "\"$action\""; done

# ---- policy and revocation ----
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: all of them, from: "role in (three,four,two)", to: "role in (three,four,two)", allow: [tcp/80]}
tests:
  - {from: s/two, to: s/two, deny: [tcp/22]}
YAML
check "policy applied" key policy apply "$T/policy.yaml"
check "policy version 1" test "$(status policy_version)" = 1
for name in three four; do key token create --name "s/$name" --labels "role=$name" --out "$T/$name.token" >/dev/null; done
agent one three enroll join sync poll poll poll poll >"$T/three.out" 2>&1 &
POLLER=$!
wait_for 10 grep -q "^sync" "$T/three.out"
out=$(agent two four enroll join sync)
has "an identity sees those that policy pairs it with" "$out" "policy=yes rules=1 identities=2"
wait_for 10 grep -q "identities=2" "$T/three.out"
check "a waiting poll hears of a new peer" grep -q "identities=2" "$T/three.out"
wait_for 10 sh -c "curl -s --unix-socket '$SOCKET' 'http://control/v1/admin/identity?who=s/two' | grep -q '\"connected\":false'"
out=$(sortie identity revoke --wait --timeout 10s s/four --json)
has "revoke --wait: acknowledged by the connected peer" "$out" '"acknowledged": \[[^]]*"s/three"'
has "revoke --wait: the one that is away is outstanding" "$out" '"outstanding": \[[^]]*"s/two"'
check "the poll has the tombstone" grep -q "identities=1 tombstones=1" "$T/three.out"
check_not "the hub has no peer of it" sh -c "'$B/sortie' --control '$SOCKET' identity show s/four"
out=$(agent two four enroll 2>&1)
has "its token does not bring it back" "$out" "enroll 403 revoked|enroll 409"
kill $POLLER 2>/dev/null
{
	sed '/^tests:/,$d' "$T/policy.yaml"
	for ((i = 0; i < 4000; i++)); do echo "  - {name: rule $i, from: role=x$i, to: role=y$i, allow: [tcp/80]}"; done
} >"$T/large.yaml"
check "a large policy applied" key policy apply "$T/large.yaml"
key token create --name s/greedy --labels role=x --out "$T/greedy.token" >/dev/null
out=$(agent two greedy enroll join sync greedy)
has "whoever asks for his view again and again gets it" "$out" "greedy bytes=[0-9]{8}"
check "but 16 MB at once and 4 MB/s at most" awk -F'[= ]' '/^greedy/ {exit $3 > 20e6 + 4200 * $5}' <<<"$out"
echo "# $(tail -1 <<<"$out")"

# ---- tokens that are not used any more; questions that are none ----
key token create --name s/five --labels role=x --out "$T/five.token" >/dev/null
check "token revoke" sortie token revoke s/five
out=$(agent one five enroll 2>&1)
has "a revoked token: a clear refusal" "$out" "enroll 403 token-revoked"
check_not "token revoke: none open any more" sortie token revoke s/five
key token create --name s/six --labels role=x --not-after 3s --out "$T/six.token" >/dev/null
wait_for 15 sh -c "'$B/sortie' --control '$SOCKET' token list --json | grep -q '\"expired\"'"
out=$(agent one six enroll 2>&1)
has "an expired token: a clear refusal" "$out" "enroll 403 token-expired"
has "a version that is no number" "$(admin 'policy/show?version=x')" "bad-request"
has "a policy version that there is not" "$(admin 'policy/show?version=7')" "not-found"

# ---- suspend, resume ----
check "suspend" sortie identity suspend s/two
has "suspended: no lease" "$(admin 'identity?who=s/two')" '"state":"suspended"'
check "resume" sortie identity resume s/two
has "resumed: a lease again" "$(admin 'identity?who=s/two')" '"state":"active"'

# ---- restarts ----
boot=$(status boot_id) revision=$(status revision)
stop -TERM
check "the interface stands without its control plane" on hub ip link show sortie0
run "run again"
check "the interface was adopted: same boot id" test "$(status boot_id)" = "$boot"
check "nothing was forgotten" test "$(status revision)" = "$revision"
stop -KILL 2>/dev/null
run "run after kill -9"
on hub ip link del sortie0
back() { test "$(status boot_id)" != "$boot" && on hub ss -ltnH | grep -q "%sortie0:7140"; }
check "a deleted interface comes back with a new boot id and listeners" wait_for 10 back
on hub nft flush ruleset
check "a flushed filter comes back" wait_for 10 on hub nft list table inet sortie
stop -TERM
cp "$STATE/control.db" "$T/good.db"
python3 - "$STATE/control.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("DROP TRIGGER audit_no_update")
db.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 3")
db.commit()
PY
run "run with a changed audit log"
has "status says that the audit log was changed" "$(sortie status)" "audit log was changed: entry 3"
stop -TERM
rm -f "$STATE"/control.db-*
cp "$T/good.db" "$STATE/control.db"
printf 'XXXXXXXXXXXXXXXX' | dd of="$STATE/control.db" bs=1 seek=4096 conv=notrunc status=none
rm -f "$STATE"/control.db-*
has "a damaged database is refused" "$(on hub "$B/sortie-control" run --state "$STATE" --socket "$SOCKET" 2>&1)" "damaged"
cp "$T/good.db" "$STATE/control.db"
chmod 0644 "$STATE/keys/control"
has "a key that others can read is refused" "$(on hub "$B/sortie-control" run --state "$STATE" --socket "$SOCKET" 2>&1)" "keys/control"
chmod 0600 "$STATE/keys/control"

# ---- a full disk ----
cp -a "$STATE" "$T/small/state"
STATE=$T/small/state
run "run on a small disk"
dd if=/dev/zero of="$T/small/filler" bs=4096 status=none 2>/dev/null
has "disk full: a write is refused" "$(key token create --name s/full --labels role=x --out "$T/full.token" 2>&1)" "disk is full"
check "disk full: reads go on" sortie identity show s/two
rm "$T/small/filler"
check "room again: writes go on" key token create --name s/full --labels role=x --out "$T/full.token"
stop -TERM
STATE=$T/state
on hub ip link del sortie0
on hub ip link add sortie0 type bridge
has "an interface name that is taken" "$(on hub "$B/sortie-control" run --state "$STATE" --socket "$SOCKET" 2>&1)" "is there and is not this hub's"
check_not "no sanitizer complained" grep -E "ERROR: (Address|Leak)Sanitizer|runtime error:" "$T/control.log"
((FAILED == 0)) || sed 's/^/# /' "$T/control.log"
finish
