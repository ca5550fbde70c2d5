/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sortied --doctor: what an agent opens when it starts, one thing after the other, each failure a line, and then the
 * same checks. Nothing is kept and nothing is written: sortie-net gets a socket that nobody can reach.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "common/log.h"
#include "daemon/doctor_report.h"

#define READY_US                                                                                   \
	UINT64_C(                                                                                  \
		5000000) /* sortie-net takes 20 ms; without it names do not resolve, and that is said */

static void say_failed(struct doctor *doctor, const char *name, const char *todo,
		       const struct err *err)
{
	doctor->name = name;
	doctor_say(doctor, DOCTOR_FAIL, todo, "%s", err->text);
}

/* ---- sortie-net ---- */

static void begin(struct doctor *doctor)
{
	doctor->timer = sd_event_source_disable_unref(doctor->timer);
	doctor_path_begin(doctor);
}

static int on_late(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	begin(agent->doctor);
	return 0;
}

static void on_ready(void *data)
{
	struct agent *agent = data;

	if (!agent->doctor->step) /* else it was late, and nobody waits for it any more */
		begin(agent->doctor);
}

static void on_gone(int error, void *data)
{
	log_error("sortie-net ended: names are not looked up");
}

static void on_request(const struct ipc_message *message, void *data)
{
}

static void on_request_gone(uint64_t id, void *data)
{
}

/* Bound to an address of the kernel's choice and listening: only its number is a secret, and nothing answers there. */
static int open_mute_socket(int *ret_fd)
{
	const struct sockaddr_un any = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)) < 0 ||
	    listen(fd, 1) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int start_child(struct doctor *doctor, struct err *err)
{
	struct agent *agent = doctor->agent;
	const struct sandbox_user user = sandbox_net_user();
	const struct child_handlers handlers = {.on_ready = on_ready,
						.on_gone = on_gone,
						.on_local_request = on_request,
						.on_local_gone = on_request_gone,
						.data = agent};
	_cleanup_(closep) int fd = -1;
	int r = open_mute_socket(&fd);

	agent->net_uid = user.uid;
	if (r < 0)
		return err_code(err, r, "make a socket: %s", strerror(-r));
	return child_new(agent->event, fd, &user, &handlers, &agent->child, err);
}

/* ---- opening ---- */

/* Whether an agent has it, only a connection tells: the file stays when one is killed. */
static bool socket_answers(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(to.sun_path))
		return false;
	memcpy(to.sun_path, path, strlen(path) + 1);
	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
}

static void check_agent(struct doctor *doctor)
{
	const char *path = doctor->agent->options.socket;

	doctor->name = "agent";
	if (socket_answers(path))
		doctor_say(doctor, DOCTOR_WARN, "ask it: `sortie doctor` knows more",
			   "an agent answers at %s", path);
	else
		doctor_say(doctor, DOCTOR_WARN,
			   "start it when the lines below are right: systemctl start sortied",
			   "no agent answers at %s", path);
}

static void open_state(struct doctor *doctor)
{
	struct agent *agent = doctor->agent;
	struct err err = {0};
	int r = state_open(agent->options.state, &agent->state, &err);

	if (r == -EWOULDBLOCK) {
		doctor->name = "state";
		doctor_say(doctor, DOCTOR_WARN, "ask it: `sortie doctor`",
			   "%s is in use by a running agent: only the host is looked at",
			   agent->options.state);
	} else if (r < 0) {
		say_failed(doctor, "state", "put that right: sortied does not start", &err);
	}
	doctor->host_only = r < 0;
	if (r < 0)
		return;
	r = state_load_floor(agent->state, &agent->floor, &err);
	if (r == 0)
		r = state_load_local(agent->state, &agent->local, &err);
	agent->down = state_has(agent->state, STATE_DOWN);
	if (r == 0 && state_has(agent->state, STATE_ANSWER))
		r = agent_load_network(agent, &err);
	doctor->host_only = r < 0;
	if (r < 0)
		say_failed(doctor, "state",
			   "restore the file, or give the membership up: `sortied --leave`, then "
			   "enrol with a new token",
			   &err);
	else if (state_has(agent->state, STATE_ANSWER))
		agent->phase = AGENT_ENROLLED;
	else if (state_has(agent->state, STATE_TOKEN))
		agent->phase = AGENT_ENROLLING;
}

static void open_all(struct doctor *doctor)
{
	struct agent *agent = doctor->agent;
	const struct kernel_options options = {.backend = agent->options.backend,
					       .plain_table = true}; /* it takes nothing over */
	struct err err = {0};

	check_agent(doctor);
	if (sandbox_check_privileges(&err) < 0)
		say_failed(doctor, "privileges", "run it as root", &err);
	open_state(doctor);
	if (doctor_open(agent, &err) < 0)
		say_failed(doctor, "privileges", "run it as root", &err);
	if (start_child(doctor, &err) < 0)
		say_failed(doctor, "sortie-net", "install the programs whole", &err);
	if (sandbox_keep_net_admin(&err) < 0)
		say_failed(doctor, "privileges", "run it as root", &err);
	if (kernel_open(&options, &agent->kernel, &err) < 0)
		say_failed(doctor, "kernel", "sortied does not start until then", &err);
}

int doctor_alone(struct agent *agent)
{
	struct doctor *doctor = doctor_new(agent);
	size_t steps;
	char first[160];
	struct err err = {0};
	int code;

	if (!doctor)
		return EXIT_FAILED;
	agent->options.plan = true; /* nothing is saved on the way */
	agent->doctor = doctor;
	doctor->alone = true;
	open_all(doctor);
	/* What stands is what there is to measure through; why it cannot be computed is said by a check. */
	if (agent->kernel && agent->phase == AGENT_ENROLLED)
		(void)agent_look(agent, &steps, first, &err);
	if (agent->child)
		(void)sd_event_add_time_relative(agent->event, &doctor->timer, CLOCK_BOOTTIME,
						 READY_US, 0, on_late, agent);
	else
		begin(doctor);
	(void)sd_event_loop(agent->event);
	local_doctor_print(&doctor->report, stdout);
	code = local_doctor_code(&doctor->report);
	return fflush(stdout) == 0 ? code : EXIT_FAILED;
}
