/* SPDX-License-Identifier: Apache-2.0
 *
 * A TZif file: what is taken for one gives an offset at every instant, the same until it says that
 * it may change, and its local times lead back to the instants that they are of. */
#include <stdint.h>
#include <stdlib.h>

#include "policy/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct zone *z, int64_t t)
{
    int64_t until, at[2];
    const int32_t offset = zone_offset(z, t, &until);

    if (until <= t || offset < -25 * 3600 || offset > 26 * 3600 ||
        zone_offset(z, until - 1 < ZONE_TIME_MAX ? until - 1 : t, NULL) != offset)
        abort();
    const size_t count = zone_instants(z, t + offset, at);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        if (at[i] + zone_offset(z, at[i], NULL) != t + offset || (i && at[i] <= at[i - 1]))
            abort();
        found |= at[i] == t;
    }
    /* Of more than two, two are given. */
    if (!found && count < 2)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    struct zone *z = zone_parse(data, size, &e);

    if (!z && !e.text[0])
        abort(); /* refused without a word */
    if (!z)
        return 0;
    for (int64_t t = 0; t < INT64_C(4000000000); t += INT64_C(86399999))
        look(z, t);
    for (int i = 0; i < 8; i++) {
        int64_t until, t = i * INT64_C(500000000);
        for (int k = 0; k < 4 && zone_offset(z, t, &until) <= 26 * 3600 && until < ZONE_TIME_MAX;
             k++) {
            look(z, until - 1);
            look(z, until);
            t = until;
        }
    }
    zone_free(z);
    return 0;
}
