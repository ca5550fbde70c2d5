/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host remembers of its network: the state folder's files through the same verification as news.
 *
 * News are verified in memory, written, and only then current. Where anything fails on the way, memory is built anew
 * from the disk, so that what the agent acts upon is always what a restart would find.
 */
#include "api/message.h"
#include "common/log.h"
#include "daemon/agent.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void agent_forget_network(struct agent *agent)
{
	trust_free(agent->trust);
	seen_free(agent->seen);
	view_free(agent->view);
	free(agent->own_ipv4);
	signing_key_wipe(&agent->k3);
	key_wipe(&agent->k4);
	agent->trust = NULL;
	agent->seen = NULL;
	agent->view = NULL;
	agent->own_ipv4 = NULL;
	agent->ipv6 = agent->ipv4 = (struct addr){0};
	agent->name[0] = '\0';
	memset(agent->cached_hash, 0, sizeof(agent->cached_hash));
}

static int load_keys(struct agent *agent, struct err *err)
{
	int r = state_load_k3(agent->state, &agent->k3, err);

	if (r == 0)
		r = state_load_k4(agent->state, &agent->k4, err);
	if (r == 0)
		r = key_public_curve25519(&agent->k4, &agent->k4_public);
	if (r < 0)
		return r;
	agent->id = id_of_public_key(agent->k3.public_key.bytes);
	return 0;
}

static int load_pins(struct agent *agent, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	size_t length = 0;
	int r = state_load(agent->state, STATE_PINS, &text, &length, err);

	if (r < 0)
		return r;
	r = token_decode(text, &agent->pins, err);
	if (r < 0)
		return err_code(err, r, "network.pins in the state folder is damaged");
	return identity_address(&agent->pins.network, &agent->pins.overlay6, &agent->k3.public_key,
				&agent->ipv6);
}

/* What we are called: for people only, and only until the first answer; it was verified before it was stored. */
static int load_name(struct agent *agent, const char *token, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	struct token_statement statement;
	int r = envelope_parse(token, strlen(token), TYPE_TOKEN, &envelope, err);

	if (r == 0)
		r = token_statement_decode(envelope->payload, envelope->payload_length, &statement,
					   err);
	if (r == 0)
		memcpy(agent->name, statement.name, sizeof(agent->name));
	return r;
}

static int load_root(struct agent *agent, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	struct enroll_answer answer = {0};
	size_t length = 0;
	int r = state_load(agent->state, STATE_ANSWER, &text, &length, err);

	if (r == 0)
		r = enroll_answer_decode(text, length, &answer, err);
	if (r == 0)
		r = trust_new(&agent->pins.network, &agent->pins.root_fingerprint, &agent->trust);
	if (r == 0)
		r = trust_accept_root(agent->trust, answer.root, strlen(answer.root), err);
	if (r == 0)
		r = load_name(agent, answer.token, err);
	enroll_answer_done(&answer);
	return r;
}

/* Our own statement, whose signature is ours: it says which address we pinned. */
static int load_ipv4(struct agent *agent, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	struct ipv4_statement statement;
	size_t length = 0;
	int r;

	if (!state_has(agent->state, STATE_IPV4))
		return 0;
	r = state_load(agent->state, STATE_IPV4, &agent->own_ipv4, &length, err);
	if (r == 0)
		r = envelope_parse(agent->own_ipv4, length, TYPE_IPV4, &envelope, err);
	if (r == 0 && !envelope_signed_by(envelope, &agent->k3.public_key))
		r = err_code(err, -EKEYREJECTED, "ipv4.json in the state folder is not ours");
	if (r == 0)
		r = ipv4_decode(envelope->payload, envelope->payload_length, &statement, err);
	if (r == 0)
		agent->ipv4 = statement.ipv4;
	return r;
}

static int load_seen(struct agent *agent, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	size_t length = 0;
	int r;

	if (!state_has(agent->state, STATE_SEEN))
		return seen_new(&agent->seen);
	r = state_load(agent->state, STATE_SEEN, &text, &length, err);
	return r < 0 ? r : seen_parse(text, &agent->seen, err);
}

/* Returns how many lines do not verify under the root that trust holds now. */
static size_t accept_tombstone_lines(struct agent *agent, char *text)
{
	size_t refused = 0;

	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		struct err err = {0};
		*end = '\0';
		refused += trust_accept_tombstone(agent->trust, line, strlen(line), &err) < 0;
		*end = '\n';
	}
	return refused;
}

static struct view_context context_of(const struct agent *agent)
{
	return (struct view_context){.trust = agent->trust,
				     .seen = agent->seen,
				     .self = &agent->id,
				     .k4 = &agent->k4_public,
				     .own_ipv4 = agent->own_ipv4};
}

static struct state_floor floor_of(const struct agent *agent, const struct view *view)
{
	const struct policy_statement *policy = trust_policy_statement(agent->trust);

	return (struct state_floor){.root_version = trust_root(agent->trust)->version,
				    .policy_version = policy ? policy->version : 0,
				    .signed_at = view->newest_signed_at};
}

static void hash_of(const char *bytes, size_t length, uint8_t ret[32])
{
	(void)crypto_hash_sha256(ret, (const uint8_t *)bytes, length);
}

static int load_cache(struct agent *agent, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(view_freep) struct view *view = NULL;
	struct view_context context = context_of(agent);
	struct state_floor floor;
	bool seen_changed = false;
	size_t length = 0;
	int r = state_load(agent->state, STATE_SYNC, &text, &length, err);

	if (r == 0)
		r = view_accept(&context, text, length, clock_wall(), &view, &seen_changed, err);
	if (r < 0)
		return r;
	floor = floor_of(agent, view);
	/* An expired policy is not in force, so it is no step back that it is not there. */
	if (view->policy_expired)
		floor.policy_version = agent->floor.policy_version;
	r = state_raise_floor(agent->state, &agent->floor, &floor, err);
	if (r < 0)
		return r;
	hash_of(text, length, agent->cached_hash);
	agent->view = take_pointer(view);
	return 0;
}

static int load_basis(struct agent *agent, struct err *err)
{
	int r = load_keys(agent, err);

	if (r == 0)
		r = load_pins(agent, err);
	if (r == 0)
		r = load_root(agent, err);
	if (r == 0)
		r = load_ipv4(agent, err);
	if (r == 0)
		r = load_seen(agent, err);
	return r;
}

static int load(struct agent *agent, bool with_cache, struct err *err)
{
	_cleanup_(freep) char *tombstones = NULL;
	size_t length = 0, refused = 0;
	int r;

	agent_forget_network(agent);
	r = load_basis(agent, err);
	if (r == 0 && state_has(agent->state, STATE_TOMBSTONES))
		r = state_load(agent->state, STATE_TOMBSTONES, &tombstones, &length, err);
	if (r < 0)
		return r;
	/* Once under the first root, once under the newest: a tombstone outlives the key that signed it. */
	if (tombstones)
		refused = accept_tombstone_lines(agent, tombstones);
	if (with_cache)
		r = load_cache(agent, err);
	if (r == 0 && refused > 0)
		refused = accept_tombstone_lines(agent, tombstones);
	if (r == 0 && refused > 0)
		log_warning("%zu tombstones in the state folder do not verify", refused);
	return r;
}

int agent_load_network(struct agent *agent, struct err *err)
{
	int r;

	if (state_has(agent->state, STATE_SYNC)) {
		r = load(agent, true, err);
		if (r == 0)
			return 0;
		log_warning("the last answer in the state folder is not used: %s", err->text);
	}
	/* Without it nobody is a peer until the control plane has answered. */
	return load(agent, false, err);
}

/* ---- news ---- */

static int save_tombstones(struct agent *agent, const char *news, struct err *err)
{
	_cleanup_(freep) char *before = NULL, *all = NULL;
	size_t length = 0;
	int r = 0;

	if (!news)
		return 0;
	if (state_has(agent->state, STATE_TOMBSTONES))
		r = state_load(agent->state, STATE_TOMBSTONES, &before, &length, err);
	if (r < 0)
		return r;
	all = malloc(length + strlen(news) + 1);
	if (!all)
		return -ENOMEM;
	memcpy(all, before ? before : "", length);
	memcpy(all + length, news, strlen(news) + 1);
	return state_save(agent->state, STATE_TOMBSTONES, all, strlen(all), err);
}

static int save_seen(struct agent *agent, struct err *err)
{
	_cleanup_(freep) char *text = seen_format(agent->seen);

	return text ? state_save(agent->state, STATE_SEEN, text, strlen(text), err) : -ENOMEM;
}

/* The floor comes last: with an answer but an older floor a restart finds both, the other way round it finds neither. */
static int save_news(struct agent *agent, const struct view *view, bool seen_changed,
		     const char *answer, size_t length, struct err *err)
{
	struct state_floor floor = floor_of(agent, view);
	int r = state_check_floor(&agent->floor, &floor, err);

	if (r == 0)
		r = save_tombstones(agent, view->new_tombstones, err);
	if (r == 0 && seen_changed)
		r = save_seen(agent, err);
	if (r == 0)
		r = state_save(agent->state, STATE_SYNC, answer, length, err);
	if (r == 0)
		r = state_raise_floor(agent->state, &agent->floor, &floor, err);
	return r;
}

/*
 * A refused answer must not leave its half-believed parts in memory, so the disk is read again. But a tombstone that
 * verified holds even when it could not be written: taking somebody out needs no memory of why.
 */
static void go_back(struct agent *agent)
{
	struct err err = {0};
	struct trust *ahead = agent->trust;
	bool dropped;

	agent->trust = NULL;
	if (agent_load_network(agent, &err) < 0)
		log_error("read the state folder again: %s", err.text);
	dropped = agent->view && view_drop_revoked(agent->view, ahead);
	trust_free(ahead);
	if (dropped)
		agent_converge_soon(agent);
}

static int verify_and_save(struct agent *agent, const char *answer, size_t length,
			   struct view **ret, struct err *err)
{
	_cleanup_(view_freep) struct view *view = NULL;
	struct view_context context = context_of(agent);
	bool seen_changed = false;
	int r = view_accept(&context, answer, length, clock_wall(), &view, &seen_changed, err);

	if (r == 0 && view->policy_expired)
		r = err_code(
			err, -EKEYEXPIRED,
			"the policy that the control plane offers has expired: sign a new one");
	if (r == 0)
		r = save_news(agent, view, seen_changed, answer, length, err);
	if (r == 0)
		*ret = take_pointer(view);
	return r;
}

int agent_accept(struct agent *agent, const char *answer, size_t length, struct err *err)
{
	struct view *view = NULL;
	uint8_t hash[32];
	int r;

	hash_of(answer, length, hash);
	if (agent->view && memcmp(hash, agent->cached_hash, sizeof(hash)) == 0)
		return 0;
	r = verify_and_save(agent, answer, length, &view, err);
	if (r < 0) {
		go_back(agent);
		return r;
	}
	if (view->n_refused)
		log_warning("%zu peers of the answer do not verify and are left out: %s",
			    view->n_refused, view->refusal.text);
	view_free(agent->view);
	agent->view = view;
	memcpy(agent->cached_hash, hash, sizeof(hash));
	return 0;
}

bool agent_revoked(const struct agent *agent)
{
	return agent->trust && trust_revoked(agent->trust, &agent->id);
}

static int save_tombstone(struct agent *agent, const char *text, size_t length, struct err *err)
{
	_cleanup_(freep) char *line = malloc(length + 2);

	if (!line)
		return -ENOMEM;
	memcpy(line, text, length);
	memcpy(line + length, "\n", 2);
	return save_tombstones(agent, line, err);
}

int agent_accept_tombstone(struct agent *agent, const char *text, size_t length, struct err *err)
{
	struct err unsaved = {0};
	int r;

	if (memchr(text, '\n', length) || memchr(text, '\0', length))
		return err_set(err, "a tombstone with a line break in it");
	if (agent_revoked(agent))
		return 0;
	r = trust_accept_tombstone(agent->trust, text, length, err);
	if (r == 0 && !agent_revoked(agent))
		r = err_code(err, -EKEYREJECTED, "it is about another identity");
	if (r < 0)
		return r;
	if (save_tombstone(agent, text, length, &unsaved) < 0)
		log_warning("our revocation cannot be stored: %s", unsaved.text);
	if (agent->view)
		(void)view_drop_revoked(agent->view, agent->trust);
	return 0;
}
