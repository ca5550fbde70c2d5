/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wg_diff(): tables of two devices in a small text form and the changes between them; then random pairs, applied to a
 * model that moves allowed IPs silently, as the kernel does.
 *
 * "p7 k25; A e1 k25 10.0.0.1; B" is port 7, private key 25, peer A with endpoint 1, keepalive 25 and an allowed IP, and
 * peer B with nothing. Changes: "-A" removes, "D" is the device, "+Ae" sets A with its endpoint, "+A" without.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "netlink/wg_device.h"

static int number(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

static void parse_word(struct wg_device *device, struct wg_peer **peer, const char *word)
{
	struct key key = {{(uint8_t)word[0]}};
	struct prefix prefix;

	assert_true(*peer || strchr("pkABCDE", word[0]));
	if (word[0] >= 'A' && word[0] <= 'Z') {
		assert_int_equal(wg_device_add_peer(device, &key, peer), 0);
	} else if (word[0] == 'p') {
		device->listen_port = (uint16_t)number(word + 1);
	} else if (word[0] == 'k' && !*peer) {
		device->private_key.bytes[1] = (uint8_t)number(word + 1);
	} else if (word[0] == 'k') {
		(*peer)->keepalive = (uint16_t)number(word + 1);
	} else if (word[0] == 'e') {
		assert_int_equal(endpoint_parse("192.0.2.1:1", &(*peer)->endpoint), 0);
		(*peer)->endpoint.port = (uint16_t)number(word + 1);
	} else {
		assert_int_equal(prefix_parse(word, &prefix), 0);
		assert_int_equal(wg_peer_add_allowed(*peer, &prefix.addr, prefix.length), 0);
	}
}

static struct wg_device *parse(const char *text)
{
	struct wg_device *device = calloc(1, sizeof(*device));
	struct wg_peer *peer = NULL;
	char copy[256], *rest = copy, *word;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strtok_r(rest, " ;", &rest)))
		parse_word(device, &peer, word);
	return device;
}

static void format(const struct wg_change *changes, size_t n, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		const char *space = i ? " " : "";
		const struct wg_peer *peer = changes[i].peer;

		if (changes[i].kind == WG_CHANGE_DEVICE)
			at += (size_t)snprintf(text + at, size - at, "%sD", space);
		else
			at += (size_t)snprintf(text + at, size - at, "%s%c%c%s", space,
					       changes[i].kind == WG_CHANGE_PEER_REMOVE ? '-' : '+',
					       peer->public_key.bytes[0],
					       changes[i].kind == WG_CHANGE_PEER_SET &&
							       addr_is_set(&peer->endpoint.addr)
						       ? "e"
						       : "");
	}
}

static void test_table(void **state)
{
	static const struct {
		const char *desired, *actual;
		bool want_endpoint;
		const char *changes;
	} cases[] = {
		{"", "", false, ""},
		{"p7 k1", "p7 k1", false, ""},
		{"p7 k1", "p8 k1", false, "D"},
		{"k1", "p8 k1", false, ""}, /* no wish for a port */
		{"k2", "p8 k1", false, "D"},
		{"k2", "p8", false, "D"},
		{"", "p8 k1", false, "D"}, /* the key goes */
		{"A", "", false, "+A"},
		{"A e1", "", false, "+Ae"},
		{"", "A", false, "-A"},
		{"A e1 k25 10.0.0.1", "A e1 k25 10.0.0.1", false, ""},
		{"A 10.0.0.1 fd00::1", "A fd00::1 10.0.0.1", false, ""},
		{"A 10.0.0.1", "A 10.0.0.2", false, "+A"},
		{"A 10.0.0.1", "A 10.0.0.1 10.0.0.2", false, "+A"},
		{"A k25", "A k0", false, "+A"},
		/* endpoints */
		{"A e1", "A", false, "+Ae"},
		{"A e1", "A e2", false, ""},
		{"A e1", "A e2", true, "+Ae"},
		{"A e1", "A e1", true, ""},
		{"A", "A e2", true, ""},
		{"A", "A e2", false, ""},
		{"A e1 k25", "A e2", false, "+A"}, /* other reasons leave a roamed endpoint alone */
		{"A e1 k25", "A e2", true, "+Ae"},
		{"A e1 k25", "A", false, "+Ae"},
		/* order */
		{"p7 k1; B e1; C", "A; B; D", false, "-A -D D +Be +C"},
		/* addresses that move */
		{"A 10.0.0.2; B 10.0.0.1", "A 10.0.0.1; B 10.0.0.2", false, "+A +B"},
		{"A; B 10.0.0.1", "A 10.0.0.1; B", false, "+A +B"},
		{"B 10.0.0.1", "A 10.0.0.1; B", false, "-A +B"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(wg_device_freep) struct wg_device *desired = parse(cases[i].desired);
		_cleanup_(wg_device_freep) struct wg_device *actual = parse(cases[i].actual);
		_cleanup_(freep) struct wg_change *changes = NULL;
		char text[256];
		size_t n;

		print_message("# %s <- %s\n", cases[i].desired, cases[i].actual);
		assert_int_equal(wg_diff(desired, actual, cases[i].want_endpoint, &changes, &n), 0);
		format(changes, n, text, sizeof(text));
		assert_string_equal(text, cases[i].changes);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *desired, *actual;
		int result;
	} cases[] = {
		{"B; A", "", -EINVAL},
		{"A; A", "", -EINVAL},
		{"", "B; A", -EINVAL},
		{"A 10.0.0.1; B 10.0.0.1", "", -EADDRINUSE},
		{"A fd00::1 fd00::1", "", -EADDRINUSE},
		{"A 10.0.0.0/8; B 10.0.0.0/9", "", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(wg_device_freep) struct wg_device *desired = parse(cases[i].desired);
		_cleanup_(wg_device_freep) struct wg_device *actual = parse(cases[i].actual);
		_cleanup_(freep) struct wg_change *changes = NULL;
		size_t n = 99;

		assert_int_equal(wg_diff(desired, actual, false, &changes, &n), cases[i].result);
		assert_true(cases[i].result == 0 || (n == 99 && !changes));
	}
}

/* Keys read back clamped: one that was handed over unclamped is no difference, another one is. */
static void test_clamped_keys(void **state)
{
	struct wg_device desired = {.private_key = {{7}}}, actual = {.private_key = {{0}}};
	_cleanup_(freep) struct wg_change *same = NULL, *other = NULL;
	size_t n;

	desired.private_key.bytes[5] = actual.private_key.bytes[5] = 1;
	desired.private_key.bytes[31] = 0xff;
	actual.private_key.bytes[31] = 0x7f;
	assert_int_equal(wg_diff(&desired, &actual, false, &same, &n), 0);
	assert_int_equal(n, 0);
	actual.private_key.bytes[31] = 0x7e;
	assert_int_equal(wg_diff(&desired, &actual, false, &other, &n), 0);
	assert_int_equal(n, 1);
}

static void test_sort_and_find(void **state)
{
	_cleanup_(wg_device_freep) struct wg_device *device = parse("C; A 10.0.0.2 10.0.0.1; B");
	struct key missing = {{'D'}}, first = {{'A'}};

	wg_device_sort(device);
	assert_null(wg_find_peer(device, &missing));
	assert_ptr_equal(wg_find_peer(device, &first), &device->peers[0]);
	assert_true(prefix_compare(&device->peers[0].allowed[0], &device->peers[0].allowed[1]) < 0);
	wg_device_free(NULL);
}

/* --- random pairs against a model of the kernel --- */

#define PEERS 5
#define ADDRS 6

/* Which addresses a peer has, -1 where there is no such peer. */
struct model {
	int addrs[PEERS]; /* bit set */
};

static uint32_t seed = 12345;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 16) % n;
}

static struct model random_model(void)
{
	struct model model;

	for (int i = 0; i < PEERS; i++)
		model.addrs[i] = random_below(3) ? 0 : -1;
	for (int address = 0; address < ADDRS; address++) {
		uint32_t peer = random_below(PEERS);
		if (model.addrs[peer] >= 0)
			model.addrs[peer] |= 1 << address;
	}
	return model;
}

static struct wg_device *to_device(const struct model *model)
{
	char text[256] = "";

	for (int i = 0; i < PEERS; i++) {
		size_t at = strlen(text);

		if (model->addrs[i] < 0)
			continue;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%c ", 'A' + i);
		for (int address = 0; address < ADDRS; address++)
			if (model->addrs[i] & 1 << address)
				at += (size_t)snprintf(text + at, sizeof(text) - at, "10.0.0.%d ",
						       address);
	}
	return parse(text);
}

static void apply(struct model *model, const struct wg_change *change)
{
	int peer = change->peer->public_key.bytes[0] - 'A';

	model->addrs[peer] = change->kind == WG_CHANGE_PEER_REMOVE ? -1 : 0;
	for (size_t i = 0; change->kind == WG_CHANGE_PEER_SET && i < change->peer->n_allowed; i++) {
		int bit = 1 << change->peer->allowed[i].addr.bytes[3];

		for (int other = 0; other < PEERS; other++)
			if (model->addrs[other] >= 0)
				model->addrs[other] &= ~bit;
		model->addrs[peer] |= bit;
	}
}

static void test_random_pairs(void **state)
{
	for (int round = 0; round < 5000; round++) {
		struct model from = random_model(), to = random_model();
		_cleanup_(wg_device_freep) struct wg_device *desired = to_device(&to);
		_cleanup_(wg_device_freep) struct wg_device *actual = to_device(&from);
		_cleanup_(freep) struct wg_change *changes = NULL;
		bool sets = false;
		size_t n;

		assert_int_equal(wg_diff(desired, actual, false, &changes, &n), 0);
		for (size_t i = 0; i < n; i++) {
			sets = sets || changes[i].kind == WG_CHANGE_PEER_SET;
			assert_false(sets && changes[i].kind == WG_CHANGE_PEER_REMOVE);
			apply(&from, &changes[i]);
		}
		assert_memory_equal(&from, &to, sizeof(to));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_clamped_keys), cmocka_unit_test(test_sort_and_find),
		cmocka_unit_test(test_random_pairs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
