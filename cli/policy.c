/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy check, plan, apply: read the file, verify what stands, run the tests, show what is gained and lost, sign.
 *
 *	file -> parse -> tests and findings over the inventory -> difference to what stands -> sign -> verify -> upload
 *
 * Nothing is sent that did not parse, whose tests fail, or that agents would not accept: what was signed goes through
 * their verify function first.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "cli/call.h"
#include "cli/output.h"
#include "cli/sign.h"
#include "common/clock.h"
#include "common/file.h"
#include "trust/merkle.h"

#define VALID_DEFAULT_S	 (30 * 86400)
#define VALID_MAX_S	 (366 * 86400)
#define APPLY_TIMEOUT_MS 60000

/* One run of check, plan or apply. */
struct draft {
	const struct invocation *in;
	char *text; /* the YAML */
	size_t length;
	struct policy *policy;
	struct answer standing_answer;
	const struct admin_policy *standing; /* NULL: nobody was asked */
	struct network network;
	struct policy_member *members;
	struct policy_inventory inventory;
	struct policy_change *changes;
	size_t n_changes;
	size_t n_gained, n_failures;
	json_t *failures, *findings; /* lists of sentences */
	json_t *opened, *closed;     /* the same: outside the overlay */
};

static void draft_done(struct draft *draft)
{
	free(draft->text);
	policy_free(draft->policy);
	answer_done(&draft->standing_answer);
	network_done(&draft->network);
	free(draft->members);
	free(draft->changes);
	json_decref(draft->failures);
	json_decref(draft->findings);
	json_decref(draft->opened);
	json_decref(draft->closed);
}

/* ---- the file ---- */

static int draft_read(struct draft *draft)
{
	const struct invocation *in = draft->in;
	const char *path = in->args[0];
	struct err err = {0};
	int r = file_read(path, POLICY_TEXT_MAX, &draft->text, &draft->length);
	if (r == -EFBIG)
		return cli_fail(in, EXIT_FAILED, "%s is larger than %d bytes", path,
				POLICY_TEXT_MAX);
	if (r < 0)
		return cli_fail(in, EXIT_FAILED, "cannot read %s: %s", path,
				r == -EINVAL ? "it is not a regular file" : strerror(-r));
	if (strlen(draft->text) != draft->length)
		return cli_fail(in, EXIT_FAILED, "%s holds a NUL byte: it is not YAML", path);
	if (policy_parse(draft->text, draft->length, &draft->policy, &err) == 0)
		return EXIT_OK;
	return err.line ? cli_fail(in, EXIT_FAILED, "%s:%u:%u: %s", path, err.line, err.column,
				   err.text)
			: cli_fail(in, EXIT_FAILED, "%s: %s", path, err.text);
}

/* ---- what stands ---- */

static int take_inventory(struct draft *draft)
{
	const struct admin_policy *standing = draft->standing;
	draft->members = calloc(standing->n_inventory + 1, sizeof(*draft->members));
	if (!draft->members)
		return cli_fail(draft->in, EXIT_FAILED, "out of memory");
	for (size_t i = 0; i < standing->n_inventory; i++) {
		const struct admin_member *member = &standing->inventory[i];
		draft->members[i].id = member->id;
		draft->members[i].labels = member->labels;
		memcpy(draft->members[i].name, member->name, sizeof(draft->members[i].name));
	}
	draft->inventory = (struct policy_inventory){draft->members, standing->n_inventory};
	return EXIT_OK;
}

static int take_standing(struct draft *draft)
{
	draft->standing = draft->standing_answer.message;
	int code = network_load(draft->in, draft->standing->root, &draft->network);
	if (code == EXIT_OK)
		code = network_accept(draft->in, &draft->network, draft->standing);
	return code == EXIT_OK ? take_inventory(draft) : code;
}

static int draft_ask(struct draft *draft)
{
	int code = call(draft->in, ROUTE_ADMIN_POLICY, NULL, NULL, CALL_TIMEOUT_MS,
			&draft->standing_answer);
	return code == EXIT_OK ? take_standing(draft) : code;
}

/* ---- tests, findings, difference ---- */

static void on_failure(const struct policy_test *test, const char *sentence, void *data)
{
	struct draft *draft = data;
	json_array_append_new(draft->failures,
			      json_sprintf("%s:%u: %s", draft->in->args[0], test->line, sentence));
}

static void on_finding(const char *sentence, void *data)
{
	struct draft *draft = data;
	json_array_append_new(draft->findings, json_string(sentence));
}

static void draft_test(struct draft *draft)
{
	int64_t now = clock_wall();
	draft->failures = json_array();
	draft->findings = json_array();
	draft->n_failures =
		policy_run_tests(draft->policy, &draft->inventory, now, on_failure, draft);
	policy_lint(draft->policy, &draft->inventory, now, on_finding, draft);
}

static void on_host_change(bool gained, const char *sentence, void *data)
{
	struct draft *draft = data;
	json_array_append_new(gained ? draft->opened : draft->closed, json_string(sentence));
}

static int draft_diff(struct draft *draft)
{
	draft->opened = json_array();
	draft->closed = json_array();
	int r = policy_diff(trust_policy(draft->network.trust), &draft->inventory, draft->policy,
			    &draft->inventory, clock_wall(), &draft->changes, &draft->n_changes);
	if (r == 0)
		r = policy_diff_hosts(trust_policy(draft->network.trust), draft->policy,
				      &draft->inventory, on_host_change, draft);
	if (r < 0)
		return cli_fail(draft->in, EXIT_FAILED,
				"cannot compare with the standing policy: %s",
				r == -EFBIG ? "too many pairs" : strerror(-r));
	for (size_t i = 0; i < draft->n_changes; i++)
		draft->n_gained += draft->changes[i].gained;
	return EXIT_OK;
}

static void print_sentences(const char *title, json_t *sentences)
{
	for (size_t i = 0; i < json_array_size(sentences); i++) {
		printf("%s ", title);
		print_text(stdout, json_string_value(json_array_get(sentences, i)));
		putchar('\n');
	}
}

static void print_changes(const struct draft *draft, bool gained)
{
	for (size_t i = 0; i < draft->n_changes; i++) {
		const struct policy_change *change = &draft->changes[i];
		char port[POLICY_PORT_TEXT_MAX];
		if (change->gained == gained)
			printf("%c %s -> %s %s\n", gained ? '+' : '-', change->from, change->to,
			       policy_port_format(&change->port, port));
	}
}

static void print_plan(const struct draft *draft)
{
	print_changes(draft, true);
	print_changes(draft, false);
	printf("%zu gained, %zu lost over %zu identities\n", draft->n_gained,
	       draft->n_changes - draft->n_gained, draft->inventory.n);
	print_sentences("+ outside:", draft->opened);
	print_sentences("- outside:", draft->closed);
	print_sentences("finding:", draft->findings);
	print_sentences("test failed:", draft->failures);
}

static json_t *changes_json(const struct draft *draft, bool gained)
{
	json_t *list = json_array();
	for (size_t i = 0; i < draft->n_changes; i++) {
		const struct policy_change *change = &draft->changes[i];
		char port[POLICY_PORT_TEXT_MAX];
		if (change->gained == gained)
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:s}", "from", change->from,
							"to", change->to, "port",
							policy_port_format(&change->port, port)));
	}
	return list;
}

/* applied: the version that is in force now; 0 for a plan. */
static int print_plan_json(const struct draft *draft, const char *schema, uint64_t applied)
{
	json_t *json = json_pack(
		"{s:s, s:I, s:I, s:o, s:o, s:O?, s:O?, s:O, s:O}", "schema", schema, "standing",
		(json_int_t)(draft->standing ? draft->standing->version : 0), "applied",
		(json_int_t)applied, "gained", changes_json(draft, true), "lost",
		changes_json(draft, false), "outside_gained", draft->opened, "outside_lost",
		draft->closed, "findings", draft->findings, "test_failures", draft->failures);
	int r = json ? json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;
	json_decref(json);
	putchar('\n');
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

static int tests_code(const struct draft *draft)
{
	if (draft->n_failures == 0)
		return EXIT_OK;
	return cli_fail(draft->in, EXIT_TESTS_FAILED, "%zu of the policy's %zu tests failed",
			draft->n_failures, draft->policy->n_tests);
}

/* Everything up to the difference; prints nothing. */
static int draft_plan(struct draft *draft)
{
	int code = draft_read(draft);
	if (code == EXIT_OK)
		code = draft_ask(draft);
	if (code != EXIT_OK)
		return code;
	draft_test(draft);
	return draft_diff(draft);
}

/* ---- check and plan ---- */

static int show_check(struct draft *draft)
{
	if (option(draft->in, OPT_JSON))
		return print_plan_json(draft, "sortie.policy-check/1", 0);
	printf("%s is valid: %zu rules, %zu tests\n", draft->in->args[0], draft->policy->n_rules,
	       draft->policy->n_tests);
	if (!draft->standing)
		puts("no control plane answers here: its tests were not run");
	print_sentences("finding:", draft->findings);
	print_sentences("test failed:", draft->failures);
	return EXIT_OK;
}

int command_policy_check(const struct invocation *in)
{
	_cleanup_(draft_done) struct draft draft = {.in = in};
	struct failure failure;
	int code = draft_read(&draft);
	if (code != EXIT_OK)
		return code;
	/* Useful in a repository's CI as well, where there is nobody to ask. */
	if (call_try(in, ROUTE_ADMIN_POLICY, NULL, NULL, CALL_TIMEOUT_MS, &draft.standing_answer,
		     &failure) == 0) {
		code = take_standing(&draft);
		if (code != EXIT_OK)
			return code;
		draft_test(&draft);
	} else if (option(in, OPT_CONTROL)) {
		return call_fail(in, ROUTE_ADMIN_POLICY, &failure);
	} else {
		draft.failures = json_array();
		draft.findings = json_array();
	}
	code = show_check(&draft);
	return code == EXIT_OK ? tests_code(&draft) : code;
}

int command_policy_plan(const struct invocation *in)
{
	_cleanup_(draft_done) struct draft draft = {.in = in};
	int code = draft_plan(&draft);
	if (code != EXIT_OK)
		return code;
	if (!option(in, OPT_JSON))
		print_plan(&draft);
	else if (print_plan_json(&draft, "sortie.policy-plan/1", 0) != EXIT_OK)
		return EXIT_FAILED;
	return tests_code(&draft);
}

/* ---- apply ---- */

static void rules_root(const struct policy_encoded *encoded, struct merkle_leaf *leaves,
		       uint8_t ret[32])
{
	for (size_t i = 0; i < encoded->n_leaves; i++)
		leaves[i] = (struct merkle_leaf){encoded->leaves[i], strlen(encoded->leaves[i])};
	merkle_root(leaves, encoded->n_leaves, ret);
}

static int statement_make(const struct draft *draft, const struct policy_encoded *encoded,
			  int64_t valid_s, char **ret_payload)
{
	const struct trust *trust = draft->network.trust;
	struct policy_statement statement = {
		.network = trust_root(trust)->network,
		.version = draft->standing->version + 1,
		.issued_at = clock_wall(),
		.n_rules = (uint32_t)encoded->n_leaves,
		.n_tombstones = (uint32_t)trust_tombstones(trust),
		.header = encoded->header,
	};
	_cleanup_(freep) struct merkle_leaf *leaves =
		calloc(encoded->n_leaves + 1, sizeof(*leaves));
	if (!leaves)
		return -ENOMEM;
	statement.not_after = statement.issued_at + valid_s;
	rules_root(encoded, leaves, statement.rules_root);
	trust_tombstones_hash(trust, statement.tombstones_hash);
	*ret_payload = policy_statement_encode(&statement);
	return *ret_payload ? 0 : -ENOMEM;
}

static int draft_sign(struct draft *draft, const struct policy_encoded *encoded,
		      const struct signing_key *key, int64_t valid_s, char **ret)
{
	_cleanup_(freep) char *payload = NULL;
	struct err err = {0};
	int r = statement_make(draft, encoded, valid_s, &payload);
	if (r == 0)
		r = envelope_sign(TYPE_POLICY, payload, strlen(payload), &key, 1, ret);
	if (r < 0)
		return cli_fail(draft->in, EXIT_FAILED, "cannot sign the policy: %s",
				r == -EFBIG ? "what it restricts is too large" : strerror(-r));
	if (trust_root(draft->network.trust)->threshold > 1)
		return EXIT_OK; /* others sign as well before anybody can verify it */
	r = trust_accept_policy(draft->network.trust, *ret, strlen(*ret),
				(const char *const *)encoded->leaves, encoded->n_leaves,
				clock_wall(), &err);
	if (r < 0)
		return cli_fail(draft->in, EXIT_FAILED, "agents would refuse this policy: %s",
				err.text);
	return EXIT_OK;
}

static int upload(struct draft *draft, const struct policy_encoded *encoded, char *envelope)
{
	struct admin_policy_apply request = {.policy = envelope,
					     .leaves = encoded->leaves,
					     .n_leaves = encoded->n_leaves,
					     .text = draft->text};
	_cleanup_(answer_done) struct answer answer = {0};
	int code = call(draft->in, ROUTE_ADMIN_POLICY_APPLY, NULL, &request, APPLY_TIMEOUT_MS,
			&answer);
	if (code != EXIT_OK)
		return code;
	const struct admin_policy_applied *applied = answer.message;
	if (option(draft->in, OPT_JSON))
		return print_plan_json(draft, "sortie.policy-apply/1", applied->version);
	printf("policy version %" PRIu64 " is in force\n", applied->version);
	return EXIT_OK;
}

static int sign_and_upload(struct draft *draft, const struct signing_key *key, int64_t valid_s)
{
	struct policy_encoded encoded = {0};
	_cleanup_(freep) char *envelope = NULL;
	if (policy_encode(draft->policy, &encoded) < 0)
		return cli_fail(draft->in, EXIT_FAILED, "out of memory");
	int code = draft_sign(draft, &encoded, key, valid_s, &envelope);
	if (code == EXIT_OK)
		code = upload(draft, &encoded, envelope);
	policy_encoded_done(&encoded);
	return code;
}

/* The key in the state folder is named by the control plane's root answer. */
static int load_key(struct draft *draft, struct signing_key *ret)
{
	_cleanup_(answer_done) struct answer answer = {0};
	int code = EXIT_OK;
	if (!option(draft->in, OPT_KEY))
		code = call(draft->in, ROUTE_ADMIN_ROOT, NULL, NULL, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	const struct admin_root *root = answer.message;
	code = signer_load(draft->in, root ? root->state : NULL, ret);
	if (code != EXIT_OK || signer_is_policy_key(&draft->network, ret))
		return code;
	return cli_fail(draft->in, EXIT_FAILED,
			"this key is none of the network's policy keys: give another --key");
}

int command_policy_apply(const struct invocation *in)
{
	_cleanup_(draft_done) struct draft draft = {.in = in};
	_cleanup_(signing_key_wipe) struct signing_key key = {0};
	const char *valid = in->options[OPT_VALID];
	int64_t valid_s = VALID_DEFAULT_S;
	if (valid && (duration_parse(valid, &valid_s) < 0 || valid_s > VALID_MAX_S))
		return cli_fail(in, EXIT_USAGE, "--valid \"%s\" is not a duration of at most 366d",
				valid);
	int code = draft_plan(&draft);
	if (code != EXIT_OK)
		return code;
	if (!option(in, OPT_JSON)) {
		print_plan(&draft);
		fflush(stdout);
	}
	code = tests_code(&draft);
	if (code == EXIT_OK)
		code = load_key(&draft, &key);
	return code == EXIT_OK ? sign_and_upload(&draft, &key, valid_s) : code;
}
