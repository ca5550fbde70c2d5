/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sequence numbers count every record ever made; the ring keeps the last FLOWLOG_MAX. Kernel losses leave a gap. */
#include "daemon/flowlog.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flowlog {
	uint64_t next; /* sequence of the next record, from 1 */
	struct local_flow ring[FLOWLOG_MAX];
	size_t at, n; /* at: where the next record goes */
};

int flowlog_new(struct flowlog **ret)
{
	struct flowlog *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	log->next = 1;
	*ret = log;
	return 0;
}

void flowlog_free(struct flowlog *log)
{
	free(log);
}

void flowlog_clear(struct flowlog *log)
{
	log->n = 0;
}

uint64_t flowlog_next(const struct flowlog *log)
{
	return log->next;
}

static void format_end(char *text, size_t size, const struct addr *addr, uint16_t port,
		       uint8_t protocol)
{
	const struct endpoint endpoint = {*addr, port};
	char buffer[ENDPOINT_TEXT_MAX];

	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
		(void)snprintf(text, size, "%s", endpoint_format(&endpoint, buffer));
	else
		(void)snprintf(text, size, "%s", addr_format(addr, buffer));
}

static void format_port(char text[20], const struct nflog_packet *packet)
{
	switch (packet->protocol) {
	case IPPROTO_TCP:
		(void)snprintf(text, 20, "tcp/%u", packet->to_port);
		return;
	case IPPROTO_UDP:
		(void)snprintf(text, 20, "udp/%u", packet->to_port);
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		(void)snprintf(text, 20, "icmp");
		return;
	default:
		text[0] = '\0';
	}
}

/* The words of the firewall's log rules. direction "": the interface that is set says it. */
static const struct words {
	const char *prefix, *direction, *layer, *verdict;
} words[] = {
	{"in deny", "in", "overlay", "denied"},
	{"out deny", "out", "overlay", "denied"},
	{"underlay deny", "", "underlay", "denied"},
	{"spoof deny", "", "spoofed", "denied"},
	{"would in deny", "in", "overlay", "would-deny"},
	{"would out deny", "out", "overlay", "would-deny"},
	{"would underlay deny", "", "underlay", "would-deny"},
};

static bool read_words(const struct nflog_packet *packet, struct local_flow *flow)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const struct words *w = &words[i];
		const char *direction = w->direction[0] ? w->direction
					: packet->in[0] ? "in"
							: "out";
		if (strcmp(packet->prefix, w->prefix) != 0)
			continue;
		(void)snprintf(flow->direction, sizeof(flow->direction), "%s", direction);
		(void)snprintf(flow->layer, sizeof(flow->layer), "%s", w->layer);
		(void)snprintf(flow->verdict, sizeof(flow->verdict), "%s", w->verdict);
		return true;
	}
	return false;
}

bool flowlog_add(struct flowlog *log, const struct nflog_packet *packet, const char *peer,
		 int64_t now)
{
	struct local_flow flow = {.at = now};

	if (!read_words(packet, &flow))
		return false;
	log->next += packet->lost;
	flow.sequence = log->next++;
	(void)snprintf(flow.peer, sizeof(flow.peer), "%s", peer);
	(void)snprintf(flow.interface, sizeof(flow.interface), "%s",
		       flow.direction[0] == 'i' ? packet->in : packet->out);
	format_end(flow.from, sizeof(flow.from), &packet->from, packet->from_port,
		   packet->protocol);
	format_end(flow.to, sizeof(flow.to), &packet->to, packet->to_port, packet->protocol);
	format_port(flow.port, packet);
	log->ring[log->at] = flow;
	log->at = (log->at + 1) % FLOWLOG_MAX;
	if (log->n < FLOWLOG_MAX)
		log->n++;
	return true;
}

/* i-th record, oldest first. */
static const struct local_flow *record(const struct flowlog *log, size_t i)
{
	return &log->ring[(log->at + FLOWLOG_MAX - log->n + i) % FLOWLOG_MAX];
}

const struct local_flow *flowlog_last_denied(const struct flowlog *log)
{
	for (size_t i = log->n; i > 0; i--)
		if (strcmp(record(log, i - 1)->verdict, "denied") == 0)
			return record(log, i - 1);
	return NULL;
}

size_t flowlog_read(const struct flowlog *log, uint64_t after, bool denied_only,
		    struct local_flow *ret, size_t max, uint64_t *ret_lost)
{
	uint64_t oldest = log->n ? record(log, 0)->sequence : log->next;
	size_t n = 0;

	*ret_lost = after + 1 < oldest ? oldest - after - 1 : 0;
	for (size_t i = 0; i < log->n && n < max; i++) {
		const struct local_flow *flow = record(log, i);
		if (flow->sequence > after &&
		    (!denied_only || strcmp(flow->verdict, "denied") == 0))
			ret[n++] = *flow;
	}
	return n;
}
