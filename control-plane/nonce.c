/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header. */
#include "control-plane/nonce.h"
#include <string.h>

bool nonces_take(struct nonces *nonces, const uint8_t nonce[16], int64_t at)
{
	if (nonces->floor_at != 0 && at <= nonces->floor_at)
		return false;
	for (size_t i = 0; i < nonces->n; i++)
		if (memcmp(nonces->ring[i].bytes, nonce, 16) == 0)
			return false;
	if (nonces->n == NONCES_MAX) {
		if (nonces->ring[nonces->next].at > nonces->floor_at)
			nonces->floor_at = nonces->ring[nonces->next].at;
	} else {
		nonces->n++;
	}
	memcpy(nonces->ring[nonces->next].bytes, nonce, 16);
	nonces->ring[nonces->next].at = at;
	nonces->next = (nonces->next + 1) % NONCES_MAX;
	return true;
}
