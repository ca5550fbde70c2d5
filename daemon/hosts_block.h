/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names in a marked block of somebody else's file (/etc/hosts): what lies between the two marks is ours, every other
 * byte is not, and is kept. Only where an option asks for it.
 */
#pragma once
#include "common/err.h"

/*
 * Pure. file with the block replaced, appended where it has none, or taken out (names NULL); malloc()ed. Lines of names
 * that are comments are left out. -EINVAL where the marks are not one pair: a person decides then.
 */
int hosts_block_merge(const char *file, const char *names, char **ret, struct err *err);

/*
 * The same with the file at path: replaced at once (rename), with its mode, owner and group, untouched where nothing
 * changes or anything fails. No file: -ENOENT, but for taking the block out.
 */
int hosts_block_write(const char *path, const char *names, struct err *err);
