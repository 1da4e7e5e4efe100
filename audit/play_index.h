/* SPDX-License-Identifier: Apache-2.0
 *
 * Where in a session's records a moment is: made from headers alone, so that a replay can begin
 * anywhere without drawing all that came before. Pure. Memory: 1.5 MiB at most, however long the
 * session is: it gets coarser. */
#ifndef SALLYPORT_AUDIT_PLAY_INDEX_H
#define SALLYPORT_AUDIT_PLAY_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PLAY_POINTS_MAX 65536u
/* So much output before a moment is drawn to show it: full screens of the largest terminal, with
 * colours, several times. */
#define PLAY_LEAD_BYTES (256u * 1024)

struct play_point {
    uint64_t record, ns, bytes; /* its index; real time; output before it */
};

struct play_index {
    struct play_point *points;
    size_t count, room;
    uint64_t stride, seen, upto; /* records taken; those from `upto` on are new */
    uint64_t bytes;              /* output so far */
    uint64_t start_ns, end_ns;   /* of the first and the last record */
};

void play_index_init(struct play_index *ix);
void play_index_clear(struct play_index *ix);
/* The next record that is drawn; those that were taken already are ignored. ERR_MEMORY. */
MUST_CHECK int play_index_add(struct play_index *ix, uint64_t record, uint64_t ns, uint32_t len);
/* The session goes on to this moment; for records that draw nothing. */
void play_index_extend(struct play_index *ix, uint64_t ns);
/* The index of the record to read from, so that what is drawn until `ns` gives the screen of then.
 * 0: from the beginning. */
uint64_t play_index_lead(const struct play_index *ix, uint64_t ns);
uint64_t play_index_length_ns(const struct play_index *ix);

#endif
