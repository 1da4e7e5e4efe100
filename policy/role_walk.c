/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/role_walk.h. */
#include "policy/role_walk.h"

#include <stddef.h>
#include <string.h>

static void add_list(struct role_walk *w, const struct role_words *list, const char *via)
{
    if (!list->count)
        return;
    w->list[w->lists] = list;
    w->via[w->lists] = via;
    w->next[w->lists++] = 0;
}

/* The next word in which any list has a role; false: none. */
static bool next_word(struct role_walk *w)
{
    uint32_t lowest = UINT32_MAX;

    for (size_t i = 0; i < w->lists; i++) {
        if (w->next[i] < w->list[i]->count && w->list[i]->at[w->next[i]].word < lowest)
            lowest = w->list[i]->at[w->next[i]].word;
    }
    if (lowest == UINT32_MAX)
        return false;
    w->word = lowest;
    w->bits = 0;
    for (size_t i = 0; i < w->lists; i++) {
        if (w->next[i] < w->list[i]->count && w->list[i]->at[w->next[i]].word == lowest)
            w->bits |= w->list[i]->at[w->next[i]++].bits;
    }
    if (w->filter)
        w->bits = role_filter_word(w->filter, lowest, w->bits);
    return true;
}

static const struct role *find_next(struct role_walk *w, const char **via)
{
    while (!w->bits) {
        if (!next_word(w))
            return NULL;
    }
    const uint64_t bit = w->bits & -w->bits;
    w->bits &= ~bit;
    for (size_t i = 0; i < w->lists; i++) {
        /* The lists that have this word have gone past it. */
        const struct role_word *at = w->next[i] ? &w->list[i]->at[w->next[i] - 1] : NULL;
        if (at && at->word == w->word && (at->bits & bit)) {
            *via = w->via[i];
            break;
        }
    }
    return &w->p->roles[w->word * 64 + (uint32_t)__builtin_ctzll(bit)];
}

/* The role after the one that is given is on its way from memory meanwhile: of a large set nothing
 * is in the caches, and that is what a decision spends its time with. */
static void look_ahead(struct role_walk *w)
{
    w->ahead = find_next(w, &w->ahead_via);
    if (w->ahead) {
        const char *p = (const char *)w->ahead;
        for (size_t at = 0; at < offsetof(struct role, keys); at += 64)
            __builtin_prefetch(p + at);
    }
}

void role_walk_begin(struct role_walk *w, const struct policy *p, const struct operator_entry *op,
                     const struct role_filter *filter)
{
    w->p = p;
    w->filter = filter;
    w->lists = 0;
    w->bits = 0;
    add_list(w, &op->role_words, NULL);
    for (size_t i = 0; i < op->pub.group_count; i++) {
        const struct group *g = &p->groups[op->group_index[i]];
        add_list(w, &g->role_words, g->name);
    }
    look_ahead(w);
}

const struct role *role_walk_next(struct role_walk *w, const char **via)
{
    const struct role *role = w->ahead;

    *via = w->ahead_via;
    if (role)
        look_ahead(w);
    return role;
}

bool role_permits(const struct role *role)
{
    return role->shell || role->exec || role->files || role->forwards;
}

bool role_only_denies(const struct role *role)
{
    return !role_permits(role) && role->rules;
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
