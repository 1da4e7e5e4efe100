/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the reading commands get records from: a trail's directory, or the reader process of a
 * gateway (audit/reader.h), with the same answers. Memory: one record and a window, whatever the
 * trail's size; payloads that are not wanted are skipped, not read. Used by `sallyport audit` and
 * by sallyport-reader; trusts nothing it reads and proves nothing. */
#ifndef SALLYPORT_AUDIT_RECORD_SOURCE_H
#define SALLYPORT_AUDIT_RECORD_SOURCE_H

#include <stdbool.h>

#include "audit/record.h"
#include "base/buf.h"

enum source_what {
    SOURCE_SESSION,    /* all records of one session */
    SOURCE_CLEAR,      /* all records; of the sealed ones the header alone */
    SOURCE_GATEWAY,    /* the gateway's own: session zero */
    SOURCE_EVERYTHING, /* all records */
};
#define SOURCE_WHATS      4

#define SOURCE_NAME_MAX   (2 * RECORD_SESSION_ID)
#define SOURCE_NAME_MIN   4
#define SOURCE_NAME_WHOLE 12 /* so many digits are taken for unique without looking at all */

struct source_selection {
    enum source_what what;
    char session[SOURCE_NAME_MAX + 1]; /* SESSION: the beginning of an id, or "last" */
    bool follow; /* at the end wait for more; SESSION: until the session's end */
};

struct source_record {
    struct record r;
    const uint8_t *header;  /* RECORD_HEADER_SIZE bytes */
    const uint8_t *payload; /* r.payload_len bytes as stored; NULL: left out, see pruned */
    bool pruned;            /* left out because it was destroyed */
    uint64_t segment_first; /* names the file (segment_name); offset is the header's in it */
    uint64_t offset;
};

/* What SOURCE_SESSION resolved to. */
struct source_session {
    uint8_t id[RECORD_SESSION_ID];
    uint64_t first, last; /* indexes; last: of those that were there at the beginning */
    uint64_t records;     /* that were there at the beginning */
    bool ended;           /* its end record was there at the beginning */
};

struct record_source;

/* "session", "clear", "gateway", "everything"; NULL for another number, -1 for another text. */
const char *source_what_text(unsigned what);
int source_what_parse(const char *text);
/* 0, or ERR_USAGE: the name is not 4 to 32 of 0-9 a-f, nor "last". */
MUST_CHECK int source_name_check(const char *session, struct err *e);

/* From the directory (stays the caller's, must stay open). ERR_NOT_FOUND: no such session, or no
 * trail; ERR_INPUT: several sessions have that name. */
MUST_CHECK int record_source_dir(struct record_source **out, int dir,
                                 const struct source_selection *selection, struct err *e);
/* From a reader process, which has the selection already; owns fd. The errors are those of above,
 * and come at the first record_source_next too. */
MUST_CHECK int record_source_stream(struct record_source **out, int fd, struct err *e);
void record_source_free(struct record_source *s); /* NULL-safe */

enum source_next { SOURCE_END = 0, SOURCE_RECORD = 1, SOURCE_WAIT = 2 };
/* SOURCE_RECORD: *v is the next one; its pointers are valid until the next call. SOURCE_END.
 * SOURCE_WAIT: none came within timeout_ms (-1: waits as long as it takes), call again; a directory
 * gives it only when following. Or an error: ERR_TAMPERED (framing), ERR_CLOSED, ERR_SYSTEM ... */
MUST_CHECK int record_source_next(struct record_source *s, struct source_record *v, int timeout_ms,
                                  struct err *e);
/* The next record is the first of the selection whose index is not below this one. */
MUST_CHECK int record_source_seek(struct record_source *s, uint64_t index, struct err *e);
/* From the next seek on, sealed records come without their payloads, so that a pass over a long
 * session is short; or again with them. */
void record_source_bare(struct record_source *s, bool bare);
/* Readable when record_source_next may have something; -1: a directory, look every 100 ms. */
int record_source_fd(const struct record_source *s);
/* NULL: the selection is no session; for a stream, waits for the reader's word. */
const struct source_session *record_source_session(struct record_source *s, struct err *e);

/* A public text of the log: "anchor.note", "checkpoint", "checkpoint.witnessed". Appends it to out.
 * ERR_NOT_FOUND. Before the first record_source_next, or after a seek. */
MUST_CHECK int record_source_note(struct record_source *s, const char *name, struct buf *out,
                                  struct err *e);

#endif
