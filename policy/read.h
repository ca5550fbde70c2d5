/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From nodes to policy, by tables of fields. The operator's YAML and the signed JSON go through the same readers, so what
 * one refuses the other refuses too. All functions return 0 or a negative errno with the place and a sentence in err.
 */
#pragma once
#include "policy/node.h"
#include "policy/policy.h"

#define TEXT_MAX 127 /* bytes of a rule's name or owner */

/* services: and groups: are gone after reading: rules carry what they stood for. */
struct service {
	const char *name; /* borrowed from the node */
	struct policy_port *ports;
	size_t n_ports;
};

struct group {
	const char *name;
	struct policy_selector selector;
};

struct place {
	const char *name; /* borrowed from the policy */
	unsigned int line, column;
};

struct reader {
	struct policy *policy;
	struct err *err;
	struct service *services; /* sorted by name */
	size_t n_services;
	struct group *groups; /* sorted by name */
	size_t n_groups;
	struct place *names; /* of rules and underlay entries */
	size_t n_names, names_size;
};

struct field {
	const char *key;
	bool required;
	int (*read)(struct reader *reader, const struct node *value, void *object);
};

/* Reads known keys in the order of the table, refuses unknown and missing ones. `what` names the object. */
int read_fields(struct reader *reader, const struct node *node, const char *what,
		const struct field *fields, size_t n_fields, void *object);
/* An array of items, each read by read_item into zeroed memory; *ret and *ret_n are valid at any time. */
int read_items(struct reader *reader, const struct node *node, const char *what, size_t max,
	       size_t item_size, int (*read_item)(struct reader *, const struct node *, void *),
	       void *ret, size_t *ret_n);
int read_error(struct reader *reader, const struct node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* After a function that filled err without a place: adds it, returns r. */
int read_failed(struct reader *reader, const struct node *node, int r);

/* Borrowed; NULL (-EINVAL, err is filled) where the node is no scalar. */
const char *read_scalar(struct reader *reader, const struct node *node);
int read_boolean(struct reader *reader, const struct node *node, bool *ret);
/* One of words; *ret is its index. */
int read_word_of(struct reader *reader, const struct node *node, const char *const *words,
		 size_t n_words, unsigned int *ret);
/* Text for people: printable, at most TEXT_MAX bytes. */
int read_text(struct reader *reader, const struct node *node, char **ret);
/* [a-z0-9-], at most 63. */
int read_part(struct reader *reader, const struct node *node, const char **ret);
int read_identity(struct reader *reader, const struct node *node, char ret[NAME_MAX_TEXT]);
int read_ports(struct reader *reader, const struct node *node, struct policy_port **ret,
	       size_t *ret_n);
int read_selector_node(struct reader *reader, const struct node *node, struct policy_selector *ret);
