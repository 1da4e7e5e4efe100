/* SPDX-License-Identifier: Apache-2.0
 *
 * The YAML tree: exact positions, everything refused that is not plain, and conversions. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml_tree.h"

#define CASE(text) text, sizeof(text) - 1

Test(policy_yaml, refused_at)
{
    static const struct {
        const char *text;
        size_t len;
        const char *says;
    } cases[] = {
        {CASE("a: 1\nb: 2\na: 3\n"),
         "f.yaml:3:1: found the key \"a\" a second time (first at line 1)"},
        {CASE("a: {b: 1, c: 2, b: 3}"), "f.yaml:1:17: found the key \"b\" a second time"},
        {CASE("a: 1\n\"a\": 2\n"), "f.yaml:2:1: found the key \"a\" a second time"},
        {CASE("a: &x 1\nb: *x\n"), "f.yaml:1:4: found an anchor"},
        {CASE("a: &x [1]\n"), "f.yaml:1:4: found an anchor"},
        {CASE("a: &x {b: 1}\n"), "f.yaml:1:4: found an anchor"},
        {CASE("&x a: 1\n"), "f.yaml:1:1: found an anchor"},
        {CASE("a: 1\nb: *x\n"), "f.yaml:2:4: found an alias"},
        {CASE("a: !!str 1\n"), "f.yaml:1:4: found a tag"},
        {CASE("a: !x [1]\n"), "f.yaml:1:4: found a tag"},
        {CASE("a: ! \"x\"\n"), "f.yaml:1:4: found a tag"},
        {CASE("a: !!map {b: 1}\n"), "f.yaml:1:4: found a tag"},
        {CASE("a:\n  <<: {b: 1}\n"), "f.yaml:2:3: found the merge key <<"},
        {CASE("a: 1\n---\nb: 2\n"), "f.yaml:2:1: found a second document"},
        {CASE("%YAML 1.1\n---\na: 1\n"), "f.yaml:1:1: found a directive"},
        {CASE("? [a, b]\n: 1\n"), "f.yaml:1:3: found a list as a key"},
        {CASE("? {a: b}\n: 1\n"), "f.yaml:1:3: found a map as a key"},
        {CASE("a: \"x\\0y\"\n"), "f.yaml:1:4: found the control character 0x00"},
        {CASE("a: \"x\\ty\"\n"), "f.yaml:1:4: found the control character 0x09"},
        {CASE("a: \"x\\e[m\"\n"), "f.yaml:1:4: found the control character 0x1b"},
        {CASE("a: \"x\\u0085\"\n"), "f.yaml:1:4: found the control character 0x85"},
        /* what a person reads as something else, wherever it stands */
        {CASE("a: 1\n# b\xe2\x80\xa8"
              "c: 2\n"),
         "f.yaml:2:4: found the character U+2028, which"},
        {CASE("# \xc3\xa4 b\xe2\x80\xa9"
              "c: 2\n"),
         "f.yaml:1:6: found the character U+2029, which"},
        {CASE("# b\xc2\x85"
              "c: 2\n"),
         "f.yaml:1:4: found the character U+0085, which"},
        {CASE("# b\rc: 2\n"), "f.yaml:1:4: found a carriage return alone"},
        {CASE("a: 1\n# b\r"), "f.yaml:2:4: found a carriage return alone"},
        {CASE("a: 1 # \xe2\x80\xae 1 :b\n"), "f.yaml:1:8: found the character U+202E, which"},
        {CASE("a: \"\xe2\x81\xa6\"\n"), "f.yaml:1:5: found the character U+2066, which"},
        {CASE("a: 1\nb: x\x01y\n"), "f.yaml:2:5: control characters are not allowed"},
        {CASE("a: x\0y\n"), "f.yaml:1:5: control characters are not allowed"},
        {CASE("a: \xff\n"), "f.yaml:1:4: "},
        {CASE("a: \xc3\xa9\xff\n"), "f.yaml:1:5: "},
        {CASE("a: [1, 2\nb: 3\n"), "f.yaml:2:"},
        {CASE("a: \"x\n"), "f.yaml:2:1: "},
        {CASE("a: b: c\n"), "f.yaml:1:5: mapping values are not allowed"},
        {CASE("\ta: 1\n"), "f.yaml:1:1: "},
        {CASE("a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n"),
         "f.yaml:1:19: found more than 16 levels of lists and maps"},
        {CASE("- a\nb: 1\n"), "f.yaml:2:1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        struct yaml_doc *doc = yaml_parse("f.yaml", cases[i].text, cases[i].len, &e);
        cr_expect_null(doc, "%s", cases[i].text);
        cr_expect_eq(e.code, ERR_SYNTAX);
        cr_expect(strstr(e.text, cases[i].says), "%s\ngot: %s\nnot: %s", cases[i].text, e.text,
                  cases[i].says);
        yaml_doc_free(doc);
    }
}

Test(policy_yaml, tree)
{
    static const char text[] =
        "# comment\nname: x\nlist:\n  - one\n  - 'two'\n  - {k: v}\nempty:\n";
    struct err e = ERR_INIT;
    struct yaml_doc *doc = yaml_parse("f.yaml", text, strlen(text), &e);
    cr_assert_not_null(doc, "%s", e.text);
    const struct yaml_node *root = yaml_root(doc), *list = yaml_get(root, "list");

    cr_expect_str_eq(yaml_name(doc), "f.yaml");
    cr_expect_eq(root->kind, YAML_MAP);
    cr_expect_eq(root->count, 3);
    cr_expect_str_eq(root->keys[1]->text, "list");
    cr_expect_eq(root->keys[1]->line, 3);
    cr_assert_eq(list->kind, YAML_LIST);
    cr_assert_eq(list->count, 3);
    cr_expect_str_eq(list->items[1]->text, "two");
    cr_expect(list->items[1]->quoted);
    cr_expect(!list->items[0]->quoted);
    cr_expect_eq(list->items[1]->line, 5);
    cr_expect_eq(list->items[1]->column, 5);
    cr_expect_str_eq(yaml_get(list->items[2], "k")->text, "v");
    cr_expect_str_eq(yaml_get(root, "empty")->text, "");
    cr_expect_null(yaml_get(root, "none"));
    cr_expect_null(yaml_get(list, "k"));
    yaml_doc_free(doc);
}

Test(policy_yaml, empty_documents)
{
    static const char *const texts[] = {"", "\n\n", "# only this\n", "---\n", "{}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct err e = ERR_INIT;
        struct yaml_doc *doc = yaml_parse("f", texts[i], strlen(texts[i]), &e);
        cr_assert_not_null(doc, "%s", e.text);
        cr_expect_eq(yaml_root(doc)->kind, YAML_MAP);
        cr_expect_eq(yaml_root(doc)->count, 0);
        yaml_doc_free(doc);
    }
}

/* The kind of value is the letter: b(ool), n(umber 10..100), d(uration 1s..1h), s(ize), w(ord). */
Test(policy_yaml, values)
{
    static const struct {
        char kind;
        const char *text;
        uint64_t value;
        const char *says; /* NULL: good */
    } cases[] = {
        {'b', "true", 1, NULL},
        {'b', "false", 0, NULL},
        {'b', "yes", 0, "f:1:4: found \"yes\", expected true or false"},
        {'b', "\"true\"", 0, "without quotes"},
        {'b', "True", 0, "found \"True\""},
        {'b', "", 0, "found nothing, expected true or false"},
        {'b', "[true]", 0, "found a list"},
        {'n', "10", 10, NULL},
        {'n', "100", 100, NULL},
        {'n', "9", 0, "expected a number from 10 to 100"},
        {'n', "101", 0, "found \"101\""},
        {'n', "+50", 0, "found \"+50\""},
        {'n', "-50", 0, "found \"-50\""},
        {'n', "0x20", 0, "found \"0x20\""},
        {'n', "5e1", 0, "found \"5e1\""},
        {'n', "\"50\"", 0, "found \"50\""},
        {'n', "18446744073709551666", 0, "expected a number"},
        {'n', "{a: 1}", 0, "found a map"},
        {'d', "90s", 90000, NULL},
        {'d', "15m", 900000, NULL},
        {'d', "1h", 3600000, NULL},
        {'d', "2h", 0, "expected a duration from 1s to 1h"},
        {'d', "0s", 0, "expected a duration from 1s to 1h"},
        {'d', "90", 0, "expected a duration such as 90s, 15m, 8h or 2d"},
        {'d', "s", 0, "expected a duration such as"},
        {'d', "1 h", 0, "expected a duration such as"},
        {'d', "1hh", 0, "expected a duration such as"},
        {'d', "1.5h", 0, "expected a duration such as"},
        {'d', "-1h", 0, "expected a duration such as"},
        {'d', "18446744073709551d", 0, "expected a duration"},
        {'s', "4096", 4096, NULL},
        {'s', "64KiB", 65536, NULL},
        {'s', "1GiB", 1073741824, NULL},
        {'s', "1GB", 0, "expected a size such as 4096, 64KiB or 20GiB"},
        {'s', "99999999TiB", 0, "expected a size"},
        {'s', "KiB", 0, "expected a size"},
        {'w', "strict", 0, NULL},
        {'w', "sync-all", 1, NULL},
        {'w', "strickt", 0,
         "unknown word \"strickt\" (did you mean \"strict\"?), expected strict or sync-all"},
        {'w', "lax", 0, "unknown word \"lax\", expected strict or sync-all"},
        {'w', "", 0, "found nothing, expected strict or sync-all"},
        {'w', "[strict]", 0, "found a list, expected strict or sync-all"},
    };
    static const char *const words[] = {"strict", "sync-all", NULL};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        struct err e = ERR_INIT;
        uint64_t value = 0;
        bool flag = false;
        size_t word = 0;
        snprintf(text, sizeof text, "k: %s\n", cases[i].text);
        struct yaml_doc *doc = yaml_parse("f", text, strlen(text), &e);
        cr_assert_not_null(doc, "%s", e.text);
        const struct yaml_node *n = yaml_get(yaml_root(doc), "k");
        int rc = cases[i].kind == 'b'   ? yaml_bool(doc, n, &flag, &e)
                 : cases[i].kind == 'n' ? yaml_u64(doc, n, 10, 100, &value, &e)
                 : cases[i].kind == 'd' ? yaml_duration(doc, n, 1000, 3600000, &value, &e)
                 : cases[i].kind == 's' ? yaml_size(doc, n, &value, &e)
                                        : yaml_word(doc, n, words, &word, &e);
        if (cases[i].says) {
            cr_expect_eq(rc, ERR_SYNTAX, "%c %s", cases[i].kind, cases[i].text);
            cr_expect(strstr(e.text, cases[i].says), "%s: %s", cases[i].text, e.text);
        } else {
            cr_expect_eq(rc, 0, "%s", e.text);
            cr_expect_eq(value + flag + word, cases[i].value, "%c %s", cases[i].kind,
                         cases[i].text);
        }
        yaml_doc_free(doc);
    }
}

Test(policy_yaml, nearest)
{
    static const char *const words[] = {"members", "targets", "accounts", "from", NULL};
    static const struct {
        const char *text, *nearest;
    } cases[] = {
        {"memebers", "members"},
        {"member", "members"},
        {"target", "targets"},
        {"acounts", "accounts"},
        {"form", "from"},
        {"Members", "members"},
        {"xyz", NULL},
        {"", NULL},
        {"fr", NULL},
        {"members-of-all", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = nearest_word(cases[i].text, words);
        cr_expect_str_eq(got ? got : "(none)", cases[i].nearest ? cases[i].nearest : "(none)");
    }
    char *huge = calloc(1, 100001);
    memset(huge, 'a', 100000);
    cr_expect_null(nearest_word(huge, words));
    free(huge);
}

/* A file as large as a big inventory, with as many keys in one map, is no trouble. */
Test(policy_yaml, many_keys, .timeout = 300)
{
    const size_t keys = 100000;
    char *text = malloc(keys * 20);
    size_t len = 0;
    struct err e = ERR_INIT;

    for (size_t i = 0; i < keys; i++)
        len += (size_t)sprintf(text + len, "k%zu: v\n", i);
    struct yaml_doc *doc = yaml_parse("f", text, len, &e);
    cr_assert_not_null(doc, "%s", e.text);
    cr_expect_eq(yaml_root(doc)->count, keys);
    yaml_doc_free(doc);
    memcpy(text + len, "k7: w\n", 6);
    cr_expect_null(yaml_parse("f", text, len + 6, &e));
    cr_expect(strstr(e.text, "f:100001:1: found the key \"k7\" a second time (first at line 8)"),
              "%s", e.text);
    free(text);
}
