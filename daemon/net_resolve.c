/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names to endpoints. getaddrinfo() waits for name servers, so a forked helper waits and answers on a pipe; the loop
 * goes on. The helper writes one struct ipc_resolved, smaller than PIPE_BUF, or dies.
 */
#include "daemon/net.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

_Static_assert(sizeof(struct ipc_resolved) <= PIPE_BUF, "one write is one answer");

static int errno_of(int gai_error)
{
	switch (gai_error) {
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno ? -errno : -EIO;
	default:
		return -ENOENT;
	}
}

int net_lookup_now(const char *host, uint16_t port, struct ipc_resolved *ret)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	char service[8];
	int r;

	memset(ret, 0, sizeof(*ret));
	(void)snprintf(service, sizeof(service), "%u", port);
	r = getaddrinfo(host, service, &hints, &list);
	if (r != 0)
		return errno_of(r);
	for (const struct addrinfo *a = list; a && ret->n_endpoints < IPC_ENDPOINTS_MAX;
	     a = a->ai_next)
		if (endpoint_from_sockaddr(a->ai_addr, a->ai_addrlen,
					   &ret->endpoints[ret->n_endpoints]) == 0)
			ret->n_endpoints++;
	freeaddrinfo(list);
	return ret->n_endpoints > 0 ? 0 : -ENOENT;
}

static void answer(struct net *net, uint64_t id, const struct ipc_resolved *resolved)
{
	struct ipc_message message = {.type = IPC_RESOLVED, .id = id, .resolved = *resolved};

	(void)channel_send(net->channel, &message);
}

static int on_helper(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct net_lookup *lookup = data;
	struct ipc_resolved resolved = {0};
	uint64_t id = lookup->id;

	if (read(fd, &resolved, sizeof(resolved)) != (ssize_t)sizeof(resolved))
		resolved = (struct ipc_resolved){.error = -EIO};
	/* It has written or died: it ends at once. */
	(void)waitpid(lookup->pid, NULL, 0);
	lookup->source = sd_event_source_disable_unref(lookup->source);
	close(lookup->fd);
	lookup->id = 0;
	answer(lookup->net, id, &resolved);
	return 0;
}

static _Noreturn void help(int fd, const struct ipc_resolve *resolve)
{
	struct ipc_resolved resolved;
	int r = net_lookup_now(resolve->host, resolve->port, &resolved);

	resolved.error = r;
	_exit(write(fd, &resolved, sizeof(resolved)) == (ssize_t)sizeof(resolved) ? 0 : 1);
}

static int start_helper(struct net *net, struct net_lookup *lookup,
			const struct ipc_resolve *resolve)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	lookup->pid = fork();
	if (lookup->pid == 0)
		help(fds[1], resolve);
	r = lookup->pid < 0 ? -errno : 0;
	close(fds[1]);
	if (r == 0)
		r = sd_event_add_io(net->event, &lookup->source, fds[0], EPOLLIN, on_helper,
				    lookup);
	if (r < 0) {
		close(fds[0]);
		return r;
	}
	lookup->fd = fds[0];
	return 0;
}

void net_resolve(struct net *net, uint64_t id, const struct ipc_resolve *resolve)
{
	int r = -EBUSY;

	for (size_t i = 0; i < NET_RESOLVES_MAX && r == -EBUSY; i++) {
		struct net_lookup *lookup = &net->lookups[i];
		if (lookup->id)
			continue;
		r = start_helper(net, lookup, resolve);
		if (r == 0) {
			lookup->net = net;
			lookup->id = id;
		}
	}
	if (r < 0)
		answer(net, id, &(struct ipc_resolved){.error = r});
}
