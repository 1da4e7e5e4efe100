/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes inclusion and consistency proofs from tiles. Runs in the reading tools and beside the
 * witnesses' courier. Source: RFC 6962 2.1.1 and 2.1.2, whose recursions are loops here. */
#include "audit/proof.h"

#include <inttypes.h>
#include <string.h>

/* The largest power of two that is smaller than n; n > 1. */
static uint64_t split(uint64_t n)
{
    return 1ull << (63 - __builtin_clzll(n - 1));
}

/* The tree hash over the leaves from `low` up to `high`, low being where RFC 6962 divides. */
static int range_hash(struct tile_reader *t, uint64_t low, uint64_t high,
                      uint8_t out[RECORD_HASH_SIZE], struct err *e)
{
    uint8_t subtrees[64][RECORD_HASH_SIZE]; /* full ones, the largest first */
    unsigned count = 0;

    INVARIANT(low < high);
    do {
        unsigned height = 63 - (unsigned)__builtin_clzll(high - low);
        int r = tile_subtree(t, height, low >> height, subtrees[count++], e);

        if (r < 0)
            return r;
        low += 1ull << height;
    } while (low < high);
    memcpy(out, subtrees[--count], RECORD_HASH_SIZE);
    while (count-- > 0)
        digest_node(tile_reader_digest(t), subtrees[count], out, out);
    return 0;
}

static int add(struct proof *p, struct tile_reader *t, uint64_t low, uint64_t high, struct err *e)
{
    INVARIANT(p->count < PROOF_MAX);
    return range_hash(t, low, high, p->hash[p->count++], e);
}

/* Collected from the root down; proofs go from the leaf up. */
static void reverse(struct proof *p)
{
    for (unsigned i = 0; i < p->count / 2; i++) {
        uint8_t *a = p->hash[i], *b = p->hash[p->count - 1 - i], keep[RECORD_HASH_SIZE];

        memcpy(keep, a, sizeof keep);
        memcpy(a, b, sizeof keep);
        memcpy(b, keep, sizeof keep);
    }
}

int proof_root(struct tile_reader *t, uint64_t size, uint8_t root[RECORD_HASH_SIZE], struct err *e)
{
    if (size > tile_reader_size(t))
        return err_set(e, ERR_USAGE, "the tiles are those of %" PRIu64 " leaves",
                       tile_reader_size(t));
    if (size > 0)
        return range_hash(t, 0, size, root, e);
    digest_bytes(tile_reader_digest(t), "", 0, root);
    return 0;
}

int proof_inclusion(struct tile_reader *t, uint64_t index, uint64_t size, struct proof *p,
                    struct err *e)
{
    uint64_t low = 0, high = size;
    int r = 0;

    p->count = 0;
    if (size > tile_reader_size(t) || index >= size)
        return err_set(e, ERR_USAGE, "there is no record %" PRIu64 " in the first %" PRIu64, index,
                       size);
    while (r == 0 && high - low > 1) {
        uint64_t middle = low + split(high - low);

        if (index < middle) {
            r = add(p, t, middle, high, e);
            high = middle;
        } else {
            r = add(p, t, low, middle, e);
            low = middle;
        }
    }
    reverse(p);
    return r;
}

int proof_consistency(struct tile_reader *t, uint64_t from, uint64_t to, struct proof *p,
                      struct err *e)
{
    uint64_t low = 0, high = to;
    int r = 0;

    p->count = 0;
    if (to > tile_reader_size(t) || from > to)
        return err_set(e, ERR_USAGE,
                       "no tree of %" PRIu64 " leaves goes on from one of %" PRIu64 " here", to,
                       from);
    if (from == 0)
        return 0;
    while (r == 0 && from != high) {
        uint64_t middle = low + split(high - low);

        if (from <= middle) {
            r = add(p, t, middle, high, e);
            high = middle;
        } else {
            r = add(p, t, low, middle, e);
            low = middle;
        }
    }
    /* Where the older tree is a whole left part of the newer one, its root is known already. */
    if (r == 0 && low > 0)
        r = add(p, t, low, high, e);
    reverse(p);
    return r;
}
