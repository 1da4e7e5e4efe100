/* SPDX-License-Identifier: Apache-2.0
 *
 * allow.forward of a role: to which hosts and ports a session may open connections from its target.
 *
 *     forward: ["localhost:16509", "10.0.0.1:22", "[2001:db8::1]:22"]   # 1 to 64,
 * policy/forwards.h
 *
 * Used by authd's loader. Pure. */
#include "policy/set.h"

#include <stdio.h>
#include <string.h>

#define FORWARDS_MAX 64 /* of one role */

int policy_load_role_forwards(struct loading *l, const struct yaml_node *n, struct role *role)
{
    struct yaml_node *const *items;
    size_t count;
    int rc = policy_list(l, n, 1, FORWARDS_MAX, "\"host:port\"", &items, &count);

    if (rc < 0)
        return rc;
    role->forwards = forward_rules_new();
    if (!role->forwards)
        return policy_no_memory(l);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char name[FORWARD_RULE_NAME_MAX + 1], host[FORWARD_HOST_MAX + 1];
        struct err why = ERR_INIT;
        const char *text;
        uint16_t port;
        rc = yaml_text(l->doc, items[i], FORWARD_TEXT_MAX, "\"host:port\"", &text, l->e);
        if (rc < 0)
            break;
        snprintf(name, sizeof name, "%s/forward[%zu]", role->name, i);
        if (forward_parse(text, host, &port, &why) == 0 &&
            forward_rules_match(role->forwards, host, strlen(host), port, NULL, NULL))
            rc = yaml_error(l->doc, items[i], l->e, "found %s a second time, expected it once",
                            text);
        else if (forward_rules_add(role->forwards, name, text, &why) < 0)
            rc = yaml_error(l->doc, items[i], l->e, "%s", why.text);
    }
    return rc;
}
