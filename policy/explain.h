/* SPDX-License-Identifier: Apache-2.0
 *
 * A decision with the whole path that led to it: for each of the operator's roles which key fits
 * and which fails, with where it is written, what it asks for and what the request has; then what
 * the matching roles give together and which of them each part is from; and for a question which
 * rule decides. By the same evaluation as policy_decide (policy/evaluate.h). For the tools; pure.
 */
#ifndef SALLYPORT_POLICY_EXPLAIN_H
#define SALLYPORT_POLICY_EXPLAIN_H

#include "policy/ask.h"

#define EXPLAIN_TEXT_MAX 400 /* of one `asked` or `found`; a longer one ends in "..." */

struct explained_key {
    const char *name; /* "members", "targets", "accounts", "from", "factors", "when" */
    bool fits;
    const char *file; /* where it is written; NULL: nowhere, it asks for nothing */
    unsigned line, column;
    const char *asked, *found; /* for people; never NULL */
};
#define EXPLAINED_KEYS 6

struct explained_role {
    const char *name, *file;
    unsigned line;
    bool matches;
    struct explained_key keys[EXPLAINED_KEYS]; /* in the order of a decision */
};

/* One part of the sum. */
struct explained_part {
    const char *what;  /* "shell", "exec", "sftp", "idle", "max", "max-bytes", "remember", ... */
    const char *value; /* "true", "15m", "20GiB", "strict" */
    const char *role;  /* the first role that it is from */
};

struct policy_explanation {
    struct policy_decision decision; /* as policy_decide gives it */
    bool operator_known, target_known;
    const char *target;                 /* the inventory's name; NULL: unknown */
    struct explained_key operator_from; /* the operator's own list */
    const struct explained_role *roles; /* all roles of the operator, in the order of the set */
    size_t role_count;
    const struct explained_part *parts;
    size_t part_count;
    bool asked;
    struct policy_answer answer; /* asked: as policy_ask gives it */
    void *memory;
};

/* ask may be NULL. The texts belong to the explanation, names and files to the set. ERR_INPUT: the
 * question is none (then decision and roles are there all the same); ERR_MEMORY. The caller frees
 * *out in any case. */
MUST_CHECK int policy_explain(const struct policy *p, const struct policy_request *r,
                              const struct policy_ask *ask, struct policy_explanation *out,
                              struct err *e);
void policy_explanation_clear(struct policy_explanation *x);

#endif
