/* SPDX-License-Identifier: Apache-2.0
 *
 * A file operation for people and programs (audit/file_op_show.h). */
#include "audit/file_op_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/digest.h"
#include "audit/file_op_parse.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

const char *file_op_outcome(const struct file_op *op)
{
    switch (op->outcome) {
    case FILE_OP_REFUSED:
        return "refused";
    case FILE_OP_TWICE:
        return "contradictory";
    case FILE_OP_ANSWERED:
        return op->status[0] ? op->status : "unknown";
    default:
        return "unknown";
    }
}

static int put_escaped(struct buf *out, const void *p, size_t len)
{
    char *text = malloc(4 * len + 1);
    int r = text ? 0 : ERR_MEMORY;

    if (text) {
        escape_text(text, 4 * len + 1, p, len);
        r = buf_put(out, text, strlen(text));
    }
    free(text);
    return r;
}

static int put_word(struct buf *out, const char *text)
{
    return put_escaped(out, text, strlen(text));
}

int file_text_quoted(struct buf *out, struct bytes b)
{
    int r = buf_put(out, "\"", 1);

    if (r == 0)
        r = put_escaped(out, b.p, b.len);
    return r < 0 ? r : buf_put(out, "\"", 1);
}

static int put_path(struct buf *out, const char *before, struct bytes b, const char *after)
{
    int r = b.p ? buf_printf(out, "%s", before) : 0;

    if (r == 0 && b.p)
        r = file_text_quoted(out, b);
    return r < 0 || !b.p ? r : buf_printf(out, "%s", after);
}

static int put_number(struct buf *out, const char *name, const struct file_number *n, bool *any)
{
    int r = n->there ? buf_printf(out, "%s%s=%" PRIu64, *any ? " " : " [", name, n->value) : 0;

    *any = *any || n->there;
    return r;
}

/* " [write,creat mode=0644]" */
static int put_asked_for(struct buf *out, const struct file_op *op)
{
    bool any = op->flags[0] != 0;
    int r = any ? buf_printf(out, " [") : 0;

    if (r == 0 && any)
        r = put_word(out, op->flags);
    if (r == 0 && op->mode[0]) {
        r = buf_printf(out, "%smode=", any ? " " : " [");
        any = true;
        if (r == 0)
            r = put_word(out, op->mode);
    }
    if (r == 0)
        r = put_number(out, "size", &op->size, &any);
    if (r == 0)
        r = put_number(out, "uid", &op->uid, &any);
    if (r == 0)
        r = put_number(out, "gid", &op->gid, &any);
    if (r == 0)
        r = put_number(out, "atime", &op->atime, &any);
    if (r == 0)
        r = put_number(out, "mtime", &op->mtime, &any);
    if (r == 0)
        r = put_number(out, "from", &op->from, &any);
    if (r == 0)
        r = put_number(out, "bytes", &op->bytes, &any);
    if (r == 0)
        r = put_number(out, "to_offset", &op->to_offset, &any);
    return r < 0 || !any ? r : buf_printf(out, "]");
}

static int put_moved(struct buf *out, const struct file_moved *m, enum file_direction d)
{
    char hash[DIGEST_HEX];
    int r;

    if (!m->there)
        return 0;
    r = buf_printf(out, ", %s %" PRIu64 " B", file_direction_text(d), m->bytes);
    if (r == 0 && m->failed)
        r = buf_printf(out, " (%" PRIu64 " B of them failed)", m->failed);
    if (r == 0 && m->ranges == 1 && m->more == 0) {
        digest_hex(m->range[0].sha256, hash);
        if (m->range[0].from)
            r = buf_printf(out, " from %" PRIu64, m->range[0].from);
        if (r == 0)
            r = buf_printf(out, ", sha256 %s", hash);
    } else if (r == 0 && (m->ranges || m->more)) {
        r = buf_printf(out, " in %" PRIu64 " pieces", m->ranges + m->more);
    }
    return r;
}

static int put_outcome(struct buf *out, const struct file_op *op)
{
    int r = 0;

    switch (op->outcome) {
    case FILE_OP_REFUSED:
        r = buf_printf(out, ": REFUSED (");
        if (r == 0)
            r = put_word(out, op->why[0] ? op->why : "?");
        if (r == 0)
            r = buf_printf(out, ")");
        return r < 0 ? r : put_path(out, " ", op->text, "");
    case FILE_OP_TWICE:
        return buf_printf(out, ": CONTRADICTORY (its number is another request's)");
    case FILE_OP_ANSWERED:
        r = buf_printf(out, ": ");
        return r < 0 ? r : put_word(out, file_op_outcome(op));
    default:
        return buf_printf(out, ": no answer was recorded");
    }
}

static int put_close(struct buf *out, const struct file_op *op)
{
    const bool opened = op->outcome == FILE_OP_ANSWERED && strcmp(op->status, "ok") == 0 &&
                        (strcmp(op->op, "open") == 0 || strcmp(op->op, "opendir") == 0);
    int r = 0;

    if (op->entries.there && strcmp(op->op, "opendir") == 0)
        r = buf_printf(out, ", %" PRIu64 " entries", op->entries.value);
    for (int d = 0; d < FILE_DIRECTIONS && r == 0; d++)
        r = put_moved(out, &op->moved[d], (enum file_direction)d);
    if (r == 0 && op->closed && strcmp(op->closed_by, "end") == 0)
        r = buf_printf(out, ", still open at the channel's end");
    else if (r == 0 && op->closed && op->close_status[0] && strcmp(op->close_status, "ok") != 0) {
        r = buf_printf(out, ", close: ");
        if (r == 0)
            r = put_word(out, op->close_status);
    } else if (r == 0 && opened && !op->closed) {
        r = buf_printf(out, ", no close was recorded");
    }
    return r;
}

/* What was asked for. */
static int put_request(struct buf *out, const struct file_op *op)
{
    int r = put_word(out, op->op);

    if (r == 0)
        r = put_path(out, " ", op->path, "");
    if (r == 0)
        r = put_path(out, " (asked: ", op->asked, ")");
    if (r == 0)
        r = put_path(out, " to ", op->to, "");
    if (r == 0)
        r = put_path(out, " (asked: ", op->asked_to, ")");
    return r < 0 ? r : put_asked_for(out, op);
}

int file_op_line(const struct file_op *op, struct buf *out)
{
    int r = put_request(out, op);

    if (r == 0)
        r = put_outcome(out, op);
    return r < 0 ? r : put_close(out, op);
}

/* " 7 ok, 8 no-such-file"; what is too much for a line is cut. */
static int put_results(struct buf *out, const json_t *results)
{
    const json_t *result;
    size_t i;
    int r = buf_printf(out, "answers:");

    json_array_foreach((json_t *)results, i, result)
    {
        struct file_number n;
        char status[40];

        if (r < 0 || i == 100)
            break;
        file_number_take(&n, result, "n");
        file_op_take_text(status, sizeof status, result, "status");
        r = buf_printf(out, "%s #%" PRIu64 " ", i ? "," : "", n.value);
        if (r == 0)
            r = put_word(out, status);
    }
    return r < 0 || json_array_size(results) <= 100 ? r : buf_printf(out, " ...");
}

int file_record_line(const struct export_record *v, struct buf *out)
{
    json_t *j = file_record_parse(v);
    const char *event = json_string_value(json_object_get(j, "event"));
    struct file_op *op = calloc(1, sizeof *op);
    struct file_number n;
    int r = op ? 0 : ERR_MEMORY;

    if (r == 0 && event && strcmp(event, "results") == 0) {
        r = put_results(out, json_object_get(j, "results"));
    } else if (r == 0 && event && strcmp(event, "closed") == 0) {
        file_number_take(&n, j, "n");
        r = file_op_take_closed(op, j);
        if (r == 0)
            r = file_op_take_path(op, j);
        op->closed = true;
        /* Of a folder alone there are entries. */
        snprintf(op->op, sizeof op->op, "%s", op->entries.there ? "opendir" : "open");
        if (r == 0)
            r = buf_printf(out, "closed #%" PRIu64, n.value);
        if (r == 0)
            r = put_path(out, " ", op->path, "");
        if (r == 0)
            r = put_close(out, op);
    } else if (r == 0 && event &&
               (strcmp(event, "request") == 0 || strcmp(event, "refused") == 0)) {
        r = file_op_take_request(op, j);
        if (r == 0)
            r = buf_printf(out, "#%" PRIu64 " ", op->n);
        if (r == 0)
            r = put_request(out, op);
        op->outcome = FILE_OP_REFUSED;
        if (r == 0 && event[2] == 'f')
            r = put_outcome(out, op);
    }
    file_op_free(op);
    json_decref(j);
    return r == ERR_INPUT ? buf_printf(out, "(a record that is not of its form)") : r;
}

void file_json_bytes(json_t *object, const char *name, struct bytes b)
{
    char *text = calloc(2, b.len + 1), *hex = NULL, raw_name[64];
    size_t at = 0;
    bool raw = false;

    for (size_t i = 0; text && i < b.len;) {
        uint32_t c;
        size_t n = utf8_next(b.p + i, b.len - i, &c);

        if (n == 0) {
            raw = true;
            text[at++] = (char)(0xc0 | b.p[i] >> 6);
            text[at++] = (char)(0x80 | (b.p[i] & 0x3f));
            n = 1;
        } else {
            memcpy(text + at, b.p + i, n);
            at += n;
        }
        i += n;
    }
    if (text)
        json_object_set_new(object, name, json_stringn(text, at));
    if (raw)
        hex = malloc(2 * b.len + 1);
    if (hex) {
        hex_encode(hex, b.p, b.len);
        snprintf(raw_name, sizeof raw_name, "%s.raw", name);
        json_object_set_new(object, raw_name, json_string(hex));
    }
    free(hex);
    free(text);
}

static void set_bytes(json_t *j, const char *name, struct bytes b)
{
    if (b.p)
        file_json_bytes(j, name, b);
}

static void set_text(json_t *j, const char *name, const char *text)
{
    if (text[0])
        file_json_bytes(j, name, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static void set_u64(json_t *j, const char *name, uint64_t n)
{
    json_object_set_new(j, name, json_integer((json_int_t)n));
}

static void set_number(json_t *j, const char *name, const struct file_number *n)
{
    if (n->there)
        set_u64(j, name, n->value);
}

static json_t *flags_json(const char *flags)
{
    json_t *array = json_array();

    for (size_t n; *flags; flags += n + (flags[n] == ',')) {
        n = strcspn(flags, ",");
        json_array_append_new(array, json_stringn(flags, n));
    }
    return array;
}

static json_t *moved_json(const struct file_moved *m)
{
    json_t *j = json_object(), *ranges = json_array();
    uint8_t whole[RECORD_HASH_SIZE];
    char hash[DIGEST_HEX];

    set_u64(j, "bytes", m->bytes);
    for (unsigned i = 0; i < m->ranges; i++) {
        digest_hex(m->range[i].sha256, hash);
        json_array_append_new(ranges,
                              json_pack("{s:I, s:I, s:s}", "from", (json_int_t)m->range[i].from,
                                        "to", (json_int_t)m->range[i].to, "sha256", hash));
    }
    json_object_set_new(j, "ranges", ranges);
    if (file_moved_whole(m, whole)) {
        digest_hex(whole, hash);
        set_text(j, "sha256", hash);
    }
    if (m->more)
        set_u64(j, "more", m->more);
    if (m->failed)
        set_u64(j, "failed", m->failed);
    if (m->has_kept)
        set_u64(j, "kept", m->kept);
    return j;
}

json_t *file_op_json(const struct file_op *op)
{
    json_t *j = json_object(), *attrs = json_object();
    char time[CLOCK_TEXT];

    if (!j || !attrs) {
        json_decref(j);
        json_decref(attrs);
        return NULL;
    }
    set_u64(j, "channel", op->channel);
    set_u64(j, "n", op->n);
    set_u64(j, "record", op->record);
    set_text(j, "op", op->op);
    set_bytes(j, "path", op->path);
    set_bytes(j, "to", op->to);
    set_bytes(j, "asked", op->asked);
    set_bytes(j, "asked_to", op->asked_to);
    if (op->flags[0])
        json_object_set_new(j, "flags", flags_json(op->flags));
    set_number(attrs, "size", &op->size);
    set_number(attrs, "uid", &op->uid);
    set_number(attrs, "gid", &op->gid);
    set_text(attrs, "mode", op->mode);
    set_number(attrs, "atime", &op->atime);
    set_number(attrs, "mtime", &op->mtime);
    if (json_object_size(attrs))
        json_object_set(j, "attrs", attrs);
    json_decref(attrs);
    set_number(j, "from", &op->from);
    set_number(j, "bytes", &op->bytes);
    set_number(j, "to_offset", &op->to_offset);
    set_bytes(j, "rule", op->rule);
    set_text(j, "outcome", file_op_outcome(op));
    set_text(j, "why", op->why);
    set_bytes(j, "text", op->text);
    if (op->closed) {
        json_object_set_new(j, "closed", json_string(clock_iso(time, op->closed_ns)));
        set_text(j, "close_status", op->close_status);
        set_text(j, "closed_by", op->closed_by);
        set_number(j, "entries", &op->entries);
    }
    for (int d = 0; d < FILE_DIRECTIONS; d++)
        if (op->moved[d].there)
            json_object_set_new(j, file_direction_text((enum file_direction)d),
                                moved_json(&op->moved[d]));
    return j;
}
