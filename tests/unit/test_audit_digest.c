/* SPDX-License-Identifier: Apache-2.0
 *
 * Many hashes at once against OpenSSL's, one at a time. */
#include <criterion/criterion.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "audit/digest_many.h"
#include "audit/merkle.h"

#define JOBS_MAX 1024

static uint8_t out[JOBS_MAX][RECORD_HASH_SIZE];

static void compare(const struct digest_job *jobs, size_t count, const char *what)
{
    struct digest *d = digest_new();

    memset(out, 0, sizeof out);
    digest_many(d, jobs, count);
    for (size_t i = 0; i < count; i++) {
        uint8_t want[RECORD_HASH_SIZE], *message = malloc(jobs[i].len + 1);
        size_t n = 0;

        if (jobs[i].prefix != DIGEST_PLAIN)
            message[n++] = (uint8_t)jobs[i].prefix;
        memcpy(message + n, jobs[i].p, jobs[i].len);
        SHA256(message, n + jobs[i].len, want);
        free(message);
        cr_assert_eq(memcmp(want, jobs[i].out, sizeof want), 0, "%s: %zu of %zu, length %zu", what,
                     i, count, jobs[i].len);
    }
    digest_free(d);
}

static uint8_t *noise(size_t len)
{
    uint8_t *p = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(random() >> 7);
    return p;
}

/* All lengths of up to five blocks, so that every padding is met in every lane. */
Test(digest, every_length_to_300)
{
    uint8_t *bytes = noise(300);
    struct digest_job jobs[301];

    for (int prefix = DIGEST_PLAIN; prefix <= DIGEST_NODE; prefix++) {
        for (size_t len = 0; len <= 300; len++)
            jobs[len] = (struct digest_job){prefix, bytes + 300 - len, len, out[len]};
        for (size_t count = 1; count <= 20; count++)
            compare(jobs, count, "few");
        compare(jobs, 301, "all");
    }
    free(bytes);
}

Test(digest, random_lengths)
{
    uint8_t *bytes = noise(200000);
    struct digest_job jobs[JOBS_MAX];

    srandom(6962);
    for (unsigned round = 0; round < 200; round++) {
        size_t count = 1 + (size_t)random() % 64;

        for (size_t i = 0; i < count; i++) {
            /* mostly short, some long, one now and then of another size altogether */
            size_t most = random() % 50 == 0 ? 200000 : random() % 4 == 0 ? 5000 : 200;
            size_t len = (size_t)random() % most;

            jobs[i] = (struct digest_job){(int)(random() % 3) - 1,
                                          bytes + (size_t)random() % (200000 - len), len, out[i]};
        }
        compare(jobs, count, "random");
    }
    free(bytes);
}

Test(digest, subtree)
{
    uint8_t *hashes = noise((size_t)256 * RECORD_HASH_SIZE);
    struct digest *d = digest_new();

    for (unsigned count = 1; count <= 256; count *= 2) {
        uint8_t nodes[256][RECORD_HASH_SIZE], root[RECORD_HASH_SIZE];

        memcpy(nodes, hashes, (size_t)count * RECORD_HASH_SIZE);
        for (unsigned n = count; n > 1; n /= 2)
            for (unsigned i = 0; i < n / 2; i++)
                digest_node(d, nodes[2 * i], nodes[2 * i + 1], nodes[i]);
        digest_subtree(d, hashes, count, root);
        cr_expect_eq(memcmp(root, nodes[0], sizeof root), 0, "%u", count);
    }
    digest_free(d);
    free(hashes);
}

/* The same results without the wide way. */
Test(digest, narrow)
{
    uint8_t *bytes = noise(300);
    struct digest_job jobs[301];

    digest_many_allow_wide(false);
    cr_expect_not(digest_many_is_wide());
    for (size_t len = 0; len <= 300; len++)
        jobs[len] = (struct digest_job){(int)(len % 3) - 1, bytes, len, out[len]};
    compare(jobs, 301, "narrow");
    digest_many_allow_wide(true);
    free(bytes);
}

/* The compact range, gathering leaves, from any state and settled at any time, against the tree
 * hash as RFC 6962 defines it. */
static void tree_hash(struct digest *d, uint8_t (*leaf)[RECORD_HASH_SIZE], size_t n, uint8_t *root)
{
    uint8_t left[RECORD_HASH_SIZE], right[RECORD_HASH_SIZE];
    size_t k = 1;

    if (n == 1) {
        memcpy(root, leaf[0], RECORD_HASH_SIZE);
        return;
    }
    while (2 * k < n)
        k *= 2;
    tree_hash(d, leaf, k, left);
    tree_hash(d, leaf + k, n - k, right);
    digest_node(d, left, right, root);
}

Test(merkle, gathered_leaves)
{
    static uint8_t leaf[1400][RECORD_HASH_SIZE];
    struct digest *d = digest_new();
    struct merkle m;

    for (size_t i = 0; i < 1400; i++)
        digest_bytes(d, &i, sizeof i, leaf[i]);
    for (unsigned every = 1; every < 400; every = every * 3 + 1) {
        merkle_init(&m);
        for (size_t i = 0; i < 1400; i++) {
            uint8_t root[RECORD_HASH_SIZE], want[RECORD_HASH_SIZE];

            merkle_add(&m, d, leaf[i]);
            if (i % every == 0)
                merkle_settle(&m, d);
            if (i % 7 && i % 256 > 1 && i % 256 < 254)
                continue;
            merkle_root(&m, d, root);
            tree_hash(d, leaf, i + 1, want);
            cr_assert_eq(memcmp(root, want, sizeof root), 0, "%zu, settled every %u", i + 1, every);
        }
        merkle_settle(&m, d);
        cr_expect_eq(m.count, (unsigned)__builtin_popcount(1400));
    }
    digest_free(d);
}
