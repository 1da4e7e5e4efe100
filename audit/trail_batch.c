/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch: payload hashes many at a time, links one after the other. Runs in auditd. */
#include "audit/trail_batch.h"

#include <stdlib.h>
#include <string.h>

int batch_init(struct trail_batch *b, struct err *e)
{
    b->bytes = malloc(BATCH_SIZE);
    return b->bytes ? 0 : err_set(e, ERR_MEMORY, "no memory for a batch of records");
}

void batch_clear(struct trail_batch *b)
{
    free(b->bytes);
    b->bytes = NULL;
}

uint8_t *batch_end(struct trail_batch *b)
{
    return b->bytes + b->len;
}

void batch_add(struct trail_batch *b, struct chain *c, struct session_state *state,
               uint32_t payload_len)
{
    uint8_t *header = batch_end(b);

    INVARIANT(BATCH_SIZE - b->len >= RECORD_HEADER_SIZE + payload_len);
    b->len += RECORD_HEADER_SIZE + payload_len;
    b->sessions[b->unlinked] = state;
    b->payloads[b->unlinked++] = (struct digest_job){DIGEST_PLAIN, header + RECORD_HEADER_SIZE,
                                                     payload_len, header + RECORD_AT_PAYLOAD_HASH};
    b->unlinked_bytes += payload_len;
    if (b->unlinked == BATCH_UNLINKED || b->unlinked_bytes >= BATCH_UNLINKED_BYTES)
        batch_link(b, c);
}

const struct digest_job *batch_newest(const struct trail_batch *b)
{
    const struct digest_job *job = b->unlinked > 0 ? &b->payloads[b->unlinked - 1] : NULL;

    return job && job->p ? job : NULL;
}

void batch_newest_hashed(struct trail_batch *b, const uint8_t hash[RECORD_HASH_SIZE])
{
    struct digest_job *job = &b->payloads[b->unlinked - 1];

    INVARIANT(b->unlinked > 0 && job->p);
    memcpy(job->out, hash, RECORD_HASH_SIZE);
    job->p = NULL;
    b->hashed++;
}

static void hash_others(struct trail_batch *b, struct digest *d)
{
    struct digest_job jobs[BATCH_UNLINKED];
    unsigned n = 0;

    for (unsigned i = 0; i < b->unlinked; i++)
        if (b->payloads[i].p)
            jobs[n++] = b->payloads[i];
    digest_many(d, jobs, n);
}

void batch_link(struct trail_batch *b, struct chain *c)
{
    if (b->hashed == 0)
        digest_many(c->digest, b->payloads, b->unlinked);
    else
        hash_others(b, c->digest);
    for (unsigned i = 0; i < b->unlinked; i++)
        chain_link(c, b->sessions[i], b->payloads[i].out - RECORD_AT_PAYLOAD_HASH);
    b->unlinked = b->hashed = 0;
    b->unlinked_bytes = 0;
}

void batch_written(struct trail_batch *b)
{
    INVARIANT(b->unlinked == 0);
    b->len = 0;
}
