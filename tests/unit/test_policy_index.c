/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of roles against the selectors themselves, over random sets: every role and every
 * target, with and without the index. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/role_index.h"
#include "tests/unit/policy_fixture.h"

static unsigned seed;

static unsigned pick(unsigned count)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % count;
}

#define TARGETS 30
#define ROLES   200 /* four words of bits */

static void make_targets(char *out, size_t cap)
{
    size_t at = (size_t)snprintf(out, cap, "targets:\n");

    for (unsigned i = 0; i < TARGETS; i++) {
        at +=
            (size_t)snprintf(out + at, cap - at,
                             "  t%u: {address: 10.0.0.%u, aliases: [u%u], labels: {", i, i + 1, i);
        for (unsigned key = 0, n = 0; key < 5; key++) {
            if (pick(3))
                at += (size_t)snprintf(out + at, cap - at, "%sk%u: v%u", n++ ? ", " : "", key,
                                       pick(4));
        }
        at += (size_t)snprintf(out + at, cap - at, "}}\n");
    }
}

static void make_role(char *out, size_t cap, unsigned number)
{
    size_t at = (size_t)snprintf(out, cap, "role: r%u\nmembers: [alice]\ntargets: {", number);
    unsigned n = 0;

    if (!pick(6)) {
        at += (size_t)snprintf(out + at, cap - at, "all: true");
        n++;
    } else {
        for (unsigned key = 0; key < 4; key++) {
            if (!pick(3))
                at += (size_t)snprintf(out + at, cap - at, "%sk%u: [v%u, v%u]", n++ ? ", " : "",
                                       key, pick(3), 3 + pick(3));
        }
        if (!n || !pick(4))
            at +=
                (size_t)snprintf(out + at, cap - at, "%sname: [t%u, u%u, t%u]", n++ ? ", " : "",
                                 pick(TARGETS / 2), pick(TARGETS), TARGETS / 2 + pick(TARGETS / 2));
    }
    snprintf(out + at, cap - at, "}\naccounts: [root]\nallow: {exec: true}\n");
}

Test(policy_index, as_the_selectors)
{
    static char roles[ROLES][600], names[ROLES][40], targets[16384];
    static struct fixture_file files[ROLES + 2];
    size_t selected = 0, all = 0;

    for (unsigned round = 1; round <= 60; round++) {
        struct err e = ERR_INIT;
        struct buf block;
        seed = round;
        const unsigned count = round % 4 ? 1 + pick(ROLES) : 64 * (1 + round / 4 % 3);
        buf_init(&block, 1 << 20);
        make_targets(targets, sizeof targets);
        for (unsigned i = 0; i < count; i++) {
            make_role(roles[i], sizeof roles[i], i);
            snprintf(names[i], sizeof names[i], "roles.d/r%03u.yaml", i);
            files[1 + i] = (struct fixture_file){names[i], roles[i]};
        }
        files[0] = (struct fixture_file){"operators.yaml", fixture_operators};
        files[1 + count] = (struct fixture_file){"targets.yaml", targets};
        fixture_put(&block, files, count + 2);
        struct policy *p = policy_load(buf_head(&block), buf_len(&block), NULL, &e);
        buf_clear(&block);
        cr_assert_not_null(p, "%s", e.text);
        cr_assert_not_null(p->index.rows);
        for (size_t t = 0; t < p->target_count; t++) {
            struct role_filter filter, backwards;
            role_filter_begin(&filter, p, &p->targets[t]);
            role_filter_begin(&backwards, p, &p->targets[t]);
            for (uint32_t i = 0; i < p->role_count; i++) {
                const uint32_t other = (uint32_t)p->role_count - 1 - i;
                const bool plain = role_selects(&p->roles[i], &p->targets[t]);
                cr_assert_eq(role_filter_selects(&filter, i), plain, "round %u, role %s, target %s",
                             round, p->roles[i].name, p->targets[t].pub.name);
                cr_assert_eq(role_filter_selects(&backwards, other),
                             role_selects(&p->roles[other], &p->targets[t]));
                selected += plain;
                all++;
            }
        }
        role_index_clear(p);
        struct role_filter none;
        role_filter_begin(&none, p, &p->targets[0]);
        cr_expect_eq(role_filter_selects(&none, 0), role_selects(&p->roles[0], &p->targets[0]));
        policy_free(p);
    }
    cr_expect(selected > all / 20 && selected < all / 2, "%zu of %zu", selected, all);
}

/* More keys than the index has room for: selectors are compared, nothing else changes. */
Test(policy_index, too_many_keys)
{
    static char roles[3][4096], targets[8192];
    struct fixture_file files[] = {
        {"roles.d/a.yaml", roles[0]}, {"roles.d/b.yaml", roles[1]}, {"targets.yaml", targets}};
    struct err e = ERR_INIT;

    for (unsigned keys = INDEX_KEYS_MAX; keys <= INDEX_KEYS_MAX + 1; keys++) {
        size_t at = (size_t)sprintf(targets, "targets:\n  a: {address: 10.0.0.1, labels: {");
        for (unsigned i = 0; i < INDEX_KEYS_MAX; i++)
            at += (size_t)sprintf(targets + at, "%sk%u: v", i ? ", " : "", i);
        sprintf(targets + at, "}}\n  b: {address: 10.0.0.2}\n");
        at = (size_t)sprintf(roles[0], "role: a\nmembers: [alice]\naccounts: [root]\nallow: {exec: "
                                       "true}\ntargets: {");
        for (unsigned i = 0; i < INDEX_KEYS_MAX; i++)
            at += (size_t)sprintf(roles[0] + at, "%sk%u: v", i ? ", " : "", i);
        sprintf(roles[0] + at, "}\n");
        sprintf(roles[1],
                "role: b\nmembers: [alice]\naccounts: [root]\nallow: {exec: true}\ntargets: "
                "{k%u: v}\n",
                keys - 1);
        struct policy *p = fixture_load_files(files, 3, NULL, &e);
        cr_assert_not_null(p, "%s", e.text);
        cr_expect_eq(p->index.rows == NULL, keys > INDEX_KEYS_MAX);
        for (size_t t = 0; t < 2; t++) {
            struct role_filter f;
            role_filter_begin(&f, p, &p->targets[t]);
            cr_expect_eq(role_filter_selects(&f, 0), t == 0);
            cr_expect_eq(role_filter_selects(&f, 1), t == 0 && keys == INDEX_KEYS_MAX);
        }
        policy_free(p);
    }
}
