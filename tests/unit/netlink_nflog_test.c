/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Logged packets: tables of IPv4 and IPv6 packets, and whole nfnetlink_log messages. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "common/cleanup.h"
#include "netlink/nflog_message.h"
#include "tests/unit/netlink_bytes.h"

#define V4(protocol, fragment)                                                                     \
	"\x45\0\0\0\0\0" fragment "\x40" protocol "\0\0\x0a\0\0\x01\x0a\0\0\x02"
#define V6(next)                                                                                   \
	"\x60\0\0\0\0\0" next "\x40"                                                               \
	"\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"                                                     \
	"\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02"
#define PORTS "\x9c\x40\x01\xbb"
/* a hop-by-hop or destination options header of 8 bytes */
#define OPTIONS(next) next "\0\0\0\0\0\0\0"

#define BYTES(text) sizeof(text) - 1, text

static const struct {
	const char *name;
	size_t length;
	const char *bytes;
	int result;
	int protocol, from_port, to_port;
} packets[] = {
	{"tcp4", BYTES(V4("\x06", "\0\0") PORTS), 0, 6, 40000, 443},
	{"udp4", BYTES(V4("\x11", "\x40\0") PORTS), 0, 17, 40000, 443},
	{"first fragment", BYTES(V4("\x11", "\x20\0") PORTS), 0, 17, 40000, 443},
	{"later fragment", BYTES(V4("\x11", "\0\x05") PORTS), 0, 17, 0, 0},
	{"icmp4 echo", BYTES(V4("\x01", "\0\0") "\x08\x03"), 0, 1, 0, 0x0803},
	{"gre has no ports", BYTES(V4("\x2f", "\0\0") PORTS), 0, 47, 0, 0},
	{"half a port", BYTES(V4("\x06", "\0\0") "\x9c\x40\x01"), 0, 6, 0, 0},
	{"no payload", BYTES(V4("\x06", "\0\0")), 0, 6, 0, 0},
	{"cut header", 19, V4("\x06", "\0\0"), -EINVAL, 0, 0, 0},
	{"header length too small", BYTES("\x44\0\0\0\0\0\0\0\x40\x06\0\0" PORTS PORTS), -EINVAL, 0,
	 0, 0},
	{"options behind the end", BYTES("\x4f\0\0\0\0\0\0\0\x40\x06\0\0" PORTS PORTS), -EINVAL, 0,
	 0, 0},
	{"tcp6", BYTES(V6("\x06") PORTS), 0, 6, 40000, 443},
	{"icmp6 echo", BYTES(V6("\x3a") "\x80\0"), 0, 58, 0, 0x8000},
	{"cut header 6", 39, V6("\x06"), -EINVAL, 0, 0, 0},
	{"hop-by-hop", BYTES(V6("\0") OPTIONS("\x06") PORTS), 0, 6, 40000, 443},
	{"two headers", BYTES(V6("\0") OPTIONS("\x3c") OPTIONS("\x11") PORTS), 0, 17, 40000, 443},
	{"cut option", BYTES(V6("\0") "\x06\x01\0\0\0\0\0\0"), 0, 0, 0, 0},
	{"authentication header", BYTES(V6("\x33") "\x06\x01\0\0\0\0\0\0\0\0\0\0" PORTS), 0, 6,
	 40000, 443},
	{"first fragment 6", BYTES(V6("\x2c") "\x11\0\0\x01\0\0\0\0" PORTS), 0, 17, 40000, 443},
	{"later fragment 6", BYTES(V6("\x2c") "\x11\0\0\x08\0\0\0\0" PORTS), 0, 17, 0, 0},
	{"no next header", BYTES(V6("\x3b") PORTS), 0, 59, 0, 0},
	{"nine headers",
	 BYTES(V6("\x3c") OPTIONS("\x3c") OPTIONS("\x3c") OPTIONS("\x3c") OPTIONS("\x3c") OPTIONS(
		 "\x3c") OPTIONS("\x3c") OPTIONS("\x3c") OPTIONS("\x3c") OPTIONS("\x06") PORTS),
	 0, 60, 0, 0},
	{"nothing", 0, "", -EINVAL, 0, 0, 0},
	{"neither 4 nor 6", BYTES("\x50\0\0\0"), -EINVAL, 0, 0, 0},
};

static void test_packets(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		struct nflog_packet packet = {.lost = 77};
		char text[ADDR_TEXT_MAX];
		uint8_t *exact = malloc(packets[i].length + 1);

		print_message("# %s\n", packets[i].name);
		memcpy(exact, packets[i].bytes, packets[i].length);
		/* the block ends where the packet ends, so that ASan sees a step over it */
		exact = realloc(exact, packets[i].length + !packets[i].length);
		assert_int_equal(nflog_decode_packet(exact, packets[i].length, &packet),
				 packets[i].result);
		free(exact);
		if (packets[i].result < 0) {
			assert_int_equal(packet.lost, 77); /* untouched */
			continue;
		}
		assert_int_equal(packet.protocol, packets[i].protocol);
		assert_int_equal(packet.from_port, packets[i].from_port);
		assert_int_equal(packet.to_port, packets[i].to_port);
		assert_string_equal(addr_format(&packet.from, text),
				    packets[i].bytes[0] == 0x60 ? "fd00::1" : "10.0.0.1");
		assert_string_equal(addr_format(&packet.to, text),
				    packets[i].bytes[0] == 0x60 ? "fd00::2" : "10.0.0.2");
	}
}

static void put_u32(struct bytes *b, uint16_t type, uint32_t value)
{
	value = htonl(value);
	put_attribute(b, type, &value, sizeof(value));
}

static const struct nlmsghdr *message(struct bytes *b, uint16_t type, bool payload,
				      const char *prefix)
{
	static const char tcp[] = V6("\x06") PORTS;

	b->length = 0;
	begin_message(b, type, 0, 0);
	put(b, "\x0a\0\0\x05", 4);
	put_attribute(b, NFULA_PREFIX, prefix, (uint16_t)(strlen(prefix) + 1));
	put_u32(b, NFULA_MARK, 0x12345678);
	put_u32(b, NFULA_IFINDEX_INDEV, 3);
	put_u32(b, NFULA_IFINDEX_OUTDEV, 4);
	put_u32(b, NFULA_SEQ, 9);
	if (payload)
		put_attribute(b, NFULA_PAYLOAD, tcp, sizeof(tcp) - 1);
	end_message(b);
	return (const struct nlmsghdr *)b->data;
}

#define PACKET (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET)

static void test_message(void **state)
{
	static struct bytes b;
	struct nflog_message decoded;
	char longest[200];

	assert_int_equal(nflog_decode_message(message(&b, PACKET, true, "in deny"), &decoded), 0);
	assert_string_equal(decoded.packet.prefix, "in deny");
	assert_int_equal(decoded.packet.mark, 0x12345678);
	assert_int_equal(decoded.in_index, 3);
	assert_int_equal(decoded.out_index, 4);
	assert_true(decoded.numbered);
	assert_int_equal(decoded.sequence, 9);
	assert_int_equal(decoded.packet.to_port, 443);
	/* another program's words in our group */
	assert_int_equal(nflog_decode_message(message(&b, PACKET, true, "a\x1b[2J\n"), &decoded),
			 0);
	assert_string_equal(decoded.packet.prefix, "a?[2J?");
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(nflog_decode_message(message(&b, PACKET, true, longest), &decoded), 0);
	assert_int_equal(strlen(decoded.packet.prefix), sizeof(decoded.packet.prefix) - 1);
}

static void test_bad_messages(void **state)
{
	static struct bytes b;
	struct nflog_message decoded;
	uint32_t whole;

	assert_int_equal(nflog_decode_message(message(&b, 0x0a00, true, ""), &decoded), -ENOMSG);
	assert_int_equal(nflog_decode_message(message(&b, PACKET, false, ""), &decoded), -EBADMSG);
	whole = message(&b, PACKET, true, "words")->nlmsg_len;
	for (uint32_t length = sizeof(struct nlmsghdr); length < whole; length++) {
		struct nlmsghdr *exact = malloc(length);
		int r;

		memcpy(exact, b.data, length);
		exact->nlmsg_len = length;
		r = nflog_decode_message(exact, &decoded);
		assert_true(r == -EBADMSG || r == -EINVAL);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_bad_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
