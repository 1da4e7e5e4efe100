/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/break_glass.h. */
#include "auth/break_glass.h"

#include <string.h>

bool break_glass_named(const struct login_world *w, const struct login *l)
{
    size_t len = strlen(l->operator_name);

    if (!w->break_glass || len == 0 || l->destination.gateway)
        return false;
    for (const char *line = w->break_glass, *end; (end = strchr(line, '\n')); line = end + 1)
        if ((size_t)(end - line) == len && memcmp(line, l->operator_name, len) == 0)
            return true;
    return false;
}

bool break_glass_holds(const struct login *l)
{
    const uint32_t both = FACTOR_KEY | FACTOR_TOTP;

    return (l->factors & both) == both && !(l->factors & FACTOR_REMEMBERED) && !l->enrolment;
}
