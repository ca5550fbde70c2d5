/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HTTP both ways: calls through the tunnel for sortied, and the local socket's requests for sortied to answer. */
#include "daemon/net.h"
#include "api/message.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void net_done(struct net *net)
{
	for (size_t i = 0; i < NET_RESOLVES_MAX; i++) {
		struct net_lookup *lookup = &net->lookups[i];
		if (!lookup->id)
			continue;
		(void)kill(lookup->pid, SIGKILL);
		(void)waitpid(lookup->pid, NULL, 0);
		sd_event_source_disable_unref(lookup->source);
		close(lookup->fd);
	}
	http_server_free(net->server);
	http_client_free(net->client);
	channel_free(net->channel);
	sd_event_unref(net->event);
}

/* ---- calls ---- */

static struct net_call *find_call(struct net *net, uint64_t id)
{
	for (size_t i = 0; i < NET_CALLS_MAX; i++)
		if (net->calls[i].id == id)
			return &net->calls[i];
	return NULL;
}

static void send_done(struct net *net, uint64_t id, int error, unsigned int status,
		      const char *body, size_t length)
{
	struct ipc_message message = {
		.type = IPC_CALL_DONE, .id = id, .call_done = {error, status, body, length}};

	/* No answer is one that sortied waits for in vain: then rather an error. */
	if (channel_send(net->channel, &message) == -EMSGSIZE) {
		message.call_done = (struct ipc_call_done){.error = -EFBIG};
		(void)channel_send(net->channel, &message);
	}
}

static void on_call_done(int error, unsigned int status, const char *body, size_t length,
			 void *data)
{
	struct net_call *call = data;
	uint64_t id = call->id;

	call->id = 0;
	send_done(call->net, id, error, status, body, error ? 0 : length);
}

void net_call(struct net *net, uint64_t id, const struct ipc_call *call)
{
	struct net_call *slot = find_call(net, 0);
	const struct http_target target = {.to = call->to, .bind_interface = call->interface};
	int r = -EBUSY;

	if (slot) {
		slot->net = net;
		slot->id = id;
		r = http_client_call(net->client, &target, call->method, call->path, call->body,
				     call->body_length, call->timeout_ms, call->answer_max,
				     on_call_done, slot, &slot->call);
		if (r < 0)
			slot->id = 0;
	}
	if (r < 0)
		send_done(net, id, r, 0, NULL, 0);
}

void net_call_cancel(struct net *net, uint64_t id)
{
	struct net_call *call = id ? find_call(net, id) : NULL;

	if (!call)
		return;
	http_call_cancel(call->call);
	call->id = 0;
}

/* ---- the local socket ---- */

static const char *const query_names[] = {"after", "denied", "wait"};

/* The parameters that any local route knows, as "name=value&...": values are checked by sortied. */
static int build_query(const struct http_request *request, char query[IPC_PATH_MAX])
{
	size_t at = 0;

	query[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(query_names); i++) {
		const char *value = http_query(request, query_names[i]);
		int n;
		if (!value)
			continue;
		if (strchr(value, '&'))
			return -EINVAL;
		n = snprintf(query + at, IPC_PATH_MAX - at, "%s%s=%s", at ? "&" : "",
			     query_names[i], value);
		if (n < 0 || (size_t)n >= IPC_PATH_MAX - at)
			return -EMSGSIZE;
		at += (size_t)n;
	}
	return 0;
}

static void refuse(struct http_request *request, unsigned int status, const char *code,
		   const char *detail)
{
	struct problem problem = {.status = status};
	_cleanup_(freep) char *body = NULL;

	(void)snprintf(problem.code, sizeof(problem.code), "%s", code);
	(void)snprintf(problem.detail, sizeof(problem.detail), "%s", detail);
	body = problem_encode(&problem);
	http_answer(request, status, NULL, body ? body : "", body ? strlen(body) : 0);
}

static struct net_local *find_local(struct net *net, uint64_t id)
{
	for (size_t i = 0; i < NET_LOCAL_MAX; i++)
		if (net->locals[i].id == id)
			return &net->locals[i];
	return NULL;
}

void net_on_local_request(struct http_request *request, void *data)
{
	struct net *net = data;
	struct net_local *slot = find_local(net, 0);
	const struct http_peer *peer = http_peer(request);
	char query[IPC_PATH_MAX];
	struct ipc_message message = {.type = IPC_LOCAL_REQUEST};

	if (!slot || build_query(request, query) < 0) {
		refuse(request, slot ? 400 : 503, slot ? "bad-request" : "unavailable",
		       slot ? "a query parameter is too long" : "too many requests at once");
		return;
	}
	message.id = ++net->last_local_id;
	message.local_request = (struct ipc_local_request){.uid = peer->uid,
							   .pid = (uint32_t)peer->pid,
							   .method = http_method(request),
							   .path = http_path(request),
							   .query = query};
	message.local_request.body = http_body(request, &message.local_request.body_length);
	if (strlen(message.local_request.method) >= 16 ||
	    channel_send(net->channel, &message) < 0) {
		refuse(request, 400, "bad-request", "the request is too long");
		return;
	}
	slot->id = message.id;
	slot->request = request;
	http_set_data(request, slot);
}

void net_on_local_gone(struct http_request *request, void *data)
{
	struct net *net = data;
	struct net_local *slot = http_get_data(request);
	struct ipc_message message = {.type = IPC_LOCAL_GONE};

	if (!slot || slot->request != request)
		return;
	message.id = slot->id;
	slot->id = 0;
	slot->request = NULL;
	(void)channel_send(net->channel, &message);
}

void net_local_answer(struct net *net, uint64_t id, const struct ipc_local_answer *answer)
{
	struct net_local *slot = id ? find_local(net, id) : NULL;
	struct http_request *request;

	if (!slot)
		return; /* he hung up meanwhile */
	request = slot->request;
	slot->id = 0;
	slot->request = NULL;
	http_answer(request, answer->status, NULL, answer->body, answer->body_length);
}
