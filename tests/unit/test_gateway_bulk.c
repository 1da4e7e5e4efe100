/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams that are passed on and not kept: their blocks, digests and places in the queue
 * (gateway/backend_bulk.h). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/backend_bulk.h"
#include "gateway/messages.h"

#define STREAM (3u * BULK_BLOCK + 12345u)

static uint8_t *stream(void)
{
    uint8_t *p = malloc(STREAM);

    cr_assert_not_null(p);
    for (size_t i = 0; i < STREAM; i++)
        p[i] = (uint8_t)(i * 31 + i / 251 + i / 65521);
    return p;
}

static void sha256(const uint8_t *p, size_t len, uint8_t out[BULK_SHA256])
{
    cr_assert_eq(EVP_Digest(p, len, out, NULL, EVP_sha256(), NULL), 1);
}

/* What a record says is what its bytes are. */
static void check(const struct bulk_digest *d, const uint8_t *all, bool total)
{
    uint8_t want[BULK_SHA256];

    sha256(all + d->from, d->bytes, want);
    cr_expect_arr_eq(d->sha256, want, sizeof want, "the block at %llu, %u bytes",
                     (unsigned long long)d->from, d->bytes);
    sha256(all, d->from + d->bytes, want);
    if (total)
        cr_expect_arr_eq(d->total, want, sizeof want, "all up to %llu",
                         (unsigned long long)d->from + d->bytes);
}

static void record_kept(struct segment_queue *q, uint64_t *records)
{
    while (q->unrecorded != NULL && !segment_is_bulk(q->unrecorded->kind))
        segments_recorded(q, ++*records);
}

/* All that is in hand. */
static void record_all(struct bulk *k, struct segment_queue *q, const uint8_t *all, bool total,
                       uint64_t *records, uint64_t *end)
{
    record_kept(q, records);
    while (bulk_in_hand(q) > 0) {
        struct bulk_digest d;
        size_t n = 0;

        bulk_digest(k, q, &d, &n);
        check(&d, all, total);
        cr_expect_eq((d.from - k->after) % BULK_BLOCK, 0);
        cr_expect_leq(d.bytes, BULK_BLOCK);
        cr_expect_eq(d.from + d.bytes, *end + n, "no byte is passed over");
        *end = d.from + d.bytes;
        bulk_recorded(k, q, n, ++*records);
        record_kept(q, records);
    }
    cr_expect(q->unrecorded == NULL);
}

static uint64_t pass_all(struct segment_queue *q, const uint8_t *all, uint64_t at, uint64_t *last)
{
    while (q->head != NULL) {
        size_t n = q->head->len - q->head->done;

        cr_expect_geq(q->head->record, *last, "records ascend");
        *last = q->head->record;
        cr_assert_eq(memcmp(q->head->bytes + q->head->done, all + at, n), 0, "byte-exact");
        at += n;
        segments_pass(q, n);
    }
    return at;
}

Test(bulk, every_byte_is_in_a_digest_of_its_block)
{
    static const struct {
        const char *name;
        size_t step, record_every;
        uint64_t after;
        bool total;
    } rows[] = {
        {"blocks at once", STREAM, STREAM, 0, false},
        {"pieces of a packet", 32768, 5 * 32768, 0, false},
        {"odd pieces, a record each", 40961, 1, 0, true},
        {"small pieces, a record each", 997, 1, 100000, false},
        {"a switch within a piece", 30000, 70000, 1000001, false},
        {"a switch at a piece's end", 32768, 1, BULK_BLOCK, false},
        {"input", 65536, 3 * 65536, 0, true},
        {"a switch that never comes", 65536, 65536, STREAM, false},
        {"a switch before the last byte", 65536, 65536, STREAM - 1, false},
    };
    uint8_t *all = stream();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bulk k = {.on = false};
        struct segment_queue q = {0};
        uint64_t records = 0, end = rows[i].after, at = 0, last = 0;
        size_t since = 0;

        cr_assert_eq(bulk_begin(&k, rows[i].after, rows[i].total), 0);
        for (size_t p = 0, n; p < STREAM; p += n) {
            n = STREAM - p < rows[i].step ? STREAM - p : rows[i].step;
            cr_assert_eq(bulk_put(&k, &q, SEGMENT_OUTPUT, SEGMENT_OUTPUT_BULK, all + p, n), 0);
            since += n;
            if (since < rows[i].record_every && p + n < STREAM)
                continue;
            since = 0;
            record_all(&k, &q, all, rows[i].total, &records, &end);
            at = pass_all(&q, all, at, &last);
        }
        cr_expect_eq(at, STREAM, "%s", rows[i].name);
        cr_expect_eq(end, STREAM, "%s: %llu in digests", rows[i].name, (unsigned long long)end);
        cr_expect_eq(k.taken, STREAM);
        segments_clear(&q);
        bulk_clear(&k);
    }
    free(all);
}

/* A segment that a block ends in waits for the record that covers its last byte; what is put behind
 * it in the meantime is in a later digest. */
Test(bulk, a_segment_over_a_blocks_end)
{
    struct bulk k = {.on = false};
    struct segment_queue q = {0};
    uint8_t *all = stream();
    struct bulk_digest d;
    size_t n = 0;
    const size_t first = BULK_BLOCK - 100, then = 300;

    cr_assert_eq(bulk_begin(&k, 0, false), 0);
    cr_assert_eq(bulk_put(&k, &q, SEGMENT_OUTPUT, SEGMENT_OUTPUT_BULK, all, first), 0);
    bulk_digest(&k, &q, &d, &n);
    bulk_recorded(&k, &q, n, 1);
    cr_expect_eq(bulk_in_hand(&q), 0);
    cr_assert_eq(bulk_put(&k, &q, SEGMENT_OUTPUT, SEGMENT_OUTPUT_BULK, all + first, then), 0);
    bulk_digest(&k, &q, &d, &n);
    cr_expect_eq(n, 100);
    cr_expect_eq(d.bytes, BULK_BLOCK);
    bulk_recorded(&k, &q, n, 2);
    cr_expect_eq(bulk_in_hand(&q), 200);
    cr_assert_not_null(q.unrecorded, "its last bytes have no record");
    cr_assert_eq(bulk_put(&k, &q, SEGMENT_OUTPUT, SEGMENT_OUTPUT_BULK, all + first + then, 50), 0);
    bulk_digest(&k, &q, &d, &n);
    cr_expect_eq(n, 250);
    cr_expect_eq(d.from, BULK_BLOCK);
    check(&d, all, false);
    bulk_recorded(&k, &q, n, 3);
    cr_expect(q.unrecorded == NULL);
    segments_clear(&q);
    bulk_clear(&k);
    free(all);
}

Test(bulk, other_segments_bound_what_is_in_hand)
{
    struct bulk k = {.on = false};
    struct segment_queue q = {0};
    uint8_t *all = stream();
    struct bulk_digest d;
    size_t n = 0;

    cr_assert_eq(bulk_begin(&k, 10, false), 0);
    cr_assert_eq(bulk_put(&k, &q, SEGMENT_OUTPUT, SEGMENT_OUTPUT_BULK, all, 30), 0);
    cr_expect_eq(bulk_in_hand(&q), 0, "what is kept comes first");
    segments_recorded(&q, 1);
    cr_expect_eq(bulk_in_hand(&q), 20);
    cr_assert_eq(segments_put(&q, SEGMENT_STDERR, "error", 5), 0);
    cr_assert_eq(bulk_put(&k, &q, SEGMENT_OUTPUT, SEGMENT_OUTPUT_BULK, all + 30, 10), 0);
    cr_expect_eq(bulk_in_hand(&q), 20, "up to the other stream");
    bulk_digest(&k, &q, &d, &n);
    check(&d, all, false);
    bulk_recorded(&k, &q, n, 2);
    cr_expect_eq(q.unrecorded->kind, SEGMENT_STDERR);
    segments_recorded(&q, 3);
    bulk_digest(&k, &q, &d, &n);
    cr_expect_eq(d.from, 10);
    cr_expect_eq(d.bytes, 30);
    check(&d, all, false);
    segments_clear(&q);
    bulk_clear(&k);
    free(all);
}

/* A record of input ends where a frame ended: there attestations are compared. */
Test(bulk, input_is_cut_between_frames)
{
    struct bulk k = {.on = false};
    struct segment_queue q = {0};
    uint8_t *all = stream();

    cr_assert_eq(bulk_begin(&k, 0, true), 0);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(bulk_put(&k, &q, SEGMENT_INPUT, SEGMENT_INPUT_BULK, all, 40000), 0);
    for (const struct segment *s = q.head; s != NULL; s = s->next)
        cr_expect_eq(s->len % 40000, 0, "%u", s->len);
    segments_clear(&q);
    bulk_clear(&k);
    free(all);
}
