/* SPDX-License-Identifier: Apache-2.0
 *
 * A replay: a session's output from a record source, through the escape filter, with its timing.
 * Runs in the reviewer's terminal, on hostile bytes. Memory: one record, its filtered form and the
 * index of moments, however long the session is. */
#ifndef SALLYPORT_AUDIT_PLAY_H
#define SALLYPORT_AUDIT_PLAY_H

#include "audit/pruned_by.h"
#include "audit/record_source.h"
#include "audit/unseal.h"

struct play_options {
    bool one_channel, raw, keystrokes, follow, at_once; /* at_once: --speed max */
    uint32_t channel;
    double speed;
    uint64_t idle_ns;            /* pauses are so long at most */
    uint64_t from_ns;            /* since the session's start */
    uint64_t at_record;          /* begin with this record; 0: none */
    struct pruned_by *pruned_by; /* NULL: what is destroyed is said without by whom */
};

/* Plays to the end, or to `q` or a signal. ERR_DENIED: it is sealed, and not for the identities
 * that u has; e says so. */
MUST_CHECK int play_run(struct record_source *source, struct unseal *u,
                        const struct play_options *options, struct err *e);

#endif
