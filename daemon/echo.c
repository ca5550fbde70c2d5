/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Echoes: bytes on and off a raw socket, nothing that decides. The kernel fills the checksum in. */
#include "daemon/echo.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX 65535

struct head {
	struct icmp6_hdr icmp;
	int64_t sent_us;
};

static int set_filter(int fd, bool replies)
{
	struct icmp6_filter filter;

	ICMP6_FILTER_SETBLOCKALL(&filter);
	if (replies)
		ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
	return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) < 0 ? -errno
											 : 0;
}

int echo_open(int *ret_fd)
{
	_cleanup_(closep) int fd =
		socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);
	int r = fd < 0 ? -errno : set_filter(fd, false);

	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

int echo_listen(int fd, bool on)
{
	uint8_t byte;

	while (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) >= 0)
		continue;
	return set_filter(fd, on);
}

static void name_source(const struct echo *echo, struct msghdr *message)
{
	struct in6_pktinfo info = {.ipi6_ifindex = echo->ifindex};
	struct cmsghdr *header = CMSG_FIRSTHDR(message);

	memcpy(&info.ipi6_addr, echo->from.bytes, sizeof(info.ipi6_addr));
	header->cmsg_level = IPPROTO_IPV6;
	header->cmsg_type = IPV6_PKTINFO;
	header->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(header), &info, sizeof(info));
}

int echo_send(int fd, const struct echo *echo, size_t size)
{
	static const uint8_t zeroes[PACKET_MAX];
	struct head head = {.icmp.icmp6_type = ICMP6_ECHO_REQUEST, .sent_us = clock_mono().us};
	struct sockaddr_in6 to = {.sin6_family = AF_INET6};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = {0};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)(uintptr_t)zeroes, 0}};
	struct msghdr message = {.msg_name = &to,
				 .msg_namelen = sizeof(to),
				 .msg_iov = iov,
				 .msg_iovlen = ARRAY_SIZE(iov),
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};

	if (size < ECHO_SIZE_MIN || size > PACKET_MAX)
		return -EINVAL;
	iov[1].iov_len = size - ECHO_OVERHEAD - sizeof(head.sent_us);
	head.icmp.icmp6_id = htons(echo->id);
	head.icmp.icmp6_seq = htons(echo->sequence);
	memcpy(&to.sin6_addr, echo->to.bytes, sizeof(to.sin6_addr));
	name_source(echo, &message);
	return sendmsg(fd, &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}

int echo_receive(int fd, struct echo *ret, size_t *ret_size, uint32_t *ret_us)
{
	struct sockaddr_in6 from = {0};
	socklen_t length = sizeof(from);
	struct head head = {0};
	int64_t took_us;
	ssize_t n = recvfrom(fd, &head, sizeof(head), MSG_DONTWAIT | MSG_TRUNC,
			     (struct sockaddr *)&from, &length);

	if (n < 0)
		return -errno;
	took_us = clock_mono().us - head.sent_us;
	if (n < (ssize_t)sizeof(head) || head.icmp.icmp6_type != ICMP6_ECHO_REPLY || took_us < 0 ||
	    took_us > UINT32_MAX)
		return -EBADMSG;
	*ret = (struct echo){.from = addr_from_bytes(AF_INET6, &from.sin6_addr),
			     .id = ntohs(head.icmp.icmp6_id),
			     .sequence = ntohs(head.icmp.icmp6_seq)};
	*ret_size = (size_t)n + ECHO_OVERHEAD - sizeof(head.icmp);
	*ret_us = (uint32_t)took_us;
	return 0;
}
