/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sortie-net: HTTP, JSON transport and name resolution for sortied, without privileges, started by sortied only.
 *
 * Descriptor 3 is the channel to sortied, 4 the listening local socket. It keeps no state, holds no key and decides
 * nothing: it carries bytes both ways and ends when the channel does.
 */
#include "api/local.h"
#include "common/log.h"
#include "daemon/channel.h"
#include "daemon/net.h"
#include "daemon/sandbox.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHANNEL_FD 3
#define LOCAL_FD   4

static void on_message(const struct ipc_message *message, void *data)
{
	struct net *net = data;

	switch (message->type) {
	case IPC_RESOLVE:
		net_resolve(net, message->id, &message->resolve);
		return;
	case IPC_CALL:
		net_call(net, message->id, &message->call);
		return;
	case IPC_CALL_CANCEL:
		net_call_cancel(net, message->id);
		return;
	case IPC_LOCAL_ANSWER:
		net_local_answer(net, message->id, &message->local_answer);
		return;
	case IPC_READY:
	case IPC_RESOLVED:
	case IPC_CALL_DONE:
	case IPC_LOCAL_REQUEST:
	case IPC_LOCAL_GONE:
	case IPC_TYPES:
		break; /* ours to say: ipc_frame_length() has refused them */
	}
}

static void on_close(int error, void *data)
{
	struct net *net = data;

	if (error < 0)
		log_error("sortied sent what no message is: %s", strerror(-error));
	(void)sd_event_exit(net->event, error < 0 ? 1 : 0);
}

static int run(struct net *net, struct err *err)
{
	const struct channel_handlers handlers = {on_message, on_close, net};
	const struct http_options options = {
		.body_max = LOCAL_BODY_MAX, .connections_max = 64, .idle_seconds = 10};
	const struct ipc_message ready = {.type = IPC_READY};
	int r = sd_event_new(&net->event);

	if (r >= 0)
		r = channel_new(net->event, CHANNEL_FD, IPC_FROM_AGENT, &handlers, &net->channel);
	if (r >= 0)
		r = http_client_new(net->event, &net->client);
	if (r >= 0)
		r = http_server_new(net->event, LOCAL_FD, &options, net_on_local_request,
				    net_on_local_gone, net, &net->server);
	if (r < 0)
		return err_code(err, r, "start: %s", strerror(-r));
	r = sandbox_net_calls(getenv("SORTIE_TEST_TRAP_CALLS") != NULL, err);
	if (r == 0)
		r = channel_send(net->channel, &ready);
	return r < 0 ? r : sd_event_loop(net->event);
}

int main(int argc, char **argv)
{
	struct net net = {0};
	struct err err = {0};
	struct stat st;
	int r;

	log_init("sortie-net", LOG_LEVEL_INFO);
	if (argc != 1 || fstat(CHANNEL_FD, &st) < 0 || !S_ISSOCK(st.st_mode) ||
	    fstat(LOCAL_FD, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		log_error("sortied starts this program: it is of no use by itself");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	r = sandbox_no_dumps(&err);
	if (r == 0)
		r = run(&net, &err);
	if (r < 0)
		log_error("%s", err.text[0] ? err.text : strerror(-r));
	net_done(&net);
	return r < 0 ? 1 : r;
}
