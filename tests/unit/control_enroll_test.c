/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Redemption at the handler: once, by one; retries; refusals; 64 at once for each of 200 tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include "control-plane/store_audit.h"
#include "control-plane/store_identity.h"
#include "tests/unit/control_bed.h"

#define WHERE	   "/dev/shm"
#define TOKENS	   200
#define HOSTS	   64
#define LATER(bed) ((bed)->now + 3600)

static int count_row(const struct identity_row *row, void *data)
{
	++*(size_t *)data;
	return 0;
}

static size_t count_identities(struct bed *bed)
{
	size_t n = 0;

	MUST(store_identity_list(bed->store, true, count_row, &n));
	return n;
}

struct counted {
	const char *action;
	size_t n;
};

static int count_action(const struct audit_entry *entry, const uint8_t hash[32], void *data)
{
	struct counted *counted = data;

	counted->n += strcmp(entry->action, counted->action) == 0;
	return 0;
}

static size_t count_audit(struct bed *bed, const char *action)
{
	struct counted counted = {.action = action};
	int64_t seq;

	MUST(store_audit_list(bed->store, 0, 1000000, count_action, &counted));
	MUST(store_audit_verify(bed->store, &seq));
	return counted.n;
}

static void expect_problem(const char *body, const char *code)
{
	struct problem problem;
	struct err err = {0};

	assert_non_null(body);
	if (problem_decode(body, strlen(body), &problem, &err) < 0)
		fail_msg("not a problem: %s", body);
	assert_string_equal(problem.code, code);
	assert_true(strlen(problem.detail) > 10);
}

/* ---- one at a time ---- */

static void test_answer(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(freep) char *request = NULL;
	_cleanup_(freep) char *body = NULL;
	_cleanup_(enroll_answer_done) struct enroll_answer answer = {0};
	_cleanup_(identity_row_done) struct identity_row row = {0};
	struct bed_token token;
	struct bed_host host;

	bed_add_token(bed, "site-a/web", LATER(bed), &token);
	bed_new_host(bed, &host);
	request = bed_request(bed, &token, &host);
	assert_int_equal(bed_redeem(bed, &token, request, &body), 200);
	MUST(enroll_answer_decode(body, strlen(body), &answer, NULL));
	assert_string_equal(answer.root, bed->root);
	assert_true(prefix_contains(&trust_root(bed->trust)->overlay4, &answer.ipv4));
	MUST(store_identity_get(bed->store, &host.id, &row));
	assert_string_equal(row.name, "site-a/web");
	assert_string_equal(labels_get(&row.labels, "role"), "web");
	assert_true(key_equal(&row.k4, &host.k4));
	assert_true(addr_equal(&row.ipv4, &answer.ipv4));
	assert_int_equal(row.site, 1);
	assert_null(row.lease);
	assert_int_equal(count_audit(bed, "enrolled"), 1);
}

static void test_lost_answer(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(freep) char *request = NULL;
	_cleanup_(freep) char *first = NULL;
	_cleanup_(freep) char *second = NULL;
	_cleanup_(freep) char *third = NULL;
	struct bed_token token;
	struct bed_host host;

	bed_add_token(bed, "site-a/web", LATER(bed), &token);
	bed_new_host(bed, &host);
	request = bed_request(bed, &token, &host);
	assert_int_equal(bed_redeem(bed, &token, request, &first), 200);
	assert_int_equal(bed_redeem(bed, &token, request, &second), 200);
	assert_string_equal(first, second);
	bed_close(bed); /* and after a restart, when the token's time is over */
	bed_open(bed);
	bed->now += 7200;
	assert_int_equal(bed_redeem(bed, &token, request, &third), 200);
	assert_string_equal(first, third);
	assert_int_equal(count_identities(bed), 1);
}

static void test_second_host(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	struct bed_token token;
	struct bed_host hosts[2];

	bed_add_token(bed, "site-a/web", LATER(bed), &token);
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		_cleanup_(freep) char *request = NULL;
		_cleanup_(freep) char *body = NULL;

		bed_new_host(bed, &hosts[i]);
		request = bed_request(bed, &token, &hosts[i]);
		assert_int_equal(bed_redeem(bed, &token, request, &body), i == 0 ? 200 : 409);
		if (i == 1)
			expect_problem(body, "token-used");
	}
	assert_int_equal(count_identities(bed), 1);
	assert_int_equal(count_audit(bed, "token-second-use"), 1);
}

/* Each row: what was done to the token before, and what becomes of the request. */
static void test_refusals(void **state)
{
	static const struct {
		const char *what;
		int64_t not_after; /* from now */
		bool revoke, wrong_token, wrong_address, cut, name_taken;
		unsigned int status;
		const char *code;
		const char *audit; /* NULL: none */
	} cases[] = {
		{"expired", 10, .status = 403, .code = "token-expired", .audit = "token-expired"},
		{"revoked", 3600, .revoke = true, .status = 403, .code = "token-revoked",
		 .audit = "token-refused-revoked"},
		{"signed for another token", 3600, .wrong_token = true, .status = 403,
		 .code = "bad-signature", .audit = "enrol-refused"},
		{"an address without a token", 3600, .wrong_address = true, .status = 404,
		 .code = "token-unknown"},
		{"half a body", 3600, .cut = true, .status = 400, .code = "bad-request"},
		{"name in use", 3600, .name_taken = true, .status = 409, .code = "conflict"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
		_cleanup_(token_row_done) struct token_row row = {0};
		_cleanup_(freep) char *request = NULL;
		_cleanup_(freep) char *body = NULL;
		struct bed_token token, other;
		struct bed_host host, first;

		print_message("# %s\n", cases[i].what);
		bed_add_token(bed, "site-a/web", bed->now + cases[i].not_after, &token);
		bed_add_token(bed, cases[i].name_taken ? "site-a/web" : "site-b/web", LATER(bed),
			      &other);
		if (cases[i].name_taken) {
			_cleanup_(freep) char *taken = NULL;

			bed_new_host(bed, &first);
			taken = bed_request(bed, &other, &first);
			assert_int_equal(bed_redeem(bed, &other, taken, NULL), 200);
		}
		bed_new_host(bed, &host);
		request = bed_request(bed, cases[i].wrong_token ? &other : &token, &host);
		if (cases[i].revoke)
			MUST(store_token_revoke(bed->store, &token.join.public_key, "test",
						bed->now));
		if (cases[i].wrong_address)
			token.address.bytes[15] ^= 1;
		if (cases[i].cut)
			request[strlen(request) / 2] = '\0';
		bed->now += 60;
		assert_int_equal(bed_redeem(bed, &token, request, &body), cases[i].status);
		expect_problem(body, cases[i].code);
		assert_int_equal(count_identities(bed), cases[i].name_taken);
		if (cases[i].audit)
			assert_int_equal(count_audit(bed, cases[i].audit), 1);
		MUST(store_token_by_join_key(bed->store, &token.join.public_key, &row));
		assert_int_equal(row.state, cases[i].revoke ? TOKEN_REVOKED : TOKEN_NEW);
	}
}

/* A host that made its K3 once and got two tokens is still one identity. */
static void test_same_host_twice(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(freep) char *body = NULL;
	struct bed_token tokens[2];
	struct bed_host host;

	bed_new_host(bed, &host);
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		_cleanup_(freep) char *request = NULL;

		bed_add_token(bed, i == 0 ? "site-a/web" : "site-b/web", LATER(bed), &tokens[i]);
		request = bed_request(bed, &tokens[i], &host);
		assert_int_equal(bed_redeem(bed, &tokens[i], request, i == 0 ? NULL : &body),
				 i == 0 ? 200 : 409);
	}
	expect_problem(body, "conflict");
	assert_int_equal(count_identities(bed), 1);
}

static void test_dead_identity(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(freep) char *request = NULL;
	_cleanup_(freep) char *body = NULL;
	struct bed_token token, again;
	struct bed_host host, next;
	uint64_t revision;

	bed_add_token(bed, "site-a/web", LATER(bed), &token);
	bed_new_host(bed, &host);
	request = bed_request(bed, &token, &host);
	assert_int_equal(bed_redeem(bed, &token, request, NULL), 200);
	MUST(store_identity_revoke(bed->store, &host.id, "{}", "test", "test", bed->now,
				   &revision));
	assert_int_equal(bed_redeem(bed, &token, request, &body), 403);
	expect_problem(body, "revoked");
	/* its name is free again, its addresses are not */
	bed_add_token(bed, "site-a/web", LATER(bed), &again);
	bed_new_host(bed, &next);
	free(take_pointer(request));
	request = bed_request(bed, &again, &next);
	assert_int_equal(bed_redeem(bed, &again, request, NULL), 200);
	_cleanup_(identity_row_done) struct identity_row dead = {0};
	_cleanup_(identity_row_done) struct identity_row living = {0};
	MUST(store_identity_get(bed->store, &host.id, &dead));
	MUST(store_identity_get(bed->store, &next.id, &living));
	assert_int_equal(dead.state, IDENTITY_DEAD);
	assert_int_equal(dead.site, 0);
	assert_false(addr_equal(&dead.ipv4, &living.ipv4));
}

/* ---- all at once ---- */

struct race {
	struct bed *bed; /* this thread's own connection */
	pthread_barrier_t *start;
	const struct bed_token *tokens;
	size_t won, refused, other;
};

static void *run_host(void *data)
{
	struct race *race = data;

	for (size_t i = 0; i < TOKENS; i++) {
		_cleanup_(freep) char *request = NULL;
		struct bed_host host;
		unsigned int status;

		bed_new_host(race->bed, &host);
		request = bed_request(race->bed, &race->tokens[i], &host);
		pthread_barrier_wait(race->start);
		status = bed_redeem(race->bed, &race->tokens[i], request, NULL);
		race->won += status == 200;
		race->refused += status == 409;
		race->other += status != 200 && status != 409;
	}
	return NULL;
}

static void test_race(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	static struct bed_token tokens[TOKENS];
	static struct bed beds[HOSTS];
	static struct race races[HOSTS];
	static pthread_t threads[HOSTS];
	pthread_barrier_t start;
	size_t won = 0, refused = 0, other = 0;

	for (size_t i = 0; i < TOKENS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "race/host-%zu", i);
		bed_add_token(bed, name, LATER(bed), &tokens[i]);
	}
	pthread_barrier_init(&start, NULL, HOSTS);
	for (size_t i = 0; i < HOSTS; i++) {
		beds[i] = *bed;
		bed_open(&beds[i]);
		races[i] = (struct race){.bed = &beds[i], .start = &start, .tokens = tokens};
		assert_int_equal(pthread_create(&threads[i], NULL, run_host, &races[i]), 0);
	}
	for (size_t i = 0; i < HOSTS; i++) {
		pthread_join(threads[i], NULL);
		bed_close(&beds[i]);
		won += races[i].won;
		refused += races[i].refused;
		other += races[i].other;
	}
	pthread_barrier_destroy(&start);
	assert_int_equal(other, 0);
	assert_int_equal(won, TOKENS);
	assert_int_equal(refused, TOKENS * (HOSTS - 1));
	assert_int_equal(count_identities(bed), TOKENS);
	assert_int_equal(count_audit(bed, "enrolled"), TOKENS);
	assert_int_equal(count_audit(bed, "token-second-use"), TOKENS * (HOSTS - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_lost_answer),
		cmocka_unit_test(test_second_host),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_same_host_twice),
		cmocka_unit_test(test_dead_identity),
		cmocka_unit_test(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
