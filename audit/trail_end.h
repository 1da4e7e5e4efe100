/* SPDX-License-Identifier: Apache-2.0
 *
 * The end records that auditd writes itself. */
#ifndef SALLYPORT_AUDIT_TRAIL_END_H
#define SALLYPORT_AUDIT_TRAIL_END_H

#include "audit/trail.h"
#include "base/clock.h"

/* The end of a session whose writer is gone. reason: a token; text: a sentence. */
MUST_CHECK int trail_append_end(struct trail *t, const struct session_state *s, const char *reason,
                                const char *text, uint64_t now_ns, struct err *e);
MUST_CHECK int trail_append_shutdown(struct trail *t, const char *reason, struct err *e);

#endif
