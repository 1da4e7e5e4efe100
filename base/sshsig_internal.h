/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by sshsig.c and sshsig_key.c alone. */
#ifndef SALLYPORT_BASE_SSHSIG_INTERNAL_H
#define SALLYPORT_BASE_SSHSIG_INTERNAL_H

#include <stdbool.h>

#include <openssl/evp.h>

#include "base/sshsig.h"
#include "base/wire.h"

/* SEQUENCE of two INTEGERs of P-256: 2 + 2 * (2 + 33). */
#define SSHSIG_DER_MAX 80u

struct sshsig_public {
    EVP_PKEY *key;
    const EVP_MD *md;      /* NULL: the algorithm has its own */
    const char *algorithm; /* what the signature must say */
    bool is_sk, is_ecdsa;
    struct bytes application; /* of a security key */
};

/* 0, ERR_SYNTAX, ERR_CRYPTO. The caller frees key. */
MUST_CHECK int sshsig_public(struct bytes blob, struct sshsig_public *out);
/* r and s as SSH has them become the DER that OpenSSL wants; *raw is made to point there. */
MUST_CHECK int sshsig_ecdsa_der(struct bytes *raw, uint8_t der[SSHSIG_DER_MAX]);
/* Line ends are passed over; everything else must be base64. ERR_SYNTAX. */
MUST_CHECK int sshsig_base64(const char *text, size_t len, uint8_t *out, size_t cap,
                             size_t *out_len);

#endif
