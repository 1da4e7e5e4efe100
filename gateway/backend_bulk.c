/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks and their digests; see backend_bulk.h. Runs in the backend. Bytes are taken into a digest
 * when a record is made of them and not before, so that what is in hand can still grow. */
#include "gateway/backend_bulk.h"

#include <string.h>

static EVP_MD_CTX *digest_new(void)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    if (c != NULL && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1)
        return c;
    EVP_MD_CTX_free(c);
    return NULL;
}

int bulk_begin(struct bulk *k, uint64_t after, bool total)
{
    INVARIANT(!k->on && (after == 0 || !total));
    *k = (struct bulk){.on = true, .after = after, .from = after};
    k->block = digest_new();
    k->reading = digest_new();
    k->total = total ? digest_new() : NULL;
    if (k->block != NULL && k->reading != NULL && (!total || k->total != NULL))
        return 0;
    bulk_clear(k);
    return ERR_MEMORY;
}

void bulk_clear(struct bulk *k)
{
    EVP_MD_CTX_free(k->block);
    EVP_MD_CTX_free(k->total);
    EVP_MD_CTX_free(k->reading);
    *k = (struct bulk){.on = false};
}

int bulk_put(struct bulk *k, struct segment_queue *q, enum segment_kind kept,
             enum segment_kind bulk, const void *bytes, size_t len)
{
    size_t keep = len;
    int rc;

    if (k->on) {
        uint64_t room = k->taken < k->after ? k->after - k->taken : 0;
        if (keep > room)
            keep = (size_t)room;
    }
    rc = segments_put(q, kept, bytes, keep);
    if (rc == 0)
        rc = segments_put(q, bulk, (const uint8_t *)bytes + keep, len - keep);
    k->taken += len;
    return rc;
}

size_t bulk_in_hand(const struct segment_queue *q)
{
    size_t n = 0;

    for (const struct segment *s = q->unrecorded; s != NULL && segment_is_bulk(s->kind);
         s = s->next)
        n += s->len - s->covered;
    return n;
}

static int read_digest(struct bulk *k, const EVP_MD_CTX *c, uint8_t out[BULK_SHA256])
{
    return EVP_MD_CTX_copy_ex(k->reading, c) == 1 && EVP_DigestFinal_ex(k->reading, out, NULL) == 1
               ? 0
               : ERR_CRYPTO;
}

int bulk_digest(struct bulk *k, const struct segment_queue *q, struct bulk_digest *d, size_t *n)
{
    size_t left = bulk_in_hand(q);

    INVARIANT(k->on && left > 0);
    if (k->in_block == BULK_BLOCK) {
        if (EVP_DigestInit_ex(k->block, EVP_sha256(), NULL) != 1)
            return ERR_CRYPTO;
        k->from += BULK_BLOCK;
        k->in_block = 0;
    }
    if (left > BULK_BLOCK - k->in_block)
        left = BULK_BLOCK - k->in_block;
    *n = left;
    for (const struct segment *s = q->unrecorded; left > 0; s = s->next) {
        size_t some = s->len - s->covered < left ? s->len - s->covered : left;
        const uint8_t *p = s->bytes + s->covered;
        if (EVP_DigestUpdate(k->block, p, some) != 1 ||
            (k->total != NULL && EVP_DigestUpdate(k->total, p, some) != 1))
            return ERR_CRYPTO;
        left -= some;
    }
    k->in_block += (uint32_t)*n;
    *d = (struct bulk_digest){.from = k->from, .bytes = k->in_block};
    if (read_digest(k, k->block, d->sha256) != 0 ||
        (k->total != NULL && read_digest(k, k->total, d->total) != 0))
        return ERR_CRYPTO;
    return 0;
}

void bulk_recorded(struct bulk *k, struct segment_queue *q, size_t n, uint64_t record)
{
    k->record = record;
    k->seen = 0;
    segments_cover(q, n, record);
}
