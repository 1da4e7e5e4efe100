/* SPDX-License-Identifier: Apache-2.0
 *
 * The grant's limits of time: idle (no input; without a terminal, no output either) and max
 * (since the start), the latter told five minutes ahead. Runs in the backend; the time comes from
 * its loop. */
#include <stdio.h>

#include "gateway/backend_session.h"

#define MINUTE_MS 60000u
#define TOLD_MS   (5u * MINUTE_MS)

static uint64_t idle_at(const struct backend *b)
{
    return b->granted.idle_s == 0 ? UINT64_MAX : b->active_ms + b->granted.idle_s * 1000ull;
}

static uint64_t max_at(const struct backend *b)
{
    return b->granted.max_s == 0 ? UINT64_MAX : b->started_ms + b->granted.max_s * 1000ull;
}

/* Only for a session that is longer than the warning's own time. */
static uint64_t told_at(const struct backend *b)
{
    if (b->max_told || b->granted.max_s == 0 || b->granted.max_s * 1000ull <= TOLD_MS)
        return UINT64_MAX;
    return max_at(b) - TOLD_MS;
}

static const char *duration(uint32_t seconds, char out[40])
{
    static const struct {
        uint32_t seconds;
        const char *one, *more;
    } units[] = {{3600, "hour", "hours"}, {60, "minute", "minutes"}, {1, "second", "seconds"}};
    size_t i = 0;

    while (seconds % units[i].seconds != 0)
        i++;
    uint32_t n = seconds / units[i].seconds;
    snprintf(out, 40, "%u %s", n, n == 1 ? units[i].one : units[i].more);
    return out;
}

void limits_step(struct backend *b)
{
    char text[200], length[40];

    if (b->phase == PHASE_DRAIN && b->now_ms >= max_at(b))
        end_drained(b);
    if (b->phase != PHASE_READY)
        return;
    if (b->now_ms >= told_at(b)) {
        b->max_told = true;
        snprintf(text, sizeof text, "this session ends in 5 minutes: your role permits %s",
                 duration(b->granted.max_s, length));
        relay_notice_text(b, RELAY_NEWEST, text);
    }
    if (b->now_ms >= max_at(b))
        end_begin(b, "max", EXIT_TRY_AGAIN, "this session ended: your role permits %s",
                  duration(b->granted.max_s, length));
    else if (b->now_ms >= idle_at(b))
        end_begin(b, "idle", EXIT_TRY_AGAIN,
                  "this session ended: nothing was typed or transferred for %s",
                  duration(b->granted.idle_s, length));
}

uint64_t limits_next_ms(const struct backend *b)
{
    uint64_t next = UINT64_MAX;

    if (b->phase == PHASE_DRAIN)
        return max_at(b);
    if (b->phase != PHASE_READY)
        return next;
    if (idle_at(b) < next)
        next = idle_at(b);
    if (max_at(b) < next)
        next = max_at(b);
    if (told_at(b) < next)
        next = told_at(b);
    return next;
}
