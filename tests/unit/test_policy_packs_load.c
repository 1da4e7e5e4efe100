/* SPDX-License-Identifier: Apache-2.0
 *
 * Pack files that do not load, and why; bounds; the language's parts on small packs; values; the
 * two quotings of commands in one text; hostile bytes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/packs_set.h"
#include "tests/unit/packs_fixture.h"

#define HEAD "family: f\nprograms:\n  - names: [p]\n"
#define ONE  "    entries:\n      - "

static const struct {
    const char *text, *says;
} refused[] = {
    {"", "family"},
    {"[]", "expected a map"},
    {"family: f\n", "programs"},
    {"family: f\nprograms: []\n", "2:11: found an empty list"},
    {"family: f\nprogram: []\n", "did you mean \"programs\"?"},
    {"family: F\nprograms: [{names: [p], entries: [{class: raw}]}]\n", "1:9: found \"F\""},
    {"family: f\nfamily: g\n", "a second time"},
    {"family: &x f\nprograms: *x\n", "anchor"},
    {HEAD, "3:5: found a program without entries"},
    {HEAD "    entries: []\n", "without entries"},
    {"family: f\nprograms:\n  - entries: [{class: raw}]\n", "names"},
    {"family: f\nprograms:\n  - names: [/bin/p]\n    entries: [{class: raw}]\n",
     "3:13: found \"/bin/p\""},
    {"family: f\nprograms:\n  - names: [\"*\"]\n    entries: [{class: raw}]\n", "3:13"},
    {"family: f\nprograms:\n  - names: [p, p]\n    entries: [{class: raw}]\n", NULL},
    {"family: f\nprograms:\n  - {names: [p], entries: [{class: raw}]}\n"
     "  - {names: [p], entries: [{class: raw}]}\n",
     "4:14: found the program p a second time (first at test.yaml:3)"},
    {HEAD ONE "{class: memroy}\n", "did you mean \"memory\"?"},
    {HEAD ONE "{class: []}\n", "found an empty list"},
    {HEAD ONE "{}\n", "class"},
    {HEAD ONE "{class: raw, whne: [x]}\n", "did you mean \"when\"?"},
    {HEAD ONE "{class: raw, when: []}\n", "found an empty list"},
    {HEAD ONE "{class: raw, when: [[x]]}\n", "expected two conditions"},
    {HEAD ONE "{class: raw, when: [-x]}\n", "5:29: found -x, expected an option of flags"},
    {HEAD ONE "{class: raw, vm: domain}\n", "found \"domain\", expected a name of args"},
    {HEAD ONE "{class: raw, args: [domain], vm: domian}\n", "did you mean \"domain\"?"},
    {HEAD ONE "{class: raw, vm: -x}\n", "found -x, expected an option of values"},
    {HEAD ONE "{class: raw, flags: [-x], vm: -x}\n", "expected an option of values"},
    {HEAD ONE "{class: disk, args: [s], value: s}\n", "without its unit"},
    {HEAD ONE "{class: disk, args: [s], unit: B}\n", "expected value beside it"},
    {HEAD ONE "{class: disk, args: [s], value: s, unit: Kib}\n", "did you mean \"KiB\"?"},
    {HEAD ONE "{class: disk, args: [s], value: s, unit: B, suffixes: all}\n", "binary"},
    {HEAD ONE "{class: disk, args: [s=]}\n", "expected a name without"},
    {HEAD ONE "{class: raw, secret: s}\n", "expected an option"},
    {HEAD ONE "{class: raw, values: [x]}\n", "expected an option with its dashes"},
    {HEAD ONE "{class: raw, values: [-x=y]}\n", "expected an option with its dashes"},
    {HEAD ONE "{class: raw, values: [-x, -x]}\n", "found -x a second time"},
    {HEAD ONE "{class: raw, values: [-x], flags: [-x]}\n", "found -x a second time"},
    {HEAD ONE "{class: raw, values: [\"-x|--y|-x\"]}\n", "found -x a second time"},
    {HEAD ONE "{class: raw, values: [\"-x y\"]}\n", "without blanks"},
    {HEAD ONE "{class: raw, cases: [{class: raw}]}\n", "found class beside cases"},
    {HEAD ONE "{cases: []}\n", "found an empty list"},
    {HEAD ONE "{verbs: [a, a], class: raw}\n", "twice in an entry"},
    {HEAD ONE "{verbs: [\"a  b\"], class: raw}\n", "single blanks"},
    {HEAD ONE "{verbs: [a b c d e f g h i], class: raw}\n", "found a verb of 9 words"},
    {HEAD ONE "{verbs: [\"\xc3\xa9\"], class: raw}\n", "visible ASCII"},
    {HEAD "    others: [a]\n" ONE "{verbs: [a], class: raw}\n", "a second time (first at line 4)"},
    {HEAD "    others: [a, a]\n" ONE "{class: raw}\n", "a second time"},
    {HEAD "    style: gnu\n" ONE "{class: raw}\n", "getopt"},
    {HEAD "    several: yes\n" ONE "{class: raw}\n", "one-word"},
    {HEAD "    bare: ok\n" ONE "{class: raw}\n", "none"},
    {HEAD "    verbs-by-prefix: maybe\n" ONE "{class: raw}\n", "maybe"},
    {HEAD "    multicall: true\n" ONE "{class: raw}\n", "multicall"},
    {HEAD "    ends: [help]\n" ONE "{class: raw}\n", "expected an option"},
};

Test(policy_packs_load, refused)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct err e = ERR_INIT;
        struct packs *packs = fixture_pack_text(refused[i].text, &e);
        if (!refused[i].says) {
            cr_expect(packs, "%s", e.text);
            packs_free(packs);
            continue;
        }
        cr_expect_null(packs, "%s loads", refused[i].text);
        cr_expect(strncmp(e.text, "packs/test.yaml:", 16) == 0, "%s: %s", refused[i].text, e.text);
        cr_expect(strstr(e.text, refused[i].says), "%s: %s, expected %s", refused[i].text, e.text,
                  refused[i].says);
    }
}

static struct packs *pack(const char *text)
{
    struct err e = ERR_INIT;
    struct packs *packs = fixture_pack_text(text, &e);

    cr_assert(packs, "%s", e.text);
    return packs;
}

static void expect(const struct packs *packs, const char *command, const char *classes)
{
    struct classification c;
    struct words argv;
    char names[256];

    cr_assert_eq(words_split(command, strlen(command), &argv, NULL), 0);
    cr_assert_eq(packs_classify(packs, &argv, &c, NULL), 0);
    cr_expect_str_eq(fixture_class_names(packs, c.classes, names), classes, "%s: %s", command,
                     names);
    words_clear(&argv);
}

Test(policy_packs_load, own_classes)
{
    struct packs *packs =
        pack("family: f\nclasses: [gpu]\nprograms:\n  - {names: [p], entries: [{class: gpu}]}\n");

    expect(packs, "p", "gpu");
    cr_expect_eq(packs_class(packs, "memory"), 0u);
    cr_expect_eq(packs_class_count(packs), 2u); /* raw is always there */
    cr_expect_null(packs_class_name(packs, 1u << 31));
    packs_free(packs);
}

/* All of a group, one group of several. */
Test(policy_packs_load, conditions)
{
    struct packs *packs =
        pack(HEAD "    flags: [-a, -b]\n    values: [-c]\n    optional: [-d]\n" ONE
                  "{class: raw, when: [[-a, -b], [-c=x*, word], -d=]}\n");

    expect(packs, "p -a", "-");
    expect(packs, "p -a -b", "raw");
    expect(packs, "p -ba", "raw");
    expect(packs, "p -c xy", "-");
    expect(packs, "p -cxy word", "raw");
    expect(packs, "p word -c xy", "raw");
    expect(packs, "p word -c yx", "-");
    expect(packs, "p -c word", "-");
    expect(packs, "p -d", "raw");
    expect(packs, "p -dx", "-");
    expect(packs, "p -- -a -b", "-");
    expect(packs, "p -", "-");
    packs_free(packs);
}

/* Two verbs that one word could mean, with and without an exact one. */
Test(policy_packs_load, prefixes)
{
    struct packs *packs = pack(HEAD "    verbs-by-prefix: true\n    others: [se, stop, a b c]\n" ONE
                                    "{verbs: [send], class: disk}\n      - "
                                    "{verbs: [set], class: cpu}\n      - "
                                    "{verbs: [a b], class: memory}\n");

    expect(packs, "p send", "disk");
    expect(packs, "p se", "-");
    expect(packs, "p sen", "disk");
    expect(packs, "p s", "cpu,disk");
    expect(packs, "p st", "-");
    expect(packs, "p a b", "memory");
    expect(packs, "p a b c", "-");
    expect(packs, "p a b x", "memory");
    expect(packs, "p a", "raw");
    expect(packs, "p x", "raw");
    packs_free(packs);
}

static const struct {
    const char *text;
    enum pack_unit unit;
    enum pack_suffixes suffixes;
    bool known, relative, negative;
    uint64_t value;
} values[] = {
    {"0", PACK_UNIT_B, PACK_SUFFIX_NONE, true, false, false, 0},
    {"18446744073709551615", PACK_UNIT_B, PACK_SUFFIX_NONE, true, false, false, UINT64_MAX},
    {"18446744073709551616", PACK_UNIT_B, PACK_SUFFIX_NONE, false, false, false, 0},
    {"18014398509481983", PACK_UNIT_KIB, PACK_SUFFIX_NONE, true, false, false,
     UINT64_C(18446744073709550592)},
    {"18014398509481984", PACK_UNIT_KIB, PACK_SUFFIX_NONE, false, false, false, 0},
    {"16777216T", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"15E", PACK_UNIT_B, PACK_SUFFIX_BINARY, true, false, false, UINT64_C(17293822569102704640)},
    {"16E", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"1k", PACK_UNIT_MIB, PACK_SUFFIX_MIXED, true, false, false, 1024},
    {"1K", PACK_UNIT_MIB, PACK_SUFFIX_MIXED, true, false, false, 1024},
    {"1Ki", PACK_UNIT_MIB, PACK_SUFFIX_MIXED, true, false, false, 1024},
    {"1KiB", PACK_UNIT_MIB, PACK_SUFFIX_MIXED, true, false, false, 1024},
    {"1kb", PACK_UNIT_MIB, PACK_SUFFIX_MIXED, true, false, false, 1000},
    {"1KB", PACK_UNIT_MIB, PACK_SUFFIX_BINARY, true, false, false, 1024},
    {"3MB", PACK_UNIT_B, PACK_SUFFIX_MIXED, true, false, false, 3000000},
    {"3MB", PACK_UNIT_B, PACK_SUFFIX_BINARY, true, false, false, 3145728},
    {"7", PACK_UNIT_SECTOR, PACK_SUFFIX_NONE, true, false, false, 3584},
    {"7s", PACK_UNIT_MIB, PACK_SUFFIX_BINARY, true, false, false, 3584},
    {"7s", PACK_UNIT_MIB, PACK_SUFFIX_MIXED, false, false, false, 0},
    {"7b", PACK_UNIT_MIB, PACK_SUFFIX_MIXED, true, false, false, 7},
    {"7bytes", PACK_UNIT_MIB, PACK_SUFFIX_MIXED, true, false, false, 7},
    {"2", PACK_UNIT_MB, PACK_SUFFIX_NONE, true, false, false, 2000000},
    {"2", PACK_UNIT_GB, PACK_SUFFIX_NONE, true, false, false, 2000000000},
    {"2", PACK_UNIT_KB, PACK_SUFFIX_NONE, true, false, false, 2000},
    {"+2", PACK_UNIT_GIB, PACK_SUFFIX_NONE, true, true, false, UINT64_C(2147483648)},
    {"-2", PACK_UNIT_GIB, PACK_SUFFIX_NONE, true, true, true, UINT64_C(2147483648)},
    {"+-2", PACK_UNIT_GIB, PACK_SUFFIX_NONE, false, true, false, 0},
    {"0.5", PACK_UNIT_GIB, PACK_SUFFIX_NONE, true, false, false, 536870912},
    {"0.1K", PACK_UNIT_B, PACK_SUFFIX_BINARY, true, false, false, 103},
    {"1.", PACK_UNIT_GIB, PACK_SUFFIX_NONE, false, false, false, 0},
    {".5", PACK_UNIT_GIB, PACK_SUFFIX_NONE, false, false, false, 0},
    {"1.0000000001G", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"1.999999999E", PACK_UNIT_B, PACK_SUFFIX_BINARY, true, false, false,
     UINT64_C(2305843008060772448)},
    {"1G", PACK_UNIT_B, PACK_SUFFIX_NONE, false, false, false, 0},
    {"1G ", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {" 1", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"1GiBx", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"0x10", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"1e3", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"+", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, true, false, 0},
    {"50%", PACK_UNIT_B, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"4", PACK_UNIT_COUNT, PACK_SUFFIX_BINARY, true, false, false, 4},
    {"4K", PACK_UNIT_COUNT, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"4.0", PACK_UNIT_COUNT, PACK_SUFFIX_BINARY, false, false, false, 0},
    {"0-3", PACK_UNIT_COUNT, PACK_SUFFIX_NONE, false, false, false, 0},
};

Test(policy_packs_load, values)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct classification c = {0};
        pack_value(values[i].text, values[i].unit, values[i].suffixes, &c);
        cr_expect(
            c.value_known == values[i].known && c.value == values[i].value &&
                c.value_relative == values[i].relative && c.value_negative == values[i].negative &&
                c.value_count == (values[i].unit == PACK_UNIT_COUNT),
            "%zu, %s: %d %llu", i, values[i].text, c.value_known, (unsigned long long)c.value);
    }
}

/* As "a|b;c": words parted by "|", commands by ";", "!" where it does not parse. */
static void check_split(bool (*split)(const char *, size_t *, struct words *), const char *text,
                        const char *expected)
{
    char got[400] = "";
    size_t at = 0;
    bool right;

    do {
        struct words words;
        right = split(text, &at, &words);
        for (size_t i = 0; i < words.count; i++)
            strcat(strcat(got, i ? "|" : ""), words.word[i]);
        strcat(got, right ? ";" : "!");
        words_clear(&words);
    } while (right && text[at]);
    cr_expect_str_eq(got, expected, "%s: %s", text, got);
}

Test(policy_packs_load, virsh_text)
{
    check_split(pack_split_virsh, "list", "list;");
    check_split(pack_split_virsh, "a b;c", "a|b;c;");
    check_split(pack_split_virsh, "a b\nc", "a|b;c;");
    check_split(pack_split_virsh, "a 'b;c' d", "a|b;c|d;");
    check_split(pack_split_virsh, "a \"b;\\\"c\" d", "a|b;\"c|d;");
    check_split(pack_split_virsh, "a b\\ c\\;d", "a|b c;d;");
    check_split(pack_split_virsh, "a'b'\"c\"d", "abcd;");
    check_split(pack_split_virsh, "snap\\\nshot", "snapshot;");
    check_split(pack_split_virsh, "a \\\n b", "a|b;");
    check_split(pack_split_virsh, "a # b; c\nd", "a;d;");
    check_split(pack_split_virsh, "a#b c", "a#b|c;");
    check_split(pack_split_virsh, "a 'b", "a|b!");
    check_split(pack_split_virsh, "a \"b", "a|b!");
    check_split(pack_split_virsh, "a b\\", "a|b!");
    check_split(pack_split_virsh, "a '' b", "a||b;");
    check_split(pack_split_virsh, ";;a", ";;a;");
}

Test(policy_packs_load, joined_text)
{
    check_split(pack_split_joined, "list ruleset", "list|ruleset;");
    check_split(pack_split_joined, "a; b\nc", "a;b;c;");
    check_split(pack_split_joined, "a { b ; c } d; e", "a|b|c|d;e;");
    check_split(pack_split_joined, "a {b{c;}} ;d", "a|b|c;d;");
    check_split(pack_split_joined, "a \"b ; c\" d", "a|b ; c|d;");
    check_split(pack_split_joined, "a # b\nc", "a;c;");
    check_split(pack_split_joined, "a }", "a!");
    check_split(pack_split_joined, "a {", "a!");
    check_split(pack_split_joined, "a \"b", "a|!");
    check_split(pack_split_joined, "ab}", "ab!");
    check_split(pack_split_joined, "a;\"b\";}", "a;b;!");
}

Test(policy_packs_load, globs)
{
    cr_expect(pack_glob("*", "", 0) && pack_glob("", "", 0) && !pack_glob("", "a", 1));
    cr_expect(pack_glob("a*b", "ab", 2) && pack_glob("a*b", "axxb", 4));
    cr_expect(!pack_glob("a*b", "axxbc", 5) && pack_glob("*/x/*", "/a/x/b", 6));
    cr_expect(pack_glob("**a", "ba", 2) && !pack_glob("a?", "ab", 2));
}

/* Many of everything on one line: bounded, and never no class. */
Test(policy_packs_load, floods)
{
    static char text[65536];
    struct words argv = {.count = 2, .word = {(char[]){"virsh"}, text}};
    struct classification c;

    for (size_t i = 0; i + 8 < sizeof text; i += 7)
        memcpy(text + i, "edit x;", 8);
    cr_assert_eq(packs_classify(fixture_packs(), &argv, &c, NULL), 0);
    cr_expect(c.classes & packs_class(fixture_packs(), "raw"));
    cr_expect(c.classes & packs_class(fixture_packs(), "snapshot"), "too many count as all");
    memset(text, ';', sizeof text - 1);
    memcpy(text + sizeof text - 20, ";snapshot-create x;", 20);
    cr_assert_eq(packs_classify(fixture_packs(), &argv, &c, NULL), 0);
    cr_expect(c.classes & packs_class(fixture_packs(), "snapshot"));
    argv.word[0] = (char[]){"lvcreate"};
    memset(text, 'q', sizeof text - 1);
    text[0] = '-';
    text[sizeof text - 2] = 's';
    cr_assert_eq(packs_classify(fixture_packs(), &argv, &c, NULL), 0);
    cr_expect(c.classes & packs_class(fixture_packs(), "snapshot"));
    argv.count = 0;
    cr_assert_eq(packs_classify(fixture_packs(), &argv, &c, NULL), 0);
    cr_expect_eq(c.classes, 0u);
}

/* A program within itself until nobody looks any more: all classes, for all that a grant carries.
 */
Test(policy_packs_load, too_deep)
{
    struct classification c;
    struct words argv;

    cr_assert_eq(words_split("lvm lvm lvm lvm lvs", 19, &argv, NULL), 0);
    cr_assert_eq(packs_classify(fixture_packs(), &argv, &c, NULL), 0);
    cr_expect_eq(c.classes, 0u);
    words_clear(&argv);
    cr_assert_eq(words_split("lvm lvm lvm lvm lvcreate -s", 27, &argv, NULL), 0);
    cr_assert_eq(packs_classify(fixture_packs(), &argv, &c, NULL), 0);
    for (unsigned i = 0; i < packs_class_count(fixture_packs()); i++)
        cr_expect(c.classes & UINT32_C(1) << i);
    words_clear(&argv);
}

/* Every truncation is refused; every flipped byte is refused, or is a set that can be used. */
Test(policy_packs_load, hostile_bytes)
{
    struct packs *packs = pack(
        HEAD "    values: [\"-c|--connect\"]\n    others: [list, list all]\n"
             "    verbs-by-prefix: true\n" ONE
             "{verbs: [resize], class: disk, args: [vm, size], vm: vm, value: size, unit: KiB, "
             "strip: x=, when: [[-c=x*, y], z]}\n");
    struct words argv;
    struct buf bytes;

    buf_init(&bytes, PACKS_ENCODED_MAX);
    cr_assert_eq(packs_encode(packs, ~UINT32_C(0), &bytes), 0);
    cr_assert_eq(words_split("p resize -c xx y 3", 18, &argv, NULL), 0);
    for (size_t len = 0; len < buf_len(&bytes); len++) {
        struct err e = ERR_INIT;
        cr_expect_null(packs_decode(buf_head(&bytes), len, &e), "%zu bytes", len);
        cr_expect_eq(e.code, ERR_PROTOCOL);
    }
    uint8_t *copy = malloc(buf_len(&bytes) + 1);
    for (size_t i = 0; i < buf_len(&bytes) * 256; i++) {
        struct classification c;
        memcpy(copy, buf_head(&bytes), buf_len(&bytes));
        copy[i / 256] = (uint8_t)i;
        struct packs *got = packs_decode(copy, buf_len(&bytes), NULL);
        if (got)
            cr_expect_eq(packs_classify(got, &argv, &c, NULL), 0);
        packs_free(got);
    }
    memcpy(copy, buf_head(&bytes), buf_len(&bytes));
    copy[buf_len(&bytes)] = 0;
    cr_expect_null(packs_decode(copy, buf_len(&bytes) + 1, NULL), "a byte is left over");
    free(copy);
    words_clear(&argv);
    buf_clear(&bytes);
    packs_free(packs);
}

/* Too much for a grant is said, not cut. */
Test(policy_packs_load, too_large)
{
    static char text[400000];
    size_t at = (size_t)sprintf(text, "family: f\nprograms:\n");
    struct buf small;

    for (unsigned p = 0; p < 120; p++) {
        at += (size_t)sprintf(text + at, "  - names: [p%u]\n    others: [", p);
        for (unsigned v = 0; v < 120; v++)
            at += (size_t)sprintf(text + at, "%sv%u%.*s", v ? ", " : "", (v * 7919 + p) % 10007, 8,
                                  "abcdefghijkl" + v % 4);
        at += (size_t)sprintf(text + at, "]\n    entries: [{verbs: [x], class: raw}]\n");
    }
    struct packs *packs = pack(text);
    struct buf bytes;
    buf_init(&bytes, PACKS_ENCODED_MAX);
    cr_expect_eq(packs_encode(packs, ~UINT32_C(0), &bytes), ERR_FULL);
    cr_expect_eq(buf_len(&bytes), 0u);
    buf_init(&small, 100);
    cr_expect_eq(packs_encode(fixture_packs(), packs_class(fixture_packs(), "cpu"), &small),
                 ERR_FULL);
    packs_free(packs);
}
