/* SPDX-License-Identifier: Apache-2.0
 *
 * The clocks (base/clock.h). Their calls cannot fail with these arguments; that is checked. */
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/err.h"

#define NS_PER_S 1000000000u

static uint64_t now_ns(clockid_t id)
{
    struct timespec t;

    INVARIANT(clock_gettime(id, &t) == 0);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_real_ns(void)
{
    return now_ns(CLOCK_REALTIME);
}

uint64_t clock_boot_ns(void)
{
    return now_ns(CLOCK_BOOTTIME);
}

uint64_t clock_mono_ms(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000000u;
}

/* Not gmtime_r: glibc reads TZ and may open the time zone file at its first use, which a sealed
 * process may not. This is civil_from_days of Howard Hinnant, "chrono-compatible low-level date
 * algorithms". */
static int date_text(char *out, size_t cap, uint64_t seconds)
{
    uint64_t days = seconds / 86400, rest = seconds % 86400;
    uint64_t z = days + 719468;
    uint64_t era = z / 146097, day_of_era = z % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t shifted = (5 * day_of_year + 2) / 153;
    uint64_t day = day_of_year - (153 * shifted + 2) / 5 + 1;
    uint64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    uint64_t year = year_of_era + era * 400 + (month <= 2);

    return snprintf(out, cap,
                    "%04" PRIu64 "-%02" PRIu64 "-%02" PRIu64 "T%02" PRIu64 ":%02" PRIu64
                    ":%02" PRIu64,
                    year, month, day, rest / 3600, rest / 60 % 60, rest % 60);
}

const char *clock_iso(char out[CLOCK_TEXT], uint64_t real_ns)
{
    int n = date_text(out, CLOCK_TEXT, real_ns / NS_PER_S);

    snprintf(out + n, CLOCK_TEXT - (size_t)n, ".%09uZ", (unsigned)(real_ns % NS_PER_S));
    return out;
}

const char *clock_iso_seconds(char out[CLOCK_TEXT], uint64_t real_ns)
{
    int n = date_text(out, CLOCK_TEXT, real_ns / NS_PER_S);

    snprintf(out + n, CLOCK_TEXT - (size_t)n, "Z");
    return out;
}
