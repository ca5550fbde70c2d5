/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request of the server: limits before the body is read, the body, the handler, the answer.
 *
 * Owned by the server's list; freed when libmicrohttpd says that it is over. A kept request's socket is watched here
 * for hangups, because a suspended connection is in nobody's poll set.
 */
#include "api/http_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define WRITE_BYTES_PER_S (8 * 1024) /* a reader slower than this is cut off */

static void request_free(struct http_request *request)
{
	struct http_server *server = request->server;
	if (request->previous)
		request->previous->next = request->next;
	else
		server->requests = request->next;
	if (request->next)
		request->next->previous = request->previous;
	sd_event_source_disable_unref(request->watch);
	if (request->response)
		MHD_destroy_response(request->response);
	/* A body may have carried a join token. */
	if (request->body)
		explicit_bzero(request->body, request->length);
	free(request->body);
	free(request);
}

/* The connection is suspended: libmicrohttpd gets it back from the deferred source. */
static void request_resume(struct http_request *request, enum request_state state)
{
	struct http_server *server = request->server;
	request->watch = sd_event_source_disable_unref(request->watch);
	request->state = state;
	request->next_resumed = server->resumed;
	server->resumed = request;
	http_server_wake(server);
}

/* Only ever hangups: what a client pipelines behind a kept request stays in the socket. */
static int on_hangup(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct http_request *request = data;
	struct http_server *server = request->server;
	request_resume(request, GONE);
	if (server->on_gone)
		server->on_gone(request, server->data);
	return 0;
}

static struct MHD_Response *response_new(unsigned int status, const char *content_type,
					 const char *body, size_t length)
{
	/* The library takes no const where it copies. */
	union {
		const char *from;
		void *to;
	} bytes = {.from = length ? body : ""};
	struct MHD_Response *response =
		MHD_create_response_from_buffer(length, bytes.to, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return NULL;
	if (!content_type)
		content_type = status >= 400 ? "application/problem+json" : "application/json";
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	return response;
}

void http_answer(struct http_request *request, unsigned int status, const char *content_type,
		 const char *body, size_t length)
{
	if (request->state != HANDLING && request->state != KEPT)
		return;
	request->status = status;
	/* NULL when out of memory: the connection is closed without an answer. */
	request->response = response_new(status, content_type, body, length);
	http_deadline_set(request->connection,
			  request->server->options.idle_seconds + length / WRITE_BYTES_PER_S);
	if (request->state == KEPT)
		request_resume(request, ANSWERED);
	else
		request->state = ANSWERED;
}

static enum MHD_Result refuse(struct MHD_Connection *mhd, unsigned int status, const char *code)
{
	char body[160];
	int length = snprintf(body, sizeof(body),
			      "{\"type\":\"urn:sortie:problem:%s\",\"title\":\"Refused\","
			      "\"status\":%u,\"detail\":\"the request is over a limit\"}",
			      code, status);
	struct MHD_Response *response = response_new(status, NULL, body, (size_t)length);
	if (!response)
		return MHD_NO;
	enum MHD_Result r = MHD_queue_response(mhd, status, response);
	MHD_destroy_response(response);
	return r;
}

/* The body's length from the header; more than that libmicrohttpd does not hand over. -EINVAL for none to be had. */
static int body_expected(struct MHD_Connection *mhd, size_t *ret)
{
	*ret = 0;
	if (MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING))
		return -EINVAL;
	const char *text =
		MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	if (!text)
		return 0;
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text < '0' || *text > '9')
		return -EINVAL;
	*ret = (size_t)value;
	return 0;
}

/* The headers are complete: refuses before any of the body is read. */
static enum MHD_Result request_begin(struct http_server *server, struct MHD_Connection *mhd,
				     const char *path, const char *method, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	size_t expected;
	if (!info || !info->socket_context)
		return MHD_NO;
	if (strlen(path) >= HTTP_PATH_MAX ||
	    strlen(method) >= sizeof(((struct http_request *)0)->method))
		return refuse(mhd, MHD_HTTP_URI_TOO_LONG, "bad-request");
	if (body_expected(mhd, &expected) < 0)
		return refuse(mhd, MHD_HTTP_LENGTH_REQUIRED, "bad-request");
	if (expected > server->options.body_max)
		return refuse(mhd, MHD_HTTP_CONTENT_TOO_LARGE, "too-large");

	struct http_request *request = calloc(1, sizeof(*request));
	if (!request)
		return MHD_NO;
	request->server = server;
	request->connection = info->socket_context;
	request->mhd = mhd;
	request->expected = expected;
	memcpy(request->method, method, strlen(method) + 1);
	memcpy(request->path, path, strlen(path) + 1);
	request->next = server->requests;
	if (request->next)
		request->next->previous = request;
	server->requests = request;
	*context = request;
	return MHD_YES;
}

/* Grows by doubling: a claimed length costs nothing before its bytes are there. */
static enum MHD_Result request_append(struct http_request *request, const char *bytes,
				      size_t length)
{
	if (length > request->expected - request->length)
		return MHD_NO;
	size_t needed = request->length + length + 1;
	if (needed > request->capacity) {
		size_t capacity =
			needed * 2 < request->expected + 1 ? needed * 2 : request->expected + 1;
		char *body = realloc(request->body, capacity);
		if (!body)
			return MHD_NO;
		request->body = body;
		request->capacity = capacity;
	}
	memcpy(request->body + request->length, bytes, length);
	request->length += length;
	request->body[request->length] = '\0';
	return MHD_YES;
}

/* Nobody answered yet: the request leaves libmicrohttpd's hands until http_answer() or a hangup. */
static enum MHD_Result request_keep(struct http_request *request)
{
	if (sd_event_add_io(request->server->event, &request->watch, request->connection->fd,
			    EPOLLRDHUP, on_hangup, request) < 0) {
		request->state = GONE;
		if (request->server->on_gone)
			request->server->on_gone(request, request->server->data);
		return MHD_NO;
	}
	request->state = KEPT;
	MHD_suspend_connection(request->mhd);
	return MHD_YES;
}

static enum MHD_Result request_send(struct http_request *request)
{
	if (!request->response)
		return MHD_NO;
	return MHD_queue_response(request->mhd, request->status, request->response);
}

static enum MHD_Result request_complete(struct http_request *request)
{
	struct http_server *server = request->server;
	request->state = HANDLING;
	http_deadline_stop(request->connection);
	if (server->doomed)
		http_answer(request, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, NULL, 0);
	else
		server->on_request(request, server->data);
	return request->state == ANSWERED ? request_send(request) : request_keep(request);
}

enum MHD_Result http_on_access(void *data, struct MHD_Connection *mhd, const char *path,
			       const char *method, const char *version, const char *upload,
			       size_t *upload_length, void **context)
{
	struct http_request *request = *context;
	if (!request)
		return request_begin(data, mhd, path, method, context);
	switch (request->state) {
	case READING:
		if (*upload_length == 0)
			return request_complete(request);
		size_t length = *upload_length;
		*upload_length = 0;
		return request_append(request, upload, length);
	case ANSWERED:
		return request_send(request);
	case HANDLING:
	case KEPT:
		return MHD_YES;
	case GONE:
		return MHD_NO;
	}
	return MHD_NO;
}

/* Answered and written, or broken: the next request of the connection has its time again. */
void http_on_completed(void *data, struct MHD_Connection *mhd, void **context,
		       enum MHD_RequestTerminationCode code)
{
	struct http_request *request = *context;
	if (!request)
		return;
	http_deadline_set(request->connection, request->server->options.idle_seconds);
	request_free(request);
	*context = NULL;
}

/* ---- what handlers ask ---- */

const char *http_method(const struct http_request *request)
{
	return request->method;
}

const char *http_path(const struct http_request *request)
{
	return request->path;
}

const char *http_query(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->mhd, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_body(const struct http_request *request, size_t *ret_length)
{
	*ret_length = request->length;
	return request->body ? request->body : "";
}

const struct http_peer *http_peer(const struct http_request *request)
{
	return &request->connection->peer;
}

void http_set_data(struct http_request *request, void *data)
{
	request->data = data;
}

void *http_get_data(const struct http_request *request)
{
	return request->data;
}
