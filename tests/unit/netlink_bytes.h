/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Netlink messages written byte by byte, so that the decoders are not tested with libmnl's idea of them. */
#pragma once
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	_Alignas(8) uint8_t data[65536];
	size_t length;
	size_t message; /* where the open message begins */
};

static inline void put(struct bytes *b, const void *data, size_t length)
{
	if (length)
		memcpy(b->data + b->length, data, length);
	b->length += length;
	while (b->length % 4)
		b->data[b->length++] = 0;
}

static inline void put_attribute(struct bytes *b, uint16_t type, const void *data, uint16_t length)
{
	uint16_t head[2] = {(uint16_t)(length + 4), type};
	put(b, head, sizeof(head));
	put(b, data, length);
}

/* Returns where the nest begins, for end_nest(). */
static inline size_t begin_nest(struct bytes *b, uint16_t type)
{
	size_t at = b->length;
	put_attribute(b, type | NLA_F_NESTED, NULL, 0);
	return at;
}

static inline void end_nest(struct bytes *b, size_t at)
{
	uint16_t length = (uint16_t)(b->length - at);
	memcpy(b->data + at, &length, sizeof(length));
}

static inline void begin_message(struct bytes *b, uint16_t type, uint16_t flags, uint32_t sequence)
{
	struct nlmsghdr head = {.nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = sequence};
	b->message = b->length;
	put(b, &head, sizeof(head));
}

static inline void end_message(struct bytes *b)
{
	uint32_t length = (uint32_t)(b->length - b->message);
	memcpy(b->data + b->message, &length, sizeof(length));
}

static inline void put_done(struct bytes *b, uint32_t sequence, int error)
{
	begin_message(b, NLMSG_DONE, NLM_F_MULTI, sequence);
	put(b, &error, sizeof(error));
	end_message(b);
}

/* An error with a capped copy of the request and, where text is not NULL, an extended ack. */
static inline void put_error(struct bytes *b, uint32_t sequence, int error, const char *text)
{
	struct nlmsgerr body = {.error = error, .msg = {.nlmsg_len = 5000}};

	begin_message(b, NLMSG_ERROR, NLM_F_CAPPED | (text ? NLM_F_ACK_TLVS : 0), sequence);
	put(b, &body, sizeof(body));
	if (text)
		put_attribute(b, NLMSGERR_ATTR_MSG, text, (uint16_t)(strlen(text) + 1));
	end_message(b);
}
