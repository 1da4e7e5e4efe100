/* SPDX-License-Identifier: Apache-2.0
 *
 * What readers say in the place of bytes that were passed on and not kept: how many there were, by
 * the digests that stand for them (docs/FORMAT.md, "Digests of bulk"). Used by all that show
 * recordings; the records are hostile. */
#ifndef SALLYPORT_AUDIT_NOT_KEPT_H
#define SALLYPORT_AUDIT_NOT_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/record.h"

/* Streams of one session at the same time: both directions of more channels than a connection has.
 * What is beyond is not summed up. */
#define NOT_KEPT_STREAMS 32u
/* "[1023.9 GiB of output not kept; SHA-256 per MiB]" */
#define NOT_KEPT_TEXT 80u

struct not_kept {
    struct not_kept_stream {
        bool used, input;
        uint32_t channel;
        uint64_t first, end; /* places in the stream */
    } of[NOT_KEPT_STREAMS];
};

/* An opened digest record of either type. */
void not_kept_put(struct not_kept *k, uint32_t channel, const void *payload, size_t len);
/* A stream that this record ends (its channel's or the session's end; NULL: the recording's), as
 * words. false: none any more. payload: opened, or NULL. */
bool not_kept_over(struct not_kept *k, const struct record *r, const void *payload, size_t len,
                   char text[NOT_KEPT_TEXT]);
/* The same of one channel's standard output by the record of its end alone; false: all was kept. */
bool not_kept_by_close(const void *payload, size_t len, char text[NOT_KEPT_TEXT]);

#endif
