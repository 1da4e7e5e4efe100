/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of the two sources answers (audit/record_source.h). */
#include "audit/record_source.h"

#include <stdlib.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/source_state.h"

const char *const source_notes[SOURCE_NOTES] = {ANCHOR_FILE, CHECKPOINT_FILE,
                                                "checkpoint.witnessed"};

static struct record_source *make(struct err *e)
{
    struct record_source *s = calloc(1, sizeof *s);

    if (!s)
        err_set(e, ERR_MEMORY, "no memory for reading");
    return s;
}

static int made(struct record_source **out, struct record_source *s, int r)
{
    *out = r == 0 ? s : NULL;
    if (r < 0)
        free(s);
    return r;
}

int record_source_dir(struct record_source **out, int dir, const struct source_selection *selection,
                      struct err *e)
{
    struct record_source *s = make(e);

    *out = NULL;
    return s ? made(out, s, source_dir_new(&s->dir, dir, selection, e)) : ERR_MEMORY;
}

int record_source_stream(struct record_source **out, int fd, struct err *e)
{
    struct record_source *s = make(e);

    *out = NULL;
    return s ? made(out, s, source_stream_new(&s->stream, fd, e)) : ERR_MEMORY;
}

void record_source_free(struct record_source *s)
{
    if (!s)
        return;
    source_dir_free(s->dir);
    source_stream_free(s->stream);
    free(s);
}

int record_source_next(struct record_source *s, struct source_record *v, int timeout_ms,
                       struct err *e)
{
    return s->dir ? source_dir_next(s->dir, v, timeout_ms, e)
                  : source_stream_next(s->stream, v, timeout_ms, e);
}

int record_source_seek(struct record_source *s, uint64_t index, struct err *e)
{
    return s->dir ? source_dir_seek(s->dir, index, e) : source_stream_seek(s->stream, index, e);
}

void record_source_bare(struct record_source *s, bool bare)
{
    if (s->dir)
        source_dir_bare(s->dir, bare);
    else
        source_stream_bare(s->stream, bare);
}

int record_source_fd(const struct record_source *s)
{
    return s->dir ? -1 : source_stream_fd(s->stream);
}

const struct source_session *record_source_session(struct record_source *s, struct err *e)
{
    return s->dir ? source_dir_session(s->dir) : source_stream_session(s->stream, e);
}

int record_source_note(struct record_source *s, const char *name, struct buf *out, struct err *e)
{
    for (unsigned i = 0; i < SOURCE_NOTES; i++)
        if (strcmp(name, source_notes[i]) == 0)
            return s->dir ? source_dir_note(s->dir, i, out, e)
                          : source_stream_note(s->stream, i, out, e);
    return err_set(e, ERR_NOT_FOUND, "a log has no text %s", name);
}
