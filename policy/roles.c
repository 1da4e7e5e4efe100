/* SPDX-License-Identifier: Apache-2.0
 *
 * roles.d/NAME.yaml: whom a role is for. Its keys, of which an unknown one is an error:
 *
 *     role         text, required       [a-z0-9][a-z0-9_.-]*, at most 64 bytes, once in the set
 *     description  text, none           at most 4096 bytes; nothing depends on it
 *     members      list, required       operators, and group:NAME; an unknown group is a warning
 *     targets      map, required        labels: a value or a list of alternatives; all must fit
 *     accounts     list, required       accounts on the targets, 1 to 256
 *     from         list, site.yaml's    addresses and prefixes, v4 and v6 (policy/conditions.c)
 *     when         list, site.yaml's    windows, policy/when.h (policy/conditions.c)
 *     factors      list, site.yaml's    key, password, totp (policy/conditions.c)
 *     remember     duration, none       1s to 30d: how long one code lasts for a device
 *     allow        map, required        policy/role_allow.c
 *     programs     map, none            policy/role_allow.c
 *     commands     list, none           policy/role_allow.c
 *     session      map, none            policy/role_session.c
 *
 *     role: kvm-operator
 *     members: [group:kvm-ops, alice]
 *     targets: {env: prod, kind: [libvirt, qemu]}   # every label, any of its values
 *     accounts: [root, libvirt]
 *
 * `targets: {all: true}` is every target and `{name: [hv1, hv2]}` are these; an empty selector is
 * an error, so that a deleted line never widens a role. A role that only denies
 * (policy/role_allow.c) inherits nothing: what makes another role narrower would make it miss. Used
 * by authd's loader, after operators and targets. Pure. */
#include "policy/set.h"

#include <stdlib.h>
#include <string.h>

#include "policy/role_walk.h"

static void warn_group(struct loading *l, const struct yaml_node *n, const char *name)
{
    const struct policy *p = l->p;
    const char **names = calloc(p->group_count + 1, sizeof *names);
    char near[300];

    for (size_t i = 0; names && i < p->group_count; i++)
        names[i] = p->groups[i].name;
    policy_warn(l, n, "no operator is in the group %s%s", name,
                policy_did_you_mean(name, names, near));
    free(names);
}

static int add_member(struct loading *l, const struct yaml_node *n, const struct role *role)
{
    struct policy *p = l->p;
    struct numbers *roles;
    struct yaml_node name = *n;
    const char *text;
    uint32_t index;
    int rc;

    if (n->kind == YAML_SCALAR && strncmp(n->text, "group:", 6) == 0) {
        name.text += 6;
        rc = policy_name(l, &name, NAME_GROUP, &text);
        if (rc < 0)
            return rc;
        if (!table_get(&p->group_by_name, text, strlen(text), &index)) {
            if (l->incomplete)
                return 0;
            warn_group(l, n, text);
            return 0;
        }
        roles = &p->groups[index].roles;
    } else {
        rc = policy_name(l, n, NAME_OPERATOR, &text);
        if (rc < 0)
            return rc;
        if (!table_get(&p->operator_by_name, text, strlen(text), &index))
            return l->incomplete ? 0 : policy_unknown_operator(l, n, text, ", or group:NAME");
        roles = &p->operators[index].roles;
    }
    if (roles->count && roles->at[roles->count - 1] == role->number)
        return yaml_error(l->doc, n, l->e, "found \"%s\" a second time, expected each member once",
                          n->text);
    return numbers_add(roles, role->number) < 0 ? policy_no_memory(l) : 0;
}

static int load_members(struct loading *l, const struct yaml_node *root, struct role *role)
{
    const struct yaml_node *n;
    struct yaml_node *const *items = NULL;
    size_t count = 0;
    int rc = yaml_require(l->doc, root, "members", &n, l->e);

    if (rc == 0)
        role->members = policy_place(role->file, n);
    if (rc == 0)
        rc = policy_list(l, n, 1, LIST_MAX, "operators and group:NAME", &items, &count);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = add_member(l, items[i], role);
    return rc;
}

/* One value, or a list of alternatives, as a list. */
static int alternatives(struct loading *l, struct yaml_node *const *n, const char *expected,
                        struct yaml_node *const **items, size_t *count)
{
    if ((*n)->kind == YAML_LIST)
        return policy_list(l, *n, 1, LIST_MAX, expected, items, count);
    *items = n;
    *count = 1;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static int select_names(struct loading *l, struct yaml_node *const *n, struct selector *s)
{
    const struct policy *p = l->p;
    struct yaml_node *const *items;
    uint32_t *targets;
    int rc = alternatives(l, n, "targets' names", &items, &s->count);

    if (rc < 0)
        return rc;
    s->targets = targets = pool_alloc(&l->p->pool, s->count * sizeof *targets);
    if (!targets)
        return policy_no_memory(l);
    for (size_t i = 0; i < s->count; i++) {
        const char *name;
        rc = policy_name(l, items[i], NAME_TARGET, &name);
        if (rc < 0)
            return rc;
        if (!table_get(&p->target_by_name, name, strlen(name), &targets[i]) && !l->incomplete)
            return policy_unknown_target(l, items[i], name);
    }
    qsort(targets, s->count, sizeof *targets, by_number);
    return 0;
}

static int select_label(struct loading *l, const struct yaml_node *key, struct yaml_node *const *n,
                        struct selector *s)
{
    struct pool *pool = &l->p->pool;
    struct yaml_node *const *items;
    const char **values;
    const char *text;
    int rc = policy_name(l, key, NAME_LABEL, &text);

    if (rc == 0)
        rc = alternatives(l, n, "a label's values", &items, &s->count);
    if (rc < 0)
        return rc;
    s->key = pool_intern(pool, text);
    s->values = values = pool_alloc(pool, s->count * sizeof *values);
    if (!s->key || !values)
        return policy_no_memory(l);
    for (size_t i = 0; i < s->count; i++) {
        char pair[64 + 1 + 255 + 1];
        uint32_t seen;
        rc = yaml_text(l->doc, items[i], 255, "a label's value", &text, l->e);
        if (rc < 0)
            return rc;
        if (strpbrk(text, "*?"))
            return yaml_error(
                l->doc, items[i], l->e,
                "found \"%s\" (a pattern), expected a label's exact value or a list of "
                "values",
                text);
        values[i] = pool_intern(pool, text);
        if (!values[i])
            return policy_no_memory(l);
        const size_t key_len = strlen(s->key), len = key_len + 1 + strlen(text);
        memcpy(pair, s->key, key_len + 1);
        memcpy(pair + key_len + 1, text, len - key_len);
        if (!table_get(&l->p->label_pairs, pair, len, &seen) && !l->incomplete)
            policy_warn(l, items[i], "no target has the label %s: %s", s->key, text);
    }
    return 0;
}

static int load_selectors(struct loading *l, const struct yaml_node *root, struct role *role)
{
    const struct yaml_node *n, *all;
    struct selector *selectors;
    bool every = false;
    int rc = yaml_require(l->doc, root, "targets", &n, l->e);

    if (rc == 0)
        role->keys[ROLE_TARGETS] = policy_place(role->file, n);
    if (rc == 0)
        rc = yaml_is(l->doc, n, YAML_MAP,
                     "a map of labels, as in {env: prod}, {name: [hv1, hv2]} or {all: true}", l->e);
    if (rc < 0)
        return rc;
    if (!n->count)
        return yaml_error(l->doc, n, l->e,
                          "found an empty selector, expected labels, name: or, for every target, "
                          "{all: true}");
    if (n->count > LABELS_MAX)
        return yaml_error(l->doc, n, l->e, "found %zu labels, expected at most %d", n->count,
                          LABELS_MAX);
    all = yaml_get(n, "all");
    if (all) {
        rc = yaml_bool(l->doc, all, &every, l->e);
        if (rc == 0 && (!every || n->count != 1))
            rc = yaml_error(l->doc, all, l->e,
                            every ? "found all beside other keys, expected it alone"
                                  : "found all: false, expected all: true or labels");
        return rc;
    }
    role->selectors = selectors = pool_alloc(&l->p->pool, n->count * sizeof *selectors);
    if (!selectors)
        return policy_no_memory(l);
    for (size_t i = 0; i < n->count && rc == 0; i++) {
        struct yaml_node *const *value = &n->items[i];
        rc = strcmp(n->keys[i]->text, "name") == 0
                 ? select_names(l, value, &selectors[i])
                 : select_label(l, n->keys[i], value, &selectors[i]);
        role->selector_count = i + 1;
    }
    return rc;
}

static int load_accounts(struct loading *l, const struct yaml_node *root, struct role *role)
{
    const struct yaml_node *n;
    struct yaml_node *const *items;
    const char **accounts;
    size_t count;
    int rc = yaml_require(l->doc, root, "accounts", &n, l->e);

    if (rc == 0)
        role->keys[ROLE_ACCOUNTS] = policy_place(role->file, n);
    if (rc == 0)
        rc = policy_list(l, n, 1, 256, "accounts on the targets", &items, &count);
    if (rc < 0)
        return rc;
    role->accounts = accounts = pool_alloc(&l->p->pool, count * sizeof *accounts);
    if (!accounts)
        return policy_no_memory(l);
    for (size_t i = 0; i < count; i++) {
        const char *name;
        rc = policy_name(l, items[i], NAME_ACCOUNT, &name);
        if (rc < 0)
            return rc;
        accounts[i] = pool_intern(&l->p->pool, name);
        if (!accounts[i])
            return policy_no_memory(l);
        role->account_count = i + 1;
    }
    return 0;
}

static int load_name(struct loading *l, const struct yaml_node *root, struct role *role)
{
    struct policy *p = l->p;
    const struct yaml_node *n;
    const char *text, *stem = strrchr(yaml_name(l->doc), '/');
    uint32_t other;
    int rc = yaml_require(l->doc, root, "role", &n, l->e);

    if (rc == 0)
        rc = policy_name(l, n, NAME_ROLE, &text);
    if (rc < 0)
        return rc;
    if (table_get(&p->role_by_name, text, strlen(text), &other))
        return yaml_error(l->doc, n, l->e,
                          "found the role %s, which is also at %s:%u, expected each name once",
                          text, p->roles[other].file, p->roles[other].line);
    role->name = pool_text(&p->pool, text);
    role->file = pool_text(&p->pool, yaml_name(l->doc));
    role->line = n->line;
    if (!role->name || !role->file ||
        table_put(&p->role_by_name, role->name, strlen(role->name), role->number) < 0)
        return policy_no_memory(l);
    stem = stem ? stem + 1 : yaml_name(l->doc);
    if (strncmp(stem, text, strlen(text)) != 0 || strcmp(stem + strlen(text), ".yaml") != 0)
        policy_warn(l, n, "the role %s is in the file %s, expected %s.yaml", text, stem, text);
    return 0;
}

static int load_description(struct loading *l, const struct yaml_node *root)
{
    const struct yaml_node *n = yaml_get(root, "description");
    int rc = n ? yaml_is(l->doc, n, YAML_SCALAR, "a text", l->e) : 0;

    if (rc == 0 && n && strlen(n->text) > DESCRIPTION_MAX)
        rc = yaml_error(l->doc, n, l->e, "found %zu bytes, expected at most %d", strlen(n->text),
                        DESCRIPTION_MAX);
    return rc;
}

int policy_load_role(struct loading *l, struct role *role)
{
    static const char *const known[] = {
        "role",    "description", "members", "targets",  "accounts", "from",    "when",
        "factors", "remember",    "allow",   "programs", "commands", "session", NULL};
    const struct yaml_node *root = yaml_root(l->doc), *n;
    uint64_t ms;
    int rc = policy_check_keys(l, root, known);

    if (rc == 0)
        rc = load_name(l, root, role);
    if (rc == 0)
        rc = load_description(l, root);
    if (rc == 0)
        rc = load_members(l, root, role);
    if (rc == 0)
        rc = load_selectors(l, root, role);
    if (rc == 0)
        rc = load_accounts(l, root, role);
    if (rc == 0)
        rc = policy_load_role_conditions(l, root, role);
    if (rc == 0 && (n = yaml_get(root, "remember"))) {
        rc = yaml_duration(l->doc, n, 1000, UINT64_C(30) * 86400000, &ms, l->e);
        if (rc == 0)
            role->remember_s = ms / 1000;
    }
    if (rc == 0)
        rc = policy_load_role_allow(l, root, role);
    if (rc == 0 && role_only_denies(role))
        policy_drop_inherited(root, role);
    return rc;
}
