/* SPDX-License-Identifier: Apache-2.0
 *
 * What a change of the policy set changes: who could do what, and who can. Not the files are
 * compared but the decision (policy_decide) for every operator, target and account, under every
 * circumstance that the roles distinguish: each address range, each set of hours, each way to log
 * in.
 *
 * How it scales: operators who hold the same roles are one class, targets that the same roles
 * select are another, and roles that are written the same and select the same targets are one
 * effect. Where an operator class has the same effects in both sets nothing is looked at; else each
 * pair of effect lists is decided once, whoever it comes from.
 *
 * Where these pairs need more than 120,000 decisions, or parting the targets 300,000,000 visits,
 * roles are compared one by one instead, each with the one of its name, as if it were the only one:
 * `exact` is false then. Nothing that differs is missed, but what another role of the same operator
 * gives too is told as well. So it is for a change of site.yaml on the largest set (10,000 roles,
 * 50,000 operators, 100,000 targets), where nothing collapses: 49,998 classes of operators on
 * 81,099 of targets have 4.1 million pairs of effect lists, which to part alone takes 30 s of CPU
 * and 1.3 GiB; role by role it is 7.5 s and 0.5 GiB.
 *
 * Limits, so that nobody takes it for more: command rules, file patterns and forwards are compared
 * as they are written, so two ways to write the same are told as a change. Hours are compared over
 * the 400 days from `at_s` on. Of two roles that map one bare program name to two paths, which
 * comes first is not compared. Labels, groups and role names that change nothing are not told. Keys
 * of operators and addresses and keys of targets are told as identities (below). The global address
 * list of sallyport.yaml is no part of a set. Pure; memory that runs out aborts: it is a tool's. */
#ifndef SALLYPORT_POLICY_DIFF_H
#define SALLYPORT_POLICY_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"

enum diff_kind { DIFF_ALLOWED, DIFF_DENIED, DIFF_WIDENED, DIFF_NARROWED, DIFF_CHANGED };
const char *diff_kind_text(enum diff_kind kind); /* "newly allowed", ... */

/* One thing that differs. Lists are sorted. */
struct diff_item {
    const char *subject; /* "shell", "exec", "sftp", "forward": old and new are the conditions of
                            the roles that give it; "commands", "sftp.read", "sftp.write",
                            "forwards": what was taken away and what was added; "idle", "max",
                            "max-bytes", "record", "bulk", "bulk-after", "keep-max": the values */
    enum diff_kind kind;
    char **old, **new;
    size_t old_count, new_count;
};
struct diff_change {
    struct diff_item *items;
    size_t count;
};

/* For all these operators, on all of the part's targets, as all these accounts: the change of the
 * group. Lists are sorted. */
struct diff_part {
    const char **operators, **accounts;
    size_t operator_count, account_count, target_count;
    uint32_t operator_class, account, change, list; /* how its targets are found again */
};
/* Everything that has one change. */
struct diff_group {
    const struct diff_change *change;
    struct diff_part *parts;
    size_t part_count;
    size_t operator_count;               /* in all parts, each once */
    uint64_t combinations;               /* of operator, target and account */
    const char **old_roles, **new_roles; /* behind it, on each side */
    size_t old_role_count, new_role_count;
};

/* Who or what is there at all. */
enum diff_identity_kind {
    DIFF_OPERATOR_ADDED,
    DIFF_OPERATOR_REMOVED,
    DIFF_OPERATOR_KEYS,
    DIFF_OPERATOR_FROM,
    DIFF_TARGET_ADDED,
    DIFF_TARGET_REMOVED,
    DIFF_TARGET_ADDRESS, /* or port */
    DIFF_TARGET_KEYS,
    DIFF_TARGET_ALIASES,
    DIFF_PACK, /* a rule pack's bytes: what a class covers may differ */
    DIFF_FILE, /* of approvers, reviewers, the configuration: hashes of its bytes */
    DIFF_IDENTITY_KINDS
};
const char *diff_identity_text(enum diff_identity_kind kind);
struct diff_identity {
    enum diff_identity_kind kind;
    const char *name;
    char *old, *new; /* "" where there is none */
};

struct diff {
    struct diff_group *groups;
    size_t group_count;
    struct diff_identity *identities;
    size_t identity_count;
    bool exact;
    uint64_t compared; /* pairs of effect lists that were decided */
    struct diff_inside *inside;
};

struct diff_input {
    const struct policy *policy;
    const void *block; /* that it was loaded from */
    size_t len;
};
/* Names in the result belong to the two sets. ERR_INPUT, ERR_MEMORY as policy_decide. */
enum diff_how {
    DIFF_BOUNDED, /* exact where that is quick */
    DIFF_EXACT,   /* however long it takes */
    DIFF_ROLES    /* role by role */
};
MUST_CHECK int policy_diff(const struct diff_input *old, const struct diff_input *new,
                           uint64_t at_s, enum diff_how how, struct diff *out, struct err *e);
void diff_clear(struct diff *d);
/* The targets of a part, sorted; the caller frees the array. They are found again, not kept: there
 * may be as many lists of 100,000 names as operators. */
const char **diff_part_targets(const struct diff *d, const struct diff_part *part, size_t *count);

#endif
