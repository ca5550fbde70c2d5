/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands against a control plane and an agent that a child process plays: it answers each route with what the test
 * left in answer.ROUTE (status, blank, body) and keeps what was asked in request.ROUTE and query.ROUTE. Keys, root,
 * tokens and policies are real: what the commands upload is verified here as agents verify it.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>
#include "api/admin.h"
#include "api/http.h"
#include "api/local.h"
#include "api/message.h"
#include "cli/command.h"
#include "cli/sign.h"
#include "common/clock.h"
#include "common/file.h"
#include "trust/merkle.h"
#include "trust/token.h"
#include "trust/verify.h"

#define FILE_MAX (1024 * 1024)

static char folder[64], admin_path[96], local_path[96];
static pid_t child;
static struct signing_key root_key, policy_key, control_key;
static char *root_text;
static struct key fingerprint;
static struct network_id network;

static char out[65536], errors[4096];

/* ---- files of the bed ---- */

static const char *in_folder(const char *name, const char *suffix)
{
	static char path[256];
	snprintf(path, sizeof(path), "%s/%s%s", folder, name, suffix);
	return path;
}

static void put(const char *name, const char *suffix, const char *text)
{
	assert_int_equal(file_write(in_folder(name, suffix), text, strlen(text), 0600), 0);
}

/* malloc()ed; NULL where it is missing. */
static char *get(const char *name, const char *suffix)
{
	char *text = NULL;
	size_t length;
	return file_read(in_folder(name, suffix), FILE_MAX, &text, &length) == 0 ? text : NULL;
}

static void answer_with(enum route route, char *body)
{
	char *text;
	assert_non_null(body);
	assert_true(asprintf(&text, "200 %s", body) > 0);
	put("answer.", routes[route].name, text);
	free(text);
	free(body);
}

static void answer_problem(enum route route, const char *code, const char *detail)
{
	struct problem problem;
	char *text;
	problem_make(&problem, code, "%s", detail);
	char *body = problem_encode(&problem);
	assert_true(asprintf(&text, "%u %s", problem.status, body) > 0);
	put("answer.", routes[route].name, text);
	free(text);
	free(body);
}

/* ---- the child ---- */

static void on_request(struct http_request *request, void *data)
{
	enum route_socket *where = data;
	enum route route;
	size_t length;
	if (route_find(*where, http_method(request), http_path(request), &route) < 0) {
		http_answer(request, 404, NULL, "", 0);
		return;
	}
	put("request.", routes[route].name, http_body(request, &length));
	const char *who = http_query(request, "who");
	const char *after = http_query(request, "after");
	put("query.", routes[route].name, who ? who : after ? after : "");
	char *text = get("answer.", routes[route].name);
	if (!text)
		http_answer(request, 500, NULL, "", 0);
	else
		http_answer(request, (unsigned int)strtoul(text, NULL, 10), NULL,
			    strchr(text, ' ') + 1, strlen(strchr(text, ' ') + 1));
	free(text);
}

static _Noreturn void play(int admin_fd, int local_fd)
{
	static enum route_socket where[] = {ROUTE_ADMIN, ROUTE_LOCAL};
	const struct http_options options = {
		.body_max = ADMIN_BODY_MAX, .connections_max = 16, .idle_seconds = 10};
	struct http_server *servers[2];
	sd_event *event;
	if (sd_event_new(&event) < 0 ||
	    http_server_new(event, admin_fd, &options, on_request, NULL, &where[0], &servers[0]) <
		    0 ||
	    http_server_new(event, local_fd, &options, on_request, NULL, &where[1], &servers[1]) <
		    0)
		_exit(1);
	sd_event_loop(event);
	_exit(0);
}

/* ---- the network ---- */

static void make_root(void)
{
	struct root_statement root = {.version = 1, .mtu = 1280, .threshold = 1};
	struct key hub;
	const struct signing_key *keys[] = {&root_key};
	signing_key_generate(&root_key);
	signing_key_generate(&policy_key);
	signing_key_generate(&control_key);
	memset(network.bytes, 7, sizeof(network.bytes));
	root.network = network;
	strcpy(root.name, "test");
	assert_int_equal(prefix_parse("fd12:3456:789a::/48", &root.overlay6), 0);
	assert_int_equal(prefix_parse("10.77.0.0/16", &root.overlay4), 0);
	root.policy_keys[0] = policy_key.public_key;
	root.n_policy_keys = 1;
	root.control_key = control_key.public_key;
	key_generate_curve25519(&hub);
	assert_int_equal(key_public_curve25519(&hub, &root.hub_key), 0);
	strcpy(root.endpoints[0], "192.0.2.1:51820");
	root.n_endpoints = 1;
	root.api_port = 8443;
	root.enroll_port = 8444;
	char *payload = root_encode(&root);
	assert_non_null(payload);
	assert_int_equal(envelope_sign(TYPE_ROOT, payload, strlen(payload), keys, 1, &root_text),
			 0);
	free(payload);
	struct id id = id_of_public_key(root_key.public_key.bytes);
	memcpy(fingerprint.bytes, id.bytes, sizeof(fingerprint.bytes));
}

static int bed_up(void **state)
{
	int admin_fd, local_fd;
	strcpy(folder, "/tmp/sortie-cli-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(admin_path, sizeof(admin_path), "%s/control.sock", folder);
	snprintf(local_path, sizeof(local_path), "%s/sortied.sock", folder);
	make_root();
	assert_int_equal(mkdir(in_folder("keys", ""), 0700), 0);
	assert_int_equal(signing_key_save(in_folder("keys/policy", ""), &policy_key), 0);
	assert_int_equal(http_listen_unix(admin_path, 0600, &admin_fd), 0);
	assert_int_equal(http_listen_unix(local_path, 0600, &local_fd), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		play(admin_fd, local_fd);
	close(admin_fd);
	close(local_fd);
	struct admin_root answer = {.root = root_text, .state = folder};
	answer_with(ROUTE_ADMIN_ROOT, admin_root_encode(&answer));
	return 0;
}

static int bed_down(void **state)
{
	char command[128];
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	free(root_text);
	return system(command);
}

/* ---- running a command ---- */

static int redirect(const char *name, int fd)
{
	int saved = dup(fd);
	FILE *file = fopen(in_folder(name, ""), "w");
	assert_non_null(file);
	assert_true(dup2(fileno(file), fd) == fd);
	fclose(file);
	return saved;
}

static void restore(const char *name, int fd, int saved, char *text, size_t size)
{
	assert_true(dup2(saved, fd) == fd);
	close(saved);
	char *content = get(name, "");
	snprintf(text, size, "%s", content ? content : "");
	free(content);
}

/* Returns the exit code; out and errors hold what was printed. The line's words are split at blanks. */
static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *format, ...)
{
	static char line[512];
	char *argv[16] = {0};
	int argc = 0;
	struct invocation in;
	struct err err;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	if (command_parse(argc, argv, &in, &err) < 0)
		fail_msg("%s", err.text);
	fflush(stdout);
	int saved_out = redirect("out", STDOUT_FILENO), saved_err = redirect("err", STDERR_FILENO);
	int code = in.command->handler(&in);
	fflush(stdout);
	restore("out", STDOUT_FILENO, saved_out, out, sizeof(out));
	restore("err", STDERR_FILENO, saved_err, errors, sizeof(errors));
	return code;
}

#define CONTROL "--control %s "
#define AGENT	"--socket %s "

static void assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

/* ---- tokens ---- */

static void empty_token_list(enum route route)
{
	struct admin_token_list list = {0};
	answer_with(route, admin_token_list_encode(&list));
}

/* The token's text, its statement as uploaded, and the one-time peer belong together, under K1. */
static void check_token(const char *text, const char *statement_text, const char *name)
{
	struct join_token token;
	struct token_statement statement;
	struct trust *trust;
	struct err err = {0};
	struct signing_key join;
	struct key onetime, onetime_public;
	assert_int_equal(token_decode(text, &token, &err), 0);
	assert_true(key_equal(&token.root_fingerprint, &fingerprint));
	assert_int_equal(trust_new(&network, &fingerprint, &trust), 0);
	assert_int_equal(trust_accept_root(trust, root_text, strlen(root_text), &err), 0);
	if (trust_verify_token(trust, statement_text, strlen(statement_text), clock_wall(),
			       &statement, &err) < 0)
		fail_msg("%s", err.text);
	token_join_key(&token, &join);
	token_wireguard_key(&token, &onetime);
	assert_int_equal(key_public_curve25519(&onetime, &onetime_public), 0);
	assert_true(key_equal(&statement.join_key, &join.public_key));
	assert_true(key_equal(&statement.onetime_key, &onetime_public));
	assert_string_equal(statement.name, name);
	assert_string_equal(labels_get(&statement.labels, "role"), "web");
	assert_int_equal(statement.not_after, token.not_after);
	trust_free(trust);
}

static void test_token_create(void **state)
{
	struct admin_token_create request;
	struct err err;
	struct stat status;
	empty_token_list(ROUTE_ADMIN_TOKEN_CREATE);
	int code = run(CONTROL "token create --name site-a/web --labels role=web,env=prod "
			       "--not-after 10m --out %s/web.token",
		       admin_path, folder);
	if (code != 0)
		fail_msg("%s", errors);
	assert_says(out, "1 token in");
	assert_int_equal(stat(in_folder("web.token", ""), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	char *text = get("web.token", ""), *body = get("request.", "adminTokenCreate");
	assert_int_equal(admin_token_create_decode(body, strlen(body), &request, &err), 0);
	assert_int_equal(request.n_statements, 1);
	check_token(text, request.statements[0], "site-a/web");
	/* the seed's text went nowhere */
	assert_null(strstr(body, "sortie1_"));
	admin_token_create_done(&request);
	free(text);
	free(body);
}

static void test_token_count(void **state)
{
	struct admin_token_create request;
	struct err err;
	empty_token_list(ROUTE_ADMIN_TOKEN_CREATE);
	assert_int_equal(
		run(CONTROL "token create --name ci/job --labels role=web --count 3", admin_path),
		0);
	char *body = get("request.", "adminTokenCreate");
	assert_int_equal(admin_token_create_decode(body, strlen(body), &request, &err), 0);
	assert_int_equal(request.n_statements, 3);
	char *text = strtok(out, "\n");
	for (size_t i = 0; i < 3; i++, text = strtok(NULL, "\n")) {
		char name[32];
		assert_non_null(text);
		snprintf(name, sizeof(name), "ci/job-%zu", i + 1);
		check_token(text, request.statements[i], name);
	}
	assert_null(text);
	admin_token_create_done(&request);
	free(body);
}

static void test_token_refused(void **state)
{
	static const struct {
		const char *arguments;
		int code;
	} cases[] = {
		{"--name web", EXIT_USAGE},
		{"--name site-a/web --labels Role=web", EXIT_USAGE},
		{"--name site-a/web --labels sortie/x=1", EXIT_USAGE},
		{"--name site-a/web --count 0", EXIT_USAGE},
		{"--name site-a/web --count 1001", EXIT_USAGE},
		{"--name site-a/web --not-after 31d", EXIT_USAGE},
		{"--name site-a/web --not-after -1", EXIT_USAGE},
		{"--name site-a/web --key secret", EXIT_USAGE},
		{"--name site-a/web --key file:/nonexistent", EXIT_FAILED},
		{"--name site-a/web --out /nonexistent/x", EXIT_FAILED},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unlink(in_folder("request.", "adminTokenCreate"));
		int code = run(CONTROL "token create %s", admin_path, cases[i].arguments);
		if (code != cases[i].code)
			fail_msg("%s: %d %s", cases[i].arguments, code, errors);
		assert_null(get("request.", "adminTokenCreate"));
		/* one line */
		assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
	}
}

/* A token that the control plane refuses leaves no file. */
static void test_token_conflict(void **state)
{
	struct stat status;
	answer_problem(ROUTE_ADMIN_TOKEN_CREATE, "conflict", "site-a/web exists");
	assert_int_equal(
		run(CONTROL "token create --name site-a/web --out %s/no.token", admin_path, folder),
		EXIT_FAILED);
	assert_string_equal(errors, "sortie token create: site-a/web exists (conflict)\n");
	assert_int_equal(stat(in_folder("no.token", ""), &status), -1);
}

/* ---- policy ---- */

static const char policy_yaml[] =
	"version: 1\n"
	"rules:\n"
	"  - {name: web reads, from: role=web, to: role=db, allow: [tcp/5432]}\n"
	"tests:\n"
	"  - {from: site-a/web, to: site-b/db, allow: [tcp/5432], deny: [tcp/22]}\n";

static void member_fill(struct admin_member *member, uint8_t id, const char *name,
			const char *labels)
{
	struct err err;
	memset(member, 0, sizeof(*member));
	memset(member->id.bytes, id, sizeof(member->id.bytes));
	snprintf(member->name, sizeof(member->name), "%s", name);
	assert_int_equal(labels_parse(labels, &member->labels, &err), 0);
}

/* The control plane's answer: envelope and leaves of the standing policy, or none. */
static void standing(uint64_t version, char *envelope, char **leaves, size_t n)
{
	struct admin_member members[2];
	member_fill(&members[0], 1, "site-a/web", "role=web");
	member_fill(&members[1], 2, "site-b/db", "role=db");
	struct admin_policy policy = {.root = root_text,
				      .version = version,
				      .policy = envelope,
				      .leaves = leaves,
				      .n_leaves = n,
				      .inventory = members,
				      .n_inventory = 2};
	answer_with(ROUTE_ADMIN_POLICY, admin_policy_encode(&policy));
}

static void standing_from_request(struct admin_policy_apply *ret)
{
	struct err err;
	char *body = get("request.", "adminPolicyApply");
	assert_non_null(body);
	assert_int_equal(admin_policy_apply_decode(body, strlen(body), ret, &err), 0);
	free(body);
}

static void test_policy_apply(void **state)
{
	struct admin_policy_applied applied = {.version = 1, .revision = 7};
	struct admin_policy_apply request;
	struct trust *trust;
	struct err err = {0};
	put("policy.yaml", "", policy_yaml);
	standing(0, NULL, NULL, 0);
	answer_with(ROUTE_ADMIN_POLICY_APPLY, admin_policy_applied_encode(&applied));
	int code = run(CONTROL "policy apply %s/policy.yaml", admin_path, folder);
	if (code != 0)
		fail_msg("%s", errors);
	assert_says(out,
		    "+ site-a/web -> site-b/db tcp/5432\n1 gained, 0 lost over 2 identities\n");
	assert_says(out, "policy version 1 is in force");

	/* what was uploaded is what agents accept, with the text as written */
	standing_from_request(&request);
	assert_string_equal(request.text, policy_yaml);
	assert_int_equal(trust_new(&network, &fingerprint, &trust), 0);
	assert_int_equal(trust_accept_root(trust, root_text, strlen(root_text), &err), 0);
	assert_int_equal(trust_accept_policy(trust, request.policy, strlen(request.policy),
					     (const char *const *)request.leaves, request.n_leaves,
					     clock_wall(), &err),
			 0);
	assert_int_equal(trust_policy_statement(trust)->version, 1);
	assert_int_equal(trust_policy_statement(trust)->not_after -
				 trust_policy_statement(trust)->issued_at,
			 30 * 86400);
	trust_free(trust);

	/* the next one is compared with it */
	standing(1, request.policy, request.leaves, request.n_leaves);
	put("policy.yaml", "", "version: 1\n");
	assert_int_equal(run(CONTROL "policy plan %s/policy.yaml", admin_path, folder), 0);
	assert_says(out, "- site-a/web -> site-b/db tcp/5432\n0 gained, 1 lost");
	assert_int_equal(run(CONTROL "policy plan %s/policy.yaml --json", admin_path, folder), 0);
	assert_says(out, "\"schema\": \"sortie.policy-plan/1\"");
	assert_says(out, "\"standing\": 1");
	put("policy.yaml", "",
	    "version: 1\nhosts: [{on: role=db, egress: locked}]\n"
	    "underlay: [{name: u, on: role=web, from: [192.0.2.0/24], allow: [tcp/22]}]\n");
	assert_int_equal(run(CONTROL "policy plan %s/policy.yaml", admin_path, folder), 0);
	assert_says(out, "+ outside: 192.0.2.0/24 -> site-a/web tcp/22\n"
			 "- outside: site-b/db -> anything outside\n");
	assert_int_equal(run(CONTROL "policy plan %s/policy.yaml --json", admin_path, folder), 0);
	assert_says(out, "\"outside_gained\": [\n    \"192.0.2.0/24 -> site-a/web tcp/22\"");

	/* can: by the standing policy, verified */
	assert_int_equal(run(CONTROL "can site-a/web site-b/db tcp/5432", admin_path), EXIT_OK);
	assert_says(out, "yes  site-a/web -> site-b/db tcp/5432: ");
	assert_int_equal(run(CONTROL "can site-b/db site-a/web tcp/5432", admin_path), EXIT_DENIED);
	assert_says(out, "no  site-b/db -> site-a/web");
	assert_int_equal(run(CONTROL "can site-a/web site-b/db icmp --json", admin_path),
			 EXIT_DENIED);
	assert_says(out, "\"schema\": \"sortie.can/1\"");
	assert_int_equal(run(CONTROL "can site-a/web site-x/no icmp", admin_path), EXIT_FAILED);

	/* a control plane that widened a leaf is found out */
	char *leaf = strstr(request.leaves[0], "5432");
	assert_non_null(leaf);
	leaf[3] = '3';
	standing(1, request.policy, request.leaves, request.n_leaves);
	assert_int_equal(run(CONTROL "policy plan %s/policy.yaml", admin_path, folder),
			 EXIT_FAILED);
	assert_says(errors, "does not verify");
	admin_policy_apply_done(&request);
}

static void test_policy_refused(void **state)
{
	static const struct {
		const char *yaml;
		int code;
		const char *says;
	} cases[] = {
		{"version: 1\nrules:\n  - {name: x, from: role=web, to: role=db, allow: [nope]}\n",
		 EXIT_FAILED, "policy.yaml:3:"},
		{"version: 1\ntests:\n  - {from: site-a/web, to: site-b/db, allow: [tcp/22]}\n",
		 EXIT_TESTS_FAILED, "1 of the policy's 1 tests failed"},
		{"\t", EXIT_FAILED, "policy.yaml"},
		{"", EXIT_FAILED, "policy.yaml"},
	};
	standing(0, NULL, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put("policy.yaml", "", cases[i].yaml);
		unlink(in_folder("request.", "adminPolicyApply"));
		int code = run(CONTROL "policy apply %s/policy.yaml", admin_path, folder);
		if (code != cases[i].code)
			fail_msg("case %zu: %d %s", i, code, errors);
		assert_says(errors, cases[i].says);
		assert_null(get("request.", "adminPolicyApply"));
	}
	assert_int_equal(run(CONTROL "policy check /nonexistent", admin_path), EXIT_FAILED);
}

/* A key that is not in the root signs nothing. */
static void test_policy_wrong_key(void **state)
{
	put("policy.yaml", "", policy_yaml);
	standing(0, NULL, NULL, 0);
	unlink(in_folder("request.", "adminPolicyApply"));
	assert_int_equal(signing_key_save(in_folder("other.key", ""), &control_key), 0);
	assert_int_equal(run(CONTROL "policy apply %s/policy.yaml --key file:%s/other.key",
			     admin_path, folder, folder),
			 EXIT_FAILED);
	assert_says(errors, "none of the network's policy keys");
	assert_null(get("request.", "adminPolicyApply"));
}

static void test_policy_check_alone(void **state)
{
	put("policy.yaml", "", policy_yaml);
	setenv("SORTIE_CONTROL", "/nonexistent/socket", 1);
	assert_int_equal(run("policy check %s/policy.yaml", folder), 0);
	assert_says(out, "is valid: 1 rules, 1 tests");
	assert_says(out, "were not run");
	unsetenv("SORTIE_CONTROL");
}

/* ---- identities ---- */

static void revoked(bool connected)
{
	struct admin_acknowledgement done = {.name = "site-b/db", .ms = 41, .connected = true};
	struct admin_acknowledgement open = {.name = "site-c/x", .connected = connected};
	struct admin_revoked answer = {.name = "site-a/web",
				       .tombstone = (char[]){"{}"},
				       .revision = 9,
				       .waited = true,
				       .hub_ms = 3,
				       .total_ms = 44,
				       .acknowledged = &done,
				       .n_acknowledged = 1,
				       .outstanding = &open,
				       .n_outstanding = 1};
	answer_with(ROUTE_ADMIN_IDENTITY_REVOKE, admin_revoked_encode(&answer));
}

static void test_revoke(void **state)
{
	struct admin_revoke request;
	struct err err;
	revoked(false);
	assert_int_equal(run(CONTROL
			     "identity revoke --wait --timeout 5s site-a/web --reason stolen",
			     admin_path),
			 EXIT_OK);
	assert_says(out, "site-a/web is revoked for ever");
	assert_says(out, "acknowledged: site-b/db after 41 ms");
	assert_says(out, "1 of 2 agents have cut it off, the last after 41 ms");
	assert_says(out, "outstanding: site-c/x (not connected");
	char *body = get("request.", "adminIdentityRevoke");
	assert_int_equal(admin_revoke_decode(body, strlen(body), &request, &err), 0);
	assert_string_equal(request.who, "site-a/web");
	assert_string_equal(request.reason, "stolen");
	assert_true(request.wait);
	assert_int_equal(request.timeout_ms, 5000);
	free(body);
	revoked(true);
	assert_int_equal(run(CONTROL "identity revoke --wait site-a/web", admin_path), EXIT_FAILED);
	assert_says(errors, "not every connected agent has acknowledged");
	answer_problem(ROUTE_ADMIN_IDENTITY_REVOKE, "not-found", "no identity is called x");
	assert_int_equal(run(CONTROL "identity revoke x", admin_path), EXIT_FAILED);
	assert_int_equal(run(CONTROL "identity revoke x --timeout 5s", admin_path), EXIT_USAGE);
}

static void test_identities(void **state)
{
	struct admin_identity one = {.name = "site-a/web", .state = "active", .connected = true};
	struct admin_identity_list list = {.identities = &one, .n_identities = 1};
	struct admin_traffic traffic = {.name = "site-b/db",
					.sent_packets = 3,
					.sent_bytes = 400,
					.received_packets = 5,
					.received_bytes = 600};
	struct admin_identity_show show = {.identity = one,
					   .token = (char[]){"t"},
					   .statement = (char[]){"s"},
					   .key = (char[]){"k"},
					   .traffic = &traffic,
					   .n_traffic = 1};
	assert_int_equal(addr_parse("fd12::1", &one.ipv6), 0);
	answer_with(ROUTE_ADMIN_IDENTITY_LIST, admin_identity_list_encode(&list));
	answer_with(ROUTE_ADMIN_IDENTITY_SHOW, admin_identity_show_encode(&show));
	answer_with(ROUTE_ADMIN_IDENTITY_SUSPEND, admin_identity_show_encode(&show));
	assert_int_equal(run(CONTROL "identity list", admin_path), 0);
	assert_says(out, "site-a/web");
	assert_int_equal(run(CONTROL "identity list --json", admin_path), 0);
	assert_says(out, "\"schema\": \"sortie.identities/1\"");
	assert_int_equal(run(CONTROL "identity show site-a/web", admin_path), 0);
	assert_says(out, "site-b/db: sent 3 packets, 400 bytes; received 5 packets, 600 bytes");
	char *query = get("query.", "adminIdentityShow");
	assert_string_equal(query, "site-a/web");
	free(query);
	assert_int_equal(run(CONTROL "identity suspend site-a/web", admin_path), 0);
	assert_says(out, "site-a/web is active");
}

/* ---- the agent's side ---- */

static void status_answer(bool ready, bool hub, bool enrolled, int64_t lease)
{
	char *warnings[] = {(char[]){"clock\x1b[2J"}};
	struct local_status status = {.version = "0.1.0",
				      .ready = ready,
				      .enrolled = enrolled,
				      .hub_answers = hub,
				      .hub_round_trip_us = 12345,
				      .policy_version = 3,
				      .lease_not_after = lease,
				      .mode = "enforce",
				      .backend = "kernel",
				      .name = "site-a/web",
				      .warnings = warnings,
				      .n_warnings = 1};
	answer_with(ROUTE_LOCAL_STATUS, local_status_encode(&status));
}

static void test_status(void **state)
{
	int64_t now = clock_wall();
	static const struct {
		bool ready, hub, enrolled;
		int64_t lease;
		int code;
	} cases[] = {
		{true, true, true, 3600, EXIT_OK},
		{false, true, true, 3600, EXIT_FAILED},
		{false, false, true, 3600, EXIT_UNREACHABLE},
		{false, true, true, -1, EXIT_NOT_ENROLLED},
		{false, true, false, 3600, EXIT_NOT_ENROLLED},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		status_answer(cases[i].ready, cases[i].hub, cases[i].enrolled,
			      now + cases[i].lease);
		assert_int_equal(run(AGENT "status --check ready", local_path), cases[i].code);
		assert_string_equal(out, "");
		assert_int_equal(run(AGENT "status --check live", local_path), EXIT_OK);
	}
	status_answer(true, true, true, now + 3 * 3600 + 1);
	assert_int_equal(run(AGENT "status", local_path), 0);
	assert_says(out, "site-a/web, enforce, kernel, hub 12.3 ms, policy 3, lease ends in 3h\n");
	assert_says(out, "warning: clock?[2J");
	assert_int_equal(run(AGENT "status --json", local_path), 0);
	assert_says(out, "\"schema\": \"sortie.status/1\"");
	assert_null(strchr(out, '\x1b'));
	assert_int_equal(run(AGENT "status --check maybe", local_path), EXIT_USAGE);
	assert_int_equal(run(AGENT "status --check live", "/nonexistent"), EXIT_FAILED);
}

static void test_can_by_agent(void **state)
{
	struct local_flow deny = {.sequence = 1,
				  .verdict = "denied",
				  .direction = "in",
				  .layer = "overlay",
				  .from = "fd12::1",
				  .to = "fd12::2"};
	struct local_can_answer answer = {.from = "site-a/web",
					  .to = "site-b/db",
					  .port = "tcp/22",
					  .reason = "no rule",
					  .denies = &deny,
					  .n_denies = 1};
	answer_with(ROUTE_LOCAL_CAN, local_can_answer_encode(&answer));
	assert_int_equal(run(AGENT "can site-b/db tcp/22", local_path), EXIT_DENIED);
	assert_says(out, "no  site-a/web -> site-b/db tcp/22: no rule\nlast denied:\n1970-01-01");
	answer_problem(ROUTE_LOCAL_CAN, "not-enrolled", "this host is not enrolled");
	assert_int_equal(run(AGENT "can site-b/db tcp/22", local_path), EXIT_NOT_ENROLLED);
	assert_int_equal(run(AGENT "can site-b/db tcp/99999", local_path), EXIT_USAGE);
	assert_int_equal(run(AGENT "can db tcp/22", local_path), EXIT_USAGE);
}

static void test_mode(void **state)
{
	struct local_mode_set set = {.mode = "enforce", .confirm_s = 60};
	struct local_confirmed confirmed = {.mode = "enforce"};

	answer_with(ROUTE_LOCAL_MODE, local_mode_set_encode(&set));
	assert_int_equal(run(AGENT "mode enforce --confirm 60s", local_path), 0);
	assert_says(out, "run `sortie confirm`");
	assert_says(out, "undone in 60 s");
	set.confirm_s = 0;
	set.pending = true;
	answer_with(ROUTE_LOCAL_MODE, local_mode_set_encode(&set));
	assert_int_equal(run(AGENT "mode enforce", local_path), 0);
	assert_says(out, "pending");
	assert_int_equal(run(AGENT "mode observe", local_path), EXIT_USAGE);
	assert_int_equal(run(AGENT "mode overlay --confirm 60s", local_path), EXIT_USAGE);
	assert_int_equal(run(AGENT "mode enforce --confirm 2h", local_path), EXIT_USAGE);
	assert_int_equal(run(AGENT "mode enforce --confirm 2s", local_path), EXIT_USAGE);
	answer_problem(ROUTE_LOCAL_MODE, "mode-loosens", "mode: policy says enforce here");
	assert_int_equal(run(AGENT "mode overlay", local_path), EXIT_DENIED);

	answer_with(ROUTE_LOCAL_CONFIRM, local_confirmed_encode(&confirmed));
	assert_int_equal(run(AGENT "confirm", local_path), 0);
	answer_problem(ROUTE_LOCAL_CONFIRM, "forbidden", "confirm: this login is older");
	assert_int_equal(run(AGENT "confirm", local_path), EXIT_FAILED);
	assert_says(errors, "older");
}

static void test_flows(void **state)
{
	struct local_flow flow = {.sequence = 5,
				  .at = 86400,
				  .verdict = "denied",
				  .direction = "in",
				  .layer = "overlay",
				  .peer = "site-a/web",
				  .from = "[fd12::1]:5000",
				  .to = "[fd12::2]:22",
				  .port = "tcp/22",
				  .interface = "sortie0"};
	struct local_flows flows = {.next = 5, .flows = &flow, .n_flows = 1};
	answer_with(ROUTE_LOCAL_FLOWS, local_flows_encode(&flows));
	assert_int_equal(run(AGENT "flows --denied", local_path), 0);
	assert_says(out, "1970-01-02T00:00:00Z  denied");
	assert_says(out, "site-a/web");
	assert_says(out, "[fd12::1]:5000 -> [fd12::2]:22  tcp/22  sortie0");
	assert_int_equal(run(AGENT "flows --json", local_path), 0);
	assert_says(out, "\"schema\": \"sortie.flows/1\"");
}

static void test_enroll(void **state)
{
	struct local_enrolled enrolled = {.id = "a", .name = "site-a/web", .network = "test"};
	assert_int_equal(addr_parse("fd12::1", &enrolled.ipv6), 0);
	empty_token_list(ROUTE_ADMIN_TOKEN_CREATE);
	assert_int_equal(
		run(CONTROL "token create --name site-a/web --out %s/t", admin_path, folder), 0);
	answer_with(ROUTE_LOCAL_ENROLL, local_enrolled_encode(&enrolled));
	assert_int_equal(run(AGENT "enroll --token file:%s/t", local_path, folder), 0);
	assert_string_equal(out, "enrolled as site-a/web in test, address fd12::1\n");

	answer_problem(ROUTE_LOCAL_ENROLL, "token-used", "the token was used by another host");
	assert_int_equal(run(AGENT "enroll --token file:%s/t", local_path, folder),
			 EXIT_NOT_ENROLLED);
	assert_string_equal(errors,
			    "sortie enroll: the token was used by another host (token-used)\n");

	/* a typo is found before the agent hears of it */
	unlink(in_folder("request.", "localEnroll"));
	char *text = get("t", "");
	text[20] = text[20] == 'a' ? 'b' : 'a';
	put("typo", "", text);
	free(text);
	assert_int_equal(run(AGENT "enroll --token file:%s/typo", local_path, folder),
			 EXIT_NOT_ENROLLED);
	assert_null(get("request.", "localEnroll"));

	assert_int_equal(chmod(in_folder("t", ""), 0644), 0);
	assert_int_equal(run(AGENT "enroll --token file:%s/t", local_path, folder), EXIT_FAILED);
	assert_says(errors, "chmod 600");
	assert_int_equal(run(AGENT "enroll --token sortie1_abc", local_path), EXIT_USAGE);
}

static void test_bad_answers(void **state)
{
	static const struct {
		const char *answer;
		const char *says;
	} cases[] = {
		{"200 {\"schema\":\"sortie.left/2\"}", "not valid"},
		{"200 <html>", "not valid"},
		{"500 oops", "status 500 and no reason"},
		{"403 {\"type\":\"urn:sortie:problem:forbidden\",\"title\":\"t\",\"status\":403,\"detail\":"
		 "\"only root may leave\"}",
		 "only root may leave (forbidden)"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put("answer.", "localLeave", cases[i].answer);
		assert_int_equal(run(AGENT "leave", local_path), EXIT_FAILED);
		assert_says(errors, cases[i].says);
	}
	assert_int_equal(run(CONTROL "identity list", "/nonexistent"), EXIT_UNREACHABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_token_create),
		cmocka_unit_test(test_token_count),
		cmocka_unit_test(test_token_refused),
		cmocka_unit_test(test_token_conflict),
		cmocka_unit_test(test_policy_apply),
		cmocka_unit_test(test_policy_refused),
		cmocka_unit_test(test_policy_wrong_key),
		cmocka_unit_test(test_policy_check_alone),
		cmocka_unit_test(test_revoke),
		cmocka_unit_test(test_identities),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_can_by_agent),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_flows),
		cmocka_unit_test(test_enroll),
		cmocka_unit_test(test_bad_answers),
	};
	return cmocka_run_group_tests(tests, bed_up, bed_down);
}
