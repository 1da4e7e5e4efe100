/* SPDX-License-Identifier: Apache-2.0
 *
 * The comparison role by role (policy/diff.h), for when so much differs that pairs of operators and
 * targets would take too long: each role of the old set and the role of that name in the new one,
 * as if it were the only one. Nothing that differs is missed by that, because a decision is made of
 * roles; but what another role of the same operator gives too is told as well. */
#include <stdio.h>

#include "policy/cells.h"
#include "policy/diff_state.h"

/* The region of a role: who, on which target classes, as whom. */
struct region {
    struct numbers operators, classes; /* ascending */
    struct numbers accounts;
};

struct comparing {
    struct diff_inside *in;
    const struct role *role[2]; /* NULL: not in this set */
    struct numbers *members[2]; /* joint operators by role; of all roles */
};

/* ---- one role's decision ---- */

static bool from_fits(const struct prefix *from, size_t count, const struct address *source)
{
    for (size_t i = 0; i < count; i++) {
        if (prefix_contains(&from[i], source))
            return true;
    }
    return !count;
}

/* As policy_decide does with one role; rules are borrowed from it. */
static void decide_alone(const struct role *role, const struct policy_request *r,
                         struct policy_decision *out)
{
    uint64_t until_s;
    const uint32_t first = role ? role->factors & (FACTOR_KEY | FACTOR_PASSWORD) : 0;

    *out = (struct policy_decision){.allowed = false};
    if (!role || !from_fits(role->from, role->from_count, &r->source) ||
        (r->factors & first) != first || !(r->factors & (FACTOR_TOTP | FACTOR_REMEMBERED)) ||
        (role->when.count && !when_open(&role->when, r->now_s, &until_s)) ||
        (!(r->factors & FACTOR_TOTP) && r->remembered_age_s >= role->remember_s))
        return;
    /* A deny takes the shell (policy/decide.c). */
    const bool shell = role->shell && !(role->rules && rule_set_denies(role->rules, NULL));
    out->abilities = (shell ? ABILITY_SHELL : 0) | (role->exec ? ABILITY_EXEC : 0) |
                     (role->files ? ABILITY_SFTP : 0) | (role->forwards ? ABILITY_FORWARD : 0);
    /* Where it permits nothing it still limits what others permit. */
    out->allowed = true;
    out->idle_s = role->idle_s;
    out->max_s = role->max_s;
    out->max_bytes = role->max_bytes;
    out->record = role->record;
    out->bulk = role->bulk;
    out->bulk_after = role->bulk == BULK_DIGEST ? role->bulk_after : 0;
    out->keep_max = role->files ? role->keep_max : 0;
    out->rules = role->exec ? role->rules : NULL;
    out->files = role->files;
    out->forwards = role->forwards;
}

static bool gives_nothing(const struct role *role)
{
    return !role || (!role->shell && !role->exec && !role->files && !role->forwards);
}

static uint32_t compare_roles(struct diff_inside *in, const struct role *old,
                              const struct role *new)
{
    struct policy_request request = {.operator_name = ""};
    struct cells cells = {0};
    struct seen *seen = diff_seen_new();

    if (old)
        cells_add_role(&cells, old);
    if (new)
        cells_add_role(&cells, new);
    cells_finish(&cells, NULL, NULL, in->at_s);
    for (size_t i = 0; i < cells.count; i++) {
        struct policy_decision a, b;
        cells_get(&cells, i, &request);
        decide_alone(old, &request, &a);
        decide_alone(new, &request, &b);
        /* A role that only limits, and none at all: then the limits are what comes or goes. */
        if (gives_nothing(old) && gives_nothing(new))
            a.allowed = b.allowed = true;
        diff_seen_add(seen, &a, &b);
    }
    diff_seen_denies(seen, old, new);
    cells_clear(&cells);
    in->compared++;
    return diff_seen_change(in, seen, &old, old ? 1 : 0, &new, new ? 1 : 0);
}

/* ---- regions ---- */

static void fill_region(const struct comparing *c, int s, struct region *out)
{
    struct diff_inside *in = c->in;
    const struct role *role = c->role[s];
    const struct effect *effect;

    *out = (struct region){0};
    if (!role)
        return;
    effect = &in->effects[in->side[s].effect_of_role[role->number]];
    for (size_t i = 0; i < c->members[s][role->number].count; i++)
        tool_add(&out->operators, c->members[s][role->number].at[i]);
    tool_sort_unique(&out->operators);
    for (size_t i = 0; i < in->lists[effect->list].count; i++)
        tool_add(&out->classes, in->lists[effect->list].at[i]);
    for (size_t i = 0; i < effect->accounts.count; i++)
        tool_add(&out->accounts, effect->accounts.at[i]);
}

static void clear_region(struct region *r)
{
    free(r->operators.at);
    free(r->classes.at);
    free(r->accounts.at);
}

/* What only a has, and what both have; ascending. */
static void split(const struct numbers *a, const struct numbers *b, struct numbers *only,
                  struct numbers *both)
{
    size_t k = 0;

    for (size_t i = 0; i < a->count; i++) {
        while (k < b->count && b->at[k] < a->at[i])
            k++;
        const bool has = k < b->count && b->at[k] == a->at[i];
        struct numbers *to = has ? both : only;
        if (to)
            tool_add(to, a->at[i]);
    }
}

static void add_found(struct diff_inside *in, uint32_t change, const struct numbers *operators,
                      const struct numbers *classes, const struct numbers *accounts, uint32_t roles)
{
    if (change == NOWHERE || !operators->count || !classes->count || !accounts->count)
        return;
    in->role_found = tool_grow(in->role_found, &in->role_found_cap, in->role_found_count,
                               sizeof *in->role_found);
    in->role_found[in->role_found_count++] =
        (struct role_found){change, diff_list_id(in, operators), diff_list_id(in, classes),
                            diff_list_id(in, accounts), roles};
}

/* What a has beyond b is all of one change. */
static void add_beyond(struct diff_inside *in, uint32_t change, const struct region *a,
                       const struct region *b, uint32_t roles)
{
    struct numbers operators = {0}, kept = {0}, classes = {0}, kept_classes = {0}, accounts = {0};

    split(&a->operators, &b->operators, &operators, &kept);
    split(&a->classes, &b->classes, &classes, &kept_classes);
    split(&a->accounts, &b->accounts, &accounts, NULL);
    add_found(in, change, &operators, &a->classes, &a->accounts, roles);
    add_found(in, change, &kept, &classes, &a->accounts, roles);
    add_found(in, change, &kept, &kept_classes, &accounts, roles);
    free(operators.at);
    free(kept.at);
    free(classes.at);
    free(kept_classes.at);
    free(accounts.at);
}

/* Both sides have all of it. */
static bool same_region(const struct region *r, const struct numbers *operators,
                        const struct numbers *classes, const struct numbers *accounts)
{
    return r->operators.count == operators->count && r->classes.count == classes->count &&
           r->accounts.count == accounts->count;
}

static void compare_pair(struct comparing *c, uint32_t number)
{
    struct diff_inside *in = c->in;
    const struct role *old = c->role[0], *new = c->role[1];
    struct region a, b;
    struct numbers operators = {0}, classes = {0}, accounts = {0};

    fill_region(c, 0, &a);
    fill_region(c, 1, &b);
    const bool same =
        old && new &&
        in->side[0].effect_of_role[old->number] == in->side[1].effect_of_role[new->number];
    split(&a.operators, &b.operators, NULL, &operators);
    split(&a.classes, &b.classes, NULL, &classes);
    split(&a.accounts, &b.accounts, NULL, &accounts);
    if (!same && old && new)
        add_found(in, compare_roles(in, old, new), &operators, &classes, &accounts, number);
    if (old && !same_region(&a, &operators, &classes, &accounts))
        add_beyond(in, compare_roles(in, old, NULL), &a, &b, number);
    if (new && !same_region(&b, &operators, &classes, &accounts))
        add_beyond(in, compare_roles(in, NULL, new), &b, &a, number);
    clear_region(&a);
    clear_region(&b);
    free(operators.at);
    free(classes.at);
    free(accounts.at);
}

/* The joint operators who hold each role. */
static struct numbers *members_of(const struct diff_inside *in, int s)
{
    const struct side *side = &in->side[s];
    struct numbers *members = tool_alloc(side->p->role_count, sizeof *members);

    for (uint32_t i = 0; i < in->operator_count; i++) {
        const uint32_t here = side->operator_of_joint[i];
        if (here == NOWHERE)
            continue;
        const struct operator_entry *op = &side->p->operators[here];
        for (size_t r = 0; r < op->roles.count; r++)
            tool_add(&members[op->roles.at[r]], i);
        for (size_t g = 0; g < op->pub.group_count; g++) {
            const struct numbers *roles = &side->p->groups[op->group_index[g]].roles;
            for (size_t r = 0; r < roles->count; r++)
                tool_add(&members[roles->at[r]], i);
        }
    }
    return members;
}

void diff_role_by_role(struct diff_inside *in)
{
    const struct policy *old = in->side[0].p, *new = in->side[1].p;
    struct comparing c = {.in = in, .members = {members_of(in, 0), members_of(in, 1)}};

    in->role_names = tool_alloc(old->role_count + new->role_count, sizeof *in->role_names);
    for (uint32_t i = 0; i < old->role_count; i++) {
        uint32_t other;
        c.role[0] = &old->roles[i];
        c.role[1] = table_get(&new->role_by_name, c.role[0]->name, strlen(c.role[0]->name), &other)
                        ? &new->roles[other]
                        : NULL;
        in->role_names[i] = (struct role_name){c.role[0]->name, {true, c.role[1] != NULL}};
        compare_pair(&c, i);
    }
    c.role[0] = NULL;
    for (uint32_t i = 0; i < new->role_count; i++) {
        uint32_t other;
        c.role[1] = &new->roles[i];
        if (table_get(&old->role_by_name, c.role[1]->name, strlen(c.role[1]->name), &other))
            continue;
        in->role_names[old->role_count + i] = (struct role_name){c.role[1]->name, {false, true}};
        compare_pair(&c, (uint32_t)old->role_count + i);
    }
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < in->side[s].p->role_count; i++)
            free(c.members[s][i].at);
        free(c.members[s]);
    }
}
