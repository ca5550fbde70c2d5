/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UAPI text: requests from changes, devices from answers, and the exchange of the two over a Unix socket.
 *
 * Traps: keys are hex, a request ends with an empty line, wireguard-go answers errno with either sign, and device
 * lines may not follow a peer's, so a change of the device begins a new request.
 */
#include "netlink/wg_uapi.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include "common/clock.h"
#include "common/file.h"
#include "netlink/wg_device.h"

#define CHANGES_PER_REQUEST 1000 /* wireguard-go sets 100 peers in 9 ms: far below the timeout */
#define LINE_MAX_LENGTH	    256

struct parser {
	struct wg_device *device;
	struct wg_peer *peer; /* the last public_key line's */
	int error;	      /* of the errno= line */
	bool ended;	      /* errno= was seen */
};

/* Decimal digits only. */
static int parse_decimal(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return -EBADMSG;
	for (; *text; text++) {
		unsigned int digit = (unsigned int)(*text - '0');

		if (digit > 9 || value > (max - digit) / 10)
			return -EBADMSG;
		value = value * 10 + digit;
	}
	*ret = value;
	return 0;
}

static int on_private_key(struct parser *parser, const char *value)
{
	return key_parse_hex(value, &parser->device->private_key);
}

static int on_listen_port(struct parser *parser, const char *value)
{
	uint64_t port;
	int r = parse_decimal(value, UINT16_MAX, &port);

	if (r == 0)
		parser->device->listen_port = (uint16_t)port;
	return r;
}

static int on_public_key(struct parser *parser, const char *value)
{
	struct key key;
	int r = key_parse_hex(value, &key);

	return r < 0 ? r : wg_device_add_peer(parser->device, &key, &parser->peer);
}

/* A link-local endpoint comes with its zone, which struct endpoint does not keep. */
static int on_endpoint(struct parser *parser, const char *value)
{
	char text[LINE_MAX_LENGTH];
	char *zone, *end;
	struct sockaddr_storage storage;
	socklen_t length;
	int r;

	(void)snprintf(text, sizeof(text), "%s", value);
	zone = strchr(text, '%');
	end = zone ? strchr(zone, ']') : NULL;
	if (end)
		memmove(zone, end, strlen(end) + 1);
	r = endpoint_parse(text, &parser->peer->endpoint);
	if (r < 0)
		return r;
	/* there and back: a mapped IPv4 address becomes IPv4 as from the kernel */
	length = endpoint_to_sockaddr(&parser->peer->endpoint, &storage);
	return endpoint_from_sockaddr((struct sockaddr *)&storage, length, &parser->peer->endpoint);
}

static int on_keepalive(struct parser *parser, const char *value)
{
	uint64_t seconds;
	int r = parse_decimal(value, UINT16_MAX, &seconds);

	if (r == 0)
		parser->peer->keepalive = (uint16_t)seconds;
	return r;
}

static int on_allowed_ip(struct parser *parser, const char *value)
{
	struct prefix prefix;
	int r = prefix_parse(value, &prefix);

	return r < 0 ? r : wg_peer_add_allowed(parser->peer, &prefix.addr, prefix.length);
}

static int on_handshake(struct parser *parser, const char *value)
{
	uint64_t seconds;
	int r = parse_decimal(value, INT64_MAX, &seconds);

	if (r == 0)
		parser->peer->last_handshake_at = (int64_t)seconds;
	return r;
}

static int on_rx_bytes(struct parser *parser, const char *value)
{
	return parse_decimal(value, UINT64_MAX, &parser->peer->rx_bytes);
}

static int on_tx_bytes(struct parser *parser, const char *value)
{
	return parse_decimal(value, UINT64_MAX, &parser->peer->tx_bytes);
}

static int on_errno(struct parser *parser, const char *value)
{
	uint64_t code;
	int r = parse_decimal(value + (*value == '-'), 4095, &code);

	if (r == 0) {
		parser->error = -(int)code;
		parser->ended = true;
	}
	return r;
}

enum { NEEDS_NOTHING, NEEDS_DEVICE, NEEDS_PEER };

static const struct {
	const char *key;
	int needs;
	int (*on_value)(struct parser *parser, const char *value);
} lines[] = {
	{"private_key", NEEDS_DEVICE, on_private_key},
	{"listen_port", NEEDS_DEVICE, on_listen_port},
	{"public_key", NEEDS_DEVICE, on_public_key},
	{"endpoint", NEEDS_PEER, on_endpoint},
	{"persistent_keepalive_interval", NEEDS_PEER, on_keepalive},
	{"allowed_ip", NEEDS_PEER, on_allowed_ip},
	{"last_handshake_time_sec", NEEDS_PEER, on_handshake},
	{"rx_bytes", NEEDS_PEER, on_rx_bytes},
	{"tx_bytes", NEEDS_PEER, on_tx_bytes},
	{"errno", NEEDS_NOTHING, on_errno},
};

/* Lines that we do not know belong to a newer version and are passed over. */
static int parse_line(struct parser *parser, char *line)
{
	char *value = strchr(line, '=');
	int r;

	if (!value || parser->ended)
		return -EBADMSG;
	*value++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		if (strcmp(lines[i].key, line) != 0)
			continue;
		if ((lines[i].needs == NEEDS_DEVICE && !parser->device) ||
		    (lines[i].needs == NEEDS_PEER && !parser->peer))
			return -EBADMSG;
		r = lines[i].on_value(parser, value);
		return r == -EINVAL ? -EBADMSG : r;
	}
	return 0;
}

/* Everything up to the empty line; line is room for one, wiped by the caller. */
static int parse_lines(struct parser *parser, const char *text, size_t length,
		       char line[LINE_MAX_LENGTH])
{
	while (length) {
		const char *end = memchr(text, '\n', length);
		size_t n = end ? (size_t)(end - text) : length;
		int r;

		if (!end || n >= LINE_MAX_LENGTH || memchr(text, '\0', n))
			return -EBADMSG;
		if (n == 0)
			return length == 1 ? 0 : -EBADMSG;
		memcpy(line, text, n);
		line[n] = '\0';
		r = parse_line(parser, line);
		if (r < 0)
			return r;
		text += n + 1;
		length -= n + 1;
	}
	return -EBADMSG;
}

int wg_uapi_parse(const char *text, size_t length, struct wg_device *device)
{
	struct parser parser = {.device = device};
	char line[LINE_MAX_LENGTH];
	int r = parse_lines(&parser, text, length, line);

	explicit_bzero(line, sizeof(line));
	if (r < 0)
		return r;
	if (!parser.ended)
		return -EBADMSG;
	if (parser.error < 0)
		return parser.error;
	if (!device)
		return 0;
	/* the text has no public key of the device */
	if (!key_is_zero(&device->private_key) &&
	    key_public_curve25519(&device->private_key, &device->public_key) < 0)
		return -EBADMSG;
	return wg_device_finish(device);
}

/* A growing text that holds a private key: old copies are wiped. */
struct text {
	char *bytes;
	size_t length, size;
};

static int text_add(struct text *text, const char *key, const char *value)
{
	size_t more = strlen(key) + strlen(value) + 3;
	size_t size = text->size ? text->size : 4096;
	char *bigger;

	while (size < text->length + more)
		size *= 2;
	if (size > text->size) {
		bigger = calloc(1, size);
		if (!bigger)
			return -ENOMEM;
		if (text->length)
			memcpy(bigger, text->bytes, text->length);
		secret_free(text->bytes, text->size);
		text->bytes = bigger;
		text->size = size;
	}
	text->length += (size_t)snprintf(text->bytes + text->length, more, "%s=%s\n", key, value);
	return 0;
}

static int text_add_number(struct text *text, const char *key, unsigned int number)
{
	char value[16];

	(void)snprintf(value, sizeof(value), "%u", number);
	return text_add(text, key, value);
}

static int text_add_key(struct text *text, const char *name, const struct key *key)
{
	char hex[KEY_HEX_MAX];
	int r = text_add(text, name, key_format_hex(key, hex));

	explicit_bzero(hex, sizeof(hex));
	return r;
}

static int format_device(struct text *text, const struct wg_device *device)
{
	int r = text_add_key(text, "private_key", &device->private_key);

	if (r == 0 && device->listen_port)
		r = text_add_number(text, "listen_port", device->listen_port);
	return r;
}

static int format_peer_set(struct text *text, const struct wg_peer *peer)
{
	char value[PREFIX_TEXT_MAX > ENDPOINT_TEXT_MAX ? PREFIX_TEXT_MAX : ENDPOINT_TEXT_MAX];
	int r = text_add_key(text, "public_key", &peer->public_key);

	if (r == 0 && addr_is_set(&peer->endpoint.addr))
		r = text_add(text, "endpoint", endpoint_format(&peer->endpoint, value));
	if (r == 0)
		r = text_add_number(text, "persistent_keepalive_interval", peer->keepalive);
	if (r == 0)
		r = text_add(text, "replace_allowed_ips", "true");
	for (size_t i = 0; r == 0 && i < peer->n_allowed; i++)
		r = text_add(text, "allowed_ip", prefix_format(&peer->allowed[i], value));
	return r;
}

static int format_change(struct text *text, const struct wg_change *change)
{
	int r;

	switch (change->kind) {
	case WG_CHANGE_DEVICE:
		return format_device(text, change->device);
	case WG_CHANGE_PEER_SET:
		return format_peer_set(text, change->peer);
	case WG_CHANGE_PEER_REMOVE:
		r = text_add_key(text, "public_key", &change->peer->public_key);
		return r < 0 ? r : text_add(text, "remove", "true");
	}
	return -EINVAL;
}

int wg_uapi_format(const struct wg_change *changes, size_t n, size_t *at, char **ret,
		   size_t *ret_length)
{
	struct text text = {0};
	size_t begin = *at, i = begin;
	int r = text_add(&text, "set", "1");

	for (; r == 0 && i < n && i - begin < CHANGES_PER_REQUEST; i++) {
		if (i > begin && changes[i].kind == WG_CHANGE_DEVICE)
			break;
		r = format_change(&text, &changes[i]);
	}
	if (r < 0) {
		secret_free(text.bytes, text.size);
		return r;
	}
	text.bytes[text.length++] = '\n'; /* takes the place of the NUL behind the last line */
	*at = i;
	*ret = text.bytes;
	*ret_length = text.length;
	return 0;
}

static int connect_socket(const char *ifname, int *ret)
{
	const struct timeval timeout = {.tv_sec = WG_UAPI_TIMEOUT_MS / 1000};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), WG_UAPI_FOLDER "/%s.sock",
		       ifname);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == ENOENT || errno == ECONNREFUSED ? -ENODEV : -errno;
	*ret = take_fd(&fd);
	return 0;
}

bool wg_uapi_answers(const char *ifname)
{
	_cleanup_(closep) int fd = -1;

	return connect_socket(ifname, &fd) == 0;
}

static int send_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = send(fd, text, length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

static int more_room(struct text *text)
{
	size_t size = text->size ? 2 * text->size : 16384;
	char *bigger;

	if (text->length < text->size)
		return 0;
	if (size > WG_UAPI_ANSWER_MAX)
		return -EMSGSIZE;
	bigger = malloc(size);
	if (!bigger)
		return -ENOMEM;
	if (text->length)
		memcpy(bigger, text->bytes, text->length);
	secret_free(text->bytes, text->size);
	text->bytes = bigger;
	text->size = size;
	return 0;
}

/* wireguard-go leaves the connection open: the empty line is the end. */
static bool complete(const struct text *text)
{
	return text->length >= 2 && !memcmp(text->bytes + text->length - 2, "\n\n", 2);
}

static int receive_answer(int fd, struct text *answer)
{
	struct mono start = clock_mono();

	while (!complete(answer)) {
		ssize_t n;
		int r = more_room(answer);

		if (r < 0)
			return r;
		if (mono_diff_ms(clock_mono(), start) > WG_UAPI_TIMEOUT_MS)
			return -ETIMEDOUT;
		n = recv(fd, answer->bytes + answer->length, answer->size - answer->length, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EBADMSG : errno == EAGAIN ? -ETIMEDOUT : -errno;
		answer->length += (size_t)n;
	}
	return 0;
}

static int exchange(const char *ifname, const char *request, size_t length,
		    struct wg_device *device)
{
	_cleanup_(closep) int fd = -1;
	struct text answer = {0};
	int r = connect_socket(ifname, &fd);

	if (r == 0)
		r = send_all(fd, request, length);
	if (r == 0)
		r = receive_answer(fd, &answer);
	if (r == 0)
		r = wg_uapi_parse(answer.bytes, answer.length, device);
	secret_free(answer.bytes, answer.size);
	return r;
}

int wg_uapi_get(const char *ifname, struct wg_device **ret)
{
	static const char request[] = "get=1\n\n";
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	int r;

	if (!device)
		return -ENOMEM;
	(void)snprintf(device->name, sizeof(device->name), "%s", ifname);
	r = exchange(ifname, request, sizeof(request) - 1, device);
	if (r == 0)
		*ret = take_pointer(device);
	return r;
}

int wg_uapi_set(const char *ifname, const struct wg_change *changes, size_t n)
{
	size_t at = 0;
	int r = 0;

	while (at < n && r == 0) {
		char *request;
		size_t length;

		r = wg_uapi_format(changes, n, &at, &request, &length);
		if (r < 0)
			return r;
		r = exchange(ifname, request, length, NULL);
		secret_free(request, length);
	}
	return r;
}
