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

enum { EXIT_USAGE = 2, ALT_PORT = 443 };

static const char usage_text[] =
	"usage: sortie-relay-load --interface IF [--interface IF2] --bpffs DIR --port PORT [--alt-port PORT]\n"
	"                         [--hook auto|xdp|generic|tc] [--owner UID]\n"
	"       sortie-relay-load --unload --bpffs DIR\n"
	"Loads the relay, attaches it where packets enter and leave IF, and pins it and its maps in DIR (on a\n"
	"bpf filesystem). The hub is reached by --alt-port (443; 0: none) too. --hook auto takes XDP where the\n"
	"driver does, else tc alone. UID may write the maps. Pins of the same layout are adopted.\n"
	"Exit: 0, 1 failed, 2 usage.\n";

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
	case 'a':
		if (!number_parse(value, UINT16_MAX, &number))
			return false;
		load->alt_port = (uint16_t)number;
		return true;
	case 'h':
		return hook_wish_parse(value, &load->hook) == 0;
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
		{"alt-port", required_argument, NULL, 'a'},
		{"hook", required_argument, NULL, 'h'},
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

static void report(const struct relay_load *load, const struct relay_loaded *loaded)
{
	for (size_t i = 0; i < load->interface_count; i++) {
		const struct hook_result *result = &loaded->interfaces[i];
		log_info("%s: %s%s%s%s", load->interfaces[i], hook_name(result->hook),
			 result->why[0] ? " (" : "", result->why, result->why[0] ? ")" : "");
	}
	log_info("port %u, %s maps in %s", load->port, loaded->adopted ? "adopted" : "new",
		 load->bpffs_dir);
}

int main(int argc, char **argv)
{
	struct options options = {.load.alt_port = ALT_PORT};
	struct err err = {0};
	struct relay_loaded loaded;
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
			       : relay_load(&options.load, &loaded, &err);
	if (r < 0) {
		log_error("%s", err.text);
		return EXIT_FAILURE;
	}
	if (options.unload)
		log_info("detached and removed %s", options.load.bpffs_dir);
	else
		report(&options.load, &loaded);
	return EXIT_SUCCESS;
}
