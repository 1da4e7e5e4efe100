/* SPDX-License-Identifier: Apache-2.0
 *
 * allow.sftp of a role: which paths of a target may be read and which written.
 *
 *     sftp: {read: [PATTERN, ...], write: [PATTERN, ...]}     # patterns: policy/files.h
 *     sftp: true                                              # everything
 *
 * A path that may be written is not thereby one that may be read, nor the other way round. Used by
 * authd's loader. Pure. */
#include "policy/set.h"

#include <stdio.h>
#include <string.h>

static int add(struct loading *l, const struct yaml_node *n, const char *name, unsigned access,
               const char *pattern, struct role *role)
{
    struct err why = ERR_INIT;

    if (!role->files && !(role->files = file_rules_new()))
        return policy_no_memory(l);
    if (file_rules_add(role->files, name, access, pattern, &why) < 0)
        return yaml_error(l->doc, n, l->e, "%s", why.text);
    return 0;
}

static int load_direction(struct loading *l, const struct yaml_node *n, const char *key,
                          unsigned access, struct role *role)
{
    struct yaml_node *const *items;
    size_t count;
    int rc =
        policy_list(l, n, 0, FILE_PATTERNS_MAX, "patterns such as \"/var/log/**\"", &items, &count);

    if (rc == 0 && !count)
        policy_warn(l, n, "an empty list: nothing may be %s",
                    access == FILE_READ ? "read" : "written");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char name[FILE_RULE_NAME_MAX + 1];
        const char *text;
        rc = yaml_text(l->doc, items[i], FILE_PATTERN_MAX, "a pattern such as \"/var/log/**\"",
                       &text, l->e);
        if (rc < 0)
            break;
        snprintf(name, sizeof name, "%s/sftp.%s[%zu]", role->name, key, i);
        rc = add(l, items[i], name, access, text, role);
        if (rc == 0 && strpbrk(text, "[]{}~$"))
            policy_warn(l, items[i], "%s: only * ** and ? are patterns, %c means itself", text,
                        *strpbrk(text, "[]{}~$"));
    }
    return rc;
}

int policy_load_role_files(struct loading *l, const struct yaml_node *n, struct role *role)
{
    static const char *const known[] = {"read", "write", NULL};
    const struct yaml_node *value;
    char found[YAML_FOUND_MAX], name[FILE_RULE_NAME_MAX + 1];
    bool all;
    int rc;

    if (n->kind == YAML_SCALAR) {
        if (yaml_bool(l->doc, n, &all, NULL) < 0)
            return yaml_error(l->doc, n, l->e,
                              "found %s, expected true, false or a map, as in {read: "
                              "[\"/var/log/**\"], write: [\"/tmp/**\"]}",
                              yaml_found(n, found));
        snprintf(name, sizeof name, "%s/sftp", role->name);
        return all ? add(l, n, name, FILE_READ | FILE_WRITE, "/**", role) : 0;
    }
    rc = policy_check_keys(l, n, known);
    if (rc == 0 && (value = yaml_get(n, "read")))
        rc = load_direction(l, value, "read", FILE_READ, role);
    if (rc == 0 && (value = yaml_get(n, "write")))
        rc = load_direction(l, value, "write", FILE_WRITE, role);
    if (rc == 0 && !role->files)
        policy_warn(l, n, "sftp permits no path: file transfer stays refused");
    return rc;
}
