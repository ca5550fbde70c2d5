/* SPDX-License-Identifier: GPL-2.0-or-later */
/* enroll, down, up and leave: this host's membership. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "api/local.h"
#include "cli/call.h"
#include "cli/output.h"
#include "common/clock.h"
#include "common/file.h"
#include "trust/token.h"

#define LEAVE_TIMEOUT_MS 30000

/* Typos and expiry are found here, before the agent is asked. */
static int check_token(const struct invocation *in, const char *text)
{
	_cleanup_(token_wipe) struct join_token token = {0};
	struct err err = {0};
	char when[DISTANCE_TEXT_MAX];
	int64_t now = clock_wall();
	if (token_decode(text, &token, &err) < 0)
		return cli_fail(in, EXIT_NOT_ENROLLED, "the token is not valid: %s (token-invalid)",
				err.text);
	if (now >= token.not_after)
		return cli_fail(in, EXIT_NOT_ENROLLED,
				"the token expired %s: make a new one, or set this host's clock "
				"(token-expired)",
				distance_format(token.not_after, now, when));
	return EXIT_OK;
}

static int read_token(const struct invocation *in, char **ret, size_t *ret_length)
{
	int code = EXIT_USAGE;
	const char *path = cli_file(in, OPT_TOKEN, &code);
	if (!path)
		return code;
	int r = file_read_secret(path, TOKEN_TEXT_MAX, ret, ret_length);
	if (r == -EPERM)
		return cli_fail(in, EXIT_FAILED, "others can read %s: chmod 600 it first", path);
	if (r < 0)
		return cli_fail(in, EXIT_FAILED, "cannot read the token from %s: %s", path,
				r == -EINVAL ? "it is not a regular file" : strerror(-r));
	/* one token a file; the text's own check finds everything else */
	(*ret)[strcspn(*ret, " \t\r\n")] = '\0';
	code = check_token(in, *ret);
	if (code != EXIT_OK) {
		secret_free(*ret, *ret_length);
		*ret = NULL;
	}
	return code;
}

static void print_enrolled(const struct local_enrolled *enrolled)
{
	char text[ADDR_TEXT_MAX];
	printf("enrolled as %s in %s, address %s", enrolled->name, enrolled->network,
	       addr_format(&enrolled->ipv6, text));
	if (addr_is_set(&enrolled->ipv4))
		printf(" and %s", addr_format(&enrolled->ipv4, text));
	putchar('\n');
}

int command_enroll(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct local_enroll request = {0};
	size_t length = 0;
	int code = read_token(in, &request.token, &length);
	if (code != EXIT_OK)
		return code;
	code = call(in, ROUTE_LOCAL_ENROLL, NULL, &request, (LOCAL_ENROLL_SECONDS + 5) * 1000,
		    &answer);
	secret_free(request.token, length);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	print_enrolled(answer.message);
	return EXIT_OK;
}

static int set_down(const struct invocation *in, bool down)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct local_down request = {.down = down};
	int code = call(in, ROUTE_LOCAL_DOWN, NULL, &request, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	const struct local_down *now = answer.message;
	if (now->down)
		printf("%s is down: nobody is reachable, the rules hold all the same; `sortie up` "
		       "ends it\n",
		       now->name);
	else
		printf("%s is up\n", now->name);
	return EXIT_OK;
}

int command_up(const struct invocation *in)
{
	return set_down(in, false);
}

int command_down(const struct invocation *in)
{
	return set_down(in, true);
}

int command_leave(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct local_leave request = {.force = option(in, OPT_FORCE)};
	struct failure failure;
	if (call_try(in, ROUTE_LOCAL_LEAVE, NULL, &request, LEAVE_TIMEOUT_MS, &answer, &failure) <
	    0)
		return call_fail_or(in, ROUTE_LOCAL_LEAVE, &failure,
				    "start sortied, or `sortied --leave` where it cannot start");
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	const struct local_left *left = answer.message;
	if (left->name[0])
		printf("this host is no longer %s: rules, interface, keys and state are gone\n",
		       left->name);
	else
		puts("this host was not enrolled; nothing of sortie is left on it");
	return EXIT_OK;
}
