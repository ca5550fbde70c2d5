/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POST /v1/sync: an agent's complete view by long poll.
 *
 * The caller is the member whose overlay address the request comes from; the call must be signed by that member's K3.
 * A poll is kept until something that the member may see has changed since the revision it names, at most
 * API_POLL_SECONDS; then the view is sent whole. One poll a member: a newer one ends the older.
 */
#pragma once
#include "control-plane/control.h"

/* Takes the request over. */
void sync_request(struct control *control, struct http_request *request);
/* A kept poll's client went away. */
void sync_gone(struct control *control, struct http_request *request);
/* Answers every poll for which there is news. */
void sync_flush(struct control *control);
/* Answers the member's poll with its own tombstone; nothing if it has none. */
void sync_tell_revoked(struct member *member, const char *tombstone);
/* Ends the member's poll with this problem; nothing if it has none. */
void sync_end_poll(struct member *member, const char *code, const char *text);
