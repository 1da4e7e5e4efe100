/* SPDX-License-Identifier: Apache-2.0
 *
 * operators.yaml: who there is, with which public keys and groups. Keys of an operator, all
 * optional:
 *
 *     name    text, none      the person's, at most 255 bytes
 *     keys    list, []        lines of public key files, at most 64; a key is one operator's
 *     groups  list, []        [a-z0-9][a-z0-9_.-]*, at most 128
 *     from    list, anywhere  addresses and prefixes of the operator's logins (policy/conditions.c)
 *
 *     operators:
 *       alice: {name: "Alice", keys: ["ssh-ed25519 AAAA... alice@laptop"], groups: [kvm-ops]}
 *
 * A key belongs to one operator: it is what says who logs in. Groups exist by being named here.
 * Used by authd's loader. Pure. */
#include "policy/set.h"

#include <stdlib.h>
#include <string.h>

#include "policy/pubkey.h"

/* Where a key was written, for the message about its second owner. Beside operator_by_key only
 * while loading. */
struct key_place {
    const char *operator_name;
    unsigned line, column;
};
struct places {
    struct key_place *at;
    size_t count, cap;
};

static int group_named(struct loading *l, const char *name, uint32_t *index)
{
    struct policy *p = l->p;

    if (table_get(&p->group_by_name, name, strlen(name), index))
        return 0;
    if (p->group_count == p->group_cap) {
        size_t cap = p->group_cap ? p->group_cap * 2 : 32;
        struct group *grown = reallocarray(p->groups, cap, sizeof *grown);
        if (!grown)
            return policy_no_memory(l);
        p->groups = grown;
        p->group_cap = cap;
    }
    struct group *g = &p->groups[p->group_count];
    memset(g, 0, sizeof *g);
    g->name = pool_intern(&p->pool, name);
    *index = (uint32_t)p->group_count;
    if (!g->name || table_put(&p->group_by_name, g->name, strlen(g->name), *index) < 0)
        return policy_no_memory(l);
    p->group_count++;
    return 0;
}

static int load_groups(struct loading *l, const struct yaml_node *n, struct operator_entry *op)
{
    struct yaml_node *const *items;
    const char **names;
    size_t count;
    int rc = policy_list(l, n, 0, GROUPS_MAX, "group names", &items, &count);

    if (rc < 0)
        return rc;
    names = pool_alloc(&l->p->pool, count * sizeof *names);
    op->group_index = pool_alloc(&l->p->pool, count * sizeof *op->group_index);
    if (!names || !op->group_index)
        return policy_no_memory(l);
    for (size_t i = 0; i < count; i++) {
        const char *name;
        rc = policy_name(l, items[i], NAME_GROUP, &name);
        if (rc == 0)
            rc = group_named(l, name, &op->group_index[i]);
        if (rc < 0)
            return rc;
        for (size_t k = 0; k < i; k++) {
            if (op->group_index[k] == op->group_index[i])
                return yaml_error(l->doc, items[i], l->e,
                                  "found the group %s a second time, expected each group once",
                                  name);
        }
        names[i] = l->p->groups[op->group_index[i]].name;
    }
    op->pub.groups = names;
    op->pub.group_count = count;
    return 0;
}

static int remember_place(struct loading *l, struct places *places, const struct yaml_node *n,
                          const char *operator_name)
{
    if (places->count == places->cap) {
        size_t cap = places->cap ? places->cap * 2 : 256;
        struct key_place *grown = reallocarray(places->at, cap, sizeof *grown);
        if (!grown)
            return policy_no_memory(l);
        places->at = grown;
        places->cap = cap;
    }
    places->at[places->count++] = (struct key_place){operator_name, n->line, n->column};
    return 0;
}

static int load_keys(struct loading *l, const struct yaml_node *n, struct operator_entry *op,
                     struct places *places)
{
    struct policy *p = l->p;
    struct yaml_node *const *items;
    struct policy_key *keys;
    size_t count;
    int rc = policy_list(l, n, 0, KEYS_MAX, "public keys", &items, &count);

    if (rc < 0)
        return rc;
    op->pub.keys = keys = pool_alloc(&p->pool, count * sizeof *keys);
    if (!keys)
        return policy_no_memory(l);
    for (size_t i = 0; i < count; i++) {
        struct err why = ERR_INIT;
        const char *line;
        uint32_t other;
        rc = yaml_text(l->doc, items[i], 8192, "a public key", &line, l->e);
        if (rc < 0)
            return rc;
        rc = pubkey_parse(&p->pool, line, &keys[i], &why);
        if (rc < 0)
            return yaml_error(l->doc, items[i], l->e, "%s", why.text);
        if (table_get(&p->operator_by_key, keys[i].blob, keys[i].len, &other)) {
            const struct key_place *first = &places->at[other];
            return yaml_error(l->doc, items[i], l->e,
                              "found the key %s of %s, which is also the key of %s at %s:%u:%u, "
                              "expected each key once",
                              keys[i].fingerprint, op->pub.name, first->operator_name,
                              yaml_name(l->doc), first->line, first->column);
        }
        const uint32_t place = (uint32_t)places->count;
        rc = remember_place(l, places, items[i], op->pub.name);
        if (rc == 0 && table_put(&p->operator_by_key, keys[i].blob, keys[i].len, place) < 0)
            rc = policy_no_memory(l);
        if (rc < 0)
            return rc;
        op->pub.key_count++;
    }
    return 0;
}

static int load_operator(struct loading *l, const struct yaml_node *key, const struct yaml_node *n,
                         uint32_t number, struct places *places)
{
    static const char *const known[] = {"name", "keys", "groups", "from", NULL};
    struct policy *p = l->p;
    struct operator_entry *op = &p->operators[number];
    const struct yaml_node *value;
    const char *text;
    int rc = policy_name(l, key, NAME_OPERATOR, &text);

    if (rc == 0)
        rc = policy_check_keys(l, n, known);
    if (rc < 0)
        return rc;
    op->pub.name = pool_text(&p->pool, text);
    if (!op->pub.name || table_put(&p->operator_by_name, op->pub.name, strlen(text), number) < 0)
        return policy_no_memory(l);
    value = yaml_get(n, "name");
    if (value) {
        rc = yaml_text(l->doc, value, 255, "a person's name", &text, l->e);
        if (rc < 0)
            return rc;
        op->pub.full_name = pool_text(&p->pool, text);
        if (!op->pub.full_name)
            return policy_no_memory(l);
    }
    value = yaml_get(n, "from");
    if (value) {
        op->from_place = policy_place("operators.yaml", value);
        rc = policy_load_from(l, value, &op->from, &op->from_count);
        if (rc < 0)
            return rc;
    }
    value = yaml_get(n, "groups");
    if (value) {
        rc = load_groups(l, value, op);
        if (rc < 0)
            return rc;
    }
    value = yaml_get(n, "keys");
    if (value) {
        rc = load_keys(l, value, op, places);
        if (rc < 0)
            return rc;
    }
    if (!op->pub.key_count)
        policy_warn(l, key, "%s has no public key and cannot log in but with a password",
                    op->pub.name);
    return 0;
}

/* While loading, the table of keys led to places; from now on it leads to operators. */
static int index_keys(struct loading *l)
{
    struct policy *p = l->p;

    table_clear(&p->operator_by_key);
    for (size_t i = 0; i < p->operator_count; i++) {
        const struct policy_operator *op = &p->operators[i].pub;
        for (size_t k = 0; k < op->key_count; k++) {
            uint32_t other;
            if (l->errors &&
                table_get(&p->operator_by_key, op->keys[k].blob, op->keys[k].len, &other))
                continue;
            if (table_put(&p->operator_by_key, op->keys[k].blob, op->keys[k].len, (uint32_t)i) < 0)
                return policy_no_memory(l);
        }
    }
    return 0;
}

int policy_load_operators(struct loading *l)
{
    static const char *const known[] = {"operators", NULL};
    const struct yaml_node *root = yaml_root(l->doc), *map;
    struct places places = {0};
    struct policy *p = l->p;
    int rc = policy_check_keys(l, root, known);

    if (rc == 0)
        rc = yaml_require(l->doc, root, "operators", &map, l->e);
    if (rc == 0)
        rc = yaml_is(l->doc, map, YAML_MAP,
                     "a map from operators' names to operators ({} for none)", l->e);
    if (rc < 0)
        return rc;
    p->operators = calloc(map->count ? map->count : 1, sizeof *p->operators);
    if (!p->operators)
        return policy_no_memory(l);
    for (size_t i = 0; i < map->count && rc == 0; i++) {
        p->operator_count = i + 1;
        rc = load_operator(l, map->keys[i], map->items[i], (uint32_t)i, &places);
        if (rc < 0 && policy_gather(l))
            rc = 0;
    }
    free(places.at);
    return rc == 0 ? index_keys(l) : rc;
}
