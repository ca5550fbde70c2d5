/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prints a join token that decodes but that no control plane has made: for what an agent must refuse or endure by
 * itself. `join_token [--ipv6 /48] [--ipv4 RANGE] [--endpoint HOST:PORT] [--left SECONDS]`
 */
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "trust/token.h"

static int set(struct join_token *token, int option, const char *value)
{
	switch (option) {
	case '6':
		return prefix_parse(value, &token->overlay6);
	case '4':
		return prefix_parse(value, &token->overlay4);
	case 'e':
		(void)snprintf(token->endpoints[0], sizeof(token->endpoints[0]), "%s", value);
		return 0;
	case 'l':
		token->not_after = clock_wall() + strtol(value, NULL, 10);
		return 0;
	default:
		return -EINVAL;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"ipv6", required_argument, NULL, '6'},
						{"ipv4", required_argument, NULL, '4'},
						{"endpoint", required_argument, NULL, 'e'},
						{"left", required_argument, NULL, 'l'},
						{0}};
	struct join_token token = {.n_endpoints = 1,
				   .endpoints = {"192.0.2.1:51820"},
				   .not_after = clock_wall() + 3600};
	struct key hub;
	char text[TOKEN_TEXT_MAX];
	int c, r = 0;

	(void)prefix_parse("fd12:3456:789a::/48", &token.overlay6);
	randombytes_buf(token.network.bytes, sizeof(token.network.bytes));
	randombytes_buf(token.seed.bytes, sizeof(token.seed.bytes));
	randombytes_buf(token.root_fingerprint.bytes, sizeof(token.root_fingerprint.bytes));
	key_generate_curve25519(&hub);
	(void)key_public_curve25519(&hub, &token.hub_key);
	while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
		r = set(&token, c, optarg);
	if (r == 0)
		r = token_encode(&token, text);
	if (r < 0) {
		(void)fprintf(stderr, "join_token: %s\n", strerror(-r));
		return 2;
	}
	(void)printf("%s\n", text);
	return 0;
}
