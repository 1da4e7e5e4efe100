/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of struct prune, shared by prune.c, prune_look.c and prune_write.c alone. */
#ifndef SALLYPORT_AUDIT_PRUNE_STATE_H
#define SALLYPORT_AUDIT_PRUNE_STATE_H

#include <stdio.h>

#include "audit/prune.h"
#include "audit/trail_read.h"

#define PRUNE_MARK     "prune.pending"
#define PRUNE_MARK_NEW "prune.pending.new"
/* Records of one step: about a millisecond of headers, some more of payloads. */
#define PRUNE_STEP 2048u
/* A PRUNE record lists the segments in 1 MiB at most. */
#define PRUNE_SEGMENTS_MAX 8192u

/* What is known of a session; in the table of sessions, by its members. */
#define session_held  disputed /* a hold without a release */
#define session_later ended    /* it has records behind the cut */

struct prune_segment {
    uint64_t first, last_ns;
    uint64_t records, bytes; /* that the order destroys */
};

enum prune_phase { PRUNE_LOOK, PRUNE_COUNT, PRUNE_RECORD, PRUNE_WRITE, PRUNE_DONE };

struct prune {
    struct trail *t;
    int dir;
    enum prune_phase phase;
    bool resumed, recorded;
    bool disturbed; /* a session was held since it came */
    struct prune_order order;
    char text[PRUNE_ORDER_MAX];
    size_t text_len;
    uint8_t hash[RECORD_HASH_SIZE];
    char names[PRUNE_SIGNERS][SSHSIG_NAME_MAX + 1];
    uint64_t upto; /* records that are looked at */
    struct trail_reader *reader;
    uint64_t next; /* the record that the reader gives next */
    struct digest *digest;
    struct merkle merkle;
    bool root_seen;
    struct sessions *sessions;
    struct prune_segment *segments;
    size_t segment_count, segment_room;
    size_t cut; /* segments 0 .. cut - 1 are the order's */
    size_t at;  /* being counted or written */
    FILE *out;
    char summary[300];
};

/* prune_look.c: 1 more, 0 looked at all. */
MUST_CHECK int prune_look(struct prune *p, struct err *e);
MUST_CHECK int prune_count(struct prune *p, struct err *e);
/* Whether the order destroys this record's payload. */
bool prune_takes(const struct prune *p, const struct trail_view *v);
MUST_CHECK int prune_reader(struct prune *p, uint64_t from, struct err *e);

/* prune_write.c */
MUST_CHECK int prune_write_mark(struct prune *p, struct err *e);
int prune_remove_mark(const struct prune *p, struct err *e);
/* 1 more, 0 all segments are written. */
MUST_CHECK int prune_write(struct prune *p, struct err *e);

#endif
