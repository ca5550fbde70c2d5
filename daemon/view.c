/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Order matters: root (keys), tombstones (the floor that a policy demands), policy (enrollers), then identities. */
#include "daemon/view.h"
#include "api/message.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void view_free(struct view *view)
{
	if (!view)
		return;
	free(view->peers);
	free(view->new_tombstones);
	free(view);
}

bool view_drop_revoked(struct view *view, const struct trust *trust)
{
	size_t kept = 0, before = view->n_peers;

	if (trust_revoked(trust, &view->self.id))
		view->self_revoked = true;
	for (size_t i = 0; i < before; i++)
		if (!view->self_revoked && !trust_revoked(trust, &view->peers[i].id))
			view->peers[kept++] = view->peers[i];
	view->n_peers = kept;
	return kept < before;
}

/* Appends "line\n" to a growing text. */
static int append_line(char **text, const char *line)
{
	size_t before = *text ? strlen(*text) : 0, length = strlen(line);
	char *longer = realloc(*text, before + length + 2);

	if (!longer)
		return -ENOMEM;
	memcpy(longer + before, line, length);
	memcpy(longer + before + length, "\n", 2);
	*text = longer;
	return 0;
}

static int accept_tombstones(struct trust *trust, const struct sync_answer *answer,
			     struct view *view, struct err *err)
{
	for (size_t i = 0; i < answer->n_tombstones; i++) {
		const char *text = answer->tombstones[i];
		size_t before = trust_tombstones(trust);
		int r = strchr(text, '\n') ? err_set(err, "a tombstone with a line break in it")
					   : trust_accept_tombstone(trust, text, strlen(text), err);
		if (r == 0 && trust_tombstones(trust) > before)
			r = append_line(&view->new_tombstones, text);
		if (r < 0)
			return r;
	}
	return 0;
}

static int accept_policy(struct trust *trust, const struct sync_answer *answer, int64_t now,
			 struct view *view, struct err *err)
{
	int r;

	if (!answer->policy)
		return trust_policy(trust)
			       ? err_code(err, -ESTALE,
					  "the control plane offers no policy, but one was "
					  "in force: refused")
			       : 0;
	r = trust_accept_policy(trust, answer->policy, strlen(answer->policy),
				(const char *const *)answer->leaves, answer->n_leaves, now, err);
	if (r == -EKEYEXPIRED) {
		view->policy_expired = true;
		r = 0;
	}
	return r;
}

static void note_signed_at(struct view *view, int64_t at, int64_t now)
{
	/* A statement from the future shows nothing but its signer's clock. */
	if (at > view->newest_signed_at && at <= now + TRUST_CLOCK_SKEW_S)
		view->newest_signed_at = at;
}

static struct identity_bundle bundle_of(const struct sync_identity *identity)
{
	return (struct identity_bundle){.token = identity->token,
					.identity = identity->identity,
					.key = identity->key,
					.ipv4 = identity->ipv4,
					.lease = identity->lease};
}

static int accept_self(const struct view_context *context, const struct sync_answer *answer,
		       int64_t now, struct view *view, bool *ret_seen_changed, struct err *err)
{
	struct identity_bundle bundle = bundle_of(&answer->self);
	int r;

	view->self_has_ipv4 = bundle.ipv4 != NULL;
	if (!bundle.ipv4)
		bundle.ipv4 = context->own_ipv4;
	r = trust_verify_identity(context->trust, &bundle, now, &view->self, err);
	if (r == -EKEYREVOKED && trust_revoked(context->trust, context->self)) {
		view->self_revoked = true;
		view->self.id = *context->self;
		return 0;
	}
	if (r < 0)
		return r;
	if (!id_equal(&view->self.id, context->self))
		return err_code(err, -EKEYREJECTED,
				"the control plane answers for \"%s\", not for us",
				view->self.member.name);
	if (!key_equal(&view->self.k4, context->k4))
		return err_code(err, -EKEYREJECTED,
				"the control plane names another WireGuard key than ours");
	return seen_check(context->seen, &view->self, ret_seen_changed, err);
}

static void refuse_peer(struct view *view, const struct err *err)
{
	if (view->n_refused++ == 0)
		view->refusal = *err;
}

/* A key is shown by no signature of its own, so a peer may have signed for ours. */
static int check_k4(const struct view_context *context, const struct verified_identity *peer,
		    struct err *err)
{
	if (key_equal(&peer->k4, context->k4))
		return err_code(err, -EKEYREJECTED, "\"%s\" claims our own WireGuard key: refused",
				peer->member.name);
	return 0;
}

/* -ENOMEM, or 0: an identity that does not verify is left out. */
static int accept_peer(const struct view_context *context, const struct sync_identity *identity,
		       int64_t now, struct view *view, bool *ret_seen_changed)
{
	struct identity_bundle bundle = bundle_of(identity);
	struct verified_identity *peer = &view->peers[view->n_peers];
	struct err err = {0};
	int r = trust_verify_identity(context->trust, &bundle, now, peer, &err);

	if (r == 0 && id_equal(&peer->id, context->self))
		return 0; /* we are not our own peer */
	if (r == 0)
		r = check_k4(context, peer, &err);
	if (r == 0)
		r = seen_check(context->seen, peer, ret_seen_changed, &err);
	if (r == 0)
		view->n_peers++;
	else if (r != -ENOMEM && r != -EKEYREVOKED)
		refuse_peer(view, &err);
	return r == -ENOMEM ? r : 0;
}

static int compare_peers(const void *a, const void *b)
{
	const struct verified_identity *x = a, *y = b;

	return id_compare(&x->id, &y->id);
}

/* The same identity twice is one peer; which copy does not matter, both verified. */
static void drop_duplicates(struct view *view)
{
	size_t kept = 0;

	qsort(view->peers, view->n_peers, sizeof(*view->peers), compare_peers);
	for (size_t i = 0; i < view->n_peers; i++)
		if (kept == 0 || !id_equal(&view->peers[kept - 1].id, &view->peers[i].id))
			view->peers[kept++] = view->peers[i];
	view->n_peers = kept;
}

static int compare_k4(const void *a, const void *b)
{
	const struct verified_identity *x = a, *y = b;

	return key_compare(&x->k4, &y->k4);
}

void view_drop_doubles(struct view *view)
{
	size_t kept = 0, end;
	struct err err = {0};

	qsort(view->peers, view->n_peers, sizeof(*view->peers), compare_k4);
	for (size_t i = 0; i < view->n_peers; i = end) {
		const struct verified_identity *first = &view->peers[i];

		for (end = i + 1; end < view->n_peers && !compare_k4(first, &view->peers[end]);)
			end++;
		if (end == i + 1) {
			view->peers[kept++] = *first;
			continue;
		}
		(void)err_set(&err, "\"%s\" and \"%s\" claim one WireGuard key: both refused",
			      first->member.name, view->peers[i + 1].member.name);
		for (size_t j = i; j < end; j++)
			refuse_peer(view, &err);
	}
	view->n_peers = kept;
	qsort(view->peers, view->n_peers, sizeof(*view->peers), compare_peers);
}

static int accept_peers(const struct view_context *context, const struct sync_answer *answer,
			int64_t now, struct view *view, bool *ret_seen_changed)
{
	view->peers = calloc(answer->n_identities + 1, sizeof(*view->peers));
	if (!view->peers)
		return -ENOMEM;
	for (size_t i = 0; i < answer->n_identities && !view->self_revoked; i++) {
		int r = accept_peer(context, &answer->identities[i], now, view, ret_seen_changed);
		if (r < 0)
			return r;
	}
	drop_duplicates(view);
	view_drop_doubles(view);
	return 0;
}

static int accept_answer(const struct view_context *context, const struct sync_answer *answer,
			 int64_t now, struct view *view, bool *ret_seen_changed, struct err *err)
{
	const struct policy_statement *policy;
	int r = trust_accept_root(context->trust, answer->root, strlen(answer->root), err);

	if (r == 0)
		r = accept_tombstones(context->trust, answer, view, err);
	if (r == 0)
		r = accept_policy(context->trust, answer, now, view, err);
	if (r == 0)
		r = accept_self(context, answer, now, view, ret_seen_changed, err);
	if (r == 0)
		r = accept_peers(context, answer, now, view, ret_seen_changed);
	if (r < 0)
		return r;
	policy = trust_policy_statement(context->trust);
	if (policy)
		note_signed_at(view, policy->issued_at, now);
	if (view->self.lease_not_after)
		note_signed_at(view, view->self.lease_not_after - LEASE_SECONDS, now);
	return 0;
}

int view_accept(const struct view_context *context, const char *answer, size_t length, int64_t now,
		struct view **ret, bool *ret_seen_changed, struct err *err)
{
	_cleanup_(view_freep) struct view *view = calloc(1, sizeof(*view));
	struct sync_answer decoded = {0};
	bool seen_changed = false;
	int r;

	if (!view)
		return -ENOMEM;
	r = sync_answer_decode(answer, length, &decoded, err);
	if (r < 0)
		return r;
	view->revision = decoded.revision;
	memcpy(view->boot_id, decoded.boot_id, sizeof(view->boot_id));
	/* Nobody signs these: whoever forges one gets a handshake with somebody whom policy lets us speak with anyway. */
	for (size_t i = 0; i < decoded.n_renew; i++)
		view->n_renew += id_parse(decoded.renew[i], &view->renew[view->n_renew]) == 0;
	r = accept_answer(context, &decoded, now, view, &seen_changed, err);
	sync_answer_done(&decoded);
	if (r < 0)
		return r;
	*ret = take_pointer(view);
	*ret_seen_changed = seen_changed;
	return 0;
}
