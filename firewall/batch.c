/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The transaction's bytes and its answers.
 *
 * The kernel handles a batch inside sendmsg(): when that returns, all acks and errors are in our receive queue, and reading
 * never waits.
 */
#include "firewall/batch.h"
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <libnftnl/common.h>

#define MESSAGE_MAX    (64U * 1024)
#define ANSWER_BUFFER  (64U * 1024)
#define RECEIVE_BUFFER (8 * 1024 * 1024)

void batch_init(struct batch *batch, struct nl *nl)
{
	*batch = (struct batch){.nl = nl};
}

void batch_done(struct batch *batch)
{
	free(batch->bytes);
	batch->bytes = NULL;
}

static bool reserve(struct batch *batch, size_t more)
{
	size_t size = batch->size;
	uint8_t *bytes;

	if (batch->n + more <= batch->size)
		return true;
	while (size < batch->n + more)
		size = size ? 2 * size : 256U * 1024;
	bytes = realloc(batch->bytes, size);
	if (!bytes) {
		batch->error = -ENOMEM;
		return false;
	}
	batch->bytes = bytes;
	batch->size = size;
	return true;
}

static void frame(struct batch *batch, struct nlmsghdr *(*build)(char *, uint32_t))
{
	if (reserve(batch, MESSAGE_MAX))
		batch->n +=
			build((char *)batch->bytes + batch->n, nl_sequence(batch->nl))->nlmsg_len;
}

/* Room for one message more, and its sequence number. False: out of memory. */
static bool next_message(struct batch *batch, size_t size, uint32_t *ret_sequence)
{
	if (batch->error)
		return false;
	if (!batch->messages)
		frame(batch, nftnl_batch_begin);
	if (!reserve(batch, size))
		return false;
	*ret_sequence = nl_sequence(batch->nl);
	if (!batch->messages)
		batch->first_sequence = *ret_sequence;
	batch->messages++;
	return true;
}

struct nlmsghdr *batch_begin(struct batch *batch, uint16_t type, uint16_t flags)
{
	uint32_t sequence;

	if (!next_message(batch, MESSAGE_MAX, &sequence))
		return NULL;
	return nftnl_nlmsg_build_hdr((char *)batch->bytes + batch->n, type, NFPROTO_INET,
				     (uint16_t)(flags | NLM_F_REQUEST), sequence);
}

void batch_end(struct batch *batch, const struct nlmsghdr *message)
{
	batch->last = batch->n;
	batch->n += MNL_ALIGN(message->nlmsg_len);
}

void batch_put(struct batch *batch, const struct nlmsghdr *message)
{
	struct nlmsghdr *copy;
	uint32_t sequence;

	if (!next_message(batch, MNL_ALIGN(message->nlmsg_len), &sequence))
		return;
	copy = (struct nlmsghdr *)(batch->bytes + batch->n);
	memcpy(copy, message, MNL_ALIGN(message->nlmsg_len));
	copy->nlmsg_seq = sequence;
	copy->nlmsg_pid = 0;
	batch_end(batch, copy);
}

/* ---- the answer ---- */

static int on_attribute(const struct nlattr *attribute, void *data)
{
	char *text = data;

	if (mnl_attr_get_type(attribute) != NLMSGERR_ATTR_MSG)
		return MNL_CB_OK;
	(void)snprintf(text, BATCH_ERROR_MAX, "%.*s", (int)mnl_attr_get_payload_len(attribute),
		       (const char *)mnl_attr_get_payload(attribute));
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return MNL_CB_OK;
}

/* What the kernel adds to an error. With NETLINK_CAP_ACK the request's body is left out. */
static void read_words(const struct nlmsghdr *message, char *text)
{
	unsigned int at = sizeof(struct nlmsgerr);

	if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(message->nlmsg_flags & NLM_F_CAPPED)) {
		const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

		if (error->msg.nlmsg_len < sizeof(error->msg) ||
		    error->msg.nlmsg_len > message->nlmsg_len)
			return;
		at += MNL_ALIGN(error->msg.nlmsg_len - (unsigned int)sizeof(error->msg));
	}
	if (mnl_nlmsg_get_payload_len(message) >= at)
		(void)mnl_attr_parse(message, at, on_attribute, text);
}

int batch_answer(const void *bytes, size_t length, uint32_t last, bool *ret_acked,
		 uint32_t *ret_failed, char *text)
{
	const struct nlmsghdr *message = bytes;
	int left = (int)length, first = 0;

	for (; batch_message_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

		if (message->nlmsg_type != NLMSG_ERROR)
			continue;
		if (mnl_nlmsg_get_payload_len(message) < sizeof(*error) || error->error > 0)
			return -EBADMSG;
		if (error->error == 0) {
			*ret_acked |= message->nlmsg_seq == last;
		} else if (!first) {
			first = error->error;
			*ret_failed = message->nlmsg_seq;
			read_words(message, text);
		}
	}
	return first ? first : left ? -EBADMSG : 0;
}

/* The name of what the failed message was about: all of ours carry it in their second attribute, or the third. */
static void name_failed(struct batch *batch, uint32_t failed)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)batch->bytes;
	int left = (int)batch->n;
	const char *name = "";
	char words[BATCH_ERROR_MAX];
	const struct nlattr *attribute;

	while (batch_message_ok(message, left) && message->nlmsg_seq != failed)
		message = mnl_nlmsg_next(message, &left);
	if (!batch_message_ok(message, left))
		return;
	mnl_attr_for_each (attribute, message, sizeof(struct nfgenmsg))
		if ((mnl_attr_get_type(attribute) == NFTA_RULE_CHAIN ||
		     mnl_attr_get_type(attribute) == NFTA_CHAIN_NAME) &&
		    !*name && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
			name = mnl_attr_get_str(attribute);
	batch->failed = failed - batch->first_sequence + 1;
	memcpy(words, batch->text, sizeof(words));
	(void)snprintf(batch->text, sizeof(batch->text), "message %u of %u (type %u%s%s)%s%.150s",
		       batch->failed, batch->messages, NFNL_MSG_TYPE(message->nlmsg_type),
		       *name ? ", " : "", name, *words ? ": " : "", words);
}

static int read_answers(struct batch *batch, uint32_t last)
{
	static _Alignas(struct nlmsghdr) uint8_t buffer[ANSWER_BUFFER];
	int fd = mnl_socket_get_fd(nl_socket(batch->nl));
	bool acked = false;
	int first = 0;

	for (;;) {
		struct iovec iov = {buffer, sizeof(buffer)};
		struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
		uint32_t failed = 0;
		ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT);
		int r = n < 0 ? -errno : 0;

		if (r == -EAGAIN)
			break;
		if (r == -EINTR)
			continue;
		if (r == 0 && header.msg_flags & MSG_TRUNC)
			r = -EMSGSIZE;
		if (r == 0)
			r = batch_answer(buffer, (size_t)n, last, &acked, &failed, batch->text);
		if (r < 0 && !first) {
			first = r;
			if (failed)
				name_failed(batch, failed);
		}
	}
	return first ? first : acked ? 0 : -EPROTO;
}

static int send_bytes(struct batch *batch)
{
	int fd = mnl_socket_get_fd(nl_socket(batch->nl));
	int room = (int)batch->n + (int)MESSAGE_MAX, receive = RECEIVE_BUFFER;
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct iovec iov = {batch->bytes, batch->n};
	struct msghdr header = {.msg_name = &kernel,
				.msg_namelen = sizeof(kernel),
				.msg_iov = &iov,
				.msg_iovlen = 1};

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive, sizeof(receive)) < 0)
		return -errno;
	if (sendmsg(fd, &header, 0) < 0)
		return -errno;
	return 0;
}

int batch_commit(struct batch *batch)
{
	struct nlmsghdr *last;
	int r;

	batch->text[0] = '\0';
	if (!batch->messages && !batch->error)
		return 0;
	if (!batch->error)
		frame(batch, nftnl_batch_end);
	if (batch->error)
		return batch->error;
	last = (struct nlmsghdr *)(batch->bytes + batch->last);
	last->nlmsg_flags |= NLM_F_ACK;
	r = send_bytes(batch);
	return r < 0 ? r : read_answers(batch, last->nlmsg_seq);
}
