/* SPDX-License-Identifier: Apache-2.0
 *
 * Hours, against a definition that is slow and plain: a window is open at t when the C library's
 * clock of its zone shows a day and time within it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/when.h"

static struct zone *read_zone(const char *name)
{
    static unsigned char bytes[16384];
    char path[200];

    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f, "%s", path);
    const size_t len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    struct zone *z = zone_parse(bytes, len, NULL);
    cr_assert_not_null(z);
    return z;
}

static bool plain_window(const struct when_window *w, const struct tm *tm)
{
    const unsigned today = (unsigned)(tm->tm_wday + 6) % 7, before = (today + 6) % 7;
    const int minute = tm->tm_hour * 60 + tm->tm_min;

    if (w->to > w->from)
        return (w->days & 1u << today) && minute >= w->from && minute < w->to;
    return ((w->days & 1u << today) && minute >= w->from) ||
           ((w->days & 1u << before) && minute < w->to);
}

static bool plain_open(const struct when_window *windows, size_t count, int64_t t)
{
    bool open = false;

    for (size_t i = 0; i < count; i++) {
        const time_t when = (time_t)t;
        struct tm tm;
        setenv("TZ", windows[i].zone, 1);
        tzset();
        localtime_r(&when, &tm);
        open |= plain_window(&windows[i], &tm);
    }
    return open;
}

struct made {
    struct when_span spans[4][64];
    struct when_zone zones[4];
    struct zone *owned[4];
    struct when when;
    struct when_window windows[4];
};

static void make(struct made *m, const char *const *texts, size_t count)
{
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < count; i++) {
        struct err e = ERR_INIT;
        cr_assert_eq(when_window_parse(texts[i], &m->windows[i], &e), 0, "%s: %s", texts[i],
                     e.text);
        if (strcmp(m->windows[i].zone, "UTC") != 0)
            m->owned[i] = read_zone(m->windows[i].zone);
        m->zones[i].zone = m->owned[i];
        m->zones[i].spans = m->spans[i];
        m->zones[i].count = when_spans(&m->windows[i], 1, m->spans[i]);
    }
    m->when.zones = m->zones;
    m->when.count = count;
}

static void unmake(struct made *m)
{
    for (size_t i = 0; i < 4; i++)
        zone_free(m->owned[i]);
}

static const struct {
    const char *texts[4];
    int64_t from; /* where to begin */
} cases[] = {
    {{"Mon-Fri 08:00-20:00 Asia/Seoul"}, 1772323200 /* 2026-03-01 */},
    {{"Mon-Fri 08:00-20:00 Asia/Seoul"}, 547000000 /* May 1987: summer time begins */},
    {{"Mon-Fri 08:00-20:00 Asia/Seoul"}, 560000000 /* and ends */},
    {{"Fri-Mon 22:00-06:00 Europe/Berlin"}, 1774000000 /* March 2026 */},
    {{"Sun 02:00-03:00 Europe/Berlin"}, 1774000000 /* whole in the gap */},
    {{"Sun 02:30-03:30 Europe/Berlin"}, 1774000000},
    {{"Sun 01:30-02:30 Europe/Berlin"}, 1792000000 /* October: an hour twice */},
    {{"Sat 22:00-02:30 Europe/Berlin", "Sun 02:45-03:15 Europe/Berlin"}, 1792000000},
    {{"Mon-Sun 00:00-02:00 Australia/Lord_Howe"}, 1775000000 /* half an hour back */},
    {{"Mon,Wed,Sat 00:00-24:00 America/New_York"}, 1772323200},
    {{"Sat-Mon 12:00-12:30 Asia/Kathmandu", "Tue 23:59-00:01 UTC"}, 1772323200},
    {{"Mon-Fri 09:00-17:00 America/New_York", "Mon-Fri 09:00-17:00 Europe/Berlin",
      "Mon-Fri 09:00-17:00 Asia/Tokyo"},
     1772323200},
    {{"Mon-Fri 09:00-17:00 Australia/Sydney", "Sat 00:00-24:00 UTC"}, 3300000000 /* 2074 */},
    {{"Sun 23:00-01:00 UTC"}, 1772323200},
    {{"Sun 00:00-24:00 UTC", "Mon 00:00-08:00 UTC"}, 1772323200},
};

/* Three weeks, each instant where something could change and those beside it. */
Test(policy_when, as_the_c_library)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count = 0, seen = 0;
        struct made m;
        while (count < 4 && cases[i].texts[count])
            count++;
        make(&m, cases[i].texts, count);
        const int64_t end = cases[i].from + 22 * 86400;
        for (int64_t t = cases[i].from - cases[i].from % 900; t < end;) {
            uint64_t until;
            const bool open = when_open(&m.when, (uint64_t)t, &until);
            cr_assert_eq(open, plain_open(m.windows, count, t), "case %zu at %lld", i,
                         (long long)t);
            cr_assert_gt((int64_t)until, t, "case %zu at %lld", i, (long long)t);
            /* Nothing changes before until, and it does there. */
            for (int64_t k = t; k < (int64_t)until && k < end; k += 900)
                cr_assert_eq(open, plain_open(m.windows, count, k), "case %zu from %lld at %lld", i,
                             (long long)t, (long long)k);
            cr_assert_eq(open, plain_open(m.windows, count, (int64_t)until - 1));
            cr_assert_neq(open, plain_open(m.windows, count, (int64_t)until), "case %zu, %lld", i,
                          (long long)until);
            t = (int64_t)until;
            seen++;
        }
        cr_expect_gt(seen, 2);
        unmake(&m);
    }
}

Test(policy_when, always)
{
    static const char *const all[][4] = {{"Mon-Sun 00:00-24:00 Europe/Berlin"},
                                         {"Mon-Sun 06:00-05:59 UTC", "Mon-Sun 05:00-07:00 UTC"},
                                         {"Mon-Sun 00:00-24:00 UTC", "Mon 01:00-02:00 Asia/Seoul"}};
    uint64_t until = 7;
    const struct when none = {0};

    cr_expect(when_open(&none, 1772323200, &until));
    cr_expect_eq(until, 0);
    for (size_t i = 0; i < 3; i++) {
        struct made m;
        make(&m, all[i], all[i][1] ? 2 : 1);
        if (i == 1) { /* of one zone: joined */
            m.zones[0].count = when_spans(m.windows, 2, m.spans[0]);
            m.when.count = 1;
        }
        cr_expect(when_open(&m.when, 1772323200, &until), "%zu", i);
        cr_expect_eq(until, 0, "%zu", i);
        unmake(&m);
    }
}

/* The ends of time are no special case for anybody else. */
Test(policy_when, far_away)
{
    static const char *const one[] = {"Mon-Fri 08:00-20:00 Europe/Berlin"};
    uint64_t until;
    struct made m;

    make(&m, one, 1);
    (void)when_open(&m.when, 0, &until);
    cr_expect_gt(until, 0);
    (void)when_open(&m.when, UINT64_MAX, &until);
    (void)when_open(&m.when, (uint64_t)ZONE_TIME_MAX - 1, &until);
    (void)when_open(&m.when, (uint64_t)INT64_MAX + 1, &until);
    unmake(&m);
}
