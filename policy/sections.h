/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sections of the language as tables of fields: the whole file, the signed header, one rule. */
#pragma once
#include "policy/read.h"

struct policy *policy_new(void); /* NULL: out of memory */

/* The operator's file, all sections. */
int sections_read_file(struct reader *reader, const struct node *root);
/* What policy_encode() puts into the header: no services, groups, rules, tests. */
int sections_read_header(struct reader *reader, const struct node *root);
void reader_done(struct reader *reader);

/* Mappings by name, into the reader. */
int section_services(struct reader *reader, const struct node *node, void *object);
int section_groups(struct reader *reader, const struct node *node, void *object);
/* One entry of each list; object is the zeroed struct of policy.h. */
int section_rule(struct reader *reader, const struct node *node, void *object);
int section_host(struct reader *reader, const struct node *node, void *object);
int section_underlay(struct reader *reader, const struct node *node, void *object);
int section_egress(struct reader *reader, const struct node *node, void *object);
int section_resource(struct reader *reader, const struct node *node, void *object);
int section_enroller(struct reader *reader, const struct node *node, void *object);
int section_test(struct reader *reader, const struct node *node, void *object);

/* ---- parts of entries ---- */

/* The field `any`; check_any() looks at it when the whole entry is known. */
int read_any(struct reader *reader, const struct node *node, void *object);
/* A wildcard must be said twice, so that it is never a slip of the pen. */
int check_any(struct reader *reader, const struct node *entry, bool wild);
/* Text that joins reader->names. */
int read_name(struct reader *reader, const struct node *node, char **ret);
/* At the end: no two rules or underlay entries share a name, whatever the case of its letters. */
int check_names(struct reader *reader);
/* Into a struct prefix. */
int read_prefix(struct reader *reader, const struct node *node, void *object);
