/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The question that firewall/foreign.c answers, out of what the agent knows and the links that are there. */
#include "daemon/beside.h"
#include <net/if.h>
#include <string.h>
#include "netlink/link.h"

#define PAUSE_FACTOR 10

static void add_container(struct foreign_question *question, const char *ifname)
{
	if (question->n_containers < FOREIGN_CONTAINERS_MAX)
		(void)snprintf(question->containers[question->n_containers++], IFNAMSIZ, "%s",
			       ifname);
}

static bool is_uplink(const struct fw_desired *desired, const char *ifname)
{
	for (size_t i = 0; i < desired->n_uplink_ifnames; i++)
		if (strncmp(desired->uplink_ifnames[i], ifname, IFNAMSIZ) == 0)
			return true;
	return false;
}

/* As the firewall sees it: the interfaces that are named, else every bridge that is no uplink. */
static int add_containers(struct foreign_question *question)
{
	const struct fw_desired *desired = question->desired;
	_cleanup_(link_closep) struct link_handle *handle = NULL;
	_cleanup_(freep) struct link_info *links = NULL;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < desired->n_container_ifnames; i++)
		add_container(question, desired->container_ifnames[i]);
	if (!desired->containers || desired->n_container_ifnames)
		return 0;
	r = link_open(&handle);
	if (r == 0)
		r = link_list(handle, &links, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(links[i].kind, "bridge") == 0 && !is_uplink(desired, links[i].name))
			add_container(question, links[i].name);
	return r;
}

int beside_look(const struct agent *agent, const struct fw_desired *desired,
		struct foreign_finding **ret, size_t *ret_n)
{
	struct foreign_question question = {.desired = desired,
					    .ipv6 = agent->ipv6,
					    .ipv4 = agent->ipv4,
					    .ifindex = if_nametoindex(desired->ifname)};
	int r = add_containers(&question);

	return r < 0 ? r : foreign_look(&question, ret, ret_n);
}

void beside_forget(struct agent *agent)
{
	free(agent->beside.findings);
	agent->beside = (struct agent_beside){0};
}

int beside_recent(struct agent *agent, const struct foreign_finding **ret, size_t *ret_n)
{
	struct agent_beside *recent = &agent->beside;
	struct agent_beside fresh = {.generation = verify_generation(agent), .of = agent->desired};
	struct mono begin = clock_mono(), end;
	int r = 0;

	if (begin.us >= recent->not_before.us &&
	    (!recent->generation || fresh.generation != recent->generation ||
	     fresh.of != recent->of)) {
		r = beside_look(agent, &agent->desired->fw, &fresh.findings, &fresh.n);
		end = clock_mono();
		fresh.not_before.us = end.us + (end.us - begin.us) * PAUSE_FACTOR;
		beside_forget(agent);
		*recent = fresh;
	}
	*ret = recent->findings;
	*ret_n = recent->n;
	return r;
}
