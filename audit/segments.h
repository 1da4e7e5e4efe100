/* SPDX-License-Identifier: Apache-2.0
 *
 * The segment files of a trail: "%016llx.spa", named by the index of their first record, or
 * ".spp" once payloads of it were pruned.
 * Used by auditd and the readers. */
#ifndef SALLYPORT_AUDIT_SEGMENTS_H
#define SALLYPORT_AUDIT_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SEGMENT_NAME_MAX 21 /* 16 digits, ".spa", NUL */
/* Bounds a listing: 2^20 segments of 1 GiB are a pebibyte. */
#define SEGMENTS_MAX (1u << 20)

struct segments {
    uint64_t *first; /* ascending */
    size_t count;
};

void segment_name(uint64_t first, char out[SEGMENT_NAME_MAX]);
/* The same segment when payloads of it were pruned: ".spp". While it is being replaced both are
 * there, and both are whole. */
void segment_pruned_name(uint64_t first, char out[SEGMENT_NAME_MAX]);
/* A pruned segment begins with it; before each record's header stands a byte that says whether its
 * payload is there. */
#define SEGMENT_PRUNED_MAGIC      "SPP1"
#define SEGMENT_PRUNED_MAGIC_SIZE 4u
/* Lists the directory. An empty list is no error. Free with segments_clear. */
MUST_CHECK int segments_list(struct segments *s, int dir, struct err *e);
void segments_clear(struct segments *s);

#endif
