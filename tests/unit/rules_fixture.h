/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of command rules, for the unit tests of policy/rules.h. */
#ifndef SALLYPORT_TESTS_RULES_FIXTURE_H
#define SALLYPORT_TESTS_RULES_FIXTURE_H

#include "policy/rules.h"

/* path NULL: a deny; else an allow of a program there. */
void fixture_rule(struct rule_set *set, const char *name, const char *pattern, const char *path);
/* Through the encoding, as the backend gets it. Frees set. */
struct rule_set *fixture_sent(struct rule_set *set);

#endif
