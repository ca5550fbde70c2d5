#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Beside what else is found on servers: nftables.service (a restart flushes everybody's rules), Tailscale's rules, another
# WireGuard. Each goes on with what is its own, policy holds.
[[ -n ${SORTIE_TEST_INSIDE:-} ]] || "$(dirname "$0")/../../packaging/unpack-foreign" "$(dirname "$0")/../../build/foreign" 2>/dev/null
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/foreign_bed.sh"
source "$ROOT/tests/net/beside_bed.sh"
foreign_need iptables-restore
beside_up

# ---- Tailscale: the rules that tailscaled 1.50 loads (util/linuxfw, wgengine/router), its interface a stand-in
on db ip link add tailscale0 type bridge
on db ip addr add 100.101.102.103/32 dev tailscale0
on db ip link set tailscale0 up
tailscale_rules() {
	on db iptables-restore --noflush <<-'RULES' && on db ip6tables-restore --noflush <<-'RULES6'
		*filter
		:ts-forward - [0:0]
		:ts-input - [0:0]
		-I INPUT -j ts-input
		-I FORWARD -j ts-forward
		-A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000
		-A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
		-A ts-forward -s 100.64.0.0/10 -o tailscale0 -j DROP
		-A ts-forward -o tailscale0 -j ACCEPT
		-A ts-input -s 100.101.102.103/32 -i lo -j ACCEPT
		-A ts-input -s 100.115.92.0/23 ! -i tailscale0 -j RETURN
		-A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP
		-A ts-input -i tailscale0 -j ACCEPT
		-A ts-input -p udp -m udp --dport 41641 -j ACCEPT
		COMMIT
		*nat
		:ts-postrouting - [0:0]
		-I POSTROUTING -j ts-postrouting
		-A ts-postrouting -m mark --mark 0x40000/0xff0000 -j MASQUERADE
		COMMIT
	RULES
		*filter
		:ts-forward - [0:0]
		:ts-input - [0:0]
		-I INPUT -j ts-input
		-I FORWARD -j ts-forward
		-A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000
		-A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
		-A ts-forward -o tailscale0 -j ACCEPT
		-A ts-input -i tailscale0 -j ACCEPT
		-A ts-input -p udp -m udp --dport 41641 -j ACCEPT
		COMMIT
	RULES6
}
check "Tailscale's rules are loaded" tailscale_rules
check "flows and denies are as before" eval 'allowed && denied'
check "and there is nothing to say: its range is not ours" says_nothing

# ---- another WireGuard, the kernel's where it has one: wg9 between web and db, over the underlay
wg9() { # HOST OWN_KEY PEER_KEY PEER_ENDPOINT NUMBER
	on "$1" ip link add wg9 type wireguard 2>/dev/null || on "$1" wireguard-go wg9 >/dev/null 2>&1
	on "$1" wg set wg9 private-key "$2" listen-port 51999 peer "$3" \
		allowed-ips 10.99.0.0/24,fd99::/64 endpoint "$4:51999" && on "$1" ip link set wg9 mtu 1400 up && addr "$1" wg9 "10.99.0.$5/24" "fd99::$5/64"
}
for h in web db; do (umask 077 && wg genkey >"$T/wg9.$h"); done
wg9_up() {
	wg9 db "$T/wg9.db" "$(wg pubkey <"$T/wg9.web")" 192.0.2.21 2 && wg9 web "$T/wg9.web" "$(wg pubkey <"$T/wg9.db")" 192.0.2.31 1
}
over_wg9() { all_are open web 10.99.0.2/tcp/8000 fd99::2/tcp/8000; }
out_by_wg9() { all_are open db 10.99.0.1/tcp/7001 fd99::1/tcp/7001; }
check "another WireGuard comes up" wg9_up
check "overlay: it works, both ways" wait_for 10 eval 'over_wg9 && out_by_wg9'
check "overlay: so do our flows" allowed
served='underlay:
  - {name: the other WireGuard, on: role=db, from: [192.0.2.21/32, "2001:db8::21/128"], allow: [udp/51999]}'
check "mode enforce, which serves its port" beside_policy enforce "$served"
check "enforce: what db opens through it works" wait_for 10 out_by_wg9
check "enforce: what comes in through it was not asked for" none_open web 10.99.0.2/tcp/8000 fd99::2/tcp/8000
check "mode enforce, which serves what is in it too" beside_policy enforce "$served
  - {name: in it, on: role=db, from: [10.99.0.0/24, 'fd99::/64'], allow: [tcp/8000]}"
check "enforce: it works, both ways" wait_for 10 eval 'over_wg9 && out_by_wg9'
check "enforce: our flows and denies are as before" eval 'allowed && denied'

# ---- nftables.service: `systemctl restart nftables` runs this file, which begins as Debian's does
cat >"$T/nftables.conf" <<'NFT'
#!/usr/sbin/nft -f

flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iifname "lo" accept
		ip6 nexthdr icmpv6 accept
		tcp dport { 22, 8000 } accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
	chain output {
		type filter hook output priority filter; policy accept;
	}
}
NFT
check "nftables.service is restarted" on db nft -f "$T/nftables.conf"
# where the kernel knows owners of tables (6.9) it was not even flushed
check "our table stands, or stands again" wait_for 15 table_stands
check "what policy denies is denied" wait_for 5 denied
check "status names the chain and what it drops" wait_for 5 says 'nftables inet filter input \| .* from the overlay, which policy allows \| nft insert rule inet filter input iifname sortie0 accept'
check "it is true: the database cannot be reached" database_shut
check "the line that it prints, run" obey "from the overlay"
check "is true as well: the database can be reached, IPv4 and IPv6" wait_for 5 allowed
check "and there is nothing to say" says_nothing
check "what policy denies is denied" denied

# ---- a drop of one family alone
on db nft -f - <<'NFT'
table ip6 six {
	chain input {
		type filter hook input priority filter; policy accept;
		iifname "sortie0" tcp dport 5432 drop
	}
}
NFT
check "a drop of IPv6 alone is named" wait_for 5 says 'nftables ip6 six input \| tcp/5432 from the overlay, which policy allows \| nft insert rule ip6 six input iifname sortie0 accept'
check "it is true: IPv6 is shut, IPv4 is not" eval 'all_are silent web "${V6[db]}/tcp/5432" && all_are open web "${V4[db]}/tcp/5432"'
check "the line that it prints, run" obey "tcp/5432 from the overlay"
check "is true as well: the database can be reached, IPv4 and IPv6" wait_for 5 allowed
check "what policy denies is denied" denied

# ---- a drop on the way to the hub itself
answers() { at db status --json | grep -qE '"hub_answers": ?true'; }
check "the hub answers" answers
on db nft add rule inet filter output ip daddr 192.0.2.1 drop
check "a drop of our own packets is named" wait_for 5 says "WireGuard's packets to the hub at 192.0.2.1:51820 \| nft insert rule inet filter output ip daddr 192.0.2.1 udp dport 51820 accept"
check "it is true: the hub does not answer" wait_for 30 eval '! answers'
check "the line that it prints, run" obey "packets to the hub"
check "is true as well: the hub answers" wait_for 30 answers
sites_end
finish
