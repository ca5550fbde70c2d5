/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Join tokens: "sortie1_" + base32(version, network id, /48, IPv4 range, hub endpoints, hub WireGuard key, K0
 * fingerprint, not-after, seed, checksum). One token, one host, one use. The seed never leaves the host: the join key
 * and the one-time WireGuard key are derived from it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/err.h"
#include "common/key.h"
#include "trust/envelope.h"

#define TOKEN_ENDPOINTS_MAX 4
#define TOKEN_HOST_MAX	    262 /* "host.name:port" with a NUL */
#define TOKEN_TEXT_MAX	    2048

struct network_id {
	uint8_t bytes[16];
};
#define NETWORK_ID_HEX_MAX 33
int network_id_parse(const char *hex, struct network_id *ret);
const char *network_id_format(const struct network_id *id, char text[NETWORK_ID_HEX_MAX]);

struct join_token {
	struct network_id network;
	struct prefix overlay6;				     /* the /48 */
	struct prefix overlay4;				     /* family AF_UNSPEC: none */
	char endpoints[TOKEN_ENDPOINTS_MAX][TOKEN_HOST_MAX]; /* "HOST:PORT", names allowed */
	size_t n_endpoints;
	struct key hub_key;	     /* WireGuard */
	struct key root_fingerprint; /* SHA-256 of K0's public key */
	int64_t not_after;
	struct key seed; /* secret */
};

/* What a hub endpoint may look like: "[IPv6]:PORT", or an IPv4 address or DNS name and ":PORT". Not resolved here. */
bool token_endpoint_valid(const char *text);
bool overlay6_valid(const struct prefix *prefix); /* a /48 of fd00::/8 */
bool overlay4_valid(const struct prefix *prefix); /* IPv4, length 8 to 29 */

/* -EINVAL where the content breaks the rules above; -ENOSPC if it does not fit. */
int token_encode(const struct join_token *token, char text[TOKEN_TEXT_MAX]);
/*
 * Typos are found without a packet: -EINVAL with a sentence (prefix, character, length, checksum, version).
 * Surrounding white space is ignored. Expiry is the caller's check, against not_after.
 */
int token_decode(const char *text, struct join_token *ret, struct err *err);
void token_wipe(struct join_token *token);

void token_join_key(const struct join_token *token, struct signing_key *ret);
void token_wireguard_key(const struct join_token *token, struct key *ret_private);
/* The one-time source address: prefix:ffff::/64 + 64 bits of BLAKE2b(one-time WireGuard public key). */
struct addr token_address(const struct prefix *overlay6, const struct key *onetime_public);

/* /48 + 80 bits of SHA-256(network id, first K3). -EAGAIN where a reserved subnet (0000, ffff) comes out. */
int identity_address(const struct network_id *network, const struct prefix *overlay6,
		     const struct key *k3_public, struct addr *ret);
struct addr hub_address6(const struct prefix *overlay6); /* prefix:0000::1 */
struct addr hub_address4(const struct prefix *overlay4); /* the range's network address + 1 */
