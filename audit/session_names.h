/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose a session is: operator, account and target out of its start record, remembered for the
 * records that follow. Used by the reading tools; the records are hostile. Memory: 400 bytes a
 * session, at most SESSION_NAMES_MAX (the one that was asked for least recently goes). */
#ifndef SALLYPORT_AUDIT_SESSION_NAMES_H
#define SALLYPORT_AUDIT_SESSION_NAMES_H

#include <stdbool.h>
#include <sys/queue.h>

#include "audit/export.h"

#define SESSION_NAMES_MAX 4096u

struct session_name {
    TAILQ_ENTRY(session_name) used; /* the last that was asked for first */
    uint8_t session[RECORD_SESSION_ID];
    char operator_name[128], target[128], account[128];
};
TAILQ_HEAD(session_name_list, session_name);

struct session_names {
    struct session_name_list list;
    unsigned count;
};

void session_names_init(struct session_names *s);
void session_names_clear(struct session_names *s);
/* Any record; remembers a session that starts. ERR_MEMORY. */
MUST_CHECK int session_names_note(struct session_names *s, const struct export_record *v,
                                  struct err *e);
/* NULL: it is not known (any more). */
const struct session_name *session_names_find(struct session_names *s,
                                              const uint8_t session[RECORD_SESSION_ID]);
/* "alice: root@hv1", escaped; "?" for what is not known. m may be NULL. */
#define SESSION_NAME_TEXT 200
const char *session_name_text(char out[SESSION_NAME_TEXT], const struct session_name *m);
/* Whether it is this operator's, and on this target; NULL: any. m may be NULL. */
bool session_name_matches(const struct session_name *m, const char *operator_name,
                          const char *target);

#endif
