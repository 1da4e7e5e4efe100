/* SPDX-License-Identifier: Apache-2.0
 *
 * Nobody fills the trail for all: a session has the limit of its role (max-bytes), and the sessions
 * of one operator together have a share of the disk. Runs in auditd; limit and operator come from
 * authd by way of the supervisor, never from the backend. A session that reaches either is not read
 * for ten seconds (an administrator may have made room), then it is ended; the others go on.
 *
 * What an operator used counts for half a day to a day, over all sessions, so that many sessions
 * one after the other do not fill what one may not. A restarted recorder has forgotten it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/auditd_state.h"
#include "base/clock.h"

/* Paused so long before it is ended. */
#define PAUSE_MS 10000u
#define HALF_MS  (12u * 3600u * 1000u)
/* Operators with use in a day; the policy bounds them far below, a restart forgets them. */
#define OPERATORS_MAX 65536u
#define MIB           (1024u * 1024u)

int shares_hold(struct producer *p, const struct auditd_producer *m, struct err *e)
{
    struct disk_watch *d = &p->auditd->disk;
    struct operator_use *use;

    p->max_bytes = m->max_bytes;
    TAILQ_FOREACH(use, &d->operators, entry)
    {
        if (strcmp(use->name, m->operator_name) == 0)
            break;
    }
    if (!use) {
        use = d->operator_count < OPERATORS_MAX ? calloc(1, sizeof *use) : NULL;
        if (!use)
            return err_set(e, ERR_MEMORY, "no memory for an operator's share");
        memcpy(use->name, m->operator_name, sizeof use->name);
        TAILQ_INSERT_HEAD(&d->operators, use, entry);
        d->operator_count++;
    }
    use->holders++;
    p->use = use;
    return 0;
}

void shares_release(struct producer *p)
{
    if (p->use)
        p->use->holders--;
    p->use = NULL;
}

/* Of what would be free if this operator had used nothing. */
static uint64_t share_bytes(const struct disk_watch *d, uint64_t used)
{
    if (d->share.percent)
        return (d->free.available + used) / 100 * d->share.value;
    return d->share.value ? d->share.value : UINT64_MAX;
}

static bool session_is_over_limit(const struct producer *p)
{
    return p->max_bytes && p->bytes >= p->max_bytes;
}

static bool operator_is_over_share(const struct producer *p)
{
    uint64_t used = p->use->now + p->use->before;

    /* What break-glass sessions write has a reserve of its own. */
    return !p->break_glass && used >= share_bytes(&p->auditd->disk, used);
}

void shares_count(struct producer *p, uint64_t bytes)
{
    char text[200];
    bool limit;

    if (!p->use)
        return;
    p->bytes += bytes;
    p->use->now += bytes;
    /* A session that ends by itself is not in the way. */
    if (p->pause != PAUSE_NOT || p->stopped || p->ended)
        return;
    limit = session_is_over_limit(p);
    if (!limit && !operator_is_over_share(p))
        return;
    if (limit)
        snprintf(text, sizeof text,
                 "a session of %s reached its limit of %" PRIu64 " MiB; it is paused", p->use->name,
                 p->max_bytes / MIB);
    else
        snprintf(text, sizeof text,
                 "the sessions of %s filled their share of the trail's disk, %" PRIu64
                 " MiB; this one is paused",
                 p->use->name, (p->use->now + p->use->before) / MIB);
    disk_alarm(p->auditd, p->session, limit ? "session-limit" : "operator-share", text);
    producer_pause(p, PAUSE_LIMIT);
}

void shares_look(struct producer *p, uint64_t now_ms)
{
    bool limit = session_is_over_limit(p);
    char text[300];

    if (now_ms - p->paused_ms < PAUSE_MS)
        return;
    if (!limit && !operator_is_over_share(p)) {
        producer_resume(p);
        return;
    }
    if (limit)
        snprintf(text, sizeof text,
                 "this session reached its limit of %" PRIu64
                 " MiB in the audit trail (max-bytes of its role)",
                 p->max_bytes / MIB);
    else
        snprintf(text, sizeof text,
                 "the sessions of %s filled their share of the audit trail's disk (%" PRIu64
                 " MiB in a day)",
                 p->use->name, (p->use->now + p->use->before) / MIB);
    disk_end_session(p, limit ? "max-bytes" : "share", text);
}

void shares_tick(struct disk_watch *d, uint64_t now_ms)
{
    struct operator_use *use, *next;

    if (now_ms - d->half_ms < HALF_MS)
        return;
    d->half_ms = now_ms;
    for (use = TAILQ_FIRST(&d->operators); use; use = next) {
        next = TAILQ_NEXT(use, entry);
        use->before = use->now;
        use->now = 0;
        if (use->before > 0 || use->holders > 0)
            continue;
        TAILQ_REMOVE(&d->operators, use, entry);
        d->operator_count--;
        free(use);
    }
}

void shares_clear(struct disk_watch *d)
{
    struct operator_use *use;

    while ((use = TAILQ_FIRST(&d->operators))) {
        TAILQ_REMOVE(&d->operators, use, entry);
        free(use);
    }
    d->operator_count = 0;
}
