/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base32 (RFC 4648 section 6) in lower case without padding: join tokens. One text for some bytes. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define BASE32_LENGTH(bytes) (((bytes)*8 + 4) / 5)

/* Writes BASE32_LENGTH(length) characters and a NUL. */
void base32_encode(const uint8_t *bytes, size_t length, char *text);
/* -EINVAL on other characters, impossible lengths or non-zero trailing bits; -ENOSPC. */
int base32_decode(const char *text, uint8_t *bytes, size_t size, size_t *ret_length);
