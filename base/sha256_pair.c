/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 of two messages side by side with AVX-512's instructions for vectors of 256 bits:
 * rotations, and any function of three bits, in one instruction each. The first half of a vector is
 * the first message's. A round works on pairs of words: `a` stands beside `e`, `b` beside `f`, so
 * that both of a round's sums are one computation, and both of its choices are; a message's words
 * are computed four at a time. Such vectors do not slow the CPU's clock down. Runs wherever
 * base/sha256.h is used. Source: FIPS 180-4 6.2.2. */
#include "base/sha256.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>
#include <immintrin.h>

#define WIDE __attribute__((target("avx2,avx512f,avx512vl")))

typedef __m256i pair;

static const uint32_t constants[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* Of each message's four places: the first (a, b, c, d of the state), the second (e, f, g, h). */
#define FIRST  0x11
#define SECOND 0x22
/* Tables of functions of three bits. */
#define EACH_XOR 0x96 /* x ^ y ^ z */
#define CHOICE   0xca /* x ? y : z */

#define INLINE   WIDE static inline __attribute__((always_inline))

INLINE pair sum(pair x, pair r1, pair r2, pair r3)
{
    return _mm256_ternarylogic_epi32(_mm256_rorv_epi32(x, r1), _mm256_rorv_epi32(x, r2),
                                     _mm256_rorv_epi32(x, r3), EACH_XOR);
}

/* Majority of a, b, c; choice by e of f, g. The majority is a choice too: a ? b | c : b & c. */
INLINE pair choose(pair ae, pair bf, pair cg)
{
    return _mm256_ternarylogic_epi32(ae, _mm256_mask_or_epi32(bf, FIRST, bf, cg),
                                     _mm256_mask_and_epi32(cg, FIRST, bf, cg), CHOICE);
}

INLINE pair sigma0(pair x)
{
    return _mm256_ternarylogic_epi32(_mm256_ror_epi32(x, 7), _mm256_ror_epi32(x, 18),
                                     _mm256_srli_epi32(x, 3), EACH_XOR);
}

INLINE pair sigma1(pair x)
{
    return _mm256_ternarylogic_epi32(_mm256_ror_epi32(x, 17), _mm256_ror_epi32(x, 19),
                                     _mm256_srli_epi32(x, 10), EACH_XOR);
}

/* The next four words of each message, from the 16 before them. Two of them depend on the other
 * two. */
INLINE pair next_words(pair w0, pair w1, pair w2, pair w3)
{
    pair t = _mm256_add_epi32(w0, _mm256_alignr_epi8(w3, w2, 4));

    t = _mm256_add_epi32(t, sigma0(_mm256_alignr_epi8(w1, w0, 4)));
    t = _mm256_add_epi32(t, _mm256_maskz_shuffle_epi32(0x33, sigma1(w3), 0x0e));
    return _mm256_add_epi32(t, _mm256_maskz_shuffle_epi32(0xcc, sigma1(t), 0x40));
}

INLINE pair load(const uint8_t *a, const uint8_t *b)
{
    const pair big_endian = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
    pair v = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)a));

    v = _mm256_inserti128_si256(v, _mm_loadu_si128((const __m128i *)(const void *)b), 1);
    return _mm256_shuffle_epi8(v, big_endian);
}

/* One round. kw: words with their constants, at `word` this round's; dh becomes the new ae. The sum
 * of the second place is t1, that of the first t2. */
#define ROUND(ae, bf, cg, dh, kw, word)                                                            \
    do {                                                                                           \
        pair h_ = _mm256_maskz_add_epi32(SECOND, dh, _mm256_shuffle_epi32(kw, (word)*0x55));       \
        pair t_ = _mm256_add_epi32(sum(ae, r1, r2, r3), _mm256_add_epi32(choose(ae, bf, cg), h_)); \
        pair d_ = _mm256_shuffle_epi32(dh, 0);                                                     \
        (dh) = _mm256_add_epi32(t_, _mm256_mask_shuffle_epi32(d_, FIRST, t_, 0x55));               \
    } while (0)

#define FOUR_ROUNDS(w, from)                                                                       \
    do {                                                                                           \
        pair kw_ = _mm256_add_epi32(w, _mm256_broadcastsi128_si256(_mm_load_si128(                 \
                                           (const __m128i *)(const void *)(constants + (from))))); \
        ROUND(v[0], v[1], v[2], v[3], kw_, 0);                                                     \
        ROUND(v[3], v[0], v[1], v[2], kw_, 1);                                                     \
        ROUND(v[2], v[3], v[0], v[1], kw_, 2);                                                     \
        ROUND(v[1], v[2], v[3], v[0], kw_, 3);                                                     \
    } while (0)

INLINE void compress(pair v[4], pair w0, pair w1, pair w2, pair w3)
{
    const pair r1 = _mm256_setr_epi32(2, 6, 0, 0, 2, 6, 0, 0);
    const pair r2 = _mm256_setr_epi32(13, 11, 0, 0, 13, 11, 0, 0);
    const pair r3 = _mm256_setr_epi32(22, 25, 0, 0, 22, 25, 0, 0);

    for (unsigned i = 0; i < 48; i += 16) {
        FOUR_ROUNDS(w0, i);
        w0 = next_words(w0, w1, w2, w3);
        FOUR_ROUNDS(w1, i + 4);
        w1 = next_words(w1, w2, w3, w0);
        FOUR_ROUNDS(w2, i + 8);
        w2 = next_words(w2, w3, w0, w1);
        FOUR_ROUNDS(w3, i + 12);
        w3 = next_words(w3, w0, w1, w2);
    }
    FOUR_ROUNDS(w0, 48);
    FOUR_ROUNDS(w1, 52);
    FOUR_ROUNDS(w2, 56);
    FOUR_ROUNDS(w3, 60);
}

WIDE void sha256_pair(uint32_t a[8], const uint8_t *pa, uint32_t b[8], const uint8_t *pb, size_t n)
{
    pair v[4];

    for (unsigned i = 0; i < 4; i++)
        v[i] = _mm256_setr_epi32((int)a[i], (int)a[i + 4], 0, 0, (int)b[i], (int)b[i + 4], 0, 0);
    for (; n > 0; n--, pa += SHA256_BLOCK, pb += SHA256_BLOCK) {
        pair before[4] = {v[0], v[1], v[2], v[3]};

        compress(v, load(pa, pb), load(pa + 16, pb + 16), load(pa + 32, pb + 32),
                 load(pa + 48, pb + 48));
        for (unsigned i = 0; i < 4; i++)
            v[i] = _mm256_add_epi32(v[i], before[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        a[i] = (uint32_t)_mm256_extract_epi32(v[i], 0);
        a[i + 4] = (uint32_t)_mm256_extract_epi32(v[i], 1);
        b[i] = (uint32_t)_mm256_extract_epi32(v[i], 4);
        b[i + 4] = (uint32_t)_mm256_extract_epi32(v[i], 5);
    }
}

static bool pays;

/* Once: CPUID is a trap to the hypervisor in a virtual machine. */
__attribute__((constructor)) static void ask_cpu(void)
{
    const unsigned sha = 1u << 29; /* leaf 7, EBX */
    unsigned a, b, c, d;

    __builtin_cpu_init();
    pays = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && !(b & sha);
}

bool sha256_pair_pays(void)
{
    return pays;
}

#else

bool sha256_pair_pays(void)
{
    return false;
}

void sha256_pair(uint32_t a[8], const uint8_t *pa, uint32_t b[8], const uint8_t *pb, size_t n)
{
    (void)a, (void)pa, (void)b, (void)pb, (void)n;
}

#endif
