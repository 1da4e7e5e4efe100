/* SPDX-License-Identifier: Apache-2.0
 *
 * An operator's roles, own and by group, in the order of the set, each once: a merge of ascending
 * lists. With a target only those whose `targets` select it, by the set's index where it has one
 * (policy/role_index.c). Used by the decision. Pure, no allocation. */
#ifndef SALLYPORT_POLICY_ROLE_WALK_H
#define SALLYPORT_POLICY_ROLE_WALK_H

#include "policy/set.h"

struct role_walk {
    const struct policy *p;
    const struct target_entry *target; /* NULL: all roles */
    const struct numbers *list[GROUPS_MAX + 1];
    const char *via[GROUPS_MAX + 1]; /* the group, NULL: the operator's own name */
    size_t next[GROUPS_MAX + 1];
    size_t lists;
};

void role_walk_begin(struct role_walk *w, const struct policy *p, const struct operator_entry *op,
                     const struct target_entry *target);
/* NULL: no more. *via: the first group that gives it, NULL: the operator's own name does. */
const struct role *role_walk_next(struct role_walk *w, const char **via);

/* Does the role's `targets` select it? */
bool role_selects(const struct policy *p, const struct role *role, const struct target_entry *t);

#endif
