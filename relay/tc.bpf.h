/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The relay at tc ingress: see relay.bpf.c. */
#pragma once

/* Makes the first bytes of the packet readable in place. */
static __always_inline int reach(struct __sk_buff *skb, __u32 bytes)
{
	return (void *)(long)skb->data + bytes <= (void *)(long)skb->data_end ||
	       bpf_skb_pull_data(skb, bytes) == 0;
}

/*
 * Segments that were merged on the way up (GRO) or never cut (a sender in a namespace of this host) leave by one
 * route, so they must all be data for one receiver. What sites send is merged by flow, and a site has one flow for all
 * its peers.
 */
struct batch {
	struct __sk_buff *skb;
	__u32 at;
	__u32 index;
	__u32 mixed;
};

static long test_segment(__u32 number, void *data)
{
	struct batch *batch = data;
	__u32 words[2], at = batch->at + number * batch->skb->gso_size;
	if (at >= batch->skb->len)
		return 1;
	if (bpf_skb_load_bytes(batch->skb, at, words, sizeof(words)) == 0 &&
	    words[0] == MESSAGE_DATA && words[1] == batch->index)
		return 0;
	batch->mixed = 1;
	return 1;
}

static __always_inline int one_receiver(struct __sk_buff *skb, const struct relay_packet *packet,
					__u32 at)
{
	struct batch batch = {.skb = skb, .at = at, .index = packet->word1};
	if (!skb->gso_size || packet->type != MESSAGE_DATA)
		return 1;
	/* counted here: gso_segs is 0 where a guest or a tap merged them */
	bpf_loop((skb->len - at + skb->gso_size - 1) / skb->gso_size, test_segment, &batch, 0);
	return !batch.mixed;
}

static __always_inline enum verdict tc_parse_family(struct __sk_buff *skb, __u32 family,
						    struct relay_scratch *s)
{
	struct relay_packet *packet = &s->packet;
	__u32 at = UDP_AT(family) + sizeof(struct udphdr);
	if (!reach(skb, at))
		return VERDICT_PASS;
	enum verdict verdict = parse_udp((void *)(long)skb->data, (void *)(long)skb->data_end,
					 family, skb->len, packet);
	if (verdict != VERDICT_FORWARD)
		return verdict;
	if (!reach(skb, at + MESSAGE_WORDS))
		return malformed(packet);
	verdict = parse_words((void *)(long)skb->data, (void *)(long)skb->data_end, family, packet);
	if (verdict != VERDICT_FORWARD)
		return verdict;
	packet->interface = skb->ifindex;
	if (packet->type == MESSAGE_INITIATION && packet->length == LENGTH_INITIATION &&
	    (bpf_skb_load_bytes(skb, at, s->m, MAC1_COVERED) ||
	     bpf_skb_load_bytes(skb, at + MAC1_COVERED, s->mac1, sizeof(s->mac1))))
		return malformed(packet);
	return one_receiver(skb, packet, at) ? VERDICT_FORWARD : malformed(packet);
}

static __always_inline enum verdict tc_parse(struct __sk_buff *skb, struct relay_scratch *s)
{
	/* A packet with a VLAN tag belongs to the VLAN's own device, though its header looks like plain IP here. */
	if (skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return VERDICT_PASS;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return tc_parse_family(skb, RELAY_IPV4, s);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return tc_parse_family(skb, RELAY_IPV6, s);
	return VERDICT_PASS;
}

#define SUM_CHUNK 64

struct summing {
	struct __sk_buff *skb;
	__u32 at;
	__u32 left;
	__u32 sum;
};

static long sum_chunk(__u32 __attribute__((unused)) number, void *data)
{
	struct summing *summing = data;
	struct relay_scratch *s = scratch_get();
	if (!s || !summing->left)
		return 1;
	__u32 length = (summing->left < SUM_CHUNK ? summing->left : SUM_CHUNK) - 1;
	asm volatile(""
		     : "+r"(length)); /* clang proves the bounds; the verifier wants to see them */
	length = (length & (SUM_CHUNK - 1)) + 1;
#pragma unroll
	for (int i = 0; i < SUM_CHUNK / 4; i++)
		s->m[i] = 0;
	if (bpf_skb_load_bytes(summing->skb, summing->at, s->m, length))
		return 1;
	summing->sum = (__u32)bpf_csum_diff(0, 0, s->m, SUM_CHUNK, summing->sum);
	summing->at += length;
	summing->left -= length;
	return 0;
}

/* An IPv4 sender may leave the checksum out, an IPv6 receiver wants one: made whole, before anything is changed. */
static __always_inline int checksum_make(struct __sk_buff *skb, const struct relay_scratch *s,
					 __u32 udp_at, __u16 *ret)
{
	__u32 length = s->packet.length + sizeof(struct udphdr);
	struct summing summing = {.skb = skb, .at = udp_at, .left = length};
	bpf_loop((length + SUM_CHUNK - 1) / SUM_CHUNK, sum_chunk, &summing, 0);
	if (summing.left)
		return -1;
	__u64 sum = (__u64)summing.sum + address_sum(&s->route.from) + address_sum(&s->route.to) +
		    bpf_htons((__u16)length) + bpf_htons(IPPROTO_UDP) +
		    port_difference(&s->packet, &s->route);
	*ret = ~fold16(sum);
	if (!*ret)
		*ret = 0xffff;
	return 0;
}

/*
 * The UDP checksum by difference. The pseudo header and the ports go separately: where the sender left the checksum to
 * hardware (CHECKSUM_PARTIAL), the field holds the sum of the pseudo header alone. Zero stays zero (IPv4 without a
 * checksum), and a sum of zero becomes 0xffff.
 */
static __always_inline int checksum_change(struct __sk_buff *skb, const struct relay_scratch *s,
					   __u32 udp_at)
{
	__u32 at = udp_at + __builtin_offsetof(struct udphdr, check);
	__u16 whole;
	if (s->packet.checksum == 0 && s->route.to.family == RELAY_IPV6)
		return checksum_make(skb, s, udp_at, &whole)
			       ?: bpf_skb_store_bytes(skb, at, &whole, sizeof(whole), 0);
	return bpf_l4_csum_replace(skb, at, 0, fold32(address_difference(&s->packet, &s->route)),
				   BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0)
		       ?: bpf_l4_csum_replace(skb, at, 0,
					      fold32(port_difference(&s->packet, &s->route)),
					      BPF_F_MARK_MANGLED_0);
}

/* A merged packet cannot change its family here, nor may one grow beyond what the interface carries. */
static __always_inline int family_change(struct __sk_buff *skb, const struct relay_scratch *s)
{
	__u32 family = s->route.to.family, mtu = 0;
	int growth = family == RELAY_IPV6 ? (int)HEADER_GROWTH : -(int)HEADER_GROWTH;
	if (skb->gso_size || bpf_check_mtu(skb, s->route.interface, &mtu, growth, 0) ||
	    bpf_skb_change_proto(skb, ETHER_TYPE(family), 0) ||
	    !reach(skb, UDP_AT(RELAY_IPV6) + sizeof(struct udphdr))) {
		count_add(RELAY_FAMILY_REFUSED, 1);
		return -1;
	}
	return 0;
}

static __always_inline int tc_rewrite(struct __sk_buff *skb, struct relay_scratch *s)
{
	__u32 family = s->packet.source.family;
	if (checksum_change(skb, s, UDP_AT(family)))
		return -1;
	if (family != s->route.to.family && family_change(skb, s))
		return -1;
	return headers_write((void *)(long)skb->data, (void *)(long)skb->data_end, s) ? 0 : -1;
}

/* Behind us the hub's own WireGuard listens on one port. */
static __always_inline void port_restore(struct __sk_buff *skb, struct relay_packet *packet)
{
	__u32 zero = 0, at = UDP_AT(packet->source.family);
	struct relay_config *hub = bpf_map_lookup_elem(&config, &zero);
	if (!hub)
		return;
	__be16 port = hub->port;
	bpf_l4_csum_replace(skb, at + __builtin_offsetof(struct udphdr, check), packet->local.port,
			    port, BPF_F_MARK_MANGLED_0 | sizeof(port));
	bpf_skb_store_bytes(skb, at + __builtin_offsetof(struct udphdr, dest), &port, sizeof(port),
			    0);
}

SEC("tc")
int relay_tc(struct __sk_buff *skb)
{
	struct relay_scratch *s = scratch_get();
	if (!s)
		return TC_ACT_UNSPEC;
	enum verdict verdict = tc_parse(skb, s);
	if (verdict == VERDICT_FORWARD) {
		verdict = decide(s, AT_TC);
		if (verdict == VERDICT_PASS && s->packet.by_alt)
			port_restore(skb, &s->packet);
	}
	if (verdict == VERDICT_PASS)
		return TC_ACT_UNSPEC;
	if (verdict == VERDICT_DROP || tc_rewrite(skb, s))
		return TC_ACT_SHOT;
	if (!s->route.hop_known)
		return bpf_redirect_neigh(s->route.interface, 0, 0, 0);
	s->relayed_ports = s->route.from.port | (__u32)s->route.to.port << 16;
	return bpf_redirect(s->route.interface, 0);
}
