/* SPDX-License-Identifier: Apache-2.0
 *
 * From appended to accepted to durable, once per round of the loop, for all producers together: one
 * write(2), one fdatasync(2) for whoever waits, one answer each. Runs in auditd.
 *
 * A lone keystroke is synchronised by this thread: a hop to the other thread and back costs more
 * than the disk's own time is worth there. As soon as several producers are at work, much is
 * unsynchronised, or the disk is slow, the other thread does it, and this one goes on accepting. */
#include "audit/auditd_state.h"
#include "base/json_out.h"
#include "base/log.h"

/* Output is durable within 100 ms: this timer, and one fdatasync under way before it. */
#define SOON_MS 40
/* Above this the hop is small beside the wait, and others would feel the wait. */
#define INLINE_NS    1000000u
#define INLINE_BYTES 65536u

void auditd_activate(struct producer *p)
{
    if (p->is_active)
        return;
    p->is_active = true;
    TAILQ_INSERT_TAIL(&p->auditd->active, p, active);
}

static bool durable_wanted(const struct auditd *a)
{
    const struct producer *p;

    TAILQ_FOREACH(p, &a->active, active)
    {
        if (p->want_durable > p->durable)
            return true;
    }
    return false;
}

/* What is accepted now is what this synchronisation covers. */
static void mark_settling(struct auditd *a)
{
    struct producer *p;

    TAILQ_FOREACH(p, &a->active, active)
    p->settling = p->received;
}

static void mark_durable(struct auditd *a)
{
    struct producer *p;

    TAILQ_FOREACH(p, &a->active, active)
    p->durable = p->settling;
}

static void tell_all(struct auditd *a)
{
    struct producer *p, *next;

    for (p = TAILQ_FIRST(&a->active); p; p = next) {
        next = TAILQ_NEXT(p, active);
        producer_tell(p);
    }
}

static void arm_soon(struct auditd *a)
{
    const struct timeval when = {0, SOON_MS * 1000};

    if (a->soon_armed || trail_unsynced_bytes(a->trail) == 0)
        return;
    a->soon_armed = true;
    evtimer_add(a->soon, &when);
}

void auditd_soon(evutil_socket_t fd, short what, void *arg)
{
    struct auditd *a = arg;
    struct err e = ERR_INIT;

    (void)fd;
    (void)what;
    a->soon_armed = false;
    if (a->failing || trail_sync_busy(a->trail) || trail_unsynced_bytes(a->trail) == 0)
        return;
    mark_settling(a);
    if (trail_sync_begin(a->trail, &e) < 0)
        auditd_fail(a, &e);
}

void auditd_sync_ended(evutil_socket_t fd, short what, void *arg)
{
    struct auditd *a = arg;
    struct err e = ERR_INIT;
    bool busy = trail_sync_busy(a->trail);

    (void)fd;
    (void)what;
    if (a->failing) /* nobody waits for it any more, and it would stay readable */
        event_del(a->sync_ended);
    if (!busy || a->failing)
        return;
    if (trail_sync_end(a->trail, &e) < 0)
        auditd_fail(a, &e);
    else if (!trail_sync_busy(a->trail))
        mark_durable(a);
    if (!a->failing)
        disk_synced(a);
}

static int synchronise(struct auditd *a, struct err *e)
{
    bool wanted = durable_wanted(a);

    if (trail_sync_busy(a->trail) || (!wanted && !trail_checkpoint_due(a->trail))) {
        arm_soon(a);
        return 0;
    }
    if (trail_checkpoint_due(a->trail)) {
        int r = trail_want_checkpoint(a->trail, e);

        if (r < 0 || !(wanted || trail_checkpoint_waits(a->trail)))
            return r;
    } else if (a->turns == 1 && trail_unsynced_bytes(a->trail) <= INLINE_BYTES &&
               trail_sync_ns(a->trail) <= INLINE_NS) {
        mark_settling(a);
        if (trail_sync_now(a->trail, e) < 0)
            return ERR_TRAIL;
        mark_durable(a);
        disk_synced(a);
        return 0;
    }
    mark_settling(a);
    return trail_sync_begin(a->trail, e);
}

/* Tiles that cannot be written hold the checkpoint back: somebody should look at the disk. */
static int tell_tiles_trouble(struct auditd *a, struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    struct json_out j;
    struct buf payload;
    char text[ERR_TEXT_MAX];
    int r;

    if (!trail_tiles_trouble(a->trail, text, sizeof text))
        return 0;
    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "alarm", "tiles-not-written");
    json_str(&j, "text", text);
    r = json_end(&j);
    if (r < 0)
        err_set(e, (enum err_code)r, "cannot compose an alarm record");
    else
        r = trail_append(a->trail, RECORD_ALARM, gateway, 0, buf_head(&payload), buf_len(&payload),
                         e);
    buf_clear(&payload);
    return r;
}

void auditd_settle(struct auditd *a)
{
    struct err e = ERR_INIT;
    int r;

    if (a->failing || a->done)
        return;
    r = tell_tiles_trouble(a, &e);
    if (r == 0)
        r = trail_flush(a->trail, &e);
    if (r == 0)
        r = synchronise(a, &e);
    if (r == 0) {
        tell_all(a);
        /* Telling may have ended a producer, and that is a record. */
        r = a->failing ? 0 : trail_flush(a->trail, &e);
        arm_soon(a);
    }
    if (r < 0)
        auditd_fail(a, &e);
    else
        elsewhere_settled(a);
    a->turns = 0;
}
