/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages about foreign text. Control characters are replaced: the text may quote what an attacker wrote. */
#include "common/err.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static void fill(struct err *err, unsigned int line, unsigned int column, const char *format,
		 va_list args)
{
	if (!err)
		return;
	err->line = line;
	err->column = column;
	(void)vsnprintf(err->text, sizeof(err->text), format, args);
	for (char *c = err->text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
}

int err_set(struct err *err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fill(err, 0, 0, format, args);
	va_end(args);
	return -EINVAL;
}

int err_at(struct err *err, unsigned int line, unsigned int column, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fill(err, line, column, format, args);
	va_end(args);
	return -EINVAL;
}

int err_code(struct err *err, int code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fill(err, 0, 0, format, args);
	va_end(args);
	return code;
}
