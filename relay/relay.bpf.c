// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The relay's programs. Each finds WireGuard messages for the hub's port and asks decide(); what is not ours goes on
 * untouched.
 *
 *   relay_tc       where packets enter: all messages. Leaves by the hop that the kernel took last, or has the kernel
 *                  find route and neighbour (bpf_redirect_neigh).
 *   relay_xdp      in front of it, in the driver: data whose hop is known. What it cannot do passes to relay_tc.
 *   relay_egress   where packets leave: learns hops, and makes the hub's own answers leave from the port that was asked.
 *
 * Only UAPI headers: no kernel structure is read, so the object loads on any kernel from 5.17 (bpf_loop).
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "relay/packet.bpf.h"
#include "relay/tc.bpf.h"
#include "relay/egress.bpf.h"
#include "relay/xdp.bpf.h"

char LICENSE[] SEC("license") = "GPL";
