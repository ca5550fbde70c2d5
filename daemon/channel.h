/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One end of the socketpair between sortied and sortie-net, inside an sd-event loop: never blocks, queues what does
 * not fit, ends at the first frame that breaks the rules of ipc.h.
 */
#pragma once
#include <systemd/sd-event.h>
#include "common/cleanup.h"
#include "daemon/ipc.h"

struct channel;

struct channel_handlers {
	/* message borrows from the receive buffer: gone when the function returns. */
	void (*on_message)(const struct ipc_message *message, void *data);
	/* The other side is gone (0), broke the protocol (-EBADMSG) or does not read (-ENOBUFS). Called once. */
	void (*on_close)(int error, void *data);
	void *data;
};

/* Takes fd over on success. peer: who sends the frames that arrive here. */
int channel_new(sd_event *event, int fd, enum ipc_sender peer,
		const struct channel_handlers *handlers, struct channel **ret);
void channel_free(struct channel *channel); /* NULL is fine; not from inside on_message */
DEFINE_CLEANUP(channel_free, struct channel *);

/* Sends now or queues. -EPIPE after on_close, -EMSGSIZE, -ENOBUFS, -ENOMEM. */
int channel_send(struct channel *channel, const struct ipc_message *message);
