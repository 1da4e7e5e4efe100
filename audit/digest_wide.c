/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 of eight messages side by side: word i of a vector belongs to the message in lane i. A
 * lane whose message ends takes the next one. Runs in auditd and in the reading tools.
 * Source: FIPS 180-4 5.1.1, 6.2.2. */
#include "audit/digest_wide.h"

#include <string.h>

#include "base/wire.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>

#define LANES 8u
#define BLOCK 64u
#define WIDE  __attribute__((target("avx2")))

typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const uint32_t initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* clang-format off */
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define SUM0(x)      (ROTATE(x, 2) ^ ROTATE(x, 13) ^ ROTATE(x, 22))
#define SUM1(x)      (ROTATE(x, 6) ^ ROTATE(x, 11) ^ ROTATE(x, 25))
#define SIGMA0(x)    (ROTATE(x, 7) ^ ROTATE(x, 18) ^ (x) >> 3)
#define SIGMA1(x)    (ROTATE(x, 17) ^ ROTATE(x, 19) ^ (x) >> 10)
#define CHOOSE(x, y, z)   ((z) ^ ((x) & ((y) ^ (z))))
#define MAJORITY(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))
/* clang-format on */

/* One lane's message, block by block. */
struct lane {
    const struct digest_job *job; /* NULL: idle */
    size_t done, count;           /* blocks of it */
    uint8_t own[BLOCK];           /* the block that is not in the message as it is */
};

/* Block number `done`: FIPS 180-4's padded message, the prefix before it. */
static const uint8_t *next_block(struct lane *l)
{
    const struct digest_job *j = l->job;
    size_t prefix = j->prefix == DIGEST_PLAIN ? 0 : 1, length = prefix + j->len;
    size_t from = l->done++ * BLOCK; /* of the prefixed message */
    size_t n = 0;

    if (from >= prefix && from + BLOCK <= length)
        return (const uint8_t *)j->p + from - prefix;
    memset(l->own, 0, BLOCK);
    if (from < prefix)
        l->own[n++] = (uint8_t)j->prefix;
    if (from + n < length) {
        size_t left = length - from - n, take = left < BLOCK - n ? left : BLOCK - n;

        memcpy(l->own + n, (const uint8_t *)j->p + from + n - prefix, take);
        n += take;
    }
    if (n < BLOCK && from + n == length)
        l->own[n] = 0x80;
    if (l->done == l->count)
        wire_store_u64(l->own + BLOCK - 8, (uint64_t)length * 8);
    return l->own;
}

/* Word i of all lanes' blocks: an 8 by 8 transposition, and bytes in the CPU's order. (What gcc and
 * clang both have.) */
WIDE static inline __attribute__((always_inline)) void load_half(const uint8_t *const block[LANES],
                                                                 size_t at, lanes w[8])
{
    typedef uint8_t vbytes __attribute__((vector_size(4 * LANES)));
    typedef uint64_t pairs __attribute__((vector_size(4 * LANES)));
    lanes r[8], s[8];

    for (unsigned i = 0; i < 8; i++) {
        vbytes v;

        memcpy(&v, block[i] + at, sizeof v);
        r[i] = (lanes)__builtin_shufflevector(v, v, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14,
                                              13, 12, 19, 18, 17, 16, 23, 22, 21, 20, 27, 26, 25,
                                              24, 31, 30, 29, 28);
    }
    for (unsigned i = 0; i < 8; i += 2) { /* rows i and i + 1, by words */
        s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (unsigned i = 0; i < 8; i += 4) /* four rows, by pairs of words */
        for (unsigned k = 0; k < 2; k++) {
            pairs a = (pairs)s[i + k], b = (pairs)s[i + 2 + k];

            r[i + 2 * k] = (lanes)__builtin_shufflevector(a, b, 0, 4, 2, 6);
            r[i + 2 * k + 1] = (lanes)__builtin_shufflevector(a, b, 1, 5, 3, 7);
        }
    for (unsigned k = 0; k < 4; k++) { /* eight rows, by halves */
        w[k] = (lanes)__builtin_shufflevector((pairs)r[k], (pairs)r[4 + k], 0, 1, 4, 5);
        w[k + 4] = (lanes)__builtin_shufflevector((pairs)r[k], (pairs)r[4 + k], 2, 3, 6, 7);
    }
}

WIDE static void compress(lanes state[8], const uint8_t *const block[LANES])
{
    lanes w[16], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5],
                 g = state[6], h = state[7];

    load_half(block, 0, w);
    load_half(block, BLOCK / 2, w + 8);
    for (unsigned t = 0; t < 64; t += 16) {
#pragma GCC unroll 16
        for (unsigned i = 0; i < 16; i++) {
            lanes t1, t2;

            if (t > 0)
                w[i] += SIGMA1(w[(i + 14) & 15]) + w[(i + 9) & 15] + SIGMA0(w[(i + 1) & 15]);
            t1 = h + SUM1(e) + CHOOSE(e, f, g) + constants[t + i] + w[i];
            t2 = SUM0(a) + MAJORITY(a, b, c);
            h = g;
            g = f;
            f = e;
            e = d + t1;
            d = c;
            c = b;
            b = a;
            a = t1 + t2;
        }
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

/* The next message that is not too long, from *next on, into a lane. */
WIDE static bool take(struct lane *l, unsigned n, lanes state[8], const struct digest_job *jobs,
                      size_t count, size_t longest, size_t *next)
{
    for (l->job = NULL; *next < count && !l->job; (*next)++) {
        const struct digest_job *j = &jobs[*next];

        l->count = digest_job_blocks(j);
        if (l->count > longest)
            continue;
        l->job = j;
        l->done = 0;
        for (unsigned i = 0; i < 8; i++)
            state[i][n] = initial[i];
    }
    return l->job != NULL;
}

WIDE void digest_wide(const struct digest_job *jobs, size_t count, size_t longest)
{
    static const uint8_t idle[BLOCK];
    struct lane lane[LANES];
    lanes state[8] = {{0}};
    const uint8_t *block[LANES];
    unsigned busy = 0;
    size_t next = 0;

    for (unsigned n = 0; n < LANES; n++)
        busy += take(&lane[n], n, state, jobs, count, longest, &next);
    while (busy > 0) {
        for (unsigned n = 0; n < LANES; n++)
            block[n] = lane[n].job ? next_block(&lane[n]) : idle;
        compress(state, block);
        for (unsigned n = 0; n < LANES; n++) {
            struct lane *l = &lane[n];

            if (!l->job || l->done < l->count)
                continue;
            for (unsigned i = 0; i < 8; i++)
                wire_store_u32(l->job->out + 4 * i, state[i][n]);
            busy -= !take(l, n, state, jobs, count, longest, &next);
        }
    }
}

static bool pays;

/* Once: CPUID is a trap to the hypervisor in a virtual machine. */
__attribute__((constructor)) static void ask_cpu(void)
{
    const unsigned sha = 1u << 29; /* leaf 7, EBX */
    unsigned a, b, c, d;

    __builtin_cpu_init();
    pays = __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && !(b & sha);
}

bool digest_wide_pays(void)
{
    return pays;
}

#else

bool digest_wide_pays(void)
{
    return false;
}

void digest_wide(const struct digest_job *jobs, size_t count, size_t longest)
{
    (void)jobs;
    (void)count;
    (void)longest;
}

#endif
