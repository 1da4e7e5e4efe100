/* SPDX-License-Identifier: Apache-2.0
 *
 * The reserve for break-glass sessions. Runs in auditd. A file beside the segments whose blocks are
 * all allocated and which holds nothing; when the disk is exhausted and such a session writes, that
 * file becomes the next segment, by its name alone: no block is ever free for others in between.
 * What end records need is allocated with it. A file system that cannot allocate ahead has no
 * reserve, and a recorder that is started anew has lost what was left of one in use.
 *
 *     ABSENT --room--> READY --first record--> IN_USE --used up--> SPENT
 *        ^----------------------- room again: made anew ------------'
 *
 * Who may use it is authd's decision; that it is needed is the disk's level. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/auditd_state.h"
#include "base/log.h"

#define OTHERS (SPACE_ENDS + SPACE_SMALL)
#define MIB    (1024u * 1024u)

#define SPENT_TEXT                                                                                 \
    "the trail cannot be written: No space left on its disk, and the break-glass reserve is used " \
    "up"

static const uint8_t gateway[RECORD_SESSION_ID];

static uint64_t wanted(const struct disk_watch *d)
{
    return disk_bytes(d, &d->glass.reserve) + OTHERS;
}

/* All of its blocks, or no file. */
static bool make(struct auditd *a)
{
    struct glass *g = &a->disk.glass;
    struct stat st;
    int fd = openat(a->trail_dir, SPACE_GLASS_FILE,
                    O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (fd < 0) {
        log_warn("no-break-glass-reserve", "errno=%d", errno);
        return false;
    }
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)wanted(&a->disk)) == 0 &&
        fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 >= wanted(&a->disk)) {
        g->fd = fd;
        g->state = GLASS_READY;
        return true;
    }
    log_warn("no-break-glass-reserve", "errno=%d bytes=%" PRIu64, errno, wanted(&a->disk));
    close(fd);
    (void)unlinkat(a->trail_dir, SPACE_GLASS_FILE, 0);
    return false;
}

/* It is not made at the price of the hard mark. */
static bool there_is_room(const struct disk_watch *d)
{
    return d->free.available > wanted(d) + disk_bytes(d, &d->hard) + disk_bytes(d, &d->hard) / 16;
}

/* The file of the recorder before: it stays when it is as large as it should be. */
static bool is_there(struct auditd *a)
{
    struct glass *g = &a->disk.glass;
    struct stat st;

    g->fd = openat(a->trail_dir, SPACE_GLASS_FILE, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (g->fd < 0)
        return false;
    if (fstat(g->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 && st.st_nlink == 1 &&
        (uint64_t)st.st_blocks * 512 >= wanted(&a->disk) &&
        (uint64_t)st.st_blocks * 512 < wanted(&a->disk) + MIB)
        return true;
    close(g->fd);
    g->fd = -1;
    (void)unlinkat(a->trail_dir, SPACE_GLASS_FILE, 0);
    return false;
}

void glass_start(struct auditd *a)
{
    struct glass *g = &a->disk.glass;
    struct err e = ERR_INIT;

    if (g->reserve.value == 0) {
        (void)unlinkat(a->trail_dir, SPACE_GLASS_FILE, 0);
        return;
    }
    g->state = GLASS_ABSENT;
    if (is_there(a))
        g->state = GLASS_READY;
    else if (space_look(a->trail_dir, &a->disk.free, &e) == 0 && there_is_room(&a->disk))
        (void)make(a);
    if (space_look(a->trail_dir, &a->disk.free, &e) < 0)
        log_error("disk-unknown", "error=\"%s\"", e.text);
    if (g->state == GLASS_ABSENT)
        log_warn("no-break-glass-reserve", "available=%" PRIu64 " wanted=%" PRIu64,
                 a->disk.free.available, wanted(&a->disk));
}

void glass_stop(struct glass *g)
{
    if (g->state == GLASS_READY)
        close(g->fd);
}

static void alarm_and_tell(struct auditd *a, const char *alarm, const char *text)
{
    disk_alarm(a, gateway, alarm, text);
    disk_tell_supervisor(a);
}

void glass_look(struct auditd *a)
{
    struct glass *g = &a->disk.glass;

    if (g->state == GLASS_OFF || g->state == GLASS_READY || a->disk.level >= DISK_HARD)
        return;
    if (g->state != GLASS_ABSENT) {
        g->state = GLASS_ABSENT;
        disk_tell_supervisor(a);
    }
    if (!there_is_room(&a->disk) || !make(a))
        return;
    if (g->was_used)
        alarm_and_tell(a, "glass-refilled", "the break-glass reserve is there again");
    else
        disk_tell_supervisor(a);
    g->was_used = false;
}

static bool give(struct auditd *a)
{
    struct glass *g = &a->disk.glass;
    struct err e = ERR_INIT;
    int fd = g->fd;

    g->fd = -1;
    g->state = GLASS_IN_USE;
    g->was_used = true;
    if (trail_go_on_in(a->trail, fd, SPACE_GLASS_FILE, &e) < 0) {
        auditd_fail(a, &e);
        return false;
    }
    alarm_and_tell(a, "glass-in-use", "break-glass sessions are recorded from their reserve now");
    return !a->failing && trail_has_room(a->trail, SPACE_SESSION, RECORD_PAYLOAD_MAX);
}

static void spend(struct auditd *a)
{
    struct glass *g = &a->disk.glass;
    struct producer *p;

    if (g->state == GLASS_IN_USE) {
        g->state = GLASS_SPENT;
        alarm_and_tell(a, "glass-spent",
                       "the break-glass reserve is used up: its sessions were ended");
    }
    TAILQ_FOREACH(p, &a->producers, all)
    {
        if (p->break_glass && !p->stopped)
            disk_end_session(p, "trail-full", SPENT_TEXT);
    }
}

bool glass_admits(struct producer *p)
{
    struct auditd *a = p->auditd;

    if (a->disk.glass.state == GLASS_READY && give(a))
        return true;
    if (!a->failing)
        spend(a);
    return false;
}

bool glass_opens(const struct auditd *a)
{
    const struct glass *g = &a->disk.glass;

    return a->disk.level >= DISK_HARD && (g->state == GLASS_READY || g->state == GLASS_IN_USE);
}

uint64_t glass_margin(const struct disk_watch *d)
{
    bool used = d->glass.state == GLASS_IN_USE || d->glass.state == GLASS_SPENT;

    return used ? OTHERS + SPACE_STEP_MIN : 0;
}
