/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Durable small files. A fsync that fails is an error like any other: the caller must not go on. */
#include "common/file.h"
#include "common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static int read_all(int fd, char *buffer, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = read(fd, buffer + done, length - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* shrank under us */
		done += (size_t)n;
	}
	return 0;
}

static int read_checked(const char *path, size_t limit, mode_t forbidden, char **ret,
			size_t *ret_length)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	char *buffer;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_mode & forbidden)
		return -EPERM;
	if ((size_t)st.st_size > limit)
		return -EFBIG;
	buffer = calloc(1, (size_t)st.st_size + 1);
	if (!buffer)
		return -ENOMEM;
	r = read_all(fd, buffer, (size_t)st.st_size);
	if (r < 0) {
		secret_free(buffer, (size_t)st.st_size);
		return r;
	}
	*ret = buffer;
	*ret_length = (size_t)st.st_size;
	return 0;
}

int file_read(const char *path, size_t limit, char **ret, size_t *ret_length)
{
	return read_checked(path, limit, 0, ret, ret_length);
}

int file_read_secret(const char *path, size_t limit, char **ret, size_t *ret_length)
{
	return read_checked(path, limit, S_IRWXG | S_IRWXO, ret, ret_length);
}

void secret_free(char *secret, size_t length)
{
	if (!secret)
		return;
	sodium_memzero(secret, length);
	free(secret);
}

static int write_all(int fd, const char *data, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = write(fd, data + done, length - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

static int sync_folder_of(const char *path)
{
	char copy[PATH_MAX];
	_cleanup_(closep) int fd = -1;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* A name beside path that nobody else has or can guess. */
static int temporary_name(const char *path, char ret[PATH_MAX])
{
	uint64_t random;

	randombytes_buf(&random, sizeof(random));
	return (size_t)snprintf(ret, PATH_MAX, "%s.%016" PRIx64, path, random) >= PATH_MAX
		       ? -ENAMETOOLONG
		       : 0;
}

#define OWN_DESCRIPTORS "/proc/self/fd"

/*
 * A file that has no name yet, so that nothing is left of it whoever dies; where the file system knows no such files, or none
 * could be given a name later, one that has. *ret_named says which.
 */
static int open_temporary(const char *temporary, mode_t mode, bool *ret_named, int *ret)
{
	char folder[PATH_MAX];
	int fd = -1;

	(void)snprintf(folder, sizeof(folder), "%s", temporary);
	*ret_named = access(OWN_DESCRIPTORS, X_OK) < 0;
	if (!*ret_named) {
		fd = open(dirname(folder), O_WRONLY | O_TMPFILE | O_CLOEXEC, mode);
		*ret_named = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR);
	}
	if (*ret_named)
		fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	*ret = fd;
	return fd < 0 ? -errno : 0;
}

static int fill(int fd, const void *data, size_t length, mode_t mode, gid_t group)
{
	struct stat st;
	int r = write_all(fd, data, length);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 ||
	    (group != (gid_t)-1 && group != st.st_gid && fchown(fd, (uid_t)-1, group) < 0) ||
	    fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* The only way to a name for a descriptor that needs no capability is by its link in /proc. */
static int give_name(int fd, const char *temporary)
{
	char link[64];

	(void)snprintf(link, sizeof(link), OWN_DESCRIPTORS "/%d", fd);
	return linkat(AT_FDCWD, link, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int file_write_as(const char *path, const void *data, size_t length, mode_t mode, gid_t group)
{
	_cleanup_(closep) int fd = -1;
	char temporary[PATH_MAX];
	bool named;
	int r = temporary_name(path, temporary);

	if (r == 0)
		r = open_temporary(temporary, mode, &named, &fd);
	if (r < 0)
		return r;
	r = fill(fd, data, length, mode, group);
	if (r == 0 && !named)
		r = give_name(fd, temporary);
	named |= r == 0;
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0 && named)
		(void)unlink(temporary);
	return r < 0 ? r : sync_folder_of(path);
}

int file_write(const char *path, const void *data, size_t length, mode_t mode)
{
	return file_write_as(path, data, length, mode, (gid_t)-1);
}

int folder_make(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return chmod(path, mode) < 0 ? -errno : sync_folder_of(path);
	if (errno != EEXIST)
		return -errno;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (st.st_uid != geteuid() || (st.st_mode & 0777 & ~mode))
		return -EPERM;
	return 0;
}

int folder_lock(const char *path, int *ret_fd)
{
	char lock[PATH_MAX];
	_cleanup_(closep) int fd = -1;

	if ((size_t)snprintf(lock, sizeof(lock), "%s/lock", path) >= sizeof(lock))
		return -ENAMETOOLONG;
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}
