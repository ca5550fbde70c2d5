/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding of netlink answers: the end of a dump, errors with extended acks, interrupted dumps, attributes.
 *
 * mnl_cb_run() is not used because it stops at the first interrupted message, with the rest of the dump still in the
 * socket, and hides extended acks.
 */
#include "netlink/answer.h"
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

int attributes_read(const void *start, size_t length, const struct nlattr **table, uint16_t max)
{
	const uint8_t *at = start;

	for (unsigned int type = 0; type <= max; type++)
		table[type] = NULL;
	while (length >= sizeof(struct nlattr)) {
		const struct nlattr *attribute = (const struct nlattr *)(const void *)at;
		size_t whole;

		if (attribute->nla_len < sizeof(*attribute) || attribute->nla_len > length)
			return -EBADMSG;
		if (mnl_attr_get_type(attribute) <= max)
			table[mnl_attr_get_type(attribute)] = attribute;
		whole = MNL_ALIGN(attribute->nla_len);
		if (whole >= length) /* the last one may lack its padding */
			return 0;
		at += whole;
		length -= whole;
	}
	return length ? -EBADMSG : 0;
}

int attributes_of_message(const struct nlmsghdr *message, size_t header,
			  const struct nlattr **table, uint16_t max)
{
	size_t length = mnl_nlmsg_get_payload_len(message);

	if (length < MNL_ALIGN(header))
		return -EBADMSG;
	return attributes_read(mnl_nlmsg_get_payload_offset(message, header),
			       length - MNL_ALIGN(header), table, max);
}

int attributes_of_nest(const struct nlattr *nest, const struct nlattr **table, uint16_t max)
{
	return attributes_read(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), table,
			       max);
}

bool attribute_copy(const struct nlattr *attribute, void *ret, size_t size)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) != size)
		return false;
	memcpy(ret, mnl_attr_get_payload(attribute), size);
	return true;
}

void attribute_text(const struct nlattr *attribute, char *ret, size_t size)
{
	const char *text = mnl_attr_get_payload(attribute);
	size_t length = strnlen(text, mnl_attr_get_payload_len(attribute));

	if (length >= size)
		length = size - 1;
	for (size_t i = 0; i < length; i++)
		ret[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	ret[length] = '\0';
}

static void fail(struct answer *answer, int error)
{
	if (!answer->error)
		answer->error = error;
}

static void read_extended_ack(struct answer *answer, const struct nlmsghdr *message, size_t offset)
{
	const struct nlattr *table[NLMSGERR_ATTR_MAX + 1];

	if (!(message->nlmsg_flags & NLM_F_ACK_TLVS) || offset > message->nlmsg_len ||
	    attributes_read((const char *)message + offset, message->nlmsg_len - offset, table,
			    NLMSGERR_ATTR_MAX) < 0)
		return;
	if (table[NLMSGERR_ATTR_MSG])
		attribute_text(table[NLMSGERR_ATTR_MSG], answer->text, sizeof(answer->text));
}

/* An errno out of range would turn into a success or a pointer somewhere: call it a broken message. */
static int checked_errno(int error)
{
	return error <= 0 && error > -4096 ? error : -EBADMSG;
}

static void read_error(struct answer *answer, const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);
	size_t offset = MNL_NLMSG_HDRLEN + sizeof(*error);

	answer->done = true;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*error)) {
		fail(answer, -EBADMSG);
		return;
	}
	/* The kernel repeats our message before the attributes unless the socket asked it not to. */
	if (!(message->nlmsg_flags & NLM_F_CAPPED) && error->msg.nlmsg_len >= sizeof(error->msg))
		offset += (size_t)MNL_ALIGN((uint64_t)error->msg.nlmsg_len) - sizeof(error->msg);
	read_extended_ack(answer, message, offset);
	fail(answer, checked_errno(error->error));
}

static void read_done(struct answer *answer, const struct nlmsghdr *message)
{
	int error = 0;

	answer->done = true;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(error))
		return;
	memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
	read_extended_ack(answer, message, MNL_NLMSG_HDRLEN + sizeof(error));
	fail(answer, checked_errno(error));
}

static void read_message(struct answer *answer, const struct nlmsghdr *message)
{
	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		answer->interrupted = true;
	switch (message->nlmsg_type) {
	case NLMSG_ERROR:
		read_error(answer, message);
		break;
	case NLMSG_DONE:
		read_done(answer, message);
		break;
	case NLMSG_OVERRUN:
		fail(answer, -ENOBUFS);
		break;
	case NLMSG_NOOP:
		break;
	default:
		if (!answer->error && !answer->interrupted && answer->on_message)
			fail(answer, answer->on_message(message, answer->data));
	}
}

const struct nlmsghdr *message_next(const uint8_t **at, size_t *left, int *error)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)*at;
	size_t whole;

	if (!*left)
		return NULL;
	if (*left < sizeof(*message) || message->nlmsg_len < sizeof(*message) ||
	    message->nlmsg_len > *left) {
		*error = -EBADMSG;
		return NULL;
	}
	whole = MNL_ALIGN((size_t)message->nlmsg_len);
	if (whole > *left)
		whole = *left;
	*at += whole;
	*left -= whole;
	return message;
}

void answer_feed(struct answer *answer, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	const struct nlmsghdr *message;
	int error = 0;

	while (!answer->done && (message = message_next(&at, &length, &error)))
		if (message->nlmsg_seq == answer->sequence &&
		    (!answer->port || !message->nlmsg_pid || message->nlmsg_pid == answer->port))
			read_message(answer, message);
	if (error)
		fail(answer, error);
}

int answer_result(const struct answer *answer)
{
	if (answer->error)
		return answer->error;
	return answer->interrupted ? -EINTR : 0;
}
