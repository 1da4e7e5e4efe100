/* SPDX-License-Identifier: Apache-2.0
 *
 * The compact range of an RFC 6962 Merkle tree: the roots of the full subtrees that the leaves so
 * far decompose into, largest first. Leaves are gathered until they fill a subtree of 256, whose
 * nodes are hashed many at a time. Used by auditd and the verifier; does no I/O. */
#ifndef SALLYPORT_AUDIT_MERKLE_H
#define SALLYPORT_AUDIT_MERKLE_H

#include <stdint.h>

#include "audit/digest.h"

/* One subtree per bit of the size. */
#define MERKLE_DEPTH  64

#define MERKLE_GATHER 256u

struct merkle {
    uint64_t size;
    unsigned count; /* subtrees held: the number of one bits in size - gathered */
    unsigned gathered;
    uint8_t leaves[MERKLE_GATHER][RECORD_HASH_SIZE]; /* the newest, not in roots yet */
    uint8_t roots[MERKLE_DEPTH][RECORD_HASH_SIZE];
};

void merkle_init(struct merkle *m);
void merkle_add(struct merkle *m, struct digest *d, const uint8_t leaf[RECORD_HASH_SIZE]);
/* Takes what is gathered into roots. */
void merkle_settle(struct merkle *m, struct digest *d);
/* The root over all leaves added; of none: SHA-256 of nothing. */
void merkle_root(const struct merkle *m, struct digest *d, uint8_t out[RECORD_HASH_SIZE]);

#endif
