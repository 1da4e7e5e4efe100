/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool and its table: open addressing, FNV-1a, at most half full. Keys come from files of
 * root's; what an operator sends is only looked up, so nobody can make the table slow from outside.
 * Used by authd and the supervisor through the loaders. */
#include "policy/pool.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 65536u

struct pool_block {
    struct pool_block *next;
    size_t used, size;
    _Alignas(max_align_t) unsigned char bytes[];
};

static uint32_t hash_of(const void *key, size_t len)
{
    const unsigned char *p = key;
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

static struct table_slot *find(const struct table *t, uint32_t hash, const void *key, size_t len)
{
    size_t at = hash & (t->cap - 1);

    while (t->slots[at].key && (t->slots[at].hash != hash || t->slots[at].len != len ||
                                memcmp(t->slots[at].key, key, len) != 0))
        at = (at + 1) & (t->cap - 1);
    return &t->slots[at];
}

int table_put(struct table *t, const void *key, size_t len, uint32_t value)
{
    if (t->count * 2 >= t->cap) {
        struct table bigger = {.cap = t->cap ? t->cap * 2 : 64, .count = t->count};
        bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
        if (!bigger.slots)
            return ERR_MEMORY;
        for (size_t i = 0; i < t->cap; i++) {
            const struct table_slot *s = &t->slots[i];
            if (s->key)
                *find(&bigger, s->hash, s->key, s->len) = *s;
        }
        free(t->slots);
        *t = bigger;
    }
    const uint32_t hash = hash_of(key, len);
    struct table_slot *s = find(t, hash, key, len);
    INVARIANT(!s->key);
    *s = (struct table_slot){.key = key, .len = len, .hash = hash, .value = value};
    t->count++;
    return 0;
}

bool table_get(const struct table *t, const void *key, size_t len, uint32_t *value)
{
    if (!t->cap)
        return false;
    const struct table_slot *s = find(t, hash_of(key, len), key, len);
    if (!s->key)
        return false;
    *value = s->value;
    return true;
}

void table_clear(struct table *t)
{
    free(t->slots);
    memset(t, 0, sizeof *t);
}

void *pool_alloc(struct pool *p, size_t size)
{
    const size_t align = _Alignof(max_align_t);

    if (size > SIZE_MAX / 2)
        return NULL;
    size = size ? (size + align - 1) / align * align : align;
    struct pool_block *b = p->blocks;
    if (!b || b->size - b->used < size) {
        const size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        b = malloc(sizeof *b + room);
        if (!b)
            return NULL;
        b->next = p->blocks;
        b->used = 0;
        b->size = room;
        p->blocks = b;
    }
    void *at = b->bytes + b->used;
    b->used += size;
    memset(at, 0, size);
    return at;
}

void *pool_copy(struct pool *p, const void *bytes, size_t len)
{
    void *copy = pool_alloc(p, len);

    if (copy && len)
        memcpy(copy, bytes, len);
    return copy;
}

char *pool_text(struct pool *p, const char *text)
{
    return pool_copy(p, text, strlen(text) + 1);
}

const char *pool_intern(struct pool *p, const char *text)
{
    const size_t len = strlen(text);
    uint32_t index;

    if (table_get(&p->interned, text, len, &index))
        return p->texts[index];
    if (p->text_count == p->text_cap) {
        size_t cap = p->text_cap ? p->text_cap * 2 : 256;
        const char **grown = reallocarray(p->texts, cap, sizeof *grown);
        if (!grown)
            return NULL;
        p->texts = grown;
        p->text_cap = cap;
    }
    char *copy = pool_text(p, text);
    if (!copy || table_put(&p->interned, copy, len, (uint32_t)p->text_count) < 0)
        return NULL;
    p->texts[p->text_count++] = copy;
    return copy;
}

void pool_clear(struct pool *p)
{
    for (struct pool_block *b = p->blocks; b;) {
        struct pool_block *next = b->next;
        free(b);
        b = next;
    }
    table_clear(&p->interned);
    free(p->texts);
    memset(p, 0, sizeof *p);
}

int numbers_add(struct numbers *n, uint32_t value)
{
    if (n->count == n->cap) {
        size_t cap = n->cap ? n->cap * 2 : 4;
        uint32_t *grown = reallocarray(n->at, cap, sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        n->at = grown;
        n->cap = cap;
    }
    n->at[n->count++] = value;
    return 0;
}
