/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 of many messages at once. A CPU with AVX2 and without SHA instructions computes eight
 * side by side in three times the speed of one after the other; any other CPU computes them one
 * after the other with OpenSSL. Used by the verifier and by the writer of tiles; does no I/O.
 * Source: FIPS 180-4 6.2; RFC 6962 2.1. */
#ifndef SALLYPORT_AUDIT_DIGEST_MANY_H
#define SALLYPORT_AUDIT_DIGEST_MANY_H

#include <stdbool.h>

#include "audit/digest.h"

/* SHA-256(prefix || p[0 .. len)) to out. The messages and the results must not overlap. */
struct digest_job {
    int prefix; /* DIGEST_PLAIN, or the one byte that goes before */
    const void *p;
    size_t len;
    uint8_t *out;
};
#define DIGEST_PLAIN (-1)
#define DIGEST_LEAF  0
#define DIGEST_NODE  1

void digest_many(struct digest *d, const struct digest_job *jobs, size_t count);

/* The root over a power of two of hashes that stand one behind the other, 256 at most. */
void digest_subtree(struct digest *d, const uint8_t *hashes, unsigned count,
                    uint8_t out[RECORD_HASH_SIZE]);

/* Whether eight are computed side by side here. */
bool digest_many_is_wide(void);
/* For tests and measurements: false turns that off. */
void digest_many_allow_wide(bool allow);

#endif
