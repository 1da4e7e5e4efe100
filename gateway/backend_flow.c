/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes in both directions. Input: taken from the frontend within its credit, recorded, forwarded
 * when the record is durable and the target has window. Output: taken from libssh, recorded,
 * delivered when the record is accepted (or durable, by the grant) and the frontend has credit. End
 * of file, exit and close keep their places behind the data. What cannot be passed on is left where
 * it is, so that the other side waits: libssh grants window anew on every read. Runs in the
 * backend; both sides are hostile. */
#include <stdio.h>
#include <string.h>

#include "gateway/backend_session.h"

/* Credit goes back in these steps, so that keystrokes do not cost a frame each. */
#define CREDIT_STEP (RELAY_WINDOW / 8)

static void memory_out(struct backend *b)
{
    end_begin(b, "memory", EXIT_TRY_AGAIN, "the gateway is out of memory");
}

/* --- from libssh: callbacks, which only note and copy */

/* Output that was taken and is not delivered. */
static size_t waiting(const struct channel *ch)
{
    return ch->output.bytes + sftp_held(ch);
}

static bool put_output(struct channel *ch, bool is_stderr, const void *p, size_t len)
{
    if (ch->sftp != NULL && !is_stderr)
        return sftp_take_output(ch, p, len);
    return bulk_output(ch, is_stderr, p, len) == 0;
}

static int on_data(ssh_session ssh, ssh_channel c, void *data, uint32_t len, int is_stderr,
                   void *user)
{
    struct channel *ch = user;
    struct backend *b = ch->owner;
    size_t room, take = 0;
    (void)ssh, (void)c;

    is_stderr = is_stderr != 0;
    if (ch->forward != NULL && is_stderr) { /* it has none */
        ch->lost += len;
        return (int)len;
    }
    if (ch->operator_closed || ch->gateway_closed || b->phase >= PHASE_FINISH) {
        ch->held[is_stderr] = 0;
        return (int)len;
    }
    if (ch->target_eof || ch->target_closed) {
        /* What libssh held came before the end; the rest is none of the channel's any more. */
        take = ch->held[is_stderr];
        ch->lost += len - take;
    } else if (ch->held[0] == 0 && ch->held[1] == 0) {
        room = waiting(ch) < OUTPUT_HELD_MAX ? OUTPUT_HELD_MAX - waiting(ch) : 0;
        take = len < room ? len : room;
    }
    if (take > 0 && !put_output(ch, is_stderr, data, take)) {
        memory_out(b);
        return (int)len;
    }
    ch->bytes_out += take;
    if (ch->target_eof || ch->target_closed) {
        ch->held[is_stderr] = 0;
        return (int)len;
    }
    ch->held[is_stderr] = len - take;
    if (!ch->pty) /* what a terminal shows by itself is nobody at work */
        b->active_ms = b->now_ms;
    return (int)take;
}

static void on_eof(ssh_session ssh, ssh_channel c, void *user)
{
    struct channel *ch = user;
    (void)ssh, (void)c;
    ch->target_eof = true;
}

static void on_close(ssh_session ssh, ssh_channel c, void *user)
{
    struct channel *ch = user;
    (void)ssh, (void)c;
    ch->target_closed = true;
}

/* The first one counts: what the operator gets is what is recorded. */
static void on_exit_status(ssh_session ssh, ssh_channel c, int status, void *user)
{
    struct channel *ch = user;
    (void)ssh, (void)c;
    if (ch->target_exit || ch->forward != NULL)
        return;
    ch->target_exit = true;
    ch->exit_status = (uint32_t)status;
}

static void on_exit_signal(ssh_session ssh, ssh_channel c, const char *name, int core,
                           const char *text, const char *lang, void *user)
{
    struct channel *ch = user;
    (void)ssh, (void)c, (void)lang;
    if (ch->target_exit || ch->forward != NULL)
        return;
    ch->target_exit = true;
    ch->exit_core = core != 0;
    snprintf(ch->exit_signal, sizeof ch->exit_signal, "%s",
             name != NULL && name[0] != '\0' ? name : "unknown");
    snprintf(ch->exit_text, sizeof ch->exit_text, "%s", text != NULL ? text : "");
}

void flow_callbacks(struct channel *ch)
{
    ch->callbacks = (struct ssh_channel_callbacks_struct){
        .size = sizeof ch->callbacks,
        .userdata = ch,
        .channel_data_function = on_data,
        .channel_eof_function = on_eof,
        .channel_close_function = on_close,
        .channel_exit_status_function = on_exit_status,
        .channel_exit_signal_function = on_exit_signal,
    };
    ssh_set_channel_callbacks(ch->ssh, &ch->callbacks);
}

static size_t held(const struct channel *ch)
{
    return ch->held[0] + ch->held[1];
}

bool flow_stopped(const struct backend *b)
{
    size_t total = 0, limit = SESSION_HELD_MAX;

    if (record_busy(b))
        return true;
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        if (b->channels[i].state == CHANNEL_FREE)
            continue;
        total += waiting(&b->channels[i]) + held(&b->channels[i]);
        limit += SESSION_HELD_MAX;
    }
    return total > limit;
}

/* Takes all that libssh holds of this channel, and not a byte more: asking for more would dispatch
 * packets, and reading less would grant a window on top of what stays held. */
/* Prompts and keystrokes leave no memory that is worth giving back. */
static void used(struct backend *b, size_t bytes)
{
    if (bytes >= 4096)
        b->trim = true;
}

static void fetch(struct channel *ch)
{
    uint8_t bytes[RELAY_CHUNK];

    for (int i = 0; i < 2; i++) {
        while (ch->held[i] > 0) {
            uint32_t want = ch->held[i] < sizeof bytes ? (uint32_t)ch->held[i] : sizeof bytes;
            int n = ssh_channel_read_nonblocking(ch->ssh, bytes, want, i);
            if (n <= 0) {
                ch->lost += ch->held[i];
                ch->held[i] = 0;
                break;
            }
            ch->held[i] -= (size_t)n;
            if (ch->operator_closed || ch->gateway_closed)
                continue;
            ch->bytes_out += (uint64_t)n;
            used(ch->owner, (size_t)n);
            if (!put_output(ch, i == 1, bytes, (size_t)n)) {
                memory_out(ch->owner);
                return;
            }
        }
    }
}

static bool can_fetch(const struct channel *ch)
{
    return ch->state != CHANNEL_FREE && held(ch) > 0 && ch->ssh != NULL &&
           (!target_alive(ch->owner) ||
            (ch->output.bytes <= OUTPUT_HELD_LOW && sftp_output_idle(ch)));
}

void flow_fetch(struct backend *b)
{
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        struct channel *ch = &b->channels[i];
        if (!can_fetch(ch))
            continue;
        if (target_alive(b)) {
            fetch(ch);
        } else {
            ch->lost += held(ch);
            ch->held[0] = ch->held[1] = 0;
        }
    }
}

/* --- from the frontend */

void flow_input(struct channel *ch, struct bytes bytes)
{
    struct backend *b = ch->owner;

    if (bytes.len > ch->input_credit) {
        relay_violation(b, "%zu bytes on channel %u with credit for %u", bytes.len, ch->id,
                        ch->input_credit);
        return;
    }
    ch->input_credit -= (uint32_t)bytes.len;
    if (ch->input_eof) {
        relay_violation(b, "input after its end on channel %u", ch->id);
        return;
    }
    if (!ch->start_asked) {
        relay_violation(b, "input before the start of channel %u", ch->id);
        return;
    }
    ch->bytes_in += bytes.len;
    used(b, bytes.len);
    b->active_ms = b->now_ms;
    if (ch->refused || ch->cut || ch->target_closed || ch->state == CHANNEL_REFUSED ||
        b->phase != PHASE_READY)
        return;
    if (ch->sftp != NULL) {
        if (!sftp_take_input(ch, bytes.p, bytes.len))
            memory_out(b);
        return;
    }
    if (bulk_input(ch, bytes.p, bytes.len) != 0)
        memory_out(b);
}

void flow_credit(struct channel *ch, uint32_t bytes)
{
    if (bytes == 0 || bytes > RELAY_WINDOW - ch->output_credit) {
        relay_violation(ch->owner, "credit of %u on channel %u, which has %u", bytes, ch->id,
                        ch->output_credit);
        return;
    }
    ch->output_credit += bytes;
}

/* --- queued bytes become records */

static void record_queue(struct channel *ch, struct segment_queue *q, bool full_only)
{
    struct backend *b = ch->owner;
    static const enum record_type types[] = {
        [SEGMENT_INPUT] = RECORD_INPUT,
        [SEGMENT_OUTPUT] = RECORD_OUTPUT,
        [SEGMENT_STDERR] = RECORD_STDERR,
    };
    struct segment *s;
    uint64_t number = 0;

    while ((s = q->unrecorded) != NULL && !record_busy(b)) {
        bool full = s->len == RELAY_CHUNK;
        if (segment_is_bulk(s->kind)) {
            if (!bulk_record(ch, q, full_only))
                return;
            continue;
        }
        if (!full && (full_only || q->recorded >= RECORDS_WAITING_MAX))
            return;
        enum trail_want want = s->kind == SEGMENT_INPUT ? WANT_DURABLE : b->output_want;
        enum record_type type = types[s->kind];
        if (type == RECORD_OUTPUT && ch->forward != NULL)
            type = RECORD_FORWARD_DATA;
        if (record_bytes(b, type, ch->id, want, s->bytes, s->len, &number) != 0)
            return;
        segments_recorded(q, number);
    }
}

static bool can_record(const struct channel *ch, const struct segment_queue *q)
{
    if (q->unrecorded != NULL && segment_is_bulk(q->unrecorded->kind))
        return bulk_ready(ch, q);
    return q->unrecorded != NULL &&
           (q->unrecorded->len == RELAY_CHUNK || q->recorded < RECORDS_WAITING_MAX);
}

bool flow_ready(const struct backend *b)
{
    if (b->phase != PHASE_READY && b->phase != PHASE_DRAIN)
        return false;
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        const struct channel *ch = &b->channels[i];
        if (ch->state == CHANNEL_FREE)
            continue;
        if (can_fetch(ch))
            return true;
        if (!record_busy(b) && (can_record(ch, &ch->input) || can_record(ch, &ch->output)))
            return true;
        if (sftp_ready(ch))
            return true;
    }
    return false;
}

static bool mark(struct channel *ch, struct segment_queue *q, enum segment_kind kind,
                 struct json_record *r, enum trail_want want)
{
    uint64_t number = 0;

    if (record_end(ch->owner, r, channel_event_type(ch), ch->id, want, &number) != 0)
        return false;
    if (segments_mark(q, kind, number) == 0)
        return true;
    memory_out(ch->owner);
    return false;
}

static void mark_input(struct channel *ch)
{
    struct json_record r;

    if (!ch->input_eof || ch->input_eof_sent || ch->input.unrecorded != NULL || ch->refused ||
        ch->cut || !ch->start_asked || record_busy(ch->owner) || !sftp_input_idle(ch))
        return;
    record_begin(&r);
    json_str(&r.json, "event", "eof");
    json_str(&r.json, "by", "operator");
    ch->input_eof_sent = mark(ch, &ch->input, SEGMENT_EOF, &r, WANT_DURABLE);
}

static void mark_exit(struct channel *ch)
{
    struct json_record r;

    record_begin(&r);
    json_str(&r.json, "event", "exit");
    if (ch->exit_signal[0] == '\0') {
        json_u64(&r.json, "status", ch->exit_status);
    } else {
        json_bytes(&r.json, "signal", ch->exit_signal, strlen(ch->exit_signal));
        json_bool(&r.json, "core", ch->exit_core);
        json_bytes(&r.json, "text", ch->exit_text, strlen(ch->exit_text));
    }
    ch->target_exit_sent = mark(ch, &ch->output, SEGMENT_EXIT, &r, ch->owner->output_want);
}

static void mark_output(struct channel *ch)
{
    struct backend *b = ch->owner;
    struct json_record r;

    if (ch->cut || held(ch) > 0 || ch->output.unrecorded != NULL || record_busy(b) ||
        !sftp_output_idle(ch))
        return;
    if (ch->target_eof && !ch->target_eof_sent) {
        record_begin(&r);
        json_str(&r.json, "event", "eof");
        json_str(&r.json, "by", "target");
        ch->target_eof_sent = mark(ch, &ch->output, SEGMENT_EOF, &r, b->output_want);
    }
    if (ch->target_exit && !ch->target_exit_sent)
        mark_exit(ch);
    if ((ch->target_closed || ch->gateway_closed) && !ch->target_close_sent) {
        channel_record_close(ch, ch->gateway_closed ? "gateway" : "target");
        if (b->trail.stopped)
            return;
        ch->target_close_sent = true;
        if (segments_mark(&ch->output, SEGMENT_CLOSE, ch->close_record) != 0)
            memory_out(b);
    }
}

void flow_record_full(struct backend *b)
{
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (b->channels[i].state != CHANNEL_FREE) {
            record_queue(&b->channels[i], &b->channels[i].output, true);
            if (sftp_held(&b->channels[i]) >= RELAY_CHUNK)
                sftp_output_step(&b->channels[i]);
        }
}

void flow_record(struct backend *b)
{
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        struct channel *ch = &b->channels[(b->turn + i) % RELAY_CHANNELS_MAX];
        if (ch->state == CHANNEL_FREE)
            continue;
        record_queue(ch, &ch->input, false);
        record_queue(ch, &ch->output, false);
        if (ch->sftp != NULL) {
            sftp_step(ch);
            flow_give_credit(ch);
        }
        mark_input(ch);
        mark_output(ch);
    }
}

/* --- durable input to the target */

void flow_give_credit(struct channel *ch)
{
    struct backend *b = ch->owner;
    struct relay_input_credit m = {.channel = ch->id, .bytes = ch->input_passed};
    struct err e = ERR_INIT;

    if (ch->input_passed < CREDIT_STEP || b->relay == NULL || b->phase != PHASE_READY ||
        ch->up_closed)
        return;
    ch->input_credit += ch->input_passed;
    ch->input_passed = 0;
    int rc = relay_input_credit_send(b->relay, &m, NULL, &e);
    if (rc != 0)
        relay_failed(b, rc);
}

/* One segment, or a part of it. False: nothing could be done. */
static bool forward(struct channel *ch)
{
    struct backend *b = ch->owner;
    struct segment *s = ch->input.head;

    if (s == NULL || ch->state != CHANNEL_RUNNING || ch->ssh == NULL || ch->target_closing ||
        s->record == 0 || !record_settled(b, s->record, WANT_DURABLE))
        return false;
    if (ch->target_closed) {
        segments_clear(&ch->input);
        return false;
    }
    if (target_unsent(b))
        return false;
    if (s->kind == SEGMENT_EOF) {
        if (ssh_channel_send_eof(ch->ssh) == SSH_ERROR && !target_alive(b))
            return false;
        segments_pass(&ch->input, 0);
        return true;
    }
    uint32_t window = ssh_channel_window_size(ch->ssh), n = s->len - s->done;
    if (n > window)
        n = window;
    if (n == 0)
        return false;
    int written = ssh_channel_write(ch->ssh, s->bytes + s->done, n);
    if (written <= 0)
        return false; /* it exchanges keys, or is closed: the callbacks tell */
    segments_pass(&ch->input, (size_t)written);
    ch->forwarded += (uint64_t)written;
    if (ch->sftp == NULL) /* else credit goes back for what was taken up */
        ch->input_passed += (uint32_t)written;
    flow_give_credit(ch);
    return true;
}

static void note_flushed(struct backend *b)
{
    if (target_unsent(b))
        return;
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        b->channels[i].flushed = b->channels[i].forwarded;
}

void flow_forward(struct backend *b)
{
    bool progress = true;

    if ((b->phase != PHASE_READY && !(b->phase == PHASE_DRAIN && b->end.drain_input)) ||
        b->trail.stopped)
        return;
    while (progress && target_alive(b)) {
        progress = false;
        for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
            struct channel *ch = &b->channels[(b->turn + i) % RELAY_CHANNELS_MAX];
            if (ch->state != CHANNEL_FREE && target_alive(b))
                progress |= forward(ch);
        }
    }
    if (target_alive(b))
        note_flushed(b);
}

/* --- settled output to the frontend */

static int send_data(struct channel *ch, struct segment *s, struct err *e)
{
    uint32_t n = s->len - s->done;
    if (n > ch->output_credit)
        n = ch->output_credit;
    if (n == 0)
        return ERR_BUSY;
    struct relay_output m = {
        .channel = ch->id,
        .stream = s->kind == SEGMENT_STDERR,
        .bytes = {s->bytes + s->done, n},
    };
    int rc = relay_output_send(ch->owner->relay, &m, NULL, e);
    if (rc != 0)
        return rc;
    ch->output_credit -= n;
    ch->delivered += n;
    segments_pass(&ch->output, n);
    return 0;
}

static int send_mark(struct channel *ch, enum segment_kind kind, struct err *e)
{
    struct link *relay = ch->owner->relay;

    if (kind == SEGMENT_EOF) {
        struct relay_output_eof m = {.channel = ch->id};
        return relay_output_eof_send(relay, &m, NULL, e);
    }
    if (kind == SEGMENT_CLOSE) {
        channel_delivered_close(ch);
        return 0;
    }
    if (ch->exit_signal[0] == '\0') {
        struct relay_exit_status m = {.channel = ch->id, .status = ch->exit_status};
        return relay_exit_status_send(relay, &m, NULL, e);
    }
    struct relay_exit_signal m = {.channel = ch->id, .core = ch->exit_core};
    snprintf(m.name, sizeof m.name, "%s", ch->exit_signal);
    snprintf(m.text, sizeof m.text, "%s", ch->exit_text);
    return relay_exit_signal_send(relay, &m, NULL, e);
}

/* One frame. False: nothing could be done. */
static bool deliver(struct channel *ch)
{
    struct backend *b = ch->owner;
    struct segment *s = ch->output.head;
    struct err e = ERR_INIT;

    if (s == NULL || s->record == 0 || !record_settled(b, s->record, b->output_want))
        return false;
    if (ch->operator_closed || ch->cut || b->relay == NULL) {
        if (s->kind == SEGMENT_CLOSE)
            channel_delivered_close(ch);
        segments_pass(&ch->output, s->len - s->done);
        return true;
    }
    if (ch->state != CHANNEL_RUNNING || link_pending(b->relay) > 0)
        return false;
    int rc;
    if (s->kind < SEGMENT_EOF) {
        rc = send_data(ch, s, &e);
    } else {
        enum segment_kind kind = s->kind;
        segments_pass(&ch->output, 0);
        rc = send_mark(ch, kind, &e);
    }
    if (rc != 0 && rc != ERR_BUSY)
        relay_failed(b, rc);
    return rc == 0;
}

void flow_deliver(struct backend *b)
{
    bool progress = true;

    if (b->phase != PHASE_READY && !(b->phase == PHASE_DRAIN && b->end.drain_output))
        return;
    while (progress) {
        progress = false;
        for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
            struct channel *ch = &b->channels[(b->turn + i) % RELAY_CHANNELS_MAX];
            if (ch->state != CHANNEL_FREE)
                progress |= deliver(ch);
        }
    }
}
