/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 6962 2.1 by compact range. Runs in auditd and in the verifier. Invariant: count is the number
 * of one bits of size, and roots[] are ordered from the largest subtree to the smallest. */
#include "audit/merkle.h"

#include <string.h>

void merkle_init(struct merkle *m)
{
    m->size = 0;
    m->count = 0;
}

void merkle_add(struct merkle *m, struct digest *d, const uint8_t leaf[RECORD_HASH_SIZE])
{
    uint8_t node[RECORD_HASH_SIZE];

    memcpy(node, leaf, sizeof node);
    /* Each trailing one bit of the size is a full subtree that the new leaf completes. */
    for (uint64_t bits = m->size; bits & 1; bits >>= 1)
        digest_node(d, m->roots[--m->count], node, node);
    INVARIANT(m->count < MERKLE_DEPTH);
    memcpy(m->roots[m->count++], node, sizeof node);
    m->size++;
}

void merkle_root(const struct merkle *m, struct digest *d, uint8_t out[RECORD_HASH_SIZE])
{
    if (m->count == 0) {
        digest_bytes(d, "", 0, out);
        return;
    }
    memcpy(out, m->roots[m->count - 1], RECORD_HASH_SIZE);
    for (unsigned i = m->count - 1; i-- > 0;)
        digest_node(d, m->roots[i], out, out);
}
