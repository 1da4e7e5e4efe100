/* SPDX-License-Identifier: Apache-2.0
 *
 * age(1) as a program of its own, for the identities that are not opened natively: it finds
 * plugins, asks for passphrases on the terminal, and talks to hardware. Runs in the reading tools,
 * as the reviewer; the program is the one that the reviewer's PATH names. */
#ifndef SALLYPORT_AUDIT_UNSEAL_AGE_H
#define SALLYPORT_AUDIT_UNSEAL_AGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Of what age(1) prints: a file of identities. */
#define AGE_OUTPUT_MAX 65536u
/* Of what it reads: less than a pipe holds, so that it is written at once. */
#define AGE_INPUT_MAX 16384u

/* `age --decrypt -i identity` on these bytes. At most cap bytes go to out. ERR_NOT_FOUND: not for
 * this identity. ERR_SYSTEM: e has what age said. */
MUST_CHECK int age_run_decrypt(const char *identity, const void *file, size_t len, uint8_t *out,
                               size_t cap, size_t *out_len, struct err *e);
/* `age --decrypt path`: a file with a passphrase. The same errors. */
MUST_CHECK int age_run_open(const char *path, uint8_t *out, size_t cap, size_t *out_len,
                            struct err *e);

#endif
