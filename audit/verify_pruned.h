/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads that are not there, against the orders that destroyed them: each segment may lack as
 * many as the log's prune records say, and no more. Used by the verifier; does no I/O. */
#ifndef SALLYPORT_AUDIT_VERIFY_PRUNED_H
#define SALLYPORT_AUDIT_VERIFY_PRUNED_H

#include <stddef.h>
#include <stdint.h>

#include "audit/trail_read.h"

struct verify_pruned_segment {
    uint64_t first, dropped, allowed;
};

struct verify_pruned {
    struct verify_pruned_segment *segments;
    size_t count, room;
    uint64_t dropped; /* in all */
};

/* Takes the next record, in order. ERR_MEMORY; ERR_TAMPERED: a prune record that is none. */
MUST_CHECK int verify_pruned_take(struct verify_pruned *p, const struct trail_view *v,
                                  struct err *e);
/* All records were taken. ERR_TAMPERED and *first: of this segment more are missing than were
 * pruned. */
MUST_CHECK int verify_pruned_end(const struct verify_pruned *p, uint64_t *first, struct err *e);
/* Payloads that are missing, and that no order taken so far accounts for. Orders come behind what
 * they destroyed: where not all of the log was read this is no finding. */
uint64_t verify_pruned_open(const struct verify_pruned *p);
void verify_pruned_clear(struct verify_pruned *p);

#endif
