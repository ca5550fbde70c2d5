/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listeners and what every request must pass before a handler sees it: own addresses, rate, route. */
#include "control-plane/server.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "api/message.h"
#include "api/routes.h"
#include "common/log.h"
#include "control-plane/admin.h"
#include "control-plane/enroll.h"
#include "control-plane/reply.h"
#include "control-plane/sync.h"

/* A second and address. Of an address is one token, and each refusal is an audit row. */
#define ENROLL_RATE  0.1
#define ENROLL_BURST 20.0
/* an address is one identity */
#define API_RATE  20.0
#define API_BURST 200.0

static const struct http_options enroll_options = {
	.body_max = API_ENROLL_BODY_MAX,
	.connections_max = 256,
	.connections_per_address_max = 4,
	.idle_seconds = 10,
};

/* an agent has one poll and now and then a second call */
static const struct http_options api_options = {
	.body_max = API_CALL_BODY_MAX,
	.connections_max = 8192,
	.connections_per_address_max = 8,
	.idle_seconds = 15,
};

static const struct http_options admin_options = {
	.body_max = ADMIN_BODY_MAX,
	.connections_max = 64,
	.idle_seconds = 30,
};

/* ---- before the handlers ---- */

static bool is_own(const struct control *control, const struct addr *addr)
{
	const struct root_statement *root = control_root(control);
	struct addr hub6 = hub_address6(&root->overlay6), hub4 = {0};

	if (addr_is_set(&root->overlay4.addr))
		hub4 = hub_address4(&root->overlay4);
	return !addr_is_set(addr) || addr_equal(addr, &hub6) || addr_equal(addr, &hub4);
}

/* Fills reply and returns false where the request goes no further. */
static bool may_pass(struct control *control, struct http_request *request,
		     enum route_socket socket, struct limit *limit, enum route *ret_route,
		     struct reply *reply)
{
	const struct addr *from = &http_peer(request)->from.addr;
	int r;

	if (is_own(control, from)) {
		reply_problem(reply, "forbidden",
			      "only peers of the tunnel may call, not this host");
		return false;
	}
	if (!limit_take(limit, from, clock_mono())) {
		reply_problem(reply, "too-many", "too many requests; wait a few seconds");
		return false;
	}
	r = route_find(socket, http_method(request), http_path(request), ret_route);
	if (r == -ENOENT)
		reply_problem(reply, "not-found", "the control plane has no such call");
	else if (r < 0)
		reply_problem(reply, "method-not-allowed", "the path has another method");
	return r == 0;
}

static void end_if_failed(struct control *control)
{
	if (store_failed(control->store))
		control_fatal(control, "the disk failed to sync a commit");
}

/* ---- enrolment ---- */

static void on_enroll(struct http_request *request, void *data)
{
	struct control *control = data;
	const struct enroll enroll = {
		.store = control->store, .trust = control->trust, .root = control->root};
	struct reply reply = {0};
	enum route route;
	struct id id;
	size_t length;
	const char *body;

	if (!may_pass(control, request, ROUTE_ENROLL, control->enroll_limit, &route, &reply)) {
		reply_send(&reply, request);
		return;
	}
	body = http_body(request, &length);
	if (enroll_handle(&enroll, &http_peer(request)->from.addr, body, length, clock_wall(),
			  &reply, &id) == 1)
		control_enrolled(control, &id); /* the hub has the peer before the answer is out */
	else
		log_info("enrolment answered with status %u", reply.status);
	reply_send(&reply, request);
	end_if_failed(control);
}

/* ---- API ---- */

static void version_call(struct control *control, struct reply *reply)
{
	struct version_answer answer = {0};

	snprintf(answer.version, sizeof(answer.version), "%s", SORTIE_VERSION);
	snprintf(answer.boot_id, sizeof(answer.boot_id), "%s", control->boot_id);
	reply_json(reply, version_answer_encode(&answer));
}

static void on_api(struct http_request *request, void *data)
{
	struct control *control = data;
	struct reply reply = {0};
	enum route route;

	if (may_pass(control, request, ROUTE_API, control->api_limit, &route, &reply)) {
		if (route == ROUTE_API_SYNC) {
			sync_request(control, request);
			end_if_failed(control);
			return;
		}
		version_call(control, &reply);
	}
	reply_send(&reply, request);
}

static void on_api_gone(struct http_request *request, void *data)
{
	sync_gone(data, request);
}

static void on_admin(struct http_request *request, void *data)
{
	admin_request(data, request);
}

static void on_admin_gone(struct http_request *request, void *data)
{
	admin_gone(data, request);
}

/* ---- listeners ---- */

int server_open_admin(struct control *control, struct err *err)
{
	_cleanup_(closep) int fd = -1;
	const char *path = control->options->socket_path;
	int r = http_listen_unix(path, 0600, &fd);

	if (r == 0)
		r = http_server_new(control->event, take_fd(&fd), &admin_options, on_admin,
				    on_admin_gone, control, &control->admin);
	if (r < 0)
		return err_code(err, r, "cannot listen on %.150s: %s%s", path, strerror(-r),
				r == -EADDRINUSE ? "; another sortie-control runs" : "");
	return 0;
}

static int listen_on(struct control *control, const struct addr *addr, uint16_t port,
		     const struct http_options *options,
		     void (*on_request)(struct http_request *request, void *data),
		     void (*on_gone)(struct http_request *request, void *data),
		     struct http_server **ret, struct err *err)
{
	const struct endpoint at = {.addr = *addr, .port = port};
	char text[ENDPOINT_TEXT_MAX];
	_cleanup_(closep) int fd = -1;
	int r = http_listen_tcp(&at, control->options->ifname, &fd);

	if (r == 0)
		r = http_server_new(control->event, take_fd(&fd), options, on_request, on_gone,
				    control, ret);
	if (r < 0)
		return err_code(err, r, "cannot listen on %s of %s: %s", endpoint_format(&at, text),
				control->options->ifname, strerror(-r));
	return 0;
}

static void close_tunnel(struct control *control)
{
	for (size_t i = 0; i < control->inventory.n; i++)
		sync_end_poll(control->inventory.members[i], "unavailable",
			      "the control plane's interface was made anew; try again");
	http_server_free(take_pointer(control->enroll));
	http_server_free(take_pointer(control->api[0]));
	http_server_free(take_pointer(control->api[1]));
	control->listening_index = 0;
}

int server_open_tunnel(struct control *control, struct err *err)
{
	const struct root_statement *root = control_root(control);
	struct addr hub6 = hub_address6(&root->overlay6), hub4;
	int r;

	close_tunnel(control);
	if (!control->enroll_limit)
		control->enroll_limit = limit_new(ENROLL_RATE, ENROLL_BURST);
	if (!control->api_limit)
		control->api_limit = limit_new(API_RATE, API_BURST);
	if (!control->enroll_limit || !control->api_limit)
		return -ENOMEM;
	r = listen_on(control, &hub6, root->enroll_port, &enroll_options, on_enroll, NULL,
		      &control->enroll, err);
	if (r == 0)
		r = listen_on(control, &hub6, root->api_port, &api_options, on_api, on_api_gone,
			      &control->api[0], err);
	if (r == 0 && addr_is_set(&root->overlay4.addr)) {
		hub4 = hub_address4(&root->overlay4);
		r = listen_on(control, &hub4, root->api_port, &api_options, on_api, on_api_gone,
			      &control->api[1], err);
	}
	if (r == 0)
		control->listening_index = hub_index(control->hub);
	return r;
}

void server_close(struct control *control)
{
	close_tunnel(control);
	http_server_free(take_pointer(control->admin));
	free(control->enroll_limit);
	free(control->api_limit);
}
