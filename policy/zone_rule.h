/* SPDX-License-Identifier: Apache-2.0
 *
 * The last line of a TZif file: a POSIX TZ string, with the hours of -167 to 167 that version 3
 * permits. Inside of policy/zone.c. Pure. */
#ifndef SALLYPORT_POLICY_ZONE_RULE_H
#define SALLYPORT_POLICY_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

enum zone_day_kind {
    ZONE_DAY_JULIAN,  /* Jn: day 1 to 365, 29 February never counts */
    ZONE_DAY_OF_YEAR, /* n: day 0 to 365 */
    ZONE_DAY_OF_MONTH /* Mm.w.d: the w-th (5: the last) day d (0: Sunday) of month m */
};
struct zone_day {
    enum zone_day_kind kind;
    uint16_t day;
    uint8_t month, week;
    int32_t time_s; /* local, as it was before */
};
struct zone_rule {
    int32_t standard, summer; /* seconds east of UTC */
    bool has_summer;
    struct zone_day begins, ends; /* of summer time */
};

bool zone_rule_parse(const char *text, struct zone_rule *out);
/* As zone_offset. */
int32_t zone_rule_offset(const struct zone_rule *rule, int64_t t, int64_t *until);

#endif
