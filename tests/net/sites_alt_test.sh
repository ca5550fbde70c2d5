#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A site whose network lets nothing out but UDP/443 and has IPv4 only, and one with IPv6 only: both enrol, policy joins
# them, and the relay carries what they say from one port and family to the other, counted by pair.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
probe=$ROOT/tests/tools/probe.py

internet_up
nat_site nata 192.0.2.11 web lana
direct_site db 2001:db8::22/64
on nata nft -f - <<'NFT'
table inet strict {
	chain forward { type filter hook forward priority -1; oifname "eth0" udp dport != 443 drop; }
}
NFT
# two endpoints, so that web has to go on once only
ENDPOINT="[$HUB6]:$HUB_PORT"
control_init --endpoint "$HUB4:443" --alt-port 0 >/dev/null
control_run || exit 1
check "the control plane says where the relay is" eval 'sortie status | grep -q "relay tc"'
for h in web db; do agent_run "$h" || exit 1; done
enroll site-a/web role=web >/dev/null 2>&1 & # takes a few tries
check "db enrolled over IPv6" enroll site-b/db role=db
check "web enrolled by port 443" wait_for 60 eval 'at web status | grep -q "^site-a/web"'
check "status names the endpoint that works" wait_for 60 eval "at web status | grep -qF 'hub         $HUB4:443'"
V4=$(overlay db 4) V6=$(overlay db 6)
on db "$probe" serve db tcp/5432 tcp/22 >/dev/null 2>&1 &
check_not "no policy, no access" reaches web "$V6" tcp/5432
cat >"$T/policy.yaml" <<'YAML'
version: 1
rules:
  - {name: web uses the database, from: role=web, to: role=db, allow: [tcp/5432, icmp]}
YAML
check "policy applied" sortie policy apply "$T/policy.yaml"
check "web reaches db: other port, other family" wait_for 20 reaches web "$V6" tcp/5432
check "by the overlay's IPv4 too" reaches web "$V4" tcp/5432
check_not "and nothing else" reaches web "$V6" tcp/22
check "packets of 1280 bytes pass" on web ping -6 -M do -s $((1280 - 48)) -c 5 -i 0.05 -W 2 "$V6"
carried() { sortie identity show "$1" --json | python3 -c '
import json, sys
[one] = json.load(sys.stdin)["traffic"]
print(one["name"], one["sent_packets"] > 10, one["received_packets"] > 10, one["sent_bytes"] > 5 * 1312)'; }
check "what passed is counted for web" test "$(carried site-a/web)" = "site-b/db True True True"
check "and for db" test "$(carried site-b/db)" = "site-a/web True True True"
check "a revoked identity is cut" sortie identity revoke --wait site-b/db
check_not "at the next packet" reaches web "$V6" tcp/5432
sites_end
finish
