/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state folder: keys, floors, pins; torn files, rollback, a second agent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/file.h"
#include "daemon/seen.h"
#include "daemon/state.h"

struct bed {
	char parent[64], path[80];
	struct state *state;
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	return remove(path);
}

static int bed_new(void **ret)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct err err = {0};

	(void)snprintf(bed->parent, sizeof(bed->parent), "/tmp/sortie-state.XXXXXX");
	assert_non_null(mkdtemp(bed->parent));
	(void)snprintf(bed->path, sizeof(bed->path), "%s/state", bed->parent);
	if (state_open(bed->path, &bed->state, &err) < 0)
		fail_msg("%s", err.text);
	*ret = bed;
	return 0;
}

static int bed_free(void **data)
{
	struct bed *bed = *data;

	state_close(bed->state);
	(void)nftw(bed->parent, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(bed);
	return 0;
}

static void put(const struct bed *bed, const char *name, const char *text, mode_t mode)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s", bed->path, name);
	assert_int_equal(file_write(path, text, strlen(text), mode), 0);
}

static void test_second_agent(void **data)
{
	struct bed *bed = *data;
	struct state *second = NULL;
	struct err err = {0};

	assert_int_equal(state_open(bed->path, &second, &err), -EWOULDBLOCK);
	assert_null(second);
	assert_non_null(strstr(err.text, "another sortied"));
}

static void test_open_folder(void **data)
{
	struct bed *bed = *data;
	struct state *other = NULL;
	struct err err = {0};
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/open", bed->parent);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(state_open(path, &other, &err), -EPERM);
	assert_non_null(strstr(err.text, "chmod 700"));
}

static void test_keys(void **data)
{
	struct bed *bed = *data;
	struct signing_key k3, k3_back;
	struct key k4, k4_back;
	struct err err = {0};
	struct stat st;
	char path[160];

	signing_key_generate(&k3);
	key_generate_curve25519(&k4);
	assert_int_equal(state_load_k4(bed->state, &k4_back, &err), -ENOENT);
	assert_int_equal(state_save_k3(bed->state, &k3, &err), 0);
	assert_int_equal(state_save_k4(bed->state, &k4, &err), 0);
	assert_int_equal(state_load_k3(bed->state, &k3_back, &err), 0);
	assert_int_equal(state_load_k4(bed->state, &k4_back, &err), 0);
	assert_memory_equal(&k3, &k3_back, sizeof(k3));
	assert_memory_equal(&k4, &k4_back, sizeof(k4));
	(void)snprintf(path, sizeof(path), "%s/wireguard.key", bed->path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* A key that others can read is no secret any more. */
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(state_load_k4(bed->state, &k4_back, &err), -EPERM);
	assert_non_null(strstr(err.text, "chmod 600"));
}

static void test_torn_k4(void **data)
{
	static const char *const texts[] = {"",
					    "\n",
					    "AAAA",
					    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
					    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n",
					    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n"};
	struct bed *bed = *data;
	struct key k4;
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		put(bed, "wireguard.key", texts[i], 0600);
		if (state_load_k4(bed->state, &k4, &err) != -EINVAL)
			fail_msg("case %zu was read", i);
	}
}

static void test_floor(void **data)
{
	struct bed *bed = *data;
	struct state_floor floor, back;
	struct err err = {0};
	static const struct {
		struct state_floor now;
		int r;
		struct state_floor then;
	} cases[] = {
		{{1, 1, 1000}, 0, {1, 1, 1000}},
		{{1, 2, 900}, 0, {1, 2, 1000}},	       /* time does not go back either */
		{{1, 1, 2000}, -ESTALE, {1, 2, 1000}}, /* rollback of the policy */
		{{0, 9, 2000}, -ESTALE, {1, 2, 1000}}, /* of the root */
		{{1, 2, 2000}, 0, {1, 2, 2000}},
		{{2, 1, 2000}, 0, {2, 1, 2000}}, /* a new root may take a policy's number back */
		{{1, 5, 2000}, -ESTALE, {2, 1, 2000}}, /* and the old root does not return */
	};

	assert_int_equal(state_load_floor(bed->state, &floor, &err), 0);
	assert_int_equal(floor.policy_version, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(state_check_floor(&floor, &cases[i].now, &err), cases[i].r);
		assert_int_equal(state_raise_floor(bed->state, &floor, &cases[i].now, &err),
				 cases[i].r);
		assert_memory_equal(&floor, &cases[i].then, sizeof(floor));
		assert_int_equal(state_load_floor(bed->state, &back, &err), 0);
		assert_memory_equal(&back, &cases[i].then, sizeof(back));
	}
}

static void test_torn_texts(void **data)
{
	static const char *const floors[] = {"", "root", "root 1 policy 2 signed-at 3",
					     "root 1 policy 2 signed-at 3\nmore",
					     "root 1 policy x signed-at 3\n"};
	static const char *const locals[] = {
		"",
		"locked 1",
		"locked 1 mode enforce",
		"locked 1 mode enforce\n\n",
		"locked 1 mode enforce\nheld",
		"locked 1 mode enforce\nheld\nheld\n",
		"locked 1 mode enforce\nconfirm by 9\n",
		"locked 1 mode enforce\nconfirm by 0 since 1 session 2 boot x before -\n",
		"locked 1 mode enforce\nconfirm by 9 since 1 session 2 boot x before -\nheld\n"};
	struct bed *bed = *data;
	struct state_floor floor;
	struct state_local local;
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(floors); i++) {
		put(bed, "floor.txt", floors[i], 0600);
		if (state_load_floor(bed->state, &floor, &err) != -EINVAL)
			fail_msg("floor %zu was read", i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(locals); i++) {
		put(bed, "local.txt", locals[i], 0600);
		if (state_load_local(bed->state, &local, &err) != -EINVAL)
			fail_msg("local %zu was read", i);
	}
}

static void test_local(void **data)
{
	struct bed *bed = *data;
	struct state_local local = {.underlay_locked = true, .mode = "enforce"}, back;
	struct err err = {0};

	assert_int_equal(state_load_local(bed->state, &back, &err), 0);
	assert_false(back.underlay_locked);
	assert_int_equal(state_save_local(bed->state, &local, &err), 0);
	assert_int_equal(state_load_local(bed->state, &back, &err), 0);
	assert_true(back.underlay_locked);
	assert_string_equal(back.mode, "enforce");
	local.mode[0] = '\0';
	assert_int_equal(state_save_local(bed->state, &local, &err), 0);
	assert_int_equal(state_load_local(bed->state, &back, &err), 0);
	assert_string_equal(back.mode, "");
}

static void test_local_confirm(void **data)
{
	struct bed *bed = *data;
	struct state_local back, held = {.mode = "enforce", .held = true};
	struct state_local waits = {
		.underlay_locked = true,
		.mode = "enforce",
		.confirm = {.deadline_us = 99, .at_us = 39, .session = 7, .boot = "boot-1"}};
	struct err err = {0};

	assert_int_equal(state_save_local(bed->state, &waits, &err), 0);
	assert_int_equal(state_load_local(bed->state, &back, &err), 0);
	assert_memory_equal(&back, &waits, sizeof(back));
	(void)snprintf(waits.confirm.mode_before, sizeof(waits.confirm.mode_before), "overlay");
	assert_int_equal(state_save_local(bed->state, &waits, &err), 0);
	assert_int_equal(state_load_local(bed->state, &back, &err), 0);
	assert_string_equal(back.confirm.mode_before, "overlay");
	assert_int_equal(state_save_local(bed->state, &held, &err), 0);
	assert_int_equal(state_load_local(bed->state, &back, &err), 0);
	assert_memory_equal(&back, &held, sizeof(back));
}

static void test_clear(void **data)
{
	struct bed *bed = *data;
	struct err err = {0};

	for (int file = 0; file < STATE_FILES; file++)
		assert_int_equal(state_save(bed->state, (enum state_file)file, "x", 1, &err), 0);
	assert_true(state_has(bed->state, STATE_TOKEN));
	assert_int_equal(state_clear(bed->state, &err), 0);
	for (int file = 0; file < STATE_FILES; file++)
		assert_false(state_has(bed->state, (enum state_file)file));
	assert_int_equal(state_clear(bed->state, &err), 0);
}

/* ---- what was seen ---- */

static struct verified_identity person(uint8_t join, uint8_t id, uint64_t generation, uint8_t ipv4)
{
	struct verified_identity v = {.generation = generation};

	memset(v.join_key.bytes, join, sizeof(v.join_key.bytes));
	memset(v.id.bytes, id, sizeof(v.id.bytes));
	(void)snprintf(v.member.name, sizeof(v.member.name), "site/p%u", id);
	if (ipv4)
		v.ipv4 = addr_from_bytes(AF_INET, (uint8_t[]){10, 77, 0, ipv4});
	return v;
}

static void test_seen(void **data)
{
	static const struct {
		uint8_t join, id;
		uint64_t generation;
		uint8_t ipv4;
		int r;
		bool news;
	} cases[] = {
		{5, 50, 1, 1, 0, true},
		{5, 50, 1, 1, 0, false},
		{5, 51, 1, 0, -EKEYREJECTED, false}, /* a second K3 under one join key */
		{5, 50, 2, 1, 0, true},
		{5, 50, 1, 1, -ESTALE, false},
		{5, 50, 2, 9, -EKEYREJECTED, false}, /* another address */
		{5, 50, 2, 0, 0, false},	     /* none this time */
		{3, 30, 1, 1, -EKEYREJECTED, false}, /* somebody else's address */
		{3, 30, 1, 0, 0, true},
		{3, 30, 1, 1, -EKEYREJECTED, false},
		{3, 30, 1, 2, 0, true},
		{9, 90, 7, 3, 0, true},
	};
	_cleanup_(seen_freep) struct seen *seen = NULL, *back = NULL;
	_cleanup_(freep) char *text = NULL, *again = NULL;
	struct err err = {0};

	assert_int_equal(seen_new(&seen), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct verified_identity v =
			person(cases[i].join, cases[i].id, cases[i].generation, cases[i].ipv4);
		bool news = false;
		int r = seen_check(seen, &v, &news, &err);
		if (r != cases[i].r || news != cases[i].news)
			fail_msg("case %zu: %d, %d", i, r, news);
	}
	assert_int_equal(seen_count(seen), 3);
	text = seen_format(seen);
	assert_int_equal(seen_parse(text, &back, &err), 0);
	again = seen_format(back);
	assert_string_equal(text, again);
	/* Cut anywhere it is damaged, never shorter. */
	for (size_t cut = 0; cut < strlen(text); cut++) {
		struct seen *torn = NULL;
		char *copy = strndup(text, cut);
		if (seen_parse(copy, &torn, &err) != -EINVAL)
			fail_msg("cut at %zu was read", cut);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_second_agent, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_open_folder, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_keys, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_torn_k4, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_floor, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_torn_texts, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_local, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_local_confirm, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_clear, bed_new, bed_free),
		cmocka_unit_test(test_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
