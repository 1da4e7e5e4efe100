/* SPDX-License-Identifier: Apache-2.0
 *
 * What differs between the decision by some roles of the old set and by some of the new one
 * (policy/diff.h): both sets are asked for every circumstance that these roles tell apart. */
#include <stdio.h>

#include "policy/cells.h"
#include "policy/diff_state.h"
#include "policy/role_text.h"

#define ABILITIES 4
static const struct {
    uint32_t bit;
    const char *name;
} abilities[ABILITIES] = {{ABILITY_SHELL, "shell"},
                          {ABILITY_EXEC, "exec"},
                          {ABILITY_SFTP, "sftp"},
                          {ABILITY_FORWARD, "forward"}};

/* Lists of rules that are compared as sets of texts. */
enum list { LIST_COMMANDS, LIST_READ, LIST_WRITE, LIST_FORWARDS, LISTS };
static const char *const list_names[LISTS] = {"commands", "sftp.read", "sftp.write", "forwards"};

/* Numbers of which more is wider; 0 is no limit at all where unlimited is set. */
enum limit {
    LIMIT_IDLE,
    LIMIT_MAX,
    LIMIT_BYTES,
    LIMIT_RECORD,
    LIMIT_BULK,
    LIMIT_AFTER,
    LIMIT_KEEP,
    LIMITS
};
static const struct {
    const char *name;
    bool unlimited, ordered;
} limit_facts[LIMITS] = {{"idle", true, true},      {"max", true, true},
                         {"max-bytes", true, true}, {"record", false, false},
                         {"bulk", false, false},    {"bulk-after", false, false},
                         {"keep-max", false, false}};

/* Beside it no rule that allows says anything. */
#define ANYTHING "allow anything"

struct texts {
    char **at;
    size_t count, cap;
};

static void texts_add(struct texts *t, const char *text)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->at[i], text) == 0)
            return;
    }
    t->at = tool_grow(t->at, &t->cap, t->count, sizeof *t->at);
    t->at[t->count++] = tool_text(text);
}

static bool texts_have(const struct texts *t, const char *text)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->at[i], text) == 0)
            return true;
    }
    return false;
}

static void texts_clear(struct texts *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->at[i]);
    free(t->at);
    *t = (struct texts){0};
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What was seen in all circumstances. */
struct seen {
    bool before[ABILITIES], after[ABILITIES], gained[ABILITIES], lost[ABILITIES];
    bool wider_list[LISTS], narrower_list[LISTS];
    struct texts taken[LISTS], added[LISTS];
    bool wider[LIMITS], narrower[LIMITS];
    struct texts old_limit[LIMITS], new_limit[LIMITS];
};

/* ---- lists ---- */

static void take_rule(void *arg, const char *rule)
{
    texts_add(arg, rule);
}

static void take_forward(void *arg, const char *name, const char *text)
{
    (void)name;
    texts_add(arg, text);
}

struct file_lists {
    struct texts *read, *write;
};

static void take_file(void *arg, unsigned access, const char *pattern)
{
    const struct file_lists *lists = arg;

    if (access & FILE_READ)
        texts_add(lists->read, pattern);
    if (access & FILE_WRITE)
        texts_add(lists->write, pattern);
}

static void lists_of(const struct policy_decision *d, struct texts out[LISTS])
{
    struct file_lists files = {&out[LIST_READ], &out[LIST_WRITE]};

    if (d->abilities & ABILITY_EXEC) {
        rule_set_each(d->rules, take_rule, &out[LIST_COMMANDS]);
        if (!d->rules || rule_set_is_open(d->rules))
            texts_add(&out[LIST_COMMANDS], ANYTHING);
    }
    file_rules_each(d->files, take_file, &files);
    forward_rules_each(d->forwards, take_forward, &out[LIST_FORWARDS]);
}

/* A deny rule that is added takes away. */
static bool takes_away(const char *rule)
{
    return strncmp(rule, "deny", 4) == 0;
}

/* Texts of from that to lacks; those that allow are passed over where to allows anything. */
static void compare_one_way(const struct texts *from, const struct texts *to, struct texts *out,
                            bool *allowing, bool *denying)
{
    const bool anything = texts_have(to, ANYTHING);

    for (size_t i = 0; i < from->count; i++) {
        const bool denies = takes_away(from->at[i]);
        if (texts_have(to, from->at[i]) || (anything && !denies))
            continue;
        texts_add(out, from->at[i]);
        *(denies ? denying : allowing) = true;
    }
}

static void compare_list(struct seen *seen, enum list which, const struct texts *old,
                         const struct texts *new)
{
    compare_one_way(new, old, &seen->added[which], &seen->wider_list[which],
                    &seen->narrower_list[which]);
    compare_one_way(old, new, &seen->taken[which], &seen->narrower_list[which],
                    &seen->wider_list[which]);
}

/* Written the same, names of roles too: then there is nothing to compare. */
static bool same_rules(const struct policy_decision *old, const struct policy_decision *new)
{
    struct buf a, b;
    bool same;

    buf_init(&a, RULES_ENCODED_MAX + FILES_ENCODED_MAX + FORWARDS_ENCODED_MAX);
    buf_init(&b, RULES_ENCODED_MAX + FILES_ENCODED_MAX + FORWARDS_ENCODED_MAX);
    same = rule_set_encode(old->rules, &a) == 0 && rule_set_encode(new->rules, &b) == 0 &&
           buf_len(&a) == buf_len(&b) && file_rules_encode(old->files, &a) == 0 &&
           file_rules_encode(new->files, &b) == 0 && buf_len(&a) == buf_len(&b) &&
           forward_rules_encode(old->forwards, &a) == 0 &&
           forward_rules_encode(new->forwards, &b) == 0 && buf_len(&a) == buf_len(&b) &&
           (!buf_len(&a) || memcmp(buf_head(&a), buf_head(&b), buf_len(&a)) == 0);
    buf_clear(&a);
    buf_clear(&b);
    return same;
}

/* What rules say counts only where both have the ability: else the ability itself is told. */
static void compare_lists(struct seen *seen, const struct policy_decision *old,
                          const struct policy_decision *new)
{
    static const uint32_t of[LISTS] = {ABILITY_EXEC, ABILITY_SFTP, ABILITY_SFTP, ABILITY_FORWARD};
    struct texts before[LISTS] = {{0}}, after[LISTS] = {{0}};
    const uint32_t both = old->abilities & new->abilities;

    if (!both || same_rules(old, new))
        return;
    lists_of(old, before);
    lists_of(new, after);
    for (enum list i = 0; i < LISTS; i++) {
        if (both & of[i])
            compare_list(seen, i, &before[i], &after[i]);
        texts_clear(&before[i]);
        texts_clear(&after[i]);
    }
}

/* ---- limits ---- */

static uint64_t limit_of(const struct policy_decision *d, enum limit limit)
{
    switch (limit) {
    case LIMIT_IDLE:
        return d->idle_s;
    case LIMIT_MAX:
        return d->max_s;
    case LIMIT_BYTES:
        return d->max_bytes;
    case LIMIT_RECORD:
        return d->record;
    case LIMIT_BULK:
        return d->bulk;
    case LIMIT_AFTER:
        return d->bulk_after;
    default:
        return d->keep_max;
    }
}

static const char *limit_text(enum limit limit, uint64_t value, char out[32])
{
    switch (limit) {
    case LIMIT_IDLE:
    case LIMIT_MAX:
        return role_duration_text(value, out);
    case LIMIT_RECORD:
        return value == RECORD_SYNC_ALL ? "sync-all" : "strict";
    case LIMIT_BULK:
        return value == BULK_DIGEST ? "digest" : "full";
    default:
        return role_size_text(value, out);
    }
}

static void compare_limits(struct seen *seen, const struct policy_decision *old,
                           const struct policy_decision *new)
{
    char text[32];

    for (enum limit i = 0; i < LIMITS; i++) {
        const uint64_t before = limit_of(old, i), after = limit_of(new, i);
        if (before == after)
            continue;
        texts_add(&seen->old_limit[i], limit_text(i, before, text));
        texts_add(&seen->new_limit[i], limit_text(i, after, text));
        const bool wider = after > before ? !(limit_facts[i].unlimited && !before)
                                          : limit_facts[i].unlimited && !after;
        *(wider ? &seen->wider[i] : &seen->narrower[i]) = true;
    }
}

static void compare_decisions(struct seen *seen, const struct policy_decision *old,
                              const struct policy_decision *new)
{
    for (int i = 0; i < ABILITIES; i++) {
        const bool before = old->abilities & abilities[i].bit,
                   after = new->abilities &abilities[i].bit;
        seen->before[i] |= before;
        seen->after[i] |= after;
        seen->gained[i] |= after && !before;
        seen->lost[i] |= before && !after;
    }
    if (!old->allowed || !new->allowed)
        return;
    compare_lists(seen, old, new);
    compare_limits(seen, old, new);
}

/* ---- the change ---- */

static enum diff_kind kind_of(bool wider, bool narrower)
{
    return wider && narrower ? DIFF_CHANGED : wider ? DIFF_WIDENED : DIFF_NARROWED;
}

static struct diff_item *add_item(struct diff_change *change, size_t *cap, const char *subject,
                                  enum diff_kind kind)
{
    change->items = tool_grow(change->items, cap, change->count, sizeof *change->items);
    struct diff_item *item = &change->items[change->count++];
    *item = (struct diff_item){.subject = subject, .kind = kind};
    return item;
}

/* Moves the texts into the item, sorted. */
static void give(struct diff_item *item, struct texts *old, struct texts *new)
{
    if (old->count)
        qsort(old->at, old->count, sizeof *old->at, by_text);
    if (new->count)
        qsort(new->at, new->count, sizeof *new->at, by_text);
    item->old = old->at;
    item->old_count = old->count;
    item->new = new->at;
    item->new_count = new->count;
    *old = *new = (struct texts){0};
}

static bool gives(const struct role *role, uint32_t ability)
{
    return ability == ABILITY_SHELL  ? role->shell
           : ability == ABILITY_EXEC ? role->exec
           : ability == ABILITY_SFTP ? role->files != NULL
                                     : role->forwards != NULL;
}

/* The conditions of the roles that give this ability. */
static void conditions(const struct role *const *roles, size_t count, uint32_t ability,
                       struct texts *out)
{
    for (size_t i = 0; i < count; i++) {
        if (!gives(roles[i], ability))
            continue;
        char *text = role_conditions_text(roles[i]);
        texts_add(out, text);
        free(text);
    }
}

static void make_change(struct seen *seen, const struct role *const *old_roles, size_t old_count,
                        const struct role *const *new_roles, size_t new_count,
                        struct diff_change *change)
{
    size_t cap = 0;

    for (int i = 0; i < ABILITIES; i++) {
        struct texts old = {0}, new = {0};
        if (!seen->gained[i] && !seen->lost[i])
            continue;
        const enum diff_kind kind = !seen->before[i]  ? DIFF_ALLOWED
                                    : !seen->after[i] ? DIFF_DENIED
                                                      : kind_of(seen->gained[i], seen->lost[i]);
        conditions(old_roles, old_count, abilities[i].bit, &old);
        conditions(new_roles, new_count, abilities[i].bit, &new);
        give(add_item(change, &cap, abilities[i].name, kind), &old, &new);
    }
    for (enum list i = 0; i < LISTS; i++) {
        if (seen->wider_list[i] || seen->narrower_list[i])
            give(add_item(change, &cap, list_names[i],
                          kind_of(seen->wider_list[i], seen->narrower_list[i])),
                 &seen->taken[i], &seen->added[i]);
    }
    for (enum limit i = 0; i < LIMITS; i++) {
        if (!seen->wider[i] && !seen->narrower[i])
            continue;
        const enum diff_kind kind =
            limit_facts[i].ordered ? kind_of(seen->wider[i], seen->narrower[i]) : DIFF_CHANGED;
        give(add_item(change, &cap, limit_facts[i].name, kind), &seen->old_limit[i],
             &seen->new_limit[i]);
    }
}

static void seen_clear(struct seen *seen)
{
    for (enum list i = 0; i < LISTS; i++) {
        texts_clear(&seen->taken[i]);
        texts_clear(&seen->added[i]);
    }
    for (enum limit i = 0; i < LIMITS; i++) {
        texts_clear(&seen->old_limit[i]);
        texts_clear(&seen->new_limit[i]);
    }
}

static void put_texts(struct buf *key, char *const *texts, size_t count)
{
    const uint32_t n = (uint32_t)count;

    INVARIANT(buf_put(key, &n, sizeof n) == 0);
    for (size_t i = 0; i < count; i++)
        INVARIANT(buf_put(key, texts[i], strlen(texts[i]) + 1) == 0);
}

void diff_change_clear(struct diff_change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        struct diff_item *item = &change->items[i];
        for (size_t k = 0; k < item->old_count; k++)
            free(item->old[k]);
        for (size_t k = 0; k < item->new_count; k++)
            free(item->new[k]);
        free(item->old);
        free(item->new);
    }
    free(change->items);
    *change = (struct diff_change){0};
}

/* Equal changes are one. Takes change. */
static uint32_t intern_change(struct diff_inside *in, struct diff_change *change)
{
    struct buf key;
    bool is_new;

    if (!change->count)
        return NOWHERE;
    buf_init(&key, SIZE_MAX / 2);
    for (size_t i = 0; i < change->count; i++) {
        const struct diff_item *item = &change->items[i];
        INVARIANT(buf_put(&key, &item->subject, sizeof item->subject) == 0 &&
                  buf_put(&key, &item->kind, sizeof item->kind) == 0);
        put_texts(&key, item->old, item->old_count);
        put_texts(&key, item->new, item->new_count);
    }
    const uint32_t id = interner_id(&in->change_ids, buf_head(&key), buf_len(&key), &is_new);
    buf_clear(&key);
    if (is_new) {
        in->changes = tool_grow(in->changes, &in->change_cap, id, sizeof *in->changes);
        in->changes[id] = *change;
    } else {
        diff_change_clear(change);
    }
    return id;
}

static int decide_both(struct diff_inside *in, const struct cells *cells,
                       struct policy_request *request, struct seen *seen, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < cells->count && rc == 0; i++) {
        struct policy_decision old, new;
        cells_get(cells, i, request);
        rc = policy_decide(in->side[0].p, request, &old, e);
        if (rc < 0)
            return rc;
        rc = policy_decide(in->side[1].p, request, &new, e);
        if (rc == 0)
            compare_decisions(seen, &old, &new);
        policy_decision_clear(&old);
        policy_decision_clear(&new);
    }
    return rc;
}

struct seen *diff_seen_new(void)
{
    return tool_alloc(1, sizeof(struct seen));
}

void diff_seen_add(struct seen *seen, const struct policy_decision *old,
                   const struct policy_decision *new)
{
    compare_decisions(seen, old, new);
}

static void take_deny(void *arg, const char *rule)
{
    if (takes_away(rule))
        texts_add(arg, rule);
}

void diff_seen_denies(struct seen *seen, const struct role *old, const struct role *new)
{
    struct texts before = {0}, after = {0};

    if (old)
        rule_set_each(old->rules, take_deny, &before);
    if (new)
        rule_set_each(new->rules, take_deny, &after);
    compare_list(seen, LIST_COMMANDS, &before, &after);
    texts_clear(&before);
    texts_clear(&after);
}

uint32_t diff_seen_change(struct diff_inside *in, struct seen *seen, const struct role *const *old,
                          size_t old_count, const struct role *const *new, size_t new_count)
{
    struct diff_change change = {0};

    make_change(seen, old, old_count, new, new_count, &change);
    seen_clear(seen);
    free(seen);
    return intern_change(in, &change);
}

/* One role of each effect, on one side; the caller frees the array. */
static const struct role **roles_of(const struct diff_inside *in, int s,
                                    const struct numbers *effects)
{
    const struct role **roles = tool_alloc(effects->count, sizeof *roles);

    for (size_t i = 0; i < effects->count; i++)
        roles[i] = &in->side[s].p->roles[in->effects[effects->at[i]].roles[s].at[0]];
    return roles;
}

int diff_compare(struct diff_inside *in, const struct numbers effects[2], uint32_t operator_number,
                 uint32_t target, uint32_t account, uint32_t *out, struct err *e)
{
    struct policy_request request = {.operator_name = in->operator_names[operator_number],
                                     .target = in->target_names[target],
                                     .account = in->account_names[account]};
    const struct role **roles[2];
    struct seen *seen = diff_seen_new();
    struct cells cells = {0};

    for (int s = 0; s < 2; s++) {
        const uint32_t here = in->side[s].operator_of_joint[operator_number];
        if (here != NOWHERE)
            cells_add_prefixes(&cells, in->side[s].p->operators[here].from,
                               in->side[s].p->operators[here].from_count);
        roles[s] = roles_of(in, s, &effects[s]);
        for (size_t i = 0; i < effects[s].count; i++)
            cells_add_role(&cells, roles[s][i]);
    }
    cells_finish(&cells, NULL, NULL, in->at_s);
    in->compared++;
    in->decisions += 2 * cells.count;
    int rc = decide_both(in, &cells, &request, seen, e);
    *out = diff_seen_change(in, seen, roles[0], effects[0].count, roles[1], effects[1].count);
    free(roles[0]);
    free(roles[1]);
    cells_clear(&cells);
    return rc;
}
