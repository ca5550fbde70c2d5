/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `sortie-control init`: a network comes to be. Keys K0, K1, K2 and the hub's WireGuard key, the network's id and
 * ranges, the root statement, the database. All of it or nothing: made in a folder beside, then renamed.
 *
 *	DIR/keys/root     K0, signing key file      DIR/keys/hub      WireGuard private key, base64
 *	DIR/keys/policy   K1, signing key file      DIR/network       network id, hex
 *	DIR/keys/control  K2, signing key file      DIR/control.db    the store
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/err.h"
#include "trust/token.h"

#define INIT_ROOT_KEY_FILE   "keys/root"
#define INIT_POLICY_KEY_FILE "keys/policy"
#define INIT_HUB_KEY_FILE    "keys/hub"
#define INIT_MTU	     1280
#define INIT_MTU_MAX	     9000
#define INIT_ALT_PORT	     443 /* sortie-relay-load's --alt-port */

enum init_ipv4 { INIT_IPV4_CHOOSE, INIT_IPV4_NONE, INIT_IPV4_GIVEN };

struct init_options {
	const char *state_dir;
	const char *network;
	const char *endpoints[TOKEN_ENDPOINTS_MAX];
	size_t n_endpoints;
	uint16_t alt_port; /* each endpoint's host is named with it too, last; 0: not */
	enum init_ipv4 ipv4;
	struct prefix overlay4; /* INIT_IPV4_GIVEN */
	uint16_t mtu;
};

/* -EINVAL: what was asked for makes no sense on any host. */
int init_check(const struct init_options *options, struct err *err);
/* -EEXIST where the folder holds something. */
int init_network(const struct init_options *options, struct err *err);

/* "HOST:PORT", HOST a name, an IPv4 address or [IPv6]. -EINVAL. */
int init_endpoint_port(const char *endpoint, uint16_t *ret_port);
/*
 * The endpoints as agents try them: those given, then their hosts at alt_port, while there is room. Texts without a port
 * are left out.
 */
size_t init_endpoints(const char *const *given, size_t n, uint16_t alt_port,
		      char ret[TOKEN_ENDPOINTS_MAX][TOKEN_HOST_MAX]);
/* A free 10.x.0.0/16: none of the routes (default routes aside) overlaps it. start varies the choice. -ENOSPC. */
struct link_route;
int init_choose_ipv4(const struct link_route *routes, size_t n, uint8_t start, struct prefix *ret);
