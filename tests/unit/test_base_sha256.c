/* SPDX-License-Identifier: Apache-2.0
 *
 * base/sha256.c and sha256_pair.c against OpenSSL's one-shot digest: streams of all lengths around
 * the blocks, cut anywhere, alone and two at once, on the CPU's way and on OpenSSL's. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/sha256.h"

#define MESSAGE 9000u

static uint8_t one[MESSAGE], other[MESSAGE];

static void setup(void)
{
    uint32_t x = 1;

    for (unsigned i = 0; i < MESSAGE; i++) {
        x = x * 1664525u + 1013904223u;
        one[i] = (uint8_t)(x >> 24);
        other[i] = (uint8_t)(x >> 16);
    }
}

static void teardown(void)
{
    sha256_allow_pairs(true);
}

TestSuite(base_sha256, .init = setup, .fini = teardown);

static void expect(const struct sha256 *s, const uint8_t *message, size_t len)
{
    uint8_t got[SHA256_SIZE], want[SHA256_SIZE];

    sha256_value(s, got);
    cr_assert_eq(EVP_Digest(message, len, want, NULL, EVP_sha256(), NULL), 1);
    cr_expect_arr_eq(got, want, sizeof want, "%zu bytes", len);
}

Test(base_sha256, every_length_alone)
{
    for (int pairs = 0; pairs < 2; pairs++) {
        struct sha256 s;

        sha256_allow_pairs(pairs);
        cr_assert_eq(sha256_init(&s, EVP_sha256()), 0);
        cr_expect_eq(s.ctx == NULL, pairs && sha256_pair_pays());
        for (size_t len = 0; len <= 300; len++) {
            sha256_restart(&s);
            sha256_update(&s, one, len);
            expect(&s, one, len);
        }
        sha256_clear(&s);
    }
}

Test(base_sha256, a_value_does_not_end_the_stream)
{
    for (int pairs = 0; pairs < 2; pairs++) {
        struct sha256 s;

        sha256_allow_pairs(pairs);
        cr_assert_eq(sha256_init(&s, EVP_sha256()), 0);
        for (size_t len = 0; len < 1000; len += 7) {
            expect(&s, one, len);
            sha256_update(&s, one + len, 7);
        }
        sha256_clear(&s);
    }
}

/* Pieces of lengths that are no multiple of anything, of both at once. */
static void two(unsigned step, unsigned other_step)
{
    struct sha256 a, b;
    size_t alen = 0, blen = 0;

    cr_assert_eq(sha256_init(&a, EVP_sha256()), 0);
    cr_assert_eq(sha256_init(&b, EVP_sha256()), 0);
    for (unsigned i = 0; i < 12; i++) {
        size_t m = (i * 31 + step) % (2 * step + 1), n = (i * 17 + other_step) % (2 * other_step);

        if (alen + m > MESSAGE || blen + n > MESSAGE)
            break;
        sha256_update_two(&a, one + alen, m, &b, other + blen, n);
        alen += m;
        blen += n;
        expect(&a, one, alen);
        expect(&b, other, blen);
    }
    sha256_clear(&a);
    sha256_clear(&b);
}

Test(base_sha256, two_at_once)
{
    static const unsigned steps[] = {1, 5, 63, 64, 65, 128, 200, 700};
    const size_t n = sizeof steps / sizeof steps[0];

    for (int pairs = 0; pairs < 2; pairs++) {
        sha256_allow_pairs(pairs);
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < n; k++)
                two(steps[i], steps[k]);
    }
}

Test(base_sha256, beside_takes_no_more_than_goes_along)
{
    struct sha256 a, b;
    struct sha256_beside beside = {&b, other, 1000};

    cr_assert_eq(sha256_init(&a, EVP_sha256()), 0);
    cr_assert_eq(sha256_init(&b, EVP_sha256()), 0);
    sha256_update_beside(&a, one, 330, &beside);
    cr_expect_eq(beside.len, sha256_pairs() ? 1000 - 320 : 1000);
    expect(&a, one, 330);
    expect(&b, other, 1000 - beside.len);
    sha256_update_beside(&a, one + 330, 0, &beside);
    sha256_update_beside(&a, one + 330, 10, NULL);
    expect(&a, one, 340);
    sha256_update(&b, beside.p, beside.len);
    expect(&b, other, 1000);
    sha256_clear(&a);
    sha256_clear(&b);
}

/* A stream that began on the other way goes on, each on its own. */
Test(base_sha256, one_of_each_way)
{
    struct sha256 a, b;

    sha256_allow_pairs(false);
    cr_assert_eq(sha256_init(&a, EVP_sha256()), 0);
    sha256_allow_pairs(true);
    cr_assert_eq(sha256_init(&b, EVP_sha256()), 0);
    sha256_update_two(&a, one, 500, &b, other, 400);
    sha256_update_two(&b, other + 400, 77, &a, one + 500, 100);
    expect(&a, one, 600);
    expect(&b, other, 477);
    sha256_clear(&a);
    sha256_clear(&b);
}
