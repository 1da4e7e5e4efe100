/* SPDX-License-Identifier: Apache-2.0
 *
 * Enrolment tokens: one-time, hashed in the store, 24 h, few tries. With the operator's key such a
 * token opens the enrolment of a second factor and nothing else.
 *
 *     token = "spe" 6("-" 4base32)        ; 120 random bits, RFC 4648 alphabet in lower case
 *
 * Used by authd alone; pure but for the generator. */
#ifndef SALLYPORT_AUTH_ENROL_H
#define SALLYPORT_AUTH_ENROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ENROL_TOKEN_TEXT 34 /* with its NUL: 3 + 6 * 5 + 1 */
#define ENROL_HASH_BYTES 32
#define ENROL_TRIES      5

/* A fresh token. The caller wipes it. ERR_CRYPTO. */
MUST_CHECK int enrol_token_make(char out[ENROL_TOKEN_TEXT], struct err *e);
/* Does this answer want to be a token (rather than a code)? */
bool enrol_token_looks(const char *answer);
/* SHA-256 of its normal form: case and dashes as typed do not matter. ERR_SYNTAX. */
MUST_CHECK int enrol_token_hash(const char *answer, uint8_t out[ENROL_HASH_BYTES]);

#endif
