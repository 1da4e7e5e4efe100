/* SPDX-License-Identifier: Apache-2.0
 *
 * Verdict records; see trail_verdict.h. Runs in auditd. */
#include "audit/trail_verdict.h"

#include "audit/attest.h"
#include "audit/trail_state.h"

int trail_append_verdict(struct trail *t, const struct session_state *s, const char *reason,
                         struct err *e)
{
    struct json_out j;
    struct buf payload;
    int r;

    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    attest_write(s->attest, reason, &j);
    r = trail_append_json(t, RECORD_VERDICT, s->id, &j, e);
    buf_clear(&payload);
    return r;
}

static int append_alarm(struct trail *t, const struct session_state *s, const char *token,
                        const char *text, struct err *e)
{
    struct json_out j;
    struct buf payload;
    int r;

    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "alarm", token);
    json_str(&j, "text", text);
    r = trail_append_json(t, RECORD_ALARM, s->id, &j, e);
    buf_clear(&payload);
    return r;
}

int trail_append_disputes(struct trail *t, const struct session_state *s, unsigned disputes,
                          struct err *e)
{
    static const char input[] =
        "the input that this session's backend recorded is not what its frontend received: one of "
        "the two processes is not what it should be";
    static const char start[] =
        "what this session's backend recorded as started is not what its frontend passed on: one "
        "of the two processes is not what it should be";
    int r = 0;

    if (disputes & ATTEST_DISPUTE_INPUT)
        r = append_alarm(t, s, attest_dispute_token(ATTEST_DISPUTE_INPUT), input, e);
    if (r == 0 && disputes & ATTEST_DISPUTE_START)
        r = append_alarm(t, s, attest_dispute_token(ATTEST_DISPUTE_START), start, e);
    return r;
}

int trail_append_orphan_verdict(struct trail *t, const struct session_state *s, struct err *e)
{
    struct json_out j;
    struct buf payload;
    int r;

    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "verdict", attest_verdict_name(ATTEST_UNATTESTED));
    json_str(&j, "reason", "recorder-died");
    json_open_array(&j, "channels");
    json_close(&j);
    r = trail_append_json(t, RECORD_VERDICT, s->id, &j, e);
    buf_clear(&payload);
    return r;
}
