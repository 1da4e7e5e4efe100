/* SPDX-License-Identifier: Apache-2.0
 *
 * Two persons: whether a policy set may come after the one in force. With approvers in force, a set
 * needs a manifest (policy/manifest.h) that lists all of it, with a serial above the last one's and
 * the hash of the manifest in force, signed by an author and by as many others as the set in force
 * says, all of them its approvers. A pure function of the block and of what is in force, run by
 * authd's loader, by authd on the same bytes, and by `sallyport policy verify`. Everything in the
 * block is hostile: whoever is root on the gateway wrote it. */
#ifndef SALLYPORT_POLICY_APPROVAL_H
#define SALLYPORT_POLICY_APPROVAL_H

#include "policy/approvers.h"
#include "policy/manifest.h"

/* What is in force. */
struct approval_state {
    uint64_t serial;                   /* of the last set that had one; 0: there was none */
    uint8_t manifest[MANIFEST_HASH];   /* of that set */
    const struct approvers *approvers; /* NULL: none are in force */
};

enum approval_kind {
    APPROVAL_NONE,   /* no approvers are in force, and the set has none */
    APPROVAL_SAME,   /* the set in force itself */
    APPROVAL_BEGIN,  /* the first set with approvers, signed by them */
    APPROVAL_CHANGE, /* signed by those in force */
    APPROVAL_END     /* the same, and without approvers from now on */
};

struct approval_signer {
    char name[OPERATOR_NAME_MAX + 1];
    char fingerprint[64];
};

struct approval {
    enum approval_kind kind;
    uint64_t serial; /* this and what follows: not for APPROVAL_NONE */
    uint8_t manifest[MANIFEST_HASH];
    struct bytes approvers; /* approvers.yaml, a view into the block; empty: none */
    /* Not for APPROVAL_SAME. */
    struct approval_signer author, approved_by[APPROVERS_MAX];
    size_t approved_count;
    bool unchecked; /* APPROVAL_NONE: there is a manifest, which nobody looked at */
};

/* ERR_SYNTAX, ERR_DENIED, ERR_TAMPERED, ERR_MEMORY, with what is missing in words. */
MUST_CHECK int approval_check(const void *block, size_t len, const struct approval_state *state,
                              struct approval *out, struct err *e);
const char *approval_kind_name(enum approval_kind kind);

/* Belongs to a set beside what roles are made of: reviewers.yaml, approvers.yaml, the manifest,
 * signatures, sallyport.yaml. */
bool approval_is_file(const char *name);
/* The set's approvers.yaml, if there is one, is right. */
MUST_CHECK int approval_load_check(const void *block, size_t len, struct err *e);

#endif
