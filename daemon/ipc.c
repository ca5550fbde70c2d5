/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Framing and bodies, both ways, without a socket: channel.c moves the bytes.
 *
 * Frame: u32 body length, u16 type, u16 zero, u64 id, in host byte order (both ends are one build on one machine);
 * a text or blob in a body is u32 length and the bytes, texts with their NUL.
 */
#include "daemon/ipc.h"
#include "common/cleanup.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIXED_MAX 512 /* numbers, addresses and length words of any body */

struct writer {
	uint8_t *bytes; /* NULL while only measuring */
	size_t length;
};

struct reader {
	const uint8_t *bytes;
	size_t left;
	bool failed;
};

static void put(struct writer *w, const void *data, size_t length)
{
	if (w->bytes && length)
		memcpy(w->bytes + w->length, data, length);
	w->length += length;
}

static void put_u32(struct writer *w, uint32_t value)
{
	put(w, &value, sizeof(value));
}

static void put_blob(struct writer *w, const void *data, size_t length)
{
	put_u32(w, (uint32_t)length);
	put(w, data, length);
}

static void put_text(struct writer *w, const char *text)
{
	put_blob(w, text ? text : "", strlen(text ? text : "") + 1);
}

static void put_endpoint(struct writer *w, const struct endpoint *endpoint)
{
	put(w, &endpoint->addr.family, 1);
	put(w, endpoint->addr.bytes, sizeof(endpoint->addr.bytes));
	put(w, &endpoint->port, sizeof(endpoint->port));
}

static const uint8_t *get(struct reader *r, size_t length)
{
	const uint8_t *at = r->bytes;

	if (r->failed || r->left < length) {
		r->failed = true;
		return NULL;
	}
	r->bytes += length;
	r->left -= length;
	return at;
}

static uint32_t get_u32(struct reader *r)
{
	const uint8_t *at = get(r, sizeof(uint32_t));
	uint32_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return value;
}

static const char *get_blob(struct reader *r, size_t limit, size_t *ret_length)
{
	uint32_t length = get_u32(r);

	if (length > limit)
		r->failed = true;
	*ret_length = length;
	return (const char *)get(r, length);
}

static const char *get_text(struct reader *r, size_t size)
{
	size_t length = 0;
	const char *text = get_blob(r, size, &length);

	if (!text || length == 0 || memchr(text, 0, length) != text + length - 1) {
		r->failed = true;
		return "";
	}
	return text;
}

static void get_endpoint(struct reader *r, struct endpoint *ret)
{
	const uint8_t *family = get(r, 1), *bytes = get(r, 16), *port = get(r, sizeof(uint16_t));

	memset(ret, 0, sizeof(*ret));
	if (r->failed)
		return;
	if (*family != AF_INET && *family != AF_INET6) {
		r->failed = true;
		return;
	}
	ret->addr = addr_from_bytes(*family, bytes);
	r->failed |= memcmp(ret->addr.bytes, bytes, sizeof(ret->addr.bytes)) != 0;
	memcpy(&ret->port, port, sizeof(ret->port));
}

static void write_nothing(struct writer *w, const struct ipc_message *m)
{
}

static void read_nothing(struct reader *r, struct ipc_message *m)
{
}

static void write_resolve(struct writer *w, const struct ipc_message *m)
{
	put_u32(w, m->resolve.port);
	put_text(w, m->resolve.host);
}

static void read_resolve(struct reader *r, struct ipc_message *m)
{
	uint32_t port = get_u32(r);

	m->resolve.port = (uint16_t)port;
	m->resolve.host = get_text(r, IPC_HOST_MAX);
	if (port == 0 || port > UINT16_MAX)
		r->failed = true;
}

static void write_resolved(struct writer *w, const struct ipc_message *m)
{
	put_u32(w, (uint32_t)m->resolved.error);
	put_u32(w, (uint32_t)m->resolved.n_endpoints);
	for (size_t i = 0; i < m->resolved.n_endpoints && i < IPC_ENDPOINTS_MAX; i++)
		put_endpoint(w, &m->resolved.endpoints[i]);
}

static int32_t get_error(struct reader *r)
{
	int32_t error = (int32_t)get_u32(r);

	if (error > 0 || error < -4095)
		r->failed = true;
	return error;
}

static void read_resolved(struct reader *r, struct ipc_message *m)
{
	m->resolved.error = get_error(r);
	m->resolved.n_endpoints = get_u32(r);
	if (m->resolved.n_endpoints > IPC_ENDPOINTS_MAX) {
		m->resolved.n_endpoints = 0;
		r->failed = true;
	}
	for (size_t i = 0; i < m->resolved.n_endpoints; i++)
		get_endpoint(r, &m->resolved.endpoints[i]);
}

static void write_call(struct writer *w, const struct ipc_message *m)
{
	put_endpoint(w, &m->call.to);
	put_u32(w, m->call.timeout_ms);
	put_u32(w, m->call.answer_max);
	put_text(w, m->call.interface);
	put_text(w, m->call.method);
	put_text(w, m->call.path);
	put_blob(w, m->call.body, m->call.body_length);
}

static void read_call(struct reader *r, struct ipc_message *m)
{
	get_endpoint(r, &m->call.to);
	m->call.timeout_ms = get_u32(r);
	m->call.answer_max = get_u32(r);
	m->call.interface = get_text(r, 16);
	m->call.method = get_text(r, 16);
	m->call.path = get_text(r, IPC_PATH_MAX);
	m->call.body = get_blob(r, IPC_REQUEST_MAX, &m->call.body_length);
	if (m->call.answer_max > IPC_ANSWER_MAX)
		r->failed = true;
}

static void write_call_done(struct writer *w, const struct ipc_message *m)
{
	put_u32(w, (uint32_t)m->call_done.error);
	put_u32(w, m->call_done.status);
	put_blob(w, m->call_done.body, m->call_done.body_length);
}

static void read_call_done(struct reader *r, struct ipc_message *m)
{
	m->call_done.error = get_error(r);
	m->call_done.status = get_u32(r);
	m->call_done.body = get_blob(r, IPC_ANSWER_MAX, &m->call_done.body_length);
	if (m->call_done.status > 999)
		r->failed = true;
}

static void write_local_request(struct writer *w, const struct ipc_message *m)
{
	put_u32(w, m->local_request.uid);
	put_u32(w, m->local_request.pid);
	put_text(w, m->local_request.method);
	put_text(w, m->local_request.path);
	put_text(w, m->local_request.query);
	put_blob(w, m->local_request.body, m->local_request.body_length);
}

static void read_local_request(struct reader *r, struct ipc_message *m)
{
	m->local_request.uid = get_u32(r);
	m->local_request.pid = get_u32(r);
	m->local_request.method = get_text(r, 16);
	m->local_request.path = get_text(r, IPC_PATH_MAX);
	m->local_request.query = get_text(r, IPC_PATH_MAX);
	m->local_request.body = get_blob(r, IPC_REQUEST_MAX, &m->local_request.body_length);
}

static void write_local_answer(struct writer *w, const struct ipc_message *m)
{
	put_u32(w, m->local_answer.status);
	put_blob(w, m->local_answer.body, m->local_answer.body_length);
}

static void read_local_answer(struct reader *r, struct ipc_message *m)
{
	m->local_answer.status = get_u32(r);
	m->local_answer.body = get_blob(r, IPC_ANSWER_MAX, &m->local_answer.body_length);
	if (m->local_answer.status < 100 || m->local_answer.status > 599)
		r->failed = true;
}

static const struct row {
	const char *name;
	enum ipc_sender sender;
	size_t body_max;
	void (*write)(struct writer *w, const struct ipc_message *m);
	void (*read)(struct reader *r, struct ipc_message *m);
} rows[IPC_TYPES] = {
	[IPC_READY] = {"ready", IPC_FROM_NET, 0, write_nothing, read_nothing},
	[IPC_RESOLVE] = {"resolve", IPC_FROM_AGENT, FIXED_MAX, write_resolve, read_resolve},
	[IPC_RESOLVED] = {"resolved", IPC_FROM_NET, FIXED_MAX, write_resolved, read_resolved},
	[IPC_CALL] = {"call", IPC_FROM_AGENT, IPC_REQUEST_MAX + IPC_PATH_MAX + FIXED_MAX,
		      write_call, read_call},
	[IPC_CALL_CANCEL] = {"call-cancel", IPC_FROM_AGENT, 0, write_nothing, read_nothing},
	[IPC_CALL_DONE] = {"call-done", IPC_FROM_NET, IPC_ANSWER_MAX + FIXED_MAX, write_call_done,
			   read_call_done},
	[IPC_LOCAL_REQUEST] = {"local-request", IPC_FROM_NET,
			       IPC_REQUEST_MAX + 2 * IPC_PATH_MAX + FIXED_MAX, write_local_request,
			       read_local_request},
	[IPC_LOCAL_ANSWER] = {"local-answer", IPC_FROM_AGENT, IPC_ANSWER_MAX + FIXED_MAX,
			      write_local_answer, read_local_answer},
	[IPC_LOCAL_GONE] = {"local-gone", IPC_FROM_NET, 0, write_nothing, read_nothing},
};

struct header {
	uint32_t length;
	uint16_t type, zero;
	uint64_t id;
};
_Static_assert(sizeof(struct header) == IPC_HEADER_SIZE, "no padding in the header");

const char *ipc_name(enum ipc_type type)
{
	return type > 0 && type < IPC_TYPES ? rows[type].name : "unknown";
}

int ipc_encode(const struct ipc_message *message, uint8_t **ret, size_t *ret_length)
{
	const struct row *row = &rows[message->type];
	struct writer w = {.length = IPC_HEADER_SIZE};
	struct header header = {.type = (uint16_t)message->type, .id = message->id};

	row->write(&w, message);
	if (w.length - IPC_HEADER_SIZE > row->body_max)
		return -EMSGSIZE;
	header.length = (uint32_t)(w.length - IPC_HEADER_SIZE);
	w.bytes = malloc(w.length);
	if (!w.bytes)
		return -ENOMEM;
	memcpy(w.bytes, &header, sizeof(header));
	w.length = IPC_HEADER_SIZE;
	row->write(&w, message);
	*ret = w.bytes;
	*ret_length = w.length;
	return 0;
}

int ipc_frame_length(const uint8_t *bytes, size_t available, enum ipc_sender sender, size_t *ret)
{
	struct header header;

	if (available < IPC_HEADER_SIZE) {
		*ret = 0;
		return 0;
	}
	memcpy(&header, bytes, sizeof(header));
	if (header.type == 0 || header.type >= IPC_TYPES || header.zero != 0)
		return -EBADMSG;
	if (rows[header.type].sender != sender || header.length > rows[header.type].body_max)
		return -EBADMSG;
	*ret = IPC_HEADER_SIZE + header.length;
	return 0;
}

int ipc_decode(const uint8_t *frame, size_t length, struct ipc_message *ret)
{
	struct header header;
	struct ipc_message message = {0};
	struct reader r = {.bytes = frame + IPC_HEADER_SIZE};

	if (length < IPC_HEADER_SIZE)
		return -EBADMSG;
	memcpy(&header, frame, sizeof(header));
	if (header.type == 0 || header.type >= IPC_TYPES ||
	    header.length != length - IPC_HEADER_SIZE)
		return -EBADMSG;
	r.left = header.length;
	message.type = header.type;
	message.id = header.id;
	rows[header.type].read(&r, &message);
	if (r.failed || r.left != 0)
		return -EBADMSG;
	*ret = message;
	return 0;
}
