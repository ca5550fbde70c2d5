/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The readers of small things: words, names, ports, selectors, and of fields and lists by table. */
#include "policy/read.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/port.h"
#include "policy/selector.h"

int read_error(struct reader *reader, const struct node *node, const char *format, ...)
{
	char text[sizeof(reader->err->text)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return err_at(reader->err, node->line, node->column, "%s", text);
}

int read_failed(struct reader *reader, const struct node *node, int r)
{
	if (r < 0 && reader->err && r != -ENOMEM) {
		reader->err->line = node->line;
		reader->err->column = node->column;
	}
	return r;
}

static int no_memory(struct reader *reader)
{
	return err_code(reader->err, -ENOMEM, "out of memory");
}

/* "name, from, to" for messages. */
static const char *list_keys(const struct field *fields, size_t n, char *text, size_t size)
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < n && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
					 fields[i].key);
	return text;
}

static int check_known(struct reader *reader, const struct node *node, const char *what,
		       const struct field *fields, size_t n_fields)
{
	for (size_t i = 0; i < node->n_items; i += 2) {
		char quoted[QUOTED_MAX];
		char keys[128];
		size_t known = 0;
		while (known < n_fields && strcmp(fields[known].key, node->items[i].text) != 0)
			known++;
		if (known == n_fields)
			return read_error(reader, &node->items[i], "%s has no key \"%s\": use %s",
					  what, quote(node->items[i].text, quoted),
					  list_keys(fields, n_fields, keys, sizeof(keys)));
	}
	return 0;
}

int read_fields(struct reader *reader, const struct node *node, const char *what,
		const struct field *fields, size_t n_fields, void *object)
{
	int r;

	if (node->kind != NODE_MAPPING)
		return read_error(reader, node, "%s is a mapping: write \"key: value\" lines",
				  what);
	r = check_known(reader, node, what, fields, n_fields);
	for (size_t i = 0; r == 0 && i < n_fields; i++) {
		const struct node *value = node_get(node, fields[i].key);
		if (value)
			r = fields[i].read(reader, value, object);
		else if (fields[i].required)
			r = read_error(reader, node, "%s lacks \"%s\": add it", what,
				       fields[i].key);
	}
	return r;
}

int read_items(struct reader *reader, const struct node *node, const char *what, size_t max,
	       size_t item_size, int (*read_item)(struct reader *, const struct node *, void *),
	       void *ret, size_t *ret_n)
{
	char *items;
	int r = 0;

	if (node->kind != NODE_LIST)
		return read_error(reader, node, "%s is a list: write \"- item\" lines or [a, b]",
				  what);
	if (node->n_items > max) {
		(void)read_error(reader, node, "%s has %zu entries: at most %zu", what,
				 node->n_items, max);
		return -EFBIG;
	}
	items = calloc(node->n_items ? node->n_items : 1, item_size);
	if (!items)
		return no_memory(reader);
	*(void **)ret = items;
	for (size_t i = 0; r == 0 && i < node->n_items; i++) {
		*ret_n = i + 1; /* first, so that a half-read item is released */
		r = read_item(reader, &node->items[i], items + i * item_size);
	}
	return r;
}

const char *read_scalar(struct reader *reader, const struct node *node)
{
	if (node->kind == NODE_SCALAR)
		return node->text;
	(void)read_error(reader, node, "expected a word here, not a list or a mapping");
	return NULL;
}

int read_word_of(struct reader *reader, const struct node *node, const char *const *words,
		 size_t n_words, unsigned int *ret)
{
	char quoted[QUOTED_MAX];
	char expected[64] = "";
	size_t used = 0;
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	for (unsigned int i = 0; i < n_words; i++)
		if (strcmp(text, words[i]) == 0) {
			*ret = i;
			return 0;
		}
	for (size_t i = 0; i < n_words && used < sizeof(expected); i++)
		used += (size_t)snprintf(expected + used, sizeof(expected) - used, "%s%s",
					 i ? " or " : "", words[i]);
	return read_error(reader, node, "\"%s\": write %s", quote(text, quoted), expected);
}

int read_boolean(struct reader *reader, const struct node *node, bool *ret)
{
	static const char *const words[] = {"false", "true"};
	unsigned int word = 0;
	int r = read_word_of(reader, node, words, 2, &word);

	if (r == 0)
		*ret = word == 1;
	return r;
}

/* One character of valid UTF-8; *text moves behind it. */
static unsigned int next_character(const char **text)
{
	const unsigned char *c = (const unsigned char *)*text;
	unsigned int n = c[0] < 0x80 ? 0 : c[0] < 0xe0 ? 1 : c[0] < 0xf0 ? 2 : 3;
	unsigned int character = n == 0 ? c[0] : c[0] & (0x3fu >> n);

	for (unsigned int i = 1; i <= n && c[i]; i++)
		character = character << 6 | (c[i] & 0x3fu);
	for (unsigned int i = 0; i <= n && **text; i++)
		(*text)++;
	return character;
}

/* Control characters, and those that change how a reviewer sees the text around them. */
static bool is_deceptive(unsigned int c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xe0000 && c <= 0xe007f);
}

int read_text(struct reader *reader, const struct node *node, char **ret)
{
	const char *text = read_scalar(reader, node);
	size_t length;

	if (!text)
		return -EINVAL;
	length = strlen(text);
	if (length == 0 || length > TEXT_MAX)
		return read_error(reader, node, "a text of %zu bytes: write 1 to %d", length,
				  TEXT_MAX);
	if (text[0] == ' ' || text[length - 1] == ' ')
		return read_error(reader, node, "a space at the beginning or end: remove it");
	for (const char *rest = text; *rest;)
		if (is_deceptive(next_character(&rest)))
			return read_error(reader, node,
					  "a control or invisible character: remove it");
	*ret = strdup(text);
	return *ret ? 0 : no_memory(reader);
}

int read_part(struct reader *reader, const struct node *node, const char **ret)
{
	char quoted[QUOTED_MAX];
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	if (!name_part_valid(text, strlen(text)))
		return read_error(reader, node, "name \"%s\": use a-z 0-9 and - inside, at most 63",
				  quote(text, quoted));
	*ret = text;
	return 0;
}

int read_identity(struct reader *reader, const struct node *node, char ret[NAME_MAX_TEXT])
{
	char quoted[QUOTED_MAX];
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	if (!name_valid(text))
		return read_error(reader, node, "\"%s\": write an identity as site/workload",
				  quote(text, quoted));
	(void)snprintf(ret, NAME_MAX_TEXT, "%s", text);
	return 0;
}

static int compare_service(const void *key, const void *item)
{
	return strcmp(key, ((const struct service *)item)->name);
}

static int compare_group(const void *key, const void *item)
{
	return strcmp(key, ((const struct group *)item)->name);
}

static int add_ports(struct reader *reader, const struct node *node, struct policy_port *ports,
		     size_t *n, const struct policy_port *more, size_t n_more)
{
	if (*n + n_more > POLICY_PORTS_MAX) {
		(void)read_error(reader, node,
				 "more than %d ports with their services expanded: split it",
				 POLICY_PORTS_MAX);
		return -EFBIG;
	}
	memcpy(ports + *n, more, n_more * sizeof(*ports));
	*n += n_more;
	return 0;
}

/* A port, or the name of a service. */
static int add_word(struct reader *reader, const struct node *node, struct policy_port *ports,
		    size_t *n)
{
	char quoted[QUOTED_MAX];
	const struct service *service;
	struct policy_port port;
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	if (strcmp(text, "icmp") == 0 || !name_part_valid(text, strlen(text))) {
		int r = policy_port_parse(text, &port, reader->err);
		return r < 0 ? read_failed(reader, node, r)
			     : add_ports(reader, node, ports, n, &port, 1);
	}
	service = reader->n_services ? bsearch(text, reader->services, reader->n_services,
					       sizeof(*service), compare_service)
				     : NULL;
	if (!service)
		return read_error(reader, node,
				  "service \"%s\" is unknown: add it to services or write tcp/N",
				  quote(text, quoted));
	return add_ports(reader, node, ports, n, service->ports, service->n_ports);
}

int read_ports(struct reader *reader, const struct node *node, struct policy_port **ret,
	       size_t *ret_n)
{
	struct policy_port ports[POLICY_PORTS_MAX];
	size_t n = 0;
	int r = 0;

	if (node->kind != NODE_LIST)
		return read_error(reader, node, "ports are a list: write [tcp/443]");
	if (node->n_items == 0)
		return read_error(reader, node,
				  "an empty list of ports: name one or remove the entry");
	for (size_t i = 0; r == 0 && i < node->n_items; i++)
		r = add_word(reader, &node->items[i], ports, &n);
	if (r < 0)
		return r;
	ports_normalise(ports, &n);
	*ret = calloc(n, sizeof(**ret));
	if (!*ret)
		return no_memory(reader);
	memcpy(*ret, ports, n * sizeof(**ret));
	*ret_n = n;
	return 0;
}

int read_selector_node(struct reader *reader, const struct node *node, struct policy_selector *ret)
{
	char quoted[QUOTED_MAX];
	const struct group *group;
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	if (strcmp(text, SELECTOR_ANY) == 0) {
		*ret = (struct policy_selector){.text = strdup(text), .any = true};
		return ret->text ? 0 : no_memory(reader);
	}
	if (!name_part_valid(text, strlen(text)))
		return read_failed(reader, node, policy_selector_parse(text, ret, reader->err));
	group = reader->n_groups ? bsearch(text, reader->groups, reader->n_groups, sizeof(*group),
					   compare_group)
				 : NULL;
	if (!group)
		return read_error(reader, node,
				  "group \"%s\" is unknown: add it to groups or write labels",
				  quote(text, quoted));
	return selector_copy(&group->selector, text, ret) < 0 ? no_memory(reader) : 0;
}
