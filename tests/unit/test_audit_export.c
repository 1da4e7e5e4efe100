/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "audit/text_index.h"
#include "audit/utf8_stream.h"
#include "audit/when.h"

/* However the bytes are cut into pieces, the text is the same. */
Test(audit_export, utf8_over_pieces)
{
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"plain", "plain"},
        {"h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80!",
         "h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80!"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xe2\x82"
         "x",
         "\xef\xbf\xbd\xef\xbf\xbdx"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80.", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd."},
        {"end\xf0\x9f", "end\xef\xbf\xbd\xef\xbf\xbd"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 8; piece++) {
            size_t len = strlen(cases[i].bytes);
            struct utf8_stream s = {.have = 0};
            struct buf out;
            char *text;

            buf_init(&out, 256);
            for (size_t at = 0; at < len; at += piece)
                cr_assert_eq(utf8_stream_put(&s, cases[i].bytes + at,
                                             len - at < piece ? len - at : piece, &out),
                             0);
            cr_assert_eq(utf8_stream_end(&s, &out), 0);
            text = buf_string(&out);
            cr_assert_str_eq(text, cases[i].text, "case %zu in pieces of %zu", i, piece);
            free(text);
            buf_clear(&out);
        }
}

Test(audit_export, json_text)
{
    struct buf out;
    char *text;

    buf_init(&out, 256);
    cr_assert_eq(json_text_put(&out, "a\"b\\c\n\x1b\x7f\xc2\x9b\xff", 11), 0);
    text = buf_string(&out);
    cr_assert_str_eq(text, "a\\\"b\\\\c\\n\\u001b\\u007f\\u009b\xef\xbf\xbd");
    free(text);
    buf_clear(&out);
}

Test(audit_export, times)
{
    static const uint64_t s = 1000000000, now = 1700000000ull * 1000000000;
    static const struct {
        const char *text;
        uint64_t ns; /* 1: refused */
    } cases[] = {
        {"2026-03-02", 1772409600ull * s},
        {"2026-03-02T10:00", 1772445600ull * s},
        {"2026-03-02 10:00:30", 1772445630ull * s},
        {"2026-03-02T10:00:30Z", 1772445630ull * s},
        {"90m", now - 5400 * s},
        {"3d", now - 259200 * s},
        {"", 1},
        {"yesterday", 1},
        {"2026-13-01", 1},
        {"-5m", 1},
        {"5", 1},
        {"2026-03-02x", 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        uint64_t ns = 1;
        int r = when_parse(cases[i].text, now, &ns, &e);

        cr_assert_eq(r == 0, cases[i].ns != 1, "%s", cases[i].text);
        cr_assert_eq(ns, cases[i].ns, "%s", cases[i].text);
    }
}

Test(audit_export, words)
{
    char *words[] = {"/etc/passwd", "quo\"te", "pre*", "*"};
    char *query = text_query_words(words, 4);

    cr_assert_str_eq(query, "\"/etc/passwd\" \"quo\"\"te\" \"pre\"* \"*\"");
    free(query);
}
