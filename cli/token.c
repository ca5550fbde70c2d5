/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Join tokens. They are made here, on the operator's side: the seed goes into the token's text and nowhere else, the
 * control plane gets the statement that K1 or an enroller signed.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "cli/call.h"
#include "cli/output.h"
#include "cli/sign.h"
#include "common/clock.h"
#include "common/file.h"
#include "trust/token.h"

#define NOT_AFTER_DEFAULT_S (15 * 60)
#define NOT_AFTER_MAX_S	    (30 * 86400)

/* What --name, --labels, --not-after and --count ask for. */
struct wish {
	struct labels labels;
	unsigned int count;
	int64_t not_after;
};

/* The made tokens: texts are secrets. */
struct made {
	size_t n;
	char (*texts)[TOKEN_TEXT_MAX];
	char (*names)[NAME_MAX_TEXT];
	char **statements;
};

static void made_done(struct made *made)
{
	for (size_t i = 0; i < made->n; i++)
		free(made->statements[i]);
	secret_free((char *)made->texts, made->n * TOKEN_TEXT_MAX);
	free(made->names);
	free(made->statements);
}

static int made_init(struct made *made, size_t n)
{
	made->n = n;
	made->texts = calloc(n, sizeof(*made->texts));
	made->names = calloc(n, sizeof(*made->names));
	made->statements = calloc(n, sizeof(*made->statements));
	return made->texts && made->names && made->statements ? 0 : -ENOMEM;
}

static int parse_count(const char *text, unsigned int *ret)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || value < 1 || value > ADMIN_CREATE_MAX)
		return -EINVAL;
	*ret = (unsigned int)value;
	return 0;
}

static int wish_read(const struct invocation *in, struct wish *ret)
{
	const char *labels = in->options[OPT_LABELS], *count = in->options[OPT_COUNT];
	const char *duration = in->options[OPT_NOT_AFTER];
	int64_t seconds = NOT_AFTER_DEFAULT_S;
	struct err err = {0};
	ret->count = 1;
	if (!name_valid(in->options[OPT_NAME]))
		return cli_fail(
			in, EXIT_USAGE,
			"--name \"%s\" is not site/workload in lower case, digits and hyphens",
			in->options[OPT_NAME]);
	if (labels_parse(labels ? labels : "", &ret->labels, &err) < 0)
		return cli_fail(in, EXIT_USAGE, "--labels: %s", err.text);
	if (count && parse_count(count, &ret->count) < 0)
		return cli_fail(in, EXIT_USAGE, "--count \"%s\" is not a number from 1 to %d",
				count, ADMIN_CREATE_MAX);
	if (duration && (duration_parse(duration, &seconds) < 0 || seconds > NOT_AFTER_MAX_S))
		return cli_fail(in, EXIT_USAGE,
				"--not-after \"%s\" is not a duration of at most 30d", duration);
	ret->not_after = clock_wall() + seconds;
	return EXIT_OK;
}

/* A token for this network with a seed of its own. */
static void token_fill(struct join_token *token, const struct network *network, int64_t not_after)
{
	const struct root_statement *root = trust_root(network->trust);
	struct signing_key fresh;
	memset(token, 0, sizeof(*token));
	token->network = root->network;
	token->overlay6 = root->overlay6;
	token->overlay4 = root->overlay4;
	memcpy(token->endpoints, root->endpoints, sizeof(token->endpoints));
	token->n_endpoints = root->n_endpoints;
	token->hub_key = root->hub_key;
	token->root_fingerprint = network->fingerprint;
	token->not_after = not_after;
	signing_key_generate(&fresh);
	token->seed = fresh.seed;
	signing_key_wipe(&fresh);
}

static int statement_sign(const struct join_token *token, const char *name, const struct wish *wish,
			  const struct signing_key *key, char **ret)
{
	struct token_statement statement = {
		.network = token->network, .labels = wish->labels, .not_after = token->not_after};
	_cleanup_(signing_key_wipe) struct signing_key join;
	_cleanup_(key_wipe) struct key onetime;
	token_join_key(token, &join);
	token_wireguard_key(token, &onetime);
	statement.join_key = join.public_key;
	int r = key_public_curve25519(&onetime, &statement.onetime_key);
	if (r < 0)
		return r;
	snprintf(statement.name, sizeof(statement.name), "%s", name);
	_cleanup_(freep) char *payload = token_statement_encode(&statement);
	if (!payload)
		return -ENOMEM;
	return envelope_sign(TYPE_TOKEN, payload, strlen(payload), &key, 1, ret);
}

static int make_one(const struct network *network, const struct wish *wish,
		    const struct signing_key *key, struct made *made, size_t i)
{
	_cleanup_(token_wipe) struct join_token token;
	token_fill(&token, network, wish->not_after);
	int r = token_encode(&token, made->texts[i]);
	if (r < 0)
		return r;
	return statement_sign(&token, made->names[i], wish, key, &made->statements[i]);
}

static int make_names(const struct invocation *in, struct made *made)
{
	for (size_t i = 0; i < made->n; i++) {
		char name[NAME_MAX_TEXT + 24];
		if (made->n == 1)
			snprintf(name, sizeof(name), "%s", in->options[OPT_NAME]);
		else
			snprintf(name, sizeof(name), "%s-%zu", in->options[OPT_NAME], i + 1);
		if (!name_valid(name))
			return cli_fail(in, EXIT_USAGE, "the name \"%s\" is too long", name);
		memcpy(made->names[i], name, NAME_MAX_TEXT);
	}
	return EXIT_OK;
}

static int make(const struct invocation *in, const struct network *network, const struct wish *wish,
		const struct signing_key *key, struct made *made)
{
	int code = make_names(in, made);
	for (size_t i = 0; code == EXIT_OK && i < made->n; i++) {
		int r = make_one(network, wish, key, made, i);
		if (r < 0)
			code = cli_fail(in, EXIT_FAILED, "cannot make the token: %s", strerror(-r));
	}
	return code;
}

static int write_file(const struct invocation *in, const char *path, const struct made *made)
{
	size_t size = made->n * (TOKEN_TEXT_MAX + 1), length = 0;
	char *text = malloc(size + 1);
	if (!text)
		return cli_fail(in, EXIT_FAILED, "out of memory");
	for (size_t i = 0; i < made->n; i++)
		length += (size_t)sprintf(text + length, "%s\n", made->texts[i]);
	int r = file_write(path, text, length, 0600);
	secret_free(text, size);
	return r < 0 ? cli_fail(in, EXIT_FAILED, "cannot write %s: %s", path, strerror(-r))
		     : EXIT_OK;
}

static int print_made_json(const struct made *made)
{
	json_t *tokens = json_array();
	for (size_t i = 0; i < made->n; i++)
		json_array_append_new(tokens, json_pack("{s:s, s:s}", "name", made->names[i],
							"token", made->texts[i]));
	json_t *json =
		json_pack("{s:s, s:o}", "schema", "sortie.token-created/1", "tokens", tokens);
	if (!json || json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) < 0)
		return EXIT_FAILED;
	putchar('\n');
	json_decref(json);
	return EXIT_OK;
}

static int print_made(const struct invocation *in, const struct wish *wish, const struct made *made)
{
	char until[DISTANCE_TEXT_MAX];
	distance_format(wish->not_after, clock_wall(), until);
	if (option(in, OPT_OUT)) {
		printf("%zu token%s in %s, to be used %s\n", made->n, made->n == 1 ? "" : "s",
		       in->options[OPT_OUT], until);
		return EXIT_OK;
	}
	for (size_t i = 0; i < made->n; i++)
		puts(made->texts[i]);
	fprintf(stderr, "one host each, to be used %s: sortie enroll --token file:PATH\n", until);
	return EXIT_OK;
}

/* The file first: a token that is registered but lost would keep its name open for nobody. */
static int register_and_print(const struct invocation *in, const struct wish *wish,
			      const struct made *made)
{
	struct admin_token_create request = {.statements = made->statements,
					     .n_statements = made->n};
	_cleanup_(answer_done) struct answer answer = {0};
	int code = option(in, OPT_OUT) ? write_file(in, in->options[OPT_OUT], made) : EXIT_OK;
	if (code != EXIT_OK)
		return code;
	code = call(in, ROUTE_ADMIN_TOKEN_CREATE, NULL, &request, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK) {
		if (option(in, OPT_OUT))
			unlink(in->options[OPT_OUT]);
		return code;
	}
	if (option(in, OPT_JSON) && !option(in, OPT_OUT))
		return print_made_json(made);
	return option(in, OPT_JSON) ? print_json(answer.body) : print_made(in, wish, made);
}

int command_token_create(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	_cleanup_(network_done) struct network network = {0};
	_cleanup_(made_done) struct made made = {0};
	_cleanup_(signing_key_wipe) struct signing_key key = {0};
	struct wish wish = {0};
	int code = wish_read(in, &wish);
	if (code == EXIT_OK)
		code = call(in, ROUTE_ADMIN_ROOT, NULL, NULL, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	const struct admin_root *root = answer.message;
	code = network_load(in, root->root, &network);
	if (code == EXIT_OK)
		code = signer_load(in, root->state, &key);
	if (code == EXIT_OK && made_init(&made, wish.count) < 0)
		code = cli_fail(in, EXIT_FAILED, "out of memory");
	if (code == EXIT_OK)
		code = make(in, &network, &wish, &key, &made);
	return code == EXIT_OK ? register_and_print(in, &wish, &made) : code;
}

static void print_tokens(const struct admin_token_list *list)
{
	int64_t now = clock_wall();
	printf("%-16s  %-8s  %-24s  %-10s  %s\n", "ID", "STATE", "NAME", "NOT AFTER", "LABELS");
	for (size_t i = 0; i < list->n_tokens; i++) {
		const struct admin_token *token = &list->tokens[i];
		char until[DISTANCE_TEXT_MAX];
		printf("%-16.16s  %-8s  %-24s  %-10s  ", token->id, token->state, token->name,
		       distance_format(token->not_after, now, until));
		print_labels(stdout, &token->labels, 0);
		putchar('\n');
	}
}

int command_token_list(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	int code = call(in, ROUTE_ADMIN_TOKEN_LIST, NULL, NULL, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	print_tokens(answer.message);
	return EXIT_OK;
}

int command_token_revoke(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct admin_token_revoke request = {0};
	if (strlen(in->args[0]) >= sizeof(request.token))
		return cli_fail(in, EXIT_USAGE, "\"%s\" is neither an id nor a name", in->args[0]);
	memcpy(request.token, in->args[0], strlen(in->args[0]) + 1);
	int code = call(in, ROUTE_ADMIN_TOKEN_REVOKE, NULL, &request, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	print_tokens(answer.message);
	return EXIT_OK;
}
