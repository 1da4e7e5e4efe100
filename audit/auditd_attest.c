/* SPDX-License-Identifier: Apache-2.0
 *
 * Where attestations and records meet: each record of a backend that is compared and every
 * attestation of a frontend passes here on its way into the trail. A session that becomes disputed
 * is told at once, by a verdict record and an alarm; every session that was started gets one
 * verdict as its last record, when both of its processes are gone. Runs in auditd. */
#include "audit/attest.h"
#include "audit/auditd_state.h"
#include "audit/digest.h"
#include "audit/trail_verdict.h"
#include "base/log.h"

/* What a frontend may write of its session, beside what the backend writes: nobody's share of the
 * disk counts it. An attestation's point is shorter than the header of the input record that it is
 * of, a start's is shorter than the start's two records; channels on which nothing is started have
 * no record of the backend, and some 300 bytes. */
#define FRONTEND_BYTES (8u * 1024u * 1024u)
#define FRONTEND_TIMES 4u
/* Shorter ones are hashed faster with others of the batch. */
#define TOGETHER_MIN 1024u

static int count(struct producer *p, const struct trail_record *m, struct err *e)
{
    struct session_state *s = p->state;

    if (!s)
        return 0;
    if (p->kind == PRODUCER_BACKEND)
        s->backend_bytes += RECORD_HEADER_SIZE + m->payload.len;
    if (p->kind != PRODUCER_FRONTEND)
        return 0;
    s->frontend_bytes += RECORD_HEADER_SIZE + m->payload.len;
    return s->frontend_bytes > FRONTEND_BYTES + FRONTEND_TIMES * s->backend_bytes
               ? err_set(e, ERR_PROTOCOL, "more attestations than a session has")
               : 0;
}

static struct attest *of_session(struct session_state *s)
{
    if (!s->attest)
        s->attest = attest_new();
    return s->attest;
}

/* What a frontend says. One that was never bound to a session speaks of none. */
static int take_claim(struct producer *p, const struct trail_record *m, struct err *e)
{
    struct attest_claim claim;
    int r = attest_decode(m->payload.p, m->payload.len, m->channel, &claim, e);

    if (r < 0 || !p->state)
        return r;
    if (!of_session(p->state))
        return err_set(e, ERR_MEMORY, "no memory to compare attestations");
    return attest_claimed(p->state->attest, &claim, e);
}

/* What a backend records. */
static int take_record(struct producer *p, const struct trail_record *m, struct err *e)
{
    struct attest *a = of_session(p->state);
    struct attest_point total;
    struct attest_start start;
    int r;

    if (!a)
        return err_set(e, ERR_MEMORY, "no memory to compare attestations");
    switch (m->type) {
    case RECORD_INPUT: /* auditd_dispute */
        return 0;
    case RECORD_INPUT_DIGEST:
        r = attest_decode_digest(m->payload.p, m->payload.len, &total, e);
        if (r == 0)
            attest_recorded_digest(a, m->channel, &total);
        return r;
    case RECORD_SESSION_END:
        attest_recorded_end(a);
        return 0;
    default:
        r = attest_start_read(m->type, m->payload.p, m->payload.len, &start, e);
        return r > 0 ? attest_recorded_start(a, m->channel, &start, e) : r;
    }
}

int auditd_compare(struct producer *p, const struct trail_record *m, struct err *e)
{
    int r = count(p, m, e);

    if (r < 0)
        return r;
    switch (m->type) {
    case RECORD_ATTESTATION:
        return take_claim(p, m, e);
    case RECORD_INPUT:
    case RECORD_INPUT_DIGEST:
    case RECORD_EXEC:
    case RECORD_SUBSYSTEM:
    case RECORD_REQUEST:
    case RECORD_FORWARD_OPEN:
    case RECORD_SESSION_END:
        return take_record(p, m, e);
    default:
        return 0;
    }
}

/* What the session became since it was looked at last, for the log. */
static unsigned became(struct producer *p, struct session_state *s)
{
    unsigned disputes = attest_became_disputed(s->attest);
    char id[2 * RECORD_SESSION_ID + 1];

    hex_encode(id, s->id, sizeof s->id);
    for (unsigned one = ATTEST_DISPUTE_INPUT; one <= ATTEST_DISPUTE_START; one <<= 1)
        if (disputes & one)
            log_error(attest_dispute_token(one), "session=%s conn=%llu", id,
                      (unsigned long long)p->conn);
    return disputes;
}

/* Input was appended: now it is compared, and what is stored of it is hashed along with it. */
static void take_input(struct producer *p, const struct trail_record *m)
{
    struct trail *t = p->auditd->trail;
    struct sha256 stored;
    struct sha256_beside beside = {.stream = &stored};
    struct bytes payload;
    uint8_t hash[RECORD_HASH_SIZE];

    if (m->payload.len < TOGETHER_MIN || !sha256_pairs() || !trail_newest_payload(t, &payload)) {
        attest_recorded(p->state->attest, m->channel, m->payload.p, m->payload.len, NULL);
        return;
    }
    INVARIANT(sha256_init(&stored, EVP_sha256()) == 0);
    beside.p = payload.p;
    beside.len = payload.len;
    attest_recorded(p->state->attest, m->channel, m->payload.p, m->payload.len, &beside);
    sha256_update(&stored, beside.p, beside.len);
    sha256_value(&stored, hash);
    sha256_clear(&stored);
    trail_newest_hashed(t, hash);
}

int auditd_dispute(struct producer *p, const struct trail_record *m, struct err *e)
{
    struct session_state *s = p->state;
    unsigned disputes;
    int r;

    if (s && s->attest && m->type == RECORD_INPUT)
        take_input(p, m);
    if (!s || !s->attest || (disputes = became(p, s)) == 0)
        return 0;
    r = trail_append_verdict(p->auditd->trail, s, NULL, e);
    return r == 0 ? trail_append_disputes(p->auditd->trail, s, disputes, e) : r;
}

static int append_last(struct producer *p, struct session_state *s, struct err *e)
{
    struct trail *t = p->auditd->trail;
    int r = 0;

    if (s->attest) {
        attest_conclude(s->attest);
        r = trail_append_disputes(t, s, became(p, s), e);
    }
    return r == 0 ? trail_append_verdict(t, s, NULL, e) : r;
}

void auditd_judge(struct producer *p, struct session_state *s)
{
    struct auditd *a = p->auditd;
    struct err e = ERR_INIT;

    /* A verdict after the end record may have been the one that says that it became disputed. */
    bool judged = s->judged && !s->attest;

    if (s->holders > 0)
        return;
    if (s->started && !judged && !a->failing && append_last(p, s, &e) < 0)
        auditd_fail(a, &e);
    attest_free(s->attest);
    s->attest = NULL;
}
