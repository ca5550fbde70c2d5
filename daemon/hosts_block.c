/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The marked block: text in, text out; then the file, as a whole or not at all. */
#include "daemon/hosts_block.h"
#include "common/cleanup.h"
#include "common/file.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BEGIN	 "# begin sortied: written by the agent, what is changed here is lost"
#define END	 "# end sortied"
#define FILE_MAX (4 * 1024 * 1024)

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : line + strlen(line);
}

static bool is_line(const char *line, const char *text)
{
	size_t length = strlen(text);

	return strncmp(line, text, length) == 0 && (line[length] == '\n' || line[length] == '\0');
}

struct block {
	const char *begin, *end; /* begin: its mark, end: behind the other; both NULL: none */
};

static int find(const char *file, struct block *ret, struct err *err)
{
	struct block block = {0};
	unsigned int number = 1;

	for (const char *line = file; *line; line = next_line(line), number++) {
		bool begins = is_line(line, BEGIN), ends = is_line(line, END);

		if ((begins && block.begin) || (ends && (!block.begin || block.end)))
			return err_at(err, number, 1,
				      "the marks of sortied's block are not one pair: remove them");
		if (begins)
			block.begin = line;
		if (ends)
			block.end = next_line(line);
	}
	if (block.begin && !block.end)
		return err_at(err, number, 1, "sortied's block has no end: remove its first mark");
	*ret = block;
	return 0;
}

static void write_block(FILE *out, const char *names)
{
	(void)fprintf(out, BEGIN "\n");
	for (const char *line = names; *line; line = next_line(line))
		if (*line != '#')
			(void)fwrite(line, 1, (size_t)(next_line(line) - line), out);
	(void)fprintf(out, END "\n");
}

int hosts_block_merge(const char *file, const char *names, char **ret, struct err *err)
{
	size_t before = strlen(file), size = 0;
	struct block block = {0};
	char *text = NULL;
	FILE *out;
	int r = find(file, &block, err);

	if (r < 0)
		return r;
	out = open_memstream(&text, &size);
	if (!out)
		return -ENOMEM;
	if (block.begin)
		before = (size_t)(block.begin - file);
	(void)fwrite(file, 1, before, out);
	if (names && before > 0 && file[before - 1] != '\n')
		(void)fputc('\n', out);
	if (names)
		write_block(out, names);
	if (block.end)
		(void)fputs(block.end, out);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

static int fail(const char *path, int r, struct err *err)
{
	const char *why = r == -ELOOP	? "it is a symbolic link: name what it points to"
			  : r == -EBUSY ? "it is a mount point and cannot be replaced"
			  : r == -EROFS ? "the file system is read-only"
			  : r == -EPERM ? "it belongs to another user or group"
					: strerror(-r);

	return err_code(err, r, "names in %s: %s", path, why);
}

/* Somebody else's file keeps mode and group; one that is not ours would become ours, so it stays as it is. */
static int look_at(const char *path, struct stat *ret)
{
	if (lstat(path, ret) < 0)
		return -errno;
	if (S_ISLNK(ret->st_mode))
		return -ELOOP;
	return ret->st_uid == geteuid() ? 0 : -EPERM;
}

int hosts_block_write(const char *path, const char *names, struct err *err)
{
	_cleanup_(freep) char *old = NULL, *text = NULL;
	struct err where = {0};
	size_t length = 0;
	struct stat st;
	int r = look_at(path, &st);

	if (r == -ENOENT && !names)
		return 0;
	if (r == 0)
		r = file_read(path, FILE_MAX, &old, &length);
	if (r == 0 && strlen(old) != length)
		r = -EINVAL;
	if (r < 0 || !old)
		return fail(path, r, err);
	r = hosts_block_merge(old, names, &text, &where);
	if (r < 0)
		return err_code(err, r, "names in %s: line %u: %s", path, where.line, where.text);
	if (strcmp(old, text) == 0)
		return 0;
	r = file_write_as(path, text, strlen(text), st.st_mode & 07777, st.st_gid);
	return r < 0 ? fail(path, r, err) : 0;
}
