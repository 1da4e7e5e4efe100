/* SPDX-License-Identifier: Apache-2.0
 *
 * What a change of the set changes beside decisions (policy/diff.h): who or what a name is. A new
 * public key lets another person be alice; a new address or host key makes hv1 another machine. */
#include <stdio.h>

#include "base/buf.h"
#include "policy/bundle.h"
#include "policy/diff_state.h"
#include "policy/role_text.h"

const char *diff_kind_text(enum diff_kind kind)
{
    static const char *const texts[] = {[DIFF_ALLOWED] = "newly allowed",
                                        [DIFF_DENIED] = "newly denied",
                                        [DIFF_WIDENED] = "widened",
                                        [DIFF_NARROWED] = "narrowed",
                                        [DIFF_CHANGED] = "changed"};

    return texts[kind];
}

const char *diff_identity_text(enum diff_identity_kind kind)
{
    static const char *const texts[DIFF_IDENTITY_KINDS] = {
        [DIFF_OPERATOR_ADDED] = "operator added",
        [DIFF_OPERATOR_REMOVED] = "operator removed",
        [DIFF_OPERATOR_KEYS] = "operator's keys",
        [DIFF_OPERATOR_FROM] = "operator's addresses",
        [DIFF_TARGET_ADDED] = "target added",
        [DIFF_TARGET_REMOVED] = "target removed",
        [DIFF_TARGET_ADDRESS] = "target's address",
        [DIFF_TARGET_KEYS] = "target's host keys",
        [DIFF_TARGET_ALIASES] = "target's aliases",
        [DIFF_PACK] = "rule pack",
        [DIFF_FILE] = "file"};

    return texts[kind];
}

struct list {
    struct diff *out;
    size_t cap;
};

/* Takes old and new. */
static void add(struct list *l, enum diff_identity_kind kind, const char *name, char *old,
                char *new)
{
    struct diff *d = l->out;

    d->identities = tool_grow(d->identities, &l->cap, d->identity_count, sizeof *d->identities);
    d->identities[d->identity_count++] = (struct diff_identity){kind, name, old, new};
}

static void add_if_changed(struct list *l, enum diff_identity_kind kind, const char *name,
                           char *old, char *new)
{
    if (strcmp(old, new) != 0) {
        add(l, kind, name, old, new);
        return;
    }
    free(old);
    free(new);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, joined by blanks. */
static char *join(const char **texts, size_t count)
{
    size_t len = 1;

    if (count)
        qsort(texts, count, sizeof *texts, by_text);
    for (size_t i = 0; i < count; i++)
        len += strlen(texts[i]) + 1;
    char *out = tool_alloc(len, 1), *at = out;
    for (size_t i = 0; i < count; i++)
        at = stpcpy(stpcpy(at, i ? " " : ""), texts[i]);
    free(texts);
    return out;
}

static char *fingerprints(const struct policy_key *keys, size_t count)
{
    const char **texts = tool_alloc(count, sizeof *texts);

    for (size_t i = 0; i < count; i++)
        texts[i] = keys[i].fingerprint;
    return join(texts, count);
}

static char *alias_text(const struct policy_target *t)
{
    const char **texts = tool_alloc(t->alias_count, sizeof *texts);

    for (size_t i = 0; i < t->alias_count; i++)
        texts[i] = t->aliases[i];
    return join(texts, t->alias_count);
}

static char *place_text(const struct policy_target *t)
{
    char address[ADDRESS_TEXT], text[ADDRESS_TEXT + 16];

    snprintf(text, sizeof text, t->address.family == 6 ? "[%s]:%u" : "%s:%u",
             address_text(&t->address, address), t->port);
    return tool_text(text);
}

static char *from_text(const struct operator_entry *op)
{
    struct buf text;

    buf_init(&text, 1u << 20);
    INVARIANT(prefixes_text(op->from, op->from_count, &text) == 0);
    char *out = buf_string(&text);
    INVARIANT(out);
    buf_clear(&text);
    return out;
}

static void compare_operators(const struct diff_inside *in, struct list *l)
{
    for (size_t i = 0; i < in->operator_count; i++) {
        const uint32_t a = in->side[0].operator_of_joint[i], b = in->side[1].operator_of_joint[i];
        const struct policy_operator *old = a == NOWHERE ? NULL : &in->side[0].p->operators[a].pub,
                                     *new = b == NOWHERE ? NULL : &in->side[1].p->operators[b].pub;
        char *before = old ? fingerprints(old->keys, old->key_count) : tool_text("");
        char *after = new ? fingerprints(new->keys, new->key_count) : tool_text("");
        if (!old || !new)
            add(l, old ? DIFF_OPERATOR_REMOVED : DIFF_OPERATOR_ADDED, in->operator_names[i], before,
                after);
        else
            add_if_changed(l, DIFF_OPERATOR_KEYS, in->operator_names[i], before, after);
        if (old && new)
            add_if_changed(l, DIFF_OPERATOR_FROM, in->operator_names[i],
                           from_text(&in->side[0].p->operators[a]),
                           from_text(&in->side[1].p->operators[b]));
    }
}

static void compare_targets(const struct diff_inside *in, struct list *l)
{
    for (size_t i = 0; i < in->target_count; i++) {
        const uint32_t a = in->side[0].target_of_joint[i], b = in->side[1].target_of_joint[i];
        const struct policy_target *old = a == NOWHERE ? NULL : &in->side[0].p->targets[a].pub,
                                   *new = b == NOWHERE ? NULL : &in->side[1].p->targets[b].pub;
        if (!old || !new) {
            add(l, old ? DIFF_TARGET_REMOVED : DIFF_TARGET_ADDED, in->target_names[i],
                old ? place_text(old) : tool_text(""), new ? place_text(new) : tool_text(""));
            continue;
        }
        add_if_changed(l, DIFF_TARGET_ADDRESS, in->target_names[i], place_text(old),
                       place_text(new));
        add_if_changed(l, DIFF_TARGET_KEYS, in->target_names[i],
                       fingerprints(old->host_keys, old->host_key_count),
                       fingerprints(new->host_keys, new->host_key_count));
        add_if_changed(l, DIFF_TARGET_ALIASES, in->target_names[i], alias_text(old),
                       alias_text(new));
    }
}

/* What has no part in decisions, and matters all the same. */
static bool is_other(const char *name)
{
    static const char *const names[] = {"approvers.yaml", "reviewers.yaml", "sallyport.yaml"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* The next file of a side that is a pack or another one; false: no more. */
static bool next_file(struct wire_reader *r, struct bundle_file *out)
{
    while (bundle_next(r, out, NULL) > 0) {
        if (strncmp(out->name, "packs/", 6) == 0 || is_other(out->name))
            return true;
    }
    out->name[0] = 0;
    return false;
}

static char *hash_text(const struct bundle_file *file)
{
    char text[65];
    uint8_t hash[32];

    bundle_hash(file->bytes.p, file->bytes.len, hash);
    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return tool_text(text);
}

/* Both blocks have their files in order. */
static void compare_files(struct diff_inside *in, struct list *l)
{
    struct bundle_file old, new;
    struct wire_reader r[2];

    for (int s = 0; s < 2; s++)
        wire_reader_init(&r[s], in->side[s].input->block, in->side[s].input->len);
    bool more_old = next_file(&r[0], &old), more_new = next_file(&r[1], &new);
    while (more_old || more_new) {
        const int order = !more_old ? 1 : !more_new ? -1 : strcmp(old.name, new.name);
        const char *name = pool_intern(&in->list_ids.pool, order <= 0 ? old.name : new.name);
        INVARIANT(name);
        add_if_changed(l, is_other(name) ? DIFF_FILE : DIFF_PACK, name,
                       order <= 0 ? hash_text(&old) : tool_text(""),
                       order >= 0 ? hash_text(&new) : tool_text(""));
        if (order <= 0)
            more_old = next_file(&r[0], &old);
        if (order >= 0)
            more_new = next_file(&r[1], &new);
    }
}

static int by_identity(const void *left, const void *right)
{
    const struct diff_identity *a = left, *b = right;

    return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : strcmp(a->name, b->name);
}

void diff_identities(struct diff_inside *in, struct diff *out)
{
    struct list l = {.out = out};

    compare_operators(in, &l);
    compare_targets(in, &l);
    compare_files(in, &l);
    if (out->identity_count)
        qsort(out->identities, out->identity_count, sizeof *out->identities, by_identity);
}
