/* SPDX-License-Identifier: Apache-2.0
 *
 * A manifest (first byte 'm') or approvers.yaml ('a') of an intruder's. What is taken for a
 * manifest has exactly one written form, and no signature that is made of the input is anybody's.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/approval.h"
#include "policy/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char approvers[] =
    "approvers: 1\npeople:\n"
    "  alice: {keys: [\"ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIN5DFjQgTKttNilRUj1cT3zNREuCY+3BLLSkDZ6rrWfG\"]}\n"
    "  bob: {keys: [\"ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIK8ifJ70JjEVwWlj6ySkpa4I1vWC8F/S/qREvLf9xmUr\"]}\n";

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

/* The text again, out of what was read. */
static void write_again(const struct manifest *m, struct buf *out)
{
    char hash[2 * MANIFEST_HASH + 1] = "none";
    uint8_t of_file[MANIFEST_HASH];
    struct bytes lines = m->files, name;
    size_t count = 0;

    if (!m->first)
        manifest_hash_text(m->previous, hash);
    if (buf_printf(out, "sallyport-policy-manifest 1\nserial %llu\nprevious %s\n",
                   (unsigned long long)m->serial, hash) < 0)
        abort();
    while (manifest_next(&lines, of_file, &name)) {
        manifest_hash_text(of_file, hash);
        if (buf_printf(out, "%s  %.*s\n", hash, (int)name.len, (const char *)name.p) < 0)
            abort();
        count++;
    }
    if (count != m->count || lines.len || !count)
        abort();
}

static void manifest(const uint8_t *text, size_t len)
{
    struct approval_state state = {.serial = 1};
    struct approval result;
    struct manifest m;
    struct err e = ERR_INIT;
    struct buf again, block;

    buf_init(&again, MANIFEST_MAX);
    buf_init(&block, 1 << 22);
    if (manifest_parse(text, len, &m, &e) == 0) {
        write_again(&m, &again);
        if (buf_len(&again) != len || memcmp(buf_head(&again), text, len) != 0)
            abort();
    } else if (!e.text[0]) {
        abort();
    }
    /* The same bytes as every kind of evidence, in a set with approvers in force. */
    struct approvers *list =
        approvers_parse("approvers.yaml", approvers, sizeof approvers - 1, NULL);
    if (!list)
        abort();
    state.approvers = list;
    put(&block, "approvals/bob.sig", text, len);
    put(&block, "manifest", text, len);
    put(&block, "manifest.author.sig", text, len);
    put(&block, "operators.yaml", "o", 1);
    if (approval_check(buf_head(&block), buf_len(&block), &state, &result, &e) == 0)
        abort();
    approvers_free(list);
    buf_clear(&again);
    buf_clear(&block);
}

static void people(const uint8_t *text, size_t len)
{
    struct err e = ERR_INIT;
    struct approvers *a = approvers_parse("approvers.yaml", text, len, &e);
    const char *fingerprint;

    if (!a && !e.text[0])
        abort();
    if (a && (a->needed < 1 || a->count < a->needed + 1))
        abort();
    for (size_t i = 0; a && i < a->count; i++) {
        if (approvers_named(a, a->people[i].name) != &a->people[i] || !a->people[i].key_count)
            abort();
        for (size_t k = 0; k < a->people[i].key_count; k++)
            if (approvers_of_key(a, a->people[i].keys[k].blob, a->people[i].keys[k].len,
                                 &fingerprint) != &a->people[i])
                abort();
    }
    approvers_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 && data[0] == 'm')
        manifest(data + 1, size - 1);
    else if (size > 1 && data[0] == 'a')
        people(data + 1, size - 1);
    return 0;
}
