/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy set's block (first byte 0 by its two low bits), or beside a good set a role (1),
 * site.yaml (2) or policy tests (3): whatever loads, decides without crashing, explains itself as
 * it decides, and gives nobody anything with one factor. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/bundle.h"
#include "policy/explain.h"
#include "policy/policy_tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char operators[] = "operators:\n  alice: {groups: [ops]}\n  bob: {}\n";
static const char targets[] = "targets:\n  hv1: {address: 10.0.0.1, labels: {env: lab}}\n";

static const char role[] = "role: r\nmembers: [group:ops]\ntargets: {env: lab}\naccounts: [root]\n"
                           "allow: {shell: true}\n";

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

static void explain(const struct policy *p, const struct policy_request *r,
                    const struct policy_decision *d)
{
    static const struct policy_ask asks[] = {{ASK_LOGIN, "", 0},
                                             {ASK_SHELL, "", 0},
                                             {ASK_EXEC, "virsh list", 10},
                                             {ASK_SFTP_READ, "/var/log/x", 10},
                                             {ASK_SFTP_WRITE, "/tmp/x", 6},
                                             {ASK_FORWARD, "localhost:22", 12}};
    struct policy_explanation x;
    struct policy_answer answer;

    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        if (policy_explain(p, r, &asks[i], &x, NULL) < 0 || x.decision.allowed != d->allowed ||
            x.decision.abilities != d->abilities || x.decision.until_s != d->until_s ||
            strcmp(x.decision.because, d->because) != 0 || strcmp(x.decision.path, d->path) != 0 ||
            strcmp(x.decision.reason, d->reason) != 0)
            abort();
        if (policy_ask(d, &asks[i], &answer, NULL) < 0 || answer.allowed != x.answer.allowed ||
            (answer.allowed && !d->allowed) || !answer.because[0])
            abort();
        policy_explanation_clear(&x);
    }
}

static void decide(const struct policy *p)
{
    struct policy_request r = {.operator_name = "alice",
                               .target = "hv1",
                               .account = "root",
                               .source = {.family = 4, .bytes = {10, 1, 2, 3}},
                               .now_s = 1772438400};
    struct policy_decision d;

    for (r.factors = 0; r.factors < 16; r.factors++) {
        if (policy_decide(p, &r, &d, NULL) == 0 && d.allowed &&
            (!(r.factors & (FACTOR_KEY | FACTOR_PASSWORD)) ||
             !(r.factors & (FACTOR_TOTP | FACTOR_REMEMBERED))))
            abort();
        /* Abilities and what they need come together, and everything that a grant carries fits. */
        if (d.allowed != (d.token[0] == 0) || !(d.abilities & ABILITY_SFTP) != !d.files ||
            (!d.allowed && (d.abilities || d.rules)) || (d.keep_max && !d.files) ||
            (d.bulk == BULK_FULL) != !d.bulk_after ||
            !(d.abilities & ABILITY_FORWARD) != !d.forwards || !d.because[0] ||
            (d.until_s && d.until_s <= r.now_s))
            abort();
        carry(&d);
        if (r.factors == (FACTOR_KEY | FACTOR_TOTP) || r.factors == FACTOR_KEY)
            explain(p, &r, &d);
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
    if (data[0] & 3) {
        const char *const name = (data[0] & 3) == 1   ? "roles.d/x.yaml"
                                 : (data[0] & 3) == 2 ? "site.yaml"
                                                      : "roles.d/tests/x.yaml";
        put(&block, "operators.yaml", operators, sizeof operators - 1);
        put(&block, "roles.d/r.yaml", role, sizeof role - 1);
        put(&block, name, data + 1, size - 1);
        put(&block, "targets.yaml", targets, sizeof targets - 1);
        p = policy_load(buf_head(&block), buf_len(&block), &warnings, &e);
        if (p && (data[0] & 3) == 3)
            if (policy_tests_check(p, buf_head(&block), buf_len(&block), &e) < 0 && !e.text[0])
                abort();
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
