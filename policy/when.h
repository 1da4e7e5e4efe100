/* SPDX-License-Identifier: Apache-2.0
 *
 * Hours: when a role holds.
 *
 *     window = days " " time "-" time " " zone        "Mon-Fri 08:00-20:00 Asia/Seoul"
 *     days   = (day / day "-" day) *("," ...)         Mon Tue Wed Thu Fri Sat Sun; "Fri-Mon" wraps
 *     time   = 00:00 to 24:00; where the second is not after the first, it is of the next day
 *
 * A window is open while a clock on the wall of that zone shows a time within it: its begin counts,
 * its end does not. So where clocks are put forward over a window's begin it opens at once, a
 * window that lies whole in the gap does not open, and an hour that comes twice is twice within.
 * Used by authd's loader and the decision. Pure. */
#ifndef SALLYPORT_POLICY_WHEN_H
#define SALLYPORT_POLICY_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/zone.h"

#define WHEN_TEXT_MAX    128
#define WHEN_WINDOWS_MAX 32 /* of one role */
#define WEEK_MINUTES     (7u * 24 * 60)

struct when_window {
    uint8_t days;      /* bit 0: Monday */
    uint16_t from, to; /* minutes of the day; to 1 to 1440; to <= from: of the next day */
    char zone[ZONE_NAME_MAX + 1];
};
/* ERR_SYNTAX with what was found and what was expected. */
MUST_CHECK int when_window_parse(const char *text, struct when_window *out, struct err *e);

/* Minutes of the week, from Monday 00:00; sorted, none touches another. */
struct when_span {
    uint16_t from, to; /* to at most WEEK_MINUTES */
};
struct when_zone {
    const struct zone *zone; /* NULL: UTC */
    const struct when_span *spans;
    size_t count;
};
struct when {
    const struct when_zone *zones;
    size_t count;     /* 0: always */
    const char *text; /* as it was written, for people */
};

/* The spans of windows of one zone, joined where they touch. Returns how many; out has room for
 * count * 14. */
size_t when_spans(const struct when_window *windows, size_t count, struct when_span *out);

/* Is any window open? *until_s: the next instant at which that changes, 0: never. */
bool when_open(const struct when *w, uint64_t now_s, uint64_t *until_s);

#endif
