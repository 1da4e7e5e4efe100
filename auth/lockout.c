/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/lockout.h. A clock set back makes a lock longer, never shorter. */
#include "auth/lockout.h"

#include <time.h>

#define FAR_S (20 * 3600) /* beyond that the hour alone would be ambiguous */

bool lockout_holds(const struct lockout *l, uint64_t now_s)
{
    return l->locked_until_s > now_s;
}

bool lockout_fail(struct lockout *l, const struct lockout_rule *rule, uint64_t now_s)
{
    l->failures++;
    if (l->failures < rule->failures)
        return false;
    l->failures = 0;
    l->locked_until_s = now_s + rule->lock_s;
    return true;
}

void lockout_succeed(struct lockout *l, uint64_t now_s)
{
    l->failures = 0;
    if (!lockout_holds(l, now_s))
        l->locked_until_s = 0;
}

const char *lockout_time_text(uint64_t when_s, uint64_t now_s, char out[LOCKOUT_TIME_TEXT])
{
    time_t t = (time_t)when_s;
    struct tm tm;
    bool far = when_s > now_s + FAR_S || when_s + FAR_S < now_s;

    if (!gmtime_r(&t, &tm) ||
        strftime(out, LOCKOUT_TIME_TEXT, far ? "%Y-%m-%d %H:%M UTC" : "%H:%M UTC", &tm) == 0)
        out[0] = '\0';
    return out;
}
