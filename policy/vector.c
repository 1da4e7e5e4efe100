/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/vector.h. */
#include "policy/vector.h"

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

void tool_sort_unique(struct numbers *n)
{
    size_t kept = 0;
    bool sorted = true;

    for (size_t i = 1; i < n->count && sorted; i++)
        sorted = n->at[i - 1] < n->at[i];
    if (sorted)
        return;
    qsort(n->at, n->count, sizeof *n->at, by_value);
    for (size_t i = 1; i < n->count; i++) {
        if (n->at[i] != n->at[kept])
            n->at[++kept] = n->at[i];
    }
    n->count = kept + 1;
}

bool tool_equal(const struct numbers *a, const struct numbers *b)
{
    return a->count == b->count &&
           (!a->count || memcmp(a->at, b->at, a->count * sizeof *a->at) == 0);
}

uint32_t interner_id(struct interner *i, const void *bytes, size_t len, bool *is_new)
{
    uint32_t id;
    const bool known = table_get(&i->table, len ? bytes : "", len, &id);

    if (is_new)
        *is_new = !known;
    if (known)
        return id;
    const void *copy = len ? pool_copy(&i->pool, bytes, len) : "";
    INVARIANT(copy && i->count < UINT32_MAX);
    INVARIANT(table_put(&i->table, copy, len, i->count) == 0);
    return i->count++;
}

void interner_clear(struct interner *i)
{
    table_clear(&i->table);
    pool_clear(&i->pool);
    *i = (struct interner){0};
}
