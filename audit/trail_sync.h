/* SPDX-License-Identifier: Apache-2.0
 *
 * fdatasync in a thread of its own, so that auditd's loop goes on accepting meanwhile, and the
 * atomic write of checkpoints behind it. One job at a time; the result is told by an eventfd. */
#ifndef SALLYPORT_AUDIT_TRAIL_SYNC_H
#define SALLYPORT_AUDIT_TRAIL_SYNC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "audit/epoch_keys.h"
#include "audit/record.h"
#include "base/buf.h"
#include "base/err.h"

/* What one synchronisation makes durable. */
struct sync_job {
    int fd;                   /* the segment */
    int dir;                  /* of the checkpoint */
    uint64_t upto;            /* records that are in the segment and the ones before it */
    struct epoch_keys *keys;  /* not NULL: a seal is among them; its key is destroyed, by putting */
    uint32_t new_epoch;       /* a new key of this epoch in its place */
    uint64_t checkpoint_size; /* 0: no checkpoint, or the disk had no room for it */
    struct buf checkpoint;
    uint8_t root[RECORD_HASH_SIZE]; /* of the checkpoint */
    struct tiles *tiles;            /* NULL: none are kept; the job's alone while it runs */
    bool patient;                   /* nobody waits: all tiles now, however many */
    struct err tiles_failure;       /* of the last attempt; code 0: there is none */
    int high_mark;                  /* 0: none. The checkpoint goes there too, into this slot */
    unsigned mark_slot;
};

struct trail_sync {
    pthread_t thread;
    bool running, stop, posted, busy;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int event;
    struct sync_job job;
    uint64_t took_ns;
    struct err error; /* of the job that ended */
};

/* Does a job here and now. That a checkpoint finds no room on the disk is no failure of the trail:
 * the job's checkpoint_size is 0 then, and the next one covers more. Any other error of it is. No
 * checkpoint is written before its tiles are: while they cannot be, which is tiles_failure and no
 * failure of the trail either, checkpoint_size is 0 too. */
MUST_CHECK int sync_job_run(struct sync_job *job, uint64_t *took_ns, struct err *e);

/* On a zeroed struct whose job.checkpoint is set up; the job stays the caller's to clear. */
MUST_CHECK int trail_sync_start(struct trail_sync *s, struct err *e);
/* Waits for the job under way. Safe on a zeroed struct that never started. */
void trail_sync_stop(struct trail_sync *s);
/* Posts s->job (filled by the caller). Only while not busy. */
void trail_sync_post(struct trail_sync *s);
/* Waits for the job under way (block), or looks: 1: a job ended, its error is in s->error; 0: none.
 */
int trail_sync_collect(struct trail_sync *s, bool block);

#endif
