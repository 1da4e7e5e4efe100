/* SPDX-License-Identifier: Apache-2.0
 *
 * allow.forward: to which hosts and ports behind the target a role lets its operators connect.
 *
 *     allow: {forward: ["localhost:16509", "10.30.0.0/16:5900-5999"]}
 *
 * Used by authd's loader. Pure. */
#include "policy/set.h"

#include <stdio.h>

#define FORWARDS_MAX 64 /* patterns of one role */

int policy_load_role_forwards(struct loading *l, const struct yaml_node *n, struct role *role)
{
    struct yaml_node *const *items;
    char name[FORWARD_RULE_NAME_MAX + 1];
    struct err why = ERR_INIT;
    const char *text;
    size_t count;
    int rc = policy_list(l, n, 1, FORWARDS_MAX,
                         "hosts and ports such as \"localhost:16509\" (without the key: none)",
                         &items, &count);

    if (rc == 0 && !(role->forwards = forward_rules_new()))
        return policy_no_memory(l);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = yaml_text(l->doc, items[i], FORWARD_PATTERN_MAX, "a host and a port", &text, l->e);
        if (rc < 0)
            return rc;
        snprintf(name, sizeof name, "%s/forward[%zu]", role->name, i);
        rc = forward_rules_add(role->forwards, name, text, &why);
        if (rc < 0)
            rc = yaml_error(l->doc, items[i], l->e, "%s", why.text);
    }
    return rc;
}
