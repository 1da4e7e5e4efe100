/* SPDX-License-Identifier: Apache-2.0
 *
 * From accepted to durable: checkpoints, and the jobs of the synchronising thread. Runs in auditd.
 * A seal's key is destroyed by the first job that covers the seal; until that is done the next seal
 * waits, so that two slots are enough. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/trail_state.h"

int trail_want_checkpoint(struct trail *t, struct err *e)
{
    struct checkpoint c;
    int r = trail_flush(t, e);

    if (r < 0 || t->accepted == t->checkpointed) {
        t->seal_shown = true;
        return r;
    }
    memcpy(c.origin, t->origin, sizeof c.origin);
    c.size = t->accepted;
    merkle_root(&t->chain.merkle, t->chain.digest, c.root);
    buf_clear(&t->checkpoint_note);
    r = checkpoint_sign(&t->checkpoint_note, &c, t->log_key, e);
    if (r < 0)
        return trail_fail(t, e);
    t->checkpoint_size = c.size;
    memcpy(t->checkpoint_root, c.root, sizeof c.root);
    t->seal_shown = true;
    return 0;
}

bool trail_checkpoint_due(const struct trail *t)
{
    return !t->seal_shown;
}

bool trail_checkpoint_waits(const struct trail *t)
{
    return t->checkpoint_size != 0;
}

/* Moves what is to be synchronised now, with the checkpoint that waits, into the job. */
static int fill_job(struct trail *t, struct sync_job *job, struct err *e)
{
    int r = 0;

    job->fd = t->fd;
    job->dir = t->dir;
    job->upto = t->accepted;
    job->keys = t->destroy_due && t->accepted >= t->seal_end ? t->keys : NULL;
    job->high_mark = t->high_mark;
    job->mark_slot = t->mark_slot;
    job->new_epoch = t->chain.epoch.number + 1;
    job->checkpoint_size = t->checkpoint_size;
    memcpy(job->root, t->checkpoint_root, sizeof job->root);
    buf_clear(&job->checkpoint);
    if (t->checkpoint_size)
        r = buf_put(&job->checkpoint, buf_head(&t->checkpoint_note), buf_len(&t->checkpoint_note));
    if (r < 0) {
        err_set(e, (enum err_code)r, "no memory for a checkpoint");
        return trail_fail(t, e);
    }
    t->checkpoint_size = 0;
    t->unsynced_bytes = 0;
    return 0;
}

static int job_ended(struct trail *t, const struct sync_job *job, struct err *e)
{
    if (e->code < 0)
        return trail_fail(t, e);
    t->durable = job->upto;
    if (job->checkpoint_size) {
        t->checkpointed = job->checkpoint_size;
        t->mark_slot = !job->mark_slot;
    }
    if (job->keys)
        t->destroy_due = false;
    return 0;
}

int trail_sync_now(struct trail *t, struct err *e)
{
    int r = trail_failed(t, e);

    if (r < 0)
        return r;
    INVARIANT(!t->sync.busy);
    r = fill_job(t, &t->sync.job, e);
    if (r < 0)
        return r;
    e->code = 0;
    t->sync.job.patient = true;
    if (sync_job_run(&t->sync.job, &t->sync.took_ns, e) < 0)
        return trail_fail(t, e);
    return job_ended(t, &t->sync.job, e);
}

int trail_settle(struct trail *t, struct err *e)
{
    int r = trail_flush(t, e);

    if (r == 0 && t->sync.busy) {
        r = trail_sync_collect(&t->sync, true);
        *e = t->sync.error;
        r = r < 0 ? trail_fail(t, e) : job_ended(t, &t->sync.job, e);
    }
    return r < 0 ? r : trail_sync_now(t, e);
}

int trail_seal(struct trail *t, const struct vkey *next_log, struct err *e)
{
    int r = trail_failed(t, e);

    if (r == 0 && t->destroy_due)
        r = trail_settle(t, e);
    if (r == 0)
        r = trail_put_seal(t, next_log, e);
    if (r < 0)
        return r;
    t->destroy_due = true;
    t->seal_end = t->chain.next;
    t->seal_shown = false;
    return 0;
}

int trail_sync_begin(struct trail *t, struct err *e)
{
    int r = trail_failed(t, e);

    if (r < 0)
        return r;
    r = fill_job(t, &t->sync.job, e);
    t->sync.job.patient = false;
    if (r == 0)
        trail_sync_post(&t->sync);
    return r;
}

bool trail_sync_busy(const struct trail *t)
{
    return t->sync.busy;
}

int trail_sync_fd(const struct trail *t)
{
    return t->sync.event;
}

int trail_sync_end(struct trail *t, struct err *e)
{
    int r = trail_sync_collect(&t->sync, false);

    if (r < 0) {
        *e = t->sync.error;
        return trail_fail(t, e);
    }
    if (r == 0)
        return trail_failed(t, e);
    *e = t->sync.error;
    return job_ended(t, &t->sync.job, e);
}

uint64_t trail_sync_ns(const struct trail *t)
{
    return t->sync.took_ns;
}

bool trail_tiles_trouble(struct trail *t, char *text, size_t cap)
{
    bool failing = !t->sync.busy ? t->sync.job.tiles_failure.code < 0 : t->tiles_failing;
    bool news = failing && !t->tiles_failing;

    t->tiles_failing = failing;
    if (news)
        snprintf(text, cap, "%s", t->sync.job.tiles_failure.text);
    return news;
}
