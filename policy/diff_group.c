/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts equal differences together (policy/diff.h): a group for each change; in it, operators with
 * the same targets are one part, and accounts with the same operators and targets too. */
#include "policy/diff_state.h"

static int by_found(const void *left, const void *right)
{
    const struct found *a = left, *b = right;

    if (a->change != b->change)
        return a->change < b->change ? -1 : 1;
    if (a->mark != b->mark)
        return a->mark < b->mark ? -1 : 1;
    if (a->account != b->account)
        return a->account < b->account ? -1 : 1;
    return a->operators < b->operators ? -1 : a->operators > b->operators;
}

/* A change, a set of targets, an account: a range of found. */
struct range {
    size_t from, to;
    uint32_t operators; /* their classes, as a number for equal ones; NOWHERE: it was taken */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_names(const char **names, size_t count)
{
    if (count)
        qsort(names, count, sizeof *names, by_name);
}

static const char **names_of_operators(const struct diff_inside *in, const struct range *r,
                                       size_t *count)
{
    size_t n = 0;

    for (size_t i = r->from; i < r->to; i++)
        n += in->operator_classes[in->found[i].operators].members.count;
    const char **names = tool_alloc(n, sizeof *names);
    *count = 0;
    for (size_t i = r->from; i < r->to; i++) {
        const struct numbers *members = &in->operator_classes[in->found[i].operators].members;
        for (size_t k = 0; k < members->count; k++)
            names[(*count)++] = in->operator_names[members->at[k]];
    }
    sort_names(names, *count);
    return names;
}

static uint32_t operators_id(const struct diff_inside *in, struct interner *ids,
                             const struct range *r)
{
    struct numbers key = {0};

    for (size_t i = r->from; i < r->to; i++)
        tool_add(&key, in->found[i].operators);
    const uint32_t id = interner_id(ids, key.at, key.count * sizeof *key.at, NULL);
    free(key.at);
    return id;
}

/* ranges[0 .. count) have one set of targets; those with the same operators make a part. */
static void add_parts(const struct diff_inside *in, struct range *ranges, size_t count,
                      struct diff_group *g, size_t *cap)
{
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].operators == NOWHERE)
            continue;
        const struct found *first = &in->found[ranges[i].from];
        g->parts = tool_grow(g->parts, cap, g->part_count, sizeof *g->parts);
        struct diff_part *part = &g->parts[g->part_count++];
        *part = (struct diff_part){.target_count = in->marks[first->mark].targets,
                                   .operator_class = first->operators,
                                   .account = first->account,
                                   .change = first->change};
        part->operators = names_of_operators(in, &ranges[i], &part->operator_count);
        part->accounts = tool_alloc(count, sizeof *part->accounts);
        for (size_t k = i; k < count; k++) {
            if (k > i && ranges[k].operators != ranges[i].operators)
                continue;
            part->accounts[part->account_count++] =
                in->account_names[in->found[ranges[k].from].account];
            if (k > i)
                ranges[k].operators = NOWHERE;
        }
        sort_names(part->accounts, part->account_count);
        g->combinations +=
            (uint64_t)part->operator_count * part->target_count * part->account_count;
    }
}

/* The roles behind found[from .. to), on one side; each name once. seen is by memo list, for all
 * groups of the side. */
static const char **names_of_roles(const struct diff_inside *in, size_t from, size_t to, int s,
                                   size_t *count)
{
    const struct policy *p = in->side[s].p;
    bool *has = tool_alloc(p->role_count, sizeof *has);
    bool *seen = tool_alloc(in->memo_ids.count, sizeof *seen);

    *count = 0;
    for (size_t f = from; f < to; f++) {
        const struct numbers *memos = &in->memo_lists[in->found[f].memos];
        for (size_t m = 0; m < memos->count; m++) {
            const struct numbers *effects = &in->memos[memos->at[m]].effects[s];
            for (size_t i = 0; !seen[memos->at[m]] && i < effects->count; i++) {
                const struct numbers *of = &in->effects[effects->at[i]].roles[s];
                for (size_t k = 0; k < of->count; k++)
                    has[of->at[k]] = true;
            }
            seen[memos->at[m]] = true;
        }
    }
    for (size_t i = 0; i < p->role_count; i++)
        *count += has[i];
    const char **names = tool_alloc(*count, sizeof *names);
    *count = 0;
    for (size_t i = 0; i < p->role_count; i++) {
        if (has[i])
            names[(*count)++] = p->roles[i].name;
    }
    free(has);
    free(seen);
    sort_names(names, *count);
    return names;
}

static size_t count_operators(const struct diff_inside *in, size_t from, size_t to)
{
    bool *seen = tool_alloc(in->operator_class_ids.count, sizeof *seen);
    size_t count = 0;

    for (size_t i = from; i < to; i++) {
        const uint32_t class = in->found[i].operators;
        count += seen[class] ? 0 : in->operator_classes[class].members.count;
        seen[class] = true;
    }
    free(seen);
    return count;
}

static int by_operators(const void *left, const void *right)
{
    const struct diff_part *a = left, *b = right;
    int rc = strcmp(a->operators[0], b->operators[0]);

    if (rc == 0)
        rc = strcmp(a->accounts[0], b->accounts[0]);
    if (rc == 0 && a->operator_count != b->operator_count)
        rc = a->operator_count > b->operator_count ? -1 : 1;
    return rc ? rc : a->target_count > b->target_count ? -1 : a->target_count < b->target_count;
}

/* found[from .. to) have one change. */
static void fill_group(struct diff_inside *in, size_t from, size_t to, struct interner *ids,
                       struct diff_group *g)
{
    struct range *ranges = NULL;
    size_t count = 0, range_cap = 0, part_cap = 0;

    *g = (struct diff_group){.change = &in->changes[in->found[from].change]};
    for (size_t i = from; i < to;) {
        const struct found *first = &in->found[i];
        if (count && in->found[ranges[0].from].mark != first->mark) {
            add_parts(in, ranges, count, g, &part_cap);
            count = 0;
        }
        ranges = tool_grow(ranges, &range_cap, count, sizeof *ranges);
        struct range *r = &ranges[count++];
        r->from = i;
        while (i < to && in->found[i].mark == first->mark && in->found[i].account == first->account)
            i++;
        r->to = i;
        r->operators = operators_id(in, ids, r);
    }
    add_parts(in, ranges, count, g, &part_cap);
    free(ranges);
    qsort(g->parts, g->part_count, sizeof *g->parts, by_operators);
    g->operator_count = count_operators(in, from, to);
    g->old_roles = names_of_roles(in, from, to, 0, &g->old_role_count);
    g->new_roles = names_of_roles(in, from, to, 1, &g->new_role_count);
}

/* What lets more people do more comes first; then by operators. */
static int by_weight(const void *left, const void *right)
{
    const struct diff_group *a = left, *b = right;
    const enum diff_kind x = a->change->items[0].kind, y = b->change->items[0].kind;

    if (x != y)
        return x < y ? -1 : 1;
    int rc = strcmp(a->change->items[0].subject, b->change->items[0].subject);
    return rc ? rc : by_operators(&a->parts[0], &b->parts[0]);
}

void diff_group(struct diff_inside *in, struct diff *out)
{
    struct interner ids = {0};
    size_t cap = 0;

    if (in->found_count)
        qsort(in->found, in->found_count, sizeof *in->found, by_found);
    for (size_t i = 0; i < in->found_count;) {
        const size_t from = i;
        while (i < in->found_count && in->found[i].change == in->found[from].change)
            i++;
        out->groups = tool_grow(out->groups, &cap, out->group_count, sizeof *out->groups);
        fill_group(in, from, i, &ids, &out->groups[out->group_count++]);
    }
    interner_clear(&ids);
    if (out->group_count)
        qsort(out->groups, out->group_count, sizeof *out->groups, by_weight);
}

/* ---- role by role ---- */

static int by_role_found(const void *left, const void *right)
{
    const struct role_found *a = left, *b = right;

    if (a->change != b->change)
        return a->change < b->change ? -1 : 1;
    if (a->operators != b->operators)
        return a->operators < b->operators ? -1 : 1;
    if (a->classes != b->classes)
        return a->classes < b->classes ? -1 : 1;
    if (a->accounts != b->accounts)
        return a->accounts < b->accounts ? -1 : 1;
    return a->role < b->role ? -1 : a->role > b->role;
}

static const char **names_in(const char *const *names, const struct numbers *list, size_t *count)
{
    const char **out = tool_alloc(list->count, sizeof *out);

    for (size_t i = 0; i < list->count; i++)
        out[i] = names[list->at[i]];
    *count = list->count;
    sort_names(out, *count);
    return out;
}

static void add_role_part(const struct diff_inside *in, const struct role_found *f,
                          struct diff_group *g, size_t *cap)
{
    const struct numbers *classes = &in->lists[f->classes];

    g->parts = tool_grow(g->parts, cap, g->part_count, sizeof *g->parts);
    struct diff_part *part = &g->parts[g->part_count++];
    *part = (struct diff_part){.operator_class = NOWHERE, .list = f->classes};
    part->operators = names_in(in->operator_names, &in->lists[f->operators], &part->operator_count);
    part->accounts = names_in(in->account_names, &in->lists[f->accounts], &part->account_count);
    for (size_t i = 0; i < classes->count; i++)
        part->target_count += in->class_members[classes->at[i]].count;
    g->combinations += (uint64_t)part->operator_count * part->target_count * part->account_count;
}

static void fill_role_group(struct diff_inside *in, size_t from, size_t to, struct diff_group *g)
{
    bool *seen = tool_alloc(in->operator_count, sizeof *seen);
    size_t cap = 0;

    *g = (struct diff_group){.change = &in->changes[in->role_found[from].change]};
    g->old_roles = tool_alloc(to - from, sizeof *g->old_roles);
    g->new_roles = tool_alloc(to - from, sizeof *g->new_roles);
    for (size_t i = from; i < to; i++) {
        const struct role_found *f = &in->role_found[i], *last = &in->role_found[i - (i > from)];
        const struct role_name *role = &in->role_names[f->role];
        if (role->on[0])
            g->old_roles[g->old_role_count++] = role->name;
        if (role->on[1])
            g->new_roles[g->new_role_count++] = role->name;
        if (i > from && f->operators == last->operators && f->classes == last->classes &&
            f->accounts == last->accounts)
            continue;
        add_role_part(in, f, g, &cap);
        for (size_t k = 0; k < in->lists[f->operators].count; k++) {
            bool *had = &seen[in->lists[f->operators].at[k]];
            g->operator_count += !*had;
            *had = true;
        }
    }
    free(seen);
    sort_names(g->old_roles, g->old_role_count);
    sort_names(g->new_roles, g->new_role_count);
    qsort(g->parts, g->part_count, sizeof *g->parts, by_operators);
}

void diff_group_roles(struct diff_inside *in, struct diff *out)
{
    size_t cap = 0;

    if (in->role_found_count)
        qsort(in->role_found, in->role_found_count, sizeof *in->role_found, by_role_found);
    for (size_t i = 0; i < in->role_found_count;) {
        const size_t from = i;
        while (i < in->role_found_count && in->role_found[i].change == in->role_found[from].change)
            i++;
        out->groups = tool_grow(out->groups, &cap, out->group_count, sizeof *out->groups);
        fill_role_group(in, from, i, &out->groups[out->group_count++]);
    }
    if (out->group_count)
        qsort(out->groups, out->group_count, sizeof *out->groups, by_weight);
}

const char **diff_part_targets(const struct diff *d, const struct diff_part *part, size_t *count)
{
    struct diff_inside *in = d->inside;
    struct numbers classes = {0};

    if (part->operator_class == NOWHERE) {
        for (size_t i = 0; i < in->lists[part->list].count; i++)
            tool_add(&classes, in->lists[part->list].at[i]);
    } else {
        diff_walk_classes(in, part->operator_class, part->account, part->change, &classes);
    }
    const char **names = tool_alloc(part->target_count, sizeof *names);
    *count = 0;
    for (size_t c = 0; c < classes.count; c++) {
        const struct numbers *members = &in->class_members[classes.at[c]];
        for (size_t k = 0; k < members->count && *count < part->target_count; k++)
            names[(*count)++] = in->target_names[members->at[k]];
    }
    INVARIANT(*count == part->target_count);
    free(classes.at);
    sort_names(names, *count);
    return names;
}
