/* SPDX-License-Identifier: Apache-2.0
 *
 * What the operator's client really sent: per channel the count and SHA-256 of the input, as this
 * process received and passed it on, told to auditd on a link of its own. A hostile hypervisor that
 * took over the backend cannot make auditd believe in input that never came. auditd compares the
 * digest with its own over the backend's input records, at the same count.
 *
 * Payload: {"channel":N,"bytes":N,"sha256":HEX,"final":BOOL}. Runs in the frontend. */
#include "gateway/frontend.h"

#include "audit/record.h"
#include "base/json_out.h"
#include "base/log.h"

#define SHA256_LEN  32
#define PAYLOAD_MAX 512

void attest_input(struct frontend_channel *c, const void *p, size_t len)
{
    struct frontend_attest *a = &c->attest;

    if (!a->digest) {
        a->digest = EVP_MD_CTX_new();
        INVARIANT(a->digest &&
                  EVP_DigestInit_ex(a->digest, c->frontend->server->sha256, NULL) == 1);
    }
    INVARIANT(EVP_DigestUpdate(a->digest, p, len) == 1);
    a->bytes += len;
}

static void digest_now(const struct frontend_attest *a, uint8_t out[SHA256_LEN])
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();

    INVARIANT(copy && EVP_MD_CTX_copy_ex(copy, a->digest) == 1);
    INVARIANT(EVP_DigestFinal_ex(copy, out, NULL) == 1);
    EVP_MD_CTX_free(copy);
}

/* When something changed since the last time, and once at the channel's end. */
void attest_report(struct frontend *f, struct frontend_channel *c, bool final)
{
    struct frontend_attest *a = &c->attest;
    struct trail_record m = {
        .type = RECORD_ATTESTATION, .channel = c->number, .want = WANT_NOTHING};
    uint8_t digest[SHA256_LEN];
    struct json_out j;
    struct buf payload;
    struct err e = ERR_INIT;

    if (!a->digest || a->final || !f->trail || (!final && a->bytes == a->attested))
        return;
    digest_now(a, digest);
    buf_init(&payload, PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_u64(&j, "channel", c->number);
    json_u64(&j, "bytes", a->bytes);
    json_hex(&j, "sha256", digest, sizeof digest);
    json_bool(&j, "final", final);
    if (json_end(&j) != 0)
        goto out;
    m.payload = (struct bytes){buf_head(&payload), buf_len(&payload)};
    if (trail_record_send(f->trail, &m, NULL, &e) != 0) {
        log_warn("attestation-lost", "channel=%u reason=\"%s\"", c->number, e.text);
        goto out;
    }
    a->attested = a->bytes;
    a->final = final;
out:
    buf_clear(&payload);
}

void attest_clear(struct frontend_attest *a)
{
    EVP_MD_CTX_free(a->digest);
    *a = (struct frontend_attest){0};
}
