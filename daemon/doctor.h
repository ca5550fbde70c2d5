/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is wrong on this host, and what to do: a table of checks (doctor.c), each of which says one line or more.
 *
 * First the path to the hub is measured (doctor_path.c), in the loop and without waiting; then every check looks at
 * the agent, the host and what was measured. One examination runs at a time; whoever asks meanwhile gets the same
 * report. Nothing is changed, but that the hub's peer speaks for up to two seconds to each of the hub's other endpoints:
 * traffic between sites, which has peers of its own, does not notice.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "api/local.h"
#include "common/err.h"
#include "netlink/wireguard.h"

struct agent;
struct doctor;

/* Opens the raw socket that full-size echoes take; before CAP_NET_RAW is given up. */
int doctor_open(struct agent *agent, struct err *err);
/* Ends an examination that runs; who waits for it is told. */
void doctor_stop(struct agent *agent);
void doctor_close(struct agent *agent);

/* A local request: answered later, or at once where it cannot be. */
void doctor_ask(struct agent *agent, uint64_t id);
void doctor_forget(struct agent *agent, uint64_t id);

/* The hub's peer speaks to another endpoint for the moment: nothing else is asked of it meanwhile. */
bool doctor_detours(const struct agent *agent);
/* Then that endpoint is no difference for the plan: it would be put back, and what was asked there answered from here. */
void doctor_hide_detour(const struct agent *agent, const struct wg_device *desired,
			struct wg_device *actual);

/*
 * `sortied --doctor`: the same checks where no agent runs or none can start. Opens what an agent would open, one
 * thing after the other, and goes on where one fails. Prints the report; returns an exit code.
 */
int doctor_alone(struct agent *agent);
