/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small files: read with a limit, written so that a crash leaves either the old or the new content.
 *
 * All functions return 0 or a negative errno and never follow a symbolic link at the last component.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reads a whole regular file of at most limit bytes. *ret is malloc()ed, has a NUL behind it that
 * *ret_length does not count, and belongs to the caller. -EFBIG, -EINVAL where it is no regular file.
 */
int file_read(const char *path, size_t limit, char **ret, size_t *ret_length);

/* file_read() for secrets: -EPERM where group or others can read the file. The caller wipes the bytes. */
int file_read_secret(const char *path, size_t limit, char **ret, size_t *ret_length);

/*
 * Writes a file that has no name, fsyncs, gives it one that nobody can guess, renames it over path, fsyncs the folder: what
 * others have there stays, and nothing is left of a write that was interrupted.
 */
int file_write(const char *path, const void *data, size_t length, mode_t mode);
/* The same with a group of its own. -EPERM where that is none of ours. */
int file_write_as(const char *path, const void *data, size_t length, mode_t mode, gid_t group);

/* mkdir with mode where missing; -ENOTDIR; -EPERM where it stands but is wider than mode or not ours. */
int folder_make(const char *path, mode_t mode);

/*
 * Takes the lock of a state folder for the life of the process; *ret_fd belongs to the caller.
 * -EWOULDBLOCK where another process has it.
 */
int folder_lock(const char *path, int *ret_fd);

/* Wipes and frees what file_read_secret() returned; NULL is fine. */
void secret_free(char *secret, size_t length);
