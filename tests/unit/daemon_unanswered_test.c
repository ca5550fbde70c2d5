/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who counts as silent: stories of what WireGuard counts at looks ten seconds apart. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "common/cleanup.h"
#include "daemon/unanswered.h"

#define LOOKS 10

static struct mono at(int64_t seconds)
{
	return (struct mono){(1000 + seconds) * 1000000};
}

static void test_stories(void **state)
{
	static const struct {
		const char *what;
		uint64_t tx[LOOKS], rx[LOOKS];
		const char *taken; /* at each look: '!' taken */
	} stories[] = {
		{"both speak",
		 {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		 {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		 ".........."},
		{"nobody speaks", {0}, {0}, ".........."},
		{"one speaks, the other never answers",
		 {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		 {0},
		 "...!..!..!"},
		{"answers stop",
		 {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		 {1, 2, 3, 3, 3, 3, 3, 3, 3, 3},
		 "......!..!"},
		{"an answer in time",
		 {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		 {1, 1, 1, 2, 2, 2, 3, 3, 3, 4},
		 ".........."},
		{"spoke once, then had nothing to say",
		 {5, 5, 5, 5, 5, 5, 5, 5, 5, 5},
		 {0},
		 ".........."},
		{"a keepalive now and then", {1, 1, 2, 2, 3, 3, 4, 4, 5, 5}, {0}, ".........."},
		{"only hears", {0}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, ".........."},
		{"the counters begin anew, the silence goes on",
		 {7, 8, 9, 1, 2, 3, 4, 5, 6, 7},
		 {9, 9, 9, 0, 0, 0, 0, 0, 0, 0},
		 "....!..!.."},
	};

	for (size_t s = 0; s < ARRAY_SIZE(stories); s++) {
		_cleanup_(unanswered_freep) struct unanswered *unanswered = NULL;
		struct verified_identity peers[] = {{.id.bytes = {7}, .k4.bytes = {1}}};
		struct view view = {.peers = peers, .n_peers = 1};

		assert_int_equal(unanswered_new(&unanswered), 0);
		for (int i = 0; i < LOOKS; i++) {
			struct wg_peer there[] = {{.public_key.bytes = {1},
						   .tx_bytes = stories[s].tx[i],
						   .rx_bytes = stories[s].rx[i]}};
			struct wg_device device = {.peers = there, .n_peers = 1};
			struct id found;
			size_t n;

			assert_int_equal(unanswered_look(unanswered, &view, &device, at(i * 10)),
					 0);
			n = unanswered_take(unanswered, at(i * 10), &found, 1);
			if (n != (stories[s].taken[i] == '!'))
				fail_msg("%s: look %d", stories[s].what, i);
			if (n)
				assert_true(id_equal(&found, &peers[0].id));
		}
	}
}

/* No more than there is room for; the others come next. A peer that is gone is forgotten. */
static void test_several(void **state)
{
	_cleanup_(unanswered_freep) struct unanswered *unanswered = NULL;
	struct verified_identity peers[3] = {{.id.bytes = {1}, .k4.bytes = {1}},
					     {.id.bytes = {2}, .k4.bytes = {2}},
					     {.id.bytes = {3}, .k4.bytes = {3}}};
	struct wg_peer there[3] = {
		{.public_key.bytes = {1}}, {.public_key.bytes = {2}}, {.public_key.bytes = {3}}};
	struct view view = {.peers = peers, .n_peers = 3};
	struct wg_device device = {.peers = there, .n_peers = 3};
	struct id found[3];

	assert_int_equal(unanswered_new(&unanswered), 0);
	for (int i = 0; i < 5; i++) {
		for (int j = 0; j < 3; j++)
			there[j].tx_bytes += 148;
		assert_int_equal(unanswered_look(unanswered, &view, &device, at(i * 10)), 0);
	}
	assert_int_equal(unanswered_take(unanswered, at(40), found, 2), 2);
	assert_int_equal(unanswered_take(unanswered, at(40), found, 2), 1);
	assert_true(id_equal(&found[0], &peers[2].id));
	assert_int_equal(unanswered_take(unanswered, at(40), found, 2), 0);

	assert_true(unanswered_may_renew(unanswered, &peers[1].id, at(40)));
	assert_false(unanswered_may_renew(unanswered, &peers[1].id, at(59)));
	assert_true(unanswered_may_renew(unanswered, &peers[1].id, at(60)));
	view.n_peers = 1;
	assert_int_equal(unanswered_look(unanswered, &view, &device, at(90)), 0);
	assert_false(unanswered_may_renew(unanswered, &peers[1].id, at(90)));
	assert_true(unanswered_may_renew(unanswered, &peers[0].id, at(90)));
}

static size_t compared;
int __real_id_compare(const struct id *a, const struct id *b);
int __wrap_id_compare(const struct id *a, const struct id *b);
int __wrap_id_compare(const struct id *a, const struct id *b)
{
	compared++;
	return __real_id_compare(a, b);
}

/* The agent's loop stands while it looks: as many comparisons as a tree's, for as many peers as there can be. */
static void test_many(void **state)
{
	static struct verified_identity peers[API_IDENTITIES_MAX];
	static struct wg_peer there[API_IDENTITIES_MAX];
	_cleanup_(unanswered_freep) struct unanswered *unanswered = NULL;
	struct view view = {.peers = peers, .n_peers = API_IDENTITIES_MAX};
	struct wg_device device = {.peers = there, .n_peers = API_IDENTITIES_MAX};
	struct id found;

	for (size_t i = 0; i < API_IDENTITIES_MAX; i++) {
		peers[i].id.bytes[0] = there[i].public_key.bytes[0] = (uint8_t)(i >> 8);
		peers[i].id.bytes[1] = there[i].public_key.bytes[1] = (uint8_t)i;
		peers[i].k4 = there[i].public_key;
	}
	assert_int_equal(unanswered_new(&unanswered), 0);
	for (int look = 0; look < 5; look++) {
		there[API_IDENTITIES_MAX - 1].tx_bytes += 148;
		compared = 0;
		assert_int_equal(unanswered_look(unanswered, &view, &device, at(look * 10)), 0);
		assert_true(compared <= API_IDENTITIES_MAX * 16);
	}
	assert_int_equal(unanswered_take(unanswered, at(40), &found, 1), 1);
	assert_true(id_equal(&found, &peers[API_IDENTITIES_MAX - 1].id));
	compared = 0;
	assert_true(unanswered_may_renew(unanswered, &found, at(40)));
	assert_true(compared <= 16 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests_name("daemon unanswered", tests, NULL, NULL);
}
