/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clocks and the texts of times. */
#include "common/clock.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct mono clock_mono(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (struct mono){(int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000};
}

int64_t clock_wall(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

const char *time_format(int64_t at, char text[TIME_TEXT_MAX])
{
	time_t seconds = at;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || tm.tm_year < 70 || tm.tm_year > 8099 ||
	    strftime(text, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)snprintf(text, TIME_TEXT_MAX, "out of range");
	return text;
}

/* Digits only at the places of "%" in the pattern "0000-00-00T00:00:00Z". */
static int matches(const char *text, const char *pattern)
{
	for (; *pattern; pattern++, text++) {
		if (*pattern == '0' ? (*text < '0' || *text > '9') : *text != *pattern)
			return 0;
	}
	return *text == '\0';
}

int time_parse(const char *text, int64_t *ret)
{
	struct tm tm = {0};
	struct tm check;
	int fields;
	time_t at;

	if (!matches(text, "0000-00-00T00:00:00Z") && !matches(text, "0000-00-00"))
		return -EINVAL;
	fields = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
			&tm.tm_hour, &tm.tm_min, &tm.tm_sec);
	if (fields != 3 && fields != 6)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	check = tm;
	at = timegm(&check);
	/* timegm() normalises 31 February: what comes back changed was no date. */
	if (at < 0 || check.tm_mday != tm.tm_mday || check.tm_mon != tm.tm_mon ||
	    check.tm_hour != tm.tm_hour || check.tm_min != tm.tm_min || check.tm_sec != tm.tm_sec)
		return -EINVAL;
	*ret = at;
	return 0;
}

int duration_parse(const char *text, int64_t *ret_seconds)
{
	int64_t value = 0;
	int64_t unit = 1;

	if (*text < '1' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		value = value * 10 + (*text - '0');
		if (value > 1000000000)
			return -EINVAL;
	}
	if (*text) {
		const char *units = "smhd";
		const int64_t seconds[] = {1, 60, 3600, 86400};
		const char *found = strchr(units, *text);

		if (!found || text[1])
			return -EINVAL;
		unit = seconds[found - units];
	}
	*ret_seconds = value * unit;
	return 0;
}
