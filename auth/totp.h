/* SPDX-License-Identifier: Apache-2.0
 *
 * Time-based one-time passwords (RFC 6238): 6 digits, SHA-1, steps of 30 s, accepted one step early
 * or late. Says which step a code belongs to; that a step counts once is the store's business
 * (auth/second_factor.h). Used by authd alone; pure, the time is passed in. */
#ifndef SALLYPORT_AUTH_TOTP_H
#define SALLYPORT_AUTH_TOTP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#define TOTP_STEP_S       30
#define TOTP_DIGITS       6
#define TOTP_SECRET_BYTES 20 /* as long as SHA-1's output: RFC 4226, section 4, R6 */

/* Once per process. */
MUST_CHECK int totp_init(struct err *e);
/* 0 and the step that the code belongs to (the latest of those that fit); ERR_DENIED when it fits
 * none, or is not 6 digits. All three steps are computed whatever the code is. */
MUST_CHECK int totp_match(const struct secret *key, uint64_t now_s, const char *code,
                          uint64_t *step);
/* The code of a step, for tests. */
MUST_CHECK int totp_code(const struct secret *key, uint64_t step, char out[TOTP_DIGITS + 1]);
/* Appends the otpauth:// URI that authenticator apps read. It holds the secret: wipe the buffer. */
MUST_CHECK int totp_uri(const struct secret *key, const char *gateway, const char *operator_name,
                        struct buf *out, struct err *e);

#endif
