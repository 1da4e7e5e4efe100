/* SPDX-License-Identifier: Apache-2.0
 *
 * The opened recording in an evidence bundle: for the eyes; it proves nothing, and holds what the
 * session's keys opened. */
#include <inttypes.h>
#include <sys/stat.h>

#include "audit/bundle_parts.h"
#include "audit/file_op_show.h"
#include "audit/opened_records.h"
#include "base/clock.h"

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

struct table {
    struct bundle_file file;
    struct buf line;
};

static int put_operation(void *arg, struct file_op *op, struct err *e)
{
    char time[CLOCK_TEXT];
    struct table *t = arg;
    int r = buf_printf(&t->line, "%s  channel %" PRIu32 "  #%" PRIu64 "  ",
                       clock_iso(time, op->time_ns), op->channel, op->n);

    if (r == 0)
        r = file_op_line(op, &t->line);
    if (r == 0)
        r = buf_put(&t->line, "\n", 1);
    if (r < 0)
        return err_set(e, (enum err_code)r, "no memory for a file operation");
    r = bundle_file_put(&t->file, buf_head(&t->line), buf_len(&t->line), e);
    buf_consume(&t->line, buf_len(&t->line));
    return r;
}

/* The table of file operations, as `audit files` has them. */
static int put_files(struct bundle *b, struct err *e)
{
    struct source_selection which = {.what = SOURCE_SESSION};
    struct opened_records in = {.unseal = b->o->unseal};
    struct export_record v;
    struct table t;
    struct file_ops *ops = file_ops_new(put_operation, &t);
    int r = bundle_file_begin(b, &t.file, "recording/files.txt", e);

    buf_init(&t.line, 2 * FILE_OP_LINE_MAX);
    hex_encode(which.session, b->summary.session, RECORD_SESSION_ID);
    if (r == 0 && !ops)
        r = err_set(e, ERR_MEMORY, "no memory for file operations");
    if (r == 0)
        r = record_source_dir(&in.source, b->o->trail, &which, e);
    while (r == 0 && (r = opened_next(&in, &v, e)) == 1 && v.r->index < b->checkpoint.size)
        r = file_ops_put(ops, &v, e);
    if (r >= 0)
        r = file_ops_end(ops, e);
    record_source_free(in.source);
    file_ops_free(ops);
    buf_clear(&t.line);
    return bundle_file_end(b, &t.file, r, e);
}

int bundle_put_recording(struct bundle *b, struct err *e)
{
    int r = mkdirat(b->dir, "recording", 0700) != 0 ? err_errno(e, "cannot make recording") : 0;

    if (r == 0)
        r = put_format(b, "recording/session.cast", EXPORT_CAST2, e);
    if (r == 0)
        r = put_format(b, "recording/session.text", EXPORT_TEXT, e);
    if (r == 0 && b->summary.files)
        r = put_files(b, e);
    return r < 0 ? r : put_format(b, "recording/records.jsonl", EXPORT_JSONL, e);
}
