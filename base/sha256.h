/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 of a stream, and of two streams at once. A CPU with AVX-512 and without SHA instructions
 * computes two in the time of one, because a round of one leaves half of the CPU idle; any other
 * one computes them one after the other with OpenSSL. So what has to be hashed twice (a block and
 * the file that it is of; what was sent and what is stored of it) costs one pass there.
 * Used by the backend and auditd; does no I/O. Invariant: a hash that could not be computed aborts.
 * Source: FIPS 180-4. */
#ifndef SALLYPORT_BASE_SHA256_H
#define SALLYPORT_BASE_SHA256_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SHA256_SIZE  32u
#define SHA256_BLOCK 64u

/* Opaque but for its size. */
struct sha256 {
    const EVP_MD *md;
    EVP_MD_CTX *ctx, *copy; /* OpenSSL's; NULL: computed here, then the struct is all there is */
    uint64_t len;
    uint32_t state[8];
    uint8_t part[SHA256_BLOCK]; /* len % SHA256_BLOCK bytes of the block that is not full */
};

/* md as EVP_MD_fetch gave it, borrowed, or EVP_sha256(). ERR_MEMORY. A zeroed one may be cleared.
 */
MUST_CHECK int sha256_init(struct sha256 *s, const EVP_MD *md);
void sha256_clear(struct sha256 *s);
/* From the beginning again. */
void sha256_restart(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *p, size_t len);
/* Of what came so far; the stream may go on. */
void sha256_value(const struct sha256 *s, uint8_t out[SHA256_SIZE]);

/* Another stream that has bytes in hand. */
struct sha256_beside {
    struct sha256 *stream;
    const uint8_t *p;
    size_t len;
};
/* Updates s, and on the way as much of the other stream as goes along with it: that is taken off
 * beside, what is left there is the caller's. beside may be NULL. */
void sha256_update_beside(struct sha256 *s, const void *p, size_t len,
                          struct sha256_beside *beside);
/* Updates both. */
void sha256_update_two(struct sha256 *a, const void *pa, size_t alen, struct sha256 *b,
                       const void *pb, size_t blen);

/* Whether two cost what one does here. */
bool sha256_pairs(void);
/* For tests and measurements: false turns that off for the streams that begin then. */
void sha256_allow_pairs(bool allow);

/* The inside (base/sha256_pair.c). n blocks of two messages; the same one twice is fine. */
bool sha256_pair_pays(void);
void sha256_pair(uint32_t a[8], const uint8_t *pa, uint32_t b[8], const uint8_t *pb, size_t n);

#endif
