// SPDX-License-Identifier: GPL-2.0-or-later
/* relay/relay.h for scripts: relay_tool BPFFS COMMAND ARGUMENTS... Lifetimes are in seconds from now. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "relay/relay.h"

typedef int command(struct relay *relay, char **argv);

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

static struct mono from_now(const char *seconds)
{
	return (struct mono){.us = clock_mono().us + strtol(seconds, NULL, 10) * 1000000};
}

static int hub(struct relay *relay, char **argv)
{
	struct key key;
	int r = key_parse_b64(argv[0], &key);
	return r < 0 ? r : relay_set_hub(relay, &key, (uint16_t)number(argv[1]));
}

static int site(struct relay *relay, char **argv)
{
	struct key key;
	int r = key_parse_b64(argv[1], &key);
	return r < 0 ? r : relay_site_set(relay, number(argv[0]), &key, NULL, from_now(argv[2]));
}

static int endpoint(struct relay *relay, char **argv)
{
	struct endpoint at;
	int r = endpoint_parse(argv[1], &at);
	return r < 0 ? r : relay_site_endpoint(relay, number(argv[0]), &at);
}

static int forget(struct relay *relay, char **argv)
{
	return relay_site_endpoint(relay, number(argv[0]), NULL);
}

static int remove_site(struct relay *relay, char **argv)
{
	return relay_site_remove(relay, number(argv[0]));
}

static int pair(struct relay *relay, char **argv)
{
	return relay_pair_set(relay, number(argv[0]), number(argv[1]), from_now(argv[2]));
}

static int unpair(struct relay *relay, char **argv)
{
	return relay_pair_remove(relay, number(argv[0]), number(argv[1]));
}

static int counters(struct relay *relay, char **argv)
{
	struct relay_counters c;
	int r = relay_counters(relay, &c);
	if (r < 0)
		return r;
#define PRINT(name) printf(#name " %llu\n", (unsigned long long)c.name)
	PRINT(forwarded_packets);
	PRINT(forwarded_bytes);
	PRINT(initiations);
	PRINT(responses);
	PRINT(unknown_endpoint);
	PRINT(unknown_index);
	PRINT(pair_refused);
	PRINT(budget_refused);
	PRINT(malformed);
	PRINT(expired);
	PRINT(response_refused);
	PRINT(index_taken);
	PRINT(family_refused);
	PRINT(unreachable);
	PRINT(mac1_tests);
	PRINT(xdp_packets);
	return 0;
}

static int attachment(struct relay *relay, char **argv)
{
	return puts(relay_attachment(relay)) < 0 ? -EIO : 0;
}

static int traffic(struct relay *relay, char **argv)
{
	uint64_t packets, bytes;
	int r = relay_pair_traffic(relay, number(argv[0]), number(argv[1]), &packets, &bytes);
	if (r == 0)
		printf("%llu %llu\n", (unsigned long long)packets, (unsigned long long)bytes);
	return r;
}

static const struct {
	const char *name;
	int arguments;
	command *run;
	const char *help;
} commands[] = {
	{"hub", 2, hub, "KEY PORT"},
	{"site", 3, site, "ID KEY SECONDS"},
	{"endpoint", 2, endpoint, "ID ADDRESS:PORT"},
	{"forget", 1, forget, "ID"},
	{"remove", 1, remove_site, "ID"},
	{"pair", 3, pair, "A B SECONDS"},
	{"unpair", 2, unpair, "A B"},
	{"counters", 0, counters, ""},
	{"attachment", 0, attachment, ""},
	{"traffic", 2, traffic, "FROM TO"},
};

int main(int argc, char **argv)
{
	_cleanup_(relay_closep) struct relay *relay = NULL;
	for (size_t i = 0; argc >= 3 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[2], commands[i].name) != 0 || argc != 3 + commands[i].arguments)
			continue;
		int r = relay_open(argv[1], &relay);
		if (r == 0)
			r = commands[i].run(relay, argv + 3);
		if (r < 0)
			fprintf(stderr, "relay_tool %s: %s\n", argv[2], strerror(-r));
		return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, "relay_tool BPFFS %s %s\n", commands[i].name, commands[i].help);
	return 2;
}
