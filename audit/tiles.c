/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree's right edge in memory, and how it grows. Runs in auditd's synchronising thread and in
 * `init`. Invariant: of each level the hashes behind its last full tile on disk are here, at most
 * 256; a level with 256 is a tile that is full and not written yet, and nothing is added below it
 * before it is. Source: c2sp.org/tlog-tiles. */
#include "audit/tiles.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/digest_many.h"
#include "audit/tile_file.h"
#include "audit/tile_read.h"
#include "audit/trail_read.h"
#include "base/wire.h"

/* The kernel writes a file out within 30 s of its writing, and its journal within 5 s more. So many
 * full tiles before the newest are looked at after a start, for a loss of power that left them
 * empty: 16 million records, 40 s at over 400,000 a second. */
#define LOOK_BACK 65536u
/* Of these the content is read too. */
#define READ_BACK 64u

struct level {
    uint64_t n; /* the tile's number */
    unsigned count;
    unsigned partial; /* width of the partial tile written last for this n; 0: none */
    uint8_t hashes[TILE_BYTES];
};

struct tiles {
    int dir;
    uint64_t next;
    struct digest *digest;
    struct level levels[TILE_LEVELS];
    unsigned bundle_partial;
    uint8_t bundle[TILE_BUNDLE_BYTES]; /* of the records of levels[0] */
    struct trail_reader *reader;       /* NULL, or it stands before record `next` */
};

int tiles_new(struct tiles **out, int dir, struct err *e)
{
    struct tiles *t = calloc(1, sizeof *t);

    *out = NULL;
    if (!t || !(t->digest = digest_new())) {
        free(t);
        return err_set(e, ERR_MEMORY, "no memory for tiles");
    }
    t->dir = dir;
    *out = t;
    return 0;
}

void tiles_free(struct tiles *t)
{
    if (!t)
        return;
    trail_reader_free(t->reader);
    digest_free(t->digest);
    free(t);
}

uint64_t tiles_next(const struct tiles *t)
{
    return t->next;
}

/* --- the edge, out of the tiles on disk */

static void begin_anew(struct tiles *t)
{
    t->next = 0;
    t->bundle_partial = 0;
    for (int l = 0; l < TILE_LEVELS; l++)
        t->levels[l].n = t->levels[l].count = t->levels[l].partial = 0;
}

/* Reads bundle n; whether it has these leaves, `count` of them at least. */
static bool bundle_fits(struct tiles *t, struct tile_reader *r, uint64_t n, const uint8_t *leaves,
                        unsigned count, uint8_t bundle[TILE_BUNDLE_BYTES])
{
    uint8_t hashes[TILE_WIDTH][RECORD_HASH_SIZE];
    struct digest_job jobs[TILE_WIDTH];
    unsigned width;

    if (tile_bundle(r, n, bundle, &width, NULL) < 0 || width < count)
        return false;
    for (unsigned i = 0; i < count; i++)
        jobs[i] = (struct digest_job){DIGEST_LEAF, bundle + i * TILE_ENTRY + 2, RECORD_HEADER_SIZE,
                                      hashes[i]};
    digest_many(t->digest, jobs, count);
    return memcmp(hashes, leaves, (size_t)count * RECORD_HASH_SIZE) == 0;
}

/* The state of a tree of `size` leaves, from the tiles of the tree that r reads. */
static int load_edge(struct tiles *t, struct tile_reader *r, uint64_t size)
{
    begin_anew(t);
    for (int l = 0; l < TILE_LEVELS; l++) {
        uint64_t hashes = size >> (8 * l);
        unsigned count = (unsigned)(hashes % TILE_WIDTH), width;
        const uint8_t *from;

        t->levels[l].n = hashes / TILE_WIDTH;
        if (count == 0)
            continue;
        if (tile_hashes(r, (unsigned)l, t->levels[l].n, &from, &width, NULL) < 0 || width < count)
            return ERR_NOT_FOUND;
        memcpy(t->levels[l].hashes, from, (size_t)count * RECORD_HASH_SIZE);
        t->levels[l].count = count;
    }
    if (t->levels[0].count > 0 &&
        !bundle_fits(t, r, size / TILE_WIDTH, t->levels[0].hashes, t->levels[0].count, t->bundle))
        return ERR_TAMPERED;
    t->next = size;
    return 0;
}

static void root_of(struct tiles *t, uint8_t root[RECORD_HASH_SIZE])
{
    bool any = false;

    digest_bytes(t->digest, "", 0, root);
    for (int l = 0; l < TILE_LEVELS; l++) {
        const struct level *level = &t->levels[l];
        unsigned end = level->count;

        /* The full subtrees of the edge, the smallest, rightmost one first. */
        for (unsigned span = 1; end > 0; span *= 2) {
            uint8_t node[RECORD_HASH_SIZE];

            if (!(end & span))
                continue;
            end -= span;
            digest_subtree(t->digest, level->hashes + (size_t)end * RECORD_HASH_SIZE, span, node);
            if (any)
                digest_node(t->digest, node, root, root);
            else
                memcpy(root, node, sizeof node);
            any = true;
        }
    }
}

/* Whether full tile n of level 0 gives its hash in level 1, and its bundle gives it. */
static bool content_is_right(struct tiles *t, struct tile_reader *r, uint64_t n)
{
    uint8_t root[RECORD_HASH_SIZE], parent[RECORD_HASH_SIZE], bundle[TILE_BUNDLE_BYTES];
    const uint8_t *hashes;
    unsigned width;

    if (tile_subtree(r, 8, n, parent, NULL) < 0 || tile_hashes(r, 0, n, &hashes, &width, NULL) < 0)
        return false;
    digest_subtree(t->digest, hashes, TILE_WIDTH, root);
    return memcmp(root, parent, sizeof root) == 0 &&
           bundle_fits(t, r, n, hashes, TILE_WIDTH, bundle);
}

/* The first of the newest full tiles of level 0 that is not whole, or whose parents are not; as
 * many as there are when all is well. */
static uint64_t first_bad(struct tiles *t, struct tile_reader *r, uint64_t size)
{
    uint64_t full = size / TILE_WIDTH, from = full > LOOK_BACK ? full - LOOK_BACK : 0;

    for (uint64_t n = from; n < full; n++) {
        if (!tile_file_is_whole(t->dir, 0, n) || !tile_file_is_whole(t->dir, TILE_ENTRIES, n))
            return n;
        /* Every 256th tile fills one of the level above, and so on. */
        for (int l = 1; l < TILE_LEVELS && ((n + 1) & ((1ull << (8 * l)) - 1)) == 0; l++)
            if (!tile_file_is_whole(t->dir, l, ((n + 1) >> (8 * l)) - 1))
                return n + 1 - (1ull << (8 * l));
        if (full - n <= READ_BACK && !content_is_right(t, r, n))
            return n;
    }
    return full;
}

static int try_load(struct tiles *t, struct tile_reader *r, const struct checkpoint *c)
{
    uint8_t root[RECORD_HASH_SIZE];
    uint64_t full;

    if (load_edge(t, r, c->size) < 0)
        return ERR_NOT_FOUND;
    root_of(t, root);
    if (memcmp(root, c->root, sizeof root) != 0)
        return ERR_TAMPERED;
    full = first_bad(t, r, c->size);
    return full == c->size / TILE_WIDTH ? 0 : load_edge(t, r, full * TILE_WIDTH);
}

uint64_t tiles_load(struct tiles *t, const struct checkpoint *c)
{
    struct tile_reader *r = NULL;

    trail_reader_free(t->reader);
    t->reader = NULL;
    if (!c || tile_reader_new(&r, t->dir, c->size, NULL) < 0 || try_load(t, r, c) < 0)
        begin_anew(t);
    tile_reader_free(r);
    return t->next;
}

/* --- growing */

/* Writes what is full, and takes its hash into the level above. */
static int write_full(struct tiles *t, struct err *e)
{
    for (int l = 0; l < TILE_LEVELS && t->levels[l].count == TILE_WIDTH; l++) {
        struct level *level = &t->levels[l], *above = level + 1;
        int r = 0;

        if (l == 0)
            r = tile_file_write(t->dir, TILE_ENTRIES, level->n, TILE_WIDTH, t->bundle,
                                TILE_BUNDLE_BYTES, e);
        if (r == 0)
            r = tile_file_write(t->dir, l, level->n, TILE_WIDTH, level->hashes, TILE_BYTES, e);
        if (r < 0)
            return r;
        /* 2^64 records would fill the highest level. */
        INVARIANT(l + 1 < TILE_LEVELS && above->count < TILE_WIDTH);
        digest_subtree(t->digest, level->hashes, TILE_WIDTH,
                       above->hashes + (size_t)above->count++ * RECORD_HASH_SIZE);
        if (l == 0)
            tile_file_drop_partials(t->dir, TILE_ENTRIES, level->n);
        tile_file_drop_partials(t->dir, l, level->n);
        level->n++;
        level->count = level->partial = 0;
        if (l == 0)
            t->bundle_partial = 0;
    }
    return 0;
}

/* Hashes entries from..to of the bundle into level 0. */
static void take_leaves(struct tiles *t, unsigned from, unsigned to)
{
    struct digest_job jobs[TILE_WIDTH];

    for (unsigned i = from; i < to; i++)
        jobs[i - from] =
            (struct digest_job){DIGEST_LEAF, t->bundle + i * TILE_ENTRY + 2, RECORD_HEADER_SIZE,
                                t->levels[0].hashes + (size_t)i * RECORD_HASH_SIZE};
    digest_many(t->digest, jobs, to - from);
    t->levels[0].count = to;
}

static void drop_reader(struct tiles *t)
{
    int failed = errno;

    trail_reader_free(t->reader);
    t->reader = NULL;
    errno = failed;
}

static int next_record(struct tiles *t, struct trail_view *v, struct err *e)
{
    enum fault fault;
    uint64_t unfinished;
    int r = trail_reader_next(t->reader, v, &unfinished, &fault, e);

    if (r == 0)
        return err_set(e, ERR_TAMPERED, "the segments end before record %" PRIu64, t->next);
    return r < 0 ? r : 0;
}

static bool no_payload(const void *arg, const struct record *r)
{
    (void)arg;
    (void)r;
    return false;
}

/* Puts the reader before record `next`. */
static int place_reader(struct tiles *t, struct err *e)
{
    struct trail_view v;
    int r = trail_reader_new(&t->reader, t->dir, t->next, e);

    if (r == 0)
        trail_reader_choose(t->reader, no_payload, NULL);
    while (r == 0 && trail_reader_index(t->reader) < t->next)
        r = next_record(t, &v, e);
    if (r < 0)
        drop_reader(t);
    return r;
}

/* Fills the bundle up to record `end`, which is in it. */
static int take_records(struct tiles *t, uint64_t end, struct err *e)
{
    unsigned from = t->levels[0].count, at = from;
    int r = 0;

    while (t->next < end) {
        uint8_t *entry = t->bundle + (size_t)at * TILE_ENTRY;
        struct trail_view v;

        r = next_record(t, &v, e);
        if (r < 0)
            break;
        if (v.r.index != t->next) {
            r = err_set(e, ERR_TAMPERED,
                        "record %" PRIu64 " stands where record %" PRIu64 " should", v.r.index,
                        t->next);
            break;
        }
        wire_store_u16(entry, RECORD_HEADER_SIZE);
        memcpy(entry + 2, v.header, RECORD_HEADER_SIZE);
        at++;
        t->next++;
    }
    take_leaves(t, from, at);
    return r;
}

int tiles_advance(struct tiles *t, uint64_t upto, uint64_t most, struct err *e)
{
    int r = write_full(t, e);

    if (most > 0 && upto > t->next && upto - t->next > most)
        upto = t->next + most;
    if (r == 0 && t->next < upto && !t->reader)
        r = place_reader(t, e);
    while (r == 0 && t->next < upto) {
        uint64_t end = t->next - t->levels[0].count + TILE_WIDTH;

        r = take_records(t, end < upto ? end : upto, e);
        if (r == 0)
            r = write_full(t, e);
    }
    if (r == ERR_TAMPERED)
        drop_reader(t);
    return r;
}

int tiles_finish(struct tiles *t, const struct checkpoint *c, struct err *e)
{
    uint8_t root[RECORD_HASH_SIZE];
    struct level *first = &t->levels[0];
    int r = 0;

    INVARIANT(t->next == c->size);
    root_of(t, root);
    if (memcmp(root, c->root, sizeof root) != 0)
        return err_set(e, ERR_TAMPERED,
                       "the first %" PRIu64 " records in the segments do not have the root that "
                       "was to be signed",
                       c->size);
    if (first->count != t->bundle_partial)
        r = tile_file_write(t->dir, TILE_ENTRIES, first->n, first->count, t->bundle,
                            first->count * TILE_ENTRY, e);
    if (r == 0)
        t->bundle_partial = first->count;
    for (int l = 0; r == 0 && l < TILE_LEVELS; l++) {
        struct level *level = &t->levels[l];

        if (level->count == level->partial)
            continue;
        r = tile_file_write(t->dir, l, level->n, level->count, level->hashes,
                            level->count * RECORD_HASH_SIZE, e);
        if (r == 0)
            level->partial = level->count;
    }
    return r;
}
