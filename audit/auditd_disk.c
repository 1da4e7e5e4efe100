/* SPDX-License-Identifier: Apache-2.0
 *
 * The recorder and its disk: marks, exhaustion, slowness. Runs in auditd.
 *
 * normal -> below the soft mark: an alarm. -> below the hard one: an alarm, and no new session.
 * -> exhausted (a session's record would eat into the reserve): every session gets its end record
 * from the reserve and is told to stop; nothing of that record was acknowledged, so nothing of it
 * reaches a hypervisor. The gateway's own records (refused logins) go on from the second part of
 * the reserve, and wait when that is used up. Break-glass sessions go on from a reserve of their
 * own (auditd_glass.c). Once a second the disk is looked at; when there is
 * room again above the hard mark it all goes on by itself. */
#include "audit/auditd_disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/auditd_state.h"
#include "audit/trail_end.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"

#define LOOK_S 1
/* A slow disk is one alarm a minute. */
#define SLOW_ALARM_MS 60000u
/* To leave a level this much more must be free than its mark, so that it does not flutter. */
#define HYSTERESIS 16u
#define MIB        (1024u * 1024u)

#define FULL_TEXT  "the trail cannot be written: No space left on its disk"

static const uint8_t gateway[RECORD_SESSION_ID];

static const struct {
    const char *alarm, *words;
} levels[] = {
    [DISK_NORMAL] = {"disk-recovered", "above its marks again"},
    [DISK_SOFT] = {"disk-soft", "below the soft mark"},
    [DISK_HARD] = {"disk-hard", "below the hard mark: no session starts"},
    [DISK_EXHAUSTED] = {"disk-exhausted", "exhausted: all sessions were ended"},
};

void disk_configure(struct disk_watch *d, const struct auditd_start *m)
{
    d->soft = (struct disk_amount){m->soft_percent, m->soft};
    d->hard = (struct disk_amount){m->hard_percent, m->hard};
    d->share = (struct disk_amount){m->share_percent, m->share};
    d->slow_ms = m->slow_ms;
    d->glass = (struct glass){.reserve = {m->glass_percent, m->glass}, .fd = -1};
}

uint64_t disk_bytes(const struct disk_watch *d, const struct disk_amount *mark)
{
    return mark->percent ? d->free.total / 100 * mark->value : mark->value;
}

static bool below(const struct disk_watch *d, const struct disk_amount *mark, bool leaving)
{
    uint64_t bytes = disk_bytes(d, mark);

    return d->free.available < bytes + (leaving ? bytes / HYSTERESIS + glass_margin(d) : 0);
}

static enum disk_level level_now(struct auditd *a)
{
    const struct disk_watch *d = &a->disk;

    if (d->level == DISK_EXHAUSTED &&
        (below(d, &d->hard, true) || !trail_has_room(a->trail, SPACE_SESSION, SPACE_STEP_MIN)))
        return DISK_EXHAUSTED;
    if (below(d, &d->hard, d->level == DISK_HARD))
        return DISK_HARD;
    if (below(d, &d->soft, d->level == DISK_SOFT || d->level == DISK_HARD))
        return DISK_SOFT;
    return DISK_NORMAL;
}

static void look_at_disk(struct auditd *a)
{
    struct err e = ERR_INIT;

    if (space_look(a->trail_dir, &a->disk.free, &e) < 0)
        log_error("disk-unknown", "error=\"%s\"", e.text);
}

static void append_alarm(struct auditd *a, const uint8_t *session, struct json_out *j)
{
    struct err e = ERR_INIT;

    if (a->failing)
        return;
    if (json_end(j) < 0)
        err_set(&e, ERR_MEMORY, "no memory for an alarm");
    else if (trail_append(a->trail, RECORD_ALARM, session, 0, buf_head(j->out), buf_len(j->out),
                          &e) == 0)
        return;
    auditd_fail(a, &e);
}

void disk_alarm(struct auditd *a, const uint8_t *session, const char *alarm, const char *text)
{
    struct json_out j;
    struct buf payload;

    log_warn(alarm, "text=\"%s\"", text);
    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "alarm", alarm);
    json_bytes(&j, "text", text, strlen(text));
    append_alarm(a, session, &j);
    buf_clear(&payload);
}

void disk_tell_supervisor(struct auditd *a)
{
    const struct disk_watch *d = &a->disk;
    const struct auditd_disk disk = {.level = (uint8_t)d->level,
                                     .available = d->free.available,
                                     .total = d->free.total,
                                     .glass = (uint8_t)d->glass.state,
                                     .glass_bytes = disk_bytes(d, &d->glass.reserve)};
    struct auditd_admission gate = {
        .reason = ADMISSION_DISK, .open = d->level < DISK_HARD, .glass = glass_opens(a)};
    struct err e = ERR_INIT;

    if (!gate.open)
        snprintf(gate.text, sizeof gate.text,
                 "No session can start: the disk of the audit trail is %s (%" PRIu64 " of %" PRIu64
                 " MiB are free). Please tell an administrator.",
                 d->level == DISK_HARD ? "nearly full" : "full", d->free.available / MIB,
                 d->free.total / MIB);
    if (auditd_disk_send(a->supervisor, &disk, NULL, &e) < 0 ||
        auditd_admission_send(a->supervisor, &gate, NULL, &e) < 0)
        log_error("disk-not-told", "error=\"%s\"", e.text);
}

static void change_level(struct auditd *a, enum disk_level level)
{
    struct disk_watch *d = &a->disk;
    bool worse = level > d->level;
    char text[200];

    d->level = level;
    snprintf(text, sizeof text, "the trail's disk is %s; %" PRIu64 " of %" PRIu64 " MiB are free",
             levels[level].words, d->free.available / MIB, d->free.total / MIB);
    disk_alarm(a, gateway, worse ? levels[level].alarm : levels[DISK_NORMAL].alarm, text);
    disk_tell_supervisor(a);
}

void disk_end_session(struct producer *p, const char *reason, const char *text)
{
    struct auditd *a = p->auditd;
    struct err e = ERR_INIT;

    log_warn("session-stopped", "conn=%llu reason=%s", (unsigned long long)p->conn, reason);
    if (p->started && !p->ended && !a->failing &&
        trail_append_end(a->trail, p->state, reason, text, clock_real_ns(), &e) < 0)
        auditd_fail(a, &e);
    p->ended = true;
    producer_stop(p, text);
}

static void exhaust(struct auditd *a)
{
    struct producer *p;

    look_at_disk(a);
    change_level(a, DISK_EXHAUSTED);
    TAILQ_FOREACH(p, &a->producers, all)
    {
        if (p->kind == PRODUCER_BACKEND && !p->stopped && !p->break_glass)
            disk_end_session(p, "trail-full", FULL_TEXT);
    }
}

bool disk_admits(struct producer *p)
{
    struct auditd *a = p->auditd;

    if (a->failing || p->stopped)
        return true; /* what it sends is dropped */
    if (p->pause != PAUSE_NOT)
        return false;
    if (p->kind == PRODUCER_BACKEND) {
        if (a->disk.level == DISK_EXHAUSTED && !p->break_glass) {
            producer_stop(p, FULL_TEXT); /* it came after the others were ended */
        } else if (!trail_has_room(a->trail, SPACE_SESSION, RECORD_PAYLOAD_MAX)) {
            if (a->disk.level != DISK_EXHAUSTED)
                exhaust(a);
            if (p->break_glass && !a->failing)
                (void)glass_admits(p);
        }
        return true;
    }
    if (trail_has_room(a->trail, SPACE_GATEWAY, RECORD_PAYLOAD_MAX))
        return true;
    producer_pause(p, PAUSE_ROOM);
    return false;
}

static void slow_alarm(struct auditd *a, uint64_t took_ms, bool still)
{
    struct disk_watch *d = &a->disk;
    uint64_t now_ms = clock_mono_ms();
    char text[200];

    if (d->slow_alarm_ms && now_ms - d->slow_alarm_ms < SLOW_ALARM_MS)
        return;
    d->slow_alarm_ms = now_ms;
    snprintf(text, sizeof text, "the disk %s %" PRIu64 " ms to make records durable",
             still ? "has taken more than" : "took", took_ms);
    disk_alarm(a, gateway, "slow-disk", text);
}

void disk_synced(struct auditd *a)
{
    struct disk_watch *d = &a->disk;
    uint64_t took_ms = trail_sync_ns(a->trail) / 1000000u;

    if (d->slow_ms == 0 || took_ms < d->slow_ms || d->slow_durable == trail_durable(a->trail))
        return;
    d->slow_durable = trail_durable(a->trail);
    slow_alarm(a, took_ms, false);
}

static void look_for_slowness(struct auditd *a, uint64_t now_ms)
{
    struct disk_watch *d = &a->disk;

    if (!trail_sync_busy(a->trail) || d->waiting_for != trail_durable(a->trail)) {
        d->waiting_ms = now_ms;
        d->waiting_for = trail_durable(a->trail);
    } else if (d->slow_ms && now_ms - d->waiting_ms > d->slow_ms) {
        slow_alarm(a, now_ms - d->waiting_ms, true);
    }
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct auditd *a = arg;
    struct producer *p, *next;
    uint64_t now_ms = clock_mono_ms();
    enum disk_level level;

    (void)fd;
    (void)what;
    if (a->failing || a->done)
        return;
    look_at_disk(a);
    level = level_now(a);
    if (level != a->disk.level)
        change_level(a, level);
    glass_look(a);
    look_for_slowness(a, now_ms);
    shares_tick(&a->disk, now_ms);
    for (p = TAILQ_FIRST(&a->producers); p && !a->failing; p = next) {
        next = TAILQ_NEXT(p, all);
        if (p->pause == PAUSE_LIMIT)
            shares_look(p, now_ms);
        else if (p->pause == PAUSE_ROOM &&
                 trail_has_room(a->trail, SPACE_GATEWAY, RECORD_PAYLOAD_MAX))
            producer_resume(p);
    }
}

int disk_start(struct auditd *a, struct err *e)
{
    static const struct timeval every = {LOOK_S, 0};

    a->disk.half_ms = clock_mono_ms();
    if (space_look(a->trail_dir, &a->disk.free, e) < 0)
        return ERR_SYSTEM;
    glass_start(a);
    a->disk.look = event_new(a->base, -1, EV_PERSIST, on_look, a);
    if (!a->disk.look || event_add(a->disk.look, &every) < 0)
        return err_set(e, ERR_MEMORY, "no memory for events");
    return 0;
}

void disk_begin(struct auditd *a)
{
    enum disk_level level = level_now(a);

    /* A recorder that comes up on a full disk has its reserve alone. */
    if (!trail_has_room(a->trail, SPACE_SESSION, RECORD_PAYLOAD_MAX))
        level = DISK_EXHAUSTED;
    if (level != DISK_NORMAL)
        change_level(a, level);
    else
        disk_tell_supervisor(a);
}

void disk_stop(struct auditd *a)
{
    if (a->disk.look)
        event_free(a->disk.look);
    shares_clear(&a->disk);
    glass_stop(&a->disk.glass);
}
