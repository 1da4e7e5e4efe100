/* SPDX-License-Identifier: Apache-2.0
 *
 * The backend's end of the link to auditd: records go out numbered, answers come back as counts,
 * and whatever waits for a record asks record_settled. When the trail stops, the session ends and
 * nothing more is forwarded. Runs in the backend; trusts auditd. */
#include "audit/attest_start.h"
#include "base/log.h"
#include "gateway/backend_session.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define PAYLOAD_MAX 65536u

static void trail_failed(struct backend *b, const char *reason)
{
    if (b->trail.stopped)
        return;
    b->trail.stopped = true;
    snprintf(b->trail.reason, sizeof b->trail.reason, "%s", reason);
    end_begin(b, "trail", EXIT_TRAIL, "%s; nothing more was forwarded", reason);
}

static int send_record(struct backend *b, enum record_type type, uint32_t channel,
                       enum trail_want want, const void *bytes, size_t len, uint64_t *number)
{
    struct trail_record m = {
        .type = (uint8_t)type,
        .channel = channel,
        .want = (uint8_t)want,
        .payload = {bytes, len},
    };
    struct err e = ERR_INIT;

    /* Nothing comes after the end record; what has no record is not passed on. */
    if (b->trail.stopped || b->trail.link == NULL || b->end.record != 0)
        return ERR_TRAIL;
    int rc = trail_record_send(b->trail.link, &m, NULL, &e);
    if (rc != 0) {
        trail_failed(b, rc == ERR_CLOSED ? "the recorder stopped" : "the recorder does not answer");
        return ERR_TRAIL;
    }
    b->trail.sent++;
    for (unsigned i = WANT_NOTHING; i <= (unsigned)want; i++)
        b->trail.wanted[i] = b->trail.sent;
    if (number != NULL)
        *number = b->trail.sent;
    return 0;
}

int record_bytes(struct backend *b, enum record_type type, uint32_t channel, enum trail_want want,
                 const void *bytes, size_t len, uint64_t *number)
{
    return send_record(b, type, channel, want, bytes, len, number);
}

void record_begin(struct json_record *r)
{
    buf_init(&r->text, PAYLOAD_MAX);
    json_begin(&r->json, &r->text);
}

int record_end(struct backend *b, struct json_record *r, enum record_type type, uint32_t channel,
               enum trail_want want, uint64_t *number)
{
    int rc = json_end(&r->json);
    if (rc == 0)
        rc = send_record(b, type, channel, want, buf_head(&r->text), buf_len(&r->text), number);
    buf_clear(&r->text);
    return rc;
}

static void finish_record(struct backend *b, struct json_record *r, enum record_type type,
                          uint32_t channel, enum trail_want want)
{
    if (record_end(b, r, type, channel, want, NULL) == ERR_FULL)
        trail_failed(b, "a record is too long");
}

/* Names of the policy, none of the operator's words: they stand in the clear. v may be NULL. */
static void put_rule(struct json_out *j, const struct rule_verdict *v)
{
    if (v != NULL && v->rule[0] != '\0')
        json_str(j, "rule", v->rule);
    if (v != NULL && v->class_name[0] != '\0')
        json_str(j, "class", v->class_name);
}

static void refused(struct backend *b, uint32_t channel, const char *what, const char *why,
                    uint64_t request, const struct rule_verdict *v)
{
    struct json_record r;

    record_begin(&r);
    json_bool(&r.json, "allowed", false);
    json_str(&r.json, "what", what);
    json_str(&r.json, "why", why);
    put_rule(&r.json, v);
    if (request > 0)
        json_u64(&r.json, "request", request);
    finish_record(b, &r, RECORD_DECISION, channel, WANT_DURABLE);
}

void record_refused(struct backend *b, uint32_t channel, const char *what, const char *why,
                    uint64_t request)
{
    refused(b, channel, what, why, request, NULL);
}

int record_permitted(struct backend *b, uint32_t channel, const char *what, bool pty,
                     const struct rule_verdict *v, uint64_t *number)
{
    struct json_record r;

    record_begin(&r);
    json_bool(&r.json, "allowed", true);
    json_str(&r.json, "what", what);
    json_bool(&r.json, "pty", pty);
    put_rule(&r.json, v);
    return record_end(b, &r, RECORD_DECISION, channel, WANT_DURABLE, number);
}

#define DETAIL_MAX ATTEST_START_SHOWN

static void put_detail(struct json_out *j, const void *detail, size_t len)
{
    uint8_t sha256[RECORD_HASH_SIZE];

    if (detail == NULL)
        return;
    json_bytes(j, "detail", detail, len > DETAIL_MAX ? DETAIL_MAX : len);
    if (len <= DETAIL_MAX)
        return;
    INVARIANT(EVP_Digest(detail, len, sha256, NULL, EVP_sha256(), NULL) == 1);
    json_u64(j, "bytes", len);
    json_hex(j, "sha256", sha256, sizeof sha256);
}

/* pty: of a start; NULL: it is none. */
static void put_request(struct backend *b, uint32_t channel, const char *what, const void *detail,
                        size_t detail_len, const bool *pty, const char *text)
{
    struct json_record r;

    b->request_records++;
    record_begin(&r);
    json_str(&r.json, "what", what);
    put_detail(&r.json, detail, detail_len);
    if (pty != NULL)
        json_bool(&r.json, "pty", *pty);
    json_bytes(&r.json, "text", text, strlen(text));
    finish_record(b, &r, RECORD_REQUEST, channel, WANT_NOTHING);
}

void record_words(struct backend *b, const char *what, const char *text)
{
    put_request(b, 0, what, NULL, 0, NULL, text);
}

bool record_refusal_counts(struct backend *b)
{
    if (++b->refusals <= REFUSALS_MAX)
        return true;
    /* The operator's client can do that, a browser behind `ssh -D` in a day: nobody is blamed. */
    end_begin(b, "refusals", EXIT_REFUSED,
              "this session ended: it asked %u times for what it may not have; ask %s",
              REFUSALS_MAX, grant_contact(b));
    return false;
}

static void refuse(struct backend *b, uint32_t channel, const char *what, const char *why,
                   struct bytes detail, const bool *pty, const struct rule_verdict *v,
                   const char *text)
{
    if (!record_refusal_counts(b))
        return;
    put_request(b, channel, what, detail.p, detail.len, pty, text);
    refused(b, channel, what, why, b->request_records, v);
}

void record_refusal(struct backend *b, uint32_t channel, const char *what, const char *why,
                    const void *detail, size_t detail_len, const char *text)
{
    refuse(b, channel, what, why, (struct bytes){detail, detail_len}, NULL, NULL, text);
}

void record_refused_start(struct backend *b, const struct channel *ch, const struct relay_start *m,
                          const char *why, const struct rule_verdict *v, const char *text)
{
    static const enum attest_kind kinds[] = {[START_SHELL] = ATTEST_SHELL,
                                             [START_EXEC] = ATTEST_EXEC,
                                             [START_SUBSYSTEM] = ATTEST_SUBSYSTEM};

    refuse(b, ch->id, attest_kind_name(kinds[m->kind]), why, m->command, &ch->pty_asked, v, text);
}

void record_alarm(struct backend *b, const char *token, const char *text)
{
    struct json_record r;

    record_begin(&r);
    json_str(&r.json, "alarm", token);
    json_bytes(&r.json, "text", text, strlen(text));
    if (record_end(b, &r, RECORD_ALARM, 0, WANT_DURABLE, NULL) == ERR_FULL)
        trail_failed(b, "a record is too long");
}

bool record_settled(const struct backend *b, uint64_t number, enum trail_want want)
{
    if (b->trail.stopped)
        return false;
    switch (want) {
    case WANT_NOTHING:
        return true;
    case WANT_ACCEPTED:
        return number <= b->trail.accepted;
    case WANT_DURABLE:
        return number <= b->trail.durable;
    }
    return false;
}

bool record_busy(const struct backend *b)
{
    return b->trail.stopped || b->trail.link == NULL || link_pending(b->trail.link) > 0;
}

static int take_ack(struct backend *b, const struct frame *f, struct err *e)
{
    struct trail_ack m;
    int rc = trail_ack_decode(f, &m, e);
    if (rc != 0)
        return rc;
    /* Counts only grow and never pass what was sent; anything else would release unrecorded bytes.
     */
    if (m.accepted > b->trail.sent || m.durable > m.accepted || m.accepted < b->trail.accepted ||
        m.durable < b->trail.durable)
        return err_set(e, ERR_PROTOCOL, "counts of records that were not sent");
    b->trail.accepted = m.accepted;
    b->trail.durable = m.durable;
    return 0;
}

void record_step(struct backend *b)
{
    struct err e = ERR_INIT;
    struct frame f;
    int rc;

    if (b->trail.link == NULL || b->trail.stopped)
        return;
    rc = link_flush(b->trail.link, &e);
    if (rc != 0) {
        trail_failed(b, "the recorder stopped");
        return;
    }
    while ((rc = link_recv(b->trail.link, &f, &e)) == 1) {
        if (f.spec->number == trail_stop_NUMBER) {
            struct trail_stop m;
            trail_failed(b, trail_stop_decode(&f, &m, &e) == 0 ? m.text : "the recorder stopped");
            return;
        }
        rc = take_ack(b, &f, &e);
        if (rc != 0)
            break;
    }
    if (rc < 0) {
        log_warn("trail", "%s", e.text);
        trail_failed(b, "the recorder stopped");
    }
}
