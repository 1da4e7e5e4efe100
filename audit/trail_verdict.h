/* SPDX-License-Identifier: Apache-2.0
 *
 * The records that say whether the input that a session's backend recorded is what its frontend
 * attested. Runs in auditd. Format: docs/FORMAT.md, "Attestations". */
#ifndef SALLYPORT_AUDIT_TRAIL_VERDICT_H
#define SALLYPORT_AUDIT_TRAIL_VERDICT_H

#include "audit/sessions.h"
#include "audit/trail.h"

/* The last record of a session. reason: why input may be unattested; NULL: what the attestations
 * themselves say. ERR_TRAIL. */
MUST_CHECK int trail_append_verdict(struct trail *t, const struct session_state *s,
                                    const char *reason, struct err *e);
/* An alarm for each of these (enum attest_dispute). ERR_TRAIL. */
MUST_CHECK int trail_append_disputes(struct trail *t, const struct session_state *s,
                                     unsigned disputes, struct err *e);
/* The last record of a session that was under way when the recorder ended: what was compared is
 * forgotten. ERR_TRAIL. */
MUST_CHECK int trail_append_orphan_verdict(struct trail *t, const struct session_state *s,
                                           struct err *e);

#endif
