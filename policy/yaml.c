/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML to nodes, in two passes over libyaml's events. The first only counts and refuses: a bomb costs its own bytes
 * and no tree. The second builds; it meets nothing that the first has not seen.
 *
 * Of YAML the language uses scalars, lists and mappings. Anchors and aliases hide what a reviewer should read, tags and
 * directives change what a scalar means, tabs look like spaces: all are refused, wherever they stand.
 */
#include "policy/node.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "policy/policy.h"

struct yaml {
	yaml_parser_t parser;
	const char *text;
	struct err *err;
};

static int yaml_open(struct yaml *yaml, const char *text, size_t length, struct err *err)
{
	yaml->text = text;
	yaml->err = err;
	if (!yaml_parser_initialize(&yaml->parser))
		return err_code(err, -ENOMEM, "out of memory");
	yaml_parser_set_encoding(&yaml->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&yaml->parser, (const unsigned char *)text, length);
	return 0;
}

static int refuse(struct yaml *yaml, const yaml_mark_t *mark, const char *sentence)
{
	return err_at(yaml->err, (unsigned int)mark->line + 1, (unsigned int)mark->column + 1, "%s",
		      sentence);
}

/* The reader's errors name a byte, not a line. */
static int refuse_offset(struct err *err, const char *text, size_t offset, const char *sentence)
{
	unsigned int line = 1;
	size_t start = 0;

	for (size_t i = 0; i < offset; i++)
		if (text[i] == '\n') {
			line++;
			start = i + 1;
		}
	return err_at(err, line, (unsigned int)(offset - start) + 1, "%s", sentence);
}

static int syntax_error(struct yaml *yaml)
{
	const yaml_parser_t *parser = &yaml->parser;

	if (parser->error == YAML_MEMORY_ERROR)
		return err_code(yaml->err, -ENOMEM, "out of memory");
	if (parser->error == YAML_READER_ERROR)
		return refuse_offset(yaml->err, yaml->text, parser->problem_offset,
				     "this byte is no UTF-8 text: save the file as UTF-8");
	return err_at(yaml->err, (unsigned int)parser->problem_mark.line + 1,
		      (unsigned int)parser->problem_mark.column + 1,
		      "no YAML here: %s: check indentation, brackets and quotes",
		      parser->problem ? parser->problem : "unexpected text");
}

static int next_event(struct yaml *yaml, yaml_event_t *ret)
{
	return yaml_parser_parse(&yaml->parser, ret) ? 0 : syntax_error(yaml);
}

#define NO_ANCHORS                                                                                 \
	"anchors and aliases are refused: write the value out, or name it in groups or services"
#define NO_TAGS "tags are refused: remove the part that begins with \"!\""

static int check_decoration(struct yaml *yaml, const yaml_event_t *event, const void *anchor,
			    const void *tag)
{
	if (anchor)
		return refuse(yaml, &event->start_mark, NO_ANCHORS);
	if (tag)
		return refuse(yaml, &event->start_mark, NO_TAGS);
	return 0;
}

static int check_document(struct yaml *yaml, const yaml_event_t *event, unsigned int *documents)
{
	if (event->data.document_start.version_directive ||
	    event->data.document_start.tag_directives.start !=
		    event->data.document_start.tag_directives.end)
		return refuse(yaml, &event->start_mark,
			      "directives are refused: remove the line with \"%\"");
	if (++*documents > 1)
		return refuse(yaml, &event->start_mark,
			      "a second document begins: a policy is one document, remove \"---\"");
	return 0;
}

static int check_scalar(struct yaml *yaml, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;

	if (memchr(value, '\0', event->data.scalar.length))
		return refuse(yaml, &event->start_mark, "a NUL character in a value: remove it");
	return check_decoration(yaml, event, event->data.scalar.anchor, event->data.scalar.tag);
}

struct tally {
	unsigned int documents, depth;
	size_t nodes;
};

static int check_event(struct yaml *yaml, const yaml_event_t *event, struct tally *tally)
{
	int r = 0;

	switch ((int)event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return check_document(yaml, event, &tally->documents);
	case YAML_ALIAS_EVENT:
		return refuse(yaml, &event->start_mark, NO_ANCHORS);
	case YAML_SCALAR_EVENT:
		r = check_scalar(yaml, event);
		break;
	case YAML_SEQUENCE_START_EVENT:
		tally->depth++;
		r = check_decoration(yaml, event, event->data.sequence_start.anchor,
				     event->data.sequence_start.tag);
		break;
	case YAML_MAPPING_START_EVENT:
		tally->depth++;
		r = check_decoration(yaml, event, event->data.mapping_start.anchor,
				     event->data.mapping_start.tag);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		tally->depth--;
		break;
	}
	if (r == 0 && ++tally->nodes > POLICY_NODES_MAX) {
		(void)refuse(yaml, &event->start_mark,
			     "too many YAML nodes: a policy has at most 200000");
		return -EFBIG;
	}
	if (r == 0 && tally->depth > POLICY_DEPTH_MAX) {
		(void)refuse(yaml, &event->start_mark, "nested too deeply: at most 16 levels");
		return -EFBIG;
	}
	return r;
}

static int check_events(const char *text, size_t length, struct err *err)
{
	struct tally tally = {0};
	struct yaml yaml;
	bool end = false;
	int r = yaml_open(&yaml, text, length, err);

	if (r < 0)
		return r;
	while (r == 0 && !end) {
		yaml_event_t event;
		r = next_event(&yaml, &event);
		if (r < 0)
			break;
		r = check_event(&yaml, &event, &tally);
		end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&yaml.parser);
	if (r == 0 && tally.documents == 0)
		return err_at(err, 1, 1, "the policy is empty: begin with \"version: 1\"");
	return r;
}

static int build(struct yaml *yaml, const yaml_event_t *event, struct node *node);

static int build_child(struct yaml *yaml, const yaml_event_t *event, struct node *parent)
{
	bool is_key = parent->kind == NODE_MAPPING && parent->n_items % 2 == 0;
	struct node *child = node_add(parent);

	if (!child)
		return err_code(yaml->err, -ENOMEM, "out of memory");
	if (is_key && event->type != YAML_SCALAR_EVENT)
		return refuse(yaml, &event->start_mark,
			      "a key must be a word, not a list or a mapping");
	return build(yaml, event, child);
}

/* Children up to the end event of the list or mapping. */
static int build_items(struct yaml *yaml, struct node *node)
{
	for (;;) {
		yaml_event_t event;
		int r = next_event(yaml, &event);

		if (r < 0)
			return r;
		if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			return 0;
		}
		r = build_child(yaml, &event, node);
		yaml_event_delete(&event);
		if (r < 0)
			return r;
	}
}

static int build(struct yaml *yaml, const yaml_event_t *event, struct node *node)
{
	int r = 0;

	node->line = (unsigned int)event->start_mark.line + 1;
	node->column = (unsigned int)event->start_mark.column + 1;
	if (event->type == YAML_SCALAR_EVENT) {
		node->kind = NODE_SCALAR;
		node->text = strdup((const char *)event->data.scalar.value);
		return node->text ? 0 : err_code(yaml->err, -ENOMEM, "out of memory");
	}
	node->kind = event->type == YAML_MAPPING_START_EVENT ? NODE_MAPPING : NODE_LIST;
	r = build_items(yaml, node);
	if (r == 0 && node->kind == NODE_MAPPING)
		r = node_check_keys(node, yaml->err);
	return r;
}

static int build_tree(const char *text, size_t length, struct node *node, struct err *err)
{
	struct yaml yaml;
	bool built = false;
	int r = yaml_open(&yaml, text, length, err);

	if (r < 0)
		return r;
	while (r == 0 && !built) {
		yaml_event_t event;
		r = next_event(&yaml, &event);
		if (r < 0)
			break;
		/* stream start and document start come first */
		built = event.type == YAML_SCALAR_EVENT ||
			event.type == YAML_SEQUENCE_START_EVENT ||
			event.type == YAML_MAPPING_START_EVENT;
		if (built)
			r = build(&yaml, &event, node);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&yaml.parser);
	return r;
}

int node_from_yaml(const char *text, size_t length, struct node *ret, struct err *err)
{
	const char *tab = length ? memchr(text, '\t', length) : NULL;
	struct node node = {0};
	int r;

	if (length > POLICY_TEXT_MAX)
		return err_code(err, -EFBIG, "the policy has %zu bytes: at most %d are read",
				length, POLICY_TEXT_MAX);
	if (tab)
		return refuse_offset(err, text, (size_t)(tab - text),
				     "a tab: YAML wants spaces, replace it");
	r = check_events(text, length, err);
	if (r == 0)
		r = build_tree(text, length, &node, err);
	if (r < 0) {
		node_done(&node);
		return r;
	}
	*ret = node;
	return 0;
}
