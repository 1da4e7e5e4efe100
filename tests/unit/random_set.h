/* SPDX-License-Identifier: Apache-2.0
 *
 * Small random policy sets from fixed seeds, and every question about them, for the tests of
 * policy tools. */
#ifndef SALLYPORT_TESTS_RANDOM_SET_H
#define SALLYPORT_TESTS_RANDOM_SET_H

#include "base/buf.h"
#include "policy/policy.h"

#define RANDOM_OPERATORS 4
#define RANDOM_TARGETS   4
#define RANDOM_ACCOUNTS  3
#define RANDOM_ROLES     5

/* What each part of a set is made from. Sets whose seeds differ in one place differ there. */
struct random_seeds {
    uint32_t site, operators[RANDOM_OPERATORS], targets[RANDOM_TARGETS], roles[RANDOM_ROLES];
    unsigned role_count; /* those from 0 on are there */
    const char *prefix;  /* of the roles' names */
};
struct random_set {
    struct buf block;
    struct policy *policy;
};

uint32_t random_next(uint32_t *state);
void random_seeds(struct random_seeds *s, uint32_t *state);
/* Changes one to three parts. */
void random_change(struct random_seeds *s, uint32_t *state);
/* Aborts the test when the set does not load. */
void random_set_make(const struct random_seeds *s, struct random_set *out);
void random_set_clear(struct random_set *s);

extern const char *const random_operators[RANDOM_OPERATORS],
    *const random_targets[RANDOM_TARGETS], *const random_accounts[RANDOM_ACCOUNTS];

/* Circumstances that no part of a random set tells apart from others: fills r's; false: no more. */
bool random_circumstance(size_t i, struct policy_request *r);

#endif
