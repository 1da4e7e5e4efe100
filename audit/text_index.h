/* SPDX-License-Identifier: Apache-2.0
 *
 * The reviewer's index: a SQLite database (FTS5) of what sessions printed and ran, as text, with
 * the record and the time of each piece. It is derived from the trail with the reviewer's
 * identities, never trusted, and can be thrown away. It holds plaintext: it is its owner's alone
 * (0600). Runs in the reading tools, as the reviewer; what it is made from is hostile, so the text
 * in it is too. */
#ifndef SALLYPORT_AUDIT_TEXT_INDEX_H
#define SALLYPORT_AUDIT_TEXT_INDEX_H

#include "audit/digest.h"
#include "audit/export.h"

struct text_index;

/* Tables and meaning of this version; another one is built anew. 2: channels of SFTP. */
#define TEXT_INDEX_VERSION 2
/* A piece of text: what a search names the time of. */
#define TEXT_INDEX_PIECE 4096u
/* Streams (a session's channel, one way) whose text is being gathered at once. */
#define TEXT_INDEX_STREAMS 2048u

/* Which log it was made from, and how far. */
struct text_index_state {
    uint8_t genesis[RECORD_HASH_SIZE];
    uint64_t next;                  /* index of the first record that is not in it */
    uint8_t leaf[RECORD_HASH_SIZE]; /* of the record before that */
    bool keystrokes;
};

/* Opens, or with make begins one that is empty. ERR_NOT_FOUND; ERR_INPUT: it is no index of this
 * version; ERR_SYSTEM. */
MUST_CHECK int text_index_open(struct text_index **out, const char *path, bool make, struct err *e);
/* What was not committed is lost. NULL-safe. */
void text_index_close(struct text_index *x);

/* 1, or 0: nothing was indexed yet. */
MUST_CHECK int text_index_state(struct text_index *x, struct text_index_state *state,
                                struct err *e);
/* The key records of sessions that had not ended where the index stops. Each is a header and its
 * payload. */
typedef int text_index_key_fn(void *arg, const uint8_t *header, const void *payload, size_t len,
                              struct err *e);
MUST_CHECK int text_index_keys(struct text_index *x, text_index_key_fn *take, void *arg,
                               struct err *e);

/* The next record of the log. */
MUST_CHECK int text_index_put(struct text_index *x, const struct export_record *v, bool keystrokes,
                              struct err *e);
/* Text that was put since the last commit. */
uint64_t text_index_pending(const struct text_index *x);
/* Makes it durable, with the new state. */
MUST_CHECK int text_index_commit(struct text_index *x, const struct text_index_state *state,
                                 struct err *e);

struct text_query {
    const char *words; /* in FTS5's language; text_query_words makes it */
    const char *operator_name, *target, *session; /* NULL: any; session: the beginning of an id */
    uint64_t since_ns, until_ns;                  /* 0: any */
    unsigned limit;
};

/* One piece that matches. Marked words stand between \001 and \002. Hostile text. */
struct text_match {
    const char *session, *operator_name, *account, *target, *kind, *snippet;
    uint64_t record, real_ns, session_ns;
    uint32_t channel;
};
typedef int text_match_fn(void *arg, const struct text_match *m);

/* Oldest first. The number of matches, or an error; a callback's nonzero return ends it. */
MUST_CHECK int text_index_search(struct text_index *x, const struct text_query *q,
                                 text_match_fn *each, void *arg, struct err *e);
/* Words as given on a command line: all must be there, in any order, in one piece; what has
 * several parts ("/etc/passwd") is looked for as they stand; a final * stands for any ending. The
 * caller frees it. */
char *text_query_words(char *const *words, int count);

#endif
