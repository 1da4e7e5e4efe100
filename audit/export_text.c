/* SPDX-License-Identifier: Apache-2.0
 *
 * What was on the screen as plain text: every line with the time at which it began, since the
 * session's start. `|` output, `>` what the operator typed, `#` what happened. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/export.h"
#include "audit/file_op_show.h"
#include "base/clock.h"
#include "base/log.h"

static int put_time(struct exporter *x, uint64_t us, char mark)
{
    return buf_printf(x->out, "%02" PRIu64 ":%02u:%02u.%03u %c ", us / 3600000000u,
                      (unsigned)(us / 60000000u % 60), (unsigned)(us / 1000000u % 60),
                      (unsigned)(us / 1000u % 1000), mark);
}

static int close_line(struct exporter *x)
{
    int r = x->line_open ? buf_put(x->out, "\n", 1) : 0;

    x->line_open = false;
    return r;
}

static int put_note(struct exporter *x, uint64_t us, const char *text)
{
    char escaped[4096];
    int r = close_line(x);

    if (r == 0)
        r = put_time(x, us, '#');
    if (r == 0)
        r = buf_printf(x->out, "%s\n", escape_text(escaped, sizeof escaped, text, strlen(text)));
    x->events++;
    return r;
}

static int put_screen(struct exporter *x, const struct export_record *v)
{
    uint64_t us = exporter_time_us(x, v->r);
    int r = term_filter_put(&x->filter, v->payload, v->len, &x->text);
    const uint8_t *p = buf_head(&x->text);
    size_t left = buf_len(&x->text);

    while (r == 0 && left > 0) {
        const uint8_t *end = memchr(p, '\n', left);
        size_t n = end ? (size_t)(end - p) : left;

        if (!x->line_open)
            r = put_time(x, us, '|');
        if (r == 0)
            r = buf_put(x->out, p, n);
        x->line_open = true;
        if (r == 0 && end)
            r = close_line(x);
        n += end != NULL;
        p += n;
        left -= n;
    }
    x->events++;
    buf_consume(&x->text, buf_len(&x->text));
    return r;
}

static int put_input(struct exporter *x, const struct export_record *v)
{
    size_t cap = 4 * v->len + 1;
    char *escaped = malloc(cap);
    int r = escaped ? close_line(x) : ERR_MEMORY;

    if (r == 0)
        r = put_time(x, exporter_time_us(x, v->r), '>');
    if (r == 0) {
        escape_text(escaped, cap, v->payload, v->len);
        r = buf_put(x->out, escaped, strlen(escaped));
    }
    if (r == 0)
        r = buf_put(x->out, "\n", 1);
    free(escaped);
    x->events++;
    return r;
}

static int put_event(struct exporter *x, const struct export_record *v)
{
    json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL);
    const char *event = json_string_value(json_object_get(j, "event"));
    const char *command = json_string_value(json_object_get(j, "command"));
    const char *signal = json_string_value(json_object_get(j, "signal"));
    char text[1024] = "";

    if (v->r->type == RECORD_RESIZE)
        snprintf(text, sizeof text, "terminal %u x %u",
                 (unsigned)json_integer_value(json_object_get(j, "columns")),
                 (unsigned)json_integer_value(json_object_get(j, "rows")));
    else if (event && strcmp(event, "start") == 0)
        snprintf(text, sizeof text, "%s%s", command ? "command: " : "shell",
                 command ? command : "");
    else if (event && strcmp(event, "exit") == 0 && signal)
        snprintf(text, sizeof text, "ended by signal %s", signal);
    else if (event && strcmp(event, "exit") == 0)
        snprintf(text, sizeof text, "exit status %u",
                 (unsigned)json_integer_value(json_object_get(j, "status")));
    json_decref(j);
    return text[0] ? put_note(x, exporter_time_us(x, v->r), text) : 0;
}

/* What the record says of files, which is escaped already. */
static int put_file(struct exporter *x, const struct export_record *v)
{
    struct buf line;
    int r;

    buf_init(&line, FILE_OP_LINE_MAX);
    r = file_record_line(v, &line);
    if (r == 0 && buf_len(&line) > 0) {
        r = close_line(x);
        if (r == 0)
            r = put_time(x, exporter_time_us(x, v->r), '#');
        if (r == 0)
            r = buf_put(x->out, buf_head(&line), buf_len(&line));
        if (r == 0)
            r = buf_put(x->out, "\n", 1);
        x->events++;
    }
    buf_clear(&line);
    return r;
}

static int put_forward(struct exporter *x, const struct export_record *v)
{
    json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL);
    const char *to = json_string_value(json_object_get(j, "detail"));
    const bool permitted = json_is_true(json_object_get(j, "allowed"));
    char text[1200];

    snprintf(text, sizeof text, "forward to %.1100s: %s", to ? to : "?",
             permitted ? "permitted" : "refused");
    json_decref(j);
    return put_note(x, exporter_time_us(x, v->r), text);
}

/* What is over by this record (NULL: the last one) and was not kept. */
static int put_not_kept(struct exporter *x, const struct export_record *v)
{
    char text[NOT_KEPT_TEXT];
    int r = 0;

    while (r == 0 && not_kept_over(&x->not_kept, v ? v->r : NULL, v ? v->payload : NULL,
                                   v ? v->len : 0, text))
        r = put_note(x, v ? exporter_time_us(x, v->r) : x->last_us, text);
    return r;
}

/* The session goes on with less. */
static int put_grant(struct exporter *x, const struct export_record *v)
{
    json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL);
    const char *said = json_string_value(json_object_get(j, "text"));
    char text[1024];

    snprintf(text, sizeof text, "the policy: %.1000s", said ? said : "the grant changed");
    json_decref(j);
    return put_note(x, exporter_time_us(x, v->r), text);
}

int export_text_put(struct exporter *x, const struct export_record *v)
{
    uint8_t type = v->r->type;
    char time[CLOCK_TEXT], text[512];
    int r = 0;

    if (!x->begun && x->title[0]) {
        x->begun = true;
        snprintf(text, sizeof text, "session %s, %s, began %s", x->id, x->title,
                 clock_iso_seconds(time, x->start_real_ns));
        r = put_note(x, 0, text);
    }
    if (r < 0 || !v->payload)
        return r;
    r = put_not_kept(x, v);
    if (r < 0)
        return r;
    switch (type) {
    case RECORD_OUTPUT_DIGEST:
    case RECORD_INPUT_DIGEST:
        if (exporter_wants(x, v->r) && (type == RECORD_OUTPUT_DIGEST || x->o.keystrokes))
            not_kept_put(&x->not_kept, v->r->channel, v->payload, v->len);
        return 0;
    case RECORD_OUTPUT:
    case RECORD_STDERR:
        return exporter_wants(x, v->r) ? put_screen(x, v) : 0;
    case RECORD_INPUT:
        return x->o.keystrokes && exporter_wants(x, v->r) ? put_input(x, v) : 0;
    case RECORD_RESIZE:
    case RECORD_EXEC:
        return !x->o.one_channel || v->r->channel == x->o.channel ? put_event(x, v) : 0;
    case RECORD_SUBSYSTEM:
        return !x->o.one_channel || v->r->channel == x->o.channel
                   ? put_note(x, exporter_time_us(x, v->r), "service: files (sftp)")
                   : 0;
    case RECORD_FORWARD_OPEN:
        return !x->o.one_channel || v->r->channel == x->o.channel ? put_forward(x, v) : 0;
    case RECORD_FILE:
        return !x->o.one_channel || v->r->channel == x->o.channel ? put_file(x, v) : 0;
    case RECORD_GRANT:
        return put_grant(x, v);
    case RECORD_SESSION_END:
        return put_note(x, exporter_time_us(x, v->r), "end of the session");
    default:
        return 0;
    }
}

int export_text_end(struct exporter *x)
{
    int r = put_not_kept(x, NULL);

    return r < 0 ? r : close_line(x);
}
