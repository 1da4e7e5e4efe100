/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of a policy set: roles.d/tests/NAME.yaml, each a list of questions and the answers that
 * are expected of the set. They are run whenever the set is loaded, and a set that fails one does
 * not come into force. Used by authd's loader, --check and the tools. Pure. */
#ifndef SALLYPORT_POLICY_POLICY_TESTS_H
#define SALLYPORT_POLICY_POLICY_TESTS_H

#include "policy/policy.h"

#define POLICY_TESTS_MAX                                                                           \
    20000 /* of a set: two a role at the largest scale; below 1 s of decisions */

struct policy_test_result {
    const char *file;
    unsigned line, column;
    bool passed;
    char asked[400];  /* "alice on hv1 as root: run virsh list" */
    char found[1400]; /* "found allow because ..., expected deny because ..." */
};
/* Other than 0 ends the run with that value. */
typedef int (*policy_test_report)(void *arg, const struct policy_test_result *result);

/* bundle: the block that p was loaded from. report may be NULL. ERR_SYNTAX: a test file has a
 * mistake, with file, line and column; ERR_FULL: too many; else 0, whatever the tests say. */
MUST_CHECK int policy_tests_run(const struct policy *p, const void *bundle, size_t len,
                                policy_test_report report, void *arg, size_t *run, size_t *failed,
                                struct err *e);
/* As a set must have it to come into force: ERR_INPUT with "FILE:LINE:COLUMN: the test fails: ..."
 * at the first that fails. */
MUST_CHECK int policy_tests_check(const struct policy *p, const void *bundle, size_t len,
                                  struct err *e);

#endif
