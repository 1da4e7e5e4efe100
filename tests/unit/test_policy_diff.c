/* SPDX-License-Identifier: Apache-2.0
 *
 * `policy diff` and `policy who-can` against all questions: on some hundred small random sets each
 * operator, target, account and circumstance is decided one by one, and what comes of that has to
 * be what the two say. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/diff.h"
#include "policy/who_can.h"
#include "tests/unit/random_set.h"

#define PAIRS 300

static const struct {
    uint32_t bit;
    const char *name;
} abilities[] = {{ABILITY_SHELL, "shell"},
                 {ABILITY_EXEC, "exec"},
                 {ABILITY_SFTP, "sftp"},
                 {ABILITY_FORWARD, "forward"}};
#define ABILITIES 4

/* ---- one by one ---- */

struct lines {
    char *at[64];
    size_t count;
};

static void add_line(struct lines *l, const char *text)
{
    cr_assert_lt(l->count, 64);
    l->at[l->count++] = strdup(text);
}

static void add_rule(void *arg, const char *rule)
{
    add_line(arg, rule);
}

static void add_deny(void *arg, const char *rule)
{
    if (strncmp(rule, "deny", 4) == 0)
        add_line(arg, rule);
}

static void add_pattern(void *arg, unsigned access, const char *pattern)
{
    char text[FILE_PATTERN_MAX + 10];

    for (unsigned bit = FILE_READ; bit <= FILE_WRITE; bit <<= 1) {
        if (access & bit) {
            snprintf(text, sizeof text, "%u %s", bit, pattern);
            add_line(arg, text);
        }
    }
}

static void add_forward(void *arg, const char *name, const char *text)
{
    (void)name;
    add_line(arg, text);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Everything that a decision gives, as one text. */
static char *signature(const struct policy_decision *d)
{
    struct lines l = {.count = 0};
    struct buf out;

    buf_init(&out, 1u << 16);
    cr_assert_eq(buf_printf(&out, "%d %u\n", d->allowed, d->abilities & ~(uint32_t)ABILITY_PTY), 0);
    if (d->allowed)
        cr_assert_eq(buf_printf(&out, "%llu %llu %llu %d %d %llu %llu\n",
                                (unsigned long long)d->idle_s, (unsigned long long)d->max_s,
                                (unsigned long long)d->max_bytes, d->record, d->bulk,
                                (unsigned long long)d->bulk_after, (unsigned long long)d->keep_max),
                     0);
    if (d->abilities & ABILITY_EXEC) {
        /* Beside "anything" no other allow says anything. */
        rule_set_each(d->rules, rule_set_is_open(d->rules) ? add_deny : add_rule, &l);
        if (!d->rules || rule_set_is_open(d->rules))
            add_line(&l, "anything");
    }
    file_rules_each(d->files, add_pattern, &l);
    forward_rules_each(d->forwards, add_forward, &l);
    qsort(l.at, l.count, sizeof *l.at, by_text);
    for (size_t i = 0; i < l.count; i++) {
        if (!i || strcmp(l.at[i], l.at[i - 1]) != 0)
            cr_assert_eq(buf_printf(&out, "%s\n", l.at[i]), 0);
    }
    for (size_t i = 0; i < l.count; i++)
        free(l.at[i]);
    char *text = buf_string(&out);
    buf_clear(&out);
    return text;
}

static void decide(const struct random_set *s, const struct policy_request *r,
                   struct policy_decision *d)
{
    struct err e = ERR_INIT;

    cr_assert_eq(policy_decide(s->policy, r, d, &e), 0, "%s", e.text);
}

/* What of one operator, target and account differs. */
struct truth {
    bool differs, before[ABILITIES], after[ABILITIES], gained[ABILITIES], lost[ABILITIES];
};

static void find_truth(const struct random_set *old, const struct random_set *new,
                       struct policy_request *r, struct truth *t)
{
    *t = (struct truth){0};
    for (size_t i = 0; random_circumstance(i, r); i++) {
        struct policy_decision a, b;
        decide(old, r, &a);
        decide(new, r, &b);
        char *x = signature(&a), *y = signature(&b);
        /* Limits of a session that is in one set alone are no difference of their own, and a
         * session that permits nothing is none. */
        t->differs = t->differs || strcmp(x, y) != 0;
        for (int k = 0; k < ABILITIES; k++) {
            const bool before = a.abilities & abilities[k].bit,
                       after = b.abilities & abilities[k].bit;
            t->before[k] |= before;
            t->after[k] |= after;
            t->gained[k] |= after && !before;
            t->lost[k] |= before && !after;
        }
        free(x);
        free(y);
        policy_decision_clear(&a);
        policy_decision_clear(&b);
    }
}

/* ---- what diff says ---- */

static bool has_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static const struct diff_group *group_of(const struct diff *d, const struct policy_request *r,
                                         size_t *found)
{
    const struct diff_group *group = NULL;

    *found = 0;
    for (size_t i = 0; i < d->group_count; i++) {
        for (size_t k = 0; k < d->groups[i].part_count; k++) {
            const struct diff_part *part = &d->groups[i].parts[k];
            size_t count;
            if (!has_name(part->operators, part->operator_count, r->operator_name) ||
                !has_name(part->accounts, part->account_count, r->account))
                continue;
            const char **targets = diff_part_targets(d, part, &count);
            if (has_name(targets, count, r->target)) {
                group = &d->groups[i];
                ++*found;
            }
            free(targets);
        }
    }
    return group;
}

static const struct diff_item *item_of(const struct diff_group *g, const char *subject)
{
    for (size_t i = 0; g && i < g->change->count; i++) {
        if (strcmp(g->change->items[i].subject, subject) == 0)
            return &g->change->items[i];
    }
    return NULL;
}

static void compare(const struct diff *d, const struct policy_request *r, const struct truth *t,
                    unsigned pair)
{
    size_t found;
    const struct diff_group *g = group_of(d, r, &found);

    cr_assert_leq(found, 1, "pair %u: %s on %s as %s is in %zu groups", pair, r->operator_name,
                  r->target, r->account, found);
    cr_assert_eq(found == 1, t->differs, "pair %u: %s on %s as %s: %s", pair, r->operator_name,
                 r->target, r->account, t->differs ? "not told" : "told for nothing");
    for (int k = 0; k < ABILITIES; k++) {
        const struct diff_item *item = item_of(g, abilities[k].name);
        const bool differs = t->gained[k] || t->lost[k];
        cr_assert_eq(item != NULL, differs, "pair %u: %s on %s as %s: %s", pair, r->operator_name,
                     r->target, r->account, abilities[k].name);
        if (!differs)
            continue;
        const enum diff_kind kind = !t->before[k]                ? DIFF_ALLOWED
                                    : !t->after[k]               ? DIFF_DENIED
                                    : t->gained[k] && t->lost[k] ? DIFF_CHANGED
                                    : t->gained[k]               ? DIFF_WIDENED
                                                                 : DIFF_NARROWED;
        cr_assert_eq(item->kind, kind, "pair %u: %s on %s as %s: %s is %s, not %s", pair,
                     r->operator_name, r->target, r->account, abilities[k].name,
                     diff_kind_text(item->kind), diff_kind_text(kind));
    }
}

/* Two sets that differ in some parts, and what is said of that. */
struct pair {
    struct random_set old, new;
    struct diff d;
};

static void pair_make(struct pair *p, uint32_t *state, enum diff_how how)
{
    struct random_seeds seeds;
    struct err e = ERR_INIT;

    random_seeds(&seeds, state);
    random_set_make(&seeds, &p->old);
    random_change(&seeds, state);
    random_set_make(&seeds, &p->new);
    const struct diff_input inputs[] = {
        {p->old.policy, buf_head(&p->old.block), buf_len(&p->old.block)},
        {p->new.policy, buf_head(&p->new.block), buf_len(&p->new.block)}};
    cr_assert_eq(policy_diff(&inputs[0], &inputs[1], 1772000000, how, &p->d, &e), 0, "%s", e.text);
}

static void pair_clear(struct pair *p)
{
    diff_clear(&p->d);
    random_set_clear(&p->old);
    random_set_clear(&p->new);
}

/* Each operator on each target as each account; false: no more. */
static bool combination(size_t i, struct policy_request *r)
{
    if (i >= RANDOM_OPERATORS * RANDOM_TARGETS * RANDOM_ACCOUNTS)
        return false;
    *r = (struct policy_request){.operator_name = random_operators[i % RANDOM_OPERATORS],
                                 .target = random_targets[i / RANDOM_OPERATORS % RANDOM_TARGETS],
                                 .account = random_accounts[i / RANDOM_OPERATORS / RANDOM_TARGETS]};
    return true;
}

Test(policy_diff, says_what_all_decisions_say)
{
    uint32_t state = 20260302;
    size_t differing = 0, same = 0;

    for (unsigned i = 0; i < PAIRS; i++) {
        struct policy_request r;
        struct pair pair;
        pair_make(&pair, &state, DIFF_BOUNDED);
        for (size_t k = 0; combination(k, &r); k++) {
            struct truth truth;
            find_truth(&pair.old, &pair.new, &r, &truth);
            compare(&pair.d, &r, &truth, i);
            *(truth.differs ? &differing : &same) += 1;
        }
        pair_clear(&pair);
    }
    /* The sets are such that both happen often. */
    cr_assert_gt(differing, 500);
    cr_assert_gt(same, 500);
}

static bool from_differs(const struct diff *d, const char *operator_name)
{
    for (size_t i = 0; i < d->identity_count; i++) {
        if (d->identities[i].kind == DIFF_OPERATOR_FROM &&
            strcmp(d->identities[i].name, operator_name) == 0)
            return true;
    }
    return false;
}

/* Role by role nothing is missed; what another role gives too is told as well. */
Test(policy_diff, role_by_role_misses_nothing)
{
    uint32_t state = 20260303;
    size_t differing = 0;

    for (unsigned i = 0; i < PAIRS / 2; i++) {
        struct policy_request r;
        struct pair pair;
        pair_make(&pair, &state, DIFF_ROLES);
        cr_assert_not(pair.d.exact);
        for (size_t k = 0; combination(k, &r); k++) {
            struct truth truth;
            size_t found;
            find_truth(&pair.old, &pair.new, &r, &truth);
            group_of(&pair.d, &r, &found);
            cr_assert(!truth.differs || found || from_differs(&pair.d, r.operator_name),
                      "pair %u: %s on %s as %s is not told", i, r.operator_name, r.target,
                      r.account);
            differing += truth.differs;
        }
        pair_clear(&pair);
    }
    cr_assert_gt(differing, 250);
}

Test(policy_diff, a_set_and_itself_are_the_same)
{
    uint32_t state = 7;

    for (unsigned i = 0; i < 50; i++) {
        struct random_seeds seeds;
        struct random_set set;
        struct diff d;
        struct err e = ERR_INIT;
        random_seeds(&seeds, &state);
        random_set_make(&seeds, &set);
        const struct diff_input input = {set.policy, buf_head(&set.block), buf_len(&set.block)};
        cr_assert_eq(policy_diff(&input, &input, 1772000000, DIFF_BOUNDED, &d, &e), 0, "%s",
                     e.text);
        cr_assert_eq(d.group_count, 0);
        cr_assert_eq(d.identity_count, 0);
        cr_assert_eq(d.compared, 0);
        diff_clear(&d);
        random_set_clear(&set);
    }
}

/* ---- who can ---- */

static bool can(const struct random_set *s, struct policy_request *r, uint32_t ability,
                uint32_t *all)
{
    bool any = false;

    *all = 0;
    for (size_t i = 0; random_circumstance(i, r); i++) {
        struct policy_decision d;
        decide(s, r, &d);
        if (d.allowed && (!ability || (d.abilities & ability))) {
            any = true;
            *all |= d.abilities;
        }
        policy_decision_clear(&d);
    }
    return any;
}

static void compare_who_can(const struct random_set *s, const char *target, const char *account,
                            uint32_t ability, size_t *answers)
{
    const struct who_can_query q = {
        .target = target, .account = account, .ability = ability, .start_s = 1772000000};
    struct who_can w;
    struct err e = ERR_INIT;

    cr_assert_eq(policy_who_can(s->policy, &q, &w, &e), 0, "%s", e.text);
    for (int o = 0; o < RANDOM_OPERATORS; o++) {
        struct policy_request r = {
            .operator_name = random_operators[o], .target = target, .account = account};
        const struct who_can_group *group = NULL;
        uint32_t all;
        const bool truth = can(s, &r, ability, &all);
        for (size_t i = 0; i < w.count; i++) {
            if (!has_name(w.groups[i].operators, w.groups[i].operator_count, r.operator_name))
                continue;
            cr_assert_null(group);
            group = &w.groups[i];
        }
        cr_assert_eq(group != NULL, truth, "%s on %s as %s", r.operator_name, target, account);
        if (group)
            cr_assert_eq(group->abilities, all, "%s on %s as %s", r.operator_name, target, account);
        *answers += truth;
    }
    who_can_clear(&w);
}

Test(policy_who_can, says_what_all_decisions_say)
{
    uint32_t state = 99;
    size_t answers = 0;

    for (unsigned i = 0; i < 100; i++) {
        struct random_seeds seeds;
        struct random_set set;
        random_seeds(&seeds, &state);
        random_set_make(&seeds, &set);
        for (int t = 0; t < RANDOM_TARGETS; t++) {
            for (int a = 0; a < 2; a++) {
                compare_who_can(&set, random_targets[t], random_accounts[a], 0, &answers);
                compare_who_can(&set, random_targets[t], random_accounts[a],
                                abilities[(t + a) % ABILITIES].bit, &answers);
            }
        }
        random_set_clear(&set);
    }
    cr_assert_gt(answers, 200);
}

Test(policy_who_can, names_the_nearest_target)
{
    struct random_seeds seeds = {.prefix = "r"};
    struct who_can_query q = {.target = "t00"};
    struct random_set set;
    struct who_can w;
    struct err e = ERR_INIT;

    random_set_make(&seeds, &set);
    cr_assert_eq(policy_who_can(set.policy, &q, &w, &e), ERR_NOT_FOUND);
    cr_assert(strstr(e.text, "did you mean \"t0\"?"), "%s", e.text);
    random_set_clear(&set);
}
