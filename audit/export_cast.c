/* SPDX-License-Identifier: Apache-2.0
 *
 * asciicast v2 and v3 as asciinema documents them: a header line, then an event a line,
 * [time, code, data]. v2: seconds since the start, codes "o", "i", "r". v3: seconds since the event
 * before, and "x" with the exit status too. Times are whole microseconds (milliseconds would merge
 * what a fast program prints), so that v3's differences add up to v2's times. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "audit/export.h"

static int put_member(struct buf *out, const char *before, const char *text)
{
    int r = buf_printf(out, "%s\"", before);

    if (r == 0)
        r = json_text_put(out, text, strlen(text));
    return r < 0 ? r : buf_put(out, "\"", 1);
}

static int put_header(struct exporter *x)
{
    struct buf *out = x->out;
    int r;

    x->begun = true;
    x->last_us = 0;
    if (x->o.format == EXPORT_CAST2)
        r = buf_printf(out, "{\"version\": 2, \"width\": %u, \"height\": %u", x->columns, x->rows);
    else
        r = buf_printf(out, "{\"version\": 3, \"term\": {\"cols\": %u, \"rows\": %u", x->columns,
                       x->rows);
    if (r == 0 && x->o.format == EXPORT_CAST3 && x->term[0])
        r = put_member(out, ", \"type\": ", x->term);
    if (r == 0)
        r = buf_printf(out, "%s, \"timestamp\": %" PRIu64, x->o.format == EXPORT_CAST3 ? "}" : "",
                       x->start_real_ns / 1000000000u);
    if (r == 0 && x->o.idle_limit > 0)
        r = buf_printf(out, ", \"idle_time_limit\": %g", x->o.idle_limit);
    if (r == 0 && x->command[0])
        r = put_member(out, ", \"command\": ", x->command);
    if (r == 0 && x->title[0])
        r = put_member(out, ", \"title\": ", x->title);
    if (r == 0 && x->o.format == EXPORT_CAST2 && x->term[0]) {
        r = put_member(out, ", \"env\": {\"TERM\": ", x->term);
        if (r == 0)
            r = buf_put(out, "}", 1);
    }
    return r < 0 ? r : buf_put(out, "}\n", 2);
}

/* The text must be valid UTF-8. An event without any is left out. */
static int put_event(struct exporter *x, const struct record *v, char code, const void *text,
                     size_t len)
{
    uint64_t before = x->last_us, us;
    int r;

    if (len == 0)
        return 0;
    if (!x->begun) {
        r = put_header(x);
        if (r < 0)
            return r;
        before = 0;
    }
    us = v ? exporter_time_us(x, v) : x->last_us;
    if (x->o.format == EXPORT_CAST3)
        us -= before;
    r = buf_printf(x->out, "[%" PRIu64 ".%06u, \"%c\", \"", us / 1000000, (unsigned)(us % 1000000),
                   code);
    if (r == 0)
        r = json_text_put(x->out, text, len);
    if (r == 0)
        r = buf_put(x->out, "\"]\n", 3);
    x->events++;
    return r;
}

/* Where no terminal did it, the lines need the carriage return that a terminal gives them. */
static int put_lines(struct exporter *x, const uint8_t *p, size_t len, struct buf *out)
{
    int r = 0;

    for (size_t i = 0; i < len && r == 0; i++) {
        if (p[i] == '\n' && !x->last_cr)
            r = buf_put(out, "\r", 1);
        if (r == 0)
            r = buf_put(out, p + i, 1);
        x->last_cr = p[i] == '\r';
    }
    return r;
}

static int put_output(struct exporter *x, const struct export_record *v)
{
    struct buf lines;
    int r;

    /* Twice: newlines alone. */
    buf_init(&lines, 2 * RECORD_PAYLOAD_MAX + 1);
    r = x->terminal ? 0 : put_lines(x, v->payload, v->len, &lines);
    if (r == 0) {
        const uint8_t *p = x->terminal ? v->payload : buf_head(&lines);
        size_t len = x->terminal ? v->len : buf_len(&lines);

        for (size_t n; len > 0 && r == 0; p += n, len -= n) {
            n = len > RECORD_PAYLOAD_MAX ? RECORD_PAYLOAD_MAX : len;
            r = x->o.raw ? utf8_stream_put(&x->output, p, n, &x->text)
                         : term_filter_put(&x->filter, p, n, &x->text);
            if (r == 0)
                r = put_event(x, v->r, 'o', buf_head(&x->text), buf_len(&x->text));
            buf_consume(&x->text, buf_len(&x->text));
        }
    }
    buf_clear(&lines);
    return r;
}

static int put_input(struct exporter *x, const struct export_record *v)
{
    int r = utf8_stream_put(&x->input, v->payload, v->len, &x->text);

    if (r == 0)
        r = put_event(x, v->r, 'i', buf_head(&x->text), buf_len(&x->text));
    buf_consume(&x->text, buf_len(&x->text));
    return r;
}

static int put_resize(struct exporter *x, const struct export_record *v)
{
    json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL);
    json_int_t columns = json_integer_value(json_object_get(j, "columns"));
    json_int_t rows = json_integer_value(json_object_get(j, "rows"));
    char text[32];

    json_decref(j);
    if (!x->begun || columns < 1 || rows < 1 || columns > 65535 || rows > 65535)
        return 0; /* the first one stands in the header */
    snprintf(text, sizeof text, "%ux%u", (unsigned)columns, (unsigned)rows);
    return put_event(x, v->r, 'r', text, strlen(text));
}

/* v3 alone has an event for it. Killed by a signal counts as 255, as ssh has it. */
static int put_exit(struct exporter *x, const struct export_record *v)
{
    json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL);
    const char *event = json_string_value(json_object_get(j, "event"));
    char text[32] = "";

    if (x->o.format == EXPORT_CAST3 && event && strcmp(event, "exit") == 0) {
        if (json_is_string(json_object_get(j, "signal")))
            snprintf(text, sizeof text, "255");
        else
            snprintf(text, sizeof text, "%u",
                     (unsigned)json_integer_value(json_object_get(j, "status")) & 0xff);
    }
    json_decref(j);
    return put_event(x, v->r, 'x', text, strlen(text));
}

/* What is over by this record (NULL: the last one) and was not kept, on a line of its own. */
static int put_not_kept(struct exporter *x, const struct export_record *v)
{
    char text[NOT_KEPT_TEXT], line[NOT_KEPT_TEXT + 4];
    int r = 0;

    while (r == 0 && not_kept_over(&x->not_kept, v ? v->r : NULL, v ? v->payload : NULL,
                                   v ? v->len : 0, text)) {
        snprintf(line, sizeof line, "\r\n%s\r\n", text);
        r = put_event(x, v ? v->r : NULL, 'o', line, strlen(line));
    }
    return r;
}

int export_cast_put(struct exporter *x, const struct export_record *v)
{
    uint8_t type = v->r->type;
    int r = put_not_kept(x, v);

    if (r < 0)
        return r;
    if (v->payload && (type == RECORD_OUTPUT_DIGEST || type == RECORD_INPUT_DIGEST)) {
        if (exporter_wants(x, v->r) && (type == RECORD_OUTPUT_DIGEST || x->o.keystrokes))
            not_kept_put(&x->not_kept, v->r->channel, v->payload, v->len);
        return 0;
    }
    if (!v->payload || (type != RECORD_OUTPUT && type != RECORD_STDERR && type != RECORD_RESIZE &&
                        type != RECORD_EXEC && (type != RECORD_INPUT || !x->o.keystrokes)))
        return 0;
    if (type == RECORD_EXEC && !x->begun) {
        json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL);
        const char *event = json_string_value(json_object_get(j, "event"));
        bool start = event && strcmp(event, "start") == 0;

        json_decref(j);
        if (start)
            return 0;
    }
    if (!exporter_wants(x, v->r))
        return 0;
    switch (type) {
    case RECORD_RESIZE:
        return put_resize(x, v);
    case RECORD_EXEC:
        return put_exit(x, v);
    case RECORD_INPUT:
        return put_input(x, v);
    default:
        return put_output(x, v);
    }
}

int export_cast_end(struct exporter *x)
{
    int r = utf8_stream_end(&x->output, &x->text);

    if (r == 0)
        r = put_event(x, NULL, 'o', buf_head(&x->text), buf_len(&x->text));
    buf_consume(&x->text, buf_len(&x->text));
    if (r == 0)
        r = put_not_kept(x, NULL);
    if (r == 0 && !x->begun)
        r = put_header(x);
    return r;
}
