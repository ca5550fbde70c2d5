/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HTTP server and client against each other in one loop, and the server against clients that misbehave.
 * Unix sockets in a folder of our own, TCP on loopback, both families.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "api/http.h"
#include "common/clock.h"

#define BODY_MAX   100000
#define KEPT_MAX   1000
#define WAIT_MS	   20000 /* until a condition holds; only a failing test ever waits so long */
#define ANSWER_MAX (4 * 1024 * 1024)

enum where { ON_UNIX, ON_IPV4, ON_IPV6, PLACES };

struct bed {
	sd_event *event;
	struct http_server *server;
	struct http_client *client;
	char folder[64], path[96];
	struct http_target target;
	struct http_request *kept[KEPT_MAX];
	size_t n_kept, n_requests, n_gone;
	struct http_peer peer; /* of the last request */
	sd_event_source *timer;
	bool free_in_request;
	unsigned int rounds;
};

struct result {
	bool done;
	int error;
	unsigned int status;
	size_t length;
	char body[64];
	unsigned int *count;
};

static void answer_text(struct http_request *request, unsigned int status, const char *text)
{
	http_answer(request, status, NULL, text, strlen(text));
}

static void on_request(struct http_request *request, void *data)
{
	struct bed *bed = data;
	const char *path = http_path(request);
	size_t length;
	const char *body = http_body(request, &length);
	bed->n_requests++;
	bed->peer = *http_peer(request);
	if (bed->free_in_request) {
		http_server_free(bed->server);
		bed->server = NULL;
	} else if (strcmp(path, "/echo") == 0) {
		http_answer(request, 200, NULL, body, length);
	} else if (strcmp(path, "/query") == 0) {
		const char *a = http_query(request, "a");
		answer_text(request, 200, a ? a : "none");
	} else if (strcmp(path, "/method") == 0) {
		answer_text(request, 200, http_method(request));
	} else if (strcmp(path, "/big") == 0) {
		char *big = calloc(1, 2 * 1024 * 1024);
		assert_non_null(big);
		memset(big, 'b', 2 * 1024 * 1024);
		http_answer(request, 200, "text/plain", big, 2 * 1024 * 1024);
		free(big);
	} else if (strcmp(path, "/keep") == 0) {
		assert_true(bed->n_kept < KEPT_MAX);
		http_set_data(request, bed);
		bed->kept[bed->n_kept++] = request;
	} else {
		answer_text(request, 404, "{}");
	}
}

static void on_gone(struct http_request *request, void *data)
{
	struct bed *bed = data;
	assert_ptr_equal(http_get_data(request), bed);
	for (size_t i = 0; i < bed->n_kept; i++) {
		if (bed->kept[i] == request) {
			bed->kept[i] = bed->kept[--bed->n_kept];
			bed->n_gone++;
			return;
		}
	}
	fail_msg("a request is gone that was not kept");
}

static const struct http_options small = {
	.body_max = BODY_MAX,
	.connections_max = 2000,
	.idle_seconds = 1,
};

static void bed_listen(struct bed *bed, enum where where, const struct http_options *options)
{
	int fd = -1;
	struct endpoint at = {.port = 0};
	if (where == ON_UNIX) {
		snprintf(bed->path, sizeof(bed->path), "%s/socket", bed->folder);
		assert_int_equal(http_listen_unix(bed->path, 0600, &fd), 0);
		bed->target.unix_path = bed->path;
	} else {
		struct sockaddr_storage address;
		socklen_t length = sizeof(address);
		assert_int_equal(addr_parse(where == ON_IPV4 ? "127.0.0.1" : "::1", &at.addr), 0);
		assert_int_equal(http_listen_tcp(&at, NULL, &fd), 0);
		assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, length,
							&bed->target.to),
				 0);
	}
	assert_int_equal(
		http_server_new(bed->event, fd, options, on_request, on_gone, bed, &bed->server),
		0);
}

static void bed_init(struct bed *bed, enum where where, const struct http_options *options)
{
	memset(bed, 0, sizeof(*bed));
	snprintf(bed->folder, sizeof(bed->folder), "/tmp/sortie-api-XXXXXX");
	assert_non_null(mkdtemp(bed->folder));
	assert_int_equal(sd_event_new(&bed->event), 0);
	assert_int_equal(http_client_new(bed->event, &bed->client), 0);
	bed_listen(bed, where, options);
}

static void bed_done(struct bed *bed)
{
	http_client_free(bed->client);
	http_server_free(bed->server);
	sd_event_source_disable_unref(bed->timer);
	sd_event_unref(bed->event);
	unlink(bed->path);
	rmdir(bed->folder);
}

/* One turn of the loop, with a limit on how long nothing may happen. */
static void turn(struct bed *bed)
{
	assert_true(sd_event_run(bed->event, 20000) >= 0);
}

#define wait_until(bed, condition)                                                                 \
	do {                                                                                       \
		struct mono begin_ = clock_mono();                                                 \
		while (!(condition)) {                                                             \
			turn(bed);                                                                 \
			if (mono_diff_ms(clock_mono(), begin_) > WAIT_MS)                          \
				fail_msg("never: %s", #condition);                                 \
		}                                                                                  \
	} while (0)

static void on_done(int error, unsigned int status, const char *body, size_t length, void *data)
{
	struct result *result = data;
	assert_false(result->done);
	result->done = true;
	result->error = error;
	result->status = status;
	result->length = length;
	snprintf(result->body, sizeof(result->body), "%s", body);
	if (result->count)
		(*result->count)++;
}

static void call_start(struct bed *bed, const char *method, const char *path, const char *body,
		       size_t length, struct result *result, struct http_call **ret_call)
{
	assert_int_equal(http_client_call(bed->client, &bed->target, method, path, body, length,
					  WAIT_MS, ANSWER_MAX, on_done, result, ret_call),
			 0);
}

static struct result call(struct bed *bed, const char *method, const char *path, const char *body)
{
	struct result result = {0};
	call_start(bed, method, path, body, body ? strlen(body) : 0, &result, NULL);
	wait_until(bed, result.done);
	return result;
}

static int raw_connect(struct bed *bed)
{
	struct sockaddr_storage address;
	socklen_t length;
	if (bed->target.unix_path) {
		struct sockaddr_un *un = (struct sockaddr_un *)&address;
		memset(un, 0, sizeof(*un));
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", bed->path);
		length = sizeof(*un);
	} else {
		length = endpoint_to_sockaddr(&bed->target.to, &address);
	}
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
	return fd;
}

static void raw_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Appends what has come; true once the peer has closed. */
static bool raw_read(int fd, char *text, size_t size)
{
	size_t held = strlen(text);
	ssize_t n = recv(fd, text + held, size - held - 1, MSG_DONTWAIT);
	if (n > 0)
		text[held + (size_t)n] = '\0';
	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* ---- cases, each on every kind of socket ---- */

static void test_calls(void **state)
{
	static const struct {
		const char *method, *path, *body;
		unsigned int status;
		const char *answer;
	} cases[] = {
		{"POST", "/echo", "hello", 200, "hello"},
		{"POST", "/echo", "", 200, ""},
		{"GET", "/query?a=site-a/web&b=2", NULL, 200, "site-a/web"},
		{"GET", "/query?a=site-a%2Fweb", NULL, 200, "site-a/web"},
		{"GET", "/query?b=2", NULL, 200, "none"},
		{"GET", "/method", NULL, 200, "GET"},
		{"DELETE", "/method", "x", 200, "DELETE"},
		{"GET", "/nothing", NULL, 404, "{}"},
	};
	for (enum where where = 0; where < PLACES; where++) {
		struct bed bed;
		bed_init(&bed, where, &small);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct result result =
				call(&bed, cases[i].method, cases[i].path, cases[i].body);
			assert_int_equal(result.error, 0);
			assert_int_equal(result.status, cases[i].status);
			assert_string_equal(result.body, cases[i].answer);
		}
		assert_int_equal(bed.peer.is_unix, where == ON_UNIX);
		if (where == ON_UNIX) {
			assert_int_equal(bed.peer.uid, getuid());
			assert_int_equal(bed.peer.pid, getpid());
		} else {
			assert_true(addr_equal(&bed.peer.from.addr, &bed.target.to.addr));
		}
		struct result big = call(&bed, "GET", "/big", NULL);
		assert_int_equal(big.length, 2 * 1024 * 1024);
		bed_done(&bed);
	}
}

static int on_answer_all(sd_event_source *source, uint64_t usec, void *data)
{
	struct bed *bed = data;
	for (size_t i = 0; i < bed->n_kept; i++)
		answer_text(bed->kept[i], 200, "later");
	bed->n_kept = 0;
	return 0;
}

static void raise_file_limit(void)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* A thousand long polls, all answered by one timer; again and again over the same server. */
static void test_kept(void **state)
{
	static struct result results[KEPT_MAX];
	raise_file_limit();
	for (enum where where = 0; where < PLACES; where++) {
		struct bed bed;
		bed_init(&bed, where, &small);
		for (int round = 0; round < 3; round++) {
			unsigned int count = 0;
			memset(results, 0, sizeof(results));
			for (size_t i = 0; i < KEPT_MAX; i++) {
				results[i].count = &count;
				call_start(&bed, "POST", "/keep", "{}", 2, &results[i], NULL);
			}
			wait_until(&bed, bed.n_kept == KEPT_MAX);
			assert_int_equal(count, 0);
			bed.timer = sd_event_source_disable_unref(bed.timer);
			assert_int_equal(sd_event_add_time_relative(bed.event, &bed.timer,
								    CLOCK_BOOTTIME, 0, 1000,
								    on_answer_all, &bed),
					 0);
			wait_until(&bed, count == KEPT_MAX);
			for (size_t i = 0; i < KEPT_MAX; i++) {
				assert_int_equal(results[i].error, 0);
				assert_string_equal(results[i].body, "later");
			}
		}
		assert_int_equal(bed.n_gone, 0);
		bed_done(&bed);
	}
}

static void test_kept_outlives_idle(void **state)
{
	struct bed bed;
	struct result result = {0};
	bed_init(&bed, ON_IPV6, &small);
	call_start(&bed, "POST", "/keep", "{}", 2, &result, NULL);
	wait_until(&bed, bed.n_kept == 1);
	/* Longer than idle_seconds: a kept request belongs to its handler. */
	assert_int_equal(sd_event_add_time_relative(bed.event, &bed.timer, CLOCK_BOOTTIME, 1500000,
						    1000, on_answer_all, &bed),
			 0);
	wait_until(&bed, result.done);
	assert_int_equal(result.error, 0);
	assert_string_equal(result.body, "later");
	bed_done(&bed);
}

static void test_parallel(void **state)
{
	for (enum where where = 0; where < PLACES; where++) {
		struct bed bed;
		struct result results[64];
		unsigned int count = 0;
		char *body = calloc(1, BODY_MAX);
		assert_non_null(body);
		memset(body, 'x', BODY_MAX);
		bed_init(&bed, where, &small);
		memset(results, 0, sizeof(results));
		for (size_t i = 0; i < 64; i++) {
			results[i].count = &count;
			call_start(&bed, "POST", "/echo", body, BODY_MAX - i, &results[i], NULL);
		}
		wait_until(&bed, count == 64);
		for (size_t i = 0; i < 64; i++) {
			assert_int_equal(results[i].error, 0);
			assert_int_equal(results[i].length, BODY_MAX - i);
		}
		free(body);
		bed_done(&bed);
	}
}

/* Refused with the status, the handler sees nothing, and the connection is closed. */
static void test_refused(void **state)
{
	static const struct {
		const char *text;
		const char *status;
	} cases[] = {
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n", " 413 "},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n",
		 " 413 "},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
		 " 413 "},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		 " 411 "},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", " 400 "},
		{"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\nhello", " 400 "},
		{"GARBAGE\r\n\r\n", ""},
		{"POST /echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n", " 400 "}, /* no Host */
	};
	for (enum where where = 0; where < PLACES; where++) {
		struct bed bed;
		bed_init(&bed, where, &small);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			char text[4096] = "";
			int fd = raw_connect(&bed);
			raw_send(fd, cases[i].text);
			wait_until(&bed, raw_read(fd, text, sizeof(text)));
			if (!strstr(text, cases[i].status))
				fail_msg("case %zu: %s", i, text);
			close(fd);
		}
		assert_int_equal(bed.n_requests, 0);
		bed_done(&bed);
	}
}

static void test_header_limit(void **state)
{
	struct bed bed;
	char text[4096] = "";
	bed_init(&bed, ON_UNIX, &small);
	int fd = raw_connect(&bed);
	raw_send(fd, "GET /method HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 200; i++)
		send(fd, "X-Fill: 0123456789012345678901234567890123456789012345678901234567\r\n",
		     68, MSG_NOSIGNAL);
	wait_until(&bed, raw_read(fd, text, sizeof(text)));
	assert_int_equal(bed.n_requests, 0);
	close(fd);
	bed_done(&bed);
}

/* A byte now and then keeps nobody's connection: the deadline is for the whole request. */
static void test_slow_loris(void **state)
{
	static const char head[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n";
	for (enum where where = 0; where < PLACES; where++) {
		struct bed bed;
		bed_init(&bed, where, &small);
		int silent = raw_connect(&bed), slow_head = raw_connect(&bed);
		int slow_body = raw_connect(&bed);
		bool closed[3] = {false};
		char text[3][1024] = {""};
		raw_send(slow_body, head);
		struct mono begin = clock_mono();
		for (size_t i = 0; !(closed[0] && closed[1] && closed[2]); i++) {
			if (!closed[1] && i < sizeof(head) - 1)
				send(slow_head, head + i, 1, MSG_NOSIGNAL);
			if (!closed[2])
				send(slow_body, "x", 1, MSG_NOSIGNAL);
			assert_true(sd_event_run(bed.event, 100000) >= 0);
			usleep(50000);
			closed[0] = closed[0] || raw_read(silent, text[0], sizeof(text[0]));
			closed[1] = closed[1] || raw_read(slow_head, text[1], sizeof(text[1]));
			closed[2] = closed[2] || raw_read(slow_body, text[2], sizeof(text[2]));
			assert_true(mono_diff_ms(clock_mono(), begin) < WAIT_MS);
		}
		assert_true(mono_diff_ms(clock_mono(), begin) >= 900);
		assert_int_equal(bed.n_requests, 0);
		close(silent);
		close(slow_head);
		close(slow_body);
		/* and the others are served */
		assert_int_equal(call(&bed, "GET", "/method", NULL).status, 200);
		bed_done(&bed);
	}
}

static void test_gone_while_kept(void **state)
{
	for (enum where where = 0; where < PLACES; where++) {
		struct bed bed;
		struct result cancelled = {0}, other = {0};
		struct http_call *call_one;
		bed_init(&bed, where, &small);
		call_start(&bed, "POST", "/keep", "{}", 2, &cancelled, &call_one);
		call_start(&bed, "POST", "/keep", "{}", 2, &other, NULL);
		int fd = raw_connect(&bed);
		raw_send(fd, "POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
		wait_until(&bed, bed.n_kept == 3);
		http_call_cancel(call_one);
		wait_until(&bed, bed.n_gone == 1);
		close(fd);
		wait_until(&bed, bed.n_gone == 2);
		assert_int_equal(bed.n_kept, 1);
		answer_text(bed.kept[0], 200, "still");
		wait_until(&bed, other.done);
		assert_string_equal(other.body, "still");
		assert_false(cancelled.done);
		bed_done(&bed);
	}
}

/* A keep-alive connection that asks nothing more is closed after idle_seconds. */
static void test_idle_keepalive(void **state)
{
	struct bed bed;
	char text[64] = "";
	bed_init(&bed, ON_UNIX, &small);
	int fd = raw_connect(&bed);
	raw_send(fd, "GET /method HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_until(&bed, bed.n_requests == 1);
	struct mono begin = clock_mono();
	wait_until(&bed, strstr(text, "200") || raw_read(fd, text, sizeof(text)));
	wait_until(&bed, recv(fd, text, sizeof(text), MSG_DONTWAIT) == 0);
	assert_true(mono_diff_ms(clock_mono(), begin) < 5000);
	close(fd);
	bed_done(&bed);
}

static void test_free_with_kept(void **state)
{
	for (enum where where = 0; where < PLACES; where++) {
		struct bed bed;
		struct result results[8];
		unsigned int count = 0;
		memset(results, 0, sizeof(results));
		bed_init(&bed, where, &small);
		for (size_t i = 0; i < 8; i++) {
			results[i].count = &count;
			call_start(&bed, "POST", "/keep", "{}", 2, &results[i], NULL);
		}
		wait_until(&bed, bed.n_kept == 8);
		http_server_free(bed.server);
		bed.server = NULL;
		wait_until(&bed, count == 8);
		for (size_t i = 0; i < 8; i++) {
			assert_int_equal(results[i].error, 0);
			assert_int_equal(results[i].status, 503);
		}
		bed_done(&bed);
	}
}

static void test_free_in_request(void **state)
{
	struct bed bed;
	struct result kept = {0};
	bed_init(&bed, ON_IPV4, &small);
	call_start(&bed, "POST", "/keep", "{}", 2, &kept, NULL);
	wait_until(&bed, bed.n_kept == 1);
	bed.free_in_request = true;
	struct result last = call(&bed, "POST", "/echo", "x");
	assert_int_equal(last.status, 503);
	wait_until(&bed, kept.done);
	assert_int_equal(kept.status, 503);
	bed_done(&bed);
}

static void test_connection_limits(void **state)
{
	struct http_options options = small;
	options.connections_per_address_max = 2;
	struct bed bed;
	char text[3][256] = {""};
	int fd[3];
	bed_init(&bed, ON_IPV6, &options);
	for (int i = 0; i < 3; i++) {
		fd[i] = raw_connect(&bed);
		raw_send(fd[i], "POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
	}
	wait_until(&bed, raw_read(fd[2], text[2], sizeof(text[2])));
	wait_until(&bed, bed.n_kept == 2);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	bed_done(&bed);
}

/* The connection over the limit waits its turn in the backlog, and waiting costs nothing. */
static void test_total_limit(void **state)
{
	for (enum where where = 0; where < PLACES; where++) {
		struct http_options options = small;
		struct bed bed;
		unsigned int busy = 0;
		int fd[3];
		options.connections_max = 2;
		bed_init(&bed, where, &options);
		for (int i = 0; i < 3; i++) {
			fd[i] = raw_connect(&bed);
			raw_send(fd[i],
				 "POST /keep HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
		}
		wait_until(&bed, bed.n_kept == 2);
		for (int i = 0; i < 20; i++)
			assert_true(sd_event_run(bed.event, 1000) >= 0);
		for (int i = 0; i < 20; i++)
			busy += sd_event_run(bed.event, 5000) > 0;
		assert_true(busy <= 2);
		assert_int_equal(bed.n_kept, 2);
		close(fd[0]);
		wait_until(&bed, bed.n_gone == 1);
		wait_until(&bed, bed.n_kept == 2);
		assert_int_equal(bed.n_requests, 3);
		close(fd[1]);
		close(fd[2]);
		bed_done(&bed);
	}
}

static void test_client_errors(void **state)
{
	struct bed bed;
	struct result result = {0};
	bed_init(&bed, ON_IPV4, &small);

	call_start(&bed, "POST", "/keep", "{}", 2, &result, NULL); /* dropped with the client */
	wait_until(&bed, bed.n_kept == 1);

	struct result late = {0}, large = {0}, refused = {0}, missing = {0};
	assert_int_equal(http_client_call(bed.client, &bed.target, "POST", "/keep", "{}", 2, 200,
					  ANSWER_MAX, on_done, &late, NULL),
			 0);
	wait_until(&bed, late.done);
	assert_int_equal(late.error, -ETIMEDOUT);
	assert_int_equal(http_client_call(bed.client, &bed.target, "GET", "/big", NULL, 0, WAIT_MS,
					  1000, on_done, &large, NULL),
			 0);
	wait_until(&bed, large.done);
	assert_int_equal(large.error, -EFBIG);

	int fd;
	struct endpoint at = {.port = 0};
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct http_target nobody = {0};
	assert_int_equal(addr_parse("127.0.0.1", &at.addr), 0);
	assert_int_equal(http_listen_tcp(&at, NULL, &fd), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&address, length, &nobody.to),
			 0);
	close(fd);
	assert_int_equal(http_client_call(bed.client, &nobody, "GET", "/", NULL, 0, WAIT_MS, 1000,
					  on_done, &refused, NULL),
			 0);
	wait_until(&bed, refused.done);
	assert_int_equal(refused.error, -ECONNREFUSED);

	struct http_target no_file = {.unix_path = "/nonexistent/socket"};
	assert_int_equal(http_client_call(bed.client, &no_file, "GET", "/", NULL, 0, WAIT_MS, 1000,
					  on_done, &missing, NULL),
			 0);
	wait_until(&bed, missing.done);
	assert_int_equal(missing.error, -ENOENT);

	struct result device = {0};
	struct http_target no_device = bed.target;
	no_device.bind_interface = "sortie-none0";
	assert_int_equal(http_client_call(bed.client, &no_device, "GET", "/method", NULL, 0,
					  WAIT_MS, 1000, on_done, &device, NULL),
			 0);
	wait_until(&bed, device.done);
	assert_int_equal(device.error, -EHOSTUNREACH);

	struct result source = {0};
	struct addr from;
	struct http_target bound = bed.target;
	assert_int_equal(addr_parse("127.0.0.9", &from), 0);
	bound.bind_addr = &from;
	bound.bind_interface = "lo";
	assert_int_equal(http_client_call(bed.client, &bound, "GET", "/method", NULL, 0, WAIT_MS,
					  1000, on_done, &source, NULL),
			 0);
	wait_until(&bed, source.done);
	assert_int_equal(source.error, 0);
	assert_true(addr_equal(&bed.peer.from.addr, &from));
	bed_done(&bed);
	assert_false(result.done);
}

static void on_done_free(int error, unsigned int status, const char *body, size_t length,
			 void *data)
{
	struct bed *bed = data;
	assert_int_equal(error, 0);
	http_client_free(bed->client);
	bed->client = NULL;
}

static void test_client_freed_in_callback(void **state)
{
	struct bed bed;
	struct result other = {0};
	bed_init(&bed, ON_UNIX, &small);
	call_start(&bed, "POST", "/keep", "{}", 2, &other, NULL);
	assert_int_equal(http_client_call(bed.client, &bed.target, "GET", "/method", NULL, 0,
					  WAIT_MS, 1000, on_done_free, &bed, NULL),
			 0);
	wait_until(&bed, !bed.client);
	wait_until(&bed, bed.n_gone == 1 || bed.n_kept == 0);
	assert_false(other.done);
	bed_done(&bed);
}

/* The environment's proxy is nobody's business here. */
static void test_no_proxy(void **state)
{
	struct bed bed;
	setenv("http_proxy", "http://127.0.0.1:9", 1);
	setenv("all_proxy", "http://127.0.0.1:9", 1);
	bed_init(&bed, ON_IPV4, &small);
	assert_int_equal(call(&bed, "GET", "/method", NULL).status, 200);
	bed_done(&bed);
	unsetenv("http_proxy");
	unsetenv("all_proxy");
}

static void test_listen_unix(void **state)
{
	char folder[] = "/tmp/sortie-listen-XXXXXX", path[64], file[64];
	int fd, second;
	struct stat status;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	snprintf(file, sizeof(file), "%s/file", folder);
	assert_int_equal(http_listen_unix(path, 0600, &fd), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(http_listen_unix(path, 0600, &second), -EADDRINUSE);
	close(fd);
	/* a dead process's file is replaced, with the new mode */
	assert_int_equal(http_listen_unix(path, 0660, &fd), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0660);
	close(fd);
	/* a file that is no socket stays */
	FILE *other = fopen(file, "w");
	assert_non_null(other);
	fclose(other);
	assert_int_equal(http_listen_unix(file, 0600, &fd), -EADDRINUSE);
	assert_int_equal(stat(file, &status), 0);
	assert_int_equal(http_listen_unix("/nonexistent/s", 0600, &fd), -ENOENT);
	unlink(path);
	unlink(file);
	rmdir(folder);
}

/* Nothing to do is nothing done: kept requests must not make the loop spin. */
static void test_idle_costs_nothing(void **state)
{
	struct bed bed;
	struct result result = {0};
	bed_init(&bed, ON_IPV6, &small);
	call_start(&bed, "POST", "/keep", "{}", 2, &result, NULL);
	wait_until(&bed, bed.n_kept == 1);
	for (int i = 0; i < 50; i++)
		assert_true(sd_event_run(bed.event, 1000) >= 0);
	unsigned int busy = 0;
	for (int i = 0; i < 20; i++)
		busy += sd_event_run(bed.event, 10000) > 0;
	assert_true(busy <= 2);
	bed_done(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_kept_outlives_idle),
		cmocka_unit_test(test_parallel),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_header_limit),
		cmocka_unit_test(test_slow_loris),
		cmocka_unit_test(test_gone_while_kept),
		cmocka_unit_test(test_idle_keepalive),
		cmocka_unit_test(test_free_with_kept),
		cmocka_unit_test(test_free_in_request),
		cmocka_unit_test(test_connection_limits),
		cmocka_unit_test(test_total_limit),
		cmocka_unit_test(test_client_errors),
		cmocka_unit_test(test_client_freed_in_callback),
		cmocka_unit_test(test_no_proxy),
		cmocka_unit_test(test_listen_unix),
		cmocka_unit_test(test_idle_costs_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
