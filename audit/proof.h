/* SPDX-License-Identifier: Apache-2.0
 *
 * Inclusion and consistency proofs of an RFC 6962 tree: made from tiles, and checked with nothing
 * but hashes. The checking shares no code with the making. Used by the reading tools, by whoever
 * talks to witnesses, and for evidence bundles. Sources: RFC 6962 2.1.1 and 2.1.2 (making),
 * RFC 9162 2.1.3.2 and 2.1.4.2 (checking). */
#ifndef SALLYPORT_AUDIT_PROOF_H
#define SALLYPORT_AUDIT_PROOF_H

#include "audit/tile_read.h"

/* An inclusion proof of a tree of 2^64 leaves has 64 hashes, a consistency proof one more. */
#define PROOF_MAX 65

struct proof {
    unsigned count;
    uint8_t hash[PROOF_MAX][RECORD_HASH_SIZE];
};

/* What these give is as trustworthy as the tiles: check it against a signed root. ERR_USAGE: index
 * or size are not within the reader's size; errors of tile_read.h. */
/* The root over the first `size` leaves. */
MUST_CHECK int proof_root(struct tile_reader *t, uint64_t size, uint8_t root[RECORD_HASH_SIZE],
                          struct err *e);
/* That leaf `index` is in the tree of `size` leaves: from its sibling up. */
MUST_CHECK int proof_inclusion(struct tile_reader *t, uint64_t index, uint64_t size,
                               struct proof *p, struct err *e);
/* That the tree of `to` leaves goes on from the one of `from`. Of no hashes when from is 0 or to.
 */
MUST_CHECK int proof_consistency(struct tile_reader *t, uint64_t from, uint64_t to, struct proof *p,
                                 struct err *e);

/* 0, or ERR_TAMPERED: the proof does not show it. */
MUST_CHECK int proof_check_inclusion(const struct proof *p, uint64_t index, uint64_t size,
                                     const uint8_t leaf[RECORD_HASH_SIZE],
                                     const uint8_t root[RECORD_HASH_SIZE], struct err *e);
MUST_CHECK int proof_check_consistency(const struct proof *p, uint64_t from, uint64_t to,
                                       const uint8_t from_root[RECORD_HASH_SIZE],
                                       const uint8_t to_root[RECORD_HASH_SIZE], struct err *e);

#endif
