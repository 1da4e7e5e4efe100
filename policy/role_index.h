/* SPDX-License-Identifier: Apache-2.0
 *
 * Which roles select a target, without looking at each role's selector: an operator may have
 * thousands of roles. For each label key that any role names and each of its values that any role
 * names there is a bitmap over the roles: those that accept the value, or do not name the key. A
 * role selects a target when its bit is set for every key. Roles that name targets are listed with
 * these. Built at load; a set for which that would take too much memory has none, and selectors are
 * compared one by one. Inside of policy/. Pure. */
#ifndef SALLYPORT_POLICY_ROLE_INDEX_H
#define SALLYPORT_POLICY_ROLE_INDEX_H

#include "policy/set.h"

/* After all roles are loaded. ERR_MEMORY. */
MUST_CHECK int role_index_build(struct policy *p, struct err *e);
void role_index_clear(struct policy *p);

/* Of one target, for one decision. */
struct role_filter {
    const struct policy *p;
    const struct target_entry *target;
    const uint64_t *rows[INDEX_KEYS_MAX];
    size_t count;
};
void role_filter_begin(struct role_filter *f, const struct policy *p,
                       const struct target_entry *target);
/* Of the 64 roles from at * 64 on those that wanted has bits for are asked about: the bits of those
 * whose `targets` select it. */
uint64_t role_filter_word(const struct role_filter *f, uint32_t at, uint64_t wanted);
/* The same for one role, by its number. */
bool role_filter_selects(const struct role_filter *f, uint32_t role);

/* The same by the selectors themselves. */
bool role_selects(const struct role *role, const struct target_entry *t);

#endif
