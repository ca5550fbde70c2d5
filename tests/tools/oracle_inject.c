/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends packets one at a time into a host that is made of TUN devices, and notes where each came out.
 *
 *   oracle_inject RECORDS RESULTS      (in the namespace; the TUN devices sortie0, eth0, docker0 exist)
 *
 * RECORDS is a sequence of {u8 kind, u8 0, u16 length (host order), bytes}; RESULTS gets one byte a record: a bit set of
 * SEEN_*. A written TUN packet has been processed when write() returns, so nothing has to be waited for: what is readable
 * afterwards came of this packet. Packets that the kernel itself sends must be dropped by the caller's own table at output
 * (ours carry INJECT_MARK), or they would be taken for outcomes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define INJECT_MARK 0x5041
#define OTHER_UID   4711

enum { KIND_SORTIE, KIND_ETH, KIND_DOCKER, KIND_LOCAL, KIND_LOCAL_OTHER_UID, KIND_LOCAL_VIA_ETH };
enum { SEEN_LOCAL = 1, SEEN_SORTIE = 2, SEEN_ETH = 4, SEEN_DOCKER = 8 };

static const char *const devices[] = {"sortie0", "eth0", "docker0"};
static const uint8_t device_bits[] = {SEEN_SORTIE, SEEN_ETH, SEEN_DOCKER};
static int tuns[3];
/* Raw sockets get a copy of what passed the input hook. */
static const int delivered_protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6,
					  IPPROTO_SCTP};
static int delivered[2 * sizeof(delivered_protocols) / sizeof(delivered_protocols[0])];
static size_t n_delivered;
static int senders[3][2]; /* as root, as another uid, bound to eth0; IPv4, IPv6 */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_tun(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		die(name);
	return fd;
}

static int open_sender(int family, const char *device)
{
	int one = 1;
	int mark = INJECT_MARK;
	int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		die("sender");
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof(one)) < 0)
		die("IPV6_HDRINCL");
	if (device &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
		die("SO_BINDTODEVICE");
	return fd;
}

static void open_all(void)
{
	const int families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < 3; i++)
		tuns[i] = open_tun(devices[i]);
	for (size_t f = 0; f < 2; f++) {
		for (size_t i = 0; i < sizeof(delivered_protocols) / sizeof(int); i++) {
			int fd = socket(families[f], SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
					delivered_protocols[i]);
			if (fd < 0)
				die("raw socket");
			delivered[n_delivered++] = fd;
		}
		senders[0][f] = open_sender(families[f], NULL);
		/* A socket belongs to the fsuid of its maker; CAP_NET_RAW stays. */
		setfsuid(OTHER_UID);
		senders[1][f] = open_sender(families[f], NULL);
		setfsuid(0);
		senders[2][f] = open_sender(families[f], "eth0");
	}
}

static uint8_t drain(void)
{
	uint8_t packet[65536];
	uint8_t seen = 0;

	for (size_t i = 0; i < 3; i++)
		while (read(tuns[i], packet, sizeof(packet)) > 0)
			seen |= device_bits[i];
	for (size_t i = 0; i < n_delivered; i++)
		while (recv(delivered[i], packet, sizeof(packet), 0) >= 0)
			seen |= SEEN_LOCAL;
	return seen;
}

/*
 * A device that was just opened drops what it should send until the kernel's link watch has seen the carrier (up to 1 s).
 * A packet socket bypasses netfilter: once what it sends comes out, the device carries.
 */
static void wait_for_carrier(size_t device)
{
	static const uint8_t packet[20] = {0x45, [3] = 20};
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_ifindex = (int)if_nametoindex(devices[device])};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("packet socket");
	for (int tries = 0; tries < 500; tries++) {
		(void)sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to));
		if (drain() & device_bits[device]) {
			close(fd);
			return;
		}
		usleep(10000);
	}
	(void)fprintf(stderr, "%s carries nothing\n", devices[device]);
	exit(1);
}

static void send_local(int sockets[2], const uint8_t *bytes, size_t length)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	ssize_t sent;

	if (bytes[0] >> 4 == 4) {
		memcpy(&in.sin_addr, bytes + 16, 4);
		sent = sendto(sockets[0], bytes, length, 0, (struct sockaddr *)&in, sizeof(in));
	} else {
		memcpy(&in6.sin6_addr, bytes + 24, 16);
		sent = sendto(sockets[1], bytes, length, 0, (struct sockaddr *)&in6, sizeof(in6));
	}
	/* A packet that the output hook drops is EPERM: an outcome, not a failure. */
	if (sent < 0 && errno != EPERM && errno != EACCES && errno != EHOSTUNREACH &&
	    errno != ENETUNREACH)
		die("sendto");
}

static void inject(uint8_t kind, const uint8_t *bytes, size_t length)
{
	if (kind <= KIND_DOCKER) {
		if (write(tuns[kind], bytes, length) != (ssize_t)length)
			die("write to tun");
	} else {
		send_local(senders[kind - KIND_LOCAL], bytes, length);
	}
}

int main(int argc, char **argv)
{
	FILE *records;
	FILE *results;
	uint8_t bytes[65536];
	uint16_t length;
	uint8_t head[2];

	if (argc != 3) {
		(void)fprintf(stderr, "usage: oracle_inject RECORDS RESULTS\n");
		return 2;
	}
	records = fopen(argv[1], "re");
	results = fopen(argv[2], "we");
	if (!records || !results)
		die("files");
	open_all();
	for (size_t i = 0; i < 3; i++)
		wait_for_carrier(i);
	while (fread(head, sizeof(head), 1, records) == 1) {
		if (fread(&length, sizeof(length), 1, records) != 1 ||
		    fread(bytes, length, 1, records) != 1 || head[0] > KIND_LOCAL_VIA_ETH)
			die("records are cut short");
		(void)drain();
		inject(head[0], bytes, length);
		if (fputc(drain(), results) == EOF)
			die("results");
	}
	return fclose(results) == 0 ? 0 : 1;
}
