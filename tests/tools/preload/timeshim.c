/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded, moves the clocks of one program while it runs: the file TIME_SHIFTS holds two 64-bit numbers of seconds, what
 * is added to the wall clock and to CLOCK_BOOTTIME. The first alone is a clock that somebody sets; both together are a host
 * that slept, whose monotonic clock stood still. Timers on CLOCK_BOOTTIME go by the real one and so fire as after a sleep.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 1024

static const int64_t none[2];
static const volatile int64_t *shifts = none;
static unsigned char on_boottime[FDS_MAX];

static __attribute__((constructor)) void open_shifts(void)
{
	const char *path = getenv("TIME_SHIFTS");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (at != MAP_FAILED)
		shifts = at;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t clock, struct timespec * now);
	int r;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	r = real(clock, now);
	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += shifts[0];
	if (r == 0 && (clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM))
		now->tv_sec += shifts[1];
	return r;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;
	int r = clock_gettime(CLOCK_REALTIME, &precise);

	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return r;
}

time_t time(time_t *at)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (at)
		*at = now.tv_sec;
	return now.tv_sec;
}

int timerfd_create(int clock, int flags)
{
	static int (*real)(int clock, int flags);
	int fd;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "timerfd_create");
	fd = real(clock, flags);
	if (fd >= 0 && fd < FDS_MAX)
		on_boottime[fd] = clock == CLOCK_BOOTTIME || clock == CLOCK_BOOTTIME_ALARM;
	return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	static int (*real)(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);
	struct itimerspec moved = *new;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "timerfd_settime");
	if (fd >= 0 && fd < FDS_MAX && on_boottime[fd] && (flags & TFD_TIMER_ABSTIME) &&
	    moved.it_value.tv_sec > shifts[1])
		moved.it_value.tv_sec -= shifts[1];
	return real(fd, flags, &moved, old);
}
