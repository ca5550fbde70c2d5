/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The agent is told by itself that it was revoked: what it believes, and what it keeps. */
#include "tests/unit/trust_world.h"
#include "common/file.h"
#include "daemon/agent.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct bed {
	struct world *world;
	struct agent *agent; /* a of the world */
	char dir[32], path[64];
};

static int bed_new(void **ret)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct err err = {0};

	bed->world = world_new();
	bed->agent = calloc(1, sizeof(*bed->agent));
	(void)snprintf(bed->dir, sizeof(bed->dir), "/tmp/sortie-told-XXXXXX");
	assert_non_null(mkdtemp(bed->dir));
	(void)snprintf(bed->path, sizeof(bed->path), "%s/tombstones.jsonl", bed->dir);
	if (state_open(bed->dir, &bed->agent->state, &err) < 0)
		fail_msg("%s", err.text);
	bed->agent->trust = world_new_trust(bed->world);
	if (trust_accept_root(bed->agent->trust, bed->world->root_text,
			      strlen(bed->world->root_text), &err) < 0)
		fail_msg("%s", err.text);
	bed->agent->id = bed->world->a.id;
	*ret = bed;
	return 0;
}

static int bed_free(void **data)
{
	struct bed *bed = *data;
	char lock[64];

	(void)snprintf(lock, sizeof(lock), "%s/lock", bed->dir);
	state_close(bed->agent->state);
	(void)unlink(bed->path);
	(void)unlink(lock);
	(void)rmdir(bed->dir);
	trust_free(bed->agent->trust);
	world_free(bed->world);
	free(bed->agent);
	free(bed);
	return 0;
}

static void must_refuse(struct bed *bed, const char *text, size_t length, int code)
{
	struct err err = {0};

	assert_int_equal(agent_accept_tombstone(bed->agent, text, length, &err), code);
	assert_true(err.text[0] != '\0');
	assert_false(agent_revoked(bed->agent));
	assert_int_equal(access(bed->path, F_OK), -1);
}

static void test_refused(void **data)
{
	struct bed *bed = *data;
	const struct person *a = &bed->world->a;
	const struct signing_key *stranger = &bed->world->stranger;
	_cleanup_(freep) char *payload = world_encode(bed->world, TOMBSTONE, a), *forged = NULL;
	const char *own = a->text[TOMBSTONE], *others = bed->world->b.text[TOMBSTONE];
	char line[4096];

	assert_int_equal(
		envelope_sign(TYPE_TOMBSTONE, payload, strlen(payload), &stranger, 1, &forged), 0);
	must_refuse(bed, forged, strlen(forged), -EKEYREJECTED);
	must_refuse(bed, a->text[LEASE], strlen(a->text[LEASE]), -EINVAL);
	must_refuse(bed, others, strlen(others), -EKEYREJECTED);
	must_refuse(bed, own, strlen(own) / 2, -EINVAL);
	must_refuse(bed, "", 0, -EINVAL);
	(void)snprintf(line, sizeof(line), "%s\n", own);
	must_refuse(bed, line, strlen(line), -EINVAL);
	must_refuse(bed, own, strlen(own) + 1, -EINVAL);
}

static void test_told(void **data)
{
	struct bed *bed = *data;
	const char *own = bed->world->a.text[TOMBSTONE];
	_cleanup_(freep) char *kept = NULL;
	struct err err = {0};
	size_t length;

	for (int i = 0; i < 2; i++) /* the second time is no news */
		assert_int_equal(agent_accept_tombstone(bed->agent, own, strlen(own), &err), 0);
	assert_true(agent_revoked(bed->agent));
	assert_int_equal(file_read(bed->path, 65536, &kept, &length), 0);
	assert_int_equal(length, strlen(own) + 1);
	assert_memory_equal(kept, own, strlen(own));
	assert_int_equal(kept[length - 1], '\n');
}

/* Peers go also where the disk does not take it. */
static void test_not_stored(void **data)
{
	struct bed *bed = *data;
	const char *own = bed->world->a.text[TOMBSTONE];
	struct verified_identity peers[1] = {{.id = bed->world->b.id}};
	struct view view = {.self = {.id = bed->world->a.id}, .peers = peers, .n_peers = 1};
	struct err err = {0};

	bed->agent->view = &view;
	assert_int_equal(mkdir(bed->path, 0700), 0);
	assert_int_equal(agent_accept_tombstone(bed->agent, own, strlen(own), &err), 0);
	assert_int_equal(rmdir(bed->path), 0);
	assert_true(agent_revoked(bed->agent));
	assert_true(view.self_revoked);
	assert_int_equal(view.n_peers, 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, bed_new, bed_free)
	const struct CMUnitTest tests[] = {
		TEST(test_refused),
		TEST(test_told),
		TEST(test_not_stored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
