/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream of one channel that is passed on and not kept: SHA-256 over blocks of 1 MiB, counted
 * from its first byte that is not kept. What a digest says may be the beginning of a block only;
 * the next one with the same start says more of it. Used by the backend; the numbers alone, no I/O.
 * Format: docs/FORMAT.md, "Digests of bulk". */
#ifndef SALLYPORT_GATEWAY_BACKEND_BULK_H
#define SALLYPORT_GATEWAY_BACKEND_BULK_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sha256.h"
#include "gateway/backend_queue.h"

#define BULK_BLOCK  (1024u * 1024u)
#define BULK_SHA256 32u
/* So much in hand is recorded at once, also while more comes: it is half of what a channel holds
 * (OUTPUT_HELD_MAX), so that one half is on its way while the other comes in. */
#define BULK_STEP (256u * 1024u)

struct bulk {
    bool on;           /* nothing is kept from byte `after` on */
    uint64_t after;    /* where the first block begins */
    uint64_t from;     /* where this block begins */
    uint32_t in_block; /* bytes of it that are in its digest */
    bool with_total;
    struct sha256 block; /* this block */
    struct sha256 total; /* the whole stream, with_total */
    uint64_t taken;      /* bytes of the stream that came, kept and not */
    uint64_t record;     /* the newest digest's; 0: none yet */
    size_t seen;         /* in hand when it was looked at last */
};

/* total: a digest of everything too; then after is 0. ERR_MEMORY. */
MUST_CHECK int bulk_begin(struct bulk *k, uint64_t after, bool total);
void bulk_clear(struct bulk *k);

/* Appends to the queue: as `kept` what is kept of these bytes, as `bulk` the rest. ERR_MEMORY as
 * segments_put. */
MUST_CHECK int bulk_put(struct bulk *k, struct segment_queue *q, enum segment_kind kept,
                        enum segment_kind bulk, const void *bytes, size_t len);

/* Bytes at the front of what has no record that are not kept, up to the first other segment. */
size_t bulk_in_hand(const struct segment_queue *q);

/* What one record says. */
struct bulk_digest {
    uint64_t from;
    uint32_t bytes;
    uint8_t sha256[BULK_SHA256], total[BULK_SHA256]; /* total: only when asked for */
};
/* Takes what is in hand into the digest, to the block's end at most: what the record is to say. n
 * gets how many bytes it newly covers; the caller sends the record and then calls bulk_recorded. */
void bulk_digest(struct bulk *k, const struct segment_queue *q, struct bulk_digest *d, size_t *n);
/* The record's number: n bytes are covered by it. */
void bulk_recorded(struct bulk *k, struct segment_queue *q, size_t n, uint64_t record);

#endif
