/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay at XDP: the data of sessions, from driver to driver. Everything else passes to relay_tc behind it:
 * handshakes, what goes to the hub itself, and data whose way the kernel has not shown for some seconds.
 */
#pragma once

/*
 * A sender on this host may have left its checksum to hardware that never comes (veth, virtio): then the field holds
 * the sum of the pseudo header. tc knows what to do about it. So it goes for packets that generic XDP gets merged.
 */
static __always_inline int checksum_is_partial(const struct relay_packet *packet)
{
	__u64 sum = address_sum(&packet->source) + address_sum(&packet->local) +
		    bpf_htons(IPPROTO_UDP) +
		    bpf_htons((__u16)(packet->length + sizeof(struct udphdr)));
	return packet->checksum == fold16(sum);
}

/* For the interface itself: what a promiscuous one sees besides is not ours. */
static __always_inline int link_is_ours(const void *data, __u32 index)
{
	const struct relay_interface *in = interface_find(index);
	const __u16 *destination = data, *own = in ? (const void *)in->address : 0;
	return own && destination[0] == own[0] && destination[1] == own[1] &&
	       destination[2] == own[2];
}

static __always_inline enum verdict xdp_parse_family(struct xdp_md *ctx, __u32 family,
						     struct relay_packet *packet)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	enum verdict verdict = parse_udp(data, end, family, (__u32)(end - data), packet);
	if (verdict != VERDICT_FORWARD)
		return verdict;
	verdict = parse_words(data, end, family, packet);
	if (verdict == VERDICT_FORWARD && packet->checksum && checksum_is_partial(packet))
		return VERDICT_PASS;
	return verdict;
}

static __always_inline enum verdict xdp_parse(struct xdp_md *ctx, struct relay_packet *packet)
{
	struct ethhdr *link = (void *)(long)ctx->data;
	if ((void *)(link + 1) > (void *)(long)ctx->data_end ||
	    !link_is_ours(link, ctx->ingress_ifindex))
		return VERDICT_PASS;
	packet->interface = ctx->ingress_ifindex;
	if (link->h_proto == bpf_htons(ETH_P_IP))
		return xdp_parse_family(ctx, RELAY_IPV4, packet);
	if (link->h_proto == bpf_htons(ETH_P_IPV6))
		return xdp_parse_family(ctx, RELAY_IPV6, packet);
	return VERDICT_PASS;
}

static __always_inline int xdp_rewrite(struct xdp_md *ctx, struct relay_scratch *s)
{
	__u32 from = s->packet.source.family, to = s->route.to.family;
	if (from != to &&
	    bpf_xdp_adjust_head(ctx, to == RELAY_IPV6 ? -(int)HEADER_GROWTH : (int)HEADER_GROWTH)) {
		count_add(RELAY_FAMILY_REFUSED, 1);
		return -1;
	}
	struct udphdr *udp = headers_write((void *)(long)ctx->data, (void *)(long)ctx->data_end, s);
	if (!udp)
		return -1;
	if (!s->packet.checksum)
		return 0;
	__u16 check = ~fold16((__u64)(__u16)~s->packet.checksum +
			      address_difference(&s->packet, &s->route) +
			      port_difference(&s->packet, &s->route));
	udp->check = check ? check : 0xffff;
	return 0;
}

SEC("xdp")
int relay_xdp(struct xdp_md *ctx)
{
	struct relay_scratch *s = scratch_get();
	if (!s)
		return XDP_PASS;
	enum verdict verdict = xdp_parse(ctx, &s->packet);
	if (verdict == VERDICT_FORWARD)
		verdict = decide(s, AT_XDP);
	if (verdict == VERDICT_PASS)
		return XDP_PASS;
	if (verdict == VERDICT_DROP || xdp_rewrite(ctx, s))
		return XDP_DROP;
	return s->route.interface == s->packet.interface ? XDP_TX
							 : bpf_redirect(s->route.interface, 0);
}
