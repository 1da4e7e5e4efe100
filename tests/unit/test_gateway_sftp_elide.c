/* SPDX-License-Identifier: Apache-2.0
 *
 * The recorded form of SFTP: what it is, that it does not depend on how the stream is cut, and that
 * what is not SFTP stands in it as it came. */
#include <criterion/criterion.h>

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "gateway/sftp_elide.h"
#include "gateway/sftp_wire.h"

#define B(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FORM_MAX     (4 * SFTP_PACKET_MAX)
/* SHA-256("abc"), of nothing */
#define ABC                                                                                        \
    "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"                             \
    "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad"
#define NOTHING                                                                                    \
    "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24"                             \
    "\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55"

#define INIT      "\0\0\0\5\1\0\0\0\3"
#define STAT      "\0\0\0\13\21\0\0\0\1\0\0\0\2/x"
#define WRITE_ABC "\0\0\0\31\6\0\0\0\2\0\0\0\1h\0\0\0\0\0\0\0\7\0\0\0\3"
#define WRITE_0   "\0\0\0\25\6\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0\0"
#define DATA_ABC  "\0\0\0\14\147\0\0\0\2\0\0\0\3"
#define DATA_0    "\0\0\0\11\147\0\0\0\2\0\0\0\0"

static const struct row {
    enum sftp_side side;
    struct bytes stream, form;
} rows[] = {
    {SFTP_REQUESTS, B(""), B("")},
    {SFTP_REQUESTS, B(INIT STAT), B(INIT STAT)},
    {SFTP_REQUESTS, B(INIT WRITE_ABC "abc" STAT), B(INIT WRITE_ABC ABC STAT)},
    {SFTP_REQUESTS, B(WRITE_0 WRITE_0 STAT), B(WRITE_0 NOTHING WRITE_0 NOTHING STAT)},
    /* what follows the data within its packet is recorded; a DATA of the operator is, too */
    {SFTP_REQUESTS, B("\0\0\0\33\6\0\0\0\2\0\0\0\1h\0\0\0\0\0\0\0\7\0\0\0\3abcyz" STAT),
     B("\0\0\0\33\6\0\0\0\2\0\0\0\1h\0\0\0\0\0\0\0\7\0\0\0\3" ABC "yz" STAT)},
    {SFTP_REQUESTS, B(DATA_ABC "abc" STAT), B(DATA_ABC "abc" STAT)},
    /* a stream that ends within a WRITE's data has no SHA-256 for it */
    {SFTP_REQUESTS, B(WRITE_ABC "ab"), B(WRITE_ABC)},
    {SFTP_REQUESTS, B(WRITE_ABC "abc"), B(WRITE_ABC ABC)},
    /* packets of one byte */
    {SFTP_REQUESTS, B("\0\0\0\1\1\0\0\0\1\1" WRITE_0), B("\0\0\0\1\1\0\0\0\1\1" WRITE_0 NOTHING)},
    /* verbatim from there on: no byte; a WRITE too short for an id, a handle, its data; a handle
     * that is too long; a packet that is */
    {SFTP_REQUESTS, B(WRITE_0 "\0\0\0\0" WRITE_ABC "abc"),
     B(WRITE_0 NOTHING "\0\0\0\0" WRITE_ABC "abc")},
    {SFTP_REQUESTS, B("\0\0\0\1\6" WRITE_ABC "abc"), B("\0\0\0\1\6" WRITE_ABC "abc")},
    {SFTP_REQUESTS, B("\0\0\0\10\6\0\0\0\2\0\0\0" WRITE_ABC "abc"),
     B("\0\0\0\10\6\0\0\0\2\0\0\0" WRITE_ABC "abc")},
    {SFTP_REQUESTS, B("\0\0\0\24\6\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0" WRITE_ABC "abc"),
     B("\0\0\0\24\6\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0" WRITE_ABC "abc")},
    {SFTP_REQUESTS, B("\0\0\0\31\6\0\0\0\2\377\377\377\377" WRITE_ABC "abc"),
     B("\0\0\0\31\6\0\0\0\2\377\377\377\377" WRITE_ABC "abc")},
    {SFTP_REQUESTS, B("\0\0\0\31\6\0\0\0\2\0\0\0\1h\0\0\0\0\0\0\0\7\0\0\0\4abc" WRITE_ABC "abc"),
     B("\0\0\0\31\6\0\0\0\2\0\0\0\1h\0\0\0\0\0\0\0\7\0\0\0\4abc" WRITE_ABC "abc")},
    {SFTP_REQUESTS, B("\0\0\0\31\6\0\0\0\2\0\0\0\1h\0\0\0\0\0\0\0\7\377\377\377\377" WRITE_0),
     B("\0\0\0\31\6\0\0\0\2\0\0\0\1h\0\0\0\0\0\0\0\7\377\377\377\377" WRITE_0)},
    {SFTP_REQUESTS, B("\0\0\100\0\6\0\0\0\2\0\0\1\1h" WRITE_0),
     B("\0\0\100\0\6\0\0\0\2\0\0\1\1h" WRITE_0)},
    {SFTP_REQUESTS, B("\0\4\0\1\6" WRITE_0), B("\0\4\0\1\6" WRITE_0)},
    {SFTP_REQUESTS, B("not SFTP at all" WRITE_0), B("not SFTP at all" WRITE_0)},
    /* the target's direction */
    {SFTP_RESPONSES, B(DATA_ABC "abc" DATA_0 STAT), B(DATA_ABC DATA_0 STAT)},
    {SFTP_RESPONSES, B(WRITE_ABC "abc"), B(WRITE_ABC "abc")},
    {SFTP_RESPONSES, B("\0\0\0\16\147\0\0\0\2\0\0\0\3abcyz" STAT),
     B("\0\0\0\16\147\0\0\0\2\0\0\0\3yz" STAT)},
    {SFTP_RESPONSES, B("\0\0\0\14\147\0\0\0\2\0\0\0\4abc" DATA_ABC "abc"),
     B("\0\0\0\14\147\0\0\0\2\0\0\0\4abc" DATA_ABC "abc")},
    {SFTP_RESPONSES, B("\0\0\0\10\147\0\0\0\2\0\0\0" DATA_ABC "abc"),
     B("\0\0\0\10\147\0\0\0\2\0\0\0" DATA_ABC "abc")},
};

struct sink {
    struct buf form;
    size_t most; /* of one piece */
};

static int take(void *arg, const void *p, size_t len)
{
    struct sink *s = arg;

    cr_assert(len > 0 && len <= s->most);
    return buf_put(&s->form, p, len);
}

static EVP_MD *sha256;

static void setup(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    cr_assert_not_null(sha256);
}

static void teardown(void)
{
    EVP_MD_free(sha256);
}

TestSuite(gateway_sftp_elide, .init = setup, .fini = teardown);

static struct sftp_elider *elider(enum sftp_side side)
{
    struct sftp_elider *s = sftp_elider_new(side, side == SFTP_REQUESTS ? sha256 : NULL);

    cr_assert_not_null(s);
    return s;
}

/* In memory of exactly its size, so that an overread is seen. */
static void feed(struct sftp_elider *s, struct sink *sink, const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    size_t before = buf_len(&sink->form);

    cr_assert_not_null(copy);
    if (len)
        memcpy(copy, p, len);
    sink->most = len > 32 ? len : 32;
    cr_assert_eq(sftp_elide(s, copy, len, take, sink), 0);
    cr_assert_leq(buf_len(&sink->form) - before, len + SFTP_ELIDE_GROWTH(len));
    free(copy);
}

/* Cut at two places; step > 0: in pieces of that size. */
static struct sink form_of(const struct row *row, size_t first, size_t second, size_t step)
{
    struct sftp_elider *s = elider(row->side);
    struct sink sink;
    const uint8_t *p = row->stream.p;
    size_t len = row->stream.len;

    buf_init(&sink.form, FORM_MAX);
    if (step > 0) {
        for (size_t i = 0; i < len; i += step)
            feed(s, &sink, p + i, len - i < step ? len - i : step);
    } else {
        feed(s, &sink, p, first);
        feed(s, &sink, p + first, second - first);
        feed(s, &sink, p + second, len - second);
    }
    sftp_elider_free(s);
    return sink;
}

static bool is(struct sink *sink, struct bytes form)
{
    bool same = buf_len(&sink->form) == form.len &&
                (form.len == 0 || memcmp(buf_head(&sink->form), form.p, form.len) == 0);

    buf_clear(&sink->form);
    return same;
}

Test(gateway_sftp_elide, forms)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        const size_t len = rows[i].stream.len;
        struct sink sink = form_of(&rows[i], len, len, 0);

        cr_expect(is(&sink, rows[i].form), "row %zu", i);
    }
}

Test(gateway_sftp_elide, cuts_make_no_difference)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        const size_t len = rows[i].stream.len;

        for (size_t first = 0; first <= len; first++)
            for (size_t second = first; second <= len; second++) {
                struct sink sink = form_of(&rows[i], first, second, 0);

                cr_expect(is(&sink, rows[i].form), "row %zu cut at %zu, %zu", i, first, second);
            }
        for (size_t step = 1; step < 8; step++) {
            struct sink sink = form_of(&rows[i], 0, 0, step);

            cr_expect(is(&sink, rows[i].form), "row %zu by %zu", i, step);
        }
    }
}

/* A count of the form at which both sides' digests are compared is there for both: each byte stands
 * in the form as soon as it crossed. */
Test(gateway_sftp_elide, the_form_of_a_beginning_is_a_beginning)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t len = 0; len <= rows[i].stream.len; len++) {
            const struct row cut = {rows[i].side, {rows[i].stream.p, len}, {0}};
            struct sink whole = form_of(&cut, len, len, 0), bytewise = form_of(&cut, 0, 0, 1);

            cr_expect(buf_len(&whole.form) <= rows[i].form.len &&
                          memcmp(buf_head(&whole.form), rows[i].form.p, buf_len(&whole.form)) == 0,
                      "row %zu, %zu bytes", i, len);
            cr_expect(is(&bytewise, (struct bytes){buf_head(&whole.form), buf_len(&whole.form)}));
            buf_clear(&whole.form);
        }
}

/* Many packets, some of the largest size, the way a fast client sends them. */
Test(gateway_sftp_elide, large)
{
    static const size_t sizes[] = {SFTP_PACKET_MAX - 25, 0, 1, 32768, 261120, 31, 65536};
    static const size_t cuts[] = {65536, 1 << 20, 4097, 13};
    struct row row = {.side = SFTP_REQUESTS};
    struct buf stream, form;
    uint8_t *data = malloc(SFTP_PACKET_MAX);

    buf_init(&stream, 8 * SFTP_PACKET_MAX);
    buf_init(&form, 65536);
    cr_assert_not_null(data);
    for (size_t i = 0; i < SFTP_PACKET_MAX; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    for (uint32_t i = 0; i < COUNT(sizes); i++) {
        struct sftp_request r = {.type = SFTP_WRITE, .id = i, .offset = (uint64_t)i << 40};
        size_t start = buf_len(&stream);
        uint8_t hash[32];

        r.handle = (struct bytes){(const uint8_t *)"\0\0\0\1", 4};
        r.data = (struct bytes){data, sizes[i]};
        cr_assert_eq(sftp_request_put(&r, &stream), 0);
        SHA256(data, sizes[i], hash);
        cr_assert_eq(buf_put(&form, buf_head(&stream) + start, 29), 0);
        cr_assert_eq(buf_put(&form, hash, sizeof hash), 0);
    }
    row.stream = (struct bytes){buf_head(&stream), buf_len(&stream)};
    for (size_t i = 0; i < COUNT(cuts); i++) {
        struct sink sink = form_of(&row, 0, 0, cuts[i]);

        cr_expect(is(&sink, (struct bytes){buf_head(&form), buf_len(&form)}), "by %zu", cuts[i]);
    }
    buf_clear(&stream);
    buf_clear(&form);
    free(data);
}

static int fail_second(void *arg, const void *p, size_t len)
{
    unsigned *calls = arg;

    (void)p;
    (void)len;
    return ++*calls == 2 ? ERR_FULL : 0;
}

Test(gateway_sftp_elide, a_failure_ends_it)
{
    struct sftp_elider *s = elider(SFTP_REQUESTS);
    unsigned calls = 0;

    cr_expect_eq(
        sftp_elide(s, WRITE_ABC "abc" STAT, sizeof(WRITE_ABC "abc" STAT) - 1, fail_second, &calls),
        ERR_FULL);
    cr_expect_eq(calls, 2);
    sftp_elider_free(s);
    sftp_elider_free(NULL);
}

/* --- the stream that goes along */

static int nowhere(void *arg, const void *p, size_t len)
{
    (void)arg, (void)p, (void)len;
    return 0;
}

/* A WRITE of len bytes `fill` at offset, in pieces; returns where its data began. */
static uint64_t write_along(struct sftp_elider *s, uint64_t *position, uint64_t offset,
                            uint8_t fill, uint32_t len, size_t piece)
{
    uint8_t packet[4 + 1 + 4 + 4 + 3 + 8 + 4 + 2000];
    size_t head = sizeof packet - 2000, n = head + len;
    uint64_t at = *position + head;

    memset(packet, 0, sizeof packet);
    wire_store_u32(packet, (uint32_t)(n - 4));
    packet[4] = 6;
    wire_store_u32(packet + 9, 3);
    wire_store_u64(packet + 16, offset);
    wire_store_u32(packet + 24, len);
    memset(packet + head, fill, len);
    for (size_t i = 0; i < n; i += piece)
        cr_assert_eq(sftp_elide(s, packet + i, n - i < piece ? n - i : piece, nowhere, NULL), 0);
    *position += n;
    return at;
}

static void along_is(struct sftp_elider *s, uint64_t at, uint64_t before, const char *runs,
                     uint32_t len)
{
    const struct sftp_along *a = sftp_elided_along(s, at);
    uint8_t want[SHA256_SIZE], got[SHA256_SIZE];
    struct sha256 all;

    cr_assert_not_null(a);
    cr_expect_eq(a->before, before);
    cr_expect_eq(a->len, len);
    cr_assert_eq(sha256_init(&all, EVP_sha256()), 0);
    for (; *runs; runs++)
        for (uint32_t i = 0; i < len; i++)
            sha256_update(&all, runs, 1);
    sha256_value(&all, want);
    sha256_value(&a->after, got);
    cr_expect_arr_eq(got, want, sizeof want);
}

Test(gateway_sftp_elide, what_follows_is_hashed_along)
{
    static const size_t pieces[] = {1, 7, 64, 1000, 65536};
    static const uint32_t lengths[] = {1, 63, 64, 1000, 2000};

    for (size_t k = 0; k < 25 && sha256_pairs(); k++) {
        struct sftp_elider *s = sftp_elider_new(SFTP_REQUESTS, EVP_sha256());
        size_t piece = pieces[k % 5];
        uint32_t n = lengths[k / 5];
        uint64_t position = 0, a, b, c, d, e;

        cr_assert_not_null(s);
        sftp_elide_along(s);
        a = write_along(s, &position, 0, 'a', n, piece);
        b = write_along(s, &position, n, 'b', n, piece);
        (void)write_along(s, &position, 2 * n, 'x', 0, piece); /* no data: no part of it */
        c = write_along(s, &position, 2 * n, 'c', n, piece);
        d = write_along(s, &position, 5000, 'd', n, piece);
        e = write_along(s, &position, 5000 + n, 'e', n, piece);
        along_is(s, a, 0, "a", n);
        along_is(s, a, 0, "a", n);
        cr_expect_null(sftp_elided_along(s, a + 1));
        along_is(s, b, a, "ab", n);
        along_is(s, c, b, "abc", n);
        along_is(s, d, 0, "d", n);
        cr_expect_null(sftp_elided_along(s, c));
        along_is(s, e, d, "de", n);
        sftp_elider_free(s);
    }
}

/* Those that are not asked for make room. */
Test(gateway_sftp_elide, what_went_along_is_bounded)
{
    uint64_t position = 0, first = 0, last = 0;

    if (!sha256_pairs())
        return;
    struct sftp_elider *s = sftp_elider_new(SFTP_REQUESTS, EVP_sha256());
    cr_assert_not_null(s);
    sftp_elide_along(s);
    for (unsigned i = 0; i < 1000; i++) {
        last = write_along(s, &position, i * 10, 'z', 10, 100);
        first = i == 0 ? last : first;
    }
    cr_expect_null(sftp_elided_along(s, first));
    cr_expect_not_null(sftp_elided_along(s, last));
    sftp_elider_free(s);
}
