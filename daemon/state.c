/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of the state folder. Everything is 0600 in a 0700 folder. Damage is reported, never repaired here: the caller
 * decides whether it can do without (a cache) or not (a key, a floor).
 */
#include "daemon/state.h"
#include "common/file.h"
#include "firewall/guard.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SMALL	 4096
#define MEBIBYTE (1024 * 1024)

static const struct row {
	const char *name;
	size_t limit;
	bool secret;
} rows[STATE_FILES] = {
	[STATE_K3] = {"identity.key", SMALL, true},
	[STATE_K4] = {"wireguard.key", SMALL, true},
	[STATE_TOKEN] = {"join.token", SMALL, true},
	[STATE_PINS] = {"network.pins", SMALL, false},
	[STATE_REQUEST] = {"enroll-request.json", 64 * 1024, false},
	[STATE_ANSWER] = {"enroll-answer.json", 256 * 1024, false},
	[STATE_IPV4] = {"ipv4.json", 16 * 1024, false},
	[STATE_SYNC] = {"sync.json", 16 * MEBIBYTE, false},
	[STATE_TOMBSTONES] = {"tombstones.jsonl", 64 * MEBIBYTE, false},
	[STATE_SEEN] = {"seen.txt", 16 * MEBIBYTE, false},
	[STATE_FLOOR] = {"floor.txt", SMALL, false},
	[STATE_LOCAL] = {"local.txt", SMALL, false},
	[STATE_LOOSE] = {"tcp-loose", SMALL, false},
	[STATE_GUARD] = {GUARD_FILE, GUARD_FILE_MAX, false},
	[STATE_HUB] = {"hub-endpoint", SMALL, false},
	[STATE_INTERFACE] = {"interface", SMALL, false},
	[STATE_DOWN] = {"down", SMALL, false},
};

struct state {
	char path[PATH_MAX - 64];
	int lock_fd;
};

static const char *path_of(const struct state *state, enum state_file file, char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%s/%s", state->path, rows[file].name);
	return path;
}

int state_open(const char *path, struct state **ret, struct err *err)
{
	_cleanup_(freep) struct state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return -ENOMEM;
	if ((size_t)snprintf(state->path, sizeof(state->path), "%s", path) >= sizeof(state->path))
		return err_code(err, -ENAMETOOLONG, "state folder: the path is too long");
	r = folder_make(path, 0700);
	if (r == -EPERM)
		return err_code(err, r,
				"state folder %s must belong to this user and be closed to others "
				"(chmod 700)",
				path);
	if (r < 0)
		return err_code(err, r, "state folder %s: %s", path, strerror(-r));
	r = folder_lock(path, &state->lock_fd);
	if (r == -EWOULDBLOCK)
		return err_code(
			err, r,
			"state folder %s is in use by another sortied: stop it, or give this "
			"one its own --state",
			path);
	if (r < 0)
		return err_code(err, r, "lock of state folder %s: %s", path, strerror(-r));
	*ret = take_pointer(state);
	return 0;
}

void state_close(struct state *state)
{
	if (!state)
		return;
	close(state->lock_fd);
	free(state);
}

bool state_has(const struct state *state, enum state_file file)
{
	char path[PATH_MAX];

	return access(path_of(state, file, path), F_OK) == 0;
}

int state_load(const struct state *state, enum state_file file, char **ret, size_t *ret_length,
	       struct err *err)
{
	char path[PATH_MAX];
	int r = (rows[file].secret ? file_read_secret : file_read)(
		path_of(state, file, path), rows[file].limit, ret, ret_length);

	if (r == -EPERM)
		return err_code(err, r, "%s: others can read it: chmod 600", path);
	if (r < 0)
		return err_code(err, r, "%s: %s", path, strerror(-r));
	return 0;
}

int state_save(const struct state *state, enum state_file file, const void *data, size_t length,
	       struct err *err)
{
	char path[PATH_MAX];
	int r = length > rows[file].limit
			? -EFBIG
			: file_write(path_of(state, file, path), data, length, 0600);

	if (r == -ENOSPC || r == -EDQUOT)
		return err_code(err, r, "%s: the disk is full; nothing was changed: make room",
				rows[file].name);
	if (r < 0)
		return err_code(err, r, "write %s in the state folder: %s", rows[file].name,
				strerror(-r));
	return 0;
}

int state_remove(const struct state *state, enum state_file file, struct err *err)
{
	char path[PATH_MAX];

	if (unlink(path_of(state, file, path)) < 0 && errno != ENOENT)
		return err_code(err, -errno, "remove %s: %s", path, strerror(errno));
	return 0;
}

int state_clear(const struct state *state, struct err *err)
{
	int result = 0;

	/* The join token goes first: without it a crash half-way cannot start the enrolment anew. */
	int r = state_remove(state, STATE_TOKEN, err);
	for (int file = 0; file < STATE_FILES; file++) {
		if (r < 0)
			result = r;
		r = state_remove(state, (enum state_file)file, err);
	}
	return r < 0 ? r : result;
}

int state_load_k3(const struct state *state, struct signing_key *ret, struct err *err)
{
	char path[PATH_MAX];

	return signing_key_load(path_of(state, STATE_K3, path), ret, err);
}

int state_save_k3(const struct state *state, const struct signing_key *k3, struct err *err)
{
	char path[PATH_MAX];
	int r = signing_key_save(path_of(state, STATE_K3, path), k3);

	if (r < 0)
		return err_code(err, r, "write %s: %s", path, strerror(-r));
	return 0;
}

int state_load_k4(const struct state *state, struct key *ret, struct err *err)
{
	char *text = NULL;
	size_t length = 0;
	int r = state_load(state, STATE_K4, &text, &length, err);

	if (r < 0)
		return r;
	if (length != KEY_B64_MAX || text[KEY_B64_MAX - 1] != '\n')
		r = -EINVAL;
	else
		text[KEY_B64_MAX - 1] = '\0';
	if (r == 0)
		r = key_parse_b64(text, ret);
	secret_free(text, length);
	if (r < 0)
		return err_code(err, r, "%s in the state folder is damaged", rows[STATE_K4].name);
	return 0;
}

int state_save_k4(const struct state *state, const struct key *k4, struct err *err)
{
	char text[KEY_B64_MAX + 1];
	int r;

	key_format_b64(k4, text);
	text[KEY_B64_MAX - 1] = '\n';
	r = state_save(state, STATE_K4, text, KEY_B64_MAX, err);
	sodium_memzero(text, sizeof(text));
	return r;
}

#define FLOOR_FORMAT "root %" PRIu64 " policy %" PRIu64 " signed-at %" PRId64 "\n"
#define FLOOR_SCAN   "root %" SCNu64 " policy %" SCNu64 " signed-at %" SCNd64 "%n"

int state_load_floor(const struct state *state, struct state_floor *ret, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	struct state_floor floor = {0};
	size_t length = 0;
	int end = 0, r;

	if (!state_has(state, STATE_FLOOR)) {
		*ret = floor;
		return 0;
	}
	r = state_load(state, STATE_FLOOR, &text, &length, err);
	if (r < 0)
		return r;
	if (sscanf(text, FLOOR_SCAN, &floor.root_version, &floor.policy_version, &floor.signed_at,
		   &end) != 3 ||
	    (size_t)end + 1 != length || text[end] != '\n')
		return err_set(err, "%s in the state folder is damaged", rows[STATE_FLOOR].name);
	*ret = floor;
	return 0;
}

int state_check_floor(const struct state_floor *floor, const struct state_floor *now,
		      struct err *err)
{
	/*
	 * A newer root may take the keys away that signed the newest policy, and its number with them (trust/ drops such
	 * a policy): then, and only then, numbers start anew.
	 */
	if (now->root_version > floor->root_version ||
	    (now->root_version == floor->root_version &&
	     now->policy_version >= floor->policy_version))
		return 0;
	return err_code(err, -ESTALE,
			"root %" PRIu64 ", policy %" PRIu64 " are older than root %" PRIu64
			", policy %" PRIu64 ", which were in force here: refused",
			now->root_version, now->policy_version, floor->root_version,
			floor->policy_version);
}

int state_raise_floor(const struct state *state, struct state_floor *floor,
		      const struct state_floor *now, struct err *err)
{
	struct state_floor raised = *now;
	char text[128];
	int length, r = state_check_floor(floor, now, err);

	if (r < 0)
		return r;
	if (raised.signed_at < floor->signed_at)
		raised.signed_at = floor->signed_at;
	if (memcmp(&raised, floor, sizeof(raised)) == 0)
		return 0;
	length = snprintf(text, sizeof(text), FLOOR_FORMAT, raised.root_version,
			  raised.policy_version, raised.signed_at);
	r = state_save(state, STATE_FLOOR, text, (size_t)length, err);
	if (r == 0)
		*floor = raised;
	return r;
}

/* "-" stands for an empty word. */
static void word_read(char *word)
{
	if (strcmp(word, "-") == 0)
		word[0] = '\0';
}

static const char *word_written(const char *word)
{
	return word[0] ? word : "-";
}

#define CONFIRM_FORMAT                                                                             \
	"confirm by %" PRId64 " since %" PRId64 " session %" PRIu32 " boot %s before %s\n"
#define CONFIRM_SCAN                                                                               \
	"confirm by %" SCNd64 " since %" SCNd64 " session %" SCNu32 " boot %39s before %15s%n"

/* The lines behind the first: "held", or what a lock waits for. Returns how many bytes they are, or -EINVAL. */
static int read_confirm(const char *text, struct state_local *local)
{
	struct state_confirm *confirm = &local->confirm;
	int end = 0;

	if (strcmp(text, "held\n") == 0) {
		local->held = true;
		return (int)strlen(text);
	}
	if (*text && (sscanf(text, CONFIRM_SCAN, &confirm->deadline_us, &confirm->at_us,
			     &confirm->session, confirm->boot, confirm->mode_before, &end) != 5 ||
		      text[end++] != '\n' || confirm->deadline_us <= 0))
		return -EINVAL;
	word_read(confirm->mode_before);
	return end;
}

int state_load_local(const struct state *state, struct state_local *ret, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	struct state_local local = {0};
	unsigned int locked = 0;
	size_t length = 0;
	int end = 0, more, r;

	if (!state_has(state, STATE_LOCAL)) {
		*ret = local;
		return 0;
	}
	r = state_load(state, STATE_LOCAL, &text, &length, err);
	if (r < 0)
		return r;
	if (sscanf(text, "locked %1u mode %15s%n", &locked, local.mode, &end) != 2 ||
	    text[end++] != '\n' || (more = read_confirm(text + end, &local)) < 0 ||
	    (size_t)end + (size_t)more != length)
		return err_set(err, "%s in the state folder is damaged", rows[STATE_LOCAL].name);
	word_read(local.mode);
	local.underlay_locked = locked;
	*ret = local;
	return 0;
}

int state_save_local(const struct state *state, const struct state_local *local, struct err *err)
{
	const struct state_confirm *confirm = &local->confirm;
	char text[256];
	int length = snprintf(text, sizeof(text), "locked %d mode %s\n", local->underlay_locked,
			      word_written(local->mode));
	size_t left = sizeof(text) - (size_t)length;

	if (confirm->deadline_us)
		length += snprintf(text + length, left, CONFIRM_FORMAT, confirm->deadline_us,
				   confirm->at_us, confirm->session, confirm->boot,
				   word_written(confirm->mode_before));
	else if (local->held)
		length += snprintf(text + length, left, "held\n");
	return state_save(state, STATE_LOCAL, text, (size_t)length, err);
}
