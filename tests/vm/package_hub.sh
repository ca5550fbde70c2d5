# SPDX-License-Identifier: GPL-2.0-or-later
# The hub's half of package_test.sh, which sources it with the package ($OLD_DEB) installed and nothing enrolled in the
# guest: the control plane and the relay as their units run them, with two sites of their network on this machine. Leaves
# a hub behind, for the purge.
#
#     web 192.0.2.51 --- internet (bridge) --- db 192.0.2.52
#                              |
#                 guest: sortie-relay-load, sortie-control

hub_log() { guest "journalctl -q -u sortie-control -u sortie-relay-load $*"; }

# What the control plane may do, asked of the kernel; a line for each that does not hold.
hub_sandbox() {
	guest 'pid=$(systemctl show -P MainPID sortie-control)
		holds() { [[ $3 =~ ^($2)$ ]] || echo "$1: $3, not $2"; }
		field() { sed -n "s/^$1:[[:space:]]*//p" /proc/$pid/status; }
		inside() { nsenter -t $pid -m "$@" 2>&1; }
		holds capabilities 0+1000 "$(field CapEff)"
		holds "capabilities for ever" 0+1000 "$(field CapBnd)"
		holds "new privileges" 1 "$(field NoNewPrivs)"
		holds "filter of system calls" 2 "$(field Seccomp)"
		for folder in /etc /usr /var/lib /sys/fs/bpf; do
			holds "writing in $folder" ".*Read-only file system" "$(inside touch $folder/x)"
		done
		holds "a kernel setting" ".*Read-only file system.*" "$(inside sh -c "echo 0 >/proc/sys/net/ipv4/ip_forward")"
		holds "looking into homes" ".*(Permission denied|No such file or directory)" "$(inside cat /root/policy.yaml)"
		holds "looking at the disk" ".*No such file or directory" "$(inside cat /dev/vda)"
		holds "user of the signer" sortie-sign "$(ps -o user:20= -C sortie-sign | tr -d " ")"
		holds "mode of the state" 700:root "$(stat -c %a:%U /var/lib/sortie-control)"
		holds "mode of the socket" 600:root "$(stat -c %a:%U /run/sortie/control.sock)"'
}

# Two sites, native; tokens and policy are made at the hub.
hub_sites() {
	local name
	guest "for name in site-a/web site-b/db; do
			sortie token create --name \$name --labels role=\${name#*/} --out /vm/\${name#*/}.token || exit 1
		done
		printf 'version: 1\nrules:\n  - {name: app, from: role=web, to: role=db, allow: [icmp]}\n' >/root/policy.yaml
		sortie policy apply /root/policy.yaml" || return 1
	for name in web db; do
		agent_run $name && at $name enroll --token "file:$GUEST_DIR/$name.token" || return 1
	done
}

# NAME COMMAND...: 50 echoes a second meanwhile, from site to site and from a site to the hub; nothing may be lost
under_traffic() {
	local name=$1 failed=$FAILED
	shift
	watch "site4" web "$DB4"
	watch "site6" web "$DB6"
	watch "hub6" web "$HUB_OVER6"
	check "$name" "$@"
	sleep 0.5
	watched
	unharmed "$name"
	((FAILED == failed)) || tail -n 5 "$T/web.log" "$T/db.log"
}

direct_site web 192.0.2.51/24 2001:db8::51/64
direct_site db 192.0.2.52/24 2001:db8::52/64
check "hub: a network is made" guest "sortie-control init --network other --endpoint 192.0.2.41:51820 --endpoint [2001:db8::41]:51820"
guest "echo 'SORTIE_RELAY_OPTIONS=--interface eth0 --port 51820' >/etc/sortie/relay.env"
check "hub: relay and control plane start" guest "systemctl start sortie-relay-load sortie-control"
check "hub: the relay stands" eval '[[ $(property sortie-relay-load SubState) == exited ]] && guest "test -e /sys/fs/bpf/sortie/layout"'
check "hub: at XDP" eval 'hub_log | grep "sortie-relay-load.*: eth0: xdp$"'
check "hub: two sites enrol" hub_sites
DB4=$(overlay db 4) DB6=$(overlay db 6)
HUB_OVER6=$(python3 -c 'import ipaddress, sys; print(ipaddress.ip_address(int(ipaddress.ip_address(sys.argv[1])) >> 80 << 80 | 1))' "$DB6")
check "hub: sites reach each other, IPv4" wait_for 20 on web ping -c 1 -W 1 "$DB4"
check "hub: sites reach each other, IPv6" wait_for 20 on web ping -c 1 -W 1 "$DB6"
check_not "hub: not where policy has no rule, IPv4" on db ping -c 2 -i 0.2 -W 1 "$(overlay web 4)"
check_not "hub: not where policy has no rule, IPv6" on db ping -c 2 -i 0.2 -W 1 "$(overlay web 6)"
check "hub: the sandbox holds" eval '[[ -z $(hub_sandbox | tee /dev/stderr) ]]'
check "hub: nothing is wrong in its log" eval '! hub_log -p warning | grep .'
took "hub start"

if ((${BOOTS:-1} > 1)); then # where there is time: the whole host
	check "hub: the guest reboots" guest_reboot
	check "hub: its boot ends well" guest_up 120
	check "hub: no unit failed" eval '[[ -z $(guest "systemctl --failed --no-legend") ]]'
	check "hub: sites reach each other after it, IPv4" wait_for 60 on web ping -c 1 -W 1 "$DB4"
	check "hub: sites reach each other after it, IPv6" wait_for 60 on web ping -c 1 -W 1 "$DB6"
	check "hub: the relay was loaded once" eval '[[ $(hub_log | grep -c "sortie-relay-load.*: eth0: xdp") == 1 ]]'
	took "hub reboot"
fi

index=$(index)
under_traffic "hub: both units restarted" guest "systemctl restart sortie-control sortie-relay-load"
check "hub: the relay's maps are the old ones" eval 'hub_log | grep "sortie-relay-load.*adopted maps"'
under_traffic "hub: the control plane killed" guest 'kill -9 $(systemctl show -P MainPID sortie-control)'
check "hub: systemd starts it anew" wait_for 20 is_active sortie-control
took "hub restart"
under_traffic "hub: the upgrade" guest "DEBIAN_FRONTEND=noninteractive dpkg -i /host$NEW_DEB"
check "hub: it runs" is_active sortie-control
check "hub: it answers" wait_for 20 guest "sortie identity list"
took "hub upgrade"

damage() { # in the middle of the database; what its log holds is written there first
	guest "systemctl stop sortie-control
		head -c 65536 /dev/zero | tr '\\0' x | dd of=/var/lib/sortie-control/control.db bs=4096 seek=1 conv=notrunc status=none
		systemctl start --no-block sortie-control"
}
damage
under_traffic "hub: an upgrade with a damaged database" guest "DEBIAN_FRONTEND=noninteractive dpkg -i /host$NEW_DEB"
damage_told() { hub_log | grep -q "sortie-control run: the database is damaged .*: restore a backup"; }
check "hub: its log says what is wrong and what to do" wait_for 20 damage_told
check "hub: the interface is the old one" test "$(index)" = "$index"
took "hub damaged"
