/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashes of the records that follow each other in a reader's buffer, computed many at once. Used by
 * the in-order reader (audit/trail_read.h) alone; the bytes are hostile; does no I/O. */
#ifndef SALLYPORT_AUDIT_READ_AHEAD_H
#define SALLYPORT_AUDIT_READ_AHEAD_H

#include "audit/digest_many.h"

/* What a record's links are compared with. */
struct record_hashes {
    uint8_t payload[RECORD_HASH_SIZE]; /* of the payload as stored */
    uint8_t leaf[RECORD_HASH_SIZE];
};

/* Small records fill the lanes many times over; of the largest, what is in the buffer. */
#define READ_AHEAD_RECORDS 512u

struct read_ahead {
    struct digest *digest;
    unsigned count, next; /* hashes there are, and the one of the next record */
    struct record_hashes hashes[READ_AHEAD_RECORDS];
};

/* NULL when memory is out. */
struct read_ahead *read_ahead_new(void);
void read_ahead_free(struct read_ahead *a);
/* Of the record that p begins with, which is whole and well-formed; p[0 .. len) is all that was
 * read. Asked for each record in turn, while p's bytes stay the same. */
const struct record_hashes *read_ahead_next(struct read_ahead *a, const uint8_t *p, size_t len);

#endif
