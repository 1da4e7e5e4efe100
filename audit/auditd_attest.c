/* SPDX-License-Identifier: Apache-2.0
 *
 * Where attestations and input meet: every input record of a backend and every attestation of a
 * frontend passes here on its way into the trail. A session that becomes disputed is told at once,
 * by a verdict record and an alarm; every session that was started gets one verdict as its last
 * record, when both of its processes are gone. Runs in auditd. */
#include "audit/attest.h"
#include "audit/auditd_state.h"
#include "audit/digest.h"
#include "audit/trail_verdict.h"
#include "base/log.h"

static struct attest *of_session(struct session_state *s)
{
    if (!s->attest)
        s->attest = attest_new();
    return s->attest;
}

int auditd_compare(struct producer *p, const struct trail_record *m, struct err *e)
{
    struct attest_claim claim;
    struct attest_point total;
    int r;

    if (m->type != RECORD_INPUT && m->type != RECORD_INPUT_DIGEST && m->type != RECORD_ATTESTATION)
        return 0;
    if (m->type == RECORD_INPUT_DIGEST) {
        r = attest_decode_digest(m->payload.p, m->payload.len, &total, e);
        if (r < 0)
            return r;
    }
    if (m->type == RECORD_ATTESTATION) {
        r = attest_decode(m->payload.p, m->payload.len, m->channel, &claim, e);
        if (r < 0)
            return r;
    }
    /* A frontend that was never bound to a session speaks of none. */
    if (!p->state)
        return 0;
    if (!of_session(p->state))
        return err_set(e, ERR_MEMORY, "no memory to compare attestations");
    if (m->type == RECORD_ATTESTATION)
        return attest_claimed(p->state->attest, &claim, e);
    if (m->type == RECORD_INPUT_DIGEST)
        attest_recorded_digest(p->state->attest, m->channel, &total);
    else
        attest_recorded(p->state->attest, m->channel, m->payload.p, m->payload.len);
    return 0;
}

int auditd_dispute(struct producer *p, struct err *e)
{
    struct session_state *s = p->state;
    char id[2 * RECORD_SESSION_ID + 1];

    if (!s || !s->attest || !attest_became_disputed(s->attest))
        return 0;
    hex_encode(id, s->id, sizeof s->id);
    log_error("disputed-input", "session=%s conn=%llu", id, (unsigned long long)p->conn);
    return trail_append_dispute(p->auditd->trail, s, e);
}

void auditd_judge(struct auditd *a, struct session_state *s)
{
    struct err e = ERR_INIT;

    /* A verdict after the end record may have been the one that says that it became disputed. */
    bool judged = s->judged && !s->attest;

    if (s->holders > 0)
        return;
    if (s->started && !judged && !a->failing && trail_append_verdict(a->trail, s, NULL, &e) < 0)
        auditd_fail(a, &e);
    attest_free(s->attest);
    s->attest = NULL;
}
