/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses, prefixes and endpoints: text, order, containment. Pure; never resolves names. */
#include "common/addr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int addr_parse(const char *text, struct addr *ret)
{
	struct addr addr = {0};

	if (inet_pton(AF_INET, text, addr.bytes) == 1)
		addr.family = AF_INET;
	else if (inet_pton(AF_INET6, text, addr.bytes) == 1)
		addr.family = AF_INET6;
	else
		return -EINVAL;
	*ret = addr;
	return 0;
}

const char *addr_format(const struct addr *addr, char text[ADDR_TEXT_MAX])
{
	if (!addr_is_set(addr) || !inet_ntop(addr->family, addr->bytes, text, ADDR_TEXT_MAX))
		(void)snprintf(text, ADDR_TEXT_MAX, "none");
	return text;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool addr_is_set(const struct addr *addr)
{
	return addr->family == AF_INET || addr->family == AF_INET6;
}

unsigned int addr_length(const struct addr *addr)
{
	return addr->family == AF_INET ? 4 : addr->family == AF_INET6 ? 16 : 0;
}

unsigned int addr_bits(const struct addr *addr)
{
	return addr_length(addr) * 8;
}

struct addr addr_from_bytes(int family, const void *bytes)
{
	struct addr addr = {.family = (uint8_t)family};
	memcpy(addr.bytes, bytes, addr_length(&addr));
	return addr;
}

/* Decimal without sign, blanks or leading zeros: one number has one text. */
static int parse_number(const char *text, unsigned long max, unsigned long *ret)
{
	unsigned long value = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned long)(*text - '0');
		if (value > max)
			return -EINVAL;
	}
	*ret = value;
	return 0;
}

static void mask(struct addr *addr, unsigned int length)
{
	for (unsigned int bit = length; bit < addr_bits(addr); bit++)
		addr->bytes[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
}

int prefix_parse(const char *text, struct prefix *ret)
{
	char copy[PREFIX_TEXT_MAX];
	struct prefix prefix;
	struct addr masked;
	unsigned long length;
	char *slash;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	(void)snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (addr_parse(copy, &prefix.addr) < 0)
		return -EINVAL;
	length = addr_bits(&prefix.addr);
	if (slash && parse_number(slash, length, &length) < 0)
		return -EINVAL;
	masked = prefix.addr;
	mask(&masked, (unsigned int)length);
	if (!addr_equal(&masked, &prefix.addr))
		return -EINVAL;
	prefix.length = (uint8_t)length;
	*ret = prefix;
	return 0;
}

const char *prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_MAX])
{
	char addr[ADDR_TEXT_MAX];
	(void)snprintf(text, PREFIX_TEXT_MAX, "%s/%u", addr_format(&prefix->addr, addr),
		       prefix->length);
	return text;
}

bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
	struct addr masked = *addr;

	if (!addr_is_set(addr) || addr->family != prefix->addr.family)
		return false;
	mask(&masked, prefix->length);
	return addr_equal(&masked, &prefix->addr);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return prefix_contains(a, &b->addr) || prefix_contains(b, &a->addr);
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	int order = addr_compare(&a->addr, &b->addr);
	return order ? order : (int)a->length - (int)b->length;
}

struct prefix prefix_host(const struct addr *addr)
{
	return (struct prefix){.addr = *addr, .length = (uint8_t)addr_bits(addr)};
}

int endpoint_parse(const char *text, struct endpoint *ret)
{
	char copy[ENDPOINT_TEXT_MAX];
	struct endpoint endpoint;
	unsigned long port;
	char *colon;
	char *host = copy;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	(void)snprintf(copy, sizeof(copy), "%s", text);
	colon = strrchr(copy, ':');
	if (!colon || colon == copy)
		return -EINVAL;
	*colon = '\0';
	if (*host == '[') {
		if (colon[-1] != ']')
			return -EINVAL;
		colon[-1] = '\0';
		host++;
	}
	if (addr_parse(host, &endpoint.addr) < 0 || parse_number(colon + 1, 65535, &port) < 0 ||
	    port == 0)
		return -EINVAL;
	/* brackets belong to IPv6 and only to IPv6 */
	if ((endpoint.addr.family == AF_INET6) != (host != copy))
		return -EINVAL;
	endpoint.port = (uint16_t)port;
	*ret = endpoint;
	return 0;
}

const char *endpoint_format(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_MAX])
{
	char addr[ADDR_TEXT_MAX];
	bool v6 = endpoint->addr.family == AF_INET6;

	(void)snprintf(text, ENDPOINT_TEXT_MAX, "%s%s%s:%u", v6 ? "[" : "",
		       addr_format(&endpoint->addr, addr), v6 ? "]" : "", endpoint->port);
	return text;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

socklen_t endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *ret)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};

	memset(ret, 0, sizeof(*ret));
	switch (endpoint->addr.family) {
	case AF_INET:
		memcpy(&in.sin_addr, endpoint->addr.bytes, 4);
		memcpy(ret, &in, sizeof(in));
		return sizeof(in);
	case AF_INET6:
		memcpy(&in6.sin6_addr, endpoint->addr.bytes, 16);
		memcpy(ret, &in6, sizeof(in6));
		return sizeof(in6);
	default:
		return 0;
	}
}

int endpoint_from_sockaddr(const struct sockaddr *sockaddr, size_t length, struct endpoint *ret)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (length < sizeof(sockaddr->sa_family))
		return -EINVAL;
	switch (sockaddr->sa_family) {
	case AF_INET:
		if (length < sizeof(in))
			return -EINVAL;
		memcpy(&in, sockaddr, sizeof(in));
		*ret = (struct endpoint){addr_from_bytes(AF_INET, &in.sin_addr),
					 ntohs(in.sin_port)};
		return 0;
	case AF_INET6:
		if (length < sizeof(in6))
			return -EINVAL;
		memcpy(&in6, sockaddr, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
			ret->addr = addr_from_bytes(AF_INET, in6.sin6_addr.s6_addr + 12);
		else
			ret->addr = addr_from_bytes(AF_INET6, &in6.sin6_addr);
		ret->port = ntohs(in6.sin6_port);
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}
