/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams of SHA-256: whole blocks go to the pair's computation, two by two where two are in hand;
 * or everything goes to OpenSSL. Runs in the backend and in auditd. */
#include "base/sha256.h"

#include <string.h>

#include "base/wire.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static bool forbidden;

bool sha256_pairs(void)
{
    return !forbidden && sha256_pair_pays();
}

void sha256_allow_pairs(bool allow)
{
    forbidden = !allow;
}

int sha256_init(struct sha256 *s, const EVP_MD *md)
{
    *s = (struct sha256){.md = md};
    if (!sha256_pairs()) {
        s->ctx = EVP_MD_CTX_new();
        s->copy = EVP_MD_CTX_new();
        if (!s->ctx || !s->copy) {
            sha256_clear(s);
            return ERR_MEMORY;
        }
    }
    sha256_restart(s);
    return 0;
}

void sha256_clear(struct sha256 *s)
{
    EVP_MD_CTX_free(s->ctx);
    EVP_MD_CTX_free(s->copy);
    *s = (struct sha256){0};
}

void sha256_restart(struct sha256 *s)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    s->len = 0;
    if (s->ctx)
        INVARIANT(EVP_DigestInit_ex2(s->ctx, s->md, NULL) == 1);
    else
        memcpy(s->state, initial, sizeof initial);
}

static void one(struct sha256 *s, const uint8_t *p, size_t blocks)
{
    uint32_t nobody[8] = {0};

    if (blocks > 0)
        sha256_pair(s->state, p, nobody, p, blocks);
}

/* Takes what completes the block that is not full; returns how much that was. */
static size_t fill(struct sha256 *s, const uint8_t *p, size_t len)
{
    size_t part = s->len % SHA256_BLOCK, n = MIN(len, SHA256_BLOCK - part);

    if (part == 0)
        return 0;
    memcpy(s->part + part, p, n);
    s->len += n;
    if (part + n == SHA256_BLOCK)
        one(s, s->part, 1);
    return n;
}

/* What is left after whole blocks. */
static void rest(struct sha256 *s, const uint8_t *p, size_t len)
{
    size_t blocks = len / SHA256_BLOCK;

    one(s, p, blocks);
    memcpy(s->part, p + blocks * SHA256_BLOCK, len % SHA256_BLOCK);
    s->len += len;
}

void sha256_update(struct sha256 *s, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    size_t n;

    if (s->ctx) {
        INVARIANT(EVP_DigestUpdate(s->ctx, p, len) == 1);
        return;
    }
    if (len == 0)
        return;
    n = fill(s, p, len);
    if (n < len)
        rest(s, p + n, len - n);
}

void sha256_update_beside(struct sha256 *s, const void *bytes, size_t len,
                          struct sha256_beside *beside)
{
    const uint8_t *p = bytes;
    size_t n, bytes_both;

    if (!beside || beside->len == 0 || s->ctx || beside->stream->ctx) {
        sha256_update(s, p, len);
        return;
    }
    if (len == 0)
        return;
    n = fill(s, p, len);
    p += n;
    len -= n;
    n = fill(beside->stream, beside->p, beside->len);
    beside->p += n;
    beside->len -= n;
    bytes_both = MIN(len, beside->len) / SHA256_BLOCK * SHA256_BLOCK;
    if (bytes_both > 0) {
        sha256_pair(s->state, p, beside->stream->state, beside->p, bytes_both / SHA256_BLOCK);
        s->len += bytes_both;
        beside->stream->len += bytes_both;
        p += bytes_both;
        len -= bytes_both;
        beside->p += bytes_both;
        beside->len -= bytes_both;
    }
    if (len > 0)
        rest(s, p, len);
}

void sha256_update_two(struct sha256 *a, const void *pa, size_t alen, struct sha256 *b,
                       const void *pb, size_t blen)
{
    struct sha256_beside beside = {b, pb, blen};

    sha256_update_beside(a, pa, alen, &beside);
    sha256_update(b, beside.p, beside.len);
}

void sha256_value(const struct sha256 *s, uint8_t out[SHA256_SIZE])
{
    struct sha256 last = *s;
    size_t part = s->len % SHA256_BLOCK;

    if (s->ctx) {
        INVARIANT(EVP_MD_CTX_copy_ex(s->copy, s->ctx) == 1 &&
                  EVP_DigestFinal_ex(s->copy, out, NULL) == 1);
        return;
    }
    last.part[part++] = 0x80;
    memset(last.part + part, 0, SHA256_BLOCK - part);
    if (part > SHA256_BLOCK - 8) {
        one(&last, last.part, 1);
        memset(last.part, 0, SHA256_BLOCK);
    }
    wire_store_u64(last.part + SHA256_BLOCK - 8, s->len * 8);
    one(&last, last.part, 1);
    for (unsigned i = 0; i < 8; i++)
        wire_store_u32(out + 4 * i, last.state[i]);
}
