/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports and sets of them. One text for one port: no leading zeros, no "tcp/5-5". */
#include "policy/port.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/node.h"

#define EXPECTED "write tcp/N, udp/N, tcp/N-M, udp/N-M (1 to 65535) or icmp"

/* Reads 1..65535 without leading zeros; returns what follows or NULL. */
static const char *read_number(const char *text, uint16_t *ret)
{
	unsigned long value = 0;

	if (*text < '1' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		value = value * 10 + (unsigned long)(*text - '0');
		if (value > UINT16_MAX)
			return NULL;
	}
	*ret = (uint16_t)value;
	return text;
}

int policy_port_parse(const char *text, struct policy_port *ret, struct err *err)
{
	struct policy_port port = {0};
	char quoted[QUOTED_MAX];
	const char *rest;

	if (strcmp(text, "icmp") == 0) {
		*ret = (struct policy_port){.protocol = IPPROTO_ICMP};
		return 0;
	}
	if (strncmp(text, "tcp/", 4) == 0)
		port.protocol = IPPROTO_TCP;
	else if (strncmp(text, "udp/", 4) == 0)
		port.protocol = IPPROTO_UDP;
	else
		return err_set(err, "port \"%s\": " EXPECTED, quote(text, quoted));
	rest = read_number(text + 4, &port.low);
	port.high = port.low;
	if (rest && *rest == '-')
		rest = read_number(rest + 1, &port.high);
	if (!rest || *rest)
		return err_set(err, "port \"%s\": " EXPECTED, quote(text, quoted));
	if (port.high < port.low || (port.high == port.low && strchr(text, '-')))
		return err_set(err, "port \"%s\": the range's end is not behind its beginning",
			       quote(text, quoted));
	*ret = port;
	return 0;
}

const char *policy_port_format(const struct policy_port *port, char text[POLICY_PORT_TEXT_MAX])
{
	const char *protocol = port->protocol == IPPROTO_TCP ? "tcp" : "udp";

	if (port->protocol == IPPROTO_ICMP)
		(void)snprintf(text, POLICY_PORT_TEXT_MAX, "icmp");
	else if (port->low == port->high)
		(void)snprintf(text, POLICY_PORT_TEXT_MAX, "%s/%u", protocol, port->low);
	else
		(void)snprintf(text, POLICY_PORT_TEXT_MAX, "%s/%u-%u", protocol, port->low,
			       port->high);
	return text;
}

int port_compare(const struct policy_port *a, const struct policy_port *b)
{
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return (a->high > b->high) - (a->high < b->high);
}

static int compare_ports(const void *a, const void *b)
{
	return port_compare(a, b);
}

void ports_normalise(struct policy_port *ports, size_t *n)
{
	size_t kept = 0;

	if (*n == 0)
		return;
	qsort(ports, *n, sizeof(*ports), compare_ports);
	for (size_t i = 1; i < *n; i++) {
		struct policy_port *last = &ports[kept];
		if (ports[i].protocol != last->protocol ||
		    (unsigned int)ports[i].low > (unsigned int)last->high + 1)
			ports[++kept] = ports[i];
		else if (ports[i].high > last->high)
			last->high = ports[i].high;
	}
	*n = kept + 1;
}

bool port_covers(const struct policy_port *outer, const struct policy_port *inner)
{
	return outer->protocol == inner->protocol && outer->low <= inner->low &&
	       inner->high <= outer->high;
}

bool port_overlaps(const struct policy_port *a, const struct policy_port *b)
{
	return a->protocol == b->protocol && a->low <= b->high && b->low <= a->high;
}

bool ports_cover(const struct policy_port *ports, size_t n, const struct policy_port *port)
{
	for (size_t i = 0; i < n; i++)
		if (port_covers(&ports[i], port))
			return true;
	return false;
}

const char *ports_format(const struct policy_port *ports, size_t n, char *text, size_t size)
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < n; i++) {
		char one[POLICY_PORT_TEXT_MAX];
		bool last = i + 1 == n;
		/* room for this one and, unless it is the last, for the dots */
		if (used + POLICY_PORT_TEXT_MAX + (last ? 2 : 7) > size) {
			(void)snprintf(text + used, size - used, "%s", i ? ", ..." : "...");
			break;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
					 policy_port_format(&ports[i], one));
	}
	return text;
}
