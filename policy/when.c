/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/when.h. Windows become spans of one week at load, so that a decision is one look at
 * the zone and one search. Used by authd. Pure. */
#include "policy/when.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/yaml_tree.h"

#define EXPECTED "expected a window such as \"Mon-Fri 08:00-20:00 Asia/Seoul\""

/* How many edges of windows and changes of clocks are looked through for the next change; sixteen a
 * day, for longer than the week after which all repeats itself. */
#define STEPS_MAX 256

static const char *const day_names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", NULL};

/* One name of a day at *p; -1. */
static int take_day(const char **p)
{
    for (int i = 0; day_names[i]; i++) {
        if (strncmp(*p, day_names[i], 3) == 0) {
            *p += 3;
            return i;
        }
    }
    return -1;
}

static int bad_day(const char *p, struct err *e)
{
    char word[24], shown[100];
    const size_t len = strcspn(p, " ,-");
    const size_t keep = len < sizeof word ? len : sizeof word - 1;

    memcpy(word, p, keep);
    word[keep] = 0;
    const char *near = nearest_word(word, day_names);
    escape_text(shown, sizeof shown, word, keep);
    if (near)
        return err_set(e, ERR_SYNTAX, "unknown day \"%s\" (did you mean \"%s\"?), " EXPECTED, shown,
                       near);
    return err_set(e, ERR_SYNTAX, "found \"%s\" where a day is due, " EXPECTED, shown);
}

static int take_days(const char **p, uint8_t *days, struct err *e)
{
    *days = 0;
    for (;;) {
        const char *start = *p;
        int first = take_day(p), last;
        if (first < 0)
            return bad_day(start, e);
        last = first;
        if (**p == '-') {
            start = ++*p;
            last = take_day(p);
            if (last < 0)
                return bad_day(start, e);
        }
        for (int day = first;; day = (day + 1) % 7) {
            if (*days & 1u << day)
                return err_set(e, ERR_SYNTAX, "found %s a second time, expected each day once",
                               day_names[day]);
            *days |= (uint8_t)(1u << day);
            if (day == last)
                break;
        }
        if (**p == ',') {
            ++*p;
            continue;
        }
        if (!**p)
            return err_set(e, ERR_SYNTAX, "found days alone, " EXPECTED);
        return **p == ' ' ? 0 : bad_day(start, e);
    }
}

/* "HH:MM", 00:00 to 24:00; -1. */
static int take_time(const char **p)
{
    const char *s = *p;

    for (int i = 0; i < 5; i++) {
        if (i == 2 ? s[i] != ':' : s[i] < '0' || s[i] > '9')
            return -1;
    }
    const int hours = (s[0] - '0') * 10 + s[1] - '0', minutes = (s[3] - '0') * 10 + s[4] - '0';
    if (minutes > 59 || hours * 60 + minutes > 1440)
        return -1;
    *p += 5;
    return hours * 60 + minutes;
}

int when_window_parse(const char *text, struct when_window *out, struct err *e)
{
    const char *p = text;
    char shown[200];

    memset(out, 0, sizeof *out);
    int rc = take_days(&p, &out->days, e);
    if (rc < 0)
        return rc;
    p++;
    const char *times = p;
    const int from = take_time(&p);
    const int to = from >= 0 && *p == '-' ? (p++, take_time(&p)) : -1;
    if (from < 0 || from == 1440 || to < 0 || (*p && *p != ' '))
        return err_set(e, ERR_SYNTAX,
                       "found \"%s\" where times are due, expected them from 00:00 to 24:00, as in "
                       "08:00-20:00",
                       escape_text(shown, sizeof shown, times, strnlen(times, 31)));
    if (to == 0)
        return err_set(e, ERR_SYNTAX, "found 00:00 as the end of a window, expected 24:00");
    if (from == to)
        return err_set(e, ERR_SYNTAX,
                       "found a window that ends when it begins, expected 00:00-24:00 for whole "
                       "days");
    if (!*p)
        return err_set(e, ERR_SYNTAX, "found no time zone, " EXPECTED " (UTC always works)");
    p++;
    if (!zone_name_good(p))
        return err_set(e, ERR_SYNTAX,
                       "found \"%s\" where a time zone is due, expected a name such as Asia/Seoul "
                       "or UTC",
                       escape_text(shown, sizeof shown, p, strnlen(p, 40)));
    strcpy(out->zone, p);
    out->from = (uint16_t)from;
    out->to = (uint16_t)to;
    return 0;
}

static int by_from(const void *a, const void *b)
{
    const struct when_span *x = a, *y = b;

    return x->from != y->from ? (x->from < y->from ? -1 : 1) : (x->to > y->to) - (x->to < y->to);
}

size_t when_spans(const struct when_window *windows, size_t count, struct when_span *out)
{
    size_t n = 0, joined = 0;

    for (size_t i = 0; i < count; i++) {
        const struct when_window *w = &windows[i];
        for (unsigned day = 0; day < 7; day++) {
            if (!(w->days & 1u << day))
                continue;
            const unsigned from = day * 1440 + w->from;
            const unsigned to = day * 1440 + w->to + (w->to <= w->from ? 1440 : 0);
            out[n++] = (struct when_span){(uint16_t)from,
                                          (uint16_t)(to < WEEK_MINUTES ? to : WEEK_MINUTES)};
            if (to > WEEK_MINUTES)
                out[n++] = (struct when_span){0, (uint16_t)(to - WEEK_MINUTES)};
        }
    }
    qsort(out, n, sizeof *out, by_from);
    for (size_t i = 0; i < n; i++) {
        if (joined && out[i].from <= out[joined - 1].to) {
            if (out[i].to > out[joined - 1].to)
                out[joined - 1].to = out[i].to;
        } else {
            out[joined++] = out[i];
        }
    }
    return joined;
}

/* Whether the zone's windows are open at t, and the first instant after it that is an edge of one
 * or a change of the zone's clocks; INT64_MAX: none. */
static bool zone_open(const struct when_zone *z, int64_t t, int64_t *next)
{
    const int64_t week_s = (int64_t)WEEK_MINUTES * 60, monday = 4 * INT64_C(86400); /* 1970-01-05 */
    const int64_t local = t + zone_offset(z->zone, t, next);
    const int64_t of_week = ((local - monday) % week_s + week_s) % week_s;
    const struct when_span *s = z->spans, *end = s + z->count;
    const int64_t minute = of_week / 60;
    int64_t edge;

    while (s < end && s->to <= minute)
        s++;
    const bool open = s < end && s->from <= minute;
    if (open)
        edge = s->to;
    else if (s < end)
        edge = s->from;
    else
        edge = WEEK_MINUTES + z->spans[0].from;
    /* What lasts to the end of the week goes on in the next one. */
    if (open && edge == WEEK_MINUTES && z->spans[0].from == 0)
        edge = WEEK_MINUTES + z->spans[0].to;
    if (t + edge * 60 - of_week < *next)
        *next = t + edge * 60 - of_week;
    return open;
}

static bool any_open(const struct when *w, int64_t t, int64_t *next)
{
    bool open = false;

    *next = INT64_MAX;
    for (size_t i = 0; i < w->count; i++) {
        int64_t edge;
        open |= zone_open(&w->zones[i], t, &edge);
        if (edge < *next)
            *next = edge;
    }
    return open;
}

bool when_open(const struct when *w, uint64_t now_s, uint64_t *until_s)
{
    int64_t next;

    *until_s = 0;
    if (!w || !w->count)
        return true;
    for (size_t i = 0; i < w->count; i++) {
        if (w->zones[i].spans[0].to - w->zones[i].spans[0].from == (int)WEEK_MINUTES)
            return true; /* no change of clocks matters either */
    }
    const bool open =
        any_open(w, now_s < (uint64_t)ZONE_TIME_MAX ? (int64_t)now_s : ZONE_TIME_MAX, &next);
    for (int i = 0; i < STEPS_MAX && next <= ZONE_TIME_MAX; i++) {
        const int64_t edge = next;
        if (any_open(w, edge, &next) != open) {
            *until_s = (uint64_t)edge;
            break;
        }
    }
    return open;
}
