/* SPDX-License-Identifier: Apache-2.0
 *
 * Effects of roles and classes of operators (policy/diff.h). An effect is what a role's file says
 * but for its name, description, members and targets, read again from the set's block as a tree, so
 * that a key which is new to the language counts without being known here; and the target classes
 * that it selects. site.yaml, the packs and the
 * time zones are in each effect: what they change may change any role. */
#include <openssl/sha.h>

#include "policy/bundle.h"
#include "policy/diff_state.h"

/* ---- a tree in one form ---- */

static int by_key(const void *a, const void *b, void *map)
{
    const struct yaml_node *m = map;

    return strcmp(m->keys[*(const size_t *)a]->text, m->keys[*(const size_t *)b]->text);
}

static void put_text(struct buf *c, char kind, const char *text, size_t len)
{
    uint8_t head[5] = {(uint8_t)kind};

    wire_store_u32(head + 1, (uint32_t)len);
    INVARIANT(buf_put(c, head, sizeof head) == 0 && buf_put(c, text, len) == 0);
}

/* Of what was put; empties it. */
static void finish(struct buf *c, uint8_t out[SHA256_DIGEST_LENGTH])
{
    SHA256(buf_head(c), buf_len(c), out);
    buf_clear(c);
}

/* Maps with their keys in order, without those of except. At most YAML_DEPTH_MAX deep. */
static void digest_tree(struct buf *c, const struct yaml_node *n, const char *const *except)
{
    if (n->kind == YAML_SCALAR) {
        put_text(c, 's', n->text, strlen(n->text));
        return;
    }
    put_text(c, n->kind == YAML_MAP ? 'm' : 'l', "", 0);
    if (n->kind == YAML_LIST) {
        for (size_t i = 0; i < n->count; i++)
            digest_tree(c, n->items[i], NULL);
        put_text(c, 'e', "", 0);
        return;
    }
    size_t *order = tool_alloc(n->count, sizeof *order);
    for (size_t i = 0; i < n->count; i++)
        order[i] = i;
    qsort_r(order, n->count, sizeof *order, by_key, (void *)(uintptr_t)n);
    for (size_t i = 0; i < n->count; i++) {
        const char *key = n->keys[order[i]]->text;
        bool left_out = false;
        for (size_t k = 0; except && except[k] && !left_out; k++)
            left_out = strcmp(except[k], key) == 0;
        if (left_out)
            continue;
        put_text(c, 'k', key, strlen(key));
        digest_tree(c, n->items[order[i]], NULL);
    }
    put_text(c, 'e', "", 0);
    free(order);
}

/* What all roles of a side depend on. */
static int digest_common(const struct side *side, uint8_t out[SHA256_DIGEST_LENGTH], struct err *e)
{
    struct bundle_file file;
    struct wire_reader r;
    struct buf c;
    int rc;

    buf_init(&c, 2 * (size_t)BUNDLE_MAX);
    wire_reader_init(&r, side->input->block, side->input->len);
    while ((rc = bundle_next(&r, &file, e)) > 0) {
        if (strcmp(file.name, "site.yaml") != 0 && strncmp(file.name, "packs/", 6) != 0 &&
            !bundle_is_zone(file.name))
            continue;
        put_text(&c, 'f', file.name, strlen(file.name));
        put_text(&c, 'b', (const char *)file.bytes.p, file.bytes.len);
    }
    finish(&c, out);
    return rc;
}

/* ---- effects ---- */

static uint32_t account_id(struct diff_inside *in, const char *name)
{
    bool is_new;
    const uint32_t id = interner_id(&in->account_ids, name, strlen(name), &is_new);

    if (is_new) {
        in->account_names =
            tool_grow(in->account_names, &in->account_cap, id, sizeof *in->account_names);
        in->account_names[id] = name;
    }
    return id;
}

static void add_effect(struct diff_inside *in, int s, const struct role *role,
                       const uint8_t digest[SHA256_DIGEST_LENGTH])
{
    struct side *side = &in->side[s];
    uint8_t key[SHA256_DIGEST_LENGTH + 4];
    bool is_new;

    const uint32_t list = side->selections[side->selection_of_role[role->number]].list;
    memcpy(key, digest, SHA256_DIGEST_LENGTH);
    wire_store_u32(key + SHA256_DIGEST_LENGTH, list);
    const uint32_t id = interner_id(&in->effect_ids, key, sizeof key, &is_new);
    if (is_new) {
        in->effects = tool_grow(in->effects, &in->effect_cap, id, sizeof *in->effects);
        in->effects[id] = (struct effect){.list = list};
        for (size_t i = 0; i < role->account_count; i++)
            tool_add(&in->effects[id].accounts, account_id(in, role->accounts[i]));
        tool_sort_unique(&in->effects[id].accounts);
    }
    tool_add(&in->effects[id].roles[s], role->number);
    side->effect_of_role[role->number] = id;
}

/* Roles have the block's order (policy/policy.c). */
static int effects_of_side(struct diff_inside *in, int s, struct err *e)
{
    static const char *const except[] = {"role", "description", "members", "targets", NULL};
    struct side *side = &in->side[s];
    uint8_t common[SHA256_DIGEST_LENGTH], digest[SHA256_DIGEST_LENGTH];
    struct bundle_file file;
    struct wire_reader r;
    size_t number = 0;
    int rc = digest_common(side, common, e);

    side->effect_of_role = tool_alloc(side->p->role_count, sizeof(uint32_t));
    wire_reader_init(&r, side->input->block, side->input->len);
    while (rc == 0 && number < side->p->role_count && (rc = bundle_next(&r, &file, e)) > 0) {
        const struct role *role = &side->p->roles[number];
        struct buf c;
        rc = 0;
        if (strcmp(file.name, role->file) != 0)
            continue;
        struct yaml_doc *doc = yaml_parse(file.name, file.bytes.p, file.bytes.len, e);
        if (!doc)
            return e->code;
        buf_init(&c, 2 * (size_t)BUNDLE_MAX);
        put_text(&c, 'c', (const char *)common, sizeof common);
        digest_tree(&c, yaml_root(doc), except);
        finish(&c, digest);
        yaml_doc_free(doc);
        add_effect(in, s, role, digest);
        number++;
    }
    if (rc == 0 && number != side->p->role_count)
        rc = err_set(e, ERR_INPUT, "the set is not the one of the block");
    return rc;
}

int diff_join_roles(struct diff_inside *in, struct err *e)
{
    int rc = effects_of_side(in, 0, e);

    return rc == 0 ? effects_of_side(in, 1, e) : rc;
}

/* ---- operators ---- */

/* What an operator's entry says beside name, keys and groups, as a number; by index. */
static int entries_of_side(struct diff_inside *in, const struct side *side, uint32_t *entry,
                           struct err *e)
{
    static const char *const except[] = {"name", "keys", "groups", NULL};
    struct bundle_file file;
    struct wire_reader r;
    int rc;

    wire_reader_init(&r, side->input->block, side->input->len);
    while ((rc = bundle_next(&r, &file, e)) > 0 && strcmp(file.name, "operators.yaml") != 0)
        ;
    if (rc < 0)
        return rc;
    struct yaml_doc *doc = yaml_parse(file.name, file.bytes.p, file.bytes.len, e);
    if (!doc)
        return e->code;
    const struct yaml_node *map = yaml_get(yaml_root(doc), "operators");
    for (size_t i = 0; map && i < map->count && i < side->p->operator_count; i++) {
        uint8_t digest[SHA256_DIGEST_LENGTH];
        struct buf c;
        buf_init(&c, 2 * (size_t)BUNDLE_MAX);
        digest_tree(&c, map->items[i], except);
        finish(&c, digest);
        entry[i] = interner_id(&in->operator_entry_ids, digest, sizeof digest, NULL);
    }
    yaml_doc_free(doc);
    return 0;
}

static void join_operator_names(struct diff_inside *in)
{
    const struct policy *old = in->side[0].p, *new = in->side[1].p;
    const size_t most = old->operator_count + new->operator_count;

    in->operator_names = tool_alloc(most, sizeof(char *));
    for (int s = 0; s < 2; s++) {
        in->side[s].operator_of_joint = tool_alloc(most, sizeof(uint32_t));
        memset(in->side[s].operator_of_joint, 0xff, most * sizeof(uint32_t));
    }
    for (uint32_t i = 0; i < old->operator_count; i++) {
        in->operator_names[i] = old->operators[i].pub.name;
        in->side[0].operator_of_joint[i] = i;
    }
    in->operator_count = old->operator_count;
    for (uint32_t i = 0; i < new->operator_count; i++) {
        const char *name = new->operators[i].pub.name;
        uint32_t joint;
        if (!table_get(&old->operator_by_name, name, strlen(name), &joint)) {
            joint = (uint32_t)in->operator_count++;
            in->operator_names[joint] = name;
        }
        in->side[1].operator_of_joint[joint] = i;
    }
}

static void add_effects(const struct side *side, const struct numbers *roles, struct numbers *out)
{
    for (size_t i = 0; i < roles->count; i++)
        tool_add(out, side->effect_of_role[roles->at[i]]);
}

static void effects_of_operator(const struct side *side, uint32_t number, struct numbers *out)
{
    const struct operator_entry *op = &side->p->operators[number];

    add_effects(side, &op->roles, out);
    for (size_t g = 0; g < op->pub.group_count; g++)
        add_effects(side, &side->p->groups[op->group_index[g]].roles, out);
    tool_sort_unique(out);
}

static void classify_operator(struct diff_inside *in, uint32_t joint, uint32_t *const entry[2])
{
    struct operator_class class = {.from = {NOWHERE, NOWHERE}};
    struct numbers key = {0};
    bool is_new;

    for (int s = 0; s < 2; s++) {
        const uint32_t here = in->side[s].operator_of_joint[joint];
        if (here != NOWHERE) {
            class.from[s] = entry[s][here];
            effects_of_operator(&in->side[s], here, &class.effects[s]);
        }
        tool_add(&key, class.from[s]);
        tool_add(&key, (uint32_t) class.effects[s].count);
        for (size_t i = 0; i < class.effects[s].count; i++)
            tool_add(&key, class.effects[s].at[i]);
    }
    const uint32_t id =
        interner_id(&in->operator_class_ids, key.at, key.count * sizeof *key.at, &is_new);
    if (is_new) {
        in->operator_classes = tool_grow(in->operator_classes, &in->operator_class_cap, id,
                                         sizeof *in->operator_classes);
        in->operator_classes[id] = class;
    } else {
        free(class.effects[0].at);
        free(class.effects[1].at);
    }
    tool_add(&in->operator_classes[id].members, joint);
    free(key.at);
}

int diff_join_operators(struct diff_inside *in, struct err *e)
{
    uint32_t *entry[2] = {tool_alloc(in->side[0].p->operator_count, sizeof(uint32_t)),
                          tool_alloc(in->side[1].p->operator_count, sizeof(uint32_t))};
    int rc = 0;

    join_operator_names(in);
    for (int s = 0; s < 2 && rc == 0; s++)
        rc = entries_of_side(in, &in->side[s], entry[s], e);
    for (uint32_t i = 0; i < in->operator_count && rc == 0; i++)
        classify_operator(in, i, entry);
    free(entry[0]);
    free(entry[1]);
    return rc;
}
