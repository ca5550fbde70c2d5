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

/* The port by which the session came that the hub's own message belongs to; 0: that is not known. */
static __always_inline const __u32 *answer_recall(const struct relay_packet *packet)
{
	struct relay_answer_key key = {.peer = packet->source,
				       .index = packet->type == MESSAGE_RESPONSE ? packet->word2
										 : packet->word1};
	return packet->type == MESSAGE_INITIATION ? 0 : bpf_map_lookup_elem(&answers, &key);
}

/* Of a session that is not known, and of what the hub asks first, where the site dials. */
static __always_inline int leaves_by_alt(const struct relay_packet *packet,
					 const struct relay_path *path, const __u32 *by_alt,
					 __be16 alt_port)
{
	if (!alt_port)
		return 0;
	if (by_alt)
		return *by_alt != 0;
	return path && path->local.family == packet->source.family && path->local.port == alt_port;
}

static __always_inline void source_port_change(struct __sk_buff *skb, __u32 udp_at, __be16 from,
					       __be16 to)
{
	bpf_l4_csum_replace(skb, udp_at + __builtin_offsetof(struct udphdr, check), from, to,
			    BPF_F_MARK_MANGLED_0 | sizeof(to));
	bpf_skb_store_bytes(skb, udp_at + __builtin_offsetof(struct udphdr, source), &to,
			    sizeof(to), 0);
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
	struct relay_endpoint own = packet->source;
	packet->source = packet->local;
	packet->source.port = udp->dest;
	packet->local = own;
	packet->local.port = udp->source;
	packet->interface = skb->ifindex;
	__builtin_memcpy(ethernet, data, sizeof(ethernet));
	if (parse_words(data, end, family, packet) != VERDICT_FORWARD)
		return;
	struct relay_owner *owner = bpf_map_lookup_elem(&endpoints, &packet->source);
	struct relay_path *path = owner ? bpf_map_lookup_elem(&paths, &owner->site) : 0;
	if (path)
		hop_learn(&path->hop, &packet->source, skb->ifindex, ethernet, now_coarse(s));
	const __u32 *by_alt = answer_recall(packet);
	if (packet->local.port == hub->port &&
	    leaves_by_alt(packet, path, by_alt, loaded->alt_port)) {
		packet->local.port = loaded->alt_port;
		source_port_change(skb, at, hub->port, loaded->alt_port);
	}
	/* a cookie is sent to whoever asks */
	if (path && by_alt && packet->type != MESSAGE_COOKIE)
		path_confirm(path, packet, now_coarse(s));
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
