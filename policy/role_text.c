/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/role_text.h. */
#include "policy/role_text.h"

#include <stdio.h>

#include "policy/vector.h"

const char *role_duration_text(uint64_t s, char out[32])
{
    static const struct {
        uint64_t s;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};

    snprintf(out, 32, "none");
    for (size_t i = 0; s && i < sizeof units / sizeof *units; i++) {
        if (s % units[i].s)
            continue;
        snprintf(out, 32, "%llu%c", (unsigned long long)(s / units[i].s), units[i].unit);
        break;
    }
    return out;
}

const char *role_size_text(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;

    for (; bytes && bytes % 1024 == 0 && unit < 4; unit++)
        bytes /= 1024;
    if (bytes)
        snprintf(out, 32, "%llu%s", (unsigned long long)bytes, units[unit]);
    else
        snprintf(out, 32, "none");
    return out;
}

static int by_prefix(const void *a, const void *b)
{
    const struct prefix *x = a, *y = b;
    int rc = (int)x->base.family - (int)y->base.family;

    if (!rc)
        rc = memcmp(x->base.bytes, y->base.bytes, sizeof x->base.bytes);
    return rc ? rc : (int)x->bits - (int)y->bits;
}

int prefixes_text(const struct prefix *from, size_t count, struct buf *out)
{
    struct prefix *sorted = tool_alloc(count, sizeof *sorted);
    int rc = count ? 0 : buf_printf(out, "anywhere");

    if (count)
        memcpy(sorted, from, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_prefix);
    for (size_t i = 0; i < count && rc == 0; i++) {
        char address[ADDRESS_TEXT];
        const struct prefix *p = &sorted[i];
        address_text(&p->base, address);
        rc = p->bits == (p->base.family == 4 ? 32 : 128)
                 ? buf_printf(out, "%s%s", i ? ", " : "", address)
                 : buf_printf(out, "%s%s/%u", i ? ", " : "", address, p->bits);
    }
    free(sorted);
    return rc;
}

char *role_conditions_text(const struct role *role)
{
    char remembered[32];
    struct buf text;

    buf_init(&text, 1u << 20);
    int rc = buf_printf(&text, "from ");
    if (rc == 0)
        rc = prefixes_text(role->from, role->from_count, &text);
    if (rc == 0 && role->when.count)
        rc = buf_printf(&text, "; %s", role->when.text);
    if (rc == 0)
        rc = buf_printf(&text, "; %s%s%s and code", role->factors & FACTOR_KEY ? "key" : "",
                        (role->factors & FACTOR_KEY) && (role->factors & FACTOR_PASSWORD) ? ", "
                                                                                          : "",
                        role->factors & FACTOR_PASSWORD ? "password" : "");
    if (rc == 0)
        rc = role->remember_s ? buf_printf(&text, "; remembered %s",
                                           role_duration_text(role->remember_s, remembered))
                              : buf_printf(&text, "; a code each time");
    char *out = rc == 0 ? buf_string(&text) : NULL;
    INVARIANT(out);
    buf_clear(&text);
    return out;
}
