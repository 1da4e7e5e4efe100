/* SPDX-License-Identifier: Apache-2.0
 *
 * FILE records to operations (audit/file_op_parse.h). */
#include "audit/file_op_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/digest.h"

/* Of a refusal, which names a path, and of a rule's name. */
#define TEXT_MAX 1024u

json_t *file_record_parse(const struct export_record *v)
{
    json_t *j =
        v->payload ? json_loadb((const char *)v->payload, v->len, JSON_ALLOW_NUL, NULL) : NULL;

    if (json_is_object(j))
        return j;
    json_decref(j);
    return NULL;
}

void file_op_take_text(char *out, size_t cap, const json_t *j, const char *name)
{
    const char *text = json_string_value(json_object_get(j, name));

    snprintf(out, cap, "%s", text ? text : "");
}

bool file_number_take(struct file_number *out, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    out->there = json_is_integer(value) && json_integer_value(value) >= 0;
    out->value = out->there ? (uint64_t)json_integer_value(value) : 0;
    return out->there;
}

static uint64_t number_of(const json_t *object, const char *name)
{
    struct file_number n;

    return file_number_take(&n, object, name) ? n.value : 0;
}

/* A string's bytes as the peer sent them: NAME.raw has them where they are no UTF-8. */
static int take_bytes(struct file_op *op, struct bytes *out, const json_t *j, const char *name,
                      size_t max)
{
    const json_t *value = json_object_get(j, name);
    const char *raw, *text = json_string_value(value);
    char raw_name[32];
    size_t len = text ? json_string_length(value) : 0;
    uint8_t *copy;

    if (!text)
        return 0;
    snprintf(raw_name, sizeof raw_name, "%s.raw", name);
    raw = json_string_value(json_object_get(j, raw_name));
    copy = malloc(max);
    if (!copy)
        return ERR_MEMORY;
    if (raw && strlen(raw) / 2 <= max && strlen(raw) % 2 == 0 &&
        hex_decode(raw, copy, strlen(raw) / 2) == 0) {
        len = strlen(raw) / 2;
    } else {
        len = len > max ? max : len;
        memcpy(copy, text, len);
    }
    out->p = realloc(copy, len ? len : 1);
    if (!out->p)
        out->p = copy;
    out->len = len;
    op->held += len;
    return 0;
}

static void take_flags(struct file_op *op, const json_t *flags)
{
    const json_t *flag;
    size_t i, n = 0;

    json_array_foreach((json_t *)flags, i, flag)
    {
        const char *text = json_string_value(flag);
        size_t len = text ? strlen(text) : 0;

        if (len == 0 || n + len + 2 > sizeof op->flags)
            continue;
        if (n > 0)
            op->flags[n++] = ',';
        memcpy(op->flags + n, text, len + 1);
        n += len;
    }
}

int file_op_take_request(struct file_op *op, const json_t *j)
{
    const json_t *attrs = json_object_get(j, "attrs");
    struct file_number n;
    int r = 0;

    file_op_take_text(op->op, sizeof op->op, j, "op");
    /* What was refused may be no request at all. */
    if (!op->op[0] && json_object_get(j, "why"))
        snprintf(op->op, sizeof op->op, "?");
    if (!file_number_take(&n, j, "n") || !op->op[0])
        return ERR_INPUT;
    op->n = n.value;
    file_op_take_text(op->why, sizeof op->why, j, "why");
    file_op_take_text(op->mode, sizeof op->mode, attrs, "mode");
    file_number_take(&op->size, attrs, "size");
    file_number_take(&op->uid, attrs, "uid");
    file_number_take(&op->gid, attrs, "gid");
    file_number_take(&op->atime, attrs, "atime");
    file_number_take(&op->mtime, attrs, "mtime");
    file_number_take(&op->from, j, "from");
    file_number_take(&op->bytes, j, "bytes");
    file_number_take(&op->to_offset, j, "to_offset");
    take_flags(op, json_object_get(j, "flags"));
    if (r == 0)
        r = take_bytes(op, &op->path, j, "path", FILE_OP_PATH_MAX);
    if (r == 0)
        r = take_bytes(op, &op->to, j, "to", FILE_OP_PATH_MAX);
    if (r == 0)
        r = take_bytes(op, &op->asked, j, "asked", FILE_OP_PATH_MAX);
    if (r == 0)
        r = take_bytes(op, &op->asked_to, j, "asked_to", FILE_OP_PATH_MAX);
    if (r == 0)
        r = take_bytes(op, &op->rule, j, "rule", TEXT_MAX);
    return r < 0 ? r : take_bytes(op, &op->text, j, "text", TEXT_MAX);
}

int file_op_take_path(struct file_op *op, const json_t *j)
{
    return take_bytes(op, &op->path, j, "path", FILE_OP_PATH_MAX);
}

static int take_moved(struct file_op *op, struct file_moved *m, const json_t *j)
{
    const json_t *ranges = json_object_get(j, "ranges"), *range;
    size_t i, count = json_array_size(ranges);
    struct file_number kept;

    if (!json_is_object(j))
        return 0;
    m->there = true;
    m->bytes = number_of(j, "bytes");
    m->failed = number_of(j, "failed");
    m->more = number_of(j, "more");
    m->has_kept = file_number_take(&kept, j, "kept");
    m->kept = kept.value;
    if (count > FILE_OP_RANGES)
        m->more += count - FILE_OP_RANGES;
    count = count > FILE_OP_RANGES ? FILE_OP_RANGES : count;
    m->range = count ? calloc(count, sizeof *m->range) : NULL;
    if (count && !m->range)
        return ERR_MEMORY;
    op->held += count * sizeof *m->range;
    for (i = 0; i < count; i++) {
        struct file_range *to = &m->range[m->ranges];
        const char *hex;

        range = json_array_get(ranges, i);
        hex = json_string_value(json_object_get(range, "sha256"));
        to->from = number_of(range, "from");
        to->to = number_of(range, "to");
        if (to->to >= to->from && hex && strlen(hex) == DIGEST_HEX - 1 &&
            hex_decode(hex, to->sha256, sizeof to->sha256) == 0)
            m->ranges++;
        else
            m->more++;
    }
    return 0;
}

int file_op_take_closed(struct file_op *op, const json_t *j)
{
    static const char *const names[FILE_DIRECTIONS] = {"read", "written"};
    int r = 0;

    file_op_take_text(op->close_status, sizeof op->close_status, j, "status");
    file_op_take_text(op->closed_by, sizeof op->closed_by, j, "by");
    file_number_take(&op->entries, j, "entries");
    for (int d = 0; d < FILE_DIRECTIONS && r == 0; d++)
        r = take_moved(op, &op->moved[d], json_object_get(j, names[d]));
    return r;
}

void file_op_free(struct file_op *op)
{
    struct bytes *texts[] = {&op->path, &op->to, &op->asked, &op->asked_to, &op->rule, &op->text};

    for (size_t i = 0; op && i < sizeof texts / sizeof *texts; i++)
        free((void *)texts[i]->p);
    for (int d = 0; op && d < FILE_DIRECTIONS; d++)
        free(op->moved[d].range);
    free(op);
}
