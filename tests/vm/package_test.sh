#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Debian package in a guest with systemd and the kernel's WireGuard: installed, enrolled with a hub outside, upgraded
# under traffic, rebooted BOOTS (1) times with somebody knocking from power-on, removed; then installed again as a hub,
# upgraded under traffic, purged. KERNEL=6.12 for the other kernel.
#
#     hub --- internet (bridge) --- monitor (a workload on this machine)
#                    |
#                  guest 192.0.2.41, 2001:db8::41: systemd, the package
cd "$(dirname "$0")/../.." || exit 2
KERNEL=${KERNEL:-6.1}
export B=${B:-build}
if [[ -z ${SORTIE_TEST_INSIDE:-} ]]; then # with a network, for what is fetched
	for part in "kernel $KERNEL" image; do
		# shellcheck disable=SC2086 # a word and its argument
		reason=$(tests/vm/$part 2>&1) || { echo "ok package # SKIP $reason"; exit 77; }
	done
	old=$(packaging/deb/build 0.1.0 1) && new=$(packaging/deb/build 0.1.0 2) || { echo "not ok packages are built"; exit 1; }
	export OLD_DEB=$PWD/$old NEW_DEB=$PWD/$new
fi
source "tests/net/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh" # echoes
source "$ROOT/tests/vm/guest.sh"

took() { # NAME: what it took since the last call
	echo "# $1: $((SECONDS - TOOK)) s"
	TOOK=$SECONDS
}
TOOK=$SECONDS
is_active() { guest "systemctl is-active $1" | grep -qx active; }
property() { guest "systemctl show -P $2 $1"; } # UNIT NAME
files() { guest 'find / -xdev ! -path "/proc/*" ! -path "/var/lib/dpkg/*" ! -path "/var/log/*" ! -path "/tmp/*" ! -path "/var/tmp/*" ! -path "/var/cache/*" ! -path "/var/lib/systemd/*" ! -path "/etc/*-" ! -path "/run/*" | sort'; }

internet_up
direct_site monitor 192.0.2.31/24 2001:db8::31/64
guest_boot "$KERNEL" || { fail "the guest boots"; cat "$GUEST_DIR/console"; exit 1; }
control_init >/dev/null
control_run || exit 1
agent_run monitor || exit 1
check "monitor enrolled" enroll site-c/monitor role=monitor
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: monitoring, from: role=monitor, to: role=guest, allow: [icmp, tcp/5432]}
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
check "the guest's boot ends well" guest_up 120
took boot

# --- installed
files >"$T/before"
check "installs" guest "DEBIAN_FRONTEND=noninteractive dpkg -i /host$OLD_DEB"
check "no unit failed" eval '[[ -z $(guest "systemctl --failed --no-legend") ]]'
check "the agent runs" is_active sortied
check "and after a reboot too" eval 'guest "systemctl is-enabled sortied" | grep -qx enabled'
check_not "no control plane without a network" is_active sortie-control
check "not enrolled: nothing of ours in the kernel" eval '[[ -z $(guest "nft list tables; ip -o link show type wireguard") ]]'
took install

# --- enrolled
sortie token create --name site-g/guest --labels role=guest --out "$GUEST_DIR/token" >/dev/null
check "enrols" guest "sortie enroll --token file:/vm/token"
((FAILED == 0)) || { guest "ip -br addr; ping -c 1 -W 2 $HUB4; wg show; nft list counters; journalctl --no-pager -u sortied | tail -n 20"; exit 1; }
IP4=$(guest "sortie status --json" | python3 -c 'import json,sys; print(json.load(sys.stdin)["ipv4"])')
IP6=$(guest "sortie status --json" | python3 -c 'import json,sys; print(json.load(sys.stdin)["ipv6"])')
check "with the kernel's WireGuard" eval 'guest "sortie status --json" | grep -q "\"backend\": \"kernel\""'
answers() { on monitor ping -c 1 -W 2 "$1"; }
check "monitor reaches it, IPv4" wait_for 30 answers "$IP4"
check "monitor reaches it, IPv6" wait_for 30 answers "$IP6"
check "its socket is for root and group sortie" eval '[[ $(guest "stat -c %a:%U:%G /run/sortie/sortied.sock") == 660:root:sortie ]]'
check "sortied keeps CAP_NET_ADMIN and nothing else" eval '[[ $(guest "grep CapEff /proc/\$(systemctl show -P MainPID sortied)/status") == *0000000000001000 ]]'
check "sortie-net is nobody's user but its own" eval '[[ $(guest "ps -o user:20= -C sortie-net") == sortie-net ]]'
check "nothing is wrong in its log" eval '! guest "journalctl -q -u sortied -p warning" | grep .'
took enrol

# --- upgraded and restarted under traffic
stream() { # NAME COMMAND...: pings run meanwhile; nothing may be lost
	local name=$1 ping=() a lost
	shift
	for a in "$IP4" "$IP6"; do
		nsenter -t "${PIDS[monitor]}" -n -m -- ping -q -i 0.05 "$a" >"$T/ping.$a" 2>&1 &
		ping+=($!)
	done
	sleep 0.5
	check "$name" "$@"
	sleep 0.5
	kill -INT "${ping[@]}"
	wait "${ping[@]}"
	for a in "$IP4" "$IP6"; do
		lost=$(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$T/ping.$a")
		# One may be under way as ping ends: an emulated guest takes its time.
		check "$name: none of ${lost% *} lost, $a" eval "((${lost% *} - ${lost#* } <= 1 && ${lost% *} > 20))"
	done
}
index() { guest "cat /sys/class/net/sortie0/ifindex"; }
pid=$(property sortied MainPID) interface=$(index)
stream "the upgrade" guest "DEBIAN_FRONTEND=noninteractive dpkg -i /host$NEW_DEB"
check_not "the agent is a new process" test "$(property sortied MainPID)" = "$pid"
check "the interface is the old one" test "$(index)" = "$interface"
check "the agent runs" is_active sortied
took upgrade
stream "the agent killed" guest 'kill -9 $(systemctl show -P MainPID sortied)'
check "systemd starts it anew" wait_for 20 is_active sortied
took kill

# --- rebooted: a listener on all addresses from early in the boot, and knocks at it from before the guest has power
guest "printf '[Unit]\\nDefaultDependencies=no\\nAfter=local-fs.target\\nBefore=network-pre.target\\n[Service]\\nExecStart=/host$ROOT/tests/tools/probe.py serve guest tcp/8080 udp/8080\\n[Install]\\nWantedBy=sysinit.target\\n' \
	>/etc/systemd/system/listener.service; systemctl daemon-reload; systemctl --quiet enable --now listener"
knock() { # the guest's own packets are kept in $T/knock.pcap, but neighbour discovery, MLD and the tunnel, by whichever of the hub's ports
	nsenter -t "${PIDS[internet]}" -n -m -- tcpdump -Z root -q -U -i guest -w "$T/knock.pcap" "ether src 52:54:00:00:00:41 and not arp
		and not (icmp6 and ip6[40] >= 130 and ip6[40] <= 136) and not (ip6 and ip6[6] = 0 and ip6[40] = 58)
		and not (udp and (dst host $HUB4 or dst host $HUB6) and (dst port $HUB_PORT or dst port 443))" >"$T/tcpdump" 2>&1 &
	KNOCKERS=($!)
	wait_for 10 grep -q listening "$T/tcpdump"
	nsenter -t "${PIDS[internet]}" -n -m -- "$ROOT/tests/tools/knock.py" 8080 192.0.2.41 2001:db8::41 >"$T/knocked" &
	KNOCKERS+=($!)
}
knock_end() {
	kill "${KNOCKERS[1]}" && wait "${KNOCKERS[1]}"
	kill "${KNOCKERS[0]}" && wait "${KNOCKERS[0]}"
}
answered() { tcpdump -n -r "$T/knock.pcap" 2>/dev/null; }
said_nothing() { [[ -z $(answered) ]] || { answered | head -n 5; return 1; }; }
locked() { guest "sortie status --json" | grep -q '"enforce_pending": false' && guest "cat /var/lib/sortie/guard.txt" | grep -qx "locked 1"; }
check "the underlay is locked" wait_for 60 locked
for ((boot = 1; boot <= ${BOOTS:-1}; boot++)); do
	knock
	check "boot $boot: the guest reboots" guest_reboot
	took down
	check "boot $boot: it ends well" guest_up 120
	check "boot $boot: monitor reaches it again, IPv4" wait_for 60 answers "$IP4"
	check "boot $boot: monitor reaches it again, IPv6" wait_for 60 answers "$IP6"
	check "boot $boot: no unit failed" eval '[[ -z $(guest "systemctl --failed --no-legend") ]]'
	check "boot $boot: the listener listens" eval '[[ $(guest "ss -Hltn sport = 8080 | wc -l") -ge 1 ]]'
	knock_end
	check "boot $boot: nobody was answered ($(<"$T/knocked"))" said_nothing
	cat "$T/knocked" >>"$T/knocked.all"
	took reboot
done
awk '{v4 += $1; v6 += $3; s += $6} END {print "# knocked in " NR " boots: " v4 " IPv4, " v6 " IPv6 in " s " s"}' "$T/knocked.all"
# What it would have seen: no lock, an answer.
guest "systemctl stop sortied && nft delete table inet sortie"
knock
sleep 3
knock_end
check_not "without the lock knocks are answered" said_nothing
guest "systemctl start sortied"
guest "systemctl --quiet disable --now listener; rm /etc/systemd/system/listener.service; systemctl daemon-reload"

# --- removed, installed again, purged
check "is removed" guest "dpkg -r sortie"
check "nothing of ours in the kernel" eval '[[ -z $(guest "nft list tables; ip -o link show type wireguard; ip -6 route show proto 140") ]]'
check "keys stay" guest "test -s /var/lib/sortie/identity.key"
took remove
check "installs again" guest "DEBIAN_FRONTEND=noninteractive dpkg -i /host$OLD_DEB"
check "it is who it was" wait_for 60 answers "$IP6"
check "leaves" guest "sortie leave"
check "nothing of ours in the kernel" eval '[[ -z $(guest "nft list tables; ip -o link show type wireguard; ip -6 route show proto 140") ]]'
took again
source "$ROOT/tests/vm/package_hub.sh"
check "is purged" guest "dpkg -P sortie"
check "nothing of ours in the kernel" eval '[[ -z $(guest "nft list tables; ip -o link show type wireguard; ip -6 route show proto 140; ls /sys/fs/bpf; tc filter show dev eth0 ingress") ]]'
check "no process" eval '[[ -z $(guest "ps -C sortied,sortie-net,sortie-control,sortie-sign -o pid=") ]]'
check "no file in /run" eval '! guest "ls -d /run/sortie*"'
check "no user" eval '! guest "getent passwd sortie-net sortie-sign; getent group sortie" | grep .'
guest "rm /root/policy.yaml"
files >"$T/after"
check "no file that was not there before" eval '! diff "$T/before" "$T/after" | grep "^>"'
check "the same files as before" eval 'diff "$T/before" "$T/after"'
took purge
guest_off
sites_end
finish
