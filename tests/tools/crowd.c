/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A control plane's state with N enrolled identities, ten of each group label, for load that plays all of them at once.
 * usage: crowd FOLDER N. Prints the state folder, the hub's key, a call to sign with MARKs in it, and then of each identity
 * a line "K4 K3SEED ADDRESS" (base64, hex, overlay IPv6): secrets, so the output goes to a file of the caller's own.
 */
#include "tests/unit/control_bed.h"

struct crowd_host {
	struct bed_host host;
	struct key k4_private;
	struct bed_token token;
};

static void add_token(struct bed *bed, size_t number, struct bed_token *ret)
{
	const struct root_statement *root = trust_root(bed->trust);
	struct token_statement statement = {.network = root->network,
					    .not_after = bed->now + 86400};
	struct join_token token = {.overlay6 = root->overlay6};
	struct token_row row;
	struct key private_key;
	char group[24];

	snprintf(group, sizeof(group), "g%zu", number / 10);
	randombytes_buf(token.seed.bytes, KEY_SIZE);
	token_join_key(&token, &ret->join);
	token_wireguard_key(&token, &private_key);
	MUST(key_public_curve25519(&private_key, &ret->onetime));
	ret->address = token_address(&root->overlay6, &ret->onetime);
	snprintf(ret->name, sizeof(ret->name), "crowd/host-%zu", number);
	statement.join_key = ret->join.public_key;
	statement.onetime_key = ret->onetime;
	snprintf(statement.name, sizeof(statement.name), "%s", ret->name);
	MUST(labels_add(&statement.labels, "group", group, NULL));
	row = bed_token_row(
		bed, ret, statement.not_after,
		bed_sign(TYPE_TOKEN, token_statement_encode(&statement), &bed->k1, NULL));
	row.labels = statement.labels;
	MUST(store_token_add(bed->store, &row, 1, "crowd"));
	free(row.statement);
}

static void add_host(struct bed *bed, size_t number, struct crowd_host *ret)
{
	_cleanup_(freep) char *request = NULL;

	add_token(bed, number, &ret->token);
	bed_new_host(bed, &ret->host);
	key_generate_curve25519(&ret->k4_private);
	MUST(key_public_curve25519(&ret->k4_private, &ret->host.k4));
	request = bed_request(bed, &ret->token, &ret->host);
	MUST(bed_redeem(bed, &ret->token, request, NULL) == 200 ? 0 : -EPROTO);
}

static void print_head(const struct bed *bed)
{
	const struct root_statement *root = trust_root(bed->trust);
	char payload[] = "PAYLOAD";
	struct call_statement call = {.network = root->network,
				      .hub = root->hub_key,
				      .method = "POST",
				      .path = "/v1/sync",
				      .at = 1234567890,
				      .payload = payload};
	_cleanup_(freep) char *text = call_encode(&call);
	char key[KEY_B64_MAX];

	printf("%s\n%s\n%s\n", bed->dir, key_format_b64(&root->hub_key, key), text);
}

static void print_host(const struct bed *bed, const struct crowd_host *host)
{
	const struct root_statement *root = trust_root(bed->trust);
	char key[KEY_B64_MAX], seed[KEY_HEX_MAX], text[ADDR_TEXT_MAX];
	struct addr address;

	MUST(identity_address(&root->network, &root->overlay6, &host->host.k3.public_key,
			      &address));
	printf("%s %s %s\n", key_format_b64(&host->k4_private, key),
	       key_format_hex(&host->host.k3.seed, seed), addr_format(&address, text));
}

int main(int argc, char **argv)
{
	size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct bed *bed;

	if (n == 0) {
		fputs("usage: crowd FOLDER N\n", stderr);
		return 2;
	}
	bed = bed_new(argv[1]);
	print_head(bed);
	for (size_t i = 0; i < n; i++) {
		struct crowd_host host;

		add_host(bed, i, &host);
		print_host(bed, &host);
	}
	bed_close(bed); /* the folder stays */
	free(bed);
	return 0;
}
