/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay at tc egress: what the hub's own WireGuard sends, and what relay_tc has the kernel send.
 *
 * The link header is there already, so where a packet goes to a site's endpoint it shows what route and neighbour the
 * kernel found. Nothing that arrives can forge that, and it needs no forwarding enabled, as bpf_fib_lookup() would.
 */
#pragma once

#define HOP_REFRESH_NS (RELAY_HOP_LIFE_NS / 6)

static __always_inline int hop_same(const struct relay_hop *hop, const struct relay_endpoint *to,
				    __u32 interface, const __u32 ethernet[3])
{
	const __u32 *known = (const void *)hop->ethernet;
	return hop->interface == interface && endpoint_same(&hop->to, to) &&
	       known[0] == ethernet[0] && known[1] == ethernet[1] && known[2] == ethernet[2];
}

/* Another CPU may read meanwhile: a hop that changes is none until it is whole. */
static __always_inline void hop_learn(struct relay_hop *hop, const struct relay_endpoint *to,
				      __u32 interface, const __u32 ethernet[3], __u64 now)
{
	if (!hop_same(hop, to, interface, ethernet)) {
		__u32 *known = (void *)hop->ethernet;
		__sync_lock_test_and_set(&hop->learnt_ns, 0);
		hop->to = *to;
		hop->interface = interface;
		known[0] = ethernet[0];
		known[1] = ethernet[1];
		known[2] = ethernet[2];
	} else if (age(now, hop->learnt_ns) < HOP_REFRESH_NS) {
		return;
	}
	__sync_lock_test_and_set(&hop->learnt_ns, now);
}

/* Whether the hub's own message to that endpoint answers what came to the second port. */
static __always_inline int leaves_by_alt(const struct relay_packet *packet,
					 const struct relay_path *path, __be16 alt_port)
{
	struct relay_answer_key key = {.peer = packet->source,
				       .index = packet->type == MESSAGE_RESPONSE ? packet->word2
										 : packet->word1};
	if (path && path->local.family == packet->source.family && path->local.port == alt_port)
		return 1;
	return packet->type != MESSAGE_INITIATION && bpf_map_lookup_elem(&answers, &key);
}

static __always_inline void egress_family(struct __sk_buff *skb, __u32 family,
					  struct relay_scratch *s)
{
	__u32 zero = 0, at = UDP_AT(family), ethernet[3];
	struct relay_config *hub = bpf_map_lookup_elem(&config, &zero);
	struct relay_layout *loaded = bpf_map_lookup_elem(&layout, &zero);
	struct relay_packet *packet = &s->packet;
	if (!hub || !loaded || !reach(skb, at + sizeof(struct udphdr) + MESSAGE_WORDS))
		return;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct udphdr *udp = data + at;
	if ((void *)(udp + 1) > end || !udp->source ||
	    (udp->source != hub->port && udp->source != loaded->alt_port))
		return;
	if (s->relayed_ports == (udp->source | (__u32)udp->dest << 16)) {
		s->relayed_ports = 0;
		return;
	}
	if (!(family == RELAY_IPV4 ? parse_ipv4(data, end, packet) : parse_ipv6(data, end, packet)))
		return;
	/* the peer is where the packet goes */
	packet->source = packet->local;
	packet->source.port = udp->dest;
	packet->local.port = udp->source;
	__builtin_memcpy(ethernet, data, sizeof(ethernet));
	if (parse_words(data, end, family, packet) != VERDICT_FORWARD)
		return;
	struct relay_owner *owner = bpf_map_lookup_elem(&endpoints, &packet->source);
	struct relay_path *path = owner ? bpf_map_lookup_elem(&paths, &owner->site) : 0;
	if (path)
		hop_learn(&path->hop, &packet->source, skb->ifindex, ethernet, now_coarse(s));
	__be16 alt_port = loaded->alt_port;
	if (!alt_port || packet->local.port == alt_port || !leaves_by_alt(packet, path, alt_port))
		return;
	bpf_l4_csum_replace(skb, at + __builtin_offsetof(struct udphdr, check), packet->local.port,
			    alt_port, BPF_F_MARK_MANGLED_0 | sizeof(alt_port));
	bpf_skb_store_bytes(skb, at + __builtin_offsetof(struct udphdr, source), &alt_port,
			    sizeof(alt_port), 0);
}

SEC("tc")
int relay_egress(struct __sk_buff *skb)
{
	struct relay_scratch *s = scratch_get();
	if (!s)
		return TC_ACT_UNSPEC;
	if (skb->vlan_present) /* leaves by a VLAN, whose interface is another one */
		return TC_ACT_UNSPEC;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		egress_family(skb, RELAY_IPV4, s);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		egress_family(skb, RELAY_IPV6, s);
	return TC_ACT_UNSPEC;
}
