/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses of both families with one code path.
 *
 * struct addr, struct prefix and struct endpoint are plain data, compared and copied by value.
 * An IPv4 address occupies the first four bytes, the rest is zero, so memcmp() order is total.
 * The all-zero struct addr (family AF_UNSPEC) means "none".
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <netinet/in.h>

struct addr {
	uint8_t family; /* AF_INET, AF_INET6 or AF_UNSPEC */
	uint8_t bytes[16];
};

struct prefix {
	struct addr addr; /* bits behind the length are zero */
	uint8_t length;
};

struct endpoint {
	struct addr addr;
	uint16_t port; /* host byte order */
};

#define ADDR_TEXT_MAX	  46 /* INET6_ADDRSTRLEN */
#define PREFIX_TEXT_MAX	  50
#define ENDPOINT_TEXT_MAX 56 /* [v6]:port */

/* Numeric only, never DNS. -EINVAL. */
int addr_parse(const char *text, struct addr *ret);
const char *addr_format(const struct addr *addr, char text[ADDR_TEXT_MAX]);
int addr_compare(const struct addr *a, const struct addr *b);
static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_compare(a, b) == 0;
}
bool addr_is_set(const struct addr *addr);
unsigned int addr_length(const struct addr *addr); /* bytes: 4, 16 or 0 */
unsigned int addr_bits(const struct addr *addr);   /* 32, 128 or 0 */
struct addr addr_from_bytes(int family, const void *bytes);

/* "10.0.0.0/8"; a bare address gets its full length. -EINVAL, also where bits behind the length are set. */
int prefix_parse(const char *text, struct prefix *ret);
const char *prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_MAX]);
bool prefix_contains(const struct prefix *prefix, const struct addr *addr);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
int prefix_compare(const struct prefix *a, const struct prefix *b);
struct prefix prefix_host(const struct addr *addr); /* /32 or /128 */

/* "192.0.2.1:51820" or "[2001:db8::1]:51820"; the port is 1..65535. -EINVAL. */
int endpoint_parse(const char *text, struct endpoint *ret);
const char *endpoint_format(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_MAX]);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* Returns the length to pass to bind() and connect(), 0 for AF_UNSPEC. */
socklen_t endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *ret);
/* -EAFNOSUPPORT, -EINVAL. v4-mapped IPv6 addresses become IPv4. */
int endpoint_from_sockaddr(const struct sockaddr *sockaddr, size_t length, struct endpoint *ret);
