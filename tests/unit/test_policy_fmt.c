/* SPDX-License-Identifier: Apache-2.0
 *
 * `policy fmt`: one layout, and nothing but layout. Each text is formatted twice: the second time
 * changes nothing. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml_tree.h"
#include "policy/fmt.h"

static int format(const char *text, char **out, struct err *e)
{
    struct buf buf;

    buf_init(&buf, 1u << 20);
    int rc = policy_fmt("f.yaml", text, strlen(text), &buf, e);
    *out = buf_string(&buf);
    buf_clear(&buf);
    return rc;
}

static const struct {
    const char *before, *after;
} layouts[] = {
    {"", ""},
    {"# only a comment", "# only a comment\n"},
    {"\n\n# a\n\n\n\n# b\n", "# a\n\n# b\n"},
    {"a:   1\nb: 2   \n", "a: 1\nb: 2\n"},
    {"a:\n    b: 1\n    c: {d:   2,e: 3}\n", "a:\n  b: 1\n  c: {d: 2, e: 3}\n"},
    {"a:\n- 1\n-   2\n", "a:\n  - 1\n  - 2\n"},
    {"-   a: 1\n    b: 2\n- {c: 3}\n", "- a: 1\n  b: 2\n- {c: 3}\n"},
    {"- - a\n  - b\n- c\n", "- - a\n  - b\n- c\n"},
    {"- { a: 1} # b\n-\n  # c\n  -\n    # d\n    - [ # e\n    1]\n",
     "- {a: 1}  # b\n# c\n# d\n# e\n- - - [1]\n"},
    {"-\n  # a\n  - [ # b\n    c, # d\n    e]\n", "# a\n# b\n- - - c  # d\n    - e\n"},
    {"- - a\n  # in\n-\n  # next\n  - b\n", "- - a\n  # in\n# next\n- - b\n"},
    {"a: [ ]\nb: { }\nc:\n", "a: []\nb: {}\nc:\n"},
    {"a: [x,\n  y]\n", "a: [x, y]\n"},
    {"a: 'it''s'\nb: \"x\\\\y\"\n\"c\": true\n", "a: 'it''s'\nb: \"x\\\\y\"\n\"c\": true\n"},
    {"---\na: 1\n", "---\na: 1\n"},
    {"{a: 1,   b: [c]}\n", "{a: 1, b: [c]}\n"},
    /* comments */
    {"a: 1 # x\n", "a: 1  # x\n"},
    {"a:    # x\n    b: 1\n", "a:  # x\n  b: 1\n"},
    {"a: [x,   # one\n  y]   # two\nb: 1\n", "a:\n  - x  # one\n  - y\n  # two\nb: 1\n"},
    {"a: [   # open\n  x]\n", "a:  # open\n  - x\n"},
    {"a: {b: 1,\n  # before c\n  c: 2}\n", "a:\n  b: 1\n  # before c\n  c: 2\n"},
    {"a:\n    b: 1\n    # in a\n# out\nc: 2\n", "a:\n  b: 1\n  # in a\n# out\nc: 2\n"},
    {"a:\n   # first\n   - 1\n   # second\n   - b: 2\n     # deep\n     c: 3\n",
     "a:\n  # first\n  - 1\n  # second\n  - b: 2\n    # deep\n    c: 3\n"},
    {"a:\n  # alone\n  1\n", "a: 1  # alone\n"},
    {"-\n  # c\n  a: 1\n", "# c\n- a: 1\n"},
    {"a: 1\n# end\n", "a: 1\n# end\n"},
    {"a: x#y\n", "a: x#y\n"},
    {"a: '# no comment'\n", "a: '# no comment'\n"},
    /* empty lines */
    {"- a\n\n- b\n-\n\n  c: 1\n", "- a\n\n- b\n\n- c: 1\n"},
    {"a: 1\n\n\n\nb: 2\n", "a: 1\n\nb: 2\n"},
    {"a: 1\n\n# x\n\nb: 2\n", "a: 1\n\n# x\n\nb: 2\n"},
    /* text blocks */
    {"a: |\n     x\n       y\n\n     z\nb: 1\n", "a: |\n  x\n    y\n\n  z\nb: 1\n"},
    {"a: # c\n  |\n   x\n", "# c\na: |\n  x\n"},
    {"a: |    # c\n   x\n\n\n# d\nb: 1\n", "a: |  # c\n  x\n\n# d\nb: 1\n"},
    {"a: |\n   x \n     \n\nb: 1\n", "a: |\n  x \n    \n\nb: 1\n"}, /* blanks that are text */
    {"a: |+\n    x\n\n\nb: 1\n", "a: |+\n  x\n\n\nb: 1\n"},
    {"- |+\n    x\n-\n\n  -\n", "- |+\n  x\n- -\n"},
    {"a: >+\n   \n \n\nb: 1\n", "a: >+\n\n\n\nb: 1\n"},
    {"a:\n- |3-\n     x\n    y\n", "a:\n  - |2-\n      x\n     y\n"},
    {"a: |\n  x", "a: |-\n  x\n"}, /* without its newline it has none */
    {"a: |+\n  x\n\n  ", "a: |+\n  x\n\n"},
    /* values over several lines */
    {"a: b\n     c\n\n     d # e\nf: 1\n", "a: b\n  c\n\n  d  # e\nf: 1\n"},
    {"a: # c\n      b\n      c\n", "a: b\n  c  # c\n"},
    {"- a: 'b  \n\t c'\n- \"b\n   c\"\n", "- a: 'b\n    c'\n- \"b\n  c\"\n"},
    {"a: \"b \\\n     \\ c\\ \n     d\\\\ \n     e\"\n", "a: \"b \\\n  \\ c\\ \n  d\\\\\n  e\"\n"},
    {"a: [b\n   c, {d: 'e\n f'}]\n", "a:\n  - b\n    c\n  - d: 'e\n      f'\n"},
    {"a: \"b\r\n   c\"\r\n", "a: \"b\n  c\"\n"},
    /* brackets over several lines */
    {"a: [\n  b,\n  c,\n]\nd: {\n  e: f,\n  g: [h,\n    i],\n}\n",
     "a: [b, c]\nd: {e: f, g: [h, i]}\n"},
    {"a: [ # b\n  # c\n]\nd: {\n  # e\n}\n", "# b\na: []  # c\nd: {}  # e\n"},
    {"[ # a\n]\n", "[]  # a\n"},
    {"a: 1\nb:\n\n  # c\n\n  # d\n  2\n", "a: 1\n\n# c\nb: 2  # d\n"},
    {"a: >-\n x\n y\n", "a: >-\n  x\n  y\n"},
    {"- a: |\n     x\n  b: 1\n", "- a: |\n    x\n  b: 1\n"},
    /* what a line cannot hold */
    {"a: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, "
     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, c]\n",
     "a:\n  - aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
     "  - bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n  - c\n"},
    {"a: {\xc3\xa4: 1}  # \xc3\xb6\nb: 2\n", "a: {\xc3\xa4: 1}  # \xc3\xb6\nb: 2\n"},
    {"a: 1\r\nb: # x\r\n  - 2\r\n", "a: 1\nb:  # x\n  - 2\n"},
};

Test(policy_fmt, one_layout)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct err e = ERR_INIT;
        char *once, *twice;
        cr_assert_eq(format(layouts[i].before, &once, &e), 0, "case %zu: %s", i, e.text);
        cr_expect_str_eq(once, layouts[i].after, "case %zu: %s", i, once);
        cr_assert_eq(format(once, &twice, &e), 0, "case %zu: %s", i, e.text);
        cr_expect_str_eq(twice, once, "case %zu is not left alone", i);
        free(once);
        free(twice);
    }
}

static const struct {
    const char *text, *says;
} refused[] = {
    {"? a\n  b\n: c\n", "f.yaml:1:3: found a key over several lines"},
    {"? |\n  b\n: c\n", "f.yaml:1:3: found a key over several lines"},
    {"a: 1\nb: 2 # c\rd: 3\n", "f.yaml:2:9: found a carriage return alone"},
    {"|\n  text\n", "found a value alone"},
    {"a: &x 1\n", "f.yaml:1:4: found an anchor"},
    {"a: 1\na: 2\n", "f.yaml:2:1: found the key"},
    {"a: [\n", "f.yaml:"},
    {"just text\n", "found a value alone"},
    {"\xef\xbb\xbf"
     "a: 1\n",
     "byte order mark"},
};

Test(policy_fmt, what_it_cannot_keep)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct err e = ERR_INIT;
        char *out;
        cr_expect_lt(format(refused[i].text, &out, &e), 0, "case %zu: %s", i, out);
        cr_expect(strstr(e.text, refused[i].says), "case %zu: %s", i, e.text);
        free(out);
    }
}

/* ---- random files ---- */

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void put(struct buf *out, const char *text)
{
    cr_assert_eq(buf_put(out, text, strlen(text)), 0);
}

static void gap(struct buf *out, uint32_t *state, size_t columns)
{
    static const char *const comments[] = {"", "", "", " # c", "   # d e", "\n", "\n\n"};

    put(out, comments[next(state) % 7]);
    put(out, "\n");
    if (next(state) % 6 == 0) {
        for (size_t i = 0; i < columns; i++)
            put(out, " ");
        put(out, "# line\n");
    }
}

static void scalar(struct buf *out, uint32_t *state)
{
    static const char *const scalars[] = {"a",   "\"b c\"", "'d'",     "12", "true",
                                          "e f", "g#h",     "\"# i\"", "~",  "x:y"};

    put(out, scalars[next(state) % 10]);
}

static void blanks(struct buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(out, " ");
}

/* Over several lines, quoted or not, their indentation as it comes. */
static void lines(struct buf *out, uint32_t *state, size_t columns)
{
    static const char *const words[] = {"a", "b c", "d#e", "x:y", "- f", "?"};
    const char *quote = (const char *[]){"", "'", "\""}[next(state) % 3];
    const unsigned count = 2 + next(state) % 3;

    put(out, quote);
    for (unsigned i = 0; i < count; i++) {
        if (i) {
            put(out, *quote == '"' && next(state) % 4 == 0 ? "\\" : "");
            put(out, (const char *[]){"\n", "  \n", "\n\n", "\r\n"}[next(state) % 4]);
            blanks(out, columns + 1 + next(state) % 5);
        }
        put(out, i ? words[next(state) % 6] : "w");
    }
    put(out, quote);
}

/* | and > with what may follow them; the last line may be empty. */
static void text_block(struct buf *out, uint32_t *state, size_t columns)
{
    const unsigned count = next(state) % 5, size = next(state) % 3;

    put(out, next(state) % 2 ? "|" : ">");
    if (!size)
        put(out, "2");
    put(out, (const char *[]){"", "-", "+"}[next(state) % 3]);
    put(out, next(state) % 3 ? "" : "  # c ");
    for (unsigned i = 0; i < count; i++) {
        put(out, "\n");
        if (i && next(state) % 3 == 0)
            continue;
        blanks(out, columns + 1 + size + (size ? 0 : 1) + (i || !size ? next(state) % 3 : 0));
        put(out, (const char *[]){"x", "y # z", "- w  ", "  v: u"}[next(state) % 4]);
    }
}

static void flow(struct buf *out, uint32_t *state, int depth)
{
    const bool map = next(state) % 2;
    const unsigned count = next(state) % 4;

    put(out, map ? "{" : "[");
    for (unsigned i = 0; i < count; i++) {
        put(out, i ? "," : "");
        put(out, next(state) % 4 ? " " : next(state) % 2 ? "\n            " : " # in\n        ");
        if (map)
            cr_assert_eq(buf_printf(out, "k%u: ", i), 0);
        if (depth && next(state) % 3 == 0)
            flow(out, state, depth - 1);
        else if (next(state) % 8 == 0)
            lines(out, state, 4);
        else
            scalar(out, state);
    }
    put(out, map ? "}" : "]");
}

static void block(struct buf *out, uint32_t *state, size_t columns, int depth)
{
    const bool map = next(state) % 2;
    const unsigned count = 1 + next(state) % 4;

    for (unsigned i = 0; i < count; i++) {
        for (size_t k = 0; k < columns; k++)
            put(out, " ");
        if (map)
            cr_assert_eq(buf_printf(out, "k%u:", i), 0);
        else
            put(out, "-");
        const unsigned what = next(state) % 9;
        if (depth && what < 2) {
            gap(out, state, columns + 3);
            block(out, state, columns + 1 + next(state) % 4, depth - 1);
            continue;
        }
        put(out, next(state) % 2 ? " " : "   ");
        if (what == 2)
            flow(out, state, 2);
        else if (what == 6)
            lines(out, state, columns);
        else if (what == 7)
            text_block(out, state, columns);
        else if (what != 3)
            scalar(out, state);
        if (what == 7) {
            put(out, next(state) % 3 ? "\n" : "\n\n\n");
            continue;
        }
        gap(out, state, columns);
    }
}

Test(policy_fmt, random_files_are_left_alone_the_second_time)
{
    uint32_t state = 4711;
    size_t formatted = 0;

    for (unsigned i = 0; i < 3000; i++) {
        struct buf text;
        struct err e = ERR_INIT;
        char *once, *twice;
        buf_init(&text, 1u << 20);
        block(&text, &state, 0, 3);
        char *before = buf_string(&text);
        /* Some are no YAML. */
        struct yaml_doc *doc = yaml_parse("f.yaml", before, strlen(before), NULL);
        int rc = format(before, &once, &e);
        cr_assert_eq(doc != NULL, rc == 0, "%s: %s", e.text, before);
        if (rc == 0) {
            cr_assert_eq(format(once, &twice, &e), 0, "%s\n----\n%s\n%s", before, once, e.text);
            cr_assert_str_eq(twice, once, "%s\n----\n%s\n----\n%s", before, once, twice);
            free(twice);
            formatted++;
        }
        yaml_doc_free(doc);
        free(before);
        free(once);
        buf_clear(&text);
    }
    cr_assert_gt(formatted, 2000);
}
