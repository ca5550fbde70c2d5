#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Row site-to-site-nebula: TCP from one site to another, both behind NATs that rewrite ports at random, through the hub's relay;
# against Nebula through its relay on the same hub and the same NATs, on hosts of its own. Agents, policy and mode as they come;
# Nebula with certificates, groups and a rule for the port. A B B A quads, IPv4 inside the tunnels, the same MTU. Nebula and
# wireguard-go are Debian 13's where they can be had (tests/net/newer.sh; OWN=1: this machine's own). BENCH_QUADS (30), BENCH_MS (400) a
# run; ROW is the row's name; WIRE=1: packets one by one between hosts, as a wire has them. See bench/sites.py.
source "$(dirname "$0")/../tests/net/newer.sh"
newer wireguard-go nebula
if [[ -z ${SORTIE_TEST_INSIDE:-} ]] && ! command -v nebula-cert >/dev/null; then # inside there is no network
	apt-get install -y --no-install-recommends nebula >/dev/null
fi
source "$(dirname "$0")/../tests/net/lib.sh"
source "$ROOT/tests/net/sites.sh"
set -e
program=$B/bench/stream
[[ $program -nt $ROOT/bench/stream.c ]] || make -s -C "$ROOT" "B=$B" "$program"

sites_up
[[ -z ${WIRE:-} ]] || for h in "${!PIDS[@]}"; do
	for i in $(on "$h" ls /sys/class/net); do on "$h" ethtool -K "$i" tx-udp-segmentation off gro on >/dev/null 2>&1 || true; done
done
control_init >/dev/null
control_run 2>"$T/relay.log"
sed 's/^/# /' "$T/relay.log"
for h in web db; do agent_run "$h"; done
enroll site-a/web role=web >/dev/null
enroll site-b/db role=db >/dev/null
printf 'version: 1\nrules: [{name: measured, from: role=web, to: role=db, allow: [tcp/9000, icmp]}]\n' >"$T/policy.yaml"
sortie policy apply "$T/policy.yaml" >/dev/null
ours=$(overlay db 4)
wait_for 20 on web ping -c1 -W1 "$ours"

# Nebula on worker (site a) and cache (site b)
mkdir "$T/nebula"
cd "$T/nebula"
nebula-cert ca -name bench
nebula-cert sign -name hub -ip 10.200.0.1/24
nebula-cert sign -name worker -ip 10.200.0.2/24 -groups web
nebula-cert sign -name cache -ip 10.200.0.3/24 -groups db
nebula_run() { # HOST LIGHTHOUSE RELAY_LINE
	cat >"$1.yml" <<-YAML
		pki: {ca: $PWD/ca.crt, cert: $PWD/$1.crt, key: $PWD/$1.key}
		static_host_map: {"10.200.0.1": ["$HUB4:4242"]}
		lighthouse: {am_lighthouse: $2, interval: 10, hosts: [$([[ $2 == true ]] || echo '"10.200.0.1"')]$([[ $2 == true ]] || echo ", remote_allow_list: {'$HUB4/32': true, '0.0.0.0/0': false}")}
		listen: {host: 0.0.0.0, port: $([[ $2 == true ]] && echo 4242 || echo 0)}
		relay: {$3}
		tun: {dev: nebula1, mtu: 1280}
		logging: {level: warning, format: text}
		firewall:
		  outbound: [{port: any, proto: any, host: any}]
		  inbound: [{port: any, proto: icmp, host: any}, {port: 9000, proto: tcp, group: web}]
	YAML
	on "$1" nebula -config "$PWD/$1.yml" >"$T/nebula.$1.log" 2>&1 &
}
nebula_run hub true "am_relay: true"
nebula_run worker false 'use_relays: true, relays: ["10.200.0.1"]'
nebula_run cache false 'use_relays: true, relays: ["10.200.0.1"]'
cd "$ROOT"
wait_for 30 on worker ping -c1 -W1 10.200.0.3 || { tail -n 5 "$T"/nebula.*.log >&2; exit 1; }

WITH="wireguard-go $(wireguard-go --version | sed -n '1s/.* v//p')"
export WITH
"$ROOT/bench/sites.py" "$program" "${PIDS[web]}" "${PIDS[db]}" "$ours" "${PIDS[worker]}" "${PIDS[cache]}" 10.200.0.3 "${PIDS[hub]}"
finish
