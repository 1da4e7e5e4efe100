/* SPDX-License-Identifier: Apache-2.0
 *
 * A time as people write it in policy tests and to the tools: "2026-03-02 10:00 Asia/Seoul". Pure.
 */
#include "policy/set.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define EXPECTED "expected a time such as \"2026-03-02 10:00 Asia/Seoul\""

/* Exactly count digits at *p; -1. */
static int digits(const char **p, int count)
{
    int value = 0;

    for (int i = 0; i < count; i++, ++*p) {
        if (**p < '0' || **p > '9')
            return -1;
        value = value * 10 + (**p - '0');
    }
    return value;
}

static bool take(const char **p, char c)
{
    return **p == c && ++*p;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && zone_leap_year(year) ? 29 : days[month - 1];
}

/* Seconds of the local date and time; -1. */
static int64_t local_time(const char **p)
{
    int year, month, day, hour, minute;

    if ((year = digits(p, 4)) < 1970 || !take(p, '-') || (month = digits(p, 2)) < 1 || month > 12 ||
        !take(p, '-') || (day = digits(p, 2)) < 1 || day > days_in(year, month) || !take(p, ' ') ||
        (hour = digits(p, 2)) < 0 || hour > 23 || !take(p, ':') || (minute = digits(p, 2)) < 0 ||
        minute > 59)
        return -1;
    return zone_days(year, (unsigned)month, (unsigned)day) * 86400 + hour * 3600 + minute * 60;
}

int policy_moment(const struct policy *p, const char *text, uint64_t *now_s, struct err *e)
{
    const struct zone *zone = NULL;
    const char *at = text;
    char shown[300];
    int64_t found[2];
    uint32_t index;
    const int64_t local_s = local_time(&at);

    escape_text(shown, sizeof shown, text, strnlen(text, 64));
    if (local_s < 0 || (*at && *at != ' '))
        return err_set(e, ERR_SYNTAX, "found \"%s\", " EXPECTED, shown);
    if (!*at)
        return err_set(e, ERR_SYNTAX, "found \"%s\" without a time zone, " EXPECTED, shown);
    at++;
    if (table_get(&p->zone_by_name, at, strlen(at), &index)) {
        zone = p->zones[index].zone;
    } else if (strcmp(at, "UTC") != 0) {
        const char *near = zone_nearest_name(at);
        return err_set(e, ERR_NOT_FOUND, "unknown time zone \"%s\"%s%s%s, " EXPECTED,
                       shown + (at - text), near ? " (did you mean \"" : "", near ? near : "",
                       near ? "\"?)" : "");
    }
    const size_t count = zone_instants(zone, local_s, found);
    if (!count)
        return err_set(e, ERR_INPUT,
                       "found \"%s\", which no clock there shows: clocks are put forward over it",
                       shown);
    if (found[0] < 0)
        return err_set(e, ERR_INPUT, "found \"%s\", expected a time after 1970", shown);
    *now_s = (uint64_t)found[0];
    return 0;
}
