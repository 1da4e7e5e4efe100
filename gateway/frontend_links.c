/* SPDX-License-Identifier: Apache-2.0
 *
 * What authd, the backend and auditd say to a frontend. The links check number, direction, state
 * and size against the tables; here each message meets the channel or the login it belongs to. A
 * message for a channel that is gone is late, not wrong; one for a channel that never was, or
 * output beyond its credit, is wrong and ends the session. Runs in the frontend. */
#include "gateway/frontend.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* Frames of one link in one turn: 1 MiB of credit is 16 of them. */
#define FRAMES_PER_TURN 64
/* Output of gateway commands has no credit: authd is not listened to above this. */
#define GATEWAY_OUTPUT_SOFT (256u * 1024)
/* The relay never has more than one frame of input waiting here, and small requests beside it. */
#define RELAY_QUEUE_MAX (512u * 1024)

#define BACKEND_GONE    "The session's backend ended unexpectedly."
#define TRAIL_GONE      "The recorder stopped; nothing more was forwarded."
#define AUTHD_GONE      "The login service restarted; please connect again."

/* --- authd */

static int granted(struct frontend *f, struct frame *frame, struct err *e)
{
    struct login_granted m;
    int fd, rc = login_granted_decode(frame, &m, e);

    if (rc != 0)
        return rc;
    if (!f->trail) {
        frontend_end(f, TRAIL_GONE, EXIT_TRAIL);
        return 0;
    }
    fd = frame_take_fd(frame, 0);
    f->relay = link_new(fd, &link_relay, LINK_FIRST, RELAY_QUEUE_MAX);
    if (!f->relay)
        return err_set(e, ERR_MEMORY, "the link to the backend");
    link_enter(f->relay, relay_STATE_CONNECTING);
    link_enter(f->login, login_STATE_SESSION);
    f->granted = true;
    memcpy(f->notice, m.notice, sizeof f->notice);
    f->phase = PHASE_SESSION;
    return 0;
}

static int from_authd(struct frontend *f, struct frame *frame, struct err *e)
{
    union {
        struct login_probed probed;
        struct login_answer answer;
        struct login_refused refused;
        struct login_gateway gateway;
        struct login_command_output output;
        struct login_command_exit exit;
        struct login_end end;
    } m;
    int rc;

#define DECODED(name) ((rc = login_##name##_decode(frame, &m.name, e)) == 0)
    switch (frame->spec->number) {
    case login_probed_NUMBER:
        if (DECODED(probed))
            login_probed(f, &m.probed);
        return rc;
    case login_answer_NUMBER:
        if (DECODED(answer))
            login_answered(f, &m.answer);
        return rc;
    case login_granted_NUMBER:
        return granted(f, frame, e);
    case login_refused_NUMBER:
        if (DECODED(refused))
            frontend_end(f, m.refused.text, m.refused.status);
        return rc;
    case login_gateway_NUMBER:
        if (DECODED(gateway)) {
            link_enter(f->login, login_STATE_GATEWAY);
            f->phase = PHASE_GATEWAY;
        }
        return rc;
    case login_command_output_NUMBER:
        rc = login_command_output_decode(frame, &m.output, e);
        if (rc == 0)
            gateway_output(f, &m.output);
        return rc;
    case login_command_exit_NUMBER:
        rc = login_command_exit_decode(frame, &m.exit, e);
        if (rc == 0)
            gateway_exit(f, &m.exit);
        return rc;
    case login_end_NUMBER:
        if (DECODED(end))
            frontend_end(f, m.end.text, EXIT_REFUSED);
        return rc;
    default:
        return err_set(e, ERR_PROTOCOL, "an unexpected message %s", frame->spec->name);
    }
#undef DECODED
}

static bool authd_waits(const struct frontend *f)
{
    for (unsigned i = 0; f->phase == PHASE_GATEWAY && i < RELAY_CHANNELS_MAX; i++)
        if (f->channels[i].used && buf_len(&f->channels[i].out.stream[0]) > GATEWAY_OUTPUT_SOFT)
            return true;
    return false;
}

static void receive_authd(struct frontend *f)
{
    struct err e = ERR_INIT;
    struct frame frame;
    int rc;

    for (unsigned n = 0; f->login && f->phase < PHASE_TELLING && !authd_waits(f); n++) {
        if (n == FRAMES_PER_TURN) {
            f->again = true;
            return;
        }
        rc = link_recv(f->login, &frame, &e);
        if (rc == 0)
            return;
        if (rc == 1)
            rc = from_authd(f, &frame, &e);
        if (rc < 0) {
            frontend_link_failed(f, "login", &e);
            return;
        }
    }
}

/* --- the backend */

static void exited(struct frontend_channel *c, uint32_t status, const struct relay_exit_signal *s)
{
    if (c->stage != CHANNEL_RUNNING)
        return;
    c->exit_known = true;
    c->exit_status = status;
    if (s) {
        memcpy(c->exit_signal, s->name, sizeof c->exit_signal);
        memcpy(c->exit_text, s->text, sizeof c->exit_text);
        c->exit_core = s->core != 0;
    }
}

static int add_credit(struct frontend_channel *c, const struct relay_input_credit *m, struct err *e)
{
    if (m->bytes > RELAY_WINDOW - c->in.credit)
        return err_set(e, ERR_PROTOCOL, "credit beyond the window of channel %u", c->number);
    c->in.credit += m->bytes;
    return 0;
}

static void notice(struct frontend *f, uint32_t channel, const char *text)
{
    struct frontend_channel *newest = NULL;

    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++) {
        struct frontend_channel *c = &f->channels[i];

        if (c->used && !c->forward && c->stage == CHANNEL_RUNNING &&
            (channel == RELAY_NEWEST || c->number == channel) &&
            (!newest || c->number > newest->number))
            newest = c;
    }
    if (newest)
        refusal_notice(newest, text);
}

union relay_message {
    struct relay_ready ready;
    struct relay_end end;
    struct relay_notice notice;
    struct relay_opened opened;
    struct relay_started started;
    struct relay_input_credit input_credit;
    struct relay_output output;
    struct relay_output_eof output_eof;
    struct relay_exit_status exit_status;
    struct relay_exit_signal exit_signal;
    struct relay_close_up close_up;
};

/* The channel that a message is for. NULL with 0: it is gone, the message is late. */
static int channel_of(struct frontend *f, uint32_t number, struct frontend_channel **c,
                      struct err *e)
{
    bool known;

    *c = channels_find(f, number, &known);
    if (!known)
        return err_set(e, ERR_PROTOCOL, "a message for channel %u, which never was", number);
    return 0;
}

static int from_backend_channel(struct frontend *f, struct frame *frame, union relay_message *m,
                                struct err *e)
{
    struct frontend_channel *c = NULL;
    int rc;

#define DECODED(name)                                                                              \
    ((rc = relay_##name##_decode(frame, &m->name, e)) == 0 &&                                      \
     (rc = channel_of(f, m->name.channel, &c, e)) == 0 && c != NULL)
    switch (frame->spec->number) {
    case relay_opened_NUMBER:
        if (DECODED(opened))
            channels_opened(f, &m->opened);
        return rc;
    case relay_started_NUMBER:
        if (DECODED(started))
            requests_started(f, &m->started);
        return rc;
    case relay_input_credit_NUMBER:
        if (DECODED(input_credit))
            rc = add_credit(c, &m->input_credit, e);
        return rc;
    case relay_output_NUMBER:
        if (DECODED(output))
            rc = flow_output_put(c, m->output.stream, m->output.bytes.p, m->output.bytes.len, e);
        return rc;
    case relay_output_eof_NUMBER:
        if (DECODED(output_eof))
            c->out.eof = true;
        return rc;
    case relay_exit_status_NUMBER:
        if (DECODED(exit_status))
            exited(c, m->exit_status.status, NULL);
        return rc;
    case relay_exit_signal_NUMBER:
        if (DECODED(exit_signal))
            exited(c, 0, &m->exit_signal);
        return rc;
    case relay_close_up_NUMBER:
        if (DECODED(close_up)) {
            c->up_seen = true;
            c->close_wanted = true;
        }
        return rc;
    default:
        return err_set(e, ERR_PROTOCOL, "an unexpected message %s", frame->spec->name);
    }
#undef DECODED
}

static int from_backend(struct frontend *f, struct frame *frame, struct err *e)
{
    union relay_message m;
    int rc;

    switch (frame->spec->number) {
    case relay_ready_NUMBER:
        rc = relay_ready_decode(frame, &m.ready, e);
        if (rc == 0) {
            link_enter(f->relay, relay_STATE_READY);
            f->ready = true;
        }
        return rc;
    case relay_end_NUMBER:
        rc = relay_end_decode(frame, &m.end, e);
        if (rc == 0)
            frontend_end(f, m.end.text, m.end.status);
        return rc;
    case relay_notice_NUMBER:
        rc = relay_notice_decode(frame, &m.notice, e);
        if (rc == 0)
            notice(f, m.notice.channel, m.notice.text);
        return rc;
    default:
        return from_backend_channel(f, frame, &m, e);
    }
}

static void receive_backend(struct frontend *f)
{
    struct err e = ERR_INIT;
    struct frame frame;
    int rc;

    for (unsigned n = 0; f->relay && f->phase == PHASE_SESSION; n++) {
        if (n == FRAMES_PER_TURN) {
            f->again = true;
            return;
        }
        rc = link_recv(f->relay, &frame, &e);
        if (rc == 0)
            return;
        if (rc == 1)
            rc = from_backend(f, &frame, &e);
        if (rc < 0) {
            frontend_link_failed(f, "relay", &e);
            return;
        }
    }
}

/* --- auditd */

/* Before there is a session, what a missing recorder means is authd's to say: it has no link to it
 * either, and can tell the operator in the words of a login. A session is not begun without the
 * link (granted). */
static void lost_before_session(struct frontend *f, const char *text)
{
    log_info("link-closed", "link=trail before=session reason=\"%s\"", text);
    link_free(f->trail);
    f->trail = NULL;
}

/* Attestations wait for nothing: acknowledgements are read and dropped. */
static void receive_auditd(struct frontend *f)
{
    struct err e = ERR_INIT;
    struct trail_stop stop;
    struct frame frame;
    int rc;

    while (f->trail && f->phase < PHASE_LEAVING) {
        rc = link_recv(f->trail, &frame, &e);
        if (rc == 0)
            return;
        if (rc == 1 && frame.spec->number == trail_stop_NUMBER) {
            rc = trail_stop_decode(&frame, &stop, &e);
            if (rc == 0 && f->phase < PHASE_SESSION)
                lost_before_session(f, stop.text);
            else if (rc == 0)
                frontend_end(f, stop.text, EXIT_TRAIL);
        } else if (rc == ERR_CLOSED && f->phase < PHASE_SESSION) {
            lost_before_session(f, "closed");
        }
        if (rc < 0 && f->trail) {
            frontend_link_failed(f, "trail", &e);
            return;
        }
    }
}

void frontend_links_receive(struct frontend *f)
{
    receive_backend(f);
    receive_authd(f);
    receive_auditd(f);
}

/* A send found the backend gone: what it had sent before, its reason last of all, is still there to
 * be read. Sends fail again meanwhile. */
static void read_last_words(struct frontend *f)
{
    struct err e = ERR_INIT;
    struct frame frame;

    f->relay_gone = true;
    while (f->relay && f->phase == PHASE_SESSION && link_recv(f->relay, &frame, &e) == 1)
        if (from_backend(f, &frame, &e) < 0)
            break;
}

void frontend_link_failed(struct frontend *f, const char *link, const struct err *e)
{
    if (strcmp(link, "relay") == 0) {
        if (f->relay_gone)
            return;
        if (e->code == ERR_CLOSED)
            read_last_words(f);
        if (!f->relay)
            return; /* it said why */
    }
    if (e->code != ERR_CLOSED)
        log_error("link-failed", "link=%s reason=\"%s\"", link, e->text);
    else
        log_info("link-closed", "link=%s", link);
    if (strcmp(link, "relay") == 0) {
        link_free(f->relay);
        f->relay = NULL;
        frontend_end(f, BACKEND_GONE, EXIT_TRY_AGAIN);
    } else if (strcmp(link, "trail") == 0) {
        link_free(f->trail);
        f->trail = NULL;
        frontend_end(f, TRAIL_GONE, EXIT_TRAIL);
    } else {
        link_free(f->login);
        f->login = NULL;
        /* A session that runs goes on without authd; its backend opens no new channel. */
        if (f->phase != PHASE_SESSION)
            frontend_end(f, AUTHD_GONE, EXIT_TRY_AGAIN);
    }
}
