/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 6962 2.1 by compact range. Runs in auditd and in the verifier. Invariants: count is the
 * number of one bits of size - gathered, and roots[] are ordered from the largest subtree to the
 * smallest; no subtree of 256 begins within the gathered leaves but at their beginning. */
#include "audit/merkle.h"

#include <string.h>

#include "audit/digest_many.h"

void merkle_init(struct merkle *m)
{
    m->size = 0;
    m->count = m->gathered = 0;
}

/* Appends a full subtree of 2^height leaves that begins at `first`. */
static void add_subtree(struct merkle *m, struct digest *d, uint64_t first, unsigned height,
                        uint8_t node[RECORD_HASH_SIZE])
{
    /* Each trailing one bit is a full subtree that this one completes. */
    for (uint64_t bits = first >> height; bits & 1; bits >>= 1)
        digest_node(d, m->roots[--m->count], node, node);
    INVARIANT(m->count < MERKLE_DEPTH);
    memcpy(m->roots[m->count++], node, RECORD_HASH_SIZE);
}

void merkle_settle(struct merkle *m, struct digest *d)
{
    uint64_t first = m->size - m->gathered;
    unsigned at = 0;

    while (at < m->gathered) {
        uint8_t node[RECORD_HASH_SIZE];
        unsigned height = 0;

        /* The largest subtree that begins here and is there. */
        while ((first + at) % (2ull << height) == 0 && at + (2u << height) <= m->gathered)
            height++;
        digest_subtree(d, m->leaves[at], 1u << height, node);
        add_subtree(m, d, first + at, height, node);
        at += 1u << height;
    }
    m->gathered = 0;
}

void merkle_add(struct merkle *m, struct digest *d, const uint8_t leaf[RECORD_HASH_SIZE])
{
    memcpy(m->leaves[m->gathered++], leaf, RECORD_HASH_SIZE);
    m->size++;
    if (m->size % MERKLE_GATHER == 0)
        merkle_settle(m, d);
}

void merkle_root(const struct merkle *m, struct digest *d, uint8_t out[RECORD_HASH_SIZE])
{
    struct merkle settled = *m;

    merkle_settle(&settled, d);
    if (settled.count == 0) {
        digest_bytes(d, "", 0, out);
        return;
    }
    memcpy(out, settled.roots[settled.count - 1], RECORD_HASH_SIZE);
    for (unsigned i = settled.count - 1; i-- > 0;)
        digest_node(d, settled.roots[i], out, out);
}
