// SPDX-License-Identifier: GPL-2.0-or-later
/* What hostile sites and strangers try against the loaded program: replay, eviction, takeover, floods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/relay_message.h"

/* Two data messages merged into one packet: forwarded where both are for one receiver, else dropped. */
static void test_batches(void **unused)
{
	static const struct {
		uint8_t second_type;
		uint32_t second_index;
		int expected;
	} cases[] = {{4, 2000, FORWARD}, {4, 2001, DROP}, {3, 2000, DROP}};
	EACH_FAMILY(v6)
	{
		session(v6, 1000, 2000);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			uint8_t message[192] = {4};
			struct endpoint from = bed_endpoint(v6, 1), hub = bed_endpoint(v6, BED_HUB);
			put_le(message + 4, 2000);
			message[96] = cases[i].second_type;
			put_le(message + 100, cases[i].second_index);
			struct frame frame = frame_make(&from, &hub, message, sizeof(message));
			struct __sk_buff context = {
				.ifindex = bed_interface, .gso_size = 96, .gso_segs = 2};
			LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes,
				    .data_size_in = frame.length, .ctx_in = &context,
				    .ctx_size_in = sizeof(context), .repeat = 1);
			assert_int_equal(bpf_prog_test_run_opts(program, &options), 0);
			assert_int_equal((int)options.retval, cases[i].expected);
		}
	}
}

static void test_response_once(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(response_refused));
		assert_int_equal(response(v6, 2, 2000, 1000), PASS);
		assert_int_equal(initiation(v6, 1, 2, 1000), FORWARD);
		assert_int_equal(response(v6, 3, 3000, 1000), PASS);
		assert_int_equal(response(v6, 2, 2000, 1000), FORWARD);
		assert_int_equal(response(v6, 2, 2000, 1000), DROP);
		assert_int_equal(response(v6, 2, 2001, 1000), DROP);
		assert_int_equal(data(v6, 1, 2001), PASS);
		/* the initiation again: forwarded, the responder's timestamp refuses it; but it revives nothing */
		assert_int_equal(initiation(v6, 1, 2, 1000), FORWARD);
		assert_int_equal(response(v6, 2, 2002, 1000), DROP);
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		assert_int_equal(counted(COUNTER(response_refused)) - before, 3);
	}
}

static void test_no_overwrite(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(index_taken));
		session(v6, 1000, 2000);
		assert_int_equal(initiation(v6, 3, 2, 1000), DROP);
		assert_int_equal(initiation(v6, 2, 3, 555), FORWARD);
		assert_int_equal(response(v6, 3, 1000, 555), DROP); /* (2, 1000) leads to 1 */
		assert_int_equal(data(v6, 2, 1000), FORWARD);
		uint64_t packets, bytes;
		assert_int_equal(relay_pair_traffic(relay, 2, 1, &packets, &bytes), 0);
		assert_int_equal(packets, 2);
		assert_int_equal(counted(COUNTER(index_taken)) - before, 2);
	}
}

static void test_old_sessions(void **unused)
{
	EACH_FAMILY(v6)
	{
		_cleanup_(closep) int sessions = map_open("sessions");
		struct relay_session_key key = {1, 2000};
		struct relay_session entry;
		session(v6, 1000, 2000);
		assert_int_equal(bpf_map_lookup_elem(sessions, &key, &entry), 0);
		uint64_t now = (uint64_t)clock_mono().us * 1000;
		entry.born_ns = now - 190000000000;
		assert_int_equal(bpf_map_update_elem(sessions, &key, &entry, BPF_ANY), 0);
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		entry.born_ns = now - 201000000000;
		assert_int_equal(bpf_map_update_elem(sessions, &key, &entry, BPF_ANY), 0);
		assert_int_equal(data(v6, 1, 2000), PASS);
		/* a response that comes too late */
		assert_int_equal(initiation(v6, 1, 2, 1001), FORWARD);
		key = (struct relay_session_key){2, 1001};
		entry = (struct relay_session){
			.born_ns = now - 31000000000, .to = 1, .state = RELAY_SESSION_PENDING};
		assert_int_equal(bpf_map_update_elem(sessions, &key, &entry, BPF_ANY), 0);
		assert_int_equal(response(v6, 2, 2001, 1001), DROP);
	}
}

/* 50 handshakes of one pair push out their own sessions and nobody else's. */
static void test_quota(void **unused)
{
	EACH_FAMILY(v6)
	{
		session(v6, 1000, 2000);
		for (uint32_t i = 0; i < 50; i++) {
			budgets_refill();
			assert_int_equal(initiation(v6, 3, 2, 5000 + i), FORWARD);
			if (i % 2)
				assert_int_equal(response(v6, 2, 6000 + i, 5000 + i), FORWARD);
		}
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		assert_int_equal(data(v6, 2, 1000), FORWARD);
		unsigned int alive = 0;
		_cleanup_(closep) int sessions = map_open("sessions");
		for (uint32_t i = 0; i < 50; i++) {
			struct relay_session_key there = {3, 6000 + i}, back = {2, 5000 + i};
			struct relay_session entry;
			alive += bpf_map_lookup_elem(sessions, &there, &entry) == 0;
			alive += bpf_map_lookup_elem(sessions, &back, &entry) == 0;
		}
		assert_true(alive <= 2 * RELAY_SESSIONS + RELAY_PENDING);
		assert_int_equal(data(v6, 3, 6049), FORWARD);
		assert_int_equal(data(v6, 3, 6043), FORWARD);
		assert_int_equal(data(v6, 3, 6041), PASS);
	}
}

/*
 * Sites that work together answer handshakes with an index that they know to be taken: what such a response used up is
 * gone, or a pair could leave as many entries as it likes, which nothing takes away, until nobody gets one any more.
 */
static void test_taken_leaves_nothing(void **unused)
{
	EACH_FAMILY(v6)
	{
		_cleanup_(closep) int sessions = map_open("sessions");
		unsigned int alive = 0;
		session(v6, 1000, 2000); /* (2, 1000) leads to 1 */
		for (uint32_t i = 0; i < 20; i++) {
			budgets_refill();
			assert_int_equal(initiation(v6, 2, 3, 5000 + i), FORWARD);
			assert_int_equal(response(v6, 3, 1000, 5000 + i), DROP);
			assert_int_equal(response(v6, 3, 7000, 5000 + i), PASS); /* used up */
		}
		for (uint32_t i = 0; i < 20; i++) {
			struct relay_session_key key = {3, 5000 + i};
			struct relay_session entry;
			alive += bpf_map_lookup_elem(sessions, &key, &entry) == 0;
		}
		assert_int_equal(alive, 0);
		assert_int_equal(data(v6, 2, 1000), FORWARD);
	}
}

/* An index that a pair once used and another pair has now. */
static void test_eviction_spares_others(void **unused)
{
	EACH_FAMILY(v6)
	{
		_cleanup_(closep) int sessions = map_open("sessions");
		struct relay_session_key pending = {2, 5000}, confirmed = {2, 5001},
					 back = {3, 6001};
		struct relay_session of_1 = {.born_ns = (uint64_t)clock_mono().us * 1000, .to = 1};
		assert_int_equal(initiation(v6, 3, 2, 5000), FORWARD);
		assert_int_equal(initiation(v6, 3, 2, 5001), FORWARD);
		assert_int_equal(response(v6, 2, 6001, 5001), FORWARD);
		of_1.state = RELAY_SESSION_PENDING;
		assert_int_equal(bpf_map_update_elem(sessions, &pending, &of_1, BPF_ANY), 0);
		of_1.state = RELAY_SESSION_CONFIRMED;
		assert_int_equal(bpf_map_update_elem(sessions, &confirmed, &of_1, BPF_ANY), 0);
		assert_int_equal(bpf_map_update_elem(sessions, &back, &of_1, BPF_ANY), 0);
		for (uint32_t i = 0; i < 10; i++) {
			budgets_refill();
			assert_int_equal(initiation(v6, 3, 2, 7000 + i), FORWARD);
			assert_int_equal(response(v6, 2, 8000 + i, 7000 + i), FORWARD);
		}
		/* still there; and not left to the next test, as no pair knows of them */
		assert_int_equal(bpf_map_delete_elem(sessions, &pending), 0);
		assert_int_equal(bpf_map_delete_elem(sessions, &confirmed), 0);
		assert_int_equal(bpf_map_delete_elem(sessions, &back), 0);
	}
}

static void test_initiation_budgets(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(budget_refused));
		int forwarded = 0;
		for (uint32_t i = 0; i < 10; i++)
			forwarded += initiation(v6, 1, 2, i) == FORWARD;
		assert_int_equal(forwarded, RELAY_PAIR_BURST);
		assert_int_equal(counted(COUNTER(budget_refused)) - before, 10 - RELAY_PAIR_BURST);
		assert_int_equal(initiation(v6, 3, 2, 100), FORWARD); /* another pair has its own */
		budgets_refill();
		for (uint32_t site = 4; site <= 20; site++) {
			site_up(v6, site);
			assert_int_equal(relay_pair_set(relay, 2, site, BED_ALWAYS), 0);
		}
		forwarded = 0;
		for (uint32_t i = 0; i < 6; i++)
			for (uint32_t site = 4; site <= 20; site++)
				forwarded += initiation(v6, site, 2, 1000 * site + i) == FORWARD;
		/* the loop itself takes some milliseconds; never 15, whatever it takes below a second */
		assert_in_range(forwarded, RELAY_TARGET_BURST, 14);
		assert_int_equal(initiation(v6, 2, 3, 200),
				 FORWARD); /* another target has its own */
	}
}

static void test_mac1_flood(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(budget_refused));
		for (uint32_t site = 4; site <= 20; site++) {
			site_up(v6, site);
			assert_int_equal(relay_pair_set(relay, 1, site, BED_ALWAYS), 0);
		}
		assert_int_equal(initiation(v6, 3, 2, 5000), FORWARD);
		assert_int_equal(response(v6, 2, 6000, 5000), FORWARD);
		uint64_t tests = counted(COUNTER(mac1_tests));
		struct mono start = clock_mono();
		for (int i = 0; i < 1000; i++) {
			assert_int_equal(garbage_initiation(v6, 1), DROP);
			assert_int_equal(data(v6, 3, 6000), FORWARD);
		}
		uint64_t used = counted(COUNTER(mac1_tests)) - tests -
				1000; /* the hub's key is tested always */
		uint64_t ms = (uint64_t)mono_diff_ms(clock_mono(), start) + 1;
		assert_true(used >= RELAY_TESTS_BURST);
		assert_true(used <= RELAY_TESTS_BURST + ms * RELAY_TESTS_RATE / 1000 + 1);
		assert_true(counted(COUNTER(budget_refused)) - before > 0);
		assert_int_equal(initiation(v6, 1, BED_HUB, 1), PASS);
		assert_int_equal(initiation(v6, 3, 2, 2), FORWARD);
	}
}

/* The budget over all senders. */
static void test_all_tests_budget(void **unused)
{
	EACH_FAMILY(v6)
	{
		_cleanup_(closep) int totals = map_open("totals");
		uint32_t zero = 0;
		uint64_t full_ns, later_ns, refused = counted(COUNTER(budget_refused));
		assert_int_equal(initiation(v6, 1, 2, 1), FORWARD);
		assert_int_equal(bpf_map_lookup_elem(totals, &zero, &full_ns), 0);
		assert_int_equal(garbage_initiation(v6, 1), DROP);
		assert_int_equal(bpf_map_lookup_elem(totals, &zero, &later_ns), 0);
		assert_true(later_ns > full_ns);
		full_ns = (uint64_t)clock_mono().us * 1000 + 10000000000;
		assert_int_equal(bpf_map_update_elem(totals, &zero, &full_ns, BPF_ANY), 0);
		assert_int_equal(initiation(v6, 1, 2, 2), DROP);
		assert_int_equal(counted(COUNTER(budget_refused)) - refused, 1);
		full_ns = 0;
		assert_int_equal(bpf_map_update_elem(totals, &zero, &full_ns, BPF_ANY), 0);
		assert_int_equal(initiation(v6, 1, 2, 3), FORWARD);
	}
}

/* The others' session, at any moment of an attack: 1 and 2 lose nothing. */
static void others_go_on(bool v6)
{
	assert_int_equal(data(v6, 1, 2000), FORWARD);
	assert_int_equal(data(v6, 2, 1000), FORWARD);
}

/* Site 3 has one genuine handshake with 2 and goes on with responses to whatever it can think of. */
static void test_response_flood(void **unused)
{
	EACH_FAMILY(v6)
	{
		_cleanup_(closep) int sessions = map_open("sessions");
		session(v6, 1000, 2000);
		for (uint32_t i = 0; i < 1000; i++) { /* idle sessions of others */
			struct relay_session_key key = {.from = 1, .index = 1000000 + i};
			struct relay_session entry = {.born_ns = (uint64_t)clock_mono().us * 1000,
						      .to = 2,
						      .state = RELAY_SESSION_CONFIRMED};
			assert_int_equal(bpf_map_update_elem(sessions, &key, &entry, BPF_ANY), 0);
		}
		assert_int_equal(initiation(v6, 2, 3, 5000), FORWARD);
		assert_int_equal(response(v6, 3, 6000, 5000), FORWARD);
		for (uint32_t i = 0; i < 20000; i++) {
			int verdict = response(v6, 3, 6001 + i, i % 2 ? 5000 : 1000 + i);
			assert_int_not_equal(verdict, FORWARD);
			if (i % 1000 == 0)
				others_go_on(v6);
		}
		for (uint32_t i = 0; i < 1000; i++) {
			struct relay_session_key key = {.from = 1, .index = 1000000 + i};
			assert_int_equal(bpf_map_delete_elem(sessions, &key), 0);
		}
		for (uint32_t i = 0; i < 20000; i++) {
			struct relay_session_key key = {.from = 2, .index = 6001 + i};
			struct relay_session entry;
			assert_int_equal(bpf_map_lookup_elem(sessions, &key, &entry), -ENOENT);
		}
		others_go_on(v6);
		assert_int_equal(data(v6, 2, 6000), FORWARD);
	}
}

/* Every type at every length, from a site and from nobody. */
static void test_garbage_lengths(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(forwarded_packets));
		session(v6, 1000, 2000);
		for (uint8_t type = 0; type <= 5; type++) {
			for (uint32_t length = 0; length <= 1450; length += length < 160 ? 1 : 43) {
				uint8_t message[1500] = {type};
				put_le(message + 4, 4000);
				assert_int_not_equal(send_message(v6, 3, message, length), FORWARD);
				assert_int_not_equal(send_message(v6, 9, message, length), FORWARD);
			}
			others_go_on(v6);
		}
		assert_int_equal(counted(COUNTER(forwarded_packets)) - before, 2 + 6 * 2);
	}
}

/*
 * Everything in the maps is lost, and recordings come from somewhere else before the sites do: they are nobody's until
 * the control plane says otherwise, and it says so of what has shaken hands (hub_watch).
 */
static void test_replay_after_restart(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct key key = bed_key(2), hub = bed_key(BED_HUB);
		struct endpoint attacker = bed_endpoint(v6, 66), to = bed_endpoint(v6, BED_HUB);
		uint8_t for_2[148] = {1}, for_hub[148] = {1};
		mac1(&key, for_2, 116, for_2 + 116);
		mac1(&hub, for_hub, 116, for_hub + 116);
		session(v6, 1000, 2000);
		bed_stop();
		assert_true(bed_start_again());
		fresh(v6);
		for (int i = 0; i < 100; i++) {
			struct frame frame = frame_make(&attacker, &to, for_2, sizeof(for_2));
			assert_int_equal(run(&frame), PASS);
			frame = frame_make(&attacker, &to, for_hub, sizeof(for_hub));
			assert_int_equal(run(&frame), PASS);
		}
		session(v6, 1001, 2001);
		uint8_t message[96] = {4};
		put_le(message + 4, 1001);
		struct endpoint from = bed_endpoint(v6, 2), site1 = bed_endpoint(v6, 1);
		struct frame frame = frame_make(&from, &to, message, sizeof(message));
		assert_int_equal(run(&frame), FORWARD);
		assert_memory_equal(frame.bytes + 14 + (v6 ? 24 : 16), site1.addr.bytes,
				    addr_length(&site1.addr));
	}
}

/* Two sites whose NATs gave them each other's endpoint: nothing goes to the wrong one, and after both forgot it works. */
static void test_endpoint_swap(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct endpoint first = bed_endpoint(v6, 1), third = bed_endpoint(v6, 3);
		session(v6, 1000, 2000);
		assert_int_equal(relay_site_endpoint(relay, 1, &third), -EADDRINUSE);
		assert_int_equal(relay_site_endpoint(relay, 1, NULL), 0);
		assert_int_equal(relay_site_endpoint(relay, 3, NULL), 0);
		assert_int_equal(data(v6, 1, 2000), PASS);
		assert_int_equal(data(v6, 2, 1000), DROP); /* 1 is nowhere */
		assert_int_equal(relay_site_endpoint(relay, 1, &third), 0);
		assert_int_equal(relay_site_endpoint(relay, 3, &first), 0);
		assert_int_equal(data(v6, 3, 2000), FORWARD); /* 1, from where 3 was */
		assert_int_equal(data(v6, 1, 2000), PASS); /* 3, from where 1 was: not its index */
		struct endpoint from = bed_endpoint(v6, 2), hub = bed_endpoint(v6, BED_HUB);
		uint8_t message[96] = {4};
		put_le(message + 4, 1000);
		struct frame frame = frame_make(&from, &hub, message, sizeof(message));
		assert_int_equal(run(&frame), FORWARD);
		assert_memory_equal(frame.bytes + 14 + (v6 ? 24 : 16), third.addr.bytes,
				    addr_length(&third.addr));
	}
}

static void test_recent_candidate_first(void **unused)
{
	EACH_FAMILY(v6)
	{
		for (uint32_t site = 4; site <= 20; site++) {
			site_up(v6, site);
			assert_int_equal(relay_pair_set(relay, 1, site, BED_ALWAYS), 0);
		}
		uint64_t before = counted(COUNTER(mac1_tests));
		assert_int_equal(initiation(v6, 1, 20, 1), FORWARD);
		assert_int_equal(counted(COUNTER(mac1_tests)) - before, 1 + 18);
		before = counted(COUNTER(mac1_tests));
		assert_int_equal(initiation(v6, 1, 20, 2), FORWARD);
		assert_int_equal(counted(COUNTER(mac1_tests)) - before, 1 + 1);
		assert_int_equal(initiation(v6, 1, 19, 3), FORWARD);
		before = counted(COUNTER(mac1_tests));
		assert_int_equal(initiation(v6, 1, 20, 4), FORWARD);
		assert_int_equal(counted(COUNTER(mac1_tests)) - before, 1 + 2);
		before = counted(COUNTER(mac1_tests));
		assert_int_equal(garbage_initiation(v6, 1), DROP);
		assert_int_equal(counted(COUNTER(mac1_tests)) - before,
				 1 + 18); /* nobody is tested twice */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_response_once),
		cmocka_unit_test(test_no_overwrite),
		cmocka_unit_test(test_old_sessions),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_taken_leaves_nothing),
		cmocka_unit_test(test_eviction_spares_others),
		cmocka_unit_test(test_initiation_budgets),
		cmocka_unit_test(test_mac1_flood),
		cmocka_unit_test(test_all_tests_budget),
		cmocka_unit_test(test_response_flood),
		cmocka_unit_test(test_garbage_lengths),
		cmocka_unit_test(test_replay_after_restart),
		cmocka_unit_test(test_endpoint_swap),
		cmocka_unit_test(test_recent_candidate_first),
	};
	bed_hook = HOOK_TC;
	int failed = cmocka_run_group_tests_name("at tc", tests, group_start, group_stop);
	bed_hook = HOOK_XDP;
	return failed + cmocka_run_group_tests_name("at XDP", tests, group_start, group_stop);
}
