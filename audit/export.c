/* SPDX-License-Identifier: Apache-2.0
 *
 * What the export formats share: facts of the session for their headers, time, choice of channel.
 */
#include "audit/export.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "audit/digest.h"

void exporter_init(struct exporter *x, const struct export_options *o, struct buf *out)
{
    memset(x, 0, sizeof *x);
    x->o = *o;
    x->out = out;
    x->columns = 80;
    x->rows = 24;
    x->bound = o->one_channel || o->format == EXPORT_JSONL;
    term_filter_init(&x->filter, o->format == EXPORT_TEXT ? TERM_TEXT : TERM_DRAW);
    buf_init(&x->text, 3 * RECORD_PAYLOAD_MAX + 256);
}

void exporter_clear(struct exporter *x)
{
    buf_clear(&x->text);
}

uint64_t exporter_time_us(struct exporter *x, const struct record *r)
{
    uint64_t us = r->boot_ns > x->start_ns ? (r->boot_ns - x->start_ns) / 1000 : 0;

    if (us > x->last_us)
        x->last_us = us;
    return x->last_us;
}

bool exporter_wants(struct exporter *x, const struct record *r)
{
    x->bound = true;
    return !x->o.one_channel || r->channel == x->o.channel;
}

static void copy(char *out, size_t cap, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (text)
        snprintf(out, cap, "%s", text);
}

static unsigned size_of(const json_t *object, const char *name, unsigned otherwise)
{
    json_int_t n = json_integer_value(json_object_get(object, name));

    return n > 0 && n <= 65535 ? (unsigned)n : otherwise;
}

/* The session's terminal, or the one that was asked for. */
static void bind_terminal(struct exporter *x, const struct record *r)
{
    if (!x->bound) {
        x->bound = x->o.one_channel = true;
        x->o.channel = r->channel;
    }
    if (x->o.one_channel && x->o.channel == r->channel)
        x->terminal = true;
}

static void note_facts(struct exporter *x, const struct export_record *v, const json_t *j)
{
    const struct record *r = v->r;
    const char *event = json_string_value(json_object_get(j, "event"));

    if (r->type == RECORD_SESSION_START) {
        char operator_name[64] = "?", account[64] = "?", target[64] = "?";

        copy(operator_name, sizeof operator_name, j, "operator");
        copy(account, sizeof account, j, "account");
        copy(target, sizeof target, j, "target");
        snprintf(x->title, sizeof x->title, "%s: %s@%s", operator_name, account, target);
    } else if (r->type == RECORD_RESIZE) {
        bind_terminal(x, r);
        if (x->begun || !exporter_wants(x, r))
            return;
        x->columns = size_of(j, "columns", x->columns);
        x->rows = size_of(j, "rows", x->rows);
        copy(x->term, sizeof x->term, j, "term");
    } else if (json_is_true(json_object_get(j, "pty"))) {
        bind_terminal(x, r);
    }
    if (r->type == RECORD_EXEC && event && strcmp(event, "start") == 0 && !x->begun &&
        (!x->o.one_channel || r->channel == x->o.channel))
        copy(x->command, sizeof x->command, j, "command");
}

int exporter_put(struct exporter *x, const struct export_record *v, struct err *e)
{
    int r;

    if (!x->id[0]) {
        hex_encode(x->id, v->r->session, RECORD_SESSION_ID);
        x->start_ns = v->r->boot_ns;
        x->start_real_ns = v->r->real_ns;
    }
    sftp_channels_note(&x->sftp, v->r, v->payload, v->len);
    /* What crossed on an SFTP channel is no text; its operations are told by FILE records. */
    if (x->o.format != EXPORT_JSONL && sftp_channels_form(&x->sftp, v->r))
        return 0;
    if (v->r->type == RECORD_FORWARD_OPEN)
        channel_set_add(&x->forwards, v->r->channel);
    if (x->o.format != EXPORT_JSONL && v->r->type == RECORD_INPUT &&
        channel_set_has(&x->forwards, v->r->channel))
        return 0;
    if (v->payload && record_is_json(v->r->type)) {
        json_t *j = json_loadb((const char *)v->payload, v->len, 0, NULL);

        note_facts(x, v, j);
        json_decref(j);
    }
    if (!v->payload &&
        (v->r->type == RECORD_OUTPUT || v->r->type == RECORD_STDERR ||
         v->r->type == RECORD_OUTPUT_DIGEST || (x->o.keystrokes && v->r->type == RECORD_INPUT)))
        x->locked++;
    r = x->o.format == EXPORT_JSONL  ? export_json_put(x, v)
        : x->o.format == EXPORT_TEXT ? export_text_put(x, v)
                                     : export_cast_put(x, v);
    return r < 0 ? err_set(e, (enum err_code)r, "record %llu does not fit the export's buffer",
                           (unsigned long long)v->r->index)
                 : 0;
}

int exporter_end(struct exporter *x, struct err *e)
{
    int r = x->o.format == EXPORT_JSONL  ? 0
            : x->o.format == EXPORT_TEXT ? export_text_end(x)
                                         : export_cast_end(x);

    x->left_out = x->filter.left_out;
    return r < 0 ? err_set(e, (enum err_code)r, "no memory for the export's end") : 0;
}
