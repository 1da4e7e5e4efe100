/* SPDX-License-Identifier: Apache-2.0
 *
 * Within which limits a role's sessions run, and how much of them is recorded.
 *
 *     session: {idle: 15m, max: 8h, max-bytes: 20GiB, record: strict,
 *               bulk: digest, bulk-after: 64MiB, keep: content, keep-max: 16MiB}
 *
 * Used by authd's loader. Pure. */
#include "policy/set.h"

#include <string.h>

#define DAYS_30_MS (UINT64_C(30) * 86400000)
/* Less than a screenful of work is a mistake. */
#define MAX_BYTES_MIN (UINT64_C(1) << 20)
/* What is kept of every command's output whatever a role says: what people read themselves. */
#define BULK_AFTER_MIN     (UINT64_C(64) << 10)
#define BULK_AFTER_DEFAULT (UINT64_C(64) << 20)
/* A file that is kept to less is not kept. */
#define KEEP_MAX_MIN     (UINT64_C(4) << 10)
#define KEEP_MAX_DEFAULT (UINT64_C(16) << 20)

static int load_duration(struct loading *l, const struct yaml_node *n, uint64_t *seconds)
{
    uint64_t ms;
    int rc = n ? yaml_duration(l->doc, n, 1000, DAYS_30_MS, &ms, l->e) : 0;

    if (n && rc == 0)
        *seconds = ms / 1000;
    return rc;
}

/* min_text: as people write it. */
static int load_size(struct loading *l, const struct yaml_node *n, uint64_t min,
                     const char *min_text, uint64_t *bytes)
{
    uint64_t found;
    int rc = n ? yaml_size(l->doc, n, &found, l->e) : 0;

    if (!n || rc < 0)
        return rc;
    if (found < min)
        return yaml_error(l->doc, n, l->e, "found %s, expected at least %s", n->text, min_text);
    *bytes = found;
    return 0;
}

static int load_bulk(struct loading *l, const struct yaml_node *session, struct role *role)
{
    static const char *const modes[] = {[BULK_FULL] = "full", [BULK_DIGEST] = "digest", NULL};
    const struct yaml_node *bulk = yaml_get(session, "bulk");
    const struct yaml_node *after = yaml_get(session, "bulk-after");
    size_t mode = BULK_FULL;
    int rc = bulk ? yaml_word(l->doc, bulk, modes, &mode, l->e) : 0;

    role->bulk = (enum bulk_mode)mode;
    role->bulk_after = BULK_AFTER_DEFAULT;
    if (rc == 0)
        rc = load_size(l, after, BULK_AFTER_MIN, "64KiB", &role->bulk_after);
    if (rc < 0)
        return rc;
    if (after && role->bulk != BULK_DIGEST)
        policy_warn(l, after, "bulk-after is of no use without bulk: digest");
    if (role->bulk == BULK_DIGEST && !role->exec)
        policy_warn(l, bulk, "bulk: digest is of no use without allow: {exec: true}");
    return 0;
}

static int load_keep(struct loading *l, const struct yaml_node *session, struct role *role)
{
    static const char *const kinds[] = {"content", NULL};
    const struct yaml_node *keep = yaml_get(session, "keep");
    const struct yaml_node *max = yaml_get(session, "keep-max");
    uint64_t keep_max = KEEP_MAX_DEFAULT;
    size_t kind;
    int rc = keep ? yaml_word(l->doc, keep, kinds, &kind, l->e) : 0;

    if (rc == 0)
        rc = load_size(l, max, KEEP_MAX_MIN, "4KiB", &keep_max);
    if (rc < 0)
        return rc;
    if (keep)
        role->keep_max = keep_max;
    else if (max)
        policy_warn(l, max, "keep-max is of no use without keep: content");
    if (keep && !role->files)
        policy_warn(l, keep, "keep: content is of no use without allow: {sftp: ...}");
    return 0;
}

int policy_load_role_session(struct loading *l, const struct yaml_node *root, struct role *role)
{
    static const char *const known[] = {"idle",       "max",  "max-bytes", "record", "bulk",
                                        "bulk-after", "keep", "keep-max",  NULL};
    static const char *const modes[] = {
        [RECORD_STRICT] = "strict", [RECORD_SYNC_ALL] = "sync-all", NULL};
    const struct yaml_node *n = yaml_get(root, "session"), *value;
    size_t mode;

    if (!n)
        return 0;
    int rc = policy_check_keys(l, n, known);
    if (rc == 0)
        rc = load_duration(l, yaml_get(n, "idle"), &role->idle_s);
    if (rc == 0)
        rc = load_duration(l, yaml_get(n, "max"), &role->max_s);
    if (rc == 0)
        rc = load_size(l, yaml_get(n, "max-bytes"), MAX_BYTES_MIN, "1MiB", &role->max_bytes);
    if (rc == 0 && (value = yaml_get(n, "record"))) {
        rc = yaml_word(l->doc, value, modes, &mode, l->e);
        if (rc == 0)
            role->record = (enum record_mode)mode;
    }
    if (rc == 0)
        rc = load_bulk(l, n, role);
    if (rc == 0)
        rc = load_keep(l, n, role);
    return rc;
}
