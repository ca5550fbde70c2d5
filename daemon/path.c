/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Has this host moved? It has when its packets to the hub leave from another address. Then WireGuard is told the endpoints
 * again, and the hub hears from us at once, so that the relay follows within a second and not at the next echoes.
 */
#include "common/log.h"
#include "daemon/agent.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Nothing is sent: connect() only asks the routing. */
static bool find_source(const struct endpoint *hub, struct addr *ret)
{
	struct sockaddr_storage storage;
	struct endpoint own;
	socklen_t length = endpoint_to_sockaddr(hub, &storage);
	_cleanup_(closep) int fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&storage, length) < 0)
		return false;
	length = sizeof(storage);
	if (getsockname(fd, (struct sockaddr *)&storage, &length) < 0 ||
	    endpoint_from_sockaddr((const struct sockaddr *)&storage, length, &own) < 0)
		return false;
	*ret = own.addr;
	return true;
}

bool path_exists(const struct endpoint *hub)
{
	struct addr source;

	return find_source(hub, &source);
}

void path_check(struct agent *agent)
{
	struct err err = {0};
	struct addr source;
	char text[ADDR_TEXT_MAX];

	/* Without a way there is nothing to tell anybody; what was known counts when there is one again. */
	if (agent->phase != AGENT_ENROLLED || !agent->desired || agent->hubs.choice.n == 0 ||
	    !find_source(&agent->hubs.choice.list[0], &source))
		return;
	if (addr_is_set(&agent->path_source) && !addr_equal(&source, &agent->path_source)) {
		log_info("this host reaches the hub from another address: %s",
			 addr_format(&source, text));
		if (kernel_renew_endpoints(agent->kernel, agent->desired, &err) < 0)
			log_error("%s", err.text);
		probe_hurry(agent);
	}
	agent->path_source = source;
}
