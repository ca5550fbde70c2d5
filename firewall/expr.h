/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows to rules: libnftnl's expressions, one rule for each family where a row speaks of addresses.
 *
 * Registers are written by the names under which the kernel gives them back, so that a rule that is read has the same
 * text as the one that was written.
 */
#pragma once
#include <libnftnl/rule.h>
#include "firewall/layout.h"

/*
 * Makes the rules of a row in order. A row that names a range which is not there (no IPv4 overlay) makes none; where the
 * range is negated, the match is left out, because then everything is outside of it.
 */
int expr_rules(const struct rule_row *row, const struct fw_desired *desired,
	       int (*on_rule)(struct nftnl_rule *rule, void *data), void *data);
