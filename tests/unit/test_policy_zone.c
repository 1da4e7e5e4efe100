/* SPDX-License-Identifier: Apache-2.0
 *
 * The zone's clock against the C library's, over every zone that tzdata has; and files that are
 * none. */
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/zone.h"
#include "policy/zone_rule.h"

#define ZONEINFO "/usr/share/zoneinfo/"

static unsigned char bytes[65536];
static size_t bytes_len;

static struct zone *read_zone(const char *name, struct err *e)
{
    char path[300];

    snprintf(path, sizeof path, ZONEINFO "%s", name);
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    bytes_len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return zone_parse(bytes, bytes_len, e);
}

static long library_offset(int64_t t)
{
    const time_t when = (time_t)t;
    struct tm tm;

    cr_assert_not_null(localtime_r(&when, &tm));
    return tm.tm_gmtoff;
}

static void set_zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

/* From t on, to the first change that the library sees within a year. */
static void compare_change(const char *name, const struct zone *z, int64_t t)
{
    int64_t until;
    const int32_t offset = zone_offset(z, t, &until);

    cr_expect_eq(offset, library_offset(t), "%s at %lld: %d", name, (long long)t, offset);
    if (until == INT64_MAX)
        return;
    cr_assert_gt(until, t);
    cr_expect_eq(offset, library_offset(until - 1), "%s before %lld", name, (long long)until);
    cr_expect_eq(zone_offset(z, until, NULL), library_offset(until), "%s from %lld", name,
                 (long long)until);
}

static size_t zones_seen;

static int compare_zone(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    const char *name = path + sizeof ZONEINFO - 1;
    struct err e = ERR_INIT;

    (void)st, (void)ftw;
    if (type != FTW_F || !zone_name_good(name) || strncmp(name, "right/", 6) == 0 ||
        strncmp(name, "posix", 5) == 0 || strcmp(name, "localtime") == 0)
        return 0;
    struct zone *z = read_zone(name, &e);
    if (!z) {
        /* leapseconds, tzdata.zi and the like are beside the zones */
        cr_expect(memcmp(bytes, "TZif", 4) != 0, "%s: %s", name, e.text);
        return 0;
    }
    zones_seen++;
    set_zone(name);
    /* Every 41 days, at a different second each time, to beyond the table's end in 2037. */
    for (int64_t t = 0; t < INT64_C(2366841600) /* 2045 */; t += 41 * 86400 + 3607)
        compare_change(name, z, t);
    for (int64_t t = INT64_C(4102444800) /* 2100 */; t < INT64_C(4165516800); t += 17 * 86400 + 61)
        compare_change(name, z, t);
    zone_free(z);
    return 0;
}

Test(policy_zone, as_the_c_library)
{
    cr_assert_eq(nftw(ZONEINFO, compare_zone, 8, FTW_PHYS), 0);
    cr_expect_gt(zones_seen, 300);
}

/* Around each change of some years, second by second: summer time north and south, half hours, a
 * change of half an hour, one before the epoch's rules, a day that was left out. */
Test(policy_zone, at_each_change)
{
    static const struct {
        const char *name;
        int from, to; /* years */
    } cases[] = {{"Europe/Berlin", 1979, 2050},
                 {"America/New_York", 1970, 2050},
                 {"America/Santiago", 1970, 2050},
                 {"Australia/Sydney", 1970, 2050},
                 {"Australia/Lord_Howe", 1980, 2050},
                 {"Asia/Seoul", 1986, 1990},
                 {"Asia/Kolkata", 1970, 1975},
                 {"Asia/Kathmandu", 1985, 1987},
                 {"Pacific/Apia", 2009, 2014},
                 {"Africa/Casablanca", 2010, 2040},
                 {"Asia/Gaza", 2020, 2045},
                 {"Europe/Dublin", 1970, 2040},
                 {"America/Nuuk", 2020, 2045},
                 {"Antarctica/Troll", 2004, 2045},
                 {"America/Scoresbysund", 2020, 2045},
                 {"Asia/Pyongyang", 2014, 2019}};
    size_t changes = 0;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        struct zone *z = read_zone(cases[i].name, &e);
        int64_t until = zone_days(cases[i].from, 1, 1) * 86400;
        cr_assert_not_null(z, "%s: %s", cases[i].name, e.text);
        set_zone(cases[i].name);
        const size_t before = changes;
        while (zone_offset(z, until, &until), until < zone_days(cases[i].to, 1, 1) * 86400) {
            changes++;
            for (int64_t t = until - 2; t <= until + 2; t++)
                cr_expect_eq(zone_offset(z, t, NULL), library_offset(t), "%s at %lld",
                             cases[i].name, (long long)t);
            cr_assert_lt(changes, 5000);
        }
        cr_expect(changes > before || strcmp(cases[i].name, "Asia/Kolkata") == 0, "%s",
                  cases[i].name);
        zone_free(z);
    }
    cr_expect_gt(changes, 900);
}

static int64_t utc(int64_t year, unsigned month, unsigned day, int hour, int minute)
{
    return zone_days(year, month, day) * 86400 + hour * 3600 + minute * 60;
}

Test(policy_zone, gaps_and_overlaps)
{
    struct zone *z = read_zone("Europe/Berlin", NULL);
    int64_t at[2];

    cr_assert_not_null(z);
    cr_expect_eq(zone_instants(z, utc(2026, 3, 29, 1, 59), at), 1);
    cr_expect_eq(at[0], utc(2026, 3, 29, 0, 59));
    cr_expect_eq(zone_instants(z, utc(2026, 3, 29, 2, 0), at), 0);
    cr_expect_eq(zone_instants(z, utc(2026, 3, 29, 2, 59), at), 0);
    cr_expect_eq(zone_instants(z, utc(2026, 3, 29, 3, 0), at), 1);
    cr_expect_eq(at[0], utc(2026, 3, 29, 1, 0));
    cr_expect_eq(zone_instants(z, utc(2026, 10, 25, 2, 30), at), 2);
    cr_expect_eq(at[0], utc(2026, 10, 25, 0, 30));
    cr_expect_eq(at[1], utc(2026, 10, 25, 1, 30));
    cr_expect_eq(zone_instants(z, utc(2026, 10, 25, 3, 0), at), 1);
    cr_expect_eq(zone_instants(z, utc(2090, 7, 1, 12, 0), at), 1);
    cr_expect_eq(at[0], utc(2090, 7, 1, 10, 0));
    cr_expect_eq(zone_instants(NULL, 77, at), 1);
    cr_expect_eq(at[0], 77);
    zone_free(z);
    zone_free(NULL);
}

/* TZ strings that tzdata's files do not have, against the library. */
Test(policy_zone, rules)
{
    static const char *const good[] = {"UTC0",
                                       "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
                                       "IST-2IDT,M3.4.4/26,M10.5.0",
                                       "XXX-5:30:15YYY-6:00,J60/2,J300/2:30:10",
                                       "AAA12BBB11,59/2,299",
                                       "NZST-12NZDT,M9.5.0,M4.1.0/3",
                                       "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"};
    static const char *const bad[] = {"",
                                      "U0",
                                      "UTC",
                                      "UTC25",
                                      "UTC0x",
                                      "EST5EDT",
                                      "EST5EDT,",
                                      "EST5EDT,M3.2.0",
                                      "<>0",
                                      "<AB>0",
                                      "<ABC0",
                                      "EST5EDT,M13.2.0,M11.1.0",
                                      "EST5:60",
                                      "UTC--1",
                                      "EST5EDT,M3.6.0,M11.1.0",
                                      "EST5EDT,M3.2.7,M11.1.0",
                                      "EST5EDT,J0,J9",
                                      "EST5EDT,366,9",
                                      "EST5EDT,M3.2.0/168,M11.1.0",
                                      "EST5EDT,M3.2.0,M11.1.0,",
                                      "99999999999999999999",
                                      "EST5EDT,M3.2.0/:,M11.1.0"};
    struct zone_rule rule;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(zone_rule_parse(good[i], &rule), "%s", good[i]);
        set_zone(good[i]);
        for (int64_t t = utc(1970, 2, 1, 0, 0); t < utc(2040, 1, 1, 0, 0); t += 5 * 3600 + 7) {
            int64_t until;
            cr_assert_eq(zone_rule_offset(&rule, t, &until), library_offset(t), "%s at %lld",
                         good[i], (long long)t);
            cr_assert_gt(until, t);
        }
    }
    /* RFC 8536, 3.3.1: summer time all year; glibc 2.36 has a gap of five hours at New Year. */
    cr_assert(zone_rule_parse("EST5EDT,0/0,J365/25", &rule));
    for (int64_t t = utc(1970, 2, 1, 0, 0); t < utc(2040, 1, 1, 0, 0); t += 3607) {
        int64_t until;
        cr_assert_eq(zone_rule_offset(&rule, t, &until), -4 * 3600, "%lld", (long long)t);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(!zone_rule_parse(bad[i], &rule), "%s", bad[i]);
}

/* Cut at every byte, and each byte of the headers changed: an error or a zone, never anything
 * else. */
Test(policy_zone, damaged_files)
{
    struct err e = ERR_INIT;
    struct zone *z = read_zone("Europe/Berlin", &e);

    cr_assert_not_null(z);
    zone_free(z);
    for (size_t len = 0; len < bytes_len; len++)
        cr_expect_null(zone_parse(bytes, len, &e), "%zu", len);
    for (size_t at = 0; at < bytes_len; at++) {
        bytes[at] ^= 0xff;
        z = zone_parse(bytes, bytes_len, &e);
        if (z)
            (void)zone_offset(z, 1700000000, NULL);
        else
            cr_expect(e.text[0]);
        zone_free(z);
        bytes[at] ^= 0xff;
    }
}

Test(policy_zone, names)
{
    static const char *const good[] = {"UTC",       "Asia/Seoul", "America/Argentina/Buenos_Aires",
                                       "Etc/GMT+5", "EST5EDT",    "America/Port-au-Prince"};
    static const char *const bad[] = {"",     "/",         "/etc",    "Asia/", "Asia//Seoul",
                                      "../x", "Asia/../x", "Asia/.x", "1",     "+05",
                                      "A B",  "A\n",       "A/1"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(zone_name_good(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(!zone_name_good(bad[i]), "%s", bad[i]);
    cr_expect_str_eq(zone_nearest_name("Asia/Soul"), "Asia/Seoul");
    cr_expect_str_eq(zone_nearest_name("europe/berlin"), "Europe/Berlin");
    cr_expect_null(zone_nearest_name("nowhere"));
}
