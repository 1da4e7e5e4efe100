/* SPDX-License-Identifier: Apache-2.0
 *
 * The circumstances that a few roles tell apart, one example each: source addresses (each prefix's
 * first, the first after it, and the first of each family), times (one for each combination of open
 * hours within 400 days), and ways to log in (with a code, or remembered for as long as makes a
 * difference, by key, password or both where a role asks for it). Whatever the decision says for
 * the examples it says for all. Used by policy tools. Pure. */
#ifndef SALLYPORT_POLICY_CELLS_H
#define SALLYPORT_POLICY_CELLS_H

#include "policy/set.h"

struct cell_login {
    uint32_t factors; /* bits of enum factor */
    uint64_t age_s;
};
struct cells {
    const struct role **roles;
    struct address *sources;
    const struct prefix **prefixes;
    uint64_t *times, *ages;
    struct cell_login *logins;
    size_t prefix_count, prefix_cap, role_count, role_cap, source_count, source_cap, time_count,
        time_cap, age_count, age_cap, login_count, login_cap;
    bool passwords;
    /* One example, by its number. */
    size_t count;
};

/* Zeroed to begin with. */
void cells_add_role(struct cells *c, const struct role *role);
void cells_add_prefixes(struct cells *c, const struct prefix *from, size_t count);
/* source, at_s: instead of all addresses or times where not NULL. start_s: where times begin.
 * Fills count. */
void cells_finish(struct cells *c, const struct address *source, const uint64_t *at_s,
                  uint64_t start_s);
/* Fills the circumstances of r. */
void cells_get(const struct cells *c, size_t i, struct policy_request *r);
/* Empties it; the memory stays for the next use. */
void cells_reset(struct cells *c);
void cells_clear(struct cells *c);

#endif
