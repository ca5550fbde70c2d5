#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Kernels that lack something: without BPF, without nf_tables, without the netlink of WireGuard (tests/tools/without.c). One clear
# line, a documented exit code, nothing half made, and what does not need it goes on. IPv4 and IPv6.
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/recovery.sh"
without() { # HOST WHAT COMMAND...
	nsenter -t "${PIDS[$1]}" -n -m "$B/tests/tools/without" "$2" -- "${@:3}"
}
sortied=("$B/sortied" --state "$T/x" --socket "$T/x.sock" --hosts "$T/x.hosts")
no_nftables="this kernel has no nf_tables: use one of 6.1 or newer"

internet_up
nat_site nata 192.0.2.11 web
nat_site natb 192.0.2.12 db
direct_site x 192.0.2.50/24 2001:db8::50/64
control_init >/dev/null
links() { on "$1" ip -o link; on "$1" ip addr; on "$1" ip route; on "$1" ip -6 route; on "$1" nft list ruleset; on "$1" tc filter show dev eth0 ingress; on "$1" tc qdisc show dev eth0; }
settled() { sed 's/valid_lft.*//' <<<"$1"; }
X=$(settled "$(links x)") HUB=$(settled "$(links hub)")
untouched() { # NAME
	check "$1: the hosts are as they were" test "$(settled "$(links x)")$(settled "$(links hub)")" = "$X$HUB"
}

# ---- no BPF
loader=("$B/sortie-relay-load" --bpffs "$T/bpf")
for hook in auto xdp generic tc; do
	refused "no BPF, loader, $hook" 1 "this kernel has no BPF .*: sites reach the control plane but not each other" without hub bpf "${loader[@]}" --interface eth0 --port $HUB_PORT --hook $hook
done
refused "no BPF, loader --unload" 1 "this kernel has no BPF" without hub bpf "${loader[@]}" --unload
refused "no BPF, loader, no bpf filesystem either" 1 "this kernel has no BPF" without hub bpf "$B/sortie-relay-load" --bpffs "$T/none" --interface eth0 --port $HUB_PORT
check "no BPF: no folder was made" test ! -e "$T/none"
untouched "no BPF"

# ---- no nf_tables: nothing runs without a firewall
refused "no nf_tables, sortied" 1 "sortied: open the firewall: $no_nftables" without x nftables "${sortied[@]}"
for what in --plan --remove --leave; do
	refused "no nf_tables, sortied $what" 1 "$no_nftables" without x nftables "${sortied[@]}" $what
done
for what in "" --watch; do
	# shellcheck disable=SC2086 # nothing or an option
	refused "no nf_tables, sortie-guard $what" 1 "sortie-guard: open the firewall: $no_nftables" timeout 10 nsenter -t "${PIDS[x]}" -n -m "$B/tests/tools/without" nftables -- "$B/sortie-guard" --state "$T/x" $what
done
refused "no nf_tables, sortie-control run" 1 "cannot talk to the kernel about filters: $no_nftables" without hub nftables "$B/sortie-control" run --state "$T/control" --socket "$T/c.sock"
refused "no nf_tables, sortie-control remove" 1 "cannot remove the hub's filter: $no_nftables" without hub nftables "$B/sortie-control" remove --state "$T/control"
untouched "no nf_tables"
check "no nf_tables: no socket of the control plane was left" test ! -e "$T/c.sock"

doctor() { # WHAT: into $T/doctor
	without x "$1" "${sortied[@]}" --doctor >"$T/doctor" 2>&1
}
doctor nftables
check "no nf_tables, doctor: fails" test $? -eq 6
check "no nf_tables, doctor: says it" grep -qE "^fail +kernel +open the firewall: $no_nftables" "$T/doctor"
check "no nf_tables, doctor: once" test "$(grep -cE "nf_tables|not supported" "$T/doctor")" -eq 1
check_not "no nf_tables, doctor: does not say that the rules are fine" grep -E "^ok +(nftables|others)" "$T/doctor"
doctor bpf
check "no BPF, doctor: nothing of it, agents need none" bash -c "grep -qE '^ok +nftables' '$T/doctor' && ! grep -qi bpf '$T/doctor'"
doctor genetlink
check "no WireGuard, doctor: says it" grep -qE "^warn +wireguard +WireGuard runs in user space" "$T/doctor"

# ---- a hub without BPF: sites reach it and not each other, and status says so
hub_runs() { # WHAT
	nsenter -t "${PIDS[hub]}" -n -m -- "$B/tests/tools/without" "$1" -- "$B/sortie-control" run --state "$T/control" --socket "$T/control.sock" --bpffs "$T/bpf" >>"$T/control.log" 2>&1 &
	CONTROL_PID=$!
	wait_for 15 sortie identity list
}
hub_runs bpf || fail "no BPF: the control plane runs"
for h in web db; do agent_run "$h" || exit 1; done
check "no BPF: web enrolled" enroll site-a/web role=web
check "no BPF: db enrolled" enroll site-b/db role=db
overlay_addresses web db
echo '{"version": 1, "rules": [{"name": "r", "from": "role=web", "to": "role=db", "allow": ["icmp"]}]}' >"$T/policy.yaml"
check "no BPF: policy applied" sortie policy apply "$T/policy.yaml"
hub_answers() { for a in "$HUB_OVER4" "$HUB_OVER6"; do on web ping -n -c 1 -W 2 "$a" >/dev/null || return 1; done; }
check "no BPF: the hub answers" wait_for 10 hub_answers
no_bpf() { sortie status | grep -E "^warning: no relay: this kernel has no BPF: sites reach the control plane but not each other; run the hub on a kernel that has"; }
check "no BPF: status says it" wait_for 5 no_bpf
relay() { sortie status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["relay"])'; }
check "no BPF: there is no relay" test "$(relay)" = none
check "no BPF: it is logged once" test "$(grep -c "relay: this kernel has no BPF" "$T/control.log")" -eq 1
neither() { ! reaches web "${V4[db]}" icmp && ! reaches web "${V6[db]}" icmp; }
check "no BPF: sites do not reach each other" neither
ends_well sortie-control "$CONTROL_PID"

# ---- and with it
check "with BPF: loaded" on hub "${loader[@]}" --interface eth0 --port $HUB_PORT
control_start || fail "the control plane starts"
both() { reaches web "${V4[db]}" icmp && reaches web "${V6[db]}" icmp; }
check "with BPF: sites reach each other" wait_for 20 both
sites_end
finish
