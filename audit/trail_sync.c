/* SPDX-License-Identifier: Apache-2.0
 *
 * The synchronising thread. Runs in auditd. The thread touches only the job that was posted (with
 * the epochs' keys, when the job has them: nobody else uses them then) and the fields under the
 * lock; a checkpoint comes to it signed. A sealed epoch's key is destroyed when, and not before,
 * its seal is durable. A failure is
 * reported once and never retried: after a failed fdatasync the kernel may have dropped the pages.
 */
#include "audit/trail_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "audit/checkpoint.h"
#include "audit/high_mark.h"
#include "audit/tiles.h"
#include "base/log.h"

/* Full tiles are written four at a time: while little happens, no more often than once in 1,000
 * records, so that a lone keystroke seldom waits for it. */
#define TILES_GATHER (4 * TILE_WIDTH)

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* New file, fdatasync, rename, fsync of the directory: a reader sees the old or the new one. */
static int write_checkpoint(const struct sync_job *job, struct err *e)
{
    const uint8_t *p = buf_head(&job->checkpoint);
    size_t left = buf_len(&job->checkpoint);
    int failed, r = 0,
                fd = openat(job->dir, CHECKPOINT_FILE_NEW,
                            O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (fd < 0)
        return err_errno(e, "cannot make %s", CHECKPOINT_FILE_NEW);
    while (left > 0) {
        ssize_t n = write(fd, p, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = err_errno(e, "cannot write %s", CHECKPOINT_FILE_NEW);
            goto out;
        }
        p += n;
        left -= (size_t)n;
    }
    if (fdatasync(fd) < 0)
        r = err_errno(e, "cannot synchronise %s", CHECKPOINT_FILE_NEW);
    else if (renameat(job->dir, CHECKPOINT_FILE_NEW, job->dir, CHECKPOINT_FILE) < 0)
        r = err_errno(e, "cannot rename %s", CHECKPOINT_FILE_NEW);
    else if (fsync(job->dir) < 0)
        r = err_errno(e, "cannot synchronise the trail's directory");
out:
    failed = errno;
    close(fd);
    errno = failed;
    return r;
}

/* Tiles for the checkpoint, or full ones that have gathered. Behind fdatasync, so that no tile is
 * ahead of the trail. */
static int advance_tiles(struct sync_job *job, struct err *e)
{
    uint64_t behind = job->upto - tiles_next(job->tiles);
    struct checkpoint c = {.size = job->checkpoint_size};
    int r;

    if (!c.size) {
        /* What could not be written is tried again with the next checkpoint. */
        if (job->tiles_failure.code < 0 || behind < TILES_GATHER)
            return job->tiles_failure.code;
        return tiles_advance(job->tiles, job->upto, TILES_SLICE, e);
    }
    memcpy(c.root, job->root, sizeof c.root);
    r = tiles_advance(job->tiles, c.size, job->patient ? 0 : 4 * TILES_SLICE, e);
    if (r == 0 && tiles_next(job->tiles) < c.size)
        job->checkpoint_size = 0; /* they are made good in slices */
    else if (r == 0)
        r = tiles_finish(job->tiles, &c, e);
    return r;
}

static void do_tiles(struct sync_job *job)
{
    struct err e = ERR_INIT;
    bool failed = job->tiles_failure.code < 0;
    int r = advance_tiles(job, &e);

    if (r == ERR_TAMPERED) {
        /* Once more from the beginning: perhaps a tile was wrong that these go on from. */
        tiles_load(job->tiles, NULL);
        if (job->patient && job->checkpoint_size)
            r = advance_tiles(job, &e);
    }
    if (r == 0) {
        if (failed)
            log_info("tiles-written", "records=%llu", (unsigned long long)tiles_next(job->tiles));
        job->tiles_failure.code = 0;
        return;
    }
    job->checkpoint_size = 0;
    if (!failed) {
        log_warn("tiles-not-written", "error=\"%s\"", e.text);
        job->tiles_failure = e;
    }
}

int sync_job_run(struct sync_job *job, uint64_t *took_ns, struct err *e)
{
    uint64_t begun = now_ns();
    int r;

    if (fdatasync(job->fd) < 0)
        return err_errno(e, "fdatasync of the trail failed");
    *took_ns = now_ns() - begun;
    if (job->keys && epoch_keys_replace(job->keys, job->new_epoch, e) < 0)
        return err_wrap(e, "the sealed epoch's key was not destroyed");
    if (job->tiles)
        do_tiles(job);
    if (!job->checkpoint_size)
        return 0;
    errno = 0;
    r = write_checkpoint(job, e);
    if (r == 0 && job->high_mark)
        r = high_mark_write(job->high_mark, job->mark_slot, buf_head(&job->checkpoint),
                            buf_len(&job->checkpoint), e);
    if (r < 0 && (errno == ENOSPC || errno == EDQUOT)) {
        log_warn("checkpoint-without-room", "error=\"%s\"", e->text);
        job->checkpoint_size = 0;
        e->code = r = 0;
    }
    return r;
}

static void *sync_thread(void *arg)
{
    struct trail_sync *s = arg;
    const uint64_t one = 1;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct err error = ERR_INIT;
        uint64_t took = 0;

        while (!s->posted && !s->stop)
            pthread_cond_wait(&s->wake, &s->lock);
        if (!s->posted)
            break;
        pthread_mutex_unlock(&s->lock);
        if (sync_job_run(&s->job, &took, &error) < 0)
            INVARIANT(error.code < 0);
        pthread_mutex_lock(&s->lock);
        s->posted = false;
        s->error = error;
        s->took_ns = took;
        INVARIANT(write(s->event, &one, sizeof one) == sizeof one);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int trail_sync_start(struct trail_sync *s, struct err *e)
{
    int r;

    s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->event < 0)
        return err_errno(e, "eventfd");
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    r = pthread_create(&s->thread, NULL, sync_thread, s);
    if (r != 0) {
        errno = r;
        r = err_errno(e, "cannot start the synchronising thread");
        close(s->event);
        return r;
    }
    s->running = true;
    return 0;
}

void trail_sync_stop(struct trail_sync *s)
{
    if (!s->running)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    close(s->event);
    s->running = false;
}

void trail_sync_post(struct trail_sync *s)
{
    INVARIANT(s->running && !s->busy);
    s->busy = true;
    pthread_mutex_lock(&s->lock);
    s->posted = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

int trail_sync_collect(struct trail_sync *s, bool block)
{
    struct pollfd p = {.fd = s->event, .events = POLLIN};
    uint64_t count;

    if (!s->busy)
        return 0;
    while (read(s->event, &count, sizeof count) != sizeof count) {
        if (errno != EAGAIN && errno != EINTR)
            return err_errno(&s->error, "eventfd");
        if (!block)
            return 0;
        (void)poll(&p, 1, -1);
    }
    s->busy = false;
    return 1;
}
