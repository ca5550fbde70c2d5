// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sortie-relay-load: the one step of the relay that needs privilege. Runs, prints one line, ends; what it attached and
 * pinned stays. Safe to run again at any time.
 */
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "common/log.h"
#include "relay/load.h"

enum { EXIT_USAGE = 2, ALT_PORT = 443 };

static const char usage_text[] =
	"usage: sortie-relay-load --interface IF [--interface IF2] --bpffs DIR --port PORT [--alt-port PORT]\n"
	"                         [--hook auto|xdp|generic|tc] [--owner UID]\n"
	"       sortie-relay-load --unload --bpffs DIR\n"
	"       sortie-relay-load --version | --help\n"
	"Loads the relay, attaches it where packets enter and leave IF, and pins it and its maps in DIR (on a\n"
	"bpf filesystem). The hub is reached by --alt-port (443; 0: none) too. --hook auto takes XDP where the\n"
	"driver does, else tc alone. UID may write the maps. Pins of the same layout are adopted.\n"
	"Exit: 0, 1 failed, 2 usage.\n";

struct options {
	struct relay_load load;
	bool unload;
};

static bool number_parse(const char *text, unsigned long min, unsigned long max, unsigned long *ret)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return false;
	unsigned long value = strtoul(text, &end, 10);
	if (*end != '\0' || value < min || value > max)
		return false;
	*ret = value;
	return true;
}

static bool take_interface(struct relay_load *load, const char *value)
{
	if (load->interface_count == RELAY_INTERFACES)
		return false;
	load->interfaces[load->interface_count++] = value;
	return true;
}

static bool take_bpffs(struct relay_load *load, const char *value)
{
	load->bpffs_dir = value;
	return true;
}

static bool take_port(struct relay_load *load, const char *value)
{
	unsigned long number = 0;
	bool taken = number_parse(value, 1, UINT16_MAX, &number);
	load->port = (uint16_t)number;
	return taken;
}

static bool take_alt_port(struct relay_load *load, const char *value)
{
	unsigned long number = 0;
	bool taken = number_parse(value, 0, UINT16_MAX, &number);
	load->alt_port = (uint16_t)number;
	return taken;
}

static bool take_hook(struct relay_load *load, const char *value)
{
	return hook_wish_parse(value, &load->hook) == 0;
}

static bool take_owner(struct relay_load *load, const char *value)
{
	unsigned long number = 0;
	bool taken = number_parse(value, 0, UINT32_MAX - 1, &number);
	load->owner = (uid_t)number;
	return taken;
}

_Static_assert(RELAY_INTERFACES == 4, "the words below say 4");

static const struct option_row {
	const char *name;
	bool (*take)(struct relay_load *load, const char *value);
	const char *takes;
} option_rows[] = {
	{"interface", take_interface, "a name, and at most 4 of them"},
	{"bpffs", take_bpffs, "a folder"},
	{"port", take_port, "a number from 1 to 65535"},
	{"alt-port", take_alt_port, "a number from 0 to 65535"},
	{"hook", take_hook, "auto, xdp, generic or tc"},
	{"owner", take_owner, "a user id"},
};

/* One line; --help has the rest. */
static __attribute__((format(printf, 1, 2))) bool wrong(const char *format, ...)
{
	char text[256];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s: see sortie-relay-load --help", text);
	return false;
}

static bool options_complete(const struct options *options)
{
	const struct relay_load *load = &options->load;
	const char *missing = !load->bpffs_dir		   ? "bpffs"
			      : options->unload		   ? NULL
			      : load->interface_count == 0 ? "interface"
			      : load->port == 0		   ? "port"
							   : NULL;
	return !missing || wrong("--%s is missing", missing);
}

static bool options_parse(int argc, char **argv, struct options *ret)
{
	enum { UNLOAD = 1, FIRST };
	struct option table[ARRAY_SIZE(option_rows) + 2] = {{"unload", no_argument, NULL, UNLOAD}};
	int option;
	for (int i = 0; i < (int)ARRAY_SIZE(option_rows); i++)
		table[i + 1] =
			(struct option){option_rows[i].name, required_argument, NULL, FIRST + i};
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == '?')
			return wrong("no option %s, or its value is missing", argv[optind - 1]);
		if (option == UNLOAD) {
			ret->unload = true;
			continue;
		}
		const struct option_row *row = &option_rows[option - FIRST];
		if (!row->take(&ret->load, optarg))
			return wrong("--%s takes %s, not \"%s\"", row->name, row->takes, optarg);
	}
	if (optind < argc)
		return wrong("\"%s\" is no option", argv[optind]);
	return options_complete(ret);
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
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("sortie-relay-load " SORTIE_VERSION);
		return EXIT_SUCCESS;
	}
	if (!options_parse(argc, argv, &options))
		return EXIT_USAGE;
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
