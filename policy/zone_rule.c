/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/zone_rule.h. The instants of two changes a year are computed for this year and two on
 * each side, so that rules that reach over New Year, by a week at most, need no case of their own.
 * Source: POSIX.1-2017, XBD 8.3 (TZ); RFC 8536, 3.3.1. */
#include "policy/zone_rule.h"

#include <stddef.h>
#include <string.h>

#include "policy/zone.h"

#define DAY 86400

bool zone_leap_year(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int64_t zone_days(int64_t year, unsigned month, unsigned day)
{
    /* Years begin in March, so that the leap day is the last one. */
    const int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
    const int64_t of_era = y - era * 400;
    const int64_t of_year = (153 * (int64_t)(month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t zone_year(int64_t local_s)
{
    const int64_t days = local_s / DAY - (local_s % DAY < 0);
    int64_t year = 1970 + days / 366; /* not too late after 1970, not too early before */

    while (zone_days(year, 1, 1) > days)
        year--;
    while (zone_days(year + 1, 1, 1) <= days)
        year++;
    return year;
}

/* Decimal digits, at most max; -1: none or more. */
static int number(const char **p, int max)
{
    int value = 0;

    if (**p < '0' || **p > '9')
        return -1;
    for (; **p >= '0' && **p <= '9'; ++*p) {
        value = value * 10 + (**p - '0');
        if (value > max)
            return -1;
    }
    return value;
}

/* [+-]hh[:mm[:ss]] */
static bool get_time(const char **p, int hours_max, int32_t *out)
{
    const int sign = **p == '-' ? -1 : 1;
    int parts[3] = {0}, n = 0;

    if (**p == '-' || **p == '+')
        ++*p;
    do {
        parts[n] = number(p, n ? 59 : hours_max);
        if (parts[n] < 0)
            return false;
        n++;
    } while (n < 3 && **p == ':' && *++*p);
    *out = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
    return true;
}

static bool skip_name(const char **p)
{
    const char *start = *p;

    if (**p == '<') {
        const char *end = strchr(*p, '>');
        if (!end || end - *p < 4)
            return false;
        *p = end + 1;
        return true;
    }
    while ((**p >= 'A' && **p <= 'Z') || (**p >= 'a' && **p <= 'z'))
        ++*p;
    return *p - start >= 3;
}

static bool get_day(const char **p, struct zone_day *out)
{
    int a, b, c;

    memset(out, 0, sizeof *out);
    out->time_s = 2 * 3600;
    if (**p == 'M') {
        ++*p;
        a = number(p, 12);
        if (a < 1 || *(*p)++ != '.')
            return false;
        b = number(p, 5);
        if (b < 1 || *(*p)++ != '.')
            return false;
        c = number(p, 6);
        if (c < 0)
            return false;
        out->kind = ZONE_DAY_OF_MONTH;
        out->month = (uint8_t)a;
        out->week = (uint8_t)b;
        out->day = (uint16_t)c;
    } else {
        const bool julian = **p == 'J';
        *p += julian;
        a = number(p, 365);
        if (a < julian)
            return false;
        out->kind = julian ? ZONE_DAY_JULIAN : ZONE_DAY_OF_YEAR;
        out->day = (uint16_t)a;
    }
    if (**p != '/')
        return true;
    ++*p;
    return get_time(p, 167, &out->time_s);
}

bool zone_rule_parse(const char *text, struct zone_rule *out)
{
    const char *p = text;

    memset(out, 0, sizeof *out);
    if (!skip_name(&p) || !get_time(&p, 24, &out->standard))
        return false;
    out->standard = -out->standard; /* POSIX counts westwards */
    if (!*p)
        return true;
    if (!skip_name(&p))
        return false;
    out->has_summer = true;
    out->summer = out->standard + 3600;
    if (*p && *p != ',') {
        if (!get_time(&p, 24, &out->summer))
            return false;
        out->summer = -out->summer;
    }
    return *p++ == ',' && get_day(&p, &out->begins) && *p++ == ',' && get_day(&p, &out->ends) &&
           !*p;
}

/* Local seconds at which the change happens in that year. */
static int64_t change_at(const struct zone_day *d, int64_t year)
{
    int64_t day;

    switch (d->kind) {
    case ZONE_DAY_JULIAN:
        day = zone_days(year, 1, 1) + d->day - 1 + (zone_leap_year(year) && d->day >= 60);
        break;
    case ZONE_DAY_OF_YEAR:
        day = zone_days(year, 1, 1) + d->day;
        break;
    default: {
        const int64_t first = zone_days(year, d->month, 1);
        const int64_t next =
            d->month == 12 ? zone_days(year + 1, 1, 1) : zone_days(year, d->month + 1u, 1);
        const int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        day = first + (d->day - weekday + 7) % 7 + 7 * (d->week - 1);
        while (day >= next)
            day -= 7;
    }
    }
    return day * DAY + d->time_s;
}

int32_t zone_rule_offset(const struct zone_rule *rule, int64_t t, int64_t *until)
{
    int64_t best = INT64_MIN;
    int32_t offset = rule->standard;

    *until = INT64_MAX;
    if (!rule->has_summer)
        return rule->standard;
    const int64_t year = zone_year(t + rule->standard);
    for (int64_t y = year - 2; y <= year + 2; y++) {
        const struct {
            int64_t at;
            int32_t then;
        } changes[] = {
            /* Where one summer's end is the next one's beginning, the beginning counts. */
            {change_at(&rule->ends, y) - rule->summer, rule->standard},
            {change_at(&rule->begins, y) - rule->standard, rule->summer},
        };
        for (size_t i = 0; i < 2; i++) {
            if (changes[i].at > t) {
                if (changes[i].at < *until)
                    *until = changes[i].at;
            } else if (changes[i].at > best ||
                       (changes[i].at == best && changes[i].then == rule->summer)) {
                best = changes[i].at;
                offset = changes[i].then;
            }
        }
    }
    return offset;
}
