/* SPDX-License-Identifier: Apache-2.0
 *
 * The client of C2SP tlog-witness: a consistency proof from auditd, POST add-checkpoint, and what
 * its status says. 409: the witness names the size that it has; when that is larger than ours, or
 * it refuses a proof (422), it is asked for its own checkpoint, which auditd judges. Every byte of
 * a response is hostile. Run by the courier. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "audit/digest.h"
#include "audit/http.h"
#include "audit/note.h"
#include "base/log.h"
#include "gateway/courier.h"

/* A witness that names another size each time is not followed for ever. */
#define ROUNDS_MAX 3u

int add_checkpoint_body(struct buf *out, uint64_t old, const uint8_t *hashes, size_t count,
                        const char *note, size_t note_len)
{
    char text[4 * ((RECORD_HASH_SIZE + 2) / 3) + 1];
    int r = buf_printf(out, "old %" PRIu64 "\n", old);

    for (size_t i = 0; r == 0 && i < count; i++) {
        base64_encode(text, hashes + i * RECORD_HASH_SIZE, RECORD_HASH_SIZE);
        r = buf_printf(out, "%s\n", text);
    }
    if (r == 0)
        r = buf_put(out, "\n", 1);
    return r < 0 ? r : buf_put(out, note, note_len);
}

static void ask_proof(struct destination *d)
{
    const struct elsewhere_prove m = {.destination = d->number, .from = d->old, .to = d->size};
    struct err e = ERR_INIT;

    d->step = WITNESS_PROVING;
    if (d->c->recorder)
        recorder_sent(d->c, elsewhere_prove_send(d->c->recorder, &m, NULL, &e), &e);
    else
        destination_failed(d, "the recorder is not there");
}

static int put_request(struct destination *d, const char *method, const char *path,
                       const struct buf *body)
{
    int r = buf_printf(&d->peer.out, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sallyport\r\n",
                       method, d->path, path, d->host);

    if (r == 0 && body)
        r = buf_printf(&d->peer.out,
                       "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n",
                       buf_len(body));
    if (r == 0)
        r = buf_put(&d->peer.out, "\r\n", 2);
    if (r == 0 && body)
        r = buf_put(&d->peer.out, buf_head(body), buf_len(body));
    if (r < 0)
        destination_failed(d, "out of memory");
    else
        peer_wake(&d->peer);
    return r;
}

void witness_proof(struct destination *d, const struct elsewhere_proof *m)
{
    if (d->step != WITNESS_PROVING || m->from != d->old || m->to != d->size)
        return; /* of a try that is over */
    if (!m->good || m->hashes.len % RECORD_HASH_SIZE != 0) {
        destination_failed(d, "the recorder has no proof for it");
        return;
    }
    buf_clear(&d->request);
    if (add_checkpoint_body(&d->request, d->old, m->hashes.p, m->hashes.len / RECORD_HASH_SIZE,
                            d->note, d->note_len) < 0) {
        destination_failed(d, "out of memory");
        return;
    }
    d->step = WITNESS_ADDING;
    if (put_request(d, "POST", "/add-checkpoint", &d->request) == 0)
        buf_clear(&d->request);
}

/* Its own checkpoint, by the monitoring interface at the same prefix. */
static void ask_checkpoint(struct destination *d, unsigned status, uint64_t told)
{
    uint8_t hash[RECORD_HASH_SIZE];
    char path[2 * RECORD_HASH_SIZE + 16], hex[DIGEST_HEX];

    if (!EVP_Digest(d->c->origin, strlen(d->c->origin), hash, NULL, EVP_sha256(), NULL)) {
        destination_failed(d, "cannot hash the origin");
        return;
    }
    digest_hex(hash, hex);
    snprintf(path, sizeof path, "/%s/checkpoint", hex);
    d->refused = (uint16_t)status;
    d->told = told;
    d->step = WITNESS_ASKING;
    (void)put_request(d, "GET", path, NULL);
}

void witness_begin(struct destination *d)
{
    if (d->step == WITNESS_ASKING) /* the connection ended between the two questions */
        ask_checkpoint(d, d->refused, d->told);
    else
        ask_proof(d);
}

static void tell_refusal(struct destination *d, const char *note, size_t len)
{
    struct elsewhere_refused m = {.destination = d->number, .status = d->refused, .told = d->told};
    struct err e = ERR_INIT;
    char text[160];

    m.note = (struct bytes){(const uint8_t *)note, len <= 16384 ? len : 0};
    if (d->c->recorder)
        recorder_sent(d->c, elsewhere_refused_send(d->c->recorder, &m, NULL, &e), &e);
    if (d->refused == 409)
        snprintf(text, sizeof text, "it knows %" PRIu64 " records, which is more than there are",
                 d->told);
    else
        snprintf(text, sizeof text, "it says that the checkpoint does not continue the one before");
    d->reused = false;
    d->step = WITNESS_IDLE;
    destination_failed(d, text);
    destination_wait(d, COURIER_REFUSED_S);
}

bool witness_lost(struct destination *d)
{
    if (d->step != WITNESS_ASKING)
        return false;
    if (!d->asked_again) {
        d->asked_again = true;
        destination_again(d);
    } else {
        d->step = WITNESS_IDLE;
        tell_refusal(d, "", 0); /* it shows none */
    }
    return true;
}

static int parse_told(const char *body, size_t len, uint64_t *out)
{
    uint64_t v = 0;

    if (len < 2 || len > 20 || body[len - 1] != '\n' || (body[0] == '0' && len > 2))
        return ERR_SYNTAX;
    for (size_t i = 0; i + 1 < len; i++) {
        if (body[i] < '0' || body[i] > '9')
            return ERR_SYNTAX;
        v = v * 10 + (uint64_t)(body[i] - '0');
    }
    *out = v;
    return 0;
}

static void on_conflict(struct destination *d, const char *body, size_t len)
{
    uint64_t told;

    if (parse_told(body, len, &told) < 0) {
        destination_failed(d, "status 409 without a size");
    } else if (told > d->size) {
        /* A newer one of ours may be on the way already, by an answer that was lost. */
        if (told <= d->c->size)
            destination_failed(d, "it knows a newer checkpoint");
        else
            d->asked_again = false, ask_checkpoint(d, 409, told);
    } else if (++d->rounds > ROUNDS_MAX) {
        destination_failed(d, "it names another size each time");
    } else {
        d->old = told;
        ask_proof(d);
    }
}

static void on_added(struct destination *d, const struct http_message *m, const char *body)
{
    struct elsewhere_cosigned cosigned = {.destination = d->number, .size = d->size};
    struct err e = ERR_INIT;
    char text[60];

    switch (m->status) {
    case 200:
        if (m->body_len > 16384) {
            destination_failed(d, "its cosignature is too long");
            return;
        }
        d->step = WITNESS_JUDGED;
        cosigned.lines = (struct bytes){(const uint8_t *)body, m->body_len};
        if (d->c->recorder)
            recorder_sent(d->c, elsewhere_cosigned_send(d->c->recorder, &cosigned, NULL, &e), &e);
        else
            destination_failed(d, "the recorder is not there");
        return;
    case 409:
        on_conflict(d, body, m->body_len);
        return;
    case 422:
        d->asked_again = false;
        ask_checkpoint(d, 422, d->old);
        return;
    case 404:
        destination_failed(d, "status 404: it does not know this log");
        return;
    case 403:
        destination_failed(d, "status 403: it knows another key of this log");
        return;
    default:
        snprintf(text, sizeof text, "status %u", m->status);
        destination_failed(d, text);
    }
}

void witness_input(struct destination *d)
{
    struct http_message m;
    struct err e = ERR_INIT;
    struct buf body;
    int r;

    if (d->step != WITNESS_ADDING && d->step != WITNESS_ASKING) {
        d->reused = false;
        destination_failed(d, "it sends what nobody asked for");
        return;
    }
    d->reused = false; /* it answers, so it is there */
    r = http_response_parse(&m, (const char *)buf_head(&d->peer.in), buf_len(&d->peer.in), &e);
    if (r == 0)
        return;
    if (r < 0) {
        char text[160];
        snprintf(text, sizeof text, "its answer: %.140s", e.text);
        destination_failed(d, text);
        return;
    }
    /* The body outlives the connection. */
    buf_init(&body, HTTP_BODY_MAX + 1);
    if (buf_put(&body, buf_head(&d->peer.in) + m.head_len, m.body_len) < 0 ||
        buf_put(&body, "", 1) < 0) {
        destination_failed(d, "out of memory");
        goto out;
    }
    buf_consume(&d->peer.in, m.head_len + m.body_len);
    if (d->step == WITNESS_ASKING)
        tell_refusal(d, (const char *)buf_head(&body), m.status == 200 ? m.body_len : 0);
    else
        on_added(d, &m, (const char *)buf_head(&body));
    /* Whatever comes next needs a connection of its own; a try under way goes on with that. */
    if (m.close && d->peer.fd >= 0) {
        if (d->step == WITNESS_JUDGED)
            peer_close(&d->peer);
        else if (d->working)
            destination_again(d);
    }
out:
    buf_clear(&body);
}

void witness_verdict(struct destination *d, const struct elsewhere_verdict *m)
{
    if (m->good && m->size > d->taken)
        d->taken = m->size;
    if (m->good && m->size > d->old)
        d->old = m->size;
    if (d->step != WITNESS_JUDGED)
        return;
    if (m->good && m->size >= d->size) {
        d->old = d->size;
        destination_done(d);
    } else {
        destination_failed(d, m->good ? "its cosignature came too late" : m->text);
    }
}
