#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A session with the hub that begins while doctor's detour holds is bound to the hub's second port, and the hub's answers lead
# there ever again: the agent begins it anew by the endpoint in use. Forced here: nothing gets to the second port until the agent
# was made to stand still in the midst of the detour; then the hub's peer is added again. IPv4 outside, behind a NAT that keeps
# ports (with another one the hub sees another host, and answers that from the first port), and IPv6.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

internet_up
nat_site nata 192.0.2.11 web
on nata nft "flush chain inet nat post; add rule inet nat post oifname eth0 masquerade"
direct_site w6 2001:db8::71/64
control_init --endpoint "[$HUB6]:$HUB_PORT" >/dev/null
control_run 2>/dev/null || exit 1
for h in web w6; do agent_run "$h" || exit 1; done
check "web enrolled" enroll site-a/web role=web
check "w6 enrolled" enroll site-b/w6 role=w6
cat >"$T/policy.yaml" <<-'YAML'
	version: 1
	rules: [{name: web asks w6, from: role=web, to: role=w6, allow: [icmp]}]
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
overlay_addresses web w6
check "web reaches w6" wait_for 20 reaches web "${V6[w6]}" icmp
HUB_KEY=$(on hub wg show sortie0 public-key)

hub_is() { # HOST WHAT: of the hub's peer, as "wg show" names it
	on "$1" wg show sortie0 "$2" | awk -v key="$HUB_KEY" '$1 == key {print $2}'
}
kept_in_detour() { # HOST: the agent stands still while the hub's peer speaks to the second port; one examination after the other
	local h=$1
	for _ in {1..8}; do
		at "$h" doctor >"$T/doctor.$h" 2>&1 &
		DOCTOR=$!
		# shellcheck disable=SC2016 # expanded inside
		on "$h" bash -c '
			at_second() { [[ $(wg show sortie0 endpoints) == *"$0"*:443* ]]; }
			while kill -0 "$2" 2>/dev/null; do
				at_second || continue
				kill -STOP "$1"
				at_second && exit 0
				kill -CONT "$1"
			done
			exit 1' "$HUB_KEY" "${AGENTS[$h]}" $DOCTOR && return 0
	done
	return 1
}
shaken() { [[ $(hub_is "$1" latest-handshakes) -gt 0 ]]; }
answered_by_second() { # HOST: the hub's response to an initiation came from there
	tcpdump -nr "$T/$1.pcap" "src port 443" 2>/dev/null | grep -q "length 92$"
}
settles() { # HOST ENDPOINT: for 2 s, in which the agent and we ask the hub, it is there and nowhere else
	local i
	for i in {1..10}; do
		on "$1" ping -q -c 1 -W 1 "$HUB_OVER4" >/dev/null && on "$1" ping -q -c 1 -W 1 "$HUB_OVER6" >/dev/null || { echo "the hub does not answer"; return 1; }
		[[ $(hub_is "$1" endpoints) == "$2" ]] || { echo "it is at $(hub_is "$1" endpoints)"; return 1; }
		sleep 0.2
	done
}

for h in web w6; do
	check "$h is ready" wait_for 20 at $h status --check ready
	first=$(hub_is $h endpoints)
	check "$h speaks with the first port" test "${first##*:}" = $HUB_PORT
	on $h tcpdump -i eth0 -U -w "$T/$h.pcap" "udp" >/dev/null 2>"$T/tcpdump.$h" &
	check "$h's wire is watched" wait_for 10 grep -q "listening on" "$T/tcpdump.$h"
	on $h nft -f - <<-'NFT'
		table inet late { chain out { type filter hook output priority 0; udp dport 443 drop; }; }
	NFT
	if ! kept_in_detour $h; then
		fail "$h is kept in a detour"
		continue
	fi
	on $h nft delete table inet late
	on $h wg set sortie0 peer "$HUB_KEY" remove peer "$HUB_KEY" endpoint "${first%:*}:443" persistent-keepalive 25 allowed-ips "$HUB_OVER4,$HUB_OVER6"
	check "$h: a session begins on the detour" wait_for 10 shaken $h
	check "$h: by the second port" wait_for 5 answered_by_second $h
	since=$(now)
	watch hub4 $h "$HUB_OVER4" later
	watch hub6 $h "$HUB_OVER6" later
	watch site4 web "${V4[w6]}" later
	watch site6 web "${V6[w6]}" later
	kill -CONT "${AGENTS[$h]}"
	wait $DOCTOR || fail "$h: the examination says that all is well" "$(grep -v "^ok" "$T/doctor.$h")"
	sed -n "s/^[a-z]* *hub .*/# $h: &/p" "$T/doctor.$h"
	check "$h: the hub is there, and stays" settles $h "$first"
	watched
	outage "session begun on $h's detour" 5000 "$since"
	check_not "$h: what policy forbids stays so: w6 does not reach web, IPv4" reaches w6 "${V4[web]}" icmp
	check_not "$h: nor IPv6" reaches w6 "${V6[web]}" icmp
done
sites_end
finish
