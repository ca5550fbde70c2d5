/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file's lines as a table: one row says how a word is read, and guard_format() writes them in the same order. */
#include "firewall/guard.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "firewall/readback.h"

#define FIRST_LINE "sortie guard 1"

static const char *const mode_words[] = {[FW_MODE_ENFORCE] = "enforce",
					 [FW_MODE_OVERLAY] = "overlay",
					 [FW_MODE_OBSERVE] = "observe"};

/* ---- writing ---- */

static void write_prefix(FILE *out, const char *word, const struct prefix *prefix)
{
	char text[PREFIX_TEXT_MAX];

	if (addr_is_set(&prefix->addr))
		(void)fprintf(out, "%s %s\n", word, prefix_format(prefix, text));
}

static void write_entries(FILE *out, const char *word, const struct fw_underlay *entries, size_t n)
{
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "%s %s %u %u %u\n", word, prefix_format(&entries[i].range, text),
			      entries[i].protocol, entries[i].port_low, entries[i].port_high);
}

static void write_names(FILE *out, const char *word, const char (*names)[IFNAMSIZ], size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "%s %s\n", word, names[i]);
}

int guard_format(const struct fw_desired *desired, bool locked, char **ret)
{
	const struct prefix hub6 = prefix_host(&desired->hub6), hub4 = prefix_host(&desired->hub4);
	char endpoint[ENDPOINT_TEXT_MAX];
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return -ENOMEM;
	(void)fprintf(out, FIRST_LINE "\ninterface %s\nmode %s\n", desired->ifname,
		      mode_words[desired->mode]);
	(void)fprintf(out, "locked %d\negress-locked %d\ncontainers %d\n", locked,
		      desired->egress_locked, desired->containers);
	(void)fprintf(out, "api-port %u\nenroll-port %u\napi-uid %" PRIu32 "\n", desired->api_port,
		      desired->enroll_port, desired->api_uid);
	write_prefix(out, "overlay", &desired->overlay6);
	write_prefix(out, "overlay", &desired->overlay4);
	write_prefix(out, "hub-address", &hub6);
	write_prefix(out, "hub-address", &hub4);
	for (size_t i = 0; i < desired->n_hubs; i++)
		(void)fprintf(out, "hub %s\n", endpoint_format(&desired->hubs[i], endpoint));
	write_entries(out, "underlay", desired->underlay, desired->n_underlay);
	write_entries(out, "egress", desired->egress, desired->n_egress);
	write_names(out, "container-interface", desired->container_ifnames,
		    desired->n_container_ifnames);
	write_names(out, "uplink", desired->uplink_ifnames, desired->n_uplink_ifnames);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

/* ---- reading ---- */

static int read_number(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return errno || end == text || *end || text[0] == '-' || *ret > max ? -EINVAL : 0;
}

static int read_flag(const char *text, bool *ret)
{
	unsigned long value;
	int r = read_number(text, 1, &value);

	if (r == 0)
		*ret = value;
	return r;
}

static int read_port(const char *text, uint16_t *ret)
{
	unsigned long value;
	int r = read_number(text, UINT16_MAX, &value);

	if (r == 0)
		*ret = (uint16_t)value;
	return r;
}

static int read_name(const char *text, char ret[IFNAMSIZ])
{
	if (!*text || strlen(text) >= IFNAMSIZ || strpbrk(text, " /"))
		return -EINVAL;
	(void)snprintf(ret, IFNAMSIZ, "%s", text);
	return 0;
}

static int read_interface(struct guard *guard, const char *text)
{
	return read_name(text, guard->desired.ifname);
}

static int read_mode(struct guard *guard, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(mode_words); i++)
		if (strcmp(text, mode_words[i]) == 0) {
			guard->desired.mode = (enum fw_mode)i;
			return 0;
		}
	return -EINVAL;
}

static int read_locked(struct guard *guard, const char *text)
{
	return read_flag(text, &guard->desired.underlay_locked);
}

static int read_egress_locked(struct guard *guard, const char *text)
{
	return read_flag(text, &guard->desired.egress_locked);
}

static int read_containers(struct guard *guard, const char *text)
{
	return read_flag(text, &guard->desired.containers);
}

static int read_api_port(struct guard *guard, const char *text)
{
	return read_port(text, &guard->desired.api_port);
}

static int read_enroll_port(struct guard *guard, const char *text)
{
	return read_port(text, &guard->desired.enroll_port);
}

static int read_api_uid(struct guard *guard, const char *text)
{
	unsigned long value;
	int r = read_number(text, UINT32_MAX, &value);

	if (r == 0)
		guard->desired.api_uid = (uint32_t)value;
	return r;
}

static int read_overlay(struct guard *guard, const char *text)
{
	struct prefix prefix;
	int r = prefix_parse(text, &prefix);

	if (r == 0 && prefix.addr.family == AF_INET6)
		guard->desired.overlay6 = prefix;
	else if (r == 0)
		guard->desired.overlay4 = prefix;
	return r;
}

static int read_hub_address(struct guard *guard, const char *text)
{
	struct prefix prefix;
	int r = prefix_parse(text, &prefix);

	if (r < 0 || prefix.length != addr_bits(&prefix.addr))
		return -EINVAL;
	if (prefix.addr.family == AF_INET6)
		guard->desired.hub6 = prefix.addr;
	else
		guard->desired.hub4 = prefix.addr;
	return 0;
}

static int read_hub(struct guard *guard, const char *text)
{
	struct fw_desired *desired = &guard->desired;
	struct endpoint *hubs;

	if (desired->n_hubs >= GUARD_HUBS_MAX)
		return -EINVAL;
	hubs = reallocarray(guard->hubs, desired->n_hubs + 1, sizeof(*hubs));
	if (!hubs)
		return -ENOMEM;
	desired->hubs = guard->hubs = hubs;
	return endpoint_parse(text, &hubs[desired->n_hubs]) < 0 ? -EINVAL : (desired->n_hubs++, 0);
}

static int read_entry(const char *text, struct fw_underlay *ret)
{
	unsigned int protocol, low, high;
	char range[PREFIX_TEXT_MAX];
	int end = 0;

	if (sscanf(text, "%49s %3u %5u %5u%n", range, &protocol, &low, &high, &end) != 4 ||
	    text[end] || protocol > UINT8_MAX || high > UINT16_MAX || low > high)
		return -EINVAL;
	ret->protocol = (uint8_t)protocol;
	ret->port_low = (uint16_t)low;
	ret->port_high = (uint16_t)high;
	return prefix_parse(range, &ret->range);
}

static int add_entry(struct fw_underlay **list, size_t *n, const char *text)
{
	struct fw_underlay *more;
	int r;

	if (*n >= GUARD_RANGES_MAX)
		return -EINVAL;
	more = reallocarray(*list, *n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	*list = more;
	r = read_entry(text, &more[*n]);
	*n += r == 0;
	return r;
}

static int read_underlay(struct guard *guard, const char *text)
{
	int r = add_entry(&guard->underlay, &guard->desired.n_underlay, text);

	guard->desired.underlay = guard->underlay;
	return r;
}

static int read_egress(struct guard *guard, const char *text)
{
	int r = add_entry(&guard->egress, &guard->desired.n_egress, text);

	guard->desired.egress = guard->egress;
	return r;
}

static int add_name(char (**list)[IFNAMSIZ], size_t *n, const char *text)
{
	char(*more)[IFNAMSIZ];
	int r;

	if (*n >= FIREWALL_IFNAMES_MAX)
		return -EINVAL;
	more = reallocarray(*list, *n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	*list = more;
	r = read_name(text, more[*n]);
	*n += r == 0;
	return r;
}

static int read_container(struct guard *guard, const char *text)
{
	int r = add_name(&guard->container_ifnames, &guard->desired.n_container_ifnames, text);

	guard->desired.container_ifnames = guard->container_ifnames;
	return r;
}

static int read_uplink(struct guard *guard, const char *text)
{
	int r = add_name(&guard->uplink_ifnames, &guard->desired.n_uplink_ifnames, text);

	guard->desired.uplink_ifnames = guard->uplink_ifnames;
	return r;
}

static const struct line_row {
	const char *word;
	bool required;
	int (*read)(struct guard *guard, const char *text);
} line_rows[] = {
	{"interface", true, read_interface},
	{"mode", true, read_mode},
	{"locked", true, read_locked},
	{"egress-locked", true, read_egress_locked},
	{"containers", true, read_containers},
	{"api-port", true, read_api_port},
	{"enroll-port", true, read_enroll_port},
	{"api-uid", true, read_api_uid},
	{"overlay", true, read_overlay},
	{"hub-address", true, read_hub_address},
	{"hub", false, read_hub},
	{"underlay", false, read_underlay},
	{"egress", false, read_egress},
	{"container-interface", false, read_container},
	{"uplink", false, read_uplink},
};

static int read_line(struct guard *guard, char *line, uint32_t *seen)
{
	char *text = strchr(line, ' ');

	if (!text)
		return -EINVAL;
	*text++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(line_rows); i++)
		if (strcmp(line, line_rows[i].word) == 0) {
			*seen |= 1U << i;
			return line_rows[i].read(guard, text);
		}
	return -EINVAL;
}

static int read_lines(struct guard *guard, char *text, struct err *err)
{
	unsigned int number = 1;
	uint32_t seen = 0;
	char *rest = text, *line = strsep(&rest, "\n");
	int r = strcmp(line, FIRST_LINE) == 0 ? 0 : -EINVAL;

	while (r == 0 && (line = strsep(&rest, "\n")) && (*line || rest)) {
		number++;
		r = read_line(guard, line, &seen);
	}
	if (r < 0)
		return r == -ENOMEM ? r : err_set(err, "line %u cannot be read", number);
	for (size_t i = 0; i < ARRAY_SIZE(line_rows); i++)
		if (line_rows[i].required && !(seen & 1U << i))
			return err_set(err, "\"%s\" is missing", line_rows[i].word);
	return 0;
}

int guard_parse(const char *text, struct guard *ret, struct err *err)
{
	_cleanup_(freep) char *copy = strdup(text);
	struct guard guard = {.desired = {.role = FW_ROLE_WORKLOAD}};
	int r = copy ? read_lines(&guard, copy, err) : -ENOMEM;

	if (r < 0) {
		guard_done(&guard);
		return r;
	}
	*ret = guard;
	return 0;
}

void guard_done(struct guard *guard)
{
	free(guard->hubs);
	free(guard->underlay);
	free(guard->egress);
	free(guard->container_ifnames);
	free(guard->uplink_ifnames);
	*guard = (struct guard){0};
}

/* ---- the table ---- */

/* Rules that are there in every mode. Somebody who empties the table leaves the chains. */
static bool holds(const struct state *state)
{
	static const enum chain decisive[] = {
		CHAIN_RAW,     CHAIN_PRE,      CHAIN_FROM_OVERLAY, CHAIN_FORWARD_IN,
		CHAIN_FORWARD, CHAIN_OUTPUT,   CHAIN_TO_OVERLAY,   CHAIN_POST,
		CHAIN_DENY_IN, CHAIN_DENY_OUT, CHAIN_DENY_SPOOF,   CHAIN_DROP_OUT};
	bool whole = state->exists && state->complete;

	for (size_t i = 0; whole && i < ARRAY_SIZE(decisive); i++)
		whole = *state->chains[decisive[i]];
	return whole;
}

int guard_table_stands(struct nl *nl)
{
	struct state state = {0};
	int r = readback_frame(nl, &state);

	/* An older one holds until the agent that comes after an upgrade has replaced it. */
	if (r == 0)
		r = state.older || holds(&state);
	state_done(&state);
	return r == -EEXIST ? 0 : r;
}
