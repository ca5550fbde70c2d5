/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header. A list in struct control owns what is under way; each entry has a timer of its own. */
#include "control-plane/farewell.h"
#include "control-plane/admin.h"
#include "control-plane/sync.h"

#define FAREWELL_US                                                                                \
	50000 /* two segments at most, which go out at once: TCP has sent nothing else for a while */

struct farewell {
	struct farewell *next;
	struct control *control;
	sd_event_source *timer;
	struct id id;
	struct key k4;
};

static void unlink_farewell(struct farewell *farewell)
{
	struct farewell **at = &farewell->control->farewells;

	while (*at && *at != farewell)
		at = &(*at)->next;
	if (*at)
		*at = farewell->next;
}

static void farewell_free(struct farewell *farewell)
{
	sd_event_source_disable_unref(farewell->timer);
	free(farewell);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct farewell *farewell = data;

	control_remove_peer(farewell->control, &farewell->k4);
	admin_on_cut(farewell->control, &farewell->id);
	unlink_farewell(farewell);
	farewell_free(farewell);
	return 0;
}

bool farewell_begin(struct control *control, struct member *member, const char *tombstone)
{
	struct farewell *farewell = member->poll ? calloc(1, sizeof(*farewell)) : NULL;

	if (!farewell)
		return false;
	if (sd_event_add_time_relative(control->event, &farewell->timer, CLOCK_BOOTTIME,
				       FAREWELL_US, 1000, on_timer, farewell) < 0) {
		free(farewell);
		return false;
	}
	farewell->control = control;
	farewell->id = member->row.id;
	farewell->k4 = member->row.k4;
	farewell->next = control->farewells;
	control->farewells = farewell;
	sync_tell_revoked(member, tombstone);
	return true;
}

void farewell_forget_all(struct control *control)
{
	while (control->farewells) {
		struct farewell *farewell = control->farewells;

		control->farewells = farewell->next;
		control_remove_peer(control, &farewell->k4);
		farewell_free(farewell);
	}
}
