/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests on a channel: one terminal and one start each, variables, sizes. A start's answer waits
 * for the backend's: the message is kept meanwhile. What is not known here, comes too late or once
 * too often is refused and reported. Terminal modes are not seen by libssh 0.10 (LIMITS). Runs in
 * the frontend; everything the client sends is hostile until checked. */
#include "gateway/frontend.h"

#include <string.h>

/* Rows, columns and pixels are 16 bits in struct winsize. */
#define CELLS_MAX   65535
#define COMMAND_MAX 65536u /* relay.start */

static void bad_link(struct frontend *f, const struct err *e)
{
    frontend_link_failed(f, "relay", e);
}

static bool backend_has(const struct frontend *f, const struct frontend_channel *c)
{
    return f->phase == PHASE_SESSION && f->relay && c->relayed;
}

static uint32_t cells(int n)
{
    return n < 0 || n > CELLS_MAX ? CELLS_MAX : (uint32_t)n;
}

static void answer(struct frontend_channel *c, ssh_message m, bool ok)
{
    if (!c->close_sent) {
        if (ok)
            ssh_message_channel_request_reply_success(m);
        else
            ssh_message_reply_default(m);
    }
    ssh_message_free(m);
}

void channel_answer_start(struct frontend_channel *c, bool ok)
{
    ssh_message m = c->start;

    c->start = NULL;
    if (m)
        answer(c, m, ok);
}

static void request_pty(struct frontend *f, struct frontend_channel *c, ssh_message m)
{
    struct relay_pty pty = {.channel = c->number};
    const char *term = ssh_message_channel_request_pty_term(m);
    struct err e = ERR_INIT;

    if (c->pty || c->stage != CHANNEL_OPEN || !term || strlen(term) >= sizeof pty.term) {
        refusal_message(f, c, m, REFUSED_REQUEST,
                        "pty-req: one, before the start, of a known size");
        return;
    }
    strcpy(pty.term, term); /* the length was checked */
    pty.columns = cells(ssh_message_channel_request_pty_width(m));
    pty.rows = cells(ssh_message_channel_request_pty_height(m));
    pty.width_px = cells(ssh_message_channel_request_pty_pxwidth(m));
    pty.height_px = cells(ssh_message_channel_request_pty_pxheight(m));
    c->pty = true;
    if (backend_has(f, c) && relay_pty_send(f->relay, &pty, NULL, &e) != 0)
        bad_link(f, &e);
    answer(c, m, true);
}

static void request_resize(struct frontend *f, struct frontend_channel *c, ssh_message m)
{
    struct relay_resize r = {.channel = c->number};
    struct err e = ERR_INIT;

    r.columns = cells(ssh_message_channel_request_pty_width(m));
    r.rows = cells(ssh_message_channel_request_pty_height(m));
    r.width_px = cells(ssh_message_channel_request_pty_pxwidth(m));
    r.height_px = cells(ssh_message_channel_request_pty_pxheight(m));
    if (backend_has(f, c) && c->pty && relay_resize_send(f->relay, &r, NULL, &e) != 0)
        bad_link(f, &e);
    answer(c, m, c->pty);
}

/* All names go to the backend, which judges and records them; the answer is sshd's usual one. */
static void request_env(struct frontend *f, struct frontend_channel *c, ssh_message m)
{
    struct relay_env env = {.channel = c->number};
    const char *name = ssh_message_channel_request_env_name(m);
    const char *value = ssh_message_channel_request_env_value(m);
    struct err e = ERR_INIT;
    bool locale;

    if (c->stage != CHANNEL_OPEN || ++c->envs > FRONTEND_ENV_MAX || !name || !value ||
        strlen(name) >= sizeof env.name || strlen(value) >= sizeof env.value) {
        refusal_message(f, c, m, REFUSED_REQUEST, "env: too many, too long, or after the start");
        return;
    }
    locale = strcmp(name, "LANG") == 0 || strncmp(name, "LC_", 3) == 0;
    strcpy(env.name, name); /* the lengths were checked */
    strcpy(env.value, value);
    if (backend_has(f, c) && relay_env_send(f->relay, &env, NULL, &e) != 0)
        bad_link(f, &e);
    answer(c, m, locale);
}

static int attest(struct frontend *f, const struct frontend_channel *c,
                  const struct relay_start *start, struct err *e)
{
    static const enum attest_kind kinds[] = {[START_SHELL] = ATTEST_SHELL,
                                             [START_EXEC] = ATTEST_EXEC,
                                             [START_SUBSYSTEM] = ATTEST_SUBSYSTEM};

    return attest_started(f, c, kinds[start->kind], start->command, e);
}

static void request_start(struct frontend *f, struct frontend_channel *c, ssh_message m)
{
    struct relay_start start = {.channel = c->number, .kind = START_SHELL};
    const char *text = NULL;
    struct err e = ERR_INIT;

    if (c->stage != CHANNEL_OPEN) {
        refusal_message(f, c, m, REFUSED_REQUEST, "a second start on one channel");
        return;
    }
    if (f->phase == PHASE_GATEWAY) {
        gateway_start(f, c, m);
        return;
    }
    if (c->refusal || !backend_has(f, c)) {
        c->start = m;
        refusal_tell(c, c->refusal ? c->refusal : f->end_text,
                     c->refusal ? c->refusal_status : f->end_status);
        f->told = true;
        return;
    }
    if (ssh_message_subtype(m) == SSH_CHANNEL_REQUEST_EXEC) {
        start.kind = START_EXEC;
        text = ssh_message_channel_request_command(m);
    } else if (ssh_message_subtype(m) == SSH_CHANNEL_REQUEST_SUBSYSTEM) {
        start.kind = START_SUBSYSTEM;
        text = ssh_message_channel_request_subsystem(m);
    }
    if (text)
        start.command = (struct bytes){(const uint8_t *)text, strlen(text)};
    c->start = m;
    if (start.command.len > COMMAND_MAX) {
        refusal_report(f, c, REFUSED_REQUEST, "a command of more than 65536 bytes");
        refusal_tell(c, "That command is too long.", EXIT_REFUSED);
        return;
    }
    c->stage = CHANNEL_STARTING;
    if (attest(f, c, &start, &e) != 0) {
        frontend_link_failed(f, "trail", &e);
        return;
    }
    if (relay_start_send(f->relay, &start, NULL, &e) != 0)
        bad_link(f, &e);
}

static bool starts_sftp(ssh_message m)
{
    const char *name = NULL;

    if (m && ssh_message_subtype(m) == SSH_CHANNEL_REQUEST_SUBSYSTEM)
        name = ssh_message_channel_request_subsystem(m);
    return name && strcmp(name, "sftp") == 0;
}

void requests_started(struct frontend *f, const struct relay_started *m)
{
    bool known;
    struct frontend_channel *c = channels_find(f, m->channel, &known);

    if (!c || c->stage != CHANNEL_STARTING)
        return;
    c->attest.answered = true;
    if (!m->ok) {
        refusal_tell(c, m->text, m->status);
        return;
    }
    if (starts_sftp(c->start))
        attest_sftp(c);
    channel_answer_start(c, true);
    if (m->text[0] != '\0')
        refusal_notice(c, m->text);
    if (f->notice[0] != '\0')
        refusal_notice(c, f->notice);
    f->notice[0] = '\0';
    c->stage = CHANNEL_RUNNING;
    f->again = true; /* its input waits in libssh */
}

static struct frontend_channel *find_ssh(struct frontend *f, ssh_channel ssh)
{
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (f->channels[i].used && f->channels[i].ssh == ssh)
            return &f->channels[i];
    return NULL;
}

bool requests_take(struct frontend *f, ssh_message m)
{
    struct frontend_channel *c = find_ssh(f, ssh_message_channel_request_channel(m));

    if (!c || c->close_seen || c->close_sent || c->stage == CHANNEL_OVER) {
        if (c && !c->close_sent && !c->close_seen)
            ssh_message_reply_default(m);
        ssh_message_free(m);
        return true;
    }
    if (c->stage == CHANNEL_OPENING)
        return false;
    switch (ssh_message_subtype(m)) {
    case SSH_CHANNEL_REQUEST_PTY:
        request_pty(f, c, m);
        break;
    case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
        if (c->stage == CHANNEL_STARTING)
            return false;
        request_resize(f, c, m);
        break;
    case SSH_CHANNEL_REQUEST_ENV:
        request_env(f, c, m);
        break;
    case SSH_CHANNEL_REQUEST_EXEC:
    case SSH_CHANNEL_REQUEST_SHELL:
    case SSH_CHANNEL_REQUEST_SUBSYSTEM:
        request_start(f, c, m);
        break;
    case SSH_CHANNEL_REQUEST_X11:
        refusal_message(f, c, m, REFUSED_X11, "x11-req");
        break;
    default:
        refusal_message(f, c, m, REFUSED_REQUEST, "a request of an unsupported kind");
        break;
    }
    return true;
}
