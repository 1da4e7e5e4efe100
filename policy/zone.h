/* SPDX-License-Identifier: Apache-2.0
 *
 * A time zone: the offset from UTC at each instant, from a TZif file (RFC 8536, version 2 and
 * later: 64-bit transitions, and a POSIX TZ string for all that comes after them). authd is
 * chrooted and a decision is a pure function of its set, so the files come in the set's block and
 * are read by this and not by the C library. Bytes are hostile. Pure. */
#ifndef SALLYPORT_POLICY_ZONE_H
#define SALLYPORT_POLICY_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ZONE_NAME_MAX 64    /* the longest of tzdata 2025b has 32 */
#define ZONE_FILE_MAX 65536 /* the longest of tzdata 2025b has 3.5 KB */

/* What instants may be asked about: the years 1900 to 9999, seconds since 1970. */
#define ZONE_TIME_MIN INT64_C(-2208988800)
#define ZONE_TIME_MAX INT64_C(253402300799)

struct zone;

/* NULL on error: ERR_SYNTAX with what is wrong, ERR_MEMORY. Leap seconds are refused. */
struct zone *zone_parse(const void *bytes, size_t len, struct err *e);
void zone_free(struct zone *z);

/* Seconds east of UTC at t, which is clamped into the range above. *until (may be NULL): the next
 * instant after t at which that may change, INT64_MAX: never. z NULL is UTC. */
int32_t zone_offset(const struct zone *z, int64_t t, int64_t *until);

/* The instants at which clocks of the zone show local_s (seconds of their own date and time since
 * 1970-01-01 00:00): none in a gap, two in an overlap, ascending. */
size_t zone_instants(const struct zone *z, int64_t local_s, int64_t out[2]);

/* "Asia/Seoul": parts of letters, digits, "_", "+" and "-", each beginning with a letter. */
bool zone_name_good(const char *name);
/* The nearest of the names that tzdata has, for messages; NULL: none is near. */
const char *zone_nearest_name(const char *name);

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; month 1 to 12. */
int64_t zone_days(int64_t year, unsigned month, unsigned day);
bool zone_leap_year(int64_t year);
/* The year in which local_s lies. */
int64_t zone_year(int64_t local_s);

#endif
