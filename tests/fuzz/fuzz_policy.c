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

static void decide(const struct policy *p)
{
    struct policy_request r = {.operator_name = "alice", .target = "hv1", .account = "root"};
    struct policy_decision d;

    for (r.factors = 0; r.factors < 16; r.factors++) {
        if (policy_decide(p, &r, &d, NULL) == 0 && d.allowed &&
            (!(r.factors & (FACTOR_KEY | FACTOR_PASSWORD)) ||
             !(r.factors & (FACTOR_TOTP | FACTOR_REMEMBERED))))
            abort();
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
