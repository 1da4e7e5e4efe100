/* SPDX-License-Identifier: Apache-2.0
 *
 * File rules: what patterns match and what is near it, paths as clients write them, what rules
 * permit together. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/files.h"

static struct file_rules *of(const char *pattern, unsigned access)
{
    struct file_rules *rules = file_rules_new();
    struct err e = ERR_INIT;

    cr_assert_not_null(rules);
    cr_assert_eq(file_rules_add(rules, "r", access, pattern, &e), 0, "%s: %s", pattern, e.text);
    return rules;
}

static bool reads(const char *pattern, const char *path)
{
    struct file_rules *rules = of(pattern, FILE_READ);
    const unsigned access = file_rules_access(rules, path, strlen(path), FILE_READ, NULL);

    file_rules_free(rules);
    return access == FILE_READ;
}

Test(policy_files, patterns)
{
    static const struct {
        const char *pattern, *yes[8], *no[12];
    } cases[] = {
        {"/", {"/"}, {"/a", "//", "", "."}},
        {"/**", {"/", "/a", "/a/b", "/.a", "/**", "/\xff\xfe", "/a\nb"}, {"a", "/a/", "/a//b"}},
        {"/*",
         {"/a", "/abc", "/.hidden", "/*", "/...", "/ "},
         {"/", "/a/b", "/a/", "/.", "/..", "a"}},
        {"/tmp",
         {"/tmp"},
         {"/tmp/", "/tmp/a", "/tm", "/tmpx", "/TMP", "/", "/a/tmp", "tmp", "//tmp", "/tmp/."}},
        {"/tmp/**",
         {"/tmp", "/tmp/a", "/tmp/a/b/c", "/tmp/..."},
         {"/tmpx", "/tm", "/", "/tmp/", "/tmp//a", "/tmp/../etc", "/tmp/.", "/tmp/..", "/a/tmp"}},
        {"/tmp/*", {"/tmp/a", "/tmp/.a"}, {"/tmp", "/tmp/a/b", "/tmp/"}},
        {"/a*b/**",
         {"/ab", "/axb", "/ab/c", "/abab/x/y", "/aab/b"},
         {"/a/b", "/a/xb", "/xab", "/abx", "/a"}},
        {"/**/x", {"/x", "/a/x", "/a/b/x", "/x/x"}, {"/", "/xx", "/a", "/x/a", "/a/x/b"}},
        {"/**/x/**", {"/x", "/x/a", "/a/x", "/a/x/b/c", "/y/x/x/y"}, {"/", "/xx", "/a/b"}},
        {"/a/**/b/**/c", {"/a/b/c", "/a/x/b/c", "/a/b/b/c/c", "/a/c/b/c"}, {"/a/c/b", "/a/b"}},
        {"/**/**", {"/", "/a", "/a/b"}, {"a"}},
        {"/a?c",
         {"/abc", "/a*c",
          "/a\xff"
          "c",
          "/a?c"},
         {"/ac", "/a/c", "/abbc",
          "/a\xc3\xa9"
          "c"}},
        {"/a??c",
         {"/a\xc3\xa9"
          "c"},
         {"/abc"}},
        {"/?", {"/a", "/~"}, {"/", "/aa", "/.", "//"}},
        {"/??", {"/ab", "/.a"}, {"/..", "/a"}},
        {"/a\\*", {"/a*"}, {"/ab", "/a", "/a\\", "/a\\*", "/a\\b"}},
        {"/a\\?", {"/a?"}, {"/ab", "/a\\?"}},
        {"/a\\\\b", {"/a\\b"}, {"/ab", "/a\\\\b"}},
        {"/a\\*\\*/**", {"/a**", "/a**/b"}, {"/a", "/a/b", "/axx"}},
        {"/\\*\\*", {"/**"}, {"/", "/a", "/a/b"}},
        {"/*\\**", {"/*", "/a*b"}, {"/a", "/ab"}},
        {"/*.log", {"/.log", "/a.log", "/a.log.log"}, {"/a.log.1", "/a/b.log", "/log"}},
        {"/*a*b*c*", {"/abc", "/xaybzc", "/aabbcc"}, {"/acb", "/a/bc"}},
        {"/srv/*/log/**", {"/srv/x/log", "/srv/x/log/y"}, {"/srv/log", "/srv/x/y/log", "/srv/x"}},
        {"/...", {"/..."}, {"/..", "/...."}},
        {"/[ab]", {"/[ab]"}, {"/a"}},
        {"/{a,b}", {"/{a,b}"}, {"/a"}},
        {"/~", {"/~"}, {"/root"}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t k = 0; k < 8 && cases[i].yes[k]; k++)
            cr_expect(reads(cases[i].pattern, cases[i].yes[k]), "%s: %s", cases[i].pattern,
                      cases[i].yes[k]);
        for (size_t k = 0; k < 12 && cases[i].no[k]; k++)
            cr_expect(!reads(cases[i].pattern, cases[i].no[k]), "%s: not %s", cases[i].pattern,
                      cases[i].no[k]);
    }
}

Test(policy_files, refused_patterns)
{
    static const struct {
        const char *pattern, *says;
    } cases[] = {
        {"", "does not begin with /"},
        {"tmp", "does not begin with /"},
        {"**", "does not begin with /"},
        {"\\/tmp", "does not begin with /"},
        {"/tmp/", "empty part at byte 6"},
        {"//", "empty part at byte 2"},
        {"//tmp", "empty part at byte 2"},
        {"/a//b", "empty part at byte 4"},
        {"/**/", "empty part at byte 5"},
        {"/.", "found . at byte 2"},
        {"/..", "found .. at byte 2"},
        {"/a/../b", "found .. at byte 4"},
        {"/**/..", "found .. at byte 5"},
        {"/a/./b", "found . at byte 4"},
        {"/a**", "** beside other text at byte 3"},
        {"/**a", "** beside other text at byte 2"},
        {"/***", "** beside other text at byte 2"},
        {"/x/a**b/c", "** beside other text at byte 5"},
        {"/\\\\**", "** beside other text at byte 4"},
        {"/a\\", "\\ at byte 3"},
        {"/a\\/b", "\\ at byte 3"},
        {"/a\\b", "\\ at byte 3"},
        {"/\\.\\.", "\\ at byte 2"},
        {"/a\nb", "control character at byte 3"},
        {"/a\x7f", "control character at byte 3"},
        {"/\x1b[2J", "control character at byte 2"},
    };

    struct file_rules *rules = file_rules_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        cr_expect_eq(file_rules_add(rules, "r", FILE_READ, cases[i].pattern, &e), ERR_INPUT, "%s",
                     cases[i].pattern);
        cr_expect(strstr(e.text, cases[i].says), "%s: %s", cases[i].pattern, e.text);
    }
    static char text[FILE_PATTERN_MAX + 2] = "/";
    memset(text + 1, 'a', FILE_PATTERN_MAX);
    cr_expect_eq(file_rules_add(rules, "r", FILE_READ, text, NULL), ERR_INPUT);
    text[FILE_PATTERN_MAX] = 0;
    cr_expect_eq(file_rules_add(rules, "r", FILE_READ, text, NULL), 0);
    cr_expect_eq(file_rules_add(rules, "", FILE_READ, "/a", NULL), ERR_INPUT);
    cr_expect_eq(file_rules_add(rules, "r", 0, "/a", NULL), ERR_INPUT);
    cr_expect_eq(file_rules_add(rules, "r", 4, "/a", NULL), ERR_INPUT);
    memset(text, 'n', FILE_RULE_NAME_MAX + 1);
    text[FILE_RULE_NAME_MAX + 1] = 0;
    cr_expect_lt(file_rules_add(rules, text, FILE_READ, "/a", NULL), 0);
    cr_expect_eq(file_rules_access(rules, "/a", 2, FILE_READ, NULL), 0);
    file_rules_free(rules);
    file_rules_free(NULL);
}

Test(policy_files, join)
{
    static const struct {
        const char *base, *path, *is; /* NULL: refused */
    } cases[] = {
        {"/root", "x", "/root/x"},
        {"/root", ".", "/root"},
        {"/root", "./", "/root"},
        {"/root", "..", "/"},
        {"/root", "../..", "/"},
        {"/root", "../../../etc/./passwd", "/etc/passwd"},
        {"/root", "/etc", "/etc"},
        {"/root", "/", "/"},
        {"/root", "//", "/"},
        {"/root", "///etc//x///", "/etc/x"},
        {"/root", "/etc/.", "/etc"},
        {"/root", "/etc/./", "/etc"},
        {"/root", "/etc/..", "/"},
        {"/root", "/..", "/"},
        {"/root", "/../etc", "/etc"},
        {"/root", "/tmp/../etc/passwd", "/etc/passwd"},
        {"/root", "/tmp/x/../../tmp/y", "/tmp/y"},
        {"/root", "...", "/root/..."},
        {"/root", "..a", "/root/..a"},
        {"/root", ".a/.b./..c", "/root/.a/.b./..c"},
        {"/root", " ", "/root/ "},
        {"/root", "a\nb", "/root/a\nb"},
        {"/root", "\xff\xfe", "/root/\xff\xfe"},
        {"/root", "\xc0\xae\xc0\xae/x", "/root/\xc0\xae\xc0\xae/x"}, /* no UTF-8, so no ".." */
        {"/root", "..\\..\\etc", "/root/..\\..\\etc"},
        {"/root", "%2e%2e/x", "/root/%2e%2e/x"},
        {"/root", "~/x", "/root/~/x"},
        {"/", "x", "/x"},
        {"/", "..", "/"},
        {"/", ".", "/"},
        {"/a/b/c", "../../x", "/a/x"},
        {"/root", "", NULL},
        {"", "x", NULL},
        {"root", "x", NULL},
        {"/root/", "x", NULL},
        {"/root/..", "x", NULL},
        {"/root//x", "x", NULL},
        {"not looked at", "/x", "/x"},
    };
    char out[FILE_PATH_MAX + 1];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        int rc = file_path_join(cases[i].base, cases[i].path, strlen(cases[i].path), out, &e);
        cr_expect_eq(rc, cases[i].is ? 0 : ERR_INPUT, "%s + %s", cases[i].base, cases[i].path);
        cr_expect_str_eq(out, cases[i].is ? cases[i].is : "");
        cr_expect(cases[i].is || e.text[0]);
    }
    cr_expect_eq(file_path_join("/", "a\0b", 3, out, NULL), ERR_INPUT);
    cr_expect_eq(file_path_join("/", "\0", 1, out, NULL), ERR_INPUT);
    cr_expect_eq(file_path_join("/", "/a\0/../x", 8, out, NULL), ERR_INPUT);
}

Test(policy_files, join_long)
{
    static char path[300000], base[FILE_PATH_MAX + 1];
    char out[FILE_PATH_MAX + 1];

    /* 4095 bytes and the slash before them; one more is too many. */
    memset(path, 'a', sizeof path);
    cr_expect_eq(file_path_join("/", path, FILE_PATH_MAX - 1, out, NULL), 0);
    cr_expect_eq(strlen(out), FILE_PATH_MAX);
    cr_expect_eq(file_path_join("/", path, FILE_PATH_MAX, out, NULL), ERR_FULL);
    cr_expect_str_eq(out, "");
    cr_expect_eq(file_path_join("/", path, sizeof path, out, NULL), ERR_FULL);
    base[0] = '/';
    memset(base + 1, 'b', FILE_PATH_MAX - 1);
    cr_expect_eq(file_path_join(base, ".", 1, out, NULL), 0);
    cr_expect_str_eq(out, base);
    cr_expect_eq(file_path_join(base, "x", 1, out, NULL), ERR_FULL);
    cr_expect_eq(file_path_join(base, "../x", 4, out, NULL), 0);
    cr_expect_str_eq(out, "/x");
    /* Long on the way is too long; long text that means little is not. */
    path[sizeof path - 3] = '/';
    path[sizeof path - 2] = path[sizeof path - 1] = '.';
    cr_expect_eq(file_path_join("/", path, sizeof path, out, NULL), ERR_FULL);
    for (size_t i = 0; i < sizeof path; i += 5)
        memcpy(path + i, "a/../", 5);
    cr_expect_eq(file_path_join("/root", path, sizeof path, out, NULL), 0);
    cr_expect_str_eq(out, "/root");
    memset(path, '/', sizeof path);
    cr_expect_eq(file_path_join("/root", path, sizeof path, out, NULL), 0);
    cr_expect_str_eq(out, "/");
}

Test(policy_files, hostile_paths)
{
    static char longest[FILE_PATH_MAX + 2];
    struct file_rules *rules = of("/**", FILE_READ | FILE_WRITE);
    static const struct {
        const char *path;
        size_t len;
        unsigned access;
    } cases[] = {
        {"/", 1, 3},         {"/a", 2, 3},
        {"/a\0", 3, 0},      {"/\0a", 3, 0},
        {"", 0, 0},          {"a", 1, 0},
        {"/a/", 3, 0},       {"//", 2, 0},
        {"//a", 3, 0},       {"/a//b", 5, 0},
        {"/.", 2, 0},        {"/..", 3, 0},
        {"/a/.", 4, 0},      {"/a/..", 5, 0},
        {"/a/../b", 7, 0},   {"/a/./b", 6, 0},
        {"/...", 4, 3},      {"/.a", 3, 3},
        {"/a\n", 3, 3},      {"/\xff", 2, 3},
        {"/\xc0\xaf", 3, 3}, {"/\xe2\x80\xae", 4, 3},
        {" /a", 3, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(file_rules_access(rules, cases[i].path, cases[i].len, FILE_READ, NULL),
                     cases[i].access, "%s", cases[i].path);
        cr_expect_eq(file_rules_visible(rules, cases[i].path, cases[i].len), cases[i].access != 0,
                     "%s", cases[i].path);
    }
    longest[0] = '/';
    memset(longest + 1, 'a', FILE_PATH_MAX);
    cr_expect_eq(file_rules_access(rules, longest, FILE_PATH_MAX, 0, NULL), 3);
    cr_expect_eq(file_rules_access(rules, longest, FILE_PATH_MAX + 1, 0, NULL), 0);
    file_rules_free(rules);
}

Test(policy_files, union_of_rules)
{
    struct file_rules *a = file_rules_new(), *b = file_rules_new();
    char name[128];

    cr_assert_eq(file_rules_add(a, "a/sftp.read[0]", FILE_READ, "/var/log/**", NULL), 0);
    cr_assert_eq(file_rules_add(a, "a/sftp.write[0]", FILE_WRITE, "/tmp/**", NULL), 0);
    cr_assert_eq(file_rules_add(b, "b/sftp.read[0]", FILE_READ, "/tmp/*/in", NULL), 0);
    cr_assert_eq(file_rules_add(b, "b/sftp.write[0]", FILE_WRITE, "/tmp/x/**", NULL), 0);
    cr_expect_eq(file_rules_access(a, "/tmp/x/in", 9, FILE_READ, name), FILE_WRITE);
    cr_expect_str_eq(name, "");
    cr_assert_eq(file_rules_merge(a, b, NULL), 0);
    static const struct {
        const char *path;
        unsigned wanted, access;
        const char *name;
    } cases[] = {
        {"/var/log/x", FILE_READ, FILE_READ, "a/sftp.read[0]"},
        {"/var/log/x", FILE_WRITE, FILE_READ, ""},
        {"/tmp/x/in", FILE_READ, 3, "b/sftp.read[0]"},
        {"/tmp/x/in", FILE_WRITE, 3, "a/sftp.write[0]"},
        {"/tmp/x/in", FILE_READ | FILE_WRITE, 3, "a/sftp.write[0]"},
        {"/tmp/x/in", 0, 3, ""},
        {"/tmp/x", FILE_WRITE, FILE_WRITE, "a/sftp.write[0]"},
        {"/etc", FILE_READ, 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        strcpy(name, "?");
        cr_expect_eq(
            file_rules_access(a, cases[i].path, strlen(cases[i].path), cases[i].wanted, name),
            cases[i].access, "case %zu", i);
        cr_expect_str_eq(name, cases[i].name);
    }
    file_rules_free(a);
    file_rules_free(b);
}

Test(policy_files, visible)
{
    static const struct {
        const char *pattern, *yes[6], *no[8];
    } cases[] = {
        {"/var/log/**", {"/", "/var", "/var/log", "/var/log/x"}, {"/va", "/varx", "/var/lib"}},
        {"/var/log", {"/", "/var", "/var/log"}, {"/var/log/x", "/etc"}},
        {"/srv/*/log", {"/", "/srv", "/srv/a", "/srv/a/log"}, {"/srv/a/x", "/a", "/srv/a/log/x"}},
        {"/s?v/a*/b", {"/", "/srv", "/srv/ax"}, {"/sv", "/srv/b", "/srv/ax/y"}},
        {"/home/**/x", {"/", "/home", "/home/x", "/home/a/x"}, {"/home/a", "/home/a/b", "/x"}},
        {"/**/x", {"/", "/x", "/a/x"}, {"/a", "/a/b"}},
        {"/", {"/"}, {"/a"}},
        {"/\\*/b", {"/", "/*", "/*/b"}, {"/a"}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file_rules *rules = of(cases[i].pattern, FILE_WRITE);
        for (size_t k = 0; k < 6 && cases[i].yes[k]; k++)
            cr_expect(file_rules_visible(rules, cases[i].yes[k], strlen(cases[i].yes[k])), "%s: %s",
                      cases[i].pattern, cases[i].yes[k]);
        for (size_t k = 0; k < 8 && cases[i].no[k]; k++)
            cr_expect(!file_rules_visible(rules, cases[i].no[k], strlen(cases[i].no[k])),
                      "%s: not %s", cases[i].pattern, cases[i].no[k]);
        file_rules_free(rules);
    }
}

/* Nothing that is not certainly everything counts as that. */
Test(policy_files, unrestricted)
{
    static const struct {
        const char *pattern[2];
        unsigned access[2];
        bool is;
    } cases[] = {
        {{"/**", "/**"}, {FILE_READ, FILE_WRITE}, true},
        {{"/**", "/x"}, {FILE_READ | FILE_WRITE, FILE_READ}, true},
        {{"/**", "/**"}, {FILE_READ, FILE_READ}, false},
        {{"/**", "/*"}, {FILE_READ, FILE_WRITE}, false},
        {{"/*", "/*/**"}, {FILE_READ | FILE_WRITE, FILE_READ | FILE_WRITE}, false},
        {{"/**/x", "/"}, {FILE_READ | FILE_WRITE, FILE_READ | FILE_WRITE}, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file_rules *one = of(cases[i].pattern[0], cases[i].access[0]);
        struct file_rules *two = of(cases[i].pattern[1], cases[i].access[1]);
        struct buf bytes;
        cr_assert_eq(file_rules_merge(one, two, NULL), 0);
        cr_expect_eq(file_rules_unrestricted(one), cases[i].is, "case %zu", i);
        file_rules_free(two);
        buf_init(&bytes, FILES_ENCODED_MAX);
        cr_assert_eq(file_rules_encode(one, &bytes), 0);
        two = file_rules_decode(buf_head(&bytes), buf_len(&bytes), NULL);
        cr_assert_not_null(two);
        cr_expect_eq(file_rules_unrestricted(two), cases[i].is, "case %zu", i);
        buf_clear(&bytes);
        file_rules_free(one);
        file_rules_free(two);
    }
    struct file_rules *none = file_rules_decode(NULL, 0, NULL);
    cr_assert_not_null(none);
    cr_expect(!file_rules_unrestricted(none) && !file_rules_unrestricted(NULL));
    cr_expect(!file_rules_visible(none, "/", 1) && !file_rules_visible(NULL, "/", 1));
    cr_expect_eq(file_rules_access(none, "/", 1, 3, NULL), 0);
    cr_expect_eq(file_rules_access(NULL, "/", 1, 3, NULL), 0);
    file_rules_free(none);
}

Test(policy_files, ten_thousand_rules)
{
    struct file_rules *rules = file_rules_new();
    char pattern[32], name[128];
    struct err e = ERR_INIT;
    unsigned added = 0, i;

    for (i = 0; i < 10000; i++) {
        snprintf(pattern, sizeof pattern, "/%u", i);
        int rc = file_rules_add(rules, "r", FILE_READ, pattern, &e);
        if (rc < 0) {
            cr_expect_eq(rc, ERR_FULL);
            cr_expect(strstr(e.text, "more than 65536 bytes of file rules"), "%s", e.text);
            /* Nothing of it was added: what was there is whole. */
            cr_expect_eq(file_rules_access(rules, pattern, strlen(pattern), FILE_READ, NULL), 0);
        } else {
            cr_assert_eq(added, i); /* all rules have one length from 1000 on */
            added++;
        }
    }
    cr_expect_gt(added, 4000);
    cr_expect_lt(added, 10000);
    int len = snprintf(pattern, sizeof pattern, "/%u", added - 1);
    cr_expect_eq(file_rules_access(rules, pattern, (size_t)len, FILE_READ, name), FILE_READ);
    cr_expect_str_eq(name, "r");
    struct file_rules *more = of("/more/than/fits/into/what/is/left/of/it", FILE_READ);
    cr_expect_eq(file_rules_merge(rules, more, &e), ERR_FULL);
    cr_expect_eq(file_rules_access(rules, "/more", 5, FILE_READ, NULL), 0);
    file_rules_free(more);
    file_rules_free(rules);
}

/* The worst that a pattern and a path can do to each other stays a product. */
Test(policy_files, no_explosion)
{
    static char path[FILE_PATH_MAX + 1], pattern[FILE_PATTERN_MAX + 1];
    struct timespec from, to;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (size_t i = 0; i < FILE_PATH_MAX; i += 2)
        memcpy(path + i, "/a", 2);
    size_t at = 0;
    while (at + 6 < FILE_PATTERN_MAX)
        at += (size_t)sprintf(pattern + at, "/**/a");
    strcpy(pattern + at, "/b");
    cr_expect(!reads(pattern, path));
    memset(path + 1, 'a', FILE_PATH_MAX - 1);
    pattern[0] = '/';
    for (at = 1; at + 3 < FILE_PATTERN_MAX; at += 2)
        memcpy(pattern + at, "*a", 2);
    strcpy(pattern + at, "b");
    cr_expect(!reads(pattern, path));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    cr_expect_lt(to.tv_sec - from.tv_sec, 5); /* 8 million steps; exponential: never */
}
