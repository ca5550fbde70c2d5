/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A rule's expressions as text, the same for the bytes that we send and for those that the kernel gives back.
 *
 * By hand and not by libnftnl's parser, which ends the program where a newer kernel, or somebody else's rule in our table,
 * has attributes that it does not expect. Nothing is interpreted: names, attribute numbers and values are written down.
 */
#pragma once
#include <libmnl/libmnl.h>

/* list: attribute NFTA_RULE_EXPRESSIONS, or NULL. *ret is malloc()ed, one line. -EBADMSG, -ENOMEM. */
int text_of_expressions(const struct nlattr *list, char **ret);
/* Of a whole message about a rule, built or read. */
int text_of_rule(const struct nlmsghdr *message, char **ret);
/* One rule more at the end of a chain's text. -ENOMEM. */
int text_add_rule(char **chain, const char *text);
