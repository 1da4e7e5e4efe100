/* SPDX-License-Identifier: Apache-2.0
 *
 * A new log in the place of one that cannot go on (a backup was put back, keys are lost), or that
 * shall not. The old one is closed where its keys still are, kept whole beside the new one, and
 * cited in the new one's first key record. Runs as root in `sallyport audit new-log`, while the
 * gateway is stopped. */
#ifndef SALLYPORT_AUDIT_NEW_LOG_H
#define SALLYPORT_AUDIT_NEW_LOG_H

#include "audit/trail_create.h"

struct new_log {
    struct trail_created created; /* of the new log */
    bool resumed; /* an interrupted call was finished; nothing is known of previous */
    struct trail_previous previous;
    char trouble[ERR_TEXT_MAX]; /* why the old one was not closed in order; "" when it was */
    unsigned number;            /* of the old log: it is in STATE/trail.NUMBER now */
};

/* state: the state directory. gateway: its name, the origin's first part. Each step can be
 * repeated: what was interrupted is finished by the next call. ERR_BUSY: the recorder runs. */
MUST_CHECK int new_log_begin(const char *state, const char *gateway, const char *reason,
                             struct new_log *out, struct err *e);

#endif
