/* SPDX-License-Identifier: Apache-2.0
 *
 * An operator's roles, own and by group, in the order of the set, each once: a merge of ascending
 * lists. With a filter only those that select its target. Inside of policy/. Pure, no allocation.
 */
#ifndef SALLYPORT_POLICY_ROLE_WALK_H
#define SALLYPORT_POLICY_ROLE_WALK_H

#include "policy/role_index.h"

struct role_walk {
    const struct policy *p;
    const struct role_filter *filter; /* NULL: all roles */
    const struct role_words *list[GROUPS_MAX + 1];
    const char *via[GROUPS_MAX + 1]; /* the group, NULL: the operator's own name */
    size_t next[GROUPS_MAX + 1];
    size_t lists;
    uint32_t word; /* roles word * 64 and on, of which these are still to come */
    uint64_t bits;
    const struct role *ahead; /* what is given next; NULL: no more */
    const char *ahead_via;
};

void role_walk_begin(struct role_walk *w, const struct policy *p, const struct operator_entry *op,
                     const struct role_filter *filter);
/* NULL: no more. *via: the first group that gives it, NULL: the operator's own name does. */
const struct role *role_walk_next(struct role_walk *w, const char **via);

/* Whether it gives anything. */
bool role_permits(const struct role *role);
/* A guard: it gives nothing and denies commands. */
bool role_only_denies(const struct role *role);

#endif
