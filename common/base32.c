/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RFC 4648 base32, lower case. Not constant time: a token is read once, on the host that owns it. */
#include "common/base32.h"
#include <errno.h>
#include <string.h>

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

void base32_encode(const uint8_t *bytes, size_t length, char *text)
{
	uint32_t buffer = 0;
	unsigned int bits = 0;

	for (size_t i = 0; i < length; i++) {
		buffer = buffer << 8 | bytes[i];
		for (bits += 8; bits >= 5; bits -= 5)
			*text++ = alphabet[buffer >> (bits - 5) & 31];
	}
	if (bits)
		*text++ = alphabet[buffer << (5 - bits) & 31];
	*text = '\0';
}

int base32_decode(const char *text, uint8_t *bytes, size_t size, size_t *ret_length)
{
	uint32_t buffer = 0;
	unsigned int bits = 0;
	size_t length = 0;

	for (; *text; text++) {
		const char *found = strchr(alphabet, *text);

		if (!found)
			return -EINVAL;
		buffer = buffer << 5 | (uint32_t)(found - alphabet);
		bits += 5;
		if (bits < 8)
			continue;
		if (length == size)
			return -ENOSPC;
		bits -= 8;
		bytes[length++] = (uint8_t)(buffer >> bits);
	}
	if (bits >= 5 || (buffer & ((1u << bits) - 1)))
		return -EINVAL;
	*ret_length = length;
	return 0;
}
