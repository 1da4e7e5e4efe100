/* SPDX-License-Identifier: Apache-2.0
 *
 * The age identities of a reviewer, from files. Runs in the reading tools, as the reviewer. Secrets
 * stay in this process; a file of a kind that is not read natively is named to age(1) instead. */
#ifndef SALLYPORT_AUDIT_UNSEAL_IDENTITIES_H
#define SALLYPORT_AUDIT_UNSEAL_IDENTITIES_H

#include "audit/age.h"
#include "audit/unseal.h"

struct identity {
    uint8_t key[AGE_KEY_SIZE];
    char *path; /* not NULL: age(1) takes it from there */
};

struct identities {
    struct identity at[UNSEAL_IDENTITIES_MAX];
    size_t count;
};

/* Those in a file. ERR_SYSTEM, ERR_INPUT, ERR_FULL. */
MUST_CHECK int identities_add(struct identities *ids, const char *path, struct err *e);
MUST_CHECK int identities_add_default(struct identities *ids, struct err *e);
/* Wipes them. */
void identities_clear(struct identities *ids);
/* The key of 32 bytes that an age file wraps. ERR_NOT_FOUND: for none of them. ERR_TAMPERED: no
 * such file. Others: age(1) could not try it. */
MUST_CHECK int identities_unwrap(struct identities *ids, const void *file, size_t len,
                                 uint8_t out[AGE_KEY_SIZE], struct err *e);

#endif
