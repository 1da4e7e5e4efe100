/* SPDX-License-Identifier: Apache-2.0
 *
 * What is refused, and how the operator is told. SSH's own refusals carry no text that OpenSSH
 * would show (libssh sends an empty reason, and a refused exec is only "exec request failed"), so a
 * refusal is an accepted start, one line on stderr, an exit status and a close. Forwards, X11 and
 * the agent are refused in SSH, as OpenSSH's client expects it, and reported to the backend for the
 * trail. Runs in the frontend. */
#include "gateway/frontend.h"

#include <stdio.h>
#include <string.h>

/* Reports in one connection; a client that goes on is disconnected, so that it cannot fill the
 * trail. */
#define REFUSALS_MAX 256

void refusal_notice(struct frontend_channel *c, const char *text)
{
    char line[1100];
    int n = snprintf(line, sizeof line, "sallyport: %s\r\n", text);

    if (c->forward || c->close_sent || c->close_seen || n <= 0)
        return;
    if ((size_t)n >= sizeof line)
        n = sizeof line - 1;
    if (flow_written(c))
        c->out.first = 1;
    /* The queue has room for texts beyond the relay's window; a flood of notices loses its tail. */
    if (buf_put(&c->out.stream[1], line, (size_t)n) != 0)
        return;
}

void refusal_tell(struct frontend_channel *c, const char *text, uint8_t status)
{
    if (c->stage == CHANNEL_OVER)
        return;
    channel_answer_start(c, true);
    if (text[0] != '\0')
        refusal_notice(c, text);
    c->stage = CHANNEL_OVER;
    c->exit_known = !c->forward;
    c->exit_status = status;
    c->exit_signal[0] = '\0';
    c->out.eof = true;
    c->close_wanted = true;
    c->frontend->again = true;
}

void refusal_report(struct frontend *f, const struct frontend_channel *c, enum refused_kind kind,
                    const char *detail)
{
    struct relay_refused m = {.channel = c ? c->number : FRONTEND_NO_CHANNEL,
                              .kind = (uint8_t)kind};
    struct err e = ERR_INIT;

    if (++f->refusals > REFUSALS_MAX) {
        frontend_leave(f, "too many refused requests");
        return;
    }
    if (f->phase != PHASE_SESSION || !f->ready || !f->relay)
        return;
    snprintf(m.detail, sizeof m.detail, "%s", detail);
    if (relay_refused_send(f->relay, &m, NULL, &e) != 0)
        frontend_link_failed(f, "relay", &e);
}

void refusal_message(struct frontend *f, struct frontend_channel *c, ssh_message m,
                     enum refused_kind kind, const char *detail)
{
    if (!c || !c->close_sent)
        ssh_message_reply_default(m);
    /* detail may point into m. */
    refusal_report(f, c, kind, detail);
    ssh_message_free(m);
}
