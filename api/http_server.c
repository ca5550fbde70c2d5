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
#include "api/http_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* of a connection, and so the limit of the request line and all headers */
#define CONNECTION_MEMORY ((size_t)8 * 1024)
#define FLUSH_RUNS	  64 /* while freeing: rounds to get the last answers out */
#define TIMER_ACCURACY_US 100000

/* ---- deadlines ---- */

static int on_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	struct http_connection *connection = data;
	/* libmicrohttpd sees the end of the stream, closes and tells us. */
	shutdown(connection->fd, SHUT_RDWR);
	return 0;
}

void http_deadline_set(struct http_connection *connection, uint64_t seconds)
{
	sd_event_source_set_time_relative(connection->deadline, seconds * 1000000);
	sd_event_source_set_enabled(connection->deadline, SD_EVENT_ONESHOT);
}

void http_deadline_stop(struct http_connection *connection)
{
	sd_event_source_set_enabled(connection->deadline, SD_EVENT_OFF);
}

/* ---- connections ---- */

static void peer_read(int fd, struct http_peer *ret)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
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
		/* At the limit the library has stopped listening; it begins again in a run after this one. */
		http_server_wake(data);
		return;
	}
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	*context = info ? connection_new(data, info->connect_fd) : NULL;
}

/* ---- the loop ---- */

void http_server_wake(struct http_server *server)
{
	sd_event_source_set_enabled(server->resume, SD_EVENT_ONESHOT);
}

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
		http_server_wake(server);
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
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, http_on_access, server,
		MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT, server->options.connections_max,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, server->options.connections_per_address_max,
		MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
		http_on_completed, server, MHD_OPTION_END);
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
