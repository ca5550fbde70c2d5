/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server: libmicrohttpd's epoll set as one source of an sd-event loop.
 *
 *	READING --complete--> HANDLING --http_answer()--> ANSWERED --> written, freed
 *	                         |                           ^
 *	                         +--kept--> KEPT ------------+
 *	                                     |  client gone: on_gone()
 *	                                     +--> GONE --> closed, freed
 *
 * What libmicrohttpd 0.9.75 needs from us (each measured): a resumed connection does not wake the outer loop and is
 * seen only by an MHD_run() that begins after the resume, so http_answer() only queues, and one deferred source
 * resumes the queue and runs. Its epoll set is edge triggered: after a run that left work behind (timeout 0) nothing
 * wakes us, so the same source runs again. A suspended connection has no timeout and is in nobody's poll set, so a
 * kept request's socket is watched here, and TCP keepalive finds hosts that vanished. Its idle timeout starts anew
 * with every byte, so deadlines are our own: one timer a connection, which shuts the socket down.
 */
#include "api/http.h"
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define CONNECTION_MEMORY                                                                          \
	((size_t)8 * 1024) /* also the limit of the request line and all headers */
#define PATH_MAX_TEXT	  256
#define WRITE_BYTES_PER_S (8 * 1024) /* a reader slower than this is cut off */
#define FLUSH_RUNS	  64	     /* while freeing: rounds to get the last answers out */
#define TIMER_ACCURACY_US 100000

enum request_state { READING, HANDLING, KEPT, ANSWERED, GONE };

struct http_connection {
	struct http_server *server;
	struct http_peer peer;
	int fd; /* libmicrohttpd's */
	sd_event_source *deadline;
};

struct http_request {
	struct http_server *server;
	struct http_connection *connection;
	struct MHD_Connection *mhd;
	enum request_state state;
	char method[16];
	char path[PATH_MAX_TEXT];
	char *body;
	size_t length, capacity, expected;
	void *data;
	sd_event_source *watch; /* KEPT: tells when the client goes */
	unsigned int status;
	struct MHD_Response *response;	      /* ANSWERED */
	struct http_request *next, *previous; /* in server->requests */
	struct http_request *next_resumed;    /* in server->resumed */
};

struct http_server {
	sd_event *event;
	struct MHD_Daemon *daemon;
	struct http_options options;
	void (*on_request)(struct http_request *request, void *data);
	void (*on_gone)(struct http_request *request, void *data);
	void *data;
	sd_event_source *poll;	 /* libmicrohttpd's epoll set */
	sd_event_source *resume; /* deferred: the queue, then a run */
	struct http_request *requests;
	struct http_request *resumed; /* answered while suspended, or gone */
	bool running;		      /* inside MHD_run() */
	bool doomed;		      /* freed inside MHD_run(): released behind it */
};

/* ---- deadlines ---- */

static int on_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	struct http_connection *connection = data;
	/* libmicrohttpd sees the end of the stream, closes and tells us. */
	shutdown(connection->fd, SHUT_RDWR);
	return 0;
}

static void deadline_set(struct http_connection *connection, uint64_t seconds)
{
	sd_event_source_set_time_relative(connection->deadline, seconds * 1000000);
	sd_event_source_set_enabled(connection->deadline, SD_EVENT_ONESHOT);
}

static void deadline_stop(struct http_connection *connection)
{
	sd_event_source_set_enabled(connection->deadline, SD_EVENT_OFF);
}

/* ---- connections ---- */

static void peer_read(int fd, struct http_peer *ret)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	memset(ret, 0, sizeof(*ret));
	ret->uid = (uid_t)-1;
	if (getpeername(fd, (struct sockaddr *)&address, &length) < 0)
		return;
	if (address.ss_family != AF_UNIX) {
		endpoint_from_sockaddr((struct sockaddr *)&address, length, &ret->from);
		return;
	}
	struct ucred credentials;
	length = sizeof(credentials);
	ret->is_unix = true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
		return;
	ret->uid = credentials.uid;
	ret->pid = credentials.pid;
}

/* A host that vanished says nothing: after about 30 s of silence the kernel reports the connection dead. */
static void keepalive_set(int fd)
{
	const int on = 1, idle_s = 15, interval_s = 5, count = 3, timeout_ms = 30000;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

static void connection_free(struct http_connection *connection)
{
	if (!connection)
		return;
	sd_event_source_disable_unref(connection->deadline);
	free(connection);
}

static struct http_connection *connection_new(struct http_server *server, int fd)
{
	struct http_connection *connection = calloc(1, sizeof(*connection));
	if (!connection)
		return NULL;
	connection->server = server;
	connection->fd = fd;
	if (sd_event_add_time_relative(server->event, &connection->deadline, CLOCK_BOOTTIME,
				       (uint64_t)server->options.idle_seconds * 1000000,
				       TIMER_ACCURACY_US, on_deadline, connection) < 0) {
		free(connection);
		return NULL;
	}
	peer_read(fd, &connection->peer);
	if (!connection->peer.is_unix)
		keepalive_set(fd);
	return connection;
}

static void on_connection(void *data, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		connection_free(*context);
		*context = NULL;
		return;
	}
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	*context = info ? connection_new(data, info->connect_fd) : NULL;
}

/* ---- requests ---- */

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
	free(request->body);
	free(request);
}

static void server_wake(struct http_server *server)
{
	sd_event_source_set_enabled(server->resume, SD_EVENT_ONESHOT);
}

/* The connection is suspended: libmicrohttpd gets it back from the deferred source. */
static void request_resume(struct http_request *request, enum request_state state)
{
	struct http_server *server = request->server;
	request->watch = sd_event_source_disable_unref(request->watch);
	request->state = state;
	request->next_resumed = server->resumed;
	server->resumed = request;
	server_wake(server);
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
	deadline_set(request->connection,
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
	if (strlen(path) >= PATH_MAX_TEXT ||
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
	deadline_stop(request->connection);
	if (server->doomed)
		http_answer(request, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, NULL, 0);
	else
		server->on_request(request, server->data);
	return request->state == ANSWERED ? request_send(request) : request_keep(request);
}

/* libmicrohttpd calls this for the headers, for each piece of the body, at its end, and after a resume. */
static enum MHD_Result on_access(void *data, struct MHD_Connection *mhd, const char *path,
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
static void on_completed(void *data, struct MHD_Connection *mhd, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct http_request *request = *context;
	if (!request)
		return;
	deadline_set(request->connection, request->server->options.idle_seconds);
	request_free(request);
	*context = NULL;
}

/* ---- the loop ---- */

static void server_destroy(struct http_server *server);

static void server_resume(struct http_server *server)
{
	struct http_request *request = server->resumed;
	server->resumed = NULL;
	while (request) {
		struct http_request *next = request->next_resumed;
		MHD_resume_connection(request->mhd);
		request = next;
	}
}

/* True where libmicrohttpd has more to do at once, which no descriptor will tell. */
static bool server_run(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	server->running = true;
	MHD_run(server->daemon);
	server->running = false;
	return server->resumed ||
	       (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0);
}

static void server_step(struct http_server *server)
{
	bool more = server_run(server);
	if (server->doomed)
		server_destroy(server);
	else if (more)
		server_wake(server);
}

static int on_poll(sd_event_source *source, int fd, uint32_t events, void *data)
{
	server_step(data);
	return 0;
}

static int on_resume(sd_event_source *source, void *data)
{
	struct http_server *server = data;
	server_resume(server);
	server_step(server);
	return 0;
}

static struct MHD_Daemon *daemon_start(struct http_server *server, int listen_fd)
{
	return MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access, server,
		MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT, server->options.connections_max,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, server->options.connections_per_address_max,
		MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, server, MHD_OPTION_END);
}

static int server_watch(struct http_server *server)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -EOPNOTSUPP;
	int r = sd_event_add_io(server->event, &server->poll, info->epoll_fd, EPOLLIN, on_poll,
				server);
	if (r < 0)
		return r;
	r = sd_event_add_defer(server->event, &server->resume, on_resume, server);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(server->resume, SD_EVENT_OFF);
}

int http_server_new(sd_event *event, int listen_fd, const struct http_options *options,
		    void (*on_request)(struct http_request *request, void *data),
		    void (*on_gone)(struct http_request *request, void *data), void *data,
		    struct http_server **ret)
{
	int flags = fcntl(listen_fd, F_GETFL);
	if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	struct http_server *server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->event = sd_event_ref(event);
	server->options = *options;
	server->on_request = on_request;
	server->on_gone = on_gone;
	server->data = data;
	server->daemon = daemon_start(server, listen_fd);
	int r = server->daemon ? server_watch(server) : -EINVAL;
	if (r < 0) {
		/* The caller keeps the socket where there is no server. */
		if (server->daemon)
			MHD_quiesce_daemon(server->daemon);
		server_destroy(server);
		return r;
	}
	*ret = server;
	return 0;
}

/* The 503s go out as far as the sockets take them; nobody waits for slow readers. */
static void server_flush(struct http_server *server)
{
	for (struct http_request *request = server->requests; request; request = request->next)
		http_answer(request, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, NULL, 0);
	for (int i = 0; i < FLUSH_RUNS; i++) {
		server_resume(server);
		if (!server_run(server))
			break;
	}
	server_resume(server); /* libmicrohttpd refuses to stop while a connection is suspended */
}

static void server_destroy(struct http_server *server)
{
	if (server->daemon) {
		server_flush(server);
		MHD_stop_daemon(server->daemon);
	}
	sd_event_source_disable_unref(server->poll);
	sd_event_source_disable_unref(server->resume);
	sd_event_unref(server->event);
	free(server);
}

void http_server_free(struct http_server *server)
{
	if (!server)
		return;
	server->doomed = true;
	if (!server->running)
		server_destroy(server);
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
