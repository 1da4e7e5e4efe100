/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a TOTP code counts: right, not used before, and its step stored durably before anybody is
 * told (RFC 6238, section 5.2). Wrong ones are counted per operator in the store. An operator
 * without a second factor, or without a row, costs the same work and gives the same verdict as a
 * wrong code. Used by authd alone; the time is passed in; I/O only through the store. */
#ifndef SALLYPORT_AUTH_SECOND_FACTOR_H
#define SALLYPORT_AUTH_SECOND_FACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/lockout.h"
#include "auth/store.h"
#include "base/err.h"

enum code_verdict {
    CODE_WRONG,
    CODE_USED,  /* right, but its step or a later one was used already */
    CODE_RIGHT, /* and used up by this */
};

struct code_outcome {
    enum code_verdict verdict;
    uint64_t step;          /* of a right or used code */
    bool lock_began;        /* this wrong code brought or prolonged a lock */
    struct lockout lockout; /* as it is now */
};

/* 0 or, when nothing may be believed, the store's error. */
MUST_CHECK int second_factor_check(struct store *s, const char *operator_name, const char *code,
                                   uint64_t now_s, const struct lockout_rule *rule,
                                   struct code_outcome *out, struct err *e);
/* The same counting for a wrong enrolment token. */
MUST_CHECK int second_factor_failed(struct store *s, const char *operator_name, uint64_t now_s,
                                    const struct lockout_rule *rule, struct code_outcome *out,
                                    struct err *e);

#endif
