/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 with a fetched EVP_MD and one reused context. Runs in auditd and in the reading tools.
 * Invariant: a hash that could not be computed aborts; no caller ever sees a wrong one. */
#include "audit/digest.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

struct digest {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
};

struct digest *digest_new(void)
{
    struct digest *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    d->ctx = EVP_MD_CTX_new();
    if (!d->md || !d->ctx) {
        digest_free(d);
        return NULL;
    }
    return d;
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    EVP_MD_free(d->md);
    free(d);
}

void digest_bytes(struct digest *d, const void *p, size_t len, uint8_t out[RECORD_HASH_SIZE])
{
    INVARIANT(EVP_DigestInit_ex2(d->ctx, d->md, NULL) == 1);
    INVARIANT(EVP_DigestUpdate(d->ctx, p, len) == 1);
    INVARIANT(EVP_DigestFinal_ex(d->ctx, out, NULL) == 1);
}

void digest_prefixed(struct digest *d, uint8_t prefix, const void *p, size_t len,
                     uint8_t out[RECORD_HASH_SIZE])
{
    INVARIANT(EVP_DigestInit_ex2(d->ctx, d->md, NULL) == 1);
    INVARIANT(EVP_DigestUpdate(d->ctx, &prefix, 1) == 1);
    INVARIANT(EVP_DigestUpdate(d->ctx, p, len) == 1);
    INVARIANT(EVP_DigestFinal_ex(d->ctx, out, NULL) == 1);
}

void digest_leaf(struct digest *d, const uint8_t header[RECORD_HEADER_SIZE],
                 uint8_t out[RECORD_HASH_SIZE])
{
    uint8_t input[1 + RECORD_HEADER_SIZE];

    input[0] = 0;
    memcpy(input + 1, header, RECORD_HEADER_SIZE);
    digest_bytes(d, input, sizeof input, out);
}

void digest_node(struct digest *d, const uint8_t left[RECORD_HASH_SIZE],
                 const uint8_t right[RECORD_HASH_SIZE], uint8_t out[RECORD_HASH_SIZE])
{
    uint8_t input[1 + 2 * RECORD_HASH_SIZE];

    input[0] = 1;
    memcpy(input + 1, left, RECORD_HASH_SIZE);
    memcpy(input + 1 + RECORD_HASH_SIZE, right, RECORD_HASH_SIZE);
    digest_bytes(d, input, sizeof input, out);
}

void hex_encode(char *out, const uint8_t *p, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}

void digest_hex(const uint8_t hash[RECORD_HASH_SIZE], char out[DIGEST_HEX])
{
    hex_encode(out, hash, RECORD_HASH_SIZE);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int hex_decode(const char *text, uint8_t *out, size_t len)
{
    if (strlen(text) != 2 * len)
        return ERR_SYNTAX;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return ERR_SYNTAX;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}
