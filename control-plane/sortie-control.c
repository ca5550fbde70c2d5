/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sortie-control: the command line. */
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "api/code.h"
#include "common/file.h"
#include "common/log.h"
#include "control-plane/control.h"
#include "control-plane/init.h"

#define DEFAULT_STATE  "/var/lib/sortie-control"
#define DEFAULT_SOCKET "/run/sortie/control.sock"
#define DESCRIPTORS    20000 /* two API listeners of 8192 connections, the others, database and maps */

static const char usage_text[] =
	"usage: sortie-control init --network NAME --endpoint HOST:PORT [--endpoint ...] [--state DIR]\n"
	"                           [--alt-port PORT] [--ipv4 CIDR|none] [--mtu N]\n"
	"       sortie-control run [--state DIR] [--interface sortie0] [--backend auto|kernel|userspace]\n"
	"                          [--bpffs DIR] [--socket PATH]\n"
	"       sortie-control remove [--state DIR] [--interface sortie0]\n"
	"       sortie-control --version | --help\n"
	"\n"
	"init makes a network: its keys, its root statement and its database, in DIR (" DEFAULT_STATE
	").\n"
	"The hub listens on the first endpoint's port. Agents that do not reach it try the next one; the\n"
	"last are the same hosts at --alt-port (443; 0: none), which the relay answers.\n"
	"run serves it: the hub's WireGuard interface, enrolment and API inside the tunnel, and the\n"
	"Unix socket that `sortie` talks to (" DEFAULT_SOCKET ").\n"
	"remove takes interface and filter of a hub that does not run out of the kernel; state stays.\n";

/* One line; --help has the rest. */
static __attribute__((format(printf, 1, 2))) int wrong(const char *format, ...)
{
	va_list args;

	fputs("sortie-control: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs(": see sortie-control --help\n", stderr);
	return EXIT_USAGE;
}

static const struct option_row {
	char letter;
	const char *wants;
} option_rows[] = {
	{'e', "HOST:PORT, and no more of them"},
	{'4', "an IPv4 range, all bits behind its length 0, or none"},
	{'m', "a number"},
	{'i', "a name that an interface can have"},
	{'b', "auto, kernel or userspace"},
};

/* What getopt_long() returned and nobody could use. */
static int wrong_option(const char *command, int option, const struct option *known, int index,
			char **argv)
{
	if (option == '?')
		return wrong("%s: no option %s, or its value is missing", command,
			     argv[optind - 1]);
	for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++)
		if (option_rows[i].letter == option)
			return wrong("%s: --%s takes %s, not \"%s\"", command, known[index].name,
				     option_rows[i].wants, optarg);
	return wrong("%s: --%s cannot be \"%s\"", command, known[index].name, optarg);
}

static int complain(const char *what, const struct err *err)
{
	fprintf(stderr, "sortie-control %s: %s\n", what, err->text);
	return EXIT_FAILED;
}

/* Secrets and database must never be readable by others, not even in a core file. */
static void harden(void)
{
	const struct rlimit none = {0};

	umask(077);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* A descriptor for each agent that waits, and for hostile ones' connections: a service begins with 1024 in all. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- init ---- */

static bool take_init_option(int option, struct init_options *options)
{
	char *end;
	unsigned long mtu, port;

	switch (option) {
	case 's':
		options->state_dir = optarg;
		return true;
	case 'n':
		options->network = optarg;
		return true;
	case 'e':
		if (options->n_endpoints == TOKEN_ENDPOINTS_MAX)
			return false;
		options->endpoints[options->n_endpoints++] = optarg;
		return true;
	case 'a':
		port = strtoul(optarg, &end, 10);
		options->alt_port = (uint16_t)port;
		return *optarg >= '0' && *optarg <= '9' && *end == '\0' && port <= UINT16_MAX;
	case '4':
		options->ipv4 = strcmp(optarg, "none") == 0 ? INIT_IPV4_NONE : INIT_IPV4_GIVEN;
		return options->ipv4 == INIT_IPV4_NONE ||
		       prefix_parse(optarg, &options->overlay4) == 0;
	case 'm':
		mtu = strtoul(optarg, &end, 10);
		options->mtu = (uint16_t)(mtu > UINT16_MAX ? 0 : mtu);
		return *end == '\0' && *optarg != '\0';
	default:
		return false;
	}
}

static int run_init(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"state", required_argument, NULL, 's'},
		{"network", required_argument, NULL, 'n'},
		{"endpoint", required_argument, NULL, 'e'},
		{"alt-port", required_argument, NULL, 'a'},
		{"ipv4", required_argument, NULL, '4'},
		{"mtu", required_argument, NULL, 'm'},
		{0},
	};
	struct init_options options = {
		.state_dir = DEFAULT_STATE, .alt_port = INIT_ALT_PORT, .mtu = INIT_MTU};
	struct err err = {0};
	int option, index = 0;

	while ((option = getopt_long(argc, argv, "", long_options, &index)) >= 0)
		if (!take_init_option(option, &options))
			return wrong_option("init", option, long_options, index, argv);
	if (optind != argc)
		return wrong("init takes no \"%s\"", argv[optind]);
	if (!options.network || options.n_endpoints == 0)
		return wrong("init needs --network NAME and --endpoint HOST:PORT");
	if (init_check(&options, &err) < 0)
		return wrong("init: %s", err.text);
	if (init_network(&options, &err) < 0)
		return complain("init", &err);
	printf("network %s made in %s\n"
	       "root key is online: no protection against this host until keys/root is moved away\n"
	       "next: sortie-control run --state %s\n",
	       options.network, options.state_dir, options.state_dir);
	return EXIT_OK;
}

/* ---- run ---- */

static bool take_backend(const char *text, enum wg_backend *ret)
{
	static const char *const names[] = {
		[WG_BACKEND_AUTO] = "auto",
		[WG_BACKEND_KERNEL] = "kernel",
		[WG_BACKEND_USERSPACE] = "userspace",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum wg_backend)i;
			return true;
		}
	}
	return false;
}

static bool take_run_option(int option, struct control_options *options)
{
	switch (option) {
	case 's':
		options->state_dir = optarg;
		return true;
	case 'i':
		options->ifname = optarg;
		return *optarg && strlen(optarg) < IFNAMSIZ && !strpbrk(optarg, "/ :");
	case 'b':
		return take_backend(optarg, &options->backend);
	case 'f':
		options->bpffs_dir = optarg;
		return true;
	case 'u':
		options->socket_path = optarg;
		return true;
	default:
		return false;
	}
}

/* Only the default's folder is made: a path that somebody names is his to prepare. */
static int prepare_socket(const struct control_options *options, struct err *err)
{
	int r;

	if (strcmp(options->socket_path, DEFAULT_SOCKET) != 0)
		return 0;
	r = mkdir("/run/sortie", 0755) < 0 && errno != EEXIST ? -errno : 0;
	if (r < 0)
		return err_code(err, r, "cannot make /run/sortie: %s; name another with --socket",
				strerror(-r));
	chmod("/run/sortie", 0755); /* the umask took it */
	return 0;
}

/* Files are opened without following links, so the folder's own name must not be one either. */
static bool is_link(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static int lock_state(const struct control_options *options, int *ret_lock, struct err *err)
{
	int r = is_link(options->state_dir) ? -ELOOP : folder_lock(options->state_dir, ret_lock);

	if (r == -ELOOP)
		return err_code(
			err, r,
			"the state folder %.150s is a symbolic link: name the folder itself",
			options->state_dir);
	if (r == -EWOULDBLOCK)
		return err_code(err, r, "another sortie-control runs with the state folder %.150s",
				options->state_dir);
	if (r < 0)
		return err_code(err, r, "cannot use the state folder %.150s: %s%s",
				options->state_dir, strerror(-r),
				r == -ENOENT ? "; make it with `sortie-control init`" : "");
	return 0;
}

static int serve(const struct control_options *options, struct err *err)
{
	_cleanup_(signer_stopp) struct signer *signer = NULL;
	_cleanup_(closep) int lock = -1;
	int r = lock_state(options, &lock, err);

	allow_descriptors();
	if (r == 0)
		r = signer_start(options->state_dir, &signer, err);
	if (r == 0)
		r = prepare_socket(options, err);
	return r < 0 ? r : control_run(options, signer, err);
}

static int remove_hub(const struct control_options *options, struct err *err)
{
	_cleanup_(closep) int lock = -1;
	int r = lock_state(options, &lock, err);

	return r < 0 ? r : control_remove(options, err);
}

/* run and remove take the same options; remove needs only where. */
static int run_with(int argc, char **argv, const char *what,
		    int (*work)(const struct control_options *options, struct err *err))
{
	static const struct option long_options[] = {
		{"state", required_argument, NULL, 's'},
		{"interface", required_argument, NULL, 'i'},
		{"backend", required_argument, NULL, 'b'},
		{"bpffs", required_argument, NULL, 'f'},
		{"socket", required_argument, NULL, 'u'},
		{0},
	};
	struct control_options options = {
		.state_dir = DEFAULT_STATE,
		.ifname = "sortie0",
		.backend = WG_BACKEND_AUTO,
		.socket_path = DEFAULT_SOCKET,
	};
	struct err err = {0};
	int option, index = 0;

	while ((option = getopt_long(argc, argv, "", long_options, &index)) >= 0)
		if (!take_run_option(option, &options))
			return wrong_option(what, option, long_options, index, argv);
	if (optind != argc)
		return wrong("%s takes no \"%s\"", what, argv[optind]);
	log_init("sortie-control", LOG_LEVEL_INFO);
	if (work(&options, &err) < 0)
		return complain(what, &err);
	return EXIT_OK;
}

static bool has_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	harden();
	if (sodium_init() < 0) {
		fputs("sortie-control: libsodium does not start\n", stderr);
		return EXIT_FAILED;
	}
	opterr = 0; /* we say it, in one line */
	if (argc < 2)
		return wrong("init, run or remove?");
	if (has_help(argc, argv)) {
		fputs(usage_text, stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "init") == 0)
		return run_init(argc - 1, argv + 1);
	if (strcmp(argv[1], "run") == 0)
		return run_with(argc - 1, argv + 1, "run", serve);
	if (strcmp(argv[1], "remove") == 0)
		return run_with(argc - 1, argv + 1, "remove", remove_hub);
	if (strcmp(argv[1], "--version") == 0) {
		printf("sortie-control %s\n", SORTIE_VERSION);
		return EXIT_OK;
	}
	return wrong("there is no \"%s\"", argv[1]);
}
