/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy on the admin socket. A version comes signed by K1 and is verified as agents verify it; its tests run here
 * too, over the identities of this moment, so that a signer with an old inventory cannot break what they assert.
 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "common/log.h"
#include "control-plane/admin.h"
#include "control-plane/trust_load.h"

/* ---- what a signer needs ---- */

static struct admin_member as_admin_member(const struct member *member)
{
	struct admin_member ret = {.id = member->row.id, .labels = member->row.labels};

	snprintf(ret.name, sizeof(ret.name), "%s", member->row.name);
	return ret;
}

void admin_policy_call(struct admin_call *call, struct reply *reply)
{
	const struct control *control = call->control;
	_cleanup_(freep) struct admin_member *members =
		calloc(control->inventory.n + 1, sizeof(*members));
	struct admin_policy answer = {
		.root = control->root,
		.version = control->policy.version,
		.policy = control->policy.envelope,
		.leaves = control->policy.leaves,
		.n_leaves = control->policy.n_leaves,
		.tombstones = control->tombstones,
		.n_tombstones = control->n_tombstones,
		.inventory = members,
		.n_inventory = control->inventory.n,
	};

	for (size_t i = 0; members && i < control->inventory.n; i++)
		members[i] = as_admin_member(control->inventory.members[i]);
	reply_json(reply, members ? admin_policy_encode(&answer) : NULL);
}

/* ---- apply ---- */

struct failures {
	size_t n;
	char first[256];
};

static void on_failure(const struct policy_test *test, const char *sentence, void *data)
{
	struct failures *failures = data;

	if (failures->n++ == 0)
		snprintf(failures->first, sizeof(failures->first), "%s", sentence);
}

static int run_tests(const struct admin_call *call, const struct policy *policy,
		     struct reply *reply)
{
	const struct inventory *inventory = &call->control->inventory;
	_cleanup_(freep) struct policy_member *members = calloc(inventory->n + 1, sizeof(*members));
	const struct policy_inventory view = {.members = members, .n = inventory->n};
	struct failures failures = {0};

	if (!members) {
		reply_json(reply, NULL);
		return -ENOMEM;
	}
	for (size_t i = 0; i < inventory->n; i++)
		members[i] = inventory->members[i]->policy;
	if (policy_run_tests(policy, &view, call->now, on_failure, &failures) == 0)
		return 0;
	reply_problem(reply, "tests-failed",
		      "cannot apply the policy: %zu tests failed; the first: %.160s", failures.n,
		      failures.first);
	return -EINVAL;
}

static bool same_leaves(const struct policy_encoded *encoded,
			const struct admin_policy_apply *message)
{
	if (encoded->n_leaves != message->n_leaves)
		return false;
	for (size_t i = 0; i < encoded->n_leaves; i++)
		if (strcmp(encoded->leaves[i], message->leaves[i]) != 0)
			return false;
	return true;
}

/* `policy show` prints the text for as long as the version lives, so it must say what was signed. */
static int check_text(const struct admin_call *call, const struct admin_policy_apply *message,
		      struct reply *reply)
{
	_cleanup_(policy_freep) struct policy *policy = NULL;
	_cleanup_(policy_encoded_done) struct policy_encoded encoded = {0};
	struct err err = {0};
	int r;

	if (!message->text || !message->text[0])
		return 0;
	r = policy_parse(message->text, strlen(message->text), &policy, &err);
	if (r < 0) {
		reply_problem(reply, "policy-invalid", "line %u, column %u: %.180s", err.line,
			      err.column, err.text);
		return r;
	}
	r = policy_encode(policy, &encoded);
	if (r < 0 || !same_leaves(&encoded, message)) {
		reply_problem(reply, "policy-invalid",
			      "cannot apply the policy: the text does not say what was signed");
		return -EINVAL;
	}
	return run_tests(call, policy, reply);
}

static const char *code_of(int r)
{
	switch (r) {
	case -ESTALE:
		return "stale-version";
	case -EINVAL:
		return "policy-invalid";
	case -EKEYEXPIRED:
		return "expired";
	case -ENOMEM:
		return "internal";
	default:
		return "bad-signature";
	}
}

/* A trust of its own decides; the running one is replaced only after the commit. */
static int verify(const struct admin_call *call, const struct admin_policy_apply *message,
		  struct trust **ret, struct reply *reply)
{
	_cleanup_(trust_freep) struct trust *trust = NULL;
	const struct control *control = call->control;
	struct err err = {0};
	uint64_t version;
	int r = trust_load(control->store, control->root, &control->policy, call->now, &trust,
			   &err);

	if (r == 0)
		r = trust_accept_policy(trust, message->policy, strlen(message->policy),
					(const char *const *)message->leaves, message->n_leaves,
					call->now, &err);
	if (r < 0) {
		reply_problem(reply, code_of(r), "cannot apply the policy: %.200s", err.text);
		return r;
	}
	version = trust_policy_statement(trust)->version;
	if (version != control->policy.version + 1) {
		reply_problem(reply, "stale-version",
			      "cannot apply the policy: it is version %" PRIu64
			      ", the next is %" PRIu64 "; plan and sign again",
			      version, control->policy.version + 1);
		return -ESTALE;
	}
	*ret = take_pointer(trust);
	return 0;
}

static void apply(struct admin_call *call, const struct admin_policy_apply *message,
		  struct reply *reply)
{
	_cleanup_(trust_freep) struct trust *trust = NULL;
	struct control *control = call->control;
	struct admin_policy_applied answer;
	int r;

	if (verify(call, message, &trust, reply) < 0 || check_text(call, message, reply) < 0)
		return;
	answer.version = trust_policy_statement(trust)->version;
	r = store_policy_add(control->store, answer.version, message->policy,
			     (const char *const *)message->leaves, message->n_leaves, message->text,
			     call->actor, call->now, &answer.revision);
	if (r < 0) {
		reply_store_error(reply, r, "store the policy");
		return;
	}
	trust_free(control->trust);
	control->trust = take_pointer(trust);
	log_info("policy version %" PRIu64 " with %zu rules applied by %s", answer.version,
		 message->n_leaves, call->actor);
	control_policy_changed(control, answer.revision);
	reply_json(reply, admin_policy_applied_encode(&answer));
}

void admin_policy_apply_call(struct admin_call *call, struct reply *reply)
{
	_cleanup_(admin_policy_apply_done) struct admin_policy_apply message = {0};
	struct err err = {0};
	size_t length;
	const char *body = http_body(call->request, &length);

	if (admin_policy_apply_decode(body, length, &message, &err) < 0)
		reply_problem(reply, "bad-request", "cannot apply the policy: %.200s", err.text);
	else
		apply(call, &message, reply);
}

/* ---- show and history ---- */

/* What was stored was verified then; here it is only read. */
static int read_statement(const char *text, struct envelope **ret_envelope,
			  struct policy_statement *ret)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	int r = envelope_parse(text, strlen(text), TYPE_POLICY, &envelope, NULL);

	if (r == 0)
		r = policy_statement_decode(envelope->payload, envelope->payload_length, ret, NULL);
	if (r == 0)
		*ret_envelope = take_pointer(envelope);
	return r;
}

void admin_policy_show_call(struct admin_call *call, struct reply *reply)
{
	_cleanup_(policy_row_done) struct policy_row row = {0};
	_cleanup_(policy_statement_done) struct policy_statement statement = {0};
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	char empty[] = "";
	uint64_t version;
	int r = admin_query_number(call->request, "version", 0, &version);

	if (r < 0) {
		reply_problem(reply, "bad-request", "cannot show the policy: version is a number");
		return;
	}
	r = store_policy_get(call->control->store, version, &row);
	if (r == -ENOENT) {
		reply_problem(reply, "not-found",
			      version ? "there is no such policy version"
				      : "there is no policy yet");
		return;
	}
	if (r == 0)
		r = read_statement(row.envelope, &envelope, &statement);
	if (r < 0) {
		reply_store_error(reply, r, "read the policy");
		return;
	}
	struct admin_policy_show answer = {
		.version = row.version,
		.applied_at = row.accepted_at,
		.not_after = statement.not_after,
		.policy = row.envelope,
		.leaves = row.leaves,
		.n_leaves = row.n_leaves,
		.text = row.yaml ? row.yaml : empty,
	};
	reply_json(reply, admin_policy_show_encode(&answer));
}

struct history {
	struct store *store;
	struct admin_policy_version versions[ADMIN_HISTORY_MAX];
	size_t n;
};

static int add_version(const struct policy_row *listed, void *data)
{
	_cleanup_(policy_row_done) struct policy_row row = {0};
	_cleanup_(policy_statement_done) struct policy_statement statement = {0};
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	struct history *history = data;
	struct admin_policy_version *version = &history->versions[history->n++];
	struct key hash;
	int r = store_policy_get(history->store, listed->version, &row);

	if (r == 0)
		r = read_statement(row.envelope, &envelope, &statement);
	if (r < 0)
		return r;
	version->version = row.version;
	version->applied_at = row.accepted_at;
	version->not_after = statement.not_after;
	version->rules = statement.n_rules;
	if (envelope->n_signatures > 0)
		key_format_hex(&envelope->signatures[0].public_key, version->signer);
	crypto_hash_sha256(hash.bytes, (const uint8_t *)row.envelope, strlen(row.envelope));
	key_format_hex(&hash, version->sha256);
	return 0;
}

void admin_policy_history_call(struct admin_call *call, struct reply *reply)
{
	_cleanup_(freep) struct history *history = calloc(1, sizeof(*history));
	int r;

	if (!history) {
		reply_json(reply, NULL);
		return;
	}
	history->store = call->control->store;
	r = store_policy_list(history->store, ADMIN_HISTORY_MAX, add_version, history);
	if (r < 0) {
		reply_store_error(reply, r, "read the policy's history");
		return;
	}
	struct admin_policy_history answer = {.versions = history->versions,
					      .n_versions = history->n};
	reply_json(reply, admin_policy_history_encode(&answer));
}
