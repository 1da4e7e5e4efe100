/* SPDX-License-Identifier: Apache-2.0
 *
 * What the frontend says. It is exposed to whoever logs in, so each message is checked against the
 * table (base/link.h) and here against the channels; a frontend that breaks the protocol is an
 * alarm and the end of the session. Messages for a channel that both sides closed may still be on
 * their way and are dropped. Runs in the backend; trusts nothing here. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "gateway/backend_session.h"

/* So many frames are taken before the other descriptors get their turn: one window of whole chunks.
 */
#define FRAMES_PER_TURN (RELAY_WINDOW / RELAY_CHUNK)

void relay_violation(struct backend *b, const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_error("relay-violation", "%s", text);
    if (b->phase < PHASE_DRAIN)
        record_alarm(b, "frontend-protocol", text);
    end_begin(b, "frontend-protocol", EXIT_TRY_AGAIN,
              "the gateway ended this session: its own processes disagreed");
    link_free(b->relay);
    b->relay = NULL;
}

void relay_failed(struct backend *b, int code)
{
    link_free(b->relay);
    b->relay = NULL;
    end_begin(b, code == ERR_FULL ? "frontend-stalled" : "frontend-died", 0,
              "the frontend is gone");
}

void relay_notice_text(struct backend *b, uint32_t channel, const char *text)
{
    struct relay_notice m = {.channel = channel};
    struct err e = ERR_INIT;

    if (b->relay == NULL || b->phase != PHASE_READY)
        return;
    snprintf(m.text, sizeof m.text, "%s", text);
    int rc = relay_notice_send(b->relay, &m, NULL, &e);
    if (rc != 0)
        relay_failed(b, rc);
}

/* The channel a message is about. False: the message is dropped, or the session ended. */
static bool channel_of(struct backend *b, uint32_t id, const char *what, struct channel **ch)
{
    *ch = channel_find(b, id);
    if (*ch == NULL) {
        if (id >= b->next_channel)
            relay_violation(b, "%s for channel %u, which was never opened", what, id);
        return false;
    }
    if ((*ch)->operator_closed) {
        relay_violation(b, "%s for channel %u after its close", what, id);
        return false;
    }
    return true;
}

#define DECODE(name)                                                                               \
    struct relay_##name m;                                                                         \
    struct channel *ch = NULL;                                                                     \
    int rc = relay_##name##_decode(f, &m, e);                                                      \
    if (rc != 0 || !channel_of(b, m.channel, #name, &ch))                                          \
    return rc

static int on_pty(struct backend *b, const struct frame *f, struct err *e)
{
    DECODE(pty);
    request_pty(ch, &m);
    return 0;
}

static int on_env(struct backend *b, const struct frame *f, struct err *e)
{
    DECODE(env);
    request_env(ch, &m);
    return 0;
}

static int on_start(struct backend *b, const struct frame *f, struct err *e)
{
    DECODE(start);
    request_start(ch, &m);
    return 0;
}

static int on_resize(struct backend *b, const struct frame *f, struct err *e)
{
    DECODE(resize);
    request_resize(ch, &m);
    return 0;
}

static int on_signal(struct backend *b, const struct frame *f, struct err *e)
{
    DECODE(signal);
    request_signal(ch, &m);
    return 0;
}

static int on_input(struct backend *b, const struct frame *f, struct err *e)
{
    DECODE(input);
    flow_input(ch, m.bytes);
    return 0;
}

static int on_input_eof(struct backend *b, const struct frame *f, struct err *e)
{
    DECODE(input_eof);
    if (ch->input_eof)
        relay_violation(b, "a second end of input on channel %u", m.channel);
    ch->input_eof = true;
    return 0;
}

static int on_output_credit(struct backend *b, const struct frame *f, struct err *e)
{
    DECODE(output_credit);
    flow_credit(ch, m.bytes);
    return 0;
}

static int on_close(struct backend *b, const struct frame *f, struct err *e)
{
    DECODE(close_down);
    channel_close_down(ch);
    return 0;
}

static int on_open(struct backend *b, const struct frame *f, struct err *e)
{
    struct relay_open m;
    int rc = relay_open_decode(f, &m, e);
    if (rc == 0)
        channel_open(b, &m);
    return rc;
}

static int on_forward(struct backend *b, const struct frame *f, struct err *e)
{
    struct relay_forward m;
    int rc = relay_forward_decode(f, &m, e);
    if (rc == 0)
        channel_forward(b, &m);
    return rc;
}

static int on_refused(struct backend *b, const struct frame *f, struct err *e)
{
    struct relay_refused m;
    int rc = relay_refused_decode(f, &m, e);
    if (rc == 0)
        unseen_refused(b, &m);
    return rc;
}

static int on_bye(struct backend *b, const struct frame *f, struct err *e)
{
    struct relay_bye m;
    char text[400];
    int rc = relay_bye_decode(f, &m, e);
    if (rc == 0) {
        if (end_begin(b, "client-closed", 0, "the operator's connection closed"))
            end_quote(b, escape_text(text, sizeof text, m.reason, strlen(m.reason)));
        end_draining(b, false, true);
    }
    return rc;
}

static int dispatch(struct backend *b, const struct frame *f, struct err *e)
{
    static int (*const on[])(struct backend *, const struct frame *, struct err *) = {
        [relay_bye_NUMBER] = on_bye,
        [relay_open_NUMBER] = on_open,
        [relay_pty_NUMBER] = on_pty,
        [relay_env_NUMBER] = on_env,
        [relay_start_NUMBER] = on_start,
        [relay_resize_NUMBER] = on_resize,
        [relay_signal_NUMBER] = on_signal,
        [relay_refused_NUMBER] = on_refused,
        [relay_forward_NUMBER] = on_forward,
        [relay_input_NUMBER] = on_input,
        [relay_input_eof_NUMBER] = on_input_eof,
        [relay_output_credit_NUMBER] = on_output_credit,
        [relay_close_down_NUMBER] = on_close,
    };
    uint16_t number = f->spec->number;
    INVARIANT(number < sizeof on / sizeof on[0] && on[number] != NULL);
    return on[number](b, f, e);
}

static void closed(struct backend *b)
{
    link_free(b->relay);
    b->relay = NULL;
    end_begin(b, "frontend-died", 0, "the frontend's link closed without a good-bye");
    end_draining(b, false, true);
}

bool relay_heard(const struct backend *b)
{
    if (b->open_waits && b->phase == PHASE_READY)
        return false;
    return b->trail.stopped || !record_busy(b);
}

void relay_step(struct backend *b)
{
    struct err e = ERR_INIT;
    struct frame f;
    int rc = 0;

    if (b->relay == NULL)
        return;
    if (link_pending(b->relay) > 0 && link_flush(b->relay, &e) != 0) {
        closed(b);
        return;
    }
    for (unsigned i = 0; i < FRAMES_PER_TURN && b->relay != NULL && relay_heard(b); i++) {
        rc = link_recv(b->relay, &f, &e);
        if (rc != 1)
            break;
        rc = dispatch(b, &f, &e);
        if (rc != 0)
            break;
    }
    if (b->relay == NULL || rc >= 0)
        return;
    if (rc == ERR_CLOSED)
        closed(b);
    else
        relay_violation(b, "%s", e.text);
}
