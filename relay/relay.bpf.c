// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The relay at tc ingress: finds WireGuard messages for the hub's port, asks decide(), rewrites addresses and ports,
 * and leaves by bpf_redirect_neigh(), which resolves route and neighbour. What is not ours continues to the next
 * filter and to the stack untouched.
 *
 * Only UAPI headers: no kernel structure is read, so the object loads on any kernel from 5.17 (bpf_loop).
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "relay/decide.bpf.h"

#define TTL	64
#define IPV4_AT ETH_HLEN
#define UDP_AT(family)                                                                             \
	(ETH_HLEN + ((family) == RELAY_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)))
#define MESSAGE_WORDS 12 /* type and two words: what decide() wants of any message */
#define FRAGMENT_BITS 0x3fff

/* Makes the first bytes of the packet readable in place. */
static __always_inline int reach(struct __sk_buff *skb, __u32 bytes)
{
	return (void *)(long)skb->data + bytes <= (void *)(long)skb->data_end ||
	       bpf_skb_pull_data(skb, bytes) == 0;
}

/* 0 where this is not UDP in plain IPv4; else fills addresses and returns the length behind the IP header. */
static __always_inline __u32 parse_ipv4(struct __sk_buff *skb, struct relay_packet *packet)
{
	if (!reach(skb, UDP_AT(RELAY_IPV4) + sizeof(struct udphdr)))
		return 0;
	struct iphdr *ip = (void *)(long)skb->data + ETH_HLEN;
	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return 0;
	if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
	    ip->frag_off & bpf_htons(FRAGMENT_BITS))
		return 0;
	packet->source = (struct relay_endpoint){.address = {ip->saddr}, .family = RELAY_IPV4};
	packet->local = (struct relay_endpoint){.address = {ip->daddr}, .family = RELAY_IPV4};
	return bpf_ntohs(ip->tot_len) - sizeof(*ip);
}

static __always_inline __u32 parse_ipv6(struct __sk_buff *skb, struct relay_packet *packet)
{
	if (!reach(skb, UDP_AT(RELAY_IPV6) + sizeof(struct udphdr)))
		return 0;
	struct ipv6hdr *ip = (void *)(long)skb->data + ETH_HLEN;
	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return 0;
	if (ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
		return 0;
	packet->source.family = packet->local.family = RELAY_IPV6;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		packet->source.address[i] = ip->saddr.in6_u.u6_addr32[i];
		packet->local.address[i] = ip->daddr.in6_u.u6_addr32[i];
	}
	return bpf_ntohs(ip->payload_len);
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
	bpf_loop(skb->gso_segs, test_segment, &batch, 0);
	return !batch.mixed;
}

/* VERDICT_FORWARD here means: a message for decide(). */
static __always_inline enum verdict parse(struct __sk_buff *skb, struct relay_scratch *s)
{
	__u32 zero = 0, behind_ip = 0;
	struct relay_packet *packet = &s->packet;
	struct relay_config *hub = bpf_map_lookup_elem(&config, &zero);
	/* A packet with a VLAN tag belongs to the VLAN's own device, though its header looks like plain IP here. */
	if (!hub || !hub->port || skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return VERDICT_PASS;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		behind_ip = parse_ipv4(skb, packet);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		behind_ip = parse_ipv6(skb, packet);
	if (behind_ip < sizeof(struct udphdr))
		return VERDICT_PASS;

	__u32 at = UDP_AT(packet->source.family);
	struct udphdr *udp = (void *)(long)skb->data + at;
	if ((void *)(udp + 1) > (void *)(long)skb->data_end || udp->dest != hub->port)
		return VERDICT_PASS;
	packet->source.port = udp->source;
	packet->local.port = udp->dest;
	packet->interface = skb->ifindex;
	packet->length = behind_ip - sizeof(*udp);
	if (bpf_ntohs(udp->len) != behind_ip || at + behind_ip > skb->len ||
	    packet->length < LENGTH_DATA_MIN)
		return drop(RELAY_MALFORMED);
	at += sizeof(*udp);
	if (!reach(skb, at + MESSAGE_WORDS))
		return drop(RELAY_MALFORMED);
	__u32 *words = (void *)(long)skb->data + at;
	if ((void *)words + MESSAGE_WORDS > (void *)(long)skb->data_end)
		return drop(RELAY_MALFORMED);
	packet->type = words[0];
	packet->word1 = words[1];
	packet->word2 = words[2];
	if (packet->type == MESSAGE_INITIATION && packet->length == LENGTH_INITIATION &&
	    (bpf_skb_load_bytes(skb, at, s->m, MAC1_COVERED) ||
	     bpf_skb_load_bytes(skb, at + MAC1_COVERED, s->mac1, sizeof(s->mac1))))
		return drop(RELAY_MALFORMED);
	return one_receiver(skb, packet, at) ? VERDICT_FORWARD : drop(RELAY_MALFORMED);
}

/* What replacing one endpoint's address by another's adds to a one's complement sum. */
static __always_inline __u64 address_difference(const struct relay_endpoint *before,
						const struct relay_endpoint *after)
{
	__u64 sum = (__u64)(__u32)~before->address[0] + after->address[0];
	if (before->family == RELAY_IPV6)
#pragma unroll
		for (int i = 1; i < 4; i++)
			sum += (__u64)(__u32)~before->address[i] + after->address[i];
	return sum;
}

static __always_inline __u32 fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

/*
 * The UDP checksum by difference. The pseudo header and the ports go separately: where the sender left the checksum to
 * hardware (CHECKSUM_PARTIAL), the field holds the sum of the pseudo header alone. Zero stays zero (IPv4 without a
 * checksum), and a sum of zero becomes 0xffff.
 */
static __always_inline int fix_checksum(struct __sk_buff *skb, struct relay_scratch *s,
					__u32 udp_at)
{
	const struct relay_endpoint *source = &s->packet.source, *local = &s->packet.local;
	const struct relay_endpoint *from = &s->route.from, *to = &s->route.to;
	__u32 at = udp_at + __builtin_offsetof(struct udphdr, check);
	__u64 addresses = address_difference(source, from) + address_difference(local, to);
	__u64 ports = (__u64)(__u16)~source->port + (__u16)~local->port + from->port + to->port;
	return bpf_l4_csum_replace(skb, at, 0, fold32(addresses),
				   BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0)
		       ?: bpf_l4_csum_replace(skb, at, 0, fold32(ports), BPF_F_MARK_MANGLED_0);
}

static __always_inline int write_ipv4(struct __sk_buff *skb, const struct relay_route *route)
{
	struct iphdr *ip = (void *)(long)skb->data + ETH_HLEN;
	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return -1;
	ip->saddr = route->from.address[0];
	ip->daddr = route->to.address[0];
	ip->ttl = TTL;
	/* 20 bytes, without options: cheaper anew than by difference */
	__u16 *words = (void *)ip;
	__u32 sum = 0;
	ip->check = 0;
#pragma unroll
	for (int i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~((sum & 0xffff) + (sum >> 16));
	return 0;
}

static __always_inline int write_ipv6(struct __sk_buff *skb, const struct relay_route *route)
{
	struct ipv6hdr *ip = (void *)(long)skb->data + ETH_HLEN;
	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return -1;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		ip->saddr.in6_u.u6_addr32[i] = route->from.address[i];
		ip->daddr.in6_u.u6_addr32[i] = route->to.address[i];
	}
	ip->hop_limit = TTL;
	return 0;
}

static __always_inline int rewrite(struct __sk_buff *skb, struct relay_scratch *s)
{
	__u32 family = s->packet.source.family, at = UDP_AT(family);
	if (fix_checksum(skb, s, at))
		return -1;
	if (family == RELAY_IPV4 ? write_ipv4(skb, &s->route) : write_ipv6(skb, &s->route))
		return -1;
	struct udphdr *udp = (void *)(long)skb->data + at;
	if ((void *)(udp + 1) > (void *)(long)skb->data_end)
		return -1;
	udp->source = s->route.from.port;
	udp->dest = s->route.to.port;
	return 0;
}

SEC("tc")
int relay_tc(struct __sk_buff *skb)
{
	struct relay_scratch *s = scratch_get();
	if (!s)
		return TC_ACT_UNSPEC;
	enum verdict verdict = parse(skb, s);
	if (verdict == VERDICT_FORWARD)
		verdict = decide(s);
	if (verdict == VERDICT_PASS)
		return TC_ACT_UNSPEC;
	if (verdict == VERDICT_DROP || rewrite(skb, s))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(s->route.interface, 0, 0, 0);
}

char LICENSE[] SEC("license") = "GPL";
