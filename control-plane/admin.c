/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The admin socket: who calls, which handler, and the reads that need no file of their own. */
#include "control-plane/admin.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "api/routes.h"
#include "common/log.h"
#include "control-plane/store_audit.h"
#include "control-plane/store_token.h"
#include "relay/relay.h"

/* ---- status ---- */

static int count_open(const struct token_row *token, void *data)
{
	struct admin_status *status = data;

	if (token->state == TOKEN_NEW && token->not_after > clock_wall())
		status->tokens_open++;
	return 0;
}

static void warn(struct admin_status *status, char *text)
{
	if (text && status->n_warnings < ADMIN_WARNINGS_MAX)
		status->warnings[status->n_warnings++] = text;
	else
		free(text);
}

static char *sentence(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *sentence(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return text;
}

/* K1's expiry bounds a hostile control plane, so its end must not come as a surprise: alarms at 50 % and 90 %. */
static void warn_of_policy(const struct control *control, struct admin_status *status, int64_t now)
{
	const struct policy_statement *policy = trust_policy_statement(control->trust);
	int64_t length, gone;

	if (!policy) {
		warn(status,
		     sentence(control->policy.version ? "policy version %" PRIu64
							" has expired: sign and apply a new one"
						      : "there is no policy yet (version %" PRIu64
							"): everything is denied",
			      control->policy.version));
		return;
	}
	status->policy_not_after = policy->not_after;
	length = policy->not_after - policy->issued_at;
	gone = now - policy->issued_at;
	if (length > 0 && gone * 10 >= length * 9)
		warn(status,
		     sentence("the policy's time is 90 %% over: sign and apply it anew now"));
	else if (length > 0 && gone * 2 >= length)
		warn(status,
		     sentence("the policy's time is half over: sign and apply it anew soon"));
}

static void count_members(const struct control *control, struct admin_status *status)
{
	status->identities = (uint32_t)control->inventory.n;
	status->revoked = (uint32_t)control->inventory.n_revoked;
	for (size_t i = 0; i < control->inventory.n; i++) {
		const struct member *member = control->inventory.members[i];

		status->connected += control_connected(member);
		status->suspended += member->row.state == IDENTITY_SUSPENDED;
	}
}

/* The certain ones: what may be dropped is no news on a host with any firewall. */
static void warn_of_foreign(const struct control *control, struct admin_status *status)
{
	_cleanup_(freep) struct foreign_finding *findings = NULL;
	char text[FOREIGN_SENTENCE_MAX];
	size_t n = 0;

	if (hub_foreign(control->hub, &findings, &n) < 0)
		log_debug("the rules of other software cannot be read");
	for (size_t i = 0; i < n; i++)
		if (findings[i].certain)
			warn(status, sentence("%s", foreign_sentence(&findings[i], text)));
}

static void warn_of_no_relay(const struct control *control, struct admin_status *status)
{
	if (control->relay_error == -EPROTONOSUPPORT)
		warn(status,
		     sentence(
			     "the relay's maps in %s are another version's: it goes on as it was told "
			     "last, until leases end, and is told nothing more; run "
			     "sortie-relay-load --unload, then load it again",
			     control->options->bpffs_dir));
	else if (control->relay_error == -ENOSYS)
		warn(status,
		     sentence(
			     "no relay: this kernel has no BPF: sites reach the control plane but not "
			     "each other; run the hub on a kernel that has"));
	else
		warn(status,
		     sentence("no relay: sites reach the control plane but not each other; run "
			      "sortie-relay-load and name its --bpffs folder"));
}

/* One line whatever the number: where everybody is paired with everybody, all are full. */
static void warn_of_full(const struct control *control, struct admin_status *status, int64_t now)
{
	const struct member *member = NULL;
	size_t unpaired = 0;
	size_t n = relay_feed_full(control->relay, &control->inventory, now, &member, &unpaired);
	char others[64] = "";

	if (n == 0)
		return;
	if (n > 1)
		snprintf(others, sizeof(others), ", and %zu other identities are like it", n - 1);
	warn(status,
	     sentence("policy pairs %s with more than %d identities, which is the most that the "
		      "relay serves: %zu of them and it do not reach each other%s; narrow the "
		      "rules that name it",
		      member->row.name, RELAY_CANDIDATES_MAX, unpaired, others));
}

/* As it stands now, whatever the loader once said. */
static void add_relay(const struct control *control, struct admin_status *status, int64_t now)
{
	const char *stands = "none";
	struct err err = {0};

	if (!control->relay)
		warn_of_no_relay(control, status);
	else if (relay_feed_check(control->relay, &stands, &err) < 0)
		warn(status, sentence("relay: %s: run sortie-relay-load again", err.text));
	if (control->relay)
		warn_of_full(control, status, now);
	snprintf(status->relay, sizeof(status->relay), "%s", stands);
}

static void status_call(struct admin_call *call, struct reply *reply)
{
	const struct control *control = call->control;
	const struct root_statement *root = control_root(control);
	char *warnings[ADMIN_WARNINGS_MAX];
	struct admin_status status = {
		.started_at = control->started_at,
		.root_online = control->root_online,
		.revision = control->inventory.revision,
		.policy_version = control->policy.version,
		.warnings = warnings,
	};
	int r = store_token_list(control->store, count_open, &status);

	if (r < 0) {
		reply_store_error(reply, r, "read the status");
		return;
	}
	network_id_format(&root->network, status.network);
	snprintf(status.name, sizeof(status.name), "%s", root->name);
	snprintf(status.version, sizeof(status.version), "%s", SORTIE_VERSION);
	snprintf(status.boot_id, sizeof(status.boot_id), "%s", control->boot_id);
	snprintf(status.interface, sizeof(status.interface), "%s", hub_ifname(control->hub));
	snprintf(status.backend, sizeof(status.backend), "%s", hub_backend_name(control->hub));
	count_members(control, &status);
	if (control->root_online)
		warn(&status, sentence("root key is online: no protection against this host"));
	warn_of_policy(control, &status, call->now);
	add_relay(control, &status, call->now);
	if (control->audit_broken_at)
		warn(&status, sentence("the audit log was changed: entry %" PRId64
				       " does not follow from those before it",
				       control->audit_broken_at));
	if (control->hub_dirty)
		warn(&status,
		     sentence("the hub's peers could not be set; it is tried again each second"));
	warn_of_foreign(control, &status);
	reply_json(reply, admin_status_encode(&status));
	for (size_t i = 0; i < status.n_warnings; i++)
		free(warnings[i]);
}

static void root_call(struct admin_call *call, struct reply *reply)
{
	struct admin_root root = {.root = call->control->root};
	_cleanup_(freep) char *state = realpath(call->control->options->state_dir, NULL);

	root.state = state;
	reply_json(reply, admin_root_encode(&root));
}

/* ---- audit ---- */

static int add_audit_row(const struct audit_entry *entry, const uint8_t hash[32], void *data)
{
	struct admin_audit *answer = data;
	struct admin_audit_row *row = &answer->rows[answer->n_rows++];

	row->sequence = (uint64_t)entry->seq;
	row->at = entry->at;
	snprintf(row->actor, sizeof(row->actor), "%s", entry->actor);
	snprintf(row->action, sizeof(row->action), "%s", entry->action);
	snprintf(row->subject, sizeof(row->subject), "%s", entry->object);
	snprintf(row->detail, sizeof(row->detail), "%s", entry->detail);
	return 0;
}

int admin_query_number(struct http_request *request, const char *name, uint64_t fallback,
		       uint64_t *ret)
{
	const char *text = http_query(request, name);
	char *end;

	*ret = fallback;
	if (!text)
		return 0;
	if (text[0] < '0' || text[0] > '9' || strlen(text) > 18)
		return -EINVAL;
	*ret = strtoull(text, &end, 10);
	return *end ? -EINVAL : 0;
}

static void audit_call(struct admin_call *call, struct reply *reply)
{
	_cleanup_(freep) struct admin_audit_row *rows = NULL;
	struct admin_audit answer = {0};
	uint64_t after, limit;
	int r;

	if (admin_query_number(call->request, "after", 0, &after) < 0 ||
	    admin_query_number(call->request, "limit", ADMIN_AUDIT_MAX, &limit) < 0) {
		reply_problem(reply, "bad-request",
			      "cannot read the audit log: after and limit are numbers");
		return;
	}
	if (limit > ADMIN_AUDIT_MAX)
		limit = ADMIN_AUDIT_MAX;
	rows = calloc(limit + 1, sizeof(*rows));
	answer.rows = rows;
	r = rows ? store_audit_list(call->control->store, (int64_t)after, limit, add_audit_row,
				    &answer)
		 : -ENOMEM;
	if (r < 0)
		reply_store_error(reply, r, "read the audit log");
	else
		reply_json(reply, admin_audit_encode(&answer));
}

/* ---- dispatch ---- */

static void (*const handlers[ROUTES])(struct admin_call *call, struct reply *reply) = {
	[ROUTE_ADMIN_STATUS] = status_call,
	[ROUTE_ADMIN_ROOT] = root_call,
	[ROUTE_ADMIN_TOKEN_CREATE] = admin_token_create_call,
	[ROUTE_ADMIN_TOKEN_LIST] = admin_token_list_call,
	[ROUTE_ADMIN_TOKEN_REVOKE] = admin_token_revoke_call,
	[ROUTE_ADMIN_IDENTITY_LIST] = admin_identity_list_call,
	[ROUTE_ADMIN_IDENTITY_SHOW] = admin_identity_show_call,
	[ROUTE_ADMIN_IDENTITY_REVOKE] = admin_identity_revoke_call,
	[ROUTE_ADMIN_IDENTITY_SUSPEND] = admin_identity_suspend_call,
	[ROUTE_ADMIN_IDENTITY_RESUME] = admin_identity_resume_call,
	[ROUTE_ADMIN_POLICY] = admin_policy_call,
	[ROUTE_ADMIN_POLICY_APPLY] = admin_policy_apply_call,
	[ROUTE_ADMIN_POLICY_SHOW] = admin_policy_show_call,
	[ROUTE_ADMIN_POLICY_HISTORY] = admin_policy_history_call,
	[ROUTE_ADMIN_AUDIT] = audit_call,
};

static bool may_call(const struct http_peer *peer)
{
	return peer->is_unix && (peer->uid == 0 || peer->uid == geteuid());
}

static void dispatch(struct admin_call *call, struct reply *reply)
{
	enum route route;
	int r = route_find(ROUTE_ADMIN, http_method(call->request), http_path(call->request),
			   &route);

	if (r == -ENOENT || (r == 0 && !handlers[route]))
		reply_problem(reply, "not-found", "the control plane has no such call");
	else if (r < 0)
		reply_problem(reply, "method-not-allowed", "the path has another method");
	else
		handlers[route](call, reply);
}

void admin_request(struct control *control, struct http_request *request)
{
	const struct http_peer *peer = http_peer(request);
	struct admin_call call = {.control = control, .request = request, .now = clock_wall()};
	struct reply reply = {0};

	snprintf(call.actor, sizeof(call.actor), "uid %u pid %d", peer->uid, (int)peer->pid);
	if (may_call(peer)) {
		dispatch(&call, &reply);
	} else {
		log_warning("admin socket: refused uid %u", peer->uid);
		reply_problem(&reply, "forbidden",
			      "only root and the control plane's own user may call");
	}
	if (reply.status != 0)
		reply_send(&reply, request);
	if (store_failed(control->store))
		control_fatal(control, "the disk failed to sync a commit");
}
