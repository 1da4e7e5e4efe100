/* SPDX-License-Identifier: Apache-2.0
 *
 * approvers.yaml, see approvers.h:
 *
 *     approvers: 1
 *     people:
 *       alice: {keys: ["ssh-ed25519 AAAA... alice@laptop"]}
 *       bob: {keys: ["sk-ssh-ed25519@openssh.com AAAA... bob's token"]}
 *
 * One person may have several keys, one key has one person: so persons are counted, not keys. */
#include "policy/approvers.h"

#include <stdlib.h>
#include <string.h>

#include "policy/pubkey.h"
#include "policy/set.h"

static int load_key(struct loading *l, struct approvers *a, const struct yaml_node *n,
                    struct policy_key *out)
{
    struct err why = ERR_INIT;
    const char *line, *fingerprint;
    const struct approver *other;
    int rc = yaml_text(l->doc, n, 8192, "a public key", &line, l->e);

    if (rc < 0)
        return rc;
    rc = pubkey_parse_signer(&a->pool, line, out, &why);
    if (rc < 0)
        return yaml_error(l->doc, n, l->e, "%s", why.text);
    other = approvers_of_key(a, out->blob, out->len, &fingerprint);
    if (other)
        return yaml_error(l->doc, n, l->e,
                          "found the key %s, which is also a key of %s, expected each key once",
                          fingerprint, other->name);
    return 0;
}

static int load_person(struct loading *l, struct approvers *a, const struct yaml_node *name,
                       const struct yaml_node *n, struct approver *person)
{
    static const char *const known[] = {"keys", NULL};
    const struct yaml_node *value;
    struct yaml_node *const *items;
    struct policy_key *keys;
    const char *text;
    size_t count;
    int rc = policy_name(l, name, NAME_OPERATOR, &text);

    if (rc == 0)
        rc = policy_check_keys(l, n, known);
    if (rc == 0)
        rc = yaml_require(l->doc, n, "keys", &value, l->e);
    if (rc == 0)
        rc = policy_list(l, value, 1, APPROVER_KEYS_MAX, "public keys", &items, &count);
    if (rc < 0)
        return rc;
    person->name = pool_text(&a->pool, text);
    person->keys = keys = pool_alloc(&a->pool, count * sizeof *keys);
    if (!person->name || !keys)
        return policy_no_memory(l);
    for (size_t i = 0; i < count; i++) {
        rc = load_key(l, a, items[i], &keys[i]);
        if (rc < 0)
            return rc;
        person->key_count++;
    }
    return 0;
}

static int load(struct loading *l, struct approvers *a)
{
    static const char *const known[] = {"approvers", "people", NULL};
    const struct yaml_node *root = yaml_root(l->doc), *needed, *map;
    struct approver *people;
    uint64_t number;
    int rc = policy_check_keys(l, root, known);

    if (rc == 0)
        rc = yaml_require(l->doc, root, "approvers", &needed, l->e);
    if (rc == 0)
        rc = yaml_u64(l->doc, needed, 1, APPROVALS_NEEDED_MAX, &number, l->e);
    if (rc == 0)
        rc = yaml_require(l->doc, root, "people", &map, l->e);
    if (rc == 0)
        rc = yaml_is(l->doc, map, YAML_MAP, "a map from approvers' names to their keys", l->e);
    if (rc < 0)
        return rc;
    if (map->count > APPROVERS_MAX)
        return yaml_error(l->doc, map, l->e, "found %zu people, expected at most %d", map->count,
                          APPROVERS_MAX);
    if (map->count < number + 1)
        return yaml_error(
            l->doc, map, l->e,
            "found %zu people, expected at least %u: the author and %u approvers, who "
            "are others",
            map->count, (unsigned)number + 1, (unsigned)number);
    a->needed = (unsigned)number;
    a->people = people = pool_alloc(&a->pool, map->count * sizeof *people);
    if (!people)
        return policy_no_memory(l);
    for (size_t i = 0; i < map->count && rc == 0; i++) {
        a->count = i + 1;
        rc = load_person(l, a, map->keys[i], map->items[i], &people[i]);
    }
    return rc;
}

struct approvers *approvers_parse(const char *name, const void *bytes, size_t len, struct err *e)
{
    struct approvers *a;
    struct loading l = {.e = e};
    int rc;

    if (len > APPROVERS_FILE_MAX) {
        err_set(e, ERR_INPUT, "%s: found %zu bytes, expected at most %u", name, len,
                APPROVERS_FILE_MAX);
        return NULL;
    }
    a = calloc(1, sizeof *a);
    if (!a) {
        err_set(e, ERR_MEMORY, "%s: out of memory", name);
        return NULL;
    }
    l.doc = yaml_parse(name, bytes, len, e);
    rc = l.doc ? load(&l, a) : ERR_SYNTAX;
    yaml_doc_free(l.doc);
    if (rc < 0) {
        approvers_free(a);
        return NULL;
    }
    return a;
}

void approvers_free(struct approvers *a)
{
    if (!a)
        return;
    pool_clear(&a->pool);
    free(a);
}

const struct approver *approvers_of_key(const struct approvers *a, const void *blob, size_t len,
                                        const char **fingerprint)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct approver *person = &a->people[i];
        for (size_t k = 0; k < person->key_count; k++) {
            const struct policy_key *key = &person->keys[k];
            if (key->len == len && memcmp(key->blob, blob, len) == 0) {
                *fingerprint = key->fingerprint;
                return person;
            }
        }
    }
    return NULL;
}

const struct approver *approvers_named(const struct approvers *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->people[i].name, name) == 0)
            return &a->people[i];
    return NULL;
}
