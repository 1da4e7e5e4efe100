/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks proofs; hashes and numbers only. Runs in the reading tools and in auditd; the proof is
 * hostile. Source: RFC 9162 2.1.3.2 and 2.1.4.2, step by step. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "audit/proof.h"

static int wrong(struct err *e, const char *text)
{
    return err_set(e, ERR_TAMPERED, "%s", text);
}

/* 2.1.3.2; fn and sn as there. */
static int fold_inclusion(struct digest *d, const struct proof *p, uint64_t index, uint64_t size,
                          uint8_t r[RECORD_HASH_SIZE], struct err *e)
{
    uint64_t fn = index, sn = size - 1;

    for (unsigned i = 0; i < p->count; i++) {
        if (sn == 0)
            return wrong(e, "the inclusion proof has too many hashes");
        if ((fn & 1) || fn == sn) {
            digest_node(d, p->hash[i], r, r);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            digest_node(d, r, p->hash[i], r);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 ? 0 : wrong(e, "the inclusion proof has too few hashes");
}

int proof_check_inclusion(const struct proof *p, uint64_t index, uint64_t size,
                          const uint8_t leaf[RECORD_HASH_SIZE],
                          const uint8_t root[RECORD_HASH_SIZE], struct err *e)
{
    uint8_t hash[RECORD_HASH_SIZE];
    struct digest *d;
    int r;

    if (index >= size || p->count > PROOF_MAX)
        return err_set(e, ERR_TAMPERED, "a tree of %" PRIu64 " leaves has no leaf %" PRIu64, size,
                       index);
    d = digest_new();
    if (!d)
        return err_set(e, ERR_MEMORY, "no memory to check a proof");
    memcpy(hash, leaf, sizeof hash);
    r = fold_inclusion(d, p, index, size, hash, e);
    if (r == 0 && memcmp(hash, root, sizeof hash) != 0)
        r = wrong(e, "the inclusion proof does not lead to the root");
    digest_free(d);
    return r;
}

/* 2.1.4.2; fn, sn, fr and sr as there. The first hash of a tree whose older size is a power of two
 * is its root. */
static int fold_consistency(struct digest *d, const struct proof *p, uint64_t from, uint64_t to,
                            const uint8_t from_root[RECORD_HASH_SIZE],
                            const uint8_t to_root[RECORD_HASH_SIZE], struct err *e)
{
    bool power = (from & (from - 1)) == 0;
    uint64_t fn = from - 1, sn = to - 1;
    uint8_t fr[RECORD_HASH_SIZE], sr[RECORD_HASH_SIZE];

    if (!power && p->count == 0)
        return wrong(e, "the consistency proof is empty");
    while (fn & 1) {
        fn >>= 1;
        sn >>= 1;
    }
    memcpy(fr, power ? from_root : p->hash[0], sizeof fr);
    memcpy(sr, fr, sizeof sr);
    for (unsigned i = power ? 0 : 1; i < p->count; i++) {
        if (sn == 0)
            return wrong(e, "the consistency proof has too many hashes");
        if ((fn & 1) || fn == sn) {
            digest_node(d, p->hash[i], fr, fr);
            digest_node(d, p->hash[i], sr, sr);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            digest_node(d, sr, p->hash[i], sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    if (sn != 0)
        return wrong(e, "the consistency proof has too few hashes");
    if (memcmp(fr, from_root, sizeof fr) != 0)
        return wrong(e, "the consistency proof does not lead to the older root");
    if (memcmp(sr, to_root, sizeof sr) != 0)
        return wrong(e, "the consistency proof does not lead to the newer root");
    return 0;
}

int proof_check_consistency(const struct proof *p, uint64_t from, uint64_t to,
                            const uint8_t from_root[RECORD_HASH_SIZE],
                            const uint8_t to_root[RECORD_HASH_SIZE], struct err *e)
{
    struct digest *d;
    uint8_t nothing[RECORD_HASH_SIZE];
    int r = 0;

    if (from > to || p->count > PROOF_MAX)
        return wrong(e, "the older tree is larger than the newer one");
    d = digest_new();
    if (!d)
        return err_set(e, ERR_MEMORY, "no memory to check a proof");
    if (from == 0 || from == to) {
        digest_bytes(d, "", 0, nothing);
        if (p->count != 0)
            r = wrong(e, "the consistency proof has too many hashes");
        else if (memcmp(from_root, from == to ? to_root : nothing, RECORD_HASH_SIZE) != 0)
            r = wrong(e, "two roots for one size");
    } else {
        r = fold_consistency(d, p, from, to, from_root, to_root, e);
    }
    digest_free(d);
    return r;
}
