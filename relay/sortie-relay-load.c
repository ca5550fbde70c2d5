// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sortie-relay-load: the one step of the relay that needs privilege. Runs, prints one line, ends; what it attached and
 * pinned stays. Safe to run again at any time.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "relay/load.h"

enum { EXIT_USAGE = 2 };

static const char usage_text[] =
	"usage: sortie-relay-load --interface IF [--interface IF2] --bpffs DIR --port PORT [--owner UID]\n"
	"       sortie-relay-load --unload --bpffs DIR\n"
	"Loads the relay, attaches it where packets enter IF, and pins it and its maps in DIR (on a bpf\n"
	"filesystem). UID may write the maps. Pins of the same layout are adopted. Exit: 0, 1 failed, 2 usage.\n";

struct options {
	struct relay_load load;
	bool unload;
};

static bool number_parse(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return false;
	unsigned long value = strtoul(text, &end, 10);
	if (*end != '\0' || value > max)
		return false;
	*ret = value;
	return true;
}

static bool option_take(struct options *options, int option, const char *value)
{
	struct relay_load *load = &options->load;
	unsigned long number = 0;
	switch (option) {
	case 'i':
		if (load->interface_count == RELAY_INTERFACES)
			return false;
		load->interfaces[load->interface_count++] = value;
		return true;
	case 'b':
		load->bpffs_dir = value;
		return true;
	case 'p':
		if (!number_parse(value, UINT16_MAX, &number) || number == 0)
			return false;
		load->port = (uint16_t)number;
		return true;
	case 'o':
		if (!number_parse(value, UINT32_MAX - 1, &number))
			return false;
		load->owner = (uid_t)number;
		return true;
	case 'u':
		options->unload = true;
		return true;
	default:
		return false;
	}
}

static bool options_parse(int argc, char **argv, struct options *ret)
{
	static const struct option table[] = {
		{"interface", required_argument, NULL, 'i'},
		{"bpffs", required_argument, NULL, 'b'},
		{"port", required_argument, NULL, 'p'},
		{"owner", required_argument, NULL, 'o'},
		{"unload", no_argument, NULL, 'u'},
		{NULL, 0, NULL, 0},
	};
	int option;
	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1)
		if (!option_take(ret, option, optarg))
			return false;
	if (optind != argc || !ret->load.bpffs_dir)
		return false;
	return ret->unload || (ret->load.interface_count > 0 && ret->load.port != 0);
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct err err = {0};
	bool adopted = false;
	log_init("sortie-relay-load", LOG_LEVEL_INFO);
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage_text, stdout);
		return EXIT_SUCCESS;
	}
	if (!options_parse(argc, argv, &options)) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	int r = options.unload ? relay_unload(options.load.bpffs_dir, &err)
			       : relay_load(&options.load, &adopted, &err);
	if (r < 0) {
		log_error("%s", err.text);
		return EXIT_FAILURE;
	}
	if (options.unload)
		log_info("detached and removed %s", options.load.bpffs_dir);
	else
		log_info("port %u, %s maps in %s", options.load.port, adopted ? "adopted" : "new",
			 options.load.bpffs_dir);
	return EXIT_SUCCESS;
}
