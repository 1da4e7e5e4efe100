/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/role_index.h. Rows of bitmaps: of each key first the one for targets without a value
 * that any role names, then one per value. Used by the decision; built by authd's loader. Pure. */
#include "policy/role_index.h"

#include <stdlib.h>
#include <string.h>

/* The bitmaps of 10,000 roles with as many different values have 12 MiB. */
#define ROWS_BYTES_MAX (64u * 1024 * 1024)

/* ---- by the selectors themselves ---- */

static const char *label_of(const struct target_entry *t, const char *key)
{
    for (size_t i = 0; i < t->label_count; i++) {
        if (t->labels[i].key == key)
            return t->labels[i].value;
    }
    return NULL;
}

static bool holds(const uint32_t *sorted, size_t count, uint32_t value)
{
    size_t low = 0, high = count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && sorted[low] == value;
}

static bool selects(const struct selector *s, const struct target_entry *t)
{
    if (!s->key)
        return holds(s->targets, s->count, t->pub.index);
    const char *value = label_of(t, s->key);
    for (size_t i = 0; value && i < s->count; i++) {
        if (s->values[i] == value)
            return true;
    }
    return false;
}

bool role_selects(const struct role *role, const struct target_entry *t)
{
    for (size_t i = 0; i < role->selector_count; i++) {
        if (!selects(&role->selectors[i], t))
            return false;
    }
    return true;
}

/* ---- building ---- */

static void set_bit(uint64_t *row, uint32_t role)
{
    row[role / 64] |= UINT64_C(1) << role % 64;
}

struct building {
    struct policy *p;
    struct role_index *x;
    struct table keys;  /* the interned pointer: number of the key */
    struct table pairs; /* two pointers: number of the row */
    struct label *pair; /* what the keys of pairs point to */
    uint32_t *key_row;  /* of each key: its first row */
};

static size_t count_values(const struct policy *p)
{
    size_t count = 0;

    for (size_t i = 0; i < p->role_count; i++) {
        const struct role *role = &p->roles[i];
        for (size_t k = 0; k < role->selector_count; k++)
            count += role->selectors[k].key ? role->selectors[k].count : 0;
    }
    return count;
}

/* Numbers the keys; *fits: there are not too many. */
static int number_keys(struct building *b, bool *fits)
{
    uint32_t number;

    *fits = true;
    for (size_t i = 0; i < b->p->role_count; i++) {
        const struct role *role = &b->p->roles[i];
        for (size_t k = 0; k < role->selector_count; k++) {
            const struct selector *s = &role->selectors[k];
            if (!s->key || table_get(&b->keys, s->key, strlen(s->key), &number))
                continue;
            if (b->keys.count == INDEX_KEYS_MAX) {
                *fits = false;
                return 0;
            }
            if (table_put(&b->keys, s->key, strlen(s->key), (uint32_t)b->keys.count) < 0)
                return ERR_MEMORY;
        }
    }
    return 0;
}

/* Rows: one for each key, then one for each pair, in the order in which they are met. */
static int number_pairs(struct building *b)
{
    uint32_t row = (uint32_t)b->keys.count;
    size_t pairs = 0;

    for (size_t i = 0; i < b->p->role_count; i++) {
        const struct role *role = &b->p->roles[i];
        for (size_t k = 0; k < role->selector_count; k++) {
            const struct selector *s = &role->selectors[k];
            for (size_t v = 0; s->key && v < s->count; v++) {
                struct label *pair = &b->pair[pairs];
                uint32_t known;
                *pair = (struct label){.key = s->key, .value = s->values[v]};
                if (table_get(&b->pairs, pair, offsetof(struct label, row), &known))
                    continue;
                pairs++;
                if (table_put(&b->pairs, pair, offsetof(struct label, row), row++) < 0)
                    return ERR_MEMORY;
            }
        }
    }
    b->x->row_count = row;
    return 0;
}

static void fill_rows(struct building *b)
{
    struct role_index *x = b->x;
    uint32_t number;

    /* Roles that do not name a key: first all, then those that name it are taken away. */
    for (uint32_t key = 0; key < b->keys.count; key++) {
        for (size_t i = 0; i < b->p->role_count; i++)
            set_bit(x->rows + key * x->words, (uint32_t)i);
    }
    for (size_t i = 0; i < b->p->role_count; i++) {
        const struct role *role = &b->p->roles[i];
        for (size_t k = 0; k < role->selector_count; k++) {
            const struct selector *s = &role->selectors[k];
            if (s->key && table_get(&b->keys, s->key, strlen(s->key), &number))
                x->rows[number * x->words + i / 64] &= ~(UINT64_C(1) << i % 64);
        }
    }
    /* A value's row: those, and the ones that accept it. */
    for (size_t s = 0; s < b->pairs.cap; s++) {
        const struct table_slot *slot = &b->pairs.slots[s];
        if (!slot->key)
            continue;
        const struct label *pair = slot->key;
        if (table_get(&b->keys, pair->key, strlen(pair->key), &number))
            memcpy(x->rows + slot->value * x->words, x->rows + number * x->words,
                   x->words * sizeof *x->rows);
    }
    for (size_t i = 0; i < b->p->role_count; i++) {
        const struct role *role = &b->p->roles[i];
        for (size_t k = 0; k < role->selector_count; k++) {
            const struct selector *s = &role->selectors[k];
            for (size_t v = 0; s->key && v < s->count; v++) {
                const struct label pair = {.key = s->key, .value = s->values[v]};
                if (table_get(&b->pairs, &pair, offsetof(struct label, row), &number))
                    set_bit(x->rows + number * x->words, (uint32_t)i);
            }
        }
    }
}

/* Each label of each target learns its key's number and its row. */
static void mark_labels(struct building *b)
{
    for (size_t i = 0; i < b->p->target_count; i++) {
        struct target_entry *t = &b->p->targets[i];
        for (size_t k = 0; k < t->label_count; k++) {
            struct label *label = &t->labels[k];
            label->index_key = INDEX_KEYS_MAX;
            if (!table_get(&b->keys, label->key, strlen(label->key), &label->index_key))
                continue;
            if (!table_get(&b->pairs, label, offsetof(struct label, row), &label->row))
                label->row = label->index_key;
        }
    }
}

/* Roles that name targets, with these: counted, then filled in the order of the roles. */
static int list_named(struct building *b)
{
    struct role_index *x = b->x;
    const struct policy *p = b->p;
    size_t total = 0;

    x->named = calloc(x->words + 1, sizeof *x->named);
    x->first_of = calloc(p->target_count + 2, sizeof *x->first_of);
    if (!x->named || !x->first_of)
        return ERR_MEMORY;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < p->role_count; i++) {
            const struct role *role = &p->roles[i];
            for (size_t k = 0; k < role->selector_count; k++) {
                const struct selector *s = &role->selectors[k];
                if (s->key)
                    continue;
                set_bit(x->named, (uint32_t)i);
                for (size_t n = 0; n < s->count; n++) {
                    if (pass == 0)
                        x->first_of[s->targets[n] + 2]++;
                    else
                        x->roles_of[x->first_of[s->targets[n] + 1]++] = (uint32_t)i;
                }
            }
        }
        if (pass == 1)
            break;
        for (size_t t = 0; t < p->target_count; t++)
            x->first_of[t + 2] += x->first_of[t + 1];
        total = x->first_of[p->target_count + 1];
        x->roles_of = calloc(total + 1, sizeof *x->roles_of);
        if (!x->roles_of)
            return ERR_MEMORY;
    }
    return 0;
}

/* ---- members' lists ---- */

static int make_words(struct policy *p, const struct numbers *roles, struct role_words *out)
{
    size_t count = 0;

    for (size_t i = 0; i < roles->count; i++)
        count += !i || roles->at[i] / 64 != roles->at[i - 1] / 64;
    out->at = pool_alloc(&p->pool, count * sizeof *out->at);
    if (!out->at)
        return ERR_MEMORY;
    out->count = 0;
    for (size_t i = 0; i < roles->count; i++) {
        if (!i || roles->at[i] / 64 != roles->at[i - 1] / 64)
            out->at[out->count++].word = roles->at[i] / 64;
        out->at[out->count - 1].bits |= UINT64_C(1) << roles->at[i] % 64;
    }
    return 0;
}

static int index_members(struct policy *p, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < p->operator_count && rc == 0; i++) {
        if (p->operators[i].roles.count)
            rc = make_words(p, &p->operators[i].roles, &p->operators[i].role_words);
    }
    for (size_t i = 0; i < p->group_count && rc == 0; i++) {
        if (p->groups[i].roles.count)
            rc = make_words(p, &p->groups[i].roles, &p->groups[i].role_words);
    }
    return rc < 0 ? err_set(e, ERR_MEMORY, "out of memory") : 0;
}

int role_index_build(struct policy *p, struct err *e)
{
    struct building b = {.p = p, .x = &p->index};
    struct role_index *x = b.x;
    bool fits;
    int rc = index_members(p, e);

    if (rc < 0)
        return rc;
    x->words = (p->role_count + 63) / 64;
    b.pair = calloc(count_values(p) + 1, sizeof *b.pair);
    rc = b.pair ? number_keys(&b, &fits) : ERR_MEMORY;
    if (rc < 0 || !fits)
        goto out;
    rc = number_pairs(&b);
    if (rc < 0 || (uint64_t)x->row_count * x->words * sizeof *x->rows > ROWS_BYTES_MAX)
        goto out;
    x->key_count = b.keys.count;
    x->rows = calloc((size_t)x->row_count * x->words + 1, sizeof *x->rows);
    rc = x->rows ? list_named(&b) : ERR_MEMORY;
    if (rc < 0)
        goto out;
    fill_rows(&b);
    mark_labels(&b);
out:
    free(b.pair);
    table_clear(&b.keys);
    table_clear(&b.pairs);
    return rc < 0 ? err_set(e, ERR_MEMORY, "out of memory") : 0;
}

void role_index_clear(struct policy *p)
{
    free(p->index.rows);
    free(p->index.named);
    free(p->index.first_of);
    free(p->index.roles_of);
    memset(&p->index, 0, sizeof p->index);
}

/* ---- using ---- */

void role_filter_begin(struct role_filter *f, const struct policy *p,
                       const struct target_entry *target)
{
    const struct role_index *x = &p->index;

    f->p = p;
    f->target = target;
    f->count = x->key_count;
    if (!x->rows)
        return;
    for (size_t i = 0; i < f->count; i++)
        f->rows[i] = x->rows + i * x->words;
    for (size_t i = 0; i < target->label_count; i++) {
        const struct label *label = &target->labels[i];
        if (label->index_key < f->count)
            f->rows[label->index_key] = x->rows + label->row * x->words;
    }
}

uint64_t role_filter_word(const struct role_filter *f, uint32_t at, uint64_t wanted)
{
    const struct role_index *x = &f->p->index;
    const uint32_t t = f->target->pub.index;
    uint64_t each;

    if (!x->rows) {
        for (each = wanted; each; each &= each - 1) {
            if (!role_selects(&f->p->roles[at * 64 + (uint32_t)__builtin_ctzll(each)], f->target))
                wanted &= ~(each & -each);
        }
        return wanted;
    }
    for (size_t i = 0; i < f->count; i++)
        wanted &= f->rows[i][at];
    for (each = wanted & x->named[at]; each; each &= each - 1) {
        if (!holds(x->roles_of + x->first_of[t], x->first_of[t + 1] - x->first_of[t],
                   at * 64 + (uint32_t)__builtin_ctzll(each)))
            wanted &= ~(each & -each);
    }
    return wanted;
}

bool role_filter_selects(const struct role_filter *f, uint32_t role)
{
    return role_filter_word(f, role / 64, UINT64_C(1) << role % 64);
}
