/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/who_can.h. From the target to its roles, from these to operators: so the set's other
 * targets and roles cost nothing. */
#include "policy/who_can.h"

#include "base/log.h"
#include "policy/cells.h"
#include "policy/role_text.h"
#include "policy/role_index.h"
#include "policy/set.h"
#include "policy/vector.h"

static int unknown_target(const struct policy *p, const char *name, struct err *e)
{
    const char **names = tool_alloc(p->target_count + 1, sizeof *names);
    char shown[300];

    for (size_t i = 0; i < p->target_count; i++)
        names[i] = p->targets[i].pub.name;
    const char *near = nearest_word(name, names);
    escape_text(shown, sizeof shown, name, strnlen(name, 64));
    err_set(e, ERR_NOT_FOUND, "there is no target named \"%s\"%s%s%s", shown,
            near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    free(names);
    return ERR_NOT_FOUND;
}

/* Operators with the same roles on the target as one account. */
struct holders {
    struct numbers roles, members;
};
#define NOWHERE_ROLE UINT32_MAX /* ends the list of roles in a key */
struct asking {
    const struct policy *p;
    const struct who_can_query *q;
    const struct target_entry *target;
    const char *account;
    bool *fits; /* by role: on this target, as this account */
    struct interner ids;
    struct holders *holders;
    size_t cap;
    bool *counted; /* by operator */
    struct who_can *out;
    size_t group_cap;
};

static void collect(const struct asking *a, const struct numbers *roles, struct numbers *out)
{
    for (size_t i = 0; i < roles->count; i++) {
        if (a->fits[roles->at[i]])
            tool_add(out, roles->at[i]);
    }
}

/* An operator's own list has a say too. */
static void add_from(struct numbers *key, const struct operator_entry *op)
{
    for (size_t i = 0; i < op->from_count; i++) {
        uint32_t words[(sizeof(struct prefix) + 3) / 4] = {0};
        memcpy(words, &op->from[i], sizeof op->from[i]);
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            tool_add(key, words[k]);
    }
}

static void find_holders(struct asking *a)
{
    struct numbers roles = {0}, key = {0};

    for (uint32_t i = 0; i < a->p->operator_count; i++) {
        const struct operator_entry *op = &a->p->operators[i];
        bool is_new;
        roles.count = key.count = 0;
        collect(a, &op->roles, &roles);
        for (size_t g = 0; g < op->pub.group_count; g++)
            collect(a, &a->p->groups[op->group_index[g]].roles, &roles);
        if (!roles.count)
            continue;
        tool_sort_unique(&roles);
        for (size_t k = 0; k < roles.count; k++)
            tool_add(&key, roles.at[k]);
        tool_add(&key, NOWHERE_ROLE);
        add_from(&key, op);
        const uint32_t id = interner_id(&a->ids, key.at, key.count * sizeof *key.at, &is_new);
        if (is_new) {
            a->holders = tool_grow(a->holders, &a->cap, id, sizeof *a->holders);
            a->holders[id] = (struct holders){0};
            for (size_t k = 0; k < roles.count; k++)
                tool_add(&a->holders[id].roles, roles.at[k]);
        }
        tool_add(&a->holders[id].members, i);
    }
    free(roles.at);
    free(key.at);
}

static int answers(const struct who_can_query *q, const struct policy_decision *d, bool *yes,
                   struct err *e)
{
    struct policy_answer answer;
    int rc = 0;

    *yes = d->allowed && (!q->ability || (d->abilities & q->ability));
    if (*yes && q->ask) {
        rc = policy_ask(d, q->ask, &answer, e);
        *yes = rc == 0 && answer.allowed;
    }
    return rc;
}

/* *abilities: what they have in all circumstances together; *any: the question is answered by yes
 * in one of them. */
static int decide(const struct asking *a, const struct holders *h, uint32_t *abilities, bool *any,
                  struct err *e)
{
    struct policy_request request = {.operator_name = a->p->operators[h->members.at[0]].pub.name,
                                     .target = a->target->pub.name,
                                     .account = a->account};
    const struct operator_entry *op = &a->p->operators[h->members.at[0]];
    struct cells cells = {0};
    int rc = 0;

    cells_add_prefixes(&cells, op->from, op->from_count);
    for (size_t i = 0; i < h->roles.count; i++)
        cells_add_role(&cells, &a->p->roles[h->roles.at[i]]);
    cells_finish(&cells, a->q->source, a->q->at_s, a->q->start_s);
    for (size_t i = 0; i < cells.count && rc == 0; i++) {
        struct policy_decision d;
        cells_get(&cells, i, &request);
        rc = policy_decide(a->p, &request, &d, e);
        bool yes = false;
        if (rc == 0)
            rc = answers(a->q, &d, &yes, e);
        if (yes) {
            *any = true;
            *abilities |= d.abilities;
        }
        policy_decision_clear(&d);
    }
    cells_clear(&cells);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_group(struct asking *a, const struct holders *h, uint32_t abilities)
{
    struct who_can *out = a->out;

    out->groups = tool_grow(out->groups, &a->group_cap, out->count, sizeof *out->groups);
    struct who_can_group *g = &out->groups[out->count++];
    *g = (struct who_can_group){.account = a->account, .abilities = abilities};
    g->operators = tool_alloc(h->members.count, sizeof *g->operators);
    g->roles = tool_alloc(h->roles.count, sizeof *g->roles);
    g->conditions = tool_alloc(h->roles.count, sizeof *g->conditions);
    for (size_t i = 0; i < h->members.count; i++) {
        const uint32_t op = h->members.at[i];
        g->operators[g->operator_count++] = a->p->operators[op].pub.name;
        out->operators += !a->counted[op];
        a->counted[op] = true;
    }
    for (size_t i = 0; i < h->roles.count; i++) {
        const struct role *role = &a->p->roles[h->roles.at[i]];
        char *text = role_conditions_text(role);
        size_t k = 0;
        g->roles[g->role_count++] = role->name;
        while (k < g->condition_count && strcmp(g->conditions[k], text) != 0)
            k++;
        if (k == g->condition_count)
            g->conditions[g->condition_count++] = text;
        else
            free(text);
    }
    qsort(g->operators, g->operator_count, sizeof *g->operators, by_name);
    qsort(g->roles, g->role_count, sizeof *g->roles, by_name);
    qsort(g->conditions, g->condition_count, sizeof *g->conditions, by_name);
}

static int ask_account(struct asking *a, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < a->p->role_count; i++) {
        const struct role *role = &a->p->roles[i];
        bool fits = false;
        for (size_t k = 0; k < role->account_count && !fits; k++)
            fits = strcmp(role->accounts[k], a->account) == 0;
        a->fits[i] = fits && role_selects(role, a->target);
    }
    find_holders(a);
    for (uint32_t i = 0; i < a->ids.count; i++) {
        uint32_t abilities = 0;
        bool any = false;
        if (rc == 0)
            rc = decide(a, &a->holders[i], &abilities, &any, e);
        if (rc == 0 && any)
            add_group(a, &a->holders[i], abilities);
        free(a->holders[i].roles.at);
        free(a->holders[i].members.at);
    }
    interner_clear(&a->ids);
    return rc;
}

/* Every account that a role has on the target, sorted. */
static const char **accounts_on(const struct asking *a, size_t *count)
{
    const char **names = NULL;
    size_t cap = 0, n = 0, kept = 0;

    for (size_t i = 0; i < a->p->role_count; i++) {
        const struct role *role = &a->p->roles[i];
        if (!role_selects(role, a->target))
            continue;
        for (size_t k = 0; k < role->account_count; k++) {
            names = tool_grow(names, &cap, n, sizeof *names);
            names[n++] = role->accounts[k];
        }
    }
    if (n)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        if (!kept || strcmp(names[kept - 1], names[i]) != 0)
            names[kept++] = names[i];
    }
    *count = kept;
    return names;
}

static int by_group(const void *left, const void *right)
{
    const struct who_can_group *a = left, *b = right;
    int rc = strcmp(a->account, b->account);

    return rc ? rc : strcmp(a->operators[0], b->operators[0]);
}

int policy_who_can(const struct policy *p, const struct who_can_query *q, struct who_can *out,
                   struct err *e)
{
    struct asking a = {.p = p, .q = q, .account = q->account, .out = out};
    uint32_t index;
    int rc = 0;

    *out = (struct who_can){0};
    if (!table_get(&p->target_by_name, q->target, strlen(q->target), &index))
        return unknown_target(p, q->target, e);
    a.target = &p->targets[index];
    a.fits = tool_alloc(p->role_count, sizeof *a.fits);
    a.counted = tool_alloc(p->operator_count, sizeof *a.counted);
    if (q->account) {
        rc = ask_account(&a, e);
    } else {
        size_t count;
        const char **accounts = accounts_on(&a, &count);
        for (size_t i = 0; i < count && rc == 0; i++) {
            a.account = accounts[i];
            rc = ask_account(&a, e);
        }
        free(accounts);
    }
    if (out->count)
        qsort(out->groups, out->count, sizeof *out->groups, by_group);
    free(a.fits);
    free(a.counted);
    free(a.holders);
    if (rc < 0)
        who_can_clear(out);
    return rc;
}

void who_can_clear(struct who_can *w)
{
    for (size_t i = 0; i < w->count; i++) {
        struct who_can_group *g = &w->groups[i];
        for (size_t k = 0; k < g->condition_count; k++)
            free(g->conditions[k]);
        free(g->operators);
        free(g->roles);
        free(g->conditions);
    }
    free(w->groups);
    *w = (struct who_can){0};
}
