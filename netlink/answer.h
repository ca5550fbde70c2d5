/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reading half of a netlink request, apart from the socket: bytes in, messages and a result out.
 *
 * For netlink/, for the answers to firewall/'s batches, and for tests. Nothing in the bytes is trusted: lengths are checked
 * before use.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libmnl/libmnl.h>

#define ANSWER_ERROR_MAX 160

struct answer {
	/* set by the caller */
	uint32_t sequence, port; /* messages of other requests are skipped; port 0: any */
	bool dump;
	int (*on_message)(const struct nlmsghdr *message, void *data);
	void *data;
	/* results */
	bool done;	  /* the last message has been read */
	bool interrupted; /* the dump changed under our eyes */
	int error; /* the kernel's, on_message()'s or the decoder's own; 0 or negative errno */
	char text[ANSWER_ERROR_MAX]; /* extended ack, printable ASCII */
};

/* Reads one datagram. After the first error the rest is only read up to the end, so that the socket stays usable. */
void answer_feed(struct answer *answer, const void *bytes, size_t length);
int answer_result(const struct answer *answer);

/*
 * Takes the next message off a datagram; NULL at its end. *error becomes -EBADMSG where the rest is no message.
 * mnl_nlmsg_ok() is not used: it takes a length of 2 GiB and more for a negative number and lets it pass.
 */
const struct nlmsghdr *message_next(const uint8_t **at, size_t *left, int *error);

/*
 * Sorts attributes by type into table[0..max], a later one wins, unknown types are skipped.
 * -EBADMSG where lengths do not add up.
 */
int attributes_read(const void *start, size_t length, const struct nlattr **table, uint16_t max);
/* The same for what stands behind a message's fixed header, and for what is inside a nested attribute. */
int attributes_of_message(const struct nlmsghdr *message, size_t header,
			  const struct nlattr **table, uint16_t max);
int attributes_of_nest(const struct nlattr *nest, const struct nlattr **table, uint16_t max);

/* Copies a payload of exactly size bytes; false where the attribute is missing or of another length. */
bool attribute_copy(const struct nlattr *attribute, void *ret, size_t size);
/* Copies a string that may lack its NUL, control characters replaced; cuts what does not fit. */
void attribute_text(const struct nlattr *attribute, char *ret, size_t size);
