/* SPDX-License-Identifier: Apache-2.0
 *
 * Which way many messages are hashed: side by side (audit/digest_wide.c) where that pays, or one
 * after the other. Runs in auditd and in the reading tools. */
#include "audit/digest_many.h"

#include <string.h>

#include "audit/digest_wide.h"

/* One message in eight lanes costs about twice what OpenSSL takes for it alone, so that three
 * lanes have to be at work. */
#define LANES_MIN 3u

static bool forbidden;

void digest_many_allow_wide(bool allow)
{
    forbidden = !allow;
}

bool digest_many_is_wide(void)
{
    return !forbidden && digest_wide_pays();
}

static void one(struct digest *d, const struct digest_job *j)
{
    if (j->prefix == DIGEST_PLAIN)
        digest_bytes(d, j->p, j->len, j->out);
    else
        digest_prefixed(d, (uint8_t)j->prefix, j->p, j->len, j->out);
}

void digest_many(struct digest *d, const struct digest_job *jobs, size_t count)
{
    size_t total = 0, longest = 0;

    if (count >= LANES_MIN && digest_many_is_wide()) {
        for (size_t i = 0; i < count; i++)
            total += digest_job_blocks(&jobs[i]);
        /* One that is longer than all the others could accompany goes alone. */
        longest = total / LANES_MIN;
        digest_wide(jobs, count, longest);
    }
    for (size_t i = 0; i < count; i++)
        if (digest_job_blocks(&jobs[i]) > longest)
            one(d, &jobs[i]);
}

void digest_subtree(struct digest *d, const uint8_t *hashes, unsigned count,
                    uint8_t out[RECORD_HASH_SIZE])
{
    uint8_t rows[2][128 * RECORD_HASH_SIZE];
    struct digest_job jobs[128];

    INVARIANT(count >= 1 && count <= 256 && (count & (count - 1)) == 0);
    for (unsigned row = 0; count > 1; row ^= 1) {
        count /= 2;
        for (unsigned i = 0; i < count; i++)
            jobs[i] = (struct digest_job){DIGEST_NODE, hashes + i * 2 * RECORD_HASH_SIZE,
                                          2 * RECORD_HASH_SIZE, rows[row] + i * RECORD_HASH_SIZE};
        digest_many(d, jobs, count);
        hashes = rows[row];
    }
    memcpy(out, hashes, RECORD_HASH_SIZE);
}
