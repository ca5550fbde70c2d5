/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host as the control plane sees it, good or hostile, without an agent's caution: joins by a token over a WireGuard
 * interface of its own and makes the calls it is told to, one line of result each.
 *
 * usage: control_agent TOKENFILE INTERFACE ACTION...
 *
 *	enroll          redeem the token           other      redeem it with a new K3
 *	join            leave the one-time address, come as the identity that enroll made
 *	sync            a call with what was seen and applied; poll: the same, after the last answer (may wait)
 *	replay          the last call once more    forge      a call signed by a stranger
 *	late            a call of an hour ago      big        a body over the limit
 *	greedy          80 calls that have seen nothing, at once one after the other
 *	onetime         a new WireGuard key: that of its own token      hubkey  ... : the hub's
 *	version         GET /v1/version            enrol-port the enrolment port from an identity's address
 *	api-port        a call to the API port from the one-time address
 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/http.h"
#include "api/message.h"
#include "common/clock.h"
#include "common/file.h"
#include "netlink/link.h"
#include "netlink/wireguard.h"
#include "trust/envelope.h"
#include "trust/statement.h"
#include "trust/token.h"

#define TIMEOUT_MS 40000
#define SILENT_MS  3000 /* to ports that should not answer */

struct host {
	const char *interface;
	struct join_token token;
	struct root_statement root;
	struct signing_key k3;
	struct key k4; /* private */
	struct id id;
	struct addr own6, hub6;
	struct sync_request request;
	char *last_call;
	unsigned int timeout_ms;
};

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "control_agent: %s: %s\n", what, strerror(-r));
	exit(1);
}

static char *sign(const char *type, char *payload, const struct signing_key *a,
		  const struct signing_key *b)
{
	const struct signing_key *keys[] = {a, b};
	char *text = NULL;

	must(payload ? envelope_sign(type, payload, strlen(payload), keys, b ? 2 : 1, &text)
		     : -ENOMEM,
	     "sign");
	free(payload);
	return text;
}

/* ---- the interface ---- */

static void come_as(struct host *host, const struct key *private_key, const struct addr *addr)
{
	struct prefix allowed = prefix_host(&host->hub6);
	struct wg_device device = {.private_key = *private_key};
	struct wg_peer hub = {.public_key = host->token.hub_key,
			      .keepalive = 1,
			      .allowed = &allowed,
			      .n_allowed = 1};
	const struct wg_change changes[] = {{.kind = WG_CHANGE_DEVICE, .device = &device},
					    {.kind = WG_CHANGE_PEER_SET, .peer = &hub}};
	struct link_route route = {.destination = allowed, .table = 254};
	struct link_handle *link;
	struct link_info info;
	struct wg *wg;

	must(endpoint_parse(host->token.endpoints[0], &hub.endpoint), "the token's endpoint");
	must(wg_destroy(host->interface), "remove the interface");
	must(wg_create(host->interface, WG_BACKEND_AUTO, &wg, NULL), "create the interface");
	must(wg_set(wg, changes, 2), "set key and hub");
	must(link_open(&link), "netlink");
	must(link_get(link, host->interface, &info), "find the interface");
	must(link_addr_add(link, info.index, addr, 128), "add the address");
	must(link_set_up(link, host->interface, true), "set up");
	route.oif = info.index;
	must(link_route_add(link, &route), "add the route");
	link_close(link);
	wg_close(wg);
	host->own6 = *addr;
}

/* ---- calls ---- */

static unsigned int call(const struct host *host, uint16_t port, const char *path, const char *body,
			 char **ret_body)
{
	const struct http_target target = {.to = {.addr = host->hub6, .port = port},
					   .bind_interface = host->interface};
	unsigned int status = 0;
	size_t length;
	int r = http_call_wait(&target, body ? "POST" : "GET", path, body, body ? strlen(body) : 0,
			       host->timeout_ms, API_ANSWER_MAX, &status, ret_body, &length);

	if (r < 0) {
		printf("error %s\n", strerror(-r));
		*ret_body = NULL;
		return 0;
	}
	return status;
}

static void print_result(const char *what, unsigned int status, const char *body)
{
	struct problem problem;
	struct err err;

	if (status >= 400 && body && problem_decode(body, strlen(body), &problem, &err) == 0)
		printf("%s %u %s\n", what, status, problem.code);
	else if (status)
		printf("%s %u\n", what, status);
}

static char *enrol_body(const struct host *host)
{
	struct identity_statement identity = {
		.network = host->token.network,
		.k3 = host->k3.public_key,
		.created_at = clock_wall(),
	};
	struct key_statement key = {.network = host->token.network,
				    .identity = host->id,
				    .generation = 1,
				    .not_before = clock_wall()};
	struct enroll_request request;
	struct signing_key join;
	char *text;

	token_join_key(&host->token, &join);
	identity.join_key = join.public_key;
	must(key_public_curve25519(&host->k4, &identity.k4), "K4");
	key.k4 = identity.k4;
	must(identity_address(&host->token.network, &host->token.overlay6, &host->k3.public_key,
			      &identity.ipv6),
	     "address");
	request.identity = sign(TYPE_IDENTITY, identity_encode(&identity), &host->k3, &join);
	request.key = sign(TYPE_KEY, key_encode(&key), &host->k3, NULL);
	text = enroll_request_encode(&request);
	enroll_request_done(&request);
	return text;
}

static void new_k3(struct host *host)
{
	signing_key_generate(&host->k3);
	key_generate_curve25519(&host->k4);
	host->id = id_of_public_key(host->k3.public_key.bytes);
}

/* The root is believed here: verifying is trust/'s business and tested there. */
static void take_answer(struct host *host, const char *body)
{
	struct enroll_answer answer;
	struct envelope *envelope;
	struct ipv4_statement ipv4 = {.network = host->token.network, .identity = host->id};
	struct err err;

	must(enroll_answer_decode(body, strlen(body), &answer, &err), "enrolment answer");
	must(envelope_parse(answer.root, strlen(answer.root), TYPE_ROOT, &envelope, &err), "root");
	must(root_decode(envelope->payload, envelope->payload_length, &host->root, &err), "root");
	ipv4.ipv4 = answer.ipv4;
	if (addr_is_set(&answer.ipv4))
		host->request.ipv4 = sign(TYPE_IPV4, ipv4_encode(&ipv4), &host->k3, NULL);
	envelope_free(envelope);
	enroll_answer_done(&answer);
}

static void enrol(struct host *host, uint16_t port)
{
	char *request = enrol_body(host), *body = NULL;
	unsigned int status = call(host, port, "/v1/enroll", request, &body);

	if (status == 200)
		take_answer(host, body);
	print_result("enroll", status, body);
	free(request);
	free(body);
}

static char *signed_call(const struct host *host, const struct signing_key *key, int64_t at)
{
	struct call_statement statement = {
		.network = host->token.network,
		.hub = host->token.hub_key,
		.method = "POST",
		.path = "/v1/sync",
		.at = at,
		.payload = sync_request_encode(&host->request),
	};
	char *text;

	randombytes_buf(statement.nonce, sizeof(statement.nonce));
	text = sign(TYPE_CALL, call_encode(&statement), key, NULL);
	free(statement.payload);
	return text;
}

static void take_view(struct host *host, const char *body, int64_t ms)
{
	struct sync_answer answer;
	struct err err = {0};

	if (sync_answer_decode(body, strlen(body), &answer, &err) < 0) {
		printf("sync bad answer: %s\n", err.text);
		return;
	}
	printf("sync 200 revision=%" PRIu64 " policy=%s rules=%zu identities=%zu tombstones=%zu "
	       "lease=%s ipv4=%s ms=%" PRId64 "\n",
	       answer.revision, answer.policy ? "yes" : "no", answer.n_leaves, answer.n_identities,
	       answer.n_tombstones, answer.self.lease ? "yes" : "no",
	       answer.self.ipv4 ? "yes" : "no", ms);
	host->request.revision = host->request.applied = answer.revision;
	memcpy(host->request.boot_id, answer.boot_id, sizeof(answer.boot_id));
	sync_answer_done(&answer);
}

static void sync_with(struct host *host, char *envelope)
{
	struct mono start = clock_mono();
	char *body = NULL;
	unsigned int status = call(host, host->root.api_port, "/v1/sync", envelope, &body);

	if (status == 200)
		take_view(host, body, mono_diff_ms(clock_mono(), start));
	else
		print_result("sync", status, body);
	if (host->last_call != envelope) {
		free(host->last_call);
		host->last_call = envelope;
	}
	free(body);
}

static void get_version(const struct host *host)
{
	char *body = NULL;

	print_result("version", call(host, host->root.api_port, "/v1/version", NULL, &body), body);
	free(body);
}

/* ---- actions ---- */

static void join(struct host *host)
{
	struct addr addr;

	must(identity_address(&host->token.network, &host->token.overlay6, &host->k3.public_key,
			      &addr),
	     "address");
	come_as(host, &host->k4, &addr);
}

static void big(struct host *host)
{
	char *envelope = calloc(1, API_CALL_BODY_MAX + 100);

	memset(envelope, 'x', API_CALL_BODY_MAX + 99);
	sync_with(host, envelope);
}

static void sync_with_key(struct host *host, const struct key *k4)
{
	const struct key_statement key = {.network = host->token.network,
					  .identity = host->id,
					  .generation = 2,
					  .k4 = *k4,
					  .not_before = clock_wall()};

	host->request.key = sign(TYPE_KEY, key_encode(&key), &host->k3, NULL);
	sync_with(host, signed_call(host, &host->k3, clock_wall()));
	free(host->request.key);
	host->request.key = NULL;
}

/* As one who wants his whole view again and again. */
static void greedy(struct host *host)
{
	struct mono start = clock_mono();
	size_t bytes = 0;

	host->request.revision = 0;
	for (int i = 0; i < 80; i++) {
		char *envelope = signed_call(host, &host->k3, clock_wall()), *body = NULL;
		unsigned int status = call(host, host->root.api_port, "/v1/sync", envelope, &body);

		bytes += status == 200 ? strlen(body) : 0;
		free(envelope);
		free(body);
	}
	printf("greedy bytes=%zu ms=%" PRId64 "\n", bytes, mono_diff_ms(clock_mono(), start));
}

static void sync_with_onetime_key(struct host *host)
{
	struct key private_key, public_key;

	token_wireguard_key(&host->token, &private_key);
	must(key_public_curve25519(&private_key, &public_key), "one-time key");
	sync_with_key(host, &public_key);
}

static void act(struct host *host, const char *action)
{
	struct signing_key stranger;

	signing_key_generate(&stranger);
	host->timeout_ms = strstr(action, "-port") ? SILENT_MS : TIMEOUT_MS;
	if (strcmp(action, "enroll") == 0) {
		enrol(host, 7141);
	} else if (strcmp(action, "other") == 0) {
		new_k3(host);
		enrol(host, 7141);
	} else if (strcmp(action, "join") == 0) {
		join(host);
	} else if (strcmp(action, "sync") == 0 || strcmp(action, "poll") == 0) {
		sync_with(host, signed_call(host, &host->k3, clock_wall()));
	} else if (strcmp(action, "replay") == 0) {
		sync_with(host, host->last_call);
	} else if (strcmp(action, "forge") == 0) {
		sync_with(host, signed_call(host, &stranger, clock_wall()));
	} else if (strcmp(action, "late") == 0) {
		sync_with(host, signed_call(host, &host->k3, clock_wall() - 3600));
	} else if (strcmp(action, "onetime") == 0) {
		sync_with_onetime_key(host);
	} else if (strcmp(action, "hubkey") == 0) {
		sync_with_key(host, &host->token.hub_key);
	} else if (strcmp(action, "greedy") == 0) {
		greedy(host);
	} else if (strcmp(action, "big") == 0) {
		big(host);
	} else if (strcmp(action, "version") == 0) {
		get_version(host);
	} else if (strcmp(action, "enrol-port") == 0) {
		enrol(host, 7141);
	} else if (strcmp(action, "api-port") == 0) {
		host->root.api_port = 7140;
		get_version(host);
	} else {
		must(-EINVAL, action);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct host host = {0};
	struct key onetime, public_key;
	struct addr addr;
	struct err err = {0};
	char *text;
	size_t length;

	if (argc < 4 || sodium_init() < 0) {
		fputs("usage: control_agent TOKENFILE INTERFACE ACTION...\n", stderr);
		return 2;
	}
	must(file_read(argv[1], TOKEN_TEXT_MAX, &text, &length), "read the token");
	must(token_decode(text, &host.token, &err), err.text);
	free(text);
	host.interface = argv[2];
	host.hub6 = hub_address6(&host.token.overlay6);
	new_k3(&host);
	token_wireguard_key(&host.token, &onetime);
	must(key_public_curve25519(&onetime, &public_key), "one-time key");
	addr = token_address(&host.token.overlay6, &public_key);
	come_as(&host, &onetime, &addr);
	for (int i = 3; i < argc; i++)
		act(&host, argv[i]);
	free(host.last_call);
	free(host.request.ipv4);
	must(wg_destroy(host.interface), "remove the interface");
	return 0;
}
