/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to a host and port behind the target (direct-tcpip: -L, -D, -W). The client's open is
 * kept unanswered until the backend has judged and recorded it and the target has connected; then
 * the channel is a running one, whose input is attested as any other's. There is no stderr on it,
 * and libssh's refusal has neither reason nor text: why one was refused is told on the newest
 * session channel, by the backend, and here in a debug message, which `ssh -v` shows. `ssh -W` has
 * nothing but its one forward and ends without it: it is told by the disconnect message.
 * Runs in the frontend; everything the client sends is hostile until checked. */
#include "gateway/frontend.h"

#include <stdio.h>
#include <string.h>

/* "host:port", as it is attested, recorded and written in role files; a v6 address in brackets. */
#define FORWARD_WORDS_MAX (2 + 255 + 1 + 5 + 1)

/* False: of a form that is refused unseen. */
static bool read_open(ssh_message m, struct relay_forward *out)
{
    const char *host = ssh_message_channel_request_open_destination(m);
    const char *origin = ssh_message_channel_request_open_originator(m);
    int port = ssh_message_channel_request_open_destination_port(m);
    int origin_port = ssh_message_channel_request_open_originator_port(m);

    if (!host || !host[0] || strlen(host) >= sizeof out->host || port < 1 || port > UINT16_MAX)
        return false;
    strcpy(out->host, host); /* the length was checked */
    out->port = (uint16_t)port;
    snprintf(out->origin, sizeof out->origin, "%s", origin ? origin : "");
    if (origin_port > 0 && origin_port <= UINT16_MAX)
        out->origin_port = (uint16_t)origin_port;
    return true;
}

/* OpenSSH's client names this originator for its own standard input and output (channels.c:
 * port_open_helper). One that only looks like it loses a connection on which nothing else is. */
static bool is_stdio(const struct relay_forward *m)
{
    return m->origin_port == 65535 && strcmp(m->origin, "127.0.0.1") == 0;
}

bool forward_is_alone(const struct frontend_channel *c)
{
    return c->open != NULL && c->stdio && c->frontend->next_channel == 1;
}

/* Before there is a session, or when it is over. */
static void not_now(struct frontend *f, ssh_message m, const struct relay_forward *forward)
{
    if (!is_stdio(forward) || f->next_channel > 0) {
        refusal_message(f, NULL, m, REFUSED_DIRECT_TCPIP, "direct-tcpip");
        return;
    }
    ssh_message_free(m);
    frontend_part(f, "its one forward was refused",
                  f->phase == PHASE_TELLING ? f->end_text
                                            : "The gateway itself forwards no ports.");
}

void forward_open(struct frontend *f, ssh_message m)
{
    struct relay_forward forward = {0};
    struct frontend_channel *c;
    struct err e = ERR_INIT;
    char words[FORWARD_WORDS_MAX];

    if (!read_open(m, &forward)) {
        refusal_message(f, NULL, m, REFUSED_DIRECT_TCPIP, "direct-tcpip");
        return;
    }
    if (f->phase != PHASE_SESSION) {
        not_now(f, m, &forward);
        return;
    }
    int n = snprintf(words, sizeof words, strchr(forward.host, ':') ? "[%s]:%u" : "%s:%u",
                     forward.host, forward.port);
    if (channels_count(f) == RELAY_CHANNELS_MAX) {
        refusal_message(f, NULL, m, REFUSED_LIMIT, words);
        return;
    }
    c = channel_add(f, NULL);
    c->open = m;
    c->forward = true;
    c->stage = CHANNEL_OPENING;
    c->relayed = c->attest.wanted = true;
    forward.channel = c->number;
    c->stdio = is_stdio(&forward);
    if (attest_started(f, c, ATTEST_FORWARD, (struct bytes){(uint8_t *)words, (size_t)n}, &e) != 0)
        frontend_link_failed(f, "trail", &e);
    else if (relay_forward_send(f->relay, &forward, NULL, &e) != 0)
        frontend_link_failed(f, "relay", &e);
}

static void refused(struct frontend *f, struct frontend_channel *c, const char *text)
{
    if (forward_is_alone(c)) {
        /* Which answers its open as well. */
        frontend_part(f, "its one forward was refused", text);
        return;
    }
    /* Not to a client that does not read. */
    if (text[0] != '\0' && !(ssh_get_status(f->ssh) & SSH_WRITE_PENDING))
        ssh_send_debug(f->ssh, text, 1);
    forward_give_up(c);
    f->again = true; /* it polled */
}

void forward_give_up(struct frontend_channel *c)
{
    ssh_message_reply_default(c->open);
    attest_report(c->frontend, c, true);
    channel_drop(c);
}

void forward_opened(struct frontend *f, struct frontend_channel *c, const struct relay_opened *m)
{
    c->attest.answered = true;
    if (!m->ok) {
        refused(f, c, m->text);
        return;
    }
    c->ssh = ssh_message_channel_request_open_reply_accept(c->open);
    ssh_message_free(c->open);
    c->open = NULL;
    if (!c->ssh) {
        frontend_leave(f, "a channel could not be opened");
        return;
    }
    if (!channel_begin(c))
        return;
    c->stage = CHANNEL_RUNNING;
    f->again = true;
}
