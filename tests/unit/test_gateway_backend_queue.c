/* SPDX-License-Identifier: Apache-2.0
 *
 * The segments that a backend's bytes wait in (gateway/backend_queue.h). */
#include <criterion/criterion.h>
#include <string.h>

#include "gateway/backend_queue.h"
#include "gateway/messages.h"

static uint8_t bytes[3 * RELAY_CHUNK];

static unsigned count(const struct segment_queue *q)
{
    unsigned n = 0;
    for (const struct segment *s = q->head; s != NULL; s = s->next)
        n++;
    return n;
}

Test(backend_queue, gathers_what_has_no_record_yet)
{
    static const struct {
        const char *name;
        size_t first, second;
        bool record_between;
        enum segment_kind second_kind;
        unsigned segments;
    } rows[] = {
        {"small ones share a segment", 1, 1, false, SEGMENT_OUTPUT, 1},
        {"a record closes a segment", 1, 1, true, SEGMENT_OUTPUT, 2},
        {"another stream begins a segment", 1, 1, false, SEGMENT_STDERR, 2},
        {"a burst after a keystroke: whole chunks", 1, RELAY_CHUNK, false, SEGMENT_OUTPUT, 2},
        {"two chunks and a byte", 2 * RELAY_CHUNK, 1, false, SEGMENT_OUTPUT, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct segment_queue q = {0};
        cr_assert_eq(segments_put(&q, SEGMENT_OUTPUT, bytes, rows[i].first), 0);
        if (rows[i].record_between)
            segments_recorded(&q, 1);
        cr_assert_eq(segments_put(&q, rows[i].second_kind, bytes, rows[i].second), 0);
        cr_expect_eq(count(&q), rows[i].segments, "%s: %u", rows[i].name, count(&q));
        cr_expect_eq(q.bytes, rows[i].first + rows[i].second, "%s", rows[i].name);
        segments_clear(&q);
        cr_expect(q.head == NULL && q.tail == NULL && q.unrecorded == NULL && q.bytes == 0 &&
                      q.recorded == 0,
                  "%s: empty again", rows[i].name);
    }
}

Test(backend_queue, passes_bytes_on_in_order)
{
    struct segment_queue q = {0};
    uint8_t out[sizeof bytes];
    size_t n = 0;
    uint64_t record = 0;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    for (size_t at = 0, step = 1; at < sizeof bytes; at += step, step = step * 3 % 5003 + 1) {
        size_t len = step < sizeof bytes - at ? step : sizeof bytes - at;
        cr_assert_eq(segments_put(&q, SEGMENT_INPUT, bytes + at, len), 0);
        if (at % 3 == 0)
            while (q.unrecorded != NULL)
                segments_recorded(&q, ++record);
    }
    while (q.unrecorded != NULL)
        segments_recorded(&q, ++record);
    while (q.head != NULL) {
        size_t part = (q.head->len - q.head->done + 1) / 2;
        memcpy(out + n, q.head->bytes + q.head->done, part);
        n += part;
        segments_pass(&q, part);
    }
    cr_expect_eq(n, sizeof bytes);
    cr_expect_eq(memcmp(out, bytes, sizeof bytes), 0);
    cr_expect_eq(q.bytes, 0);
    cr_expect_eq(q.recorded, 0);
}

Test(backend_queue, marks_keep_their_place)
{
    struct segment_queue q = {0};

    cr_assert_eq(segments_put(&q, SEGMENT_OUTPUT, "a", 1), 0);
    segments_recorded(&q, 1);
    cr_assert_eq(segments_mark(&q, SEGMENT_EXIT, 2), 0);
    cr_assert_eq(segments_put(&q, SEGMENT_OUTPUT, "b", 1), 0);
    segments_recorded(&q, 3);
    cr_assert_eq(segments_mark(&q, SEGMENT_CLOSE, 4), 0);
    static const enum segment_kind order[] = {SEGMENT_OUTPUT, SEGMENT_EXIT, SEGMENT_OUTPUT,
                                              SEGMENT_CLOSE};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_not_null(q.head);
        cr_expect_eq(q.head->kind, order[i]);
        cr_expect_eq(q.head->record, i + 1);
        segments_pass(&q, q.head->len);
    }
    cr_expect_null(q.head);
}
