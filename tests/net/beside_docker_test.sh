#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Beside Docker, Debian's own daemon with real containers: what policy and `underlay:` say holds for published ports,
# host networking and masquerade; Docker's drop for bridges that are not its own is named with the line that allows it.
[[ -n ${SORTIE_TEST_INSIDE:-} ]] || "$(dirname "$0")/../../packaging/unpack-foreign" "$(dirname "$0")/../../build/foreign" 2>/dev/null
source "$(dirname "$0")/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/tests/net/foreign_bed.sh"
source "$ROOT/tests/net/beside_bed.sh"
foreign_need dockerd containerd runc iptables busybox
on_docker() { on db docker -H "unix://$T/docker/sock" "$@"; }

# Containers' control groups are the machine's: one of our own, gone with the test.
CGROUP=sortie-test-$(basename "$T")
docker_end() {
	local rc=$? folder
	on_docker ps -aq 2>/dev/null | while read -r c; do on_docker rm -f "$c"; done >/dev/null 2>&1
	for folder in /sys/fs/cgroup/"$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
		[[ ! -d $folder ]] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null
	done
	(exit $rc)
	on_exit
}
trap docker_end EXIT

mkdir -p "$T/docker"
docker_start() { # DOCKERD_PID is the daemon
	nsenter -t "${PIDS[db]}" -n -m -- dockerd --data-root "$T/docker/data" --exec-root "$T/docker/exec" -p "$T/docker/pid" \
		-H "unix://$T/docker/sock" --storage-driver vfs --cgroup-parent "/$CGROUP" >>"$T/docker.log" 2>&1 &
	DOCKERD_PID=$!
}
docker_stop() { kill -TERM "$DOCKERD_PID" && wait "$DOCKERD_PID"; }
image() {
	mkdir -p "$T/image/bin" && cp "$(command -v busybox)" "$T/image/bin/busybox" && ln -s busybox "$T/image/bin/sh" &&
		tar -C "$T/image" -c . | on_docker import - box
}
container() { # NAME DOCKER_ARGS... : says its name to whoever connects to its port 80
	local name=$1
	shift
	on_docker run -d --stop-timeout 1 --name "$name" "$@" box /bin/busybox nc -ll -p "${PORT:-80}" -e /bin/busybox echo "open $name"
}
hears() { # HOST ADDRESS PORT NAME: the container's word
	[[ $(on "$1" timeout "$((1 + TEST_SCALE))" nc -w "$TEST_SCALE" "$2" "$3" </dev/null 2>/dev/null) == "open $4" ]]
}
from_container() { # ADDRESS PORT: out of a container, to somebody who answers
	on_docker exec web1 /bin/sh -c "echo | /bin/busybox timeout $TEST_SCALE /bin/busybox nc $1 $2" | grep -q .
}
not() { ! "$@"; }

export IN_MORE=tcp/8080 CONTAINERS=true
beside_up
docker_start
if ! wait_for 30 on_docker info || ! image >/dev/null || ! container probe >"$T/refused" 2>&1; then
	tail -n 3 "$T/docker.log" "$T/refused" | sed 's/^/# /'
	skip beside_docker "Docker cannot run containers here"
	FINISHED=1
	exit 77
fi
on internet "$PROBE" serve internet tcp/7777 >/dev/null 2>&1 &
check "containers with published ports, one with the host's network" eval 'container web1 -p 8080:80 && container web2 -p 8081:80 && PORT=8000 container own --network host'
check "nothing to say: Docker opens what it publishes" says_nothing
check "our flows and denies are as before" eval 'allowed && denied'

for mode in overlay enforce; do
	[[ $mode == overlay ]] || check "mode enforce, one port served" beside_policy enforce \
		'underlay: [{name: shop, on: role=db, from: [192.0.2.0/24, "2001:db8::/64"], allow: [tcp/8080]}]'
	check "$mode: a peer reaches the published port that policy allows" wait_for 10 hears web "${V4[db]}" 8080 web1
	check "$mode: over IPv6 too" hears web "${V6[db]}" 8080 web1
	check "$mode: not the one that it does not" eval 'not hears web "${V4[db]}" 8081 web2 && not hears web "${V6[db]}" 8081 web2'
	check "$mode: nor a container by its own address" none_open web 172.17.0.3/tcp/80
	check "$mode: a container reaches the peer that policy allows, as this host" from_container "${V4[web]}" 7000
	check "$mode: and not what it does not allow" not from_container "${V4[web]}" 7001
	check "$mode: the host's network is the host: what policy does not allow is denied" none_open web "${V4[db]}/tcp/8000" "${V6[db]}/tcp/8000"
	check "$mode: from outside the published port works" wait_for 5 hears internet 192.0.2.31 8080 web1
	check "$mode: from outside the published port works, IPv6" wait_for 5 hears internet 2001:db8::31 8080 web1
	[[ $mode == enforce ]] || check "$mode: so does the other, IPv4 and IPv6" eval 'hears internet 192.0.2.31 8081 web2 && hears internet 2001:db8::31 8081 web2'
	check "$mode: a container reaches the outside" from_container 192.0.2.99 7777
done
check "overlay left the rest alone, enforce serves what policy lists: no other published port" not hears internet 192.0.2.31 8081 web2
check "nor over IPv6" not hears internet 2001:db8::31 8081 web2
check "nor the host's network" none_open internet 192.0.2.31/tcp/8000 2001:db8::31/tcp/8000
check "enforce: our flows and denies are as before" eval 'allowed && denied'

# ---- containers of somebody else: Docker's FORWARD drops them
foreign_bridge() {
	host lxc
	wire lxc eth0 db lxc1
	on db ip link add br-lxc type bridge && on db ip link set lxc1 master br-lxc && on db ip link set br-lxc up
	addr db br-lxc 10.88.0.1/24 && addr lxc eth0 10.88.0.2/24 && on lxc ip route add default via 10.88.0.1
	on db iptables -t nat -A POSTROUTING -s 10.88.0.0/24 ! -o br-lxc -j MASQUERADE
}
foreign_bridge
other() { all_are open lxc "${V4[web]}/tcp/7000"; }
check "a bridge that is not Docker's is named" wait_for 5 says 'Docker ip filter FORWARD \| what containers of br-lxc send to the overlay \| iptables -I DOCKER-USER -o sortie0 -j ACCEPT'
check "it is true: nothing comes from it" not other
check "so are the answers to it" wait_for 5 says 'Docker ip filter FORWARD \| answers of the overlay to containers of br-lxc \| iptables -I DOCKER-USER -i sortie0 -j ACCEPT'
check "the lines that it prints, run" eval 'obey "send to the overlay" && obey answers'
check "are true as well: its containers reach the peer that policy allows" wait_for 5 other
check "and there is nothing to say" says_nothing

# ---- its life
before=$(repaired)
docker_stop
docker_start
check "Docker is restarted" wait_for 30 on_docker info
check "our table stands, flows and denies are as before" eval 'table_stands && allowed && denied'
check "its containers start again and policy holds" eval 'on_docker start web1 && wait_for 10 hears web "${V4[db]}" 8080 web1 && not hears web "${V4[db]}" 8081 web2'
check "nothing of ours had to be repaired" test "$(repaired)" -eq "$before"
sites_end
finish
