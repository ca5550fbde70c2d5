#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# Attacks on the relay over the wire, while sites speak through it: two behind NATs over IPv4, two over IPv6. The attacker sends
# what it likes from whatever address it likes, and is a site itself, which policy pairs with those it attacks. Nobody else
# loses a packet, and handshakes come about meanwhile. (What each does to the maps: tests/unit/relay_abuse_test.)
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"

internet_up
nat_site nata 192.0.2.11 web
nat_site natb 192.0.2.12 db
direct_site w6 2001:db8::71/64
direct_site d6 2001:db8::72/64
direct_site evil 192.0.2.66/24 2001:db8::66/64
control_init --endpoint "[$HUB6]:$HUB_PORT" >/dev/null
control_run 2>/dev/null || exit 1
for h in web db w6 d6 evil; do agent_run "$h" || exit 1; done
for h in web w6 evil; do check "$h enrolled" enroll "site-$h/$h" role=asks; done
for h in db d6; do check "$h enrolled" enroll "site-$h/$h" role=asked; done
cat >"$T/policy.yaml" <<-'YAML'
	version: 1
	rules: [{name: all ask, from: role=asks, to: role=asked, allow: [icmp]}]
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
overlay_addresses web db w6 d6
for to in "web db" "w6 d6" "evil db" "evil d6"; do
	read -r a b <<<"$to"
	check "$a reaches $b" wait_for 20 reaches "$a" "${V6[$b]}" icmp
done

HUB_MAC=$(on hub ip -o link show eth0 | sed 's|.*link/ether \([0-9a-f:]*\).*|\1|')
HUB_KEY=$(on hub wg show sortie0 public-key)
key_of() { on "$1" wg show sortie0 public-key; }
at_hub() { on hub wg show sortie0 endpoints | awk -v key="$(key_of "$1")" '$1 == key {print $2}'; }
counter() { "$B/tests/tools/relay_tool" "$T/bpf" counters | sed -n "s/^$1 //p"; }
attack() { # FROM KIND COUNT RATE [ARGUMENT]: to the hub, by the family of FROM
	local to=$HUB4:$HUB_PORT
	[[ $1 != \[* ]] || to=[$HUB6]:$HUB_PORT
	on evil "$ROOT/tests/tools/attack.py" eth0 "$HUB_MAC" "$1" "$to" "${@:2}"
}
declare -A AT=()
for h in web db w6 d6 evil; do AT[$h]=$(at_hub $h); done
watch_all() {
	watch site4 web "${V4[db]}"
	watch site6 web "${V6[db]}"
	watch over6 w6 "${V6[d6]}"
	watch hub4 web "$HUB_OVER4"
	watch hub6 d6 "$HUB_OVER6"
}
attacked() { # NAME COUNTER FROM KIND COUNT RATE [ARGUMENT]: the relay has counted at least half of it
	local name=$1 before sent more
	before=$(counter "$2")
	sent=$(attack "${@:3}")
	more=$(($(counter "$2") - before))
	echo "# $name: $sent packets, $2 +$more"
	check "$name: the relay has met it" test "$more" -ge $((sent / 2))
}

# ---- floods from a site's own endpoint, forged; from the attacker's, who is a site; from nowhere
watch_all
sleep 0.3
attacked "bad mac1 from web's endpoint" mac1_tests "${AT[web]}" bad-mac1 2500 2500
attacked "bad mac1 from w6's endpoint" mac1_tests "${AT[w6]}" bad-mac1 2500 2500
attacked "the hub's mac1 from db's endpoint" mac1_tests "${AT[db]}" hub-mac1 300 300 "$HUB_KEY"
attacked "the hub's mac1 from d6's endpoint" mac1_tests "${AT[d6]}" hub-mac1 300 300 "$HUB_KEY"
attacked "responses from a hostile site" unknown_index "${AT[evil]}" responses 10000 10000
attacked "responses from d6's endpoint" unknown_index "${AT[d6]}" responses 5000 10000
attacked "data of random indexes from web's endpoint" unknown_index "${AT[web]}" data 5000 10000
attacked "data of random indexes from w6's endpoint" unknown_index "${AT[w6]}" data 5000 10000
attacked "garbage of all lengths from nowhere" malformed 192.0.2.66:4000 garbage 8400 8400
attacked "garbage of all lengths from w6's endpoint" malformed "${AT[w6]}" garbage 8400 8400
sleep 0.3
watched
unharmed "floods"

# ---- handshakes come about while the budget of tests of that very endpoint is used up
anew() { # HOST PEER: forgets the session with it; the next packet needs a handshake
	local key
	key=$(key_of "$2")
	on "$1" wg set sortie0 peer "$key" remove peer "$key" endpoint "$(on "$1" wg show sortie0 endpoints | awk -v k="$HUB_KEY" '$1 == k {print $2}')" \
		allowed-ips "${V4[$2]},${V6[$2]}"
}
for pair in "web db" "w6 d6"; do
	read -r a b <<<"$pair"
	attack "${AT[$a]}" bad-mac1 60000 6000 >/dev/null &
	flood=$!
	sleep 1
	refused=$(counter budget_refused)
	anew "$a" "$b"
	since=$(now)
	check "flood from $a's endpoint: a new session with $b" wait_for 4 reaches "$a" "${V6[$b]}" icmp
	echo "# flood from $a's endpoint: a new session after $(awk -v a="$since" -v b="$(now)" 'BEGIN {printf "%d", (b - a) * 1000}') ms"
	check "flood from $a's endpoint: it is on" kill -0 $flood
	kill $flood
	wait $flood 2>/dev/null
done

# ---- a recorded initiation after the hub has lost its timestamps, sent from elsewhere before the site itself speaks
on hub tcpdump -i eth0 -U -w "$T/initiations.pcap" "udp[4:2] == 156 and src host 192.0.2.11" >/dev/null 2>"$T/tcpdump.hub" &
check "the hub's wire is watched" wait_for 10 grep -q "listening on" "$T/tcpdump.hub"
on web wg set sortie0 peer "$HUB_KEY" remove peer "$HUB_KEY" endpoint "$HUB4:$HUB_PORT" persistent-keepalive 25 allowed-ips "$HUB_OVER4,$HUB_OVER6"
recorded() { # the first one whose mac1 is made with the hub's key: the others are for db
	tcpdump -nr "$T/initiations.pcap" -x 2>/dev/null | python3 -c '
import base64, hashlib, re, sys
key = hashlib.blake2s(b"mac1----" + base64.b64decode(sys.argv[1])).digest()
for packet in re.split(r"\n(?=\S)", sys.stdin.read()):
    data = bytes.fromhex("".join(re.findall(r"0x[0-9a-f]+:([0-9a-f ]+)", packet)).replace(" ", ""))[28:176]
    if len(data) == 148 and hashlib.blake2s(data[:116], key=key, digest_size=16).digest() == data[116:132]:
        sys.exit(print(data.hex()))
sys.exit(1)' "$HUB_KEY"
}
check "an initiation of web's is recorded" wait_for 10 recorded
INITIATION=$(recorded)
check "web is back" wait_for 10 status_is web 's["hub_answers"]'
AT[web]=$(at_hub web)
watch site4 web "${V4[db]}"
watch site6 web "${V6[db]}"
watch over6 w6 "${V6[d6]}"
kill -STOP "${AGENTS[web]}"
on hub ip link del sortie0
check "the hub's interface is made anew and knows web" wait_for 5 eval '[[ -n $(at_hub web) ]]'
believed() { attack 192.0.2.66:4001 replay 5 200 "$INITIATION" && [[ $(at_hub web) == 192.0.2.66:4001 ]]; }
check "WireGuard itself has believed it" wait_for 5 believed
sleep 1.5
kill -CONT "${AGENTS[web]}"
check "web is back where it was" wait_for 10 eval '[[ $(at_hub web) == 192.0.2.11:* ]]'
sleep 1
watched
outage "a replayed initiation at a new hub" 1000
for h in web w6; do check_not "what policy forbids stays so: nobody reaches $h" reaches evil "${V6[$h]}" icmp; done
check_not "IPv4 too" reaches evil "${V4[web]}" icmp
sites_end
finish
