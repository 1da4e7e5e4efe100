/* SPDX-License-Identifier: Apache-2.0
 *
 * The grant: authd's decision, received once, kept for the session's life, and written down as the
 * session's first record before the target gets a byte. Without authd the session goes on, but
 * opens nothing new until its successor has the link (docs: "When a process dies"). Runs in the
 * backend; trusts authd and the supervisor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/backend_session.h"

static int own(struct bytes *view)
{
    uint8_t *copy = malloc(view->len > 0 ? view->len : 1);
    if (copy == NULL) {
        *view = (struct bytes){0};
        return ERR_MEMORY;
    }
    memcpy(copy, view->p, view->len);
    view->p = copy;
    return 0;
}

void grant_clear(struct backend *b)
{
    free((void *)(uintptr_t)b->granted.host_keys.p);
    free((void *)(uintptr_t)b->granted.identity.p);
    b->granted.host_keys = b->granted.identity = (struct bytes){0};
    rule_set_free(b->rules);
    file_rules_free(b->files);
    forward_rules_free(b->forwards);
    b->forwards = NULL;
    b->rules = NULL;
    b->files = NULL;
    narrow_clear(b);
}

static void ability_names(uint32_t abilities, struct json_out *j)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {ABILITY_SHELL, "shell"}, {ABILITY_EXEC, "exec"},       {ABILITY_PTY, "pty"},
        {ABILITY_SFTP, "sftp"},   {ABILITY_FORWARD, "forward"},
    };
    json_open_array(j, "abilities");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (abilities & names[i].bit)
            json_str(j, NULL, names[i].name);
    json_close(j);
}

const char *grant_contact(const struct backend *b)
{
    return b->granted.contact[0] != '\0' ? b->granted.contact : "your policy administrators";
}

const char *grant_denied_by(const struct backend *b, char out[GRANT_DENIED_BY_MAX])
{
    out[0] = '\0';
    if (b->granted.role[0] != '\0')
        snprintf(out, GRANT_DENIED_BY_MAX, ": denied by %s/allow", b->granted.role);
    return out;
}

void grant_write_terms(const struct backend *b, struct json_out *j)
{
    const struct grant_grant *g = &b->granted;

    json_str(j, "record", g->record == RECORD_SYNC_ALL ? "sync-all" : "strict");
    ability_names(g->abilities, j);
    json_bool(j, "command_rules", narrow_rules_restrict(b));
    if (g->abilities & ABILITY_SFTP)
        json_bool(j, "sftp", true);
    if (g->abilities & ABILITY_FORWARD)
        json_bool(j, "forward", true);
    if (g->bulk == BULK_DIGEST) {
        json_str(j, "bulk", "digest");
        json_u64(j, "bulk_after", g->bulk_after);
    }
    if (g->keep_max > 0)
        json_u64(j, "keep_max", g->keep_max);
}

static void record_start(struct backend *b)
{
    const struct grant_grant *g = &b->granted;
    struct json_record r;
    char print[64];

    record_begin(&r);
    json_str(&r.json, "operator", g->operator_name);
    json_str(&r.json, "source", g->address);
    json_u64(&r.json, "port", g->port);
    if (g->proxy[0])
        json_str(&r.json, "proxy", g->proxy);
    json_str(&r.json, "target", g->target);
    json_str(&r.json, "target_address", g->target_address);
    json_u64(&r.json, "target_port", g->target_port);
    json_str(&r.json, "account", g->account);
    json_str(&r.json, "factors", g->factors);
    json_str(&r.json, "path", g->path);
    json_hex(&r.json, "policy", g->policy_hash, sizeof g->policy_hash);
    grant_write_terms(b, &r.json);
    json_u64(&r.json, "idle_s", g->idle_s);
    json_u64(&r.json, "max_s", g->max_s);
    fingerprint(g->identity.p, g->identity.len, print);
    json_str(&r.json, "target_key", print);
    json_u64(&r.json, "connection", b->conn);
    if (g->break_glass)
        json_bool(&r.json, "break_glass", true);
    /* 1000 bytes of path, each six at most when escaped, fit a record ten times over. */
    int rc = record_end(b, &r, RECORD_SESSION_START, 0, WANT_DURABLE, &b->start_record);
    if (rc == 0)
        b->phase = PHASE_START;
    else
        end_begin(b, "trail", EXIT_TRAIL, "the trail cannot be written: the session did not start");
}

static int take_grant(struct backend *b, const struct frame *f, struct err *e)
{
    struct grant_grant *g = &b->granted;
    int rc = grant_grant_decode(f, g, e);
    if (rc != 0) {
        g->host_keys = g->identity = (struct bytes){0};
        return rc;
    }
    const struct bytes rules = g->rules, files = g->files, forwards = g->forwards;
    rc = own(&g->host_keys);
    if (own(&g->identity) != 0)
        rc = ERR_MEMORY;
    g->rules = g->files = g->forwards = (struct bytes){0};
    if (rc != 0)
        return err_set(e, ERR_MEMORY, "the grant");
    if (g->record > RECORD_SYNC_ALL)
        return err_set(e, ERR_PROTOCOL, "recording mode %u", g->record);
    if (g->bulk > BULK_DIGEST)
        return err_set(e, ERR_PROTOCOL, "bulk mode %u", g->bulk);
    if (rules.len > 0) {
        b->rules = rule_set_decode(rules.p, rules.len, e);
        if (b->rules == NULL)
            return err_wrap(e, "command rules");
    }
    b->files = file_rules_decode(files.p, files.len, e);
    if (b->files == NULL)
        return err_wrap(e, "file rules");
    b->forwards = forward_rules_decode(forwards.p, forwards.len, e);
    if (b->forwards == NULL)
        return err_wrap(e, "forward rules");
    b->output_want = g->record == RECORD_SYNC_ALL ? WANT_DURABLE : WANT_ACCEPTED;
    b->began_abilities = g->abilities;
    b->began_idle_s = g->idle_s;
    b->began_max_s = g->max_s;
    b->started_ms = b->active_ms = b->now_ms;
    link_enter(b->grant, grant_STATE_GRANTED);
    record_start(b);
    return 0;
}

static void lost(struct backend *b)
{
    link_free(b->grant);
    b->grant = NULL;
    if (b->phase == PHASE_GRANT)
        end_begin(b, "no-grant", EXIT_TRY_AGAIN,
                  "the login service restarted; please connect again");
}

static int take_end(struct backend *b, const struct frame *f, struct err *e)
{
    struct grant_end m;
    int rc = grant_end_decode(f, &m, e);

    if (rc == 0) {
        end_begin(b, m.token, EXIT_REFUSED, "%s", m.text);
        end_drained(b);
    }
    return rc;
}

static int take_notice(struct backend *b, const struct frame *f, struct err *e)
{
    struct grant_notice m;
    int rc = grant_notice_decode(f, &m, e);

    if (rc == 0)
        narrow_tell(b, m.text);
    return rc;
}

static int take_away(struct backend *b, const struct frame *f, struct err *e)
{
    struct grant_away m;
    int rc = grant_away_decode(f, &m, e);

    if (rc != 0)
        return rc;
    b->authd_away = true;
    if (b->phase == PHASE_GRANT) /* its successor knows of no decision */
        lost(b);
    return 0;
}

static int take_back(struct backend *b, const struct frame *f, struct err *e)
{
    struct grant_back m;
    int rc = grant_back_decode(f, &m, e);

    if (rc == 0)
        b->authd_away = false;
    return rc;
}

static int take(struct backend *b, const struct frame *f, struct err *e)
{
    switch (f->spec->number) {
    case grant_grant_NUMBER:
        return take_grant(b, f, e);
    case grant_narrow_NUMBER:
        return narrow_take(b, f, e);
    case grant_notice_NUMBER:
        return take_notice(b, f, e);
    case grant_away_NUMBER:
        return take_away(b, f, e);
    case grant_back_NUMBER:
        return take_back(b, f, e);
    default:
        return take_end(b, f, e);
    }
}

void grant_step(struct backend *b)
{
    struct err e = ERR_INIT;
    struct frame f;
    int rc = 0;

    while (b->grant != NULL && (rc = link_recv(b->grant, &f, &e)) == 1) {
        rc = take(b, &f, &e);
        if (rc != 0)
            break;
    }
    if (rc < 0) {
        if (rc != ERR_CLOSED) {
            /* What cannot be applied may be that something is no longer permitted. */
            log_error("grant", "%s", e.text);
            end_begin(b, "no-grant", EXIT_TRY_AGAIN,
                      "the gateway ended this session: its own processes disagreed");
            end_drained(b);
        }
        lost(b);
    }
    if (b->grant != NULL && link_pending(b->grant) > 0 && link_flush(b->grant, &e) != 0)
        lost(b);
}

void grant_started(struct backend *b)
{
    if (b->phase == PHASE_START && record_settled(b, b->start_record, WANT_DURABLE))
        target_begin(b);
}

void grant_tell(struct backend *b, enum backend_state state, const char *text)
{
    struct grant_state m = {.state = (uint8_t)state};
    struct err e = ERR_INIT;

    if (b->grant == NULL || link_state(b->grant) != grant_STATE_GRANTED)
        return;
    snprintf(m.text, sizeof m.text, "%s", text);
    if (grant_state_send(b->grant, &m, NULL, &e) != 0)
        lost(b);
}
