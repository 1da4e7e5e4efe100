/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of a policy set: many small things that go away together, texts kept once (so that equal
 * texts are equal pointers), and a hash table over bytes. Pure but for allocation.
 * Used by the loaders; the texts come from files that only root can write. */
#ifndef SALLYPORT_POLICY_POOL_H
#define SALLYPORT_POLICY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Bytes to numbers. The keys stay the caller's and must outlive the table. */
struct table_slot {
    const void *key; /* NULL: free */
    size_t len;
    uint32_t hash, value;
};
struct table {
    struct table_slot *slots;
    size_t cap, count; /* cap is 0 or a power of two */
};
/* The key must not be in the table. ERR_MEMORY. */
MUST_CHECK int table_put(struct table *t, const void *key, size_t len, uint32_t value);
bool table_get(const struct table *t, const void *key, size_t len, uint32_t *value);
void table_clear(struct table *t);

struct pool {
    struct pool_block *blocks;
    struct table interned; /* values: index into texts */
    const char **texts;
    size_t text_count, text_cap;
};
/* Zeroed and aligned memory; NULL when memory is out. */
void *pool_alloc(struct pool *p, size_t size);
void *pool_copy(struct pool *p, const void *bytes, size_t len);
/* A copy with a NUL after it. */
char *pool_text(struct pool *p, const char *text);
/* The one copy of this text. */
const char *pool_intern(struct pool *p, const char *text);
void pool_clear(struct pool *p);

/* A growing list of numbers, malloc'ed. */
struct numbers {
    uint32_t *at;
    size_t count, cap;
};
MUST_CHECK int numbers_add(struct numbers *n, uint32_t value);

#endif
