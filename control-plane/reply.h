/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a handler answers: a status and a JSON body. Handlers fill one; the server sends and frees it. */
#pragma once
#include <stddef.h>
#include "api/http.h"
#include "control-plane/store.h"

struct reply {
	unsigned int status; /* HTTP; 0: not answered yet */
	char *body;	     /* malloc()ed; NULL after running out of memory */
};

void reply_done(struct reply *reply);
/* 200 with this body, taken over; NULL is 500. */
void reply_json(struct reply *reply, char *body);
/* RFC 9457 with a code of api/code.h, whose status it takes. */
void reply_problem(struct reply *reply, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A failed write: disk full, busy, damaged. `what` was tried. */
void reply_store_error(struct reply *reply, int code, const char *what);
/* Sends and frees. */
void reply_send(struct reply *reply, struct http_request *request);
