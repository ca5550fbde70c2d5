/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Token, identity, addresses and audit in one transaction: all of it or nothing. */
#include "control-plane/store_redeem.h"
#include "control-plane/store_audit.h"
#include "control-plane/store_internal.h"
#include "control-plane/store_token.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SITES_MAX 4096 /* RELAY_SITES_MAX; a number is an index into the relay's maps */

static int use_token(struct store *store, const struct redemption *redemption)
{
	_cleanup_(query_done) struct query q =
		query(store, "UPDATE tokens SET state = 'used', used_by = ?, changed_at = ? "
			     "WHERE join_key = ? AND state = 'new' AND not_after > ?");
	const struct identity_row *identity = redemption->identity;
	int r;

	query_bind_blob(&q, identity->id.bytes, sizeof(identity->id.bytes));
	query_bind_int(&q, redemption->now);
	query_bind_blob(&q, identity->join_key.bytes, KEY_SIZE);
	query_bind_int(&q, redemption->now);
	r = query_run(&q);
	return r < 0 ? r : store_changes(store);
}

/* Addresses count upwards and are never given twice, not even after a revocation. Unset when there are none left. */
static int take_ipv4(struct store *store, const struct prefix *range, struct addr *ret)
{
	_cleanup_(query_done) struct query q =
		query(store, "UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) "
			     "WHERE key = 'ipv4-next' RETURNING CAST(value AS INTEGER) - 1");
	uint32_t base, last, next;
	int r;

	*ret = (struct addr){0};
	if (!addr_is_set(&range->addr))
		return 0;
	r = query_step(&q);
	if (r <= 0)
		return r < 0 ? r : -EBADMSG;
	base = (uint32_t)range->addr.bytes[0] << 24 | (uint32_t)range->addr.bytes[1] << 16 |
	       (uint32_t)range->addr.bytes[2] << 8 | range->addr.bytes[3];
	last = base | (uint32_t)(UINT64_C(0xffffffff) >> range->length);
	if (query_int(&q, 0) >= (int64_t)last - (int64_t)base)
		return 0; /* the last one would be the broadcast address */
	next = base + (uint32_t)query_int(&q, 0);
	*ret = addr_from_bytes(AF_INET, (uint8_t[4]){(uint8_t)(next >> 24), (uint8_t)(next >> 16),
						     (uint8_t)(next >> 8), (uint8_t)next});
	return query_run(&q);
}

/* The number behind the greatest in use, else the first gap; 0 when all are taken. */
static int free_site(struct store *store, uint32_t *ret)
{
	_cleanup_(query_done) struct query q = query(
		store,
		"SELECT CASE WHEN COALESCE(MAX(site), 0) < ?1 THEN COALESCE(MAX(site), 0) + 1 "
		"ELSE (SELECT COALESCE(MIN(n), 0) FROM ("
		" SELECT 1 AS n WHERE NOT EXISTS (SELECT 1 FROM identities WHERE site = 1)"
		" UNION ALL SELECT MIN(a.site) + 1 FROM identities a WHERE a.site < ?1 AND "
		" NOT EXISTS (SELECT 1 FROM identities b WHERE b.site = a.site + 1))) END "
		"FROM identities");
	int r;

	query_bind_int(&q, SITES_MAX);
	r = query_step(&q);
	if (r <= 0)
		return r < 0 ? r : -EBADMSG;
	*ret = (uint32_t)query_int(&q, 0);
	return 0;
}

/* -EEXIST comes from a unique index; find out which, for a clear sentence. */
static int clash(struct store *store, const char *name, enum redeem_result *ret)
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT 1 FROM identities WHERE name = ? AND state <> 'dead'");
	int r;

	query_bind_text(&q, name);
	r = query_step(&q);
	if (r < 0)
		return r;
	*ret = r > 0 ? REDEEM_NAME_TAKEN : REDEEM_KEY_TAKEN;
	return 0;
}

static int insert_identity(struct store *store, const struct redemption *redemption, uint32_t site,
			   const struct addr *ipv4, const char *answer, uint64_t revision)
{
	_cleanup_(query_done) struct query q =
		query(store, "INSERT INTO identities (id, k3, join_key, name, labels, ipv6, ipv4, "
			     "site, state, k4, generation, identity_statement, key_statement, "
			     "answer, created_at, revision) "
			     "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'living', ?, ?, ?, ?, ?, ?, ?)");
	const struct identity_row *identity = redemption->identity;
	_cleanup_(freep) char *labels = labels_format(&identity->labels);

	if (!labels)
		return -ENOMEM;
	query_bind_blob(&q, identity->id.bytes, sizeof(identity->id.bytes));
	query_bind_blob(&q, identity->k3.bytes, KEY_SIZE);
	query_bind_blob(&q, identity->join_key.bytes, KEY_SIZE);
	query_bind_text(&q, identity->name);
	query_bind_text(&q, labels);
	query_bind_addr(&q, &identity->ipv6);
	query_bind_addr(&q, ipv4);
	query_bind_int(&q, site);
	query_bind_blob(&q, identity->k4.bytes, KEY_SIZE);
	query_bind_int(&q, (int64_t)identity->generation);
	query_bind_text(&q, identity->identity);
	query_bind_text(&q, identity->key);
	query_bind_text(&q, answer);
	query_bind_int(&q, redemption->now);
	query_bind_int(&q, (int64_t)revision);
	return query_run(&q);
}

static int record(struct store *store, const struct redemption *redemption, const char *action,
		  const char *detail)
{
	char object[ID_HEX_MAX];

	return store_audit_add(store,
			       &(struct audit_entry){
				       .at = redemption->now,
				       .actor = redemption->actor,
				       .action = action,
				       .object = id_format(&redemption->identity->id, object),
				       .detail = detail,
			       });
}

/* The token is ours: the identity comes to life, or all of it is rolled back (a positive result says why). */
static int enrol(struct store *store, const struct redemption *redemption,
		 enum redeem_result *ret_result, char **ret_answer)
{
	_cleanup_(freep) char *answer = NULL;
	struct addr ipv4;
	uint64_t revision;
	uint32_t site = 0;
	int r = store_raise_revision(store, &revision);

	if (r == 0)
		r = take_ipv4(store, &redemption->overlay4, &ipv4);
	if (r == 0)
		r = free_site(store, &site);
	if (r < 0)
		return r;
	if (site == 0) {
		*ret_result = REDEEM_FULL;
		return -EUSERS;
	}
	answer = redemption->answer(&ipv4, redemption->data);
	if (!answer)
		return -ENOMEM;
	r = store_refuse_key(store, STORE_ONETIME_KEYS, &redemption->identity->k4);
	if (r == 0)
		r = insert_identity(store, redemption, site, &ipv4, answer, revision);
	if (r == -EEXIST)
		r = clash(store, redemption->identity->name, ret_result) ?: -EUSERS;
	if (r == 0)
		r = record(store, redemption, "enrolled", redemption->identity->name);
	if (r < 0)
		return r;
	*ret_result = REDEEM_DONE;
	*ret_answer = take_pointer(answer);
	return 0;
}

static int stored_answer(struct store *store, const struct id *id, enum redeem_result *ret_result,
			 char **ret_answer)
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT answer, state = 'dead' FROM identities WHERE id = ?");
	int r;

	query_bind_blob(&q, id->bytes, sizeof(id->bytes));
	r = query_step(&q);
	if (r <= 0)
		return r < 0 ? r : -EBADMSG;
	if (query_int(&q, 1)) {
		*ret_result = REDEEM_DEAD;
		return 0;
	}
	*ret_answer = query_text_copy(&q, 0);
	*ret_result = REDEEM_REPEATED;
	return *ret_answer ? 0 : -ENOMEM;
}

/* The guarded write met no row. */
static int explain(struct store *store, const struct redemption *redemption,
		   enum redeem_result *ret_result, char **ret_answer)
{
	_cleanup_(token_row_done) struct token_row token = {0};
	char detail[AUDIT_TEXT_MAX], winner[ID_HEX_MAX];
	int r = store_token_by_join_key(store, &redemption->identity->join_key, &token);

	if (r < 0)
		return r;
	switch (token.state) {
	case TOKEN_NEW:
		*ret_result = REDEEM_EXPIRED;
		return record(store, redemption, "token-expired", token.name);
	case TOKEN_REVOKED:
		*ret_result = REDEEM_REVOKED;
		return record(store, redemption, "token-refused-revoked", token.name);
	case TOKEN_USED:
		break;
	}
	if (id_equal(&token.used_by, &redemption->identity->id))
		return stored_answer(store, &token.used_by, ret_result, ret_answer);
	snprintf(detail, sizeof(detail), "token for %s was used by %s", token.name,
		 id_format(&token.used_by, winner));
	*ret_result = REDEEM_USED;
	return record(store, redemption, "token-second-use", detail);
}

int store_redeem(struct store *store, const struct redemption *redemption,
		 enum redeem_result *ret_result, char **ret_answer)
{
	char *answer = NULL;
	int r = store_begin(store);

	if (r < 0)
		return r;
	r = use_token(store, redemption);
	if (r == 1)
		r = enrol(store, redemption, ret_result, &answer);
	else if (r == 0)
		r = explain(store, redemption, ret_result, &answer);
	r = store_end(store, r);
	if (r == -EUSERS)
		r = 0; /* rolled back on purpose, *ret_result says why */
	if (r < 0)
		free(answer);
	else if (answer)
		*ret_answer = answer;
	return r;
}
