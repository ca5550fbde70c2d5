/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replays a corpus without libFuzzer: feeds the empty input and every file of the files and folders in argv to the
 * target it is linked with. One TAP line a target. A corpus that is missing or has no file is a failure: it would
 * test nothing. What the target does with an input that crashes it is left to the sanitizers; the name of each file
 * is on stderr before it is fed.
 */
#include "tests/fuzz/fuzz.h"
#include "common/file.h"
#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (16 * 1024 * 1024)

/* The bytes are copied to the end of a block of their own, so that ASan sees the first byte read too far. */
static int feed(const char *bytes, size_t length)
{
	uint8_t *exact = malloc(length ? length : 1);

	if (!exact)
		return -ENOMEM;
	memcpy(exact, bytes, length);
	(void)LLVMFuzzerTestOneInput(length ? exact : exact + 1, length);
	free(exact);
	return 0;
}

static int feed_file(const char *path)
{
	char *bytes;
	size_t length;
	int r = file_read(path, INPUT_MAX, &bytes, &length);

	if (r < 0)
		return r;
	(void)fprintf(stderr, "# %s\n", path);
	r = feed(bytes, length);
	free(bytes);
	return r;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Returns the number of files fed, or a negative errno with the path in question on stderr. */
static int feed_tree(char *path)
{
	char *paths[] = {path, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	FTSENT *entry;
	int fed = 0;

	if (!tree)
		return -errno;
	while (fed >= 0 && (entry = fts_read(tree))) {
		int r = 0;

		if (entry->fts_info == FTS_D || entry->fts_info == FTS_DP)
			continue;
		r = entry->fts_info == FTS_F ? feed_file(entry->fts_accpath)
		    : entry->fts_errno	     ? -entry->fts_errno
					     : -EINVAL;
		if (r < 0)
			(void)fprintf(stderr, "# %s: %s\n", entry->fts_path, strerror(-r));
		fed = r < 0 ? r : fed + 1;
	}
	(void)fts_close(tree);
	return fed;
}

int main(int argc, char **argv)
{
	bool ok = argc > 1 && feed("", 0) == 0;
	int inputs = 1;

	for (int i = 1; i < argc; i++) {
		int fed = feed_tree(argv[i]);

		ok = ok && fed > 0;
		inputs += fed > 0 ? fed : 0;
	}
	printf("%s %s (%d inputs)\n", ok ? "ok" : "not ok", program_invocation_short_name, inputs);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
