/* SPDX-License-Identifier: Apache-2.0
 *
 * approvers.yaml: who may sign changes of the policy, and how many besides the author it takes.
 * Used by authd and its loader (the set in force, and a new set) and by `sallyport policy`. The
 * file is root's; what is in force of it is what was approved. Pure. */
#ifndef SALLYPORT_POLICY_APPROVERS_H
#define SALLYPORT_POLICY_APPROVERS_H

#include "base/sshsig.h"
#include "policy/policy.h"
#include "policy/pool.h"

#define APPROVERS_FILE       "approvers.yaml"
#define APPROVERS_MAX        64 /* people; far more than review one policy */
#define APPROVER_KEYS_MAX    8  /* a key, its spare, and those of a change */
#define APPROVALS_NEEDED_MAX 16
/* 64 people with one RSA key of 16384 bits each, or 8 of another kind. */
#define APPROVERS_FILE_MAX (256u * 1024)

struct approver {
    const char *name;
    const struct policy_key *keys;
    size_t key_count;
};

struct approvers {
    struct pool pool; /* owns all the rest */
    unsigned needed;  /* besides the author */
    const struct approver *people;
    size_t count;
};

/* name is for messages. NULL on error: "NAME:LINE:COLUMN: found ..., expected ...". */
struct approvers *approvers_parse(const char *name, const void *bytes, size_t len, struct err *e);
void approvers_free(struct approvers *a);
/* Whose key it is, NULL: nobody's. *fingerprint belongs to the list. */
const struct approver *approvers_of_key(const struct approvers *a, const void *blob, size_t len,
                                        const char **fingerprint);
const struct approver *approvers_named(const struct approvers *a, const char *name);

#endif
