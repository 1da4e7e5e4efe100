/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a session, whoever brings it about: bytes that are on their way arrive, where there is
 * still somebody to take them; the end record says why and how far forwarding got, and is waited
 * for; then the frontend and authd are told. Each step has a time limit. When the trail cannot be
 * written nothing is forwarded any more and there is no end record (auditd writes it, from its
 * reserve or at its recovery). Runs in the backend. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "gateway/backend_session.h"

/* A reader that takes nothing for so long gets no more. */
#define OUTPUT_STALL_MS 30000u
/* The operator is gone; the target may still take what he sent. */
#define INPUT_DRAIN_MS 2000u
#define RECORD_MS      5000u
#define FLUSH_MS       5000u

static bool failed_login(const struct backend *b)
{
    return strncmp(b->end.token, "target-", 7) == 0 || strcmp(b->end.token, "host-key") == 0;
}

bool end_begin(struct backend *b, const char *token, uint8_t status, const char *format, ...)
{
    va_list args;
    bool trail = strcmp(token, "trail") == 0;

    /* The trail's failure ends a session that is about to end otherwise, too. */
    if (b->phase >= PHASE_DRAIN && !(trail && b->phase < PHASE_FLUSH))
        return false;
    va_start(args, format);
    vsnprintf(b->end.text, sizeof b->end.text, format, args);
    va_end(args);
    snprintf(b->end.token, sizeof b->end.token, "%s", token);
    b->end.status = status;
    log_info("session-end", "reason=%s", token);
    if (b->phase < PHASE_READY && failed_login(b))
        grant_tell(b, BACKEND_FAILED, b->end.text);
    b->phase = trail ? PHASE_FINISH : PHASE_DRAIN;
    b->end.drain_output = b->end.drain_input = false;
    b->end.deadline_ms = b->now_ms;
    b->end.words[0] = '\0';
    return true;
}

void end_quote(struct backend *b, const char *words)
{
    snprintf(b->end.words, sizeof b->end.words, "%s", words);
}

void end_draining(struct backend *b, bool output, bool input)
{
    if (b->phase != PHASE_DRAIN || b->end.drain_output || b->end.drain_input)
        return;
    b->end.drain_output = output;
    b->end.drain_input = input;
    b->end.deadline_ms = b->now_ms + (output ? OUTPUT_STALL_MS : INPUT_DRAIN_MS);
}

void end_drained(struct backend *b)
{
    if (b->phase == PHASE_DRAIN)
        b->end.drain_output = b->end.drain_input = false;
}

static bool drained(struct backend *b)
{
    uint64_t delivered = b->delivered;
    bool empty = true;

    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        const struct channel *ch = &b->channels[i];
        if (ch->state == CHANNEL_FREE)
            continue;
        delivered += ch->delivered;
        if (b->end.drain_output && b->relay != NULL && !ch->operator_closed &&
            ch->state == CHANNEL_RUNNING)
            empty &=
                ch->output.head == NULL && ch->held[0] + ch->held[1] == 0 && sftp_output_idle(ch);
        if (b->end.drain_input && ch->state == CHANNEL_RUNNING && !ch->target_closed)
            empty &= ch->input.head == NULL && (!ch->input_eof || ch->input_eof_sent) &&
                     sftp_input_idle(ch);
    }
    if (b->end.drain_input && target_alive(b))
        empty &= !target_unsent(b);
    if (b->end.drain_input && !target_alive(b))
        return true;
    if (b->end.drain_output && delivered != b->end.progress) {
        b->end.progress = delivered;
        b->end.deadline_ms = b->now_ms + OUTPUT_STALL_MS;
    }
    return empty;
}

static void channel_summary(const struct channel *ch, struct json_out *j)
{
    json_open_object(j, NULL);
    json_u64(j, "channel", ch->id);
    json_u64(j, "bytes_in", ch->bytes_in);
    json_u64(j, "forwarded", ch->forwarded);
    if (ch->flushed < ch->forwarded) {
        json_u64(j, "unknown_from", ch->flushed);
        json_u64(j, "unknown_to", ch->forwarded);
    }
    json_u64(j, "bytes_out", ch->bytes_out);
    json_u64(j, "delivered", ch->delivered);
    if (ch->lost > 0)
        json_u64(j, "lost", ch->lost);
    json_close(j);
}

static void record_session_end(struct backend *b)
{
    uint64_t in = b->bytes_in, forwarded = b->forwarded, out = b->bytes_out,
             delivered = b->delivered;
    struct json_record r;

    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        sftp_ended(&b->channels[i]);
    if (b->end.words[0] != '\0')
        record_words(b, "session-end", b->end.words);
    record_begin(&r);
    json_str(&r.json, "reason", b->end.token);
    json_bytes(&r.json, "text", b->end.text, strlen(b->end.text));
    json_u64(&r.json, "seconds", (b->now_ms - b->started_ms) / 1000);
    json_u64(&r.json, "channels", b->opened);
    json_open_array(&r.json, "open");
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        const struct channel *ch = &b->channels[i];
        if (ch->state == CHANNEL_FREE)
            continue;
        channel_summary(ch, &r.json);
        in += ch->bytes_in;
        forwarded += ch->forwarded;
        out += ch->bytes_out;
        delivered += ch->delivered;
    }
    json_close(&r.json);
    json_u64(&r.json, "bytes_in", in);
    json_u64(&r.json, "forwarded", forwarded);
    json_u64(&r.json, "bytes_out", out);
    json_u64(&r.json, "delivered", delivered);
    if (record_end(b, &r, RECORD_SESSION_END, 0, WANT_DURABLE, &b->end.record) != 0)
        log_error("session-end", "no end record");
}

static void tell(struct backend *b)
{
    struct relay_end m = {.status = b->end.status};
    struct err e = ERR_INIT;

    if (b->relay != NULL) {
        snprintf(m.text, sizeof m.text, b->end.words[0] != '\0' ? "%.590s: %s" : "%s", b->end.text,
                 b->end.words);
        if (relay_end_send(b->relay, &m, NULL, &e) != 0) {
            link_free(b->relay);
            b->relay = NULL;
        }
    }
    grant_tell(b, BACKEND_ENDED, b->end.text);
    target_close(b);
    b->end.deadline_ms = b->now_ms + FLUSH_MS;
    b->phase = PHASE_FLUSH;
}

void end_step(struct backend *b)
{
    if (b->phase == PHASE_DRAIN && (drained(b) || b->now_ms >= b->end.deadline_ms)) {
        b->phase = PHASE_FINISH;
        b->end.deadline_ms = b->now_ms + RECORD_MS;
        /* Without a start there is no session to end. */
        if (b->start_record != 0)
            record_session_end(b);
    }
    if (b->phase == PHASE_FINISH &&
        (b->trail.stopped || record_settled(b, b->end.record, WANT_DURABLE) ||
         b->now_ms >= b->end.deadline_ms))
        tell(b);
    if (b->phase == PHASE_FLUSH && (((b->relay == NULL || link_pending(b->relay) == 0) &&
                                     (b->grant == NULL || link_pending(b->grant) == 0)) ||
                                    b->now_ms >= b->end.deadline_ms))
        b->phase = PHASE_DONE;
}

uint64_t end_next_ms(const struct backend *b)
{
    return b->phase >= PHASE_DRAIN ? b->end.deadline_ms : UINT64_MAX;
}
