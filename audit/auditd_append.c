/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of a record that a producer may write: it is sealed under its session's data key,
 * when its type is one that is sealed, and goes to the end of the trail. Runs in auditd. No
 * producer has a say in it, and nothing of a sealed type is ever written in the clear. */
#include <string.h>

#include "audit/auditd_state.h"
#include "audit/session_keys.h"
#include "base/json_out.h"
#include "base/log.h"

/* A frontend's record for which there is no session: left out, and said once. */
static int leave_out(struct producer *p, const struct trail_record *m, struct err *e)
{
    struct json_out j;
    struct buf payload;
    int r;

    if (p->kind == PRODUCER_BACKEND)
        return err_set(e, ERR_PROTOCOL, "the session's data keys are gone");
    if (p->left_out++ > 0)
        return 0;
    log_warn("record-left-out", "conn=%llu type=%s", (unsigned long long)p->conn,
             record_token(m->type));
    buf_init(&payload, 1024);
    json_begin(&j, &payload);
    json_str(&j, "alarm", "unbound-record");
    json_u64(&j, "connection", p->conn);
    json_str(&j, "type", record_token(m->type));
    json_str(&j, "text",
             "a process sent a record to be sealed for a session that it does not have; "
             "it was left out");
    r = json_end(&j);
    if (r < 0)
        err_set(e, (enum err_code)r, "cannot compose an alarm");
    else
        r = trail_append(p->auditd->trail, RECORD_ALARM, p->session, 0, buf_head(&payload),
                         buf_len(&payload), e);
    buf_clear(&payload);
    return r;
}

int auditd_append(struct producer *p, const struct trail_record *m, const uint8_t *session,
                  struct err *e)
{
    enum record_sealing sealing = record_sealing(m->type);
    struct trail *t = p->auditd->trail;
    struct session_state *state = p->state;

    if (sealing == SEALING_CLEAR)
        return trail_append(t, m->type, session, m->channel, m->payload.p, m->payload.len, e);
    /* Only backends and frontends write such types, and they write no session but their own. */
    if (!state || state->keys_over)
        return leave_out(p, m, e);
    INVARIANT(memcmp(session, state->id, RECORD_SESSION_ID) == 0);
    if (!state->keys)
        state->keys = session_keys_new(t, &p->auditd->reviewers, session, e);
    if (!state->keys)
        return ERR_TRAIL;
    return trail_append_sealed(t, session_keys_get(state->keys, sealing), sealing, m->type, session,
                               m->channel, m->payload.p, m->payload.len, e);
}
