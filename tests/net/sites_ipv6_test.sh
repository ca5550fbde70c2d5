#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The main job where the underlay has IPv6 only: enrolment, policy, probes of both overlay families, full-size packets,
# revocation. No host has an IPv4 address outside of the overlay.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
probe=$ROOT/tests/tools/probe.py

internet_up
direct_site web 2001:db8::21/64
direct_site db 2001:db8::22/64
on hub ip -4 addr flush dev eth0
on internet ip -4 addr flush dev br0
ENDPOINT="[$HUB6]:$HUB_PORT"
control_init >/dev/null
control_run || exit 1
for h in web db; do agent_run "$h" || exit 1; done
check "web enrolled over IPv6" enroll site-a/web role=web
check "db enrolled over IPv6" enroll site-b/db role=db
check "status names the endpoint" eval 'at web status | grep -qF "hub         [2001:db8::1]:51820"'
declare -A V4=() V6=()
for h in web db; do
	V4[$h]=$(overlay "$h" 4) V6[$h]=$(overlay "$h" 6)
	on "$h" "$probe" serve "$h" tcp/5432 tcp/22 udp/53 tcp/9000 >/dev/null 2>&1 &
done
check_not "no policy, no access" reaches web "${V6[db]}" tcp/5432
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: web uses the database, from: role=web, to: role=db, allow: [tcp/5432, udp/53, icmp, tcp/9000]}
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
check "allowed: it works" wait_for 20 reaches web "${V6[db]}" tcp/5432
for family in 4 6; do
	declare -n table=V$family
	for port in tcp/5432 udp/53 icmp; do check "IPv$family: web reaches db $port" reaches web "${table[db]}" $port; done
	check_not "IPv$family: web does not reach db tcp/22" reaches web "${table[db]}" tcp/22
	for port in tcp/5432 udp/53 icmp; do check_not "IPv$family: db does not reach web $port" reaches db "${table[web]}" $port; done
done
for h in web db; do
	check_not "nobody comes in to $h beside the overlay" reaches internet "2001:db8::2$([[ $h == web ]] && echo 1 || echo 2)" tcp/22
done

# ---- full-size packets: 1280 is the overlay's MTU, unfragmented, both families
mtu() { on "$1" ip -o link show sortie0 | sed 's/.* mtu \([0-9]*\) .*/\1/'; }
check "the MTU is 1280" test "$(mtu web)$(mtu db)$(mtu hub)" = 128012801280
check "IPv4: packets of 1280 bytes pass" on web ping -4 -M do -s $((1280 - 28)) -c 5 -i 0.05 -W 2 "${V4[db]}"
check "IPv6: packets of 1280 bytes pass" on web ping -6 -M do -s $((1280 - 48)) -c 5 -i 0.05 -W 2 "${V6[db]}"
check_not "IPv4: 1281 bytes do not fit" on web ping -4 -M do -s $((1281 - 28)) -c 1 -W 2 "${V4[db]}"
check_not "IPv6: 1281 bytes do not fit" on web ping -6 -M do -s $((1281 - 48)) -c 1 -W 2 "${V6[db]}"
for mtu in 1460 1400; do
	on web ip link set eth0 mtu $mtu
	on internet ip link set web mtu $mtu
	check "leg of $mtu: IPv4: packets of 1280 bytes pass" on web ping -q -4 -M do -s $((1280 - 28)) -c 3 -i 0.05 -W 2 "${V4[db]}"
	check "leg of $mtu: IPv6: packets of 1280 bytes pass" on web ping -q -6 -M do -s $((1280 - 48)) -c 3 -i 0.05 -W 2 "${V6[db]}"
done
on web ip link set eth0 mtu 1500
on internet ip link set web mtu 1500
fragments() { on hub tcpdump -nr "$T/hub.pcap" 'ip6[6] == 44' 2>/dev/null | wc -l; }
on hub tcpdump -i eth0 -U -w "$T/hub.pcap" >/dev/null 2>&1 &
wait_for 10 test -s "$T/hub.pcap"
for family in 4 6; do
	declare -n table=V$family
	on web "$probe" stream send "${table[db]}" 9000 $((3 * ${TEST_SCALE%.*})) "$T/bulk.$family" &
	sender=$!
	check "IPv$family: a TCP stream flows" wait_for 10 eval "[[ \$(cut -d' ' -f2 '$T/bulk.$family') -gt 200000 ]]"
	wait $sender
done
check "the underlay carries no fragments" test "$(fragments)" = 0
check "and nothing of it is IPv4" test "$(tcpdump -nr "$T/hub.pcap" ip 2>/dev/null | wc -l)" -eq 0

check "revoked" sortie identity revoke --wait site-a/web
check_not "the revoked reaches nobody: IPv6" reaches web "${V6[db]}" tcp/5432
check_not "the revoked reaches nobody: IPv4" reaches web "${V4[db]}" tcp/5432
sites_end
finish
