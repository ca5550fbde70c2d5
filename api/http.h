/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP/1.1 inside an sd-event loop: a server (libmicrohttpd) and a client (libcurl multi), both single-threaded.
 *
 * Limits hold before a handler sees a request: body, header size, connections, idle time. Requests and answers are
 * whole bodies; long polls keep a request and answer it later. All functions return 0 or a negative errno.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>
#include "common/addr.h"
#include "common/cleanup.h"

struct http_server;
struct http_request; /* lives until http_answer(); freed by the server */

struct http_peer {
	struct endpoint from; /* TCP; unset for Unix sockets */
	bool is_unix;
	uid_t uid; /* Unix: SO_PEERCRED */
	pid_t pid;
};

struct http_options {
	size_t body_max;
	unsigned int connections_max;
	unsigned int connections_per_address_max; /* 0: no limit of its own */
	/*
	 * For a request from its first to its last byte, and between two requests of a connection; an answer has
	 * this and a second for each 8 KiB. Then the connection is closed. Kept requests are the handler's: he sets
	 * their deadline.
	 */
	unsigned int idle_seconds;
};

/*
 * Serves on a listening socket (TCP or Unix, taken over). on_request is called once a request is complete; it
 * answers with http_answer() at once or keeps the request for later. on_gone (may be NULL) tells that a kept request
 * was abandoned: do not answer it any more. A client that closes is seen at once, a host that vanished after 30 s.
 * Bodies need a Content-Length: over body_max is 413, chunked 411, both before any of the body is read.
 */
int http_server_new(sd_event *event, int listen_fd, const struct http_options *options,
		    void (*on_request)(struct http_request *request, void *data),
		    void (*on_gone)(struct http_request *request, void *data), void *data,
		    struct http_server **ret);
/* Kept requests are answered 503, without on_gone. May be called from on_request. */
void http_server_free(struct http_server *server);
DEFINE_CLEANUP(http_server_free, struct http_server *);

const char *http_method(const struct http_request *request);
const char *http_path(const struct http_request *request); /* without the query */
const char *http_query(const struct http_request *request, const char *name); /* NULL; borrowed */
const char *http_body(const struct http_request *request, size_t *ret_length);
const struct http_peer *http_peer(const struct http_request *request);
void http_set_data(struct http_request *request, void *data);
void *http_get_data(const struct http_request *request);
/* Copies body. content_type NULL: application/json (problem+json from status 400). May be called from any callback. */
void http_answer(struct http_request *request, unsigned int status, const char *content_type,
		 const char *body, size_t length);

struct http_client;
struct http_call;

int http_client_new(sd_event *event, struct http_client **ret);
void http_client_free(struct http_client *client); /* open calls are dropped without a word */
DEFINE_CLEANUP(http_client_free, struct http_client *);

struct http_target {
	struct endpoint to;	      /* TCP; or */
	const char *unix_path;	      /* a Unix socket */
	const char *bind_interface;   /* SO_BINDTODEVICE, may be NULL */
	const struct addr *bind_addr; /* source address, may be NULL */
};

/*
 * on_done gets 0 and the HTTP status and body (borrowed), or a negative errno (-ETIMEDOUT, -ECONNREFUSED,
 * -EHOSTUNREACH, -EFBIG over answer_max, -EIO). body NULL: GET. *ret_call (may be NULL) is valid until on_done.
 */
int http_client_call(struct http_client *client, const struct http_target *target,
		     const char *method, const char *path, const char *body, size_t length,
		     unsigned int timeout_ms, size_t answer_max,
		     void (*on_done)(int error, unsigned int status, const char *body,
				     size_t length, void *data),
		     void *data, struct http_call **ret_call);
void http_call_cancel(struct http_call *call); /* on_done is not called */

/* The same without a loop, for the CLI. *ret_body is malloc()ed. */
int http_call_wait(const struct http_target *target, const char *method, const char *path,
		   const char *body, size_t length, unsigned int timeout_ms, size_t answer_max,
		   unsigned int *ret_status, char **ret_body, size_t *ret_length);

/* A listening Unix socket with this mode; an old socket file is replaced if nobody answers on it (-EADDRINUSE). */
int http_listen_unix(const char *path, mode_t mode, int *ret_fd);
/* A listening TCP socket on one address and device (SO_BINDTODEVICE, IPV6_V6ONLY, IP_FREEBIND). */
int http_listen_tcp(const struct endpoint *at, const char *interface, int *ret_fd);
