/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of struct trail, shared by the trail_*.c that write, recover and open. */
#ifndef SALLYPORT_AUDIT_TRAIL_STATE_H
#define SALLYPORT_AUDIT_TRAIL_STATE_H

#include "audit/high_mark.h"
#include "audit/segment_state.h"
#include "audit/segments.h"
#include "audit/trail.h"
#include "audit/trail_batch.h"
#include "audit/trail_space.h"
#include "audit/trail_sync.h"
#include "base/json_out.h"

/* Sessions that are over stay known for so long, for a decision that names one late. */
#define TRAIL_OVER_KEPT 1024u

struct trail {
    int dir, lock, fd;
    char origin[NOTE_NAME_MAX + 1];
    EVP_PKEY *log_key;
    struct chain chain;
    struct epoch_keys *keys;
    bool destroy_due;           /* the last seal is not durable yet, or its key not destroyed */
    uint64_t seal_end;          /* index behind that seal */
    bool seal_shown;            /* a checkpoint that covers the last seal was signed */
    int high_mark;              /* 0: none */
    unsigned mark_slot;         /* where the next goes */
    struct checkpoint known[2]; /* the high mark, the witnessed one; size 0: not there */
    int64_t clock_ns;           /* real minus boot time, when it was looked at last */
    uint64_t segment_max;
    uint64_t epoch_max;     /* records of an epoch at most */
    uint64_t segment_bytes; /* in the file */
    struct trail_batch batch;
    uint64_t accepted, durable;
    uint64_t unsynced_bytes;
    uint64_t checkpointed;    /* size of the newest checkpoint on disk */
    uint64_t checkpoint_size; /* of the one that waits in checkpoint_note */
    uint8_t checkpoint_root[RECORD_HASH_SIZE];
    struct buf checkpoint_note;
    struct trail_sync sync; /* its job has the tiles */
    bool tiles_failing;     /* and it was told */
    struct trail_space space;
    struct err failure; /* code 0: none */
};

/* Makes and opens the file of a new segment and appends its first record. */
MUST_CHECK int trail_new_segment(struct trail *t, struct err *e);
/* Remembers the first failure and returns it. */
int trail_fail(struct trail *t, struct err *e);
/* 0, or the failure that was. */
int trail_failed(const struct trail *t, struct err *e);
/* All that was appended is durable when this returns, and the key of a seal in it destroyed. */
MUST_CHECK int trail_settle(struct trail *t, struct err *e);
/* The seal's record alone: trail_seal does the rest. */
MUST_CHECK int trail_put_seal(struct trail *t, const struct vkey *next_log, struct err *e);
/* Appends the JSON object in `payload` (begun by json_begin) as a record of auditd's own. */
MUST_CHECK int trail_append_json(struct trail *t, uint8_t type,
                                 const uint8_t session[RECORD_SESSION_ID], struct json_out *j,
                                 struct err *e);

/* Opens the keys, which must be those of the epoch that the chain is in. */
MUST_CHECK int trail_take_keys(struct trail *t, struct err *e);

/* Walks the log; leaves chain, fd and segment_bytes at its end. */
MUST_CHECK int trail_recover(struct trail *t, const struct anchor *a, const struct checkpoint *c,
                             struct trail_report *report, struct err *e);

/* The segment in use is closed, durable, and the next begun. ERR_BUSY: there is no room for it. */
MUST_CHECK int trail_rotate(struct trail *t, struct err *e);

#endif
