#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a package does when it is removed: agent and hub taken out of the kernel while they do not run. Keys and state
# stay, and a start brings everything back.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"

internet_up
direct_site monitor 192.0.2.31/24 2001:db8::31/64
control_init >/dev/null
control_run || exit 1
agent_run monitor || exit 1
in_kernel() { # HOST: our interface, table and routes
	on "$1" ip -o link show | awk -F': ' '$2 !~ /^(lo|eth0)/ {print "interface " $2}'
	on "$1" nft list tables
	on "$1" ip -6 route show proto 140
}
gone() { # HOST
	local what
	what=$(in_kernel "$1")
	[[ -z $what ]] || { echo "$what"; return 1; }
}
remove_agent() { on monitor "$B/sortied" --state "$T/monitor" --hosts "$T/monitor.hosts" --remove; }
remove_hub() { on hub "$B/sortie-control" remove --state "$T/control"; }
agent_stop() { kill -TERM "${AGENTS[monitor]}" && wait "${AGENTS[monitor]}"; }

check "an agent that runs is not removed" eval '! remove_agent'
agent_stop
check "never enrolled: nothing to remove" remove_agent
agent_run monitor || exit 1
check "enrolled" enroll site-c/monitor role=monitor
before=$(at monitor status --json | grep -o '"ipv6": "[^"]*"')
agent_stop
check_not "stopped: everything stands" gone monitor
check "the agent's part is removed" remove_agent
check "nothing of it is in the kernel" gone monitor
check_not "its names are gone" test -e "$T/monitor.hosts"
check "its keys are not" test -s "$T/monitor/identity.key"
check "twice is fine" remove_agent
agent_run monitor || exit 1
check "a start brings the same identity back" eval 'at monitor status --json | grep -qF "$before"'
check_not "and its part of the kernel" gone monitor

refused "a hub that runs is not removed" 1 "another sortie-control runs" remove_hub
kill -TERM "$CONTROL_PID" && wait "$CONTROL_PID"
check_not "stopped: the hub stands" gone hub
check "the hub is removed" remove_hub
check "nothing of it is in the kernel" gone hub
check "its keys are not touched" test -s "$T/control/keys/hub"
check "twice is fine" remove_hub
refused "where an agent runs and no hub" 1 "table inet sortie is an agent's" on monitor "$B/sortie-control" remove --state "$T/control" --interface hub0
agent_stop
refused "where an agent has run" 1 "sortied --remove" on monitor "$B/sortie-control" remove --state "$T/control" --interface hub0
check "its rules stand" on monitor nft list chain inet sortie from_peer
agent_run monitor || exit 1
if on hub ip link add sortie0 type wireguard 2>/dev/null; then
	refused "another's interface of that name" 1 "is not this hub's" remove_hub
	check "stays" on hub ip link show sortie0
	on hub ip link del sortie0
else
	on hub ip link add sortie0 type bridge
	check "an interface that is no WireGuard" remove_hub
	check "stays" on hub ip link show sortie0
	on hub ip link del sortie0
fi
refused "no state" 1 "make it with" on hub "$B/sortie-control" remove --state "$T/nowhere"
control_start || exit 1
handshake() { on hub wg show sortie0 latest-handshakes | grep -qv $'\t0$'; }
check "a start brings the hub back, and the agent finds it" wait_for 20 handshake
sites_end
finish
