/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which new peers get their first handshake anew: those that were sent something and never answered, the hub aside. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "daemon/agent.h"

static struct wg_peer peer(uint8_t key, uint64_t tx, int64_t handshake)
{
	return (struct wg_peer){
		.public_key.bytes = {key}, .tx_bytes = tx, .last_handshake_at = handshake};
}

static void test_unanswered(void **state)
{
	struct wg_peer wanted[] = {peer(1, 0, 0), peer(2, 0, 0), peer(3, 0, 0), peer(4, 0, 0),
				   peer(5, 0, 0)};
	struct wg_peer there[] = {peer(1, 148, 0), peer(2, 148, 0), peer(3, 148, 1700000000),
				  peer(4, 0, 0), peer(9, 148, 0)};
	struct wg_device desired = {.peers = wanted, .n_peers = 5};
	struct wg_device actual = {.peers = there, .n_peers = 5};
	struct key hub = {{1}};
	const struct wg_peer *found[5];

	/* 1 is the hub, 3 has a session, 4 was not spoken to, 5 is not there yet, 9 is nobody we want */
	assert_int_equal(contact_unanswered(&desired, &actual, &hub, found, 5), 1);
	assert_ptr_equal(found[0], &wanted[1]);
	hub.bytes[0] = 2;
	assert_int_equal(contact_unanswered(&desired, &actual, &hub, found, 5), 1);
	assert_ptr_equal(found[0], &wanted[0]);
	hub.bytes[0] = 7;
	assert_int_equal(contact_unanswered(&desired, &actual, &hub, found, 5), 2);
	assert_int_equal(contact_unanswered(&desired, &actual, &hub, found, 1), 1);
	assert_int_equal(contact_unanswered(&desired, &actual, &hub, found, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unanswered),
	};
	return cmocka_run_group_tests_name("daemon contact", tests, NULL, NULL);
}
