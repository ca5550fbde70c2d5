#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The bed itself: two hosts see each other over v4 and v6, and nobody sees the machine's own network.
# kernel: yes
source "$(dirname "$0")/lib.sh"
host a
host b
wire a eth0 b eth0
addr a eth0 192.0.2.1/24 2001:db8::1/64
addr b eth0 192.0.2.2/24 2001:db8::2/64
check "two hosts, IPv4" wait_for 5 on a ping -c1 -W1 192.0.2.2
check "two hosts, IPv6" wait_for 5 on a ping -c1 -W1 2001:db8::2
check_not "an address nobody has does not answer" on a ping -c1 -W1 192.0.2.3
check "a host has lo and its wire only" test "$(on a ip -o link | wc -l)" -eq 2
on a touch /run/wireguard/marker
check_not "/run/wireguard is private to a host" on b test -e /run/wireguard/marker
check_not "a failing command fails" on a false
finish
