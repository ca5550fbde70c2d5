// SPDX-License-Identifier: GPL-2.0-or-later
/* See the header. */
#include "relay/layout.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <bpf/bpf.h>
#include "common/cleanup.h"

/* Layout 1 had two words in front of plain indexes. From 2 on the interfaces keep their place. */
static void layout_from_1(struct relay_layout *layout)
{
	uint32_t words[2 + RELAY_INTERFACES];
	memcpy(words, layout, sizeof(words));
	memset(layout, 0, sizeof(*layout));
	layout->version = words[0];
	for (size_t i = 0; i < RELAY_INTERFACES; i++)
		layout->interfaces[i].index = words[2 + i];
}

int layout_read(const char *dir, struct relay_layout *ret)
{
	uint32_t zero = 0;
	char path[4096];
	if (snprintf(path, sizeof(path), "%s/layout", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	_cleanup_(closep) int fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);
	if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return -errno;
	/* another version's entry may be larger; its first word is the version all the same */
	char entry[4096] = {0};
	if (info.value_size < sizeof(ret->version) || info.value_size > sizeof(entry))
		return -EPROTO;
	if (bpf_map_lookup_elem(fd, &zero, entry) < 0)
		return -errno;
	memcpy(ret, entry, sizeof(*ret));
	if (ret->version == 1)
		layout_from_1(ret);
	return 0;
}
