/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The headers in front of a message, for every hook: reading them, and writing them anew for the destination. A hook
 * gives the bytes it can reach as (data, end); all that is read or written lies between them.
 */
#pragma once
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include "relay/decide.bpf.h"

#define TTL 64
#define UDP_AT(family)                                                                             \
	(ETH_HLEN + ((family) == RELAY_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)))
#define HEADER_GROWTH	   (sizeof(struct ipv6hdr) - sizeof(struct iphdr)) /* from IPv4 to IPv6 */
#define MESSAGE_WORDS	   12 /* type and two words: what decide() wants of any message */
#define FRAGMENT_BITS	   0x3fff
#define DONT_FRAGMENT	   0x4000
#define ETHER_TYPE(family) bpf_htons((family) == RELAY_IPV4 ? ETH_P_IP : ETH_P_IPV6)

/* 0 where this is not UDP in plain IPv4; else fills addresses and returns the length behind the IP header. */
static __always_inline __u32 parse_ipv4(void *data, void *end, struct relay_packet *packet)
{
	struct iphdr *ip = data + ETH_HLEN;
	if ((void *)(ip + 1) > end)
		return 0;
	if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
	    ip->frag_off & bpf_htons(FRAGMENT_BITS))
		return 0;
	packet->source = (struct relay_endpoint){.address = {ip->saddr}, .family = RELAY_IPV4};
	packet->local = (struct relay_endpoint){.address = {ip->daddr}, .family = RELAY_IPV4};
	packet->tos = ip->tos;
	return bpf_ntohs(ip->tot_len) - sizeof(*ip);
}

static __always_inline __u32 parse_ipv6(void *data, void *end, struct relay_packet *packet)
{
	struct ipv6hdr *ip = data + ETH_HLEN;
	if ((void *)(ip + 1) > end)
		return 0;
	if (ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
		return 0;
	packet->source.family = packet->local.family = RELAY_IPV6;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		packet->source.address[i] = ip->saddr.in6_u.u6_addr32[i];
		packet->local.address[i] = ip->daddr.in6_u.u6_addr32[i];
	}
	packet->tos = (__u8)(ip->priority << 4 | ip->flow_lbl[0] >> 4);
	return bpf_ntohs(ip->payload_len);
}

/* On the second port somebody else may answer: what is no message there is left alone. */
static __always_inline enum verdict malformed(const struct relay_packet *packet)
{
	return packet->by_alt ? VERDICT_PASS : drop(RELAY_MALFORMED);
}

/* VERDICT_FORWARD here and below means: a message for decide(), as far as was looked. family is a constant. */
static __always_inline enum verdict parse_udp(void *data, void *end, __u32 family, __u32 length,
					      struct relay_packet *packet)
{
	__u32 zero = 0, behind_ip;
	struct relay_config *hub = bpf_map_lookup_elem(&config, &zero);
	struct relay_layout *loaded = bpf_map_lookup_elem(&layout, &zero);
	struct udphdr *udp = data + UDP_AT(family);
	if ((void *)(udp + 1) > end || !hub || !loaded || !hub->port)
		return VERDICT_PASS;
	behind_ip = family == RELAY_IPV4 ? parse_ipv4(data, end, packet)
					 : parse_ipv6(data, end, packet);
	if (behind_ip < sizeof(*udp))
		return VERDICT_PASS;
	packet->by_alt = udp->dest != hub->port;
	if (packet->by_alt && (!loaded->alt_port || udp->dest != loaded->alt_port))
		return VERDICT_PASS;
	packet->source.port = udp->source;
	packet->local.port = udp->dest;
	packet->checksum = udp->check;
	packet->length = behind_ip - sizeof(*udp);
	if (bpf_ntohs(udp->len) != behind_ip || UDP_AT(family) + behind_ip > length ||
	    packet->length < LENGTH_DATA_MIN)
		return malformed(packet);
	return VERDICT_FORWARD;
}

static __always_inline enum verdict parse_words(void *data, void *end, __u32 family,
						struct relay_packet *packet)
{
	__u32 *words = data + UDP_AT(family) + sizeof(struct udphdr);
	if ((void *)words + MESSAGE_WORDS > end)
		return malformed(packet);
	packet->type = words[0];
	packet->word1 = words[1];
	packet->word2 = words[2];
	return VERDICT_FORWARD;
}

static __always_inline __u32 fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

static __always_inline __u16 fold16(__u64 sum)
{
	__u32 folded = fold32(sum);
	folded = (folded & 0xffff) + (folded >> 16);
	return (folded & 0xffff) + (folded >> 16);
}

/* The words of an unused rest are zero, and a zero more or less, plain or inverted, changes no one's complement sum. */
static __always_inline __u64 address_sum(const struct relay_endpoint *endpoint)
{
	return (__u64)endpoint->address[0] + endpoint->address[1] + endpoint->address[2] +
	       endpoint->address[3];
}

/*
 * What the new addresses add to a one's complement sum over the pseudo header: what stands in it besides them is the
 * same for both families. 4 x 0xffffffff - sum is the sum of the inverted words.
 */
static __always_inline __u64 address_difference(const struct relay_packet *packet,
						const struct relay_route *route)
{
	return 8 * 0xffffffffULL - address_sum(&packet->source) - address_sum(&packet->local) +
	       address_sum(&route->from) + address_sum(&route->to);
}

static __always_inline __u64 port_difference(const struct relay_packet *packet,
					     const struct relay_route *route)
{
	return (__u64)(__u16)~packet->source.port + (__u16)~packet->local.port + route->from.port +
	       route->to.port;
}

/* Without options: cheaper anew than by difference. */
static __always_inline __u16 ipv4_checksum(const struct iphdr *ip)
{
	const __u32 *words = (const void *)ip;
	__u64 sum = 0;
#pragma unroll
	for (int i = 0; i < (int)sizeof(*ip) / 4; i++)
		sum += words[i];
	return ~fold16(sum);
}

/* The header that is there already. */
static __always_inline int ipv4_change(void *data, void *end, const struct relay_route *route)
{
	struct iphdr *ip = data + ETH_HLEN;
	if ((void *)(ip + 1) > end)
		return -1;
	ip->saddr = route->from.address[0];
	ip->daddr = route->to.address[0];
	ip->ttl = TTL;
	ip->check = 0;
	ip->check = ipv4_checksum(ip);
	return 0;
}

static __always_inline int ipv6_change(void *data, void *end, const struct relay_route *route)
{
	struct ipv6hdr *ip = data + ETH_HLEN;
	if ((void *)(ip + 1) > end)
		return -1;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		ip->saddr.in6_u.u6_addr32[i] = route->from.address[i];
		ip->daddr.in6_u.u6_addr32[i] = route->to.address[i];
	}
	ip->hop_limit = TTL;
	return 0;
}

/* The destination comes by the other family: a new header, where there is room for it already. */
static __always_inline int ip_make(void *data, void *end, const struct relay_scratch *s)
{
	__u32 udp_length = s->packet.length + sizeof(struct udphdr);
	if (s->route.to.family == RELAY_IPV4) {
		struct iphdr *ip = data + ETH_HLEN;
		if ((void *)(ip + 1) > end)
			return -1;
		*ip = (struct iphdr){
			.version = 4,
			.ihl = sizeof(*ip) / 4,
			.tos = s->packet.tos,
			.tot_len = bpf_htons(sizeof(*ip) + udp_length),
			.frag_off = bpf_htons(DONT_FRAGMENT),
			.protocol = IPPROTO_UDP,
		};
		return ipv4_change(data, end, &s->route);
	}
	struct ipv6hdr *ip = data + ETH_HLEN;
	if ((void *)(ip + 1) > end)
		return -1;
	*(__u32 *)ip = bpf_htonl(6U << 28 | (__u32)s->packet.tos << 20);
	ip->payload_len = bpf_htons(udp_length);
	ip->nexthdr = IPPROTO_UDP;
	return ipv6_change(data, end, &s->route);
}

/* IP header, ports, and the link header where the hop is known. The UDP checksum is the hook's. */
static __always_inline struct udphdr *headers_write(void *data, void *end,
						    const struct relay_scratch *s)
{
	const struct relay_route *route = &s->route;
	__u32 family = route->to.family;
	struct ethhdr *link = data;
	struct udphdr *udp = data + UDP_AT(family);
	if ((void *)(udp + 1) > end)
		return 0;
	if (s->packet.source.family != family) {
		if (ip_make(data, end, s))
			return 0;
	} else if (family == RELAY_IPV4 ? ipv4_change(data, end, route)
					: ipv6_change(data, end, route)) {
		return 0;
	}
	if (route->hop_known)
		__builtin_memcpy(link, route->ethernet, sizeof(route->ethernet));
	link->h_proto = ETHER_TYPE(family);
	udp->source = route->from.port;
	udp->dest = route->to.port;
	return udp;
}
