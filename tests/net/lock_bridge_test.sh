#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A host whose uplink is a bridge, beside bridges of containers: who is on the LAN is no container, and containers still are,
# also after the uplink has moved, with the guard's rules alone, and where interfaces are named.
#
#     outside 192.0.2.31 --+-- internet --+-- web 192.0.2.21
#                          |              +-- hub
#          db 192.0.2.22: eth0, later in br0
#             br-box --- box 172.17.0.2, its port 80 published as 8080 and 8081
#             br-two --- two 172.18.0.2
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/expect.sh"

internet_up
direct_site web 192.0.2.21/24 2001:db8::21/64
direct_site db 192.0.2.22/24 2001:db8::22/64
direct_site outside 192.0.2.31/24 2001:db8::31/64
containers() { # NAME NUMBER: a bridge, and one container behind it
	host "$1"
	on db ip link add "br-$1" type bridge
	on db ip link set "br-$1" up
	wire db "veth-$1" "$1" eth0
	on db ip link set "veth-$1" master "br-$1"
	addr db "br-$1" "172.$2.0.1/16" "fd00:$2::1/64"
	addr "$1" eth0 "172.$2.0.2/16" "fd00:$2::2/64"
	on "$1" ip route add default via "172.$2.0.1"
	on "$1" ip -6 route add default via "fd00:$2::1"
}
containers box 17
containers two 18
on db sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
# What goes on to the overlay is masqueraded from wherever it came, so that only our rules stand between the LAN and web.
on db nft -f - <<'NFT'
table inet docker {
	chain pre { type nat hook prerouting priority -100; fib daddr type local tcp dport { 8080, 8081 } jump published; }
	chain published { meta l4proto tcp dnat ip to 172.17.0.2:80; meta l4proto tcp dnat ip6 to [fd00:17::2]:80; }
	chain post { type nat hook postrouting priority 100; oifname "sortie0" masquerade; iifname "br-*" oifname "br0" masquerade; }
}
NFT
way_out() { # INTERFACE
	on db ip route replace default via 192.0.2.99 dev "$1"
	on db ip -6 route replace default via 2001:db8::99 dev "$1"
}
way_out eth0

control_init >/dev/null
control_run || exit 1
for h in web db; do agent_run $h || exit 1; done
check "web enrolled" enroll site-a/web role=web
check "db enrolled" enroll site-b/db role=db
cat >"$T/policy.yaml" <<YAML
version: 1
rules: [{name: r, from: role=db, to: role=web, allow: [tcp/7000]}]
hosts: [{on: role=db, mode: enforce, containers: true}]
underlay: [{name: served, on: role=db, from: [192.0.2.0/24, "2001:db8::/64"], allow: [tcp/8081]}]
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
on web "$PROBE" serve web tcp/7000 tcp/7001 >/dev/null 2>&1 &
on box "$PROBE" serve box tcp/80 >/dev/null 2>&1 &
on db "$PROBE" serve db tcp/22 >/dev/null 2>&1 &
V4=$(overlay web 4) V6=$(overlay web 6)
on outside ip route add "$V4" via 192.0.2.22
on outside ip -6 route add "$V6" via 2001:db8::22
check "db reaches web" wait_for 20 eval 'reaches db "$V4" tcp/7000 && reaches db "$V6" tcp/7000'
locked() { at db status --json | python3 -c 'import json,sys; s=json.load(sys.stdin); sys.exit(s["mode"] != "enforce" or s["enforce_pending"])'; }
check "db is locked" wait_for 20 locked

lan() { # WHEN
	expect outside "$1" <<-CASES
		closed 192.0.2.22 2001:db8::22 tcp/8080 the LAN to a published port that nothing serves
		closed $V4 $V6 tcp/7000 the LAN to the overlay, by way of this host
		closed 192.0.2.22 2001:db8::22 tcp/22 the LAN to the host's own port
		open+box 192.0.2.22 2001:db8::22 tcp/8081 the LAN to a published port that policy serves
	CASES
}
boxes() { # WHEN
	expect two "$1" <<-CASES
		open+web $V4 $V6 tcp/7000 a container to the peer that policy allows
		closed $V4 $V6 tcp/7001 a container to what it does not
		open+box 192.0.2.22 2001:db8::22 tcp/8080 a container to another's published port
	CASES
}

lan "eth0"
boxes "eth0"

# ---- the uplink moves into a bridge, as an installer of virtual machines does it
on db ip link add br0 type bridge
on db ip link set br0 up
on db ip addr flush dev eth0
on db ip link set eth0 master br0
addr db br0 192.0.2.22/24 2001:db8::22/64
way_out br0
knows() { on db nft list chain inet sortie forward_out | grep -q 'iifname != "br0"'; }
check "br0: the rules follow" wait_for 5 knows
lan "br0"
boxes "br0"
told() { grep -qx "uplink br0" "$T/db/guard.txt"; }
check "br0: so will the guard's" wait_for 5 told

# ---- away, and back without the agent
kill -KILL "${AGENTS[db]}"
wait "${AGENTS[db]}" 2>/dev/null
on db nft delete table inet sortie
check "guard: the table is made" on db "$B/sortie-guard" --state "$T/db" --socket "$T/db.sock"
lan "guard"
expect two "guard" <<<"open+box 192.0.2.22 2001:db8::22 tcp/8080 a container to another's published port"

# ---- interfaces that are named: these, and no others
refused "a name that no interface can have: exit 2" 2 'container-interface: "a/b" is not a name' "$B/sortied" --container-interface a/b
mapfile -t many < <(seq -f --container-interface=br-%g 33)
refused "more names than there may be: exit 2" 2 'at most 32 can be named' "$B/sortied" "${many[@]}"
agent_run db --container-interface br-two --container-interface br-none || exit 1
check "named: db reaches web" wait_for 20 reaches db "$V6" tcp/7000
lan "named"
boxes "named"
expect box "named" <<<"closed $V4 $V6 tcp/7000 a container behind a bridge that is not named to the peer"
sites_end
finish
