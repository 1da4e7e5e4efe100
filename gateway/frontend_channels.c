/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels from open to close, after both factors: at most RELAY_CHANNELS_MAX session channels.
 * Messages wait, in order, until they can be answered: for the target to be there, for the channel
 * to be opened there, for a start to be answered.
 *
 * libssh calls the callbacks ahead of the queued messages (data and end of file of
 * `ssh h cmd </dev/null` come before the exec), so they only note what they are told. A channel is
 * freed only when no message that is kept, waits, or is still in libssh's queue can name it.
 * Runs in the frontend; everything the client sends is hostile until checked. */
#include "gateway/frontend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long what a client sent before it closed may take to be passed on; as the backend's own. */
#define CLOSE_DRAIN_MS 10000u

static void bad_link(struct frontend *f, const struct err *e)
{
    frontend_link_failed(f, "relay", e);
}

/* --- callbacks */

static int on_data(ssh_session s, ssh_channel ssh, void *data, uint32_t len, int is_stderr,
                   void *channel)
{
    (void)s;
    (void)ssh;
    /* Extended data from a client has no meaning for a session. */
    return is_stderr ? (int)len : flow_take(channel, len, data);
}

static void on_eof(ssh_session s, ssh_channel ssh, void *channel)
{
    (void)s;
    (void)ssh;
    ((struct frontend_channel *)channel)->in.eof = true;
}

static void on_close(ssh_session s, ssh_channel ssh, void *channel)
{
    struct frontend_channel *c = channel;

    (void)s;
    (void)ssh;
    c->close_seen = true;
    c->close_at_end = c->stage == CHANNEL_RUNNING && c->in.eof && c->out.eof_sent;
    c->close_by_ms = c->frontend->now_ms + CLOSE_DRAIN_MS;
}

static void on_signal(ssh_session s, ssh_channel ssh, const char *name, void *channel)
{
    struct frontend_channel *c = channel;

    (void)s;
    (void)ssh;
    if (!c->forward && c->signal_count < FRONTEND_SIGNALS_MAX &&
        strlen(name) < sizeof c->signals[0])
        strcpy(c->signals[c->signal_count++], name); /* the length was checked */
}

/* That it exists answers a request that wants a reply with success; OpenSSH wants none. */
static void on_agent_request(ssh_session s, ssh_channel ssh, void *channel)
{
    (void)s;
    (void)ssh;
    ((struct frontend_channel *)channel)->agent_requests++;
}

/* --- the table */

unsigned channels_count(const struct frontend *f)
{
    unsigned n = 0;

    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++)
        n += f->channels[i].used;
    return n;
}

struct frontend_channel *channels_find(struct frontend *f, uint32_t number, bool *known)
{
    *known = number < f->next_channel;
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (f->channels[i].used && f->channels[i].number == number)
            return &f->channels[i];
    return NULL;
}

struct frontend_channel *channel_add(struct frontend *f, ssh_channel ssh)
{
    struct frontend_channel *c = NULL;

    for (unsigned i = 0; i < RELAY_CHANNELS_MAX && !c; i++)
        if (!f->channels[i].used)
            c = &f->channels[i];
    INVARIANT(c);
    *c = (struct frontend_channel){.used = true,
                                   .number = f->next_channel++,
                                   .stage = CHANNEL_OPEN,
                                   .frontend = f,
                                   .ssh = ssh,
                                   .in.credit = RELAY_WINDOW,
                                   .out.window = RELAY_WINDOW};
    buf_init(&c->in.queue, FRONTEND_INPUT_MAX);
    buf_init(&c->out.stream[0], FRONTEND_OUTPUT_MAX);
    buf_init(&c->out.stream[1], FRONTEND_OUTPUT_MAX);
    c->callbacks.userdata = c;
    c->callbacks.channel_data_function = on_data;
    c->callbacks.channel_eof_function = on_eof;
    c->callbacks.channel_close_function = on_close;
    c->callbacks.channel_signal_function = on_signal;
    c->callbacks.channel_auth_agent_req_function = on_agent_request;
    ssh_callbacks_init(&c->callbacks);
    return c;
}

bool channel_begin(struct frontend_channel *c)
{
    if (ssh_set_channel_callbacks(c->ssh, &c->callbacks) == SSH_OK)
        return true;
    frontend_leave(c->frontend, "out of memory for a channel");
    return false;
}

void channel_drop(struct frontend_channel *c)
{
    ssh_message_free(c->start);
    ssh_message_free(c->open);
    free(c->refusal);
    buf_clear(&c->in.queue);
    buf_clear(&c->out.stream[0]);
    buf_clear(&c->out.stream[1]);
    attest_clear(&c->attest);
    *c = (struct frontend_channel){0};
}

void channels_clear(struct frontend *f)
{
    for (unsigned i = 0; i < f->waiting_count; i++)
        ssh_message_free(f->waiting[i]);
    f->waiting_count = 0;
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (f->channels[i].used)
            channel_drop(&f->channels[i]);
}

/* --- opening */

static void open_session(struct frontend *f, ssh_message m)
{
    struct frontend_channel *c;
    ssh_channel ssh;
    struct err e = ERR_INIT;

    if (channels_count(f) == RELAY_CHANNELS_MAX) {
        refusal_message(f, NULL, m, REFUSED_LIMIT, "a session");
        return;
    }
    ssh = ssh_message_channel_request_open_reply_accept(m);
    ssh_message_free(m);
    if (!ssh) {
        frontend_leave(f, "a channel could not be opened");
        return;
    }
    c = channel_add(f, ssh);
    if (!channel_begin(c))
        return;
    if (f->phase == PHASE_SESSION) {
        struct relay_open open = {.channel = c->number};

        c->stage = CHANNEL_OPENING;
        c->relayed = c->attest.wanted = true;
        if (relay_open_send(f->relay, &open, NULL, &e) != 0)
            bad_link(f, &e);
    }
}

void channels_opened(struct frontend *f, const struct relay_opened *m)
{
    bool known;
    struct frontend_channel *c = channels_find(f, m->channel, &known);

    if (!c || c->stage != CHANNEL_OPENING)
        return;
    if (c->forward) {
        forward_opened(f, c, m);
        return;
    }
    c->stage = CHANNEL_OPEN;
    if (m->ok)
        return;
    c->relayed = false; /* there is nothing to close on the other side */
    c->refusal_status = m->status;
    c->refusal = strdup(m->text); /* told when the client starts something */
    if (!c->refusal)
        frontend_leave(f, "out of memory for a channel");
}

static void refuse_open(struct frontend *f, ssh_message m)
{
    switch (ssh_message_subtype(m)) {
    case SSH_CHANNEL_DIRECT_TCPIP:
        forward_open(f, m);
        break;
    case SSH_CHANNEL_X11:
        refusal_message(f, NULL, m, REFUSED_X11, "a channel of the kind x11");
        break;
    case SSH_CHANNEL_AUTH_AGENT:
        refusal_message(f, NULL, m, REFUSED_AGENT, "a channel of the kind auth-agent@openssh.com");
        break;
    default:
        refusal_message(f, NULL, m, REFUSED_CHANNEL, "a channel of an unsupported kind");
        break;
    }
}

static void refuse_global(struct frontend *f, ssh_message m)
{
    const char *address = ssh_message_global_request_address(m);
    char detail[400];

    snprintf(detail, sizeof detail, "tcpip-forward from %.300s port %d", address ? address : "",
             ssh_message_global_request_port(m));
    if (ssh_message_subtype(m) == SSH_GLOBAL_REQUEST_TCPIP_FORWARD)
        refusal_message(f, NULL, m, REFUSED_TCPIP_FORWARD, detail);
    else
        refusal_message(f, NULL, m, REFUSED_REQUEST, "a global request");
}

/* --- messages */

static bool message(struct frontend *f, ssh_message m)
{
    if (f->phase == PHASE_DECISION || (f->phase == PHASE_SESSION && !f->ready))
        return false;
    if (f->phase >= PHASE_LEAVING) {
        ssh_message_free(m);
        return true;
    }
    switch (ssh_message_type(m)) {
    case SSH_REQUEST_CHANNEL_OPEN:
        if (ssh_message_subtype(m) == SSH_CHANNEL_SESSION)
            open_session(f, m);
        else
            refuse_open(f, m);
        return true;
    case SSH_REQUEST_CHANNEL:
        return requests_take(f, m);
    case SSH_REQUEST_GLOBAL:
        refuse_global(f, m);
        return true;
    default: /* authentication and services are over */
        ssh_message_free(m);
        return true;
    }
}

void channels_messages(struct frontend *f)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < f->waiting_count; i++) {
        ssh_message m = f->waiting[i];

        if (!message(f, m))
            f->waiting[kept++] = m;
    }
    /* There is room again for what libssh still queues. */
    if (kept < f->waiting_count)
        f->again = true;
    f->waiting_count = kept;
}

/* --- steps of every turn */

static bool input_passed(const struct frontend_channel *c)
{
    return buf_len(&c->in.queue) == 0 && c->in.held == 0 && (!c->in.eof || c->in.eof_passed);
}

/* OpenSSH closes a session by itself as soon as both ends of file have passed, and still waits for
 * the exit status (mux clients have no other way to it). Such a close asks for nothing: the
 * target's own close ends the channel. Any other one gives the channel up, when what was sent
 * before it has been passed on: as sshd does, which writes it out before it closes. */
static bool waits_for_target(const struct frontend_channel *c)
{
    return c->close_at_end && !c->forward;
}

static bool given_up(const struct frontend_channel *c)
{
    if (!c->close_seen || waits_for_target(c))
        return false;
    return c->stage != CHANNEL_RUNNING || input_passed(c) || c->frontend->now_ms >= c->close_by_ms;
}

uint64_t channels_next_ms(const struct frontend *f)
{
    uint64_t next = 0;

    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++) {
        const struct frontend_channel *c = &f->channels[i];

        if (c->used && c->close_seen && !c->close_sent && !waits_for_target(c) &&
            (next == 0 || c->close_by_ms < next))
            next = c->close_by_ms;
    }
    return next;
}

static void step_to_backend(struct frontend *f, struct frontend_channel *c)
{
    struct err e = ERR_INIT;

    if (!f->relay || !c->relayed || c->down_sent)
        return;
    for (; c->agent_requests > 0; c->agent_requests--)
        refusal_report(f, c, REFUSED_AGENT, "auth-agent-req@openssh.com");
    if (!f->relay)
        return;
    if (c->stage == CHANNEL_RUNNING) {
        for (unsigned i = 0; i < c->signal_count; i++) {
            struct relay_signal s = {.channel = c->number};

            strcpy(s.name, c->signals[i]); /* of the same size */
            if (relay_signal_send(f->relay, &s, NULL, &e) != 0) {
                bad_link(f, &e);
                return;
            }
        }
        c->signal_count = 0;
    }
    if (given_up(c) || c->close_sent) {
        struct relay_close_down down = {.channel = c->number};

        c->down_sent = true;
        if (relay_close_down_send(f->relay, &down, NULL, &e) != 0)
            bad_link(f, &e);
    }
}

static void step_to_client(struct frontend *f, struct frontend_channel *c)
{
    if (!c->ssh || c->close_sent || (!flow_written(c) && !c->close_seen))
        return;
    if (c->exit_known && !given_up(c)) {
        c->exit_known = false;
        if (c->exit_signal[0] != '\0')
            ssh_channel_request_send_exit_signal(c->ssh, c->exit_signal, c->exit_core, c->exit_text,
                                                 "");
        else
            ssh_channel_request_send_exit_status(c->ssh, (int)c->exit_status);
        f->again = true;
    }
    /* ssh_channel_close gives up half-way when its end of file is not flushed at once: so that
     * first. */
    if ((c->out.eof || c->close_wanted || given_up(c)) && !c->out.eof_sent) {
        c->out.eof_sent = true;
        ssh_channel_send_eof(c->ssh);
        f->again = true;
    }
    if (c->close_wanted || given_up(c)) {
        c->close_sent = true;
        ssh_channel_close(c->ssh);
        f->again = true;
    }
}

void channels_step(struct frontend *f)
{
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++) {
        struct frontend_channel *c = &f->channels[i];

        if (!c->used)
            continue;
        step_to_client(f, c);
        step_to_backend(f, c);
        if (c->close_sent) {
            channel_answer_start(c, true); /* only frees it by now */
            buf_clear(&c->in.queue);
        }
    }
}

static bool waits_for(const struct frontend *f, const struct frontend_channel *c)
{
    for (unsigned i = 0; i < f->waiting_count; i++)
        if (ssh_message_type(f->waiting[i]) == SSH_REQUEST_CHANNEL &&
            ssh_message_channel_request_channel(f->waiting[i]) == c->ssh)
            return true;
    return false;
}

void channels_reap(struct frontend *f)
{
    if (!f->queue_empty)
        return;
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++) {
        struct frontend_channel *c = &f->channels[i];

        if (!c->used || !c->close_sent || !c->close_seen || c->start || waits_for(f, c))
            continue;
        if (f->relay && c->relayed && !(c->down_sent && c->up_seen))
            continue;
        attest_report(f, c, true);
        ssh_channel_free(c->ssh);
        channel_drop(c);
    }
}
