/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * can: may one reach the other? The agent answers for itself and its peers, with the last real denies; for any other
 * pair the standing policy is read from the control plane, verified, and decided here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "api/local.h"
#include "cli/call.h"
#include "cli/flow.h"
#include "cli/output.h"
#include "cli/sign.h"
#include "common/clock.h"

static int read_question(const struct invocation *in, struct local_can *ret)
{
	const char *from = in->n_args == 3 ? in->args[0] : "";
	const char *to = in->args[in->n_args - 2], *port = in->args[in->n_args - 1];
	struct policy_port parsed;
	struct err err = {0};
	if ((*from && !name_valid(from)) || !name_valid(to))
		return cli_fail(in, EXIT_USAGE,
				"\"%s\" is not site/workload (what hosts let in and ask outside of "
				"the overlay: `sortie policy plan`)",
				*from && !name_valid(from) ? from : to);
	if (policy_port_parse(port, &parsed, &err) < 0)
		return cli_fail(in, EXIT_USAGE, "%s", err.text);
	memcpy(ret->from, from, strlen(from) + 1);
	memcpy(ret->to, to, strlen(to) + 1);
	policy_port_format(&parsed, ret->port);
	return EXIT_OK;
}

static int show(const struct invocation *in, const struct local_can_answer *can, const char *body)
{
	if (option(in, OPT_JSON)) {
		if (print_json(body) != EXIT_OK)
			return EXIT_FAILED;
		return can->allowed ? EXIT_OK : EXIT_DENIED;
	}
	printf("%s  %s -> %s %s: %s\n", can->allowed ? "yes" : "no", can->from, can->to, can->port,
	       can->reason);
	if (can->n_denies)
		puts("last denied:");
	for (size_t i = 0; i < can->n_denies; i++)
		print_flow(&can->denies[i]);
	return can->allowed ? EXIT_OK : EXIT_DENIED;
}

/* ---- by the control plane's standing policy ---- */

static const struct admin_member *member_find(const struct admin_policy *standing, const char *name)
{
	for (size_t i = 0; i < standing->n_inventory; i++)
		if (strcmp(standing->inventory[i].name, name) == 0)
			return &standing->inventory[i];
	return NULL;
}

static struct policy_member member_of(const struct admin_member *member)
{
	struct policy_member ret = {.id = member->id, .labels = member->labels};
	memcpy(ret.name, member->name, sizeof(ret.name));
	return ret;
}

static int decide(const struct invocation *in, const struct network *network,
		  const struct admin_policy *standing, const struct local_can *question,
		  struct local_can_answer *ret)
{
	const struct admin_member *from = member_find(standing, question->from);
	const struct admin_member *to = member_find(standing, question->to);
	const struct policy *policy = trust_policy(network->trust);
	struct policy_decision decision = {.reason =
						   "there is no policy yet: everything is denied"};
	struct policy_port port;
	if (!from || !to)
		return cli_fail(in, EXIT_FAILED,
				"no identity has the name %s: see sortie identity list",
				from ? question->to : question->from);
	policy_port_parse(question->port, &port, NULL);
	if (policy) {
		struct policy_member a = member_of(from), b = member_of(to);
		policy_decide(policy, &a, &b, &port, clock_wall(), &decision);
	}
	memcpy(ret->from, question->from, sizeof(ret->from));
	memcpy(ret->to, question->to, sizeof(ret->to));
	memcpy(ret->port, question->port, sizeof(ret->port));
	ret->allowed = decision.allowed;
	snprintf(ret->rule, sizeof(ret->rule), "%s", decision.rule ? decision.rule->name : "");
	snprintf(ret->reason, sizeof(ret->reason), "%s", decision.reason);
	return EXIT_OK;
}

static int ask_control(const struct invocation *in, const struct local_can *question)
{
	_cleanup_(answer_done) struct answer answer = {0};
	_cleanup_(network_done) struct network network = {0};
	struct local_can_answer can = {0};
	int code = call(in, ROUTE_ADMIN_POLICY, NULL, NULL, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	const struct admin_policy *standing = answer.message;
	code = network_load(in, standing->root, &network);
	if (code == EXIT_OK)
		code = network_accept(in, &network, standing);
	if (code == EXIT_OK)
		code = decide(in, &network, standing, question, &can);
	if (code != EXIT_OK)
		return code;
	_cleanup_(freep) char *body = local_can_answer_encode(&can);
	return body ? show(in, &can, body) : cli_fail(in, EXIT_FAILED, "out of memory");
}

/* Is it worth asking the control plane instead? */
static bool elsewhere(const struct failure *failure)
{
	return failure->error == -ENOENT || failure->error == -ECONNREFUSED ||
	       failure->error == -EACCES || strcmp(failure->problem.code, "not-found") == 0 ||
	       strcmp(failure->problem.code, "not-enrolled") == 0;
}

int command_can(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct local_can question = {0};
	struct failure failure;
	int code = read_question(in, &question);
	if (code != EXIT_OK)
		return code;
	bool named = question.from[0] != '\0';
	if (named && option(in, OPT_CONTROL) && !option(in, OPT_SOCKET))
		return ask_control(in, &question);
	if (call_try(in, ROUTE_LOCAL_CAN, NULL, &question, CALL_TIMEOUT_MS, &answer, &failure) ==
	    0) {
		const struct local_can_answer *can = answer.message;
		return show(in, can, answer.body);
	}
	if (named && elsewhere(&failure) && access(cli_control_socket(in), W_OK) == 0)
		return ask_control(in, &question);
	return call_fail(in, ROUTE_LOCAL_CAN, &failure);
}
