/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink/'s WireGuard functions for test scripts; prints one line a fact, keys as wg(8) shows them.
 *
 *   wg_tool genkey FILE                      private key into FILE (0600), public key to stdout
 *   wg_tool create NAME [auto|kernel|userspace]      prints the backend
 *   wg_tool destroy NAME
 *   wg_tool get NAME
 *   wg_tool set NAME private-key FILE [listen-port N]
 *   wg_tool set NAME peer KEY [endpoint EP] [keepalive N] [allowed PREFIX]...
 *   wg_tool set NAME remove KEY
 *   wg_tool sync NAME peer KEY [...]        exactly this peer, by wg_diff()
 *
 * Exit codes: 0, 1 with "EEXIST" and the like on stderr, 2 usage.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/file.h"
#include "netlink/wg_device.h"

static int number(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: see the head of tests/tools/wg_tool.c\n");
	return 2;
}

static int report(int r, const struct wg *wg)
{
	const char *words = wg ? wg_error(wg) : "";

	if (r >= 0)
		return 0;
	(void)fprintf(stderr, "%s%s%s\n", strerrorname_np(-r), *words ? ": " : "", words);
	return 1;
}

static int genkey(int argc, char **argv)
{
	_cleanup_(key_wipe) struct key private_key;
	struct key public_key;
	char text[KEY_B64_MAX];
	int r;

	if (argc != 1)
		return usage();
	key_generate_curve25519(&private_key);
	(void)key_format_b64(&private_key, text);
	r = file_write(argv[0], text, strlen(text), 0600);
	if (r == 0)
		r = key_public_curve25519(&private_key, &public_key);
	if (r == 0)
		puts(key_format_b64(&public_key, text));
	return report(r, NULL);
}

static int create(int argc, char **argv)
{
	static const char *const names[] = {"auto", "kernel", "userspace"};
	_cleanup_(wg_closep) struct wg *wg = NULL;
	enum wg_backend backend = WG_BACKEND_AUTO;
	int r;

	if (argc == 2)
		for (backend = WG_BACKEND_AUTO; strcmp(names[backend], argv[1]) != 0;)
			if (++backend == ARRAY_SIZE(names))
				return usage();
	if (argc < 1 || argc > 2)
		return usage();
	r = wg_create(argv[0], backend, &wg, &backend);
	if (r == 0)
		puts(names[backend]);
	return report(r, NULL);
}

static int destroy(int argc, char **argv)
{
	return argc == 1 ? report(wg_destroy(argv[0]), NULL) : usage();
}

static void print_peer(const struct wg_peer *peer)
{
	char key[KEY_B64_MAX], text[ENDPOINT_TEXT_MAX];

	printf("peer %s\n", key_format_b64(&peer->public_key, key));
	if (addr_is_set(&peer->endpoint.addr))
		printf("endpoint %s\n", endpoint_format(&peer->endpoint, text));
	printf("keepalive %u\nhandshake %s\nrx %s\n", peer->keepalive,
	       peer->last_handshake_at ? "yes" : "no", peer->rx_bytes ? "yes" : "no");
	for (size_t i = 0; i < peer->n_allowed; i++)
		printf("allowed %s\n", prefix_format(&peer->allowed[i], text));
}

static int get(int argc, char **argv)
{
	_cleanup_(wg_closep) struct wg *wg = NULL;
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;
	char key[KEY_B64_MAX];
	int r;

	if (argc != 1)
		return usage();
	r = wg_open(argv[0], &wg, NULL);
	if (r == 0)
		r = wg_get(wg, &device);
	if (r < 0)
		return report(r, wg);
	printf("name %s\npublic-key %s\nlisten-port %u\n", device->name,
	       key_format_b64(&device->public_key, key), device->listen_port);
	for (size_t i = 0; i < device->n_peers; i++)
		print_peer(&device->peers[i]);
	return 0;
}

static int read_private_key(const char *path, struct key *ret)
{
	char *text;
	size_t length;
	int r = file_read_secret(path, KEY_B64_MAX, &text, &length);

	if (r < 0)
		return r;
	r = key_parse_b64(text, ret);
	secret_free(text, length);
	return r;
}

static int add_allowed(struct wg_peer *peer, const char *text)
{
	struct prefix prefix;
	int r = prefix_parse(text, &prefix);

	return r < 0 ? r : wg_peer_add_allowed(peer, &prefix.addr, prefix.length);
}

static int peer_option(struct wg_peer *peer, const char *name, const char *value)
{
	if (!strcmp(name, "endpoint"))
		return endpoint_parse(value, &peer->endpoint);
	if (!strcmp(name, "allowed"))
		return add_allowed(peer, value);
	if (strcmp(name, "keepalive") != 0)
		return -EINVAL;
	peer->keepalive = (uint16_t)number(value);
	return 0;
}

static int parse_peer(int argc, char **argv, struct wg_device *device)
{
	struct wg_peer *peer;
	struct key key;
	int r = key_parse_b64(argv[1], &key);

	if (r == 0)
		r = wg_device_add_peer(device, &key, &peer);
	for (int i = 2; r == 0 && i + 1 < argc; i += 2)
		r = peer_option(peer, argv[i], argv[i + 1]);
	return r;
}

/* private-key FILE [listen-port N] | peer KEY ... | remove KEY */
static int parse_change(int argc, char **argv, struct wg_device *device, struct wg_change *ret)
{
	*ret = (struct wg_change){.device = device};
	if (!strcmp(argv[0], "private-key")) {
		ret->kind = WG_CHANGE_DEVICE;
		if (argc == 4)
			device->listen_port = (uint16_t)number(argv[3]);
		return read_private_key(argv[1], &device->private_key);
	}
	ret->kind = strcmp(argv[0], "remove") ? WG_CHANGE_PEER_SET : WG_CHANGE_PEER_REMOVE;
	return parse_peer(argc, argv, device);
}

static int set(int argc, char **argv)
{
	_cleanup_(wg_closep) struct wg *wg = NULL;
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	struct wg_change change;
	int r;

	if (!device)
		return report(-ENOMEM, NULL);
	if (argc < 3)
		return usage();
	r = parse_change(argc - 1, argv + 1, device, &change);
	change.peer = device->peers;
	if (r == 0)
		r = wg_open(argv[0], &wg, NULL);
	if (r == 0)
		r = wg_set(wg, &change, 1);
	return report(r, wg);
}

static int sync_peers(struct wg *wg, struct wg_device *desired)
{
	_cleanup_(wg_device_freep) struct wg_device *actual = NULL;
	_cleanup_(freep) struct wg_change *changes = NULL;
	size_t n = 0;
	int r = wg_get(wg, &actual);

	if (r < 0)
		return r;
	desired->private_key = actual->private_key;
	r = wg_diff(desired, actual, true, &changes, &n);
	if (r == 0)
		r = wg_set(wg, changes, n);
	if (r == 0)
		printf("changes %zu\n", n);
	return r;
}

static int sync_one(int argc, char **argv)
{
	_cleanup_(wg_closep) struct wg *wg = NULL;
	_cleanup_(wg_device_freep) struct wg_device *desired = calloc(1, sizeof(*desired));
	int r;

	if (argc < 3 || !desired)
		return usage();
	r = parse_peer(argc - 1, argv + 1, desired);
	if (r == 0)
		r = wg_open(argv[0], &wg, NULL);
	if (r == 0)
		r = sync_peers(wg, desired);
	return report(r, wg);
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"genkey", genkey}, {"create", create}, {"destroy", destroy},
	{"get", get},	    {"set", set},	{"sync", sync_one},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, argv[1]))
			return commands[i].run(argc - 2, argv + 2);
	return usage();
}
