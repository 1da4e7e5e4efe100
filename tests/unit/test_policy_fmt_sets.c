/* SPDX-License-Identifier: Apache-2.0
 *
 * `policy fmt` over whole sets: random ones and those that are shipped, written in as many lines as
 * people write them in, are the same policy before and after, by `policy diff` of every decision.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/cli.h"
#include "policy/bundle.h"
#include "policy/diff.h"
#include "policy/fmt.h"
#include "policy/policy_tests.h"
#include "tests/unit/random_set.h"

#define SETS 60
#define NOW  UINT64_C(1772409600)

static void put(struct buf *out, const char *text, size_t len)
{
    cr_assert_eq(buf_put(out, text, len), 0);
}

/* The quote that ends a text, or NULL: it is none, or a key's, which has to stay on a line. */
static const char *quote_end(const char *at, const char *end)
{
    const char quote = *at;

    for (at++; at < end && *at != quote; at++) {
        if (*at == '\\')
            at++;
    }
    return at + 1 < end && at[1] != ':' ? at : NULL;
}

/* The same file with line breaks, comments and empty lines wherever YAML has nothing against it:
 * within brackets, after descriptions' words, between the words of what is quoted. */
static void spread(const char *text, size_t len, uint32_t *state, struct buf *out)
{
    static const char *const gaps[] = {
        " ", " ", "\n                    ", "   # of, [it\n                  ",
        "\n\n\n                      # alone\n                       "};
    const char *end = text + len, *until = NULL;
    bool description = false;
    int depth = 0;

    for (const char *at = text; at < end; at++) {
        const bool line_start = at == text || at[-1] == '\n';
        if (line_start)
            description = end - at > 13 && memcmp(at, "description: ", 13) == 0 && at[13] != '"';
        if (*at == '#' && !until && (line_start || at[-1] == ' ')) { /* a comment stays */
            const char *stop = memchr(at, '\n', (size_t)(end - at));
            stop = stop ? stop : end - 1;
            put(out, at, (size_t)(stop + 1 - at));
            at = stop;
            continue;
        }
        if (at == until)
            until = NULL;
        else if (!until && (*at == '"' || *at == '\'') && strchr(" [{,:\n", at[-(at > text)]))
            until = quote_end(at, end);
        const bool words = *at == ' ' && at > text && at + 1 < end && !strchr(" :-", at[-1]) &&
                           !strchr(" #\n", at[1]);
        if (words && (until || description) && random_next(state) % 3 == 0) {
            put(out, "  \n                    ", 23);
            continue;
        }
        put(out, at, 1);
        if (until)
            continue;
        depth += (*at == '[' || *at == '{') - (*at == ']' || *at == '}');
        if (depth && strchr("[{,", *at) && at + 1 < end && at[1] != '\n') {
            const char *gap = gaps[random_next(state) % 5];
            put(out, gap, strlen(gap));
        }
    }
}

static void add(struct buf *block, const char *name, const void *bytes, size_t len)
{
    uint8_t head[6];

    wire_store_u16(head, (uint16_t)strlen(name));
    put(block, (const char *)head, 2);
    put(block, name, strlen(name));
    wire_store_u32(head, (uint32_t)len);
    put(block, (const char *)head, 4);
    put(block, bytes, len);
}

enum how { SPREAD, FORMAT };

static void rewrite(const struct buf *block, enum how how, uint32_t *state, struct buf *out)
{
    struct bundle_file file;
    struct err e = ERR_INIT;
    struct wire_reader r;

    wire_reader_init(&r, buf_head(block), buf_len(block));
    buf_init(out, BUNDLE_MAX);
    while (bundle_next(&r, &file, &e) > 0) {
        struct buf text;
        buf_init(&text, 1u << 22);
        if (bundle_is_zone(file.name))
            put(&text, (const char *)file.bytes.p, file.bytes.len);
        else if (how == SPREAD)
            spread((const char *)file.bytes.p, file.bytes.len, state, &text);
        else
            cr_assert_eq(policy_fmt(file.name, file.bytes.p, file.bytes.len, &text, &e), 0,
                         "%s\n%.*s", e.text, (int)file.bytes.len, (const char *)file.bytes.p);
        add(out, file.name, buf_head(&text), buf_len(&text));
        buf_clear(&text);
    }
}

static int ignore(void *arg, const struct policy_test_result *r)
{
    (void)arg;
    (void)r;
    return 0;
}

static size_t tests_passed(const struct policy *p, const struct buf *block)
{
    struct err e = ERR_INIT;
    size_t run = 0, failed = 0;

    cr_assert_eq(
        policy_tests_run(p, buf_head(block), buf_len(block), ignore, NULL, &run, &failed, &e), 0,
        "%s", e.text);
    return run - failed;
}

/* Both blocks are one policy. */
static void expect_same(const struct buf *before, const struct buf *after, const char *what)
{
    struct err e = ERR_INIT;
    struct policy *old = policy_load(buf_head(before), buf_len(before), NULL, &e);
    struct policy *new = policy_load(buf_head(after), buf_len(after), NULL, &e);
    struct diff d;

    cr_assert(old && new, "%s: %s", what, e.text);
    const struct diff_input a = {old, buf_head(before), buf_len(before)},
                            b = {new, buf_head(after), buf_len(after)};
    cr_assert_eq(policy_diff(&a, &b, NOW, DIFF_EXACT, &d, &e), 0, "%s", e.text);
    cr_expect_eq(d.group_count, 0, "%s: %s", what,
                 d.group_count ? d.groups[0].change->items[0].subject : "");
    for (size_t i = 0; i < d.identity_count; i++)
        cr_expect(d.identities[i].kind == DIFF_PACK || d.identities[i].kind == DIFF_FILE, "%s: %s",
                  what, d.identities[i].name); /* those are of bytes */
    cr_expect_eq(tests_passed(old, before), tests_passed(new, after), "%s", what);
    diff_clear(&d);
    policy_free(old);
    policy_free(new);
}

static bool equal(const struct buf *a, const struct buf *b)
{
    return buf_len(a) == buf_len(b) && memcmp(buf_head(a), buf_head(b), buf_len(a)) == 0;
}

/* As it is, spread, formatted, and formatted again. */
static void look(const struct buf *block, uint32_t *state, const char *what)
{
    struct buf wide, formatted, again;

    rewrite(block, SPREAD, state, &wide);
    cr_expect(!equal(block, &wide), "%s", what);
    expect_same(block, &wide, what);
    rewrite(&wide, FORMAT, state, &formatted);
    expect_same(&wide, &formatted, what);
    rewrite(&formatted, FORMAT, state, &again);
    cr_expect(equal(&formatted, &again), "%s", what);
    buf_clear(&wide);
    buf_clear(&formatted);
    buf_clear(&again);
}

Test(policy_fmt_sets, random_sets_are_the_same_policy)
{
    uint32_t state = 20261128;

    for (int i = 0; i < SETS; i++) {
        struct random_seeds seeds;
        struct random_set set;
        char what[20];
        snprintf(what, sizeof what, "set %d", i);
        random_seeds(&seeds, &state);
        random_set_make(&seeds, &set);
        look(&set.block, &state, what);
        random_set_clear(&set);
    }
}

static int is_pack(const struct dirent *entry)
{
    return strstr(entry->d_name, ".yaml") != NULL;
}

/* conf/example with conf/packs, as a gateway has them. */
static void read_example(struct buf *out)
{
    const int dir = open(PACKS_DIR "/../example", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent **packs;
    struct bundle_file file;
    struct buf block, text;
    struct err e = ERR_INIT;
    struct wire_reader r;
    int count = scandir(PACKS_DIR, &packs, is_pack, alphasort);

    cr_assert_gt(count, 5);
    buf_init(&block, BUNDLE_MAX);
    cr_assert_eq(bundle_read_files(dir, BUNDLE_ANY_OWNER, &block, &e), 0, "%s", e.text);
    close(dir);
    wire_reader_init(&r, buf_head(&block), buf_len(&block));
    while (bundle_next(&r, &file, &e) > 0) {
        for (int i = 0; count && strcmp(file.name, "packs/") > 0; i++, count--) {
            char path[4096], name[300];
            snprintf(path, sizeof path, "%s/%s", PACKS_DIR, packs[i]->d_name);
            snprintf(name, sizeof name, "packs/%s", packs[i]->d_name);
            cr_assert_eq(cli_read_file(path, 1u << 22, &text, &e), 0, "%s", e.text);
            add(out, name, buf_head(&text), buf_len(&text));
            buf_clear(&text);
            free(packs[i]);
        }
        add(out, file.name, file.bytes.p, file.bytes.len);
    }
    free(packs);
    buf_clear(&block);
    cr_assert_eq(bundle_add_zones(BUNDLE_ANY_OWNER, NULL, out, &e), 0, "%s", e.text);
}

Test(policy_fmt_sets, so_is_the_example_with_the_packs)
{
    struct buf block;
    uint32_t state = 7;

    buf_init(&block, BUNDLE_MAX);
    read_example(&block);
    for (int i = 0; i < 3; i++)
        look(&block, &state, "the example");
    buf_clear(&block);
}
