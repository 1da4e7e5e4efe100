/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy set's block, or (first byte odd) one role file beside a good set: whatever loads,
 * decides without crashing, and gives nobody anything with one factor. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/bundle.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char operators[] = "operators:\n  alice: {groups: [ops]}\n  bob: {}\n";
static const char targets[] = "targets:\n  hv1: {address: 10.0.0.1, labels: {env: lab}}\n";

static void put(struct buf *out, const char *name, const void *bytes, size_t len)
{
    const size_t name_len = strlen(name);
    uint8_t *p = buf_reserve(out, 6 + name_len + len);

    if (!p)
        abort();
    wire_store_u16(p, (uint16_t)name_len);
    memcpy(p + 2, name, name_len);
    wire_store_u32(p + 2 + name_len, (uint32_t)len);
    if (len)
        memcpy(p + 6 + name_len, bytes, len);
    buf_commit(out, 6 + name_len + len);
}

static void carry(const struct policy_decision *d)
{
    struct file_rules *files;
    struct buf bytes;

    buf_init(&bytes, FILES_ENCODED_MAX);
    if (file_rules_encode(d->files, &bytes) < 0)
        abort();
    files = file_rules_decode(buf_head(&bytes), buf_len(&bytes), NULL);
    if (!files || file_rules_unrestricted(files) != file_rules_unrestricted(d->files) ||
        file_rules_access(files, "/tmp/x", 6, 0, NULL) !=
            file_rules_access(d->files, "/tmp/x", 6, 0, NULL))
        abort();
    file_rules_free(files);
    buf_clear(&bytes);
}

static void decide(const struct policy *p)
{
    struct policy_request r = {.operator_name = "alice", .target = "hv1", .account = "root"};
    struct policy_decision d;

    for (r.factors = 0; r.factors < 16; r.factors++) {
        if (policy_decide(p, &r, &d, NULL) == 0 && d.allowed &&
            (!(r.factors & (FACTOR_KEY | FACTOR_PASSWORD)) ||
             !(r.factors & (FACTOR_TOTP | FACTOR_REMEMBERED))))
            abort();
        /* Abilities and what they need come together, and everything that a grant carries fits. */
        if (d.allowed != (d.token[0] == 0) || !(d.abilities & ABILITY_SFTP) != !d.files ||
            (!d.allowed && (d.abilities || d.rules)) || (d.keep_max && !d.files) ||
            (d.bulk == BULK_FULL) != !d.bulk_after)
            abort();
        carry(&d);
        policy_decision_clear(&d);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    struct buf block, warnings;
    struct policy *p;
    size_t count;

    if (!size)
        return 0;
    buf_init(&block, 1 << 22);
    buf_init(&warnings, 4096);
    if (data[0] & 1) {
        put(&block, "operators.yaml", operators, sizeof operators - 1);
        put(&block, "roles.d/x.yaml", data + 1, size - 1);
        put(&block, "targets.yaml", targets, sizeof targets - 1);
        p = policy_load(buf_head(&block), buf_len(&block), &warnings, &e);
    } else {
        p = policy_load(data + 1, size - 1, &warnings, &e);
        free(policy_target_addresses(data + 1, size - 1, &count, NULL));
    }
    if (p)
        decide(p);
    else if (!e.text[0])
        abort(); /* refused without a word */
    policy_free(p);
    buf_clear(&block);
    buf_clear(&warnings);
    return 0;
}
