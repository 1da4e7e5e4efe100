/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests and approvers.yaml: every line wrong, with the place; there is one text for a manifest;
 * a set that differs from its manifest in anything is named. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/approvers.h"
#include "policy/manifest.h"
#include "tests/unit/policy_fixture.h"

#define H        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD     "sallyport-policy-manifest 1\n"
#define GOOD     HEAD "serial 7\nprevious " H "\n"
#define FILES    H "  operators.yaml\n" H "  targets.yaml\n"
#define X17      "xxxxxxxxxxxxxxxxx"
#define X85      X17 X17 X17 X17 X17
#define NAME_255 X85 X85 X85

static const struct {
    const char *text, *error; /* NULL: it is one */
} manifests[] = {
    {GOOD FILES, NULL},
    {HEAD "serial 999999999999999999\nprevious none\n" H "  a b\n", NULL},
    {GOOD H "  " NAME_255 "\n", NULL},
    {GOOD H "  r\xc3\xb6le.yaml\n", NULL},
    {"", "manifest:1:1: found the end, expected \"sallyport-policy-manifest 1\""},
    {"\n", "manifest:1:1: found the line's end, expected \"sallyport-policy-manifest 1\""},
    {"sallyport-policy-manifest 2\n", "manifest:1:27: found \"2\", expected version 1"},
    {"sallyport-policy-manifest 11\n", "manifest:1:27: found \"11\", expected version 1"},
    {"sallyport-policy-manifest \n", "manifest:1:27: found the line's end, expected version 1"},
    {" sallyport-policy-manifest 1\n", "manifest:1:1: found \" sallyport"},
    {"sallyport-policy-manifest 1", "manifest:1:28: found the end within a line"},
    {"sallyport-policy-manifest 1\r\n", "manifest:1:27: found \"1\\x0d\", expected version 1"},
    {HEAD, "manifest:2:1: found the end, expected \"serial N\""},
    {HEAD "previous none\n", "manifest:2:1: found \"previous none\", expected \"serial \""},
    {HEAD "serial \n", "manifest:2:8: found the line's end"},
    {HEAD "serial 0\n", "manifest:2:8: found \"0\""},
    {HEAD "serial 07\n", "manifest:2:8: found \"07\""},
    {HEAD "serial -7\n", "manifest:2:8: found \"-7\""},
    {HEAD "serial 7 \n", "manifest:2:9: found \" \""},
    {HEAD "serial 7x\n", "manifest:2:9: found \"x\""},
    {HEAD "serial 1000000000000000000\n", "manifest:2:8: found \"1000000000000000000\""},
    {HEAD "serial 7", "manifest:2:9: found the end within a line"},
    {HEAD "serial 7\n", "manifest:3:1: found the end, expected \"previous HASH\""},
    {HEAD "serial 7\nprevious\n", "manifest:3:1: found \"previous\""},
    {HEAD "serial 7\nprevious None\n", "manifest:3:10: found \"None\""},
    {HEAD "serial 7\nprevious none \n", "manifest:3:10: found \"none \""},
    {HEAD "serial 7\nprevious " H "0\n", "manifest:3:10: found \"" H "0\""},
    {HEAD "serial 7\nprevious A" H "\n", "manifest:3:10: found \"A"},
    {GOOD, "manifest:4:1: found the end, expected the line of a file"},
    {GOOD "\n", "manifest:4:1: found the line's end, expected SHA-256"},
    {GOOD H "\n", "manifest:4:65: found the line's end, expected two blanks"},
    {GOOD H " a\n", "manifest:4:65: found \" a\", expected two blanks"},
    {GOOD H " *a\n", "manifest:4:65: found \" *a\", expected two blanks"},
    {GOOD H "  \n", "manifest:4:67: found the line's end, expected a file's name of 1 to 255"},
    {GOOD H "  x" NAME_255 "\n", "manifest:4:67: found \"xxx"},
    {GOOD H "  a\tb\n", "manifest:4:68: found \"\\x09b\""},
    {GOOD H "  a\\b\n", "manifest:4:68: found \"\\\\b\""},
    {GOOD H "  a\x7f\n", "manifest:4:68: found"},
    {GOOD H "  b\n" H "  b\n", "manifest:5:67: found \"b\", expected a name that comes after"},
    {GOOD H "  b\n" H "  a\n", "manifest:5:67: found \"a\", expected a name that comes after"},
    {GOOD H "  ab\n" H "  a\n", "manifest:5:67: found \"a\", expected a name that comes after"},
    {GOOD FILES "\n", "manifest:6:1: found the line's end"},
    {GOOD FILES H "  x", "manifest:6:68: found the end within a line"},
    {GOOD "0123456789ABCDEF" H "  x\n", "manifest:4:1: found \"0123456789ABCDEF"},
};

Test(policy_manifest, lines)
{
    for (size_t i = 0; i < sizeof manifests / sizeof *manifests; i++) {
        struct manifest m;
        struct err e = ERR_INIT;
        const char *text = manifests[i].text, *error = manifests[i].error;
        int rc = manifest_parse(text, strlen(text), &m, &e);

        cr_expect_eq(rc, error ? ERR_SYNTAX : 0, "%zu: %s", i, e.text);
        cr_expect_eq(strncmp(e.text, error ? error : "", error ? strlen(error) : 1), 0,
                     "%zu: found %s, expected %s", i, e.text, error ? error : "");
    }
}

Test(policy_manifest, no_nul_and_no_other_byte)
{
    static const char text[] = GOOD FILES;

    for (size_t at = 0; at < sizeof text - 1; at++) {
        char copy[sizeof text];
        struct manifest m;

        memcpy(copy, text, sizeof text);
        copy[at] = '\0';
        cr_expect_eq(manifest_parse(copy, sizeof text - 1, &m, NULL), ERR_SYNTAX, "%zu", at);
        cr_expect_eq(manifest_parse(text, at, &m, NULL) == 0,
                     at == strlen(GOOD H "  operators.yaml\n"), "cut at %zu", at);
    }
}

static void block_of(struct buf *out, const struct fixture_file *files, size_t count)
{
    buf_init(out, 1 << 20);
    fixture_put(out, files, count);
}

static const struct fixture_file set[] = {
    {"approvals/bob.sig", "s"},   {"approvers.yaml", "a"}, {"manifest", "m"},
    {"manifest.author.sig", "s"}, {"operators.yaml", "o"}, {"roles.d/a.yaml", ""},
    {"sallyport.yaml", "c"},      {"targets.yaml", "t"},
};

Test(policy_manifest, written_and_read)
{
    /* printf a | sha256sum, ... */
    static const char expected[] =
        HEAD "serial 3\nprevious none\n"
             "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  approvers.yaml\n"
             "65c74c15a686187bb6bbf9958f494fc6b80068034a659a9ad44991b08c58f2d2  operators.yaml\n"
             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  roles.d/a.yaml\n"
             "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6  sallyport.yaml\n"
             "e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8  targets.yaml\n";
    struct buf block, text;
    struct manifest m;
    struct err e = ERR_INIT;

    block_of(&block, set, 8);
    buf_init(&text, MANIFEST_MAX);
    cr_assert_eq(manifest_write(3, NULL, buf_head(&block), buf_len(&block), &text, &e), 0, "%s",
                 e.text);
    cr_assert_eq(buf_len(&text), strlen(expected), "%.*s", (int)buf_len(&text), buf_head(&text));
    cr_expect_eq(memcmp(buf_head(&text), expected, strlen(expected)), 0, "%.*s",
                 (int)buf_len(&text), buf_head(&text));
    cr_assert_eq(manifest_parse(buf_head(&text), buf_len(&text), &m, &e), 0, "%s", e.text);
    cr_expect_eq(m.serial, 3);
    cr_expect(m.first);
    cr_expect_eq(m.count, 5);
    cr_expect_eq(manifest_covers(&m, buf_head(&block), buf_len(&block), &e), 0, "%s", e.text);

    buf_clear(&text);
    cr_expect_eq(manifest_write(0, NULL, buf_head(&block), buf_len(&block), &text, &e), ERR_INPUT);
    cr_expect_eq(
        manifest_write(MANIFEST_SERIAL_MAX + 1, NULL, buf_head(&block), buf_len(&block), &text, &e),
        ERR_INPUT);
    buf_clear(&text);
    buf_clear(&block);
}

Test(policy_manifest, names_that_cannot_be_listed)
{
    static const struct fixture_file files[] = {{"roles.d/a\nb.yaml", ""}};
    struct buf block, text;
    struct err e = ERR_INIT;

    block_of(&block, files, 1);
    buf_init(&text, MANIFEST_MAX);
    cr_expect_eq(manifest_write(3, NULL, buf_head(&block), buf_len(&block), &text, &e), ERR_INPUT);
    cr_expect(strstr(e.text, "roles.d/a\\x0ab.yaml"), "%s", e.text);
    buf_clear(&text);
    buf_clear(&block);
}

static const struct {
    const char *name, *text; /* set[5] and set[6] in its place: "roles.d/..." */
    const char *error;       /* NULL: it is the set */
} changes[] = {
    {"roles.d/a.yaml", "", NULL},
    {"roles.d/a.yaml", "x", "roles.d/a.yaml: was changed"},
    {"roles.d/b.yaml", "", "roles.d/a.yaml: is listed in the manifest, and not"},
    {"roles.d/A.yaml", "", "roles.d/A.yaml: is in the policy set, and the manifest does not"},
    {"roles.d/a.yaml.yaml", "", "roles.d/a.yaml: is listed in the manifest, and not"},
    {"roles.d/a.yam", "", "roles.d/a.yam: is in the policy set, and the manifest does not"},
};

Test(policy_manifest, sets_that_differ)
{
    struct buf block, text, other;
    struct manifest m;
    struct err e = ERR_INIT;

    block_of(&block, set, 8);
    buf_init(&text, MANIFEST_MAX);
    cr_assert_eq(manifest_write(3, NULL, buf_head(&block), buf_len(&block), &text, &e), 0);
    cr_assert_eq(manifest_parse(buf_head(&text), buf_len(&text), &m, &e), 0);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct fixture_file files[8];
        struct err why = ERR_INIT;

        memcpy(files, set, sizeof set);
        files[5] = (struct fixture_file){changes[i].name, changes[i].text};
        block_of(&other, files, 8);
        cr_expect_eq(manifest_covers(&m, buf_head(&other), buf_len(&other), &why),
                     changes[i].error ? ERR_TAMPERED : 0, "%zu: %s", i, why.text);
        if (changes[i].error)
            cr_expect_eq(strncmp(why.text, changes[i].error, strlen(changes[i].error)), 0,
                         "%zu: %s", i, why.text);
        buf_clear(&other);
    }
    /* One less and one more, first and last. */
    const struct {
        size_t from, count;
        const char *error;
    } parts[] = {
        {0, 7, "targets.yaml: is listed"},
        {4, 4, "approvers.yaml: is listed"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct err why = ERR_INIT;
        block_of(&other, set + parts[i].from, parts[i].count);
        cr_expect_eq(manifest_covers(&m, buf_head(&other), buf_len(&other), &why), ERR_TAMPERED);
        cr_expect(strstr(why.text, parts[i].error), "%s", why.text);
        buf_clear(&other);
    }
    struct fixture_file more[9] = {{"aaa", "x"}};
    memcpy(more + 1, set, sizeof set);
    struct err why = ERR_INIT;
    block_of(&other, more, 9);
    cr_expect_eq(manifest_covers(&m, buf_head(&other), buf_len(&other), &why), ERR_TAMPERED);
    cr_expect(strstr(why.text, "aaa: is in the policy set"), "%s", why.text);
    buf_clear(&other);
    buf_clear(&text);
    buf_clear(&block);
}

/* --- approvers.yaml */

#define KEY_SK                                                                                     \
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIN5DFjQgTKttNilRUj1c"  \
    "T3zNREuCY+3BLLSkDZ6rrWfGAAAABHNzaDo="
#define TWO "people: {alice: {keys: [\"" KEY_A "\"]}, bob: {keys: [\"" KEY_B "\"]}}\n"

static const struct {
    const char *text, *error;
} lists[] = {
    {"approvers: 1\n" TWO, NULL},
    {"approvers: 1\npeople:\n  alice: {keys: [\"" KEY_A " x\", \"" KEY_SK
     "\"]}\n  bob: {keys: [\"" KEY_RSA_3072 "\"]}\n",
     NULL},
    {"", "approvers.yaml:1:1: "},
    {"approvers: 1\n", "approvers.yaml:1:1: "},
    {TWO, "approvers.yaml:1:1: "},
    {"approvers: 0\n" TWO, "approvers.yaml:1:12: found \"0\""},
    {"approvers: 17\n" TWO, "approvers.yaml:1:12: found \"17\""},
    {"approvers: some\n" TWO, "approvers.yaml:1:12: found \"some\""},
    {"approvers: [1]\n" TWO, "approvers.yaml:1:12: found a list"},
    {"aprovers: 1\n" TWO,
     "approvers.yaml:1:1: unknown key \"aprovers\" (did you mean \"approvers\"?)"},
    {"approvers: 1\npeople: [alice]\n", "approvers.yaml:2:9: found a list, expected a map"},
    {"approvers: 2\n" TWO, "approvers.yaml:2:9: found 2 people, expected at least 3"},
    {"approvers: 1\npeople: {alice: {keys: [\"" KEY_A "\"]}}\n",
     "approvers.yaml:2:9: found 1 people, expected at least 2"},
    {"approvers: 1\npeople: {alice: {keys: [\"" KEY_A "\"]}, alice: {keys: [\"" KEY_B "\"]}}\n",
     "approvers.yaml:2:"},
    {"approvers: 1\npeople: {alice: {keys: [\"" KEY_A "\"]}, bob: {keys: [\"" KEY_A " again\"]}}\n",
     "approvers.yaml:2:124: found the key " FINGERPRINT_A ", which is also a key of alice"},
    {"approvers: 1\npeople: {alice: {keys: [\"" KEY_A "\", \"" KEY_A "\"]}, bob: {keys: [\"" KEY_B
     "\"]}}\n",
     "approvers.yaml:2:109: found the key " FINGERPRINT_A ", which is also a key of alice"},
    {"approvers: 1\npeople: {alice: {keys: []}, bob: {keys: [\"" KEY_B "\"]}}\n",
     "approvers.yaml:2:24: found an empty list"},
    {"approvers: 1\npeople: {alice: {key: x}, bob: {keys: [\"" KEY_B "\"]}}\n",
     "approvers.yaml:2:18: unknown key \"key\" (did you mean \"keys\"?)"},
    {"approvers: 1\npeople: {alice: {}, bob: {keys: [\"" KEY_B "\"]}}\n", "approvers.yaml:2:17: "},
    {"approvers: 1\npeople: {../x: {keys: [\"" KEY_A "\"]}, bob: {keys: [\"" KEY_B "\"]}}\n",
     "approvers.yaml:2:10: found \"../x\", expected an operator's name"},
    {"approvers: 1\npeople: {alice: {keys: [x]}, bob: {keys: [\"" KEY_B "\"]}}\n",
     "approvers.yaml:2:25: found a key of type \"x\""},
    {"approvers: 1\npeople: {alice: {keys: [\"" KEY_RSA_2048 "\"]}, bob: {keys: [\"" KEY_B
     "\"]}}\n",
     "approvers.yaml:2:25: found an RSA key of 2048 bits"},
    {"approvers: 1\npeople: {alice: {keys: [\"ecdsa-sha2-nistp384 AAAA\"]}, bob: {keys: [\"" KEY_B
     "\"]}}\n",
     "approvers.yaml:2:25: found a key of type ecdsa-sha2-nistp384"},
};

Test(policy_approvers, lists)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct err e = ERR_INIT;
        const char *error = lists[i].error;
        struct approvers *a =
            approvers_parse("approvers.yaml", lists[i].text, strlen(lists[i].text), &e);

        cr_expect_eq(!a, !!error, "%zu: %s", i, e.text);
        if (error)
            cr_expect_eq(strncmp(e.text, error, strlen(error)), 0, "%zu: found %s, expected %s", i,
                         e.text, error);
        approvers_free(a);
    }
}

Test(policy_approvers, too_long)
{
    char *text = calloc(1, APPROVERS_FILE_MAX + 2);
    struct err e = ERR_INIT;

    memset(text, '\n', APPROVERS_FILE_MAX + 1);
    memcpy(text, "approvers: 1\n" TWO, strlen("approvers: 1\n" TWO));
    struct approvers *a = approvers_parse("approvers.yaml", text, APPROVERS_FILE_MAX, &e);
    cr_expect(a, "%s", e.text);
    approvers_free(a);
    cr_expect_null(approvers_parse("approvers.yaml", text, APPROVERS_FILE_MAX + 1, &e));
    free(text);
}

Test(policy_approvers, part_of_a_set)
{
    static const struct fixture_file files[] = {{"approvers.yaml", "approvers: 1\npeople: {}\n"},
                                                {"operators.yaml", "operators: {}\n"},
                                                {"sallyport.yaml", "whatever\n"},
                                                {"targets.yaml", "targets: {}\n"}};
    struct err e = ERR_INIT;
    struct buf block;

    block_of(&block, files, 4);
    cr_expect_null(policy_load(buf_head(&block), buf_len(&block), NULL, &e));
    cr_expect(strstr(e.text, "approvers.yaml:2:9: found 0 people"), "%s", e.text);
    buf_clear(&block);
    block_of(&block, files + 1, 3);
    struct policy *p = policy_load(buf_head(&block), buf_len(&block), NULL, &e);
    cr_expect(p, "%s", e.text);
    policy_free(p);
    buf_clear(&block);
}
