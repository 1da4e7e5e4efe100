/* SPDX-License-Identifier: Apache-2.0
 *
 * The opened recording in an evidence bundle: for the eyes; it proves nothing, and holds what the
 * session's keys opened. */
#include <sys/stat.h>

#include "audit/bundle_parts.h"
#include "audit/opened_records.h"

static int put_format(struct bundle *b, const char *name, enum export_format format, struct err *e)
{
    struct export_options o = {.format = format, .keystrokes = b->o->keystrokes};
    struct source_selection which = {.what = SOURCE_SESSION};
    struct opened_records in = {.unseal = b->o->unseal};
    struct export_record v;
    struct bundle_file f;
    struct exporter x;
    struct buf out;
    int r = bundle_file_begin(b, &f, name, e);

    buf_init(&out, EXPORT_OUT_MAX);
    exporter_init(&x, &o, &out);
    hex_encode(which.session, b->summary.session, RECORD_SESSION_ID);
    if (r == 0)
        r = record_source_dir(&in.source, b->o->trail, &which, e);
    while (r == 0 && (r = opened_next(&in, &v, e)) == 1 && v.r->index < b->checkpoint.size) {
        r = exporter_put(&x, &v, e);
        if (r == 0)
            r = bundle_file_put(&f, buf_head(&out), buf_len(&out), e);
        buf_consume(&out, buf_len(&out));
    }
    if (r >= 0)
        r = exporter_end(&x, e);
    if (r == 0)
        r = bundle_file_put(&f, buf_head(&out), buf_len(&out), e);
    record_source_free(in.source);
    exporter_clear(&x);
    buf_clear(&out);
    r = bundle_file_end(b, &f, r, e);
    return r < 0 || format != EXPORT_JSONL ? r : opened_report(&in, b->o->keystrokes, e);
}

int bundle_put_recording(struct bundle *b, struct err *e)
{
    int r = mkdirat(b->dir, "recording", 0700) != 0 ? err_errno(e, "cannot make recording") : 0;

    if (r == 0)
        r = put_format(b, "recording/session.cast", EXPORT_CAST2, e);
    if (r == 0)
        r = put_format(b, "recording/session.text", EXPORT_TEXT, e);
    return r < 0 ? r : put_format(b, "recording/records.jsonl", EXPORT_JSONL, e);
}
