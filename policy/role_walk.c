/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/role_walk.h. */
#include "policy/role_walk.h"

#include <string.h>

static void skip(struct role_walk *w, size_t i)
{
    const struct numbers *list = w->list[i];

    while (w->target && w->next[i] < list->count &&
           !role_selects(w->p, &w->p->roles[list->at[w->next[i]]], w->target))
        w->next[i]++;
}

static void add_list(struct role_walk *w, const struct numbers *list, const char *via)
{
    if (!list->count)
        return;
    w->list[w->lists] = list;
    w->via[w->lists] = via;
    w->next[w->lists] = 0;
    skip(w, w->lists++);
}

void role_walk_begin(struct role_walk *w, const struct policy *p, const struct operator_entry *op,
                     const struct target_entry *target)
{
    w->p = p;
    w->target = target;
    w->lists = 0;
    add_list(w, &op->roles, NULL);
    for (size_t i = 0; i < op->pub.group_count; i++) {
        const struct group *g = &p->groups[op->group_index[i]];
        add_list(w, &g->roles, g->name);
    }
}

const struct role *role_walk_next(struct role_walk *w, const char **via)
{
    uint32_t lowest = UINT32_MAX;

    for (size_t i = 0; i < w->lists; i++) {
        if (w->next[i] < w->list[i]->count && w->list[i]->at[w->next[i]] < lowest) {
            lowest = w->list[i]->at[w->next[i]];
            *via = w->via[i];
        }
    }
    if (lowest == UINT32_MAX)
        return NULL;
    for (size_t i = 0; i < w->lists; i++) {
        if (w->next[i] < w->list[i]->count && w->list[i]->at[w->next[i]] == lowest) {
            w->next[i]++;
            skip(w, i);
        }
    }
    return &w->p->roles[lowest];
}

static const char *label_of(const struct target_entry *t, const char *key)
{
    for (size_t i = 0; i < t->label_count; i++) {
        if (t->labels[i].key == key)
            return t->labels[i].value;
    }
    return NULL;
}

static bool selects(const struct selector *s, const struct target_entry *t)
{
    if (!s->key) {
        size_t low = 0, high = s->count;
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            if (s->targets[middle] < t->pub.index)
                low = middle + 1;
            else
                high = middle;
        }
        return low < s->count && s->targets[low] == t->pub.index;
    }
    const char *value = label_of(t, s->key);
    for (size_t i = 0; value && i < s->count; i++) {
        if (s->values[i] == value)
            return true;
    }
    return false;
}

bool role_selects(const struct policy *p, const struct role *role, const struct target_entry *t)
{
    (void)p;
    for (size_t i = 0; i < role->selector_count; i++) {
        if (!selects(&role->selectors[i], t))
            return false;
    }
    return true;
}

uint64_t policy_remember_s(const struct policy *p, const char *operator_name)
{
    uint64_t longest = 0;
    struct role_walk w;
    const char *via;
    uint32_t op;

    if (!table_get(&p->operator_by_name, operator_name, strlen(operator_name), &op))
        return 0;
    role_walk_begin(&w, p, &p->operators[op], NULL);
    for (const struct role *role; (role = role_walk_next(&w, &via));) {
        if (role->remember_s > longest)
            longest = role->remember_s;
    }
    return longest;
}

size_t policy_roles_of(const struct policy *p, const char *operator_name, const char **names,
                       size_t max)
{
    struct role_walk w;
    size_t count = 0;
    const char *via;
    uint32_t op;

    if (!table_get(&p->operator_by_name, operator_name, strlen(operator_name), &op))
        return 0;
    role_walk_begin(&w, p, &p->operators[op], NULL);
    for (const struct role *role; (role = role_walk_next(&w, &via)); count++) {
        if (count < max)
            names[count] = role->name;
    }
    return count;
}
