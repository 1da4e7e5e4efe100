/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a recording reaches the reviewer's terminal. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "audit/term_filter.h"

static const struct {
    const char *in, *draw, *text; /* text NULL: not looked at */
} cases[] = {
    {"plain", "plain", "plain"},
    {"a\r\nb\tc", "a\r\nb\tc", "a\nb\tc"},
    {"50%\r100%\r\n", "50%\r100%\r\n", "50%\n100%\n"},
    {"a\bb", "a\bb", "ab"},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
     "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"\xff"
     "a",
     "\xef\xbf\xbd"
     "a",
     "\xef\xbf\xbd"
     "a"},
    {"\xc3"
     "a",
     "\xef\xbf\xbd"
     "a",
     NULL},
    {"\xed\xa0\x80", "\xef\xbf\xbd", NULL},         /* a surrogate */
    {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd", NULL}, /* overlong */
    /* drawing */
    {"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m", "red"},
    {"\x1b[m", "\x1b[m", ""},
    {"\x1b[38;5;200mx", "\x1b[38;5;200mx", "x"},
    {"\x1b[38:2:1:2:3mx", "\x1b[38:2:1:2:3mx", "x"},
    {"\x1b[2J\x1b[H", "\x1b[2J\x1b[H", ""},
    {"\x1b[1;24r", "\x1b[1;24r", ""},
    {"\x1b[?1049h\x1b[?25l", "\x1b[?1049h\x1b[?25l", ""},
    {"\x1b"
     "7\x1b"
     "8\x1bM\x1b(0\x1b(B",
     "\x1b"
     "7\x1b"
     "8\x1bM\x1b(0\x1b(B",
     ""},
    {"\x1b[!p", "\x1b[!p", ""},
    {"\x1b[999999999Cx", "\x1b[9999Cx", "x"},
    {"\x1b[3\n1mx", "\n\x1b[31mx", NULL}, /* controls act inside a sequence */
    {"\xc2\x9b"
     "31mx",
     "\x1b[31mx", "x"}, /* CSI in one character: written in the safe form */
    /* everything else is left out */
    {"a\x1b]0;title\x07"
     "b",
     "ab", "ab"},
    {"a\x1b]52;c;ZXZpbA==\x1b\\b", "ab", "ab"},
    {"a\x1b]8;;http://x\x1b\\b\x1b]8;;\x1b\\", "ab", "ab"},
    {"a\x1bP$q\"p\x1b\\b", "ab", "ab"}, /* DECRQSS */
    {"a\x1bP1$r0m\x1b\\b", "ab", "ab"},
    {"a\x1b_apc\x1b\\b\x1b^pm\x1b\\c\x1bXsos\x1b\\d", "abcd", "abcd"},
    {"a\xc2\x9d"
     "0;t\x07"
     "b",
     "ab", "ab"},
    {"a\xc2\x90q\x1b\\b", "ab", "ab"},
    {"a\x1b[cb\x1b[>cc\x1b[=c", "abc", "abc"}, /* device attributes */
    {"a\x1b[6nb\x1b[?6n", "ab", "ab"},         /* status reports */
    {"a\x1b[21tb\x1b[8;50;200t", "ab", "ab"},  /* window operations */
    {"a\x1b[?2004hb\x1b[?1000hc\x1b[?1;25hd", "abcd", "abcd"},
    {"a\x1b[?1$pb\x1b[2 qc", "abc", "abc"},
    {"a\x1b[>4;1mb", "ab", "ab"}, /* keyboard modes, not colours */
    {"a\x1b[1;2;3;4;5Tb", "ab", "ab"},
    {"a\x1bZb\x1b=c\x1b>d\x1b%Ge", "abcde", "abcde"},
    {"a\x05"
     "b\x07"
     "c",
     "abc", "abc"},
    {"\x1b[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17mx", "x", "x"},
    {"\x1b[3?1mx", "x", "x"},
    {"\x1b[ 3mx", "x", "x"},
    /* broken off */
    {"\x1b[31", "", ""},
    {"\x1b]0;never ended", "", ""},
    {"\x1b]0;t\x18x", "x", "x"},
    {"\x1b]0;t\x1b[31mx", "\x1b[31mx", "x"}, /* ESC ends the string and begins a sequence */
    {"a\x1b]0;t\xc2\x9c"
     "b",
     "ab", "ab"}, /* the string's end in one character */
    {"a\x1b]0;t\x9c"
     "b\xe2\x9c\x9c"
     "c\x07"
     "d",
     "ad", "ad"},
    {"\x1b\x1b[31mx", "\x1b[31mx", "x"},
    {"\x1b[\x1b[31mx", "\x1b[31mx", "x"},
    {"\x1b\xc3\xa9", "\xc3\xa9", "\xc3\xa9"},
};

static char *filtered(const char *in, enum term_mode mode, size_t step)
{
    struct term_filter f;
    struct buf out;
    char *text;
    size_t len = strlen(in);

    term_filter_init(&f, mode);
    buf_init(&out, 4096);
    for (size_t i = 0; i < len; i += step)
        cr_assert_eq(term_filter_put(&f, in + i, len - i < step ? len - i : step, &out), 0);
    text = buf_string(&out);
    buf_clear(&out);
    return text ? text : calloc(1, 1);
}

Test(term_filter, table)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step < 100; step += 98) { /* byte by byte, and at once */
            char *draw = filtered(cases[i].in, TERM_DRAW, step);
            char *text = filtered(cases[i].in, TERM_TEXT, step);

            cr_expect_str_eq(draw, cases[i].draw, "case %zu, step %zu", i, step);
            if (cases[i].text)
                cr_expect_str_eq(text, cases[i].text, "case %zu as text, step %zu", i, step);
            free(draw);
            free(text);
        }
    }
}

/* Of random bytes that are mostly sequences, nothing passes that is not in the tables. */
Test(term_filter, no_introducer_passes_by_itself)
{
    static const char alphabet[] =
        "\x1b\x1b\x1b[[]P_^X\\\x07;:?>=!$ 0123456789mhlcntqpABJK\x18\n\xc2\x9b\x9d\x90";
    unsigned seed = 1;

    for (int round = 0; round < 2000; round++) {
        char in[65], *out;

        for (size_t i = 0; i < 64; i++) {
            seed = seed * 1103515245u + 12345u;
            in[i] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        in[64] = '\0';
        out = filtered(in, TERM_TEXT, 7);
        cr_expect_null(strchr(out, 0x1b));
        free(out);
        out = filtered(in, TERM_DRAW, 7);
        for (char *at = strchr(out, 0x1b); at; at = strchr(at + 1, 0x1b)) {
            cr_expect_null(strchr("]P_^X\\", at[1]), "round %d", round);
            if (at[1] == '[') {
                char final = at[2 + strcspn(at + 2, "@ABCDEFGHIJKLMPSTXZ`abdefgmrsuhlpcntq")];

                cr_expect_null(final ? strchr("cntq", final) : NULL, "round %d: %c", round, final);
            }
        }
        free(out);
    }
}
