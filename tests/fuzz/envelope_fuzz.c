/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Envelopes of any type: what is parsed can be verified and countersigned, and the result parses again. */
#include "tests/fuzz/fuzz.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "trust/envelope.h"

static void countersign(const char *data, size_t size, const struct envelope *envelope)
{
	_cleanup_(envelope_freep) struct envelope *again = NULL;
	_cleanup_(freep) char *text = NULL;
	struct key seed = {{1}};
	struct signing_key key;

	signing_key_from_seed(&seed, &key);
	if (envelope_add_signature(data, size, &key, &text, NULL) < 0)
		return; /* full, too long, or signed by this key already */
	if (envelope_parse(text, strlen(text), envelope->type, &again, NULL) < 0 ||
	    again->n_signatures != envelope->n_signatures + 1 ||
	    again->payload_length != envelope->payload_length ||
	    memcmp(again->payload, envelope->payload, envelope->payload_length) != 0 ||
	    !envelope_signed_by(again, &key.public_key))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	struct err err;

	if (envelope_parse((const char *)data, size, NULL, &envelope, &err) < 0)
		return 0;
	for (size_t i = 0; i < envelope->n_signatures; i++)
		(void)envelope_signed_by(envelope, &envelope->signatures[i].public_key);
	countersign((const char *)data, size, envelope);
	return 0;
}
