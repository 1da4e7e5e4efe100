/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing arrays for the policy tools, which run alone in a process of the caller's: when memory is
 * out there is nothing to lose, so it aborts. Never used by a process of the gateway. */
#ifndef SALLYPORT_POLICY_VECTOR_H
#define SALLYPORT_POLICY_VECTOR_H

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "policy/pool.h"

/* Zeroed, never NULL. */
static inline void *tool_alloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);

    INVARIANT(p);
    return p;
}

/* An array that has room for one more than count. */
static inline void *tool_grow(void *at, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return at;
    *cap = *cap ? *cap * 2 : 16;
    at = reallocarray(at, *cap, size);
    INVARIANT(at);
    return at;
}

static inline char *tool_text(const char *text)
{
    char *copy = strdup(text);

    INVARIANT(copy);
    return copy;
}

static inline void tool_add(struct numbers *n, uint32_t value)
{
    INVARIANT(numbers_add(n, value) == 0);
}

/* Ascending, each once. */
void tool_sort_unique(struct numbers *n);
bool tool_equal(const struct numbers *a, const struct numbers *b);

/* Byte strings to numbers 0, 1, 2, ... in the order in which they come; keeps copies. */
struct interner {
    struct pool pool;
    struct table table;
    uint32_t count;
};
uint32_t interner_id(struct interner *i, const void *bytes, size_t len, bool *is_new);
void interner_clear(struct interner *i);

#endif
