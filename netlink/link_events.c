/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Change events of links, addresses and routes: a plain multicast socket, since only the interface matters and who is
 * told looks at the kernel again anyway. What cannot be read or remembered becomes index 0.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include "netlink/answer.h"
#include "netlink/link.h"
#include "netlink/nl.h"

#define DATAGRAMS_PER_DISPATCH 64
#define INDICES_MAX	       64 /* more at once: "look at everything" */

struct link_events {
	struct nl *nl;
	void (*on_change)(unsigned int index, void *data);
	void *data;
	unsigned int indices[INDICES_MAX];
	size_t n_indices;
	_Alignas(struct nlmsghdr) uint8_t buffer[32768];
};

static const uint32_t groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				  RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};

int link_events_open(void (*on_change)(unsigned int index, void *data), void *data,
		     struct link_events **ret)
{
	struct link_events *events = calloc(1, sizeof(*events));
	int r;

	if (!events)
		return -ENOMEM;
	events->on_change = on_change;
	events->data = data;
	r = nl_open(NETLINK_ROUTE, &events->nl);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(groups); i++)
		r = nl_join(events->nl, groups[i]);
	if (r < 0) {
		link_events_close(events);
		return r;
	}
	*ret = events;
	return 0;
}

void link_events_close(struct link_events *events)
{
	if (!events)
		return;
	nl_close(events->nl);
	free(events);
}

int link_events_fd(const struct link_events *events)
{
	return nl_fd(events->nl);
}

static void remember(struct link_events *events, unsigned int index)
{
	for (size_t i = 0; i < events->n_indices; i++)
		if (events->indices[i] == index)
			return;
	/* the last place is kept for 0 */
	if (events->n_indices >= INDICES_MAX - 1 && index != 0)
		remember(events, 0);
	else
		events->indices[events->n_indices++] = index;
}

static unsigned int route_index(const struct nlmsghdr *message)
{
	const struct nlattr *table[RTA_OIF + 1];
	uint32_t index = 0;

	if (attributes_of_message(message, sizeof(struct rtmsg), table, RTA_OIF) == 0)
		(void)attribute_copy(table[RTA_OIF], &index, sizeof(index));
	return index;
}

static unsigned int message_index(const struct nlmsghdr *message)
{
	size_t length = mnl_nlmsg_get_payload_len(message);

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (length >= sizeof(struct ifinfomsg))
			return (unsigned int)((const struct ifinfomsg *)NLMSG_DATA(message))
				->ifi_index;
		return 0;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (length >= sizeof(struct ifaddrmsg))
			return ((const struct ifaddrmsg *)NLMSG_DATA(message))->ifa_index;
		return 0;
	default:
		return route_index(message);
	}
}

static void read_datagram(struct link_events *events, size_t length)
{
	const uint8_t *at = events->buffer;
	const struct nlmsghdr *message;
	int error = 0;

	while ((message = message_next(&at, &length, &error)))
		remember(events, message_index(message));
	if (error)
		remember(events, 0);
}

/* 1: read something, 0: nothing there, else a negative errno. */
static int receive(struct link_events *events)
{
	ssize_t n = recv(link_events_fd(events), events->buffer, sizeof(events->buffer),
			 MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno != ENOBUFS)
		return -errno;
	if (n < 0 || (size_t)n > sizeof(events->buffer))
		remember(events, 0);
	else
		read_datagram(events, (size_t)n);
	return 1;
}

int link_events_dispatch(struct link_events *events)
{
	int r = 1;

	events->n_indices = 0;
	for (int i = 0; r > 0 && i < DATAGRAMS_PER_DISPATCH; i++)
		r = receive(events);
	for (size_t i = 0; i < events->n_indices; i++)
		events->on_change(events->indices[i], events->data);
	return r < 0 ? r : 0;
}
