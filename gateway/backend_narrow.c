/* SPDX-License-Identifier: Apache-2.0
 *
 * The grant after authd decided about the session again: less than at its beginning, as authd says,
 * and never more than the grant said. Two sets of rules hold then, the grant's and those of the
 * policy in force, and what is asked for must be permitted by both. The change is a record before
 * anything is judged by it; then what runs and is no longer permitted is closed, open files have
 * the access that their paths have now, and the operator is told. Runs in the backend; trusts
 * authd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/backend_session.h"

/* ---- both sets of rules */

static bool restricts(const struct rule_set *rules)
{
    return rules != NULL && rule_set_restricts(rules);
}

bool narrow_rules_restrict(const struct backend *b)
{
    return restricts(b->rules) || (b->narrowed && restricts(b->now_rules));
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
    return buf_len(a) == buf_len(b) && memcmp(buf_head(a), buf_head(b), buf_len(a)) == 0;
}

int narrow_rules_judge(const struct backend *b, const void *command, size_t len,
                       struct rule_verdict *v, struct buf *forward, struct err *e)
{
    const bool now = b->narrowed && restricts(b->now_rules);
    struct rule_verdict began;
    struct buf other;

    if (!now) {
        int rc = rule_set_judge(b->rules, command, len, v, forward, e);
        /* No rules say nothing of its input either. */
        v->stdin_digest = v->stdin_digest && !b->narrowed;
        return rc;
    }
    if (!restricts(b->rules)) {
        int rc = rule_set_judge(b->now_rules, command, len, v, forward, e);
        v->stdin_digest = false;
        return rc;
    }
    buf_init(&other, COMMAND_FORWARD_MAX);
    int rc = rule_set_judge(b->rules, command, len, &began, &other, e);
    *v = began;
    if (rc == 0)
        rc = rule_set_judge(b->now_rules, command, len, v, forward, e);
    if (rc == 0 && !same_bytes(&other, forward)) {
        buf_clear(forward);
        v->rule[0] = '\0';
        rc = err_set(e, ERR_DENIED,
                     "another program runs for this command since the policy changed; connect "
                     "again");
    }
    v->stdin_digest = rc == 0 && began.stdin_digest && v->stdin_digest;
    buf_clear(&other);
    return rc;
}

static bool took_shell(const struct rule_set *rules, char rule[128])
{
    return rule_set_took_shell(rules) && rule_set_denies(rules, rule);
}

bool narrow_took_shell(const struct backend *b, char rule[128])
{
    return took_shell(b->rules, rule) || (b->narrowed && took_shell(b->now_rules, rule));
}

unsigned narrow_files_access(const struct backend *b, const char *path, size_t len, unsigned wanted,
                             char rule[128])
{
    unsigned access = file_rules_access(b->files, path, len, wanted, rule);

    if (b->narrowed)
        access &= file_rules_access(b->now_files, path, len, wanted, rule);
    return access;
}

bool narrow_files_visible(const struct backend *b, const char *path, size_t len)
{
    return file_rules_visible(b->files, path, len) &&
           (!b->narrowed || file_rules_visible(b->now_files, path, len));
}

bool narrow_files_unrestricted(const struct backend *b)
{
    return file_rules_unrestricted(b->files) &&
           (!b->narrowed || file_rules_unrestricted(b->now_files));
}

bool narrow_forwards_match(const struct backend *b, const char *host, uint16_t port, char rule[128],
                           char send[FORWARD_HOST_MAX + 1])
{
    char began[FORWARD_HOST_MAX + 1], now[FORWARD_HOST_MAX + 1];

    rule[0] = send[0] = '\0';
    if (!forward_rules_match(b->forwards, host, strlen(host), port, rule, began))
        return false;
    if (b->narrowed &&
        (!forward_rules_match(b->now_forwards, host, strlen(host), port, rule, now) ||
         strcmp(began, now) != 0))
        return false;
    memcpy(send, began, sizeof began);
    return true;
}

/* ---- the operator */

static bool takes_notices(const struct channel *ch)
{
    return ch->state == CHANNEL_RUNNING && ch->forward == NULL && !ch->operator_closed &&
           !ch->cut && !ch->up_closed;
}

bool narrow_told_now(const struct backend *b)
{
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (takes_notices(&b->channels[i]))
            return true;
    return false;
}

void narrow_tell(struct backend *b, const char *text)
{
    bool told = false;

    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        const struct channel *ch = &b->channels[i];
        if (!takes_notices(ch))
            continue;
        relay_notice_text(b, ch->id, text);
        told = true;
    }
    /* Of two that nobody heard yet the newer one is the truer. */
    if (!told)
        snprintf(b->notice, sizeof b->notice, "%s", text);
}

void narrow_tell_waiting(struct backend *b, const struct channel *ch)
{
    if (b->notice[0] != '\0')
        relay_notice_text(b, ch->id, b->notice);
    b->notice[0] = '\0';
}

/* ---- what runs */

/* Judged by the words that were sent. Where the session began without rules, what runs was found by
 * the account's own shell and not by the path that a rule gives now: that is let be. */
static bool command_permitted(const struct channel *ch)
{
    struct err e = ERR_INIT;
    struct buf forward;
    struct rule_verdict verdict;

    if (!narrow_rules_restrict(ch->owner))
        return true;
    buf_init(&forward, COMMAND_FORWARD_MAX);
    int rc = narrow_rules_judge(ch->owner, ch->command, ch->command_len, &verdict, &forward, &e);
    buf_clear(&forward);
    return rc == 0;
}

/* What of this channel is no longer permitted; NULL: it goes on. */
static const char *no_longer(const struct channel *ch)
{
    const uint32_t abilities = ch->owner->granted.abilities;

    if (ch->forward != NULL)
        return abilities & ABILITY_FORWARD && forward_holds(ch) ? NULL : "forward";
    switch (ch->kind) {
    case START_SHELL:
        if (!(abilities & ABILITY_SHELL))
            return "shell";
        break;
    case START_EXEC:
        if (!(abilities & ABILITY_EXEC) || !command_permitted(ch))
            return "command";
        break;
    case START_SUBSYSTEM:
        return abilities & ABILITY_SFTP ? NULL : "file transfer";
    }
    if (ch->pty && (!(abilities & ABILITY_PTY) ||
                    (ch->kind == START_EXEC && narrow_rules_restrict(ch->owner))))
        return "terminal";
    return NULL;
}

static void apply(struct channel *ch)
{
    const char *what;
    char text[600];

    if (ch->state == CHANNEL_FREE || !ch->start_asked || ch->refused || ch->up_closed || ch->cut)
        return;
    what = no_longer(ch);
    if (what == NULL) {
        sftp_narrow(ch);
        return;
    }
    snprintf(text, sizeof text,
             "your role on %s no longer permits this %s, so it was closed; ask %s",
             ch->owner->granted.target, what, grant_contact(ch->owner));
    channel_cut(ch, text);
}

/* ---- the message */

static int record(struct backend *b, const struct grant_narrow *m)
{
    const struct grant_grant *g = &b->granted;
    struct json_record r;

    record_begin(&r);
    json_str(&r.json, "event", "narrowed");
    if (m->text[0] != '\0')
        json_str(&r.json, "text", m->text);
    json_str(&r.json, "path", m->path);
    json_hex(&r.json, "policy", m->policy_hash, sizeof m->policy_hash);
    grant_write_terms(b, &r.json);
    json_u64(&r.json, "idle_s", g->idle_s);
    json_u64(&r.json, "max_s", g->max_s);
    /* Its own record is waited for by whatever waited for less till now. */
    return record_end(b, &r, RECORD_GRANT, 0, WANT_DURABLE, NULL);
}

static uint32_t smaller_limit(uint32_t a, uint32_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static void take_terms(struct backend *b, const struct grant_narrow *m)
{
    struct grant_grant *g = &b->granted;
    const uint32_t max_s = smaller_limit(m->max_s, b->began_max_s);

    if (max_s != g->max_s)
        b->max_told = false;
    g->max_s = max_s;
    g->idle_s = smaller_limit(m->idle_s, b->began_idle_s);
    g->abilities = m->abilities & b->began_abilities;
    g->record = m->record;
    g->bulk = m->bulk;
    g->bulk_after = m->bulk_after;
    g->keep_max = m->keep_max;
    snprintf(g->role, sizeof g->role, "%s", m->role);
    snprintf(g->contact, sizeof g->contact, "%s", m->contact);
    b->output_want = g->record == RECORD_SYNC_ALL ? WANT_DURABLE : WANT_ACCEPTED;
}

int narrow_take(struct backend *b, const struct frame *f, struct err *e)
{
    struct grant_narrow m;
    struct rule_set *rules = NULL;
    int rc = grant_narrow_decode(f, &m, e);

    if (rc != 0)
        return rc;
    if (m.record > RECORD_SYNC_ALL || m.bulk > BULK_DIGEST)
        return err_set(e, ERR_PROTOCOL, "recording mode %u, %u", m.record, m.bulk);
    if (m.rules.len > 0 && (rules = rule_set_decode(m.rules.p, m.rules.len, e)) == NULL)
        return err_wrap(e, "command rules");
    struct file_rules *files = file_rules_decode(m.files.p, m.files.len, e);
    struct forward_rules *forwards =
        files != NULL ? forward_rules_decode(m.forwards.p, m.forwards.len, e) : NULL;
    if (forwards == NULL) {
        rule_set_free(rules);
        file_rules_free(files);
        return err_wrap(e, "file or forward rules");
    }
    narrow_clear(b);
    b->now_rules = rules;
    b->now_files = files;
    b->now_forwards = forwards;
    b->narrowed = true;
    take_terms(b, &m);
    if (b->phase >= PHASE_DRAIN)
        return 0;
    if (b->start_record != 0 && record(b, &m) == ERR_FULL)
        return err_set(e, ERR_FULL, "the record of a grant");
    log_info("narrowed", "abilities=%u", b->granted.abilities);
    if (m.text[0] != '\0')
        narrow_tell(b, m.text);
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        apply(&b->channels[i]);
    return 0;
}

void narrow_clear(struct backend *b)
{
    rule_set_free(b->now_rules);
    file_rules_free(b->now_files);
    forward_rules_free(b->now_forwards);
    b->now_rules = NULL;
    b->now_files = NULL;
    b->now_forwards = NULL;
}
