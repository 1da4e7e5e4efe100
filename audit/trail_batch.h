/* SPDX-License-Identifier: Apache-2.0
 *
 * Records on their way into the segment: placed and sealed, but not all of them hashed and linked
 * yet. Payloads do not depend on one another, so many are hashed side by side; then each header
 * gets its links, in the order of the records. Runs in auditd; does no I/O. Invariant: the bytes of
 * a record are final only after batch_link, and nothing that is not linked is ever written. */
#ifndef SALLYPORT_AUDIT_TRAIL_BATCH_H
#define SALLYPORT_AUDIT_TRAIL_BATCH_H

#include "audit/chain.h"
#include "audit/digest_many.h"

/* Large enough that a write(2) of bulk records costs little per byte, and holds the longest
 * record. */
#define BATCH_SIZE (RECORD_HEADER_SIZE + RECORD_PAYLOAD_MAX + 1024u * 1024u)
/* So many wait for their hashes at most, and so many bytes: few enough that they are still in the
 * CPU's cache then, enough for eight lanes. */
#define BATCH_UNLINKED       256u
#define BATCH_UNLINKED_BYTES (512u * 1024u)

struct trail_batch {
    uint8_t *bytes;
    size_t len;
    size_t unlinked_bytes;
    unsigned unlinked; /* the newest records, whose places follow */
    unsigned hashed;   /* of them: there is nothing left to hash of their jobs */
    struct session_state *sessions[BATCH_UNLINKED];
    struct digest_job payloads[BATCH_UNLINKED]; /* the result stands in the header */
};

/* On a zeroed struct. ERR_MEMORY. */
MUST_CHECK int batch_init(struct trail_batch *b, struct err *e);
void batch_clear(struct trail_batch *b);

/* Where the next record's header goes, and its payload behind it. */
uint8_t *batch_end(struct trail_batch *b);
/* A record stands there, of the state that chain_place gave it: complete but for its three hashes.
 * May link. */
void batch_add(struct trail_batch *b, struct chain *c, struct session_state *state,
               uint32_t payload_len);
/* The newest record's payload, if it was not hashed yet; NULL. */
const struct digest_job *batch_newest(const struct trail_batch *b);
/* It has this hash. */
void batch_newest_hashed(struct trail_batch *b, const uint8_t hash[RECORD_HASH_SIZE]);
/* Completes all headers: after it the chain is that of the newest record. */
void batch_link(struct trail_batch *b, struct chain *c);
/* All was written: empties it. */
void batch_written(struct trail_batch *b);

#endif
