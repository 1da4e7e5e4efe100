/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation ahead of the trail's writer: see audit/trail_space.h. Runs in auditd. What is
 * allocated here is never taken by others on the same file system, so a write(2) into it cannot
 * find the disk full; that it is written at all remains the write's business to find out. */
#include "audit/trail_space.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define RESERVE (SPACE_ENDS + SPACE_SMALL)
/* A file system that is full is asked again after so long. */
#define RETRY_MS  500
#define TRIES_MAX 8u

int space_look(int dir, struct space_free *out, struct err *e)
{
    struct statvfs v;

    if (fstatvfs(dir, &v) < 0)
        return err_errno(e, "cannot ask what is free on the trail's file system");
    out->available = (uint64_t)v.f_bavail * v.f_frsize;
    out->total = (uint64_t)v.f_blocks * v.f_frsize;
    return 0;
}

static uint64_t available(const struct trail_space *s)
{
    struct space_free f = {0, 0};
    struct err e = ERR_INIT;

    return space_look(s->dir, &f, &e) == 0 ? f.available : 0;
}

static uint64_t step_of(const struct trail_space *s)
{
    uint64_t step = available(s) / 16;

    return step > SPACE_STEP ? SPACE_STEP : step < SPACE_STEP_MIN ? SPACE_STEP_MIN : step;
}

/* 0, or why not: ENOSPC and the like; EOPNOTSUPP is remembered. */
static int allocate(struct trail_space *s, int fd, uint64_t from, uint64_t to)
{
    unsigned tries = 0;
    int r;

    do {
        r = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
        /* A file system that says at once that there is room may have counted roughly. */
    } while (r < 0 && (errno == EINTR ||
                       (errno == ENOSPC && tries++ < TRIES_MAX && available(s) > 2 * (to - from))));
    s->unsure = r < 0 && errno != ENOSPC && errno != EDQUOT;
    if (r == 0)
        return 0;
    r = errno;
    if (r == EOPNOTSUPP || r == ENOSYS || r == EINVAL || r == EFBIG) {
        s->no_fallocate = true;
        if (!s->said)
            log_warn("no-preallocation",
                     "error=\"the trail's file system cannot allocate ahead; what it says is free "
                     "counts instead\"");
        s->said = true;
    }
    return r;
}

void space_init(struct trail_space *s, int dir)
{
    *s = (struct trail_space){.dir = dir, .fd = -1, .next_fd = -1};
}

void space_clear(struct trail_space *s)
{
    if (s->next_fd < 0)
        return;
    close(s->next_fd);
    s->next_fd = -1;
    (void)unlinkat(s->dir, s->next_name, 0);
}

void space_begin(struct trail_space *s, int fd, uint64_t bytes, uint64_t segment_max)
{
    struct stat st;

    s->fd = fd;
    /* A segment has no holes: it has the blocks that were allocated before a crash. */
    s->allocated = fstat(fd, &st) == 0 && st.st_blocks > 0 ? (uint64_t)st.st_blocks * 512 : 0;
    if (s->allocated < bytes)
        s->allocated = bytes;
    space_ahead(s, bytes, segment_max);
}

void space_ahead(struct trail_space *s, uint64_t bytes, uint64_t segment_max)
{
    uint64_t step, to, most = segment_max + RESERVE;
    int r;

    if (s->no_fallocate || s->fd < 0)
        return;
    /* Steps early, so that what comes at once does not find its end: one is the longest payload, to
     * which its header comes. */
    if (s->allocated >= most || s->allocated >= bytes + RESERVE + 2 * SPACE_STEP_MIN ||
        clock_mono_ms() < s->retry_ms)
        return;
    step = step_of(s);
    to = bytes + RESERVE + step;
    if (to > most)
        to = most > bytes + RESERVE ? most : bytes + RESERVE;
    r = allocate(s, s->fd, bytes, to);
    if (r != 0 && r != EOPNOTSUPP)
        log_info("no-room-ahead", "errno=%d from=%" PRIu64 " to=%" PRIu64, r, bytes, to);
    for (unsigned i = 0; r != 0 && !s->no_fallocate && i < 2; i++) {
        to = bytes + RESERVE + (i == 0 ? SPACE_STEP_MIN : 0);
        if (to > s->allocated)
            r = allocate(s, s->fd, bytes, to);
    }
    if (r == 0)
        s->allocated = to;
    else
        s->retry_ms = clock_mono_ms() + RETRY_MS;
}

uint64_t space_room(const struct trail_space *s, enum space_use use, uint64_t bytes)
{
    uint64_t end = s->no_fallocate || s->unsure ? bytes + available(s) : s->allocated,
             kept = use == SPACE_SESSION ? RESERVE : SPACE_ENDS;

    return end > bytes + kept ? end - bytes - kept : 0;
}

bool space_prepare(struct trail_space *s)
{
    int r;

    if (s->next_fd >= 0)
        return true;
    if (clock_mono_ms() < s->retry_ms)
        return false;
    if (s->no_fallocate)
        return available(s) > RESERVE + SPACE_STEP_MIN;
    s->next_fd = openat(s->dir, SPACE_NEXT_FILE,
                        O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    s->next_name = SPACE_NEXT_FILE;
    if (s->next_fd < 0) {
        log_warn("no-next-segment", "errno=%d", errno);
        s->retry_ms = clock_mono_ms() + RETRY_MS;
        return false;
    }
    r = allocate(s, s->next_fd, 0, RESERVE + step_of(s));
    if (r == 0 || s->no_fallocate)
        return true;
    log_warn("no-room-for-next-segment", "errno=%d", r);
    s->retry_ms = clock_mono_ms() + RETRY_MS;
    space_clear(s);
    return false;
}

void space_take(struct trail_space *s, int fd, const char *name)
{
    space_clear(s);
    s->next_fd = fd;
    s->next_name = name;
}

int space_open(struct trail_space *s, const char *name, struct err *e)
{
    int fd = s->next_fd;

    s->next_fd = -1;
    if (fd < 0) {
        fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                    0640);
        return fd < 0 ? err_errno(e, "cannot make segment %s", name) : fd;
    }
    if (renameat2(s->dir, s->next_name, s->dir, name, RENAME_NOREPLACE) == 0)
        return fd;
    err_errno(e, "cannot make segment %s", name);
    close(fd);
    return ERR_SYSTEM;
}

void space_give_back(int fd)
{
    struct stat st;

    /* What is written stays; blocks behind it are let go. */
    if (fstat(fd, &st) == 0 && ftruncate(fd, st.st_size) < 0)
        log_warn("space-not-given-back", "errno=%d", errno);
}
