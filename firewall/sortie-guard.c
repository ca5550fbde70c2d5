/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sortie-guard: holds this host shut where there is no agent.
 *
 *   sortie-guard            before the network is up: loads what sortied left in its state folder, unless a table stands
 *   sortie-guard --watch    looks each second: where the table is gone and no agent answers, takes the interface down
 *
 * It admits nobody: with its rules alone overlay addresses are shut, and a locked underlay is as the agent left it. It
 * never changes a table that stands; the agent adopts the one that it made. Ends with 0, 1 (failed) or 2 (command line);
 * --watch ends only when it is told to.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "common/file.h"
#include "common/log.h"
#include "firewall/guard.h"
#include "netlink/link.h"

#define LOOK_MS	    1000
#define ANSWER_MS   3000 /* an agent that is busy with a large policy */
#define TABLE_TRIES 3
#define UNREAD_MAX  5
#define SOCKET	    "/run/sortie/sortied.sock"
#define STATE	    "/var/lib/sortie"
#define QUESTION    "GET /v1/local/status HTTP/1.1\r\nHost: sortied\r\nConnection: close\r\n\r\n"
#define EXIT_USAGE  2

struct options {
	const char *state, *socket;
	bool watch;
};

/* 1: read into ret; 0: there is none, this host is not enrolled. */
static int read_guard(const struct options *options, struct guard *ret)
{
	_cleanup_(freep) char *text = NULL;
	char path[PATH_MAX];
	struct err err = {0};
	size_t length = 0;
	int r;

	(void)snprintf(path, sizeof(path), "%s/" GUARD_FILE, options->state);
	r = file_read(path, GUARD_FILE_MAX, &text, &length);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return log_errno(r, "read %s", path);
	r = guard_parse(text, ret, &err);
	if (r < 0) {
		log_error("%s is damaged: %s; sortied writes it anew when it starts", path,
			  err.text[0] ? err.text : strerror(-r));
		return r;
	}
	return 1;
}

/* ---- once, at boot ---- */

static bool closes_underlay(const struct guard *guard)
{
	return guard->desired.mode == FW_MODE_ENFORCE && guard->desired.underlay_locked;
}

static int cannot_open(int r)
{
	log_error("open the firewall: %s", firewall_open_error(r));
	return r;
}

static int load(const struct guard *guard)
{
	_cleanup_(firewall_closep) struct firewall *firewall = NULL;
	int r = firewall_open(&firewall);

	if (r < 0)
		return cannot_open(r);
	/* It has no owner when this program ends, and sortied can become it. */
	firewall_own(firewall);
	r = firewall_apply(firewall, &guard->desired, NULL);
	if (r < 0) {
		log_error("load the rules: %s", firewall_error(firewall));
		return r;
	}
	log_info("overlay addresses are shut until sortied is up%s",
		 closes_underlay(guard) ? ", and the underlay is locked" : "");
	return 0;
}

static int guard_once(const struct options *options)
{
	_cleanup_(nl_closep) struct nl *nl = NULL;
	struct guard guard = {0};
	int r = nl_open(NETLINK_NETFILTER, &nl);

	if (r < 0)
		return cannot_open(r);
	r = guard_table_stands(nl);
	if (r == -EPERM)
		log_error(
			"CAP_NET_ADMIN is missing: start sortie-guard as root or by its systemd unit");
	else if (r < 0)
		(void)log_errno(r, "read table inet " FIREWALL_TABLE);
	if (r < 0)
		return r;
	if (r == 1)
		return 0; /* its own maker knows better */
	r = read_guard(options, &guard);
	if (r == 1)
		r = load(&guard);
	guard_done(&guard);
	return r;
}

/* ---- and on ---- */

/* Whether somebody takes the question and says anything: a process that hangs keeps its socket, too. */
static bool agent_answers(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char byte;

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return false;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	       send(fd, QUESTION, strlen(QUESTION), MSG_NOSIGNAL) > 0 &&
	       poll(&wait, 1, ANSWER_MS) == 1 && recv(fd, &byte, 1, 0) == 1;
}

/* 1, 0 or an error. Somebody else's commits may get between our reading: only what is seen again counts. */
static int table_stands(struct nl *nl)
{
	int r = 0;

	for (int i = 0; r != 1 && i < TABLE_TRIES; i++)
		r = guard_table_stands(nl);
	return r;
}

struct watch {
	const struct options *options;
	struct nl *nl;
	struct link_handle *link;
	bool shut;	     /* said already */
	unsigned int unread; /* looks in a row at which nothing could be read */
};

static void take_down(struct watch *watch, const struct guard *guard)
{
	const char *ifname = guard->desired.ifname;
	struct link_info info;
	int r = link_get(watch->link, ifname, &info);

	if (r == 0 && info.up)
		r = link_set_up(watch->link, ifname, false);
	else if (r == 0 || r == -ENODEV)
		return; /* nothing passes there */
	if (r < 0)
		(void)log_errno(r, "take %s down", ifname);
	else if (!watch->shut)
		log_warning(
			"table inet " FIREWALL_TABLE
			" is gone and no agent answers: %s is down until sortied is back%s",
			ifname,
			closes_underlay(guard)
				? ", and the underlay is open until then, or until sortie-guard "
				  "is run without --watch"
				: "");
	watch->shut = r == 0;
}

static void look(struct watch *watch)
{
	struct guard guard = {0};
	int r = table_stands(watch->nl);

	/* A large ruleset that others are writing is no reason; one that cannot be read for long is. */
	watch->unread = r < 0 ? watch->unread + 1 : 0;
	if (r < 0 && watch->unread < UNREAD_MAX)
		return;
	if (r < 0)
		(void)log_errno(r, "read table inet " FIREWALL_TABLE);
	if (r == 1) {
		if (watch->shut)
			log_info("table inet " FIREWALL_TABLE " stands again");
		watch->shut = false;
		return;
	}
	/* An agent that answers puts things right by itself. */
	if (read_guard(watch->options, &guard) == 1 && !agent_answers(watch->options->socket))
		take_down(watch, &guard);
	guard_done(&guard);
}

static int guard_watch(const struct options *options)
{
	const struct timespec second = {LOOK_MS / 1000, LOOK_MS % 1000 * 1000000L};
	struct watch watch = {.options = options};
	int r = nl_open(NETLINK_NETFILTER, &watch.nl);

	if (r == 0)
		r = link_open(&watch.link);
	if (r < 0)
		return cannot_open(r);
	for (;;) {
		look(&watch);
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &second, NULL);
	}
}

/* ---- the command line ---- */

static void print_help(void)
{
	puts("usage: sortie-guard [--watch] [options]\n"
	     "  --watch        look each second, take the interface down where nothing holds\n"
	     "  --state DIR    the agent's state folder (" STATE ")\n"
	     "  --socket PATH  the agent's socket (" SOCKET ")\n"
	     "  --help         this text\n"
	     "  --version      the version");
}

/* 0: go on, 1: done, -EINVAL. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option list[] = {
		{"watch", no_argument, NULL, 'w'},	  {"state", required_argument, NULL, 's'},
		{"socket", required_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},	  {NULL, 0, NULL, 0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
		switch (c) {
		case 'w':
			options->watch = true;
			break;
		case 's':
			options->state = optarg;
			break;
		case 'p':
			options->socket = optarg;
			break;
		case 'h':
			print_help();
			return 1;
		case 'v':
			puts("sortie-guard " SORTIE_VERSION);
			return 1;
		default:
			log_error("no option %s, or its value is missing: see sortie-guard --help",
				  argv[optind - 1]);
			return -EINVAL;
		}
	}
	if (optind < argc)
		log_error("\"%s\" is no option: see sortie-guard --help", argv[optind]);
	return optind < argc ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
	struct options options = {.state = STATE, .socket = SOCKET};
	int r;

	log_init("sortie-guard", LOG_LEVEL_INFO);
	r = parse_options(argc, argv, &options);
	if (r != 0)
		return r < 0 ? EXIT_USAGE : 0;
	r = options.watch ? guard_watch(&options) : guard_once(&options);
	return r < 0 ? 1 : 0;
}
