/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the reviewer's index, shared by text_index.c and text_index_fill.c alone. */
#ifndef SALLYPORT_AUDIT_TEXT_INDEX_STATE_H
#define SALLYPORT_AUDIT_TEXT_INDEX_STATE_H

#include <sqlite3.h>
#include <sys/queue.h>

#include "audit/text_index.h"

#define STREAM_SLOTS 4096u /* a power of two above TEXT_INDEX_STREAMS */

/* What one way of one channel printed, until it is a piece. */
struct text_stream {
    TAILQ_ENTRY(text_stream) used; /* the least recently used first */
    struct text_stream *next;      /* in its slot */
    uint8_t session[RECORD_SESSION_ID];
    uint32_t channel;
    const char *kind;
    bool sftp; /* what crosses is no text */
    struct term_filter filter;
    struct buf text;
    uint64_t record, real_ns; /* of the text's first byte */
};
TAILQ_HEAD(text_streams, text_stream);

enum statement {
    ADD_SESSION,
    START_SESSION,
    END_SESSION,
    SET_VERDICT,
    SESSION_NUMBER,
    ADD_PIECE,
    ADD_WORDS,
    ADD_SFTP,
    IS_SFTP,
    DROP_SFTP,
    ADD_KEY,
    DROP_KEYS,
    SET_STATE,
    STATEMENTS
};

struct text_index {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    bool in_transaction;
    uint64_t pending;
    struct text_streams streams;
    struct text_stream *slots[STREAM_SLOTS];
    unsigned stream_count;
    uint8_t last_session[RECORD_SESSION_ID]; /* and its number; 0: none */
    sqlite3_int64 last_number;
};

/* ERR_SYSTEM with SQLite's words. */
int text_index_failed(struct text_index *x, const char *what, struct err *e);
MUST_CHECK int text_index_run(struct text_index *x, const char *sql, struct err *e);
/* Forgets all streams and their text. */
void text_index_drop_streams(struct text_index *x);

#endif
