/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading a whole set, all or nothing, and looking things up in it. The order is time zones, site,
 * operators, targets, roles, because the later ones name the earlier; within roles.d it is the
 * block's, which is sorted, so that the same set always gives the same paths in records. Used by
 * authd (hostile block: it came through a descriptor) and by --check. Pure. */
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "policy/approval.h"
#include "policy/bundle.h"
#include "policy/role_index.h"
#include "policy/set.h"

#define ROLES_PREFIX "roles.d/"
#define TESTS_PREFIX "roles.d/tests/"
#define PACKS_PREFIX "packs/"

/* What the block holds, found in the first pass. */
struct survey {
    struct bundle_file operators, targets, site;
    size_t roles, zones;
};

/* l->doc is the file that is at hand. */
static int load_file(struct loading *l, const struct bundle_file *file,
                     int (*load)(struct loading *))
{
    l->doc = yaml_parse(file->name, file->bytes.p, file->bytes.len, l->e);
    int rc = l->doc ? load(l) : l->e->code;

    yaml_doc_free(l->doc);
    l->doc = NULL;
    return rc < 0 && policy_gather(l) ? 0 : rc;
}

static int load_next_role(struct loading *l)
{
    struct role *role = &l->p->roles[l->p->role_count];

    role->number = (uint32_t)l->p->role_count++;
    return policy_load_role(l, role);
}

/* DIR/NAME.yaml, dir with its slash. */
static bool is_in(const char *dir, const char *name)
{
    const size_t prefix = strlen(dir), len = strlen(name);

    return len > prefix + 5 && memcmp(name, dir, prefix) == 0 && !strchr(name + prefix, '/') &&
           strcmp(name + len - 5, ".yaml") == 0;
}

static int load_pack(struct loading *l)
{
    return packs_load(l->p->packs, l->doc, l->e);
}

static bool is_role_file(const char *name)
{
    return is_in(ROLES_PREFIX, name);
}

/* First pass: the block's shape, the files that must be there, how many there are of others. */
static int survey(const void *bundle, size_t len, struct survey *out, struct err *e)
{
    char before[256] = "";
    struct bundle_file file;
    struct wire_reader r;
    int rc;

    wire_reader_init(&r, bundle, len);
    while ((rc = bundle_next(&r, &file, e)) > 0) {
        if (strcmp(before, file.name) >= 0)
            return err_set(e, ERR_PROTOCOL, "the policy set's files are not in order");
        memcpy(before, file.name, sizeof before);
        if (strcmp(file.name, "operators.yaml") == 0)
            out->operators = file;
        else if (strcmp(file.name, "targets.yaml") == 0)
            out->targets = file;
        else if (strcmp(file.name, "site.yaml") == 0)
            out->site = file;
        else if (is_role_file(file.name))
            out->roles++;
        else if (bundle_is_zone(file.name))
            out->zones++;
        else if (!is_in(TESTS_PREFIX, file.name) && !is_in(PACKS_PREFIX, file.name) &&
                 !approval_is_file(file.name))
            return err_set(e, ERR_INPUT, "%s: not a file of a policy set", file.name);
    }
    if (rc == 0 && !out->operators.name[0])
        rc = err_set(e, ERR_NOT_FOUND, "operators.yaml: not in the policy set");
    if (rc == 0 && !out->targets.name[0])
        rc = err_set(e, ERR_NOT_FOUND, "targets.yaml: not in the policy set");
    if (rc == 0 && out->zones > ZONES_MAX)
        rc = err_set(e, ERR_FULL, "found %zu time zones in the policy set, expected at most %d",
                     out->zones, ZONES_MAX);
    return rc;
}

static int load_zone(struct policy *p, const struct bundle_file *file, struct err *e)
{
    const char *name = pool_text(&p->pool, file->name + strlen(BUNDLE_ZONES));
    struct named_zone *z = &p->zones[p->zone_count];

    z->zone = zone_parse(file->bytes.p, file->bytes.len, e);
    if (!z->zone)
        return err_wrap(e, "%s", file->name);
    z->name = name;
    p->zone_count++;
    if (!name || table_put(&p->zone_by_name, name, strlen(name), (uint32_t)p->zone_count - 1) < 0)
        return err_set(e, ERR_MEMORY, "out of memory");
    return 0;
}

static int load_files(struct loading *l, const void *bundle, size_t len)
{
    struct policy *p = l->p;
    struct err *e = l->e;
    struct survey found = {0};
    struct bundle_file file;
    struct wire_reader r;
    int rc = survey(bundle, len, &found, e);

    if (rc < 0)
        return rc;
    p->roles = calloc(found.roles + 1, sizeof *p->roles);
    p->zones = calloc(found.zones + 1, sizeof *p->zones);
    p->packs = packs_new();
    if (!p->roles || !p->zones || !p->packs)
        return err_set(e, ERR_MEMORY, "out of memory");
    wire_reader_init(&r, bundle, len);
    while (rc == 0 && bundle_next(&r, &file, e) > 0) {
        if (bundle_is_zone(file.name))
            rc = load_zone(p, &file, e);
    }
    if (rc == 0 && found.site.name[0])
        rc = load_file(l, &found.site, policy_load_site);
    if (rc == 0)
        rc = load_file(l, &found.operators, policy_load_operators);
    if (rc == 0)
        rc = load_file(l, &found.targets, policy_load_targets);
    wire_reader_init(&r, bundle, len);
    while (rc == 0 && bundle_next(&r, &file, e) > 0) {
        if (is_in(PACKS_PREFIX, file.name))
            rc = load_file(l, &file, load_pack);
    }
    if (rc == 0)
        rc = packs_measure(p->packs, e);
    l->incomplete = l->errors && buf_len(l->errors);
    wire_reader_init(&r, bundle, len);
    while (rc == 0 && bundle_next(&r, &file, e) > 0) {
        if (is_role_file(file.name))
            rc = load_file(l, &file, load_next_role);
    }
    if (rc == 0 && l->errors && buf_len(l->errors))
        return ERR_SYNTAX;
    return rc == 0 ? role_index_build(p, e) : rc;
}

static struct policy *load_set(const void *bundle, size_t len, struct buf *warnings,
                               struct buf *errors, struct err *e)
{
    struct policy *p = calloc(1, sizeof *p);
    struct loading l = {.p = p, .warnings = warnings, .errors = errors, .e = e};

    if (!p) {
        err_set(e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    bundle_hash(bundle, len, p->hash);
    p->site.contact = CONTACT_DEFAULT;
    p->site.factors = FACTOR_KEY | FACTOR_TOTP;
    if (load_files(&l, bundle, len) == 0 && approval_load_check(bundle, len, e) == 0)
        return p;
    policy_free(p);
    return NULL;
}

struct policy *policy_load(const void *bundle, size_t len, struct buf *warnings, struct err *e)
{
    return load_set(bundle, len, warnings, NULL, e);
}

struct policy *policy_load_gather(const void *bundle, size_t len, struct buf *warnings,
                                  struct buf *errors, struct err *e)
{
    return load_set(bundle, len, warnings, errors, e);
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->operator_count; i++)
        free(p->operators[i].roles.at);
    for (size_t i = 0; i < p->group_count; i++)
        free(p->groups[i].roles.at);
    for (size_t i = 0; i < p->role_count; i++) {
        rule_set_free(p->roles[i].rules);
        file_rules_free(p->roles[i].files);
        forward_rules_free(p->roles[i].forwards);
    }
    for (size_t i = 0; i < p->zone_count; i++)
        zone_free(p->zones[i].zone);
    free(p->zones);
    table_clear(&p->zone_by_name);
    role_index_clear(p);
    packs_free(p->packs);
    free(p->operators);
    free(p->groups);
    free(p->targets);
    free(p->roles);
    table_clear(&p->operator_by_name);
    table_clear(&p->operator_by_key);
    table_clear(&p->group_by_name);
    table_clear(&p->target_by_name);
    table_clear(&p->label_pairs);
    table_clear(&p->role_by_name);
    pool_clear(&p->pool);
    free(p);
}

const uint8_t *policy_hash(const struct policy *p)
{
    return p->hash;
}

size_t policy_operator_count(const struct policy *p)
{
    return p->operator_count;
}

const struct policy_operator *policy_operator_at(const struct policy *p, size_t i)
{
    return i < p->operator_count ? &p->operators[i].pub : NULL;
}

const struct policy_operator *policy_operator_named(const struct policy *p, const char *name)
{
    uint32_t i;

    return table_get(&p->operator_by_name, name, strlen(name), &i) ? &p->operators[i].pub : NULL;
}

const struct policy_operator *policy_operator_of_key(const struct policy *p, const void *blob,
                                                     size_t len)
{
    uint32_t i;

    return table_get(&p->operator_by_key, blob, len, &i) ? &p->operators[i].pub : NULL;
}

size_t policy_target_count(const struct policy *p)
{
    return p->target_count;
}

const struct policy_target *policy_target_at(const struct policy *p, uint32_t index)
{
    return index < p->target_count ? &p->targets[index].pub : NULL;
}

const struct policy_target *policy_target_named(const struct policy *p, const char *name)
{
    uint32_t i;

    return table_get(&p->target_by_name, name, strlen(name), &i) ? &p->targets[i].pub : NULL;
}

size_t policy_role_count(const struct policy *p)
{
    return p->role_count;
}
