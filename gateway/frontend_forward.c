/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to a host and port behind the target (direct-tcpip: -L, -D, -W). The client's open is
 * kept unanswered until the backend has judged and recorded it and the target has connected; then
 * the channel is a running one, whose input is attested as any other's. There is no stderr on it:
 * why one was refused is told on the newest session channel, by the backend.
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

void forward_open(struct frontend *f, ssh_message m)
{
    struct relay_forward forward = {0};
    struct frontend_channel *c;
    struct err e = ERR_INIT;
    char words[FORWARD_WORDS_MAX];

    if (f->phase != PHASE_SESSION || !read_open(m, &forward)) {
        refusal_message(f, NULL, m, REFUSED_DIRECT_TCPIP, "direct-tcpip");
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
    if (attest_started(f, c, ATTEST_FORWARD, (struct bytes){(uint8_t *)words, (size_t)n}, &e) != 0)
        frontend_link_failed(f, "trail", &e);
    else if (relay_forward_send(f->relay, &forward, NULL, &e) != 0)
        frontend_link_failed(f, "relay", &e);
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
        forward_give_up(c);
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
