/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames between the two processes: every message there and back, every way to break one, and the channel itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/cleanup.h"
#include "daemon/channel.h"
#include "daemon/ipc.h"

static const struct ipc_message samples[] = {
	{.type = IPC_READY, .id = 1},
	{.type = IPC_RESOLVE, .id = 2, .resolve = {"hub.example.org", 51820}},
	{.type = IPC_RESOLVED, .id = 3, .resolved = {.error = -ENOENT}},
	{.type = IPC_RESOLVED,
	 .id = 4,
	 .resolved = {.endpoints = {{{AF_INET, {192, 0, 2, 1}}, 51820},
				    {{AF_INET6, {0x20, 1, 0xd, 0xb8}}, 443}},
		      .n_endpoints = 2}},
	{.type = IPC_CALL,
	 .id = 5,
	 .call = {.to = {{AF_INET6, {0xfd}}, 4280},
		  .interface = "sortie0",
		  .method = "POST",
		  .path = "/v1/sync",
		  .timeout_ms = 35000,
		  .answer_max = IPC_ANSWER_MAX,
		  .body = "{}",
		  .body_length = 2}},
	{.type = IPC_CALL_CANCEL, .id = 6},
	{.type = IPC_CALL_DONE,
	 .id = 7,
	 .call_done = {.status = 200, .body = "{\"a\":1}", .body_length = 7}},
	{.type = IPC_CALL_DONE, .id = 8, .call_done = {.error = -ETIMEDOUT}},
	{.type = IPC_LOCAL_REQUEST,
	 .id = 9,
	 .local_request = {.uid = 1000,
			   .pid = 4711,
			   .method = "GET",
			   .path = "/v1/local/flows",
			   .query = "after=3&wait=1"}},
	{.type = IPC_LOCAL_ANSWER, .id = 10, .local_answer = {200, "{}", 2}},
	{.type = IPC_LOCAL_GONE, .id = 11},
};

static enum ipc_sender sender_of(enum ipc_type type)
{
	return type == IPC_RESOLVE || type == IPC_CALL || type == IPC_CALL_CANCEL ||
			       type == IPC_LOCAL_ANSWER
		       ? IPC_FROM_AGENT
		       : IPC_FROM_NET;
}

/* What was encoded is what is decoded: encoding it again gives the same bytes. */
static void test_round_trip(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup_(freep) uint8_t *frame = NULL, *again = NULL;
		struct ipc_message back;
		size_t length, announced, again_length;

		assert_int_equal(ipc_encode(&samples[i], &frame, &length), 0);
		assert_int_equal(
			ipc_frame_length(frame, length, sender_of(samples[i].type), &announced), 0);
		assert_int_equal(announced, length);
		assert_int_equal(ipc_decode(frame, length, &back), 0);
		assert_int_equal(back.type, samples[i].type);
		assert_int_equal(back.id, samples[i].id);
		assert_int_equal(ipc_encode(&back, &again, &again_length), 0);
		assert_int_equal(again_length, length);
		assert_memory_equal(again, frame, length);
	}
}

static void test_content(void **state)
{
	_cleanup_(freep) uint8_t *frame = NULL;
	struct ipc_message back;
	size_t length;

	assert_int_equal(ipc_encode(&samples[4], &frame, &length), 0);
	assert_int_equal(ipc_decode(frame, length, &back), 0);
	assert_string_equal(back.call.interface, "sortie0");
	assert_string_equal(back.call.method, "POST");
	assert_string_equal(back.call.path, "/v1/sync");
	assert_int_equal(back.call.to.port, 4280);
	assert_int_equal(back.call.timeout_ms, 35000);
	assert_int_equal(back.call.body_length, 2);
	assert_memory_equal(back.call.body, "{}", 2);
}

/* Nobody may say what is the other's to say. */
static void test_sender(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup_(freep) uint8_t *frame = NULL;
		enum ipc_sender wrong =
			sender_of(samples[i].type) == IPC_FROM_NET ? IPC_FROM_AGENT : IPC_FROM_NET;
		size_t length, announced;

		assert_int_equal(ipc_encode(&samples[i], &frame, &length), 0);
		assert_int_equal(ipc_frame_length(frame, length, wrong, &announced), -EBADMSG);
	}
}

/* Every frame cut at every place, with the length put right: refused or, never, read beyond its end (ASan). */
static void test_truncated(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup_(freep) uint8_t *frame = NULL;
		size_t length;

		assert_int_equal(ipc_encode(&samples[i], &frame, &length), 0);
		for (size_t cut = 0; cut < length; cut++) {
			_cleanup_(freep) uint8_t *copy = malloc(cut ? cut : 1);
			struct ipc_message back;
			uint32_t body =
				cut >= IPC_HEADER_SIZE ? (uint32_t)(cut - IPC_HEADER_SIZE) : 0;

			memcpy(copy, frame, cut);
			assert_int_equal(ipc_decode(copy, cut, &back), -EBADMSG);
			if (cut < IPC_HEADER_SIZE)
				continue;
			memcpy(copy, &body, sizeof(body));
			assert_int_equal(ipc_decode(copy, cut, &back), -EBADMSG);
		}
	}
}

static void test_limits(void **state)
{
	uint8_t header[IPC_HEADER_SIZE] = {0};
	uint32_t huge = IPC_ANSWER_MAX + 4096, small = 1;
	uint16_t type;
	size_t length = 77;
	struct ipc_message message = {.type = IPC_CALL,
				      .call = {.to = {{AF_INET, {1}}, 1},
					       .interface = "a",
					       .method = "GET",
					       .path = "/",
					       .body_length = IPC_REQUEST_MAX * 2}};
	_cleanup_(freep) char *body = calloc(1, IPC_REQUEST_MAX * 2);
	uint8_t *frame;

	/* too long for its row, found from the header alone */
	type = IPC_CALL_DONE;
	memcpy(header, &huge, sizeof(huge));
	memcpy(header + 4, &type, sizeof(type));
	assert_int_equal(ipc_frame_length(header, sizeof(header), IPC_FROM_NET, &length), -EBADMSG);
	type = IPC_READY;
	memcpy(header, &small, sizeof(small));
	memcpy(header + 4, &type, sizeof(type));
	assert_int_equal(ipc_frame_length(header, sizeof(header), IPC_FROM_NET, &length), -EBADMSG);
	/* unknown types */
	memset(header, 0, sizeof(header));
	assert_int_equal(ipc_frame_length(header, sizeof(header), IPC_FROM_NET, &length), -EBADMSG);
	type = IPC_TYPES;
	memcpy(header + 4, &type, sizeof(type));
	assert_int_equal(ipc_frame_length(header, sizeof(header), IPC_FROM_NET, &length), -EBADMSG);
	/* not there yet */
	assert_int_equal(ipc_frame_length(header, 15, IPC_FROM_NET, &length), 0);
	assert_int_equal(length, 0);
	message.call.body = body;
	assert_int_equal(ipc_encode(&message, &frame, &length), -EMSGSIZE);
}

/* A text that is longer than its own limit, in a frame that is not. */
static void test_text_limits(void **state)
{
	char host[300], method[40];
	struct ipc_message resolve = {.type = IPC_RESOLVE, .resolve = {host, 1}}, back;
	struct ipc_message local = {.type = IPC_LOCAL_REQUEST,
				    .local_request = {.method = method, .path = "/", .query = ""}};

	memset(host, 'a', sizeof(host));
	memset(method, 'G', sizeof(method));
	for (int too_long = 0; too_long < 2; too_long++) {
		uint8_t *frame = NULL;
		size_t length;
		int expected = too_long ? -EBADMSG : 0;

		host[IPC_HOST_MAX - 1 + too_long] = '\0';
		assert_int_equal(ipc_encode(&resolve, &frame, &length), 0);
		assert_int_equal(ipc_decode(frame, length, &back), expected);
		free(frame);
		method[15 + too_long] = '\0';
		assert_int_equal(ipc_encode(&local, &frame, &length), 0);
		assert_int_equal(ipc_decode(frame, length, &back), expected);
		free(frame);
		host[IPC_HOST_MAX - 1] = 'a';
		method[15] = 'G';
	}
}

/* ---- the channel ---- */

struct heard {
	sd_event *event;
	size_t messages, closed;
	int error;
	uint64_t last_id;
	size_t expect;
};

static void on_message(const struct ipc_message *message, void *data)
{
	struct heard *heard = data;

	heard->messages++;
	heard->last_id = message->id;
	if (heard->messages == heard->expect)
		(void)sd_event_exit(heard->event, 0);
}

static void on_close(int error, void *data)
{
	struct heard *heard = data;

	heard->closed++;
	heard->error = error;
	(void)sd_event_exit(heard->event, 0);
}

struct bed {
	sd_event *event;
	struct channel *channel;
	struct heard heard;
	int other;
};

static void bed_new(struct bed *bed)
{
	const struct channel_handlers handlers = {on_message, on_close, &bed->heard};
	int pair[2];

	memset(bed, 0, sizeof(*bed));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(sd_event_new(&bed->event) >= 0);
	bed->heard.event = bed->event;
	bed->other = pair[1];
	assert_int_equal(channel_new(bed->event, pair[0], IPC_FROM_NET, &handlers, &bed->channel),
			 0);
}

static void bed_done(struct bed *bed)
{
	channel_free(bed->channel);
	if (bed->other >= 0)
		close(bed->other);
	sd_event_unref(bed->event);
}

/* Bytes arrive one at a time: frames are whole all the same. */
static void test_split_frames(void **state)
{
	struct bed bed;
	size_t sent = 0;

	bed_new(&bed);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup_(freep) uint8_t *frame = NULL;
		size_t length;

		if (sender_of(samples[i].type) != IPC_FROM_NET)
			continue;
		sent++;
		assert_int_equal(ipc_encode(&samples[i], &frame, &length), 0);
		for (size_t at = 0; at < length; at++) {
			assert_int_equal(write(bed.other, frame + at, 1), 1);
			assert_true(sd_event_run(bed.event, 0) >= 0);
		}
	}
	assert_int_equal(bed.heard.messages, sent);
	assert_int_equal(bed.heard.last_id, 11);
	assert_int_equal(bed.heard.closed, 0);
	bed_done(&bed);
}

static void test_garbage_closes(void **state)
{
	struct bed bed;

	bed_new(&bed);
	assert_int_equal(write(bed.other, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	assert_true(sd_event_loop(bed.event) >= 0);
	assert_int_equal(bed.heard.closed, 1);
	assert_int_equal(bed.heard.error, -EBADMSG);
	assert_int_equal(channel_send(bed.channel, &samples[1]), -EPIPE);
	bed_done(&bed);
}

static void test_end_closes(void **state)
{
	struct bed bed;

	bed_new(&bed);
	close(bed.other);
	bed.other = -1;
	assert_true(sd_event_loop(bed.event) >= 0);
	assert_int_equal(bed.heard.closed, 1);
	assert_int_equal(bed.heard.error, 0);
	bed_done(&bed);
}

/* A child that does not read costs bounded memory, then the conversation. */
static void test_no_reader(void **state)
{
	struct bed bed;
	_cleanup_(freep) char *body = calloc(1, IPC_ANSWER_MAX);
	struct ipc_message message = {
		.type = IPC_LOCAL_ANSWER, .id = 1, .local_answer = {200, body, IPC_ANSWER_MAX}};
	int r = 0;

	bed_new(&bed);
	for (int i = 0; i < 4 && r == 0; i++)
		r = channel_send(bed.channel, &message);
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(bed.heard.error, -ENOBUFS);
	bed_done(&bed);
}

/* The largest answer, through two channels. */
static void test_large(void **state)
{
	struct bed bed;
	struct heard sink = {0};
	const struct channel_handlers handlers = {on_message, on_close, &sink};
	_cleanup_(channel_freep) struct channel *sender = NULL;
	_cleanup_(freep) char *body = calloc(1, IPC_ANSWER_MAX);
	struct ipc_message message = {
		.type = IPC_CALL_DONE, .id = 99, .call_done = {0, 200, body, IPC_ANSWER_MAX}};

	bed_new(&bed);
	assert_int_equal(channel_new(bed.event, bed.other, IPC_FROM_AGENT, &handlers, &sender), 0);
	bed.other = -1;
	bed.heard.expect = 1;
	assert_int_equal(channel_send(sender, &message), 0);
	assert_true(sd_event_loop(bed.event) >= 0);
	assert_int_equal(bed.heard.messages, 1);
	assert_int_equal(bed.heard.last_id, 99);
	bed_done(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_content),
		cmocka_unit_test(test_sender),	     cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_text_limits),  cmocka_unit_test(test_limits),
		cmocka_unit_test(test_split_frames), cmocka_unit_test(test_garbage_closes),
		cmocka_unit_test(test_end_closes),   cmocka_unit_test(test_no_reader),
		cmocka_unit_test(test_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
