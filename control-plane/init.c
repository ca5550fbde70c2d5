/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a network. Whatever fails removes what was made, and the folder that the user named is never half there. */
#include "control-plane/init.h"
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "api/message.h"
#include "common/clock.h"
#include "common/file.h"
#include "control-plane/signer.h"
#include "control-plane/state_path.h"
#include "control-plane/store.h"
#include "control-plane/store_policy.h"
#include "control-plane/trust_load.h"
#include "netlink/link.h"
#include "trust/statement.h"

struct keys {
	struct signing_key root, policy, control;
	struct key hub;
};

static void keys_wipe(struct keys *keys)
{
	signing_key_wipe(&keys->root);
	signing_key_wipe(&keys->policy);
	signing_key_wipe(&keys->control);
	key_wipe(&keys->hub);
}

/* ---- what was asked for ---- */

static bool host_valid(const char *host, size_t length)
{
	char text[TOKEN_HOST_MAX];
	struct addr addr;

	if (length == 0 || length >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)length, host);
	if (text[0] == '[') {
		if (text[length - 1] != ']')
			return false;
		text[length - 1] = '\0';
		return addr_parse(text + 1, &addr) == 0 && addr.family == AF_INET6;
	}
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") ==
		       length &&
	       text[0] != '-' && text[0] != '.';
}

int init_endpoint_port(const char *endpoint, uint16_t *ret_port)
{
	const char *colon = strrchr(endpoint, ':');
	unsigned long port;
	char *end;

	if (!colon || colon[1] < '1' || colon[1] > '9' || strlen(endpoint) >= TOKEN_HOST_MAX)
		return -EINVAL;
	port = strtoul(colon + 1, &end, 10);
	if (*end || port > UINT16_MAX || !host_valid(endpoint, (size_t)(colon - endpoint)))
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

static size_t endpoint_add(char list[TOKEN_ENDPOINTS_MAX][TOKEN_HOST_MAX], size_t n,
			   const char *host, int host_length, unsigned int port)
{
	char text[TOKEN_HOST_MAX];

	if (n == TOKEN_ENDPOINTS_MAX || (size_t)snprintf(text, sizeof(text), "%.*s:%u", host_length,
							 host, port) >= sizeof(text))
		return n;
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return n;
	memcpy(list[n], text, sizeof(text));
	return n + 1;
}

size_t init_endpoints(const char *const *given, size_t n, uint16_t alt_port,
		      char ret[TOKEN_ENDPOINTS_MAX][TOKEN_HOST_MAX])
{
	size_t found = 0;

	for (unsigned int round = 0; round < (alt_port ? 2 : 1); round++) {
		for (size_t i = 0; i < n; i++) {
			uint16_t port;

			if (init_endpoint_port(given[i], &port) < 0)
				continue;
			found = endpoint_add(ret, found, given[i],
					     (int)(strrchr(given[i], ':') - given[i]),
					     round == 0 ? port : alt_port);
		}
	}
	return found;
}

int init_check(const struct init_options *options, struct err *err)
{
	uint16_t port;

	if (!name_part_valid(options->network, strlen(options->network)))
		return err_set(
			err,
			"the network's name is not valid: use a-z, 0-9 and -, at most 63 characters");
	if (options->n_endpoints == 0)
		return err_set(err, "say with --endpoint HOST:PORT where agents reach the hub");
	for (size_t i = 0; i < options->n_endpoints; i++)
		if (init_endpoint_port(options->endpoints[i], &port) < 0)
			return err_set(
				err, "endpoint \"%.100s\" is not HOST:PORT (IPv6: [ADDRESS]:PORT)",
				options->endpoints[i]);
	if (options->mtu < INIT_MTU || options->mtu > INIT_MTU_MAX)
		return err_set(err, "the MTU must be %d to %d (IPv6 needs 1280)", INIT_MTU,
			       INIT_MTU_MAX);
	if (options->ipv4 == INIT_IPV4_GIVEN &&
	    (options->overlay4.addr.family != AF_INET || options->overlay4.length < 8 ||
	     options->overlay4.length > 28))
		return err_set(err, "--ipv4 takes an IPv4 range of /8 to /28, or none");
	return 0;
}

/* ---- address ranges ---- */

static struct prefix slash16(uint8_t second)
{
	struct prefix prefix = {.length = 16};

	prefix.addr = addr_from_bytes(AF_INET, (uint8_t[4]){10, second, 0, 0});
	return prefix;
}

static const struct link_route *find_overlap(const struct link_route *routes, size_t n,
					     const struct prefix *range)
{
	for (size_t i = 0; i < n; i++)
		if (routes[i].destination.length > 0 &&
		    prefix_overlaps(&routes[i].destination, range))
			return &routes[i];
	return NULL;
}

int init_choose_ipv4(const struct link_route *routes, size_t n, uint8_t start, struct prefix *ret)
{
	for (unsigned int i = 0; i < 256; i++) {
		struct prefix range = slash16((uint8_t)(start + i));

		if (find_overlap(routes, n, &range))
			continue;
		*ret = range;
		return 0;
	}
	return -ENOSPC;
}

static int check_given(const struct prefix *range, const struct link_route *routes, size_t n,
		       struct err *err)
{
	const struct prefix shared = {addr_from_bytes(AF_INET, (uint8_t[4]){100, 64, 0, 0}), 10};
	const struct link_route *route;
	char text[PREFIX_TEXT_MAX], other[PREFIX_TEXT_MAX];

	/* Tailscale's rules drop it where they stand, and carriers hand it out: an agent there could not use it. */
	if (prefix_overlaps(range, &shared))
		return err_set(err,
			       "%s overlaps 100.64.0.0/10, which carriers and Tailscale use: "
			       "choose another range or none",
			       prefix_format(range, text));
	route = find_overlap(routes, n, range);
	if (!route)
		return 0;
	return err_code(err, -EADDRINUSE,
			"%s overlaps this host's route %s: choose another range or none",
			prefix_format(range, text), prefix_format(&route->destination, other));
}

static int choose_ranges(const struct init_options *options, struct root_statement *root,
			 struct err *err)
{
	_cleanup_(link_closep) struct link_handle *link = NULL;
	_cleanup_(freep) struct link_route *routes = NULL;
	uint8_t ula[16] = {0xfd};
	size_t n = 0;
	int r = link_open(&link);

	randombytes_buf(ula + 1, 5);
	root->overlay6 = (struct prefix){.addr = addr_from_bytes(AF_INET6, ula), .length = 48};
	if (r == 0)
		r = link_routes(link, &routes, &n);
	if (r < 0)
		return err_code(err, r, "cannot read this host's routes: %s", strerror(-r));
	switch (options->ipv4) {
	case INIT_IPV4_NONE:
		return 0;
	case INIT_IPV4_GIVEN:
		root->overlay4 = options->overlay4;
		return check_given(&root->overlay4, routes, n, err);
	case INIT_IPV4_CHOOSE:
		r = init_choose_ipv4(routes, n, (uint8_t)randombytes_uniform(256), &root->overlay4);
		if (r < 0)
			return err_code(
				err, r,
				"no /16 of 10.0.0.0/8 is free on this host: choose one with --ipv4, or none");
		return 0;
	}
	return -EINVAL;
}

/* ---- making it ---- */

static int make_keys(const char *dir, struct keys *keys)
{
	char path[PATH_MAX], text[KEY_B64_MAX + 1];
	const struct {
		const char *name;
		struct signing_key *key;
	} signing[] = {
		{INIT_ROOT_KEY_FILE, &keys->root},
		{INIT_POLICY_KEY_FILE, &keys->policy},
		{SIGNER_KEY_FILE, &keys->control},
	};
	int r = state_path(dir, "keys", path);

	if (r == 0)
		r = folder_make(path, 0700);
	for (size_t i = 0; i < ARRAY_SIZE(signing) && r == 0; i++) {
		signing_key_generate(signing[i].key);
		r = state_path(dir, signing[i].name, path);
		if (r == 0)
			r = signing_key_save(path, signing[i].key);
	}
	if (r < 0)
		return r;
	key_generate_curve25519(&keys->hub);
	key_format_b64(&keys->hub, text);
	strcat(text, "\n");
	r = state_path(dir, INIT_HUB_KEY_FILE, path);
	if (r == 0)
		r = file_write(path, text, strlen(text), 0600);
	sodium_memzero(text, sizeof(text));
	return r;
}

static int make_root(const struct init_options *options, const struct keys *keys,
		     struct root_statement *root, char **ret_envelope, struct err *err)
{
	const struct signing_key *signers[] = {&keys->root};
	_cleanup_(freep) char *payload = NULL;
	int r = choose_ranges(options, root, err);

	if (r < 0)
		return r;
	randombytes_buf(root->network.bytes, sizeof(root->network.bytes));
	snprintf(root->name, sizeof(root->name), "%s", options->network);
	root->version = 1;
	root->mtu = options->mtu;
	root->policy_keys[0] = keys->policy.public_key;
	root->n_policy_keys = 1;
	root->threshold = 1;
	root->control_key = keys->control.public_key;
	r = key_public_curve25519(&keys->hub, &root->hub_key);
	if (r < 0)
		return r;
	root->n_endpoints = init_endpoints(options->endpoints, options->n_endpoints,
					   options->alt_port, root->endpoints);
	root->api_port = API_PORT_DEFAULT;
	root->enroll_port = ENROLL_PORT_DEFAULT;
	payload = root_encode(root);
	if (!payload)
		return -ENOMEM;
	return envelope_sign(TYPE_ROOT, payload, strlen(payload), signers, 1, ret_envelope);
}

static int fill_store(struct store *store, const struct keys *keys,
		      const struct root_statement *root, const char *envelope, struct err *err)
{
	_cleanup_(trust_freep) struct trust *trust = NULL;
	const struct id fingerprint = id_of_public_key(keys->root.public_key.bytes);
	const struct policy_row none = {0};
	char network[NETWORK_ID_HEX_MAX], hex[ID_HEX_MAX];
	int r = store_meta_set(store, "network", network_id_format(&root->network, network));

	if (r == 0)
		r = store_meta_set(store, "root-fingerprint", id_format(&fingerprint, hex));
	if (r == 0)
		r = store_meta_set(store, "root", envelope);
	/* what was made must pass the check that every agent will make */
	return r < 0 ? r : trust_load(store, envelope, &none, clock_wall(), &trust, err);
}

static int make_store(const char *dir, const struct keys *keys, const struct root_statement *root,
		      const char *envelope, struct err *err)
{
	_cleanup_(store_closep) struct store *store = NULL;
	char path[PATH_MAX];
	int r = state_path(dir, STORE_FILE, path);

	if (r == 0)
		r = store_create(path, err);
	if (r == 0)
		r = store_open(path, &store, err);
	return r < 0 ? r : fill_store(store, keys, root, envelope, err);
}

static int fill_folder(const struct init_options *options, const char *dir, struct err *err)
{
	_cleanup_(keys_wipe) struct keys keys = {0};
	_cleanup_(freep) char *envelope = NULL;
	struct root_statement root = {0};
	char path[PATH_MAX], network[NETWORK_ID_HEX_MAX + 1];
	int r = make_keys(dir, &keys);

	if (r == 0)
		r = make_root(options, &keys, &root, &envelope, err);
	if (r < 0)
		return r;
	network_id_format(&root.network, network);
	strcat(network, "\n");
	r = state_path(dir, SIGNER_NETWORK_FILE, path);
	if (r == 0)
		r = file_write(path, network, strlen(network), 0600);
	return r < 0 ? r : make_store(dir, &keys, &root, envelope, err);
}

/* ---- all or nothing ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	return remove(path);
}

static bool is_empty(const char *dir)
{
	DIR *stream = opendir(dir);
	const struct dirent *entry;
	bool empty = true;

	if (!stream)
		return errno == ENOENT;
	while ((entry = readdir(stream)))
		empty = empty &&
			(strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	closedir(stream);
	return empty;
}

static int sync_parent(const char *dir)
{
	char path[PATH_MAX];
	_cleanup_(closep) int fd = -1;

	snprintf(path, sizeof(path), "%s/..", dir);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* rename() onto an empty folder replaces it, onto a full one fails: what stands is never overwritten. */
static int put_in_place(const char *made, const char *dir)
{
	if (rename(made, dir) < 0)
		return errno == ENOTEMPTY ? -EEXIST : -errno;
	return sync_parent(dir);
}

int init_network(const struct init_options *options, struct err *err)
{
	const char *dir = options->state_dir;
	char made[PATH_MAX];
	int r = init_check(options, err);

	if (r < 0)
		return r;
	if (!is_empty(dir))
		return err_code(err, -EEXIST,
				"%.150s is there and not empty: a network is never overwritten",
				dir);
	if ((size_t)snprintf(made, sizeof(made), "%s.new-XXXXXX", dir) >= sizeof(made))
		return -ENAMETOOLONG;
	if (!mkdtemp(made))
		return err_code(err, -errno, "cannot make a folder beside %.150s: %s", dir,
				strerror(errno));
	r = fill_folder(options, made, err);
	if (r == 0)
		r = put_in_place(made, dir);
	if (r < 0)
		nftw(made, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	if (r == -EBUSY)
		return err_code(err, r, "%.150s is a mount point: name a folder inside it", dir);
	if (r < 0 && !err->text[0])
		err_code(err, r, "cannot make the network in %.150s: %s", dir, strerror(-r));
	return r;
}
