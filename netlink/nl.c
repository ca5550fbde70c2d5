/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netlink sockets and requests.
 *
 * The socket has kernel timeouts, so no call here waits longer than about NL_TIMEOUT_MS. Buffers are wiped after each
 * request because WireGuard's answers carry private keys.
 */
#include "netlink/nl.h"
#include <errno.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include "common/clock.h"
#include "netlink/answer.h"

/* Kernels before 6.x fill dump messages of up to 32 KiB; nothing they send is larger than 64 KiB. */
#define NL_BUFFER_SIZE 65536

struct nl {
	struct mnl_socket *socket;
	uint32_t sequence;
	char error[ANSWER_ERROR_MAX];
	_Alignas(struct nlmsghdr) uint8_t buffer[NL_BUFFER_SIZE];
};

static int set_up(struct mnl_socket *socket)
{
	const struct timeval timeout = {.tv_sec = NL_TIMEOUT_MS / 1000,
					.tv_usec = NL_TIMEOUT_MS % 1000 * 1000};
	int fd = mnl_socket_get_fd(socket);
	int one = 1;

	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &one, sizeof(one)) < 0 ||
	    mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &one, sizeof(one)) < 0)
		return -errno;
	return 0;
}

int nl_open(int bus, struct nl **ret)
{
	_cleanup_(nl_closep) struct nl *nl = calloc(1, sizeof(*nl));
	int r;

	if (!nl)
		return -ENOMEM;
	nl->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl->socket)
		return -errno;
	r = set_up(nl->socket);
	if (r < 0)
		return r;
	nl->sequence = (uint32_t)time(NULL);
	*ret = take_pointer(nl);
	return 0;
}

void nl_close(struct nl *nl)
{
	if (!nl)
		return;
	if (nl->socket)
		(void)mnl_socket_close(nl->socket);
	free(nl);
}

int nl_fd(const struct nl *nl)
{
	return mnl_socket_get_fd(nl->socket);
}

struct mnl_socket *nl_socket(struct nl *nl)
{
	return nl->socket;
}

uint32_t nl_sequence(struct nl *nl)
{
	/* 0 is what events carry */
	if (++nl->sequence == 0)
		nl->sequence = 1;
	return nl->sequence;
}

int nl_join(struct nl *nl, uint32_t group)
{
	if (mnl_socket_setsockopt(nl->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -errno;
	return 0;
}

const char *nl_error(const struct nl *nl)
{
	return nl->error;
}

/* One receive. A lost or cut answer spoils the request, but a dump still comes to its end: read up to there. */
static int receive(struct nl *nl, struct answer *answer)
{
	ssize_t n = mnl_socket_recvfrom(nl->socket, nl->buffer, sizeof(nl->buffer));
	int error = n < 0 ? errno : 0;

	if (n > 0) {
		answer_feed(answer, nl->buffer, (size_t)n);
		explicit_bzero(nl->buffer, (size_t)n);
		return 0;
	}
	switch (error) {
	case EINTR:
		return 0;
	case EAGAIN:
		return -ETIMEDOUT;
	case ENOBUFS:
	case ENOSPC: /* libmnl's word for MSG_TRUNC */
		if (!answer->error)
			answer->error = error == ENOSPC ? -EMSGSIZE : -ENOBUFS;
		explicit_bzero(nl->buffer, sizeof(nl->buffer));
		return answer->dump ? 0 : answer->error;
	default:
		return error ? -error : -EPROTO;
	}
}

static int read_answer(struct nl *nl, struct answer *answer)
{
	struct mono start = clock_mono();
	int r;

	while (!answer->done) {
		r = receive(nl, answer);
		if (r < 0)
			return answer->error ? answer->error : r;
		if (!answer->done && mono_diff_ms(clock_mono(), start) > NL_TIMEOUT_MS)
			return answer->error ? answer->error : -ETIMEDOUT;
	}
	return answer_result(answer);
}

int nl_request(struct nl *nl, struct nlmsghdr *message,
	       int (*on_message)(const struct nlmsghdr *message, void *data), void *data)
{
	bool dump = (message->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	struct answer answer = {.sequence = nl_sequence(nl),
				.port = mnl_socket_get_portid(nl->socket),
				.dump = dump,
				.on_message = on_message,
				.data = data};
	int r;

	nl->error[0] = '\0';
	if (!dump && !(message->nlmsg_flags & NLM_F_ACK))
		return -EINVAL; /* nothing would say where the answer ends */
	message->nlmsg_seq = answer.sequence;
	message->nlmsg_flags |= NLM_F_REQUEST;
	if (mnl_socket_sendto(nl->socket, message, message->nlmsg_len) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	r = read_answer(nl, &answer);
	(void)snprintf(nl->error, sizeof(nl->error), "%s", answer.text);
	return r;
}

static int on_family(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *table[CTRL_ATTR_FAMILY_ID + 1];
	int r = attributes_of_message(message, sizeof(struct genlmsghdr), table,
				      CTRL_ATTR_FAMILY_ID);
	if (r < 0)
		return r;
	return attribute_copy(table[CTRL_ATTR_FAMILY_ID], data, sizeof(uint16_t)) ? 0 : -EBADMSG;
}

int nl_family(struct nl *nl, const char *name, uint16_t *ret)
{
	_Alignas(struct nlmsghdr) char buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *header;
	uint16_t family = 0;
	int r;

	message->nlmsg_type = GENL_ID_CTRL;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->cmd = CTRL_CMD_GETFAMILY;
	header->version = 1;
	if (!mnl_attr_put_strz_check(message, sizeof(buffer), CTRL_ATTR_FAMILY_NAME, name))
		return -EINVAL;
	r = nl_request(nl, message, on_family, &family);
	if (r < 0)
		return r;
	if (!family)
		return -ENOENT;
	*ret = family;
	return 0;
}
