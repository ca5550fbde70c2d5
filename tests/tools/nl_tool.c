/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink/'s flows and logged packets for test scripts.
 *
 *   nl_tool flows LIMIT            one line a flow: "PROTOCOL FROM TO conntrack|socket"
 *   nl_tool adopt                  tells conntrack of older connections, prints how many it did not know
 *   nl_tool nflog GROUP COUNT SECONDS      prints "ready", then COUNT packets, one line each; exit 1 if fewer came
 *   nl_tool listen PORT            accepts TCP over both families and holds what comes, until it is killed
 *   nl_tool connect ADDRESS PORT   connects, prints "ready", holds until it is killed
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "common/cleanup.h"
#include "common/clock.h"
#include "netlink/flows.h"
#include "netlink/nflog.h"

static int number(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

static int report(int r)
{
	if (r < 0)
		(void)fprintf(stderr, "%s\n", strerrorname_np(-r));
	return r < 0;
}

static int show_flows(char **argv)
{
	_cleanup_(freep) struct flow *flows = NULL;
	char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];
	size_t n = 0;
	int r = flows_inbound((size_t)number(argv[0]), &flows, &n);

	for (size_t i = 0; i < n; i++)
		printf("%u %s %s %s\n", flows[i].protocol, endpoint_format(&flows[i].from, from),
		       endpoint_format(&flows[i].to, to),
		       flows[i].from_sockets ? "socket" : "conntrack");
	return report(r);
}

static int adopt(char **argv)
{
	size_t n = 0;
	int r = flows_adopt(&n);

	printf("%zu\n", n);
	return report(r);
}

static void on_packet(const struct nflog_packet *packet, void *data)
{
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];

	printf("[%s] mark %u in %s out %s %u %s %u %s %u lost %lu\n", packet->prefix, packet->mark,
	       packet->in, packet->out, packet->protocol, addr_format(&packet->from, from),
	       packet->from_port, addr_format(&packet->to, to), packet->to_port,
	       (unsigned long)packet->lost);
	(*(int *)data)++;
}

static int show_packets(char **argv)
{
	struct mono start = clock_mono();
	struct nflog *nflog;
	int seen = 0, r = nflog_open((uint16_t)number(argv[0]), on_packet, &seen, &nflog);

	if (r < 0)
		return report(r);
	puts("ready");
	while (r == 0 && seen < number(argv[1]) &&
	       mono_diff_ms(clock_mono(), start) < 1000 * number(argv[2])) {
		struct pollfd fd = {.fd = nflog_fd(nflog), .events = POLLIN};
		if (poll(&fd, 1, 100) > 0)
			r = nflog_dispatch(nflog);
	}
	nflog_close(nflog);
	return report(r) || seen < number(argv[1]);
}

static int listen_on(char **argv)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)number(argv[0]))};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 16) < 0)
		return report(-errno);
	puts("ready");
	while (accept(fd, NULL, NULL) >= 0)
		; /* held on purpose */
	return 1;
}

static int connect_to(char **argv)
{
	struct endpoint endpoint = {.port = (uint16_t)number(argv[1])};
	struct sockaddr_storage storage;
	socklen_t length;
	int fd;

	if (addr_parse(argv[0], &endpoint.addr) < 0)
		return report(-EINVAL);
	length = endpoint_to_sockaddr(&endpoint, &storage);
	fd = socket(endpoint.addr.family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&storage, length) < 0)
		return report(-errno);
	puts("ready");
	return pause();
}

static const struct {
	const char *name;
	int arguments;
	int (*run)(char **argv);
} commands[] = {
	{"flows", 1, show_flows}, {"adopt", 0, adopt},	      {"nflog", 3, show_packets},
	{"listen", 1, listen_on}, {"connect", 2, connect_to},
};

int main(int argc, char **argv)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, argv[1]) && argc == commands[i].arguments + 2)
			return commands[i].run(argv + 2);
	(void)fprintf(stderr, "usage: see the head of tests/tools/nl_tool.c\n");
	return 2;
}
