/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a state folder to a running control plane, and back. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include "common/file.h"
#include "common/log.h"
#include "control-plane/admin.h"
#include "control-plane/control.h"
#include "control-plane/endpoints.h"
#include "control-plane/farewell.h"
#include "control-plane/init.h"
#include "control-plane/sandbox.h"
#include "control-plane/server.h"
#include "control-plane/state_path.h"
#include "control-plane/store_audit.h"
#include "control-plane/sync.h"
#include "control-plane/trust_load.h"

/* ---- loading ---- */

static int load_store(struct control *control, struct err *err)
{
	char path[PATH_MAX];
	int r = state_path(control->options->state_dir, STORE_FILE, path);

	if (r == 0)
		r = store_open(path, &control->store, err);
	if (r == 0)
		r = store_meta_get(control->store, "root", &control->root);
	if (r == -ENOENT && !err->text[0])
		err_set(err, "the database has no root statement: restore a backup");
	return r;
}

static int on_tombstone(const char *envelope, void *data)
{
	struct control *control = data;
	char **tombstones =
		reallocarray(control->tombstones, control->n_tombstones + 1, sizeof(*tombstones));

	if (!tombstones)
		return -ENOMEM;
	control->tombstones = tombstones;
	tombstones[control->n_tombstones] = strdup(envelope);
	return tombstones[control->n_tombstones++] ? 0 : -ENOMEM;
}

static int load_trust(struct control *control, struct err *err)
{
	int64_t now = clock_wall();
	int r = store_policy_get(control->store, 0, &control->policy);

	if (r < 0 && r != -ENOENT)
		return r;
	r = trust_load(control->store, control->root, &control->policy, now, &control->trust, err);
	if (r == 0)
		r = store_tombstone_list(control->store, on_tombstone, control);
	if (r == 0)
		r = inventory_load(&control->inventory, control->store);
	if (r == 0 && endpoints_load(control->options->state_dir, &control->inventory) < 0)
		log_warning("the endpoints of a former run cannot be read: sites are waited for");
	if (r == 0)
		r = inventory_pair_all(&control->inventory, trust_policy(control->trust), now);
	control->pairs_until = policy_next_expiry(trust_policy(control->trust), now);
	return r;
}

static int load_hub_key(const struct control *control, struct key *ret, struct err *err)
{
	char path[PATH_MAX];
	char *text = NULL;
	size_t length = 0;
	int r = state_path(control->options->state_dir, INIT_HUB_KEY_FILE, path);

	if (r == 0)
		r = file_read_secret(path, 128, &text, &length);
	if (r == 0) {
		text[strcspn(text, "\n")] = '\0';
		r = key_parse_b64(text, ret);
	}
	secret_free(text, length);
	if (r < 0)
		return err_code(err, r, "cannot read the hub's key %.150s: %s", path, strerror(-r));
	return 0;
}

static int open_hub(struct control *control, struct err *err)
{
	const struct root_statement *root = control_root(control);
	_cleanup_(key_wipe) struct key private_key;
	struct hub_options options = {
		.ifname = control->options->ifname,
		.backend = control->options->backend,
		.private_key = &private_key,
		.root = root,
	};
	int r = init_endpoint_port(root->endpoints[0], &control->hub_port);

	if (r == 0)
		r = load_hub_key(control, &private_key, err);
	if (r < 0)
		return r;
	options.listen_port = control->hub_port;
	r = hub_new(&options, &control->hub, err);
	if (r == 0 && !key_equal(hub_public_key(control->hub), &root->hub_key))
		r = err_code(err, -EKEYREJECTED,
			     "the hub's key is not the one that the root statement names");
	return r;
}

static bool root_is_online(const struct control *control)
{
	char path[PATH_MAX];
	struct stat st;

	return state_path(control->options->state_dir, INIT_ROOT_KEY_FILE, path) == 0 &&
	       stat(path, &st) == 0;
}

/* Somebody who changed history must not stay unseen until an auditor comes; it is no reason to stop serving. */
static int check_audit(struct control *control)
{
	int64_t seq = 0;
	int r = store_audit_verify(control->store, &seq);

	if (r != -EBADMSG)
		return r;
	control->audit_broken_at = seq;
	log_error("the audit log was changed: entry %" PRId64
		  " does not follow from those before it; look who did",
		  seq);
	return 0;
}

static int load(struct control *control, struct err *err)
{
	int r = load_store(control, err);

	if (r == 0)
		r = check_audit(control);

	if (r == 0)
		r = load_trust(control, err);
	if (r == 0)
		r = open_hub(control, err);
	if (r < 0 && !err->text[0])
		err_code(err, r, "cannot load the state in %.150s: %s", control->options->state_dir,
			 strerror(-r));
	control->root_online = root_is_online(control);
	control->started_at = clock_wall();
	return r;
}

/* ---- events ---- */

static void on_link_change(unsigned int index, void *data)
{
	struct control *control = data;

	if (index == 0 || index == hub_index(control->hub) || hub_index(control->hub) == 0)
		control->links_changed = true;
}

static int on_link_events(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct control *control = data;

	if (link_events_dispatch(control->links) < 0)
		control->links_changed = true;
	if (control->links_changed) {
		/* at once, but not in a loop of our own changes: the tick sees to it */
		sd_event_source_set_time_relative(control->tick, 50000);
		sd_event_source_set_enabled(control->tick, SD_EVENT_ONESHOT);
	}
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct control *control = data;

	return sd_event_exit(control->event, 0);
}

static int watch_signals(struct control *control)
{
	static const int signals[] = {SIGTERM, SIGINT};
	sigset_t set;
	int r = 0;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; i++)
		r = sd_event_add_signal(control->event, NULL, signals[i], on_signal, control);
	return r < 0 ? r : 0;
}

static int watch(struct control *control)
{
	int r = watch_signals(control);

	if (r == 0)
		r = link_events_open(on_link_change, control, &control->links);
	if (r == 0)
		r = control_start_ticking(control);
	if (r == 0)
		r = sd_event_add_io(control->event, NULL, link_events_fd(control->links), EPOLLIN,
				    on_link_events, control);
	return r < 0 ? r : 0;
}

/* ---- the program ---- */

static void done(struct control *control)
{
	server_close(control);
	admin_forget_waits(control);
	farewell_forget_all(control);
	if (control->links)
		link_events_close(control->links);
	sd_event_source_disable_unref(control->news);
	sd_event_source_disable_unref(control->tick);
	if (control->endpoints_dirty)
		(void)endpoints_save(control->options->state_dir, &control->inventory);
	relay_feed_close(control->relay);
	hub_free(control->hub);
	inventory_done(&control->inventory);
	for (size_t i = 0; i < control->n_tombstones; i++)
		free(control->tombstones[i]);
	free(control->tombstones);
	policy_row_done(&control->policy);
	trust_free(control->trust);
	free(control->root);
	store_close(control->store);
	sd_event_unref(control->event);
}

static int start(struct control *control, struct err *err)
{
	int r = sd_event_new(&control->event);

	if (r >= 0)
		r = load(control, err);
	if (r == 0)
		r = server_open_admin(control, err); /* another process that serves is found here */
	if (r == 0)
		r = watch(control);
	control->hub_dirty = true;
	if (r == 0)
		r = control_make_hub(control, err);
	if (r == 0)
		r = sandbox_enter(err);
	/* before anybody hears the boot id, which changes where these are not the maps of the last run */
	if (r == 0)
		control_tend_relay(control);
	return r;
}

/* A full disk must not keep what stands from being served. */
static void audit_start(struct control *control)
{
	char detail[AUDIT_TEXT_MAX];
	int r;

	snprintf(detail, sizeof(detail), "version %s, hub %s", SORTIE_VERSION, control->boot_id);
	r = store_audit_event(control->store, &(struct audit_entry){
						      .at = control->started_at,
						      .actor = "control",
						      .action = "started",
						      .object = control_root(control)->name,
						      .detail = detail,
					      });
	if (r < 0)
		log_warning("cannot write to the audit log: %s", strerror(-r));
}

int control_run(const struct control_options *options, struct signer *signer, struct err *err)
{
	struct control control = {.options = options, .signer = signer};
	int r = start(&control, err);

	if (r < 0 && !err->text[0])
		err_code(err, r, "cannot start: %s", strerror(-r));
	if (r == 0)
		audit_start(&control);
	if (r == 0) {
		log_info("network %s: %zu identities, policy version %llu, revision %llu",
			 control_root(&control)->name, control.inventory.n,
			 (unsigned long long)control.policy.version,
			 (unsigned long long)control.inventory.revision);
		sd_notify(0, "READY=1");
		r = sd_event_loop(control.event);
		if (r > 0)
			r = err_code(err, -EIO, "ended by a fatal error, see above");
		sd_notify(0, "STOPPING=1");
	}
	done(&control);
	return r;
}

int control_remove(const struct control_options *options, struct err *err)
{
	const struct control control = {.options = options};
	_cleanup_(key_wipe) struct key private_key;
	struct key public_key;
	int r = load_hub_key(&control, &private_key, err);

	if (r == 0)
		r = key_public_curve25519(&private_key, &public_key);
	return r < 0 ? r : hub_remove(options->ifname, &public_key, err);
}
