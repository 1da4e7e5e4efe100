/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes due by time alone: the seal, and the alarm when somebody sets the real clock. Runs
 * in auditd. Epochs go by CLOCK_BOOTTIME, which nobody can set and which counts while the machine
 * sleeps; a step of the real clock is no error, and is told. */
#include <stdlib.h>
#include <string.h>

#include "audit/trail_state.h"
#include "base/clock.h"

static int append_step(struct trail *t, int64_t from_ns, int64_t to_ns, uint64_t real_ns,
                       struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    char before[CLOCK_TEXT], after[CLOCK_TEXT];
    struct json_out j;
    struct buf payload;
    int r;

    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "alarm", "clock-step");
    json_i64(&j, "step_ns", to_ns - from_ns);
    json_str(&j, "would_be", clock_iso(before, real_ns - (uint64_t)(to_ns - from_ns)));
    json_str(&j, "is", clock_iso(after, real_ns));
    json_str(&j, "text", "the real clock was set; the order of records is not touched by that");
    r = trail_append_json(t, RECORD_ALARM, gateway, &j, e);
    buf_clear(&payload);
    return r;
}

int trail_tick(struct trail *t, uint64_t real_ns, uint64_t boot_ns, struct err *e)
{
    int64_t clock = (int64_t)(real_ns - boot_ns), before = t->clock_ns;
    int r = 0;

    t->clock_ns = clock;
    if (llabs(clock - before) > TRAIL_CLOCK_STEP_NS)
        r = append_step(t, before, clock, real_ns, e);
    /* An epoch that began before the machine started anew is old enough in any case. */
    if (r == 0 &&
        (boot_ns < t->chain.epoch.boot_ns || boot_ns - t->chain.epoch.boot_ns >= TRAIL_EPOCH_NS))
        r = trail_seal(t, NULL, e);
    return r;
}
