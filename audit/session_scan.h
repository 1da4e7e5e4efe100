/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over a trail that sums up its sessions. Used by the reading tools; trusts nothing it
 * reads and proves nothing. */
#ifndef SALLYPORT_AUDIT_SESSION_SCAN_H
#define SALLYPORT_AUDIT_SESSION_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/record.h"

struct json_t;

struct session_summary {
    uint8_t id[RECORD_SESSION_ID];
    uint64_t first; /* index of its first record */
    uint64_t records;
    uint64_t start_ns, last_ns;
    uint64_t bytes_in, bytes_out;
    uint32_t pty_channel; /* the first channel with a terminal */
    bool has_pty, shell, exec, ended;
    bool disputed, unattested; /* by its verdict */
    unsigned exits; /* commands and shells that ended, and how the last of them did */
    uint32_t exit_status;
    char exit_signal[16];  /* not empty: of this signal */
    unsigned denied;       /* decisions that refused something */
    struct json_t *start;  /* the start record's payload; NULL: it has none */
    struct json_t *finish; /* the end record's */
    char *command;         /* the first command, or NULL */
};

struct session_list {
    struct session_summary *at; /* in the order of their first records */
    size_t count;
};

MUST_CHECK int session_scan(int dir, struct session_list *list, struct err *e);
void session_list_clear(struct session_list *list);

/* The session that text names: the beginning of an id in hexadecimal (4 digits at least), or
 * "last", the newest that started. NULL and e when there is none, or several. */
const struct session_summary *session_named(const struct session_list *list, const char *text,
                                            struct err *e);

#endif
