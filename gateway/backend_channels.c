/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels from open to close. A number is used once; a place is free again when the target's
 * channel is closed, the frontend said that it closed, and we said so to it. The target's close is
 * passed on after all output; the operator's close is passed on after all input that was recorded.
 * Runs in the backend; frontend and target are hostile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/backend_session.h"

/* How long input that was recorded may still go out after the operator closed the channel. */
#define CLOSE_DRAIN_MS 10000u
/* How long an open may wait for the place of a channel that is closed but for our word to the
 * target. */
#define OPEN_WAITS_MS 2000u

struct channel *channel_find(struct backend *b, uint32_t id)
{
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (b->channels[i].state != CHANNEL_FREE && b->channels[i].id == id)
            return &b->channels[i];
    return NULL;
}

static void answer_open(struct backend *b, uint32_t id, const char *text, uint8_t status)
{
    struct relay_opened m = {.channel = id, .ok = text == NULL, .status = status};
    struct err e = ERR_INIT;

    if (b->relay == NULL)
        return;
    if (text != NULL)
        escape_text(m.text, sizeof m.text, text, strlen(text));
    int rc = relay_opened_send(b->relay, &m, NULL, &e);
    if (rc != 0)
        relay_failed(b, rc);
}

/* Refused by us: that is a record, and 10,000 of them are the end (record_refusal). */
static void refuse_open(struct backend *b, uint32_t id, const char *text)
{
    if (b->asks_forward) {
        forward_refused(b, &b->asked, "limit", text);
        relay_notice_text(b, RELAY_NEWEST, text);
    } else {
        record_refusal(b, id, "channel", "limit", NULL, 0, text);
    }
    answer_open(b, id, text, EXIT_TRY_AGAIN);
}

static bool forward_permitted(struct backend *b)
{
    char text[1001];

    if (forward_judge(b, &b->asked, text))
        return true;
    /* A forward's channel shows no text. */
    relay_notice_text(b, RELAY_NEWEST, text);
    answer_open(b, b->asked.channel, text, EXIT_REFUSED);
    return false;
}

static void release(struct channel *ch)
{
    struct backend *b = ch->owner;

    requests_clear(ch);
    segments_clear(&ch->input);
    segments_clear(&ch->output);
    bulk_end(ch);
    sftp_clear(ch);
    free(ch->command);
    forward_clear(ch);
    b->bytes_in += ch->bytes_in;
    b->forwarded += ch->forwarded;
    b->bytes_out += ch->bytes_out;
    b->delivered += ch->delivered;
    b->trim = true;
    *ch = (struct channel){.owner = b};
}

static bool all_closed(const struct channel *ch)
{
    return ch->state != CHANNEL_FREE && ch->operator_closed && ch->up_closed;
}

/* To the operator a channel is gone that both sides closed, so another may be opened. Here it has
 * its place until its close is recorded and told to the target: the open waits for that, and what
 * else the frontend says behind it. */
static bool must_wait(struct backend *b)
{
    if (b->open_waits && b->now_ms >= b->open_deadline_ms)
        return false;
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (all_closed(&b->channels[i]))
            return true;
    return false;
}

static void open_newest(struct backend *b)
{
    struct channel *ch = NULL;
    uint32_t id = b->next_channel - 1;

    for (size_t i = 0; i < RELAY_CHANNELS_MAX && ch == NULL; i++)
        if (b->channels[i].state == CHANNEL_FREE)
            ch = &b->channels[i];
    if (ch == NULL && b->grant != NULL && must_wait(b)) {
        if (!b->open_waits)
            b->open_deadline_ms = b->now_ms + OPEN_WAITS_MS;
        b->open_waits = true;
        return;
    }
    b->open_waits = false;
    if (ch == NULL && b->refusals >= REFUSALS_MAX) {
        /* A frontend refuses an eleventh itself. */
        relay_violation(b, "more than %u refused requests", REFUSALS_MAX);
        return;
    }
    if (ch == NULL) {
        refuse_open(b, id, "too many channels on one connection");
        return;
    }
    if (b->grant == NULL || b->authd_away) {
        refuse_open(b, id,
                    b->grant == NULL ? "the login service restarted; please connect again"
                                     : "the login service restarts; please try again in a moment");
        return;
    }
    if (!late_room(b)) {
        char text[300];
        snprintf(text, sizeof text,
                 "%.100s has not answered %u earlier ones: nothing more is opened until it does; "
                 "please connect again",
                 b->granted.target, b->late_count);
        refuse_open(b, id, text);
        return;
    }
    if (b->asks_forward && !forward_permitted(b))
        return;
    *ch = (struct channel){
        .owner = b,
        .id = id,
        .state = CHANNEL_OPENING,
        .ssh = ssh_channel_new(b->ssh),
        .input_credit = RELAY_WINDOW,
        .output_credit = RELAY_WINDOW,
    };
    if (ch->ssh == NULL) {
        ch->state = CHANNEL_FREE;
        answer_open(b, id, "the gateway is out of memory", EXIT_TRY_AGAIN);
        return;
    }
    flow_callbacks(ch);
    b->opened++;
    b->active_ms = b->now_ms;
    if (b->asks_forward && !forward_begin(ch, &b->asked))
        end_begin(b, "memory", EXIT_TRY_AGAIN, "the gateway is out of memory");
}

static bool is_next(struct backend *b, uint32_t id)
{
    if (b->phase != PHASE_READY)
        return false;
    if (id != b->next_channel) {
        relay_violation(b, "channel %u opened, expected %u", id, b->next_channel);
        return false;
    }
    b->next_channel++;
    return true;
}

void channel_open(struct backend *b, const struct relay_open *m)
{
    if (!is_next(b, m->channel))
        return;
    b->asks_forward = false;
    open_newest(b);
}

void channel_forward(struct backend *b, const struct relay_forward *m)
{
    if (!is_next(b, m->channel))
        return;
    b->asks_forward = true;
    b->asked = *m;
    open_newest(b);
}

/* The operator is told that it did not come about. */
static void open_failed(struct channel *ch, const char *by, const char *text, uint8_t status)
{
    struct backend *b = ch->owner;

    if (ch->forward != NULL && !ch->cut)
        relay_notice_text(b, RELAY_NEWEST, text);
    log_info("open-refused", "channel=%u by=%s", ch->id, by);
    if (ch->start_asked && !ch->refused)
        channel_record_close(ch, by);
    if (!ch->up_closed)
        answer_open(b, ch->id, text, status);
    if (ch->ssh != NULL) {
        ssh_remove_channel_callbacks(ch->ssh, &ch->callbacks);
        ssh_channel_free(ch->ssh);
    }
    release(ch);
}

/* What the target says to the open: SSH_AGAIN, nothing yet. */
static int ask_target(struct channel *ch)
{
    struct backend *b = ch->owner;
    int rc;

    if (!ch->open_asked) {
        if (ch->forward != NULL && !forward_recorded(ch))
            return SSH_AGAIN;
        ch->open_asked = true;
        ch->answer_by_ms = b->now_ms + b->connect_ms;
        rc = ch->forward != NULL ? forward_connect(ch) : ssh_channel_open_session(ch->ssh);
    } else if (ch->answer_packets == b->packed.in_packets) {
        return SSH_AGAIN;
    } else {
        /* libssh tells what became of an open when it is asked for it again, of whatever kind; and
         * it reads from the target then, so not without need. */
        rc = ssh_channel_open_session(ch->ssh);
    }
    ch->answer_packets = b->packed.in_packets;
    /* The confirmation, all that was to be read and the close came in one piece: that is no
     * refusal, after which there is no end of file. */
    if (rc == SSH_ERROR && ch->forward != NULL && target_alive(b) && ssh_channel_is_eof(ch->ssh))
        rc = SSH_OK;
    return rc;
}

/* Not waited for any longer: whatever the target still says, to the operator it did not come
 * about. */
static void open_given_up(struct channel *ch, const char *by, const char *text, uint8_t status)
{
    if (ch->open_asked)
        late_keep(ch);
    open_failed(ch, by, text, status);
}

static void open_step(struct channel *ch)
{
    struct backend *b = ch->owner;
    char text[600], to[FORWARD_SHOWN_MAX] = "";

    if (ch->forward != NULL)
        forward_shown(ch, to);
    if (ch->forward != NULL && ch->cut) {
        snprintf(text, sizeof text, "your role on %.100s no longer permits this forward",
                 b->granted.target);
        open_given_up(ch, "policy", text, EXIT_REFUSED);
        return;
    }
    int rc = ask_target(ch);
    if (!target_alive(b))
        return;
    if (rc == SSH_OK) {
        ch->state = ch->forward != NULL ? CHANNEL_RUNNING
                    : ch->start_asked   ? CHANNEL_STARTING
                                        : CHANNEL_OPEN;
        answer_open(b, ch->id, NULL, 0);
    } else if (rc == SSH_ERROR) {
        snprintf(text, sizeof text,
                 ch->forward != NULL ? "%.100s could not connect to %s"
                                     : "%.100s refused another session%s",
                 b->granted.target, to);
        open_failed(ch, "target", text, EXIT_TARGET_DOWN);
    } else if (ch->open_asked && b->now_ms >= ch->answer_by_ms) {
        snprintf(text, sizeof text,
                 ch->forward != NULL ? "%.100s did not say within %u s whether it reaches %s"
                                     : "%.100s did not open another session within %u s%s",
                 b->granted.target, b->connect_ms / 1000, to);
        open_given_up(ch, "timeout", text, EXIT_TARGET_DOWN);
    }
}

void channel_start_failed(struct channel *ch, const char *text, uint8_t status)
{
    struct backend *b = ch->owner;
    struct relay_started m = {.channel = ch->id, .ok = 0, .status = status};
    struct err e = ERR_INIT;

    ch->state = ch->state == CHANNEL_OPENING ? CHANNEL_OPENING : CHANNEL_REFUSED;
    ch->refused = true;
    ch->target_closing = true;
    if (b->relay == NULL)
        return;
    snprintf(m.text, sizeof m.text, "%s", text);
    int rc = relay_started_send(b->relay, &m, NULL, &e);
    if (rc != 0)
        relay_failed(b, rc);
}

void channel_close_down(struct channel *ch)
{
    ch->operator_closed = true;
    ch->close_deadline_ms = ch->owner->now_ms + CLOSE_DRAIN_MS;
}

void channel_record_close(struct channel *ch, const char *by)
{
    struct json_record r;

    if (ch->close_recorded)
        return;
    ch->close_recorded = true;
    sftp_ended(ch);
    record_begin(&r);
    json_str(&r.json, "event", "close");
    json_str(&r.json, "by", by);
    json_u64(&r.json, "bytes_in", ch->bytes_in);
    json_u64(&r.json, "forwarded", ch->forwarded);
    if (ch->flushed < ch->forwarded) {
        json_u64(&r.json, "unknown_from", ch->flushed);
        json_u64(&r.json, "unknown_to", ch->forwarded);
    }
    json_u64(&r.json, "bytes_out", ch->bytes_out);
    json_u64(&r.json, "delivered", ch->delivered);
    bulk_write_close(ch, &r.json);
    if (record_end(ch->owner, &r, channel_event_type(ch), ch->id, WANT_DURABLE,
                   &ch->close_record) != 0)
        ch->close_record = ch->owner->trail.sent;
}

static void tell_closed(struct channel *ch)
{
    struct backend *b = ch->owner;
    struct relay_close_up m = {.channel = ch->id};
    struct err e = ERR_INIT;

    ch->up_closed = true;
    if (b->relay == NULL)
        return;
    int rc = relay_close_up_send(b->relay, &m, NULL, &e);
    if (rc != 0)
        relay_failed(b, rc);
}

/* The operator closed: input that is recorded, or about to be, still goes; not for ever. */
static bool input_done(const struct channel *ch)
{
    return (ch->input.head == NULL && sftp_input_idle(ch)) || ch->target_closed ||
           ch->state != CHANNEL_RUNNING || ch->owner->now_ms >= ch->close_deadline_ms;
}

/* Closes the target's side when it is time. */
static void close_target(struct channel *ch)
{
    struct backend *b = ch->owner;

    if (ch->ssh == NULL || ch->state == CHANNEL_OPENING)
        return;
    if (ch->operator_closed && !ch->target_closing && input_done(ch)) {
        channel_record_close(ch, ch->target_closed ? "target" : "operator");
        ch->target_closing = true;
    }
    if (!ch->target_closing)
        return;
    if (ch->close_recorded && !record_settled(b, ch->close_record, WANT_DURABLE))
        return;
    /* SSH_AGAIN until the end of file and the close are both out. */
    if (target_alive(b) && (target_unsent(b) || ssh_channel_close(ch->ssh) == SSH_AGAIN))
        return;
    requests_clear(ch);
    segments_clear(&ch->input);
    ssh_remove_channel_callbacks(ch->ssh, &ch->callbacks);
    if (target_alive(b)) {
        if (!ch->target_closed)
            late_drop_data(ch->ssh); /* libssh frees it when the target's close comes */
        ssh_channel_free(ch->ssh);
    }
    ch->ssh = NULL;
}

static void channel_step(struct channel *ch)
{
    if (ch->state == CHANNEL_OPENING && target_alive(ch->owner))
        open_step(ch);
    if (ch->state == CHANNEL_FREE)
        return;
    if (ch->refused && ch->state == CHANNEL_OPEN)
        ch->state = CHANNEL_REFUSED;
    requests_step(ch);
    /* The target closed before it answered the start. */
    if (ch->target_closed && (ch->state == CHANNEL_STARTING || ch->state == CHANNEL_OPEN)) {
        char text[400];
        snprintf(text, sizeof text, "%s closed the channel", ch->owner->granted.target);
        if (ch->start_asked) {
            channel_record_close(ch, "target");
            channel_start_failed(ch, text, EXIT_TARGET_DOWN);
        }
        ch->state = CHANNEL_REFUSED;
        ch->target_closing = true;
    }
    close_target(ch);
    if (ch->ssh == NULL && !ch->up_closed && (ch->refused || ch->operator_closed || ch->cut))
        tell_closed(ch);
    if (ch->ssh == NULL && ch->up_closed && ch->operator_closed)
        release(ch);
}

void channel_delivered_close(struct channel *ch)
{
    ch->target_closing = true;
    if (!ch->operator_closed && !ch->up_closed)
        tell_closed(ch);
}

static void tell_cut(struct channel *ch, const char *text)
{
    struct relay_exit_status m = {.channel = ch->id, .status = EXIT_REFUSED};
    struct backend *b = ch->owner;
    struct err e = ERR_INIT;

    relay_notice_text(b, ch->id, text);
    if (b->relay == NULL)
        return;
    int rc = relay_exit_status_send(b->relay, &m, NULL, &e);
    if (rc != 0)
        relay_failed(b, rc);
}

void channel_cut(struct channel *ch, const char *text)
{
    ch->cut = ch->gateway_closed = true;
    log_info("channel-cut", "channel=%u", ch->id);
    channel_record_close(ch, "policy");
    if (ch->forward != NULL) {
        ch->target_closing = true;
        relay_notice_text(ch->owner, RELAY_NEWEST, text); /* its own channel shows none */
        return;
    }
    if (ch->state != CHANNEL_RUNNING) {
        channel_start_failed(ch, text, EXIT_REFUSED);
        return;
    }
    ch->target_closing = true;
    if (!ch->operator_closed)
        tell_cut(ch, text);
}

void channels_step(struct backend *b)
{
    if (b->phase != PHASE_READY && b->phase != PHASE_DRAIN)
        return;
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (b->channels[i].state != CHANNEL_FREE)
            channel_step(&b->channels[i]);
    if (target_alive(b))
        late_step(b);
    if (b->open_waits && b->phase == PHASE_READY)
        open_newest(b);
}

void channels_clear(struct backend *b)
{
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (b->channels[i].state != CHANNEL_FREE)
            release(&b->channels[i]);
}

uint64_t channels_next_ms(const struct backend *b)
{
    uint64_t next = UINT64_MAX;

    if (b->phase != PHASE_READY && b->phase != PHASE_DRAIN)
        return next; /* channels_step does nothing */
    if (b->open_waits && b->phase == PHASE_READY)
        next = b->open_deadline_ms;
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        const struct channel *ch = &b->channels[i];
        if (ch->state == CHANNEL_FREE)
            continue;
        if (ch->operator_closed && !ch->target_closing && ch->close_deadline_ms < next)
            next = ch->close_deadline_ms;
        if (ch->state == CHANNEL_OPENING && ch->open_asked && ch->answer_by_ms < next)
            next = ch->answer_by_ms;
    }
    return next;
}
