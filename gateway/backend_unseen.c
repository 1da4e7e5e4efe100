/* SPDX-License-Identifier: Apache-2.0
 *
 * What the frontend refused by itself, because the gateway carries it for nobody: ports forwarded
 * to the operator, X11, agents, other kinds of channels and requests, what has no form to be
 * judged, and what is too many at once. Each is a record; the operator is told once of each kind,
 * with what to do instead: SSH's own refusals have no words, and that of an agent is not seen at
 * all. Runs in the backend; the frontend is hostile. */
#include <string.h>

#include "gateway/backend_session.h"

static const struct unseen {
    const char *what, *why, *text;
    bool forward; /* its record is forward-open */
    bool quiet;   /* clients try, and go on without: the operator is not told */
} unseens[] = {
    [REFUSED_DIRECT_TCPIP] = {"port-forward", "form",
                              "a port is forwarded to a host of 1 to 255 bytes and a port of 1 to "
                              "65535; this one is none",
                              .forward = true},
    [REFUSED_TCPIP_FORWARD] = {"remote-port-forward", "kind",
                               "ssh -R is refused: no target may open connections to its "
                               "operators; fetch what you need from your side, with ssh -L, scp "
                               "or sftp",
                               .forward = true},
    [REFUSED_X11] = {"x11", "kind",
                     "X11 is not forwarded (ssh -X): the target could watch your screen and "
                     "keyboard; leave it out, or reach a VNC port by ssh -L where your role "
                     "permits it"},
    [REFUSED_AGENT] = {"agent-forward", "kind",
                       "your agent is not forwarded (ssh -A): the target could use your keys; "
                       "connect to the next host through the gateway, and say ForwardAgent no"},
    [REFUSED_CHANNEL] = {"channel", "kind",
                         "channels of this kind are refused: the gateway carries sessions and "
                         "forwarded ports (ssh -L, -D, -W)"},
    [REFUSED_REQUEST] = {"request", "kind",
                         "the gateway passes on a terminal, LANG and LC_*, sizes, signals, and one "
                         "start for each channel; this request is none of these, or comes too late",
                         .quiet = true},
    [REFUSED_LIMIT] = {"channel", "limit",
                       "a connection has ten channels at once; close some, or connect once more"},
};

_Static_assert(RELAY_CHANNELS_MAX == 10, "REFUSED_LIMIT says how many");

static void tell(struct backend *b, unsigned kind)
{
    if (unseens[kind].quiet || b->unseen_told & 1u << kind)
        return;
    b->unseen_told |= 1u << kind;
    if (narrow_told_now(b))
        relay_notice_text(b, RELAY_NEWEST, unseens[kind].text);
    else
        b->unseen_waits |= 1u << kind;
}

void unseen_tell_waiting(struct backend *b, const struct channel *ch)
{
    for (unsigned kind = 0; b->unseen_waits != 0; kind++) {
        if (b->unseen_waits & 1u << kind)
            relay_notice_text(b, ch->id, unseens[kind].text);
        b->unseen_waits &= ~(1u << kind);
    }
}

static void record_forward(struct backend *b, const struct relay_refused *m, const struct unseen *u)
{
    struct json_record r;

    if (!record_refusal_counts(b))
        return;
    record_begin(&r);
    json_bool(&r.json, "allowed", false);
    json_str(&r.json, "what", u->what);
    json_bytes(&r.json, "detail", m->detail, strlen(m->detail));
    json_str(&r.json, "text", u->text);
    if (record_end(b, &r, RECORD_FORWARD_OPEN, m->channel, WANT_DURABLE, NULL) == ERR_FULL)
        relay_violation(b, "over-long refusal");
    else
        record_refused(b, m->channel, u->what, u->why, 0);
}

void unseen_refused(struct backend *b, const struct relay_refused *m)
{
    if (m->kind == 0 || m->kind >= sizeof unseens / sizeof unseens[0]) {
        relay_violation(b, "refusal of unknown kind %u", m->kind);
        return;
    }
    const struct unseen *u = &unseens[m->kind];
    if (u->forward)
        record_forward(b, m, u);
    else
        record_refusal(b, m->channel, u->what, u->why, m->detail, strlen(m->detail), u->text);
    tell(b, m->kind);
}
