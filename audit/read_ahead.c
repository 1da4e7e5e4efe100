/* SPDX-License-Identifier: Apache-2.0
 *
 * Payload hashes and leaves of many records in one go. Runs in the reading tools and in auditd's
 * recovery. Whether they are what the headers say is the chain's matter, record by record. */
#include "audit/read_ahead.h"

#include <stdlib.h>

struct read_ahead *read_ahead_new(void)
{
    struct read_ahead *a = calloc(1, sizeof *a);

    if (a && !(a->digest = digest_new())) {
        free(a);
        a = NULL;
    }
    return a;
}

void read_ahead_free(struct read_ahead *a)
{
    if (!a)
        return;
    digest_free(a->digest);
    free(a);
}

static void hash_all(struct read_ahead *a, const uint8_t *p, size_t len)
{
    struct digest_job jobs[2 * READ_AHEAD_RECORDS];
    struct record r;

    a->count = a->next = 0;
    while (a->count < READ_AHEAD_RECORDS && len >= RECORD_HEADER_SIZE &&
           record_decode(p, &r, NULL) == 0 && len - RECORD_HEADER_SIZE >= r.payload_len) {
        struct record_hashes *h = &a->hashes[a->count];

        jobs[2 * a->count] =
            (struct digest_job){DIGEST_PLAIN, p + RECORD_HEADER_SIZE, r.payload_len, h->payload};
        jobs[2 * a->count + 1] = (struct digest_job){DIGEST_LEAF, p, RECORD_HEADER_SIZE, h->leaf};
        a->count++;
        p += RECORD_HEADER_SIZE + r.payload_len;
        len -= RECORD_HEADER_SIZE + r.payload_len;
    }
    digest_many(a->digest, jobs, 2 * (size_t)a->count);
}

const struct record_hashes *read_ahead_next(struct read_ahead *a, const uint8_t *p, size_t len)
{
    if (a->next == a->count)
        hash_all(a, p, len);
    INVARIANT(a->next < a->count);
    return &a->hashes[a->next++];
}
