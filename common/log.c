/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One line a message on stderr. The program name and level are process state by nature and the only
 * globals of this folder; nothing else here keeps any.
 */
#include "common/log.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static const char *program_name = "sortie";
static enum log_level max_level = LOG_LEVEL_INFO;

void log_init(const char *program, enum log_level level)
{
	program_name = program;
	max_level = level;
}

static void emit(enum log_level level, const char *suffix, const char *format, va_list args)
{
	char line[LINE_MAX_BYTES];
	int length;

	length = vsnprintf(line, sizeof(line), format, args);
	if (length < 0)
		return;
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	/* systemd sets JOURNAL_STREAM where stderr is the journal, which reads the priority. */
	if (getenv("JOURNAL_STREAM"))
		(void)fprintf(stderr, "<%d>%s%s\n", level, line, suffix);
	else
		(void)fprintf(stderr, "%s: %s%s\n", program_name, line, suffix);
}

void log_at(enum log_level level, const char *format, ...)
{
	int saved = errno;
	va_list args;

	if (level > max_level)
		return;
	va_start(args, format);
	emit(level, "", format, args);
	va_end(args);
	errno = saved;
}

int log_errno(int code, const char *format, ...)
{
	int saved = errno;
	char suffix[128];
	va_list args;

	(void)snprintf(suffix, sizeof(suffix), ": %s", strerror(-code));
	va_start(args, format);
	emit(LOG_LEVEL_ERROR, suffix, format, args);
	va_end(args);
	errno = saved;
	return code;
}
