/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/explain.h. Everything that decides is policy/evaluate.h's: here a trace becomes texts.
 * Which role a limit is from is found by its value, so a limit that none has would be seen. */
#include "policy/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "policy/evaluate.h"
#include "policy/role_walk.h"
#include "policy/text.h"

#define PARTS_MAX 16

struct making {
    struct policy_explanation *out;
    struct pool *pool;
    const struct policy_request *r;
    const struct trace *trace;
    bool failed; /* memory; sticks */
};

static const char *keep(struct making *m, const char *text)
{
    const char *copy = pool_text(m->pool, text);

    m->failed = m->failed || !copy;
    return copy ? copy : "";
}

static const char *addresses(struct making *m, const struct prefix *from, size_t count)
{
    char text[EXPLAIN_TEXT_MAX] = "", address[ADDRESS_TEXT];

    for (size_t i = 0; i < count; i++) {
        const int width = from[i].base.family == 4 ? 32 : 128;
        text_append(text, sizeof text, "%s%s", i ? ", " : "", address_text(&from[i].base, address));
        if (from[i].bits != width)
            text_append(text, sizeof text, "/%u", from[i].bits);
    }
    return count ? keep(m, text) : "anywhere";
}

static const char *selector_text(struct making *m, const struct role *role)
{
    char text[EXPLAIN_TEXT_MAX] = "";

    for (size_t i = 0; i < role->selector_count; i++) {
        const struct selector *s = &role->selectors[i];
        text_append(text, sizeof text, "%s%s: ", i ? ", " : "", s->key ? s->key : "name");
        for (size_t k = 0; k < s->count; k++)
            text_append(text, sizeof text, "%s%s", k ? "|" : "",
                        s->key ? s->values[k] : m->trace->targets[s->targets[k]].pub.name);
    }
    return role->selector_count ? keep(m, text) : "all targets";
}

static const char *label_text(struct making *m)
{
    const struct target_entry *t = m->trace->target;
    char text[EXPLAIN_TEXT_MAX] = "";

    text_append(text, sizeof text, "name: %s", t->pub.name);
    for (size_t i = 0; i < t->label_count; i++)
        text_append(text, sizeof text, ", %s: %s", t->labels[i].key, t->labels[i].value);
    return keep(m, text);
}

static const char *account_text(struct making *m, const struct role *role)
{
    char text[EXPLAIN_TEXT_MAX] = "";

    for (size_t i = 0; i < role->account_count; i++)
        text_append(text, sizeof text, "%s%s", i ? ", " : "", role->accounts[i]);
    return keep(m, text);
}

static const char *factor_text(struct making *m, uint32_t factors)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{FACTOR_KEY, "key"},
                 {FACTOR_PASSWORD, "password"},
                 {FACTOR_TOTP, "totp"},
                 {FACTOR_REMEMBERED, "remembered"}};
    char text[64] = "";

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (factors & names[i].bit)
            text_append(text, sizeof text, "%s%s", text[0] ? ", " : "", names[i].name);
    }
    return text[0] ? keep(m, text) : "none";
}

static const char *time_text(struct making *m)
{
    const int64_t t = m->r->now_s > (uint64_t)ZONE_TIME_MAX ? ZONE_TIME_MAX : (int64_t)m->r->now_s;
    const int64_t year = zone_year(t), day = t / 86400, minute = t / 60 % 1440;
    static const char days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    unsigned month = 12;
    char text[64];

    while (zone_days(year, month, 1) > day)
        month--;
    snprintf(text, sizeof text, "%s %04lld-%02u-%02lld %02lld:%02lld UTC", days[day % 7],
             (long long)year, month, (long long)(day - zone_days(year, month, 1) + 1),
             (long long)(minute / 60), (long long)(minute % 60));
    return keep(m, text);
}

static struct explained_key key(const char *name, bool fits, struct place at, const char *asked,
                                const char *found)
{
    return (struct explained_key){name, fits, at.file, at.line, at.column, asked, found};
}

static void add_role(struct making *m, const struct role_trace *t, struct explained_role *out)
{
    const struct role *role = t->role;
    const enum key_result *k = t->keys;
    const struct place *at = role->keys;
    char member[OPERATOR_NAME_MAX + 8], account[200], source[ADDRESS_TEXT];

    snprintf(member, sizeof member, "%s%s", t->via ? "group:" : "",
             t->via ? t->via : m->trace->op->pub.name);
    escape_text(account, sizeof account, m->r->account, strnlen(m->r->account, 64));
    address_text(&m->r->source, source);
    *out = (struct explained_role){
        .name = role->name, .file = role->file, .line = role->line, .matches = t->matches};
    out->keys[0] =
        key("members", true, role->members, keep(m, member), keep(m, m->trace->op->pub.name));
    out->keys[1] = key("targets", k[ROLE_TARGETS] == KEY_FITS, at[ROLE_TARGETS],
                       selector_text(m, role), label_text(m));
    out->keys[2] = key("accounts", k[ROLE_ACCOUNTS] == KEY_FITS, at[ROLE_ACCOUNTS],
                       account_text(m, role), keep(m, account));
    out->keys[3] = key("from", k[ROLE_FROM] == KEY_FITS, at[ROLE_FROM],
                       addresses(m, role->from, role->from_count), keep(m, source));
    out->keys[4] =
        key("factors", k[ROLE_FACTORS] == KEY_FITS, at[ROLE_FACTORS],
            role->factors ? factor_text(m, role->factors) : "any", factor_text(m, m->r->factors));
    out->keys[5] = key("when", k[ROLE_WHEN] == KEY_FITS, at[ROLE_WHEN],
                       role->when.count ? role->when.text : "always", time_text(m));
}

/* ---- the sum ---- */

static bool has_shell(const struct role *r, const struct policy_decision *d)
{
    return r->shell && (d->abilities & ABILITY_SHELL);
}

static bool has_exec(const struct role *r, const struct policy_decision *d)
{
    return r->exec && (d->abilities & ABILITY_EXEC);
}

static bool has_files(const struct role *r, const struct policy_decision *d)
{
    return r->files && d->files;
}

static bool has_forwards(const struct role *r, const struct policy_decision *d)
{
    return r->forwards && d->forwards;
}

static bool has_idle(const struct role *r, const struct policy_decision *d)
{
    return d->idle_s && r->idle_s == d->idle_s;
}

static bool has_max(const struct role *r, const struct policy_decision *d)
{
    return d->max_s && r->max_s == d->max_s;
}

static bool has_max_bytes(const struct role *r, const struct policy_decision *d)
{
    return d->max_bytes && r->max_bytes == d->max_bytes;
}

static bool has_record(const struct role *r, const struct policy_decision *d)
{
    return r->record == d->record;
}

static bool has_bulk(const struct role *r, const struct policy_decision *d)
{
    return r->bulk == d->bulk;
}

static bool has_keep(const struct role *r, const struct policy_decision *d)
{
    return d->keep_max && r->keep_max == d->keep_max;
}

static bool has_remember(const struct role *r, const struct policy_decision *d)
{
    return r->remember_s == d->remember_s && (r->remember_s || role_permits(r));
}

/* As people write it in a role. */
static const char *duration(struct making *m, uint64_t s)
{
    static const struct {
        uint64_t s;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    char text[32] = "none";

    for (size_t i = 0; s && i < sizeof units / sizeof *units; i++) {
        if (s % units[i].s == 0) {
            snprintf(text, sizeof text, "%llu%c", (unsigned long long)(s / units[i].s),
                     units[i].unit);
            break;
        }
    }
    return keep(m, text);
}

static const char *size(struct making *m, uint64_t bytes)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    char text[32];
    size_t unit = 0;

    while (unit < 4 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, sizeof text, "%llu%s", (unsigned long long)bytes, units[unit]);
    return keep(m, text);
}

static void add_parts(struct making *m, struct explained_part *parts)
{
    const struct policy_decision *d = &m->out->decision;
    const struct {
        const char *what, *value;
        bool (*has)(const struct role *, const struct policy_decision *);
    } all[] = {
        {"shell", "true", has_shell},
        {"exec", d->rules ? "by command rules" : "true", has_exec},
        {"sftp", "by file rules", has_files},
        {"forward", "by forward rules", has_forwards},
        {"idle", duration(m, d->idle_s), has_idle},
        {"max", duration(m, d->max_s), has_max},
        {"max-bytes", size(m, d->max_bytes), has_max_bytes},
        {"record", d->record == RECORD_SYNC_ALL ? "sync-all" : "strict", has_record},
        {"bulk", d->bulk == BULK_DIGEST ? "digest" : "full", has_bulk},
        {"keep-max", size(m, d->keep_max), has_keep},
        {"remember", duration(m, d->remember_s), has_remember},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (size_t k = 0; k < m->trace->count; k++) {
            const struct role_trace *t = &m->trace->roles[k];
            if (!t->matches || !all[i].has(t->role, d))
                continue;
            parts[m->out->part_count++] =
                (struct explained_part){all[i].what, all[i].value, t->role->name};
            break;
        }
    }
}

static void make(struct making *m)
{
    struct policy_explanation *out = m->out;
    const struct trace *t = m->trace;
    char source[ADDRESS_TEXT];

    out->operator_known = t->op != NULL;
    out->target_known = t->target != NULL;
    out->target = t->target ? t->target->pub.name : NULL;
    if (!t->op || !t->target)
        return;
    out->operator_from = key("from", t->operator_from_fits, t->op->from_place,
                             addresses(m, t->op->from, t->op->from_count),
                             keep(m, address_text(&m->r->source, source)));
    struct explained_role *roles = pool_alloc(m->pool, t->count * sizeof *roles);
    struct explained_part *parts = pool_alloc(m->pool, PARTS_MAX * sizeof *parts);
    m->failed = m->failed || !roles || !parts;
    if (m->failed)
        return;
    for (size_t i = 0; i < t->count && !m->failed; i++)
        add_role(m, &t->roles[i], &roles[i]);
    out->roles = roles;
    out->role_count = t->count;
    out->parts = parts;
    if (out->decision.allowed)
        add_parts(m, parts);
}

int policy_explain(const struct policy *p, const struct policy_request *r,
                   const struct policy_ask *ask, struct policy_explanation *out, struct err *e)
{
    struct trace trace;
    struct making m = {.out = out, .r = r, .trace = &trace};
    int rc;

    memset(out, 0, sizeof *out);
    m.pool = out->memory = calloc(1, sizeof *m.pool);
    if (!m.pool)
        return err_set(e, ERR_MEMORY, "out of memory");
    rc = policy_evaluate(p, r, &out->decision, &trace, e);
    if (rc == 0)
        make(&m);
    free(trace.roles);
    if (rc == 0 && m.failed)
        rc = err_set(e, ERR_MEMORY, "out of memory");
    if (rc == 0 && ask) {
        rc = policy_ask(&out->decision, ask, &out->answer, e);
        out->asked = rc == 0;
    }
    return rc;
}

void policy_explanation_clear(struct policy_explanation *x)
{
    if (!x)
        return;
    policy_decision_clear(&x->decision);
    if (x->memory)
        pool_clear(x->memory);
    free(x->memory);
    memset(x, 0, sizeof *x);
}
