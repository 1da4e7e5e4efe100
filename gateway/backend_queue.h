/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of one direction of one channel on their way through the backend, cut into the segments
 * that records are made of: queued, recorded, settled (auditd answered), passed on. A segment is
 * filled once and sent twice from the same memory (to auditd and onwards), so nothing is moved, and
 * its memory goes back when it has been passed on. Marks (end of file, exit, close) stand in the
 * same queue, so that they keep their place behind the data.
 * Used by the backend; does no I/O. */
#ifndef SALLYPORT_GATEWAY_BACKEND_QUEUE_H
#define SALLYPORT_GATEWAY_BACKEND_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum segment_kind {
    SEGMENT_INPUT,
    SEGMENT_OUTPUT, /* standard output, or the terminal */
    SEGMENT_STDERR,
    SEGMENT_INPUT_BULK, /* passed on and not kept: digests are recorded (backend_bulk.h) */
    SEGMENT_OUTPUT_BULK,
    SEGMENT_SFTP, /* packets, recorded in a form of their own */
    SEGMENT_EOF,  /* from here on: marks, without bytes */
    SEGMENT_EXIT,
    SEGMENT_CLOSE,
};

struct segment {
    struct segment *next;
    uint64_t record; /* its record's number on the link `trail`; 0: not sent yet */
    uint32_t len, cap;
    uint32_t done;    /* bytes passed on */
    uint32_t covered; /* BULK without a record: bytes that digests speak of already */
    enum segment_kind kind;
    uint8_t bytes[];
};

struct segment_queue {
    struct segment *head, *tail;
    struct segment *unrecorded; /* the first without a record; all behind it have none either */
    size_t bytes;               /* of data, not yet passed on */
    unsigned recorded;          /* segments that have a record */
};

/* Appends data, at most RELAY_CHUNK bytes a segment; neighbours without a record are filled up.
 * The caller bounds q->bytes. ERR_MEMORY: a part may have been appended; the session has to end. */
MUST_CHECK int segments_put(struct segment_queue *q, enum segment_kind kind, const void *bytes,
                            size_t len);
/* Appends a mark whose record was sent; nothing unrecorded may stand before it. */
MUST_CHECK int segments_mark(struct segment_queue *q, enum segment_kind kind, uint64_t record);
/* The record of q->unrecorded was sent. */
void segments_recorded(struct segment_queue *q, uint64_t record);
static inline bool segment_is_bulk(enum segment_kind kind)
{
    return kind == SEGMENT_INPUT_BULK || kind == SEGMENT_OUTPUT_BULK;
}
/* The record of a digest was sent that covers the next n bytes of q->unrecorded: the segments that
 * end in them are recorded. */
void segments_cover(struct segment_queue *q, size_t n, uint64_t record);
/* n bytes of the head were passed on (a mark: 0); frees it when that was all of it. */
void segments_pass(struct segment_queue *q, size_t n);
void segments_clear(struct segment_queue *q);

#endif
