/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How results look. */
#include "cli/output.h"
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include "api/code.h"
#include "common/cleanup.h"
#include "common/identity.h"

int print_json(const char *body)
{
	json_t *json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
	if (!json)
		return EXIT_FAILED;
	int r = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	json_decref(json);
	putchar('\n');
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

/* How many bytes at c are a control character: C0, DEL, or C1 in UTF-8. */
static size_t control(const unsigned char *c)
{
	if (*c < 0x20 || *c == 0x7f)
		return 1;
	return c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0;
}

char *clean(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++)
		for (size_t n = control(c); n > 0; n--)
			c[n - 1] = '?';
	return text;
}

void print_text(FILE *to, const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		size_t n = *c == '\n' || *c == '\t' ? 0 : control(c);
		fputc(n ? '?' : *c, to);
		c += n > 1;
	}
}

const char *distance_format(int64_t at, int64_t now, char text[DISTANCE_TEXT_MAX])
{
	static const struct {
		int64_t seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	int64_t away = at > now ? at - now : now - at;
	size_t i = 0;
	if (at == 0)
		return memcpy(text, "never", sizeof("never"));
	/* 90 minutes say more than one hour */
	while (i + 1 < ARRAY_SIZE(units) && away < 2 * units[i].seconds)
		i++;
	snprintf(text, DISTANCE_TEXT_MAX, at > now ? "in %" PRId64 "%c" : "%" PRId64 "%c ago",
		 away / units[i].seconds, units[i].unit);
	return text;
}

const char *bytes_format(uint64_t bytes, char text[BYTES_TEXT_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t i = 0;
	while (value >= 1024 && i + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		i++;
	}
	snprintf(text, BYTES_TEXT_MAX, i ? "%.1f %s" : "%.0f %s", value, units[i]);
	return text;
}

void print_labels(FILE *to, const struct labels *labels, int width)
{
	_cleanup_(freep) char *text = labels_format(labels);
	fprintf(to, "%-*s", width, text && *text ? text : "-");
}
