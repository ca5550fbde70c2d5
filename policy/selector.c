/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Selectors: conjunctions of terms over labels, or one identity by name.
 *
 * The invariant that everything rests on: what is missing never matches. A selector without terms selects nobody, and
 * `!=` and `notin` select only identities that carry the key.
 */
#include "policy/selector.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/node.h"

struct cursor {
	const char *at;
	struct err *err;
};

static void skip_spaces(struct cursor *cursor)
{
	while (*cursor->at == ' ')
		cursor->at++;
}

/* Reads a run of label characters; an empty or over-long word yields "". */
static void read_word(struct cursor *cursor, char *word, size_t size)
{
	size_t n = 0;

	skip_spaces(cursor);
	while (isalnum((unsigned char)cursor->at[n]) ||
	       (cursor->at[n] && strchr("._/-", cursor->at[n])))
		n++;
	(void)snprintf(word, size, "%.*s", n < size ? (int)n : 0, cursor->at);
	cursor->at += n;
	skip_spaces(cursor);
}

static bool take(struct cursor *cursor, const char *token)
{
	size_t length = strlen(token);

	if (strncmp(cursor->at, token, length) != 0)
		return false;
	cursor->at += length;
	return true;
}

static int read_value(struct cursor *cursor, struct policy_term *term)
{
	char value[LABEL_VALUE_MAX];
	char quoted[QUOTED_MAX];
	const char *start = cursor->at;
	void *values;

	read_word(cursor, value, sizeof(value));
	if (!label_value_valid(value))
		return err_set(cursor->err,
			       "no label value at \"%s\": use A-Z a-z 0-9 . _ -, at most 63",
			       quote(start, quoted));
	for (size_t i = 0; i < term->n_values; i++)
		if (strcmp(term->values[i], value) == 0)
			return err_set(cursor->err, "value %s stands twice: remove one", value);
	if (term->n_values == POLICY_VALUES_MAX)
		return err_code(cursor->err, -EFBIG,
				"more than %d values for %s: use another label", POLICY_VALUES_MAX,
				term->key);
	values = reallocarray(term->values, term->n_values + 1, sizeof(*term->values));
	if (!values)
		return err_code(cursor->err, -ENOMEM, "out of memory");
	term->values = values;
	memcpy(term->values[term->n_values++], value, sizeof(value));
	return 0;
}

/* "(a,b)" */
static int read_values(struct cursor *cursor, struct policy_term *term)
{
	skip_spaces(cursor);
	if (!take(cursor, "("))
		return err_set(cursor->err, "%s: values stand in brackets, as in \"%s in (a,b)\"",
			       term->key, term->key);
	do {
		int r = read_value(cursor, term);
		if (r < 0)
			return r;
	} while (take(cursor, ","));
	if (!take(cursor, ")"))
		return err_set(cursor->err, "%s: the list of values lacks its \")\"", term->key);
	skip_spaces(cursor);
	return 0;
}

static int read_term(struct cursor *cursor, struct policy_term *term)
{
	char quoted[QUOTED_MAX];
	const char *start = cursor->at;

	read_word(cursor, term->key, sizeof(term->key));
	if (!label_key_valid(term->key))
		return err_set(cursor->err,
			       "no label key at \"%s\": use a-z 0-9 . _ / -, at most 63",
			       quote(start, quoted));
	if (strncmp(term->key, "sortie/", 7) == 0)
		return err_set(cursor->err, "label key %s: sortie/ is reserved", term->key);
	if (take(cursor, "!="))
		term->operator= POLICY_NOT_EQUAL;
	else if (take(cursor, "="))
		term->operator= POLICY_EQUAL;
	else if (take(cursor, "in "))
		term->operator= POLICY_IN;
	else if (take(cursor, "notin "))
		term->operator= POLICY_NOT_IN;
	else
		return err_set(cursor->err,
			       "\"%s\": expected =, !=, in (...) or notin (...) behind the key",
			       quote(start, quoted));
	if (term->operator== POLICY_IN || term->operator== POLICY_NOT_IN)
		return read_values(cursor, term);
	return read_value(cursor, term);
}

/* Two `=` or `in` terms over one key: one label has one value, so this is a mistake. */
static int check_contradiction(const struct policy_selector *selector, struct err *err)
{
	const struct policy_term *last = &selector->terms[selector->n_terms - 1];

	if (last->operator!= POLICY_EQUAL && last->operator!= POLICY_IN)
		return 0;
	for (size_t i = 0; i + 1 < selector->n_terms; i++)
		if ((selector->terms[i].operator== POLICY_EQUAL || selector->terms[i].operator==
		     POLICY_IN) &&
		    strcmp(selector->terms[i].key, last->key) == 0)
			return err_set(
				err,
				"%s is compared twice: one label has one value, use \"%s in (a,b)\"",
				last->key, last->key);
	return 0;
}

static int read_terms(struct policy_selector *selector, const char *text, struct err *err)
{
	struct cursor cursor = {.at = text, .err = err};
	char quoted[QUOTED_MAX];

	selector->terms = calloc(POLICY_TERMS_MAX, sizeof(*selector->terms));
	if (!selector->terms)
		return err_code(err, -ENOMEM, "out of memory");
	do {
		int r;
		if (selector->n_terms == POLICY_TERMS_MAX)
			return err_code(err, -EFBIG, "more than %d terms: split the rule",
					POLICY_TERMS_MAX);
		r = read_term(&cursor, &selector->terms[selector->n_terms++]);
		if (r == 0)
			r = check_contradiction(selector, err);
		if (r < 0)
			return r;
	} while (take(&cursor, ","));
	if (*cursor.at)
		return err_set(err, "\"%s\": expected a comma or the end",
			       quote(cursor.at, quoted));
	return 0;
}

static int read_selector(struct policy_selector *selector, const char *text, struct err *err)
{
	char quoted[QUOTED_MAX];

	if (strlen(text) > SELECTOR_TEXT_MAX)
		return err_code(err, -EFBIG, "a selector of more than %d bytes", SELECTOR_TEXT_MAX);
	selector->text = strdup(text);
	if (!selector->text)
		return err_code(err, -ENOMEM, "out of memory");
	if (strpbrk(text, "=!(, "))
		return read_terms(selector, text, err);
	if (!name_valid(text))
		return err_set(
			err,
			"\"%s\": write labels (role=db,env=prod) or an identity (site/workload)",
			quote(text, quoted));
	(void)snprintf(selector->name, sizeof(selector->name), "%s", text);
	return 0;
}

int policy_selector_parse(const char *text, struct policy_selector *ret, struct err *err)
{
	struct policy_selector selector = {0};
	int r = read_selector(&selector, text, err);

	if (r < 0) {
		policy_selector_done(&selector);
		return r;
	}
	*ret = selector;
	return 0;
}

void policy_selector_done(struct policy_selector *selector)
{
	for (size_t i = 0; i < selector->n_terms; i++)
		free(selector->terms[i].values);
	free(selector->terms);
	free(selector->text);
	*selector = (struct policy_selector){0};
}

int selector_copy(const struct policy_selector *selector, const char *text,
		  struct policy_selector *ret)
{
	_cleanup_(freep) char *plain = selector_format(selector);
	char *own = strdup(text);
	struct policy_selector copy;
	int r = plain && own ? policy_selector_parse(plain, &copy, NULL) : -ENOMEM;

	if (r < 0) {
		free(own);
		return r;
	}
	free(copy.text);
	copy.text = own;
	*ret = copy;
	return 0;
}

static bool has_value(const struct policy_term *term, const char *value)
{
	for (size_t i = 0; i < term->n_values; i++)
		if (strcmp(term->values[i], value) == 0)
			return true;
	return false;
}

bool term_matches(const struct policy_term *term, const struct policy_member *member)
{
	const char *value = labels_get(&member->labels, term->key);

	if (!value)
		return false;
	switch (term->operator) {
	case POLICY_EQUAL:
	case POLICY_IN:
		return has_value(term, value);
	case POLICY_NOT_EQUAL:
	case POLICY_NOT_IN:
		return !has_value(term, value);
	}
	return false;
}

bool policy_selects(const struct policy_selector *selector, const struct policy_member *member)
{
	if (selector->any)
		return true;
	if (*selector->name)
		return strcmp(selector->name, member->name) == 0;
	for (size_t i = 0; i < selector->n_terms; i++)
		if (!term_matches(&selector->terms[i], member))
			return false;
	return selector->n_terms > 0;
}

/* snprintf() behind what stands already; text may be NULL where size is 0. Returns the new need. */
static size_t append(char *text, size_t size, size_t used, const char *first, const char *second)
{
	bool room = used < size;

	return used + (size_t)snprintf(room ? text + used : NULL, room ? size - used : 0, "%s%s",
				       first, second);
}

size_t term_format(const struct policy_term *term, char *text, size_t size)
{
	static const char *const operators[] = {"=", "!=", " in (", " notin ("};
	bool list = term->operator== POLICY_IN || term->operator== POLICY_NOT_IN;
	size_t used = append(text, size, 0, term->key, operators[term->operator]);

	for (size_t i = 0; i < term->n_values; i++)
		used = append(text, size, used, i ? "," : "", term->values[i]);
	return list ? append(text, size, used, ")", "") : used;
}

char *selector_format(const struct policy_selector *selector)
{
	size_t size = 1;
	size_t used = 0;
	char *text;

	if (selector->any || *selector->name || selector->n_terms == 0)
		return strdup(selector->any ? SELECTOR_ANY : selector->name);
	for (size_t i = 0; i < selector->n_terms; i++)
		size += term_format(&selector->terms[i], NULL, 0) + 1;
	text = malloc(size);
	for (size_t i = 0; text && i < selector->n_terms; i++) {
		if (i)
			text[used++] = ',';
		used += term_format(&selector->terms[i], text + used, size - used);
	}
	return text;
}
