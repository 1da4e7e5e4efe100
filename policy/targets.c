/* SPDX-License-Identifier: Apache-2.0
 *
 * targets.yaml: the inventory.
 *
 *     targets:
 *       hv1: {address: 10.20.0.11, port: 22, labels: {env: prod, kind: libvirt}, aliases:
 * [hv1.lan], host-keys: ["ssh-ed25519 AAAA..."]}
 *
 * The order of the file is the inventory index by which the supervisor and authd speak of a target.
 * Names and aliases are one space, and `gateway` in it is Sallyport itself.
 * Used by authd's loader and, for the addresses, by the supervisor. Pure. */
#include "policy/set.h"

#include <stdlib.h>
#include <string.h>

#include "policy/bundle.h"
#include "policy/pubkey.h"

/* Checks a name or alias, takes it into the table, and gives its copy. */
static int add_name(struct loading *l, const struct yaml_node *n, uint32_t number, const char **out)
{
    struct policy *p = l->p;
    uint32_t other;
    const char *text;
    int rc = policy_name(l, n, NAME_TARGET, &text);

    if (rc < 0)
        return rc;
    if (strcmp(text, "gateway") == 0)
        return yaml_error(l->doc, n, l->e,
                          "found \"gateway\", which is the gateway itself, expected another name");
    if (table_get(&p->target_by_name, text, strlen(text), &other))
        return yaml_error(
            l->doc, n, l->e,
            "found \"%s\", which is already a name of the target %s, expected each name "
            "and alias once",
            text, p->targets[other].pub.name);
    *out = pool_text(&p->pool, text);
    if (!*out || table_put(&p->target_by_name, *out, strlen(*out), number) < 0)
        return policy_no_memory(l);
    return 0;
}

static int load_aliases(struct loading *l, const struct yaml_node *n, struct policy_target *t)
{
    struct yaml_node *const *items;
    const char **aliases;
    size_t count;
    int rc = policy_list(l, n, 0, ALIASES_MAX, "other names of the target", &items, &count);

    if (rc < 0)
        return rc;
    t->aliases = aliases = pool_alloc(&l->p->pool, count * sizeof *aliases);
    if (!aliases)
        return policy_no_memory(l);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = add_name(l, items[i], t->index, &aliases[i]);
        t->alias_count = i + 1;
    }
    return rc;
}

/* So that a selector for a pair that no target has can be warned about without a search. */
static int note_pair(struct loading *l, const struct label *label)
{
    struct policy *p = l->p;
    const size_t key_len = strlen(label->key), len = key_len + 1 + strlen(label->value);
    char pair[64 + 1 + 255 + 1];
    uint32_t seen;

    memcpy(pair, label->key, key_len + 1);
    memcpy(pair + key_len + 1, label->value, len - key_len);
    if (table_get(&p->label_pairs, pair, len, &seen))
        return 0;
    const char *copy = pool_copy(&p->pool, pair, len);
    if (!copy || table_put(&p->label_pairs, copy, len, 0) < 0)
        return policy_no_memory(l);
    return 0;
}

static int load_labels(struct loading *l, const struct yaml_node *n, struct target_entry *t)
{
    struct label *labels;
    int rc = yaml_is(l->doc, n, YAML_MAP, "a map of labels, as in {env: prod}", l->e);

    if (rc < 0)
        return rc;
    if (n->count > LABELS_MAX)
        return yaml_error(l->doc, n, l->e, "found %zu labels, expected at most %d", n->count,
                          LABELS_MAX);
    t->labels = labels = pool_alloc(&l->p->pool, n->count * sizeof *labels);
    if (!labels)
        return policy_no_memory(l);
    for (size_t i = 0; i < n->count; i++) {
        const char *key, *value;
        rc = policy_name(l, n->keys[i], NAME_LABEL, &key);
        if (rc < 0)
            return rc;
        if (strcmp(key, "name") == 0 || strcmp(key, "all") == 0)
            return yaml_error(
                l->doc, n->keys[i], l->e,
                "found the label \"%s\", which means something else in a role's targets, "
                "expected another word",
                key);
        rc = yaml_text(l->doc, n->items[i], 255, "a label's value", &value, l->e);
        if (rc < 0)
            return rc;
        labels[i].index_key = INDEX_KEYS_MAX;
        labels[i].key = pool_intern(&l->p->pool, key);
        labels[i].value = pool_intern(&l->p->pool, value);
        if (!labels[i].key || !labels[i].value)
            return policy_no_memory(l);
        rc = note_pair(l, &labels[i]);
        if (rc < 0)
            return rc;
        t->label_count = i + 1;
    }
    return 0;
}

static int load_host_keys(struct loading *l, const struct yaml_node *n, struct policy_target *t)
{
    struct yaml_node *const *items;
    struct policy_key *keys;
    size_t count;
    int rc = policy_list(l, n, 0, KEYS_MAX, "the target's public host keys", &items, &count);

    if (rc < 0)
        return rc;
    t->host_keys = keys = pool_alloc(&l->p->pool, count * sizeof *keys);
    if (!keys)
        return policy_no_memory(l);
    for (size_t i = 0; i < count; i++) {
        struct err why = ERR_INIT;
        const char *line;
        rc = yaml_text(l->doc, items[i], 8192, "a public host key", &line, l->e);
        if (rc < 0)
            return rc;
        rc = pubkey_parse(&l->p->pool, line, &keys[i], &why);
        if (rc < 0)
            return yaml_error(l->doc, items[i], l->e, "%s", why.text);
        t->host_key_count = i + 1;
    }
    return 0;
}

static int load_address(struct loading *l, const struct yaml_node *n, struct policy_target *t)
{
    struct err why = ERR_INIT;
    const struct yaml_node *value;
    const char *text;
    uint64_t port;
    int rc = yaml_require(l->doc, n, "address", &value, l->e);

    if (rc == 0)
        rc = yaml_text(l->doc, value, ADDRESS_TEXT, "an address", &text, l->e);
    if (rc < 0)
        return rc;
    if (address_parse(text, &t->address, &why) < 0)
        return yaml_error(l->doc, value, l->e, "%s", why.text);
    t->port = 22;
    value = yaml_get(n, "port");
    if (!value)
        return 0;
    rc = yaml_u64(l->doc, value, 1, 65535, &port, l->e);
    if (rc == 0)
        t->port = (uint16_t)port;
    return rc;
}

static int load_target(struct loading *l, const struct yaml_node *key, const struct yaml_node *n,
                       uint32_t number)
{
    static const char *const known[] = {"address", "port", "labels", "aliases", "host-keys", NULL};
    struct target_entry *t = &l->p->targets[number];
    const struct yaml_node *value;
    int rc;

    t->pub.index = number;
    rc = add_name(l, key, number, &t->pub.name);
    if (rc == 0)
        rc = policy_check_keys(l, n, known);
    if (rc == 0)
        rc = load_address(l, n, &t->pub);
    if (rc == 0 && (value = yaml_get(n, "labels")))
        rc = load_labels(l, value, t);
    if (rc == 0 && (value = yaml_get(n, "aliases")))
        rc = load_aliases(l, value, &t->pub);
    if (rc == 0 && (value = yaml_get(n, "host-keys")))
        rc = load_host_keys(l, value, &t->pub);
    if (rc == 0 && !t->pub.host_key_count)
        policy_warn(l, key, "%s has no host key, so that nobody can be connected to it",
                    t->pub.name);
    return rc;
}

int policy_load_targets(struct loading *l)
{
    static const char *const known[] = {"targets", NULL};
    const struct yaml_node *root = yaml_root(l->doc), *map;
    struct policy *p = l->p;
    int rc = policy_check_keys(l, root, known);

    if (rc == 0)
        rc = yaml_require(l->doc, root, "targets", &map, l->e);
    if (rc == 0)
        rc = yaml_is(l->doc, map, YAML_MAP, "a map from targets' names to targets ({} for none)",
                     l->e);
    if (rc < 0)
        return rc;
    p->targets = calloc(map->count ? map->count : 1, sizeof *p->targets);
    if (!p->targets)
        return policy_no_memory(l);
    for (size_t i = 0; i < map->count && rc == 0; i++) {
        p->target_count = i + 1;
        rc = load_target(l, map->keys[i], map->items[i], (uint32_t)i);
        if (rc < 0 && policy_gather(l))
            rc = 0;
    }
    return rc;
}

/* Loads targets.yaml alone into an otherwise empty set. */
static struct policy *targets_only(const struct bundle_file *file, struct err *e)
{
    struct policy *p = calloc(1, sizeof *p);
    struct loading l = {.p = p, .e = e};
    int rc = ERR_MEMORY;

    if (!p) {
        err_set(e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    l.doc = yaml_parse(file->name, file->bytes.p, file->bytes.len, e);
    if (l.doc)
        rc = policy_load_targets(&l);
    yaml_doc_free(l.doc);
    if (rc < 0) {
        policy_free(p);
        return NULL;
    }
    return p;
}

struct policy_target_address *policy_target_addresses(const void *bundle, size_t len, size_t *count,
                                                      struct err *e)
{
    struct policy_target_address *out = NULL;
    struct bundle_file file;
    struct wire_reader r;
    int rc;

    *count = 0;
    wire_reader_init(&r, bundle, len);
    while ((rc = bundle_next(&r, &file, e)) > 0 && strcmp(file.name, "targets.yaml") != 0)
        ;
    if (rc < 0)
        return NULL;
    if (rc == 0) {
        err_set(e, ERR_NOT_FOUND, "targets.yaml: not in the policy set");
        return NULL;
    }
    struct policy *p = targets_only(&file, e);
    if (!p)
        return NULL;
    out = calloc(p->target_count ? p->target_count : 1, sizeof *out);
    if (!out) {
        err_set(e, ERR_MEMORY, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < p->target_count; i++) {
        const struct policy_target *t = &p->targets[i].pub;
        memcpy(out[i].name, t->name, strlen(t->name) + 1);
        out[i].address = t->address;
        out[i].port = t->port;
    }
    *count = p->target_count;
out:
    policy_free(p);
    return out;
}
