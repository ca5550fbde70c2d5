/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a sync answer's bytes to identities: what is left out, what refuses the whole answer, what is pinned. */
#include "tests/unit/trust_world.h"
#include "api/message.h"
#include "daemon/view.h"

struct bed {
	struct world *world;
	struct trust *trust;
	struct seen *seen;
	struct view_context context;
	struct sync_identity peers[4];
	char *tombstones[4];
	struct sync_answer answer; /* borrows from world */
};

static struct sync_identity identity_of(const struct person *p)
{
	return (struct sync_identity){p->text[TOKEN], p->text[IDENTITY], p->text[KEY],
				      p->text[IPV4], p->text[LEASE]};
}

/* a is this host, b its peer. */
static int bed_new(void **ret)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct world *w = world_new();

	bed->world = w;
	bed->trust = world_new_trust(w);
	assert_int_equal(seen_new(&bed->seen), 0);
	bed->context = (struct view_context){bed->trust, bed->seen, &w->a.id, &w->a.k4, NULL};
	bed->peers[0] = identity_of(&w->b);
	bed->tombstones[0] = w->dead_text[0];
	bed->tombstones[1] = w->dead_text[1];
	bed->answer = (struct sync_answer){.boot_id = "0123456789abcdef0123456789abcdef",
					   .revision = 42,
					   .root = w->root_text,
					   .policy = w->policy_text,
					   .leaves = w->encoded.leaves,
					   .n_leaves = w->encoded.n_leaves,
					   .self = identity_of(&w->a),
					   .identities = bed->peers,
					   .n_identities = 1,
					   .tombstones = bed->tombstones,
					   .n_tombstones = 2};
	*ret = bed;
	return 0;
}

static int bed_free(void **data)
{
	struct bed *bed = *data;

	trust_free(bed->trust);
	seen_free(bed->seen);
	world_free(bed->world);
	free(bed);
	return 0;
}

static int take(struct bed *bed, struct view **ret, bool *ret_changed, struct err *err)
{
	_cleanup_(freep) char *text = sync_answer_encode(&bed->answer);

	assert_non_null(text);
	return view_accept(&bed->context, text, strlen(text), NOW, ret, ret_changed, err);
}

static struct view *must_take(struct bed *bed)
{
	struct view *view = NULL;
	struct err err = {0};
	bool changed;

	if (take(bed, &view, &changed, &err) < 0)
		fail_msg("%s", err.text);
	return view;
}

static void must_refuse(struct bed *bed, int code, const char *what)
{
	struct view *view = NULL;
	struct err err = {0};
	bool changed = false;
	int r = take(bed, &view, &changed, &err);

	if (r != code || view || !err.text[0])
		fail_msg("%s: %d %s", what, r, err.text);
}

static void test_good(void **data)
{
	struct bed *bed = *data;
	_cleanup_(view_freep) struct view *view = NULL;
	struct err err = {0};
	bool changed = false;

	assert_int_equal(take(bed, &view, &changed, &err), 0);
	assert_true(changed);
	assert_int_equal(view->revision, 42);
	assert_string_equal(view->self.member.name, "site-a/db");
	assert_int_equal(view->n_peers, 1);
	assert_string_equal(view->peers[0].member.name, "site-b/db");
	assert_int_equal(view->n_refused, 0);
	assert_true(view->self_has_ipv4);
	assert_false(view->self_revoked);
	assert_true(view->newest_signed_at > 0 && view->newest_signed_at <= NOW);
	/* both tombstones are new, one line each */
	assert_non_null(view->new_tombstones);
	assert_ptr_equal(strchr(strchr(view->new_tombstones, '\n') + 1, '\n') + 1,
			 view->new_tombstones + strlen(view->new_tombstones));
	assert_int_equal(seen_count(bed->seen), 2);
}

/* The same again is no news. */
static void test_again(void **data)
{
	struct bed *bed = *data;
	_cleanup_(view_freep) struct view *second = NULL;
	struct err err = {0};
	bool changed = true;

	view_free(must_take(bed));
	assert_int_equal(take(bed, &second, &changed, &err), 0);
	assert_false(changed);
	assert_null(second->new_tombstones);
	assert_int_equal(second->n_peers, 1);
}

static void test_peers_left_out(void **data)
{
	struct bed *bed = *data;
	struct world *w = bed->world;
	_cleanup_(freep) char *forged = NULL;
	_cleanup_(view_freep) struct view *view = NULL;
	const struct signing_key *stranger = &w->stranger;
	char *payload = world_encode(w, KEY, &w->b);

	/* b with a key that a stranger signed, a itself, b twice */
	assert_int_equal(envelope_sign(TYPE_KEY, payload, strlen(payload), &stranger, 1, &forged),
			 0);
	free(payload);
	bed->peers[0].key = forged;
	bed->peers[1] = identity_of(&w->a);
	bed->peers[2] = bed->peers[3] = identity_of(&w->b);
	bed->answer.n_identities = 4;
	view = must_take(bed);
	assert_int_equal(view->n_peers, 1);
	assert_int_equal(view->n_refused, 1);
	assert_true(view->refusal.text[0] != '\0');
}

/* b with another WireGuard key, signed as it must be. */
static char *key_of_b(struct world *w, const struct key *k4)
{
	w->b.key.generation = 2;
	w->b.key.k4 = *k4;
	return world_text(w, KEY, &w->b);
}

/* A peer that names our key, the hub's, or another peer's is left out: it must not hold up what concerns the others. */
static void test_keys_of_others(void **data)
{
	struct bed *bed = *data;
	struct world *w = bed->world;
	const struct key *const taken[] = {&w->a.k4, &w->root.hub_key};

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		_cleanup_(freep) char *key = key_of_b(w, taken[i]);
		_cleanup_(view_freep) struct view *view = NULL;

		bed->peers[0].key = key;
		view = must_take(bed);
		assert_int_equal(view->n_peers, 0);
		assert_int_equal(view->n_refused, 1);
		assert_true(view->refusal.text[0] != '\0');
	}
}

/* Which of two is right cannot be told. */
static void test_two_of_one_key(void **data)
{
	struct verified_identity peers[4] = {
		{.generation = 1}, {.generation = 2}, {.generation = 3}};
	struct view view = {.peers = peers, .n_peers = 3};

	for (size_t i = 0; i < 3; i++)
		peers[i].id.bytes[0] = (uint8_t)(9 - i);
	peers[0].k4.bytes[0] = peers[2].k4.bytes[0] = 7;
	peers[1].k4.bytes[0] = 8;
	view_drop_doubles(&view);
	assert_int_equal(view.n_peers, 1);
	assert_int_equal(view.peers[0].generation, 2);
	assert_int_equal(view.n_refused, 2);
	assert_true(view.refusal.text[0] != '\0');
}

/* No lease: known, but not admitted; the tables of desired decide what that means. */
static void test_lapsed(void **data)
{
	struct bed *bed = *data;
	_cleanup_(view_freep) struct view *view = NULL;

	bed->peers[0].lease = NULL;
	view = must_take(bed);
	assert_int_equal(view->n_peers, 1);
	assert_int_equal(view->peers[0].lease_not_after, 0);
}

static void test_revoked_peer(void **data)
{
	struct bed *bed = *data;
	struct world *w = bed->world;
	_cleanup_(view_freep) struct view *first = must_take(bed), *view = NULL;

	assert_int_equal(first->n_peers, 1);
	bed->tombstones[2] = w->b.text[TOMBSTONE];
	bed->answer.n_tombstones = 3;
	view = must_take(bed);
	assert_int_equal(view->n_peers, 0);
	assert_int_equal(view->n_refused, 0);
	assert_non_null(view->new_tombstones);
	/* what was current before loses him too, without the new answer */
	assert_true(view_drop_revoked(first, bed->trust));
	assert_int_equal(first->n_peers, 0);
	assert_false(view_drop_revoked(first, bed->trust));
}

/* He stays revoked when the control plane forgets it: the floor of the policy held him, and trust remembers. */
static void test_revoked_for_ever(void **data)
{
	struct bed *bed = *data;
	_cleanup_(view_freep) struct view *first = NULL, *view = NULL;

	bed->tombstones[2] = bed->world->b.text[TOMBSTONE];
	bed->answer.n_tombstones = 3;
	first = must_take(bed);
	bed->answer.n_tombstones = 2;
	view = must_take(bed);
	assert_int_equal(view->n_peers, 0);
}

static void test_revoked_self(void **data)
{
	struct bed *bed = *data;
	_cleanup_(view_freep) struct view *view = NULL;

	bed->tombstones[2] = bed->world->a.text[TOMBSTONE];
	bed->answer.n_tombstones = 3;
	view = must_take(bed);
	assert_true(view->self_revoked);
	assert_int_equal(view->n_peers, 0);
}

/* Whatever concerns everybody, or ourselves, refuses the whole answer. */
static void test_refused(void **data)
{
	struct bed *bed = *data;
	struct world *w = bed->world;
	const struct sync_answer good = bed->answer;
	char *no_leaves[] = {NULL};
	char line[4096];

	bed->answer.root = w->policy_text;
	must_refuse(bed, -EINVAL, "another object as root");
	bed->answer = good;
	bed->answer.policy = NULL;
	view_free(must_take(bed)); /* the first answer may come before the first policy */
	bed->answer = good;
	view_free(must_take(bed));
	bed->answer.policy = NULL;
	bed->answer.leaves = no_leaves;
	bed->answer.n_leaves = 0;
	must_refuse(bed, -ESTALE, "no policy after one was in force");
	bed->answer = good;
	bed->answer.self = identity_of(&w->b);
	must_refuse(bed, -EKEYREJECTED, "somebody else as ourselves");
	bed->answer = good;
	bed->context.k4 = &w->b.k4;
	must_refuse(bed, -EKEYREJECTED, "another WireGuard key than ours");
	bed->context.k4 = &w->a.k4;
	bed->tombstones[2] = w->b.text[LEASE];
	bed->answer.n_tombstones = 3;
	must_refuse(bed, -EINVAL, "no tombstone");
	(void)snprintf(line, sizeof(line), "%s\n", w->dead_text[0]);
	bed->tombstones[2] = line;
	must_refuse(bed, -EINVAL, "a line break in a tombstone");
}

/* The floor of the policy: a control plane that withholds a revocation is not believed at all. */
static void test_withheld_tombstone(void **data)
{
	struct bed *bed = *data;

	bed->answer.n_tombstones = 1;
	must_refuse(bed, -EKEYREJECTED, "one tombstone of two");
}

/* It brings the other news all the same; who uses them decides what an answer without a policy is worth. */
static void test_expired_policy(void **data)
{
	struct bed *bed = *data;
	struct world *w = bed->world;
	_cleanup_(view_freep) struct view *view = NULL;

	w->policy.not_after = NOW;
	free(w->policy_text);
	w->policy_text = bed->answer.policy = world_text(w, POLICY, &w->a);
	view = must_take(bed);
	assert_true(view->policy_expired);
	assert_null(trust_policy(bed->trust));
}

/* Every prefix of the bytes, as a torn file would have them. */
static void test_torn(void **data)
{
	struct bed *bed = *data;
	_cleanup_(freep) char *text = sync_answer_encode(&bed->answer);
	size_t length = strlen(text), step = length / 97 + 1;

	for (size_t cut = 0; cut < length; cut += step) {
		struct view *view = NULL;
		struct err err = {0};
		bool changed;
		char *copy = strndup(text, cut);

		if (view_accept(&bed->context, copy, cut, NOW, &view, &changed, &err) >= 0)
			fail_msg("cut at %zu was taken", cut);
		free(copy);
	}
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, bed_new, bed_free)
	const struct CMUnitTest tests[] = {
		TEST(test_good),	   TEST(test_again),	    TEST(test_peers_left_out),
		TEST(test_lapsed),	   TEST(test_revoked_peer), TEST(test_revoked_for_ever),
		TEST(test_revoked_self),   TEST(test_refused),	    TEST(test_withheld_tombstone),
		TEST(test_expired_policy), TEST(test_torn),	    TEST(test_keys_of_others),
		TEST(test_two_of_one_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
