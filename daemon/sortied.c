/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sortied: the agent. Options, the order in which things are opened while there are privileges, the loop.
 *
 * Ends with 0 when it was told to end, 1 when it could not start or lost its child, 2 for a wrong command line;
 * --plan: 0 nothing to do, 6 there is; --doctor: 0 nothing is wrong, 6 something is. Stopping leaves the kernel's state standing: it fails closed by itself when
 * leases run out, and a restart adopts it.
 */
#include "api/code.h"
#include "api/http.h"
#include "common/file.h"
#include "common/log.h"
#include "daemon/agent.h"
#include "daemon/doctor.h"
#include "daemon/sandbox.h"
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

static int set_text(struct agent_options *options, size_t offset, const char *value)
{
	*(const char **)(void *)((char *)options + offset) = value;
	return 0;
}

static bool interface_name(const char *value)
{
	return link_name_valid(value) && value[0] != '.' && value[0] != '-';
}

static int set_interface(struct agent_options *options, size_t offset, const char *value)
{
	return interface_name(value) ? set_text(options, offset, value) : -EINVAL;
}

static int add_container(struct agent_options *options, size_t offset, const char *value)
{
	if (!interface_name(value) || options->n_containers == FIREWALL_IFNAMES_MAX)
		return -EINVAL;
	(void)snprintf(options->containers[options->n_containers++], IFNAMSIZ, "%s", value);
	return 0;
}

static int set_backend(struct agent_options *options, size_t offset, const char *value)
{
	static const char *const names[] = {[WG_BACKEND_AUTO] = "auto",
					    [WG_BACKEND_KERNEL] = "kernel",
					    [WG_BACKEND_USERSPACE] = "userspace"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(value, names[i]) == 0) {
			options->backend = (enum wg_backend)i;
			return 0;
		}
	return -EINVAL;
}

static int set_mode(struct agent_options *options, size_t offset, const char *value)
{
	if (strcmp(value, "enforce") == 0)
		options->mode = POLICY_MODE_ENFORCE;
	else if (strcmp(value, "overlay") == 0)
		options->mode = POLICY_MODE_OVERLAY;
	else
		return -EINVAL;
	return 0;
}

static int set_plan(struct agent_options *options, size_t offset, const char *value)
{
	options->plan = true;
	return 0;
}

static int set_remove(struct agent_options *options, size_t offset, const char *value)
{
	options->remove = true;
	return 0;
}

static int set_leave(struct agent_options *options, size_t offset, const char *value)
{
	options->leave = true;
	return 0;
}

static int set_doctor(struct agent_options *options, size_t offset, const char *value)
{
	options->doctor = true;
	return 0;
}

static const struct option_row {
	const char *name;
	char letter;	      /* 0: none */
	const char *argument; /* NULL: takes none */
	int (*set)(struct agent_options *options, size_t offset, const char *value);
	size_t offset;
	const char *help;
} option_rows[] = {
	{"state", 0, "DIR", set_text, offsetof(struct agent_options, state),
	 "state folder (/var/lib/sortie)"},
	{"interface", 0, "NAME", set_interface, offsetof(struct agent_options, interface),
	 "the overlay's interface (sortie0)"},
	{"join-interface", 0, "NAME", set_interface, offsetof(struct agent_options, join_interface),
	 "the temporary interface of an enrolment (sortie-join)"},
	{"container-interface", 0, "NAME", add_container, 0,
	 "containers are behind this one; repeatable (bridges but the uplink)"},
	{"backend", 0, "auto|kernel|userspace", set_backend, 0, "which WireGuard (auto)"},
	{"mode", 0, "enforce|overlay", set_mode, 0, "tighten what policy says"},
	{"socket", 0, "PATH", set_text, offsetof(struct agent_options, socket),
	 "local socket (/run/sortie/sortied.sock)"},
	{"group", 0, "NAME", set_text, offsetof(struct agent_options, group),
	 "whose members may read by the socket"},
	{"hosts", 0, "PATH", set_text, offsetof(struct agent_options, hosts),
	 "where peers' names go (/run/sortie/hosts)"},
	{"hosts-block", 0, "PATH", set_text, offsetof(struct agent_options, hosts_block),
	 "peers' names also in a marked block of this file (/etc/hosts)"},
	{"plan", 'n', NULL, set_plan, 0, "print what would change, change nothing"},
	{"remove", 0, NULL, set_remove, 0,
	 "take interface, routes and firewall out of the kernel, keep the state"},
	{"doctor", 0, NULL, set_doctor, 0, "say what is wrong here and what to do, change nothing"},
	{"leave", 0, NULL, set_leave, 0, "remove rules, interface, keys and state, and end"},
};

static void print_help(FILE *out)
{
	char left[64];

	(void)fprintf(out, "usage: sortied [options]\n");
	for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++) {
		const struct option_row *row = &option_rows[i];
		(void)snprintf(left, sizeof(left), "%s--%s%s%s", row->letter ? "-n, " : "",
			       row->name, row->argument ? " " : "",
			       row->argument ? row->argument : "");
		(void)fprintf(out, "  %-32s %s\n", left, row->help);
	}
	(void)fprintf(out, "  %-32s %s\n  %-32s %s\n", "--help", "this text", "--version",
		      "the version");
}

static int set_option(struct agent_options *options, size_t index, const char *value)
{
	const struct option_row *row = &option_rows[index];

	if (row->set(options, row->offset, value) == 0)
		return 0;
	if (row->set == add_container && options->n_containers == FIREWALL_IFNAMES_MAX)
		log_error("--%s: at most %d can be named", row->name, FIREWALL_IFNAMES_MAX);
	else
		log_error("--%s: \"%s\" is not %s", row->name, value,
			  strcmp(row->argument, "NAME") == 0 ? "a name that an interface can have"
							     : row->argument);
	return -EINVAL;
}

enum { OPTION_HELP = 1000, OPTION_VERSION, OPTION_FIRST };

/* 0: go on, 1: done (help), -EINVAL. */
static int parse_options(int argc, char **argv, struct agent_options *options)
{
	struct option list[ARRAY_SIZE(option_rows) + 3] = {0};
	size_t n = ARRAY_SIZE(option_rows);
	int c;

	for (size_t i = 0; i < n; i++)
		list[i] = (struct option){option_rows[i].name,
					  option_rows[i].argument ? required_argument : no_argument,
					  NULL, OPTION_FIRST + (int)i};
	list[n] = (struct option){"help", no_argument, NULL, OPTION_HELP};
	list[n + 1] = (struct option){"version", no_argument, NULL, OPTION_VERSION};
	opterr = 0;
	while ((c = getopt_long(argc, argv, "n", list, NULL)) != -1) {
		if (c == '?') {
			log_error("no option %s, or its value is missing: see sortied --help",
				  argv[optind - 1]);
			return -EINVAL;
		} else if (c == 'n') {
			options->plan = true;
		} else if (c == OPTION_HELP) {
			print_help(stdout);
			return 1;
		} else if (c == OPTION_VERSION) {
			(void)printf("sortied %s\n", SORTIE_VERSION);
			return 1;
		} else if (c < OPTION_FIRST ||
			   set_option(options, (size_t)(c - OPTION_FIRST), optarg) < 0) {
			return -EINVAL;
		}
	}
	if (optind < argc) {
		log_error("\"%s\" is no option: see sortied --help", argv[optind]);
		return -EINVAL;
	}
	if (options->plan + options->remove + options->doctor + options->leave > 1) {
		log_error(
			"--plan, --remove, --doctor and --leave are one at a time: see sortied --help");
		return -EINVAL;
	}
	return 0;
}

/* ---- opening, in order ---- */

static int make_folder_of(const char *path, struct err *err)
{
	char copy[PATH_MAX];
	int r;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	r = folder_make(dirname(copy), 0755);
	/* A folder that is wider or somebody else's is theirs to answer for: /tmp in a test. */
	return r < 0 && r != -EPERM ? err_code(err, r, "folder of %s: %s", path, strerror(-r)) : 0;
}

static int listen_local(const struct agent_options *options, int *ret_fd, struct err *err)
{
	const struct group *group = options->group ? getgrnam(options->group) : NULL;
	int r = make_folder_of(options->socket, err);

	if (r < 0)
		return r;
	if (options->group && !group)
		return err_code(err, -ENOENT, "--group: there is no group \"%s\"", options->group);
	r = http_listen_unix(options->socket, 0660, ret_fd);
	if (r == -EADDRINUSE)
		return err_code(
			err, r,
			"socket %s is in use by another sortied: give this one its own --socket",
			options->socket);
	if (r < 0)
		return err_code(err, r, "listen on %s: %s", options->socket, strerror(-r));
	if (group && lchown(options->socket, (uid_t)-1, group->gr_gid) < 0)
		return err_code(err, -errno, "give %s to group %s: %s", options->socket,
				options->group, strerror(errno));
	return 0;
}

static void on_gone(int error, void *data)
{
	struct agent *agent = data;

	if (error < 0)
		log_error("sortie-net broke the protocol (%s): ending", strerror(-error));
	else
		log_error("sortie-net ended: ending too; the kernel's state stands");
	(void)sd_event_exit(agent->event, 1);
}

static int start_child(struct agent *agent, const struct sandbox_user *user, struct err *err)
{
	const struct child_handlers handlers = {.on_ready = agent_on_ready,
						.on_gone = on_gone,
						.on_local_request = local_request,
						.on_local_gone = local_gone,
						.data = agent};
	_cleanup_(closep) int fd = -1;
	int r = listen_local(&agent->options, &fd, err);

	if (r == 0)
		r = child_new(agent->event, fd, user, &handlers, &agent->child, err);
	return r;
}

static int open_kernel(struct agent *agent, struct err *err)
{
	const struct kernel_options options = {
		.backend = agent->options.backend,
		/* taking a table over is no step of a plan */
		.plain_table = agent->options.plan || getenv("SORTIE_TEST_PLAIN_TABLE") != NULL,
		.hosts_path = agent->options.hosts};
	int r = make_folder_of(agent->options.hosts, err);

	return r < 0 ? r : kernel_open(&options, &agent->kernel, err);
}

static int open_all(struct agent *agent, struct err *err)
{
	const struct sandbox_user user = sandbox_net_user();
	int r = sandbox_check_privileges(err);

	agent->net_uid = user.uid;

	if (r == 0)
		r = sandbox_no_dumps(err);
	if (r == 0)
		r = state_open(agent->options.state, &agent->state, err);
	if (r == 0)
		r = probe_open(agent, err);
	if (r == 0)
		r = doctor_open(agent, err);
	if (r == 0 && !agent->options.plan && !agent->options.remove)
		r = start_child(agent, &user, err);
	if (r == 0)
		r = sandbox_keep_net_admin(err);
	if (r == 0)
		r = open_kernel(agent, err);
	return r;
}

static int print_plan(struct agent *agent, struct err *err)
{
	int r = state_has(agent->state, STATE_ANSWER) ? agent_load_network(agent, err) : 0;

	if (r == 0)
		r = state_load_local(agent->state, &agent->local, err);
	if (r < 0)
		return r;
	agent->down = state_has(agent->state, STATE_DOWN);
	agent->phase = state_has(agent->state, STATE_ANSWER) ? AGENT_ENROLLED : AGENT_UNENROLLED;
	r = agent_print_plan(agent, err);
	return r == 1 ? EXIT_FINDING : r;
}

/* `sortie leave` where no agent can start: the files need not be whole, their presence says what there is to remove. */
static int leave(struct agent *agent, struct err *err)
{
	bool something;
	int r = sandbox_check_privileges(err);

	if (r == 0)
		r = state_open(agent->options.state, &agent->state, err);
	if (r == 0)
		r = sandbox_keep_net_admin(err);
	if (r == 0)
		r = open_kernel(agent, err);
	if (r < 0)
		return r;
	agent->phase = state_has(agent->state, STATE_ANSWER)  ? AGENT_ENROLLED
		       : state_has(agent->state, STATE_TOKEN) ? AGENT_ENROLLING
							      : AGENT_UNENROLLED;
	something = agent->phase != AGENT_UNENROLLED || state_has(agent->state, STATE_INTERFACE);
	r = agent_leave(agent, false, err);
	if (r == 0)
		log_info("%s",
			 something ? "rules, interface, keys and state are gone"
				   : "this host was not enrolled; nothing of sortie is left on it");
	return r;
}

static int run(struct agent *agent, struct err *err)
{
	int r;

	if (agent->options.doctor)
		return doctor_alone(agent);
	if (agent->options.leave)
		return leave(agent, err);
	r = open_all(agent, err);
	if (r < 0)
		return r;
	if (agent->options.plan)
		return print_plan(agent, err);
	if (agent->options.remove)
		return agent_remove(agent, err);
	r = agent_watch(agent, err);
	if (r == 0)
		r = agent_start(agent, err);
	if (r < 0)
		return r;
	log_info("sortied %s: %s", SORTIE_VERSION,
		 agent->phase == AGENT_ENROLLED ? agent->name
		 : agent->phase == AGENT_ENROLLING
			 ? "enrolling"
			 : "not enrolled yet: `sortie enroll --token file:PATH`");
	(void)sd_notify(0, "READY=1");
	return sd_event_loop(agent->event);
}

static int new_event(sd_event **ret, struct err *err)
{
	sigset_t signals;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	r = sd_event_new(ret);
	if (r >= 0)
		r = sd_event_add_signal(*ret, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(*ret, NULL, SIGINT, NULL, NULL);
	return r < 0 ? err_code(err, r, "event loop: %s", strerror(-r)) : 0;
}

int main(int argc, char **argv)
{
	struct agent_options options = {.state = "/var/lib/sortie",
					.interface = "sortie0",
					.join_interface = "sortie-join",
					.socket = "/run/sortie/sortied.sock",
					.hosts = "/run/sortie/hosts",
					.mode = POLICY_MODE_OBSERVE};
	static struct agent agent;
	sd_event *event = NULL;
	struct err err = {0};
	int r;

	log_init("sortied", getenv("SORTIE_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	(void)umask(077);
	r = parse_options(argc, argv, &options);
	if (r != 0)
		return r < 0 ? EXIT_USAGE : EXIT_OK;
	r = new_event(&event, &err);
	if (r == 0)
		r = agent_init(&agent, &options, event, &err);
	if (r == 0) {
		r = run(&agent, &err);
		agent_done(&agent);
	}
	if (r < 0)
		log_error("%s", err.text[0] ? err.text : strerror(-r));
	sd_event_unref(event);
	return r < 0 ? EXIT_FAILED : r;
}
