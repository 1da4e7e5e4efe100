/* SPDX-License-Identifier: Apache-2.0
 *
 * See audit/time_text.h. All moments are UTC, as in the trail. */
#include "audit/time_text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND 1000000000ull
#define DAY    (86400u * SECOND)
/* A century: no session is longer, and sums of two stay in 64 bits. */
#define LONGEST (36525ull * DAY)

static uint64_t unit_ns(char unit)
{
    switch (unit) {
    case 'd':
        return DAY;
    case 'h':
        return 3600 * SECOND;
    case 'm':
        return 60 * SECOND;
    case 's':
        return SECOND;
    default:
        return 0;
    }
}

/* A decimal number of at most nine digits and, for seconds, a fraction. */
static const char *number(const char *p, double *out)
{
    size_t digits = strspn(p, "0123456789"), len = digits;
    char plain[24];

    if (digits == 0 || digits > 9)
        return NULL;
    if (p[digits] == '.') {
        size_t fraction = strspn(p + digits + 1, "0123456789");

        if (fraction == 0 || fraction > 9)
            return NULL;
        len += 1 + fraction;
    }
    snprintf(plain, sizeof plain, "%.*s", (int)len, p);
    *out = strtod(plain, NULL);
    return p + len;
}

/* "1m20s": each unit once, in falling order; the last may be left out and is seconds. */
static bool with_units(const char *p, uint64_t *ns)
{
    uint64_t before = UINT64_MAX, sum = 0;
    double value;

    do {
        uint64_t unit;

        p = number(p, &value);
        if (!p)
            return false;
        unit = *p ? unit_ns(*p) : SECOND;
        if (unit == 0 || unit >= before || value * (double)unit > (double)LONGEST)
            return false;
        sum += (uint64_t)(value * (double)unit);
        before = unit;
        if (*p)
            p++;
    } while (*p);
    *ns = sum;
    return sum <= LONGEST;
}

/* "1:20", "1:02:03.5" */
static bool with_colons(const char *p, uint64_t *ns)
{
    double parts[3], sum = 0;
    size_t count = 0;

    for (;;) {
        if (count == 3 || !(p = number(p, &parts[count])) || (count > 0 && parts[count] >= 60))
            return false;
        count++;
        if (*p != ':')
            break;
        p++;
    }
    if (*p || count < 2)
        return false;
    for (size_t i = 0; i < count; i++)
        sum = sum * 60 + parts[i];
    *ns = (uint64_t)(sum * (double)SECOND);
    return *ns <= LONGEST;
}

int time_length_parse(const char *text, uint64_t *ns, struct err *e)
{
    if (with_units(text, ns) || with_colons(text, ns))
        return 0;
    return err_set(e, ERR_SYNTAX,
                   "found \"%.40s\", expected a length of time such as 1m20s, 2h, 90 or 1:20",
                   text);
}

static bool date_and_time(const char *text, const char *format, uint64_t *ns)
{
    struct tm tm = {0};
    const char *end = strptime(text, format, &tm);
    time_t t;

    if (!end || (*end && strcmp(end, "Z") != 0) || !isdigit((unsigned char)text[0]))
        return false;
    t = timegm(&tm);
    *ns = (uint64_t)t * SECOND;
    return t >= 0;
}

int time_moment_parse(const char *text, uint64_t now_ns, uint64_t *ns, struct err *e)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
                                          "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    const uint64_t today = now_ns - now_ns % DAY;
    struct tm tm = {0};
    const char *end;
    uint64_t ago;

    if (strcmp(text, "today") == 0 || strcmp(text, "yesterday") == 0) {
        *ns = text[0] == 't' ? today : today - DAY;
        return 0;
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (date_and_time(text, formats[i], ns))
            return 0;
    end = strptime(text, "%H:%M", &tm);
    if (end && !*end) {
        *ns = today + (uint64_t)(tm.tm_hour * 3600 + tm.tm_min * 60) * SECOND;
        return 0;
    }
    if (with_units(text, &ago) && isalpha((unsigned char)text[strlen(text) - 1])) {
        *ns = ago < now_ns ? now_ns - ago : 0;
        return 0;
    }
    return err_set(
        e, ERR_SYNTAX,
        "found \"%.40s\", expected a time in UTC such as 2026-03-02, \"2026-03-02 14:05\", "
        "14:05, yesterday, or 2h (ago)",
        text);
}
