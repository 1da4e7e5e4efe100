/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums up sessions from what is clear in a trail, for `audit list`: start, end, decisions, verdict,
 * sizes. Runs in the reading tools; trusts nothing it reads and proves nothing. Memory: 1 KB a
 * session that may still be shown; what the filter excludes is let go as soon as that is known. */
#ifndef SALLYPORT_AUDIT_SESSION_LIST_H
#define SALLYPORT_AUDIT_SESSION_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/record_source.h"

/* What a session did, as its clear decisions say. */
enum session_class {
    CLASS_SHELL = 1,
    CLASS_EXEC = 2,
    CLASS_SUBSYSTEM = 4,
    CLASS_FORWARD = 8,
    CLASS_SFTP = 16,
};

enum session_verdict { VERDICT_NONE, VERDICT_AGREED, VERDICT_DISPUTED, VERDICT_UNATTESTED };

struct session_entry {
    uint8_t id[RECORD_SESSION_ID];
    uint64_t first, records;
    uint64_t start_ns, end_ns; /* end_ns: of its last record */
    uint64_t bytes_in, bytes_out;
    unsigned classes; /* bits of enum session_class */
    unsigned allowed, denied;
    unsigned narrowed; /* grants that became other while it ran */
    uint64_t pruned;   /* of its records, those whose payload was destroyed */
    bool started, ended, pty, sealed;
    enum session_verdict verdict;
    char operator_name[72], source[64], proxy[64], target[264], account[72];
    char reason[40], refused[40]; /* tokens: why it ended; the last refusal's */
};

struct session_filter {
    const char *operator_name, *target; /* NULL: any */
    uint64_t since_ns, until_ns;        /* by the start; until_ns 0: any */
    int decision;     /* 1: only with nothing denied; -1: only with something denied; 0 */
    unsigned classes; /* one of these; 0: any */
    bool disputed, live;
    size_t limit; /* the newest so many; 0: all */
};

struct session_list;

/* "shell", "exec", "subsystem", "forward", "sftp": its bit; 0 for another text. */
unsigned session_class_parse(const char *text);
/* "shell,exec", "-"; out has room for 40 bytes. */
const char *session_class_text(unsigned classes, char out[40]);
const char *session_verdict_text(enum session_verdict v); /* "agreed" ..., "" for none */

/* Reads the source (of SOURCE_CLEAR) to its end. */
MUST_CHECK int session_list_read(struct session_list **out, struct record_source *source,
                                 const struct session_filter *filter, struct err *e);
void session_list_free(struct session_list *list); /* NULL-safe */
/* In the order of their starts. */
size_t session_list_count(const struct session_list *list);
const struct session_entry *session_list_at(const struct session_list *list, size_t i);

#endif
