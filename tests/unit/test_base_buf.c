/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounded queue, the wire format, errors. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/wire.h"

Test(base_buf, bounds)
{
    struct buf b;
    char big[1000];

    memset(big, 'x', sizeof big);
    buf_init(&b, 1000);
    cr_expect(buf_put(&b, big, 1001) == ERR_FULL);
    cr_expect(buf_len(&b) == 0);
    cr_expect(buf_put(&b, big, 999) == 0);
    cr_expect(buf_put(&b, big, 2) == ERR_FULL);
    cr_expect(buf_put(&b, big, 1) == 0);
    cr_expect(buf_room(&b) == 0);
    cr_expect(buf_put(&b, "", 0) == 0);
    cr_expect(buf_reserve(&b, 1) == NULL);
    buf_consume(&b, 10);
    cr_expect(buf_put(&b, big, 11) == ERR_FULL);
    cr_expect(buf_put(&b, big, 10) == 0);
    cr_expect(b.cap <= 1000);
    buf_clear(&b);
    cr_expect(buf_len(&b) == 0 && buf_room(&b) == 1000);
    buf_clear(NULL);
}

/* Random puts and takes agree with a plain model. */
Test(base_buf, behaves_like_a_queue)
{
    struct buf b;
    unsigned in = 0, out = 0;

    srand(42);
    buf_init(&b, 5000);
    for (int turn = 0; turn < 20000; turn++) {
        size_t n = (size_t)(rand() % 700);
        if (rand() % 2) {
            uint8_t *p = buf_reserve(&b, n);
            cr_assert((p == NULL) == (n > buf_room(&b)));
            if (!p)
                continue;
            for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t)in++;
            buf_commit(&b, n);
        } else {
            if (n > buf_len(&b))
                n = buf_len(&b);
            for (size_t i = 0; i < n; i++)
                cr_assert(buf_head(&b)[i] == (uint8_t)out++);
            buf_consume(&b, n);
        }
        cr_assert(buf_len(&b) == in - out);
        cr_assert(b.cap <= 5000);
    }
    buf_consume(&b, buf_len(&b));
    cr_expect(b.cap <= 4096, "an empty queue gives its memory back");
    buf_wipe(&b);
}

Test(base_buf, memory_is_kept_for_bulk_until_it_is_released)
{
    struct buf b;
    const uint8_t *data;
    uint8_t block[3000] = {0};

    buf_init(&b, 20000);
    buf_keep(&b, 16384);
    for (int i = 0; i < 4; i++)
        cr_assert(buf_put(&b, block, sizeof block) == 0);
    data = b.data;
    buf_release(&b);
    cr_expect(b.data == data, "what is queued is not released");
    buf_consume(&b, buf_len(&b));
    cr_expect(b.data == data && b.cap == 16384);
    cr_assert(buf_put(&b, block, sizeof block) == 0);
    cr_expect(b.data == data, "and used again");
    buf_consume(&b, buf_len(&b));
    buf_release(&b);
    cr_expect(b.data == NULL && b.cap == 0);
    for (int i = 0; i < 6; i++)
        cr_assert(buf_put(&b, block, sizeof block) == 0);
    buf_consume(&b, buf_len(&b));
    cr_expect(b.data == NULL, "more than it is to keep goes at once");
    buf_clear(&b);
    cr_expect(b.max == 20000 && b.keep == 16384);
}

Test(base_buf, a_queue_that_moves_on_moves_its_bytes_seldom)
{
    struct buf b;
    uint8_t block[1000] = {0};
    size_t moved = 0, put = 0;

    buf_init(&b, 1 << 20);
    for (int i = 0; i < 200; i++)
        cr_assert(buf_put(&b, block, sizeof block) == 0);
    for (int i = 0; i < 20000; i++) {
        const uint8_t *data = b.data;
        size_t start = b.start;

        cr_assert(buf_put(&b, block, sizeof block) == 0);
        put += sizeof block;
        if (b.data != data || b.start != start)
            moved += buf_len(&b);
        buf_consume(&b, sizeof block);
    }
    cr_expect(moved <= put, "moved %zu bytes for %zu", moved, put);
    buf_clear(&b);
}

Test(base_buf, text)
{
    struct buf b;
    char *s;
    char longer[2000];

    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    buf_init(&b, 2100);
    cr_expect(buf_printf(&b, "%d-%s", 7, "x") == 0);
    cr_expect(buf_printf(&b, "%s", longer) == 0);
    cr_expect(buf_printf(&b, "%s", longer) == ERR_FULL);
    s = buf_string(&b);
    cr_expect(strncmp(s, "7-xyy", 5) == 0 && strlen(s) == 2002);
    free(s);
    buf_clear(&b);
    s = buf_string(&b);
    cr_expect(strcmp(s, "") == 0);
    free(s);
}

Test(base_wire, round_trip)
{
    uint8_t out[64], raw[3];
    struct wire_writer w;
    struct wire_reader r;
    char text[6];
    struct bytes data;

    wire_writer_init(&w, out, sizeof out);
    wire_put_u8(&w, 0xAB);
    wire_put_u16(&w, 0x1234);
    wire_put_u32(&w, 0xDEADBEEF);
    wire_put_u64(&w, UINT64_C(0x0123456789ABCDEF));
    wire_put_raw(&w, "raw", 3);
    wire_put_str(&w, "hello", 5);
    wire_put_data(&w, "data", 4, 4);
    cr_assert(wire_put_end(&w, NULL) == 0);
    cr_expect(
        memcmp(
            out,
            "\xAB\x12\x34\xDE\xAD\xBE\xEF\x01\x23\x45\x67\x89\xAB\xCD\xEFraw\0\5hello\0\0\0\4data",
            w.len) == 0);

    wire_reader_init(&r, out, w.len);
    cr_expect(wire_get_u8(&r) == 0xAB);
    cr_expect(wire_get_u16(&r) == 0x1234);
    cr_expect(wire_get_u32(&r) == 0xDEADBEEF);
    cr_expect(wire_get_u64(&r) == UINT64_C(0x0123456789ABCDEF));
    wire_get_raw(&r, raw, 3);
    cr_expect(memcmp(raw, "raw", 3) == 0);
    wire_get_str(&r, text, 5);
    cr_expect(strcmp(text, "hello") == 0);
    data = wire_get_data(&r, 4);
    cr_expect(data.len == 4 && memcmp(data.p, "data", 4) == 0);
    cr_expect(wire_get_end(&r, NULL) == 0);
}

Test(base_wire, writer_fails_for_good)
{
    uint8_t out[4];
    struct wire_writer w;
    struct err e = ERR_INIT;

    wire_writer_init(&w, out, sizeof out);
    wire_put_u64(&w, 1);
    wire_put_u8(&w, 1);
    cr_expect(wire_put_end(&w, &e) == ERR_FULL && w.len == 0);
    wire_writer_init(&w, out, sizeof out);
    wire_put_str(&w, "abc", 2);
    cr_expect(wire_put_end(&w, NULL) == ERR_FULL);
    wire_writer_init(&w, out, sizeof out);
    wire_put_data(&w, "abc", 3, 2);
    cr_expect(wire_put_end(&w, NULL) == ERR_FULL);
}

/* Decoded as STR(5) DATA(3) U8. */
Test(base_wire, hostile_bytes)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t len;
        int rc;
    } rows[] = {
        {"good", "\0\2ab\0\0\0\1x\7", 10, 0},
        {"empty members", "\0\0\0\0\0\0\7", 7, 0},
        {"nothing", "", 0, ERR_PROTOCOL},
        {"string cut", "\0\2a", 3, ERR_PROTOCOL},
        {"string over its maximum", "\0\6abcdef\0\0\0\0\7", 13, ERR_PROTOCOL},
        {"string longer than all", "\xff\xff", 2, ERR_PROTOCOL},
        {"NUL in a string", "\0\2a\0\0\0\0\0\7", 9, ERR_PROTOCOL},
        {"data over its maximum", "\0\0\0\0\0\4abcd\7", 11, ERR_PROTOCOL},
        {"data length wraps", "\0\0\xff\xff\xff\xff\7", 7, ERR_PROTOCOL},
        {"last integer missing", "\0\0\0\0\0\0", 6, ERR_PROTOCOL},
        {"left over", "\0\0\0\0\0\0\7\7", 8, ERR_PROTOCOL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        /* from the heap, exactly as long: a read too far is seen by the sanitizer */
        uint8_t *copy = malloc(rows[i].len + 1);
        struct wire_reader r;
        char text[6];

        memcpy(copy, rows[i].bytes, rows[i].len);
        wire_reader_init(&r, copy, rows[i].len);
        wire_get_str(&r, text, 5);
        (void)wire_get_data(&r, 3);
        (void)wire_get_u8(&r);
        cr_expect(wire_get_end(&r, NULL) == rows[i].rc, "%s", rows[i].what);
        cr_expect(memchr(text, 0, sizeof text) != NULL, "%s", rows[i].what);
        free(copy);
    }
}

Test(base_err, context_gathers)
{
    struct err e = ERR_INIT;
    char many[3000];

    cr_expect(err_set(&e, ERR_SYNTAX, "unknown key %s", "\"memebers\"") == ERR_SYNTAX);
    cr_expect(err_wrap(&e, "%s:%d:%d", "ops.yaml", 12, 5) == ERR_SYNTAX);
    cr_expect(strcmp(e.text, "ops.yaml:12:5: unknown key \"memebers\"") == 0);
    cr_expect(err_set(&e, ERR_INPUT, "%s again", e.text) == ERR_INPUT);
    cr_expect(strcmp(e.text, "ops.yaml:12:5: unknown key \"memebers\" again") == 0);
    memset(many, 'z', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    cr_expect(err_set(&e, ERR_INPUT, "%s", many) == ERR_INPUT);
    cr_expect(strlen(e.text) == ERR_TEXT_MAX - 1);
    cr_expect(err_set(NULL, ERR_FULL, "x") == ERR_FULL);
    cr_expect(strcmp(err_token(ERR_TRAIL), "trail") == 0);
    cr_expect(strcmp(err_token((enum err_code)17), "unknown") == 0);
    cr_expect(strcmp(err_token(ERR_OK), "ok") == 0);
    cr_expect(err_text(ERR_USAGE)[0] && err_text(ERR_SYSTEM)[0]);
}
