/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a trail's records in order, over all its segments, also while it is being written. Checks
 * only the framing; chain_check does the rest. Memory: one buffer, whatever the trail's size.
 * Used by auditd's recovery and by the reading tools; trusts nothing it reads. */
#ifndef SALLYPORT_AUDIT_TRAIL_READ_H
#define SALLYPORT_AUDIT_TRAIL_READ_H

#include "audit/chain.h"
#include "audit/segments.h"

struct trail_reader;

/* One record; the pointers are valid until the next call. */
struct trail_view {
    struct record r;
    const uint8_t *header;  /* RECORD_HEADER_SIZE bytes */
    const uint8_t *payload; /* r.payload_len bytes; NULL: passed over (trail_reader_choose) */
    bool dropped;           /* it was pruned: the payload's place has zeroes */
    uint64_t offset;        /* of the header in its segment */
    bool first_of_segment;
    const struct record_hashes *hashes; /* NULL where they were not asked for */
};

/* Where the reader stands: of the record last returned, of the fault, or of the unfinished tail. */
struct trail_place {
    char segment[SEGMENT_NAME_MAX];
    uint64_t segment_first;
    uint64_t offset;
};

/* Begins at the segment with the largest first index that is not over `from`. ERR_NOT_FOUND when
 * there is none. dir stays the caller's and must stay open. */
MUST_CHECK int trail_reader_new(struct trail_reader **out, int dir, uint64_t from, struct err *e);
/* From the next record on, views have hashes. Call it before the first. ERR_MEMORY. */
MUST_CHECK int trail_reader_hash(struct trail_reader *t, struct err *e);
void trail_reader_free(struct trail_reader *t);

/* 1: *v is the next record. 0: the end; *unfinished says how many bytes of a record that is not
 * complete follow. ERR_TAMPERED with *fault; ERR_SYSTEM, ERR_MEMORY. Call again after 0 to see what
 * was written since. */
MUST_CHECK int trail_reader_next(struct trail_reader *t, struct trail_view *v, uint64_t *unfinished,
                                 enum fault *fault, struct err *e);
/* The index that the next record should have. */
uint64_t trail_reader_index(const struct trail_reader *t);
/* From the next call on, a payload is read only where wants says so; the others are passed over.
 * The header is always read. NULL: all are read. */
typedef bool (*trail_reader_wants)(const void *arg, const struct record *r);
void trail_reader_choose(struct trail_reader *t, trail_reader_wants wants, const void *arg);
/* The next record is the one with this index, whose header's offset an earlier pass gave.
 * ERR_NOT_FOUND: the segment is not there. */
MUST_CHECK int trail_reader_jump(struct trail_reader *t, uint64_t segment_first, uint64_t offset,
                                 uint64_t index, struct err *e);
void trail_reader_place(const struct trail_reader *t, struct trail_place *place);

#endif
