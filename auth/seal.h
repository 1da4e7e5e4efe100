/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing of the store's secrets under the store key (32 bytes, a file of root's): AES-256-GCM with
 * a random nonce; the associated data names the row, so that a sealed value moved to another row
 * does not open. Used by authd alone; does no I/O.
 *
 *     sealed = %x01 nonce(12) ciphertext tag(16) */
#ifndef SALLYPORT_AUTH_SEAL_H
#define SALLYPORT_AUTH_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/secret.h"

#define SEAL_KEY_BYTES 32
#define SEAL_OVERHEAD  (1 + 12 + 16)

struct seal;

/* Takes the key (also on failure). NULL when it is not SEAL_KEY_BYTES long. */
struct seal *seal_new(struct secret *key, struct err *e);
void seal_free(struct seal *s);

/* name: what it is and whose, "totp/alice". out has room for len + SEAL_OVERHEAD bytes. ERR_CRYPTO.
 */
MUST_CHECK int seal_close(const struct seal *s, const char *name, const void *plain, size_t len,
                          uint8_t *out, struct err *e);
/* NULL with ERR_TAMPERED when it was not sealed with this key for this name. The caller frees. */
struct secret *seal_open(const struct seal *s, const char *name, const void *sealed, size_t len,
                         struct err *e);

#endif
