/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages of the control plane's Unix socket (/run/sortie/control.sock): what `sortie` reads and asks there.
 *
 * The socket signs nothing: tokens and policies arrive as envelopes that the CLI signed. Reads carry "schema", so
 * that `--json` prints the answer as it came. Rules for encoders and decoders as in api/message.h. Times are seconds
 * since 1970, 0 = never. Texts in answers are one line without control characters unless said otherwise.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "api/shape.h"
#include "common/addr.h"
#include "common/err.h"
#include "common/identity.h"

#define ADMIN_BODY_MAX                                                                             \
	(16 * 1024 * 1024) /* of a request: a policy with all its leaves and its text */
#define ADMIN_ANSWER_MAX     (64 * 1024 * 1024)
#define ADMIN_TOKENS_MAX     65536 /* in one list */
#define ADMIN_CREATE_MAX     1000  /* tokens of one `token create` */
#define ADMIN_IDENTITIES_MAX 65536
#define ADMIN_AUDIT_MAX	     1000 /* rows of one answer */
#define ADMIN_HISTORY_MAX    1000
#define ADMIN_WARNINGS_MAX   64
#define ADMIN_WHO_MAX	     NAME_MAX_TEXT /* a name "site/workload" or an identity id in hex */

/* GET /v1/admin/status */
struct admin_status {
	char network[33]; /* network id, hex */
	char name[NAME_PART_MAX + 1];
	char version[32]; /* of the program */
	char boot_id[33]; /* of the hub */
	int64_t started_at;
	bool root_online;	 /* K0 lies on this host: no protection against it */
	char interface[16];	 /* of the hub */
	char backend[16];	 /* "kernel" or "userspace" */
	char relay[16];		 /* "tc", "xdp" or "none" */
	uint64_t revision;	 /* of the distributed state: grows with every change */
	uint64_t policy_version; /* 0: none yet */
	int64_t policy_not_after;
	uint32_t identities, connected, suspended, revoked;
	uint32_t tokens_open;
	char **warnings; /* sentences, that of an online root key among them */
	size_t n_warnings;
};
MESSAGE_FUNCTIONS(admin_status);

/* GET /v1/admin/root: what a token and a signature are made from. */
struct admin_root {
	char *root; /* envelope */
	/*
	 * The control plane's state folder: `sortie` signs with its keys/policy where no --key is given and K1 still
	 * lies there. May be NULL.
	 */
	char *state;
};
MESSAGE_FUNCTIONS(admin_root);

/* ---- tokens; a token's id is its join public key in hex: the seed is known only to whoever made it ---- */

/* POST /v1/admin/token/create; all or none. Answer: struct admin_token_list of the new ones. */
struct admin_token_create {
	char **statements; /* envelopes, 1..ADMIN_CREATE_MAX */
	size_t n_statements;
};
MESSAGE_FUNCTIONS(admin_token_create);

struct admin_token {
	char id[ID_HEX_MAX];
	char name[NAME_MAX_TEXT];
	struct labels labels;
	char state[16]; /* "open", "used", "expired", "revoked" */
	int64_t created_at, not_after;
	int64_t used_at;
	char used_by[ID_HEX_MAX]; /* identity id; "" */
};

/* GET /v1/admin/tokens, newest first; also the answer to create and revoke. */
struct admin_token_list {
	struct admin_token *tokens;
	size_t n_tokens;
};
MESSAGE_FUNCTIONS(admin_token_list);

/* POST /v1/admin/token/revoke. Answer: struct admin_token_list of those revoked, 404 token-unknown for none. */
struct admin_token_revoke {
	char token
		[ADMIN_WHO_MAX]; /* an id, at least 8 digits of its beginning, or a name: all its open tokens */
};
MESSAGE_FUNCTIONS(admin_token_revoke);

/* ---- identities ---- */

struct admin_identity {
	struct id id;
	char name[NAME_MAX_TEXT];
	struct labels labels;
	struct addr ipv6, ipv4; /* ipv4 may be unset */
	char state[16];		/* "active", "suspended", "expired", "revoked" */
	int64_t enrolled_at, lease_not_after;
	int64_t seen_at;     /* last call or answered poll */
	bool connected;	     /* a poll is open, or one ended less than a few seconds ago */
	uint64_t applied;    /* the revision that its kernel holds */
	uint64_t generation; /* of its WireGuard key */
	char underlay[64];   /* endpoint from which its packets come; "" */
};

/* GET /v1/admin/identities */
struct admin_identity_list {
	struct admin_identity *identities;
	size_t n_identities;
};
MESSAGE_FUNCTIONS(admin_identity_list);

/* What the relay has carried between an identity and one it is paired with, since the pair stands: encrypted. */
struct admin_traffic {
	char name[NAME_MAX_TEXT];
	uint64_t sent_packets, sent_bytes;
	uint64_t received_packets, received_bytes;
};

/* GET /v1/admin/identity?who=NAME-OR-ID; also the answer to suspend and resume. */
struct admin_identity_show {
	struct admin_identity identity;
	char *token, *statement, *key; /* envelopes; statement is the identity statement */
	char **peers;		       /* names that policy pairs it with */
	size_t n_peers;
	struct admin_traffic *traffic; /* with those that something was carried to or from */
	size_t n_traffic;
};
MESSAGE_FUNCTIONS(admin_identity_show);

/*
 * POST /v1/admin/identity/revoke, for ever. Without wait the answer comes once the tombstone is stored, the hub's peer
 * and relay pairs are gone and the news is on its way; with wait once every paired agent that is connected has
 * acknowledged, or timeout_ms has passed.
 */
struct admin_revoke {
	char who[ADMIN_WHO_MAX];
	char reason[128]; /* may be "" */
	bool wait;
	uint32_t timeout_ms; /* of the wait; 0: the control plane's default */
};
MESSAGE_FUNCTIONS(admin_revoke);

struct admin_acknowledgement {
	char name[NAME_MAX_TEXT];
	uint32_t ms; /* from the request to its acknowledgement; outstanding: 0 */
	bool connected;
};

struct admin_revoked {
	struct id id;
	char name[NAME_MAX_TEXT];
	char *tombstone; /* envelope */
	uint64_t revision;
	bool waited;
	uint32_t hub_ms; /* until the hub's peer and relay pairs were gone */
	uint32_t total_ms;
	struct admin_acknowledgement *acknowledged, *outstanding;
	size_t n_acknowledged, n_outstanding;
};
MESSAGE_FUNCTIONS(admin_revoked);

/* POST /v1/admin/identity/suspend and /v1/admin/identity/resume. Answer: struct admin_identity_show. */
struct admin_who {
	char who[ADMIN_WHO_MAX];
	char reason[128]; /* may be "" */
};
MESSAGE_FUNCTIONS(admin_who);

/* ---- policy ---- */

struct admin_member {
	struct id id;
	char name[NAME_MAX_TEXT];
	struct labels labels;
};

/*
 * GET /v1/admin/policy: everything that a signer needs to verify, to diff, to test and to sign the next version
 * without believing the control plane's word for it. The policy verifies under root once the tombstones are known.
 */
struct admin_policy {
	char *root;	  /* envelope */
	uint64_t version; /* 0: no policy yet */
	char *policy;	  /* envelope; NULL before the first */
	char **leaves;
	size_t n_leaves;
	char **tombstones; /* envelopes: the floor of the next version */
	size_t n_tombstones;
	struct admin_member *inventory; /* identities not revoked; names are unique */
	size_t n_inventory;
};
MESSAGE_FUNCTIONS(admin_policy);

/* POST /v1/admin/policy. The control plane verifies, stores and distributes. 409 stale-version, 403 bad-signature. */
struct admin_policy_apply {
	char *policy; /* envelope */
	char **leaves;
	size_t n_leaves;
	char *text; /* the YAML, kept for `policy show`; several lines */
};
MESSAGE_FUNCTIONS(admin_policy_apply);

struct admin_policy_applied {
	uint64_t version;
	uint64_t revision;
};
MESSAGE_FUNCTIONS(admin_policy_applied);

/* GET /v1/admin/policy/show[?version=N]; 404 not-found. */
struct admin_policy_show {
	uint64_t version;
	int64_t applied_at, not_after;
	char *policy; /* envelope */
	char **leaves;
	size_t n_leaves;
	char *text; /* YAML */
};
MESSAGE_FUNCTIONS(admin_policy_show);

struct admin_policy_version {
	uint64_t version;
	int64_t applied_at, not_after;
	uint32_t rules;
	char signer[ID_HEX_MAX]; /* first K1 public key that signed, hex */
	char sha256[ID_HEX_MAX]; /* of the envelope */
};

/* GET /v1/admin/policy/history, newest first. */
struct admin_policy_history {
	struct admin_policy_version *versions;
	size_t n_versions;
};
MESSAGE_FUNCTIONS(admin_policy_history);

/* ---- audit ---- */

struct admin_audit_row {
	uint64_t sequence;
	int64_t at;
	char actor[96];	   /* "uid 0 pid 4711", an identity id, "control" */
	char action[48];   /* "token-create", "enroll", "revoke", ... */
	char subject[160]; /* what it was done to */
	char detail[256];
};

/* GET /v1/admin/audit?after=SEQUENCE&limit=N, oldest first. */
struct admin_audit {
	struct admin_audit_row *rows;
	size_t n_rows;
};
MESSAGE_FUNCTIONS(admin_audit);
