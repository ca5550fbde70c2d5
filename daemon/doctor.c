/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The examination: the table of checks, who waits for it, its report. */
#include "daemon/doctor_report.h"
#include "daemon/echo.h"
#include "daemon/local.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which things depend on each other: the first line that fails is the one to begin with. */
/* clang-format off */
static const struct doctor_row {
	const char *name;
	void (*check)(struct doctor *doctor);
} rows[] = {
	{"state", doctor_check_state},
	{"disk", doctor_check_disk},
	{"clock", doctor_check_clock},
	{"wireguard", doctor_check_wireguard},
	{"nftables", doctor_check_nftables},
	{"conntrack", doctor_check_conntrack},
	{"records", doctor_check_records},
	{"ranges", doctor_check_ranges},
	{"interface", doctor_check_interface},
	{"kernel", doctor_check_kernel},
	{"others", doctor_check_others},
	{"names", doctor_check_names},
	{"hub", doctor_check_hub},
	{"handshake", doctor_check_handshake},
	{"mtu", doctor_check_mtu},
	{"control", doctor_check_control},
	{"admission", doctor_check_admission},
	{"underlay", doctor_check_underlay},
};
/* clang-format on */

static const char *const level_names[] = {
	[DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail"};

/* Other programs' words, the kernel's and file names get in: the report is ASCII and one line each. */
static void make_plain(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

void doctor_say(struct doctor *doctor, enum doctor_level level, const char *todo,
		const char *format, ...)
{
	struct local_doctor *report = &doctor->report;
	struct local_check *check;
	va_list args;

	if (!report->checks || report->n_checks >= LOCAL_CHECKS_MAX)
		return;
	check = &report->checks[report->n_checks++];
	(void)snprintf(check->name, sizeof(check->name), "%s", doctor->name);
	(void)snprintf(check->level, sizeof(check->level), "%s", level_names[level]);
	va_start(args, format);
	(void)vsnprintf(check->found, sizeof(check->found), format, args);
	va_end(args);
	(void)snprintf(check->todo, sizeof(check->todo), "%s", todo ? todo : "");
	make_plain(check->found);
	make_plain(check->todo);
}

struct doctor *doctor_new(struct agent *agent)
{
	struct doctor *doctor = calloc(1, sizeof(*doctor));

	if (!doctor)
		return NULL;
	doctor->agent = agent;
	doctor->name = "agent";
	doctor->report.checks = calloc(LOCAL_CHECKS_MAX, sizeof(*doctor->report.checks));
	if (!doctor->report.checks) {
		free(doctor);
		return NULL;
	}
	return doctor;
}

void doctor_free(struct doctor *doctor)
{
	if (!doctor)
		return;
	doctor_path_stop(doctor);
	local_doctor_done(&doctor->report);
	free(doctor);
}

void doctor_conclude(struct doctor *doctor)
{
	struct agent *agent = doctor->agent;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		doctor->name = rows[i].name;
		rows[i].check(doctor);
	}
	if (doctor->alone) {
		(void)sd_event_exit(agent->event, 0);
		return;
	}
	for (size_t i = 0; i < doctor->n_waiters; i++)
		local_answer_text(agent, doctor->waiters[i], local_doctor_encode(&doctor->report));
	agent->doctor = NULL;
	doctor_free(doctor);
}

/* ---- who asks ---- */

int doctor_open(struct agent *agent, struct err *err)
{
	int r = echo_open(&agent->doctor_fd);

	return r < 0 ? err_code(err, r,
				"open an ICMPv6 socket: %s: sortied starts with CAP_NET_RAW and "
				"gives it up",
				strerror(-r))
		     : 0;
}

void doctor_ask(struct agent *agent, uint64_t id)
{
	struct doctor *doctor = agent->doctor;

	if (doctor && doctor->n_waiters == DOCTOR_WAITERS_MAX) {
		local_answer_problem(agent, id, "unavailable",
				     "doctor: others are waiting for a report already: try again");
		return;
	}
	if (doctor) {
		doctor->waiters[doctor->n_waiters++] = id;
		return;
	}
	doctor = doctor_new(agent);
	if (!doctor) {
		local_answer_problem(agent, id, "internal", "doctor: out of memory");
		return;
	}
	doctor->waiters[doctor->n_waiters++] = id;
	agent->doctor = doctor;
	doctor_path_begin(doctor);
}

void doctor_forget(struct agent *agent, uint64_t id)
{
	struct doctor *doctor = agent->doctor;

	for (size_t i = 0; doctor && i < doctor->n_waiters; i++)
		if (doctor->waiters[i] == id)
			doctor->waiters[i--] = doctor->waiters[--doctor->n_waiters];
}

void doctor_stop(struct agent *agent)
{
	struct doctor *doctor = take_pointer(agent->doctor);

	if (!doctor)
		return;
	for (size_t i = 0; i < doctor->n_waiters; i++)
		local_answer_problem(agent, doctor->waiters[i], "unavailable",
				     "doctor: the agent changed its state meanwhile: ask again");
	doctor_free(doctor);
}

void doctor_close(struct agent *agent)
{
	doctor_free(take_pointer(agent->doctor));
	if (agent->doctor_fd >= 0)
		close(agent->doctor_fd);
	agent->doctor_fd = -1;
}
