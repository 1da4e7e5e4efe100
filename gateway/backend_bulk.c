/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks and their digests; see backend_bulk.h. Runs in the backend. Bytes are taken into a digest
 * when a record is made of them and not before, so that what is in hand can still grow. */
#include "gateway/backend_bulk.h"

#include <string.h>

int bulk_begin(struct bulk *k, uint64_t after, bool total)
{
    INVARIANT(!k->on && (after == 0 || !total));
    *k = (struct bulk){.on = true, .after = after, .from = after};
    k->with_total = total;
    if (sha256_init(&k->block, EVP_sha256()) == 0 &&
        (!total || sha256_init(&k->total, EVP_sha256()) == 0))
        return 0;
    bulk_clear(k);
    return ERR_MEMORY;
}

void bulk_clear(struct bulk *k)
{
    sha256_clear(&k->block);
    sha256_clear(&k->total);
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

void bulk_digest(struct bulk *k, const struct segment_queue *q, struct bulk_digest *d, size_t *n)
{
    size_t left = bulk_in_hand(q);

    INVARIANT(k->on && left > 0);
    if (k->in_block == BULK_BLOCK) {
        sha256_restart(&k->block);
        k->from += BULK_BLOCK;
        k->in_block = 0;
    }
    if (left > BULK_BLOCK - k->in_block)
        left = BULK_BLOCK - k->in_block;
    *n = left;
    for (const struct segment *s = q->unrecorded; left > 0; s = s->next) {
        size_t some = s->len - s->covered < left ? s->len - s->covered : left;
        const uint8_t *p = s->bytes + s->covered;
        if (k->with_total)
            sha256_update_two(&k->block, p, some, &k->total, p, some);
        else
            sha256_update(&k->block, p, some);
        left -= some;
    }
    k->in_block += (uint32_t)*n;
    *d = (struct bulk_digest){.from = k->from, .bytes = k->in_block};
    sha256_value(&k->block, d->sha256);
    if (k->with_total)
        sha256_value(&k->total, d->total);
}

void bulk_recorded(struct bulk *k, struct segment_queue *q, size_t n, uint64_t record)
{
    k->record = record;
    k->seen = 0;
    segments_cover(q, n, record);
}
