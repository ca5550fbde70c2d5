/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header. Only confirmed endpoints are written, so whoever made the hub answer him is not remembered. */
#include "control-plane/endpoints.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/file.h"
#include "control-plane/state_path.h"

#define LINE_SIZE (ID_HEX_MAX + ENDPOINT_TEXT_MAX + 2)
#define FILE_MAX  (MEMBERS_MAX * LINE_SIZE)

char *endpoints_format(const struct inventory *inventory)
{
	size_t size = inventory->n * LINE_SIZE + 1, at = 0;
	char *text = calloc(1, size);

	for (size_t i = 0; text && i < inventory->n; i++) {
		const struct member *member = inventory->members[i];
		char id[ID_HEX_MAX], endpoint[ENDPOINT_TEXT_MAX];

		if (addr_is_set(&member->watch.confirmed.addr))
			at += (size_t)snprintf(text + at, size - at, "%s %s\n",
					       id_format(&member->row.id, id),
					       endpoint_format(&member->watch.confirmed, endpoint));
	}
	return text;
}

static bool take_line(const char *line, struct inventory *inventory)
{
	char id_text[ID_HEX_MAX], endpoint_text[ENDPOINT_TEXT_MAX];
	struct endpoint endpoint;
	struct member *member;
	struct id id;

	_Static_assert(ID_HEX_MAX == 65 && ENDPOINT_TEXT_MAX == 56, "the widths below");
	if (sscanf(line, "%64s %55s", id_text, endpoint_text) != 2 || id_parse(id_text, &id) < 0 ||
	    endpoint_parse(endpoint_text, &endpoint) < 0)
		return false;
	member = inventory_find(inventory, &id);
	if (!member || addr_is_set(&member->watch.confirmed.addr))
		return false;
	member->watch.confirmed = endpoint;
	return true;
}

size_t endpoints_parse(const char *text, struct inventory *inventory)
{
	size_t n = 0;

	/* Without its newline a line may have been cut short. */
	for (const char *end; (end = strchr(text, '\n')); text = end + 1)
		n += take_line(text, inventory);
	return n;
}

int endpoints_load(const char *state_dir, struct inventory *inventory)
{
	_cleanup_(freep) char *text = NULL;
	char path[PATH_MAX];
	size_t length;
	int r = state_path(state_dir, ENDPOINTS_FILE, path);

	if (r == 0)
		r = file_read(path, FILE_MAX, &text, &length);
	if (r == 0)
		(void)endpoints_parse(text, inventory);
	return r == -ENOENT ? 0 : r;
}

int endpoints_save(const char *state_dir, const struct inventory *inventory)
{
	_cleanup_(freep) char *text = endpoints_format(inventory);
	char path[PATH_MAX];
	int r = state_path(state_dir, ENDPOINTS_FILE, path);

	if (!text)
		return -ENOMEM;
	return r < 0 ? r : file_write(path, text, strlen(text), 0600);
}
