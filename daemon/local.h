/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers of the local socket that take more than a few lines; local.c has the routes. Texts are malloc()ed JSON. */
#pragma once
#include "api/local.h"
#include "daemon/agent.h"

char *local_status_text(struct agent *agent);

/* -ENOENT where somebody is neither this host nor a peer (ret_code, err), -EINVAL. */
int local_can_text(struct agent *agent, const struct local_can *question, char **ret,
		   const char **ret_code, struct err *err);

/* Answers now, or (wait) with the next record, or empty after LOCAL_POLL_SECONDS. */
void local_flows_ask(struct agent *agent, uint64_t id, uint64_t after, bool denied_only, bool wait);
void local_flows_forget(struct agent *agent, uint64_t id);

/* Takes text over; NULL is out of memory. */
void local_answer_text(struct agent *agent, uint64_t id, char *text);
