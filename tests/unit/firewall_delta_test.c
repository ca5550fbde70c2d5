/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The difference of two states, and the rows as they become rules. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "firewall/state.h"

#define NOW_MS 1000000
/* nfproto is 2, nothing else asked, goto deny_in */
#define PLAIN_IPV4_DENIED                                                                          \
	"]\n[meta 1=00000001 2=0000000f][cmp 1=00000001 2=00000000 3=( 1=02)]"                     \
	"[immediate 1=00000000 2=( 2=( 1=fffffffc 2='deny_in'))]\n"

static struct fw_desired example(void)
{
	static struct endpoint hub;
	struct fw_desired desired = {.mode = FW_MODE_ENFORCE,
				     .underlay_locked = true,
				     .ifname = "sortie0",
				     .api_port = 4280,
				     .enroll_port = 4281,
				     .listen_port = 40404,
				     .hubs = &hub,
				     .n_hubs = 1};

	assert_int_equal(endpoint_parse("192.0.2.1:51820", &hub), 0);
	assert_int_equal(prefix_parse("fd12:3456:789a::/48", &desired.overlay6), 0);
	assert_int_equal(prefix_parse("10.77.0.0/16", &desired.overlay4), 0);
	assert_int_equal(addr_parse("fd12:3456:789a::1", &desired.hub6), 0);
	assert_int_equal(addr_parse("10.77.0.1", &desired.hub4), 0);
	return desired;
}

/* ---- elements ---- */

/* One element of set live6 or id6 on each side; 0: not there. */
static const struct {
	const char *name;
	unsigned int kind;
	int64_t actual_expires, desired_expires; /* after NOW_MS; -1: stays */
	uint32_t actual_data, desired_data;
	size_t added, removed, refreshed;
} cases[] = {
	{"same for ever", SET_LIVE, -1, -1, 0, 0, 0, 0, 0},
	{"new", SET_LIVE, 0, 60000, 0, 0, 1, 0, 0},
	{"gone", SET_LIVE, 60000, 0, 0, 0, 0, 1, 0},
	{"expired, not wanted", SET_LIVE, -5000, 0, 0, 0, 0, 0, 0},
	{"expired, wanted again", SET_LIVE, -5000, 60000, 0, 0, 1, 0, 0},
	{"a little later", SET_LIVE, 60000, 61400, 0, 0, 0, 0, 0},
	{"a little sooner", SET_LIVE, 60000, 58600, 0, 0, 0, 0, 0},
	{"later", SET_LIVE, 60000, 62000, 0, 0, 0, 0, 1},
	{"sooner", SET_LIVE, 60000, 58000, 0, 0, 0, 0, 1},
	{"loses its end", SET_LIVE, 60000, -1, 0, 0, 0, 0, 1},
	{"gets an end", SET_LIVE, -1, 60000, 0, 0, 0, 0, 1},
	{"same number", SET_ID, -1, -1, 5, 5, 0, 0, 0},
	{"another number", SET_ID, -1, -1, 5, 6, 1, 1, 0},
};

static void put(struct state *state, unsigned int kind, int64_t expires, uint32_t data)
{
	struct element element = {.set = (uint8_t)SET_FOR(kind, true), .data = data};

	if (!expires)
		return;
	element.key[15] = element.end[15] = 9;
	if (expires != -1) {
		element.timeout_ms = 60000;
		element.expires_ms = NOW_MS + expires;
	}
	assert_int_equal(elements_add(&state->elements, &element), 0);
}

static void test_elements(void **unused)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct state actual = {.exists = true, .complete = true};
		struct state desired = actual;
		struct delta delta = {0};

		print_message("# %s\n", cases[i].name);
		for (size_t c = 0; c < N_CHAINS; c++) {
			actual.chains[c] = strdup("");
			desired.chains[c] = strdup("");
		}
		put(&actual, cases[i].kind, cases[i].actual_expires, cases[i].actual_data);
		put(&desired, cases[i].kind, cases[i].desired_expires, cases[i].desired_data);
		assert_int_equal(delta_of(&actual, &desired, NOW_MS, &delta), 0);
		assert_int_equal(delta.added.n, cases[i].added);
		assert_int_equal(delta.removed.n, cases[i].removed);
		assert_int_equal(delta.refreshed.n, cases[i].refreshed);
		assert_false(delta.create);
		assert_int_equal(delta_plan(&delta).chains_rewritten, 0);
		delta_done(&delta);
		state_done(&actual);
		state_done(&desired);
	}
}

static void test_unchanged_lease_keeps_its_end(void **unused)
{
	struct state actual = {0}, desired = {0};

	put(&actual, SET_LIVE, 60000, 0);
	put(&desired, SET_LIVE, 61000, 0);
	state_keep_ends(&actual, &desired);
	assert_int_equal(desired.elements.items[0].expires_ms, NOW_MS + 60000);
	desired.elements.items[0].expires_ms = NOW_MS + 70000;
	state_keep_ends(&actual, &desired);
	assert_int_equal(desired.elements.items[0].expires_ms, NOW_MS + 70000);
	state_done(&actual);
	state_done(&desired);
}

/* ---- chains ---- */

static void test_create(void **unused)
{
	struct state actual = {0}, desired = {0};
	const struct fw_desired wanted = example();
	struct delta delta = {0};

	assert_int_equal(state_of(&wanted, NOW_MS, &desired), 0);
	assert_int_equal(delta_of(&actual, &desired, NOW_MS, &delta), 0);
	assert_true(delta.create);
	assert_int_equal(delta_plan(&delta).chains_rewritten, N_CHAINS);
	delta_done(&delta);
	state_done(&desired);
}

/* What each change rewrites: no base chain, and not what has nothing to do with it. */
static const struct {
	const char *name;
	enum fw_mode mode;
	bool unlocked, containers;
	const char *join;
	enum chain rewritten, untouched;
} changes[] = {
	{"overlay", FW_MODE_OVERLAY, false, false, "", CHAIN_INPUT, CHAIN_FROM_PEER},
	{"observe", FW_MODE_OBSERVE, false, false, "", CHAIN_DENY_IN, CHAIN_FROM_PEER},
	{"unlocked", FW_MODE_ENFORCE, true, false, "", CHAIN_DENY_UNDERLAY, CHAIN_DENY_IN},
	{"containers", FW_MODE_ENFORCE, false, true, "", CHAIN_FORWARD_OUT, CHAIN_FROM_PEER},
	{"enrolling", FW_MODE_ENFORCE, false, false, "sortie-join", CHAIN_PRE, CHAIN_TO_PEER},
};

static void test_changes(void **unused)
{
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct fw_desired wanted = example();
		struct state before = {0}, after = {0};
		struct delta delta = {0};

		print_message("# %s\n", changes[i].name);
		assert_int_equal(state_of(&wanted, NOW_MS, &before), 0);
		wanted.mode = changes[i].mode;
		wanted.underlay_locked = !changes[i].unlocked;
		wanted.containers = changes[i].containers;
		(void)snprintf(wanted.join_ifname, sizeof(wanted.join_ifname), "%s",
			       changes[i].join);
		assert_int_equal(state_of(&wanted, NOW_MS, &after), 0);
		assert_int_equal(delta_of(&before, &after, NOW_MS, &delta), 0);
		assert_true(delta.rewrite[changes[i].rewritten]);
		assert_false(delta.rewrite[changes[i].untouched]);
		assert_false(delta.create);
		delta_done(&delta);
		state_done(&before);
		state_done(&after);
	}
}

/* A bridge that becomes an uplink: the chains that ask who is a container are written anew, no set is. */
static void test_uplinks(void **unused)
{
	static const char names[FIREWALL_IFNAMES_MAX + 1][IFNAMSIZ] = {"br0", "br1"};
	struct fw_desired wanted = example();
	struct state before = {0}, after = {0};
	struct delta delta = {0};

	assert_int_equal(state_of(&wanted, NOW_MS, &before), 0);
	wanted.uplink_ifnames = names;
	wanted.n_uplink_ifnames = 2;
	assert_int_equal(state_of(&wanted, NOW_MS, &after), 0);
	assert_int_equal(delta_of(&before, &after, NOW_MS, &delta), 0);
	for (size_t c = 0; c < N_CHAINS; c++)
		assert_int_equal(delta.rewrite[c], c == CHAIN_FORWARD_OUT ||
							   c == CHAIN_UNDERLAY_FORWARD ||
							   c == CHAIN_EGRESS_FORWARD);
	assert_int_equal(delta_plan(&delta).elements_added, 0);
	delta_done(&delta);
	state_done(&before);
	state_done(&after);
	wanted.n_uplink_ifnames = FIREWALL_IFNAMES_MAX;
	assert_int_equal(state_of(&wanted, NOW_MS, &after), 0);
	state_done(&after);
	wanted.n_uplink_ifnames = FIREWALL_IFNAMES_MAX + 1;
	assert_int_equal(state_of(&wanted, NOW_MS, &after), -E2BIG);
}

/* Every chain that is jumped to has rules, in every role, mode and with and without IPv4. */
static void check_jumps(const struct state *state)
{
	for (size_t i = 0; i < N_CHAINS; i++) {
		char target[64];

		(void)snprintf(target, sizeof(target), " 2='%s')", chain_names[i]);
		for (size_t c = 0; c < N_CHAINS; c++)
			if (strstr(state->chains[c], target))
				assert_string_not_equal(state->chains[i], "");
	}
}

static void test_jumps(void **unused)
{
	for (int bits = 0; bits < 32; bits++) {
		struct fw_desired wanted = example();
		struct state state = {0};

		wanted.role = bits & 1 ? FW_ROLE_HUB : FW_ROLE_WORKLOAD;
		wanted.mode = bits & 2 ? FW_MODE_OBSERVE : FW_MODE_ENFORCE;
		wanted.containers = bits & 4;
		if (bits & 8)
			wanted.overlay4 = (struct prefix){0};
		if (bits & 8)
			wanted.hub4 = (struct addr){0};
		wanted.underlay_locked = bits & 16;
		assert_int_equal(state_of(&wanted, NOW_MS, &state), 0);
		assert_int_equal(state_texts(&state), 0);
		check_jumps(&state);
		state_done(&state);
	}
}

/* Without an IPv4 overlay every IPv4 packet on the interface is outside of it. */
static void test_no_ipv4(void **unused)
{
	struct fw_desired wanted = example();
	struct state state = {0};

	wanted.overlay4 = (struct prefix){0};
	wanted.hub4 = (struct addr){0};
	assert_int_equal(state_of(&wanted, NOW_MS, &state), 0);
	assert_int_equal(state_texts(&state), 0);
	assert_non_null(strstr(state.chains[CHAIN_FROM_OVERLAY], PLAIN_IPV4_DENIED));
	state_done(&state);
}

/* No rule may pass a packet only because its connection is established, but for the hub's two ports. */
static void test_no_established_shortcut(void **unused)
{
	static const enum chain allowed = CHAIN_TO_HUB;
	struct fw_desired wanted = example();
	struct state state = {0};
	size_t n;

	assert_int_equal(state_of(&wanted, NOW_MS, &state), 0);
	const struct rule_row *rows = layout_workload(&n);
	for (size_t i = 0; i < n; i++)
		for (size_t t = 0; t < ROW_TERMS_MAX; t++)
			if (rows[i].terms[t].kind == TERM_STATE && rows[i].terms[t].arg & 2)
				assert_int_equal(rows[i].chain, allowed);
	state_done(&state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_unchanged_lease_keeps_its_end),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_uplinks),
		cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_no_ipv4),
		cmocka_unit_test(test_no_established_shortcut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
