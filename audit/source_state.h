/* SPDX-License-Identifier: Apache-2.0
 *
 * The two kinds of record source behind audit/record_source.h. Only audit/record_source.c,
 * audit/source_dir.c and audit/source_stream.c include this. */
#ifndef SALLYPORT_AUDIT_SOURCE_STATE_H
#define SALLYPORT_AUDIT_SOURCE_STATE_H

#include "audit/record_source.h"

struct source_dir;
struct source_stream;

struct record_source {
    struct source_dir *dir; /* one of the two */
    struct source_stream *stream;
};

/* The names of what record_source_note gives; a request on a stream has the position. */
#define SOURCE_NOTES 3
extern const char *const source_notes[SOURCE_NOTES];

/* audit/source_dir.c */
MUST_CHECK int source_dir_new(struct source_dir **out, int dir,
                              const struct source_selection *selection, struct err *e);
void source_dir_free(struct source_dir *d);
MUST_CHECK int source_dir_next(struct source_dir *d, struct source_record *v, int timeout_ms,
                               struct err *e);
MUST_CHECK int source_dir_seek(struct source_dir *d, uint64_t index, struct err *e);
void source_dir_bare(struct source_dir *d, bool bare);
const struct source_session *source_dir_session(const struct source_dir *d);
MUST_CHECK int source_dir_note(struct source_dir *d, unsigned note, struct buf *out, struct err *e);

/* audit/source_stream.c */
MUST_CHECK int source_stream_new(struct source_stream **out, int fd, struct err *e);
void source_stream_free(struct source_stream *s);
MUST_CHECK int source_stream_next(struct source_stream *s, struct source_record *v, int timeout_ms,
                                  struct err *e);
MUST_CHECK int source_stream_seek(struct source_stream *s, uint64_t index, struct err *e);
void source_stream_bare(struct source_stream *s, bool bare);
int source_stream_fd(const struct source_stream *s);
const struct source_session *source_stream_session(struct source_stream *s, struct err *e);
MUST_CHECK int source_stream_note(struct source_stream *s, unsigned note, struct buf *out,
                                  struct err *e);

#endif
