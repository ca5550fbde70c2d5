/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logging for programs; libraries (common/ policy/ trust/ netlink/ firewall/ relay/) return errors instead.
 *
 * Lines go to stderr with the kernel's "<N>" priority prefix where stderr is the journal. Control
 * characters in arguments are replaced. errno is preserved. Never pass a secret.
 */
#pragma once

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

void log_init(const char *program, enum log_level level);
void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* "log and return": logs with strerror(-code) appended and returns code. */
int log_errno(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
