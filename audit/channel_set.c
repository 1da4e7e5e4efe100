/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranges of channel numbers; see channel_set.h. Runs in auditd and in readers. */
#include "audit/channel_set.h"

#include <stddef.h>

bool channel_set_has(const struct channel_set *s, uint32_t number)
{
    for (unsigned i = 0; i < s->count; i++)
        if (number >= s->ranges[i].first && number <= s->ranges[i].last)
            return true;
    return false;
}

void channel_set_add(struct channel_set *s, uint32_t number)
{
    struct channel_range *below = NULL, *above = NULL;

    for (unsigned i = 0; i < s->count; i++) {
        if (number > 0 && s->ranges[i].last == number - 1)
            below = &s->ranges[i];
        if (number < UINT32_MAX && s->ranges[i].first == number + 1)
            above = &s->ranges[i];
    }
    if (below && above) {
        below->last = above->last;
        *above = s->ranges[--s->count];
    } else if (below) {
        below->last = number;
    } else if (above) {
        above->first = number;
    } else if (s->count < CHANNEL_SET_RANGES) {
        s->ranges[s->count++] = (struct channel_range){number, number};
    }
}
