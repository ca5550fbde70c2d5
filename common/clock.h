/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two clocks that cannot be mixed up: `struct mono` counts microseconds of CLOCK_BOOTTIME (runs on
 * during suspend), wall time is int64_t seconds since 1970 UTC in variables named *_at or `now`.
 *
 * Pure code takes the time as a parameter; only programs call clock_mono() and clock_wall().
 */
#pragma once
#include <stdint.h>

struct mono {
	int64_t us;
};

struct mono clock_mono(void);
int64_t clock_wall(void); /* seconds */

static inline int64_t mono_diff_ms(struct mono later, struct mono earlier)
{
	return (later.us - earlier.us) / 1000;
}

#define TIME_TEXT_MAX 21 /* "2026-11-22T12:00:00Z" */

/* RFC 3339, UTC, whole seconds, years 1970..9999. */
const char *time_format(int64_t at, char text[TIME_TEXT_MAX]);
/* RFC 3339 UTC as above, or a date "2026-11-22" (its start). -EINVAL. */
int time_parse(const char *text, int64_t *ret);
/* "90s", "15m", "24h", "30d" or plain seconds; more than 0. -EINVAL. */
int duration_parse(const char *text, int64_t *ret_seconds);
