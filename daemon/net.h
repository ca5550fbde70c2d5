/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sortie-net's three trades: calls to the hub, the local socket, names. Every list has a limit; over it is an error. */
#pragma once
#include <sys/types.h>
#include <systemd/sd-event.h>
#include "api/http.h"
#include "daemon/channel.h"

#define NET_CALLS_MAX	 16
#define NET_LOCAL_MAX	 64
#define NET_RESOLVES_MAX 4

struct net;

struct net_call {
	struct net *net;
	uint64_t id; /* 0: free */
	struct http_call *call;
};

struct net_local {
	uint64_t id; /* 0: free */
	struct http_request *request;
};

/* A forked helper that may wait for a name server, and the pipe on which it answers. */
struct net_lookup {
	struct net *net;
	uint64_t id; /* 0: free */
	pid_t pid;
	int fd;
	sd_event_source *source;
};

struct net {
	sd_event *event;
	struct channel *channel;
	struct http_client *client;
	struct http_server *server;
	uint64_t last_local_id;
	struct net_call calls[NET_CALLS_MAX];
	struct net_local locals[NET_LOCAL_MAX];
	struct net_lookup lookups[NET_RESOLVES_MAX];
};

void net_done(struct net *net);

void net_call(struct net *net, uint64_t id, const struct ipc_call *call);
void net_call_cancel(struct net *net, uint64_t id);

void net_on_local_request(struct http_request *request, void *data);
void net_on_local_gone(struct http_request *request, void *data);
void net_local_answer(struct net *net, uint64_t id, const struct ipc_local_answer *answer);

void net_resolve(struct net *net, uint64_t id, const struct ipc_resolve *resolve);
/* Blocks: what the helper runs. Numeric addresses need no name server. Returns 0 or a negative errno. */
int net_lookup_now(const char *host, uint16_t port, struct ipc_resolved *ret);
