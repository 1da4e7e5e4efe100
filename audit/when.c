/* SPDX-License-Identifier: Apache-2.0
 *
 * Times on a command line (audit/when.h). */
#include "audit/when.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND 1000000000ull

static int bad(const char *text, struct err *e)
{
    return err_set(e, ERR_SYNTAX,
                   "\"%s\" is no time: expected YYYY-MM-DD, YYYY-MM-DDTHH:MM[:SS], or 90m, 2h, 3d "
                   "(before now)",
                   text);
}

static int before_now(const char *text, uint64_t now_ns, uint64_t *ns, struct err *e)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (end != text && end[0] == units[i].unit && !end[1] && n <= 100000000) {
            uint64_t ago = n * units[i].seconds * SECOND;

            *ns = ago < now_ns ? now_ns - ago : 0;
            return 0;
        }
    return bad(text, e);
}

int when_parse(const char *text, uint64_t now_ns, uint64_t *ns, struct err *e)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%d%n%H:%M", "%Y-%m-%d%n%H:%M:%S",
                                        "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};

    if (text[0] == '-' || text[0] == '+')
        return bad(text, e);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = {.tm_mday = 1};
        const char *end = strptime(text, forms[i], &tm);
        time_t t;

        if (!end || (strcmp(end, "") != 0 && (strcmp(end, "Z") != 0 || i == 0)))
            continue;
        t = timegm(&tm);
        if (t < 0 || (uint64_t)t > UINT64_MAX / SECOND)
            return bad(text, e);
        *ns = (uint64_t)t * SECOND;
        return 0;
    }
    return before_now(text, now_ns, ns, e);
}
