// SPDX-License-Identifier: GPL-2.0-or-later
/* What XDP leaves to tc, how hops are learnt, and the second port: there, and back from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/relay_message.h"

static struct frame data_frame(bool v6, uint32_t from, uint32_t receiver)
{
	struct endpoint endpoint = bed_endpoint(v6, from), hub = bed_endpoint(v6, BED_HUB);
	uint8_t message[96] = {4};
	put_le(message + 4, receiver);
	return frame_make(&endpoint, &hub, message, sizeof(message));
}

static int xdp_data(bool v6, uint32_t from, uint32_t receiver)
{
	struct frame frame = data_frame(v6, from, receiver);
	return run_xdp(&frame);
}

/* Whatever passes has counted nothing: tc counts. */
static void test_xdp_leaves_to_tc(void **unused)
{
	EACH_FAMILY(v6)
	{
		session(v6, 1000, 2000);
		struct relay_counters before, after;
		struct key key = bed_key(2);
		uint8_t message[148] = {1};
		assert_int_equal(relay_counters(relay, &before), 0);
		mac1(&key, message, 116, message + 116);
		struct endpoint from = bed_endpoint(v6, 1), hub = bed_endpoint(v6, BED_HUB);
		struct frame frame = frame_make(&from, &hub, message, sizeof(message));
		assert_int_equal(run_xdp(&frame), XDP_PASS);
		message[0] = 2;
		frame = frame_make(&from, &hub, message, 92);
		assert_int_equal(run_xdp(&frame), XDP_PASS);
		message[0] = 3;
		frame = frame_make(&from, &hub, message, 64);
		assert_int_equal(run_xdp(&frame), XDP_PASS);
		assert_int_equal(xdp_data(v6, 1, 77), XDP_PASS);   /* the hub's own session */
		assert_int_equal(xdp_data(v6, 9, 2000), XDP_PASS); /* nobody's endpoint */
		assert_int_equal(relay_counters(relay, &after), 0);
		assert_memory_equal(&before, &after, sizeof(before));
		assert_int_equal(xdp_data(v6, 1, 2000), XDP_TX);
		assert_int_equal(counted(COUNTER(forwarded_packets)) - before.forwarded_packets, 1);
		assert_int_equal(relay_pair_remove(relay, 1, 2), 0);
		assert_int_equal(xdp_data(v6, 1, 2000), XDP_PASS);
		struct frame other = data_frame(v6, 1, 2000);
		other.bytes[5] ^= 4; /* not this interface's address */
		assert_int_equal(run_xdp(&other), XDP_PASS);
	}
}

/* The sum of the pseudo header alone: hardware that XDP never meets was to finish it. */
static void test_xdp_leaves_partial_checksums(void **unused)
{
	EACH_FAMILY(v6)
	{
		session(v6, 1000, 2000);
		struct frame frame = data_frame(v6, 1, 2000);
		uint32_t sum = IPPROTO_UDP + 8 + 96;
		sum = sum_add(sum, frame.bytes + (v6 ? 22 : 26), v6 ? 32 : 8);
		put16(frame.bytes + HEADERS(v6) - 2, sum_fold(sum));
		assert_int_equal(run_xdp(&frame), XDP_PASS);
		put16(frame.bytes + HEADERS(v6) - 2, sum_fold(sum) + 1u);
		assert_int_equal(run_xdp(&frame), XDP_TX);
	}
}

static void path_change(uint32_t site, uint32_t interface, uint64_t older_ns)
{
	_cleanup_(closep) int paths = map_open("paths");
	struct relay_path path;
	assert_int_equal(bpf_map_lookup_elem(paths, &site, &path), 0);
	path.interface = path.hop.interface = interface;
	path.hop.learnt_ns -= older_ns;
	assert_int_equal(bpf_map_update_elem(paths, &site, &path, BPF_ANY), 0);
}

static uint32_t path_interface(uint32_t site)
{
	_cleanup_(closep) int paths = map_open("paths");
	struct relay_path path;
	assert_int_equal(bpf_map_lookup_elem(paths, &site, &path), 0);
	return path.interface;
}

/* A hop counts for one endpoint by one interface, and not for long. */
static void test_hops(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct endpoint moved = bed_endpoint(v6, 12);
		session(v6, 1000, 2000);
		path_change(2, bed_interface, RELAY_HOP_LIFE_NS);
		assert_int_equal(xdp_data(v6, 1, 2000), XDP_PASS);
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		hop_show(v6, 2);
		assert_int_equal(xdp_data(v6, 1, 2000), XDP_TX);
		path_change(2, 1, 0); /* by lo, where no XDP program is */
		assert_int_equal(xdp_data(v6, 1, 2000), XDP_PASS);
		/* and what passes has taught nothing: the packet came by hub0, but tc has not seen it */
		path_change(1, 77, 0);
		assert_int_equal(xdp_data(v6, 1, 2000), XDP_PASS);
		assert_int_equal(path_interface(1), 77);
		path_change(2, bed_interface, 0);
		assert_int_equal(xdp_data(v6, 1, 2000), XDP_TX);
		assert_int_equal(path_interface(1), bed_interface);
		assert_int_equal(relay_site_endpoint(relay, 2, &moved), 0);
		assert_int_equal(xdp_data(v6, 1, 2000), XDP_PASS);
		/* another neighbour */
		struct endpoint hub = bed_endpoint(v6, BED_HUB);
		uint8_t keepalive[32] = {4};
		struct frame frame = frame_make(&hub, &moved, keepalive, sizeof(keepalive));
		memcpy(frame.bytes, "\2\0\0\0\0\7\2\0\0\0\0\1", 12);
		assert_int_equal(run_tc(program_egress, &frame), TC_ACT_UNSPEC);
		frame = data_frame(v6, 1, 2000);
		assert_int_equal(run_xdp(&frame), XDP_TX);
		assert_memory_equal(frame.bytes, "\2\0\0\0\0\7\2\0\0\0\0\1", 12);
		/* who comes from another port of the hub's teaches nothing */
		path_change(2, bed_interface, RELAY_HOP_LIFE_NS);
		hub.port = 53;
		frame = frame_make(&hub, &moved, keepalive, sizeof(keepalive));
		assert_int_equal(run_tc(program_egress, &frame), TC_ACT_UNSPEC);
		assert_int_equal(xdp_data(v6, 1, 2000), XDP_PASS);
	}
}

/* ---- the second port ---- */

static struct endpoint hub_alt(bool v6)
{
	struct endpoint hub = bed_endpoint(v6, BED_HUB);
	hub.port = BED_ALT_PORT;
	return hub;
}

static uint16_t port_at(const struct frame *frame, bool v6, bool destination)
{
	const uint8_t *udp = frame->bytes + HEADERS(v6) - 8;
	return (uint16_t)(udp[destination ? 2 : 0] << 8 | udp[destination ? 3 : 1]);
}

static int alt_sends(bool v6, uint32_t site, const void *message, uint32_t length,
		     struct frame *ret)
{
	struct endpoint from = bed_endpoint(v6, site), to = hub_alt(v6);
	*ret = frame_make(&from, &to, message, length);
	return run(ret);
}

/* The port that the hub's answer to a site leaves from; its checksum is right whichever it is. */
static uint16_t answer_port(bool v6, uint32_t site, uint8_t type, uint32_t receiver)
{
	struct endpoint hub = bed_endpoint(v6, BED_HUB), to = bed_endpoint(v6, site);
	uint8_t message[148] = {type};
	struct frame frame;
	put_le(message + (type == 2 ? 8 : 4), receiver);
	assert_int_equal(hub_sends(&hub, &to, message,
				   type == 1   ? 148
				   : type == 2 ? 92
					       : 96,
				   &frame),
			 TC_ACT_UNSPEC);
	assert_int_equal(udp_sum(frame.bytes, v6), 0xffff);
	return port_at(&frame, v6, false);
}

/* Site 9 is nobody yet: it enrols by the second port. */
static void test_alt_port_reaches_the_hub(void **unused)
{
	static const uint32_t sites[] = {1, 9};
	EACH_FAMILY(v6)
	{
		for (size_t i = 0; i < ARRAY_SIZE(sites); i++) {
			struct key key = bed_key(BED_HUB);
			uint8_t message[148] = {1};
			struct frame frame;
			put_le(message + 4, 700 + sites[i]);
			mac1(&key, message, 116, message + 116);
			assert_int_equal(alt_sends(v6, sites[i], message, sizeof(message), &frame),
					 PASS);
			assert_int_equal(port_at(&frame, v6, true), BED_PORT);
			assert_int_equal(udp_sum(frame.bytes, v6), 0xffff);
			assert_memory_equal(frame.bytes + HEADERS(v6), message, sizeof(message));
			assert_int_equal(answer_port(v6, sites[i], 2, 700 + sites[i]),
					 BED_ALT_PORT);
			assert_int_equal(answer_port(v6, sites[i], 3, 700 + sites[i]),
					 BED_ALT_PORT);
			assert_int_equal(answer_port(v6, sites[i], 4, 700 + sites[i]),
					 BED_ALT_PORT);
			if (sites[i] == 9) /* of a site it is known what it dials */
				assert_int_equal(answer_port(v6, 9, 4, 800), BED_PORT);
			assert_int_equal(answer_port(v6, 3, 4, 700 + sites[i]), BED_PORT);
		}
		/* the hub asks first: 1 dials the second port as far as we know, 3 the first */
		assert_int_equal(answer_port(v6, 1, 1, 5), BED_ALT_PORT);
		assert_int_equal(answer_port(v6, 3, 1, 5), BED_PORT);
		uint8_t message[92] = {2};
		struct frame frame;
		put_le(message + 4, 900);
		put_le(message + 8, 5);
		assert_int_equal(alt_sends(v6, 1, message, sizeof(message), &frame), PASS);
		assert_int_equal(port_at(&frame, v6, true), BED_PORT);
		assert_int_equal(answer_port(v6, 1, 4, 900), BED_ALT_PORT);
	}
}

/* A site that changes port gets another mapping at its NAT too: its handshake comes from an endpoint that is nobody's. */
static void test_alt_port_with_another_mapping(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct endpoint moved = bed_endpoint(v6, 11);
		struct key key = bed_key(BED_HUB);
		uint8_t message[148] = {1};
		struct frame frame;
		session(v6, 1000, 2000);
		mac1(&key, message, 116, message + 116);
		assert_int_equal(alt_sends(v6, 11, message, sizeof(message), &frame), PASS);
		assert_int_equal(relay_site_endpoint(relay, 1, &moved), 0);
		message[0] = 4;
		put_le(message + 4, 77); /* a session with the hub */
		assert_int_equal(alt_sends(v6, 11, message, 96, &frame), PASS);
		frame = data_frame(v6, 2, 1000);
		assert_int_equal(run(&frame), FORWARD);
		assert_int_equal(port_at(&frame, v6, false), BED_ALT_PORT);
		assert_int_equal(port_at(&frame, v6, true), 10011);
		/* now it counts as known: data that nothing confirms does not change it */
		assert_int_equal(data(v6, 11, 77), PASS);
		frame = data_frame(v6, 2, 1000);
		assert_int_equal(run(&frame), FORWARD);
		assert_int_equal(port_at(&frame, v6, false), BED_ALT_PORT);
	}
}

/* A wrong mac1 teaches nothing: the answer, if there were one, would leave from the first port. */
static void test_alt_port_needs_mac1(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint8_t message[148] = {1};
		struct frame frame;
		put_le(message + 4, 600);
		assert_int_equal(alt_sends(v6, 9, message, sizeof(message), &frame), PASS);
		assert_int_equal(answer_port(v6, 9, 2, 600), BED_PORT);
		message[0] = 2;
		assert_int_equal(alt_sends(v6, 9, message, 92, &frame), PASS);
		assert_int_equal(answer_port(v6, 9, 4, 600), BED_PORT);
	}
}

/* Who speaks something else at the second port is left alone, to the last bit. */
static void test_alt_port_may_be_anothers(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(malformed));
		uint8_t message[1200] = {0xc0, 0, 0, 1};
		struct endpoint from = bed_endpoint(v6, 1), to = hub_alt(v6);
		for (uint32_t length = 1; length <= 1200; length += 109) {
			struct frame frame = frame_make(&from, &to, message, length), sent = frame;
			assert_int_equal(run(&frame), PASS);
			assert_memory_equal(frame.bytes, sent.bytes, sent.length);
		}
		assert_int_equal(counted(COUNTER(malformed)), before);
	}
}

/* Sites at different ports: each sees the port that it dials. */
static void test_alt_port_between_sites(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct key key = bed_key(2);
		uint8_t message[148] = {1};
		struct frame frame;
		put_le(message + 4, 1000);
		mac1(&key, message, 116, message + 116);
		assert_int_equal(alt_sends(v6, 1, message, sizeof(message), &frame), FORWARD);
		assert_int_equal(response(v6, 2, 2000, 1000), FORWARD);
		frame = data_frame(v6, 2, 1000);
		assert_int_equal(run(&frame), FORWARD);
		assert_int_equal(port_at(&frame, v6, false), BED_ALT_PORT);
		assert_int_equal(port_at(&frame, v6, true), 10001);
		assert_int_equal(udp_sum(frame.bytes, v6), 0xffff);
		memset(message, 0, sizeof(message));
		message[0] = 4;
		put_le(message + 4, 2000);
		assert_int_equal(alt_sends(v6, 1, message, 96, &frame), FORWARD);
		assert_int_equal(port_at(&frame, v6, false), BED_PORT);
		assert_int_equal(udp_sum(frame.bytes, v6), 0xffff);
	}
}

/* ---- who may say where a site dials ---- */

static void initiation_to(const struct endpoint *hub, bool v6, uint32_t site, uint32_t key_of,
			  uint32_t index)
{
	struct endpoint from = bed_endpoint(v6, site);
	struct key key = bed_key(key_of);
	uint8_t message[148] = {1};
	put_le(message + 4, index);
	mac1(&key, message, 116, message + 116);
	struct frame frame = frame_make(&from, hub, message, sizeof(message));
	(void)run(&frame);
}

/* Where what site 2 sends to site 1 leaves from: the hub's address and port that site 1 sees. */
static void assert_dials(bool v6, const struct endpoint *hub)
{
	struct frame frame = data_frame(v6, 2, 1000);
	assert_int_equal(run(&frame), FORWARD);
	assert_int_equal(port_at(&frame, v6, false), hub->port);
	assert_memory_equal(frame.bytes + 14 + (v6 ? 8 : 12), hub->addr.bytes,
			    addr_length(&hub->addr));
}

/*
 * A forged source and the hub's public key, which every token has, make an initiation that anybody can send. What counts is
 * that the hub's WireGuard answers it, or that a session's index comes.
 */
static void test_forged_initiations_move_nobody(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct endpoint hub = bed_endpoint(v6, BED_HUB), alt = hub_alt(v6), other = hub;
		other.addr.bytes[addr_length(&other.addr) - 1] ^= 0x40;
		const struct endpoint *to[] = {&alt, &other};
		session(v6, 1000, 2000);
		initiation_to(&hub, v6, 1, BED_HUB, 500);
		assert_int_equal(answer_port(v6, 1, 2, 500), BED_PORT);
		assert_dials(v6, &hub);
		for (uint32_t i = 0; i < 100; i++) {
			initiation_to(to[i % 2], v6, 1, BED_HUB, 600 + i);
			assert_dials(v6, &hub);
			initiation_to(to[i % 2], v6, 1, 2, 800 + i);
			assert_dials(v6, &hub);
			assert_int_equal(answer_port(v6, 1, 4, 500), BED_PORT);
		}
		/* who only listens is not moved either, however long it does */
		_cleanup_(closep) int paths = map_open("paths");
		uint32_t site = 1;
		struct relay_path path;
		assert_int_equal(bpf_map_lookup_elem(paths, &site, &path), 0);
		path.confirmed_ns -= 170 * 1000000000ULL;
		assert_int_equal(bpf_map_update_elem(paths, &site, &path, BPF_ANY), 0);
		assert_int_equal(answer_port(v6, 1, 4, 500), BED_PORT);
		assert_int_equal(bpf_map_lookup_elem(paths, &site, &path), 0);
		path.confirmed_ns -= 170 * 1000000000ULL;
		assert_int_equal(bpf_map_update_elem(paths, &site, &path, BPF_ANY), 0);
		initiation_to(&alt, v6, 1, BED_HUB, 700);
		assert_dials(v6, &hub);
	}
}

/* A site that changes port behind the same mapping: the hub answers where it was asked, and others follow. */
static void test_answered_initiations_move(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct endpoint hub = bed_endpoint(v6, BED_HUB), alt = hub_alt(v6);
		session(v6, 1000, 2000);
		initiation_to(&hub, v6, 1, BED_HUB, 500);
		assert_int_equal(answer_port(v6, 1, 2, 500), BED_PORT);
		initiation_to(&alt, v6, 1, BED_HUB, 501);
		assert_int_equal(answer_port(v6, 1, 2, 501), BED_ALT_PORT);
		assert_dials(v6, &alt);
		assert_int_equal(answer_port(v6, 1, 1, 5), BED_ALT_PORT);
		initiation_to(&hub, v6, 1, BED_HUB, 502);
		assert_int_equal(answer_port(v6, 1, 2, 502), BED_PORT);
		assert_dials(v6, &hub);
		/* what a session's index comes with */
		struct frame frame;
		uint8_t message[96] = {4};
		put_le(message + 4, 2000);
		assert_int_equal(alt_sends(v6, 1, message, sizeof(message), &frame), FORWARD);
		assert_dials(v6, &alt);
	}
}

/* A member's own handshake from another's endpoint is answered there. It holds until the hub speaks with whose it is. */
static void test_a_members_forgery_holds_for_one_echo(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct endpoint hub = bed_endpoint(v6, BED_HUB), alt = hub_alt(v6);
		session(v6, 1000, 2000);
		initiation_to(&hub, v6, 1, BED_HUB, 500);
		assert_int_equal(answer_port(v6, 1, 2, 500), BED_PORT);
		initiation_to(&alt, v6, 1, BED_HUB, 666);
		assert_int_equal(answer_port(v6, 1, 2, 666), BED_ALT_PORT);
		assert_dials(v6, &alt);
		assert_int_equal(answer_port(v6, 1, 4, 500), BED_PORT);
		assert_dials(v6, &hub);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xdp_leaves_to_tc),
		cmocka_unit_test(test_xdp_leaves_partial_checksums),
		cmocka_unit_test(test_hops),
		cmocka_unit_test(test_alt_port_reaches_the_hub),
		cmocka_unit_test(test_alt_port_with_another_mapping),
		cmocka_unit_test(test_alt_port_needs_mac1),
		cmocka_unit_test(test_alt_port_may_be_anothers),
		cmocka_unit_test(test_alt_port_between_sites),
		cmocka_unit_test(test_forged_initiations_move_nobody),
		cmocka_unit_test(test_answered_initiations_move),
		cmocka_unit_test(test_a_members_forgery_holds_for_one_echo),
	};
	bed_hook = HOOK_XDP; /* what passes it goes to tc */
	return cmocka_run_group_tests(tests, group_start, group_stop);
}
