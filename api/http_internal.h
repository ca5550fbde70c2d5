/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What http_server.c (loop, connections, deadlines) and http_request.c (one request from its headers to its answer)
 * share. Nobody else includes this.
 */
#pragma once
#include <microhttpd.h>
#include "api/http.h"

#define HTTP_PATH_MAX 256

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
	char path[HTTP_PATH_MAX];
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

/* ---- http_server.c ---- */

/* The connection is shut down when the time is over. */
void http_deadline_set(struct http_connection *connection, uint64_t seconds);
void http_deadline_stop(struct http_connection *connection);
/* Has the deferred source resume the queue and run libmicrohttpd. */
void http_server_wake(struct http_server *server);

/* ---- http_request.c: libmicrohttpd's callbacks ---- */

/* For the headers, for each piece of the body, at its end, and after a resume. */
enum MHD_Result http_on_access(void *data, struct MHD_Connection *mhd, const char *path,
			       const char *method, const char *version, const char *upload,
			       size_t *upload_length, void **context);
/* Answered and written, or broken. */
void http_on_completed(void *data, struct MHD_Connection *mhd, void **context,
		       enum MHD_RequestTerminationCode code);
