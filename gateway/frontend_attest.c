/* SPDX-License-Identifier: Apache-2.0
 *
 * What the operator's client really sent: per channel the count and SHA-256 of the input, as this
 * process received and passed it on, told to auditd on a link of its own. A hostile hypervisor that
 * took over the backend cannot make auditd believe in input that never came. auditd compares the
 * digest with its own over the backend's input records, at the same count (audit/attest.h). The
 * last attestation of a channel also names the ends of its newest frames, because a backend that
 * ends earlier has recorded up to one of them; a channel without input has one that says so. What
 * was started on the channel is attested on its own, before it is passed on, so that no hypervisor
 * can have another command recorded either. On a channel of SFTP input is its recorded form
 * (gateway/sftp_elide.h), as it is in the input records.
 *
 * Payload: docs/FORMAT.md, "Attestations". Runs in the frontend. */
#include "gateway/frontend.h"

#include <stdlib.h>

#include "audit/record.h"
#include "base/json_out.h"
#include "base/log.h"

/* A point is `{"bytes":18446744073709551615,"sha256":"64 digits"},`. */
#define POINT_MAX   108u
#define PAYLOAD_MAX (512u + FRONTEND_POINTS * POINT_MAX)

static void digest_now(const struct frontend_attest *a, uint8_t out[RECORD_HASH_SIZE])
{
    INVARIANT(EVP_MD_CTX_copy_ex(a->copy, a->digest) == 1);
    INVARIANT(EVP_DigestFinal_ex(a->copy, out, NULL) == 1);
}

static void begin(struct frontend_channel *c)
{
    struct frontend_attest *a = &c->attest;

    a->digest = EVP_MD_CTX_new();
    a->copy = EVP_MD_CTX_new();
    a->points = calloc(FRONTEND_POINTS, sizeof *a->points);
    INVARIANT(a->digest && a->copy && a->points &&
              EVP_DigestInit_ex(a->digest, c->frontend->server->sha256, NULL) == 1);
}

void attest_sftp(struct frontend_channel *c)
{
    c->attest.sftp = sftp_elider_new(SFTP_REQUESTS, c->frontend->server->sha256);
    INVARIANT(c->attest.sftp);
}

static int take(void *arg, const void *p, size_t len)
{
    struct frontend_attest *a = arg;

    INVARIANT(EVP_DigestUpdate(a->digest, p, len) == 1);
    a->bytes += len;
    return 0;
}

void attest_input(struct frontend_channel *c, const void *p, size_t len)
{
    struct frontend_attest *a = &c->attest;
    struct attest_point *point;
    uint64_t before = a->bytes;

    if (!a->digest)
        begin(c);
    INVARIANT((a->sftp ? sftp_elide(a->sftp, p, len, take, a) : take(a, p, len)) == 0);
    if (a->bytes == before) /* in the middle of a WRITE's data nothing is recorded */
        return;
    point = &a->points[a->frames++ % FRONTEND_POINTS];
    point->bytes = a->bytes;
    digest_now(a, point->sha256);
}

static int send_payload(struct frontend *f, uint32_t channel, struct json_out *j, struct err *e)
{
    struct trail_record m = {.type = RECORD_ATTESTATION, .channel = channel, .want = WANT_NOTHING};
    int r = json_end(j);

    if (r != 0) {
        err_set(e, (enum err_code)r, "it cannot be composed");
    } else {
        m.payload = (struct bytes){buf_head(j->out), buf_len(j->out)};
        r = trail_record_send(f->trail, &m, NULL, e);
    }
    if (r != 0)
        log_warn("attestation-lost", "channel=%u reason=\"%s\"", channel, e->text);
    return r;
}

static void put_digest(const struct frontend *f, struct json_out *j, const char *name,
                       const void *p, size_t len)
{
    uint8_t digest[RECORD_HASH_SIZE];

    INVARIANT(EVP_Digest(len > 0 ? p : "", len, digest, NULL, f->server->sha256, NULL) == 1);
    json_hex(j, name, digest, sizeof digest);
}

int attest_started(struct frontend *f, const struct frontend_channel *c, enum attest_kind kind,
                   struct bytes words, struct err *e)
{
    struct json_out j;
    struct buf payload;
    int r;

    if (!f->trail)
        return err_set(e, ERR_CLOSED, "the recorder is gone");
    buf_init(&payload, PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_u64(&j, "channel", c->number);
    json_open_object(&j, "start");
    json_str(&j, "kind", attest_kind_name(kind));
    json_u64(&j, "bytes", words.len);
    put_digest(f, &j, "sha256", words.p, words.len);
    if (words.len > ATTEST_START_SHOWN)
        put_digest(f, &j, "head", words.p, ATTEST_START_SHOWN);
    json_bool(&j, "pty", c->pty);
    json_close(&j);
    r = send_payload(f, c->number, &j, e);
    buf_clear(&payload);
    return r;
}

/* The ends of frames before the last, which is the attestation itself. */
static void write_points(const struct frontend_attest *a, struct json_out *j)
{
    uint64_t first = a->frames > FRONTEND_POINTS ? a->frames - FRONTEND_POINTS : 0;

    json_open_array(j, "points");
    for (uint64_t i = first; i + 1 < a->frames; i++) {
        const struct attest_point *point = &a->points[i % FRONTEND_POINTS];

        json_open_object(j, NULL);
        json_u64(j, "bytes", point->bytes);
        json_hex(j, "sha256", point->sha256, sizeof point->sha256);
        json_close(j);
    }
    json_close(j);
}

/* When something changed since the last time, and once at the channel's end. */
void attest_report(struct frontend *f, struct frontend_channel *c, bool final)
{
    struct frontend_attest *a = &c->attest;
    uint8_t digest[RECORD_HASH_SIZE];
    struct err e = ERR_INIT;
    struct json_out j;
    struct buf payload;

    if (!a->wanted || a->final || !f->trail || (!final && a->bytes == a->attested))
        return;
    if (!a->digest)
        begin(c);
    digest_now(a, digest);
    buf_init(&payload, PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_u64(&j, "channel", c->number);
    json_u64(&j, "bytes", a->bytes);
    json_hex(&j, "sha256", digest, sizeof digest);
    json_bool(&j, "final", final);
    if (final && a->answered)
        json_bool(&j, "answered", true);
    if (final)
        write_points(a, &j);
    if (send_payload(f, c->number, &j, &e) == 0) {
        a->attested = a->bytes;
        a->final = final;
    }
    buf_clear(&payload);
}

void attest_end(struct frontend *f)
{
    struct err e = ERR_INIT;
    struct json_out j;
    struct buf payload;

    if (!f->trail || !f->granted)
        return;
    buf_init(&payload, PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_u64(&j, "channels", f->next_channel);
    json_bool(&j, "final", true);
    (void)send_payload(f, 0, &j, &e); /* it is the last thing in any case */
    buf_clear(&payload);
}

void attest_clear(struct frontend_attest *a)
{
    EVP_MD_CTX_free(a->digest);
    EVP_MD_CTX_free(a->copy);
    sftp_elider_free(a->sftp);
    free(a->points);
    *a = (struct frontend_attest){0};
}
