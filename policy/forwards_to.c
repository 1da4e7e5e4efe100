/* SPDX-License-Identifier: Apache-2.0
 *
 * What sshd on a target has to permit, for the line of authorized_keys: all forwards that any role
 * gives to anybody there. Used by authd for administrators. Pure. */
#include <string.h>

#include "policy/role_index.h"

static bool reaches(const struct role *role, const struct target_entry *t, const char *account)
{
    for (size_t i = 0; i < role->account_count; i++) {
        if (strcmp(role->accounts[i], account) == 0)
            return role_selects(role, t);
    }
    return false;
}

int policy_forwards_to(const struct policy *p, const char *target, const char *account,
                       struct forward_rules **out, struct err *e)
{
    uint32_t t;
    int rc = 0;

    *out = NULL;
    if (!table_get(&p->target_by_name, target, strlen(target), &t))
        return 0;
    for (size_t i = 0; i < p->role_count && rc == 0; i++) {
        const struct role *role = &p->roles[i];
        if (!role->forwards || !reaches(role, &p->targets[t], account))
            continue;
        if (!*out && !(*out = forward_rules_new()))
            return err_set(e, ERR_MEMORY, "out of memory");
        rc = forward_rules_merge(*out, role->forwards, e);
    }
    return rc;
}
