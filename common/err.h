/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is wrong with a text that a person or a peer wrote.
 *
 * Functions that parse foreign text fill a struct err and return -EINVAL (or another negative errno).
 * line and column count from 1; 0 means "not about a place in the text".
 */
#pragma once

struct err {
	unsigned int line;
	unsigned int column;
	char text[256];
};

/* Sets the text, no place. err may be NULL. Returns -EINVAL so that callers can `return err_set(...)`. */
int err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same at a place. */
int err_at(struct err *err, unsigned int line, unsigned int column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Like err_set(), but returns code (a negative errno). */
int err_code(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
