/* SPDX-License-Identifier: Apache-2.0
 *
 * The matcher of file rules beside a plain recursive one, on random small texts; and hostile bytes
 * in place of a set. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "policy/files.h"

static struct file_rules *of(const char *pattern, unsigned access)
{
    struct file_rules *rules = file_rules_new();
    struct err e = ERR_INIT;

    cr_assert_not_null(rules);
    cr_assert_eq(file_rules_add(rules, "r", access, pattern, &e), 0, "%s: %s", pattern, e.text);
    return rules;
}

/* ---- beside a plain matcher ---- */

static bool part_ref(const char *p, const char *t)
{
    if (!*p)
        return !*t;
    if (*p == '*')
        return part_ref(p + 1, t) || (*t && part_ref(p, t + 1));
    if (*p == '?')
        return *t && part_ref(p + 1, t + 1);
    if (*p == '\\')
        p++;
    return *p == *t && part_ref(p + 1, t + 1);
}

static bool parts_ref(char (*p)[16], size_t np, char (*t)[16], size_t nt)
{
    if (!np)
        return !nt;
    if (strcmp(p[0], "**") == 0)
        return parts_ref(p + 1, np - 1, t, nt) || (nt && parts_ref(p, np, t + 1, nt - 1));
    return nt && part_ref(p[0], t[0]) && parts_ref(p + 1, np - 1, t + 1, nt - 1);
}

/* Splits "/x/y"; the root has no part. */
static size_t split(const char *path, char (*out)[16])
{
    size_t n = 0, at = 0;

    for (const char *p = path + 1; path[1];) {
        if (*p && *p != '/') {
            out[n][at++] = *p++;
            continue;
        }
        out[n++][at] = 0;
        at = 0;
        if (!*p++)
            break;
    }
    return n;
}

/* Whether some path below can match, where no "**" of the pattern has begun. */
static bool leads_ref(char (*p)[16], size_t np, char (*t)[16], size_t nt)
{
    if (np <= nt)
        return false;
    for (size_t i = 0; i < nt; i++)
        if (strcmp(p[i], "**") == 0 || !part_ref(p[i], t[i]))
            return false;
    return true;
}

static void random_text(char *out, const char *alphabet, size_t max)
{
    size_t n = (size_t)rand() % max;

    *out++ = '/';
    while (n--)
        *out++ = alphabet[(size_t)rand() % strlen(alphabet)];
    *out = 0;
}

Test(policy_files_random, as_a_plain_matcher)
{
    unsigned patterns = 0, matches = 0, seen = 0;

    srand(1);
    for (unsigned round = 0; round < 200000; round++) {
        char pattern[16], path[16], p[16][16], t[16][16];
        struct file_rules *rules = file_rules_new();
        random_text(pattern, "//ab***?\\", 12);
        if (file_rules_add(rules, "r", FILE_READ, pattern, NULL) == 0) {
            patterns++;
            for (int i = 0; i < 8; i++) {
                random_text(path, i & 1 ? "//abb" : "/ab*\\?", 10);
                const size_t len = strlen(path);
                if ((len > 1 && path[len - 1] == '/') || strstr(path, "//"))
                    continue;
                const size_t np = split(pattern, p), nt = split(path, t);
                const bool want = parts_ref(p, np, t, nt);
                cr_assert_eq(file_rules_access(rules, path, len, FILE_READ, NULL), want,
                             "%s and %s", pattern, path);
                cr_assert_eq(file_rules_visible(rules, path, len), want || leads_ref(p, np, t, nt),
                             "%s and %s", pattern, path);
                matches += want;
                seen++;
            }
        }
        file_rules_free(rules);
    }
    cr_expect_gt(patterns, 20000);
    cr_expect(matches > seen / 50 && matches < seen, "%u of %u", matches, seen);
}

/* ---- what comes over a link ---- */

Test(policy_files_random, decode_hostile)
{
    static const struct {
        unsigned access;
        const char *name;
        size_t name_len;
        const char *pattern;
        bool good;
    } cases[] = {
        {1, "r", 1, "/a", true},    {3, "r", 1, "/**", true},    {0, "r", 1, "/a", false},
        {4, "r", 1, "/a", false},   {7, "r", 1, "/a", false},    {255, "r", 1, "/a", false},
        {1, "", 0, "/a", false},    {1, "r\0x", 3, "/a", false}, {1, "r", 1, "", false},
        {1, "r", 1, "a", false},    {1, "r", 1, "/a/", false},   {1, "r", 1, "/..", false},
        {1, "r", 1, "/a**", false}, {1, "r", 1, "/a\\", false},  {1, "r", 1, "/a\n", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[200];
        struct wire_writer w;
        struct err e = ERR_INIT;
        wire_writer_init(&w, bytes, sizeof bytes);
        wire_put_u8(&w, (uint8_t)cases[i].access);
        wire_put_data(&w, cases[i].name, cases[i].name_len, 127);
        wire_put_data(&w, cases[i].pattern, strlen(cases[i].pattern), 1024);
        cr_assert_eq(wire_put_end(&w, NULL), 0);
        struct file_rules *rules = file_rules_decode(bytes, w.len, &e);
        cr_expect_eq(rules != NULL, cases[i].good, "case %zu", i);
        cr_expect(cases[i].good || e.code == ERR_PROTOCOL);
        file_rules_free(rules);
        for (size_t len = 1; len < w.len; len++) /* cut anywhere, never read past */
            cr_expect_null(
                file_rules_decode(memcpy(bytes + sizeof bytes - len, bytes, len), len, NULL));
    }
    /* A NUL inside a pattern, which no text of ours can have. */
    static const uint8_t nul[] = {1, 0, 0, 0, 1, 'r', 0, 0, 0, 3, '/', 0, 'a'};
    cr_expect_null(file_rules_decode(nul, sizeof nul, NULL));
    /* More than a grant carries. */
    static uint8_t many[FILES_ENCODED_MAX + 12];
    static const uint8_t one[] = {1, 0, 0, 0, 1, 'r', 0, 0, 0, 2, '/', 'a'};
    for (size_t at = 0; at + sizeof one <= sizeof many; at += sizeof one)
        memcpy(many + at, one, sizeof one);
    struct err e = ERR_INIT;
    const size_t over = (sizeof many / sizeof one) * sizeof one;
    cr_expect_null(file_rules_decode(many, over, &e));
    cr_expect_eq(e.code, ERR_FULL);
    struct file_rules *rules = file_rules_decode(many, over - 2 * sizeof one, NULL);
    cr_expect_not_null(rules);
    file_rules_free(rules);
}

/* Each byte of a set flipped: refused, or a set that permits what it says. */
Test(policy_files_random, decode_flipped)
{
    struct file_rules *rules = of("/var/log/**", FILE_READ);
    struct buf bytes;

    cr_assert_eq(file_rules_add(rules, "s", FILE_WRITE, "/tmp/a*", NULL), 0);
    buf_init(&bytes, FILES_ENCODED_MAX);
    cr_assert_eq(file_rules_encode(rules, &bytes), 0);
    for (size_t i = 0; i < buf_len(&bytes) * 8; i++) {
        uint8_t copy[100];
        memcpy(copy, buf_head(&bytes), buf_len(&bytes));
        copy[i / 8] ^= (uint8_t)(1 << i % 8);
        struct file_rules *got = file_rules_decode(copy, buf_len(&bytes), NULL);
        if (got)
            cr_expect_eq(file_rules_access(got, "/etc/shadow", 11, 3, NULL), 0);
        file_rules_free(got);
    }
    buf_clear(&bytes);
    cr_expect_eq(file_rules_encode(NULL, &bytes), 0);
    cr_expect_eq(buf_len(&bytes), 0);
    file_rules_free(rules);
}
