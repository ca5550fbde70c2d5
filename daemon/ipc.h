/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What sortied and sortie-net say to each other over a socketpair: frames of a fixed header and a typed body.
 *
 * One table row per message names its sender and its longest body; a frame that breaks its row ends the conversation.
 * Decoders borrow from the frame; texts in a decoded message are NUL-terminated and hold no other NUL. sortie-net is
 * the less trusted side: everything it says is bytes until sortied has verified them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/addr.h"

#define IPC_HEADER_SIZE	  16
#define IPC_HOST_MAX	  256
#define IPC_PATH_MAX	  1024
#define IPC_ENDPOINTS_MAX 16
#define IPC_REQUEST_MAX	  (256 * 1024)	     /* body of a call or of a local request */
#define IPC_ANSWER_MAX	  (16 * 1024 * 1024) /* body of an answer */

enum ipc_type {
	IPC_READY = 1,	   /* net: the sandbox is closed, go on */
	IPC_RESOLVE,	   /* agent: look a host name up */
	IPC_RESOLVED,	   /* net: its endpoints, or an error */
	IPC_CALL,	   /* agent: one HTTP call through the tunnel */
	IPC_CALL_CANCEL,   /* agent: forget it */
	IPC_CALL_DONE,	   /* net: status and body, or an error */
	IPC_LOCAL_REQUEST, /* net: somebody asks on the local socket */
	IPC_LOCAL_ANSWER,  /* agent: what he gets */
	IPC_LOCAL_GONE,	   /* net: he hung up */
	IPC_TYPES
};

enum ipc_sender { IPC_FROM_AGENT, IPC_FROM_NET };

struct ipc_resolve {
	const char *host; /* a name or a numeric address */
	uint16_t port;
};

struct ipc_resolved {
	int32_t error; /* 0 or a negative errno */
	struct endpoint endpoints[IPC_ENDPOINTS_MAX];
	size_t n_endpoints;
};

struct ipc_call {
	struct endpoint to;
	const char *interface; /* SO_BINDTODEVICE */
	const char *method, *path;
	uint32_t timeout_ms, answer_max;
	const char *body;
	size_t body_length;
};

struct ipc_call_done {
	int32_t error;
	uint32_t status;
	const char *body;
	size_t body_length;
};

struct ipc_local_request {
	uint32_t uid, pid; /* SO_PEERCRED */
	const char *method, *path, *query;
	const char *body;
	size_t body_length;
};

struct ipc_local_answer {
	uint32_t status;
	const char *body;
	size_t body_length;
};

/* id joins an answer to its question; 0 where there is none. */
struct ipc_message {
	enum ipc_type type;
	uint64_t id;
	union {
		struct ipc_resolve resolve;
		struct ipc_resolved resolved;
		struct ipc_call call;
		struct ipc_call_done call_done;
		struct ipc_local_request local_request;
		struct ipc_local_answer local_answer;
	};
};

const char *ipc_name(enum ipc_type type);

/* One frame, header included, malloc()ed. -EMSGSIZE over the row's limit, -ENOMEM. */
int ipc_encode(const struct ipc_message *message, uint8_t **ret, size_t *ret_length);

/*
 * Looks at the start of a stream: the length of the whole frame in *ret once its header is there, 0 before. -EBADMSG
 * where type, sender or length break the table: nothing is allocated for such a frame.
 */
int ipc_frame_length(const uint8_t *bytes, size_t available, enum ipc_sender sender, size_t *ret);

/* One whole frame, which must stay while *ret is used. -EBADMSG. */
int ipc_decode(const uint8_t *frame, size_t length, struct ipc_message *ret);
