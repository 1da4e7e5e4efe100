/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to a host and port behind the target (direct-tcpip). Each is judged by the grant's
 * forward rules, recorded, and only then asked for at the target, which resolves the name and
 * connects: what is permitted are words, "localhost:16509", not an address. Its bytes go the way of
 * all others (backend_flow.c): the operator's are input records, the target's forward-data.
 * Runs in the backend; frontend and target are hostile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/attest_start.h"
#include "base/log.h"
#include "gateway/backend_session.h"
#include "policy/forwards.h"

struct forward {
    struct relay_forward to;
    char host_as[FORWARD_HOST_MAX + 1]; /* in the form that was permitted */
    uint64_t record;                    /* asked for at the target when this is durable */
};

/* "host:port", a v6 address in brackets. */
#define FORWARD_WORDS_MAX (2 + 255 + 1 + 5 + 1)

static const char *words(const struct relay_forward *m, char out[FORWARD_WORDS_MAX])
{
    snprintf(out, FORWARD_WORDS_MAX, strchr(m->host, ':') != NULL ? "[%s]:%u" : "%s:%u", m->host,
             m->port);
    return out;
}

static int record_open(struct backend *b, const struct relay_forward *m, bool allowed,
                       const char *rule, const char *text, uint64_t *number)
{
    struct json_record r;
    char asked[FORWARD_WORDS_MAX];

    record_begin(&r);
    json_bool(&r.json, "allowed", allowed);
    json_str(&r.json, "what", attest_kind_name(ATTEST_FORWARD));
    words(m, asked);
    json_bytes(&r.json, "detail", asked, strlen(asked));
    json_bytes(&r.json, "origin", m->origin, strlen(m->origin));
    json_u64(&r.json, "origin_port", m->origin_port);
    if (rule[0] != '\0')
        json_str(&r.json, "rule", rule);
    if (text[0] != '\0')
        json_bytes(&r.json, "text", text, strlen(text));
    return record_end(b, &r, RECORD_FORWARD_OPEN, m->channel, WANT_DURABLE, number);
}

void forward_refused(struct backend *b, const struct relay_forward *m, const char *why,
                     const char *text)
{
    if (!record_refusal_counts(b))
        return;
    if (record_open(b, m, false, "", text, NULL) == 0)
        record_refused(b, m->channel, attest_kind_name(ATTEST_FORWARD), why, 0);
}

bool forward_judge(struct backend *b, const struct relay_forward *m, char text[1001])
{
    char asked[FORWARD_WORDS_MAX], shown[300], rule[128], send[FORWARD_HOST_MAX + 1];
    char by[GRANT_DENIED_BY_MAX];

    words(m, asked);
    escape_text(shown, sizeof shown, asked, strlen(asked));
    if (!(b->granted.abilities & ABILITY_FORWARD)) {
        snprintf(text, 1001,
                 "your role does not permit forwarding to %s by %s%s; ask %s for a role with "
                 "`forward: [HOST:PORT]`",
                 shown, b->granted.target, grant_denied_by(b, by), grant_contact(b));
        forward_refused(b, m, "role", text);
        return false;
    }
    if (!narrow_forwards_match(b, m->host, m->port, rule, send)) {
        snprintf(text, 1001,
                 "your role does not permit forwarding to %s by %s, only to other hosts and ports; "
                 "ask %s",
                 shown, b->granted.target, grant_contact(b));
        forward_refused(b, m, "rules", text);
        return false;
    }
    return true;
}

bool forward_begin(struct channel *ch, const struct relay_forward *m)
{
    struct backend *b = ch->owner;
    struct rule_verdict verdict = {0};

    ch->forward = calloc(1, sizeof *ch->forward);
    if (ch->forward == NULL)
        return false;
    ch->forward->to = *m;
    ch->start_asked = true;
    (void)narrow_forwards_match(b, m->host, m->port, verdict.rule, ch->forward->host_as);
    /* A failure ends the session by itself. */
    if (record_open(b, m, true, verdict.rule, "", NULL) == 0 &&
        record_permitted(b, m->channel, attest_kind_name(ATTEST_FORWARD), false, &verdict,
                         &ch->forward->record) != 0)
        ch->forward->record = UINT64_MAX;
    return true;
}

bool forward_recorded(const struct channel *ch)
{
    const struct forward *w = ch->forward;

    return w->record != 0 && record_settled(ch->owner, w->record, WANT_DURABLE);
}

int forward_connect(struct channel *ch)
{
    const struct forward *w = ch->forward;

    return ssh_channel_open_forward(ch->ssh, w->host_as, w->to.port,
                                    w->to.origin[0] != '\0' ? w->to.origin : "127.0.0.1",
                                    w->to.origin_port);
}

const char *forward_shown(const struct channel *ch, char out[FORWARD_SHOWN_MAX])
{
    char asked[FORWARD_WORDS_MAX];

    words(&ch->forward->to, asked);
    return escape_text(out, FORWARD_SHOWN_MAX, asked, strlen(asked));
}

bool forward_holds(const struct channel *ch)
{
    const struct relay_forward *to = &ch->forward->to;
    char rule[128], send[FORWARD_HOST_MAX + 1];

    return narrow_forwards_match(ch->owner, to->host, to->port, rule, send) &&
           strcmp(send, ch->forward->host_as) == 0;
}

void forward_clear(struct channel *ch)
{
    free(ch->forward);
    ch->forward = NULL;
}
