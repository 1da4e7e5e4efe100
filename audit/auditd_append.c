/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of a record that a producer may write: it goes to the end of the trail. Runs in
 * auditd. */
#include "audit/auditd_state.h"

int auditd_append(struct producer *p, const struct trail_record *m, const uint8_t *session,
                  struct err *e)
{
    return trail_append(p->auditd->trail, m->type, session, m->channel, m->payload.p,
                        m->payload.len, e);
}
