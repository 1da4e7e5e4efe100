/* SPDX-License-Identifier: Apache-2.0
 *
 * The shipped packs against the tables of commands, directly and as a grant carries them: each
 * class alone, and all. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/packs_fixture.h"

struct seen {
    uint32_t classes;
    char vm[256];
    struct classification value; /* of the first entry that has one */
};

static int see(void *arg, const struct classification *one)
{
    struct seen *s = arg;

    cr_assert(one->classes && one->family[0] && strchr(one->entry, ':'));
    s->classes |= one->classes;
    if (!s->vm[0])
        strcpy(s->vm, one->vm);
    if (!s->value.value_text[0])
        s->value = *one;
    return 0;
}

static void split(const char *command, struct words *argv)
{
    struct err e = ERR_INIT;

    cr_assert_eq(words_split(command, strlen(command), argv, &e), 0, "%s: %s", command, e.text);
}

static void classify(const struct packs *packs, const struct words *argv, struct seen *s)
{
    struct err e = ERR_INIT;

    memset(s, 0, sizeof *s);
    cr_assert_eq(packs_each(packs, argv, see, s, &e), 0, "%s", e.text);
}

static void value_text(const struct classification *c, char out[64])
{
    if (!c->value_text[0])
        strcpy(out, "none");
    else if (!c->value_known)
        strcpy(out, "?");
    else
        snprintf(out, 64, "%s%llu",
                 c->value_negative   ? "-"
                 : c->value_relative ? "+"
                                     : "",
                 (unsigned long long)c->value);
}

static unsigned check_case(const struct packs_case *c)
{
    const struct packs *packs = fixture_packs();
    char names[256], value[64];
    struct words argv;
    struct seen s;
    unsigned wrong = 0;

    split(c->command, &argv);
    classify(packs, &argv, &s);
    if (strcmp(fixture_class_names(packs, s.classes, names), c->classes) != 0)
        wrong += (unsigned)fprintf(stderr, "%s: found class %s, expected %s\n", c->command, names,
                                   c->classes);
    if (c->vm && strcmp(s.vm, c->vm) != 0)
        wrong += (unsigned)fprintf(stderr, "%s: found VM \"%s\", expected \"%s\"\n", c->command,
                                   s.vm, c->vm);
    value_text(&s.value, value);
    if (c->value && strcmp(value, c->value) != 0)
        wrong += (unsigned)fprintf(stderr, "%s: found value %s, expected %s\n", c->command, value,
                                   c->value);
    words_clear(&argv);
    return wrong;
}

static void check_cases(const struct packs_case *cases, size_t count)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < count; i++)
        wrong += check_case(&cases[i]) != 0;
    cr_assert_eq(wrong, 0, "%u of %zu commands are classified wrongly", wrong, count);
}

Test(policy_packs, hypervisors)
{
    check_cases(packs_cases_hypervisors, packs_cases_hypervisors_count);
}

Test(policy_packs, clouds)
{
    check_cases(packs_cases_clouds, packs_cases_clouds_count);
}

Test(policy_packs, host)
{
    check_cases(packs_cases_host, packs_cases_host_count);
}

/* A grant finds of its classes what the set finds. */
static void check_carried(uint32_t classes, const struct packs *carried,
                          const struct packs_case *cases, size_t count)
{
    char all[256], some[256];

    for (size_t i = 0; i < count; i++) {
        struct words argv;
        struct seen whole, part;
        split(cases[i].command, &argv);
        classify(fixture_packs(), &argv, &whole);
        classify(carried, &argv, &part);
        fixture_class_names(fixture_packs(), whole.classes & classes, all);
        fixture_class_names(fixture_packs(), part.classes, some);
        cr_expect_str_eq(some, all, "%s: carried %s, whole %s", cases[i].command, some, all);
        words_clear(&argv);
    }
}

static void check_classes(uint32_t classes, size_t max)
{
    struct err e = ERR_INIT;
    char names[256];
    struct buf bytes;

    buf_init(&bytes, PACKS_ENCODED_MAX);
    cr_assert_eq(packs_encode(fixture_packs(), classes, &bytes), 0);
    fixture_class_names(fixture_packs(), classes, names);
    cr_expect_leq(buf_len(&bytes), max, "%s: %zu bytes", names, buf_len(&bytes));
    struct packs *carried = packs_decode(buf_head(&bytes), buf_len(&bytes), &e);
    cr_assert(carried, "%s", e.text);
    check_carried(classes, carried, packs_cases_hypervisors, packs_cases_hypervisors_count);
    check_carried(classes, carried, packs_cases_clouds, packs_cases_clouds_count);
    check_carried(classes, carried, packs_cases_host, packs_cases_host_count);

    struct buf again; /* what was carried is all of it */
    buf_init(&again, PACKS_ENCODED_MAX);
    cr_assert_eq(packs_encode(carried, ~UINT32_C(0), &again), 0);
    cr_expect(buf_len(&again) == buf_len(&bytes) &&
              memcmp(buf_head(&again), buf_head(&bytes), buf_len(&bytes)) == 0);
    buf_clear(&again);
    packs_free(carried);
    buf_clear(&bytes);
}

Test(policy_packs, carried_by_class)
{
    const struct packs *packs = fixture_packs();

    for (unsigned i = 0; i < CLASSES_MAX; i++) {
        const uint32_t bit = UINT32_C(1) << i;
        const char *name = packs_class_name(packs, bit);
        if (!name)
            continue;
        cr_expect_eq(packs_class(packs, name), bit);
        check_classes(bit, strcmp(name, "raw") == 0 ? 65536 : 16384);
    }
    check_classes(packs_class(packs, "snapshot") | packs_class(packs, "memory"), 16384);
}

Test(policy_packs, carried_all)
{
    check_classes(~UINT32_C(0) >> (CLASSES_MAX - packs_class_count(fixture_packs())), 98304);
}

/* The first entry gives the rest, all give classes. */
Test(policy_packs, summary)
{
    struct classification c;
    struct words argv;

    split("qm set 100 -memory 4096 -cores 4", &argv);
    cr_assert_eq(packs_classify(fixture_packs(), &argv, &c, NULL), 0);
    cr_expect_eq(c.classes,
                 packs_class(fixture_packs(), "memory") | packs_class(fixture_packs(), "cpu"));
    cr_expect_str_eq(c.vm, "100");
    cr_expect_eq(c.value, UINT64_C(4294967296));
    cr_expect_str_eq(c.family, "proxmox");
    cr_expect(strncmp(c.entry, "proxmox.yaml:", 13) == 0);
    words_clear(&argv);
}

/* A password is in no value, and its word is known. */
Test(policy_packs, passwords)
{
    static const char *const commands[] = {
        "hdparm --user-master u --security-erase PASSWORD /dev/sdb",
        "hdparm --security-erase-enhanced PASSWORD /dev/sdb",
        "hdparm --security-erase=PASSWORD /dev/sdb",
        "hdparm --security-set-pass PASSWORD /dev/sdb",
        "hdparm --security-unlock PASSWORD /dev/sdb",
    };

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct classification c;
        struct words argv;
        split(commands[i], &argv);
        cr_assert_eq(packs_classify(fixture_packs(), &argv, &c, NULL), 0);
        cr_assert(c.secret_word && c.secret_word < argv.count, "%s", commands[i]);
        cr_expect(strstr(argv.word[c.secret_word], "PASSWORD"), "%s", commands[i]);
        cr_expect_str_eq(c.vm, "/dev/sdb");
        cr_expect_str_eq(c.value_text, "");
        words_clear(&argv);
    }
}
