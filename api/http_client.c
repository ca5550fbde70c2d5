/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client: libcurl's multi interface with its sockets and its one timer as sources of an sd-event loop.
 *
 * Numeric targets and Unix sockets only, plain HTTP only, no redirects, no proxy whatever the environment says, a
 * limit on the answer. A connection serves one call: a pooled one may sit on a tunnel that is gone.
 */
#include "api/http.h"
#include <curl/curl.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 1024

struct http_client {
	sd_event *event;
	CURLM *multi;
	sd_event_source *timer;
	struct http_call *calls;
	bool running; /* inside the loop that reports finished calls */
	bool doomed;  /* freed by an on_done: released behind it */
};

struct http_call {
	struct http_client *client; /* NULL for http_call_wait() */
	CURL *easy;
	struct curl_slist *headers;
	char interface[IFNAMSIZ]; /* "": any */
	char *answer;
	size_t length, capacity, answer_max;
	bool too_large;
	void (*on_done)(int error, unsigned int status, const char *body, size_t length,
			void *data);
	void *data;
	struct http_call *next, *previous;
};

/* ---- one call ---- */

static size_t on_answer(char *bytes, size_t size, size_t n, void *data)
{
	struct http_call *call = data;
	size_t length = size * n;
	if (length > call->answer_max - call->length) {
		call->too_large = true;
		return 0;
	}
	if (call->length + length + 1 > call->capacity) {
		size_t capacity = (call->length + length + 1) * 2;
		char *answer = realloc(call->answer, capacity);
		if (!answer)
			return 0;
		call->answer = answer;
		call->capacity = capacity;
	}
	memcpy(call->answer + call->length, bytes, length);
	call->length += length;
	call->answer[call->length] = '\0';
	return length;
}

/* A tunnel's device, so that a call never leaves by another interface. */
static int on_socket_made(void *data, curl_socket_t fd, curlsocktype purpose)
{
	struct http_call *call = data;
	if (call->interface[0] == '\0')
		return CURL_SOCKOPT_OK;
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, call->interface,
			  (socklen_t)strlen(call->interface) + 1) < 0
		       ? CURL_SOCKOPT_ERROR
		       : CURL_SOCKOPT_OK;
}

static void call_free(struct http_call *call)
{
	if (!call)
		return;
	struct http_client *client = call->client;
	if (client) {
		curl_multi_remove_handle(client->multi, call->easy);
		if (call->previous)
			call->previous->next = call->next;
		else
			client->calls = call->next;
		if (call->next)
			call->next->previous = call->previous;
	}
	curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	free(call->answer);
	free(call);
}
DEFINE_CLEANUP(call_free, struct http_call *);

static int url_format(const struct http_target *target, const char *path, char url[URL_MAX])
{
	char endpoint[ENDPOINT_TEXT_MAX];
	const char *host = target->unix_path ? "localhost" : endpoint_format(&target->to, endpoint);
	int length = snprintf(url, URL_MAX, "http://%s%s", host, path);
	return length < URL_MAX ? 0 : -ENAMETOOLONG;
}

static int set_target(struct http_call *call, const struct http_target *target, const char *path)
{
	char url[URL_MAX], source[8 + ADDR_TEXT_MAX], text[ADDR_TEXT_MAX];
	int r = url_format(target, path, url);
	if (r < 0)
		return r;
	CURLcode code = curl_easy_setopt(call->easy, CURLOPT_URL, url);
	if (target->unix_path)
		code |= curl_easy_setopt(call->easy, CURLOPT_UNIX_SOCKET_PATH, target->unix_path);
	if (target->bind_interface) {
		if (strlen(target->bind_interface) >= IFNAMSIZ)
			return -ENAMETOOLONG;
		snprintf(call->interface, sizeof(call->interface), "%s", target->bind_interface);
	}
	if (target->bind_addr) {
		snprintf(source, sizeof(source), "host!%s", addr_format(target->bind_addr, text));
		code |= curl_easy_setopt(call->easy, CURLOPT_INTERFACE, source);
	}
	return code == CURLE_OK ? 0 : -ENOMEM;
}

static int set_body(struct http_call *call, const char *method, const char *body, size_t length)
{
	CURLcode code;
	if (!body && strcmp(method, "GET") == 0) {
		code = curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L);
		return code == CURLE_OK ? 0 : -ENOMEM;
	}
	/* "Expect:" off: the answer to a body that is too large comes anyway, and nobody waits a second for it. */
	call->headers = curl_slist_append(NULL, "Content-Type: application/json");
	struct curl_slist *more = curl_slist_append(call->headers, "Expect:");
	if (!call->headers || !more)
		return -ENOMEM;
	code = curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
	code |= curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
	code |= curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);
	code |= curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
	code |= curl_easy_setopt(call->easy, CURLOPT_COPYPOSTFIELDS, body ? body : "");
	return code == CURLE_OK ? 0 : -ENOMEM;
}

static int set_limits(struct http_call *call, unsigned int timeout_ms)
{
	CURL *easy = call->easy;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
	code |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	code |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	code |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
	code |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	code |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	code |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	code |= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	code |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	code |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
	code |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "sortie/" SORTIE_VERSION);
	code |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
	code |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	code |= curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	code |= curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, call);
	code |= curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	return code == CURLE_OK ? 0 : -ENOMEM;
}

static int call_new(const struct http_target *target, const char *method, const char *path,
		    const char *body, size_t length, unsigned int timeout_ms, size_t answer_max,
		    struct http_call **ret)
{
	_cleanup_(call_freep) struct http_call *call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	/* Idempotent. Nothing: no TLS library is initialised for plain HTTP. */
	curl_global_init(CURL_GLOBAL_NOTHING);
	call->answer_max = answer_max;
	call->easy = curl_easy_init();
	if (!call->easy)
		return -ENOMEM;
	int r = set_limits(call, timeout_ms);
	if (r == 0)
		r = set_target(call, target, path);
	if (r == 0)
		r = set_body(call, method, body, length);
	if (r < 0)
		return r;
	*ret = take_pointer(call);
	return 0;
}

static int error_of_connect(struct http_call *call)
{
	long error = 0;
	curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &error);
	switch (error) {
	case ECONNREFUSED:
	case EACCES:
	case EPERM:
	case ENOENT: /* a Unix socket that is not there */
		return -(int)error;
	case ETIMEDOUT:
		return -ETIMEDOUT;
	case 0: /* libcurl names no reason where the device or the source address is missing */
	default:
		return -EHOSTUNREACH;
	}
}

static int call_error(struct http_call *call, CURLcode code)
{
	switch ((int)code) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED:
	case CURLE_ABORTED_BY_CALLBACK:
		return error_of_connect(call);
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return call->too_large ? -EFBIG : -EIO;
	}
}

static unsigned int call_status(struct http_call *call)
{
	long status = 0;
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	return (unsigned int)status;
}

/* ---- in the loop ---- */

static void client_destroy(struct http_client *client)
{
	while (client->calls)
		call_free(client->calls);
	if (client->multi)
		curl_multi_cleanup(client->multi);
	sd_event_source_disable_unref(client->timer);
	sd_event_unref(client->event);
	free(client);
}

static void call_report(struct http_call *call, CURLcode code)
{
	int error = call_error(call, code);
	unsigned int status = error ? 0 : call_status(call);
	_cleanup_(freep) char *answer = take_pointer(call->answer);
	size_t length = error ? 0 : call->length;
	void (*on_done)(int, unsigned int, const char *, size_t, void *) = call->on_done;
	void *data = call->data;
	call_free(call); /* before on_done: it may start another, cancel, or free the client */
	on_done(error, status, error || !answer ? "" : answer, length, data);
}

/* The caller may be gone when this returns. */
static void client_finish(struct http_client *client)
{
	CURLMsg *message;
	int left;
	client->running = true;
	while (!client->doomed && (message = curl_multi_info_read(client->multi, &left))) {
		struct http_call *call = NULL;
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		call_report(call, code);
	}
	client->running = false;
	if (client->doomed)
		client_destroy(client);
}

static int on_socket_ready(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct http_client *client = data;
	int running;
	int mask = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
		   (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		   (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
	curl_multi_socket_action(client->multi, fd, mask, &running);
	client_finish(client);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct http_client *client = data;
	int running;
	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	client_finish(client);
	return 0;
}

/* libcurl says what it wants to know about a socket; its source is kept with the socket. */
static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
	struct http_client *client = data;
	sd_event_source *source = socket_data;
	uint32_t events =
		(what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (what == CURL_POLL_REMOVE) {
		sd_event_source_disable_unref(source);
		return 0;
	}
	if (source)
		return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
	if (sd_event_add_io(client->event, &source, fd, events, on_socket_ready, client) < 0)
		return -1;
	curl_multi_assign(client->multi, fd, source);
	return 0;
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *data)
{
	struct http_client *client = data;
	if (timeout_ms < 0)
		return sd_event_source_set_enabled(client->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
	if (sd_event_source_set_time_relative(client->timer, (uint64_t)timeout_ms * 1000) < 0 ||
	    sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT) < 0)
		return -1;
	return 0;
}

int http_client_new(sd_event *event, struct http_client **ret)
{
	curl_global_init(CURL_GLOBAL_NOTHING);
	struct http_client *client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->event = sd_event_ref(event);
	client->multi = curl_multi_init();
	int r = client->multi ? sd_event_add_time_relative(event, &client->timer, CLOCK_BOOTTIME, 0,
							   1000, on_timer, client)
			      : -ENOMEM;
	if (r < 0) {
		client_destroy(client);
		return r;
	}
	sd_event_source_set_enabled(client->timer, SD_EVENT_OFF);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	*ret = client;
	return 0;
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	client->doomed = true;
	if (!client->running)
		client_destroy(client);
}

int http_client_call(struct http_client *client, const struct http_target *target,
		     const char *method, const char *path, const char *body, size_t length,
		     unsigned int timeout_ms, size_t answer_max,
		     void (*on_done)(int error, unsigned int status, const char *body,
				     size_t length, void *data),
		     void *data, struct http_call **ret_call)
{
	struct http_call *call;
	int r = call_new(target, method, path, body, length, timeout_ms, answer_max, &call);
	if (r < 0)
		return r;
	if (curl_multi_add_handle(client->multi, call->easy) != CURLM_OK) {
		call_free(call);
		return -ENOMEM;
	}
	call->on_done = on_done;
	call->data = data;
	call->client = client;
	call->next = client->calls;
	if (call->next)
		call->next->previous = call;
	client->calls = call;
	if (ret_call)
		*ret_call = call;
	return 0;
}

void http_call_cancel(struct http_call *call)
{
	call_free(call);
}

int http_call_wait(const struct http_target *target, const char *method, const char *path,
		   const char *body, size_t length, unsigned int timeout_ms, size_t answer_max,
		   unsigned int *ret_status, char **ret_body, size_t *ret_length)
{
	_cleanup_(call_freep) struct http_call *call = NULL;
	int r = call_new(target, method, path, body, length, timeout_ms, answer_max, &call);
	if (r < 0)
		return r;
	r = call_error(call, curl_easy_perform(call->easy));
	if (r < 0)
		return r;
	if (!call->answer && !(call->answer = calloc(1, 1)))
		return -ENOMEM;
	*ret_status = call_status(call);
	*ret_body = take_pointer(call->answer);
	*ret_length = call->length;
	return 0;
}
