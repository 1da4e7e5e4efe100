/* SPDX-License-Identifier: Apache-2.0
 *
 * The decision: default deny. Of the operator's roles (own and by group), those match whose
 * targets, accounts, addresses, factors and hours all fit; what they permit adds up, the narrowest
 * limits hold. A role that does not match is remembered by how far it came, because that is what
 * the operator is told. Used by authd after both factors; the request's names are hostile. Pure,
 * allocates only the rules (and a trace, when one is wanted). */
#include "policy/evaluate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "policy/role_walk.h"

struct question {
    const struct policy *p;
    const struct policy_request *r;
    const struct operator_entry *op;
    const struct target_entry *t;
    struct role_filter *filter; /* of t */
};

static bool any_contains(const struct prefix *from, size_t count, const struct address *source)
{
    for (size_t i = 0; i < count; i++) {
        if (prefix_contains(&from[i], source))
            return true;
    }
    return !count;
}

static bool account_fits(const struct role *role, const char *account)
{
    for (size_t i = 0; i < role->account_count; i++) {
        if (strcmp(role->accounts[i], account) == 0)
            return true;
    }
    return false;
}

/* Each factor that the role asks for must have been used; a remembered login stands for the code
 * (for how long is `remember`'s to say), never for the first factor. */
static bool factors_fit(const struct role *role, uint32_t used)
{
    const uint32_t first = role->factors & (FACTOR_KEY | FACTOR_PASSWORD);

    if (!role->factors) /* that only denies: whoever is let in by others */
        return true;
    return first && (used & first) == first && (used & (FACTOR_TOTP | FACTOR_REMEMBERED));
}

static bool key_fits(const struct question *q, const struct role *role, enum role_key key,
                     uint64_t *until_s)
{
    switch (key) {
    case ROLE_TARGETS:
        return role_filter_selects(q->filter, role->number);
    case ROLE_ACCOUNTS:
        return account_fits(role, q->r->account);
    case ROLE_FROM:
        return any_contains(role->from, role->from_count, &q->r->source);
    case ROLE_FACTORS:
        return factors_fit(role, q->r->factors);
    case ROLE_WHEN:
        return when_open(&role->when, q->r->now_s, until_s);
    default:
        return false;
    }
}

/* The first key that fails, ROLE_KEYS: none. A trace wants to know about the later ones too. */
static enum role_key examine(const struct question *q, const struct role *role,
                             struct role_trace *trace, uint64_t *until_s)
{
    enum role_key failed = ROLE_KEYS;

    for (enum role_key key = 0; key < ROLE_KEYS; key++) {
        const bool fits = key_fits(q, role, key, until_s);
        if (trace)
            trace->keys[key] = fits ? KEY_FITS : KEY_FAILS;
        if (!fits && failed == ROLE_KEYS)
            failed = key;
        if (failed != ROLE_KEYS && !trace)
            break;
    }
    if (trace)
        trace->matches = failed == ROLE_KEYS;
    return failed;
}

static struct role_trace *add_trace(struct trace *trace, const struct role *role, const char *via)
{
    if (trace->count == trace->cap) {
        const size_t cap = trace->cap ? trace->cap * 2 : 16;
        struct role_trace *grown = reallocarray(trace->roles, cap, sizeof *grown);
        if (!grown)
            return NULL;
        trace->roles = grown;
        trace->cap = cap;
    }
    struct role_trace *entry = &trace->roles[trace->count++];
    *entry = (struct role_trace){.role = role, .via = via};
    return entry;
}

/* What the matching roles give together. */
struct sum {
    size_t matches;
    size_t path_len;
    bool permits, shell, exec, exec_of_anything;
    uint64_t remember_s;            /* the smallest; 0 when a role that permits has none */
    const struct role *remember_of; /* whose that is; NULL: none of them permits anything */
};

static uint64_t smaller_limit(uint64_t a, uint64_t b)
{
    return !a ? b : !b ? a : a < b ? a : b;
}

/* The path grows by plain copies: it is written for every matching role of every decision. */
static void put_path(struct policy_decision *out, struct sum *sum, const char *text)
{
    const size_t len = strlen(text), room = sizeof out->path - 1 - sum->path_len;

    if (len <= room) {
        memcpy(out->path + sum->path_len, text, len + 1);
        sum->path_len += len;
    } else {
        memcpy(out->path + sum->path_len, text, room);
        memcpy(out->path + sizeof out->path - 4, "...", 4);
        sum->path_len = sizeof out->path - 1;
    }
}

static void add_path(struct policy_decision *out, struct sum *sum, const struct role *role,
                     const char *via)
{
    char line[16];
    char *p = line + sizeof line - 1;

    *p = 0;
    for (unsigned n = role->line; n; n /= 10)
        *--p = (char)('0' + n % 10);
    put_path(out, sum, sum->matches ? "; role " : "role ");
    put_path(out, sum, role->name);
    put_path(out, sum, " (");
    put_path(out, sum, role->file);
    put_path(out, sum, ":");
    put_path(out, sum, p);
    put_path(out, sum, via ? "): group:" : "): members");
    put_path(out, sum, via ? via : "");
    put_path(out, sum, ", target, account");
    put_path(out, sum, role->from_count ? ", from" : "");
    put_path(out, sum, role->when.count ? ", when" : "");
    put_path(out, sum, " match");
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
            put_path(out, sum, "; no shell, because ");
            put_path(out, sum, rule);
            put_path(out, sum, " denies commands");
        }
        sum->shell = false;
    }
    if (sum->exec_of_anything || (!sum->exec && !rule_set_took_shell(out->rules))) {
        rule_set_free(out->rules);
        out->rules = NULL;
    }
}

static int add_forwards(const struct role *role, struct policy_decision *out, struct err *e)
{
    if (!role->forwards)
        return 0;
    if (!out->forwards && !(out->forwards = forward_rules_new()))
        return err_set(e, ERR_MEMORY, "out of memory");
    return forward_rules_merge(out->forwards, role->forwards, e);
}

static void add_limits(struct sum *sum, const struct role *role, struct policy_decision *out)
{
    /* A role that only denies is about what runs, not about how one came in, unless it says so. */
    if ((role->remember_s || role_permits(role)) &&
        (!sum->remember_of || role->remember_s < sum->remember_s)) {
        sum->remember_s = role->remember_s;
        sum->remember_of = role;
    }
    out->idle_s = smaller_limit(out->idle_s, role->idle_s);
    out->max_s = smaller_limit(out->max_s, role->max_s);
    out->max_bytes = smaller_limit(out->max_bytes, role->max_bytes);
    if (role->record > out->record)
        out->record = role->record;
}

static int add_role(struct sum *sum, const struct role *role, const char *via,
                    struct policy_decision *out, struct err *e)
{
    add_path(out, sum, role, via);
    add_limits(sum, role, out);
    if (role->shell && !sum->shell)
        strcpy(out->shell_role, role->name);
    if (role->exec && !sum->exec)
        strcpy(out->exec_role, role->name);
    if (role->files && !out->files)
        strcpy(out->files_role, role->name);
    if (role->forwards && !out->forwards)
        strcpy(out->forward_role, role->name);
    if (!sum->matches || (!sum->permits && role_permits(role)))
        strcpy(out->because, role->name);
    sum->permits = sum->permits || role_permits(role);
    sum->shell = sum->shell || role->shell;
    sum->exec = sum->exec || role->exec;
    sum->exec_of_anything = sum->exec_of_anything || (role->exec && !role->rules);
    add_recording(sum, role, out);
    sum->matches++;
    int rc = add_files(role, out, e);
    if (rc == 0)
        rc = add_forwards(role, out, e);
    return rc == 0 ? add_commands(role, out, e) : rc;
}

static int deny_no_ability(const struct question *q, const struct sum *sum,
                           struct policy_decision *out)
{
    char because[128], role[ROLE_NAME_MAX + 1];

    if (rule_set_took_shell(out->rules) && rule_set_denies(out->rules, because))
        return policy_deny(q->p, out, "no-ability", because,
                           "Your roles permit a shell alone on %s, and %s denies commands, which "
                           "no shell would hold to",
                           q->t->pub.name, because);
    strcpy(role, out->because);
    snprintf(because, sizeof because, "%s/allow", role);
    return policy_deny(q->p, out, "no-ability", because,
                       "Your role %s%s matches %s on %s, but permits nothing there: no shell, "
                       "no commands, no file transfer, no forwarding",
                       role, sum->matches > 1 ? ", as others of yours," : "", q->r->account,
                       q->t->pub.name);
}

/* What came together is enough for a session, or why not. ERR_FULL: more than a grant carries. */
static int conclude(const struct question *q, struct sum *sum, struct policy_decision *out,
                    struct err *e)
{
    const bool code = q->r->factors & FACTOR_TOTP, remembered = q->r->factors & FACTOR_REMEMBERED;
    char because[128];

    /* Every role asked for both (factors_fit); no configuration gives a login with one. */
    if (!(q->r->factors & (FACTOR_KEY | FACTOR_PASSWORD)) || !(code || remembered))
        return policy_deny(
            q->p, out, "factors", "factors",
            "Your roles need a key or a password, and a code, and this login had one of "
            "them");
    if (!code && sum->remember_of && q->r->remembered_age_s >= sum->remember_s) {
        snprintf(because, sizeof because, "%s/remember", sum->remember_of->name);
        return policy_deny(
            q->p, out, "remembered-too-old", because,
            "Your remembered login is %llu s old, and your roles on %s accept less than %llu s; "
            "log in with a code",
            (unsigned long long)q->r->remembered_age_s, q->t->pub.name,
            (unsigned long long)sum->remember_s);
    }
    settle_commands(sum, out);
    if (!sum->shell && !sum->exec && !out->files && !out->forwards)
        return deny_no_ability(q, sum, out);
    out->abilities = (sum->shell ? ABILITY_SHELL : 0) | (sum->exec ? ABILITY_EXEC : 0) |
                     (sum->shell || sum->exec_of_anything ? ABILITY_PTY : 0) |
                     (out->files ? ABILITY_SFTP : 0) | (out->forwards ? ABILITY_FORWARD : 0);
    if (out->bulk != BULK_DIGEST)
        out->bulk_after = 0;
    if (!out->files)
        out->keep_max = 0;
    if (!rule_set_fits(out->rules))
        return err_set(e, ERR_FULL, "the rules and the packs of the classes that they deny");
    out->remember_s = sum->remember_s;
    out->allowed = true;
    return 0;
}

static int decide(struct question *q, struct policy_decision *out, struct trace *trace,
                  struct err *e)
{
    enum role_key furthest = ROLE_TARGETS;
    const struct role *nearest = NULL;
    struct role_filter filter;
    struct sum sum = {0};
    struct role_walk w;
    const char *via;

    role_filter_begin(&filter, q->p, q->t);
    q->filter = &filter;
    role_walk_begin(&w, q->p, q->op, trace ? NULL : &filter);
    for (const struct role *role; (role = role_walk_next(&w, &via));) {
        struct role_trace *entry = trace ? add_trace(trace, role, via) : NULL;
        uint64_t until_s = 0;
        if (trace && !entry)
            return err_set(e, ERR_MEMORY, "out of memory");
        const enum role_key failed = examine(q, role, entry, &until_s);
        if (failed >= ROLE_WHEN)
            out->until_s = smaller_limit(out->until_s, until_s);
        if (failed == ROLE_KEYS) {
            int rc = add_role(&sum, role, via, out, e);
            if (rc < 0)
                return rc;
        }
        /* What a guard lacks is no reason why nothing is permitted. */
        if (failed < ROLE_KEYS && !role_only_denies(role) && (!nearest || failed > furthest)) {
            furthest = failed;
            nearest = role;
        }
    }
    if (sum.permits || (sum.matches && furthest == ROLE_TARGETS))
        return conclude(q, &sum, out, e);
    return policy_deny_at(q->p, q->r, q->op, q->t, nearest, furthest, out);
}

static int deny_operator_from(const struct question *q, struct policy_decision *out)
{
    char because[128], text[ADDRESS_TEXT];

    policy_decision_clear(out);
    strcpy(out->contact, q->p->site.contact);
    snprintf(because, sizeof because, "operator:%s/from", q->op->pub.name);
    return policy_deny(q->p, out, "operator-address", because, "You may not log in from %s",
                       address_text(&q->r->source, text));
}

bool policy_operator_may_come_from(const struct policy *p, const char *operator_name,
                                   const struct address *source)
{
    uint32_t op;

    return table_get(&p->operator_by_name, operator_name, strlen(operator_name), &op) &&
           any_contains(p->operators[op].from, p->operators[op].from_count, source);
}

int policy_evaluate(const struct policy *p, const struct policy_request *r,
                    struct policy_decision *out, struct trace *trace, struct err *e)
{
    struct question q = {.p = p, .r = r};
    char name[300];
    uint32_t op, t;
    int rc;

    memset(out, 0, sizeof *out);
    if (trace)
        memset(trace, 0, sizeof *trace);
    strcpy(out->contact, p->site.contact);
    if (table_get(&p->operator_by_name, r->operator_name, strlen(r->operator_name), &op))
        q.op = &p->operators[op];
    if (table_get(&p->target_by_name, r->target, strlen(r->target), &t))
        q.t = &p->targets[t];
    if (trace) {
        trace->op = q.op;
        trace->target = q.t;
        trace->targets = p->targets;
    }
    if (!q.op)
        return policy_deny(
            p, out, "unknown-operator", "unknown-operator",
            "The policy set in force has no operator %s",
            escape_text(name, sizeof name, r->operator_name, strnlen(r->operator_name, 64)));
    const bool from_fits = any_contains(q.op->from, q.op->from_count, &r->source);
    if (trace)
        trace->operator_from_fits = from_fits;
    if (!from_fits && !(trace && q.t))
        return deny_operator_from(&q, out);
    if (!q.t)
        return policy_deny(p, out, "unknown-target", "unknown-target",
                           "There is no target named %s; `ssh gateway hosts` lists yours",
                           escape_text(name, sizeof name, r->target, strnlen(r->target, 64)));
    rc = decide(&q, out, trace, e);
    if (!from_fits && rc != ERR_MEMORY) /* a trace wanted to know about the roles all the same */
        return deny_operator_from(&q, out);
    /* Anything less than all rules would be another policy than the one that was written. */
    if (rc == ERR_FULL)
        return policy_deny(p, out, "rules", "rules",
                           "Your roles on %s have more rules together than one "
                           "session can carry",
                           q.t->pub.name);
    if (rc < 0)
        (void)policy_deny(p, out, "rules", "rules",
                          "The rules of your roles could not be put together");
    return rc;
}

int policy_decide(const struct policy *p, const struct policy_request *r,
                  struct policy_decision *out, struct err *e)
{
    return policy_evaluate(p, r, out, NULL, e);
}

void policy_decision_clear(struct policy_decision *d)
{
    if (!d)
        return;
    rule_set_free(d->rules);
    file_rules_free(d->files);
    forward_rules_free(d->forwards);
    memset(d, 0, sizeof *d);
}
