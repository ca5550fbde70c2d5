# SPDX-License-Identifier: GPL-2.0-or-later
# What the firewall's tests share, on top of lib.sh: overlay addresses, an overlay "interface" made of veth ends that need
# no neighbours (as WireGuard needs none), inventories, and fw_apply with what all tests say alike.

OVERLAY4=10.77.0.0/16 OVERLAY6=fd12:3456:789a::/48
HUB4=10.77.0.1 HUB6=fd12:3456:789a::1
ME4=10.77.0.10 ME6=fd12:3456:789a:10::a
GOOD4=10.77.0.11 GOOD6=fd12:3456:789a:11::b
BAD4=10.77.0.12 BAD6=fd12:3456:789a:12::c
STRANGER4=10.77.0.99 STRANGER6=fd12:3456:789a:99::f

# wire as the overlay's: both ends have one MAC address and ask nobody for it
overlay_wire() { # HOST HOST [IF-OF-SECOND]
	local h i other=${3:-sortie0}
	wire "$1" sortie0 "$2" "$other"
	for h in "$1:sortie0" "$2:$other"; do
		i=${h#*:}
		on "${h%:*}" ip link set "$i" down address 02:00:00:00:00:01 arp off
		on "${h%:*}" ip link set "$i" up
	done
}

overlay_addr() { # HOST ADDRESS...: as the agent sets them, each alone
	local h=$1 a
	shift
	for a in "$@"; do
		if [[ $a == *:* ]]; then addr "$h" sortie0 "$a/128"; else addr "$h" sortie0 "$a/32"; fi
	done
}

inventory() { # NAME...: of me good bad
	local n sep='['
	for n in "$@"; do
		case $n in
		me) set -- $ME4 $ME6 01 ;;
		good) set -- $GOOD4 $GOOD6 02 ;;
		bad) set -- $BAD4 $BAD6 03 ;;
		esac
		printf '%s{"name": "site/%s", "labels": {"role": "%s"}, "ipv4": "%s", "ipv6": "%s", "k3hex": "%064d"}' \
			"$sep" "$n" "$n" "$1" "$2" "$3"
		sep=', '
	done
	echo ']'
}

# Exported, so that a command which runs beside flows can call it too.
fw_apply() { # ARGS...: in the host whose PID is $FW_PID
	nsenter -t "$FW_PID" -n -m -- "$B/tests/tools/fw_apply" --self site/me --ifname sortie0 \
		--overlay4 "$OVERLAY4" --overlay6 "$OVERLAY6" --hub4 "$HUB4" --hub6 "$HUB6" \
		--hub 192.0.2.1:51820 --hub '[2001:db8::1]:51820' --listen-port 40404 "$@"
}
export -f fw_apply
export B T OVERLAY4 OVERLAY6 HUB4 HUB6 FW_PID
