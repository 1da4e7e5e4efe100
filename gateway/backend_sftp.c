/* SPDX-License-Identifier: Apache-2.0
 *
 * SFTP on one channel: bytes in, recorded in their own form (gateway/sftp_elide.h), cut into
 * packets, judged or matched, and put anew into the channel's queues. What is put there waits for
 * the last record that was sent before it: the operator's bytes as they came, what was decided,
 * what was kept. Bytes are taken up only while there is room behind them, so that a side that does
 * not read makes the other one wait. Runs in the backend; both sides are hostile. */
#include "gateway/backend_sftp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Raw bytes of the target: what one turn takes, and what libssh may have held back of a target that
 * ignores its window, until the session's own bound ends it. */
#define OUTPUT_MAX ((RELAY_CHANNELS_MAX + 2) * (size_t)SESSION_HELD_MAX)
/* A frame's recorded form: an empty WRITE of 26 bytes grows by a digest. */
#define SCRATCH_MAX (4u * RELAY_CHUNK + 2u * SFTP_PACKET_MAX)
/* Pieces of output whose recorded forms are gathered. */
#define ELIDE_STEP (RELAY_CHUNK / 2)

void sftp_memory_out(struct channel *ch)
{
    end_begin(ch->owner, "memory", EXIT_TRY_AGAIN, "the gateway is out of memory");
}

bool sftp_begin(struct channel *ch)
{
    struct sftp *s = calloc(1, sizeof *s);

    if (s == NULL)
        return false;
    buf_init(&s->input, RELAY_WINDOW);
    buf_init(&s->output, OUTPUT_MAX);
    buf_init(&s->scratch, SCRATCH_MAX);
    /* While files move; or they would be grown anew, page by page, for each few packets. */
    buf_keep(&s->input, RELAY_WINDOW);
    buf_keep(&s->output, RELAY_WINDOW);
    buf_keep(&s->scratch, SCRATCH_MAX);
    s->elide_input = sftp_elider_new(SFTP_REQUESTS, ch->owner->sha256);
    if (s->elide_input != NULL)
        sftp_elide_along(s->elide_input);
    s->elide_output = sftp_elider_new(SFTP_RESPONSES, NULL);
    s->next_id = 1;
    ch->sftp = s;
    return s->elide_input != NULL && s->elide_output != NULL;
}

void sftp_release(struct channel *ch)
{
    if (ch->sftp == NULL)
        return;
    buf_release(&ch->sftp->input);
    buf_release(&ch->sftp->output);
    buf_release(&ch->sftp->scratch);
}

void sftp_clear(struct channel *ch)
{
    struct sftp *s = ch->sftp;

    if (s == NULL)
        return;
    for (size_t i = 0; i < SFTP_FILES_MAX; i++)
        if (s->files[i] != NULL)
            sftp_file_drop(s, s->files[i]);
    buf_clear(&s->input);
    buf_clear(&s->output);
    buf_clear(&s->scratch);
    if (s->result_count > 0)
        buf_clear(&s->results.text);
    segments_clear(&s->form);
    sftp_elider_free(s->elide_input);
    sftp_elider_free(s->elide_output);
    free(s);
    ch->sftp = NULL;
}

void sftp_violation(struct channel *ch, const char *format, ...)
{
    char text[SFTP_WORDS_MAX + 145];
    struct backend *b = ch->owner;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_info("sftp-violation", "channel=%u", ch->id);
    ch->sftp->stage = SFTP_OVER;
    if (b->phase >= PHASE_DRAIN)
        return;
    record_alarm(b, "target-violation",
                 "the target broke the SFTP protocol; the session was ended");
    if (end_begin(b, "target-violation", EXIT_TARGET_DOWN, "%s broke the SFTP protocol",
                  b->granted.target))
        end_quote(b, text);
}

void sftp_stop(struct channel *ch, const char *text)
{
    char said[400];

    ch->sftp->stage = SFTP_OVER;
    ch->gateway_closed = true;
    snprintf(said, sizeof said, "%s", text);
    relay_notice_text(ch->owner, ch->id, said);
}

/* --- ways out */

static bool put(struct channel *ch, struct segment_queue *q, const void *p, size_t len)
{
    if (segments_put(q, SEGMENT_SFTP, p, len) == 0)
        return true;
    sftp_memory_out(ch);
    return false;
}

static bool put_scratch(struct channel *ch, struct segment_queue *q, int rc)
{
    struct buf *scratch = &ch->sftp->scratch;
    bool ok = rc == 0;

    if (!ok)
        sftp_memory_out(ch); /* a packet that was parsed fits */
    else
        ok = put(ch, q, buf_head(scratch), buf_len(scratch));
    buf_consume(scratch, buf_len(scratch));
    return ok;
}

bool sftp_send_request(struct channel *ch, const struct sftp_request *r)
{
    uint8_t head[4 + 1 + 4 + 4 + SFTP_HANDLE_MAX + 8 + 4];
    struct wire_writer w;

    if (r->type != SFTP_WRITE)
        return put_scratch(ch, &ch->input, sftp_request_put(r, &ch->sftp->scratch));
    /* A file's contents are copied once. */
    wire_writer_init(&w, head, sizeof head);
    wire_put_u32(&w, (uint32_t)(1 + 4 + 4 + r->handle.len + 8 + 4 + r->data.len));
    wire_put_u8(&w, SFTP_WRITE);
    wire_put_u32(&w, r->id);
    wire_put_data(&w, r->handle.p, r->handle.len, SFTP_HANDLE_MAX);
    wire_put_u64(&w, r->offset);
    wire_put_u32(&w, (uint32_t)r->data.len);
    INVARIANT(!w.failed);
    return put(ch, &ch->input, head, w.len) && put(ch, &ch->input, r->data.p, r->data.len);
}

bool sftp_send_response(struct channel *ch, const struct sftp_response *r)
{
    uint8_t head[4 + 1 + 4 + 4];

    if (r->type != SFTP_DATA)
        return put_scratch(ch, &ch->output, sftp_response_put(r, &ch->sftp->scratch));
    wire_store_u32(head, (uint32_t)(1 + 4 + 4 + r->data.len));
    head[4] = SFTP_DATA;
    wire_store_u32(head + 5, r->id);
    wire_store_u32(head + 9, (uint32_t)r->data.len);
    return put(ch, &ch->output, head, sizeof head) && put(ch, &ch->output, r->data.p, r->data.len);
}

bool sftp_send_status(struct channel *ch, uint32_t id, uint32_t status, const char *text)
{
    struct sftp_response r = {
        .type = SFTP_STATUS,
        .id = id,
        .status = status,
        .text = {(const uint8_t *)text, strlen(text)},
        .language = {(const uint8_t *)"en", 2},
    };
    return sftp_send_response(ch, &r);
}

/* What was put into the queues waits for all records that were sent by now, as far as it has to: a
 * record that only was to be accepted may never be told to be durable. */
static void settle(struct channel *ch)
{
    const struct backend *b = ch->owner;

    while (ch->input.unrecorded != NULL)
        segments_recorded(&ch->input, b->trail.wanted[WANT_DURABLE]);
    while (ch->output.unrecorded != NULL)
        segments_recorded(&ch->output, b->trail.wanted[b->output_want]);
}

/* --- what came in */

static int add(void *arg, const void *p, size_t len)
{
    return buf_put(arg, p, len);
}

bool sftp_take_input(struct channel *ch, const void *bytes, size_t len)
{
    struct sftp *s = ch->sftp;

    if (s->stage == SFTP_OVER)
        return true;
    int rc = sftp_elide(s->elide_input, bytes, len, add, &s->scratch);
    if (rc == 0 && buf_len(&s->scratch) > 0)
        rc = segments_put(&s->form, SEGMENT_INPUT, buf_head(&s->scratch), buf_len(&s->scratch));
    buf_consume(&s->scratch, buf_len(&s->scratch));
    if (rc == 0)
        rc = buf_put(&s->input, bytes, len);
    return rc == 0;
}

bool sftp_take_output(struct channel *ch, const void *bytes, size_t len)
{
    return ch->sftp->stage == SFTP_OVER || buf_put(&ch->sftp->output, bytes, len) == 0;
}

/* A packet, or a length that none has, is there. */
static bool whole(const struct buf *b)
{
    size_t len = buf_len(b);

    if (len < 4)
        return false;
    uint32_t packet = wire_load_u32(buf_head(b));
    return packet > SFTP_PACKET_MAX || len - 4 >= packet;
}

size_t sftp_held(const struct channel *ch)
{
    return ch->sftp != NULL ? buf_len(&ch->sftp->output) : 0;
}

bool sftp_input_idle(const struct channel *ch)
{
    const struct sftp *s = ch->sftp;
    return s == NULL || s->stage == SFTP_OVER || (s->form.head == NULL && !whole(&s->input));
}

bool sftp_output_idle(const struct channel *ch)
{
    const struct sftp *s = ch->sftp;
    return s == NULL || s->stage == SFTP_OVER ||
           (s->output_elided == buf_len(&s->output) && !whole(&s->output));
}

/* The operator takes what was answered. */
static bool output_room(const struct channel *ch)
{
    return ch->operator_closed ||
           (ch->output.bytes < SFTP_HELD_MAX && ch->output.recorded < RECORDS_WAITING_MAX);
}

static bool may_judge(const struct channel *ch)
{
    const struct sftp *s = ch->sftp;

    return (s->stage == SFTP_NEW || s->stage == SFTP_SERVING) && !ch->target_closed &&
           !s->asked.asking && s->form.head == NULL && whole(&s->input) &&
           s->pending_count < SFTP_PENDING_MAX - 1 && ch->input.bytes < SFTP_HELD_MAX &&
           ch->input.recorded < RECORDS_WAITING_MAX && output_room(ch) && !record_busy(ch->owner);
}

static bool may_answer(const struct channel *ch)
{
    const struct sftp *s = ch->sftp;

    return s->stage != SFTP_OVER && s->output_elided == buf_len(&s->output) && whole(&s->output) &&
           output_room(ch) && !record_busy(ch->owner);
}

bool sftp_ready(const struct channel *ch)
{
    const struct sftp *s = ch->sftp;

    if (s == NULL || s->stage == SFTP_OVER || record_busy(ch->owner))
        return false;
    return s->form.head != NULL || s->output_elided < buf_len(&s->output) || may_judge(ch) ||
           may_answer(ch);
}

/* --- recorded, then taken up */

static void record_input(struct channel *ch)
{
    struct sftp *s = ch->sftp;
    struct segment *form;
    uint64_t number = 0;

    while ((form = s->form.head) != NULL && !record_busy(ch->owner)) {
        if (record_bytes(ch->owner, RECORD_INPUT, ch->id, WANT_DURABLE, form->bytes, form->len,
                         &number) != 0)
            return;
        uint32_t len = form->len;
        segments_recorded(&s->form, number);
        segments_pass(&s->form, len);
    }
}

static void record_output(struct channel *ch)
{
    struct sftp *s = ch->sftp;
    struct backend *b = ch->owner;

    while (s->output_elided < buf_len(&s->output) && !record_busy(b)) {
        size_t n = buf_len(&s->output) - s->output_elided;
        if (n > ELIDE_STEP)
            n = ELIDE_STEP;
        if (sftp_elide(s->elide_output, buf_head(&s->output) + s->output_elided, n, add,
                       &s->scratch) != 0) {
            sftp_memory_out(ch);
            return;
        }
        s->output_elided += n;
        size_t form = buf_len(&s->scratch);
        if (form == 0 || (form < ELIDE_STEP && s->output_elided < buf_len(&s->output)))
            continue;
        /* at most two steps and 64 bytes more than a record holds */
        const uint8_t *p = buf_head(&s->scratch);
        for (size_t done = 0; done < form; done += RELAY_CHUNK) {
            size_t part = form - done < RELAY_CHUNK ? form - done : RELAY_CHUNK;
            if (record_bytes(b, RECORD_OUTPUT, ch->id, b->output_want, p + done, part, NULL) != 0)
                return;
        }
        buf_consume(&s->scratch, form);
    }
}

static bool going_on(const struct channel *ch)
{
    return ch->owner->phase <= PHASE_DRAIN && !ch->owner->trail.stopped &&
           ch->sftp->stage != SFTP_OVER;
}

/* A length that no packet has. */
static bool length_wrong(uint32_t len)
{
    return len == 0 || len > SFTP_PACKET_MAX;
}

void sftp_output_step(struct channel *ch)
{
    struct sftp *s = ch->sftp;

    /* stderr of the target has its place before what is put now */
    if (!going_on(ch) || ch->output.unrecorded != NULL)
        return;
    record_output(ch);
    while (going_on(ch) && may_answer(ch)) {
        const uint8_t *p = buf_head(&s->output);
        uint32_t len = wire_load_u32(p);
        if (length_wrong(len)) {
            sftp_violation(ch, "an SFTP packet of %u bytes", len);
            return;
        }
        sftp_answer(ch, p + 4, len);
        buf_consume(&s->output, 4 + (size_t)len);
        s->output_elided -= 4 + (size_t)len;
    }
    if (ch->owner->phase <= PHASE_DRAIN)
        sftp_record_results(ch);
    settle(ch);
}

static void input_step(struct channel *ch)
{
    struct sftp *s = ch->sftp;

    record_input(ch);
    while (going_on(ch) && may_judge(ch)) {
        const uint8_t *p = buf_head(&s->input);
        uint32_t len = wire_load_u32(p);
        if (length_wrong(len)) {
            char text[100];
            snprintf(text, sizeof text, "an SFTP packet of %u bytes: the channel was closed", len);
            sftp_record_refused(ch, NULL, NULL, "form", text);
            sftp_stop(ch, text);
            break;
        }
        if (!sftp_judge(ch, p + 4, len))
            break;
        buf_consume(&s->input, 4 + (size_t)len);
        s->input_taken += 4 + (uint64_t)len;
        ch->input_passed += 4 + len;
    }
    settle(ch);
}

void sftp_step(struct channel *ch)
{
    struct sftp *s = ch->sftp;

    if (s->stage != SFTP_OVER && ch->owner->phase <= PHASE_DRAIN && !ch->owner->trail.stopped) {
        sftp_output_step(ch);
        if (ch->output.unrecorded == NULL && going_on(ch))
            input_step(ch);
    }
    if (s->stage == SFTP_OVER) {
        buf_clear(&s->input);
        buf_clear(&s->output);
        s->output_elided = 0;
        segments_clear(&s->form);
    }
}

void sftp_ended(struct channel *ch)
{
    struct sftp *s = ch->sftp;

    if (s == NULL)
        return;
    sftp_record_results(ch);
    for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
        if (s->files[i] == NULL)
            continue;
        if (s->files[i]->opened)
            sftp_record_closed(ch, s->files[i], "end");
        sftp_file_drop(s, s->files[i]);
    }
    for (size_t i = 0; i < SFTP_PENDING_MAX; i++)
        s->pending[i].file = NULL;
    s->stage = SFTP_OVER;
}
