/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do something on a target: every operator to whom the decision (policy_decide) gives it,
 * under any circumstance that his roles distinguish (policy/cells.h), or under the one that was
 * asked about. Operators who hold the same roles there are decided once. Pure; memory that runs out
 * aborts: it is a tool's. */
#ifndef SALLYPORT_POLICY_WHO_CAN_H
#define SALLYPORT_POLICY_WHO_CAN_H

#include "policy/ask.h"

struct who_can_query {
    const char *target, *account; /* account NULL: each that a role has there */
    uint32_t ability;             /* a bit of enum ability; 0: a session at all */
    const struct policy_ask *ask; /* this one thing; NULL: anything */
    const struct address *source; /* NULL: from anywhere */
    const uint64_t *at_s;         /* NULL: at any time within 400 days of start_s */
    uint64_t start_s;
};

/* Operators to whom the same roles give the same. Lists are sorted. */
struct who_can_group {
    const char *account;
    uint32_t abilities; /* all that they have there, under one circumstance or another */
    const char **operators, **roles;
    char **conditions; /* of those roles */
    size_t operator_count, role_count, condition_count;
};
struct who_can {
    struct who_can_group *groups;
    size_t count;
    size_t operators; /* in all groups, each once */
};

/* ERR_NOT_FOUND: there is no such target (the nearest name is in the text); ERR_INPUT: what is
 * asked is none of its kind. Names belong to the set. */
MUST_CHECK int policy_who_can(const struct policy *p, const struct who_can_query *q,
                              struct who_can *out, struct err *e);
void who_can_clear(struct who_can *w);

#endif
