/* SPDX-License-Identifier: Apache-2.0
 *
 * The one evaluation behind policy_decide and policy_explain: they cannot disagree, because a trace
 * is only written down on the way. Inside of policy/. Pure. */
#ifndef SALLYPORT_POLICY_EVALUATE_H
#define SALLYPORT_POLICY_EVALUATE_H

#include "policy/set.h"

/* Whether one key of one role fits the request. */
enum key_result { KEY_NOT_SEEN, KEY_FITS, KEY_FAILS };

struct role_trace {
    const struct role *role;
    const char *via; /* the group, NULL: the operator's own name */
    enum key_result keys[ROLE_KEYS];
    bool matches;
};
struct trace {
    const struct operator_entry *op;    /* NULL: unknown */
    const struct target_entry *target;  /* NULL: unknown */
    const struct target_entry *targets; /* the inventory */
    bool operator_from_fits;
    struct role_trace *roles; /* all roles of the operator; malloc'ed, the caller frees it */
    size_t count, cap;
};

/* As policy_decide. trace may be NULL; else it is zeroed first and filled. */
MUST_CHECK int policy_evaluate(const struct policy *p, const struct policy_request *r,
                               struct policy_decision *out, struct trace *trace, struct err *e);

/* The texts of denials (policy/decide_text.c): sets token, because and reason, and takes everything
 * away that had been given. because with a "/" is told to the operator. Returns 0. */
int policy_deny(const struct policy *p, struct policy_decision *out, const char *token,
                const char *because, const char *format, ...) PRINTF_LIKE(5, 6);
/* No role matches; failed is the key that role, the nearest of them, failed at (with NULL: the
 * operator has none). */
int policy_deny_at(const struct policy *p, const struct policy_request *r,
                   const struct operator_entry *op, const struct target_entry *t,
                   const struct role *role, enum role_key failed, struct policy_decision *out);

#endif
