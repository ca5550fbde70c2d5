/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sortie-net, seen from sortied: started as another user, spoken with by typed messages.
 *
 * A child that ends is not started again, because sortied has given up the right to change users by then: on_gone,
 * upon which sortied ends too. Its supervisor starts both anew, and the kernel's state stands meanwhile.
 */
#pragma once
#include <stdbool.h>
#include <systemd/sd-event.h>
#include "common/cleanup.h"
#include "common/err.h"
#include "daemon/ipc.h"
#include "daemon/sandbox.h"

struct child;

struct child_handlers {
	void (*on_ready)(void *data); /* its sandbox is closed, it takes messages */
	void (*on_gone)(int error, void *data);
	void (*on_local_request)(const struct ipc_message *message, void *data);
	void (*on_local_gone)(uint64_t id, void *data);
	void *data;
};

/*
 * The program lies beside our own executable. local_fd, the listening local socket, is handed over. Must be called
 * before privileges are dropped.
 */
int child_new(sd_event *event, int local_fd, const struct sandbox_user *user,
	      const struct child_handlers *handlers, struct child **ret, struct err *err);
void child_free(struct child *child);
DEFINE_CLEANUP(child_free, struct child *);

bool child_is_ready(const struct child *child);

/* on_done is called once, never from inside these functions, and not at all once the child is gone. */
typedef void (*child_resolved)(const struct ipc_resolved *resolved, void *data);
typedef void (*child_called)(const struct ipc_call_done *done, void *data);
int child_resolve(struct child *child, const char *host, uint16_t port, child_resolved on_done,
		  void *data, uint64_t *ret_id);
/* The same of "HOST:PORT", the host a name. -EINVAL where it is not that. */
int child_resolve_text(struct child *child, const char *text, child_resolved on_done, void *data,
		       uint64_t *ret_id);
int child_call(struct child *child, const struct ipc_call *call, child_called on_done, void *data,
	       uint64_t *ret_id);
/* on_done is not called any more. 0 and unknown ids are fine. */
void child_cancel(struct child *child, uint64_t id);
int child_answer(struct child *child, uint64_t id, uint32_t status, const char *body,
		 size_t length);
