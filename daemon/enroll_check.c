/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything about an enrolment that can be found out without a packet: a table of checks, the first that fails says why. */
#include "common/clock.h"
#include "daemon/agent.h"
#include <errno.h>

static int check_interfaces(struct agent *agent, struct err *err)
{
	const char *names[] = {agent->options.interface, agent->options.join_interface};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (kernel_interface_index(agent->kernel, names[i]))
			return err_code(
				err, -EEXIST,
				"enrol: interface %s exists already and is not ours: remove "
				"it, or start sortied with another --%sinterface",
				names[i], i ? "join-" : "");
	return 0;
}

struct check {
	const char *code;
	int (*check)(struct agent *agent, const struct join_token *token, struct err *err);
};

static int check_clock(struct agent *agent, const struct join_token *token, struct err *err)
{
	if (agent_clock_sane(agent))
		return 0;
	return err_code(err, -ETIME, "enrol: this host's clock is far off: set it first");
}

static int check_expiry(struct agent *agent, const struct join_token *token, struct err *err)
{
	char text[TIME_TEXT_MAX];

	if (clock_wall() < token->not_after)
		return 0;
	return err_code(err, -EKEYEXPIRED, "enrol: the token expired at %s: ask for a new one",
			time_format(token->not_after, text));
}

static int check_names(struct agent *agent, const struct join_token *token, struct err *err)
{
	return check_interfaces(agent, err);
}

static int check_ranges(struct agent *agent, const struct join_token *token, struct err *err)
{
	int r = kernel_check_range(agent->kernel, &token->overlay6, agent->options.interface, err);

	return r < 0 ? r
		     : kernel_check_range(agent->kernel, &token->overlay4, agent->options.interface,
					  err);
}

/* Everything that can be found out without a packet. */
static const struct check checks[] = {
	{"clock-off", check_clock},
	{"token-expired", check_expiry},
	{"interface-taken", check_names},
	{"range-taken", check_ranges},
};

int enroll_check(struct agent *agent, const struct join_token *token, const char **ret_code,
		 struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		int r = checks[i].check(agent, token, err);
		if (r < 0) {
			*ret_code = checks[i].code;
			return r;
		}
	}
	return 0;
}
