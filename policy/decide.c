/* SPDX-License-Identifier: Apache-2.0
 *
 * The decision: default deny. Of the operator's roles (own and by group), those match whose
 * targets, accounts and addresses all fit; what they permit adds up, the narrowest limits hold. A
 * role that does not match is remembered by how far it came, because that is what the operator is
 * told. Used by authd after both factors; the request's names are hostile. Pure, allocates only the
 * command and file rules. */
#include "policy/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "policy/set.h"

#define ASK "; ask your policy administrators"

/* How far a role came. Later is nearer to a match. */
enum stage { STAGE_MEMBER, STAGE_TARGET, STAGE_ACCOUNT, STAGE_MATCH };

/* Goes through an operator's roles in the order of the set, each once: a merge of ascending lists.
 */
struct role_walk {
    const struct numbers *list[GROUPS_MAX + 1];
    const char *via[GROUPS_MAX + 1]; /* the group, NULL: the operator's own name */
    size_t next[GROUPS_MAX + 1];
    size_t lists;
};

static void walk_begin(struct role_walk *w, const struct policy *p, const struct operator_entry *op)
{
    w->lists = 0;
    if (op->roles.count) {
        w->list[0] = &op->roles;
        w->via[0] = NULL;
        w->next[w->lists++] = 0;
    }
    for (size_t i = 0; i < op->pub.group_count; i++) {
        const struct group *g = &p->groups[op->group_index[i]];
        if (!g->roles.count)
            continue;
        w->list[w->lists] = &g->roles;
        w->via[w->lists] = g->name;
        w->next[w->lists++] = 0;
    }
}

static const struct role *walk_next(struct role_walk *w, const struct policy *p, const char **via)
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
    for (size_t i = 0; i < w->lists; i++)
        w->next[i] += w->next[i] < w->list[i]->count && w->list[i]->at[w->next[i]] == lowest;
    return &p->roles[lowest];
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

static enum stage role_stage(const struct role *role, const struct target_entry *t,
                             const struct policy_request *r)
{
    bool fits = false;

    for (size_t i = 0; i < role->selector_count; i++) {
        if (!selects(&role->selectors[i], t))
            return STAGE_MEMBER;
    }
    for (size_t i = 0; i < role->account_count && !fits; i++)
        fits = strcmp(role->accounts[i], r->account) == 0;
    if (!fits)
        return STAGE_TARGET;
    fits = !role->from_count;
    for (size_t i = 0; i < role->from_count && !fits; i++)
        fits = prefix_contains(&role->from[i], &r->source);
    return fits ? STAGE_MATCH : STAGE_ACCOUNT;
}

/* Appends at the end of text, as far as there is room; what does not fit ends in "...". */
static void append(char *text, size_t cap, const char *format, ...) PRINTF_LIKE(3, 4);

static void append(char *text, size_t cap, const char *format, ...)
{
    const size_t at = strlen(text);
    va_list args;

    if (at + 1 >= cap)
        return;
    va_start(args, format);
    const int n = vsnprintf(text + at, cap - at, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= cap - at)
        memcpy(text + cap - 4, "...", 4);
}

static int deny(struct policy_decision *out, const char *token, const char *format, ...)
    PRINTF_LIKE(3, 4);

static int deny(struct policy_decision *out, const char *token, const char *format, ...)
{
    va_list args;

    rule_set_free(out->rules);
    file_rules_free(out->files);
    out->rules = NULL;
    out->files = NULL;
    out->allowed = false;
    out->abilities = 0;
    out->bulk = BULK_FULL;
    out->bulk_after = out->keep_max = 0;
    snprintf(out->token, sizeof out->token, "%s", token);
    va_start(args, format);
    vsnprintf(out->reason, sizeof out->reason, format, args);
    va_end(args);
    return 0;
}

/* What the matching roles give together. */
struct sum {
    size_t matches;
    bool shell, exec, exec_of_anything;
    uint64_t remember_s; /* the smallest; 0 when a role has none */
};

static uint64_t smaller_limit(uint64_t a, uint64_t b)
{
    return !a ? b : !b ? a : a < b ? a : b;
}

/* What one role wants whole, no other makes less of. */
static void add_recording(const struct sum *sum, const struct role *role,
                          struct policy_decision *out)
{
    if (!sum->matches)
        out->bulk = role->bulk;
    else if (role->bulk == BULK_FULL)
        out->bulk = BULK_FULL;
    if (role->bulk_after > out->bulk_after)
        out->bulk_after = role->bulk_after;
    if (role->keep_max > out->keep_max)
        out->keep_max = role->keep_max;
}

static int add_files(const struct role *role, struct policy_decision *out, struct err *e)
{
    if (!role->files)
        return 0;
    if (!out->files && !(out->files = file_rules_new()))
        return err_set(e, ERR_MEMORY, "out of memory");
    return file_rules_merge(out->files, role->files, e);
}

/* An exec role's rules, and what any role denies. */
static int add_commands(const struct role *role, struct policy_decision *out, struct err *e)
{
    if (!role->rules)
        return 0;
    if (!out->rules && !(out->rules = rule_set_new()))
        return err_set(e, ERR_MEMORY, "out of memory");
    return rule_set_merge(out->rules, role->rules, e);
}

/* When all roles are added: rules that restrict nothing go; a deny covers the whole grant, so that
 * it takes a shell away, in which nothing would hold it up. */
static void settle_commands(struct sum *sum, struct policy_decision *out)
{
    char rule[128];

    if (rule_set_denies(out->rules, rule)) {
        if (sum->exec_of_anything)
            rule_set_open(out->rules);
        sum->exec_of_anything = false;
        if (sum->shell) {
            rule_set_take_shell(out->rules);
            append(out->path, sizeof out->path, "; no shell, because %s denies commands", rule);
        }
        sum->shell = false;
    }
    if (sum->exec_of_anything || (!sum->exec && !rule_set_took_shell(out->rules))) {
        rule_set_free(out->rules);
        out->rules = NULL;
    }
}

static int add_role(struct sum *sum, const struct role *role, const char *via,
                    struct policy_decision *out, struct err *e)
{
    if (!sum->matches || role->remember_s < sum->remember_s)
        sum->remember_s = role->remember_s;
    append(out->path, sizeof out->path, "%srole %s (%s:%u): %s%s, target, account%s match",
           sum->matches ? "; " : "", role->name, role->file, role->line, via ? "group:" : "members",
           via ? via : "", role->from_count ? ", from" : "");
    sum->shell = sum->shell || role->shell;
    sum->exec = sum->exec || role->exec;
    sum->exec_of_anything = sum->exec_of_anything || (role->exec && !role->rules);
    out->idle_s = smaller_limit(out->idle_s, role->idle_s);
    out->max_s = smaller_limit(out->max_s, role->max_s);
    out->max_bytes = smaller_limit(out->max_bytes, role->max_bytes);
    if (role->record > out->record)
        out->record = role->record;
    add_recording(sum, role, out);
    sum->matches++;
    int rc = add_files(role, out, e);
    return rc == 0 ? add_commands(role, out, e) : rc;
}

static void list_accounts(const struct policy *p, const struct operator_entry *op,
                          const struct target_entry *t, const struct policy_request *r, char *out,
                          size_t cap)
{
    const char *via, *named[16];
    size_t count = 0;
    struct role_walk w;

    out[0] = 0;
    walk_begin(&w, p, op);
    for (const struct role *role; (role = walk_next(&w, p, &via));) {
        if (role_stage(role, t, r) != STAGE_TARGET)
            continue;
        for (size_t i = 0; i < role->account_count && count < 16; i++) {
            size_t k = 0;
            while (k < count && named[k] != role->accounts[i])
                k++;
            if (k < count)
                continue;
            append(out, cap, "%s%s", count ? ", " : "", role->accounts[i]);
            named[count++] = role->accounts[i];
        }
    }
}

static int deny_at(enum stage furthest, const struct role *role, const struct policy *p,
                   const struct operator_entry *op, const struct target_entry *t,
                   const struct policy_request *r, struct policy_decision *out)
{
    char account[200], accounts[400], address[ADDRESS_TEXT];

    switch (furthest) {
    case STAGE_ACCOUNT:
        return deny(out, "address", "Your role %s does not permit logins to %s from %s" ASK,
                    role->name, t->pub.name, address_text(&r->source, address));
    case STAGE_TARGET:
        list_accounts(p, op, t, r, accounts, sizeof accounts);
        return deny(out, "account",
                    "None of your roles permits the account %s on %s (permitted: %s)" ASK,
                    escape_text(account, sizeof account, r->account, strnlen(r->account, 64)),
                    t->pub.name, accounts);
    default:
        return deny(out, "no-role", "None of your roles permits the target %s" ASK, t->pub.name);
    }
}

static int decide(const struct policy *p, const struct policy_request *r,
                  const struct operator_entry *op, const struct target_entry *t,
                  struct policy_decision *out, struct err *e)
{
    const bool code = r->factors & FACTOR_TOTP, remembered = r->factors & FACTOR_REMEMBERED;
    enum stage furthest = STAGE_MEMBER;
    const struct role *nearest = NULL;
    struct sum sum = {0};
    struct role_walk w;
    const char *via;

    walk_begin(&w, p, op);
    for (const struct role *role; (role = walk_next(&w, p, &via));) {
        const enum stage stage = role_stage(role, t, r);
        if (stage == STAGE_MATCH) {
            int rc = add_role(&sum, role, via, out, e);
            if (rc < 0)
                return rc;
        }
        if (!nearest || stage > furthest) {
            furthest = stage;
            nearest = role;
        }
    }
    if (!sum.matches)
        return deny_at(furthest, nearest, p, op, t, r, out);
    if (!(r->factors & (FACTOR_KEY | FACTOR_PASSWORD)) || !(code || remembered))
        return deny(out, "factors",
                    "Your roles need a key and a code, and this login had one of them" ASK);
    if (!code && r->remembered_age_s >= sum.remember_s)
        return deny(
            out, "remembered-too-old",
            "Your remembered login is %llu s old, and your roles on %s accept less than %llu s; "
            "log in with a code",
            (unsigned long long)r->remembered_age_s, t->pub.name,
            (unsigned long long)sum.remember_s);
    settle_commands(&sum, out);
    if (!sum.shell && !sum.exec && !out->files && rule_set_took_shell(out->rules)) {
        char rule[128];
        (void)rule_set_denies(out->rules, rule);
        return deny(out, "no-ability",
                    "Your roles permit a shell alone on %s, and %s denies commands, which no shell "
                    "would hold to" ASK,
                    t->pub.name, rule);
    }
    if (!sum.shell && !sum.exec && !out->files)
        return deny(out, "no-ability",
                    "Your role %s%s matches %s on %s, but permits nothing there: no shell, no "
                    "commands, no file transfer" ASK,
                    nearest->name, sum.matches > 1 ? ", as others of yours," : "", r->account,
                    t->pub.name);
    out->abilities = (sum.shell ? ABILITY_SHELL : 0) | (sum.exec ? ABILITY_EXEC : 0) |
                     (sum.shell || sum.exec_of_anything ? ABILITY_PTY : 0) |
                     (out->files ? ABILITY_SFTP : 0);
    if (out->bulk != BULK_DIGEST)
        out->bulk_after = 0;
    if (!out->files)
        out->keep_max = 0;
    out->allowed = true;
    return 0;
}

int policy_decide(const struct policy *p, const struct policy_request *r,
                  struct policy_decision *out, struct err *e)
{
    char name[300];
    uint32_t op, t;
    int rc;

    memset(out, 0, sizeof *out);
    if (!table_get(&p->operator_by_name, r->operator_name, strlen(r->operator_name), &op))
        return deny(
            out, "unknown-operator", "The policy set in force has no operator %s" ASK,
            escape_text(name, sizeof name, r->operator_name, strnlen(r->operator_name, 64)));
    if (!table_get(&p->target_by_name, r->target, strlen(r->target), &t))
        return deny(out, "unknown-target",
                    "There is no target named %s; `ssh gateway hosts` lists yours",
                    escape_text(name, sizeof name, r->target, strnlen(r->target, 64)));
    rc = decide(p, r, &p->operators[op], &p->targets[t], out, e);
    /* Anything less than all rules would be another policy than the one that was written. */
    if (rc == ERR_FULL)
        return deny(out, "rules",
                    "Your roles on %s have more command or file rules together than one session "
                    "can carry" ASK,
                    p->targets[t].pub.name);
    if (rc < 0)
        (void)deny(out, "rules", "The rules of your roles could not be put together" ASK);
    return rc;
}

void policy_decision_clear(struct policy_decision *d)
{
    if (!d)
        return;
    rule_set_free(d->rules);
    file_rules_free(d->files);
    memset(d, 0, sizeof *d);
}

uint64_t policy_remember_s(const struct policy *p, const char *operator_name)
{
    uint64_t longest = 0;
    struct role_walk w;
    const char *via;
    uint32_t op;

    if (!table_get(&p->operator_by_name, operator_name, strlen(operator_name), &op))
        return 0;
    walk_begin(&w, p, &p->operators[op]);
    for (const struct role *role; (role = walk_next(&w, p, &via));) {
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
    walk_begin(&w, p, &p->operators[op]);
    for (const struct role *role; (role = walk_next(&w, p, &via)); count++) {
        if (count < max)
            names[count] = role->name;
    }
    return count;
}
