/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests against stored answers: libmnl's send and receive are replaced, so that the kernel can be made to lose,
 * cut, interrupt and refuse. WireGuard's dump is used as the customer, for the retry of an interrupted one.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "netlink/answer.h"
#include "netlink/wg_kernel.h"
#include "tests/unit/netlink_bytes.h"

/* What the replaced receive answers: a datagram, or an errno. */
struct step {
	void (*fill)(struct bytes *bytes, uint32_t sequence);
	int error;
};

static const struct step *script;
static size_t script_at, script_length, requests;
static uint32_t sequence;

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size);

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len)
{
	sequence = ((const struct nlmsghdr *)buf)->nlmsg_seq;
	requests++;
	return (ssize_t)len;
}

ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t size)
{
	static struct bytes bytes;
	const struct step *step;

	assert_true(script_at < script_length); /* reading on behind the end would wait */
	step = &script[script_at++];
	if (step->error) {
		errno = step->error;
		return -1;
	}
	assert_non_null(step->fill);
	bytes.length = 0;
	step->fill(&bytes, sequence);
	assert_true(bytes.length <= size);
	memcpy(buf, bytes.data, bytes.length);
	return (ssize_t)bytes.length;
}

static void one(struct bytes *b, uint32_t s)
{
	begin_message(b, 100, NLM_F_MULTI, s);
	end_message(b);
}

static void one_interrupted(struct bytes *b, uint32_t s)
{
	begin_message(b, 100, NLM_F_MULTI | NLM_F_DUMP_INTR, s);
	end_message(b);
}

static void stale(struct bytes *b, uint32_t s)
{
	one(b, s - 1);
	put_done(b, s - 1, 0);
}

static void done(struct bytes *b, uint32_t s)
{
	put_done(b, s, 0);
}

static void done_interrupted(struct bytes *b, uint32_t s)
{
	put_done(b, s, 0);
	((struct nlmsghdr *)b->data)->nlmsg_flags |= NLM_F_DUMP_INTR;
}

static void done_failed(struct bytes *b, uint32_t s)
{
	put_done(b, s, -EMSGSIZE);
}

static void ack(struct bytes *b, uint32_t s)
{
	put_error(b, s, 0, NULL);
}

static void refused(struct bytes *b, uint32_t s)
{
	put_error(b, s, -EADDRINUSE, "port \x1b[31mtaken");
}

static void refused_plain(struct bytes *b, uint32_t s)
{
	put_error(b, s, -EPERM, NULL);
}

static void positive_error(struct bytes *b, uint32_t s)
{
	put_error(b, s, 17, NULL);
}

static void cut_header(struct bytes *b, uint32_t s)
{
	one(b, s);
	b->length -= 8;
}

static void cut_error(struct bytes *b, uint32_t s)
{
	begin_message(b, NLMSG_ERROR, 0, s);
	put(b, "\0\0\0", 4);
	end_message(b);
}

static void long_message(struct bytes *b, uint32_t s)
{
	one(b, s);
	((struct nlmsghdr *)b->data)->nlmsg_len = 4000;
}

static int count(const struct nlmsghdr *message, void *data)
{
	(*(int *)data)++;
	return 0;
}

static int stop(const struct nlmsghdr *message, void *data)
{
	(*(int *)data)++;
	return -ECANCELED;
}

static struct nlmsghdr *request(void *buffer, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	message->nlmsg_type = 20;
	message->nlmsg_flags = flags;
	return message;
}

static void play(const struct step *steps, size_t n)
{
	script = steps;
	script_length = n;
	script_at = requests = 0;
}

static void test_requests(void **state)
{
	static const struct {
		const char *name;
		uint16_t flags;
		struct step steps[4];
		int result, messages;
		const char *error;
	} cases[] = {
		{"ack", NLM_F_ACK, {{.fill = ack}}, 0, 0, ""},
		{"refused, escape sequences replaced",
		 NLM_F_ACK,
		 {{.fill = refused}},
		 -EADDRINUSE,
		 0,
		 "port ?[31mtaken"},
		{"refused without words", NLM_F_ACK, {{.fill = refused_plain}}, -EPERM, 0, ""},
		{"an error that is none", NLM_F_ACK, {{.fill = positive_error}}, -EBADMSG, 0, ""},
		{"cut error", NLM_F_ACK, {{.fill = cut_error}}, -EBADMSG, 0, ""},
		{"dump", NLM_F_DUMP, {{.fill = one}, {.fill = one}, {.fill = done}}, 0, 2, ""},
		{"dump that fails at its end",
		 NLM_F_DUMP,
		 {{.fill = one}, {.fill = done_failed}},
		 -EMSGSIZE,
		 1,
		 ""},
		{"answers of an earlier request",
		 NLM_F_DUMP,
		 {{.fill = stale}, {.fill = one}, {.fill = done}},
		 0,
		 1,
		 ""},
		{"interrupted",
		 NLM_F_DUMP,
		 {{.fill = one}, {.fill = one_interrupted}, {.fill = one}, {.fill = done}},
		 -EINTR,
		 1,
		 ""},
		{"interrupted at the end",
		 NLM_F_DUMP,
		 {{.fill = one}, {.fill = done_interrupted}},
		 -EINTR,
		 1,
		 ""},
		{"message cut",
		 NLM_F_DUMP,
		 {{.fill = cut_header}, {.fill = one}, {.fill = done}},
		 -EBADMSG,
		 0,
		 ""},
		{"message longer than its datagram",
		 NLM_F_DUMP,
		 {{.fill = long_message}, {.fill = done}},
		 -EBADMSG,
		 0,
		 ""},
		{"lost in a dump, read to its end",
		 NLM_F_DUMP,
		 {{.fill = one}, {.error = ENOBUFS}, {.fill = done}},
		 -ENOBUFS,
		 1,
		 ""},
		{"lost ack", NLM_F_ACK, {{.error = ENOBUFS}}, -ENOBUFS, 0, ""},
		{"truncated", NLM_F_ACK, {{.error = ENOSPC}}, -EMSGSIZE, 0, ""},
		{"truncated in a dump",
		 NLM_F_DUMP,
		 {{.error = ENOSPC}, {.fill = one}, {.fill = done}},
		 -EMSGSIZE,
		 0,
		 ""},
		{"nobody answers", NLM_F_ACK, {{.error = EAGAIN}}, -ETIMEDOUT, 0, ""},
		{"a signal", NLM_F_ACK, {{.error = EINTR}, {.fill = ack}}, 0, 0, ""},
		{"socket gone", NLM_F_ACK, {{.error = EBADF}}, -EBADF, 0, ""},
		{"neither ack nor dump", 0, {{.error = EIO}}, -EINVAL, 0, ""},
	};
	char buffer[64];
	struct nl *nl;

	assert_int_equal(nl_open(NETLINK_GENERIC, &nl), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int messages = 0, r;

		print_message("# %s\n", cases[i].name);
		play(cases[i].steps, ARRAY_SIZE(cases[i].steps));
		r = nl_request(nl, request(buffer, cases[i].flags), count, &messages);
		assert_int_equal(r, cases[i].result);
		assert_int_equal(messages, cases[i].messages);
		assert_string_equal(nl_error(nl), cases[i].error);
	}
	nl_close(nl);
}

/* The rest of a dump is read although nobody wants it: the socket has to serve the next request. */
static void test_callback_stops(void **state)
{
	static const struct step steps[] = {{.fill = one}, {.fill = one}, {.fill = done}};
	char buffer[64];
	struct nl *nl;
	int messages = 0;

	assert_int_equal(nl_open(NETLINK_GENERIC, &nl), 0);
	play(steps, ARRAY_SIZE(steps));
	assert_int_equal(nl_request(nl, request(buffer, NLM_F_DUMP), stop, &messages), -ECANCELED);
	assert_int_equal(messages, 1);
	assert_int_equal(script_at, 3);
	nl_close(nl);
}

static void family(struct bytes *b, uint32_t s)
{
	struct genlmsghdr head = {.cmd = CTRL_CMD_NEWFAMILY};
	uint16_t id = 0x1b;

	begin_message(b, GENL_ID_CTRL, 0, s);
	put(b, &head, sizeof(head));
	put_attribute(b, CTRL_ATTR_FAMILY_ID, &id, sizeof(id));
	end_message(b);
}

static void family_wrong_size(struct bytes *b, uint32_t s)
{
	family(b, s);
	b->length = 0;
	begin_message(b, GENL_ID_CTRL, 0, s);
	put(b, "\1\1\0\0", 4);
	put_attribute(b, CTRL_ATTR_FAMILY_ID, "\1\2\3\4", 4);
	end_message(b);
}

static void no_family(struct bytes *b, uint32_t s)
{
	put_error(b, s, -ENOENT, NULL);
}

static void test_family(void **state)
{
	static const struct step good[] = {{.fill = family}, {.fill = ack}},
				 none[] = {{.fill = no_family}},
				 bad[] = {{.fill = family_wrong_size}, {.fill = ack}},
				 empty[] = {{.fill = ack}};
	uint16_t id = 7;
	struct nl *nl;

	assert_int_equal(nl_open(NETLINK_GENERIC, &nl), 0);
	play(none, 1);
	assert_int_equal(nl_family(nl, "wireguard", &id), -ENOENT);
	play(empty, 1);
	assert_int_equal(nl_family(nl, "wireguard", &id), -ENOENT);
	play(bad, 2);
	assert_int_equal(nl_family(nl, "wireguard", &id), -EBADMSG);
	assert_int_equal(id, 7);
	play(good, 2);
	assert_int_equal(nl_family(nl, "wireguard", &id), 0);
	assert_int_equal(id, 0x1b);
	nl_close(nl);
}

static void put_peer(struct bytes *b, uint8_t key)
{
	uint8_t bytes[32] = {key};
	size_t nest = begin_nest(b, 0);
	put_attribute(b, WGPEER_A_PUBLIC_KEY, bytes, sizeof(bytes));
	end_nest(b, nest);
}

static void device(struct bytes *b, uint32_t s, uint16_t flags, uint8_t first, uint8_t last)
{
	struct genlmsghdr head = {.cmd = WG_CMD_GET_DEVICE, .version = 1};
	size_t nest;

	begin_message(b, 0x1b, NLM_F_MULTI | flags, s);
	put(b, &head, sizeof(head));
	put_attribute(b, WGDEVICE_A_IFNAME, "wg0", 4);
	nest = begin_nest(b, WGDEVICE_A_PEERS);
	for (uint8_t key = first; key <= last; key++)
		put_peer(b, key);
	end_nest(b, nest);
	end_message(b);
}

static void device_before(struct bytes *b, uint32_t s)
{
	device(b, s, 0, 1, 3);
}

static void device_interrupted(struct bytes *b, uint32_t s)
{
	device(b, s, NLM_F_DUMP_INTR, 3, 4);
}

static void device_after(struct bytes *b, uint32_t s)
{
	device(b, s, 0, 2, 3);
}

static void test_interrupted_dump_is_asked_again(void **state)
{
	static const struct step steps[] = {{.fill = device_before},
					    {.fill = device_interrupted},
					    {.fill = done},
					    {.fill = device_after},
					    {.fill = done}};
	struct wg_device *wg = NULL;
	struct nl *nl;

	assert_int_equal(nl_open(NETLINK_GENERIC, &nl), 0);
	play(steps, ARRAY_SIZE(steps));
	assert_int_equal(wg_kernel_get(nl, 0x1b, "wg0", &wg), 0);
	assert_int_equal(requests, 2);
	assert_string_equal(wg->name, "wg0");
	assert_int_equal(wg->n_peers, 2);
	assert_int_equal(wg->peers[0].public_key.bytes[0], 2);
	wg_device_free(wg);
	nl_close(nl);
}

static void test_a_dump_that_never_rests(void **state)
{
	struct step steps[40];
	struct wg_device *wg = NULL;
	struct nl *nl;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		steps[i] = (struct step){.fill = i % 2 ? done : device_interrupted};
	assert_int_equal(nl_open(NETLINK_GENERIC, &nl), 0);
	play(steps, ARRAY_SIZE(steps));
	assert_int_equal(wg_kernel_get(nl, 0x1b, "wg0", &wg), -EINTR);
	assert_null(wg);
	assert_int_equal(requests, 10);
	nl_close(nl);
}

static void test_set_stops_at_the_first_error(void **state)
{
	static const struct step steps[] = {{.fill = ack}, {.fill = refused}, {.fill = ack}};
	struct wg_peer peers[800] = {0};
	struct wg_change changes[800];
	struct nl *nl;

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		memcpy(peers[i].public_key.bytes, &i, sizeof(i));
		changes[i] = (struct wg_change){.kind = WG_CHANGE_PEER_SET, .peer = &peers[i]};
	}
	assert_int_equal(nl_open(NETLINK_GENERIC, &nl), 0);
	play(steps, ARRAY_SIZE(steps));
	assert_int_equal(wg_kernel_set(nl, 0x1b, "wg0", changes, 800), -EADDRINUSE);
	assert_int_equal(requests, 2);
	assert_string_equal(nl_error(nl), "port ?[31mtaken");
	nl_close(nl);
}

/* A whole copy of the request before the extended ack, as without NETLINK_CAP_ACK. */
static void test_extended_ack_behind_a_copy(void **state)
{
	struct nlmsgerr body = {.error = -EINVAL, .msg = {.nlmsg_len = sizeof(body.msg) + 10}};
	struct answer answer = {.sequence = 9};
	static struct bytes b;

	begin_message(&b, NLMSG_ERROR, NLM_F_ACK_TLVS, 9);
	put(&b, &body, sizeof(body));
	put(&b, "0123456789", 10);
	put_attribute(&b, NLMSGERR_ATTR_OFFS, "\0\0\0\0", 4);
	put_attribute(&b, NLMSGERR_ATTR_MSG, "no NUL", 6);
	end_message(&b);
	answer_feed(&answer, b.data, b.length);
	assert_true(answer.done);
	assert_int_equal(answer_result(&answer), -EINVAL);
	assert_string_equal(answer.text, "no NUL");
}

/* Every shorter datagram ends with an error or asks for more; none is read behind its end (ASan looks). */
static void test_every_truncation(void **state)
{
	static struct bytes b;

	device(&b, 5, 0, 1, 3);
	put_error(&b, 5, -EINVAL, "words");
	for (size_t length = 0; length < b.length; length++) {
		struct answer answer = {.sequence = 5};
		uint8_t *copy = malloc(length + 1);

		memcpy(copy, b.data, length);
		answer_feed(&answer, copy, length);
		assert_false(answer.done && !answer.error);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_callback_stops),
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_interrupted_dump_is_asked_again),
		cmocka_unit_test(test_a_dump_that_never_rests),
		cmocka_unit_test(test_set_stops_at_the_first_error),
		cmocka_unit_test(test_extended_ack_behind_a_copy),
		cmocka_unit_test(test_every_truncation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
