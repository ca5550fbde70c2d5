# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with systemd as one more host of a namespace test: 192.0.2.41 and 2001:db8::41 on the internet's wire. Source it
# after tests/net/lib.sh and sites.sh (internet_up first).
#
#   guest_boot KERNEL [SECONDS]   boots it and waits until it takes commands (not until it is up)
#   guest COMMAND...              runs it there, as bash reads it; output and exit code are its own
#   guest_up SECONDS              waits until its boot has ended
#   guest_reboot                  off and on again; waits until it takes commands
#   guest_off                     powers it off
GUEST_DIR=$T/guest

guest_boot() {
	local image disk
	GUEST_KERNEL=$1
	mkdir -p "$GUEST_DIR"
	cp "$ROOT/tests/vm/runner" "$GUEST_DIR/runner"
	image=$("$ROOT/tests/vm/image") || { echo "$image"; return 1; }
	disk=$(mktemp "$ROOT/build/vm/disk.XXXXXX")
	cp --reflink=auto --sparse=always "$image" "$disk" && exec {GUEST_DISK}<>"$disk"
	rm -f "$disk" # it lives as long as this script
	on internet ip tuntap add guest mode tap
	on internet ip link set guest master br0
	on internet ip link set guest up
	guest_power_on
	wait_for "${2:-60}" test -e "$GUEST_DIR/booted"
}

guest_power_on() {
	nsenter -t "${PIDS[internet]}" -n -m -- "$ROOT/tests/vm/boot" "$GUEST_KERNEL" "/dev/fd/$GUEST_DISK" "$GUEST_DIR" \
		-netdev tap,id=net,ifname=guest,script=no,downscript=no -device virtio-net-pci,netdev=net,mac=52:54:00:00:00:41 \
		>>"$GUEST_DIR/console" 2>&1 &
	echo $! >"$GUEST_DIR/pid"
}

guest() {
	local n=1 rc deadline=$((SECONDS + ${GUEST_TIMEOUT:-120} * TEST_SCALE))
	while [[ -e $GUEST_DIR/$n.sh ]]; do n=$((n + 1)); done # in a file: checks run in subshells
	printf '%s\n' "$*" >"$GUEST_DIR/$n.new"
	mv "$GUEST_DIR/$n.new" "$GUEST_DIR/$n.sh"
	until [[ -e $GUEST_DIR/$n.rc ]]; do
		((SECONDS < deadline)) || { echo "the guest does not answer"; return 124; }
		kill -0 "$(<"$GUEST_DIR/pid")" 2>/dev/null || { echo "the guest is gone"; tail -n 5 "$GUEST_DIR/console"; return 125; }
		sleep 0.05
	done
	rc=$(<"$GUEST_DIR/$n.rc")
	cat "$GUEST_DIR/$n.out"
	return "$rc"
}

guest_gone() { ! kill -0 "$(<"$GUEST_DIR/pid")"; }

guest_up() {
	GUEST_TIMEOUT=$1 guest 'systemctl is-system-running --wait'
}

guest_reboot() {
	local before
	before=$(<"$GUEST_DIR/booted")
	guest "systemctl start --no-block reboot.target" # systemctl reboot would ask logind, which the image has not
	wait_for 60 guest_gone || return 1
	guest_power_on
	rebooted() { [[ $(cat "$GUEST_DIR/booted" 2>/dev/null) != "$before" ]]; }
	wait_for 90 rebooted
}

guest_off() {
	guest "systemctl poweroff --force --force" >/dev/null 2>&1 || true
	wait_for 20 guest_gone
}
