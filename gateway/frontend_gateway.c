/* SPDX-License-Identifier: Apache-2.0
 *
 * The target `gateway`: the gateway itself. Commands, their input and their output pass between the
 * operator's channel and authd, which knows who this is; nothing is interpreted here but the end of
 * a line on a terminal. A shell is the command `help`.
 * Runs in the frontend. */
#include "gateway/frontend.h"

#include <string.h>

#define MIN(a, b)   ((a) < (b) ? (a) : (b))
#define INPUT_CHUNK 8192u /* login.command_input */

void gateway_start(struct frontend *f, struct frontend_channel *c, ssh_message m)
{
    struct login_command cmd = {.channel = c->number, .command = "help"};
    bool exec = ssh_message_subtype(m) == SSH_CHANNEL_REQUEST_EXEC;
    const char *text = exec ? ssh_message_channel_request_command(m) : NULL;
    struct err e = ERR_INIT;

    c->start = m;
    if (ssh_message_subtype(m) == SSH_CHANNEL_REQUEST_SUBSYSTEM) {
        refusal_tell(c, "The gateway itself has commands only; see `ssh gateway help`.",
                     EXIT_REFUSED);
        return;
    }
    if (text && strlen(text) >= sizeof cmd.command) {
        refusal_tell(c, "That command is too long.", EXIT_REFUSED);
        return;
    }
    if (text && text[0] != '\0')
        strcpy(cmd.command, text); /* the length was checked */
    if (login_command_send(f->login, &cmd, NULL, &e) != 0) {
        frontend_link_failed(f, "login", &e);
        return;
    }
    channel_answer_start(c, true);
    c->stage = CHANNEL_RUNNING;
}

/* A client in raw mode ends a line by CR. */
static size_t terminal_input(uint8_t *out, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = in[i] == '\r' ? '\n' : in[i];
    return n;
}

void gateway_input(struct frontend *f, struct frontend_channel *c)
{
    struct frontend_input *in = &c->in;
    struct err e = ERR_INIT;
    uint8_t chunk[INPUT_CHUNK];

    while (buf_len(&in->queue) > 0 && f->login && link_pending(f->login) == 0) {
        size_t n = MIN(buf_len(&in->queue), sizeof chunk);
        struct login_command_input m = {.channel = c->number, .bytes = {chunk, n}};

        if (c->pty)
            terminal_input(chunk, buf_head(&in->queue), n);
        else
            memcpy(chunk, buf_head(&in->queue), n);
        if (login_command_input_send(f->login, &m, NULL, &e) != 0) {
            frontend_link_failed(f, "login", &e);
            return;
        }
        buf_consume(&in->queue, n);
    }
    if (f->login && (in->eof || c->close_seen) && !in->eof_passed && buf_len(&in->queue) == 0 &&
        in->held == 0) {
        struct login_command_eof m = {.channel = c->number};

        in->eof_passed = true;
        if (login_command_eof_send(f->login, &m, NULL, &e) != 0)
            frontend_link_failed(f, "login", &e);
    }
}

/* A terminal in raw mode wants CR LF. */
static int terminal_output(struct buf *b, const uint8_t *p, size_t len)
{
    int rc = 0;

    for (size_t i = 0; i < len && rc == 0; i++) {
        if (p[i] == '\n')
            rc = buf_put(b, "\r", 1);
        if (rc == 0)
            rc = buf_put(b, p + i, 1);
    }
    return rc;
}

void gateway_output(struct frontend *f, const struct login_command_output *m)
{
    bool known;
    struct frontend_channel *c = channels_find(f, m->channel, &known);
    struct buf *b;
    int rc;

    if (!c || c->close_sent || c->close_seen || c->stage != CHANNEL_RUNNING || m->stream > 1)
        return;
    if (flow_written(c))
        c->out.first = m->stream;
    b = &c->out.stream[m->stream];
    rc = c->pty ? terminal_output(b, m->bytes.p, m->bytes.len)
                : buf_put(b, m->bytes.p, m->bytes.len);
    if (rc != 0)
        frontend_leave(f, "the client does not take the output of a command");
}

void gateway_exit(struct frontend *f, const struct login_command_exit *m)
{
    bool known;
    struct frontend_channel *c = channels_find(f, m->channel, &known);

    if (c && c->stage == CHANNEL_RUNNING)
        refusal_tell(c, "", m->status);
}
